"""Ways in which a bulk run has told an untruth, lost an input, or not ended: each was found by somebody who looked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AuthenticationError,
    BulkReport,
    BulkResult,
    BulkRun,
    NumberUpdate,
    RateLimitError,
    RetryPolicy,
    WavixClient,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.req_17

ON = NumberUpdate(sms_enabled=True)
TWICE = RetryPolicy(attempts=2, backoff=0.01)


def client_of(answer: Callable[[Seen], Reply], **options: Any) -> tuple[StubSession, WavixClient]:
    session = StubSession(answer, latency=0.02)
    return session, WavixClient("key", base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


async def finish(run: BulkRun) -> BulkReport:
    return await run


async def results_of(run: BulkRun) -> list[BulkResult]:
    return [result async for result in run]


def dropped(*, applied: bool) -> Reply:
    return Reply(error=aiohttp.ServerDisconnectedError(), applied=applied)


@pytest.mark.req_04
@pytest.mark.parametrize(
    "last", [Reply(500, applied=True), Reply(503, applied=True), Reply(200, "x", {"Content-Type": "text/html"})]
)
def test_what_was_sent_again_after_the_read_is_read_again(last: Reply) -> None:
    """It had been called `failed`, "read back, and is not changed", on the strength of a read before the last send."""
    looked = False

    def answer(seen: Seen) -> Reply:
        nonlocal looked
        looked = looked or seen.method == "GET"
        return Reply() if seen.method == "GET" else last if looked else Reply(500, applied=False)

    session, client = client_of(answer, retry=TWICE)
    run = client.numbers.bulk_update({7: ON})
    (result,) = run_virtual(results_of(run))
    assert session.applied["/v1/numbers/7"]
    assert (str(result.status), result.settled, result.error) == ("updated", True, None)


@pytest.mark.parametrize("status", [200, 502, 504, 520, 524, 599])
def test_what_a_proxy_says_is_not_the_last_word(status: int) -> None:
    """The API may still be at work: the change lands when everybody has stopped looking."""
    body = "<html>" if status == 200 else None
    session, client = client_of(lambda seen: Reply() if seen.method == "GET" else Reply(status, body, applied=False))
    report = run_virtual(finish(client.numbers.bulk_update({7: ON})))
    assert (report.unknown, report.failed) == (1, 0)
    assert session.requests == report.requests


def test_an_iterator_that_says_only_once_that_it_has_ended() -> None:
    class Feed:
        """The usual shape of one that reads a queue until a sentinel."""

        def __init__(self) -> None:
            self.queue: asyncio.Queue[Any] = asyncio.Queue()
            for item in [*((number, ON) for number in range(1, 6)), None]:
                self.queue.put_nowait(item)

        def __aiter__(self) -> Feed:
            return self

        async def __anext__(self) -> Any:
            item = await self.queue.get()
            if item is None:
                raise StopAsyncIteration
            return item

    async def main() -> BulkReport:
        _, client = client_of(lambda _: Reply())
        async with asyncio.timeout(60):
            return await client.numbers.bulk_update(Feed())

    assert run_virtual(main()).updated == 5


@pytest.mark.req_20
def test_a_read_of_the_predecessor_is_nobodys_attempt() -> None:
    """A refused successor had been called unknown, and sent twice, since a read had been counted as its attempt."""
    replies = iter([*[dropped(applied=True)] * 8, Reply(409, {"message": "not in this state"})])
    reads = iter([dropped(applied=False), Reply()])
    session, client = client_of(lambda seen: next(reads) if seen.method == "GET" else next(replies))
    run = client.numbers.bulk_update([(5, ON), (5, NumberUpdate(sms_enabled=False))])
    first, second = run_virtual(results_of(run))
    assert (str(first.status), first.settled) == ("updated", True)
    assert (str(second.status), second.attempts) == ("failed", 1)
    assert session.writes["/v1/numbers/5"] == 9


def test_a_slow_generator_that_is_cut_off_is_said_to_be() -> None:
    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, 101):
            await asyncio.sleep(0.1 if number < 30 else 30)
            yield number, ON

    async def main() -> BulkReport:
        _, client = client_of(lambda _: Reply())
        run = client.numbers.bulk_update(feed())
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(4)
        run.stop(grace=1)
        return await task

    report = run_virtual(main())
    assert (report.total, report.cut_short) == (29, True)


def test_a_timeout_of_the_input_is_the_inputs() -> None:
    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        yield 1, ON
        await asyncio.sleep(1)
        raise TimeoutError("the database")

    async def main() -> None:
        _, client = client_of(lambda _: Reply(401))
        with pytest.raises(TimeoutError, match="the database"):
            await client.numbers.bulk_update(feed(), concurrency=1)

    run_virtual(main())


@pytest.mark.parametrize("kind", [iter, list])
def test_a_defect_while_settling_ends_the_run_and_loses_nothing(kind: Any) -> None:
    class Odd(Exception):
        pass

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(error=Odd())
        return dropped(applied=True) if seen.id == 1 else Reply()

    async def main() -> BulkReport:
        _, client = client_of(answer, retry=RetryPolicy.none())
        run = client.numbers.bulk_update(kind([(1, ON), (2, ON)]))
        with pytest.raises(Odd):
            await run
        return run.report

    report = run_virtual(main())
    assert (report.updated, report.unknown, report.total) == (1, 1, 2)


@pytest.mark.req_16
def test_a_pause_that_is_too_long_for_one_stops_all() -> None:
    """Ten thousand inputs had been run through in 0.2 s, each of them too late."""
    session, client = client_of(lambda seen: Reply(429, {}, {"Retry-After": "900"}) if seen.at > 0.5 else Reply())
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 5001), ON))))
    assert isinstance(report.stopped_by, RateLimitError)
    assert report.stopped_by.retry_after is not None
    assert report.stopped_by.retry_after > 800
    assert report.total == 5000
    assert session.requests == report.requests


@pytest.mark.req_16
def test_a_key_that_is_revoked_while_doubts_are_settled_stops_the_run() -> None:
    looked = False

    def answer(seen: Seen) -> Reply:
        nonlocal looked
        looked = looked or seen.method == "GET"
        return Reply() if seen.method == "GET" or seen.id % 10 else Reply(401 if looked else 500)

    session, client = client_of(answer, retry=TWICE)
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 401), ON), concurrency=8)))
    assert isinstance(report.stopped_by, AuthenticationError)
    assert report.total == 400
    assert session.statuses[401] <= 8


@pytest.mark.req_22
def test_a_report_can_be_had_after_leaving_the_loop() -> None:
    async def main() -> BulkReport:
        _, client = client_of(lambda _: Reply())
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 101), ON), concurrency=2)
        async for _ in run:
            break
        return await run

    report = run_virtual(main())
    assert report.total == 100
    assert report.not_sent > 90


@pytest.mark.parametrize("concurrency", [1, 32])
def test_one_sick_record_does_not_hold_up_the_others(concurrency: int) -> None:
    """It fails on reads too; what is probed is a number that is known to be well."""
    session, client = client_of(lambda seen: Reply(500) if seen.id == 3 else Reply())
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 201), ON), concurrency=concurrency)))
    assert (report.updated, report.unknown + report.failed) == (199, 1)
    assert report.elapsed < 60
    assert session.seen["/v1/numbers/3"] < 20


@pytest.mark.req_09
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_who_stumbles_before_an_outage_is_waited_for_as_well(share: float) -> None:
    refused = dropped(applied=False)

    def answer(seen: Seen) -> Reply:
        down = 20 <= seen.at < 50 or (10 <= seen.at < 20 and (seen.id * 7919) % 100 < 100 * share)
        return refused if down else Reply()

    _, client = client_of(answer, rate=60)
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 3001), ON))))
    assert (report.updated, report.total) == (3000, 3000)


@pytest.mark.req_24
def test_new_fields_in_strict_mode_are_no_outage() -> None:
    _, client = client_of(lambda seen: Reply(body={"id": seen.id, "brand_new": 1}), strict=True)
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 101), ON), concurrency=8)))
    assert (report.unknown, report.total) == (100, 100)
    assert report.elapsed < 60


def test_statuses_that_shall_not_be_repeated_are_not() -> None:
    session, client = client_of(
        lambda seen: Reply() if seen.method == "GET" else Reply(500), retry=RetryPolicy(statuses=frozenset())
    )
    report = run_virtual(finish(client.numbers.bulk_update({7: ON})))
    assert report.failed == 1
    assert session.writes["/v1/numbers/7"] == 1
