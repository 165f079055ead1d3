"""What a group of operations gets from the sandbox, and what it gives."""

from collections.abc import Callable, Sequence
from datetime import datetime
from threading import RLock
from typing import Protocol

from attrs import frozen

from wavix_async.sandbox._server import Route, SandboxStats


@frozen(kw_only=True)
class Context:
    """What every group may use: the lock, the clocks, the counters and the sandbox's arguments."""

    lock: RLock
    """Held by a caller that reads or changes state, and never over an `await`."""
    clock: Callable[[], float]
    """Seconds, for delays."""
    date: Callable[[], datetime]
    """The date and time of the sandbox in UTC, for the times in answers; it moves with `clock`."""
    stats: SandboxStats
    seed: int = 0
    numbers: int = 0
    foreign: float = 0.0
    apply_delay: float = 0.0
    batch_limit: int | None = None
    delivery_delay: float = 0.0


class Group(Protocol):
    """A group of operations with their state."""

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        ...

    def reset(self) -> None:
        """Go back to the first day."""
        ...
