"""Run a bulk update to its end, and stop it in order at Ctrl-C."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any

import attrs

from wavix_async import BulkReport, BulkResult, BulkRun, WavixError
from wavix_async.cli._output import Display, ReadProgress

__all__ = ["Interrupts", "RunOutcome", "catch_interrupts", "on_signal", "run_bulk", "show_progress"]

GRACE = 5.0
"""Seconds that requests in flight get after the first Ctrl-C."""


@attrs.frozen
class RunOutcome:
    """How a run ended."""

    report: BulkReport
    interrupted: bool
    input_error: Exception | None = None
    """The error that ended the input early."""


async def run_bulk(
    run: BulkRun,
    display: Display,
    on_result: Callable[[BulkResult], object],
    stop_input: Callable[[], object] = lambda: None,
) -> RunOutcome:
    """Run a bulk update, show its progress, and pass on each result.

    The first Ctrl-C ends the input and gives the requests in flight `GRACE` seconds; the second ends the run at once.

    Args:
        run: The run; it must not have been started.
        display: Shows the progress.
        on_result: Called with each result as it arrives.
        stop_input: Called at the first Ctrl-C, to end the input.

    Returns:
        The report, whether the user pressed Ctrl-C, and the error of the input, if there was one.
    """
    input_error: Exception | None = None

    def stop() -> None:
        display.say(f"Stopping: what is on the wire gets {GRACE:g} s, the rest is not sent. Ctrl-C again ends at once.")
        stop_input()
        run.stop(GRACE)

    with catch_interrupts(stop) as interrupts:
        async with show_progress(display, lambda: ("Updating", run.progress)):
            try:
                # Closed at once also when `on_result` raises: nothing may be sent after the report.
                async with aclosing(aiter(run)) as results:
                    async for result in results:
                        on_result(result)
            except asyncio.CancelledError:
                if not interrupts.absorb_cancellation():
                    raise
            except (WavixError, OSError) as error:
                input_error = error
            finally:
                interrupts.run_ended = True
    return RunOutcome(run.report, interrupts.count > 0, input_error)


@asynccontextmanager
async def show_progress(display: Display, read_progress: ReadProgress) -> AsyncGenerator[None]:
    """Show the progress of a run until the block ends."""
    showing = asyncio.ensure_future(display.follow(read_progress))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.wait([showing])


@attrs.define
class Interrupts:
    """How often the user pressed Ctrl-C, and whether that can still cancel anything.

    Attributes:
        count: How often.
        run_ended: Whether the run has ended, so that another Ctrl-C cancels nothing.
    """

    _task: asyncio.Task[Any]
    count: int = 0
    run_ended: bool = False

    def absorb_cancellation(self) -> bool:
        """Undo the cancellation of the task if the second Ctrl-C caused it, and return whether it did."""
        if self.count < 2:
            return False
        self._task.uncancel()
        return True


@contextmanager
def catch_interrupts(stop: Callable[[], object]) -> Iterator[Interrupts]:
    """Make the first Ctrl-C stop a run in order, and the second cancel the current task.

    Args:
        stop: Called at the first Ctrl-C.
    """
    task = asyncio.current_task()
    assert task is not None
    interrupts = Interrupts(task)

    def on_interrupt() -> None:
        interrupts.count += 1
        if interrupts.count == 1:
            stop()
        elif not interrupts.run_ended:
            task.cancel()

    with on_signal(on_interrupt, signal.SIGINT, signal.SIGTERM):
        yield interrupts


@contextmanager
def on_signal(callback: Callable[[], object], *signals: signal.Signals) -> Iterator[None]:
    """Call a function at these signals, where the platform and the thread allow it."""
    loop = asyncio.get_running_loop()
    # Windows, and threads other than the main one, keep Python's own handling: KeyboardInterrupt.
    unsupported = (NotImplementedError, RuntimeError, ValueError)
    before = {number: signal.getsignal(number) for number in signals}
    with suppress(*unsupported):
        for number in signals:
            loop.add_signal_handler(number, callback)
    try:
        yield
    finally:
        with suppress(*unsupported):
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)
