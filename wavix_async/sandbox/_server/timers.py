"""Timers: what happens later, on the sandbox's own clock."""

import heapq
from collections.abc import Callable

from attrs import define, field


@define(eq=False)
class Timers:
    """Actions that are due at a time of the sandbox's clock; the caller holds the sandbox's lock.

    An action that is due runs before the next request, before the next read of the state, and when the clock is moved
    forward. While it runs, the clock shows the moment at which it was due, so that an action that `advance` has skipped
    over leaves the same records as one that ran on time.
    """

    clock: Callable[[], float]
    """Seconds, without regard to the action that runs."""
    running_at: float | None = field(default=None, init=False)
    """The moment at which the running action was due; None: no action runs."""
    on_change: Callable[[], None] | None = field(default=None, init=False)
    """Called when the next action is due earlier than before."""
    _due: list[tuple[float, int, Callable[[], None]]] = field(factory=list, init=False)
    _added: int = field(default=0, init=False)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run an action after some seconds; 0: as soon as the present request or action is over.

        An action cannot be cancelled: let it check whether it still applies.
        """
        now = self.clock() if self.running_at is None else self.running_at
        self._added += 1
        entry = (now + seconds, self._added, action)
        heapq.heappush(self._due, entry)
        if self._due[0] is entry and self.on_change is not None:
            self.on_change()

    @property
    def next_due(self) -> float | None:
        """When the next action is due; None: there is none."""
        return self._due[0][0] if self._due else None

    def run_due(self) -> None:
        """Run all actions that are due, the earliest first, and those that they add."""
        if self.running_at is not None:
            return
        while self._due and self._due[0][0] <= self.clock():
            self.running_at, _, action = heapq.heappop(self._due)
            try:
                action()
            finally:
                self.running_at = None

    def clear(self) -> None:
        """Forget all actions."""
        self._due.clear()
