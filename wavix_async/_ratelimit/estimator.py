"""`RateEstimator` finds a limit that is not configured, from the requests that the server accepted before each refusal.

Until the first refusal nothing is paced. Only the number of requests in flight is limited: it starts at 8 and grows
with every answer (a slow start). So a limit is found at the cost of few refusals, and a server without one is
recognized within a few round trips. The estimator models a server that refuses as a token bucket of `b` tokens, filled
at `r` per second. In a span of `T` seconds that ends with a refusal, such a bucket accepts at most `b + r * T`
requests, and exactly that many in one of the spans. Therefore `r = max((A - b) / T)` over all spans that end at the
refusal, where `A` is the number of accepted requests (`AcceptedHistogram` keeps the counts in bounded space). Spans run
from sending to sending: the latency is in both ends and cancels out.

- The first refusal comes too soon to separate `b` from `r`. Most buckets hold about a tenth of a second's worth of
  requests and most limits are round figures, so the first guess is `A / (T + 0.1)`, rounded. If the guess is too high,
  the second refusal soon corrects it and gives both `b` and `r`. If it is too low, the pace rises above it.
- After a pause the bucket holds at most `b` tokens, and it was empty before: `r >= A / (time since it was empty)`. This
  finds the rate of slow servers, and of servers that count in windows.
- A server that accepts nothing at all for a long time, or asks for a wait of seconds, counts in fixed windows (500 per
  10 s). After two similar cycles, the rate is the number that one cycle accepted, divided by its length. Requests leave
  faster than that, because the unused part of a window is lost at its end.
- The estimate holds for a time that grows with the evidence (`_hold`). Then the pace rises until the server refuses:
  slowly at first, so that refusals near the limit come one by one and pause no other call (`stray`), then faster. Only
  time in which the pace held requests back counts.
- A stray refusal never lowers the estimate. If one comes before anything else is known, the pace begins at the first
  guess and rises within a second to more than any limit (`spare`).
- The share of the requests that the server accepted during the pause bounds a cut: right after a bucket ran empty, it
  accepts the share `r / pace`.

All of it is arithmetic that takes the time as an argument, in seconds of the loop's clock.
"""

from __future__ import annotations

from math import exp, log10
from typing import TYPE_CHECKING

from wavix_async._ratelimit.strays import PROOF

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wavix_async._ratelimit.strays import Pause, Verdict

__all__ = ["OWN_PAUSE", "RateEstimator", "AcceptedHistogram"]

OWN_PAUSE = 0.15  # seconds to pause when the server refuses without saying for how long
LONG_PAUSE = 2.0  # seconds; a bucket asks for a second at most, so a longer pause means a window
PRIOR_BURST = 0.1  # seconds' worth of the rate that a bucket holds, assumed until two refusals give a better figure
LEAST_GUESS = 50.0  # requests per second; guessing too high costs one more refusal, too low costs many seconds
WINDOW_SPAN = 1.0  # seconds: the least time in which the first requests count as accepted
LEAST_PACE = 0.2  # requests per second; less saves nothing: a refusal pauses all callers and costs one request
LONGEST_PROBE = 10.0  # seconds between two requests to a server that refuses everything
CAUTION = 0.98  # the pace, as a part of the estimate
SPENDING = 1.03  # the same, while the tokens saved during a pause last
WINDOW_HASTE = 1.5  # the same, for a server that counts in windows
LONGEST_HOLD = 30.0  # seconds for which an estimate holds at most, if pauses take up to a second
LOW_HOLD = 4.0  # the same for some minutes after the limit fell: it may rise again
SLOW = 8.0  # seconds for which the pace rises slowly after that, if a pause costs more than half a second ...
SLOPE = 0.01  # ... by this part in a second, or more while the estimate is uncertain ...
COMPANY = 0.16  # ... but so slowly that a round trip has hardly more than one refusal: the square of 0.4
RISE = 0.05  # then it rises by exp(RISE * seconds^2): 5 % in a second, 22 % in two, 57 % in three
LONGEST_RISE = 8.0  # seconds for which the pace rises, to 25 times the estimate
QUICK_RISE = 3.0  # after a pause that a stray began, before any limit is known, it rises by exp(3 * seconds^2) ...
LONGEST_QUICK = 1.3  # ... for so many seconds, to 160 times the guess
SUSPICION = 0.5  # the part of the alarm at which a rising pace goes back
LEAST_PASSED = 0.7  # a cut goes at most to this part of the rate that the server accepted during the pause
LEAST_UNCLEAR = 0.8  # the same, of the estimate, if hardly any answer arrived during the pause
ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0, 10.0)


