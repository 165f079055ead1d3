"""Measure rate control on real sockets: the time and the refusals of a bulk run without a configured rate.

The server (`tests/faults/server.py`) and the client have their own processes. The busy rows share the machine with a
process for each core that computes all the time. `python -m benchmarks.rate_control` has many more servers, in virtual
time.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.process import ask
from benchmarks.report import table
from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LATENCY = 0.08


@dataclass(frozen=True)
class Row:
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
    "50": Row("50/s, burst 10", 50, most_time=1.08),
    "50-busy": Row("50/s, burst 10, busy machine", 50, busy=True, most_time=1.08),
    "100": Row("100/s, burst 10, 600 items", 100, items=600, most_time=1.20, most_429=0.03),
    "400": Row("400/s, burst 40, 4,000 items", 400, 40, items=4000, most_time=1.13),
    "free": Row("no limit", None),
    "free-stray": Row("no limit, 1 % stray 429s", None, stray=0.01),
    "100-long": Row("100/s, burst 10", 100),
    "100-stray": Row("100/s, burst 10, 1 % stray 429s", 100, stray=0.01),
    "95": Row("100/s, burst 10, rate=95", 100, configured=95),
    "95-stray": Row("100/s, burst 10, rate=95, 1 % stray 429s", 100, configured=95, stray=0.01),
    "100-stray-3": Row("100/s, burst 10, 3 % stray 429s", 100, stray=0.03),
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


def _play(row: Row, seed: int) -> dict[str, Any]:
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
