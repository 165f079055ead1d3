"""docs/testing.md: its service, its tests and the scripts without pytest run as pasted."""

import ast
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

TEXT = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SERVICE, *OTHERS = BLOCKS
TESTS = [block for block in OTHERS if "def test_" in block]
SCRIPTS = [block for block in OTHERS if "def test_" not in block]


def test_the_tests_pass_as_pasted_and_the_first_is_short(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    for at, block in enumerate(TESTS):
        (tmp_path / f"test_{at}.py").write_text(block)
    # The first is an error in starlette's own test client, unset the second is one of pytest-asyncio's.
    quiet = ("-W", "error", "-W", "ignore:Using `httpx` with `starlette.testclient`")
    scope = ("-o", "asyncio_default_fixture_loop_scope=function")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", *quiet, *scope],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith(("WAVIX", "PYTEST"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TEXT.count('def test_')} passed" in done.stdout
    assert len(TESTS[0].split("def test_")[1].strip().splitlines()) <= 10


@pytest.mark.parametrize("script", SCRIPTS)
async def test_what_needs_no_pytest_runs(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = eval(compile(script, "testing.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), {"__name__": "testing"})
    if inspect.isawaitable(result):
        await result
    if "print(" in script:
        assert capsys.readouterr().out == f"{list(range(1001, 1021))}\n"


def test_there_are_examples() -> None:
    assert (len(TESTS), len(SCRIPTS)) == (9, 2)
