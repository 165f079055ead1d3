"""The run reads back uncertain changes: `updated` or `failed` if the read decides it, otherwise `unknown`."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.support.bulk import ON, answering, client_of, dropped, finish, results_of
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AuthenticationError,
    BulkReport,
    BulkRun,
    NumberDestination,
    NumberUpdate,
    RetryPolicy,
    WavixClient,
    from_dict,
)
from wavix_async.models import Number

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.req_04, pytest.mark.req_17]

DONE_UNHEARD = Reply(error=aiohttp.ServerDisconnectedError(), applied=True)
LOST = Reply(error=aiohttp.ServerDisconnectedError(), applied=False)
QUICK = RetryPolicy(attempts=1)
"""With retries, the engine makes at least 8 attempts; one attempt keeps these tests short."""


class Server:
    """Answers writes as the test says, answers reads correctly, and records the requests."""

    def __init__(self, writes: Callable[[Seen], Reply], reads: Callable[[Seen], Reply] | None = None) -> None:
        self.writes, self.reads = writes, reads
        self.seen: list[tuple[str, int]] = []
        self.session = StubSession(self.answer, latency=0.01)
        self.client = WavixClient(
            "key",
            base_url="http://127.0.0.1:1",
            session=self.session,
            retry=QUICK,  # type: ignore[arg-type]
        )

    def answer(self, seen: Seen) -> Reply:
        self.seen.append((seen.method, seen.id))
        if seen.method == "GET":
            return Reply() if self.reads is None else self.reads(seen)
        return self.writes(seen)

    def run(self, *ids: int, **options: Any) -> BulkRun:
        return self.client.numbers.bulk_update(((number, ON) for number in ids), **options)


def test_what_was_carried_out_and_not_answered_is_updated() -> None:
    server = Server(lambda seen: DONE_UNHEARD if seen.id % 2 else Reply())
    run = server.run(1, 2, 3)
    results = run_virtual(results_of(run))
    assert Counter(result.id for result in results) == {1: 1, 2: 1, 3: 1}
    assert {(str(result.status), result.settled) for result in results if result.id % 2} == {("updated", True)}
    assert all(result.value and result.value.sms_enabled and not result.error for result in results)
    assert all(result.attempts == 1 for result in results)
    report = run.report
    assert (report.updated, report.total, report.failures) == (3, 3, [])
    # Three changes, and one read for each uncertain change.
    assert report.requests == server.session.requests == 5


@pytest.mark.parametrize("status", [500, 503])
def test_what_was_refused_each_time_and_is_not_changed_has_failed(status: int) -> None:
    server = Server(lambda _: Reply(status, {"message": "no"}))
    report = run_virtual(finish(server.run(7)))
    assert (report.failed, report.unknown) == (1, 0)
    (result,) = report.failures
    assert (result.settled, result.status, result.error and result.error.outcome) == (True, "failed", "rejected")


@pytest.mark.parametrize(
    "reply", [LOST, Reply(502), Reply(504), Reply(408), Reply(error=aiohttp.ClientPayloadError(), applied=False)]
)
def test_what_may_still_be_carried_out_stays_unknown(reply: Reply) -> None:
    """A proxy that gave up, or a broken connection, does not show what the API is doing."""
    server = Server(lambda _: reply)
    report = run_virtual(finish(server.run(7)))
    assert (report.unknown, report.failures[0].settled) == (1, False)
    assert server.seen == [("PATCH", 7), ("GET", 7), ("GET", 7)]


def test_a_change_that_is_applied_late_is_seen_by_the_second_read() -> None:
    reads = iter([Reply(body={"id": 1, "number": "1", "sms_enabled": False}), Reply()])
    server = Server(lambda _: DONE_UNHEARD, lambda _: next(reads))
    report = run_virtual(finish(server.run(1)))
    assert report.updated == 1
    assert report.elapsed >= 1.0


@pytest.mark.parametrize("last", [Reply(), LOST, Reply(422, {"message": "no"}), Reply(500)])
def test_what_is_not_changed_is_sent_again(last: Reply) -> None:
    """Eight attempts can fail by chance; a change that a read shows as not applied is safe to send again."""
    failures = iter([LOST] * 8)
    server = Server(lambda _: next(failures, last))
    client = server.client.with_options(retry=RetryPolicy(attempts=2, backoff=0.01))
    run = client.numbers.bulk_update({7: ON})
    (result,) = run_virtual(results_of(run))
    again = [method for method, _ in server.seen][8:]
    assert again[:3] == ["GET", "GET", "PATCH"]
    assert result.attempts == Counter(method for method, _ in server.seen)["PATCH"]
    status = {200: "updated", 422: "failed"}.get(last.status if last.error is None else 0, "unknown")
    assert (str(result.status), result.settled) == (status, status != "unknown")
    assert run.report.requests == server.session.requests


@pytest.mark.req_12
def test_a_report_keeps_no_answers_alive() -> None:
    """An error keeps its frames, and they keep the response: thousands of them would use gigabytes."""
    server = Server(lambda seen: Reply(422, {"message": "x"}) if seen.id % 2 else LOST)
    report = run_virtual(finish(server.run(*range(1, 9))))
    for result in report.failures:
        error: BaseException | None = result.error
        while error is not None:
            assert error.__traceback__ is None
            error = error.__cause__ or error.__context__


def test_reads_that_fail_leave_it_unknown_and_stop_when_it_is_hopeless() -> None:
    server = Server(lambda _: DONE_UNHEARD, lambda _: Reply(503))
    report = run_virtual(finish(server.run(*range(1, 1001), concurrency=10)))
    assert report.unknown == 1000
    reads = Counter(method for method, _ in server.seen)["GET"]
    assert 20 <= reads <= 20 + 10


@pytest.mark.req_20
def test_a_number_that_comes_again_is_settled_before_it_is_written_again() -> None:
    writes = iter([DONE_UNHEARD, Reply()])
    server = Server(lambda _: next(writes))
    results = run_virtual(results_of(server.run(5, 5, concurrency=2)))
    assert server.seen == [("PATCH", 5), ("GET", 5), ("PATCH", 5)]
    assert [(str(result.status), result.settled) for result in results] == [("updated", True), ("updated", False)]


@pytest.mark.req_10
def test_a_run_that_is_stopped_reads_nothing_back() -> None:
    server = Server(lambda seen: DONE_UNHEARD if seen.id < 3 else Reply(before=1))

    async def main() -> BulkReport:
        run = server.run(1, 2, 3, 4, concurrency=1)
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(0.5)
        assert (run.report.unknown, run.report.total) == (2, 2)
        run.stop()
        return await task

    report = run_virtual(main())
    assert (report.updated, report.unknown, report.not_sent, report.total) == (1, 2, 1, 4)
    assert {method for method, _ in server.seen} == {"PATCH"}
    assert [result.id for result in report.failures] == [1, 2]


@pytest.mark.req_10
def test_a_run_that_is_cancelled_while_it_reads_back_loses_nothing() -> None:
    server = Server(lambda _: DONE_UNHEARD, lambda _: Reply(before=5))

    async def main() -> BulkRun:
        run = server.run(1, 2, 3, concurrency=2)
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(1)
        assert ("GET", 1) in server.seen
        task.cancel()
        await asyncio.wait([task])
        return run

    report = run_virtual(main()).report
    assert (report.unknown, report.total) == (3, 3)
    assert sorted(result.id for result in report.failures) == [1, 2, 3]


def test_a_number_that_is_gone_stays_unknown() -> None:
    server = Server(lambda _: DONE_UNHEARD, lambda _: Reply(404))
    report = run_virtual(finish(server.run(1)))
    assert report.unknown == 1


def number(**fields: Any) -> Number:
    return from_dict(Number, {"id": 1, "number": "12565378257", **fields})


ROUTES = [
    NumberDestination(destination="a@example.com", priority=1, transport=1),
    NumberDestination(destination="trunk", priority=2, transport=5, trunk_id=9),
]
ANSWERED = [
    {"id": 2, "destination": "trunk", "priority": 2, "transport": 5, "trunk_id": 9, "trunk_label": "x"},
    {"id": 1, "destination": "a@example.com", "priority": 1, "transport": 1, "trunk_id": None, "srtp": False},
]


@pytest.mark.parametrize(
    ("update", "fields", "differing"),
    [
        (NumberUpdate(sms_enabled=True), {"sms_enabled": True}, ()),
        (NumberUpdate(sms_enabled=True), {"sms_enabled": False}, ("sms_enabled",)),
        (NumberUpdate(sms_enabled=True), {}, ("sms_enabled",)),
        (NumberUpdate(sms_enabled=True), {"sms_enabled": 1}, ("sms_enabled",)),
        (NumberUpdate(call_status_url=None), {"call_status_url": ""}, ()),
        (NumberUpdate(sms_relay_url=None), {"sms_relay_url": "https://a.example"}, ("sms_relay_url",)),
        (NumberUpdate(sms_relay_url="https://a.example"), {"sms_relay_url": "https://a.example"}, ()),
        (
            NumberUpdate(transcription_threshold=6, transcription_enabled=True),
            {"transcription_threshold": 7, "transcription_enabled": False},
            ("transcription_enabled", "transcription_threshold"),
        ),
        (NumberUpdate(destinations=ROUTES), {"destination": ANSWERED}, ()),
        (NumberUpdate(destinations=ROUTES), {"destination": ANSWERED[:1]}, ("destinations",)),
        (NumberUpdate(destinations=ROUTES[:1]), {"destination": ANSWERED}, ("destinations",)),
        (NumberUpdate(destinations=ROUTES), {"destination": None}, ("destinations",)),
        (NumberUpdate(destinations=ROUTES), {"destination": "trunk"}, ("destinations",)),
        (NumberUpdate(destinations=ROUTES), {"destination": [None, 3, {"priority": [1]}]}, ("destinations",)),
        (NumberUpdate(destinations=[]), {"destination": []}, ()),
    ],
)
def test_an_update_names_what_a_number_does_not_have(
    update: NumberUpdate, fields: dict[str, Any], differing: tuple[str, ...]
) -> None:
    assert update.differs_from(number(**fields)) == differing


def looking_first(server: Server) -> WavixClient:
    return server.client.with_options(retry=RetryPolicy(repeat_unknown=False, backoff=0.01))


def test_a_change_that_may_be_there_is_read_before_it_is_sent_again() -> None:
    """With `repeat_unknown=False`, an applied change is never sent twice, and a change not applied is sent again."""
    first = iter([DONE_UNHEARD, LOST])
    server = Server(lambda _: next(first, Reply()))
    run = looking_first(server).numbers.bulk_update([(1, ON), (2, ON)], concurrency=1)
    report = run_virtual(finish(run))
    assert (report.updated, report.total) == (2, 2)
    writes = Counter(number for method, number in server.seen if method == "PATCH")
    assert writes == {1: 1, 2: 2}
    assert server.seen.index(("GET", 2)) < len(server.seen) - 1 - server.seen[::-1].index(("PATCH", 2))


def test_what_never_left_is_repeated_without_a_look() -> None:
    refused = aiohttp.ClientConnectorError(None, OSError("refused"))  # type: ignore[arg-type]
    first = iter([Reply(error=refused, applied=False), Reply(429, headers={"Retry-After": "1"})])
    server = Server(lambda _: next(first, Reply()))
    report = run_virtual(finish(looking_first(server).numbers.bulk_update([(1, ON)])))
    assert report.updated == 1
    assert server.seen == [("PATCH", 1)] * 3


@pytest.mark.req_17
@pytest.mark.parametrize(
    ("status", "applied", "read", "ending"),
    [
        (401, True, 401, "unknown"),
        (403, True, 403, "unknown"),
        (404, False, 404, "failed"),
        (404, True, 200, "updated"),
        (422, False, 200, "failed"),
        (422, True, 200, "updated"),
        (400, True, 200, "updated"),
        (413, False, 200, "failed"),
        (422, True, 404, "failed"),
    ],
)
def test_a_refusal_after_an_attempt_that_may_have_worked(status: int, applied: bool, read: int, ending: str) -> None:
    """The refusal says nothing about the attempt before it: a read decides, unless the refusal stops the run."""
    replies = iter([Reply(error=aiohttp.ServerDisconnectedError(), applied=applied), Reply(status)])
    client = client_of(StubSession(lambda _: next(replies, Reply(read))), retry=RetryPolicy(backoff=0.01))
    (result,) = run_virtual(results_of(client.numbers.bulk_update({1: ON})))
    assert result.status == ending


TWICE = RetryPolicy(attempts=2, backoff=0.01)


@pytest.mark.req_17
@pytest.mark.req_04
@pytest.mark.parametrize(
    "last", [Reply(500, applied=True), Reply(503, applied=True), Reply(200, "x", {"Content-Type": "text/html"})]
)
def test_what_was_sent_again_after_the_read_is_read_again(last: Reply) -> None:
    """A read before the last send does not show that the record is unchanged: the change must not become `failed`."""
    looked = False

    def answer(seen: Seen) -> Reply:
        nonlocal looked
        looked = looked or seen.method == "GET"
        return Reply() if seen.method == "GET" else last if looked else Reply(500, applied=False)

    session, client = answering(answer, retry=TWICE)
    run = client.numbers.bulk_update({7: ON})
    (result,) = run_virtual(results_of(run))
    assert session.applied["/v1/numbers/7"]
    assert (str(result.status), result.settled, result.error) == ("updated", True, None)


@pytest.mark.req_17
@pytest.mark.parametrize("status", [200, 502, 504, 520, 524, 599])
def test_what_a_proxy_says_is_not_the_last_word(status: int) -> None:
    """The API may still be working: it may apply the change after the last read."""
    body = "<html>" if status == 200 else None
    session, client = answering(lambda seen: Reply() if seen.method == "GET" else Reply(status, body, applied=False))
    report = run_virtual(finish(client.numbers.bulk_update({7: ON})))
    assert (report.unknown, report.failed) == (1, 0)
    assert session.requests == report.requests


@pytest.mark.req_17
@pytest.mark.req_20
def test_a_read_of_the_predecessor_is_not_an_attempt() -> None:
    """A read must not count as an attempt of the next change, or a rejected change would end as unknown."""
    replies = iter([*[dropped(applied=True)] * 8, Reply(409, {"message": "not in this state"})])
    reads = iter([dropped(applied=False), Reply()])
    session, client = answering(lambda seen: next(reads) if seen.method == "GET" else next(replies))
    run = client.numbers.bulk_update([(5, ON), (5, NumberUpdate(sms_enabled=False))])
    first, second = run_virtual(results_of(run))
    assert (str(first.status), first.settled) == ("updated", True)
    assert (str(second.status), second.attempts) == ("failed", 1)
    assert session.writes["/v1/numbers/5"] == 9


@pytest.mark.req_17
@pytest.mark.parametrize("kind", [iter, list])
def test_a_defect_while_settling_ends_the_run_and_loses_nothing(kind: Any) -> None:
    class Odd(Exception):
        pass

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(error=Odd())
        return dropped(applied=True) if seen.id == 1 else Reply()

    async def main() -> BulkReport:
        _, client = answering(answer, retry=RetryPolicy.none())
        run = client.numbers.bulk_update(kind([(1, ON), (2, ON)]))
        with pytest.raises(Odd):
            await run
        return run.report

    report = run_virtual(main())
    assert (report.updated, report.unknown, report.total) == (1, 1, 2)


@pytest.mark.req_17
@pytest.mark.req_16
def test_a_key_that_is_revoked_while_unknown_outcomes_are_settled_stops_the_run() -> None:
    looked = False

    def answer(seen: Seen) -> Reply:
        nonlocal looked
        looked = looked or seen.method == "GET"
        return Reply() if seen.method == "GET" or seen.id % 10 else Reply(401 if looked else 500)

    session, client = answering(answer, retry=TWICE)
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(range(1, 401), ON), concurrency=8)))
    assert isinstance(report.stopped_by, AuthenticationError)
    assert report.total == 400
    assert session.statuses[401] <= 8
