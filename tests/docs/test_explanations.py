"""The Python blocks of the pages that explain: index, retries, rate_control, bulk_runs, reliability and scaling."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Sandbox]:
    monkeypatch.chdir(tmp_path)
    async with Sandbox(numbers=3) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        yield sandbox


async def run_page(page: str, **names: Any) -> dict[str, Any]:
    names["__name__"] = "page"
    for block in python_blocks(text_of(page)):
        await run_block(block, page, names)
    return names


async def test_index(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await run_page("index.md")
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_retries(sandbox: Sandbox) -> None:
    names = await run_page("retries.md")
    assert names["sent"].tag == "order-7"

    sandbox.fail_next("half_body")
    names = await run_page("retries.md")
    assert names["sent"].tag == "order-7"
    assert sandbox.stats.charges == {"POST /v3/messages": 2}


async def test_rate_control(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    names = await run_page("rate_control.md")
    await names["wavix"].close()
    assert capsys.readouterr().out == "47.5 0 0\n"


async def test_bulk_runs(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await run_page("bulk_runs.md")
    assert capsys.readouterr().out.startswith("3 of 3 updated, 0 failed, 0 unknown, 0 not sent")
    assert Path("failed.csv").exists()
    assert all(number["sms_enabled"] for number in sandbox.numbers.values())


@pytest.fixture
def quiet_log() -> Iterator[None]:
    """Take back what the block does with the logger."""
    logger = logging.getLogger("wavix_async")
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:], logger.level = handlers, level


@pytest.mark.usefixtures("quiet_log")
async def test_failures(capsys: pytest.CaptureFixture[str]) -> None:
    await run_page("failures.md", logging=logging)
    logging.getLogger("wavix_async").info("calls pause")
    assert capsys.readouterr().err == "calls pause - -\n"


async def test_scaling(sandbox: Sandbox) -> None:
    """Without a server on that port, too: no call fails because of Redis."""
    pytest.importorskip("redis", reason="the extra `redis` is not installed")
    await run_page("scaling.md")
