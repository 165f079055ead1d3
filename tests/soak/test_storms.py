"""How the limiter reacts to refusals that say nothing about a rate, and to clocks that have run for a long time."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.support.virtual import run_virtual
from wavix_async._ratelimit import Limiter, Pacer


@pytest.mark.req_13
@pytest.mark.parametrize("told", [6.0, 30.0])
@pytest.mark.parametrize("at", [0.6, 5.0, 100.0])
@pytest.mark.parametrize("demand", [5, 40])
def test_one_refusal_with_a_long_wait_does_not_slow_down_what_was_taken_before(
    demand: int, at: float, told: float
) -> None:
    """A server without limit, a load that it always took, and one "come back later": no reason to be slower."""
    rates: list[float] = []

    async def main() -> None:
        loop, limiter, dice = asyncio.get_running_loop(), Limiter(), random.Random(1)
        refused = False

        async def one() -> None:
            nonlocal refused
            while True:
                permit = await limiter.acquire()
                await asyncio.sleep(0.05)
                if refused or loop.time() < at:
                    return limiter.accepted(permit)
                refused = True
                limiter.refused(permit, told)

        async def come() -> None:
            for _ in range(int(demand * (at + told + 10))):
                calls.add(asyncio.ensure_future(one()))
                await asyncio.sleep(dice.expovariate(demand))

        calls: set[asyncio.Task[None]] = set()
        coming = asyncio.ensure_future(come())
        await asyncio.sleep(at + told + 0.5)
        while not coming.done():
            rates.append(limiter.snapshot().rate or float("inf"))
            await asyncio.sleep(0.5)
        await asyncio.gather(*calls)

    run_virtual(main())
    assert min(rates) >= 1.2 * demand


@pytest.mark.req_13
@pytest.mark.parametrize("uptime", [0.0, 5e6, 3e8], ids=["just started", "two months", "ten years"])
@pytest.mark.parametrize("rate", [0.5, 40.0, 5000.0])
def test_a_rate_is_kept_on_a_clock_that_has_run_for_long(rate: float, uptime: float) -> None:
    """The time of the next turn is a float: what it loses by being large must not add up."""
    pacer, now = Pacer(rate), uptime
    for _ in range(20_000):
        now = max(now, pacer.next_time(now))
        pacer.accepted(pacer.send(now))
    assert now - uptime == pytest.approx(20_000 / rate, rel=1e-3)
