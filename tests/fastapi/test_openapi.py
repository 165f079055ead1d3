"""The OpenAPI of everything that we add to an application equals the stored file, byte by byte.

The file's names and types are those of version 63b61a9. Since then, descriptions have changed, `confirm` has become
`hold`, a plan has a `digest`, a report has `skipped`, and a POST is refused without JSON (415) and beyond the limit
(429). pydantic finds the docstrings of fields through the module of the base class: a class that moves may lose them.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from fastapi import FastAPI

FASTAPIS = {"HTTPValidationError", "ValidationError"}
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


def test_every_field_has_a_description() -> None:
    """The schemas of the router, and of the models that routes take and answer; FastAPI's own have none."""
    app: FastAPI = runpy.run_path(str(DATA / "openapi.py"), run_name="openapi")["app"]
    schemas = app.openapi()["components"]["schemas"]
    bare = [name for name, schema in schemas.items() if not schema.get("description")]
    fields = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        for field, described in schema.get("properties", {}).items()
        if name not in FASTAPIS and not described.get("description")
    ]
    assert set(bare) <= FASTAPIS | {"JsonValue"}
    assert fields == []
    assert {"Job", "JobPlan", "JobProgress", "ChangeSet", "Number", "NumberPage", "NumberUpdate"} <= set(schemas)
