"""The Python blocks of docs/account.md run, in order and in one namespace, against the sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    import pytest

TEXT = text_of("account.md")
BLOCKS = python_blocks(TEXT)


async def test_python_blocks_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept: list[str] = []
    names: dict[str, Any] = {"__name__": "account", "password": "not-a-real-password", "keep": kept.append}
    async with Sandbox(numbers=0) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        for block in BLOCKS:
            await run_block(block, "account.md", names)

    told = capsys.readouterr().out
    for line in (" Office Digest active 0.0", "['Account top-up: 100.0']", " USD, 8 calls at once"):
        assert line in told
    (trunk,) = sandbox.trunks.values()
    assert (trunk["call_recording_enabled"], trunk["max_channels"]) == (True, 10)
    (key,) = sandbox.api_keys.values()
    assert (key["active"], key["restricted"], key["billing"]) == (False, True, {"allow": "read"})
    assert kept[0].endswith(key["value"][-4:])
    (branch,) = sandbox.sub_organizations.values()
    assert (branch["name"], branch["status"]) == ("Branch", "disabled")
