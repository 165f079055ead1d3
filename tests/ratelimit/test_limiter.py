"""The limiter in virtual time: its queue, many callers against model servers, and a client."""

import asyncio
import math
import random
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import rate_control
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import VirtualLoop, run_virtual
from wavix_async import Number, Operation, PauseEvent, RateEvent, RateLimitError, WavixClient
from wavix_async._ratelimit import Limiter, Pacer, WaitTooLong

# --- the queue, in virtual time ---


async def use(limiter: Limiter, seconds: float = 0.0) -> float:
    permit = await limiter.acquire()
    await asyncio.sleep(seconds)
    limiter.accepted(permit)
    return permit


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def start(*coroutines: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(coroutine) for coroutine in coroutines]


def test_first_come_first_served() -> None:
    order: list[int] = []

    async def caller(limiter: Limiter, n: int) -> None:
        await limiter.acquire()
        order.append(n)

    async def main() -> None:
        limiter = Limiter(100.0)
        await asyncio.gather(*(caller(limiter, n) for n in range(50)))
        assert now() == pytest.approx(0.49)

    run_virtual(main())
    assert order == list(range(50))


def test_a_caller_that_keeps_its_position_goes_before_later_ones() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        position, permit = limiter.join_queue(), await limiter.acquire()
        later = start(*(limiter.acquire() for _ in range(3)))
        await asyncio.sleep(0.05)
        limiter.refund(await limiter.acquire(deadline=now() + 0.11, position=position))
        assert now() == pytest.approx(0.1)
        assert [await task for task in later] == pytest.approx([0.1, 0.2, 0.3])
        limiter.no_answer(permit)

    run_virtual(main())


def test_a_permit_is_renewed_before_later_ones_and_not_before_its_time() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        first, second = limiter.join_queue(), limiter.join_queue()
        old = await limiter.acquire(position=first)
        (later,) = start(limiter.acquire(position=second))
        await asyncio.sleep(0.05)
        assert limiter.renew(old, first) == pytest.approx(0.05)
        assert limiter.renew(await later, second) == pytest.approx(now())
        assert limiter.snapshot().in_flight == 2

        earlier = limiter.join_queue()
        permit = await limiter.acquire()
        start(limiter.acquire(position=earlier))
        await asyncio.sleep(0)
        assert limiter.renew(permit, limiter.join_queue()) is None, "another caller came before"
        limiter.pause(1.0)
        assert limiter.renew(old, first) is None
        await asyncio.sleep(2)
        snapshot = limiter.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (2, 0)

    run_virtual(main())


def test_a_newcomer_does_not_overtake_the_queue() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        await limiter.acquire()
        (waiting,) = start(limiter.acquire())
        await asyncio.sleep(0.1)  # a permit is free in this very instant, and it belongs to the waiting caller
        assert limiter.try_acquire() is None
        assert await waiting == pytest.approx(0.1)

    run_virtual(main())


@pytest.mark.req_10
def test_a_cancelled_waiter_leaves_nothing_behind_and_costs_the_next_no_time() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        await limiter.acquire()
        tasks = start(*(limiter.acquire() for _ in range(5)))
        await settle()
        tasks[0].cancel()
        tasks[2].cancel()
        await settle()
        assert limiter.snapshot().waiting == 3
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [r for r in results if isinstance(r, float)] == pytest.approx([0.1, 0.2, 0.3])
        assert limiter.snapshot().waiting == 0
        assert limiter.snapshot().in_flight == 4

    run_virtual(main())


@pytest.mark.req_10
def test_a_place_is_given_back_when_its_owner_is_cancelled_in_the_instant_of_release() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        await limiter.acquire()
        first, second = start(limiter.acquire(), limiter.acquire())
        await settle()
        asyncio.get_running_loop().call_at(0.1, first.cancel)  # runs after the timer that releases it
        assert await second == pytest.approx(0.1)
        assert first.cancelled()
        assert limiter.snapshot().in_flight == 2

    run_virtual(main())


@pytest.mark.req_07
@pytest.mark.req_11
def test_a_wait_that_cannot_fit_fails_at_once() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        await limiter.acquire()
        tasks = start(*(limiter.acquire() for _ in range(9)))
        await settle()
        with pytest.raises(WaitTooLong) as caught:
            await limiter.acquire(deadline=0.5)
        assert now() == 0.0
        assert caught.value.wait == pytest.approx(1.0)
        assert not caught.value.paused
        assert await limiter.acquire(deadline=1.01) == pytest.approx(1.0)
        await asyncio.gather(*tasks)

    run_virtual(main())


