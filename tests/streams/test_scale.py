"""A download and an export need the memory of a few chunks, whatever their size."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST = 40 * 1024 * 1024


def measure(kind: str, way: str, count: int) -> int:
    """Return the peak beyond the base, in bytes."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("memory.py")), kind, way, str(count)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    came, peak = map(int, done.stdout.split())
    assert came == count
    return peak


@pytest.mark.parametrize(("kind", "count"), [("download", 10_000_000), ("export", 10_000)])
def test_a_hundredth_in_little_memory(kind: str, count: int) -> None:
    assert measure(kind, "save", count) < MOST // 2


@pytest.mark.scale
@pytest.mark.parametrize("way", ["read", "save"])
@pytest.mark.parametrize(("kind", "count"), [("download", 1_000_000_000), ("export", 1_000_000)])
def test_the_whole_in_little_memory(kind: str, way: str, count: int) -> None:
    assert measure(kind, way, count) < MOST
