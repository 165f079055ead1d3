"""`QuickSemaphore`: asyncio's semaphore, which answers at once whether it is locked if nothing waits for it."""

import asyncio

__all__ = ["QuickSemaphore"]


class QuickSemaphore(asyncio.Semaphore):
    """A semaphore for the slots of requests.

    A request asks its semaphores five times whether they are locked. asyncio's answer makes a generator each time.
    """

    def locked(self) -> bool:
        """Return whether `acquire` would wait."""
        return self._value == 0 or (bool(self._waiters) and super().locked())
