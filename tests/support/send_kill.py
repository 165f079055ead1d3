"""Kill processes that send messages with a journal, and hold what the last one reports against what the sandbox saw.

A child process sends some messages and is killed with SIGKILL: by itself at an exact point (`before` the bytes of a
request leave, `after` its answer came, and the journal does not know that yet), or by its parent at a random moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.support.processes import start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.sandbox_process import SandboxProcess

PATIENCE = 180.0


def recipient(position: int) -> str:
    return f"1512{position:07}"


# --- a child ---


class Killer:
    """An observer that kills its process at an exact point of one of its sends."""

    def __init__(self, operation: str, point: str, after: int) -> None:
        self._operation, self._point, self._left = operation, point, after

    def _count(self, operation: str, point: str) -> None:
        if point == self._point and operation == self._operation:
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
            self._left -= 1

    def __call__(self, event: Any) -> None:
        if type(event).__name__ == "AttemptEvent" and event.error is None:
            self._count(event.operation, "after")

    @contextlib.contextmanager
    def around_attempt(self, started: Any) -> Iterator[None]:
        self._count(started.operation, "before")
        yield


async def _work(task: dict[str, Any]) -> None:
    from wavix_async import RetryPolicy, WavixClient
    from wavix_async.resources.ten_dlc.campaigns import LINK

    def items() -> Iterator[tuple[str, dict[str, Any]]]:
        for position in range(task["count"]):
            text = {"from": "Acme", "to": recipient(position), "message_body": {"text": "Hello"}}
            yield f"k{position}", text if position % 10 else {**text, "tag": f"own-{position}"}

    link = task.get("link")
    operation = LINK.name if link else "POST /v1/validation" if "numbers" in task else "POST /v3/messages"
    observers = (Killer(operation, task["point"], task["after"]),) if task["point"] else ()
    retry = RetryPolicy(backoff=0.05, max_backoff=0.5, budget_per_second=1e6)
    async with WavixClient(task["api_key"], base_url=task["url"], retry=retry, observers=observers) as wavix:
        print("sending", flush=True)
        if "numbers" in task:
            await wavix.validation.run(task["numbers"], type="format", batch_size=10, journal=task["journal"])
            return
        run: Any = (
            wavix.ten_dlc.brands.campaigns.numbers.bulk_link(*link, journal=task["journal"], concurrency=8)
            if link
            else wavix.messages.bulk_send(items(), journal=task["journal"], concurrency=8)
        )
        ends = {str(result.id): str(result.status) async for result in run}
    print(json.dumps({"ends": ends, "charged": str(run.report.charged)}), flush=True)


# --- its parent ---


@dataclass
class End:
    """What the last child reported, and what the sandbox has seen."""

    ends: dict[str, str]
    charged: str
    kills: int
    sent: Counter[str]


def run_child(task: dict[str, Any], seconds: float | None = None) -> dict[str, Any] | None:
    """Run a child to its end, or kill it so many seconds after it has begun to send; give what it reports, if any."""
    child = start("tests.support.send_kill", json.dumps(task), stderr=subprocess.PIPE)
    assert child.stdout
    if seconds is not None:
        child.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
        child.kill()
    out, complaint = child.communicate(timeout=PATIENCE)
    if child.returncode == -signal.SIGKILL:
        return None
    assert child.returncode == 0, complaint
    report: dict[str, Any] = json.loads(out.splitlines()[-1])
    return report


def send_with_kills(
    sandbox: SandboxProcess, journal: Path, count: int, kills: list[tuple[str, float]], **options: Any
) -> End:
    """Send messages to a new account; kill one child after the other, and let the last one come to its end.

    Args:
        sandbox: Where the messages go.
        journal: The journal of all children.
        count: How many messages there are.
        kills: For each child that is killed, the point and the number of sends before it; or `time`, and the seconds.
        options: Options of the sandbox.
    """
    url, key = sandbox.begin(numbers=1, **options)
    task = {"url": url, "api_key": key, "journal": str(journal), "count": count, "point": "", "after": 0}
    killed = 0
    for point, after in kills:
        if point == "time":
            killed += run_child(task, after) is None
        else:
            killed += run_child({**task, "point": point, "after": int(after)}) is None
        assert max(recipients(sandbox).values(), default=0) <= 1
    report = run_child(task)
    assert report is not None
    return End(report["ends"], report["charged"], killed, recipients(sandbox))


def recipients(sandbox: SandboxProcess) -> Counter[str]:
    return Counter(message["to"] for message in sandbox.messages())


if __name__ == "__main__":
    asyncio.run(_work(json.loads(sys.argv[1])))
