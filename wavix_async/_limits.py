"""When may the next request leave? Pacing, the shared pause, and a limit that nobody has told us.

**Pacing** is GCRA: one float, the theoretical arrival time (`_tat`), says when the next request is due, and each
request moves it on by `1 / rate`. That is exact, O(1), needs no bucket that is filled by a timer, and tells a
caller at once how long it will wait. Callers wait in one queue, first come first served, and *one* timer releases
its head when it is due. So a pause, a new rate or a cancelled caller changes nothing but the time of that timer,
and nobody wakes in a herd.

**The pause** is shared: one 429 concerns everybody who uses the same key. Nobody leaves before it is over, not even
who had been released in the same instant. One pause is one *epoch*; a refusal of a request sent before the epoch
tells nothing new (one cut per round trip), though the wait that it asks for still counts. A configured rate is
paused, never cut.

**The rate is learned** when it is not configured. Until the first refusal nothing is paced, only the number in
flight grows from 4 with every answer (a slow start), so that finding a limit costs few refusals and finding none
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
  (500 per 10 s). What one cycle took over its length is the rate; the pace is somewhat higher, because what a
  window has left at its end is lost.
- An estimate is believed for a time that grows with the evidence (`_hold`), then the pace rises, slowly and then
  faster, until the server objects. Only time in which the pace really held requests back counts.

**Headers** that say what is left (`Allowance`) are better than all that: who never sends more than is left is never
refused.

`Gate` is arithmetic and is told the time; `Limiter` is its asyncio half. Times are seconds of the loop's clock
throughout.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections import deque
from math import exp, inf, log10
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wavix_async._headers import RateHint

__all__ = ["Gate", "LimitSnapshot", "Limiter", "WaitTooLong"]

FIRST_WINDOW = 4.0  # requests in flight at the start
LATER_WINDOW = 16.0  # the same after a pause that the server has measured, when a rate is known
WINDOW_GROWTH = 0.5  # per answer: half as large again every round trip
WINDOW_GONE = 150.0  # a window of this size has seen hundreds of answers and no refusal: there is nothing to find
LATE = 0.005  # seconds of a timer's lateness that are made good by releasing several at once
OWN_PAUSE = 0.15  # seconds, when the server refuses without saying for how long
LONG_PAUSE = 2.0  # seconds; a bucket asks for a second at most, what asks for more is a window

PRIOR_BURST = 0.1  # seconds' worth of the rate that a bucket holds, until two refusals have told
LEAST_GUESS = 50.0  # requests per second; guessing too high costs one more refusal, too low costs many seconds
CAUTION = 0.98  # of an estimate
SPENDING = 1.03  # of an estimate, while the tokens saved during a pause last
WINDOW_HASTE = 1.5  # of the rate of a server that counts in windows
LONGEST_HOLD = 30.0  # seconds for which an estimate is believed
LOW_HOLD = 4.0  # the same for some minutes after the limit fell: it may come back
RISE = (
    0.05  # exponent per squared second at which the pace rises after that: 5 % in a second, 22 % in two, 57 % in three
)
ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0, 10.0)
LONG_RESET = 60.0  # seconds; an allowance for longer (a day) is used up as fast as one likes, not spread evenly


class WaitTooLong(Exception):  # noqa: N818  (never leaves the package)
    """The wait for the rate cannot fit the deadline; raised at once, nothing was sent."""

    def __init__(self, wait: float, *, paused: bool) -> None:
        super().__init__(wait)
        self.wait = wait
        self.paused = paused


@attrs.frozen
class LimitSnapshot:
    """What the limiter knows and does at one moment."""

    rate: float | None
    """Requests per second that are let through now; None when nothing is held back."""

    source: Literal["configured", "learned", "unlimited"]
    """Where the rate comes from: set by the user, learned from refusals or headers, or there is none."""

    paused_for: float
    """Seconds until the pause that the server asked for is over; 0.0 when there is none."""

    waiting: int
    """Callers that wait for their turn."""

    in_flight: int
    """Requests sent whose answer has not come yet."""

    accepted: int
    """Requests that the server took, since the limiter was made."""

    refused: int
    """Requests that the server refused with a 429, since the limiter was made."""


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
        index = max(int((time - self._origin) / self._width), 0)
        while index >= self.BINS:
            pairs = zip(self._bins[::2], self._bins[1::2], strict=True)
            self._bins = [a + b for a, b in pairs] + [0] * (self.BINS // 2)
            self._width *= 2
            index >>= 1
        self._bins[index] += 1
        self._seen += 1
        self.total += 1
        self._last = max(self._last, time)

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
    scale = 10.0 ** (log10(rate) // 1)
    best = min((figure * scale for figure in ROUND), key=lambda figure: max(figure / rate, rate / figure))
    return best if abs(best / rate - 1) <= tolerance else rate


class Learner:
    """Concludes from accepted and refused requests what the server allows."""

    def __init__(self) -> None:
        self.ceiling: float | None = None  # requests per second that the server is believed to allow
        self.tally: Tally | None = None  # of this epoch: from the end of one pause to the end of the next
        self.droughts = 0  # epochs in a row in which nothing was accepted
        self._factor = 1.0  # of the ceiling at which requests leave
        self._busy = 0.0  # seconds of this epoch in which the pace was what held requests back
        self._saved = 0.0  # busy seconds for which tokens saved during the pause can be spent
        self._hold = 0.0  # busy seconds for which the ceiling is believed
        self._peak = 0.0  # the highest ceiling that was confirmed, slowly forgotten
        self._first: tuple[Tally, float] | None = None  # epoch and time of the first refusal: from a full bucket
        self._burst = 1.0  # tokens that the bucket holds
        self._emptied: float | None = None  # when the bucket was last known to be empty
        self._cycle: tuple[int, float] | None = None  # accepted in, and start of, the last epoch that was not dry
        self._period: float | None = None  # seconds, when the server counts in windows
        self._renewal = False  # the next accepted request is the first of a new window

    def begin(self, now: float) -> None:
        """Begin an epoch."""
        self.tally = Tally(now)
        self._busy = 0.0

    def forget_times(self) -> None:
        """Keep what was learned and drop what hangs on a clock."""
        self.tally = self._first = self._emptied = self._cycle = None
        self.droughts, self._renewal = 0, False

    def pace(self) -> float | None:
        """Return the ceiling, or more when it has been quiet for so long that the limit may have risen."""
        if self.ceiling is None:
            return None
        if self._busy < self._saved:
            return self.ceiling * SPENDING
        over = min(max(self._busy - self._hold, 0.0), 8.0)
        return self.ceiling * self._factor * exp(RISE * over * over)

    def held_back(self, seconds: float) -> None:
        """Note that the pace held a request back."""
        self._busy += seconds

    def accepted(self, ticket: float) -> None:
        """Count a request; those sent before this epoch belong to the last and are no news."""
        tally = self.tally
        if tally is None or ticket < tally.start:
            return
        if self._renewal or self.droughts >= 2:
            self._note_window(ticket)
        self.droughts, self._renewal = 0, False
        if self.ceiling is None:
            tally.add(ticket, 1.0, 4.0)
        else:
            tally.add(ticket, 10.0, LONGEST_HOLD)

    def own_pause(self, now: float) -> float:
        """Return the seconds to wait after a refusal that did not say how long."""
        if self.tally is None or not self.tally.total:
            gone = now - (self._emptied if self._emptied is not None else now)
            return min(OWN_PAUSE * 1.5 ** min(self.droughts, 30), max(1.0, 0.1 * gone))
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
            return
        alike = self._cycle is None or 0.5 < tally.total / self._cycle[0] < 1.5
        cycle = tally.total, tally.start
        if self._period is not None and alike:
            self._renewal = True
        else:
            self._period = None
            self._renewal = until - hit > LONG_PAUSE and alike
            if self.ceiling is None:
                cycle = self._guess(tally, hit, until)
            else:
                self._estimate(self.ceiling, tally, hit, until)
        self._cycle, self._emptied = cycle, hit

    def _guess(self, tally: Tally, hit: float, until: float) -> tuple[int, float]:
        """Conclude from the first refusal, which cannot tell burst and rate apart; return the cycle that it ended."""
        pause = until - hit
        rate, count, span = _steepest(tally.before(hit), 0.5, pause if pause > LONG_PAUSE else PRIOR_BURST)
        if pause > LONG_PAUSE:
            self.ceiling = rate
        else:
            # The shorter the span the more of the rate is guesswork, and the better a round figure is.
            self.ceiling = max(_round(rate, min(max(0.05 / max(span, 0.001), 0.05), 0.3)), LEAST_GUESS)
            self._saved = self._seconds_saved(PRIOR_BURST, pause)
        self._first = tally, hit
        self._hold = min(max(float(count), 1.0), 10.0)
        if pause <= LONG_PAUSE:
            count, span = max(tally.before(hit), default=(count, span))
        return count, hit - span

    def _estimate(self, before: float, tally: Tally, hit: float, until: float) -> None:
        """Conclude from a later refusal: the highest rate that any span up to it, and the burst, leave possible."""
        rate, length = before, hit - tally.start
        empty_for = hit - (self._emptied if self._emptied is not None else tally.start)
        # An error of the burst weighs the more the shorter the span.
        spans = [(count, span) for count, span in tally.before(hit) if span >= min(0.25 * length, 1.0)]
        for _ in range(4):  # the burst depends on the rate, and the rate on the burst: this converges at once
            if self._first is not None:
                full = self._first[0].before(self._first[1])
                self._burst = max([1.0, *(count - rate * span for count, span in full)])
            rate = max((tally.total + 0.5) / empty_for, _steepest(spans, -self._burst, 0.0)[0])
        self._first = None
        if length > 2.0 and self._busy < 0.5 * length:
            rate = max(rate, 0.7 * before)  # few were accepted because few were sent
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

    def _note_window(self, ticket: float) -> None:
        """Note that a new window began: what the last one took, over its length, is the rate."""
        if self._cycle is None or ticket <= self._cycle[1]:
            return
        count, start = self._cycle
        self._period = self._hold = ticket - start
        self.ceiling = count / self._period
        self._factor, self._saved = WINDOW_HASTE, 0.0


class Allowance:
    """What the headers say is left. Nothing is sent that they say would be refused."""

    def __init__(self) -> None:
        self.left = inf  # requests, counting down as they leave
        self.pace = inf  # requests per second that spread what is left
        self._until = -inf
        self._eager = 1.0

    def heed(self, now: float, hint: RateHint, in_flight: int) -> None:
        """Take over what an answer said; it could not know of those that are still under way."""
        if hint.remaining is None:
            return
        reset = next((value for value in (hint.reset, hint.window) if value is not None), 1.0)
        self.left, self._until = hint.remaining - in_flight, now + reset
        self.pace = inf
        if reset <= LONG_RESET:
            self.pace = max(hint.remaining, 1.0) / max(reset, 0.05)
            if hint.limit and hint.window:
                self.pace = max(self.pace, hint.limit / hint.window)
            elif hint.limit:
                # A bucket that stays full is filled faster than it is used; a window has it all at its beginning.
                full = hint.remaining > 0.75 * hint.limit
                self._eager = min(self._eager * 1.02, 1e3) if full else max(self._eager / 1.05, 1.0)
                self.pace *= self._eager

    def ready(self, now: float) -> float:
        """Return when one may leave."""
        return self._until if self.left < 1.0 and now < self._until else -inf

    def used_up(self, now: float) -> bool:
        """Tell whether nothing was left and the reset is past: then all of it is unknown again."""
        return self.left < 1.0 and now >= self._until


class Gate:
    """The arithmetic: no clock of its own, no loop, no waiting; every method is told what time it is."""

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self.learner = Learner()
        self.allowance = Allowance()
        self.window = FIRST_WINDOW if rate is None else inf  # requests that may be in flight
        self.paused_until = -inf
        self.in_flight = 0
        self.accepted_count = 0
        self.refused_count = 0
        self._tat = -inf
        self._epoch = -inf  # the end of the last pause
        self._hit: float | None = None  # the last request of this epoch that was refused, by time of sending
        self._told = False  # whether the server said how long to pause

    @property
    def is_open(self) -> bool:
        """Whether nothing at all holds requests back."""
        return (
            self.window == inf
            and self.rate is None
            and self.learner.ceiling is None
            and self.learner.tally is not None
            and self.paused_until == -inf
            and self.allowance.left == inf
        )

    def pace(self) -> float | None:
        """Return the requests per second let through now, None when there is no limit."""
        pace = self.rate if self.rate is not None else self.learner.pace()
        if self.allowance.pace == inf:
            return pace
        return self.allowance.pace if pace is None else min(pace, self.allowance.pace)

    def next_time(self, now: float) -> float:
        """Return when the next request may leave; `inf` when only an answer can tell."""
        return inf if self.in_flight >= self.window else self.earliest(now)

    def earliest(self, now: float) -> float:
        """Return when the next request may leave if the answers that it waits for come at once."""
        return max(self._tat, self.paused_until, self.allowance.ready(now))

    def send(self, now: float, late: float = 0.0) -> float:
        """Take the place of the next request, which leaves now; up to `late` seconds of delay are made good."""
        due = max(self._tat, self.paused_until, now - late)
        if self.paused_until != -inf:
            self._resume(now)
        if self.learner.tally is None:
            self.learner.begin(now)
        if self.allowance.used_up(now):
            self.allowance = Allowance()
            self.window = min(self.window, FIRST_WINDOW)
        self.allowance.left -= 1.0
        self.in_flight += 1
        pace = self.pace()
        if pace is not None:
            if now - self._tat < 1.0 / pace:
                self.learner.held_back(1.0 / pace)
            self._tat = due + 1.0 / pace
        return now

    def _resume(self, now: float) -> None:
        """Begin the epoch after a pause, with few in flight at first."""
        hit, until = self._hit, self.paused_until
        self._hit, self.paused_until, self._epoch = None, -inf, now
        if self.rate is None:
            self.window = FIRST_WINDOW
            if hit is not None:
                self.learner.settle(hit, until)
                self.learner.begin(now)
                self.window = 1.0 if self.learner.droughts else LATER_WINDOW if self._told else FIRST_WINDOW

    def unsend(self) -> None:
        """Give the place back: the request never left."""
        self.abandoned()
        self.allowance.left += 1.0
        pace = self.pace()
        if pace is not None:
            self._tat -= 1.0 / pace

    def abandoned(self) -> None:
        """Note that no verdict will come."""
        self.in_flight = max(self.in_flight - 1, 0)

    def accepted(self, ticket: float) -> None:
        """Note that the server took a request."""
        self.in_flight = max(self.in_flight - 1, 0)
        self.accepted_count += 1
        if self.rate is None:
            self.learner.accepted(ticket)
            if self.window != inf:
                self.window += WINDOW_GROWTH
                if self.window >= WINDOW_GONE:
                    self.window = inf

    def refused(self, ticket: float, now: float, retry_after: float | None) -> bool:
        """Note a 429; tell whether it began a pause, which only the first of an epoch does."""
        self.in_flight = max(self.in_flight - 1, 0)
        self.refused_count += 1
        fresh = ticket >= self._epoch and self._hit is None
        if retry_after is not None:
            self.pause(now, retry_after)
        if fresh:
            self._told = bool(retry_after)
            # Who refuses again right after the pause that it asked for does not know better than we do.
            if not self._told or self.learner.droughts:
                self.pause(now, self.learner.own_pause(now) if self.rate is None else OWN_PAUSE)
        if ticket >= self._epoch:
            self._hit = ticket if self._hit is None else max(ticket, self._hit)
        return fresh

    def pause(self, now: float, seconds: float) -> None:
        """Let nobody leave for so long; a pause is never made shorter."""
        self.paused_until = max(self.paused_until, now + max(seconds, 0.0))

    def shift(self, seconds: float) -> None:
        """Move to a clock that is so far ahead; requests that were in flight by the old one are gone."""
        self._tat += seconds
        self.paused_until += seconds
        self._epoch, self._hit, self.in_flight = -inf, None, 0
        self.allowance = Allowance()
        self.learner.forget_times()


Waiter = tuple["asyncio.Future[float]", float]
"""Who waits: resolved with the ticket, and the loop time after which that would be of no use."""


class Limiter:
    """Holds requests back so that the server need not refuse them.

    Every request takes a ticket (`try_acquire`, else `acquire`) and closes it once, as `accepted`, `refused` or
    `abandoned`.
    """

    def __init__(self, rate: float | None = None, *, on_event: Callable[[str, float], None] | None = None) -> None:
        """Make a limiter; a loop is needed only when it is used.

        Args:
            rate: Requests per second; None learns it.
            on_event: Called with ("pause", seconds) when a pause begins and ("rate", requests per second) when a new
                rate was learned.
        """
        self._gate = Gate(rate)
        self._on_event = on_event
        self._waiters: deque[Waiter] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._reported: float | None = None
        self._open = False  # nothing is limited and nobody waits: the path of a server without limits

    def try_acquire(self) -> float | None:
        """Return a ticket if a request may leave this instant, None when one must wait."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        now = loop.time()
        if self._open:
            self._gate.in_flight += 1
            return now
        if self._waiters or self._gate.next_time(now) > now:
            return None
        return self._send(now)

    async def acquire(self, deadline: float | None = None) -> float:
        """Wait for the turn of one request, first come first served, and return its ticket.

        Args:
            deadline: Loop time after which the ticket is of no use; None waits as long as it takes.

        Raises:
            WaitTooLong: At once, when the wait as it is known now goes beyond the deadline; later, when a pause begins
                that does, or when the answers that one waits for have not come by then.
        """
        ticket = self.try_acquire()
        if ticket is not None:
            return ticket
        limit = inf if deadline is None else deadline
        self._check_fits(limit)
        ticket = await self._turn((get_running_loop().create_future(), limit), self._waiters.append)
        while self.is_paused():
            # A pause began between our release and our waking: nobody may leave now, so back to the head of the queue.
            self._gate.unsend()
            self._check_fits(limit)
            ticket = await self._turn((get_running_loop().create_future(), limit), self._waiters.appendleft)
        return ticket

    def accepted(self, ticket: float) -> None:
        """Close a ticket: the server took the request, whatever else it said."""
        self._gate.accepted(ticket)
        if not self._open:
            self._pump()

    def refused(self, ticket: float, retry_after: float | None = None) -> None:
        """Close a ticket: the server refused the request with a 429.

        Args:
            ticket: What `acquire` returned.
            retry_after: Seconds that the server asked to wait, None when it did not say.
        """
        self._paused(self._gate.refused(ticket, self._now(), retry_after))

    def abandoned(self, ticket: float) -> None:  # noqa: ARG002  (closing takes the ticket, whatever the end)
        """Close a ticket without a verdict: the request was never sent, or no answer came."""
        self._gate.abandoned()
        self._pump()

    def pause(self, seconds: float) -> None:
        """Let nobody leave for so many seconds, without concluding anything about the rate."""
        began = not self.is_paused()
        self._gate.pause(self._now(), seconds)
        self._paused(began)

    def hint(self, hint: RateHint) -> None:
        """Heed what the headers of an answer said about the allowance left."""
        self._gate.allowance.heed(self._now(), hint, self._gate.in_flight)
        self._pump()

    def is_paused(self) -> bool:
        """Tell whether a pause is on."""
        return self._loop is not None and self._gate.paused_until > self._now()

    def snapshot(self) -> LimitSnapshot:
        """Return what the limiter knows and does now."""
        gate = self._gate
        rate = gate.pace()
        return LimitSnapshot(
            rate=rate,
            source="unlimited" if rate is None else "learned" if gate.rate is None else "configured",
            paused_for=0.0 if self._loop is None else max(gate.paused_until - self._loop.time(), 0.0),
            waiting=len(self._waiters),
            in_flight=gate.in_flight,
            accepted=gate.accepted_count,
            refused=gate.refused_count,
        )

    async def _turn(self, waiter: Waiter, enqueue: Callable[[Waiter], None]) -> float:
        future, deadline = waiter
        alarm = get_running_loop().call_at(deadline, self._expire, waiter) if deadline < inf else None
        enqueue(waiter)
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._gate.unsend()
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            self._pump()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()

    def _expire(self, waiter: Waiter) -> None:
        """Fail who waited for answers that did not come: that was no wait to be foreseen."""
        if waiter in self._waiters and not waiter[0].done():
            self._waiters.remove(waiter)
            self._fail(waiter)
            self._pump()

    def _fail(self, waiter: Waiter) -> None:
        if not waiter[0].done():
            now = self._now()
            waiter[0].set_exception(self._too_long(max(self._gate.earliest(now) - now, 0.0), now))

    def _too_long(self, wait: float, now: float) -> WaitTooLong:
        return WaitTooLong(wait, paused=self._gate.paused_until > now)

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        # Waiters and timers of a dead loop can never run; its clock still tells how far the two are apart.
        if self._loop is not None:
            self._gate.shift(loop.time() - self._loop.time())
        self._waiters = deque()
        self._timer, self._timer_at = None, inf
        self._loop = loop
        self._open = False

    def _now(self) -> float:
        if self._loop is None:
            self._bind(get_running_loop())
            return self._now()
        return self._loop.time()

    def _send(self, now: float, late: float = 0.0) -> float:
        ticket = self._gate.send(now, late)
        rate = self._gate.learner.ceiling
        if rate is not None and rate != self._reported:
            self._reported = rate
            if self._on_event is not None:
                self._on_event("rate", rate)
        return ticket

    def _paused(self, began: bool) -> None:
        until, now = self._gate.paused_until, self._now()
        if began and self._on_event is not None:
            self._on_event("pause", until - now)
        for waiter in [waiter for waiter in self._waiters if waiter[1] < until]:
            self._waiters.remove(waiter)
            self._fail(waiter)
        self._pump()

    def _check_fits(self, deadline: float) -> None:
        if deadline == inf:
            return
        now, pace = self._now(), self._gate.pace()
        due = max(self._gate.earliest(now), now)
        if pace is not None:
            due += len(self._waiters) / pace
        if due > deadline:
            raise self._too_long(due - now, now)

    def _pump(self, late: float = 0.0) -> None:
        """Release whoever may leave now, in order, and set the one timer for the next."""
        loop, waiters, gate = self._loop, self._waiters, self._gate
        if loop is None:
            return
        now = loop.time()
        due = inf
        while waiters:
            future, deadline = waiters[0]
            due = gate.next_time(now)
            if due > now and (due == inf or due <= deadline) and not future.done():
                break
            waiter = waiters.popleft()
            if due > now:
                self._fail(waiter)
            elif not future.done():
                future.set_result(self._send(now, late))
        self._arm(loop, due if waiters else inf)
        self._open = not waiters and gate.is_open

    def _arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if at != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer, self._timer_at = loop.call_at(at, self._tick) if at < inf else None, at

    def _tick(self) -> None:
        self._timer, self._timer_at = None, inf
        self._pump(LATE)
