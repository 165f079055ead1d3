"""Leased slots: the arithmetic without a loop, and several limiters on one store, all in virtual time."""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import VirtualLoop, run_virtual
from wavix_async import ClientClosedError, ConfigurationError, PauseEvent, WavixClient
from wavix_async._ratelimit.headers import RateHint
from wavix_async._ratelimit.leased_limiter import (
    ALIVE,
    FRESH,
    PATIENCE,
    PROBE,
    Ask,
    Clock,
    Grant,
    Lease,
    LeasedGate,
    LeasedLimiter,
    StoreOutage,
)
from wavix_async._ratelimit.limiter import WaitTooLong

AHEAD = 1_700_000_000.0  # of the store's clock


def now() -> float:
    return asyncio.get_running_loop().time()


class Store:
    """What several processes share: the arithmetic of the script in `redis.py`, and ways to be out of order."""

    def __init__(self, rate: float = 100.0, *, latency: Callable[[], float] = lambda: 0.001) -> None:
        self.rate = rate
        self.latency = latency
        self.asks: list[Ask] = []
        self.hangs = False
        self.error: Exception | None = None
        self.forget()

    def forget(self) -> None:
        """Start anew, as a server does that keeps nothing on disk."""
        self.due = self.pause = self.granted = self.settled = -math.inf
        self.seen: dict[object, float] = {}

    async def lease(self, who: object, ask: Ask) -> Grant:
        latency = self.latency()
        await asyncio.sleep(latency / 2)
        if self.hangs:
            await asyncio.sleep(3600)
        if self.error is not None:
            raise self.error
        self.asks.append(ask)
        grant = self.answer(who, ask, now() + AHEAD)
        await asyncio.sleep(latency / 2)
        return grant

    def answer(self, who: object, ask: Ask, at: float) -> Grant:
        if ask.pause:
            self.pause = max(self.pause, at + ask.pause)
        settle_for = PROBE + 2 * PATIENCE
        if ask.back and at - max(self.granted, self.settled) > settle_for:
            self.settled = at + settle_for
        settle = max(self.settled - at, 0.0)
        first, slots, mine = 0.0, 0 if settle else ask.slots, at
        if not settle:
            self.granted = at
        if slots:
            first = max(self.due, self.pause, at + ask.ahead)
            mine = self.due = first + slots / self.rate
        self.seen = {other: until for other, until in self.seen.items() if until >= at - ALIVE}
        self.seen[who] = mine
        active = sum(until > at - 1.0 for until in self.seen.values())
        return Grant(at, first, slots, max(self.pause - at, 0.0), len(self.seen), active, settle)


class Access:
    """One process's way to the store."""

    def __init__(self, store: Store, processes: int = 1) -> None:
        self.store = store
        self.rate = store.rate
        self.processes = processes
        self.closed = 0

    async def lease(self, group: str, ask: Ask) -> Grant:
        return await self.store.lease((self, group), ask)

    async def close(self) -> None:
        self.closed += 1


def limiter_of(store: Store, events: list[Any] | None = None, processes: int = 1) -> LeasedLimiter:
    tell = None if events is None else lambda kind, value: events.append((kind, value))
    return LeasedLimiter(Access(store, processes), "default", StoreOutage(), on_event=tell)


async def use(limiter: LeasedLimiter, sent: list[float], seconds: float = 0.02) -> None:
    permit = await limiter.acquire()
    assert not limiter.is_paused()
    sent.append(now())
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        limiter.no_answer(permit)
        raise
    limiter.accepted(permit)


async def keep_using(limiter: LeasedLimiter, sent: list[float], until: float, seconds: float = 0.02) -> None:
    while now() < until:
        await use(limiter, sent, seconds)


async def crowd(limiters: list[LeasedLimiter], until: float, callers: int = 20) -> list[list[float]]:
    """Let everybody call on and on; return when each limiter's requests left."""
    sent: list[list[float]] = [[] for _ in limiters]
    await asyncio.gather(
        *(
            keep_using(limiter, mine, until)
            for limiter, mine in zip(limiters, sent, strict=True)
            for _ in range(callers)
        )
    )
    return sent


def most(times: list[float], seconds: float = 1.0) -> int:
    """Return the most in any span of so many seconds."""
    times = sorted(times)
    first = found = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        found = max(found, last - first + 1)
    return found


