"""`bulk_update` against the sandbox on real sockets: the report must agree with what the sandbox did.

The marks `req_NN` name the promises that a test checks; `pyproject.toml` lists them.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import pickle
from collections import Counter
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.support.soon import SOON
from wavix_async import (
    UNSET,
    AuthenticationError,
    BulkError,
    BulkProgress,
    BulkReport,
    BulkResult,
    BulkStatus,
    ClientClosedError,
    InputError,
    NotFoundError,
    NumberDestination,
    NumberUpdate,
    PaymentRequiredError,
    PermissionDeniedError,
    RetryPolicy,
    UnprocessableEntityError,
    WavixClient,
    WavixError,
)
from wavix_async.sandbox import Faults, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from wavix_async import BulkRun, Number

ON = NumberUpdate(sms_enabled=True)
FAST = RetryPolicy(backoff=0.01, max_backoff=0.05, budget_per_second=1e6)
FIRST = 1001


def ids(count: int, start: int = FIRST) -> range:
    return range(start, start + count)


def client_of(sandbox: Sandbox, **options: Any) -> WavixClient:
    settings: dict[str, Any] = {"base_url": sandbox.url, "retry": FAST, **options}
    return WavixClient(settings.pop("api_key", sandbox.api_key), **settings)


async def finish(run: BulkRun) -> BulkReport:
    return await run


def counts(report: BulkReport) -> tuple[int, int, int, int]:
    return report.updated, report.failed, report.unknown, report.not_sent


def switched_on(sandbox: Sandbox) -> set[int]:
    return {
        number for number, times in sandbox.stats.updates.items() if times and sandbox.numbers[number]["sms_enabled"]
    }


async def quiet(client: WavixClient) -> None:
    """Check that a run has left no task, no request and no held slot, and that a call still works."""
    snapshot = client.limits.snapshot()
    assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
    assert (await asyncio.wait_for(client.numbers.get(FIRST), SOON)).id == FIRST


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    before = {task for task in asyncio.all_tasks() if "_work" in repr(task) or "BulkRun" in repr(task)}
    yield
    assert not {task for task in asyncio.all_tasks() if "BulkRun" in repr(task)} - before


pytestmark = pytest.mark.usefixtures("no_task_left")


# ------------------------------------------------------------------------------------------------ kinds of input


def pairs(count: int) -> list[tuple[int, NumberUpdate]]:
    return [(number, ON) for number in ids(count)]


async def later(items: Any) -> AsyncIterator[Any]:
    for item in items:
        await asyncio.sleep(0)
        yield item


class Endless:
    """An iterable that is neither a sequence nor a generator."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[tuple[int, NumberUpdate]]:
        return iter(pairs(self.count))


@pytest.mark.parametrize(
    "updates",
    [
        lambda n: dict(pairs(n)),
        lambda n: dict.fromkeys(ids(n), ON),
        pairs,
        lambda n: tuple(pairs(n)),
        lambda n: [list(pair) for pair in pairs(n)],
        lambda n: (pair for pair in pairs(n)),
        lambda n: dict(pairs(n)).items(),
        Endless,
        lambda n: zip(ids(n), itertools.repeat(ON), strict=False),
        lambda n: later(pairs(n)),
    ],
    ids=["mapping", "fromkeys", "list", "tuple", "lists", "generator", "items", "iterable", "zip", "async generator"],
)
async def test_every_kind_of_input_is_updated(updates: Any) -> None:
    async with Sandbox(numbers=100) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(updates(50), concurrency=8)
        assert sandbox.stats.requests == 0
        report = await run
        assert counts(report) == (50, 0, 0, 0)
        assert report.total == 50
        assert (report.requests, report.rate_limited, report.failures) == (50, 0, [])
        assert report.elapsed > 0
        assert report.stopped_by is None
        report.raise_for_failures()
        assert switched_on(sandbox) == set(ids(50))
        assert sandbox.stats.requests == 50
        assert await run == report
        await quiet(client)


@pytest.mark.parametrize("empty", [{}, [], (), iter(()), later([])], ids=["dict", "list", "tuple", "iterator", "async"])
async def test_nothing_to_do_is_done(empty: Any) -> None:
    async with Sandbox(numbers=1) as sandbox, client_of(sandbox) as client:
        report = await client.numbers.bulk_update(empty)
        assert counts(report) == (0, 0, 0, 0)
        assert [result async for result in client.numbers.bulk_update({})] == []
        assert sandbox.stats.requests == 0


