"""The arithmetic of pacing (a rate, pauses, headers), without event loop or clock."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavix_async._ratelimit import Pacer, RateHint


def leave(pacer: Pacer, now: float) -> float:
    """Take the next permit as if the caller had waited for it."""
    return pacer.send(max(now, pacer.next_time(now)))


@pytest.mark.req_06
@pytest.mark.req_13
def test_a_configured_rate_is_exact_from_the_first_request() -> None:
    pacer = Pacer(50.0)
    times = [leave(pacer, 0.0) for _ in range(101)]
    assert times[1] == pytest.approx(0.02)
    assert times[100] == pytest.approx(2.0)


def test_idle_time_is_not_saved_up() -> None:
    pacer = Pacer(10.0)
    leave(pacer, 0.0)
    assert [leave(pacer, 60.0) for _ in range(3)] == pytest.approx([60.0, 60.1, 60.2])


@pytest.mark.req_06
def test_a_late_timer_is_caught_up_within_bounds() -> None:
    pacer = Pacer(100.0)
    pacer.send(0.0)
    pacer.send(0.015, late=0.01)
    assert pacer.next_time(0.015) == pytest.approx(0.02)
    pacer.send(0.5, late=0.01)
    assert pacer.next_time(0.5) == pytest.approx(0.5)
    pacer.send(0.5, late=0.01)
    assert pacer.next_time(0.5) == pytest.approx(0.51)


@pytest.mark.req_06
def test_one_refusal_of_a_round_trip_pauses_the_others_are_no_news() -> None:
    pacer = Pacer()
    permits = [pacer.send(0.0) for _ in range(4)]
    assert pacer.refused(permits[0], 0.05, 1.0)
    assert not any(pacer.refused(permit, 0.06, 1.0) for permit in permits[1:])
    assert pacer.paused_until == pytest.approx(1.06)  # never earlier than the last refusal asked
    learned = leave(pacer, 1.06)
    rate = pacer.estimator.ceiling
    assert not pacer.refused(0.0, learned + 0.01, 3.0)  # a straggler of before the pause
    assert pacer.paused_until == pytest.approx(learned + 3.01)
    leave(pacer, 5.0)
    assert pacer.estimator.ceiling == rate


@pytest.mark.req_06
@pytest.mark.req_13
def test_a_single_refusal_pauses_a_configured_rate_and_does_not_cut_it() -> None:
    pacer = Pacer(20.0)
    now = 0.0
    for _ in range(10):
        now = leave(pacer, now)
        pacer.refused(now, now + 0.05, None)
        assert pacer.next_time(now + 0.05) > now + 0.05
        now += 11.0
    assert (pacer.pace(), pacer.learning) == (20.0, False)


@pytest.mark.req_06
@pytest.mark.req_13
def test_a_configured_rate_that_is_refused_again_and_again_is_learned_and_used_again_later() -> None:
    """Another program may use the same limit for a while."""
    pacer, now, refused = Pacer(20.0), 0.0, []
    tokens, at = 5.0, 0.0
    while now < 300.0:
        now = leave(pacer, now)
        # A bucket of 5 that lets 8 a second through, and from the hundredth second on 40.
        tokens, at = min(tokens + (now - at) * (8.0 if now < 100.0 else 40.0), 5.0), now
        if tokens >= 1.0:
            tokens -= 1.0
            pacer.accepted(now)
        else:
            refused.append(now)
            pacer.refused(now, now, 1.0)
            assert len(refused) < 10 or (pacer.pace() or 0.0) < 14.0
        assert (pacer.pace() or 0.0) <= 20.0
    assert len(refused) < 25
    assert max(refused) < 101.0
    assert (pacer.pace(), pacer.learning) == (20.0, False)


@pytest.mark.req_06
@pytest.mark.req_07
def test_a_pause_is_never_made_shorter() -> None:
    pacer = Pacer()
    pacer.pause(0.0, 5.0)
    pacer.pause(1.0, 1.0)
    pacer.pause(1.0, -1.0)
    assert pacer.next_time(1.0) == 5.0


def test_the_first_wave_is_small_and_grows_with_the_answers() -> None:
    pacer = Pacer()
    sent = 0
    while pacer.next_time(0.0) <= 0.0:
        pacer.send(0.0)
        sent += 1
    assert sent == 8
    for _ in range(2):
        pacer.accepted(0.0)
    assert pacer.in_flight == 6
    assert pacer.window == 9.0


def test_a_server_without_limit_ends_up_unhindered() -> None:
    pacer = Pacer()
    for n in range(400):
        pacer.accepted(pacer.send(n / 1000))
    assert pacer.is_open
    assert pacer.pace() is None


@pytest.mark.req_07
def test_what_the_headers_say_is_left_is_never_overdrawn() -> None:
    pacer = Pacer()
    pacer.accepted(pacer.send(0.0))
    pacer.quota.update(0.0, RateHint(remaining=3.0, reset=10.0), pacer.in_flight)
    now = 0.0
    for _ in range(3):
        now = leave(pacer, now)
        pacer.accepted(now)
    assert now < 10.0
    assert pacer.next_time(now) == 10.0
    assert leave(pacer, 10.0) == 10.0  # after the reset all is unknown again


@pytest.mark.req_07
def test_a_daily_allowance_is_not_spread_over_the_day() -> None:
    pacer = Pacer()
    pacer.quota.update(0.0, RateHint(remaining=9000.0, reset=80_000.0, limit=10_000.0), 0)
    assert pacer.pace() is None
    pacer.quota.update(0.0, RateHint(remaining=0.0, reset=80_000.0, limit=10_000.0), 0)
    assert pacer.next_time(0.0) == 80_000.0


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
def test_whatever_happens_no_call_leaves_in_a_pause_and_a_configured_rate_holds(
    steps: list[tuple[str, float, float]], rate: float | None
) -> None:
    pacer, now, told = Pacer(rate), 0.0, 0.0
    sent: list[float] = []
    permits: list[float] = []
    for kind, wait, value in steps:
        now += wait
        permit = permits.pop(0) if kind in {"accept", "refuse", "abandon"} and permits else None
        if kind == "send" and pacer.next_time(now) <= now:
            permits.append(pacer.send(now))
            sent.append(now)
            assert now >= told
        elif kind == "pause":
            pacer.pause(now, value)
            told = max(told, now + value)
        elif kind == "hint":
            pacer.quota.update(now, RateHint(value, wait, value, wait), pacer.in_flight)
        elif permit is not None and kind == "accept":
            pacer.accepted(permit)
        elif permit is not None and kind == "refuse":
            pacer.refused(permit, now, value)
            told = max(told, now + value)
        elif permit is not None:
            pacer.no_answer()
        assert pacer.in_flight == len(permits)
        pace = pacer.pace()
        assert pace is None or 0.0 < pace < math.inf
    if rate is not None:
        assert all(b - a >= 1 / rate - 1e-6 for a, b in pairwise(sent))
