"""10DLC beyond one request and its answer: checks of bodies, waits, files, quotas, what stays out of repr."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.resources.rows.ten_dlc import (
    BRAND,
    BRAND_ID,
    BRAND_PATH,
    CAMPAIGN,
    CAMPAIGN_ID,
    CAMPAIGN_PATH,
    EVIDENCE,
    NEW_BRAND,
    NEW_CAMPAIGN,
    QUALIFICATION,
    VETTING,
    VETTING_ID,
)
from tests.support.bulk import client_of
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    InputError,
    OutcomeUnknownError,
    RateLimitError,
    WaitTimeoutError,
    WavixClient,
    from_dict,
    models,
)
from wavix_async.models import (
    TenDLCBrand,
    TenDLCBrandCreate,
    TenDLCBrandEvidence,
    TenDLCBrandUpdate,
    TenDLCBrandVetting,
    TenDLCBrandVettingImport,
    TenDLCCampaign,
    TenDLCCampaignNumber,
    TenDLCEventSubscriptionCreate,
    TenDLCUseCase,
)
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.conftest import Api


# --- bodies and answers ---


def test_times_without_a_zone_are_utc_and_fees_are_decimals() -> None:
    campaign = from_dict(TenDLCCampaign, CAMPAIGN)
    assert campaign.created_at == datetime(2024, 8, 14, 11, 57, 41, tzinfo=UTC)
    assert (campaign.monthly_fee, campaign.next_bill_date) == (Decimal("10.0"), None)
    assert from_dict(models.TenDLCBrandQualificationResult, QUALIFICATION).monthly_fee == Decimal(10)


def test_stock_fields_are_for_listed_companies() -> None:
    for name in ("stock_symbol", "stock_exchange"):
        with pytest.raises(InputError, match=f"TenDLCBrandCreate.{name} is for PUBLIC_PROFIT companies only"):
            TenDLCBrandCreate(**{**NEW_BRAND, name: "ACME"})
        with pytest.raises(InputError, match="TenDLCBrandUpdate"):
            TenDLCBrandUpdate(**{name: "ACME", "entity_type": "NON_PROFIT"})
        # The entity type of an update may be listed already, and one of a newer API may be allowed to have them.
        assert dict(TenDLCBrandUpdate(**{name: "ACME"})) == {name: "ACME"}
        assert TenDLCBrandCreate(**{**NEW_BRAND, name: "ACME", "entity_type": "COOPERATIVE"})
        assert TenDLCBrandCreate(**{**NEW_BRAND, name: None})


def test_what_is_as_good_as_a_key_is_not_shown() -> None:
    secret = "3oDcE1vq8OR43"
    for shown in (
        from_dict(TenDLCBrandVetting, {**VETTING, "vetting_token": secret}),
        TenDLCBrandVettingImport(evp_id="AEGIS", vetting_id="1", vetting_token=secret),
        from_dict(TenDLCBrandEvidence, {**EVIDENCE, "url": f"https://api.wavix.com/?appid={secret}"}),
        TenDLCEventSubscriptionCreate(subscription_category="brand", url=f"https://hooks.example.com/{secret}"),
    ):
        assert secret not in repr(shown)


def test_a_subscription_has_a_url() -> None:
    with pytest.raises(InputError, match="url must be a URL"):
        TenDLCEventSubscriptionCreate(subscription_category="brand", url="hooks.example.com")


async def test_what_is_refused_before_anything_is_sent(api: Api, wavix: WavixClient) -> None:
    brands = wavix.ten_dlc.brands
    no_brand: Any = None
    with pytest.raises(InputError, match="brand_id must not be 'campaigns'"):
        await brands.get("campaigns")
    with pytest.raises(InputError, match="brand_id must be a string"):
        await brands.campaigns.list(no_brand)
    with pytest.raises(InputError, match="is empty"):
        await brands.update(BRAND_ID)
    with pytest.raises(InputError, match="is empty"):
        await brands.campaigns.update(BRAND_ID, CAMPAIGN_ID)
    with pytest.raises(InputError, match="number must be a phone number"):
        await brands.campaigns.numbers.link(BRAND_ID, CAMPAIGN_ID, "Acme")
    with pytest.raises(InputError, match="use_case must be a string"):
        await brands.usecases.qualify(BRAND_ID, "")
    for file, problem in ((b"", "is empty"), (b"x" * (10 * 1024 * 1024 + 1), "is larger than 10 MB")):
        with pytest.raises(InputError, match=problem):
            await brands.evidence.upload(BRAND_ID, file=file, filename="a.pdf")
    assert api.sent == []


async def test_an_enum_is_a_use_case(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", f"{BRAND_PATH}/usecases/2FA", QUALIFICATION)

    result = await wavix.ten_dlc.brands.usecases.qualify(BRAND_ID, TenDLCUseCase.TWO_FACTOR)

    assert result.usecase is TenDLCUseCase.TWO_FACTOR


async def test_an_answer_that_shows_another_value_is_not_believed(api: Api, wavix: WavixClient) -> None:
    api.answer("PUT", CAMPAIGN_PATH, CAMPAIGN)

    with pytest.raises(OutcomeUnknownError, match="usecase="):
        await wavix.ten_dlc.brands.campaigns.update(BRAND_ID, CAMPAIGN_ID, usecase="MARKETING")

    api.answer("POST", f"{BRAND_PATH}/campaigns", {**CAMPAIGN, "brand_id": "B2"})
    with pytest.raises(OutcomeUnknownError, match="brand_id"):
        await wavix.ten_dlc.brands.campaigns.create(BRAND_ID, **NEW_CAMPAIGN)


@pytest.mark.req_23
async def test_a_nudge_that_comes_too_early_fails_at_once(api: Api, wavix: WavixClient) -> None:
    api.answer("POST", f"{CAMPAIGN_PATH}/nudge", {"success": False, "message": "Too early"}, status=429)

    with pytest.raises(RateLimitError, match="Too early"):
        await wavix.ten_dlc.brands.campaigns.nudge(
            BRAND_ID, CAMPAIGN_ID, nudge_intent="REVIEW", description="Please look at it"
        )

    assert len(api.sent) == 1


# --- files ---


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=3) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as made:
        yield made


async def test_evidence_goes_up_and_comes_down(client: WavixClient, sandbox: Sandbox, tmp_path: Path) -> None:
    brand = await client.ten_dlc.brands.create(**NEW_BRAND)
    evidence = client.ten_dlc.brands.evidence
    path = tmp_path / "register.pdf"
    path.write_bytes(b"%PDF-1.7" * 1000)

    filed = await evidence.upload(brand.brand_id, file=path)

    assert (filed.file_name, filed.mime_type) == ("register.pdf", "application/pdf")
    assert await evidence.list(brand.brand_id) == [filed]
    saved = await evidence.download(brand.brand_id, filed.uuid).save(tmp_path / "copy.pdf")
    assert (tmp_path / "copy.pdf").read_bytes() == path.read_bytes()
    assert (saved.size, sandbox.keys_to_file_host) == (8000, 0)
    await evidence.delete(brand.brand_id, filed.uuid)
    assert await evidence.list(brand.brand_id) == []


# --- waits ---


def waiting(wait: Callable[[WavixClient], Any], *answers: Any) -> Any:
    """Wait in virtual time while the API gives these answers, the last one again and again."""
    left = list(answers)

    def answer(_: Seen) -> Reply:
        return Reply(200, left.pop(0) if len(left) > 1 else left[0])

    async def main() -> Any:
        async with client_of(StubSession(answer)) as wavix:
            return await wait(wavix)

    return run_virtual(main())


def with_status(record: dict[str, Any], *statuses: str, field: str = "status", **more: Any) -> list[dict[str, Any]]:
    return [{**record, field: status, **more} for status in statuses]


def listed(*numbers: tuple[str, str]) -> dict[str, Any]:
    return {"numbers": [{"number": number, "status": status} for number, status in numbers]}


@pytest.mark.parametrize("end", ["VERIFIED", "VETTED_VERIFIED", "UNVERIFIED", "SUSPENDED", "SOMETHING_NEW"])
def test_a_brand_is_out_of_review(end: str) -> None:
    brand = waiting(
        lambda w: w.ten_dlc.brands.wait(BRAND_ID), *with_status(BRAND, "REVIEW", "REVIEW", end), *with_status(BRAND, "")
    )
    assert isinstance(brand, TenDLCBrand)
    assert (brand.status, brand.is_final, brand.is_verified) == (end, True, end.endswith("VERIFIED") and end[0] == "V")


@pytest.mark.parametrize("end", ["APPROVED", "DECLINED", "SUSPENDED", "EXPIRED", "DELETED", "PORTED_OUT"])
def test_a_campaign_is_out_of_review(end: str) -> None:
    campaign = waiting(
        lambda w: w.ten_dlc.brands.campaigns.wait(BRAND_ID, CAMPAIGN_ID),
        *with_status(CAMPAIGN, "REVIEW", "PENDING", end, "REVIEW"),
    )
    assert (campaign.status, campaign.is_final) == (end, True)


def test_a_vetting_is_finished_when_it_has_a_score() -> None:
    other = {**VETTING, "vetting_id": "2", "vetting_status": "ACTIVE", "vetting_score": 1}
    half = {**VETTING, "vetting_status": "ACTIVE"}
    done = {**half, "vetting_score": 80}

    def wait(w: WavixClient) -> Any:
        return w.ten_dlc.brands.vettings.wait(BRAND_ID, VETTING_ID)

    assert waiting(wait, [other], [other, VETTING], [half], [other, done], []).vetting_score == 80
    assert waiting(wait, [VETTING], [{**VETTING, "vetting_status": "FAILED"}], []).vetting_status == "FAILED"
    with pytest.raises(WaitTimeoutError, match="vetting 13d8e00c-3cb4-4dc0-9e26-d5057fa938d9 is finished") as late:
        waiting(wait, [other])
    assert late.value.last is None


def test_numbers_are_decided_together() -> None:
    def wait(w: WavixClient) -> Any:
        given = ["+1 (512) 555-0002", "15125550001", "15125550002"]
        return w.ten_dlc.brands.campaigns.numbers.wait(BRAND_ID, CAMPAIGN_ID, given)

    one, two, other = ("15125550001", "15125550002", "15125550003")
    found = waiting(
        wait,
        listed((other, "PENDING")),
        listed((one, "APPROVED")),
        listed((one, "APPROVED"), (f"+{two}", "PENDING")),
        listed((one, "APPROVED"), (f"+{two}", "REJECTED"), (other, "PENDING")),
        listed(),
    )
    assert found == [
        TenDLCCampaignNumber(number=f"+{two}", status="REJECTED"),  # type: ignore[arg-type]
        TenDLCCampaignNumber(number=one, status="APPROVED"),  # type: ignore[arg-type]
    ]
    with pytest.raises(WaitTimeoutError, match="2 numbers of campaign CKLCK95 are approved or rejected") as late:
        waiting(wait, listed((one, "APPROVED"), (two, "PENDING")))
    assert [each.status for each in late.value.last] == ["PENDING", "APPROVED"]
    assert waiting(
        lambda w: w.ten_dlc.brands.campaigns.numbers.wait(BRAND_ID, CAMPAIGN_ID, f"+{one}"), listed((one, "REJECTED"))
    )[0].is_final


class Decider:
    """A source of events that lets the registry decide as soon as a wait listens."""

    def __init__(self, decide: Callable[[], None]) -> None:
        self._decide = decide
        self.asked: list[Any] = []

    async def next(self, kind: type[Any], *, timeout: float | None = None, **fields: object) -> Any:
        self.asked.append((kind.__name__, fields))
        self._decide()


async def test_an_event_makes_a_wait_read_at_once() -> None:
    async with (
        Sandbox(numbers=1, registry_delay=1e6) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        brands, number = wavix.ten_dlc.brands, sandbox.numbers[1001]["number"]
        brand = (await brands.create(**NEW_BRAND)).brand_id
        verified = Decider(lambda: sandbox.set_registry_status(brand, "VERIFIED"))
        assert (await brands.wait(brand, events=verified)).is_verified
        assert verified.asked == [("BrandStatusChanged", {"brand_id": brand})]

        campaign = (await brands.campaigns.create(brand, **NEW_CAMPAIGN)).campaign_id
        approved = Decider(lambda: sandbox.set_registry_status(campaign, "APPROVED"))
        assert (await brands.campaigns.wait(brand, campaign, events=approved)).status == "APPROVED"
        assert approved.asked == [("CampaignStatusChanged", {"campaign_id": campaign})]

        await brands.campaigns.numbers.link(brand, campaign, number)
        vetting = (await brands.vettings.create(brand, evp_id="CV", vetting_class="STANDARD")).vetting_id
        decided = Decider(lambda: sandbox.advance(1e6))
        found = await brands.campaigns.numbers.wait(brand, campaign, number, events=decided)
        assert [each.status for each in found] == ["APPROVED"]
        assert decided.asked == [("NumberStatusChanged", {"campaign_id": campaign})]
        assert (await brands.vettings.wait(brand, vetting, events=decided)).vetting_score == 60
