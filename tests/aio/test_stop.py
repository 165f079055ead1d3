"""`StopSignal`: nothing more is sent, requests in flight end normally, and other cancellations pass through."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AttemptEvent,
    BulkRun,
    NumberUpdate,
    RetryPolicy,
    StoppedError,
    StopSignal,
    WavixClient,
    WavixError,
)


def client_of(session: StubSession, **settings: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=session, **settings)  # type: ignore[arg-type]


async def ended(call: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    """Return what a call gave or raised, and when."""
    try:
        value = await call
    except WavixError as error:
        value = error
    return value, asyncio.get_running_loop().time()


@pytest.mark.req_10
def test_what_is_on_the_wire_ends_as_it_would() -> None:
    async def main() -> None:
        session, stop = StubSession(latency=2), StopSignal()
        call = asyncio.ensure_future(ended(client_of(session).with_options(stop=stop).numbers.get(1)))
        asyncio.get_running_loop().call_later(1, stop.set)
        number, when = await call
        assert (number.number, when, session.requests) == ("12565378257", 2, 1)

    run_virtual(main())


@pytest.mark.req_10
def test_what_waits_for_its_turn_ends_at_once() -> None:
    async def main() -> None:
        session, stop = StubSession(), StopSignal()
        client = client_of(session, rate=0.1)
        await client.numbers.get(1)
        calls = [asyncio.ensure_future(ended(client.with_options(stop=stop).numbers.get(i))) for i in (2, 3)]
        asyncio.get_running_loop().call_later(1, stop.set)
        for error, when in await asyncio.gather(*calls):
            assert isinstance(error, StoppedError)
            assert (error.outcome, error.attempts, when) == ("not_sent", 0, 1)
        assert session.requests == 1
        snapshot = client.limits.snapshot()
        assert (snapshot.waiting, snapshot.in_flight) == (0, 0)
        # Others go on: the signal is for the calls it was given to.
        await client.numbers.get(4)
        assert session.requests == 2

    run_virtual(main())


@pytest.mark.req_10
def test_what_waits_for_a_slot_ends_at_once() -> None:
    async def main() -> None:
        session, stop = StubSession(latency=10), StopSignal()
        client = client_of(session, max_connections=1).with_options(stop=stop)
        first = asyncio.ensure_future(ended(client.numbers.get(1)))
        second = asyncio.ensure_future(ended(client.numbers.get(2)))
        asyncio.get_running_loop().call_later(1, stop.set)
        error, when = await second
        assert isinstance(error, StoppedError)
        assert when == 1
        assert (await first)[1] == 10
        assert session.requests == 1

    run_virtual(main())


@pytest.mark.req_10
@pytest.mark.req_24
@pytest.mark.parametrize(("status", "outcome"), [(500, "unknown"), (429, "rejected")])
def test_what_backs_off_ends_at_once_and_says_what_was_sent(status: int, outcome: str) -> None:
    async def main() -> None:
        session, stop = StubSession(lambda _: Reply(status, headers={"Retry-After": "60"})), StopSignal()
        client = client_of(session, retry=RetryPolicy(backoff=60, max_backoff=60, attempts=9)).with_options(stop=stop)
        call = asyncio.ensure_future(ended(client.numbers.update(1, sms_enabled=True)))
        asyncio.get_running_loop().call_later(0.001, stop.set)
        error, when = await call
        assert isinstance(error, StoppedError)
        assert (error.outcome, error.attempts, when) == (outcome, 1, 0.001)
        assert session.requests == 1

    run_virtual(main())


@pytest.mark.req_10
@pytest.mark.parametrize("status", [500, 429])
def test_what_was_on_the_wire_when_it_was_set_does_not_back_off(status: int) -> None:
    async def main() -> None:
        session = StubSession(lambda _: Reply(status, headers={"Retry-After": "60"}), latency=2)
        client, stop = client_of(session, retry=RetryPolicy(backoff=60, max_backoff=60)), StopSignal()
        call = asyncio.ensure_future(ended(client.with_options(stop=stop).numbers.update(1, sms_enabled=True)))
        asyncio.get_running_loop().call_later(1, stop.set)
        error, when = await call
        assert isinstance(error, StoppedError)
        assert (error.attempts, when, session.requests) == (1, 2, 1)
        snapshot = client.limits.snapshot()
        assert (snapshot.waiting, snapshot.in_flight) == (0, 0)

    run_virtual(main())


@pytest.mark.req_10
@pytest.mark.parametrize("kind", ["coroutine", "future"])
def test_a_wait_that_comes_too_late_does_not_begin(kind: str) -> None:
    """And warns of nothing: neither of a coroutine never awaited nor of an exception never retrieved."""

    async def main() -> None:
        stop, future = StopSignal(), asyncio.get_running_loop().create_future()
        stop.set()
        with pytest.raises(StoppedError):
            await stop.end(asyncio.sleep(60) if kind == "coroutine" else asyncio.shield(future))
        assert asyncio.get_running_loop().time() == 0
        assert not future.done()

    run_virtual(main())
    gc.collect()


@pytest.mark.req_10
def test_a_turn_is_given_back_when_it_is_set_by_an_observer_that_hears_of_the_turn() -> None:
    async def main() -> None:
        session, stop = StubSession(latency=5), StopSignal()
        client = client_of(session, rate=100, max_connections=1)
        first = asyncio.ensure_future(client.numbers.get(1))
        await asyncio.sleep(1)
        limiter = client._state.limiter("default")
        take = limiter.try_acquire

        def take_and_tell(*arguments: Any) -> float | None:
            permit = take(*arguments)
            stop.set()
            return permit

        limiter.try_acquire = take_and_tell  # type: ignore[method-assign]
        error, _ = await ended(client.with_options(stop=stop).numbers.get(2))
        assert isinstance(error, StoppedError)
        assert client.limits.snapshot().in_flight == 1
        await first
        assert (session.requests, client.limits.snapshot().in_flight) == (1, 0)

    run_virtual(main())


@pytest.mark.req_10
def test_a_signal_that_is_set_lets_nothing_begin() -> None:
    async def main() -> None:
        session, stop = StubSession(), StopSignal()
        stop.set()
        stop.set()
        assert stop.is_set()
        error, _ = await ended(client_of(session).with_options(stop=stop).numbers.get(1))
        assert isinstance(error, StoppedError)
        assert session.requests == 0

    run_virtual(main())


@pytest.mark.req_10
def test_a_cancellation_by_someone_else_stays_one() -> None:
    async def main() -> None:
        stop = StopSignal()
        client = client_of(StubSession(), rate=0.1)
        await client.numbers.get(1)
        call = asyncio.ensure_future(client.with_options(stop=stop).numbers.get(2))
        await asyncio.sleep(1)
        stop.set()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert call.cancelled()

    run_virtual(main())


@pytest.mark.req_10
@pytest.mark.req_17
def test_a_stopped_bulk_run_names_every_input() -> None:
    async def finish(run: BulkRun) -> Any:
        return await run

    async def main() -> None:
        session = StubSession(latency=0.1)
        client = client_of(session, rate=1)
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 101), NumberUpdate(sms_enabled=True)), concurrency=10)
        asyncio.get_running_loop().call_later(2.05, run.stop)
        report = await finish(run)
        assert (report.updated, report.not_sent, report.total) == (3, 97, 100)
        assert report.elapsed < 2.2
        assert session.requests == report.requests == 3

    run_virtual(main())


@pytest.mark.req_25
def test_an_observer_of_failures_does_not_hear_of_successes() -> None:
    class Failures(list[Any]):
        failures_only = True

        def __call__(self, event: Any) -> None:
            self.append(event)

    failures, everything = Failures(), Failures()
    everything.failures_only = False
    replies = iter([Reply(500), Reply()])

    async def main() -> None:
        client = client_of(StubSession(lambda _: next(replies)), observers=[failures, everything])
        await client.numbers.get(1)

    run_virtual(main())
    assert [event.status for event in failures if isinstance(event, AttemptEvent)] == [500]
    assert [event.status for event in everything if isinstance(event, AttemptEvent)] == [500, 200]
