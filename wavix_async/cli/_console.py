"""Write data to stdout; write progress, questions and errors to stderr.

Texts of the API, of files and of users are never markup, and never control a terminal: the consoles escape them.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from wavix_async.cli._process import OutputError

__all__ = [
    "err",
    "keep_exit_code",
    "one_line",
    "out",
    "printable",
    "suppress_broken_pipe",
    "show_facts",
    "write_json",
]

_WIDE = 240


class _Console(Console):
    """A console that escapes what a terminal would obey, whatever is printed and however it was made."""

    def render_str(self, text: str, **options: Any) -> Text:
        # Before the width of a cell is measured, and before `Text` drops some control codes.
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False, "highlight": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def on_broken_pipe(self) -> None:
        # rich would end the process with code 1, but a reader that stops early (`| head`) is not an error.
        raise BrokenPipeError


def out(*, wide: bool = False) -> Console:
    """Return the console for data.

    Args:
        wide: Use 240 columns if stdout is not a terminal, so that a program that reads the table finds no folded cells.
    """
    return _Console(file=sys.stdout, width=_WIDE if wide and not sys.stdout.isatty() else None)


def err() -> Console:
    """Return the console for progress, questions and errors."""
    return _Console(file=sys.stderr)


def printable(text: str) -> str:
    """Escape unprintable characters but line breaks: a text of the API may have terminal codes, or half characters."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text)


def one_line(text: str) -> str:
    """Escape unprintable characters and line breaks, so that no text can look like several lines."""
    return printable(text).replace("\n", "\\u000a")


def write_json(value: object) -> None:
    """Write a value to stdout as one line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")


@contextmanager
def suppress_broken_pipe() -> Iterator[None]:
    """Run the block, which writes to stdout; end it silently if the reader closes the pipe."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        pass


@contextmanager
def keep_exit_code() -> Iterator[None]:
    """Run the block, which shows how a run ended; if stdout cannot be written, say so, and go on.

    The exit code must tell how the run ended: a script would send again what seems to have failed.
    """
    try:
        with suppress_broken_pipe():
            yield
    except OutputError as error:
        what = f"wavix-async: Cannot write to stdout: {error.strerror}. The exit code shows the result."
        err().print(what, soft_wrap=True)


def show_facts(console: Console, title: str, facts: Mapping[str, str | Text], *, after: Iterable[Text] = ()) -> None:
    """Print facts as a panel on a terminal, and as plain lines elsewhere.

    Args:
        console: The console to print to.
        title: The title of the panel.
        facts: Labels and values, in order. An empty label continues the previous fact.
        after: Lines below the facts.
    """
    title = one_line(title)
    facts = {one_line(label): one_line(each) if isinstance(each, str) else each for label, each in facts.items()}
    width = max(map(len, facts))
    if not console.is_terminal:
        lines = [title, *(f"  {label:<{width}}  {value}" for label, value in facts.items()), *map(str, after)]
        console.print("\n".join(lines), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for label, value in facts.items():
        grid.add_row(label, value)
    panel = Panel(
        Group(grid, *after), title=Text(title, style="bold"), title_align="left", expand=False, padding=(1, 2)
    )
    console.print(panel)
