"""`Watchdog`: one timer that ends every attempt at its deadline.

`asyncio.timeout` sets and cancels a timer for each request. That is a twentieth of the cost of a request, although
nearly all requests end long before their deadline. Here an attempt only records its deadline, and one timer serves all
attempts.

The timer also notices time in which the process did not run: it fires every `_BEAT` seconds while attempts are watched,
and a late one shows that the process was stopped or the event loop was blocked. Answers may have come in that time, so
the watchdog adds it to the deadlines. A deadline never moves beyond `latest`, which is wall time.
"""

import asyncio
from typing import Final

__all__ = ["Watchdog", "Watched"]

_NEVER: Final = float("inf")
_AGAIN: Final = 0.01
_BEAT: Final = 0.25
_LATE: Final = 0.1
"""Seconds. A timer that is later than this means that the event loop did not run; less is load."""
_GRACE: Final = 0.02
"""Seconds that the event loop gets to read the answers that came while it did not run."""
_MOST_STALLS: Final = 10
"""How many stalls are added to one deadline. Otherwise an event loop that is always late would have no timeouts."""


class Watched:
    """One attempt on the wire."""

    __slots__ = ("cancelling", "closed", "deadline", "expired", "latest", "stalls", "task")

    def __init__(self, task: "asyncio.Task[object]", deadline: float, latest: float = _NEVER) -> None:
        self.task = task
        self.deadline = deadline
        self.latest = latest
        self.stalls = 0
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
        self._timer_at = _NEVER
        self.stalled_at = -_NEVER
        """When the event loop last went on after it had not run for a while, in the loop's time."""

    def __len__(self) -> int:
        """Return how many attempts are watched."""
        return len(self._watched)

    def enter(self, deadline: float, latest: float = _NEVER) -> Watched:
        """Watch the running task until `leave`.

        Args:
            deadline: When the watchdog cancels the task, in the loop's time. Time in which the loop did not run is
                added to it.
            latest: The deadline is never later than this.

        Returns:
            The record to pass to `leave`; its `timed_out()` distinguishes a cancellation at the deadline from others.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        watched = Watched(task, deadline, latest)
        self._watched.add(watched)
        if deadline < self._timer_at:
            self._set_timer(min(deadline, self._loop.time() + _BEAT))
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
        self._timer_at = _NEVER

    def _set_timer(self, when: float) -> None:
        self._cancel_timer()
        self._timer_at = when
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        now = self._loop.time()
        missed = now - self._timer_at
        self._timer_at = earliest = _NEVER
        if missed > _LATE:
            self.stalled_at = now
        for watched in self._watched:
            if watched.expired:
                continue
            if missed > _LATE and watched.stalls < _MOST_STALLS:
                # The stall began at most one beat before this timer was due.
                watched.stalls += 1
                watched.deadline = max(min(watched.deadline + missed + _BEAT, watched.latest), now + _GRACE)
            if watched.deadline > now:
                earliest = min(earliest, watched.deadline)
            elif watched.task.cancelling() > watched.cancelling:
                # Other code is cancelling the task, as aiohttp does when connecting takes too long. A timeout can only
                # be recognized if it is the only cancellation, so check again a little later.
                earliest = min(earliest, now + _AGAIN)
            else:
                watched.expired = True
                watched.task.cancel()
        if earliest < _NEVER:
            self._set_timer(min(earliest, now + _BEAT))
