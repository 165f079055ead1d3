"""Measure the peak of memory of a download or an export, in a process of its own: `memory.py download 1000000000`.

The server runs in another process. Prints the bytes or rows that came, and the peak beyond the base in bytes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavix_async import Download, Operation, WavixClient

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PIECE = bytes(range(256)) * 256
ROW = (
    b'{"message_id":"3f0d7d3e-%07d","from":"Acme","to":"+15125550100","message_body":{"text":"Hello, world"},'
    b'"status":"delivered","charge":"0.0475","submitted_at":"2026-03-01T09:30:00.000Z","segments":1}\n'
)


async def serve(kind: str, count: int, port_to: Connection) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if kind == "download":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: %d\r\n\r\n" % count)
            for start in range(0, count, len(PIECE)):
                writer.write(PIECE[: count - start])
                await writer.drain()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, count, 500):
                piece = b"".join(ROW % at for at in range(start, min(start + 500, count)))
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    port_to.send(listener.sockets[0].getsockname()[1])
    await listener.serve_forever()


def run_server(kind: str, count: int, port_to: Connection) -> None:
    asyncio.run(serve(kind, count, port_to))


async def read(kind: str, way: str, url: str, folder: Path) -> int:
    async with WavixClient("key", base_url=url) as wavix:
        if kind == "download":
            file = wavix.download(Operation("GET", "/v1/recordings/1", Download))
            if way == "save":
                return (await file.save(folder / "a")).size
            async with file:
                return sum([len(chunk) async for chunk in file])
        export = wavix.messages.export(type="outbound")
        if way == "save":
            return (await export.save(folder / "a.csv")).rows or 0
        count = 0
        async for _ in export:
            count += 1
        return count


def main(kind: str, way: str, count: int) -> None:
    here, there = multiprocessing.Pipe()
    server: Any = multiprocessing.get_context("spawn").Process(
        target=run_server, args=(kind, count, there), daemon=True
    )
    server.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}"
        with tempfile.TemporaryDirectory() as folder:
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            came = asyncio.run(read(kind, way, url, Path(folder)))
            print(came, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * 1024)  # noqa: T201
    finally:
        server.terminate()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
