"""The pages of `docs/`, and their Python blocks, which run with `await` at the top level, as in a notebook."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).parents[2] / "docs"


def text_of(page: str) -> str:
    """Return the text of a page, such as `messages.md`."""
    return (DOCS / page).read_text(encoding="utf-8")


def python_blocks(text: str) -> list[str]:
    """Return the Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


async def run_block(block: str, page: str, names: dict[str, Any]) -> None:
    """Run a block with these names, and add those that it defines; `page` is for tracebacks."""
    result = eval(compile(block, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(result):
        await result


def run_pasted(directory: Path, **files: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in an empty directory, without any settings, on files pasted from a page; a warning is an error."""
    for name, content in files.items():
        (directory / f"{name}.py").write_text(content, encoding="utf-8")
    # Starlette asks for httpx2, as the page does; it may be missing here.
    quiet = () if importlib.util.find_spec("httpx2") else ("-W", "ignore:Using `httpx` with `starlette.testclient`")
    # Without this option pytest-asyncio warns; it is a warning only, and here an error.
    scope = ("-o", "asyncio_default_fixture_loop_scope=function")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-W", "error", *quiet, *scope],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if not name.startswith(("WAVIX", "PYTEST"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
