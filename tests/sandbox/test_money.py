"""The sandbox where money is: numbers to buy, the balance and its transactions, validations, short links, 2FA."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from wavix_async import (
    BadRequestError,
    NotFoundError,
    RateLimitError,
    UnprocessableEntityError,
    WavixClient,
    to_dict,
)
from wavix_async.sandbox import Sandbox

ME, YOU = "13125551000", "14155550100"
DAYS: Any = {"from_": date(2020, 1, 1), "to": date(2099, 1, 1)}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=2, balance=1, files="bytes") as running:
        yield running


@pytest.fixture
async def wavix(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url, strict=True) as client:
        yield client


# --- numbers to buy ---


async def test_from_a_country_to_a_number(sandbox: Sandbox, wavix: WavixClient) -> None:
    countries = {country.name: country for country in await wavix.buy.countries.list()}
    with_text = await wavix.buy.countries.list(text_enabled_only=True)
    assert [country.name for country in with_text] == ["United States", "Canada"]

    canada, germany = countries["Canada"], countries["Germany"]
    assert (canada.has_provinces_or_states, germany.has_provinces_or_states) == (True, False)
    regions = await wavix.buy.countries.regions.list(canada.id)
    assert [region.name for region in regions] == ["ON", "BC"]
    (toronto,) = await wavix.buy.countries.regions.cities.list(canada.id, regions[0].id)
    assert (toronto.name, toronto.area_code) == ("TORONTO, ON", 416)
    (berlin,) = await wavix.buy.countries.cities.list(germany.id)
    assert await wavix.buy.countries.cities.list(canada.id) == []

    numbers = [each async for each in wavix.buy.countries.cities.dids.list(germany.id, berlin.id, per_page=20)]
    assert len({number.number for number in numbers}) == 30
    none = await wavix.buy.countries.cities.dids.list(germany.id, berlin.id, text_enabled_only=True)
    assert none.items == []
    with pytest.raises(UnprocessableEntityError, match="no states or provinces"):
        await wavix.buy.countries.regions.list(germany.id)
    for missing in (
        wavix.buy.countries.cities.list(1),
        wavix.buy.countries.regions.cities.list(canada.id, 999),
        wavix.buy.countries.regions.cities.list(germany.id, regions[0].id),
        wavix.buy.countries.cities.dids.list(canada.id, berlin.id),
    ):
        with pytest.raises(NotFoundError):
            await missing


async def test_a_number_goes_from_the_stock_to_the_account_and_back(sandbox: Sandbox, wavix: WavixClient) -> None:
    number = "13131000001"
    detroit = (8001, 101)

    async def is_for_sale() -> bool:
        return number in [each.number async for each in wavix.buy.countries.cities.dids.list(*detroit)]

    with pytest.raises(NotFoundError):
        await wavix.buy.cart.checkout(ids=[number])
    added = await wavix.buy.cart.add(ids=[number])
    cart = await wavix.buy.cart.get()
    assert cart.dids == added
    assert [kind.name for kind in cart.doc_types] == ["id", "address", "localaddress"]
    await wavix.buy.cart.remove(ids=[number])
    with pytest.raises(NotFoundError):
        await wavix.buy.cart.remove(ids=[number])

    await wavix.buy.cart.add(ids=[number])
    await wavix.buy.cart.checkout(ids=[number])

    (owned,) = [each async for each in wavix.numbers.list(search=number)]
    assert (owned.number, owned.city, owned.monthly_fee, owned.label) == (number, "DETROIT, MI", Decimal(1), None)
    assert [each.id async for each in wavix.numbers.list(city_id=101)].count(owned.id) == 1
    changed = await wavix.numbers.update(owned.id, sms_enabled=True, call_status_url="https://calls.example.com")
    assert changed == await wavix.numbers.get(owned.id)
    assert changed.sms_enabled
    assert not await is_for_sale()
    with pytest.raises(NotFoundError):
        await wavix.buy.cart.add(ids=[number])

    await wavix.numbers.release(ids=[owned.id])
    assert await is_for_sale()
    assert number not in {record["number"] for record in sandbox.numbers.values()}
    sandbox.sell(number)
    assert not await is_for_sale()
    with pytest.raises(KeyError):
        sandbox.sell(number)


# --- the balance ---


async def test_every_charge_is_a_transaction(sandbox: Sandbox, wavix: WavixClient) -> None:
    await wavix.messages.send(from_=ME, to=YOU, text="Hello")
    await wavix.messages.send(from_=ME, to=YOU, text="Hello", media=["https://media.example.com/a.png"])
    await wavix.validation.validate(YOU, type="analysis")
    await wavix.short_links.create(link="https://shop.example.com")
    call = await wavix.calls.create(from_=ME, to=YOU)
    sandbox.advance(61)
    await wavix.calls.end(call.uuid or "")
    past = sandbox.add_call(from_=ME, to=YOU)
    await wavix.cdrs.retranscribe(past["call_id"], language="en")

    rows = [each async for each in wavix.billing.transactions.list(from_date=DAYS["from_"], to_date=DAYS["to"])]

    assert [(int(row.type), row.amount) for row in rows] == [
        (15, Decimal("-0.01")),
        (39, Decimal("-0.01")),
        (29, Decimal("-0.005")),
        (46, Decimal("-0.01")),
        (14, Decimal("-0.024")),
        (41, Decimal("-0.01")),
    ]
    assert rows[-1].balance_after == sandbox.balance == 1 + sum(row.amount for row in rows)
    assert all(re.search(r"Hello|media\.example", row.details) is None for row in rows)
    assert {str(row.status) for row in rows} == {"Committed"}
    listed = wavix.billing.transactions.list
    only = await listed(from_date=DAYS["from_"], to_date=DAYS["to"], type=29)
    assert [row.details for row in only] == [f"Validation of {YOU}"]
    assert len(await listed(from_date=DAYS["from_"], to_date=DAYS["to"], details_contains="Outbound")) == 3
    assert (await listed(from_date=DAYS["from_"], to_date=DAYS["to"], payments=True)).is_empty
    assert (await listed(from_date=DAYS["from_"], to_date=date(2020, 1, 2))).items == []


async def test_what_the_balance_does_not_pay_for_is_refused() -> None:
    async with (
        Sandbox(numbers=1, balance=0) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        past = sandbox.add_call(from_=ME, to=YOU)
        (service,) = sandbox.two_fa_services
        await wavix.buy.cart.add(ids=["13131000001"])
        for call in (
            wavix.messages.send(from_=ME, to=YOU, text="Hello"),
            wavix.messages.sender_ids.create(
                sender_id="Acme", type="alphanumeric", countries=["GB"], usecase="transactional"
            ),
            wavix.calls.create(from_=ME, to=YOU),
            wavix.voice_campaigns.create(callflow_id=1, caller_id=ME, contact=YOU),
            wavix.cdrs.retranscribe(past["call_id"]),
            wavix.speech_analytics.upload(file=b"RIFF", filename="a.wav", callback_url="https://calls.example.com"),
            wavix.short_links.create(link="https://shop.example.com"),
            wavix.two_fa.verification.create(service_id=service, to=YOU, channel="sms"),
            wavix.buy.cart.checkout(ids=["13131000001"]),
        ):
            with pytest.raises(UnprocessableEntityError, match="Insufficient funds"):
                await call
        assert (await wavix.validation.validate(YOU, type="format")).error_code == "091"
        assert (sandbox.balance, len(sandbox.transactions)) == (0, 0)
        assert not sandbox.messages
        assert not sandbox.calls
        assert not sandbox.two_fa_sessions


async def test_a_statement_is_made_of_each_month_that_has_ended(sandbox: Sandbox, wavix: WavixClient) -> None:
    await wavix.short_links.create(link="https://shop.example.com")
    before = await wavix.billing.invoices.list()
    sandbox.advance(timedelta(days=31).total_seconds())
    after = await wavix.billing.invoices.list()

    assert [invoice.amount for invoice in before] == [0]
    assert [invoice.amount for invoice in after][:2] == [0, Decimal("0.01")]
    first, second = after.items[:2]
    assert first.to_date + timedelta(days=1) == second.from_date
    assert second.from_date.day == 1
    async with wavix.billing.invoices.download(second.id) as file:
        assert (await file.read()).startswith(b"%PDF")
        assert (file.filename, file.content_type) == (f"invoice-{second.id}.pdf", "application/pdf")
    with pytest.raises(NotFoundError):
        async with wavix.billing.invoices.download(99):
            pass


@pytest.mark.parametrize("balance", ["much", float("nan")])
def test_a_balance_that_is_no_amount(balance: Any) -> None:
    with pytest.raises(ValueError, match="balance must be an amount"):
        Sandbox(balance=balance)


# --- validations, short links ---


async def test_a_batch_that_is_not_asynchronous_has_its_results_at_once(sandbox: Sandbox, wavix: WavixClient) -> None:
    batch = await wavix.validation.create(phone_numbers=[YOU, "12"], type="validation")

    assert (batch.id, batch.is_final, batch.count) == (None, True, 2)
    first, second = batch.items or ()
    assert (first.valid, first.reachable, first.charge) == (True, True, Decimal("0.015"))
    assert (second.valid, second.country_code, second.charge, second.error_code) == (False, None, 0, "021")
    assert await wavix.validation.validate(YOU, type="validation") == first
    assert sandbox.stats.charges == {"POST /v1/validation": 1, "GET /v1/validation": 1}


async def test_clicks_on_a_short_link(sandbox: Sandbox, wavix: WavixClient) -> None:
    ends = datetime.now(UTC) + timedelta(hours=1)
    link = await wavix.short_links.create(
        link="https://shop.example.com/sale",
        fallback_url="https://shop.example.com",
        expiration_time=ends,
        phone=YOU,
        utm_campaign="sale",
    )
    assert sandbox.click(link.short_link) == "https://shop.example.com/sale"
    sandbox.advance(3600)
    assert sandbox.click(link.short_link) == "https://shop.example.com"

    clicks = await wavix.short_links.metrics.list(**DAYS, phone=f"+{YOU}", utm_campaign="sale")
    assert [(click.phone, click.utm_campaign) for click in clicks] == [(YOU, "sale")]
    assert link.short_link.endswith(clicks.items[0].link_hash)
    assert clicks.items[0].created_at.tzinfo is not None
    assert len(await wavix.short_links.metrics.list(**DAYS, utm_campaign="other")) == 0
    with pytest.raises(KeyError):
        sandbox.click("https://other.example.com")


# --- 2FA ---


async def begin(sandbox: Sandbox, wavix: WavixClient) -> str:
    (service,) = sandbox.two_fa_services
    return (await wavix.two_fa.verification.create(service_id=service, to=f"+{YOU}", channel="sms")).session_id


def wrong(sandbox: Sandbox, session_id: str) -> str:
    return f"{(int(sandbox.code(session_id)) + 1) % 10**6:06}"


async def test_a_code_is_checked(sandbox: Sandbox, wavix: WavixClient) -> None:
    session_id = await begin(sandbox, wavix)
    check = wavix.two_fa.verification.check

    assert not (await check(session_id, code=wrong(sandbox, session_id))).is_valid
    assert (await check(session_id, code=sandbox.code(session_id))).is_valid

    (service,) = sandbox.two_fa_services
    (session,) = await wavix.two_fa.service.sessions.list(service, **DAYS)
    assert to_dict(session) == sandbox.two_fa_sessions[session_id]
    assert (session.status, session.phone_number, session.charge) == ("verified", YOU, Decimal("0.010"))
    events = await wavix.two_fa.session.events.list(session_id)
    assert [(str(event.event), str(event.status)) for event in events] == [
        ("Number lookup", "success"),
        ("Code sent via SMS", "success"),
        ("Verification", "failed"),
        ("Verification", "success"),
    ]
    assert sandbox.balance == Decimal("0.99")
    for ended in (check(session_id, code="1"), wavix.two_fa.verification.resend(session_id, channel="sms")):
        with pytest.raises(BadRequestError, match="is verified"):
            await ended
    with pytest.raises(NotFoundError):
        await wavix.two_fa.verification.cancel(session_id)


async def test_attempts_are_used_up(sandbox: Sandbox, wavix: WavixClient) -> None:
    """The sixth attempt gets a 429, which is an error at once: a wait would not help."""
    session_id = await begin(sandbox, wavix)
    for _ in range(5):
        assert not (await wavix.two_fa.verification.check(session_id, code=wrong(sandbox, session_id))).is_valid
    code = sandbox.code(session_id)
    with pytest.raises(RateLimitError) as caught:
        await wavix.two_fa.verification.check(session_id, code=code)

    assert caught.value.attempts == 1
    assert code not in repr(caught.value) + str(caught.value.details)
    assert sandbox.two_fa_sessions[session_id]["status"] == "failed"


async def test_codes_are_sent_again(sandbox: Sandbox, wavix: WavixClient) -> None:
    """An earlier code is void; the sixth one fails the session."""
    session_id = await begin(sandbox, wavix)
    first = sandbox.code(session_id)
    for _ in range(4):
        sent = await wavix.two_fa.verification.resend(session_id, channel="voice")
        assert (sent.channel, sent.destination) == ("voice", YOU)
    assert not (await wavix.two_fa.verification.check(session_id, code=first)).is_valid
    with pytest.raises(BadRequestError, match="maximum number of codes"):
        await wavix.two_fa.verification.resend(session_id, channel="sms")
    assert sandbox.two_fa_sessions[session_id]["status"] == "failed"


async def test_sessions_that_end_otherwise(sandbox: Sandbox, wavix: WavixClient) -> None:
    late, canceled = await begin(sandbox, wavix), await begin(sandbox, wavix)
    assert late != canceled
    for _ in range(2):
        assert (await wavix.two_fa.verification.cancel(canceled)).success
    sandbox.advance(200)
    await wavix.two_fa.verification.resend(late, channel="sms")
    sandbox.advance(200)
    assert sandbox.two_fa_sessions[late]["status"] == "pending"
    sandbox.advance(100)

    assert [each["status"] for each in sandbox.two_fa_sessions.values()] == ["expired", "canceled"]
    (service,) = sandbox.two_fa_services
    with pytest.raises(NotFoundError, match="Sessions not found"):
        await wavix.two_fa.service.sessions.list(service, from_="2020-01-01", to="2020-01-02")
    for missing in (wavix.two_fa.session.events.list("0"), wavix.two_fa.verification.cancel("0")):
        with pytest.raises(NotFoundError):
            await missing
    with pytest.raises(BadRequestError):
        await wavix.two_fa.verification.create(service_id="0", to=YOU, channel="sms")


async def test_a_reset_restores_the_start(sandbox: Sandbox, wavix: WavixClient) -> None:
    session_id = await begin(sandbox, wavix)
    await wavix.buy.cart.add(ids=["13131000002"])
    services = dict(sandbox.two_fa_services)
    sandbox.reset()
    assert (sandbox.balance, len(sandbox.transactions), sandbox.cart) == (1, 0, ())
    assert dict(sandbox.two_fa_services) == services
    assert not sandbox.two_fa_sessions
    assert await begin(sandbox, wavix) == session_id


async def test_the_limits_of_the_account_show_what_is_left(sandbox: Sandbox, wavix: WavixClient) -> None:
    before = (await wavix.profile.config.get()).balance
    await wavix.validation.validate(YOU, type="validation")

    left = (await wavix.profile.config.get()).balance

    assert before == 1
    assert left == sandbox.balance < before
