"""`export`: writes the current settings of the account to a file that `read` accepts."""

import csv
import io
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from wavix_async import DecodeError, InputError, Number, WavixClient
from wavix_async._files import FIELDS, check_path, digits_of, guard, is_id, is_text, replacing, settable_of
from wavix_async._sqlite import Database
from wavix_async.fleet._account import AccountReader
from wavix_async.fleet._desired import Layout

__all__ = ["export"]

_SCHEMA: Final = "CREATE TABLE lines (id INTEGER PRIMARY KEY, line TEXT NOT NULL, listing INTEGER NOT NULL)"
_CHECK_STOPPED_EVERY: Final = 1_000
_SUFFIXES: Final[dict[str, Layout]] = {
    ".csv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".yaml": "yaml",
    ".yml": "yaml",
}
_FOR_PEOPLE: Final = ("label", "city", "country")


async def export(wavix: WavixClient, path: str | os.PathLike[str], *, layout: Layout | None = None) -> int:
    """Write the settings of all numbers of the account to a file that `read` accepts (GET /v1/numbers).

    The columns are id, number, label, city, country and the fields of `NumberUpdate`; the rows are sorted by id, so an
    unchanged account gives the same bytes. `read` ignores label, city and country, which are for people; YAML does not
    have them. A value that no request can set is left out, so that `read` leaves the field unchanged. In CSV, a text
    that a spreadsheet would run as a formula gets an apostrophe, which `read` takes off. The file is created or
    replaced only when it is complete; until then the rows are in a temporary database, not in memory.

    Args:
        wavix: The client of the account.
        path: The file; its suffix sets the format (.csv, .ndjson, .jsonl, .yaml, .yml).
        layout: The format: "csv", "ndjson" or "yaml". Default: by the suffix.

    Returns:
        The number of numbers written.

    Raises:
        InputError: The file cannot be written, or it has another suffix and `layout` is not given.
        APIError: The API rejected the request to list the numbers.
        DecodeError: The API returned a number without a usable id, or fewer numbers than it counts. No file is written.
    """
    target, chosen = _check_target(path, layout)
    line_of = _WRITERS[chosen]
    stopped = threading.Event()
    database = Database(None)
    try:
        await database.run(sqlite3.Connection.execute, _SCHEMA)
        reader = AccountReader(wavix)
        async with aclosing(reader.all_pages()) as pages:
            async for page in pages:
                await database.run(_add_page, page, line_of, reader.listings)
        if reader.is_complete:
            # Delete numbers that an earlier listing found, and that are no longer in the account.
            await database.run(sqlite3.Connection.execute, "DELETE FROM lines WHERE listing < ?", (reader.listings,))
        await database.run(_check_complete, reader.total)
        return await database.run(_write, target, chosen, stopped)
    except OSError as error:
        raise InputError(f"Cannot write {os.fspath(path)}: {error.strerror or error}.") from error
    finally:
        stopped.set()
        database.close()


def _check_target(path: str | os.PathLike[str], layout: Layout | None) -> tuple[Path, Layout]:
    """Return the path and the format. Checked first, so that a wrong path fails before a long listing."""
    target = check_path(path, "path")
    chosen = layout or _SUFFIXES.get(target.suffix.lower())
    if chosen not in _WRITERS:
        raise InputError(
            f"{os.fspath(path)}: the suffix must be one of {', '.join(_SUFFIXES)}, or pass the format as layout=."
        )
    if not target.parent.is_dir() or (target.exists() and not target.is_file()):
        raise InputError(f"Cannot write {os.fspath(path)}: it is not a file, or its directory does not exist.")
    return target, chosen


def _add_page(
    connection: sqlite3.Connection, numbers: Sequence[Number], line_of: Callable[[Number], str], listing: int
) -> None:
    for number in numbers:
        if not is_id(number.id):
            raise DecodeError(f"A number of the account has no usable id: {number.id!r}.", retryable=False)
    connection.execute("BEGIN")
    # A number that moves to another page during the listing occurs twice.
    connection.executemany(
        "INSERT OR REPLACE INTO lines VALUES (?, ?, ?)", ((number.id, line_of(number), listing) for number in numbers)
    )
    connection.execute("COMMIT")


def _check_complete(connection: sqlite3.Connection, total: int | None) -> None:
    """Refuse to write fewer numbers than the account has: pages that overlap hide others."""
    (found,) = connection.execute("SELECT count(*) FROM lines").fetchone()
    if total is not None and found < total:
        raise DecodeError(
            f"The account has {total:,} numbers, and its pages held {found:,} different ones. Export it again.",
            retryable=True,
        )


def _write(connection: sqlite3.Connection, target: Path, layout: Layout, stopped: threading.Event) -> int:
    written = 0

    def lines() -> Iterator[str]:
        nonlocal written
        for (line,) in connection.execute("SELECT line FROM lines ORDER BY id"):
            if written % _CHECK_STOPPED_EVERY == 0 and stopped.is_set():
                raise InterruptedError
            written += 1
            yield line

    with replacing(target) as stream:
        stream.writelines(_with_header(layout, lines()))
    return written


# --- layouts ---


def _with_header(layout: Layout, lines: Iterator[str]) -> Iterator[str]:
    if layout == "csv":
        yield _csv_line(("id", "number", *_FOR_PEOPLE, *FIELDS))
    elif layout == "yaml":
        first = next(lines, None)
        yield "numbers: []\n" if first is None else f"numbers:\n{first}"
    yield from lines


def _csv(number: Number) -> str:
    settings = settable_of(number)
    shown = (getattr(number, name) for name in _FOR_PEOPLE)
    values = [*("" if value is None else value for value in shown), *(settings.get(name, "") for name in FIELDS)]
    return _csv_line((str(number.id), _digits(number) or "", *(guard(_cell(value)) for value in values)))


def _csv_line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> str:
    if not isinstance(value, str):
        return _json(value)
    return value if value.isprintable() and value == value.strip() else json.dumps(value)


def _ndjson(number: Number) -> str:
    digits = _digits(number)
    key = {"id": number.id} if digits is None else {"id": number.id, "number": digits}
    shown = {name: value for name in _FOR_PEOPLE if isinstance(value := getattr(number, name), str)}
    return f"{_json({**key, **shown, **settable_of(number)})}\n"


def _yaml(number: Number) -> str:
    lines = [f"- id: {number.id}"]
    if (digits := _digits(number)) is not None:
        lines.append(f'  number: "{digits}"')
    settings = settable_of(number)
    lines.append("  set:" if settings else "  set: {}")
    for name, value in settings.items():
        if isinstance(value, list) and value:
            lines.append(f"    {name}:")
            lines += [f"    - {_yaml_value(each)}" for each in value]
        else:
            lines.append(f"    {name}: {_yaml_value(value)}")
    return "\n".join(lines) + "\n"


def _yaml_value(value: Any) -> str:
    text = _json(value)
    if text.isprintable():
        return text
    # JSON is valid YAML, except for characters that YAML takes for a line break, or does not allow.
    return "".join(each if each.isprintable() else _escaped(ord(each)) for each in text)


def _escaped(point: int) -> str:
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


_WRITERS: Final[dict[Layout, Callable[[Number], str]]] = {"csv": _csv, "ndjson": _ndjson, "yaml": _yaml}


# --- values ---


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if is_text(text) else json.dumps(value)


def _digits(number: Number) -> str | None:
    """Return the digits of the phone number, or None if it is not a phone number."""
    return digits_of(number.number) if isinstance(number.number, str) else None
