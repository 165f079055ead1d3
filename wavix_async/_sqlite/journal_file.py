"""Open the file of a journal: lock it, create its tables, and refuse a file that is damaged or no journal.

While a process writes a journal, its latest entries are in a second file, `<journal>-wal`. A copy of the first file
alone must not look like a journal of which nothing was sent. So before anything is sent, `begin_writing` moves all
entries into the first file, and marks it there. `Database.close` takes the mark back. A file with the mark lacks
entries if it has no `-wal` file, or if its number says that it is a copy: the run may have gone on after it was made.

After that, sqlite writes the first file again only once `-wal` has 32 MB, so that a copy of both files is sound.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

from wavix_async._aio.file_lock import Lock
from wavix_async._sqlite.database import WRITING, Database, error_of, transaction
from wavix_async.errors import JournalError

__all__ = ["begin_writing", "check_exists", "lock_journal", "open_journal", "read_journal", "read_meta"]

_META: Final = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_SETTINGS: Final = {
    # Committed data survives when the process is killed; only a power cut may lose the latest commits.
    "process": ("journal_mode = WAL", "synchronous = NORMAL", "wal_autocheckpoint = 8192"),
    # Every commit is on the disk before it returns.
    "power cut": ("journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 8192"),
}
# Sqlite writes no file beside the journal, so its disk may be read-only or full.
_WITHOUT_LOCKS: Final = {
    True: f"mode=ro&vfs={'win32' if os.name == 'nt' else 'unix'}-none",  # with the entries in `-wal`
    False: "mode=ro&immutable=1",
}


def lock_journal(path: Path | None) -> Lock:
    """Lock a journal for writing.

    Args:
        path: The file; None: a temporary journal.

    Raises:
        JournalError: Another process writes the journal, or its lock file cannot be written.
    """
    try:
        return Lock(path)
    except BlockingIOError:
        raise JournalError(
            f"The journal {path} is in use by another run. Wait until it has ended, or stop it.", retryable=True
        ) from None
    except OSError as error:
        raise JournalError(f"Cannot write {path}: {error.strerror}.") from None


def open_journal(
    path: Path | None,
    *,
    format: str,  # noqa: A002 - the name of the row
    schema: str,
    meta: Mapping[str, str],
    survives: Literal["process", "power cut"] = "process",
) -> Database:
    """Open a journal for writing, or create one; its lock is held. This checks the whole file, so it may take a while.

    Args:
        path: The file; None: a temporary journal.
        format: The kind and the version of the journal, which the file must have.
        schema: The statements that create its tables, apart from `meta`.
        meta: What a new journal says of itself in the table `meta`.
        survives: What a committed entry survives: the end of its process, or a power cut too.

    Raises:
        JournalError: The file is not a journal of this kind and version, or it is damaged.
    """
    has_wal = path is not None and _has_wal(path)
    if path is not None:
        _check_readable(path)
        # Only the user can read a new file: it has phone numbers and settings. Its `-wal` file gets the same mode.
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    database = Database(path)
    try:
        with _not_a_journal(path):
            _check_format(database.connection, path, format, schema, meta)
            _check_integrity(database.connection, path)
            if path is not None:
                for setting in _SETTINGS[survives]:
                    database.connection.execute(f"PRAGMA {setting}")
            if _find_mark(database, has_wal=has_wal) and not database.lacks_entries:
                # From now on, closing the file makes it whole, even if no run begins.
                database.connection.execute("DELETE FROM meta WHERE key = ?", (WRITING,))
    except BaseException:
        database.close()
        raise
    return database


def check_exists(path: Path) -> None:
    """Raise an error if there is no such file."""
    if not path.is_file():
        raise JournalError(f"{path} is not a file." if path.exists() else f"There is no journal {path}.")


def read_journal(path: Path, *, format: str, check_integrity: bool = False) -> Database:  # noqa: A002
    """Open a journal for reading, even while a run writes it, or on a disk that cannot be written.

    Args:
        path: The file.
        format: The kind and the version of the journal, which the file must have.
        check_integrity: Whether to check the whole file for damage.

    Raises:
        JournalError: There is no such file, it is not a journal of this kind and version, or it is damaged.
    """
    check_exists(path)
    has_wal = _has_wal(path)
    if check_integrity:
        _check_readable(path)
    # After a kill, only the next writer may move the entries from `-wal` into the file: it takes the mark back.
    database = Database(path, uri="mode=ro" if has_wal else "mode=rw")
    try:
        database.connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise error_of(error, path) from None
        # Beside the journal, sqlite cannot write the file through which its readers and its writer share memory.
        database.close()
        database = Database(path, uri=_WITHOUT_LOCKS[has_wal])
        database.connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    except sqlite3.Error:
        pass
    try:
        with _not_a_journal(path):
            _check_format(database.connection, path, format)
            if check_integrity:
                _check_integrity(database.connection, path)
            _find_mark(database, has_wal=has_wal)
    except BaseException:
        database.close()
        raise
    return database


def begin_writing(connection: sqlite3.Connection, database: Database) -> None:
    """Move all entries into the file, and mark it as one that a process writes.

    Raises:
        JournalError: The journal is being read all the time.
    """
    if database.path is None:
        return
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (WRITING, _number_of(database.path)))
    database.is_marked = True
    # This leaves the entries in the `-wal` file, too: an empty one counts as missing.
    if connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()[0]:
        raise JournalError(
            f"{database.path} is being read by another process or an iterator of results; nothing was sent. Try again.",
            retryable=True,
        )


@contextmanager
def _not_a_journal(path: Path | None) -> Iterator[None]:
    """Raise errors of sqlite as a `JournalError` that says whether the file is at fault."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise error_of(error, path) from None
    except sqlite3.Error as error:
        raise JournalError(f"{path} is not a journal: {error}.") from None


