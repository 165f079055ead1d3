"""Show the progress of a run on stderr: a live bar on a terminal, otherwise a plain line every few seconds."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Final, TypeAlias

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from wavix_async import BulkProgress
from wavix_async.cli._output.format import format_duration
from wavix_async.fleet import FleetProgress

__all__ = ["Display", "ReadProgress", "RunProgress"]

_REDRAW: Final = 0.1
_LINE_EVERY: Final = 3.0
_SPAN: Final = 3.0
_STALLED: Final = 5.0


RunProgress: TypeAlias = BulkProgress | FleetProgress
"""The progress of a run."""

ReadProgress: TypeAlias = Callable[[], tuple[str, RunProgress] | None]
"""Returns the label of the current phase (`Updating`) and its progress; None before the run begins."""


class Display:
    """Shows the progress of a run.

    Args:
        console: The console to print to: a terminal gets the bar, anything else gets plain lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._label = ""
        self._samples = deque([(0.0, 0, 0)])
        self._last_advance = (0.0, 0)  # when the count last grew, and to what
        self._bar = Progress(
            TextColumn("{task.description}"),
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

    async def follow(self, read_progress: ReadProgress) -> None:
        """Show the progress until this is cancelled, and on a terminal once more at the end.

        Args:
            read_progress: Returns the label of the phase and the progress. A new label restarts the count at zero.
        """
        with self._screen() as live:
            try:
                while True:
                    await asyncio.sleep(_REDRAW if live else _LINE_EVERY)
                    self._show(read_progress(), live)
            finally:
                if live:
                    self._show(read_progress(), live)

    def _screen(self) -> AbstractContextManager[Live | None]:
        if not self._live:
            return nullcontext()
        # Nothing is shown until the run begins.
        return Live(Group(), console=self._console, auto_refresh=False)

    def _show(self, current: tuple[str, RunProgress] | None, live: Live | None) -> None:
        if current is None:
            return
        label, progress = current
        if label != self._label:
            self._label = label
            elapsed, taken, _ = self._samples[-1]
            self._samples = deque([(elapsed, taken, 0)])
            self._last_advance = (progress.elapsed, _done(progress))
        speed, left = self._measure(progress)
        ending = self._wait_reason(progress) or (_eta(left), "")
        if live is None:
            self._console.print(_line(label, progress, _details(progress, speed, ending)), soft_wrap=True)
            return
        self._bar.update(self._task, description=label, total=progress.total, completed=_done(progress))
        details = (Text(text, style=style) for text, style in _details(progress, speed, ending))
        live.update(Group(self._bar, Text("  ·  ", style="dim").join(details)), refresh=True)

    def _measure(self, progress: RunProgress) -> tuple[float, float | None]:
        """Return the recent rate of accepted requests per second, and the estimated seconds left."""
        samples = self._samples
        samples.append((progress.elapsed, progress.requests - progress.rate_limited, _done(progress)))
        while len(samples) > 2 and samples[0][0] < progress.elapsed - _SPAN:
            samples.popleft()
        start, taken, done = samples[0]
        seconds = max(progress.elapsed - start, _REDRAW)
        per_second = (_done(progress) - done) / seconds
        left = (progress.total - _done(progress)) / per_second if progress.total and per_second > 0 else None
        return (progress.requests - progress.rate_limited - taken) / seconds, left

    def _wait_reason(self, progress: RunProgress) -> tuple[str, str] | None:
        """Return why the run makes no progress, with a style; None if it makes progress."""
        since, done = self._last_advance
        if _done(progress) != done:
            self._last_advance = (progress.elapsed, _done(progress))
            since = progress.elapsed
        if _done(progress) == progress.total:
            return (f"{progress.elapsed:.1f} s", "")
        if round(progress.paused_for, 1):
            return (f"paused for another {progress.paused_for:.1f} s, as the API asked (429)", "yellow")
        if progress.elapsed - since >= _STALLED:
            return (f"no progress for {format_duration(round(progress.elapsed - since))}: retrying", "yellow")
        return None


def _done(progress: RunProgress) -> int:
    """Return how many items are done: a stopped bulk run counts those that it does not send as done."""
    return progress.done - progress.not_sent if isinstance(progress, BulkProgress) else progress.done


def _pace(progress: RunProgress, speed: float) -> str:
    """Return the speed and the limit. A burst, or answers that come together, can look faster than the limit."""
    if progress.rate is None:
        return f"{speed:,.0f}/s"
    at_limit = round(speed) >= round(progress.rate)
    return f"{progress.rate:,.0f}/s (the limit)" if at_limit else f"{speed:,.0f}/s of {progress.rate:,.0f}/s"


def _eta(left: float | None) -> str:
    return "ETA -" if left is None else f"ETA {timedelta(seconds=round(left))}"


def _details(progress: RunProgress, speed: float, ending: tuple[str, str]) -> list[tuple[str, str]]:
    """Return texts with their styles; while the run only reads numbers, there are no counts of results."""
    done, failed, unknown, not_sent = _succeeded(progress), progress.failed, progress.unknown, progress.not_sent
    word = str(progress.success) if isinstance(progress, BulkProgress) else "updated"
    results = [(f"{word} {done:,}", "green"), (f"failed {failed:,}", "red" if failed else "dim")]
    return [
        *(results if done or failed or unknown or not_sent else []),
        *([(f"unknown {unknown:,}", "magenta")] if unknown else []),
        *([(f"not sent {not_sent:,}", "yellow")] if not_sent else []),
        (f"429s {progress.rate_limited:,}", "yellow" if progress.rate_limited else "dim"),
        (_pace(progress, speed), "cyan"),
        ending,
    ]


def _line(label: str, progress: RunProgress, details: Iterable[tuple[str, str]]) -> Text:
    done = _done(progress)
    # 99.9 % is not all of it.
    share = f" ({int(100 * done / progress.total)}%)" if progress.total else ""
    of = f" of {progress.total:,}" if progress.total is not None else ""
    parts = ", ".join(text for text, _ in details)
    return Text(f"{progress.elapsed:5.0f} s  {label.lower()}: {done:,}{of}{share}, {parts}")


def _succeeded(progress: RunProgress) -> int:
    return progress.succeeded if isinstance(progress, BulkProgress) else progress.updated
