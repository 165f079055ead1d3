"""Where things are written: data to stdout, everything else to stderr."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

__all__ = ["err", "out", "reader_may_leave", "show_facts", "write_json"]

_WIDE = 240


class _Out(Console):
    def on_broken_pipe(self) -> None:
        # rich would end the process with 1; who reads no further has all that he wanted.
        raise BrokenPipeError


class _Err(Console):
    def on_broken_pipe(self) -> None:
        # Progress that nobody reads must not end the work that it is about.
        self.quiet = True


def out(*, wide: bool = False) -> Console:
    """Return the console for data.

    Args:
        wide: Fold nothing where there is no terminal: for tables, which other programs may read.
    """
    return _Out(highlight=False, width=_WIDE if wide and not sys.stdout.isatty() else None)


def err() -> Console:
    """Return the console for progress, questions and errors."""
    return _Err(stderr=True, highlight=False)


def write_json(value: object) -> None:
    """Write a value to stdout as one line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Write to stdout in the block, and end the block when nobody reads that any more."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Or Python would complain about the broken pipe once more when it flushes at its end.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show_facts(console: Console, title: str, facts: Mapping[str, str | Text], *, after: Iterable[Text] = ()) -> None:
    """Print facts as a panel on a terminal, and as plain lines elsewhere.

    Args:
        console: Where to.
        title: What they are about.
        facts: Label to value, in order; an empty label goes on with the one before.
        after: Lines below the facts.
    """
    width = max(map(len, facts))
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
    panel = Panel(Group(grid, *after), title=f"[bold]{title}[/]", title_align="left", expand=False, padding=(1, 2))
    console.print(panel)
