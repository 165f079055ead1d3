"""A lock that one process holds at a time, and that the system releases however the process ends."""

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
    """The right to write a file, held by one process at a time through a lock file beside it, which stays.

    Args:
        path: The file to write; None: a file that no other process can know, so there is nothing to hold.

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
            # `is_held` takes the lock for an instant to find out.
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
        """Let another process take it."""
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
    """Tell whether a process holds the lock of a file now."""
    if not _lock_file(path).exists():
        return False
    try:
        # Looking needs no right to write.
        stream = _lock_file(path).open("rb")
    except OSError:
        return False
    with stream:
        try:
            _seize(stream)
        except OSError:
            return True
    return False
