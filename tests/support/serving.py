"""Act as a server does for an application: run its lifespan, and give each request a copy of the state."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class StartFailedError(Exception):
    """The app reported in its lifespan that its startup failed."""


class Served:
    """An application whose lifespan runs, in a task of its own as in a server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.state: dict[str, Any] = {}
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self._with_state), base_url="http://service.test")
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self.task: asyncio.Task[None]

    async def start(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        self.task = asyncio.ensure_future(self.app(scope, self._inbox.get, self._outbox.put))
        await self._ask("startup")

    async def stop(self) -> None:
        await self.http.aclose()
        await self._ask("shutdown")
        await self.task

    async def _ask(self, what: str) -> None:
        await self._inbox.put({"type": f"lifespan.{what}"})
        answer = await self._outbox.get()
        if answer["type"] != f"lifespan.{what}.complete":
            await asyncio.wait([self.task])
            self.task.exception()
            raise StartFailedError(answer["message"])

    async def _with_state(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "state": dict(self.state)}, receive, send)

    async def websocket(self, path: str, *texts: str, extensions: dict[str, Any] | None = None) -> list[Message]:
        """Open a websocket, send some texts, leave; return what the application sent."""
        inbox: list[Message] = [
            {"type": "websocket.connect"},
            *({"type": "websocket.receive", "text": text} for text in texts),
            {"type": "websocket.disconnect", "code": 1001},
        ]
        outbox: list[Message] = []

        async def receive() -> Message:
            return inbox.pop(0)

        async def send(message: Message) -> None:
            outbox.append(message)

        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            "subprotocols": [],
            "extensions": extensions or {},
        }
        await self._with_state(scope, receive, send)
        return outbox


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[Served]:
    """Run an application without a socket."""
    served = Served(app)
    await served.start()
    try:
        yield served
    finally:
        await served.stop()


@asynccontextmanager
async def serve_on_socket(app: ASGIApp, **settings: Any) -> AsyncIterator[str]:
    """Run an application on a loopback port, whose URL it gives; leaving ends the server, and waits for that."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on", **settings))
    task = asyncio.ensure_future(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
