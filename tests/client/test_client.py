"""The client as a whole: settings, lifetime, `with_options`, groups, and calls of operations that the SDK lacks."""

from __future__ import annotations

import asyncio
import copy
import functools
import subprocess
import sys
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
    DecodeError,
    DriftEvent,
    InputError,
    NotFoundError,
    Number,
    Operation,
    RetryPolicy,
    Timeouts,
    WavixClient,
    WavixError,
)
from wavix_async.sandbox import Sandbox

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
    api.answer("GET", "/v1/numbers/1", ex.number(id=1))
    async with WavixClient() as wavix:
        await wavix.numbers.get(1)

    assert api.last.headers["Authorization"] == f"Bearer {KEY}"
    assert str(api.last.url) == f"{BASE}/v1/numbers/1"


async def test_arguments_win_over_the_environment(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", "another")
    monkeypatch.setenv("WAVIX_BASE_URL", "https://elsewhere.example.net")
    api.answer("GET", "/v1/numbers/1", ex.number(id=1))
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
    api.answer("GET", "/v1/numbers/1", ex.number(id=1))
    await wavix.numbers.get(1)
    await wavix.close()

    assert api.last.headers["Authorization"] == f"Bearer {KEY}"


async def test_a_path_in_the_base_url_stays(api: Api) -> None:
    api.answer("GET", "/proxy/v1/numbers/1", ex.number(id=1))
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
    api.answer("GET", "/v1/numbers/1", ex.number(id=1))
    async with aiohttp.ClientSession() as session:
        async with client(session=session) as wavix:
            await wavix.numbers.get(1)
        assert not session.closed


@pytest.mark.req_24
@pytest.mark.filterwarnings("ignore:.* deprecated:DeprecationWarning", "ignore:.* removed:DeprecationWarning")
async def test_a_session_with_a_login_of_its_own_is_refused() -> None:
    async with aiohttp.ClientSession(auth=aiohttp.BasicAuth("someone", "hunter2")) as session:
        with pytest.raises(ConfigurationError, match="create it without auth") as caught:
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
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), repeat=True)
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
    api.answer("GET", "/v1/numbers/1", ex.number(id=1))
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
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), repeat=True)
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
    api.answer("GET", "/v1/numbers/1", ex.number(id=1), repeat=True)
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


# --- groups ---


async def test_a_group_is_made_once_for_each_client() -> None:
    async with client() as wavix:
        other = wavix.with_options(deadline=5)

        assert wavix.numbers is wavix.numbers
        assert other.numbers is other.numbers
        assert other.numbers is not wavix.numbers, "its calls have other options"
        assert wavix.with_options().numbers is not wavix.numbers


def test_a_group_can_be_looked_up_and_documents_itself() -> None:
    assert isinstance(WavixClient.numbers, functools.cached_property)
    assert "numbers" in dir(WavixClient)
    assert "/v1/numbers" in (WavixClient.numbers.__doc__ or "")


def test_a_group_and_its_models_load_when_the_group_is_used() -> None:
    code = (
        "import sys\n"
        "from wavix_async.client import WavixClient\n"
        "groups = lambda: {name for name in sys.modules if name.startswith('wavix_async.resources.numbers')}\n"
        "wavix = WavixClient('k' * 12)\n"
        "assert not groups(), groups()\n"
        "wavix.numbers\n"
        "assert groups()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("nubmers", " Did you mean 'numbers'?"),
        ("number", " Did you mean 'numbers'?"),
        ("with_option", " Did you mean 'with_options'?"),
        ("clsoe", " Did you mean 'close'?"),
        ("quite_something_else", ""),
    ],
)
async def test_a_wrong_name_answers_with_what_exists(name: str, meant: str) -> None:
    async with client() as wavix:
        groups = [key for key, value in vars(WavixClient).items() if isinstance(value, functools.cached_property)]
        with pytest.raises(AttributeError) as caught:
            getattr(wavix, name)
        text = str(caught.value)
        assert text.startswith(f"WavixClient has no {name!r}.{meant} Its groups of operations: ")
        assert text.endswith(
            'To call an operation without a method: await wavix.call(Operation("GET", "/v1/...", dict)), '
            "with Operation from wavix_async."
        )
        listed = text.partition("Its groups of operations: ")[2].partition(".")[0].split(", ")
        assert sorted(listed) == sorted(groups)
        assert "numbers" in listed
        # Python adds a suggestion of its own where it knows the object.
        assert (caught.value.name, caught.value.obj) == (name, None)


