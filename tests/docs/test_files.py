"""The Python blocks of docs/files.md run, in order and in one namespace, against the sandbox and a server of files."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.streams.server import answer, serving
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = (Path(__file__).parents[2] / "docs" / "files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


async def run(block: str, names: dict[str, Any]) -> None:
    result = eval(compile(block, "files.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(result):
        await result


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
            await run(
                "from wavix_async import WavixClient\n"
                "async with WavixClient() as wavix:\n"
                f"    await wavix.messages.send(from_='Acme', to='+15125550143', message_body={{'text': {text!r}}})",
                names,
            )
        await run(export, names)
        await run(table, names)
        assert (tmp_path / "messages.csv").read_text().count("+15125550143") == 2
        monkeypatch.setenv("WAVIX_BASE_URL", files.url)
        await run(download, names)
        assert (tmp_path / "call.mp3").read_bytes() == b"sound" * 100
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        await run(upload.replace("1001", str(next(iter(sandbox.numbers)))), names)
    told = capsys.readouterr().out
    assert "2 True" in told
    assert "None 500 audio/mpeg" in told
    assert "8 of 8 bytes" in told