class AcceptedHistogram:
    """Accepted requests by the time of sending, in two histograms of 128 bins: an older and a newer half.

    When the newer histogram is full, the width of its bins doubles. When it covers enough requests and time, it becomes
    the older one.
    """

    __slots__ = ("_bins", "_last", "_older", "_origin", "_seen", "_width", "start", "total")
    BINS = 128

    def __init__(self, start: float) -> None:
        self.start = start
        self.total = 0
        self._last = start
        self._older: tuple[list[int], float, float] | None = None
        self._start_half(start)

    def _start_half(self, origin: float) -> None:
        self._bins, self._origin, self._width, self._seen = [0] * self.BINS, origin, 1 / 1024, 0

    def add(self, time: float, gap: float, enough: float) -> None:
        """Count a request. After a gap of `gap` seconds, forget the past; after `enough` seconds, start a new half."""
        if time - self._last > gap:
            self.start, self.total, self._older = time, 0, None
            self._start_half(time)
        elif time - self._origin > enough and self._seen >= self.BINS:
            self._older = self._bins, self._origin, self._width
            self._start_half(time)
        # Comparisons instead of max(): this runs for every answer.
        index = int((time - self._origin) / self._width)
        if index < 0:
            index = 0
        while index >= self.BINS:
            pairs = zip(self._bins[::2], self._bins[1::2], strict=True)
            self._bins = [a + b for a, b in pairs] + [0] * (self.BINS // 2)
            self._width *= 2
            index >>= 1
        self._bins[index] += 1
        self._seen += 1
        self.total += 1
        if time > self._last:
            self._last = time

    def before(self, time: float) -> Iterator[tuple[int, float]]:
        """Yield (accepted, seconds) for each span that ends at `time`, shortest first."""
        count, end = 0, time
        for half in ((self._bins, self._origin, self._width), self._older):
            if half is not None:
                bins, origin, width = half
                for index in range(min(int((end - origin) / width), self.BINS - 1), -1, -1):
                    count += bins[index]
                    yield count, max(time - origin - index * width, 1e-6)
                end = min(origin, end)


def _steepest(spans: Iterable[tuple[int, float]], more: float, longer: float) -> tuple[float, int, float]:
    """Return the highest rate (accepted + more) / (seconds + longer), and the span that has it."""
    return max((((count + more) / (span + longer), count, span) for count, span in spans), default=(0.0, 0, 0.0))


def _round_figure(rate: float, tolerance: float) -> float:
    """Return the nearest round figure if it is within the tolerance: most limits are round."""
    if rate <= 0.0:
        return 0.0
    scale = 10.0 ** (log10(rate) // 1)
    best = min((figure * scale for figure in ROUND), key=lambda figure: max(figure / rate, rate / figure))
    return best if abs(best / rate - 1) <= tolerance else rate


def _is_near(one: float | None, other: float) -> bool:
    return one is not None and 0.7 < one / other < 1.4


class RateEstimator:
    """Estimates the rate that the server allows, from accepted and refused requests."""

    def __init__(self, configured: float | None = None) -> None:
        """Begin to estimate.

        Args:
            configured: The configured rate, which the server kept refusing; None if no rate is configured.
        """
        self.ceiling: float | None = None  # requests per second that the server seems to allow
        self.histogram: AcceptedHistogram | None = None  # of this epoch: from one pause's end to the next one's
        self.dry_epochs = 0  # epochs in a row in which nothing was accepted
        self._factor = 1.0  # the pace, as a multiple of the ceiling
        self._busy = 0.0  # seconds of this epoch in which the pace held requests back
        self._saved = 0.0  # busy seconds for which tokens saved during the pause can be spent
        self._hold = 0.0  # busy seconds for which the ceiling holds
        self._previous_ceiling: float | None = None  # the ceiling before a refusal that came at low traffic
        self._peak = configured or 0.0  # the highest ceiling that was confirmed, slowly forgotten
        self._first: tuple[AcceptedHistogram, float] | None = None  # up to the first refusal: from a full bucket
        self._starts_full = configured is None
        self._burst = max((configured or 0.0) * PRIOR_BURST, 1.0)  # tokens that the bucket holds
        self._emptied: float | None = None  # when the bucket was last known to be empty
        self._cycle: tuple[int, float] | None = None  # accepted in, and start of, the last epoch that was not dry
        self._similar_cycles = 0  # cycles in a row that accepted about as many as the one before
        self._similar_needed = 1  # similar cycles that make a window; more, if that was wrong before
        self._span: float | None = None  # seconds from the start of the last cycle to that of the next
        self._period: float | None = None  # seconds, when the server counts in windows
        self._new_window = False  # the next accepted request is the first of a new window
        self._slow, self._slope = 0.0, 0.0  # seconds for which the pace rises slowly, and how much in a second
        self.round_trip = 0.1  # seconds
        self.hasty = False  # whether the pace rises quickly, because a stray refusal set it

    def begin_epoch(self, now: float) -> None:
        """Begin an epoch."""
        self.histogram = AcceptedHistogram(now)
        self._busy = 0.0

    def forget_times(self) -> None:
        """Keep what was learned and drop what depends on a clock."""
        self.histogram = self._first = self._emptied = self._cycle = self._span = None
        self.dry_epochs, self._new_window, self._similar_cycles = 0, False, 0

    def pace(self) -> float | None:
        """Return the pace: the ceiling, or more after so long without a refusal that the limit may have risen."""
        if self.ceiling is None:
            return None
        if self.hasty:
            over = min(self._busy, LONGEST_QUICK)
            return self.ceiling * exp(QUICK_RISE * over * over)
        factor = SPENDING if self._busy < self._saved else self._factor
        over = max(self._busy - self._hold, 0.0)
        quick = min(max(over - self._slow, 0.0), LONGEST_RISE)
        return max(self.ceiling * factor * exp(self._slope * min(over, self._slow) + RISE * quick * quick), LEAST_PACE)

    @property
    def rising(self) -> bool:
        """Whether the pace is above the estimate."""
        return self.ceiling is not None and self._busy > self._hold

    @property
    def counts_in_windows(self) -> bool:
        """Whether the server counts in windows: then a refusal ends one, and is no stray."""
        return self._period is not None

    def no_limit(self) -> None:
        """Note that hundreds of requests in flight were accepted after a stray refusal: there is no limit to find."""
        if self.hasty:
            self.hasty, self.ceiling = False, None

    def stray(self, refused_at: float, now: float, suspicion: float) -> None:
        """Note a refusal that pauses no other call; several of them send a rising pace back to the estimate."""
        histogram = self.histogram
        if self.ceiling is None or self.hasty or histogram is None or not self.rising or suspicion < SUSPICION:
            return
        self._raise(self.ceiling, histogram, refused_at)
        self._emptied = refused_at
        self._hold = min(max(2 * self._hold, LOW_HOLD), LONGEST_HOLD)
        self._saved, self._slope = 0.0, min(self._slope, SLOPE)
        self.begin_epoch(now)

    def spare(self, refused_at: float, until: float) -> None:
        """Note a pause that a stray began before any limit was known."""
        if self.ceiling is not None:
            self.ceiling = self.pace()
        elif self.histogram is not None:
            self._guess(self.histogram, refused_at, until)
            self.hasty = self._starts_full = True

    def likely_rate(self, refused_at: float) -> float:
        """Return the rate of the limit that explains the first refusal, if a limit does."""
        return 0.0 if self.histogram is None else _steepest(self.histogram.before(refused_at), 0.5, PRIOR_BURST)[0]

    def _raise(self, before: float, histogram: AcceptedHistogram, refused_at: float) -> None:
        """Raise the estimate to what the server accepted while the pace was above it."""
        if not self.rising:
            return
        burst = max(self._burst, before * PRIOR_BURST)
        spans = [(count, span) for count, span in histogram.before(refused_at) if span >= 1.0]
        rate = _steepest(spans, -burst, 0.0)[0]
        if self._emptied is not None:
            rate = max(rate, (histogram.total + 0.5) / (refused_at - self._emptied))
        self.ceiling = _round_figure(max(before, min(rate, self.pace() or rate)), 0.02)
        self._factor = CAUTION

    def held_back(self, seconds: float) -> None:
        """Note that the pace held a request back."""
        self._busy += seconds

    def accepted(self, permit: float) -> None:
        """Count a request; one that was sent before this epoch belongs to the previous one and does not count."""
        histogram = self.histogram
        if histogram is None or permit < histogram.start:
            return
        if self._new_window or self.dry_epochs:
            if self._new_window or self.dry_epochs >= 2:
                self._measure_window(permit)
            self.dry_epochs, self._new_window = 0, False
        if self.ceiling is None:
            histogram.add(permit, 1.0, 4.0)
        else:
            histogram.add(permit, 10.0, LONGEST_HOLD)

    def own_pause(self, now: float) -> float:
        """Return the seconds to wait after a refusal that did not say how long."""
        if self.histogram is None or not self.histogram.total:
            gone = now - (self._emptied if self._emptied is not None else now)
            return min(OWN_PAUSE * 1.5 ** min(self.dry_epochs, 30), max(1.0, 0.1 * gone), LONGEST_PROBE)
        if self._period is not None:
            # End the pause a little early on purpose: the one refusal that this costs measures the window again.
            return max(OWN_PAUSE, 0.9 * self._period - (now - self.histogram.start))
        return OWN_PAUSE

    def end_epoch(self, refused_at: float, until: float, verdict: Verdict, pause: Pause, *, strays_shown: bool) -> None:
        """Learn from an epoch that a pause ended.

        Args:
            refused_at: When the last request of the epoch left that was refused.
            until: When the pause ends.
            verdict: What began the pause.
            pause: What its answers said.
            strays_shown: Whether the server has shown that it refuses requests at any pace.
        """
        histogram = self.histogram
        if histogram is None:
            return
        if not histogram.total:
            self.dry_epochs += 1
            if self.dry_epochs == 2 and self._previous_ceiling is not None:
                # The server refuses everything, which says nothing about the rate.
                self.ceiling, self._previous_ceiling = self._previous_ceiling, None
            return
        passed = pause.accepted / (pause.accepted + pause.refused + 1)
        hasty = self.hasty
        if hasty:
            self.hasty, self.ceiling = False, None
        similar = self._cycle is not None and 0.5 * self._cycle[0] < histogram.total < 1.5 * self._cycle[0]
        self._similar_cycles = self._similar_cycles + 1 if similar else 0
        cycle = histogram.total, histogram.start
        if self._period is not None and similar:
            self._new_window = True
        else:
            if self._period is not None:
                self._period, self._similar_needed = None, min(2 * self._similar_needed, 16)
            self._new_window = until - refused_at > LONG_PAUSE
            if verdict == "stray" and self.ceiling is not None:
                self._raise(self.ceiling, histogram, refused_at)
                if strays_shown and pause.rising:
                    self.ceiling = max(self.ceiling, 0.9 * pause.pace)
                self._cycle = cycle
                return
            if self.ceiling is None:
                cycle = self._guess(histogram, refused_at, until)
                if hasty and passed > 0.8:
                    self._hold = min(self._hold, 2.0)  # two strays look like this, too
            else:
                least = LEAST_PASSED * passed * (self.pace() or 0.0)
                if self._first is None and (verdict == "unclear" or (pause.refused <= 1 and pause.accepted >= 3)):
                    least = max(least, self.ceiling * (1.0 if self.rising else LEAST_UNCLEAR))
                self._estimate(self.ceiling, histogram, refused_at, until, least, sure=not strays_shown)
        self._cycle, self._emptied = cycle, refused_at

    def _guess(self, histogram: AcceptedHistogram, refused_at: float, until: float) -> tuple[int, float]:
        """Learn from the first refusal, which cannot separate burst and rate; return the cycle that it ended."""
        pause = until - refused_at
        # A long pause may mean a window, which accepts the same number at any speed: until that is known, the earlier
        # requests are the better guide. It may also be a single refusal of a server without any limit.
        least = PRIOR_BURST if pause <= LONG_PAUSE else WINDOW_SPAN
        rate, count, span = _steepest(histogram.before(refused_at), 0.5, least)
        # The shorter the span, the more the rate is a guess, and the better a round figure is.
        self.ceiling = max(_round_figure(rate, min(max(0.05 / max(span, 0.001), 0.05), 0.3)), LEAST_GUESS)
        self._saved = self._seconds_saved(PRIOR_BURST, pause)
        self._first = (histogram, refused_at) if self._starts_full else None
        self._hold = min(max(float(count), 1.0), 10.0)
        count, span = max(histogram.before(refused_at), default=(count, span))
        return count, refused_at - span

    def _estimate(
        self, before: float, histogram: AcceptedHistogram, refused_at: float, until: float, least: float, *, sure: bool
    ) -> None:
        """Learn from a later refusal: estimate the burst, and the highest rate that a span before the refusal shows."""
        rate, length = before, refused_at - histogram.start
        empty_for = refused_at - (self._emptied if self._emptied is not None else histogram.start)
        # Leave out short spans: the shorter the span, the more an error of the burst matters.
        spans = [(count, span) for count, span in histogram.before(refused_at) if span >= min(0.25 * length, 1.0)]
        if self._first is None and self._busy < self._hold and max(length, LONG_PAUSE) < until - refused_at:
            # Refused within the hold, with a pause longer than the epoch: the bucket holds more than estimated.
            self._burst = max(self._burst, min(2 * self._burst, before))
        for _ in range(4):  # the burst depends on the rate, and the rate on the burst: this converges at once
            if self._first is not None:
                full = self._first[0].before(self._first[1])
                self._burst = max([1.0, *(count - rate * span for count, span in full)])
            rate = max((histogram.total + 0.5) / empty_for, _steepest(spans, -self._burst, 0.0)[0], least)
        if self._first is not None and self._burst == 1.0:
            # The requests before the first refusal came slower than the limit, so they say nothing about the bucket.
            self._burst = max(rate * PRIOR_BURST, 1.0)
        expected = before if self._first is None or not sure else 0.0
        self._first = None
        self._previous_ceiling = None
        if length > 2.0 and self._busy < 0.5 * length:
            rate, self._previous_ceiling = max(rate, 0.7 * before), before  # few accepted because few sent
        self.ceiling = rate = _round_figure(rate, 0.03 if length > 1.0 else 0.05)
        self._factor = CAUTION
        pause = until - refused_at
        self._saved = 0.0 if self._new_window else self._seconds_saved(self._burst / rate, pause)
        # An estimate holds longer each time it is confirmed, and longer if the refusal that ends it costs more.
        hold = 4 * length
        if abs(rate / before - 1) < 0.06:
            self._peak = max(0.9 * self._peak, rate)
            hold = 2 * self._hold if sure else min(2 * self._hold, LOW_HOLD)
        low = rate < 0.8 * max(self._peak, expected)
        if low and not sure:
            self._peak = max(self._peak, before)
        self._hold = min(max(hold, pause, 1.0), (LOW_HOLD if low else LONGEST_HOLD) * max(pause, 1.0))
        self._slow = 0.0 if low or pause < 0.5 else SLOW
        error = 1.5 / (rate * max(length, 0.01))  # as a part of the rate: one request more or less
        # A pace that rises by `slope` empties the bucket at an excess of sqrt(2 * burst * slope * rate) per second.
        trip = max(self.round_trip, 0.001)
        self._slope = min(max(SLOPE, 0.3 * error), COMPANY / (trip * trip * 2 * self._burst * rate))
        if not low and error < 0.3:
            # Until the pace is proven, a refusal pauses all calls.
            self._hold = max(self._hold, min(0.6 * PROOF / rate, LOW_HOLD))

    @staticmethod
    def _seconds_saved(burst: float, pause: float) -> float:
        """Return how long half of the tokens gained in a pause last; `burst` is in seconds' worth of the rate."""
        return 0.5 * min(burst, pause) / (SPENDING - 1)

    def _measure_window(self, permit: float) -> None:
        """Note that a new window may have begun: the rate is what the last window accepted, divided by its length.

        One long refusal is not a window: an overloaded server refuses for a while, too. Two refusals of the same
        length, after about the same number of requests, are windows.
        """
        if self._cycle is None or not self._cycle[0] or permit <= self._cycle[1]:
            return
        count, start = self._cycle
        before, self._span = self._span, permit - start
        if self._period is None and not (self._similar_cycles >= self._similar_needed and _is_near(before, self._span)):
            return
        self._period = self._hold = self._span
        self.ceiling = count / self._period
        self._factor, self._saved = WINDOW_HASTE, 0.0
