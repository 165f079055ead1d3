"""The Python blocks of docs/files.md run, in order and in one namespace, against the sandbox and a server of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.streams.server import answer, serving
from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = text_of("files.md")
BLOCKS = python_blocks(TEXT)


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "passport.pdf").write_bytes(b"%PDF-1.7")
    names: dict[str, Any] = {"__name__": "files", "call_id": "46a2"}
    export, table, download, upload = BLOCKS
    async with Sandbox(numbers=1) as sandbox, serving(answer(b"sound" * 100)) as files:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        for text in ("one", "two"):
            await run_block(
                "from wavix_async import WavixClient\n"
                "async with WavixClient() as wavix:\n"
                f"    await wavix.messages.send(from_='Acme', to='+15125550143', message_body={{'text': {text!r}}})",
                "files.md",
                names,
            )
        await run_block(export, "files.md", names)
        await run_block(table, "files.md", names)
        assert (tmp_path / "messages.csv").read_text().count("+15125550143") == 2
        monkeypatch.setenv("WAVIX_BASE_URL", files.url)
        await run_block(download, "files.md", names)
        assert (tmp_path / "call.mp3").read_bytes() == b"sound" * 100
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        await run_block(upload.replace("1001", str(next(iter(sandbox.numbers)))), "files.md", names)
    told = capsys.readouterr().out
    assert "2 True" in told
    assert "None 500 audio/mpeg" in told
    assert "8 of 8 bytes" in told
