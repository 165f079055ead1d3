"""One limiter in several event loops, each in a thread of its own."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.ratelimit.test_leased_limiter import Store, limiter_of
from tests.support.virtual import VirtualLoop
from wavix_async._aio import Clock
from wavix_async._ratelimit import Limiter, WaitTooLong

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

T = TypeVar("T")

pytestmark = [pytest.mark.req_31, pytest.mark.filterwarnings("error")]


class Thread:
    """An event loop in a thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end."""
        return self.start(work).result(10)

    def start(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Start a coroutine, and return the future of its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Block the loop, as synchronous code in a coroutine does."""
        over = threading.Event()
        self.loop.call_soon_threadsafe(over.wait, 20)
        try:
            yield
        finally:
            over.set()


class HandClock(Clock):
    """A clock that only the test moves: a busy machine changes no time."""

    def __init__(self) -> None:
        self.now = 100.0
        self._timers: list[tuple[float, asyncio.AbstractEventLoop, asyncio.Handle]] = []

    def of(self, loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
        return lambda: self.now

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]) -> asyncio.Handle:
        handle = asyncio.Handle(callback, (), loop)
        self._timers.append((when, loop, handle))
        return handle

    def move(self, to: float) -> None:
        self.now = to
        for when, loop, handle in list(self._timers):
            if when <= to:
                loop.call_soon_threadsafe(lambda handle=handle: handle.cancelled() or handle._run())


@contextmanager
def threads(number: int = 2) -> Iterator[list[Thread]]:
    runners = [asyncio.Runner() for _ in range(number)]
    ends = [threading.Event() for _ in runners]
    with ThreadPoolExecutor(number) as pool:
        found = [Thread(runner.get_loop()) for runner in runners]

        async def wait(thread: Thread) -> None:
            thread.end = asyncio.Event()  # type: ignore[attr-defined]
            ends[found.index(thread)].set()
            await thread.end.wait()  # type: ignore[attr-defined]

        done = [pool.submit(runner.run, wait(thread)) for runner, thread in zip(runners, found, strict=True)]
        for end in ends:
            end.wait(10)
        try:
            yield found
        finally:
            for thread, each, runner in zip(found, done, runners, strict=True):
                thread.loop.call_soon_threadsafe(thread.end.set)  # type: ignore[attr-defined]
                each.result(10)
                runner.close()


async def take(limiter: Limiter, deadline: float | None = None) -> float:
    """Take a permit and close it; return the permit."""
    limit = None if deadline is None else asyncio.get_running_loop().time() + deadline
    permit = await limiter.acquire(limit)
    limiter.accepted(permit)
    return permit


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_callers_of_all_loops_leave_in_the_order_in_which_they_came() -> None:
    limiter = Limiter(100.0)
    with threads(3) as loops:
        first = loops[0].run(take(limiter))
        waiting = []
        for place in range(15):
            waiting.append(loops[place % 3].start(take(limiter)))
            wait_until(lambda: limiter.snapshot().waiting + sum(each.done() for each in waiting) == len(waiting))
        permits = [each.result(10) for each in waiting]
    assert permits == sorted(permits)
    assert permits[-1] - first >= 0.149


def test_a_loop_that_is_blocked_delays_no_other() -> None:
    limiter = Limiter(20.0)
    with threads() as (blocked, free):
        free.run(take(limiter))
        first = blocked.start(take(limiter))
        wait_until(lambda: limiter.snapshot().waiting == 1)
        with blocked.blocked():
            permits = [each.result(10) for each in [free.start(take(limiter)) for _ in range(4)]]
        assert first.result(10) < min(permits)


