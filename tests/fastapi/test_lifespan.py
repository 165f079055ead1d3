"""`wavix_lifespan` and `WavixDep`: each lifespan has one client, open from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
import subprocess
import sys
import time
import traceback
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("fastapi")

from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.applications import Starlette

from tests.support.serving import Served, StartFailedError, serve, serve_on_socket
from tests.support.stub import NUMBER, StubSession
from wavix_async import ClientClosedError, ClientOptions, ConfigurationError, RetryPolicy, WavixClient
from wavix_async.fastapi import WavixDep, get_wavix, wavix_lifespan
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

KEY = "key-0f9c-that-no-one-may-see"
BASE = "http://127.0.0.1:1"


@asynccontextmanager
async def nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


def stubbed(session: StubSession, made: list[WavixClient] | None = None) -> Callable[[], WavixClient]:
    def make() -> WavixClient:
        client = WavixClient(KEY, base_url=BASE, session=session, retry=RetryPolicy.none())  # type: ignore[arg-type]
        if made is not None:
            made.append(client)
        return client

    return make


def line_app(lifespan: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.add_api_route("/lines/{line}", read_line)
    app.add_api_route("/same", is_same)
    return app


async def read_line(line: int, wavix: WavixDep) -> dict[str, Any]:
    number = await wavix.numbers.get(line)
    return {"id": number.id, "number": number.number}


async def is_same(request: Request, wavix: WavixDep) -> bool:
    return request.state.wavix is wavix


# --- in a route ---


async def test_routes_get_the_client_of_the_process() -> None:
    made: list[WavixClient] = []
    session = StubSession()
    async with serve(line_app(wavix_lifespan(client=stubbed(session, made)))) as served:
        answers = [await served.http.get(f"/lines/{line}") for line in (1, 2, 3)]
        assert (await served.http.get("/same")).json() is True
        assert [answer.json() for answer in answers] == [{"id": n, "number": NUMBER["number"]} for n in (1, 2, 3)]
        assert served.state == {"wavix": made[0]}
        assert not made[0].closed
    assert len(made) == 1
    assert made[0].closed
    assert session.requests == 3


async def test_the_options_are_those_of_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Sandbox(numbers=3) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", "another")
        lifespan = wavix_lifespan(api_key=sandbox.api_key, base_url=sandbox.url, rate=20, max_connections=2)
        async with serve(line_app(lifespan)) as served:
            assert (await served.http.get("/lines/1002")).json()["id"] == 1002
            assert served.state["wavix"].limits.snapshot().rate == 20
            assert served.state["wavix"].base_url == sandbox.url


def test_every_option_of_the_client_is_one_here() -> None:
    parameters = inspect.signature(WavixClient).parameters

    assert list(ClientOptions.__annotations__) == list(parameters)


async def test_websockets_get_it_too() -> None:
    app = line_app(wavix_lifespan(client=stubbed(StubSession())))

    @app.websocket("/feed")
    async def feed(websocket: WebSocket, wavix: WavixDep) -> None:
        await websocket.accept()
        number = await wavix.numbers.get(int(await websocket.receive_text()))
        await websocket.send_text(number.number)

    async with serve(app) as served:
        sent = await served.websocket("/feed", "1")
    assert [message.get("text") for message in sent if message["type"] == "websocket.send"] == [NUMBER["number"]]


async def test_a_router_can_bring_it() -> None:
    made: list[WavixClient] = []
    router = APIRouter(lifespan=wavix_lifespan(client=stubbed(StubSession(), made)))
    router.add_api_route("/lines/{line}", read_line)
    app = FastAPI(lifespan=nothing)
    app.include_router(router, prefix="/telephony")
    async with serve(app) as served:
        assert (await served.http.get("/telephony/lines/1")).status_code == 200
    assert [client.closed for client in made] == [True]


async def test_a_mounted_application_is_served_by_the_client_of_the_whole() -> None:
    outer = FastAPI(lifespan=wavix_lifespan(client=stubbed(StubSession())))
    outer.mount("/inner", line_app(None))
    async with serve(outer) as served:
        assert (await served.http.get("/inner/lines/1")).status_code == 200


async def test_it_serves_starlette() -> None:
    made: list[WavixClient] = []
    async with serve(Starlette(lifespan=wavix_lifespan(client=stubbed(StubSession(), made)))) as served:
        assert served.state["wavix"] is made[0]
    assert made[0].closed


async def test_without_the_lifespan_the_error_says_what_to_do() -> None:
    mounted = FastAPI(lifespan=nothing)
    mounted.mount("/inner", line_app(wavix_lifespan(client=stubbed(StubSession()))))
    for app, path in ((line_app(None), "/lines/1"), (mounted, "/inner/lines/1")):
        async with serve(app) as served:
            with pytest.raises(ConfigurationError, match=r"lifespan=wavix_lifespan\(\)") as caught:
                await served.http.get(path)
        assert "dependency_overrides[get_wavix]" in str(caught.value)


async def test_tests_put_another_client_in_its_place() -> None:
    session = StubSession()
    app = line_app(wavix_lifespan())
    async with stubbed(session)() as client:
        app.dependency_overrides[get_wavix] = lambda: client
        # As in a test that runs no lifespan: there is no key, and none is needed.
        assert (await Served(app).http.get("/lines/1")).json()["id"] == 1
    assert session.requests == 1


# --- around a lifespan of one's own ---


async def test_it_is_open_around_a_lifespan_of_ones_own() -> None:
    seen: list[Any] = []

    @asynccontextmanager
    async def own(app: FastAPI, wavix: WavixClient) -> AsyncIterator[dict[str, Any]]:
        seen.append((app, wavix, wavix.closed, (await wavix.numbers.get(1)).id))
        yield {"db": "open"}
        seen.append((wavix.closed, (await wavix.numbers.get(1)).id))

    made: list[WavixClient] = []
    app = line_app(wavix_lifespan(own, client=stubbed(StubSession(), made)))
    async with serve(app) as served:
        assert served.state == {"db": "open", "wavix": made[0]}
        assert (await served.http.get("/lines/1")).status_code == 200
    assert seen == [(app, made[0], False, 1), (False, 1)]
    assert made[0].closed


async def test_it_is_a_decorator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_API_KEY", KEY)
    seen: list[FastAPI] = []

    @wavix_lifespan
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        seen.append(app)
        yield

    app = line_app(lifespan)
    async with serve(app) as served:
        client = served.state["wavix"]
        assert isinstance(client, WavixClient)
        assert seen == [app]
    assert client.closed


async def test_it_can_be_entered_by_a_lifespan_of_ones_own() -> None:
    session = StubSession()

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with wavix_lifespan(api_key=KEY, base_url=BASE, session=session)(app) as state:  # type: ignore[arg-type]
            yield {**state, "db": "open"}

    async with serve(line_app(own)) as served:
        assert served.state["db"] == "open"
        assert (await served.http.get("/lines/1")).status_code == 200
    assert served.state["wavix"].closed


async def test_what_it_yields_wins() -> None:
    @asynccontextmanager
    async def own(app: FastAPI, wavix: WavixClient) -> AsyncIterator[dict[str, Any]]:
        yield {"wavix": wavix.with_options(deadline=5)}

    made: list[WavixClient] = []
    async with serve(line_app(wavix_lifespan(own, client=stubbed(StubSession(), made)))) as served:
        assert served.state["wavix"] is not made[0]
        assert (await served.http.get("/same")).json() is True
    assert served.state["wavix"].closed


@pytest.mark.parametrize("when", ["start", "end"])
async def test_an_exception_in_it_closes_the_client(when: str) -> None:
    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        if when == "start":
            raise LookupError("no database")
        yield
        raise LookupError("no database")

    made: list[WavixClient] = []
    served = Served(line_app(wavix_lifespan(own, client=stubbed(StubSession(), made))))
    if when == "end":
        await served.start()
    with pytest.raises(StartFailedError, match="no database"):
        await (served.start() if when == "start" else served.stop())
    assert [client.closed for client in made] == [True]


# --- what is wrong is said early ---


async def test_a_missing_key_fails_the_start_with_our_message() -> None:
    with pytest.raises(StartFailedError, match="set the environment variable WAVIX_API_KEY"):
        await Served(line_app(wavix_lifespan())).start()


async def test_no_failure_shows_the_key() -> None:
    served = Served(line_app(wavix_lifespan(api_key=KEY, base_url="http://elsewhere.example")))
    with pytest.raises(StartFailedError, match="must use https"):
        await served.start()
    error = served.task.exception()
    assert error is not None
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert "with_client" in shown
    assert KEY not in shown


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: WavixClient(KEY, base_url=BASE), None),
        (lambda: "a client", "returned str"),
        (lambda: asyncio.sleep(0), "plain function"),
    ],
)
async def test_what_the_function_makes_is_checked(make: Callable[[], Any], says: str | None) -> None:
    served = Served(line_app(wavix_lifespan(client=make)))
    if says is None:
        await served.start()
        await served.stop()
        return
    with pytest.raises(StartFailedError, match=says):
        await served.start()


async def test_a_client_that_is_kept_cannot_be_used_twice() -> None:
    client = WavixClient(KEY, base_url=BASE)
    app = line_app(wavix_lifespan(client=lambda: client))
    async with serve(app):
        pass
    with pytest.raises(StartFailedError, match="must create a new one"):
        await Served(app).start()


async def generator(app: FastAPI) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "says"),
    [
        ([], {"client": WavixClient("key"), "rate": 5}, ConfigurationError, r"options of the client \(rate\)"),
        ([], {"client": WavixClient("key")}, ConfigurationError, "must be a function that returns"),
        ([], {"rates": 5}, TypeError, "rates"),
        ([], {"grace": -1}, ConfigurationError, "grace"),
        ([], {"grace": float("inf")}, ConfigurationError, "grace"),
        ([generator], {}, ConfigurationError, "generator is a generator, .*asynccontextmanager"),
        (["lifespan"], {}, ConfigurationError, "lifespan must be a function"),
    ],
)
def test_mistakes_are_found_where_they_are_written(
    arguments: list[Any], options: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        wavix_lifespan(*arguments, **options)


def test_without_fastapi_the_import_says_what_to_install() -> None:
    code = """