async def close(*limiters: LeasedLimiter) -> None:
    """Close, and look whether anything is left: a task, or a timer."""
    for limiter in limiters:
        await limiter.close()
        await limiter.close()
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert timers == []


def grant(at: float, first: float, slots: int, **more: Any) -> Grant:
    return Grant(at, first, slots, **{"pause": 0.0, "processes": 1, "active": 1, **more})


def leased(lease: Lease, at: float, waiting: int, due: float, **more: Any) -> None:
    """Ask and hear in the same instant; the two clocks are the same."""
    ask = lease.ask(at, waiting, -math.inf)
    lease.hear(ask, at, grant(at, due, ask.slots, **more))


# --- the clock ---


@given(
    st.floats(-1e6, 1e9),
    st.lists(st.tuples(st.floats(1e-4, 0.5), st.floats(0.0, 1.0), st.floats(0.0, 5.0)), min_size=1, max_size=30),
)
def test_the_stores_clock_is_known_to_half_the_shortest_round_trip(
    offset: float, trips: list[tuple[float, float, float]]
) -> None:
    clock, time = Clock(), 100.0
    for length, part, gap in trips:
        clock.hear(time, time + length, time + part * length + offset)
        time += length + gap
    shortest = min(length for length, _, _ in trips)
    assert abs(clock.local(time + offset) - time) <= shortest / 2 + 2e-4 * (time - 100.0) + 1e-5


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_a_clock_that_is_set_is_believed_at_once(step: float) -> None:
    clock = Clock()
    clock.hear(0.0, 0.01, 1000.0)
    clock.hear(1.0, 1.01, 1001.0 + step)
    assert clock.local(1002.0 + step) == pytest.approx(2.0, abs=0.01)


# --- the lease ---


def test_as_many_slots_as_callers_wait_and_no_more_than_ones_part_for_a_while() -> None:
    lease = Lease(100.0)
    assert lease.ask(0.0, 3, -math.inf).slots == 3
    assert lease.ask(0.0, 500, -math.inf).slots == 20
    leased(lease, 0.0, 1, 0.0, active=4)
    assert lease.ask(0.0, 500, -math.inf).slots == 5
    assert lease.ask(0.0, 2, -math.inf).slots == 1, "one is in hand"
    slow = Lease(0.5)
    assert slow.ask(0.0, 9, -math.inf).slots == 1


def test_a_late_slot_is_lost_and_not_made_good() -> None:
    lease = Lease(100.0)
    leased(lease, 0.0, 5, 0.0)
    assert lease.usable(0.019, -math.inf)
    assert len(lease) == 5
    assert lease.usable(0.035, -math.inf)
    assert len(lease) == 3, "those due at 0.02, 0.03, 0.04"
    assert not lease.usable(0.1, -math.inf)


@pytest.mark.req_06
def test_a_pause_voids_the_slots_in_it() -> None:
    lease = Lease(100.0)
    leased(lease, 0.0, 10, 0.0)
    assert lease.usable(0.0, 0.055)
    assert lease.first() == pytest.approx(0.06)


def test_only_the_slot_of_the_ticket_is_given_back() -> None:
    gate = LeasedGate(100.0)
    leased(gate.lease, 0.0, 4, 0.0)
    permits = [gate.send(time) for time in (0.0, 0.011, 0.022)]
    gate.unsend(permits[1])
    assert gate.lease.first() == pytest.approx(0.01)
    gate.unsend(permits[0])
    assert not gate.lease.usable(0.06, -math.inf), "an old slot does no good when it is given back late"
    gate.unsend(0.5)  # a ticket of before, of which nothing is known
    assert len(gate.lease) == 0


def test_when_the_store_is_asked() -> None:
    lease, never = Lease(100.0), -math.inf
    assert lease.ask_at(0.0, 0, never) == math.inf, "nobody needs anything"
    assert lease.ask_at(0.0, 1, never) == 0.0
    leased(lease, 0.0, 10, 0.0)
    assert lease.ask_at(0.0, 10, never) == math.inf, "one slot for each"
    assert lease.ask_at(0.0, 11, never) == pytest.approx(0.04), "shortly before the last is due"
    assert lease.ask_at(0.0, 0, 2.0) == 0.0, "a pause is news that cannot wait"
    lease.hear(lease.ask(0.0, 0, 2.0), 0.0, grant(0.0, 0.0, 0, pause=2.0))
    assert lease.ask_at(0.0, 0, 2.0) == math.inf
    assert lease.ask_at(0.0, 5, 2.0) == pytest.approx(1.95)
    assert lease.ask(0.0, 5, 2.0).slots == 0
    assert lease.ask(1.95, 5, 2.0).slots == 5


