"""`RedisRateLimit`: one limit for all processes that use the same account, kept in Redis.

    from wavix_async.redis import RedisRateLimit

    async with WavixClient(rate=RedisRateLimit("redis://127.0.0.1:6379", rate=100)) as wavix:
        ...

Redis keeps one hash per scope and limit group, with the time of the next slot, the end of the pause, and the processes
that lease slots. One script reads and writes the hash, using the Redis server's clock. `_ratelimit/lease.py` explains
how the client uses the replies.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wavix_async._aio import LoopEnd, close_socket, run_in_loop
from wavix_async._ratelimit import ALIVE, PATIENCE, PROBE, LeaseGrant, LeaseRequest, SharedLimit
from wavix_async.config import Secret, check_count, check_rate
from wavix_async.errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["RedisRateLimit"]

PREFIX = "wavix-async:rate"
ACTIVE = 1.0  # seconds after its last slot during which a process counts as active
SETTLE = PROBE + 2 * PATIENCE  # seconds within which all processes notice that Redis is back
KEPT = 60.0  # seconds that Redis keeps the key after its last use, its last slot and its pause
SECOND = 1_000_000  # microseconds, the unit of the script

# All times are microseconds, which a Lua number can hold exactly. The clock can jump back: someone changes it, or a
# failover switches to another server. Then the script shifts all times, so that no process waits for the clock to
# catch up.
SCRIPT = """
local key, me = KEYS[1], 'p:' .. ARGV[1]
local want, gap, ahead, pause = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local back, alive_for, active_for = ARGV[6] == '1', tonumber(ARGV[7]), tonumber(ARGV[8])
local settle_for, kept = tonumber(ARGV[9]), tonumber(ARGV[10])
local function text(number) return string.format('%.0f', number) end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at, others = {due = 0, pause = 0, seen = 0, granted = 0, settled = 0}, {}
local stored = redis.call('HGETALL', key)
for i = 1, #stored, 2 do
  local name, value = stored[i], tonumber(stored[i + 1])
  if string.sub(name, 1, 2) ~= 'p:' then at[name] = value
  elseif name ~= me then others[name] = value end
end
local set_back = at.seen - now
if set_back > 0 then
  for name, value in pairs(at) do at[name] = value - set_back end
  for name, value in pairs(others) do
    others[name] = value - set_back
    redis.call('HSET', key, name, text(others[name]))
  end
end

local alive, active = 1, 1
for name, value in pairs(others) do
  if value < now - alive_for then redis.call('HDEL', key, name)
  else
    alive = alive + 1
    if value > now - active_for then active = active + 1 end
  end
end

if pause > 0 then at.pause = math.max(at.pause, now + pause) end
-- Nobody has leased for a while: all come back, and this is the first.
if back and now - math.max(at.granted, at.settled) > settle_for then at.settled = now + settle_for end
local settle = math.max(math.ceil(at.settled - now), 0)
local first, mine = 0, now
if settle > 0 then want = 0
else
  at.granted = now
  if want > 0 then
    first = math.max(at.due, at.pause, now + ahead)
    at.due = first + want * gap
    mine = at.due
  end
