"""Several processes share one rate through Redis: is the limit kept, is it used, and what does that cost?

    python -m benchmarks.shared_rate

Every process has 20 callers that call on and on, so each of them alone would use up the rate. The server counts: it
notes when every request came, by one clock, and answers 20 ms later. "Most in a second" is over all seconds that begin
with a request, not over calendar seconds. With `rate` requests per second let through exactly on time there would be
`rate`; what comes on top is how late the processes were, and the server.

Redis is started on a free port, killed with SIGKILL at half-time of the second run and started again, empty, in the
third. Its round trips are counted by itself (`INFO commandstats`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.payload import number
from benchmarks.process import start
from tests.redis.server import MISSING, PROGRAM, RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LATENCY = 0.02
CALLERS = 20
NUMBER = json.dumps(number(1)).encode()
ALLOWED, USED = 1.03, 0.95
"""Of the rate: the most in any second, and the least over the whole run."""


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
                    asyncio.get_running_loop().call_later(LATENCY, self.answer, b"200 OK", NUMBER)

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
    """Call on and on; `redis` may be "-": then the rate is this process's own."""
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
        # The imports are the slow part of a start; whoever came first would have the rate to itself for so long.
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
    process = start("shared_rate", "--server")
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
    """How often the script has run, as Redis counts."""
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
            start("shared_rate", "--worker", url, where, str(own), str(seconds), str(callers)) for _ in range(processes)
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


def _row(name: str, run: Run, since: float = 0.0, until: float | None = None) -> list[str]:
    until = run.seconds if until is None else until
    trips = f"{run.round_trips / len(run.times):.2f}" if run.round_trips else "-"
    return [
        name,
        f"{since:.1f}-{until:.1f} s",
        str(run.most(since, until)),
        f"{100 * run.used(since, until):.1f} %",
        str(len(run.failures)),
        trips,
    ]


def measure(rate: float, seconds: float, processes: int, say: Callable[[str], None]) -> tuple[str, bool]:
    """The table, and whether all of it is as promised."""
    from benchmarks.report import table

    rows, good = [], True
    say("shared ...")
    with RedisServer() as redis:
        first = run(redis, rate=rate, seconds=seconds, processes=processes)
    rows.append(_row("shared", first))
    good &= first.most() <= rate * ALLOWED and first.used() >= USED and not first.failures
    half = seconds / 2
    say("killed half-way ...")
    with RedisServer() as redis:
        second = run(
            redis, rate=rate, seconds=seconds, processes=processes, during=[(half, "killed", lambda _: redis.kill())]
        )
    rows += [
        _row("killed half-way: before", second, 0.0, half),
        _row("  after", second, half, seconds),
    ]
    good &= not second.failures and second.used(half + 1.0) >= USED
    say("killed, and back ...")
    with RedisServer() as redis:
        third = run(
            redis,
            rate=rate,
            seconds=seconds,
            processes=processes,
            during=[
                (seconds / 3, "killed", lambda _: redis.kill()),
                (2 * seconds / 3, "back", lambda _: redis.start()),
            ],
        )
    killed, back = third.marks["killed"], third.marks["back"]
    rows += [
        _row("killed, and back: before", third, 0.0, killed),
        _row("  gone", third, killed, back),
        _row("  coming back", third, back, back + 2.0),
        _row("  shared again", third, back + 2.0, seconds),
    ]
    good &= not third.failures and third.most(back + 2.0) <= rate * ALLOWED and third.used(back + 2.0) >= USED
    says = sorted({text for one in (second, third) for each in one.said for text in each["said"]})
    say("not shared ...")
    alone = run(None, rate=rate, seconds=seconds, processes=processes)
    rows.append(_row("not shared, a part each", alone))
    header = [
        f"{processes} processes, {rate:g}/s",
        "seconds",
        "most in a second",
        "used",
        "failed",
        "round trips/request",
    ]
    text = table(header, rows)
    notes = (
        f"CPU per call, all included: {_cpu(first):.0f} µs shared, {_cpu(alone):.0f} µs not shared\n"
        f"Said in the logs: {', '.join(says)}"
    )
    return f"{text}\n\n{notes}", good


def _cpu(run: Run) -> float:
    """Microseconds per call."""
    return 1e6 * sum(one["cpu"] for one in run.said) / max(run.done, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_rate", description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--server", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.server:
        asyncio.run(_serve())
    elif options.worker:
        url, redis, *numbers, callers = options.worker
        asyncio.run(_work(url, redis, *map(float, numbers), callers=int(callers)))
    elif PROGRAM is None:
        sys.exit(MISSING)
    else:
        text, good = measure(
            options.rate, options.seconds, options.processes, lambda text: print(text, file=sys.stderr, flush=True)
        )
        print(text)
        sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
