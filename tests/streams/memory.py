"""Measure the peak of memory of downloads or exports, in a process of its own: `memory.py download save 1000000000 20`.

This reads 20 files one after the other, of 1,000,000,000 bytes (or rows) together. The server runs in another process.
Of every 20 connections it resets one instead of an answer, and cuts the answer on another one in its middle. Prints the
bytes or rows of whole files, the peak beyond the base in bytes, and how many loops ended with an error.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import resource
import socket
import struct
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavix_async import DisconnectedError, Download, Operation, RetryPolicy, WavixClient

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PIECE = bytes(range(256)) * 256
ROW = (
    b'{"message_id":"3f0d7d3e-%07d","from":"Acme","to":"+15125550100","message_body":{"text":"Hello, world"},'
    b'"status":"delivered","charge":"0.0475","submitted_at":"2026-03-01T09:30:00.000Z","segments":1}\n'
)


async def serve(kind: str, count: int, port_to: Connection) -> None:
    numbers = itertools.count()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        fault = next(numbers) % 20
        if fault == 0:
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        until = count // 2 if fault == 1 else count
        if kind == "download":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nContent-Length: %d\r\n\r\n" % count)
            for start in range(0, until, len(PIECE)):
                writer.write(PIECE[: until - start])
                await writer.drain()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
            for start in range(0, until, 500):
                piece = b"".join(ROW % at for at in range(start, min(start + 500, until)))
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n" if until == count else b"")
            await writer.drain()
        # Each call opens a connection, so that faults are counted in calls.
        writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    port_to.send(listener.sockets[0].getsockname()[1])
    await listener.serve_forever()


def run_server(kind: str, count: int, port_to: Connection) -> None:
    asyncio.run(serve(kind, count, port_to))


async def read(wavix: WavixClient, kind: str, way: str, folder: Path) -> int:
    if kind == "download":
        file = wavix.download(Operation("GET", "/v1/recordings/1", Download))
        if way == "save":
            return (await file.save(folder / "a")).size
        async with file:
            return sum([len(chunk) async for chunk in file])
    export = wavix.messages.export(type="outbound")
    if way == "save":
        return (await export.save(folder / "a.csv")).rows or 0
    async for _ in export:
        pass
    assert export.complete
    return export.rows


async def read_all(kind: str, way: str, url: str, files: int, folder: Path) -> tuple[int, int]:
    """Return what came in whole files, and how many loops had to be begun again."""
    came = broken = 0
    async with WavixClient("key", base_url=url, retry=RetryPolicy(backoff=0.001)) as wavix:
        while files:
            try:
                came += await read(wavix, kind, way, folder)
            except DisconnectedError:
                broken += 1
            else:
                files -= 1
    return came, broken


def main(kind: str, way: str, count: int, files: int) -> None:
    here, there = multiprocessing.Pipe()
    server: Any = multiprocessing.get_context("spawn").Process(
        target=run_server, args=(kind, count // files, there), daemon=True
    )
    server.start()
    try:
        url = f"http://127.0.0.1:{here.recv()}"
        with tempfile.TemporaryDirectory() as folder:
            base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            came, broken = asyncio.run(read_all(kind, way, url, files, Path(folder)))
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) * 1024
            print(came, peak, broken)  # noqa: T201
    finally:
        server.terminate()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
