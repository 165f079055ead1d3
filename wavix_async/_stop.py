"""`StopSignal`: ends the waits of many calls at once, and lets what is on the wire end as it would."""

import asyncio
from collections.abc import Awaitable
from typing import Final, TypeVar
from weakref import WeakSet

from wavix_async._watch import Watched
from wavix_async.errors import StoppedError

__all__ = ["StopSignal"]

T = TypeVar("T")

_NEVER: Final = float("inf")


class StopSignal:
    """Once set, the calls it was given to (`with_options(stop=...)`) send nothing more.

    A call that waits for its turn, for a slot or for a backoff raises `StoppedError` at once; a call that is on the
    wire ends as it would. It cannot be taken back.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiting: set[Watched] = set()
        self._followers: WeakSet[StopSignal] = WeakSet()

    def is_set(self) -> bool:
        """Tell whether `set()` was called."""
        return self._set

    def set(self) -> None:
        """Stop the calls; call it from their event loop."""
        self._set = True
        for waiting in self._waiting:
            if not waiting.expired:
                waiting.expired = True
                waiting.task.cancel()
        for follower in list(self._followers):
            follower.set()

    def also_sets(self, other: "StopSignal") -> None:
        """Let another signal be set with this one."""
        self._followers.add(other)
        if self._set:
            other.set()

    def check(self) -> None:
        """Raise when it is set.

        Raises:
            StoppedError: It is.
        """
        if self._set:
            raise StoppedError("Stopped before this could be sent.")

    async def end(self, wait: Awaitable[T]) -> T:
        """Wait for something, unless the signal is set before.

        Args:
            wait: A wait in the running task; it is cancelled by `set()`.

        Returns:
            What it gives.

        Raises:
            StoppedError: The signal was set, maybe long ago; then the wait does not begin.
        """
        if self._set:
            if asyncio.iscoroutine(wait):
                wait.close()
            elif isinstance(wait, asyncio.Future):
                wait.cancel()
            self.check()
        task = asyncio.current_task()
        assert task is not None
        waiting = Watched(task, _NEVER)
        self._waiting.add(waiting)
        try:
            return await wait
        except asyncio.CancelledError:
            if waiting.timed_out():
                raise StoppedError("Stopped before this could be sent.") from None
            raise
        finally:
            self._waiting.discard(waiting)
