"""The operations of `wavix.billing`."""

from __future__ import annotations

from datetime import date
from typing import Final

from tests.resources.rows.row import PAGE, Row
from wavix_async.models import TransactionType

TRANSACTION: Final = {
    "id": 24789389,
    "amount": -0.99,
    "balance_after": 309.0601,
    "date": "2023-08-29T14:48:38.000Z",
    "details": "Monthly fee for 16419252149",
    "status": "Committed",
    "type": 3,
    "show_invoice": False,
}
INVOICE: Final = {"id": 1, "from_date": "2023-08-01", "to_date": "2023-08-31", "amount": "25.00"}

OWN_TESTS: Final = {"GET /v1/billing/invoices/{id}"}
ROWS: Final = [
    Row(
        lambda w: w.billing.transactions.list(
            from_date=date(2023, 8, 1),
            to_date="2023-08-31",
            type=TransactionType.NUMBER_MONTHLY_FEE,
            details_contains="Monthly",
            payments=False,
        ),
        "GET /v1/billing/transactions",
        {"is_empty": False, "transactions": [TRANSACTION], "pagination": PAGE},
        query={
            "from_date": "2023-08-01",
            "to_date": "2023-08-31",
            "type": "3",
            "details_contains": "Monthly",
            "payments": "false",
        },
    ),
    Row(
        lambda w: w.billing.invoices.list(page=1),
        "GET /v1/billing/invoices",
        {"is_empty": False, "invoices": [INVOICE], "pagination": PAGE},
        query={"page": "1"},
    ),
]
