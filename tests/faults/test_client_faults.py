"""The client against a server that breaks on purpose: fault x kind of operation x outcome, on real sockets.

The marks `req_NN` say which promises a test holds; `pyproject.toml` has them in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import logging
import os
import pickle
import random
import signal
import socket
import ssl
import sys
import time
import traceback
import tracemalloc
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer

from tests.faults.conftest import FAST, Recorder
from tests.faults.server import Fault, FaultServer
from tests.support.files import assert_closed, open_files
from tests.support.soon import SOON
from tests.support.stale import close_on_reuse
from tests.support.stub import NUMBER
from wavix_async import (
    APIError,
    AttemptEvent,
    AttemptTimeoutError,
    ClientClosedError,
    ConfigurationError,
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
    from pathlib import Path

PATH = "/v1/numbers/{id}"
SEND = Operation("POST", "/v1/messages", Success)
GET = Operation("GET", PATH, Number)
PATCH = Operation("PATCH", PATH, Number, idempotent=True)
PUT = Operation("PUT", PATH, Number)
DELETE = Operation("DELETE", PATH, Success)
# A new PATCH is not repeatable until someone has thought about it, and a PUT that costs money opts out.
NEW_PATCH = Operation("PATCH", PATH, Number)
PAID_PUT = Operation("PUT", PATH, Number, idempotent=False)

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
        return f"{value.method}{'' if value.idempotent else '-once'}"
    return value if isinstance(value, str) else None


async def call(client: WavixClient, operation: Operation[Any], number: int = 7) -> Any:
    body = {"sms_enabled": True} if operation.method in {"POST", "PUT", "PATCH"} else None
    return await client.call(operation, path={"id": number} if "{id}" in operation.path else None, body=body)


def sent_to(faulty: FaultServer) -> int:
    return int(faulty.counters()["total"])


# ------------------------------------------------------------------------------------- sessions of the user's own


@pytest.mark.req_04
@pytest.mark.req_24
async def test_a_session_that_raises_for_every_status_changes_nothing(
    faulty: FaultServer, make_client: Any, seen: Recorder
) -> None:
    faulty.set_schedule(["status_500", "status_404"])
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        with pytest.raises(NotFoundError):
            await call(make_client(session=session), PATCH)
    assert [attempt.status for attempt in seen.attempts] == [500, 404]


@pytest.mark.req_03
@pytest.mark.req_24
@pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning")
async def test_a_login_from_netrc_is_named_and_nothing_is_sent(
    faulty: FaultServer, make_client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with aiohttp.ClientSession(trust_env=True) as session:
        with pytest.raises(ConfigurationError, match="netrc") as caught:
            await call(make_client(session=session), SEND)
    assert (caught.value.outcome, caught.value.attempts, sent_to(faulty)) == ("not_sent", 0, 0)


@pytest.mark.req_03
@pytest.mark.req_24
@pytest.mark.parametrize("proxy", ["refuses", "wrong"])
async def test_the_password_of_a_proxy_is_not_shown(make_client: Any, deaf_port: socket.socket, proxy: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Log In First\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, sock=deaf_port.dup())
    url = url_of(deaf_port).replace("//", "//someone:hunter2@") if proxy == "refuses" else "http://:hunter2@:x/"
    async with aiohttp.ClientSession(proxy=url) as session:
        client = make_client(base_url="https://localhost:1", session=session, retry=RetryPolicy.none())
        with pytest.raises(
            ConnectError, match="status 407, Log In First" if proxy == "refuses" else "InvalidURL"
        ) as caught:
            await call(client, SEND)
    server.close()
    await server.wait_closed()
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)


# ------------------------------------------------------------------------------------------------- what is repeated


@pytest.mark.req_04
@pytest.mark.req_05
@pytest.mark.req_23
@pytest.mark.parametrize("fault", NO_ANSWER + STALLS + SERVER_ERRORS + UNREADABLE + ["status_408"])
@pytest.mark.parametrize("operation", REPEATABLE, ids=by_name)
async def test_a_repeatable_call_survives_one_fault(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any], fault: str
) -> None:
    """One fault, one repetition, and the server saw as many requests as were counted."""
    faulty.set_schedule([fault])
    result = await call(make_client(timeout=0.6 if fault in STALLS else 60), operation)
    faulty.assert_fired(fault, times=1)
    assert sent_to(faulty) == len(seen.on_the_wire) == 2
    assert len(seen.retries) == 1
    if operation is DELETE:
        assert result.success is True
        assert result.already_gone is (fault in CARRIED_OUT)
    else:
        assert result.id == 7


@pytest.mark.req_05
@pytest.mark.req_09
@pytest.mark.req_24
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
# A DELETE that was carried out is reported as gone, see above: here it is left out.
@pytest.mark.parametrize("operation", [GET, PATCH, PUT], ids=by_name)
async def test_the_last_failure_is_reported_with_the_true_count(
    faulty: FaultServer,
    make_client: Any,
    seen: Recorder,
    operation: Operation[Any],
    fault: str,
    kind: type[WavixError],
    outcome: str,
) -> None:
    """Attempts end, `error.attempts` is what the server saw, and the error can be pickled."""
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


@pytest.mark.req_02
@pytest.mark.req_24
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


@pytest.mark.req_24
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


@pytest.mark.req_24
async def test_error_true_under_200_is_a_refusal(faulty: FaultServer, make_client: Any) -> None:
    faulty.set_schedule([Fault("success_false", body='{"error": true, "message": "No such number here"}')])
    with pytest.raises(APIError, match="No such number here") as caught:
        await call(make_client(), PATCH)
    assert (caught.value.status, caught.value.outcome, sent_to(faulty)) == (200, "rejected", 1)


@pytest.mark.req_01
@pytest.mark.req_04
async def test_a_503_that_says_success_is_none(faulty: FaultServer, make_client: Any) -> None:
    liar = Fault("status_503", body='{"success": true, "id": 7}')
    faulty.set_schedule([liar])
    assert (await call(make_client(), PATCH)).id == 7
    assert sent_to(faulty) == 2
    faulty.set_schedule([liar])
    with pytest.raises(OutcomeUnknownError) as caught:
        await call(make_client(), SEND)
    assert (caught.value.status, sent_to(faulty)) == (503, 3)


@pytest.mark.req_23
async def test_a_delete_of_nothing_is_no_success(faulty: FaultServer, make_client: Any) -> None:
    """Only a 404 after an ambiguous attempt means that the call itself did it."""
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


@pytest.mark.req_23
async def test_a_delete_that_answers_something_else_is_gone_where_it_says_so(
    faulty: FaultServer, make_client: Any
) -> None:
    """No server can answer with a number that is gone, unless the operation says that gone is done."""
    for not_found_is_success in (False, True):
        faulty.reset(schedule=["reset_after"])
        operation = Operation("DELETE", PATH, Number)
        if not_found_is_success:
            operation = attrs.evolve(operation, not_found_is_success=True)
            assert (await call(make_client(), operation)).already_gone  # type: ignore[attr-defined]
        else:
            with pytest.raises(NotFoundError) as caught:
                await call(make_client(), operation)
            assert caught.value.attempts == 2
        faulty.assert_fired("reset_after", times=1)
        assert sent_to(faulty) == 2


@pytest.mark.req_04
@pytest.mark.parametrize("fault", ["empty_200", "no_content"])
async def test_an_empty_success_confirms_or_is_broken(
    faulty: FaultServer, make_client: Any, seen: Recorder, fault: str
) -> None:
    """Fine where a call only confirms, a broken answer where it has something to say."""
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


@pytest.mark.req_01
@pytest.mark.req_02
@pytest.mark.parametrize("fault", NO_ANSWER + STALLS + SERVER_ERRORS + UNREADABLE)
@pytest.mark.parametrize("operation", ONCE, ids=by_name)
async def test_what_must_not_be_repeated_is_sent_once(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any], fault: str
) -> None:
    """Sent once, and the error says that it may have been carried out."""
    faulty.set_schedule([fault])
    with pytest.raises(OutcomeUnknownError, match="may have been carried out") as caught:
        await call(make_client(timeout=0.5 if fault in STALLS else 60), operation)
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


@pytest.mark.req_01
@pytest.mark.req_23
@pytest.mark.parametrize("operation", ONCE, ids=by_name)
async def test_an_answer_that_is_too_long_leaves_the_outcome_unknown(
    faulty: FaultServer, make_client: Any, operation: Operation[Any]
) -> None:
    """No server has read the request; under a 502 it would be the same."""
    faulty.set_schedule(["big_body"])
    try:
        with pytest.raises(OutcomeUnknownError):
            await call(make_client(), operation)
    finally:
        faulty.assert_fired("big_body", times=1)
        assert sent_to(faulty) == 1


@pytest.mark.req_05
@pytest.mark.req_06
@pytest.mark.req_07
@pytest.mark.parametrize("fault", ["status_429", "status_503_retry_after"])
@pytest.mark.parametrize("operation", [*REPEATABLE, *ONCE], ids=by_name)
async def test_a_stated_refusal_is_waited_out_for_every_method(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any], fault: str
) -> None:
    """429, and 503 with Retry-After, changed nothing; no call comes back too early."""
    faulty.reset(retry_after=0.06)
    # One that is not paused would be caught by the gap in the server's log.
    faulty.set_schedule([Fault(fault, headers=(("Retry-After", "0.06"),))] * 2)
    await call(make_client(), operation)
    faulty.assert_fired(fault, times=2)
    assert sent_to(faulty) == len(seen.on_the_wire) == 3
    times = [entry["at"] for entry in faulty.log()]
    assert all(later - earlier >= 0.055 for earlier, later in itertools.pairwise(times))
    assert len([event for event in seen.events if isinstance(event, PauseEvent)]) == 2


@pytest.mark.req_07
async def test_every_form_of_retry_after_is_respected_on_the_wire(faulty: FaultServer, make_client: Any) -> None:
    """Header by header as the server writes them, at the same time, each with a client of its own."""
    there = int(time.time()) + 3600  # the server's clock is an hour ahead
    date = ("Date", formatdate(there, usegmt=True))
    forms: list[tuple[float, list[tuple[str, str]]]] = [
        (1.0, [("Retry-After", "1")]),
        (0.4, [("retry-after", "0.4")]),
        (0.6, [("Retry-After", "0.2"), ("Retry-After", "0.6")]),
        (0.5, [("Retry-After", "0.5"), ("Retry-After", "soon")]),
        (1.0, [("Retry-After", formatdate(there + 1, usegmt=True)), ("Retry-After", "0.1"), date]),
        (1.0, [("Retry-After", formatdate(there + 1, usegmt=True)), date]),
        (0.3, [("Retry-After-Ms", "300")]),
        (0.8, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(there * 1000 + 800)), date]),
        (1.0, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", str(there + 1)), date]),
        (1.0, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1")]),
        (1.0, [("RateLimit", '"default";r=0;t=1'), ("RateLimit-Policy", '"default";q=50;w=1')]),
        (0.1, [("Retry-After", "soon")]),
        (0.1, [("Retry-After", "-1")]),
    ]
    for number, (_, headers) in enumerate(forms, 1):
        faulty.set_schedule([Fault("status_429", headers=tuple(headers))], path=f"/v1/numbers/{number}")
    await asyncio.gather(*(call(make_client(), PATCH, number) for number in range(1, len(forms) + 1)))
    faulty.assert_fired("status_429", times=len(forms))
    for number, (wait, headers) in enumerate(forms, 1):
        refused, repeated = (entry["at"] for entry in faulty.log() if entry["path"] == f"/v1/numbers/{number}")
        assert wait - 0.005 <= repeated - refused <= wait + SOON, headers


@pytest.mark.req_07
async def test_an_order_to_wait_for_ever_is_an_error_at_once(faulty: FaultServer, make_client: Any) -> None:
    """With the default deadline, and whatever way it is said."""
    for headers in ((("Retry-After", "9" * 30),), (("Retry-After", "3601"), ("Retry-After", "1"))):
        faulty.set_schedule([Fault("status_429", headers=headers)])
        began = time.monotonic()
        with pytest.raises(RateLimitError) as caught:
            await call(make_client(), SEND)
        assert time.monotonic() - began < SOON
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= 3600
    assert sent_to(faulty) == 2


@pytest.mark.req_09
async def test_429s_do_not_use_up_attempts(faulty: FaultServer, make_client: Any) -> None:
    """Bounded by the deadline, not by the attempt count."""
    faulty.set_schedule([Fault("status_429", headers=(("Retry-After", "0.02"),))] * 3 + ["status_500"])
    client = make_client(retry=RetryPolicy(attempts=2, backoff=0.01, max_backoff=0.05))
    assert (await call(client, PATCH)).id == 7
    faulty.assert_fired("status_429", times=3)
    faulty.assert_fired("status_500", times=1)
    assert sent_to(faulty) == 5


@pytest.mark.req_06
async def test_one_429_pauses_every_task(faulty: FaultServer, make_client: Any) -> None:
    """No call is sent before Retry-After, callers that start during the pause included."""
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


@pytest.mark.req_09
async def test_a_quota_429_is_an_error_at_once(faulty: FaultServer, make_client: Any) -> None:
    faulty.set_schedule(["status_429_retry_after"])
    client = make_client()
    with pytest.raises(RateLimitError) as caught:
        await call(client, Operation("POST", "/v1/nudge", Success, fail_fast_on_429=True))
    assert caught.value.retry_after == 1
    assert caught.value.outcome == "rejected"
    assert client.limits.snapshot().paused_for == 0
    assert sent_to(faulty) == 1


@pytest.mark.req_05
@pytest.mark.req_09
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
    """A port that is ours and refuses; `listen()` makes it an address that accepts connections."""
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


@pytest.mark.req_03
@pytest.mark.req_05
@pytest.mark.parametrize("operation", [GET, PATCH, DELETE, *ONCE], ids=by_name)
async def test_a_refused_connection_is_retried_for_every_method(
    make_client: Any, seen: Recorder, deaf_port: socket.socket, operation: Operation[Any]
) -> None:
    """Nothing was sent, so every method may come back; the count says that nothing was."""
    with pytest.raises(ConnectError) as caught:
        await call(make_client(base_url=url_of(deaf_port)), operation)
    assert (caught.value.attempts, caught.value.outcome) == (0, "not_sent")
    assert caught.value.retryable is True
    assert [event.outcome for event in seen.attempts] == ["not_sent"] * 4
    assert len(seen.retries) == 3


@pytest.mark.req_25
async def test_attempts_that_never_left_are_numbered_too(
    make_client: Any, seen: Recorder, deaf_port: socket.socket
) -> None:
    """`AttemptEvent.attempt` is "1 for the first attempt of the call"."""
    with pytest.raises(ConnectError):
        await call(make_client(base_url=url_of(deaf_port)), GET)
    assert [event.attempt for event in seen.attempts] == [1, 2, 3, 4]


@pytest.mark.req_03
async def test_a_post_gets_through_when_the_server_comes_up(make_client: Any, deaf_port: socket.socket) -> None:
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


@pytest.mark.req_03
@pytest.mark.parametrize("kind", ["dns", "tls"])
async def test_dns_and_tls_failures_were_never_sent(
    make_client: Any, seen: Recorder, deaf_port: socket.socket, kind: str
) -> None:

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


@pytest.mark.req_03
@pytest.mark.req_05
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
    """A write to a closing transport never left; it is the commonest failure of a quiet client."""
    async with aiohttp.ClientSession() as session:
        stale = close_on_reuse(session, with_body=body is not None)
        client = make_client(session=session)
        await call(client, GET, 1)
        await client.call(operation, path={"id": 7} if operation is GET else None, body=body)
    assert stale() == 1
    assert [event.outcome for event in seen.attempts] == [None, "not_sent", None]
    assert sent_to(faulty) == len(seen.on_the_wire) == 2


@pytest.mark.req_01
@pytest.mark.req_05
async def test_a_connection_that_closes_in_the_middle_of_an_upload_is_not_never_sent(
    make_client: Any, deaf_port: socket.socket
) -> None:
    """Head and parts of the form were on the wire, so it is not sent again."""
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
            async with asyncio.timeout(SOON):
                while not heads:
                    await asyncio.sleep(0.01)
        assert caught.value.attempts == len(heads) == 1
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.req_03
async def test_a_slow_connect_was_never_sent(make_client: Any, seen: Recorder) -> None:
    """`Timeouts.connect` ends it."""
    async with silent_port() as url:
        client = make_client(base_url=url, timeout=Timeouts(connect=0.15), retry=RetryPolicy.none())
        with pytest.raises(ConnectError) as caught:
            await call(client, SEND)
    assert (caught.value.attempts, caught.value.outcome) == (0, "not_sent")


@pytest.mark.req_03
@pytest.mark.req_11
@pytest.mark.parametrize("bound", ["attempt", "deadline"])
async def test_a_timeout_while_connecting_was_never_sent(make_client: Any, bound: str) -> None:
    async with silent_port() as url:
        client = make_client(base_url=url, timeout=Timeouts(**{bound: 0.15}), retry=RetryPolicy.none())
        with pytest.raises((ConnectError, AttemptTimeoutError, DeadlineExceededError)) as caught:
            await call(client, SEND)
        assert (caught.value.attempts, caught.value.outcome) == (0, "not_sent")


@pytest.mark.req_03
async def test_a_wait_for_the_pool_was_never_sent(faulty: FaultServer, make_client: Any) -> None:
    """Other code may have taken the connections of a session of the user's own."""
    faulty.set_schedule(["stall"])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
        client, other = (make_client(session=session, retry=RetryPolicy.none()) for _ in range(2))
        first = asyncio.create_task(call(other, GET))
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


