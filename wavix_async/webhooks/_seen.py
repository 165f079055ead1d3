"""Where events are stored until their handlers have finished, and what has been seen before: memory, sqlite or Redis.

A store keeps three things. The *key* of every event, until it expires: an event whose key is there is a duplicate. The
*rank* of the latest state of a message: an event of a lower rank is late. And, between the answer to Wavix and the end
of the last handler, the *body* of the event, with the names of the handlers that have finished. What a process leaves
behind when it is killed, `open` passes on to the next one.
"""

import asyncio
import os
import secrets
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit

from attrs import field, frozen

from wavix_async.config import Secret, check_count
from wavix_async.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["EventStore", "MemoryStore", "NewEvent", "RedisStore", "SqliteStore", "StoredEvent", "Verdict"]

T = TypeVar("T")


@frozen(kw_only=True)
class NewEvent:
    """An event that has just come."""

    key: str
    ttl: float
    """Seconds for which its key is remembered."""
    kind: str
    """What the URL or the body says that it is; for the next process, which parses the body again."""
    body: bytes | None = field(repr=False)
    """None: no handler wants it, so nothing has to be run after a restart."""
    subject: str | None = None
    """What its state belongs to; None: its states have no order."""
    rank: int = 0
    subject_ttl: float = 0.0


@frozen(kw_only=True)
class Verdict:
    """What a store knows about a new event."""

    id: str | None
    """Its id in the store; None: it is a duplicate."""
    late: bool = False


@frozen(kw_only=True)
class StoredEvent:
    """An event that an ended process has not finished."""

    id: str
    kind: str
    body: bytes = field(repr=False)
    late: bool
    done: frozenset[str]
    """The names of the handlers that have finished."""
    failed: Mapping[str, str]
    """The handlers that have failed, and the class names of their exceptions."""


class EventStore(Protocol):
    """What `Webhooks` needs of a store: `MemoryStore`, `SqliteStore` and `RedisStore` have it."""

    async def open(self, adopt: Callable[[Sequence[StoredEvent]], object]) -> None:
        """Begin, and pass on what ended processes have left: now, and whenever there is more."""
        ...

    async def add(self, event: NewEvent) -> Verdict:
        """Store an event, unless its key is there; it is safe when this returns."""
        ...

    async def note(self, event_id: str, handler: str, error: str | None) -> None:
        """Store that a handler has finished, or failed with an error."""
        ...

    async def remove(self, event_id: str) -> None:
        """Forget the body of an event: all its handlers have finished."""
        ...

    async def close(self) -> None:
        """End; what is not finished stays for the next process."""
        ...


class MemoryStore:
    """Keeps keys in this process. Events that are not finished at a crash are lost.

    Args:
        limit: How many keys to keep at most; beyond it, the oldest go first. Default 100,000 (about 30 MB).
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = check_count("limit", limit)
        self._keys: OrderedDict[str, float] = OrderedDict()
        self._ranks: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._last = 0

    async def open(self, adopt: Callable[[Sequence[StoredEvent]], object]) -> None:
        """Do nothing: there is nothing from before."""

    async def add(self, event: NewEvent) -> Verdict:
        """Remember the key."""
        now = asyncio.get_running_loop().time()
        expires = self._keys.get(event.key)
        if expires is not None and expires > now:
            return Verdict(id=None)
        self._put(self._keys, event.key, now + event.ttl)
        late = False
        if event.subject is not None:
            rank, until = self._ranks.get(event.subject, (-1, 0.0))
            late = until > now and event.rank < rank
            if not late:
                self._put(self._ranks, event.subject, (event.rank, now + event.subject_ttl))
        self._last += 1
        return Verdict(id=str(self._last), late=late)

    def _put(self, kept: "OrderedDict[str, T]", key: str, value: T) -> None:
        kept.pop(key, None)
        kept[key] = value
        while len(kept) > self._limit:
            kept.popitem(last=False)

    async def note(self, event_id: str, handler: str, error: str | None) -> None:
        """Do nothing: the router knows it, and no other process asks."""

    async def remove(self, event_id: str) -> None:
        """Do nothing: bodies are not kept here."""

    async def close(self) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"MemoryStore(limit={self._limit})"


# --- sqlite ---

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
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)
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
        adopt(await self._run(self._open))

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
    def _database(self) -> sqlite3.Connection:
        assert self._connection is not None
        return self._connection

    def _open(self) -> list[StoredEvent]:
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


# --- Redis ---

# All keys of a store have one hash tag, so that a script may use them together in a cluster. Times are milliseconds of
# the server's clock. An event belongs to the process (its *owner*) that stored it, while that process renews its lease.
_ADD: Final = """
local seen, rank, count, events, owners = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local token, ttl, owner, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local known = redis.call('GET', seen)
if known then
  local mine, id, late = string.match(known, '^([^:]*):(%d+):(%d)$')
  if mine == token then return {id, tonumber(late)} end
  return {'', 0}
