"""`wavix-async fleet` on a disk that takes no more: exit 5, the counts, and how to continue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import Cli, running
from tests.support.full_disk import limit_journals
from wavix_async import fleet

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 300


@pytest.mark.req_35
def test_a_disk_that_fills_during_apply(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"{number},https://hooks.example.com/{number}\n" for number in range(1001, 1001 + COUNT))
    (tmp_path / "fleet.csv").write_text(f"id,call_status_url\n{rows}")
    monkeypatch.chdir(tmp_path)
    with running(numbers=COUNT) as sandbox:
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        arguments = ("fleet", "apply", "fleet.csv", "--yes", "--max-fraction", "1")
        try:
            for pages in range(8, 100, 4):
                limit_journals(pages)
                applied = cli(*arguments, "--journal", "run.sqlite")
                assert (applied.code, "disk is full. Free space" in applied.err) == (5, True)
                if "So far" in applied.err:
                    break
                assert not sandbox.stats.updates
            again = cli("fleet", "resume", "run.sqlite")
            seen = cli("fleet", "status", "run.sqlite")
        finally:
            limit_journals(None)
        report = fleet.status("run.sqlite")
        assert (again.code, "disk is full. Free space" in again.err) == (5, True)
        assert f"So far: {report.updated:,} updated" in applied.err
        assert "fleet resume run.sqlite" in applied.err
        assert "Traceback" not in applied.err + again.err
        assert seen.code == 5
        assert cli("fleet", "resume", "run.sqlite").code == 0
        assert set(sandbox.stats.updates.values()) == {1}
        assert len(sandbox.stats.updates) == COUNT