async def test_each_number_gets_its_own_change_and_none_clears() -> None:
    destination = NumberDestination(destination="12565378257", priority=1, transport=4)
    changes = {
        FIRST: NumberUpdate(call_status_url=None),
        FIRST + 1: NumberUpdate(call_status_url="https://example.com/calls", transcription_threshold=30),
        FIRST + 2: NumberUpdate(destinations=[destination]),
        FIRST + 3: NumberUpdate(destinations=[]),
    }
    async with Sandbox(numbers=10) as sandbox, client_of(sandbox) as client:
        for number in changes:
            sandbox.change(number, call_status_url="https://example.com/before")
        assert counts(await client.numbers.bulk_update(changes)) == (4, 0, 0, 0)
        state = sandbox.numbers
        assert state[FIRST]["call_status_url"] is None
        assert state[FIRST + 1]["call_status_url"] == "https://example.com/calls"
        assert state[FIRST + 1]["transcription_threshold"] == 30
        assert [d["destination"] for d in state[FIRST + 2]["destination"]] == ["12565378257"]
        assert state[FIRST + 3]["destination"] == []
        assert state[FIRST + 2]["call_status_url"] == "https://example.com/before"
        bodies = {request.path.rpartition("/")[2]: json.loads(request.body) for request in sandbox.requests}
        assert bodies[str(FIRST)] == {"call_status_url": None}
        assert bodies[str(FIRST + 3)] == {"destinations": []}


# ---------------------------------------------------------------------------------------------------- results


async def test_results_land_one_by_one_and_the_run_can_be_awaited_after() -> None:
    async with Sandbox(numbers=40) as sandbox, client_of(sandbox) as client:
        updates = {**dict.fromkeys(ids(20), ON), 999: ON}
        run = client.numbers.bulk_update(updates, concurrency=4)
        results = [result async for result in run]
        assert Counter(result.status for result in results) == {"updated": 20, "failed": 1}
        assert {result.id for result in results} == updates.keys()
        for result in results:
            assert isinstance(result, BulkResult)
            assert result.attempts == 1
            if result.status is BulkStatus.UPDATED:
                assert result.error is None
                assert result.value is not None
                assert (result.value.id, result.value.sms_enabled) == (result.id, True)
        report = await run
        assert counts(report) == (20, 1, 0, 0)
        with pytest.raises(InputError, match="once"):
            async for _ in run:
                pass
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            results[0].id = 5  # type: ignore[misc]


async def test_a_run_that_is_never_started_sends_nothing() -> None:
    async with Sandbox(numbers=10) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(dict.fromkeys(ids(10), ON))
        assert run.report.total == 0
        assert run.progress.total == 10
        await asyncio.sleep(0.02)
        assert sandbox.stats.requests == 0
        with pytest.warns(RuntimeWarning, match="was never awaited, so it sent nothing"):
            del run


async def test_a_run_whose_task_is_cancelled_before_its_start_does_not_warn() -> None:
    async with Sandbox(numbers=1) as sandbox, client_of(sandbox) as client:

        def run() -> BulkRun[int, Number]:
            return client.numbers.bulk_update(dict.fromkeys(ids(1), ON))

        task = asyncio.create_task(run())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run(), 0)
        del task
        gc.collect()
        assert sandbox.stats.requests == 0


@pytest.mark.req_17
async def test_a_404_and_a_422_fail_that_number_only() -> None:
    """A rejection affects one number only, and keeps its reason."""
    async with Sandbox(numbers=60, foreign=0.3, seed=4) as sandbox, client_of(sandbox) as client:
        abroad = {number for number in ids(60) if sandbox.numbers[number]["country_short_name"] not in ("US", "CA")}
        assert 3 < len(abroad) < 57
        unknown = {1, 2, 999_999}
        report = await client.numbers.bulk_update(dict.fromkeys([*ids(60), *unknown], ON), concurrency=8)
        assert counts(report) == (60 - len(abroad), len(abroad) + 3, 0, 0)
        reasons = {result.id: type(result.error) for result in report.failures}
        assert reasons == dict.fromkeys(abroad, UnprocessableEntityError) | dict.fromkeys(unknown, NotFoundError)
        assert switched_on(sandbox) == set(ids(60)) - abroad
        assert sandbox.stats.requests == report.requests == 63
        with pytest.raises(BulkError, match=f"{60 - len(abroad)} of 63 updated") as caught:
            report.raise_for_failures()
        assert caught.value.report is report
        copy = pickle.loads(pickle.dumps(caught.value)).report
        assert counts(copy) == counts(report)
        assert [str(result.error) for result in copy.failures] == [str(result.error) for result in report.failures]


