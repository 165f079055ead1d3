"""Many events for a `Webhooks`: doubled, out of order, against a full queue; and a process to be killed under them.

The process posts the events itself and appends a line to a file for each end of a handler.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.events import SECRET, dlr, post
from wavix_async.webhooks import DeliveryReport, EventStore, SqliteStore, Webhooks

if TYPE_CHECKING:
    from collections.abc import Iterable

CONCURRENCY = 8


async def send_many(count: int, seen: EventStore) -> None:
    """Send reports, a fifth of the messages out of order and a fifth of the reports doubled, and check the handling.

    Eight senders post at the same time, each the reports of its messages one after another. The queue is short, and a
    sender posts again after a 503, so the result does not depend on which task runs first.
    """
    hooks = Webhooks(secret=SECRET, seen=seen, max_pending=12, concurrency=CONCURRENCY)
    handled: Counter[tuple[str, str, bool]] = Counter()

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        await asyncio.sleep(0)
        handled[report.message_id, str(report.status), report.late] += 1

    expected: Counter[tuple[str, str, bool]] = Counter()
    plans: list[list[dict[str, Any]]] = [[] for _ in range(8)]
    for i in range(count // 2):
        name, swapped = f"m{i}", i % 5 == 0
        pair = [dlr(name, "delivered"), dlr(name, "sent")] if swapped else [dlr(name, "sent"), dlr(name, "delivered")]
        expected[name, "sent", swapped] += 1
        expected[name, "delivered", False] += 1
        plans[i % 8] += pair + (pair[: 1 + i % 2] if i % 10 < 3 else [])
    async with hooks:
        await asyncio.gather(*(send(hooks, plan) for plan in plans))
    assert handled == expected
    assert not hooks.failed


async def send(hooks: Webhooks, bodies: Iterable[dict[str, Any]]) -> None:
    for body in bodies:
        while (await post(hooks.asgi, body)).status != 200:
            await asyncio.sleep(0.001)


async def work(folder: Path, count: int) -> None:
    hooks = Webhooks(secret=SECRET, seen=SqliteStore(folder / "events.db"), concurrency=CONCURRENCY)
    with (folder / "ends.txt").open("a", buffering=1) as ends:

        @hooks.on(DeliveryReport)
        async def handle(report: DeliveryReport) -> None:
            await asyncio.sleep(0)
            ends.write(f"{report.message_id}\n")

        async with hooks:
            await asyncio.gather(*(send(hooks, (dlr(f"m{i}") for i in range(j, count, 8))) for j in range(8)))


if __name__ == "__main__":
    # Under its own name, because a store knows handlers by their module.
    from tests.support import webhook_load

    run: Any = webhook_load.work
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))
