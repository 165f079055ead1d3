"""The Python blocks of docs/recordings.md run, in order and in one namespace, against the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = text_of("recordings.md")
CDRS, RECORDINGS, TRANSCRIPTIONS = python_blocks(TEXT)


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
            await run_block(block, "recordings.md", names)
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
