"""`Webhooks`: what it refuses, what it runs, how often, in which order, and what it does when it is full or ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.events import BODIES, SECRET, dlr, post
from tests.support.soon import SOON
from tests.support.virtual import run_virtual
from tests.support.webhook_load import send_many
from wavix_async import ConfigurationError, InputError, WaitTimeoutError
from wavix_async.models import Model
from wavix_async.webhooks import (
    WAVIX_NETWORKS,
    BrandStatusChanged,
    CallEvent,
    DeliveryReport,
    InboundMessage,
    MemoryStore,
    SqliteStore,
    UnknownEvent,
    Webhooks,
)

if TYPE_CHECKING:
    from pathlib import Path


CODE = "4711#0815"
"""What texts and digits of the events hold. No time and no id of a record can have it by chance."""
NUMBER = "471108154711"


def make(**options: Any) -> Webhooks:
    return Webhooks(**{"secret": SECRET, "grace": SOON, **options})


async def until(condition: Any) -> None:
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0)


# --- what is refused ---


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        (f"/{SECRET}x", {}, 404),
        (f"/{SECRET[:-1]}", {}, 404),
        ("/", {}, 404),
        ("/ünknown", {}, 404),
        (f"/a/{SECRET}", {}, 404),
        (f"/{SECRET}/dlr/more", {}, 404),
        (f"/{SECRET}/never", {}, 404),
        (f"/{SECRET}", {"method": "GET"}, 405),
        (f"/{SECRET}", {"method": "PUT"}, 405),
        (f"/{SECRET}x", {"method": "GET"}, 404),
        (f"/{SECRET}", {"headers": {"content-type": "text/html"}}, 415),
        (f"/{SECRET}", {"headers": {"content-type": "application/x-www-form-urlencoded"}}, 415),
        (f"/{SECRET}", {"headers": {"content-length": "10000000"}}, 413),
        (f"/{SECRET}", {"headers": {"content-length": "9" * 100}}, 413),
        (f"/{SECRET}", {"headers": {"content-type": "application/json; charset=utf-8"}}, 200),
        (f"/{SECRET}", {"headers": {"content-type": "application/problem+json"}}, 200),
        (f"/{SECRET}", {"headers": {"content-type": ""}}, 200),
        (f"/{SECRET}/dlr", {}, 200),
    ],
)
async def test_a_request_that_is_not_as_it_should_be_is_refused_and_nothing_is_handled(
    path: str, options: dict[str, Any], status: int
) -> None:
    hooks, got = make(), []
    hooks.on(Model)(lambda event: got.append(event))
    async with hooks:
        answer = await post(hooks.asgi, dlr("m"), path, **options)
    assert answer.status == status
    assert len(got) == (status == 200)
    assert SECRET.encode() not in answer.body
    assert answer.read == 0 or status == 200, "a refused body is not read"


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"\x00" * 50, b"a=b&c=d"])
async def test_garbage_is_refused(body: bytes) -> None:
    hooks, got = make(), []
    hooks.on(Model)(lambda event: got.append(event))
    async with hooks:
        assert (await post(hooks.asgi, body)).status == 400
    assert got == []


async def test_a_body_of_ten_megabytes_is_refused_after_its_first_chunks() -> None:
    hooks, got = make(max_body=100_000), []
    hooks.on(Model)(lambda event: got.append(event))
    async with hooks:
        answer = await post(hooks.asgi, b'"' + b"a" * 10_000_000 + b'"', chunk=50_000)
    assert answer.status == 413
    assert answer.read <= 150_000
    assert got == []


@pytest.mark.parametrize(
    ("client", "lines", "status"),
    [
        ("62.212.73.112", [], 200),
        ("::ffff:62.212.73.112", [], 200),
        ("203.0.113.9", [], 403),
        (None, [], 403),
        ("testclient", [], 403),
        # The header counts only if a trusted proxy wrote it, and only the addresses behind which all are trusted.
        ("203.0.113.9", [("x-forwarded-for", "62.212.73.112")], 403),
        ("10.0.0.1", [("x-forwarded-for", "62.212.73.112")], 200),
        ("10.0.0.1", [("x-forwarded-for", "62.212.73.112:443")], 200),
        ("10.0.0.1", [("x-forwarded-for", "62.212.73.112, 10.0.0.2")], 200),
        ("10.0.0.1", [("x-forwarded-for", "62.212.73.112, 203.0.113.9")], 403),
        ("10.0.0.1", [("x-forwarded-for", "62.212.73.112"), ("x-forwarded-for", "203.0.113.9")], 403),
        ("10.0.0.1", [("x-forwarded-for", "62.212.73.112, garbage")], 403),
        ("10.0.0.1", [], 403),
        ("62.212.73.112", [("x-forwarded-for", "203.0.113.9")], 200),
    ],
)
async def test_networks_are_those_of_the_real_sender(
    client: str | None, lines: list[tuple[str, str]], status: int
) -> None:
    hooks = make(networks=WAVIX_NETWORKS, trusted_proxies=["10.0.0.0/8"])
    async with hooks:
        assert (await post(hooks.asgi, dlr("m"), client=client, lines=lines)).status == status


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [("62.212.73.112", 200), ("203.0.113.9", 403), ("62.212.73.112, 203.0.113.9", 403), ("", 403)],
)
async def test_a_proxy_may_connect_by_a_unix_socket(forwarded: str, status: int) -> None:
    hooks = make(networks=WAVIX_NETWORKS, trusted_proxies=["unix"])
    async with hooks:
        answer = await post(hooks.asgi, dlr("m"), client=None, lines=[("x-forwarded-for", forwarded)])
        assert answer.status == status


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"secret": "short"}, "secret must be at least 16"),
        ({"secret": "a secret with blanks in it"}, "secret must be"),
        ({"secret": 7}, "secret must be"),
        ({"secret": "x" * 15 + "/"}, "secret must be"),
        ({"networks": ["everywhere"]}, "networks must be networks"),
        ({"networks": "10.0.0.0/8"}, "networks must be a list"),
        ({"trusted_proxies": [7.5]}, "trusted_proxies must be networks"),
        ({"max_pending": 0}, "max_pending must be"),
        ({"max_body": 2_000_000}, "max_body must be at most"),
        ({"key_ttl": -1}, "key_ttl must be"),
        ({"seen": "redis://user:password@host"}, r"seen must be a store .*got a value of type str"),
        ({"seen": SqliteStore}, "seen must be a store"),
    ],
)
def test_a_wrong_setting_is_named_and_the_secret_is_not_shown(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as caught:
        Webhooks(**{"secret": SECRET, **options})
    assert "blanks" not in str(caught.value)


def test_repr_shows_no_secret_and_path_does() -> None:
    hooks = make()
    assert SECRET not in repr(hooks)
    assert hooks.path() == f"/{SECRET}"
    assert hooks.path("dlr") == hooks.path(DeliveryReport) == f"/{SECRET}/dlr"
    with pytest.raises(InputError, match="kind must be"):
        hooks.path("never")


# --- handlers ---


async def test_a_handler_gets_the_events_of_its_class_and_values() -> None:
    hooks, got = make(), []

    @hooks.on(DeliveryReport, status="undelivered")
    async def one(report: DeliveryReport) -> None:
        got.append(("one", report.message_id))

    @hooks.on(DeliveryReport, status=("rejected", "undelivered"), tag="sale")
    def other(report: DeliveryReport) -> None:
        got.append(("other", report.message_id))

    @hooks.on(DeliveryReport, InboundMessage, message_id=("a", BODIES["message"]["message_id"]))
    async def both(event: DeliveryReport | InboundMessage) -> None:
        got.append(("both", event.message_id))

    @hooks.on(Model)
    async def every(event: Model) -> None:
        got.append(("every", type(event).__name__))

    async with hooks:
        for body in (dlr("a", "undelivered"), dlr("b", "rejected"), dlr("c", "sent"), BODIES["message"], [1]):
            assert (await post(hooks.asgi, body)).status == 200
    assert Counter(got) == Counter(
        [
            *[("one", "a"), ("other", "a"), ("both", "a"), ("every", "DeliveryReport")],
            *[("other", "b"), ("every", "DeliveryReport")],
            ("every", "DeliveryReport"),
            *[("both", BODIES["message"]["message_id"]), ("every", "InboundMessage")],
            ("every", "UnknownEvent"),
        ]
    )


async def test_a_plain_function_does_not_block_the_event_loop() -> None:
    hooks, threads = make(), []
    hooks.on(UnknownEvent)(lambda _: threads.append(threading.current_thread()))
    async with hooks:
        await post(hooks.asgi, [1])
    assert threads[0] is not threading.main_thread()


@pytest.mark.parametrize(
    ("kind", "fields", "told"),
    [
        (DeliveryReport, {"state": "sent"}, "has no field 'state'"),
        (DeliveryReport, {"message": "a"}, "did you mean 'message_id'"),
        (DeliveryReport, {"_origin": 1}, "has no field"),
        (int, {}, "is not the class of an event"),
        ("dlr", {}, "is not the class of an event"),
    ],
)
async def test_a_wrong_class_or_field_is_refused(kind: Any, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        make().on(kind, **fields)
    with pytest.raises(InputError, match=told):
        await make().next(kind, **fields)


def test_what_cannot_be_a_handler_is_refused() -> None:
    async def generator(event: Model) -> Any:
        yield event

    for handler in (generator, "retry"):
        with pytest.raises(ConfigurationError, match="A handler is a function"):
            make().on(Model)(handler)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="is not the class of an event"):
        make().on(print)  # type: ignore[call-overload]


async def test_events_of_one_message_run_in_their_order_and_others_beside_them() -> None:
    hooks, got, gate = make(), [], asyncio.Event()

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        if report.message_id == "slow" and report.status == "sent":
            await gate.wait()
        got.append((report.message_id, str(report.status)))

    async with hooks:
        for body in (dlr("slow", "sent"), dlr("slow", "delivered"), dlr("other", "sent")):
            await post(hooks.asgi, body)
        await until(lambda: got)
        assert got == [("other", "sent")]
        gate.set()
    assert got[1:] == [("slow", "sent"), ("slow", "delivered")]


@pytest.mark.req_34
async def test_a_full_queue_answers_503_and_takes_the_event_later() -> None:
    hooks, got, gate = make(max_pending=2, concurrency=1), [], asyncio.Event()

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        await gate.wait()
        got.append(report.message_id)

    async with hooks:
        answers = [await post(hooks.asgi, dlr(f"m{i}")) for i in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 503, 503]
        assert answers[2].headers["retry-after"].isdecimal()
        gate.set()
        await until(lambda: len(got) == 2)
        assert (await post(hooks.asgi, dlr("m2"))).status == 200
        await until(lambda: len(got) == 3)
        assert (await post(hooks.asgi, dlr("m3"))).status == 200
    assert got == ["m0", "m1", "m2", "m3"]


async def test_a_sender_that_disconnects_leaves_a_stored_event_with_its_handlers() -> None:
    class Slow(MemoryStore):
        async def add(self, event: Any) -> Any:
            verdict = await super().add(event)
            stored.set()
            await gate.wait()
            return verdict

    stored, gate = asyncio.Event(), asyncio.Event()
    hooks, got = make(seen=Slow()), []
    hooks.on(Model)(lambda event: got.append(event))
    async with hooks:
        sending = asyncio.create_task(post(hooks.asgi, dlr("m")))
        await stored.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        gate.set()
    assert len(got) == 1


async def test_a_store_that_fails_answers_503_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryStore):
        async def add(self, event: Any) -> Any:
            raise OSError("disk full")

    hooks, got = make(seen=Broken()), []
    hooks.on(Model)(lambda event: got.append(event))
    async with hooks:
        assert (await post(hooks.asgi, dlr("m"))).status == 503
    assert got == []
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["webhook store failed"]


async def test_a_store_that_could_not_be_opened_is_opened_again_and_only_once() -> None:
    class Slow(MemoryStore):
        async def open(self, adopt: Any) -> None:
            opened.append(len(opened))
            await asyncio.sleep(0)
            if len(opened) == 1:
                raise OSError("not yet")

    opened: list[int] = []
    hooks = make(seen=Slow())
    first = await asyncio.gather(*(post(hooks.asgi, dlr(f"m{i}")) for i in range(3)))
    assert [answer.status for answer in first] == [503] * 3
    again = await asyncio.gather(*(post(hooks.asgi, dlr(f"m{i}")) for i in range(3)))
    assert [answer.status for answer in again] == [200] * 3
    assert opened == [0, 1]
    await hooks.close()


# --- duplicates and order ---


async def test_a_copy_is_answered_and_dropped_and_a_late_report_is_marked() -> None:
    hooks, got = make(), []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append((report.message_id, str(report.status), report.late))

    @hooks.on(DeliveryReport, late=True)
    async def late(report: DeliveryReport) -> None:
        got.append(("late", report.message_id, report.late))

    async with hooks:
        for body in (
            dlr("a", "sent"),
            dlr("a", "sent"),
            dlr("a"),
            dlr("b"),
            dlr("b", "sent"),
            dlr("b", "sent"),
            dlr("a"),
        ):
            assert (await post(hooks.asgi, body)).status == 200
    assert sorted(got) == [
        ("a", "delivered", False),
        ("a", "sent", False),
        ("b", "delivered", False),
        ("b", "sent", True),
        ("late", "b", True),
    ]


def test_keys_expire_and_those_that_come_back_expire_earlier() -> None:
    async def main() -> None:
        hooks, got = make(), []

        @hooks.on(Model)
        async def handle(event: Model) -> None:
            got.append(type(event).__name__)

        bodies = (BODIES["brand"], dlr("m"), BODIES["message"], BODIES["on_call"], BODIES["post_call"], {"unknown": 1})
        async with hooks:
            for hours in (0.0, 0.16, 0.01, 47.8, 0.1):
                await asyncio.sleep(3600 * hours)
                for body in bodies:
                    await post(hooks.asgi, body)
        assert Counter(got) == {
            "DeliveryReport": 2,
            "InboundMessage": 2,
            "Call": 2,
            "PostCall": 2,
            "BrandStatusChanged": 3,
            "UnknownEvent": 3,
        }

    run_virtual(main())


async def test_the_memory_of_keys_is_bounded() -> None:
    hooks, got = make(seen=MemoryStore(limit=2)), []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append(report.message_id)

    async with hooks:
        for name in ("a", "b", "b", "c", "a", "c"):
            await post(hooks.asgi, dlr(name))
    assert got == ["a", "b", "c", "a"]


# --- failures ---


@pytest.mark.req_34
async def test_a_handler_that_fails_is_logged_kept_and_run_again(caplog: pytest.LogCaptureFixture) -> None:
    hooks, got, broken = make(), [], True

    @hooks.on(DeliveryReport)
    async def first(report: DeliveryReport) -> None:
        if broken:
            raise ValueError("no such order")
        got.append("first")

    @hooks.on(DeliveryReport)
    def second(report: DeliveryReport) -> None:
        got.append("second")

    async with hooks:
        await post(hooks.asgi, dlr("m"))
        await until(lambda: hooks.failed)
        (failed,) = hooks.failed
        assert failed.handler.endswith("first")
        assert failed.error == "ValueError"
        assert failed.event.message_id == "m"
        assert await hooks.retry_failed() == 0
        assert len(hooks.failed) == 1
        broken = False
        assert await hooks.retry_failed() == 1
        assert await hooks.retry_failed() == 0
        assert hooks.failed == ()
    assert got == ["second", "first"]
    (record, _) = [each for each in caplog.records if each.message == "webhook handler failed"]
    assert record.exc_info is not None
    assert vars(record)["kind"] == "dlr"


async def test_a_handler_that_cancels_itself_has_failed_and_others_go_on() -> None:
    hooks, got = make(concurrency=1), []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        if report.message_id == "a":
            raise asyncio.CancelledError
        got.append(report.message_id)

    async with hooks:
        await post(hooks.asgi, dlr("a"))
        await post(hooks.asgi, dlr("b"))
    assert got == ["b"]
    assert [each.error for each in hooks.failed] == ["CancelledError"]


@pytest.mark.parametrize("waits", [True, False])
async def test_a_handler_that_cancels_its_own_task_has_failed_and_the_next_handler_runs(waits: bool) -> None:
    hooks, got = make(concurrency=1), []

    @hooks.on(DeliveryReport)
    async def cancel(report: DeliveryReport) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if waits:
            await asyncio.sleep(0)

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append(report.message_id)

    async with hooks:
        await post(hooks.asgi, dlr("a"))
    assert got == ["a"]
    assert [(each.error, each.handler.rpartition(".")[2]) for each in hooks.failed] == [("CancelledError", "cancel")]


async def test_failed_handlers_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    hooks = make(max_failed=2)

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        raise RuntimeError

    async with hooks:
        for i in range(4):
            await post(hooks.asgi, dlr(f"m{i}"))
    assert len(hooks.failed) == 2
    assert sum(record.message == "failed webhook handlers dropped" for record in caplog.records) == 2


async def test_the_log_has_no_secret_no_text_and_no_digits(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "wavix_async")
    events: list[Any] = []
    hooks = make(observers=[events.append])

    @hooks.on(Model)
    async def handle(event: Model) -> None: ...

    async with hooks:
        for body in (*BODIES.values(), {"text": CODE}, NUMBER.encode(), b'"' + CODE.encode()):
            await post(hooks.asgi, body)
        await post(hooks.asgi, dlr("m"), f"/{SECRET}x")
    shown = repr([vars(record) for record in caplog.records]) + repr(events) + repr(hooks)
    assert SECRET not in shown
    assert CODE not in shown
    assert NUMBER not in shown
    answers = Counter(vars(record)["result"] for record in caplog.records if record.message == "webhook answered")
    assert answers == {"stored": len(BODIES) + 2, "body": 1, "secret": 1}


# --- the end ---


async def test_close_waits_for_handlers_and_refuses_new_events() -> None:
    hooks, got, gate = make(), [], asyncio.Event()

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        await gate.wait()
        got.append(report.message_id)

    await hooks.start()
    await post(hooks.asgi, dlr("a"))
    closing = asyncio.create_task(hooks.close())
    await asyncio.sleep(0)
    assert (await post(hooks.asgi, dlr("b"))).status == 503
    gate.set()
    await closing
    assert got == ["a"]
    assert (await post(hooks.asgi, dlr("c"))).status == 503
    await hooks.start()
    assert (await post(hooks.asgi, dlr("c"))).status == 200
    await hooks.close()
    assert got == ["a", "c"]
    await hooks.close()


async def test_close_gives_up_after_its_grace() -> None:
    hooks, got = make(grace=0.0, concurrency=1), []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            got.append("cancelled")

    await hooks.start()
    for name in ("a", "b", "c"):
        await post(hooks.asgi, dlr(name))
    await until(lambda: got)
    await hooks.close()
    assert got == ["begun", "cancelled"]
    assert len(asyncio.all_tasks()) == 1


async def test_a_retry_that_close_cuts_off_is_still_failed() -> None:
    hooks, calls = make(grace=0.0), []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        calls.append(report)
        if len(calls) == 1:
            raise RuntimeError
        await asyncio.Event().wait()

    await hooks.start()
    await post(hooks.asgi, dlr("a"))
    await until(lambda: hooks.failed)
    retrying = asyncio.create_task(hooks.retry_failed())
    await until(lambda: len(calls) == 2)
    await hooks.close()
    assert await retrying == 0
    assert len(hooks.failed) == 1


async def test_a_retry_that_waits_for_another_handler_ends_with_close() -> None:
    hooks, begun = make(grace=0.0), asyncio.Event()

    @hooks.on(DeliveryReport)
    async def fails(report: DeliveryReport) -> None:
        raise RuntimeError

    @hooks.on(DeliveryReport)
    async def waits(report: DeliveryReport) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with hooks:
        await post(hooks.asgi, dlr("a"))
        await begun.wait()
        retrying = asyncio.create_task(hooks.retry_failed())
        await asyncio.sleep(0)
    async with asyncio.timeout(SOON):
        assert await retrying == 0
    assert [each.error for each in hooks.failed] == ["RuntimeError"]


async def test_a_retry_whose_caller_is_cancelled_goes_on() -> None:
    hooks, calls, gate, errors = make(), [], asyncio.Event(), list[Any]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        calls.append(report)
        if len(calls) == 1:
            raise RuntimeError
        await gate.wait()

    async with hooks:
        await post(hooks.asgi, dlr("a"))
        await until(lambda: hooks.failed)
        retrying = asyncio.create_task(hooks.retry_failed())
        await until(lambda: len(calls) == 2)
        retrying.cancel()
        await asyncio.wait([retrying])
        gate.set()
        await until(lambda: len(asyncio.all_tasks()) == 1)
        await asyncio.sleep(0)
    gc.collect()
    assert retrying.cancelled()
    assert hooks.failed == ()
    assert errors == []


def test_one_event_loop_after_another() -> None:
    hooks, got = make(), []

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append(report.message_id)

    async def once(name: str, *, close: bool) -> None:
        assert (await post(hooks.asgi, dlr(name))).status == 200
        await until(lambda: name in got)
        if close:
            await hooks.close()
            await hooks.start()

    asyncio.run(once("a", close=False))
    asyncio.run(once("b", close=True))
    asyncio.run(once("c", close=False))
    assert got == ["a", "b", "c"]


# --- next ---


async def test_next_returns_the_first_event_that_fits() -> None:
    hooks = make()
    async with hooks:
        waiting = asyncio.create_task(hooks.next(DeliveryReport, message_id="b", status=("sent", "delivered")))
        calling = asyncio.create_task(hooks.next(CallEvent, call_id=BODIES["on_call"]["id"]))
        await asyncio.sleep(0)
        for body in (dlr("a"), dlr("b", "pending"), BODIES["on_call"], dlr("b"), dlr("b", "sent")):
            await post(hooks.asgi, body)
        assert (await waiting).status == "delivered"
        assert (await calling).event_type == "on_call_event"


def test_next_ends_with_its_timeout() -> None:
    async def main() -> None:
        hooks = make()
        async with hooks:
            with pytest.raises(WaitTimeoutError, match="Not within 30 s: an event BrandStatusChanged"):
                await hooks.next(BrandStatusChanged, timeout=30.0)
            assert asyncio.get_running_loop().time() == 30.0

    run_virtual(main())


async def test_a_duplicate_and_a_refused_event_wake_no_waiter() -> None:
    hooks = make()
    async with hooks:
        await post(hooks.asgi, dlr("a"))
        waiting = asyncio.create_task(hooks.next(DeliveryReport))
        await asyncio.sleep(0)
        await post(hooks.asgi, dlr("a"))
        await post(hooks.asgi, dlr("b"), f"/{SECRET}x")
        assert not waiting.done()
        waiting.cancel()


# --- ten thousand events ---


@pytest.mark.req_34
@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.scale)])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_each_of_many_events_is_handled_once_and_none_is_lost(count: int, kind: str, tmp_path: Path) -> None:
    await send_many(count, MemoryStore() if kind == "memory" else SqliteStore(tmp_path / "events.db"))


def test_a_webhook_imports_no_framework() -> None:
    import subprocess
    import sys

    code = (
        "import sys, wavix_async.webhooks as w; w.Webhooks(secret='x' * 16); "
        "print([name for name in ('fastapi', 'pydantic', 'redis', 'aiohttp', 'sqlite3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
