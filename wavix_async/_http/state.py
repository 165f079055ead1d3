"""`ClientState`: what all calls of a client share, regardless of their options."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from wavix_async._aio import BULK_SHARE, Clock, ClosingSignal, LoopEnd, run_in_loop
from wavix_async._codec import Drift
from wavix_async._http.redaction import Redactor
from wavix_async._http.retry import RetryBudget
from wavix_async._http.transport import Transport, refuse
from wavix_async._instrumentation import Observers, PauseEvent, RateEvent
from wavix_async._ratelimit import Limiter, LoopSide
from wavix_async.config import RetryPolicy

if TYPE_CHECKING:
    from wavix_async._ratelimit import SharedLimit

__all__ = ["ClientState", "LoopState"]

_ENDING = 1.0
"""Seconds that calls have to end once their connections are closed."""
_POLL = 0.005


OnLimiterEvent: TypeAlias = Callable[[str, float], None]


def _leased_limiters(limit: "SharedLimit", bulk_share: float) -> Callable[[str, OnLimiterEvent], Limiter]:
    """Return a factory of limiters that lease their permits; only clients that share a limit load their module."""
    from wavix_async._ratelimit import LeasedLimiter, StoreOutage

    outage = StoreOutage()
    return lambda group, notify: LeasedLimiter(limit, group, outage, on_event=notify, bulk_share=bulk_share)


class LoopState:
    """What a client keeps for one event loop: connections, sides of the limits, and the count of unfinished calls."""

    __slots__ = ("_idle", "count", "end_of_loop", "limits", "loop", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: Transport) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.transport: Transport = transport
        self.limits: dict[str, tuple[Limiter, LoopSide]] = {}
        """The limiter of each group that the loop has used, and its side: to look them up costs more than a permit."""
        self.end_of_loop: LoopEnd | None = None
        self.count: int = 0
        self._idle: asyncio.Event | None = None

    def end(self) -> None:
        """Count a call that has ended, with a result or an error."""
        self.count -= 1
        if self._idle is not None and not self.count:
            self._idle.set()

    async def wait_for_none(self, seconds: float) -> None:
        """Wait in this loop until all calls have ended, at most `seconds` long."""
        if not self.count:
            return
        if self._idle is None:
            self._idle = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()


class ClientState:
    """What all calls of a client share, regardless of their options: the limits, the retry budget, the state per loop.

    Several event loops, each in a thread of its own, may use one client. Connections, slots, timers and the counts of
    calls belong to a loop (`LoopState`); limits, budget and key are common.

    Args:
        open_transport: Returns the connections of the running loop.
        redactor: Hides the key.
        rate: Requests per second; None: learn the rate.
        limit: A limit shared with other processes, in place of `rate`.
        retry: The retry policy, for the budget.
        strict: Whether an answer that differs from the documentation is an error.
        observers: The observers of the client.
        bulk_share: The share of bulk runs while live calls wait, too.
    """

    def __init__(
        self,
        open_transport: Callable[[], Transport],
        redactor: Redactor,
        *,
        rate: float | None,
        limit: "SharedLimit | None" = None,
        retry: RetryPolicy,
        strict: bool,
        observers: Observers,
        bulk_share: float = BULK_SHARE,
    ) -> None:
        self._open_transport = open_transport
        self.redactor = redactor
        self.strict = strict
        self.budget: RetryBudget = RetryBudget(retry)
        self._observers = observers
        self._rate = rate
        self._bulk_share = bulk_share
        self._limit = limit
        self._new_limiter = self._own_limiter if limit is None else _leased_limiters(limit, bulk_share)
        self.clock: Clock = Clock()
        self.closing: ClosingSignal = ClosingSignal()
        """Set when the client closes: it ends every wait."""
        self._closed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._loops: dict[asyncio.AbstractEventLoop, LoopState] = {}
        self._limiters: dict[str, Limiter] = {}
        self._drifts: set[tuple[str, str, str]] = set()

    def limiter(self, group: str) -> Limiter:
        """Return the limiter of a limit group."""
        limiter = self._limiters.get(group)
        if limiter is None:

            def notify(kind: str, value: float) -> None:
                paused = kind == "pause"
                self._observers.notify(
                    PauseEvent(group=group, seconds=value) if paused else RateEvent(group=group, rate=value)
                )

            # Two threads may make one at the same time; all use the one that is there first.
            limiter = self._limiters.setdefault(group, self._new_limiter(group, notify))
        return limiter

    def enter_limit(self, here: LoopState, group: str) -> tuple[Limiter, LoopSide]:
        """Begin to use the limiter of a group in the running loop."""
        limiter = self.limiter(group)
        here.limits[group] = limit = limiter, limiter.side_of(here.loop)
        return limit

    def _own_limiter(self, _: str, notify: OnLimiterEvent) -> Limiter:
        return Limiter(self._rate, on_event=notify, clock=self.clock, bulk_share=self._bulk_share)

    def use_clock(self, clock: Clock) -> None:
        """Wait on another clock; the limiters forget the rates that they have learned."""
        self.clock = clock
        self._limiters.clear()
        for state in list(self._loops.values()):
            state.limits.clear()

    # --- calls in progress, and closing ---

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def begin_call(self, loop: asyncio.AbstractEventLoop) -> LoopState:
        """Count a call that begins in the running loop, and return the state of the loop, whose `end` it must call.

        Raises:
            ClientClosedError: The client is closed, or about to be.
        """
        if self._closed:
            refuse()
        here = self._loops.get(loop)
        if here is None:
            here = self._enter(loop)
        here.count += 1
        self.budget.request()
        return here

    @property
    def transport(self) -> Transport:
        """The connections of the running loop."""
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        return (self._enter(loop) if here is None else here).transport

    @property
    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """The event loops that have connections of this client, the latest last."""
        return list(self._loops)

    def _enter(self, loop: asyncio.AbstractEventLoop) -> LoopState:
        """Begin to serve the running loop, and drop what belongs to loops that ended without a word."""
        if self._pid != os.getpid():
            # A forked process: connections and loops are those of the parent, and one of its threads may have the lock.
            self._lock, self._pid = threading.Lock(), os.getpid()
            for state in list(self._loops.values()):
                self._forget(state)
        with self._lock:
            if self._closed:
                refuse()
            for state in [state for state in self._loops.values() if state.loop.is_closed()]:
                self._forget(state)
            here = self._loops[loop] = LoopState(loop, self._open_transport())
        here.end_of_loop = LoopEnd(self._leave)
        return here

    def _forget(self, state: LoopState, *, paused: bool = False) -> None:
        self._loops.pop(state.loop, None)
        state.transport.abandon(paused=paused)
        if state.end_of_loop is not None:
            state.end_of_loop.cancel()

    async def _leave(self) -> None:
        """Close what belongs to the running loop, which ends."""
        loop = asyncio.get_running_loop()
        for limiter in list(self._limiters.values()):
            limiter.leave(loop)
        state = self._loops.pop(loop, None)
        if state is not None:
            await state.transport.close()

    async def close(self, grace: float = 0.0) -> None:
        """Wait up to `grace` seconds for calls in progress, then close the pool and the limit shared with others.

        This concerns all event loops. What belongs to another loop is closed in that loop, if it runs.
        """
        if self._pid == os.getpid():
            with self._lock:
                self._closed = True
        self._closed = True
        try:
            if grace:
                await self._wait_until_idle(grace)
        finally:
            try:
                self.closing.set()
                await self._close_connections()
            finally:
                for limiter in list(self._limiters.values()):
                    await limiter.close()
                if self._limit is not None:
                    await self._limit.close()
        await self._wait_until_idle(_ENDING)
        for state in list(self._loops.values()):
            self._loops.pop(state.loop, None)
            if state.end_of_loop is not None:
                state.end_of_loop.cancel()

    async def _close_connections(self) -> None:
        here = asyncio.get_running_loop()
        elsewhere = []
        for state in list(self._loops.values()):
            if state.loop is here:
                await state.transport.close()
            elif self._runs(state):
                elsewhere.append(run_in_loop(state.loop, state.transport.close, _ENDING))
            else:
                self._forget(state, paused=self._pid == os.getpid() and not state.loop.is_closed())
        await asyncio.gather(*elsewhere)

    async def _wait_until_idle(self, seconds: float) -> None:
        here = asyncio.get_running_loop()
        until = here.time() + seconds
        own = self._loops.get(here)
        if own is not None:
            await own.wait_for_none(seconds)
        others = [state for state in list(self._loops.values()) if state is not own]
        while here.time() < until and any(each.count and self._runs(each) for each in others):  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    def _runs(self, state: LoopState) -> bool:
        return state.loop.is_running() and self._pid == os.getpid()

    def is_new_drift(self, drift: Drift) -> bool:
        """Return whether this client sees this kind of drift for the first time."""
        key = (drift.model, drift.field, drift.kind)
        # A server that keeps sending new keys must not make the memory of a long-lived client grow.
        if key in self._drifts or len(self._drifts) >= 1000:
            return False
        self._drifts.add(key)
        return True