end
local late = 0
if ARGV[5] ~= '' then
  local latest = tonumber(redis.call('GET', rank) or '-1')
  if tonumber(ARGV[5]) < latest then late = 1
  elseif tonumber(ARGV[6]) > 0 then redis.call('SET', rank, ARGV[5], 'PX', ARGV[6]) end
end
local id = string.format('%d', redis.call('INCR', count))
if ttl > 0 then redis.call('SET', seen, token .. ':' .. id .. ':' .. late, 'PX', ttl) end
if ARGV[7] ~= '' then
  local time = redis.call('TIME')
  redis.call('HSET', events, id, late .. ARGV[7])
  redis.call('ZADD', owners, time[1] * 1000 + math.floor(time[2] / 1000) + lease, owner)
end
return {id, late}
"""
_RENEW: Final = """
local owners, prefix, owner, lease = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', owners, now + lease, owner)
local dead = redis.call('ZRANGEBYSCORE', owners, '-inf', now, 'LIMIT', 0, 1)[1]
if not dead then return {} end
local theirs, found = prefix .. 'events:' .. dead, {}
local stored = redis.call('HGETALL', theirs)
for i = 1, #stored, 2 do
  redis.call('HSET', prefix .. 'events:' .. owner, stored[i], stored[i + 1])
  found[#found + 1] = {stored[i], stored[i + 1], redis.call('HGETALL', prefix .. 'ended:' .. stored[i])}
end
redis.call('DEL', theirs)
redis.call('ZREM', owners, dead)
return {dead, found}
"""
_KEPT: Final = 7 * 24 * 3600 * 1000
"""Milliseconds for which the ends of handlers are kept, if no process finishes their event."""
_MOST_DOUBTS: Final = 1_000
_PATIENCE: Final = 5.0


class RedisStore:
    """Keeps events in Redis, for any number of processes: an event that comes to two of them is handled once.

    When a process ends before its events are finished, another one that uses the store takes them over: within `lease`
    seconds after a crash, at once after `close`. A process that stands still for longer than that loses its events to
    another, and a handler may run twice. This class needs the extra `redis` and a Redis server of version 5 or newer.

    Args:
        redis: A URL (`redis://`, `rediss://`, `unix://`), or a `redis.asyncio.Redis`, which this store does not close.
        name: The beginning of all keys in Redis. Services that handle the same events each need their own.
        lease: Seconds without a sign of life after which another process takes the events of this one over. Default 30.

    Raises:
        ConfigurationError: A value is wrong, or redis is not installed.
    """

    def __init__(self, redis: "str | Redis", *, name: str = "wavix-async:events", lease: float = 30.0) -> None:
        # Rebind the name, so that no traceback frame has the password as a plain string.
        redis = Secret(redis) if isinstance(redis, str) else redis
        if not isinstance(name, str) or not name or "{" in name or "}" in name:
            raise ConfigurationError(f"name must be a text without braces, such as 'wavix:events'; got {name!r}.")
        if not isinstance(lease, int | float) or isinstance(lease, bool) or not 0.05 <= lease <= 3600:
            raise ConfigurationError(f"lease must be a number of seconds between 0.05 and 3600, got {lease!r}.")
        if isinstance(redis, str):
            _connect(redis)
        elif not callable(getattr(redis, "evalsha", None)):
            raise ConfigurationError(f"redis must be a URL or a redis.asyncio.Redis, got {type(redis).__name__}.")
        self._given = redis
        self._prefix = f"{{{name}}}:"
        self._lease = lease
        self._owner = ""
        self._redis: Any = None
        self._renewing: asyncio.Task[None] | None = None
        self._adopt: Callable[[Sequence[StoredEvent]], object] = len
        self._doubts: list[tuple[NewEvent, str]] = []

    async def open(self, adopt: Callable[[Sequence[StoredEvent]], object]) -> None:
        """Connect, and take over what ended processes have left, now and later."""
        self._owner = secrets.token_hex(8)
        self._adopt = adopt
        self._redis = _connect(self._given) if isinstance(self._given, str) else self._given
        try:
            await self._renew()
        except BaseException:
            await self._disconnect()
            raise
        self._renewing = asyncio.create_task(self._keep_renewing())

    async def add(self, event: NewEvent) -> Verdict:
        """Store an event."""
        token = secrets.token_hex(8)
        try:
            return await self._add(event, token)
        except Exception:
            # The event may be stored although the answer is lost, and then a copy of it would count as a duplicate.
            if len(self._doubts) < _MOST_DOUBTS:
                self._doubts.append((event, token))
            raise

    async def _add(self, event: NewEvent, token: str) -> Verdict:
        prefix = self._prefix
        keys = (
            f"{prefix}seen:{event.key}",
            f"{prefix}rank:{event.subject}",
            f"{prefix}count",
            f"{prefix}events:{self._owner}",
            f"{prefix}owners",
        )
        content = "" if event.body is None else f"{event.kind}\n{event.body.decode('latin-1')}"
        found, late = await self._eval(
            _ADD,
            keys,
            token,
            round(event.ttl * 1000),
            self._owner,
            round(self._lease * 1000),
            "" if event.subject is None else event.rank,
            round(event.subject_ttl * 1000),
            content,
        )
        return Verdict(id=_text(found) or None, late=bool(late))

    async def note(self, event_id: str, handler: str, error: str | None) -> None:
        """Store the end of a handler."""
        key = f"{self._prefix}ended:{event_id}"
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(key, handler, "" if error is None else error)
            pipeline.pexpire(key, _KEPT)
            await asyncio.wait_for(pipeline.execute(), _PATIENCE)

    async def remove(self, event_id: str) -> None:
        """Delete the body of an event."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hdel(f"{self._prefix}events:{self._owner}", event_id)
            pipeline.delete(f"{self._prefix}ended:{event_id}")
            await asyncio.wait_for(pipeline.execute(), _PATIENCE)

    async def close(self) -> None:
        """Give up the lease, so that another process takes over what is not finished, and disconnect."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        if self._redis is not None:
            try:
                await asyncio.wait_for(self._redis.zadd(f"{self._prefix}owners", {self._owner: 0}, xx=True), _PATIENCE)
            finally:
                await self._disconnect()

    async def _disconnect(self) -> None:
        redis, self._redis = self._redis, None
        if isinstance(self._given, str):
            await redis.aclose()

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            try:
                await self._renew()
                await self._settle_doubts()
            except Exception:  # noqa: S112 - requests fail as well, and these failures are logged
                continue

    async def _renew(self) -> None:
        while answer := await self._eval(
            _RENEW, (f"{self._prefix}owners",), self._prefix, self._owner, round(self._lease * 1000)
        ):
            left = [_read(_text(event), _text(content), list(map(_text, ended))) for event, content, ended in answer[1]]
            self._adopt(sorted(left, key=lambda event: int(event.id)))

    async def _settle_doubts(self) -> None:
        while self._doubts:
            event, token = self._doubts[0]
            verdict = await self._add(event, token)
            self._doubts.pop(0)
            if verdict.id is not None and event.body is not None:
                self._adopt([StoredEvent(id=verdict.id, kind=event.kind, body=event.body, late=verdict.late,
                                         done=frozenset(), failed={})])  # fmt: skip

    async def _eval(self, script: str, keys: Sequence[str], *values: object) -> Any:
        if self._redis is None:
            raise ConfigurationError("The store is closed.")
        # redis-py sends the hash first, and the text only if the server does not know it.
        run: Callable[..., Awaitable[Any]] = self._redis.register_script(script)
        return await asyncio.wait_for(run(keys=list(keys), args=list(values)), _PATIENCE)

    def __repr__(self) -> str:
        shown = _shown(self._given) if isinstance(self._given, str) else type(self._given).__name__
        return f"RedisStore({shown!r}, name={self._prefix[1:-2]!r})"


def _connect(url: str) -> Any:
    """Return a Redis client for a URL; it connects on first use.

    Raises:
        ConfigurationError: The URL is not a Redis URL, or redis is not installed.
    """
    try:
        import redis.asyncio as library
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigurationError(
            "RedisStore needs redis, which is not installed: pip install 'wavix-async[redis]'"
        ) from None
    try:
        return library.Redis.from_url(url, retry=Retry(NoBackoff(), 1))
    except (ValueError, TypeError):
        pass
    # The original error may quote the password, so it must not be this error's context either.
    raise ConfigurationError(
        "redis must be a URL like redis://[[user]:password@]host[:port][/db], rediss://... or unix://...; "
        "percent-encode special characters of the password."
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _read(event: str, content: str, ended: list[str]) -> StoredEvent:
    kind, _, body = content[1:].partition("\n")
    ends = dict(zip(ended[::2], ended[1::2], strict=True))
    return StoredEvent(
        id=event,
        kind=kind,
        body=body.encode("latin-1"),
        late=content[:1] == "1",
        done=frozenset(name for name, error in ends.items() if not error),
        failed={name: error for name, error in ends.items() if error},
    )


def _shown(url: str) -> str:
    """Return the address of Redis without user, password and options."""
    parts = urlsplit(str(url))
    if "@" in parts.path:
        return f"{parts.scheme}://<hidden>"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
