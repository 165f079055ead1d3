"""Find the format of a file, and read its rows: for fleets and for bulk updates."""

import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Final, Literal, TypeAlias

from wavix_async._files.objects import read_objects
from wavix_async._files.problems import Problem
from wavix_async._files.rows import Item, Rules
from wavix_async._files.tables import KNOWN, Record, csv_records, excel_records, read_table
from wavix_async._files.unpacking import UnreadableError, unpack

__all__ = ["SUFFIXES", "RowLayout", "suffix_of", "read_rows", "table_records"]

RowLayout: TypeAlias = Literal["csv", "ndjson", "xlsx"]

SUFFIXES: Final[Mapping[str, RowLayout]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".xlsx": "xlsx",
}
"""The format for each file suffix; `.gz` may follow."""

_WORKBOOK: Final = b"PK\x03\x04"
_PEEK: Final = 4096


def suffix_of(name: str) -> str:
    """Return the suffix of a file name that shows its format, in small letters and without `.gz`."""
    return Path(name.lower().removesuffix(".gz")).suffix


def _detect(stream: io.BufferedReader, layout: RowLayout | None) -> RowLayout:
    start = stream.peek(_PEEK)[:_PEEK]
    if start.startswith(_WORKBOOK):
        return "xlsx"
    return layout or ("ndjson" if start.lstrip().startswith((b"{", b"[")) else "csv")


def read_rows(stream: IO[bytes], layout: RowLayout | None, rules: Rules) -> Iterator[Item]:
    """Read the rows of a file, one by one. A workbook is recognized, whatever the format that is given.

    Args:
        stream: The bytes, from the beginning; they may be gzip or UTF-16.
        layout: The format; None to find it from the first bytes.
        rules: What the file may contain.

    Yields:
        A row or a problem, in the order of the lines; problems of a whole column come last.
    """
    try:
        unpacked = unpack(stream)
        layout = _detect(unpacked, layout)
        if layout == "ndjson":
            yield from read_objects(unpacked, rules)
        else:
            yield from read_table(csv_records(unpacked) if layout == "csv" else excel_records(unpacked), rules)
    except UnreadableError as error:
        yield error.problem(rules.file)


def table_records(
    stream: IO[bytes], layout: RowLayout | None, columns: Collection[str] = KNOWN
) -> Iterator[Record | Problem] | None:
    """Return the records of a table, or None if the file is not a table.

    Args:
        stream: The bytes, from the beginning.
        layout: The format; None to find it from the first bytes.
        columns: The names that the header may have.
    """
    unpacked = unpack(stream)
    layout = _detect(unpacked, layout)
    if layout == "ndjson":
        return None
    return csv_records(unpacked, columns) if layout == "csv" else excel_records(unpacked)
