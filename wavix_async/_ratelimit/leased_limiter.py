"""`LeasedLimiter`: a limiter whose permits are slots leased from a store; the asyncio half of `lease.py`.

Only a client that shares a limit with other processes loads this module.
"""

from __future__ import annotations

import asyncio
import logging
from asyncio import get_running_loop
from math import inf
from typing import TYPE_CHECKING

import attrs

from wavix_async._ratelimit.lease import LeasedPacer
from wavix_async._ratelimit.limiter import Limiter, LimitSnapshot
from wavix_async._ratelimit.shared_limit import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

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
    ) -> None:
        """Create a limiter; an event loop is needed only to use it.

        Args:
            limit: Where the leases come from.
            group: The limit group.
            outage: Logs when the store is out of reach; all limit groups of a client share it.
            on_event: As for `Limiter`.
        """
        super().__init__(limit.rate, on_event=on_event)
        self._pacer = self._leased = LeasedPacer(limit.rate, limit.processes)
        self._limit = limit
        self._group = group
        self._outage = outage
        self._request: asyncio.Task[None] | None = None
        self._request_timer: asyncio.TimerHandle | None = None
        self._request_timer_at = inf
        self._closed = False

    def snapshot(self) -> LimitSnapshot:
        """Return what the limiter knows and does now."""
        snapshot = super().snapshot()
        if snapshot.source != "configured" or self._leased.lease.local:
            return snapshot
        return attrs.evolve(snapshot, source="shared")

    async def close(self) -> None:
        """Stop asking the store; callers that still wait continue at this process's part of the rate."""
        self._closed = True
        task, self._request = self._request, None
        loop = get_running_loop()
        if self._loop is not loop:
            # The remaining tasks and timers belong to a loop that is gone.
            return
        self._leased.go_local(loop.time())
        self._set_request_timer(loop, inf)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._release_waiters()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._bind(loop)
        self._request = self._request_timer = None
        self._request_timer_at = inf

    def _release_waiters(self) -> None:
        super()._release_waiters()
        loop = self._loop
        if loop is None or self._closed or self._request is not None or loop.is_closed():
            return
        now = loop.time()
        at = self._leased.lease.request_at(now, len(self._waiters), self._pacer.paused_until)
        if at > now:
            self._set_request_timer(loop, at)
        else:
            self._set_request_timer(loop, inf)
            self._request = loop.create_task(self._request_lease(loop))

    def _set_request_timer(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._request_timer is None or at != self._request_timer_at:
            if self._request_timer is not None:
                self._request_timer.cancel()
            self._request_timer = loop.call_at(at, self._on_request_timer) if at < inf else None
            self._request_timer_at = at

    def _on_request_timer(self) -> None:
        self._request_timer = None
        self._safely(self._release_waiters)

    async def _request_lease(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask the store once. After any outcome, waiting callers continue with what is known then."""
        pacer, was_paused = self._leased, True
        request = pacer.lease.make_request(loop.time(), len(self._waiters), pacer.paused_until)
        try:
            async with asyncio.timeout(PATIENCE):
                grant = await self._limit.lease(self._group, request)
            if self._loop is loop:
                was_paused = self.is_paused()
                pacer.update(request, loop.time(), grant)
                self._outage.end()
        except BaseException as error:
            if self._loop is loop:
                pacer.go_local(loop.time())
            if not isinstance(error, Exception):
                raise
            self._outage.begin(error, pacer.lease.share)
        finally:
            if self._loop is loop and not self._closed:
                self._request = None
                self._safely(lambda: self._after_answer(was_paused))

    def _after_answer(self, was_paused: bool) -> None:
        if self.is_paused():
            self._after_pause(began=not was_paused)
        else:
            self._release_waiters()
