"""`Limiter` holds requests back so that the server does not have to refuse them.

This is the asyncio side of rate control; `pacer.py` does the arithmetic.

Callers wait in a queue, in the order in which they came, and *one* timer releases the head of the queue when its
request is due. A pause, a new rate or a cancelled caller only moves that timer, so many callers never wake at once. A
caller that is released just as a pause begins does not send: it returns to its queue position.

Calls of bulk runs have a queue of their own: live calls go first, and leave them a share (`_aio/lanes.py`).

**Several event loops**, each in a thread of its own, may use one limiter. A lock protects the arithmetic and the queue.
Each loop in which callers wait has its own timer (`LoopSide`), and the first that fires releases the head of the queue,
in whatever loop it waits: a loop that is busy or gone delays no other. A future is only ever touched in its own loop.
Observers are called without the lock.

Times are seconds of one clock: that of the loop that came first, unless a test skips waits. Loops have the same clock,
except in tests: `LoopSide.ahead` translates. Deadlines, and the times that the limiter returns, are the caller's.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from asyncio import get_running_loop
from itertools import count, takewhile
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Literal

import attrs

from wavix_async._aio.clock import Clock
from wavix_async._aio.lanes import BULK_SHARE, Turns
from wavix_async._codec import Value
from wavix_async._ratelimit.estimator import OWN_PAUSE
from wavix_async._ratelimit.pacer import LATE, Pacer

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavix_async._ratelimit.headers import RateHint

__all__ = ["LimitSnapshot", "Limiter", "LoopSide", "WaitTooLong"]

_logger = logging.getLogger("wavix_async")


SAME_CLOCK = 0.05
"""Seconds. The clocks of two loops that differ by less are the same clock: some loops read it once in each turn."""


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
    """Seconds until the pause that the server asked for is over, or until the reset of a quota of which nothing is
    left; 0.0 if there is neither."""

    waiting: int
    """Callers in the queue, in both lanes."""

    waiting_live: int
    """Calls of the live lane in the queue: they go first."""

    waiting_bulk: int
    """Calls of the bulk lane in the queue: those of bulk runs, and polls."""

    in_flight: int
    """Requests sent and not yet answered."""

    accepted: int
    """Requests that the server has accepted since the limiter was created."""

    refused: int
    """Requests that the server has refused with a 429 since the limiter was created."""


class LoopSide:
    """What a limiter keeps for one event loop."""

    __slots__ = (
        "ahead",
        "asks_from",
        "in_flight",
        "loop",
        "parked",
        "request_timer",
        "request_timer_at",
        "steady",
        "time",
        "timer",
        "timer_at",
        "waiting",
        "woken_at",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, time: Callable[[], float]) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.time: Callable[[], float] = time
        self.ahead: float = 0.0  # seconds by which the limiter's clock is ahead of the loop's
        self.timer: asyncio.Handle | None = None
        self.timer_at: float = inf
        self.woken_at: float = inf  # the loop has been told to set its timer to this time, and has not done it yet
        self.waiting: int = 0  # callers in the queue
        self.in_flight: int = 0  # permits that are not closed
        self.parked: list[Waiter] | None = None  # callers of a loop that does not run
        # Whether the loop has the system's clock. Some loops no longer know the time when they have ended.
        self.steady: bool = abs(loop.time() - monotonic()) < SAME_CLOCK
        self.request_timer: asyncio.TimerHandle | None = None  # these are for `LeasedLimiter`
        self.request_timer_at: float = inf
        self.asks_from: float = -inf

    def now(self) -> float:
        """Return the time of the limiter's clock."""
        return self.time() + self.ahead

    def call(self, callback: Callable[..., object], *arguments: object) -> bool:
        """Call a function in the loop, from any thread; return whether the loop is open."""
        try:
            self.loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            return False
        return True


Waiter = tuple["asyncio.Future[float]", float, int, LoopSide, bool]
"""A caller in the queue: the future that gets its permit, the deadline of the permit by the clock of its loop, the
position, its loop, and whether it is in the bulk lane."""

