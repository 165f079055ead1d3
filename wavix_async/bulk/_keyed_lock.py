"""`KeyedLock`: a key never has two changes in flight, and its changes go out in the order of the input."""

import asyncio
from collections import deque
from collections.abc import Hashable

__all__ = ["KeyedLock"]


class KeyedLock:
    """One lock for each key; a key that is free takes no memory."""

    def __init__(self) -> None:
        # None: the key is locked, and no worker waits for it.
        self._waiting: dict[Hashable, deque[asyncio.Future[None]] | None] = {}

    def try_acquire(self, key: Hashable) -> bool:
        """Take the key where no other worker holds it; most keys come once, and need no coroutine."""
        if key in self._waiting:
            return False
        self._waiting[key] = None
        return True

    async def wait(self, key: Hashable) -> None:
        """Wait until the key is passed on; workers get it in the order in which they ask."""
        acquired = asyncio.get_running_loop().create_future()
        waiting = self._waiting[key]
        if waiting is None:
            waiting = self._waiting[key] = deque()
        waiting.append(acquired)
        try:
            await acquired
        except asyncio.CancelledError:
            if acquired.done() and not acquired.cancelled():
                # The key was passed on to this worker in the moment in which it was cancelled.
                self.release(key)
            raise

    def release(self, key: Hashable) -> None:
        """Pass the key on to the worker that has waited longest."""
        waiting = self._waiting[key]
        while waiting:
            acquired = waiting.popleft()
            if not acquired.done():
                acquired.set_result(None)
                return
        del self._waiting[key]
