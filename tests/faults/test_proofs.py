"""Proofs by number, on real sockets: thousands of calls under faults, each compared with what the server saw.

The numbers in the docstrings are the requirements of docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.faults.conftest import FAST, Recorder
from tests.support.model import hold_to_its_facts
from tests.support.soon import SOON
from wavix_async import (
    Number,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    RetryPolicy,
    Success,
    WavixError,
)

if TYPE_CHECKING:
    from tests.faults.server import FaultServer

PATH = "/v1/numbers/{id}"
SEND = Operation("POST", "/v1/messages/{id}", Success)
GET = Operation("GET", PATH, Number)
OPERATIONS = (
    GET,
    Operation("PATCH", PATH, Number, idempotent=True),
    Operation("PUT", PATH, Number),
    Operation("DELETE", PATH, Success),
    SEND,
)

LOST = ("reset_after", "close_after")
UNDONE = ("reset_before", "close_before", "html_502", "status_500", "status_503")
DONE = ("reset_after", "close_after", "half_headers", "half_body", "chunked_cut", "garbage", "empty_200", "wrong_type",
        "status_500_after", "stale_keepalive")  # fmt: skip


@pytest.mark.req_01
@pytest.mark.req_05
async def test_two_thousand_posts_are_sent_once_each(faulty: FaultServer, make_client: Any, seen: Recorder) -> None:
    """Requirement 1: one answer in twenty is lost; just those are reported as unknown, and none goes out twice."""
    count = 2000
    faulty.reset(faults=dict.fromkeys(LOST, 0.025), seed=1, latency=0.01)
    client = make_client(max_connections=64)
    unknown: dict[str, OutcomeUnknownError] = {}

    async def one(number: int) -> None:
        try:
            await client.call(SEND, path={"id": number}, body={"text": "hello"})
        except OutcomeUnknownError as error:
            unknown[f"/v1/messages/{number}"] = error

    await asyncio.gather(*(one(number) for number in range(1, count + 1)))
    log, counters = faulty.log(), faulty.counters()
    assert Counter(request["path"] for request in log) == {f"/v1/messages/{n}": 1 for n in range(1, count + 1)}
    assert counters["posted"] == {f"/v1/messages/{number}": 1 for number in range(1, count + 1)}
    assert 32 < counters["peak_in_flight"] <= 64
    lost = {request["path"] for request in log if request["fault"] in LOST}
    assert len(lost) == sum(counters["fired"][kind] for kind in LOST)
    assert 60 < len(lost) < 140
    assert set(unknown) == lost
    for error in unknown.values():
        hold_to_its_facts(error)
        assert (error.attempts, error.outcome) == (1, "unknown")
    assert len(seen.attempts) == len(seen.on_the_wire) == count


@pytest.mark.req_04
@pytest.mark.req_05
@pytest.mark.req_17
@pytest.mark.req_20
@pytest.mark.req_24
@pytest.mark.parametrize(
    ("count", "retry"),
    [
        pytest.param(1_000, FAST, id="retried"),
        pytest.param(1_000, RetryPolicy.none(), id="tried once"),
        pytest.param(20_000, FAST, id="retried, at full size", marks=pytest.mark.scale),
        pytest.param(20_000, RetryPolicy.none(), id="tried once, at full size", marks=pytest.mark.scale),
    ],
)
async def test_a_bulk_of_thousands_under_faults_tells_the_truth_of_each(
    faulty: FaultServer, make_client: Any, count: int, retry: RetryPolicy
) -> None:
    """Requirements 4, 5, 17 and 20: no success that was none, no failure that was a success, nothing left out.

    Tried once, a tenth does not get through: what is said of those is the harder half of the proof.
    """
    kinds = (*UNDONE, *DONE)
    faulty.reset(faults=dict.fromkeys(kinds, 0.1 / len(kinds)), seed=2)
    client = make_client(retry=retry, observers=())
    run = client.numbers.bulk_update(
        (number, NumberUpdate(transcription_threshold=100 + number)) for number in range(1, count + 1)
    )
    results = {}
    async for result in run:
        assert result.id not in results
        results[result.id] = result
    report = run.report

    assert sorted(results) == list(range(1, count + 1))
    assert report.total == count
    counters, state = faulty.counters(), faulty.numbers()
    faulty.assert_fired(*kinds)
    # What is written to a connection that the server closes at that moment is never read there.
    assert counters["total"] <= report.requests <= counters["total"] + counters["fired"]["stale_keepalive"]
    assert counters["overlapping_writes"] == 0
    changed = {number for number, times in counters["applied"].items() if times}
    for number, result in results.items():
        if result.status == "updated":
            assert state[number]["transcription_threshold"] == 100 + number
            assert result.value is not None
            assert result.value.id == number
        else:
            assert result.error is not None
            hold_to_its_facts(result.error, settled=result.settled)
            assert number not in changed or result.status == "unknown"
    if retry.attempts > 1:
        # Eight faults in a row have a chance of one in a hundred million.
        assert report.updated == count
        # No change was sent again without a reason.
        assert report.requests <= count + sum(counters["fired"][kind] for kind in kinds)
    else:
        assert min(report.failed, report.unknown) > count * 0.005


def sockets_to(url: str) -> int:
    """Return how many connections to a server this process has open."""
    port = urlsplit(url).port
    found = 0
    for each in gc.get_objects():
        if isinstance(each, socket.socket) and each.fileno() != -1 and each.family == socket.AF_INET:
            try:
                found += each.getpeername()[1] == port
            except OSError:
                # Not connected, or not any more.
                continue
    return found


@pytest.mark.req_10
@pytest.mark.req_22
async def test_a_thousand_cancellations_are_prompt_and_leave_nothing(
    faulty: FaultServer, make_client: Any, seen: Recorder
) -> None:
    """Requirement 10: from `cancel()` to the end of the task, at any moment of any call, nothing is waited for.

    A few turns of the loop are the measure, which a busy machine does not change. (`test_cancel.py` holds the 50 ms, in
    virtual time.)
    """
    wanted, together = 1000, 16
    dice = random.Random(4)
    faults = {"stall": 0.05, "stall_after": 0.05, "drip": 0.05, "slow": 0.05, "reset_after": 0.05, "half_body": 0.05,
              "status_503": 0.1, "garbage": 0.05}  # fmt: skip
    faulty.reset(faults=faults, seed=4, latency=0.004)
    client = make_client(max_connections=12)
    loop = asyncio.get_running_loop()
    took: list[int] = []
    cancelled_at: dict[str, float] = {}
    ids = iter(range(1, 100_000))

    async def cancel_some() -> None:
        while len(took) < wanted:
            number = next(ids)
            operation = dice.choice(OPERATIONS)
            body = {"sms_enabled": True} if operation.method in ("PATCH", "PUT", "POST") else None
            task = asyncio.ensure_future(client.call(operation, path={"id": number}, body=body))
            await asyncio.wait([task], timeout=dice.choice([0.0, dice.uniform(0, 0.03)]))
            began = loop.time()
            if task.cancel():
                cancelled_at[f"/v1/numbers/{number}"] = cancelled_at[f"/v1/messages/{number}"] = began
                turns = 0
                while not task.done():
                    await asyncio.sleep(0)
                    turns += 1
                    assert loop.time() - began < SOON
                took.append(turns)
                assert task.cancelled()
            else:
                assert task.exception() is None or isinstance(task.exception(), WavixError)

    await asyncio.gather(*(cancel_some() for _ in range(together)))
    assert len(took) >= wanted
    assert sorted(took)[int(0.99 * len(took))] <= 3

    snapshot = client.limits.snapshot()
    assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    faulty.assert_fired(*faults)
    log = faulty.log()
    assert max(Counter(request["path"] for request in log if request["method"] == "POST").values()) == 1
    # Both processes read the same clock; what was written before the cancellation may be read a little after it.
    late = [request["at"] - cancelled_at[request["path"]] for request in log if request["path"] in cancelled_at]
    assert max(late) <= SOON
    # A server that drips learns only by the next byte that no client reads any more.
    patience = loop.time() + SOON
    while faulty.counters()["open"] != sockets_to(faulty.url) and loop.time() < patience:
        await asyncio.sleep(0.02)
    assert faulty.counters()["open"] == sockets_to(faulty.url) <= 12
    faulty.set_schedule(["ok"] * 12)
    before = len(seen.events)
    await asyncio.wait_for(asyncio.gather(*(client.call(GET, path={"id": n}) for n in range(200_000, 200_012))), 60)
    assert len(seen.events) - before == 12
    assert 0 < sockets_to(faulty.url) <= 12
    await client.close()
    while faulty.counters()["open"] and loop.time() < patience:
        await asyncio.sleep(0.02)
    assert (faulty.counters()["open"], sockets_to(faulty.url)) == (0, 0)
