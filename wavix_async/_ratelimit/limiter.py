"""`Limiter` holds requests back so that the server does not have to refuse them.

This is the asyncio side of rate control; `pacer.py` does the arithmetic.

Callers wait in one queue, in the order in which they came, and *one* timer releases the head of the queue when its
request is due. A pause, a new rate or a cancelled caller only moves that timer, so many callers never wake at once. A
caller that is released just as a pause begins does not send: it returns to its queue position.

Times are seconds of one clock: the loop's, unless a test skips waits.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import get_running_loop
from collections import deque
from itertools import count, takewhile
from math import inf
from typing import TYPE_CHECKING, Literal

import attrs

from wavix_async._aio.clock import Clock
from wavix_async._codec import Value
from wavix_async._ratelimit.estimator import OWN_PAUSE
from wavix_async._ratelimit.pacer import LATE, Pacer

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavix_async._ratelimit.headers import RateHint

__all__ = ["LimitSnapshot", "Limiter", "WaitTooLong"]

_logger = logging.getLogger("wavix_async")


class WaitTooLong(Exception):  # noqa: N818  (never leaves the package)
    """The wait for the rate would exceed the deadline. The limiter raises it at once; nothing was sent."""

    def __init__(self, wait: float, *, paused: bool) -> None:
        super().__init__(wait)
        self.wait = wait
        self.paused = paused


@attrs.frozen(eq=False, repr=False)
class LimitSnapshot(Value):
    """What the limiter knows and does at one moment."""

    rate: float | None
    """Requests per second that may leave now; None if the limiter holds nothing back."""

    source: Literal["configured", "shared", "learned", "unlimited"]
    """Where the rate comes from: `configured`, set by the user; `shared`, the rate of all processes together (while
    their store is out of reach, this process's part of it counts as configured); `learned`, from refusals or headers,
    even for a configured rate if the server keeps refusing it; `unlimited`, there is no rate."""

    paused_for: float
    """Seconds until the pause that the server asked for is over; 0.0 if there is no pause."""

    waiting: int
    """Callers in the queue."""

    in_flight: int
    """Requests sent and not yet answered."""

    accepted: int
    """Requests that the server has accepted since the limiter was created."""

    refused: int
    """Requests that the server has refused with a 429 since the limiter was created."""


Waiter = tuple["asyncio.Future[float]", float, int]
"""A caller in the queue: the future that gets its permit, the deadline of the permit, the queue position."""


class Limiter:
    """Holds requests back so that the server does not have to refuse them.

    Every request takes a permit (`try_acquire`, else `acquire`) and closes it once: with `accepted`, `refused` or
    `no_answer` after an attempt to send the request, with `refund` if there was no attempt.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        on_event: Callable[[str, float], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Create a limiter; an event loop is needed only to use it.

        Args:
            rate: Requests per second; None: learn the rate.
            on_event: Called with ("pause", seconds) when a pause begins and ("rate", requests per second) when the
                limiter has learned a rate.
            clock: Gives the time and sets the timer. Default: the clock of the event loop.
        """
        self._pacer = Pacer(rate)
        self._clock = Clock() if clock is None else clock
        self._time: Callable[[], float]
        self._on_event = on_event
        self._waiters: deque[Waiter] = deque()
        self._positions = count()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._timer_at = inf
        self._reported: float | None = None
        self._open = False  # nothing is limited and no caller waits: the fast path for a server without limits

    def try_acquire(self) -> float | None:
        """Return a permit if a request may leave now, or None if the caller must wait."""
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        now = self._time()
        if self._open:
            self._pacer.in_flight += 1
            return now
        if self._waiters or self._pacer.next_time(now) > now:
            return None
        return self._send(now)

    def join_queue(self) -> int:
        """Return a queue position. The caller may keep it over several waits: `acquire(position=...)`, `renew`."""
        return next(self._positions)

    async def acquire(self, deadline: float | None = None, position: int | None = None) -> float:
        """Wait until one request may leave, first come first served, and return its permit.

        Args:
            deadline: Time of the clock after which the permit is useless; None: wait as long as necessary.
            position: The result of `join_queue`; None: behind every waiting caller.

        Raises:
            WaitTooLong: The known wait exceeds the deadline (raised at once), a pause begins that exceeds it (raised
                then), or the answers that the caller waits for do not arrive before the deadline.
        """
        permit = self.try_acquire()
        if permit is not None:
            return permit
        limit = inf if deadline is None else deadline
        position = self.join_queue() if position is None else position
        self._check_fits(limit, position)
        permit = await self._wait_for_permit(limit, position)
        while self.is_paused():
            # A pause began after this caller was released and before it woke: it returns to its queue position.
            self._pacer.refund(permit)
            self._check_fits(limit, position)
            permit = await self._wait_for_permit(limit, position)
        return permit

    def renew(self, permit: float, position: int) -> float | None:
        """Exchange a permit that is too old for a new one, before any caller that came later.

        Args:
            permit: The result of `acquire`.
            position: The result of `join_queue`.

        Returns:
            The new permit, or None if the caller must wait.
        """
        self._pacer.refund(permit)
        now = self._now()
        if not self._count_ahead(position) and self._pacer.next_time(now) <= now:
            return self._send(now)
        self._release_waiters()
        return None

    def accepted(self, permit: float) -> None:
        """Close a permit: the request was within the rate limit, whatever its status."""
        self._pacer.accepted(permit)
        if not self._open:
            self._release_waiters()

    def refused(self, permit: float, retry_after: float | None = None) -> float:
        """Close a permit: the server refused the request with a 429.

        Args:
            permit: The result of `acquire`.
            retry_after: Seconds that the server asked to wait; None if it did not say.

        Returns:
            The time of the clock before which this call must not ask for another permit: a stray refusal pauses only
            its own call. It is past if all calls pause.
        """
        now = self._now()
        self._after_pause(began=self._pacer.refused(permit, now, retry_after))
        if self.is_paused():
            return now
        return now + (OWN_PAUSE if retry_after is None else retry_after)

    def no_answer(self, permit: float) -> None:  # noqa: ARG002  (every way to close a permit takes it)
        """Close a permit without a verdict: the attempt failed before or after the request was sent."""
        self._pacer.no_answer()
        self._release_waiters()

    def refund(self, permit: float) -> None:
        """Return a permit: nothing was sent with it, so the next request does not have to wait for it."""
        self._pacer.refund(permit)
        self._release_waiters()

    def pause(self, seconds: float) -> None:
        """Let no request leave for `seconds`, without learning anything about the rate."""
        began = not self.is_paused()
        self._pacer.pause(self._now(), seconds)
        self._after_pause(began=began)

    def hint(self, hint: RateHint) -> None:
        """Use what the headers of an answer say about the remaining requests."""
        self._pacer.quota.update(self._now(), hint, self._pacer.in_flight)
        self._release_waiters()

    def is_paused(self) -> bool:
        """Return whether a pause is in progress."""
        return self._loop is not None and self._pacer.paused_until > self._now()

    def snapshot(self) -> LimitSnapshot:
        """Return what the limiter knows and does now."""
        pacer = self._pacer
        rate = pacer.pace()
        return LimitSnapshot(
            rate=rate,
            source="unlimited" if rate is None else "learned" if pacer.learning else "configured",
            paused_for=0.0 if self._loop is None else max(pacer.paused_until - self._time(), 0.0),
            waiting=len(self._waiters),
            in_flight=pacer.in_flight,
            accepted=pacer.accepted_count,
            refused=pacer.refused_count,
        )

    async def close(self) -> None:
        """Release what this limiter shares with other processes: here, nothing."""

    async def _wait_for_permit(self, deadline: float, position: int) -> float:
        loop = get_running_loop()
        future: asyncio.Future[float] = loop.create_future()
        waiter = future, deadline, position
        alarm = loop.call_later(deadline - self._time(), self._expire, waiter) if deadline < inf else None
        self._waiters.insert(self._count_ahead(position), waiter)
        self._release_waiters()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._pacer.refund(future.result())
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            self._release_waiters()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()

    def _count_ahead(self, position: int) -> int:
        """Return how many waiting callers came before `position`."""
        waiters = self._waiters
        if not waiters or waiters[-1][2] < position:
            return len(waiters)
        return sum(1 for _ in takewhile(lambda other: other[2] < position, waiters))

    def _expire(self, waiter: Waiter) -> None:
        """Fail a caller that waited for answers that did not arrive: that wait could not be predicted."""
        if waiter in self._waiters and not waiter[0].done():
            self._waiters.remove(waiter)
            self._fail(waiter)
            self._release_waiters()

    def _fail(self, waiter: Waiter) -> None:
        if not waiter[0].done():
            now = self._now()
            waiter[0].set_exception(self._too_long(max(self._pacer.earliest(now) - now, 0.0), now))

    def _too_long(self, wait: float, now: float) -> WaitTooLong:
        return WaitTooLong(wait, paused=self._pacer.paused_until > now)

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        # Waiters and timers of a closed loop never run, but its clock still shows how far the two clocks are apart.
        if self._loop is not None:
            self._pacer.shift_clock(loop.time() - self._loop.time())
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
        permit = self._pacer.send(now, late)
        rate = self._pacer.estimator.ceiling
        if rate is not None and rate != self._reported:
            self._reported = rate
            if self._on_event is not None:
                self._on_event("rate", rate)
        return permit

    def _after_pause(self, *, began: bool) -> None:
        """Report a pause that began, and fail the callers whose deadline it passes."""
        until, now = self._pacer.paused_until, self._now()
        if began and self._on_event is not None:
            self._on_event("pause", until - now)
        for waiter in [waiter for waiter in self._waiters if waiter[1] < until]:
            self._waiters.remove(waiter)
            self._fail(waiter)
        self._release_waiters()

    def _check_fits(self, deadline: float, position: int) -> None:
        if deadline == inf:
            return
        now, pace = self._now(), self._pacer.pace()
        due = max(self._pacer.earliest(now), now)
        if pace is not None:
            due += self._count_ahead(position) / pace
        if due > deadline:
            raise self._too_long(due - now, now)

    def _release_waiters(self) -> None:
        """Release the callers whose requests may leave now, in order, and set the one timer for the next."""
        loop, waiters, pacer = self._loop, self._waiters, self._pacer
        if loop is None:
            return
        now = self._time()
        # Only callers that an overdue timer should have released are late, not callers that waited for an answer.
        late = LATE if self._timer_at <= now else 0.0
        due = inf
        while waiters:
            future, deadline, _ = waiters[0]
            due = pacer.next_time(now)
            if due > now and (due == inf or due <= deadline) and not future.done():
                break
            waiter = waiters.popleft()
            if due > now:
                self._fail(waiter)
            elif not future.done():
                future.set_result(self._send(now, late))
        self._set_timer(loop, due if waiters else inf)
        self._open = not waiters and pacer.is_open

    def _set_timer(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._timer is None or at != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._clock.call_at(loop, at, self._on_timer) if at < inf else None

    def _on_timer(self) -> None:
        self._timer = None
        self._safely(self._release_waiters)

    def _safely(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception:
            # Exceptions in a timer callback are lost and waiters would hang: log and reset.
            _logger.exception("rate control failed and was reset")
            self._pacer.reset()
            self._release_waiters()
