"""One process at a time: a lock that the system takes back, however the process ends."""

import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from wavix_async.fleet._errors import JournalError

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
    """The right to write a journal, held through a file beside it, which stays.

    Args:
        journal: The journal; None: nobody else can know it, and there is nothing to hold.

    Raises:
        JournalError: Somebody else holds it, or there is no place for the file.
    """

    def __init__(self, journal: Path | None) -> None:
        self._stream: IO[bytes] | None = None
        if journal is None:
            return
        try:
            stream = open(_beside(journal), "ab")  # noqa: SIM115 - held as long as this lives
        except OSError as error:
            raise JournalError(f"Cannot write {journal}: {error.strerror}.") from None
        for wait in _WAITS:
            # Who only looks whether it is held holds it for an instant.
            time.sleep(wait)
            try:
                _seize(stream)
            except OSError:
                continue
            self._stream = stream
            return
        stream.close()
        raise JournalError(
            f"The journal {journal} is in use by another run. Wait until it has ended, or stop it.", retryable=True
        )

    def release(self) -> None:
        """Let somebody else have it."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _beside(journal: Path) -> Path:
    whole = journal.resolve()
    return whole.with_name(f"{whole.name}.lock")


def is_held(journal: Path) -> bool:
    """Tell whether somebody writes a journal now."""
    if not _beside(journal).exists():
        return False
    try:
        # Who only looks need not be allowed to write.
        stream = _beside(journal).open("rb")
    except OSError:
        return False
    with stream:
        try:
            _seize(stream)
        except OSError:
            return True
    return False
