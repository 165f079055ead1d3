"""`trunks.edit` and `sub_organizations.edit`: what a PUT would reset stays as it is."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.resources.rows.sub_organizations import BARE, ENDPOINTS, ORGANIZATION
from tests.resources.rows.trunks import PASSWORD, SETTINGS, TRUNK
from wavix_async import InputError, OutcomeUnknownError, WavixClient

if TYPE_CHECKING:
    from tests.conftest import Api

TRUNK_PATH: Final = "/v1/trunks/293"
PATH: Final = "/v1/sub-organizations/123"


async def test_an_edit_of_a_trunk_sends_all_that_it_had_and_the_changes(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", TRUNK_PATH, {**TRUNK, "brand_new": 1})
    api.answer("PUT", TRUNK_PATH, {**TRUNK, "label": "Home", "call_recording_enabled": False})

    trunk = await wavix.trunks.edit(293, password=PASSWORD, label="Home", call_recording_enabled=False)

    assert api.last.json == {"password": PASSWORD, **SETTINGS, "label": "Home", "call_recording_enabled": False}
    assert (trunk.label, trunk.call_recording_enabled) == ("Home", False)


async def test_an_edit_of_a_trunk_changes_what_has_another_form_in_a_request(api: Api, wavix: WavixClient) -> None:
    changed = {**TRUNK, "allowed_ips": [{"id": 1, "ip": "203.0.113.9"}], "max_call_cost": "0.50", "host": "dynamic"}
    api.answer("GET", TRUNK_PATH, TRUNK)
    api.answer("PUT", TRUNK_PATH, changed)

    await wavix.trunks.edit(
        293, password=PASSWORD, allowed_ips=[{"ip": "203.0.113.9"}], max_call_cost=Decimal("0.50"), callerid="1"
    )

    sent = {"allowed_ips": [{"ip": "203.0.113.9"}], "max_call_cost": 0.5, "callerid": "1"}
    assert api.last.json == {"password": PASSWORD, **SETTINGS, **sent}


@pytest.mark.parametrize("caller", [None, ""])
async def test_what_a_trunk_does_not_have_is_not_sent(api: Api, wavix: WavixClient, caller: str | None) -> None:
    """The documented defaults stand for settings that a request requires and an answer leaves out."""
    bare = {"id": 293, "name": "67758", "label": "Office", "callerid": caller, "allowed_ips": [], "host": "dynamic"}
    nothing: dict[str, Any] = dict.fromkeys(("max_channels", "max_call_cost", "call_restrict", "call_limit"))
    api.answer("GET", TRUNK_PATH, {**bare, **nothing, "created_at": "2026-05-16T17:13:25.000Z"})
    api.answer(
        "PUT", TRUNK_PATH, {**TRUNK, "didinfo_enabled": True, "call_restrict": False, "ip_restrict": False} | bare
    )

    with pytest.raises(OutcomeUnknownError):
        # The answer shows other settings than the ones that were written: some of TRUNK.
        await wavix.trunks.edit(293, password=PASSWORD)

    assert api.last.json == {
        "password": PASSWORD,
        "label": "Office",
        "callerid": "",
        "ip_restrict": False,
        "didinfo_enabled": True,
        "call_restrict": False,
        "channels_restrict": False,
        "rewrite_enabled": False,
        "transcription_enabled": False,
        "transcription_threshold": 6,
    }


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ({"label": None}, "does not show label of this SIPTrunk, and a write replaces everything: pass the value"),
        ({"max_channels": "two"}, r"SIPTrunkSettings\.max_channels must be a whole number"),
        ({"allowed_ips": [{"id": 1}]}, r"allowed_ips\[0\]"),
    ],
)
async def test_a_trunk_that_cannot_be_kept_is_not_written(
    api: Api, wavix: WavixClient, shown: dict[str, Any], told: str
) -> None:
    api.answer("GET", TRUNK_PATH, {**TRUNK, **shown})

    with pytest.raises(InputError, match=told):
        await wavix.trunks.edit(293, password=PASSWORD, call_limit=60)

    assert [sent.method for sent in api.sent] == ["GET"]


async def test_a_list_that_may_be_none_is_named_last(wavix: WavixClient) -> None:
    wrong: Any = ["203.0.113.7"]
    with pytest.raises(InputError, match=r"allowed_ips must be None or a list, each an AllowedIPSettings, or left out"):
        await wavix.trunks.edit(293, password=PASSWORD, allowed_ips=wrong)


async def test_the_password_must_be_given(api: Api, wavix: WavixClient) -> None:
    with pytest.raises(InputError, match=r"edit\(\) is missing password"):
        await wavix.trunks.edit(293, label="Home")  # type: ignore[call-arg]

    assert api.sent == []


@pytest.mark.parametrize(
    ("had", "changes", "sent"),
    [
        (
            {**ORGANIZATION, "status": "disabled"},
            {"name": "New"},
            {"name": "New", "status": "disabled", "default_destinations": ENDPOINTS},
        ),
        (BARE, {"status": "disabled"}, {"name": "Acme Ltd", "status": "disabled"}),
        (
            ORGANIZATION,
            {"default_destinations": {"dlr_endpoint": "https://example.com/new"}},
            {"default_destinations": {**ENDPOINTS, "dlr_endpoint": "https://example.com/new"}},
        ),
        (
            ORGANIZATION,
            {"default_destinations": {"dlr_endpoint": ""}},
            {"default_destinations": {"sms_endpoint": ENDPOINTS["sms_endpoint"]}},
        ),
        (ORGANIZATION, {"default_destinations": dict.fromkeys(ENDPOINTS, "")}, {}),
        (
            {**ORGANIZATION, "default_destinations": None},
            {"default_destinations": {"dlr_endpoint": "https://example.com/new"}},
            {"default_destinations": {"dlr_endpoint": "https://example.com/new"}},
        ),
    ],
)
async def test_an_edit_of_a_sub_organization(
    api: Api, wavix: WavixClient, had: dict[str, Any], changes: dict[str, Any], sent: dict[str, Any]
) -> None:
    sent = {"name": "Acme Ltd", "status": "enabled"} | sent
    api.answer("GET", PATH, had)
    api.answer("PUT", PATH, {**had, **sent})

    await wavix.sub_organizations.edit(123, **changes)

    assert api.last.json == sent


@pytest.mark.parametrize("name", ["name", "status"])
async def test_a_sub_organization_that_is_not_shown_whole_is_not_written(
    api: Api, wavix: WavixClient, name: str
) -> None:
    """A write without the status may enable a suspended sub-organization."""
    api.answer("GET", PATH, {**ORGANIZATION, name: None})

    with pytest.raises(InputError, match=f"does not show {name} of this SubOrganization"):
        await wavix.sub_organizations.edit(123, default_destinations={"dlr_endpoint": "https://example.com/new"})

    assert [sent.method for sent in api.sent] == ["GET"]


@pytest.mark.parametrize("method", ["update", "edit"])
async def test_a_change_of_nothing_is_refused(api: Api, wavix: WavixClient, method: str) -> None:
    for group in (wavix.sub_organizations, wavix.profile):
        ids = () if group is wavix.profile else (123,)
        call: Any = getattr(group, method, None)
        if call is not None:
            with pytest.raises(InputError, match="is empty and would change nothing"):
                await call(*ids)

    assert api.sent == []


async def test_a_sub_organization_that_comes_back_enabled_is_noticed(api: Api, wavix: WavixClient) -> None:
    api.answer("PUT", PATH, ORGANIZATION)

    with pytest.raises(OutcomeUnknownError, match="status='enabled' instead of 'disabled'"):
        await wavix.sub_organizations.update(123, name="Acme Ltd", status="disabled")
