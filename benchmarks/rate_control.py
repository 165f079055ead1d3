"""Measure the limiter against model servers in virtual time: `python -m benchmarks.rate_control [words of a row...]`.

The rows are in `tests/support/rate_control.py`; a test runs the rows that have a target. `python -m benchmarks rate`
measures a few of them on real sockets: the server (`tests/faults/server.py`) and the client have their own processes.
The busy row shares the machine with a process for each core that computes all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.process import ask
from benchmarks.report import table
from tests.faults.server import FaultServer
from tests.support.rate_control import Outcome, Row, compare, drive, judge, others, overhead, rows, strays
from tests.support.virtual import run_virtual
from wavix_async._ratelimit import Limiter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def report(row: Row, outcomes: list[Outcome]) -> bool:
    found = judge(row, outcomes)
    out = max(outcomes, key=lambda out: out.elapsed)
    print(
        f"{row.name:44} {found.share_429:7.2%} {row.share_429:6.1%} {found.times:6.3f} {row.times:5.2f} {out.waves:5}"
        f" {out.crowd:5} {out.longest:7.2f} {out.mean:6.2f} {found.unfair:6.2f} {' '.join(found.faults) or 'ok'}"
    )
    return not found.faults


def cost() -> float:
    """Return the CPU seconds to take and close one permit when there is no limit."""

    async def run() -> float:
        limiter, n = Limiter(), 200_000
        for _ in range(1000):
            limiter.accepted(await limiter.acquire())
        acquire, accepted = limiter.try_acquire, limiter.accepted
        began = time.perf_counter()
        for _ in range(n):
            accepted(acquire() or 0.0)
        return (time.perf_counter() - began) / n

    return asyncio.run(run())


def _strays(rows: list[Row], verbose: bool) -> int:
    """Print what stray 429s cost, in medians; return how many rows cost more than half the time and two pauses."""
    failed = 0
    if rows:
        print(f"\n{'server':44} {'429':>7} {'stray':>8} {'without':>8} {'<=':>8} {'waves':>5}")
    for row in rows:
        found = compare(row, range(1 if verbose else 9))
        most = 1.5 * found.without + 2.0
        faults = [*found.faults, *(["TIME"] if found.seconds > most else [])]
        failed += bool(faults)
        print(
            f"{row.name:44} {found.share_429:7.2%} {found.seconds:7.2f}s {found.without:7.2f}s {most:7.2f}s"
            f" {found.pauses:5.0f} {' '.join(faults) or 'ok'}"
        )
    return failed


def main() -> int:
    args = sys.argv[1:]
    verbose = "-v" in args
    words = [arg for arg in args if arg != "-v"]
    failed = 0
    print(
        f"{'server':44} {'429':>7} {'<=':>6} {'time':>6} {'<=':>5} {'waves':>5} {'crowd':>5} {'longest':>7} {'mean':>6}"
        f" {'unfair':>6}"
    )
    for row in [*rows(), *others()]:
        if all(word in row.name for word in words):
            outcomes = [run_virtual(drive(row, seed)) for seed in range(1 if verbose else 3)]
            failed += not report(row, outcomes)
            if verbose:
                for event in outcomes[0].events:
                    print("      {:9.3f} {:6} {:9.3f}".format(*event))
    failed += _strays([row for row in strays() if all(word in row.name for word in words)], verbose)
    if not words:
        print(f"D lost over 2,000 requests, 64 workers, 1 ms: {overhead() * 1000:.1f} ms (<= 35);"
              f" 80 ms: {overhead(0.08) * 1000:.0f} ms; one permit costs {cost() * 1e6:.2f} us")  # fmt: skip
    print(f"{failed} rows failed" if failed else "all rows met")
    return 1 if failed else 0


# --- on real sockets ---

LATENCY = 0.08


@dataclass(frozen=True)
class SocketRow:
    title: str
    rate: float | None
    """Requests per second that the server allows."""
    burst: int = 10
    items: int = 1500
    configured: float | None = None
    stray: float = 0.0
    """The share of the requests that get a 429 although they are within the limit."""
    busy: bool = False
    most_time: float | None = None
    """The target: the time, as a multiple of the ideal."""
    most_429: float = 0.02

    def ideal(self, requests: int) -> float | None:
        """Return the seconds that the limit needs for so many requests."""
        return None if self.rate is None else (requests - self.burst) / self.rate + LATENCY


ROWS = {
    "50": SocketRow("50/s, burst 10", 50, most_time=1.08),
    "50-busy": SocketRow("50/s, burst 10, busy machine", 50, busy=True, most_time=1.08),
    "100": SocketRow("100/s, burst 10, 600 items", 100, items=600, most_time=1.20, most_429=0.03),
    "400": SocketRow("400/s, burst 40, 4,000 items", 400, 40, items=4000, most_time=1.13),
    "free": SocketRow("no limit", None),
    "free-stray": SocketRow("no limit, 1 % stray 429s", None, stray=0.01),
    "100-long": SocketRow("100/s, burst 10", 100),
    "100-stray": SocketRow("100/s, burst 10, 1 % stray 429s", 100, stray=0.01),
    "95": SocketRow("100/s, burst 10, rate=95", 100, configured=95),
    "95-stray": SocketRow("100/s, burst 10, rate=95, 1 % stray 429s", 100, configured=95, stray=0.01),
    "100-stray-3": SocketRow("100/s, burst 10, 3 % stray 429s", 100, stray=0.03),
}


def measure(only: Iterable[str], runs: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the named rows (default: all) `runs` times, each run with its own seed."""
    names = [name for name in ROWS if not only or name in only]
    heard: dict[str, Any] = {name: {"title": ROWS[name].title, "runs": []} for name in names}
    for run in range(runs):
        for name in names:
            say(f"run {run + 1} of {runs}: {ROWS[name].title}")
            heard[name]["runs"].append(_play(ROWS[name], run))
    return {"runs": runs, "rows": heard}


