"""The one timer of all attempts: when it ends them, and what it does about time in which the process did not run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.virtual import VirtualLoop, run_virtual
from wavix_async._aio import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER = float("inf")


def stop_for(seconds: float) -> None:
    """Let time pass without the event loop."""
    loop: Any = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._clock.now += seconds


async def attempt(watchdog: Watchdog, seconds: float, latest: float = NEVER) -> float:
    """Wait until the watchdog ends this; return the time."""
    loop = asyncio.get_running_loop()
    watched = watchdog.enter(loop.time() + seconds, latest)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        assert watched.timed_out()
    finally:
        watchdog.leave(watched)
    return loop.time()


def watch(main: Callable[[Watchdog], Any]) -> Any:
    async def run() -> Any:
        return await main(Watchdog(asyncio.get_running_loop()))

    return run_virtual(run())


@pytest.mark.req_11
def test_each_attempt_ends_at_its_time() -> None:
    async def main(watchdog: Watchdog) -> list[float]:
        return await asyncio.gather(*(attempt(watchdog, seconds) for seconds in (30, 0.1, 7, 0.1, 0.26)))

    assert watch(main) == pytest.approx([30, 0.1, 7, 0.1, 0.26], abs=0.001)


@pytest.mark.req_11
@pytest.mark.parametrize("begins", [0.01, 0.2, 0.24, 0.9])
@pytest.mark.parametrize("stopped", [0.5, 3.0, 3600.0])
def test_time_in_which_the_process_did_not_run_does_not_count(begins: float, stopped: float) -> None:
    async def main(watchdog: Watchdog) -> list[float]:
        asyncio.get_running_loop().call_later(begins, stop_for, stopped)
        return await asyncio.gather(attempt(watchdog, 1.0), attempt(watchdog, 30.0))

    first, second = watch(main)
    assert 1 + stopped <= first <= 1 + stopped + 0.26
    assert 30 + stopped <= second <= 30 + stopped + 0.26


@pytest.mark.req_11
def test_the_deadline_of_a_call_is_time_on_the_wall() -> None:
    """It has a moment more for answers that came meanwhile."""

    async def main(watchdog: Watchdog) -> list[float]:
        asyncio.get_running_loop().call_later(0.5, stop_for, 3.0)
        return await asyncio.gather(
            attempt(watchdog, 1.0, 1.0), attempt(watchdog, 1.0, 3.8), attempt(watchdog, 1.0, 99.0)
        )

    ended, cut, moved = watch(main)
    assert 3.5 < ended <= 3.55
    assert cut == pytest.approx(3.8)
    assert 4.0 <= moved <= 4.3


@pytest.mark.req_11
def test_an_event_loop_that_is_always_late_still_has_timeouts() -> None:
    async def main(watchdog: Watchdog) -> float:
        async def block() -> None:
            while True:
                await asyncio.sleep(0)
                stop_for(0.2)

        blocking = asyncio.ensure_future(block())
        ended = await attempt(watchdog, 1.0)
        blocking.cancel()
        return ended

    assert watch(main) < 10


@pytest.mark.req_22
def test_without_attempts_there_is_no_timer() -> None:
    """An idle process is not woken."""

    async def main(watchdog: Watchdog) -> None:
        for _ in range(3):
            watched = watchdog.enter(30.0)
            watchdog.leave(watched)
        await asyncio.sleep(1)
        loop: Any = asyncio.get_running_loop()
        assert loop._scheduled == []
        assert len(watchdog) == 0

    watch(main)
