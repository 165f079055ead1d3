"""The Python blocks of docs/messages.md run, in order and in one namespace, against the sandbox."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


async def run(block: str, names: dict[str, Any]) -> None:
    result = eval(compile(block, "messages.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(result):
        await result


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "messages"}
    async with Sandbox(numbers=1) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        sandbox.receive("+15125550143", "12565378257", "Thank you")
        for block in BLOCKS:
            if "find_sent" in block:
                sandbox.fail_next("reset_after", match="POST /v3/messages")
            await run(block, names)
        assert [message["tag"] for message in sandbox.messages.values()][:3] == [None, "order-7", "greeting-7"]
        assert sandbox.stats.charges["POST /v3/messages"] == 4
        assert names["opted_out"] == {"15125550199"}
        assert list(sandbox.opt_outs) == [("15125550199", None)]
    shown = capsys.readouterr().out
    assert " accepted 1 0.01\n" in shown
    assert "UCS-2 22 1 48\n🚚\nFalse\nsent\n" in shown
    assert "2 of 2 accepted" in shown
    assert "Thank you" in shown
    assert names["message"].status == "delivered"
    assert (tmp_path / "undelivered.csv").exists()
