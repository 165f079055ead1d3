"""The server for the clients: it does as little work per request as Python allows, in its own process.

A response is about the ids asked for and shows the values sent. The server prepares it when it first sees a body, so
that the next request with the same body costs a lookup and a concatenation. If the server were slower than the clients,
the benchmark would measure the server. So the table also shows the speed of bare sockets, and the server's CPU time per
request.

Under `/account/<n>` there is an account of n numbers, which never change: a list always returns the old settings, and
the response to a change always returns the new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from benchmarks.payload import CHANGE, number
from benchmarks.process import start

if TYPE_CHECKING:
    from collections.abc import Iterator

_ID = 7_777_777
"""Stands for the id in a prepared response; no other field has this text."""
_ID_TEXT = b"%d" % _ID
_KNOWN_BODIES = 64
_LONGEST_ID = 19


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _head(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % size


def _whole(body: bytes) -> bytes:
    return _head(len(body)) + body


class _Prepared:
    """The response to one body: the bytes before the id, by the length of the id, and the bytes after it."""

    def __init__(self, body: bytes) -> None:
        before, self.after = _json(_changed(json.loads(body) if body else {})).split(_ID_TEXT)
        size = len(before) + len(self.after)
        self.heads = {length: _head(size + length) + before for length in range(1, _LONGEST_ID + 1)}


def _changed(body: dict[str, Any]) -> dict[str, Any]:
    """Return a number with the values of a body, as the API shows them."""
    shown = {name: value for name, value in body.items() if name not in ("ids", "destinations")}
    if "destinations" in body:
        shown["destination"] = [{"id": place, **each} for place, each in enumerate(body["destinations"], 1)]
    return number(_ID) | shown


_prepared: dict[bytes, _Prepared] = {}
_new_ids = itertools.count(1)


def _prepare(body: bytes) -> _Prepared:
    prepared = _Prepared(body)
    if len(_prepared) < _KNOWN_BODIES:
        _prepared[body] = prepared
    return prepared


def _other(method: bytes, target: bytes, body: bytes) -> bytes:
    """Answer everything but a request for one number: a list, a batch, a release, a POST."""
    if method == b"DELETE":
        return _whole(b'{"success":true}')
    if method == b"GET":
        return _page(target)
    sent = json.loads(body)
    if method == b"POST" or "ids" not in sent:
        return _whole(_json({**sent, "success": True, "id": next(_new_ids)}))
    one = _json(_changed(sent))
    return _whole(b'{"items":[%b]}' % b",".join(one.replace(_ID_TEXT, b"%d" % each) for each in sent["ids"]))


FIRST_ID = 1_000_000
_LISTED = _json(number(_ID) | {"sms_enabled": not CHANGE["sms_enabled"]}).replace(_ID_TEXT, b"%d")


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
    return _whole(body)


_D = ord("D")
"""The first letter of DELETE, which no other method has."""


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
            method_ends = buffer.find(b" ")
            target = buffer[method_ends + 1 : buffer.find(b" ", method_ends + 1)]
            if target.endswith(b"/cpu"):
                self.send_cpu_time()
            else:
                asked = target[target.rfind(b"/") + 1 :]
                body = buffer[head_ends + 4 : ends]
                if asked.isdigit() and buffer[0] != _D:
                    prepared = _prepared.get(body) or _prepare(body)
                    answer = prepared.heads[len(asked)] + asked + prepared.after
                else:
                    answer = _other(buffer[:method_ends], target, body)
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
