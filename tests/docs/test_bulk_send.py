"""The Python blocks of docs/bulk_send.md run, in order and in one namespace, against the sandbox."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async import BulkStatus
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = text_of("bulk_send.md")
BLOCKS = python_blocks(TEXT)


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "bulk_send"}
    async with Sandbox(numbers=1) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        sandbox.fail_next(422, match="POST /v3/messages", message="The recipient has opted out")
        for block in BLOCKS:
            await run_block(block, "bulk_send.md", names)
        assert len(sandbox.messages) == 1
    told = capsys.readouterr().out
    assert "1 of 2 accepted, 1 failed, 0 unknown, 0 not sent; 2 requests in" in told
    assert re.search(r"s 0\.01\n", told)
    assert "failed HTTP 422" in told
    assert "1 accepted, 0 requests" in told


def test_the_page_is_short_and_names_each_status() -> None:
    assert len(TEXT.splitlines()) <= 75
    rows = re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)
    assert rows == ["accepted", "failed", "unknown", "not_sent"]
    assert set(rows) < {str(status) for status in BulkStatus}
