"""The client as a whole: its settings, its secrets, its errors, and what it says of drift."""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import aioresponses.core
import pytest
from aioresponses import aioresponses as Mocked
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import BASE, KEY, SHIM
from tests.support import examples as ex
from wavix_async import (
    APIError,
    AttemptEvent,
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    DecodeError,
    DisconnectedError,
    DriftEvent,
    NotFoundError,
    Number,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    Timeouts,
    TransportError,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
    errors,
    to_dict,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from tests.conftest import Api


def client(**options: Any) -> WavixClient:
    return WavixClient(KEY, base_url=BASE, **{"retry": RetryPolicy.none(), **options})


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


# --- the shapes of errors ---

ERROR_BODIES: list[tuple[int, Any, str]] = [
    (400, {"success": False, "message": "The label is too long"}, "The label is too long"),
    (400, {"message": "No such event"}, "No such event"),
    (422, {"message": "Balance too low"}, "Balance too low"),
    (400, {"error": True, "message": "Already deleted", "deleted_at": "2025-01-31"}, "Already deleted"),
    (400, {"success": False, "error": True, "message": "Gone", "deleted_at": None}, "Gone"),
    (401, {"success": False, "error": True, "message": "Unknown key"}, "Unknown key"),
    (400, {"success": False, "message": "Invalid", "errors": {"to": "is missing"}}, "Invalid; to: is missing"),
    (
        400,
        {"success": False, "message": "Invalid", "errors": ["to is missing", "from too"]},
        "Invalid; to is missing; from too",
    ),
    (400, {"success": False, "message": "Invalid", "errors": [{"message": "to is missing"}]}, "Invalid; to is missing"),
    (403, {"success": False, "message": "Not for you", "error_code": "012"}, "Not for you"),
    (503, {"success": True, "message": "The list cannot be read"}, "The list cannot be read"),
    (404, {"error": "Nothing here"}, "Nothing here"),
    (
        422,
        {"error": "Not in stock", "error_dids": ["14155550123", "14155550124"]},
        "Not in stock; 14155550123, 14155550124",
    ),
    (
        400,
        [{"code": 501, "message": "Website unreachable"}, {"code": 502, "message": "Too short"}],
        "Website unreachable; Too short",
    ),
    (
        422,
        {"type": "about:blank", "title": "Bad template", "status": 422, "detail": "Placeholder 2 is empty"},
        "Placeholder 2 is empty",
    ),
    (422, {"title": "Bad template", "error_class": "permanent"}, "Bad template"),
    (500, {}, "no reason given"),
    (500, None, "no reason given"),
    (500, [], "no reason given"),
    (500, "text", "text"),
    (500, {"message": None, "error": None}, "no reason given"),
    (500, {"message": {"nested": 1}}, "no reason given"),
]


@pytest.mark.req_24
@pytest.mark.parametrize(("status", "payload", "said"), ERROR_BODIES)
async def test_every_shape_of_error_gives_a_clear_message(
    api: Api, wavix: WavixClient, status: int, payload: Any, said: str
) -> None:
    api.answer("GET", "/v1/numbers/1", payload, status=status, headers={"X-Request-Id": "req-7"})

    with pytest.raises(errors.error_for_status(status)) as caught:
        await wavix.numbers.get(1)
    error = caught.value
    assert str(error).startswith(f"HTTP {status} for GET /v1/numbers/1: {said}")
    assert (error.status, error.request_id, error.attempts, error.details) == (status, "req-7", 1, payload)
    assert error.outcome == ("unknown" if status >= 500 else "rejected")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.details, again.elapsed) == (str(error), payload, error.elapsed)


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"success": False, "message": "Invalid", "error": {"to": "is missing"}}, "to"),
        ({"error": {"message": "Nothing here"}}, "Nothing here"),
        ({"errors": "to is missing"}, "to is missing"),
    ],
)
async def test_more_shapes_of_errors(api: Api, wavix: WavixClient, payload: Any, said: str) -> None:
    api.answer("GET", "/v1/numbers/1", payload, status=400)

    with pytest.raises(BadRequestError, match=said):
        await wavix.numbers.get(1)


