"""10DLC in the sandbox: life cycles, filters, refusals, events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.resources.rows.ten_dlc import NEW_BRAND, NEW_CAMPAIGN
from wavix_async import NotFoundError, RateLimitError, UnprocessableEntityError, WavixClient
from wavix_async.models import TenDLCBrand
from wavix_async.resources.ten_dlc.brands import Brands
from wavix_async.sandbox import Sandbox

DELAY = 600.0
HOUR = 3600.0
SAMPLE = "Your code for Acme is 654321."


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=3, seed=7, registry_delay=DELAY) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url, strict=True) as made:
        yield made


@pytest.fixture
def brands(client: WavixClient) -> Brands:
    return client.ten_dlc.brands


async def verified(sandbox: Sandbox, brands: Brands, **more: Any) -> str:
    brand = await brands.create(**{**NEW_BRAND, **more})
    sandbox.advance(DELAY)
    return brand.brand_id


async def approved(sandbox: Sandbox, brands: Brands) -> tuple[str, str]:
    brand = await verified(sandbox, brands)
    campaign = await brands.campaigns.create(brand, **NEW_CAMPAIGN)
    sandbox.advance(DELAY)
    return brand, campaign.campaign_id


async def status(brands: Brands, brand: str) -> str:
    return (await brands.get(brand)).status


def events(sandbox: Sandbox) -> list[tuple[str, str | None, str]]:
    return [(each.kind, each.url, each.body["status"]) for each in sandbox.outbox]


# --- brands ---


async def test_a_brand_is_echoed_and_verified_later(sandbox: Sandbox, brands: Brands) -> None:
    brand = await brands.create(**NEW_BRAND, website="https://example.com", state_or_province="FL")
    assert brand.brand_id[0] == "B"
    assert len(brand.brand_id) == 7
    shown = {name: getattr(brand, name) for name in (*NEW_BRAND, "website", "state_or_province")}
    assert shown == {**NEW_BRAND, "website": "https://example.com", "state_or_province": "FL"}
    assert (brand.status, brand.stock_symbol, brand.mock) == ("REVIEW", None, False)
    assert await brands.get(brand.brand_id) == brand
    assert list(await brands.list()) == [brand]
    sandbox.advance(DELAY - 1)
    assert await status(brands, brand.brand_id) == "REVIEW"
    sandbox.advance(1)
    assert await status(brands, brand.brand_id) == "VERIFIED"
    assert events(sandbox) == [("brand", None, "VERIFIED")]
    assert sandbox.stats.charges == {"POST /v3/10dlc/brands": 1}


async def test_brands_that_are_decided_otherwise(sandbox: Sandbox, brands: Brands) -> None:
    assert (await brands.create(**NEW_BRAND, mock=True)).status == "VERIFIED"
    unverified = await brands.get(await verified(sandbox, brands, ein_taxid="12-3450000"))
    assert (unverified.status, unverified.feedback) == ("UNVERIFIED", "The tax ID does not match the company")
    with pytest.raises(UnprocessableEntityError, match="The Brand is not verified"):
        await brands.campaigns.create(unverified.brand_id, **NEW_CAMPAIGN)
    with pytest.raises(UnprocessableEntityError, match="Only a verified Brand"):
        await brands.vettings.create(unverified.brand_id, evp_id="CV", vetting_class="STANDARD")


async def test_an_update_of_the_identity_is_verified_again(sandbox: Sandbox, brands: Brands) -> None:
    brand = (await brands.create(**NEW_BRAND)).brand_id
    with pytest.raises(UnprocessableEntityError, match="in the status REVIEW cannot be updated"):
        await brands.update(brand, city="Tampa")
    sandbox.advance(DELAY)
    updated = await brands.update(brand, city="Tampa", company_name="Acme Inc.")
    assert (updated.city, updated.status, updated.dba_name) == ("Tampa", "VERIFIED", "Acme")
    updated = await brands.update(brand, ein_taxid="99-0000000")
    assert updated.status == "REVIEW"
    sandbox.advance(DELAY)
    assert await status(brands, brand) == "UNVERIFIED"
    assert [each[2] for each in events(sandbox)] == ["VERIFIED", "UNVERIFIED", "REVIEW", "UNVERIFIED"]


async def test_filters_of_brands(sandbox: Sandbox, brands: Brands) -> None:
    acme = await verified(sandbox, brands)
    other = (await brands.create(**{**NEW_BRAND, "company_name": "Bee Ltd", "country": "GB"}, mock=True)).brand_id
    gone = (await brands.create(**NEW_BRAND)).brand_id
    await brands.delete(gone)

    async def found(**query: Any) -> list[str]:
        return [each.brand_id async for each in brands.list(**query)]

    assert await found() == [acme, other]
    assert await found(show_deleted=True) == [acme, other, gone]
    assert await found(company_name="bee") == [other]
    assert await found(status="VERIFIED", mock=True) == [other]
    assert await found(country="US", mock=False) == [acme]
    assert await found(created_after="2999-01-01") == []
    with pytest.raises(NotFoundError):
        await brands.get(gone)


# --- appeals and vettings ---


async def test_an_appeal_with_evidence_verifies_a_brand(sandbox: Sandbox, brands: Brands) -> None:
    brand = await verified(sandbox, brands, ein_taxid="0000")
    with pytest.raises(UnprocessableEntityError, match="There is no evidence"):
        await brands.appeals.create(brand, appeal_categories=["VERIFY_TAX_ID"], evidence=["1"])
    with pytest.raises(UnprocessableEntityError, match="for VERIFY_GOVERNMENT category"):
        await brands.appeals.create(brand, appeal_categories=["VERIFY_GOVERNMENT"])
    file = await brands.evidence.upload(brand, file=b"%PDF", filename="a.pdf")
    await brands.appeals.create(brand, appeal_categories=["VERIFY_TAX_ID"])
    await brands.appeals.create(brand, appeal_categories=["VERIFY_TAX_ID"], evidence=[file.uuid], explanation="Look")
    assert [each.status for each in await brands.appeals.list(brand)] == ["PENDING", "PENDING"]
    sandbox.advance(DELAY)
    first, second = await brands.appeals.list(brand)
    assert (first.status, first.outcome and first.outcome.vetting_status) == ("COMPLETED", "UNVERIFIED")
    assert (second.explanation, second.outcome and second.outcome.vetting_status) == ("Look", "VERIFIED")
    assert await status(brands, brand) == "VERIFIED"
    with pytest.raises(UnprocessableEntityError, match="Invalid request by VERIFIED entity"):
        await brands.appeals.create(brand, appeal_categories=["VERIFY_TAX_ID"])


async def test_a_verified_non_profit_may_appeal(sandbox: Sandbox, brands: Brands) -> None:
    brand = await verified(sandbox, brands, entity_type="NON_PROFIT")
    assert (await brands.appeals.create(brand, appeal_categories=["VERIFY_NON_PROFIT"])).success


async def test_a_vetting_has_a_score_later(sandbox: Sandbox, brands: Brands) -> None:
    brand = await verified(sandbox, brands)
    vetting = await brands.vettings.create(brand, evp_id="AEGIS", vetting_class="ENHANCED")
    assert (vetting.vetting_status, vetting.vetting_score, vetting.vetting_token) == ("PENDING", None, None)
    sandbox.advance(DELAY)
    (done,) = await brands.vettings.list(brand)
    assert (done.vetting_id, done.vetting_status, done.vetting_score) == (vetting.vetting_id, "ACTIVE", 60)
    assert await status(brands, brand) == "VETTED_VERIFIED"

    with pytest.raises(UnprocessableEntityError, match="VETTED_VERIFIED cannot be updated"):
        await brands.update(brand, city="Tampa")
    appeals = brands.vettings.appeals
    with pytest.raises(UnprocessableEntityError, match="for VERIFY_TAX_ID category"):
        await appeals.create(brand, appeal_categories=["VERIFY_TAX_ID"], evidence=[])
    with pytest.raises(UnprocessableEntityError, match="no such vetting"):
        await appeals.create(brand, appeal_categories=["LOW_SCORE"], evidence=[], vetting_id="1")
    file = await brands.evidence.upload(brand, file=b"%PDF", filename="a.pdf")
    await appeals.create(brand, appeal_categories=["LOW_SCORE"], evidence=[file.uuid])
    assert [each.appeal_status for each in await appeals.list(brand)] == ["PENDING"]
    sandbox.advance(DELAY)
    (appeal,) = await appeals.list(brand)
    assert (appeal.appeal_status, appeal.appeal_outcome and appeal.appeal_outcome.vet_score) == ("COMPLETE", 80)
    assert (await brands.vettings.list(brand))[0].vetting_score == 80


async def test_a_vetting_can_be_imported(sandbox: Sandbox, brands: Brands) -> None:
    brand = await verified(sandbox, brands)
    imported = await brands.vettings.import_(brand, evp_id="CV", vetting_id="v1", vetting_token="t1")
    assert (imported.vetting_id, imported.vetting_status, imported.vetting_token) == ("v1", "ACTIVE", "t1")
    assert await brands.vettings.list(brand) == [imported]
    assert await status(brands, brand) == "VETTED_VERIFIED"


async def test_what_a_brand_qualifies_for(sandbox: Sandbox, brands: Brands) -> None:
    brand = (await brands.create(**NEW_BRAND)).brand_id
    with pytest.raises(UnprocessableEntityError, match="has no score yet"):
        await brands.usecases.qualify(brand, "2FA")
    sandbox.advance(DELAY)
    result = await brands.usecases.qualify(brand, "LOW_VOLUME")
    assert (result.usecase, str(result.monthly_fee)) == ("LOW_VOLUME", "1.5")
    assert {each.mno: each.mno_qualify for each in result.mno_metadata} == {"AT&T": True, "T-Mobile": True}


# --- campaigns ---


async def test_a_campaign_is_echoed_approved_and_deleted(sandbox: Sandbox, brands: Brands) -> None:
    brand = await verified(sandbox, brands)
    campaign = await brands.campaigns.create(brand, **NEW_CAMPAIGN)
    assert {name: getattr(campaign, name) for name in NEW_CAMPAIGN} == NEW_CAMPAIGN
    assert (campaign.status, str(campaign.monthly_fee), campaign.brand_id) == ("REVIEW", "10.0", brand)
    sandbox.advance(DELAY)
    assert (await brands.campaigns.get(brand, campaign.campaign_id)).status == "APPROVED"
    for change in (lambda: brands.update(brand, city="Tampa"), lambda: brands.delete(brand)):
        with pytest.raises(UnprocessableEntityError, match="with active Campaigns cannot be"):
            await change()
    updated = await brands.campaigns.update(brand, campaign.campaign_id, name="More codes", sample2=SAMPLE)
    assert (updated.name, updated.sample1, updated.sample2) == ("More codes", NEW_CAMPAIGN["sample1"], SAMPLE)
    await brands.campaigns.delete(brand, campaign.campaign_id)
    assert (await brands.campaigns.get(brand, campaign.campaign_id)).status == "DELETED"
    with pytest.raises(NotFoundError):
        await brands.campaigns.delete(brand, campaign.campaign_id)
    assert (await brands.delete(brand)).success
    assert [each[::2] for each in events(sandbox)] == [
        ("brand", "VERIFIED"),
        ("campaign", "APPROVED"),
        ("campaign", "DELETED"),
    ]


async def test_campaigns_of_one_brand_and_of_all(sandbox: Sandbox, brands: Brands) -> None:
    brand, campaign = await approved(sandbox, brands)
    other = await verified(sandbox, brands)
    second = (await brands.campaigns.create(other, **{**NEW_CAMPAIGN, "name": "News"}, mock=True)).campaign_id

    async def found(*ids: str, **query: Any) -> list[str]:
        return [each.campaign_id async for each in brands.campaigns.list(*ids, **query)]

    assert await found() == [campaign, second]
    assert await found(brand) == [campaign]
    assert await found(brand_id=other) == [second]
    assert await found(name="new") == await found(mock=True) == await found(status="REVIEW") == [second]
    assert await found(brand, usecase="MARKETING") == []
    with pytest.raises(NotFoundError):
        await brands.campaigns.get(brand, second)
    with pytest.raises(NotFoundError):
        await brands.campaigns.list("B1")


async def test_a_nudge_once_in_a_day_after_three_days(sandbox: Sandbox, brands: Brands) -> None:
    brand = await verified(sandbox, brands)
    campaign = (await brands.campaigns.create(brand, **{**NEW_CAMPAIGN, "name": "To be declined"})).campaign_id

    async def nudge(intent: str = "APPEAL_REJECTION") -> None:
        await brands.campaigns.nudge(brand, campaign, nudge_intent=intent, description="Please look at it again")

    sandbox.advance(72 * HOUR - 1)
    assert (await brands.campaigns.get(brand, campaign)).status == "DECLINED"
    with pytest.raises(RateLimitError, match="younger than 72 hours"):
        await nudge()
    sandbox.advance(1)
    await nudge()
    assert (await brands.campaigns.get(brand, campaign)).status == "REVIEW"
    sandbox.advance(24 * HOUR - 1)
    assert (await brands.campaigns.get(brand, campaign)).status == "APPROVED"
    with pytest.raises(RateLimitError, match="every 24 hours"):
        await nudge("REVIEW")
    sandbox.advance(1)
    with pytest.raises(UnprocessableEntityError, match="Only a declined Campaign"):
        await nudge()
    await nudge("REVIEW")


# --- numbers ---


async def test_an_approved_number_is_a_sender_id(sandbox: Sandbox, client: WavixClient, brands: Brands) -> None:
    brand, campaign = await approved(sandbox, brands)
    numbers, own = brands.campaigns.numbers, [each["number"] for each in sandbox.numbers.values()]
    await numbers.link(brand, campaign, f"+{own[0]}")
    (found,) = await numbers.list(brand, campaign)
    assert (found.number, found.status, found.is_final) == (own[0], "PENDING", False)
    assert await client.messages.sender_ids.list() == []
    with pytest.raises(UnprocessableEntityError, match="linked already"):
        await numbers.link(brand, campaign, own[0])
    with pytest.raises(NotFoundError):
        await numbers.link(brand, campaign, "+1 512 555 0100")
    sandbox.advance(DELAY)
    assert [each.status for each in await numbers.list(brand, campaign)] == ["APPROVED"]
    assert [each.sender_id for each in await client.messages.sender_ids.list()] == [own[0]]
    assert (await brands.campaigns.get(brand, campaign)).phone_numbers == [own[0]]
    await numbers.unlink(brand, campaign, own[0])
    assert await client.messages.sender_ids.list() == []
    with pytest.raises(NotFoundError):
        await numbers.unlink(brand, campaign, own[0])

    await numbers.link(brand, campaign, own[1])
    sandbox.advance(DELAY)
    await brands.campaigns.delete(brand, campaign)
    assert await client.messages.sender_ids.list() == []
    assert sandbox.campaigns[campaign]["phone_numbers"] == []


async def test_a_number_can_be_rejected(sandbox: Sandbox, brands: Brands) -> None:
    brand, campaign = await approved(sandbox, brands)
    sandbox.change(1001, label="To be rejected")
    number = sandbox.numbers[1001]["number"]
    await brands.campaigns.numbers.link(brand, campaign, number)
    sandbox.advance(DELAY)
    assert [each.status for each in await brands.campaigns.numbers.list(brand, campaign)] == ["REJECTED"]


# --- events ---


async def test_events_go_to_the_subscriptions(sandbox: Sandbox, client: WavixClient, brands: Brands) -> None:
    subscriptions = client.ten_dlc.subscriptions
    for category in ("brand", "campaign", "number"):
        await subscriptions.create(subscription_category=category, url=f"https://hooks.example.com/{category}")
    await subscriptions.create(subscription_category="brand", url="https://hooks.example.com/new")
    assert [each.subscription_category for each in await subscriptions.list()] == ["brand", "campaign", "number"]

    brand, campaign = await approved(sandbox, brands)
    number = sandbox.numbers[1001]["number"]
    await brands.campaigns.numbers.link(brand, campaign, number)
    sandbox.advance(DELAY)
    assert sandbox.outbox[-1].body == {
        "number": number,
        "campaign_id": campaign,
        "brand_id": brand,
        "status": "APPROVED",
    }
    await subscriptions.delete("campaign")
    with pytest.raises(NotFoundError):
        await subscriptions.delete("campaign")
    sandbox.set_registry_status(campaign, "EXPIRED")
    sandbox.set_registry_status(brand, "SUSPENDED")
    with pytest.raises(KeyError):
        sandbox.set_registry_status("B1", "SUSPENDED")
    hook = "https://hooks.example.com"
    assert events(sandbox) == [
        ("brand", f"{hook}/new", "VERIFIED"),
        ("campaign", f"{hook}/campaign", "APPROVED"),
        ("number", f"{hook}/number", "APPROVED"),
        ("campaign", None, "EXPIRED"),
        ("brand", f"{hook}/new", "SUSPENDED"),
    ]
    assert sandbox.brands[brand]["status"] == "SUSPENDED"
    sandbox.reset()
    assert not sandbox.brands
    assert await subscriptions.list() == []


async def test_what_costs_money_needs_it_and_is_a_transaction() -> None:
    async with (
        Sandbox(numbers=1, balance=78) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        brands = wavix.ten_dlc.brands
        brand = (await brands.create(**NEW_BRAND)).brand_id
        await brands.update(brand, city="Tampa")
        await brands.update(brand, company_name="Acme Ltd")
        await brands.vettings.create(brand, evp_id="CV", vetting_class="STANDARD")
        campaign = (await brands.campaigns.create(brand, **NEW_CAMPAIGN)).campaign_id
        assert sandbox.balance == 0
        for refused in (
            brands.create(**NEW_BRAND),
            brands.campaigns.create(brand, **NEW_CAMPAIGN),
            brands.vettings.create(brand, evp_id="CV", vetting_class="STANDARD"),
            brands.vettings.appeals.create(brand, appeal_categories=["LOW_SCORE"], evidence=[]),
        ):
            with pytest.raises(UnprocessableEntityError, match="Insufficient funds"):
                await refused
        assert (len(sandbox.brands), len(sandbox.campaigns), len(await brands.vettings.list(brand))) == (1, 1, 1)
        await brands.campaigns.numbers.link(brand, campaign, sandbox.numbers[1001]["number"])
        assert len(await wavix.messages.sender_ids.list()) == 1
        assert [each["type"] for each in sandbox.transactions.values()] == [42, 47, 50, 43]


async def test_older_shapes_of_answers() -> None:
    async with (
        Sandbox(numbers=1, variants=1.0) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        brands, number = wavix.ten_dlc.brands, sandbox.numbers[1001]["number"]
        brand = (await brands.create(**NEW_BRAND)).brand_id
        await brands.evidence.upload(brand, file=b"%PDF", filename="a.pdf")
        assert [each.file_name for each in await brands.evidence.list(brand)] == ["a.pdf"]
        await brands.vettings.create(brand, evp_id="CV", vetting_class="STANDARD")
        for count in (0, 1, 2):
            assert len(await brands.vettings.appeals.list(brand)) == count
            await brands.vettings.appeals.create(brand, appeal_categories=["LOW_SCORE"], evidence=[])
        campaign = (await brands.campaigns.create(brand, **NEW_CAMPAIGN)).campaign_id
        linked = await brands.campaigns.numbers.link(brand, campaign, number)
        assert (linked.success, linked.extra["status"]) == (True, "pending")


async def test_the_same_seed_gives_the_same_ids(sandbox: Sandbox, brands: Brands) -> None:
    async with (
        Sandbox(seed=7) as again,
        WavixClient(again.api_key, base_url=again.url) as wavix,
    ):
        mine: TenDLCBrand = await brands.create(**NEW_BRAND)
        assert (await wavix.ten_dlc.brands.create(**NEW_BRAND)).brand_id == mine.brand_id


def test_a_delay_is_not_negative() -> None:
    with pytest.raises(ValueError, match="registry_delay must be 0 or more"):
        Sandbox(registry_delay=-1)
