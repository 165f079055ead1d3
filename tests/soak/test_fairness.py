"""A thousand calls at once through one client: each gets its turn in the order of arrival."""

from __future__ import annotations

import asyncio
import statistics
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.books import GET, Books, start
from tests.support.rate_control import Bucket
from tests.support.stub import Reply, Seen
from tests.support.virtual import run_virtual
from wavix_async import Number, NumberUpdate, Operation, WavixClient

if TYPE_CHECKING:
    from collections.abc import Callable

CROWD = 1000
LATENCY = 0.2
ON = NumberUpdate(sms_enabled=True)


def limited(rate: float | None, retry_after: float | None = 1.0) -> Callable[[Seen], Reply]:
    if rate is None:
        return lambda _: Reply()
    bucket = Bucket(rate, rate / 10)

    def answer(seen: Seen) -> Reply:
        if bucket.take(seen.at)[0]:
            return Reply()
        return Reply(429, headers={} if retry_after is None else {"Retry-After": f"{retry_after:g}"})

    return answer


def client_of(books: Books, **options: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=books, **options)  # type: ignore[arg-type]


def positions(order: list[int]) -> int:
    """Return by how many places the worst of them was overtaken or came too early."""
    return max(abs(place - number) for place, number in enumerate(order, 1))


@pytest.mark.req_08
@pytest.mark.parametrize(
    ("limit", "options", "out_of_turn"),
    [
        # As many are answered at the same moment as there are connections.
        pytest.param(None, {}, 100, id="no limit"),
        pytest.param(None, {"max_connections": 7}, 7, id="few connections"),
        pytest.param(None, {"rate": 100.0}, 0, id="a rate"),
        pytest.param(200.0, {"rate": 190.0}, 0, id="a rate below the limit"),
        pytest.param(100.0, {}, 150, id="a limit that is learned"),
        pytest.param(100.0, {"rate": 150.0}, 150, id="a rate above the limit"),
    ],
)
def test_a_crowd_leaves_in_the_order_in_which_it_came(
    limit: float | None, options: dict[str, Any], out_of_turn: int
) -> None:
    """A refused call keeps its queue position; and no call waits longer than the last of a queue has to."""
    order: list[int] = []
    waits: list[float] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        books = Books(limited(limit), latency=LATENCY)
        client = client_of(books, **options)

        async def one(number: int) -> None:
            await client.call(GET, path={"id": number})
            order.append(number)
            waits.append(loop.time())

        await asyncio.gather(*(one(number) for number in range(1, CROWD + 1)))
        assert (client.limits.snapshot().waiting, books.in_flight) == (0, 0)

    run_virtual(main())
    assert sorted(order) == list(range(1, CROWD + 1))
    assert positions(order) <= out_of_turn
    # In a queue that is served evenly the last waits twice as long as the one in the middle.
    assert max(waits) / statistics.median(waits) <= 2.2


@pytest.mark.req_08
@pytest.mark.parametrize("limit", [None, 60.0], ids=["no limit", "a limit that is learned"])
@pytest.mark.parametrize("options", [{}, {"rate": 50.0}], ids=["no rate", "a rate"])
def test_callers_that_keep_coming_do_not_pass_callers_that_wait(limit: float | None, options: dict[str, Any]) -> None:
    """Closed loops: 60 callers that come back at once when they are served get as much each."""
    served = [0] * 60

    async def main() -> None:
        loop = asyncio.get_running_loop()
        client = client_of(Books(limited(limit, None), latency=LATENCY), **options)

        async def one(number: int) -> None:
            while loop.time() < 12:
                await client.call(GET, path={"id": number})
                served[number - 1] += 1

        await asyncio.gather(*(one(number) for number in range(1, 61)))

    run_virtual(main())
    assert max(served) - min(served) <= max(3, 0.1 * max(served))


def alone(books: Books, client: WavixClient, waits: list[float]) -> Callable[[], Any]:
    """Return a trickle: a call now and then, as of a person that waits for each."""

    async def trickle() -> None:
        loop = asyncio.get_running_loop()
        for number in range(1_000_001, 1_000_007):
            began = loop.time()
            await client.call(GET, path={"id": number})
            waits.append(loop.time() - began)
            await asyncio.sleep(0.5)

    return trickle


@pytest.mark.req_08
@pytest.mark.parametrize(
    ("limit", "options", "batch", "bound"),
    [
        pytest.param(None, {}, None, 0.41, id="no limit"),
        pytest.param(None, {"rate": 50.0}, None, 1.5, id="a rate"),
        pytest.param(60.0, {}, None, 2.5, id="a limit that is learned"),
        pytest.param(None, {"max_connections": 64}, None, 0.61, id="as many connections"),
        pytest.param(None, {"rate": 50.0}, "auto", 1.5, id="a rate and batches"),
    ],
)
def test_single_calls_get_through_beside_a_bulk_run(
    limit: float | None, options: dict[str, Any], batch: Any, bound: float
) -> None:
    """A run of concurrency 64 is 64 callers in the queue: a new caller waits for those, and for no one else."""
    waits: list[float] = []

    async def main() -> None:
        books = Books(limited(limit), latency=LATENCY)
        client = client_of(books, **options)
        run = client.numbers.bulk_update(((number, ON) for number in range(1, 100_000)), concurrency=64, batch=batch)

        async def wait() -> None:
            await run

        (task,) = start(wait())
        await asyncio.sleep(2)
        await alone(books, client, waits)()
        assert not task.done()
        run.stop(grace=1)
        await task

    run_virtual(main())
    assert max(waits) <= bound


@pytest.mark.req_06
def test_another_group_does_not_wait_for_a_crowd() -> None:
    """Groups share the connections only."""

    async def main() -> None:
        client = client_of(Books(latency=LATENCY), rate=20.0)
        others = Operation("GET", "/v1/numbers/{id}", Number, limit_group="others")
        crowd = start(*(client.call(GET, path={"id": number}) for number in range(1, 200)))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await client.call(others, path={"id": 1000})
        assert asyncio.get_running_loop().time() - began == pytest.approx(LATENCY)
        for call in crowd:
            call.cancel()
        await asyncio.wait(crowd)

    run_virtual(main())
