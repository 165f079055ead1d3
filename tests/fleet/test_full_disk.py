"""Disks that take no more: the run ends with an error that says so, its counts are true, and `resume` continues it."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.account import Account
from tests.support.fleets import ANY_SHARE, FIRST, client_of, counts, holds_together, ids, urls
from tests.support.full_disk import limit_journals
from wavix_async import fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.stub import Seen

COUNT, FEW = 600, 40
FULL = "database or disk is full"


@pytest.fixture
def limit() -> Iterator[Callable[[int | None], None]]:
    yield limit_journals
    limit_journals(None)


@pytest.mark.req_35
@pytest.mark.parametrize("spare", [0, 2])
async def test_a_disk_that_fills_during_a_run_loses_nothing(
    tmp_path: Path, limit: Callable[[int | None], None], spare: int
) -> None:
    """The outcomes need more space than is left when the changes have been written."""
    first, path, pages = tmp_path / "first.sqlite", tmp_path / "run.sqlite", 0

    def measure(_: Seen) -> None:
        nonlocal pages
        pages = pages or first.stat().st_size // 4096

    api = Account(COUNT, measure)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        before = {each: dict(record) for each, record in api.numbers.items()}
        await fleet.apply(wavix, plan, journal=first, safety=ANY_SHARE)
        api.numbers = before
        api.changed.clear()

        limit(pages + spare)
        with pytest.raises(fleet.JournalError, match=FULL) as full:
            await fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE)
        assert full.value.retryable
        assert "Free space" in str(full.value)
        assert f"fleet resume {path}" in str(full.value)
        report = fleet.status(path)
        assert f"So far: {report}" in str(full.value)
        holds_together(report)
        assert all(api.changed[result.id] for result in report.results("updated"))
        assert not any(api.changed[result.id] for result in report.results("not_sent"))
        for work in (fleet.resume(wavix, path), fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE)):
            with pytest.raises(fleet.JournalError, match=FULL):
                await work

        limit(None)
        assert counts(await fleet.resume(wavix, path)) == {"updated": COUNT}
        assert api.changed == dict.fromkeys(ids(COUNT), 1)


@pytest.mark.req_35
@pytest.mark.parametrize("pages", [1, 4, 8])
async def test_a_disk_that_is_full_before_the_run_is_not_called_a_wrong_journal(
    tmp_path: Path, limit: Callable[[int | None], None], pages: int
) -> None:
    path, api = tmp_path / "run.sqlite", Account(COUNT)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        limit(pages)
        for _ in range(2):
            with pytest.raises(fleet.JournalError, match=FULL) as full:
                await fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE)
            assert full.value.retryable
        assert not api.changed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a disk in memory with these options, or mounts it again."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-o", f"remount,{options}", str(place)]
        if not place.is_mount():
            command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        if not hasattr(os, "geteuid") or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("only root may mount a disk")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.req_35
@pytest.mark.parametrize("size", [4, 36, 52, 68, 84, 100, 116, 132])
async def test_a_run_on_a_small_disk(small_disk: Callable[[str], Path], size: int) -> None:
    """Sqlite needs three files beside each other, and each of them may be the one that does not fit."""
    path, api = small_disk(f"size={size}k") / "run.sqlite", Account(FEW)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(FEW)))
        errors: list[fleet.JournalError] = []
        for work in (fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE), fleet.resume(wavix, path)):
            try:
                await work
            except fleet.JournalError as error:
                errors.append(error)
        try:
            report = fleet.status(path)
        except fleet.JournalError as error:
            errors.append(error)
            assert not api.changed
        else:
            assert all(api.changed[result.id] for result in report.results("updated"))
            assert not any(api.changed[result.id] for result in report.results("not_sent"))
        # A run that has sent nothing may be applied again; any other error passes once there is space.
        assert all(error.retryable or "nothing was" in str(error) for error in errors), errors
        small_disk("size=16m")
        if api.changed:
            report = await fleet.resume(wavix, path)
        else:
            report = await fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE)
        assert counts(report) == {"updated": FEW}
        assert api.changed == dict.fromkeys(ids(FEW), 1)


@pytest.mark.req_35
@pytest.mark.parametrize("state", ["finished", "killed", "copied"])
async def test_a_journal_on_a_read_only_disk_can_be_read(
    tmp_path: Path, small_disk: Callable[[str], Path], state: str
) -> None:
    async with Sandbox(100) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, urls(ids(20)))
        sandbox.fail_next("status_401", 1, f"PATCH /v1/numbers/{FIRST + 12}")
        path = tmp_path / "run.sqlite"
        copies = {"finished": [], "killed": ["", "-wal"], "copied": [""]}[state]
        place = small_disk("size=4m")

        def copy(progress: fleet.FleetProgress) -> None:
            if progress.phase == "sending":
                for end in copies:
                    shutil.copy(f"{path}{end}", f"{place / path.name}{end}")

        report = await fleet.apply(wavix, plan, journal=path, concurrency=1, on_progress=copy)
        if state == "finished":
            shutil.copy(path, place)
        path = place / path.name
        files = {each.name for each in place.iterdir()}
        small_disk("ro")
        for _ in range(2):
            found = fleet.status(path)
            assert found.total == len(list(found.results())) == 20
            if state == "copied":
                assert counts(found) == {"unknown": 20}
            elif state == "finished":
                assert counts(found) == counts(report)
            assert fleet.has_run(path, base_url=wavix.base_url)
        with pytest.raises(fleet.JournalError, match="Read-only"):
            await fleet.resume(wavix, path)
        assert {each.name for each in place.iterdir()} == files
        small_disk("rw")
        report = await fleet.resume(wavix, path)
        assert counts(report) == {"updated": 20}
