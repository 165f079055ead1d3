"""What the type checkers make of the account's groups. Never run: mypy --strict and pyright read it."""

from datetime import date, datetime
from decimal import Decimal
from typing import assert_type

from wavix_async import Paginator, Success, WavixClient
from wavix_async.models import (
    ApiKey,
    FinancialTransaction,
    Permission,
    Profile,
    ProfileConfig,
    ScopePermission,
    ScopePermissionUpdate,
    SIPTrunk,
    SIPTrunkPage,
    SIPTrunkSummary,
    SubOrganization,
    SubOrganizationPage,
    SubOrganizationStatus,
    TransactionPage,
    TransactionStatus,
    TransactionType,
    TrunkAuthMethod,
)


async def reading(wavix: WavixClient) -> None:
    trunks = wavix.trunks.list(per_page=50)
    assert_type(trunks, Paginator[SIPTrunkPage, SIPTrunkSummary])
    async for each in trunks:
        assert_type(each.auth_method, TrunkAuthMethod)
        assert_type(each.charge, Decimal)
    trunk = await wavix.trunks.get(3107)
    assert_type(trunk, SIPTrunk)
    assert_type(trunk.name, str)
    assert_type(trunk.max_call_cost, Decimal | None)

    keys = await wavix.api_keys.list(label="billing")
    assert_type(keys, list[ApiKey])
    assert_type(keys[0].value, str | None)
    assert_type(keys[0].two_fa, ScopePermission | None)
    assert_type(keys[0].last_used_at, datetime | None)

    organizations = wavix.sub_organizations.list(status="disabled")
    assert_type(organizations, Paginator[SubOrganizationPage, SubOrganization])
    assert_type((await organizations).items[0].status, SubOrganizationStatus)
    rows = wavix.sub_organizations.billing.transactions.list(
        123, from_date=date(2026, 11, 1), to_date="2026-11-30", type=[TransactionType.OUTBOUND_SMS, 1]
    )
    assert_type(rows, Paginator[TransactionPage, FinancialTransaction])
    async for row in rows:
        assert_type(row.amount, Decimal)
        assert_type(row.status, TransactionStatus)

    assert_type(await wavix.profile.get(), Profile)
    assert_type(await wavix.profile.config.get(), ProfileConfig)


async def changing(wavix: WavixClient) -> None:
    read = ScopePermissionUpdate(allow=Permission.READ)
    assert_type(await wavix.api_keys.create(label="a", numbers={"allow": "read"}, calls=read), ApiKey)
    assert_type(await wavix.api_keys.update(501, permitted_ips=["203.0.113.7"]), ApiKey)
    assert_type(await wavix.api_keys.delete(501), Success)
    assert_type(await wavix.trunks.edit(3107, password="-", max_call_cost=Decimal("0.5"), max_channels=2), SIPTrunk)
    assert_type(await wavix.trunks.edit(3107, password="-", max_call_cost=0.5), SIPTrunk)
    assert_type(await wavix.trunks.edit(3107, password="-", allowed_ips=[{"ip": "203.0.113.7"}]), SIPTrunk)
    assert_type(await wavix.sub_organizations.create(name="Acme"), SubOrganization)
    assert_type(await wavix.sub_organizations.edit(123, status=SubOrganizationStatus.DISABLED), SubOrganization)
    assert_type(await wavix.profile.update(company_info={"industry": "other"}), Profile)


async def mistakes(wavix: WavixClient) -> None:
    await wavix.trunks.edit(3107, label="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.trunks.edit(3107, password="-", host="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.trunks.update(3107, password="-", label="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.trunks.get("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.api_keys.create(active=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.api_keys.update(501, numbers="read")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.sub_organizations.edit(123, statu="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix.sub_organizations.billing.transactions.list(123)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
