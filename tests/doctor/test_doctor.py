"""The doctor meets planted faults on real sockets, names the causes that the answer allows, and writes nothing."""

from __future__ import annotations

import json
import select
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.raw import RawConnection, RawServer
from wavix_async import AttemptTimeoutError, PermissionDeniedError, WavixClient
from wavix_async.doctor import CheckStatus, Finding, Report, doctor, whoami
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

CERTIFICATES = Path(__file__).parents[1] / "data" / "tls"
KEY = "key-0f9c-that-no-one-may-see"


async def examine(sandbox: Sandbox, **settings: Any) -> Report:
    """Examine a sandbox, and check that nothing but GETs came."""
    settings.setdefault("api_key", sandbox.api_key)
    report = await doctor(base_url=sandbox.url, **settings)
    assert {request.method for request in sandbox.requests} <= {"GET"}
    for shown in (str(report), report.to_json(), repr(report)):
        assert settings["api_key"] not in shown
    return report


def failed(report: Report, check: str, status: CheckStatus = CheckStatus.FAILED) -> Finding:
    """Return the one finding that tells of the fault, after looking that it has a remedy."""
    told = [each for each in report.findings if each.status in {CheckStatus.FAILED, CheckStatus.WARNING}]
    assert [(each.check, each.status) for each in told] == [(check, status)], str(report)
    assert told[0].remedy
    assert told[0].causes
    assert len([line for line in str(report).splitlines() if line.startswith(status)]) == 1
    return told[0]


def answering(head: str, body: str, status: str = "200 OK") -> Callable[[RawConnection], None]:
    def serve(connection: RawConnection) -> None:
        while connection.read() is not None:
            lines = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
            connection.send((lines + body).encode())

    return serve


def tls(name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / f"{name}.pem")
    return context


CONFIG = json.dumps({"balance": "1.0", "global_limits": {"max_call_duration": 1}})
JSON = "Content-Type: application/json\r\n"


# --- nothing is wrong ---


async def test_a_healthy_account_has_one_line_for_each_check() -> None:
    async with Sandbox(numbers=0, rate=1000, rate_headers="x") as sandbox:
        report = await examine(sandbox)
    assert report.ok, str(report)
    assert [each.status for each in report.findings] == [CheckStatus.OK] * len(report.findings), str(report)
    checks = ["settings", "proxy", "dns", "tls", "api", "key", "ip", "scopes", "clock", "rate", "webhook"]
    assert [each.check for each in report.findings] == checks
    assert len(str(report).splitlines()) == len(checks)
    assert "Rate headers: limit 1000" in report.find("rate").summary
    assert len(sandbox.requests) == 12
    told = json.loads(report.to_json())
    assert told["ok"] is True
    assert {"wavix_async", "python", "aiohttp", "platform"} == set(told["about"])
    with pytest.raises(KeyError):
        report.find("nothing")


# --- the ten faults ---


async def test_1_a_wrong_key() -> None:
    async with Sandbox(numbers=0) as sandbox:
        found = failed(await examine(sandbox, api_key=KEY), "key")
        assert len(sandbox.requests) == 1
    assert "HTTP 401: Access denied" in found.summary
    assert "wrong" in found.causes[0]
    assert "IP addresses" in found.causes[1]
    assert "permitted_ips" in (found.remedy or "")
    assert found.facts["request_id"]


async def test_2_an_address_that_is_not_allowed() -> None:
    async with Sandbox(numbers=0) as sandbox:
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            key = await wavix.api_keys.create(label="elsewhere", restricted=True, permitted_ips=["203.0.113.7"])
            await wavix.close()
        report = await doctor(api_key=key.value, base_url=sandbox.url)
    found = failed(report, "key")
    assert any("this machine's public address is not among them" in cause for cause in found.causes)
    assert report.find("ip").status is CheckStatus.SKIPPED


async def test_2_an_answer_that_speaks_of_the_address_has_one_cause() -> None:
    body = '{"success":false,"message":"IP address is not allowed"}'
    with RawServer(answering(JSON, body, "401 Unauthorized")) as server:
        found = failed(await doctor(api_key=KEY, base_url=server.url), "ip")
    assert len(found.causes) == 1
    assert "Add the public address" in (found.remedy or "")


