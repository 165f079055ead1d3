"""The pytest plugin in pytest processes of its own: in every mode of pytest-asyncio, without it, and with anyio."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., tuple[str, dict[str, int]]]

# Warnings are errors: an unclosed connection, a marker or an option that is unknown, a module that is loaded too early.
# The plugin of hypothesis would load all of hypothesis, in a third of the time of a run.
ADDED = "--strict-markers --strict-config -p no:cacheprovider -p no:hypothesispytest"
INI = f"[pytest]\naddopts = {ADDED}\nfilterwarnings = error\n"
ASYNCIO = "asyncio_default_fixture_loop_scope = function\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest on a source, and return what it printed and how many tests ended how."""

    def run(source: str, *options: str, ini: str = ASYNCIO) -> tuple[str, dict[str, int]]:
        (tmp_path / "pytest.ini").write_text(INI + ini)
        (tmp_path / "test_it.py").write_text("import asyncio, gc, os, sys, time\nimport pytest\n" + source)
        # The plugin is loaded through its entry point, as it is for every user who has installed the package.
        command = [sys.executable, "-m", "pytest", "-q", *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "WAVIX"))}
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env=environment
        )
        ends = re.findall(r"(\d+) (passed|failed|error|skipped|warning)s?\b", done.stdout.rstrip().rpartition("\n")[2])
        return done.stdout + done.stderr, {end: int(count) for count, end in ends}

    return run


ASYNC_TESTS = """
async def test_reads_and_writes(wavix_client, wavix_sandbox):
    number = await wavix_client.numbers.update(1001, sms_enabled=True)
    assert number.sms_enabled and wavix_sandbox.numbers[1001]["sms_enabled"]
    assert [request.json for request in wavix_sandbox.requests] == [{"sms_enabled": True}]
    await asyncio.gather(*(wavix_client.numbers.get(1001 + i) for i in range(20)))

async def test_starts_from_scratch(wavix_sandbox, wavix_client):
    assert wavix_sandbox.requests == () and len(wavix_sandbox.numbers) == 1000
    assert not wavix_sandbox.numbers[1001]["sms_enabled"]

async def test_never_waits(wavix_client, wavix_sandbox):
    wavix_sandbox.fail_next(429, retry_after=300)
    assert (await wavix_client.numbers.get(1001)).id == 1001
    assert [request.status for request in wavix_sandbox.requests] == [429, 200]
    assert wavix_sandbox.requests[1].at >= 300

async def test_an_outage(wavix_client, wavix_sandbox):
    from wavix_async import ConnectError
    await wavix_client.numbers.get(1001)
    await wavix_sandbox.stop()
    with pytest.raises(ConnectError):
        await wavix_client.numbers.get(1001)
    await wavix_sandbox.start()
    await wavix_client.numbers.get(1001)

async def test_nothing_is_left():
    import threading
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "wavix-sandbox"]
    assert "WAVIX_API_KEY" not in os.environ
"""
SYNC_TESTS = """
def test_without_a_loop(wavix_client, wavix_sandbox):
    wavix_sandbox.fail_next(503, count=2)
    async def main():
        return await wavix_client.numbers.get(1002)
    assert asyncio.run(main()).id == 1002
    assert [request.status for request in wavix_sandbox.requests] == [503, 503, 200]

def test_unused(wavix_client):
    pass

def test_a_client_that_the_program_makes_gets_here(wavix_sandbox):
    from wavix_async import WavixClient
    async def main():
        async with WavixClient() as wavix:
            return await wavix.numbers.get(1001)
    assert asyncio.run(main()).id == 1001
    assert len(wavix_sandbox.requests) == 1

def test_nothing_is_left_of_sync_tests():
    gc.collect()
"""
MARKED = "pytestmark = pytest.mark.asyncio\n"


@pytest.mark.parametrize(
    ("source", "ini", "passed"),
    [
        pytest.param(ASYNC_TESTS + SYNC_TESTS, ASYNCIO + "asyncio_mode = auto\n", 9, id="auto"),
        pytest.param(MARKED + ASYNC_TESTS, ASYNCIO + "asyncio_mode = strict\n", 5, id="strict"),
        pytest.param(
            "pytestmark = pytest.mark.asyncio(loop_scope='session')\n" + ASYNC_TESTS,
            "asyncio_default_fixture_loop_scope = session\nasyncio_mode = strict\n",
            5,
            id="one-loop-for-all",
        ),
        pytest.param(
            MARKED + ASYNC_TESTS,
            "asyncio_default_fixture_loop_scope = session\nasyncio_mode = strict\n",
            5,
            id="fixtures-in-another-loop",
        ),
    ],
)
def test_with_pytest_asyncio(run: Run, source: str, ini: str, passed: int) -> None:
    out, ends = run(source, "-p", "asyncio", ini=ini)

    assert ends == {"passed": passed}, out


@pytest.mark.parametrize("backend", ['"asyncio"', '("asyncio", {"use_uvloop": True})'])
def test_with_anyio(run: Run, backend: str) -> None:
    if "uvloop" in backend:
        pytest.importorskip("uvloop")
    head = f"pytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend():\n    return {backend}\n"
    out, ends = run(head + ASYNC_TESTS, "-p", "anyio", ini=ASYNCIO + "asyncio_mode = strict\n")

    assert ends == {"passed": 5}, out


def test_with_uvloop(run: Run) -> None:
    pytest.importorskip("uvloop")
    source = "import uvloop\nasyncio.set_event_loop_policy(uvloop.EventLoopPolicy())\n" + ASYNC_TESTS
    out, ends = run(source, "-p", "asyncio", ini=ASYNCIO + "asyncio_mode = auto\n")

    assert ends == {"passed": 5}, out