@pytest.mark.req_16
@pytest.mark.req_17
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AuthenticationError), (402, PaymentRequiredError), (403, PermissionDeniedError)],
)
async def test_a_refusal_of_everything_stops_the_run_at_the_first(status: int, kind: type[WavixError]) -> None:
    """A run never collects ten thousand identical rejections."""
    async with Sandbox(numbers=400, latency=0.005) as sandbox, client_of(sandbox) as client:
        sandbox.fail_next(f"status_{status}", 400)
        for updates in (dict.fromkeys(ids(300), ON), iter(pairs(300)), later(pairs(300))):
            before = sandbox.stats.requests
            run = client.numbers.bulk_update(updates, concurrency=8)
            report = await run
            sent = sandbox.stats.requests - before
            assert 1 <= sent == report.requests <= 8
            assert counts(report) == (0, sent, 0, 300 - sent)
            assert isinstance(report.stopped_by, kind)
            assert len(report.failures) == sent
            assert all(isinstance(result.error, kind) for result in report.failures)
            with pytest.raises(BulkError, match=f"HTTP {status}"):
                report.raise_for_failures()
        assert switched_on(sandbox) == set()
        assert sandbox.stats.by_status[status] == sandbox.stats.requests


@pytest.mark.req_16
async def test_a_wrong_key_and_a_key_that_may_only_read() -> None:
    """The sandbox itself sends the 401 and the 403; the 403 names the scope."""
    async with Sandbox(numbers=100) as sandbox, client_of(sandbox, api_key="wrong") as client:
        report = await client.numbers.bulk_update(dict.fromkeys(ids(100), ON), concurrency=4)
        assert isinstance(report.stopped_by, AuthenticationError)
        assert sandbox.stats.requests <= 4
    async with Sandbox(numbers=100, scopes={"numbers": "read"}) as sandbox, client_of(sandbox) as client:
        report = await client.numbers.bulk_update(dict.fromkeys(ids(100), ON), concurrency=4)
        assert isinstance(report.stopped_by, PermissionDeniedError)
        assert "numbers:write" in str(report.stopped_by)
        assert sandbox.stats.requests <= 4


@pytest.mark.req_16
@pytest.mark.req_17
async def test_the_results_of_a_stopped_run_name_every_input() -> None:
    """An iterated run also yields the items that were not sent, with the error that stopped the run."""
    async with Sandbox(numbers=100) as sandbox, client_of(sandbox, api_key="wrong") as client:
        for updates in (dict.fromkeys(ids(100), ON), iter(pairs(100))):
            run = client.numbers.bulk_update(updates, concurrency=4)
            results = [result async for result in run]
            assert sorted(result.id for result in results) == list(ids(100))
            assert Counter(result.status for result in results).keys() == {"failed", "not_sent"}
            assert all(isinstance(result.error, AuthenticationError) for result in results)
            assert (await run).total == 100


@pytest.mark.req_16
async def test_a_refusal_of_everything_stops_those_that_wait_for_their_turn() -> None:
    """At this rate, no other request is in flight when the first 401 arrives."""
    async with Sandbox(numbers=100) as sandbox, client_of(sandbox, api_key="wrong", rate=20) as client:
        report = await client.numbers.bulk_update(dict.fromkeys(ids(100), ON), concurrency=32)
        assert report.total == 100
        assert report.requests == sandbox.stats.requests <= 3


# -------------------------------------------------------------------------------------------------- the same id


@pytest.mark.req_20
async def test_a_number_that_comes_again_is_written_after_the_first_in_order() -> None:
    """The changes of a number are sent in order, never two at once, even through faults."""
    rounds, numbers = 12, 6
    updates = [
        (number, NumberUpdate(transcription_threshold=turn)) for turn in range(rounds) for number in ids(numbers)
    ]
    faults = Faults(reset_before=0.08, reset_after=0.08, half_body=0.05, status_503=0.05)
    async with Sandbox(numbers=10, latency=(0.0, 0.004), faults=faults, seed=2) as sandbox:
        async with client_of(sandbox, retry=attrs.evolve(FAST, attempts=12)) as client:
            report = await client.numbers.bulk_update(iter(updates), concurrency=16)
        assert counts(report) == (rounds * numbers, 0, 0, 0)
        assert sandbox.stats.faults.total() > 5
        written: dict[str, list[int]] = {}
        # The server may still handle a request that was reset while it handles the next: compare the order of arrival.
        for request in sorted(sandbox.requests, key=lambda request: request.at):
            written.setdefault(request.path, []).append(json.loads(request.body or b"{}")["transcription_threshold"])
        assert len(written) == numbers
        for thresholds in written.values():
            assert thresholds == sorted(thresholds)
            assert set(thresholds) == set(range(rounds))
        assert all(sandbox.numbers[number]["transcription_threshold"] == rounds - 1 for number in ids(numbers))


