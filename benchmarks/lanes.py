"""Measure what a bulk run costs the single calls beside it, and what they cost the run.

A run of 64 uses up `rate=47.5`; the server allows 50 requests per second, and answers after 80 ms. Beside it comes a
single call, five times a second. Its wait is the time in which it had no request on the wire, as its receipt tells it;
a call that overlaps a pause, which a 429 begins, does not count. *Lost* is what the run and the single calls did less
together than the run did alone: what it lost beyond their share.

Through Redis, a second process has a run of 64 of its own under the same rate. The server, each client and Redis have
their own processes.

    python -m benchmarks.lanes '{"url": ..., "redis": null, "seconds": 10, "singles": 5}'

is one client: it begins at the first line of its input, and prints what it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import statistics
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from benchmarks.process import start
from benchmarks.report import stderr, table
from tests.faults.server import FaultServer
from tests.redis.server import MISSING, PROGRAM, RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

RATE, ALLOWED, BURST, LATENCY = 47.5, 50.0, 10, 0.08
CONCURRENCY, SINGLES, SECONDS = 64, 5.0, 30.0
BEGIN = 1.0
"""Seconds after which the single calls begin, and what is done begins to count."""
MODES = {"one": "in one process", "redis": "through Redis, beside another process"}
MOST_WAIT = {"one": 0.1, "redis": 0.3}
"""Seconds: the target of the 99th percentile."""
MOST_LOST = 0.02
"""The target: the share of its speed that the run may lose beyond that. Two runs alike differ by as much."""


def measure(only: Iterable[str], seconds: float, runs: int, say: Callable[[str], None] = stderr) -> dict[str, Any]:
    """Run the named modes (default: all) `runs` times, in turn; without Redis, only the first."""
    missing = MISSING if PROGRAM is None else "" if find_spec("redis") else "the library `redis` is not installed"
    modes = [mode for mode in MODES if (not only or mode in only) and (mode != "redis" or not missing)]
    heard: dict[str, list[dict[str, Any]]] = {mode: [] for mode in modes}
    for run in range(runs):
        for mode in modes:
            say(f"run {run + 1} of {runs}: {MODES[mode]}")
            alone, beside = _play(mode, seconds, 0.0), _play(mode, seconds, SINGLES)
            lost = 1.0 - (beside["items"] + len(beside["waits"]) + beside["paused"]) / max(alone["items"], 1)
            used = alone["items"] / (RATE * seconds)
            heard[mode].append({**beside, "lost": lost, "used": used, "limited": alone["limited"] + beside["limited"]})
    return {"seconds": seconds, "runs": runs, "modes": heard, "missing": missing}


def _play(mode: str, seconds: float, singles: float) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(FaultServer(rate=ALLOWED, burst=BURST, retry_after=1.0, latency=LATENCY))
        redis = stack.enter_context(RedisServer()).url if mode == "redis" else None
        task = {"url": server.url, "redis": redis, "seconds": seconds}
        clients = [start("lanes", json.dumps({**task, "singles": singles}))]
        if redis is not None:
            clients.append(start("lanes", json.dumps({**task, "singles": 0.0})))
        for client in clients:
            assert client.stdout
            if client.stdout.readline().strip() != "ready":
                raise RuntimeError("a client did not come up")
        for client in clients:
            assert client.stdin
            client.stdin.write("go\n")
            client.stdin.flush()
        said = [json.loads(client.communicate()[0].splitlines()[-1]) for client in clients]
        counters = server.counters()
    return {
        "waits": [wait for wait, paused in said[0]["waits"] if not paused],
        "paused": sum(paused for _, paused in said[0]["waits"]),
        "failures": [text for one in said for text in one["failures"]],
        "items": sum(one["items"] for one in said),
        "limited": counters["limited"],
    }


def percentile(values: list[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)] if values else math.nan


def render(results: dict[str, Any]) -> str:
    """Return a table with all calls of each mode together, and whether the targets are met."""
    rows, missed = [], []
    for mode, runs in results["modes"].items():
        waits = [wait for run in runs for wait in run["waits"]]
        worst, lost = percentile(waits, 0.99), statistics.median(run["lost"] for run in runs)
        failures = [text for run in runs for text in run["failures"]]
        rows.append(
            [
                MODES[mode],
                f"{len(waits)}",
                *(f"{1000 * percentile(waits, share):.0f}" for share in (0.5, 0.9, 0.99, 1.0)),
                f"<= {1000 * MOST_WAIT[mode]:.0f}",
                f"{sum(run['paused'] for run in runs)}",
                f"{statistics.median(run['used'] for run in runs):.1%}",
                f"{lost:.1%}",
                f"<= {MOST_LOST:.0%}",
                f"{sum(run['limited'] for run in runs)}",
                f"{len(failures)}",
            ]
        )
        if not worst <= MOST_WAIT[mode] or lost > MOST_LOST or failures:
            missed.append(MODES[mode])
    header = [
        *("single calls beside a run of 64", "calls", "p50 ms", "p90", "p99", "most", "target", "in a pause"),
        *("rate used alone", "lost", "target", "429s", "failed"),
    ]
    parts = [
        f"Waits for the rate: rate={RATE:g}, {SINGLES:g} single calls a second for {results['seconds']:g} s, server of"
        f" {ALLOWED:g}/s, {results['runs']} runs\n\n{table(header, rows)}",
        f"Targets MISSED {', '.join(missed)}" if missed else "All targets met",
    ]
    return "\n\n".join([*parts, results["missing"]] if results["missing"] else parts)


# --- one client ---


async def _work(url: str, redis: str | None, seconds: float, singles: float) -> dict[str, Any]:
    from wavix_async import NumberUpdate, PauseEvent, WavixClient, WavixError
    from wavix_async.redis import RedisRateLimit

    pauses: list[tuple[float, float]] = []
    waits: list[tuple[float, float, float]] = []
    failures: list[str] = []
    items = 0
    loop = asyncio.get_running_loop()

    def observe(event: object) -> None:
        if isinstance(event, PauseEvent):
            pauses.append((loop.time(), loop.time() + event.seconds))

    limit = RATE if redis is None else RedisRateLimit(redis, rate=RATE, scope="lanes", processes=2)
    async with WavixClient("key", base_url=url, rate=limit, observers=[observe]) as wavix:
        await wavix.numbers.get(1)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = loop.time() + BEGIN
        end = began + seconds

        async def changes() -> AsyncIterator[tuple[int, NumberUpdate]]:
            number = 1_000_000
            while loop.time() < end:
                yield number, NumberUpdate(sms_enabled=True)
                number += 1

        async def run() -> None:
            nonlocal items
            async for result in wavix.numbers.bulk_update(changes(), concurrency=CONCURRENCY):
                if not result.ok:
                    failures.append(f"{result.status}: {type(result.error).__name__}")
                items += began + LATENCY <= loop.time() < end + LATENCY

        async def single(number: int) -> None:
            since = loop.time()
            try:
                receipt = await wavix.receipt(wavix.numbers.get(number))
            except WavixError as error:
                failures.append(f"{type(error).__name__}: {error}")
            else:
                waits.append((receipt.waited, since, loop.time()))

        running = asyncio.create_task(run())
        calls = []
        await asyncio.sleep(BEGIN)
        for number in range(1, int(seconds * singles) + 1):
            calls.append(asyncio.create_task(single(number)))
            await asyncio.sleep(began + number / singles - loop.time())
        await asyncio.gather(running, *calls)
    return {
        "items": items,
        "waits": [
            (waited, any(begin < until and since < over for begin, over in pauses)) for waited, since, until in waits
        ],
        "failures": failures,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_work(**json.loads(sys.argv[1])))))
