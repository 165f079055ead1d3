"""Write files: a new one takes the place of the old one when it is whole, and a table gets the outcome of each row."""

import contextlib
import csv
import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from wavix_async._files.formats import RowLayout, read_rows, table_records
from wavix_async._files.problems import Problem
from wavix_async._files.rows import KEYS, Row, Rules, digits_of
from wavix_async._files.tables import Record, cell_text, column_name, guard
from wavix_async._files.unpacking import UnreadableError

__all__ = ["Outcomes", "replacing"]

_COLUMNS: Final = ("outcome", "reason")
_SCHEMA: Final = (
    "CREATE TABLE outcome (id INTEGER, number TEXT, outcome TEXT NOT NULL, reason TEXT)",
    "CREATE INDEX by_id ON outcome (id)",
    "CREATE INDEX by_number ON outcome (number)",
    "BEGIN",
)


@contextmanager
def replacing(target: Path) -> Iterator[IO[str]]:
    """Open a temporary file beside the target; it replaces the target on success, and is deleted on failure.

    Of a link, the file that it leads to is replaced.
    Only the user can read it, unless it replaces a file that others can read.
    """
    target = Path(os.path.realpath(target))
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(errno.EINVAL, "it is not a file")
    try:
        with open(temporary, "x", encoding="utf-8", newline="", opener=_open_private) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(OSError):
            temporary.chmod(target.stat().st_mode & 0o7777)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class Outcomes:
    """The outcome of each number of a run, in a private temporary database, to write beside the rows of a file.

    Args:
        default: The outcome of a row for which none is added.
    """

    def __init__(self, default: str) -> None:
        self._default = default
        # A bulk update without --write-back does not load sqlite.
        from wavix_async._sqlite import Database

        self._database = Database(None)
        for statement in _SCHEMA:
            self._database.connection.execute(statement)

    def add(self, number_id: int | None, number: str | None, outcome: str, reason: str | None) -> None:
        """Add the outcome of a number."""
        digits = None if number is None else digits_of(number)
        row = (number_id, digits, outcome, reason)
        self._database.connection.execute("INSERT INTO outcome VALUES (?, ?, ?, ?)", row)

    def close(self) -> None:
        """Delete the temporary database."""
        self._database.close()

    def write(self, source: IO[bytes], layout: RowLayout | None, rules: Rules, target: Path) -> None:
        """Write a table with the columns `outcome` and `reason`; of JSON, with those and the id and number of each row.

        The cells stay as they are, except that no spreadsheet takes one for a formula. `read` ignores both columns.

        Args:
            source: The file, from its beginning.
            layout: Its format; None to find it from the first bytes.
            rules: What it may contain.
            target: The CSV file to write.

        Raises:
            OSError: The target cannot be written.
            UnreadableError: The source has changed, and cannot be read.
        """
        records = table_records(source, layout)
        with replacing(target) as stream:
            # Excel reads UTF-8 only with this mark.
            stream.write("\ufeff")
            if records is None:
                source.seek(0)
                self._write_objects(stream, read_rows(source, layout, rules))
            else:
                self._write_table(stream, records)

    def _write_objects(self, stream: IO[str], items: Iterator[Row | Problem]) -> None:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow((*KEYS, *_COLUMNS))
        for item in items:
            if isinstance(item, Row):
                writer.writerow((item.id or "", item.number or "", *self._of(item.id, item.number)))

    def _write_table(self, stream: IO[str], records: Iterator[Record | Problem]) -> None:
        columns: list[str] = []
        kept: list[int] = []
        writer = csv.writer(stream, lineterminator="\n")
        for record in records:
            if isinstance(record, Problem):
                raise UnreadableError(f"changed during the run: {record}")
            cells = list(record.cells)
            if not columns:
                writer = csv.writer(stream, delimiter=record.delimiter, lineterminator="\n")
                columns = [column_name(cell) for cell in cells]
                kept = [index for index, name in enumerate(columns) if name not in _COLUMNS]
                if not cells[0].strip().isdigit():
                    writer.writerow([*(cells[index] for index in kept), *_COLUMNS])
                    continue
                columns = ["id"]  # a list of ids has no header
                writer.writerow([*columns, *_COLUMNS])
            number_id, number = (cell_text(cells[columns.index(key)]) if key in columns else "" for key in KEYS)
            found = self._of(int(number_id) if number_id.isdigit() else None, digits_of(number))
            writer.writerow([*(_safe(cells[index]) for index in kept), *found])

    def _of(self, number_id: int | None, number: str | None) -> tuple[str, str]:
        key, value = ("number", number) if number_id is None else ("id", number_id)
        query = f"SELECT outcome, reason FROM outcome WHERE {key} = ? ORDER BY rowid DESC LIMIT 1"  # noqa: S608 - constants
        outcome, reason = self._database.connection.execute(query, (value,)).fetchone() or (self._default, None)
        text = "".join(each if each.isprintable() else " " for each in reason or "")
        return outcome, guard(text)


def _safe(cell: str) -> str:
    return cell if cell.startswith("'") else guard(cell)
