"""A compressed body is whole or an error, like any other: aiohttp does not notice the missing end of gzip."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.conftest import KEY
from tests.streams.server import answer, chunked, serving
from wavix_async import DecodeError, Download, NotFoundError, Operation, RetryPolicy, WavixClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.streams.server import FileServer, Script

FILE = Operation("GET", "/v1/recordings/{id}", Download)
QUICK = RetryPolicy(backoff=0.001, max_backoff=0.002)
SOUND = random.Random(1).randbytes(300_000) + bytes(600_000)
RAW = zlib.compressobj(wbits=-15)
CODED = {
    "gzip": gzip.compress(SOUND),
    "x-gzip": gzip.compress(SOUND),
    "GZIP": gzip.compress(SOUND),
    "deflate": zlib.compress(SOUND),
}
"""The sound in each coding that the client reads."""
RAW_DEFLATE = RAW.compress(SOUND) + RAW.flush()


@asynccontextmanager
async def downloading(*scripts: Script) -> AsyncIterator[tuple[FileServer, WavixClient]]:
    async with serving(*scripts) as server, WavixClient(KEY, base_url=server.url, retry=QUICK) as wavix:
        yield server, wavix


def file(wavix: WavixClient) -> Download:
    return wavix.download(FILE, path={"id": "a1"})


async def read_in_chunks(got: Download) -> int:
    async with got:
        return sum([len(chunk) async for chunk in got])


@pytest.mark.parametrize("coding", CODED)
async def test_a_compressed_file_is_read(coding: str, tmp_path: Path) -> None:
    async with downloading(answer(CODED[coding], Content_Encoding=coding)) as (_, wavix):
        got = file(wavix)
        assert await got == SOUND
        assert got.complete is True
        saved = await file(wavix).save(tmp_path / "call.mp3")
        assert saved.complete
        assert (tmp_path / "call.mp3").read_bytes() == SOUND


# With names: a gzip head has the time, and the processes of a distributed run must find the same tests.
@pytest.mark.parametrize(
    ("coding", "body", "content"),
    [
        pytest.param("deflate", RAW_DEFLATE, SOUND, id="deflate without a head"),
        pytest.param("gzip", gzip.compress(SOUND[:9]) + gzip.compress(SOUND[9:]) + bytes(512), SOUND, id="two parts"),
        pytest.param("gzip", gzip.compress(b""), b"", id="empty"),
    ],
)
async def test_odd_forms_are_read(coding: str, body: bytes, content: bytes) -> None:
    async with downloading(chunked(body[:10], body[10:11], body[11:], Content_Encoding=coding)) as (_, wavix):
        assert await file(wavix) == content


@pytest.mark.req_33
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("kept", [1, 1000, -1, -8, -9])
@pytest.mark.parametrize("way", ["await", "save", "with"])
async def test_a_compressed_file_without_its_end_is_never_taken_for_whole(
    coding: str, kept: int, way: str, tmp_path: Path
) -> None:
    cut = answer(CODED[coding][:kept], Content_Encoding=coding)
    async with downloading(cut) as (server, wavix):
        got = file(wavix)
        with pytest.raises(DecodeError, match="compressed"):
            await (got if way == "await" else got.save(tmp_path / "call.mp3") if way == "save" else read_in_chunks(got))
        assert got.complete is False
        assert not [*tmp_path.iterdir()]
        if way != "with":
            assert len(server.asked) == 4


async def test_a_cut_compressed_file_is_read_again(tmp_path: Path) -> None:
    scripts = [answer(CODED["gzip"][:kept], Content_Encoding="gzip") for kept in (5000, -4)]
    async with downloading(*scripts, answer(CODED["gzip"], Content_Encoding="gzip")) as (server, wavix):
        await file(wavix).save(tmp_path / "call.mp3")
        assert (tmp_path / "call.mp3").read_bytes() == SOUND
        assert len(server.asked) == 3


@pytest.mark.parametrize(
    "body",
    [b"no gzip", CODED["gzip"][:9000] + b"?" * 9000, CODED["gzip"] + b"more"],
    ids=["another format", "damaged", "with more behind"],
)
async def test_a_damaged_compressed_file_is_an_error(body: bytes) -> None:
    async with downloading(answer(body, Content_Encoding="gzip")) as (_, wavix):
        with pytest.raises(DecodeError, match="compressed"):
            await file(wavix)


async def test_a_coding_that_was_not_asked_for_is_an_error() -> None:
    async with downloading(answer(b"..", Content_Encoding="br")) as (server, wavix):
        with pytest.raises(DecodeError, match="'br'"):
            await file(wavix)
        assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_the_name_of_a_transfer_of_the_host_is_no_coding() -> None:
    async with downloading(answer(SOUND, Content_Encoding="aws-chunked")) as (_, wavix):
        assert await file(wavix) == SOUND


async def test_a_compressed_file_that_grows_stays_within_the_limit() -> None:
    async with downloading(answer(gzip.compress(bytes(40_000_000)), Content_Encoding="gzip")) as (_, wavix):
        with pytest.raises(DecodeError, match="longer than 16 MB"):
            await file(wavix)


async def test_a_compressed_error_is_the_usual_one() -> None:
    body = gzip.compress(b'{"error": true, "message": "no such recording"}')
    gone = answer(body, status=404, kind="application/json", Content_Encoding="gzip")
    async with downloading(gone) as (_, wavix):
        with pytest.raises(NotFoundError, match="no such recording"):
            await file(wavix)


@pytest.mark.req_33
async def test_a_compressed_export_without_its_end_is_not_complete() -> None:
    rows = b"".join(json.dumps({"message_id": f"m{at}"}).encode() + b"\n" for at in range(3))
    # Flushed after the last row: only the end of the compressed stream is missing.
    packer = zlib.compressobj(wbits=31)
    body = packer.compress(rows) + packer.flush(zlib.Z_SYNC_FLUSH)
    kind = "application/x-ndjson"
    async with downloading(answer(body, kind=kind, Content_Encoding="gzip")) as (_, wavix):
        export = wavix.messages.export(type="outbound")
        with pytest.raises(DecodeError, match=r"ended after 3 rows: .*compressed"):
            [message async for message in export]
        assert export.rows == 3
        assert export.complete is False
    async with downloading(answer(body + packer.flush(), kind=kind, Content_Encoding="gzip")) as (_, wavix):
        export = wavix.messages.export(type="outbound")
        assert len([message async for message in export]) == 3
        assert export.complete