@pytest.mark.req_17
@pytest.mark.req_20
async def test_a_number_that_comes_again_after_a_failure_is_still_written() -> None:
    """The second change is sent however the first one ended."""

    def updates() -> Iterator[tuple[int, Any]]:
        yield 7, ON
        yield FIRST, "nonsense"
        yield FIRST, NumberUpdate()
        yield FIRST, ON
        yield 7, ON
        yield FIRST, NumberUpdate(sms_enabled=False)

    async with Sandbox(numbers=10, latency=0.005) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(updates(), concurrency=6)
        results = [(result.id, str(result.status)) async for result in run]
        assert Counter(results) == {(7, "failed"): 2, (FIRST, "failed"): 2, (FIRST, "updated"): 2}
        assert sandbox.numbers[FIRST]["sms_enabled"] is False
        assert sandbox.stats.updates == {FIRST: 2}
        await quiet(client)


# ----------------------------------------------------------------------------------------------------- bad input

BAD: list[tuple[Any, str]] = [
    ((0, ON), "number_id must be a positive integer, got 0"),
    ((-1, ON), "number_id must be a positive integer, got -1"),
    ((True, ON), "number_id must be a positive integer, got True"),
    (("12", ON), "number_id must be a positive integer, got '12'"),
    ((None, ON), "number_id must be a positive integer, got None"),
    ((12.0, ON), "number_id must be a positive integer, got 12.0"),
    (([1], ON), "number_id must be a positive integer"),
    ((FIRST, NumberUpdate()), "NumberUpdate is empty and would change nothing: set at least one of sms_enabled"),
    ((FIRST, UNSET), "must be a NumberUpdate, got UnsetType"),
    ((FIRST, {"sms_enabled": True}), "must be a NumberUpdate, got dict"),
    ((FIRST, None), "must be a NumberUpdate, got NoneType"),
]
NO_PAIRS: list[Any] = [FIRST, None, "ab", (FIRST,), (FIRST, ON, ON), {FIRST: ON}]


@pytest.mark.parametrize(("item", "words"), BAD)
async def test_a_bad_item_is_refused_with_the_same_words_everywhere(item: Any, words: str) -> None:
    """In a mapping or sequence, before anything is sent; in a generator, as its own result, and the run continues."""
    async with Sandbox(numbers=20) as sandbox, client_of(sandbox) as client:
        said = []
        if not isinstance(item[0], list):
            with pytest.raises(InputError, match=r"must be|empty") as caught:
                client.numbers.bulk_update({**dict.fromkeys(ids(5), ON), **dict([item])})
            said.append(str(caught.value))
        for sequence in ([*pairs(3), item], (item, *pairs(3))):
            with pytest.raises(InputError, match=r"updates\[[03]\]: ") as caught:
                client.numbers.bulk_update(sequence)
            said.append(str(caught.value).partition(": ")[2])
        assert sandbox.stats.requests == 0

        mixed = [*pairs(5), item, *((number, ON) for number in ids(5, FIRST + 5))]
        for updates in (iter(mixed), later(mixed)):
            sandbox.reset()
            report = await client.numbers.bulk_update(updates, concurrency=3)
            assert counts(report) == (10, 1, 0, 0)
            [failure] = report.failures
            assert (failure.id, failure.status, failure.attempts) == (item[0], "failed", 0)
            assert isinstance(failure.error, InputError)
            assert failure.error.outcome == "not_sent"
            said.append(str(failure.error))
            assert sandbox.stats.requests == report.requests == 10
        assert len(set(said)) == 1
        assert words in said[0]


@pytest.mark.parametrize("item", NO_PAIRS, ids=repr)
async def test_an_item_that_is_no_pair(item: Any) -> None:
    async with Sandbox(numbers=20) as sandbox, client_of(sandbox) as client:
        with pytest.raises(InputError, match=r"updates\[1\]: each update must be a pair \(id, NumberUpdate\), got"):
            client.numbers.bulk_update([(FIRST, ON), item])
        report = await client.numbers.bulk_update(iter([(FIRST, ON), item, (FIRST + 1, ON)]), concurrency=1)
        assert counts(report) == (2, 1, 0, 0)
        assert "must be a pair" in str(report.failures[0].error)
        assert switched_on(sandbox) == {FIRST, FIRST + 1}


@pytest.mark.req_17
@pytest.mark.req_24
@pytest.mark.parametrize("kind", [dict, iter], ids=["mapping", "generator"])
async def test_an_update_that_cannot_be_encoded_fails_alone(kind: Any) -> None:
    """A lone surrogate (from a file read with surrogateescape) must not affect the other items."""
    async with Sandbox(numbers=20) as sandbox, client_of(sandbox) as client:
        try:
            odd = NumberUpdate(call_status_url="https://example.com/\udcff")
        except InputError:
            return  # also correct: rejected where it was created
        updates = [*pairs(3), (FIRST + 3, odd), *((number, ON) for number in ids(6, FIRST + 4))]
        report = await client.numbers.bulk_update(kind(updates), concurrency=1)
        assert counts(report) == (9, 1, 0, 0)
        assert isinstance(report.failures[0].error, WavixError)
        assert sandbox.stats.requests == 9


