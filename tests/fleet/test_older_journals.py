"""Journals written by the version before the new layout: the run continues where the killed process stopped.

`tests/data/made_by_63b61a9/make.py` made them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.data.made_by_63b61a9 import make
from wavix_async import WavixClient, fleet
from wavix_async.sandbox import Sandbox

ACCOUNTS = json.loads((make.HERE / "accounts.json").read_text(encoding="utf-8"))
PLANNED = range(make.FIRST, make.FIRST + make.PLANNED)


@pytest.fixture
def journal(tmp_path: Path, name: str) -> Path:
    """A copy of a journal, with the files that a killed process leaves beside it."""
    for end in ("", "-wal"):
        shutil.copy(make.HERE / f"{name}.sqlite{end}", tmp_path / f"run.sqlite{end}")
    return tmp_path / "run.sqlite"


@asynccontextmanager
async def account(name: str) -> AsyncIterator[tuple[Sandbox, WavixClient]]:
    """An account in the state when a process was killed, and a client."""
    async with Sandbox(**{**make.SANDBOX, "latency": 0.0}) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {sandbox.api_key}"}) as session:
            for number, changed in ACCOUNTS[name].items():
                async with session.patch(f"{sandbox.url}/v1/numbers/{number}", json=changed) as answer:
                    assert answer.status == 200
        sandbox.stats.updates.clear()
        async with make.client_of(sandbox.url, sandbox.api_key) as wavix:
            yield sandbox, wavix


def states(journal: Path, run: int) -> dict[int, str]:
    with closing(sqlite3.connect(f"{journal.as_uri()}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT id, state FROM outcome WHERE run = ?", (run,)))


def expected_settings(number: int, *, rolled_back: bool) -> dict[str, Any]:
    new = Sandbox(**make.SANDBOX).numbers[number]
    expected = {field: new[field] for field in ("call_status_url", "sms_enabled")}
    return expected if rolled_back or number not in PLANNED else expected | make.wanted(number)


@pytest.mark.req_14
@pytest.mark.parametrize(("name", "run"), [("killed", 1), ("killed_roll_back", 2)])
async def test_a_killed_run_of_the_version_before_is_resumed(name: str, run: int, journal: Path) -> None:
    back = name == "killed_roll_back"
    left = states(journal, run)
    assert {"sent", "updated"} <= set(left.values())
    async with account(name) as (sandbox, wavix):

        def is_done(number: int) -> bool:
            expected = expected_settings(number, rolled_back=back)
            return all(sandbox.numbers[number][field] == value for field, value in expected.items())

        done = {number for number in sandbox.numbers if is_done(number)}
        confirmed = {number for number, state in left.items() if state not in ("sent", "unknown", "not_sent", "again")}
        assert confirmed <= done
        assert len(done) < make.NUMBERS

        report = await fleet.resume(wavix, journal)

        assert (report.finished, report.total, report.updated) == (True, make.PLANNED, make.PLANNED)
        assert all(is_done(number) for number in sandbox.numbers)
        # The run reads changes without an outcome first, and sends only those that the API had not applied.
        updates = {number: times for number, times in sandbox.stats.updates.items() if times}
        assert updates == dict.fromkeys(set(sandbox.numbers) - done, 1)


@pytest.mark.req_14
@pytest.mark.parametrize("name", ["killed", "killed_roll_back"])
def test_the_status_of_a_journal_of_the_version_before(journal: Path, name: str) -> None:
    report = fleet.status(journal)

    assert report.kind == ("apply" if name == "killed" else "roll_back")
    assert (report.total, report.finished) == (make.PLANNED, False)
    assert report.updated == sum(state == "updated" for state in states(journal, 1 if name == "killed" else 2).values())
    results = {result.id: result for result in report.results()}
    assert results.keys() == set(PLANNED)
    assert results[1002].number == "13139368787"
    fields = {change.field: (change.before, change.after) for change in results[1002].fields}
    way = slice(None, None, 1 if name == "killed" else -1)
    assert fields == {
        "call_status_url": (None, "https://hooks.example.com/1002")[way],
        "sms_enabled": (False, True)[way],
    }


@pytest.mark.req_18
@pytest.mark.parametrize("name", ["killed"])
async def test_a_run_of_the_version_before_is_rolled_back(journal: Path, name: str) -> None:
    async with account(name) as (sandbox, wavix):
        await fleet.resume(wavix, journal)
        report = await fleet.roll_back(wavix, journal, safety=fleet.Safety(max_fraction=None))

        assert report.updated == make.PLANNED
        assert all(
            sandbox.numbers[number][field] == value
            for number in sandbox.numbers
            for field, value in expected_settings(number, rolled_back=True).items()
        )
