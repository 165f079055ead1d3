"""`Journal`: what a run that must send nothing twice has sent, and how each item ended, in a sqlite file.

Table `item` has a row for each key that was sent. Its state is `sending` from before the first byte of its request
leaves until it ends as `accepted`, `failed` or `unknown`; an attempt that the API rejected, or that never left, makes
it `open`. That it is `sending` is on the disk before the request leaves. So a process can be killed at any moment: an
item that is then `sending` may have been sent. The next run of the journal never sends it again, but looks for proof
that it was sent. It sends only items that are `open` or have no row.

The temporary table `claimed` has the keys that this run has met, so a second item of a key is found in little memory.
A run without a file has only this table.

The workers of a run write at the same time: what they have to write while one transaction is in progress goes into the
next one together. So a commit costs a few items little, although each waits for the disk.

Each statement gets its rows as one JSON text. With one statement per row, the thread would wait for the interpreter
lock, which the event loop holds, once for each row.
"""

import asyncio
import hashlib
import json
import secrets
import sqlite3
import time
from collections.abc import Hashable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from wavix_async import errors
from wavix_async._aio import Lock, check_path
from wavix_async._codec import encode
from wavix_async._sqlite import Database, begin_writing, lock_journal, open_journal, read_meta, transaction
from wavix_async.bulk._operation import BulkOperation
from wavix_async.bulk._results import BulkResult, BulkStatus
from wavix_async.errors import InputError, JournalError, OutcomeUnknownError, RateLimitError, WavixError

__all__ = ["Entry", "Journal"]

_FORMAT: Final = "wavix bulk journal 1"
_SCHEMA: Final = """
CREATE TABLE item (
    key TEXT PRIMARY KEY, digest TEXT NOT NULL, mark TEXT, is_own INTEGER NOT NULL, at REAL NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, answer TEXT, error TEXT
) WITHOUT ROWID;
CREATE INDEX item_by_mark ON item (mark) WHERE mark IS NOT NULL
"""
_CLAIMED: Final = """
CREATE TEMP TABLE claimed (no INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, mark TEXT, is_old INTEGER NOT NULL);
CREATE INDEX claimed_by_mark ON claimed (mark) WHERE mark IS NOT NULL
"""
_CLAIM: Final = """
INSERT INTO claimed (key, mark, is_old) SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), 0
FROM json_each(?) WHERE true ON CONFLICT (key) DO NOTHING
"""
_FIND: Final = """
SELECT json_group_array(json_array(
    c.key, c.no, c.is_old, i.digest, i.mark, i.is_own, i.at, i.state, i.attempts, i.answer, i.error))
FROM json_each(?) AS j JOIN claimed AS c ON c.key = json_extract(j.value, '$[0]') LEFT JOIN item AS i ON i.key = c.key
"""
_CLAIM_ENDS: Final = "UPDATE claimed SET is_old = 1 WHERE key IN (SELECT json_extract(value, '$[0]') FROM json_each(?))"
_SENDING: Final = """
INSERT INTO item (key, digest, mark, is_own, at, state)
SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
    json_extract(value, '$[3]'), json_extract(value, '$[4]'), 'sending'
FROM json_each(?) WHERE true ON CONFLICT (key) DO UPDATE SET state = 'sending', error = NULL
"""
_RECORD: Final = """
UPDATE item SET state = json_extract(j.value, '$[1]'), attempts = json_extract(j.value, '$[2]'),
    answer = json_extract(j.value, '$[3]'), error = json_extract(j.value, '$[4]')
FROM json_each(?) AS j WHERE item.key = json_extract(j.value, '$[0]')
"""
_COUNT_MARK: Final = """
SELECT count(*) FROM (SELECT key FROM item WHERE mark = ? UNION SELECT key FROM claimed WHERE mark = ?)
"""

_KILLED: Final = (
    "The process that sent it ended before it had recorded an answer, so it may have been carried out. It is not sent "
    "again: check the account."
)


