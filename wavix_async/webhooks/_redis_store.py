"""`RedisStore`: events in Redis, for any number of processes."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from wavix_async.config import Secret
from wavix_async.errors import ConfigurationError
from wavix_async.webhooks._seen import NewEvent, StoredEvent, Verdict

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisStore"]

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
_MOST_UNCERTAIN: Final = 1_000
_PATIENCE: Final = 5.0


class RedisStore:
    """Keeps events in Redis, for any number of processes: an event that comes to two of them is handled once.

    When a process ends before its events are finished, another one that uses the store takes them over: within `lease`
    seconds after a crash, at once after `close`. A process that does not run for longer than that loses its events to
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
        self._uncertain: list[tuple[NewEvent, str]] = []

    async def open(self, adopt: Callable[[Sequence[StoredEvent]], object]) -> None:
        """Connect, and take over what ended processes have left, now and later.

        Raises:
            ConfigurationError: Redis cannot be reached, or refuses.
        """
        self._owner = secrets.token_hex(8)
        self._adopt = adopt
        self._redis = _connect(self._given) if isinstance(self._given, str) else self._given
        try:
            await self._renew()
        except BaseException as error:
            await self._disconnect()
            if isinstance(error, Exception):
                told = str(error) or type(error).__name__
                raise ConfigurationError(f"Cannot use {self!r} as a store of events: {told}") from error
            raise
        self._renewing = asyncio.create_task(self._keep_renewing())

    async def add(self, event: NewEvent) -> Verdict:
        """Store an event."""
        token = secrets.token_hex(8)
        try:
            return await self._add(event, token)
        except Exception:
            # The event may be stored although the answer is lost, and then a copy of it would count as a duplicate.
            if len(self._uncertain) < _MOST_UNCERTAIN:
                self._uncertain.append((event, token))
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
        await asyncio.wait_for(self._redis.hset(key, handler, "" if error is None else error), _PATIENCE)

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
                await self._store_uncertain()
            except Exception:  # noqa: S112 - requests fail as well, and these failures are logged
                continue

    async def _renew(self) -> None:
        while answer := await self._eval(
            _RENEW, (f"{self._prefix}owners",), self._prefix, self._owner, round(self._lease * 1000)
        ):
            left = [_read(_text(event), _text(content), list(map(_text, ended))) for event, content, ended in answer[1]]
            self._adopt(sorted(left, key=lambda event: int(event.id)))

    async def _store_uncertain(self) -> None:
        while self._uncertain:
            event, token = self._uncertain[0]
            verdict = await self._add(event, token)
            self._uncertain.pop(0)
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
