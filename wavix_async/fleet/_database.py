"""`Store`: a sqlite database and the one thread that works on it, so that no disk ever holds up the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from wavix_async.fleet._errors import JournalError

__all__ = ["Store", "as_ours", "in_one_transaction"]

P = ParamSpec("P")
T = TypeVar("T")

_TEMPORARY = ""
_THREAD = "wavix-fleet"
_BUSY = 2.0


class Store:
    """A database, on disk or private and temporary; the temporary one is spilled to disk when it gets large.

    Args:
        path: The file; None: a database of its own that is gone when it is closed.
        must_exist: Whether a file that is not there is an error.

    Raises:
        JournalError: The file is not there, is no database, or cannot be opened.
    """

    def __init__(self, path: Path | None, *, must_exist: bool = False) -> None:
        self.path = path
        self._thread: ThreadPoolExecutor | None = None
        self._under_way: set[asyncio.Future[Any]] = set()
        self.closing = threading.Event()
        try:
            if path is not None and must_exist and not path.is_file():
                raise JournalError(f"There is no journal {path}.")
            # Used by one thread at a time, which sqlite cannot know.
            self.connection = sqlite3.connect(
                _TEMPORARY if path is None else path, isolation_level=None, check_same_thread=False, timeout=_BUSY
            )
        except sqlite3.Error as error:
            raise JournalError(f"Cannot open {path} as a journal: {error}.") from None

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something with the connection, in the thread of this store, and return what it gives."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=_THREAD)
        done = asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._do(work, *args, **kwargs))
        self._under_way.add(done)
        done.add_done_callback(self._under_way.discard)
        done.add_done_callback(_hear)
        # Who is cancelled need not wait, but what was to be written is written.
        return await asyncio.shield(done)

    def _do(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with as_ours(self.path):
            return work(self.connection, *args, **kwargs)

    def rest(self) -> None:
        """End the thread; it is begun again when there is something to do."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def close(self) -> None:
        """End the thread, when it has done what it was given, and close the database."""
        if self._thread is not None:
            if self._under_way:
                # What nobody waits for any more need not come to its end.
                self.closing.set()
                self.connection.interrupt()
            # What its own work was the last to hold is closed by the thread itself, which cannot wait for its own end.
            self._thread.shutdown(wait=not threading.current_thread().name.startswith(_THREAD))
            self._thread = None
        self.connection.close()

    def __del__(self) -> None:
        if hasattr(self, "connection"):
            self.close()


@contextmanager
def as_ours(path: Path | None) -> Iterator[None]:
    """Raise what sqlite raises as an error of ours."""
    try:
        yield
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        what = "the temporary database" if path is None else f"the journal {path}"
        raise JournalError(f"Cannot use {what}: {error}.", retryable=busy) from error


def _hear(done: "asyncio.Future[Any]") -> None:
    """Take note of an error that nobody waits for."""
    if not done.cancelled():
        done.exception()


@contextmanager
def in_one_transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Do all of it or nothing, however it ends."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
