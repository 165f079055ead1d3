"""A journal and the client of another account: nothing is sent, and nothing that the journal says is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.account import Account
from tests.support.fleets import ANY_SHARE, FIRST, client_of, counts, ids, methods, urls
from wavix_async import fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async import WavixClient

NUMBERS = 72
MANY = 40


@pytest.fixture
async def journal(tmp_path: Path) -> Path:
    """A run of 72 numbers, of which the process had sent all when it was killed, and recorded none."""
    path = tmp_path / "run.sqlite"
    async with Sandbox(400) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, urls(ids(NUMBERS)))
        sandbox.fail_next("status_401", 1, "PATCH")
        await fleet.apply(wavix, plan, journal=path, concurrency=1)
        assert not sandbox.stats.updates
    set_states(path, "sent")
    return path


def set_states(path: Path, state: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM outcome")
        connection.execute("INSERT INTO outcome (run, id, state, touched) SELECT run, id, ?, 1 FROM item", (state,))


def move(path: Path, sandbox: Sandbox) -> None:
    """Make it the journal of a run on the API of a sandbox, so that only the account can be wrong."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'base_url'", (sandbox.url,))


def rows(path: Path) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM outcome ORDER BY id").fetchall()


@pytest.mark.req_35
@pytest.mark.parametrize("numbers", [10, 400], ids=["ids that it lacks", "ids with other phone numbers"])
@pytest.mark.parametrize("version", ["new", "old"])
async def test_a_journal_is_not_continued_on_another_account(journal: Path, numbers: int, version: str) -> None:
    before = rows(journal)
    async with Sandbox(numbers, seed=7, api_key="another-key") as other, client_of(other) as wavix:
        move(journal, other)
        if version == "old":
            with closing(sqlite3.connect(journal)) as connection, connection:
                connection.execute("DELETE FROM meta WHERE key IN ('account', 'before_sending')")
        for work in (fleet.resume(wavix, journal), fleet.roll_back(wavix, journal, safety=ANY_SHARE)):
            with pytest.raises(fleet.JournalError, match="another account") as refused:
                await work
            assert refused.value.outcome == "not_sent"
        assert set(methods(other)) == {"GET"}
    assert rows(journal) == before
    assert fleet.status(journal).unknown == NUMBERS


@pytest.mark.req_35
@pytest.mark.parametrize("version", ["new", "old"])
async def test_a_key_of_the_same_account_continues_it(journal: Path, version: str) -> None:
    async with Sandbox(400, api_key="a-rotated-key") as same, client_of(same) as wavix:
        move(journal, same)
        if version == "old":
            with closing(sqlite3.connect(journal)) as connection, connection:
                connection.execute("DELETE FROM meta WHERE key IN ('account', 'before_sending')")
        report = await fleet.resume(wavix, journal)
        assert counts(report) == {"updated": NUMBERS}
        # The journal knows the new key now.
        last = same.requests[-1]
        await fleet.resume(wavix, journal)
        assert same.requests[-1] is last


@pytest.mark.req_35
async def test_the_journal_does_not_hold_the_key_or_the_same_hash_twice(tmp_path: Path) -> None:
    hashes = set()
    async with Sandbox(100) as sandbox, client_of(sandbox) as wavix:
        for name in ("a", "b"):
            await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(1), name)), journal=tmp_path / name)
            content = (tmp_path / name).read_bytes()
            assert sandbox.api_key.encode() not in content
            with closing(sqlite3.connect(tmp_path / name)) as connection:
                hashes |= set(connection.execute("SELECT value FROM meta WHERE key = 'account'"))
    assert len(hashes) == 2


async def interrupted(wavix: WavixClient, path: Path, count: int) -> None:
    """A run whose process was killed when it had sent all changes, and recorded none."""
    await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(count))), journal=path, safety=ANY_SHARE)
    set_states(path, "sent")


@pytest.mark.req_35
@pytest.mark.parametrize("found", [0, 1, 5])
@pytest.mark.parametrize("work", [fleet.resume, fleet.roll_back])
async def test_most_numbers_are_never_failed_because_the_api_does_not_find_them(
    tmp_path: Path, found: int, work: Any
) -> None:
    """With the right key, too: an answer of 404 to everything is more often a fault than the truth."""
    path, api = tmp_path / "run.sqlite", Account(500)
    async with api.client() as wavix:
        await interrupted(wavix, path, MANY)
        api.not_found = set(ids(MANY - found))
        with pytest.raises(fleet.SafetyError, match="does not find"):
            await work(wavix, path)
        assert fleet.status(path).failed == 0
        api.not_found = set()
        assert counts(await fleet.resume(wavix, path)) == {"updated": MANY}


@pytest.mark.req_35
async def test_a_few_numbers_that_are_gone_are_failed(tmp_path: Path) -> None:
    """The other numbers of the run show that it is the right account, also if all numbers to be read are gone."""
    path, api = tmp_path / "run.sqlite", Account(500)
    async with api.client() as wavix:
        await interrupted(wavix, path, MANY)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE outcome SET state = 'updated' WHERE id > ?", (FIRST + 2,))
        api.not_found = set(ids(3))
        report = await fleet.resume(wavix, path)
    assert counts(report) == {"updated": MANY - 3, "failed": 3}
    assert {result.reason for result in report.results("failed")} == {"the account has this number no more"}


@pytest.mark.req_35
@pytest.mark.parametrize("batch", [None, "auto"])
async def test_changes_of_which_the_api_finds_no_number_stay_open(tmp_path: Path, batch: Any) -> None:
    path, api = tmp_path / "run.sqlite", Account(500)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(MANY)))
        # The listing still shows the numbers, so the plan holds; reads and changes do not find them.
        api.not_found, api.lists_all = set(ids(500)), True
        report = await fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE, batch=batch)
        assert counts(report) == {"not_sent": MANY}
        assert "does not find" in (report.stopped_by or "") or "refused" in (report.stopped_by or "")
        api.not_found = set()
        assert counts(await fleet.resume(wavix, path)) == {"updated": MANY}
