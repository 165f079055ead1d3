"""Write every result of a bulk run to a file, or to stdout."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from wavix_async import BulkResult
from wavix_async._codec import is_formula
from wavix_async.cli._console import one_line
from wavix_async.cli._exit import ExitCode, Quit, is_disk_full
from wavix_async.cli._output.report import result_json

__all__ = ["quit_for_results", "result_file"]

_COLUMNS: Final[tuple[str, ...]] = ("id", "status", "attempts", "error")
_NDJSON: Final = (".ndjson", ".jsonl")


@contextmanager
def result_file(
    path: Path | None, row: Callable[[BulkResult], Mapping[str, Any]] = result_json
) -> Iterator[Callable[[BulkResult], object]]:
    """Open the file for the results: CSV or NDJSON, by its suffix. Each result is in the file once it is written.

    Args:
        path: The file; `-` for stdout; None to write no results.
        row: Returns a result as an object for NDJSON.

    Yields:
        A function that writes one result. It raises `OSError` if the disk is full.

    Raises:
        Quit: The suffix is unknown, or the file cannot be written.
    """

    def write_line(result: BulkResult) -> object:
        return stream.write(json.dumps(row(result)) + "\n")

    if path is None:
        yield lambda _: None
        return
    if path == Path("-"):
        stream: IO[str] = sys.stdout
        yield write_line
        return
    suffix = path.suffix.lower()
    if suffix not in (".csv", *_NDJSON):
        raise Quit(ExitCode.USAGE, f"--output {path}: the suffix must be one of .csv, {', '.join(_NDJSON)}.")
    with ExitStack() as stack:
        try:
            # One write for each line: a process that is killed leaves every result.
            stream = path.open("w", encoding="utf-8", newline="", buffering=1)
            stack.callback(_close, stream)
            write = _csv(stream) if suffix == ".csv" else write_line
        except OSError as error:
            code = ExitCode.TEMPORARY if is_disk_full(error) else ExitCode.USAGE
            raise Quit(code, f"Cannot write --output {path}: {error.strerror}. Nothing was sent.") from None
        yield write


def _close(stream: IO[str]) -> None:
    # A line that could not be written raised its error then.
    with suppress(OSError):
        stream.close()


def quit_for_results(path: object, error: OSError, hint: str) -> Quit:
    """Return the end of a command whose run has stopped, because its results could not be written.

    Args:
        path: The file.
        error: Why it could not be written.
        hint: What the user can do.
    """
    what = f"Cannot write --output {path}: {error.strerror}. The run stopped early; the report has all counts, the file"
    return Quit(ExitCode.TEMPORARY, f"{what} not every result. {hint}")


def _csv(stream: IO[str]) -> Callable[[BulkResult], object]:
    writer: csv.DictWriter[str] = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()

    def write(result: BulkResult) -> object:
        return writer.writerow({name: _cell(value) for name, value in result_json(result).items()})

    return write


def _cell(value: Any) -> Any:
    """Return text that is neither a formula for a spreadsheet nor a control code for a terminal."""
    if not isinstance(value, str):
        return value
    return f"'{one_line(value)}" if is_formula(value) else one_line(value)
