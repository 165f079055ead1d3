"""Several limiters on one store, an unreachable store, and a client, all in virtual time."""

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
from wavix_async._ratelimit import (
    ALIVE,
    FRESH,
    PATIENCE,
    PROBE,
    LeasedLimiter,
    LeaseGrant,
    LeaseRequest,
    StoreOutage,
    WaitTooLong,
)

AHEAD = 1_700_000_000.0  # of the store's clock


def now() -> float:
    return asyncio.get_running_loop().time()


class Store:
    """What several processes share: the arithmetic of the script in `redis.py`, and ways to be out of order."""

    def __init__(self, rate: float = 100.0, *, latency: Callable[[], float] = lambda: 0.001) -> None:
        self.rate = rate
        self.latency = latency
        self.requests: list[LeaseRequest] = []
        self.hangs = False
        self.error: Exception | None = None
        self.forget()

    def forget(self) -> None:
        """Lose everything, as a restarted server does that keeps nothing on disk."""
        self.due = self.pause = self.granted = self.settled = -math.inf
        self.seen: dict[object, float] = {}

    async def lease(self, process: object, request: LeaseRequest) -> LeaseGrant:
        latency = self.latency()
        await asyncio.sleep(latency / 2)
        if self.hangs:
            await asyncio.sleep(3600)
        if self.error is not None:
            raise self.error
        self.requests.append(request)
        grant = self.answer(process, request, now() + AHEAD)
        await asyncio.sleep(latency / 2)
        return grant

    def answer(self, process: object, request: LeaseRequest, at: float) -> LeaseGrant:
        if request.pause:
            self.pause = max(self.pause, at + request.pause)
        settle_for = PROBE + 2 * PATIENCE
        if request.back and at - max(self.granted, self.settled) > settle_for:
            self.settled = at + settle_for
        settle = max(self.settled - at, 0.0)
        first, slots, mine = 0.0, 0 if settle else request.slots, at
        if not settle:
            self.granted = at
        if slots:
            first = max(self.due, self.pause, at + request.ahead)
            mine = self.due = first + slots / self.rate
        self.seen = {other: until for other, until in self.seen.items() if until >= at - ALIVE}
        self.seen[process] = mine
        active = sum(until > at - 1.0 for until in self.seen.values())
        return LeaseGrant(at, first, slots, max(self.pause - at, 0.0), len(self.seen), active, settle)


class Access:
    """One process's way to the store."""

    def __init__(self, store: Store, processes: int = 1) -> None:
        self.store = store
        self.rate = store.rate
        self.processes = processes
        self.closed = 0

    async def lease(self, group: str, request: LeaseRequest) -> LeaseGrant:
        return await self.store.lease((self, group), request)

    async def close(self) -> None:
        self.closed += 1


def limiter_of(
    store: Store, events: list[Any] | None = None, processes: int = 1, access: Access | None = None
) -> LeasedLimiter:
    tell = None if events is None else lambda kind, value: events.append((kind, value))
    return LeasedLimiter(access or Access(store, processes), "default", StoreOutage(), on_event=tell)


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
    """Let all callers call without a pause; return when each limiter's requests left."""
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
        assert all(0.8 * 250 <= len(mine) <= 1.2 * 250 for mine in sent), "every process has a part"
        assert len(store.requests) <= 0.3 * len(together)
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


def test_a_process_that_calls_one_after_the_other_takes_nothing_from_others() -> None:
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
@pytest.mark.req_30
def test_a_stray_429_pauses_neither_its_process_nor_another() -> None:
    async def main() -> None:
        store = Store(100.0)
        one, two = limiter_of(store, processes=2), limiter_of(store, processes=2)
        for _ in range(210):
            one.accepted(await one.acquire())
        assert one.refused(await one.acquire(), 4.0) == pytest.approx(now() + 4.0)
        began = now()
        for each in (one, two):
            each.accepted(await each.acquire())
        assert now() - began < 1.0
        assert not one.is_paused()
        assert not two.is_paused()
        for permit in [await one.acquire() for _ in range(2)]:
            one.refused(permit, 4.0)
        assert one.is_paused()
        await close(one, two)

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


def test_a_pause_is_passed_on_although_no_caller_waits_any_more() -> None:
    store = Store()

    async def main() -> None:
        limiter = limiter_of(store)
        limiter.refused(await limiter.acquire(), 5.0)
        await asyncio.sleep(0.1)
        assert store.pause == pytest.approx(AHEAD + now() + 4.9, abs=0.01)
        await close(limiter)

    run_virtual(main())


@pytest.mark.req_09
def test_a_pause_that_another_began_fails_callers_that_cannot_wait_so_long() -> None:
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


def test_a_process_that_alone_was_cut_off_does_not_wait_for_the_others() -> None:
    store = Store()

    async def main() -> None:
        access = Access(store)
        lost, *others = limiter_of(store, access=access), limiter_of(store), limiter_of(store)
        running = asyncio.create_task(crowd([lost, *others], 6.0))
        await asyncio.sleep(2.0)
        assert lost.snapshot().source == "shared"
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
        asked = len(store.requests)
        await asyncio.sleep(10.0)
        assert len(store.requests) <= asked + 1, "a limiter without callers asks for nothing"
        assert len(asyncio.all_tasks()) == 1
        await close(limiter)

    run_virtual(main())


@pytest.mark.req_10
def test_closing_ends_the_question_and_lets_waiting_callers_go_on() -> None:
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
def test_a_question_that_someone_cancels_lets_no_one_wait() -> None:
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
def test_a_second_loop_asks_again_and_uses_nothing_of_the_first() -> None:
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


KEY = "key-0f9c-that-no-one-may-see"


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


def test_a_value_that_is_not_a_rate_is_still_refused() -> None:
    wrong: Any = object()
    with pytest.raises(ConfigurationError, match="RedisRateLimit"):
        WavixClient(KEY, rate=wrong)
