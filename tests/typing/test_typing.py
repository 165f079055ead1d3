"""Run the type checkers over tests/typing: correct calls get the stated types, and wrong calls are rejected."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHECKED = ROOT / "tests" / "typing"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="mypy is not installed: pip install --group typing")
    # Only what is reported of these files counts: `make typecheck` looks at the package.
    done = run("mypy", "--strict", "--follow-imports=silent", f"--cache-dir={tmp_path}", str(CHECKED))

    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright(tmp_path: Path) -> None:
    if not importlib.util.find_spec("pyright"):
        pytest.skip("pyright is not installed: pip install --group typing")
    settings = tmp_path / "pyrightconfig.json"
    # Pyright must pass over `# type: ignore`, which is for mypy, and must report as an error every `# pyright: ignore`
    # that it does not need.
    settings.write_text(
        json.dumps(
            {
                "include": [os.path.relpath(CHECKED, tmp_path)],
                "extraPaths": [str(ROOT)],
                "pythonVersion": "3.11",
                "enableTypeIgnoreComments": False,
                "reportUnnecessaryTypeIgnoreComment": "error",
            }
        )
    )
    done = run("pyright", "--project", str(settings), "--pythonpath", sys.executable)
    if done.returncode not in {0, 1}:
        pytest.skip(f"pyright does not run here: {(done.stderr or done.stdout)[-200:]}")

    assert done.returncode == 0, done.stdout
    assert "No source files found" not in done.stdout + done.stderr


def test_every_ignore_names_its_error() -> None:
    lines = [line for path in CHECKED.glob("check_*.py") for line in path.read_text().splitlines() if "ignore" in line]
    ignores = [line for line in lines if "# type:" in line]

    assert len(ignores) >= 20
    assert all("# type: ignore[" in line and "# pyright: ignore[" in line for line in ignores)
