"""A plugin that fails the run if a Python block of the README or the docs was run by no test.

`pytest -p tests.support.every_block tests/docs tests/fastapi tests/site`, in one process. A block counts as run if a test
compiles it, or writes it to a file (which the test then runs, or else it would have no reason to write it). A test may
change values in a block, such as an id: most of the lines must be the same.
"""

from __future__ import annotations

import pathlib
import shutil
import sys
from typing import Any, Final

import pytest

from tests.support.pages import python_blocks

ROOT: Final = pathlib.Path(__file__).parents[2]
# `CONTRIBUTING.md` shows parts of the package's own code, with `...` in them.
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md")))
NEEDS: Final = {"docs/scaling.md": "redis-server"}


class EveryBlock:
    """Remembers the blocks that tests run."""

    def __init__(self) -> None:
        self.left: dict[tuple[str, ...], str] = {}
        for page in PAGES:
            for at, block in enumerate(python_blocks(page.read_text(encoding="utf-8")), start=1):
                name = page.relative_to(ROOT).as_posix()
                if name not in NEEDS or shutil.which(NEEDS[name]):
                    self.left[tuple(block.splitlines())] = f"{name}, block {at}"

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