def test_a_loop_that_ends_leaves_its_place_to_others() -> None:
    limiter = Limiter(2.0)
    with threads(1) as (stays,):
        with threads(1) as (ends,):
            ends.run(take(limiter))
            dropped = [ends.start(take(limiter)) for _ in range(20)]
            wait_until(lambda: limiter.snapshot().waiting == 20)
            last = stays.start(take(limiter))
        assert all(each.cancelled() for each in dropped)
        last.result(9)
    assert limiter.snapshot().waiting == limiter.snapshot().in_flight == 0


def test_answers_of_a_loop_that_died_are_not_waited_for() -> None:
    """The window of a limiter that still learns is full of requests whose loop was closed without a word."""
    limiter = Limiter()
    dead = asyncio.new_event_loop()

    async def fill() -> None:
        while limiter.try_acquire() is not None:
            pass

    with threads(1) as (alive,):
        alive.run(take(limiter))
        dead.run_until_complete(fill())
        waiting = alive.start(take(limiter))
        wait_until(lambda: limiter.snapshot().waiting == 1)
        dead.close()
        waiting.result(10)


def test_a_pause_found_in_one_loop_holds_and_fails_callers_of_another() -> None:
    events: list[tuple[str, float]] = []
    limiter = Limiter(1.0, on_event=lambda kind, value: events.append((kind, value)))
    with threads() as (one, other):
        permit = one.run(limiter.acquire())
        hurried, patient = (other.start(take(limiter, deadline)) for deadline in (8.0, None))
        wait_until(lambda: limiter.snapshot().waiting == 2)

        async def refuse() -> None:
            limiter.refused(permit, 60.0)

        one.run(refuse())
        with pytest.raises(WaitTooLong) as late:
            hurried.result(10)
        assert late.value.paused
        time.sleep(1.2)
        assert not patient.done()
        assert limiter.snapshot().paused_for > 50
        patient.cancel()
    assert [kind for kind, _ in events] == ["pause"]


def test_a_caller_that_is_cancelled_gives_its_permit_to_one_in_another_loop() -> None:
    clock = HandClock()
    limiter = Limiter(1.0, clock=clock)
    with threads() as (one, other):
        assert one.run(take(limiter)) == 100.0
        first = one.start(take(limiter))
        wait_until(lambda: limiter.snapshot().waiting == 1)
        second = other.start(take(limiter))
        wait_until(lambda: limiter.snapshot().waiting == 2)
        first.cancel()
        wait_until(lambda: limiter.snapshot().waiting == 1)
        clock.move(101.0)
        assert second.result(10) == 101.0
    assert limiter.snapshot().in_flight == 0


def test_the_clocks_of_two_loops_may_differ() -> None:
    limiter = Limiter(10.0)
    loop = VirtualLoop(start=5000.0)
    with threads(1) as (real,):
        real.run(take(limiter))

        async def virtual() -> float:
            assert limiter.snapshot().paused_for == pytest.approx(500.0, abs=10)
            with pytest.raises(WaitTooLong):
                await limiter.acquire(loop.time() + 400.0)
            return await limiter.acquire(loop.time() + 600.0)

        async def pause() -> None:
            limiter.pause(500.0)

        real.run(pause())
        loop.run_until_complete(virtual())
        assert loop.time() == pytest.approx(5500.0, abs=10)
    loop.close()


def test_a_loop_that_is_resumed_finds_its_callers_in_the_queue() -> None:
    limiter = Limiter(50.0)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()

    async def leave_waiting() -> None:
        await take(limiter)
        waiting.extend(asyncio.ensure_future(take(limiter)) for _ in range(3))
        await asyncio.sleep(0)

    waiting: list[asyncio.Future[float]] = []
    first.run_until_complete(leave_waiting())
    assert second.run_until_complete(take(limiter)) > 0
    assert limiter.snapshot().waiting == 0
    permits = first.run_until_complete(asyncio.wait_for(asyncio.gather(*waiting), 5))
    assert permits == sorted(permits)
    first.close()
    second.close()


