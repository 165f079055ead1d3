"""The clients of the reliability benchmark: each makes the same calls, 32 at a time, and reports every outcome.

    python -m benchmarks.live '{"client": "by_hand", "url": ..., "ids": [1, 2], "post": false, "seed": 0}'

This prints the items that the client reports as done, failed or unknown, the errors, and the time. Each client imports
its library itself, so that its process loads no other library.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    Said = dict[str, Any]
    Work = Callable[[list[int], bool], Awaitable[Said]]
    One = Callable[[int], Awaitable[object]]

WORKERS = 32
RETRIES = 3
KEY = "benchmark-key"
CHANGE = {"sms_enabled": True}
SEND_PATH = "/v3/messages"
TEXT = "Your code is 4711"


def recipient(item: int) -> str:
    return f"1555{item:07}"


def item_of(recipient: str) -> int:
    return int(recipient[4:])


@contextlib.asynccontextmanager
async def ours(url: str, rate: float | None = None, workers: int = WORKERS) -> AsyncIterator[Work]:
    from wavix_async import NumberUpdate, Operation, Success, WavixClient

    send = Operation("POST", SEND_PATH, Success)

    async def change(ids: list[int]) -> Said:
        said = _nothing()
        async for result in wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(**CHANGE)), concurrency=workers):
            if result.status == "updated":
                said["done"].append(result.id)
            else:
                said["unknown" if result.status == "unknown" else "failed"].append(result.id)
                said["errors"][f"{result.status}: {type(result.error).__name__}"] += 1
        return said

    async with WavixClient(KEY, base_url=url, rate=rate) as wavix:
        yield (
            lambda ids, post: (
                _try_each(lambda item: wavix.call(send, body=_message(item)), ids) if post else change(ids)
            )
        )


@contextlib.asynccontextmanager
async def vendor(url: str, transport: str = "aiohttp") -> AsyncIterator[Work]:
    from wavix import AsyncWavix, DefaultAioHttpClient, DefaultAsyncHttpxClient, MessageBody

    def change(item: int) -> Awaitable[object]:
        return wavix.numbers.update(item, **CHANGE)

    def send(item: int) -> Awaitable[object]:
        return wavix.sms_and_mms.messages.send(from_="Wavix", to=recipient(item), message_body=MessageBody(text=TEXT))

    async with (DefaultAioHttpClient if transport == "aiohttp" else DefaultAsyncHttpxClient)() as http:
        wavix = AsyncWavix(token=KEY, base_url=url, httpx_client=http)
        yield lambda ids, post: _try_each(send if post else change, ids)


@contextlib.asynccontextmanager
async def by_hand(url: str, retries: int = RETRIES) -> AsyncIterator[Work]:
    """The code that a developer writes in an afternoon: aiohttp, 32 tasks, and retries with backoff and Retry-After.

    A task that backs off still counts as one of the 32. That is simple, and it is better under a limit: otherwise
    another item would start and add to the load.
    """
    import aiohttp

    async def once(method: str, path: str, body: Any) -> object:
        async with session.request(method, f"{url}{path}", json=body) as response:
            response.raise_for_status()
            return await response.json()

    async def ask(method: str, path: str, body: Any) -> object:
        for attempt in itertools.count():
            told = 0.0
            try:
                return await once(method, path, body)
            except aiohttp.ClientResponseError as error:
                if attempt == retries or not (error.status == 429 or error.status >= 500):
                    raise
                if error.status == 429 and error.headers:
                    told = float(error.headers.get("Retry-After", 0))
            except (aiohttp.ClientError, TimeoutError, ValueError):
                if attempt == retries:
                    raise
            # Add jitter to Retry-After: clients with the same value would all return at the same moment.
            await asyncio.sleep(told + 0.5 * 2**attempt * random.uniform(0.5, 1.5))
        raise AssertionError

    def change(item: int) -> Awaitable[object]:
        return ask("PATCH", f"/v1/numbers/{item}", CHANGE)

    def send(item: int) -> Awaitable[object]:
        return ask("POST", SEND_PATH, _message(item))

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        yield lambda ids, post: _try_each(send if post else change, ids)


def _message(item: int) -> dict[str, Any]:
    return {"from": "Wavix", "to": recipient(item), "message_body": {"text": TEXT}}


def _nothing() -> Said:
    return {"done": [], "failed": [], "unknown": [], "errors": Counter()}


async def _try_each(one: One, ids: Iterable[int]) -> Said:
    waiting = iter(ids)
    said = _nothing()

    async def work() -> None:
        for item in waiting:
            try:
                await one(item)
            except Exception as error:
                # Only our client distinguishes unknown from failed; the others raise the same exceptions for both.
                said["unknown" if getattr(error, "outcome", None) == "unknown" else "failed"].append(item)
                status = getattr(error, "status_code", None) or getattr(error, "status", None)
                said["errors"][f"{type(error).__name__} {status or ''}".strip()] += 1
            else:
                said["done"].append(item)

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    return said


CLIENTS = {"ours": ours, "vendor": vendor, "by_hand": by_hand}


async def _run(client: str, url: str, ids: list[int], post: bool, seed: int, **options: Any) -> Said:
    # Every client takes the jitter of its backoff from this generator.
    random.seed(seed)
    async with CLIENTS[client](url, **options) as work:
        clock = time.perf_counter()
        said = await work(ids, post)
        return {**said, "seconds": time.perf_counter() - clock}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(**json.loads(sys.argv[1])))))
