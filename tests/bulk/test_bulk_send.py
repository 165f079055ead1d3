"""`messages.bulk_send` against a stub in virtual time: every item has one true outcome, and none is sent twice."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import Counter
from contextlib import aclosing, closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bulk import FAST, counts, fast_client, finish, results_of
from tests.support.message_api import LOST, REFUSED, MessageApi, lost, refusal
from tests.support.stub import Reply
from tests.support.virtual import run_virtual
from wavix_async import (
    BulkOperation,
    BulkResult,
    BulkRun,
    BulkStatus,
    ConfigurationError,
    FailureKind,
    InputError,
    JournalError,
    OncePerKey,
    OutcomeUnknownError,
    UnprocessableEntityError,
    WavixClient,
)
from wavix_async.models import Message, MessageCreate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [pytest.mark.req_17, pytest.mark.req_37]

TEXT = "the code is 481516"


def number(position: int) -> str:
    return f"1512555{position:04}"


def message(position: int, **more: Any) -> MessageCreate:
    return MessageCreate(from_="Acme", to=number(position), message_body={"text": TEXT}, **more)


def mapping(position: int) -> dict[str, Any]:
    return {"from": "Acme", "to": number(position), "message_body": {"text": TEXT}}


def by_key(results: list[BulkResult]) -> dict[Any, str]:
    assert len({result.id for result in results}) == len(results)
    return {result.id: str(result.status) for result in results}


def send(api: MessageApi, items: Any, *, key: str = "key", **options: Any) -> tuple[list[BulkResult], Any]:
    """Make one run; give its results and its report."""

    async def main() -> tuple[list[BulkResult], Any]:
        async with fast_client(api) as wavix:
            run = wavix.messages.bulk_send(items, **options)
            return await results_of(run), run.report

    return run_virtual(main())


# --- items ---


def generated() -> Iterator[MessageCreate]:
    yield from map(message, range(3))


async def generated_later() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    for position in range(3):
        yield f"k{position}", mapping(position)


@pytest.mark.parametrize(
    ("items", "keys"),
    [
        (lambda: [message(each) for each in range(3)], {0, 1, 2}),
        (lambda: [mapping(each) for each in range(3)], {0, 1, 2}),
        (lambda: tuple((f"k{each}", mapping(each)) for each in range(3)), {"k0", "k1", "k2"}),
        (lambda: {f"k{each}": message(each) for each in range(3)}, {"k0", "k1", "k2"}),
        (lambda: {each: mapping(each) for each in range(3)}, {0, 1, 2}),
        (generated, {0, 1, 2}),
        (generated_later, {"k0", "k1", "k2"}),
    ],
)
def test_items_of_every_form(items: Any, keys: set[Any]) -> None:
    api = MessageApi()
    results, report = send(api, items())
    assert by_key(results) == dict.fromkeys(keys, "accepted")
    assert api.sent == {number(each): 1 for each in range(3)}
    assert len({each["tag"] for _, each in api.messages}) == 3
    assert all(isinstance(result.value, Message) and result.value.message_body.text == TEXT for result in results)
    assert str(report).startswith("3 of 3 accepted, 0 failed, 0 unknown, 0 not sent; 3 requests in")
    assert report.success is BulkStatus.ACCEPTED


@pytest.mark.req_10
def test_cleanup_of_the_callers_generators_runs() -> None:
    closed: list[str] = []

    def source() -> Iterator[MessageCreate]:
        try:
            yield from map(message, range(1000))
        finally:
            closed.append("sync")

    class Later:
        async def __aiter__(self) -> AsyncIterator[MessageCreate]:
            try:
                for each in map(message, range(1000)):
                    yield each
            finally:
                await asyncio.sleep(0)
                closed.append("async")

    async def main() -> None:
        for items in (source(), Later()):
            async with fast_client(MessageApi()) as wavix:
                run = wavix.messages.bulk_send(items, concurrency=4)
                async with aclosing(aiter(run)) as results:
                    await anext(results)

    run_virtual(main())
    assert closed == ["sync", "async"]


def test_only_an_item_without_a_tag_gets_one() -> None:
    api = MessageApi()
    send(api, [message(0, tag="mine"), message(1)])
    tags = {each["to"]: each["tag"] for _, each in api.messages}
    assert tags[number(0)] == "mine"
    assert tags[number(1)]
    api = MessageApi()
    send(api, [message(0, tag="mine"), message(1)], tag_each=False)
    assert {each["tag"] for _, each in api.messages} == {"mine", None}


def test_keys_are_sent_once_and_numbers_are_not_keys() -> None:
    api = MessageApi()
    results, report = send(api, iter([("a", message(0)), ("b", message(0)), ("a", message(1)), ("c", message(2))]))
    assert counts(report) == (3, 1, 0, 0)
    assert api.sent == {number(0): 2, number(2): 1}
    (twice,) = (result for result in results if not result.ok)
    assert (twice.id, twice.attempts) == ("a", 0)
    assert str(twice.error) == "the key 'a' occurs twice; it is sent once."


def test_items_that_are_wrong() -> None:
    api = MessageApi()
    wrong = [
        ("a", {"from": "Acme", "text": TEXT}),
        ("b", 5),
        (1.5, message(0)),
        ("c", message(0), TEXT),
        (True, message(0)),
        ("d", {**mapping(0), "tag": 5}),
    ]
    for item in wrong:
        with pytest.raises(InputError) as refused:
            send(api, [item])
        assert TEXT not in str(refused.value)
    for items in (message(0), "Hello", 5, mapping(0)):
        with pytest.raises(InputError):
            send(api, items)
    results, _ = send(api, iter([*wrong, ("e", message(7))]))
    assert Counter(str(result.status) for result in results) == {"failed": len(wrong), "accepted": 1}
    assert api.posts == {number(7): 1}
    with pytest.raises(InputError, match="journal must be the path of a file, got ''"):
        send(api, [message(0)], journal="")


# --- answers that are lost ---


@pytest.mark.req_01
@pytest.mark.parametrize("shown_after", [0.0, 3.0])
@pytest.mark.parametrize("kept", [True, False])
def test_a_tag_proves_that_a_message_was_sent_and_nothing_proves_that_it_was_not(
    shown_after: float, kept: bool, tmp_path: Path
) -> None:
    def fate(body: dict[str, Any]) -> Reply | None:
        position = int(body["to"][-4:])
        return None if position % 3 == 0 else lost(applied=position % 3 == 1)

    api = MessageApi(fate, shown_after=shown_after)
    results, report = send(api, map(message, range(30)), journal=tmp_path / "run" if kept else None)
    for result in results:
        assert result.status == ("unknown" if result.id % 3 == 2 else "accepted"), result
        assert result.settled is (result.id % 3 == 1)
        assert isinstance(result.error, OutcomeUnknownError | None)
        assert result.attempts == 1
    assert set(api.posts.values()) == {1}
    assert report.charged == Decimal("0.20")
    assert {result.id for result in report.failures} == set(range(2, 30, 3))


@pytest.mark.req_01
@pytest.mark.parametrize("reply", [Reply(500), Reply(502), Reply(200, {}), Reply(200, b"<html>"), Reply(before=60)])
def test_an_answer_that_proves_nothing_is_settled_by_the_tag(reply: Reply) -> None:
    api = MessageApi(lambda _: Reply(reply.status, reply.body, before=reply.before, applied=True))
    results, _ = send(api, [message(0), message(1, tag="mine")])
    assert by_key(results) == {0: "accepted", 1: "accepted"}
    assert set(api.posts.values()) == {1}


@pytest.mark.parametrize("applied", [True, False])
def test_a_tag_that_items_share_proves_nothing_for_one(applied: bool) -> None:
    def fate(body: dict[str, Any]) -> Reply | None:
        return lost(applied=applied) if body["to"] in (number(0), number(9)) else None

    api = MessageApi(fate)
    shared = [message(0, tag="spring"), message(0, tag="spring"), message(9, tag="alone")]
    results, _ = send(api, shared)
    assert by_key(results) == {0: "unknown", 1: "unknown", 2: "accepted" if applied else "unknown"}
    assert api.posts == {number(0): 2, number(9): 1}


@pytest.mark.parametrize(("age", "to"), [(86_400, 0), (0, 5)])
def test_an_older_message_with_the_same_tag_or_one_to_another_number_proves_nothing(age: float, to: int) -> None:
    api = MessageApi(lambda _: lost(applied=False))
    api.add(tag="spring", to=number(to), age=age)
    results, _ = send(api, [message(0, tag="spring")])
    assert by_key(results) == {0: "unknown"}


def test_without_a_tag_nothing_is_looked_up() -> None:
    api = MessageApi(lambda _: LOST)
    results, report = send(api, [message(0), message(1, tag="")], tag_each=False)
    assert by_key(results) == {0: "unknown", 1: "unknown"}
    assert (api.queries, report.requests) == ([], 2)


def test_lists_that_fail_prove_nothing() -> None:
    api = MessageApi(lambda _: LOST)
    api.answer(lambda seen: Reply(404) if seen.method == "GET" else api._reply(seen))
    results, _ = send(api, [message(0), message(1)])
    assert by_key(results) == {0: "unknown", 1: "unknown"}


@pytest.mark.req_29
def test_items_that_wait_for_a_proof_are_few(bound: int) -> None:
    api = MessageApi(lambda body: LOST if int(body["to"][-1]) % 2 else None)
    _, report = send(api, map(message, range(3 * bound)))
    assert counts(report) == (3 * bound, 0, 0, 0)
    assert report.failures == []
    assert set(api.posts.values()) == {1}


@pytest.mark.req_03
def test_what_never_left_is_sent_at_the_end(tmp_path: Path) -> None:
    fates = iter([REFUSED] * 8)
    api = MessageApi(lambda body: next(fates, None) if body["to"] == number(0) else None)
    results, _ = send(api, [message(0), message(1)], journal=tmp_path / "run")
    assert by_key(results) == {0: "accepted", 1: "accepted"}
    assert api.sent == {number(0): 1, number(1): 1}


# --- refusals ---

NO_FUNDS = "Insufficient funds"


@pytest.mark.parametrize(
    "reply",
    [
        refusal(422, "The recipient has opted out"),
        refusal(400, "No route"),
        refusal(400, "too many", "7"),
        refusal(429, "too many", "7"),
        refusal(429, "too many", "47"),
    ],
    ids=repr,
)
def test_a_refusal_of_one_recipient_is_its_own(reply: Reply, tmp_path: Path) -> None:
    api = MessageApi(lambda body: reply if body["to"] == number(1) else None)
    results, report = send(api, map(message, range(12)), journal=tmp_path / "run", concurrency=4)
    assert counts(report) == (11, 1, 0, 0)
    (failed,) = (result for result in results if not result.ok)
    assert (failed.id, failed.attempts) == (1, 1)
    assert report.stopped_by is None
    # No pause: 12 messages, 4 at a time, 10 ms each.
    assert report.elapsed < 0.5
    again, _ = send(api, map(message, range(12)), journal=tmp_path / "run")
    assert by_key(again) == by_key(results)
    assert set(api.posts.values()) == {1}


@pytest.mark.req_06
def test_the_limit_per_second_is_waited_out_and_holds_up_messages_only() -> None:
    fates = iter([refusal(429, "per second", "26", Retry_After="3")] * 2)
    api = MessageApi(lambda _: next(fates, None))

    async def main() -> None:
        async with fast_client(api) as wavix:
            run = wavix.messages.bulk_send(map(message, range(5)), concurrency=2)
            task = asyncio.ensure_future(finish(run))
            await asyncio.sleep(1)
            assert wavix.limits.snapshot("messages").paused_for > 1
            assert wavix.limits.snapshot().paused_for == 0
            assert run.progress.paused_for > 1
            report = await task
            assert counts(report) == (5, 0, 0, 0)
            assert report.rate_limited == 2
            assert report.elapsed >= 3

    run_virtual(main())
    assert max(api.sent.values()) == 1


@pytest.mark.req_16
@pytest.mark.parametrize("reply", [*(refusal(status, "no") for status in (401, 402, 403)), refusal(422, NO_FUNDS)])
def test_a_refusal_of_the_account_stops_the_run_and_a_later_run_sends_the_rest(reply: Reply, tmp_path: Path) -> None:
    fates = iter([None, None, reply])
    api = MessageApi(lambda _: next(fates, None))
    items = [message(each) for each in range(20)]
    _, report = send(api, items, journal=tmp_path / "run", concurrency=1)
    assert counts(report) == (2, 1, 0, 17)
    assert report.stopped_by is not None
    assert report.stopped_by.status == reply.status
    results, report = send(api, items, journal=tmp_path / "run")
    assert by_key(results) == dict.fromkeys(range(20), "accepted")
    assert (report.requests, report.charged) == (18, Decimal("0.20"))
    assert set(api.sent.values()) == {1}


@pytest.mark.req_16
@pytest.mark.parametrize(("status", "settled"), [(402, True), (403, True), (422, True), (401, False)])
def test_a_run_without_funds_still_looks_for_what_it_has_sent(status: int, settled: bool) -> None:
    fates = iter([LOST, LOST, lost(applied=False), None, refusal(status, NO_FUNDS)])
    api = MessageApi(lambda _: next(fates, None))
    results, report = send(api, [message(each) for each in range(9)], concurrency=1)
    proved = "accepted" if settled else "unknown"
    ends = [by_key(results)[each] for each in range(9)]
    assert ends == [proved, proved, "unknown", "accepted", "failed", *["not_sent"] * 4]
    assert api.posts.total() == 5
    assert report.elapsed < 30


@pytest.mark.req_16
def test_a_stopped_run_reports_what_an_earlier_run_may_have_sent_once_and_as_unknown(tmp_path: Path) -> None:
    fates = {number(0): refusal(402, "no"), number(1): lost(applied=False)}
    api = MessageApi(lambda body: fates[body["to"]])
    items = [message(0), message(1)]
    first, _ = send(api, items, journal=tmp_path / "run", concurrency=2)
    assert by_key(first) == {0: "failed", 1: "unknown"}
    again, report = send(api, items, journal=tmp_path / "run", concurrency=1)
    assert by_key(again) == {0: "failed", 1: "unknown"}
    assert counts(report) == (0, 1, 1, 0)


@pytest.mark.req_14
def test_a_cancelled_run_does_not_say_that_an_item_of_an_earlier_run_was_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = MessageApi()
    items = [message(0), message(1)]
    send(api, items, journal=tmp_path / "run")
    monkeypatch.setattr("wavix_async.bulk._journal.Journal.claim", lambda *_: asyncio.sleep(60))

    async def main() -> Any:
        async with fast_client(api) as wavix:
            run = wavix.messages.bulk_send(items, journal=tmp_path / "run")
            task = asyncio.ensure_future(finish(run))
            await asyncio.wait([task], timeout=1)
            task.cancel()
            await asyncio.wait([task])
            return run.report

    report = run_virtual(main())
    assert counts(report) == (0, 0, 0, 0)
    assert report.cut_short


# --- what it cost ---


def test_what_the_answers_said_that_it_cost() -> None:
    prices: Iterator[dict[str, Any]] = iter(
        [{"charge": "0.0475", "carrier_fees": "0.003"}, {"charge": 2}, {"charge": None}, {"charge": "free"}, {}]
    )

    def fate(body: dict[str, Any]) -> Reply | None:
        answer = {"message_id": "m", "to": body["to"], "from": "Acme", **next(prices)}
        return Reply(201, answer)

    _, report = send(MessageApi(fate), map(message, range(5)), concurrency=1)
    assert (report.charged, report.without_charge) == (Decimal("2.0505"), 3)


# --- the journal ---


@pytest.mark.req_14
def test_a_run_that_has_ended_reports_again_and_sends_nothing(tmp_path: Path) -> None:
    def fate(body: dict[str, Any]) -> Reply | None:
        return {number(1): lost(applied=False), number(2): refusal(422, "opted out", "31")}.get(body["to"])

    api = MessageApi(fate)
    items = [message(each) for each in range(5)]
    first, before = send(api, items, journal=tmp_path / "run")
    posts = Counter(api.posts)
    for again in (items, iter(items)):
        results, report = send(api, again, journal=str(tmp_path / "run"))
        assert by_key(results) == by_key(first)
        assert counts(report) == counts(before) == (3, 1, 1, 0)
        assert report.charged == before.charged == Decimal("0.03")
        assert [result.attempts for result in results] == [1] * 5
        assert report.failures_by_kind == {
            FailureKind("OutcomeUnknownError", None): 1,
            FailureKind("UnprocessableEntityError", 422): 1,
        }
        value = next(result.value for result in results if result.id == 4)
        assert (value.to, value.charge, value.message_body) == (number(4), Decimal("0.01"), None)
        error = next(result.error for result in results if result.id == 2)
        assert isinstance(error, UnprocessableEntityError)
        assert (error.code, error.outcome) == ("31", "rejected")
    assert api.posts == posts
    # What the first run did not find is shown now.
    api.add(tag=api.queries[0]["tag"], to=number(1))
    results, _ = send(api, items, journal=tmp_path / "run")
    assert by_key(results)[1] == "accepted"
    assert api.posts == posts


@pytest.mark.req_24
def test_the_file_holds_no_text_and_no_api_key(tmp_path: Path) -> None:
    send(MessageApi(), [message(each) for each in range(5)], journal=tmp_path / "run")
    data = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert number(3).encode() in data
    assert TEXT.encode() not in data
    with closing(sqlite3.connect(tmp_path / "run")) as connection:
        account = connection.execute("SELECT value FROM meta WHERE key = 'account'").fetchone()[0]
    assert len(account) == 16


@pytest.mark.req_14
@pytest.mark.parametrize(
    "other",
    [
        lambda: [message(each) for each in range(4)],
        lambda: [message(each) for each in range(4, -1, -1)],
        lambda: iter([message(each) for each in range(1, 5)]),
        lambda: {f"k{each}": message(each) for each in range(5)},
        lambda: [message(each, tag="x") for each in range(5)],
    ],
)
def test_a_journal_of_other_items_is_refused_before_anything_is_sent(other: Any, tmp_path: Path) -> None:
    api = MessageApi()
    items = [message(each) for each in range(5)]
    send(api, items, journal=tmp_path / "run")
    with pytest.raises(JournalError, match="is the journal of other items"):
        send(api, other(), journal=tmp_path / "run")
    assert api.posts.total() == 5
    _, report = send(api, items, journal=tmp_path / "run")
    assert counts(report) == (5, 0, 0, 0)


@pytest.mark.req_14
def test_an_item_that_changed_ends_the_run(tmp_path: Path) -> None:
    api = MessageApi()
    send(api, map(message, range(5)), journal=tmp_path / "run")
    changed = (message(each, **({"tag": "x"} if each == 3 else {})) for each in range(8))
    with pytest.raises(JournalError, match="has another message under the key 3"):
        send(api, changed, journal=tmp_path / "run", concurrency=1)
    assert api.posts.total() == 5


@pytest.mark.req_14
def test_a_journal_of_another_key_or_a_copy_or_a_damaged_file_is_refused(tmp_path: Path) -> None:
    api = MessageApi()
    items = [message(each) for each in range(200)]
    path = tmp_path / "run"
    send(api, items, journal=path)

    async def other_key() -> None:
        async with WavixClient("other", base_url="http://127.0.0.1:1", session=api) as wavix:  # type: ignore[arg-type]
            await wavix.messages.bulk_send(items, journal=path)

    with pytest.raises(JournalError, match="another account, API or API key"):
        run_virtual(other_key())
    shutil.copyfile(path, tmp_path / "copy")
    with pytest.raises(JournalError, match="is a copy of a journal"):
        send(api, items, journal=tmp_path / "copy")
    for name, content in (
        ("torn", path.read_bytes()[:-5000]),
        ("text", b"not a database, not at all" * 100),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(JournalError, match=r"damaged|not a journal"):
            send(api, items, journal=tmp_path / name)
    with pytest.raises(JournalError, match=r"Cannot write|Cannot open"):
        send(api, items, journal=tmp_path / "none" / "run")
    assert set(api.posts.values()) == {1}


@pytest.mark.req_14
@pytest.mark.req_35
@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_journal_that_came_without_its_wal_file_sends_nothing(how: str, tmp_path: Path) -> None:
    """The file that is missing says what was sent."""
    path, elsewhere = tmp_path / "run", tmp_path / "elsewhere"

    def fate(_: dict[str, Any]) -> None:
        if api.posts.total() == 20:
            shutil.copyfile(path, elsewhere)

    api, items = MessageApi(fate), [message(each) for each in range(40)]
    send(api, items, journal=path, concurrency=2)
    if how == "moved":
        path.write_bytes(elsewhere.read_bytes())
    with pytest.raises(JournalError, match="run-wal" if how == "moved" else "is a copy of a journal"):
        send(api, items, journal=path if how == "moved" else elsewhere)
    assert set(api.posts.values()) == {1}


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let a file grow to this size only, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.req_14
def test_a_disk_that_is_full_from_the_start_is_not_called_a_wrong_journal(tmp_path: Path) -> None:
    api = MessageApi()
    with files_of_at_most(4096), pytest.raises(JournalError, match=r"Cannot use the journal .*run: disk I/O error"):
        send(api, map(message, range(30)), journal=tmp_path / "run")
    assert not api.posts


@pytest.mark.req_14
@pytest.mark.parametrize("concurrency", [1, 32])
@pytest.mark.parametrize("size", [40_000, 65_536])
def test_a_disk_that_gets_full_stops_the_run_and_the_next_one_goes_on(
    tmp_path: Path, size: int, concurrency: int
) -> None:
    api = MessageApi()
    items = [message(each) for each in range(400)]
    with files_of_at_most(size):
        results, report = send(api, items, journal=tmp_path / "run", concurrency=concurrency)
    assert isinstance(report.stopped_by, JournalError)
    assert "Cannot use the journal" in str(report.stopped_by)
    assert len(results) == len(items) > report.not_sent > 0
    assert report.not_sent == len(items) - api.posts.total()
    results, report = send(api, items, journal=tmp_path / "run")
    # The file may still say that an item was being sent although its request has never left.
    assert report.succeeded + report.unknown == len(items)
    assert report.succeeded == len(api.posts)
    assert set(api.posts.values()) == {1}


@pytest.mark.req_01
@pytest.mark.parametrize(
    ("reply", "status"),
    [(refusal(422, NO_FUNDS), "unknown"), (refusal(400, "x", "7"), "unknown"), (refusal(422, "opted out"), "failed")],
)
def test_a_refusal_that_an_earlier_attempt_may_have_caused_leaves_it_unknown(
    reply: Reply, status: str, tmp_path: Path
) -> None:
    """The API was busy, and carried the message out: the second attempt finds no funds any more."""
    fates = iter([Reply(503, {"message": "busy"}, {"Retry-After": "1"}, applied=True), reply])
    api = MessageApi(lambda _: next(fates, None), shown_after=1e9)
    for _ in range(2):
        results, _ = send(api, [message(0)], journal=tmp_path / "run")
        assert by_key(results) == {0: status}
    assert api.posts == {number(0): 2}


@pytest.mark.req_01
def test_another_item_with_the_key_of_one_that_may_have_been_sent_does_not_make_it_open(tmp_path: Path) -> None:
    fates = iter([lost(applied=True), refusal(422, NO_FUNDS)])
    api = MessageApi(lambda _: next(fates, None), shown_after=1e9)
    items = [("a", message(0)), ("b", message(1)), ("a", message(0)), ("c", message(2))]
    results, _ = send(api, iter(items), journal=tmp_path / "run", concurrency=1)
    ends = [(result.id, str(result.status)) for result in results]
    assert sorted(ends) == [("a", "not_sent"), ("a", "unknown"), ("b", "failed"), ("c", "not_sent")]
    results, _ = send(api, iter(items), journal=tmp_path / "run", concurrency=1)
    ends = [(result.id, str(result.status)) for result in results]
    assert sorted(ends) == [("a", "failed"), ("a", "unknown"), ("b", "accepted"), ("c", "accepted")]
    assert set(api.sent.values()) == {1}


def test_a_wrong_item_with_the_key_of_one_in_flight_does_not_end_it(tmp_path: Path) -> None:
    api = MessageApi()
    items = [("a", message(0)), ("a", 5), ("b", message(1))]
    for _ in range(2):
        results, report = send(api, iter(items), journal=tmp_path / "run", concurrency=3)
        ends = sorted((result.id, str(result.status)) for result in results)
        assert ends == [("a", "accepted"), ("a", "failed"), ("b", "accepted")]
    assert (report.requests, report.charged) == (0, Decimal("0.02"))


def test_a_journal_in_use_is_refused(tmp_path: Path) -> None:
    api = MessageApi()

    async def main() -> None:
        async with fast_client(api) as wavix:
            first = asyncio.ensure_future(finish(wavix.messages.bulk_send([message(0)], journal=tmp_path / "run")))
            await asyncio.sleep(0.005)
            with pytest.raises(JournalError, match="in use by another run") as refused:
                await wavix.messages.bulk_send([message(0)], journal=tmp_path / "run")
            assert refused.value.retryable
            assert counts(await first) == (1, 0, 0, 0)

    run_virtual(main())


def test_a_disk_that_takes_no_more_stops_the_run_before_anything_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "run"
    send(MessageApi(), [message(0)], journal=path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM item")
        connection.execute("CREATE TRIGGER full BEFORE INSERT ON item BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    api = MessageApi()
    results, report = send(api, [message(0)], journal=path)
    assert by_key(results) == {0: "not_sent"}
    assert isinstance(report.stopped_by, JournalError)
    assert "disk full" in str(report.stopped_by)
    assert api.posts == {}


@pytest.mark.req_14
@pytest.mark.parametrize(("before", "end"), [([], "not_sent"), ([0], "unknown")])
def test_a_journal_that_cannot_say_what_was_sent_stops_the_run(before: list[int], end: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    send(MessageApi(), [message(each) for each in before], journal=path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # The first transaction of the run writes its first item there.
        connection.execute("DELETE FROM meta WHERE key = 'first'")
        connection.execute(
            "CREATE TRIGGER f BEFORE INSERT ON meta WHEN NEW.key = 'first' BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    api = MessageApi()
    results, report = send(api, map(message, range(3)), journal=path, concurrency=1)
    assert by_key(results)[0] == end
    assert isinstance(report.stopped_by, JournalError)
    assert report.cut_short is bool(before)
    assert api.posts == {}


def test_a_run_of_updates_keeps_no_journal(tmp_path: Path) -> None:
    operation: BulkOperation[int, str, Any] = BulkOperation(
        name="PATCH /v1/x", check=lambda *_: None, send=lambda *_: asyncio.sleep(0), change_type=str
    )
    with pytest.raises(ConfigurationError, match="keeps no journal"):
        BulkRun(fast_client(MessageApi()), {1: "x"}, operation=operation, journal=tmp_path / "run")


def test_an_operation_that_sends_once_is_not_repeated_otherwise() -> None:
    once: OncePerKey[str, Any] = OncePerKey(
        mark=lambda change, _: change, mark_of=lambda _: None, prove=lambda *_: asyncio.sleep(0), save=str, load=str
    )
    options: dict[str, Any] = {"check": lambda *_: None, "send": lambda *_: asyncio.sleep(0), "change_type": str}
    for wrong in ({"idempotent": True}, {"read": options["send"]}, {"send_many": options["send"]}):
        with pytest.raises(InputError, match="with once, an operation has no read"):
            BulkOperation(name="POST /v1/x", once=once, **options, **wrong)


# --- whatever happens ---

FATES: dict[str, Any] = {
    "ok": None,
    "500": Reply(500),
    "500 done": Reply(500, applied=True),
    "lost": lost(applied=False),
    "done": lost(applied=True),
    "cut": Reply(201, b'{"message_id": "', applied=True),
    "422": refusal(422, "opted out"),
    "429": refusal(429, "per second", "26", Retry_After="1"),
    "47": refusal(429, "too many", "47"),
    "funds": refusal(422, NO_FUNDS),
    "busy": Reply(503, headers={"Retry-After": "1"}, applied=False),
    "refused": REFUSED,
}


EXAMPLES = {
    "fates": st.lists(st.sampled_from([*FATES, "ok", "ok", "ok"]), max_size=30),
    "concurrency": st.integers(1, 5),
    "ends": st.lists(st.tuples(st.sampled_from(["stop", "cancel"]), st.floats(0, 0.3)), max_size=2),
    "shown_after": st.sampled_from([0.0, 2.0]),
}


@pytest.mark.req_01
@pytest.mark.req_10
@pytest.mark.req_14
@pytest.mark.parametrize("examples", [10, pytest.param(300, marks=pytest.mark.scale)])
def test_whatever_happens_in_several_runs_none_is_sent_twice_and_each_outcome_is_true(
    examples: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(**EXAMPLES)
    def make_some(**example: Any) -> None:
        make_runs(tmp_path_factory.mktemp("journal") / "run", **example)

    make_some()


def make_runs(
    path: Path, fates: list[str], concurrency: int, ends: list[tuple[str, float]], shown_after: float
) -> None:
    """Stop or cancel some runs of one journal, let others end, and hold each outcome against what was sent."""
    queue = iter(fates)
    api = MessageApi(lambda _: FATES[next(queue, "ok")], shown_after=shown_after)
    items = {f"k{each}": message(each, **({"tag": "own"} if each == 3 else {})) for each in range(8)}

    async def run_once(end: tuple[str, float] | None) -> list[BulkResult]:
        async with fast_client(api, retry=FAST) as wavix:
            run = wavix.messages.bulk_send(items, journal=path, concurrency=concurrency)
            results: list[BulkResult] = []

            async def consume() -> None:
                async for result in run:
                    results.append(result)

            task = asyncio.ensure_future(consume())
            if end is not None:
                await asyncio.wait([task], timeout=end[1])
                run.stop(grace=0.1) if end[0] == "stop" else task.cancel()
            await asyncio.wait([task])
            if end is None:
                task.result()
            return results

    def check(results: list[BulkResult]) -> None:
        assert max(api.sent.values(), default=0) <= 1
        for result in results:
            sent = api.sent[items[result.id].to]
            assert {"accepted": sent == 1, "failed": sent == 0, "not_sent": sent == 0}.get(str(result.status), True)

    for end in [*ends, None]:
        check(run_virtual(run_once(end)))
    queue = iter(())
    results = run_virtual(run_once(None))
    check(results)
    assert by_key(results).keys() == items.keys()
    # Each tag is unique, and lists show what was sent: only what was not carried out is unknown.
    assert api.sent == {items[key].to: 1 for key, status in by_key(results).items() if status == "accepted"}
