"""Sub-organizations. Their keys work until they are disabled.

The sandbox has one account: the key of a sub-organization sees the account's numbers, messages and all else. A new
sub-organization has one transaction, a top-up, because no operation of the API moves money.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from wavix_async.sandbox._groups.collection import Collection, Numbered
from wavix_async.sandbox._groups.filters import Predicate, Record, exact, iso, since, until
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.made import made
from wavix_async.sandbox._groups.profile import ACCOUNT_ID
from wavix_async.sandbox._groups.reading import read_id
from wavix_async.sandbox._server import Call, Key, Reply, Route

_TOP_UP = 100.0
"""USD."""


class SubOrganizations:
    """The sub-organizations of the account, and their transactions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.organizations = Collection(
            context,
            ids=Numbered(7001),
            record=self._record,
            list_key="sub_organizations",
            update_by="replace",
            kept=("created_at", "api_key", "master_organization"),
            filters={"status": exact("status")},
        )
        self._keys: dict[int, Key] = {}
        self._transactions: dict[int, Collection] = {}

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        all_, read, write = "/v1/sub-organizations", "subaccounts:read", "subaccounts:write"
        one = f"{all_}/{{id}}"
        return (
            Route("GET", all_, read, self.organizations.list),
            Route("POST", all_, write, self._create),
            Route("GET", one, read, self.organizations.get),
            Route("PUT", one, write, self._update),
            Route("GET", f"{one}/billing/transactions", read, self._list_transactions),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.organizations.reset()
        for key in self._keys.values():
            self._context.keys.remove(key)
        self._keys.clear()
        self._transactions.clear()

    def _record(self, given: Record) -> Record:
        destinations = given.get("default_destinations", {})
        return {
            "created_at": iso(self._context.date()),
            "name": given.get("name", ""),
            "api_key": "",
            "master_organization": ACCOUNT_ID,
            "status": given.get("status", "enabled"),
            "default_destinations": {name: destinations.get(name, "") for name in ("sms_endpoint", "dlr_endpoint")},
        }

    # --- handlers of routes ---

    def _create(self, call: Call) -> Reply:
        record = self.organizations.insert(self.organizations.read(call.body))
        key = self._keys[record["id"]] = Key(made(self._context.seed, "sub-organization", record["id"]))
        self._context.keys.add(key)
        record["api_key"] = key.value
        self._transactions[record["id"]] = transactions = Collection(
            self._context,
            id_field=None,
            record=dict,
            list_key="transactions",
            filters={"from_date": since("date"), "to_date": until("date"), "type": _of_types},
        )
        top_up = {"details": "Account top-up", "status": "committed", "type": 1, "date": record["created_at"]}
        transactions.insert({"amount": _TOP_UP, "balance_after": _TOP_UP, **top_up})
        return Reply.of(200, record)

    def _update(self, call: Call) -> Reply:
        reply = self.organizations.update(call)
        record = self.organizations.find(read_id(call.ids[-1]))
        self._keys[record["id"]].active = record["status"] == "enabled"
        return reply

    def _list_transactions(self, call: Call) -> Reply:
        record = self.organizations.find(read_id(call.ids[-1]))
        given = parse_qsl(call.query, keep_blank_values=True)
        types = [text for name, text in given if name in ("type", "type[]")]
        query = dict(given) | ({"type": ",".join(types)} if types else {})
        return Reply.of(200, self._transactions[record["id"]].page(query))


def _of_types(text: str) -> Predicate:
    """Keep transactions of these types, with commas between them."""
    types = text.split(",")
    return lambda record: str(record["type"]) in types
