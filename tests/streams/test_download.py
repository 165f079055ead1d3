"""`Download`: a file is whole or it is not there; the key and the URL of the file reach no one else."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import logging
import random
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
import pytest
from multidict import CIMultiDict

from tests.conftest import KEY
from tests.streams.server import answer, chunked, hang, reset, serving
from tests.support.soon import SOON
from tests.support.stub import StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    APIError,
    AttemptTimeoutError,
    ClientClosedError,
    DecodeError,
    DisconnectedError,
    Download,
    InputError,
    NotFoundError,
    Operation,
    RateLimitError,
    RetryPolicy,
    Timeouts,
    TransportError,
    WavixClient,
)
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import TextId

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from yarl import URL

    from tests.streams.server import Asked, FileServer, Script

FILE = Operation("GET", "/v1/recordings/{id}", Download)
SOUND = bytes(range(256)) * 1000
SIGNATURE = "X-Amz-Signature=5ecre7"
QUICK = RetryPolicy(backoff=0.001, max_backoff=0.002)


@asynccontextmanager
async def downloading(*scripts: Script, **options: Any) -> AsyncIterator[tuple[FileServer, WavixClient]]:
    async with (
        serving(*scripts) as server,
        WavixClient(KEY, base_url=server.url, **{"retry": QUICK, **options}) as wavix,
    ):
        yield server, wavix


def file(wavix: WavixClient) -> Download:
    return wavix.download(FILE, path={"id": "a1"})


# --- the three ways of reading ---


async def test_await_gives_the_bytes() -> None:
    async with downloading(answer(SOUND)) as (server, wavix):
        assert await file(wavix) == SOUND
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].headers["accept-encoding"] == "identity"


async def test_async_with_gives_the_facts_and_the_chunks() -> None:
    script = answer(
        SOUND, Content_Disposition="attachment; filename=\"plain.mp3\"; filename*=UTF-8''Anruf%20%C3%A4.mp3"
    )
    async with downloading(script) as (_, wavix), file(wavix) as open_file:
        assert (open_file.filename, open_file.size, open_file.content_type) == (
            "Anruf ä.mp3",
            len(SOUND),
            "audio/mpeg",
        )
        assert open_file.complete is False
        assert b"".join([chunk async for chunk in open_file]) == SOUND
        assert open_file.complete is True


async def test_read_gives_the_rest() -> None:
    async with downloading(chunked(b"a" * 10, b"b" * 10, kind="audio/wav")) as (_, wavix), file(wavix) as open_file:
        assert open_file.size is None
        assert await open_file.read() == b"a" * 10 + b"b" * 10
        assert open_file.complete is True


@pytest.mark.req_33
async def test_a_file_that_was_left_early_is_not_whole() -> None:
    async with downloading(answer(SOUND * 2)) as (_, wavix):
        opened = file(wavix)
        async with opened:
            await anext(aiter(opened))
        for read in (opened.read, lambda: anext(aiter(opened))):
            with pytest.raises(InputError, match="closed before its end"):
                await read()
        assert opened.complete is False


async def test_a_file_has_one_reader_at_a_time() -> None:
    async def stalls(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        await writer.drain()
        await more.wait()
        writer.write(b"x" * 8)

    more = asyncio.Event()
    async with downloading(stalls) as (_, wavix), file(wavix) as open_file:
        first = asyncio.create_task(open_file.read())
        await asyncio.sleep(0)
        with pytest.raises(InputError, match="read by another task"):
            await open_file.read()
        more.set()
        assert await first == b"x" * 9


async def test_a_file_is_read_in_the_loop_that_opened_it() -> None:
    async with downloading(answer(SOUND)) as (_, wavix), file(wavix) as open_file:
        with pytest.raises(InputError, match="opened in another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(open_file.read()))
        assert await open_file.read() == SOUND


async def test_a_file_of_a_client_that_was_closed_is_not_whole() -> None:
    async with downloading(answer(SOUND * 20)) as (_, wavix):
        opened = file(wavix)
        async with opened:
            await wavix.close()
            with pytest.raises(ClientClosedError):
                await opened.read()
        assert opened.complete is False


async def test_a_loop_that_was_left_can_go_on_and_is_not_taken_for_whole() -> None:
    left = asyncio.Event()

    async def in_two_pieces(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + b"a" * 10)
        await writer.drain()
        await left.wait()
        writer.write(b"b" * 10)

    async with downloading(in_two_pieces) as (_, wavix), file(wavix) as open_file:
        async for chunk in open_file:
            assert chunk == b"a" * 10
            break
        assert open_file.complete is False
        left.set()
        assert await open_file.read() == b"b" * 10
        assert open_file.complete is True
        assert await open_file.read() == b""


async def test_save_writes_a_whole_file_and_shows_progress(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    async with downloading(answer(SOUND * 3)) as (_, wavix):
        saved = await file(wavix).save(tmp_path / "a.mp3", progress=lambda *each: told.append(each))
    assert saved.path.read_bytes() == SOUND * 3
    assert (saved.path.name, saved.size, saved.complete, saved.content_type) == (
        "a.mp3",
        len(SOUND) * 3,
        True,
        "audio/mpeg",
    )
    assert told[-1] == (len(SOUND) * 3, len(SOUND) * 3)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("call.mp3", "call.mp3"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a:b?.mp3", "a_b_.mp3"),
        ("ä" * 400, "ä" * 90),
    ],
)
async def test_a_folder_takes_the_servers_name_without_its_folders(tmp_path: Path, name: str, kept: str) -> None:
    from urllib.parse import quote

    script = answer(SOUND, Content_Disposition=f"attachment; filename*=UTF-8''{quote(name)}")
    async with downloading(script) as (_, wavix):
        saved = await file(wavix).save(tmp_path)
    assert saved.path == tmp_path / kept


async def test_a_folder_needs_a_name(tmp_path: Path) -> None:
    async with downloading(answer(SOUND, Content_Disposition='attachment; filename="../.."')) as (server, wavix):
        with pytest.raises(InputError, match="no name"):
            await file(wavix).save(tmp_path)
        with pytest.raises(InputError, match="no folder"):
            await file(wavix).save(tmp_path / "missing" / "a.mp3")
    assert len(server.asked) == 1
    assert not list(tmp_path.iterdir())


# --- failures ---


@pytest.mark.parametrize("way", ["await", "save", "with"])
@pytest.mark.parametrize("broken", [reset, answer(status=503), answer(length=5), answer(b"<html>", kind="text/html")])
async def test_before_the_first_byte_a_failure_is_repeated(tmp_path: Path, way: str, broken: Script) -> None:
    seen: list[str] = []
    async with downloading(broken, answer(SOUND), observers=[lambda event: seen.append(type(event).__name__)]) as (
        server,
        wavix,
    ):
        if way == "await":
            assert await file(wavix) == SOUND
        elif way == "save":
            assert (await file(wavix).save(tmp_path / "a")).path.read_bytes() == SOUND
        else:
            async with file(wavix) as open_file:
                assert await open_file.read() == SOUND
    assert len(server.asked) == 2
    assert seen == ["AttemptEvent", "RetryEvent", "AttemptEvent"]


@pytest.mark.req_33
async def test_a_cut_file_is_never_taken_for_whole(tmp_path: Path) -> None:
    cut = answer(SOUND[:1000], length=len(SOUND))
    async with downloading(cut) as (server, wavix):
        with pytest.raises(DisconnectedError):
            await file(wavix)
        assert len(server.asked) == 4
        with pytest.raises(DisconnectedError) as caught:
            await file(wavix).save(tmp_path / "a.mp3")
        assert caught.value.attempts == 4
        got = bytearray()
        async with file(wavix) as open_file:
            with pytest.raises(DisconnectedError):  # noqa: PT012 - what came before it counts
                async for chunk in open_file:
                    got += chunk
            assert open_file.complete is False
        assert bytes(got) == SOUND[:1000]
    assert len(server.asked) == 9, "after the first byte it is not repeated"
    assert not list(tmp_path.iterdir())


async def test_save_starts_again_after_a_cut(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"older")
    async with downloading(answer(SOUND[:1000], length=len(SOUND)), answer(SOUND)) as (_server, wavix):
        saved = await file(wavix).save(tmp_path / "a.mp3")
    assert saved.path.read_bytes() == SOUND
    assert [each.name for each in tmp_path.iterdir()] == ["a.mp3"]


@pytest.mark.req_33
async def test_a_file_of_unknown_length_keeps_a_name_that_says_so(tmp_path: Path) -> None:
    async with downloading(answer(SOUND, length=None)) as (_, wavix):
        saved = await file(wavix).save(tmp_path / "a.mp3")
        assert (saved.path.name, saved.complete) == ("a.mp3.part", None)
        saved = await file(wavix).save(tmp_path / "a.mp3", accept_unknown_length=True)
        assert (saved.path.name, saved.complete) == ("a.mp3", None)
        unknown = file(wavix)
        assert (await unknown, unknown.complete) == (SOUND, None)
        async with file(wavix) as open_file:
            await open_file.read()
            assert open_file.complete is None


async def test_errors_of_the_api_are_the_usual_ones() -> None:
    wrong = answer(b'{"success": false, "message": "No such call"}', status=404, kind="application/json")
    lie = answer(b'{"success": false, "message": "Not yours"}', kind="application/json")
    async with downloading(wrong, lie, answer(b'{"id": 1}', kind="application/json"), retry=RetryPolicy.none()) as (
        _,
        wavix,
    ):
        with pytest.raises(NotFoundError, match="No such call"):
            await file(wavix)
        with pytest.raises(APIError, match="Not yours"):
            await file(wavix)
        with pytest.raises(DecodeError, match="a file was expected"):
            await file(wavix)


async def test_a_429_is_waited_out() -> None:
    async with downloading(answer(b"{}", status=429, kind="application/json", Retry_After="0"), answer(SOUND)) as (
        _,
        wavix,
    ):
        assert await file(wavix) == SOUND
    endless = answer(b"{}", status=429, kind="application/json", Retry_After="3600")
    async with downloading(endless, timeout=Timeouts(deadline=60)) as (_, wavix):
        with pytest.raises(RateLimitError):
            await file(wavix)


async def test_json_as_an_attachment_is_a_file() -> None:
    script = answer(b"{}", kind="application/json", Content_Disposition="attachment")
    async with downloading(script) as (_, wavix):
        assert await file(wavix) == b"{}"


class _Slow:
    """A session whose answers are files that come byte by byte, so many seconds after each other."""

    _retry_connection = True
    connector = None

    def __init__(self, *gaps: float) -> None:
        self._gaps = gaps

    async def request(self, *_: object, **__: object) -> Any:
        return _SlowFile(self._gaps)


class _SlowFile:
    status = 200
    headers = CIMultiDict({"Content-Type": "audio/mpeg"})

    def __init__(self, gaps: tuple[float, ...]) -> None:
        self.content = self
        self.content_length = len(gaps)
        self._gaps = list(gaps)

    def at_eof(self) -> bool:
        return not self._gaps

    def _read_nowait(self, _: int) -> bytes:
        return b""

    async def readany(self) -> bytes:
        await asyncio.sleep(self._gaps.pop(0))
        return b"x"

    def close(self) -> None:
        """Do nothing: nothing is open."""


@pytest.mark.parametrize(("gap", "in_time"), [(50.0, True), (70.0, False)])
def test_only_idle_time_counts_once_the_body_has_begun(gap: float, in_time: bool, tmp_path: Path) -> None:
    async def main() -> None:
        session: Any = _Slow(0.0, *[gap] * 8)
        wavix = WavixClient(
            KEY,
            base_url="https://api.wavix.test",
            session=session,
            timeout=Timeouts(attempt=60, deadline=65),
            retry=RetryPolicy.none(),
        )
        if in_time:
            assert await file(wavix) == b"x" * 9
        else:
            with pytest.raises(AttemptTimeoutError):
                await file(wavix).save(tmp_path / "a")

    run_virtual(main())


async def test_bytes_have_an_upper_limit() -> None:
    piece = b"x" * 1024 * 1024
    async with downloading(chunked(*[piece] * 17, kind="audio/wav")) as (server, wavix):
        with pytest.raises(DecodeError, match="longer than 16 MB"):
            await file(wavix)
    assert len(server.asked) == 1


# --- slots and closing ---


async def test_the_slot_is_held_until_the_file_is_closed() -> None:
    async with downloading(answer(SOUND), max_connections=1) as (_, wavix):
        async with file(wavix):
            with pytest.raises(Exception, match="no free connection"):
                await file(wavix.with_options(deadline=0.05))
        assert await file(wavix) == SOUND
        with contextlib.suppress(DisconnectedError):
            await file(wavix)
        assert await file(wavix) == SOUND


class _Crowded:
    """A session on a machine with a descriptor for one connection, which an open file has."""

    _retry_connection = True
    connector = None

    def __init__(self) -> None:
        self.files_open = 0

    async def request(self, _: str, url: URL, **__: object) -> Any:
        if url.path.endswith(".mp3"):
            self.files_open += 1
            return _OpenFile(self)
        if self.files_open:
            raise aiohttp.ClientConnectorError(Mock(), OSError(errno.EMFILE, "too many"))
        return await StubSession().request("GET", url)


class _OpenFile:
    """An answer of which one byte has come."""

    status = 200
    headers = CIMultiDict({"Content-Type": "audio/mpeg", "Content-Length": "2"})
    content_length = 2

    def __init__(self, session: _Crowded) -> None:
        self._session: _Crowded | None = session
        self.content = self
        self._pieces = [b"x"]

    def at_eof(self) -> bool:
        return False

    def _read_nowait(self, _: int) -> bytes:
        return self._pieces.pop() if self._pieces else b""

    def close(self) -> None:
        if self._session is not None:
            self._session.files_open -= 1
            self._session = None


def test_a_call_without_a_descriptor_waits_for_the_end_of_an_open_file() -> None:
    async def main() -> None:
        session: Any = _Crowded()
        wavix = WavixClient(
            KEY, base_url="https://api.wavix.test", session=session, timeout=Timeouts(connect=0.5, deadline=None)
        )
        async with wavix.download(Operation("GET", "/v1/a.mp3", Download)):
            call = asyncio.create_task(wavix.numbers.get(1))
            await asyncio.sleep(60)
            assert not call.done()
        assert (await call).id == 1

    run_virtual(main())


async def test_close_waits_for_an_open_file() -> None:
    async with downloading(chunked(b"a", b"b", kind="audio/wav")) as (_, wavix):
        async with file(wavix) as open_file:
            closing = asyncio.ensure_future(wavix.close(grace=5))
            await asyncio.sleep(0)
            assert await open_file.read() == b"ab"
        await closing
    async with downloading(hang) as (server, wavix):
        task = asyncio.ensure_future(file(wavix)._read_all())
        while not server.asked:
            await asyncio.sleep(0)
        await wavix.close()
        with pytest.raises(ClientClosedError):
            await task


async def test_close_waits_for_a_file_that_opens_meanwhile() -> None:
    head, opened, rest = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def waits(_: Asked, writer: asyncio.StreamWriter) -> None:
        await head.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
        await writer.drain()
        await rest.wait()
        writer.write(b"b")

    async def read(wavix: WavixClient) -> bytes:
        async with file(wavix) as open_file:
            opened.set()
            return await open_file.read()

    async with downloading(waits) as (server, wavix):
        reading = asyncio.create_task(read(wavix))
        while not server.asked:
            await asyncio.sleep(0.005)
        closing = asyncio.create_task(wavix.close(grace=SOON))
        await asyncio.sleep(0)
        head.set()
        await opened.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not closing.done()
        rest.set()
        assert await reading == b"ab"
        await closing


async def test_a_download_that_is_never_used_warns() -> None:
    async with WavixClient(KEY) as wavix:
        with pytest.warns(RuntimeWarning, match="never used"):
            file(wavix)


class Recordings(Resource):
    """A group of operations."""

    _ids = (TextId("call_id", "the UUID of a call"),)

    def download(self, call_id: str) -> Download:
        return self._download(FILE, call_id, query={"format": "mp3"})


async def test_a_group_checks_the_id_before_anything_is_sent() -> None:
    async with downloading(answer(SOUND)) as (server, wavix):
        assert await Recordings(wavix).download("a/b") == SOUND
        with pytest.raises(InputError, match="call_id"):
            Recordings(wavix).download("")
    assert [asked.target for asked in server.asked] == ["/v1/recordings/a%2Fb?format=mp3"]


async def test_wrong_use_is_an_input_error() -> None:
    async with downloading(answer(SOUND)) as (server, wavix):
        with pytest.raises(InputError, match="use download"):
            wavix.call(FILE, path={"id": "a"})  # type: ignore[unused-coroutine]
        with pytest.raises(InputError, match="serves no file"):
            wavix.download(Operation("GET", "/v1/x", dict))  # type: ignore[arg-type]
        with pytest.raises(InputError, match="must be a GET"):
            Operation("POST", "/v1/x", Download)
        opened = file(wavix)
        with pytest.raises(InputError, match="open it first"):
            opened.filename  # noqa: B018
        async with opened:
            with pytest.raises(InputError, match="already open"):
                async with opened:
                    pass
    assert len(server.asked) == 1


async def test_a_connection_is_used_again_after_a_whole_file() -> None:
    async with downloading(answer(SOUND), max_connections=1) as (server, wavix):
        for _ in range(3):
            assert await file(wavix) == SOUND
        assert server.connections == 1


async def test_a_cancelled_download_leaves_no_slot_and_no_file(tmp_path: Path) -> None:
    async def stalls(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + b"x" * 600_000)
        await writer.drain()
        await asyncio.sleep(60)

    async with downloading(stalls, stalls, answer(SOUND), max_connections=1) as (server, wavix):
        for count, way in enumerate((lambda: file(wavix).save(tmp_path / "a"), lambda: file(wavix)._read_all()), 1):
            task = asyncio.ensure_future(way())
            while len(server.asked) < count:
                await asyncio.sleep(0)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await file(wavix) == SOUND
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "header",
    [
        "",
        ";",
        "attachment",
        "attachment; filename",
        'attachment; filename="',
        "a; filename*=x'y",
        "a; filename*=u''%ff",
        "a; filename*0=a; filename*2=b",
        "\xff; filename=\xff\xfe.mp3",
        'a; filename="=?utf-8?q?x?="',
        "; filename*=UTF-8''%00%0d%0aX",
        *(f"a; filename*={charset}''a%ff" for charset in ("idna", "punycode", "undefined", "zlib_codec", "utf-7")),
    ],
)
async def test_no_header_breaks_a_download(tmp_path: Path, header: str) -> None:
    async with downloading(answer(SOUND, Content_Disposition=header)) as (_, wavix):
        async with file(wavix) as open_file:
            name = open_file.filename
            assert name is None or name.isprintable()
            await open_file.read()
        assert (await file(wavix).save(tmp_path / "a")).complete


# --- redirects ---


@pytest.mark.req_33
@pytest.mark.parametrize("status", [200, 301, 302, 303, 307, 308])
async def test_a_redirect_goes_to_the_file_without_the_key(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[Any] = []
    async with serving(answer(SOUND), sees_key=False) as host:
        location = f"{host.url}/a%2Fb.mp3?{SIGNATURE}&x=%7e"
        async with downloading(answer(status=status, kind=None, Location=location), observers=[seen.append]) as (
            _,
            wavix,
        ):
            assert await file(wavix) == SOUND
            assert await file(wavix).url() == location
    assert [asked.target for asked in host.asked] == [f"/a%2Fb.mp3?{SIGNATURE}&x=%7e"]
    assert host.asked[0].headers["accept-encoding"] == "identity"
    assert "5ecre7" not in caplog.text + repr(seen)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/a b.mp3?x=1 2", "/a%20b.mp3?x=1%202"),
        ("/call \u00e4.mp3", "/call%20%E4.mp3"),
        ("/a%20b?X-Amz-Credential=A%2Fus&y=~a'b(c)+d", "/a%20b?X-Amz-Credential=A%2Fus&y=~a'b(c)+d"),
        ("/a|b^c`d{e}", "/a|b^c`d{e}"),
    ],
)
async def test_a_location_with_characters_that_a_url_cannot_have(location: str, target: str) -> None:
    async with serving(answer(SOUND), sees_key=False) as host:
        async with downloading(answer(status=302, Location=host.url + location)) as (_, wavix):
            assert await file(wavix) == SOUND
        assert host.asked[0].target == target


async def test_a_200_with_a_location_and_some_json_is_a_redirect() -> None:
    async with serving(answer(SOUND), sees_key=False) as host:
        for body, kind in ((b"{}", "application/json"), (b"<html>Moved", "text/html"), (b"", "audio/mpeg")):
            async with downloading(answer(body, kind=kind, Location=f"{host.url}/f")) as (_, wavix):
                assert await file(wavix) == SOUND


async def test_a_200_with_a_body_is_the_file_whatever_its_location_says() -> None:
    async with downloading(answer(SOUND, Location="http://192.0.2.1/x")) as (_, wavix):
        assert await file(wavix) == SOUND
        assert await file(wavix).url() is None


async def test_a_redirect_within_the_api_keeps_the_key() -> None:
    async with downloading(answer(status=302, Location="/files/1"), answer(SOUND)) as (server, wavix):
        assert await file(wavix) == SOUND
    assert server.asked[1].target == "/files/1"
    assert server.asked[1].headers["authorization"] == f"Bearer {KEY}"


async def test_a_session_of_the_caller_shows_the_host_nothing() -> None:
    async with serving(answer(SOUND), sees_key=False) as host:
        session = aiohttp.ClientSession(headers={"Authorization": "mine", "X-Mine": "1"}, cookies={"a": "b"})
        async with session, serving(answer(status=302, Location=host.url + "/f")) as api:
            async with WavixClient(KEY, base_url=api.url, session=session) as wavix:
                assert await file(wavix) == SOUND
            assert not session.closed
    assert not {"authorization", "x-mine", "cookie"} & host.asked[0].headers.keys()


@pytest.mark.parametrize(
    "refusal",
    [
        answer(f"<Error><Code>AccessDenied</Code>{SIGNATURE}</Error>".encode(), status=403, kind="application/xml"),
        answer(b"{}", status=404, kind="application/json"),
        answer(b"slow down", status=429),
        answer(b'{"error": 1}', kind="application/json"),
        reset,
    ],
)
async def test_after_a_refusal_of_the_host_the_client_asks_for_a_new_link(refusal: Script) -> None:
    async with serving(refusal, answer(SOUND), sees_key=False) as host:
        links = (answer(status=302, Location=f"{host.url}/{each}") for each in range(2))
        async with downloading(*links) as (server, wavix):
            assert await file(wavix) == SOUND
    assert [asked.target for asked in host.asked] == ["/0", "/1"]
    assert len(server.asked) == 2


async def test_the_url_of_a_file_shows_in_no_error() -> None:
    body = f"<Error>{SIGNATURE}</Error>".encode()
    for script in (answer(body, status=403), answer(status=302, Location=f"/x?{SIGNATURE}"), reset):
        seen: list[Any] = []
        async with serving(script, sees_key=False) as host:
            redirect = answer(f"<a href='?{SIGNATURE}'>".encode(), status=302, Location=f"{host.url}/f?{SIGNATURE}")
            async with downloading(redirect, observers=[seen.append]) as (_, wavix):
                with pytest.raises((APIError, TransportError)) as caught:
                    await file(wavix)
                error = caught.value
                told = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
                for text in (str(error), repr(error), repr(vars(error)), told, repr(seen)):
                    assert "5ecre7" not in text


@pytest.mark.parametrize(
    "location",
    [
        "http://192.0.2.1/f",
        "ftp://127.0.0.1/f",
        "https://user:pass@127.0.0.1/f",
        "https://",
        "http://[::1",
        "file:///etc/passwd",
    ],
)
async def test_other_places_are_not_followed(location: str) -> None:
    async with downloading(answer(status=302, Location=location), retry=RetryPolicy.none()) as (_, wavix):
        with pytest.raises(DecodeError, match="redirects to"):
            await file(wavix)


async def test_a_second_redirect_is_an_error() -> None:
    async with serving(answer(status=302, Location="/again"), sees_key=False) as host:  # noqa: SIM117
        async with downloading(answer(status=302, Location=host.url)) as (server, wavix):
            with pytest.raises(APIError, match="only one redirect"):
                await file(wavix)
    assert len(server.asked) == len(host.asked) == 1


# --- many, with faults ---


@pytest.mark.req_33
@pytest.mark.parametrize("seed", range(2))
async def test_many_files_survive_resets_and_cuts(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)

    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        number, fate = int(asked.target.rpartition("/")[2]), dice.random()
        body = bytes([number]) * 50_000
        if fate < 0.05:
            await reset(asked, writer)
        elif fate < 0.10:
            await answer(body[: dice.randrange(len(body))], length=len(body))(asked, writer)
        elif fate < 0.15:
            cut = gzip.compress(body)[: -dice.randrange(1, 30)]
            await answer(cut, Content_Encoding="gzip")(asked, writer)
        else:
            await answer(body)(asked, writer)

    retry = RetryPolicy(attempts=12, backoff=0.001, budget_ratio=1)
    async with downloading(script, retry=retry, max_connections=10) as (_, wavix):

        async def save(number: int) -> None:
            path = {"id": number}
            saved = await wavix.download(FILE, path=path).save(tmp_path / f"{number}.mp3")
            assert saved.path.read_bytes() == bytes([number]) * 50_000

        await asyncio.gather(*map(save, range(100)))
    assert len(list(tmp_path.iterdir())) == 100
