"""`Journal`: the changes of a run and how each ended, in a sqlite file that survives the process.

Table `item` has the changes with the values before, written once when the run begins. Table `outcome` has their states.
A change has no row until the run claims it; it is `sent` from before its first request until its result is recorded.
So a process can be killed at any moment: a change that is then still `sent` has an unknown outcome, and `resume` reads
it back before it sends it again; no other change without a result was sent. `again` is a change that was sent and is
not applied. `touched` counts the claims after which a change may have been sent: the run may have applied a change if
its `touched` is not 0.

Each statement gets its rows as one JSON text. With one statement per row, the thread would wait for the interpreter
lock, which the event loop holds, once for each row.
"""

import hashlib
import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs

from wavix_async import JournalError, Number, WavixClient, _sqlite
from wavix_async._aio import Lock
from wavix_async._sqlite import Database, lock_journal, transaction
from wavix_async.fleet._account import AccountReader, Ids
from wavix_async.fleet._comparison import Comparison, compare
from wavix_async.fleet._errors import SafetyError
from wavix_async.fleet._records import Sample

__all__ = [
    "DONE",
    "UNCERTAIN",
    "OPEN",
    "SCHEMA",
    "TOUCHED",
    "UNVERIFIED",
    "LOST",
    "Journal",
    "Outcome",
    "RunRow",
    "latest_run",
    "begin_run",
    "check_continues",
    "lock_journal",
    "open_journal",
    "read_journal",
    "run_of",
    "set_options",
]

FORMAT: Final = "wavix fleet journal 1"

SCHEMA: Final = """
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
UNCERTAIN: Final = "o.state IN ('sent', 'unknown')"
UNVERIFIED: Final = "o.state IN ('updated', 'pending')"
TOUCHED: Final = "o.touched > 0"
DONE: Final = "o.state IN ('updated', 'verified', 'pending')"

LOST: Final = "the journal is a copy made during the run, or lacks its -wal file: whether this was sent is not known"
"""The reason for an unknown change of which a journal may lack the last state."""

Outcome: TypeAlias = tuple[int, str, int, str | None]
"""The id, the state, the attempts to add, and the reason."""

_BY_CHANGE: Final = "CREATE INDEX IF NOT EXISTS item_by_change ON item (run, after, id)"
_JOINED: Final = "item AS i LEFT JOIN outcome AS o ON o.run = i.run AND o.id = i.id WHERE i.run = ?"
_RECORD: Final = """
INSERT INTO outcome (run, id, state, attempts, reason)
SELECT ?, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
       json_extract(value, '$[3]')
FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET state = excluded.state, attempts = attempts + excluded.attempts, reason = excluded.reason,
    touched = max(touched - (excluded.state = 'not_sent'), 0)
