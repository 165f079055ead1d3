"""Read the rows of a bulk update: check all rows first, then stream them. Only the ids stay in memory."""

import shutil
import stat
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import attrs

from wavix_async import InputError, NumberUpdate
from wavix_async._files import (
    SUFFIXES,
    Item,
    Place,
    Problem,
    Problems,
    Row,
    RowLayout,
    Rules,
    read_rows,
    suffix_of,
    temporary_file,
)
from wavix_async.cli._exit import ExitCode, Quit

__all__ = ["RowCheck", "Rows", "open_input", "open_rows"]


@attrs.frozen
class RowCheck:
    """The result of checking all rows.

    Attributes:
        total: How many rows are valid.
        fields: For each field, how many rows change it.
        problems: The problems, of which only the first are kept.
    """

    total: int
    fields: Counter[str]
    problems: Problems


@attrs.frozen
class Rows:
    """The rows of a file; each iteration yields all `(id, NumberUpdate)` pairs from the start.

    Attributes:
        stream: The content, which must be seekable.
        name: The name of the file in messages.
        layout: The format of the file; None to find it from the first bytes.
        common: Values for every row, from flags.
    """

    stream: IO[bytes]
    name: str
    layout: RowLayout | None
    common: Mapping[str, Any]

    @property
    def rules(self) -> Rules:
        """What the file may contain."""
        return Rules(needs_id=True, common=self.common, allow_bare_ids=True)

    def check(self, show: int) -> RowCheck:
        """Read all rows and collect the problems.

        Args:
            show: How many problems to keep.
        """
        lines: dict[int | None, int] = {}
        fields: Counter[str] = Counter()
        problems = Problems(show)
        for item in self._read():
            if isinstance(item, Row):
                first = lines.setdefault(item.id, item.line)
                if first == item.line:
                    fields.update(item.change.values.keys())
                    continue
                item = Problem(Place("", item.line, item.column, "id"), f"number {item.id} is already in line {first}.")
            problems.add(item)
        return RowCheck(len(lines), fields, problems)

    def __iter__(self) -> Iterator[tuple[int, NumberUpdate]]:
        for item in self._read():
            if isinstance(item, Problem):
                raise InputError(f"{self.name} changed after the check: {item}")
            # With these rules, every row has an id.
            yield cast("int", item.id), item.change.update

    def _read(self) -> Iterator[Item]:
        self.stream.seek(0)
        return read_rows(self.stream, self.layout, self.rules)


@contextmanager
def open_input(source: str) -> Iterator[IO[bytes]]:
    """Open a file, or stdin for `-`. Input that is not seekable is copied to a temporary file.

    Raises:
        Quit: It cannot be read.
    """
    with ExitStack() as stack:
        try:
            stream = sys.stdin.buffer if source == "-" else stack.enter_context(Path(source).open("rb"))
            if source == "-" or not stat.S_ISREG(Path(source).stat().st_mode):
                unseekable, stream = stream, stack.enter_context(temporary_file())
                shutil.copyfileobj(unseekable, stream)
        except OSError as error:
            raise Quit(ExitCode.USAGE, f"Cannot read {source}: {error.strerror}.") from None
        yield stream


@contextmanager
def open_rows(source: str, layout: RowLayout | None, common: Mapping[str, Any]) -> Iterator[Rows]:
    """Open a file of changes.

    Args:
        source: A path, or `-` for stdin.
        layout: The format; None to find it from the suffix or the first bytes.
        common: Values for every row.

    Yields:
        The rows.

    Raises:
        Quit: The file cannot be read.
    """
    with open_input(source) as stream:
        yield Rows(stream, "stdin" if source == "-" else source, layout or SUFFIXES.get(suffix_of(source)), common)
