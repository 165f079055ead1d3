"""Cancellation at any point: prompt, final, and without a trace.

In virtual time with a stub session each turn of the loop can be tried, and "within 50 ms" is exact; against the fault
server the connections are real.
"""

from __future__ import annotations

import asyncio
import functools
import random
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.conftest import FAST
from tests.support.soon import SOON
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual as run_from_zero
from wavix_async import (
    BulkReport,
    Number,
    NumberUpdate,
    Operation,
    RateLimitError,
    RetryPolicy,
    Success,
    Timeouts,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.server import FaultServer
    from wavix_async import BulkRun

ON = NumberUpdate(sms_enabled=True)
GET = Operation("GET", "/v1/numbers/{id}", Number)
PATCH = Operation("PATCH", "/v1/numbers/{id}", Number, idempotent=True)
SEND = Operation("POST", "/v1/messages/{id}", Success)
PROMPTLY = 0.05

run_virtual = functools.partial(run_from_zero, start=1000.0)


def client_of(session: StubSession, **options: Any) -> WavixClient:
    given: dict[str, Any] = {"base_url": "http://127.0.0.1:1", "retry": FAST, **options}
    return WavixClient("key", session=session, **given)  # type: ignore[arg-type]


def hang(_: Seen) -> Reply:
    return Reply(before=1000)


def down(_: Seen) -> Reply:
    return Reply(503)


def lost(_: Seen) -> Reply:
    return Reply(error=aiohttp.ServerDisconnectedError())


def refuse(_: Seen) -> Reply:
    return Reply(429, headers={"Retry-After": "30"})


def fine(_: Seen) -> Reply:
    return Reply()


SLOW_RETRIES = RetryPolicy(attempts=50, backoff=5, max_backoff=5, budget_per_second=1e6)
POINTS: dict[str, tuple[Callable[[Seen], Reply], dict[str, Any]]] = {
    "on the wire": (hang, {}),
    "in a backoff": (down, {"retry": SLOW_RETRIES}),
    "between attempts": (lost, {}),
    "in a pause": (refuse, {}),
    "in the queue for the rate": (fine, {"rate": 2}),
    "in the queue for a connection": (hang, {"max_connections": 2}),
    "in the queue for a slot": (hang, {"semaphore": 2}),
    "in an attempt that times out": (hang, {"timeout": Timeouts(attempt=0.3, deadline=5)}),
    "in a good time": (fine, {}),
}


async def still_works(client: WavixClient, session: StubSession) -> None:
    """Everything is back: slots, turns, connections; as many calls as there were work at once."""
    session.answer(fine)
    async with asyncio.timeout(300):
        numbers = await asyncio.gather(*(client.call(GET, path={"id": number}) for number in range(1, 13)))
    assert len(numbers) == 12
    snapshot = client.limits.snapshot()
    assert (snapshot.in_flight, snapshot.waiting, session.in_flight) == (0, 0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def cancel_all(tasks: list[asyncio.Task[Any]]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert loop.time() - began <= PROMPTLY


@pytest.mark.req_10
@pytest.mark.parametrize("operation", [PATCH, SEND], ids=lambda operation: operation.method)
@pytest.mark.parametrize("point", POINTS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(after=st.floats(0, 4), turns=st.integers(0, 40))
def test_a_call_can_be_cancelled_anywhere(point: str, operation: Operation[Any], after: float, turns: int) -> None:
    answer, options = POINTS[point]
    options = dict(options)

    async def main() -> None:
        session = StubSession(answer, latency=0.02)
        semaphore = options.pop("semaphore", None)
        client = client_of(session, **options)
        if semaphore is not None:
            client = client.with_options(semaphore=asyncio.Semaphore(semaphore))
        tasks = [asyncio.create_task(client.call(operation, path={"id": number})) for number in range(1, 9)]
        await asyncio.sleep(after)
        for _ in range(turns):
            await asyncio.sleep(0)
        pending = [task for task in tasks if not task.done()]
        for task in tasks:
            if task.done():
                task.exception()
        if pending:
            await cancel_all(pending)
            assert all(task.cancelled() for task in pending)
        sent = session.requests
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting, session.in_flight) == (0, 0, 0)
        await asyncio.sleep(100)
        assert session.requests == sent
        await still_works(client, session)

    run_virtual(main())


@pytest.mark.req_10
@pytest.mark.parametrize("point", POINTS)
def test_every_turn_of_the_loop_is_a_point(point: str) -> None:
    """Not only when a call waits: one call is cancelled after 0, 1, 2, ... turns, among others that go on."""
    answer, options = POINTS[point]

    async def main(turns: int) -> int:
        session = StubSession(lambda seen: answer(seen) if seen.id < 100 else Reply(), latency=0.02)
        given = {**options}
        semaphore = given.pop("semaphore", None)
        client = client_of(session, **given)
        if semaphore is not None:
            client = client.with_options(semaphore=asyncio.Semaphore(semaphore))
        tasks = [asyncio.create_task(client.call(PATCH, path={"id": number})) for number in (1, 2, 3)]
        for turn in range(turns):
            # Every fourth turn takes time, so that answers and timers come in between.
            await asyncio.sleep(0 if turn % 4 else 0.007)
        victim, *others = tasks
        if not victim.done():
            await cancel_all([victim])
            assert victim.cancelled()
        await cancel_all(others)
        for task in tasks:
            if not task.cancelled():
                task.exception()
        sent = session.requests
        await asyncio.sleep(100)
        assert session.requests == sent
        await still_works(client, session)
        return sent

    for turns in range(40):
        run_virtual(main(turns))


@pytest.mark.req_10
def test_a_cancelled_waiter_gives_its_turn_to_the_next() -> None:
    """No call behind waits longer for those that have gone, and no turn is lost."""

    async def main() -> None:
        session = StubSession(latency=0.01)
        client = client_of(session, rate=10)
        loop = asyncio.get_running_loop()
        began = loop.time()
        tasks = [asyncio.create_task(client.call(GET, path={"id": number})) for number in range(1, 101)]
        await asyncio.sleep(0.15)
        await cancel_all(tasks[:-5])
        await asyncio.gather(*tasks[-5:])
        assert loop.time() - began <= 0.15 + 0.7
        assert session.requests <= 8

    run_virtual(main())


@pytest.mark.req_10
def test_a_timeout_of_the_callers_own_is_a_cancellation() -> None:
    """`asyncio.timeout` around a call, next to the timer that the client has of its own."""

    async def main(mine: float, theirs: float) -> None:
        session = StubSession(hang)
        client = client_of(session, timeout=Timeouts(attempt=theirs), retry=RetryPolicy.none())
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises((TimeoutError, WavixError)):
            async with asyncio.timeout(mine):
                await client.call(PATCH, path={"id": 1})
        assert loop.time() - began <= min(mine, theirs) + PROMPTLY
        # A cancellation that is left over would end whatever this task does next.
        assert task.cancelling() == 0
        await asyncio.sleep(1)
        async with asyncio.timeout(5):
            session.answer(fine)
            await client.call(PATCH, path={"id": 1})
        assert task.cancelling() == 0

    for mine, theirs in ((0.2, 5), (5, 0.2), (0.2, 0.2), (0.2, 0.2000001), (0.2000001, 0.2)):
        run_virtual(main(mine, theirs))


@pytest.mark.req_10
@pytest.mark.req_11
def test_a_task_group_survives_an_attempt_that_timed_out() -> None:
    """The client's own timer cancels inside; nothing of it may reach the task group around."""

    async def main() -> None:
        session = StubSession(lambda seen: hang(seen) if session.seen[seen.path] == 0 else Reply())
        client = client_of(session, timeout=0.2)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.call(PATCH, path={"id": number})) for number in range(1, 20)]
            await asyncio.sleep(0.3)
        assert all(isinstance(task.result(), Number) for task in tasks)
        assert session.requests == 38

    run_virtual(main())


# -------------------------------------------------------------------- the deadline, which is a cancellation of ours


@pytest.mark.req_11
@pytest.mark.parametrize("deadline", [0.001, 0.21, 1.0, 7.3])
@pytest.mark.parametrize("operation", [PATCH, SEND], ids=lambda operation: operation.method)
@pytest.mark.parametrize("point", POINTS)
def test_a_deadline_ends_a_call_wherever_it_is(point: str, operation: Operation[Any], deadline: float) -> None:
    """Never later than 50 ms; earlier only where the next wait would not fit; and the error says what was sent."""
    answer, options = POINTS[point]

    async def main() -> None:
        session = StubSession(answer, latency=0.02)
        given = {**options}
        semaphore = given.pop("semaphore", None)
        timeouts = given.pop("timeout", Timeouts())
        patient = client_of(session, timeout=attrs.evolve(timeouts, deadline=None), **given)
        if semaphore is not None:
            patient = patient.with_options(semaphore=asyncio.Semaphore(semaphore))
        client = patient.with_options(deadline=deadline)
        # Those before have no deadline: what they hold does not come free in time.
        others = [asyncio.create_task(patient.call(operation, path={"id": number})) for number in (101, 102)]
        loop = asyncio.get_running_loop()
        began = loop.time()
        calls = [client.call(operation, path={"id": number}) for number in range(1, 9)]
        ends = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 100)
        assert loop.time() - began <= deadline + PROMPTLY
        for end in ends:
            assert isinstance(end, WavixError | Number | Success)
            if isinstance(end, WavixError):
                assert end.elapsed <= deadline + PROMPTLY
                assert end.outcome == "unknown" or end.attempts == 0 or isinstance(end, RateLimitError)
        errors = [end for end in ends if isinstance(end, WavixError)]
        sent = sum(times for path, times in session.seen.items() if "/10" not in path)
        assert sent == sum(error.attempts for error in errors) + len(ends) - len(errors)
        await cancel_all(others)
        for other in others:
            if not other.cancelled():
                other.exception()
        sent = session.requests
        await asyncio.sleep(100)
        assert session.requests == sent
        await still_works(patient, session)

    random.seed(11)
    run_virtual(main())


