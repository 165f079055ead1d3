"""Facts about aiohttp that `_http/open_answer.py` relies on."""

from __future__ import annotations

import asyncio
import gzip

import aiohttp
import pytest

from tests.streams.server import answer, chunked, serving


async def broken(script: object) -> aiohttp.ClientResponse:
    """Return an answer whose body has ended, or is broken; the test must close it."""
    async with serving(script) as server, aiohttp.ClientSession() as session:  # type: ignore[arg-type]
        got = await session.get(server.url)
        while got.content.exception() is None and not got.content.is_eof():
            await asyncio.sleep(0)
        return got


@pytest.mark.parametrize("script", [answer(b"abc", length=9), chunked(b"abc", ends=False)])
async def test_a_cut_raises_and_what_came_before_it_is_left_in_the_buffer(script: object) -> None:
    got = await broken(script)
    with pytest.raises(aiohttp.ClientPayloadError):
        got.content.read_nowait()
    assert not got.content.at_eof()
    assert got.content._read_nowait(-1) == b"abc"
    with pytest.raises(aiohttp.ClientPayloadError):
        await got.content.readany()
    got.close()


async def test_without_a_length_a_cut_looks_like_the_end() -> None:
    got = await broken(answer(b"abc", length=None))
    assert await got.content.readany() == b"abc"
    assert got.content.at_eof()


async def test_the_missing_end_of_gzip_looks_like_the_end() -> None:
    cut = gzip.compress(b"abc")[:-9]
    async with serving(answer(cut, Content_Encoding="gzip")) as server:
        async with aiohttp.ClientSession() as session, session.get(server.url) as got:
            assert await got.read() in {b"abc", b""}
        async with aiohttp.ClientSession() as session, session.get(server.url, auto_decompress=False) as got:
            assert await got.read() == cut
