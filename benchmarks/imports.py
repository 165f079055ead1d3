"""What an import costs: fresh interpreters, less what an interpreter costs that imports nothing.

In CPU time, which an import consists of, and which neighbours on the machine disturb less than the time on the clock.

    python -m benchmarks.imports [--turns 25]

tells the ratio of all public names to the four libraries that they stand on, paired by turn.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.process import ROOT

STATEMENTS = {
    "dependencies": "import aiohttp, attrs, cattrs, tenacity",
    # Names are loaded when one is asked for, and then all of them.
    "ours": "import wavix_async",
    "ours_used": "from wavix_async import *",
    "vendor": "from wavix import AsyncWavix",
    # The vendor's SDK loads a group of the API when it is first asked for.
    "vendor_used": "from wavix import AsyncWavix; AsyncWavix(token='k').numbers",
}


def measure(turns: int = 7) -> dict[str, Any]:
    """CPU milliseconds by statement: medians, taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    errors: dict[str, str] = {}
    bare: list[float] = []
    # The first turn fills the disk cache and writes the bytecode; it is not counted.
    for turn in range(turns + 1):
        seconds, _ = _fresh("pass")
        bare += [seconds] if turn else []
        for name, statement in STATEMENTS.items():
            seconds, error = _fresh(statement)
            if error:
                errors[name] = error
            elif turn:
                times[name].append(seconds)
    startup = statistics.median(bare)
    return {
        name: {"title": statement, "error": errors[name]}
        if name in errors
        else {"title": statement, "ms": (statistics.median(times[name]) - startup) * 1e3}
        for name, statement in STATEMENTS.items()
    }


def _fresh(statement: str) -> tuple[float, str]:
    before = _cpu_of_children()
    # With compiled modules on disk, as users have them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", statement], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    seconds = _cpu_of_children() - before
    return seconds, (done.stderr.strip().splitlines() or ["failed"])[-1][:300] if done.returncode else ""


def _cpu_of_children() -> float:
    # Only of those that have ended: the server, which runs on, is not among them.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=25)
    turns = parser.parse_args().turns
    wanted = ("pass", STATEMENTS["dependencies"], STATEMENTS["ours_used"])
    seconds = [[_fresh(statement)[0] for statement in wanted] for _ in range(turns + 1)][1:]
    ratios = sorted((ours - bare) / (dependencies - bare) for bare, dependencies, ours in seconds)
    print(f"{wanted[2]} takes {statistics.median(ratios):.3f} times the CPU of {wanted[1]}")
    print(f"quartiles of {turns} turns: {ratios[turns // 4]:.3f} and {ratios[turns * 3 // 4]:.3f}")


if __name__ == "__main__":
    main()