async def test_3_a_scope_is_missing() -> None:
    scopes: Any = {"account": "read", "numbers": "write", "messages": "read"}
    async with Sandbox(numbers=0, scopes=scopes) as sandbox:
        report = await examine(sandbox)
        found = failed(report, "scopes", CheckStatus.WARNING)
    assert report.ok, "a key without all scopes may be meant"
    assert "HTTP 403" in found.summary
    assert "billing:read" in found.causes[0]
    assert "numbers:read" not in found.causes[0]
    assert "Flex Pro" in found.causes[1]
    assert found.facts["read"] == ["account", "messages", "numbers"]


async def test_3_no_scope_at_all() -> None:
    async with Sandbox(numbers=0, scopes={}) as sandbox:
        found = failed(await examine(sandbox), "scopes")
    assert "11 of 11 groups" in found.summary
    assert "blocked" in found.causes[-1]


@pytest.mark.parametrize(("hours", "words"), [(2, "behind"), (-2, "ahead of")])
async def test_4_the_clock_is_off(hours: int, words: str) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    with RawServer(answering(f"{JSON}Date: {date}\r\n", CONFIG)) as server:
        report = await doctor(api_key=KEY, base_url=server.url, webhooks=False)
    found = report.find("clock")
    assert found.status is CheckStatus.WARNING
    assert words in found.summary
    assert abs(abs(float(str(found.facts["off_seconds"]))) - 7200) < 600
    assert "timedatectl" in (found.remedy or "")


async def test_5_the_proxy_is_dead(closed_port: int) -> None:
    proxy = f"http://user:pass-word@127.0.0.1:{closed_port}"
    report = await doctor(api_key=KEY, base_url="https://api.wavix.invalid", proxy=proxy)
    found = failed(report, "proxy")
    assert f"http://127.0.0.1:{closed_port}" in found.summary
    assert "refused" in found.summary
    assert "down" in found.causes[0]
    assert "HTTPS_PROXY" in (found.remedy or "")
    assert "pass-word" not in report.to_json()


async def test_5_the_proxy_of_the_environment_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "ftp://user:pass-word@proxy.example.com")
    report = await doctor(api_key=KEY)
    (found,) = report.findings
    assert (found.check, found.status) == ("proxy", CheckStatus.FAILED)
    assert "HTTPS_PROXY must be" in (found.remedy or "")
    assert "pass-word" not in report.to_json()


async def test_5_the_proxy_of_the_environment_refuses_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(answering("", "", "407 Proxy Authentication Required")) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        report = await doctor(api_key=KEY, base_url="https://api.wavix.invalid")
        ignored = await doctor(api_key=KEY, base_url="https://api.wavix.invalid", trust_env=False)
    told = [each for each in report.findings if each.status is CheckStatus.FAILED]
    assert [each.check for each in told] == ["proxy"]
    assert "407" in told[0].summary
    assert "login" in told[0].causes[0]
    assert "from the environment" in report.find("proxy").summary
    assert failed(ignored, "dns").causes


async def test_6_tls_from_a_stranger() -> None:
    with RawServer(tls=tls("stranger")) as server:
        report = await doctor(api_key=KEY, base_url=server.url)
        found = failed(report, "tls")
        assert server.requests == [], "the key has not left"
    assert "self-signed" in found.summary.replace("self signed", "self-signed")
    assert any("a stranger" in cause for cause in found.causes)
    assert any("proxy or virus scanner" in cause for cause in found.causes)
    assert "ca_file" in (found.remedy or "")


def connecting(target: int) -> Callable[[RawConnection], None]:
    """Act as a proxy that connects every host with a port of this machine."""

    def serve(connection: RawConnection) -> None:
        connection.read()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(("127.0.0.1", target)) as other:
            while True:
                for ready in select.select([connection.sock, other], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (other if ready is connection.sock else connection.sock).sendall(data)

    return serve


async def test_6_tls_from_a_stranger_behind_a_proxy() -> None:
    with RawServer(tls=tls("stranger")) as server, RawServer(connecting(server.port)) as proxy:
        report = await doctor(api_key=KEY, base_url="https://localhost", proxy=proxy.url)
        assert server.requests == [], "the key has not left"
    found = failed(report, "tls")
    assert any("a stranger" in cause for cause in found.causes)
    assert "ca_file" in (found.remedy or "")


async def test_a_session_of_the_caller_connects() -> None:
    async with Sandbox(numbers=0) as sandbox, aiohttp.ClientSession() as session:
        report = await examine(sandbox, session=session)
        assert not session.closed
    assert report.ok
    assert report.find("proxy").status is CheckStatus.SKIPPED


async def test_6_a_certificate_that_has_expired() -> None:
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "expired.pem")
    with RawServer(tls=tls("expired")) as server:
        found = failed(await doctor(api_key=KEY, base_url=server.url, ssl=trusting), "tls")
    assert "expired" in found.causes[0]
    assert "clock" in found.causes[1]


