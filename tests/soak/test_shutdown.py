"""Closing at any moment: every caller gets exactly one true end, and nothing is left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import random
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.conftest import FAST
from tests.support.books import GET, PATCH, SEND, Books, own, refused, start, timers
from tests.support.soon import SOON
from tests.support.stub import NUMBER, Reply, Seen
from tests.support.virtual import run_virtual as run_from_zero
from wavix_async import (
    BulkStatus,
    ClientClosedError,
    NumberUpdate,
    OutcomeUnknownError,
    RetryPolicy,
    Timeouts,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.server import FaultServer

pytestmark = [pytest.mark.req_22]

ON = NumberUpdate(sms_enabled=True)
PROMPTLY = 0.05
GRACES = (0.0, 0.3, 2.0)
METHODS = {"GET": GET, "PATCH": PATCH, "POST": SEND}

run_virtual = functools.partial(run_from_zero, start=1000.0)


def trouble(seed: int) -> Callable[[Seen], Reply]:
    """Answer as a service on a bad day: a mixture of everything that calls wait for."""
    dice = random.Random(seed)
    sorts = [
        lambda: Reply(),
        lambda: Reply(before=dice.uniform(0, 3)),
        lambda: Reply(503),
        lambda: Reply(429, headers={"Retry-After": "1"}),
        lambda: Reply(error=refused(), applied=False),
        lambda: Reply(error=ConnectionResetError(104, "reset"), applied=True),
        lambda: Reply(error=ConnectionResetError(104, "reset"), applied=False),
    ]
    weights = [60, 15, 8, 1, 5, 5, 6]
    return lambda _: dice.choices(sorts, weights)[0]()


def make(books: Books, *, owned: bool, **options: Any) -> WavixClient:
    given: dict[str, Any] = {"base_url": "http://127.0.0.1:1", **options}
    if not owned:
        given["session"] = books
    return WavixClient("key", **given)


async def hold_ends(books: Books, tasks: dict[int, tuple[str, asyncio.Task[Any]]]) -> Counter[str]:
    """Wait for every caller, and hold each end against the books."""
    done, left = await asyncio.wait([task for _, task in tasks.values()], timeout=40)
    assert not left, f"{len(left)} of {len(done) + len(left)} callers have no end"
    ends: Counter[str] = Counter()
    for number, (method, task) in tasks.items():
        end = asyncio.CancelledError() if task.cancelled() else task.exception()
        ends[books.hold(number, method, end)] += 1
    return ends


@pytest.mark.parametrize("grace", GRACES)
@pytest.mark.parametrize("setting", ["free", "rate", "few connections"])
def test_closing_at_any_moment_gives_every_caller_one_true_end(
    monkeypatch: pytest.MonkeyPatch, setting: str, grace: float
) -> None:
    """Calls that wait for the rate, for a connection, for a backoff, for the end of a pause, and those on the wire."""
    options: dict[str, Any] = {"free": {}, "rate": {"rate": 25.0}, "few connections": {"max_connections": 3}}[setting]
    ends: Counter[str] = Counter()

    async def main(moment: float, seed: int) -> None:
        books = Books(trouble(seed), latency=0.05)
        own(monkeypatch, books)
        client = make(books, owned=True, **options)
        dice = random.Random(seed)
        plan = {number: dice.choice(list(METHODS)) for number in range(1, 41)}

        def call(number: int, method: str) -> tuple[str, asyncio.Task[Any]]:
            body = {} if method != "GET" else None
            return method, start(client.call(METHODS[method], path={"id": number}, body=body))[0]

        tasks = {number: call(number, method) for number, method in plan.items()}
        await asyncio.sleep(moment)
        began = asyncio.get_running_loop().time()
        closing = asyncio.ensure_future(client.close(grace))
        await asyncio.sleep(0)
        assert client.closed
        # At once, and nothing leaves.
        late = {number: call(number, "PATCH") for number in range(101, 104)}
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(task.done() for _, task in late.values())
        assert await hold_ends(books, late) == {"ClientClosedError not_sent": 3}
        await closing
        assert asyncio.get_running_loop().time() - began <= grace + PROMPTLY
        assert all(task.done() for _, task in tasks.values())
        ends.update(await hold_ends(books, tasks))
        snapshot = client.limits.snapshot()
        assert (snapshot.waiting, snapshot.in_flight, books.in_flight) == (0, 0, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not timers()

    for turn, moment in enumerate([0.0, 0.001, 0.02, 0.05, 0.0501, 0.1, 0.2, 0.3, 0.5, 0.8, 1.05, 1.3, 2.0, 3.0]):
        run_virtual(main(moment, turn))
    assert ends["done"] > 50
    assert ends["ClientClosedError not_sent"] > 20
    assert ends["ClientClosedError unknown"] > 10
    # What fails for good fails as ever: what may have been done and must not be repeated, and what has no retry left.
    others = {end for end in ends if not end.startswith(("done", "ClientClosedError"))}
    failed = ("OutcomeUnknownError", "DisconnectedError", "ConnectError", "ServerError")
    assert others <= {f"{name} unknown" for name in failed}


async def closed_on_the_wire(client: WavixClient, books: Books, method: str) -> WavixError | None:
    (task,) = start(client.call(METHODS[method], path={"id": 1}, body=None if method == "GET" else {}))
    await asyncio.sleep(0.2)
    assert books.in_flight == 1
    await client.close()
    assert task.done(), "close() has returned, and the call goes on"
    assert not books.in_flight
    assert books.hold(1, method, task.exception()) != "done"
    failure: Any = task.exception()
    return failure


@pytest.mark.parametrize("owned", [True, False], ids=["own session", "given session"])
@pytest.mark.parametrize("retry", [RetryPolicy(), RetryPolicy.none()], ids=["retries", "none"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_on_the_wire_is_ended_as_closed(
    monkeypatch: pytest.MonkeyPatch, method: str, retry: RetryPolicy, owned: bool
) -> None:
    """Whatever the operation and the policy: the caller hears that the client was closed, and that it may be done."""

    async def main() -> None:
        books = Books(latency=20)
        own(monkeypatch, books)
        failure = await closed_on_the_wire(make(books, owned=owned, retry=retry), books, method)
        assert isinstance(failure, OutcomeUnknownError if method == "POST" else ClientClosedError)
        assert (failure.outcome, failure.attempts) == ("unknown", 1)

    run_virtual(main())


@pytest.mark.req_24
def test_what_was_refused_and_then_closed_was_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """`not_sent` says that no byte has reached the API."""

    async def main() -> None:
        books = Books(lambda _: Reply(429, headers={"Retry-After": "9"}))
        own(monkeypatch, books)
        client = make(books, owned=True)
        (task,) = start(client.call(SEND, path={"id": 1}, body={}))
        await asyncio.sleep(0.2)
        await client.close()
        failure: Any = task.exception()
        assert isinstance(failure, ClientClosedError)
        assert (failure.outcome, failure.attempts) == ("rejected", 1)

    run_virtual(main())


@pytest.mark.parametrize("grace", GRACES)
@pytest.mark.parametrize("batch", [None, "auto"])
def test_closing_ends_a_bulk_run_in_order(monkeypatch: pytest.MonkeyPatch, batch: Any, grace: float) -> None:
    """Each input ends once, and its result agrees with what the API saw."""
    seen: Counter[str] = Counter()
    many = range(1, 201 if batch is None else 1001)

    async def main(moment: float, seed: int) -> None:
        changed: Counter[int] = Counter()
        arrived: Counter[int] = Counter()
        dice = random.Random(seed)

        def answer(request: Seen) -> Reply:
            together = request.path == "/v1/numbers"
            ids = request.body["ids"] if together else [request.id]
            if request.method != "GET":
                arrived.update(ids)
            if dice.random() < 0.08:
                return Reply(503, applied=False)
            if request.method != "GET":
                changed.update(ids)
            error = ConnectionResetError(104, "reset") if dice.random() < 0.04 else None
            numbers = [{**NUMBER, "id": number, "sms_enabled": number in changed} for number in ids]
            return Reply(before=dice.uniform(0, 0.3), error=error, body={"items": numbers} if together else numbers[0])

        books = Books(answer, latency=0.05)
        own(monkeypatch, books)
        client = make(books, owned=True, rate=60.0 if seed % 2 else None)
        run = client.numbers.bulk_update(dict.fromkeys(many, ON), concurrency=8 if batch is None else 2, batch=batch)

        async def wait() -> Any:
            return await run

        (task,) = start(wait())
        await asyncio.sleep(moment)
        began = asyncio.get_running_loop().time()
        await client.close(grace)
        assert asyncio.get_running_loop().time() - began <= grace + 1 + PROMPTLY
        report = await asyncio.wait_for(task, 1)
        assert report.total == len(many)
        unclear = {result.id: result.status for result in report.failures}
        for result in report.failures:
            if result.status is BulkStatus.NOT_SENT:
                assert not arrived[result.id], result
            elif result.status is BulkStatus.FAILED:
                assert not changed[result.id], result
        # Those never begun are counted, not named.
        assert len({number for number in changed if number not in unclear}) == report.updated
        assert sum(1 for number in many if not arrived[number]) >= report.not_sent
        seen.update({"updated": report.updated, "unknown": report.unknown, "not_sent": report.not_sent})
        seen["cut"] += report.not_sent > 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for turn, moment in enumerate([0.0, 0.01, 0.06, 0.2, 0.31, 0.5, 0.9, 1.4, 2.2]):
        run_virtual(main(moment, turn))
    assert seen["cut"] >= 2
    assert seen["updated"] > 100


@pytest.mark.parametrize("how", ["stop", "close", "grace"])
def test_a_run_that_has_ended_leaves_no_timer(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A timer would keep the run, its inputs and its failures for as long as the grace."""

    async def main() -> None:
        books = Books(latency=0.05)
        own(monkeypatch, books)
        client = make(books, owned=True)
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 201), ON), concurrency=4)

        async def wait() -> Any:
            return await run

        (task,) = start(wait())
        await asyncio.sleep(0.2)
        if how == "close":
            await client.close()
        else:
            run.stop(grace=600 if how == "grace" else 0.0)
        await task
        await client.close()
        assert not timers()

    run_virtual(main())


