"""Proxies, TLS settings, and new connections through a session of the user's own; on real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import traceback
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from tests.streams.server import answer as answers
from tests.streams.server import serving
from tests.support.raw import RawConnection, RawServer, anonymous_tls, answer
from tests.support.stub import NUMBER
from wavix_async import (
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    Download,
    Operation,
    RetryPolicy,
    TransportError,
    WavixClient,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

KEY = "key-0123456789abcdef"
PASSWORD = "pa:ss@word"
LOGIN = f"user:{PASSWORD.replace(':', '%3A').replace('@', '%40')}"
BASIC = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()
FAST = RetryPolicy(backoff=0)


class Heads:
    """A server that keeps the head of each request: an API, or a proxy that connects every host with that API."""

    def __init__(self, target: int | None = None, *, refuse: int | None = None) -> None:
        self._target = target
        self._refuse = refuse
        self.port = 0
        self.lines: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                self.lines.append(head[0])
                pairs = (line.partition(": ") for line in head[1:] if line)
                self.headers.append({name.lower(): value for name, _, value in pairs})
                if self._refuse is not None:
                    writer.write(f"HTTP/1.1 {self._refuse} Refused\r\nContent-Length: 0\r\n\r\n".encode())
                elif head[0].startswith("CONNECT "):
                    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                    await self._tunnel(reader, writer)
                    break
                else:
                    writer.write(answer(int(head[0].split()[1].rpartition("/")[2])))
                await writer.drain()
        writer.close()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))

    @contextlib.asynccontextmanager
    async def run(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Heads]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()


def shown(error: BaseException) -> str:
    """Return all that a dump of an error shows, with the locals of all frames but those of this file."""
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), capture_locals=True)
    dump = "".join(f"{frame.name} {frame.locals}\n" for frame in frames if frame.filename != __file__)
    cause = error.__cause__ or error.__context__
    return f"{dump}{error!r} {error} {vars(error)!r}" + ("" if cause is None else shown(cause))


async def test_a_request_to_this_machine_goes_through_a_proxy_that_was_set() -> None:
    async with Heads().run() as proxy:
        url = f"http://{LOGIN}@127.0.0.1:{proxy.port}"
        async with WavixClient(KEY, base_url="http://127.0.0.1:9", proxy=url) as wavix:
            assert (await wavix.numbers.get(7)).id == 7
            assert (await wavix.numbers.update(7, sms_enabled=NUMBER["sms_enabled"])).id == 7
            assert PASSWORD not in repr(wavix)
    assert proxy.lines[0] == "GET http://127.0.0.1:9/v1/numbers/7 HTTP/1.1"
    assert proxy.lines[1] == "PATCH http://127.0.0.1:9/v1/numbers/7 HTTP/1.1"
    for headers in proxy.headers:
        assert (headers["proxy-authorization"], headers["authorization"]) == (BASIC, f"Bearer {KEY}")


async def test_https_goes_through_a_tunnel_and_the_api_never_sees_the_login() -> None:
    server_side, client_side = anonymous_tls()
    async with Heads().run(server_side) as api, Heads(api.port).run() as proxy:
        url = f"http://{LOGIN}@127.0.0.1:{proxy.port}"
        async with WavixClient(KEY, base_url="https://wavix.invalid", proxy=url, ssl=client_side) as wavix:
            for number in (7, 8):
                assert (await wavix.with_options(headers={"X-A": "1"}).numbers.get(number)).id == number
    assert proxy.lines == ["CONNECT wavix.invalid:443 HTTP/1.1"]
    assert proxy.headers[0]["proxy-authorization"] == BASIC
    # aiohttp would take the session's own `Authorization` for the login of the proxy.
    assert KEY not in str(proxy.headers)
    assert [line.split()[1] for line in api.lines] == ["/v1/numbers/7", "/v1/numbers/8"]
    assert all("proxy-authorization" not in headers and headers["x-a"] == "1" for headers in api.headers)


async def test_the_certificate_is_checked_unless_ssl_says_otherwise() -> None:
    server_side, client_side = anonymous_tls()
    async with Heads().run(server_side) as api:
        base_url = f"https://127.0.0.1:{api.port}"
        async with WavixClient(KEY, base_url=base_url, ssl=client_side) as wavix:
            assert (await wavix.numbers.get(7)).id == 7
        async with WavixClient(KEY, base_url=base_url, retry=RetryPolicy.none()) as wavix:
            with pytest.raises(ConnectError):
                await wavix.numbers.get(7)
    assert len(api.lines) == 1


@pytest.mark.req_03
@pytest.mark.parametrize("status", [407, 502])
async def test_a_proxy_that_refuses_has_sent_nothing(status: int) -> None:
    async with Heads(refuse=status).run() as proxy:
        url = f"http://{LOGIN}@127.0.0.1:{proxy.port}"
        async with WavixClient(KEY, base_url="https://wavix.invalid", proxy=url, retry=FAST) as wavix:
            with pytest.raises(ConnectError, match=f"through the proxy: status {status}") as caught:
                await wavix.numbers.get(1)
    assert ("Check the login in the URL of the proxy" in str(caught.value)) == (status == 407)
    assert (caught.value.outcome, len(proxy.lines)) == ("not_sent", 4)
    assert not any(secret in shown(caught.value) for secret in (PASSWORD, LOGIN, BASIC, BASIC[6:]))


@pytest.mark.req_03
async def test_a_proxy_out_of_reach_shows_no_password(unused_tcp_port: int) -> None:
    url = f"http://{LOGIN}@127.0.0.1:{unused_tcp_port}"
    async with WavixClient(KEY, base_url="https://wavix.invalid", proxy=url, retry=RetryPolicy.none()) as wavix:
        with pytest.raises(ConnectError, match=r"wavix\.invalid through the proxy: ") as caught:
            await wavix.numbers.get(1)
    assert not any(secret in shown(caught.value) for secret in (PASSWORD, LOGIN, BASIC, BASIC[6:]))


@pytest.mark.parametrize(
    "proxy",
    [
        *("socks5://u:hush@host:1", "ftp://u:hush@host:1", "http://u:hush@", "host:8080", "", "http://u:hush@h:1/path"),
        *("http://u:hush@h:1?q=1", "http://u:hush@h:99999", "hush", b"http://h:1", 5, "http://a%3Ab:hush@h:1"),
    ],
)
def test_a_wrong_proxy_is_refused_and_not_shown(proxy: Any) -> None:
    with pytest.raises(ConfigurationError, match="proxy ") as caught:
        WavixClient(KEY, proxy=proxy)
    assert "hush" not in shown(caught.value)


@pytest.mark.parametrize("given", [False, True, "cert.pem"])
@pytest.mark.parametrize("kind", [str, URL])
def test_ssl_is_a_context(given: Any, kind: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"ssl must be an ssl\.SSLContext") as caught:
        WavixClient(KEY, proxy=kind(f"http://{LOGIN}@127.0.0.1:9"), ssl=given)
    assert not any(secret in shown(caught.value) for secret in (PASSWORD, LOGIN, BASIC, BASIC[6:]))


async def test_settings_of_our_session_do_not_apply_to_another() -> None:
    async with aiohttp.ClientSession() as session:
        for setting in ({"proxy": "http://h:1"}, {"ssl": anonymous_tls()[1]}, {"trust_env": True}):
            with pytest.raises(ConfigurationError, match="set them on yours"):
                WavixClient(KEY, session=session, **setting)  # type: ignore[arg-type]


# --- the environment ---


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment without proxies, and with a login for the API's host in a file that must not be read."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    (tmp_path / ".netrc").write_text("default login other password other\n", encoding="utf-8")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    return monkeypatch


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", ""])
async def test_the_proxy_of_the_environment(environment: pytest.MonkeyPatch, name: str, scheme: str) -> None:
    server_side, client_side = anonymous_tls()
    async with Heads().run(server_side) as api, Heads(api.port).run() as proxy:
        environment.setenv(name, f"{scheme}{LOGIN}@127.0.0.1:{proxy.port}")
        async with WavixClient(KEY, base_url="https://wavix.invalid", trust_env=True, ssl=client_side) as wavix:
            await wavix.numbers.get(7)
    assert proxy.headers[0]["proxy-authorization"] == BASIC
    assert api.headers[0]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("no_proxy", ["127.0.0.1,wavix.invalid", ".invalid", "*"])
async def test_no_proxy_and_a_client_without_trust_env_go_there_directly(
    environment: pytest.MonkeyPatch, no_proxy: str
) -> None:
    async with Heads(refuse=500).run() as proxy:
        environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        direct = WavixClient(KEY, base_url="https://wavix.invalid", retry=RetryPolicy.none())
        environment.setenv("NO_PROXY", no_proxy)
        excepted = WavixClient(KEY, base_url="https://wavix.invalid", retry=RetryPolicy.none(), trust_env=True)
        for wavix in (direct, excepted):
            async with wavix:
                with pytest.raises(ConnectError, match=r"wavix\.invalid"):
                    await wavix.numbers.get(1)
    assert proxy.lines == []


async def test_this_machine_is_reached_without_the_proxy_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    async with Heads().run() as api:
        environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        async with WavixClient(KEY, base_url=f"http://127.0.0.1:{api.port}", trust_env=True) as wavix:
            assert (await wavix.numbers.get(7)).id == 7


@pytest.mark.parametrize(
    ("no_proxy", "tunnels"),
    [("", ["files.invalid"]), ("wavix.invalid", ["files.invalid"]), ("files.invalid", []), ("*", [])],
)
async def test_the_host_of_a_file_has_its_own_entry_in_the_environment(
    environment: pytest.MonkeyPatch, no_proxy: str, tunnels: list[str]
) -> None:
    redirect = answers(status=302, kind=None, Location="https://files.invalid/call.mp3?signature=hush")
    async with serving(redirect) as api, Heads(refuse=502).run() as proxy:
        environment.setenv("HTTPS_PROXY", f"http://{LOGIN}@127.0.0.1:{proxy.port}")
        environment.setenv("NO_PROXY", no_proxy)
        async with WavixClient(KEY, base_url=api.url, trust_env=True, retry=RetryPolicy.none()) as wavix:
            with pytest.raises(TransportError, match=r"Cannot connect to files\.invalid"):
                await wavix.download(Operation("GET", "/v1/recordings/1", Download))
    assert proxy.lines == [f"CONNECT {host}:443 HTTP/1.1" for host in tunnels]
    assert all(headers["proxy-authorization"] == BASIC for headers in proxy.headers)
    assert KEY not in str(proxy.headers)


def test_a_wrong_proxy_in_the_environment_is_named_and_not_shown(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("HTTPS_PROXY", "socks5://u:hush@host:1")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY must be an HTTP proxy") as caught:
        WavixClient(KEY, trust_env=True)
    assert "hush" not in shown(caught.value)
    with pytest.raises(ConfigurationError, match="trust_env must be True or False"):
        WavixClient(KEY, trust_env="yes")  # type: ignore[arg-type]


def test_the_command_line_uses_it(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    main = pytest.importorskip("wavix_async.cli").main

    def refuse(connection: RawConnection) -> None:
        if server.next(connection) is not None:
            connection.send(b"HTTP/1.1 403 Refused\r\nContent-Length: 0\r\n\r\n")

    environment.setenv("WAVIX_API_KEY", KEY)
    with RawServer(refuse) as server:
        environment.setenv("HTTPS_PROXY", f"http://{LOGIN}@127.0.0.1:{server.port}")
        assert main(["numbers", "list", "--base-url", "https://wavix.invalid"]) != 0
    assert {(seen.method, seen.path) for seen in server.requests} == {("CONNECT", "wavix.invalid:443")}
    shown = capsys.readouterr()
    assert "status 403" in shown.err
    assert not any(secret in shown.out + shown.err for secret in (PASSWORD, LOGIN, BASIC))


# --- a session of the user's own ---


class Here(aiohttp.abc.AbstractResolver):
    """Finds every host on this machine."""

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> Any:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    async def close(self) -> None: ...


def breaking(server: RawServer) -> Any:
    """Serve a connection: the first one breaks at its second request."""

    def serve(connection: RawConnection) -> None:
        while (seen := server.next(connection)) is not None:
            if connection.number == 0 and len(server.requests) == 2:
                return
            connection.send(answer(seen.id))

    return serve


@pytest.mark.req_11
async def test_after_a_break_a_session_of_the_users_own_opens_a_new_connection() -> None:
    """With its own TLS settings and resolver; the connection is not kept."""
    server_side, client_side = anonymous_tls()
    server = RawServer(tls=server_side)
    server._serve = breaking(server)
    with server:
        connector = aiohttp.TCPConnector(ssl=client_side, resolver=Here())
        async with aiohttp.ClientSession(connector=connector, headers={"X-Mine": "1"}) as session:
            base_url = f"https://wavix.invalid:{server.port}"
            async with WavixClient(KEY, base_url=base_url, session=session, retry=FAST) as wavix:
                for number in (1, 2, 3, 4):
                    assert (await wavix.numbers.get(number)).id == number
            assert not session.closed
        assert [(seen.connection, seen.id) for seen in server.requests] == [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4)]


async def test_a_session_that_ends_before_the_client_leaves_nothing_open() -> None:
    server = RawServer()
    server._serve = breaking(server)
    with server:
        async with aiohttp.ClientSession() as session:
            wavix = WavixClient(KEY, base_url=server.url, session=session, retry=FAST)
            for number in (1, 2):
                await wavix.numbers.get(number)
        with pytest.raises(ClientClosedError):
            await wavix.numbers.get(3)
        del wavix, session
        # An unclosed session would warn, and each warning is an error here.
        gc.collect()
        assert len(server.connections) == 2
