"""What importing costs: `python -m benchmarks.imports`, side by side with the four libraries that it stands on.

Each import is timed in an interpreter of its own; the two alternate, and the ratio is that of pairs.
"""

import argparse
import os
import statistics
import subprocess
import sys

BASE = "import aiohttp, attrs, cattrs, tenacity"
OURS = "from wavix_async import *"
LAZY = "import wavix_async"


def seconds(code: str) -> float:
    """Import in a fresh interpreter, with compiled modules on disk as users have them."""
    timed = f"import time; began = time.perf_counter()\n{code}\nprint(time.perf_counter() - began)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", timed], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    rounds = parser.parse_args().rounds
    for code in (BASE, OURS):
        seconds(code)  # writes the compiled modules
    pairs = [(seconds(BASE), seconds(OURS), seconds(LAZY)) for _ in range(rounds)]
    base, ours, lazy = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
    ratios = sorted(ours / base for base, ours, _ in pairs)
    print(f"{BASE:45} {base:7.1f} ms")
    print(f"{OURS:45} {ours:7.1f} ms")
    print(f"{LAZY:45} {lazy:7.1f} ms, everything else when it is asked for")
    low, middle, high = ratios[rounds // 4], statistics.median(ratios), ratios[rounds * 3 // 4]
    print(f"ratio of all names to the four libraries: {middle:.3f} (quartiles {low:.3f} and {high:.3f})")


if __name__ == "__main__":
    main()