async def test_a_class_of_ones_own_lists_its_groups_too() -> None:
    class Mine(WavixClient):
        @functools.cached_property
        def fleets(self) -> str:
            return "fleets"

        @functools.cached_property
        def broken(self) -> str:
            raise AttributeError("the code of the property")

    async with Mine(KEY, base_url=BASE) as wavix:
        assert wavix.fleets == "fleets"
        with pytest.raises(
            AttributeError, match=r"Mine has no 'fleet'\. Did you mean 'fleets'\?.*: .*broken, .*fleets, .*numbers.*\."
        ):
            wavix.fleet  # type: ignore[attr-defined]  # noqa: B018
        with pytest.raises(AttributeError, match="the code of the property"):
            wavix.broken  # noqa: B018


async def test_what_python_asks_of_any_object_is_not_disturbed() -> None:
    async with client() as wavix:
        for name in ("__deepcopy__", "__getstate_ex__", "_repr_html_", "_ipython_canary_method_", "__wrapped__", "_x"):
            assert not hasattr(wavix, name)
            with pytest.raises(AttributeError, match=f"'WavixClient' object has no attribute '{name}'"):
                getattr(wavix, name)
        assert not hasattr(wavix, "nubmers")
        assert getattr(wavix, "nubmers", 5) == 5
        again = copy.copy(wavix)
        assert (again.base_url, again.retry) == (wavix.base_url, wavix.retry)
        assert not hasattr(object.__new__(WavixClient), "_state")


# --- operations that the SDK has no method for ---


async def test_an_operation_that_the_sdk_lacks() -> None:
    """As the docstring of `call` shows it, against the sandbox."""
    async with Sandbox(numbers=3) as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        page = await wavix.call(Operation("GET", "/v1/numbers", dict), query={"page": 1, "per_page": 2})
        first = page["items"][0]
        update = Operation("PATCH", "/v1/numbers/{id}", dict, idempotent=True)
        changed = await wavix.call(update, path={"id": first["id"]}, body={"sms_enabled": True})
        read = await wavix.call(Operation("GET", "/v1/numbers/{id}", Number), path={"id": first["id"]})
        items = await wavix.call(Operation("GET", "/v1/numbers", list[Number], unwrap="items"))

        assert len(page["items"]) == 2
        assert changed["sms_enabled"] is True
        assert read.sms_enabled is True
        assert items[0].id == first["id"]
        with pytest.raises(NotFoundError):
            await wavix.call(Operation("GET", "/v1/nothing/{id}", dict), path={"id": "x"})


async def test_a_mistake_in_a_call_is_found_before_anything_is_sent(api: Api) -> None:
    get = Operation("GET", "/v1/calls/{id}", dict, reserved=("webhooks",))
    wrong: list[dict[str, Any]] = [{}, {"path": {"ids": 1}}, {"path": {"id": "webhooks"}}, {"body": object()}]
    async with client() as wavix:
        for arguments in wrong:
            with pytest.raises(InputError) as caught:
                wavix.call(get, **{"path": {"id": 1}, **arguments} if "body" in arguments else arguments)
            assert caught.value.outcome == "not_sent"
    assert api.sent == []


async def test_a_key_to_unwrap_and_its_drift(api: Api) -> None:
    get = Operation("GET", "/v1/calls/{id}", Number, unwrap="call")
    api.answer("GET", "/v1/calls/1", {"call": ex.number(id="1"), "more": 1}, repeat=True)
    events: list[Any] = []
    async with client(observers=[events.append]) as wavix:
        number = await wavix.call(get, path={"id": 1})
    assert number.id == "1"  # type: ignore[comparison-overlap]
    drifts = [event.drift.path for event in events if isinstance(event, DriftEvent)]
    assert sorted(drifts) == ["$.call.id", "$.more"]

    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError) as strict:
            await wavix.call(get, path={"id": 1})
    assert strict.value.paths == ("$.call.id: expected int, found str", "$.more: expected no such key, found int")


async def test_a_body_under_a_key(api: Api) -> None:
    create = Operation("POST", "/v1/voice-campaigns", dict, wrap="voice_campaign", unwrap="voice_campaign")
    api.answer("POST", "/v1/voice-campaigns", {"voice_campaign": {"id": 5}}, status=201)
    async with client() as wavix:
        assert await wavix.call(create, body={"contact": "12025550123"}) == {"id": 5}
    assert api.last.json == {"voice_campaign": {"contact": "12025550123"}}
