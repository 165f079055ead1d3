"""How the API answers with a file: itself, or by a redirect to another host, which must not get the key."""

import asyncio
import hashlib
from typing import Literal
from urllib.parse import quote

from aiohttp import web

from wavix_async.sandbox._server.response import Reply

FileMode = Literal["redirect", "location200", "bytes"]
MODES = ("redirect", "location200", "bytes")

_HOST = "127.0.0.1"
_DENIED = b"<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed</Message></Error>"


class FileHost:
    """Answers with files, and serves them on a port of its own, which it opens for the first redirect.

    A link is valid for as long as the sandbox runs. The host refuses a request with an `Authorization` header, as
    hosts of presigned links do.

    Args:
        mode: `redirect` for a 302, `location200` for a 200 with `Location` and no body, `bytes` for the file itself.
    """

    def __init__(self, mode: FileMode = "redirect") -> None:
        self._mode = mode
        self._files: dict[str, tuple[str, str, bytes]] = {}
        self._running: asyncio.Future[web.ServerRunner] | None = None
        self.refused = 0
        """Requests with a key, which a client must not send here."""

    async def reply(self, name: str, media: str, content: bytes) -> Reply:
        """Return the API's answer for a file."""
        if self._mode == "bytes":
            return Reply(200, content, media, _disposition(name))
        if self._running is None:
            self._running = asyncio.ensure_future(self._start())
        # Shielded: other requests wait for the same start.
        runner = await asyncio.shield(self._running)
        token = hashlib.sha256(name.encode() + content).hexdigest()[:32]
        self._files[token] = name, media, content
        location = f"Location: http://{_HOST}:{runner.addresses[0][1]}/{token}?X-Amz-Signature={token[::-1]}\r\n"
        return Reply(302 if self._mode == "redirect" else 200, b"", "text/plain", location)

    async def _start(self) -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(self._serve, access_log=None), handle_signals=False, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, _HOST, 0).start()
        return runner

    async def stop(self) -> None:
        """Stop serving."""
        running, self._running = self._running, None
        if running is not None:
            await (await running).cleanup()

    def clear(self) -> None:
        """Forget all files."""
        self._files.clear()
        self.refused = 0

    async def _serve(self, request: web.BaseRequest) -> Reply:
        if "Authorization" in request.headers:
            self.refused += 1
            return Reply(400, _DENIED, "application/xml")
        found = self._files.get(request.path[1:])
        if found is None or request.query.get("X-Amz-Signature") != request.path[:0:-1]:
            return Reply(403, _DENIED, "application/xml")
        name, media, content = found
        return Reply(200, content, media, _disposition(name))


def _disposition(name: str) -> str:
    return f"Content-Disposition: attachment; filename*=UTF-8''{quote(name, safe='')}\r\n"
