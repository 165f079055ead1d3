"""Jobs after something went wrong: an early end of a roll-back, a full disk, a damaged journal, a changed clock."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.jobs import application, connect, post_job, wait_for_state
from wavix_async.fastapi._jobs import FileJobStore, JobRecords, new_id, problem_of_storage
from wavix_async.fleet import JournalError
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

IDS = range(1001, 1101)


def sandbox() -> Sandbox:
    return Sandbox(numbers=1000, latency=0.01)


def on(account: Sandbox) -> int:
    return sum(number["sms_enabled"] for number in account.numbers.values())


async def half_done(account: Sandbox, client: httpx.AsyncClient) -> str:
    path = await post_job(client, IDS, concurrency=4)
    while len(account.stats.updates) < 20:
        await asyncio.sleep(0.005)
    await client.post(f"{path}/cancel")
    job = await wait_for_state(client, path)
    assert (job["state"], job["report"]["updated"]) == ("stopped", on(account))
    assert 20 <= on(account) < 100
    return path


def rewrite(directory: Path, path: str, **changes: Any) -> None:
    """Leave a job as its process leaves it that is killed."""
    file = directory / f"{path.rpartition('/')[2]}.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.req_18
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("how", ["refused", "cancelled", "killed"])
async def test_a_roll_back_that_ended_before_it_began_is_taken_up_as_a_roll_back(
    how: str, tmp_path: Path, *, finished: bool
):
    async with sandbox() as account:
        async with connect(application(account, tmp_path)) as client:
            if finished:
                path = await post_job(client, IDS, concurrency=50)
                await wait_for_state(client, path)
            else:
                path = await half_done(account, client)
            before = on(account)
            if how == "refused":
                account.fail_next(401)
            if how != "killed":
                assert (await client.post(f"{path}/roll-back")).status_code == 202
            if how == "cancelled":
                await client.post(f"{path}/cancel")
            await wait_for_state(client, path)
        if how == "killed":
            rewrite(tmp_path, path, state="running", kind="roll-back", report=None, progress=None, resumable=False)

        async with connect(application(account, tmp_path)) as client:
            job = (await client.get(path)).json()
            state = {"refused": "failed", "cancelled": "stopped", "killed": "interrupted"}[how]
            assert (job["state"], job["kind"], job["report"], job["resumable"]) == (state, "roll-back", None, True)
            for what in ("changes", "results"):
                assert (await client.get(f"{path}/{what}")).json() == {"items": [], "total": 0}
            assert on(account) == before
            assert (await client.post(f"{path}/resume")).json()["kind"] == "roll-back"
            job = await wait_for_state(client, path)
            assert (job["state"], job["kind"], job["report"]["updated"]) == ("done", "roll-back", before)
            assert on(account) == 0


async def test_a_full_disk_hides_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    async with sandbox() as account:
        async with connect(application(account, tmp_path)) as client:
            path = await half_done(account, client)
            job = (await client.get(path)).json()
        rewrite(tmp_path, path, state="running", report=None, resumable=False)
        (tmp_path / f"{'a' * 36}.json").mkdir()
        async with connect(application(account, tmp_path)) as client:
            with monkeypatch.context() as patch:
                patch.setattr(FileJobStore, "write", full)
                told = (await client.get(path)).json()
                assert (told["state"], told["report"], told["resumable"]) == ("interrupted", job["report"], True)
                assert (await client.get("/fleet/jobs")).json() == {"items": [told]}
                assert (await client.get(f"{path}/results")).json()["total"] == 100
                events = (await client.get(f"{path}/events")).text
                assert events.endswith("event: end\ndata: interrupted\n\n")

                files = sorted(tmp_path.iterdir())
                changes = [{"ids": [1001], "set": {"sms_enabled": True}}]
                for end, body in (("", {"changes": changes}), (f"{path.removeprefix('/fleet/jobs')}/resume", None)):
                    answer = await client.post(f"/fleet/jobs{end}", json=body)
                    assert (answer.status_code, answer.json()["type"]) == (507, "/problems/storage")
                    assert answer.json()["retryable"]
                    assert str(tmp_path) not in answer.text
                # Nothing is left of what could not be begun.
                assert sorted(tmp_path.iterdir()) == files
            await client.post(f"{path}/resume")
            assert (await wait_for_state(client, path))["report"]["updated"] == 100


async def test_a_write_that_fails_leaves_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = JobRecords(FileJobStore(tmp_path))
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: exec("raise OSError(28, 'No space')"))
    with pytest.raises(OSError, match="No space"):
        files.write_changes(new_id(), [])
    assert list(tmp_path.iterdir()) == []


async def test_a_damaged_journal_is_reported_as_one(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with sandbox() as account, connect(application(account, tmp_path)) as client:
        path = await half_done(account, client)
        job_id = path.rpartition("/")[2]
        journal = tmp_path / f"{job_id}.sqlite"
        whole = journal.read_bytes()
        assert len(whole) > 8192
        journal.write_bytes(whole[:4096] + b"\xaa" * (len(whole) - 4096))
        for what in ("changes", "results"):
            answer = await client.get(f"{path}/{what}")
            assert (answer.status_code, answer.json()["type"]) == (500, "/problems/storage")
            assert caplog.records[-1].job == job_id  # type: ignore[attr-defined]
        for what in ("roll-back", "resume"):
            answer = await client.post(f"{path}/{what}")
            assert answer.status_code == 409
            assert "journal cannot be read" in answer.json()["detail"]

        rewrite(tmp_path, path, state="running", report=None, resumable=False)
        caplog.clear()
        for _ in range(2):
            job = (await client.get(path)).json()
            assert (job["state"], job["report"], job["resumable"]) == ("interrupted", None, False)
            assert (job["error"]["type"], job["error"]["status"]) == ("/problems/storage", 500)
        (record,) = caplog.records
        assert (record.job, record.instance) == (job_id, job["error"]["instance"])  # type: ignore[attr-defined]
        # The file can be found by what the log says.
        assert str(journal) in record.getMessage()
        assert str(tmp_path) not in json.dumps(job)

        # It was not for good: the disk may have been full, or the file comes back from a copy.
        journal.write_bytes(whole)
        job = (await client.get(path)).json()
        assert (job["state"], job["error"], job["resumable"]) == ("interrupted", None, True)
        await client.post(f"{path}/resume")
        assert (await wait_for_state(client, path))["report"]["updated"] == 100


async def test_a_journal_in_which_nothing_has_begun_is_not_damaged(tmp_path: Path):
    async with sandbox() as account, connect(application(account, tmp_path)) as client:
        path = await post_job(client, [1001], hold=True)
        await wait_for_state(client, path, "planned")
        await client.post(f"{path}/cancel")
        await wait_for_state(client, path)
        (tmp_path / f"{path.rpartition('/')[2]}.sqlite").touch()
        rewrite(tmp_path, path, state="running", resumable=False)
        job = (await client.get(path)).json()
        assert (job["state"], job["error"], job["resumable"]) == ("interrupted", None, True)
        assert "changed nothing" in (await client.post(f"{path}/roll-back")).json()["detail"]
        await client.post(f"{path}/resume")
        await wait_for_state(client, path, "planned")


async def test_what_another_process_works_on_is_listed_however_old_it_is(tmp_path: Path):
    async with (
        sandbox() as account,
        connect(application(account, tmp_path)) as one,
        connect(application(account, tmp_path)) as other,
    ):
        account.fail_next("stall", match="PATCH /v1/numbers/1001")
        path = await post_job(one, [1001])
        await wait_for_state(one, path, "running")
        for number_id in range(1002, 1007):
            await wait_for_state(other, await post_job(other, [number_id]))
        for client in (one, other):
            listed = [job["id"] for job in (await client.get("/fleet/jobs")).json()["items"]]
            assert len(listed) == 4
            assert listed[-1] == path.rpartition("/")[2]


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others there")
async def test_jobs_end_at_the_signal_whatever_the_server_waits_for():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        async with sandbox() as account, connect(application(account)) as client:
            path = await post_job(client, IDS, concurrency=2)
            await wait_for_state(client, path, "running")
            signal.raise_signal(signal.SIGTERM)
            # The lifespan goes on, as it does where a reader does not read what it is sent.
            job = await wait_for_state(client, path)
            assert (job["state"], job["resumable"]) == ("interrupted", True)
            assert (await wait_for_state(client, await post_job(client, [1200])))["state"] == "interrupted"
            assert 1200 not in account.stats.updates
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are others there")
async def test_no_one_else_can_read_the_files_in_a_directory_that_was_there_before(tmp_path: Path):
    tmp_path.chmod(0o755)
    mask = os.umask(0o022)
    try:
        async with sandbox() as account, connect(application(account, tmp_path)) as client:
            path = await post_job(client, range(1001, 1101), hold=True, concurrency=2)
            await wait_for_state(client, path, "planned")
            ends = _open_to_others(tmp_path)
            await client.post(f"{path}/start")
            while not account.stats.updates:
                await asyncio.sleep(0.005)
            ends |= _open_to_others(tmp_path)
            await client.post(f"{path}/cancel")
            await wait_for_state(client, path)
            assert ends | _open_to_others(tmp_path) <= {".lock"}
    finally:
        os.umask(mask)


def _open_to_others(directory: Path) -> set[str]:
    return {path.suffix for path in directory.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077}


def test_the_log_names_the_file_and_no_phone_number(caplog: pytest.LogCaptureFixture):
    job_id = "0123456789ab12025550123f120255501234"
    problem_of_storage(JournalError(f"Cannot use the journal {job_id}.sqlite: 12025550123."), job_id)
    (record,) = caplog.records
    assert f"{job_id}.sqlite" in record.getMessage()
    assert not record.getMessage().endswith("12025550123.")


def test_what_is_new_is_the_newest_also_when_the_clock_is_put_back(monkeypatch: pytest.MonkeyPatch):
    ids = [new_id()]
    monkeypatch.setattr("time.time_ns", lambda: 0)
    ids += [new_id(), new_id()]
    assert sorted(ids) == ids