@pytest.mark.req_06
@pytest.mark.req_07
def test_a_pause_fails_those_at_once_whose_deadline_it_passes() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        permit = await limiter.acquire()
        hurried, patient = start(limiter.acquire(now() + 2.0), limiter.acquire(now() + 20.0))
        await settle()
        limiter.refused(permit, 5.0)
        with pytest.raises(WaitTooLong) as caught:
            await hurried
        assert now() == 0.0
        assert caught.value.paused
        assert caught.value.wait == pytest.approx(5.0)
        with pytest.raises(WaitTooLong):
            await limiter.acquire(deadline=3.0)
        assert await patient == pytest.approx(5.0)

    run_virtual(main())


@pytest.mark.req_11
def test_a_wait_for_answers_ends_at_the_deadline() -> None:
    async def main() -> None:
        limiter = Limiter()
        for _ in range(8):
            await limiter.acquire()
        (other,) = start(limiter.acquire())
        with pytest.raises(WaitTooLong):
            await limiter.acquire(deadline=3.0)
        assert now() == pytest.approx(3.0)
        limiter.no_answer(0.0)
        await other
        assert limiter.snapshot().waiting == 0

    run_virtual(main())


@pytest.mark.req_06
def test_no_call_leaves_in_a_pause_not_even_one_released_in_the_same_instant() -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        permit = await limiter.acquire()
        tasks = start(limiter.acquire(), limiter.acquire())
        await settle()
        asyncio.get_running_loop().call_at(
            0.1, limiter.refused, permit, 2.0
        )  # just after the release, before the waking
        assert await asyncio.gather(*tasks) == pytest.approx([2.1, 2.2])
        assert limiter.snapshot().in_flight == 2

    run_virtual(main())


@pytest.mark.req_06
@pytest.mark.parametrize("rate", [None, 95.0])
def test_no_herd_after_a_pause(rate: float | None) -> None:
    async def main() -> list[float]:
        limiter = Limiter(rate)
        for _ in range(20):
            await use(limiter)
        limiter.refused(await limiter.acquire(), 1.0)
        return await asyncio.gather(*(use(limiter, 0.002) for _ in range(300)))

    times = run_virtual(main())
    assert min(times) >= 1.0
    limit = rate or 210.0  # 20 in no time: the guess is 200/s, and 3 % more while the saved tokens last
    for at in times:
        assert sum(at - 1e-9 <= t < at + 0.1 - 1e-9 for t in times) <= 1 + limit * 0.1


@pytest.mark.req_06
@pytest.mark.parametrize("rate", [20.0, 95.0, 400.0])
def test_late_timers_cost_no_rate_and_make_no_crowd(rate: float) -> None:
    async def main() -> list[float]:
        limiter = Limiter(rate)
        return await asyncio.gather(*(limiter.acquire() for _ in range(600)))

    lateness = random.Random(1)
    times = run_virtual(main(), late=lambda: lateness.uniform(0.0, 0.01))  # a busy machine
    assert times == sorted(times)
    assert times[-1] <= 599 / rate * 1.05
    most = 1 + int(rate * 0.1)
    assert all(b - a >= 0.1 - 1e-9 for a, b in zip(times, times[most:], strict=False))


@pytest.mark.req_06
def test_a_pause_without_a_429_cuts_no_rate() -> None:
    async def main() -> None:
        limiter = Limiter()
        for _ in range(400):
            await use(limiter)
        limiter.pause(3.0)
        assert limiter.is_paused()
        assert limiter.try_acquire() is None
        assert limiter.snapshot().paused_for == pytest.approx(3.0)
        tasks = start(*(use(limiter, 0.5) for _ in range(50)))
        await asyncio.sleep(3.1)
        assert limiter.snapshot().in_flight == 8  # in a slow start
        await asyncio.gather(*tasks)
        assert limiter.snapshot().source == "unlimited"

    run_virtual(main())


@pytest.mark.req_10
def test_an_answer_that_never_comes_frees_its_place() -> None:
    async def main() -> None:
        limiter = Limiter()
        permits = [await limiter.acquire() for _ in range(8)]
        (waiting,) = start(limiter.acquire())
        await asyncio.sleep(1.0)
        assert not waiting.done()
        limiter.no_answer(permits[0])
        assert await waiting == pytest.approx(1.0)

    run_virtual(main())


