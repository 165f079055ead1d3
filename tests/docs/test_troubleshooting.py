"""The blocks of docs/troubleshooting.md run against the sandbox: the file of profiles, the commands, the Python."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import running
from tests.support.pages import python_blocks, run_block, text_of
from wavix_async import WavixClient
from wavix_async.cli import main
from wavix_async.config import _KEYS
from wavix_async.doctor import doctor
from wavix_async.sandbox import Sandbox

TEXT = text_of("troubleshooting.md")
COMMANDS = re.findall(r"^\$ wavix-async (.*?)(?:\s+#.*)?$", TEXT, re.MULTILINE)
(PROFILES,) = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("WAVIX_CONFIG", str(path))
    return path


def write(file: Path, sandbox: Sandbox) -> None:
    """Write the profiles of the page, for this sandbox; the programs of password managers are not installed."""
    text = PROFILES.replace("http://127.0.0.1:8080", sandbox.url)
    for command in ('"pass show wavix/main"', '["op", "read", "op://work/wavix-eu/key"]'):
        assert command in text
        text = text.replace(command, f"""["{sys.executable}", "-S", "-c", "print('{sandbox.api_key}')"]""")
    text = text.replace('proxy = "http://proxy.example.com:8080"', f'base_url = "{sandbox.url}"')
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


async def test_the_python_blocks_run_in_order(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Sandbox(numbers=0) as sandbox:
        write(file, sandbox)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        names: dict[str, Any] = {"__name__": "troubleshooting", "WavixClient": WavixClient}
        with monkeypatch.context() as environment:
            environment.setenv("WAVIX_API_KEY", sandbox.api_key)
            for block in python_blocks(TEXT):
                await run_block(block, "troubleshooting.md", names)
        assert {request.method for request in sandbox.requests} == {"GET"}
    shown = capsys.readouterr().out
    for line in re.findall(r"print\(meaning\)  # (.*)$", TEXT, re.MULTILINE):
        assert line in shown
    assert "all is well" in shown
    assert "Sandbox Ltd 1000000 8" in shown


def test_the_commands_run(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with running(numbers=0) as sandbox:
        write(file, sandbox)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        for command in COMMANDS:
            assert main(shlex.split(command)) == 0, (command, capsys.readouterr().err)
        assert {request.method for request in sandbox.requests} == {"GET"}
    assert len(COMMANDS) == 8


def test_the_page_names_every_key_of_a_profile() -> None:
    assert [key for key in _KEYS if f"`{key}`" not in TEXT] == []
    assert set(tomllib.loads(PROFILES)) == {"default", "eu", "sandbox"}


async def test_the_page_names_every_check() -> None:
    async with Sandbox(numbers=0) as sandbox:
        report = await doctor(api_key=sandbox.api_key, base_url=sandbox.url)
    assert [each.check for each in report.findings if f"`{each.check}`" not in TEXT] == []