def test_without_pytest_asyncio(run: Run) -> None:
    source = SYNC_TESTS + "def test_it_is_not_loaded():\n    assert 'pytest_asyncio' not in sys.modules\n"
    out, ends = run(source, "-p", "no:asyncio", "-p", "no:anyio", ini="")

    assert ends == {"passed": 5}, out


def test_a_pytest_asyncio_that_lacks_what_is_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("import pytest_asyncio\ndel pytest_asyncio.is_async_test\n")
    out, ends = run(ASYNC_TESTS, "-p", "asyncio", "-p", "old", ini=ASYNCIO + "asyncio_mode = auto\npythonpath = .\n")

    assert ends == {"passed": 5}, out


MARKS = """
pytestmark = pytest.mark.wavix(numbers=7, seed=3)

def test_of_the_module(wavix_sandbox):
    assert len(wavix_sandbox.numbers) == 7

@pytest.mark.wavix(numbers=3, api_key="another-key")
class TestClass:
    @pytest.mark.wavix(numbers=2)
    def test_nearest(self, wavix_sandbox, wavix_client):
        assert len(wavix_sandbox.numbers) == 2
        assert wavix_sandbox.api_key == os.environ["WAVIX_API_KEY"] == "another-key"
        assert wavix_client.base_url == os.environ["WAVIX_BASE_URL"] == wavix_sandbox.url

@pytest.mark.wavix(rate=5)
def test_a_rate_is_counted(wavix_sandbox, wavix_client):
    from wavix_async import NumberUpdate
    async def main():
        changes = dict.fromkeys(wavix_sandbox.numbers, NumberUpdate(sms_enabled=True))
        return await wavix_client.numbers.bulk_update(changes)
    report = asyncio.run(main())
    assert report.updated == 7 and wavix_sandbox.stats.refused
    assert wavix_sandbox.requests[-1].at >= 1.2
"""
WRONG_MARKS = """
@pytest.mark.wavix(number=7)
def test_misspelled(wavix_sandbox): ...

@pytest.mark.wavix(7)
def test_positional(wavix_client): ...

@pytest.mark.wavix(numbers=-1)
def test_out_of_range(wavix_client): ...
"""


def test_marks_are_arguments_of_the_sandbox(run: Run) -> None:
    out, ends = run(MARKS)

    assert ends == {"passed": 3}, out


def test_wrong_marks_are_named_and_nothing_else_is_shown(run: Run) -> None:
    out, ends = run(WRONG_MARKS)

    assert ends == {"error": 3}
    for words in (
        "@pytest.mark.wavix: Sandbox has no argument 'number': did you mean numbers?",
        "@pytest.mark.wavix takes only keyword arguments, for example numbers=10.",
        "@pytest.mark.wavix: numbers must be from 0 to 8,000,000, not -1",
    ):
        assert words in out
    assert "Traceback" not in out
    assert "During handling" not in out


def test_a_failed_test_shows_what_was_on_the_wire(run: Run) -> None:
    source = """
def test_fails(wavix_client, wavix_sandbox):
    wavix_sandbox.fail_next(500)
    async def main():
        await wavix_client.numbers.list(per_page=7)
    asyncio.run(main())
    assert False
"""
    out, ends = run(source)

    assert ends == {"failed": 1}
    assert "Captured wavix_sandbox call" in out
    assert "GET /v1/numbers?per_page=7 -> 500 (status_500)" in out
    assert "GET /v1/numbers?per_page=7 -> 200\n" in out


def test_the_routes_of_a_synchronous_test_client(run: Run) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    source = """
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from wavix_async import WavixClient

def get_client(): raise AssertionError
app = FastAPI()

@app.get("/{number_id}")
async def read(number_id: int, wavix: WavixClient = Depends(get_client)):
    return (await wavix.numbers.get(number_id)).number

@pytest.fixture(params=["one loop", "a loop for each request"])
def http(request, wavix_client):
    app.dependency_overrides[get_client] = lambda: wavix_client
    http = TestClient(app)
    if request.param != "one loop":
        yield http
    else:
        with http:
            yield http

def test_sync(http, wavix_sandbox):
    for number_id in (1001, 1002, 1003):
        wavix_sandbox.fail_next(429, retry_after=60)
        assert http.get(f"/{number_id}").json() == wavix_sandbox.numbers[number_id]["number"]
    assert len(wavix_sandbox.requests) == 6

async def test_in_a_loop_that_is_blocked_meanwhile(http, wavix_sandbox):
    assert http.get("/1001").json() == wavix_sandbox.numbers[1001]["number"]

def test_nothing_is_left():
    gc.collect()
"""
    out, ends = run(
        source,
        "-W",
        "ignore:Using `httpx` with `starlette.testclient` is deprecated",
        ini=ASYNCIO + "asyncio_mode = auto\n",
    )

    assert ends == {"passed": 5}, out


def test_a_run_that_asks_for_nothing_loads_nothing(run: Run) -> None:
    source = """
def test_loaded():
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] in {"wavix_async", "aiohttp", "attr"})
    assert loaded == ["wavix_async", "wavix_async._pytest", "wavix_async._version"]
"""
    out, ends = run(source, "-p", "no:asyncio", "-p", "no:anyio", "-p", "no:hypothesispytest", ini="")

    assert ends == {"passed": 1}, out


def test_the_marker_and_the_fixtures_are_listed(run: Run) -> None:
    assert "@pytest.mark.wavix(**arguments): " in run("", "--markers")[0]
    shown = run("", "--fixtures")[0]
    assert "wavix_sandbox --" in shown
    assert "wavix_client --" in shown
    assert "_wavix_loop" not in shown
