"""Memory depends on the concurrency also when everything fails, in each way in which an item can fail."""

from __future__ import annotations

import gc
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest

from tests.support import failing_bulk
from tests.support.bulk import ON, dropped, fast_client, finish, run_from_1000
from tests.support.stub import NUMBER, Reply, Seen, StubSession
from wavix_async import (
    BulkReport,
    BulkRun,
    BulkStatus,
    ConnectError,
    NumberUpdate,
    Operation,
    RetryPolicy,
    Success,
    Timeouts,
    WavixClient,
)
from wavix_async.bulk import BulkOperation

pytestmark = [pytest.mark.req_12, pytest.mark.req_29]

ONCE = RetryPolicy(attempts=1)
BATCH = "/v1/numbers"
POST = Operation("POST", "/v3/messages/{id}", Success)


def refused(_: object = None) -> Reply:
    return Reply(error=aiohttp.ClientConnectorError(None, OSError("refused")), applied=False)  # type: ignore[arg-type]


def send_message(client: Any, key: int, text: str) -> Awaitable[Success]:
    return client.call(POST, path={"id": key}, body={"text": text})


MESSAGES: BulkOperation[int, str, Success] = BulkOperation(
    name=POST.name, check=lambda key, change: None, send=send_message, change_type=str
)


@pytest.fixture(autouse=True)
def _collections_that_take_no_time() -> Iterator[None]:
    """Keep the garbage collector from visiting all that the other tests have left."""
    gc.freeze()
    yield
    gc.unfreeze()


@attrs.frozen
class Way:
    """A way to fail.

    Attributes:
        answer: Answers a change; one item in four succeeds, so that no outage ends the run.
        read: Answers a read.
        item: Returns the item with this number.
        status: How each item that fails ends.
        options: Options of the run.
        operation: The operation; None: `numbers.bulk_update`.
        doubtful: Whether the run keeps changes until it can read them.
    """

    answer: Callable[[Seen], Reply]
    status: BulkStatus
    read: Callable[[Seen], Reply] = lambda _: Reply()
    item: Callable[[int], Any] = lambda number: (
        10**6 + number,
        NumberUpdate(call_status_url=f"https://example.com/{number}"),
    )
    options: dict[str, Any] = attrs.field(factory=dict)
    operation: Any = None
    doubtful: bool = False


def body() -> dict[str, Any]:
    return {"message": "no", "trace": "x" * 200}


WAYS = {
    "404": Way(lambda _: Reply(404, body()), BulkStatus.FAILED),
    "an invalid item": Way(lambda _: Reply(), BulkStatus.FAILED, item=lambda number: (-number, ON)),
    "no pair": Way(lambda _: Reply(), BulkStatus.FAILED, item=lambda number: f"number {number}"),
    "equal keys": Way(lambda _: Reply(422, body()), BulkStatus.FAILED, item=lambda number: (number % 7 + 1, ON)),
    "a bad id in a batch": Way(
        lambda _: Reply(404, body()),
        BulkStatus.FAILED,
        item=lambda number: (number + 1, ON),
        options={"batch": 10, "concurrency": 2},
    ),
    "500, not applied": Way(lambda _: Reply(500, body(), applied=False), BulkStatus.FAILED, doubtful=True),
    "a lost answer, unreadable": Way(
        lambda _: dropped(applied=True), BulkStatus.UNKNOWN, read=lambda _: Reply(500, body()), doubtful=True
    ),
    "a timeout, unreadable": Way(
        lambda _: Reply(before=60), BulkStatus.UNKNOWN, read=lambda _: Reply(403, body()), doubtful=True
    ),
    "never left": Way(refused, BulkStatus.NOT_SENT, read=refused, doubtful=True),
    "a message whose answer is lost": Way(
        lambda _: dropped(applied=True), BulkStatus.UNKNOWN, item=lambda number: (number, "Hello"), operation=MESSAGES
    ),
    "a message that never left": Way(
        refused,
        BulkStatus.NOT_SENT,
        item=lambda number: (number, "Hello"),
        operation=MESSAGES,
        doubtful=True,
    ),
}


def accepted(seen: Seen) -> Reply:
    return Reply(body={"items": [{**NUMBER, "id": each, "sms_enabled": True} for each in seen.body["ids"]]})


def run_failing(way: Way, count: int, measured: tuple[int, ...], **options: Any) -> tuple[BulkReport, dict[int, int]]:
    """Run items that fail in this way; return the report and the blocks of memory in use before some of the items."""
    held: dict[int, int] = {}
    answered = 0

    def answer(seen: Seen) -> Reply:
        nonlocal answered
        if seen.method == "GET":
            return way.read(seen)
        answered += 1
        if seen.path == BATCH:
            # The first batch is accepted: the API takes batches.
            return accepted(seen) if answered == 1 else way.answer(seen)
        return Reply(body={"success": True} if way.operation else None) if answered % 4 == 0 else way.answer(seen)

    session = StubSession(answer, latency=0.01)

    async def items() -> AsyncIterator[Any]:
        for number in range(1, count + 1):
            if number in measured:
                session.forget()
                gc.collect()
                held[number] = sys.getallocatedblocks()
            yield way.item(number)

    client = fast_client(session, retry=ONCE, timeout=Timeouts(attempt=5))
    run: BulkRun[Any, Any]
    options = {"concurrency": 16, **way.options, **options}
    if way.operation is None:
        run = client.numbers.bulk_update(items(), **options)
    else:
        run = BulkRun(client, items(), operation=way.operation, **options)
    return run_from_1000(finish(run)), held