@pytest.mark.req_23
@pytest.mark.req_24
@pytest.mark.parametrize("kind", ["text/plain", "text/html; charset=utf-8", "application/json"])
async def test_an_error_that_is_no_json(api: Api, wavix: WavixClient, kind: str) -> None:
    api.answer("GET", "/v1/numbers/1", body=b"<html>" + b"upstream is down " * 500, status=502, content_type=kind)

    with pytest.raises(ServerError, match="HTTP 502") as caught:
        await wavix.numbers.get(1)
    assert str(caught.value.details).startswith("<html>upstream is down")
    assert len(str(caught.value.details)) == 2000
    assert len(str(caught.value)) < 400


@pytest.mark.req_24
async def test_an_error_in_plain_text_gives_its_reason(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/1", body=b"upstream connect timeout", status=503, content_type="text/plain")

    with pytest.raises(ServerError, match="upstream connect timeout"):
        await wavix.numbers.get(1)


@pytest.mark.req_24
async def test_a_problem_document(api: Api, wavix: WavixClient) -> None:
    problem = {"type": "x", "title": "Bad template", "detail": "Empty", "error_class": "permanent"}
    api.answer("GET", "/v1/numbers/1", problem, status=422, content_type="application/problem+json")

    with pytest.raises(UnprocessableEntityError, match="Empty") as caught:
        await wavix.numbers.get(1)
    assert caught.value.code == "permanent"


@pytest.mark.req_24
async def test_a_refusal_names_the_remedy(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/1", {"message": "Access denied"}, status=401)
    api.answer("PATCH", "/v1/numbers/1", {"message": "Access denied"}, status=403)

    with pytest.raises(AuthenticationError, match="Check api_key"):
        await wavix.numbers.get(1)
    with pytest.raises(PermissionDeniedError, match=r"for PATCH /v1/numbers/1: .* needs the scope numbers:write"):
        await wavix.numbers.update(1, sms_enabled=True)


@pytest.mark.req_24
@pytest.mark.parametrize("payload", [{"success": True, "message": "ok"}, ex.number(), ex.number(success=True)])
async def test_an_error_status_is_never_a_success(api: Api, wavix: WavixClient, payload: dict[str, Any]) -> None:
    api.answer("PATCH", "/v1/numbers/1", payload, status=503)

    with pytest.raises(ServerError) as caught:
        await wavix.numbers.update(1, sms_enabled=True)
    assert caught.value.outcome == "unknown"


@pytest.mark.req_24
@pytest.mark.parametrize("more", [{"success": False}, {"error": True}, {"success": False, "error": True}])
@pytest.mark.parametrize("status", [200, 201])
async def test_a_failure_under_a_2xx_is_an_error(
    api: Api, wavix: WavixClient, status: int, more: dict[str, Any]
) -> None:
    for method in ("GET", "PATCH"):
        api.answer(method, "/v1/numbers/1", {"message": "It did not work", **more}, status=status)

    for call in (wavix.numbers.get(1), wavix.numbers.update(1, sms_enabled=True)):
        with pytest.raises(APIError, match="It did not work") as caught:
            await call
        assert (caught.value.status, caught.value.outcome, caught.value.retryable) == (status, "rejected", False)


@pytest.mark.req_23
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(api: Api, wavix: WavixClient, status: int) -> None:
    api.answer("GET", "/v1/numbers/1", body=b"", status=status, headers={"Location": "https://elsewhere.example.net"})

    with pytest.raises(APIError, match=f"HTTP {status}"):
        await wavix.numbers.get(1)
    assert len(api.sent) == 1


@pytest.mark.req_07
@pytest.mark.req_24
async def test_retry_after_is_told(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v1/numbers/1", {"message": "slow down"}, status=429, headers={"Retry-After": "7"})

    with pytest.raises(RateLimitError, match="slow down") as caught:
        await wavix.numbers.get(1)
    assert caught.value.retry_after == pytest.approx(7.0)
    assert caught.value.retryable


@pytest.mark.req_03
@pytest.mark.req_24
@pytest.mark.parametrize(
    ("failure", "kind", "outcome"),
    [
        (aiohttp.ServerDisconnectedError(), DisconnectedError, "unknown"),
        (aiohttp.ClientOSError(104, "reset"), DisconnectedError, "unknown"),
        (aiohttp.ClientPayloadError("half"), DisconnectedError, "unknown"),
        (aiohttp.ClientConnectionResetError("Cannot write to closing transport"), ConnectError, "not_sent"),
        (aiohttp.ConnectionTimeoutError("slow"), ConnectError, "not_sent"),
        (ConnectionResetError("reset"), DisconnectedError, "unknown"),
        (ValueError("odd"), TransportError, "unknown"),
    ],
)
async def test_failures_of_the_connection_are_named(
    api: Api, wavix: WavixClient, failure: Exception, kind: type[WavixError], outcome: str
) -> None:
    api.mock.patch(f"{BASE}/v1/numbers/1", exception=failure)

    with pytest.raises(kind) as caught:
        await wavix.numbers.update(1, sms_enabled=True)
    assert type(caught.value) is kind
    assert caught.value.outcome == outcome
    assert caught.value.__cause__ is failure
    assert caught.value.attempts == (0 if outcome == "not_sent" else 1)


@pytest.mark.req_24
@pytest.mark.parametrize("kind", [aiohttp.ClientConnectionError, ValueError, RuntimeError])
async def test_a_login_in_a_url_is_hidden(api: Api, wavix: WavixClient, kind: type[Exception]) -> None:
    """As aiohttp gives the URL of a proxy whose TLS it cannot use."""
    api.mock.get(f"{BASE}/v1/numbers/1", exception=kind("an HTTPS proxy https://a:hunter2@proxy.example.net:1 ssl"))

    with pytest.raises(TransportError, match="//<hidden>@proxy") as caught:
        await wavix.numbers.get(1)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.req_24
@pytest.mark.parametrize("failure", [aiohttp.ServerTimeoutError("slow"), TimeoutError()])
async def test_timeouts_of_aiohttp_are_ours(api: Api, wavix: WavixClient, failure: Exception) -> None:
    api.mock.patch(f"{BASE}/v1/numbers/1", exception=failure)

    with pytest.raises((AttemptTimeoutError, DisconnectedError)) as caught:
        await wavix.numbers.update(1, sms_enabled=True)
    assert caught.value.outcome == "unknown"


@pytest.mark.req_10
async def test_cancelling_is_not_an_error_of_ours(api: Api, wavix: WavixClient) -> None:
    api.mock.get(f"{BASE}/v1/numbers/1", exception=asyncio.CancelledError())  # type: ignore[arg-type]

    with pytest.raises(asyncio.CancelledError):
        await wavix.numbers.get(1)


@pytest.mark.req_01
async def test_an_upload_that_broke_off_may_have_worked(api: Api, wavix: WavixClient) -> None:
    api.mock.post(f"{BASE}/v1/numbers/papers", exception=aiohttp.ServerDisconnectedError())

    with pytest.raises(OutcomeUnknownError, match="may have been carried out") as caught:
        await wavix.numbers.papers.upload(did_ids=[1], doc_id="id", doc_attachment=b"x", filename="a.pdf")
    assert (caught.value.outcome, caught.value.attempts) == ("unknown", 1)
    assert isinstance(caught.value.__cause__, DisconnectedError)


@pytest.mark.req_05
@pytest.mark.req_25
async def test_repeats_are_counted(api: Api) -> None:
    for status in (500, 502):
        api.answer("GET", "/v1/numbers/1", {}, status=status)
    api.answer("GET", "/v1/numbers/1", ex.number())
    seen: list[Any] = []
    async with client(retry=RetryPolicy(backoff=0), observers=[seen.append]) as wavix:
        await wavix.numbers.get(1)

    assert [(type(event).__name__, event.attempt, event.status) for event in seen] == [
        ("AttemptEvent", 1, 500),
        ("RetryEvent", 1, 500),
        ("AttemptEvent", 2, 502),
        ("RetryEvent", 2, 502),
        ("AttemptEvent", 3, 200),
    ]


@pytest.mark.req_23
async def test_a_release_that_is_gone_after_an_unknown_outcome_has_worked(api: Api) -> None:
    api.mock.delete(f"{BASE}/v1/numbers?ids=1", exception=aiohttp.ServerDisconnectedError())
    api.answer("DELETE", "/v1/numbers", {"message": "Not found"}, status=404)
    async with client(retry=RetryPolicy(backoff=0)) as wavix:
        answer = await wavix.numbers.release(ids=[1])

    assert (answer.success, answer.already_gone) == (True, True)


# --- strict ---


async def test_strict_raises_with_paths(api: Api) -> None:
    payload = ex.number(id="501", brand_new=1, destination=[ex.destination(priority="first")])
    api.answer("GET", "/v1/numbers/501", payload)
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError, match="not as documented") as caught:
            await wavix.numbers.get(501)

    assert set(caught.value.paths) == {
        "$.id: expected int, found str",
        "$.destination[0].priority: expected int, found str",
        "$.brand_new: expected no such key, found int",
    }
    assert caught.value.attempts == 1
    assert len(api.sent) == 1, "asking again would not help"


async def test_strict_names_the_item_of_a_page(api: Api) -> None:
    api.answer("GET", "/v1/numbers", ex.number_page(ex.number(), ex.number(documents=[ex.document(id=None)])))
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError) as caught:
            await wavix.numbers.list()

    assert caught.value.paths == ("$.items[1].documents[0].id: expected int, found null",)


async def test_strict_takes_what_is_documented(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(status="brand-new", label=None))
    api.answer("GET", "/v1/numbers", ex.number_page())
    async with client(strict=True) as wavix:
        assert (await wavix.numbers.get(1)).status == "brand-new"
        assert len((await wavix.numbers.list()).items) == 2


async def test_strict_goes_on_with_options(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=None))
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError):
            await wavix.with_options(deadline=5).numbers.get(1)


