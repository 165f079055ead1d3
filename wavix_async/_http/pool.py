"""Which pooled connections may carry the next request.

aiohttp takes any open connection from its pool. An open connection may still be useless:

- *Bytes came while it was idle*: a second answer, or the 408 of a proxy that is about to close. aiohttp's parser goes
  on reading, and the next request would get those bytes as its answer.
- *It is dead*: the machine slept, the VPN changed, or another server took over. It accepts bytes, and no answer comes.

`guard` makes a connector check each idle connection before it is used again. `close_idle` closes the connections that
were idle while a request failed. Both use private attributes of aiohttp; a canary test checks each. If an attribute is
missing, both change nothing, and aiohttp decides as it always did.
"""

import asyncio
import contextlib
import functools
import select
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

__all__ = ["close_idle", "guard"]

_NEEDED: Final = ("_buffer", "_parser", "_payload", "_should_close", "_tail", "_upgraded")

_READ_AT_ONCE: Final = 64 * 1024
"""Bytes. asyncio reads into 256 kB, which the system maps and unmaps for each answer: a tenth of a whole request."""


class GuardedConnection(ResponseHandler):
    """A connection that notices whether bytes came while it was idle.

    Without a parser, aiohttp keeps bytes in `_tail` and reads no answer from them. aiohttp makes a parser for each
    request, so an idle connection can do without one.
    """

    _idle_since = 0.0
    _unread: Callable[[int], object] | None = None

    def __init__(self, loop: asyncio.AbstractEventLoop, keep_alive: float) -> None:
        super().__init__(loop)
        self._keep_alive = keep_alive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._unread = _reader_of_unread(transport)
        if getattr(transport, "max_size", 0) > _READ_AT_ONCE:
            transport.max_size = _READ_AT_ONCE  # type: ignore[attr-defined]

    @property
    def should_close(self) -> bool:
        """Whether the connection must not go back into the pool; aiohttp asks when an answer is complete."""
        if _should_close(self):
            return True
        self._parser = None
        self._idle_since = time.time()
        return False

    def is_connected(self) -> bool:
        """Whether the connection is open and, if it is idle, may be used again."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if self._parser is not None or not self._idle_since:
            return True
        # Bytes behind the answer, in the same segment, were still read by the parser: they are in `_buffer`.
        if self._tail or self._buffer or self._should_close:
            return False
        # The clock of the pool stops while the machine sleeps; this one does not.
        if time.time() - self._idle_since > self._keep_alive:
            return False
        # Bytes that the event loop has not read yet, or the end of the connection.
        return self._unread is None or not self._unread(0)

    def _drain_tail(self) -> None:
        """Close the connection if bytes came before the request: aiohttp would read them as the answer to it."""
        if self._tail and not self._upgraded and self._payload_parser is None and self.transport is not None:
            self._tail = b""
            # aiohttp refuses to write to a closing transport, so the request does not leave.
            self.transport.close()
        super()._drain_tail()


_should_close: Final[Callable[[ResponseHandler], bool]] = ResponseHandler.should_close.fget  # type: ignore[attr-defined]


def _reader_of_unread(transport: asyncio.BaseTransport) -> Callable[[int], object] | None:
    """Return a function that says whether a socket has something to read; None where the system has no `poll`."""
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
    except (AttributeError, OSError, ValueError):
        return None
    return poll.poll


def guard(connector: object) -> bool:
    """Make a connector check idle connections before it uses them again.

    Args:
        connector: The connector of a session. Connections that it has open already are not checked.

    Returns:
        Whether the connector checks them; False if it is not as this module knows it.
    """
    factory = getattr(connector, "_factory", None)
    if not isinstance(connector, aiohttp.BaseConnector) or not isinstance(factory, functools.partial):
        return False
    if factory.func is GuardedConnection:
        return True
    loop = factory.keywords.get("loop")
    if factory.func is not ResponseHandler or loop is None or not _is_known(loop):
        return False
    keep_alive = getattr(connector, "_keepalive_timeout", None)
    connector._factory = functools.partial(  # type: ignore[assignment]
        GuardedConnection, loop=loop, keep_alive=inf if keep_alive is None else keep_alive
    )
    return True


def _is_known(loop: asyncio.AbstractEventLoop) -> bool:
    handler = ResponseHandler(loop)
    return all(hasattr(handler, name) for name in _NEEDED)


def close_idle(connector: object, seconds: float = 0.0, host: str | None = None, most: float = inf) -> int:
    """Close connections of a pool that have been idle for at least so long.

    Args:
        connector: The connector of a session.
        seconds: How long a connection has been idle.
        host: Only connections to this host; None: to any.
        most: Close at most this many.

    Returns:
        How many were closed.
    """
    closed = 0
    before = time.monotonic() - seconds
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        for connections in _pools(connector, host):
            for entry in list(connections):
                protocol, since = entry
                if since <= before and closed < most:
                    connections.remove(entry)
                    # `close` would say goodbye first, over TLS, and wait for an answer.
                    protocol.abort()
                    closed += 1
    return closed


def _pools(connector: object, host: str | None) -> list[deque[tuple[Any, float]]]:
    pools = getattr(connector, "_conns", None)
    if not isinstance(pools, dict):
        return []
    return [connections for key, connections in pools.items() if host is None or getattr(key, "host", None) == host]
