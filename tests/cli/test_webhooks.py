"""`wavix-async webhooks listen` as a process, and `webhooks fire` against a server in the test."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cyclopts")

from aiohttp import ClientSession, ClientTimeout, web
from aiohttp.test_utils import TestServer

from tests.support.cli import end, start, until_said
from tests.support.events import BODIES, SECRET, dlr
from tests.support.soon import SOON
from wavix_async.cli import main
from wavix_async.webhooks import KINDS, Model, Webhooks, parse_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wavix_async.webhooks import WebhookEvent

ESCAPE = "\x1b[31mred\x07\u202e\nmore"


@asynccontextmanager
async def receiving(status: int = 200) -> AsyncIterator[tuple[str, list[Any]]]:
    """Serve a URL that keeps the bodies that are posted to it."""
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.json())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/in/secret-part", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/in/secret-part")), got


async def listen(*argv: object) -> tuple[asyncio.subprocess.Process, str]:
    process = await start(None, "webhooks", "listen", "--port", 0, *argv)
    told = await until_said(process, "\n")
    found = re.search(r"Listening at (http://127\.0\.0\.1:\d+/\S+); press Ctrl-C", told)
    assert found is not None, told
    return process, found[1]


async def test_events_are_printed_one_a_line_without_texts_digits_and_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAVIX_WEBHOOK_SECRET", raising=False)
    process, url = await listen()
    bodies = [
        BODIES["message"],
        BODIES["on_call"],
        dlr("m", tag=ESCAPE, more=ESCAPE),
        dlr("m", "sent"),
        dlr("m", "sent"),
        {ESCAPE: "4711#0815"},
        {**BODIES["message"], "message_id": "n", "message_body": "4711#0815"},
        {**BODIES["on_call"], "event_payload": "4711#0815"},
    ]
    async with ClientSession() as session:
        for body in bodies:
            async with session.post(url, json=body) as answer:
                assert answer.status == 200
        async with session.post(url + "x", json={}) as answer:
            assert answer.status == 404
    process.send_signal(signal.SIGINT)
    code, out, told = await end(process)
    assert code == 0
    lines = [line.split(" ", 1)[1] for line in out.splitlines()]
    assert [line.split(" ")[0] for line in lines] == [
        *("message", "on_call", "dlr", "dlr", "unknown", "message", "on_call")
    ]
    assert all(character.isprintable() for line in lines for character in line)
    assert "4711#0815" not in out
    assert "text=(14 characters)" in lines[0]
    assert "payload.type=collect payload.status=completed payload.digits=***" in lines[1]
    assert "\\u001b[31mred\\u0007\\u202e\\u000amore" in lines[2]
    assert lines[3].endswith("late=yes")
    assert "text=(9 characters)" in lines[5]
    assert told.splitlines() == ["Answered 200 to dlr: duplicate.", "Answered 404 to a request: secret."]


async def test_json_has_everything_and_copies_are_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_WEBHOOK_SECRET", SECRET)
    async with receiving() as (target, forwarded):
        process, url = await listen("--json", "--forward", target)
        assert url.endswith("/$WAVIX_WEBHOOK_SECRET")
        bodies = [*BODIES.values(), BODIES["dlr"], [ESCAPE]]
        async with ClientSession() as session:
            for body in bodies:
                async with session.post(url.replace("$WAVIX_WEBHOOK_SECRET", SECRET), json=body) as answer:
                    assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        code, out, told = await end(process)
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert out.isascii()
    assert [(line["kind"], line["event"]) for line in lines] == [*BODIES.items(), ("unknown", [ESCAPE])]
    assert forwarded == [*BODIES.values(), [ESCAPE]]
    assert SECRET not in told
    assert "secret-part" not in told


async def test_a_reader_that_pauses_keeps_no_event_from_being_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAVIX_WEBHOOK_SECRET", raising=False)
    process, url = await listen("--json")
    async with ClientSession(timeout=ClientTimeout(total=SOON)) as session:
        for number in range(8):  # more than a pipe holds
            async with session.post(url, json={"message_id": str(number), "status": "x" * 50_000}) as answer:
                assert answer.status == 200
    process.send_signal(signal.SIGINT)
    code, out, _ = await end(process)
    assert code == 0
    assert [json.loads(line)["event"]["message_id"] for line in out.splitlines()] == [str(each) for each in range(8)]


async def run(*argv: str) -> int:
    return await asyncio.to_thread(main, list(argv))


async def test_fire_posts_an_event_that_is_recognized(capsys: pytest.CaptureFixture[str]) -> None:
    async with receiving() as (url, got):
        for kind in KINDS:
            assert await run("webhooks", "fire", kind, "--to", url) == 0
        assert [type(parse_event(body)) for body in got] == list(KINDS.values())
        assert len({parse_event(body).key for body in got}) == len(KINDS)
        assert await run("webhooks", "fire", "dlr", "--to", url) == 0
        assert parse_event(got[-1]).key != parse_event(got[list(KINDS).index("dlr")]).key
        fields = ["--message-id", "7", "--status", "sent", "--recipient", "15125550111", "--tag", "null", "--new", "{"]
        assert await run("webhooks", "fire", "dlr", "--to", url, *fields) == 0
        kept = {"message_id": "7", "status": "sent", "to": "15125550111", "tag": None, "new": "{", "delivered": None}
        assert kept.items() <= got[-1].items()
        assert await run("webhooks", "fire", "message", "--to", url, "--message_body", '{"text": "hi"}') == 0
        assert got[-1]["message_body"] == {"text": "hi"}
    assert "secret-part" not in capsys.readouterr().out


@pytest.mark.parametrize(("status", "code"), [(404, 1), (503, 5), (302, 1)])
async def test_fire_tells_how_it_was_answered(status: int, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with receiving(status) as (url, got):
        assert await run("webhooks", "fire", "dlr", "--to", url) == code
    assert len(got) == 1
    assert f"answered {status}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["dlr", "--to", "http://example.com/s3cret"], "--to must use https: example.com is not this machine."),
        (["dlr", "--to", "s3cret"], "--to must be a URL such as https://"),
        (["dlr", "--to", "http://[s3cret"], "--to must be a URL such as https://"),
        (["dlrs", "--to", "https://example.com"], "'dlrs' is not a kind of event: give one of on_call, "),
        (["dlr", "--to", "http://127.0.0.1:1/s3cret"], "No answer from 127.0.0.1:1: ClientConnectorError."),
        (["dlr", "--to", "http://127.0.0.1:1/s3cret", "--a.b", "1"], "Dictionary of tokens"),
    ],
)
def test_what_fire_refuses(argv: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["webhooks", "fire", *argv]) in {2, 5}
    shown = capsys.readouterr()
    assert shown.out == ""
    assert told in shown.err
    assert "s3cret" not in shown.err


async def test_what_fire_posts_reaches_a_handler(capsys: pytest.CaptureFixture[str]) -> None:
    hooks, got = Webhooks(secret=SECRET), []

    @hooks.on(Model)
    async def handle(event: WebhookEvent) -> None:
        got.append(event.key)

    app = web.Application()
    hooks.add_to(app, "/wavix/")
    async with TestServer(app) as server:
        url = str(server.make_url(f"/wavix{hooks.path('dlr')}"))
        assert await run("webhooks", "fire", "dlr", "--to", url, "--message-id", "m") == 0
    assert got == ["dlr:m:delivered"]


async def test_the_text_of_a_message_is_a_field_of_its_own() -> None:
    async with receiving() as (target, got):
        assert await run("webhooks", "fire", "message", "--to", target, "--text", "STOP") == 0
    assert got[0]["message_body"] == {"text": "STOP", "media": None}
    assert "text" not in got[0]


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_is_none_is_reported(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["webhooks", "listen", f"--port={port}"]) == 2
    assert f"--port must be from 0 to 65535, not {port}" in capsys.readouterr().err


def test_a_port_in_use_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["webhooks", "listen", "--port", str(port)]) == 2
    assert f"Cannot listen on port {port}" in capsys.readouterr().err
