"""The clients that are measured: each changes phone numbers, 64 at a time, and decodes the responses.

A contender is an async context manager that yields a function. The function changes the numbers with the given ids and
returns how many it changed. Each contender imports its library itself, so that its process loads no other library.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.payload import CHANGE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    Change = Callable[[Iterable[int]], Awaitable[int]]

TASKS = 64
KEY = "benchmark-key"


@dataclass(frozen=True)
class Contender:
    title: str
    prepare: Callable[[str], contextlib.AbstractAsyncContextManager[Change]]


async def spread(change_one: Callable[[int], Awaitable[Any]], ids: Iterable[int]) -> int:
    """Change every id, with 64 tasks that each take the next id as soon as they are free."""
    waiting, done = iter(ids), 0

    async def work() -> None:
        nonlocal done
        for number in waiting:
            await change_one(number)
            done += 1

    await asyncio.gather(*(work() for _ in range(TASKS)))
    return done


@contextlib.asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Change]:
    import aiohttp

    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession() as session:

        async def change_one(number: int) -> Any:
            async with session.patch(f"{url}/v1/numbers/{number}", json=CHANGE, headers=headers) as response:
                response.raise_for_status()
                return await response.json()

        yield lambda ids: spread(change_one, ids)


@contextlib.asynccontextmanager
async def our_update(url: str) -> AsyncIterator[Change]:
    from wavix_async import WavixClient

    async with WavixClient(KEY, base_url=url) as wavix:
        yield lambda ids: spread(lambda number: wavix.numbers.update(number, **CHANGE), ids)


@contextlib.asynccontextmanager
async def our_bulk_update(url: str) -> AsyncIterator[Change]:
    from wavix_async import NumberUpdate, WavixClient

    async with WavixClient(KEY, base_url=url) as wavix:

        async def change(ids: Iterable[int]) -> int:
            updates = dict.fromkeys(ids, NumberUpdate(**CHANGE))
            report = await wavix.numbers.bulk_update(updates, concurrency=TASKS)
            report.raise_for_failures()
            return report.updated

        yield change


@contextlib.asynccontextmanager
async def vendor_httpx(url: str) -> AsyncIterator[Change]:
    from wavix import DefaultAsyncHttpxClient

    # Name the transport, because the vendor's SDK uses aiohttp by default if httpx-aiohttp is installed.
    async with DefaultAsyncHttpxClient() as transport:
        yield _vendor(url, transport)


@contextlib.asynccontextmanager
async def vendor_aiohttp(url: str) -> AsyncIterator[Change]:
    from wavix import DefaultAioHttpClient

    async with DefaultAioHttpClient() as transport:
        yield _vendor(url, transport)


def _vendor(url: str, transport: Any) -> Change:
    from wavix import AsyncWavix

    wavix = AsyncWavix(token=KEY, base_url=url, httpx_client=transport)
    return lambda ids: spread(lambda number: wavix.numbers.update(number, **CHANGE), ids)


@contextlib.asynccontextmanager
async def raw_sockets(url: str) -> AsyncIterator[Change]:
    """Send prepared bytes without a client, and check only the last byte of a response: the server's top speed."""
    at = urlsplit(url)
    loop = asyncio.get_running_loop()
    body = b'{"sms_enabled": true, "transcription_threshold": 30}'
    head = b"PATCH /v1/numbers/%d HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"%d\r\n\r\n" % len(body) + body

    class Asking(asyncio.Protocol):
        def __init__(self, waiting: Iterable[int], ended: asyncio.Future[int]) -> None:
            self.waiting, self.ended = iter(waiting), ended
            self.done = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            self.ask()

        def ask(self) -> None:
            number = next(self.waiting, None)
            if number is None:
                self.transport.close()
                self.ended.set_result(self.done)
            else:
                self.transport.write(head % number)

        def data_received(self, data: bytes) -> None:
            if data.endswith(b"}"):
                self.done += 1
                self.ask()

    async def change(ids: Iterable[int]) -> int:
        waiting = iter(ids)
        ended = [loop.create_future() for _ in range(TASKS)]
        for end in ended:
            await loop.create_connection(lambda end=end: Asking(waiting, end), at.hostname, at.port)
        return sum(await asyncio.gather(*ended))

    yield change


BARE, VENDOR, RAW = "bare", "vendor-aiohttp", "raw"
CONTENDERS = {
    BARE: Contender("bare aiohttp", bare_aiohttp),
    "update": Contender("wavix_async update", our_update),
    "bulk": Contender("wavix_async bulk_update", our_bulk_update),
    "vendor": Contender("vendor SDK, httpx", vendor_httpx),
    VENDOR: Contender("vendor SDK, aiohttp", vendor_aiohttp),
    RAW: Contender("raw sockets (server's limit)", raw_sockets),
}
OURS = ("update", "bulk")
