"""Measure the cost of an import: the CPU time of a new interpreter, minus that of one that imports nothing.

Imports mostly use CPU time, and other processes on the machine disturb CPU time less than elapsed time.

    python -m benchmarks.imports [--turns 25] [--against another-checkout]

This prints the cost of two steps as a multiple of the cost of our four dependencies: to load all public names, and to
create a client and get its first method. Each ratio compares values of the same turn. `--against` measures another
checkout in the same turns.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.process import ROOT

STATEMENTS = {
    "dependencies": "import aiohttp, attrs, cattrs, tenacity",
    # The first access to a name loads all names.
    "ours": "import wavix_async",
    "ours_used": "from wavix_async import *",
    # The first use of a group loads what that group needs.
    "ours_method": "from wavix_async import WavixClient; WavixClient('k' * 12).numbers.update",
    "vendor": "from wavix import AsyncWavix",
    # The vendor's SDK loads a group of the API on first access.
    "vendor_used": "from wavix import AsyncWavix; AsyncWavix(token='k').numbers",
}


RATIOS = ("ours_used", "ours_method")
TURNS = 7


def measure(turns: int = TURNS) -> dict[str, Any]:
    """Return the CPU milliseconds by statement: medians, with the statements in turn."""
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


def _fresh(statement: str, root: Path = ROOT) -> tuple[float, str]:
    before = _cpu_of_children()
    # Allow compiled modules on disk, because users have them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", statement], cwd=root, capture_output=True, text=True, check=False, env=environment
    )
    seconds = _cpu_of_children() - before
    return seconds, (done.stderr.strip().splitlines() or ["failed"])[-1][:300] if done.returncode else ""


def _cpu_of_children() -> float:
    # This counts only processes that have ended, so the running server is not included.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=25)
    parser.add_argument("--against", type=Path, help="the folder of another checkout")
    options = parser.parse_args()
    turns, roots = options.turns, [each for each in (ROOT, options.against) if each is not None]
    ours = [(STATEMENTS[name], root) for name in RATIOS for root in roots]
    wanted = [("pass", ROOT), (STATEMENTS["dependencies"], ROOT), *ours]
    # The first turn fills the disk cache and writes the bytecode; it is not counted.
    counted = [[_seconds(*each) for each in wanted] for _ in range(turns + 1)][1:]
    for place, (statement, root) in enumerate(ours, 2):
        ratios = sorted((turn[place] - turn[0]) / (turn[1] - turn[0]) for turn in counted)
        where = f" in {root}" if len(roots) > 1 else ""
        print(f"{statement}{where} takes {statistics.median(ratios):.3f} times the CPU of {STATEMENTS['dependencies']}")
        print(f"quartiles of {turns} turns: {ratios[turns // 4]:.3f} and {ratios[turns * 3 // 4]:.3f}")


def _seconds(statement: str, root: Path) -> float:
    seconds, error = _fresh(statement, root)
    if error:
        raise SystemExit(f"{statement}: {error}")
    return seconds


if __name__ == "__main__":
    main()
