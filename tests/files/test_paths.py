"""Paths that no file can have: every call that takes one refuses it with an error of ours, and sends nothing."""

from __future__ import annotations

import asyncio
import errno
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.account import Account
from tests.support.bulk import finish
from tests.support.fleets import ANY_SHARE, ids, urls
from wavix_async import InputError, JournalError, NumberUpdate, WavixClient, WavixError, fleet
from wavix_async._files import check_path, temporary_file
from wavix_async.errors import ConfigurationError
from wavix_async.fastapi import fleet_jobs
from wavix_async.models import MessageCreate
from wavix_async.webhooks import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALLS: dict[str, Callable[[WavixClient, fleet.Plan, Any], Awaitable[Any]]] = {
    "apply": lambda wavix, plan, path: fleet.apply(wavix, plan, journal=path, safety=ANY_SHARE),
    "resume": lambda wavix, _, path: fleet.resume(wavix, path),
    "roll_back": lambda wavix, _, path: fleet.roll_back(wavix, path),
    "status": lambda _1, _2, path: asyncio.to_thread(fleet.status, path),
    "has_run": lambda wavix, _, path: asyncio.to_thread(fleet.has_run, path, base_url=wavix.base_url),
    "export": lambda wavix, _, path: fleet.export(wavix, path, layout="csv"),
    "read": lambda _1, _2, path: asyncio.to_thread(fleet.read, path, layout="csv"),
    "failures_to": lambda wavix, _, path: finish(
        wavix.numbers.bulk_update({1001: NumberUpdate(sms_enabled=True)}, failures_to=path)
    ),
    "bulk_send": lambda wavix, _, path: finish(
        wavix.messages.bulk_send([MessageCreate(from_="Me", to="15125550100", text="x")], journal=path)
    ),
    "fleet_jobs": lambda _1, _2, path: asyncio.to_thread(fleet_jobs, path),
    "SqliteStore": lambda _1, _2, path: SqliteStore(path).open(lambda _: None),
}
PATHS: dict[str, Callable[[Path], Any]] = {
    "empty": lambda _: "",
    "zero": lambda place: f"{place}/a\0b",
    "half a character": lambda place: f"{place}/a\ud800b",
    "memory": lambda _: ":memory:",
    "number": lambda _: 7,
    "too long": lambda place: f"{place}/{'x' * 5000}",
    "loop": lambda place: place / "loop",
    "below a file": lambda place: place / "file" / "run.sqlite",
    "directory": lambda place: place,
}
# These have a meaning: a file of this name, or a source that is not a path.
FINE = {("memory", "read"), ("memory", "failures_to"), ("directory", "fleet_jobs")}


@pytest.mark.req_35
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", PATHS)
async def test_a_path_that_no_file_has_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, kind: str
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    api = Account(3)
    async with api.client() as wavix:
        plan = await fleet.plan(wavix, urls(ids(3)))
        sent = api.session.seen.total()
        if (kind, call) in FINE:
            return
        with pytest.raises(WavixError) as refused:
            await CALLS[call](wavix, plan, PATHS[kind](tmp_path))
        assert isinstance(refused.value, InputError | JournalError)
        assert api.session.seen.total() == sent
    # The lock of a journal is beside it, so in the directory above.
    assert {each.name for each in tmp_path.iterdir()} == {"loop", "file"}


def test_a_path_is_kept_as_it_is(tmp_path: Path) -> None:
    assert check_path("run.sqlite", "journal") == Path("run.sqlite")
    assert check_path(tmp_path / "none" / "run.sqlite", "journal") == tmp_path / "none" / "run.sqlite"
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    assert check_path(str(tmp_path / "link"), "journal") == tmp_path / "link"


def test_without_a_directory_for_temporary_files_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with temporary_file() as stream:
        assert stream.seekable()

    def none() -> Any:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    with pytest.raises(ConfigurationError, match="Set TMPDIR"):
        temporary_file()