@pytest.mark.req_24
async def test_strict_keeps_the_facts_of_the_answer(api: Api) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id=None), headers={"X-Request-Id": "req-7"})
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError) as caught:
            await wavix.numbers.get(1)

    assert (caught.value.status, caught.value.request_id) == (200, "req-7")


async def test_strict_raises_the_same_error_for_an_upload(api: Api) -> None:
    api.answer("POST", "/v1/numbers/papers", [ex.document(id="901")], status=201)
    async with client(strict=True) as wavix:
        with pytest.raises(DecodeError) as caught:
            await wavix.numbers.papers.upload(did_ids=[1], doc_id="id", doc_attachment=b"x", filename="a.pdf")

    assert caught.value.paths == ("$[0].id: expected int, found str",)


# --- drift ---


@pytest.mark.req_25
async def test_drift_is_told_once_for_each_kind(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    drifting = ex.number(id="1", label=7, brand_new=1, destination=[ex.destination(id=None), ex.destination(id=None)])
    api.answer("GET", "/v1/numbers/1", drifting, repeat=True)
    api.answer("PATCH", "/v1/numbers/1", {**drifting, "id": None}, repeat=True)
    events: list[Any] = []
    async with client(observers=[events.append]) as wavix:
        for _ in range(3):
            await wavix.numbers.get(1)
        await wavix.with_options(deadline=9).numbers.update(1, sms_enabled=True)

    told = [event for event in events if isinstance(event, DriftEvent)]
    assert {
        (event.operation, event.drift.model, event.drift.field, event.drift.kind, event.drift.path) for event in told
    } == {
        ("GET /v1/numbers/{id}", "Number", "id", "type", "$.id"),
        ("GET /v1/numbers/{id}", "Number", "label", "type", "$.label"),
        ("GET /v1/numbers/{id}", "Number", "brand_new", "unknown", "$.brand_new"),
        ("GET /v1/numbers/{id}", "InboundCallDestination", "id", "null", "$.destination[0].id"),
        ("PATCH /v1/numbers/{id}", "Number", "id", "null", "$.id"),
    }
    assert len(told) == 5
    records = [record for record in caplog.records if record.name == "wavix_async.drift"]
    assert len(records) == 5
    assert {record.levelname for record in records} == {"WARNING"}
    assert {getattr(record, "drift", None) for record in records} == {str(event.drift) for event in told}


async def test_each_client_tells_it_anew(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id="1"), repeat=True)
    for _ in range(2):
        async with client() as wavix:
            await wavix.numbers.get(1)

    assert len(caplog.records) == 2


