"""The input of a bulk run: every kind, even odd ones, and every item gets an outcome."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.bulk import (
    ON,
    answering,
    client_of,
    counts,
    fast_client,
    finish,
    run_from_1000,
)
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    BulkReport,
    BulkRun,
    InputError,
    NumberUpdate,
    WavixClient,
)
from wavix_async.bulk import BulkOperation


@pytest.fixture
def client() -> WavixClient:
    return fast_client(StubSession())


@pytest.mark.parametrize("number_id", [0, -1, True, "12", None, 1.0, b"1"], ids=repr)
def test_an_id_that_is_none_is_refused_before_anything_is_sent(client: WavixClient, number_id: Any) -> None:
    words = r"number_id must be a positive integer, got .*: pass Number\.id"
    with pytest.raises(InputError, match=f"^{words}"):
        client.numbers.bulk_update({7: ON, number_id: ON})
    with pytest.raises(InputError, match=rf"^updates\[1\]: {words}"):
        client.numbers.bulk_update([(1, ON), (number_id, ON)])


@pytest.mark.parametrize("as_mapping", [False, True], ids=["pairs", "mapping"])
async def test_ids_of_numpy_are_numbers(as_mapping: bool) -> None:
    class Id:
        ndim = 0

        def __init__(self, value: int) -> None:
            self.value = value

        def item(self) -> int:
            return self.value

    Id.__module__ = "numpy"
    async with client_of(StubSession()) as client:
        updates: Any = {Id(7): ON} if as_mapping else [(Id(7), ON)]
        results = [result async for result in client.numbers.bulk_update(updates)]
    assert [(type(result.id), result.id, result.ok) for result in results] == [(int, 7, True)]
    with pytest.raises(InputError, match="number_id must be a positive integer, got 0"):
        client.numbers.bulk_update([(Id(0), ON)])


def test_an_empty_update_is_refused_and_the_fields_are_named(client: WavixClient) -> None:
    with pytest.raises(InputError, match=r"NumberUpdate is empty.*sms_enabled.*call_status_url"):
        client.numbers.bulk_update({1: NumberUpdate()})


@pytest.mark.parametrize("updates", [None, 17, "12", b"12", ON, pytest.param(object(), id="object")], ids=repr)
def test_something_that_is_not_a_collection_at_all(client: WavixClient, updates: Any) -> None:
    with pytest.raises(InputError, match=r"updates must be a mapping \{id: NumberUpdate\}"):
        client.numbers.bulk_update(updates)


def test_a_client_can_describe_a_run_outside_of_a_loop(client: WavixClient) -> None:
    """The caller creates a run before `asyncio.run`, and it starts there."""
    run = client.numbers.bulk_update(iter([(1, ON)]))
    assert run_from_1000(finish(run)).updated == 1


@pytest.mark.req_17
def test_a_mapping_that_changes_under_the_run_ends_it_with_pythons_error() -> None:
    """There is still a report."""
    updates = dict.fromkeys(range(1, 40), ON)

    def meddle(seen: Seen) -> Reply:
        if seen.id == 10:
            updates[1000] = ON
        return Reply()

    async def main() -> None:
        session = StubSession(meddle, latency=0.01)
        run = fast_client(session).numbers.bulk_update(updates, concurrency=2)
        with pytest.raises(RuntimeError, match="changed size"):
            await run
        assert run.report.updated == session.applied.total() < 39

    run_from_1000(main())


@pytest.mark.req_10
def test_cleanup_of_the_callers_generators_runs() -> None:
    """When a run ends early, the `finally` block of a sync or async generator runs."""
    closed: list[str] = []

    def source() -> Iterator[tuple[int, NumberUpdate]]:
        try:
            for number in range(1, 1000):
                yield number, ON
        finally:
            closed.append("sync")

    async def later() -> AsyncIterator[tuple[int, NumberUpdate]]:
        try:
            for number in range(1, 1000):
                yield number, ON
        finally:
            await asyncio.sleep(0)
            closed.append("async")

    async def main() -> None:
        for updates in (source(), later()):
            run = fast_client(StubSession(latency=0.01)).numbers.bulk_update(updates, concurrency=4)
            task = asyncio.create_task(finish(run))
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    run_from_1000(main())
    assert closed == ["sync", "async"]


def test_a_source_that_uses_the_same_client_is_no_deadlock() -> None:
    """The most common source: `async for number in client.numbers.list()`."""
    session = StubSession(latency=0.01)
    client = fast_client(session, max_connections=2)

    async def source() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, 31):
            read = await client.numbers.get(number)
            assert read.id is not None
            yield number, ON

    report = run_from_1000(finish(client.numbers.bulk_update(source(), concurrency=8)))
    assert counts(report) == (30, 0, 0, 0)
    # The requests of the source do not count as requests of the run.
    assert report.requests == 30
    assert session.requests == 60


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


def test_what_was_checked_is_what_is_sent() -> None:
    updates = [(1, ON)]
    session = StubSession()
    run = client_of(session).numbers.bulk_update(updates)
    updates.append((9, "x"))  # type: ignore[arg-type]
    assert run_virtual(finish(run)).total == 1


@pytest.mark.req_17
def test_an_iterator_that_says_only_once_that_it_has_ended() -> None:
    class Feed:
        """An iterator that reads a queue until a sentinel."""

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
        _, client = answering(lambda _: Reply())
        async with asyncio.timeout(60):
            return await client.numbers.bulk_update(Feed())

    assert run_virtual(main()).updated == 5


@pytest.mark.req_17
def test_a_slow_generator_that_is_cut_off_is_said_to_be() -> None:
    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, 101):
            await asyncio.sleep(0.1 if number < 30 else 30)
            yield number, ON

    async def main() -> BulkReport:
        _, client = answering(lambda _: Reply())
        run = client.numbers.bulk_update(feed())
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(4)
        run.stop(grace=1)
        return await task

    report = run_virtual(main())
    assert (report.total, report.cut_short) == (29, True)


@pytest.mark.req_17
def test_a_timeout_of_the_input_is_the_inputs() -> None:
    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        yield 1, ON
        await asyncio.sleep(1)
        raise TimeoutError("the database")

    async def main() -> None:
        _, client = answering(lambda _: Reply(401))
        with pytest.raises(TimeoutError, match="the database"):
            await client.numbers.bulk_update(feed(), concurrency=1)

    run_virtual(main())


@pytest.mark.req_13
def test_workers_that_waited_for_the_input_are_soon_all_at_work() -> None:
    """If each worker passed the input to the next in line, one request would leave in each iteration of the loop."""
    at_work = most = 0

    async def send(_: object, key: int, change: NumberUpdate) -> str:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        for _ in range(10):
            await asyncio.sleep(0)
        at_work -= 1
        return "done"

    async def feed() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, 1001):
            if number == 10:
                await asyncio.sleep(0.01)
            yield number, ON

    operation = BulkOperation(name="send", check=lambda key, change: None, send=send, change_type=NumberUpdate)

    async def main() -> BulkReport:
        return await BulkRun(fast_client(StubSession()), feed(), operation=operation, concurrency=64)

    assert run_virtual(main()).succeeded == 1000
    assert most > 60


@pytest.mark.req_17
@pytest.mark.parametrize("how", ["cancel", "break"])
@pytest.mark.parametrize("kind", ["generator", "async generator", "list"])
def test_a_run_that_leaves_a_generator_unread_says_so(kind: str, how: str) -> None:
    items = [(number, ON) for number in range(1, 301)]

    async def later() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for item in items:
            yield item

    async def main() -> BulkReport:
        _, client = answering(lambda _: Reply())
        updates: Any = {"generator": lambda: iter(items), "async generator": later, "list": lambda: items}[kind]()
        run = client.numbers.bulk_update(updates, concurrency=8)
        if how == "break":
            async for _ in run:
                break
            with contextlib.suppress(asyncio.CancelledError):
                await run
        else:
            task = asyncio.ensure_future(finish(run))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.wait([task])
        return run.report

    report = run_virtual(main())
    assert (report.total == 300, report.cut_short) == ((True, False) if kind == "list" else (False, True))


@pytest.mark.req_17
def test_a_generator_that_was_read_to_its_end_is_not_cut_short() -> None:
    async def main() -> BulkReport:
        _, client = answering(lambda _: Reply())
        return await client.numbers.bulk_update((number, ON) for number in range(1, 101))

    report = run_virtual(main())
    assert (report.total, report.cut_short) == (100, False)
