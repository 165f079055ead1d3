"""The operations of `wavix.messages`."""

from __future__ import annotations

from datetime import date
from typing import Final

from tests.resources.rows.row import PAGE, Row
from tests.support.examples import MESSAGE, OPT_OUT, SENDER_ID
from wavix_async.models import MessageContent

SHORT_MESSAGE: Final = {**MESSAGE, "message_id": "3f0d7d3e"}
SHORT_SENDER_ID: Final = {**SENDER_ID, "id": "5a4c"}

ROWS: Final = [
    Row(
        lambda w: w.messages.list(
            type="outbound", sent_after=date(2026, 1, 31), from_="Acme", to="447700900123", status="sent", limit=30
        ),
        "GET /v3/messages",
        {"items": [MESSAGE], "pagination": PAGE},
        query={
            "type": "outbound",
            "sent_after": "2026-01-31",
            "from": "Acme",
            "to": "447700900123",
            "status": "sent",
            "per_page": "30",
        },
    ),
    Row(lambda w: w.messages.get("3f0d7d3e"), "GET /v3/messages/3f0d7d3e", SHORT_MESSAGE),
    Row(
        lambda w: w.messages.get("3f0d7d3e"),
        "GET /v3/messages/3f0d7d3e",
        {"message": SHORT_MESSAGE},
        result=SHORT_MESSAGE,
    ),
    Row(
        lambda w: w.messages.send(
            from_="Acme", to="447700900123", message_body={"text": "Hello"}, validity=3600, smart_encoding=True
        ),
        "POST /v3/messages",
        MESSAGE,
        body={
            "from": "Acme",
            "to": "447700900123",
            "message_body": {"text": "Hello", "media": None},
            "validity": 3600,
            "smart_encoding": True,
        },
    ),
    Row(
        lambda w: w.messages.send(
            from_="Acme", to="1", message_body=MessageContent(text="Look", media=["https://media.example.com/1.png"])
        ),
        "POST /v3/messages",
        {**MESSAGE, "to": "1"},
        body={
            "from": "Acme",
            "to": "1",
            "message_body": {"text": "Look", "media": ["https://media.example.com/1.png"]},
        },
    ),
    Row(
        lambda w: w.messages.sender_ids.list(),
        "GET /v3/messages/sender-ids",
        {"items": [SENDER_ID]},
        result=[SENDER_ID],
    ),
    Row(
        lambda w: w.messages.sender_ids.create(
            sender_id="Acme", type="alphanumeric", countries=["GB"], usecase="promo", monthly_volume="1-1000"
        ),
        "POST /v3/messages/sender-ids",
        SENDER_ID,
        body={
            "sender_id": "Acme",
            "type": "alphanumeric",
            "countries": ["GB"],
            "usecase": "promo",
            "monthly_volume": "1-1000",
        },
    ),
    Row(lambda w: w.messages.sender_ids.get("5a4c"), "GET /v3/messages/sender-ids/5a4c", SHORT_SENDER_ID),
    Row(lambda w: w.messages.sender_ids.delete("5a4c"), "DELETE /v3/messages/sender-ids/5a4c", {"success": True}),
    Row(
        lambda w: w.messages.opt_outs.list(campaign_id="C123456", created_before="2026-02-01", page=2, per_page=10),
        "GET /v3/messages/opt-outs",
        {"items": [OPT_OUT], "pagination": PAGE},
        query={"campaign_id": "C123456", "created_before": "2026-02-01", "page": "2", "per_page": "10"},
    ),
    Row(
        lambda w: w.messages.opt_outs.create(number="15550100200", sender_id="Acme"),
        "POST /v3/messages/opt-outs",
        {"success": True},
        body={"opt_out": {"number": "15550100200", "sender_id": "Acme"}},
    ),
]

ID_FIELDS: Final = {"GET /v3/messages/{id}": "message_id", "GET /v3/messages/sender-ids/{id}": "id"}
OWN_TESTS: Final = {"GET /v3/messages/all"}
