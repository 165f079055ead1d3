"""The engine with messages instead of numbers: their keys are text, they cost money, and they cannot be read back."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bulk import FAST, counts, dropped, fast_client, finish, lost, results_of
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    BulkEvent,
    BulkProgress,
    BulkStatus,
    ConfigurationError,
    ConnectError,
    InputError,
    NotFoundError,
    Operation,
    OutcomeUnknownError,
    RetryPolicy,
    Success,
    WavixClient,
)
from wavix_async.bulk import BulkOperation, BulkResult, BulkRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.conftest import Api

pytestmark = pytest.mark.req_17

POST = Operation("POST", "/v3/messages/{id}", Success, limit_group="messages")
POST_MANY = Operation("POST", "/v3/messages", Success, limit_group="messages")
GET = Operation("GET", "/v3/messages/{id}", Success, limit_group="messages")
DELETE = Operation("DELETE", "/v3/recordings/{id}", Success)
DONE = Reply(body={"success": True})
REFUSED = Reply(error=aiohttp.ClientConnectorError(None, OSError("refused")), applied=False)  # type: ignore[arg-type]


def check(key: Any, text: Any) -> None:
    if not isinstance(key, str) or not key:
        raise InputError(f"key must be a string, got {key!r}.")
    if not isinstance(text, str) or not text:
        raise InputError(f"message {key} has no text.")


def send(client: Any, key: str, text: str) -> Awaitable[Success]:
    return client.call(POST, path={"id": key}, body={"text": text})


async def send_many(client: Any, keys: list[str], text: str) -> dict[str, Success]:
    answer = await client.call(POST_MANY, body={"to": keys, "text": text})
    return {key: answer for key in keys if key not in answer.extra.get("forgotten", ())}


def read(client: Any, key: str) -> Awaitable[Success]:
    return client.call(GET, path={"id": key})


SENDING: BulkOperation[str, str, Success] = BulkOperation(
    name=POST.name,
    check=check,
    send=send,
    success=BulkStatus.ACCEPTED,
    limit_group="messages",
    change_type=str,
    key_name="key",
    noun="message",
    argument="messages",
)
DELETING: BulkOperation[str, str, Success] = BulkOperation(
    name=DELETE.name,
    check=check,
    send=lambda client, key, _: client.call(DELETE, path={"id": key}),
    idempotent=True,
    change_type=str,
)


class Server:
    """Answers POSTs as the test says, and records the messages that it has sent."""

    def __init__(self, answer: Callable[[Seen], Reply] = lambda _: DONE, **options: Any) -> None:
        self.session = StubSession(answer, latency=0.01)
        self.client: WavixClient = fast_client(self.session, **options)

    def run(self, items: Any, operation: Any = SENDING, **options: Any) -> BulkRun[str, Success]:
        return BulkRun(self.client, items, operation=operation, **options)

    def sent(self, key: str) -> int:
        return self.session.applied[f"/v3/messages/{key}"]


def messages(count: int) -> dict[str, str]:
    return {f"m{number}": "Hello" for number in range(count)}


# --- texts ---


@pytest.mark.req_25
def test_a_run_of_messages_speaks_of_messages() -> None:
    events: list[Any] = []
    told: list[BulkProgress] = []
    server = Server(lambda seen: Reply(422) if seen.path.endswith("m3") else DONE, observers=(events.append,))
    run = server.run(messages(5), on_progress=told.append)
    results = {result.id: result for result in run_virtual(results_of(run))}
    report = run.report
    assert results["m1"] == BulkResult("m1", BulkStatus.ACCEPTED, Success(success=True), attempts=1)
    assert [result.ok for result in results.values()].count(True) == 4
    assert not results["m3"].ok
    assert str(report).startswith("4 of 5 accepted, 1 failed, 0 unknown, 0 not sent; 5 requests in")
    assert (report.succeeded, report.updated, report.success) == (4, 0, "accepted")
    assert (told[-1].succeeded, told[-1].updated, told[-1].done) == (4, 0, 5)
    (event,) = (event for event in events if isinstance(event, BulkEvent))
    assert (event.operation, event.updated, event.failed) == ("POST /v3/messages/{id}", 4, 1)


@pytest.mark.parametrize("status", list(BulkStatus))
def test_what_is_ok(status: BulkStatus) -> None:
    assert BulkResult(1, status).ok is (status in {"updated", "accepted", "done"})


def test_what_is_wrong_with_an_item_is_said_in_the_words_of_the_operation() -> None:
    server = Server()
    with pytest.raises(InputError, match=r"^messages must be a mapping \{key: str\}, .*of \(key, str\), got str\.$"):
        server.run("Hello")
    with pytest.raises(InputError, match=r"^messages\[1\]: each message must be a pair \(key, str\), got 'x'\.$"):
        server.run([("m1", "Hello"), "x"])
    with pytest.raises(InputError, match=r"^message m1 has no text\.$"):
        server.run({"m1": ""})
    with pytest.raises(ConfigurationError, match=r"^POST /v3/messages/\{id\} takes one message at a time"):
        server.run(messages(2), batch=10)
    report = run_virtual(finish(server.run(iter([("", "Hello"), ("m1", "Hello")]))))
    assert counts(report) == (1, 1, 0, 0)


@pytest.mark.req_06
def test_progress_tells_the_pause_of_the_operations_own_limit() -> None:
    told: list[BulkProgress] = []
    replies = iter([Reply(429, headers={"Retry-After": "2"})])
    server = Server(lambda _: next(replies, DONE))
    report = run_virtual(finish(server.run(messages(3), on_progress=told.append)))
    assert counts(report) == (3, 0, 0, 0)
    assert max(progress.paused_for for progress in told) > 1


# --- messages that cost money, and cannot be read back ---


@pytest.mark.req_01
@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("kind", [iter, dict])
def test_unknown_stays_unknown_and_is_sent_once(applied: bool, kind: Any) -> None:
    server = Server(lambda seen: dropped(applied=applied) if seen.path.endswith("m1") else DONE)
    items = messages(3) if kind is dict else iter(messages(3).items())
    results = {result.id: result for result in run_virtual(results_of(server.run(items)))}
    assert {key: str(result.status) for key, result in results.items()} == {
        "m0": "accepted",
        "m1": "unknown",
        "m2": "accepted",
    }
    assert isinstance(results["m1"].error, OutcomeUnknownError)
    assert (results["m1"].attempts, results["m1"].settled) == (1, False)
    assert server.session.requests == 3
    assert server.session.seen == server.session.writes


@pytest.mark.req_01
@pytest.mark.parametrize("reply", [Reply(500), Reply(503), Reply(502), Reply(200, "?"), Reply(before=60)])
def test_what_may_have_been_carried_out_is_not_sent_again(reply: Reply) -> None:
    server = Server(lambda _: reply, retry=RetryPolicy(), timeout=5)
    report = run_virtual(finish(server.run(messages(3))))
    assert counts(report) == (0, 0, 3, 0)
    assert set(server.session.writes.values()) == {1}


@pytest.mark.req_01
@pytest.mark.req_03
@pytest.mark.parametrize(
    "reply",
    [REFUSED, Reply(429), Reply(503, headers={"Retry-After": "1"}, applied=False)],
    ids=["refused", "429", "503"],
)
def test_what_was_surely_not_carried_out_is_sent_again(reply: Reply) -> None:
    first = iter([reply, reply])
    server = Server(lambda _: next(first, DONE))
    report = run_virtual(finish(server.run(messages(1))))
    assert counts(report) == (1, 0, 0, 0)
    assert server.sent("m0") == 1


@pytest.mark.req_03
def test_what_never_left_is_sent_at_the_end_without_a_read() -> None:
    """All attempts failed to connect before the network came back, so the message can safely be sent again."""
    refusals = iter([REFUSED] * 8)
    server = Server(lambda seen: next(refusals, DONE) if seen.path.endswith("m0") else DONE)
    run = server.run(messages(2))
    results = {result.id: result for result in run_virtual(results_of(run))}
    assert {str(result.status) for result in results.values()} == {"accepted"}
    assert results["m0"].settled
    assert (server.sent("m0"), server.sent("m1")) == (1, 1)


@pytest.mark.req_03
def test_what_never_left_and_cannot_leave_is_not_sent() -> None:
    server = Server(lambda _: REFUSED, retry=attrs.evolve(FAST, attempts=2))
    results = run_virtual(results_of(server.run(messages(3))))
    assert {str(result.status) for result in results} == {"not_sent"}
    assert all(isinstance(result.error, ConnectError) for result in results)
    assert server.session.applied.total() == 0


@pytest.mark.req_01
@pytest.mark.req_20
def test_items_of_one_key_go_one_after_the_other() -> None:
    fates = iter([dropped(applied=True), DONE, Reply(500), DONE])
    server = Server(lambda _: next(fates))
    run = server.run([("m", "one"), ("m", "two"), ("m", "three"), ("m", "four")], concurrency=4)
    results = run_virtual(results_of(run))
    assert server.session.overlaps == 0
    assert [str(result.status) for result in results] == ["unknown", "accepted", "unknown", "accepted"]
    assert [body["text"] for body in server.session.bodies["/v3/messages/m"]] == ["one", "two", "four"]
    assert server.session.requests == 4


@pytest.mark.req_10
@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("kind", [iter, dict])
def test_a_run_that_is_ended_names_what_it_left(how: str, kind: Any) -> None:
    async def main() -> None:
        server = Server(lambda _: Reply(body={"success": True}, before=1))
        items = messages(20) if kind is dict else iter(messages(20).items())
        run = server.run(items, concurrency=2)
        task = asyncio.ensure_future(finish(run))
        await asyncio.sleep(1.5)
        if how == "stop":
            run.stop(grace=5)
        else:
            task.cancel()
        await asyncio.wait([task])
        report = run.report
        if how == "stop":
            assert counts(report) == (4, 0, 0, 16)
        else:
            assert (report.succeeded, report.failed, report.unknown) == (2, 0, 2)
            assert report.not_sent == (16 if kind is dict else 0)
        assert report.requests == server.session.requests == 4
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


@pytest.mark.req_09
@pytest.mark.req_16
@pytest.mark.parametrize(
    "reply", [Reply(503), lost(), Reply(before=5, error=aiohttp.ServerDisconnectedError())], ids=repr
)
def test_an_outage_does_not_use_up_one_message_after_the_other(reply: Reply) -> None:
    """A message sent during an outage stays unknown, so the run sends one at a time until the API answers."""

    def answer(seen: Seen) -> Reply:
        return reply if 1 <= seen.at < 61 else DONE

    server = Server(answer, retry=RetryPolicy())
    report = run_virtual(finish(server.run(messages(3000), concurrency=8)))
    assert report.succeeded + report.unknown == report.total == 3000
    # The failures that open the circuit, the requests in flight at that time, and then one at a time.
    assert 1 <= report.unknown <= 2 * 8 + 60 / 2
    assert set(server.session.writes.values()) == {1}


@pytest.mark.req_16
@pytest.mark.parametrize(("since", "patience"), [(0, 30), (1, 120)])
def test_an_outage_that_does_not_end_stops_the_run(since: float, patience: float) -> None:
    server = Server(lambda seen: Reply(503) if seen.at >= since else DONE, retry=RetryPolicy())
    report = run_virtual(finish(server.run(messages(3000), concurrency=8)))
    assert report.total == 3000
    assert report.unknown <= 2 * 8 + patience / 2
    assert isinstance(report.stopped_by, OutcomeUnknownError)
    assert patience <= report.elapsed <= patience + 20
    assert report.not_sent >= 2000


FATES: dict[str, Callable[[], Reply]] = {
    "ok": lambda: DONE,
    "500": lambda: Reply(500),
    "done": lambda: dropped(applied=True),
    "lost": lost,
    "cut": lambda: Reply(error=aiohttp.ClientPayloadError(), applied=True),
    "garbage": lambda: Reply(200, "?", applied=True),
    "422": lambda: Reply(422),
    "429": lambda: Reply(429, headers={"Retry-After": "0.1"}),
    "refused": lambda: REFUSED,
    "busy": lambda: Reply(503, headers={"Retry-After": "0.1"}, applied=False),
}


@pytest.mark.req_01
@pytest.mark.req_10
@pytest.mark.req_20
@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    fates=st.lists(st.sampled_from([*FATES, "ok", "ok"]), max_size=40),
    keys=st.lists(st.sampled_from("abcdefgh"), max_size=30),
    concurrency=st.integers(1, 5),
    end=st.one_of(st.none(), st.tuples(st.sampled_from(["stop", "cancel"]), st.floats(0, 0.5))),
    attempts=st.integers(1, 3),
)
def test_whatever_happens_no_message_is_sent_twice_and_each_outcome_is_true(
    fates: list[str], keys: list[str], concurrency: int, end: tuple[str, float] | None, attempts: int
) -> None:
    queue = iter(fates)
    server = Server(lambda _: FATES[next(queue, "ok")](), retry=attrs.evolve(FAST, attempts=attempts))
    items = [(key, f"{key}{number}") for number, key in enumerate(keys)]

    async def main() -> list[BulkResult[str, Success]]:
        run = server.run(iter(items), concurrency=concurrency)
        results: list[BulkResult[str, Success]] = []

        async def consume() -> None:
            async for result in run:
                results.append(result)

        task = asyncio.ensure_future(consume())
        if end is not None:
            await asyncio.wait([task], timeout=end[1])
            run.stop(grace=0.1) if end[0] == "stop" else task.cancel()
        await asyncio.wait([task])
        if end is None or end[0] == "stop":
            assert Counter(result.id for result in results) == Counter(keys)
            assert run.report.total == len(keys)
        # A refused connection carries no request.
        assert run.report.requests == server.session.requests or "refused" in fates
        return results

    results = run_virtual(main())
    assert server.session.overlaps == 0
    carried_out = Counter(body["text"] for bodies in server.session.bodies.values() for body in bodies)
    assert all(times == 1 for times in carried_out.values())
    for key in set(keys):
        ends = Counter(str(result.status) for result in results if result.id == key)
        texts = sum(carried_out[text] for of, text in items if of == key)
        assert ends["accepted"] <= texts
        if end is None or end[0] == "stop":
            assert texts <= ends["accepted"] + ends["unknown"]


# --- batches ---

TOGETHER = attrs.evolve(SENDING, send_many=send_many)


@pytest.mark.req_01
@pytest.mark.req_21
@pytest.mark.parametrize("reply", [dropped(applied=True), Reply(504), Reply(500), Reply(before=60)])
def test_a_batch_that_may_have_been_sent_is_not_halved(reply: Reply) -> None:
    server = Server(lambda _: reply, timeout=5)
    report = run_virtual(finish(server.run(messages(10), TOGETHER, batch=10)))
    assert counts(report) == (0, 0, 10, 0)
    assert server.session.writes == {"/v3/messages": 1}


@pytest.mark.req_21
def test_a_batch_that_was_refused_is_halved() -> None:
    def answer(seen: Seen) -> Reply:
        bad = "m3" in (seen.body.get("to") or []) or seen.path.endswith("m3")
        return Reply(422) if bad else DONE

    server = Server(answer)
    report = run_virtual(finish(server.run(messages(8), TOGETHER, batch=8)))
    assert counts(report) == (7, 1, 0, 0)
    assert [result.id for result in report.failures] == ["m3"]


@pytest.mark.req_01
@pytest.mark.req_21
def test_what_the_answer_to_a_batch_leaves_out_is_unknown() -> None:
    server = Server(lambda _: Reply(body={"success": True, "forgotten": ["m2"]}))
    report = run_virtual(finish(server.run(messages(4), TOGETHER, batch=4)))
    assert counts(report) == (3, 0, 1, 0)
    assert (report.failures[0].id, report.failures[0].attempts) == ("m2", 1)
    assert server.session.requests == 1


# --- operations that can be read, or repeated ---


@pytest.mark.req_04
@pytest.mark.parametrize("there", [True, False])
def test_a_record_that_is_found_proves_the_change_and_one_that_is_not_proves_nothing(there: bool) -> None:
    """Without `differs`, the engine has nothing to compare."""

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return DONE if there else Reply(404)
        return dropped(applied=there)

    server = Server(answer)
    (result,) = run_virtual(results_of(server.run(messages(1), attrs.evolve(SENDING, read=read))))
    assert (str(result.status), result.settled) == (("accepted", True) if there else ("unknown", False))
    assert server.session.writes["/v3/messages/m0"] == 1


@pytest.mark.req_01
@pytest.mark.req_04
@pytest.mark.parametrize(("reply", "status"), [(Reply(500), "failed"), (lost(), "unknown")], ids=["500", "lost"])
def test_what_is_read_and_differs_is_not_sent_again_where_it_costs(reply: Reply, status: str) -> None:
    server = Server(lambda seen: DONE if seen.method == "GET" else reply)
    compared = attrs.evolve(SENDING, read=read, differs=lambda *_: ("text",))
    (result,) = run_virtual(results_of(server.run(messages(1), compared)))
    assert (str(result.status), result.attempts) == (status, 1)
    assert server.session.writes["/v3/messages/m0"] == 1
    if status == "failed":
        assert result.error is not None
        assert result.error.__notes__ == ["A read shows that the message is unchanged."]


@pytest.mark.req_04
def test_what_may_be_repeated_is_repeated_without_a_read_and_ends_as_done() -> None:
    first = iter([lost(), Reply(500), lost()])
    server = Server(lambda _: next(first, Reply(200, {"success": True})))
    report = run_virtual(finish(server.run(dict.fromkeys("abc", "gone"), DELETING)))
    assert (report.succeeded, report.success, report.requests) == (3, "done", 6)
    assert str(report).startswith("3 of 3 done, ")


@pytest.mark.req_04
def test_what_may_be_repeated_in_vain_is_unknown_where_nothing_can_be_read() -> None:
    server = Server(lambda seen: lost() if seen.path.endswith("b") else DONE)
    results = {r.id: r for r in run_virtual(results_of(server.run(dict.fromkeys("abc", "gone"), DELETING)))}
    assert (str(results["b"].status), results["b"].attempts) == ("unknown", 8)
    assert server.session.seen == server.session.writes


@pytest.mark.req_17
def test_a_refusal_of_one_message_is_its_own() -> None:
    server = Server(lambda seen: Reply(404) if seen.path.endswith("m1") else DONE)

    async def feed() -> AsyncIterator[tuple[str, str]]:
        for item in messages(3).items():
            yield item

    report = run_virtual(finish(server.run(feed())))
    assert counts(report) == (2, 1, 0, 0)
    assert isinstance(report.failures[0].error, NotFoundError)


# --- calls past the client of the run, keys that cannot be, changes that would be taken for collections ---


@pytest.mark.req_01
@pytest.mark.parametrize("reads", [True, False])
def test_a_change_sent_through_another_client_is_never_sent_twice(reads: bool) -> None:
    """The run does not see the attempts of such a call, only its error."""
    server = Server(lambda seen: dropped(applied=True) if seen.path.endswith(("m1", "m3")) else DONE)
    operation = attrs.evolve(
        SENDING,
        send=lambda _, key, text: send(server.client, key, text),
        read=read if reads else None,
        differs=lambda change, value: ("text",),
    )
    run = server.run(messages(6), operation)
    results = {result.id: result for result in run_virtual(results_of(run))}

    assert {key: server.sent(key) for key in results} == dict.fromkeys(messages(6), 1)
    assert [results[key].status for key in ("m1", "m3")] == [BulkStatus.UNKNOWN] * 2
    assert counts(run.report) == (4, 0, 2, 0)


def test_a_key_that_cannot_be_one_fails_alone() -> None:
    async def items() -> AsyncIterator[tuple[Any, str]]:
        for key in ("a", [], "b"):
            yield key, "Hello"

    server = Server()
    operation = attrs.evolve(SENDING, check=lambda key, change: None)
    results = run_virtual(results_of(server.run(items(), operation)))

    assert [result.status for result in results if result.id == []] == [BulkStatus.FAILED]
    assert sorted(result.id for result in results if result.ok) == ["a", "b"]


@pytest.mark.parametrize("kind", [dict, list, tuple, set])
def test_a_change_that_could_be_taken_for_a_collection(kind: type) -> None:
    with pytest.raises(InputError, match=f"change_type must not be {kind.__name__}"):
        attrs.evolve(SENDING, change_type=kind)


def test_a_progress_function_that_could_not_be_called() -> None:
    async def later(progress: BulkProgress) -> None: ...

    for wrong in (5, later):
        with pytest.raises(ConfigurationError, match="on_progress must be a function that is not async"):
            Server().run(messages(1), on_progress=wrong)


def test_a_resend_that_is_refused_has_failed() -> None:
    fates = iter([REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, REFUSED, Reply(409)])
    server = Server(lambda seen: next(fates, DONE))
    run = server.run({"m0": "Hello"})
    (result,) = run_virtual(results_of(run))

    assert (result.status, result.attempts) == (BulkStatus.FAILED, 1)
    assert [each.status for each in run.report.failures] == [BulkStatus.FAILED]


# --- what is done already, and what only reads ---


@attrs.frozen
class Copy:
    """A change of a run that only reads."""

    name: str


def copying(send: Any, found: Any = None, **more: Any) -> BulkOperation[str, Copy, str]:
    async def find(key: str, _: Copy) -> str | None:
        value: str | None = found.get(key)
        return value

    return BulkOperation(
        name="GET /v1/copies/{id}",
        check=lambda _, __: None,
        send=send,
        find=None if found is None else find,
        change_type=Copy,
        idempotent=True,
        **more,
    )


async def test_what_is_done_already_is_not_sent(wavix: WavixClient) -> None:
    async def send(_: Any, key: str, __: Copy) -> str:
        return f"sent {key}"

    run = BulkRun(wavix, {key: Copy(key) for key in "abc"}, operation=copying(send, {"b": "there"}))
    results = {each.id: (each.value, each.attempts, each.status) async for each in run}

    assert results == {"a": ("sent a", 1, "done"), "b": ("there", 0, "done"), "c": ("sent c", 1, "done")}
    report = await run
    assert (report.succeeded, report.skipped, report.requests, report.total) == (3, 1, 2, 3)
    assert str(report).startswith("3 of 3 done (1 before this run), 0 failed, 0 unknown, 0 not sent; 2 requests")


@pytest.mark.parametrize(("reads_only", "status"), [(True, "failed"), (False, "unknown")])
async def test_a_run_that_only_reads_has_no_unknown_outcome(
    api: Api, wavix: WavixClient, reads_only: bool, status: str
) -> None:
    api.answer("GET", "/v1/copies/a", status=500, payload={"message": "broken"})
    get = Operation("GET", "/v1/copies/{id}", dict)

    def send(client: WavixClient, key: str, _: Copy) -> Any:
        return client.call(get, path={"id": key})

    report = await BulkRun(wavix, {"a": Copy("a")}, operation=copying(send, reads_only=reads_only))

    assert [each.status for each in report.failures] == [status]
