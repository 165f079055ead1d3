"""Waiters: how often they read, what they wait out, and what a timeout tells. In virtual time."""

from __future__ import annotations

import asyncio
import itertools
from math import inf
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.examples import number
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    ConfigurationError,
    InputError,
    NotFoundError,
    NumberDestination,
    NumberUpdate,
    RetryPolicy,
    WaitTimeoutError,
    WavixClient,
)
from wavix_async._aio import Clock
from wavix_async._http import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

OLD: dict[str, Any] = {"id": 1001, "sms_relay_url": None, "sms_enabled": True, "destination": []}
NEW = "https://example.com/sms"
CHANGE = NumberUpdate(sms_relay_url=NEW)


class Late:
    """An account in which a number shows a change from a time on; until then some reads fail."""

    def __init__(self, shows_after: float, fail: Callable[[int], Reply | None] = lambda _: None) -> None:
        self.shows_after = shows_after
        self.fail = fail
        self.reads: list[float] = []

    def __call__(self, seen: Seen) -> Reply:
        now = asyncio.get_running_loop().time()
        self.reads.append(now)
        failure = self.fail(len(self.reads))
        url = NEW if now >= self.shows_after else None
        return failure or Reply(200, number(**{**OLD, "sms_relay_url": url}))


def client(account: Late) -> WavixClient:
    stub: Any = StubSession(account)
    return WavixClient("key-for-waiters", base_url="https://api.wavix.test", retry=RetryPolicy.none(), session=stub)


def test_a_change_that_is_there_costs_one_read_and_no_wait() -> None:
    account = Late(0.0)

    async def main() -> None:
        shown = await client(account).numbers.wait_applied(1001, CHANGE)
        assert shown.sms_relay_url == NEW

    run_virtual(main())
    assert account.reads == [0.0]


def test_the_intervals_double_up_to_the_longest_and_are_jittered() -> None:
    account = Late(100.0)

    async def main() -> None:
        await client(account).numbers.wait_applied(1001, CHANGE, every=(2, 16), timeout=None)

    run_virtual(main())
    waits = [after - before for before, after in zip(account.reads, account.reads[1:], strict=False)]
    longest = [2, 4, 8, *[16] * (len(waits) - 3)]
    assert all(0.75 * most <= wait <= most for wait, most in zip(waits, longest, strict=True)), waits
    assert len({round(wait / most, 6) for wait, most in zip(waits, longest, strict=True)}) > 1, "no jitter"


def test_a_timeout_has_the_last_object_and_reads_once_more_just_before_it() -> None:
    account = Late(1000.0)

    async def main() -> None:
        with pytest.raises(WaitTimeoutError, match=r"Not within 60 s: number 1001 shows sms_relay_url") as told:
            await client(account).numbers.wait_applied(1001, CHANGE, timeout=60)
        assert told.value.last.sms_relay_url is None  # type: ignore[attr-defined]
        assert isinstance(told.value, TimeoutError)
        assert told.value.elapsed == pytest.approx(60, abs=0.6)

    run_virtual(main())
    assert 59 < account.reads[-1] <= 60


@pytest.mark.parametrize(
    "failure",
    [Reply(429, {}, {"Retry-After": "7"}), Reply(503, {}), Reply(500, {}), Reply(error=ConnectionResetError())],
    ids=["429", "503", "500", "reset"],
)
def test_a_passing_failure_does_not_end_the_wait(failure: Reply) -> None:
    account = Late(20.0, lambda read: failure if read in {1, 3} else None)

    async def main() -> None:
        shown = await client(account).numbers.wait_applied(1001, CHANGE)
        assert shown.sms_relay_url == NEW

    run_virtual(main())
    if failure.status == 429:
        assert account.reads[1] >= account.reads[0] + 7


def test_a_failure_that_lasts_is_in_the_timeout() -> None:
    account = Late(0.0, lambda _: Reply(503, {"message": "maintenance"}))

    async def main() -> None:
        with pytest.raises(WaitTimeoutError, match=r"The last read failed: HTTP 503 .*maintenance") as told:
            await client(account).numbers.wait_applied(1001, CHANGE, timeout=30)
        assert told.value.last is None
        assert told.value.__cause__ is not None

    run_virtual(main())


