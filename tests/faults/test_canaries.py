"""What the transport relies on in aiohttp, one canary each: if one fails, read `_http/transport.py` again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import gc
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler

from tests.faults.server import BIG_BODY_BYTES, BOMB_MEGABYTES, Fault, FaultServer
from tests.support.raw import RawConnection, RawServer, answer
from tests.support.soon import SOON
from tests.support.stale import close_on_reuse
from wavix_async.config import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGE = {"sms_enabled": True}
CLOSING = "Cannot write to closing transport"


@pytest.fixture(scope="module")
def shared() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def server(shared: FaultServer) -> FaultServer:
    shared.reset()
    return shared


async def send(session: aiohttp.ClientSession, method: str, path: str = "/v1/numbers/7", **options: Any) -> bytes:
    async with session.request(method, path, **options) as answer:
        return await answer.read()


@pytest.mark.req_01
@pytest.mark.req_05
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", ["reset_after", "close_after"])
async def test_a_session_replays_by_itself_and_the_private_switch_ends_that(
    server: FaultServer, method: str, fault: str
) -> None:
    """PUT and DELETE are sent twice although both were carried out."""
    server.set_schedule([fault])
    async with aiohttp.ClientSession(server.url) as session:
        assert session._retry_connection is True
        await send(session, method)
    server.assert_fired(fault, times=1)
    assert server.counters()["requests"] == {f"{method} /v1/numbers/7": 2}

    server.reset()
    server.set_schedule([fault])
    async with aiohttp.ClientSession(server.url) as session:
        session._retry_connection = False
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await send(session, method)
    server.assert_fired(fault, times=1)
    assert server.counters()["requests"] == {f"{method} /v1/numbers/7": 1}


@pytest.mark.req_01
@pytest.mark.req_05
@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_session_does_not_replay_what_is_not_idempotent(server: FaultServer, method: str) -> None:
    server.set_schedule(["reset_after"])
    async with aiohttp.ClientSession(server.url) as session:
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await send(session, method, json=CHANGE)
    server.assert_fired("reset_after", times=1)
    assert server.counters()["requests"] == {f"{method} /v1/numbers/7": 1}


@pytest.mark.req_03
@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_write_to_a_closing_transport_is_reported_and_never_sent(server: FaultServer, method: str) -> None:
    """Without a body the error comes bare; with one it is the cause of a ClientOSError."""
    for body in (None, CHANGE):
        server.reset()
        async with aiohttp.ClientSession(server.url) as session:
            session._retry_connection = False
            close_on_reuse(session, with_body=body is not None)
            await send(session, "GET")
            with pytest.raises(aiohttp.ClientConnectionError) as caught:
                await send(session, method, json=body)
        told: BaseException | None = caught.value
        if body is not None:
            assert isinstance(told, aiohttp.ClientOSError)
            assert "Can not write request body" in str(told)
            told = told.__cause__
        assert isinstance(told, aiohttp.ClientConnectionResetError)
        assert str(told) == CLOSING
        assert server.counters()["requests"] == {"GET /v1/numbers/7": 1}


@pytest.mark.req_03
async def test_a_wait_for_the_pool_counts_as_connecting(server: FaultServer) -> None:
    """A wait for a free connection that runs out was never sent, and says so."""
    server.set_schedule(["stall"])
    timeout = aiohttp.ClientTimeout(total=None, connect=0.15)
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=1), timeout=timeout) as session:
        first = asyncio.create_task(send(session, "GET", "/v1/numbers/1"))
        while server.counters()["total"] < 1:
            await asyncio.sleep(0.01)
        with pytest.raises(aiohttp.ConnectionTimeoutError):
            await send(session, "POST", "/v1/messages", json={})
        first.cancel()
        await asyncio.wait([first])
    server.assert_fired("stall")
    assert server.counters()["requests"] == {"GET /v1/numbers/1": 1}


@pytest.mark.req_03
async def test_a_refused_connection_is_a_connector_error() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{deaf.getsockname()[1]}") as session:
            with pytest.raises(aiohttp.ClientConnectorError) as caught:
                await send(session, "POST", json={})
    assert isinstance(caught.value.os_error, ConnectionRefusedError)


class Resolver(AbstractResolver):
    """Fails, or takes for ever."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.asked = asyncio.Event()

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> Any:
        self.asked.set()
        if self.error is not None:
            raise self.error
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


