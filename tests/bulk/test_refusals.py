"""A bulk run under answers that are no refusals: every status x kind of body, for single changes and for batches."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import examples as ex
from tests.support.bulk import ON, client_of, finish, results_of
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import APIError, PermissionDeniedError, RetryPolicy, WavixClient

if TYPE_CHECKING:
    from wavix_async import BulkResult

pytestmark = [pytest.mark.req_17, pytest.mark.req_27]

STATUSES = [101, *range(300, 600)]
BODIES = {
    "empty": (b"", "application/json"),
    "an object": (b'{"message": "no"}', "application/json"),
    "a JSON text": (b'"no"', "application/json"),
    "an object of a wrong type": (b'{"message": "no"}', "text/html"),
    "a page": (b"<html>Request id 12</html>", "text/html"),
    "a page of a wrong type": (b"<html>Request id 12</html>", "application/json"),
    "a text": (b"error code: 1020", "text/plain"),
}
PAGES = {"a page", "a page of a wrong type", "a text"}
STOPPERS = {401, 402, 403}
# Without a page, they come from the API, which has ended the request: a read that shows no change decides.
ENDED = {500, 501, 503}
# By default one status in three, each with the next kind of body, and all that mean something of their own.
SAMPLE = [
    status
    for status in STATUSES
    if status % 3 == 0 or status in {101, *STOPPERS, 404, 408, 409, 413, 414, 422, 429, 431, 499, *ENDED, 502, 504, 520}
]
IN_TURN = "each in turn"
EVERY_BODY = pytest.mark.parametrize(
    "bodies", [IN_TURN, *(pytest.param(body, marks=pytest.mark.scale) for body in BODIES)]
)
QUICK = RetryPolicy(backoff=0.01, max_backoff=0.05, budget_per_second=1e6)


def rejects(status: int, body: str) -> bool:
    if not 400 <= status < 500 or status in {408, 499}:
        return False
    return body not in PAGES or status in {*STOPPERS, 413, 414, 429, 431}


class Account:
    """An account behind a proxy: `answers` says with what the first writes of a number are answered, and for how long.

    A number is changed by every write that is answered well, and by each of the others if `applies` says so.
    """

    def __init__(self, answers: dict[int, tuple[int, str]], *, applies: bool, times: int) -> None:
        self.answers = answers
        self.applies = applies
        self.times = times
        self.writes: Counter[int] = Counter()
        self.seen: list[tuple[str, int]] = []
        self.changed: set[int] = set()
        self.session = StubSession(self.answer, latency=0.01)

    def client(self, **options: Any) -> WavixClient:
        return client_of(self.session, **{"retry": QUICK, **options})

    def answer(self, seen: Seen) -> Reply:
        ids = seen.body["ids"] if seen.path == "/v1/numbers" else [seen.id]
        self.seen.append((seen.method, len(ids)))
        if seen.method == "GET":
            return Reply(body=self.number(ids[0]))
        self.writes.update(ids)
        faulty = next((number for number in ids if number in self.answers), None)
        if faulty is not None and self.writes[faulty] <= self.times:
            status, body = self.answers[faulty]
            if self.applies and not rejects(status, body):
                self.changed.update(ids)
            data, kind = BODIES[body]
            return Reply(status, data, {"Content-Type": kind}, applied=False)
        self.changed.update(ids)
        items = [self.number(number) for number in ids]
        return Reply(body={"items": items} if seen.path == "/v1/numbers" else items[0])

    def number(self, number: int) -> dict[str, Any]:
        return ex.number(id=number, sms_enabled=number in self.changed)

    def run(self, **options: Any) -> dict[int, BulkResult]:
        """Change all numbers that are answered badly, and a good one first."""
        client = self.client()
        changes = dict.fromkeys((1, *self.answers), ON)
        results = run_virtual(results_of(client.numbers.bulk_update(changes, **options)))
        ends = {result.id: result for result in results}
        assert len(ends) == len(results) == len(changes)
        return ends


def body_of(bodies: str, status: int) -> str:
    return list(BODIES)[status % len(BODIES)] if bodies == IN_TURN else bodies


def statuses_of(bodies: str) -> list[int]:
    return SAMPLE if bodies == IN_TURN else STATUSES


def every_status(bodies: str, *without: int) -> dict[int, tuple[int, str]]:
    return {1000 + status: (status, body_of(bodies, status)) for status in statuses_of(bodies) if status not in without}


@pytest.mark.parametrize("applies", [True, False])
@EVERY_BODY
def test_one_answer_of_every_status(bodies: str, applies: bool) -> None:
    """The proxy answers the first write only: whatever is no refusal is made, and told so."""
    account = Account(every_status(bodies, *STOPPERS), applies=applies, times=1)
    for number, result in account.run().items():
        status, body = account.answers.get(number, (200, ""))
        rejected = rejects(status, body) and status != 429
        assert str(result.status) == ("failed" if rejected else "updated"), f"{status} with {body}: {result}"
        assert (number in account.changed) is not rejected
        if rejected:
            assert result.error is not None
            assert (result.error.outcome, result.attempts) == ("rejected", 1)


@pytest.mark.req_04
@pytest.mark.parametrize("applies", [True, False])
@EVERY_BODY
def test_every_status_to_the_end(bodies: str, applies: bool) -> None:
    """The proxy answers every write of a number so: a read decides, or the outcome is unknown."""
    account = Account(every_status(bodies, *STOPPERS, 429), applies=applies, times=1000)
    for number, result in account.run().items():
        status, body = account.answers.get(number, (200, ""))
        where = f"{status} with {body}: {result}"
        if status == 200 or (applies and not rejects(status, body)):
            assert str(result.status) == "updated", where
            assert number in account.changed
        elif rejects(status, body) or (status in ENDED and body not in PAGES):
            assert str(result.status) == "failed", where
            assert number not in account.changed
        else:
            assert str(result.status) == "unknown", where
            assert result.error is not None
            assert result.error.outcome == "unknown"


@pytest.mark.req_19
@pytest.mark.parametrize("status", [302, 404, 408, 499, 520, 524, 530])
def test_what_a_read_shows_unchanged_is_sent_again(status: int) -> None:
    """All attempts of the run were answered so, then the proxy is well again."""
    account = Account({7: (status, "a page")}, applies=False, times=8)
    result = account.run()[7]
    assert (str(result.status), result.settled, result.attempts) == ("updated", True, account.times + 1)
    assert [method for method, _ in account.seen][-3:] == ["GET", "GET", "PATCH"]


@pytest.mark.req_16
@pytest.mark.parametrize("batch", [None, 10])
@EVERY_BODY
def test_a_firewall_stops_the_run(bodies: str, batch: int | None) -> None:
    """By default each of the three statuses with an object and with a page, and each body with one of them."""
    for place, status in enumerate(sorted(STOPPERS)):
        for body in {*list(BODIES)[place::3], "an object", "a page"} if bodies == IN_TURN else [bodies]:
            account = Account(dict.fromkeys(range(1000, 1300), (status, body)), applies=False, times=1000)
            changes = dict.fromkeys(account.answers, ON)
            report = run_virtual(finish(account.client().numbers.bulk_update(changes, batch=batch)))
            where = f"{status} with {body}"
            assert account.session.requests <= 64, where
            assert (report.unknown, report.total) == (0, 300), where
            assert isinstance(report.stopped_by, APIError), where
            assert (report.stopped_by.status, report.stopped_by.outcome) == (status, "rejected"), where
            if isinstance(report.stopped_by, PermissionDeniedError):
                assert ("scope" in str(report.stopped_by)) is (body not in PAGES), where


@pytest.mark.req_21
@pytest.mark.parametrize("applies", [True, False])
@EVERY_BODY
def test_every_status_of_a_batch(bodies: str, applies: bool) -> None:
    """A batch is halved if the API refuses it, and repeated as it is if a proxy answers in place of the API."""
    for status in statuses_of(bodies):
        body = body_of(bodies, status)
        if status in STOPPERS or (bodies == IN_TURN and 540 < status < 590):
            continue
        account = Account({7: (status, body)}, applies=applies, times=1)
        client = account.client()
        run = client.numbers.bulk_update(dict.fromkeys(range(1, 11), ON), batch=10)
        report = run_virtual(finish(run))
        where = f"{status} with {body}: {account.seen}"
        assert (report.updated, account.changed) == (10, set(range(1, 11))), where
        sizes = [size for method, size in account.seen if method == "PATCH"]
        halved = rejects(status, body) and status != 429
        assert sizes == ([10, 5, 5] if halved else [10, 10]), where


@pytest.mark.req_16
@pytest.mark.parametrize(("status", "body"), [(302, "empty"), (404, "a page"), (499, "empty"), (530, "a text")])
def test_a_run_against_nothing_but_a_proxy_ends(status: int, body: str) -> None:
    """As with a wrong `base_url`: no number counts as refused, and the run gives up after half a minute."""
    account = Account(dict.fromkeys(range(1, 2000), (status, body)), applies=False, times=1000)
    account.session = StubSession(account.answer, latency=0.5)
    client = account.client()
    report = run_virtual(finish(client.numbers.bulk_update(dict.fromkeys(account.answers, ON), concurrency=8)))
    assert (report.failed, report.updated) == (0, 0)
    assert report.stopped_by is not None
    assert report.not_sent > 0
    assert report.elapsed < 60


@pytest.mark.req_16
def test_a_proxy_that_answers_for_a_while_is_an_outage() -> None:
    """The run waits until the API answers again, although every answer has a 4xx status."""
    down = {"since": 0.0}

    def answer(seen: Seen) -> Reply:
        if 1.0 <= seen.at < 9.0:
            down["since"] = seen.at
            return Reply(404, b"<html>No such app</html>", {"Content-Type": "text/html"}, applied=False)
        return Reply(body=ex.number(id=seen.id, sms_enabled=seen.method == "PATCH"))

    session = StubSession(answer, latency=0.05)
    changes = dict.fromkeys(range(1, 501), ON)
    report = run_virtual(finish(client_of(session).numbers.bulk_update(changes, concurrency=8)))
    assert (report.updated, report.total) == (500, 500)
    assert session.statuses[404] < 100
    assert down["since"] > 0
