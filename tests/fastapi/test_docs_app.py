"""The service of docs/fastapi.md on a real server: it starts, answers and ends as the page says."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("fastapi")

from fastapi import BackgroundTasks, FastAPI

from tests.support.serving import Served, serve, serve_on_socket
from wavix_async import NotFoundError
from wavix_async.fastapi import install_error_handlers
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TEXT = (Path(__file__).parents[2] / "docs" / "fastapi.md").read_text(encoding="utf-8")
SERVICE = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[0]


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=4) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        yield sandbox


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    module = types.ModuleType("service_of_the_docs")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(SERVICE, "fastapi.md", "exec"), vars(module))
    made: FastAPI = module.app
    return made


async def test_it_serves(app: FastAPI, sandbox: Sandbox) -> None:
    async with serve_on_socket(app) as url, httpx.AsyncClient(base_url=url) as http:
        answers = [await http.put(f"/lines/{line}/sms", params={"enabled": True}) for line in sandbox.numbers]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert [answer.json() for answer in answers] == list(sandbox.numbers.values())
        missing = await http.put("/lines/77/sms", params={"enabled": True})
        assert (missing.status_code, missing.headers["Content-Type"]) == (404, "application/problem+json")
    assert all(number["sms_enabled"] for number in sandbox.numbers.values())
    assert sandbox.stats.connections == 1


async def test_it_serves_again_after_it_has_ended(app: FastAPI, sandbox: Sandbox) -> None:
    for enabled in (True, False):
        async with serve_on_socket(app) as url, httpx.AsyncClient(base_url=url) as http:
            await http.put("/lines/1001/sms", params={"enabled": enabled})
            assert sandbox.numbers[1001]["sms_enabled"] is enabled
    assert sandbox.stats.connections == 2


async def test_its_schema_is_complete(app: FastAPI, sandbox: Sandbox) -> None:
    async with serve(app) as served:
        schema: dict[str, Any] = (await served.http.get("/openapi.json")).json()
    responses = schema["paths"]["/lines/{line}/sms"]["put"]["responses"]
    assert responses["200"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Number"}
    referenced = set(re.findall(r'"#/components/schemas/(\w+)"', str(schema).replace("'", '"')))
    assert {"Number", "WavixProblem", "HTTPValidationError"} <= referenced <= set(schema["components"]["schemas"])


async def test_an_error_in_a_background_task_comes_after_the_answer() -> None:
    app = FastAPI()
    install_error_handlers(app)

    async def fail() -> None:
        raise NotFoundError("No.")

    @app.post("/")
    async def begin(tasks: BackgroundTasks) -> None:
        tasks.add_task(fail)

    with pytest.raises(RuntimeError, match="response already started") as caught:
        await Served(app).http.post("/")
    assert isinstance(caught.value.__cause__, NotFoundError)


@pytest.mark.parametrize("prefix", ["", "/telephony"])
async def test_behind_a_proxy_nothing_changes_in_a_problem(app: FastAPI, sandbox: Sandbox, prefix: str) -> None:
    async with serve_on_socket(app, root_path=prefix) as url, httpx.AsyncClient(base_url=url) as http:
        headers = {"X-Forwarded-Host": "api.example.com", "X-Forwarded-Proto": "https"}
        told = await http.put("/lines/77/sms", params={"enabled": True}, headers=headers)
    assert told.status_code == 404
    assert told.json()["type"] == "/problems/not-found"
    assert "example.com" not in told.text
