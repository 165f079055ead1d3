"""A bulk run through an outage: it waits, and starts nothing new. Without an outage, it does not wait."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import aiohttp
import pytest

from tests.support.bulk import ON, answering, dropped, finish
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import BulkReport, BulkRun, RetryPolicy, WavixClient

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.req_09, pytest.mark.req_17]

REFUSED = Reply(error=aiohttp.ClientConnectorError(Mock(), OSError(111, "refused")), applied=False)
DROPPED = Reply(error=aiohttp.ServerDisconnectedError(), applied=False)
REPLIES = {"503": Reply(503), "refused": REFUSED, "dropped": DROPPED}


class Down:
    """A server that answers in 50 ms, except during an outage."""

    def __init__(self, since: float, until: float, reply: Reply, **options: Any) -> None:
        self.since, self.until, self.reply = since, until, reply
        self.during: list[Seen] = []
        self.session = StubSession(self.answer, latency=0.05)
        self.client = WavixClient("key", base_url="http://127.0.0.1:1", session=self.session, **options)  # type: ignore[arg-type]

    def answer(self, seen: Seen) -> Reply:
        if self.since <= seen.at < self.until:
            self.during.append(seen)
            return self.reply
        return Reply()

    def run(self, count: int, **options: Any) -> BulkRun:
        return self.client.numbers.bulk_update(((number, ON) for number in range(1, count + 1)), **options)


PAGES = (302, 404, 499, 520, 530)
OUTAGES = [
    *itertools.product(["503", "refused", "dropped"], [3, 30, 100]),
    *((status, 30) for status in (404, 530)),
    *(
        pytest.param(status, length, marks=pytest.mark.scale)
        for status, length in itertools.product(PAGES, [3, 30, 100])
        if length != 30 or status not in (404, 530)
    ),
]


@pytest.mark.req_27
@pytest.mark.parametrize(("what", "length"), OUTAGES)
def test_an_outage_is_waited_out_and_nothing_new_is_begun(what: str | int, length: float) -> None:
    reply = REPLIES[what] if isinstance(what, str) else Reply(what, b"<p>No such app")
    server = Down(2, 2 + length, reply)
    report = run_virtual(finish(server.run(2000, concurrency=16)))
    assert (report.updated, report.total) == (2000, 2000)
    # 6.3 s of work, the outage, and the time to notice its end.
    assert report.elapsed <= 6.3 + length + 6
    assert len({seen.id for seen in server.during}) <= 4 * 16
    # Without an outage, the run would send 320 requests a second; a recovering server must get far fewer.
    assert len(server.during) <= 4 * 16 * 5 + length * 2


def test_an_api_that_never_answers_is_not_waited_for() -> None:
    server = Down(0, 1e9, REFUSED)
    report = run_virtual(finish(server.run(50, concurrency=8)))
    assert (report.not_sent, report.total) == (50, 50)
    assert report.elapsed < 60


@pytest.mark.req_16
@pytest.mark.parametrize("since", [0, 2])
@pytest.mark.parametrize("reply", [Reply(503), REFUSED, Reply(before=1e6)], ids=["503", "refused", "silent"])
def test_patience_has_an_end_and_so_has_the_run(reply: Reply, since: float) -> None:
    """The run stops before thousands of items each retry for minutes; items not started can be sent later."""
    server = Down(since, 1e9, reply)
    report = run_virtual(finish(server.run(5000, concurrency=16)))
    assert report.total == 5000
    assert report.updated < 700
    assert report.stopped_by is not None
    assert report.not_sent > 1000
    # If the server never answers, an attempt takes 30 s, and there are eight attempts.
    assert report.elapsed <= (610 if reply.before else 180)


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_number_that_fails_alone_is_no_outage(concurrency: int) -> None:
    """The API answers reads, so the fault is in that number."""
    sick = {7, 200}
    session = StubSession(lambda seen: Reply(500) if seen.id in sick and seen.method != "GET" else Reply())
    client = WavixClient("key", base_url="http://127.0.0.1:1", session=session)  # type: ignore[arg-type]
    run = client.numbers.bulk_update(dict.fromkeys(range(1, 201), ON), concurrency=concurrency)
    report = run_virtual(finish(run))
    assert (report.updated, report.failed, report.total) == (198, 2, 200)
    assert all(result.settled for result in report.failures)
    assert report.elapsed < 90


@pytest.mark.req_10
@pytest.mark.parametrize("how", ["stop", "cancel", "close"])
def test_waiting_for_the_end_of_an_outage_can_be_ended(how: str) -> None:
    server = Down(1, 1e9, Reply(503), retry=RetryPolicy(attempts=2))

    async def main() -> tuple[BulkReport, float]:
        loop = asyncio.get_running_loop()
        run = server.run(1000, concurrency=4)
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(60)
        assert not task.done()
        began = loop.time()
        ends: dict[str, Callable[[], object]] = {
            "stop": run.stop,
            "cancel": task.cancel,
            "close": lambda: asyncio.ensure_future(server.client.close()),
        }
        ends[how]()
        await asyncio.wait([task])
        took = loop.time() - began
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return run.report, took

    report, took = run_virtual(main())
    # The next probe notices that the client is closed.
    assert took <= (4.5 if how == "close" else 0.05)
    assert report.unknown + report.failed >= 1
    if how != "cancel":
        assert report.total == 1000


def test_a_client_without_retries_does_not_wait() -> None:
    server = Down(1, 1e9, Reply(503), retry=RetryPolicy.none())
    report = run_virtual(finish(server.run(100, concurrency=4)))
    assert report.total == 100
    assert report.elapsed < 30


@pytest.mark.req_17
@pytest.mark.parametrize("concurrency", [1, 32])
def test_one_sick_record_does_not_hold_up_the_others(concurrency: int) -> None:
    """Reads of this record fail too, so the probe reads a number that the API has answered before."""
    session, client = answering(lambda seen: Reply(500) if seen.id == 3 else Reply())
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 201), ON), concurrency=concurrency)))
    assert (report.updated, report.unknown + report.failed) == (199, 1)
    assert report.elapsed < 60
    assert session.seen["/v1/numbers/3"] < 20


@pytest.mark.req_17
@pytest.mark.req_09
@pytest.mark.parametrize("share", [0.05, 0.2])
def test_an_item_that_fails_just_before_an_outage_waits_as_well(share: float) -> None:
    refused = dropped(applied=False)

    def answer(seen: Seen) -> Reply:
        down = 20 <= seen.at < 50 or (10 <= seen.at < 20 and (seen.id * 7919) % 100 < 100 * share)
        return refused if down else Reply()

    _, client = answering(answer, rate=60)
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 3001), ON))))
    assert (report.updated, report.total) == (3000, 3000)


@pytest.mark.req_17
@pytest.mark.req_24
def test_new_fields_in_strict_mode_are_no_outage() -> None:
    _, client = answering(lambda seen: Reply(body={"id": seen.id, "brand_new": 1}), strict=True)
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 101), ON), concurrency=8)))
    assert (report.unknown, report.total) == (100, 100)
    assert report.elapsed < 60