@attrs.define(eq=False, repr=False, kw_only=True)
class Entry:
    """An item that this run has claimed.

    Attributes:
        journal: The journal of the run.
        key: The text of its key.
        digest: What identifies the change.
        at: The time at which a run has met it first.
        change: The change to send, with its mark.
        ended: How an earlier run left the item, if it may not be sent; None: send it.
        is_final: Whether that is its outcome; otherwise it is unknown, and a proof may settle it.
        mark: The mark by which the API shows the item; None: it has none.
        is_own: Whether the caller has given it this mark.
        is_sending: Whether the file says that it is being sent.
    """

    journal: "Journal"
    key: str
    digest: str
    at: float
    change: Any
    ended: BulkResult | None = None
    is_final: bool = False
    mark: str | None = None
    is_own: bool = False
    is_sending: bool = False

    @property
    def since(self) -> datetime | None:
        """The time `at`, if the mark is the caller's own and may be older than the item; None: it is not."""
        return datetime.fromtimestamp(self.at, UTC) if self.is_own else None

    @property
    def must_be_written(self) -> bool:
        """Whether the journal must say `sending` before a request may leave."""
        return not self.is_sending and self.journal.is_kept

    async def write_sending(self) -> None:
        """Write to the disk that a request of this item is about to leave."""
        if self.must_be_written:
            await self.journal.write_sending((self.key, self.digest, _text(self.mark), self.is_own, self.at))
            self.is_sending = True

    def set_back(self) -> None:
        """Record that the last attempt was certainly not carried out."""
        if self.is_sending:
            self.is_sending = False
            self.journal.write_outcome(self.key, "open")

    def record(self, result: BulkResult) -> None:
        """Record how the item ended."""
        self.journal.record(self, result)

    async def shares_mark(self) -> bool:
        """Return whether another item has the same mark, so that what the API shows proves nothing for this one."""
        return self.is_own and self.mark is not None and await self.journal.count_mark(self.mark) > 1


class _Batch:
    """What the next transaction writes."""

    def __init__(self, done: "asyncio.Future[dict[str, list[Any]]]") -> None:
        self.outcomes: dict[str, tuple[str, int, str | None, str | None]] = {}
        self.sending: dict[str, tuple[str, str, str | None, bool, float]] = {}
        self.claims: list[tuple[str, str | None]] = []
        self.done = done