@pytest.mark.req_06
def test_a_slot_that_is_far_away_is_confirmed_before_it_is_used() -> None:
    gate = LeasedGate(0.5)
    leased(gate.lease, 0.0, 1, 3.0)
    assert gate.next_time(0.0) == math.inf
    assert gate.earliest(0.0) == 3.0
    at = gate.lease.ask_at(0.0, 1, -math.inf)
    assert 3.0 - FRESH < at < 3.0
    leased(gate.lease, at, 1, 0.0)
    assert gate.next_time(at) == 3.0
    assert len(gate.lease) == 1


def test_a_far_store_is_asked_earlier_and_for_slots_that_come_in_time() -> None:
    lease = Lease(100.0)
    ask = lease.ask(0.0, 10, -math.inf)
    lease.hear(ask, 0.08, grant(0.04, 0.1, 10))
    assert lease.ask_at(0.08, 20, -math.inf) == pytest.approx(0.19 - 0.16)
    assert lease.ask(0.08, 20, -math.inf).ahead == pytest.approx(0.05)


def test_who_is_gone_for_a_moment_still_counts() -> None:
    lease = Lease(100.0, processes=3)
    assert lease.share == pytest.approx(100 / 3)
    leased(lease, 0.0, 1, 0.0, processes=4)
    leased(lease, 5.0, 1, 0.0, processes=1)
    assert lease.share == 25.0
    leased(lease, 5.0 + ALIVE, 1, 0.0, processes=2)
    assert lease.share == 50.0


def test_without_the_store_a_part_of_the_rate_from_the_next_slot_on() -> None:
    gate = LeasedGate(100.0)
    leased(gate.lease, 0.0, 2, 0.0, processes=4)
    gate.send(0.0)
    gate.lose(0.001)
    times = []
    for _ in range(3):
        times.append(gate.next_time(0.001))
        gate.send(times[-1])
    assert times == pytest.approx([0.01, 0.05, 0.1]), "and no more than three in a tenth of a second"
    assert gate.pace() == 25.0
    assert gate.lease.ask_at(0.1, 1, -math.inf) == pytest.approx(0.001 + PROBE)
    leased(gate.lease, 0.6, 1, 0.0, processes=4)
    gate.hear(gate.lease.ask(0.6, 5, -math.inf), 0.6, grant(0.6, 0.6, 4))
    assert gate.pace() == 100.0


def test_the_slots_pace_and_nothing_besides() -> None:
    gate = LeasedGate(100.0)
    leased(gate.lease, 0.0, 3, 0.0)
    gate.send(0.008)
    assert gate.next_time(0.008) == pytest.approx(0.01), "who was late once is not late from then on"
    gate.lose(0.009)
    gate.send(gate.next_time(0.009))
    gate.lose(0.4)
    gate.lease.processes = 50
    gate.lose(0.41)
    gate.send(0.5)
    assert gate.next_time(0.5) == pytest.approx(1.0)
    gate.hear(Ask(0.6, 1, 0.0, 0.0, True), 0.6, grant(0.6, 0.62, 1))
    assert gate.next_time(0.6) == pytest.approx(0.62), "nor by the pace of before"


def test_what_headers_say_is_left_counts_besides_the_lease() -> None:
    gate = LeasedGate(100.0)
    leased(gate.lease, 0.0, 20, 0.0)
    gate.allowance.heed(0.0, RateHint(remaining=2, reset=1.0), 0)
    left, time = [], 0.0
    while (time := max(gate.next_time(time), time)) < 0.3:
        left.append(gate.send(time))
        time += 0.001
    assert len(left) <= 2


# --- several limiters ---


