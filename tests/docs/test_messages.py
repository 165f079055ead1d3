"""The Python blocks of docs/messages.md run, in order and in one namespace, against the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = text_of("messages.md")
BLOCKS = python_blocks(TEXT)


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
            await run_block(block, "messages.md", names)
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
