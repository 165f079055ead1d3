"""`WorkerPool`: the worker tasks of a run, each of which processes one item after the other.

While an item backs off, its worker is idle. The run then adds a worker, so that all slots stay in use; a worker leaves
when the extra one is no longer needed.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

__all__ = ["Work", "WorkerPool", "foreign_cancel", "is_cancelled"]

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

_MOST_WORKERS: Final = 16
"""The most workers per slot."""
_LAST_WORD: Final = 0.01
"""Seconds that workers have to end by themselves after their batch was cancelled."""


class WorkerPool:
    """The workers of one run.

    Args:
        concurrency: The most requests in flight at once.
        size: The initial number of workers.
        cancel_requests: Cancels batches in flight.
    """

    def __init__(self, concurrency: int, size: int, cancel_requests: Callable[[], object]) -> None:
        self._size = size
        self._most = concurrency * _MOST_WORKERS
        self._cancel_requests = cancel_requests
        self._workers: set[asyncio.Task[None]] = set()
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self.ends_at: float | None = None
        """The loop time at which the pool cancels the remaining workers; None: never."""

    async def run_workers(
        self, work: Work, most: int | None, every: float | None, on_interval: Callable[[], object]
    ) -> None:
        """Start workers, and wait until the last one has ended.

        Args:
            work: The work of each worker.
            most: The most workers to start; None: the initial number.
            every: Seconds between two calls to `on_interval`; None: call it only when workers end.
            on_interval: Called while the workers run.
        """
        for _ in range(self._size if most is None else min(self._size, most)):
            self._start_worker(work)
        while self._workers:
            await asyncio.wait(self._workers, timeout=every)
            on_interval()

    def add_worker(self, work: Work) -> None:
        """Start one more worker to replace one that backs off, unless the pool is at its limit."""
        if len(self._workers) < self._most:
            self._start_worker(work)

    def leave_if_too_many(self, extra: int) -> bool:
        """Return whether the current worker must leave: there are more workers than the pool's size plus `extra`."""
        if len(self._workers) <= self._size + extra:
            return False
        task = asyncio.current_task()
        assert task is not None
        # Remove the worker at once, so that no other worker leaves for the same reason.
        self._workers.discard(task)
        return True

    def end_within(self, seconds: float) -> None:
        """Cancel the workers that have not ended after this many seconds."""
        loop = asyncio.get_running_loop()
        self.ends_at = loop.time() + seconds
        # Cancelled batches pass an outcome to the workers that wait for them; these workers then end by themselves.
        self.drop_timers()
        self._timers = (
            loop.call_at(self.ends_at, self._cancel_requests),
            loop.call_at(self.ends_at + _LAST_WORD, self._cancel),
        )

    async def close(self) -> None:
        """Cancel all workers, and wait for them."""
        if self._workers:
            self._cancel()
            await asyncio.wait(self._workers)

    def drop_timers(self) -> None:
        """Cancel the timers of `end_within`, which would keep the whole run in memory."""
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
    """Return whether the current task itself was cancelled, and not only something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def foreign_cancel(error: asyncio.CancelledError) -> RuntimeError:
    """Return the error for a cancellation of something that a worker awaited, not of the worker itself."""
    broken = RuntimeError("The run awaited something that other code cancelled.")
    broken.__cause__ = error
    return broken