@pytest.mark.parametrize("latency", [0.0002, 0.01, 0.05])
@pytest.mark.parametrize("late", [0.0, 0.01])
def test_four_share_a_rate_and_use_it(latency: float, late: float) -> None:
    chance = random.Random(1)
    store = Store(latency=lambda: chance.uniform(0.5, 1.5) * latency)

    async def main() -> None:
        limiters = [limiter_of(store) for _ in range(4)]
        sent = await crowd(limiters, 10.0)
        together = list(chain(*sent))
        assert most(together) <= 103
        assert len(together) >= 950
        assert all(0.8 * 250 <= len(mine) <= 1.2 * 250 for mine in sent), "everybody has a part"
        assert len(store.asks) <= 0.3 * len(together)
        assert limiters[0].snapshot().source == "shared"
        assert limiters[0].snapshot().rate == 100.0
        await close(*limiters)

    run_virtual(main(), late=lambda: chance.uniform(0.0, late))


def test_many_processes_and_a_slow_rate() -> None:
    store = Store(5.0)

    async def main() -> None:
        limiters = [limiter_of(store) for _ in range(20)]
        sent = await crowd(limiters, 40.0, callers=2)
        assert most(list(chain(*sent))) <= 6
        assert len(list(chain(*sent))) >= 0.95 * 5 * 40
        assert all(len(mine) >= 5 for mine in sent)
        await close(*limiters)

    run_virtual(main())


def test_one_of_four_alone_has_all_of_it() -> None:
    store = Store()

    async def main() -> None:
        limiters = [limiter_of(store) for _ in range(4)]
        await asyncio.gather(*(use(limiter, []) for limiter in limiters))
        await asyncio.sleep(1.5)
        (sent,) = await crowd(limiters[:1], now() + 5.0)
        assert len([time for time in sent if time < 6.55]) == pytest.approx(500, abs=10)
        await close(*limiters)

    run_virtual(main())


def test_who_calls_one_after_the_other_takes_nothing_from_others() -> None:
    store = Store()

    async def main() -> None:
        slow, busy = limiter_of(store), limiter_of(store)
        few: list[float] = []
        many: list[float] = []
        await asyncio.gather(keep_using(slow, few, 5.0, 0.2), *(keep_using(busy, many, 5.0) for _ in range(20)))
        assert len(few) >= 15
        assert len(few) + len(many) >= 490
        await close(slow, busy)

    run_virtual(main())


@pytest.mark.req_06
def test_the_pause_of_one_is_that_of_all() -> None:
    store, events, others = Store(), [], []

    async def main() -> None:
        refused, other = limiter_of(store, events), limiter_of(store, others)
        sent: list[list[float]] = [[], []]
        tasks = [
            asyncio.create_task(keep_using(limiter, mine, 6.0))
            for limiter, mine in zip((refused, other), sent, strict=True)
            for _ in range(10)
        ]
        await asyncio.sleep(1.0)
        refused.refused(await refused.acquire(), 2.0)
        paused = now()
        newcomer, late = limiter_of(store), []
        asking = asyncio.create_task(use(newcomer, late))
        await asyncio.gather(*tasks, asking)
        assert not [time for time in sent[0] if paused < time < paused + 2.0]
        assert not [time for time in sent[1] if paused + FRESH < time < paused + 2.0]
        assert paused + 2.0 <= late[0] < paused + 2.5, "it had not heard of the refusal, nor sent anything yet"
        after = [time for time in chain(*sent, late) if time >= paused + 2.0]
        assert most(after, 0.1) <= 11
        assert len(after) >= 0.95 * 100 * (6.0 - paused - 2.0)
        await close(refused, other, newcomer)

    run_virtual(main())
    assert events == [("pause", 2.0)]
    assert [kind for kind, _ in others] == ["pause"]
    assert 2.0 - FRESH < others[0][1] <= 2.0


def test_a_pause_is_told_although_nobody_waits_any_more() -> None:
    store = Store()

    async def main() -> None:
        limiter = limiter_of(store)
        limiter.refused(await limiter.acquire(), 5.0)
        await asyncio.sleep(0.1)
        assert store.pause == pytest.approx(AHEAD + now() + 4.9, abs=0.01)
        await close(limiter)

    run_virtual(main())


@pytest.mark.req_09
def test_a_pause_that_another_began_fails_who_cannot_wait_so_long() -> None:
    store = Store()

    async def main() -> None:
        store.pause = now() + AHEAD + 60.0
        limiter = limiter_of(store)
        with pytest.raises(WaitTooLong) as late:
            await limiter.acquire(now() + 10.0)
        assert late.value.paused
        assert late.value.wait == pytest.approx(60.0, abs=0.01)
        assert now() < 0.1
        await close(limiter)

    run_virtual(main())


