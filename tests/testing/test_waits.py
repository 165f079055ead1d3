"""`skip_waits`: everything behaves as usual and takes no time."""

import asyncio
import time
from typing import Any

import pytest

from wavix_async import (
    DeadlineExceededError,
    NumberUpdate,
    RateLimitError,
    RetryPolicy,
    ServerError,
    Timeouts,
    WavixClient,
)
from wavix_async.sandbox import Sandbox
from wavix_async.testing import skip_waits

SOON = 5.0
"""Real seconds, on a machine that is busy with something else, for what would take much longer."""


def connect(sandbox: Sandbox, **settings: Any) -> tuple[WavixClient, list[float]]:
    client = WavixClient(sandbox.api_key, base_url=sandbox.url, **settings)
    waits: list[float] = []

    def advance(seconds: float) -> None:
        waits.append(seconds)
        sandbox.advance(seconds)

    skip_waits(client, advance)
    return client, waits


async def test_a_limited_run_costs_what_it_would_cost() -> None:
    """100 numbers at 10 per second: ten seconds, and hardly a refusal more than in real time."""
    began = time.monotonic()
    with Sandbox(numbers=100, rate=10) as sandbox:
        wavix, waits = connect(sandbox)
        async with wavix:
            report = await wavix.numbers.bulk_update(dict.fromkeys(sandbox.numbers, NumberUpdate(sms_enabled=True)))
            assert (report.updated, len(sandbox.stats.updates)) == (100, 100)
            assert 1 <= sandbox.stats.refused <= 30
            assert 5 <= sum(waits) <= 40
            assert wavix.limits.snapshot().source == "learned"
    assert time.monotonic() - began < SOON


async def test_a_caller_that_keeps_to_the_rate_is_never_refused() -> None:
    """The server's clock goes on as far as the client has waited, and no further while a request is on its way."""
    with Sandbox(numbers=60, rate=5, burst=6) as sandbox:
        wavix, waits = connect(sandbox, rate=5)
        async with wavix:
            await asyncio.gather(*(wavix.numbers.get(number_id) for number_id in sandbox.numbers))
        assert (sandbox.stats.refused, sandbox.stats.accepted) == (0, 60)
        # Less what has really passed: a busy machine has to hand out fewer.
        assert 5 <= sum(waits) <= 12
        times = [request.at for request in sandbox.requests]
        assert times[-1] - times[0] >= 11


async def test_what_the_api_asks_for_is_taken_off_the_deadline() -> None:
    began = time.monotonic()
    with Sandbox(numbers=1) as sandbox:
        wavix, waits = connect(sandbox, timeout=Timeouts(deadline=60))
        async with wavix:
            sandbox.fail_next(429, retry_after=20, count=2)
            assert (await wavix.numbers.get(1001)).id == 1001
            assert sum(waits) == pytest.approx(40, abs=3)
            sandbox.fail_next(429, retry_after=25, count=3)
            with pytest.raises(RateLimitError) as caught:
                await wavix.numbers.get(1001)
            assert caught.value.attempts == 3
            assert 49 <= caught.value.elapsed <= 60
    assert time.monotonic() - began < SOON


async def test_backoffs_are_counted_and_passed_over() -> None:
    with Sandbox(numbers=1) as sandbox:
        wavix, waits = connect(sandbox, retry=RetryPolicy(attempts=5, backoff=8, max_backoff=60))
        async with wavix:
            sandbox.fail_next(500, count=5)
            with pytest.raises(ServerError) as caught:
                await wavix.numbers.get(1001)
        assert caught.value.attempts == 5
        assert caught.value.elapsed == pytest.approx(sum(waits), abs=5.0)
        assert 1 <= len(waits) <= 4


async def test_what_others_take_is_waited_for() -> None:
    with Sandbox(numbers=1, latency=0.2) as sandbox:
        wavix, waits = connect(sandbox)
        async with wavix:
            began = time.monotonic()
            await wavix.numbers.get(1001)
            assert time.monotonic() - began >= 0.2
            sandbox.fail_next("stall")
            with pytest.raises(DeadlineExceededError):
                await wavix.with_options(deadline=0.1).numbers.get(1001)
        assert sum(waits) < 0.1


async def test_only_this_client_is_changed() -> None:
    with Sandbox(numbers=1) as sandbox:
        eager, waits = connect(sandbox)
        async with eager, WavixClient(sandbox.api_key, base_url=sandbox.url) as patient:
            sandbox.fail_next(429, retry_after=1)
            began = time.monotonic()
            await patient.numbers.get(1001)
            assert time.monotonic() - began >= 1
            assert waits == []
            sandbox.fail_next(429, retry_after=1000)
            with pytest.raises(RateLimitError):
                await eager.numbers.get(1001)
            await eager.with_options(deadline=2000).numbers.get(1001)
            assert sum(waits) == pytest.approx(1000, abs=5)  # the first call, refused at once, has waited for nothing


def test_one_client_in_one_loop_after_the_other() -> None:
    with Sandbox(numbers=1) as sandbox:
        wavix, waits = connect(sandbox)

        async def once() -> int:
            sandbox.fail_next(429, retry_after=30)
            return (await wavix.numbers.get(1001)).id

        assert [asyncio.run(once()) for _ in range(3)] == [1001] * 3
        assert sum(waits) == pytest.approx(90, abs=5)
        asyncio.run(wavix.close())


async def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    with Sandbox(numbers=1) as sandbox:
        wavix, waits = connect(sandbox)
        async with wavix:
            sandbox.fail_next("slow")
            slow = asyncio.create_task(wavix.numbers.get(1001))
            while not sandbox.requests:
                await asyncio.sleep(0)
            # The slow one is on the wire: no virtual wait is skipped, and this one waits for its backoff.
            sandbox.fail_next(500)
            waiting = asyncio.create_task(wavix.numbers.get(1001))
            while len(sandbox.requests) < 2 or sandbox.requests[1].status is None:
                await asyncio.sleep(0)
            waiting.cancel()
            slow.cancel()
            await asyncio.gather(waiting, slow, return_exceptions=True)
            await wavix.numbers.get(1001)
            assert sum(waits) < 1


async def test_a_call_can_be_cancelled_in_any_round_and_others_go_on() -> None:
    with Sandbox(numbers=1) as sandbox:
        wavix, _ = connect(sandbox)
        async with wavix:
            for rounds in range(20):
                sandbox.reset()
                sandbox.fail_next(*((500, 3) if rounds % 2 else (429, 1)))
                call = asyncio.create_task(wavix.numbers.get(1001))
                while not (sandbox.requests and sandbox.requests[0].status):
                    await asyncio.sleep(0)
                for _ in range(rounds // 2):
                    await asyncio.sleep(0)
                call.cancel()
                sandbox.fail_next(429, retry_after=5)
                async with asyncio.timeout(10):
                    assert (await wavix.numbers.get(1001)).id == 1001


async def test_an_advance_that_raises_stops_no_one() -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

    def advance(seconds: float) -> None:
        raise ArithmeticError(seconds)

    with Sandbox(numbers=1) as sandbox:
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            skip_waits(wavix, advance)
            sandbox.fail_next(429, retry_after=60)
            async with asyncio.timeout(10):
                assert (await wavix.numbers.get(1001)).id == 1001
    assert [type(error) for error in told] == [ArithmeticError]
