"""The bytes of a request: the client sends what a bare aiohttp session sends, in one write if the body is short."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from wavix_async import Operation, RetryPolicy, WavixClient, WavixError
from wavix_async._http import Part, build_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TEXTS = ["", "x", "Grüße 👋", 'a"b\\c\n\t', "\u2028\x7f", "0" * 500]
BODIES: list[Any] = [
    *({"text": text, "n": number, "on": None} for number, text in enumerate(TEXTS)),
    *([], {}, 0, False, "text", [1, 2.5, None], {"nested": {"list": [{"a": 1}] * 20}}),
    # The lengths around those at which a body is no longer short, or no longer fits in the buffer of a connection.
    *("x" * (length - 2) for length in (32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 300_000)),
]
IDS = [1, 10**30, "a b", "ü/?#&%", "1f0c-22", "~._-!$'()*+,;=:@"]
QUERIES: list[dict[str, object]] = [
    {"q": ""},
    {"q": "a b&c=d?e#f/g+h%i;j"},
    {"q": "ünï 👋", "page": 2},
    {"ids": [1, 2, 3], "on": True},
]
PARTS = [
    [Part("did_ids", b"1,2"), Part("doc", bytes(range(256)) * 10, "Copy of ü.png", "image/png")],
    [Part("doc", b"x" * 100_000, "x.pdf", "application/pdf")],
    [Part("only", "Grüße".encode())],
]
Case = tuple[str, "str | int | None", "dict[str, object] | None", Any, "list[Part] | None"]
CASES: list[Case] = [
    *(("GET", each, None, None, None) for each in IDS),
    *(("GET", None, each, None, None) for each in QUERIES),
    *(("DELETE", each, None, None, None) for each in IDS[:2]),
    ("DELETE", None, None, {"ids": [1]}, None),
    *((method, 7, None, None, None) for method in ("PATCH", "POST", "PUT")),
    *(("PATCH", 7, None, each, None) for each in BODIES),
    *(("POST", None, None, each, None) for each in BODIES[::3]),
    *(("PUT", 7, QUERIES[1], each, None) for each in BODIES[::5]),
    *(("POST", None, None, None, each) for each in PARTS),
]


class Recorder:
    """A server that keeps the bytes of each request, and the sizes of the pieces in which they came."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.drop = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                if b"chunked" in head.lower():
                    body = await reader.readuntil(b"0\r\n\r\n")
                else:
                    body = await reader.readexactly(int(length[1]) if length else 0)
                self.requests.append(head + body)
                if self.drop:
                    self.drop -= 1
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def recording() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    server = await asyncio.start_server(recorder.serve, "127.0.0.1", limit=2**20)
    recorder.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield recorder


def operation(method: str, number: object) -> Operation[Any]:
    return Operation(method, "/v1/things" if number is None else "/v1/things/{id}", object, idempotent=True)


def data_of(parts: list[Part]) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for part in parts:
        value: Any = part.content if part.filename else part.content.decode()
        form.add_field(part.name, value, filename=part.filename, content_type=part.content_type)
    return form


def comparable(request: bytes) -> bytes:
    """Replace the boundary of a form, which is random."""
    boundary = re.search(rb"boundary=(\w+)", request)
    return request.replace(boundary[1], b"boundary") if boundary else request


async def bare(url: str, headers: dict[str, str], cases: list[Case], *, force_close: bool = False) -> None:
    """Send the cases with a bare aiohttp session."""
    connector = aiohttp.TCPConnector(force_close=force_close)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        for method, number, query, body, parts in cases:
            path = None if number is None else {"id": number}
            request = build_request(operation(method, number), URL(url), path, query, body)
            more = {} if request.body is None else {"Content-Type": "application/json"}
            data = request.body if parts is None else data_of(parts)
            async with session.request(method, request.url, data=data, headers=more) as answer:
                await answer.read()


async def ours(client: WavixClient, cases: list[Case]) -> None:
    for method, number, query, body, parts in cases:
        path = None if number is None else {"id": number}
        await client.call(operation(method, number), path=path, query=query, body=body, parts=parts)


def own_headers(request: bytes) -> dict[str, str]:
    """Return the headers that the client sets itself."""
    pairs = [line.split(": ", 1) for line in request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]]
    return {name: value for name, value in pairs if name in {"Authorization", "Accept", "User-Agent"}}