# --- the store gone ---


def shared_log(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "shared limit" in record.getMessage()]


@pytest.mark.parametrize("how", ["fails", "hangs"])
def test_the_store_is_gone_and_comes_back(how: str, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()

    async def main() -> None:
        limiters = [limiter_of(store) for _ in range(4)]
        running = asyncio.create_task(crowd(limiters, 25.0))
        await asyncio.sleep(5.0)
        store.error = ConnectionError("redis://:secret@host") if how == "fails" else None
        store.hangs = how == "hangs"
        await asyncio.sleep(1.0)
        state = limiters[0].snapshot()
        assert (state.rate, state.source) == (25.0, "configured")
        await asyncio.sleep(14.0)  # longer than any process is remembered
        store.forget()
        store.error, store.hangs = None, False
        together = list(chain(*await running))
        gone = [time for time in together if 5.5 <= time < 20.0]
        assert most(together) <= 108
        assert 0.95 * 1450 <= len(gone) <= 1460
        assert most([time for time in together if time > 22.0]) <= 103
        assert len([time for time in together if time > 22.0]) >= 0.95 * 300
        assert all(limiter.snapshot().source == "shared" for limiter in limiters)
        await close(*limiters)

    run_virtual(main())
    assert shared_log(caplog) == ["shared limit out of reach"] * 4 + ["shared limit back"] * 4
    assert caplog.records[0].rate == 25.0  # type: ignore[attr-defined]
    assert "secret" not in caplog.text + str([record.__dict__ for record in caplog.records])


def test_who_alone_was_cut_off_does_not_wait_for_the_others() -> None:
    store = Store()

    async def main() -> None:
        lost, *others = [limiter_of(store) for _ in range(3)]
        running = asyncio.create_task(crowd([lost, *others], 6.0))
        await asyncio.sleep(2.0)
        access = lost._limit
        assert isinstance(access, Access)
        access.store = Store()
        access.store.error = OSError()
        await asyncio.sleep(2.0)
        assert lost.snapshot().source == "configured"
        access.store = store
        await asyncio.sleep(PROBE + 0.1)
        assert lost.snapshot().source == "shared"
        await running
        await close(lost, *others)

    run_virtual(main())


def test_a_store_that_was_never_there_costs_the_first_call_a_moment(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.hangs = True

    async def main() -> None:
        limiter = limiter_of(store, processes=5)
        sent: list[float] = []
        await use(limiter, sent)
        assert sent[0] == pytest.approx(PATIENCE)
        await keep_using(limiter, sent, 3.0, 0.0)
        assert most(sent) <= 21
        await close(limiter)

    run_virtual(main())
    assert shared_log(caplog) == ["shared limit out of reach"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


# --- ends ---


@pytest.mark.req_10
def test_cancelled_callers_leave_nothing_behind() -> None:
    store = Store()

    async def main() -> None:
        limiter = limiter_of(store)
        tasks = [asyncio.create_task(use(limiter, [])) for _ in range(50)]
        await asyncio.sleep(0.0)
        for task in tasks[:10]:
            task.cancel()  # while the store is asked for the first time
        await asyncio.sleep(0.105)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (limiter.snapshot().waiting, limiter.snapshot().in_flight) == (0, 0)
        asked = len(store.asks)
        await asyncio.sleep(10.0)
        assert len(store.asks) <= asked + 1, "who needs nothing asks for nothing"
        assert len(asyncio.all_tasks()) == 1
        await close(limiter)

    run_virtual(main())


@pytest.mark.req_10
def test_closing_ends_the_question_and_lets_who_waits_go_on() -> None:
    store = Store()
    store.hangs = True

    async def main() -> None:
        limiter = limiter_of(store)
        tasks = [asyncio.create_task(use(limiter, [])) for _ in range(3)]
        await asyncio.sleep(0.1)
        await limiter.close()
        await asyncio.gather(*tasks)
        assert now() < 0.2
        await close(limiter)

    run_virtual(main())


@pytest.mark.req_10
def test_a_question_that_somebody_cancels_lets_nobody_wait() -> None:
    store = Store()
    store.hangs = True

    async def main() -> None:
        limiter = limiter_of(store)
        waiting = asyncio.create_task(use(limiter, []))
        await asyncio.sleep(0.1)
        (asking,) = asyncio.all_tasks() - {waiting, asyncio.current_task()}
        asking.cancel()
        await waiting
        assert now() == pytest.approx(0.12)
        await close(limiter)

    run_virtual(main())


@pytest.mark.req_22
def test_a_second_loop_asks_anew_and_uses_nothing_of_the_first() -> None:
    store = Store()
    limiter = limiter_of(store)
    dead = VirtualLoop(start=500.0)
    tasks: list[asyncio.Task[None]] = []

    async def leave_waiting() -> None:
        await use(limiter, [])
        store.hangs = True
        tasks.extend(asyncio.create_task(use(limiter, [])) for _ in range(5))
        await asyncio.sleep(0.05)

    dead.run_until_complete(leave_waiting())
    store.hangs = False
    store.forget()

    async def main() -> None:
        sent: list[float] = []
        await asyncio.gather(*(use(limiter, sent) for _ in range(10)))
        assert len(sent) == 10
        assert most(sent, 0.05) <= 6
        assert limiter.snapshot().source == "shared"
        await close(limiter)

    run_virtual(main())
    for task in asyncio.all_tasks(dead):
        task.cancel()
    dead.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    dead.close()
    assert limiter.snapshot().source != "learned"


ends = st.tuples(st.floats(0.0, 3.0), st.sampled_from(["accept", "refuse", "cancel", "late", "unused", "renew"]))
troubles = st.tuples(st.floats(0.0, 3.0), st.sampled_from(["fail", "hang", "well", "forget"]))


@pytest.mark.req_06
@pytest.mark.req_10
@settings(max_examples=60, deadline=None)
@given(st.lists(ends, max_size=60), st.lists(troubles, max_size=4), st.sampled_from([3.0, 40.0]), st.integers(0, 9))
def test_whatever_becomes_of_the_store_every_caller_has_one_end(
    plan: list[tuple[float, str]], trouble: list[tuple[float, str]], rate: float, seed: int
) -> None:
    chance = random.Random(seed)
    store = Store(rate, latency=lambda: chance.choice([0.0002, 0.003, 0.1]))

    async def caller(limiter: LeasedLimiter, delay: float, end: str) -> str:
        await asyncio.sleep(delay)
        position = limiter.join_queue()
        try:
            permit = await limiter.acquire(now() + 0.5 if end == "late" else None, position)
        except WaitTooLong:
            return "late"
        assert not limiter.is_paused()
        if end == "renew":
            await asyncio.sleep(0.05)
            renewed = limiter.renew(permit, position)
            permit = renewed if renewed is not None else await limiter.acquire(None, position)
        if end == "unused":
            limiter.refund(permit)
            return "unused"
        try:
            await asyncio.sleep(0.03)
        except asyncio.CancelledError:
            limiter.no_answer(permit)
            raise
        if end == "refuse":
            limiter.refused(permit, 0.7)
        else:
            limiter.accepted(permit)
        return "sent"

    def upset(what: str) -> None:
        store.hangs = what == "hang"
        store.error = OSError() if what == "fail" else None
        if what == "forget":
            store.forget()

    async def main() -> None:
        limiters = [limiter_of(store) for _ in range(3)]
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(at, upset, what) for at, what in trouble]
        tasks = [asyncio.create_task(caller(chance.choice(limiters), *step)) for step in plan]
        for task, (delay, end) in zip(tasks, plan, strict=True):
            if end == "cancel":
                timers.append(loop.call_later(delay + chance.choice([0.0001, 0.01, 0.2]), task.cancel))
        async with asyncio.timeout(300):
            said = await asyncio.gather(*tasks, return_exceptions=True)
        for each in said:
            assert each in {"sent", "late", "unused"} or isinstance(each, asyncio.CancelledError), each
        for limiter in limiters:
            assert (limiter.snapshot().waiting, limiter.snapshot().in_flight) == (0, 0)
        for timer in timers:
            timer.cancel()
        await close(*limiters)

    run_virtual(main())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([20.0, 100.0, 400.0]), st.integers(1, 8))
def test_however_callers_come_and_go_the_sum_is_paced(seed: int, rate: float, processes: int) -> None:
    chance = random.Random(seed)
    store = Store(rate, latency=lambda: chance.uniform(0.0002, 0.02))
    sent: list[float] = []

    async def come_and_go(limiter: LeasedLimiter) -> None:
        while now() < 4.0:
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.3]) * chance.random())
            caller = asyncio.create_task(use(limiter, sent, chance.choice([0.001, 0.1])))
            if chance.random() < 0.1:
                await asyncio.sleep(chance.random() * 0.05)
                caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)

    async def main() -> None:
        limiters = [limiter_of(store) for _ in range(processes)]
        await asyncio.gather(*(come_and_go(limiter) for limiter in limiters for _ in range(12)))
        await close(*limiters)

    run_virtual(main(), late=lambda: chance.uniform(0.0, 0.005))
    assert most(sent) <= rate * 1.02 + 2


