"""A limit that nobody has told us: concluded from what was accepted before each refusal.

**The rate is learned** when it is not configured. Until the first refusal nothing is paced, only the number in
flight grows from 8 with every answer (a slow start), so that finding a limit costs few refusals and finding none
costs a few round trips. A server that refuses is taken for a token bucket of `b` tokens, filled at `r` per second:
of a span of `T` seconds that ends with a refusal it accepts at most `b + r * T`, and exactly that for one of the
spans. Hence `r = max((A - b) / T)` over all spans ending at the refusal (`Tally` keeps the counts in bounded
space). Spans are measured by the time of sending: the latency is in both ends and cancels out.

- The first refusal comes too soon to tell `b` from `r`. Most buckets hold about a tenth of a second's worth and
  most limits are round figures, so the first guess is `A / (T + 0.1)`, rounded. Too high a guess is corrected by
  the second refusal, a moment later, which gives both `b` and `r`; too low a guess is outgrown.
- After a pause the bucket is no fuller than `b` and was empty before: `r >= A / (time since it was empty)`. This is
  what finds the rate of slow servers, and of those that count in windows.
- A server that accepts nothing at all for a long time, or asks for seconds of patience, counts in fixed windows
  (500 per 10 s). What one cycle took over its length is the rate, once two were alike; the pace is higher, as what a
  window has left at its end is lost.
- An estimate is believed for a time that grows with the evidence (`_hold`), then the pace rises, slowly and then
  faster, until the server objects. Only time in which the pace really held requests back counts.

All of it is arithmetic that is told the time, in seconds of the loop's clock.
"""

from __future__ import annotations

from math import exp, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["OWN_PAUSE", "Learner", "Tally"]

OWN_PAUSE = 0.15  # seconds, when the server refuses without saying for how long
LONG_PAUSE = 2.0  # seconds; a bucket asks for a second at most, what asks for more is a window
PRIOR_BURST = 0.1  # seconds' worth of the rate that a bucket holds, until two refusals have told
LEAST_GUESS = 50.0  # requests per second; guessing too high costs one more refusal, too low costs many seconds
WINDOW_SPAN = 1.0  # seconds: so much at least is taken for the time in which the first were accepted
LEAST_PACE = 0.2  # requests per second; slower saves nothing: a refusal pauses everybody, and costs one request
LONGEST_PROBE = 10.0  # seconds between two looks at a server that refuses everything
CAUTION = 0.98  # of an estimate
SPENDING = 1.03  # of an estimate, while the tokens saved during a pause last
WINDOW_HASTE = 1.5  # of the rate of a server that counts in windows
LONGEST_HOLD = 30.0  # seconds for which an estimate is believed
LOW_HOLD = 4.0  # the same for some minutes after the limit fell: it may come back
RISE = 0.05  # after that the pace rises by exp(RISE * seconds^2): 5 % in a second, 22 % in two, 57 % in three
LONGEST_RISE = 8.0  # seconds, which is to 25 times the estimate
ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0, 10.0)


class Tally:
    """How many requests were accepted, by the time of sending: two histograms of 64 bins, the older and the newer half.

    A histogram doubles the width of its bins when it is full, and becomes the older one when it has seen enough.
    """

    __slots__ = ("_bins", "_last", "_older", "_origin", "_seen", "_width", "start", "total")
    BINS = 64

    def __init__(self, start: float) -> None:
        self.start = start
        self.total = 0
        self._last = start
        self._older: tuple[list[int], float, float] | None = None
        self._renew(start)

    def _renew(self, origin: float) -> None:
        self._bins, self._origin, self._width, self._seen = [0] * self.BINS, origin, 1 / 1024, 0

    def add(self, time: float, gap: float, enough: float) -> None:
        """Count one; the past is forgotten after a `gap` without any, and thinned after `enough` seconds."""
        if time - self._last > gap:
            self.start, self.total, self._older = time, 0, None
            self._renew(time)
        elif time - self._origin > enough and self._seen >= self.BINS:
            self._older = self._bins, self._origin, self._width
            self._renew(time)
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
        """Yield (accepted, seconds) of the spans that end at `time`, the shortest first."""
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


