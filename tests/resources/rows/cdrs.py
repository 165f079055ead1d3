"""The operations of `wavix.cdrs`."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from tests.resources.rows.row import PAGE, Row

CALL: Final = "99df5ffd-962a-410f-bcce-d08f1f7f328c"
LISTED: Final[dict[str, Any]] = {
    "date": "2023-08-21T06:43:36.000Z",
    "from": "14302287001",
    "to": "33170363950",
    "disposition": "answered",
    "duration": 6,
    "destination": "France",
    "per_minute": "0.027",
    "charge": "0.822",
    "sip_trunk": "32882",
    "forward_fee": "0.0",
    "uuid": CALL,
    "call_id": CALL,
    "parent_uuid": None,
    "parent_call_id": None,
    "answered_by": "human",
}
REFERENCE: Final = {
    "uuid": "40d6f322-048d-490b-95c7-4fc5c76a74db",
    "url": "https://api.wavix.com/v1/cdrs/40d6f322-048d-490b-95c7-4fc5c76a74db/transcription?appid=secret",
}
CDR: Final[dict[str, Any]] = {
    **LISTED,
    "recording_url": f"https://api.wavix.com/v1/recordings/{CALL}",
    "transcription": REFERENCE,
}
TURN: Final[dict[str, Any]] = {
    "type": "46844685344",
    "phone_number": "+46844685344",
    "s": 160,
    "e": 7280,
    "text": "Hello, how can I help you?",
    "sentiment": "neutral",
}
TRANSCRIPTION: Final[dict[str, Any]] = {
    "transcript": {"16572026750": "I have a question", "16465292513": ""},
    "turns": [TURN, {"type": "+16572026750", "s": 2400, "e": 3280, "text": "I have a question about my bill."}],
    "uuid": "e84f350f-6da7-4b56-80eb-41dec572626b",
    "language": "en",
    "duration": 102,
    "charge": "0.01",
    "status": "completed",
    "transcription_date": "2023-01-09T10:04:39.734Z",
    "call_date": "2023-01-09T10:01:13.394Z",
    "call_uuid": "bbaa37bf-430a-46da-ade3-c248e4070161",
    "call_score": "3.8",
    "call_summary": "The agent and client discussed billing issues.",
}
NOVEMBER: Final = {"from": "2026-11-01", "to": "2026-11-30"}

ROWS: Final = [
    Row(
        lambda w: w.cdrs.list(
            from_=date(2026, 11, 1), to="2026-11-30", type="placed", disposition="all", sip_trunk="32882", per_page=50
        ),
        "GET /v1/cdrs",
        {"items": [LISTED], "pagination": PAGE},
        query={**NOVEMBER, "type": "placed", "disposition": "all", "sip_trunk": "32882", "per_page": "50"},
    ),
    Row(
        lambda w: w.cdrs.list(
            from_="2026-11-01", to="2026-11-30", type="received", from_search="1352", to_search="78257", uuid=CALL
        ),
        "GET /v1/cdrs",
        {"items": [], "pagination": PAGE},
        query={**NOVEMBER, "type": "received", "from_search": "1352", "to_search": "78257", "uuid": CALL},
    ),
    Row(
        lambda w: w.cdrs.search(
            from_="2026-11-01",
            to=date(2026, 11, 30),
            type="received",
            disposition="answered",
            min_duration=10,
            transcription={"agent": {"must": ["Hello"]}, "any": {"match": ["bill"], "exclude": ["Richard"]}},
            page=2,
            per_page=50,
        ),
        "POST /v1/cdrs",
        {"items": [{**LISTED, "transcription": REFERENCE}], "pagination": PAGE},
        body={
            **NOVEMBER,
            "type": "received",
            "disposition": "answered",
            "min_duration": 10,
            "transcription": {"agent": {"must": ["Hello"]}, "any": {"match": ["bill"], "exclude": ["Richard"]}},
            "page": 2,
            "per_page": 50,
        },
    ),
    Row(lambda w: w.cdrs.get(CALL), f"GET /v1/cdrs/{CALL}", CDR),
    Row(
        lambda w: w.cdrs.get(CALL, show_transcription=True),
        f"GET /v1/cdrs/{CALL}",
        CDR,
        query={"show_transcription": "true"},
    ),
    Row(
        lambda w: w.cdrs.retranscribe(CALL, language="de", webhook_url="https://hooks.example.com/1"),
        f"PUT /v1/cdrs/{CALL}/retranscribe",
        {"success": True},
        body={"language": "de", "webhook_url": "https://hooks.example.com/1"},
    ),
    Row(
        lambda w: w.cdrs.retranscribe(CALL, language=None),
        f"PUT /v1/cdrs/{CALL}/retranscribe",
        {"success": True},
        body={"language": None},
    ),
    Row(lambda w: w.cdrs.retranscribe(CALL), f"PUT /v1/cdrs/{CALL}/retranscribe", {"success": True}, body={}),
    Row(lambda w: w.cdrs.transcription.get(CALL), f"GET /v1/cdrs/{CALL}/transcription", TRANSCRIPTION),
    Row(lambda w: w.cdrs.transcriptions.get(CALL), f"GET /v1/cdrs/{CALL}/transcriptions", TRANSCRIPTION),
]

ID_FIELDS: Final = {"GET /v1/cdrs/{call_id}": "call_id"}
OWN_TESTS: Final = {"GET /v1/cdrs/all"}