end
at.seen = now
for name, value in pairs(at) do redis.call('HSET', key, name, text(value)) end
redis.call('HSET', key, me, text(mine))
redis.call('PEXPIRE', key, text((math.max(at.due, at.pause, now) - now + kept) / 1000))
return {now, first, want, math.max(at.pause - now, 0), alive, active, settle}
"""
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class RedisRateLimit:
    """One rate and one pause for all processes with the same scope: `WavixClient(rate=RedisRateLimit(...))`.

    A call never fails because Redis is unreachable or slower than 0.4 s. Each process then continues with its part of
    the rate, logs that once (logger `wavix_async`), and shares the limit again when Redis is back. This class needs the
    extra `redis` and a Redis server of version 5 or newer.

    Args:
        redis: A URL (`redis://`, `rediss://`, `unix://`), with which each client opens and closes its own connections,
            in each event loop; or a `redis.asyncio.Redis`, which the client does not close. That one is used in the
            loop that used it first; other loops ask through it.
        rate: Requests per second that the account allows, for all processes together.
        scope: The name of the shared limit, part of the key in Redis. None: a hash of the API key and the API's
            address. Give a name if processes use different keys of one account.
        processes: The number of processes to assume until Redis has answered once. Default 1.

    Raises:
        ConfigurationError: A value is wrong, or redis is not installed.
    """

    def __init__(self, redis: str | Redis, *, rate: float, scope: str | None = None, processes: int = 1) -> None:
        # Rebind the name, so that no traceback frame has the password as a plain string.
        redis = Secret(redis) if isinstance(redis, str) else redis
        checked = check_rate(rate)
        if checked is None:
            raise ConfigurationError("RedisRateLimit needs a rate: the requests per second of all processes together.")
        if scope is not None and (not isinstance(scope, str) or not scope):
            raise ConfigurationError(f"scope must be a name like 'production', or None; got {scope!r}.")
        self.rate: float = checked
        self.scope = scope
        self.processes: int = check_count("processes", processes)
        if isinstance(redis, str):
            _connect(redis)
        elif not callable(getattr(redis, "evalsha", None)):
            raise ConfigurationError(f"redis must be a URL or a redis.asyncio.Redis, got {type(redis).__name__}.")
        self._redis = redis

    def open_limit(self, account: str) -> SharedLimit:
        """Return the limit for one client; `WavixClient` calls this and closes the limit.

        Args:
            account: The scope to use if this object has none.

        Returns:
            The limit, not connected yet.
        """
        return _RedisLimit(self._redis, f"{PREFIX}:{self.scope or account}", self.rate, self.processes)

    def __repr__(self) -> str:
        if not hasattr(self, "_redis"):
            return f"<{type(self).__name__}>"
        return f"RedisRateLimit({_shown(self._redis)!r}, rate={self.rate:g}, scope={self.scope!r})"


class _RedisLimit:
    """The limit of one client.

    With a URL, each event loop has its own connections, which end with it. A `redis.asyncio.Redis` belongs to the loop
    that used it first: while that loop runs, the others ask through it.
    """

    def __init__(self, redis: str | Redis, prefix: str, rate: float, processes: int) -> None:
        self.rate = rate
        self.processes = processes
        self._url = redis if isinstance(redis, str) else None
        self._given = None if isinstance(redis, str) else redis
        self._owner: asyncio.AbstractEventLoop | None = None
        self._prefix = prefix
        self._connections: dict[asyncio.AbstractEventLoop, tuple[Redis, LoopEnd]] = {}
        self._pid = -1
        self._id = ""

    async def lease(self, group: str, request: LeaseRequest) -> LeaseGrant:
        """Lease slots, in one round trip."""
        self._check_process()
        times = (SECOND / self.rate, request.ahead * SECOND, request.pause * SECOND)
        settings = (ALIVE * SECOND, ACTIVE * SECOND, SETTLE * SECOND, KEPT * SECOND)
        values = (self._id, request.slots, *times, int(request.back), *settings)
        now, first, slots, pause, processes, active, settle = await self._run(f"{self._prefix}:{group}", values)
        return LeaseGrant(
            now=now / SECOND,
            first=first / SECOND,
            slots=slots,
            pause=pause / SECOND,
            processes=processes,
            active=active,
            local_for=settle / SECOND,
        )

    async def close(self) -> None:
        """Close the connections, if this limit opened them."""
        here = asyncio.get_running_loop()
        ours = self._pid == os.getpid()
        for loop, (redis, end) in list(self._connections.items()):
            if loop is here:
                await redis.aclose()
            elif not (ours and loop.is_running() and await run_in_loop(loop, redis.aclose, PATIENCE)):
                _abandon(redis)
            self._connections.pop(loop, None)
            end.cancel()

    async def _run(self, key: str, values: tuple[Any, ...]) -> list[int]:
        loop = asyncio.get_running_loop()
        if self._given is None:
            connection = self._connections.get(loop)
            return await _run(self._enter(loop) if connection is None else connection[0], key, values)
        owner = self._owner
        if owner is None or owner is loop or not owner.is_running():
            self._owner = loop
            return await _run(self._given, key, values)
        asked = _run(self._given, key, values)
        try:
            answer = asyncio.run_coroutine_threadsafe(asked, owner)
        except RuntimeError:
            asked.close()
            raise
        return await asyncio.wrap_future(answer)

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            # A forked process counts as its own process, and leaves the loops of its parent alone.
            self._pid, self._id = os.getpid(), secrets.token_hex(6)
            self._owner = None
            here = asyncio.get_running_loop()
            self._drop([loop for loop in self._connections if loop is not here])

    def _enter(self, loop: asyncio.AbstractEventLoop) -> Redis:
        """Return a connection for the running loop, and drop those of loops that ended without a word."""
        assert self._url is not None
        self._drop([other for other in list(self._connections) if other.is_closed()])
        redis = _connect(self._url)
        self._connections[loop] = redis, LoopEnd(self._leave)
        return redis

    async def _leave(self) -> None:
        """Close the connections of the running loop, which ends."""
        connection = self._connections.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection[0].aclose()

    def _drop(self, loops: list[asyncio.AbstractEventLoop]) -> None:
        for loop in loops:
            connection = self._connections.pop(loop, None)
            if connection is not None:
                _abandon(connection[0])
                connection[1].cancel()


def _connect(url: str) -> Redis:
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
            "RedisRateLimit needs redis, which is not installed: pip install 'wavix-async[redis]'"
        ) from None
    with contextlib.suppress(ValueError, TypeError):
        # redis-py must not retry: the process would wait for the retries instead of continuing without Redis.
        return library.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    # The original error may quote the password, so it must not be this error's context either.
    raise ConfigurationError(
        "redis must be a URL like redis://[[user]:password@]host[:port][/db], rediss://... or unix://...; "
        "percent-encode special characters of the password."
    )


async def _run(redis: Redis, key: str, values: tuple[Any, ...]) -> list[int]:
    """Run the script by its hash, and send its text only if the server does not know the hash."""
    from redis.exceptions import NoScriptError

    command: Any = redis
    try:
        reply = await command.evalsha(SHA, 1, key, *values)
    except NoScriptError:
        reply = await command.eval(SCRIPT, 1, key, *values)
    return [int(value) for value in reply]


def _abandon(redis: Redis) -> None:
    """Close the sockets of connections directly, because the event loop that could close them cleanly has ended."""
    pool: Any = redis.connection_pool
    for name in ("_available_connections", "_in_use_connections"):
        for connection in tuple(getattr(pool, name, ())):
            writer = getattr(connection, "_writer", None)
            connection._writer = connection._reader = None
            close_socket(getattr(writer, "transport", None))


def _shown(redis: str | Redis) -> str:
    """Return the address of Redis without user, password and options, because options may contain a password."""
    if not isinstance(redis, str):
        return type(redis).__name__
    parts = urlsplit(str(redis))
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ":"
    if port == ":" or "@" in parts.path:
        # A password with a slash that is not escaped: its parts are in the wrong places.
        return f"{parts.scheme}://<hidden>"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"
