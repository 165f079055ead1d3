"""The server for the clients: it does as little work per request as Python allows, in its own process.

It has one response, prepared before the first request; only the id depends on the path. If the server were slower than
the clients, the benchmark would measure the server. So the table also shows the speed of bare sockets, and the server's
CPU time per request.

Under `/account/<n>` there is an account of n numbers, which never change: a list always returns the old settings, and
the response to a change always returns the new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.payload import CHANGE, number
from benchmarks.process import start

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEFORE_ID, _AFTER_ID = json.dumps(number(7_777_777), separators=(",", ":")).encode().split(b"7777777")
# Keyed by the length of the id, so that a request needs only a lookup.
_HEADS = {
    length: b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
    % (len(_BEFORE_ID) + length + len(_AFTER_ID), _BEFORE_ID)
    for length in range(1, 20)
}

FIRST_ID = 1_000_000
_NOT_YET = json.dumps(number(7_777_777) | {"sms_enabled": not CHANGE["sms_enabled"]}, separators=(",", ":")).encode()
_LISTED = _NOT_YET.replace(b"7777777", b"%d")


def _page(target: bytes) -> bytes:
    """Answer `GET /account/<n>/v1/numbers?page=...&per_page=...`."""
    path, _, query = target.partition(b"?")
    asked = dict(pair.split(b"=") for pair in query.split(b"&"))
    count, page, size = int(path.split(b"/")[2]), int(asked[b"page"]), int(asked[b"per_page"])
    ids = range(FIRST_ID + (page - 1) * size, FIRST_ID + min(page * size, count))
    body = b'{"items":[%b],"pagination":{"current_page":%d,"per_page":%d,"total":%d,"total_pages":%d}}' % (
        b",".join(_LISTED % number for number in ids),
        *(page, size, count, -(-count // size)),
    )
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Answering(asyncio.Protocol):
    latency = 0.0

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        while (head_ends := buffer.find(b"\r\n\r\n")) >= 0:
            ends = head_ends + 4
            length_at = buffer.lower().find(b"content-length:", 0, head_ends)
            if length_at >= 0:
                ends += int(buffer[length_at + 15 : buffer.find(b"\r\n", length_at)])
            if len(buffer) < ends:
                break
            target = buffer[: buffer.find(b" ", 8)]
            if target.endswith(b"/cpu"):
                self.send_cpu_time()
            else:
                asked = target[target.rfind(b"/") + 1 :]
                head = _HEADS.get(len(asked))
                # A query is longer than any id.
                answer = _page(target[4:]) if head is None else head + asked + _AFTER_ID
                if self.latency:
                    asyncio.get_running_loop().call_later(self.latency, self.transport.write, answer)
                else:
                    self.transport.write(answer)
            buffer = buffer[ends:]
        self.buffer = buffer

    def send_cpu_time(self) -> None:
        seconds = b"%.6f" % time.process_time()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(seconds), seconds))


@contextlib.contextmanager
def running(latency: float = 0.0) -> Iterator[str]:
    """Run the server in another process during the block, and yield its URL; responses take `latency` seconds."""
    process = start("server", str(latency))
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


async def _main(latency: float) -> None:
    loop = asyncio.get_running_loop()
    Answering.latency = latency
    listening = await loop.create_server(Answering, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)

    def end_with_stdin() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_stdin, daemon=True).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main(float(sys.argv[1]) if sys.argv[1:] else 0.0))
