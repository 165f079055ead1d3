"""Every block of README.md and docs/client.md runs: against the sandbox, or, where it is a shell's, in a quick way."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
import tomllib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pages import run_block, run_pasted
from tests.support.stub import Reply, StubSession
from wavix_async import NotFoundError, NumberUpdate, Operation, RateLimitError, WavixClient
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLIENT = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


PYTHON = blocks(README, "python")
TESTS = [block for block in PYTHON if "def test_" in block]
SERVICES = [block for block in PYTHON if "FastAPI(" in block]
OTHER_ENDPOINTS = [block for block in PYTHON if "Operation(" in block]
SCRIPTS = [block for block in PYTHON if block not in [*TESTS, *SERVICES, *OTHER_ENDPOINTS]]
COMMANDS = [line.removeprefix("$ ") for block in blocks(README, "console") for line in block.splitlines()]


def test_every_block_is_one_that_is_run() -> None:
    assert (len(TESTS), len(SERVICES), len(OTHER_ENDPOINTS), len(SCRIPTS)) == (1, 1, 1, 5)
    assert set(re.findall(r"^```(\w+)$", README, re.MULTILINE)) == {"python", "sh", "console"}
    assert len(re.findall(r"^```\w+$", README, re.MULTILINE)) == len(re.findall(r"^```$", README, re.MULTILINE))
    assert set(re.findall(r"^```(\w+)$", CLIENT, re.MULTILINE)) == {"python"}


def test_a_number_is_updated_in_the_first_screen() -> None:
    lines = README.splitlines()
    assert next(at for at, line in enumerate(lines) if "numbers.update(" in line) <= 40


def test_the_errors_take_six_lines() -> None:
    (block,) = (block for block in SCRIPTS if "NotFoundError" in block)
    assert len(block.splitlines()) == 6


def test_every_group_of_the_client_is_named() -> None:
    groups = [name for name, value in vars(WavixClient).items() if isinstance(value, cached_property)]
    assert len(groups) == 18
    assert [name for name in groups if f"`{name}`" not in README] == []


# --- Python ---


async def run(source: str, names: dict[str, Any]) -> None:
    if "asyncio.run(" in source:
        # One event loop cannot run in another: the program gets a thread, and with it an event loop of its own.
        await asyncio.to_thread(exec, compile(source, "README.md", "exec"), names)
    else:
        await run_block(source, "README.md", names)


def names_for(wavix: WavixClient) -> dict[str, Any]:
    known = (NotFoundError, NumberUpdate, Operation, RateLimitError)
    return {"__name__": "readme", "wavix": wavix, **{name.__name__: name for name in known}}


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> Any:
    async with Sandbox(numbers=60, seed=1) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        yield sandbox


@pytest.mark.parametrize("script", SCRIPTS)
async def test_a_python_block_runs(script: str, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    async with WavixClient() as wavix:
        await run(script, names_for(wavix))
    assert sandbox.stats.requests
    assert bool(capsys.readouterr().out) == ("print(" in script and "except" not in script)
    assert bool(sandbox.stats.updates) == ("update(" in script)
    assert bool(sandbox.stats.charges) == ("send(" in script)


async def test_the_errors_are_those_that_come(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = (block for block in SCRIPTS if "NotFoundError" in block)
    async with WavixClient() as wavix:
        sandbox.fail_next(404)
        await run(block, names_for(wavix))
        sandbox.fail_next(429, retry_after=60)
        await run(block, names_for(wavix))
    missing, busy = capsys.readouterr().out.splitlines()
    assert missing.startswith("no such number (HTTP 404")
    assert re.search(r"try again in (60|59\.\d+) seconds", busy)


@pytest.mark.parametrize("block", OTHER_ENDPOINTS)
async def test_an_endpoint_without_a_method(block: str) -> None:
    session: Any = StubSession(lambda _: Reply(body={"trunks": []}))
    async with WavixClient("a-key-of-tests", session=session) as wavix:
        names = names_for(wavix)
        await run(block, names)
    assert names["trunks"] == {"trunks": []}
    assert dict(session.seen) == {"/v1/trunks": 1}


@pytest.mark.parametrize("block", SERVICES)
async def test_the_service(block: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    from tests.support.serving import serve

    monkeypatch.chdir(tmp_path)
    # FastAPI looks up annotations in the module by its name.
    names: dict[str, Any] = {"__name__": "block"}
    exec(compile(block, "README.md", "exec"), names)
    async with serve(names["app"]) as served:
        answer = await served.http.patch("/numbers/1001", json={"sms_enabled": True})
        missing = await served.http.patch("/numbers/9", json={"sms_enabled": True})
        jobs = await served.http.get("/fleet/jobs")
    assert (answer.status_code, answer.json()["sms_enabled"]) == (200, True)
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/not-found")
    assert jobs.status_code == 200


async def test_the_blocks_of_the_client_page_run_in_order(sandbox: Sandbox) -> None:
    names: dict[str, Any] = {"__name__": "client"}
    for block in blocks(CLIENT, "python"):
        await run(block, names)
    assert sandbox.numbers[1002]["sms_enabled"] is True
    assert len(sandbox.numbers) == 59
    assert all(number["call_status_url"] for number in sandbox.numbers.values())


def test_the_test_passes_as_pasted(tmp_path: Path) -> None:
    """In a directory without any settings, where pytest-asyncio is in its strict mode."""
    done = run_pasted(tmp_path, **{f"test_pasted_{at}": block for at, block in enumerate(TESTS)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


# --- shells ---


@pytest.fixture
def running_sandbox(wavix_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox in its own thread, since the command line runs its own event loop."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.csv").write_text("id,sms_enabled,call_status_url\n1001,true,https://calls.example.com\n")
    return wavix_sandbox


def test_the_commands_run_in_order(running_sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    main = pytest.importorskip("wavix_async.cli").main
    ran = []
    for command in COMMANDS:
        words = shlex.split(command, comments=True)
        if words[0] != "wavix-async":
            continue
        if words[2] in ("bulk-update", "apply", "roll-back"):
            words.append("--yes")
        if words[1:3] == ["fleet", "apply"]:
            edited = Path("fleet.csv").read_text(encoding="utf-8").replace("false", "true", 1)
            Path("fleet.csv").write_text(edited, encoding="utf-8")
        before = dict(running_sandbox.stats.updates)
        assert main(words[1:]) == 0, (command, capsys.readouterr())
        if "--dry-run" in words or "plan" in words:
            assert dict(running_sandbox.stats.updates) == before
        ran.append(" ".join(words[1:3]))
    assert ran == [
        *("numbers list", "numbers bulk-update", "numbers bulk-update"),
        *("fleet export", "fleet plan", "fleet apply", "fleet resume", "fleet roll-back"),
    ]
    assert running_sandbox.numbers[1001]["call_status_url"] == "https://calls.example.com"
    assert Path("results.ndjson").read_text(encoding="utf-8").count("updated") == 1
    assert Path("fleet.run.sqlite").is_file()


def test_the_other_commands_name_what_exists() -> None:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        project = tomllib.load(stream)
    assert [command for command in COMMANDS if not command.startswith("wavix-async ")] == [
        "export WAVIX_API_KEY=...",
        "pip install '.[fastapi]' uvicorn && python -m examples.fleet_service",
    ]
    for extras in re.findall(r"'\.\[([a-z,]+)\]'", README):
        assert set(extras.split(",")) <= set(project["project"]["optional-dependencies"])


def test_the_example_service_starts() -> None:
    pytest.importorskip("uvicorn")
    done = subprocess.run(
        [sys.executable, "-m", "examples.fleet_service", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for option in ("--numbers", "--rate", "--faults", "--port"):
        assert option in done.stdout


def test_landing_runs_both_sh_blocks() -> None:
    """`.ci/run` takes them by their position: the demo is the first, the tests are the second."""
    demo, tests = blocks(README, "sh")
    assert demo.rstrip().endswith(".venv/bin/wavix-async demo")
    assert tests.rstrip().endswith(".venv/bin/pytest -q -n 4")
    assert all("-c constraints.txt" in block for block in (demo, tests))
    if (landing := ROOT / ".ci" / "run").is_file():
        script = landing.read_text(encoding="utf-8")
        assert '"$(readme 1)"' in script
        assert '"$(readme 2)"' in script
