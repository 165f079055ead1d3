"""Equal changes in batches: few requests, and still one exact outcome for every number."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bulk import FAST, ON, finish
from tests.support.stub import NUMBER, Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    BulkReport,
    BulkResult,
    BulkRun,
    ConfigurationError,
    NumberUpdate,
    WavixClient,
)
from wavix_async.sandbox import Faults, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.req_17, pytest.mark.req_21]

LOST = Reply(error=aiohttp.ServerDisconnectedError(), applied=False)


class Server:
    """A model of the API: it accepts or rejects a batch as a whole, and its reads are correct."""

    def __init__(self, answer: Callable[[Seen], Reply | None] = lambda _: None, unknown: frozenset[int] = frozenset()):
        self.answer, self.unknown = answer, unknown
        self.changed: Counter[int] = Counter()
        self.requests: list[tuple[str, list[int]]] = []
        self.session = StubSession(self._meet, latency=0.01)
        self.client = WavixClient("key", base_url="http://127.0.0.1:1", session=self.session, retry=FAST)  # type: ignore[arg-type]

    def _meet(self, seen: Seen) -> Reply:
        ids = seen.body["ids"] if seen.path == "/v1/numbers" else [seen.id]
        self.requests.append((seen.method, ids))
        said = self.answer(seen)
        if said is not None and not said.applied and (said.error or said.status != 200):
            return said
        if self.unknown & set(ids):
            return Reply(404, {"message": "Record not found"})
        if seen.method == "PATCH":
            self.changed.update(ids)
        return said or Reply()

    def update(self, ids: Any, **options: Any) -> BulkRun:
        return self.client.numbers.bulk_update(((number, ON) for number in ids), **{"batch": "auto", **options})


async def results_of(run: BulkRun) -> dict[int, BulkResult]:
    return {result.id: result async for result in run}


def sizes(server: Server) -> list[int]:
    return [len(ids) for method, ids in server.requests if method == "PATCH"]


def test_equal_changes_go_together_and_others_apart() -> None:
    server = Server()
    updates = [(number, NumberUpdate(transcription_threshold=number % 5)) for number in range(1, 1001)]
    report = run_virtual(finish(server.client.numbers.bulk_update(updates, batch="auto")))
    assert (report.updated, report.total, report.requests) == (1000, 1000, 10)
    assert sizes(server) == [100] * 10
    assert all(len({number % 5 for number in ids}) == 1 for _, ids in server.requests)


def test_a_size_can_be_given_and_the_rest_goes_too() -> None:
    server = Server()
    results = run_virtual(results_of(server.update(range(1, 26), batch=10)))
    assert sorted(sizes(server)) == [5, 10, 10]
    assert {(str(each.status), each.attempts) for each in results.values()} == {("updated", 1)}
    assert all(each.value and each.value.id == number for number, each in results.items())


def test_a_bad_id_costs_a_few_requests_and_never_the_batch() -> None:
    bad = frozenset({7, 8, 350})
    server = Server(unknown=bad)
    report = run_virtual(finish(server.update(range(1, 401))))
    assert (report.updated, report.failed, report.total) == (397, 3, 400)
    assert {result.id for result in report.failures} == bad
    assert {result.error.status for result in report.failures if result.error} == {404}
    # Four batches, and seven levels of halving for each bad id.
    assert report.requests == server.session.requests <= 4 + 3 * 15
    assert set(server.changed.values()) == {1}


@pytest.mark.parametrize("status", [413, 414, 422])
def test_a_batch_that_is_too_large_is_halved_and_the_size_remembered(status: int) -> None:
    def answer(seen: Seen) -> Reply | None:
        too_many = seen.path == "/v1/numbers" and len(seen.body["ids"]) > 30
        return Reply(status, {"message": "Too many ids, at most 30"}) if too_many else None

    server = Server(answer)
    report = run_virtual(finish(server.update(range(1, 2001), concurrency=1)))
    assert report.updated == 2000
    assert max(sizes(server)[20:]) <= 25
    assert report.requests <= 2000 / 25 + 40


def test_a_batch_that_takes_too_long_is_halved() -> None:
    def answer(seen: Seen) -> Reply | None:
        return Reply(before=60) if seen.path == "/v1/numbers" and len(seen.body["ids"]) > 30 else None

    server = Server(answer)
    client = server.client.with_options(timeout=1)
    run = client.numbers.bulk_update(dict.fromkeys(range(1, 301), ON), batch="auto", concurrency=2)
    report = run_virtual(finish(run))
    assert (report.updated, report.total) == (300, 300)
    # Some batches that are too large were in flight when the run learned the limit.
    assert len([size for size in sizes(server) if size > 30]) <= 3 * 12
    assert min(sizes(server)) >= 10


def test_what_an_answer_leaves_out_is_sent_alone() -> None:
    def answer(seen: Seen) -> Reply | None:
        if seen.path != "/v1/numbers":
            return None
        ids = seen.body["ids"]
        return Reply(body={"items": [{**NUMBER, "id": number} for number in ids if number % 10]}, applied=True)

    server = Server(answer)
    results = run_virtual(results_of(server.update(range(1, 101))))
    assert {str(each.status) for each in results.values()} == {"updated"}
    assert {number for number, each in results.items() if each.attempts == 2} == set(range(10, 101, 10))
    assert sorted(sizes(server)) == [1] * 10 + [100]


def test_an_answer_without_numbers_is_no_confirmation() -> None:
    server = Server(lambda seen: Reply(body={"items": None}) if seen.path == "/v1/numbers" else None)
    report = run_virtual(finish(server.update(range(1, 51))))
    assert (report.updated, report.total) == (50, 50)
    assert any(method == "GET" for method, _ in server.requests)


@pytest.mark.req_16
@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_refusal_of_the_key_is_not_halved(status: int) -> None:
    server = Server(lambda _: Reply(status))
    report = run_virtual(finish(server.update(range(1, 1001), concurrency=2)))
    assert (report.failed, report.not_sent, report.total) == (200, 800, 1000) or report.not_sent >= 800
    assert report.stopped_by is not None
    assert len(server.requests) <= 2


@pytest.mark.req_20
def test_a_number_that_comes_again_waits_for_its_batch() -> None:
    server = Server()
    updates = [(1, ON), (2, ON), (1, NumberUpdate(sms_enabled=False)), (1, ON)]
    report = run_virtual(finish(server.client.numbers.bulk_update(iter(updates), batch="auto")))
    assert report.updated == 4
    of_first = [ids for _, ids in server.requests if 1 in ids]
    assert [sorted(ids) for ids in of_first] == [[1, 2], [1], [1]]


def test_unknown_outcomes_of_a_batch_are_settled_one_by_one() -> None:
    """The API applies the batch and never answers: reads show the outcome."""
    done_unheard = Reply(error=aiohttp.ServerDisconnectedError(), applied=True)
    server = Server(lambda seen: done_unheard if seen.path == "/v1/numbers" else None)
    results = run_virtual(results_of(server.update(range(1, 21))))
    assert {(str(each.status), each.settled) for each in results.values()} == {("updated", True)}


@pytest.mark.req_10
@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_a_run_of_batches_that_is_ended_says_what_it_left(how: str) -> None:
    server = Server(lambda _: Reply(body={"items": []}, before=3, applied=True))

    async def main() -> tuple[BulkReport, float]:
        loop = asyncio.get_running_loop()
        run = server.update(range(1, 1001), concurrency=2)
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(1)
        began = loop.time()
        if how == "stop":
            run.stop(grace=0.5)
        else:
            task.cancel()
        await asyncio.wait([task])
        took = loop.time() - began
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return run.report, took

    report, took = run_virtual(main())
    assert took <= (0.55 if how == "stop" else 0.05)
    # Two batches were in flight.
    assert report.unknown == 200
    assert report.updated == report.failed == 0
    if how == "stop":
        assert (report.not_sent, report.total) == (800, 1000)


@pytest.mark.parametrize("batch", [0, 1, -5, True, "all", 2.5])
def test_a_batch_that_is_none_is_refused(batch: Any) -> None:
    with pytest.raises(ConfigurationError, match="batch must be"):
        Server().client.numbers.bulk_update({1: ON}, batch=batch)


REPLIES: dict[str, Reply | None] = {
    "ok": None,
    "500": Reply(500),
    "413": Reply(413),
    "422": Reply(422, {"message": "no"}),
    "lost": LOST,
    "done": Reply(error=aiohttp.ServerDisconnectedError(), applied=True),
    "garbage": Reply(200, "what", applied=True),
    "429": Reply(429, {}, {"Retry-After": "0.2"}),
}


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    replies=st.lists(st.sampled_from([*REPLIES, "ok", "ok", "ok"]), max_size=40),
    numbers=st.lists(st.integers(1, 30), max_size=80),
    unknown=st.frozensets(st.integers(1, 30), max_size=4),
    size=st.integers(2, 12),
    concurrency=st.integers(1, 4),
    end=st.one_of(st.none(), st.tuples(st.sampled_from(["stop", "cancel"]), st.floats(0, 0.5))),
)
def test_whatever_happens_every_number_has_one_true_outcome(
    replies: list[str],
    numbers: list[int],
    unknown: frozenset[int],
    size: int,
    concurrency: int,
    end: tuple[str, float] | None,
) -> None:
    queue = iter(replies)
    server = Server(lambda seen: REPLIES[next(queue, "ok")] if seen.method == "PATCH" else None, unknown)

    async def main() -> tuple[list[BulkResult], BulkReport]:
        run = server.update(numbers, batch=size, concurrency=concurrency)
        results: list[BulkResult] = []

        async def consume() -> None:
            async for result in run:
                results.append(result)

        task = asyncio.ensure_future(consume())
        if end is not None:
            await asyncio.wait([task], timeout=end[1])
            if end[0] == "stop":
                run.stop(grace=0.1)
            else:
                task.cancel()
        await asyncio.wait([task])
        for _ in range(20):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        snapshot = server.client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
        return results, run.report

    results, report = run_virtual(main())
    if end is None or end[0] == "stop":
        assert Counter(result.id for result in results) == Counter(numbers)
        assert report.total == len(numbers)
    assert report.requests == server.session.requests
    once = {number for number, times in Counter(numbers).items() if times == 1}
    for result in results:
        if result.status == "updated":
            assert server.changed[result.id]
        elif result.status == "not_sent" and result.id in once:
            assert not server.changed[result.id]
        elif result.status == "failed" and result.id in once:
            # A real server rejects the content of a request at every attempt; this one rejects at random.
            at_random = result.error is not None and result.error.status in {413, 422}
            assert at_random or not server.changed[result.id]
            assert result.id in unknown or "422" in replies or "413" in replies or result.settled


async def test_ten_thousand_numbers_in_a_few_hundred_requests() -> None:
    """Five different changes, twenty unknown ids, faults, and a server that accepts 100 changes per request."""
    async with Sandbox(numbers=10_000, batch_limit=100, faults=Faults(status_503=0.01, reset_after=0.01)) as sandbox:
        known = list(sandbox.numbers)
        bad = [known[-1] + 1 + number for number in range(20)]
        changes = [NumberUpdate(transcription_threshold=10 + number) for number in range(5)]
        wanted = {number: changes[at % 5] for at, number in enumerate([*known, *bad])}
        async with WavixClient(sandbox.api_key, base_url=sandbox.url, retry=FAST) as client:
            report = await client.numbers.bulk_update(wanted, batch="auto")
        assert (report.updated, report.failed, report.total) == (10_000, 20, 10_020)
        assert sorted(result.id for result in report.failures) == bad
        assert report.requests <= 500
        assert report.requests == sandbox.stats.requests
        for number in known:
            assert sandbox.numbers[number]["transcription_threshold"] == wanted[number].transcription_threshold
