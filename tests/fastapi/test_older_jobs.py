"""A directory of jobs from the version before the new layout: unfinished jobs continue, the others are shown.

`tests/data/made_by_63b61a9/make.py` says how it was made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from tests.data.made_by_63b61a9 import make
from tests.support.jobs import connect, wait_for_state
from wavix_async.sandbox import Sandbox

CHANGED: dict[str, dict[str, Any]] = json.loads((make.HERE / "accounts.json").read_text(encoding="utf-8"))["jobs"]
IDS = range(1011, 1051)
"""Of the job that was under way."""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """An account as it was when the process was killed."""
    async with Sandbox(**{**make.SANDBOX, "latency": 0.0}) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {sandbox.api_key}"}) as session:
            for number, changed in CHANGED.items():
                async with session.patch(f"{sandbox.url}/v1/numbers/{number}", json=changed) as answer:
                    assert answer.status == 200
        sandbox.stats.updates.clear()
        yield sandbox


@pytest.fixture
async def client(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    shutil.copytree(make.HERE / "jobs", tmp_path / "jobs")
    async with (
        make.client_of(sandbox.url, sandbox.api_key) as wavix,
        connect(make.application(lambda: wavix, tmp_path / "jobs")) as client,
    ):
        yield client


async def test_all_jobs_are_shown_as_they_were_left(client: httpx.AsyncClient) -> None:
    jobs = (await client.get("/fleet/jobs")).json()["items"]

    assert [(job["state"], job["resumable"]) for job in jobs] == [
        ("interrupted", True),
        ("interrupted", True),
        ("done", False),
    ]
    under_way, planned, done = jobs
    assert under_way["report"]["updated"] + under_way["report"]["unknown"] == len(IDS)
    assert (planned["plan"]["changes"], planned["plan"]["unchanged"]) == (2, 0)
    assert done["report"] == {
        "updated": 10,
        "unchanged": 0,
        "failed": 0,
        "unknown": 0,
        "not_sent": 0,
        "pending": 0,
        "skipped": 0,
        "requests": 2,
        "rate_limited": 0,
        "elapsed": done["report"]["elapsed"],
        "stopped_by": None,
    }
    results = (await client.get(f"/fleet/jobs/{done['id']}/results")).json()
    assert results["total"] == 10
    assert results["items"][0] == {
        "id": 1001,
        "number": "15122000000",
        "status": "updated",
        "reason": None,
        "attempts": results["items"][0]["attempts"],
        "fields": [{"field": "sms_enabled", "before": False, "after": True}],
    }
    changes = (await client.get(f"/fleet/jobs/{planned['id']}/changes")).json()
    assert [(item["id"], item["fields"]) for item in changes["items"]] == [
        (number, [{"field": "sms_enabled", "before": False, "after": True}]) for number in (1060, 1061)
    ]


@pytest.mark.req_14
async def test_the_job_that_was_under_way_is_resumed(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    job = (await client.get("/fleet/jobs")).json()["items"][0]
    path = f"/fleet/jobs/{job['id']}"
    missing = [number for number in IDS if str(number) not in CHANGED]
    assert 0 < len(missing) < len(IDS)

    assert (await client.post(f"{path}/resume")).status_code == 202
    job = await wait_for_state(client, path)

    assert (job["state"], job["report"]["updated"]) == ("done", len(IDS))
    assert all(sandbox.numbers[number]["call_status_url"] == "https://hooks.example.com/jobs" for number in IDS)
    updates = {number: times for number, times in sandbox.stats.updates.items() if times}
    assert updates == dict.fromkeys(missing, 1)


@pytest.mark.req_14
async def test_the_job_that_waited_is_planned_again(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    job = (await client.get("/fleet/jobs")).json()["items"][1]
    path = f"/fleet/jobs/{job['id']}"

    assert (await client.post(f"{path}/resume")).status_code == 202
    await wait_for_state(client, path, "planned")
    await client.post(f"{path}/start")
    job = await wait_for_state(client, path)

    assert (job["state"], job["report"]["updated"]) == ("done", 2)
    assert sandbox.stats.updates == {1060: 1, 1061: 1}


@pytest.mark.req_18
async def test_the_job_that_had_ended_is_rolled_back(client: httpx.AsyncClient, sandbox: Sandbox) -> None:
    job = (await client.get("/fleet/jobs")).json()["items"][2]
    path = f"/fleet/jobs/{job['id']}"

    assert (await client.post(f"{path}/roll-back")).status_code == 202
    job = await wait_for_state(client, path)

    assert (job["state"], job["kind"], job["report"]["updated"]) == ("done", "roll-back", 10)
    assert not any(sandbox.numbers[number]["sms_enabled"] for number in range(1001, 1011))
