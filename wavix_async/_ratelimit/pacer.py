"""`Pacer` decides when the next request may leave: arithmetic only, every method takes the time as an argument.

**Pacing** is GCRA, the generic cell rate algorithm. One float, `_next_due`, holds the time at which the next request is
due, and each request moves it on by `1 / rate`. That is exact and O(1), needs no timer that fills a bucket, and gives a
caller its waiting time at once. A timer that fires late loses nothing: the requests that it missed follow at once, but
at most `1 + rate * BURST_TIME` requests leave in any `BURST_TIME`.

**A pause** applies to all callers, because a 429 concerns every request made with the same key. No request leaves
before the pause is over. One pause is one *epoch*. The refusal of a request that was sent before the epoch does not cut
the rate again: the rate is cut once per round trip. The wait that such a refusal asks for still counts.

**A stray 429** pauses only its own call: one refusal among hundreds of acceptances is no limit (`strays.py`). If it
comes earlier, all calls pause until the answers of its round trip are in. If these show that it was stray, the pause of
the other calls ends.

**A configured rate** is not cut by a single refusal, only paused. `DOUBT_REFUSALS` pauses within `DOUBT_TIME`, none of
them due to a stray, mean that the rate is too high, or that another program uses the same limit. Then the estimator
takes over, up to the configured rate, until the server has accepted that rate for `TRUST_AFTER` seconds.

**A rate that is not configured** is estimated from what the server accepted before each refusal: `estimator.py`.

**Headers** that say what is left (`Quota`) are better than an estimate: a server never refuses a client that sends no
more than is left.

Times are seconds of one clock: the loop's, unless a test skips waits.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from wavix_async._ratelimit.estimator import OWN_PAUSE, RateEstimator
from wavix_async._ratelimit.headers import LONGEST_RESET
from wavix_async._ratelimit.strays import WITNESSES, Pause, StrayTest

if TYPE_CHECKING:
    from wavix_async._ratelimit.headers import RateHint

__all__ = ["LATE", "Pacer", "Quota"]

FIRST_WINDOW = 8.0  # requests in flight at the start
LATER_WINDOW = 16.0  # the same after a pause whose length the server gave, if a rate is known
WINDOW_GROWTH = 0.5  # per answer: the window grows by half every round trip
WINDOW_UNLIMITED = 150.0  # after hundreds of answers without a refusal, the server has no limit to find
MARGIN = 1.15  # times the requests that the likely limit accepts, show that it is not the limit ...
JITTER = 0.25  # ... in the time from the refused request to the last one accepted, and this part of a round trip ...
MOST_ANSWERS = 0.6  # ... or this part of the requests in flight: more than half a round trip was accepted
DOUBT_REFUSALS = 4  # pauses ...
DOUBT_TIME = 30.0  # ... within so many seconds mean that a configured rate is too high
TRUST_AFTER = 60.0  # seconds without a refusal at the configured rate until it counts again
LATE = 0.05  # seconds of a timer's delay that several requests at once may make up for ...
BURST_TIME = 0.1  # seconds in which at most 1 + rate * BURST_TIME requests leave even then
BURST_KEPT = 256  # sending times kept to check that: enough for 2,550 requests per second

LONG_RESET = 60.0  # seconds; a quota for a longer time (a day) is not spread evenly: it may be used at any speed


class Quota:
    """What the headers say is left. No request leaves that would exceed it."""

    def __init__(self) -> None:
        self.remaining = inf  # requests, counting down as they leave
        self.pace = inf  # requests per second that spread the rest evenly
        self._until = -inf
        self._eager = 1.0

    def update(self, now: float, hint: RateHint, in_flight: int) -> None:
        """Use what an answer said, minus the requests in flight: the server had not counted those yet."""
        if hint.remaining is None:
            return
        told = (value for value in (hint.reset, hint.window) if value is not None and value <= LONGEST_RESET)
        reset = next(told, 1.0)
        self.remaining, self._until = hint.remaining - in_flight, now + reset
        self.pace = inf
        if reset <= LONG_RESET:
            self.pace = max(hint.remaining, 1.0) / max(reset, 0.05)
            if hint.limit and hint.window:
                self.pace = max(self.pace, hint.limit / hint.window)
            elif hint.limit:
                # A bucket that stays full is filled faster than it is used; a window has all requests at its start.
                full = hint.remaining > 0.75 * hint.limit
                self._eager = min(self._eager * 1.02, 1e3) if full else max(self._eager / 1.05, 1.0)
                self.pace *= self._eager

    def ready_at(self, now: float) -> float:
        """Return when a request may leave."""
        return self._until if self.remaining < 1.0 and now < self._until else -inf

    def is_outdated(self, now: float) -> bool:
        """Return whether nothing was left and the reset is past: then the rest is unknown again."""
        return self.remaining < 1.0 and now >= self._until


def _lower(one: float | None, other: float | None) -> float | None:
    """Return the lower of two rates; None means no limit."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