@pytest.mark.req_17
async def test_a_generator_that_raises_ends_the_run_with_its_error() -> None:
    """Items pulled before the error still get their outcome."""

    class SourceError(Exception):
        pass

    def broken() -> Iterator[tuple[int, NumberUpdate]]:
        yield from pairs(30)
        raise SourceError("row 31 is torn")

    async def broken_later() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for pair in pairs(30):
            yield pair
        await asyncio.sleep(0)
        raise SourceError("row 31 is torn")

    for make in (broken, broken_later):
        async with Sandbox(numbers=100, latency=0.002) as sandbox, client_of(sandbox) as client:
            run = client.numbers.bulk_update(make(), concurrency=8)
            with pytest.raises(SourceError, match="row 31"):
                await run
            assert counts(run.report) == (30, 0, 0, 0)
            assert switched_on(sandbox) == set(ids(30))
            results: list[int] = []
            run = client.numbers.bulk_update(make(), concurrency=8)

            async def consume(run: BulkRun, results: list[int]) -> None:
                async for result in run:
                    results.append(result.id)

            with pytest.raises(SourceError, match="row 31"):
                await consume(run, results)
            assert sorted(results) == list(ids(30))
            await quiet(client)


# --------------------------------------------------------------------------------------------- faults (Done when 4)


@pytest.mark.req_04
@pytest.mark.req_05
async def test_six_hundred_updates_through_every_fault_all_end_updated() -> None:
    """The state of the sandbox and its count of requests agree with the report."""
    faults = Faults(
        reset_before=0.02,
        reset_after=0.02,
        half_body=0.02,
        garbage=0.01,
        status_500=0.07 / 3,
        status_502=0.07 / 3,
        status_503=0.07 / 3,
    )
    kinds = ("reset_before", "reset_after", "half_body", "garbage", "status_500", "status_502", "status_503")
    for seed in (0, 1):
        async with Sandbox(numbers=600, faults=faults, seed=seed) as sandbox:
            # The default policy with shorter waits; the budget is the default one, too.
            policy = RetryPolicy(backoff=0.05, max_backoff=8.0)
            async with client_of(sandbox, retry=policy) as client:
                report = await client.numbers.bulk_update(dict.fromkeys(ids(600), ON), concurrency=32)
                await_quiet = client.limits.snapshot()
            assert counts(report) == (600, 0, 0, 0), report.failures[:3]
            assert switched_on(sandbox) == set(ids(600))
            assert all(sandbox.stats.faults[kind] for kind in kinds), sandbox.stats.faults
            assert report.requests == sandbox.stats.requests
            assert report.rate_limited == 0
            assert sandbox.stats.requests - sandbox.stats.faults.total() <= 600
            assert (await_quiet.in_flight, await_quiet.waiting) == (0, 0)


@pytest.mark.req_09
@pytest.mark.req_17
async def test_an_outage_is_reported_truthfully() -> None:
    """Nothing is updated, the report claims nothing, and the traffic stays limited."""
    async with Sandbox(numbers=200, faults=Faults(status_503=1.0)) as sandbox:
        async with client_of(sandbox, retry=RetryPolicy(backoff=0.01, max_backoff=0.05)) as client:
            report = await client.numbers.bulk_update(dict.fromkeys(ids(200), ON), concurrency=16)
            await client.close()
        assert counts(report) == (0, 0, 200, 0)
        assert {result.error.status for result in report.failures if result.error} == {503}
        assert report.requests == sandbox.stats.requests
        # The run sends only a few of the reads, until it is clear that they fail as well.
        assert sum(result.attempts for result in report.failures) <= 1.3 * 200 + 30
        assert sandbox.stats.requests <= 1.3 * 200 + 30 + 60
        assert switched_on(sandbox) == set()


@pytest.mark.req_17
async def test_what_may_have_been_changed_is_unknown() -> None:
    """The API carries out the changes, and answers neither them nor the reads."""
    async with Sandbox(numbers=50, faults=Faults(reset_after=1.0)) as sandbox:
        async with client_of(sandbox, retry=RetryPolicy.none()) as client:
            report = await client.numbers.bulk_update(dict.fromkeys(ids(50), ON), concurrency=8)
        assert counts(report) == (0, 0, 50, 0)
        assert report.requests == sandbox.stats.requests < 50 + 30
        assert not any(result.settled for result in report.failures)
        assert switched_on(sandbox) == set(ids(50))


