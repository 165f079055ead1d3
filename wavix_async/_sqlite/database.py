"""`Database`: a sqlite database that is used in one thread, so that disk access never blocks the event loop."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from wavix_async.errors import JournalError

__all__ = ["Database", "translate_errors", "transaction"]

P = ParamSpec("P")
T = TypeVar("T")

_TEMPORARY = ""
_THREAD = "wavix-sqlite"
_BUSY = 2.0


class Database:
    """A sqlite database: a file, or a private temporary database, which sqlite moves to disk when it gets large.

    Args:
        path: The file; None: a temporary database, deleted when it is closed.
        must_exist: Whether a missing file is an error.

    Raises:
        JournalError: The file is missing, is not a database, or cannot be opened.
    """

    def __init__(self, path: Path | None, *, must_exist: bool = False) -> None:
        self.path = path
        self._thread: ThreadPoolExecutor | None = None
        self._running: set[asyncio.Future[Any]] = set()
        self.closing: threading.Event = threading.Event()
        try:
            if path is not None and must_exist and not path.is_file():
                raise JournalError(f"There is no journal {path}.")
            # sqlite cannot see that only one thread at a time uses the connection.
            self.connection: sqlite3.Connection = sqlite3.connect(
                _TEMPORARY if path is None else path, isolation_level=None, check_same_thread=False, timeout=_BUSY
            )
        except sqlite3.Error as error:
            raise JournalError(f"Cannot open {path} as a journal: {error}.") from None

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

    def close(self) -> None:
        """End the thread once its current work has ended, and close the database."""
        if self._thread is not None:
            if self._running:
                # No caller waits for this work any more, so interrupt it.
                self.closing.set()
                self.connection.interrupt()
            # If the thread itself drops the last reference, `close` runs in it, and it cannot wait for its own end.
            self._thread.shutdown(wait=not threading.current_thread().name.startswith(_THREAD))
            self._thread = None
        self.connection.close()

    def __del__(self) -> None:
        if hasattr(self, "connection"):
            self.close()


@contextmanager
def translate_errors(path: Path | None) -> Iterator[None]:
    """Raise errors of sqlite as `JournalError`."""
    try:
        yield
    except sqlite3.Error as error:
        busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        what = "the temporary database" if path is None else f"the journal {path}"
        raise JournalError(f"Cannot use {what}: {error}.", retryable=busy) from error


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
