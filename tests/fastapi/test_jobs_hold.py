"""Jobs on hold: they take nothing, outlive their process, and only the plan that was reviewed is carried out."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.job_stores import MemoryJobStore
from tests.support.jobs import application, connect, connect_over_socket, post_job, read_events, wait_for_state
from wavix_async.fastapi._jobs import FileJobStore, JobRecords
from wavix_async.sandbox import Sandbox


def holdings(directory: Path) -> tuple[int, set[str]]:
    """Return the number of threads with a database, and the open files of jobs."""
    threads = sum(thread.name.startswith("wavix-sqlite") for thread in threading.enumerate())
    files = {os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()}
    return threads, {file for file in files if str(directory) in file or "etilqs" in file}


@pytest.mark.skipif(sys.platform != "linux", reason="the files of a process are in /proc")
async def test_jobs_on_hold_take_no_thread_and_no_open_file(tmp_path: Path):
    """Each had a thread and several files for an hour: with 128 descriptors, the 119th failed with a 500."""
    async with Sandbox(numbers=300) as sandbox, connect(application(sandbox, tmp_path, jobs={"kept": 100})) as client:
        paths = []
        for number in range(1001, 1007):
            paths.append(await post_job(client, [number], hold=True))
            await wait_for_state(client, paths[-1], "planned")
        assert holdings(tmp_path) == (0, set())
        assert len((await client.get("/fleet/jobs")).json()["items"]) == 6
        for path in paths:
            assert (await client.post(f"{path}/start")).status_code == 202
            await wait_for_state(client, path)
        assert sandbox.stats.updates == dict.fromkeys(range(1001, 1007), 1)


async def test_a_job_on_hold_outlives_its_process(tmp_path: Path):
    async with Sandbox(numbers=100) as sandbox:
        async with connect(application(sandbox, tmp_path)) as client:
            path = await post_job(client, [1001, 1002], hold=True)
            planned = await wait_for_state(client, path, "planned")
        async with connect(application(sandbox, tmp_path)) as client:
            assert (await client.get(path)).json() == planned
            assert [change["id"] for change in (await client.get(f"{path}/changes")).json()["items"]] == [1001, 1002]
            assert (await client.post(f"{path}/start")).status_code == 202
            assert (await wait_for_state(client, path))["report"]["updated"] == 2


@pytest.mark.req_15
async def test_a_plan_that_has_become_another_is_not_carried_out():
    async with Sandbox(numbers=100) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, [1001, 1002], hold=True)
        planned = await wait_for_state(client, path, "planned")
        # A colleague makes one of the two changes.
        sandbox.change(1002, sms_enabled=True)
        await client.post(f"{path}/start")
        job = await wait_for_state(client, path)
        assert (job["state"], job["error"]["type"], job["error"]["status"]) == ("failed", "/problems/stale-plan", 409)
        assert (job["plan"], job["resumable"], sandbox.stats.updates) == (planned["plan"], True, {})

        await client.post(f"{path}/resume")
        job = await wait_for_state(client, path, "planned")
        assert (job["plan"]["changes"], job["plan"]["unchanged"]) == (1, 1)
        assert job["plan"]["digest"] != planned["plan"]["digest"]
        # What does not belong to the plan may change.
        sandbox.change(1050, label="support")
        await client.post(f"{path}/start")
        assert (await wait_for_state(client, path))["report"]["updated"] == 1


async def test_a_job_on_hold_is_cancelled_at_once_also_by_another_process(tmp_path: Path):
    async with (
        Sandbox(numbers=100) as sandbox,
        connect(application(sandbox, tmp_path)) as one,
        connect(application(sandbox, tmp_path)) as other,
    ):
        for client in (one, other):
            path = await post_job(one, [1001], hold=True)
            await wait_for_state(one, path, "planned")
            cancelled = await client.post(f"{path}/cancel")
            assert (cancelled.status_code, cancelled.json()["state"]) == (202, "stopped")
            job = (await one.get(path)).json()
            assert (job["state"], job["resumable"]) == ("stopped", True)
            assert (await other.post(f"{path}/start")).status_code == 409
        assert not sandbox.stats.updates


async def test_a_cancellation_that_comes_when_the_plan_is_ready_is_not_lost(tmp_path: Path):
    class SlowStore(MemoryJobStore):
        is_writing = threading.Event()
        may_write = threading.Event()

        def write(self, job_id: str, part: Any, chunks: Any) -> None:
            super().write(job_id, part, chunks)
            if part == "job" and b'"planned"' in self.parts[job_id, "job"]:
                self.is_writing.set()
                self.may_write.wait()

    store = SlowStore(tmp_path)
    async with Sandbox(numbers=100) as sandbox, connect(application(sandbox, jobs={"store": store})) as client:
        path = await post_job(client, [1001], hold=True)
        while not store.is_writing.is_set():
            await asyncio.sleep(0.001)
        assert (await client.post(f"{path}/cancel")).status_code == 202
        store.may_write.set()
        assert (await wait_for_state(client, path, "stopped"))["resumable"]


async def test_only_one_of_two_processes_starts_a_job(tmp_path: Path):
    async with (
        Sandbox(numbers=100, latency=0.02) as sandbox,
        connect(application(sandbox, tmp_path)) as one,
        connect(application(sandbox, tmp_path)) as other,
    ):
        path = await post_job(one, range(1001, 1011), hold=True)
        await wait_for_state(one, path, "planned")
        answers = await asyncio.gather(*(client.post(f"{path}/start") for client in (one, other)))
        assert sorted(answer.status_code for answer in answers) == [202, 409]
        assert (await wait_for_state(other, path))["report"]["updated"] == 10
        assert set(sandbox.stats.updates.values()) == {1}


async def test_a_stream_of_a_job_on_hold_goes_on_when_it_is_started(monkeypatch: pytest.MonkeyPatch):
    # A process hears at once of what it begins itself: it need not look into the store.
    monkeypatch.setattr("wavix_async.fastapi._jobs.manager._POLL", 3600.0)
    monkeypatch.setattr("wavix_async.fastapi._jobs.event_stream._CHECK_INTERVAL", 3600.0)
    async with Sandbox(numbers=100) as sandbox, connect_over_socket(application(sandbox)) as client:
        for end, last in (("start", "done"), ("cancel", "stopped")):
            path = await post_job(client, [1001 if end == "start" else 1002], hold=True)
            await wait_for_state(client, path, "planned")
            events = []
            async with client.stream("GET", f"{path}/events") as answer:
                async for name, _, data in read_events(answer):
                    events.append((name, data))
                    if len(events) == 1:
                        assert data["state"] == "planned"
                        assert (await client.post(f"{path}/{end}")).status_code == 202
            assert events[-1] == ("end", last)


async def test_the_old_name_is_refused_with_the_new_one_and_nothing_begins():
    async with Sandbox(numbers=10) as sandbox, connect(application(sandbox)) as client:
        for value in (True, False, None):
            changes = [{"ids": [1001], "set": {"sms_enabled": True}}]
            answer = await client.post("/fleet/jobs", json={"changes": changes, "confirm": value})
            assert answer.status_code == 422
            (problem,) = answer.json()["detail"]
            assert problem["loc"] == ["body", "confirm"]
            assert "`hold`" in problem["msg"]
        assert (await client.get("/fleet/jobs")).json() == {"items": []}
    assert sandbox.stats.requests == 0


@pytest.mark.parametrize("hold", [True, False])
async def test_the_name_in_files_is_that_of_the_first_version(tmp_path: Path, *, hold: bool):
    async with Sandbox(numbers=100, latency=0.05) as sandbox, connect(application(sandbox, tmp_path)) as client:
        path = await post_job(client, [1001], hold=hold)
        job_id = path.rpartition("/")[2]
        asked = json.loads((tmp_path / f"{job_id}.request").read_bytes())
        request = JobRecords(FileJobStore(tmp_path)).read_request(job_id)
        await client.post(f"{path}/cancel")
        await wait_for_state(client, path)
    assert (asked["confirm"], "hold" in asked) == (hold, False)
    assert request is not None
    assert (request.hold, request.changes[0].ids) == (hold, [1001])
