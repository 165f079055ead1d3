"""`WorkerPool`: the tasks of a run, each working off one item after the other.

While an item backs off, its worker is idle; the pool then gets one more, so that the slots stay full, and that one
leaves when it is no longer needed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

__all__ = ["Work", "WorkerPool", "foreign_cancel", "is_cancelled"]

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_MOST_WORKERS: Final = 16
"""Workers for each slot at most."""
_LAST_WORD: Final = 0.01
"""Seconds in which workers may end after what they wait for was cancelled."""


class WorkerPool:
    """The workers of one run.

    Args:
        concurrency: Requests on the wire at once.
        size: Workers to begin with.
        cancel_requests: Begins to end what workers have sent together.
    """

    def __init__(self, concurrency: int, size: int, cancel_requests: Callable[[], object]) -> None:
        self._size = size
        self._most = concurrency * _MOST_WORKERS
        self._cancel_requests = cancel_requests
        self._workers: set[asyncio.Task[None]] = set()
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self.ends_at: float | None = None
        """When workers that have not ended by then are cancelled, in the loop's time; None: never."""

    async def run_workers(
        self, work: Work, most: int | None, every: float | None, on_interval: Callable[[], object]
    ) -> None:
        """Have workers work until the last has ended.

        Args:
            work: What each does.
            most: How many workers at most; None: as many as the pool begins with.
            every: Seconds between two calls of `on_interval`; None: called when workers end, and at no other time.
            on_interval: Called while workers work.
        """
        for _ in range(self._size if most is None else min(self._size, most)):
            self._start_worker(work)
        while self._workers:
            await asyncio.wait(self._workers, timeout=every)
            on_interval()

    def add_worker(self, work: Work) -> None:
        """Start one more worker, in place of one that backs off, unless there are too many."""
        if len(self._workers) < self._most:
            self._start_worker(work)

    def leave_if_too_many(self, extra: int) -> bool:
        """Tell the running worker to leave when there are more than the pool's size and `extra`."""
        if len(self._workers) <= self._size + extra:
            return False
        task = asyncio.current_task()
        assert task is not None
        # At once, so that no other worker leaves for the same reason.
        self._workers.discard(task)
        return True

    def end_within(self, seconds: float) -> None:
        """Cancel the workers that have not ended in so many seconds."""
        loop = asyncio.get_running_loop()
        self.ends_at = loop.time() + seconds
        # Workers that wait for a batch learn from it how their items ended, and end by themselves.
        self.drop_timers()
        self._timers = (
            loop.call_at(self.ends_at, self._cancel_requests),
            loop.call_at(self.ends_at + _LAST_WORD, self._cancel),
        )

    async def close(self) -> None:
        """Leave no worker behind."""
        if self._workers:
            self._cancel()
            await asyncio.wait(self._workers)

    def drop_timers(self) -> None:
        """Cancel the timers of `end_within`: they would keep the whole run alive."""
        for timer in self._timers:
            timer.cancel()

    def _start_worker(self, work: Work) -> None:
        worker = asyncio.ensure_future(work())
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    def _cancel(self) -> None:
        for worker in self._workers:
            worker.cancel()


def is_cancelled() -> bool:
    """Tell whether the running task itself was cancelled, and not only something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def foreign_cancel(error: asyncio.CancelledError) -> RuntimeError:
    """Return the error for a cancellation not meant for the worker: something that it awaited was cancelled."""
    broken = RuntimeError("Something that the run waited for was cancelled.")
    broken.__cause__ = error
    return broken
