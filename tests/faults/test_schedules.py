"""Random schedules of faults against a server that knows the truth: rules that always hold.

In virtual time, so that timeouts, pauses and backoffs of minutes cost nothing. The numbers in the docstrings are the
requirements of docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.model import FATES, MISSING, Bucket, Down, Fate, ModelSession, client_of, hold_to_its_facts
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual as run_from_zero
from wavix_async import (
    AttemptEvent,
    BulkResult,
    ConnectError,
    DeadlineExceededError,
    Number,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
    Success,
    Timeouts,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from wavix_async import BulkReport, BulkRun, Event

PATH = "/v1/numbers/{id}"
OPERATIONS = {
    "GET": Operation("GET", PATH, Number),
    "PATCH": Operation("PATCH", PATH, Number, idempotent=True),
    "PUT": Operation("PUT", PATH, Number),
    "DELETE": Operation("DELETE", PATH, Success),
    "POST": Operation("POST", "/v1/messages/{id}", Success),
    "PATCH once": Operation("PATCH", PATH, Number),
}
# A limit group of its own: no rate was learned in it, so nothing but a lost slot can hold it up.
PROBE = Operation("GET", PATH, Number, limit_group="probe")
LATE = 0.05
READ_ON = 0.25
"""Seconds for which a generator is read on, to name its rest, when the grace of a stop was used up by requests."""
START = 1000.0

run_virtual = functools.partial(run_from_zero, start=START)


# ------------------------------------------------------------------------------------------------- what may happen


@attrs.frozen
class Ask:
    """One call that a caller makes."""

    operation: str
    number: int
    start: float
    cancel: float | None
    deadline: float | None
    attempt: float
    attempts: int
    shared: bool
    """Whether it takes part in a semaphore of the caller's own."""


def seconds(most: float) -> st.SearchStrategy[float]:
    return st.floats(0, most).map(lambda value: round(value, 3))


def moments(most: float) -> st.SearchStrategy[float]:
    """Any, and some at which other things happen too."""
    return st.one_of(seconds(most), st.integers(0, int(most * 10)).map(lambda tenths: tenths / 10))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


