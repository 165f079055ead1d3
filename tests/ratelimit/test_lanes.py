"""Two lanes: live calls go before bulk runs, and starve none of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.ratelimit.test_leased_limiter import Store, limiter_of
from tests.support.stub import StubSession
from tests.support.virtual import run_virtual
from wavix_async import ConfigurationError, NumberUpdate, WavixClient
from wavix_async._aio import LaneSemaphore
from wavix_async._ratelimit import Limiter

if TYPE_CHECKING:
    from wavix_async.bulk import BulkReport

pytestmark = pytest.mark.req_32


def now() -> float:
    return asyncio.get_running_loop().time()


async def keep_busy(limiter: Limiter, callers: int, sent: list[float], until: float, *, bulk: bool) -> None:
    """So many callers, each of which asks for the next permit as soon as it has used one."""

    async def one() -> None:
        while now() < until:
            permit = await limiter.acquire(bulk=bulk)
            sent.append(now())
            await asyncio.sleep(0.02)
            limiter.accepted(permit)

    await asyncio.gather(*(one() for _ in range(callers)))


async def waits_of_single_calls(limiter: Limiter, seconds: float, rate: float = 5.0) -> list[float]:
    """Single calls beside a run; how long each waits."""
    waits: list[float] = []

    async def one() -> None:
        began = now()
        permit = await limiter.acquire()
        waits.append(now() - began)
        await asyncio.sleep(0.02)
        limiter.accepted(permit)

    calls = []
    for _ in range(int(seconds * rate)):
        calls.append(asyncio.create_task(one()))
        await asyncio.sleep(1.0 / rate + 0.0037)
    await asyncio.gather(*calls)
    return sorted(waits)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def test_a_single_call_does_not_queue_behind_a_run() -> None:
    async def main() -> None:
        limiter, sent = Limiter(47.5), list[float]()
        run = asyncio.create_task(keep_busy(limiter, 64, sent, 60.0, bulk=True))
        await asyncio.sleep(1.0)
        waits = await waits_of_single_calls(limiter, 55.0)
        assert percentile(waits, 0.99) <= 0.1
        await run
        # The run loses no more than the share of the single calls.
        assert len(sent) >= 47.5 * 60 - len(waits) - 2

    run_virtual(main())


def test_a_single_call_does_not_queue_behind_a_run_that_leases_its_slots() -> None:
    async def main() -> None:
        limiter, sent = limiter_of(Store(47.5)), list[float]()
        run = asyncio.create_task(keep_busy(limiter, 64, sent, 60.0, bulk=True))
        await asyncio.sleep(1.0)
        waits = await waits_of_single_calls(limiter, 55.0)
        assert percentile(waits, 0.99) <= 0.3
        await run
        assert len(sent) >= 0.99 * 47.5 * 60 - len(waits) - 2
        await limiter.close()

    run_virtual(main())


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.9])
def test_no_lane_starves_the_other(share: float) -> None:
    async def main() -> None:
        limiter = Limiter(100.0, bulk_share=share)
        live, bulk = list[float](), list[float]()
        lanes = [
            keep_busy(limiter, 20, live, 20.0, bulk=False),
            keep_busy(limiter, 20, bulk, 20.0, bulk=True),
        ]
        await asyncio.gather(*lanes)
        assert len(bulk) / (len(live) + len(bulk)) == pytest.approx(share, abs=0.03)

    run_virtual(main())


def test_each_lane_keeps_its_order() -> None:
    async def main() -> None:
        limiter, order = Limiter(10.0), list[tuple[str, int]]()
        await limiter.acquire()

        async def one(lane: str, number: int) -> None:
            await limiter.acquire(bulk=lane == "bulk")
            order.append((lane, number))

        tasks = [asyncio.create_task(one(lane, number)) for number in range(8) for lane in ("bulk", "live")]
        await asyncio.sleep(0)
        snapshot = limiter.snapshot()
        assert (snapshot.waiting, snapshot.waiting_live, snapshot.waiting_bulk) == (16, 8, 8)
        tasks[4].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert [number for lane, number in order if lane == "live"] == list(range(8))
        assert [number for lane, number in order if lane == "bulk"] == [0, 1, 3, 4, 5, 6, 7]
        # A run has its share, and not more, while live calls wait.
        assert [place for place, (lane, _) in enumerate(order[:9]) if lane == "bulk"] == [4]

    run_virtual(main())


def client_of(session: StubSession, **settings: Any) -> WavixClient:
    given: Any = session
    return WavixClient("key-of-a-test", base_url="https://api.wavix.test", session=given, **settings)


async def run_beside_calls(client: WavixClient, items: int, calls: int) -> tuple[list[float], BulkReport[Any, Any]]:
    changes = ((number, NumberUpdate(sms_enabled=True)) for number in range(1, items + 1))
    run = asyncio.create_task(client.numbers.bulk_update(changes, concurrency=64))
    await asyncio.sleep(1.0)
    waits = []
    for number in range(calls):
        began = now()
        await client.numbers.get(1_000_000 + number)
        waits.append(now() - began)
        await asyncio.sleep(0.2)
    return waits, await run


def test_calls_of_a_client_go_before_its_run() -> None:
    async def main() -> None:
        async with client_of(StubSession(latency=0.05), rate=47.5) as client:
            waits, report = await run_beside_calls(client, 750, 50)
            assert report.updated == 750
            assert percentile(waits, 0.99) - 0.05 <= 0.1
            assert report.elapsed <= 800 / 47.5 + 1.0

    run_virtual(main())


def test_calls_of_a_client_go_before_its_run_for_connections_too() -> None:
    async def main() -> None:
        async with client_of(StubSession(latency=0.1), max_connections=8) as client:
            waits, report = await run_beside_calls(client, 1000, 5)
            assert report.updated == 1000
            assert max(waits) <= 0.25

    run_virtual(main())


def test_calls_in_the_bulk_lane_wait_with_the_runs() -> None:
    async def main() -> None:
        async with client_of(StubSession(), rate=10.0) as client:
            polls = client.with_options(lane="bulk")
            calls = [asyncio.create_task(each.numbers.get(1)) for each in [polls] * 6 + [client] * 2]
            await asyncio.sleep(0.01)
            snapshot = client.limits.snapshot()
            assert (snapshot.waiting_live, snapshot.waiting_bulk) == (2, 5)
            await asyncio.wait(calls[-2:])
            assert now() == pytest.approx(0.2, abs=0.02)
            await asyncio.gather(*calls)
            assert polls.with_options(lane="live").limits.snapshot().waiting == 0

    run_virtual(main())


def test_the_reads_of_a_waiter_wait_in_the_bulk_lane() -> None:
    async def main() -> None:
        async with client_of(StubSession(), rate=10.0) as client:
            await client.numbers.get(1)
            change = NumberUpdate(sms_relay_url="https://example.com/sms")
            waiter = asyncio.create_task(client.numbers.wait_applied(1001, change, timeout=None))
            await asyncio.sleep(0.01)
            snapshot = client.limits.snapshot()
            assert (snapshot.waiting_live, snapshot.waiting_bulk) == (0, 1)
            waiter.cancel()
            await asyncio.wait([waiter])

    run_virtual(main())


def test_a_slot_that_a_cancelled_caller_got_goes_to_the_next() -> None:
    async def main() -> None:
        slots = LaneSemaphore(1, 0.2)
        await slots.acquire()
        assert slots.locked()
        waiting = [asyncio.create_task(slots.acquire(bulk=bulk)) for bulk in (True, False, True)]
        await asyncio.sleep(0)
        slots.release()
        waiting[1].cancel()  # the live one has just got it
        await asyncio.gather(*waiting[:2], return_exceptions=True)
        assert [each.done() for each in waiting] == [True, True, False]
        assert waiting[1].cancelled()
        waiting[2].cancel()
        slots.release()
        assert not slots.locked()

    run_virtual(main())


@pytest.mark.parametrize("share", [0, 1, 1.5, -0.1, True, "0.2", None, float("nan")])
def test_a_share_that_is_none_is_refused(share: Any) -> None:
    with pytest.raises(ConfigurationError, match="bulk_share"):
        client_of(StubSession(), bulk_share=share)


def test_a_lane_that_does_not_exist_is_refused() -> None:
    lane: Any = "fast"
    with pytest.raises(ConfigurationError, match="lane"):
        client_of(StubSession()).with_options(lane=lane)
