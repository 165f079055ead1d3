"""The bulk engine without a server: a stub replaces the session, and virtual time makes waits free.

The marks `req_NN` name the promises that a test checks; `pyproject.toml` lists them.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import rate_control
from tests.support.bulk import (
    FAST,
    ON,
    UNBOUNDED,
    answering,
    client_of,
    counts,
    fast_client,
    finish,
    lost,
    run_from_1000,
)
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AuthenticationError,
    BulkReport,
    BulkResult,
    BulkRun,
    BulkStatus,
    NumberUpdate,
    RateLimitError,
    RetryPolicy,
)


@pytest.mark.req_13
@pytest.mark.parametrize(
    ("rate", "header", "refused", "times"),
    [(None, True, 0.02, 1.10), (None, False, 0.02, 1.10), (47.5, True, 0.005, 1.03 / 0.95)],
    ids=["unconfigured", "unconfigured, no Retry-After", "95 % of the limit"],
)
def test_a_limited_server_updates_everything_in_nearly_the_ideal_time(
    rate: float | None, header: bool, refused: float, times: float
) -> None:
    """At 50/s with 100 workers, one answer in a hundred is a 500; only 404s fail."""
    count, limit = 2500, rate_control.Bucket(50, 10, 1.0)
    dice = random.Random(13)

    def answer(seen: Seen) -> Reply:
        taken, wait = limit.take(asyncio.get_running_loop().time())
        if not taken:
            return Reply(429, headers={"Retry-After": str(wait)} if header else {})
        if seen.id % 500 == 0:
            return Reply(404)
        return Reply(500) if dice.random() < 0.01 else Reply()

    session = StubSession(answer, latency=0.08)
    client = fast_client(session, rate=rate, retry=RetryPolicy())
    # The bucket is full when the clock of `run_virtual` starts.
    limit.at = 1000.0
    random.seed(13)
    report = run_from_1000(finish(client.numbers.bulk_update(dict.fromkeys(range(1, count + 1), ON), concurrency=100)))
    assert counts(report) == (count - 5, 5, 0, 0)
    assert {result.id % 500 for result in report.failures} == {0}
    assert session.statuses[500] > 10
    assert report.rate_limited == session.statuses[429]
    assert report.rate_limited <= refused * report.requests
    # A request answered with 500 has used a part of the rate, too.
    assert report.elapsed <= times * limit.ideal(report.requests - report.rate_limited)


@pytest.mark.req_16
def test_a_401_stops_also_those_that_back_off() -> None:
    """The run does not retry with a key that is revoked during an outage."""
    revoked_at = 0.5

    def answer(seen: Seen) -> Reply:
        return Reply(401, {"message": "no"}) if seen.at >= revoked_at else Reply(503)

    session = StubSession(answer, latency=0.02)
    client = fast_client(session, retry=UNBOUNDED)
    run = client.numbers.bulk_update(dict.fromkeys(range(1, 2001), ON), concurrency=10)
    report = run_from_1000(finish(run))
    assert report.total == 2000
    assert isinstance(report.stopped_by, AuthenticationError)
    assert session.statuses[503] > 30
    assert session.statuses[401] <= 10


@pytest.mark.req_10
@pytest.mark.req_16
@pytest.mark.parametrize("how", ["401", "stop"])
def test_a_stopped_run_does_not_wait_for_the_rate_limit(how: str) -> None:
    """A slow rate must not delay the end of a stopped run."""

    async def main() -> BulkReport:
        session = StubSession(lambda _: Reply(401, {"message": "no"}) if how == "401" else Reply(), latency=0.01)
        run = fast_client(session, rate=1).numbers.bulk_update(dict.fromkeys(range(1, 101), ON), concurrency=32)
        if how == "stop":
            asyncio.get_running_loop().call_later(0.5, run.stop, 100)
        report = await run
        assert session.requests == report.requests <= 2
        assert report.total == 100
        return report

    assert run_from_1000(main()).elapsed < 3


@pytest.mark.req_16
def test_a_401_ends_a_run_whose_input_never_ends() -> None:
    """A feed has no end, so its items cannot be counted, and a wrong key must not make the run hang."""

    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        number = 0
        while True:
            number += 1
            yield number, ON
            await asyncio.sleep(0.1)

    async def main() -> None:
        session = StubSession(lambda _: Reply(401, {"message": "no"}), latency=0.01)
        run = fast_client(session).numbers.bulk_update(feed(), concurrency=4)
        async with asyncio.timeout(60):
            report = await run
        assert isinstance(report.stopped_by, AuthenticationError)

    run_from_1000(main())


@pytest.mark.req_10
@pytest.mark.req_17
def test_an_item_that_was_tried_in_vain_before_the_stop_is_not_forgotten() -> None:
    """The counts add up and are correct when a run is stopped during retries."""
    session = StubSession(lambda seen: Reply(error=aiohttp.ServerDisconnectedError(), applied=seen.id % 2 == 0),
                          latency=0.02)  # fmt: skip

    async def main() -> BulkReport:
        run = fast_client(session, retry=UNBOUNDED).numbers.bulk_update(dict.fromkeys(range(1, 501), ON), concurrency=8)
        asyncio.get_running_loop().call_later(0.3, run.stop, 0.5)
        return await run

    report = run_from_1000(main())
    assert report.total == 500
    assert report.unknown == len(session.seen)
    assert report.not_sent == 500 - len(session.seen)
    assert {result.id for result in report.failures if result.status is BulkStatus.UNKNOWN} == {
        int(path.rpartition("/")[2]) for path in session.seen
    }


@pytest.mark.req_10
def test_counting_what_is_left_does_not_block_the_loop() -> None:
    """Counting a million inputs takes seconds; other tasks must be able to run, or to cancel it."""
    turns = 0

    async def main() -> None:
        loop = asyncio.get_running_loop()
        counting = True

        def tick() -> None:
            nonlocal turns
            turns += 1
            if counting:
                loop.call_soon(tick)

        def updates() -> Iterator[tuple[int, NumberUpdate]]:
            nonlocal counting
            for number in range(1, 50_001):
                if number == 5_000:
                    tick()
                yield number, ON
            counting = False

        run = fast_client(StubSession(latency=0.01)).numbers.bulk_update(updates(), concurrency=4)
        loop.call_later(0.1, run.stop)
        report = await run
        assert report.total == 50_000
        assert report.not_sent > 49_000

    run_from_1000(main())
    assert turns > 10


@pytest.mark.req_16
def test_a_refusal_ends_a_run_whose_input_has_nothing_to_give() -> None:
    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        yield 1, ON
        await asyncio.sleep(1e6)
        yield 2, ON

    report = run_virtual(finish(client_of(StubSession(lambda _: Reply(401))).numbers.bulk_update(feed())))
    assert isinstance(report.stopped_by, AuthenticationError)
    assert report.failed == 1
    assert report.elapsed < 60


@pytest.mark.req_10
@pytest.mark.req_17
def test_an_item_that_got_only_429s_is_not_unknown_when_cancelled() -> None:
    async def main() -> None:
        session = StubSession(lambda _: Reply(429, headers={"Retry-After": "30"}))
        run = client_of(session).numbers.bulk_update({1: ON})
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert (run.report.unknown, run.report.not_sent) == (0, 1)

    run_virtual(main())


@pytest.mark.req_17
def test_a_slow_reader_gets_every_result_of_a_stopped_run() -> None:
    async def main() -> None:
        run = client_of(StubSession()).numbers.bulk_update(dict.fromkeys(range(1, 101), ON), concurrency=4)
        results = []
        async for result in run:
            results.append(result)
            if len(results) == 3:
                run.stop(grace=0.5)
            await asyncio.sleep(0.4)
        assert sorted(result.id for result in results) == list(range(1, 101))
        assert sum(result.status == "updated" for result in results) == run.report.updated

    run_virtual(main())


@pytest.mark.req_17
@pytest.mark.req_16
def test_a_pause_that_is_too_long_for_one_stops_all() -> None:
    """Otherwise a run would fail ten thousand inputs in 0.2 s, each with the same error."""
    session, client = answering(lambda seen: Reply(429, {}, {"Retry-After": "900"}) if seen.at > 0.5 else Reply())
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 5001), ON))))
    assert isinstance(report.stopped_by, RateLimitError)
    assert report.stopped_by.retry_after is not None
    assert report.stopped_by.retry_after > 800
    assert report.total == 5000
    assert session.requests == report.requests


# --- random schedules ---

FAULTS = ["ok", "ok", "ok", "503", "500", "lost", "done", "cut", "404", "garbage", "slow"]


def reply_of(kind: str) -> Reply:
    match kind:
        case "lost":
            return lost()
        case "done":
            return Reply(error=aiohttp.ServerDisconnectedError(), applied=True)
        case "cut":
            return Reply(error=aiohttp.ClientPayloadError(), applied=True)
        case "429":
            return Reply(429, headers={"Retry-After": "0.3"})
        case "garbage":
            return Reply(200, "not a number")
        case "slow":
            return Reply(after=0.5)
        case "404" | "500" | "503":
            return Reply(int(kind), {"message": kind})
    return Reply()


def any_schedule(*kinds: str) -> Any:
    """Run a test with random inputs, random schedules of answers, and random ways for the run to end."""
    strategy = given(
        replies=st.lists(st.sampled_from(kinds), max_size=60),
        numbers=st.lists(st.one_of(st.integers(1, 12), st.sampled_from([0, -1, "x", None])), max_size=40),
        concurrency=st.integers(1, 6),
        kind=st.sampled_from(["iter", "async", "mapping"]),
        end=st.one_of(st.none(), st.tuples(st.sampled_from(["cancel", "stop", "close", "break"]), st.floats(0, 2))),
        attempts=st.integers(1, 4),
    )
    return lambda test: settings(max_examples=150, deadline=None, derandomize=True)(strategy(test))


@pytest.mark.req_04
@pytest.mark.req_05
@pytest.mark.req_10
@pytest.mark.req_17
@pytest.mark.req_20
@any_schedule(*FAULTS)
def test_whatever_happens_every_input_has_one_outcome_and_it_is_true(**schedule: Any) -> None:
    hold_to_the_truth(**schedule)


@pytest.mark.req_06
@pytest.mark.req_17
@pytest.mark.req_20
@example(replies=["429", "ok", "429"], numbers=[1, 1, 1, 2, 2], concurrency=4, kind="async", end=None, attempts=1)
@any_schedule(*FAULTS, "429")
def test_whatever_happens_with_refusals_in_between(**schedule: Any) -> None:
    """The same with a limiter that learns the rate."""
    hold_to_the_truth(**schedule)


def hold_to_the_truth(
    replies: list[str],
    numbers: list[Any],
    concurrency: int,
    kind: str,
    end: tuple[str, float] | None,
    attempts: int,
) -> None:
    if kind == "mapping":
        numbers = [number for number in dict.fromkeys(numbers) if isinstance(number, int) and number > 0]
    queue = iter(replies)
    session = StubSession(lambda _: reply_of(next(queue, "ok")), latency=0.02)
    pulled = 0

    def source() -> Iterator[tuple[Any, NumberUpdate]]:
        nonlocal pulled
        for number in numbers:
            pulled += 1
            yield number, ON

    async def later() -> AsyncIterator[tuple[Any, NumberUpdate]]:
        nonlocal pulled
        for number in numbers:
            await asyncio.sleep(0.003)
            pulled += 1
            yield number, ON

    updates: Any = dict.fromkeys(numbers, ON) if kind == "mapping" else source() if kind == "iter" else later()

    async def main() -> None:
        client = fast_client(session, retry=attrs.evolve(FAST, attempts=attempts))
        run = client.numbers.bulk_update(updates, concurrency=concurrency)
        loop = asyncio.get_running_loop()
        results: list[BulkResult] = []

        async def consume() -> None:
            async for result in run:
                results.append(result)
                if end is not None and end[0] == "break" and loop.time() >= 1000 + end[1]:
                    break

        task = asyncio.create_task(consume())
        ended_at = None
        if end is not None and end[0] != "break":
            await asyncio.wait([task], timeout=end[1])
            ended_at = loop.time()
            if end[0] == "cancel":
                task.cancel()
            elif end[0] == "stop":
                run.stop(grace=0.2)
            else:
                await client.close()
        await asyncio.wait([task])
        if end is not None and end[0] == "cancel" and ended_at is not None:
            assert loop.time() - ended_at <= 0.05
        if not task.cancelled():
            task.result()
        # A few turns of the loop, without any time: a caller that leaves `async for` early does not wait for the run.
        for _ in range(20):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting, session.in_flight) == (0, 0, 0)
        check(run, results, whole=not task.cancelled() and (end is None or end[0] == "close"))

    def check(run: BulkRun, results: list[BulkResult], *, whole: bool) -> None:
        report = run.report
        early = end is not None and end[0] in {"cancel", "break"}
        assert report.total == (len(numbers) if kind == "mapping" or not early else pulled)
        if whole:
            assert len(results) == report.total
            assert Counter(str(result.status) for result in results) == Counter(
                {
                    name: count
                    for name, count in zip(("updated", "failed", "unknown", "not_sent"), counts(report), strict=True)
                    if count
                }
            )
        assert session.overlaps == 0
        assert session.peak <= concurrency
        assert session.requests == report.requests
        # For numbers that occur once: an applied change is updated or unknown, and one that was not seen is neither.
        once = {number for number, times in Counter(numbers).items() if times == 1 and isinstance(number, int)}
        for result in [*results, *report.failures]:
            path = f"/v1/numbers/{result.id}"
            if result.id not in once or result.id < 1:
                continue
            if result.status == "not_sent":
                assert not session.seen[path] or not session.applied[path]
            elif result.status == "failed":
                # The stub sends a 404 at random, even if it applied the change before.
                assert session.writes[path]
                assert not (result.settled and session.applied[path])
            elif result.status == "updated":
                assert session.applied[path]
                assert result.attempts == session.writes[path]
            else:
                assert session.seen[path]

    run_from_1000(main())


@pytest.mark.req_10
@pytest.mark.req_17
@pytest.mark.parametrize("how", ["cancelled", "left", "whole"])
def test_what_an_iteration_did_not_yield_is_at_hand(how: str) -> None:
    """A slow consumer is cut off: results wait in the queue, workers wait to pass theirs on, others are in flight."""
    received: list[BulkResult] = []

    async def consume(run: BulkRun) -> None:
        async for result in run:
            received.append(result)
            if how == "left" and len(received) == 20:
                break
            if how != "whole" and len(received) >= 10:
                await asyncio.sleep(0.1)

    async def main() -> BulkRun:
        session = StubSession(lambda seen: Reply(404) if seen.id % 3 == 0 else Reply(), latency=0.01)
        run = fast_client(session).numbers.bulk_update(iter([(each, ON) for each in range(1, 200)]), concurrency=8)
        assert run.undelivered == ()
        task = asyncio.create_task(consume(run))
        if how == "cancelled":
            await asyncio.sleep(1)
            assert run.undelivered == ()
            task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0.1)
        return run

    run = run_virtual(main())
    report = run.report
    assert len(run.undelivered) == (0 if how == "whole" else report.total - len(received))
    together = [*received, *run.undelivered]
    assert len({result.id for result in together}) == len(together) == report.total
    assert Counter(str(result.status) for result in together) == +Counter(
        updated=report.updated, failed=report.failed, unknown=report.unknown, not_sent=report.not_sent
    )
    # Two queued and one in the hand of each worker, and one in flight.
    assert len(run.undelivered) <= 4 * 8
    # A caller that changes what it got changes nothing of the run.
    assert isinstance(run.undelivered, tuple)
