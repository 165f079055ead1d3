"""The operations of `wavix.voice_campaigns`."""

from __future__ import annotations

from typing import Final

from tests.resources.rows.row import Row

CAMPAIGN: Final = {
    "id": 2321423,
    "status": "in_progress",
    "timestamp": "2023-08-03T09:04:12.000Z",
    "caller_id": "13123310912",
    "contact": "16729923812",
}

ID_FIELDS: Final = {"GET /v1/voice-campaigns/{id}": "id"}
ROWS: Final = [
    Row(
        lambda w: w.voice_campaigns.create(
            callflow_id=3212,
            caller_id="+1 312 331 0912",
            contact="+1 (672) 992-3812",
            callback_url="https://hooks.example.com/campaigns",
        ),
        "POST /v1/voice-campaigns",
        {"voice_campaign": CAMPAIGN},
        body={
            "voice_campaign": {
                "callflow_id": 3212,
                "caller_id": "13123310912",
                "contact": "16729923812",
                "callback_url": "https://hooks.example.com/campaigns",
            }
        },
        result=CAMPAIGN,
    ),
    Row(
        lambda w: w.voice_campaigns.get(2321423),
        "GET /v1/voice-campaigns/2321423",
        {"voice_campaign": CAMPAIGN},
        result=CAMPAIGN,
    ),
]
