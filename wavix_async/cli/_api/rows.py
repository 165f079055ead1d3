"""Read the bodies of a bulk run from a file: check all of them first, then read them again one by one."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import IO, Any, Final

from wavix_async._files import Place, Problem, Problems, UnreadableError, json_texts, table_records, unpack
from wavix_async.cli._api.kinds import Kind
from wavix_async.cli._api.options import Option, field_kinds, make, python_names
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._input import open_input

__all__ = ["Bodies", "open_bodies"]

_MAX_SHOWN: Final = 20
_KEY: Final = "key"


class Bodies:
    """The bodies of a file; each iteration reads them from the start.

    Args:
        stream: The content, which must be seekable.
        name: The name of the file in messages.
        model: The class of the bodies.
    """

    def __init__(self, stream: IO[bytes], name: str, model: Any) -> None:
        self._stream = stream
        self._name = name
        self._model = model
        self._kinds = field_kinds(model)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def check(self) -> None:
        """Read all rows.

        Raises:
            Quit: A row is wrong, or there is none; the message names the first wrong rows.
        """
        problems, keyed = Problems(_MAX_SHOWN), 0
        for line, found in self._read():
            self._count += 1
            if isinstance(found, str):
                problems.add(Problem(Place(self._name, line), found))
            else:
                keyed += found[0] is not None
        if problems.count:
            raise Quit(ExitCode.USAGE, problems.text(self._name))
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
        name = self._model.__name__
        try:
            for line, row in self._rows():
                try:
                    values = python_names(self._model, row())
                    key = values.pop(_KEY, None) if _KEY not in self._kinds else None
                    yield line, (key, make(self._model, values, name))
                except Quit as quit_:
                    yield line, quit_.message.replace(f"{name}.", "")
        except UnreadableError as error:
            yield error.line or 1, error.message

    def _rows(self) -> Iterator[tuple[int, Callable[[], dict[str, Any]]]]:
        """Yield each line with a function that returns its values."""
        self._stream.seek(0)
        records = table_records(self._stream, None, [_KEY, *(name.strip("_") for name in self._kinds)])
        if records is None:
            self._stream.seek(0)
            for line, text in json_texts(unpack(self._stream)):
                yield line, partial(_object_of, text)
            return
        names: list[str] | None = None
        for record in records:
            if isinstance(record, Problem):
                raise UnreadableError(record.message, record.place.line)
            if names is None:
                names = [cell.strip() for cell in record.cells]
            else:
                yield record.line, partial(self._cells, names, record.cells)

    def _cells(self, names: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
        if len(cells) != len(names):
            raise Quit(ExitCode.USAGE, "this row has not as many cells as the header")
        return {name: self._cell(name, cell) for name, cell in zip(names, cells, strict=True) if cell}

    def _cell(self, name: str, cell: str) -> Any:
        kind = self._kinds.get(name) or self._kinds.get(f"{name}_") or Kind("text")
        if kind.word == "flag":
            if cell.lower() not in {"true", "false"}:
                raise Quit(ExitCode.USAGE, f"{name} must be true or false, got {cell!r}.")
            return cell.lower() == "true"
        option = Option((name,), name, kind)
        return option.read([cell] if kind.word in {"list", "objects"} else cell)


def _object_of(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Quit(ExitCode.USAGE, f"this is not JSON: {error}") from None
    if not isinstance(row, dict):
        raise Quit(ExitCode.USAGE, "this is not a JSON object")
    return row


@contextmanager
def open_bodies(source: str, model: Any) -> Iterator[Bodies]:
    """Open a file of bodies, or stdin for `-`, and check it.

    Raises:
        Quit: The file cannot be read, or a row is wrong.
    """
    with open_input(source) as stream:
        bodies = Bodies(stream, "stdin" if source == "-" else source, model)
        bodies.check()
        yield bodies
