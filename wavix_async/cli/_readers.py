"""CSV and NDJSON, line by line, into rows and problems."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import IO, Any, Final, TypeAlias

import attrs

from wavix_async import NumberUpdate
from wavix_async.cli._values import FIELDS, ValueProblem, WrongValues, from_text, make_update

__all__ = ["Item", "Problem", "Row", "read_csv", "read_ndjson"]

_COLUMNS: Final = f"id, {', '.join(FIELDS)}"
_NOT_AN_ID: Final = "must be the number's record id, a positive whole number"
_NOTHING: Final = "changes nothing: give at least one field a value."


@attrs.frozen
class Problem:
    """What is wrong with a row, and where."""

    line: int
    column: str | None
    message: str

    def __str__(self) -> str:
        column = "" if self.column is None else f", column {self.column}"
        return f"line {self.line}{column}: {self.message}"


@attrs.frozen
class Row:
    """One change, and where it stood."""

    line: int
    column: str
    """The column of the id."""
    id: int
    update: NumberUpdate
    fields: tuple[str, ...]


Item: TypeAlias = Row | Problem


class _NotText(Exception):  # noqa: N818 - becomes a problem
    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.problem = Problem(line, str(column), "is not UTF-8: save the file as UTF-8.")


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield the lines as text, without a byte order mark; a line that is no text ends it with `_NotText`."""
    for number, raw in enumerate(stream, start=1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _NotText(number, error.start + 1) from None


def _make(values: Mapping[str, Any]) -> NumberUpdate | Sequence[ValueProblem]:
    try:
        return make_update(values)
    except WrongValues as wrong:
        return wrong.problems


# --- CSV ---


def read_csv(stream: IO[bytes], common: Mapping[str, Any]) -> Iterator[Item]:
    """Read CSV with a header, or one id per line.

    Args:
        stream: The bytes, at their start.
        common: Values for every row.

    Yields:
        A row or a problem, in the order of the lines.
    """
    reader = csv.reader(_lines(stream), strict=True)
    table: _Table | None = None
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Problem(line, None, f"is not CSV: {error}.")
            continue
        except _NotText as error:
            yield error.problem
            return
        if not any(map(str.strip, cells)):
            continue
        if table is not None:
            yield from table.row(line, cells)
            continue
        headless = cells[0].strip().isdigit()
        table = _Table(["id"] if headless else [cell.strip() for cell in cells], common)
        if problems := list(table.problems(line)):
            yield from problems
            return
        if headless:
            yield from table.row(line, cells)


class _Table:
    """The columns of a CSV file, and what their cells mean."""

    def __init__(self, columns: Sequence[str], common: Mapping[str, Any]) -> None:
        self._columns = columns
        self._common = common
        self._id = columns.index("id") if "id" in columns else 0
        # Most files say the same few things over and over.
        self._convert = lru_cache(maxsize=256)(self._convert_cells)

    def problems(self, line: int) -> Iterator[Problem]:
        """Tell what is wrong with the header."""
        if "id" not in self._columns:
            yield Problem(line, None, f"there must be a header with the column id; the columns are {_COLUMNS}.")
            return
        for index, name in enumerate(self._columns):
            where = self._where(index)
            if name in self._columns[:index]:
                yield Problem(line, where, "is there twice.")
            elif name != "id" and name not in FIELDS:
                yield Problem(line, where, f"is no column of this table; the columns are {_COLUMNS}.")
            elif name in self._common:
                yield Problem(line, where, "is given as a flag, too: leave out one of them.")
        if len(self._columns) == 1 and not self._common:
            yield Problem(line, None, f"there is nothing to change: add columns ({', '.join(FIELDS)}) or give flags.")

    def row(self, line: int, cells: Sequence[str]) -> Iterator[Item]:
        """Yield the row, or what is wrong with it."""
        if len(cells) != len(self._columns):
            at = str(min(len(cells), len(self._columns)) + 1)
            yield Problem(line, at, f"the row has {len(cells)} cells and the header {len(self._columns)}.")
            return
        text = cells[self._id].strip()
        number_id = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
        update, fields, wrong = self._convert((*cells[: self._id], *cells[self._id + 1 :]))
        if update is not None and number_id:
            yield Row(line, self._where(self._id), number_id, update, fields)
            return
        if not number_id:
            yield Problem(line, self._where(self._id), f"{_NOT_AN_ID}; got {text!r}.")
        for problem in wrong:
            yield Problem(line, self._where(self._columns.index(problem.field)), problem.message)
        if update is None and not wrong:
            yield Problem(line, None, _NOTHING)

    def _convert_cells(
        self, cells: tuple[str, ...]
    ) -> tuple[NumberUpdate | None, tuple[str, ...], Sequence[ValueProblem]]:
        names = (*self._columns[: self._id], *self._columns[self._id + 1 :])
        values, wrong = dict(self._common), []
        for name, cell in zip(names, map(str.strip, cells), strict=True):
            try:
                if cell:
                    values[name] = from_text(name, cell)
            except ValueProblem as problem:
                wrong.append(problem)
        made = _make(values) if values else ()
        if isinstance(made, NumberUpdate) and not wrong:
            return made, tuple(values), ()
        return None, (), [*wrong, *(() if isinstance(made, NumberUpdate) else made)]

    def _where(self, index: int) -> str:
        return f"{index + 1} ({self._columns[index]})"


# --- NDJSON ---


def read_ndjson(stream: IO[bytes], common: Mapping[str, Any]) -> Iterator[Item]:
    """Read NDJSON: an object with `id` and the fields to change in each line, or a bare id.

    Args:
        stream: The bytes, at their start.
        common: Values for every row.

    Yields:
        A row or a problem, in the order of the lines.
    """
    try:
        for line, text in enumerate(_lines(stream), start=1):
            if text.strip():
                yield from _json_row(line, text, common)
    except _NotText as error:
        yield error.problem


def _json_row(line: int, text: str, common: Mapping[str, Any]) -> Iterator[Item]:
    try:
        given = json.loads(text.rstrip(), object_pairs_hook=_without_twins)
    except json.JSONDecodeError as error:
        yield Problem(line, str(error.colno), f"is not JSON: {error.msg}.")
        return
    except ValueProblem as twin:
        yield Problem(line, twin.field, twin.message)
        return
    if not isinstance(given, dict):
        given = {"id": given}
    number_id = given.pop("id", None)
    problems = [
        *_id_problems(line, number_id),
        *(
            Problem(line, name, f"is no field of this table; the fields are {_COLUMNS}.")
            for name in given
            if name not in FIELDS
        ),
        *(Problem(line, name, "is given as a flag, too: leave out one of them.") for name in given if name in common),
    ]
    values = {**common, **{name: value for name, value in given.items() if name in FIELDS}}
    made = _make(values)
    if not isinstance(made, NumberUpdate):
        problems += [Problem(line, problem.field, problem.message) for problem in made]
    elif not problems and values:
        yield Row(line, "id", number_id, made, tuple(values))
        return
    yield from problems or [Problem(line, None, _NOTHING)]


def _id_problems(line: int, number_id: object) -> Iterator[Problem]:
    if type(number_id) is not int or number_id < 1:
        got = "nothing" if number_id is None else repr(number_id)
        yield Problem(line, "id", f"{_NOT_AN_ID}; got {got}.")


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueProblem(next(name for name in names if names.count(name) > 1), "is there twice.")
    return made
