"""The results of a bulk run: progress, the report at the end, and its error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from tests.support.bulk import (
    ON,
    answering,
    client_of,
    fast_client,
    finish,
    run_from_1000,
)
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AttemptEvent,
    BulkError,
    BulkProgress,
    BulkReport,
    BulkResult,
    BulkStatus,
    Event,
    InputError,
)


@pytest.mark.req_25
def test_progress_is_reported_some_ten_times_a_second() -> None:
    told: list[BulkProgress] = []
    session = StubSession(latency=0.05)
    run = fast_client(session).numbers.bulk_update(
        dict.fromkeys(range(1, 2001), ON), concurrency=20, on_progress=told.append
    )
    report = run_from_1000(finish(run))
    assert 0.5 * report.elapsed * 10 <= len(told) <= report.elapsed * 10 + 2
    assert [p.done for p in told] == sorted({p.done for p in told})
    assert (told[-1].done, told[-1].updated, told[-1].elapsed) == (2000, 2000, report.elapsed)
    assert all(p.done == p.updated + p.failed + p.unknown + p.not_sent for p in told)


def test_progress_is_reported_at_the_end_of_a_cancelled_run_too() -> None:
    told: list[BulkProgress] = []

    async def main() -> BulkReport:
        run = fast_client(StubSession(latency=0.05)).numbers.bulk_update(
            dict.fromkeys(range(1, 101), ON), concurrency=4, on_progress=told.append
        )
        task = asyncio.create_task(finish(run))
        await asyncio.sleep(0.22)
        task.cancel()
        await asyncio.wait([task])
        return run.report

    report = run_from_1000(main())
    assert told[-1].done == report.total == 100
    assert told[-1].not_sent == report.not_sent > 50


def test_progress_is_reported_during_a_pause() -> None:
    async def main() -> None:
        replies: Iterator[Reply] = iter([Reply(429, headers={"Retry-After": "2"})])
        session = StubSession(lambda _: next(replies, Reply()))
        told: list[Any] = []
        await client_of(session).numbers.bulk_update({1: ON, 2: ON}, on_progress=told.append)
        assert max(progress.paused_for for progress in told) > 1
        assert len(told) > 10

    run_virtual(main())


@pytest.mark.req_25
def test_observers_of_the_client_see_a_run_and_not_the_other_way_round() -> None:
    events: list[Event] = []

    async def main() -> None:
        client = fast_client(StubSession(latency=0.01), observers=(events.append,))
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 21), ON), concurrency=4)
        report, _ = await asyncio.gather(finish(run), client.numbers.get(500))
        assert report.requests == 20
        assert len([event for event in events if isinstance(event, AttemptEvent)]) == 21

    run_from_1000(main())


@pytest.mark.req_17
def test_a_report_says_it_in_words_and_raises_when_asked() -> None:
    bad = BulkResult(3, BulkStatus.FAILED, error=InputError("number 3 is odd"))
    facts: dict[str, Any] = {"requests": 9, "rate_limited": 0, "elapsed": 1.25, "failures": [bad]}
    report = BulkReport(succeeded=2, failed=1, unknown=0, not_sent=1, **facts)
    assert str(report) == "2 of 4 updated, 1 failed, 0 unknown, 1 not sent; 9 requests in 1.2 s"
    assert report.total == 4
    with pytest.raises(BulkError, match=r"2 of 4 updated.*number 3 is odd") as caught:
        report.raise_for_failures()
    assert caught.value.report is report
    BulkReport(succeeded=2, failed=0, unknown=0, not_sent=0, **{**facts, "failures": []}).raise_for_failures()
    for field in ("failed", "unknown", "not_sent"):
        outcome = {"succeeded": 1, "failed": 0, "unknown": 0, "not_sent": 0, field: 1}
        with pytest.raises(BulkError):
            BulkReport(**outcome, **{**facts, "failures": []}).raise_for_failures()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        report.updated = 5  # type: ignore[misc]


@pytest.mark.req_17
@pytest.mark.req_22
def test_a_report_can_be_had_after_leaving_the_loop() -> None:
    async def main() -> BulkReport:
        _, client = answering(lambda _: Reply())
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 101), ON), concurrency=2)
        async for _ in run:
            break
        return await run

    report = run_virtual(main())
    assert report.total == 100
    assert report.not_sent > 90
