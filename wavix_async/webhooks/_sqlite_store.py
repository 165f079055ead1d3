"""`SqliteStore`: events in a file, for one process. All access to the file is in one thread."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from typing import TYPE_CHECKING, Final, TypeVar

from wavix_async._aio import check_path
from wavix_async.errors import ConfigurationError
from wavix_async.webhooks._seen import NewEvent, StoredEvent, Verdict

if TYPE_CHECKING:
    import sqlite3

__all__ = ["SqliteStore"]

T = TypeVar("T")

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS seen (key TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS seen_expires ON seen (expires);
CREATE TABLE IF NOT EXISTS latest (
    subject TEXT PRIMARY KEY, rank INTEGER NOT NULL, expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS latest_expires ON latest (expires);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, body BLOB NOT NULL, late INTEGER NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS ended (
    event INTEGER NOT NULL, handler TEXT NOT NULL, error TEXT, PRIMARY KEY (event, handler)
) WITHOUT ROWID;
"""
_SWEEP: Final = 256
"""After so many events, expired keys are deleted."""


class SqliteStore:
    """Keeps events in a file, for one process: a second one that opens the file is refused.

    The file survives the process, not a power cut: what the disk had not written may then be missing. It holds the
    bodies of events until their handlers have finished, so only your user may read it.

    Args:
        path: The file; it is created if it does not exist.

    Raises:
        InputError: `path` is not the path of a file.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = check_path(path, "path")
        self._connection: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._added = 0

    async def open(self, adopt: Callable[[Sequence[StoredEvent]], object]) -> None:
        """Open the file, and pass on what the last process has left.

        Raises:
            ConfigurationError: The file cannot be opened, or another process uses it.
        """
        if self._thread is not None:
            # The event loop that opened it has ended without closing it.
            self._thread.submit(self._close).result()
            self._thread.shutdown(wait=False)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="wavix-webhooks")
        try:
            left = await self._run(self._open)
        except ConfigurationError:
            self._thread.shutdown(wait=False)
            self._thread = None
            raise
        adopt(left)

    async def add(self, event: NewEvent) -> Verdict:
        """Store an event."""
        return await self._run(self._add, event)

    async def note(self, event_id: str, handler: str, error: str | None) -> None:
        """Store the end of a handler."""
        await self._run(
            self._execute,
            "INSERT OR REPLACE INTO ended (event, handler, error) VALUES (?, ?, ?)",
            int(event_id),
            handler,
            error,
        )

    async def remove(self, event_id: str) -> None:
        """Delete the body of an event."""
        await self._run(self._remove, int(event_id))

    async def close(self) -> None:
        """Close the file."""
        if self._thread is not None:
            try:
                await self._run(self._close)
            finally:
                self._thread.shutdown(wait=False)
                self._thread = None

    async def _run(self, work: Callable[..., T], *args: object) -> T:
        if self._thread is None:
            raise ConfigurationError("The store is closed.")
        # If the caller is cancelled, the work in the thread still completes.
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work, *args))

    # These run in the thread.

    @property
    def _database(self) -> "sqlite3.Connection":
        assert self._connection is not None
        return self._connection

    def _open(self) -> list[StoredEvent]:
        import sqlite3

        connection = None
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0)
            # The lock is taken with the first write, and ends with the process, however it ends.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(f"BEGIN EXCLUSIVE; {_SCHEMA} COMMIT;")
            rows = connection.execute("SELECT id, kind, body, late FROM event ORDER BY id").fetchall()
            ended = connection.execute("SELECT event, handler, error FROM ended").fetchall()
        except (OSError, sqlite3.Error) as error:
            if connection is not None:
                connection.close()
            busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
            advice = " Another process uses it: give each its own file, or use a RedisStore." if busy else ""
            raise ConfigurationError(f"Cannot use {self._path} as a store of events: {error}.{advice}") from None
        self._connection = connection
        done: dict[int, set[str]] = {}
        failed: dict[int, dict[str, str]] = {}
        for event, handler, failure in ended:
            if failure is None:
                done.setdefault(event, set()).add(handler)
            else:
                failed.setdefault(event, {})[handler] = failure
        return [
            StoredEvent(
                id=str(event),
                kind=kind,
                body=body,
                late=bool(late),
                done=frozenset(done.get(event, ())),
                failed=failed.get(event, {}),
            )
            for event, kind, body, late in rows
        ]

    def _add(self, event: NewEvent) -> Verdict:
        database, now = self._database, time.time()
        self._added += 1
        database.execute("BEGIN IMMEDIATE")
        try:
            if self._added % _SWEEP == 0:
                database.execute("DELETE FROM seen WHERE expires <= ?", (now,))
                database.execute("DELETE FROM latest WHERE expires <= ?", (now,))
            known = database.execute("SELECT 1 FROM seen WHERE key = ? AND expires > ?", (event.key, now)).fetchone()
            if known is not None:
                database.rollback()
                return Verdict(id=None)
            database.execute("INSERT OR REPLACE INTO seen (key, expires) VALUES (?, ?)", (event.key, now + event.ttl))
            late = False
            if event.subject is not None:
                latest = database.execute(
                    "SELECT rank FROM latest WHERE subject = ? AND expires > ?", (event.subject, now)
                ).fetchone()
                late = latest is not None and event.rank < latest[0]
                if not late:
                    database.execute(
                        "INSERT OR REPLACE INTO latest (subject, rank, expires) VALUES (?, ?, ?)",
                        (event.subject, event.rank, now + event.subject_ttl),
                    )
            number: int | None = 0
            if event.body is not None:
                number = database.execute(
                    "INSERT INTO event (kind, body, late, at) VALUES (?, ?, ?, ?)", (event.kind, event.body, late, now)
                ).lastrowid
            database.commit()
        except BaseException:
            database.rollback()
            raise
        return Verdict(id=str(number), late=late)

    def _execute(self, sql: str, *values: object) -> None:
        self._database.execute(sql, values)

    def _remove(self, event: int) -> None:
        with self._database as database:
            database.execute("BEGIN IMMEDIATE")
            database.execute("DELETE FROM event WHERE id = ?", (event,))
            database.execute("DELETE FROM ended WHERE event = ?", (event,))

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._path)!r})"