import sys
sys.modules["fastapi"] = None  # stands for: not installed
try:
    import wavix_async.fastapi
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)

    assert "pip install 'wavix-async[fastapi]'" in done.stdout


# --- from start to end, again and again ---


async def test_each_run_has_a_client_of_its_own() -> None:
    made: list[WavixClient] = []
    session = StubSession()
    app = line_app(wavix_lifespan(client=stubbed(session, made)))
    for _ in range(2):
        async with serve(app) as served:
            assert (await served.http.get("/lines/1")).status_code == 200
    assert [client.closed for client in made] == [True, True]
    assert made[0] is not made[1]


def test_each_loop_has_a_client_of_its_own() -> None:
    async def run(app: FastAPI) -> int:
        async with serve(app) as served:
            return (await served.http.get("/lines/1001")).status_code

    async def main() -> list[int]:
        async with Sandbox(numbers=1) as sandbox:
            app = line_app(wavix_lifespan(api_key=sandbox.api_key, base_url=sandbox.url))
            return [await asyncio.to_thread(asyncio.run, run(app)) for _ in range(2)]

    assert asyncio.run(main()) == [200, 200]


async def under_way(latency: float, grace: float, *, cancel: bool = False) -> tuple[str, float]:
    """End the lifespan while a call of a background task waits for its answer: how that ends, and when."""
    tasks: list[asyncio.Task[Any]] = []

    @asynccontextmanager
    async def own(app: FastAPI, wavix: WavixClient) -> AsyncIterator[None]:
        tasks.append(asyncio.ensure_future(wavix.numbers.get(1001)))
        yield

    async with Sandbox(numbers=1, latency=latency) as sandbox:
        options: ClientOptions = {"api_key": sandbox.api_key, "base_url": sandbox.url}
        served = Served(line_app(wavix_lifespan(own, grace=grace, **options)))
        await served.start()
        while not sandbox.stats.requests:
            await asyncio.sleep(0.01)
        began = time.monotonic()
        if cancel:
            served.task.cancel()
            await asyncio.wait([served.task])
            await served.http.aclose()
        else:
            await served.stop()
        took = time.monotonic() - began
        (ended,) = await asyncio.gather(*tasks, return_exceptions=True)
    return type(ended).__name__, took


