"""Jobs in server processes that are killed, asked to end, or share a directory; the sandbox knows the truth."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.support.jobs import JSON, post_job, read_events, wait_for_state
from tests.support.soon import SOON
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

ROOT = Path(__file__).parents[2]
IDS = range(1001, 1251)


@asynccontextmanager
async def process(sandbox: Sandbox, directory: Path) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """Start a server, yield it and a client for it, and close both."""
    environment = {**os.environ, "WAVIX_API_KEY": sandbox.api_key, "WAVIX_BASE_URL": sandbox.url}
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.job_server",
        str(directory),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        url = (await server.stdout.readline()).decode().strip()
        async with httpx.AsyncClient(base_url=url, headers=JSON) as client:
            yield server, client
    finally:
        if server.returncode is None:
            server.kill()
        _, said = await server.communicate()
    assert said == b""


def sandbox() -> Sandbox:
    # 250 numbers, four at a time, take a second and a quarter.
    return Sandbox(numbers=1000, latency=0.02)


def assert_as_wanted(sandbox: Sandbox) -> None:
    """Hold all numbers against what was wanted: those that were named, and no other, and at most twice each."""
    assert {number_id for number_id, number in sandbox.numbers.items() if number["sms_enabled"]} == set(IDS)
    assert set(sandbox.stats.updates) == set(IDS)
    assert set(sandbox.stats.updates.values()) <= {1, 2}
    assert sum(sandbox.stats.updates.values()) <= len(IDS) + 4


@pytest.mark.req_14
async def test_a_server_is_killed_and_the_next_one_resumes(tmp_path: Path):
    """Requirement 14: a SIGKILL loses nothing, and only requests that were on the wire may be sent twice."""
    async with sandbox() as account:
        async with process(account, tmp_path) as (server, client):
            path = await post_job(client, IDS, concurrency=4)
            while len(account.stats.updates) < 60:
                await asyncio.sleep(0.005)
            assert (await client.get(path)).json()["state"] == "running"
            server.kill()
            await server.wait()
        killed_at = len(account.stats.updates)
        assert 60 <= killed_at < len(IDS)
        async with process(account, tmp_path) as (_, client):
            job = (await client.get(path)).json()
            assert (job["state"], job["resumable"]) == ("interrupted", True)
            assert sum(job["report"][name] for name in ("updated", "unknown", "not_sent")) == len(IDS)
            assert job["report"]["updated"] <= killed_at
            assert (await client.get("/fleet/jobs")).json() == {"items": [job]}
            assert (await client.post(f"{path}/resume")).status_code == 202
            job = await wait_for_state(client, path)
            assert (job["state"], job["report"]["updated"], job["resumable"]) == ("done", len(IDS), False)
            results = (await client.get(f"{path}/results?limit=1000")).json()
            assert [result["id"] for result in results["items"]] == list(IDS)
            assert {result["status"] for result in results["items"]} == {"updated"}
        assert_as_wanted(account)


async def test_a_server_that_has_to_end_waits_for_no_reader_and_ends_its_jobs_in_order(tmp_path: Path):
    async with sandbox() as account:
        async with process(account, tmp_path) as (server, client):
            path = await post_job(client, IDS, concurrency=4)
            events: list[Any] = []
            async with client.stream("GET", f"{path}/events") as answer:
                async for event in read_events(answer):
                    events.append(event)
                    if len(account.stats.updates) >= 20 and server.returncode is None:
                        server.terminate()
            # The stream has come to its end, and without saying that the job had.
            assert {name for name, _, _ in events} == {"job"}
            async with asyncio.timeout(SOON):
                await server.wait()
        sent = len(account.stats.updates)
        assert 20 <= sent < len(IDS)
        assert account.stats.in_flight == 0
        async with process(account, tmp_path) as (_, client):
            job = (await client.get(path)).json()
            assert (job["state"], job["report"]["updated"]) == ("interrupted", sent)
            await client.post(f"{path}/resume")
            assert (await wait_for_state(client, path))["state"] == "done"
        assert_as_wanted(account)
        assert set(account.stats.updates.values()) == {1}


async def test_processes_share_a_directory_and_one_goes_on_where_another_was_killed(tmp_path: Path):
    async with sandbox() as account, AsyncExitStack() as ending:
        server, one = await ending.enter_async_context(process(account, tmp_path))
        _, other = await ending.enter_async_context(process(account, tmp_path))
        path = await post_job(one, IDS, concurrency=4)
        async with other.stream("GET", f"{path}/events") as answer:
            states = []
            async for name, _, data in read_events(answer):
                if name == "job":
                    states.append(data["state"])
                if name == "job" and len(account.stats.updates) > 40 and server.returncode is None:
                    assert (await other.post(f"{path}/resume")).status_code == 409
                    server.kill()
                    await server.wait()
            assert (name, data) == ("end", "interrupted")
        assert states[-1] == "interrupted"
        assert (await other.post(f"{path}/resume")).status_code == 202
        assert (await wait_for_state(other, path))["report"]["updated"] == len(IDS)
        assert_as_wanted(account)