async def test_no_drift_is_told_where_there_is_none(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(status="new", label=None))
    async with client() as wavix:
        await wavix.numbers.get(1)

    assert caplog.records == []


async def test_a_drift_report_holds_types_and_no_values(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.answer("GET", "/v1/numbers/1", ex.number(id="a private thing", new={"a": "a private thing"}))
    async with client() as wavix:
        await wavix.numbers.get(1)

    assert [record.getMessage() for record in caplog.records] == [*["answer not as documented"] * 2, "attempt ended"]
    assert "a private thing" not in "".join(f"{record.__dict__}" for record in caplog.records)


async def test_the_record_in_the_log_says_what_drifted(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(id="1"))
    async with client() as wavix:
        await wavix.numbers.get(1)

    assert getattr(caplog.records[0], "drift", None) == "$.id: expected int, found str"


async def test_a_server_that_sends_ever_new_keys_does_not_fill_the_log(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(**{f"key{i}": 1 for i in range(3000)}))
    async with client() as wavix:
        number = await wavix.numbers.get(1)

    assert len(number.extra) == 3000
    assert len(caplog.records) <= 1000


@given(
    st.dictionaries(
        st.sampled_from(list(ex.NUMBER_FIELDS)),
        st.none() | st.integers(-(2**63), 2**63) | st.text(max_size=5),
        max_size=5,
    )
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_drift_goes_through_the_client(api: Api, changes: dict[str, Any]) -> None:
    api.answer("GET", "/v1/numbers/1", ex.number(**changes))
    async with client() as wavix:
        number = await wavix.numbers.get(1)

    assert type(number) is Number
    assert ex.same(to_dict(number), ex.number(**changes))


# --- the key ---


def shown(error: BaseException) -> Iterator[str]:
    """Everything that a log, a debugger or an error tracker would show of an exception."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for each in chain:
        yield from (str(each), repr(each), repr(each.args), repr(vars(each)))
    yield "".join(traceback.format_exception(error))
    # The frames of the test hold the key because the test does: only those of the package and of libraries count.
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    pending: list[traceback.TracebackException | None] = [told]
    while pending:
        part = pending.pop()
        if part is not None:
            pending += [part.__cause__, part.__context__]
            yield from (f"{frame}: {frame.locals}" for frame in part.stack if not frame.filename.startswith(__file__))


def assert_hidden(error: BaseException, key: str = KEY) -> None:
    for text in shown(error):
        assert key not in text
    if isinstance(error, WavixError):
        assert key.encode() not in pickle.dumps(error)


@pytest.mark.req_24
async def test_the_key_is_not_in_what_a_client_shows(api: Api) -> None:
    async with client() as wavix:
        other = wavix.with_options(deadline=5)
        for thing in (
            wavix,
            other,
            wavix.numbers,
            wavix.numbers.papers,
            wavix.limits,
            wavix.limits.snapshot(),
            wavix.retry,
        ):
            assert KEY not in repr(thing)
            assert KEY not in str(thing)
            assert KEY not in repr(getattr(thing, "__dict__", ""))


@pytest.mark.req_24
@pytest.mark.parametrize(
    "failure",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(104, "reset"),
        aiohttp.ClientPayloadError("half"),
        ValueError("odd"),
        TimeoutError(),
        None,
    ],
    ids=repr,
)
@pytest.mark.parametrize("attempts", [1, 3])
async def test_the_key_is_not_in_failures(
    api: Api, caplog: pytest.LogCaptureFixture, failure: Exception | None, attempts: int
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(3):
        if failure:
            api.mock.patch(f"{BASE}/v1/numbers/1", exception=failure)
        else:
            api.answer("PATCH", "/v1/numbers/1", {"message": "down"}, status=500)
    async with client(retry=RetryPolicy(attempts=attempts, backoff=0)) as wavix:
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.update(1, sms_enabled=True)

    assert_hidden(caught.value)
    assert KEY not in caplog.text


REPLIES = {
    "refused": None,
    "hung up": b"",
    "garbage": b"\x00\x01garbage\r\n\r\n",
    "a bad status line": b"HTTP/1.1 what\r\n\r\n",
    "a bad header": b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    "a long header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
    "html": b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n<>",
    "not json": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
    "a bad encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "a refusal for long": b"HTTP/1.1 429 Slow\r\nRetry-After: 99999\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n",
    "too long": b"HTTP/1.1 200 OK\r\nContent-Length: 17000000\r\n\r\n" + b" " * 17_000_000,
}


@asynccontextmanager
async def server(reply: bytes | None, *, hold: bool = False) -> AsyncIterator[str]:
    """A server on a real socket that gives the same bytes to everybody, and hangs up; None: nobody listens.

    With `hold` it hangs up after the client has.
    """
    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply or b"")
            if hold:
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    if reply is None:
        listener.close()
    async with listener:
        yield url
    if serving:
        await asyncio.wait(serving)


@pytest.mark.req_24
@pytest.mark.parametrize("name", REPLIES)
async def test_the_key_is_not_in_failures_of_a_real_connection(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        server(REPLIES[name]) as url,
        WavixClient(KEY, base_url=url, retry=RetryPolicy.none(), timeout=5) as wavix,
    ):
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.get(1)

    assert type(caught.value).__module__ == "wavix_async.errors"
    assert_hidden(caught.value)
    assert KEY not in caplog.text


ENDS: dict[str, Callable[[WavixClient], Coroutine[Any, Any, Any]]] = {
    "a form": lambda wavix: wavix.numbers.papers.upload(
        did_ids=[1], doc_id="id", doc_attachment=b"x" * 100, filename="a.pdf"
    ),
    "a stall": lambda wavix: wavix.with_options(timeout=0.1).numbers.get(1),
    "a deadline": lambda wavix: wavix.with_options(deadline=0.1).numbers.get(1),
    "an argument": lambda wavix: wavix.numbers.get(0),
    "a body": lambda wavix: wavix.call(Operation("POST", "/v1/things", Number), body={"a": {1}}),
}


@pytest.mark.req_24
@pytest.mark.parametrize("name", ENDS)
async def test_the_key_is_not_in_errors_of_any_other_end(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that answers nothing: to a form it is closed in the middle, all others wait."""
    caplog.set_level(logging.DEBUG)

    async with (
        server(b"", hold=name != "a form") as url,
        WavixClient(KEY, base_url=url, retry=RetryPolicy.none(), timeout=5) as wavix,
    ):
        with pytest.raises(WavixError) as caught:
            await ENDS[name](wavix)
    assert_hidden(caught.value)
    assert KEY not in caplog.text


@pytest.mark.req_24
async def test_the_key_is_not_in_a_bulk_report(caplog: pytest.LogCaptureFixture) -> None:
    """Each failure keeps its error, and a report is what people print."""
    caplog.set_level(logging.DEBUG)
    async with server(REPLIES["a bad chunk"]) as url, WavixClient(KEY, base_url=url, retry=RetryPolicy.none()) as wavix:
        report = await wavix.numbers.bulk_update(dict.fromkeys(range(1, 5), NumberUpdate(sms_enabled=True)))
    assert len(report.failures) == 4
    for failure in report.failures:
        assert KEY not in repr(failure)
        assert isinstance(failure.error, WavixError)
        assert_hidden(failure.error)
    with pytest.raises(WavixError) as caught:
        report.raise_for_failures()
    assert_hidden(caught.value)
    assert KEY not in f"{report} {report!r} {caplog.text}"


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"message": "Unknown key %s"}' % KEY.encode(), "application/json"),
        (502, b"<pre>Authorization: Bearer %s</pre>" % KEY.encode(), "text/html"),
        (200, b"<pre>Authorization: Bearer %s</pre>" % KEY.encode(), "text/html"),
    ],
)
async def test_a_server_that_echoes_the_key_does_not_spread_it(
    api: Api, wavix: WavixClient, status: int, body: bytes, kind: str
) -> None:
    api.answer("GET", "/v1/numbers/1", body=body, status=status, content_type=kind)

    with pytest.raises(WavixError) as caught:
        await wavix.numbers.get(1)
    # What reaches a log: frames are held by the debugger only.
    for text in (str(caught.value), repr(caught.value), repr(caught.value.details)):
        assert KEY not in text


