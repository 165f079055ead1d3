"""An answer that belongs to an earlier request of the same connection is not taken for the answer to this one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from tests.support import examples as ex
from wavix_async import Number, NumberUpdate, OutcomeUnknownError, RetryPolicy, WavixClient

pytestmark = pytest.mark.req_26

FAST = RetryPolicy(backoff=0.01, budget_per_second=1e6)


@attrs.define
class Delayed:
    """A proxy that answers on its first connection one request too late, as after a request that it lost."""

    connections: int = 0
    seen: list[tuple[int, str, int]] = attrs.field(factory=list)
    """Of each request: its connection, its method, the id in its path."""
    applied: set[int] = attrs.field(factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection, earlier = self.connections, 1001
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                method, path = head.decode().split(" ")[:2]
                length = next(
                    (line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), b":0"
                )
                await reader.readexactly(int(length.split(b":")[1]))
                number = int(path.rpartition("/")[2])
                self.seen.append((connection, method, number))
                if method == "PATCH":
                    self.applied.add(number)
                about, earlier = (earlier if connection == 1 else number), number
                body = json.dumps(ex.number(id=about, sms_enabled=True)).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def delayed() -> AsyncIterator[tuple[Delayed, WavixClient]]:
    proxy = Delayed()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, WavixClient("key", base_url=url, retry=FAST) as wavix:
        yield proxy, wavix


async def test_a_read_is_repeated_on_another_connection() -> None:
    async with delayed() as (proxy, wavix):
        await wavix.numbers.get(1001)
        number = await wavix.numbers.get(1002)

        assert number.id == 1002
        assert proxy.seen == [(1, "GET", 1001), (1, "GET", 1002), (2, "GET", 1002)]


async def test_an_update_does_not_return_another_number() -> None:
    async with delayed() as (_, wavix):
        await wavix.numbers.get(1001)
        with pytest.raises(OutcomeUnknownError, match="it is about id 1001 instead of 1002") as caught:
            await wavix.numbers.update(1002, sms_enabled=True)

        assert caught.value.other_record
        assert isinstance(caught.value.answer, Number)
        assert caught.value.answer.id == 1001


async def test_a_bulk_run_takes_no_answer_for_that_of_another_number() -> None:
    async with delayed() as (proxy, wavix):
        results: list[Any] = [
            each
            async for each in wavix.numbers.bulk_update(
                dict.fromkeys(range(1001, 1021), NumberUpdate(sms_enabled=True)), concurrency=2
            )
        ]

        assert {str(each.status) for each in results} == {"updated"}
        assert all(each.value.id == each.id for each in results)
        assert proxy.applied == set(range(1001, 1021))


async def test_a_connection_that_runs_one_answer_behind_is_closed_after_the_first_lie() -> None:
    async with delayed() as (proxy, client):
        doubted = 0
        for number in range(1002, 1052):
            try:
                await client.numbers.update(number, sms_enabled=True)
            except OutcomeUnknownError:
                doubted += 1
    assert doubted <= 1
    assert proxy.connections == 2
