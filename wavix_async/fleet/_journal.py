"""`Journal`: what a run wants to do, what it has begun, and how that ended, in a sqlite file that survives its process.

`item` is what is wanted, written once, with the values before. `outcome` is what has become of it: no row while nobody
has begun, `sent` from before the first request until the answer is noted. So a process can be killed at any moment:
what is `sent` afterwards is in doubt and is read back before it is sent again; nothing else has ever left. What was
begun, and is not there, is `again`. `touched` counts how often it was begun and may have left: what was ever touched
may be ours, whatever its state.

Rows are handed over as one JSON text per statement: a loop over statements would fight with the event loop for the
interpreter's lock once for each row.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from wavix_async import Number
from wavix_async._files import Lock
from wavix_async.fleet._account import Ids
from wavix_async.fleet._comparison import Stands, compare
from wavix_async.fleet._database import Store, in_one_transaction
from wavix_async.fleet._errors import JournalError
from wavix_async.fleet._records import Sample

__all__ = [
    "DONE",
    "DOUBT",
    "OPEN",
    "SCHEMA",
    "TOUCHED",
    "UNVERIFIED",
    "Journal",
    "Noted",
    "RunRow",
    "latest_run",
    "begin_run",
    "lock_journal",
    "open_store",
    "set_options",
]

FORMAT: Final = "wavix fleet journal 1"

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS run (
    no INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, digest TEXT NOT NULL, account INTEGER NOT NULL,
    unchanged INTEGER NOT NULL, missing INTEGER NOT NULL, options TEXT NOT NULL, began REAL NOT NULL,
    elapsed REAL NOT NULL DEFAULT 0, requests INTEGER NOT NULL DEFAULT 0, rate_limited INTEGER NOT NULL DEFAULT 0,
    stopped_by TEXT, refused INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS item (
    run INTEGER NOT NULL, id INTEGER NOT NULL, number TEXT, before TEXT NOT NULL, after TEXT NOT NULL,
    forced INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outcome (
    run INTEGER NOT NULL, id INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT,
    touched INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS missing (run INTEGER NOT NULL, id INTEGER, number TEXT, reason TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sample (
    run INTEGER NOT NULL, at REAL NOT NULL, done INTEGER NOT NULL, requests INTEGER NOT NULL,
    rate_limited INTEGER NOT NULL, rate REAL, paused_for REAL NOT NULL
);
"""

OPEN: Final = "(o.state IS NULL OR o.state IN ('not_sent', 'again'))"
DOUBT: Final = "o.state IN ('sent', 'unknown')"
UNVERIFIED: Final = "o.state IN ('updated', 'pending')"
TOUCHED: Final = "o.touched > 0"
DONE: Final = "o.state IN ('updated', 'verified', 'pending')"

Noted: TypeAlias = tuple[int, str, int, str | None]
"""The id, the state, how many attempts more, and the reason."""

_BY_CHANGE: Final = "CREATE INDEX IF NOT EXISTS item_by_change ON item (run, after, id)"
_JOINED: Final = "item AS i LEFT JOIN outcome AS o ON o.run = i.run AND o.id = i.id WHERE i.run = ?"
_NOTE: Final = """
INSERT INTO outcome (run, id, state, attempts, reason)
SELECT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]')
FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET state = excluded.state, attempts = attempts + excluded.attempts, reason = excluded.reason,
    touched = max(touched - (excluded.state = 'not_sent'), 0)
"""
_INTEND: Final = """
INSERT INTO outcome (run, id, state, touched) SELECT ?, value, 'sent', 1 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET state = 'sent', reason = NULL, touched = touched + 1
"""


@attrs.frozen
class RunRow:
    """A run, as the journal has it."""

    no: int
    kind: str
    name: str
    digest: str
    account: int
    unchanged: int
    missing: int
    options: str
    began: float
    elapsed: float
    requests: int
    rate_limited: int
    stopped_by: str | None
    refused: int


