"""The client against a server that breaks on purpose: fault x kind of operation x outcome, on real sockets.

The numbers in the docstrings are the requirements of RELIABILITY.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import pickle
import socket
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
from aiohttp.abc import AbstractResolver

from tests.faults._stale import close_on_reuse
from tests.faults.conftest import FAST, Recorder
from tests.faults.server import Fault, FaultServer
from wavix_async import (
    APIError,
    AttemptEvent,
    AttemptTimeoutError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    DisconnectedError,
    NotFoundError,
    Number,
    Operation,
    OutcomeUnknownError,
    PauseEvent,
    RateLimitError,
    RetryPolicy,
    ServerError,
    Success,
    Timeouts,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

PATH = "/v1/numbers/{id}"
SEND = Operation("POST", "/v1/messages", Success)
GET = Operation("GET", PATH, Number)
PATCH = Operation("PATCH", PATH, Number, repeatable=True)
PUT = Operation("PUT", PATH, Number)
DELETE = Operation("DELETE", PATH, Success)
# A new PATCH is not repeatable until somebody has thought about it, and a PUT that costs money opts out.
NEW_PATCH = Operation("PATCH", PATH, Number)
PAID_PUT = Operation("PUT", PATH, Number, repeatable=False)

REPEATABLE = [GET, PATCH, PUT, DELETE]
ONCE = [SEND, NEW_PATCH, PAID_PUT]

NO_ANSWER = ["reset_before", "reset_after", "close_before", "close_after", "half_headers", "half_body", "chunked_cut"]
STALLS = ["stall", "stall_after"]
SERVER_ERRORS = ["status_500", "status_502", "status_503", "status_504", "status_500_after", "html_502"]
UNREADABLE = ["garbage", "wrong_type"]
CARRIED_OUT = {"reset_after", "close_after", "half_headers", "half_body", "chunked_cut", "stall_after",
               "status_500_after", "garbage", "wrong_type"}  # fmt: skip
REFUSALS = [400, 401, 402, 403, 404, 409, 413, 422]


def by_name(value: object) -> str | None:
    if isinstance(value, Operation):
        return f"{value.method}{'' if value.repeatable else '-once'}"
    return value if isinstance(value, str) else None


async def call(client: WavixClient, operation: Operation[Any], number: int = 7) -> Any:
    body = {"sms_enabled": True} if operation.method in {"POST", "PUT", "PATCH"} else None
    return await client.call(operation, path={"id": number} if "{id}" in operation.path else None, body=body)


def sent_to(faulty: FaultServer) -> int:
    return int(faulty.counters()["total"])


# ------------------------------------------------------------------------------------------------- what is repeated


@pytest.mark.parametrize("fault", NO_ANSWER + STALLS + SERVER_ERRORS + UNREADABLE + ["status_408"])
@pytest.mark.parametrize("operation", REPEATABLE, ids=by_name)
async def test_a_repeatable_call_survives_one_fault(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any], fault: str
) -> None:
    """Requirements 4, 5 and 23: one fault, one repetition, and the server saw as many requests as were counted."""
    faulty.set_schedule([fault])
    result = await call(make_client(timeout=0.3 if fault in STALLS else 10), operation)
    faulty.assert_fired(fault, times=1)
    assert sent_to(faulty) == len(seen.on_the_wire) == 2
    assert len(seen.retries) == 1
    if operation is DELETE:
        assert result.success is True
        assert result.already_gone is (fault in CARRIED_OUT)
    else:
        assert result.id == 7


@pytest.mark.parametrize(
    ("fault", "kind", "outcome"),
    [
        ("reset_after", DisconnectedError, "unknown"),
        ("close_before", DisconnectedError, "unknown"),
        ("half_headers", DisconnectedError, "unknown"),
        ("half_body", DisconnectedError, "unknown"),
        ("chunked_cut", DisconnectedError, "unknown"),
        ("garbage", DecodeError, "unknown"),
        ("wrong_type", DecodeError, "unknown"),
        ("html_502", ServerError, "unknown"),
        ("status_500", ServerError, "unknown"),
        ("status_503", ServerError, "unknown"),
    ],
)
# A DELETE that was carried out is told as gone, see above: here it is left out.
@pytest.mark.parametrize("operation", [GET, PATCH, PUT], ids=by_name)
async def test_the_last_failure_is_told_with_the_true_count(
    faulty: FaultServer,
    make_client: Any,
    seen: Recorder,
    operation: Operation[Any],
    fault: str,
    kind: type[WavixError],
    outcome: str,
) -> None:
    """Requirements 5, 9 and 24: attempts end, `error.attempts` is what the server saw, and the error can be pickled."""
    faulty.reset(faults={fault: 1.0})
    client = make_client(retry=RetryPolicy(attempts=3, backoff=0.01, max_backoff=0.05))
    with pytest.raises(kind) as caught:
        await call(client, operation)
    error = caught.value
    assert (error.attempts, len(seen.on_the_wire), sent_to(faulty)) == (3, 3, 3)
    assert error.outcome == outcome
    assert error.retryable is True
    assert error.elapsed > 0
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.attempts) == (kind, str(error), 3)


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("operation", [PATCH, SEND], ids=by_name)
async def test_a_refusal_is_not_repeated(
    faulty: FaultServer, make_client: Any, operation: Operation[Any], status: int
) -> None:
    faulty.set_schedule([f"status_{status}"])
    with pytest.raises(APIError) as caught:
        await call(make_client(), operation)
    faulty.assert_fired(f"status_{status}", times=1)
    assert sent_to(faulty) == caught.value.attempts == 1
    assert (caught.value.status, caught.value.outcome, caught.value.retryable) == (status, "rejected", False)
    assert caught.value.request_id


@pytest.mark.parametrize("operation", [*REPEATABLE, SEND], ids=by_name)
async def test_success_false_under_200_is_a_refusal(
    faulty: FaultServer, make_client: Any, operation: Operation[Any]
) -> None:
    faulty.set_schedule(["success_false"])
    with pytest.raises(APIError, match="The number cannot be changed") as caught:
        await call(make_client(), operation)
    faulty.assert_fired("success_false", times=1)
    assert sent_to(faulty) == 1
    assert (caught.value.status, caught.value.outcome) == (200, "rejected")


async def test_a_delete_of_nothing_is_no_success(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 23: only a 404 after an ambiguous attempt means that the call itself did it."""
    faulty.set_schedule(["status_404"])
    with pytest.raises(NotFoundError):
        await call(make_client(), DELETE)
    assert sent_to(faulty) == 1
    # A 429 was a refusal: nothing ambiguous went before the 404.
    faulty.reset()
    faulty.set_schedule([Fault("status_429", headers=(("Retry-After", "0.05"),)), "status_404"])
    with pytest.raises(NotFoundError):
        await call(make_client(), DELETE)
    faulty.assert_fired("status_429", "status_404", times=1)


