"""Uploads: checked before anything is sent, read from disk by each attempt, and never read as a whole."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.conftest import KEY
from tests.streams.server import answer, reset, serving
from tests.support import examples as ex
from wavix_async import InputError, Operation, OutcomeUnknownError, RetryPolicy, WavixClient
from wavix_async._http import FilePart, Part
from wavix_async.resources._uploads import file_part

if TYPE_CHECKING:
    from pathlib import Path

    from tests.streams.server import Asked

DONE = answer(json.dumps([ex.document()]).encode(), kind="application/json")
REPEATABLE = Operation("PUT", "/v1/files", dict)
SCAN = bytes(range(256)) * 4096


def content_of(asked: Asked) -> bytes:
    found = re.search(rb'name="doc_attachment".*?\r\n\r\n(.*)\r\n--', asked.body, re.DOTALL)
    assert found
    return found[1]


async def test_a_path_is_streamed_with_progress(tmp_path: Path) -> None:
    (tmp_path / "id.pdf").write_bytes(SCAN)
    told: list[tuple[int, int | None]] = []
    async with serving(DONE) as server, WavixClient(KEY, base_url=server.url) as wavix:
        await wavix.numbers.papers.upload(
            did_ids=[1], doc_attachment=tmp_path / "id.pdf", doc_id="id", progress=lambda *each: told.append(each)
        )
    assert content_of(server.asked[0]) == SCAN
    assert b'filename="id.pdf"' in server.asked[0].body
    assert b"Content-Type: application/pdf" in server.asked[0].body
    assert "content-length" in server.asked[0].headers
    assert told[-1] == (len(SCAN), len(SCAN))
    assert len(told) == 16


async def test_a_retry_reads_the_file_again(tmp_path: Path) -> None:
    path = tmp_path / "id.pdf"
    path.write_bytes(SCAN)
    part = file_part("doc_attachment", path, None)
    retry = RetryPolicy(backoff=0.001)
    good = answer(b"{}", kind="application/json")
    async with (
        serving(reset, answer(status=503), good) as server,
        WavixClient(KEY, base_url=server.url, retry=retry) as wavix,
    ):
        assert await wavix.call(REPEATABLE, parts=[part]) == {}
    assert [content_of(asked) for asked in server.asked] == [SCAN] * 3


async def test_an_upload_that_may_have_come_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "id.pdf").write_bytes(SCAN)
    async with serving(reset) as server, WavixClient(KEY, base_url=server.url) as wavix:
        with pytest.raises(OutcomeUnknownError):
            await wavix.numbers.papers.upload(did_ids=[1], doc_attachment=tmp_path / "id.pdf", doc_id="id")
    assert len(server.asked) == 1


@pytest.mark.parametrize("size", [0, 2])
async def test_a_file_that_changes_while_it_is_sent_never_counts_as_sent(tmp_path: Path, size: int) -> None:
    path = tmp_path / "id.pdf"
    path.write_bytes(b"x")
    part = file_part("doc_attachment", path, None)
    path.write_bytes(b"x" * size)
    async with serving(DONE) as server, WavixClient(KEY, base_url=server.url, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(Exception, match=r"broke|closed"):
            await wavix.call(REPEATABLE, parts=[part])
    assert not server.asked


async def test_bounds_are_checked_before_anything_is_sent(tmp_path: Path) -> None:
    large = tmp_path / "large.wav"
    with large.open("wb") as file:
        file.truncate(25 * 1024 * 1024 + 1)
    with pytest.raises(InputError, match="larger than 25 MB"):
        file_part("file", large, None, most=25)
    with pytest.raises(InputError, match="larger than 10 MB"):
        file_part("file", b"x" * (10 * 1024 * 1024 + 1), "a.pdf")
    with pytest.raises(InputError, match="must be a WAV or MP3 file"):
        file_part("file", b"x", "a.pdf", suffixes=(".wav", ".mp3"))
    with pytest.raises(InputError, match="cannot read"):
        file_part("file", tmp_path / "missing.pdf", None)
    part = file_part("file", large, None, most=26)
    assert part == Part("file", FilePart(str(large), 25 * 1024 * 1024 + 1), "large.wav", "audio/x-wav")


async def test_what_progress_raises_reaches_the_caller_and_ends_the_upload(tmp_path: Path) -> None:
    (tmp_path / "id.pdf").write_bytes(SCAN)

    def leave(sent: int, _: int | None) -> None:
        if sent > len(SCAN) // 2:
            raise LookupError("the user has left")

    async with serving(DONE) as server, WavixClient(KEY, base_url=server.url) as wavix:
        with pytest.raises(LookupError, match="the user has left") as caught:
            await wavix.numbers.papers.upload(
                did_ids=[1], doc_attachment=tmp_path / "id.pdf", doc_id="id", progress=leave
            )
        assert not server.asked, "the whole body came"
        frames = [frame.name for frame in caught.traceback]
        assert "write" not in frames, "the sender's frame may hold the key"
        # The connection with half a body is not used again.
        await wavix.call(Operation("GET", "/v1/x", None))


@pytest.mark.parametrize("progress", [5, "print"])
async def test_a_callback_that_cannot_be_called_is_named_before_anything_is_sent(
    tmp_path: Path, progress: object
) -> None:
    (tmp_path / "id.pdf").write_bytes(SCAN)
    async with serving(DONE) as server, WavixClient(KEY, base_url=server.url) as wavix:
        with pytest.raises(InputError, match="progress must be a function"):
            await wavix.numbers.papers.upload(
                did_ids=[1],
                doc_attachment=tmp_path / "id.pdf",
                doc_id="id",
                progress=progress,  # type: ignore[arg-type]
            )
        with pytest.raises(InputError, match="progress must be a function"):
            file_part("file", b"x", "a.pdf", progress=progress)  # type: ignore[arg-type]
    assert server.connections == 0


def test_a_path_that_is_not_a_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pdf")
    (tmp_path / "folder.pdf").mkdir()
    for name, why in (("pipe.pdf", "Not a file"), ("folder.pdf", "Is a directory")):
        with pytest.raises(InputError, match=f"doc_attachment: cannot read .*{name}: {why}"):
            file_part("doc_attachment", tmp_path / name, None)
    with pytest.raises(InputError, match="doc_attachment is empty"):
        file_part("doc_attachment", "", None)
