"""Open the file of a journal: lock it, create its tables, and refuse a file that is damaged or no journal."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from wavix_async._aio.file_lock import Lock
from wavix_async._sqlite.database import Database, transaction
from wavix_async.errors import JournalError

__all__ = ["lock_journal", "open_journal", "read_meta"]

_META: Final = "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID"
_SETTINGS: Final = {
    # Committed data survives when the process is killed; only a power cut may lose the latest commits.
    "process": ("journal_mode = WAL", "synchronous = NORMAL"),
    # Every commit is on the disk before it returns.
    "power cut": ("journal_mode = WAL", "synchronous = FULL"),
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
    meta: Mapping[str, str] | None,
    survives: Literal["process", "power cut"] = "process",
    check_integrity: bool = False,
) -> Database:
    """Open a journal, or create one. This may take a while.

    Args:
        path: The file; None: a temporary journal.
        format: The kind and the version of the journal, which the file must have.
        schema: The statements that create its tables, apart from `meta`.
        meta: What a new journal says of itself in the table `meta`; None: the file must exist.
        survives: What a committed entry survives: the end of its process, or a power cut too.
        check_integrity: Whether to check the whole file for damage.

    Raises:
        JournalError: The file is not a journal of this kind and version, or it is damaged.
    """
    if path is not None and check_integrity:
        _check_readable(path)
    database = Database(path, must_exist=meta is None)
    try:
        _check_format(database.connection, path, format, schema, meta)
        if check_integrity:
            _check_integrity(database.connection, path)
        if path is not None:
            for setting in _SETTINGS[survives]:
                database.connection.execute(f"PRAGMA {setting}")
    except BaseException as error:
        database.close()
        if isinstance(error, sqlite3.Error):
            if isinstance(error, sqlite3.OperationalError):  # such as a full disk
                raise JournalError(f"Cannot use the journal {path}: {error}.") from None
            raise JournalError(f"{path} is not a journal: {error}.") from None
        raise
    return database


def read_meta(database: Database) -> dict[str, str]:
    """Return what a journal says of itself."""
    return dict(database.connection.execute("SELECT key, value FROM meta"))


def _check_format(
    connection: sqlite3.Connection, path: Path | None, wanted: str, schema: str, meta: Mapping[str, str] | None
) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "meta" not in tables:
        raise JournalError(f"{path} is a database, but not a journal.")
    if not tables:
        if meta is None:
            raise JournalError(f"{path} is an empty file: nothing was ever sent. Apply the plan again.")
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
    whole = path.resolve()
    for end in ("-wal", "-journal"):
        beside = whole.with_name(f"{whole.name}{end}")
        if beside.is_file() and beside.stat().st_size:
            # The journal consists of both files, and only a normal open combines them.
            return
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} is not a journal, or is damaged: {error}.") from None


def _check_integrity(connection: sqlite3.Connection, path: Path | None) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalError(f"The journal {path} is damaged: {found}.")
