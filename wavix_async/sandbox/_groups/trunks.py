"""SIP trunks.

The vendor's documentation leaves some questions open. We assume: a trunk shows the address that was asked for as its
`host` at once; a write with the same address keeps what was decided about it; a private address is rejected. Calls and
WebRTC tokens take any name of a trunk.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from urllib.parse import parse_qsl

from wavix_async.sandbox._groups.collection import Collection, Numbered
from wavix_async.sandbox._groups.filters import Record, iso
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.made import made
from wavix_async.sandbox._groups.reading import read_id
from wavix_async.sandbox._server import ApiError, Call, Reply, Route

_FIRST_ID = 3001
_PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_DEFAULTS: Record = {
    "multiple_numbers": False,
    "ip_restrict": False,
    "channels_restrict": False,
    "max_channels": None,
    "cost_limit": False,
    "call_restrict": False,
    "call_limit": None,
    "didinfo_enabled": True,
    "rewrite_enabled": False,
    "rewrite_prefix": "",
    "rewrite_cond": "",
    "call_recording_enabled": False,
    "machine_detection_enabled": False,
    "transcription_enabled": False,
    "transcription_threshold": 6,
    "encrypted_media": False,
}
"""Settings that are shown as they were given, and what they are if they are not given."""
_IN_LIST = (
    *("id", "label", "name", "callerid", "encrypted_media", "passthrough", "multiple_numbers"),
    *("machine_detection_enabled", "call_recording_enabled", "transcription_enabled", "transcription_threshold"),
    "access_token",
)


class Trunks:
    """The SIP trunks of the account."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.trunks = Collection(
            context,
            ids=Numbered(_FIRST_ID),
            record=self._record,
            list_key="sip_trunks",
            update_by="replace",
            kept=("name", "passthrough", "created_at", "access_token"),
        )
        self._hosts: dict[int, Record] = {}
        """What the list shows of the address of a trunk: `{"host": ..., "status": ...}`."""
        self._addresses = 0

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        trunks, one, read, write = "/v1/trunks", "/v1/trunks/{id}", "trunks:read", "trunks:write"
        return (
            Route("GET", trunks, read, self._list),
            Route("POST", trunks, write, self._create),
            Route("GET", one, read, self.trunks.get),
            Route("PUT", one, write, self._update),
            Route("DELETE", one, write, self._delete),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.trunks.reset()
        self._hosts.clear()
        self._addresses = 0

    def _record(self, given: Record) -> Record:
        if given["ip_restrict"] and not given.get("allowed_ips"):
            raise ApiError(422, "Allowed ips can't be blank")
        cost = given.get("max_call_cost")
        host = given.get("host_request", {}).get("host", "dynamic")
        shown = {name: given.get(name, default) for name, default in _DEFAULTS.items()}
        return {
            "name": "",
            "label": given["label"],
            "callerid": given["callerid"],
            **shown,
            "allowed_ips": [self._allowed(each["ip"]) for each in given.get("allowed_ips") or ()],
            "max_call_cost": None if cost is None else str(cost),
            "passthrough": False,
            "created_at": iso(self._context.date()),
            "host": host,
            "access_token": None,
        }

    def _allowed(self, address: str) -> Record:
        self._addresses += 1
        return {"id": 6000 + self._addresses, "ip": address}

    def _ask(self, record: Record) -> None:
        """Begin to decide on the address of a trunk, unless that is done."""
        key, host = record["id"], record["host"]
        if host == "dynamic":
            self._hosts.pop(key, None)
        elif self._hosts.get(key, {}).get("host") != host:
            asked = self._hosts[key] = {"host": host, "status": "pending"}
            # A later request of this trunk has its own record.
            decided = {"status": "rejected" if _is_private(host) else "active"}
            self._context.timers.after(self._context.trunk_delay, lambda: asked.update(decided))

    # --- handlers of routes ---

    def _list(self, call: Call) -> Reply:
        page = self.trunks.page(dict(parse_qsl(call.query, keep_blank_values=True)))
        page["sip_trunks"] = [self._summary(record) for record in page["sip_trunks"]]
        return Reply.of(200, page)

    def _summary(self, record: Record) -> Record:
        request = self._hosts.get(record["id"])
        return {
            **{name: record[name] for name in _IN_LIST},
            "auth_method": "Digest" if request is None else "IP auth",
            "host_request": request,
            "status": "active" if request is None else request["status"],
            "charge": "0.0",
            "talk_time": 0,
        }

    def _create(self, call: Call) -> Reply:
        record = self.trunks.insert(self.trunks.read(call.body))
        record["name"] = str(60_000 + record["id"] - _FIRST_ID)
        record["access_token"] = f"sip{made(self._context.seed, 'trunk', record['id'])}"
        self._ask(record)
        return Reply.of(201, record)

    def _update(self, call: Call) -> Reply:
        reply = self.trunks.update(call)
        self._ask(self.trunks.find(read_id(call.ids[-1])))
        return reply

    def _delete(self, call: Call) -> Reply:
        reply = self.trunks.delete(call)
        self._hosts.pop(read_id(call.ids[-1]), None)
        return reply


def _is_private(host: str) -> bool:
    try:
        address = IPv4Address(host)
    except ValueError:
        return False
    return any(address in each for each in _PRIVATE)
