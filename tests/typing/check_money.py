"""What the type checkers make of what costs money: numbers, validations, 2FA, bills. Never run: they only read it."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from typing import assert_type

from wavix_async import BulkReport, BulkResult, Download, Paginator, Success, WavixClient
from wavix_async.models import (
    AvailableNumber,
    AvailableNumberPage,
    Cart,
    City,
    Country,
    FinancialTransaction,
    Invoice,
    InvoicePage,
    PhoneValidation,
    PhoneValidationBatch,
    Region,
    ShortLink,
    ShortLinkMetricsItem,
    ShortLinkMetricsPage,
    TransactionPage,
    TransactionType,
    TwoFactorChannel,
    TwoFactorCheck,
    TwoFactorResend,
    TwoFactorSession,
    TwoFactorVerification,
    TwoFactorVerificationEvent,
    ValidationType,
)
from wavix_async.resources.buy import Purchase
from wavix_async.sandbox import Sandbox


async def buying(wavix: WavixClient) -> None:
    assert_type(await wavix.buy.countries.list(), list[Country])
    assert_type(await wavix.buy.countries.regions.list(1, text_enabled_only=True), list[Region])
    assert_type(await wavix.buy.countries.regions.cities.list(1, 2), list[City])
    assert_type(await wavix.buy.countries.cities.list(1), list[City])
    numbers = wavix.buy.countries.cities.dids.list(1, 2, per_page=10)
    assert_type(numbers, Paginator[AvailableNumberPage, AvailableNumber])
    assert_type(await wavix.buy.cart.get(), Cart)
    assert_type(await wavix.buy.cart.add(ids=["1"]), list[AvailableNumber])
    assert_type(await wavix.buy.cart.remove(ids=("1",)), Success)
    assert_type(await wavix.buy.cart.checkout(ids=["1"]), Success)
    bought = await wavix.buy.purchase(["1"], max_price=Decimal(3))
    assert_type(bought, Purchase)
    assert_type(bought.charged, Decimal)


async def validating(wavix: WavixClient, later: AsyncIterator[str]) -> None:
    found = await wavix.validation.validate("1", type=ValidationType.FORMAT)
    assert_type(found, PhoneValidation)
    assert_type(found.charge, Decimal)
    batch = await wavix.validation.create(phone_numbers=["1"], type="format", async_=True)
    assert_type(batch, PhoneValidationBatch)
    assert_type(batch.id, str | None)
    assert_type(await wavix.validation.wait("a", timeout=None), PhoneValidationBatch)
    run = wavix.validation.run(later, type="analysis", in_order=True, journal="a.sqlite")
    async for result in run:
        assert_type(result, BulkResult[str, PhoneValidation])
    assert_type(await run, BulkReport[str, PhoneValidation])


async def others(wavix: WavixClient, sandbox: Sandbox) -> None:
    rows = wavix.billing.transactions.list(
        from_date=date(2026, 1, 1), to_date="2026-01-31", type=TransactionType.TWO_FA
    )
    assert_type(rows, Paginator[TransactionPage, FinancialTransaction])
    assert_type(wavix.billing.invoices.list(), Paginator[InvoicePage, Invoice])
    assert_type(wavix.billing.invoices.download(1), Download)
    assert_type(await wavix.short_links.create(link="https://a.example.com"), ShortLink)
    clicks = wavix.short_links.metrics.list(from_="2026-01-01", to="2026-01-31")
    assert_type(clicks, Paginator[ShortLinkMetricsPage, ShortLinkMetricsItem])
    sent = await wavix.two_fa.verification.create(service_id="a", to="1", channel=TwoFactorChannel.SMS)
    assert_type(sent, TwoFactorVerification)
    assert_type(await wavix.two_fa.verification.resend("a", channel="voice"), TwoFactorResend)
    assert_type(await wavix.two_fa.verification.check("a", code="1"), TwoFactorCheck)
    assert_type(await wavix.two_fa.verification.cancel("a"), Success)
    assert_type(await wavix.two_fa.service.sessions.list("a", from_="b", to="c"), list[TwoFactorSession])
    assert_type(await wavix.two_fa.session.events.list("a"), list[TwoFactorVerificationEvent])
    assert_type(sandbox.code("a"), str)
    assert_type(sandbox.balance, Decimal)


async def mistakes(wavix: WavixClient) -> None:
    await wavix.buy.purchase(["1"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.buy.cart.checkout(ids=[1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await wavix.validation.validate("1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix.validation.run([1], type="format")  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await wavix.two_fa.verification.check("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix.billing.transactions.list()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
