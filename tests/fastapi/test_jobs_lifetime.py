"""Jobs outlive requests and applications, and other applications in the same directory can resume them."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.jobs import application, connect, connect_over_socket, post_job, read_events, wait_for_state
from tests.support.soon import SOON
from wavix_async.fastapi._jobs import on_shutdown_signal
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = {"latency": 0.02, "numbers": 1000}


async def test_a_job_ends_in_order_with_its_application_and_is_resumed_by_the_next(tmp_path: Path):
    async with Sandbox(**RUNNING) as sandbox:
        async with connect(application(sandbox, tmp_path)) as client:
            path = await post_job(client, range(1001, 1301), concurrency=4)
            while len(sandbox.stats.updates) < 20:
                await asyncio.sleep(0.01)
        sent = len(sandbox.stats.updates)
        assert 20 <= sent < 300
        assert sandbox.stats.in_flight == 0
        async with connect(application(sandbox, tmp_path)) as client:
            job = (await client.get(path)).json()
            assert (job["state"], job["resumable"], job["error"]) == ("interrupted", True, None)
            # The client was still open when the last answers came, and all of them were noted.
            assert (job["report"]["updated"], job["report"]["not_sent"]) == (sent, 300 - sent)
            assert (await client.get("/fleet/jobs")).json()["items"] == [job]
            assert (await client.post(f"{path}/resume")).status_code == 202
            assert (await wait_for_state(client, path))["state"] == "done"
        assert sandbox.stats.updates == dict.fromkeys(range(1001, 1301), 1)


async def test_a_job_that_was_not_planned_is_planned_again_by_the_next_application(tmp_path: Path):
    async with Sandbox(**RUNNING) as sandbox:
        async with connect(application(sandbox, tmp_path)) as client:
            path = await post_job(client, range(1001, 1101), hold=True)
            await wait_for_state(client, path, "planning")
        async with connect(application(sandbox, tmp_path)) as client:
            job = (await client.get(path)).json()
            assert (job["state"], job["resumable"], job["report"]) == ("interrupted", True, None)
            assert (await client.post(f"{path}/start")).status_code == 409
            await client.post(f"{path}/resume")
            assert (await wait_for_state(client, path, "planned"))["plan"]["changes"] == 100
            assert not sandbox.stats.updates
            await client.post(f"{path}/start")
            assert (await wait_for_state(client, path))["report"]["updated"] == 100


async def test_a_job_leaves_no_task_and_no_thread():
    async with Sandbox(numbers=10) as sandbox, connect(application(sandbox)) as client:
        await wait_for_state(client, await post_job(client, [1001]))
        before = await _settled()
        for number_id in range(1002, 1008):
            path = await post_job(client, [number_id], hold=number_id % 2 == 0)
            if number_id % 2 == 0:
                await wait_for_state(client, path, "planned")
                await client.post(f"{path}/cancel")
            await wait_for_state(client, path)
        assert await _settled() == before


async def _settled() -> tuple[int, int]:
    """Return how many tasks and threads of ours there are, when those are through that have just come to their end."""
    found: tuple[int, int] | None = None
    while True:
        threads = sum(thread.name.startswith("wavix") for thread in threading.enumerate())
        before, found = found, (len(asyncio.all_tasks()), threads)
        if found == before:
            return found
        await asyncio.sleep(0.2)


async def test_the_signals_of_a_process_are_heard_and_left_to_their_handlers():
    came: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append("theirs"))
    theirs = signal.getsignal(signal.SIGTERM)
    try:
        with on_shutdown_signal(lambda: came.append("ours")):
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert came == ["theirs", "ours"]
        assert signal.getsignal(signal.SIGTERM) is theirs
        with on_shutdown_signal(lambda: came.append("ours")):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # A handler that has taken it over meanwhile keeps it.
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        with on_shutdown_signal(lambda: came.append("ours")):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        await asyncio.to_thread(lambda: asyncio.run(_hear_nothing()))
    finally:
        signal.signal(signal.SIGTERM, before)


async def _hear_nothing() -> None:
    with on_shutdown_signal(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


async def test_what_takes_longer_than_the_grace_is_cut_off_and_settled_later(tmp_path: Path):
    async with Sandbox(numbers=100) as sandbox:
        loop = asyncio.get_running_loop()
        async with connect(application(sandbox, tmp_path, grace=0.2)) as client:
            path = await post_job(client, range(1001, 1011), hold=True)
            await wait_for_state(client, path, "planned")
            sandbox.fail_next("stall", 10, "PATCH")
            await client.post(f"{path}/start")
            # All of them: an order that is left over would hold up those of the resumed run.
            while sandbox.stats.in_flight < 10:
                await asyncio.sleep(0.01)
            began = loop.time()
        assert loop.time() - began < SOON
        async with connect(application(sandbox, tmp_path)) as client:
            job = (await client.get(path)).json()
            assert (job["state"], job["resumable"]) == ("interrupted", True)
            await client.post(f"{path}/resume")
            assert (await wait_for_state(client, path))["report"]["updated"] == 10


async def test_a_job_outlives_the_request_that_began_it():
    async with Sandbox(**RUNNING) as sandbox, connect_over_socket(application(sandbox)) as client:
        changes = [{"ids": list(range(1001, 1051)), "set": {"sms_enabled": True}}]
        # A client that leaves before the answer has come does not know the job, and it is there.
        request = client.build_request("POST", "/fleet/jobs", json={"changes": changes})
        posting = asyncio.create_task(client.send(request))
        while not sandbox.stats.requests:
            await asyncio.sleep(0.001)
        posting.cancel()
        (job,) = (await client.get("/fleet/jobs")).json()["items"]
        assert (await wait_for_state(client, f"/fleet/jobs/{job['id']}"))["report"]["updated"] == 50


async def test_two_applications_share_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("wavix_async.fastapi._jobs.manager._POLL", 0.1)
    async with (
        # Slow: on a busy machine, too, the job runs when the other application cancels it.
        Sandbox(latency=0.06, numbers=1000) as sandbox,
        connect_over_socket(application(sandbox, tmp_path)) as one,
        connect_over_socket(application(sandbox, tmp_path)) as other,
    ):
        path = await post_job(one, range(1001, 1201), concurrency=4, hold=True)
        job = await wait_for_state(other, path, "planned")
        assert job["plan"]["changes"] == 200
        assert (await other.get(f"{path}/changes?limit=1000")).json() == (
            await one.get(f"{path}/changes?limit=1000")
        ).json()
        assert (await other.post(f"{path}/resume")).status_code == 409

        events = []
        async with other.stream("GET", f"{path}/events") as answer:
            async for name, _, data in read_events(answer):
                events.append((name, data))
                if len(events) == 1:
                    assert (await other.post(f"{path}/start")).status_code == 202
                if name == "job" and (data["progress"] or {}).get("updated", 0) > 20 and data["state"] == "running":
                    assert (await other.post(f"{path}/resume")).status_code == 409
                    assert (await other.post(f"{path}/cancel")).status_code == 202
        assert events[-1] == ("end", "stopped")
        assert len(events) > 4
        job = (await one.get(path)).json()
        assert events[-2] == ("job", job)
        assert (await other.get("/fleet/jobs")).json() == (await one.get("/fleet/jobs")).json() == {"items": [job]}
        assert 20 < job["report"]["updated"] < 200

        assert (await other.post(f"{path}/resume")).status_code == 202
        assert (await one.post(f"{path}/resume")).status_code == 409
        assert (await wait_for_state(one, path))["report"]["updated"] == 200
        assert set(sandbox.stats.updates.values()) == {1}
        assert (await other.get(f"{path}/results?limit=1000")).json() == (
            await one.get(f"{path}/results?limit=1000")
        ).json()
        assert not list(tmp_path.glob("*.cancel")) + list(tmp_path.glob("*.start"))