@pytest.mark.req_24
@pytest.mark.parametrize(("plain", "escaped"), [("/", "\\/"), ("+", "\\u002b"), ("&", "\\u0026")])
async def test_a_server_that_escapes_the_key_does_not_spread_it(api: Api, plain: str, escaped: str) -> None:
    """JSON encoders escape slashes (PHP) and ampersands (Rails) by default, and keys in base64 have slashes."""
    key = f"key{plain}that-nobody-may-see"
    body = b'{"message": "Unknown key %s"}' % key.replace(plain, escaped).encode()
    api.answer("GET", "/v1/numbers/1", body=body, status=401)

    async with WavixClient(key, base_url=BASE, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(AuthenticationError) as caught:
            await wavix.numbers.get(1)
    for text in (str(caught.value), repr(caught.value), repr(caught.value.details)):
        assert key not in text


@pytest.mark.req_24
@pytest.mark.parametrize("key", ["id", "hidden", "<hidden>", "d", "success"])
@pytest.mark.parametrize(("status", "kind"), [(422, UnprocessableEntityError), (200, DecodeError)])
async def test_a_key_that_is_a_part_of_every_answer(api: Api, key: str, status: int, kind: type[WavixError]) -> None:
    """A word as the key of a test: too short to be hidden, or hidden by itself."""
    body = b'{"message": "hidden <hidden> success invalid"' + (b"}" if status == 422 else b"")
    api.answer("GET", "/v1/numbers/1", body=body, status=status)

    async with WavixClient(key, base_url=BASE, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(kind, match="hidden <hidden> success invalid"):
            await wavix.numbers.get(1)


WRONG = [{"base_url": "http://api.example.net"}, {"rate": -1}, {"timeout": 0}, {"max_connections": 0}, {"retry": 3}]


@pytest.mark.req_24
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_the_key_is_not_in_the_frames_of_a_wrong_setting(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WavixClient, "__repr__", object.__repr__)  # see the next test
    with pytest.raises(ConfigurationError) as caught:
        WavixClient(KEY, **wrong)

    assert_hidden(caught.value)


@pytest.mark.req_24
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_the_key_is_not_in_the_message_of_a_wrong_setting(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WavixClient(KEY, **wrong)

    assert KEY not in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_client_that_was_not_finished_can_be_shown() -> None:
    assert "WavixClient" in repr(object.__new__(WavixClient))


@pytest.mark.req_24
async def test_the_key_from_the_environment_is_hidden_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", KEY)
    api.mock.get(f"{BASE}/v1/numbers/1", exception=aiohttp.ServerDisconnectedError())
    async with WavixClient(base_url=BASE, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.get(1)

    assert_hidden(caught.value)