class Journal:
    """The journal of one run.

    Args:
        path: The file; None: a temporary journal.
        operation: The operation of the run.
        account: A name for the account and its key, which the file keeps.

    Raises:
        InputError: `path` is not a path.
    """

    def __init__(self, path: Any, operation: BulkOperation[Any, Any, Any], account: str) -> None:
        assert operation.once is not None
        self._path = None if path is None else check_path(path, "journal")
        self._operation = operation
        self._once = operation.once
        self._account = account
        self._lock: Lock | None = None
        self._database: Database | None = None
        self._prefix = ""
        self.has_history = False
        """Whether an earlier run has sent an item."""
        self._first: str | None = None
        """The first item of this run, until the journal knows it."""
        self._checks_first = False
        self._batch: _Batch | None = None
        self._writer: asyncio.Task[None] | None = None
        self.error: JournalError | None = None
        """The error that ended the writing, if any."""

    @property
    def is_kept(self) -> bool:
        """Whether the journal is a file, which another process may use after this one."""
        return self._path is not None

    async def open(self, items: Iterable[tuple[Hashable, Any]] | None) -> None:
        """Lock and open the file, and check that it belongs to this account and to these items.

        Args:
            items: All items, if they are known before the run.

        Raises:
            JournalError: The file cannot be used for this run.
        """
        self._lock = lock_journal(self._path)
        meta = {"operation": self._operation.name, "account": self._account, "token": secrets.token_hex(8)}
        self._database = database = await asyncio.to_thread(
            open_journal,
            self._path,
            format=_FORMAT,
            schema=_SCHEMA,
            meta=meta,
            survives="power cut",
        )
        await database.run(_create_claimed)
        if self._path is None:
            self._prefix = f"{meta['token']}-1-"
        else:
            await database.run(self._begin, self._path, items)

    def _begin(self, connection: sqlite3.Connection, path: Path, items: Iterable[tuple[Hashable, Any]] | None) -> None:
        assert self._database is not None
        plan = None if items is None else _fingerprint(items)
        with transaction(connection):
            meta = read_meta(self._database)
            if meta["operation"] != self._operation.name:
                raise JournalError(f"{path} is the journal of {meta['operation']}, not of {self._operation.name}.")
            if meta["account"] != self._account:
                raise JournalError(
                    f"{path} is the journal of another account, API or API key. Use the key that it was begun with."
                )
            # A copy does not know what a run of the original sends after it was made.
            file = str(path.stat().st_ino)
            if meta.get("file", file) != file:
                raise JournalError(
                    f"{path} is a copy of a journal: the original may have sent more since. Use the original file."
                )
            if self._database.lacks_entries:
                raise JournalError(
                    f"{path} lacks its second file, {path}-wal, which says what was sent last. Put it beside {path}."
                )
            if plan is not None and meta.get("plan", plan) != plan:
                raise JournalError(f"{path} is the journal of other {self._operation.argument}. Use a new journal.")
            runs = int(meta.get("runs", 0)) + 1
            self.has_history = connection.execute("SELECT 1 FROM item LIMIT 1").fetchone() is not None
            meta |= {"file": file, "runs": str(runs)} | ({} if plan is None else {"plan": plan})
            connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
        begin_writing(connection, self._database)
        # Each run counts its items from 1, so its marks begin with its own number.
        self._prefix = f"{meta['token']}-{runs}-"
        self._first, self._checks_first = meta.get("first"), plan is None

    async def claim(self, key: Hashable, change: Any) -> Entry:
        """Note that this run deals with an item, and return what is known of it.

        Raises:
            JournalError: The journal cannot be written, or has another item under this key.
        """
        text, digest, mark = json.dumps(key), _digest(key, change), _text(self._once.mark_of(change))
        if self._path is not None and not self._begins_alike(text, digest):
            raise JournalError(
                f"{self._path} is the journal of other {self._operation.argument}: it begins with another one. "
                "Use a new journal, or give the same in the same order."
            )
        batch = self._next_batch()
        batch.claims.append((text, mark))
        found = await asyncio.shield(batch.done)
        return self._entry(key, change, text, digest, found[text])

    def _begins_alike(self, text: str, digest: str) -> bool:
        """Check the first item of an input of unknown length against that of the run before."""
        if not self._checks_first:
            if self._first is None:
                self._first = f"{text} {digest}"
            return True
        self._checks_first = False
        expected, self._first = self._first, f"{text} {digest}"
        return expected in (None, self._first)

    def _entry(self, key: Hashable, change: Any, text: str, digest: str, row: list[Any]) -> Entry:
        no, is_twice, known, mark, is_own, at, state, attempts, answer, error = row
        entry = Entry(journal=self, key=text, digest=digest, at=at or time.time(), change=change)
        if is_twice:
            twice = InputError(f"the {self._operation.key_name} {key!r} occurs twice; it is sent once.")
            entry.ended, entry.is_final = BulkResult(key, BulkStatus.FAILED, error=twice), True
            return entry
        if known not in (None, digest):
            raise JournalError(
                f"{self._path} has another {self._operation.noun} under the {self._operation.key_name} {key!r}. "
                "Use a new journal for other items."
            )
        entry.is_own = self._once.mark_of(change) is not None if state is None else bool(is_own)
        entry.change = self._once.mark(change, f"{self._prefix}{no}" if mark is None else json.loads(mark))
        entry.mark = self._once.mark_of(entry.change)
        if state == "accepted":
            value = None if answer is None else self._once.load(answer)
            entry.ended = BulkResult(key, self._operation.success, value, None, attempts)
        elif state == "failed":
            entry.ended = BulkResult(key, BulkStatus.FAILED, error=_load_error(error), attempts=attempts)
        elif state in ("sending", "unknown"):
            # Whatever the last attempt got, it does not decide the outcome.
            reason = _load_error(error, OutcomeUnknownError) or OutcomeUnknownError(_KILLED)
            entry.ended = BulkResult(key, BulkStatus.UNKNOWN, error=reason, attempts=max(attempts, 1))
        entry.is_final = state in ("accepted", "failed")
        return entry

    def record(self, entry: Entry, result: BulkResult) -> None:
        """Record how an item ended; the next transaction writes it. A result with its key may be of another item."""
        if not self.is_kept or self.error is not None:
            return
        answer = None
        if result.ok:
            state, answer = "accepted", None if result.value is None else self._once.save(result.value)
        elif result.status is BulkStatus.UNKNOWN:
            state = "unknown"
        else:
            state = "failed" if result.status is BulkStatus.FAILED and self._is_final(result.error) else "open"
        self.write_outcome(entry.key, state, result.attempts, answer, _save_error(result.error))

    def _is_final(self, error: WavixError | None) -> bool:
        """Return whether a later run must not send a rejected item again: the item itself is wrong."""
        concern = None if error is None else self._operation.concern_of(error)
        return concern == "item" or (concern is None and not isinstance(error, RateLimitError))

    def write_outcome(
        self, key: str, state: str, attempts: int = 0, answer: str | None = None, error: str | None = None
    ) -> None:
        """Write the state of an item with the next transaction."""
        if self.is_kept and self.error is None:
            batch = self._next_batch()
            batch.outcomes[key] = state, attempts, answer, error
            # It was cancelled before it was written, so it was not sent.
            batch.sending.pop(key, None)

    async def write_sending(self, row: tuple[str, str, str | None, bool, float]) -> None:
        """Write that an item is about to be sent, and wait until that is on the disk.

        Args:
            row: Its key, digest, mark, whether the mark is its own, and when it was met first.
        """
        batch = self._next_batch()
        batch.sending[row[0]] = row
        await asyncio.shield(batch.done)

    async def count_mark(self, mark: str) -> int:
        """Return how many items claimed so far have this mark."""
        assert self._database is not None
        return await self._database.run(_count_mark, _text(mark))

    async def close(self) -> None:
        """Write what is left, and close the file."""
        try:
            if self._writer is not None:
                await asyncio.wait([self._writer])
        finally:
            if self._database is not None:
                self._database.close()
            if self._lock is not None:
                self._lock.release()

    # --- transactions ---

    def _next_batch(self) -> _Batch:
        if self.error is not None:
            raise self.error
        if self._batch is None:
            self._batch = _Batch(asyncio.get_running_loop().create_future())
            # The run has its error from `error`, too.
            self._batch.done.add_done_callback(lambda done: None if done.cancelled() else done.exception())
        if self._writer is None:
            self._writer = asyncio.ensure_future(self._write_all())
        return self._batch

    async def _write_all(self) -> None:
        assert self._database is not None
        try:
            while (batch := self._batch) is not None:
                self._batch = None
                try:
                    found = await self._database.run(_write, batch, self._first)
                except JournalError as error:
                    self.error = self.error or error
                    batch.done.set_exception(error)
                except BaseException:
                    batch.done.cancel()
                    raise
                else:
                    batch.done.set_result(found)
        finally:
            self._writer = None


