"""A rate that is not configured: what the estimator learns from refusals, through a pacer; its histogram."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavix_async._ratelimit import AcceptedHistogram, Pacer


def leave(pacer: Pacer, now: float) -> float:
    """Take the next permit as if the caller had waited for it."""
    return pacer.send(max(now, pacer.next_time(now)))


def test_a_server_that_refuses_everything_is_asked_less_and_less() -> None:
    pacer = Pacer()
    now, probes = 0.0, 0
    while now < 60.0:
        now = leave(pacer, now)
        pacer.refused(now, now + 0.001, 0.001)
        probes += 1
    assert probes <= 70


def test_the_first_guess_is_a_tenth_of_a_second_of_burst_rounded() -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.accepted(pacer.send(0.0))
    pacer.refused(pacer.send(0.005), 0.01, 1.0)
    leave(pacer, 1.01)
    assert pacer.estimator.ceiling == 100.0


def test_the_second_refusal_tells_burst_and_rate_apart() -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.accepted(pacer.send(0.0))
    pacer.refused(pacer.send(0.0), 0.001, 1.0)  # 10 at once: the guess is 100/s, the truth 20/s
    now, tokens, last = 1.001, 10.0, 1.001
    while pacer.refused_count < 2:
        now = leave(pacer, now)
        tokens, last = min(tokens + (now - last) * 20, 10.0), now
        if tokens >= 1:
            tokens -= 1
            pacer.accepted(now)
        else:
            pacer.refused(now, now, 1.0)
    leave(pacer, now + 1.0)
    assert pacer.estimator.ceiling == pytest.approx(20.0, rel=0.2)


def test_the_pace_rises_without_jumps() -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.accepted(pacer.send(0.0))
    pacer.refused(pacer.send(0.0), 0.0, 1.0)
    at, paces = 1.0, []
    while at < 16.0:
        at = leave(pacer, at)
        pacer.accepted(at)
        paces.append(pacer.pace() or 0.0)
    assert paces[-1] > 2 * paces[0]
    assert all(0.9 < b / a < 1.05 for a, b in pairwise(paces))


def test_a_quiet_client_is_not_taken_for_a_slow_server() -> None:
    pacer = Pacer()
    for _ in range(10):
        pacer.accepted(pacer.send(0.0))
    pacer.refused(pacer.send(0.0), 0.0, 1.0)
    now = 1.0
    for _ in range(50):  # one request in five seconds, and then a stray refusal
        now = leave(pacer, now + 5.0)
        pacer.accepted(now)
    now = leave(pacer, now + 5.0)
    pacer.refused(now, now, 1.0)
    leave(pacer, now + 1.0)
    assert pacer.estimator.ceiling is not None
    assert pacer.estimator.ceiling >= 70.0


def test_an_old_idle_history_does_not_dull_the_first_guess() -> None:
    pacer = Pacer()
    now = 0.0
    for _ in range(2000):  # hours of one request every five seconds
        now = leave(pacer, now + 5.0)
        pacer.accepted(now)
    now += 5.0
    for n in range(10):
        pacer.accepted(pacer.send(now + n / 10_000))
    pacer.refused(pacer.send(now + 0.002), now + 0.01, 1.0)
    leave(pacer, now + 1.01)
    assert pacer.estimator.ceiling == 100.0


@given(st.lists(st.floats(0.0, 30.0), min_size=1, max_size=300))
def test_the_histogram_counts_every_span_right_in_bounded_space(times: list[float]) -> None:
    histogram = AcceptedHistogram(0.0)
    times = sorted(times)
    for time in times:
        histogram.add(time, math.inf, 5.0)
    end = times[-1]
    spans = list(histogram.before(end))
    assert len(spans) <= 2 * AcceptedHistogram.BINS
    for count, span in spans:
        assert abs(count - sum(end - span - 1e-9 <= time <= end for time in times)) <= sum(
            abs(time - (end - span)) < 1e-6 for time in times
        )
    if end < 5.0:
        assert spans[-1][0] == len(times)