@pytest.mark.req_03
@pytest.mark.req_17
async def test_what_never_left_is_not_sent() -> None:
    """No server listens on the port."""
    async with Sandbox(numbers=1) as sandbox:
        url = sandbox.url
    async with WavixClient("key", base_url=url, retry=FAST) as client:
        run = client.numbers.bulk_update(dict.fromkeys(ids(10), ON), concurrency=4)
        results = [result async for result in run]
        assert {(str(result.status), result.attempts) for result in results} == {("not_sent", 0)}
        report = await run
        assert counts(report) == (0, 0, 0, 10)
        assert report.requests == 0
        with pytest.raises(BulkError, match="Cannot connect"):
            report.raise_for_failures()


# ------------------------------------------------------------------------------------------------ the semaphore


@pytest.mark.parametrize("concurrency", [1, 3, 20])
async def test_no_more_are_on_the_wire_than_allowed(concurrency: int) -> None:
    faults = Faults(status_503=0.1, reset_after=0.1, garbage=0.05)
    async with Sandbox(numbers=150, latency=0.003, faults=faults) as sandbox:
        async with client_of(sandbox, retry=attrs.evolve(FAST, attempts=12)) as client:
            report = await client.numbers.bulk_update(dict.fromkeys(ids(150), ON), concurrency=concurrency)
        assert counts(report) == (150, 0, 0, 0)
        assert sandbox.stats.faults.total() > 10
        # The client notices a reset connection before the sandbox has finished with it.
        assert sandbox.stats.max_in_flight <= concurrency + 1
        if concurrency == 3:
            assert sandbox.stats.max_in_flight >= 3


async def test_two_runs_have_a_semaphore_each_and_share_the_connections() -> None:
    async with Sandbox(numbers=100, latency=0.004) as sandbox, client_of(sandbox, max_connections=6) as client:
        first, second = await asyncio.gather(
            finish(client.numbers.bulk_update(dict.fromkeys(ids(50), ON), concurrency=4)),
            finish(client.numbers.bulk_update(dict.fromkeys(ids(50, FIRST + 50), ON), concurrency=4)),
        )
        assert counts(first) == counts(second) == (50, 0, 0, 0)
        assert (first.requests, second.requests) == (50, 50)
        assert 4 <= sandbox.stats.max_in_flight <= 6
        await quiet(client)


# ------------------------------------------------------------------------------------------------ ends of a run


@pytest.mark.req_10
async def test_leaving_the_loop_early_leaves_no_task() -> None:
    for updates in (dict.fromkeys(ids(300), ON), iter(pairs(300)), later(pairs(300))):
        async with Sandbox(numbers=300, latency=0.003) as sandbox, client_of(sandbox) as client:
            run = client.numbers.bulk_update(updates, concurrency=8)
            landed = 0
            async for result in run:
                assert result.status == "updated"
                landed += 1
                if landed == 5:
                    break
            async with asyncio.timeout(SOON):
                while any("BulkRun" in repr(task) for task in asyncio.all_tasks()):
                    await asyncio.sleep(0.005)
            seen = sandbox.stats.requests
            report = run.report
            await quiet(client)
            await asyncio.sleep(0.03)
            assert sandbox.stats.requests == seen + 1
            # A request cancelled before the sandbox reads it counts as sent: the client cannot see the difference.
            assert seen <= report.requests == report.updated + report.unknown
            if isinstance(updates, dict):
                assert report.total == 300
            assert len(switched_on(sandbox)) <= report.updated + report.unknown


@pytest.mark.req_10
@pytest.mark.req_17
async def test_cancelling_a_run_ends_it_promptly_and_the_report_adds_up() -> None:
    """An item that had not ended is `unknown` if it was sent, otherwise `not_sent`."""
    for updates in (dict.fromkeys(ids(200), ON), iter(pairs(200))):
        sandbox = Sandbox(numbers=200, latency=0.01, faults=Faults(stall=0.05), seed=1)
        async with sandbox, client_of(sandbox) as client:
            run = client.numbers.bulk_update(updates, concurrency=8)
            task = asyncio.create_task(finish(run))
            while sandbox.stats.requests < 60:
                await asyncio.sleep(0.005)
            loop = asyncio.get_running_loop()
            began = loop.time()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert loop.time() - began < SOON
            seen = sandbox.stats.requests
            report = run.report
            assert report.updated > 0
            assert report.unknown > 0
            assert report.failed == 0
            assert report.updated + report.unknown >= len(switched_on(sandbox))
            if isinstance(updates, dict):
                assert report.total == 200
                assert report.not_sent == 200 - report.updated - report.unknown
            await asyncio.sleep(0.05)
            assert sandbox.stats.requests == seen
            sandbox.fail_next("slow", 1, match="DELETE")  # matches no request, so that only the random faults occur
            assert (await run_again(client, 20)).updated == 20


