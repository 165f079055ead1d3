"""End a fleet's run a hundred times: nothing may be lost or done too often, and every report must be true.

A run ends by SIGKILL, by SIGTERM, or because the disk is full. Its journal is copied meanwhile, with its `-wal` file
and without; some runs are resumed from a copy.

    python -m benchmarks.kill [--times 100] [--numbers 5000] [--seed 0]

`tests/support/kill.py` describes the steps and the comparison; a test does the same five times.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from benchmarks.report import table
from tests.support.kill import PHASES, Run, measure

TIMES, NUMBERS = 100, 5000


def render(results: dict[str, Any]) -> str:
    runs: list[Run] = [run for run in results["runs"] if run.kills != ["too late"]]
    if not runs:
        return "\n".join(["no run was killed", *results["complaints"]])
    kills = [phase for run in runs for phase in run.kills if phase != "too late"]
    by_phase = Counter(kills)
    times: Counter[int] = sum((run.times for run in runs), Counter())
    times_back: Counter[int] = sum((run.times_back for run in runs), Counter())
    ways: Counter[str] = sum((run.ways for run in runs), Counter())
    copies: Counter[str] = sum((run.copies for run in runs), Counter())
    back = [run for run in runs if run.rolled_back]

    def often(counted: Counter[int]) -> str:
        return ", ".join(f"{count:,} {many}x" for many, count in sorted(counted.items()) if count) or "-"

    rows = [
        ["runs killed at least once", f"{len(runs)}"],
        ["  kills in total; most in one run", f"{len(kills)}; {max(len(run.kills) for run in runs)}"],
        *([f"  while {phase}", f"{by_phase[phase]}"] for phase in PHASES if by_phase[phase]),
        *([f"  by {way}", f"{count}"] for way, count in sorted(ways.items())),
        *([f"copies of journals, {kind}", f"{count}"] for kind, count in sorted(copies.items())),
        ["  killed before the journal existed: applied again", f"{sum(run.began_again for run in runs)}"],
        ["numbers in the plans", f"{len(runs) * results['numbers']:,}"],
        ["  lost: not as planned at the end", f"{sum(run.lost for run in runs):,}"],
        ["  changed how often", often(times)],
        ["  changed more than twice", f"{sum(count for many, count in times.items() if many > 2):,}"],
        ["rolled back to the first state", f"{len(back)} runs"],
        ["  changed how often", often(times_back)],
        ["faults", f"{sum(run.faults for run in runs):,}"],
        ["seconds of a run without kills", f"{results['undisturbed'].seconds:.1f}"],
        ["complaints", f"{len(results['complaints'])}"],
    ]
    lines = [table([f"{results['numbers']:,} numbers, 3 % faults", ""], rows)]
    return "\n".join([*lines, *(f"  {complaint}" for complaint in results["complaints"][:20])])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill", description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=TIMES, help="number of runs to kill")
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="numbers in each run")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results = measure(
        options.times, options.numbers, options.seed, lambda text: print(text, file=sys.stderr, flush=True)
    )
    print(render(results))
    sys.exit(1 if results["complaints"] else 0)


if __name__ == "__main__":
    main()
