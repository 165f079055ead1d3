"""Two-factor authentication.

A code is valid for five minutes, a session allows five codes and five wrong attempts, and a new code voids the one
before. The sixth code is refused and fails the session; so does the sixth attempt, with a 429. The vendor's
documentation leaves some questions open. We assume: what a session that has ended does not allow gets a 400, and an
unknown service too. Prices are our own.
"""

import random
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from attrs import define, field

from wavix_async.sandbox._groups.collection import Collection, Uuids
from wavix_async.sandbox._groups.filters import Record, iso, since, until, without_plus
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import json_object
from wavix_async.sandbox._server import ApiError, Call, Reply, Route, invalid

_LASTS = 300.0
_MOST_CODES = _MOST_ATTEMPTS = 5
_TYPE = 36
_PRICES = {"Number lookup": "0.005", "Code sent via SMS": "0.005", "Code sent via voice": "0.01"}
_CHANNELS = {"sms": "Code sent via SMS", "voice": "Code sent via voice"}
_COUNTRIES = (("1", "US"), ("44", "GB"), ("49", "DE"))


@define(eq=False)
class _Session:
    """What the sandbox knows of a session beside its record."""

    code: str = field(default="", repr=False)
    codes: int = 0
    attempts: int = 0
    events: list[Record] = field(factory=list)


