"""The example of docs/scaling.md, run as the page runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.redis.server import MISSING, PROGRAM

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_a_fleet_split_over_workers_is_changed_at_one_rate() -> None:
    pytest.importorskip("taskiq_redis", reason="taskiq-redis is not installed (the dependency group `test` has it)")
    command = ["examples/scaling/run.py", "--numbers", "250", "--workers", "3", "--rate", "80"]
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"250 numbers, [23] of 3 workers: \{'updated': 250\}", done.stdout)
    assert "wrong results (the account differs from the report): 0" in done.stdout
    rate = re.search(r"(\d+) requests per second, (\d+) throttled", done.stdout)
    assert rate is not None
    assert int(rate[1]) <= 82
    assert int(rate[2]) <= 5
