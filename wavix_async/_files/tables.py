"""Read tables into rows and problems: CSV in the dialects of spreadsheets, and Excel workbooks."""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from wavix_async import InputError
from wavix_async._codec import is_formula
from wavix_async._files.fields import FIELDS
from wavix_async._files.problems import Place, Problem, did_you_mean
from wavix_async._files.rows import (
    ALSO_A_FLAG,
    KEYS,
    NO_CHANGES,
    READ_ONLY,
    Item,
    ParsedChange,
    Row,
    Rules,
    digits_of,
    id_problem,
    is_id,
    parse_change,
    phone_problem,
    shortened_problem,
    was_shortened,
)
from wavix_async._files.unpacking import UnreadableError, text_lines
from wavix_async._files.values import ValueProblem, WrongValues, from_text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["KNOWN", "Record", "cell_text", "column_name", "csv_records", "excel_records", "guard", "read_table"]

KNOWN: Final = (*KEYS, *FIELDS, *READ_ONLY)
_DELIMITERS: Final = ",;\t|"
# Excel reads and writes such a line before the header.
_SEPARATOR_LINE: Final = re.compile(r'"?sep=(?P<delimiter>[,;\t|])"?[,;\t|]*\s*', re.IGNORECASE)
_WORKSHEET: Final = re.compile(rb"<(?:\w+:)?worksheet[\s>]")
# A library that writes 0 as the result of each formula asks spreadsheets to compute them.
_NOT_COMPUTED: Final = re.compile(rb"\sfullCalcOnLoad\s*=\s*[\"'](?:1|true)")
_BREAK: Final = re.compile(r"[\r\n]")
_PEEK: Final = 4096


@attrs.define(eq=False)
class Record:
    """The cells of a row as they are in the file, and the lines on which it begins and ends."""

    line: int
    last: int
    cells: Sequence[str]
    delimiter: str = ","
    has_breaks: bool = False
    """Whether a cell may have a line break."""


def guard(cell: str) -> str:
    """Return the text for a cell so that no spreadsheet takes it for a formula; `read_table` takes the guard off."""
    return f"'{cell}" if is_formula(cell) or cell.startswith("'") else cell


def cell_text(cell: str) -> str:
    """Return the text of a cell, without blanks around it and without the guard."""
    return cell.strip().removeprefix("'")


def column_name(cell: str) -> str:
    """Return the name of a column for a cell of the header: `SMS enabled` is `sms_enabled`."""
    return re.sub(r"[\s-]+", "_", cell_text(cell).strip("\ufeff ").lower())


# --- the records of a file ---


def csv_records(stream: io.BufferedReader, columns: Collection[str] = KNOWN) -> Iterator[Record | Problem]:
    """Yield the rows of CSV, the header first, without blank rows. The header decides which sign separates the cells.

    Args:
        stream: The unpacked bytes.
        columns: The names that the header may have.

    Raises:
        UnreadableError: The file is not text, or is damaged.
    """
    lines = text_lines(stream)
    before, delimiter = 0, None
    for first in lines:
        if before == 0 and (found := _SEPARATOR_LINE.fullmatch(first)):
            delimiter = found["delimiter"]
        elif first.strip():
            break
        before += 1
    else:
        return
    delimiter = delimiter or _delimiter_of(first, columns)
    reader = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    while True:
        line = before + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Problem(Place("", line), f"is not CSV: {error}.")
        else:
            if any(map(str.strip, cells)):
                last = before + reader.line_num
                yield Record(line, last, cells, delimiter, last != line)


def _delimiter_of(header: str, columns: Collection[str]) -> str:
    def known(delimiter: str) -> int:
        try:
            cells = next(csv.reader([header], delimiter=delimiter))
        except csv.Error:
            return 0
        return sum(column_name(cell) in columns for cell in cells)

    return max(_DELIMITERS, key=known)


def excel_records(stream: IO[bytes]) -> Iterator[Record]:
    """Yield the rows of an Excel workbook as text, without blank rows. The whole sheet is in memory.

    Args:
        stream: The unpacked bytes.

    Raises:
        InputError: python-calamine is not installed.
        UnreadableError: The file is not a workbook, or has not exactly one sheet with cells, or a cell has an error.
    """
    try:
        import python_calamine
    except ImportError:
        raise InputError("Reading Excel needs python-calamine: pip install 'wavix-async[excel]'.") from None
    content = io.BytesIO(stream.read())
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(content)
        sheets = [sheet for sheet in map(book.get_sheet_by_name, book.sheet_names) if sheet.height]
    except Exception as error:  # each kind of damage has its own error
        raise UnreadableError(f"is not an Excel workbook: {error}.") from None
    if len(sheets) > 1:
        names = ", ".join(repr(sheet.name) for sheet in sheets)
        raise UnreadableError(f"has {len(sheets)} sheets with cells ({names}): keep one, and delete the others.")
    # The library reads such cells as empty.
    if problem := _bad_cell(content):
        raise UnreadableError(problem)
    for sheet in sheets:
        for line, cells in enumerate(sheet.to_python(skip_empty_area=False), start=1):
            texts = [_text_of(cell) for cell in cells]
            if any(map(str.strip, texts)):
                yield Record(line, line, texts, has_breaks=any(map(_BREAK.search, texts)))


