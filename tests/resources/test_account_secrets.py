"""Keys, passwords and tokens of the account: readable as attributes, and shown nowhere."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.resources.rows import api_keys, profile, sub_organizations, trunks
from wavix_async import APIError, InputError, WavixClient, WavixError, from_dict, models, to_dict

if TYPE_CHECKING:
    from tests.conftest import Api

SECRET: Final = "53cr3t-0f-th3-4cc0unt"
KEY: Final = {**api_keys.CREATED, "value": SECRET}
TRUNK: Final = {**trunks.TRUNK, "access_token": SECRET}
SUMMARY: Final = {**trunks.SUMMARY, "access_token": SECRET}
URL: Final = f"https://example.com/{SECRET}"
ORGANIZATION: Final = {**sub_organizations.ORGANIZATION, "api_key": SECRET}
PROFILE: Final = {**profile.PROFILE, "default_destinations": [{"transport": "sms", "value": URL}]}

ANSWERS: Final[list[tuple[Any, Any, str]]] = [
    (models.ApiKey, KEY, "value"),
    (models.SIPTrunk, TRUNK, "access_token"),
    (models.SIPTrunkSummary, SUMMARY, "access_token"),
    (models.SubOrganization, ORGANIZATION, "api_key"),
]


@pytest.mark.parametrize(("model", "payload", "name"), ANSWERS)
def test_an_answer_has_the_secret_and_does_not_show_it(model: Any, payload: Any, name: str) -> None:
    answer = from_dict(model, {**payload, "new_token": SECRET})

    assert getattr(answer, name) == SECRET
    assert to_dict(answer)[name] == SECRET
    for each in (answer, copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert SECRET not in f"{each!r} {each}"


def test_urls_that_may_hold_a_secret_are_not_shown() -> None:
    shown = [
        from_dict(models.Profile, PROFILE),
        from_dict(models.DefaultDestinations, {"sms_endpoint": URL, "dlr_endpoint": URL}),
        models.ProfileUpdate(sms_relay_url=URL, dlr_relay_url=URL, default_short_link_endpoint=URL),
        models.DefaultDestinationsUpdate(sms_endpoint=URL, dlr_endpoint=URL),
        models.ShortLinkCreate(link=URL, fallback_url=URL),
    ]

    assert SECRET not in repr(shown)


def test_a_password_is_not_shown() -> None:
    for settings in (
        models.SIPTrunkEdit(password=SECRET),
        models.SIPTrunkSettings(password=SECRET, **trunks.REQUIRED),  # type: ignore[arg-type]
    ):
        assert settings.password == SECRET
        for each in (settings, pickle.loads(pickle.dumps(settings))):
            assert SECRET not in f"{each!r} {each}"
    wrong: Any = [SECRET]
    with pytest.raises(InputError) as caught:
        models.SIPTrunkEdit(password=wrong)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


Call = Callable[[WavixClient], Coroutine[Any, Any, Any]]
CREATE_TRUNK: Final[Call] = lambda w: w.trunks.create(password=SECRET, **trunks.REQUIRED)  # noqa: E731


@pytest.mark.parametrize(
    ("method", "path", "call", "answer"),
    [
        ("POST", "/v1/api-keys", lambda w: w.api_keys.create(label="billing"), KEY),
        ("POST", "/v1/trunks", CREATE_TRUNK, TRUNK),
        ("POST", "/v1/sub-organizations", lambda w: w.sub_organizations.create(name="Acme Ltd"), ORGANIZATION),
    ],
)
async def test_neither_receipts_nor_logs_nor_errors_show_it(
    api: Api, wavix: WavixClient, caplog: pytest.LogCaptureFixture, method: str, path: str, call: Call, answer: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[object] = []
    observed = wavix.with_options(observers=[events.append])
    # A success; an answer that proves nothing; an answer with drift; a refusal that repeats what was sent.
    api.answer(method, path, answer)
    receipt = await observed.receipt(call(observed))
    shown = [repr(receipt), str(receipt), repr(pickle.loads(pickle.dumps(receipt)))]
    for status, payload in (
        (200, {name: value for name, value in answer.items() if name != "id"}),
        (200, {**answer, "error": "no"}),
        (422, {"success": False, "message": "Validation error", "password": SECRET, **answer}),
    ):
        api.answer(method, path, payload, status=status)
        with pytest.raises(WavixError) as caught:
            await call(observed)
        error = caught.value
        shown += [repr(error), str(error), repr(error.details), "".join(traceback.format_exception(error))]
        if isinstance(error, APIError):
            shown.append(repr(pickle.loads(pickle.dumps(error))))
    api.answer(method, path, {**answer, "brand_new": SECRET, "created_at": SECRET})
    await call(observed)

    for text in (*shown, caplog.text, repr(events), *map(str, events)):
        assert SECRET not in text
    assert events
