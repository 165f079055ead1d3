"""The client as a whole: its settings from the environment, its lifetime, and `with_options`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import aioresponses.core
import pytest
from aioresponses import aioresponses as Mocked

from tests.conftest import BASE, KEY, SHIM
from tests.support import examples as ex
from tests.support.clients import client
from wavix_async import (
    AttemptEvent,
    ClientClosedError,
    ConfigurationError,
    NotFoundError,
    RetryPolicy,
    Timeouts,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from tests.conftest import Api


# --- the shim ---


async def test_the_shim_for_aioresponses_is_still_needed() -> None:
    """When this fails, aioresponses works with this aiohttp: delete SHIM in tests/conftest.py, and this test."""
    assert aioresponses.core.ClientResponse is aiohttp.ClientResponse
    with Mocked() as mock:
        mock.get(BASE, payload={})
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TypeError, match="stream_writer"):
                await session.get(BASE)


def test_the_shim_is_a_response_of_aiohttp() -> None:
    assert SHIM.func is aiohttp.ClientResponse


# --- settings from the environment ---


async def test_key_and_base_url_from_the_environment(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", f" {KEY} \n")
    monkeypatch.setenv("WAVIX_BASE_URL", f"{BASE}/")
    api.answer("GET", "/v1/numbers/1", ex.number())
    async with WavixClient() as wavix:
        await wavix.numbers.get(1)

    assert api.last.headers["Authorization"] == f"Bearer {KEY}"
    assert str(api.last.url) == f"{BASE}/v1/numbers/1"


async def test_arguments_win_over_the_environment(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", "another")
    monkeypatch.setenv("WAVIX_BASE_URL", "https://elsewhere.example.net")
    api.answer("GET", "/v1/numbers/1", ex.number())
    async with client() as wavix:
        await wavix.numbers.get(1)

    assert api.last.headers["Authorization"] == f"Bearer {KEY}"


async def test_an_empty_key_does_not_fall_back_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", KEY)

    with pytest.raises(ConfigurationError, match="api_key is missing"):
        WavixClient("")


async def test_the_environment_is_read_when_the_client_is_made(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", KEY)
    wavix = WavixClient(base_url=BASE)
    monkeypatch.setenv("WAVIX_API_KEY", "later")
    api.answer("GET", "/v1/numbers/1", ex.number())
    await wavix.numbers.get(1)
    await wavix.close()

    assert api.last.headers["Authorization"] == f"Bearer {KEY}"


async def test_a_path_in_the_base_url_stays(api: Api) -> None:
    api.answer("GET", "/proxy/v1/numbers/1", ex.number())
    async with WavixClient(KEY, base_url=f"{BASE}/proxy/") as wavix:
        await wavix.numbers.get(1)

    assert api.last.path == "/proxy/v1/numbers/1"


# --- lifetime ---


@pytest.mark.req_22
async def test_closing(api: Api) -> None:
    wavix = client()
    other = wavix.with_options(deadline=5)
    assert not wavix.closed
    await wavix.close()
    await wavix.close()

    assert wavix.closed
    assert other.closed, "they share the pool"
    assert repr(wavix) == f"<WavixClient {BASE} closed>"
    for each in (wavix, other):
        with pytest.raises(ClientClosedError, match="open a new WavixClient") as caught:
            await each.numbers.get(1)
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)


@pytest.mark.req_22
async def test_a_session_of_the_callers_own_is_used_and_left_open(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number())
    async with aiohttp.ClientSession() as session:
        async with client(session=session) as wavix:
            await wavix.numbers.get(1)
        assert not session.closed


@pytest.mark.req_24
@pytest.mark.filterwarnings("ignore:.* deprecated:DeprecationWarning", "ignore:.* removed:DeprecationWarning")
async def test_a_session_with_a_login_of_its_own_is_refused() -> None:
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("somebody", "hunter2")) as session:
        with pytest.raises(ConfigurationError, match="make it without auth") as caught:
            client(session=session)
    assert "hunter2" not in str(caught.value)


@pytest.mark.req_24
async def test_a_session_that_the_caller_has_closed_is_one_of_our_errors(api: Api) -> None:
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(WavixError):
        await client(session=session).numbers.get(1)


def test_a_client_that_was_not_finished_can_be_shown() -> None:
    assert "WavixClient" in repr(object.__new__(WavixClient))


# --- with_options ---


async def test_with_options_shares_the_pool_and_leaves_the_first_alone(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(), repeat=True)
    seen: list[Any] = []
    async with client() as wavix:
        other = wavix.with_options(
            timeout=3,
            deadline=None,
            retry=RetryPolicy(attempts=7),
            observers=[seen.append],
            semaphore=asyncio.Semaphore(1),
        )
        assert type(other) is WavixClient
        assert (wavix.retry.attempts, other.retry.attempts) == (1, 7)
        assert wavix.base_url == other.base_url
        await wavix.numbers.get(1)
        assert seen == []
        await other.numbers.get(1)

    assert [type(event) for event in seen] == [AttemptEvent]
    assert (seen[0].operation, seen[0].attempt, seen[0].status, seen[0].error, seen[0].outcome) == (
        "GET /v1/numbers/{id}",
        1,
        200,
        None,
        None,
    )


async def test_with_options_adds_to_what_is_there() -> None:
    wavix = client(timeout=Timeouts(attempt=5, deadline=50))
    twice = wavix.with_options(timeout=3).with_options(deadline=7)

    assert repr(twice) == repr(wavix)
    with pytest.raises(ConfigurationError, match="deadline"):
        wavix.with_options(deadline=-1)
    await wavix.close()


async def test_the_semaphore_is_given_back(api: Api) -> None:
    semaphore = asyncio.Semaphore(1)
    api.answer("GET", "/v1/numbers/1", ex.number())
    api.answer("GET", "/v1/numbers/1", {}, status=404)
    async with client() as wavix:
        other = wavix.with_options(semaphore=semaphore)
        await other.numbers.get(1)
        with pytest.raises(NotFoundError):
            await other.numbers.get(1)

    assert not semaphore.locked()


@pytest.mark.req_25
async def test_a_failing_observer_is_contained_and_reported_once(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("observer")

    seen: list[object] = []
    api.answer("GET", "/v1/numbers/1", ex.number(), repeat=True)
    async with client(observers=[broken, seen.append]) as wavix:
        for _ in range(3):
            await wavix.numbers.get(1)

    assert len(seen) == 3
    assert [record.name for record in caplog.records] == ["wavix_async"]


@pytest.mark.req_25
async def test_a_failing_observer_is_reported_once_whatever_the_options(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: object) -> None:
        raise RuntimeError("observer")

    def broken_too(event: object) -> None:
        raise RuntimeError("another observer")

    seen: list[object] = []
    api.answer("GET", "/v1/numbers/1", ex.number(), repeat=True)
    async with client(observers=[broken]) as wavix:
        for _ in range(3):
            await wavix.with_options(observers=[seen.append]).numbers.get(1)
        await wavix.numbers.get(1)
        assert len(caplog.records) == 1
        await wavix.with_options(observers=[broken_too]).numbers.get(1)

    assert len(seen) == 3
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info and record.exc_info[1]] == [
        ("observer",),
        ("another observer",),
    ]
