"""When may the next request leave? Pacing, the shared pause, and a limit that nobody has told us.

**Pacing** is GCRA: one float, the theoretical arrival time (`_tat`), says when the next request is due, and each
request moves it on by `1 / rate`. That is exact, O(1), needs no bucket that is filled by a timer, and tells a
caller at once how long it will wait. Callers wait in one queue, first come first served, and *one* timer releases
its head when it is due. So a pause, a new rate or a cancelled caller changes nothing but the time of that timer,
and nobody wakes in a herd. What a late timer has missed is made good, as far as no more than `1 + rate * 0.1`
requests leave in any tenth of a second.

**The pause** is shared: one 429 concerns everybody who uses the same key. Nobody leaves before it is over, not even
who had been released in the same instant. One pause is one *epoch*; a refusal of a request sent before the epoch
tells nothing new (one cut per round trip), though the wait that it asks for still counts. A configured rate is
paused by a stray refusal, not cut. Refusals that go on and on are no strays: the rate is wrong, or somebody else uses
the same limit. Then what is learned counts, up to the rate configured.

**The rate is learned** when it is not configured, from what was accepted before each refusal: `_learn.py`.

**Headers** that say what is left (`Allowance`) are better than all that: who never sends more than is left is never
refused.

`Gate` is arithmetic and is told the time; `Limiter` is its asyncio half. Times are seconds of one clock
throughout: the loop's, unless a test skips waits.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections import deque
from itertools import count, takewhile
from math import inf
from typing import TYPE_CHECKING, Literal

import attrs

from wavix_async._aio.clock import Clock
from wavix_async._instrumentation.logs import logger
from wavix_async._ratelimit.estimator import OWN_PAUSE, Learner

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavix_async._ratelimit.headers import RateHint

__all__ = ["Gate", "LimitSnapshot", "Limiter", "WaitTooLong"]

FIRST_WINDOW = 8.0  # requests in flight at the start
LATER_WINDOW = 16.0  # the same after a pause that the server has measured, when a rate is known
WINDOW_GROWTH = 0.5  # per answer: half as large again every round trip
WINDOW_GONE = 150.0  # a window of this size has seen hundreds of answers and no refusal: there is nothing to find
STRAYS = 4  # pauses ...
STRAY_TIME = 30.0  # ... within so many seconds mean that a configured rate is too high
TRUST_AFTER = 60.0  # seconds without a refusal at the configured rate until it is believed again
LATE = 0.05  # seconds of a timer's lateness that are made good by releasing several at once ...
CROWD_TIME = 0.1  # seconds in which, all the same, at most 1 + rate * CROWD_TIME requests leave
CROWD_KEPT = 256  # times of sending that are kept for it: enough for 2,550 requests per second

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

    source: Literal["configured", "shared", "learned", "unlimited"]
    """Where the rate comes from: set by the user; shared, that of all processes together (while what they share is out
    of reach, this one's part of it counts as configured); learned from refusals or headers, also where a configured
    rate is refused again and again; or there is none."""

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


def _lower(one: float | None, other: float | None) -> float | None:
    """Return the lower of two rates, where None is no limit."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


class Gate:
    """The arithmetic: no clock of its own, no loop, no waiting; every method is told what time it is."""

    def __init__(self, rate: float | None = None) -> None:
        self.rate = rate
        self.paused_until = -inf
        self.in_flight = 0
        self.accepted_count = 0
        self.refused_count = 0
        self._told = False  # whether the server said how long to pause
        self._strays: deque[float] = deque(maxlen=STRAYS)  # when a configured rate was last refused
        self.start_anew()

    def start_anew(self) -> None:
        """Forget all that was learned; a pause is kept."""
        self.learning = self.rate is None
        self.learner = Learner(self.rate)
        self.allowance = Allowance()
        self.window = FIRST_WINDOW if self.learning else inf  # requests that may be in flight
        self._tat = -inf  # when the next request is due
        self._recent: deque[float] = deque(maxlen=CROWD_KEPT)  # when the last paced requests left
        self._epoch = -inf  # the end of the last pause
        self._hit: float | None = None  # the last request of this epoch that was refused, by time of sending

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
        pace = _lower(self.rate, self.learner.pace()) if self.learning else self.rate
        return pace if self.allowance.pace == inf else _lower(pace, self.allowance.pace)

    def next_time(self, now: float) -> float:
        """Return when the next request may leave; `inf` when only an answer can tell."""
        return inf if self.in_flight >= self.window else self.earliest(now)

    def earliest(self, now: float) -> float:
        """Return when the next request may leave if the answers that it waits for come at once."""
        return max(self._tat, self.paused_until, self.allowance.ready(now), self._uncrowded())

    def _uncrowded(self) -> float:
        """Return when one more would not make too many in too short a time, whatever there is to make good."""
        pace = self.pace()
        most = CROWD_KEPT + 1 if pace is None else 1 + int(pace * CROWD_TIME)
        return self._recent[-most] + CROWD_TIME if most <= len(self._recent) else -inf

    def send(self, now: float, late: float = 0.0) -> float:
        """Take the place of the next request, which leaves now; up to `late` seconds of delay are made good."""
        due = max(self._tat, self.paused_until, now - late)
        if self.paused_until != -inf:
            self._resume(now)
        if self.learner.tally is None:
            self.learner.begin(now)
        if self.learning and self.rate is not None:
            self._trust(now)
        if self.allowance.used_up(now):
            self.allowance = Allowance()
            self.window = min(self.window, FIRST_WINDOW)
        self.allowance.left -= 1.0
        self.in_flight += 1
        pace = self.pace()
        if pace is not None:
            if now - self._tat < 1.0 / pace + LATE:
                self.learner.held_back(1.0 / pace)
            self._tat = due + 1.0 / pace
            self._recent.append(now)
        return now

    def _resume(self, now: float) -> None:
        """Begin the epoch after a pause, with few in flight at first."""
        hit, until = self._hit, self.paused_until
        self._hit, self.paused_until, self._epoch = None, -inf, now
        if self.learning:
            self.window = FIRST_WINDOW
            if hit is not None:
                self.learner.settle(hit, until)
                self.learner.begin(now)
                self.window = 1.0 if self.learner.droughts else LATER_WINDOW if self._told else FIRST_WINDOW

    def unsend(self, permit: float) -> None:  # noqa: ARG002  (whoever leases slots must know which)
        """Give the place back: the request never left."""
        self.no_answer()
        self.allowance.left += 1.0
        pace = self.pace()
        if pace is not None:
            self._tat -= 1.0 / pace

    def no_answer(self) -> None:
        """Note that no verdict will come."""
        self.in_flight = max(self.in_flight - 1, 0)

    def accepted(self, permit: float) -> None:
        """Note that the server took a request."""
        if self.in_flight:
            self.in_flight -= 1
        self.accepted_count += 1
        if self.learning:
            self.learner.accepted(permit)
            if self.window != inf:
                self.window += WINDOW_GROWTH
                if self.window >= WINDOW_GONE:
                    self.window = inf

    def refused(self, permit: float, now: float, retry_after: float | None) -> bool:
        """Note a 429; tell whether it began a pause, which only the first of an epoch does."""
        self.no_answer()
        self.refused_count += 1
        fresh = permit >= self._epoch and self._hit is None
        if retry_after is not None:
            self.pause(now, retry_after)
        if fresh:
            self._told = bool(retry_after)
            # Who refuses again right after the pause that it asked for does not know better than we do.
            if not self._told or self.learner.droughts:
                self.pause(now, self.learner.own_pause(now) if self.learning else OWN_PAUSE)
            if self.rate is not None:
                self._doubt(now)
        if permit >= self._epoch:
            self._hit = permit if self._hit is None else max(permit, self._hit)
        return fresh

    def _doubt(self, now: float) -> None:
        """Begin to learn when a configured rate is refused again and again."""
        self._strays.append(now)
        if len(self._strays) == STRAYS and now - self._strays[0] <= STRAY_TIME:
            self.learning = True

    def _trust(self, now: float) -> None:
        """Believe in the configured rate again when it has been taken for a while."""
        learned = self.learner.pace()
        if (learned is None or learned >= (self.rate or 0.0)) and now - self._strays[-1] > TRUST_AFTER:
            self._strays.clear()
            self.learning, self.learner, self.window = False, Learner(self.rate), inf

    def pause(self, now: float, seconds: float) -> None:
        """Let nobody leave for so long; a pause is never made shorter."""
        self.paused_until = max(self.paused_until, now + max(seconds, 0.0))

    def shift(self, seconds: float) -> None:
        """Move to a clock that is so far ahead; requests that were in flight by the old one are gone."""
        self._tat += seconds
        self._recent.clear()
        self.paused_until += seconds
        self._epoch, self._hit, self.in_flight = -inf, None, 0
        self.allowance = Allowance()
        self.learner.forget_times()


Waiter = tuple["asyncio.Future[float]", float, int]
"""Who waits: resolved with the ticket; the time after which that would be of no use; the place in the queue."""


class Limiter:
    """Holds requests back so that the server need not refuse them.

    Every request takes a ticket (`try_acquire`, else `acquire`) and closes it once, as `accepted`, `refused` or
    `no_answer`.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        on_event: Callable[[str, float], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Make a limiter; a loop is needed only when it is used.

        Args:
            rate: Requests per second; None learns it.
            on_event: Called with ("pause", seconds) when a pause begins and ("rate", requests per second) when a new
                rate was learned.
            clock: How turns are waited for. Default: as long as it takes.
        """
        self._gate = Gate(rate)
        self._clock = Clock() if clock is None else clock
        self._time: Callable[[], float]
        self._on_event = on_event
        self._waiters: deque[Waiter] = deque()
        self._arrivals = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._timer_at = inf
        self._reported: float | None = None
        self._open = False  # nothing is limited and nobody waits: the path of a server without limits

    def try_acquire(self) -> float | None:
        """Return a ticket if a request may leave this instant, None when one must wait."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        now = self._time()
        if self._open:
            self._gate.in_flight += 1
            return now
        if self._waiters or self._gate.next_time(now) > now:
            return None
        return self._send(now)

    def join_queue(self) -> int:
        """Return a place in the queue, to be kept over several turns: `acquire(position=...)`, `renew`."""
        return next(self._arrivals)

    async def acquire(self, deadline: float | None = None, position: int | None = None) -> float:
        """Wait for the turn of one request, first come first served, and return its ticket.

        Args:
            deadline: Time of the clock after which the ticket is of no use; None waits as long as it takes.
            place: What `join_queue` returned; None: behind everybody who waits.

        Raises:
            WaitTooLong: At once, when the wait as it is known now goes beyond the deadline; later, when a pause begins
                that does, or when the answers that one waits for have not come by then.
        """
        permit = self.try_acquire()
        if permit is not None:
            return permit
        limit = inf if deadline is None else deadline
        position = self.join_queue() if position is None else position
        self._check_fits(limit, position)
        permit = await self._turn(limit, position)
        while self.is_paused():
            # A pause began between our release and our waking: nobody may leave now, so back to our place in the queue.
            self._gate.unsend(permit)
            self._check_fits(limit, position)
            permit = await self._turn(limit, position)
        return permit

    def renew(self, permit: float, position: int) -> float | None:
        """Give a ticket that has got old back for a new one, before anybody who came later.

        Args:
            ticket: What `acquire` returned.
            place: What `join_queue` returned.

        Returns:
            The new ticket; None when one must wait.
        """
        self._gate.unsend(permit)
        now = self._now()
        if not self._ahead_of(position) and self._gate.next_time(now) <= now:
            return self._send(now)
        self._pump()
        return None

    def accepted(self, permit: float) -> None:
        """Close a ticket: the server took the request, whatever else it said."""
        self._gate.accepted(permit)
        if not self._open:
            self._pump()

    def refused(self, permit: float, retry_after: float | None = None) -> None:
        """Close a ticket: the server refused the request with a 429.

        Args:
            ticket: What `acquire` returned.
            retry_after: Seconds that the server asked to wait, None when it did not say.
        """
        self._paused(self._gate.refused(permit, self._now(), retry_after))

    def no_answer(self, permit: float) -> None:  # noqa: ARG002  (closing takes the ticket, whatever the end)
        """Close a ticket without a verdict: the request was never sent, or no answer came."""
        self._gate.no_answer()
        self._pump()

    def refund(self, permit: float) -> None:
        """Give a ticket back: nothing was sent with it, so it costs no turn."""
        self._gate.unsend(permit)
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
            source="unlimited" if rate is None else "learned" if gate.learning else "configured",
            paused_for=0.0 if self._loop is None else max(gate.paused_until - self._time(), 0.0),
            waiting=len(self._waiters),
            in_flight=gate.in_flight,
            accepted=gate.accepted_count,
            refused=gate.refused_count,
        )

    async def close(self) -> None:
        """Let go of what is shared with other processes: here there is nothing."""

    async def _turn(self, deadline: float, position: int) -> float:
        loop = get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        waiter = future, deadline, position
        alarm = loop.call_later(deadline - self._time(), self._expire, waiter) if deadline < inf else None
        self._waiters.insert(self._ahead_of(position), waiter)
        self._pump()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._gate.unsend(future.result())
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            self._pump()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()

    def _ahead_of(self, position: int) -> int:
        """Return how many wait who came before."""
        waiters = self._waiters
        if not waiters or waiters[-1][2] < position:
            return len(waiters)
        return sum(1 for _ in takewhile(lambda other: other[2] < position, waiters))

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
        self._time = self._clock.of(loop)
        self._waiters = deque()
        self._timer, self._timer_at = None, inf
        self._loop = loop
        self._open = False

    def _now(self) -> float:
        if self._loop is None:
            self._bind(get_running_loop())
            return self._now()
        return self._time()

    def _send(self, now: float, late: float = 0.0) -> float:
        permit = self._gate.send(now, late)
        rate = self._gate.learner.ceiling
        if rate is not None and rate != self._reported:
            self._reported = rate
            if self._on_event is not None:
                self._on_event("rate", rate)
        return permit

    def _paused(self, began: bool) -> None:
        until, now = self._gate.paused_until, self._now()
        if began and self._on_event is not None:
            self._on_event("pause", until - now)
        for waiter in [waiter for waiter in self._waiters if waiter[1] < until]:
            self._waiters.remove(waiter)
            self._fail(waiter)
        self._pump()

    def _check_fits(self, deadline: float, position: int) -> None:
        if deadline == inf:
            return
        now, pace = self._now(), self._gate.pace()
        due = max(self._gate.earliest(now), now)
        if pace is not None:
            due += self._ahead_of(position) / pace
        if due > deadline:
            raise self._too_long(due - now, now)

    def _pump(self) -> None:
        """Release whoever may leave now, in order, and set the one timer for the next."""
        loop, waiters, gate = self._loop, self._waiters, self._gate
        if loop is None:
            return
        now = self._time()
        # Only what an overdue timer should have released is late; who waited for an answer is not.
        late = LATE if self._timer_at <= now else 0.0
        due = inf
        while waiters:
            future, deadline, _ = waiters[0]
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
        if self._timer is None or at != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._clock.call_at(loop, at, self._tick) if at < inf else None

    def _tick(self) -> None:
        self._timer = None
        self._safely(self._pump)

    def _safely(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:
            # Nobody hears what a timer raises: a defect of the arithmetic would let callers wait for ever.
            logger.exception("rate control failed and starts anew")
            self._gate.start_anew()
            self._pump()