@pytest.mark.req_11
@pytest.mark.parametrize("limit", ["limit", "limit_per_host"])
async def test_a_wait_for_a_smaller_pool_is_no_part_of_an_attempt(
    faulty: FaultServer, make_client: Any, limit: str
) -> None:
    """24 calls, two connections, 0.15 s each: the last waits for 1.65 s, with a second for its attempt."""
    faulty.reset(latency=0.15)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(**{limit: 2})) as session:
        client = make_client(session=session, timeout=1, retry=RetryPolicy.none())
        ends = await asyncio.gather(*(call(client, SEND) for _ in range(24)), return_exceptions=True)
    assert faulty.counters()["peak_in_flight"] == 2
    assert [end for end in ends if isinstance(end, Exception)] == []


# -------------------------------------------------------------------------------------------------- the counters


@pytest.mark.req_01
@pytest.mark.req_05
@pytest.mark.parametrize("operation", [GET, PATCH, PUT, DELETE, *ONCE], ids=by_name)
async def test_requests_on_the_wire_equal_the_counter(
    faulty: FaultServer, make_client: Any, seen: Recorder, operation: Operation[Any]
) -> None:
    """Under a storm: what the server saw is what events and errors say, for every method."""
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
    if operation.idempotent:
        # Fifteen faults in a row have a chance of one in 160,000.
        assert successes == 60
    else:
        assert in_errors
        assert set(in_errors) == {1}
        assert counters["total"] == 60


