"""`FailureLog`: counts the failures of a run by kind, keeps the first ones, and writes all of them to a file.

However many items fail, the log keeps `KEPT` results. The file gets each failure when it happens, so a killed process
leaves all but the last line.
"""

import csv
import json
import os
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

from wavix_async._codec import is_formula
from wavix_async.bulk._results import BulkResult, FailureKind
from wavix_async.errors import ConfigurationError, WavixError

__all__ = ["KEPT", "FailureLog"]

KEPT: Final = 1_000
"""The most results that a report keeps."""
_LONGEST_KEY: Final = 500
_LONGEST_ERROR: Final = 2_000
_COLUMNS: Final = ("id", "status", "attempts", "error", "kind", "http_status", "code", "request_id")

# Weak: a run whose event loop was thrown away never closes its file.
_in_use: Final[weakref.WeakValueDictionary[str, "FailureLog"]] = weakref.WeakValueDictionary()


class FailureLog:
    """The failures of one run.

    Args:
        path: A file for all failures: CSV if its name ends in `.csv`, otherwise one JSON object per line. Or None.

    Raises:
        ConfigurationError: `path` is not a path.
    """

    def __init__(self, path: Any) -> None:
        if path is not None and not (isinstance(path, str | os.PathLike) and os.fspath(path)):
            raise ConfigurationError(f"failures_to must be the path of a file, got {path!r}.")
        self._path = None if path is None else Path(path)
        self._real: str | None = None
        self._stream: IO[str] | None = None
        self._write: Callable[[dict[str, Any]], object] | None = None
        self.first: list[BulkResult] = []
        """The first failures, at most `KEPT`."""
        self.by_kind: Counter[FailureKind] = Counter()
        """How many failures of each kind there were."""
        self.write_error: WavixError | None = None
        """The error that ended the writing of the file, if any."""

    def open(self) -> None:
        """Create the file, or empty it.

        Raises:
            ConfigurationError: The file cannot be written, or another run of this process writes it.
        """
        if self._path is None:
            return
        try:
            self._reserve(self._path)
            # One write for each line: a killed process leaves whole lines.
            self._stream = self._path.open("w", encoding="utf-8", errors="backslashreplace", newline="", buffering=1)
            self._write = _csv(self._stream) if self._path.suffix.lower() == ".csv" else _json_lines(self._stream)
        except ConfigurationError:
            raise
        except (OSError, ValueError) as error:
            # ValueError: the path has a null character.
            self.close()
            raise ConfigurationError(f"failures_to: cannot write {str(self._path)!r}: {_reason(error)}.") from error

    def _reserve(self, path: Path) -> None:
        """Note that this run writes the file: a second run would empty it, and both would write over each other."""
        if path.exists() and not path.is_file():
            return  # a device or a pipe
        real = os.path.realpath(path)
        if _in_use.setdefault(real, self) is not self:
            raise ConfigurationError(
                f"failures_to: another bulk run writes {str(path)!r} now. Give each run a file of its own."
            )
        self._real = real

    def add(self, result: BulkResult) -> None:
        """Count a failure, and write it to the file; if that fails, set `write_error`."""
        self.by_kind[FailureKind.of(result.error)] += 1
        if len(self.first) < KEPT:
            self.first.append(result)
        if self._write is not None:
            try:
                self._write(_row(result))
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Close the file; if its last lines cannot be written, set `write_error`."""
        if self._real is not None:
            _in_use.pop(self._real, None)
            self._real = None
        if self._stream is not None:
            stream, self._stream, self._write = self._stream, None, None
            try:
                stream.close()
            except OSError as error:
                self._fail(error)

    def _fail(self, error: OSError) -> None:
        if self.write_error is None:
            self.write_error = WavixError(
                f"failures_to: cannot write {str(self._path)!r}: {_reason(error)}. Some failures are missing in it."
            )
            self.write_error.__cause__ = error
        self._write = None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _row(result: BulkResult) -> dict[str, Any]:
    error = result.error
    return {
        "id": _key(result.id),
        "status": str(result.status),
        "attempts": result.attempts,
        "error": None if error is None else str(error)[:_LONGEST_ERROR],
        "kind": None if error is None else type(error).__name__,
        "http_status": None if error is None else error.status,
        "code": None if error is None else error.code,
        "request_id": None if error is None else error.request_id,
    }


def _key(key: Any) -> Any:
    """Return a key as a JSON value; the key of an invalid item can be any object."""
    if key is None or type(key) is bool or (type(key) is int and abs(key) < 10**_LONGEST_KEY):
        return key
    try:
        return str(key)[:_LONGEST_KEY]
    except Exception:
        return f"<{type(key).__name__}>"


def _json_lines(stream: IO[str]) -> Callable[[dict[str, Any]], object]:
    return lambda row: stream.write(json.dumps(row) + "\n")


def _csv(stream: IO[str]) -> Callable[[dict[str, Any]], object]:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    return lambda row: writer.writerow([_cell(row[name]) for name in _COLUMNS])


def _cell(value: Any) -> Any:
    """Return text that is neither a formula for a spreadsheet nor a control code for a terminal."""
    if not isinstance(value, str):
        return value
    text = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in value)
    return f"'{text}" if is_formula(text) else text