_LOOK_AGAIN = 1.0
"""Seconds after which a loop looks whether the others still run, while its callers wait for their answers."""


class Limiter:
    """Holds requests back so that the server does not have to refuse them.

    Every request takes a permit (`try_acquire`, else `acquire`) and closes it once, in the same event loop: with
    `accepted`, `refused` or `no_answer` after an attempt to send the request, with `refund` if there was no attempt.
    """

    def __init__(
        self,
        rate: float | None = None,
        *,
        on_event: Callable[[str, float], None] | None = None,
        clock: Clock | None = None,
        bulk_share: float = BULK_SHARE,
    ) -> None:
        """Create a limiter; an event loop is needed only to use it.

        Args:
            rate: Requests per second; None: learn the rate.
            on_event: Called with ("pause", seconds) when a pause begins and ("rate", requests per second) when the
                limiter has learned a rate; in the thread of the loop that finds it.
            clock: Gives the time and sets the timer. Default: the clock of the event loop.
            bulk_share: The share of the permits that the bulk lane has while live callers wait, too.
        """
        self._pacer = Pacer(rate)
        self._clock = Clock() if clock is None else clock
        self._on_event = on_event
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._waiters: Turns[Waiter] = Turns(bulk_share)
        self._positions = count()
        self._sides: dict[asyncio.AbstractEventLoop, LoopSide] = {}
        self._latest: LoopSide | None = None  # the loop that came last: it shows the time when no loop runs here
        self._due_at = inf  # when the timers fire
        self._reported: float | None = None
        self._events: list[tuple[str, float]] = []  # to tell once the lock is released
        self._open = False  # nothing is limited and no caller waits: the fast path for a server without limits

    def side_of(self, loop: asyncio.AbstractEventLoop) -> LoopSide:
        """Return what to pass as `side`, in the running loop: to look it up takes longer than a permit."""
        side = self._sides.get(loop)
        return self._enter(loop) if side is None or side.parked is not None else side

    def try_acquire(self, side: LoopSide | None = None) -> float | None:
        """Return a permit if a request may leave now, or None if the caller must wait."""
        if side is None or side.parked is not None:
            side = self._here(side)
        with self._lock:
            now = side.time() + side.ahead
            if self._open:
                self._pacer.in_flight += 1
                side.in_flight += 1
                return now
            waiters = self._waiters
            if waiters.live or waiters.bulk or self._pacer.next_time(now) > now:
                return None
            permit = self._send(side, now)
        if self._events:
            self._tell()
        return permit

    def join_queue(self) -> int:
        """Return a queue position. The caller may keep it over several waits: `acquire(position=...)`, `renew`."""
        return next(self._positions)

    def age(self, permit: float) -> float:
        """Return how many seconds ago the limiter gave a permit."""
        return self._here().now() - permit

    async def acquire(
        self,
        deadline: float | None = None,
        position: int | None = None,
        side: LoopSide | None = None,
        *,
        bulk: bool = False,
    ) -> float:
        """Wait until one request may leave, in each lane first come first served, and return its permit.

        Args:
            deadline: Time of the clock after which the permit is useless; None: wait as long as necessary.
            position: The result of `join_queue`; None: behind every waiting caller of the lane.
            side: The result of `side_of`, or None.
            bulk: Wait in the bulk lane: live callers go first, up to their share.

        Raises:
            WaitTooLong: The known wait exceeds the deadline (raised at once), a pause begins that exceeds it (raised
                then), or the answers that the caller waits for do not arrive before the deadline.
        """
        permit = self.try_acquire(side)
        if permit is not None:
            return permit
        limit = inf if deadline is None else deadline
        position = self.join_queue() if position is None else position
        permit = await self._wait_for_permit(limit, position, bulk=bulk)
        while self.is_paused():
            # A pause began after this caller was released and before it woke: it returns to its queue position.
            permit = await self._wait_for_permit(limit, position, permit, bulk=bulk)
        return permit

    def renew(self, permit: float, position: int, side: LoopSide | None = None, *, bulk: bool = False) -> float | None:
        """Exchange a permit that is too old for a new one, before any caller of the lane that came later.

        Args:
            permit: The result of `acquire`.
            position: The result of `join_queue`.
            side: The result of `side_of`, or None.
            bulk: Whether the caller is in the bulk lane.

        Returns:
            The new permit, or None if the caller must wait.
        """
        side, renewed = self._here(side), None
        with self._lock:
            self._take_back(side, permit)
            now = side.now()
            ahead = self._count_ahead(position, bulk=bulk) or (bulk and self._waiters.live)
            if not ahead and self._pacer.next_time(now) <= now:
                renewed = self._send(side, now)
            else:
                self._release_waiters(side)
        self._tell()
        return renewed

    def accepted(self, permit: float, side: LoopSide | None = None) -> None:
        """Close a permit: the request was within the rate limit, whatever its status."""
        if side is None or side.parked is not None:
            side = self._here(side)
        with self._lock:
            side.in_flight -= 1
            self._pacer.accepted(permit)
            if not self._open:
                self._release_waiters(side)
        if self._events:
            self._tell()

    def refused(self, permit: float, retry_after: float | None = None, side: LoopSide | None = None) -> float:
        """Close a permit: the server refused the request with a 429.

        Args:
            permit: The result of `acquire`.
            retry_after: Seconds that the server asked to wait; None if it did not say.
            side: The result of `side_of`, or None.

        Returns:
            The time of the caller's clock before which this call must not ask for another permit. The pause of the
            other calls may end earlier: a stray refusal pauses only its own call.
        """
        side = self._here(side)
        with self._lock:
            now = side.now()
            side.in_flight -= 1
            self._after_pause(side, began=self._pacer.refused(permit, now, retry_after))
        self._tell()
        return now - side.ahead + (OWN_PAUSE if retry_after is None else retry_after)

    def no_answer(self, permit: float, side: LoopSide | None = None) -> None:  # noqa: ARG002  (all ways take it)
        """Close a permit without a verdict: the attempt failed before or after the request was sent."""
        if _is_over(side):
            return
        side = self._here(side)
        with self._lock:
            side.in_flight -= 1
            self._pacer.no_answer()
            self._release_waiters(side)
        self._tell()

    def refund(self, permit: float, side: LoopSide | None = None) -> None:
        """Return a permit: nothing was sent with it, so the next request does not have to wait for it."""
        if _is_over(side):
            return
        side = self._here(side)
        with self._lock:
            self._take_back(side, permit)
            self._release_waiters(side)
        self._tell()

    def check_fits(self, deadline: float, position: int, side: LoopSide | None = None, *, bulk: bool = False) -> None:
        """Raise `WaitTooLong` if the known wait exceeds the deadline; the arguments are those of `acquire`."""
        side = self._here(side)
        with self._lock:
            self._check_fits(side, deadline, position, bulk=bulk)

    def pause(self, seconds: float) -> None:
        """Let no request leave for `seconds`, without learning anything about the rate."""
        side = self._here()
        with self._lock:
            now = side.now()
            began = self._pacer.paused_until <= now
            self._pacer.pause(now, seconds)
            self._after_pause(side, began=began)
        self._tell()

    def hint(self, hint: RateHint) -> None:
        """Use what the headers of an answer say about the remaining requests."""
        side = self._here()
        with self._lock:
            self._pacer.quota.update(side.now(), hint, self._pacer.in_flight)
            self._release_waiters(side)
        self._tell()

    def is_paused(self) -> bool:
        """Return whether a pause is in progress."""
        side = self._nearest()
        return side is not None and self._pacer.paused_until > side.now()

    def snapshot(self) -> LimitSnapshot:
        """Return what the limiter knows and does now; from any thread."""
        with self._lock:
            pacer, side = self._pacer, self._nearest()
            rate = pacer.pace()
            return LimitSnapshot(
                rate=rate,
                source="unlimited" if rate is None else "learned" if pacer.learning else "configured",
                paused_for=0.0 if side is None else pacer.paused_for(side.now()),
                waiting=len(self._waiters),
                waiting_live=len(self._waiters.live),
                waiting_bulk=len(self._waiters.bulk),
                in_flight=pacer.in_flight,
                accepted=pacer.accepted_count,
                refused=pacer.refused_count,
            )

    async def close(self) -> None:
        """Release what this limiter shares with other processes: here, nothing."""

    # --- event loops ---

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget an event loop that ends; call this in it."""
        side = self._sides.get(loop)
        if side is None:
            return
        with self._lock:
            self._park(side)
            self._sides.pop(loop, None)
            self._wake_others(None)

    def _here(self, side: LoopSide | None = None) -> LoopSide:
        """Return the side of the running loop: the one that the caller has, if it is still good."""
        return self.side_of(get_running_loop()) if side is None or side.parked is not None else side

    def _nearest(self) -> LoopSide | None:
        """Return the side of the running loop, or of any other, which has the time as well."""
        side = self._sides.get(asyncio._get_running_loop())  # type: ignore[arg-type]
        return self._latest if side is None or side.parked is not None else side

    def _enter(self, loop: asyncio.AbstractEventLoop) -> LoopSide:
        """Begin to serve a loop, and forget those that are gone."""
        if self._pid != os.getpid():
            self._forget_parent()
        with self._lock:
            for other in list(self._sides.values()):
                self._look_after(other)
            side = self._sides.get(loop)
            if side is None:
                side = LoopSide(loop, self._clock.of(loop))
            self._set_clock(side)
            self._sides[loop] = self._latest = side
            self._open = False
            returned, side.parked = side.parked, None
            self._pacer.in_flight += side.in_flight
            for waiter in returned or ():
                self._add(waiter)
            if returned:
                self._release_waiters(side)
            return side

    def _forget_parent(self) -> None:
        """In a forked process, forget the loops of the parent. A thread of the parent may have held the lock."""
        self._lock, self._pid = threading.RLock(), os.getpid()
        for side in self._sides.values():
            self._drop(side)
        self._waiters.live.clear()
        self._waiters.bulk.clear()
        self._sides.clear()
        self._pacer.in_flight = 0

    def _set_clock(self, side: LoopSide) -> None:
        """Find out how far the limiter's clock is ahead of a loop's; without another loop, the clock is the loop's."""
        latest = self._latest
        if latest is None or latest is side:
            return
        ahead = latest.ahead if latest.steady and side.steady else latest.now() - side.time()
        if abs(ahead) < SAME_CLOCK:
            ahead = 0.0
        elif not any(other is not side and other.parked is None for other in self._sides.values()):
            self._pacer.shift_clock(-ahead)
            ahead = 0.0
        side.ahead = ahead

    def _look_after(self, side: LoopSide) -> None:
        """Set the callers of a loop aside if it does not run: they must not take the place of others."""
        if side.loop.is_running():
            return
        if side.parked is None:
            self._park(side)
            if side.call(self._return, side):
                return
        if side.loop.is_closed():
            self._sides.pop(side.loop, None)

    def _park(self, side: LoopSide) -> None:
        side.parked = [waiter for waiter in self._waiters.everyone() if waiter[3] is side]
        for waiter in side.parked:
            self._waiters.lane(bulk=waiter[4]).remove(waiter)
        side.waiting = 0
        side.in_flight = max(side.in_flight, 0)
        self._pacer.in_flight = max(self._pacer.in_flight - side.in_flight, 0)
        self._drop(side)

    def _drop(self, side: LoopSide) -> None:
        """Forget the timers of a loop that does not run."""
        side.timer, side.timer_at, side.woken_at = None, inf, inf

    def _return(self, side: LoopSide) -> None:
        """Take the callers of a loop back that runs again."""
        if side.parked is not None:
            self._safely(side, lambda: self._enter(side.loop))

    def _wake_others(self, side: LoopSide | None) -> None:
        """Tell the other loops in which callers wait if they must set their timers to an earlier time."""
        at = self._due_at
        for other in list(self._sides.values()):
            if other is side or not other.waiting or (side is not None and min(other.timer_at, other.woken_at) <= at):
                continue
            other.woken_at = at
            if not other.call(self._on_wake, other):
                self._look_after(other)

    def _on_wake(self, side: LoopSide) -> None:
        side.woken_at = inf
        if side.parked is None:
            self._safely(side, lambda: self._release_waiters(side))

    # --- the queue; everything from here on holds the lock ---

    async def _wait_for_permit(
        self, deadline: float, position: int, unused: float | None = None, *, bulk: bool
    ) -> float:
        side = self._here()
        future: asyncio.Future[float] = side.loop.create_future()
        waiter = future, deadline, position, side, bulk
        with self._lock:
            if unused is not None:
                self._take_back(side, unused)
            self._check_fits(side, deadline, position, bulk=bulk)
            alarm = None
            if deadline < inf:
                alarm = side.loop.call_later(deadline - side.time(), self._expire, waiter)
            self._add(waiter)
            self._release_waiters(side)
        self._tell()
        try:
            return await future
        except asyncio.CancelledError:
            with self._lock:
                if future.done() and not future.cancelled() and future.exception() is None:
                    self._take_back(side, future.result())
                else:
                    self._remove(waiter)
                if side.parked is None:
                    self._release_waiters(side)
            self._tell()
            raise
        finally:
            if alarm is not None:
                alarm.cancel()

    def _add(self, waiter: Waiter) -> None:
        bulk = waiter[4]
        self._waiters.lane(bulk=bulk).insert(self._count_ahead(waiter[2], bulk=bulk), waiter)
        waiter[3].waiting += 1

    def _remove(self, waiter: Waiter) -> bool:
        side = waiter[3]
        if side.parked is not None and waiter in side.parked:
            side.parked.remove(waiter)
            return True
        if waiter in (lane := self._waiters.lane(bulk=waiter[4])):
            lane.remove(waiter)
            side.waiting -= 1
            return True
        return False

    def _count_ahead(self, position: int, *, bulk: bool) -> int:
        """Return how many waiting callers of a lane came before `position`."""
        waiters = self._waiters.lane(bulk=bulk)
        if not waiters or waiters[-1][2] < position:
            return len(waiters)
        return sum(1 for _ in takewhile(lambda other: other[2] < position, waiters))

    def _expire(self, waiter: Waiter) -> None:
        """Fail a caller that waited for answers that did not arrive: that wait could not be predicted."""
        side = waiter[3]
        with self._lock:
            if not waiter[0].done() and self._remove(waiter):
                self._fail(side, waiter)
                if side.parked is None:
                    self._release_waiters(side)
        self._tell()

    def _fail(self, side: LoopSide, waiter: Waiter) -> None:
        now = side.now()
        error = self._too_long(max(self._pacer.earliest(now) - now, 0.0), now)
        if waiter[3] is side:
            _fail(waiter[0], error)
        else:
            waiter[3].call(_fail, waiter[0], error)

    def _too_long(self, wait: float, now: float) -> WaitTooLong:
        return WaitTooLong(wait, paused=self._pacer.paused_until > now)

    def _hand_over(self, side: LoopSide, waiter: Waiter, now: float, late: float) -> None:
        """Give a caller its permit, in its own loop."""
        future, _, _, home, _ = waiter
        if home is side:
            future.set_result(self._send(side, now, late))
        elif not home.loop.is_running():
            self._add(waiter)
            self._look_after(home)
        else:
            permit = self._send(home, now, late)
            if not home.call(self._deliver, home, future, permit):
                self._take_back(home, permit)
                self._look_after(home)

    def _deliver(self, side: LoopSide, future: asyncio.Future[float], permit: float) -> None:
        if not future.done():
            future.set_result(permit)
            return
        # The caller was cancelled meanwhile.
        with self._lock:
            self._take_back(side, permit)
            if side.parked is None:
                self._safely(side, lambda: self._release_waiters(side))

    def _take_back(self, side: LoopSide, permit: float) -> None:
        side.in_flight -= 1
        if side.parked is not None:
            # The pacer has stopped to count the permits of this loop, and is about to count one less.
            self._pacer.in_flight += 1
        self._pacer.refund(permit)

    def _send(self, side: LoopSide, now: float, late: float = 0.0) -> float:
        permit = self._pacer.send(now, late)
        side.in_flight += 1
        rate = self._pacer.estimator.ceiling
        if rate is not None and rate != self._reported:
            self._reported = rate
            self._events.append(("rate", rate))
        return permit

    def _tell(self) -> None:
        """Tell the observers what has happened, without the lock: they may take as long as they like."""
        while self._events:
            with self._lock:
                events, self._events = self._events, []
            for event in events:
                if self._on_event is not None:
                    self._on_event(*event)

    def _after_pause(self, side: LoopSide, *, began: bool) -> None:
        """Report a pause that began, and fail the callers whose deadline it passes."""
        until = self._pacer.paused_until
        if began:
            self._events.append(("pause", until - side.now()))
        for waiter in [waiter for waiter in self._waiters.everyone() if waiter[1] + waiter[3].ahead < until]:
            self._remove(waiter)
            self._fail(side, waiter)
        self._release_waiters(side)

    def _check_fits(self, side: LoopSide, deadline: float, position: int, *, bulk: bool) -> None:
        if deadline == inf:
            return
        now, pace = side.now(), self._pacer.pace()
        due = max(self._pacer.earliest(now), now)
        if pace is not None:
            due += self._count_ahead(position, bulk=bulk) / pace
        if due > deadline + side.ahead:
            raise self._too_long(due - now, now)

    def _release_waiters(self, side: LoopSide) -> None:
        """Release the callers whose requests may leave now, in order, and set the timer for the next.

        Args:
            side: The side of the running loop.
        """
        pacer, waiters = self._pacer, self._waiters
        if not waiters.live and not waiters.bulk and side.timer is None:
            self._due_at = inf
            self._open = pacer.is_open
            return
        now = side.now()
        # Only callers that an overdue timer should have released are late, not callers that waited for an answer.
        late = LATE if self._due_at <= now else 0.0
        due = inf
        while waiters:
            future, deadline, _, home, _ = waiters.first()
            due = pacer.next_time(now)
            if due > now and (due == inf or due <= deadline + home.ahead) and not future.done():
                break
            waiter = waiters.take()
            home.waiting -= 1
            if due > now:
                self._fail(side, waiter)
            elif not future.done():
                self._hand_over(side, waiter, now, late)
        self._due_at = due if self._waiters else inf
        if len(self._sides) > 1:
            if self._due_at == inf and self._waiters:
                # The answers that they wait for may be those of another loop, which may end without a word.
                self._due_at = now + _LOOK_AGAIN
            self._wake_others(side)
        self._set_timer(side, self._due_at if side.waiting else inf)
        self._open = not self._waiters and pacer.is_open

    def _set_timer(self, side: LoopSide, at: float) -> None:
        if side.timer is None or at != side.timer_at:
            if side.timer is not None:
                side.timer.cancel()
            side.timer_at = at
            on_timer = self._on_timer
            side.timer = self._clock.call_at(side.loop, at - side.ahead, lambda: on_timer(side)) if at < inf else None

    def _on_timer(self, side: LoopSide) -> None:
        side.timer = None
        if side.parked is None:
            self._safely(side, lambda: self._on_time(side))

    def _on_time(self, side: LoopSide) -> None:
        if len(self._sides) > 1:
            for other in list(self._sides.values()):
                if other is not side:
                    self._look_after(other)
        self._release_waiters(side)

    def _safely(self, side: LoopSide, step: Callable[[], object]) -> None:
        with self._lock:
            try:
                step()
            except Exception:
                # Exceptions in a timer callback are lost and waiters would hang: log and reset.
                _logger.exception("rate control failed and was reset")
                self._pacer.reset()
                self._release_waiters(side)
        self._tell()


def _is_over(side: LoopSide | None) -> bool:
    """Return whether a call is thrown away after its loop has ended: then its permits have ended with the loop."""
    running = asyncio._get_running_loop()
    return running is None or (side is not None and running is not side.loop)


def _fail(future: asyncio.Future[float], error: WaitTooLong) -> None:
    if not future.done():
        future.set_exception(error)
