"""Run a bulk update to its end, and stop it cleanly at Ctrl-C."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Final

import attrs

from wavix_async import BulkReport, BulkResult, BulkRun, WavixError
from wavix_async.cli._output import Display, ReadProgress, alongside
from wavix_async.cli._process import stop_signals

__all__ = ["Interrupts", "RunOutcome", "interruptible", "on_stop_signal", "run_bulk"]

GRACE = 5.0
"""Seconds that requests in flight get after the first Ctrl-C."""
_HANGUP: Final = getattr(signal, "SIGHUP", None)


@attrs.frozen
class RunOutcome:
    """The result of a run."""

    report: BulkReport
    interrupted: bool
    input_error: Exception | None = None
    """The error that ended the input early, if any."""
    output_error: OSError | None = None
    """The last error of `on_result` or `finish`, if any: the results are not all written."""


async def run_bulk(
    run: Any,
    display: Display,
    on_result: Callable[[BulkResult], object],
    stop_input: Callable[[], object] = lambda: None,
    finish: Callable[[], object] = lambda: None,
    *,
    label: str = "Updating",
) -> RunOutcome:
    """Run a bulk update, show its progress, and pass on each result.

    The first Ctrl-C ends the input and gives the requests in flight `GRACE` seconds to finish. The second Ctrl-C ends
    the run at once. A result that cannot be written ends the run as the first Ctrl-C does.

    Args:
        run: A `BulkRun` that has not started, or a run of another class with such reports and progress.
        display: Shows the progress.
        on_result: Called with each result as it arrives, and at the end with those that the second Ctrl-C cut off.
        stop_input: Called at the first Ctrl-C, to end the input.
        finish: Called at the end, to write what has no result.
        label: What the run does, for the progress.

    Returns:
        The report, whether the user pressed Ctrl-C, and the errors of the input and of the results, if any.
    """
    input_error: Exception | None = None
    output_error: OSError | None = None

    def stop(reason: str = "Stopping") -> None:
        display.say(f"{reason}: up to {GRACE:g} s for the requests in flight. Press Ctrl-C again to quit at once.")
        stop_input()
        run.stop(GRACE) if isinstance(run, BulkRun) else run.stop()

    def write(call: Callable[[], object]) -> None:
        nonlocal output_error
        try:
            call()
        except OSError as error:
            if output_error is None and not interrupts.run_ended:
                stop("Stopping, because the results cannot be written")
            output_error = error

    async with interruptible(display, lambda: (label, run.progress), stop) as interrupts:
        try:
            # If `on_result` raises, this closes the run at once: it must send nothing after the report.
            async with aclosing(aiter(run)) as results:
                async for result in results:
                    write(partial(on_result, result))
        except (WavixError, OSError) as error:
            input_error = error
    for result in run.undelivered if isinstance(run, BulkRun) else ():
        write(partial(on_result, result))
    write(finish)
    return RunOutcome(run.report, interrupts.count > 0, input_error, output_error)


@attrs.define
class Interrupts:
    """Counts how many times the user pressed Ctrl-C.

    Attributes:
        count: How many times so far.
        run_ended: Whether the run has ended: another Ctrl-C then cancels nothing.
    """

    count: int = 0
    run_ended: bool = False


@asynccontextmanager
async def interruptible(
    display: Display, read_progress: ReadProgress, stop: Callable[[], object]
) -> AsyncGenerator[Interrupts]:
    """Show the progress of a run, let the first Ctrl-C stop it cleanly, and let the second end the block.

    Args:
        display: Shows the progress.
        read_progress: Returns it.
        stop: Called at the first Ctrl-C.
    """
    task = asyncio.current_task()
    assert task is not None
    interrupts = Interrupts()

    def on_interrupt(number: int) -> None:
        # A terminal that closes may send SIGHUP twice.
        if number == _HANGUP and interrupts.count:
            return
        interrupts.count += 1
        if interrupts.count == 1:
            stop()
        elif not interrupts.run_ended:
            task.cancel()

    with on_stop_signal(on_interrupt):
        async with alongside(display.follow(read_progress)):
            try:
                yield interrupts
            except asyncio.CancelledError:
                if interrupts.count < 2:
                    raise
                task.uncancel()
            finally:
                interrupts.run_ended = True


@contextmanager
def on_stop_signal(callback: Callable[[int], object]) -> Iterator[None]:
    """Call a function on Ctrl-C and on what stops as Ctrl-C does, if the platform and the thread allow it.

    Args:
        callback: Called with the number of the signal.
    """
    loop = asyncio.get_running_loop()
    # On Windows and outside the main thread, Python's own handling stays: KeyboardInterrupt.
    unsupported = (NotImplementedError, RuntimeError, ValueError)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *stop_signals())}
    with suppress(*unsupported):
        for number in before:
            loop.add_signal_handler(number, callback, number)
    try:
        yield
    finally:
        with suppress(*unsupported):
            for number, handler in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, handler)
