"""Reports of runs, during and after the run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.fleets import ANY_SHARE, FIRST, begun, client_of, counts, holds_together, ids, url, urls
from wavix_async import NumberUpdate, fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async import WavixClient


async def test_a_report_survives_its_run(sandbox: Sandbox, wavix: WavixClient, tmp_path: Path) -> None:
    journal = tmp_path / "run.sqlite"
    plan = await fleet.plan(wavix, urls(ids(30)))
    report = await fleet.apply(wavix, plan, journal=journal)
    again = fleet.status(journal)
    for name in ("kind", "name", "digest", "total", "updated", "requests", "rate_limited", "stopped_by", "finished"):
        assert getattr(again, name) == getattr(report, name), name
    assert list(again.results()) == list(report.results())
    assert again.totals == report.totals == {"call_status_url": 30}
    assert "30" in str(report)

    unkept = await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(30), "other")))
    assert unkept.journal is None
    assert counts(unkept) == {"updated": 30}
    assert len(list(unkept.results("updated"))) == 30


@pytest.mark.req_14
async def test_whether_a_file_is_a_journal_with_a_run(sandbox: Sandbox, wavix: WavixClient, tmp_path: Path) -> None:
    journal, empty = tmp_path / "run.sqlite", tmp_path / "empty.sqlite"
    assert not fleet.has_run(journal, base_url=wavix.base_url)
    assert not journal.exists()
    empty.touch()
    assert not fleet.has_run(str(empty), base_url=wavix.base_url)

    plan = await fleet.plan(wavix, urls(ids(3)))
    await fleet.apply(wavix, plan, journal=journal)
    assert fleet.has_run(journal, base_url=plan.base_url)

    with pytest.raises(fleet.JournalError, match="is the journal of a run on"):
        fleet.has_run(journal, base_url="https://api.wavix.com")
    empty.write_text("id,call_status_url\n" * 200)
    with pytest.raises(fleet.JournalError, match="is not a journal"):
        fleet.has_run(empty, base_url=wavix.base_url)


async def test_verifying_never_counts_back(tmp_path: Path) -> None:
    """Later rounds read only what was not in effect before; all of it stays the whole."""
    async with Sandbox(20, apply_delay=600.0) as sandbox, client_of(sandbox) as wavix:
        seen: list[fleet.FleetProgress] = []

        def on_progress(now: fleet.FleetProgress) -> None:
            if now.phase == "verifying":
                if seen:
                    sandbox.advance(600)
                seen.append(now)

        late = {number: NumberUpdate(sms_relay_url=url(number)) for number in ids(5, FIRST + 5)}
        plan = await fleet.plan(wavix, urls(ids(5)) | late)
        report = await fleet.apply(wavix, plan, verify=True, safety=ANY_SHARE, on_progress=on_progress)
        assert counts(report) == {"updated": 10}
        assert {now.total for now in seen} == {10}
        done = [now.done for now in seen]
        assert done == sorted(done)
        assert done[-1] == 10


async def test_a_stopped_run_is_not_all_done(sandbox: Sandbox, wavix: WavixClient) -> None:
    seen: list[fleet.FleetProgress] = []
    plan = await fleet.plan(wavix, urls(ids(60)))
    sandbox.fail_next("status_401", match="PATCH *")
    report = await fleet.apply(wavix, plan, safety=ANY_SHARE, concurrency=1, on_progress=seen.append)
    assert report.not_sent == 60
    assert [(now.done, now.total) for now in seen if now.phase == "sending"][-1] == (1, 60)
    assert [sample.done for sample in report.samples()][-1] == 1


async def test_a_run_in_progress_has_no_stop_reason_and_nothing_unknown(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path
) -> None:
    """The reason of the process before is not that of the process that continues the run."""
    journal = tmp_path / "run.sqlite"
    sandbox.fail_next("status_401", match="PATCH *")
    report = await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(9))), journal=journal, concurrency=1)
    assert report.stopped_by is not None
    sandbox.fail_next("stall", 9, match="PATCH *")
    running = asyncio.ensure_future(fleet.resume(wavix, journal))
    await begun(lambda: fleet.status(journal).unknown > 0, running)
    now = fleet.status(journal)
    assert (now.is_running, now.stopped_by, now.refused_by_safety) == (True, None, False)
    assert "in progress" in str(now)
    assert "unknown" not in str(now)
    running.cancel()
    await asyncio.wait([running])


async def test_what_was_left_out_is_skipped(sandbox: Sandbox, wavix: WavixClient, tmp_path: Path) -> None:
    plan = await fleet.plan(wavix, {**urls(ids(2)), 9999: NumberUpdate(sms_enabled=True)})
    report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", missing="skip")
    assert counts(report) == {"updated": 2, "skipped": 1}
    assert report.finished
    (result,) = report.results("skipped")
    assert (result.id, result.status, list(report.results("failed"))) == (9999, "skipped", [])
    holds_together(report)
