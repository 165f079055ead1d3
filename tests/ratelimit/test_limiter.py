"""The limiter: its arithmetic without a loop, its queue in virtual time, crowds against model servers, a client."""

import asyncio
import math
import random
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import rate_control
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import VirtualLoop, run_virtual
from wavix_async import Number, Operation, PauseEvent, RateEvent, RateLimitError, WavixClient
from wavix_async._ratelimit.estimator import Tally
from wavix_async._ratelimit.headers import RateHint
from wavix_async._ratelimit.limiter import Gate, Limiter, WaitTooLong

# --- Gate: pure ---


def leave(gate: Gate, now: float) -> float:
    """Wait in thought for the next place and take it."""
    return gate.send(max(now, gate.next_time(now)))


@pytest.mark.req_06
@pytest.mark.req_13
def test_a_configured_rate_is_exact_from_the_first_request() -> None:
    gate = Gate(50.0)
    times = [leave(gate, 0.0) for _ in range(101)]
    assert times[1] == pytest.approx(0.02)
    assert times[100] == pytest.approx(2.0)


def test_idle_time_is_not_saved_up() -> None:
    gate = Gate(10.0)
    leave(gate, 0.0)
    assert [leave(gate, 60.0) for _ in range(3)] == pytest.approx([60.0, 60.1, 60.2])


@pytest.mark.req_06
def test_a_late_timer_is_made_good_within_bounds() -> None:
    gate = Gate(100.0)
    gate.send(0.0)
    gate.send(0.015, late=0.01)
    assert gate.next_time(0.015) == pytest.approx(0.02)
    gate.send(0.5, late=0.01)
    assert gate.next_time(0.5) == pytest.approx(0.5)
    gate.send(0.5, late=0.01)
    assert gate.next_time(0.5) == pytest.approx(0.51)


@pytest.mark.req_06
def test_one_refusal_of_a_round_trip_pauses_the_others_are_no_news() -> None:
    gate = Gate()
    permits = [gate.send(0.0) for _ in range(4)]
    assert gate.refused(permits[0], 0.05, 1.0)
    assert not any(gate.refused(permit, 0.06, 1.0) for permit in permits[1:])
    assert gate.paused_until == pytest.approx(1.06)  # never earlier than the last of them was told
    learned = leave(gate, 1.06)
    rate = gate.learner.ceiling
    assert not gate.refused(0.0, learned + 0.01, 3.0)  # a straggler of before the pause
    assert gate.paused_until == pytest.approx(learned + 3.01)
    leave(gate, 5.0)
    assert gate.learner.ceiling == rate


@pytest.mark.req_06
@pytest.mark.req_13
def test_a_configured_rate_is_paused_by_strays_but_not_cut() -> None:
    gate = Gate(20.0)
    now = 0.0
    for _ in range(10):
        now = leave(gate, now)
        gate.refused(now, now + 0.05, None)
        assert gate.next_time(now + 0.05) > now + 0.05
        now += 11.0
    assert (gate.pace(), gate.learning) == (20.0, False)


@pytest.mark.req_06
@pytest.mark.req_13
def test_a_configured_rate_that_is_refused_on_and_on_is_learned_and_believed_again_later() -> None:
    """Somebody else may use the same limit for a while."""
    gate, now, refused = Gate(20.0), 0.0, []
    tokens, at = 5.0, 0.0
    while now < 300.0:
        now = leave(gate, now)
        # A bucket of 5 that lets 8 a second through, and from the hundredth second on 40.
        tokens, at = min(tokens + (now - at) * (8.0 if now < 100.0 else 40.0), 5.0), now
        if tokens >= 1.0:
            tokens -= 1.0
            gate.accepted(now)
        else:
            refused.append(now)
            gate.refused(now, now, 1.0)
            assert len(refused) < 10 or (gate.pace() or 0.0) < 14.0
        assert (gate.pace() or 0.0) <= 20.0
    assert len(refused) < 25
    assert max(refused) < 101.0
    assert (gate.pace(), gate.learning) == (20.0, False)


