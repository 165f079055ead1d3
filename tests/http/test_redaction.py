"""The API key is in no error, no event and no log, whatever an answer repeats."""

from __future__ import annotations

import asyncio
import base64
import html
import io
import itertools
import json
import logging
import pickle
import pprint
import reprlib
import string
import traceback
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import aiohttp
import pytest

from tests.conftest import BASE, KEY
from tests.support import examples as ex
from tests.support.clients import client
from wavix_async import (
    AuthenticationError,
    ConfigurationError,
    DecodeError,
    DriftEvent,
    Number,
    NumberUpdate,
    Operation,
    RetryPolicy,
    Success,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
)
from wavix_async._http import Redactor, Response, read_response
from wavix_async.config import Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from tests.conftest import Api


def shown(error: BaseException) -> Iterator[str]:
    """Everything that a log, a debugger or an error tracker would show of an exception."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for each in chain:
        yield from (str(each), repr(each), repr(each.args), repr(vars(each)))
    yield "".join(traceback.format_exception(error))
    # The frames of the test hold the key because the test does: only those of the package and of libraries count.
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    pending: list[traceback.TracebackException | None] = [told]
    while pending:
        part = pending.pop()
        if part is not None:
            pending += [part.__cause__, part.__context__]
            yield from (f"{frame}: {frame.locals}" for frame in part.stack if not frame.filename.startswith(__file__))


def assert_hidden(error: BaseException, key: str = KEY) -> None:
    for text in shown(error):
        assert key not in text
    if isinstance(error, WavixError):
        assert key.encode() not in pickle.dumps(error)


@pytest.mark.req_24
async def test_the_key_is_not_in_what_a_client_shows(api: Api) -> None:
    async with client() as wavix:
        other = wavix.with_options(deadline=5)
        for thing in (
            wavix,
            other,
            wavix.numbers,
            wavix.numbers.papers,
            wavix.limits,
            wavix.limits.snapshot(),
            wavix.retry,
        ):
            assert KEY not in repr(thing)
            assert KEY not in str(thing)
            assert KEY not in repr(getattr(thing, "__dict__", ""))


@pytest.mark.req_24
@pytest.mark.parametrize(
    "failure",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(104, "reset"),
        aiohttp.ClientPayloadError("half"),
        ValueError("odd"),
        TimeoutError(),
        None,
    ],
    ids=repr,
)
@pytest.mark.parametrize("attempts", [1, 3])
async def test_the_key_is_not_in_failures(
    api: Api, caplog: pytest.LogCaptureFixture, failure: Exception | None, attempts: int
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(3):
        if failure:
            api.mock.patch(f"{BASE}/v1/numbers/1", exception=failure)
        else:
            api.answer("PATCH", "/v1/numbers/1", {"message": "down"}, status=500)
    async with client(retry=RetryPolicy(attempts=attempts, backoff=0)) as wavix:
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.update(1, sms_enabled=True)

    assert_hidden(caught.value)
    assert KEY not in caplog.text


REPLIES = {
    "refused": None,
    "hung up": b"",
    "garbage": b"\x00\x01garbage\r\n\r\n",
    "a bad status line": b"HTTP/1.1 what\r\n\r\n",
    "a bad header": b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    "a long header": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
    "html": b"HTTP/1.1 502 Bad\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\n<>",
    "not json": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
    "a bad encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "a refusal for long": b"HTTP/1.1 429 Slow\r\nRetry-After: 99999\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n",
    "too long": b"HTTP/1.1 200 OK\r\nContent-Length: 17000000\r\n\r\n" + b" " * 17_000_000,
}


@asynccontextmanager
async def server(reply: bytes | None, *, hold: bool = False) -> AsyncIterator[str]:
    """A server on a real socket that gives the same bytes to every client, and hangs up; None: no server listens.

    With `hold` it hangs up after the client has.
    """
    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply or b"")
            if hold:
                await reader.read()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    if reply is None:
        listener.close()
    async with listener:
        yield url
    if serving:
        await asyncio.wait(serving)


@pytest.mark.req_24
@pytest.mark.parametrize("name", REPLIES)
async def test_the_key_is_not_in_failures_of_a_real_connection(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        server(REPLIES[name]) as url,
        WavixClient(KEY, base_url=url, retry=RetryPolicy.none(), timeout=5) as wavix,
    ):
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.get(1)

    assert type(caught.value).__module__ == "wavix_async.errors"
    assert_hidden(caught.value)
    assert KEY not in caplog.text


# --- a server that repeats the key wherever an answer has room for it ---

SLOT = b"@@"
"""Where the answers below repeat the key."""

ECHOES = {
    "the status line": b"HTTP/1.1 @@\r\n\r\n",
    "the version": b"@@ 200 OK\r\n\r\n",
    "the reason of a status": b"HTTP/1.1 500 @@\r\nContent-Length: 0\r\n\r\n",
    "a bad header": b"HTTP/1.1 200 OK\r\n@@\r\n\r\n",
    "the name of a bad header": b"HTTP/1.1 200 OK\r\nX @@: 1\r\n\r\n",
    "the value of a bad header": b"HTTP/1.1 200 OK\r\nX: \x00@@\r\n\r\n",
    "a header that is too long": b"HTTP/1.1 200 OK\r\nX: @@" + b"a" * 10_000 + b"\r\n\r\n",
    "a header that ends in the middle": b"HTTP/1.1 200 OK\r\nX: @@\r\nY",
    "a chunk size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n@@\r\n",
    "the end of a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n@@\r\n",
    "a content encoding": b"HTTP/1.1 200 OK\r\nContent-Encoding: @@\r\nContent-Length: 1\r\n\r\nx",
    "a body that is no gzip": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 400\r\n\r\n" + b"@@" * 200,
    "a content length": b"HTTP/1.1 200 OK\r\nContent-Length: @@\r\n\r\n",
    "a content type": b"HTTP/1.1 200 OK\r\nContent-Type: text/@@\r\nContent-Length: 1\r\n\r\nx",
    "a header of an error": b"HTTP/1.1 500 Oops\r\nX-Echo: @@\r\nX-@@: 1\r\nContent-Length: 0\r\n\r\n",
    "the id of a request": b"HTTP/1.1 500 Oops\r\nX-Request-Id: @@\r\nContent-Length: 0\r\n\r\n",
    "the end of a long id": b"HTTP/1.1 500 Oops\r\nX-Request-Id: " + b"a" * 190 + b"@@\r\nContent-Length: 0\r\n\r\n",
    "a place to go": b"HTTP/1.1 302 Found\r\nLocation: http://localhost:1/?appid=@@\r\nContent-Length: 0\r\n\r\n",
    "a time to wait": b"HTTP/1.1 429 Slow\r\nRetry-After: @@\r\nContent-Length: 0\r\n\r\n",
    "a cookie": b"HTTP/1.1 500 Oops\r\nSet-Cookie: @@=@@; path=@@\r\nContent-Length: 0\r\n\r\n",
    "the start of a long answer": b"HTTP/1.1 200 OK\r\nContent-Length: 17000000\r\n\r\n@@" + b" " * 17_000_000,
    "the place where a long answer is cut": b"HTTP/1.1 200 OK\r\nContent-Length: 17000000\r\n\r\n"
    + b" " * 1990
    + b"@@" * 5
    + b" " * 17_000_000,
}


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        *((name, str) for name in ECHOES),
        *((name, str.upper) for name in list(ECHOES)[::3]),
        *(pytest.param(name, str.upper, marks=pytest.mark.scale) for place, name in enumerate(ECHOES) if place % 3),
    ],
)
async def test_a_key_that_a_server_repeats_anywhere_in_its_answer(
    name: str, spelled: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[object] = []
    said = spelled(KEY)
    asyncio.get_running_loop().set_debug(True)
    async with (
        server(ECHOES[name].replace(SLOT, said.encode())) as url,
        WavixClient(KEY, base_url=url, retry=RetryPolicy.none(), timeout=5, observers=[events.append]) as wavix,
    ):
        with pytest.raises(WavixError) as caught:
            await wavix.with_options(deadline=5).numbers.get(1)

    assert_hidden(caught.value, said)
    for text in (repr(events), *map(repr, caplog.records), *(repr(vars(record)) for record in caplog.records)):
        assert said not in text
        assert KEY not in text
    # No part of the key that a limit has left over.
    for text in (str(caught.value), repr(vars(caught.value)), repr(caught.value.__cause__)):
        assert said[:12] not in text


BODIES = {
    "json": '{"message": "Unknown key @@", "errors": {"@@": ["@@"]}, "code": "@@"}',
    "a list": '[{"code": "@@", "message": "@@"}]',
    "nested": '{"error": {"message": "no", "a": {"b": {"c": {"d": "@@"}}}}}',
    "a page": "<pre>Authorization: Bearer @@</pre>",
    "the end of what is kept": "x" * 1990 + "@@" + "x" * 5000,
    "the end of what is quoted": "x" * 190 + "@@" + "x" * 5000,
    "the end of a long text": '{"message": "' + "x" * 990 + '@@", "y": "' + "x" * 5000 + '"}',
    "the end of a reason": '{"message": "' + "x" * 490 + '@@"}',
    "the end of a name": '{"errors": {"' + "x" * 90 + '@@": "bad"}}',
    "half a text": '{"message": "Unknown key @@',
}


def escaped(key: str) -> dict[str, str]:
    """How programs write a text into other texts."""
    pairs = base64.b64encode(f"user:{key}".encode()).decode()
    return {
        "as it is": key,
        "json": json.dumps(key)[1:-1],
        "json in json": json.dumps(json.dumps(key))[3:-3],
        "php": key.replace("/", "\\/"),
        "rails": key.replace("&", "\\u0026").replace("+", "\\u002B"),
        "a url": quote(key, safe=""),
        "a query": quote_plus(key).lower(),
        "a url in a url": quote(quote(key, safe=""), safe=""),
        "html": html.escape(key),
        "html by numbers": "".join(each if each.isalnum() else f"&#{ord(each)};" for each in key),
        "html by hex": "".join(each if each.isalnum() else f"&#x{ord(each):X};" for each in key),
        "base64": base64.b64encode(key.encode()).decode().rstrip("="),
        "basic": pairs.rstrip("="),
        "bearer": base64.b64encode(f"Bearer {key}".encode()).decode(),
        "a url with base64": base64.urlsafe_b64encode(key.encode()).decode(),
        "lower case": key.lower(),
        "its beginning": key[: len(key) - 3],
    }


ODD_KEY = "aB3/x+y&z<'=\"KeyThatNoOneMaySee-0123456789"


@pytest.mark.req_24
@pytest.mark.parametrize("spelling", escaped(ODD_KEY))
@pytest.mark.parametrize("sample", [True, pytest.param(False, marks=pytest.mark.scale)], ids=["sample", "all"])
async def test_a_key_in_any_spelling_in_any_place_of_a_body(
    api: Api, caplog: pytest.LogCaptureFixture, spelling: str, *, sample: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    said = escaped(ODD_KEY)[spelling]
    secrets = (ODD_KEY, said, said[:20], json.dumps(said)[1:21])
    async with WavixClient(ODD_KEY, base_url=BASE, retry=RetryPolicy.none()) as wavix:
        for place, (name, status) in enumerate(itertools.product(BODIES, [200, 422])):
            # By default every second pair, so that each body has both statuses in turn.
            if sample and (place // 2 + place + list(escaped(ODD_KEY)).index(spelling)) % 2:
                continue
            body = BODIES[name].replace("@@", json.dumps(said)[1:-1]).encode()
            api.answer("GET", "/v1/numbers/1", body=body, status=status)
            with pytest.raises(WavixError) as caught:
                await wavix.numbers.get(1)

            error = caught.value
            texts = [*shown(error), json.dumps(error.details), pickle.dumps(error).decode("latin-1"), caplog.text]
            assert not [text for text in texts for part in secrets if part in text], f"{name} under {status}"
            caplog.clear()


@pytest.mark.req_24
@pytest.mark.parametrize("strict", [False, True])
async def test_a_key_in_a_name_that_is_not_documented(
    api: Api, caplog: pytest.LogCaptureFixture, *, strict: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    events: list[object] = []
    api.answer("GET", "/v1/numbers/1", {**ex.number(id=1), KEY: 1, "x" * 190 + KEY + "x" * 100_000: 2})

    async with WavixClient(KEY, base_url=BASE, strict=strict, observers=[events.append]) as wavix:
        with suppress(DecodeError):
            await wavix.numbers.get(1)

    drifts = [event.drift for event in events if isinstance(event, DriftEvent)]
    assert len(drifts) == (0 if strict else 2)
    assert all(len(f"{drift}{drift.field}") < 1000 for drift in drifts)
    for text in (repr(events), *(repr(vars(record)) for record in caplog.records)):
        assert KEY[:12] not in text


@pytest.mark.req_24
@pytest.mark.parametrize("length", [81, *(pytest.param(length, marks=pytest.mark.scale) for length in (16, 200))])
async def test_a_key_of_any_length_is_hidden_by_what_shows_locals(length: int) -> None:
    """Rich shortens long texts by a slice; `reprlib`, `pprint` and `traceback` have ways of their own."""
    key = (string.ascii_letters * 4)[:length]
    async with (
        server(b"HTTP/1.1 200 OK\r\n\r\n") as url,
        WavixClient(key, base_url=url, retry=RetryPolicy.none()) as wavix,
    ):
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.get(1)
    secret = Secret(key)
    told = [str(repr(secret[:80])), repr(secret[0]), reprlib.repr(secret), pprint.pformat([secret])]
    with suppress(ImportError):
        from rich.console import Console
        from rich.pretty import pretty_repr
        from rich.traceback import Traceback

        trace = Traceback.extract(type(caught.value), caught.value, caught.value.__traceback__, show_locals=True)
        for stack in trace.stacks:
            stack.frames = [frame for frame in stack.frames if not frame.filename.startswith(__file__)]
        console = Console(width=500, record=True, file=io.StringIO())
        console.print(Traceback(trace))
        told += [console.export_text(), pretty_repr(secret, max_string=10), pretty_repr({"a": [secret]}, max_string=80)]
    assert_hidden(caught.value, key)
    for text in told:
        assert key[:8] not in text


@pytest.mark.req_24
@pytest.mark.parametrize(
    "url",
    [
        "api.wavix.com/hunter2",
        "ftp://user:hunter2@api.wavix.com",
        "https://user:hunter2@",
        "https://user:hunter2/x@api.wavix.com",
        "https://user:x/hunter2@api.wavix.com",
        "https://user:hun?ter2@api.wavix.com:port",
        "http://user:hunter2@api.wavix.com",
        "https://user:hunter2@api.wavix.com",
        "https://[::1:hunter2@api.wavix.com",
        "user:hunter2@api.wavix.com",
        "https://api.wavix.com?appid=hunter2",
        "//hunter2",
        KEY,
    ],
)
@pytest.mark.parametrize("source", ["argument", "environment"])
def test_a_wrong_base_url_is_not_repeated(monkeypatch: pytest.MonkeyPatch, url: str, source: str) -> None:
    monkeypatch.setattr(WavixClient, "__repr__", object.__repr__)
    if source == "environment":
        monkeypatch.setenv("WAVIX_BASE_URL", url)
    with pytest.raises(ConfigurationError) as caught:
        WavixClient("another-key-of-no-one", base_url=url if source == "argument" else None)

    for text in shown(caught.value):
        assert "hunter2" not in text
        assert KEY not in text


ENDS: dict[str, Callable[[WavixClient], Coroutine[Any, Any, Any]]] = {
    "a form": lambda wavix: wavix.numbers.papers.upload(
        did_ids=[1], doc_id="id", doc_attachment=b"x" * 100, filename="a.pdf"
    ),
    "a stall": lambda wavix: wavix.with_options(timeout=0.1).numbers.get(1),
    "a deadline": lambda wavix: wavix.with_options(deadline=0.1).numbers.get(1),
    "an argument": lambda wavix: wavix.numbers.get(0),
    "a body": lambda wavix: wavix.call(Operation("POST", "/v1/things", Number), body={"a": {1}}),
}


@pytest.mark.req_24
@pytest.mark.parametrize("name", ENDS)
async def test_the_key_is_not_in_errors_of_any_other_end(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that answers nothing: to a form it is closed in the middle, all others wait."""
    caplog.set_level(logging.DEBUG)

    async with (
        server(b"", hold=name != "a form") as url,
        WavixClient(KEY, base_url=url, retry=RetryPolicy.none(), timeout=5) as wavix,
    ):
        with pytest.raises(WavixError) as caught:
            await ENDS[name](wavix)
    assert_hidden(caught.value)
    assert KEY not in caplog.text


