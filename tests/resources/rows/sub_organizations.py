"""The operations of `wavix.sub_organizations`."""

from __future__ import annotations

from datetime import date
from typing import Final

from tests.resources.rows.row import PAGE, Row
from wavix_async.models import TransactionType

ENDPOINTS: Final = {"sms_endpoint": "https://example.com/sms", "dlr_endpoint": "https://example.com/dlr"}
ORGANIZATION: Final = {
    "id": 123,
    "created_at": "2026-06-15T10:30:00Z",
    "name": "Acme Ltd",
    "api_key": "not-a-real-key-456",
    "master_organization": 456,
    "status": "enabled",
    "default_destinations": ENDPOINTS,
}
BARE: Final = {**ORGANIZATION, "default_destinations": {"sms_endpoint": "", "dlr_endpoint": ""}}
TRANSACTION: Final = {
    "amount": 10.5,
    "balance_after": 100,
    "date": "2026-06-15T10:30:00Z",
    "details": "Account top-up",
    "status": "committed",
    "type": 1,
}
TRANSACTIONS: Final = "GET /v1/sub-organizations/123/billing/transactions"

ID_FIELDS: Final = {"GET /v1/sub-organizations/{id}": "id", "PUT /v1/sub-organizations/{id}": "id"}
ROWS: Final = [
    Row(
        lambda w: w.sub_organizations.list(status="enabled", page=1, per_page=50),
        "GET /v1/sub-organizations",
        {"sub_organizations": [ORGANIZATION, BARE], "pagination": PAGE},
        query={"status": "enabled", "page": "1", "per_page": "50"},
    ),
    Row(
        lambda w: w.sub_organizations.create(name="Acme Ltd", default_destinations=ENDPOINTS),
        "POST /v1/sub-organizations",
        ORGANIZATION,
        body={"name": "Acme Ltd", "default_destinations": ENDPOINTS},
    ),
    Row(lambda w: w.sub_organizations.get(123), "GET /v1/sub-organizations/123", BARE),
    Row(
        lambda w: w.sub_organizations.update(123, name="Acme Ltd", status="disabled"),
        "PUT /v1/sub-organizations/123",
        {**BARE, "status": "disabled"},
        body={"name": "Acme Ltd", "status": "disabled"},
    ),
    Row(
        lambda w: w.sub_organizations.billing.transactions.list(
            123, from_date=date(2026, 6, 1), to_date="2026-06-30", type=1
        ),
        TRANSACTIONS,
        {"transactions": [TRANSACTION], "pagination": PAGE},
        query={"from_date": "2026-06-01", "to_date": "2026-06-30", "type": "1"},
    ),
    Row(
        lambda w: w.sub_organizations.billing.transactions.list(
            123, from_date="2026-06-01", to_date="2026-06-30", type=[TransactionType.OUTBOUND_SMS]
        ),
        TRANSACTIONS,
        {"transactions": [{**TRANSACTION, "type": 15, "amount": "-0.01"}], "pagination": PAGE},
        query={"from_date": "2026-06-01", "to_date": "2026-06-30", "type": "15"},
    ),
]
