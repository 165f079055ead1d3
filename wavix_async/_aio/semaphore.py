"""Semaphores for the slots of requests, which answer at once whether they are locked.

A request asks its semaphores five times whether they are locked. asyncio's answer makes a generator each time.
"""

import asyncio
from typing import Literal

from wavix_async._aio.lanes import Turns

__all__ = ["LaneSemaphore", "QuickSemaphore"]


class QuickSemaphore(asyncio.Semaphore):
    """A semaphore that answers at once whether it is locked if nothing waits for it."""

    def locked(self) -> bool:
        """Return whether `acquire` would wait."""
        return self._value == 0 or (bool(self._waiters) and super().locked())


class LaneSemaphore(asyncio.Semaphore):
    """A semaphore with two lanes: live calls go first, and leave bulk runs a share.

    Args:
        value: How many may hold it.
        share: The share of the bulk lane while both lanes wait.
    """

    def __init__(self, value: int, share: float) -> None:
        super().__init__(value)
        self._turns: Turns[asyncio.Future[None]] = Turns(share)

    def locked(self) -> bool:
        """Return whether `acquire` would wait. A free slot goes to a waiting caller at once, so none waits for it."""
        return self._value == 0

    def take(self) -> None:
        """Take a slot that is free: `locked` was false just now."""
        self._value -= 1

    async def acquire(self, *, bulk: bool = False) -> Literal[True]:
        """Acquire a slot, in the lane of live calls or in that of bulk runs."""
        if self._value:
            self._value -= 1
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane = self._turns.lane(bulk=bulk)
        lane.append(turn)
        try:
            await turn
        except BaseException:
            if turn in lane:
                lane.remove(turn)
            elif turn.done() and not turn.cancelled():
                # It got its slot and was cancelled at the same time.
                self.release()
            raise
        return True

    def release(self) -> None:
        """Give the slot to the next."""
        turns = self._turns
        while turns.live or turns.bulk:
            turn = turns.take()
            # A call that a loop left when it ended never wakes.
            if not turn.done() and not turn.get_loop().is_closed():
                turn.set_result(None)
                return
        self._value += 1