@pytest.mark.req_03
@pytest.mark.parametrize(
    "error",
    [socket.gaierror(-2, "Name or service not known"), OSError(None, "looking up took too long")],
    ids=["unknown", "slow"],
)
async def test_a_failed_look_up_is_a_connector_error(error: OSError) -> None:
    """Also the plain OSError that our own resolver raises when a look-up takes too long."""
    connector = aiohttp.TCPConnector(resolver=Resolver(error))
    async with aiohttp.ClientSession("http://wavix.invalid", connector=connector) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await send(session, "POST", json={})
    assert caught.value.os_error is error


@pytest.mark.req_03
async def test_a_failed_handshake_is_a_connector_error() -> None:
    async def answer_in_the_clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(answer_in_the_clear, "127.0.0.1", 0) as listener:
        url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with aiohttp.ClientSession(url) as session:
            with pytest.raises(aiohttp.ClientConnectorError):
                await send(session, "POST", json={})


@pytest.mark.req_03
@pytest.mark.parametrize("bound", ["sock_connect", "connect"])
async def test_a_connection_that_takes_too_long_can_be_distinguished(bound: str) -> None:
    """Both are `ConnectionTimeoutError`: the request has not left, which `ServerTimeoutError` would not say."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        await asyncio.sleep(0.02)
        timeout = aiohttp.ClientTimeout(total=None, **{bound: 0.1})
        async with aiohttp.ClientSession(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=timeout) as session:
            with pytest.raises(aiohttp.ConnectionTimeoutError):
                await send(session, "POST", json={})
        for filler in fillers:
            filler.close()


@pytest.mark.req_22
async def test_closing_a_session_cancels_a_caller_that_waits_for_a_look_up(server: FaultServer) -> None:
    """No caller has cancelled that task: the transport has to tell this from a cancellation of the caller's."""
    resolver = Resolver()
    session = aiohttp.ClientSession("http://wavix.invalid", connector=aiohttp.TCPConnector(resolver=resolver))
    waiting = asyncio.create_task(send(session, "GET"))
    await resolver.asked.wait()
    await session.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelling() == 0


@pytest.mark.req_01
@pytest.mark.parametrize("body", [None, CHANGE], ids=["head", "body"])
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("close_before", aiohttp.ServerDisconnectedError),
        ("close_after", aiohttp.ServerDisconnectedError),
        ("half_headers", aiohttp.ServerDisconnectedError),
        ("reset_before", aiohttp.ClientOSError),
        ("reset_after", aiohttp.ClientOSError),
        ("half_body", aiohttp.ClientPayloadError),
        ("chunked_cut", aiohttp.ClientPayloadError),
    ],
)
async def test_a_request_that_left_never_fails_as_a_write_to_a_closing_transport(
    server: FaultServer, fault: str, kind: type[Exception], body: Any
) -> None:
    """Each way to lose an answer has an error of its own, the same whether or not the change was carried out."""
    server.set_schedule([fault])
    async with aiohttp.ClientSession(server.url) as session:
        session._retry_connection = False
        with pytest.raises(kind) as caught:
            await send(session, "POST", json=body)
    server.assert_fired(fault, times=1)
    assert type(caught.value) is kind
    assert CLOSING not in f"{caught.value} {caught.value.__cause__}"
    assert not isinstance(caught.value, aiohttp.ClientConnectorError)


