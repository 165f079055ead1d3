"""Transactions and statements of the account: `/v1/billing`."""

from functools import cached_property
from typing import Final

from wavix_async._http import Download, Operation
from wavix_async.models.billing import (
    FinancialTransaction,
    Invoice,
    InvoiceList,
    InvoicePage,
    TransactionList,
    TransactionPage,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import IntId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack

__all__ = ["Billing", "Invoices", "Transactions"]

TRANSACTIONS: Final = Operation("GET", "/v1/billing/transactions", TransactionPage, scope="billing:read")
INVOICES: Final = Operation("GET", "/v1/billing/invoices", InvoicePage, scope="billing:read")
DOWNLOAD: Final = Operation("GET", "/v1/billing/invoices/{id}", Download, scope="billing:read")


class Transactions(Resource):
    """Changes of the balance: `/v1/billing/transactions`."""

    @unpack(TransactionList)
    def list(self, query: TransactionList) -> Paginator[TransactionPage, FinancialTransaction]:
        """List the transactions of some days (GET /v1/billing/transactions): `await` one page, `async for` all.

        Scope `billing:read`; it only reads, so the client may repeat it.
        """
        return self._pages(TRANSACTIONS, query=query)


class Invoices(Resource):
    """Statements of billing periods: `/v1/billing/invoices`."""

    _ids = (IntId("invoice_id", "Invoice.id"),)

    @unpack(InvoiceList)
    def list(self, query: InvoiceList) -> Paginator[InvoicePage, Invoice]:
        """List the statements (GET /v1/billing/invoices): `await` gives one page, `async for` all of them.

        Scope `billing:read`; it only reads, so the client may repeat it.
        """
        return self._pages(INVOICES, query=query)

    def download(self, invoice_id: int) -> Download:
        """Download a statement as a PDF file (GET /v1/billing/invoices/{id}).

            await wavix.billing.invoices.download(1).save("statement.pdf")

        Scope `billing:read`; it only reads, so the client may repeat it until the first byte is there.

        Args:
            invoice_id: The statement's id (`Invoice.id`).

        Raises:
            NotFoundError: There is no such statement.
        """
        return self._download(DOWNLOAD, invoice_id)


class Billing(Resource):
    """Transactions and statements of the account: `/v1/billing`."""

    @cached_property
    def transactions(self) -> Transactions:
        """Changes of the balance."""
        return Transactions(self._client)

    @cached_property
    def invoices(self) -> Invoices:
        """Statements of billing periods."""
        return Invoices(self._client)
