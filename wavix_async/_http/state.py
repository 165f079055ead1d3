"""`ClientState`: what all calls of a client share, regardless of their options."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from wavix_async._aio import Clock, ClosingSignal
from wavix_async._codec import Drift
from wavix_async._http.redaction import Redactor
from wavix_async._http.retry import RetryBudget
from wavix_async._http.transport import Transport
from wavix_async._instrumentation import Observers, PauseEvent, RateEvent
from wavix_async._ratelimit import Limiter
from wavix_async.config import RetryPolicy

if TYPE_CHECKING:
    from wavix_async._ratelimit import SharedLimit

__all__ = ["ClientState"]

_ENDING = 1.0
"""Seconds that calls have to end once their connections are closed."""


OnLimiterEvent: TypeAlias = Callable[[str, float], None]


def _leased_limiters(limit: "SharedLimit") -> Callable[[str, OnLimiterEvent], Limiter]:
    """Return a factory of limiters that lease their permits; only clients that share a limit load their module."""
    from wavix_async._ratelimit import LeasedLimiter, StoreOutage

    outage = StoreOutage()
    return lambda group, notify: LeasedLimiter(limit, group, outage, on_event=notify)


class CallsInProgress:
    """Counts the unfinished calls of one event loop: those of a closed loop never end, so each loop has a counter."""

    __slots__ = ("_idle", "count", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.count: int = 0
        self._idle: asyncio.Event | None = None

    def end(self) -> None:
        """Count a call that has ended, with a result or an error."""
        self.count -= 1
        if self._idle is not None and not self.count:
            self._idle.set()

    async def wait_for_none(self, seconds: float) -> None:
        """Wait until all calls have ended, at most `seconds` long."""
        if not self.count:
            return
        if self._idle is None:
            self._idle = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()


class ClientState:
    """What all calls of a client share, regardless of their options: the pool, the limits, the retry budget."""

    def __init__(
        self,
        transport: Transport,
        redactor: Redactor,
        *,
        rate: float | None,
        limit: "SharedLimit | None" = None,
        retry: RetryPolicy,
        strict: bool,
        observers: Observers,
    ) -> None:
        self.transport = transport
        self.redactor = redactor
        self.strict = strict
        self.budget: RetryBudget = RetryBudget(retry)
        self._observers = observers
        self._rate = rate
        self._limit = limit
        self._new_limiter = self._own_limiter if limit is None else _leased_limiters(limit)
        self.clock: Clock = Clock()
        self.closing: ClosingSignal = ClosingSignal()
        """Set when the client closes: it ends every wait."""
        self._closed = False
        self._in_progress: CallsInProgress | None = None
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

            limiter = self._limiters[group] = self._new_limiter(group, notify)
        return limiter

    def _own_limiter(self, _: str, notify: OnLimiterEvent) -> Limiter:
        return Limiter(self._rate, on_event=notify, clock=self.clock)

    def use_clock(self, clock: Clock) -> None:
        """Wait on another clock; the limiters forget the rates that they have learned."""
        self.clock = clock
        self._limiters.clear()

    # --- calls in progress, and closing ---

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def begin_call(self, loop: asyncio.AbstractEventLoop) -> CallsInProgress:
        """Count a call that begins in a loop, and return the counter whose `end` the call must call.

        Raises:
            ClientClosedError: The client is closed, or about to be.
        """
        if self._closed:
            self.transport.refuse()
        in_progress = self._in_progress
        if in_progress is None or in_progress.loop is not loop:
            in_progress = self._in_progress = CallsInProgress(loop)
        in_progress.count += 1
        self.budget.request()
        return in_progress

    async def close(self, grace: float = 0.0) -> None:
        """Wait up to `grace` seconds for calls in progress, then close the pool and the limit shared with others."""
        self._closed = True
        try:
            if grace:
                await self._wait_until_idle(grace)
        finally:
            try:
                self.closing.set()
                await self.transport.close()
            finally:
                for limiter in self._limiters.values():
                    await limiter.close()
                if self._limit is not None:
                    await self._limit.close()
        await self._wait_until_idle(_ENDING)

    async def _wait_until_idle(self, seconds: float) -> None:
        if self._in_progress is not None and self._in_progress.loop is asyncio.get_running_loop():
            await self._in_progress.wait_for_none(seconds)

    def is_new_drift(self, drift: Drift) -> bool:
        """Return whether this client sees this kind of drift for the first time."""
        key = (drift.model, drift.field, drift.kind)
        # A server that keeps sending new keys must not make the memory of a long-lived client grow.
        if key in self._drifts or len(self._drifts) >= 1000:
            return False
        self._drifts.add(key)
        return True
