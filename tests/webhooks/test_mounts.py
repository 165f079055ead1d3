"""The three mounts: FastAPI (lifespan, OpenAPI), plain ASGI, aiohttp.web. They answer and refuse alike."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.events import BODIES, SECRET, dlr, post
from tests.support.soon import SOON
from wavix_async.webhooks import KINDS, DeliveryReport, Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Send = Callable[..., Awaitable[int]]

PREFIX = "/wavix"


@asynccontextmanager
async def asgi(hooks: Webhooks, *, fastapi: bool) -> AsyncIterator[Send]:
    pytest.importorskip("fastapi")
    from fastapi import FastAPI

    from tests.support.serving import Served

    app = FastAPI()
    if fastapi:
        app.include_router(hooks.router, prefix=PREFIX)
    else:
        app.mount(PREFIX, hooks.asgi)
    served = Served(app)
    await served.start()
    try:

        async def send(path: str, body: object, method: str = "POST", **headers: str) -> int:
            answer = await post(served.app, body, path, method=method, headers=headers)
            return answer.status

        yield send
    finally:
        await served.stop()
        await hooks.close()


@asynccontextmanager
async def aiohttp_web(hooks: Webhooks) -> AsyncIterator[Send]:
    from aiohttp import ClientSession, web
    from aiohttp.test_utils import TestServer

    app = web.Application()
    hooks.add_to(app, PREFIX)
    async with TestServer(app) as server, ClientSession() as session:

        async def send(path: str, body: object, method: str = "POST", **headers: str) -> int:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            given = {"content-type": "application/json", **headers}
            async with session.request(method, server.make_url(path), data=content, headers=given) as answer:
                return answer.status

        yield send


MOUNTS = {
    "fastapi": lambda hooks: asgi(hooks, fastapi=True),
    "mounted": lambda hooks: asgi(hooks, fastapi=False),
    "aiohttp": aiohttp_web,
}


@pytest.mark.parametrize("name", MOUNTS)
async def test_every_mount_answers_and_refuses_alike(name: str) -> None:
    hooks = Webhooks(secret=SECRET, max_body=20_000)
    got: list[str] = []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append(report.message_id)

    path = f"{PREFIX}/{SECRET}"
    async with MOUNTS[name](hooks) as send:
        assert await send(path, dlr("a")) == 200
        assert await send(path, dlr("a")) == 200
        assert await send(f"{path}/dlr", dlr("b")) == 200
        assert await send(f"{path}/never", dlr("c")) == 404
        assert await send(f"{path}x", dlr("c")) == 404
        assert await send(f"{path}/dlr/x", dlr("c")) == 404
        assert await send(path, dlr("c"), "PUT") == 405
        assert await send(path, b"{") == 400
        assert await send(path, dlr("c"), **{"content-type": "text/plain"}) == 415
        assert await send(path, b'"' + b"a" * 25_000 + b'"') == 413
    # The end of the application has waited for the handlers.
    assert got == ["a", "b"]


@pytest.mark.parametrize("name", MOUNTS)
async def test_a_trailing_slash_of_the_url_loses_no_event(name: str) -> None:
    hooks, got = Webhooks(secret=SECRET), []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append(report.message_id)

    async with MOUNTS[name](hooks) as send:
        assert await send(f"{PREFIX}/{SECRET}/", dlr("a")) == 200
        assert await send(f"{PREFIX}/{SECRET}/dlr/", dlr("b")) == 200
        assert await send(f"{PREFIX}/{SECRET}x/", dlr("c")) == 404
    assert got == ["a", "b"]


async def test_a_body_that_aiohttp_cannot_read_is_refused_and_not_an_error_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hooks = Webhooks(secret=SECRET)
    async with aiohttp_web(hooks) as send:
        assert await send(f"{PREFIX}/{SECRET}", dlr("a"), **{"content-encoding": "gzip"}) == 400
    assert not [each for each in caplog.records if each.message.startswith("Error handling request")]


async def test_a_sender_that_leaves_in_the_middle_of_a_body_is_no_error_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from aiohttp import web

    began, ended = asyncio.Event(), asyncio.Event()

    @web.middleware
    async def tell(request: web.Request, handler: Any) -> Any:
        began.set()
        try:
            return await handler(request)
        finally:
            ended.set()

    hooks = Webhooks(secret=SECRET)
    app = web.Application(middlewares=[tell])
    hooks.add_to(app, PREFIX)
    runner = web.AppRunner(app)  # TestServer would cancel the handler
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(f"POST {PREFIX}/{SECRET} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
        async with asyncio.timeout(SOON):
            await began.wait()
            writer.close()
            await ended.wait()
    finally:
        await runner.cleanup()
    assert not [each for each in caplog.records if each.message.startswith("Error handling request")]


async def test_a_mounted_application_without_a_lifespan_starts_with_its_first_request() -> None:
    hooks = Webhooks(secret=SECRET)
    got: list[str] = []
    hooks.on(DeliveryReport)(lambda report: got.append(report.message_id))
    assert (await post(hooks.asgi, dlr("a"))).status == 200
    await hooks.close()
    assert got == ["a"]


async def test_the_plain_application_handles_its_lifespan(tmp_path: Any) -> None:
    from tests.support.serving import Served, StartFailedError
    from wavix_async.webhooks import SqliteStore

    served = Served(Webhooks(secret=SECRET).asgi)
    await served.start()
    await served.stop()
    broken = Served(Webhooks(secret=SECRET, seen=SqliteStore(tmp_path / "no" / "such")).asgi)
    with pytest.raises(StartFailedError, match="as a store of events"):
        await broken.start()
    await broken.http.aclose()


async def test_a_body_that_only_says_that_it_is_compressed_is_refused() -> None:
    from aiohttp import ClientSession, web
    from aiohttp.test_utils import TestServer

    hooks = Webhooks(secret=SECRET)
    app = web.Application()
    hooks.add_to(app)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with (
        TestServer(app) as server,
        ClientSession() as session,
        session.post(server.make_url(hooks.path()), data=b"{}", headers=headers) as answer,
    ):
        assert (answer.status, await answer.text()) == (400, "The body cannot be read.")


async def test_a_websocket_and_a_disconnect_are_ended() -> None:
    hooks = Webhooks(secret=SECRET)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    async def leave() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    await hooks.asgi({"type": "websocket", "path": f"/{SECRET}"}, leave, send)
    scope = {"type": "http", "method": "POST", "path": f"/{SECRET}", "headers": [], "client": None}
    await hooks.asgi(scope, leave, send)
    assert sent == ["websocket.close"]
    await hooks.close()


def test_openapi_describes_every_event() -> None:
    pytest.importorskip("fastapi")
    from fastapi import FastAPI

    app = FastAPI()
    app.include_router(Webhooks(secret=SECRET).router, prefix=PREFIX)
    described = app.openapi()
    text = json.dumps(described)
    assert "#/$defs" not in text
    assert SECRET not in text
    for path in ("/wavix/{secret}", "/wavix/{secret}/{kind}"):
        operation = described["paths"][path]["post"]
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        titles = {each["title"] for each in schema["anyOf"]}
        assert titles == {kind.__name__ for kind in KINDS.values()}
        assert {"200", "400", "404", "413", "415", "503"} <= operation["responses"].keys()
    reports = {each["title"]: each for each in schema["anyOf"]}
    assert set(BODIES["dlr"]) == set(reports["DeliveryReport"]["properties"])


async def test_dependencies_of_the_application_run() -> None:
    pytest.importorskip("fastapi")
    from fastapi import Depends, FastAPI, HTTPException

    def refuse() -> None:
        raise HTTPException(401)

    app = FastAPI()
    app.include_router(Webhooks(secret=SECRET).router, prefix=PREFIX, dependencies=[Depends(refuse)])
    assert (await post(app, dlr("a"), f"{PREFIX}/{SECRET}")).status == 401
