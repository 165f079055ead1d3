"""What a comparison finds, and how it is written: Markdown and JSON."""

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from attrs import asdict, frozen

from wavix_async._codec import html_table

__all__ = ["ChangeKind", "Comparison", "Effect", "SpecChange", "clean", "render"]


class Effect(enum.StrEnum):
    """What a change does to the callers of this package, worst first."""

    BREAKS_CALLS = "breaks_calls"
    """Calls fail, or do something else."""
    BREAKS_READING = "breaks_reading"
    """A value of an answer is missing, or is not of its documented type: it decodes, and code that uses it may fail."""
    NOT_COVERED = "not_covered"
    """The API offers more than this package: `wavix.call(Operation(...))` and `extra` reach it."""
    HARMLESS = "harmless"
    """Nothing that callers notice."""


class ChangeKind(enum.StrEnum):
    """What is different."""

    SERVER = "server changed"
    OPERATION_ADDED = "operation added"
    OPERATION_REMOVED = "operation removed"
    OPERATION_MOVED = "operation moved"
    SCOPE = "scope changed"
    CONTENT = "content changed"
    STATUSES = "statuses changed"
    ADDED = "added"
    REMOVED = "removed"
    MOVED = "moved"
    RETYPED = "retyped"
    NEWLY_REQUIRED = "newly required"
    NO_LONGER_REQUIRED = "no longer required"
    NULLABLE = "newly nullable"
    NOT_NULLABLE = "no longer nullable"
    VALUE_ADDED = "value added"
    VALUE_REMOVED = "value removed"
    LIMITS = "limits changed"
    DEPRECATED = "deprecated"


@frozen(kw_only=True)
class SpecChange:
    """One difference between an API description and this package."""

    kind: ChangeKind
    effect: Effect
    side: Literal["operation", "request", "answer"]
    """What it is part of."""
    subject: str
    """The field with its model, such as `MessageCreate.to`; or the operation, such as `GET /v1/numbers`."""
    operations: tuple[str, ...]
    """All operations that have the difference; a webhook is `WEBHOOK` and its name."""
    expected: str
    """What this package has: types, values, a scope; empty: nothing."""
    found: str
    """What the description (or the answer) has; empty: nothing."""

    def __str__(self) -> str:
        """Return the difference as one line of text."""
        detail = f": {self.expected or 'nothing'} -> {self.found or 'nothing'}" if self.expected or self.found else ""
        return f"{self.side} {self.subject} {self.kind}{detail}"


@frozen(kw_only=True)
class Comparison:
    """All differences between an API description (or real answers) and this package.

    It is true if there is any: `if comparison: ...`.
    """

    changes: tuple[SpecChange, ...]
    """What breaks callers comes first."""
    known: tuple[SpecChange, ...] = ()
    """Differences that are left out of `changes`, because this package chose them (`wavix_async/spec/known.json`)."""
    left_out: int = 0
    """Differences that were only counted, because there were too many."""

    def __bool__(self) -> bool:
        """Return whether there is a difference."""
        return bool(self.changes) or self.left_out > 0

    @property
    def breaking(self) -> tuple[SpecChange, ...]:
        """The differences that break calls, or the reading of answers."""
        return tuple(each for each in self.changes if each.effect in (Effect.BREAKS_CALLS, Effect.BREAKS_READING))

    def to_dict(self) -> dict[str, object]:
        """Return the comparison as JSON types."""
        return {
            "changes": [_plain(each) for each in self.changes],
            "known": [_plain(each) for each in self.known],
            "left_out": self.left_out,
        }

    def to_json(self) -> str:
        """Return the comparison as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_markdown(self) -> str:
        """Return the comparison as Markdown: a table for each effect. Texts of the description are escaped."""
        return render(self)

    def _repr_html_(self) -> str:
        rows = ((each.effect, each.side, each.subject, each.kind, each.expected, each.found) for each in self.changes)
        count = len(self.changes) + self.left_out
        heads = ("effect", "part", "subject", "change", "expected", "found") if self.changes else ()
        return html_table(heads, rows, f"{count:,} difference{'s' * (count != 1)}", count)


def _plain(change: SpecChange) -> dict[str, object]:
    return {name: str(value) if isinstance(value, enum.Enum) else value for name, value in asdict(change).items()}


def clean(text: str, longest: int = 200) -> str:
    """Return a text of a document without line breaks, control codes and half characters, and not too long."""
    if len(text) > longest:
        text = f"{text[: longest - 1]}\u2026"
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


# --- Markdown ---

_TITLES: Final[Mapping[Effect, str]] = {
    Effect.BREAKS_CALLS: "Breaks calls",
    Effect.BREAKS_READING: "Breaks code that reads answers",
    Effect.NOT_COVERED: "Not in this package",
    Effect.HARMLESS: "Harmless",
}
_MOST_OPERATIONS: Final = 3


def render(comparison: Comparison) -> str:
    """Return a comparison as Markdown."""
    count = len(comparison.changes) + comparison.left_out
    lines = [f"# {count:,} difference{'s' * (count != 1)}" if count else "# No differences", ""]
    for effect, title in _TITLES.items():
        changes = [each for each in comparison.changes if each.effect == effect]
        if changes:
            lines += [f"## {title} ({len(changes):,})", "", *_table(changes), ""]
    if comparison.left_out:
        lines += [f"{comparison.left_out:,} more were only counted.", ""]
    if comparison.known:
        lines += [f"{len(comparison.known):,} known differences are left out.", ""]
    return "\n".join(lines)


def _table(changes: Iterable[SpecChange]) -> Sequence[str]:
    rows = ["| Where | What | Change | Package | Found | Operations |", "|---|---|---|---|---|---|"]
    for each in changes:
        names = [_code(name) for name in each.operations[:_MOST_OPERATIONS]]
        more = len(each.operations) - len(names)
        where = ", ".join(names) + (f" and {more} more" if more else "")
        cells = (each.side, _code(each.subject), each.kind, _code(each.expected), _code(each.found), where)
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _code(text: str) -> str:
    """Return a text as code in a cell: what is markup elsewhere is none there, except these two signs."""
    return "`" + text.replace("`", "\\u0060").replace("|", "\\u007c") + "`" if text else ""
