"""The Python blocks of docs/numbers_and_codes.md run against the sandbox."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox

TEXT = text_of("numbers_and_codes.md")
BUY, VALIDATE, LOGIN = python_blocks(TEXT)


async def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "numbers_and_codes"}
    await run_block(block, "numbers_and_codes.md", names)
    return names


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    async with Sandbox(numbers=1) as sandbox:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        yield sandbox


async def test_numbers_are_bought(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await run(BUY)
    assert capsys.readouterr().out == "3 bought for 3.00 USD; () ()\n"
    assert len(sandbox.numbers) == 4


async def test_a_list_is_validated(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await run(VALIDATE)
    *failed, last = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in failed] == ["15125550041", "15125550042"]
    assert re.fullmatch(r"2498 of 2500 done, 2 failed, 0 unknown, .* - 12\.490 USD", last)
    await run(VALIDATE)
    assert len(sandbox.requests_to("POST /v1/validation")) == 3


async def test_a_person_logs_in(sandbox: Sandbox) -> None:
    (service,) = sandbox.two_fa_services
    names = await run(re.sub(r"7204\w+", service, LOGIN))
    async with WavixClient() as wavix:
        session = await names["send_code"](wavix, "+1 (512) 555-0143")
        code = sandbox.code(session)
        wrong = f"{(int(code) + 1) % 10**6:06}"
        assert not await names["is_right"](wavix, session, wrong)
        assert await names["is_right"](wavix, session, code)
        session = await names["send_code"](wavix, "+1 (512) 555-0143")
        assert [await names["is_right"](wavix, session, "none") for _ in range(6)] == [False] * 6


def test_the_page_is_one_screen() -> None:
    assert len(TEXT.splitlines()) < 90
