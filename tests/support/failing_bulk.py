"""A bulk run of which every item fails, in a process of its own, against a server of its own: how much memory it takes.

python -m tests.support.failing_bulk run <items> <bytes of each error body>
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from tests.support.processes import start

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_MODULE = "tests.support.failing_bulk"


def measure(items: int, size: int) -> dict[str, Any]:
    """Return the peak memory of a new process in which `items` updates are all answered with 404."""
    process = start(_MODULE, "run", str(items), str(size))
    out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"ended with code {process.returncode}")
    measured: dict[str, Any] = json.loads(out)
    return measured


def error_body(size: int) -> bytes:
    """Return the body of an error, of at least this many bytes."""
    body = {"error": True, "message": "Number not found", "trace": ""}
    body["trace"] = "x" * max(0, size - len(json.dumps(body)))
    return json.dumps(body).encode()


class _Refusing(asyncio.Protocol):
    answer = b""

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
            self.transport.write(self.answer)
            buffer = buffer[ends:]
        self.buffer = buffer


async def _serve(size: int) -> None:
    body = error_body(size)
    _Refusing.answer = (
        b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    server = await asyncio.get_running_loop().create_server(_Refusing, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)

    def end_with_stdin() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end_with_stdin, daemon=True).start()
    await asyncio.Event().wait()


@contextlib.contextmanager
def _serving(size: int) -> Iterator[str]:
    process = start(_MODULE, "serve", str(size))
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _memory_mb(name: str) -> float:
    """Return the memory of this process: now (`VmRSS`) or at its peak (`VmHWM`)."""
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:")) / 1024


async def _run(url: str, items: int) -> dict[str, Any]:
    from wavix_async import NumberUpdate, WavixClient

    async def updates() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, items + 1):
            yield number, NumberUpdate(sms_enabled=True)

    async with WavixClient("key", base_url=url) as wavix:
        gc.collect()
        idle, clock = _memory_mb("VmRSS"), time.perf_counter()
        report = await wavix.numbers.bulk_update(updates(), concurrency=64)
        seconds = time.perf_counter() - clock
    peak = _memory_mb("VmHWM")
    return {
        "items": items,
        "failed": report.failed,
        "kept": len(report.failures),
        "by_kind": [[*kind, count] for kind, count in report.failures_by_kind.items()],
        "idle_mb": idle,
        "peak_mb": peak,
        "above_idle_mb": peak - idle,
        "seconds": seconds,
        "per_second": items / seconds,
    }


def main() -> None:
    what, *numbers = sys.argv[1:]
    if what == "serve":
        asyncio.run(_serve(int(numbers[0])))
    else:
        items, size = map(int, numbers)
        with _serving(size) as url:
            print(json.dumps(asyncio.run(_run(url, items))))


if __name__ == "__main__":
    main()
