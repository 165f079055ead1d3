"""What an import costs: fresh interpreters, less what an interpreter costs that imports nothing.

In CPU time, which an import consists of, and which neighbours on the machine disturb less than the time on the clock.

    python -m benchmarks.imports [--turns 25] [--against another-checkout]

prints how many times the CPU of the four libraries below ours it takes to load all public names, and to make a client
and reach the first method: the ratios are paired by turn. Another checkout is measured in the same turns.
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
    # Names are loaded when one is asked for, and then all of them.
    "ours": "import wavix_async",
    "ours_used": "from wavix_async import *",
    # Of a group, what belongs to it is loaded when it is first used.
    "ours_method": "from wavix_async import WavixClient; WavixClient('k' * 12).numbers.update",
    "vendor": "from wavix import AsyncWavix",
    # The vendor's SDK loads a group of the API when it is first asked for.
    "vendor_used": "from wavix import AsyncWavix; AsyncWavix(token='k').numbers",
}


RATIOS = ("ours_used", "ours_method")
TURNS = 7


def measure(turns: int = TURNS) -> dict[str, Any]:
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


def _fresh(statement: str, root: Path = ROOT) -> tuple[float, str]:
    before = _cpu_of_children()
    # With compiled modules on disk, as users have them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", statement], cwd=root, capture_output=True, text=True, check=False, env=environment
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