# ----------------------------------------------------------------------------------------------------------- bulk


async def finish(run: BulkRun) -> BulkReport:
    return await run


@pytest.mark.req_10
@pytest.mark.req_17
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    after=st.floats(0, 2),
    turns=st.integers(0, 12),
    concurrency=st.integers(1, 12),
    sized=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_a_bulk_can_be_cancelled_anywhere(after: float, turns: int, concurrency: int, sized: bool, seed: int) -> None:
    """Every input has one outcome, and what the report says of it is true."""
    dice = random.Random(seed)

    def answer(_: Seen) -> Reply:
        reply = dice.choice([Reply(), Reply(), Reply(), Reply(503), Reply(error=aiohttp.ServerDisconnectedError())])
        reply.before, reply.after = dice.uniform(0, 0.1), dice.uniform(0, 0.1)
        return reply

    async def main() -> None:
        session = StubSession(answer)
        client = client_of(session)
        pulled = 0

        def source() -> Any:
            nonlocal pulled
            for number in range(1, 121):
                pulled += 1
                yield number, ON

        updates: Any = dict.fromkeys(range(1, 121), ON) if sized else source()
        run = client.numbers.bulk_update(updates, concurrency=concurrency)
        task = asyncio.create_task(finish(run))
        await asyncio.sleep(after)
        for _ in range(turns):
            await asyncio.sleep(0)
        if not task.done():
            await cancel_all([task])
            assert task.cancelled()
        report, sent = run.report, session.requests
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert report.total == (120 if sized else pulled)
        assert report.failed == 0
        assert report.not_sent == report.total - len(session.seen)
        assert report.updated + report.unknown == len(session.seen)
        unknown = {f"/v1/numbers/{result.id}" for result in report.failures if result.status == "unknown"}
        assert len(unknown) == report.unknown
        assert session.applied.keys() - unknown <= session.seen.keys()
        assert len(session.applied.keys() - unknown) == report.updated
        assert report.requests == sent
        await asyncio.sleep(100)
        assert (session.requests, run.report) == (sent, report)
        await still_works(client, session)

    run_virtual(main())