@pytest.mark.parametrize("how", ["twice", "together", "shorter", "cancelled", "in a task of a call"])
def test_closing_may_be_asked_for_again_and_be_given_up(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """However it is asked for, the client is closed in the end and no caller waits for ever."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        books = Books(latency=3)
        own(monkeypatch, books)
        client = make(books, owned=True, rate=2.0)
        calls = {
            number: ("PATCH", start(client.call(PATCH, path={"id": number}, body={}))[0]) for number in range(1, 9)
        }
        await asyncio.sleep(1.1)
        began = loop.time()
        first = asyncio.ensure_future(client.close(10))
        await asyncio.sleep(0.5)
        assert not first.done()
        if how == "twice":
            await first
            await client.close()
            await client.close(5)
            assert loop.time() - began < 10
        elif how == "together":
            await asyncio.gather(client.close(10), client.close(20), first)
            assert loop.time() - began < 10
        elif how == "shorter":
            await client.close(1)
            assert loop.time() - began <= 1.5 + PROMPTLY
            await first
            assert loop.time() - began <= 1.5 + PROMPTLY
        elif how == "cancelled":
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert loop.time() - began <= 0.5 + PROMPTLY
            await client.close()
        else:

            async def closing_caller() -> None:
                await client.close(2)

            await asyncio.gather(closing_caller(), first)
        assert client.closed
        ends = await hold_ends(books, calls)
        assert sum(ends.values()) == 8
        if how in ("twice", "together"):
            assert ends == {"done": 8}
        elif how in ("shorter", "cancelled"):
            assert ends["ClientClosedError not_sent"] >= 2
            assert ends["ClientClosedError unknown"] >= 1
        assert books.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert not timers()

    run_virtual(main())


# ----------------------------------------------------------------------------------------------- on real sockets


@pytest.mark.parametrize("grace", [0.0, 0.15])
@pytest.mark.parametrize("seed", range(2))
async def test_closing_on_real_sockets_is_true_to_what_the_server_saw(
    faulty: FaultServer, seed: int, grace: float
) -> None:
    """Random moments and faults: what was never sent never arrived, and no socket, task or warning is left."""
    dice = random.Random(seed)
    faulty.reset(
        faults={"stall": 0.1, "stall_after": 0.05, "slow": 0.15, "reset_after": 0.05, "half_body": 0.05,
                "status_503": 0.05},
        seed=seed,
        latency=0.004,
    )  # fmt: skip
    client = WavixClient(
        "key", base_url=faulty.url, max_connections=8, retry=FAST, rate=None if seed % 2 else 300.0, timeout=60
    )
    plan = {number: dice.choice(list(METHODS)) for number in range(1, 101)}
    tasks = {
        number: start(client.call(METHODS[method], path={"id": number}, body=None if method == "GET" else {}))[0]
        for number, method in plan.items()
    }
    await asyncio.sleep(dice.uniform(0.01, 0.12))
    while not any(task.done() and task.exception() is None for task in tasks.values()):
        await asyncio.sleep(0.005)
    began = time.monotonic()
    await client.close(grace)
    took = time.monotonic() - began
    assert all(task.done() for task in tasks.values())
    assert took <= grace + SOON
    counters = await settled(faulty)
    ends: Counter[str] = Counter()
    for number, method in plan.items():
        path = f"/v1/messages/{number}" if method == "POST" else f"/v1/numbers/{number}"
        arrived = counters["requests"].get(f"{method} {path}", 0)
        applied = counters["posted"].get(path, 0) if method == "POST" else counters["applied"].get(number, 0)
        failure = tasks[number].exception()
        if failure is None:
            assert arrived
            assert method == "GET" or applied
            ends["done"] += 1
            continue
        assert isinstance(failure, WavixError), failure
        assert arrived <= failure.attempts
        if failure.outcome == "not_sent":
            assert (arrived, failure.attempts) == (0, 0)
        elif failure.outcome == "rejected":
            assert not applied
        assert method != "POST" or arrived <= 1
        ends[f"{type(failure).__name__} {failure.outcome}"] += 1
    assert ends["done"]
    assert ends["ClientClosedError not_sent"]
    assert ends["ClientClosedError unknown"] + ends["OutcomeUnknownError unknown"]
    assert asyncio.all_tasks() == {asyncio.current_task()}
    while counters["open"] and time.monotonic() < began + SOON:
        await asyncio.sleep(0.02)
        counters = faulty.counters()
    assert not counters["open"]
    # Collect now, so that "Unclosed ..." warnings are raised in this test.
    del client, tasks
    gc.collect(1)


async def settled(server: FaultServer) -> dict[str, Any]:
    """Return what the server saw when it has read what was on its way."""
    before = -1
    while (counters := server.counters())["total"] != before:
        before = counters["total"]
        await asyncio.sleep(0.05)
    return counters


async def test_closing_ends_calls_that_still_connect() -> None:
    """No server accepts: connecting would take a minute."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        await asyncio.sleep(0.02)
        client = WavixClient(
            "key", base_url=f"http://127.0.0.1:{full.getsockname()[1]}", timeout=Timeouts(attempt=120, connect=60)
        )
        (task,) = start(client.call(GET, path={"id": 1}))
        await asyncio.sleep(0.05)
        began = time.monotonic()
        try:
            await client.close()
            assert time.monotonic() - began < SOON
            assert task.done()
            assert isinstance(task.exception(), ClientClosedError)
        finally:
            task.cancel()
            await asyncio.wait([task])
            for filler in fillers:
                filler.close()


async def test_a_bulk_run_on_real_sockets_ends_with_the_client(faulty: FaultServer) -> None:
    faulty.reset(faults={"slow": 0.1, "stall_after": 0.03}, seed=5, latency=0.004)
    async with WavixClient("key", base_url=faulty.url, retry=FAST, timeout=60) as client:
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 501), ON), concurrency=8)

        async def wait() -> Any:
            return await run

        (task,) = start(wait())
        while len(faulty.counters()["applied"]) < 30:
            await asyncio.sleep(0.01)
        await client.close(0.1)
        report = await asyncio.wait_for(task, SOON)
    counters = await settled(faulty)
    assert report.total == 500
    assert report.updated
    assert report.not_sent
    named = {result.id: result.status for result in report.failures}
    applied = set(counters["applied"])
    assert len(applied - set(named)) == report.updated
    assert not {number for number, status in named.items() if status is BulkStatus.NOT_SENT} & applied
    assert len(applied) <= report.updated + report.unknown


@pytest.mark.req_22
def test_calls_that_a_dead_loop_has_left_keep_no_one_waiting() -> None:
    client = WavixClient("key-of-a-test", base_url="http://127.0.0.1:9", max_connections=1, session=None)

    def leave_some() -> list[Any]:
        loop = asyncio.new_event_loop()
        tasks = [loop.create_task(client.numbers.get(1)) for _ in range(3)]
        loop.run_until_complete(asyncio.sleep(0))
        for task in tasks:
            task._log_destroy_pending = False
        loop.close()
        return tasks

    async def main() -> float:
        with pytest.raises(WavixError):
            await client.with_options(retry=RetryPolicy.none()).numbers.get(1)
        began = asyncio.get_running_loop().time()
        await client.close(grace=5)
        return asyncio.get_running_loop().time() - began

    left = leave_some()
    assert asyncio.run(main()) < 1
    for task in left:
        task.get_coro().close()
