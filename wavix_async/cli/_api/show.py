"""Show what a call returned: tables and facts for people, NDJSON for programs. Secrets are hidden in both."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any, Final

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from wavix_async import to_dict
from wavix_async._codec import is_model, shape_of
from wavix_async.cli._console import one_line
from wavix_async.cli._output import value_cell

__all__ = ["HIDDEN", "facts_of", "pick", "plain", "table"]

HIDDEN: Final = "<hidden>"
_SECRET: Final = re.compile("passw|secret|token|api_?key|appid|^(?:code|digits|url|pin|value)$", re.IGNORECASE)
"""Names of fields that this version does not know, whose values may be secret."""


def plain(value: Any, *, secrets: bool = False) -> Any:
    """Return a result as JSON values, with the names of the API.

    Args:
        value: A model, or anything that a method returns.
        secrets: Whether to keep the values of secret fields; otherwise they are `<hidden>`.
    """
    if is_model(type(value)):
        return _plain_model(value, secrets=secrets)
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        found = {str(name): plain(each, secrets=secrets) for name, each in value.items()}
        return found if secrets else {name: _unknown(name, each) for name, each in found.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each, secrets=secrets) for each in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if attrs.has(type(value)) and not isinstance(value, BaseException):
        return {
            field.name: plain(getattr(value, field.name), secrets=secrets) if field.repr or secrets else HIDDEN
            for field in attrs.fields(type(value))
            if not field.name.startswith("_")
        }
    return str(value)


def _plain_model(model: Any, *, secrets: bool) -> dict[str, Any]:
    found = dict(to_dict(model))
    if secrets:
        return found
    known: set[str] = set()
    shown = {field.name: bool(field.repr) for field in attrs.fields(type(model))}
    for field in shape_of(type(model)).fields:
        known.add(field.wire)
        if field.wire not in found:
            continue
        value = getattr(model, field.name)
        if not shown[field.name]:
            if found[field.wire] not in (None, ""):
                found[field.wire] = HIDDEN
        elif _holds_models(value):
            found[field.wire] = plain(value)
        elif isinstance(value, dict | list):
            found[field.wire] = _without_secrets(found[field.wire])
    return {name: each if name in known else _unknown(name, each) for name, each in found.items()}


def _holds_models(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_holds_models, value))
    if isinstance(value, dict):
        return any(map(_holds_models, value.values()))
    return is_model(type(value))


def _unknown(name: str, value: Any) -> Any:
    if _SECRET.search(name) and isinstance(value, str | int):
        return HIDDEN
    return _without_secrets(value)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _unknown(str(name), each) for name, each in value.items()}
    return [_without_secrets(each) for each in value] if isinstance(value, list) else value


def pick(row: Any, fields: Sequence[str]) -> Any:
    """Return only these fields of a row; with no fields, the whole row.

    Args:
        row: An object of the API.
        fields: Names, with dots for a field of an object: `message_body.text`.
    """
    if not fields or not isinstance(row, dict):
        return row
    return {name: _inside(row, name) for name in fields}


def _inside(row: Any, name: str) -> Any:
    if isinstance(row, dict) and name in row:
        return row[name]
    first, dot, rest = name.partition(".")
    return _inside(row.get(first), rest) if dot and isinstance(row, dict) else None


def table(console: Console, rows: Sequence[Any], fields: Sequence[str]) -> Table:
    """Return a table of rows: the given fields, or the first that fit the width.

    Args:
        console: The console that will show it.
        rows: Objects of the API.
        fields: The columns; none: the first fields that hold a single value.
    """
    shown = [row if isinstance(row, dict) else {"value": row} for row in rows]
    columns = list(fields) or _columns(shown, console.width)
    made = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(columns):
        made.add_column(
            one_line(name.upper()), style="cyan" if not place else None, overflow="fold", no_wrap=not fields
        )
    for row in shown:
        made.add_row(*(value_cell(row.get(name) if not fields else _inside(row, name)) for name in columns))
    return made


def _columns(rows: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    single = [
        name
        for name in names
        if any(row.get(name) not in (None, "", HIDDEN) for row in rows)
        and not any(isinstance(row.get(name), dict | list) for row in rows)
    ]
    columns: list[str] = []
    for name in single or names:
        longest = max(len(name), *(value_cell(row.get(name)).cell_len for row in rows))
        width -= longest + 2
        if width < -2 and len(columns) > 1:
            break
        columns.append(name)
    return columns


def facts_of(row: Any) -> dict[str, str | Text]:
    """Return the fields of one object as lines."""
    values: Iterable[tuple[str, Any]] = row.items() if isinstance(row, dict) else [("value", row)]
    return {name: value_cell(value) for name, value in values}
