"""`LeasedLimiter`: a limiter whose permits are slots leased from a store; the asyncio half of `lease.py`.

Only a client that shares a limit with other processes loads this module.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from typing import TYPE_CHECKING

import attrs

from wavix_async._aio.lanes import BULK_SHARE
from wavix_async._ratelimit.lease import LeasedPacer
from wavix_async._ratelimit.limiter import Limiter, LimitSnapshot
from wavix_async._ratelimit.shared_limit import PATIENCE, PROBE

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavix_async._ratelimit.limiter import LoopSide
    from wavix_async._ratelimit.shared_limit import SharedLimit

__all__ = ["LeasedLimiter", "StoreOutage"]

_logger = logging.getLogger("wavix_async")


class StoreOutage:
    """Logs once that the store is out of reach, and once that it is back."""

    def __init__(self) -> None:
        self._on = False

    def begin(self, error: BaseException, rate: float) -> None:
        """Note a failure. Its text stays out of the log, because it may contain secrets."""
        if not self._on:
            self._on = True
            _logger.warning("shared limit out of reach", extra={"error": type(error).__name__, "rate": rate})

    def end(self) -> None:
        """Note an answer."""
        if self._on:
            self._on = False
            _logger.warning("shared limit back")


class LeasedLimiter(Limiter):
    """A limiter that leases its permits from a store that other processes use, too."""

    def __init__(
        self,
        limit: SharedLimit,
        group: str,
        outage: StoreOutage,
        *,
        on_event: Callable[[str, float], None] | None = None,
        bulk_share: float = BULK_SHARE,
    ) -> None:
        """Create a limiter; an event loop is needed only to use it.

        Args:
            limit: Where the leases come from.
            group: The limit group.
            outage: Logs when the store is out of reach; all limit groups of a client share it.
            on_event: As for `Limiter`.
            bulk_share: As for `Limiter`.
        """
        super().__init__(limit.rate, on_event=on_event, bulk_share=bulk_share)
        self._pacer = self._leased = LeasedPacer(limit.rate, limit.processes)
        self._limit = limit
        self._group = group
        self._outage = outage
        self._request: asyncio.Task[None] | None = None
        self._asking: LoopSide | None = None  # where the request runs
        self._closed = False

    def snapshot(self) -> LimitSnapshot:
        """Return what the limiter knows and does now."""
        snapshot = super().snapshot()
        if snapshot.source != "configured" or self._leased.lease.local:
            return snapshot
        return attrs.evolve(snapshot, source="shared")

    async def close(self) -> None:
        """Stop asking the store; callers that still wait continue at this process's part of the rate."""
        side = self._here()
        with self._lock:
            self._closed = True
            (task, self._request), asking = (self._request, None), self._asking
            self._leased.go_local(side.now())
            self._set_request_timer(side, inf)
        if task is not None and asking is not None:
            if asking is side:
                task.cancel()
                await asyncio.wait([task])
            else:
                asking.call(task.cancel)
        with self._lock:
            self._release_waiters(side)
        self._tell()

    def _drop(self, side: LoopSide) -> None:
        super()._drop(side)
        side.request_timer, side.request_timer_at = None, inf
        if self._asking is side:
            self._request = self._asking = None

    def _release_waiters(self, side: LoopSide) -> None:
        super()._release_waiters(side)
        if self._closed or side.loop.is_closed():
            return
        now = side.now()
        if self._request is not None:
            # Another loop asks. It may end without a word, as may its request.
            patient = self._asking is not side and side.waiting
            self._set_request_timer(side, now + 2 * PATIENCE if patient else inf)
            return
        at = self._leased.lease.request_at(now, len(self._waiters), self._pacer.paused_until)
        if not side.waiting and len(self._waiters):
            # One of the loops in which callers wait asks.
            at = inf
        at = max(at, side.asks_from)
        if at > now:
            self._set_request_timer(side, at)
        else:
            self._set_request_timer(side, inf)
            self._asking = side
            self._request = side.loop.create_task(self._request_lease(side))

    def _set_request_timer(self, side: LoopSide, at: float) -> None:
        if side.request_timer is None or at != side.request_timer_at:
            if side.request_timer is not None:
                side.request_timer.cancel()
            on_timer = self._on_request_timer
            side.request_timer = side.loop.call_at(at - side.ahead, lambda: on_timer(side)) if at < inf else None
            side.request_timer_at = at

    def _on_request_timer(self, side: LoopSide) -> None:
        side.request_timer = None
        if side.parked is None:
            self._safely(side, lambda: self._on_time(side))

    async def _request_lease(self, side: LoopSide) -> None:
        """Ask the store once. After any outcome, waiting callers continue with what is known then."""
        pacer, was_paused, task = self._leased, True, asyncio.current_task()
        with self._lock:
            request = pacer.lease.make_request(side.now(), len(self._waiters), pacer.paused_until)
        try:
            async with asyncio.timeout(PATIENCE):
                grant = await self._limit.lease(self._group, request)
            with self._lock:
                if self._request is task:
                    was_paused = self.is_paused()
                    pacer.update(request, side.now(), grant)
                    self._outage.end()
        except BaseException as error:
            with self._lock:
                if self._request is task:
                    if not isinstance(error, Exception) and len(self._waiters) > side.waiting:
                        # The loop is about to end. Those that wait in other loops ask again.
                        side.asks_from = side.now() + PROBE
                    else:
                        pacer.go_local(side.now())
            if not isinstance(error, Exception):
                raise
            self._outage.begin(error, pacer.lease.share)
        finally:
            if self._request is task and not self._closed:
                self._request = self._asking = None
                self._safely(side, lambda: self._after_answer(side, was_paused))

    def _after_answer(self, side: LoopSide, was_paused: bool) -> None:
        if self.is_paused():
            self._after_pause(side, began=not was_paused)
        else:
            self._release_waiters(side)
        if len(self._waiters) > side.waiting:
            self._wake_others(None)
