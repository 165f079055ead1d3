"""`wavix-async fleet` on a disk that takes no more: exit 5, the counts, and how to continue."""

from __future__ import annotations

import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import Cli, running
from tests.support.full_disk import limit_journals
from wavix_async import fleet

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async.sandbox import Sandbox

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


def _end_during(sandbox: Sandbox, directory: Path) -> None:
    """Delete a directory when the run sends its first change."""

    def delete(method: str, _path: str) -> bool:
        if method == "PATCH":
            shutil.rmtree(directory, ignore_errors=True)
        return False

    sandbox.fail_next(500, match=delete)


@pytest.mark.req_35
def test_a_page_that_cannot_be_written_changes_no_exit_code(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fleet.csv").write_text("id,call_status_url\n1001,https://hooks.example.com\n")
    (tmp_path / "pages").mkdir()
    monkeypatch.chdir(tmp_path)
    with running(numbers=20) as sandbox:
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        _end_during(sandbox, tmp_path / "pages")
        pages = ("--output", "pages/run.html", "--write-back", "done.csv")
        applied = cli("fleet", "apply", "fleet.csv", "--yes", *pages)
        assert (applied.code, "1 updated, 0 failed" in applied.out) == (0, True)
        assert (
            "Cannot write --output pages/run.html: No such file or directory. To try again: "
            "wavix-async fleet status fleet.run.sqlite --output FILE\n"
        ) in applied.err
        assert "updated" in (tmp_path / "done.csv").read_text()

        (tmp_path / "pages").mkdir()
        _end_during(sandbox, tmp_path / "pages")
        (tmp_path / "fleet.csv").write_text("id,call_status_url\n1001,null\n")
        updated = cli("numbers", "bulk-update", "fleet.csv", "--yes", "--write-back", "pages/done.csv")
        assert updated.code == 0
        assert "wavix-async: Cannot write --write-back pages/done.csv: No such file or directory.\n" in updated.err


@pytest.mark.req_35
@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit for the size of a file")
@pytest.mark.parametrize("option", ["--output=page.html", "--output=page.md", "--save=page.plan"])
def test_a_plan_on_a_full_disk(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    import resource

    page = tmp_path / option.partition("=")[2]
    (tmp_path / "fleet.csv").write_text("id,call_status_url\n1001,https://hooks.example.com\n")
    page.write_text("the page of yesterday")
    monkeypatch.chdir(tmp_path)
    with running(numbers=20) as sandbox:
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            ran = cli("fleet", "plan", "fleet.csv", option)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (ran.code, "File too large." in ran.err) == (5, True)
    assert page.read_text() == "the page of yesterday"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fleet.csv", page.name]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes everywhere")
def test_a_page_in_a_directory_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ran = cli("fleet", "status", "fleet.sqlite", "--output", tmp_path / "run.html")
    assert (ran.code, "a directory that you can write" in ran.err) == (2, True)