@pytest.mark.req_25
def test_events_and_snapshot() -> None:
    events: list[tuple[str, float]] = []

    async def main() -> None:
        limiter = Limiter(on_event=lambda *event: events.append(event))
        for _ in range(10):
            await use(limiter)
        one, two = await limiter.acquire(), await limiter.acquire()
        limiter.refused(one, 1.0)
        limiter.refused(two, 1.0)
        await use(limiter)
        state = limiter.snapshot()
        assert (state.source, state.accepted, state.refused, state.in_flight, state.waiting) == ("learned", 11, 2, 0, 0)
        assert state.rate == pytest.approx(103.0)
        assert state.paused_for == 0.0

    before = Limiter().snapshot()
    assert (before.rate, before.source, before.paused_for) == (None, "unlimited", 0.0)
    assert Limiter(5.0).snapshot().source == "configured"
    run_virtual(main())
    assert events == [("pause", 1.0), ("rate", 100.0)]


@pytest.mark.req_22
def test_a_second_loop_keeps_what_was_learned_and_drops_the_dead() -> None:
    limiter = Limiter()

    async def first() -> None:
        for _ in range(10):
            await use(limiter)
        start(*(limiter.acquire() for _ in range(3)))
        await settle()
        limiter.refused(await limiter.acquire(), 5.0)
        start(*(limiter.acquire() for _ in range(3)))
        await asyncio.sleep(1.0)

    async def second() -> None:
        assert limiter.try_acquire() is None
        state = limiter.snapshot()
        assert (state.waiting, state.in_flight, state.accepted) == (0, 0, 10)
        assert state.paused_for == pytest.approx(4.0)  # the server's word holds across loops and their clocks
        times = [await use(limiter) for _ in range(3)]
        assert times[0] == pytest.approx(1004.0)

    run_virtual(first())
    run_virtual(second(), start=1000.0)


@pytest.mark.req_22
def test_a_loop_abandoned_without_farewell() -> None:
    limiter = Limiter(10.0)
    dead = VirtualLoop()

    async def leave_waiting() -> None:
        await limiter.acquire()
        limiter.__dict__["tasks"] = start(limiter.acquire(), limiter.acquire())
        await settle()

    dead.run_until_complete(leave_waiting())
    assert limiter.snapshot().waiting == 2

    async def main() -> None:
        await limiter.acquire()
        assert limiter.snapshot().waiting == 0

    run_virtual(main(), start=50.0)
    for task in limiter.__dict__["tasks"]:
        task.cancel()
    dead.run_until_complete(settle())
    dead.close()


@pytest.mark.req_10
def test_a_released_waiter_of_many_loses_nothing_when_all_are_cancelled() -> None:
    async def main() -> None:
        limiter = Limiter(1000.0)
        tasks = start(*(use(limiter, 0.01) for _ in range(200)))
        await asyncio.sleep(0.05)
        for task in tasks[60:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.snapshot().waiting == 0
        assert await limiter.acquire() == pytest.approx(now())

    run_virtual(main())


def test_a_defect_in_the_arithmetic_lets_no_caller_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        limiter.accepted(await limiter.acquire())
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        whole, broken = Pacer.next_time, iter([True])

        def once(pacer: Pacer, now: float) -> float:
            if next(broken, False):
                raise ZeroDivisionError
            return whole(pacer, now)

        monkeypatch.setattr(Pacer, "next_time", once)
        async with asyncio.timeout(1):
            limiter.accepted(await waiting)

    run_virtual(main())
    assert [record.getMessage() for record in caplog.records] == ["rate control failed and was reset"]


callers = st.tuples(st.floats(0.0, 2.0), st.sampled_from(["accept", "refuse", "pause", "cancel", "late"]))


@pytest.mark.req_06
@pytest.mark.req_10
@settings(max_examples=40, deadline=None)
@given(st.lists(callers, max_size=60), st.sampled_from([None, 30.0]))
def test_every_caller_gets_exactly_one_end_and_nothing_is_left(
    plan: list[tuple[float, str]], rate: float | None
) -> None:
    async def caller(limiter: Limiter, delay: float, end: str) -> str:
        await asyncio.sleep(delay)
        try:
            permit = await limiter.acquire(now() + 0.5 if end == "late" else None)
        except WaitTooLong:
            return "late"
        assert not limiter.is_paused()
        try:
            await asyncio.sleep(0.03)
        except asyncio.CancelledError:
            limiter.no_answer(permit)
            raise
        if end == "refuse":
            limiter.refused(permit, 0.7)
        elif end == "pause":
            limiter.no_answer(permit)
            limiter.pause(0.4)
        else:
            limiter.accepted(permit)
        return "sent"

    async def main() -> None:
        limiter = Limiter(rate)
        tasks = start(*(caller(limiter, *step) for step in plan))
        for task, (delay, end) in zip(tasks, plan, strict=True):
            if end == "cancel":
                asyncio.get_running_loop().call_later(delay + 0.01, task.cancel)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(end in {"sent", "late"} or isinstance(end, asyncio.CancelledError) for end in ends)
        assert (limiter.snapshot().waiting, limiter.snapshot().in_flight) == (0, 0)

    run_virtual(main())


# --- many callers against model servers: the rows of `python -m benchmarks.rate_control` ---

ROWS = {row.name: row for row in [*rate_control.rows(), *rate_control.others()]}


@pytest.mark.req_06
@pytest.mark.req_13
@pytest.mark.parametrize("name", [row.name for row in rate_control.rows()])
def test_done_with_few_refusals_in_little_time_and_in_turn(name: str) -> None:
    assert not rate_control.judge(ROWS[name], [run_virtual(rate_control.drive(ROWS[name]))]).faults


@pytest.mark.req_07
@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("H ")])
def test_with_headers_there_is_no_429_after_the_first(name: str) -> None:
    out = run_virtual(rate_control.drive(ROWS[name]))
    assert out.done == ROWS[name].items
    assert out.refused <= 1


