"""What a bulk run makes of odd inputs and odd ends: no input loses its outcome, and no outcome is made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AuthenticationError,
    BulkReport,
    BulkRun,
    InputError,
    NotFoundError,
    NumberUpdate,
    RetryPolicy,
    StopSignal,
    WavixClient,
)

ON = NumberUpdate(sms_enabled=True)


def client_of(session: StubSession, **settings: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=session, **settings)  # type: ignore[arg-type]


async def finish(run: BulkRun) -> BulkReport:
    return await run


class Mute:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.req_17
@pytest.mark.parametrize(
    "odd", [Mute(), (Mute(), ON), -(10**5000), (-(10**5000), ON)], ids=["mute", "id", "int", "pair"]
)
def test_an_item_that_cannot_even_be_shown_fails_alone(odd: Any) -> None:
    run = client_of(StubSession()).numbers.bulk_update(iter([(1, ON), odd, (2, ON)]), concurrency=1)
    report = run_virtual(finish(run))
    assert (report.updated, report.failed, report.total) == (2, 1, 3)
    assert isinstance(report.failures[0].error, InputError)


@pytest.mark.req_10
@pytest.mark.req_17
def test_a_cancellation_inside_the_input_is_no_quiet_end() -> None:
    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        yield 1, ON
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone
        yield 2, ON

    async def main() -> None:
        run = client_of(StubSession()).numbers.bulk_update(feed(), concurrency=2)
        with pytest.raises(RuntimeError, match="cancelled"):
            await run
        assert run.report.updated == 1

    run_virtual(main())


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
def test_who_was_only_refused_for_the_rate_is_not_unknown_when_cancelled() -> None:
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
@pytest.mark.parametrize(("status", "ending"), [(401, "unknown"), (403, "unknown"), (404, "failed"), (422, "failed")])
def test_a_refusal_after_an_attempt_that_may_have_worked(status: int, ending: str) -> None:
    replies = iter([Reply(error=aiohttp.ServerDisconnectedError()), Reply(status)])
    client = client_of(StubSession(lambda _: next(replies)), retry=RetryPolicy(backoff=0.01))
    report = run_virtual(finish(client.numbers.bulk_update({1: ON})))
    assert report.failures[0].status == ending


@pytest.mark.req_10
def test_the_clients_own_signal_and_semaphore_hold_for_its_bulk_runs() -> None:
    async def main() -> None:
        session, stop = StubSession(latency=1), StopSignal()
        client = client_of(session).with_options(stop=stop, semaphore=asyncio.Semaphore(2))
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 51), ON), concurrency=8)
        asyncio.get_running_loop().call_later(2.5, stop.set)
        report = await run
        assert session.peak == 2
        assert (report.updated, report.not_sent) == (6, 44)

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


def test_what_was_checked_is_what_is_sent() -> None:
    updates = [(1, ON)]
    session = StubSession()
    run = client_of(session).numbers.bulk_update(updates)
    updates.append((9, "x"))  # type: ignore[arg-type]
    assert run_virtual(finish(run)).total == 1


def test_progress_is_told_during_a_pause() -> None:
    async def main() -> None:
        replies: Iterator[Reply] = iter([Reply(429, headers={"Retry-After": "2"})])
        session = StubSession(lambda _: next(replies, Reply()))
        told: list[Any] = []
        await client_of(session).numbers.bulk_update({1: ON, 2: ON}, on_progress=told.append)
        assert max(progress.paused_for for progress in told) > 1
        assert len(told) > 10

    run_virtual(main())


@pytest.mark.req_23
def test_several_numbers_are_not_gone_because_one_is() -> None:
    async def main() -> None:
        replies = iter([Reply(error=aiohttp.ServerDisconnectedError()), Reply(404)] * 2)
        client = client_of(StubSession(lambda _: next(replies)), retry=RetryPolicy(backoff=0.01))
        with pytest.raises(NotFoundError):
            await client.numbers.release(dids=["1", "2"])
        assert (await client.numbers.release(dids=["1"])).already_gone

    run_virtual(main())