async def test_calls_under_way_are_given_the_grace() -> None:
    ended, took = await under_way(0.3, grace=20)
    assert ended == "Number"
    assert took < 10


async def test_when_the_grace_is_over_they_end() -> None:
    ended, took = await under_way(30, grace=0.2)
    assert ended == ClientClosedError.__name__
    assert 0.2 <= took < 10


async def test_a_lifespan_that_is_cancelled_gives_none() -> None:
    ended, took = await under_way(30, grace=20, cancel=True)
    assert ended == ClientClosedError.__name__
    assert took < 10


# --- under a server ---


async def test_a_server_that_ends_lets_its_background_calls_end() -> None:
    async with Sandbox(numbers=2, latency=0.3) as sandbox:
        app = FastAPI(lifespan=wavix_lifespan(api_key=sandbox.api_key, base_url=sandbox.url))
        tasks: list[asyncio.Task[Any]] = []

        @app.post("/lines/{line}/sms", status_code=202)
        async def begin(line: int, wavix: WavixDep) -> None:
            tasks.append(asyncio.ensure_future(wavix.numbers.update(line, sms_enabled=True)))

        async with serve_on_socket(app) as url, httpx.AsyncClient(base_url=url) as http:
            assert (await http.post("/lines/1001/sms")).status_code == 202
            assert not tasks[0].done()
        assert (await tasks[0]).sms_enabled
        assert sandbox.numbers[1001]["sms_enabled"]


