"""Showing a bulk run on stderr: a live bar on a terminal, a plain line every few seconds elsewhere."""

import asyncio
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from wavix_async import BulkProgress, BulkRun

__all__ = ["Display"]

_REDRAW: Final = 0.1
_LINE_EVERY: Final = 3.0
_SPAN: Final = 3.0


class Display:
    """Shows where a run stands.

    Args:
        console: Where to; it decides between the bar and the lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._samples: deque[tuple[float, int, int]] = deque()
        self._bar = Progress(
            TextColumn("Updating"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TaskProgressColumn(),
            console=console,
            auto_refresh=False,
        )
        self._task = self._bar.add_task("", total=None)

    def say(self, message: str) -> None:
        """Print a message above the bar."""
        self._console.print(Text(message, style="yellow"), soft_wrap=True)

    async def follow(self, run: BulkRun) -> None:
        """Show the run until cancelled; what it came to is shown last."""
        with self._screen() as live:
            try:
                while True:
                    await asyncio.sleep(_REDRAW if live else _LINE_EVERY)
                    self._show(run.progress, live)
            finally:
                if live:
                    self._show(run.progress, live)

    def _screen(self) -> AbstractContextManager[Live | None]:
        if not self._live:
            return nullcontext()
        return Live(Group(self._bar), console=self._console, auto_refresh=False)

    def _show(self, now: BulkProgress, live: Live | None) -> None:
        speed, left = self._measure(now)
        if live is None:
            self._console.print(_line(now, speed, left), soft_wrap=True)
            return
        self._bar.update(self._task, total=now.total, completed=now.done)
        live.update(Group(self._bar, _details(now, speed, left)), refresh=True)

    def _measure(self, now: BulkProgress) -> tuple[float, float | None]:
        """Return the requests per second that the API took lately, and the seconds that are left."""
        samples = self._samples
        samples.append((now.elapsed, now.requests - now.rate_limited, now.done))
        while len(samples) > 2 and samples[0][0] < now.elapsed - _SPAN:
            samples.popleft()
        start, taken, done = samples[0] if len(samples) > 1 else (0.0, 0, 0)
        seconds = max(now.elapsed - start, _REDRAW)
        landed = (now.done - done) / seconds
        left = (now.total - now.done) / landed if now.total is not None and landed else None
        return (now.requests - now.rate_limited - taken) / seconds, left


def _pace(now: BulkProgress, speed: float) -> str:
    return f"{speed:,.0f}/s" if now.rate is None else f"{speed:,.0f}/s of {now.rate:,.0f}/s"


def _eta(left: float | None) -> str:
    return "ETA -" if left is None else f"ETA {timedelta(seconds=round(left))}"


def _pause(now: BulkProgress) -> str:
    return f"paused {now.paused_for:.1f} s: the API said so"


def _details(now: BulkProgress, speed: float, left: float | None) -> Text:
    if now.done == now.total:
        last = (f"{now.elapsed:.1f} s", "")
    else:
        last = (_pause(now), "yellow") if now.paused_for else (_eta(left), "")
    parts = [
        (f"updated {now.updated:,}", "green"),
        (f"failed {now.failed:,}", "red" if now.failed else "dim"),
        *([(f"unknown {now.unknown:,}", "magenta")] if now.unknown else []),
        *([(f"not sent {now.not_sent:,}", "yellow")] if now.not_sent else []),
        (f"429s {now.rate_limited:,}", "yellow" if now.rate_limited else "dim"),
        (_pace(now, speed), "cyan"),
        last,
    ]
    return Text("  ·  ", style="dim").join(Text(text, style=style) for text, style in parts)


def _line(now: BulkProgress, speed: float, left: float | None) -> Text:
    share = f" ({now.done / now.total:.0%})" if now.total else ""
    of = f" of {now.total:,}" if now.total is not None else ""
    last = _pause(now) if now.paused_for else _eta(left)
    return Text(
        f"{now.elapsed:5.0f} s  {now.done:,}{of}{share}, updated {now.updated:,}, failed {now.failed:,}, "
        f"429s {now.rate_limited:,}, {_pace(now, speed)}, {last}"
    )
