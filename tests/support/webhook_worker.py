"""A process that receives events with a store on disk or in Redis, to be killed, and what the next one must do.

The test writes one delivery report a line; the process writes the status of each answer, and what its handlers do. The
handler `stuck` never ends there if the status is `delivered`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

from tests.support.events import SECRET, dlr, post
from tests.support.processes import start
from tests.support.soon import SOON
from wavix_async.webhooks import DeliveryReport, EventStore, RedisStore, SqliteStore, Webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

LEASE = 0.3


def open_store(address: str) -> EventStore:
    if address.startswith("redis://"):
        url, _, name = address.partition("#")
        return RedisStore(url, name=name, lease=LEASE)
    return SqliteStore(address)


def make_hooks(address: str, say: Callable[[str], object], *, blocks: bool) -> Webhooks:
    hooks = Webhooks(secret=SECRET, seen=open_store(address), grace=SOON)

    @hooks.on(DeliveryReport)
    async def quick(report: DeliveryReport) -> None:
        say(f"quick {report.message_id} {report.status}")

    @hooks.on(DeliveryReport)
    async def fails(report: DeliveryReport) -> None:
        if blocks and report.status == "sent":
            raise ValueError("not yet")
        say(f"fails {report.message_id} {report.status}")

    @hooks.on(DeliveryReport)
    async def stuck(report: DeliveryReport) -> None:
        if blocks and report.status == "delivered":
            say("stuck")
            await asyncio.Event().wait()
        say(f"stuck {report.message_id} {report.status} late={report.late}")

    return hooks


async def work(address: str) -> None:
    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    async with make_hooks(address, say, blocks=True) as hooks:
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(f"answer {(await post(hooks.asgi, json.loads(line))).status}")


async def kill_and_restart(address: str) -> None:
    """Let a process be killed within a handler, and check what runs afterwards."""
    process = await asyncio.to_thread(start, "tests.support.webhook_worker", address)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said: list[str] = []
        for status in ("sent", "delivered"):
            process.stdin.write(json.dumps(dlr("m", status)) + "\n")
        process.stdin.flush()
        # The second report of a message runs after the first, so the first has been finished, and stored as such.
        while "stuck" not in said:
            line = await asyncio.to_thread(process.stdout.readline)
            assert line, said
            said.append(line.strip())
    finally:
        process.kill()
        process.communicate()
    assert [line for line in said if not line.startswith("answer")] == [
        "quick m sent",
        "stuck m sent late=False",
        "quick m delivered",
        "fails m delivered",
        "stuck",
    ]

    got: list[str] = []
    async with make_hooks(address, got.append, blocks=False) as hooks:
        async with asyncio.timeout(SOON):
            while not (got and hooks.failed):
                await asyncio.sleep(0.01)
        # Only what was interrupted has run; what had failed is listed, and what had finished is a duplicate.
        assert got == ["stuck m delivered late=False"]
        assert [each.error for each in hooks.failed] == ["ValueError"]
        assert (await post(hooks.asgi, dlr("m"))).status == 200
        assert await hooks.retry_failed() == 1
        assert got[1:] == ["fails m sent"]
    async with make_hooks(address, got.append, blocks=False) as hooks:
        assert (await post(hooks.asgi, dlr("m", "sent"))).status == 200
        assert (await post(hooks.asgi, dlr("m", "pending"))).status == 200
    assert got[2:] == ["quick m pending", "fails m pending", "stuck m pending late=True"]
    assert not hooks.failed


if __name__ == "__main__":
    # Under its own name, because a store knows handlers by their module.
    from tests.support import webhook_worker

    run: Any = webhook_worker.work
    asyncio.run(run(sys.argv[1]))
