"""Measure the limiter against model servers in virtual time: `python -m benchmarks.rate_control [words of a row...]`.

The rows are in `tests/support/rate_control.py`; a test runs the rows that have a target.
"""

from __future__ import annotations

import asyncio
import sys
import time

from tests.support.rate_control import Outcome, Row, compare, drive, judge, others, overhead, rows, strays
from tests.support.virtual import run_virtual
from wavix_async._ratelimit import Limiter


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


if __name__ == "__main__":
    sys.exit(main())
