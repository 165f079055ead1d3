"""Who is held against the server's state: each makes the same calls, 32 at a time, and says what became of every item.

    python -m benchmarks.live '{"client": "by_hand", "url": ..., "ids": [1, 2], "post": false, "seed": 0}'

prints which items it says are done, failed or unknown, why, and how long it took. Imports are inside, so that the
process of one client carries nothing of another.
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
async def ours(url: str, rate: float | None = None) -> AsyncIterator[Work]:
    from wavix_async import NumberUpdate, Operation, Success, WavixClient

    send = Operation("POST", SEND_PATH, Success)

    async def change(ids: list[int]) -> Said:
        said = _nothing()
        async for result in wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(**CHANGE)), concurrency=WORKERS):
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
    """What is written in an afternoon: aiohttp, 32 at a time, some retries that back off and honour Retry-After.

    Who backs off keeps its place among the 32. That is the simple way, and the better one under a limit: a place given
    up would go to an item that adds to the crowd.
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
            # On top of what was told: all who were told the same would come back at the same moment.
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
                # Only ours tells what is unknown from what has failed; from the others there is one kind of exception.
                said["unknown" if getattr(error, "outcome", None) == "unknown" else "failed"].append(item)
                status = getattr(error, "status_code", None) or getattr(error, "status", None)
                said["errors"][f"{type(error).__name__} {status or ''}".strip()] += 1
            else:
                said["done"].append(item)

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    return said


CLIENTS = {"ours": ours, "vendor": vendor, "by_hand": by_hand}


async def _run(client: str, url: str, ids: list[int], post: bool, seed: int, **options: Any) -> Said:
    # The jitter of every client's backoff comes from here.
    random.seed(seed)
    async with CLIENTS[client](url, **options) as work:
        clock = time.perf_counter()
        said = await work(ids, post)
        return {**said, "seconds": time.perf_counter() - clock}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_run(**json.loads(sys.argv[1])))))
