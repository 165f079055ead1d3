"""Write every result of a bulk update to a file."""

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from wavix_async import BulkResult
from wavix_async.cli._console import printable
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._output.report import result_json

__all__ = ["result_file"]

_COLUMNS: Final[tuple[str, ...]] = ("id", "status", "attempts", "error")


@contextmanager
def result_file(path: Path | None) -> Iterator[Callable[[BulkResult], object]]:
    """Open the file for the results: CSV or NDJSON, by its suffix.

    Args:
        path: The file; None to write no results.

    Yields:
        A function that writes one result.

    Raises:
        Quit: The suffix is unknown, or the file cannot be written.
    """
    if path is None:
        yield lambda _: None
        return
    make = _WRITERS.get(path.suffix.lower())
    if make is None:
        raise Quit(ExitCode.USAGE, f"--output {path}: the suffix must be one of {', '.join(_WRITERS)}.")
    try:
        stream = path.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise Quit(ExitCode.USAGE, f"Cannot write --output {path}: {error.strerror}.") from None
    with stream:
        yield make(stream)


def _csv(stream: IO[str]) -> Callable[[BulkResult], object]:
    writer: csv.DictWriter[str] = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()

    def write(result: BulkResult) -> object:
        row = result_json(result)
        return writer.writerow({**row, "error": row["error"] and printable(row["error"])})

    return write


def _ndjson(stream: IO[str]) -> Callable[[BulkResult], object]:
    return lambda result: stream.write(json.dumps(result_json(result)) + "\n")


_WRITERS: Final = {".csv": _csv, ".ndjson": _ndjson, ".jsonl": _ndjson}
