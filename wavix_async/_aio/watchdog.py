"""`Watchdog`: one timer that ends every attempt at its deadline.

`asyncio.timeout` sets and cancels a timer for each request. That is a twentieth of the cost of a request, although
nearly all requests end long before their deadline. Here an attempt only records its deadline, and one timer waits for
the earliest deadline.
"""

import asyncio
from typing import Final

__all__ = ["Watchdog", "Watched"]

_NEVER: Final = float("inf")
_AGAIN: Final = 0.01


class Watched:
    """One attempt on the wire."""

    __slots__ = ("cancelling", "closed", "deadline", "expired", "task")

    def __init__(self, task: "asyncio.Task[object]", deadline: float) -> None:
        self.task = task
        self.deadline = deadline
        self.cancelling = task.cancelling()
        self.expired = False
        self.closed = False

    def was_closed(self) -> bool:
        """Withdraw the cancellation by `close`, if there is one, and return whether it was the only one."""
        return self.closed and self.task.uncancel() <= self.cancelling

    def timed_out(self) -> bool:
        """Withdraw the cancellation at the deadline, if there is one, and return whether it was the only one."""
        return self.expired and self.task.uncancel() <= self.cancelling


class Watchdog:
    """The attempts on the wire of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = _NEVER

    def enter(self, deadline: float) -> Watched:
        """Watch the running task until `leave`.

        Args:
            deadline: When the watchdog cancels the task, in the loop's time.

        Returns:
            The record to pass to `leave`; its `timed_out()` distinguishes a cancellation at the deadline from others.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        watched = Watched(task, deadline)
        self._watched.add(watched)
        if deadline < self._due:
            self._set_timer(deadline)
        return watched

    def leave(self, watched: Watched) -> None:
        """Stop watching the task."""
        self._watched.discard(watched)

    def close(self) -> None:
        """Cancel the attempts that are still watched."""
        self._cancel_timer()
        for watched in self._watched:
            if not watched.expired and not watched.closed:
                watched.closed = True
                watched.task.cancel()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = _NEVER

    def _set_timer(self, due: float) -> None:
        self._cancel_timer()
        self._due = due
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        now = self._loop.time()
        self._due = _NEVER
        earliest = _NEVER
        for watched in self._watched:
            if watched.expired:
                continue
            if watched.deadline <= now and watched.task.cancelling() > watched.cancelling:
                # Other code is cancelling the task, as aiohttp does when connecting takes too long. A timeout can only
                # be recognized if it is the only cancellation, so check again a little later.
                earliest = min(earliest, now + _AGAIN)
            elif watched.deadline <= now:
                watched.expired = True
                watched.task.cancel()
            else:
                earliest = min(earliest, watched.deadline)
        if earliest < _NEVER:
            self._set_timer(earliest)
