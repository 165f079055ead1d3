"""Processes that share one rate through Redis, and a server that counts their requests.

Every process has 20 callers that call without a pause, so each process alone would use up the rate. The server records
the time of every request by one clock, and answers 20 ms later. "Most in a second" looks at every second that begins
with a request, not at calendar seconds. If requests left exactly on time it would be `rate`; the rest is how late the
processes and the server were.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from tests.support.examples import number
from tests.support.processes import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.redis.server import RedisServer

LATENCY = 0.02
CALLERS = 20
BEFORE_ID, AFTER_ID = json.dumps(number(id=7_777_777)).encode().split(b"7777777")


# ------------------------------------------------------------------------------------------------- the counting server


class _Counting(asyncio.Protocol):
    """Notes when each request came. `GET /seen` gives the times, `POST /refuse/<seconds>` refuses the next request."""

    times: ClassVar[list[float]] = []
    refused: ClassVar[list[float]] = []
    to_refuse: ClassVar[int] = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        now, kind = time.monotonic(), type(self)
        self.buffer += data
        while (head_ends := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:head_ends].lower()
            ends = head_ends + 4
            if (at := head.find(b"content-length:")) >= 0:
                ends += int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self.buffer) < ends:
                return
            self.buffer = self.buffer[ends:]
            path = head.split(b" ", 2)[1]
            if path == b"/seen":
                self.answer(b"200 OK", json.dumps({"times": kind.times, "refused": kind.refused}).encode())
            elif path.startswith(b"/refuse/"):
                kind.to_refuse = int(path.rpartition(b"/")[2])
                self.answer(b"200 OK", b"{}")
            else:
                kind.times.append(now)
                if kind.to_refuse:
                    extra = b"Retry-After: %d\r\n" % kind.to_refuse
                    kind.to_refuse = 0
                    kind.refused.append(now)
                    self.answer(b"429 Too Many Requests", b'{"message": "too many"}', extra)
                else:
                    asked = BEFORE_ID + path.rpartition(b"/")[2] + AFTER_ID
                    asyncio.get_running_loop().call_later(LATENCY, self.answer, b"200 OK", asked)

    def answer(self, status: bytes, body: bytes, extra: bytes = b"") -> None:
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b"
                % (status, extra, len(body), body)
            )


async def _serve() -> None:
    listening = await asyncio.get_running_loop().create_server(_Counting, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", flush=True)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(ended.set)), daemon=True).start()
    await ended.wait()


# --------------------------------------------------------------------------------------------------------- one process


async def _work(url: str, redis: str, rate: float, seconds: float, callers: int) -> None:
    """Call without a pause; `redis` may be "-": then the rate is this process's own."""
    import logging

    from wavix_async import RetryPolicy, WavixClient, WavixError
    from wavix_async.redis import RedisRateLimit

    said: list[str] = []

    class Saying(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log = logging.getLogger("wavix_async")
    log.addHandler(Saying(logging.WARNING))
    failures: list[str] = []
    done = 0
    limit = rate if redis == "-" else RedisRateLimit(redis, rate=rate, scope="shared-rate")
    async with WavixClient("benchmark-key", base_url=url, rate=limit, retry=RetryPolicy(attempts=2)) as wavix:
        # The imports are the slow part of a start; the first process would have the rate to itself for so long.
        await wavix.with_options().numbers.get(1)
        print("ready", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        end = time.monotonic() + seconds

        async def call() -> None:
            nonlocal done
            while (left := end - time.monotonic()) > 0:
                try:
                    await wavix.with_options(deadline=left + 5).numbers.get(1)
                    done += 1
                except WavixError as error:
                    failures.append(f"{type(error).__name__}: {error}")

        spent = time.process_time()
        await asyncio.gather(*(call() for _ in range(callers)))
        spent = time.process_time() - spent
    left_over = len(asyncio.all_tasks()) - 1
    print(json.dumps({"done": done, "failures": failures, "said": said, "cpu": spent, "tasks": left_over}))


# ------------------------------------------------------------------------------------------------------------- the run


@dataclass
class Run:
    """What the server has seen, and what the processes say."""

    rate: float
    seconds: float
    began: float
    times: list[float]
    refused: list[float]
    said: list[dict[str, Any]]
    round_trips: int
    marks: dict[str, float] = field(default_factory=dict)

    def most(self, since: float = 0.0, until: float = float("inf")) -> int:
        """The most requests in any second that lies between two times, in seconds since the beginning."""
        times = [at for at in self.times if since <= at - self.began < until]
        most = first = 0
        for last, at in enumerate(times):
            while times[first] <= at - 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    def used(self, since: float = 0.0, until: float | None = None) -> float:
        """The share of the rate that was used between two times."""
        until = self.seconds if until is None else until
        return sum(since <= at - self.began < until for at in self.times) / (self.rate * (until - since))

    @property
    def done(self) -> int:
        return sum(one["done"] for one in self.said)

    @property
    def failures(self) -> list[str]:
        return [failure for one in self.said for failure in one["failures"]]


@contextlib.contextmanager
def counting() -> Iterator[str]:
    """The counting server in a process of its own; gives its URL."""
    process = start("tests.support.shared_rate")
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def ask_server(url: str, method: str = "GET") -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
        return json.load(answer)


def round_trips(redis: RedisServer) -> int:
    """How many times the script has run, as counted by Redis."""
    from redis import Redis

    with Redis.from_url(redis.url) as client:
        stats: dict[str, Any] = client.info("commandstats")  # type: ignore[assignment]
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("eval", "evalsha"))


def run(
    redis: RedisServer | None,
    *,
    rate: float = 100.0,
    seconds: float = 30.0,
    processes: int = 4,
    callers: int = CALLERS,
    during: Sequence[tuple[float, str, Callable[[str], object]]] = (),
) -> Run:
    """Let processes share a rate for so long.

    Args:
        redis: Runs already. None: every process has its part of the rate configured, and nothing is shared.
        rate: Of all processes together.
        seconds: For how long calls are begun.
        processes: How many.
        callers: In each of them.
        during: When to do what, with the URL of the counting server, in seconds since the beginning, and its name.
    """
    where, own = ("-", rate / processes) if redis is None else (redis.url, rate)
    with counting() as url:
        workers = [
            start("tests.support.shared_rate", url, where, str(own), str(seconds), str(callers))
            for _ in range(processes)
        ]
        try:
            for worker in workers:
                assert worker.stdout
                if worker.stdout.readline().strip() != "ready":
                    raise RuntimeError("a process did not come up")
            before = round_trips(redis) if redis is not None else 0
            time.sleep(1.1)  # the requests that made them ready are in no second that counts
            began = time.monotonic()
            for worker in workers:
                assert worker.stdin
                worker.stdin.write("go\n")
                worker.stdin.flush()
            marks = {}
            for at, name, act in during:
                time.sleep(max(began + at - time.monotonic(), 0.0))
                act(url)
                marks[name] = time.monotonic() - began
            said = [
                json.loads(worker.communicate(timeout=seconds + 60)[0].strip().splitlines()[-1]) for worker in workers
            ]
            after = round_trips(redis) if redis is not None and not during else before
        finally:
            for worker in workers:
                if worker.poll() is None:
                    worker.kill()
                    worker.wait()
        seen = ask_server(f"{url}/seen")
        times = [at for at in seen["times"] if at >= began]
    return Run(rate, seconds, began, times, [at - began for at in seen["refused"]], said, after - before, marks)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        asyncio.run(_serve())
    else:
        own_url, own_redis, *figures, own_callers = sys.argv[1:]
        asyncio.run(_work(own_url, own_redis, *map(float, figures), callers=int(own_callers)))