@pytest.mark.req_24
async def test_the_key_is_not_in_a_bulk_report(caplog: pytest.LogCaptureFixture) -> None:
    """Each failure keeps its error, and a report is what people print."""
    caplog.set_level(logging.DEBUG)
    async with server(REPLIES["a bad chunk"]) as url, WavixClient(KEY, base_url=url, retry=RetryPolicy.none()) as wavix:
        report = await wavix.numbers.bulk_update(dict.fromkeys(range(1, 5), NumberUpdate(sms_enabled=True)))
    assert len(report.failures) == 4
    for failure in report.failures:
        assert KEY not in repr(failure)
        assert isinstance(failure.error, WavixError)
        assert_hidden(failure.error)
    with pytest.raises(WavixError) as caught:
        report.raise_for_failures()
    assert_hidden(caught.value)
    assert KEY not in f"{report} {report!r} {caplog.text}"


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"message": "Unknown key %s"}' % KEY.encode(), "application/json"),
        (502, b"<pre>Authorization: Bearer %s</pre>" % KEY.encode(), "text/html"),
        (200, b"<pre>Authorization: Bearer %s</pre>" % KEY.encode(), "text/html"),
    ],
)
async def test_a_server_that_echoes_the_key_does_not_spread_it(
    api: Api, wavix: WavixClient, status: int, body: bytes, kind: str
) -> None:
    api.answer("GET", "/v1/numbers/1", body=body, status=status, content_type=kind)

    with pytest.raises(WavixError) as caught:
        await wavix.numbers.get(1)
    # What reaches a log: frames are held by the debugger only.
    for text in (str(caught.value), repr(caught.value), repr(caught.value.details)):
        assert KEY not in text


