"""Showing a run on stderr: a live bar on a terminal, a plain line every few seconds elsewhere."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Final, Protocol, TypeAlias

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from wavix_async.cli._output.format import duration

__all__ = ["Display", "Look", "Standing"]

_REDRAW: Final = 0.1
_LINE_EVERY: Final = 3.0
_SPAN: Final = 3.0
_STALLED: Final = 5.0


class Standing(Protocol):
    """Where a run stands: what a bulk run and a fleet's run both tell."""

    @property
    def total(self) -> int | None:
        """How many there are to do."""
        ...

    @property
    def done(self) -> int:
        """How many of them have ended."""
        ...

    @property
    def updated(self) -> int:
        """Changes that the API confirmed."""
        ...

    @property
    def failed(self) -> int:
        """Changes that it refused."""
        ...

    @property
    def unknown(self) -> int:
        """Changes in doubt."""
        ...

    @property
    def not_sent(self) -> int:
        """Changes that never left."""
        ...

    @property
    def requests(self) -> int:
        """Requests put on the wire."""
        ...

    @property
    def rate_limited(self) -> int:
        """How many of them were answered 429."""
        ...

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        ...

    @property
    def rate(self) -> float | None:
        """Requests per second that are let through."""
        ...

    @property
    def paused_for(self) -> float:
        """Seconds until a pause is over."""
        ...


Look: TypeAlias = Callable[[], tuple[str, Standing] | None]
"""Returns what a run is doing (`Updating`) and where that stands; None before it has begun."""


class Display:
    """Shows where a run stands.

    Args:
        console: Where to; it decides between the bar and the lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal and not console.is_dumb_terminal
        self._label = ""
        self._samples = deque([(0.0, 0, 0)])
        self._moved = (0.0, 0)  # when the count last grew, and to what
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

    async def follow(self, look: Look) -> None:
        """Show a run until cancelled; what it came to is shown last.

        Args:
            look: Tells where it stands. What the run is doing may change; then it is counted anew.
        """
        with self._screen() as live:
            try:
                while True:
                    await asyncio.sleep(_REDRAW if live else _LINE_EVERY)
                    self._show(look(), live)
            finally:
                if live:
                    self._show(look(), live)

    def _screen(self) -> AbstractContextManager[Live | None]:
        if not self._live:
            return nullcontext()
        # Nothing until there is something to tell.
        return Live(Group(), console=self._console, auto_refresh=False)

    def _show(self, found: tuple[str, Standing] | None, live: Live | None) -> None:
        if found is None:
            return
        label, now = found
        if label != self._label:
            self._label = label
            elapsed, taken, _ = self._samples[-1]
            self._samples = deque([(elapsed, taken, 0)])
            self._moved = (now.elapsed, now.done)
        speed, left = self._measure(now)
        last = self._wait(now) or (_eta(left), "")
        if live is None:
            self._console.print(_line(label, now, speed, last[0]), soft_wrap=True)
            return
        self._bar.update(self._task, description=label, total=now.total, completed=now.done)
        live.update(Group(self._bar, _details(now, speed, last)), refresh=True)

    def _measure(self, now: Standing) -> tuple[float, float | None]:
        """Return the requests per second that the API took lately, and the seconds that are left."""
        samples = self._samples
        samples.append((now.elapsed, now.requests - now.rate_limited, now.done))
        while len(samples) > 2 and samples[0][0] < now.elapsed - _SPAN:
            samples.popleft()
        start, taken, done = samples[0]
        seconds = max(now.elapsed - start, _REDRAW)
        landed = (now.done - done) / seconds
        left = (now.total - now.done) / landed if now.total is not None and landed > 0 else None
        return (now.requests - now.rate_limited - taken) / seconds, left

    def _wait(self, now: Standing) -> tuple[str, str] | None:
        """Return what is waited for, where it takes long enough to wonder."""
        since, done = self._moved
        if now.done != done:
            self._moved = (now.elapsed, now.done)
            since = now.elapsed
        if now.done == now.total:
            return (f"{now.elapsed:.1f} s", "")
        if round(now.paused_for, 1):
            return (f"paused {now.paused_for:.1f} s: the API said so (429)", "yellow")
        if now.elapsed - since >= _STALLED:
            return (f"nothing has got through for {duration(round(now.elapsed - since))}: trying again", "yellow")
        return None


def _pace(now: Standing, speed: float) -> str:
    return f"{speed:,.0f}/s" if now.rate is None else f"{speed:,.0f}/s of {now.rate:,.0f}/s"


def _eta(left: float | None) -> str:
    return "ETA -" if left is None else f"ETA {timedelta(seconds=round(left))}"


def _details(now: Standing, speed: float, last: tuple[str, str]) -> Text:
    parts = [
        *([(f"updated {now.updated:,}", "green")] if _has_results(now) else []),
        *([(f"failed {now.failed:,}", "red" if now.failed else "dim")] if _has_results(now) else []),
        *([(f"unknown {now.unknown:,}", "magenta")] if now.unknown else []),
        *([(f"not sent {now.not_sent:,}", "yellow")] if now.not_sent else []),
        (f"429s {now.rate_limited:,}", "yellow" if now.rate_limited else "dim"),
        (_pace(now, speed), "cyan"),
        last,
    ]
    return Text("  ·  ", style="dim").join(Text(text, style=style) for text, style in parts)


def _line(label: str, now: Standing, speed: float, last: str) -> Text:
    share = f" ({now.done / now.total:.0%})" if now.total else ""
    of = f" of {now.total:,}" if now.total is not None else ""
    results = f"updated {now.updated:,}, failed {now.failed:,}, " if _has_results(now) else ""
    return Text(
        f"{now.elapsed:5.0f} s  {label.lower()}: {now.done:,}{of}{share}, {results}"
        f"429s {now.rate_limited:,}, {_pace(now, speed)}, {last}"
    )


def _has_results(now: Standing) -> bool:
    """Tell whether changes have ended: while numbers are only read, there is nothing to say of that."""
    return bool(now.updated or now.failed or now.unknown or now.not_sent)