def test_a_permit_that_a_loop_at_rest_gives_back_is_counted_once() -> None:
    clock = HandClock()
    limiter = Limiter(1.0, clock=clock)
    resting = asyncio.new_event_loop()

    async def wait() -> asyncio.Task[float]:
        await take(limiter)
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        return waiting

    async def end(task: asyncio.Task[float]) -> None:
        await asyncio.wait([task])

    async def close(permit: float) -> None:
        limiter.accepted(permit)

    waiting = resting.run_until_complete(wait())
    clock.move(101.0)
    resting.call_soon(resting.stop)
    resting.run_forever()  # the caller has its permit, and has not woken
    waiting.cancel()
    clock.move(103.0)
    with threads(1) as (other,):
        permit = other.run(limiter.acquire())
        assert limiter.snapshot().in_flight == 1
        resting.run_until_complete(end(waiting))
        resting.close()
        assert waiting.cancelled()
        assert limiter.snapshot().in_flight == 1
        other.run(close(permit))
        assert limiter.snapshot().in_flight == 0


def test_a_call_thrown_away_after_its_loop_is_no_error() -> None:
    limiter = Limiter(50.0)

    async def leave() -> None:
        permit = await limiter.acquire()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            limiter.no_answer(permit)

    loop = asyncio.new_event_loop()
    task = loop.create_task(leave())
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    task.get_coro().close()  # type: ignore[union-attr]
    del task
    gc.collect()
    assert asyncio.run(take(limiter)) > 0
    assert limiter.snapshot().in_flight == 0


@pytest.mark.parametrize("calls", [40])
def test_several_loops_lease_their_slots_together(calls: int) -> None:
    store = Store()
    limiter = limiter_of(store)

    async def work() -> list[float]:
        async def one() -> list[float]:
            return [await take(limiter) for _ in range(calls // 4)]

        return [permit for permits in await asyncio.gather(*(one() for _ in range(4))) for permit in permits]

    with threads(3) as loops:
        began = time.monotonic()
        permits = sorted(each.result(20) for each in [thread.start(work()) for thread in loops])
        elapsed = time.monotonic() - began
        assert limiter.snapshot().source == "shared"
        loops[1].run(limiter.close())
    assert sum(map(len, permits)) == 3 * calls
    assert elapsed >= (3 * calls - 1) / limiter.snapshot().rate - 0.3  # type: ignore[operator]


def test_a_loop_that_ends_while_it_asks_the_store_leaves_the_question_to_others() -> None:
    store = Store()
    limiter = limiter_of(store)
    with threads(1) as (stays,):
        with threads(1) as (ends,):
            ends.run(take(limiter))
            store.hangs = True
            ends.start(take(limiter))
            wait_until(lambda: limiter.snapshot().waiting == 1)
            waiting = stays.start(take(limiter))
            wait_until(lambda: limiter.snapshot().waiting == 2)
            store.hangs = False
        waiting.result(10)
        stays.run(limiter.close())


def test_a_pause_that_ends_early_ends_in_all_loops() -> None:
    limiter = Limiter()

    async def send(number: int) -> list[float]:
        return [await limiter.acquire() for _ in range(number)]

    async def close(permits: list[float]) -> None:
        for permit in permits:
            limiter.accepted(permit)

    async def refuse(permit: float) -> float:
        return limiter.refused(permit, 60.0) - asyncio.get_running_loop().time()

    with threads() as (one, other):
        first, *sent = one.run(send(5))
        others = other.run(send(3))
        assert one.run(refuse(first)) == pytest.approx(60.0, abs=5)
        waiting = [other.start(take(limiter)), one.start(take(limiter))]
        wait_until(lambda: limiter.snapshot().waiting == 2)
        assert limiter.snapshot().paused_for > 50
        one.run(close(sent))
        assert not any(each.done() for each in waiting)
        other.run(close(others))  # the last answers of the round trip: the refusal was a stray
        for each in waiting:
            each.result(10)
        assert limiter.snapshot().paused_for == 0.0
