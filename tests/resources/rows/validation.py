"""The operations of `wavix.validation`."""

from __future__ import annotations

from typing import Final

from tests.resources.rows.row import Row

ID: Final = "15323ba4-80c1-41be-b8e7-07bb435c7445"
FOUND: Final = {
    "phone_number": "971569483322",
    "valid": True,
    "country_code": "AE",
    "e164_format": "+971569483322",
    "national_format": "056 948 3322",
    "ported": False,
    "mcc": "424",
    "mnc": "02",
    "number_type": "mobile",
    "carrier_name": "Etisalat",
    "risky_destination": False,
    "unallocated_range": False,
    "reachable": True,
    "roaming": False,
    "timezone": "UTC+04:00",
    "charge": "0.015",
    "error_code": "000",
}
BATCH: Final = {"status": "success", "pending": 0, "count": 1, "items": [FOUND]}

ID_FIELDS: Final = {"GET /v1/validation/{request_id}": "request_id"}
ROWS: Final = [
    Row(
        lambda w: w.validation.validate("+971 56 948 3322", type="validation"),
        "GET /v1/validation",
        FOUND,
        query={"phone_number": "971569483322", "type": "validation"},
    ),
    Row(
        lambda w: w.validation.create(phone_numbers=["+971 56 948 3322"], type="format"),
        "POST /v1/validation",
        BATCH,
        body={"phone_numbers": ["971569483322"], "type": "format"},
    ),
    Row(
        lambda w: w.validation.create(phone_numbers=("971569483322",), type="format", async_=True, force=False),
        "POST /v1/validation",
        {"request_uuid": ID},
        body={"phone_numbers": ["971569483322"], "type": "format", "async": True, "force": False},
    ),
    Row(lambda w: w.validation.get(ID), f"GET /v1/validation/{ID}", BATCH),
]
