"""A lock that one process holds at a time; the operating system releases it when the process ends, even if killed."""

import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

__all__ = ["Lock", "is_held"]

_WAITS = (0.0, 0.005, 0.01, 0.02)

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    import msvcrt

    def _seize(stream: IO[bytes]) -> None:
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
else:

    def _seize(stream: IO[bytes]) -> None:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """Lock a file for writing, by one process at a time. The lock file beside it is not deleted.

    Args:
        path: The file to write; None: a temporary file that no other process can open, so nothing is locked.

    Raises:
        BlockingIOError: Another process holds the lock.
        OSError: The lock file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._stream: IO[bytes] | None = None
        if path is None:
            return
        stream = open(_lock_file(path), "ab")  # noqa: SIM115 - open as long as the lock is held
        for wait in _WAITS:
            # `is_held` holds the lock for a moment while it checks.
            time.sleep(wait)
            try:
                _seize(stream)
            except OSError:
                continue
            self._stream = stream
            return
        stream.close()
        raise BlockingIOError(f"Another process holds the lock of {path}.")

    def release(self) -> None:
        """Let another process take the lock."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _lock_file(path: Path) -> Path:
    whole = path.resolve()
    return whole.with_name(f"{whole.name}.lock")


def is_held(path: Path) -> bool:
    """Return whether a process holds the lock of a file now."""
    if not _lock_file(path).exists():
        return False
    try:
        # Read-only: the check must also work without write permission.
        stream = _lock_file(path).open("rb")
    except OSError:
        return False
    with stream:
        try:
            _seize(stream)
        except OSError:
            return True
    return False
