"""Make a client skip its waits: its clock jumps to the next timer when the client is idle."""

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from math import inf
from typing import Final

from wavix_async._aio import Clock
from wavix_async._http import ClientState
from wavix_async.client import WavixClient

__all__ = ["skip_waits"]

_POLL: Final = 0.0005
_ROUNDS: Final = 5
"""After so many rounds of the event loop without a request in flight, every task is waiting for a timer."""


def _ignore(seconds: float) -> None:
    """Do nothing."""


def skip_waits(client: WavixClient, advance: Callable[[float], object] = _ignore) -> None:
    """Make a client skip its waits, but count the skipped seconds as if they had passed.

    The client skips backoffs, the pauses after a 429, waits for the rate, and the waits of a bulk run during an outage
    and before it reads a number back. The skipped seconds count towards a call's deadline, so a call that would give up
    still does, with the same error. The client does not skip the time of a slow response, the timeout of an attempt, or
    a rate shared through Redis.

    This changes only this client and the clients that its `with_options` returns. It also resets what the client has
    learned about the API's limits, so call it first.

    Args:
        client: The client.
        advance: A function that is called with the seconds of each wait, in the client's event loop. Pass
            `Sandbox.advance`, so that the sandbox's rate limit refills as if the time had passed. Default: none.
    """
    client._state.use_clock(_EagerClock(client._state, advance))


class _Timers:
    """The timers of one event loop."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, asyncio.Handle, Callable[[], object]]] = []
        self.scheduled = False
        self.idle = 0

    def next_time(self) -> float:
        """Return when the next timer is due; `inf` if there is none."""
        while self.heap and self.heap[0][2].cancelled():
            heapq.heappop(self.heap)
        return self.heap[0][0] if self.heap else inf


class _EagerClock(Clock):
    """Jumps to the earliest timer of all event loops when no request is in flight.

    It does not jump immediately. Otherwise a request sent now would reach a server whose clock is ahead by the waits of
    all later requests, and the server would refuse a client that keeps to its rate.
    """

    def __init__(self, state: ClientState, advance: Callable[[float], object]) -> None:
        self._state: Final = state
        self._advance: Final = advance
        self._order: Final = itertools.count()
        self._lock: Final = threading.Lock()
        self._timers: dict[asyncio.AbstractEventLoop, _Timers] = {}

    def of(self, loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
        """Return a function that returns the time in seconds: the loop's time plus the skipped seconds."""
        return lambda: loop.time() + self.skipped

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]) -> asyncio.Handle:
        """Schedule a callback at a time of this clock; call this in the loop."""
        handle = asyncio.Handle(callback, (), loop)
        with self._lock:
            timers = self._timers.get(loop)
            if timers is None:
                # The timers of a loop that does not run any more are obsolete.
                self._timers = {other: each for other, each in self._timers.items() if other.is_running()}
                timers = self._timers[loop] = _Timers()
            heapq.heappush(timers.heap, (when, next(self._order), handle, callback))
        if not timers.scheduled:
            timers.scheduled, timers.idle = True, 0
            loop.call_soon(self._on_idle, loop, timers)
        return handle

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed on this clock."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            # A waiter that was cancelled in this round of the loop has not cancelled its timer yet.
            if not woken.done():
                woken.set_result(None)

        handle = self.call_at(loop, self.time() + seconds, wake)
        try:
            await woken
        finally:
            handle.cancel()

    def _on_idle(self, loop: asyncio.AbstractEventLoop, timers: _Timers) -> None:
        busy = any(limiter.snapshot().in_flight for limiter in list(self._state._limiters.values()))
        skip = 0.0
        with self._lock:
            next_time = timers.next_time()
            if next_time == inf:
                timers.scheduled = False
                return
            # Another loop may have an earlier timer.
            running = [each for other, each in self._timers.items() if other is loop or other.is_running()]
            late = next_time > min(each.next_time() for each in running)
            timers.idle = 0 if busy else timers.idle + 1
            now = self.time()
            if next_time > now and timers.idle >= _ROUNDS and not late:
                skip = next_time - now
                self.skipped += skip
                now = next_time
        # Schedule the next round before the callbacks below run, because they may raise.
        if busy or late:
            loop.call_later(_POLL, self._on_idle, loop, timers)
        else:
            loop.call_soon(self._on_idle, loop, timers)
        if skip:
            self._advance(skip)
        while timers.heap and timers.heap[0][0] <= now:
            timers.idle = 0
            with self._lock:
                _, _, handle, callback = heapq.heappop(timers.heap)
            if not handle.cancelled():
                callback()