def test_a_pause_that_does_not_fit_ends_the_wait_at_once() -> None:
    account = Late(0.0, lambda _: Reply(429, {}, {"Retry-After": "3600"}))

    async def main() -> None:
        with pytest.raises(WaitTimeoutError):
            await client(account).numbers.wait_applied(1001, CHANGE, timeout=30)
        assert asyncio.get_running_loop().time() < 1

    run_virtual(main())


def test_a_failure_that_waiting_does_not_mend_ends_the_wait() -> None:
    account = Late(0.0, lambda _: Reply(404, {"message": "no such number"}))

    async def main() -> None:
        with pytest.raises(NotFoundError):
            await client(account).numbers.wait_applied(1001, CHANGE)

    run_virtual(main())
    assert len(account.reads) == 1


@pytest.mark.parametrize(("timeout", "most"), [(10, 10.6), (0.1, 0.2)])
def test_a_read_that_hangs_is_cut_off_at_the_timeout(timeout: float, most: float) -> None:
    account = Late(0.0, lambda _: Reply(before=500.0))

    async def main() -> None:
        with pytest.raises(WaitTimeoutError):
            await client(account).numbers.wait_applied(1001, CHANGE, timeout=timeout)
        assert asyncio.get_running_loop().time() <= most

    run_virtual(main())


def test_any_object_can_be_waited_for() -> None:
    states = iter(["REVIEW", "REVIEW", "VERIFIED"])

    async def read() -> str:
        return next(states)

    async def main() -> None:
        wavix = client(Late(0.0))
        assert await wavix.wait_for(read, lambda state: state != "REVIEW", every=(30, 900)) == "VERIFIED"
        assert asyncio.get_running_loop().time() >= 0.75 * 90

    run_virtual(main())


def test_a_timeout_of_the_callers_own_read_is_not_the_end_of_the_time() -> None:
    async def read() -> str:
        raise TimeoutError("the caller's own")

    async def main() -> None:
        with pytest.raises(TimeoutError, match="the caller's own") as told:
            await client(Late(0.0)).wait_for(read, bool, timeout=600)
        assert not isinstance(told.value, WaitTimeoutError)

    run_virtual(main())


class Events:
    """What a waiter listens to: events at given times; then the source fails, or never has another one."""

    def __init__(self, *times: float, fails: bool = False) -> None:
        self.times = list(times)
        self.fails = fails
        self.listening = 0

    async def wake(self) -> None:
        self.listening += 1
        try:
            now = asyncio.get_running_loop().time()
            # An event that came while the waiter did not listen is lost.
            self.times = [at for at in self.times if at > now]
            if not self.times:
                await asyncio.sleep(0 if self.fails else inf)
                raise RuntimeError("no more events")
            await asyncio.sleep(self.times[0] - now)
        finally:
            self.listening -= 1


async def reads_of(events: Events, done_at: float, lasting: float = 0.0, timeout: float = 600.0) -> list[float]:
    """Wait for something beside events, and return when it was read."""
    reads: list[float] = []

    async def read() -> bool:
        reads.append(asyncio.get_running_loop().time())
        await asyncio.sleep(lasting)
        return reads[-1] >= done_at

    await wait_for(read, bool, what="it is done", every=(16, 16), timeout=timeout, clock=Clock(), wake=events.wake)
    assert events.listening == 0
    return reads


def test_an_event_makes_a_waiter_read_at_once() -> None:
    assert run_virtual(reads_of(Events(3.0, 5.0), done_at=5.0)) == [0.0, 3.0, 5.0]


def test_an_event_that_comes_during_a_read_is_not_missed() -> None:
    assert run_virtual(reads_of(Events(1.0), done_at=2.0, lasting=2.0)) == [0.0, 2.0]


def test_events_that_fail_do_not_make_a_waiter_read_all_the_time() -> None:
    reads = run_virtual(reads_of(Events(3.0, fails=True), done_at=30.0))
    assert reads[:2] == [0.0, 3.0]
    assert all(after - before >= 0.75 * 16 for before, after in itertools.pairwise(reads[1:]))


