"""The workers of a bulk run: memory depends on the concurrency, and only requests in flight hold a slot."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from tests.support.bulk import (
    ON,
    UNBOUNDED,
    counts,
    fast_client,
    finish,
    run_from_1000,
)
from tests.support.stub import Reply, Seen, StubSession
from wavix_async import (
    BulkReport,
    BulkRun,
    BulkStatus,
    ConfigurationError,
    NumberUpdate,
    WavixClient,
)


@pytest.fixture
def client() -> WavixClient:
    return fast_client(StubSession())


@pytest.mark.parametrize("concurrency", [0, -3, True, 2.0, "2", None], ids=repr)
def test_a_concurrency_that_is_none(client: WavixClient, concurrency: Any) -> None:
    with pytest.raises(ConfigurationError, match="concurrency must be a whole number of 1 or more, got"):
        client.numbers.bulk_update({1: ON}, concurrency=concurrency)


@pytest.mark.req_12
@pytest.mark.parametrize("failing", [0, 5], ids=["healthy", "every fifth fails once"])
def test_a_long_input_streams_through_in_constant_memory(failing: int) -> None:
    """Neither tasks nor items accumulate, however long the input is."""
    count, concurrency = 8_000 if failing else 20_000, 16
    most_tasks = most_ahead = pulled = 0

    async def updates() -> AsyncIterator[tuple[int, NumberUpdate]]:
        nonlocal most_tasks, most_ahead, pulled
        for number in range(1, count + 1):
            pulled += 1
            most_ahead = max(most_ahead, pulled - run.progress.done)
            if number % 97 == 0:
                most_tasks = max(most_tasks, len(asyncio.all_tasks()))
            if number % 1000 == 0:
                await asyncio.sleep(0)
            yield number, ON

    def answer(seen: Seen) -> Reply:
        first = session.seen[seen.path] == 0
        return Reply(503) if failing and first and seen.id % failing == 0 else Reply()

    session = StubSession(answer, latency=0.01)
    client = fast_client(session)
    run = client.numbers.bulk_update(updates(), concurrency=concurrency)
    report = run_from_1000(finish(run))
    assert counts(report) == (count, 0, 0, 0)
    assert session.statuses[503] == (count // failing if failing else 0)
    assert session.peak == concurrency
    bound = concurrency * (8 if failing else 1)
    assert most_tasks <= bound + 4
    assert most_ahead <= bound + 4


@pytest.mark.req_12
@pytest.mark.parametrize("how", ["awaited", "iterated"])
def test_nothing_of_an_item_stays_when_it_has_ended(how: str) -> None:
    """Measure all memory, not only known objects: anything kept of an item is at least one block."""
    count, concurrency = 3_000, 16
    held: dict[int, int] = {}
    session = StubSession(latency=0.01)

    async def updates() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, count + 1):
            if number in (1_000, 3_000):
                # Clear what the stub keeps: the engine does not keep it.
                session.forget()
                gc.collect()
                held[number] = sys.getallocatedblocks()
            yield 1_000_000 + number, NumberUpdate(call_status_url=f"https://example.com/{number}")

    async def iterate(run: BulkRun) -> BulkReport:
        async for result in run:
            assert result.status is BulkStatus.UPDATED
        return await run

    run = fast_client(session).numbers.bulk_update(updates(), concurrency=concurrency)
    report = run_from_1000(finish(run) if how == "awaited" else iterate(run))
    assert counts(report) == (count, 0, 0, 0)
    assert held[3_000] - held[1_000] < 300


@pytest.mark.req_08
@pytest.mark.parametrize("concurrency", [1, 10])
def test_a_backoff_holds_no_slot(concurrency: int) -> None:
    """10 slots, 10 % of the items fail for two seconds: the run takes at most 1.15 times the ideal."""
    count, latency = 300 * concurrency, 0.05
    failing_until: dict[int, float] = {}

    def answer(seen: Seen) -> Reply:
        # One in eight of the first four fifths: ten percent, and no backoff delays the end.
        if seen.id % 8 == 0 and seen.id <= 0.8 * count and seen.at < failing_until.setdefault(seen.id, seen.at + 2):
            return Reply(503)
        return Reply()

    random.seed(8)
    session = StubSession(answer, latency=latency)
    client = fast_client(session, retry=attrs.evolve(UNBOUNDED, attempts=20, max_backoff=1))
    report = run_from_1000(
        finish(client.numbers.bulk_update(dict.fromkeys(range(1, count + 1), ON), concurrency=concurrency))
    )
    assert counts(report) == (count, 0, 0, 0)
    assert session.statuses[503] > count / 10
    assert session.peak == concurrency
    ideal = report.requests * latency / concurrency
    assert report.elapsed <= 1.15 * ideal


@pytest.mark.req_06
@pytest.mark.req_08
def test_a_pause_holds_no_slot_of_others() -> None:
    """While the rate limit pauses one run, calls of another limit group continue."""

    async def main() -> None:
        session = StubSession(lambda seen: Reply(429, headers={"Retry-After": "5"}) if seen.at < 0.01 else Reply())
        client = fast_client(session, max_connections=4)
        task = asyncio.create_task(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 20), ON), concurrency=8)))
        await asyncio.sleep(1)
        assert client.limits.snapshot().paused_for > 3
        from wavix_async import Number, Operation

        other = Operation("GET", "/v1/numbers/{id}", Number, limit_group="other")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await client.call(other, path={"id": 99})
        assert loop.time() - began < 0.1
        assert counts(await task) == (19, 0, 0, 0)

    run_from_1000(main())