@pytest.mark.req_01
async def test_a_reset_in_the_middle_of_an_upload_is_no_write_to_a_closing_transport(server: FaultServer) -> None:
    """A body of bytes: a part of it has left, and may have been enough for the server."""
    heads = []

    async def reset_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        # Unread bytes in the buffer make the kernel send RST.
        writer.transport.abort()

    async with await asyncio.start_server(reset_at_once, "127.0.0.1", 0) as listener:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with aiohttp.ClientSession(url) as session:
            for _ in range(5):
                with pytest.raises(aiohttp.ClientError) as caught:
                    await send(session, "POST", data=b"x" * 900_000)
                assert isinstance(caught.value, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
                assert CLOSING not in f"{caught.value} {caught.value.__cause__}"
    assert len(heads) == 5


@pytest.mark.req_22
@pytest.mark.parametrize("fault", [Fault("ok"), Fault("no_content"), Fault("empty_200"), Fault("status_404")], ids=str)
async def test_an_answer_that_was_read_to_its_end_gives_its_connection_back(server: FaultServer, fault: Fault) -> None:
    """Without `release()` or `async with`: both ways of reading that the transport uses."""
    server.set_schedule([fault] * 4)
    async with aiohttp.ClientSession(server.url) as session:
        assert session.connector is not None
        for turn in range(4):
            answer = await session.request("GET", "/v1/numbers/7")
            if turn % 2:
                await answer.read()
            else:
                assert [chunk async for chunk in answer.content.iter_any()] or not answer.content_length
            assert not session.connector._acquired
    assert server.counters()["connections"] == 1


@pytest.mark.req_22
async def test_an_answer_that_was_not_read_to_its_end_has_to_be_closed(server: FaultServer) -> None:
    server.set_schedule(["big_body"])
    async with aiohttp.ClientSession(server.url) as session:
        assert session.connector is not None
        answer = await session.request("GET", "/v1/numbers/7")
        await anext(answer.content.iter_any())
        assert session.connector._acquired
        answer.close()
        assert not session.connector._acquired
        await send(session, "GET")
    assert server.counters()["connections"] == 2


@pytest.mark.req_28
async def test_aiohttp_takes_bytes_on_an_idle_connection_for_the_next_answer() -> None:
    """The parser of the last request goes on reading: the reason why `_http/pool.py` takes it away."""
    with RawServer() as server:

        def serve(connection: RawConnection) -> None:
            while (seen := server.next(connection)) is not None:
                connection.send(answer(seen.id))
                time.sleep(0.03)
                if connection.requests == 1:
                    connection.send(answer(666))

        server._serve = serve
        async with aiohttp.ClientSession(server.url) as session:
            assert b'"id": 7' in await send(session, "GET")
            await asyncio.sleep(0.1)
            assert b'"id": 666' in await send(session, "GET", "/v1/numbers/8")


@pytest.mark.req_28
async def test_a_pool_asks_each_connection_when_it_comes_back_and_when_it_is_used_again(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And makes its connections with `_factory`, and a parser for each request."""
    asked: list[str] = []
    before = ResponseHandler.should_close.fget  # type: ignore[attr-defined]
    is_connected, set_params = ResponseHandler.is_connected, ResponseHandler.set_response_params

    def come_back(self: ResponseHandler) -> Any:
        asked.append("should_close")
        return before(self)

    def use(self: ResponseHandler) -> bool:
        asked.append("is_connected")
        return is_connected(self)

    def begin(self: ResponseHandler, **options: Any) -> None:
        self._parser = None
        set_params(self, **options)
        assert self._parser is not None
        asked.append("parser")

    monkeypatch.setattr(ResponseHandler, "should_close", property(come_back))
    monkeypatch.setattr(ResponseHandler, "is_connected", use)
    monkeypatch.setattr(ResponseHandler, "set_response_params", begin)
    async with aiohttp.ClientSession(server.url) as session:
        connector: Any = session.connector
        assert isinstance(connector._factory, functools.partial)
        assert connector._factory.func is ResponseHandler
        assert connector._factory.keywords == {"loop": asyncio.get_running_loop()}
        assert connector._keepalive_timeout == 15
        await send(session, "GET")
        await send(session, "GET")
        assert asked == ["parser", "should_close", "is_connected", "parser", "should_close"]
        ((key, connections),) = connector._conns.items()
        assert key.host == "127.0.0.1"
        assert isinstance(connections, deque)
        ((protocol, since),) = connections
        assert abs(time.monotonic() - since) < SOON
        protocol.abort()
        assert not protocol.is_connected()


@pytest.mark.req_28
async def test_without_a_parser_bytes_are_kept_and_not_read(server: FaultServer) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        connector: Any = session.connector
        await send(session, "GET")
        ((protocol, _),) = next(iter(connector._conns.values()))
        protocol._parser = None
        protocol.data_received(answer(7))
        assert protocol._tail == answer(7)
        assert not protocol._buffer
        # The next request reads them, by `_drain_tail`.
        protocol.set_response_params()
        assert protocol._tail == b""
        assert len(protocol._buffer) == 1


@pytest.mark.req_28
async def test_a_second_answer_in_the_same_segment_waits_in_the_buffer(server: FaultServer) -> None:
    """Although the connection is back in the pool: it came back in the middle of the segment."""
    async with aiohttp.ClientSession(server.url) as session:
        connector: Any = session.connector
        await send(session, "GET")
        ((protocol, _),) = next(iter(connector._conns.values()))
        protocol.data_received(2 * answer(7))
        assert len(protocol._buffer) == 2
        assert protocol.should_close


@pytest.mark.req_03
async def test_a_lack_of_descriptors_is_a_connector_error_with_its_number(server: FaultServer) -> None:
    """A look-up that fails has a class of its own."""

    def refuse(_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(socket_factory=refuse)) as session:
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await send(session, "POST", json={})
    assert caught.value.os_error.errno == errno.EMFILE
    assert issubclass(aiohttp.ClientConnectorDNSError, aiohttp.ClientConnectorError)


@pytest.mark.req_23
async def test_read_has_no_cap(server: FaultServer) -> None:
    """128 kB of gzip become 128 MB, and aiohttp does not object."""
    server.set_schedule(["big_body", "gzip_bomb"])
    async with aiohttp.ClientSession(server.url) as session:
        assert len(await send(session, "GET")) > BIG_BODY_BYTES
        assert len(await send(session, "GET")) == BOMB_MEGABYTES * 1_000_000
    server.assert_fired("big_body", "gzip_bomb", times=1)


@pytest.mark.req_23
async def test_chunks_of_a_bomb_are_small(server: FaultServer) -> None:
    """Counting bytes chunk by chunk helps only while no chunk is the whole bomb."""
    server.set_schedule(["gzip_bomb"])
    async with aiohttp.ClientSession(server.url) as session, session.get("/v1/numbers/7") as answer:
        async for chunk in answer.content.iter_any():
            assert len(chunk) < 16_000_000
            break
        answer.close()
    server.assert_fired("gzip_bomb")


@pytest.mark.req_23
async def test_the_length_that_is_stated_is_that_of_the_compressed_body(server: FaultServer) -> None:
    """Where there is an encoding it bounds nothing, so that bytes are counted while they come."""
    server.set_schedule(["gzip_bomb"])
    async with aiohttp.ClientSession(server.url) as session:
        answer = await session.get("/v1/numbers/7")
        assert answer.content_length is not None
        assert answer.content_length < 1_000_000
        assert answer.headers["Content-Encoding"] == "gzip"
        answer.close()


@pytest.mark.req_23
@pytest.mark.req_24
async def test_a_session_follows_redirects_unless_told_not_to(server: FaultServer) -> None:
    """aiohttp strips the key for another origin, but sends body and all."""
    server.set_schedule(["redirect"])
    async with aiohttp.ClientSession(server.url, headers={"Authorization": "Bearer s3cret"}) as session:
        await send(session, "PATCH", json=CHANGE)
        counters = server.counters()
        assert (counters["redirected"], counters["redirected_with_key"]) == (1, 0)
        server.set_schedule(["redirect"])
        async with session.patch("/v1/numbers/7", json=CHANGE, allow_redirects=False) as answer:
            assert answer.status == 307
        assert server.counters()["redirected"] == 1


@pytest.mark.req_22
def test_a_detached_session_does_not_complain_and_closed_sockets_do_not_either(server: FaultServer) -> None:
    """What is done to a session whose loop is gone: names of aiohttp's and asyncio's own are used for it."""
    session: Any = None

    async def use() -> None:
        nonlocal session
        session = aiohttp.ClientSession(server.url)
        await send(session, "GET")

    asyncio.run(use())
    connector = session.connector
    session.detach()
    (connections,) = connector._conns.values()
    ((protocol, *_),) = connections
    transport = protocol.transport
    assert transport._sock.fileno() >= 0
    transport._sock.close()
    transport._sock = None
    connector._conns.clear()
    del session, connector, connections, protocol, transport
    # Collect now, so that a warning would be raised in this test, as an error.
    gc.collect()


@pytest.mark.req_24
async def test_a_str_subclass_is_sent_as_what_it_is(server: FaultServer) -> None:
    """`Secret` hides from repr, and only from repr."""
    secret = Secret("Bearer s3cret")
    assert "s3cret" not in repr({"Authorization": secret})
    async with aiohttp.ClientSession(server.url) as session:
        await send(session, "PATCH", json=CHANGE, headers={"Authorization": secret})
    assert server.log()[0]["headers"]["authorization"] == "Bearer s3cret"


@pytest.mark.req_24
async def test_a_closed_session_raises_a_runtime_error(server: FaultServer) -> None:
    """It is no ClientError, so it must be named on its own."""
    session = aiohttp.ClientSession(server.url)
    await session.close()
    with pytest.raises(RuntimeError, match="Session is closed"):
        await send(session, "GET")