APP = """
import os
from fastapi import FastAPI
from wavix_async.fastapi import WavixDep, wavix_lifespan

app = FastAPI(lifespan=wavix_lifespan())

@app.get("/lines/{line}")
async def read_line(line: int, wavix: WavixDep) -> dict[str, int | str]:
    return {"id": (await wavix.numbers.get(line)).id, "pid": os.getpid(), "version": "first"}
"""


@asynccontextmanager
async def uvicorn_process(
    directory: Path, *arguments: str, app: str = APP, **environment: str
) -> AsyncIterator[tuple[str, asyncio.subprocess.Process, list[str]]]:
    """Run `uvicorn` as from a shell; give the URL, the process, and the lines that it has written."""
    (directory / "service.py").write_text(app)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), *arguments),
        cwd=directory,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines: list[str] = []

    async def read() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            lines.append(line.decode())

    reader = asyncio.ensure_future(read())
    try:
        yield f"http://127.0.0.1:{port}", process, lines
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 90)
        await reader


async def ask(http: httpx.AsyncClient, until: Callable[[dict[str, Any]], bool], seconds: float = 90) -> None:
    """Ask again and again, each time on a new connection, until an answer is as wanted."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await http.get("/lines/1001", headers={"Connection": "close"})
                if until(answer.json()):
                    return
            await asyncio.sleep(0.02)


def ends_clean(lines: list[str]) -> bool:
    said = "".join(lines)
    return not any(word in said for word in ("Traceback", "Unclosed", "ERROR", "never"))


async def test_each_worker_has_a_client_of_its_own(tmp_path: Path) -> None:
    async with Sandbox(numbers=1) as sandbox:
        environment = {"WAVIX_API_KEY": sandbox.api_key, "WAVIX_BASE_URL": sandbox.url}
        async with (
            uvicorn_process(tmp_path, "--workers", "2", **environment) as (url, _, lines),
            httpx.AsyncClient(base_url=url) as http,
        ):
            workers: set[int] = set()
            await ask(http, lambda answer: workers.add(answer["pid"]) or len(workers) == 2)
        assert sandbox.stats.connections >= 2
    assert ends_clean(lines), "".join(lines)


async def test_a_reload_closes_one_and_opens_another(tmp_path: Path) -> None:
    async with Sandbox(numbers=1) as sandbox:
        environment = {"WAVIX_API_KEY": sandbox.api_key, "WAVIX_BASE_URL": sandbox.url}
        async with (
            uvicorn_process(tmp_path, "--reload", **environment) as (url, _, lines),
            httpx.AsyncClient(base_url=url) as http,
        ):
            await ask(http, lambda answer: answer["version"] == "first")
            changed = tmp_path / "service.py"
            changed.write_text(APP.replace("first", "second"))
            os.utime(changed, (time.time() + 5, time.time() + 5))
            await ask(http, lambda answer: answer["version"] == "second")
    assert ends_clean(lines), "".join(lines)


async def test_a_service_without_a_key_does_not_start(tmp_path: Path) -> None:
    async with uvicorn_process(tmp_path, WAVIX_API_KEY="") as (_, process, lines):
        assert await asyncio.wait_for(process.wait(), 90) == 3
    assert "api_key is missing" in "".join(lines)
