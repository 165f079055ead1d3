"""Journals that cannot be used: in use, of another plan or account, damaged, or not a journal."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.fleets import FIRST, begun, client_of, counts, ids, methods, urls
from wavix_async import fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async import WavixClient


@pytest.mark.req_14
async def test_a_journal_has_one_run_at_a_time_and_any_process_may_read_it(tmp_path: Path) -> None:
    async with Sandbox(400, latency=0.05) as sandbox, client_of(sandbox) as wavix:
        plan, other = await fleet.plan(wavix, urls(ids(100))), await fleet.plan(wavix, urls(ids(2)))
        journal = tmp_path / "run.sqlite"
        # Holding its only slot keeps the run from ending before the other process has started.
        slot = asyncio.Semaphore(1)
        run = asyncio.ensure_future(
            fleet.apply(wavix.with_options(semaphore=slot), plan, journal=journal, concurrency=2)
        )
        await begun(lambda: len(sandbox.stats.updates) > 5, run)
        for again in (
            fleet.apply(wavix, other, journal=journal),
            fleet.apply(wavix, plan, journal=journal),
            fleet.resume(wavix, journal),
            fleet.roll_back(wavix, journal),
        ):
            with pytest.raises(fleet.JournalError, match="in use") as refused:
                await again
            assert refused.value.outcome == "not_sent"
        source = (
            "import asyncio, sys\n"
            "from wavix_async import WavixClient, fleet\n"
            "async def main():\n"
            "    async with WavixClient('key', base_url=sys.argv[1]) as wavix:\n"
            "        print(fleet.status(sys.argv[2]).is_running, flush=True)\n"
            "        try:\n"
            "            await fleet.resume(wavix, sys.argv[2])\n"
            "        except fleet.JournalError as error:\n"
            "            print(error)\n"
            "asyncio.run(main())\n"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, sandbox.url, str(journal), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        seen: list[int] = []
        held = False
        while process.returncode is None and not run.done():
            status = await asyncio.to_thread(fleet.status, journal)
            assert status.total == 100
            assert sum(counts(status).values()) == 100
            seen.append(status.updated)
            if status.updated >= 30 and not held:
                held = await slot.acquire()
            await asyncio.sleep(0.01)
        assert not run.done()
        out, errors = await process.communicate()
        if held:
            slot.release()
        first, _, rest = out.decode().partition("\n")
        assert (first, "in use" in rest) == ("True", True), (out, errors)
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
        report = await run
        assert counts(report) == counts(fleet.status(journal)) == {"updated": 100}
        samples = report.samples()
        assert 1 <= len(samples) <= report.elapsed + 2
        assert [sample.at for sample in samples] == sorted(sample.at for sample in samples)
        assert 0 < samples[0].done <= samples[-1].done <= 100
        assert 0 < samples[-1].requests <= report.requests
        assert not fleet.status(journal).is_running
        assert sandbox.stats.updates == dict.fromkeys(ids(100), 1)
        again = await fleet.resume(wavix, journal)
        assert (again.finished, counts(again)) == (True, {"updated": 100})
        assert sandbox.stats.updates == dict.fromkeys(ids(100), 1)


@pytest.mark.req_14
async def test_the_journal_of_another_plan_or_account_is_refused(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path
) -> None:
    journal = tmp_path / "run.sqlite"
    await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(3))), journal=journal)
    before = fleet.status(journal).digest
    with pytest.raises(fleet.JournalError, match="plan"):
        await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(4, FIRST + 3))), journal=journal)
    async with Sandbox(100) as elsewhere, client_of(elsewhere) as other:
        for refused in (
            fleet.resume(other, journal),
            fleet.roll_back(other, journal),
            fleet.apply(other, await fleet.plan(other, urls(ids(3))), journal=journal),
        ):
            with pytest.raises(fleet.JournalError):
                await refused
        assert set(methods(elsewhere)) == {"GET"}
    assert fleet.status(journal).digest == before
    assert sandbox.stats.updates == dict.fromkeys(ids(3), 1)


@pytest.mark.req_14
@pytest.mark.parametrize(
    "kind",
    [
        "text",
        "empty",
        "torn",
        "other database",
        "directory",
        "missing",
        "no directory",
    ],
)
async def test_a_file_that_is_not_a_journal_is_refused_and_left_unchanged(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, kind: str
) -> None:
    journal = tmp_path / "run.sqlite"
    plan = await fleet.plan(wavix, urls(ids(3)))
    match kind:
        case "text":
            journal.write_bytes(b"id,call_status_url\n" * 200)
        case "empty":
            journal.touch()
        case "torn":
            await fleet.apply(wavix, plan, journal=journal)
            with journal.open("rb+") as stream:
                stream.truncate(journal.stat().st_size // 2 + 100)
            plan = await fleet.plan(wavix, urls(ids(3), "other"))
        case "other database":
            connection = sqlite3.connect(journal)
            connection.execute("CREATE TABLE mine (x)")
            connection.close()
        case "directory":
            journal.mkdir()
        case "no directory":
            journal = tmp_path / "none" / "run.sqlite"
    content = journal.read_bytes() if journal.is_file() else None
    sent = methods(sandbox)["PATCH"]
    with pytest.raises(fleet.JournalError) as refused:
        fleet.status(journal)
    assert journal.name in str(refused.value)
    for work in (fleet.resume(wavix, journal), fleet.roll_back(wavix, journal)):
        with pytest.raises(fleet.JournalError):
            await work
    if kind in ("missing", "empty"):
        # `apply` may create the file, or use an empty one.
        return
    with pytest.raises(fleet.JournalError):
        await fleet.apply(wavix, plan, journal=journal)
    if content is not None:
        assert journal.read_bytes() == content
    assert methods(sandbox)["PATCH"] == sent


@pytest.mark.req_14
async def test_a_name_that_sqlite_could_take_for_a_uri_is_a_file(
    wavix: WavixClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many builds of sqlite do: a relative `file:x?mode=memory` would be a journal that no other process finds."""
    monkeypatch.chdir(tmp_path)
    name = "file:run?mode=memory"
    plan = await fleet.plan(wavix, urls(ids(3)))
    await fleet.apply(wavix, plan, journal=name)
    assert fleet.status(name).updated == 3
    assert (tmp_path / name).is_file()


async def test_what_is_wrong_with_the_path_of_a_journal_is_said(tmp_path: Path, wavix: WavixClient) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(fleet.JournalError, match="place is not a file"):
        fleet.status(tmp_path / "place")
    with pytest.raises(fleet.JournalError, match="place is not a file"):
        await fleet.resume(wavix, tmp_path / "place")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
async def test_a_journal_that_cannot_be_read_is_not_called_damaged(tmp_path: Path, wavix: WavixClient) -> None:
    await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(3))), journal=tmp_path / "run.sqlite")
    (tmp_path / "run.sqlite").chmod(0)
    for read in (fleet.status, lambda path: fleet.has_run(path, base_url=wavix.base_url)):
        with pytest.raises(fleet.JournalError, match="Check the permissions"):
            read(tmp_path / "run.sqlite")
