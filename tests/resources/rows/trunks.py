"""The operations of `wavix.trunks`."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from tests.resources.rows.row import PAGE, Row

REQUIRED: Final = {
    "label": "Office",
    "callerid": "13132847320",
    "ip_restrict": False,
    "didinfo_enabled": True,
    "call_restrict": False,
    "channels_restrict": False,
    "rewrite_enabled": False,
    "transcription_enabled": False,
    "transcription_threshold": 6,
}
SETTINGS: Final = {
    **REQUIRED,
    "multiple_numbers": False,
    "host_request": {"host": "203.0.113.7"},
    "ip_restrict": True,
    "allowed_ips": [{"ip": "203.0.113.7"}],
    "call_restrict": True,
    "call_limit": 3600,
    "cost_limit": True,
    "max_call_cost": 0.18,
    "channels_restrict": True,
    "max_channels": 2,
    "rewrite_enabled": True,
    "rewrite_prefix": "1",
    "rewrite_cond": "2",
    "call_recording_enabled": True,
    "transcription_enabled": True,
    "transcription_threshold": 10,
    "machine_detection_enabled": True,
    "encrypted_media": True,
}
"""Every setting but the password, in the form of a request."""
TRUNK: Final = {
    **SETTINGS,
    "id": 293,
    "name": "67758",
    "allowed_ips": [{"id": 6712, "ip": "203.0.113.7"}],
    "max_call_cost": "0.18",
    "passthrough": True,
    "created_at": "2026-05-16T17:13:25.000Z",
    "host": "203.0.113.7",
    "access_token": "siped7a3f5c1b9e042d6",
}
del TRUNK["host_request"]
"""The trunk that has these settings, in the form of an answer."""
SUMMARY: Final = {
    "id": 293,
    "label": "Office",
    "name": "67758",
    "auth_method": "IP auth",
    "callerid": "",
    "host_request": {"host": "203.0.113.7", "status": "pending"},
    "encrypted_media": False,
    "passthrough": False,
    "multiple_numbers": True,
    "status": "pending",
    "charge": "24.637",
    "talk_time": 65,
    "machine_detection_enabled": True,
    "call_recording_enabled": True,
    "transcription_enabled": True,
    "transcription_threshold": 6,
    "access_token": "siped7a3f5c1b9e042d6",
}
PASSWORD: Final = "not-a-real-password"

ID_FIELDS: Final = {"GET /v1/trunks/{id}": "id", "PUT /v1/trunks/{id}": "id"}
ROWS: Final = [
    Row(
        lambda w: w.trunks.list(page=2, per_page=10),
        "GET /v1/trunks",
        {"sip_trunks": [SUMMARY, {**SUMMARY, "id": 294, "host_request": None, "callerid": None}], "pagination": PAGE},
        query={"page": "2", "per_page": "10"},
    ),
    Row(lambda w: w.trunks.list(), "GET /v1/trunks", {"sip_trunks": None, "pagination": {**PAGE, "total": 0}}),
    Row(
        lambda w: w.trunks.create(password=PASSWORD, **{**SETTINGS, "max_call_cost": Decimal("0.18")}),
        "POST /v1/trunks",
        TRUNK,
        body={"password": PASSWORD, **SETTINGS},
    ),
    Row(lambda w: w.trunks.get(293), "GET /v1/trunks/293", TRUNK),
    Row(
        lambda w: w.trunks.update(293, password=PASSWORD, **REQUIRED),
        "PUT /v1/trunks/293",
        {**TRUNK, **REQUIRED, "callerid": "", "allowed_ips": [], "max_channels": None},
        body={"password": PASSWORD, **REQUIRED},
    ),
    Row(lambda w: w.trunks.delete(293), "DELETE /v1/trunks/293", {"success": True}),
]
