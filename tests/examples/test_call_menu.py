"""The call menu runs by its command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINES = [
    *("call_setup", "ringing", "answered", "audio started", "audio completed", "collect started"),
    *("collect completed 2", "audio started", "audio completed", "completed", "answered, 1 recording"),
]


def test_the_command_calls_the_menu() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.call_menu", "--press", "2"],
        cwd=ROOT,
        env={**{name: value for name, value in os.environ.items() if not name.startswith("WAVIX")}, "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert [line.strip() for line in done.stdout.splitlines()] == LINES