async def run_again(client: WavixClient, count: int) -> BulkReport:
    """Run again with the same client: a cancelled run holds nothing, so this one works, even with stalls."""
    patient = client.with_options(timeout=0.3)
    return await patient.numbers.bulk_update(dict.fromkeys(ids(count), ON), concurrency=8)


@pytest.mark.req_10
async def test_a_run_that_is_iterated_can_be_cancelled() -> None:
    async with Sandbox(numbers=200, latency=0.01) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(dict.fromkeys(ids(200), ON), concurrency=8)
        landed = []

        async def consume() -> None:
            async for result in run:
                landed.append(result)

        task = asyncio.create_task(consume())
        while len(landed) < 20:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        report = run.report
        assert report.total == 200
        assert report.updated >= len(landed)
        seen = sandbox.stats.requests
        await asyncio.sleep(0.05)
        assert sandbox.stats.requests == seen
        await quiet(client)


@pytest.mark.req_12
async def test_a_slow_consumer_holds_the_run_back() -> None:
    """Results do not accumulate when the caller does not consume them."""
    async with Sandbox(numbers=200) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(iter(pairs(200)), concurrency=4)
        taken = 0
        async for _ in run:
            taken += 1
            if taken == 3:
                await asyncio.sleep(0.1)
                assert sandbox.stats.requests <= taken + 5 * 4
        assert taken == 200


@pytest.mark.req_10
@pytest.mark.req_17
async def test_stop_lets_what_is_on_the_wire_finish() -> None:
    """The remaining items are `not_sent`, in an iterated and in an awaited run."""
    async with Sandbox(numbers=200, latency=0.02) as sandbox, client_of(sandbox) as client:
        for updates in (dict.fromkeys(ids(200), ON), iter(pairs(200)), later(pairs(200))):
            sandbox.reset()
            run = client.numbers.bulk_update(updates, concurrency=8)
            results = []
            async for result in run:
                results.append(result)
                if len(results) == 10:
                    run.stop()
            report = await run
            assert report.total == len(results) == 200
            assert report.failed == report.unknown == 0
            assert 10 <= report.updated <= 26
            assert report.updated == len(switched_on(sandbox)) == sandbox.stats.requests
            assert report.stopped_by is None
            assert sorted(result.id for result in results) == list(ids(200))
        await quiet(client)


async def test_stop_before_the_start_sends_nothing() -> None:
    async with Sandbox(numbers=10) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(dict.fromkeys(ids(10), ON))
        run.stop()
        assert counts(await run) == (0, 0, 0, 10)
        assert sandbox.stats.requests == 0


@pytest.mark.req_10
async def test_the_grace_of_stop_ends() -> None:
    """Items in flight that do not finish in time are `unknown`."""
    async with Sandbox(numbers=50, faults=Faults(stall=1.0)) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(dict.fromkeys(ids(50), ON), concurrency=4)
        task = asyncio.create_task(finish(run))
        while sandbox.stats.requests < 4:
            await asyncio.sleep(0.005)
        run.stop(grace=0.1)
        report = await asyncio.wait_for(task, SOON)
        assert counts(report) == (0, 0, 4, 46)
        assert sandbox.stats.requests == report.requests == 4


@pytest.mark.req_17
async def test_what_the_end_of_the_grace_gives_up_lands_too() -> None:
    """`async for` yields every input, as after a 401."""
    async with Sandbox(numbers=50, faults=Faults(stall=1.0)) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(dict.fromkeys(ids(10), ON), concurrency=4)

        async def stop_it() -> None:
            while sandbox.stats.requests < 4:
                await asyncio.sleep(0.005)
            run.stop(0.05)

        stopping = asyncio.create_task(stop_it())
        results = [result async for result in run]
        await stopping
        assert sandbox.stats.requests == 4
        assert (await run).total == 10
        assert sorted(result.id for result in results) == list(ids(10))


@pytest.mark.req_10
async def test_stop_ends_a_run_whose_input_never_ends() -> None:
    """The run stops reading: a queue or a live feed has no end, so its items cannot be counted."""

    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for turn in itertools.count():
            yield FIRST + turn % 50, ON
            await asyncio.sleep(0.002)

    async with Sandbox(numbers=50) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(feed(), concurrency=4)
        task = asyncio.create_task(finish(run))
        while sandbox.stats.requests < 20:
            await asyncio.sleep(0.005)
        run.stop(grace=0.1)
        report = await asyncio.wait_for(task, SOON)
        assert report.updated >= 20


@pytest.mark.req_10
async def test_stop_stops_those_that_wait_for_their_turn() -> None:
    """They were not sent, so they are `not_sent`."""
    async with Sandbox(numbers=100) as sandbox, client_of(sandbox, rate=20) as client:
        run = client.numbers.bulk_update(dict.fromkeys(ids(100), ON), concurrency=32)
        task = asyncio.create_task(finish(run))
        while sandbox.stats.requests < 2:
            await asyncio.sleep(0.005)
        at_stop = sandbox.stats.requests
        run.stop()
        report = await task
        assert report.total == 100
        assert sandbox.stats.requests <= at_stop + 2


