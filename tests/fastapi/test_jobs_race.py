"""A job whose run begins while its journal is read."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi")

from tests.support.account import Account
from tests.support.fleets import ANY_SHARE, counts, ids, urls
from wavix_async import fleet
from wavix_async.fastapi import _jobs
from wavix_async.fastapi._jobs import FileJobStore, new_id

if TYPE_CHECKING:
    from pathlib import Path


def records_in(directory: Path) -> Any:
    make: Any = getattr(_jobs, "JobRecords", lambda store: store)
    return make(FileJobStore(directory))


@pytest.mark.parametrize("first", ["empty file", "no run"])
async def test_a_run_that_begins_between_two_looks_at_the_journal_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    records, job_id = records_in(tmp_path), new_id()
    begun = tmp_path / "begun.sqlite"
    async with Account(3).client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(3)))
        await fleet.apply(wavix, plan, journal=begun, safety=ANY_SHARE)
        journal = tmp_path / f"{job_id}.sqlite"
        journal.touch()
        if first == "no run":
            stale = await fleet.plan(wavix, urls(ids(3), "other"))
            await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(3), "third")), safety=ANY_SHARE)
            with pytest.raises(fleet.StalePlanError):
                await fleet.apply(wavix, stale, journal=journal, safety=ANY_SHARE)
    assert records.read_report(job_id) is None
    looks = 0

    def status(path: Path) -> fleet.FleetReport:
        nonlocal looks
        looks += 1
        try:
            return fleet.status(path)
        finally:
            if looks == 1:
                shutil.copyfile(begun, journal)

    monkeypatch.setattr(sys.modules[type(records).__module__], "status", status)
    assert counts(records.read_report(job_id)) == {"updated": 3}
    assert looks == 2