# --- the client ---


class Source:
    def __init__(self, store: Store) -> None:
        self.access = Access(store)
        self.accounts: list[str] = []

    def open_limit(self, account: str) -> Access:
        self.accounts.append(account)
        return self.access


KEY = "key-0f9c-that-nobody-may-see"


def client_of(source: Source, session: StubSession, **more: Any) -> WavixClient:
    stub: Any = session
    return WavixClient(KEY, base_url="https://api.wavix.test", session=stub, rate=source, **more)


@pytest.mark.req_24
def test_the_account_is_named_without_its_key() -> None:
    store = Store()
    sources = [Source(store) for _ in range(4)]
    clients: list[Any] = [
        WavixClient(KEY, rate=sources[0]),
        WavixClient(KEY, base_url="https://api.wavix.com/", rate=sources[1]),
        WavixClient(KEY + "1", rate=sources[2]),
        WavixClient(KEY, base_url="http://127.0.0.1:1", rate=sources[3]),
    ]
    first, same, other_key, other_place = (source.accounts[0] for source in sources)
    assert len(clients) == 4
    assert first == same
    assert len({first, other_key, other_place}) == 3
    assert KEY not in first
    assert len(first) == 16


def test_a_client_leases_pauses_and_closes() -> None:
    events: list[Any] = []

    async def main() -> None:
        store = Store(50.0)
        source = Source(store)
        refusals = iter([Reply(429, headers={"Retry-After": "2"})])
        session = StubSession(lambda seen: next(refusals, Reply()) if seen.at > 0.5 else Reply(), latency=0.01)
        async with client_of(source, session, observers=[events.append]) as client:
            await asyncio.gather(*(client.numbers.get(number) for number in range(1, 101)))
            assert client.limits.snapshot().source == "shared"
        assert most(list(session.times)) <= 51
        assert session.statuses == {200: 100, 429: 1}
        assert now() == pytest.approx(2.0 + 2.0, abs=0.3)
        assert store.pause > -math.inf
        assert source.access.closed == 1
        with pytest.raises(ClientClosedError):
            await client.numbers.get(1)
        await client.close()
        assert len(asyncio.all_tasks()) == 1

    run_virtual(main())
    assert [event.seconds for event in events if isinstance(event, PauseEvent)] == [2.0]


