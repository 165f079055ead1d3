"""The Python blocks of docs/ten_dlc.md run, in order and in one namespace, against the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = text_of("ten_dlc.md")
BLOCKS = python_blocks(TEXT)


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "ten_dlc"}
    async with Sandbox(numbers=3) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        sandbox.change(1001, label="Shop")
        sandbox.change(1003, label="Shop")
        for block in BLOCKS:
            await run_block(block, "ten_dlc.md", names)
        linked = [sandbox.numbers[each]["number"] for each in (1001, 1003)]
        assert {each["sender_id"] for each in sandbox.sender_ids.values()} == {*linked}
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["VERIFIED None", "APPROVED None"]
    assert shown[2].startswith("2 of 2 accepted")
    assert shown[3:] == [f"{number} APPROVED" for number in linked]
    assert names["fee"] == 10
