"""What happens to a pooled connection while it is idle: bytes come, it dies silently, it is closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.faults.conftest import FAST
from tests.support.books import GET, PATCH, SEND
from tests.support.raw import RawConnection, RawServer, Seen, anonymous_tls, answer
from tests.support.soon import SOON
from wavix_async import (
    APIError,
    AttemptTimeoutError,
    ConnectError,
    DisconnectedError,
    Export,
    Number,
    Operation,
    OutcomeUnknownError,
    RetryPolicy,
    WavixClient,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.req_28]

ROWS = Operation("GET", "/v1/numbers/{id}", Export[Number])

LATE_408 = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"

NOISE: dict[str, Callable[[int], bytes]] = {
    "a second answer": answer,
    "half of a second answer": lambda number: answer(number)[:60],
    "only its first line": lambda number: answer(number)[:12],
    "its head": lambda number: answer(number).partition(b"\r\n\r\n")[0] + b"\r\n\r\n",
    "two more answers": lambda number: 2 * answer(number),
    "408": lambda _: LATE_408,
    "103": lambda _: HINT,
    "100": lambda _: b"HTTP/1.1 100 Continue\r\n\r\n",
    "an empty line": lambda _: b"\r\n",
    "no HTTP": lambda _: b"\x00\x01\x02",
    "204": lambda _: b"HTTP/1.1 204 No Content\r\n\r\n",
}


async def update(client: WavixClient, number: int, operation: Operation[Any] = PATCH) -> Any:
    return await client.call(operation, path={"id": number}, body=None if operation is GET else {"label": str(number)})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.005)


def noisy(
    server: RawServer, noise: Callable[[int], bytes], when: str, sent: threading.Event, first: int
) -> Callable[..., None]:
    """Serve; the connection with the number `first` sends something more behind its first answer."""

    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            more = noise(seen.id) if connection.number == first and connection.requests == 1 else b""
            if when == "in the same segment":
                connection.send(answer(seen.id) + more)
            elif when == "with the end of the answer":
                whole = answer(seen.id)
                connection.send(whole[:-5])
                time.sleep(0.05)
                connection.send(whole[-5:] + more)
            else:
                connection.send(answer(seen.id))
                if more:
                    time.sleep(0.03)
                    connection.send(more)
            # Not before: a second answer that comes when the next request has left cannot be seen.
            sent.set()

    return serve


@pytest.mark.parametrize(
    ("noise", "tls", "own"),
    [
        *((noise, False, True) for noise in NOISE),
        *((noise, True, True) for noise in ("a second answer", "408", "only its first line")),
        *((noise, False, False) for noise in ("a second answer", "408", "only its first line")),
    ],
)
async def test_bytes_on_an_idle_connection_are_no_answer(
    noise: str, tls: bool, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call gets its own answer, and its request has left. An empty line in the segment of an answer means
    nothing."""
    server_side = None
    if tls:
        server_side, client_side = anonymous_tls()
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", client_side)
    with RawServer(tls=server_side) as server:
        whens = ("while idle", "unread", "in the same segment", "with the end of the answer")
        for when in whens if own and not tls else whens[1:3]:
            await check_noise(server, noise, when, own=own)


async def check_noise(server: RawServer, noise: str, when: str, *, own: bool) -> None:
    """Let a client of its own meet the noise."""
    sent = threading.Event()
    first = len(server.connections)
    server.requests.clear()
    server._serve = noisy(server, NOISE[noise], when, sent, first)
    async with aiohttp.ClientSession() as session:
        options: dict[str, Any] = {} if own else {"session": session}
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none(), **options) as client:
            if noise == "no HTTP" and when == "in the same segment":
                # aiohttp reads none of it.
                with pytest.raises(DisconnectedError):
                    await update(client, 1001)
            else:
                assert (await update(client, 1001)).id == 1001, when
            if when == "unread":
                # The event loop does not run: the bytes wait in the socket.
                assert sent.wait(SOON)
            else:
                await until(sent.is_set)
                await asyncio.sleep(0.02)
            for number in (1002, 1003):
                assert (await update(client, number)).id == number, when
            assert (await update(client, 1004, SEND)).success, when
    assert sent.is_set()
    assert [seen.id for seen in server.requests] == [1001, 1002, 1003, 1004], when
    bodies = [seen.body for seen in server.requests[:3]]
    assert bodies == [b'{"label":"%d"}' % number for number in (1001, 1002, 1003)], when
    lost = len(server.connections) - first - 1
    # What the parser swallows together with an answer cannot be seen; it harms nothing unless the rest follows.
    swallowed = when in ("in the same segment", "with the end of the answer") and noise in (
        "an empty line",
        "only its first line",
        "half of a second answer",
    )
    assert lost == 1 or (swallowed and lost == 0), when


