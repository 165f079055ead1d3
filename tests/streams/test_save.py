"""`save`: what it writes to, what it must not replace, and what it checks before anything is sent."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import KEY
from tests.streams.server import answer, chunked, serving
from wavix_async import Download, InputError, Operation, RetryPolicy, WavixClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.streams.server import FileServer, Script

FILE = Operation("GET", "/v1/recordings/{id}", Download)
SOUND = bytes(range(256)) * 10


def named(name: str) -> Script:
    return answer(SOUND, Content_Disposition=f'attachment; filename="{name}"')


@asynccontextmanager
async def downloading(*scripts: Script) -> AsyncIterator[tuple[FileServer, WavixClient]]:
    retry = RetryPolicy(backoff=0.001, max_backoff=0.002)
    async with serving(*scripts) as server, WavixClient(KEY, base_url=server.url, retry=retry) as wavix:
        yield server, wavix


def file(wavix: WavixClient) -> Download:
    return wavix.download(FILE, path={"id": "a1"})


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


# --- what a server must not choose ---


async def test_a_name_from_the_server_replaces_no_file(tmp_path: Path) -> None:
    (tmp_path / "call.mp3").write_bytes(b"precious")
    async with downloading(named("call.mp3")) as (_, wavix):
        saved = [await file(wavix).save(tmp_path) for _ in range(2)]
    assert [each.path.name for each in saved] == ["call (2).mp3", "call (3).mp3"]
    assert (tmp_path / "call.mp3").read_bytes() == b"precious"
    assert names(tmp_path) == ["call (2).mp3", "call (3).mp3", "call.mp3"]


async def test_files_of_one_name_that_come_at_once_are_all_kept(tmp_path: Path) -> None:
    async with downloading(named("call.mp3")) as (_, wavix):
        await asyncio.gather(*(file(wavix).save(tmp_path) for _ in range(8)))
    assert len(names(tmp_path)) == 8
    assert all((tmp_path / name).read_bytes() == SOUND for name in names(tmp_path))


async def test_a_name_from_the_server_may_be_that_of_a_folder_or_a_link(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    async with downloading(named("sub"), named("link")) as (_, wavix):
        for _ in range(2):
            await file(wavix).save(tmp_path)
    assert names(tmp_path) == ["link", "link (2)", "sub", "sub (2)"]


async def test_a_free_name_is_taken_without_hard_links_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    async with downloading(named("call.mp3")) as (_, wavix):
        for _ in range(2):
            await file(wavix).save(tmp_path)
    assert names(tmp_path) == ["call (2).mp3", "call.mp3"]


async def test_a_file_of_unknown_length_replaces_no_file_either(tmp_path: Path) -> None:
    (tmp_path / "call.mp3.part").write_bytes(b"precious")
    script = answer(SOUND, length=None, Content_Disposition='attachment; filename="call.mp3"')
    async with downloading(script) as (_, wavix):
        saved = await file(wavix).save(tmp_path)
    assert saved.path.name == "call (2).mp3.part"
    assert (tmp_path / "call.mp3.part").read_bytes() == b"precious"


# --- what a rename must not replace ---


async def test_a_pipe_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to(pipe)
    async with downloading(answer(SOUND)) as (server, wavix):
        for target in (pipe, tmp_path / "link"):
            with pytest.raises(InputError, match=r"path: .* is a device, a pipe or a socket"):
                await file(wavix).save(target)
    assert not server.asked
    assert stat.S_ISFIFO(pipe.stat().st_mode)


async def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.mp3").write_bytes(b"old")
    (tmp_path / "link.mp3").symlink_to("real.mp3")
    async with downloading(answer(SOUND)) as (_, wavix):
        await file(wavix).save(tmp_path / "link.mp3")
    assert (tmp_path / "link.mp3").is_symlink()
    assert (tmp_path / "real.mp3").read_bytes() == SOUND


async def test_a_file_that_is_replaced_keeps_who_may_read_it(tmp_path: Path) -> None:
    private = tmp_path / "call.mp3"
    private.write_bytes(b"old")
    private.chmod(0o600)
    modes: list[int] = []

    def look(*_: object) -> None:
        modes.extend(stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir())

    async with downloading(answer(SOUND)) as (_, wavix):
        await file(wavix).save(private, progress=look)
    assert private.read_bytes() == SOUND
    assert {*modes, stat.S_IMODE(private.stat().st_mode)} == {0o600}


async def test_a_target_that_becomes_a_folder_leaves_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "call.mp3"
    async with downloading(answer(SOUND)) as (_, wavix):
        with pytest.raises(OSError, match="directory"):
            await file(wavix).save(target, progress=lambda *_: target.mkdir(exist_ok=True))
    assert names(tmp_path) == ["call.mp3"]


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 250 + ".mp3"])
async def test_a_long_name_is_a_name(tmp_path: Path, name: str) -> None:
    async with downloading(answer(SOUND), answer(SOUND, length=None)) as (_, wavix):
        await file(wavix).save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == SOUND
        (tmp_path / name).unlink()
        saved = await file(wavix).save(tmp_path / name)
        assert saved.path.name.endswith(".part")


# --- arguments ---


async def nothing(*_: object) -> None:
    """Stand for a callback that is not awaited."""


class Callback:
    async def __call__(self, *_: object) -> None:
        """Stand for an object that is not awaited."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": None}, "path must be a string or a pathlib.Path, got None"),
        ({"path": 5}, "path must be a string or a pathlib.Path, got 5"),
        ({"path": b"a.csv"}, "path must be a string or a pathlib.Path"),
        ({"path": ""}, "path is empty"),
        ({"path": "a\0.csv"}, "is not a path"),
        ({"path": "\ud800.csv"}, "is not a path"),
        ({"path": "x" * 5000}, "is not a path"),
        ({"path": "missing/a.csv"}, "there is no folder"),
        ({"path": "missing/"}, "there is no folder"),
        ({"progress": 5}, "progress must be a function"),
        ({"progress": nothing}, "progress must be a plain function"),
        ({"progress": Callback()}, "progress must be a plain function"),
        ({"accept_unknown_length": "no"}, "accept_unknown_length must be True or False"),
    ],
)
async def test_wrong_arguments_are_named_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = arguments.pop("path", "a.csv")
    async with downloading(answer(SOUND)) as (server, wavix):
        for streamed in (file(wavix), wavix.messages.export(type="outbound")):
            with pytest.raises(InputError, match=message):
                await streamed.save(path, **arguments)
    assert not server.asked
    assert not names(tmp_path)