def test_a_flood_of_events_makes_no_flood_of_reads() -> None:
    flood = Events(*(5 + i / 1000 for i in range(1000)))
    reads = run_virtual(reads_of(flood, done_at=6.0))
    assert reads[:2] == [0.0, 5.0]
    assert reads[-1] == pytest.approx(6.0, abs=0.2)
    assert all(after - before >= 0.099 for before, after in itertools.pairwise(reads))


def test_events_that_never_end_leave_the_timeout_as_it_is() -> None:
    async def main() -> float:
        clock, began = Clock(), asyncio.get_running_loop().time()
        with pytest.raises(WaitTimeoutError):
            await wait_for(
                lambda: asyncio.sleep(0, False),
                bool,
                what="it is done",
                every=(16, 16),
                timeout=10,
                clock=clock,
                wake=lambda: asyncio.sleep(0),
            )
        return asyncio.get_running_loop().time() - began

    assert run_virtual(main()) == pytest.approx(10.0, abs=0.6)


def test_an_event_just_before_the_end_leaves_the_last_read_its_time() -> None:
    assert run_virtual(reads_of(Events(1.0), done_at=9.0, timeout=10.0))[-1] == pytest.approx(9.5, abs=0.1)


@pytest.mark.parametrize("every", [5, (5,), (0, 5), (5, 1), ("1", "2"), (True, 2)])
def test_intervals_that_are_no_pair_of_seconds_are_refused(every: Any) -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match="every must be a pair of seconds"):
            await client(Late(0.0)).numbers.wait_applied(1001, CHANGE, every=every)

    run_virtual(main())


@pytest.mark.parametrize("timeout", [0, -1, "5", True])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(timeout: Any) -> None:
    async def main() -> None:
        with pytest.raises(ConfigurationError, match="timeout must be a number of seconds"):
            await client(Late(0.0)).numbers.wait_applied(1001, CHANGE, timeout=timeout)

    run_virtual(main())


async def is_enabled(_: object) -> bool:
    """Stand for a check that nothing awaits."""
    return False


@pytest.mark.parametrize(
    ("read", "done", "message", "reads"),
    [
        (5, bool, "read must be a function that makes the call each time, .* got int", 0),
        (lambda: 5, bool, "read must return a call to await, got int", 0),
        (None, 5, "done must be a plain function of the object, .* got int", 0),
        (None, is_enabled, "done must be a plain function of the object, .* got an async function", 0),
        (None, lambda number: is_enabled(number), "done must return True or False", 1),
    ],
)
def test_functions_that_could_not_work_are_refused(read: Any, done: Any, message: str, reads: int) -> None:
    account = Late(0.0)

    async def main() -> None:
        wavix = client(account)
        with pytest.raises(InputError, match=message):
            await wavix.wait_for(read or (lambda: wavix.numbers.get(1001)), done)

    run_virtual(main())
    assert len(account.reads) == reads


@pytest.mark.parametrize(
    ("number_id", "changes", "message"),
    [(0, CHANGE, "id must be"), (1001, NumberUpdate(), "is empty"), (1001, {"sms_relay_url": NEW}, "NumberUpdate")],
)
def test_nothing_to_wait_for_is_refused(number_id: int, changes: Any, message: str) -> None:
    account = Late(0.0)

    async def main() -> None:
        with pytest.raises(InputError, match=message):
            await client(account).numbers.wait_applied(number_id, changes)

    run_virtual(main())
    assert account.reads == []


def test_destinations_are_waited_for_in_any_order() -> None:
    ways = [{"destination": "1", "priority": 1, "transport": 1}, {"destination": "2", "priority": 2, "transport": 1}]
    account = Late(
        0.0, lambda _: Reply(200, number(**{**OLD, "destination": [{**way, "trunk_id": None} for way in ways[::-1]]}))
    )

    async def main() -> None:
        change = NumberUpdate(destinations=[NumberDestination(**way) for way in ways])  # type: ignore[arg-type]
        await client(account).numbers.wait_applied(1001, change)

    run_virtual(main())
    assert len(account.reads) == 1
