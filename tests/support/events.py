"""Bodies of events as Wavix posts them, and a sender that posts to an ASGI application without a socket."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wavix_async.webhooks import ASGIApp

SECRET: Final = "a-secret-of-this-test-only"
ID: Final = "871b4eeb-f798-4105-be23-32df9e991456"

BODIES: Final[Mapping[str, dict[str, Any]]] = {
    "on_call": {
        "id": ID,
        "uuid": ID,
        "direction": "outbound",
        "event_type": "on_call_event",
        "event_time": "2026-09-22T12:56:38.547Z",
        "event_payload": {"type": "collect", "payload": {"digits": "4711#0815", "status": "completed"}},
        "from": "+18045961058",
        "to": "17653889567",
        "call_started": "2026-09-22T12:56:30.547Z",
        "call_answered": "2026-09-22T12:56:33.547Z",
        "call_completed": None,
        "machine_detected": False,
        "tag": "menu",
    },
    "post_call": {
        "direction": "outbound",
        "uuid": ID,
        "destination": "France",
        "duration": 6,
        "charge": "0.822",
        "date": "2026-08-21T06:43:36.000Z",
        "disposition": "answered",
        "from": "14302287001",
        "to": "33170363950",
        "per_minute": "0.027",
    },
    "message": {
        "message_id": ID,
        "from": "15125550143",
        "to": "447537151866",
        "message_body": {"text": "STOP 4711#0815", "media": None},
        "received_at": "2026-04-14T13:51:16.096Z",
    },
    "dlr": {
        "message_id": ID,
        "message_type": "sms",
        "from": "Acme",
        "to": "+447537151866",
        "tag": "sale",
        "status": "delivered",
        "segments_count": 1,
        "sent": "2026-05-28T12:34:54Z",
        "delivered": "2026-05-28T12:34:56Z",
        "error": None,
        "charge": "0.01",
        "carrier_fees": "0.0",
    },
    "number": {"number": "17029641104", "campaign_id": "CX34KL56", "brand_id": "BX12JH90", "status": "APPROVED"},
    "campaign": {"campaign_id": "CX34KL56", "brand_id": "BX12JH90", "status": "APPROVED"},
    "brand": {"brand_id": "BX12JH90", "status": "SELF_DECLARED"},
    "file_transcription": {"request_id": ID, "status": "failed", "error": "no speech"},
    "call_transcription": {"uuid": ID, "status": "completed"},
}


@define
class Answer:
    status: int = 0
    headers: dict[str, str] = field(factory=dict)
    body: bytes = b""
    read: int = 0
    """How many bytes of the request the application has read."""


async def post(
    app: ASGIApp,
    body: object,
    path: str = f"/{SECRET}",
    *,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    lines: list[tuple[str, str]] | None = None,
    client: str | None = "203.0.113.9",
    chunk: int = 65_536,
) -> Answer:
    """Post a body (bytes, or a value to be sent as JSON) to an ASGI application."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"content-type": "application/json", **(headers or {})}
    pairs = [*given.items(), *(lines or [])]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in pairs if value],
        "client": None if client is None else (client, 1234),
        "server": ("hooks.test", 80),
    }
    answer = Answer()

    async def receive() -> dict[str, Any]:
        part = content[answer.read : answer.read + chunk]
        answer.read += len(part)
        return {"type": "http.request", "body": part, "more_body": answer.read < len(content)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


def dlr(message: str, status: str = "delivered", **more: Any) -> dict[str, Any]:
    """Return a delivery report."""
    return {**BODIES["dlr"], "message_id": message, "status": status, **more}