def few_or_many(items: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    """Lists of any length; left to itself hypothesis makes nearly all of them short."""
    return st.one_of(st.lists(items, max_size=6), st.lists(items, min_size=most // 3, max_size=most))


def fates(*more: str) -> st.SearchStrategy[list[Fate]]:
    kinds = st.one_of(st.just("ok"), st.sampled_from([*FATES, *more]))
    # Some are carried out so late that no caller waits any more.
    before = st.one_of(seconds(0.2), seconds(0.2), seconds(8))
    return few_or_many(st.builds(Fate, kinds, before, seconds(0.5), maybe(seconds(4))), 40)


SERVERS: dict[str, Any] = {
    "bucket": maybe(st.builds(Bucket, st.sampled_from([5.0, 20.0]), st.sampled_from([1.0, 4.0]), st.booleans())),
    "down": maybe(
        st.builds(
            Down,
            start=moments(2),
            seconds=moments(6),
            kind=st.sampled_from(["refused", "status_503", "status_500_after", "reset_before", "reset_after", "stall"]),
        )
    ),
}
ASKS = st.builds(
    Ask,
    operation=st.sampled_from([*OPERATIONS, "POST"]),
    number=st.integers(1, 15),
    start=moments(2),
    cancel=maybe(moments(4)),
    deadline=maybe(st.one_of(seconds(3).map(lambda value: value + 0.01), st.just(40.0))),
    attempt=st.sampled_from([0.3, 1.0, 5.0]),
    attempts=st.integers(1, 5),
    shared=st.booleans(),
)
POLICIES = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 5),
    backoff=st.sampled_from([0.0, 0.1, 1.0]),
    max_backoff=st.sampled_from([0.5, 4.0]),
    budget_ratio=st.sampled_from([0.0, 0.2]),
    budget_per_second=st.sampled_from([0.0, 2.0, 1e6]),
)


EXAMPLES = pytest.mark.parametrize("examples", [30, pytest.param(300, marks=pytest.mark.scale)])


def whatever_happens(check: Callable[..., None], examples: int, strategies: dict[str, Any]) -> None:
    """Run a check for that many random schedules."""
    wait = settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    wait(given(**strategies)(check))()


async def nothing_is_left(client: WavixClient, session: ModelSession, connections: int) -> None:
    """Requirements 10 and 22: no slot, turn, connection or task is still held, and the next calls work at once."""
    snapshot = client.limits.snapshot()
    assert (snapshot.in_flight, snapshot.waiting, session.in_flight) == (0, 0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    asked = session.requests
    await asyncio.sleep(100)
    assert session.requests == asked
    session.healthy, session.peak = True, 0
    client = client.with_options(timeout=Timeouts())
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(client.call(PROBE, path={"id": 99}) for _ in range(connections)))
    assert session.peak == connections
    assert loop.time() - began < 1.7
    began = loop.time()
    await client.call(OPERATIONS["GET"], path={"id": 98})
    assert loop.time() - began <= 1 + LATE


# ---------------------------------------------------------------------------------------------------- single calls


@attrs.define
class Ended:
    """One call and how it ended."""

    ask: Ask
    owner: str
    events: list[AttemptEvent] = attrs.field(factory=list)
    began: float = 0.0
    ended: float = 0.0
    cancelled_at: float | None = None
    result: Any = None
    error: WavixError | None = None

    def observe(self, event: Event) -> None:
        if isinstance(event, AttemptEvent):
            self.events.append(event)


async def make(client: WavixClient, ended: Ended, mine: asyncio.Semaphore) -> None:
    """Make a call and cancel it when it is time."""
    ask, loop = ended.ask, asyncio.get_running_loop()
    await asyncio.sleep(ask.start)
    client = client.with_options(
        observers=(ended.observe,),
        retry=attrs.evolve(client.retry, attempts=ask.attempts),
        timeout=Timeouts(attempt=ask.attempt, deadline=ask.deadline),
        semaphore=mine if ask.shared else None,
    )
    operation = OPERATIONS[ask.operation]
    body = {"transcription_threshold": int(ended.owner)} if operation.method in ("PATCH", "PUT", "POST") else None
    coroutine = client.call(operation, path={"id": ask.number}, query={"call": ended.owner}, body=body)
    ended.began = loop.time()
    task = asyncio.create_task(coroutine)
    _, pending = await asyncio.wait([task], timeout=ask.cancel)
    if pending:
        ended.cancelled_at = loop.time()
        task.cancel()
        await asyncio.wait([task])
    ended.ended = loop.time()
    if task.cancelled():
        assert ended.cancelled_at is not None
    else:
        # A caller that cancels must get the cancellation, and not a success or a failure.
        assert ended.cancelled_at is None
        error = task.exception()
        assert error is None or isinstance(error, WavixError)
        ended.error = error
        ended.result = None if error is not None else task.result()


@pytest.mark.req_01
@pytest.mark.req_05
@pytest.mark.req_06
@pytest.mark.req_10
@pytest.mark.req_11
@pytest.mark.req_24
@EXAMPLES
def test_whatever_happens_a_call_tells_the_truth(examples: int) -> None:
    """Requirements 1, 5, 6, 10, 11 and 24."""
    whatever_happens(a_call_tells_the_truth, examples, CALLS)


CALLS: dict[str, Any] = {
    "asks": few_or_many(ASKS, 20),
    "schedule": fates("429", "429", "403"),
    "connections": st.integers(1, 6),
    "policy": POLICIES,
    "rate": st.sampled_from([None, None, 10.0]),
    **SERVERS,
}


def a_call_tells_the_truth(
    asks: list[Ask],
    schedule: list[Fate],
    connections: int,
    policy: RetryPolicy,
    rate: float | None,
    bucket: Bucket | None,
    down: Down | None,
) -> None:
    async def main() -> None:
        session = ModelSession(schedule, bucket=bucket, down=down)
        client = client_of(session, max_connections=connections, retry=policy, rate=rate)
        mine = asyncio.Semaphore(2)
        calls = [Ended(ask, str(index)) for index, ask in enumerate(asks, 1)]
        await asyncio.gather(*(make(client, ended, mine) for ended in calls))
        assert not mine.locked()
        await nothing_is_left(client, session, connections)
        assert session.intruders == []
        for ended in calls:
            is_true(ended, session)

    run_virtual(main())


def is_true(ended: Ended, session: ModelSession) -> None:
    """Hold how a call ended to what the server saw of it."""
    ask, owner, error = ended.ask, ended.owner, ended.error
    operation = OPERATIONS[ask.operation]
    got, done = session.got[owner], session.done[owner]
    on_the_wire = [event for event in ended.events if event.outcome != "not_sent"]
    if not operation.idempotent:
        assert done <= 1
        # Only what was certainly not carried out may be followed by another.
        assert all(event.status in (429, 503) for event in on_the_wire[:-1])
    if ask.deadline is not None:
        assert ended.ended - ended.began <= ask.deadline + LATE
    assert got <= len(on_the_wire) <= got + session.interrupted[owner]
    if ended.cancelled_at is not None:
        assert ended.ended - ended.cancelled_at <= LATE
        assert session.got_last.get(owner, START) <= ended.cancelled_at
        return
    assert [event.attempt for event in ended.events] == list(range(1, len(ended.events) + 1))
    if error is None:
        assert got >= 1
        if isinstance(ended.result, Success) and ended.result.already_gone:
            assert any(event.outcome == "unknown" for event in on_the_wire)
            assert ask.number in session.gone or ask.number == MISSING
        elif operation.method != "GET":
            assert done >= 1
        return
    hold_to_its_facts(error)
    assert error.attempts == len(on_the_wire)
    assert error.elapsed == pytest.approx(ended.ended - ended.began, abs=1e-6)
    assert isinstance(error, OutcomeUnknownError) <= (not operation.idempotent)
    if error.outcome != "unknown":
        # One exception: what a first attempt has changed unheard may be deleted by another call before the second.
        assert done == 0 or (error.status == 404 and ask.number in session.gone)
    if error.outcome == "not_sent":
        # What was refused for the rate, and then found no turn before its deadline.
        assert got == session.refusals[owner]
        assert got == 0 or isinstance(error, RateLimitError | ConnectError | DeadlineExceededError)


# ------------------------------------------------------------------------------------------------------ bulk runs


@pytest.mark.req_05
@pytest.mark.req_06
@pytest.mark.req_10
@pytest.mark.req_17
@pytest.mark.req_19
@pytest.mark.req_20
@pytest.mark.req_21
@pytest.mark.req_24
@EXAMPLES
def test_whatever_happens_a_bulk_tells_the_truth(examples: int) -> None:
    """Requirements 5, 6, 10, 17, 19, 20, 21 and 24."""
    whatever_happens(a_bulk_tells_the_truth, examples, BULKS)


BULKS: dict[str, Any] = {
    "numbers": few_or_many(st.integers(1, 15), 40),
    "schedule": fates("429", "429", "403"),
    "concurrency": st.integers(1, 8),
    "batch": maybe(st.sampled_from([2, 5, "auto"])),
    "connections": st.integers(1, 6),
    "kind": st.sampled_from(["mapping", "list", "generator", "async generator"]),
    "iterated": st.booleans(),
    "end": maybe(st.tuples(st.sampled_from(["cancel", "stop"]), moments(3), moments(2))),
    "policy": POLICIES,
    "timeouts": st.builds(
        Timeouts, attempt=st.sampled_from([0.3, 1.0]), deadline=st.sampled_from([1.0, 5.0, 60.0, None])
    ),
    **SERVERS,
}


def a_bulk_tells_the_truth(
    numbers: list[int],
    schedule: list[Fate],
    concurrency: int,
    batch: Any,
    connections: int,
    kind: str,
    iterated: bool,
    end: tuple[str, float, float] | None,
    policy: RetryPolicy,
    timeouts: Timeouts,
    bucket: Bucket | None,
    down: Down | None,
) -> None:
    if kind == "mapping":
        numbers = list(dict.fromkeys(numbers))
    inputs = list(different(numbers))
    pulled = 0

    def source() -> Iterator[tuple[int, NumberUpdate]]:
        nonlocal pulled
        for pair in inputs:
            pulled += 1
            yield pair

    async def later() -> AsyncIterator[tuple[int, NumberUpdate]]:
        await asyncio.sleep(0.003)
        for pair in source():
            yield pair
            await asyncio.sleep(0.003)

    async def main() -> None:
        session = ModelSession(schedule, bucket=bucket, down=down)
        events: list[AttemptEvent] = []
        client = client_of(
            session,
            max_connections=connections,
            retry=policy,
            timeout=timeouts,
            observers=(lambda event: events.append(event) if isinstance(event, AttemptEvent) else None,),
        )
        updates = {"mapping": lambda: dict(inputs), "list": lambda: inputs, "generator": source}.get(kind, later)()
        run = client.numbers.bulk_update(updates, concurrency=concurrency, batch=batch)
        results: list[BulkResult] = []
        task = asyncio.create_task(collect(run, results) if iterated else finish(run))
        cancelled = await end_it(run, task, end, 0.0 if kind in ("mapping", "list") else READ_ON)
        report = run.report
        await nothing_is_left(client, session, connections)
        assert run.report == report
        assert session.intruders == []
        assert session.overlaps == 0
        on_the_wire = sum(event.outcome != "not_sent" for event in events[: -connections - 1])
        sent = session.requests - connections - 1
        assert sent <= on_the_wire <= sent + session.interrupted.total()
        assert report.requests == on_the_wire
        whole = kind in ("mapping", "list") or not (cancelled or report.cut_short)
        assert report.total == (len(inputs) if whole else pulled)
        if iterated and not cancelled:
            assert Counter(result.status for result in results) == +Counter(
                {name: getattr(report, name) for name in ("updated", "failed", "unknown", "not_sent")}
            )
        shown = results if iterated and not cancelled else report.failures
        holds(inputs, shown, report, session)

    run_virtual(main())


def different(numbers: list[int]) -> Iterator[tuple[int, NumberUpdate]]:
    """Pair numbers with changes: equal ones, as far as a number that comes again has another each time."""
    times: Counter[int] = Counter()
    for number in numbers:
        yield number, NumberUpdate(transcription_threshold=100 + times[number])
        times[number] += 1


async def collect(run: BulkRun, results: list[BulkResult]) -> None:
    async for result in run:
        results.append(result)


async def finish(run: BulkRun) -> None:
    await run


async def end_it(run: BulkRun, task: asyncio.Task[None], end: tuple[str, float, float] | None, more: float) -> bool:
    """End a run as it is said, or wait for its end; tell whether it was cancelled.

    Args:
        run: The run.
        task: The task that waits for it.
        end: How, when, and with what grace.
        more: Seconds that a stop may take after the grace.
    """
    loop = asyncio.get_running_loop()
    how, moment, grace = end or ("wait", None, 0.0)
    _, pending = await asyncio.wait([task], timeout=moment)
    if pending:
        ended_at = loop.time()
        if how == "cancel":
            task.cancel()
            grace = 0.0
        else:
            run.stop(grace)
            grace += more
        await asyncio.wait([task])
        assert loop.time() - ended_at <= grace + LATE
    if not task.cancelled():
        task.result()
    return task.cancelled()


def holds(
    inputs: list[tuple[int, NumberUpdate]],
    results: list[BulkResult],
    report: BulkReport,
    session: ModelSession,
) -> None:
    """Hold results and counts to what the server saw of each number and value."""
    owners = defaultdict(list)
    for number, update in inputs:
        owners[number].append(f"{number}={update.transcription_threshold}")
    writes = {owner: session.got[owner] for own in owners.values() for owner in own}
    done = {owner for owner in writes if session.done[owner]}
    # Once a late write may have undone another, a read cannot tell what became of that.
    blurred = {number for number, own in owners.items() if session.late & set(own)}
    assert report.updated <= len(done)
    if not blurred:
        assert len(done) <= report.updated + report.unknown
    untouched = {owner for owner, got in writes.items() if got == session.refusals[owner]}
    assert report.not_sent <= len(untouched)
    by_number = defaultdict(list)
    for result in results:
        by_number[result.id].append(result)
        assert result.attempts >= 0
        if result.status == "updated":
            assert result.value is not None
            assert written(result) in done
            assert result.error is None
        elif result.error is not None:
            hold_to_its_facts(result.error, settled=result.settled)
    for number, ended in by_number.items():
        counts = Counter(str(result.status) for result in ended)
        own = set(owners[number])
        updated = [written(result) for result in ended if result.status == "updated"]
        assert len(set(updated)) == len(updated)
        assert set(updated) <= own & done
        if number not in blurred or len(own) == 1:
            assert counts["failed"] + counts["not_sent"] <= len(own - done)
        assert counts["not_sent"] <= len(own & untouched)
        if len(updated) == len(owners[number]) and number not in blurred:
            assert f"{number}={session.values[number]}" == owners[number][-1]
        if len(own) == 1:
            (owner,) = own
            assert writes[owner] <= ended[0].attempts <= writes[owner] + session.interrupted[owner]


def written(result: BulkResult) -> str:
    """Return the owner of the change that a number shows."""
    assert result.value is not None
    return f"{result.id}={result.value.transcription_threshold}"


@pytest.mark.req_08
@pytest.mark.req_13
def test_a_run_is_as_wide_after_a_backoff_as_before() -> None:
    """One worker helps out while another backs off; only one leaves after that, even if two backoffs end at once."""
    count, latency = 102, 0.02

    def answer(seen: Seen) -> Reply:
        if seen.id == 1 and session.seen[seen.path] == 0:
            return Reply(503)
        return Reply(before=1 - seen.at if seen.id in (2, 3) else latency)

    session = StubSession(answer)
    policy = RetryPolicy(backoff=0.01, budget_per_second=1e6)
    updates = dict.fromkeys(range(1, count + 1), NumberUpdate(sms_enabled=True))
    report = run_virtual(report_of(client_of(session, retry=policy).numbers.bulk_update(updates, concurrency=2)))
    assert report.updated == count
    assert report.elapsed <= 1 + 1.05 * latency * (count - 2) / 2


@pytest.mark.req_17
def test_a_run_does_not_end_before_its_input_does() -> None:
    """Two workers that back off find at the same moment that one of them is not needed any more."""
    count = 14
    session = ModelSession(down=Down(0.0, 1.0, "refused"))
    policy = RetryPolicy(attempts=2, backoff=0.0, budget_ratio=0.0, budget_per_second=2.0)
    client = client_of(session, retry=policy, timeout=Timeouts(deadline=1.0))
    updates = iter([(1, NumberUpdate(transcription_threshold=100 + place)) for place in range(count)])
    report = run_virtual(report_of(client.numbers.bulk_update(updates, concurrency=1)))
    assert report.total == count


@pytest.mark.req_17
def test_an_item_of_unknown_outcome_takes_no_worker_with_it() -> None:
    """A deadline ends its backoff. Its change is sent again when it is settled, and all others have their turn."""
    count = 13
    session = ModelSession(down=Down(0.0, 1.0, "stall"))
    policy = RetryPolicy(attempts=2, backoff=0.1, budget_ratio=0.0, budget_per_second=2.0)
    client = client_of(session, max_connections=1, retry=policy, timeout=Timeouts(attempt=0.3, deadline=1.0))
    updates = [(2 if place == 1 else 1, NumberUpdate(transcription_threshold=100 + place)) for place in range(count)]
    # What is drawn for the backoffs decides which worker waits when the deadline comes.
    random.seed(0)
    report = run_virtual(report_of(client.numbers.bulk_update(updates, concurrency=1)))
    assert (report.updated, report.total) == (count, count)


@pytest.mark.req_10
@pytest.mark.req_17
def test_a_stop_in_the_middle_of_handing_out_loses_no_result() -> None:
    """A generator that is not read to its end: what was counted was also given to the iterating caller."""

    async def main() -> None:
        client = client_of(ModelSession())
        updates = ((number, NumberUpdate(transcription_threshold=100)) for number in range(1, 1001))
        run = client.numbers.bulk_update(updates, concurrency=2)
        results = []
        async for result in run:
            results.append(result)
            if len(results) == 3:
                run.stop(grace=0.5)
            await asyncio.sleep(0.1)
        assert run.report.cut_short
        assert len(results) == run.report.total

    run_virtual(main())


async def report_of(run: BulkRun) -> BulkReport:
    return await run


@pytest.mark.req_24
def test_an_item_of_a_batch_that_was_given_up_says_how_often_it_was_sent() -> None:
    async def main() -> None:
        client = client_of(ModelSession([Fate("stall")]))
        updates = dict.fromkeys(range(1, 5), NumberUpdate(transcription_threshold=100))
        run = client.numbers.bulk_update(updates, batch=4)
        task = asyncio.ensure_future(report_of(run))
        await asyncio.sleep(1)
        run.stop(grace=0.5)
        report = await task
        assert report.unknown == 4
        for result in report.failures:
            assert result.error is not None
            assert (result.attempts, result.error.attempts, result.error.outcome) == (1, 1, "unknown")

    run_virtual(main())


@pytest.mark.req_17
@pytest.mark.req_21
def test_what_a_batch_did_and_did_not_mention_is_not_called_failed() -> None:
    """The batch was carried out; the number that its answer leaves out is sent alone, and that is refused."""
    session = ModelSession([Fate("partial"), Fate("429")])
    updates = dict.fromkeys((1, 2), NumberUpdate(transcription_threshold=100))
    client = client_of(session, retry=RetryPolicy.none())
    report = run_virtual(report_of(client.numbers.bulk_update(updates, batch=2)))
    assert session.values == {1: 100, 2: 100}
    assert report.failed == report.not_sent == 0


@pytest.mark.req_10
@pytest.mark.req_17
@pytest.mark.parametrize("seed", range(14, 19))
def test_what_is_being_sent_again_when_the_run_is_cancelled_is_unknown(seed: int) -> None:
    """Found by the test above: refused connections, settled by sending again, and cancelled on the wire."""
    random.seed(seed)  # of the jitter
    a_bulk_tells_the_truth(
        numbers=[1, 3, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1],
        schedule=[
            *[Fate("ok", 0.0, 0.5, None)] * 4,
            *[Fate("ok", 0.0, 0.0, None)] * 7,
            Fate("ok", 0.194, 0.5, None),
            *[Fate("ok", 0.0, 0.0, None)] * 2,
        ],
        concurrency=1,
        batch=None,
        connections=1,
        kind="async generator",
        iterated=False,
        end=("cancel", 1.5, 0.0),
        policy=RetryPolicy(attempts=2, backoff=0.1, max_backoff=0.5, budget_ratio=0.2, budget_per_second=0.0),
        timeouts=Timeouts(attempt=0.3, deadline=1.0),
        bucket=None,
        down=Down(start=0.902, seconds=0.1, kind="refused"),
    )