"""
_CLAIM: Final = """
INSERT INTO outcome (run, id, state, touched)
SELECT ?, json_extract(value, '$[0]'), 'sent', 1 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET state = 'sent', reason = NULL, touched = touched + 1
"""
_LOSE: Final = f"""
INSERT INTO outcome (run, id, state, reason, touched)
SELECT i.run, i.id, 'unknown', ?, 1 FROM {_JOINED} AND {OPEN}
ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason, touched = max(touched, 1)
"""  # noqa: S608 - constants
_SET_COUNTS: Final = (
    "UPDATE run SET elapsed = ?, requests = ?, rate_limited = ?, stopped_by = ?, refused = ? WHERE no = ?"
)
_PAIRS: Final = """
SELECT DISTINCT id, number FROM item WHERE number IS NOT NULL ORDER BY id * 2654435761 % 4294967296 LIMIT 20
"""


@attrs.frozen
class RunRow:
    """A row of table `run`, with its columns in order."""

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


def open_journal(path: Path | None, wavix: WavixClient) -> Database:
    """Open a journal for writing, or create one; None: a temporary one. This may take a while.

    Raises:
        JournalError: The file is not a journal, is damaged, or is the journal of another API.
    """
    meta = {"base_url": wavix.base_url, "account": _hash_account(wavix), "before_sending": "checkpoint"}
    database = _sqlite.open_journal(path, format=FORMAT, schema=SCHEMA, meta=meta)
    return _check_api(database, wavix.base_url)


def read_journal(path: Path, base_url: str | None = None, *, check_integrity: bool = False) -> Database:
    """Open a journal for reading; with no base URL, it may be the journal of any API.

    Raises:
        JournalError: The file is not a journal, is damaged, or is the journal of another API.
    """
    return _check_api(_sqlite.read_journal(path, format=FORMAT, check_integrity=check_integrity), base_url)


def _check_api(database: Database, base_url: str | None) -> Database:
    found = _sqlite.read_meta(database).get("base_url")
    if base_url not in (None, found):
        database.close()
        raise JournalError(f"{database.path} is the journal of a run on {found}, and this client is for {base_url}.")
    return database


async def check_continues(database: Database, run: RunRow, wavix: WavixClient, reader: AccountReader) -> None:
    """Check that a client may continue a run: it has the same key, or its account has the same numbers.

    In a copy that lacks entries, changes become unknown that the run may have sent after the copy was made.

    Raises:
        JournalError: It is for another account.
        WavixError: The numbers could not be read.
    """
    known = _sqlite.read_meta(database).get("account", "")
    account = _hash_account(wavix, known)
    if known != account:
        pairs = await database.run(_pairs)
        # A journal of an earlier version has no hash.
        if not await reader.has(pairs) and (pairs or known):
            raise JournalError(
                f"{database.path} is the journal of another account, and nothing was sent: this API key does not read "
                "its numbers. Use a key of the account with which the run began."
            )
        await database.run(_execute, "INSERT OR REPLACE INTO meta VALUES ('account', ?)", (account,))
    if database.lacks_entries:
        await database.run(_execute, _LOSE, (LOST, run.no))


def _pairs(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    return connection.execute(_PAIRS).fetchall()


def _hash_account(wavix: WavixClient, salt: str = "") -> str:
    """Return a hash of the key and the API, with the salt of another hash or a new one.

    A key is long and random, so no list of guesses has it: the hash needs no slow function. The salt keeps it from
    being compared with the hashes in other journals.
    """
    salt = salt.partition(":")[0] or secrets.token_hex(16)
    return f"{salt}:{hashlib.sha256(f'{salt}{wavix._account}'.encode()).hexdigest()}"


def run_of(database: Database) -> RunRow:
    """Return the latest run of a journal.

    Raises:
        JournalError: The journal has no run.
    """
    run = latest_run(database.connection)
    if run is not None:
        return run
    nothing = "nothing was ever sent: apply the plan again."
    if "before_sending" not in _sqlite.read_meta(database):
        beside = f"{database.path}-wal"
        nothing = f"if it is a copy, copy {beside}, too, where a run keeps its latest entries. Otherwise, {nothing}"
    raise JournalError(f"The journal {database.path} has no run: {nothing}")


def latest_run(connection: sqlite3.Connection, kind: str | None = None) -> RunRow | None:
    """Return the latest run of a journal, or the latest of one kind; None if there is none."""
    condition = "WHERE kind = ?" if kind else ""
    row = connection.execute(
        f"SELECT * FROM run {condition} ORDER BY no DESC LIMIT 1",  # noqa: S608 - constants
        (kind,) if kind else (),
    ).fetchone()
    return None if row is None else RunRow(*row)


class Journal:
    """One run of a journal that this process has locked for writing.

    Args:
        database: The journal's database.
        lock: The lock of the journal; `close` releases it.
        run: The run.
    """

    def __init__(self, database: Database, lock: Lock, run: RunRow) -> None:
        self.database = database
        self.run = run
        self._lock = lock

    def close(self, *, keep_temporary: bool = False) -> None:
        """Close the database, and release the lock.

        Args:
            keep_temporary: Leave a temporary database open, because the report reads it.
        """
        if self.database.path is None and keep_temporary:
            self.database.stop_thread()
        else:
            self.database.close()
        self._lock.release()

    async def claim(self, last: tuple[int, str] | None, limit: int, *, by_change: bool) -> list[tuple[int, str]]:
        """Mark the next open changes as sent, and return them.

        Args:
            last: The last claimed change; None at the beginning.
            limit: The most changes to return.
            by_change: Return equal changes one after the other; otherwise in the order of the ids.

        Returns:
            Ids with the new values as JSON.
        """
        return await self.database.run(_claim, self.run.no, last or (0, ""), limit, by_change)

    async def record(self, outcomes: Sequence[Outcome]) -> None:
        """Record the outcomes of changes."""
        if outcomes:
            text = json.dumps(outcomes)
            await self.database.run(_execute, _RECORD, (self.run.no, text))

    async def add_sample(self, sample: Sample) -> None:
        """Record the progress of the run."""
        await self.database.run(_add_sample, self.run.no, sample)

    async def ids(self, condition: str) -> Ids:
        """Return the ids of the changes that meet a condition, such as `OPEN`, `UNCERTAIN` or `UNVERIFIED`."""
        query = f"SELECT i.id FROM {_JOINED} AND {condition} ORDER BY i.id"  # noqa: S608 - constants
        return await self.database.run(lambda database: Ids(row[0] for row in database.execute(query, (self.run.no,))))

    async def count(self, condition: str) -> int:
        """Count the changes that meet a condition."""
        query = f"SELECT count(*) FROM {_JOINED} AND {condition}"  # noqa: S608 - constants
        count: int = await self.database.run(lambda database: database.execute(query, (self.run.no,)).fetchone()[0])
        return count

    async def check_gone(self, reader: AccountReader, gone: int, total: int) -> None:
        """Check that so many of the numbers read may be gone: if most are, the account must still have others.

        Raises:
            SafetyError: It has not, so the account or its answers may be wrong.
        """
        if gone * 2 > total and not await reader.has(await self.database.run(_pairs)):
            raise SafetyError(
                f"Stopped by safety: the API does not find {gone:,} of {total:,} numbers, nor most others of this run. "
                "None is recorded as failed. Check that the API key belongs to the account of the run."
            )

    async def compare(self, numbers: Sequence[Number]) -> list[Comparison]:
        """Compare the current numbers with their values before and after the change."""
        return await self.database.run(_compare, self.run.no, numbers) if numbers else []

    async def set_before(self, found: Iterable[tuple[int, str]]) -> None:
        """Replace the values before the change of some ids with those that other clients have set since."""
        if rows := [(before, self.run.no, number_id) for number_id, before in found]:
            await self.database.run(_set_before, rows)

    async def mark_unverified_pending(self, reason: str) -> None:
        """Mark confirmed changes that were not read back as pending."""
        await self.database.run(
            _execute,
            "UPDATE outcome SET state = 'pending', reason = ? WHERE run = ? AND state = 'updated'",
            (reason, self.run.no),
        )

    async def delete_if_nothing_was_sent(self) -> None:
        """Delete the run if it has sent nothing, so that another plan can use the file."""
        await self.database.run(_delete_if_nothing_was_sent, self.run.no)

    async def end(
        self, *, elapsed: float, requests: int, rate_limited: int, stopped_by: str | None, refused: bool
    ) -> None:
        """Add the time and requests of this process, and the reason if it stopped early."""
        run = self.run
        counts = run.elapsed + elapsed, run.requests + requests, run.rate_limited + rate_limited
        await self.database.run(_execute, _SET_COUNTS, (*counts, stopped_by, int(refused), run.no))


def begin_run(
    connection: sqlite3.Connection,
    plan: sqlite3.Connection,
    kind: str,
    options: str,
    row: RunRow,
    closing: threading.Event,
) -> RunRow:
    """Copy a plan into a journal as a new run, in one transaction."""
    with transaction(connection):
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
                _until_closing(closing, plan.execute(f"SELECT {columns} FROM {table}")),  # noqa: S608 - constants
            )
    begun = latest_run(connection)
    assert begun is not None
    return begun


def _until_closing(closing: threading.Event, rows: Iterator[Any]) -> Iterator[Any]:
    for row in rows:
        if closing.is_set():
            raise sqlite3.OperationalError("interrupted")
        yield row


async def set_options(database: Database, run: RunRow, options: str) -> RunRow:
    """Replace the options of a run, and return it."""
    await database.run(_execute, "UPDATE run SET options = ? WHERE no = ?", (options, run.no))
    return attrs.evolve(run, options=options)


def _execute(connection: sqlite3.Connection, statement: str, values: Sequence[Any]) -> None:
    connection.execute(statement, values)


def _add_sample(connection: sqlite3.Connection, run: int, sample: Sample) -> None:
    with transaction(connection):
        connection.execute("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?)", (run, *attrs.astuple(sample)))
        # If the process is killed, `resume` continues from these counts.
        connection.execute(_SET_COUNTS, (sample.at, sample.requests, sample.rate_limited, None, 0, run))


def _claim(
    connection: sqlite3.Connection, run: int, last: tuple[int, str], limit: int, by_change: bool
) -> list[tuple[int, str]]:
    if by_change:
        connection.execute(_BY_CHANGE)
    after, order = ("(i.after, i.id) > (?, ?)", "i.after, i.id") if by_change else ("i.id > ?", "i.id")
    query = f"SELECT i.id AS id, i.after AS after FROM {_JOINED} AND {after} AND {OPEN} ORDER BY {order} LIMIT ?"  # noqa: S608
    with transaction(connection):
        (text,) = connection.execute(
            f"SELECT json_group_array(json_array(id, after)) FROM ({query})",  # noqa: S608 - constants
            (run, *(last[::-1] if by_change else last[:1]), limit),
        ).fetchone()
        connection.execute(_CLAIM, (run, text))
    return [(number_id, change) for number_id, change in json.loads(text)]


def _compare(connection: sqlite3.Connection, run: int, numbers: Sequence[Number]) -> list[Comparison]:
    by_id = {number.id: number for number in numbers}
    rows: Iterator[tuple[int, str, str, str | None, int | None, int]] = connection.execute(
        f"SELECT i.id, i.before, i.after, o.state, o.touched, i.forced FROM {_JOINED} "  # noqa: S608 - constants
        "AND i.id IN (SELECT value FROM json_each(?))",
        (run, json.dumps(list(by_id))),
    )
    return [
        attrs.evolve(
            compare(by_id[number_id], before, after), recorded=state, touched=bool(touched), forced=bool(forced)
        )
        for number_id, before, after, state, touched, forced in rows
    ]


def _set_before(connection: sqlite3.Connection, rows: Sequence[tuple[str, int, int]]) -> None:
    with transaction(connection):
        connection.executemany("UPDATE item SET before = ? WHERE run = ? AND id = ?", rows)


def _delete_if_nothing_was_sent(connection: sqlite3.Connection, run: int) -> None:
    with transaction(connection):
        if connection.execute("SELECT 1 FROM outcome WHERE run = ? AND touched > 0", (run,)).fetchone():
            return
        for table, key in (("item", "run"), ("outcome", "run"), ("missing", "run"), ("sample", "run"), ("run", "no")):
            connection.execute(f"DELETE FROM {table} WHERE {key} = ?", (run,))  # noqa: S608 - constants
