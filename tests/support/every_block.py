"""A plugin that fails the run if a Python block of the README or the docs was run by no test.

`pytest -p tests.support.every_block tests/docs tests/fastapi`, in one process. A block counts as run if a test
compiles it, writes it to a Python file, or gives it to a process. A test may change values in a block, such as an id:
most of the lines must be the same. Examples in docstrings are in `tests/docs/test_docstrings.py`.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.support.pages import python_blocks

ROOT: Final = pathlib.Path(__file__).parents[2]
# `CONTRIBUTING.md` shows parts of the package's own code, with `...` in them.
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md")))


class EveryBlock:
    """Remembers the blocks that tests run."""

    def __init__(self) -> None:
        self.left: dict[tuple[str, ...], str] = {}
        for page in PAGES:
            for at, block in enumerate(python_blocks(page.read_text(encoding="utf-8")), start=1):
                self.left[tuple(block.splitlines())] = f"{page.relative_to(ROOT).as_posix()}, block {at}"

    def saw(self, text: str) -> None:
        """Take the block that this text is, if any, from those that are left."""
        lines = text.splitlines()
        for block in [each for each in self.left if len(each) <= len(lines)]:
            same = sum(one == other for one, other in zip(block, lines, strict=False))
            # The whole text may be a page's blocks one after another, so look for the lines anywhere, too.
            if same >= 0.7 * len(block) or set(block) <= set(lines):
                del self.left[block]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.left and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for block, name in self.left.items():
            terminalreporter.write_line(f"NO TEST RUNS {name}: {next(filter(None, block))}", red=True)


def pytest_configure(config: pytest.Config) -> None:
    blocks = EveryBlock()
    config.pluginmanager.register(blocks)

    def audit(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "compile" and isinstance(arguments[0], str | bytes):
            source = arguments[0]
            blocks.saw(source if isinstance(source, str) else source.decode("utf-8", "replace"))

    sys.addaudithook(audit)
    written = pathlib.Path.write_text

    def write_text(self: pathlib.Path, data: str, *args: Any, **options: Any) -> int:
        if self.suffix == ".py":
            blocks.saw(data)
        return written(self, data, *args, **options)

    pathlib.Path.write_text = write_text  # type: ignore[method-assign]
    run = subprocess.run

    def run_with_input(*args: Any, **options: Any) -> Any:
        for block in _texts_of(options.get("input")):
            blocks.saw(block)
        return run(*args, **options)

    subprocess.run = run_with_input  # type: ignore[assignment]


def _texts_of(given: object) -> list[str]:
    """Return the texts of a list in JSON, which a test gives to a process; otherwise none."""
    try:
        found = json.loads(given) if isinstance(given, str) else []
    except ValueError:
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
