"""The Python blocks of docs/calls.md run against the sandbox."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from aiohttp import web

from tests.support.pages import python_blocks, run_block, text_of
from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox

TEXT = text_of("calls.md")
START, LOST, ANSWER, TEST = python_blocks(TEXT)


async def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "calls"}
    await run_block(block, "calls.md", names)
    return names


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> Any:
    async with Sandbox(numbers=1) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_WEBHOOK_SECRET", "a-secret-of-the-tests")
        yield sandbox


async def test_a_call_is_started_and_ends(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    await run(START)
    assert re.fullmatch(r"answered \d+ seconds, 0\.\d+ USD\n", capsys.readouterr().out)
    await run(START.replace("555-0143", "555-0486"))
    assert capsys.readouterr().out == "nothing to say: busy\nbusy 0 seconds, 0.000 USD\n"


async def test_a_lost_answer_is_settled_by_the_tag(sandbox: Sandbox) -> None:
    ring = (await run(LOST))["ring"]
    sandbox.fail_next("reset_after", match="POST /v1/calls")
    async with WavixClient() as wavix:
        call = await ring(wavix, "15125550143", "order-7")
        assert call is not None
        assert call.tag == "order-7"
    assert sandbox.stats.charges["POST /v1/calls"] == 1


async def test_an_inbound_call_is_answered(sandbox: Sandbox) -> None:
    names = await run(ANSWER.replace("timeout=10", "timeout=60"))  # a machine may be busy
    wavix, hooks = names["wavix"], names["hooks"]
    app = web.Application()
    hooks.add_to(app, "/wavix")
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        (number,) = sandbox.numbers.values()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/wavix{hooks.path()}"
        await wavix.numbers.update(number["id"], call_status_url=url)

        asked = asyncio.ensure_future(hooks.next(names["CallEvent"], event_type="on_call_event"))
        await asyncio.sleep(0)  # it waits now
        call = sandbox.inbound_call("+15125550143", number["number"])
        over = asyncio.ensure_future(wavix.calls.wait(call["id"], events=hooks))
        await asked
        sandbox.press(call["id"], "1")
        cdr = await over
        assert (cdr.disposition, cdr.call_id) == ("answered", call["id"])
    finally:
        await runner.cleanup()
        await wavix.close()
    tags = [event.body["tag"] for event in sandbox.outbox if event.kind == "on_call"]
    assert tags[-1] == "call back"


async def test_the_test(sandbox: Sandbox) -> None:
    async with WavixClient() as wavix:
        await (await run(TEST))["test_a_caller_asks_to_be_called_back"](wavix, sandbox)
