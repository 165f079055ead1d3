"""The event stream of a job: its bytes, for readers that are fast, slow, late, or gone."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.jobs import application, connect, connect_over_socket, post_job, read_events, wait_for_state
from tests.support.serving import serve
from tests.support.soon import SOON
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

RUNNING = {"latency": 0.02, "numbers": 1000}
"""A sandbox in which 300 numbers, four at a time, take a second and a half."""


async def test_a_job_is_followed_to_its_end():
    async with Sandbox(**RUNNING) as sandbox, connect_over_socket(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1301), concurrency=4)
        loop = asyncio.get_running_loop()
        came: list[tuple[float, Any, Any, Any]] = []
        async with client.stream("GET", f"{path}/events") as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-accel-buffering"] == "no"
            assert "content-length" not in answer.headers
            async for name, number, data in read_events(answer):
                came.append((loop.time(), name, number, data))
        *jobs, (_, name, number, state) = came
        assert (name, number, state) == ("end", None, "done")
        assert {name for _, name, _, _ in jobs} == {"job"}
        assert [number for _, _, number, _ in jobs] == [str(index) for index in range(1, len(jobs) + 1)]
        assert jobs[-1][3] == (await client.get(path)).json()
        assert all(before[3] != after[3] for before, after in pairwise(jobs))
        states = list(dict.fromkeys(job["state"] for _, _, _, job in jobs))
        assert states in (["planning", "running", "done"], ["running", "done"])
        done = [job["progress"]["done"] for _, _, _, job in jobs if _phase(job) == "sending"]
        assert len(set(done)) > 3
        assert done == sorted(done)
        # The last two of five in a second may come together on a busy machine.
        assert jobs[-1][0] - jobs[0][0] > (len(jobs) - 2) * 0.2

        async with client.stream("GET", f"{path}/events", headers={"Last-Event-ID": "41"}) as answer:
            again = [event async for event in read_events(answer)]
        assert again == [("job", "42", jobs[-1][3]), ("end", None, "done")]


@pytest.mark.parametrize("last", ["", "x", "-1", "٣", "9" * 5000])
async def test_a_foreign_last_event_id_is_none(last: str):
    async with Sandbox(numbers=10) as sandbox, connect(application(sandbox)) as client:
        path = await post_job(client, [1001])
        await wait_for_state(client, path)
        answer = await client.get(f"{path}/events", headers={"Last-Event-ID": last.encode()})
        assert [(name, number) async for name, number, _ in read_events(answer)] == [("job", "1"), ("end", None)]


async def test_a_silent_job_has_a_heartbeat(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("wavix_async.fastapi._jobs.event_stream._HEARTBEAT", 0.3)
    monkeypatch.setattr("wavix_async.fastapi._jobs.event_stream._CHECK_INTERVAL", 0.05)
    async with Sandbox(numbers=10) as sandbox, connect_over_socket(application(sandbox)) as client:
        path = await post_job(client, [1001], hold=True)
        await wait_for_state(client, path, "planned")
        names: list[str] = []
        async with client.stream("GET", f"{path}/events") as answer:
            async for name, _, _ in read_events(answer):
                names.append(name)
                if len(names) == 3:
                    await client.post(f"{path}/cancel")
        assert names[:3] == ["job", "", ""]
        assert names[-2:] == ["job", "end"]


async def test_a_slow_reader_gets_the_latest_state_and_holds_up_nothing():
    async with Sandbox(**RUNNING) as sandbox, serve(application(sandbox)) as served:
        path = await post_job(served.http, range(1001, 1101), concurrency=4)
        may_read = asyncio.Event()
        sent: list[bytes] = []

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))
            if message["type"] == "http.response.body":
                await may_read.wait()

        stream = asyncio.create_task(_ask(served, f"{path}/events", send))
        job = await wait_for_state(served.http, path)
        assert job["report"]["updated"] == 100
        first = len(sent)
        assert first == 2
        may_read.set()
        await stream
        # Not one event of all that has happened meanwhile was kept for it.
        assert [chunk.partition(b"\n")[0] for chunk in sent[first:]] == [b"event: job", b"event: end", b""]
        assert b'"state":"done"' in sent[first]


async def test_a_reader_that_leaves_is_freed_and_the_job_goes_on():
    async with Sandbox(**RUNNING) as sandbox, connect_over_socket(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1301), concurrency=1)
        await wait_for_state(client, path, "running")
        before = len(asyncio.all_tasks())
        for _ in range(10):
            async with client.stream("GET", f"{path}/events") as answer:
                async for _ in read_events(answer):
                    break
        async with asyncio.timeout(SOON):
            while len(asyncio.all_tasks()) > before + 2:
                await asyncio.sleep(0.02)
        assert (await client.get(path)).json()["state"] == "running"
        assert (await wait_for_state(client, path))["report"]["updated"] == 300


async def test_a_reader_that_leaves_is_noticed_where_only_the_application_hears_of_it(tmp_path: Path):
    """A server of the newer protocol does not cancel: it says so when asked, or when something is sent."""
    async with Sandbox(numbers=10) as sandbox, serve(application(sandbox, tmp_path)) as served:
        path = await post_job(served.http, [1001], hold=True)
        await wait_for_state(served.http, path, "planned")
        gone = asyncio.Event()

        async def receive() -> Any:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(_: Any) -> None:
            gone.set()

        async with asyncio.timeout(SOON):
            await _ask(served, f"{path}/events", send, receive=receive)
        assert (await served.http.get(path)).json()["state"] == "planned"


async def test_many_readers_see_the_same_end():
    async with Sandbox(**RUNNING) as sandbox, connect_over_socket(application(sandbox)) as client:
        path = await post_job(client, range(1001, 1101), concurrency=8)

        async def last() -> Any:
            async with client.stream("GET", f"{path}/events") as answer:
                return [event async for event in read_events(answer)][-2:]

        ends = await asyncio.gather(*(last() for _ in range(50)))
        job = (await client.get(path)).json()
        for (name, _, data), end in ends:
            assert (name, data, end) == ("job", job, ("end", None, "done"))


def _phase(job: Any) -> str | None:
    return job["progress"] and job["progress"]["phase"]


async def _ask(served: Any, path: str, send: Any, *, receive: Any = None) -> None:
    """Ask as a server of protocol 2.4 does."""

    async def still_there() -> Any:
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "state": dict(served.state),
    }
    await served.app(scope, receive or still_there, send)
