"""HTML for notebooks, which ask an object for `_repr_html_`: tables of records, and bars of progress.

A table shows what `repr` shows and nothing more, at most 50 rows of it. All text is escaped, because it may come from
other people: it must not become markup, nor a formula, which notebooks look for between dollar signs.
"""

import enum
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any, Final, TypeVar

import attrs

from wavix_async._codec.kinds import AnswerBase, FieldsBase
from wavix_async.types import UNSET

__all__ = ["MOST_ROWS", "Records", "html_progress", "html_record", "html_records", "html_table"]

T = TypeVar("T")

MOST_ROWS: Final = 50
_WIDEST: Final = 120
_WIDEST_CAPTION: Final = 400
_MOST_PARTS: Final = 10
"""The most elements of a list in a cell, and the most lists in lists."""


def html_table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "", total: int = 0) -> str:
    """Return a table of the first 50 rows.

    Args:
        heads: The names of the columns; none: the first cell of each row is its name.
        rows: The rows; no more are read than shown.
        caption: The line above the table.
        total: How many rows there are, to say how many are not shown.
    """
    shown = list(islice(rows, MOST_ROWS))
    caption = _line(caption, _WIDEST_CAPTION)
    if total > len(shown):
        caption = f"{caption}{'; ' * bool(caption)}the first {len(shown):,} of {total:,}"
    parts = ['<table class="tex2jax_ignore mathjax_ignore">']
    if caption:
        parts.append(f"<caption>{_escape(caption)}</caption>")
    if heads:
        parts.append(f"<thead><tr>{''.join(f'<th>{_escape(head)}</th>' for head in heads)}</tr></thead>")
    parts.append("<tbody>")
    for row in shown:
        cells = [f"<td>{_escape(_line(_text(value)))}</td>" for value in row]
        if not heads:
            cells[0] = f"<th>{_escape(str(row[0]))}</th>"
        parts.append(f"<tr>{''.join(cells)}</tr>")
    return "".join([*parts, "</tbody></table>"])


def html_record(record: Any, extra: object = None) -> str:
    """Return the table of one record: a row for each field that is set and that `repr` shows, and for `extra`."""
    rows = [(name, value) for name in _shown(record) if (value := getattr(record, name)) is not UNSET]
    return html_table((), [*rows, *([("extra", extra)] if extra else [])], type(record).__name__)


def html_records(records: Sequence[Any], caption: str = "", total: int = 0) -> str:
    """Return the table of records: a column for each field that has a value in one of the rows."""
    shown = records[:MOST_ROWS]
    names: dict[str, None] = {}
    for record in shown:
        names |= dict.fromkeys(_shown(record))
    rows = [[_text(getattr(record, name, None)) for name in names] or [_text(record)] for record in shown]
    used = [at for at in range(len(names)) if any(row[at] not in {"", "{}"} for row in rows)] or [0]
    heads = [list(names)[at] for at in used] if names else ["value"]
    return html_table(heads, [[row[at] for at in used] for row in rows], caption, total or len(records))


def html_progress(done: int, total: int | None, text: str) -> str:
    """Return a bar and a text; without a total, the bar only says that something is going on."""
    known = "" if total is None else f' max="{max(total, 1)}" value="{done}"'
    return f'<progress{known}></progress> <span class="tex2jax_ignore mathjax_ignore">{_escape(text)}</span>'


class Records(list[T]):
    """A list of records that a notebook shows as a table; a copy, a slice or a pickle of it is a plain list."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return html_records(self, f"{len(self):,} record{'s' * (len(self) != 1)}")

    def __reduce__(self) -> tuple[type[list[T]], tuple[list[T]]]:
        return list, (list(self),)


def _shown(record: Any) -> list[str]:
    """Return the names of the fields that `repr` shows; none if the record is no model."""
    if not isinstance(record, AnswerBase | FieldsBase):
        return []
    return [field.name for field in attrs.fields(type(record)) if field.repr is True]


def _text(value: object) -> str:
    """Return what a cell shows of a value, without control characters."""
    if value is None or value is UNSET:
        return ""
    if isinstance(value, list | tuple):
        parts = [_plain(each) if isinstance(each, list | tuple) else _text(each) for each in value[:_MOST_PARTS]]
        return "; ".join(parts + ["…"] * (len(value) > _MOST_PARTS))
    if shown := _shown(value):
        named = [(name, _text(getattr(value, name))) for name in shown]
        return ", ".join(f"{name}: {text}" for name, text in named if text)
    if isinstance(value, enum.Enum):
        # The number of a value says less than its name.
        value = value.name if isinstance(value, int) else value.value
    return _line(str(value) if isinstance(value, str | date | Decimal | Exception) else _plain(value))


def _plain(value: object, depth: int = 0) -> str:
    """Return the `repr` of a value; of JSON only the beginning, because unknown keys may be many, long and deep."""
    if isinstance(value, str):
        return repr(value[:_WIDEST])
    if not isinstance(value, list | tuple | dict):
        return repr(value)
    if depth == _MOST_PARTS:
        return "…"
    if isinstance(value, dict):
        parts = [f"{_plain(key)}: {_plain(each, depth + 1)}" for key, each in islice(value.items(), _MOST_PARTS)]
    else:
        parts = [_plain(each, depth + 1) for each in value[:_MOST_PARTS]]
    text = ", ".join(parts + ["…"] * (len(value) > _MOST_PARTS))
    return f"{{{text}}}" if isinstance(value, dict) else f"[{text}]"


def _line(text: str, widest: int = _WIDEST) -> str:
    """Return the beginning of a text, with escapes for control characters and for those that change its direction."""
    text = text[: widest + 1]
    if not text.isprintable():
        text = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return text if len(text) <= widest else f"{text[: widest - 1]}…"


def _escape(text: str) -> str:
    from html import escape  # it loads a table of all entities, which only notebooks need

    return escape(text)
