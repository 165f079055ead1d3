"""WAVIX_LOG: the log on stderr, switched on by an environment variable, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
from wavix_async import NotFoundError, WavixClient
from wavix_async.sandbox import Sandbox

async def main():
    async with Sandbox() as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        WavixClient(sandbox.api_key, base_url=sandbox.url)
        try:
            await wavix.numbers.get(987654)
        except NotFoundError:
            pass

asyncio.run(main())
"""


def said(level: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "WAVIX_LOG"}
    if level is not None:
        environment["WAVIX_LOG"] = level
    return subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)


def test_debug_shows_each_attempt_once_with_its_attributes() -> None:
    ended = said("debug")
    assert ended.returncode == 0, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if "attempt ended" in line]
    assert "DEBUG wavix_async: attempt ended" in line
    for shown in ("operation=GET /v1/numbers/{id}", "status=404", "error=NotFoundError", "outcome=rejected"):
        assert shown in line
    assert "duration=" in line
    assert "taskName" not in line


@pytest.mark.parametrize("level", [None, "INFO", ""])
def test_without_it_or_with_info_no_attempt_is_shown(level: str | None) -> None:
    ended = said(level)
    assert ended.returncode == 0, ended.stderr
    assert "attempt ended" not in ended.stderr


def test_another_word_is_refused() -> None:
    ended = said("loud")
    assert ended.returncode == 1
    assert "WAVIX_LOG must be info or debug (or not set), got 'loud'." in ended.stderr
