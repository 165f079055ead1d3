"""The command line as a process: signals, pipes, terminals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cyclopts")

import asyncio

from tests.support.cli import CLI, PATIENCE, Terminal, end, start, until_in_flight, until_said
from tests.support.soon import SOON
from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.csv"
    path.write_text("id,sms_enabled\n" + "".join(f"{number},yes\n" for number in range(1001, 2001)))
    return path


async def test_a_missing_key():
    code, out, err = await end(await start(None, "numbers", "list"))
    assert (code, out) == (2, "")
    assert "WAVIX_API_KEY" in err
    assert "Traceback" not in err


@pytest.mark.req_10
@pytest.mark.req_17
async def test_ctrl_c_stops_in_order(table: Path, tmp_path: Path):
    results = tmp_path / "results.ndjson"
    async with Sandbox(numbers=1000, latency=0.05) as sandbox:
        process = await start(
            sandbox, "numbers", "bulk-update", table, "--yes", "--json", "--concurrency", 4, "--output", results
        )
        await until_in_flight(sandbox, 20)
        process.send_signal(signal.SIGINT)
        code, out, err = await end(process)
        report = json.loads(out)
        written = sum(number["sms_enabled"] for number in sandbox.numbers.values())
    assert code == 130
    assert "Stopping: " in err
    assert "Traceback" not in err
    assert report["interrupted"] is True
    assert report["updated"] == written > 0
    assert (report["failed"], report["unknown"]) == (0, 0)
    assert report["updated"] + report["not_sent"] == report["total"] == 1000
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert len({row["id"] for row in rows}) == len(rows) == 1000
    assert Counter(row["status"] for row in rows) == {"updated": written, "not_sent": 1000 - written}


@pytest.mark.req_10
@pytest.mark.req_17
async def test_a_second_ctrl_c_ends_at_once(table: Path, tmp_path: Path):
    results = tmp_path / "results.csv"
    async with Sandbox(numbers=1000, latency=600) as sandbox:
        process = await start(
            sandbox, "numbers", "bulk-update", table, "--yes", "--json", "--output", results, grace=600
        )
        await until_in_flight(sandbox, 3)
        process.send_signal(signal.SIGINT)
        await until_said(process, "Stopping: ")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        code, out, err = await end(process)
        took = time.monotonic() - began
    report = json.loads(out)
    assert code == 130
    assert took < SOON
    assert "Traceback" not in err
    assert report["unknown"] >= 3
    assert report["unknown"] + report["not_sent"] == 1000
    statuses = Counter(line.split(",")[1] for line in results.read_text().splitlines()[1:])
    assert statuses == {"unknown": report["unknown"], "not_sent": report["not_sent"]}


@pytest.mark.req_10
@pytest.mark.req_17
async def test_ctrl_c_in_a_single_call():
    async with Sandbox(numbers=1, latency=600) as sandbox:
        process = await start(sandbox, "numbers", "get", 1001)
        await until_in_flight(sandbox, 1)
        process.send_signal(signal.SIGINT)
        assert await end(process) == (130, "", "wavix-async: Interrupted.\n")


async def test_a_pipe_that_is_closed_early():
    async with Sandbox(numbers=3000) as sandbox:
        process = await start(sandbox, "numbers", "list", "--json")
        assert process.stdout is not None
        assert process.stderr is not None
        await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        assert await asyncio.wait_for(process.stderr.read(), PATIENCE) == b""
        assert await process.wait() == 0


async def test_the_sandbox_serves_until_ctrl_c():
    process = await start(None, "sandbox", "--port", 0, "--numbers", 5, "--burst", 3, "--rate", 1000)
    assert process.stdout is not None
    lines = [(await asyncio.wait_for(process.stdout.readline(), PATIENCE)).decode().strip() for _ in range(2)]
    url, key = (re.fullmatch(rf"export {name}=(\S+)", line) for name, line in zip(
        ("WAVIX_BASE_URL", "WAVIX_API_KEY"), lines, strict=True
    ))  # fmt: skip
    assert url is not None
    assert key is not None
    environment = {**os.environ, "WAVIX_BASE_URL": url[1], "WAVIX_API_KEY": key[1]}
    listed = await asyncio.create_subprocess_exec(
        *CLI, "numbers", "list", "--json", stdout=subprocess.PIPE, env=environment
    )
    out, _ = await listed.communicate()
    assert [json.loads(line)["id"] for line in out.splitlines()] == [1001, 1002, 1003, 1004, 1005]
    process.send_signal(signal.SIGINT)
    code, _, err = await end(process)
    assert code == 0
    assert "A local Wavix simulator with 5 numbers (ids from 1001) is running" in err
    assert re.search(r"Its 2FA service has the id [0-9a-f]{32}\.", err)
    assert re.search(r"Requests +1 over 1 connections", err)


async def test_the_sandbox_has_calls_of_the_past_and_a_balance():
    process = await start(None, "sandbox", "--port", 0, "--cdrs", 4, "--balance", "7.5", "--json")
    assert process.stdout is not None
    made = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
    async with WavixClient(made["api_key"], base_url=made["url"]) as client:
        assert len(await client.recordings.list())
        assert (await client.profile.config.get()).balance == Decimal("7.5")
    process.send_signal(signal.SIGINT)
    assert (await end(process))[0] == 0


async def test_the_sandbox_on_a_port_that_is_taken():
    async with Sandbox() as sandbox:
        code, out, err = await end(await start(None, "sandbox", "--port", sandbox.url.rpartition(":")[2]))
    assert (code, out) == (2, "")
    assert "Cannot listen on port" in err


@pytest.fixture
async def small() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=50) as sandbox:
        yield sandbox


async def test_on_a_terminal_it_asks_and_shows_a_bar(small: Sandbox, tmp_path: Path):
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(map(str, small.numbers)))
    with Terminal(small, "numbers", "bulk-update", ids, "--sms-enabled") as terminal:
        await asyncio.to_thread(terminal.read_until, "[y/n]")
        asked = re.sub(r"\x1b\[[\d;]*m", "", terminal.shown)
        assert f"50 numbers at {small.url} will be changed (sms_enabled)." in asked
        assert small.stats.requests == 0
        terminal.type("y\n")
        await asyncio.to_thread(terminal.read_until, "Requests")
        assert await asyncio.to_thread(terminal.wait) == 0
    assert "100%" in terminal.shown
    assert "╭─" in terminal.shown
    assert all(number["sms_enabled"] for number in small.numbers.values())


async def test_on_a_terminal_no_means_no(small: Sandbox):
    with Terminal(small, "numbers", "release", 1001) as terminal:
        await asyncio.to_thread(terminal.read_until, "[y/n]")
        terminal.type("\n")
        await asyncio.to_thread(terminal.read_until, "Nothing was changed.")
        assert await asyncio.to_thread(terminal.wait) == 3
    assert 1001 in small.numbers
