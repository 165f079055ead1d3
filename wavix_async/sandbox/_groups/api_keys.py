"""API keys. Those that are made work, with their scopes and addresses.

The sandbox's own key is not among them, so that no test locks itself out by chance.

The vendor's documentation leaves some questions open. We assume: lists and updates mask the key; a restricted key
without addresses cannot be created; a scope that is left out when a key is created is `none`.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Any

from wavix_async.sandbox._groups.collection import Collection, Numbered
from wavix_async.sandbox._groups.filters import Record, containing, iso
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.made import made
from wavix_async.sandbox._groups.reading import read_id
from wavix_async.sandbox._server import ApiError, Call, Key, Reply, Route

_GROUPS = (
    *("numbers", "trunks", "calls", "messages", "recordings", "campaigns", "two_fa", "validator", "webhooks"),
    *("embeddable", "billing", "account", "subaccounts"),
)
_SHOWN = 4
"""How many characters at the end of a key its mask shows."""


class ApiKeys:
    """The API keys of the account."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.keys = Collection(
            context,
            ids=Numbered(501),
            record=self._record,
            filters={"label": containing("label")},
            list_key=None,
        )
        self._live: dict[int, Key] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        # The description states no scope for them.
        return (
            Route("GET", "/v1/api-keys", "", self._list),
            Route("POST", "/v1/api-keys", "", self._create),
            Route("PATCH", "/v1/api-keys/{id}", "", self._update),
            Route("DELETE", "/v1/api-keys/{id}", "", self._delete),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.keys.reset()
        for key in self._live.values():
            self._context.keys.remove(key)
        self._live.clear()

    def _apply(self, record: Record) -> None:
        """Make a key work as its record says."""
        key = self._live[record["id"]]
        key.active = record["active"]
        key.permitted_ips = record["permitted_ips"] if record["restricted"] else None
        key.scopes = {name: record[name]["allow"] for name in _GROUPS} if record["scopes_enabled"] else None

    def _record(self, given: Record) -> Record:
        return {
            "label": given["label"],
            "value": "",
            "active": given.get("active", True),
            "restricted": given.get("restricted", False),
            "permitted_ips": given.get("permitted_ips", []),
            "scopes_enabled": given.get("scopes_enabled", False),
            "last_used_at": None,
            **{name: _permission(given.get(name, {})) for name in _GROUPS},
            "created_at": iso(self._context.date()),
        }

    # --- handlers of routes ---

    def _list(self, call: Call) -> Reply:
        for key_id, key in self._live.items():
            used = key.used_at
            self.keys.find(key_id)["last_used_at"] = None if used is None else iso(used)
        return self.keys.list(call)

    def _create(self, call: Call) -> Reply:
        given = self.keys.read(call.body)
        _check_addresses(given)
        if given.get("restricted") and not given.get("permitted_ips"):
            raise ApiError(422, "Permitted ips can't be blank")
        record = self.keys.insert(given)
        key = self._live[record["id"]] = Key(made(self._context.seed, "API key", record["id"]))
        record["value"] = f"********{key.value[-_SHOWN:]}"
        self._context.keys.add(key)
        self._apply(record)
        return Reply.of(200, {**record, "value": key.value})

    def _update(self, call: Call) -> Reply:
        record = self.keys.find(read_id(call.ids[-1]))
        given = self.keys.read(call.body)
        _check_addresses(given)
        record.update({name: _permission(value) if name in _GROUPS else value for name, value in given.items()})
        self._apply(record)
        return Reply.of(200, record)

    def _delete(self, call: Call) -> Reply:
        reply = self.keys.delete(call)
        self._context.keys.remove(self._live.pop(read_id(call.ids[-1])))
        return reply


def _permission(given: Record) -> Record:
    return {"allow": given.get("allow", "none")}


def _check_addresses(given: Record) -> None:
    addresses: list[Any] = given.get("permitted_ips", [])
    for each in addresses:
        try:
            IPv4Address(each)
        except ValueError:
            raise ApiError(422, "Ip has incorrect format") from None
