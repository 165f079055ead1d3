"""Every Python block of the README runs, in order and in one namespace, against the sandbox."""

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest

from wavix_async import NumberDestination, NumberUpdate, WavixClient
from wavix_async.sandbox import Sandbox

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_readme_has_examples():
    assert len(BLOCKS) >= 4


@pytest.mark.parametrize("index", range(len(BLOCKS)))
async def test_python_block_runs(index, monkeypatch, capsys):
    async with Sandbox(numbers=60, seed=1) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        await _run(BLOCKS[index])
        if "print(" in BLOCKS[index]:
            assert capsys.readouterr().out
        if "bulk_update" in BLOCKS[index] and "Sandbox" not in BLOCKS[index]:
            assert sandbox.stats.updates


async def _run(source: str) -> None:
    names = {
        "WavixClient": WavixClient,
        "NumberUpdate": NumberUpdate,
        "NumberDestination": NumberDestination,
        "__name__": "readme",
    }
    if "asyncio.run(" in source:
        # A loop inside a loop: the whole program gets a thread, and so a loop of its own.
        await asyncio.to_thread(exec, compile(source, "README.md", "exec"), names)
        return
    result = eval(compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(result):
        await result
