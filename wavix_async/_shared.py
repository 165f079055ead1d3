"""What calls have in common: `Shared` for all calls of a client, `Options` for those made with the same options."""

import asyncio

import attrs

from wavix_async._codec import Drift
from wavix_async._events import PauseEvent, RateEvent
from wavix_async._lease import LeasedLimiter, Outage, SharedLimit
from wavix_async._limits import Limiter
from wavix_async._observe import Observers
from wavix_async._retry import RetryBudget
from wavix_async._stop import StopSignal
from wavix_async._transport import Transport
from wavix_async.config import RetryPolicy, Timeouts

__all__ = ["Options", "Shared"]


@attrs.frozen(kw_only=True)
class Options:
    """What `with_options` can change from call to call."""

    timeouts: Timeouts
    retry: RetryPolicy
    observers: Observers
    semaphores: tuple[asyncio.Semaphore, ...] = ()
    stop: StopSignal | None = None


class Shared:
    """What all calls of a client share, whatever their options: the pool, the limits, the retry budget."""

    def __init__(
        self,
        transport: Transport,
        *,
        rate: float | None,
        limit: SharedLimit | None = None,
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
        self._outage = Outage()
        self._limiters: dict[str, Limiter] = {}
        self._drifts: set[tuple[str, str, str]] = set()

    def limiter(self, group: str) -> Limiter:
        """Return the limiter of a limit group."""
        limiter = self._limiters.get(group)
        if limiter is None:

            def tell(kind: str, value: float) -> None:
                paused = kind == "pause"
                self._observers.tell(
                    PauseEvent(group=group, seconds=value) if paused else RateEvent(group=group, rate=value)
                )

            if self._limit is None:
                limiter = Limiter(self._rate, on_event=tell)
            else:
                limiter = LeasedLimiter(self._limit, group, self._outage, on_event=tell)
            self._limiters[group] = limiter
        return limiter

    async def close(self) -> None:
        """Close the pool, and what is shared with other processes; closing twice is fine."""
        try:
            await self.transport.close()
        finally:
            for limiter in self._limiters.values():
                await limiter.close()
            if self._limit is not None:
                await self._limit.close()

    def is_new_drift(self, drift: Drift) -> bool:
        """Tell whether this kind of drift is seen for the first time."""
        key = (drift.model, drift.field, drift.kind)
        # A server that sends ever new keys must not make a long-lived client grow.
        if key in self._drifts or len(self._drifts) >= 1000:
            return False
        self._drifts.add(key)
        return True