class Pacer:
    """The arithmetic of one limiter. It has no clock and no event loop, and never waits."""

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self.paused_until = -inf
        self._told_until = -inf  # the end of a pause that no refusal asked for
        self.in_flight = 0
        self.accepted_count = 0
        self.refused_count = 0
        self._measured = False  # whether the server gave the length of the pause
        self._recent_refusals: deque[float] = deque(maxlen=DOUBT_REFUSALS)  # times, of a configured rate
        self.reset()

    def reset(self) -> None:
        """Forget everything learned; a pause stays."""
        self.learning = self.rate is None
        self.estimator = RateEstimator(self.rate)
        self.quota = Quota()
        self.strays = StrayTest()
        self.window = FIRST_WINDOW if self.learning else inf  # requests that may be in flight
        self._next_due = -inf  # when the next request is due
        self._burst: deque[float] = deque(maxlen=BURST_KEPT)  # when the last paced requests left
        self._epoch = -inf  # the end of the last pause
        self._refused_permit: float | None = None  # the last request of this epoch that was refused, by time of sending
        self._stray_until = -inf  # when the calls may leave again that a stray refusal delays
        self._at_resume = 0  # accepted requests at the end of the last pause
        self._before_pause = (0, 0)  # accepted and refused requests when the pause began
        self._first_refused = 0.0  # when the request left whose refusal began the pause ...
        self._last_witness = 0.0  # ... and the last one of those accepted since
        self._likely_rate = 0.0  # of the limit that explains the refusal which began the pause
        self._in_flight_then = 0  # requests in flight when the pause began

    @property
    def is_open(self) -> bool:
        """Whether nothing holds requests back."""
        return (
            self.window == inf
            and self.rate is None
            and self.estimator.ceiling is None
            and self.estimator.histogram is not None
            and self.paused_until == -inf
            and self.quota.remaining == inf
        )

    def pace(self) -> float | None:
        """Return the requests per second that may leave now; None if there is no limit."""
        pace = _lower(self.rate, self.estimator.pace()) if self.learning else self.rate
        return pace if self.quota.pace == inf else _lower(pace, self.quota.pace)

    def next_time(self, now: float) -> float:
        """Return when the next request may leave; `inf` if it must wait for an answer."""
        return inf if self.in_flight >= self.window else self.earliest(now)

    def earliest(self, now: float) -> float:
        """Return when the next request may leave if the answers that it waits for arrive at once."""
        return max(self._next_due, self.paused_until, self.quota.ready_at(now), self._burst_over())

    def paused_for(self, now: float) -> float:
        """Return the seconds for which the server allows nothing: a pause, or a quota of which nothing is left."""
        return max(self.paused_until - now, self.quota.ready_at(now) - now, 0.0)

    def _burst_over(self) -> float:
        """Return when one more request no longer exceeds the largest burst, even after a late timer."""
        pace = self.pace()
        most = BURST_KEPT + 1 if pace is None else 1 + int(pace * BURST_TIME)
        return self._burst[-most] + BURST_TIME if most <= len(self._burst) else -inf

    def send(self, now: float, late: float = 0.0) -> float:
        """Return a permit for the next request, which leaves now; make up for a delay of up to `late` seconds."""
        due = max(self._next_due, self.paused_until, now - late)
        if self.paused_until != -inf:
            self._resume(now)
        if self.estimator.histogram is None:
            self.estimator.begin_epoch(now)
        if self.learning and self.rate is not None:
            self._restore_configured_rate(now)
        if self.quota.is_outdated(now):
            self.quota = Quota()
            self.window = min(self.window, FIRST_WINDOW)
        self.quota.remaining -= 1.0
        self.in_flight += 1
        pace = self.pace()
        if pace is not None:
            if now - self._next_due < 1.0 / pace + LATE:
                self.estimator.held_back(1.0 / pace)
            self.strays.at_pace(pace, self.accepted_count)
            self._next_due = due + 1.0 / pace
            self._burst.append(now)
        return now

    def _resume(self, now: float) -> None:
        """Begin the epoch after a pause, at first with few requests in flight."""
        refused, until = self._refused_permit, self.paused_until
        self._refused_permit, self.paused_until, self._epoch = None, -inf, now
        self._told_until = -inf
        spared = refused is not None and self._learn(refused, until)
        self._at_resume = self.accepted_count
        if self.learning:
            self.window = FIRST_WINDOW
            if refused is not None:
                self.estimator.begin_epoch(now, keep=spared)
                if self.estimator.dry_epochs:
                    self.window = 1.0
                elif self._measured:
                    self.window = LATER_WINDOW

    def _learn(self, refused: float, until: float) -> bool:
        """Learn from the refusal that began the pause which is over now; return whether no limit is known."""
        estimator, accepted = self.estimator, self.accepted_count
        pause = self._so_far()
        verdict = self.strays.judge(pause, accepted)
        if self.rate is not None:
            if verdict != "stray":
                self._doubt_configured_rate(until)
            if not self.learning:
                return False
            verdict = "limit"  # the server kept refusing a configured rate, so there is a lower limit
        if pause.unpaced and verdict == "stray":
            return True  # begin again with few requests in flight, and without a pace
        if verdict == "stray" and estimator.is_guess and pause.accepted >= WITNESSES:
            estimator.drop_guess()
            return False
        estimator.end_epoch(refused, until, verdict, pause, strays_shown=self.strays.shown(accepted))
        if verdict == "limit":
            self.strays.limit_found(estimator.pace(), accepted)
        return False

    def _so_far(self) -> Pause:
        """Return what is known about the refusal that began the pause."""
        estimator, accepted = self.estimator, self.accepted_count
        unpaced = self.learning and estimator.ceiling is None
        return Pause(
            accepted=accepted - self._before_pause[0],
            refused=self.refused_count - self._before_pause[1],
            before=self._before_pause[0] - self._at_resume,
            pace=self.pace() or inf,
            unpaced=unpaced,
            rising=estimator.rising,
            allowed=min(
                MARGIN * self._likely_rate * (self._last_witness - self._first_refused + JITTER * estimator.round_trip),
                MOST_ANSWERS * self._in_flight_then,
            ),
            burst=estimator.burst(),
        )

    def _round_trip_over(self) -> None:
        """End the pause if all answers of its round trip are there and show a stray; the refused calls still wait."""
        if self.learning and (self.rate is not None or self.estimator.counts_in_windows):
            return
        pause = self._so_far()
        if self.strays.shows_stray(pause, self.accepted_count):
            self._stray_until = max(self._stray_until, self.paused_until)
            self._refused_permit, self.paused_until = None, self._told_until
            if self.estimator.is_guess:
                self.estimator.drop_guess()
                self.window = max(FIRST_WINDOW, pause.accepted)

    def refund(self, permit: float) -> None:  # noqa: ARG002  (`LeasedPacer` needs the permit)
        """Take a permit back: its request never left."""
        self.no_answer()
        self.quota.remaining += 1.0
        pace = self.pace()
        if pace is not None:
            self._next_due -= 1.0 / pace

    def no_answer(self) -> None:
        """Note that a request in flight ended without an answer."""
        self.in_flight = max(self.in_flight - 1, 0)
        if not self.in_flight and self._refused_permit is not None:
            self._round_trip_over()

    def accepted(self, permit: float) -> None:
        """Note that the server accepted a request."""
        if self.in_flight:
            self.in_flight -= 1
        self.accepted_count += 1
        if self.learning:
            self.estimator.accepted(permit)
            if self.window != inf:
                self.window += WINDOW_GROWTH
                if self.window >= WINDOW_UNLIMITED:
                    self.window = inf
        if self._refused_permit is not None:
            self._witness(permit)

    def _witness(self, permit: float) -> None:
        """Note a request that was accepted during a pause."""
        self._last_witness = max(self._last_witness, permit)
        if not self.in_flight:
            self._round_trip_over()

    def refused(self, permit: float, now: float, retry_after: float | None) -> bool:
        """Note a 429, and return whether it began a pause: the first refusal of an epoch does, unless it is a stray."""
        self.in_flight = max(self.in_flight - 1, 0)
        self.refused_count += 1
        fresh = permit >= self._epoch and self._refused_permit is None
        if fresh and self._is_stray(permit, now, retry_after):
            return False
        if retry_after is not None:
            self._pause_for_refusal(now, retry_after)
        if fresh:
            self._before_pause = self.accepted_count, self.refused_count
            self._first_refused = self._last_witness = permit
            self._likely_rate, self._in_flight_then = self.estimator.likely_rate(permit), self.in_flight
            self._measured = bool(retry_after)
            # If the server refuses again right after its own Retry-After, that value is unreliable: use our own pause.
            if not self._measured or self.estimator.dry_epochs:
                self._pause_for_refusal(now, self.estimator.own_pause(now) if self.learning else OWN_PAUSE)
        if permit >= self._epoch:
            self._refused_permit = permit if self._refused_permit is None else max(permit, self._refused_permit)
            if not self.in_flight:
                self._round_trip_over()
        return fresh

    def _is_stray(self, permit: float, now: float, retry_after: float | None) -> bool:
        """Return whether a refusal concerns only its own call; a pause waits for the earlier ones of its round trip."""
        estimator, accepted = self.estimator, self.accepted_count
        estimator.round_trip = now - permit
        # Unpaced requests have no pace to compare: only those since the last silence can prove one.
        unpaced = self.learning and estimator.ceiling is None
        proof = estimator.histogram.total if estimator.histogram is not None else 0
        stray = self.strays.is_stray(
            permit,
            now,
            accepted,
            self.in_flight,
            lately=proof if unpaced else accepted,
            rising=estimator.rising,
        )
        doubted = self.learning and self.rate is not None
        if stray and not doubted and not estimator.counts_in_windows:
            self._stray_until = max(self._stray_until, now + (OWN_PAUSE if retry_after is None else retry_after))
            paced = estimator.ceiling is not None
            estimator.stray(permit, now, self.strays.suspicion)
            if paced and estimator.ceiling is None:
                self.window = max(FIRST_WINDOW, float(self.in_flight))
            return True
        if self._stray_until > now:
            self._pause_for_refusal(now, self._stray_until - now)
        return False

    def _doubt_configured_rate(self, now: float) -> None:
        """Begin to estimate if the server keeps refusing a configured rate."""
        self._recent_refusals.append(now)
        if len(self._recent_refusals) == DOUBT_REFUSALS and now - self._recent_refusals[0] <= DOUBT_TIME:
            self.learning = True

    def _restore_configured_rate(self, now: float) -> None:
        """Use the configured rate again once the server has accepted it for a while."""
        learned = self.estimator.pace()
        if (learned is None or learned >= (self.rate or 0.0)) and now - self._recent_refusals[-1] > TRUST_AFTER:
            self._recent_refusals.clear()
            self.learning, self.estimator, self.window = False, RateEstimator(self.rate), inf

    def pause(self, now: float, seconds: float) -> None:
        """Let no request leave for `seconds`; such a pause never becomes shorter."""
        self._pause_for_refusal(now, seconds)
        self._told_until = max(self._told_until, now + seconds)

    def _pause_for_refusal(self, now: float, seconds: float) -> None:
        self.paused_until = max(self.paused_until, now + max(seconds, 0.0))

    def shift_clock(self, seconds: float) -> None:
        """Move to a clock that is `seconds` ahead, and forget requests in flight by the old clock."""
        self._next_due += seconds
        self._burst.clear()
        self.paused_until += seconds
        self._told_until += seconds
        self._epoch, self._refused_permit, self.in_flight = -inf, None, 0
        self._stray_until = -inf
        self.strays.forget_times()
        self.quota = Quota()
        self.estimator.forget_times()
