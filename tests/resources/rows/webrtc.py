"""The operations of `wavix.webrtc.tokens`."""

from __future__ import annotations

from typing import Final

from tests.resources.rows.row import PAGE, Row

ID: Final = "550e8400-e29b-41d4-a716-446655440000"
TOKEN: Final = {"uuid": ID, "sip_trunk": "my-sip-trunk", "payload": {"user_id": "42"}, "ttl": 3600}
CREATED: Final = {"token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...", **TOKEN}

ID_FIELDS: Final = {"GET /v2/webrtc/tokens/{id}": "uuid", "PUT /v2/webrtc/tokens/{id}": "uuid"}
ROWS: Final = [
    Row(
        lambda w: w.webrtc.tokens.list(page=2, per_page=10),
        "GET /v2/webrtc/tokens",
        {"items": [TOKEN], "pagination": PAGE},
        query={"page": "2", "per_page": "10"},
    ),
    Row(
        lambda w: w.webrtc.tokens.create(sip_trunk="my-sip-trunk", ttl=3600, payload={"user_id": "42"}),
        "POST /v2/webrtc/tokens",
        CREATED,
        body={"sip_trunk": "my-sip-trunk", "ttl": 3600, "payload": {"user_id": "42"}},
    ),
    Row(
        lambda w: w.webrtc.tokens.create(sip_trunk="my-sip-trunk", ttl=None),
        "POST /v2/webrtc/tokens",
        {**CREATED, "payload": None, "ttl": None},
        body={"sip_trunk": "my-sip-trunk", "ttl": None},
    ),
    Row(lambda w: w.webrtc.tokens.get(ID), f"GET /v2/webrtc/tokens/{ID}", TOKEN),
    Row(
        lambda w: w.webrtc.tokens.update(ID, payload={"user_id": "42"}),
        f"PUT /v2/webrtc/tokens/{ID}",
        TOKEN,
        body={"payload": {"user_id": "42"}},
    ),
    Row(lambda w: w.webrtc.tokens.delete(ID), f"DELETE /v2/webrtc/tokens/{ID}", {"success": True}),
]
