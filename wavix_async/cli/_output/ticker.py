"""Show on stderr that a call is still going on: after a second, how long it takes and how far it is."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from wavix_async.cli._output.format import format_duration

__all__ = ["alongside", "tick"]

_AFTER: Final = 1.0
_REDRAW: Final = 0.2
_LINE_EVERY: Final = 3.0


@asynccontextmanager
async def alongside(showing: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run a coroutine while the block runs; it is cancelled at the end of the block."""
    task = asyncio.ensure_future(showing)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def tick(console: Console, told: Callable[[], str]) -> None:
    """Show what is going on until this is cancelled: live on a terminal, otherwise a plain line every few seconds.

    Args:
        console: The console of stderr.
        told: Returns what is going on, such as `1,200 rows`.
    """
    began = time.monotonic()

    def line() -> Text:
        return Text(f"{told()}, {format_duration(round(time.monotonic() - began))}")

    if console.is_terminal and not console.is_dumb_terminal:
        await asyncio.sleep(_AFTER)
        spinner = Spinner("dots", line(), style="status.spinner")
        # On a terminal, rows go above the line. Otherwise they go to stdout, and not through the console of stderr.
        with Live(spinner, console=console, transient=True, redirect_stdout=sys.stdout.isatty()):
            while True:
                await asyncio.sleep(_REDRAW)
                spinner.update(text=line())
    while True:
        await asyncio.sleep(_LINE_EVERY)
        console.print(line(), soft_wrap=True)
