"""`read`: reads the desired state of numbers from a file or from Python objects, to compare it with the account."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Final, Literal, TypeAlias, cast

import attrs

from wavix_async import InputError, Number, NumberUpdate, to_dict
from wavix_async._codec import is_empty, plain_scalar
from wavix_async._files import (
    FIELDS,
    KINDS,
    SUFFIXES,
    ParsedChange,
    Place,
    Problem,
    Problems,
    Row,
    RowLayout,
    Rules,
    digits_of,
    id_problem,
    is_id,
    make_update,
    phone_problem,
    read_rows,
    suffix_of,
)
from wavix_async._sqlite import Database, transaction, translate_errors
from wavix_async.fleet._errors import FleetFileError, file_error
from wavix_async.fleet._selectors import Selector
from wavix_async.fleet._yaml import Entry, read_yaml

__all__ = ["LAYOUTS", "Layout", "Match", "Source", "Target", "DesiredState", "read"]

Layout: TypeAlias = RowLayout | Literal["yaml"]
"""The format of a file."""

Source: TypeAlias = (
    str
    | os.PathLike[str]
    | IO[bytes]
    | Mapping[int, NumberUpdate]
    | Mapping[str, NumberUpdate]
    | Mapping[int | str, NumberUpdate]
    | Iterable[tuple[int | str, NumberUpdate | Mapping[str, Any]]]
)

LAYOUTS: Final[Mapping[str, Layout]] = {**SUFFIXES, ".yaml": "yaml", ".yml": "yaml"}
"""The layout for each file suffix; `.gz` may follow."""

_ITERABLE: Final = "<iterable>"
_MOST_PARAMETERS: Final = 500
_SCHEMA: Final = """
CREATE TABLE rows (
    position INTEGER PRIMARY KEY, id INTEGER, number TEXT, line INTEGER NOT NULL, column INTEGER, change TEXT NOT NULL
)
"""
# Created after all rows are inserted, which is several times faster.
_INDEXES: Final = (
    "CREATE INDEX by_id ON rows (id) WHERE id IS NOT NULL",
    "CREATE INDEX by_number ON rows (number) WHERE id IS NULL",
)
_INSERT: Final = "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)"
_REPEATED: Final = """
SELECT row.line, row.column, row.id, row.number, first.line
FROM (SELECT {key} AS key, min(position) AS position FROM rows WHERE {key} IS NOT NULL GROUP BY {key}
      HAVING count(*) > 1) AS twin
