"""Messages, sender ids and opt-outs.

The vendor's documentation leaves some questions open. We assume: a message to a number that has opted out gets a 422,
and so does a sender id that already exists; `sent_after` and `sent_before` compare the time of submission; a list
begins with its oldest record. A message above the limit of messages per second gets a 429 with the code 26, one above
the limit of a recipient and day a 429 with the code 47, and one with an idempotency key of the last 12 hours a 422 with
the code 55. A message that is not sent before its validity ends is expired. Prices, network codes and error texts are
our own. The documentation does not say what happens to a message from an unknown sender, so any sender may send.

A delivery report is posted when a message is sent and when it reaches its final status, to the `callback_url` of the
message or to the account's default.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from wavix_async.sandbox._groups.collection import Collection, Uuids
from wavix_async.sandbox._groups.filters import (
    Record,
    exact,
    iso,
    phone,
    since,
    since_time,
    until,
    until_time,
    without_plus,
)
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import TEXT, URL, check, list_of, nullable, rules
from wavix_async.sandbox._server import ApiError, Call, Reply, Route, Window, invalid

_STATUSES = ("accepted", "pending", "sent", "delivered", "undelivered", "expired", "rejected", "dlr_expired")
_ERRORS = {
    "delivered": None,
    "undelivered": "The message was not delivered",
    "expired": "The message expired before it was sent",
    "rejected": "The message was rejected",
    "dlr_expired": "No delivery receipt arrived",
}
"""The error texts of the final statuses."""
_IDEMPOTENCY_KEYS = ("Idempotency-Key", "X-Cio-Idempotency-Key")
_KEY_LASTS = 12 * 3600.0
_DAY = 24 * 3600.0
_PRICE = 0.01
"""USD for one segment."""
_TYPES = {"SMS": 15, "MMS": 39}
_SENDER_ID_FEE, _SENDER_ID = "1.00", 34

_PHONE = check(lambda value: without_plus(value).isdecimal() and value.isascii())
_COUNTRY = check(
    lambda value: len(value) == 2 and value.isascii() and value.isupper(),
    "a country code of two capital letters is needed",
)


class Messages:
    """Messages, sender ids and opt-outs of the account.

    Args:
        context: The sandbox.
        number: Returns a number of the account in wire form; None: the account does not own it.
    """

    def __init__(self, context: Context, number: Callable[[str], Record | None]) -> None:
        self._context = context
        self._number = number
        self._limit = None if context.message_rate is None else Window(context.message_rate, 1.0)
        self._keys: dict[str, float] = {}
        self._to: dict[str, deque[float]] = {}
        self.messages = Collection(
            context,
            ids=Uuids(context.seed, "messages"),
            id_field="message_id",
            record=self._message,
            rules={
                "from": TEXT,
                "to": _PHONE,
                "message_body": rules({"media": nullable(list_of(URL))}),
                "callback_url": URL,
                "validity": check(lambda value: value > 0),
                "tag": TEXT,
            },
            filters={
                "type": exact("direction", "inbound", "outbound"),
                "sent_after": since("submitted_at"),
                "sent_before": until("submitted_at"),
                "from": phone("from"),
                "to": phone("to"),
                "status": exact("status", *_STATUSES),
                "tag": exact("tag"),
                "message_type": exact("message_type", "sms", "mms"),
            },
            export_filters={"sent_after": since_time("submitted_at"), "sent_before": until_time("submitted_at")},
            required_filters=("type",),
        )
        self.sender_ids = Collection(
            context,
            ids=Uuids(context.seed, "sender_ids"),
            record=self._sender_id,
            rules={"sender_id": TEXT, "countries": list_of(_COUNTRY), "samples": list_of(TEXT)},
            paged=False,
        )
        self.opt_outs = Collection(
            context,
            key=lambda record: (record["phone_number"], record["sender_id"]),
            record=self._opt_out,
            rules={"number": _PHONE, "sender_id": TEXT},
            wrap="opt_out",
            echo=False,
            filters={
                "sender_id": phone("sender_id"),
                "campaign_id": exact("campaign_id"),
                "created_after": since("created_at"),
                "created_before": until("created_at"),
            },
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        messages, senders, opt_outs = "/v3/messages", "/v3/messages/sender-ids", "/v3/messages/opt-outs"
        read, write = "messages:read", "messages:write"
        return (
            Route("GET", senders, read, self.sender_ids.list),
            Route("POST", senders, write, self.sender_ids.create, charged=True),
            Route("GET", f"{senders}/{{id}}", read, self.sender_ids.get),
            Route("DELETE", f"{senders}/{{id}}", write, self.sender_ids.delete),
            Route("GET", opt_outs, read, self.opt_outs.list),
            Route("POST", opt_outs, write, self.opt_outs.create),
            Route("POST", messages, write, self._send, charged=True),
            Route("GET", messages, read, self.messages.list),
            Route("GET", f"{messages}/all", read, self.messages.export),
            Route("GET", f"{messages}/{{id}}", read, self.messages.get),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        for collection in (self.messages, self.sender_ids, self.opt_outs):
            collection.reset()
        self._keys.clear()
        self._to.clear()
        if self._limit is not None:
            self._limit.reset(self._context.clock())

    def receive(self, sender: str, to: str, text: str, media: Sequence[str]) -> Record:
        """Add an inbound message and post its event; the text STOP opts its sender out of messages from `to`."""
        if text.strip().upper() == "STOP":
            self.opt_outs.insert({"number": sender, "sender_id": to})
        record = self._record(sender, to, {"text": text, "media": list(media) or None}, None)
        record.update(direction="inbound", status="delivered", delivered_at=record["submitted_at"], charge="0.0")
        record = self.messages.add(record)
        event = {name: record[name] for name in ("message_id", "from", "to", "message_body")}
        event["received_at"] = record["submitted_at"]
        own = (self._number(to) or {}).get("sms_relay_url")
        self._context.outbox.post("message", own or self._context.relays.sms, event)
        return record

    # --- sending ---

    def _send(self, call: Call) -> Reply:
        given = self.messages.read(call.body)
        key = next((call.request.headers[name] for name in _IDEMPOTENCY_KEYS if name in call.request.headers), None)
        record = self._message(given)
        self._check_limits(given, key)
        kind = "MMS" if record["message_type"] == "mms" else "SMS"
        self._context.charge(record["charge"], _TYPES[kind], f"Outbound {kind} to {without_plus(given['to'])}")
        record = self.messages.add(record)
        now = self._context.clock()
        if key is not None:
            self._keys[key] = now
        if self._context.daily_messages is not None:
            self._to.setdefault(without_plus(given["to"]), deque()).append(now)
        for seconds, changes in self._course(record, given):
            self._context.timers.after(
                seconds, partial(self._change, record["message_id"], changes, given.get("callback_url"))
            )
        return Reply.of(201, record)

    def _check_limits(self, given: Record, key: str | None) -> None:
        """Refuse a message that a limit does not allow."""
        now, most = self._context.clock(), self._context.daily_messages
        if key is not None and now < self._keys.get(key, -_KEY_LASTS) + _KEY_LASTS:
            raise ApiError(422, "A message with this idempotency key was accepted already", error_code="55")
        if most is not None:
            times = self._to.get(without_plus(given["to"]), deque())
            while times and times[0] <= now - _DAY:
                times.popleft()
            if len(times) >= most:
                raise ApiError(429, f"Only {most} messages can be sent to a number in 24 hours", error_code="47")
        if self._limit is not None and not self._limit.take(now):
            raise ApiError(
                429, "The message cannot be sent because the per second rate limit has been reached", error_code="26"
            )

    # --- what happens later ---

    def _course(self, record: Record, given: Record) -> Iterator[tuple[float, Record]]:
        """Give what becomes of a message that was accepted: the seconds since then, and the fields that change."""
        delay, submitted = self._context.delivery_delay, record["submitted_at"]
        sender, to, magic = without_plus(record["from"]), record["to"], self._context.end_states.items()
        end = next((end for key, end in magic if key == sender or to.endswith(key)), "delivered")
        pending, sent = delay / 3, delay * 2 / 3
        last = {"status": end, "error_message": _ERRORS[end]}
        validity = given.get("validity", sent)
        if end == "rejected":
            yield pending, last
        elif end == "expired" or validity < sent:
            yield min(pending, validity), {"status": "pending"}
            yield min(sent, validity), {"status": "expired", "error_message": _ERRORS["expired"]}
        else:
            yield pending, {"status": "pending"}
            yield sent, {"status": "sent", "sent_at": _later(submitted, sent)}
            yield delay, last if end != "delivered" else {**last, "delivered_at": _later(submitted, delay)}

    def _change(self, message_id: str, changes: Record, callback_url: str | None) -> None:
        """Change a message, and report it if the new status is one that the API reports."""
        if message_id not in self.messages:
            return
        record = self.messages.change(message_id, changes)
        status = record["status"]
        if status == "pending":
            return
        report = {name: record[name] for name in ("message_id", "message_type", "from", "to", "tag", "status")}
        report |= {"segments_count": record["segments"], "sent": record["sent_at"] or record["submitted_at"]}
        # The time of the final status, whatever it is.
        final = None if status == "sent" else record["delivered_at"] or iso(self._context.date())
        report |= {"delivered": final, "error": record["error_message"]}
        report |= {"charge": record["charge"], "carrier_fees": record["carrier_fees"]}
        self._context.outbox.post("dlr", callback_url or self._context.relays.dlr, report)

    # --- records from the fields of a request ---

    def _message(self, given: Record) -> Record:
        sender, to = given["from"], given["to"]
        number = without_plus(to)
        if (number, None) in self.opt_outs or (number, without_plus(sender)) in self.opt_outs:
            raise ApiError(422, "The recipient has opted out of messages from this sender")
        body = {"text": given["message_body"]["text"], "media": given["message_body"].get("media")}
        return self._record(sender, to, body, given.get("tag"))

    def _record(self, sender: str, to: str, body: Record, tag: str | None) -> Record:
        american = without_plus(to).startswith("1")
        parts = 1 if body["media"] else segments(body["text"])
        return {
            "message_type": "mms" if body["media"] else "sms",
            "from": sender,
            "to": to,
            "direction": "outbound",
            "mcc": "310" if american else None,
            "mnc": "260" if american else None,
            "message_body": body,
            "tag": tag,
            "status": "accepted",
            "segments": parts,
            "charge": f"{parts * _PRICE:.2f}",
            "carrier_fees": "0.0",
            "submitted_at": iso(self._context.date()),
            "sent_at": None,
            "delivered_at": None,
            "error_message": None,
        }

    def _sender_id(self, given: Record) -> Record:
        name, kind = given["sender_id"], given["type"]
        if kind == "alphanumeric" and not 3 <= len(name) <= 11:
            raise invalid("sender_id", "3 to 11 characters are needed")
        if any(
            (known["sender_id"], known["type"]) == (name, kind) for known in map(self.sender_ids.find, self.sender_ids)
        ):
            raise ApiError(422, "The Sender ID exists already")
        self._context.charge(_SENDER_ID_FEE, _SENDER_ID, f"Registration of the Sender ID {name}")
        return {
            "sender_id": name,
            "type": kind,
            # Only self-service countries are allowlisted. The US is not one (it needs the 10DLC operations), and the
            # documentation names no others.
            "allowlisted_in": [country for country in given["countries"] if country != "US"],
            "usecase": given["usecase"],
            "samples": given.get("samples", []),
        }

    def _opt_out(self, given: Record) -> Record:
        sender = given.get("sender_id")
        return {
            "phone_number": without_plus(given["number"]),
            "sender_id": None if sender is None else without_plus(sender),
            "campaign_id": None,
            "created_at": iso(self._context.date()),
        }


def _later(at: str, seconds: float) -> str:
    return iso(datetime.fromisoformat(at) + timedelta(seconds=seconds))


# --- segments ---

_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_EXTENSION = frozenset("\f^{}\\[~]|€")


def segments(text: str) -> int:
    """Return how many SMS a text needs: one for 160 GSM-7 or 70 UCS-2 characters, or more of 153 or 67 each.

    No part ends inside a character that takes two places.
    """
    if _GSM7.union(_GSM7_EXTENSION).issuperset(text):
        places, alone, joined = [2 if char in _GSM7_EXTENSION else 1 for char in text], 160, 153
    else:
        places, alone, joined = [2 if char > "\uffff" else 1 for char in text], 70, 67
    if sum(places) <= alone:
        return 1
    parts, used = 1, 0
    for place in places:
        if used + place > joined:
            parts, used = parts + 1, 0
        used += place
    return parts
