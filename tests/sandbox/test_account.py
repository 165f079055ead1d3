"""API keys, SIP trunks, sub-organizations and the profile in the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import aiohttp
import pytest

from tests.resources.rows.trunks import PASSWORD, REQUIRED, SETTINGS
from wavix_async import AuthenticationError, NotFoundError, PermissionDeniedError, RetryPolicy, WavixClient, to_dict
from wavix_async.errors import UnprocessableEntityError
from wavix_async.models import SIPTrunk
from wavix_async.sandbox import Sandbox

HOST: Final = "203.0.113.7"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=2, trunk_delay=60) as sandbox:
        yield sandbox


@pytest.fixture
async def wavix(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with client(sandbox, sandbox.api_key) as wavix:
        yield wavix


def client(sandbox: Sandbox, key: str | None) -> WavixClient:
    """Return a client that accepts only answers as documented."""
    return WavixClient(key, base_url=sandbox.url, strict=True, retry=RetryPolicy.none())


async def works(sandbox: Sandbox, key: str | None) -> bool:
    async with client(sandbox, key) as wavix:
        try:
            await wavix.numbers.list()
        except AuthenticationError:
            return False
        return True


# --- API keys ---


async def test_a_key_works_until_it_is_switched_off_or_deleted(sandbox: Sandbox, wavix: WavixClient) -> None:
    key = await wavix.api_keys.create(label="billing")
    assert await works(sandbox, key.value)
    assert not await works(sandbox, f"{key.value}x")

    assert (await wavix.api_keys.update(key.id, active=False)).active is False
    assert not await works(sandbox, key.value)

    await wavix.api_keys.update(key.id, active=True, label="accounting")
    assert await works(sandbox, key.value)

    assert (await wavix.api_keys.delete(key.id)).success
    assert not await works(sandbox, key.value)
    with pytest.raises(NotFoundError):
        await wavix.api_keys.delete(key.id)


async def test_lists_mask_keys_and_show_when_they_were_used(sandbox: Sandbox, wavix: WavixClient) -> None:
    first = await wavix.api_keys.create(label="billing, Spain")
    await wavix.api_keys.create(label="Portugal")
    (unused,) = await wavix.api_keys.list(label="Spain")
    assert (unused.id, unused.last_used_at) == (first.id, None)

    assert await works(sandbox, first.value)

    (used, other) = await wavix.api_keys.list()
    assert first.value is not None
    assert used.value == f"********{first.value[-4:]}"
    assert used.last_used_at is not None
    assert other.last_used_at is None
    assert sandbox.api_keys[first.id]["value"] == used.value


async def test_a_key_has_its_scopes(sandbox: Sandbox, wavix: WavixClient) -> None:
    made = await wavix.api_keys.create(label="a", scopes_enabled=True, numbers={"allow": "read"})
    assert made.numbers is not None
    assert made.calls is not None
    assert (made.numbers.allow, made.calls.allow) == ("read", "none")
    async with client(sandbox, made.value) as limited:
        number = (await limited.numbers.list()).items[0]
        with pytest.raises(PermissionDeniedError):
            await limited.numbers.update(number.id, call_recording_enabled=True)
        with pytest.raises(PermissionDeniedError):
            await limited.calls.list()

        await wavix.api_keys.update(made.id, numbers={"allow": "write"})
        assert (await limited.numbers.update(number.id, call_recording_enabled=True)).call_recording_enabled
        await wavix.api_keys.update(made.id, scopes_enabled=False)
        assert await limited.calls.list() == []


async def test_a_restricted_key_works_from_its_addresses(sandbox: Sandbox, wavix: WavixClient) -> None:
    here = await wavix.api_keys.create(label="a", restricted=True, permitted_ips=["203.0.113.7", "127.0.0.1"])
    assert await works(sandbox, here.value)

    await wavix.api_keys.update(here.id, permitted_ips=["203.0.113.7"])
    assert not await works(sandbox, here.value)
    await wavix.api_keys.update(here.id, restricted=False)
    assert await works(sandbox, here.value)
    await wavix.api_keys.update(here.id, restricted=True, permitted_ips=[])
    assert not await works(sandbox, here.value)

    for call in (
        wavix.api_keys.create(label="a", permitted_ips=["here"]),
        wavix.api_keys.update(here.id, permitted_ips=["::1"]),
    ):
        with pytest.raises(UnprocessableEntityError, match="Ip has incorrect format"):
            await call


async def test_a_key_that_deletes_itself_is_refused_afterwards(sandbox: Sandbox, wavix: WavixClient) -> None:
    made = await wavix.api_keys.create(label="a")
    async with client(sandbox, made.value) as doomed:
        assert (await doomed.api_keys.delete(made.id)).success
        with pytest.raises(AuthenticationError):
            await doomed.api_keys.delete(made.id)


async def test_the_api_requires_the_addresses_of_a_restricted_key(sandbox: Sandbox) -> None:
    """The client checks it before it sends anything."""
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    body = {"label": "a", "restricted": True}
    async with (
        aiohttp.ClientSession(sandbox.url, headers=headers) as session,
        session.post("/v1/api-keys", json=body) as answer,
    ):
        assert answer.status == 422


# --- SIP trunks ---


def same(trunk: SIPTrunk, settings: dict[str, Any]) -> bool:
    shown = to_dict(trunk)
    wanted = {**settings, "allowed_ips": settings.get("allowed_ips", [])}
    shown["allowed_ips"] = [{"ip": each["ip"]} for each in shown["allowed_ips"]]
    host = wanted.pop("host_request", {}).get("host", "dynamic")
    cost = wanted.pop("max_call_cost", None)
    return (
        shown["host"] == host
        and trunk.max_call_cost == (None if cost is None else Decimal(str(cost)))
        and {name: shown[name] for name in wanted} == wanted
    )


async def test_a_trunk_shows_its_settings_until_it_is_deleted(sandbox: Sandbox, wavix: WavixClient) -> None:
    trunk = await wavix.trunks.create(password=PASSWORD, **SETTINGS)
    assert same(trunk, SETTINGS)
    assert trunk.name is not None
    assert (len(trunk.name), trunk.passthrough) == (5, False)
    assert await wavix.trunks.get(trunk.id) == trunk
    assert (await wavix.trunks.list()).items[0].name == trunk.name

    replaced = await wavix.trunks.update(trunk.id, password=PASSWORD, **REQUIRED)
    assert same(replaced, REQUIRED)
    assert replaced.call_recording_enabled is False
    kept = ("id", "name", "created_at", "access_token")
    assert [getattr(replaced, name) for name in kept] == [getattr(trunk, name) for name in kept]

    other = await wavix.trunks.create(password=PASSWORD, **{**REQUIRED, "label": "Home"})
    assert (other.name, other.access_token) != (trunk.name, trunk.access_token)
    await wavix.trunks.delete(trunk.id)
    with pytest.raises(NotFoundError):
        await wavix.trunks.get(trunk.id)
    assert [each.label async for each in wavix.trunks.list()] == ["Home"]
    assert "password" not in str(dict(sandbox.trunks))


async def test_an_edit_keeps_what_an_update_would_reset(wavix: WavixClient) -> None:
    trunk = await wavix.trunks.create(password=PASSWORD, **SETTINGS)

    edited = await wavix.trunks.edit(trunk.id, password=PASSWORD, label="Home", max_call_cost=Decimal("0.5"))

    assert same(edited, {**SETTINGS, "label": "Home", "max_call_cost": 0.5})


async def test_an_address_is_decided_later(sandbox: Sandbox, wavix: WavixClient) -> None:
    good = await wavix.trunks.create(password=PASSWORD, **{**REQUIRED, "host_request": {"host": HOST}})
    bad = await wavix.trunks.create(password=PASSWORD, **{**REQUIRED, "host_request": {"host": "192.168.0.1"}})
    plain = await wavix.trunks.create(password=PASSWORD, **REQUIRED)

    async def states() -> list[tuple[str, str, str | None]]:
        found = [each async for each in wavix.trunks.list()]
        assert [each.id for each in found] == [good.id, bad.id, plain.id]
        return [(each.auth_method, each.status, each.host_request and each.host_request.status) for each in found]

    assert await states() == [
        ("IP auth", "pending", "pending"),
        ("IP auth", "pending", "pending"),
        ("Digest", "active", None),
    ]
    sandbox.advance(60)
    decided = [("IP auth", "active", "active"), ("IP auth", "rejected", "rejected"), ("Digest", "active", None)]
    assert await states() == decided

    # An edit sends the address again, which changes nothing; another address is another request.
    await wavix.trunks.edit(good.id, password=PASSWORD, label="Home")
    assert await states() == decided
    await wavix.trunks.edit(good.id, password=PASSWORD, host_request={"host": "203.0.113.8"})
    assert (await states())[0] == ("IP auth", "pending", "pending")
    await wavix.trunks.update(good.id, password=PASSWORD, **REQUIRED)
    assert (await states())[0] == ("Digest", "active", None)
    sandbox.advance(60)
    assert (await states())[0] == ("Digest", "active", None)


async def test_a_trunk_that_registers_from_nowhere_is_refused(wavix: WavixClient) -> None:
    with pytest.raises(UnprocessableEntityError, match="Allowed ips"):
        await wavix.trunks.create(password=PASSWORD, **{**REQUIRED, "ip_restrict": True})


# --- sub-organizations ---


async def test_the_key_of_a_sub_organization_works_while_it_is_enabled(sandbox: Sandbox, wavix: WavixClient) -> None:
    endpoints = {"sms_endpoint": "https://example.com/sms", "dlr_endpoint": ""}
    made = await wavix.sub_organizations.create(
        name="Acme", default_destinations={"sms_endpoint": "https://example.com/sms"}
    )
    assert to_dict(made)["default_destinations"] == endpoints
    assert made.master_organization == (await wavix.profile.get()).id
    assert await works(sandbox, made.api_key)

    disabled = await wavix.sub_organizations.edit(made.id, status="disabled")
    assert to_dict(disabled) == {**to_dict(made), "status": "disabled"}
    assert not await works(sandbox, made.api_key)
    assert sandbox.sub_organizations[made.id]["status"] == "disabled"
    assert await wavix.sub_organizations.get(made.id) == disabled

    # The trap of a replacing write: nothing says that it is disabled.
    assert (await wavix.sub_organizations.update(made.id, name="Acme Ltd")).status == "enabled"
    assert await works(sandbox, made.api_key)


async def test_sub_organizations_are_listed_by_status(wavix: WavixClient) -> None:
    for name in "abc":
        await wavix.sub_organizations.create(name=name)
    second = (await wavix.sub_organizations.list(page=2, per_page=1)).items[0]
    await wavix.sub_organizations.edit(second.id, status="disabled")

    assert [each.name async for each in wavix.sub_organizations.list(status="enabled")] == ["a", "c"]
    assert [each.name async for each in wavix.sub_organizations.list(status="disabled")] == ["b"]


async def test_the_transactions_of_a_sub_organization(wavix: WavixClient) -> None:
    made = await wavix.sub_organizations.create(name="Acme")
    day = made.created_at.date()
    listed = wavix.sub_organizations.billing.transactions.list

    page = await listed(made.id, from_date=day, to_date=day, type=[1, 14])
    assert [(each.amount, each.type, each.status) for each in page] == [(Decimal(100), 1, "Committed")]
    assert len(await listed(made.id, from_date=day, to_date=day, type=14)) == 0
    assert len(await listed(made.id, from_date=day + timedelta(days=1), to_date=day + timedelta(days=1))) == 0
    with pytest.raises(NotFoundError):
        await listed(made.id + 1, from_date=day, to_date=day)


# --- the profile ---


async def test_the_profile_shows_what_was_changed(sandbox: Sandbox, wavix: WavixClient) -> None:
    before = await wavix.profile.get()
    changed = await wavix.profile.update(
        first_name="Ana",
        contacts="bills@example.com",
        time_zone="Europe/Madrid",
        dlr_relay_url="https://example.com/dlr",
        company_info={"industry": "other", "billing_address": "Calle Mayor 1", "country_code": "ES"},
    )
    assert await wavix.profile.get() == changed
    assert (changed.first_name, changed.last_name) == ("Ana", before.last_name)
    assert (changed.contact_email, changed.timezone) == ("bills@example.com", "Europe/Madrid")
    assert changed.company_info is not None
    assert before.company_info is not None
    assert (changed.company_info.industry, changed.company_info.address) == ("other", "Calle Mayor 1")
    assert changed.company_info.name == before.company_info.name
    assert [(each.transport, each.value) for each in changed.default_destinations or ()] == [
        ("dlr", "https://example.com/dlr")
    ]
    assert sandbox.dlr_relay_url == "https://example.com/dlr"

    again = await wavix.profile.update(dlr_relay_url="", company_info={"vat_number": "VAT1"})
    assert again.default_destinations == []
    assert again.company_info is not None
    assert (again.company_info.industry, again.company_info.vat_number) == ("other", "VAT1")


async def test_the_balance_and_the_limits(wavix: WavixClient) -> None:
    config = await wavix.profile.config.get()

    assert isinstance(config.balance, Decimal)
    assert config.global_limits.max_call_duration == 3600


async def test_a_reset_forgets_all_of_it(sandbox: Sandbox, wavix: WavixClient) -> None:
    first = await wavix.profile.get()
    key = await wavix.api_keys.create(label="a")
    organization = await wavix.sub_organizations.create(name="a")
    await wavix.trunks.create(password=PASSWORD, **{**REQUIRED, "host_request": {"host": HOST}})
    await wavix.profile.update(first_name="Ana", sms_relay_url="https://example.com/sms")

    sandbox.reset()

    assert (dict(sandbox.trunks), dict(sandbox.api_keys), dict(sandbox.sub_organizations)) == ({}, {}, {})
    assert not await works(sandbox, key.value)
    assert not await works(sandbox, organization.api_key)
    assert await wavix.profile.get() == first
    assert sandbox.sms_relay_url is None
    await wavix.trunks.create(password=PASSWORD, **REQUIRED)
    assert (await wavix.trunks.list()).items[0].auth_method == "Digest"


async def test_the_client_reads_other_shapes_of_the_answers() -> None:
    async with Sandbox(numbers=0, variants=1.0) as sandbox, client(sandbox, sandbox.api_key) as wavix:
        key = await wavix.api_keys.create(label="a")
        assert key.value
        (listed,) = await wavix.api_keys.list()
        assert (listed.id, listed.value) == (key.id, None)
        assert (await wavix.api_keys.update(key.id, label="b")).value is None
        assert [each async for each in wavix.trunks.list()] == []
        assert len(await wavix.trunks.list()) == 0
