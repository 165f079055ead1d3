"""When a thousand changes wait to be read back, the run reads the oldest before it takes the next items.

By default the bound is a hundred (`bound`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.support.bulk import FAST, ON, client_of, counts, dropped, finish, results_of
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import BulkReport, NumberUpdate, RetryPolicy, Timeouts, WavixClient

pytestmark = [pytest.mark.req_12, pytest.mark.req_17, pytest.mark.req_19, pytest.mark.req_29]

ONCE = RetryPolicy(attempts=1)
UNHEARD = Reply(error=aiohttp.ServerDisconnectedError(), applied=True)


def quick_client(session: StubSession, **options: Any) -> WavixClient:
    return client_of(session, **{"retry": ONCE, **options})


def test_changes_whose_answer_is_lost_are_read_as_the_run_goes(bound: int) -> None:
    """At most a thousand wait, and each is read once and reported once."""
    most, count = 0, 2 * bound

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply()
        return Reply() if seen.id % 4 == 0 else UNHEARD

    session = StubSession(answer, latency=0.01)

    async def items() -> AsyncIterator[tuple[int, NumberUpdate]]:
        nonlocal most
        for number in range(1, count + 1):
            most = max(most, number - run.progress.done)
            yield number, ON

    run = quick_client(session).numbers.bulk_update(items(), concurrency=16)
    results = run_virtual(results_of(run))
    assert Counter(result.id for result in results) == dict.fromkeys(range(1, count + 1), 1)
    assert all(result.ok and result.settled == (result.id % 4 > 0) for result in results)
    assert run.report.requests == session.requests == count + count * 3 // 4
    assert bound <= most <= bound + 3 * 16
    # The oldest go first.
    early = [result.id for result in results if result.settled][: bound // 10]
    assert max(early) < bound // 4


def test_what_a_read_shows_unchanged_is_sent_again_early_too(bound: int) -> None:
    """Eight attempts of each change fail, and the next one works."""
    broken: Counter[int] = Counter()

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET" or seen.id % 4 == 0 or broken[seen.id] == 8:
            return Reply()
        broken[seen.id] += 1
        return dropped(applied=False)

    session = StubSession(answer, latency=0.01)
    client = quick_client(session, retry=FAST)
    count = bound * 7 // 5
    items = ((each, ON) for each in range(1, count + 1))
    report = run_virtual(finish(client.numbers.bulk_update(items, concurrency=16)))
    assert counts(report) == (count, 0, 0, 0)
    assert report.requests == session.requests


@pytest.mark.parametrize("seconds", [60.0, pytest.param(5.0, marks=pytest.mark.scale)])
def test_an_outage_that_begins_while_changes_wait_is_waited_out(seconds: float, bound: int) -> None:
    """It begins with the first read: then only the probe reads, and no change ends as unknown because of it."""
    began: float | None = None
    reads = Counter[bool]()

    def answer(seen: Seen) -> Reply:
        nonlocal began
        down = began is not None and began <= seen.at < began + seconds
        if seen.method == "GET":
            if began is None:
                began = seen.at
                down = True
            reads[down] += 1
        if down:
            return Reply(error=aiohttp.ServerDisconnectedError(), applied=False)
        return Reply() if seen.method == "GET" or seen.id % 4 == 0 else UNHEARD

    count = bound * 7 // 5
    session = StubSession(answer, latency=0.01)
    client = quick_client(session, retry=FAST, timeout=Timeouts(attempt=1))
    report = run_virtual(
        finish(client.numbers.bulk_update(((each, ON) for each in range(1, count + 1)), concurrency=16))
    )
    assert counts(report) == (count, 0, 0, 0)
    assert report.stopped_by is None
    # Those in flight at its start, then one probe at a time.
    assert reads[True] <= 4 * 16 + seconds
    assert report.elapsed < seconds + 60


def test_an_outage_that_does_not_end_stops_the_run_and_each_item_has_its_outcome(bound: int) -> None:
    count = 3 * bound

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            nonlocal began
            began = True
        if began:
            return Reply(error=aiohttp.ServerDisconnectedError(), applied=False)
        return Reply() if seen.id % 4 == 0 else UNHEARD

    began = False
    session = StubSession(answer, latency=0.01)
    client = quick_client(session)
    run = client.numbers.bulk_update(((each, ON) for each in range(1, count + 1)), concurrency=16)
    results = run_virtual(results_of(run))
    report = run.report
    assert report.stopped_by is not None
    assert report.elapsed < 200
    assert Counter(result.id for result in results) == dict.fromkeys(range(1, count + 1), 1)
    assert counts(report)[0] + counts(report)[2] + counts(report)[3] == report.total == count
    assert report.not_sent > count - bound * 4 // 3 - 4 * 16


def test_records_that_can_never_be_read_do_not_hold_up_the_run(bound: int) -> None:
    """After some failed reads in a row, a thousand changes end as unknown without a read, and so on."""
    reads = 0

    def answer(seen: Seen) -> Reply:
        nonlocal reads
        reads += seen.method == "GET"
        if seen.method == "GET":
            return Reply(503)
        return Reply() if seen.id % 4 == 0 else UNHEARD

    session = StubSession(answer, latency=0.01)
    client = quick_client(session)
    items = ((each, ON) for each in range(1, 4 * bound + 1))
    report = run_virtual(finish(client.numbers.bulk_update(items, concurrency=16)))
    assert counts(report) == (bound, 0, 3 * bound, 0)
    assert 20 <= reads <= 3 * (4 * 16 + 16) + 20 + 16
    assert (report.failures_total, len(report.failures)) == (3 * bound, bound)


def test_a_fifth_of_the_reads_failing_loses_no_change(bound: int) -> None:
    """A change whose read failed waits further; it is not reported as unknown at once."""
    reads: Iterator[int] = iter(range(10**6))
    count = 2 * bound

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            # The end of the run, where each change has one chance, is without faults.
            return Reply(503) if next(reads) % 5 == 0 and session.requests < count + bound // 2 else Reply()
        return Reply() if seen.id % 4 == 0 else UNHEARD

    session = StubSession(answer, latency=0.01)
    client = quick_client(session)
    report = run_virtual(
        finish(client.numbers.bulk_update(((each, ON) for each in range(1, count + 1)), concurrency=16))
    )
    assert counts(report) == (count, 0, 0, 0)


@pytest.mark.req_20
def test_a_number_that_comes_again_is_not_written_while_it_is_read(bound: int) -> None:
    """The same keys over and over, most of their answers lost: no two requests of one key overlap."""

    def answer(seen: Seen) -> Reply:
        return Reply() if seen.method == "GET" or seen.id % 4 == 0 else UNHEARD

    session = StubSession(answer, latency=0.01)
    client = quick_client(session)
    # A thousand and a half keys, then the same again: reads of the oldest meet their second change.
    keys = bound * 3 // 2
    items = [(each % keys + 1, ON) for each in range(2 * keys)]
    results_run = client.numbers.bulk_update(iter(items), concurrency=16)
    results = run_virtual(results_of(results_run))
    assert Counter(result.id for result in results) == dict.fromkeys(range(1, keys + 1), 2)
    assert all(result.ok for result in results)
    assert session.overlaps == 0


@pytest.mark.req_10
@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_a_run_that_ends_while_it_reads_early_loses_nothing(how: str, bound: int) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(before=50)
        return Reply() if seen.id % 4 == 0 else UNHEARD

    session = StubSession(answer, latency=0.01)

    async def main() -> BulkReport:
        client = quick_client(session, timeout=Timeouts(attempt=100))
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 2 * bound + 1), ON), concurrency=16)
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(5)
        assert run.report.total < bound * 3 // 2
        if how == "stop":
            run.stop(0.5)
            return await task
        task.cancel()
        await asyncio.wait([task])
        return run.report

    report = run_virtual(main())
    assert report.total == 2 * bound
    assert report.unknown == report.failures_total > bound * 9 // 10
    assert report.failed == 0


def test_a_defect_of_an_early_read_ends_the_run(bound: int) -> None:
    class Odd(Exception):
        pass

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(error=Odd())
        return Reply() if seen.id % 4 == 0 else UNHEARD

    async def main() -> BulkReport:
        run = quick_client(StubSession(answer, latency=0.01)).numbers.bulk_update(
            dict.fromkeys(range(1, 2 * bound + 1), ON), concurrency=16
        )
        with pytest.raises(Odd):
            await run
        return run.report

    report = run_virtual(main())
    assert report.total == 2 * bound
    assert report.unknown > bound * 9 // 10
