"""Reports of runs, and what they can tell after the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