@pytest.mark.req_01
@pytest.mark.parametrize("operation", [PATCH, GET, SEND], ids=lambda operation: operation.method)
@pytest.mark.parametrize("when", ["on a new connection", "on a pooled one"])
async def test_bytes_that_came_before_the_request_are_no_answer(when: str, operation: Operation[Any]) -> None:
    """A proxy without room says 503 as soon as it is called; a session with trace hooks takes its time."""
    sent = threading.Event()

    def serve(connection: RawConnection) -> None:
        if connection.number == 0 and when == "on a new connection":
            connection.send(answer(666))
            sent.set()
        while (seen := server.next(connection)) is not None:
            connection.send(answer(seen.id))
            if connection.number == 0:
                taken.wait(SOON)
                connection.send(answer(666))
                sent.set()

    taken = threading.Event()

    async def wait(*_: object) -> None:
        taken.set()
        await until(sent.is_set)
        await asyncio.sleep(0.02)

    trace = aiohttp.TraceConfig()
    (trace.on_connection_create_end if when == "on a new connection" else trace.on_connection_reuseconn).append(wait)
    with RawServer(serve) as server:
        async with (
            aiohttp.ClientSession(trace_configs=[trace]) as session,
            WavixClient("key", base_url=server.url, session=session, retry=FAST) as client,
        ):
            if when == "on a pooled one":
                await update(client, 1)
            if operation is SEND:
                # With Python 3.11 aiohttp cannot tell that the body has not left.
                with contextlib.suppress(OutcomeUnknownError):
                    await update(client, 7, SEND)
            else:
                assert (await update(client, 7, operation)).id == 7
    left = [(seen.connection, seen.id) for seen in server.requests if seen.id == 7]
    assert left == [(1, 7)] or (operation is SEND and not left)


@pytest.mark.req_01
async def test_the_end_of_a_connection_that_is_still_unread_is_seen_before_the_request() -> None:
    """A server closes an idle connection while the event loop is blocked: a message is sent once, and not lost."""

    closed = threading.Event()

    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            connection.send(answer(seen.id))
            if connection.number == 0:
                time.sleep(0.03)
                connection.close()
                closed.set()
                return

    with RawServer(serve) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            await update(client, 1)
            assert closed.wait(SOON)
            assert (await update(client, 2, SEND)).success
    assert [(seen.connection, seen.id) for seen in server.requests] == [(0, 1), (1, 2)]


