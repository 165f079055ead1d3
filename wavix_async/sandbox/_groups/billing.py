"""The transactions and statements of the account.

We assume: a statement is made of each month that has ended, and one of the month before the sandbox's start. Its amount
is what the account has paid in the month.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from urllib.parse import parse_qsl

from wavix_async.sandbox._groups.collection import Collection, Numbered
from wavix_async.sandbox._groups.filters import Predicate, Record, iso, since, until
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import read_id
from wavix_async.sandbox._server import ApiError, Call, Reply, Route

PAYMENTS = frozenset({0, 19, 25, 26})
"""The types of transactions that are payments to the account."""


def _of_type(text: str) -> Predicate:
    return lambda record: str(record["type"]) == text


def _payments(text: str) -> Predicate:
    return lambda record: text != "true" or record["type"] in PAYMENTS


def _part_of_details(text: str) -> Predicate:
    return lambda record: text in record["details"]


class Billing:
    """The transactions and statements of the account."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._first = context.date().date()
        self.transactions = Collection(
            context,
            ids=Numbered(24_789_001),
            record=dict,
            list_key="transactions",
            filters={
                "from_date": since("date"),
                "to_date": until("date"),
                "type": _of_type,
                "details_contains": _part_of_details,
                "payments": _payments,
            },
        )
        self.invoices = Collection(context, record=dict, list_key="invoices")
        context.ledger.book = self._book

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        invoices, read = "/v1/billing/invoices", "billing:read"
        return (
            Route("GET", "/v1/billing/transactions", read, self._transactions),
            Route("GET", invoices, read, self._invoices),
            Route("GET", f"{invoices}/{{id}}", read, self._download),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self._context.ledger.reset()
        self.transactions.reset()
        self.invoices.reset()
        self._first = self._context.date().date()

    def _book(self, record: Record) -> None:
        now = iso(self._context.date())
        self.transactions.add(
            {**record, "date": now, "status": "Committed", "show_invoice": record["type"] in PAYMENTS}
        )

    def _transactions(self, call: Call) -> Reply:
        return self._with_flag(self.transactions, call)

    def _invoices(self, call: Call) -> Reply:
        self._make_invoices()
        return self._with_flag(self.invoices, call)

    def _with_flag(self, collection: Collection, call: Call) -> Reply:
        found = collection.page(dict(parse_qsl(call.query, keep_blank_values=True)))
        return Reply.of(200, {"is_empty": not found["pagination"]["total"], **found})

    def _make_invoices(self) -> None:
        """Make the statements of the months that have ended."""
        now = self._context.date().date().replace(day=1)
        last = [self.invoices.find(key)["to_date"] for key in self.invoices][-1:]
        begin = _month_before(self._first) if not last else date.fromisoformat(last[0]) + timedelta(days=1)
        while begin < now:
            end = (begin + timedelta(days=31)).replace(day=1) - timedelta(days=1)
            days = begin.isoformat(), end.isoformat()
            rows = map(self.transactions.find, self.transactions)
            paid = sum(
                (
                    Decimal(str(-row["amount"]))
                    for row in rows
                    if row["amount"] < 0 and days[0] <= row["date"][:10] <= days[1]
                ),
                Decimal(0),
            )
            self.invoices.add({"from_date": days[0], "to_date": days[1], "amount": f"{paid:.2f}"})
            begin = end + timedelta(days=1)

    async def _download(self, call: Call) -> Reply:
        with self._context.lock:
            self._make_invoices()
            key = read_id(call.ids[0])
            if key not in self.invoices:
                raise ApiError(404, "Record not found")
            record = self.invoices.find(key)
        # The smallest file that a reader of PDF takes for one.
        period = f"{record['from_date']} to {record['to_date']}"
        text = f"%PDF-1.4\n% statement {key}: {period}, USD {record['amount']}\n%%EOF\n"
        return await self._context.files.reply(f"invoice-{key}.pdf", "application/pdf", text.encode())


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)
