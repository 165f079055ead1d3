"""The places where `Webhooks` can be mounted: a FastAPI router, a plain ASGI application, an aiohttp.web application.

Each function imports its framework, so a program loads only the one that it uses.
"""

import copy
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from wavix_async.webhooks._parse import KINDS
from wavix_async.webhooks._request import Incoming, Receiver, Reply

if TYPE_CHECKING:
    from aiohttp import web
    from fastapi import APIRouter

__all__ = ["ASGIApp", "add_to_aiohttp", "make_asgi", "make_router"]

_Message: TypeAlias = MutableMapping[str, Any]
ASGIApp: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[_Message]], Callable[[_Message], Awaitable[None]]],
    Awaitable[None],
]
"""An ASGI application."""


class _DisconnectedError(Exception):
    """The sender is gone: there is no answer to give."""


_PATHS: Final = ("/{secret}", "/{secret}/{kind}")
_BROKEN: Final = Reply(400, "The body cannot be read.")


# --- ASGI ---


def make_asgi(hooks: Receiver) -> ASGIApp:
    """Return an ASGI application that receives events at `/<secret>` and `/<secret>/<kind>`."""

    async def app(
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await _run_lifespan(hooks, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["type"] == "http":
            try:
                reply = await hooks.receive(_read_scope(scope, receive))
            except _DisconnectedError:
                return
            content = reply.text.encode()
            headers = {
                "content-type": "text/plain; charset=utf-8",
                "content-length": str(len(content)),
                **{name.lower(): value for name, value in reply.headers.items()},
            }
            await send(
                {
                    "type": "http.response.start",
                    "status": reply.status,
                    "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
                }
            )
            await send({"type": "http.response.body", "body": content})

    return app


async def _run_lifespan(
    hooks: Receiver, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    while True:
        step = (await receive())["type"].removeprefix("lifespan.")
        try:
            await (hooks.start() if step == "startup" else hooks.close())
        except Exception as error:
            await send({"type": f"lifespan.{step}.failed", "message": str(error)})
            return
        await send({"type": f"lifespan.{step}.complete"})
        if step == "shutdown":
            return


def _read_scope(scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[_Message]]) -> Incoming:
    path, root = str(scope["path"]), str(scope.get("root_path") or "")
    # Servers and frameworks differ in whether the path includes the place of the mount.
    if root and path.startswith(root):
        path = path[len(root) :]
    parts = path.strip("/").split("/")
    headers: list[tuple[bytes, bytes]] = list(scope["headers"])

    def header(name: str) -> str | None:
        wanted = name.encode()
        found = [value.decode("latin-1") for each, value in headers if each.lower() == wanted]
        return ", ".join(found) if found else None

    client = scope.get("client")
    return Incoming(
        method=scope["method"],
        secret=parts[0] if len(parts) <= 2 else "",
        kind=parts[1] if len(parts) == 2 else None,
        header=header,
        peer=client[0] if client else None,
        body=_read_body(receive),
    )


async def _read_body(receive: Callable[[], Awaitable[_Message]]) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _DisconnectedError
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


# --- FastAPI ---


def make_router(hooks: Receiver) -> "APIRouter":
    """Return a router with the routes, their schema, and a lifespan that starts and closes the webhooks."""
    from fastapi import APIRouter, Path, Request
    from fastapi.responses import PlainTextResponse

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None, None]:
        await hooks.start()
        try:
            yield
        finally:
            await hooks.close()

    async def answer(request: Request, secret: str, kind: str | None) -> PlainTextResponse:
        incoming = _read_scope(request.scope, request.receive)
        try:
            reply = await hooks.receive(
                Incoming(
                    method=incoming.method,
                    secret=secret,
                    kind=kind,
                    header=incoming.header,
                    peer=incoming.peer,
                    body=incoming.body,
                )
            )
        except _DisconnectedError:
            reply = _BROKEN
        return PlainTextResponse(reply.text, reply.status, dict(reply.headers))

    router = APIRouter(lifespan=lifespan, tags=["webhooks"])
    options: dict[str, Any] = {
        "response_class": PlainTextResponse,
        "response_description": "The event is stored, or it had come before.",
        "responses": {
            400: {"description": "The body is not JSON."},
            403: {"description": "The request does not come from an allowed network."},
            404: {"description": "The secret is wrong."},
            413: {"description": "The body is too long."},
            415: {"description": "The body is not declared as JSON."},
            503: {"description": "Too many events wait, or the event could not be stored."},
        },
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"application/json": {"schema": _event_schema()}}}
        },
    }

    # A redirect to the path without the slash would lose the event: Wavix may not follow it.
    @router.post("/{secret}/", include_in_schema=False)
    @router.post("/{secret}", summary="Receive an event", **options)
    async def receive_event(
        request: Request,
        secret: Annotated[str, Path(description="The secret that only Wavix and this service know.")],
    ) -> PlainTextResponse:
        """Receive an event of any kind from Wavix, store it, and handle it in the background."""
        return await answer(request, secret, None)

    @router.post("/{secret}/{kind}/", include_in_schema=False)
    @router.post("/{secret}/{kind}", summary="Receive an event of one kind", **options)
    async def receive_event_of_kind(
        request: Request,
        secret: Annotated[str, Path(description="The secret that only Wavix and this service know.")],
        kind: Annotated[str, Path(description=f"The kind of the events: {', '.join(KINDS)}.")],
    ) -> PlainTextResponse:
        """Receive an event of a known kind from Wavix, store it, and handle it in the background."""
        return await answer(request, secret, kind)

    return router


def _event_schema() -> dict[str, Any]:
    """Return the JSON schema of all events. It has no references, because FastAPI would not resolve them."""
    from pydantic import TypeAdapter

    kinds = list(dict.fromkeys(KINDS.values()))
    schemas = []
    for kind in kinds:
        schema = TypeAdapter(kind).json_schema()
        schemas.append(_inline(schema, schema.pop("$defs", {})))
    return {"title": "Event", "anyOf": schemas}


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(copy.deepcopy(definitions[schema["$ref"].rpartition("/")[2]]), definitions)
    return {name: _inline(each, definitions) for name, each in schema.items()}


# --- aiohttp.web ---


def add_to_aiohttp(hooks: Receiver, app: "web.Application", prefix: str) -> None:
    """Add the routes to an application, and start and close the webhooks with it."""
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        def header(name: str) -> str | None:
            found = request.headers.getall(name, [])
            return ", ".join(found) if found else None

        incoming = Incoming(
            method=request.method,
            secret=request.match_info["secret"],
            kind=request.match_info.get("kind"),
            header=header,
            peer=request.remote,
            body=read_body(request),
        )
        try:
            reply = await hooks.receive(incoming)
        except _DisconnectedError:
            reply = _BROKEN
        return web.Response(text=reply.text, status=reply.status, headers=dict(reply.headers))

    async def read_body(request: web.Request) -> AsyncIterator[bytes]:
        try:
            async for chunk in request.content.iter_any():
                yield chunk
        except (web.RequestPayloadError, ConnectionError) as error:
            # aiohttp would log a traceback and answer 500.
            raise _DisconnectedError from error

    async def start(_: web.Application) -> None:
        await hooks.start()

    async def close(_: web.Application) -> None:
        await hooks.close()

    base = prefix.rstrip("/")
    for path in _PATHS:
        app.router.add_route("*", base + path, handle)
        app.router.add_route("*", base + path + "/", handle)
    app.on_startup.append(start)
    app.on_cleanup.append(close)
