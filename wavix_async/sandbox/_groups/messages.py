"""Messages, sender ids and opt-outs.

The vendor's documentation leaves some questions open. We assume: a message to a number that has opted out gets a 422,
and so does a sender id that already exists; `sent_after` and `sent_before` compare the time of submission; a list
begins with its oldest record. Prices, network codes and error texts are our own. The documentation does not say what
happens to a message from an unknown sender, so any sender may send.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

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
from wavix_async.sandbox._groups.reading import (
    BOOL,
    TEXT,
    URL,
    check,
    fields,
    is_int,
    list_of,
    nullable,
    one_of,
)
from wavix_async.sandbox._server import ApiError, Route, invalid

_MAX_MEDIA = 5
_STATUSES = ("accepted", "pending", "sent", "delivered", "undelivered", "expired", "rejected", "dlr_expired")
_ENDS = {"0007": "undelivered", "0008": "rejected", "0009": "dlr_expired"}
"""The final status of a message by the last digits of its recipient; all other messages are delivered."""
_PRICE = 0.01
"""USD for one segment."""

_PHONE = check(lambda value: isinstance(value, str) and without_plus(value).isdecimal() and value.isascii())
_COUNTRY = check(
    lambda value: isinstance(value, str) and len(value) == 2 and value.isascii() and value.isupper(),
    "a country code of two capital letters is needed",
)
_BODY = fields(
    {"text": check(lambda value: isinstance(value, str)), "media": nullable(list_of(URL, _MAX_MEDIA))}, ("text",)
)


class Messages:
    """Messages, sender ids and opt-outs of the account."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.messages = Collection(
            context,
            ids=Uuids(context.seed, "messages"),
            id_field="message_id",
            record=self._message,
            checks={
                "from": TEXT,
                "to": _PHONE,
                "message_body": _BODY,
                "callback_url": URL,
                "validity": check(lambda value: is_int(value) and value > 0),
                "tag": TEXT,
                "smart_encoding": BOOL,
            },
            required=("from", "to", "message_body"),
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
            aging=self._progress,
        )
        self.sender_ids = Collection(
            context,
            ids=Uuids(context.seed, "sender_ids"),
            record=self._sender_id,
            checks={
                "sender_id": TEXT,
                "type": one_of("numeric", "alphanumeric"),
                "countries": list_of(_COUNTRY),
                "usecase": one_of("transactional", "promo", "authentication"),
                "monthly_volume": one_of("1-1000", "1001-20000", "20001-50000", "50001-100000", "More than 100000"),
                "samples": list_of(TEXT),
            },
            required=("sender_id", "type", "countries", "usecase"),
            paged=False,
        )
        self.opt_outs = Collection(
            context,
            key=lambda record: (record["phone_number"], record["sender_id"]),
            record=self._opt_out,
            checks={"number": _PHONE, "sender_id": TEXT},
            required=("number",),
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
            Route("POST", messages, write, self.messages.create, charged=True),
            Route("GET", messages, read, self.messages.list),
            Route("GET", f"{messages}/all", read, self.messages.export),
            Route("GET", f"{messages}/{{id}}", read, self.messages.get),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        for collection in (self.messages, self.sender_ids, self.opt_outs):
            collection.reset()

    def receive(self, sender: str, to: str, text: str, media: Sequence[str]) -> Record:
        """Add an inbound message; the text STOP opts its sender out of messages from `to`."""
        if text.strip().upper() == "STOP":
            self.opt_outs.insert({"number": sender, "sender_id": to})
        record = self._record(sender, to, {"text": text, "media": list(media) or None}, None)
        record.update(direction="inbound", status="delivered", delivered_at=record["submitted_at"], charge="0.0")
        return self.messages.add(record)

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

    def _progress(self, record: Record, seconds: float) -> tuple[Mapping[str, Any], bool]:
        """Return how time has changed a message: after each third of the delay it is pending, sent, then final."""
        if record["direction"] == "inbound":
            return {}, True
        delay = self._context.delivery_delay
        end = _ENDS.get(record["to"][-4:], "delivered")
        third = int(3 * seconds / delay) if delay else 3
        if third >= 1 and end == "rejected":
            return {"status": end, "error_message": "The message was rejected"}, True
        if third < 2:
            return {"status": "pending"} if third else {}, False
        times = {"sent_at": _later(record["submitted_at"], delay * 2 / 3)}
        if third < 3:
            return {"status": "sent", **times}, False
        if end == "delivered":
            return {"status": end, **times, "delivered_at": _later(record["submitted_at"], delay)}, True
        return {"status": end, **times, "error_message": "The message was not delivered"}, True

    def _sender_id(self, given: Record) -> Record:
        name, kind = given["sender_id"], given["type"]
        if kind == "alphanumeric" and not 3 <= len(name) <= 11:
            raise invalid("sender_id", "3 to 11 characters are needed")
        if any(
            (known["sender_id"], known["type"]) == (name, kind) for known in map(self.sender_ids.find, self.sender_ids)
        ):
            raise ApiError(422, "The Sender ID exists already")
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
    """Return how many SMS a text needs: one for 160 GSM-7 or 70 UCS-2 characters, or more of 153 or 67 each."""
    if _GSM7.union(_GSM7_EXTENSION).issuperset(text):
        length, alone, joined = len(text) + sum(char in _GSM7_EXTENSION for char in text), 160, 153
    else:
        length, alone, joined = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if length <= alone else -(-length // joined)
