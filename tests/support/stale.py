"""Make a stale connection on purpose: at the moment of the write it is closing, but not closed.

A server's FIN does the same to the next request when it arrives a moment too late; by chance that takes hundreds of
tries. A trace hook closes the connection at the right moment of aiohttp's work.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable


def close_on_reuse(session: aiohttp.ClientSession, *, with_body: bool, times: int = 1) -> Callable[[], int]:
    """Make the next `times` reused connections stale; return a function that tells how many were."""
    # Python 3.11 has no eager tasks: there a body is written one turn of the loop later than a bare head.
    one_turn_later = with_body and sys.version_info < (3, 12)
    fired = 0

    async def close(session: aiohttp.ClientSession, *_: object) -> None:
        nonlocal fired
        if fired >= times:
            return
        fired += 1
        assert session.connector is not None
        for protocol in session.connector._acquired:
            assert protocol.transport is not None
            if one_turn_later:
                asyncio.get_running_loop().call_soon(protocol.transport.close)
            else:
                protocol.transport.close()

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(close)
    trace.freeze()
    session.trace_configs.append(trace)
    return lambda: fired
