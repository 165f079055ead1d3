"""Read CSV and NDJSON line by line into rows and problems, for bulk updates and fleets."""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import IO, Any, Final, Literal, TypeAlias, TypeGuard

import attrs

from wavix_async import NumberUpdate
from wavix_async._files.fields import FIELDS
from wavix_async._files.problems import Place, Problem, did_you_mean
from wavix_async._files.values import ValueProblem, WrongValues, from_text, make_update

__all__ = [
    "NOT_AN_ID",
    "NOT_A_PHONE",
    "SUFFIXES",
    "Item",
    "NotUtf8Error",
    "Row",
    "Rules",
    "ParsedChange",
    "digits_of",
    "is_id",
    "read_csv",
    "read_ndjson",
    "parse_change",
]

SUFFIXES: Final[Mapping[str, Literal["csv", "ndjson"]]] = {".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}

NOT_AN_ID: Final = "must be the number's record id, a positive whole number"
NOT_A_PHONE: Final = "must be a phone number, such as +1 415 555 0100"
_NO_CHANGES: Final = "no changes: give at least one field a value."
_ALSO_A_FLAG: Final = "is also given as a flag: remove one of them."
_KEYS: Final = ("id", "number")

_PHONE: Final = re.compile(r"\+?[0-9 .()-]{1,40}", re.ASCII)
_PUNCTUATION: Final = str.maketrans("", "", "+ .()-")
# The largest integer that sqlite stores; no record id is that large.
_LARGEST_ID: Final = 2**63 - 1

# Values from a file cannot contain a cycle.
_encode: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


@attrs.frozen
class Rules:
    """What a table may contain.

    Attributes:
        file: The file name in problems; "" leaves it out.
        keys: The columns that identify a number. With `number` among them, a row may give a phone number, not an id.
        common: Values for every row, which come from command-line flags.
        allow_bare_ids: Whether a line may contain only an id.
        allow_no_changes: Whether a row may leave every field unchanged.
    """

    file: str = ""
    keys: Sequence[str] = ("id",)
    common: Mapping[str, Any] = attrs.field(factory=dict)
    allow_bare_ids: bool = True
    allow_no_changes: bool = False

    @property
    def columns(self) -> str:
        """All allowed columns, for messages."""
        return ", ".join((*self.keys, *FIELDS))


@attrs.define(eq=False)
class ParsedChange:
    """The change in a row. Rows with equal cells share one object."""

    update: NumberUpdate
    values: Mapping[str, Any]
    """In wire form."""
    _text: str | None = None

    @property
    def text(self) -> str:
        """The values as JSON, computed on first access."""
        if self._text is None:
            self._text = _encode(self.values)
        return self._text


@attrs.frozen
class Row:
    """The change of one number, and its place in the file.

    Attributes:
        line: Counted from 1.
        column: The column of the id, or of the phone number if there is no id; None for formats without columns.
        id: The record id.
        number: The phone number, digits only.
        change: The desired settings.
    """

    line: int
    column: int | None
    id: int | None
    number: str | None
    change: ParsedChange


Item: TypeAlias = Row | Problem


class NotUtf8Error(Exception):
    """The file is not UTF-8."""

    def __init__(self, line: int, column: int) -> None:
        super().__init__()
        self.line = line
        self.column = column

    def problem(self, file: str) -> Problem:
        """Return this error as a problem of a file."""
        return Problem(Place(file, self.line, self.column), "is not UTF-8: save the file as UTF-8.")


def _lines(stream: IO[bytes]) -> Iterator[str]:
    """Yield the lines as text, without the byte order mark; raise `NotUtf8Error` at a line that is not UTF-8."""
    for number, raw in enumerate(stream, start=1):
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise NotUtf8Error(number, error.start + 1) from None


def is_id(value: object) -> TypeGuard[int]:
    """Return whether a value can be a record id."""
    return type(value) is int and 0 < value <= _LARGEST_ID


def digits_of(text: str) -> str | None:
    """Return the digits of a phone number in any notation, or None if the text is not a phone number."""
    if text.isdecimal() and text.isascii():
        return text
    return (text.translate(_PUNCTUATION) or None) if _PHONE.fullmatch(text) else None


def parse_change(values: Mapping[str, Any]) -> ParsedChange:
    """Check values, and return them as a change.

    Args:
        values: In wire form.

    Raises:
        WrongValues: Some values are invalid; it has one problem for each such field.
    """
    return ParsedChange(make_update(values), values)


# --- CSV ---


def read_csv(stream: IO[bytes], rules: Rules) -> Iterator[Item]:
    """Read CSV with a header, or one id per line if the rules allow that.

    Args:
        stream: The bytes, from the beginning.
        rules: What the file may contain.

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
            break
        except csv.Error as error:
            yield Problem(Place(rules.file, line), f"is not CSV: {error}.")
            continue
        except NotUtf8Error as error:
            yield error.problem(rules.file)
            return
        if not any(map(str.strip, cells)):
            continue
        if table is not None:
            yield from table.row(line, cells)
            continue
        bare = rules.allow_bare_ids and cells[0].strip().isdigit()
        table = _Table(["id"] if bare else [cell.strip() for cell in cells], rules)
        if problems := list(table.problems(line)):
            yield from problems
            return
        if bare:
            yield from table.row(line, cells)
    if table is None and not rules.allow_bare_ids:
        yield Problem(Place(rules.file), f"the file is empty: add a header; the columns are {rules.columns}.")


_Converted: TypeAlias = tuple[ParsedChange | None, Sequence[ValueProblem]]


class _Table:
    """The columns of a CSV file, and how to read their cells."""

    def __init__(self, columns: Sequence[str], rules: Rules) -> None:
        self._columns = columns
        self._rules = rules
        self._id, self._number = (
            columns.index(name) if name in columns and name in rules.keys else None for name in _KEYS
        )
        self._fields = [index for index, name in enumerate(columns) if name not in rules.keys]
        # Most files repeat a few changes.
        self._convert: Callable[..., _Converted] = lru_cache(maxsize=256)(self._convert_cells)

    def problems(self, line: int) -> Iterator[Problem]:
        """Yield the problems of the header."""
        rules = self._rules
        if self._id is None and self._number is None:
            keys = " or ".join(rules.keys)
            # Spreadsheets in much of Europe separate cells with semicolons.
            semicolons = len(self._columns) == 1 and ";" in self._columns[0]
            hint = " Separate the columns with commas." if semicolons else ""
            yield Problem(
                Place(rules.file, line),
                f"the header must have the column {keys}; the columns are {rules.columns}.{hint}",
            )
            return
        for index, name in enumerate(self._columns):
            if name in self._columns[:index]:
                yield Problem(self._place(line, index), "duplicate column: remove one.")
            elif name not in rules.keys and name not in FIELDS:
                yield Problem(
                    self._place(line, index),
                    f"unknown column; the columns are {rules.columns}." + did_you_mean(name, (*rules.keys, *FIELDS)),
                )
            elif name in rules.common:
                yield Problem(self._place(line, index), _ALSO_A_FLAG)
        if not self._fields and not rules.common:
            flags = " or give flags" if rules.allow_bare_ids else ""
            yield Problem(
                Place(rules.file, line), f"there is nothing to change: add columns ({', '.join(FIELDS)}){flags}."
            )

    def row(self, line: int, cells: Sequence[str]) -> Iterator[Item]:
        """Yield the row, or its problems."""
        if len(cells) != len(self._columns):
            at = min(len(cells), len(self._columns)) + 1
            yield Problem(
                Place(self._rules.file, line, at),
                f"the row has {len(cells)} cells, and the header has {len(self._columns)}.",
            )
            return
        number_id, number, wrong = self._key(line, cells)
        change, unfit = self._convert(*[cells[index] for index in self._fields])
        if change is not None and not wrong:
            column = self._number if number_id is None else self._id
            yield Row(line, None if column is None else column + 1, number_id, number, change)
            return
        yield from wrong
        for problem in unfit:
            yield Problem(self._place(line, self._columns.index(problem.field)), problem.message)
        if change is None and not unfit:
            yield Problem(Place(self._rules.file, line), _NO_CHANGES)

    def _key(self, line: int, cells: Sequence[str]) -> tuple[int | None, str | None, Sequence[Problem]]:
        """Return the id, the digits of the phone number, and the problems with them."""
        wrong: list[Problem] = []
        number_id = number = None
        written = "" if self._number is None else cells[self._number].strip()
        if written and self._number is not None:
            number = digits_of(written)
            if number is None:
                wrong.append(Problem(self._place(line, self._number), f"{NOT_A_PHONE}; got {written!r}."))
        if self._id is not None:
            text = cells[self._id].strip()
            if text or self._number is None:
                number_id = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
                if not is_id(number_id):
                    wrong.append(Problem(self._place(line, self._id), f"{NOT_AN_ID}; got {text!r}."))
        if number_id is None and number is None and not wrong:
            wrong.append(
                Problem(Place(self._rules.file, line), f"the number is missing: give {_key_columns(self._columns)}.")
            )
        return number_id, number, wrong

    def _convert_cells(self, *cells: str) -> _Converted:
        values, wrong = dict(self._rules.common), []
        for index, cell in zip(self._fields, map(str.strip, cells), strict=True):
            name = self._columns[index]
            try:
                if cell:
                    values[name] = from_text(name, cell)
            except ValueProblem as problem:
                wrong.append(problem)
        if not values and not wrong and not self._rules.allow_no_changes:
            return None, ()
        try:
            made = parse_change(values)
        except WrongValues as unfit:
            return None, [*wrong, *unfit.problems]
        return (None, wrong) if wrong else (made, ())

    def _place(self, line: int, index: int) -> Place:
        return Place(self._rules.file, line, index + 1, self._columns[index])


def _key_columns(columns: Sequence[str]) -> str:
    return " or ".join(name for name in _KEYS if name in columns)


# --- NDJSON ---


def read_ndjson(stream: IO[bytes], rules: Rules) -> Iterator[Item]:
    """Read NDJSON: each line is an object with `id` (or `number`) and fields, or a bare id if the rules allow that.

    Args:
        stream: The bytes, from the beginning.
        rules: What the file may contain.

    Yields:
        A row or a problem, in the order of the lines.
    """
    empty = not rules.allow_bare_ids
    try:
        for line, text in enumerate(_lines(stream), start=1):
            if text.strip():
                empty = False
                yield from _json_row(line, text, rules)
    except NotUtf8Error as error:
        yield error.problem(rules.file)
        return
    if empty:
        yield Problem(Place(rules.file), "the file is empty: write one object per line.")


def _json_row(line: int, text: str, rules: Rules) -> Iterator[Item]:
    def wrong(field: str | None, message: str, column: int | None = None) -> Problem:
        return Problem(Place(rules.file, line, column, field), message)

    try:
        given = json.loads(text.rstrip(), object_pairs_hook=_refuse_repeated_keys)
    except json.JSONDecodeError as error:
        yield wrong(None, f"is not JSON: {error.msg}.", error.colno)
        return
    except ValueProblem as twin:
        yield wrong(twin.field, twin.message)
        return
    except (ValueError, RecursionError) as error:
        yield wrong(None, f"cannot be read: {error}.")
        return
    if not isinstance(given, dict):
        if not rules.allow_bare_ids:
            yield wrong(None, f"must be an object with {rules.columns}.")
            return
        given = {"id": given}
    problems: list[Problem] = []
    number_id, number = given.pop("id", None), None
    if "number" in rules.keys:
        number = given.pop("number", None)
        if number is not None:
            written, number = number, _digits(number)
            if number is None:
                problems.append(wrong("number", f"{NOT_A_PHONE}; got {written!r}."))
        elif number_id is None:
            problems.append(wrong(None, "the number is missing: give id or number."))
    if not (is_id(number_id) or (number_id is None and "number" in rules.keys)):
        got = "nothing" if number_id is None else repr(number_id)
        problems.append(wrong("id", f"{NOT_AN_ID}; got {got}."))
    for name in given:
        if name not in FIELDS:
            hint = did_you_mean(name, (*rules.keys, *FIELDS))
            problems.append(wrong(name, f"unknown field; the fields are {rules.columns}.{hint}"))
        if name in rules.common:
            problems.append(wrong(name, _ALSO_A_FLAG))
    values = {**rules.common, **{name: value for name, value in given.items() if name in FIELDS}}
    try:
        change = parse_change(values)
    except WrongValues as unfit:
        problems += [wrong(problem.field, problem.message) for problem in unfit.problems]
    else:
        if not problems and (values or rules.allow_no_changes):
            yield Row(line, None, number_id, number, change)
            return
    yield from problems or [wrong(None, _NO_CHANGES)]


def _digits(value: object) -> str | None:
    if type(value) is int:
        return str(value) if value > 0 else None
    return digits_of(value.strip()) if isinstance(value, str) else None


def _refuse_repeated_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueProblem(next(name for name in names if names.count(name) > 1), "duplicate field: remove one.")
    return made
