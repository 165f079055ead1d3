"""The rate limits of the sandbox: the arithmetic on a fake clock, and the answers on the wire."""

import asyncio
import time
from typing import Any

import pytest
from aiohttp import ClientSession

from wavix_async.sandbox import Sandbox
from wavix_async.sandbox._server import Bucket, Window


def let_in(limit: Any, times: list[float]) -> list[bool]:
    limit.reset(0.0)
    return [limit.take(at) for at in times]


def test_bucket_starts_full_and_refills() -> None:
    bucket = Bucket(rate=10, burst=3)
    assert let_in(bucket, [0, 0, 0, 0, 0.05, 0.1, 0.1, 60, 60, 60, 60]) == [
        *(True, True, True, False),
        *(False, True, False),
        *(True, True, True, False),
    ]
    assert bucket.wait(60) == pytest.approx(0.1)
    assert bucket.refill(60) == pytest.approx(0.3)
    assert bucket.remaining(60.25) == 2


def test_refused_requests_cost_no_token() -> None:
    bucket = Bucket(rate=10, burst=1)
    assert sum(let_in(bucket, [i / 1000 for i in range(10_001)])) in (100, 101)


def test_window_opens_again() -> None:
    window = Window(limit=2, seconds=10)
    assert let_in(window, [0, 9.9, 9.9, 10, 19, 19.9, 45, 50]) == [True, True, False, True, True, False, True, True]
    assert window.wait(51) == 0
    assert let_in(window, [0, 1]) == [True, True]
    assert window.wait(4) == 6


def test_policies() -> None:
    assert Bucket(50, 5).policy == (50, 1)
    assert Bucket(0.5, 1).policy == (1, 2)
    assert Bucket(2.5, 1).policy == (5, 2)
    assert Window(500, 10).policy == (500, 10)


async def volley(sandbox: Sandbox, count: int) -> list[tuple[int, dict[str, str], Any]]:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    async with ClientSession(sandbox.url, headers=headers) as session:

        async def one() -> tuple[int, dict[str, str], Any]:
            async with session.get("/v1/numbers/1001") as response:
                return response.status, dict(response.headers), await response.json()

        return await asyncio.gather(*(one() for _ in range(count)))


async def test_refusals_on_the_wire() -> None:
    async with Sandbox(rate=0.1, burst=5) as sandbox:
        answers = await volley(sandbox, 12)
        refused = [answer for answer in answers if answer[0] == 429]
        assert len(refused) == sandbox.stats.refused == sandbox.stats.by_status[429] == 7
        for _, headers, body in refused:
            assert body == {"success": False, "message": "Too many requests"}
            assert 5 <= int(headers["Retry-After"]) <= 10
        assert sandbox.stats.requests == sandbox.stats.answered == 12
        assert sandbox.stats.accepted == sandbox.stats.by_status[200] == 5
        sandbox.advance(10)
        assert [status for status, *_ in await volley(sandbox, 1)] == [200]


@pytest.mark.parametrize(("retry_after", "header"), [(1.0, "1"), (2.5, "3"), (0, "1"), (30, "30"), (None, None)])
async def test_retry_after(retry_after: float | None, header: str | None) -> None:
    async with Sandbox(rate=1, burst=1, retry_after=retry_after) as sandbox:
        (_, refused) = await volley(sandbox, 2)
        assert refused[0] == 429
        assert refused[1].get("Retry-After") == header


@pytest.mark.parametrize(("rate", "burst"), [(50, 5), (4, 1), (1000, 100), (25, 2)])
async def test_default_burst_is_a_tenth(rate: float, burst: int) -> None:
    async with Sandbox(rate=rate) as sandbox:
        sandbox.advance(60)
        start = time.monotonic()
        answers = await volley(sandbox, burst + 40)
        elapsed = time.monotonic() - start
        accepted = sum(status == 200 for status, *_ in answers)
        assert burst <= accepted <= burst + rate * elapsed + 1


async def test_rate_over_time() -> None:
    """What comes in between, each time a half of the burst, is let in; what real time adds to it is little."""
    async with Sandbox(rate=1, burst=10) as sandbox:
        start = time.monotonic()
        for _ in range(10):
            await volley(sandbox, 25)
            sandbox.advance(5)
        elapsed = time.monotonic() - start
        assert 10 + 1 * 45 <= sandbox.stats.accepted <= 10 + 1 * (45 + elapsed) + 1
        assert sandbox.stats.refused > sandbox.stats.accepted


async def test_window_on_the_wire() -> None:
    async with Sandbox(rate=0.5, window=10) as sandbox:
        statuses = [status for status, *_ in await volley(sandbox, 8)]
        assert statuses.count(200) == 5
        sandbox.advance(10)
        answers = await volley(sandbox, 6)
        assert sum(status == 200 for status, *_ in answers) == 5
        assert all(5 <= int(headers["Retry-After"]) <= 10 for status, headers, _ in answers if status == 429)


async def test_headers() -> None:
    async with Sandbox(rate=10, burst=3, rate_headers="x") as sandbox:
        (answer,) = await volley(sandbox, 1)
        assert answer[1].items() >= {
            ("X-RateLimit-Limit", "10"),
            ("X-RateLimit-Remaining", "2"),
            ("X-RateLimit-Reset", "1"),
        }
    async with Sandbox(rate=50, window=10, rate_headers="ietf") as sandbox:
        (answer,) = await volley(sandbox, 1)
        assert answer[1]["RateLimit-Policy"] == '"default";q=500;w=10'
        assert answer[1]["RateLimit"] == '"default";r=499;t=10'
    async with Sandbox(rate_headers="x") as sandbox:
        (answer,) = await volley(sandbox, 1)
        assert not any("RateLimit" in name for name in answer[1])


async def test_a_wrong_key_counts_too() -> None:
    async with Sandbox(rate=0.1, burst=1) as sandbox, ClientSession(sandbox.url) as session:
        statuses = []
        for _ in range(2):
            async with session.get("/v1/numbers") as response:
                statuses.append(response.status)
        assert statuses == [401, 429]
