"""Make the files of this directory: what the version of commit 63b61a9 leaves on disk when it is killed.

    git worktree add /tmp/before 63b61a9
    PYTHONPATH=/tmp/before python tests/data/made_by_63b61a9/make.py

`killed.sqlite` (with its `-wal`) is the journal of an apply that was killed in the middle; `killed_roll_back.sqlite`
that of an apply that came to its end, and of a roll-back that was killed. `jobs/` is the directory of a job router
whose process was killed: one job had ended, one was under way, one waited to be started. `accounts.json` is what had
changed in the account when each of them was left, by number id.

A journal knows the base URL of its account. So clients use one that names no port of this machine, and their resolver
finds the sandbox. Only public names are used: the script runs with any version.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

HERE = Path(__file__).parent
BASE_URL = "http://localhost:8400"
NUMBERS, PLANNED = 64, 60
FIRST = 1001
SANDBOX: dict[str, Any] = {"numbers": NUMBERS, "latency": 0.05}


class Redirect(AbstractResolver):
    """Finds every host at one port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        """Return the one address there is."""
        return [ResolveResult(hostname=host, host="127.0.0.1", port=self.port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def client_of(url: str, key: str) -> AsyncIterator[Any]:
    """Give a client of the sandbox at `url` that calls it `BASE_URL`."""
    from wavix_async import WavixClient

    connector = aiohttp.TCPConnector(resolver=Redirect(int(url.rpartition(":")[2])))
    async with aiohttp.ClientSession(connector=connector) as session:
        yield WavixClient(key, base_url=BASE_URL, session=session)


def wanted(number_id: int) -> dict[str, Any]:
    """Return what the plan asks for: each number has a URL of its own, every third gets SMS as well."""
    url = f"https://hooks.example.com/{number_id}"
    return {"call_status_url": url} | ({"sms_enabled": True} if number_id % 3 == 0 else {})


def plan_file() -> str:
    """Return the plan as CSV."""
    rows = [f"{number},{wanted(number)['call_status_url']},{'true' if number % 3 == 0 else ''}"
            for number in range(FIRST, FIRST + PLANNED)]  # fmt: skip
    return "\n".join(["id,call_status_url,sms_enabled", *rows, ""])


JOBS: list[dict[str, Any]] = [
    {"changes": [{"ids": list(range(1001, 1011)), "set": {"sms_enabled": True}}]},
    {"changes": [{"ids": [1060, 1061], "set": {"sms_enabled": True}}], "confirm": True},
    {
        "changes": [{"ids": list(range(1011, 1051)), "set": {"call_status_url": "https://hooks.example.com/jobs"}}],
        "batch": None,
        "concurrency": 4,
        "verify": True,
    },
]


def application(client: Callable[[], Any], directory: Path) -> Any:
    """Return an application with the job router."""
    from fastapi import FastAPI

    from wavix_async import fleet
    from wavix_async.fastapi import fleet_jobs, wavix_lifespan

    app = FastAPI(lifespan=wavix_lifespan(client=client))
    app.include_router(fleet_jobs(directory, kept=10, safety=fleet.Safety(max_fraction=None)), prefix="/fleet")
    return app


@asynccontextmanager
async def asking(app: Any) -> AsyncIterator[Any]:
    """Give a client that asks an application directly."""
    import httpx

    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(with_state), base_url="http://app") as client:
            yield client


# --- the processes that are killed ---


async def _apply(wavix: Any) -> None:
    """Apply the plan in two goes: a first run that is stopped, and a second that resumes it."""
    from wavix_async import StoppedError, StopSignal, fleet

    stop = StopSignal()

    def stop_early(progress: fleet.FleetProgress) -> None:
        if progress.updated >= 10:
            stop.set()

    Path("fleet.csv").write_text(plan_file(), encoding="utf-8")
    plan = await fleet.plan(wavix, "fleet.csv")
    safety = fleet.Safety(max_fraction=None)
    try:
        await fleet.apply(
            wavix.with_options(stop=stop),
            plan,
            journal="run.sqlite",
            safety=safety,
            concurrency=4,
            verify=True,
            on_progress=stop_early,
        )
    except StoppedError:
        pass
    await fleet.resume(wavix, "run.sqlite")


async def _roll_back(wavix: Any) -> None:
    from wavix_async import fleet

    await fleet.roll_back(wavix, "run.sqlite", concurrency=4, safety=fleet.Safety(max_fraction=None))


async def _jobs(wavix: Any) -> None:
    async with asking(application(lambda: wavix, Path("jobs"))) as client:
        for body in JOBS:
            answer = await client.post("/fleet/jobs", json=body)
            answer.raise_for_status()
            while (job := (await client.get(answer.headers["location"])).json())["state"] not in ("done", "planned"):
                await asyncio.sleep(0.01)
                assert job["state"] != "failed", job


async def _child(what: str, url: str, key: str) -> None:
    async with client_of(url, key) as wavix:
        await {"apply": _apply, "roll_back": _roll_back, "jobs": _jobs}[what](wavix)


def _play(sandbox: Any, place: Path, what: str, kill_after: int | None) -> None:
    """Let a child process do something; kill it when the sandbox has seen so many updates more."""
    before = sum(sandbox.stats.updates.values())
    child = subprocess.Popen([sys.executable, __file__, what, sandbox.url, sandbox.api_key], cwd=place)
    if kill_after is not None:
        while sum(sandbox.stats.updates.values()) - before < kill_after:
            assert child.poll() is None, "it ended too soon"
            time.sleep(0.001)
        os.kill(child.pid, signal.SIGKILL)
    code = child.wait()
    assert code == (0 if kill_after is None else -signal.SIGKILL), code
    # What the killed process has sent is still carried out.
    while sandbox.stats.in_flight:
        time.sleep(0.01)


def _changed(sandbox: Any) -> dict[str, dict[str, Any]]:
    """Return what differs from a new account, by number id."""
    new = type(sandbox)(**SANDBOX).numbers

    def differs(key: str, now: Any, record: dict[str, Any]) -> bool:
        return key != "documents" and now != record[key]  # the URLs of documents name a port

    return {
        str(number): changed
        for number in new
        if (changed := {key: now for key, now in sandbox.numbers[number].items() if differs(key, now, new[number])})
    }


def _keep(place: Path, name: str) -> None:
    for end in ("", "-wal"):
        source = place / f"run.sqlite{end}"
        target = HERE / f"{name}{end}"
        target.unlink(missing_ok=True)
        if source.exists():
            target.write_bytes(source.read_bytes())


def main() -> None:
    """Make all files."""
    from wavix_async.sandbox import Sandbox

    accounts = {}
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        with Sandbox(**SANDBOX) as sandbox:
            _play(sandbox, place, "apply", 35)
            accounts["killed"] = _changed(sandbox)
            _keep(place, "killed.sqlite")
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        with Sandbox(**SANDBOX) as sandbox:
            _play(sandbox, place, "apply", None)
            _play(sandbox, place, "roll_back", 20)
            accounts["killed_roll_back"] = _changed(sandbox)
            _keep(place, "killed_roll_back.sqlite")
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        with Sandbox(**SANDBOX) as sandbox:
            _play(sandbox, place, "jobs", 10 + 15)
            accounts["jobs"] = _changed(sandbox)
            for path in (HERE / "jobs").glob("*"):
                path.unlink()
            (HERE / "jobs").mkdir(exist_ok=True)
            for path in (place / "jobs").iterdir():
                if path.suffix not in (".lock", ".sqlite-shm"):
                    (HERE / "jobs" / path.name).write_bytes(path.read_bytes())
    (HERE / "accounts.json").write_text(json.dumps(accounts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(_child(*sys.argv[1:]))
    else:
        main()