def test_a_client_that_is_closed_while_calls_wait_for_a_lease() -> None:
    async def main() -> None:
        store = Store()
        store.hangs = True
        client = client_of(Source(store), StubSession())
        calls = [asyncio.create_task(client.numbers.get(number)) for number in (1, 2)]
        await asyncio.sleep(0.1)
        await client.close()
        said = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in said] == [ClientClosedError] * 2
        assert now() < 0.2

    run_virtual(main())


def test_a_bulk_run_under_a_shared_limit_that_fails_now_and_then() -> None:
    async def main() -> None:
        store = Store(100.0)
        source = Source(store)

        def answer(seen: Seen) -> Reply:
            store.error = OSError() if int(seen.at) % 2 else None
            return Reply()

        session = StubSession(answer, latency=0.05)
        async with client_of(source, session) as client:
            from wavix_async import NumberUpdate

            report = await client.numbers.bulk_update(
                dict.fromkeys(range(1, 501), NumberUpdate(sms_enabled=True)), concurrency=20
            )
        assert report.updated == 500
        assert most(list(session.times)) <= 105
        assert session.applied.total() == 500

    run_virtual(main())


def test_what_is_no_rate_is_still_refused() -> None:
    wrong: Any = object()
    with pytest.raises(ConfigurationError, match="RedisRateLimit"):
        WavixClient(KEY, rate=wrong)
