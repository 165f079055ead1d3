"""Start the measured processes, and read the memory of the current process."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support import processes

ROOT = processes.ROOT


def start(module: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Run a module of this package in its own process, with pipes."""
    return processes.start(f"benchmarks.{module}", *arguments, **options)


def ask(module: str, *arguments: str) -> str:
    """Run a module to its end and return its output; if it fails, raise RuntimeError with its last line."""
    process = start(module, *arguments, stderr=subprocess.PIPE)
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError((err.strip().splitlines() or [f"ended with code {process.returncode}"])[-1][:300])
    return out


def peak_rss_mb() -> float:
    """Return the peak resident memory."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux, ru_maxrss begins with the parent's value, so it would count a large parent's memory.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def rss_mb() -> float:
    """Return the current resident memory."""
    import psutil

    return float(psutil.Process().memory_info().rss) / 1024**2
