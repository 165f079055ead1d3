"""Measure one client in four threads, each with an event loop of its own, against four clients.

Every thread runs `asyncio.run` over its share of the calls, eight at a time, as a sync web framework or a pool of
threads would. The ways take turns, each in a process of its own, so that they are close in time: one client for all
threads, and a client for each thread; then the same under a rate, of which the four clients have a quarter each.

*Of four* is the time of the four clients as a share of the time of the one, in medians of neighbouring rounds. Python
runs one thread at a time, so CPU time tells most on a machine that other work keeps busy. *Left open* are sockets,
calls in flight and callers in a queue, after the loops have ended and before the client is closed.

    python -m benchmarks.threads http://127.0.0.1:8080 one

is one process: it makes the calls of a round for each line of its input, `<calls per thread> <rate>`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks import server
from benchmarks.process import start
from benchmarks.report import stderr, table

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS, CALLS, ROUNDS, AT_ONCE = 4, 500, 9, 8
RATE = 1000.0
WARM_UP = 50
LEAST = 0.8
"""The target, without a rate."""
WAYS = {"one": "one client", "four": "a client for each thread"}


def measure(rounds: int, calls: int, say: Callable[[str], None] = stderr) -> dict[str, Any]:
    """Let both ways make their calls in every round, without and with a rate."""
    heard: dict[str, dict[str, list[dict[str, Any]]]] = {limit: {way: [] for way in WAYS} for limit in ("none", "rate")}
    with server.running() as url, contextlib.ExitStack() as stack:
        processes = {way: start("threads", url, way, stderr=subprocess.PIPE) for way in WAYS}
        for process in processes.values():
            stack.callback(process.communicate)
            _ask(process, WARM_UP, 0.0)
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            for limit, rate in (("none", 0.0), ("rate", RATE)):
                for way in WAYS if turn % 2 else reversed(WAYS):
                    heard[limit][way].append(_ask(processes[way], calls, rate))
    return {"rounds": rounds, "calls": calls, "heard": heard}


def _ask(process: subprocess.Popen[str], calls: int, rate: float) -> dict[str, Any]:
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{calls} {rate}\n")
    process.stdin.flush()
    answer = process.stdout.readline()
    if not answer:
        assert process.stderr
        raise RuntimeError((process.stderr.read().strip().splitlines() or ["a process ended"])[-1][:300])
    said: dict[str, Any] = json.loads(answer)
    return said


def render(results: dict[str, Any]) -> str:
    """Return a table of both ways without and with a rate, and whether the targets are met."""
    calls = THREADS * results["calls"]
    rows, missed = [], []
    for limit, ways in results["heard"].items():
        for way, rounds in ways.items():
            shares = {
                what: statistics.median(four[what] / one[what] for one, four in zip(rounds, ways["four"], strict=True))
                for what in ("seconds", "cpu")
            }
            errors, left = sum(one["errors"] for one in rounds), max(one["left"] for one in rounds)
            # The first permit of each limiter is free.
            held = limit == "none" or min(one["seconds"] for one in rounds) >= (calls - THREADS) / RATE
            rows.append(
                [
                    f"{WAYS[way]}{'' if limit == 'none' else f', {RATE:g}/s in all'}",
                    f"{statistics.median(calls / one['seconds'] for one in rounds):,.0f}",
                    f"{statistics.median(1e6 * one['cpu'] / calls for one in rounds):,.0f}",
                    *(f"{shares[what]:.2f}" if way == "one" else "" for what in ("seconds", "cpu")),
                    f"{errors}",
                    f"{left}",
                    "" if limit == "none" else "yes" if held else "NO",
                ]
            )
            slow = way == "one" and limit == "none" and max(shares.values()) < LEAST
            if errors or left or not held or slow:
                missed.append(rows[-1][0])
    header = ["threads with a loop each", "calls/s", "CPU µs", "of four", "of their CPU"]
    return "\n\n".join(
        [
            f"{THREADS} threads, {results['calls']} calls each, {AT_ONCE} at a time; medians of {results['rounds']}"
            f" alternating rounds\n\n{table([*header, 'errors', 'left open', 'rate held'], rows)}",
            f"Target, without a rate: at least {LEAST:g} of four clients, no error, nothing left open: "
            + (f"MISSED by {', '.join(missed)}" if missed else "met"),
        ]
    )


# --- one process ---


def _open_sockets() -> int:
    gc.collect()
    count = 0
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):
            count += "socket" in os.readlink(f"/dev/fd/{name}")
    return count


def _round(url: str, way: str, calls: int, rate: float) -> dict[str, Any]:
    from wavix_async import WavixClient

    def client(share: float) -> WavixClient:
        return WavixClient("key", base_url=url, rate=rate * share or None)

    clients = [client(1.0)] * THREADS if way == "one" else [client(1.0 / THREADS) for _ in range(THREADS)]
    together = threading.Barrier(THREADS)
    before = _open_sockets()
    errors: list[str] = []

    async def make_calls(thread: int) -> None:
        wavix, ids = clients[thread], iter(range(1 + thread * calls, 1 + (thread + 1) * calls))

        async def work() -> None:
            for number in ids:
                try:
                    if (await wavix.numbers.get(number)).id != number:
                        errors.append("wrong number")
                except Exception as error:
                    errors.append(type(error).__name__)

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    def run(thread: int) -> None:
        together.wait(60)
        asyncio.run(make_calls(thread))

    began, spent = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - spent
    snapshots = [each.limits.snapshot() for each in set(clients)]
    left = max(_open_sockets() - before, 0) + sum(each.in_flight + each.waiting for each in snapshots)
    for each in set(clients):
        asyncio.run(each.close())
    return {"seconds": seconds, "cpu": cpu, "errors": len(errors), "left": left}


def main() -> None:
    url, way = sys.argv[1:]
    for line in sys.stdin:
        calls, rate = line.split()
        print(json.dumps(_round(url, way, int(calls), float(rate))), flush=True)


if __name__ == "__main__":
    main()
