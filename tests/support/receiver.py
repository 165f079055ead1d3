"""A server on a loopback port that receives events, answers as the test orders, and keeps what came."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Receiver:
    """What came, in the order of arrival, and what to answer: `statuses` first, then always 200."""

    def __init__(self) -> None:
        self.url = ""
        self.came: list[Any] = []
        self.statuses: list[int] = []
        self.gate = asyncio.Event()
        """Answers wait for it."""
        self.gate.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.came.append(await request.json())
        await self.gate.wait()
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200, headers={"Location": "/elsewhere"})

    @property
    def order(self) -> list[int]:
        """The field `n` of each event."""
        return [event["n"] for event in self.came]


@asynccontextmanager
async def receiver(handle: Handler | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver; with a handler, only its URL is of use."""
    receiver = Receiver()
    runner = web.ServerRunner(web.Server(handle or receiver.handle, access_log=None), shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
