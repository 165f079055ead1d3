"""Driving a run to its end, or to an end in order when somebody presses Ctrl-C."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from typing import Any

import attrs

from wavix_async import BulkReport, BulkResult, BulkRun, WavixError
from wavix_async.cli._output.progress import Display, Look

__all__ = ["Driven", "Pressed", "drive", "interrupts", "on_signal", "shown"]

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
    broken: Exception | None = None

    def stop() -> None:
        display.say(f"Stopping: what is on the wire gets {GRACE:g} s, the rest is not sent. Ctrl-C again ends at once.")
        stop_intake()
        run.stop(GRACE)

    with interrupts(stop) as pressed:
        async with shown(display, lambda: ("Updating", run.progress)):
            try:
                # Closed at once also when `take` raises: nothing may be sent after the report.
                async with aclosing(aiter(run)) as results:
                    async for result in results:
                        take(result)
            except asyncio.CancelledError:
                if not pressed.forgive():
                    raise
            except (WavixError, OSError) as error:
                broken = error
            finally:
                pressed.over = True
    return Driven(run.report, pressed.times > 0, broken)


@asynccontextmanager
async def shown(display: Display, look: Look) -> AsyncGenerator[None]:
    """Show a run as long as the block takes."""
    following = asyncio.ensure_future(display.follow(look))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.wait([following])


@attrs.define
class Pressed:
    """How often Ctrl-C was pressed, and what became of it.

    Attributes:
        times: How often.
        over: Whether there is nothing left to cut off: a press changes nothing any more.
    """

    _task: asyncio.Task[Any]
    times: int = 0
    over: bool = False

    def forgive(self) -> bool:
        """Take back a cancellation, and tell whether it was the second press that has caused it."""
        if self.times < 2:
            return False
        self._task.uncancel()
        return True


@contextmanager
def interrupts(stop: Callable[[], object]) -> Iterator[Pressed]:
    """Have the first Ctrl-C end a run in order, and the second cancel the running task.

    Args:
        stop: Called at the first.
    """
    main = asyncio.current_task()
    assert main is not None
    pressed = Pressed(main)

    def press() -> None:
        pressed.times += 1
        if pressed.times == 1:
            stop()
        elif not pressed.over:
            main.cancel()

    with on_signal(press, signal.SIGINT, signal.SIGTERM):
        yield pressed


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