@pytest.mark.req_17
@pytest.mark.req_22
async def test_closing_the_client_during_a_run_stops_it() -> None:
    """The run ends, and its counts add up."""
    for updates in (dict.fromkeys(ids(300), ON), iter(pairs(300))):
        async with Sandbox(numbers=300, latency=0.01) as sandbox, client_of(sandbox) as client:
            run = client.numbers.bulk_update(updates, concurrency=8)
            task = asyncio.create_task(finish(run))
            while sandbox.stats.requests < 30:
                await asyncio.sleep(0.005)
            await client.close()
            report = await asyncio.wait_for(task, SOON)
            assert report.total == 300
            assert isinstance(report.stopped_by, ClientClosedError)
            assert report.failed == 0
            assert report.not_sent >= 200
            assert report.updated + report.unknown >= len(switched_on(sandbox))
            assert report.requests <= sandbox.stats.requests + 8


@pytest.mark.req_17
@pytest.mark.req_22
async def test_a_run_on_a_closed_client_sends_nothing() -> None:
    async with Sandbox(numbers=10) as sandbox:
        client = client_of(sandbox)
        await client.close()
        report = await client.numbers.bulk_update(dict.fromkeys(ids(10), ON), concurrency=4)
        assert counts(report) == (0, 0, 0, 10)
        assert isinstance(report.stopped_by, ClientClosedError)
        with pytest.raises(BulkError):
            report.raise_for_failures()


# ----------------------------------------------------------------------------------------------------- progress


@pytest.mark.req_25
async def test_progress_comes_in_frozen_records_and_the_last_is_final() -> None:
    told: list[BulkProgress] = []
    async with Sandbox(numbers=120, latency=0.02) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update({**dict.fromkeys(ids(120), ON), 9: ON}, concurrency=4, on_progress=told.append)
        report = await run
        last = told[-1]
        assert len(told) >= 3
        assert (last.updated, last.failed, last.unknown, last.not_sent) == counts(report) == (120, 1, 0, 0)
        assert (last.done, last.total, last.requests) == (121, 121, 121)
        assert last.elapsed == report.elapsed
        assert [progress.done for progress in told] == sorted(progress.done for progress in told)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            last.done = 0  # type: ignore[misc]
        assert run.progress == last
        assert sandbox.stats.requests == 121
        told.clear()
        await client.numbers.bulk_update(iter(pairs(5)), on_progress=told.append)
        assert (told[-1].total, told[-1].done) == (None, 5)


@pytest.mark.req_17
@pytest.mark.req_25
@pytest.mark.parametrize("kind", [dict, iter], ids=["mapping", "generator"])
async def test_a_progress_callback_that_raises_once_loses_nothing(kind: Any) -> None:
    """The error is contained, or it ends the run at once; no item is lost."""
    calls = 0

    def broken(_: BulkProgress) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError("a terminal that went away")

    async with Sandbox(numbers=60, latency=0.01) as sandbox, client_of(sandbox) as client:
        run = client.numbers.bulk_update(kind(pairs(60)), concurrency=1, on_progress=broken)
        try:
            report = await run
        except ZeroDivisionError:
            return
        assert calls > 1
        assert counts(report) == (60, 0, 0, 0)
        assert switched_on(sandbox) == set(ids(60))


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5, "8", None])
async def test_a_concurrency_that_is_none(concurrency: Any) -> None:
    async with Sandbox(numbers=1) as sandbox, client_of(sandbox) as client:
        with pytest.raises(InputError, match="concurrency must be a whole number of 1 or more"):
            client.numbers.bulk_update({FIRST: ON}, concurrency=concurrency)
        assert sandbox.stats.requests == 0


# -------------------------------------------------------------------------------------------------- a rate limit


@pytest.mark.req_06
@pytest.mark.req_09
@pytest.mark.req_13
async def test_a_rate_limit_is_learned_and_every_item_gets_through() -> None:
    """The run waits after every 429, and counts it."""
    async with Sandbox(numbers=150, rate=100, burst=10, retry_after=None) as sandbox, client_of(sandbox) as client:
        report = await client.numbers.bulk_update(dict.fromkeys(ids(150), ON), concurrency=16)
        assert counts(report) == (150, 0, 0, 0)
        assert report.rate_limited == sandbox.stats.refused > 0
        assert report.requests == sandbox.stats.requests == 150 + sandbox.stats.refused
        assert switched_on(sandbox) == set(ids(150))