class TwoFactor:
    """The 2FA services of the account, and their sessions."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._live: dict[str, _Session] = {}
        self._ids = Uuids(context.seed, "two_fa_sessions")
        self._filters = {"from": since("created_at"), "to": until("created_at")}
        self.sessions = Collection(context, key=lambda record: record["session_id"], record=dict, list_key=None)
        self.services = Collection(context, key=lambda record: record["service_id"], record=dict)
        self._add_service()

    def _add_service(self) -> None:
        service = Uuids(self._context.seed, "two_fa_services").make(0).replace("-", "")
        self.services.add(
            {"service_id": service, "name": "Login", "code_length": 6, "channels": list(_CHANNELS), "lookup": True}
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        path, read, write = "/v1/two-fa", "two_fa:read", "two_fa:write"
        one = f"{path}/verification/{{session_id}}"
        return (
            Route("POST", f"{path}/verification", write, self._create, charged=True),
            Route("POST", one, write, self._resend, charged=True),
            Route("POST", f"{one}/check", write, self._check),
            Route("PATCH", f"{one}/cancel", write, self._cancel),
            Route("GET", f"{path}/service/{{service_id}}/sessions", read, self._list),
            Route("GET", f"{path}/session/{{session_id}}/events", read, self._events),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self._live.clear()
        self.sessions.reset()
        self.services.reset()
        self._add_service()

    def code(self, session_id: str) -> str:
        """Return the code of a session that was sent last.

        Raises:
            KeyError: There is no such session.
        """
        return self._live[session_id].code

    # --- operations ---

    def _create(self, call: Call) -> Reply:
        given = json_object(call.body)
        service = given["service_id"]
        if service not in self.services:
            raise ApiError(400, "The 2FA service does not exist")
        number, now = without_plus(given["to"]), iso(self._context.date())
        if not (number.isascii() and number.isdecimal()):
            raise invalid("to")
        settings = self.services.find(service)
        steps = ["Number lookup"] if settings["lookup"] else []
        self._pay([*steps, _channel(given)], number)
        session_id = self._ids.make(len(self._live)).replace("-", "")
        country = next((code for prefix, code in _COUNTRIES if number.startswith(prefix)), "AE")
        live = self._live[session_id] = _Session()
        self.sessions.add(
            {
                "created_at": now,
                "session_id": session_id,
                "phone_number": number,
                "destination_country": country,
                "status": "pending",
                "charge": "0.0",
                "service_id": service,
                "service_name": settings["name"],
            }
        )
        for step in steps:
            self._note(session_id, step, "success")
        self._send(session_id, live, _channel(given))
        answer = {
            "success": True,
            "service_id": service,
            "session_url": f"https://api.example.com/v1/two-fa/verification/{session_id}",
            "session_id": session_id,
            "destination": number,
            "created_at": now,
        }
        lookup = {"number_type": "mobile", "country": country, "current_carrier": "Sandbox Mobile"}
        return Reply.of(200, {**answer, "number_lookup": lookup} if steps else answer)

    def _resend(self, call: Call) -> Reply:
        given = json_object(call.body)
        session_id = call.ids[0]
        record, live = self._pending(session_id)
        if live.codes >= _MOST_CODES:
            self.sessions.change(session_id, {"status": "failed"})
            raise ApiError(400, "The maximum number of codes was sent")
        self._pay([_channel(given)], record["phone_number"])
        self._send(session_id, live, _channel(given))
        now = iso(self._context.date())
        sent = {"channel": given["channel"], "destination": record["phone_number"], "created_at": now}
        return Reply.of(200, {"success": True, **sent})

    def _check(self, call: Call) -> Reply:
        code = json_object(call.body)["code"]
        session_id = call.ids[0]
        if session_id in self._live and self._live[session_id].attempts >= _MOST_ATTEMPTS:
            if self.sessions.find(session_id)["status"] == "pending":
                self.sessions.change(session_id, {"status": "failed"})
            raise ApiError(429, "The maximum number of attempts was used")
        _, live = self._pending(session_id)
        is_valid = code == live.code
        if is_valid:
            self.sessions.change(session_id, {"status": "verified"})
        else:
            live.attempts += 1
        self._note(session_id, "Verification", "success" if is_valid else "failed")
        return Reply.of(200, {"is_valid": is_valid})

    def _cancel(self, call: Call) -> Reply:
        session_id = call.ids[0]
        if session_id not in self._live or self.sessions.find(session_id)["status"] not in ("pending", "canceled"):
            raise ApiError(404, "Two FA session is not canceled")
        self.sessions.change(session_id, {"status": "canceled"})
        return Reply.of(200, {"success": True})

    def _list(self, call: Call) -> Reply:
        given = dict(parse_qsl(call.query, keep_blank_values=True))
        found = self.sessions.matching(given, self._filters)
        found = [record for record in found if record["service_id"] == call.ids[0]]
        if not found:
            raise ApiError(404, "Sessions not found")
        return Reply.of(200, found)

    def _events(self, call: Call) -> Reply:
        if call.ids[0] not in self._live:
            raise ApiError(404, f"2FA verification session with ID={call.ids[0]} cannot be found")
        return Reply.of(200, self._live[call.ids[0]].events)

    # --- sessions ---

    def _pending(self, session_id: str) -> tuple[Record, _Session]:
        if session_id not in self._live:
            raise ApiError(400, "The 2FA session does not exist")
        record = self.sessions.find(session_id)
        if record["status"] != "pending":
            raise ApiError(400, f"The 2FA session is {record['status']}")
        return record, self._live[session_id]

    def _pay(self, steps: Sequence[str], number: str) -> None:
        self._context.charge_all(*((_PRICES[step], _TYPE, f"2FA: {step.lower()}, {number}") for step in steps))

    def _send(self, session_id: str, live: _Session, step: str) -> None:
        live.codes += 1
        digits: int = self.services.find(self.sessions.find(session_id)["service_id"])["code_length"]
        dice = random.Random(f"{self._context.seed} {session_id} {live.codes}")  # noqa: S311 - repeatable, not secret
        live.code = "".join(dice.choices("0123456789", k=digits))
        self._note(session_id, step, "success")
        sent = live.codes

        def expire() -> None:
            is_latest = live.codes == sent and self._live.get(session_id) is live
            if is_latest and self.sessions.find(session_id)["status"] == "pending":
                self.sessions.change(session_id, {"status": "expired"})

        self._context.timers.after(_LASTS, expire)

    def _note(self, session_id: str, step: str, status: str) -> None:
        charge = _PRICES.get(step, "0.0")
        now = iso(self._context.date())
        event: dict[str, Any] = {"created_at": now, "event": step, "status": status, "charge": charge, "error": None}
        if status == "failed":
            event["error"] = "The code is wrong"
        live = self._live[session_id]
        live.events.append(event)
        total = sum(float(each["charge"]) for each in live.events)
        self.sessions.change(session_id, {"charge": f"{total:.3f}"})


def _channel(given: Record) -> str:
    if given["channel"] not in _CHANNELS:
        raise invalid("channel", f"one of {', '.join(_CHANNELS)}")
    return _CHANNELS[given["channel"]]