def _play(row: SocketRow, seed: int) -> dict[str, Any]:
    faults = {"status_500": 0.01, "status_429": row.stray}
    server = FaultServer(
        seed=seed, faults=faults, rate=row.rate, burst=row.burst, retry_after=1.0, latency=LATENCY, methods=["PATCH"]
    )
    with server, _busy() if row.busy else contextlib.nullcontext():
        options = {"rate": row.configured, "workers": 100}
        task = {"client": "ours", "url": server.url, "ids": list(range(1, row.items + 1)), "post": False, "seed": seed}
        said = json.loads(ask("live", json.dumps({**task, **options})))
        counters = server.counters()
    # Those that were refused for a stray reason have used up the limit, too: the ideal counts them.
    ideal = row.ideal(counters["total"] - counters["limited"])
    return {
        "done": len(said["done"]),
        "seconds": said["seconds"],
        "times": None if ideal is None else said["seconds"] / ideal,
        "limited": counters["limited"] / counters["total"],
        "stray": counters["fired"].get("status_429", 0) / counters["total"],
    }


@contextlib.contextmanager
def _busy() -> Iterator[None]:
    spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in spin:
            process.kill()
            process.wait()


def render(results: dict[str, Any]) -> str:
    """Return a table with the median of each row, and the worst run."""
    rows = []
    for name, heard in results["rows"].items():
        row, runs = ROWS[name], heard["runs"]
        times = [run["times"] for run in runs if run["times"] is not None]
        seconds = [run["seconds"] for run in runs]
        rows.append(
            [
                heard["title"],
                f"{row.items}",
                f"{min(run['done'] for run in runs)}",
                f"{statistics.median(seconds):.2f}",
                f"{max(seconds):.2f}",
                f"{statistics.median(times):.3f}x" if times else "",
                f"{max(times):.3f}x" if times else "",
                f"<= {row.most_time}" if row.most_time else "",
                f"{statistics.median(run['limited'] for run in runs):.2%}",
                f"{statistics.median(run['stray'] for run in runs):.2%}",
            ]
        )
    header = ["", "items", "done", "secs", "worst", "ideal", "worst", "target", "429s", "stray"]
    return (
        f"100 workers, answers after {LATENCY * 1000:.0f} ms, 1 % of them 500, Retry-After: 1; medians of"
        f" {results['runs']} runs\n\n{table(header, rows)}"
    )


if __name__ == "__main__":
    sys.exit(main())
