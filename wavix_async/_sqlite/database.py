"""`Database`: a sqlite database that is used in one thread, so that disk access never blocks the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from wavix_async._aio import NO_TEMPORARY_DIRECTORY
from wavix_async.errors import JournalError

__all__ = ["WRITING", "Database", "error_of", "transaction", "translate_errors"]

P = ParamSpec("P")
T = TypeVar("T")

WRITING: Final = "writing"
"""The row of `meta` that marks a journal which a process writes; its value is the number of the file."""
_REMEDIES: Final = {
    "SQLITE_FULL": " Free space on its disk.",
    "SQLITE_IOERR": " Its disk may be full, over a quota, or damaged.",
    "SQLITE_CANTOPEN": " Check the permissions of the file and of its directory.",
}
_TEMPORARY = ""
_THREAD = "wavix-sqlite"
_BUSY = 2.0


class Database:
    """A sqlite database: a file, or a private temporary database, which sqlite moves to disk when it gets large.

    Args:
        path: The file; None: a temporary database, deleted when it is closed.
        uri: How sqlite opens the file, such as `mode=ro`. Default: for writing, and a missing file is created.

    Attributes:
        lacks_entries: Whether the file is a copy that may lack the latest entries of a run.
        is_marked: Whether the file says that a process writes it; `close` takes this back.

    Raises:
        JournalError: The file is not a database, or cannot be opened.
    """

    def __init__(self, path: Path | None, *, uri: str | None = None) -> None:
        self.path = path
        self.lacks_entries: bool = False
        self.is_marked: bool = False
        self._thread: ThreadPoolExecutor | None = None
        self._running: set[asyncio.Future[Any]] = set()
        self.closing: threading.Event = threading.Event()
        # Many builds of sqlite take a relative path that begins with `file:` for a URI.
        name = _TEMPORARY if path is None else path.absolute() if uri is None else f"{path.resolve().as_uri()}?{uri}"
        with translate_errors(path):
            # sqlite cannot see that only one thread at a time uses the connection.
            self.connection: sqlite3.Connection = sqlite3.connect(
                name, uri=uri is not None, isolation_level=None, check_same_thread=False, timeout=_BUSY
            )

    async def run(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function with the connection, in the thread of this database, and return its result."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=_THREAD)
        done = asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._run_here(work, *args, **kwargs))
        self._running.add(done)
        done.add_done_callback(self._running.discard)
        done.add_done_callback(_retrieve_exception)
        # If the caller is cancelled, the work in the thread still completes.
        return await asyncio.shield(done)

    def _run_here(self, work: Callable[Concatenate[sqlite3.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with translate_errors(self.path):
            return work(self.connection, *args, **kwargs)

    def stop_thread(self) -> None:
        """End the thread; the next call to `run` starts a new one."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def close(self, *, wait: bool = True) -> None:
        """End the thread once its current work has ended, and close the database."""
        if self._thread is not None:
            if self._running:
                # No caller waits for this work any more, so interrupt it.
                self.closing.set()
                self.connection.interrupt()
            self._thread.shutdown(wait=wait)
            self._thread = None
        if self.is_marked:
            self.is_marked = False
            _take_mark_back(self.connection)
        self.connection.close()

    def __del__(self) -> None:
        if hasattr(self, "connection"):
            # The thread has no work, because work has a reference. Garbage collection runs in any thread, at any line:
            # waiting there for the end of another thread can wait for a lock that the interrupted line holds.
            self.close(wait=False)


@contextmanager
def translate_errors(path: Path | None) -> Iterator[None]:
    """Raise errors of sqlite as `JournalError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise error_of(error, path) from error


def error_of(error: sqlite3.Error, path: Path | None) -> JournalError:
    """Return an error of sqlite as a `JournalError`; it is retryable if the file itself is not at fault."""
    name: str = getattr(error, "sqlite_errorname", "")
    what = "the temporary database" if path is None else f"the journal {path}"
    if name == "SQLITE_IOERR_GETTEMPPATH":
        return JournalError(f"Cannot use {what}: {NO_TEMPORARY_DIRECTORY}")
    remedy = next((text for start, text in _REMEDIES.items() if name.startswith(start)), "")
    if path is None:
        remedy = " Free space there, or set TMPDIR to another directory."
    passes = name.startswith(("SQLITE_BUSY", "SQLITE_FULL", "SQLITE_IOERR"))
    return JournalError(f"Cannot use {what}: {error}.{remedy}", retryable=passes)


def _take_mark_back(connection: sqlite3.Connection) -> None:
    """Delete the mark, because `close` is about to move all entries into the file."""
    for _ in range(2):
        try:
            connection.execute("DELETE FROM meta WHERE key = ?", (WRITING,))
        except sqlite3.Error:
            # On a full disk, the space of the `-wal` file may be enough.
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            return


def _retrieve_exception(done: "asyncio.Future[Any]") -> None:
    """Retrieve the error, so that asyncio does not log it if no caller waits for the work."""
    if not done.cancelled():
        done.exception()


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit when the block succeeds; roll back when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
