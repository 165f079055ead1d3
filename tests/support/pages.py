"""The pages of `docs/`, and their Python blocks, which run with `await` at the top level, as in a notebook."""

from __future__ import annotations

import ast
import inspect
import re
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
