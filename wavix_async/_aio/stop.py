"""`StopSignal` ends the waits of many calls at once; it does not affect requests on the wire."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from weakref import WeakSet

from wavix_async._aio.watchdog import Watched
from wavix_async.errors import ClientClosedError, StoppedError, WavixError

__all__ = ["ClosingSignal", "StopSignal"]

T = TypeVar("T")

_NEVER: Final = float("inf")


class StopSignal:
    """Once this signal is set, the calls that use it (`with_options(stop=...)`) send nothing more.

    A call that waits for the rate, for a connection or for a backoff raises `StoppedError` at once. A request on the
    wire is not affected: the call waits for its answer. `set()` cannot be undone.
    """

    def __init__(self) -> None:
        self._error: Callable[[], WavixError] = _stopped
        self._set = False
        self._waiting: set[Watched] = set()
        self._followers: WeakSet[StopSignal] = WeakSet()

    def is_set(self) -> bool:
        """Return whether `set()` was called."""
        return self._set

    def set(self) -> None:
        """Stop the calls, in whatever event loop they are."""
        self._set = True
        here = asyncio._get_running_loop()
        # Iterate over a copy: tasks may leave the set meanwhile.
        for waiting in list(self._waiting):
            loop = waiting.task.get_loop()
            if loop is here:
                self._end(waiting)
            else:
                # The waits of a closed loop never end.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._end, waiting)
        for follower in list(self._followers):
            follower.set()

    def _end(self, waiting: Watched) -> None:
        if waiting in self._waiting and not waiting.expired:
            waiting.expired = True
            waiting.task.cancel()

    def also_sets(self, other: "StopSignal") -> None:
        """Also set another signal when this one is set."""
        self._followers.add(other)
        if self._set:
            other.set()

    def check(self) -> None:
        """Raise `StoppedError` if the signal is set.

        Raises:
            StoppedError: The signal is set.
        """
        if self._set:
            raise self._error()

    async def end(self, wait: Awaitable[T], *others: "StopSignal") -> T:
        """Await `wait`, until the signal is set.

        Args:
            wait: The awaitable; `set()` cancels it.
            others: More signals that end the wait.

        Returns:
            The result of the wait.

        Raises:
            StoppedError: The signal is set. If it is set already, the wait does not begin.
        """
        signals = (self, *others)
        task = asyncio.current_task()
        assert task is not None
        waiting = Watched(task, _NEVER)
        for signal in signals:
            signal._waiting.add(waiting)
        try:
            # After the wait is known to the signals: another thread may set one at any time.
            for signal in signals:
                if signal._set:
                    _drop(wait)
                    signal.check()
            return await wait
        except asyncio.CancelledError:
            if waiting.timed_out():
                ended_by = next((signal for signal in signals if signal._set), self)
                raise ended_by._error() from None
            raise
        finally:
            for signal in signals:
                signal._waiting.discard(waiting)


class ClosingSignal(StopSignal):
    """A stop signal whose calls raise `ClientClosedError`."""

    def __init__(self) -> None:
        super().__init__()
        self._error = _closed


def _drop(wait: Awaitable[object]) -> None:
    if asyncio.iscoroutine(wait):
        wait.close()
    elif isinstance(wait, asyncio.Future):
        wait.cancel()


def _stopped() -> WavixError:
    return StoppedError("The call was stopped before its request could be sent.")


def _closed() -> WavixError:
    return ClientClosedError("The client was closed before the request could be sent.")
