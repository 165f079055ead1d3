"""Exceptions of aiohttp are classified: never sent, or perhaps carried out."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

import aiohttp
import aiohttp.compression_utils
import pytest

from tests.conftest import BASE
from tests.support.raw import RawConnection, RawServer, answer
from wavix_async import (
    AttemptTimeoutError,
    AuthenticationError,
    ConnectError,
    DeadlineExceededError,
    DisconnectedError,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    ServerError,
    StoppedError,
    TransportError,
    WavixClient,
    WavixError,
    errors,
)
from wavix_async._http import REQUEST_ERROR_STATUSES, add_context

if TYPE_CHECKING:
    from tests.conftest import Api


@pytest.mark.parametrize(
    ("name", "said", "module"), [("br", "brotli", "HAS_BROTLI"), ("zstd", "zstandard", "HAS_ZSTD")]
)
async def test_an_encoding_that_is_not_supported_is_named(name: str, said: str, module: str) -> None:
    if getattr(aiohttp.compression_utils, module, False):
        pytest.skip("this installation of aiohttp reads the encoding")

    def serve(connection: RawConnection) -> None:
        while (seen := connection.read()) is not None:
            connection.send(answer(seen.id, head=f"Content-Encoding: {name}\r\n"))

    with RawServer(serve) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as wavix:
            with pytest.raises(DisconnectedError, match=rf"in the encoding {said} .* not supported") as caught:
                await wavix.numbers.get(7)
    assert caught.value.outcome == "unknown"


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


# --- what only the call knows ---


def with_context(error: WavixError, **facts: Any) -> WavixError:
    given = {"attempts": 1, "elapsed": 2.5, "past_deadline": False, "ambiguous": False, "refused": False, **facts}
    return add_context(error, "GET /v1/things", **given)


@pytest.mark.req_24
def test_every_error_gets_the_attempts_and_the_time() -> None:
    error = ConnectError("refused")

    assert with_context(error, attempts=3) is error
    assert (error.attempts, error.elapsed, error.outcome) == (3, 2.5, "not_sent")


@pytest.mark.req_11
def test_an_attempt_that_the_deadline_ended_is_a_deadline() -> None:
    cause = OSError()
    slow = AttemptTimeoutError("No complete answer in time")
    slow.__cause__ = cause
    assert with_context(slow) is slow

    late = with_context(slow, past_deadline=True)
    assert type(late) is DeadlineExceededError
    assert str(late) == "GET /v1/things reached its deadline: No complete answer in time"
    assert (late.outcome, late.attempts, late.__cause__) == ("unknown", 1, cause)
    refused = ConnectError("refused")
    assert with_context(refused, past_deadline=True) is refused


@pytest.mark.req_01
@pytest.mark.parametrize(
    ("error", "ambiguous", "refused", "outcome", "status"),
    [
        (ConnectError("x"), True, False, "unknown", None),
        (ServerError("x", status=500), False, True, "unknown", 500),
        (RateLimitError("x", status=429), True, True, "unknown", 429),
        (StoppedError("x"), True, False, "unknown", None),
        (StoppedError("x"), True, True, "unknown", None),
        (StoppedError("x"), False, True, "rejected", 429),
        (StoppedError("x"), False, False, "not_sent", None),
        (ConnectError("x"), False, True, "not_sent", None),
        (AuthenticationError("x", status=401), True, False, "unknown", 401),
        *(
            (errors.error_for_status(status)("x", status=status), True, False, "rejected", status)
            for status in sorted(REQUEST_ERROR_STATUSES)
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, WavixError) else None,
)
def test_what_earlier_attempts_may_have_done_counts(
    error: WavixError, ambiguous: bool, refused: bool, outcome: str, status: int | None
) -> None:
    with_context(error, ambiguous=ambiguous, refused=refused)

    assert (error.outcome, error.status) == (outcome, status)
