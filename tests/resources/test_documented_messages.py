"""Every documented shape of an answer about messages is read, and `to_dict` gives back what came.

The shapes are those of the API's description, of its guides, and of printed answers of the live API. What each field
means is written apart from the models.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from wavix_async import Page, Success, WavixClient, from_dict, to_dict
from wavix_async.models import Direction, Message, MessageDeliveryStatus, MessageType, SenderIDType

if TYPE_CHECKING:
    from tests.conftest import Api

Call = Callable[[WavixClient], Awaitable[Any]]

ID: Final = "871b4eeb-f798-4105-be23-32df9e991456"
MESSAGES, ONE = "/v3/messages", f"/v3/messages/{ID}"
SENDERS, OPT_OUTS = "/v3/messages/sender-ids", "/v3/messages/opt-outs"

# The message of the API's description: times with a zone, an empty error, the number without a plus.
STATED: Final[dict[str, Any]] = {
    "message_id": ID,
    "message_type": "sms",
    "from": "Wavix",
    "to": "447537151866",
    "direction": "outbound",
    "mcc": "301",
    "mnc": "204",
    "message_body": {"text": "Hi there", "media": None},
    "tag": "Fall sale",
    "status": "delivered",
    "segments": 1,
    "charge": "0.01",
    "submitted_at": "2022-04-14T13:51:16.096Z",
    "sent_at": "2022-04-14T13:51:16.096Z",
    "delivered_at": "2022-04-14T13:51:16.096Z",
    "error_message": "",
}
# The answer to a send that the live API gave: naive times, a plus, no direction, no fees.
PRINTED: Final[dict[str, Any]] = {
    "message_id": ID,
    "message_type": "sms",
    "from": "Wavix",
    "to": "+447537151866",
    "mcc": None,
    "mnc": None,
    "message_body": {"text": "Hi there", "media": []},
    "tag": None,
    "status": "accepted",
    "segments": 2,
    "charge": "0.0",
    "submitted_at": "2024-06-26T14:02:08",
    "sent_at": None,
    "delivered_at": None,
    "error_message": None,
}
# The answer to a send of the description: an MMS with both kinds of times.
MIXED: Final[dict[str, Any]] = {
    **PRINTED,
    "message_type": "mms",
    "carrier_fees": "0.0",
    "message_body": {"text": "Look", "media": ["https://api.example.com/v3/messages/attachments/abc123/file1.mp3"]},
    "segments": 1,
    "delivered_at": "2024-05-28T12:34:56Z",
    "sent_at": "2024-05-28T12:34:54Z",
    "submitted_at": "2025-09-22T09:07:53",
}
PAGE: Final = {"current_page": 1, "per_page": 25, "total": 1, "total_pages": 1}
SENDER: Final = {"id": "3c7a", "sender_id": "Wavix", "type": "alphanumeric", "allowlisted_in": ["GB"]}
OPTED_OUT: Final = {
    "phone_number": "15551234567",
    "sender_id": "MySender",
    "campaign_id": "C123456",
    "created_at": "2024-01-15T10:30:00Z",
}

SEND: Final[Call] = lambda w: w.messages.send(from_="Wavix", to="+44 7537 151866", text="Hi there")  # noqa: E731
CREATE_SENDER: Final[Call] = lambda w: w.messages.sender_ids.create(  # noqa: E731
    sender_id="Wavix", type="alphanumeric", countries=["GB"], usecase="promo"
)
OPT_OUT: Final[Call] = lambda w: w.messages.opt_outs.create(number="+1 555 123 4567")  # noqa: E731


@attrs.frozen
class Shape:
    """One documented answer."""

    call: Call
    request: str
    answer: Any
    means: dict[str, Any] = attrs.field(factory=dict)
    """The decoded values, by attribute; `a.b` is an attribute of an attribute, `0.a` one of the first item."""
    status: int = 200
    inner: Any = None
    """What `to_dict` gives, where the answer has a key around it."""


def of_message(answer: Any, means: dict[str, Any], inner: Any = None) -> Shape:
    return Shape(lambda w: w.messages.get(ID), f"GET {ONE}", answer, means, inner=inner)


AT = datetime(2022, 4, 14, 13, 51, 16, 96000, tzinfo=UTC)
SHAPES: Final = {
    "a message": of_message(
        STATED,
        {
            "message_id": ID,
            "message_type": MessageType.SMS,
            "from_": "Wavix",
            "to": "447537151866",
            "direction": Direction.OUTBOUND,
            "mcc": "301",
            "mnc": "204",
            "message_body.text": "Hi there",
            "message_body.media": None,
            "tag": "Fall sale",
            "status": MessageDeliveryStatus.DELIVERED,
            "segments": 1,
            "charge": Decimal("0.01"),
            "carrier_fees": None,
            "submitted_at": AT,
            "sent_at": AT,
            "delivered_at": AT,
            "error_message": "",
        },
    ),
    "a message in a message": of_message({"message": STATED}, {"message_id": ID, "submitted_at": AT}, inner=STATED),
    "a message with fees": of_message({**STATED, "carrier_fees": "0.003"}, {"carrier_fees": Decimal("0.003")}),
    "a message without fees": of_message({**STATED, "carrier_fees": None}, {"carrier_fees": None}),
    "a message that arrived": of_message(
        {**STATED, "direction": "inbound", "tag": None, "sent_at": None},
        {"direction": Direction.INBOUND, "tag": None, "sent_at": None},
    ),
    **{
        f"a message that is {status.value}": of_message({**STATED, "status": status.value}, {"status": status})
        for status in MessageDeliveryStatus
    },
    "a send, 201": Shape(
        SEND,
        f"POST {MESSAGES}",
        PRINTED,
        {
            "direction": None,
            "carrier_fees": None,
            "message_body.media": [],
            "submitted_at": datetime(2024, 6, 26, 14, 2, 8, tzinfo=UTC),
            "status": MessageDeliveryStatus.ACCEPTED,
            "charge": Decimal("0.0"),
            "segments": 2,
        },
        status=201,
    ),
    "a send, 200": Shape(SEND, f"POST {MESSAGES}", PRINTED, {"message_id": ID}),
    "a send of an MMS": Shape(
        SEND,
        f"POST {MESSAGES}",
        MIXED,
        {
            "message_type": MessageType.MMS,
            "message_body.media": ["https://api.example.com/v3/messages/attachments/abc123/file1.mp3"],
            "submitted_at": datetime(2025, 9, 22, 9, 7, 53, tzinfo=UTC),
            "delivered_at": datetime(2024, 5, 28, 12, 34, 56, tzinfo=UTC),
        },
        status=201,
    ),
    "a list": Shape(
        lambda w: w.messages.list(type="outbound"),
        f"GET {MESSAGES}",
        {"items": [STATED, PRINTED], "pagination": {**PAGE, "total": 2}},
        {"items.0.message_id": ID, "pagination.total": 2},
    ),
    "an empty list": Shape(
        lambda w: w.messages.list(type="inbound"),
        f"GET {MESSAGES}",
        {"items": [], "pagination": {"current_page": 1, "per_page": 50, "total": 0, "total_pages": 1}},
        {"items": [], "has_next": False},
    ),
    "a list without a size": Shape(
        lambda w: w.messages.list(type="inbound"),
        f"GET {MESSAGES}",
        {"items": [STATED], "pagination": {**PAGE, "per_page": 0}},
        {"pagination.per_page": 0},
    ),
    "sender ids": Shape(
        lambda w: w.messages.sender_ids.list(),
        f"GET {SENDERS}",
        {"items": [SENDER, {**SENDER, "usecase": "promo", "samples": ["sample"]}]},
        {
            "0.usecase": None,
            "0.samples": None,
            "0.allowlisted_in": ["GB"],
            "1.usecase": "promo",
            "1.samples": ["sample"],
        },
        inner=[SENDER, {**SENDER, "usecase": "promo", "samples": ["sample"]}],
    ),
    "no sender ids": Shape(lambda w: w.messages.sender_ids.list(), f"GET {SENDERS}", {"items": []}, inner=[]),
    "a short code without countries": Shape(
        lambda w: w.messages.sender_ids.get("3c7a"),
        f"GET {SENDERS}/3c7a",
        {"id": "3c7a", "sender_id": "12345", "type": "shortcode"},
        {"type": SenderIDType.SHORTCODE, "allowlisted_in": None},
    ),
    "a new sender id, 200": Shape(CREATE_SENDER, f"POST {SENDERS}", SENDER, {"type": SenderIDType.ALPHANUMERIC}),
    "a new sender id, 201": Shape(CREATE_SENDER, f"POST {SENDERS}", SENDER, {"id": "3c7a"}, status=201),
    "a deleted sender id": Shape(
        lambda w: w.messages.sender_ids.delete("3c7a"), f"DELETE {SENDERS}/3c7a", {"success": True}, {"success": True}
    ),
    "opt-outs": Shape(
        lambda w: w.messages.opt_outs.list(),
        f"GET {OPT_OUTS}",
        {"items": [OPTED_OUT, {**OPTED_OUT, "sender_id": None, "campaign_id": None}], "pagination": PAGE},
        {
            "items.0.phone_number": "15551234567",
            "items.0.created_at": datetime(2024, 1, 15, 10, 30, tzinfo=UTC),
            "items.1.sender_id": None,
            "items.1.campaign_id": None,
        },
    ),
    "an opt-out, 200": Shape(OPT_OUT, f"POST {OPT_OUTS}", {"success": True}, {"success": True}),
    "an opt-out, 201": Shape(OPT_OUT, f"POST {OPT_OUTS}", {"success": True}, {"success": True}, status=201),
}


def value_at(found: Any, path: str) -> Any:
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else getattr(found, step)
    return found


@pytest.mark.parametrize("name", SHAPES)
async def test_a_documented_answer_is_read_and_written_back(api: Api, wavix: WavixClient, name: str) -> None:
    shape = SHAPES[name]
    method, path = shape.request.split()
    api.answer(method, path, shape.answer, status=shape.status)

    result = await shape.call(wavix)

    assert to_dict(result) == (shape.answer if shape.inner is None else shape.inner)
    for place, value in shape.means.items():
        found = value_at(result, place)
        assert (type(found), found) == (type(value), value) or (found == value and isinstance(value, str)), place
    for record in result if isinstance(result, list | Page) else [result]:
        assert not record.extra


@pytest.mark.parametrize(
    ("call", "request_line"),
    [(lambda w: w.messages.sender_ids.delete("3c7a"), f"DELETE {SENDERS}/3c7a"), (OPT_OUT, f"POST {OPT_OUTS}")],
)
@pytest.mark.parametrize("status", [200, 204])
async def test_an_empty_answer_confirms(
    api: Api, wavix: WavixClient, call: Call, request_line: str, status: int
) -> None:
    api.answer(*request_line.split(), status=status, body=b"")

    assert await call(wavix) == Success(success=True)


async def test_rows_of_an_export_are_sparse(api: Api, wavix: WavixClient) -> None:
    rows = b'{"message_id":"1","status":"sent","charge":"0.01"}\n\n{"message_id":"2","to":"+447537151866"}\n'
    api.answer("GET", "/v3/messages/all", body=rows, content_type="application/x-ndjson")

    first, second = [row async for row in wavix.messages.export(type="outbound")]

    assert (first.status, first.charge, first.to) == (MessageDeliveryStatus.SENT, Decimal("0.01"), None)
    assert to_dict(second) == {"message_id": "2", "to": "+447537151866"}


@pytest.mark.parametrize(
    ("field", "value", "attribute"),
    [
        ("status", "expired", "status"),
        ("charge", "0.02", "charge"),
        ("from", "Acme", "from_"),
        ("segments", 3, "segments"),
    ],
)
def test_a_change_of_a_message_is_written(field: str, value: Any, attribute: str) -> None:
    kinds: dict[str, Callable[[Any], Any]] = {"status": MessageDeliveryStatus, "charge": Decimal}
    message = attrs.evolve(from_dict(Message, STATED), **{attribute: kinds.get(field, lambda same: same)(value)})

    assert to_dict(message) == {**STATED, field: value}