async def test_a_delete_that_answers_something_else_can_be_gone_too(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 23: the default of `gone_is_done` holds for every DELETE, whatever its result is."""
    faulty.set_schedule(["reset_after"])
    try:
        await call(make_client(), Operation("DELETE", PATH, Number))
    except NotFoundError:
        pass
    faulty.assert_fired("reset_after", times=1)


@pytest.mark.parametrize("fault", ["empty_200", "no_content"])
async def test_an_empty_success_confirms_or_is_broken(
    faulty: FaultServer, make_client: Any, seen: Recorder, fault: str
) -> None:
    """Requirement 4: fine where a call only confirms, a broken answer where it has something to say."""
    client = make_client()
    faulty.set_schedule([fault])
    assert (await call(client, SEND)).success is True
    faulty.set_schedule([fault])
    assert (await call(client, PATCH)).id == 7
    faulty.assert_fired(fault, times=2)
    assert sent_to(faulty) == len(seen.on_the_wire) == 3
    faulty.set_schedule([fault])
    with pytest.raises(OutcomeUnknownError):
        await call(client, NEW_PATCH)


async def test_an_operation_may_answer_nothing(faulty: FaultServer, make_client: Any) -> None:
    faulty.set_schedule(["no_content"] * 4)
    assert await call(make_client(), Operation("PUT", PATH, None)) is None  # type: ignore[arg-type]
    faulty.assert_fired("no_content", times=1)


# ------------------------------------------------------------------------------------------------ what is sent once


@pytest.mark.parametrize("fault", NO_ANSWER + STALLS + SERVER_ERRORS + UNREADABLE)
@pytest.mark.parametrize("operation", ONCE, ids=by_name)
async def test_what_must_not_be_repeated_is_sent_once(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any], fault: str
) -> None:
    """Requirements 1 and 2: sent once, and the error says that it may have been carried out."""
    faulty.set_schedule([fault])
    with pytest.raises(OutcomeUnknownError, match="may have been carried out") as caught:
        await call(make_client(timeout=0.2 if fault in STALLS else 10), operation)
    faulty.assert_fired(fault, times=1)
    error = caught.value
    assert sent_to(faulty) == error.attempts == len(seen.on_the_wire) == 1
    assert not seen.retries
    assert error.outcome == "unknown"
    assert error.retryable is False
    assert isinstance(error.__cause__, WavixError)
    if fault in {*SERVER_ERRORS, *UNREADABLE}:
        assert error.request_id is not None
        assert error.request_id.startswith("fault-")
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.request_id, copy.attempts, copy.outcome) == (error.request_id, 1, "unknown")


@pytest.mark.parametrize("operation", ONCE, ids=by_name)
async def test_an_answer_that_is_too_long_leaves_the_outcome_unknown(
    faulty: FaultServer, make_client: Any, operation: Operation[Any]
) -> None:
    """Requirement 1: nobody has read what it says; under a 502 it would be the same."""
    faulty.set_schedule(["big_body"])
    try:
        with pytest.raises(OutcomeUnknownError):
            await call(make_client(), operation)
    finally:
        faulty.assert_fired("big_body", times=1)
        assert sent_to(faulty) == 1


@pytest.mark.parametrize("fault", ["status_429", "status_503_retry_after"])
@pytest.mark.parametrize("operation", [*REPEATABLE, *ONCE], ids=by_name)
async def test_a_stated_refusal_is_waited_out_for_every_method(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any], fault: str
) -> None:
    """Requirements 3, 5 and 7: 429, and 503 with Retry-After, changed nothing; nobody comes back too early."""
    faulty.reset(retry_after=0.06)
    # One that is not paused would be caught by the gap in the server's log.
    faulty.set_schedule([Fault(fault, headers=(("Retry-After", "0.06"),))] * 2)
    await call(make_client(), operation)
    faulty.assert_fired(fault, times=2)
    assert sent_to(faulty) == len(seen.on_the_wire) == 3
    times = [entry["at"] for entry in faulty.log()]
    assert all(later - earlier >= 0.055 for earlier, later in itertools.pairwise(times))
    assert len([event for event in seen.events if isinstance(event, PauseEvent)]) == 2


async def test_429s_do_not_use_up_attempts(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 9: bounded by the deadline, not by the attempt count."""
    faulty.set_schedule([Fault("status_429", headers=(("Retry-After", "0.02"),))] * 3 + ["status_500"])
    client = make_client(retry=RetryPolicy(attempts=2, backoff=0.01, max_backoff=0.05))
    assert (await call(client, PATCH)).id == 7
    faulty.assert_fired("status_429", times=3)
    faulty.assert_fired("status_500", times=1)
    assert sent_to(faulty) == 5


async def test_one_429_pauses_every_task(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 6: nobody sends before Retry-After, callers that start during the pause included."""
    client = make_client()
    faulty.set_schedule([Fault("status_429", headers=(("Retry-After", "0.4"),))])
    first = asyncio.create_task(call(client, PATCH))
    while client.limits.snapshot().paused_for == 0:
        await asyncio.sleep(0.005)
    began = time.monotonic()
    await asyncio.gather(first, *(call(client, GET, number) for number in range(20, 40)))
    assert time.monotonic() - began >= 0.3
    refused, *later = [entry["at"] for entry in faulty.log()]
    assert min(later) - refused >= 0.395
    faulty.assert_fired("status_429", times=1)
    assert sent_to(faulty) == 22


async def test_a_quota_429_is_an_error_at_once(faulty: FaultServer, make_client: Any) -> None:
    faulty.set_schedule(["status_429_retry_after"])
    client = make_client()
    with pytest.raises(RateLimitError) as caught:
        await call(client, Operation("POST", "/v1/nudge", Success, quota=True))
    assert caught.value.retry_after == 1
    assert caught.value.outcome == "rejected"
    assert client.limits.snapshot().paused_for == 0
    assert sent_to(faulty) == 1


@pytest.mark.parametrize("fault", ["status_429", "status_503"])
async def test_no_policy_repeats_nothing(faulty: FaultServer, make_client: Any, seen: Recorder, fault: str) -> None:
    client = make_client(retry=RetryPolicy.none())
    for count, name in enumerate((fault, "status_500", "garbage", "reset_before"), 1):
        faulty.set_schedule([Fault(name, headers=(("Retry-After", "0.01"),))])
        with pytest.raises(WavixError) as caught:
            await call(client, PATCH)
        faulty.assert_fired(name, times=1)
        assert caught.value.attempts == 1
        assert sent_to(faulty) == count
        if name == fault:
            assert caught.value.retry_after == 0.01
            await asyncio.sleep(0.02)
    assert not seen.retries


# ---------------------------------------------------------------------------------------------------- never sent


@pytest.fixture
def deaf_port() -> Iterator[socket.socket]:
    """A port that is ours and refuses; `listen()` makes it an address where somebody is at home."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.asynccontextmanager
async def silent_port() -> AsyncIterator[str]:
    """An address whose queue is full: a connection to it is never answered, and never refused."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            waiting.append(filler)
        await asyncio.sleep(0.02)
        try:
            yield url_of(full)
        finally:
            for filler in waiting:
                filler.close()


class NoSuchHost(AbstractResolver):
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> Any:
        raise OSError(-2, "Name or service not known")

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("operation", [GET, PATCH, DELETE, *ONCE], ids=by_name)
async def test_a_refused_connection_is_retried_for_every_method(
    make_client: Any, seen: Recorder, deaf_port: socket.socket, operation: Operation[Any]
) -> None:
    """Requirement 3: nothing was sent, so every method may come back; the count says that nothing was."""
    with pytest.raises(ConnectError) as caught:
        await call(make_client(base_url=url_of(deaf_port)), operation)
    assert (caught.value.attempts, caught.value.outcome) == (0, "not_sent")
    assert caught.value.retryable is True
    assert [event.outcome for event in seen.attempts] == ["not_sent"] * 4
    assert len(seen.retries) == 3


async def test_attempts_that_never_left_are_numbered_too(
    make_client: Any, seen: Recorder, deaf_port: socket.socket
) -> None:
    """Requirement 25: `AttemptEvent.attempt` is "1 for the first attempt of the call"."""
    with pytest.raises(ConnectError):
        await call(make_client(base_url=url_of(deaf_port)), GET)
    assert [event.attempt for event in seen.attempts] == [1, 2, 3, 4]


async def test_a_post_gets_through_when_the_server_comes_up(make_client: Any, deaf_port: socket.socket) -> None:
    """Requirement 3."""
    requests = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    client = make_client(base_url=url_of(deaf_port), retry=RetryPolicy(attempts=50, backoff=0.02, max_backoff=0.05))
    sending = asyncio.create_task(call(client, SEND))
    await asyncio.sleep(0.1)
    assert not sending.done()
    server = await asyncio.start_server(answer, sock=deaf_port.dup())
    assert (await sending).success is True
    server.close()
    await server.wait_closed()
    assert len(requests) == 1


@pytest.mark.parametrize("kind", ["dns", "tls"])
async def test_dns_and_tls_failures_were_never_sent(
    make_client: Any, seen: Recorder, deaf_port: socket.socket, kind: str
) -> None:
    """Requirement 3."""

    async def answer_in_the_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(answer_in_the_clear, sock=deaf_port.dup())
    connector = aiohttp.TCPConnector(resolver=NoSuchHost()) if kind == "dns" else aiohttp.TCPConnector()
    async with aiohttp.ClientSession(connector=connector) as session:
        base_url = "https://wavix.invalid" if kind == "dns" else url_of(deaf_port, "https")
        with pytest.raises(ConnectError) as caught:
            await call(make_client(base_url=base_url, session=session), SEND)
    server.close()
    await server.wait_closed()
    assert (caught.value.attempts, caught.value.outcome) == (0, "not_sent")
    assert len(seen.attempts) == 4


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (GET, None),
        (SEND, None),
        (SEND, {"to": "1"}),
    ],
)
async def test_a_stale_connection_is_retried_for_every_method(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any], body: Any
) -> None:
    """Requirement 3: a write to a closing transport never left; it is the commonest failure of a quiet client."""
    async with aiohttp.ClientSession() as session:
        stale = close_on_reuse(session, with_body=body is not None)
        client = make_client(session=session)
        await call(client, GET, 1)
        await client.call(operation, path={"id": 7}, body=body)
    assert stale() == 1
    assert [event.outcome for event in seen.attempts] == [None, "not_sent", None]
    assert sent_to(faulty) == len(seen.on_the_wire) == 2


async def test_a_connection_that_closes_in_the_middle_of_an_upload_is_not_never_sent(
    make_client: Any, deaf_port: socket.socket
) -> None:
    """Requirements 1 and 5: head and parts of the form were on the wire, so it is not sent again."""
    heads = []

    async def read_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        while await reader.read(65536):
            pass
        writer.close()
        await writer.wait_closed()

    async def close_at_the_sixth_write(session: aiohttp.ClientSession, *_: object) -> None:
        nonlocal writes
        writes += 1
        if writes == 6:
            assert session.connector is not None
            for protocol in session.connector._acquired:
                assert protocol.transport is not None
                protocol.transport.close()

    writes = 0
    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(close_at_the_sixth_write)
    server = await asyncio.start_server(read_on, sock=deaf_port.dup())
    try:
        async with aiohttp.ClientSession(trace_configs=[trace]) as session:
            client = make_client(base_url=url_of(deaf_port), session=session, retry=RetryPolicy.none())
            with pytest.raises(OutcomeUnknownError) as caught:
                await client.numbers.papers.upload(did_ids=[1], doc_attachment=b"x", doc_id="id", filename="a.pdf")
            async with asyncio.timeout(2):
                while not heads:
                    await asyncio.sleep(0.01)
        assert caught.value.attempts == len(heads) == 1
    finally:
        server.close()
        await server.wait_closed()


async def test_a_slow_connect_was_never_sent(make_client: Any, seen: Recorder) -> None:
    """Requirement 3: `Timeouts.connect` ends it."""
    async with silent_port() as url:
        client = make_client(base_url=url, timeout=Timeouts(connect=0.15), retry=RetryPolicy.none())
        with pytest.raises(ConnectError) as caught:
            await call(client, SEND)
    assert (caught.value.attempts, caught.value.outcome) == (0, "not_sent")


@pytest.mark.parametrize("bound", ["attempt", "deadline"])
async def test_a_timeout_while_connecting_was_never_sent(make_client: Any, bound: str) -> None:
    """Requirement 3."""
    async with silent_port() as url:
        client = make_client(base_url=url, timeout=Timeouts(**{bound: 0.15}), retry=RetryPolicy.none())
        with pytest.raises((ConnectError, AttemptTimeoutError, DeadlineExceededError)) as caught:
            await call(client, SEND)
        assert (caught.value.attempts, caught.value.outcome) == (0, "not_sent")


async def test_a_wait_for_the_pool_was_never_sent(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 3: a session of the user's own may have fewer connections than the client has slots."""
    faulty.set_schedule(["stall"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        client = make_client(session=session, retry=RetryPolicy.none())
        first = asyncio.create_task(call(client, GET))
        while sent_to(faulty) < 1:
            await asyncio.sleep(0.01)
        try:
            with pytest.raises((ConnectError, AttemptTimeoutError)) as caught:
                await call(client.with_options(timeout=0.2), SEND)
        finally:
            first.cancel()
            await asyncio.wait([first])
        assert caught.value.outcome == "not_sent"
        assert sent_to(faulty) == 1


# -------------------------------------------------------------------------------------------------- the counters


@pytest.mark.parametrize("operation", [GET, PATCH, PUT, DELETE, *ONCE], ids=by_name)
async def test_requests_on_the_wire_equal_the_counter(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any]
) -> None:
    """Requirement 5, under a storm: what the server saw is what events and errors say, for every method."""
    storm = ["reset_before", "reset_after", "close_after", "half_headers", "half_body", "chunked_cut", "garbage",
             "status_500", "status_503"]  # fmt: skip
    faulty.reset(faults=dict.fromkeys(storm, 0.05), seed=5)
    client = make_client(retry=attrs.evolve(FAST, attempts=15))
    limit = asyncio.Semaphore(8)
    in_errors: list[int] = []

    async def one(number: int) -> None:
        async with limit:
            try:
                await call(client, operation, number)
            except WavixError as error:
                in_errors.append(error.attempts)

    await asyncio.gather(*(one(number) for number in range(1, 61)))
    successes = 60 - len(in_errors)
    counters = faulty.counters()
    assert sum(counters["fired"].values()) - counters["fired"].get("ok", 0) > 10
    assert counters["total"] == len(seen.on_the_wire)
    assert len(seen.on_the_wire) >= sum(in_errors) + successes
    if operation.repeatable:
        # Fifteen faults in a row have a chance of one in 160,000.
        assert successes == 60
    else:
        assert in_errors
        assert set(in_errors) == {1}
        assert counters["total"] == 60


async def test_observers_see_every_attempt_and_one_that_raises_is_contained(
    faulty: FaultServer, make_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Requirement 25."""
    mine = Recorder()

    def broken(event: object) -> None:
        raise ZeroDivisionError("an observer's own mistake")

    faulty.set_schedule(["status_500", "reset_after", "garbage"])
    client = make_client(observers=(broken, mine))
    with caplog.at_level(logging.ERROR, "wavix_async"):
        assert (await call(client, PATCH)).id == 7
    attempts = mine.attempts
    assert [(a.attempt, a.status) for a in attempts] == [(1, 500), (2, None), (3, 200), (4, 200)]
    assert [(r.attempt, r.reason, r.status) for r in mine.retries] == [
        (1, "ServerError", 500),
        (2, "DisconnectedError", None),
        (3, "DecodeError", 200),
    ]
    assert all(isinstance(a, AttemptEvent) and a.operation == "PATCH /v1/numbers/{id}" for a in attempts)
    assert len([record for record in caplog.records if record.exc_info]) == 1
    assert sent_to(faulty) == 4


# ------------------------------------------------------------------------------------------------- bad answers


@pytest.mark.parametrize("operation", [GET, PATCH, DELETE, SEND], ids=by_name)
async def test_a_redirect_is_not_followed(faulty: FaultServer, make_client: Any, operation: Operation[Any]) -> None:
    """Requirement 23: not followed at all, so the key goes nowhere else."""
    faulty.set_schedule(["redirect"])
    with pytest.raises(APIError) as caught:
        await call(make_client(), operation)
    faulty.assert_fired("redirect", times=1)
    counters = faulty.counters()
    assert caught.value.status == 307
    assert counters["total"] == 1
    assert (counters["redirected"], counters["redirected_with_key"]) == (0, 0)


@pytest.mark.parametrize("fault", ["gzip_bomb", "big_body"])
async def test_a_body_that_is_too_long_is_a_bounded_error(faulty: FaultServer, make_client: Any, fault: str) -> None:
    """Requirement 23: over 16 MB reading stops, the error stays small, and nobody asks for it again."""
    faulty.set_schedule([fault])
    client = make_client(timeout=30)
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="longer than 16 MB") as caught:
            await call(client, GET)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    faulty.assert_fired(fault, times=1)
    assert sent_to(faulty) == 1
    assert peak < 64_000_000
    assert len(str(caught.value.details)) <= 2000
    assert len(pickle.dumps(caught.value)) < 5000
    assert (await call(client, GET)).id == 7


async def test_a_wrong_content_type_is_quoted_in_part(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 23."""
    faulty.reset(faults={"wrong_type": 1.0})
    client = make_client(retry=RetryPolicy.none())
    with pytest.raises(DecodeError, match=r"content type 'text/html.*Down for maintenance") as caught:
        await call(client, GET)
    assert caught.value.status == 200
    assert len(str(caught.value)) < 1000
    faulty.assert_fired("wrong_type")


async def test_an_endless_error_page_is_quoted_in_part(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 23: error bodies are bounded as well."""
    faulty.set_schedule([Fault("status_400", body="<p>" + "x" * 3_000_000)])
    with pytest.raises(APIError) as caught:
        await call(make_client(), GET)
    faulty.assert_fired("status_400")
    assert len(str(caught.value)) < 1000
    assert len(pickle.dumps(caught.value)) < 5000


@pytest.mark.parametrize("body", ["[]", '"fine"', "17", "null", "true", "[1, 2]"])
async def test_json_of_another_shape_is_no_number(faulty: FaultServer, make_client: Any, body: str) -> None:
    """Requirement 4: a 200 that is not what the call answers is a malformed answer, and is asked for again."""
    faulty.set_schedule([Fault("ok", body=body)])
    assert (await call(make_client(), PATCH)).id == 7
    assert sent_to(faulty) == 2


@pytest.mark.parametrize("fault", ["ok", "status_400"])
async def test_json_that_is_too_deep_is_one_of_our_errors(
    faulty: FaultServer, make_client: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Requirement 24, without the speedups: orjson refuses it as any other broken JSON."""
    monkeypatch.setattr("wavix_async._codec.loads", json.loads)
    faulty.set_schedule([Fault(fault, body="[" * 100_000)] * 4)
    with pytest.raises(WavixError):
        await call(make_client(), GET)


async def test_an_upload_of_a_large_paper_warns_of_nothing(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 22: no warnings. (10 MB are allowed; warnings are errors here, and in many test suites.)"""
    faulty.set_schedule([Fault("ok", body="[]")])
    papers = make_client().numbers.papers
    assert await papers.upload(did_ids=[1], doc_attachment=b"x" * 1_100_000, doc_id="id", filename="a.pdf") == []
    assert sent_to(faulty) == 1


@pytest.mark.parametrize("fault", [Fault("drip", delay=0.03), Fault("stall"), Fault("stall_after")], ids=str)
async def test_a_drip_and_a_stall_end_by_the_attempt_timeout(
    faulty: FaultServer, make_client: Any, fault: Fault
) -> None:
    """Requirement 11: no byte that trickles in buys more time."""
    faulty.set_schedule([fault])
    client = make_client(timeout=0.3, retry=RetryPolicy.none())
    began = time.monotonic()
    with pytest.raises(AttemptTimeoutError) as caught:
        await call(client, GET)
    assert 0.29 <= time.monotonic() - began < 2
    assert isinstance(caught.value, TimeoutError)
    faulty.assert_fired(fault.kind, times=1)


# ------------------------------------------------------------------------------------------------- the deadline


async def test_a_stalled_call_ends_at_its_deadline(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 11: over all attempts."""
    faulty.reset(faults={"stall": 1.0})
    client = make_client(timeout=0.2, retry=RetryPolicy(attempts=20, backoff=0.01, max_backoff=0.05))
    began = time.monotonic()
    with pytest.raises((DeadlineExceededError, AttemptTimeoutError)) as caught:
        await call(client.with_options(deadline=0.5), GET)
    assert 0.3 <= time.monotonic() - began < 1.5
    assert sent_to(faulty) == caught.value.attempts >= 2


async def test_a_backoff_that_does_not_fit_is_not_begun(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 11."""
    faulty.reset(faults={"status_500": 1.0})
    client = make_client(retry=RetryPolicy(attempts=20, backoff=500, max_backoff=500))
    began = time.monotonic()
    with pytest.raises(ServerError):
        await call(client.with_options(deadline=0.5), GET)
    assert time.monotonic() - began < 1.5
    faulty.assert_fired("status_500")


async def test_a_wait_for_a_connection_ends_at_the_deadline(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 11: and what never left says so."""
    faulty.set_schedule(["stall"])
    client = make_client(max_connections=1)
    first = asyncio.create_task(call(client, GET))
    while sent_to(faulty) < 1:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError) as caught:
        await call(client.with_options(deadline=0.2), SEND)
    assert time.monotonic() - began < 1.2
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    first.cancel()
    await asyncio.wait([first])
    assert (await call(client, GET)).id == 7
    assert sent_to(faulty) == 2


async def test_a_wait_for_the_learning_window_ends_at_the_deadline(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 11: a new client has eight requests in flight at most; the ninth call has a deadline all the same."""
    faulty.set_schedule(["stall"] * 8)
    client = make_client()
    stalled = [asyncio.create_task(call(client, GET, number)) for number in range(1, 9)]
    try:
        while sent_to(faulty) < 8:
            await asyncio.sleep(0.01)
        with pytest.raises(WavixError) as caught:
            await asyncio.wait_for(call(client.with_options(deadline=0.2), SEND), 2)
        assert caught.value.outcome == "not_sent"
    finally:
        for task in stalled:
            task.cancel()
        await asyncio.wait(stalled)


async def test_a_turn_that_comes_too_late_fails_at_once(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 7, with a configured rate."""
    client = make_client(rate=0.5)
    await call(client, GET)
    began = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        await call(client.with_options(deadline=0.5), SEND)
    assert time.monotonic() - began < 0.4
    assert caught.value.retry_after == pytest.approx(2, abs=0.5)
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    assert sent_to(faulty) == 1


@pytest.mark.parametrize("fault", ["status_429", "status_503_retry_after"])
@pytest.mark.parametrize("operation", [PATCH, SEND], ids=by_name)
async def test_a_pause_that_does_not_fit_the_deadline_fails_at_once(
    faulty: FaultServer, make_client: Any, operation: Operation[Any], fault: str
) -> None:
    """Requirement 7: with the seconds to wait in `retry_after`."""
    faulty.set_schedule([Fault(fault, headers=(("Retry-After", "1"),))])
    began = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        await call(make_client().with_options(deadline=0.7), operation)
    assert time.monotonic() - began < 0.7
    assert caught.value.retry_after == pytest.approx(1, abs=0.3)
    faulty.assert_fired(fault, times=1)
    assert sent_to(faulty) == caught.value.attempts == 1


async def test_a_call_that_meets_a_long_pause_fails_at_once(faulty: FaultServer, make_client: Any) -> None:
    """Requirements 6 and 7: for callers that did not get the 429 themselves."""
    faulty.set_schedule([Fault("status_429", headers=(("Retry-After", "2"),))])
    client = make_client()
    first = asyncio.create_task(call(client, GET))
    try:
        while client.limits.snapshot().paused_for == 0:
            await asyncio.sleep(0.005)
        with pytest.raises(RateLimitError) as caught:
            await asyncio.wait_for(call(client.with_options(deadline=0.3), SEND), 1)
        assert caught.value.retry_after == pytest.approx(2, abs=0.3)
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
        assert sent_to(faulty) == 1
    finally:
        first.cancel()
        await asyncio.wait([first])


# --------------------------------------------------------------------------------------------------- the lifetime


async def test_a_closed_client_says_so(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 22."""
    client = make_client()
    await call(client, GET)
    other = client.with_options(timeout=5)
    await client.close()
    await client.close()
    assert client.closed
    assert other.closed
    for closed in (client, other):
        with pytest.raises(ClientClosedError, match="closed") as caught:
            await call(closed, SEND)
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
        assert isinstance(caught.value, RuntimeError)
    assert sent_to(faulty) == 1
    async with make_client() as unused:
        pass
    assert unused.closed


async def test_a_closed_client_does_not_wait_for_its_turn(faulty: FaultServer, make_client: Any) -> None:
    client = make_client(rate=0.2)
    await call(client, GET)
    await client.close()
    with pytest.raises(ClientClosedError):
        await asyncio.wait_for(call(client, GET), 0.5)


async def test_closing_ends_calls_in_flight(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 22: with one of our errors, and for a POST with the truth."""
    faulty.reset(faults={"stall_after": 1.0})
    client = make_client()
    tasks = [asyncio.create_task(call(client, operation)) for operation in (GET, SEND)]
    while sent_to(faulty) < 2:
        await asyncio.sleep(0.01)
    await client.close()
    failures = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 2)
    assert all(isinstance(failure, WavixError) for failure in failures)
    assert all(failure.outcome == "unknown" for failure in failures if isinstance(failure, WavixError))
    assert isinstance(failures[1], OutcomeUnknownError)
    assert sent_to(faulty) == 2


async def test_a_session_that_was_closed_under_the_client_is_one_of_our_errors(
    faulty: FaultServer, make_client: Any
) -> None:
    """Requirement 24: every exception is ours."""
    async with aiohttp.ClientSession() as session:
        client = make_client(session=session)
        await call(client, GET)
    with pytest.raises(WavixError) as caught:
        await call(client, SEND)
    assert caught.value.outcome == "not_sent"


async def test_calls_in_flight_on_a_session_of_the_users_own_still_time_out(
    faulty: FaultServer, make_client: Any
) -> None:
    """Requirements 11 and 22: close() leaves that session open, so nothing else would ever end them."""
    faulty.set_schedule(["stall"])
    async with aiohttp.ClientSession() as session:
        client = make_client(session=session, timeout=0.2, retry=RetryPolicy.none())
        task = asyncio.create_task(call(client, GET))
        while sent_to(faulty) < 1:
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(WavixError):
            await asyncio.wait_for(task, 1)


async def test_a_session_of_the_users_own_is_not_closed(faulty: FaultServer, make_client: Any) -> None:
    """And its hidden replay is off (requirement 5)."""
    async with aiohttp.ClientSession() as session:
        async with make_client(session=session, retry=RetryPolicy.none()) as client:
            faulty.set_schedule(["reset_after"])
            with pytest.raises(DisconnectedError):
                await call(client, PUT)
        assert not session.closed
    faulty.assert_fired("reset_after", times=1)
    assert sent_to(faulty) == 1


@pytest.mark.parametrize("how", ["idle", "in flight", "paused"])
@pytest.mark.filterwarnings("error")
def test_a_client_works_in_a_second_event_loop(faulty: FaultServer, how: str) -> None:
    """Requirement 22: asyncio.run twice with one client, whatever it was doing when the first loop ended."""
    client = WavixClient("key", base_url=faulty.url, retry=FAST)

    async def first() -> None:
        assert (await call(client, GET)).id == 7
        if how == "in flight":
            faulty.set_schedule(["stall"] * 3)
        elif how == "paused":
            faulty.set_schedule([Fault("status_429", headers=(("Retry-After", "0.3"),))])
        if how != "idle":
            # Kept by the loop until it ends, and cancelled then.
            asyncio.current_task().rest = [  # type: ignore[union-attr]
                asyncio.create_task(call(client, GET, number)) for number in (1, 2, 3)
            ]
            await asyncio.sleep(0.1)

    async def second() -> None:
        faulty.set_schedule([])
        numbers = await asyncio.wait_for(asyncio.gather(*(call(client, PATCH, n) for n in range(1, 21))), 5)
        assert [number.id for number in numbers] == list(range(1, 21))
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)

    asyncio.run(first())
    asyncio.run(second())

    async def third() -> None:
        await call(client, GET)
        await client.close()
        with pytest.raises(ClientClosedError):
            await call(client, GET)

    asyncio.run(third())
    # Makes "Unclosed ..." heard here: all of the first two loops is garbage by now.
    gc.collect()


@pytest.mark.filterwarnings("error")
def test_closing_in_another_loop_is_fine(faulty: FaultServer) -> None:
    """Requirement 22."""
    client = WavixClient("key", base_url=faulty.url, retry=FAST)
    asyncio.run(call(client, GET))
    asyncio.run(client.close())
    gc.collect()


async def test_nothing_is_left_after_many_faults(faulty: FaultServer, make_client: Any) -> None:
    """Requirement 22: connections are back to the pool's size, nothing is in flight."""
    faulty.reset(
        schedule=["stall"] * 3,
        faults={"reset_before": 0.05, "half_body": 0.05, "garbage": 0.05, "status_500": 0.05},
        seed=3,
    )
    client = make_client(timeout=0.4, max_connections=8, retry=attrs.evolve(FAST, attempts=15))
    limit = asyncio.Semaphore(16)

    async def one(number: int) -> bool:
        async with limit:
            return (await call(client, PATCH, number)).id == number

    assert all(await asyncio.gather(*(one(number) for number in range(1, 301))))
    counters = faulty.counters()
    assert counters["peak_in_flight"] <= 8
    faulty.assert_fired("reset_before", "half_body", "garbage", "status_500", "stall")
    deadline = time.monotonic() + 3
    while faulty.counters()["open"] > 8 and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert faulty.counters()["open"] <= 8
    await client.close()
    while faulty.counters()["open"] and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert faulty.counters()["open"] == 0


@pytest.mark.parametrize(
    ("operation", "path", "body"),
    [
        pytest.param(GET, {"x": 1}, None, id="another name"),
        pytest.param(GET, None, None, id="no path values"),
        pytest.param(SEND, None, {"a": {1}}, id="a set"),
        pytest.param(SEND, None, {"a": "\ud800"}, id="a lone surrogate"),
        pytest.param(SEND, None, {"a": float("nan")}, id="not a number"),
    ],
)
async def test_arguments_that_make_no_request_are_input_errors(
    faulty: FaultServer, make_client: Any, operation: Operation[Any], path: Any, body: Any
) -> None:
    """Requirement 24: `call` raises "WavixError, one of its classes", and nothing is sent."""
    try:
        with pytest.raises(WavixError):
            await make_client().call(operation, path=path, body=body)
    finally:
        assert sent_to(faulty) == 0