@pytest.mark.req_01
@pytest.mark.parametrize(
    ("end", "tls"),
    [
        *((end, False) for end in ("close", "reset", "408 and close", "half close")),
        *((end, True) for end in ("close", "reset", "408 and close", "close_notify")),
    ],
)
async def test_an_idle_connection_that_ends_costs_nothing(end: str, tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    server_side, client_side = anonymous_tls()
    monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", client_side)

    ended = threading.Event()

    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            connection.send(answer(seen.id, head="Connection: keep-alive\r\nKeep-Alive: timeout=600\r\n"))
            if connection.number == 0:
                time.sleep(0.03)
                if end == "reset":
                    connection.reset()
                elif end == "half close":
                    connection.sock.shutdown(socket.SHUT_WR)
                    ended.set()
                    continue
                elif end == "close_notify":
                    assert isinstance(connection.sock, ssl.SSLSocket)
                    connection.sock.unwrap()
                    ended.set()
                    time.sleep(1)
                elif end == "408 and close":
                    connection.send(LATE_408)
                connection.close()
                ended.set()
                return

    with RawServer(serve, tls=server_side if tls else None) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            await update(client, 1)
            await until(ended.is_set)
            assert (await update(client, 2, SEND)).success
    assert [(seen.connection, seen.id) for seen in server.requests] == [(0, 1), (1, 2)]


async def test_a_server_that_announces_the_end_and_stays_is_taken_at_its_word() -> None:
    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            connection.send(answer(seen.id, head="Connection: close\r\n"))

    with RawServer(serve) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            for number in (1, 2, 3):
                assert (await update(client, number)).id == number
    assert [seen.connection for seen in server.requests] == [0, 1, 2]


async def test_hints_before_the_answer_are_no_answer() -> None:
    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            connection.send(HINT + b"HTTP/1.1 102 Processing\r\n\r\n")
            time.sleep(0.02)
            connection.send(HINT)
            connection.send(answer(seen.id))

    with RawServer(serve) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            for number in (1, 2):
                assert (await update(client, number)).id == number
    assert [seen.connection for seen in server.requests] == [0, 0]


async def test_an_answer_before_the_end_of_the_body_uses_up_the_connection() -> None:
    """The rest of the body is not sent: the next request would be a part of it."""
    firsts: list[bytes] = []

    def serve(connection: RawConnection) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.sock.recv(4096)
        firsts.append(data.partition(b" ")[0])
        if connection.number == 0:
            connection.send(
                b"HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
            )
            connection.hold()
        connection.send(answer(7))
        connection.hold()

    with RawServer(serve) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            with pytest.raises(APIError) as caught:
                await client.numbers.papers.upload(
                    did_ids=[1], doc_attachment=b"x" * 8_000_000, doc_id="id", filename="a.pdf"
                )
            assert caught.value.status == 413
            assert (await update(client, 7)).id == 7
    assert firsts == [b"POST", b"PATCH"]


async def test_with_another_aiohttp_the_pool_is_as_it_always_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check needs private attributes: without one of them there is no check, and calls still work."""
    monkeypatch.setattr("wavix_async._http.pool._NEEDED", ("_parser", "_gone_in_4_0"))
    with RawServer() as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            for number in (1, 2, 3):
                assert (await update(client, number)).id == number
    assert [seen.connection for seen in server.requests] == [0, 0, 0]


# ------------------------------------------------------------------------------------------- connections that are dead


class Dying:
    """A server whose connections die on command: they take every byte and answer nothing."""

    def __init__(self) -> None:
        self.alive = RawServer(self._serve)
        self.dead = -1
        """Connections up to this number are dead."""
        self.lost: list[Seen] = []
        self.delay = 0.0

    def _serve(self, connection: RawConnection) -> None:
        while (seen := connection.read()) is not None:
            if connection.number <= self.dead:
                self.lost.append(seen)
                connection.hold()
                return
            self.alive.requests.append(seen)
            time.sleep(self.delay)
            connection.send(answer(seen.id))

    async def fill(self, client: WavixClient, connections: int) -> None:
        """Open connections, and let all of them die."""
        client, self.delay = client.with_options(timeout=60), 0.3
        while len(self.alive.connections) < connections:
            # The number in flight grows from eight.
            await asyncio.gather(*(update(client, number, GET) for number in range(connections)))
        assert len(self.alive.connections) == connections
        self.delay = 0.0
        self.alive.requests.clear()
        self.dead = connections - 1


@pytest.mark.parametrize("own", [True, False], ids=["own pool", "a session of the user's"])
async def test_a_call_meets_one_dead_connection_and_the_next_calls_none(own: bool) -> None:
    dying = Dying()
    with dying.alive as server:
        async with aiohttp.ClientSession() as session:
            options: dict[str, Any] = {} if own else {"session": session}
            async with WavixClient("key", base_url=server.url, retry=FAST, timeout=1.0, **options) as client:
                await dying.fill(client, 6)
                for number in range(1, 11):
                    assert (await update(client, number)).id == number
    assert [seen.id for seen in dying.lost] == [1]
    assert [seen.id for seen in server.requests] == list(range(1, 11))


async def test_a_message_that_meets_a_dead_connection_is_sent_once_and_the_next_gets_through() -> None:
    dying = Dying()
    with dying.alive as server:
        async with WavixClient("key", base_url=server.url, retry=FAST, timeout=1.0) as client:
            await dying.fill(client, 4)
            with pytest.raises(OutcomeUnknownError) as caught:
                await update(client, 1, SEND)
            assert isinstance(caught.value.__cause__, AttemptTimeoutError)
            assert (await update(client, 2, SEND)).success
    assert ([seen.id for seen in dying.lost], [seen.id for seen in server.requests]) == ([1], [2])


async def first_row(client: WavixClient, number: int) -> Number:
    """Read a number as the first row of an export, to its end."""
    (row,) = [row async for row in client.export(ROWS, path={"id": number})]
    return row


@pytest.mark.parametrize("make", [update, first_row])
async def test_a_caller_that_loses_patience_first_meets_one_dead_connection_too(make: Any) -> None:
    """With a timeout of its own, the caller cancels the call before its attempt times out."""
    dying = Dying()
    with dying.alive as server:
        async with WavixClient("key", base_url=server.url, retry=FAST) as client:
            await dying.fill(client, 4)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(make(client, 1), 1.2)
            for number in (2, 3, 4):
                assert (await asyncio.wait_for(make(client, number), SOON)).id == number
    assert [seen.id for seen in dying.lost] == [1]


@pytest.mark.parametrize("at_once", [100, pytest.param(4, marks=pytest.mark.scale)])
async def test_a_pool_of_dead_connections_costs_one_timeout(at_once: int) -> None:
    """32 dead connections, and a hundred calls: those that are on the wire first time out, and none after them."""
    dying = Dying()
    attempt = 1.0
    with dying.alive as server:
        async with WavixClient("key", base_url=server.url, retry=FAST, timeout=attempt, max_connections=32) as client:
            await dying.fill(client, 32)
            few = client.with_options(semaphore=asyncio.Semaphore(at_once))
            began = time.monotonic()
            numbers = await asyncio.gather(*(update(few, number) for number in range(100)))
            took = time.monotonic() - began
    assert [number.id for number in numbers] == list(range(100))
    # No call meets two.
    assert len({seen.id for seen in dying.lost}) == len(dying.lost) <= min(at_once, 32)
    assert {seen.id for seen in server.requests} == set(range(100))
    assert attempt * 0.9 <= took < attempt + SOON


async def test_connections_that_answered_meanwhile_are_not_suspected() -> None:
    """One slow answer says nothing against connections that were in use after its request was sent."""

    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            if seen.id == 13:
                connection.hold()
                return
            connection.send(answer(seen.id))

    with RawServer(serve) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            slow = asyncio.create_task(update(client.with_options(timeout=0.5), 13))
            await until(lambda: server.requests)
            for number in range(5):
                await update(client, number)
            with pytest.raises(AttemptTimeoutError):
                await slow
            await update(client, 5)
    assert [seen.connection for seen in server.requests] == [0, 1, 1, 1, 1, 1, 1]


async def test_a_reset_makes_the_idle_connections_suspect_too() -> None:
    """A new server behind the same address resets each old connection at the first byte: one call pays for that."""
    old = 0

    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            if connection.number < old:
                connection.reset()
                return
            if not old:
                time.sleep(0.2)
            connection.send(answer(seen.id))

    with RawServer(serve) as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client:
            await asyncio.gather(*(update(client, number) for number in range(5)))
            old = len(server.connections)
            with pytest.raises(OutcomeUnknownError) as caught:
                await update(client, 1, SEND)
            assert isinstance(caught.value.__cause__, DisconnectedError)
            for number in range(2, 6):
                assert (await update(client, number, SEND)).success


async def test_after_the_machine_slept_no_connection_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the event loop pauses meanwhile, the clock on the wall does not."""
    dying = Dying()
    wall = time.time
    with dying.alive as server:
        async with WavixClient("key", base_url=server.url, retry=RetryPolicy.none(), timeout=5) as client:
            await dying.fill(client, 3)
            monkeypatch.setattr(time, "time", lambda: wall() + 3600)
            for number in range(3):
                assert (await update(client, number, SEND)).success
    assert dying.lost == []
    assert len(server.connections) == 4


async def test_a_dead_first_address_costs_no_call() -> None:
    """Two addresses, of which the first takes no connection: the second gets its turn after a moment."""
    from tests.faults.test_client_faults import silent_port

    class Two(aiohttp.abc.AbstractResolver):
        async def resolve(self, host: str, port: int = 0, family: int = 0) -> Any:
            places = [("127.0.0.1", silent), ("127.0.0.1", server.port)]
            return [
                {"hostname": host, "host": ip, "port": at, "family": 2, "proto": 6, "flags": 0} for ip, at in places
            ]

        async def close(self) -> None:
            pass

    async with silent_port() as url:
        silent = int(url.rpartition(":")[2])
        with RawServer() as server:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=Two())) as session:
                client = WavixClient("key", base_url="http://localhost", session=session, retry=RetryPolicy.none())
                async with client:
                    assert (await asyncio.wait_for(update(client, 1), SOON)).id == 1


async def test_a_failed_connection_forgets_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failover the name has another address: the next call looks it up again, and not in a minute."""
    asked: list[int] = []
    with RawServer() as old, RawServer() as new:
        ports = [old.port]

        async def resolve(_: object, host: str, port: int = 0, family: int = 0) -> Any:
            asked.append(ports[-1])
            return [{"hostname": host, "host": "127.0.0.1", "port": asked[-1], "family": 2, "proto": 6, "flags": 0}]

        monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
        async with WavixClient("key", base_url="http://localhost", retry=RetryPolicy.none()) as client:
            await update(client, 1)
            old.__exit__()
            ports.append(new.port)
            await asyncio.sleep(0.1)
            with pytest.raises(ConnectError):
                await update(client, 2)
            assert (await update(client, 3)).id == 3
    assert len(asked) == 2