async def test_6_a_stranger_that_is_trusted() -> None:
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "stranger.pem")
    with RawServer(answering(JSON, CONFIG), tls=tls("stranger")) as server:
        report = await doctor(api_key=KEY, base_url=server.url, ssl=trusting, webhooks=False)
    assert report.find("tls").status is CheckStatus.OK
    assert str(report.find("tls").facts["certificate_ends"]).startswith("2126-01-01")


async def test_6_a_port_without_tls() -> None:
    def serve(connection: RawConnection) -> None:
        connection.sock.recv(65536)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with RawServer(serve) as server:
        found = failed(await doctor(api_key=KEY, base_url=server.url.replace("http:", "https:")), "tls")
    assert "no TLS" in found.causes[0]


async def test_6_a_port_that_closes_the_connection_in_the_handshake() -> None:
    def serve(connection: RawConnection) -> None:
        connection.sock.recv(65536)
        connection.reset()

    with RawServer(serve) as server:
        found = failed(await doctor(api_key=KEY, base_url=server.url.replace("http:", "https:")), "tls")
    assert "closed in the handshake" in found.summary


async def test_7_no_dns() -> None:
    report = await doctor(api_key=KEY, base_url="https://api.wavix.invalid")
    found = failed(report, "dns")
    assert "api.wavix.invalid has no address" in found.summary
    assert "misspelled" in found.causes[0]
    assert "DNS server" in found.causes[1]
    assert "nslookup api.wavix.invalid" in (found.remedy or "")


@pytest.mark.parametrize("where", ["argument", "environment", "profile"])
async def test_8_an_http_url(where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings: Any = {"api_key": KEY}
    if where == "argument":
        settings["base_url"] = "http://api.example.com"
    elif where == "environment":
        monkeypatch.setenv("WAVIX_BASE_URL", "http://api.example.com")
    else:
        (tmp_path / "config.toml").write_text('[eu]\nbase_url = "http://api.example.com"\n')
        (tmp_path / "config.toml").chmod(0o600)
        monkeypatch.setenv("WAVIX_CONFIG", str(tmp_path / "config.toml"))
        monkeypatch.setenv("WAVIX_PROFILE", "eu")
    found = failed(await doctor(**settings), "url")
    assert "http://" in found.causes[0]
    assert "Use https://api.example.com" in (found.remedy or "")


async def test_9_the_limit_is_reached() -> None:
    async with Sandbox(numbers=0) as sandbox:
        sandbox.fail_next(429, retry_after=60)
        report = await examine(sandbox)
        assert len(sandbox.requests) == 1, "no more requests make it worse"
    found = failed(report, "rate")
    assert "It asks to wait 60 s" in found.summary
    assert "other programs" in found.causes[0]
    assert "RedisRateLimit" in (found.remedy or "")
    assert report.temporary


async def test_9_the_limit_is_reached_on_the_way() -> None:
    async with Sandbox(numbers=0) as sandbox:
        sandbox.fail_next(429, retry_after=60, match="GET /v3/messages*")
        report = await examine(sandbox)
    assert failed(report, "rate").temporary
    assert report.find("key").status is CheckStatus.OK
    assert "Not tried: messages, calls, webhooks, trunks" in report.find("scopes").summary


async def test_10_a_webhook_is_not_reachable(closed_port: int) -> None:
    url = f"http://user:pass-word@127.0.0.1:{closed_port}/hook-secret?token=secret"
    async with Sandbox(numbers=0, sms_relay_url=url) as sandbox:
        report = await examine(sandbox)
    found = failed(report, "webhook", CheckStatus.WARNING)
    assert f"http://127.0.0.1:{closed_port} (account) is not reachable from this machine" in found.summary
    assert "nothing listens" in found.causes[0]
    assert "only Wavix's addresses" in found.causes[-1]
    assert "secret" not in report.to_json()
    assert "pass-word" not in report.to_json()


async def test_10_a_webhook_whose_name_does_not_exist() -> None:
    async with Sandbox(numbers=2) as sandbox:
        for number in sandbox.numbers.values():
            number["call_status_url"] = number["sms_relay_url"] = None
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            await wavix.numbers.update(1001, call_status_url="https://hooks.wavix.invalid/x")
        report = await doctor(api_key=sandbox.api_key, base_url=sandbox.url)
        without = await doctor(api_key=sandbox.api_key, base_url=sandbox.url, webhooks=False)
    found = failed(report, "webhook", CheckStatus.WARNING)
    assert "https://hooks.wavix.invalid (numbers)" in found.summary
    assert len(found.causes) == 2, "the DNS of this machine may know nothing of the outside"
    assert not any(each.check == "webhook" for each in without.findings)


async def test_10_a_webhook_whose_name_does_not_exist_for_a_dns_that_knows_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = socket.getaddrinfo

    def know(host: Any, *arguments: Any, **options: Any) -> Any:
        address = "10.0.0.7" if host == "inside.test" else "127.0.0.1" if host == "api.test" else host
        return look_up(address, *arguments, **options)

    # The look-up of an address goes nowhere, and no connection to 10.0.0.7 may be tried.
    monkeypatch.setattr(socket, "getaddrinfo", know)
    body = json.dumps({**json.loads(CONFIG), "default_destinations": [{"value": "https://hooks.wavix.invalid/x"}]})
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "stranger.pem")
    trusting.check_hostname = False
    with RawServer(answering(JSON, body), tls=tls("stranger")) as server:
        report = await doctor(api_key=KEY, base_url=f"https://api.test:{server.port}", ssl=trusting)
    (found,) = [each for each in report.failures if each.check == "webhook"]
    assert found.causes == ("the name is misspelled, or does not exist",)


