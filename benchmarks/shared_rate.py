"""Share one rate between processes through Redis: do they keep the limit, do they use it, and what does it cost?

    python -m benchmarks.shared_rate

`tests/support/shared_rate.py` describes what the processes and the server do. Redis runs on a free port. In the second
run it is killed with SIGKILL half-way; in the third it is killed and restarted without data. Redis itself counts the
round trips (`INFO commandstats`).
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from benchmarks.report import table
from tests.redis.server import MISSING, PROGRAM, RedisServer
from tests.support.shared_rate import Run, run

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOWED, USED = 1.03, 0.95
"""Shares of the rate: the most in any second, and the least over the whole run."""


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
    """Return the table, and whether all targets are met."""
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
        f"CPU per call, in total: {_cpu(first):.0f} µs shared, {_cpu(alone):.0f} µs not shared\n"
        f"Messages in the logs: {', '.join(says)}"
    )
    return f"{text}\n\n{notes}", good


def _cpu(run: Run) -> float:
    """Return the CPU microseconds per call."""
    return 1e6 * sum(one["cpu"] for one in run.said) / max(run.done, 1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_rate", description=__doc__)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--processes", type=int, default=4)
    options = parser.parse_args()
    if PROGRAM is None:
        sys.exit(MISSING)
    else:
        text, good = measure(
            options.rate, options.seconds, options.processes, lambda text: print(text, file=sys.stderr, flush=True)
        )
        print(text)
        sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
