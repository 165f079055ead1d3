"""`WaitingRoom`: where calls wait when this machine has no file descriptor left for one more connection.

The connections that are open still work, and a request that ends leaves its connection to the next call. So a call
waits for the end of another request, as it waits for a slot. If no request of ours is in flight, only other parts of
the program can free a descriptor: the calls try again from time to time, and give up when their patience is over.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Final

__all__ = ["WaitingRoom"]

_FIRST: Final = 0.05
_LONGEST: Final = 1.0
_GROWS_AFTER: Final = 0.25
"""Seconds without a refused connection, after which one more may be opened whenever a request ends."""


class WaitingRoom:
    """The calls of one event loop that wait for a descriptor, in the order in which they came.

    Args:
        loop: The event loop.
        in_flight: Returns how many requests are on the wire.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, in_flight: Callable[[], int]) -> None:
        self._loop = loop
        self._in_flight = in_flight
        self.waiting: deque[tuple[asyncio.Future[bool], float]] = deque()
        """The futures of the calls, each with its patience in seconds."""
        self._timer: asyncio.TimerHandle | None = None
        self._interval = _FIRST
        self._refused_at = 0.0
        self._alone_since: float | None = None

    async def wait(self, time_left: float, patience: float, *, again: bool) -> bool:
        """Wait until a connection may be free, or a descriptor for a new one.

        Args:
            time_left: Seconds to wait at most.
            patience: Seconds to wait at most while no request is in flight.
            again: Whether the call has waited before, and still found no descriptor. It keeps its place at the front.

        Returns:
            Whether to try again.
        """
        self._refused_at = self._loop.time()
        if not self.waiting and not again:
            self._alone_since, self._interval = None, _FIRST
        waiter: asyncio.Future[bool] = self._loop.create_future()
        entry = waiter, patience
        if again:
            self.waiting.appendleft(entry)
        else:
            self.waiting.append(entry)
        self._set_timer()
        woken = False
        try:
            async with asyncio.timeout(None if time_left == inf else time_left):
                woken = await waiter
        except TimeoutError:
            return False
        finally:
            if entry in self.waiting:
                self.waiting.remove(entry)
            elif not woken and waiter.done() and not waiter.cancelled() and waiter.result():
                # This call was cancelled after it was woken: the next one takes its place.
                self._wake(1)
        return woken

    def request_ended(self) -> None:
        """Wake the next call: a request has ended, and its connection is free."""
        self._alone_since = None
        self._wake(2 if self._loop.time() - self._refused_at > _GROWS_AFTER else 1)

    def _wake(self, calls: int) -> None:
        while calls and self.waiting:
            waiter, _ = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(True)
                calls -= 1

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._interval = min(2 * self._interval, _LONGEST)
        if self._in_flight():
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        else:
            for waiter, patience in self.waiting:
                if now - self._alone_since >= patience and not waiter.done():
                    waiter.set_result(False)
        self._wake(1)
        if self.waiting:
            self._set_timer()
