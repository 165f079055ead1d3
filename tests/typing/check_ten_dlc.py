"""What the type checkers make of 10DLC. Never run: mypy --strict and pyright read it."""

from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, assert_type

from wavix_async import BulkReport, BulkRun, Paginator, Success, WavixClient
from wavix_async.models import (
    TenDLCBrand,
    TenDLCBrandAppeal,
    TenDLCBrandEvidence,
    TenDLCBrandPage,
    TenDLCBrandStatus,
    TenDLCBrandVetting,
    TenDLCBrandVettingAppeal,
    TenDLCCampaign,
    TenDLCCampaignCreate,
    TenDLCCampaignNumber,
    TenDLCCampaignPage,
    TenDLCEntityType,
    TenDLCEventSubscription,
    TenDLCUseCase,
)
from wavix_async.webhooks import Webhooks


async def brands(wavix: WavixClient, hooks: Webhooks) -> None:
    brands = wavix.ten_dlc.brands
    brand = await brands.get("B1")
    assert_type(brand, TenDLCBrand)
    assert_type(brand.status, TenDLCBrandStatus)
    assert_type(brand.created_at, datetime)
    assert_type(
        brands.list(entity_type=TenDLCEntityType.NON_PROFIT, mock=True), Paginator[TenDLCBrandPage, TenDLCBrand]
    )
    assert_type(await brands.update("B1", city="Miami", state_or_province=None), TenDLCBrand)
    assert_type(await brands.wait("B1", events=hooks), TenDLCBrand)
    assert_type(await brands.appeals.create("B1", appeal_categories=["VERIFY_TAX_ID"]), Success)
    assert_type(await brands.appeals.list("B1"), list[TenDLCBrandAppeal])
    assert_type(await brands.evidence.upload("B1", file=b"", filename="a.pdf"), TenDLCBrandEvidence)
    assert_type(await brands.evidence.download("B1", "e"), bytes)
    assert_type(await brands.vettings.import_("B1", evp_id="CV", vetting_id="1", vetting_token="t"), TenDLCBrandVetting)
    assert_type(await brands.vettings.wait("B1", "1"), TenDLCBrandVetting)
    assert_type(await brands.vettings.appeals.list("B1"), list[TenDLCBrandVettingAppeal])
    assert_type((await brands.usecases.qualify("B1", TenDLCUseCase.M2M)).monthly_fee, Decimal)
    assert_type(await wavix.ten_dlc.subscriptions.list(), list[TenDLCEventSubscription])


async def campaigns(wavix: WavixClient, kept: TenDLCCampaignCreate, later: AsyncIterator[str]) -> None:
    campaigns = wavix.ten_dlc.brands.campaigns
    assert_type(campaigns.list(), Paginator[TenDLCCampaignPage, TenDLCCampaign])
    assert_type(campaigns.list("B1", created_after=date(2026, 11, 1)), Paginator[TenDLCCampaignPage, TenDLCCampaign])
    assert_type(kept.name, str)
    assert_type(kept.usecase, TenDLCUseCase | str)
    assert_type(await campaigns.create("B1", **kept), TenDLCCampaign)
    assert_type(await campaigns.wait("B1", "C1"), TenDLCCampaign)
    assert_type(await campaigns.numbers.wait("B1", "C1", "1"), list[TenDLCCampaignNumber])
    run = campaigns.numbers.bulk_link("B1", "C1", ["1"], journal="links")
    assert_type(run, BulkRun[str, Success])
    assert_type(await run, BulkReport[str, Success])
    assert_type(campaigns.numbers.bulk_link("B1", "C1", later), BulkRun[str, Success])


async def mistakes(wavix: WavixClient, anything: Any) -> None:
    brands = wavix.ten_dlc.brands
    await brands.create(dba_name="Acme")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await brands.update("B1", dba_name=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    brands.campaigns.list(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    brands.campaigns.numbers.bulk_link("B1", "C1", [1])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    await brands.usecases.qualify("B1", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await brands.vettings.appeals.create("B1", appeal_categories=anything)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
