"""Connections over a long time: the server restarts, its address changes, the event loop changes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import FAST
from tests.support.books import GET, PATCH, SEND, start
from tests.support.soon import SOON
from tests.support.stub import NUMBER
from wavix_async import RetryPolicy, WavixClient, WavixError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.server import FaultServer

pytestmark = [pytest.mark.req_22]


class Small:
    """A server in the running loop, which can be taken away and come back at the same address."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host, self.port = host, port
        self.requests: list[str] = []
        self.delay = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Small:
        await self.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def begin(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.host, self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def end(self) -> None:
        """Stop listening, and cut every connection off."""
        assert self._server
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next(
                    (int(line[15:]) for line in head.lower().split("\r\n") if line[:15] == "content-length:"), 0
                )
                await reader.readexactly(length)
                method, path, _ = head.split(" ", 2)
                self.requests.append(f"{method} {path}")
                if self.delay:
                    await asyncio.sleep(self.delay)
                body = json.dumps({**NUMBER, "id": int(path.rpartition("/")[2]), "success": True}).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
                )
                writer.write(body)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def files() -> int:
    """Return how many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))


# ----------------------------------------------------------------------------------------------- the server restarts


@pytest.mark.req_04
@pytest.mark.parametrize("how", ["at once", "gone for a moment", "while busy"])
async def test_a_restart_of_the_server_costs_no_call_that_may_be_repeated(how: str) -> None:
    """A pool of connections dies at once; each call loses no more than one attempt to it."""
    patient = RetryPolicy(attempts=10, backoff=0.05, max_backoff=0.1, budget_per_second=1000)
    async with Small() as server, WavixClient("key", base_url=server.url, retry=patient, max_connections=20) as client:
        server.delay = 0.02
        await asyncio.gather(*(client.call(PATCH, path={"id": number}, body={}) for number in range(1, 41)))
        before = len(server.requests)
        if how == "while busy":
            server.delay = 60
            calls = start(*(client.call(PATCH, path={"id": number}, body={}) for number in range(100, 120)))
            while len(server.requests) < before + 20:
                await asyncio.sleep(0.005)
            server.delay = 0.02
            await server.end()
            await server.begin()
        elif how == "at once":
            await server.end()
            await server.begin()
            calls = start(*(client.call(PATCH, path={"id": number}, body={}) for number in range(100, 120)))
        else:
            await server.end()
            calls = start(*(client.call(PATCH, path={"id": number}, body={}) for number in range(100, 120)))
            await asyncio.sleep(0.05)
            await server.begin()
        numbers = await asyncio.wait_for(asyncio.gather(*calls), SOON)
        assert [number.id for number in numbers] == list(range(100, 120))
        sent = len(server.requests) - before
        assert sent == (40 if how == "while busy" else 20)


@pytest.mark.req_01
@pytest.mark.req_03
async def test_a_restart_while_connections_idle_sends_no_message_twice_and_loses_none() -> None:
    """What is written to a connection that is gone was never sent; it goes out once, on a new one."""
    async with Small() as server, WavixClient("key", base_url=server.url, retry=FAST) as client:
        for turn in range(5):
            await asyncio.gather(
                *(client.call(SEND, path={"id": turn * 10 + number}, body={}) for number in range(1, 9))
            )
            await server.end()
            await server.begin()
            # The loop may not have noticed yet: both happen.
            for _ in range(turn):
                await asyncio.sleep(0)
        assert sorted(server.requests) == sorted(
            {f"POST /v1/messages/{t * 10 + n}" for t in range(5) for n in range(1, 9)}
        )


# ----------------------------------------------------------------------------------------------- its address changes


class Names:
    """Answers look-ups of one host name, and counts them."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked = 0
        self._ask = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "api.wavix.test":
            return self._ask(host, port, *args, **options)
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, int(port)))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names("127.0.0.1")
    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr("wavix_async._http.base_client.read_base_url", _as_it_is)
    return found


def _as_it_is(url: str | None) -> Any:
    from yarl import URL

    # http is for loopback addresses only, which a name in a test cannot be.
    return URL(str(url))


def called_by_name(port: int) -> WavixClient:
    return WavixClient("key", base_url=f"http://api.wavix.test:{port}", retry=FAST)


TWO = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of its own on Linux only")


@TWO
async def test_a_new_address_is_followed_when_the_old_one_refuses(names: Names) -> None:
    """A failover: no call waits for the time that an address is remembered."""
    async with Small() as old, Small("127.0.0.2", old.port) as new, called_by_name(old.port) as client:
        await client.call(GET, path={"id": 1})
        names.address = "127.0.0.2"
        await old.end()
        numbers = await asyncio.wait_for(
            asyncio.gather(*(client.call(PATCH, path={"id": number}, body={}) for number in range(2, 12))), SOON
        )
        assert [number.id for number in numbers] == list(range(2, 12))
        assert len(new.requests) == 10


