"""Two lanes: live calls go before the calls of bulk runs, and leave them a share, so that neither starves the other."""

from collections import deque
from typing import Final, Generic, TypeVar

__all__ = ["BULK_SHARE", "Turns"]

T = TypeVar("T")

BULK_SHARE: Final = 0.2
"""The share of the turns that bulk runs have while live calls wait, too."""


class Turns(Generic[T]):
    """Two queues, and whose turn it is.

    Args:
        share: The share of the turns that the bulk lane has while both lanes wait; more than 0, less than 1.
    """

    __slots__ = ("_credit", "_per_turn", "bulk", "live")

    def __init__(self, share: float) -> None:
        self.live: deque[T] = deque()
        self.bulk: deque[T] = deque()
        self._per_turn = share / (1.0 - share)
        self._credit = 0.0  # turns that the bulk lane has earned while it waited for live calls

    def __len__(self) -> int:
        return len(self.live) + len(self.bulk)

    def lane(self, *, bulk: bool) -> deque[T]:
        """Return the queue of a lane."""
        return self.bulk if bulk else self.live

    def everyone(self) -> list[T]:
        """Return all who wait, live calls first."""
        return [*self.live, *self.bulk]

    def first(self) -> T:
        """Return whose turn it is."""
        return self._next()[0]

    def take(self) -> T:
        """Remove whose turn it is, and return it."""
        queue = self._next()
        if queue is self.live:
            self._credit += self._per_turn if self.bulk else 0.0
        else:
            self._credit = self._credit - 1.0 if self.live else 0.0
        return queue.popleft()

    def _next(self) -> deque[T]:
        if not self.live or (self.bulk and self._credit >= 1.0 - 1e-9):
            return self.bulk
        return self.live