@pytest.mark.req_10
@pytest.mark.req_17
def test_a_second_cancellation_does_not_break_the_sums() -> None:
    """Ctrl-C twice: the clean-up is interrupted, the report still adds up and no worker stays."""

    async def main(turns: int) -> None:
        session = StubSession(hang)
        closed = []

        async def source() -> Any:
            try:
                for number in range(1, 101):
                    yield number, ON
            finally:
                await asyncio.sleep(0.5)
                closed.append(True)

        for updates in (dict.fromkeys(range(1, 101), ON), source()):
            session.seen.clear()
            client = client_of(session)
            run = client.numbers.bulk_update(updates, concurrency=8)
            task = asyncio.create_task(finish(run))
            await asyncio.sleep(1)
            task.cancel()
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(2)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            report = run.report
            assert report.unknown == len(session.seen) > 0
            if isinstance(updates, dict):
                assert report.total == 100

    for turns in range(6):
        run_virtual(main(turns))


@pytest.mark.req_10
def test_a_run_that_two_tasks_await_ends_for_both() -> None:
    """As with a task that two await: when one is cancelled so is the run, and the other hears of it at once."""

    async def main() -> None:
        session = StubSession(latency=0.1)
        run = client_of(session).numbers.bulk_update(dict.fromkeys(range(1, 21), ON), concurrency=4)
        first, second = asyncio.create_task(finish(run)), asyncio.create_task(finish(run))
        await asyncio.sleep(0.15)
        await cancel_all([first])
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.wait([second])
        assert loop.time() - began <= PROMPTLY
        assert run.report.total == 20
        assert run.report.updated == 4
        assert run.report.unknown == 4

    run_virtual(main())


