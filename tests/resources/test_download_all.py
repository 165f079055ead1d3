"""Many recordings to disk: one outcome for each, whole files only, and names that stay in the folder."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import warnings
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest

from tests.streams.server import answer, serving
from wavix_async import (
    BadRequestError,
    BulkStatus,
    ConfigurationError,
    InputError,
    NotFoundError,
    RetryPolicy,
    ServerError,
    WavixClient,
)
from wavix_async.models import Recording, RecordingList
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SOUND = b"ID3" + b"sound" * 1000


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=0, cdrs=60) as running:
        yield running


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(backoff=0.001)) as wavix:
        yield wavix


def calls_of(sandbox: Sandbox) -> list[str]:
    return [recording["call_uuid"] for recording in sandbox.recordings.values()]


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


async def test_each_recording_is_saved_and_a_second_run_skips_it(
    sandbox: Sandbox, client: WavixClient, tmp_path: Path
) -> None:
    folder, calls = tmp_path / "new" / "recordings", calls_of(sandbox)
    report = await client.recordings.download_all(to=folder)
    assert (report.succeeded, report.skipped, report.failed, report.total) == (len(calls), 0, 0, len(calls))
    assert names_in(folder) == {f"{call_id}.mp3" for call_id in calls}
    assert (folder / f"{calls[0]}.mp3").read_bytes() == await client.recordings.download(calls[0])

    (folder / f"{calls[0]}.mp3").unlink()
    (folder / f"{calls[1]}.mp3").write_bytes(b"")
    before = len(sandbox.requests_to("GET /v1/recordings/*"))
    results = {each.id: each async for each in client.recordings.download_all(to=folder)}
    assert results.keys() == set(calls)
    assert all(each.ok and each.value is not None and each.value.size for each in results.values())
    assert {key for key, each in results.items() if each.attempts} == set(calls[:2])
    assert len(sandbox.requests_to("GET /v1/recordings/*")) == before + 2
    assert sandbox.keys_to_file_host == 0


async def test_the_report_says_what_was_there_before(client: WavixClient, sandbox: Sandbox, tmp_path: Path) -> None:
    calls = calls_of(sandbox)
    await client.recordings.download_all(calls[:5], to=tmp_path)
    run = client.recordings.download_all(calls, to=tmp_path)
    report = await run
    assert (report.succeeded, report.skipped) == (len(calls), 5)
    assert f"{len(calls)} of {len(calls)} done (5 before this run), 0 failed" in str(report)
    assert report.requests == len(calls) - 5


async def test_a_filter_or_an_iterable_of_recordings_or_of_ids_says_which(
    sandbox: Sandbox, client: WavixClient, tmp_path: Path
) -> None:
    calls = calls_of(sandbox)

    async def some() -> AsyncIterator[Recording | str]:
        async for recording in client.recordings.list(limit=2):
            yield recording
        yield calls[2]

    one = RecordingList(call_uuid=calls[0])
    assert (await client.recordings.download_all(one, to=tmp_path / "1")).succeeded == 1
    assert (await client.recordings.download_all(some(), to=tmp_path / "2")).succeeded == 3
    assert names_in(tmp_path / "2") == {f"{call_id}.mp3" for call_id in calls[:3]}
    assert (await client.recordings.download_all([], to=tmp_path / "3")).total == 0
    # The same call twice is one file.
    report = await client.recordings.download_all([calls[0], calls[0]], to=tmp_path / "4", concurrency=1)
    assert (report.succeeded, report.skipped) == (2, 1)


async def test_each_failure_is_named_and_the_next_run_goes_on(
    sandbox: Sandbox, client: WavixClient, tmp_path: Path
) -> None:
    calls = calls_of(sandbox)
    await client.recordings.delete(next(iter(sandbox.recordings)))
    once = client.with_options(retry=RetryPolicy.none())
    sandbox.fail_next("status_503", match=f"GET /v1/recordings/{calls[1]}")
    items: list[Any] = [*calls, "no-such-call", "501", 7, Recording(id=9), " "]

    results = {each.id: each async for each in once.recordings.download_all(iter(items), to=tmp_path)}

    failed = {key: each for key, each in results.items() if not each.ok}
    assert {key: type(each.error) for key, each in failed.items()} == {
        calls[0]: BadRequestError,
        calls[1]: ServerError,
        "no-such-call": NotFoundError,
        **dict.fromkeys(("501", 7, 9, " "), InputError),
    }
    # A download changes nothing, so none of them is unknown.
    assert {each.status for each in failed.values()} == {BulkStatus.FAILED}
    assert names_in(tmp_path) == {f"{call_id}.mp3" for call_id in calls[2:]}

    report = await once.recordings.download_all(calls, to=tmp_path)
    assert (report.succeeded, report.skipped, report.failed) == (len(calls) - 1, len(calls) - 2, 1)


async def test_a_file_that_is_cut_off_is_fetched_again_and_never_kept(tmp_path: Path) -> None:
    async with (
        Sandbox(numbers=0, cdrs=20, files="bytes") as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url, retry=RetryPolicy(backoff=0.001)) as client,
    ):
        calls = calls_of(sandbox)
        sandbox.fail_next("half_body", count=5, match="GET /v1/recordings/*")
        report = await client.recordings.download_all(calls, to=tmp_path)
        assert report.succeeded == len(calls)
        assert {file.stat().st_size for file in tmp_path.iterdir()} == {4096}

        sandbox.fail_next("half_body", match="GET /v1/recordings/*")
        once = client.with_options(retry=RetryPolicy.none())
        report = await once.recordings.download_all(calls[:1], to=tmp_path / "once")
        assert (report.failed, names_in(tmp_path / "once")) == (1, set())


async def test_a_run_that_is_stopped_or_cancelled_leaves_whole_files_only(
    sandbox: Sandbox, client: WavixClient, tmp_path: Path
) -> None:
    calls = calls_of(sandbox)
    sandbox.fail_next("stall", match=f"GET /v1/recordings/{calls[4]}")
    run = client.recordings.download_all(calls, to=tmp_path, concurrency=2)
    async for result in run:
        if result.id == calls[7]:
            run.stop(grace=0)
    report = await run
    assert report.total == report.succeeded + report.not_sent
    assert report.not_sent
    assert report.unknown == report.failed == 0
    assert len(names_in(tmp_path)) == report.succeeded

    task = asyncio.create_task(_all(client, calls, tmp_path))
    while len(names_in(tmp_path)) < report.succeeded + 3:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    whole = {f"{call_id}.mp3" for call_id in calls}
    assert names_in(tmp_path) <= whole

    await client.recordings.download_all(calls, to=tmp_path)
    assert names_in(tmp_path) == whole
    assert {file.stat().st_size for file in tmp_path.iterdir()} == {4096}


async def test_a_run_that_ends_early_closes_what_it_was_reading(
    client: WavixClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    ends: list[str] = []

    async def some() -> AsyncIterator[str]:
        try:
            for call_id in calls_of(sandbox):
                yield call_id
        finally:
            await asyncio.sleep(0)
            ends.append("closed")

    items = some()
    run = client.recordings.download_all(items, to=tmp_path, concurrency=1)
    async with aclosing(aiter(run)) as results:
        await anext(results)
    assert ends == ["closed"]
    assert run.report.cut_short


async def _all(client: WavixClient, calls: list[str], folder: Path) -> None:
    await client.recordings.download_all(calls, to=folder, concurrency=2)


async def test_what_a_killed_run_has_left_is_removed_and_nothing_else(client: WavixClient, tmp_path: Path) -> None:
    left = [".0a1b2c3d.saving.01234567.part", ".0a1b2c3d.saving", ".recording_7.saving.part"]
    kept = [".hidden", "mine.saving", ".mine.part", "x.part"]
    fresh = ".11111111.saving.01234567.part"
    for name in (*left, *kept, fresh):
        (tmp_path / name).write_bytes(b"half")
        if name != fresh:
            os.utime(tmp_path / name, (time.time() - 86_400,) * 2)

    await client.recordings.download_all([], to=tmp_path)

    assert names_in(tmp_path) == {*kept, fresh}


HOSTILE = ["../../evil-evil", "/etc/passwd-of-all", "CON", "nul\0and-more", "a" * 300, "C:\\evil-evil", "é" * 9]


async def test_no_id_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    recordings = [Recording(id=number, call_uuid=call_id) for number, call_id in enumerate(HOSTILE, 1)]
    async with serving(answer(SOUND)) as server, WavixClient("key-of-a-test", base_url=server.url) as client:
        report = await client.recordings.download_all(recordings, to=folder)
        assert report.succeeded == len(HOSTILE), report.failures
        assert names_in(folder) == {f"recording_{number}.mp3" for number in range(1, len(HOSTILE) + 1)}
        assert names_in(tmp_path) == {"a"}
        # Without the id of a record there is no safe name.
        report = await client.recordings.download_all(HOSTILE, to=folder)
        assert (report.failed, report.requests) == (len(HOSTILE), 0)


@pytest.mark.parametrize(
    ("content", "kind", "ending"),
    [
        (b"RIFF\0\0\0\0WAVE", "application/octet-stream", "wav"),
        (b"ID3\4", None, "mp3"),
        (b"\xff\xfb\x90", "audio/mpeg", "mp3"),
        (b"OggS\0\2", "binary/octet-stream", "ogg"),
        (b"\0\0\0\x18ftypmp42", "audio/mpeg", "mp4"),
        (b"other", "audio/x-wav; rate=8000", "wav"),
        (b"other", "application/x-sh", "bin"),
    ],
)
async def test_the_ending_says_what_a_file_contains(
    content: bytes, kind: str | None, ending: str, tmp_path: Path
) -> None:
    async with serving(answer(content, kind=kind)) as server, WavixClient("key", base_url=server.url) as client:
        for skipped in (0, 1):
            report = await client.recordings.download_all(["0a1b2c3d"], to=tmp_path)
            assert (report.succeeded, report.skipped) == (1, skipped)
    assert names_in(tmp_path) == {f"0a1b2c3d.{ending}"}


async def test_a_file_whose_length_is_not_told_is_kept_only_if_you_say_so(tmp_path: Path) -> None:
    async with serving(answer(SOUND, length=None)) as server, WavixClient("key", base_url=server.url) as client:
        report = await client.recordings.download_all(["0a1b2c3d"], to=tmp_path)
        assert (report.failed, names_in(tmp_path)) == (1, set())
        assert "accept_unknown_length=True" in str(report.failures[0].error)
        report = await client.recordings.download_all(["0a1b2c3d"], to=tmp_path, accept_unknown_length=True)
        assert (report.succeeded, names_in(tmp_path)) == (1, {"0a1b2c3d.mp3"})


async def test_an_empty_answer_is_no_recording(tmp_path: Path) -> None:
    async with serving(answer(b"")) as server, WavixClient("key", base_url=server.url) as client:
        report = await client.recordings.download_all(["0a1b2c3d"], to=tmp_path)
    assert (report.succeeded, report.failed, names_in(tmp_path)) == (0, 1, set())
    assert "0a1b2c3d: the server sent an empty file" in str(report.failures[0].error)


async def test_a_folder_with_the_name_of_a_recording_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "0a1b2c3d.wav").mkdir()
    async with serving(answer(SOUND)) as server, WavixClient("key", base_url=server.url) as client:
        report = await client.recordings.download_all(["0a1b2c3d"], to=tmp_path)
    assert (report.succeeded, report.skipped) == (1, 0)
    assert (tmp_path / "0a1b2c3d.mp3").read_bytes() == SOUND


async def test_never_more_at_once_than_asked_for(tmp_path: Path) -> None:
    async with (
        Sandbox(numbers=0, cdrs=40, files="bytes", latency=0.002) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as client,
    ):
        await client.recordings.download_all(calls_of(sandbox), to=tmp_path, concurrency=3)
        assert sandbox.stats.max_in_flight <= 3


async def test_a_key_that_is_refused_stops_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    async with WavixClient("another-key", base_url=sandbox.url) as client:
        report = await client.recordings.download_all(calls_of(sandbox), to=tmp_path, concurrency=1)
    assert (report.succeeded, report.failed) == (0, 1)
    assert type(report.stopped_by).__name__ == "AuthenticationError"


async def test_what_is_refused_before_anything_is_sent(client: WavixClient, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    wrong: Any
    for wrong in ("46a2", Recording(id=1), 5, b"46a2"):
        with pytest.raises(InputError, match=r"recordings must be a RecordingList\(...\), or a list"):
            client.recordings.download_all(wrong, to=tmp_path)
    for wrong in (tmp_path / "file", "", None):
        with pytest.raises(InputError, match="to must be"):
            client.recordings.download_all([], to=wrong)
    with pytest.raises(ConfigurationError, match="concurrency"):
        client.recordings.download_all([], to=tmp_path, concurrency=0)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match="to must be a folder"):
            client.recordings.download_all(to=tmp_path / "file")
        with pytest.raises(ConfigurationError, match="concurrency"):
            client.recordings.download_all(RecordingList(), to=tmp_path, concurrency=0)
        gc.collect()
    assert not [each for each in warned if "/v1/recordings was never awaited" in str(each.message)]
    assert not sandbox.requests


async def test_a_list_that_cannot_be_read_is_the_error_of_the_run(
    client: WavixClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.fail_next(500, match="GET /v1/recordings")
    report = await client.recordings.download_all(RecordingList(limit=3), to=tmp_path)
    assert report.succeeded == 3

    sandbox.fail_next(500, match="GET /v1/recordings")
    once = client.with_options(retry=RetryPolicy.none())
    with pytest.raises(ServerError):
        await once.recordings.download_all(to=tmp_path)


async def test_a_disk_that_cannot_be_written_ends_the_run_with_its_error(
    client: WavixClient, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wavix_async.resources._recording_files.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        await client.recordings.download_all(calls_of(sandbox), to=tmp_path)


@pytest.mark.parametrize("counts", [(20, 60), pytest.param((50, 300, 2_000), marks=pytest.mark.scale)])
async def test_memory_does_not_grow_with_the_recordings(tmp_path: Path, counts: tuple[int, ...]) -> None:
    import tracemalloc

    peaks = []
    async with serving(answer(SOUND * 10)) as server, WavixClient("key-of-a-test", base_url=server.url) as client:
        for count in counts:

            def calls(count: int = count) -> Iterator[str]:
                for number in range(count):
                    # The server of the test keeps what it was asked.
                    server.asked.clear()
                    yield f"{count:08}-{number:08}"

            tracemalloc.start()
            report = await client.recordings.download_all(calls(), to=tmp_path)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
            assert report.succeeded == count
    # The first run loads modules. Tables of the interpreter grow by a megabyte or so; the files have 100.
    assert peaks[-1] < peaks[-2] + 4_000_000
