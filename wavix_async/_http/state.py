"""`ClientState`: what all calls of a client share; `CallOptions`: what those made with the same options share."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import attrs

from wavix_async._aio.clock import Clock
from wavix_async._aio.stop import ClosingSignal, StopSignal
from wavix_async._codec import Drift
from wavix_async._http.retry import RetryBudget
from wavix_async._http.transport import Transport
from wavix_async._instrumentation.events import PauseEvent, RateEvent
from wavix_async._instrumentation.observers import Observers
from wavix_async._ratelimit.limiter import Limiter
from wavix_async.config import RetryPolicy, Timeouts

if TYPE_CHECKING:
    from wavix_async._ratelimit import SharedLimit

__all__ = ["CallOptions", "ClientState"]

_ENDING = 1.0
"""Seconds within which calls end when their connections are gone."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CallOptions:
    """What `with_options` can change from call to call."""

    timeouts: Timeouts
    retry: RetryPolicy
    observers: Observers
    semaphores: tuple[asyncio.Semaphore, ...] = ()
    stop: StopSignal | None = None


Tell: TypeAlias = Callable[[str, float], None]


def _leasing(limit: "SharedLimit") -> Callable[[str, Tell], Limiter]:
    """Return what makes limiters that lease their turns; few share a limit, and only they load it."""
    from wavix_async._ratelimit import LeasedLimiter, StoreOutage

    outage = StoreOutage()
    return lambda group, notify: LeasedLimiter(limit, group, outage, on_event=notify)


class _UnderWay:
    """The calls that have begun and not ended, in one event loop: those of a loop that is gone will never end."""

    __slots__ = ("_idle", "count", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.count = 0
        self._idle: asyncio.Event | None = None

    def end(self) -> None:
        """Count a call that has ended, however that was."""
        self.count -= 1
        if self._idle is not None and not self.count:
            self._idle.set()

    async def wait_for_none(self, seconds: float) -> None:
        """Wait until all have ended, so long at most."""
        if not self.count:
            return
        if self._idle is None:
            self._idle = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()


class ClientState:
    """What all calls of a client share, whatever their options: the pool, the limits, the retry budget."""

    def __init__(
        self,
        transport: Transport,
        *,
        rate: float | None,
        limit: "SharedLimit | None" = None,
        retry: RetryPolicy,
        strict: bool,
        observers: Observers,
    ) -> None:
        self.transport = transport
        self.strict = strict
        self.budget = RetryBudget(retry)
        self._observers = observers
        self._rate = rate
        self._limit = limit
        self._new_limiter = self._own_limiter if limit is None else _leasing(limit)
        self.clock = Clock()
        self.closing = ClosingSignal()
        """Set when what still waits shall end."""
        self._closed = False
        self._under_way: _UnderWay | None = None
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

    def _own_limiter(self, _: str, notify: Tell) -> Limiter:
        return Limiter(self._rate, on_event=notify, clock=self.clock)

    def use_clock(self, clock: Clock) -> None:
        """Wait on another clock; what was learned of the rates is forgotten."""
        self.clock = clock
        self._limiters.clear()

    # --- from the first call to the last ---

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def begin_call(self, loop: asyncio.AbstractEventLoop) -> _UnderWay:
        """Count a call that begins in a loop, and return what must be told of its end.

        Raises:
            ClientClosedError: The client is closed, or about to be.
        """
        if self._closed:
            self.transport.refuse()
        under_way = self._under_way
        if under_way is None or under_way.loop is not loop:
            under_way = self._under_way = _UnderWay(loop)
        under_way.count += 1
        self.budget.request()
        return under_way

    async def close(self, grace: float = 0.0) -> None:
        """Let calls under way end within the grace, then close the pool, and what is shared with other processes."""
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
        if self._under_way is not None and self._under_way.loop is asyncio.get_running_loop():
            await self._under_way.wait_for_none(seconds)

    def is_new_drift(self, drift: Drift) -> bool:
        """Tell whether this kind of drift is seen for the first time."""
        key = (drift.model, drift.field, drift.kind)
        # A server that sends ever new keys must not make a long-lived client grow.
        if key in self._drifts or len(self._drifts) >= 1000:
            return False
        self._drifts.add(key)
        return True