def _has_wal(path: Path, end: str = "-wal") -> bool:
    whole = path.resolve()
    beside = whole.with_name(f"{whole.name}{end}")
    return beside.is_file() and beside.stat().st_size > 0


def _find_mark(database: Database, *, has_wal: bool) -> bool:
    """Return whether the file has the mark, and note whether it lacks entries."""
    marked = read_meta(database).get(WRITING)
    if marked is None or database.path is None:
        return False
    # A run that has begun since the first look has made a `-wal` file.
    is_whole = (has_wal or _has_wal(database.path)) and marked == _number_of(database.path)
    database.lacks_entries = not is_whole
    return True


def _number_of(path: Path) -> str:
    return str(path.stat().st_ino)


def read_meta(database: Database) -> dict[str, str]:
    """Return what a journal says of itself."""
    return dict(database.connection.execute("SELECT key, value FROM meta"))


def _check_format(
    connection: sqlite3.Connection,
    path: Path | None,
    wanted: str,
    schema: str = "",
    meta: Mapping[str, str] | None = None,
) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "meta" not in tables:
        raise JournalError(f"{path} is a database, but not a journal.")
    if not tables:
        if meta is None:
            raise JournalError(
                f"{path} is an empty file. If it is the copy of a journal, copy the journal again; otherwise nothing "
                "was sent: apply the plan again."
            )
        # executescript() would commit table by table.
        with transaction(connection):
            for statement in (_META, *schema.split(";")):
                connection.execute(statement)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", [("format", wanted), *meta.items()])
        return
    (found,) = connection.execute("SELECT max(value) FROM meta WHERE key = 'format'").fetchone()
    if found != wanted:
        raise JournalError(f"{path} is a journal of another version: {found!r}, not {wanted!r}.")


def _check_readable(path: Path) -> None:
    """Raise an error if the file is not a journal or is truncated, before sqlite changes anything in it.

    The check uses sqlite, because opening and closing the file in another way would drop the locks that sqlite holds.
    """
    if not path.is_file() or _has_wal(path) or _has_wal(path, "-journal"):
        # The journal consists of both files, and only a normal open combines them.
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname.startswith("SQLITE_CANTOPEN"):
            raise error_of(error, path) from None
        raise JournalError(f"{path} is not a journal, or is damaged: {error}.") from None


def _check_integrity(connection: sqlite3.Connection, path: Path | None) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalError(f"The journal {path} is damaged: {found}.")
