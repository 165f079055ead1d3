"""`KeyedLock`: at most one change per key is in flight, and the changes of a key are sent in input order."""

import asyncio
from collections import deque
from collections.abc import Hashable

__all__ = ["KeyedLock"]


class KeyedLock:
    """One lock for each key. An unlocked key uses no memory."""

    def __init__(self) -> None:
        # None: the key is locked, and no worker waits for it.
        self._waiting: dict[Hashable, deque[asyncio.Future[None]] | None] = {}

    def try_acquire(self, key: Hashable) -> bool:
        """Lock the key if it is free, and return whether it was. Most keys occur once, so most need no coroutine."""
        if key in self._waiting:
            return False
        self._waiting[key] = None
        return True

    async def wait(self, key: Hashable) -> None:
        """Wait for a locked key; workers get it in the order of their calls."""
        acquired = asyncio.get_running_loop().create_future()
        waiting = self._waiting[key]
        if waiting is None:
            waiting = self._waiting[key] = deque()
        waiting.append(acquired)
        try:
            await acquired
        except asyncio.CancelledError:
            if acquired.done() and not acquired.cancelled():
                # The worker got the key just as it was cancelled: pass the key to the next worker.
                self.release(key)
            raise

    def release(self, key: Hashable) -> None:
        """Pass the key to the worker that has waited longest, or unlock it."""
        waiting = self._waiting[key]
        while waiting:
            acquired = waiting.popleft()
            if not acquired.done():
                acquired.set_result(None)
                return
        del self._waiting[key]
