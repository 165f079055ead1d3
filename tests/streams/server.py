"""A server of files and exports on a loopback port: a test says byte by byte what each request gets."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Script = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


class Asked:
    """One request."""

    def __init__(self, head: str, body: bytes) -> None:
        first, *lines = head.split("\r\n")
        self.method, self.target, _ = first.split(" ")
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        self.body = body


class FileServer:
    """Answers each request by the next script; the last one serves all that follow."""

    def __init__(self, *scripts: Script, sees_key: bool = True) -> None:
        self.scripts = list(scripts)
        self.asked: list[Asked] = []
        self.connections = 0
        self.url = ""
        self._sees_key = sees_key
        self.leaked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                asked = Asked(head, b"")
                asked.body = await reader.readexactly(int(asked.headers.get("content-length", 0)))
                self.asked.append(asked)
                if not self._sees_key and "authorization" in asked.headers:
                    self.leaked.append(asked.headers["authorization"])
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await script(asked, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(*scripts: Script, sees_key: bool = True) -> AsyncIterator[FileServer]:
    """Run a server; one with `sees_key=False` fails the test if a request to it has an Authorization header."""
    server = FileServer(*scripts, sees_key=sees_key)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
    assert not server.leaked, "the host of the file got the key"


# --- scripts ---


def answer(
    body: bytes = b"", *, status: int = 200, length: int | None = -1, kind: str | None = "audio/mpeg", **headers: str
) -> Script:
    """Answer with a body; `length` None tells none and closes, a length beyond the body cuts it off."""
    told = len(body) if length == -1 else length
    lines = [f"HTTP/1.1 {status} Some"]
    lines += [] if kind is None else [f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [] if told is None else [f"Content-Length: {told}"]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)
        if told != len(body):
            await writer.drain()
            writer.close()

    return script


def chunked(*pieces: bytes, ends: bool = True, kind: str = "application/x-ndjson", **headers: str) -> Script:
    """Answer in chunks; without its end, the body is cut off."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{extra}Transfer-Encoding: chunked\r\n\r\n".encode())
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        if ends:
            writer.write(b"0\r\n\r\n")
        else:
            writer.close()

    return script


async def reset(_: Asked, writer: asyncio.StreamWriter) -> None:
    """Reset the connection instead of an answer."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(_: Asked, __: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.sleep(60)