def _create_claimed(connection: sqlite3.Connection) -> None:
    for statement in _CLAIMED.split(";"):
        connection.execute(statement)


def _write(connection: sqlite3.Connection, batch: _Batch, first: str | None) -> dict[str, list[Any]]:
    """Write a batch in one transaction; return the rows of its claims, by key."""
    found: list[list[Any]] = []
    with transaction(connection):
        if batch.outcomes:
            connection.execute(_RECORD, (json.dumps([(key, *outcome) for key, outcome in batch.outcomes.items()]),))
        if batch.sending:
            connection.execute(_SENDING, (json.dumps(list(batch.sending.values())),))
        if batch.claims:
            text = json.dumps(batch.claims)
            connection.execute(_CLAIM, (text,))
            found = json.loads(connection.execute(_FIND, (text,)).fetchone()[0])
            connection.execute(_CLAIM_ENDS, (text,))
            if first is not None:
                connection.execute("INSERT OR IGNORE INTO meta VALUES ('first', ?)", (first,))
    return {key: row for key, *row in found}


def _count_mark(connection: sqlite3.Connection, mark: str | None) -> int:
    count: int = connection.execute(_COUNT_MARK, (mark, mark)).fetchone()[0]
    return count


# --- what identifies an item ---


def _text(mark: str | None) -> str | None:
    """Return a mark as JSON, as which sqlite takes any text."""
    return None if mark is None else json.dumps(mark)


def _digest(key: Hashable, change: Any) -> str:
    try:
        content = encode(change)
    except (TypeError, ValueError) as error:
        raise InputError(f"The item {key!r} cannot be written as JSON: {error}.") from None
    return hashlib.blake2b(json.dumps(key).encode() + b"\n" + content, digest_size=16).hexdigest()


def _fingerprint(items: Iterable[tuple[Hashable, Any]]) -> str:
    """Return a fingerprint of all items, in whatever order they come."""
    count = total = 0
    for key, change in items:
        count += 1
        total += int(_digest(key, change), 16)
    return f"{count} {total % 2**128:x}"


# --- errors ---


def _save_error(error: WavixError | None) -> str | None:
    if error is None:
        return None
    facts = {name: getattr(error, name) for name in ("message", "status", "code", "request_id", "reason", "outcome")}
    return json.dumps({"kind": type(error).__name__, **facts})


def _load_error(text: str | None, kind: type[WavixError] | None = None) -> WavixError | None:
    """Return a saved error; with `kind`, as an error of this class with the outcome of the class."""
    if text is None:
        return None
    saved: dict[str, Any] = json.loads(text)
    name = saved.pop("kind")
    if kind is not None:
        return kind(**{**saved, "outcome": kind.default_outcome})
    known: type[WavixError] = getattr(errors, name, WavixError)
    return known(**saved)