ODD = [
    name
    for name in ROWS
    if name.startswith(("O 1/s", "O 20/s", "O 30/s b1 ", "O 100/s b1 ", "O 10 per", "O 100 per 60"))
]


@pytest.mark.req_13
@pytest.mark.parametrize("name", [*ODD, "O 50/s b10 Retry-After 0", "O 50/s b10 Retry-After 10"])
def test_odd_servers_are_survived(name: str) -> None:
    out = run_virtual(rate_control.drive(ROWS[name]))
    assert out.done == ROWS[name].items
    assert out.early == 0
    assert out.refused / out.requests <= 0.2
    assert out.elapsed <= 2.5 * ROWS[name].server().ideal(out.requests - out.refused) + 20


def test_a_server_without_limit_costs_next_to_nothing() -> None:
    assert rate_control.overhead(0.001) <= 0.035
    assert rate_control.overhead(0.08) <= 6 * 0.08


# --- through a client ---

GET = Operation("GET", "/v1/numbers/{id}", Number)


def client_of(session: StubSession, **options: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("connections", "latency", "rate"), [(1, 0.3, 50.0), (3, 0.3, None), (1, 1.0, 10.0)])
def test_calls_leave_in_turn_where_connections_are_few(connections: int, latency: float, rate: float | None) -> None:
    """A call whose permit grew old while it waited for a connection is still the next."""
    order: list[int] = []

    def answer(seen: Seen) -> Reply:
        order.append(seen.id)
        return Reply()

    async def main() -> None:
        session = StubSession(answer, latency=latency)
        client = client_of(session, rate=rate, max_connections=connections)
        await asyncio.gather(*start(*(client.call(GET, path={"id": number}) for number in range(1, 101))))

    run_virtual(main())
    assert order == list(range(1, 101))


@pytest.mark.req_06
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("rate", [None, 80.0])
def test_one_answer_pauses_all_calls_and_they_leave_paced(status: int, rate: float | None) -> None:
    """Those that were on the wire, those that waited, those that come during the pause, and those of other options."""
    pause, latency = 2.0, 0.02
    # The answers of its round trip show that a lone 429 is stray, so there are two.
    answers = 2 if status == 429 else 1
    told: list[float] = []

    def answer(seen: Seen) -> Reply:
        if len(told) < answers and len(times) == 40:
            told.append(seen.at + latency)
            return Reply(status, headers={"Retry-After": str(pause)})
        times.append(seen.at)
        paces.append(client.limits.snapshot().rate or math.inf)
        return Reply()

    times: list[float] = []
    paces: list[float] = []
    session = StubSession(answer, latency=latency)
    client = client_of(session, rate=rate)

    async def main() -> None:
        calls = start(*(client.call(GET, path={"id": number}) for number in range(1, 151)))
        while not told or now() < told[0] + 1:
            await asyncio.sleep(0.1)
        assert client.limits.snapshot().paused_for == pytest.approx(1, abs=0.15)
        others = client.with_options(deadline=30)
        calls += start(*(others.call(GET, path={"id": number}) for number in range(151, 201)))
        await asyncio.gather(*calls)
        assert session.requests == 200 + answers

    run_virtual(main())
    after = [(at, pace) for at, pace in zip(times, paces, strict=True) if at > told[0]]
    assert len(after) >= 100
    assert after[0][0] >= told[0] + pause - 1e-9
    if status == 503 and rate is None:
        return  # no word about a rate: the first wave is small, and grows with the answers
    for at, pace in after:
        assert pace < 400
        assert sum(at - 0.1 + 1e-9 < t <= at for t, _ in after) <= 1 + pace * 0.1