def lock_journal(path: Path | None) -> Lock:
    """Take the right to write a journal.

    Args:
        path: The file; None: a temporary one.

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


def open_store(path: Path | None, base_url: str | None, *, sound: bool = False) -> Store:
    """Open a journal, or begin one; this may take a while.

    Args:
        path: The file; None: a temporary one.
        base_url: Where the account is; None: the file must exist, and whose it is does not matter.
        sound: Whether to look through all of it for damage.

    Raises:
        JournalError: It is no journal, or a damaged one, or that of another account's API.
    """
    if path is not None and sound:
        _check_untouched(path)
    store = Store(path, must_exist=base_url is None)
    try:
        _check(store.connection, path, base_url)
        if sound:
            _check_sound(store.connection, path)
        if path is not None:
            # What a killed process has committed is there; only a power cut may take the last moments.
            store.connection.execute("PRAGMA journal_mode = WAL")
            store.connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException as error:
        store.close()
        if isinstance(error, sqlite3.Error):
            raise JournalError(f"{path} is no journal: {error}.") from None
        raise
    return store


def _check(connection: sqlite3.Connection, path: Path | None, base_url: str | None) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "meta" not in tables:
        raise JournalError(f"{path} is a database, but no journal.")
    if not tables:
        if base_url is None:
            raise JournalError(f"{path} is an empty file: nothing was ever sent. Apply the plan anew.")
        # executescript() would commit what is open, table by table.
        with in_one_transaction(connection):
            for statement in SCHEMA.split(";"):
                connection.execute(statement)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", [("format", FORMAT), ("base_url", base_url)])
        return
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    if meta.get("format") != FORMAT:
        raise JournalError(f"{path} is a journal of another version: {meta.get('format')!r}, not {FORMAT!r}.")
    if base_url is not None and meta.get("base_url") != base_url:
        raise JournalError(
            f"{path} is the journal of a run on {meta.get('base_url')}, and this client is for {base_url}."
        )


def latest_run(connection: sqlite3.Connection, kind: str | None = None) -> RunRow | None:
    """Return the latest run of a journal, of a kind if one is given; None where there is none."""
    condition = "WHERE kind = ?" if kind else ""
    row = connection.execute(
        f"SELECT * FROM run {condition} ORDER BY no DESC LIMIT 1",  # noqa: S608 - constants
        (kind,) if kind else (),
    ).fetchone()
    return None if row is None else RunRow(*row)


class Journal:
    """One run of a journal that this process may write.

    Args:
        store: The database.
        lock: The right to write it; released with `close`.
        run: The run.
    """

    def __init__(self, store: Store, lock: Lock, run: RunRow) -> None:
        self.store = store
        self.run = run
        self._lock = lock

    def close(self, *, kept: bool = False) -> None:
        """Let others write it; a temporary one stays open for its report."""
        if self.store.path is None and kept:
            self.store.rest()
        else:
            self.store.close()
        self._lock.release()

    async def take(self, last: tuple[int, str] | None, limit: int, *, by_change: bool) -> list[tuple[int, str]]:
        """Return the next changes that are to be sent; from now on they count as begun.

        Args:
            last: The last one returned before, or None to begin.
            limit: How many at most.
            by_change: Equal changes one after the other; else in the order of the ids.

        Returns:
            Ids and what they shall be, as JSON.
        """
        return await self.store.run(_take, self.run.no, last or (0, ""), limit, by_change)

    async def note(self, outcomes: Sequence[Noted]) -> None:
        """Write how some ended."""
        if outcomes:
            text = json.dumps(outcomes)
            await self.store.run(_execute, _NOTE, (self.run.no, text))

    async def sample(self, sample: Sample) -> None:
        """Write where the run stands."""
        await self.store.run(_sample, self.run.no, sample)

    async def ids(self, condition: str) -> Ids:
        """Return the ids of the changes for which a condition holds: `OPEN`, `DOUBT`, `UNVERIFIED`."""
        return await self.store.run(_ids, self.run.no, condition)

    async def count(self, condition: str) -> int:
        """Return for how many changes a condition holds."""
        return await self.store.run(_count, self.run.no, condition)

    async def compare(self, numbers: Sequence[Number]) -> list[Stands]:
        """Hold numbers of this run, as they are now, against what they were and what they shall be."""
        return await self.store.run(_compare, self.run.no, numbers) if numbers else []

    async def set_before(self, stands: Iterable[Stands]) -> None:
        """Take over how numbers stand now as the values before the change."""
        rows = [(each.now, self.run.no, each.id) for each in stands]
        await self.store.run(_set_before, rows)

    async def give_up_verifying(self, reason: str) -> None:
        """Note that what nobody has read back is pending."""
        await self.store.run(
            _execute,
            "UPDATE outcome SET state = 'pending', reason = ? WHERE run = ? AND state = 'updated'",
            (reason, self.run.no),
        )

    async def forget_if_nothing_was_sent(self) -> None:
        """Remove a run of which nothing has begun: the file is free for another plan."""
        await self.store.run(_forget, self.run.no)

    async def end(
        self, *, elapsed: float, requests: int, rate_limited: int, stopped_by: str | None, refused: bool
    ) -> None:
        """Add what this process did, and why it stopped before the end, if it did."""
        await self.store.run(
            _execute,
            "UPDATE run SET elapsed = ?, requests = ?, rate_limited = ?, stopped_by = ?, refused = ? WHERE no = ?",
            (
                self.run.elapsed + elapsed,
                self.run.requests + requests,
                self.run.rate_limited + rate_limited,
                stopped_by,
                int(refused),
                self.run.no,
            ),
        )


def begin_run(
    connection: sqlite3.Connection,
    plan: sqlite3.Connection,
    kind: str,
    options: str,
    row: RunRow,
    closing: threading.Event,
) -> RunRow:
    """Copy a plan into a journal, as a new run: all of it or nothing."""
    with in_one_transaction(connection):
        no = connection.execute(
            "INSERT INTO run (kind, name, digest, account, unchanged, missing, options, began) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING no",
            (kind, row.name, row.digest, row.account, row.unchanged, row.missing, options, time.time()),
        ).fetchone()[0]
        for table, columns in (
            ("item", "id, number, before, after, forced"),
            ("outcome", "id, state, attempts, reason"),
            ("missing", "id, number, reason"),
        ):
            marks = ", ".join("?" * len(columns.split(",")))
            connection.executemany(
                f"INSERT INTO {table} (run, {columns}) VALUES ({no}, {marks})",  # noqa: S608 - constants
                _unless(closing, plan.execute(f"SELECT {columns} FROM {table}")),  # noqa: S608 - constants
            )
    begun = latest_run(connection)
    assert begun is not None
    return begun


def _unless(closing: threading.Event, rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        if closing.is_set():
            raise sqlite3.OperationalError("interrupted")
        yield row


def _check_untouched(path: Path) -> None:
    """Refuse what is no journal, or has lost its end, before sqlite changes anything in it.

    This goes through sqlite, since a file that is opened and closed by other means loses the locks that sqlite holds.
    """
    whole = path.resolve()
    for end in ("-wal", "-journal"):
        beside = whole.with_name(f"{whole.name}{end}")
        if beside.is_file() and beside.stat().st_size:
            # Half of it may be in the file already; only both together are a journal, which sqlite puts together.
            return
    if not path.is_file():
        return
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as error:
        raise JournalError(f"{path} is no journal, or a damaged one: {error}.") from None


def _check_sound(connection: sqlite3.Connection, path: Path | None) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalError(f"The journal {path} is damaged: {found}.")


def set_options(connection: sqlite3.Connection, run: int, options: str) -> None:
    """Write how a run is to be carried out from now on."""
    connection.execute("UPDATE run SET options = ? WHERE no = ?", (options, run))


def _execute(connection: sqlite3.Connection, statement: str, values: Sequence[Any]) -> None:
    connection.execute(statement, values)


def _sample(connection: sqlite3.Connection, run: int, sample: Sample) -> None:
    with in_one_transaction(connection):
        connection.execute("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?)", (run, *attrs.astuple(sample)))
        # Who takes up a run whose process was killed goes on from here.
        connection.execute(
            "UPDATE run SET elapsed = ?, requests = ?, rate_limited = ? WHERE no = ?",
            (sample.at, sample.requests, sample.rate_limited, run),
        )


def _take(
    connection: sqlite3.Connection, run: int, last: tuple[int, str], limit: int, by_change: bool
) -> list[tuple[int, str]]:
    if by_change:
        connection.execute(_BY_CHANGE)
    after, order = ("(i.after, i.id) > (?, ?)", "i.after, i.id") if by_change else ("i.id > ?", "i.id")
    query = f"SELECT i.id AS id, i.after AS after FROM {_JOINED} AND {after} AND {OPEN} ORDER BY {order} LIMIT ?"  # noqa: S608
    with in_one_transaction(connection):
        (text,) = connection.execute(
            f"SELECT json_group_array(json_array(id, after)) FROM ({query})",  # noqa: S608 - constants
            (run, *(last[::-1] if by_change else last[:1]), limit),
        ).fetchone()
        rows = [(number_id, change) for number_id, change in json.loads(text)]
        connection.execute(_INTEND, (run, json.dumps([number_id for number_id, _ in rows])))
    return rows


def _ids(connection: sqlite3.Connection, run: int, condition: str) -> Ids:
    query = f"SELECT i.id FROM {_JOINED} AND {condition} ORDER BY i.id"  # noqa: S608 - constants
    return Ids(number_id for (number_id,) in connection.execute(query, (run,)))


def _count(connection: sqlite3.Connection, run: int, condition: str) -> int:
    count: int = connection.execute(f"SELECT count(*) FROM {_JOINED} AND {condition}", (run,)).fetchone()[0]  # noqa: S608
    return count


def _compare(connection: sqlite3.Connection, run: int, numbers: Sequence[Number]) -> list[Stands]:
    by_id = {number.id: number for number in numbers}
    rows: Iterator[tuple[int, str, str, str | None, int | None, int]] = connection.execute(
        f"SELECT i.id, i.before, i.after, o.state, o.touched, i.forced FROM {_JOINED} "  # noqa: S608 - constants
        "AND i.id IN (SELECT value FROM json_each(?))",
        (run, json.dumps(list(by_id))),
    )
    return [
        attrs.evolve(compare(by_id[number_id], before, after), state=state, touched=bool(touched), forced=bool(forced))
        for number_id, before, after, state, touched, forced in rows
    ]


def _set_before(connection: sqlite3.Connection, rows: Sequence[tuple[str, int, int]]) -> None:
    with in_one_transaction(connection):
        connection.executemany("UPDATE item SET before = ? WHERE run = ? AND id = ?", rows)


def _forget(connection: sqlite3.Connection, run: int) -> None:
    with in_one_transaction(connection):
        if connection.execute("SELECT 1 FROM outcome WHERE run = ? AND touched > 0", (run,)).fetchone():
            return
        for table, key in (("item", "run"), ("outcome", "run"), ("missing", "run"), ("sample", "run"), ("run", "no")):
            connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (run,))  # noqa: S608 - constants
