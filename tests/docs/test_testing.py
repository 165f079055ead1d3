"""docs/testing.md: its service, its tests and the scripts without pytest run as pasted."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from tests.support.pages import python_blocks, run_block, run_pasted, text_of

TEXT = text_of("testing.md")
SERVICE, *OTHERS = python_blocks(TEXT)
TESTS = [block for block in OTHERS if "def test_" in block]
SCRIPTS = [block for block in OTHERS if "def test_" not in block]


AFTER = """
from service import app


def test_the_service_is_as_it_was():
    assert app.dependency_overrides == {}
"""
"""A test that comes last: none may get the client of a test that has ended."""


def test_the_tests_pass_as_pasted_and_the_first_is_short(tmp_path: Path) -> None:
    pasted = {f"test_{at}": block for at, block in enumerate(TESTS)}
    done = run_pasted(tmp_path, service=SERVICE, **pasted, test_after=AFTER)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TEXT.count('def test_') + 1} passed" in done.stdout
    assert len(TESTS[0].split("def test_")[1].strip().splitlines()) <= 10


@pytest.mark.parametrize("script", SCRIPTS)
async def test_what_needs_no_pytest_runs(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "testing"}
    await run_block(script, "testing.md", names)
    if "print(" in script:
        assert capsys.readouterr().out == f"{list(range(1001, 1021))}\n"


def test_there_are_examples() -> None:
    assert (len(TESTS), len(SCRIPTS)) == (9, 2)
