"""Write data to stdout; write progress, questions and errors to stderr."""

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = [
    "err",
    "forget_stdout",
    "open_streams",
    "out",
    "printable",
    "suppress_broken_pipe",
    "show_facts",
    "write_json",
]

_WIDE = 240


class _Out(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process with code 1, but a reader that stops early (`| head`) is not an error.
        raise BrokenPipeError


class _Err(Console):
    def on_broken_pipe(self) -> None:
        # The run continues when stderr is closed: only its progress is lost.
        self.quiet = True


def out(*, wide: bool = False) -> Console:
    """Return the console for data.

    Args:
        wide: Use 240 columns if stdout is not a terminal, so that a program that reads the table finds no folded cells.
    """
    return _Out(highlight=False, width=_WIDE if wide and not sys.stdout.isatty() else None)


def err() -> Console:
    """Return the console for progress, questions and errors."""
    return _Err(stderr=True, highlight=False)


def printable(text: str) -> str:
    """Escape unprintable characters: a text of the API may contain terminal control codes, or half characters."""
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text)


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
        forget_stdout()


def forget_stdout() -> None:
    """Let what is left for stdout go nowhere: Python flushes it at exit, and would report the error again."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def open_streams() -> None:
    """Make stdout and stderr take every text, because a call may have been paid for when its answer is printed."""
    # A stream that the shell has closed (`>&-`) is None.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
    for stream in (sys.stdout, sys.stderr):
        # An encoding such as ASCII lacks most characters.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def show_facts(console: Console, title: str, facts: Mapping[str, str | Text], *, after: Iterable[Text] = ()) -> None:
    """Print facts as a panel on a terminal, and as plain lines elsewhere.

    Args:
        console: The console to print to.
        title: The title of the panel.
        facts: Labels and values, in order. An empty label continues the previous fact.
        after: Lines below the facts.
    """
    width = max(map(len, facts))
    title = printable(title)
    # rich reads markup in a plain string, and a fact may be a text of the API.
    facts = {label: Text(printable(value)) if isinstance(value, str) else value for label, value in facts.items()}
    if not console.is_terminal:
        console.print(Text(title), soft_wrap=True)
        for label, value in facts.items():
            console.print(Text(f"  {label:<{width}}  {value}"), soft_wrap=True)
        for line in after:
            console.print(Text(str(line)), soft_wrap=True)
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
