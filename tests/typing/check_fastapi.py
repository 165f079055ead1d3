"""What the type checkers make of `wavix_async.fastapi`. Never run: mypy --strict and pyright read it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict, assert_type

import aiohttp
from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.applications import Starlette

from wavix_async import Number, RetryPolicy, Timeouts, WavixClient
from wavix_async.fastapi import WavixDep, get_wavix, install_error_handlers, wavix_lifespan
from wavix_async.redis import RedisRateLimit


class State(TypedDict):
    db: str


@asynccontextmanager
async def plain(app: FastAPI) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def with_state(app: FastAPI) -> AsyncIterator[State]:
    yield {"db": "open"}


@asynccontextmanager
async def with_client(app: FastAPI, wavix: WavixClient) -> AsyncIterator[dict[str, str]]:
    assert_type(await wavix.numbers.get(1), Number)
    yield {"db": "open"}


@wavix_lifespan
@asynccontextmanager
async def decorated(app: FastAPI, wavix: WavixClient) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def entering(app: FastAPI) -> AsyncIterator[dict[str, object]]:
    async with aiohttp.ClientSession() as session, wavix_lifespan(session=session)(app) as state:
        yield {**state, "db": "open"}


def make_client() -> WavixClient:
    return WavixClient(rate=RedisRateLimit("redis://127.0.0.1", rate=100))


async def make_later() -> WavixClient:
    return WavixClient()


FastAPI(lifespan=wavix_lifespan())
FastAPI(lifespan=wavix_lifespan(plain))
FastAPI(lifespan=wavix_lifespan(with_state, rate=50, grace=30))
FastAPI(lifespan=wavix_lifespan(with_client, client=make_client))
FastAPI(lifespan=wavix_lifespan(client=lambda: WavixClient("key")))
FastAPI(lifespan=wavix_lifespan(timeout=Timeouts(deadline=5), retry=RetryPolicy.none(), observers=[print]))
FastAPI(lifespan=wavix_lifespan(rate=RedisRateLimit("redis://127.0.0.1", rate=100), strict=True))
FastAPI(lifespan=decorated)
FastAPI(lifespan=entering)
APIRouter(lifespan=wavix_lifespan())
Starlette(lifespan=wavix_lifespan())

app = FastAPI()
install_error_handlers(app)
install_error_handlers(app, type_base="https://docs.example.com/problems/")


@app.get("/lines/{line}")
async def read_line(line: int, wavix: WavixDep) -> Number:
    assert_type(wavix, WavixClient)
    return await wavix.with_options(deadline=5).numbers.get(line)


async def uses(request: Request, websocket: WebSocket) -> None:
    assert_type(await get_wavix(request), WavixClient)
    assert_type(await get_wavix(websocket), WavixClient)


def mistakes(wavix: WavixClient) -> None:
    wavix_lifespan(rates=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix_lifespan(max_connections="many")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix_lifespan(grace=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix_lifespan(client=wavix)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix_lifespan(client=make_later)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix_lifespan(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    install_error_handlers(app, types="/")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