JOIN rows AS first ON first.position = twin.position
JOIN rows AS row ON row.{key} = twin.key AND row.position > twin.position
WHERE row.{key} IS NOT NULL {more}
ORDER BY row.position
"""
_KEY: Final = "id, CASE WHEN id IS NULL THEN number END"
_TARGETS: Final = "SELECT position, id, number, line, column FROM rows {} ORDER BY position"
_FIRST_ROWS: Final = f"WHERE position IN (SELECT min(position) FROM rows GROUP BY {_KEY})"  # noqa: S608 - constants


@attrs.frozen
class Target:
    """A number named in the desired state, and its place in the file.

    Attributes:
        id: The record id; None if only the phone number is given.
        number: The phone number, digits only; None if only the id is given.
        place: The place in the file.
    """

    id: int | None
    number: str | None
    place: Place


class DesiredState:
    """The desired state of numbers: the result of `read`. It is stored in a private temporary database, not in memory.

    Args:
        name: The file name for messages.
        entries: Rows, selectors and problems, in order.
        may_repeat: Whether several entries may name a number; the later entry wins.

    Attributes:
        name: The file name as given, or `<iterable>`.
        rows: The number of named numbers.
        selectors: The entries that select numbers by criteria.

    Raises:
        FleetFileError: An entry is invalid; the error lists all problems.
    """

    def __init__(self, name: str, entries: Iterable[Entry], *, may_repeat: bool = False) -> None:
        # A path that is not UTF-8 has half characters, which a database does not take.
        self.name: str = name.encode("utf-8", "backslashreplace").decode()
        self.rows: int = 0
        self.selectors: tuple[Selector, ...] = ()
        self._may_repeat = may_repeat
        self._database = Database(None)
        self._problems = Problems()
        self._last = 0
        self._selectors_at: list[tuple[int, Selector]] = []
        try:
            with translate_errors(None):
                self._fill(self._database.connection, entries)
        except BaseException:
            self.close()
            raise
        if self._problems.count:
            self.close()
            raise file_error(name, self._problems)
        self.selectors = tuple(selector for _, selector in self._selectors_at)

    def __len__(self) -> int:
        """Return the number of named numbers and selectors."""
        return self.rows + len(self.selectors)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<DesiredState {self.name}: {self.rows:,} numbers, {len(self.selectors):,} selectors>"

    def targets(self) -> Iterator[Target]:
        """Yield the named numbers, each once, in order."""
        for _, target in self.positioned_targets():
            yield target

    def match(self) -> "Match":
        """Start a comparison with an account."""
        return Match(self)

    def close(self) -> None:
        """Delete the temporary database. Garbage collection of the object does so, too."""
        self._database.close()

    # --- for Match ---

    @property
    def positions(self) -> int:
        """One more than the largest position: rows and selectors are counted from 1, in order."""
        return self._last + 1

    @property
    def may_repeat(self) -> bool:
        """Whether several entries may name a number; the later entry wins."""
        return self._may_repeat

    @property
    def positioned_selectors(self) -> Sequence[tuple[int, Selector]]:
        """The selectors with their positions."""
        return self._selectors_at

    def positioned_targets(self) -> Iterator[tuple[int, Target]]:
        """Yield the named numbers, each once, with the position of its first row."""
        query = _TARGETS.format(_FIRST_ROWS if self._may_repeat else "")
        for position, number_id, number, line, column in self._database.connection.execute(query):
            yield position, Target(number_id, number, self.place(line, column, number_id))

    def find(self, ids: Iterable[int], numbers: Iterable[str]) -> "Iterator[_FoundRow]":
        """Yield the rows that have one of these ids, and those without an id that have one of these phone numbers."""
        for keys, condition in ((list(ids), "id IN"), (list(numbers), "id IS NULL AND number IN")):
            for start in range(0, len(keys), _MOST_PARAMETERS):
                some = keys[start : start + _MOST_PARAMETERS]
                marks = ",".join("?" * len(some))
                query = f"SELECT * FROM rows WHERE {condition} ({marks}) ORDER BY position"  # noqa: S608 - constants
                for row in self._database.connection.execute(query, some):
                    yield _FoundRow(*row)

    def place(self, line: int, column: int | None = None, number_id: int | None = None) -> Place:
        """Return the place of a row."""
        if self.name == _ITERABLE:
            return Place(f"{self.name}[{line}]")
        return Place(self.name, line, column, "number" if number_id is None else "id")

    # --- filling ---

    def _fill(self, connection: sqlite3.Connection, entries: Iterable[Entry]) -> None:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA cache_size = -24000")
        connection.execute(_SCHEMA)
        with transaction(connection):
            connection.executemany(_INSERT, self._tuples(entries))
            for index in _INDEXES:
                connection.execute(index)
        if not self._may_repeat:
            self._problems.merge(self._repeated(connection))
        counted = f"SELECT count(*) FROM (SELECT 1 FROM rows {f'GROUP BY {_KEY}' if self._may_repeat else ''})"  # noqa: S608
        self.rows = connection.execute(counted).fetchone()[0]

    def _tuples(self, entries: Iterable[Entry]) -> Iterator[tuple[Any, ...]]:
        position = 0
        for entry in entries:
            if isinstance(entry, Problem):
                self._problems.add(entry)
                continue
            position += 1
            if isinstance(entry, Row):
                yield position, entry.id, entry.number, entry.line, entry.column, entry.change.text
            else:
                self._selectors_at.append((position, entry))
        self._last = position

    def _repeated(self, connection: sqlite3.Connection) -> Problems:
        found = Problems()
        for line, column, number_id, _, first in connection.execute(_REPEATED.format(key="id", more="")):
            place = self.place(line, column, number_id)
            found.add(Problem(place, f"id {number_id} is already in {self._line_name(first)}."))
        # For two rows with ids, the comparison with the account shows which phone number is wrong, if any.
        query = _REPEATED.format(key="number", more="AND (row.id IS NULL OR first.id IS NULL)")
        for line, column, number_id, number, first in connection.execute(query):
            place = self.place(line, column if number_id is None else None)
            found.add(Problem(place, f"phone number {number} is already in {self._line_name(first)}."))
        return found

    def _line_name(self, line: int) -> str:
        return f"[{line}]" if self.name == _ITERABLE else f"line {line}"


@attrs.frozen
class _FoundRow:
    position: int
    id: int | None
    number: str | None
    line: int
    column: int | None
    change: str


class Match:
    """Finds the desired settings of an account's numbers, page by page.

    Args:
        desired: The desired state.
    """

    def __init__(self, desired: DesiredState) -> None:
        self._desired = desired
        self._seen = bytearray(desired.positions)
        self._problems = Problems()
        self._listing = 0
        self._examined: list[list[int]] = []
        self.begin_listing(0)

    def begin_listing(self, listing: int) -> None:
        """Count what the selectors match from zero, if this is another listing of the account."""
        if listing != self._listing or not self._examined:
            self._listing = listing
            self._examined = [[0] * (1 + len(each.exceptions)) for each in self._desired.selectors]

    def selections(self) -> Iterator[tuple[Place, str, int]]:
        """Yield the place and a description of each selector and exception, with the count of its numbers so far."""
        for selector, counts in zip(self._desired.selectors, self._examined, strict=True):
            for (place, text), count in zip(selector.parts(), counts, strict=True):
                yield place, text, count

    @property
    def problems(self) -> list[Problem]:
        """The first thousand contradictions with the account found so far."""
        return self._problems.kept

    def error(self) -> FleetFileError | None:
        """Return an error with the problems found so far, or None if there are none."""
        return file_error(self._desired.name, self._problems) if self._problems.count else None

    def updates(self, numbers: Sequence[Number]) -> list[NumberUpdate | None]:
        """Return the desired settings of each of these numbers.

        Args:
            numbers: Some numbers of the account, for instance a page.

        Returns:
            For each number, in order: the merged settings of all its entries, in which later entries win; an empty
            `NumberUpdate` if its entries set no field; None if no entry names or selects it.
        """
        phones = [digits_of(each.number) if isinstance(each.number, str) else None for each in numbers]
        by_id: dict[object, list[_FoundRow]] = {}
        by_phone: dict[str | None, list[_FoundRow]] = {}
        if self._desired.rows:
            ids = {each.id for each in numbers if is_id(each.id)}
            for row in self._desired.find(ids, {phone for phone in phones if phone is not None}):
                if row.id is None:
                    by_phone.setdefault(row.number, []).append(row)
                else:
                    by_id.setdefault(row.id, []).append(row)
        return [
            self._merge_layers(
                number, phone, [*(by_id.get(number.id, ()) if is_id(number.id) else ()), *by_phone.get(phone, ())]
            )
            for number, phone in zip(numbers, phones, strict=True)
        ]

    def unseen(self) -> Iterator[Target]:
        """Yield the named numbers that no call to `updates` has covered."""
        for position, target in self._desired.positioned_targets():
            if not self._seen[position]:
                yield target

    def _merge_layers(self, number: Number, phone: str | None, rows: list[_FoundRow]) -> NumberUpdate | None:
        layers = [
            (row.position, row.change) for row in rows if row.id is None or row.number is None or row.number == phone
        ]
        if rows:
            self._check_rows(number, phone, rows)
        for index, (position, selector) in enumerate(self._desired.positioned_selectors):
            part = selector.examine(number)
            if part is not None:
                self._examined[index][part] += 1
            if part == 0:
                layers.append((position, selector.change.text))
        if not layers:
            return None
        return _update_of(*(text for _, text in sorted(layers)))

    def _check_rows(self, number: Number, phone: str | None, rows: list[_FoundRow]) -> None:
        """Collect contradictions with the account, once for each row, even if its number occurs on several pages."""
        rows.sort(key=lambda row: row.position)
        for index, row in enumerate(rows):
            if self._seen[row.position]:
                continue
            self._seen[row.position] = 1
            place = self._desired.place(row.line, row.column, row.id)
            if row.id is not None and row.number is not None and row.number != phone:
                message = f"id {number.id} has the phone number {number.number!s}, not {row.number}."
                self._problems.add(Problem(place, message))
            elif index and not self._desired.may_repeat:
                first = self._desired.place(rows[0].line)
                message = f"id {number.id} has the phone number {number.number!s}, which is already in {first}."
                self._problems.add(Problem(place, message))


# Most files repeat a few changes.
@lru_cache(maxsize=4096)
def _update_of(*texts: str) -> NumberUpdate:
    values: dict[str, Any] = {}
    for text in texts:
        values.update(json.loads(text))
    return make_update(values)


# --- reading ---


def read(source: Source, *, layout: Layout | None = None) -> DesiredState:
    """Read the desired state of an account's numbers, and check all of it before any request.

    Name a number by its record id, by its phone number (with or without +, spaces, dashes, dots, parentheses), or by
    both. If you give both, `plan` checks the phone number against the account. A field that you leave out keeps its
    value.

    - CSV, with commas, semicolons, tabs or | between the cells, and Excel workbooks (extra `excel`; the sheet is in
      memory while it is read): a header with `id` or `number` or both, and fields of `NumberUpdate`. An empty cell
      keeps the current value, `null` clears it, destinations are JSON. Booleans are true/false, yes/no, on/off, 1/0,
      or those of Excel in other languages (WAHR/FALSCH, VRAI/FAUX). The columns `label`, `city` and `country` of an
      export are for people: `read` ignores them. The file must have a column for at least one field. A row in which all
      fields are empty changes nothing and counts as unchanged.
    - NDJSON: one object with the same keys per line, or a JSON array of them; null clears a field. It may also be a
      number as the API lists it (`wavix-async numbers list --json`).
    - YAML (extra `yaml`): the key `numbers` with a list of entries. Each entry has `set`, and one of `id`, `number` (or
      both), `ids`, `numbers` and `select`: `all`, or a mapping of criteria that must all match (see `Selector`).
      `except` beside `select` leaves numbers out. Several entries may apply to a number; for each field, the last entry
      in the file wins.

    Any file may be compressed with gzip (`.csv.gz`), or be UTF-16.

    In CSV and NDJSON, and in Python objects, a number that is named twice is a mistake.

    Args:
        source: A path, a binary file object, or a mapping or an iterable of `(id, NumberUpdate)`; instead of the id you
            can give a phone number as a string, and instead of the update a mapping of its fields. Numpy scalars are
            numbers, and NaN is an empty cell, so `zip(df.id, df[["sms_enabled"]].to_dict("records"))` is a source. Only
            a `NumberUpdate` can clear a field: in a mapping, None may be an empty cell, too.
        layout: The format of the file: "csv", "ndjson", "yaml" or "xlsx". Default: by the suffix (.csv, .tsv, .ndjson,
            .jsonl, .json, .yaml, .yml, .xlsx; `.gz` may follow).

    Returns:
        The desired state. You can compare it with an account any number of times.

    Raises:
        FleetFileError: The source has mistakes, or the file cannot be read. The error lists all mistakes, with line and
            column.
        InputError: `source` has another type, or the file needs PyYAML or python-calamine, which is not installed.
    """
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
        with _opened(path) as stream:
            return _read_file(stream, path, layout or _layout_of(path))
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        name = name if isinstance(name, str) else "<stream>"
        return _read_file(cast("IO[bytes]", source), name, layout or _layout_of(name))
    pairs: Any = source.items() if isinstance(source, Mapping) else source
    if isinstance(source, bytes | NumberUpdate) or not isinstance(pairs, Iterable):
        raise InputError(f"source must be a path, a file, or (id, NumberUpdate) pairs; got {type(source).__name__}.")
    return DesiredState(_ITERABLE, _read_pairs(pairs))


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    try:
        with Path(path).open("rb") as stream:
            yield stream
    except OSError as error:
        raise FleetFileError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise FleetFileError(f"{path!r} is not a path: {error}.") from None


def _layout_of(name: str) -> Layout:
    layout = LAYOUTS.get(suffix_of(name))
    if layout is None:
        suffixes = ", ".join(LAYOUTS)
        raise FleetFileError(
            f"{name}: the suffix must be one of {suffixes} (also with .gz), or pass the format as layout=."
        )
    return layout


def _read_file(stream: IO[bytes], name: str, layout: Layout) -> DesiredState:
    if layout == "yaml":
        return DesiredState(name, read_yaml(stream, name), may_repeat=True)
    if layout not in LAYOUTS.values():
        raise InputError(f"layout must be one of {', '.join(dict.fromkeys(LAYOUTS.values()))}; got {layout!r}.")
    return DesiredState(name, read_rows(stream, layout, Rules(name, allow_no_changes=True)))


def _read_pairs(pairs: Any) -> Iterator[Entry]:
    last: ParsedChange | None = None
    for index, pair in enumerate(pairs):
        place = Place(f"{_ITERABLE}[{index}]")
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            yield Problem(place, f"must be a pair of an id and a NumberUpdate; got {pair!r}.")
            continue
        key, update = plain_scalar(pair[0]), pair[1]
        number = digits_of(key.strip()) if isinstance(key, str) else None
        if not (number or is_id(key)):
            yield Problem(place, phone_problem(key) if isinstance(key, str) else id_problem(key))
            continue
        # Callers often pass one object for many numbers.
        if last is None or last.update is not update:
            try:
                last = _parse_update(update)
            except InputError as error:
                yield Problem(place, str(error))
                continue
        yield Row(index, None, key if is_id(key) else None, number, last)


def _parse_update(given: Any) -> ParsedChange:
    if isinstance(given, NumberUpdate):
        return ParsedChange(given, to_dict(given))
    if not isinstance(given, Mapping):
        raise InputError(f"must have a NumberUpdate, or a mapping of its fields; got {type(given).__name__}.")
    if unknown := [str(name) for name in given if name not in FIELDS]:
        raise InputError(f"unknown field {', '.join(unknown)}; the fields are {', '.join(FIELDS)}.")
    values = {name: plain_scalar(value) for name, value in given.items() if not is_empty(value)}
    for name, value in list(values.items()):
        # Of an empty cell pandas makes None, or makes decimals of all whole numbers in its column.
        if value is None and type(None) in KINDS[name]:
            raise InputError(
                f"{name} is None, which may be an empty cell: leave the key out to keep the value, or pass "
                f"NumberUpdate({name}=None) to clear it."
            )
        if value is None:
            del values[name]
        elif isinstance(value, float) and value.is_integer() and int in KINDS[name]:
            values[name] = int(value)
    update = NumberUpdate(**values)
    return ParsedChange(update, to_dict(update))
