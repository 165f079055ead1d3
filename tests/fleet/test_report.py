"""Reports of runs, during and after the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fleets import counts, ids, urls
from wavix_async import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async import WavixClient
    from wavix_async.sandbox import Sandbox


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
