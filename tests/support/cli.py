"""Run the command line in tests against a sandbox: in this process, or as a process of its own."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import attrs

from wavix_async.sandbox import Sandbox

CLI = (sys.executable, "-m", "wavix_async.cli")
PATIENT = "import sys; from wavix_async.cli import _runner, main; _runner.GRACE = {}; sys.exit(main())"
PATIENCE = 60
"""Seconds to wait for a step that takes one second: a busy machine needs longer to start a process."""


@attrs.frozen
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def ndjson(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Ran]


@contextmanager
def running(**settings: Any) -> Iterator[Sandbox]:
    """Run a sandbox in its own thread, because `main` runs its own event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    sandbox = Sandbox(**settings)
    try:
        asyncio.run_coroutine_threadsafe(sandbox.start(), loop).result(PATIENCE)
        yield sandbox
    finally:
        # After a failed test, too: what it left would fail the tests after it.
        asyncio.run_coroutine_threadsafe(sandbox.stop(), loop).result(PATIENCE)
        # If a command ends together with its sandbox, its connections close a moment later.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.01), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def start(
    sandbox: Sandbox | None, *argv: object, stdin: int = subprocess.DEVNULL, grace: float | None = None
) -> asyncio.subprocess.Process:
    """Start a process. `grace` replaces the seconds that requests in flight get after the first Ctrl-C."""
    environment = {**os.environ, "COLUMNS": "120"}
    environment.pop("WAVIX_API_KEY", None)
    # Buffer the output: this is the default of Python.
    environment.pop("PYTHONUNBUFFERED", None)
    if sandbox is not None:
        environment |= {"WAVIX_BASE_URL": sandbox.url, "WAVIX_API_KEY": sandbox.api_key}
    return await asyncio.create_subprocess_exec(
        *(CLI if grace is None else (sys.executable, "-c", PATIENT.format(grace))),
        *map(str, argv),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        # A shell starts a background job with SIGINT ignored, and its children inherit that.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


async def end(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def until_said(process: asyncio.subprocess.Process, words: str) -> str:
    """Read stderr of a process until it contains these words."""
    assert process.stderr is not None
    return (await asyncio.wait_for(process.stderr.readuntil(words.encode()), PATIENCE)).decode()


async def until_in_flight(sandbox: Sandbox, requests: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while sandbox.stats.requests < requests:
            await asyncio.sleep(0.01)


class Terminal:
    """A process on a pseudo-terminal, and its whole output."""

    def __init__(self, sandbox: Sandbox, *argv: object) -> None:
        self._main, other = pty.openpty()
        environment = {**os.environ, "WAVIX_BASE_URL": sandbox.url, "WAVIX_API_KEY": sandbox.api_key}
        environment |= {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"}
        self.process = subprocess.Popen(
            [*CLI, *map(str, argv)], stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True
        )
        os.close(other)
        self.shown = ""

    def read_until(self, text: str) -> None:
        end_of_time = time.monotonic() + PATIENCE
        while text not in self.shown and time.monotonic() < end_of_time:
            if select.select([self._main], [], [], 0.2)[0]:
                try:
                    self.shown += os.read(self._main, 65536).decode()
                except OSError:
                    break
        assert text in self.shown

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        os.close(self._main)
