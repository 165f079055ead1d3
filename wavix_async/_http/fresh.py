"""A new connection for one request through the session of a caller.

After a connection broke, pooled ones may be dead, too. The client's own session then has a second session without a
pool. A caller's session has settings that cannot be read back: TLS, a proxy, a resolver, a SOCKS library. So
the twin of a session is a copy of it, with a connector that keeps no connections and lets the connector of the caller
open each one.
"""

import copy
from typing import Any

import aiohttp

__all__ = ["can_have_twin", "twin_without_pool"]


class _FreshConnector(aiohttp.BaseConnector):
    """Has the connector of a caller open each connection, and closes it after its request."""

    def __init__(self, opener: aiohttp.BaseConnector, limit: int) -> None:
        super().__init__(force_close=True, limit=limit)
        self._opener = opener
        self.allowed_protocol_schema_set = opener.allowed_protocol_schema_set

    @property
    def closed(self) -> bool:
        """Whether it is closed, or the caller's connector is: then a copy that is dropped warns of nothing."""
        return self._closed or self._opener.closed

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> Any:
        return await self._opener._create_connection(req, traces, timeout)


def can_have_twin(session: object) -> bool:
    """Return whether a session is as this module knows it: aiohttp's own class, with a connector of aiohttp's kind."""
    return (
        type(session) is aiohttp.ClientSession
        and {"_connector", "_connector_owner"} <= vars(session).keys()
        and isinstance(session.connector, aiohttp.BaseConnector)
        and hasattr(session.connector, "_create_connection")
    )


def twin_without_pool(session: aiohttp.ClientSession, limit: int) -> aiohttp.ClientSession:
    """Return a copy of a caller's session that opens a new connection for each request; closing it leaves the original.

    Args:
        session: The session of a caller; it is open, and `can_have_twin`.
        limit: The most connections at once.

    Returns:
        The copy.
    """
    connector: Any = session.connector
    twin = copy.copy(session)
    vars(twin)["_connector"] = _FreshConnector(connector, limit)
    vars(twin)["_connector_owner"] = True
    return twin
