"""The OpenAPI of everything that we add to an application equals the stored file, byte by byte.

The file's names and types are those of version 63b61a9; only descriptions and `skipped` have changed since. pydantic
finds the docstrings of fields through the module of the base class, so a class that moves may lose them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"


def test_the_openapi_has_not_changed() -> None:
    """Users generate clients from it. To change a description, run `tests/data/openapi.py` again."""
    before = (DATA / "openapi_63b61a9.json").read_text(encoding="utf-8")
    for name, written_by in json.loads(before)["versions"].items():
        if version(name) != written_by:
            pytest.skip(f"the file was written with {name} {written_by}, and this is {version(name)}")

    done = subprocess.run(
        [sys.executable, DATA / "openapi.py"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(DATA.parents[1])},
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(before)
    assert done.stdout == before