# One of each end, with and without waiting to be read, in a batch, and of an operation that cannot be read.
SOME = ["404", "a bad id in a batch", "a lost answer, unreadable", "never left", "a message whose answer is lost"]


@pytest.mark.parametrize(
    "way", [*SOME, *(pytest.param(way, marks=pytest.mark.scale) for way in WAYS if way not in SOME)]
)
def test_nothing_of_a_failed_item_stays(way: str, bound: int) -> None:
    """Measure all memory, not only known objects: anything kept of an item is at least one block."""
    # By then the report keeps all the failures that it may, `bound` changes wait to be read, and what the client knows
    # of its latest requests is complete.
    first = 250 + bound * (28 if WAYS[way].doubtful else 15) // 10
    last = first + 400
    report, held = run_failing(WAYS[way], last, (first, last))
    assert report.total == last
    assert (
        report.total - report.succeeded
        == {
            BulkStatus.FAILED: report.failed,
            BulkStatus.UNKNOWN: report.unknown,
            BulkStatus.NOT_SENT: report.not_sent,
        }[WAYS[way].status]
    )
    assert len(report.failures) == bound
    assert report.failures_total == report.total - report.succeeded
    assert held[last] - held[first] < 200, held


def test_nothing_of_a_failed_item_stays_when_the_caller_iterates(bound: int) -> None:
    """Results are passed on one by one."""

    async def main() -> BulkReport:
        async for result in run:
            assert result.status is not BulkStatus.UPDATED
        return await run

    held: list[int] = []
    first = 250 + bound * 15 // 10
    last = first + 400

    async def items() -> AsyncIterator[Any]:
        for number in range(1, last + 1):
            if number in (first, last):
                session.forget()
                gc.collect()
                held.append(sys.getallocatedblocks())
            yield number, ON

    session = StubSession(lambda _: Reply(404, body()), latency=0.01)
    run = fast_client(session).numbers.bulk_update(items(), concurrency=16)
    report = run_from_1000(main())
    assert (report.failed, len(report.failures)) == (last, bound)
    assert held[1] - held[0] < 200


def test_nothing_of_the_rest_stays_after_a_stop() -> None:
    """A rejected key leaves most of the input unsent; the run still reads and counts it."""
    held: list[int] = []

    async def items() -> AsyncIterator[Any]:
        for number in range(1, 2_001):
            if number in (1_000, 2_000):
                gc.collect()
                held.append(sys.getallocatedblocks())
            yield number, ON

    session = StubSession(lambda _: Reply(401, body()), latency=0.01)
    report = run_from_1000(finish(fast_client(session).numbers.bulk_update(items(), concurrency=16)))
    assert report.total == 2_000
    assert report.not_sent >= 2_000 - 16
    assert report.failures_total == len(report.failures) <= 16
    assert held[1] - held[0] < 300


def test_an_error_in_a_report_keeps_neither_frames_nor_bodies() -> None:
    """A decoding error has the whole text, and a refused connection has the system's error with its frames."""

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return refused()
        if seen.id == 1:
            return Reply(200, body="x" * 10_000, headers={"Content-Type": "application/json"})
        return [Reply(422, body()), dropped(applied=False), refused()][seen.id % 3]

    session = StubSession(answer, latency=0.01)
    items = [(0, ON), *((number, ON) for number in range(1, 9)), "no pair"]
    report = run_from_1000(finish(fast_client(session, retry=ONCE).numbers.bulk_update(iter(items))))
    assert len(report.failures) == 10
    for failure in report.failures:
        check_small(failure.error)


async def test_an_error_of_a_real_connection_keeps_no_frames() -> None:
    """`localhost` has two addresses, so the system's error is a group of two."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://localhost:{taken.getsockname()[1]}"
        async with WavixClient("key", base_url=url, retry=ONCE) as client:
            report = await client.numbers.bulk_update({1: ON, 2: ON})
    assert [type(failure.error) for failure in report.failures] == [ConnectError] * 2
    for failure in report.failures:
        assert check_small(failure.error) > 1


def check_small(error: BaseException | None) -> int:
    """Check that nothing that an error refers to keeps frames or a body; return how many errors there are."""
    known: list[Any] = [error]
    for each in known:
        assert each.__traceback__ is None
        assert not isinstance(each, json.JSONDecodeError | UnicodeError)
        known += [one for one in (each.__cause__, each.__context__) if one is not None]
        known += [one for one in vars(each).values() if isinstance(one, BaseException)]
        known += each.exceptions if isinstance(each, BaseExceptionGroup) else ()
    return len(known)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the memory of a process from /proc")
@pytest.mark.parametrize(
    ("items", "size"),
    [
        (1_200, 10_000),
        pytest.param(10_000, 100, marks=pytest.mark.scale),
        pytest.param(1_000_000, 100, marks=pytest.mark.scale),
        pytest.param(100_000, 10_000, marks=pytest.mark.scale),
    ],
)
def test_a_run_of_which_every_item_fails_takes_little_memory(items: int, size: int) -> None:
    measured = failing_bulk.measure(items, size)
    assert (measured["failed"], measured["kept"]) == (items, 1_000)
    assert measured["by_kind"] == [["NotFoundError", 404, items]]
    assert measured["above_idle_mb"] < 60, measured
