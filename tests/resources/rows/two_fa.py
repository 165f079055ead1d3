"""The operations of `wavix.two_fa`."""

from __future__ import annotations

from datetime import date
from typing import Final

from tests.resources.rows.row import Row

SERVICE: Final = "7204a030201211ee9fb47d093f2f1271"
ID: Final = "2953d4308f2e11ecb75fcdafd6d2d687"
AT: Final = "2022-02-16T13:41:38.000Z"
CREATED: Final = {
    "success": True,
    "service_id": SERVICE,
    "session_url": f"https://api.wavix.com/v1/two-fa/verification/{ID}",
    "session_id": ID,
    "destination": "447919433768",
    "created_at": AT,
    "number_lookup": {"number_type": "mobile", "country": "GB", "current_carrier": "Vodafone"},
}
SESSION: Final = {
    "created_at": AT,
    "session_id": ID,
    "phone_number": "447919433768",
    "destination_country": "GB",
    "status": "verified",
    "charge": "0.01",
    "service_id": SERVICE,
    "service_name": "Login",
}
SENT: Final = {"success": True, "channel": "voice", "destination": "447919433768", "created_at": AT}
EVENT: Final = {"created_at": AT, "event": "Number lookup", "status": "success", "charge": "0.005", "error": None}

ID_FIELDS: Final = {"POST /v1/two-fa/verification/{session_id}": None}  # the answer shows the channel
ROWS: Final = [
    Row(
        lambda w: w.two_fa.verification.create(service_id=SERVICE, to="+44 7919 433768", channel="sms"),
        "POST /v1/two-fa/verification",
        CREATED,
        body={"service_id": SERVICE, "to": "447919433768", "channel": "sms"},
    ),
    Row(
        lambda w: w.two_fa.verification.resend(ID, channel="voice"),
        f"POST /v1/two-fa/verification/{ID}",
        SENT,
        body={"channel": "voice"},
    ),
    Row(
        lambda w: w.two_fa.verification.check(ID, code="123456"),
        f"POST /v1/two-fa/verification/{ID}/check",
        {"is_valid": False},
        body={"code": "123456"},
    ),
    Row(
        lambda w: w.two_fa.verification.cancel(ID),
        f"PATCH /v1/two-fa/verification/{ID}/cancel",
        {"success": True},
    ),
    Row(
        lambda w: w.two_fa.service.sessions.list(SERVICE, from_=date(2022, 2, 1), to="2022-02-28"),
        f"GET /v1/two-fa/service/{SERVICE}/sessions",
        [SESSION],
        query={"from": "2022-02-01", "to": "2022-02-28"},
    ),
    Row(lambda w: w.two_fa.session.events.list(ID), f"GET /v1/two-fa/session/{ID}/events", [EVENT]),
]
