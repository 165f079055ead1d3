"""Read the bodies of a bulk run from a file: check all of them first, then read them again one by one."""

import csv
import io
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

from wavix_async._files import mistakes, temporary_file
from wavix_async.cli._api.kinds import Kind
from wavix_async.cli._api.options import Option, field_kinds, make, python_names
from wavix_async.cli._exit import ExitCode, Quit

__all__ = ["Bodies", "open_bodies"]

_MAX_SHOWN: Final = 20
_KEY: Final = "key"


class Bodies:
    """The bodies of a file; each iteration reads them from the start.

    Args:
        stream: The content, which must be seekable.
        name: The name of the file in messages.
        as_csv: Whether it is CSV, and not NDJSON.
        model: The class of the bodies.
    """

    def __init__(self, stream: IO[bytes], name: str, model: Any, *, as_csv: bool) -> None:
        self._stream = stream
        self._name = name
        self._model = model
        self._as_csv = as_csv
        self._kinds = field_kinds(model)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def check(self) -> None:
        """Read all rows.

        Raises:
            Quit: A row is wrong, or there is none; the message names the first wrong rows.
        """
        problems: list[str] = []
        wrong = keyed = 0
        for line, found in self._read():
            self._count += 1
            if isinstance(found, str):
                wrong += 1
                if len(problems) < _MAX_SHOWN:
                    problems.append(f"{self._name}, line {line}: {found}")
                continue
            keyed += found[0] is not None
        if wrong:
            raise Quit(ExitCode.USAGE, mistakes(self._name, problems, wrong))
        if not self._count:
            raise Quit(ExitCode.USAGE, f"{self._name} has no rows.")
        if keyed not in (0, self._count):
            raise Quit(ExitCode.USAGE, f"{self._name}: some rows have a {_KEY}, and some have none.")

    def __iter__(self) -> Iterator[Any]:
        for line, found in self._read():
            if isinstance(found, str):
                raise Quit(ExitCode.USAGE, f"{self._name} changed after the check: line {line}: {found}")
            key, body = found
            yield body if key is None else (key, body)

    def _read(self) -> Iterator[tuple[int, tuple[str | int | None, Any] | str]]:
        """Yield each line with its key and body, or with what is wrong."""
        self._stream.seek(0)
        for line, row in self._csv() if self._as_csv else self._ndjson():
            if isinstance(row, str):
                yield line, row
                continue
            try:
                key = row.pop(_KEY, None) if _KEY not in self._kinds else None
                yield line, (key, make(self._model, row, self._model.__name__))
            except Quit as quit_:
                yield line, quit_.message.replace(f"{self._model.__name__}.", "")

    def _ndjson(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        for number, line in enumerate(self._stream, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig"))
            except ValueError as error:
                yield number, f"this is not JSON: {error}"
                continue
            yield number, python_names(self._model, row) if isinstance(row, dict) else "this is not a JSON object"

    def _csv(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        text = io.TextIOWrapper(self._stream, encoding="utf-8-sig", newline="")
        # Strict: a quote that is never closed would make one cell of all rows after it.
        reader = csv.DictReader(text, strict=True)
        try:
            for row in reader:
                if None in row or None in row.values():
                    yield reader.line_num, "this row has not as many cells as the header"
                    continue
                try:
                    cells = {name: self._cell(name, cell) for name, cell in row.items() if cell}
                    yield reader.line_num, python_names(self._model, cells)
                except Quit as quit_:
                    yield reader.line_num, quit_.message
        except UnicodeDecodeError:
            yield 0, "this is not a text in UTF-8"
        except csv.Error as error:
            yield reader.line_num, f"this is not CSV: {error}"
        finally:
            text.detach()

    def _cell(self, name: str, cell: str) -> Any:
        kind = self._kinds.get(name) or self._kinds.get(f"{name}_") or Kind("text")
        if kind.word == "flag":
            if cell.lower() not in {"true", "false"}:
                raise Quit(ExitCode.USAGE, f"{name} must be true or false, got {cell!r}.")
            return cell.lower() == "true"
        option = Option((name,), name, kind)
        return option.read([cell] if kind.word in {"list", "objects"} else cell)


@contextmanager
def open_bodies(source: str, model: Any) -> Iterator[Bodies]:
    """Open a file of bodies, or stdin for `-`, and check it.

    Raises:
        Quit: The file cannot be read, or a row is wrong.
    """
    with ExitStack() as stack:
        try:
            given = sys.stdin.buffer if source == "-" else stack.enter_context(Path(source).open("rb"))
            stream: IO[bytes] = given
            if not given.seekable():
                stream = stack.enter_context(temporary_file())
                shutil.copyfileobj(given, stream)
        except OSError as error:
            raise Quit(ExitCode.USAGE, f"Cannot read {source}: {error.strerror}.") from None
        stream.seek(0)
        start = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        bodies = Bodies(stream, "stdin" if source == "-" else source, model, as_csv=start[:1] != b"{")
        bodies.check()
        yield bodies