@TWO
async def test_a_new_address_is_followed_in_time_while_the_old_one_still_answers(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a move: an address is remembered for 60 s (here for one), an open connection for as long as it is
    used."""
    from wavix_async._http import transport as _transport

    connector = _transport.aiohttp.TCPConnector

    def shorter(**options: Any) -> Any:
        assert options["ttl_dns_cache"] == 60
        return connector(**{**options, "ttl_dns_cache": 1.0, "keepalive_timeout": 0.05})

    monkeypatch.setattr(_transport.aiohttp, "TCPConnector", shorter)
    async with Small() as old, Small("127.0.0.2", old.port) as new, called_by_name(old.port) as client:
        await client.call(GET, path={"id": 1})
        names.address = "127.0.0.2"
        await asyncio.sleep(0.1)
        await client.call(GET, path={"id": 2})
        assert (len(old.requests), names.asked) == (2, 1)
        await asyncio.sleep(1.2)
        await client.call(GET, path={"id": 3})
        assert (len(old.requests), len(new.requests), names.asked) == (2, 1, 2)


@TWO
async def test_a_connection_that_is_always_in_use_stays_where_it_is(names: Names) -> None:
    """A trickle keeps it open, and with it the old address, until that closes it."""
    async with Small() as old, Small("127.0.0.2", old.port) as new, called_by_name(old.port) as client:
        await client.call(GET, path={"id": 1})
        names.address = "127.0.0.2"
        for number in range(2, 20):
            await client.call(GET, path={"id": number})
            await asyncio.sleep(0.01)
        assert (len(old.requests), len(new.requests)) == (19, 0)


# ------------------------------------------------------------------------------------------ the loop is another one


def uvloop_run(main: Any) -> Any:
    uvloop = pytest.importorskip("uvloop")
    return uvloop.run(main)


# uvloop closes by itself what a loop leaves open when it ends, without a notice before, and says that it did.
LEFT_TO_UVLOOP = pytest.mark.filterwarnings("ignore:unclosed resource <TCPTransport:ResourceWarning")
RUNS: dict[str, Callable[[Any], Any]] = {"asyncio": asyncio.run, "uvloop": uvloop_run}


@contextlib.contextmanager
def nothing_left(more: int = 0) -> Iterator[None]:
    gc.collect()
    before = files()
    yield
    # Collect now, so that "Unclosed ..." and "unclosed socket" warnings are raised in this test.
    gc.collect()
    assert files() <= before + more


@LEFT_TO_UVLOOP
@pytest.mark.parametrize("first", RUNS)
@pytest.mark.parametrize("second", RUNS)
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_client_moves_between_loops_of_both_kinds(faulty: FaultServer, first: str, second: str, busy: bool) -> None:
    """And back; what was on the wire when a loop ended ends with it."""
    # Some files are opened with the first loop of a kind, and kept.
    RUNS[first](asyncio.sleep(0))
    RUNS[second](asyncio.sleep(0))
    with nothing_left():
        client = WavixClient("key", base_url=faulty.url, retry=FAST)
        kept: list[Any] = []

        async def use(stalls: bool) -> None:
            numbers = await asyncio.gather(*(client.call(GET, path={"id": number}) for number in range(1, 6)))
            assert [number.id for number in numbers] == [1, 2, 3, 4, 5]
            if stalls:
                faulty.set_schedule(["stall"])
                kept.extend(start(client.call(GET, path={"id": 6})))
                await asyncio.sleep(0.05)
                faulty.set_schedule([])

        for name in (first, second, first):
            RUNS[name](use(busy))
        assert all(task.cancelled() for task in kept)

        async def end() -> None:
            await use(False)
            await client.close()

        RUNS[second](end())
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
        kept.clear()


@LEFT_TO_UVLOOP
@pytest.mark.parametrize("name", RUNS)
def test_a_hundred_loops_leave_no_file_open(faulty: FaultServer, name: str) -> None:
    """As with a task queue that runs each job in a loop of its own."""
    client = WavixClient("key", base_url=faulty.url, retry=FAST)

    async def use() -> None:
        await asyncio.gather(*(client.call(GET, path={"id": number}) for number in range(1, 4)))

    RUNS[name](use())
    # The pool of the last loop is there until the next.
    with nothing_left():
        for _ in range(100):
            RUNS[name](use())
    RUNS[name](client.close())
    gc.collect()


async def test_failing_for_long_leaves_no_file_open(faulty: FaultServer) -> None:
    """Hundreds of calls against a server that cuts, refuses and forgets."""
    faulty.reset(faults={"reset_before": 0.3, "close_after": 0.2, "half_body": 0.2, "stale_keepalive": 0.2}, seed=3)
    async with WavixClient("key", base_url=faulty.url, retry=FAST, max_connections=10) as client:

        async def many() -> None:
            ends = await asyncio.gather(
                *(client.call(GET, path={"id": number}) for number in range(1, 201)), return_exceptions=True
            )
            assert all(isinstance(end, WavixError) for end in ends if isinstance(end, BaseException))

        await many()
        before = files()
        for _ in range(2):
            await many()
        assert files() <= before + 10
