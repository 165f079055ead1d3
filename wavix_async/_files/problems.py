"""Mistakes in files and values, and their places."""

import difflib
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Final

import attrs

__all__ = ["Place", "Problem", "Problems", "did_you_mean", "is_typing_mistake", "listed", "mistakes"]

_SHOWN: Final = 20
_LONGEST: Final = 600


@attrs.frozen
class Place:
    """A place in a file. Unknown parts are None.

    Attributes:
        file: The file name as given; "" where the reader knows it; `<iterable>[3]` for the fourth item of an iterable.
        line: Counted from 1.
        column: Counted from 1: the cell in a table, or the character in a text.
        field: The name of the column or field.
    """

    file: str
    line: int | None = None
    column: int | None = None
    field: str | None = None

    def __str__(self) -> str:
        parts = [self.file] if self.file else []
        if self.line is not None:
            parts.append(f"line {self.line}")
        if self.column is not None and self.field is not None:
            parts.append(f"column {self.column} ({self.field})")
        elif self.column is not None or self.field is not None:
            parts.append(f"column {self.field if self.column is None else self.column}")
        return ", ".join(parts)


def _shorten(message: str) -> str:
    return message if len(message) <= _LONGEST else f"{message[: _LONGEST - 4]} ..."


@attrs.frozen
class Problem:
    """A mistake and its place. A very long message is cut."""

    place: Place
    message: str = attrs.field(converter=_shorten)

    def __str__(self) -> str:
        return f"{place}: {self.message}" if (place := str(self.place)) else self.message


class Problems:
    """Collects problems; keeps the first of them, and counts all.

    Args:
        most: How many to keep.
    """

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self.kept: list[Problem] = []
        self.count = 0

    def add(self, problem: Problem) -> None:
        """Add a problem."""
        self.count += 1
        if len(self.kept) < self._most:
            self.kept.append(problem)

    def merge(self, others: "Problems") -> None:
        """Add another collection, in the order of the lines."""
        both = [*self.kept, *others.kept]
        self.kept = sorted(both, key=lambda problem: problem.place.line or 0)[: self._most]
        self.count += others.count

    def text(self, name: str) -> str:
        """Return a text with their number and the first twenty of them.

        Args:
            name: The name of the file.
        """
        return mistakes(name, map(str, self.kept), self.count)


def mistakes(name: str, lines: Iterable[str], count: int) -> str:
    """Return a text with the number of mistakes and the first twenty of them.

    Args:
        name: The name of the file.
        lines: One line for each mistake, or for at least the first twenty if there are more.
        count: The number of mistakes.
    """
    return listed(f"{name} has {count:,} mistake{'s' * (count != 1)}; nothing was sent.", lines, count)


def listed(head: str, lines: Iterable[str], count: int, most: int | None = _SHOWN) -> str:
    """Return a text with the first of some lines below a head, and with the number of the others.

    Args:
        head: The first line.
        lines: The lines, at least the first of them.
        count: The number of all lines.
        most: How many lines to show; None: all that are given.
    """
    shown = [f"  {line}" for line in islice(lines, most)]
    more = [f"  ... and {count - len(shown):,} more"] if count > len(shown) else []
    return "\n".join([head, *shown, *more])


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return ` Did you mean x?` for a word that is close to a known word, otherwise an empty string."""
    close = difflib.get_close_matches(word.lower().replace(" ", "_"), known, 1)
    return f" Did you mean {close[0]}?" if close else ""


def is_typing_mistake(word: str, known: Collection[str]) -> bool:
    """Return whether a word differs from a known word in a letter or two."""
    return word not in known and bool(difflib.get_close_matches(word.lower(), known, 1, 0.85))