def _round(rate: float, tolerance: float) -> float:
    """Return the nearest round figure if it is within the tolerance: people configure round limits."""
    if rate <= 0.0:
        return 0.0
    scale = 10.0 ** (log10(rate) // 1)
    best = min((figure * scale for figure in ROUND), key=lambda figure: max(figure / rate, rate / figure))
    return best if abs(best / rate - 1) <= tolerance else rate


def _is_near(one: float | None, other: float) -> bool:
    return one is not None and 0.7 < one / other < 1.4


class Learner:
    """Concludes from accepted and refused requests what the server allows."""

    def __init__(self, believed: float | None = None) -> None:
        """Begin to learn.

        Args:
            believed: The rate that was taken for right until it was refused again and again; None: there is none.
        """
        self.ceiling: float | None = None  # requests per second that the server is believed to allow
        self.tally: Tally | None = None  # of this epoch: from the end of one pause to the end of the next
        self.droughts = 0  # epochs in a row in which nothing was accepted
        self._factor = 1.0  # of the ceiling at which requests leave
        self._busy = 0.0  # seconds of this epoch in which the pace was what held requests back
        self._saved = 0.0  # busy seconds for which tokens saved during the pause can be spent
        self._hold = 0.0  # busy seconds for which the ceiling is believed
        self._spared: float | None = None  # the ceiling before a refusal that came while few were sent
        self._peak = believed or 0.0  # the highest ceiling that was confirmed, slowly forgotten
        self._first: tuple[Tally, float] | None = None  # epoch and time of the first refusal: from a full bucket
        self._starts_full = believed is None
        self._burst = max((believed or 0.0) * PRIOR_BURST, 1.0)  # tokens that the bucket holds
        self._emptied: float | None = None  # when the bucket was last known to be empty
        self._cycle: tuple[int, float] | None = None  # accepted in, and start of, the last epoch that was not dry
        self._alike = 0  # cycles in a row that had about as many as the one before
        self._enough_alike = 1  # so many make a window; more, when that was wrong before
        self._span: float | None = None  # seconds from the start of the last cycle to that of the next
        self._period: float | None = None  # seconds, when the server counts in windows
        self._renewal = False  # the next accepted request is the first of a new window

    def begin(self, now: float) -> None:
        """Begin an epoch."""
        self.tally = Tally(now)
        self._busy = 0.0

    def forget_times(self) -> None:
        """Keep what was learned and drop what hangs on a clock."""
        self.tally = self._first = self._emptied = self._cycle = self._span = None
        self.droughts, self._renewal, self._alike = 0, False, 0

    def pace(self) -> float | None:
        """Return the ceiling, or more when it has been quiet for so long that the limit may have risen."""
        if self.ceiling is None:
            return None
        factor = SPENDING if self._busy < self._saved else self._factor
        over = min(max(self._busy - self._hold, 0.0), LONGEST_RISE)
        return max(self.ceiling * factor * exp(RISE * over * over), LEAST_PACE)

    def held_back(self, seconds: float) -> None:
        """Note that the pace held a request back."""
        self._busy += seconds

    def accepted(self, permit: float) -> None:
        """Count a request; those sent before this epoch belong to the last and are no news."""
        tally = self.tally
        if tally is None or permit < tally.start:
            return
        if self._renewal or self.droughts >= 2:
            self._note_window(permit)
        self.droughts, self._renewal = 0, False
        if self.ceiling is None:
            tally.add(permit, 1.0, 4.0)
        else:
            tally.add(permit, 10.0, LONGEST_HOLD)

    def own_pause(self, now: float) -> float:
        """Return the seconds to wait after a refusal that did not say how long."""
        if self.tally is None or not self.tally.total:
            gone = now - (self._emptied if self._emptied is not None else now)
            return min(OWN_PAUSE * 1.5 ** min(self.droughts, 30), max(1.0, 0.1 * gone), LONGEST_PROBE)
        if self._period is not None:
            # A little early on purpose: the one refusal that this costs keeps the length of the window honest.
            return max(OWN_PAUSE, 0.9 * self._period - (now - self.tally.start))
        return OWN_PAUSE

    def settle(self, hit: float, until: float) -> None:
        """Conclude from an epoch that ended with a refusal of a request sent at `hit` and a pause `until`."""
        tally = self.tally
        if tally is None:
            return
        if not tally.total:
            self.droughts += 1
            if self.droughts == 2 and self._spared is not None:
                # It refuses everything: that says nothing of the rate.
                self.ceiling, self._spared = self._spared, None
            return
        alike = self._cycle is not None and 0.5 * self._cycle[0] < tally.total < 1.5 * self._cycle[0]
        self._alike = self._alike + 1 if alike else 0
        cycle = tally.total, tally.start
        if self._period is not None and alike:
            self._renewal = True
        else:
            if self._period is not None:
                self._period, self._enough_alike = None, min(2 * self._enough_alike, 16)
            self._renewal = until - hit > LONG_PAUSE
            if self.ceiling is None:
                cycle = self._guess(tally, hit, until)
            else:
                self._estimate(self.ceiling, tally, hit, until)
        self._cycle, self._emptied = cycle, hit

    def _guess(self, tally: Tally, hit: float, until: float) -> tuple[int, float]:
        """Conclude from the first refusal, which cannot tell burst and rate apart; return the cycle that it ended."""
        pause = until - hit
        # A long pause may be that of a window, which takes as many again however fast they come: until that is known,
        # what was taken before is the better guide. It may as well be one refusal of a server without any limit.
        rate, count, span = _steepest(tally.before(hit), 0.5, PRIOR_BURST if pause <= LONG_PAUSE else WINDOW_SPAN)
        # The shorter the span the more of the rate is guesswork, and the better a round figure is.
        self.ceiling = max(_round(rate, min(max(0.05 / max(span, 0.001), 0.05), 0.3)), LEAST_GUESS)
        self._saved = self._seconds_saved(PRIOR_BURST, pause)
        self._first = (tally, hit) if self._starts_full else None
        self._hold = min(max(float(count), 1.0), 10.0)
        count, span = max(tally.before(hit), default=(count, span))
        return count, hit - span

    def _estimate(self, before: float, tally: Tally, hit: float, until: float) -> None:
        """Conclude from a later refusal: the highest rate that any span up to it, and the burst, leave possible."""
        rate, length = before, hit - tally.start
        empty_for = hit - (self._emptied if self._emptied is not None else tally.start)
        # An error of the burst weighs the more the shorter the span.
        spans = [(count, span) for count, span in tally.before(hit) if span >= min(0.25 * length, 1.0)]
        if self._first is None and self._busy < self._hold and max(length, LONG_PAUSE) < until - hit:
            # Refused before it was believed, which costs more than it brought: the bucket holds more than we thought.
            self._burst = max(self._burst, min(2 * self._burst, before))
        for _ in range(4):  # the burst depends on the rate, and the rate on the burst: this converges at once
            if self._first is not None:
                full = self._first[0].before(self._first[1])
                self._burst = max([1.0, *(count - rate * span for count, span in full)])
            rate = max((tally.total + 0.5) / empty_for, _steepest(spans, -self._burst, 0.0)[0])
        if self._first is not None and self._burst == 1.0:
            # What was refused first came slower than the limit, and so tells nothing of the bucket.
            self._burst = max(rate * PRIOR_BURST, 1.0)
        self._first = None
        self._spared = None
        if length > 2.0 and self._busy < 0.5 * length:
            rate, self._spared = max(rate, 0.7 * before), before  # few were accepted because few were sent
        self.ceiling = rate = _round(rate, 0.03)
        self._factor = CAUTION
        pause = until - hit
        self._saved = 0.0 if self._renewal else self._seconds_saved(self._burst / rate, pause)
        # Believed for longer each time it is confirmed, and the longer the dearer the refusal that ends it.
        hold = 4 * length
        if abs(rate / before - 1) < 0.06:
            self._peak = max(0.9 * self._peak, rate)
            hold = 2 * self._hold
        longest = LOW_HOLD if rate < 0.8 * self._peak else LONGEST_HOLD
        self._hold = min(max(hold, pause, 1.0), longest * max(pause, 1.0))

    @staticmethod
    def _seconds_saved(burst: float, pause: float) -> float:
        """Return how long half of what the bucket has gained lasts; burst in seconds' worth of the rate."""
        return 0.5 * min(burst, pause) / (SPENDING - 1)

    def _note_window(self, permit: float) -> None:
        """Note that a new window may have begun: what the last one took, over its length, is the rate.

        One refusal that lasts is no window: an overloaded server refuses for a while, too. Two of a length, after
        about as many requests, are.
        """
        if self._cycle is None or not self._cycle[0] or permit <= self._cycle[1]:
            return
        count, start = self._cycle
        before, self._span = self._span, permit - start
        if self._period is None and not (self._alike >= self._enough_alike and _is_near(before, self._span)):
            return
        self._period = self._hold = self._span
        self.ceiling = count / self._period
        self._factor, self._saved = WINDOW_HASTE, 0.0