# ----------------------------------------------------------------------------------------------- on real sockets


@pytest.mark.req_10
@pytest.mark.req_22
@pytest.mark.parametrize("seed", range(3))
async def test_cancelled_calls_leave_no_connection(faulty: FaultServer, make_client: Any, seed: int) -> None:
    """Random moments, real connections, faults in between: five connections are enough for all that follows."""
    dice = random.Random(seed)
    faulty.reset(
        faults={"stall": 0.1, "stall_after": 0.05, "drip": 0.1, "slow": 0.1, "reset_after": 0.1, "status_503": 0.1,
                "half_body": 0.05},
        seed=seed,
        latency=0.002,
    )  # fmt: skip
    client = make_client(max_connections=5, timeout=60)
    cancelled = 0
    for _ in range(6):
        tasks = [
            asyncio.create_task(client.call(dice.choice([GET, PATCH, SEND]), path={"id": number}, body={}))
            for number in range(1, 21)
        ]
        await asyncio.sleep(dice.uniform(0, 0.08))
        dice.shuffle(tasks)
        began = time.monotonic()
        for task in tasks:
            task.cancel()
            if dice.random() < 0.3:
                await asyncio.sleep(dice.uniform(0, 0.002))
        await asyncio.wait(tasks)
        assert time.monotonic() - began < SOON
        for task in tasks:
            cancelled += task.cancelled()
            if not task.cancelled():
                assert task.exception() is None or isinstance(task.exception(), WavixError)
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
    assert cancelled > 20

    counters = faulty.counters()
    assert sum(counters["fired"].values()) - counters["fired"].get("ok", 0) > 3
    faulty.reset()
    numbers = await asyncio.wait_for(
        asyncio.gather(*(client.call(PATCH, path={"id": number}, body={}) for number in range(1, 41))), 60
    )
    assert [number.id for number in numbers] == list(range(1, 41))
    counters = faulty.counters()
    assert counters["peak_in_flight"] <= 5
    assert counters["overlapping_writes"] == 0
    # The server notices with some delay that no client reads a drip any more.
    patience = time.monotonic() + SOON
    while faulty.counters()["open"] > 5 and time.monotonic() < patience:
        await asyncio.sleep(0.02)
    assert faulty.counters()["open"] <= 5


@pytest.mark.req_01
@pytest.mark.req_10
async def test_a_cancelled_post_is_not_sent_again(faulty: FaultServer, make_client: Any) -> None:
    faulty.set_schedule(["stall_after", "stall"])
    client = make_client()
    for _ in range(2):
        task = asyncio.create_task(client.call(SEND, path={"id": 1}, body={}))
        before = faulty.counters()["total"]
        while faulty.counters()["total"] == before:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0.1)
    faulty.assert_fired("stall_after", "stall", times=1)
    assert faulty.counters()["total"] == 2


@pytest.mark.req_10
@pytest.mark.req_17
async def test_a_bulk_that_is_cancelled_leaves_no_connection(faulty: FaultServer, make_client: Any) -> None:
    """The truth about each on real sockets: what the server applied is updated or unknown."""
    for moment in (0.0, 0.01, 0.03, 0.06, 0.1):
        faulty.reset(faults={"stall_after": 0.05, "reset_after": 0.05, "status_503": 0.05}, seed=1, latency=0.003)
        async with make_client(max_connections=10) as client:
            run = client.numbers.bulk_update(dict.fromkeys(range(1, 401), ON), concurrency=8)
            task = asyncio.create_task(finish(run))
            await asyncio.sleep(moment)
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < SOON
            report = run.report
            assert report.total == 400
            unknown = {result.id for result in report.failures if result.status == "unknown"}
            # Late requests of the cancelled connections are read by the server, or are not.
            await asyncio.sleep(0.03)
            applied = set(faulty.counters()["applied"])
            assert len(applied - unknown) == report.updated
            assert len(applied) <= report.updated + report.unknown
            faulty.set_schedule(["ok"] * 8)
            assert (await client.call(GET, path={"id": 1})).id == 1
