"""`FileJobStore`: a `JobStore` that is a directory, which several processes may share.

A job has these files:

- `<id>.json`: the job as the API returns it, always replaced as a whole.
- `<id>.sqlite`: the journal of its run.
- `<id>.request` and `<id>.changes`: the request and the planned changes, until the journal has both.
- `<id>.cancel`: a marker, with which another process cancels the job.

The process that works on a job holds the lock beside `<id>.json`. The operating system releases the lock when the
process ends, even after a crash.
"""

import os
import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Final

from wavix_async import ConfigurationError, InputError
from wavix_async._files import Lock, check_path, is_held
from wavix_async.types import JobClaim, JobPart

__all__ = ["FileJobStore", "check_directory", "is_job_id", "new_id", "open_private"]

_ID: Final = re.compile(r"[0-9a-f]{36}")
_SUFFIXES: Final[dict[JobPart, str]] = {
    "job": ".json",
    "request": ".request",
    "changes": ".changes",
    "cancel": ".cancel",
}
_ALL_SUFFIXES: Final = (
    *_SUFFIXES.values(),
    *(f"{suffix}.new" for suffix in _SUFFIXES.values()),
    *(".start", ".sqlite", ".sqlite-wal", ".sqlite-shm", ".sqlite.lock", ".json.lock"),
)

_last_timestamp = 0


def new_id() -> str:
    """Return a new job id; ids sort by creation time and cannot be guessed."""
    global _last_timestamp
    # The oldest jobs are removed first, so a new id must be the newest even after the clock was set back.
    _last_timestamp = max(_last_timestamp + 1, time.time_ns() // 1_000_000)
    return f"{_last_timestamp:012x}{secrets.token_hex(12)}"


def is_job_id(text: str) -> bool:
    """Return whether a text has the form of a job id."""
    return _ID.fullmatch(text) is not None


class FileJobStore:
    """Keep jobs in a directory, which several processes of one machine may share; only this user can read its files.

    Args:
        directory: The directory; created if it does not exist.

    Raises:
        ConfigurationError: It cannot be a directory.
    """

    def __init__(self, directory: str | PathLike[str]) -> None:
        self._directory = check_directory(directory)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The directory for jobs {str(directory)!r} cannot be used: {error.strerror}."
            ) from error

    def ids(self) -> Iterable[str]:
        return [path.name.removesuffix(".json") for path in self._directory.glob("*.json")]

    def open(self, job_id: str, part: JobPart) -> BinaryIO | None:
        with suppress(FileNotFoundError):
            return self._path(job_id, _SUFFIXES[part]).open("rb")
        return None

    def write(self, job_id: str, part: JobPart, chunks: Iterable[bytes]) -> None:
        path = self._path(job_id, _SUFFIXES[part])
        temporary = path.with_name(f"{path.name}.new")
        try:
            with open(temporary, "wb", opener=open_private) as stream:
                stream.writelines(chunks)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def remove(self, job_id: str, part: JobPart | None = None) -> None:
        for suffix in _ALL_SUFFIXES if part is None else (_SUFFIXES[part],):
            self._path(job_id, suffix).unlink(missing_ok=True)

    def claim(self, job_id: str) -> JobClaim:
        return Lock(self._path(job_id, ".json"))

    def is_claimed(self, job_id: str) -> bool:
        return is_held(self._path(job_id, ".json"))

    def journal(self, job_id: str) -> Path:
        return self._path(job_id, ".sqlite")

    def _path(self, job_id: str, suffix: str) -> Path:
        if not is_job_id(job_id):
            raise ValueError(f"{job_id!r} is not a job id")
        return self._directory / f"{job_id}{suffix}"


def check_directory(directory: str | PathLike[str]) -> Path:
    """Return the path of a directory for jobs.

    Raises:
        ConfigurationError: It cannot be the path of a directory.
    """
    try:
        return check_path(directory, "directory")
    except InputError as error:
        raise ConfigurationError(f"{error} Pass None to keep jobs only as long as the application runs.") from None


def open_private(path: str, flags: int) -> int:
    """Open a file that only this user can read: it has phone numbers and URLs, and the directory may be public."""
    return os.open(path, flags, 0o600)