@pytest.mark.req_06
def test_each_client_and_each_limit_group_has_a_pause_of_its_own() -> None:
    async def main() -> None:
        refusals = iter([Reply(429, headers={"Retry-After": "9"})])
        session = StubSession(lambda _: next(refusals, Reply()))
        client, stranger = client_of(session), client_of(session)
        (refused,) = start(client.call(GET, path={"id": 1}))
        await settle()
        others = Operation("GET", "/v1/numbers/{id}", Number, limit_group="others")
        await client.call(others, path={"id": 2})
        await stranger.call(GET, path={"id": 3})
        assert now() == 0
        assert client.limits.snapshot().paused_for == 9
        assert client.limits.snapshot("others").paused_for == stranger.limits.snapshot().paused_for == 0
        await refused
        assert now() == 9

    run_virtual(main())


@pytest.mark.req_25
def test_pauses_and_rates_are_reported_and_the_state_can_be_looked_at() -> None:
    events: list[Any] = []

    async def main() -> None:
        bucket = rate_control.Bucket(100, 10, 1.0)

        def answer(_: Seen) -> Reply:
            taken, wait = bucket.take(now())
            return Reply() if taken else Reply(429, headers={"Retry-After": str(wait)})

        client = client_of(StubSession(answer, latency=0.01), observers=[events.append])
        fresh = client.limits.snapshot()
        assert (fresh.rate, fresh.source, fresh.accepted, fresh.refused) == (None, "unlimited", 0, 0)
        calls = start(*(client.call(GET, path={"id": number}) for number in range(1, 301)))
        await asyncio.sleep(0.5)
        paused = client.limits.snapshot()
        assert 0 < paused.paused_for < 1
        assert paused.refused > 0
        # The refused calls wait for themselves, the others in the queue.
        assert (paused.waiting, paused.in_flight) == (300 - paused.accepted - paused.refused, 0)
        await asyncio.gather(*calls)
        learned = client.limits.snapshot()
        assert (learned.source, learned.accepted, learned.waiting, learned.in_flight) == ("learned", 300, 0, 0)
        assert learned.rate == pytest.approx(100, rel=0.1)
        attempts = [event for event in events if type(event).__name__ == "AttemptEvent"]
        assert len([event for event in attempts if event.status == 429]) == learned.refused
        assert len(attempts) == 300 + learned.refused

    run_virtual(main())
    pauses = [event for event in events if isinstance(event, PauseEvent)]
    rates = [event for event in events if isinstance(event, RateEvent)]
    assert [(event.group, event.seconds) for event in pauses] == [("default", 1.0)] * len(pauses)
    assert pauses
    assert rates
    assert all(event.group == "default" and 50 <= event.rate <= 200 for event in rates)


@pytest.mark.req_11
def test_a_pause_that_begins_later_fails_those_at_once_that_it_makes_too_late() -> None:
    """A wait that fitted when it began, and then does not any more."""

    async def main() -> None:
        refusals = iter([Reply(429, headers={"Retry-After": "10"})])
        session = StubSession(lambda seen: next(refusals) if seen.id == 3 else Reply(), latency=0.01)
        client = client_of(session, rate=1)
        hurried = client.with_options(deadline=6)
        calls = start(client.call(GET, path={"id": 3}), *(hurried.call(GET, path={"id": n}) for n in range(10, 15)))
        await asyncio.sleep(0.5)
        for error in await asyncio.gather(*calls[1:], return_exceptions=True):
            assert isinstance(error, RateLimitError)
            assert (error.outcome, error.attempts) == ("not_sent", 0)
            assert error.elapsed == pytest.approx(0.01)
            assert error.retry_after == pytest.approx(10)
        calls[0].cancel()
        await asyncio.wait(calls)
        assert session.requests == 1

    run_virtual(main())