@pytest.mark.req_25
async def test_observers_see_every_attempt_and_one_that_raises_is_contained(
    faulty: FaultServer, make_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
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


@pytest.mark.req_23
@pytest.mark.parametrize("operation", [GET, PATCH, DELETE, SEND], ids=by_name)
async def test_a_redirect_is_not_followed(faulty: FaultServer, make_client: Any, operation: Operation[Any]) -> None:
    """Not followed at all, so the key goes nowhere else. The server may have done what was asked before it said so."""
    faulty.set_schedule(["redirect"])
    with pytest.raises(APIError if operation.idempotent else OutcomeUnknownError) as caught:
        await call(make_client(), operation)
    faulty.assert_fired("redirect", times=1)
    counters = faulty.counters()
    assert (caught.value.status, caught.value.outcome) == (307, "unknown")
    assert isinstance(caught.value.__cause__ or caught.value, APIError)
    assert counters["total"] == 1
    assert (counters["redirected"], counters["redirected_with_key"]) == (0, 0)


@pytest.mark.req_24
async def test_the_key_travels_in_one_header_and_nothing_comes_from_outside(
    faulty: FaultServer, make_client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, deaf_port: socket.socket
) -> None:
    """No cookie of an answer, no proxy and no password of the environment takes part in a request."""
    # By name: cookie jars take none from a bare address.
    base_url = faulty.url.replace("127.0.0.1", "localhost")
    (tmp_path / "netrc").write_text("machine localhost login root password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, url_of(deaf_port))
    faulty.set_schedule([Fault("ok", headers=(("Set-Cookie", "session=1; Path=/"),))])
    async with WavixClient("s3cret-key", base_url=base_url, retry=RetryPolicy.none()) as client:
        for operation in (GET, PATCH, SEND):
            await call(client, operation)
    for entry in faulty.log():
        assert entry["headers"].pop("authorization") == "Bearer s3cret-key"
        assert "cookie" not in entry["headers"]
        assert "s3cret-key" not in repr(entry)
    assert sent_to(faulty) == 3


@pytest.mark.req_23
@pytest.mark.parametrize("fault", ["gzip_bomb", "big_body"])
async def test_a_body_that_is_too_long_is_a_bounded_error(faulty: FaultServer, make_client: Any, fault: str) -> None:
    """Over 16 MB reading stops, the error stays small, and the client does not ask for it again."""
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


@pytest.mark.req_23
async def test_a_wrong_content_type_is_quoted_in_part(faulty: FaultServer, make_client: Any) -> None:
    faulty.reset(faults={"wrong_type": 1.0})
    client = make_client(retry=RetryPolicy.none())
    with pytest.raises(DecodeError, match=r"content type 'text/html.*Down for maintenance") as caught:
        await call(client, GET)
    assert caught.value.status == 200
    assert len(str(caught.value)) < 1000
    faulty.assert_fired("wrong_type")


@pytest.mark.req_23
async def test_an_endless_error_page_is_quoted_in_part(faulty: FaultServer, make_client: Any) -> None:
    """Error bodies are bounded as well."""
    faulty.set_schedule([Fault("status_400", body="<p>" + "x" * 3_000_000)] * 4)
    with pytest.raises(APIError) as caught:
        await call(make_client(), GET)
    faulty.assert_fired("status_400", times=4)
    assert len(str(caught.value)) < 1000
    assert len(pickle.dumps(caught.value)) < 5000


@pytest.mark.req_04
@pytest.mark.parametrize("body", ["[]", '"fine"', "17", "null", "true", "[1, 2]"])
async def test_json_of_another_shape_is_no_number(faulty: FaultServer, make_client: Any, body: str) -> None:
    """A 200 that is not what the call answers is a malformed answer, and is asked for again."""
    faulty.set_schedule([Fault("ok", body=body)])
    assert (await call(make_client(), PATCH)).id == 7
    assert sent_to(faulty) == 2


@pytest.mark.req_24
@pytest.mark.parametrize("fault", ["ok", "status_400"])
async def test_json_that_is_too_deep_is_one_of_our_errors(
    faulty: FaultServer, make_client: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Without the speedups: orjson refuses it as any other broken JSON."""
    monkeypatch.setattr("wavix_async._codec.loads", json.loads)
    faulty.set_schedule([Fault(fault, body="[" * 100_000)] * 4)
    with pytest.raises(WavixError):
        await call(make_client(), GET)


@pytest.mark.req_22
async def test_an_upload_of_a_large_paper_warns_of_nothing(faulty: FaultServer, make_client: Any) -> None:
    """No warnings. (10 MB are allowed; warnings are errors here, and in many test suites.)"""
    faulty.set_schedule([Fault("ok", body='[{"id": 5, "did_id": 1}]')])
    papers = make_client().numbers.papers
    (paper,) = await papers.upload(did_ids=[1], doc_attachment=b"x" * 1_100_000, doc_id="id", filename="a.pdf")
    assert paper.id == 5
    assert sent_to(faulty) == 1


@pytest.mark.req_11
@pytest.mark.parametrize("fault", [Fault("drip", delay=0.1), Fault("stall"), Fault("stall_after")], ids=str)
async def test_a_drip_and_a_stall_end_by_the_attempt_timeout(
    faulty: FaultServer, make_client: Any, fault: Fault
) -> None:
    """No byte that trickles in buys more time."""
    faulty.set_schedule([fault])
    client = make_client(timeout=0.3, retry=RetryPolicy.none())
    began = time.monotonic()
    with pytest.raises(AttemptTimeoutError) as caught:
        await call(client, GET)
    assert 0.29 <= time.monotonic() - began < SOON
    assert isinstance(caught.value, TimeoutError)
    faulty.assert_fired(fault.kind, times=1)


# ------------------------------------------------------------------------------------------------- the deadline


@pytest.mark.req_11
async def test_a_stalled_call_ends_at_its_deadline(faulty: FaultServer, make_client: Any) -> None:
    """The deadline counts over all attempts."""
    faulty.reset(faults={"stall": 1.0})
    client = make_client(timeout=0.2, retry=RetryPolicy(attempts=2000, backoff=0.01, max_backoff=0.05))
    began = time.monotonic()
    with pytest.raises((DeadlineExceededError, AttemptTimeoutError)) as caught:
        await call(client.with_options(deadline=1), GET)
    assert 0.3 <= time.monotonic() - began < SOON
    assert sent_to(faulty) == caught.value.attempts >= 2


@pytest.mark.req_11
async def test_a_backoff_that_does_not_fit_is_not_begun(faulty: FaultServer, make_client: Any) -> None:
    faulty.reset(faults={"status_500": 1.0})
    client = make_client(retry=RetryPolicy(attempts=20, backoff=1e9, max_backoff=1e9))
    began = time.monotonic()
    with pytest.raises(ServerError):
        await call(client.with_options(deadline=60), GET)
    assert time.monotonic() - began < SOON
    faulty.assert_fired("status_500")


@pytest.mark.req_11
async def test_a_wait_for_a_connection_ends_at_the_deadline(faulty: FaultServer, make_client: Any) -> None:
    """What never left says so."""
    faulty.set_schedule(["stall"])
    client = make_client(max_connections=1)
    first = asyncio.create_task(call(client, GET))
    while sent_to(faulty) < 1:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError) as caught:
        await call(client.with_options(deadline=0.2), SEND)
    assert time.monotonic() - began < SOON
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    first.cancel()
    await asyncio.wait([first])
    assert (await call(client, GET)).id == 7
    assert sent_to(faulty) == 2


@pytest.mark.req_11
async def test_a_wait_for_the_learning_window_ends_at_the_deadline(faulty: FaultServer, make_client: Any) -> None:
    """A new client has eight requests in flight at most; the ninth call still has a deadline."""
    faulty.set_schedule(["stall"] * 8)
    client = make_client()
    stalled = [asyncio.create_task(call(client, GET, number)) for number in range(1, 9)]
    try:
        while sent_to(faulty) < 8:
            await asyncio.sleep(0.01)
        with pytest.raises(WavixError) as caught:
            await asyncio.wait_for(call(client.with_options(deadline=0.2), SEND), SOON)
        assert caught.value.outcome == "not_sent"
    finally:
        for task in stalled:
            task.cancel()
        await asyncio.wait(stalled)


@pytest.mark.req_07
async def test_a_turn_that_comes_too_late_fails_at_once(faulty: FaultServer, make_client: Any) -> None:
    """The wait for a configured rate is a wait like any other."""
    client = make_client(rate=0.01)
    await call(client, GET)
    began = time.monotonic()
    with pytest.raises(RateLimitError) as caught:
        await call(client.with_options(deadline=60), SEND)
    assert time.monotonic() - began < SOON
    assert caught.value.retry_after == pytest.approx(100, abs=SOON)
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    assert sent_to(faulty) == 1


@pytest.mark.req_07
@pytest.mark.req_09
@pytest.mark.parametrize("fault", ["status_429", "status_503_retry_after"])
@pytest.mark.parametrize("operation", [PATCH, SEND], ids=by_name)
async def test_a_pause_that_does_not_fit_the_deadline_fails_at_once(
    faulty: FaultServer, make_client: Any, operation: Operation[Any], fault: str
) -> None:
    """The error is that of the answer, and says in `retry_after` how long it would be."""
    faulty.set_schedule([Fault(fault, headers=(("Retry-After", "60"),))])
    began = time.monotonic()
    with pytest.raises(RateLimitError if fault == "status_429" else ServerError) as caught:
        await call(make_client().with_options(deadline=40), operation)
    assert time.monotonic() - began < SOON
    assert caught.value.retry_after == pytest.approx(60, abs=SOON)
    faulty.assert_fired(fault, times=1)
    assert sent_to(faulty) == caught.value.attempts == 1


@pytest.mark.req_06
@pytest.mark.req_07
async def test_a_call_that_meets_a_long_pause_fails_at_once(faulty: FaultServer, make_client: Any) -> None:
    """For callers that did not get the 429 themselves."""
    faulty.set_schedule([Fault("status_429", headers=(("Retry-After", "60"),))])
    client = make_client()
    first = asyncio.create_task(call(client, GET))
    try:
        while client.limits.snapshot().paused_for == 0:
            await asyncio.sleep(0.005)
        with pytest.raises(RateLimitError) as caught:
            await asyncio.wait_for(call(client.with_options(deadline=40), SEND), SOON)
        assert caught.value.retry_after == pytest.approx(60, abs=SOON)
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
        assert sent_to(faulty) == 1
    finally:
        first.cancel()
        await asyncio.wait([first])


@pytest.mark.req_11
@pytest.mark.parametrize("given", ["client", "call"])
@pytest.mark.parametrize("bound", ["attempt", "deadline", "connect"])
async def test_each_timeout_can_be_given_for_a_client_and_for_a_call(
    faulty: FaultServer, make_client: Any, given: str, bound: str
) -> None:
    # The others are long, so that it can only be this one that ends the call.
    timeouts = attrs.evolve(Timeouts(attempt=60, connect=60, deadline=60), **{bound: 0.4})
    faulty.reset(faults={"stall": 1.0})
    async with silent_port() as silent:
        settings = {"base_url": silent if bound == "connect" else faulty.url, "retry": RetryPolicy.none()}
        client = make_client(**settings, timeout=timeouts if given == "client" else None)
        if given == "call":
            client = client.with_options(timeout=timeouts)
        began = time.monotonic()
        with pytest.raises((ConnectError, AttemptTimeoutError, DeadlineExceededError)) as caught:
            await asyncio.wait_for(call(client, GET), SOON)
        assert time.monotonic() - began >= 0.39
    assert (caught.value.outcome == "not_sent") is (bound == "connect")


# --------------------------------------------------------------------------------------------------- the lifetime


@pytest.mark.req_22
async def test_a_closed_client_says_so(faulty: FaultServer, make_client: Any) -> None:
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


@pytest.mark.req_22
async def test_a_closed_client_does_not_wait_for_its_turn(faulty: FaultServer, make_client: Any) -> None:
    client = make_client(rate=0.01)
    await call(client, GET)
    await client.close()
    with pytest.raises(ClientClosedError):
        await asyncio.wait_for(call(client, GET), SOON)


@pytest.mark.req_01
@pytest.mark.req_22
async def test_closing_ends_calls_in_flight(faulty: FaultServer, make_client: Any) -> None:
    """With one of our errors, and for a POST with the truth."""
    faulty.reset(faults={"stall_after": 1.0})
    client = make_client()
    tasks = [asyncio.create_task(call(client, operation)) for operation in (GET, SEND)]
    while sent_to(faulty) < 2:
        await asyncio.sleep(0.01)
    await client.close()
    failures = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), SOON)
    assert all(isinstance(failure, WavixError) for failure in failures)
    assert all(failure.outcome == "unknown" for failure in failures if isinstance(failure, WavixError))
    assert isinstance(failures[1], OutcomeUnknownError)
    assert sent_to(faulty) == 2


@pytest.mark.req_24
async def test_a_session_that_was_closed_under_the_client_is_one_of_our_errors(
    faulty: FaultServer, make_client: Any
) -> None:
    """Every exception is ours."""
    async with aiohttp.ClientSession() as session:
        client = make_client(session=session)
        await call(client, GET)
    with pytest.raises(WavixError) as caught:
        await call(client, SEND)
    assert caught.value.outcome == "not_sent"


@pytest.mark.req_11
@pytest.mark.req_22
async def test_calls_in_flight_on_a_session_of_the_users_own_still_time_out(
    faulty: FaultServer, make_client: Any
) -> None:
    """`close()` leaves that session open, so nothing else would ever end them."""
    faulty.set_schedule(["stall"])
    async with aiohttp.ClientSession() as session:
        client = make_client(session=session, timeout=1, retry=RetryPolicy.none())
        task = asyncio.create_task(call(client, GET))
        while sent_to(faulty) < 1:
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(WavixError):
            await asyncio.wait_for(task, SOON)


@pytest.mark.req_05
@pytest.mark.req_22
async def test_a_session_of_the_users_own_is_not_closed(faulty: FaultServer, make_client: Any) -> None:
    """And its hidden replay is off."""
    async with aiohttp.ClientSession() as session:
        async with make_client(session=session, retry=RetryPolicy.none()) as client:
            faulty.set_schedule(["reset_after"])
            with pytest.raises(DisconnectedError):
                await call(client, PUT)
        assert not session.closed
    faulty.assert_fired("reset_after", times=1)
    assert sent_to(faulty) == 1


@pytest.mark.req_22
@pytest.mark.parametrize("how", ["idle", "in flight", "paused"])
@pytest.mark.filterwarnings("error")
def test_a_client_works_in_a_second_event_loop(faulty: FaultServer, how: str) -> None:
    """`asyncio.run` twice with one client, whatever it was doing when the first loop ended."""
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
        numbers = await asyncio.wait_for(asyncio.gather(*(call(client, PATCH, n) for n in range(1, 21))), SOON)
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
    # All of the first two loops is garbage by now. Collect it, so that "Unclosed ..." warnings are raised in this test.
    gc.collect()


@pytest.mark.req_22
@pytest.mark.filterwarnings("error")
def test_closing_in_another_loop_is_fine(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST)
    asyncio.run(call(client, GET))
    asyncio.run(client.close())
    gc.collect()


@pytest.mark.req_22
@pytest.mark.filterwarnings("error")
def test_a_loop_for_each_test_leaves_nothing_behind(faulty: FaultServer) -> None:
    """As in a test suite: one client for all of them, and one made and closed in each; some end in the middle."""
    shared = WavixClient("key", base_url=faulty.url, retry=FAST)

    async def one(turn: int) -> None:
        async with WavixClient("key", base_url=faulty.url, retry=FAST) as own:
            numbers = await asyncio.gather(*(call(each, GET, n) for each in (shared, own) for n in (1, 2)))
        assert [number.id for number in numbers] == [1, 2, 1, 2]
        if turn % 3 == 0:
            faulty.set_schedule(["stall"])
            # Kept by the loop until it ends, and cancelled then.
            asyncio.current_task().rest = asyncio.create_task(call(shared, GET, 3))  # type: ignore[union-attr]
            await asyncio.sleep(0.01)
            faulty.set_schedule([])

    asyncio.run(one(1))
    before = open_files()
    for turn in range(12):
        asyncio.run(one(turn))
    asyncio.run(shared.close())
    # Collect now, so that "Unclosed ..." warnings are raised in this test.
    gc.collect()
    assert_closed(before)


@contextlib.contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[str]:
    """A server in a thread of its own, which outlives the loops of its clients."""
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, str]] = Future()

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({**NUMBER, "id": int(request.match_info["id"])})

    async def serve() -> None:
        app, over = web.Application(), asyncio.Event()
        app.router.add_get(PATH, answer)
        server = TestServer(app, scheme="https")
        await server.start_server(ssl=context, shutdown_timeout=0)
        started.set_result((asyncio.get_running_loop(), over, str(server.make_url("/"))))
        await over.wait()
        await server.close()

    with ThreadPoolExecutor(1) as threads:
        serving = threads.submit(asyncio.run, serve())
        loop, over, url = started.result(10)
        try:
            yield url
        finally:
            loop.call_soon_threadsafe(over.set)
            serving.result(10)


@pytest.mark.req_22
@pytest.mark.filterwarnings("error")
def test_a_second_event_loop_over_tls_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A TLS transport says goodbye in its loop, and this one's is gone."""
    # Without certificates: what is tested here is how connections end.
    server_side, client_side = (ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT))
    client_side.check_hostname, client_side.verify_mode = False, ssl.CERT_NONE
    for context in (server_side, client_side):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("aNULL:@SECLEVEL=0")
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", client_side)

    async def use(client: WavixClient) -> None:
        assert [number.id for number in await asyncio.gather(*(call(client, GET, n) for n in (1, 2)))] == [1, 2]

    with tls_server(server_side) as url:
        before = open_files()
        client = WavixClient("key", base_url=url, retry=FAST)
        for _ in range(4):
            asyncio.run(use(client))
        asyncio.run(client.close())
        # Collect now, so that "unclosed transport" warnings are raised in this test.
        gc.collect()
        assert_closed(before)


@pytest.mark.req_22
def test_a_client_made_here_is_used_in_the_loop_of_another_thread(faulty: FaultServer) -> None:
    """As by a server that makes it when it is imported, and calls from the loop that it starts later."""
    client = WavixClient("key", base_url=faulty.url, retry=FAST)

    async def serve() -> list[int]:
        async with client:
            return [number.id for number in await asyncio.gather(*(call(client, GET, n) for n in range(1, 21)))]

    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(asyncio.run, serve()).result(10) == list(range(1, 21))
    assert client.closed


@pytest.mark.req_22
async def test_a_client_lives_as_long_as_a_web_application(faulty: FaultServer) -> None:
    """Made when the application is, opened and closed with it, shared by all that it serves."""
    client = WavixClient("key", base_url=faulty.url, retry=FAST)

    async def lifespan(_: web.Application) -> AsyncIterator[None]:
        async with client:
            yield

    async def handle(request: web.Request) -> web.Response:
        number = await call(client, GET, int(request.match_info["id"]))
        return web.json_response({"id": number.id})

    app = web.Application()
    app.router.add_get("/{id}", handle)
    app.cleanup_ctx.append(lifespan)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as browser:

        async def visit(number: int) -> int:
            async with browser.get(f"/{number}") as answer:
                return int((await answer.json())["id"])

        assert await asyncio.gather(*(visit(number) for number in range(1, 21))) == list(range(1, 21))
        assert not client.closed
    assert client.closed
    assert sent_to(faulty) == 20


@pytest.mark.req_22
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
# Python 3.12 and later warn of a fork where other threads live; here none of them holds a lock of ours.
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("when", ["unused", "idle", "in flight"])
async def test_a_forked_child_has_connections_of_its_own(faulty: FaultServer, make_client: Any, when: str) -> None:
    """The child may use the client and close it; those of the parent, and what is on them, are not touched."""
    client = make_client()
    if when != "unused":
        await call(client, GET, 1)
    mine = None
    if when == "in flight":
        faulty.set_schedule([Fault("slow", delay=0.3)])
        mine = asyncio.create_task(call(client, GET, 2))
        while sent_to(faulty) < 2:
            await asyncio.sleep(0.005)

    async def child() -> bool:
        numbers = await asyncio.gather(*(call(client, GET, number) for number in range(51, 54)))
        await client.close()
        return [number.id for number in numbers] == [51, 52, 53]

    process = os.fork()
    if not process:
        # Nothing of the test run may go on here, whatever happens.
        try:
            signal.alarm(10)
            os._exit(0 if asyncio.run(child()) else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0

    if mine is not None:
        assert (await mine).id == 2
    assert (await call(client, GET, 3)).id == 3
    assert not client.closed
    connections = {entry["path"].rpartition("/")[2]: entry["connection"] for entry in faulty.log()}
    ours = {connections[number] for number in connections if int(number) < 50}
    theirs = {connections[number] for number in ("51", "52", "53")}
    assert len(ours) == 1
    assert not ours & theirs


@pytest.mark.req_22
async def test_faults_and_cancellations_leave_nothing_behind(faulty: FaultServer, make_client: Any) -> None:
    """A fifth of the answers are broken, a twentieth of the calls are cancelled; not every round adds something."""
    broken = ["reset_before", "reset_after", "half_body", "garbage", "status_500", "close_after"]
    faulty.reset(faults={**dict.fromkeys(broken, 0.03), "stall": 0.02}, seed=22)
    client = make_client(timeout=0.25, max_connections=16, observers=(), retry=attrs.evolve(FAST, attempts=3))
    dice = random.Random(22)
    ends: Counter[str] = Counter()

    async def one(number: int) -> None:
        calling = asyncio.create_task(call(client, dice.choice([GET, PATCH, SEND]), number % 50 + 1))
        if dice.random() < 0.05:
            await asyncio.sleep(dice.uniform(0, 0.005))
            calling.cancel()
        await asyncio.wait([calling])
        failure = None if calling.cancelled() else calling.exception()
        ends["cancelled" if calling.cancelled() else type(failure).__name__] += 1

    async def many(count: int) -> tuple[int, int]:
        numbers = iter(range(count))

        async def work() -> None:
            for number in numbers:
                await one(number)

        await asyncio.gather(*(work() for _ in range(24)))
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
        gc.collect()
        return open_files(), sys.getallocatedblocks()

    rounds = [await many(200) for _ in range(4)]
    assert ends["cancelled"] >= 10
    assert ends["OutcomeUnknownError"] >= 20
    assert ends["NoneType"] >= 500
    assert sum(ends.values()) == 800
    # The pool may hold a few more or fewer connections at the moment.
    files = rounds[0][0]
    assert rounds[-1][0] <= files + 16
    assert min(later - before for (_, before), (_, later) in itertools.pairwise(rounds)) < 100
    await client.close()
    assert open_files() <= files


@pytest.mark.req_22
async def test_nothing_is_left_after_many_faults(faulty: FaultServer, make_client: Any) -> None:
    """Connections are back to the pool's size, nothing is in flight."""
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
    deadline = time.monotonic() + SOON
    while faulty.counters()["open"] > 8 and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert faulty.counters()["open"] <= 8
    await client.close()
    while faulty.counters()["open"] and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert faulty.counters()["open"] == 0


@pytest.mark.req_24
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
    """`call` raises "WavixError, one of its classes", and nothing is sent."""
    try:
        with pytest.raises(WavixError):
            await make_client().call(operation, path=path, body=body)
    finally:
        assert sent_to(faulty) == 0