@pytest.mark.req_24
@pytest.mark.parametrize(("plain", "escaped"), [("/", "\\/"), ("+", "\\u002b"), ("&", "\\u0026")])
async def test_a_server_that_escapes_the_key_does_not_spread_it(api: Api, plain: str, escaped: str) -> None:
    """JSON encoders escape slashes (PHP) and ampersands (Rails) by default, and keys in base64 have slashes."""
    key = f"key{plain}that-no-one-may-see"
    body = b'{"message": "Unknown key %s"}' % key.replace(plain, escaped).encode()
    api.answer("GET", "/v1/numbers/1", body=body, status=401)

    async with WavixClient(key, base_url=BASE, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(AuthenticationError) as caught:
            await wavix.numbers.get(1)
    for text in (str(caught.value), repr(caught.value), repr(caught.value.details)):
        assert key not in text


@pytest.mark.req_24
@pytest.mark.parametrize("key", ["id", "hidden", "<hidden>", "d", "success"])
@pytest.mark.parametrize(("status", "kind"), [(422, UnprocessableEntityError), (200, DecodeError)])
async def test_a_key_that_is_a_part_of_every_answer(api: Api, key: str, status: int, kind: type[WavixError]) -> None:
    """A word as the key of a test: too short to be hidden, or hidden by itself."""
    body = b'{"message": "hidden <hidden> success invalid"' + (b"}" if status == 422 else b"")
    api.answer("GET", "/v1/numbers/1", body=body, status=status)

    async with WavixClient(key, base_url=BASE, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(kind, match="hidden <hidden> success invalid"):
            await wavix.numbers.get(1)


WRONG = [{"base_url": "http://api.example.net"}, {"rate": -1}, {"timeout": 0}, {"max_connections": 0}, {"retry": 3}]


@pytest.mark.req_24
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_the_key_is_not_in_the_frames_of_a_wrong_setting(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WavixClient, "__repr__", object.__repr__)  # see the next test
    with pytest.raises(ConfigurationError) as caught:
        WavixClient(KEY, **wrong)

    assert_hidden(caught.value)


@pytest.mark.req_24
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_the_key_is_not_in_the_message_of_a_wrong_setting(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WavixClient(KEY, **wrong)

    assert KEY not in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.req_24
async def test_the_key_from_the_environment_is_hidden_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", KEY)
    api.mock.get(f"{BASE}/v1/numbers/1", exception=aiohttp.ServerDisconnectedError())
    async with WavixClient(base_url=BASE, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.get(1)

    assert_hidden(caught.value)


# --- the parts ---


@pytest.mark.req_24
def test_the_key_is_hidden_in_everything_that_an_answer_can_hold() -> None:
    hide = Redactor(Secret("key/with-a-slash")).hide

    said = {"a key/with-a-slash": ["key/with-a-slash", ("key\\/with-a-slash",)], "n": 1, "none": None}
    assert hide(said) == {"a <hidden>": ["<hidden>", ("<hidden>",)], "n": 1, "none": None}
    for short in ("", "1234567"):
        assert Redactor(Secret(short)).hide(said) is said


@pytest.mark.req_24
def test_an_excerpt_holds_no_key_and_no_part_of_one() -> None:
    redactor = Redactor(Secret(KEY))

    assert redactor.excerpt("nothing of it", 7) == "nothing"
    assert redactor.excerpt("Unknown key " + KEY, 100) == "Unknown key <hidden>"
    for most in range(60):
        for text in (KEY, f"an unknown key {KEY} and {KEY} more " * 3, f"{'x' * 20}{KEY}"):
            shown = redactor.excerpt(text, most)
            assert len(shown) <= most
            for part in range(4, len(KEY)):
                assert not shown.endswith(KEY[:part])


@pytest.mark.req_24
@pytest.mark.parametrize("length", [100, 128, 129, 200, 800, 2000])
def test_a_long_key_is_hidden_whole_and_in_part(length: int) -> None:
    """A JWT has hundreds of characters, or thousands."""
    random = Random(length)
    key = "".join(random.choices(string.ascii_letters + string.digits + "-_./+=", k=length))
    redactor = Redactor(Secret(key))
    for name, spelled in escaped(key).items():
        if not name.startswith(("b", "a url with")):
            assert redactor.hide(f'{{"key": "{spelled}", "then": 1}}') == '{"key": "<hidden>", "then": 1}', name
        for said in (spelled, spelled[: len(spelled) * 3 // 4]):
            assert spelled[:20] not in redactor.hide(said)
            assert spelled[70:90] not in redactor.hide(said)
            for most in (20, 100, 1000, 3000):
                assert spelled[:20] not in redactor.excerpt(f"{'x' * (most - 20)}{said}", most)
                assert spelled[70:90] not in redactor.excerpt(f"{'x' * (most - 20)}{said}", most)


@pytest.mark.req_24
@pytest.mark.parametrize("status", [None, 200, 500])
async def test_the_key_is_searched_once_for_each_failed_attempt(
    api: Api, monkeypatch: pytest.MonkeyPatch, status: int | None
) -> None:
    searched: list[WavixError] = []
    hide = Redactor.error

    def counting(redactor: Redactor, error: WavixError) -> None:
        searched.append(error)
        hide(redactor, error)

    monkeypatch.setattr(Redactor, "error", counting)
    for _ in range(2):
        if status is None:
            api.mock.get(f"{BASE}/v1/numbers/1", exception=aiohttp.ServerDisconnectedError())
        else:
            api.answer("GET", "/v1/numbers/1", body=b"{", status=status)
    async with WavixClient(KEY, base_url=BASE, retry=RetryPolicy(attempts=2, backoff=0)) as wavix:
        with pytest.raises(WavixError):
            await wavix.numbers.get(1)

    assert len(searched) == 2


@pytest.mark.req_24
async def test_a_failing_call_with_a_long_key_tells_what_failed(api: Api) -> None:
    key = string.ascii_letters * 40
    api.answer("GET", "/v1/numbers/1", {"message": f"Unknown key {key}."}, status=401)
    async with WavixClient(key, base_url=BASE, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(AuthenticationError, match="Unknown key <hidden>"):
            await wavix.numbers.get(1)


@pytest.mark.req_24
def test_details_too_deep_to_be_searched_are_left_out() -> None:
    deep: Any = KEY
    for _ in range(100_000):
        deep = [deep]
    error = WavixError(f"of {KEY}", reason=KEY, details=deep)
    Redactor(Secret(KEY)).error(error)

    assert (str(error), error.args, error.reason, error.details) == ("of <hidden>", ("of <hidden>",), "<hidden>", None)


@pytest.mark.req_24
def test_the_redactor_does_not_show_the_key_itself() -> None:
    redactor = Redactor(Secret(KEY))
    assert KEY not in repr([getattr(redactor, name) for name in Redactor.__slots__])


# --- what an answer must not show in an error ---


@pytest.mark.parametrize(
    "body",
    [
        '{"call": {"event_payload": {"payload": {"digits": "%s"}}}',
        '{"token": "%s"',
        '{"access_token":"%s',
        '[{"message_body": {"text" : "%s\\" and more"}}]',
        '{"pin": %s}',
        '{"user_password": "%s", "success": "maybe"}',
    ],
)
def test_an_error_shows_no_values_of_secret_fields(body: str) -> None:
    operation = Operation("POST", "/v1/calls/{id}/answer", Success)
    answer = Response(200, {"Content-Type": "application/json"}, (body % "73910246").encode())
    with pytest.raises(WavixError) as told:
        read_response(operation, answer)
    shown = f"{told.value!r} {told.value} {told.value.details}"
    assert "73910246" not in shown
    assert "<hidden>" in shown


def test_hiding_takes_no_longer_with_an_odd_answer() -> None:
    body = b'{"' + b"token" * 100_000
    with pytest.raises(WavixError):
        read_response(
            Operation("GET", "/v1/calls/{id}", dict), Response(200, {"Content-Type": "application/json"}, body)
        )
