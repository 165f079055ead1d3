"""What aiohttp does that the transport relies on, one canary each: when one dies, read `_transport.py` again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.faults._stale import close_on_reuse
from tests.faults.server import BIG_BODY_BYTES, BOMB_MEGABYTES, FaultServer
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


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("fault", ["reset_after", "close_after"])
async def test_a_session_replays_by_itself_and_the_private_switch_ends_that(
    server: FaultServer, method: str, fault: str
) -> None:
    """Facts behind requirements 1 and 5: PUT and DELETE are sent twice although both were carried out."""
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


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_session_does_not_replay_what_is_not_idempotent(server: FaultServer, method: str) -> None:
    server.set_schedule(["reset_after"])
    async with aiohttp.ClientSession(server.url) as session:
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await send(session, method, json=CHANGE)
    server.assert_fired("reset_after", times=1)
    assert server.counters()["requests"] == {f"{method} /v1/numbers/7": 1}


@pytest.mark.parametrize("method", ["PATCH", "POST"])
async def test_a_write_to_a_closing_transport_is_told_and_never_sent(server: FaultServer, method: str) -> None:
    """Requirement 3. Without a body the error comes bare; with one it is the cause of a ClientOSError."""
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


async def test_a_wait_for_the_pool_counts_as_connecting(server: FaultServer) -> None:
    """Requirement 3: a wait for a free connection that runs out was never sent, and says so."""
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


async def test_a_refused_connection_is_a_connector_error() -> None:
    with FaultServer() as gone:
        url = gone.url
    async with aiohttp.ClientSession(url) as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await send(session, "POST", json={})


async def test_read_has_no_cap(server: FaultServer) -> None:
    """Requirement 23: 128 kB of gzip become 128 MB, and nobody objects."""
    server.set_schedule(["big_body", "gzip_bomb"])
    async with aiohttp.ClientSession(server.url) as session:
        assert len(await send(session, "GET")) > BIG_BODY_BYTES
        assert len(await send(session, "GET")) == BOMB_MEGABYTES * 1_000_000
    server.assert_fired("big_body", "gzip_bomb", times=1)


async def test_chunks_of_a_bomb_are_small(server: FaultServer) -> None:
    """Requirement 23: counting bytes chunk by chunk helps only while no chunk is the whole bomb."""
    server.set_schedule(["gzip_bomb"])
    async with aiohttp.ClientSession(server.url) as session, session.get("/v1/numbers/7") as answer:
        async for chunk in answer.content.iter_any():
            assert len(chunk) < 16_000_000
            break
        answer.close()
    server.assert_fired("gzip_bomb")


async def test_a_str_subclass_is_sent_as_what_it_is(server: FaultServer) -> None:
    """Requirement 24: `Secret` hides from repr, and only from repr."""
    secret = Secret("Bearer s3cret")
    assert "s3cret" not in repr({"Authorization": secret})
    async with aiohttp.ClientSession(server.url) as session:
        await send(session, "PATCH", json=CHANGE, headers={"Authorization": secret})
    assert server.log()[0]["headers"]["authorization"] == "Bearer s3cret"


async def test_a_closed_session_raises_a_runtime_error(server: FaultServer) -> None:
    """Requirement 24: it is no ClientError, so it must be named on its own."""
    session = aiohttp.ClientSession(server.url)
    await session.close()
    with pytest.raises(RuntimeError, match="Session is closed"):
        await send(session, "GET")
