"""Every benchmark runs: each runs for about a second at a small size, and must print its table.

What they measure here says nothing: they run beside each other, and so few rounds are no measurement.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.redis.server import PROGRAM

ROOT = Path(__file__).parents[2]
PATIENCE = 150.0

# What is run, and what its output has to hold.
RUNS = {
    "benchmarks soak --items 100 --seconds 0.5": "open sockets",
    "benchmarks.shared_rate --seconds 1 --processes 2": "not shared, a part each",
    "benchmarks --only requests --rounds 1 --requests 64": "wavix_async bulk_update",
    "benchmarks faults --runs 1 --items 20": "wavix_async  ",
    "benchmarks lanes --only one --runs 1 --seconds 0.5": "single calls beside a run of 64",
    "benchmarks threads --rounds 1 --requests 20": "a client for each thread",
    "benchmarks layer --rounds 2 --requests 50": "an item of numbers.bulk_update",
    "benchmarks.decode --turns 1 --seconds 0.001": "a page of 100, from JSON text",
    "benchmarks.fleet --only plan --numbers 200": "the changes, read to their end",
    "benchmarks.fleet --only apply --numbers 200": "the report, read to its end",
    "benchmarks.fleet --only journal --rounds 1 --requests 64": "sending the changes",
    "benchmarks.imports --turns 1": "numbers.update takes",
    "benchmarks.kill --times 1 --numbers 60": "runs killed at least once",
    "benchmarks.memory --items 500": "MB above the idle process",
    "benchmarks.rate_control C 5-60": "all rows met",
}
AT_ONCE = 3
PARTS = {"chart", "contenders", "live", "payload", "process", "reliability", "report", "server", "throughput"}
"""Modules that others use or start; they are run as a part of those."""
NEEDS = {
    "shared_rate": ("a redis-server", PROGRAM is not None),
    "memory": ("psutil", importlib.util.find_spec("psutil") is not None),
    "soak": ("psutil", importlib.util.find_spec("psutil") is not None),
    "fleet": ("psutil", importlib.util.find_spec("psutil") is not None),
}


def lacks(run: str) -> str:
    return next((what for word, (what, there) in NEEDS.items() if re.search(rf"\b{word}\b", run) and not there), "")


@pytest.fixture(scope="module")
def result_of() -> Iterator[Callable[[str], subprocess.CompletedProcess[str]]]:
    """Run benchmarks beside each other, since most of them mostly wait.

    A worker of pytest-xdist starts only what its tests ask for: the other workers have the other tests.
    """

    def start(run: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *run.split()],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    at_once = () if "PYTEST_XDIST_WORKER" in os.environ else RUNS
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = {run: pool.submit(start, run) for run in at_once if not lacks(run)}
        yield lambda run: (started.get(run) or pool.submit(start, run)).result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("run", RUNS)
def test_a_benchmark_runs(run: str, result_of: Callable[[str], subprocess.CompletedProcess[str]]) -> None:
    if missing := lacks(run):
        pytest.skip(f"{missing} is not installed")

    done = result_of(run)

    # A target that is missed ends with 1, and is no matter here.
    assert done.returncode in (0, 1), done.stdout
    assert RUNS[run] in done.stdout, done.stdout
    # The vendor's SDK is not installed with all it needs where only the tests are to run.
    failed = [line for line in done.stdout.splitlines() if "FAILED:" in line and "vendor" not in line]
    assert failed == []
    assert "Traceback" not in done.stdout
    assert "Cannot be measured" not in done.stdout


def test_no_benchmark_is_left_out() -> None:
    modules = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - {"__init__", "__main__"}
    run = {word.rpartition(".")[2] for command in RUNS for word in command.split()[:2]}
    assert modules - PARTS <= run


def test_tests_import_nothing_of_the_benchmarks() -> None:
    importing = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
        if name.partition(".")[0] == "benchmarks"
    ]
    assert importing == []
