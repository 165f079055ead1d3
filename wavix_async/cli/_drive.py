"""Driving a bulk run to its end, or to an end in order when somebody presses Ctrl-C."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress

import attrs

from wavix_async import BulkReport, BulkResult, BulkRun, WavixError
from wavix_async.cli._progress import Display

__all__ = ["Driven", "drive", "on_signal"]

GRACE = 5.0
"""Seconds that requests on the wire get after the first Ctrl-C."""


@attrs.frozen
class Driven:
    """How a run ended."""

    report: BulkReport
    interrupted: bool
    broken: Exception | None = None
    """What made the input end before its end."""


async def drive(
    run: BulkRun,
    display: Display,
    take: Callable[[BulkResult], object],
    stop_intake: Callable[[], object] = lambda: None,
) -> Driven:
    """Let the run happen, show it, and hand on each result.

    The first Ctrl-C stops the intake and gives what is on the wire a grace; the second ends at once.

    Args:
        run: The run; it must not have been started.
        display: Shows it.
        take: Called with each result as it lands.
        stop_intake: Called at the first Ctrl-C: the input shall end, too.

    Returns:
        The report, whether Ctrl-C was pressed, and what was wrong with the input.
    """
    main = asyncio.current_task()
    assert main is not None
    presses, ended = 0, False
    broken: Exception | None = None

    def press() -> None:
        nonlocal presses
        presses += 1
        if presses == 1:
            display.say(
                f"Stopping: what is on the wire gets {GRACE:g} s, the rest is not sent. Ctrl-C again ends at once."
            )
            stop_intake()
            run.stop(GRACE)
        elif not ended:
            main.cancel()

    with on_signal(press, signal.SIGINT, signal.SIGTERM):
        shown = asyncio.ensure_future(display.follow(run))
        try:
            # Closed at once also when `take` raises: nothing may be sent after the report.
            async with aclosing(aiter(run)) as results:
                async for result in results:
                    take(result)
        except asyncio.CancelledError:
            if presses < 2:
                raise
            main.uncancel()
        except (WavixError, OSError) as error:
            broken = error
        finally:
            ended = True
            shown.cancel()
            await asyncio.wait([shown])
    return Driven(run.report, presses > 0, broken)


@contextmanager
def on_signal(callback: Callable[[], object], *signals: signal.Signals) -> Iterator[None]:
    """Have signals call a function, where the platform and the thread allow it."""
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