@pytest.mark.req_05
async def test_each_request_is_the_one_that_bare_aiohttp_sends() -> None:
    assert len(CASES) >= 50
    async with recording() as server:
        async with WavixClient("key", base_url=server.url) as client:
            await ours(client, CASES)
        sent, server.requests = server.requests, []
        await bare(server.url, own_headers(sent[0]), CASES)
        expected = server.requests

    assert len(sent) == len(expected) == len(CASES)
    for case, mine, theirs in zip(CASES, sent, expected, strict=True):
        assert comparable(mine) == comparable(theirs), case[:3]


@pytest.mark.req_05
async def test_a_request_on_a_connection_of_its_own_is_the_one_that_bare_aiohttp_sends() -> None:
    """After a failure the client sends through a session without a pool, which says so in a header."""
    cases = [case for case in CASES if case[4] is None][::4]
    async with recording() as server:
        retry = RetryPolicy(backoff=0.001, max_backoff=0.001)
        async with WavixClient("key", base_url=server.url, retry=retry) as client:
            for case in cases:
                server.drop = 1
                await ours(client, [case])
        sent, server.requests = server.requests[1::2], []
        await bare(server.url, own_headers(sent[0]), cases, force_close=True)
        expected = server.requests

    assert b"\r\nConnection: close\r\n" in sent[0]
    assert sent == expected


@pytest.mark.req_05
async def test_traces_of_a_session_see_the_same_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instrumentation of aiohttp adds traces to every session; it sees the headers and the body."""
    seen: list[bytes] = []

    async def see(session: object, context: object, chunk: aiohttp.TraceRequestChunkSentParams) -> None:
        seen.append(chunk.chunk)

    trace = aiohttp.TraceConfig()
    trace.on_request_chunk_sent.append(see)
    made = aiohttp.ClientSession.__init__

    def with_trace(self: aiohttp.ClientSession, **options: Any) -> None:
        made(self, trace_configs=[trace], **options)

    cases = [case for case in CASES if case[3] is not None][::4]
    async with recording() as server:
        monkeypatch.setattr(aiohttp.ClientSession, "__init__", with_trace)
        async with WavixClient("key", base_url=server.url) as client:
            await ours(client, cases)
        monkeypatch.undo()
        sent, server.requests = server.requests, []
        await bare(server.url, own_headers(sent[0]), cases)

    assert sent == server.requests
    assert seen == [request.partition(b"\r\n\r\n")[2] for request in sent]


async def test_an_answer_is_read_into_a_small_buffer() -> None:
    """glibc maps a block of 128 kB or more, and unmaps it when it is freed: that costs more than to read the answer."""
    async with recording() as server, aiohttp.ClientSession() as session:
        await ours(WavixClient("key", base_url=server.url, session=session), CASES[:1])
        assert isinstance(session.connector, aiohttp.TCPConnector)
        pooled: list[Any] = [protocol for pool in session.connector._conns.values() for protocol, _ in pool]
        assert [protocol.transport.max_size for protocol in pooled] == [65_536]


@pytest.mark.req_03
@pytest.mark.parametrize("body", [None, {"to": "1"}])
async def test_a_pooled_connection_that_is_closing_sends_nothing(monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    connect = aiohttp.TCPConnector.connect

    async def to_closing(self: aiohttp.TCPConnector, *args: Any, **options: Any) -> Any:
        connection = await connect(self, *args, **options)
        connection.transport.close()
        return connection

    async with (
        recording() as server,
        WavixClient("key", base_url=server.url, retry=RetryPolicy.none()) as client,
    ):
        await ours(client, CASES[:1])
        monkeypatch.setattr(aiohttp.TCPConnector, "connect", to_closing)
        with pytest.raises(WavixError) as caught:
            await ours(client, [("POST", None, None, body, None)])
        assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
        assert len(server.requests) == 1


async def test_an_unknown_version_of_aiohttp_sends_its_own_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [case for case in CASES if case[4] is None][::4]
    async with recording() as server:
        for version in ("3.14.5", "3.99.0"):
            monkeypatch.setattr(aiohttp, "__version__", version)
            async with WavixClient("key", base_url=server.url) as client:
                await ours(client, cases)
    half = len(cases)
    assert server.requests[:half] == server.requests[half:]


def test_the_installed_version_of_aiohttp_is_known() -> None:
    """If this fails, compare `plain_request.py` with the `ClientRequest.send` of that version, then add the version."""
    assert aiohttp.__version__.startswith("3.14.")
