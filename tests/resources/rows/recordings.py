"""The operations of `wavix.recordings`."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from tests.resources.rows.row import PAGE, Row

RECORDING: Final[dict[str, Any]] = {
    "id": 123,
    "created_at": "2023-06-15T10:30:00Z",
    "duration": 120,
    "from": "1234567890",
    "to": "0987654321",
    "call_uuid": "aa566501-c591-4a8b-b3b9-cc1295398b72",
    "url": "https://api.wavix.com/v1/recordings/aa566501-c591-4a8b-b3b9-cc1295398b72?appid=secret",
}

ROWS: Final = [
    Row(
        lambda w: w.recordings.list(
            from_date=date(2026, 11, 1), to_date="2026-11-30", from_="1234", to="4321", sip_trunks=["32882"], page=2
        ),
        "GET /v1/recordings",
        {
            "recordings": [RECORDING],
            "invalid": {"dids": ["1"], "sip_trunks": ["2", "3"]},
            "pagination": PAGE,
        },
        query={
            "from_date": "2026-11-01",
            "to_date": "2026-11-30",
            "from": "1234",
            "to": "4321",
            "sip_trunks": "32882",
            "page": "2",
        },
    ),
    Row(
        lambda w: w.recordings.list(call_uuid="aa566501"),
        "GET /v1/recordings",
        {"recordings": [], "pagination": PAGE},
        query={"call_uuid": "aa566501"},
    ),
    Row(lambda w: w.recordings.get(123), "GET /v1/recordings/123", RECORDING),
    Row(lambda w: w.recordings.delete(123), "DELETE /v1/recordings/123", {"success": True}),
]

ID_FIELDS: Final = {"GET /v1/recordings/{id}": "id"}
OWN_TESTS: Final = {"GET /v1/recordings/{call_id}"}