def test_a_defect_in_the_arithmetic_lets_nobody_wait_for_ever(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        limiter = Limiter(10.0)
        limiter.accepted(await limiter.acquire())
        waiting = asyncio.ensure_future(limiter.acquire())
        await asyncio.sleep(0)
        whole, broken = Gate.next_time, iter([True])

        def once(gate: Gate, now: float) -> float:
            if next(broken, False):
                raise ZeroDivisionError
            return whole(gate, now)

        monkeypatch.setattr(Gate, "next_time", once)
        async with asyncio.timeout(1):
            limiter.accepted(await waiting)

    run_virtual(main())
    assert [record.getMessage() for record in caplog.records] == ["rate control failed and starts anew"]


def test_who_refuses_on_and_on_is_asked_less_and_less() -> None:
    gate = Gate()
    now, probes = 0.0, 0
    while now < 60.0:
        now = leave(gate, now)
        gate.refused(now, now + 0.001, 0.001)
        probes += 1
    assert probes <= 70


@pytest.mark.req_06
@pytest.mark.req_07
def test_a_pause_is_never_made_shorter() -> None:
    gate = Gate()
    gate.pause(0.0, 5.0)
    gate.pause(1.0, 1.0)
    gate.pause(1.0, -1.0)
    assert gate.next_time(1.0) == 5.0


def test_the_first_wave_is_small_and_grows_with_the_answers() -> None:
    gate = Gate()
    sent = 0
    while gate.next_time(0.0) <= 0.0:
        gate.send(0.0)
        sent += 1
    assert sent == 8
    for _ in range(2):
        gate.accepted(0.0)
    assert gate.in_flight == 6
    assert gate.window == 9.0


def test_a_server_without_limit_ends_up_unhindered() -> None:
    gate = Gate()
    for n in range(400):
        gate.accepted(gate.send(n / 1000))
    assert gate.is_open
    assert gate.pace() is None


def test_the_first_guess_is_a_tenth_of_a_second_of_burst_rounded() -> None:
    gate = Gate()
    for _ in range(10):
        gate.accepted(gate.send(0.0))
    gate.refused(gate.send(0.005), 0.01, 1.0)
    leave(gate, 1.01)
    assert gate.learner.ceiling == 100.0


def test_the_second_refusal_tells_burst_and_rate_apart() -> None:
    gate = Gate()
    for _ in range(10):
        gate.accepted(gate.send(0.0))
    gate.refused(gate.send(0.0), 0.001, 1.0)  # 10 at once: the guess is 100/s, the truth 20/s
    now, tokens, last = 1.001, 10.0, 1.001
    while gate.refused_count < 2:
        now = leave(gate, now)
        tokens, last = min(tokens + (now - last) * 20, 10.0), now
        if tokens >= 1:
            tokens -= 1
            gate.accepted(now)
        else:
            gate.refused(now, now, 1.0)
    leave(gate, now + 1.0)
    assert gate.learner.ceiling == pytest.approx(20.0, rel=0.2)


def test_the_pace_rises_without_jumps() -> None:
    gate = Gate()
    for _ in range(10):
        gate.accepted(gate.send(0.0))
    gate.refused(gate.send(0.0), 0.0, 1.0)
    at, paces = 1.0, []
    while at < 16.0:
        at = leave(gate, at)
        gate.accepted(at)
        paces.append(gate.pace() or 0.0)
    assert paces[-1] > 2 * paces[0]
    assert all(0.9 < b / a < 1.05 for a, b in pairwise(paces))


def test_a_quiet_client_is_not_taken_for_a_slow_server() -> None:
    gate = Gate()
    for _ in range(10):
        gate.accepted(gate.send(0.0))
    gate.refused(gate.send(0.0), 0.0, 1.0)
    now = 1.0
    for _ in range(50):  # one request in five seconds, and then a stray refusal
        now = leave(gate, now + 5.0)
        gate.accepted(now)
    now = leave(gate, now + 5.0)
    gate.refused(now, now, 1.0)
    leave(gate, now + 1.0)
    assert gate.learner.ceiling is not None
    assert gate.learner.ceiling >= 70.0


def test_an_old_idle_history_does_not_dull_the_first_guess() -> None:
    gate = Gate()
    now = 0.0
    for _ in range(2000):  # hours of one request every five seconds
        now = leave(gate, now + 5.0)
        gate.accepted(now)
    now += 5.0
    for n in range(10):
        gate.accepted(gate.send(now + n / 10_000))
    gate.refused(gate.send(now + 0.002), now + 0.01, 1.0)
    leave(gate, now + 1.01)
    assert gate.learner.ceiling == 100.0


@pytest.mark.req_07
def test_what_the_headers_say_is_left_is_never_overdrawn() -> None:
    gate = Gate()
    gate.accepted(gate.send(0.0))
    gate.allowance.heed(0.0, RateHint(remaining=3.0, reset=10.0), gate.in_flight)
    now = 0.0
    for _ in range(3):
        now = leave(gate, now)
        gate.accepted(now)
    assert now < 10.0
    assert gate.next_time(now) == 10.0
    assert leave(gate, 10.0) == 10.0  # after the reset all is unknown again


@pytest.mark.req_07
def test_a_daily_allowance_is_not_spread_over_the_day() -> None:
    gate = Gate()
    gate.allowance.heed(0.0, RateHint(remaining=9000.0, reset=80_000.0, limit=10_000.0), 0)
    assert gate.pace() is None
    gate.allowance.heed(0.0, RateHint(remaining=0.0, reset=80_000.0, limit=10_000.0), 0)
    assert gate.next_time(0.0) == 80_000.0


actions = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "accept", "refuse", "abandon", "pause", "unsend", "hint"]),
        st.floats(0.0, 0.5),
        st.floats(0.0, 5.0),
    ),
    max_size=120,
)