async def test_10_a_new_sandbox_has_nothing_that_failed() -> None:
    async with Sandbox(numbers=9) as sandbox:
        assert (await examine(sandbox)).ok


async def test_10_a_webhook_with_a_certificate_of_its_own() -> None:
    with RawServer(tls=tls("stranger")) as server:
        async with Sandbox(numbers=0, dlr_relay_url=f"{server.url}/hook") as sandbox:
            found = failed(await examine(sandbox), "webhook")
        assert server.requests == []
    assert "certificate" in found.causes[0]
    assert "public authority" in (found.remedy or "")


async def test_10_a_reachable_webhook_gets_no_request() -> None:
    seen: list[bytes] = []

    def serve(connection: RawConnection) -> None:
        while data := connection.sock.recv(65536):
            seen.append(data)

    with RawServer(serve) as server:
        async with Sandbox(numbers=0, dlr_relay_url=f"{server.url}/hook") as sandbox:
            report = await examine(sandbox)
        found = report.find("webhook")
        assert found.status is CheckStatus.OK
        assert "No request was sent" in found.summary
    assert seen == []


# --- the neighbours of those faults ---


@pytest.mark.parametrize(
    ("status", "body", "head", "check", "words"),
    [
        ("403 Forbidden", "<html>blocked</html>", "Content-Type: text/html\r\n", "api", "firewall"),
        ("401 Unauthorized", "<html>login</html>", "Content-Type: text/html\r\n", "api", "captive portal"),
        ("404 Not Found", "<html>none</html>", "Content-Type: text/html\r\n", "api", "base_url"),
        ("404 Not Found", "{}", JSON, "url", "base_url"),
        ("302 Found", "", "Location: https://x.invalid/\r\n", "url", "base_url"),
        ("200 OK", "<html>welcome</html>", "Content-Type: text/html\r\n", "url", "captive portal"),
        ("402 Payment Required", '{"message":"no balance."}', JSON, "api", "balance"),
        ("418 Teapot", '{"message":"no."}', JSON, "api", "plain read"),
        ("503 Service Unavailable", '{"success":true,"message":"later"}', JSON, "api", "outage"),
        ("502 Bad Gateway", "<html>Bad Gateway</html>", "Content-Type: text/html\r\n", "api", "outage"),
        ("401 Unauthorized", '{"message":"Missing email address"}', JSON, "key", "wrong"),
        ("403 Forbidden", '{"message":"IP address not allowed"}', JSON, "ip", "not among them"),
    ],
)
async def test_other_answers(status: str, body: str, head: str, check: str, words: str) -> None:
    with RawServer(answering(head, body, status)) as server:
        found = failed(await doctor(api_key=KEY, base_url=server.url), check)
    assert any(words in cause for cause in found.causes)


