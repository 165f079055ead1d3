"""A 200 that contradicts its change is a doubt: the run reads the number, and says what it knows and no more."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.bulk import FAST, ON, client_of, counts, dropped, finish, results_of
from tests.support.stub import NUMBER, Reply, Seen, StubSession, shown
from tests.support.virtual import run_virtual
from wavix_async import (
    APIError,
    AttemptEvent,
    BulkOperation,
    BulkResult,
    BulkRun,
    BulkStatus,
    NumberUpdate,
    Operation,
    OutcomeUnknownError,
    RetryPolicy,
    WavixClient,
)

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.req_26, pytest.mark.req_17]

OLD = {**NUMBER, "sms_enabled": False, "call_status_url": "https://old.example.net", "transcription_threshold": 6}


class Liar:
    """An API that keeps numbers, and answers some changes with a lie.

    Args:
        lie: Returns what to answer to a change, given the number as it is and the count of lies about it; None: the
            truth.
        applies: Whether it carries out a change that it answers with a lie.
        stores: What it makes of the values that it stores.
    """

    def __init__(
        self,
        lie: Callable[[dict[str, Any], int], Any] = lambda number, nth: None,
        *,
        applies: Callable[[int], bool] = lambda nth: False,
        stores: Callable[[dict[str, Any]], dict[str, Any]] = lambda values: values,
        retry: RetryPolicy = FAST,
    ) -> None:
        self.lie, self.applies, self.stores = lie, applies, stores
        self.numbers: dict[int, dict[str, Any]] = {}
        self.seen: list[tuple[str, int]] = []
        self.lies: Counter[int] = Counter()
        self.events: list[Any] = []
        self.session = StubSession(self._answer, latency=0.01)
        self.client = client_of(self.session, retry=retry, observers=[self.events.append])

    def number(self, number_id: int) -> dict[str, Any]:
        return self.numbers.setdefault(number_id, {**OLD, "id": number_id})

    def _answer(self, seen: Seen) -> Reply:
        ids = seen.body["ids"] if seen.path == "/v1/numbers" else [seen.id]
        self.seen += [(seen.method, each) for each in ids]
        if seen.method == "GET":
            return Reply(body=self.number(ids[0]))
        told = [self._change(each, shown(seen.body)) for each in ids]
        if isinstance(told[0], Reply):
            return told[0]
        return Reply(body={"items": [each for each in told if each]} if seen.path == "/v1/numbers" else told[0])

    def _change(self, number_id: int, values: dict[str, Any]) -> Any:
        number = self.number(number_id)
        lie = self.lie(dict(number), self.lies[number_id] + 1)
        if lie is not None:
            self.lies[number_id] += 1
        if lie is None or self.applies(self.lies[number_id]):
            number.update(self.stores(values))
        return dict(number) if lie is None else lie

    def update(self, changes: dict[int, NumberUpdate], **options: Any) -> BulkRun:
        return self.client.numbers.bulk_update(changes, **options)

    def methods(self) -> list[str]:
        return [method for method, _ in self.seen]


def run_one(server: Liar, change: NumberUpdate = ON, **options: Any) -> BulkResult:
    (result,) = run_virtual(results_of(server.update({7: change}, **options)))
    return result


def once(lie: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], int], Any]:
    return lambda number, nth: lie(number) if nth == 1 else None


SAYS_NO: list[Any] = [
    {"status": "error", "message": "db down"},
    {"status": 500, "error": "Internal Server Error"},
    {"success": 0, "id": 7},
    {"id": None, "errors": ["no"]},
]


@pytest.mark.parametrize("applies", [True, False])
@pytest.mark.parametrize(
    "lie",
    [lambda number: {**number, "sms_enabled": False}, lambda number: {**number, "id": 8, "sms_enabled": True}]
    + [lambda _, payload=payload: payload for payload in SAYS_NO],
)
def test_a_lie_is_read_back_and_the_change_is_sent_again_if_it_was_not_made(
    lie: Callable[[dict[str, Any]], Any], applies: bool
) -> None:
    server = Liar(once(lie), applies=lambda _: applies)
    result = run_one(server)

    assert (str(result.status), result.settled, result.error) == ("updated", True, None)
    assert server.numbers[7]["sms_enabled"] is True
    assert server.methods()[:2] == ["PATCH", "GET"]
    assert Counter(server.methods())["PATCH"] == result.attempts == (1 if applies else 2)


@pytest.mark.parametrize("lie", [lambda number: number, *(lambda _, payload=payload: payload for payload in SAYS_NO)])
def test_what_the_api_answers_and_never_changes_has_failed(lie: Callable[[dict[str, Any]], Any]) -> None:
    server = Liar(lambda number, _: lie(number))
    result = run_one(server)

    assert (str(result.status), result.settled, result.attempts) == ("failed", True, 2)
    assert server.methods() == ["PATCH", "GET", "PATCH", "GET"]
    assert type(result.error) is APIError
    assert result.error.outcome == "rejected"
    assert str(result.error).startswith(
        "The API answered, but did not make the change. HTTP 200 for PATCH /v1/numbers/7"
    )
    assert isinstance(result.error.__cause__, OutcomeUnknownError)
    # Nothing is left of the doubt.
    assert "it s" in str(result.error)
    for doubt in ("may have been", "check the account", "cannot be believed", ".."):
        assert doubt not in str(result.error)


def test_what_the_answers_to_others_say_leaves_it_unknown() -> None:
    """An answer about another number says nothing about this one: its request may still be in progress."""
    server = Liar(lambda number, _: {**number, "id": 8})
    result = run_one(server)

    assert (str(result.status), result.settled) == ("unknown", False)
    assert isinstance(result.error, OutcomeUnknownError)
    assert "it is about id 8 instead of 7" in str(result.error)
    assert "A read does not decide it: it shows sms_enabled=False instead of True" in str(result.error)


def test_a_value_that_the_api_stores_in_another_form_is_unknown_with_both_values() -> None:
    """The run does not know the old value, so it cannot tell an ignored change from one that was stored otherwise."""
    server = Liar(stores=lambda values: {name: str(value).lower() for name, value in values.items()})
    result = run_one(server, NumberUpdate(call_status_url="https://New.example.net"))

    assert (str(result.status), result.settled) == ("unknown", False)
    assert "it shows call_status_url='https://new.example.net' instead of 'https://New.example.net'" in str(
        result.error
    )
    assert "which may be the old value, or the new one in another form" in str(result.error)


def test_a_change_that_the_api_ignores_is_unknown_where_there_may_be_a_third_value() -> None:
    server = Liar(lambda number, _: number)
    result = run_one(server, NumberUpdate(transcription_threshold=12))

    assert str(result.status) == "unknown"
    assert "A read does not decide it: it shows transcription_threshold=6 instead of 12" in str(result.error)


def test_a_change_of_which_the_api_makes_a_part_is_unknown() -> None:
    change = NumberUpdate(sms_enabled=True, call_recording_enabled=True)
    server = Liar(stores=lambda values: {"sms_enabled": True})
    result = run_one(server, change)
    assert str(result.status) == "unknown"

    server = Liar(lambda number, _: number)
    assert str(run_one(server, change).status) == "failed"


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_a_change_that_the_api_refuses_after_a_lie_has_failed(status: int) -> None:
    """Only where the read shows that the number has its old values: see the next test for other values."""
    server = Liar(lambda number, nth: number if nth == 1 else Reply(status, {"message": "no"}))
    result = run_one(server)

    assert (str(result.status), result.error and result.error.status) == ("failed", status)

    server = Liar(lambda number, nth: {"error": "no"} if nth == 1 else Reply(422, {"message": "no"}))
    result = run_one(server, NumberUpdate(transcription_threshold=12))
    assert (str(result.status), result.error and result.error.status) == ("failed", 422)


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422, 500])
@pytest.mark.parametrize("stores", [True, False])
def test_a_lie_and_then_an_error_do_not_prove_that_nothing_was_stored(status: int, stores: bool) -> None:
    """The API may have stored the value in another form, and refuse to store it again."""
    lower = {"call_status_url": "https://hooks.example.net/a"}
    server = Liar(
        lambda number, nth: {**number, **lower} if nth == 1 else Reply(status, {"message": "no"}),
        applies=lambda nth: nth == 1 and stores,
        stores=lambda values: lower,
    )
    if not stores:
        server.number(7).update(lower)
    result = run_one(server, NumberUpdate(call_status_url="https://Hooks.example.net/A"))

    assert (str(result.status), result.settled, result.attempts) == ("unknown", False, 2 if status < 500 else 5)
    assert isinstance(result.error, OutcomeUnknownError)
    assert (result.error.differing, result.error.outcome) == (("call_status_url",), "unknown")
    assert f"It was sent again: HTTP {status} for PATCH /v1/numbers/7: no." in str(result.error)
    assert "it shows call_status_url='https://hooks.example.net/a' instead of 'https://Hooks.example.net/A'" in str(
        result.error
    )


@pytest.mark.parametrize("policy", [RetryPolicy.none(), RetryPolicy(repeat_unknown=False, backoff=0.01)])
def test_without_retries_a_lie_is_still_read_back(policy: RetryPolicy) -> None:
    server = Liar(once(lambda number: {**number, "sms_enabled": False}), applies=lambda _: True, retry=policy)

    assert run_one(server).ok
    assert server.methods() == ["PATCH", "GET"]


@pytest.mark.parametrize("late", [{"sms_relay_url": "https://new.example.net"}, {"destinations": []}])
def test_fields_that_are_applied_late_are_no_contradiction(late: dict[str, Any]) -> None:
    server = Liar(lambda number, _: {**number, "sms_enabled": True})

    assert run_one(server, NumberUpdate(sms_enabled=True, **late)).ok
    assert server.methods() == ["PATCH"]


def test_an_api_that_only_lies_is_no_outage() -> None:
    server = Liar(lambda number, _: number)
    run = server.update(dict.fromkeys(range(1, 101), ON), concurrency=4)
    report = run_virtual(finish(run))

    assert counts(report) == (0, 100, 0, 0)
    assert report.stopped_by is None
    assert report.requests == server.session.requests == 400
    assert report.elapsed < 5
    assert {event.error for event in server.events if isinstance(event, AttemptEvent)} <= {"OutcomeUnknownError", None}


def test_a_read_that_lies_leaves_it_unknown() -> None:
    session = StubSession(
        lambda seen: Reply(body={**OLD, "id": 8}) if seen.method == "GET" else dropped(applied=True), latency=0.01
    )
    report = run_virtual(finish(client_of(session, retry=FAST).numbers.bulk_update({7: ON})))
    assert counts(report) == (0, 0, 1, 0)


# --- batches ---


@pytest.mark.req_21
@pytest.mark.parametrize("applies", [True, False])
def test_in_a_batch_each_record_is_judged_by_itself(applies: bool) -> None:
    server = Liar(
        lambda number, nth: {**number, "sms_enabled": False} if number["id"] % 5 == 0 and nth == 1 else None,
        applies=lambda _: applies,
    )
    results = {
        each.id: each for each in run_virtual(results_of(server.update(dict.fromkeys(range(1, 21), ON), batch="auto")))
    }

    assert {str(each.status) for each in results.values()} == {"updated"}
    assert {each.id for each in results.values() if each.settled} == {5, 10, 15, 20}
    assert all(server.numbers[each]["sms_enabled"] for each in range(1, 21))
    assert Counter(server.methods())["GET"] == 4


@pytest.mark.req_21
def test_a_record_that_a_batch_never_changes_has_failed_alone() -> None:
    server = Liar(lambda number, _: number if number["id"] == 3 else None)
    report = run_virtual(finish(server.update(dict.fromkeys(range(1, 21), ON), batch="auto")))

    assert counts(report) == (19, 1, 0, 0)
    assert report.failures[0].id == 3
    assert report.requests == server.session.requests


@pytest.mark.req_21
@pytest.mark.parametrize("payload", [*SAYS_NO, {"items": [], "error": "no"}])
def test_a_batch_whose_answer_says_no_is_read_back(payload: Any) -> None:
    server = Liar(lambda number, nth: Reply(body=payload) if nth == 1 else None)
    report = run_virtual(finish(server.update(dict.fromkeys(range(1, 4), ON), batch="auto")))

    assert counts(report) == (3, 0, 0, 0)
    assert all(server.numbers[each]["sms_enabled"] for each in (1, 2, 3))


@pytest.mark.req_24
def test_the_key_is_not_in_what_a_run_says_of_an_answer() -> None:
    key = "key-that-no-one-may-see"
    server = Liar(lambda number, _: {**number, "call_status_url": f"https://x.example.net?appid={key}"})
    server.client = WavixClient(key, base_url="http://127.0.0.1:1", session=server.session, retry=FAST)  # type: ignore[arg-type]
    server.numbers.update({each: {**OLD, "id": each, "call_status_url": f"https://y?appid={key}"} for each in (1, 2)})
    change = NumberUpdate(call_status_url="https://z.example.net")
    for options in ({}, {"batch": 2}):
        report = run_virtual(finish(server.update({1: change, 2: change}, **options)))
        assert report.unknown == 2
        for result in report.failures:
            assert key not in f"{result.error} {vars(result.error)!r}"


@pytest.mark.req_24
@pytest.mark.parametrize("options", [{}, {"batch": 2}])
def test_no_part_of_the_key_is_in_what_a_run_quotes(options: dict[str, Any]) -> None:
    key = "key-0123456789abcdefghijklmnopqrstuvwxyz-that-no-one-may-see-ABC"
    late = f"https://x.example.net/{'x' * (98 - len(key))}{key}"
    server = Liar(lambda number, _: {**number, "call_status_url": late})
    server.client = WavixClient(key, base_url="http://127.0.0.1:1", session=server.session, retry=FAST)  # type: ignore[arg-type]
    server.numbers.update({each: {**OLD, "id": each, "call_status_url": late} for each in (1, 2)})
    change = NumberUpdate(call_status_url="https://z.example.net")
    report = run_virtual(finish(server.update({1: change, 2: change}, **options)))
    assert report.unknown == 2
    for result in report.failures:
        told = f"{result.error} {vars(result.error)!r}"
        assert "A read does not decide it" in told
        assert not any(key[at : at + 16] in told for at in range(len(key) - 15))


@pytest.mark.req_29
@pytest.mark.parametrize("options", [{}, {"batch": 3}])
@pytest.mark.parametrize(
    "large",
    [
        {"x": [[]] * 2_000},
        {"label": "x" * 16_000},
        {"destinations": [{"id": 1, "priority": 1, "transport": 1, "destination": "1" * 50}] * 200},
    ],
)
def test_answers_that_contradict_their_change_are_not_kept_whole(
    large: dict[str, Any], options: dict[str, Any]
) -> None:
    async def held(count: int) -> tuple[int, int]:
        server = Liar(lambda number, _: {**number, **large})
        run = server.update(dict.fromkeys(range(1, count + 1), NumberUpdate(transcription_threshold=12)), **options)
        tracemalloc.start()
        try:
            report = await finish(run)
            del server, run
            gc.collect()
            return tracemalloc.get_traced_memory()[0], len(report.failures)
        finally:
            tracemalloc.stop()

    used, count = run_virtual(held(12))
    assert count == 12
    assert used < 12 * 40_000


# --- other operations ---


class Rename:
    label = "new"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, "it shows another label,"),
        (lambda change, record, name: (change.label, record[name]), "it shows label='old' instead of 'new',"),
    ],
)
def test_a_message_quotes_values_only_if_the_operation_knows_them(values: Any, words: str) -> None:
    session = StubSession(lambda seen: Reply(body={"id": 1, "label": "old"}))
    patch = Operation("PATCH", "/v1/trunks/{id}", dict, answer_id="id", echoes=["label"], idempotent=True)
    operation = BulkOperation[int, Rename, dict[str, Any]](
        name=patch.name,
        check=lambda *_: None,
        send=lambda wavix, key, change: wavix.call(patch, path={"id": key}, body={"label": change.label}),
        read=lambda wavix, key: wavix.call(Operation("GET", "/v1/trunks/{id}", dict), path={"id": key}),
        differs=lambda change, record: () if record["label"] == change.label else ("label",),
        values=values,
        idempotent=True,
        change_type=Rename,
    )
    run: BulkRun[int, Any] = BulkRun(client_of(session, retry=FAST), {1: Rename()}, operation=operation)
    report = run_virtual(finish(run))

    assert counts(report) == (0, 0, 1, 0)
    assert f"A read does not decide it: {words}" in str(report.failures[0].error)


class Buy:
    pass


@pytest.mark.req_01
def test_what_is_sent_once_and_cannot_be_read_stays_unknown() -> None:
    sent: list[int] = []

    async def send(client: WavixClient, key: int, change: Buy) -> object:
        sent.append(key)
        return await client.messages.send(from_="Acme", to=str(key), message_body={"text": "x"})

    session = StubSession(lambda _: Reply(body={"status": "error", "message": "db down"}))
    operation = BulkOperation[int, Buy, object](
        name="POST /v3/messages", check=lambda *_: None, send=send, success=BulkStatus.ACCEPTED, change_type=Buy
    )
    run: BulkRun[int, object] = BulkRun(client_of(session, retry=FAST), {1: Buy(), 2: Buy()}, operation=operation)
    report = run_virtual(finish(run))

    assert counts(report) == (0, 0, 2, 0)
    assert sent == [1, 2]
    assert {type(each.error) for each in report.failures} == {OutcomeUnknownError}


def test_an_error_in_a_record_of_a_batch_is_read_back_and_the_change_made() -> None:
    server = Liar(once(lambda number: {**number, "sms_enabled": True, "error": "could not save"}))
    report = run_virtual(finish(server.update(dict.fromkeys(range(1, 5), ON), batch="auto")))

    assert counts(report) == (4, 0, 0, 0)
    assert all(number["sms_enabled"] for number in server.numbers.values())
    assert Counter(server.methods())["GET"] >= 4


@pytest.mark.parametrize("order", [1, -1])
def test_a_number_that_comes_twice_in_a_batch_is_sent_again_alone(order: int) -> None:
    sent: list[list[int]] = []

    def answer(seen: Seen) -> Reply:
        ids = seen.body["ids"] if seen.path == "/v1/numbers" else [seen.id]
        sent.append(ids)
        new = [{**OLD, "id": each, **shown(seen.body)} for each in ids]
        return Reply(body=new[0] if len(ids) == 1 else {"items": [*new, {**OLD, "id": 1}][::order]})

    run = client_of(StubSession(answer)).numbers.bulk_update(dict.fromkeys((1, 2, 3), ON), batch="auto")
    report = run_virtual(finish(run))

    assert counts(report) == (3, 0, 0, 0)
    assert sent == [[1, 2, 3], [1]]