@pytest.mark.req_06
@pytest.mark.req_07
@settings(max_examples=150, deadline=None)
@given(actions, st.sampled_from([None, 0.5, 20.0, 1000.0]))
def test_whatever_happens_nobody_leaves_in_a_pause_and_a_configured_rate_holds(
    steps: list[tuple[str, float, float]], rate: float | None
) -> None:
    gate, now, told = Gate(rate), 0.0, 0.0
    sent: list[float] = []
    permits: list[float] = []
    for kind, wait, value in steps:
        now += wait
        permit = permits.pop(0) if kind in {"accept", "refuse", "abandon"} and permits else None
        if kind == "send" and gate.next_time(now) <= now:
            permits.append(gate.send(now))
            sent.append(now)
            assert now >= told
        elif kind == "pause":
            gate.pause(now, value)
            told = max(told, now + value)
        elif kind == "hint":
            gate.allowance.heed(now, RateHint(value, wait, value, wait), gate.in_flight)
        elif permit is not None and kind == "accept":
            gate.accepted(permit)
        elif permit is not None and kind == "refuse":
            gate.refused(permit, now, value)
            told = max(told, now + value)
        elif permit is not None:
            gate.no_answer()
        assert gate.in_flight == len(permits)
        pace = gate.pace()
        assert pace is None or 0.0 < pace < math.inf
    if rate is not None:
        assert all(b - a >= 1 / rate - 1e-6 for a, b in pairwise(sent))


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=300))
def test_a_tally_counts_every_span_right_in_bounded_space(times: list[float]) -> None:
    tally = Tally(0.0)
    times = sorted(times)
    for time in times:
        tally.add(time, math.inf, 5.0)
    end = times[-1]
    spans = list(tally.before(end))
    assert len(spans) <= 2 * Tally.BINS
    for count, span in spans:
        assert abs(count - sum(end - span - 1e-9 <= time <= end for time in times)) <= sum(
            abs(time - (end - span)) < 1e-6 for time in times
        )
    if end < 5.0:
        assert spans[-1][0] == len(times)


# --- Limiter: virtual time ---


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


def test_who_keeps_a_place_goes_before_those_who_came_later() -> None:
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


def test_a_ticket_is_renewed_before_those_who_came_later_and_not_before_its_time() -> None:
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
        assert limiter.renew(permit, limiter.join_queue()) is None, "somebody came before"
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
        await asyncio.sleep(0.1)  # the place is free in this very instant, and it belongs to the one who waits
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
def test_nobody_leaves_in_a_pause_not_even_who_was_released_in_the_same_instant() -> None:
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


# --- crowds against model servers: the rows of `python -m benchmarks.rate_control` ---

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
    """Who gives a turn back that got old while it waited for a connection is the next all the same."""
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
    told: list[float] = []

    def answer(seen: Seen) -> Reply:
        if not told and len(times) == 40:
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
        assert session.requests == 201

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
def test_pauses_and_rates_are_told_and_the_state_can_be_looked_at() -> None:
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
        assert (paused.waiting, paused.in_flight) == (300 - paused.accepted, 0)
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
