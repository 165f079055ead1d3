"""When may the next request leave? (docstring to be written)"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections import deque
from math import exp, inf, log10
from typing import TYPE_CHECKING, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wavix_async._headers import RateHint

__all__ = ["Gate", "LimitSnapshot", "Limiter", "WaitTooLong"]

PRIOR_BURST = 0.1  # seconds' worth of the rate that a bucket holds, until two refusals have told
FIRST_WINDOW = 4.0  # requests in flight at the start and after every pause
WINDOW_GROWTH = 0.5  # per accepted answer
WINDOW_GONE = 150.0  # a window of this size has seen some 300 answers and no refusal: there is nothing to find
LATE = 0.01  # seconds by which a late timer may be made good by releasing several at once
OWN_PAUSE = 0.15  # seconds, when the server refuses without saying for how long
LONG_PAUSE = 2.0  # seconds; a bucket asks for a second at most, what asks for more is a window
TRUST_GUESS = 10.0
ROUND = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.5, 8.0, 10.0)
LEAST_GUESS = 50.0
WINDOW_HASTE = 1.25
LONG_WINDOW = 60.0
import os
DEBUG = bool(os.environ.get("DEBUG"))


class WaitTooLong(Exception):  # noqa: N818
    """The wait for the rate cannot fit the deadline; raised at once, nothing was sent."""

    def __init__(self, wait: float, *, paused: bool) -> None:
        super().__init__(wait, paused)
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
    """How many requests were accepted, by the time of sending, in 64 bins whose width doubles when they are full."""

    __slots__ = ("bins", "start", "total", "width")
    BINS = 64

    def __init__(self, start: float) -> None:
        self.start = start
        self.width = 1 / 1024
        self.bins = [0] * self.BINS
        self.total = 0

    def add(self, time: float) -> None:
        index = int((time - self.start) / self.width)
        while index >= self.BINS:
            bins = self.bins
            self.bins = [bins[i] + bins[i + 1] for i in range(0, self.BINS, 2)] + [0] * (self.BINS // 2)
            self.width *= 2
            index >>= 1
        self.bins[index] += 1
        self.total += 1

    def before(self, time: float) -> Iterator[tuple[float, int]]:
        """Yield (seconds, accepted) of every span that ends at `time`, the shortest first."""
        count = 0
        for index in range(min(int((time - self.start) / self.width), self.BINS - 1), -1, -1):
            count += self.bins[index]
            yield max(time - (self.start + index * self.width), 1e-6), count


def _snap(rate: float, tolerance: float = inf) -> float:
    """Return the nearest round figure if it is within the tolerance: people configure round limits."""
    scale = 10.0 ** (log10(rate) // 1)
    best = min((figure * scale for figure in ROUND), key=lambda figure: max(figure / rate, rate / figure))
    return best if abs(best / rate - 1) <= tolerance else rate


class Learner:
    """Concludes from accepted and refused requests what the server allows."""

    def __init__(self) -> None:
        self.ceiling: float | None = None  # requests per second that the server is believed to allow
        self.tally: Tally | None = None  # the epoch: from the end of one pause to the end of the next
        self._factor = 1.0
        self._hold = 0.0  # busy seconds for which the ceiling is believed
        self._busy = 0.0  # seconds of this epoch in which the pace was what held requests back
        self._first: tuple[Tally, float] | None = None  # the epoch of the first refusal, from a full bucket
        self._burst = 1.0
        self._peak = 0.0
        self._saved = 0.0
        self._emptied: float | None = None  # when the bucket was last known to be empty
        self._cycle: tuple[int, float] | None = None  # accepted in, and start of, the last epoch that had any
        self._period: float | None = None  # seconds, when the server turned out to count in windows
        self._droughts = 0  # epochs in a row with nothing accepted
        self._renewal = False  # the next accepted request is the first of a new window

    @property
    def dry(self) -> bool:
        """Whether nothing has been accepted since the last refusal."""
        return self._droughts > 0

    def begin(self, now: float) -> None:
        self.tally = Tally(now)
        self._busy = 0.0

    def forget_times(self) -> None:
        self.tally = self._first = self._emptied = self._cycle = None
        self._droughts, self._renewal = 0, False

    def pace(self) -> float | None:
        """Return the ceiling, or more when it has been quiet for so long that the limit may have risen."""
        if self.ceiling is None:
            return None
        over = min(max(self._busy - self._hold, 0.0), 12.0)
        if self._busy < self._saved:
            return self.ceiling * 1.05
        return self.ceiling * self._factor * exp(0.05 * over * over)

    def busy(self, seconds: float) -> None:
        self._busy += seconds

    def accepted(self, ticket: float) -> None:
        tally = self.tally
        if tally is None or ticket < tally.start:
            return
        if self._renewal or self._droughts >= 2:
            self._renew(ticket)
        self._droughts, self._renewal = 0, False
        tally.add(ticket)

    def own_pause(self, now: float) -> float:
        """Return the seconds to wait after a refusal that did not say how long."""
        if self.tally is None or not self.tally.total:
            gone = now - (self._emptied if self._emptied is not None else now)
            return min(OWN_PAUSE * 1.5**self._droughts, max(1.0, 0.1 * gone))
        if self._period is not None:
            return max(OWN_PAUSE, 0.9 * self._period - (now - self.tally.start))
        return OWN_PAUSE

    def settle(self, hit: float, until: float) -> None:
        """Conclude from an epoch that ended with a refusal at `hit` and a pause `until`."""
        tally = self.tally
        if tally is None:
            return
        if not tally.total:
            self._droughts += 1
            return
        if self._period is not None and self._cycle is not None and 0.5 < tally.total / self._cycle[0] < 1.5:
            self._renewal = True
        else:
            before, self._period = self.ceiling, None
            if before is None:
                self._guess(tally, hit, until)
            else:
                self._estimate(before, tally, hit, until - hit)
            self._renewal = until - hit > LONG_PAUSE
            if self.ceiling:
                burst = self.ceiling * PRIOR_BURST if self._first is not None else self._burst
                self._saved = 0.0 if self._renewal else 10 * min(burst / self.ceiling, until - hit)
        self._cycle, self._emptied = (tally.total, tally.start), hit

    def _guess(self, tally: Tally, hit: float, until: float) -> None:
        self._first = tally, hit
        self._hold = min(max(float(tally.total), 1.0), TRUST_GUESS)
        if until - hit > LONG_PAUSE:
            self.ceiling = tally.total / (until - tally.start)
            return
        rate = max((count + 0.5) / (span + PRIOR_BURST) for span, count in tally.before(hit))
        if DEBUG: print("raw", rate, tally.total, hit-tally.start)
        self.ceiling = max(_snap(rate, max(0.05, min(0.3, 0.05 / max(hit - tally.start, 0.001)))), LEAST_GUESS)

    def _estimate(self, before: float, tally: Tally, hit: float, pause: float) -> None:
        rate = before
        since = hit - (self._emptied if self._emptied is not None else tally.start)
        for _ in range(4):
            if self._first is not None:
                first, at = self._first
                self._burst = max([1.0, *(count - rate * span for span, count in first.before(at))])
            rate = max((tally.total + 0.5) / since, *((count - self._burst) / span for span, count in tally.before(hit)))
        self._first = None
        self.ceiling = rate = _snap(rate, 0.03)
        self._factor = 0.98
        settled = abs(rate / before - 1) < 0.06
        self._peak = max(self._peak, rate)
        longest = (30.0 if rate > 0.8 * self._peak else 8.0) * max(pause, 1.0)
        self._hold = min(max(2 * self._hold if settled else 4 * (hit - tally.start), 1.0, pause), longest)

    def _renew(self, ticket: float) -> None:
        """Note that a new window began: what the last one took, over its length, is the rate."""
        if self._cycle is None or ticket <= self._cycle[1]:
            return
        count, start = self._cycle
        self._period = self._hold = ticket - start
        self.ceiling = count / self._period
        self._factor = WINDOW_HASTE
        self._saved = 0.0


class Gate:
    """The arithmetic: no clock of its own, no loop, no waiting; every method is told what time it is."""

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self.learner = Learner()
        self.window = FIRST_WINDOW if rate is None else inf
        self.paused_until = -inf
        self.in_flight = 0
        self.accepted_count = 0
        self.refused_count = 0
        self._tat = -inf
        self._epoch = -inf
        self._hit: float | None = None  # the last refused request of this epoch, by time of sending
        self._credit = inf  # requests that the server's headers say are left
        self._credit_until = -inf
        self._own = False  # whether the pause is of our own making
        self._hinted = inf  # requests per second that the headers recommend
        self._eager = 1.0

    @property
    def is_open(self) -> bool:
        """Whether nothing at all holds requests back."""
        return (
            self.rate is None
            and self.learner.ceiling is None
            and self.window == inf
            and self.paused_until == -inf
            and self._credit == inf
            and self.learner.tally is not None
        )

    def pace(self) -> float | None:
        """Return the requests per second let through now, None when there is no limit."""
        pace = self.rate if self.rate is not None else self.learner.pace()
        if self._hinted != inf:
            return self._hinted if pace is None else min(pace, self._hinted)
        return pace

    def next_time(self, now: float) -> float:
        """Return when the next request may leave; `inf` when only an answer can tell."""
        if self.in_flight >= self.window:
            return inf
        if self._credit < 1.0:
            if now < self._credit_until:
                return max(self._credit_until, self.paused_until)
            self._credit, self._hinted = inf, inf
            self.window = min(self.window, FIRST_WINDOW)
        return max(self._tat, self.paused_until)

    def send(self, now: float, late: float = 0.0) -> float:
        """Take the place of the next request, which leaves now; `late` is how late a timer may make good."""
        due = max(self._tat, self.paused_until, now - late)
        if self.paused_until != -inf:
            self._resume(now)
        if self.learner.tally is None:
            self.learner.begin(now)
        self.in_flight += 1
        self._credit -= 1.0
        pace = self.pace()
        if pace is not None:
            step = 1.0 / pace
            if now - self._tat < step:
                self.learner.busy(step)
            self._tat = due + step
        return now

    def unsend(self) -> None:
        """Give the place back: the request never left."""
        self.in_flight = max(self.in_flight - 1, 0)
        self._credit += 1.0
        pace = self.pace()
        if pace is not None:
            self._tat -= 1.0 / pace

    def _resume(self, now: float) -> None:
        hit, until = self._hit, self.paused_until
        self._hit, self.paused_until, self._epoch = None, -inf, now
        if self.rate is not None:
            return
        self.window = FIRST_WINDOW
        if hit is not None:
            self.learner.settle(hit, until)
            self.learner.begin(now)
            self.window = 1.0 if self.learner.dry else FIRST_WINDOW if self._own else 4 * FIRST_WINDOW

    def accepted(self, ticket: float) -> None:
        self.in_flight = max(self.in_flight - 1, 0)
        self.accepted_count += 1
        if self.rate is None:
            self.learner.accepted(ticket)
            if self.window != inf:
                self.window += WINDOW_GROWTH
                if self.window >= WINDOW_GONE:
                    self.window = inf

    def abandoned(self) -> None:
        self.in_flight = max(self.in_flight - 1, 0)

    def refused(self, ticket: float, now: float, retry_after: float | None) -> bool:
        """Note a 429; tell whether it began a pause, which only one of each round trip does."""
        self.in_flight = max(self.in_flight - 1, 0)
        self.refused_count += 1
        fresh = False
        if ticket >= self._epoch:
            fresh = self._hit is None
            self._hit = max(ticket, self._hit or -inf)
        if retry_after is not None:
            self.pause(now, retry_after)
        if fresh:
            self._own = not retry_after
        if fresh and self._own:
            self.pause(now, self.learner.own_pause(now) if self.rate is None else OWN_PAUSE)
        return fresh

    def pause(self, now: float, seconds: float) -> None:
        self.paused_until = max(self.paused_until, now + max(seconds, 0.0))

    def hint(self, now: float, hint: RateHint) -> None:
        """Heed what the headers say is left: never send what they say will be refused."""
        if hint.remaining is None:
            return
        reset = hint.reset if hint.reset is not None else hint.window if hint.window is not None else 1.0
        left = hint.remaining - self.in_flight
        self._credit, self._credit_until = left, now + reset
        if reset > LONG_WINDOW:
            self._hinted = inf
            return
        self._hinted = max(hint.remaining, 1.0) / max(reset, 0.05)
        if hint.limit and hint.window:
            self._hinted = max(self._hinted, hint.limit / hint.window)
        elif hint.limit:
            self._eager = self._eager * 1.02 if hint.remaining > 0.75 * hint.limit else max(self._eager / 1.05, 1.0)
            self._hinted *= self._eager

    def shift(self, seconds: float) -> None:
        """Move to another clock; requests that were in flight on the old one are gone."""
        self._tat += seconds
        self.paused_until += seconds
        self._epoch = -inf
        self.in_flight = 0
        self._hit = None
        self._credit, self._credit_until, self._hinted = inf, -inf, inf
        self.learner.forget_times()


class Limiter:
    """Holds requests back so that the server need not refuse them."""

    def __init__(self, rate: float | None = None, *, on_event: Callable[[str, float], None] | None = None) -> None:
        self._gate = Gate(rate)
        self._on_event = on_event
        self._waiters: deque[tuple[asyncio.Future[float], float]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._told: float | None = rate
        self._open = False

    def try_acquire(self) -> float | None:
        """Return a ticket if a request may leave this instant, None when one must wait."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        gate = self._gate
        now = loop.time()
        if self._open:
            gate.in_flight += 1
            return now
        if self._waiters or gate.next_time(now) > now:
            return None
        return self._send(now)

    async def acquire(self, deadline: float | None = None) -> float:
        """Wait for the turn of one request, first come first served, and return its ticket.

        Args:
            deadline: Loop time after which the ticket is of no use; None waits as long as it takes.

        Raises:
            WaitTooLong: At once, when the wait as it is known now goes beyond the deadline.
        """
        ticket = self.try_acquire()
        if ticket is not None:
            return ticket
        limit = inf if deadline is None else deadline
        self._check_fits(limit)
        ticket = await self._turn(limit, self._waiters.append)
        while self.is_paused():
            # A pause began between our release and our waking: nobody may leave now, so back to the head of the queue.
            self._gate.unsend()
            self._check_fits(limit)
            ticket = await self._turn(limit, self._waiters.appendleft)
        return ticket

    async def _turn(self, deadline: float, enqueue: Callable[[tuple[asyncio.Future[float], float]], None]) -> float:
        future: asyncio.Future[float] = get_running_loop().create_future()
        enqueue((future, deadline))
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._gate.unsend()
            self._pump()
            raise

    def accepted(self, ticket: float) -> None:
        """Close a ticket: the server took the request, whatever else it said."""
        self._gate.accepted(ticket)
        if not self._open:
            self._closed()

    def refused(self, ticket: float, retry_after: float | None = None) -> None:
        """Close a ticket: the server refused the request with a 429.

        Args:
            ticket: What `acquire` returned.
            retry_after: Seconds that the server asked to wait, None when it did not say.
        """
        now = self._now()
        self._paused(now, self._gate.refused(ticket, now, retry_after))

    def abandoned(self, ticket: float) -> None:
        """Close a ticket without a verdict: the request was never sent, or no answer came."""
        self._gate.abandoned()
        self._closed()

    def pause(self, seconds: float) -> None:
        """Let nobody leave for so many seconds, without concluding anything about the rate."""
        now = self._now()
        began = not self.is_paused()
        self._gate.pause(now, seconds)
        self._paused(now, began)

    def hint(self, hint: RateHint) -> None:
        """Heed what the headers of an answer said about the allowance left."""
        self._gate.hint(self._now(), hint)
        self._closed()

    def is_paused(self) -> bool:
        """Tell whether a pause is on."""
        return self._gate.paused_until > self._now()

    def snapshot(self) -> LimitSnapshot:
        """Return what the limiter knows and does now."""
        gate = self._gate
        rate = gate.pace()
        return LimitSnapshot(
            rate=rate,
            source="configured" if gate.rate is not None else "unlimited" if rate is None else "learned",
            paused_for=max(gate.paused_until - self._now(), 0.0),
            waiting=sum(not future.done() for future, _ in self._waiters),
            in_flight=gate.in_flight,
            accepted=gate.accepted_count,
            refused=gate.refused_count,
        )

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        # Waiters and timers of a dead loop can never run; its clock still tells how far the two are apart.
        if self._loop is not None:
            self._gate.shift(loop.time() - self._loop.time())
        self._waiters = deque()
        self._timer, self._timer_at = None, inf
        self._loop = loop
        self._open = self._gate.is_open

    def _now(self) -> float:
        return self._loop.time() if self._loop is not None else 0.0

    def _send(self, now: float, late: float = 0.0) -> float:
        ticket = self._gate.send(now, late)
        rate = self._gate.learner.ceiling
        if rate != self._told:
            self._told = rate
            if self._on_event is not None and rate is not None:
                self._on_event("rate", rate)
        return ticket

    def _closed(self) -> None:
        self._open = self._gate.is_open and not self._waiters
        if self._waiters:
            self._pump()

    def _paused(self, now: float, began: bool) -> None:
        self._open = False
        until = self._gate.paused_until
        if began and self._on_event is not None:
            self._on_event("pause", until - now)
        for future, deadline in self._waiters:
            if deadline < until and not future.done():
                future.set_exception(WaitTooLong(until - now, paused=True))
        self._pump()

    def _check_fits(self, deadline: float) -> None:
        if deadline == inf:
            return
        gate, now = self._gate, self._now()
        earliest = gate.next_time(now)
        if earliest == inf:
            earliest = gate.paused_until
        pace = gate.pace()
        if pace is not None:
            earliest = max(earliest, now) + len(self._waiters) / pace
        if earliest > deadline:
            raise WaitTooLong(earliest - now, paused=gate.paused_until > now)

    def _pump(self, late: float = 0.0) -> None:
        """Release whoever may leave now, in order, and set the one timer for the next."""
        loop = self._loop
        if loop is None:
            return
        now = loop.time()
        waiters, gate = self._waiters, self._gate
        while waiters:
            future, deadline = waiters[0]
            if future.done():
                waiters.popleft()
                continue
            at = gate.next_time(now)
            if at > now:
                self._arm(loop, at)
                return
            waiters.popleft()
            future.set_result(self._send(now, late))
        self._open = gate.is_open

    def _arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if at == self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = None, at
        if at < inf:
            self._timer = loop.call_at(at, self._tick)

    def _tick(self) -> None:
        self._timer, self._timer_at = None, inf
        self._pump(LATE)
