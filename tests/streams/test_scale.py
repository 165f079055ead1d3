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


@pytest.mark.parametrize(
    ("kind", "way", "count", "most"),
    [
        ("download", "save", 10_000_000, MOST // 2),
        ("export", "save", 10_000, MOST // 2),
        pytest.param("download", "read", 1_000_000_000, MOST, marks=pytest.mark.scale),
        pytest.param("download", "save", 1_000_000_000, MOST, marks=pytest.mark.scale),
        pytest.param("export", "read", 1_000_000, MOST, marks=pytest.mark.scale),
        pytest.param("export", "save", 1_000_000, MOST, marks=pytest.mark.scale),
    ],
)
def test_a_file_of_any_size_in_little_memory(kind: str, way: str, count: int, most: int) -> None:
    assert measure(kind, way, count) < most
