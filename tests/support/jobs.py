"""For tests of the router of bulk jobs: an application, clients for it, and jobs."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
from fastapi import FastAPI

from tests.support.serving import serve, serve_on_socket
from wavix_async.fastapi import fleet_jobs, wavix_lifespan

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from wavix_async.fleet import Safety
    from wavix_async.sandbox import Sandbox

JSON = {"Content-Type": "application/json"}
FINAL = ("done", "stopped", "interrupted", "failed")


def application(
    sandbox: Sandbox,
    directory: Path | None = None,
    *,
    jobs: Mapping[str, Any] | None = None,
    safety: Safety | None = None,
    grace: float = 2.0,
    **options: Any,
) -> FastAPI:
    options.setdefault("api_key", sandbox.api_key)
    app = FastAPI(lifespan=wavix_lifespan(base_url=sandbox.url, **options))
    settings: dict[str, Any] = {"kept": 3, "safety": safety, "grace": grace, **(jobs or {})}
    app.include_router(fleet_jobs(directory, **settings), prefix="/fleet")
    return app


@asynccontextmanager
async def connect(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Open an HTTP client that calls the application directly: responses are buffered as a whole."""
    async with serve(app) as served:
        served.http.headers.update(JSON)
        yield served.http


@asynccontextmanager
async def connect_over_socket(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Open an HTTP client that reaches the application through a server and a socket."""
    async with (
        serve_on_socket(app, timeout_graceful_shutdown=2) as url,
        httpx.AsyncClient(base_url=url, headers=JSON) as client,
    ):
        yield client


async def post_job(client: httpx.AsyncClient, ids: Any, **options: Any) -> str:
    """Post a job that enables SMS, and return its path."""
    changes = [{"ids": list(ids), "set": {"sms_enabled": True}}]
    answer = await client.post("/fleet/jobs", json={"changes": changes, "batch": None, **options})
    assert answer.status_code == 202, answer.text
    return answer.headers["location"]


async def wait_for_state(client: httpx.AsyncClient, path: str, *states: str, within: float = 60.0) -> dict[str, Any]:
    """Wait until a job is in one of these states; default: in any final state."""
    async with asyncio.timeout(within):
        while True:
            job = (await client.get(path)).raise_for_status().json()
            if job["state"] in (states or FINAL):
                return job
            assert job["state"] not in FINAL, job
            await asyncio.sleep(0.01)


async def read_events(answer: httpx.Response) -> AsyncIterator[tuple[str, str | None, Any]]:
    """Yield the events of a stream: name, id and data; a comment is an event without a name."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            assert name not in fields, line
            fields[name] = value.removeprefix(" ")
            continue
        assert fields, "an empty event"
        data = fields.get("data")
        yield fields.get("event", ""), fields.get("id"), json.loads(data) if data and data[0] == "{" else data
        fields = {}
    assert not fields, "the stream ends within an event"
