"""docs/fastapi.md, docs/problems.md: the service and its test are short and pass, the other blocks do what they say."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("fastapi")

from tests.support.pages import python_blocks, run_pasted, text_of
from tests.support.serving import serve
from wavix_async import BulkError, WavixError, errors
from wavix_async.fastapi import problem_response
from wavix_async.fastapi._errors import _KINDS, _UNAVAILABLE
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TEXT = text_of("fastapi.md")
PROBLEMS = text_of("problems.md")
BLOCKS = python_blocks(TEXT + PROBLEMS)
# tests/fastapi/test_jobs_docs.py runs the one on bulk jobs.
SERVICE, TEST, JOBS, OWN_LIFESPAN, DEADLINE, MODELS, WEBSOCKET, OWN_HANDLER = BLOCKS
(WORKERS,) = re.findall(r"`rate=(RedisRateLimit\(.*?\))` from `wavix_async.redis`", TEXT)


def lines(block: str) -> int:
    return sum(bool(line.strip()) for line in block.splitlines())


def test_the_service_and_its_test_are_at_most_40_lines_and_pass(tmp_path: Path) -> None:
    assert lines(SERVICE) + lines(TEST) <= 40
    done = run_pasted(tmp_path, service=SERVICE, test_service=TEST)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.parametrize(
    ("there", "instead"),
    [("sms_enabled=enabled", "sms_enabled=False"), ("install_error_handlers(app)", "")],
)
def test_the_test_of_the_service_finds_mistakes(tmp_path: Path, there: str, instead: str) -> None:
    assert there in SERVICE
    done = run_pasted(tmp_path, service=SERVICE.replace(there, instead), test_service=TEST)

    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr


# --- the other blocks ---


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=4) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        yield sandbox


def app_of(*blocks: str) -> Any:
    """Return the application of the service, with blocks added to it in the order of the page."""
    # A name that no module has: pydantic looks up annotations in the module of that name.
    names: dict[str, Any] = {"__name__": "block"}
    for block in (SERVICE, *blocks):
        exec(compile(block, "fastapi.md", "exec"), names)
    return names["app"]


def test_the_page_is_short_and_bulk_jobs_come_second() -> None:
    assert len(TEXT.splitlines()) <= 230
    assert re.findall(r"^## (.*)$", TEXT, re.MULTILINE)[:2] == ["A service", "Bulk jobs"]
    jobs = TEXT.partition("\n## Bulk jobs\n")[2].partition("\n## ")[0]
    assert len(jobs.splitlines()) <= 60


async def test_a_lifespan_of_ones_own(sandbox: Sandbox) -> None:
    (options,) = re.findall(r"# or, with options: FastAPI\(lifespan=(.*)\)$", OWN_LIFESPAN, re.MULTILINE)
    async with serve(app_of(OWN_LIFESPAN)) as served:
        assert served.state["lines"] == 4
    # The page's first lifespan, decorated once.
    block = OWN_LIFESPAN.replace("@wavix_lifespan\n", "").replace("lifespan=lifespan)", f"lifespan={options})")
    async with serve(app_of(block)) as served:
        assert served.state["lines"] == 4
        assert served.state["wavix"].limits.snapshot().rate == 50


async def test_a_limit_that_workers_share(sandbox: Sandbox) -> None:
    pytest.importorskip("redis")
    block = "from wavix_async.redis import RedisRateLimit\n\napp = FastAPI(lifespan=wavix_lifespan(rate={}))"
    async with serve(app_of(block.format(WORKERS))) as served:
        assert served.state["wavix"].base_url == sandbox.url


async def test_a_deadline_for_a_route(sandbox: Sandbox) -> None:
    app = app_of(JOBS, DEADLINE.replace("deadline=5", "deadline=1"))
    async with serve(app) as served:
        assert (await served.http.get("/lines/1001")).json()["id"] == 1001
        sandbox.fail_next("stall")
        late = await served.http.get("/lines/1001")
        assert (late.status_code, late.json()["type"]) == (504, "/problems/upstream-timeout")


async def test_a_wait_that_does_not_fit_is_answered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(numbers=1, rate=1, burst=1, retry_after=1) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        async with serve(app_of(JOBS, DEADLINE.replace("deadline=5", "deadline=0.9"))) as served:
            answers = [await served.http.get("/lines/1001") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["Retry-After"] == "1"


async def test_models_in_routes(sandbox: Sandbox) -> None:
    async with serve(app_of(JOBS, DEADLINE, MODELS)) as served:
        destination = {"destination": "[did]@sip.example.com", "priority": 1, "transport": 1}
        changed = await served.http.patch(
            "/lines/1001", json={"sms_enabled": True, "call_status_url": None, "destinations": [destination]}
        )
        assert changed.json() == sandbox.numbers[1001]
        assert sandbox.numbers[1001]["sms_enabled"] is True
        requests = sandbox.stats.requests
        for body in ({"sms_enabled": "yes"}, {"sms_enable": True}):
            refused = await served.http.patch("/lines/1001", json=body)
            assert (refused.status_code, refused.headers["Content-Type"]) == (422, "application/json")
        assert sandbox.stats.requests == requests
        found = (await served.http.get("/lines", params={"label": "none such"})).json()
        assert found == []
        schema = (await served.http.get("/openapi.json")).json()
        assert "sms_enabled" in schema["components"]["schemas"]["NumberUpdate"]["properties"]


async def test_a_websocket(sandbox: Sandbox) -> None:
    async with serve(app_of(JOBS, DEADLINE, MODELS, WEBSOCKET)) as served:
        messages = await served.websocket("/switch", "[1001, 1002]")
        sent = [message["text"] for message in messages if message["type"] == "websocket.send"]
        assert sorted(sent) == ['{"id":1001,"status":"updated"}', '{"id":1002,"status":"updated"}']
        assert messages[-1]["type"] == "websocket.close"
        assert messages[-1]["code"] == 1000
        # An id that is no id.
        assert (await served.websocket("/switch", "[-1]"))[-1]["code"] == 1008


async def test_a_session_through_a_proxy(sandbox: Sandbox) -> None:
    block = OWN_LIFESPAN.replace("lifespan=lifespan)", "lifespan=lifespan_with_proxy)")
    async with serve(app_of(block)) as served:
        assert served.state["wavix"].base_url == sandbox.url
    assert served.state["wavix"].closed


async def test_a_handler_of_ones_own(sandbox: Sandbox) -> None:
    app = app_of(OWN_HANDLER)

    @app.get("/")
    async def fail() -> None:
        raise errors.NotFoundError("No.")

    async with serve(app) as served:
        assert (await served.http.get("/")).json() == {"detail": "There is no such line."}


# --- the table ---


def rows() -> list[tuple[set[str], int, str, str]]:
    table = re.search(r"^\| error \|.*?\n\n", PROBLEMS, re.MULTILINE | re.DOTALL)
    assert table is not None
    found = []
    for line in table[0].splitlines()[2:]:
        if line:
            kinds, status, kind, detail = (cell.strip() for cell in line.strip("|").split("|"))
            found.append((set(re.findall(r"`(\w+)`", kinds)), int(status[:3]), kind.strip("`"), detail))
    return found


def test_the_table_is_what_is_answered() -> None:
    told: dict[str, tuple[int, str, str]] = {}
    for kinds, status, kind, detail in rows():
        for name in kinds:
            if "503" in detail or kind == "upstream-unavailable":
                assert (status, kind) == (_UNAVAILABLE.status, _UNAVAILABLE.type)
            else:
                told[name] = (status, kind, detail)
    assert set(told) == {kind.__name__ for kind in _KINDS}
    for kind, answer in _KINDS.items():
        status, type_, detail = told[kind.__name__]
        assert (status, type_) == (answer.status, answer.type or "about:blank"), kind
        error = kind("What we say.", **({} if kind is BulkError else {"reason": "What they say"}))
        shown = json.loads(bytes(problem_response(error).body)).get("detail")
        expected = {"what the API said": "What they say", "none": None, "our message": "What we say."}
        said = next((value for text, value in expected.items() if detail.startswith(text)), answer.detail)
        assert shown == said, kind


def test_the_example_is_such_a_problem() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```$", PROBLEMS, re.MULTILINE | re.DOTALL)
    shown: dict[str, Any] = json.loads(example)
    error: WavixError = errors.RateLimitError("Too many.", request_id=shown["request_id"], retry_after=2)
    made = json.loads(bytes(problem_response(error).body))

    assert list(made) == list(shown)
    assert made | {"instance": shown["instance"]} == shown
