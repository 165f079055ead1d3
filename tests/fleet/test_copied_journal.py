"""Copies of a journal, made while a run writes it: with its `-wal` file, and without."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.data.made_by_63b61a9 import make
from tests.support.account import Account
from tests.support.fleets import ANY_SHARE, counts, holds_together, ids, urls
from wavix_async import fleet

if TYPE_CHECKING:
    from tests.support.stub import Seen

COUNT, COPIED_AFTER = 60, 25
COPY = "copy.sqlite"


class Copier:
    """Copies a journal when so many changes have arrived."""

    def __init__(self, place: Path, *ends: str, after: int = COPIED_AFTER) -> None:
        self.journal, self.copy = place / "run.sqlite", place / "elsewhere" / COPY
        self._ends, self._left = ends, after

    def __call__(self, _: Seen) -> None:
        self._left -= 1
        if not self._left:
            self.copy.parent.mkdir(exist_ok=True)
            for end in self._ends:
                shutil.copy(f"{self.journal}{end}", f"{self.copy}{end}")


def names(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir()} - {f"{path.name}.lock"}


@pytest.mark.req_35
@pytest.mark.parametrize("work", ["resume", "roll_back", "apply"])
async def test_a_copy_without_its_wal_file_is_never_called_empty(tmp_path: Path, work: str) -> None:
    copier = Copier(tmp_path, "")
    api = Account(COUNT, copier)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        before = {each: record["call_status_url"] for each, record in api.numbers.items()}
        await fleet.apply(wavix, plan, journal=copier.journal, safety=ANY_SHARE, concurrency=4)

        report = fleet.status(copier.copy)
        assert fleet.has_run(copier.copy, base_url=wavix.base_url)
        assert (report.kind, report.finished, counts(report)) == ("apply", False, {"unknown": COUNT})
        holds_together(report)
        results = {result.id: result for result in report.results("unknown")}
        assert {each: result.fields[0].before for each, result in results.items()} == before
        assert {"-wal" in (result.reason or "") for result in results.values()} == {True}
        assert names(copier.copy) == {COPY}

        if work == "roll_back":
            report = await fleet.roll_back(wavix, copier.copy, safety=ANY_SHARE)
            assert {each: record["call_status_url"] for each, record in api.numbers.items()} == before
        elif work == "apply":
            report = await fleet.apply(wavix, plan, journal=copier.copy, safety=ANY_SHARE)
        else:
            report = await fleet.resume(wavix, copier.copy)
        assert counts(report) == {"updated": COUNT}
        assert counts(fleet.status(copier.copy)) == {"updated": COUNT}
        assert set(api.changed.values()) == {2 if work == "roll_back" else 1}
        assert names(copier.copy) == {COPY}


@pytest.mark.req_35
async def test_a_copy_without_its_wal_file_sends_what_was_not_sent(tmp_path: Path) -> None:
    copier = Copier(tmp_path, "")
    api = Account(COUNT, copier)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        await fleet.apply(wavix, plan, journal=copier.journal, safety=ANY_SHARE)
        for each in list(api.numbers)[10:]:
            api.numbers[each]["call_status_url"] = next(
                change.fields[0].before for change in plan.changes() if change.id == each
            )
        report = await fleet.resume(wavix, copier.copy)
    assert counts(report) == {"updated": COUNT}
    assert sorted(api.changed.values()) == [1] * 10 + [2] * (COUNT - 10)


@pytest.mark.req_35
@pytest.mark.parametrize("work", ["apply", "roll_back"])
async def test_a_copy_with_its_wal_file_knows_what_had_ended(tmp_path: Path, work: str) -> None:
    copier = Copier(tmp_path, "", "-wal", after=COPIED_AFTER + (COUNT if work == "roll_back" else 0))
    api = Account(COUNT, copier)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        await fleet.apply(wavix, plan, journal=copier.journal, safety=ANY_SHARE, concurrency=1)
        if work == "roll_back":
            await fleet.roll_back(wavix, copier.journal, safety=ANY_SHARE, concurrency=1)
        for _ in range(2):  # Reading must not change what the next writer finds.
            report = fleet.status(copier.copy)
            assert (report.kind, report.total) == (work, COUNT)
            # The copy cannot know what the run has sent since.
            assert report.unknown == COUNT - report.updated
            assert {f"{COPY}", f"{COPY}-wal"} <= names(copier.copy)
        report = await fleet.resume(wavix, copier.copy)
    assert counts(report) == {"updated": COUNT}
    assert set(api.changed.values()) == {2 if work == "roll_back" else 1}
    assert names(copier.copy) == {COPY}


@pytest.mark.req_35
async def test_a_killed_run_is_read_and_refused_without_losing_its_wal_file(tmp_path: Path) -> None:
    """If reading moved the entries into the file, the next reader would take it for a copy."""
    copier = Copier(tmp_path, "", "-wal")
    api = Account(COUNT, copier)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        other = await fleet.plan(wavix, urls(ids(COUNT), "other"))
        await fleet.apply(wavix, plan, journal=copier.journal, safety=ANY_SHARE, concurrency=1)
        killed = counts(fleet.status(copier.copy))
        with pytest.raises(fleet.JournalError, match="another plan"):
            await fleet.apply(wavix, other, journal=copier.copy, safety=ANY_SHARE)
        assert counts(fleet.status(copier.copy)) == killed
        assert killed["unknown"] >= COUNT - killed.get("updated", 0)


@pytest.mark.req_35
async def test_a_copy_of_a_roll_back_knows_that_it_is_one(tmp_path: Path) -> None:
    copier = Copier(tmp_path, "", after=COUNT + COPIED_AFTER)
    api = Account(COUNT, copier)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        await fleet.apply(wavix, plan, journal=copier.journal, safety=ANY_SHARE)
        await fleet.roll_back(wavix, copier.journal, safety=ANY_SHARE)
        report = fleet.status(copier.copy)
        assert (report.kind, counts(report)) == ("roll_back", {"unknown": COUNT})
        assert counts(await fleet.resume(wavix, copier.copy)) == {"updated": COUNT}
    assert set(api.changed.values()) == {2}


@pytest.mark.req_35
@pytest.mark.parametrize("how", ["finished", "stopped"])
async def test_a_journal_without_a_process_is_one_whole_file(tmp_path: Path, how: str) -> None:
    api = Account(COUNT)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(COUNT)))
        if how == "stopped":
            api.not_found, api.lists_all = set(ids(COUNT)), True
        journal = tmp_path / "run.sqlite"
        report = await fleet.apply(wavix, plan, journal=journal, safety=ANY_SHARE)
        assert names(journal) == {"run.sqlite"}
        for _ in range(2):
            assert counts(fleet.status(journal)) == counts(report)
            assert len(list(fleet.status(journal).results())) == COUNT
        assert names(journal) == {"run.sqlite"}


@pytest.mark.req_35
async def test_a_copy_of_the_version_before_is_not_called_empty(tmp_path: Path) -> None:
    """That version did not move the run into the file, so the copy has none; it says what to copy."""
    journal = tmp_path / "run.sqlite"
    shutil.copy(make.HERE / "killed.sqlite", journal)
    async with Account(1).client() as wavix:
        with closing(sqlite3.connect(journal)) as connection, connection:
            # That version moved entries into the file only now and then.
            for table in ("run", "item", "outcome"):
                connection.execute(f"DELETE FROM {table}")
            connection.execute("UPDATE meta SET value = ? WHERE key = 'base_url'", (wavix.base_url,))
        for work in (fleet.resume(wavix, journal), fleet.roll_back(wavix, journal)):
            with pytest.raises(fleet.JournalError, match=r"if it is a copy, copy .*run\.sqlite-wal, too"):
                await work
    with pytest.raises(fleet.JournalError, match=r"run\.sqlite-wal"):
        fleet.status(journal)