async def test_nothing_listens(closed_port: int) -> None:
    found = failed(await doctor(api_key=KEY, base_url=f"http://127.0.0.1:{closed_port}"), "connect")
    assert "refused" in found.summary


async def test_the_connection_is_cut() -> None:
    def serve(connection: RawConnection) -> None:
        if connection.read() is not None:
            connection.reset()

    with RawServer(serve) as server:
        report = await doctor(api_key=KEY, base_url=server.url)
    assert failed(report, "api").temporary


async def test_a_slow_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavix_async.doctor._checks._SLOW", 0.0)
    async with Sandbox(numbers=0) as sandbox:
        found = failed(await examine(sandbox), "api", CheckStatus.WARNING)
    assert found.facts["status"] == 200


async def test_the_rate_of_the_settings_lets_nothing_leave_in_time() -> None:
    async with Sandbox(numbers=0) as sandbox:
        report = await examine(sandbox, rate=0.001)
    assert "No request left in time" in failed(report, "rate").summary


async def test_there_is_no_key() -> None:
    found = failed(await doctor(), "key")
    assert "WAVIX_API_KEY" in found.causes[0]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (f"Bearer {KEY}", "begins with"),
        (f'"{KEY}"', "quotes"),
        ("key with a space in it", "space"),
        ("https://api.wavix.com/v1", "a URL"),
        ("<your-api-key>", "placeholder"),
        ("$WAVIX_EU_KEY_FROM_THE_VAULT", "variable"),
    ],
)
async def test_a_key_that_does_not_look_like_one(key: str, words: str) -> None:
    async with Sandbox(numbers=0) as sandbox:
        report = await examine(sandbox, api_key=key)
    shape, answer = (each for each in report.findings if each.check == "key")
    assert words in shape.summary
    assert shape.status is CheckStatus.WARNING
    assert answer.status is CheckStatus.FAILED


async def test_an_answer_that_repeats_the_key_is_not_shown() -> None:
    with RawServer(answering(JSON, json.dumps({"message": f"no {KEY}"}), "401 No")) as server:
        report = await doctor(api_key=KEY, base_url=server.url)
    assert KEY not in report.to_json()
    assert "<hidden>" in str(report)


async def test_a_profile_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAVIX_CONFIG", str(tmp_path / "none.toml"))
    (found,) = (await doctor("eu")).findings
    assert found.check == "settings"
    assert "Cannot read the profiles" in (found.remedy or "")


async def test_an_answer_cannot_forge_a_line() -> None:
    body = json.dumps({"message": "no\nok       key       The API accepts the key.\u2028ok"})
    with RawServer(answering(JSON, body, "401 No")) as server:
        report = await doctor(api_key=KEY, base_url=server.url)
    assert len(str(report).splitlines()) == len(report.findings)


async def test_a_page_of_an_outage_is_temporary() -> None:
    with RawServer(answering("Content-Type: text/html\r\n", "<html>", "503 Service Unavailable")) as server:
        assert (await doctor(api_key=KEY, base_url=server.url)).temporary


async def test_a_port_that_speaks_no_http_is_no_loss_of_packets() -> None:
    def serve(connection: RawConnection) -> None:
        connection.read()
        connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")

    with RawServer(serve) as server:
        report = await doctor(api_key=KEY, base_url=server.url)
    found = failed(report, "url")
    assert "another service" in found.causes[0]
    assert "carried out" not in found.summary
    assert not report.temporary


