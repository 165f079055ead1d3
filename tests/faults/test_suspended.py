"""A process that does not run for a while: its requests have not timed out for that, and its answers are there."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.books import PATCH
from tests.support.raw import RawConnection, RawServer, anonymous_tls, answer
from tests.support.soon import SOON
from wavix_async import (
    AttemptTimeoutError,
    ClientClosedError,
    DeadlineExceededError,
    RetryPolicy,
    Timeouts,
    WavixClient,
)

pytestmark = [pytest.mark.req_11]

CALLS = 8


def slow_server(delay: float) -> RawServer:
    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            time.sleep(delay)
            connection.send(answer(seen.id))

    server = RawServer(serve)
    return server


async def blocked(server: RawServer, timeout: float | Timeouts, seconds: float, calls: int = CALLS) -> list[object]:
    """Send requests, and keep the event loop from running while they are on the wire."""
    async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none(), timeout=timeout) as client:
        tasks = [asyncio.create_task(client.call(PATCH, path={"id": n}, body={})) for n in range(calls)]
        async with asyncio.timeout(SOON):
            while len(server.requests) < calls:
                await asyncio.sleep(0.005)
        time.sleep(seconds)
        return [
            end if isinstance(end, BaseException) else end.id
            for end in await asyncio.gather(*tasks, return_exceptions=True)
        ]


async def test_answers_that_came_while_the_loop_was_blocked_are_read() -> None:
    with slow_server(0.3) as server:
        assert await blocked(server, 2.0, 2.4) == list(range(CALLS))


async def test_an_attempt_has_the_rest_of_its_time_after_the_loop_was_blocked() -> None:
    with slow_server(2.8) as server:
        assert await blocked(server, 2.0, 2.0) == list(range(CALLS))


async def test_an_attempt_still_ends_when_its_time_is_over() -> None:
    with slow_server(60) as server:
        began = time.monotonic()
        ends = await blocked(server, 0.6, 1.0, 2)
        assert 1.55 <= time.monotonic() - began < SOON
        assert [type(end) for end in ends] == [AttemptTimeoutError] * 2


async def test_the_deadline_includes_the_time_in_which_the_loop_was_blocked() -> None:
    with slow_server(60) as server:
        began = time.monotonic()
        ends = await blocked(server, Timeouts(attempt=30, deadline=0.9), 1.2, 2)
        assert time.monotonic() - began < SOON
        assert [type(end) for end in ends] == [DeadlineExceededError] * 2


async def test_a_deadline_that_passed_meanwhile_does_not_lose_an_answer_that_is_there() -> None:
    with slow_server(0.2) as server:
        assert await blocked(server, Timeouts(attempt=30, deadline=2.0), 2.4) == list(range(CALLS))


class BlockingSockets:
    """Opens sockets; at the first one the event loop stops before the handshake."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.opened = 0

    def open(self, info: Any) -> socket.socket:
        self.opened += 1
        if self.opened == 1:
            asyncio.get_running_loop().call_soon(time.sleep, self._seconds)
        return socket.socket(*info[:3])


async def test_a_connection_that_was_being_opened_is_opened_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiohttp has a timer of its own for that; nothing was sent, and no attempt is lost."""
    server_side, client_side = anonymous_tls()
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", client_side)
    sockets = BlockingSockets(1.5)
    timeout = Timeouts(attempt=SOON, connect=1.0)
    connector = aiohttp.TCPConnector(socket_factory=sockets.open)
    with RawServer(tls=server_side) as server:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            WavixClient(
                "key", base_url=server.url, session=session, retry=RetryPolicy.none(), timeout=timeout
            ) as client,
        ):
            assert (await client.call(PATCH, path={"id": 7}, body={})).id == 7
    assert sockets.opened == 2
    assert len(server.requests) == 1


@pytest.mark.parametrize("ends_by", ["timeout", "close", "cancel"])
async def test_a_connection_that_is_opened_once_more_may_stay_silent(
    ends_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call ends with an error of ours, whatever ends it: two watches of one task would disturb each other."""
    server_side, client_side = anonymous_tls()
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", client_side)
    sockets = BlockingSockets(0.6)

    def listen(connection: RawConnection) -> None:
        while server.next(connection) is not None:
            pass

    timeout = Timeouts(attempt=1.0 if ends_by == "timeout" else SOON, connect=0.4)
    connector = aiohttp.TCPConnector(socket_factory=sockets.open)
    server = RawServer(listen, tls=server_side)
    with server:
        async with aiohttp.ClientSession(connector=connector) as session:
            client = WavixClient("key", base_url=server.url, session=session, retry=RetryPolicy.none(), timeout=timeout)
            call = asyncio.create_task(client.call(PATCH, path={"id": 7}, body={}))
            if ends_by != "timeout":
                async with asyncio.timeout(SOON):
                    while not server.requests:
                        await asyncio.sleep(0.01)
                await client.close() if ends_by == "close" else call.cancel()
            end = {"timeout": AttemptTimeoutError, "close": ClientClosedError, "cancel": asyncio.CancelledError}
            with pytest.raises(end[ends_by]):
                await call
            await client.close()
    assert sockets.opened == 2


CLIENT = """
    import asyncio, json, sys
    from tests.support.books import PATCH
    from wavix_async import RetryPolicy, WavixClient

    async def main(url):
        async with WavixClient("key", base_url=url, retry=RetryPolicy.none(), timeout=2.0) as client:
            calls = (client.call(PATCH, path={"id": number}, body={}) for number in range(8))
            ends = await asyncio.gather(*calls, return_exceptions=True)
            print(json.dumps([repr(end) if isinstance(end, BaseException) else end.id for end in ends]))

    asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP here")
@pytest.mark.parametrize(
    "delay",
    [
        pytest.param(3.4, id="answers come later"),
        # As while the loop of a process is blocked: see above.
        pytest.param(0.3, id="answers came meanwhile", marks=pytest.mark.scale),
    ],
)
def test_a_process_that_was_stopped_has_no_timeouts(delay: float) -> None:
    """As by SIGSTOP, a debugger, or a container that is frozen."""
    with slow_server(delay) as server:
        client = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(CLIENT), server.url],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), *sys.path))),
            },
        )
        try:
            began = time.monotonic()
            while len(server.requests) < CALLS:
                assert time.monotonic() - began < 3 * SOON
                time.sleep(0.005)
            client.send_signal(signal.SIGSTOP)
            time.sleep(2.6)
            client.send_signal(signal.SIGCONT)
            output, _ = client.communicate(timeout=3 * SOON)
        finally:
            client.kill()
            client.wait()
    assert json.loads(output) == list(range(CALLS))
