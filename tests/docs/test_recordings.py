"""The Python blocks of docs/recordings.md run, in order and in one namespace, against the sandbox."""

from __future__ import annotations

import ast
import inspect
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "recordings.md").read_text(encoding="utf-8")
CDRS, RECORDINGS, TRANSCRIPTIONS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "meeting.wav").write_bytes(b"RIFF")
    async with Sandbox(numbers=0) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
        ours = {"from_": "14155550100", "to": "13125551000", "began": noon}
        call = sandbox.add_call(**ours, transcription=True, speech=[("client", "I want a refund.")])  # type: ignore[arg-type]
        sandbox.add_call(**ours, disposition="busy")  # type: ignore[arg-type]
        sandbox.add_call(**ours, type="placed")  # type: ignore[arg-type]
        names: dict[str, Any] = {"__name__": "recordings", "call_id": call["call_id"]}
        for block in (CDRS, RECORDINGS, TRANSCRIPTIONS):
            result = eval(compile(block, "recordings.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
            if inspect.isawaitable(result):
                await result
    told = capsys.readouterr().out
    for line in (
        f"{call['call_id']} 14155550100 answered 60 0.020",
        "1 calls",
        "1 callers want a refund",
        "2 of 2 done, 0 failed",
        "14155550100 I want a refund.",
        "Hi there Hello",
    ):
        assert line in told
    assert told.count(" busy ") == 1
    assert (tmp_path / "recordings" / f"{call['call_id']}.mp3").read_bytes() == (tmp_path / "call.mp3").read_bytes()
