"""Make a client skip its waits: its clock jumps to the next timer as soon as nothing else happens."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final

from wavix_async._aio import Clock
from wavix_async._http import ClientState
from wavix_async.client import WavixClient

__all__ = ["skip_waits"]

_POLL: Final = 0.0005
_ROUNDS: Final = 5
"""Rounds of the event loop without a request in flight, after which every task is waiting for a timer."""


def _ignore(seconds: float) -> None:
    """Do nothing."""


def skip_waits(client: WavixClient, advance: Callable[[float], object] = _ignore) -> None:
    """Let a client pass over its waits instead of waiting, and count them all the same.

    Skipped are backoffs, the pauses that a 429 asks for, turns at a rate, and what a bulk run waits for in an outage
    and before it reads a number back. The seconds are taken off the deadline of the call: one that would have given up
    still does, with the same error. What others take is not skipped: an answer that is late, the timeout that guards
    it, and a rate that is shared through Redis.

    Only this client is changed, and those made of it by `with_options`. What it has learned of the API's limits is
    forgotten, so do it first.

    Args:
        client: The client.
        advance: Called with the seconds of each wait, in the client's event loop: `Sandbox.advance`, so that its rate
            limit refills as if they had passed. Default: not called.
    """
    client._state.use_clock(_EagerClock(client._state, advance))


class _EagerClock(Clock):
    """Jumps to the earliest timer when no request is in flight.

    It does not jump at once: a request that is sent now would reach a server whose clock is ahead by the waits of all
    later requests, and the server would refuse a client that keeps its rate.
    """

    def __init__(self, state: ClientState, advance: Callable[[float], object]) -> None:
        self._state: Final = state
        self._advance: Final = advance
        self._order: Final = itertools.count()
        self._timers: list[tuple[float, int, asyncio.Handle, Callable[[], object]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._scheduled = False
        self._idle = 0

    def of(self, loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
        """Return the function that tells the time in seconds: the time of the loop plus the skipped seconds."""
        return lambda: loop.time() + self.skipped

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]) -> asyncio.Handle:
        """Schedule a callback at a time of this clock."""
        if loop is not self._loop:
            # The timers of a loop that has ended are obsolete.
            self._loop, self._timers, self._scheduled = loop, [], False
        handle = asyncio.Handle(callback, (), loop)
        heapq.heappush(self._timers, (when, next(self._order), handle, callback))
        if not self._scheduled:
            self._scheduled, self._idle = True, 0
            loop.call_soon(self._on_idle, loop)
        return handle

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed on this clock."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            # A waiter cancelled in this round of the loop has not cancelled its timer yet.
            if not woken.done():
                woken.set_result(None)

        handle = self.call_at(loop, self.time() + seconds, wake)
        try:
            await woken
        finally:
            handle.cancel()

    def _on_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            self._scheduled = False
            return
        busy = any(limiter.snapshot().in_flight for limiter in self._state._limiters.values())
        # Scheduled before the callbacks below, because they may raise.
        if busy:
            loop.call_later(_POLL, self._on_idle, loop)
        else:
            loop.call_soon(self._on_idle, loop)
        self._idle = 0 if busy else self._idle + 1
        now, next_time = self.time(), timers[0][0]
        if next_time > now and self._idle >= _ROUNDS:
            self.skipped += next_time - now
            self._advance(next_time - now)
            now = next_time
        while timers and timers[0][0] <= now:
            self._idle = 0
            _, _, handle, callback = heapq.heappop(timers)
            if not handle.cancelled():
                callback()