async def test_a_folder_that_cannot_be_written_to_is_named_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write to every folder, and the tests may run as root.
    monkeypatch.setattr(os, "access", lambda *_: False)
    async with downloading(answer(SOUND)) as (server, wavix):
        with pytest.raises(PermissionError, match=tmp_path.name):
            await file(wavix).save(tmp_path / "a.mp3")
    assert not server.asked


# --- facts and use ---


async def test_the_facts_of_a_file_outlast_it(tmp_path: Path) -> None:
    async with downloading(named("call.mp3")) as (_, wavix):
        awaited, saved, opened = file(wavix), file(wavix), file(wavix)
        await awaited
        await saved.save(tmp_path)
        async with opened:
            await opened.read()
        for each in (awaited, saved, opened):
            assert (each.filename, each.size, each.content_type) == ("call.mp3", len(SOUND), "audio/mpeg")


async def test_an_export_has_one_reader() -> None:
    async with downloading(chunked(b'{"message_id": "a"}\n', ETag='"7"')) as (server, wavix):
        export = wavix.messages.export(type="outbound")
        with pytest.raises(InputError, match="read a row first"):
            export.etag  # noqa: B018

        async def read() -> int:
            return len([each async for each in export])

        first, second = await asyncio.gather(read(), read(), return_exceptions=True)
        assert first == 1
        assert isinstance(second, InputError)
        assert export.etag == '"7"'
    assert len(server.asked) == 1


async def test_an_export_that_is_never_used_says_how_to_use_one() -> None:
    async with downloading(chunked()) as (_, wavix):
        with pytest.warns(RuntimeWarning, match="save it, or iterate over it with async for"):
            wavix.messages.export(type="outbound")


@pytest.mark.parametrize(
    "text", [" =1+1", "\u00a0=1", "\ufeff=1", "\u200b@SUM(A1)", "\x00=1", "\x1f+cmd|'/c calc'!A0", "\u2028-2+3"]
)
async def test_nothing_invisible_hides_a_formula(tmp_path: Path, text: str) -> None:
    import csv
    import json

    async with downloading(chunked(json.dumps({"message_id": text, "tag": "a=1"}).encode() + b"\n")) as (_, wavix):
        saved = await wavix.messages.export(type="outbound").save(tmp_path / "a.csv")
    with saved.path.open(encoding="utf-8", newline="") as table:
        row = next(csv.DictReader(table))
    assert row["message_id"] == f"'{text}"
    assert row["tag"] == "a=1"