def _text_of(cell: Any) -> str:
    """Return the text of a cell of Excel, which keeps every number as a decimal, exact to 15 digits."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _bad_cell(content: IO[bytes]) -> str | None:
    """Return what is wrong with the first cell that the library reads as empty, though a person sees something there.

    These are errors such as #N/A, formulas that a program has written and no spreadsheet has computed, and merged
    cells, which have the value only in the first of them.
    """
    if not zipfile.is_zipfile(content):
        return None
    from xml.etree.ElementTree import iterparse

    with zipfile.ZipFile(content) as book:
        parts = [name for name in book.namelist() if name.endswith(".xml")]
        sheets = [name for name in parts if _WORKSHEET.search(book.open(name).read(_PEEK))]
        if not sheets:
            return "is not an .xlsx workbook: save it as one."
        is_computed = not any(_NOT_COMPUTED.search(book.read(name)) for name in parts if name.endswith("workbook.xml"))
        for name in sheets:
            with book.open(name) as sheet:
                # The library has read the sheet already. The parser refuses entities that grow.
                for _, element in iterparse(sheet):  # noqa: S314
                    if problem := _element_problem(element, is_computed=is_computed):
                        return problem
    return None


def _element_problem(element: "Element", *, is_computed: bool) -> str | None:
    tag = element.tag.rpartition("}")[2]
    if tag == "row":
        element.clear()  # keep no more in memory than a row
    if tag == "mergeCell":
        return f"cells {element.get('ref')} are merged: unmerge them, and write the value in each row."
    if tag != "c":
        return None
    kind, place = element.get("t"), element.get("r", "without a place")
    if kind == "e":
        return f"cell {place} has an error such as #N/A: correct it, or empty the cell."
    result = element.find("{*}v")
    has_result = result is not None and is_computed and (result.text or kind == "str")
    if element.find("{*}f") is not None and not has_result:
        return f"the formula in cell {place} has no result: open the file in a spreadsheet and save it."
    return None


def _stray_quote(record: Record) -> str:
    if record.last == record.line:
        return ""
    return f" A stray quote may have made one row of lines {record.line} to {record.last}: remove it, or double it."


# --- rows of records ---


def read_table(records: Iterator[Record | Problem], rules: Rules) -> Iterator[Item]:
    """Make rows and problems of the records of a table, in their order; what concerns a whole column comes last.

    Args:
        records: The records; the first is the header, or an id if the rules allow that.
        rules: What the file may contain.

    Raises:
        UnreadableError: As the records raise it.
    """
    table: _Table | None = None
    for record in records:
        if isinstance(record, Problem):
            yield Problem(Place(rules.file, record.place.line), record.message)
            continue
        if table is not None:
            yield from table.row(record)
            continue
        bare = rules.allow_bare_ids and record.cells[0].strip().isdigit()
        table = _Table(["id"] if bare else [column_name(cell) for cell in record.cells], rules)
        if problems := list(table.problems(record)):
            yield from problems
            return
        if bare:
            yield from table.row(record)
    if table is not None:
        yield from table.column_problems()
    elif not rules.allow_bare_ids:
        yield Problem(Place(rules.file), f"the file is empty: add a header; the columns are {rules.columns}.")


_Converted: TypeAlias = tuple[ParsedChange | None, Sequence[ValueProblem]]


class _Table:
    """The columns of a table, and how to read their cells."""

    def __init__(self, columns: Sequence[str], rules: Rules) -> None:
        self._columns = columns
        self._rules = rules
        self._id, self._number = (columns.index(name) if name in columns else None for name in KEYS)
        self._fields = [index for index, name in enumerate(columns) if name in FIELDS]
        self._nameless = [index for index, name in enumerate(columns) if not name]
        self._shortened: dict[int, tuple[int, str, int]] = {}
        # Most files repeat a few changes.
        self._convert: Callable[..., _Converted] = lru_cache(maxsize=256)(self._convert_cells)

    def problems(self, header: Record) -> Iterator[Problem]:
        """Yield the problems of the header."""
        rules, line = self._rules, header.line
        if self._id is None and (self._number is None or rules.needs_id):
            found = ", ".join(repr(cell.strip()) for cell in header.cells)
            yield Problem(
                Place(rules.file, line),
                f"the header must have the column {' or '.join(rules.keys)}; the columns are {rules.columns}, "
                f"separated by commas, semicolons, tabs or |; got {found}.",
            )
            return
        is_known = True
        for index, name in enumerate(self._columns):
            if name and name in self._columns[:index]:
                yield Problem(self._place(line, index), "duplicate column: remove one.")
            elif name and name not in KNOWN:
                is_known = False
                yield Problem(
                    self._place(line, index),
                    f"unknown column; the columns are {rules.columns}." + did_you_mean(name, KNOWN),
                )
            elif name in rules.common:
                yield Problem(self._place(line, index), ALSO_A_FLAG)
        if not self._fields and not rules.common and is_known:
            flags = " or give flags" if rules.allow_bare_ids else ""
            yield Problem(
                Place(rules.file, line), f"there is nothing to change: add columns ({', '.join(FIELDS)}){flags}."
            )

    def column_problems(self) -> Iterator[Problem]:
        """Yield the problems that whole columns have."""
        for index, (line, text, rows) in self._shortened.items():
            yield Problem(self._place(line, index), shortened_problem(text, rows))

    def row(self, record: Record) -> Iterator[Item]:
        """Yield the row, or its problems."""
        line, cells, width = record.line, record.cells, len(self._columns)
        if len(cells) != width and (len(cells) < width or any(map(str.strip, cells[width:]))):
            yield Problem(
                Place(self._rules.file, line, min(len(cells), width) + 1),
                f"the row has {len(cells)} cells, and the header has {width}.{_stray_quote(record)}",
            )
            return
        if (record.has_breaks or self._nameless) and (broken := list(self._broken_cells(record))):
            yield from broken
            return
        number_id, number, wrong = self._key(line, cells)
        change, unfit = self._convert(*[cells[index] for index in self._fields])
        if change is not None and not wrong:
            if number_id is None and number is None:
                return  # the problem of the column names the row
            column = self._number if number_id is None else self._id
            yield Row(line, None if column is None else column + 1, number_id, number, change)
            return
        yield from wrong
        for problem in unfit:
            yield Problem(self._place(line, self._columns.index(problem.field)), problem.message)
        if change is None and not unfit:
            yield Problem(Place(self._rules.file, line), NO_CHANGES)

    def _broken_cells(self, record: Record) -> Iterator[Problem]:
        for index in self._nameless:
            if record.cells[index].strip():
                yield Problem(
                    Place(self._rules.file, record.line, index + 1),
                    f"the column has no name in the header: name it, or empty the cell; got {record.cells[index]!r}.",
                )
        for index, name in enumerate(self._columns):
            cell = record.cells[index]
            if _BREAK.search(cell.strip()) and name != "destinations":
                message = f"a line break in a cell is not allowed.{_stray_quote(record)}"
                yield Problem(self._place(record.line, index), message)

    def _key(self, line: int, cells: Sequence[str]) -> tuple[int | None, str | None, Sequence[Problem]]:
        """Return the id, the digits of the phone number, and the problems with them."""
        wrong: list[Problem] = []
        number_id = number = None
        shortened = False
        written = "" if self._number is None else cell_text(cells[self._number])
        if written and self._number is not None:
            number = digits_of(written)
            if number is None:
                shortened = self._note_shortened(line, self._number, written)
                if not shortened:
                    wrong.append(Problem(self._place(line, self._number), phone_problem(written)))
        if self._id is not None:
            text = cell_text(cells[self._id])
            if text or self._number is None:
                number_id = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
                if not is_id(number_id):
                    number_id = None
                    if self._note_shortened(line, self._id, text):
                        shortened = True
                    else:
                        wrong.append(Problem(self._place(line, self._id), id_problem(text)))
        if shortened:
            return None, None, wrong
        if not wrong and number_id is None and (number is None or self._rules.needs_id):
            missing = self._rules.missing_key
            if self._id is None or self._number is None:
                missing = f"the number is missing: give {' or '.join(key for key in KEYS if key in self._columns)}."
            wrong.append(Problem(Place(self._rules.file, line), missing))
        return number_id, number, wrong

    def _note_shortened(self, line: int, index: int, text: str) -> bool:
        """Return whether a spreadsheet has shortened a number; then its column has one problem for all rows."""
        if not was_shortened(text):
            return False
        first, example, rows = self._shortened.get(index, (line, text, 0))
        self._shortened[index] = first, example, rows + 1
        return True

    def _convert_cells(self, *cells: str) -> _Converted:
        values, wrong = dict(self._rules.common), []
        for index, cell in zip(self._fields, map(cell_text, cells), strict=True):
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