async def test_a_time_limit_of_the_caller_that_is_too_short(monkeypatch: pytest.MonkeyPatch) -> None:
    async def time_out(*_: Any) -> None:
        raise AttemptTimeoutError("No complete answer in time; the request may have been carried out. Not retried: no.")

    monkeypatch.setattr("wavix_async.doctor._checks._Examination.call", time_out)
    async with Sandbox(numbers=0) as sandbox:
        report = await examine(sandbox, timeout=9)
        without = await examine(sandbox)
    found = failed(report, "api")
    assert found.causes[0] == "the time limit of 9 s is too short"
    assert found.summary == "No answer: No complete answer in time."
    assert not any("time limit" in cause for cause in failed(without, "api").causes)


async def test_a_proxy_whose_url_has_https_instead_of_http() -> None:
    def serve(connection: RawConnection) -> None:
        connection.sock.recv(65536)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with RawServer(serve) as server:
        proxy = server.url.replace("http:", "https:")
        report = await doctor(api_key=KEY, base_url="https://api.wavix.invalid", proxy=proxy)
    assert "https:// instead of http://" in failed(report, "proxy").causes[0]


@pytest.mark.parametrize(
    ("answer", "check"), [(b"", "api"), (b"HTTP/1.1 200 OK\r\n\r\n", "proxy"), (b"no HTTP\r\n\r\n", "url")]
)
async def test_a_proxy_that_does_not_connect_is_named(answer: bytes, check: str) -> None:
    def serve(connection: RawConnection) -> None:
        connection.read()
        connection.send(answer)

    with RawServer(serve) as server:
        report = await doctor(api_key=KEY, base_url="https://api.wavix.invalid", proxy=server.url)
    assert any("the proxy" in cause for cause in failed(report, check).causes)


async def test_a_url_that_ends_with_a_version() -> None:
    async with Sandbox(numbers=0) as sandbox:
        report = await doctor(api_key=sandbox.api_key, base_url=f"{sandbox.url}/v1")
        used = sandbox.url
    found = report.find("url")
    assert found.status is CheckStatus.WARNING
    assert found.remedy == f"Use {used}."


async def test_a_url_that_cannot_be_a_name() -> None:
    found = failed(await doctor(api_key=KEY, base_url="https://a..b"), "dns")
    assert "cannot be the name of a host" in found.summary


@pytest.mark.parametrize(
    ("text", "check", "said"),
    [
        ('apikey = "x"', "settings", "unknown key, 'apikey'"),
        ("rate = inf", "settings", "rate of profile 'eu' must be"),
        ('base_url = "api.wavix.com"', "url", "base_url of profile 'eu' must be"),
        ('proxy = "no url"', "proxy", "proxy of profile 'eu' must be"),
    ],
)
async def test_a_profile_with_a_mistake(
    text: str, check: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f'[eu]\napi_key = "{KEY}"\n{text}\n')
    file.chmod(0o600)
    monkeypatch.setenv("WAVIX_CONFIG", str(file))
    (found,) = (await doctor("eu")).findings
    assert (found.check, found.status) == (check, CheckStatus.FAILED)
    assert said in (found.remedy or "")
    (found,) = (await doctor()).findings
    assert found.check == ("settings" if "apikey" in text else "key")
    assert "apikey" in text or "the file has eu" in found.causes[0]


async def test_a_group_without_a_clear_answer_is_no_scope_and_not_well() -> None:
    async with Sandbox(numbers=0) as sandbox:
        sandbox.fail_next(500, match="GET /v1/trunks*")
        found = failed(await examine(sandbox), "scopes", CheckStatus.WARNING)
    assert "may read 10 of 11 groups. No clear answer: trunks (HTTP 500)." in found.summary


async def test_10_a_webhook_port_without_tls_has_no_certificate() -> None:
    def serve(connection: RawConnection) -> None:
        connection.sock.recv(65536)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with RawServer(serve) as server:
        async with Sandbox(numbers=0, dlr_relay_url=server.url.replace("http:", "https:")) as sandbox:
            found = failed(await examine(sandbox), "webhook", CheckStatus.WARNING)
    assert found.causes[0] == "the port speaks no TLS"


async def test_a_page_of_a_firewall_is_no_missing_scope_for_whoami() -> None:
    with RawServer(answering("Content-Type: text/html\r\n", "<html>blocked</html>", "403 Forbidden")) as server:
        async with WavixClient(KEY, base_url=server.url) as wavix:
            with pytest.raises(PermissionDeniedError):
                await whoami(wavix)
