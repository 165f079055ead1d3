"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer instead of waiting."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


class _Selector(selectors.SelectSelector):
    """Waits for nothing: the time that it was asked to wait is added to the clock."""

    def __init__(self, start: float, late: Callable[[], float] | None) -> None:
        super().__init__()
        self.now = start
        self.late = late
        self.threads = 0
        """Calls in threads that have not returned; no virtual time passes while one runs and nothing else is ready."""

    def select(self, timeout: float | None = None) -> Any:
        if self.threads and timeout != 0:
            return super().select(None)
        if timeout is None:
            raise RuntimeError("deadlock in virtual time: every task waits and no timer is set")
        if timeout > 0:
            self.now += timeout + (self.late() if self.late is not None else 0.0)
            return []
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector event loop whose `time()` is virtual; only sleeps and timers pass time, and they cost none."""

    def __init__(self, start: float = 0.0, late: Callable[[], float] | None = None) -> None:
        self._clock = _Selector(start, late)
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:
        done = super().run_in_executor(executor, func, *args)
        self._clock.threads += 1
        done.add_done_callback(self._leave)
        return done

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        self._clock.threads += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._clock.threads -= 1

    def _leave(self, _: object) -> None:
        self._clock.threads -= 1


def run_virtual(main: Coroutine[Any, Any, T], *, start: float = 0.0, late: Callable[[], float] | None = None) -> T:
    """Run a coroutine to its end in virtual time, which begins at `start`; `late` says how late each timer is."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start, late)) as runner:
        return runner.run(main)
