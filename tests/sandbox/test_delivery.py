"""Events of the sandbox: where they go, how often, in which order, and what the outbox shows of them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from tests.support.receiver import Receiver, receiver
from wavix_async import WavixClient
from wavix_async.sandbox import Deliveries, Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    async with receiver() as running:
        yield running


def post(sandbox: Sandbox, hook: Receiver, numbers: range, kind: str = "dlr") -> None:
    for n in numbers:
        sandbox.emit(kind, hook.url, {"n": n})


async def test_an_event_is_posted_once_and_in_order(hook: Receiver) -> None:
    async with Sandbox() as sandbox:
        post(sandbox, hook, range(20))
        await sandbox.delivered()

        assert hook.order == list(range(20))
        assert [event.statuses for event in sandbox.outbox] == [[200]] * 20
        assert {event.reason for event in sandbox.outbox} == {None}


@pytest.mark.parametrize("host", ["localhost", "hooks.localhost"])
async def test_names_of_this_machine_are_reached_without_a_name_server(hook: Receiver, host: str) -> None:
    async with Sandbox() as sandbox:
        sandbox.emit("dlr", hook.url.replace("127.0.0.1", host), {"n": 1})
        await sandbox.delivered()
    assert hook.order == [1]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "no URL is set"),
        ("", "no URL is set"),
        ("https://example.com/hook", "not on this machine"),
        ("http://127.0.0.1.example.com", "not on this machine"),
        ("http://127.0.0.1@example.com", "not on this machine"),
        ("http://localhost.example.com", "not on this machine"),
        ("http://10.0.0.1/hook", "not on this machine"),
        ("ftp://127.0.0.1/hook", "not an http or https URL"),
        ("http://[::1", "malformed"),
        ("http://127.0.0.1:port/", "malformed"),
    ],
)
async def test_what_is_not_of_this_machine_stays_in_the_outbox(url: str | None, reason: str) -> None:
    async with Sandbox() as sandbox:
        sandbox.emit("message", url, {"n": 1})
        await sandbox.delivered()

        (event,) = sandbox.outbox
        assert reason in (event.reason or "")
        assert (event.kind, event.body, event.statuses) == ("message", {"n": 1}, [])


async def test_what_is_not_json_is_refused_where_it_is_emitted(hook: Receiver) -> None:
    async with Sandbox() as sandbox:
        with pytest.raises(TypeError, match="not JSON serializable"):
            sandbox.emit("dlr", hook.url, {"message_id": object()})
        assert not sandbox.outbox


async def test_the_outbox_shows_copies(hook: Receiver) -> None:
    body = {"n": 1, "deep": {"a": [1]}}
    async with Sandbox() as sandbox:
        sandbox.emit("dlr", None, body)
        body["deep"]["a"].append(2)  # type: ignore[index]
        sandbox.outbox[0].body["deep"]["a"].clear()
        assert sandbox.outbox[0].body == {"n": 1, "deep": {"a": [1]}}
        assert "deep" not in repr(sandbox.outbox)
        sandbox.reset()
        assert sandbox.outbox == ()


@pytest.mark.parametrize("kind", ["dlr", "on_call", "message", "voice_campaign"])
async def test_most_events_are_tried_once(hook: Receiver, kind: str) -> None:
    hook.statuses = [500]
    async with Sandbox() as sandbox:
        post(sandbox, hook, range(1), kind)
        await sandbox.delivered()
        sandbox.advance(60)
        await sandbox.delivered()
        assert sandbox.outbox[0].statuses == [500]


@pytest.mark.parametrize("kind", ["file_transcription", "call_transcription"])
async def test_events_of_transcriptions_are_tried_five_times(hook: Receiver, kind: str) -> None:
    hook.statuses = [500, 302, 503, 404, 500, 200]
    async with Sandbox() as sandbox:
        post(sandbox, hook, range(1), kind)
        for tried in range(1, 7):
            await sandbox.delivered()
            assert sandbox.outbox[0].statuses == [500, 302, 503, 404, 500][:tried]
            sandbox.advance(5)
        post(sandbox, hook, range(1, 2), kind)
        await sandbox.delivered()
        assert sandbox.outbox[1].statuses == [200]


async def test_an_event_without_an_answer_has_no_status(unused_port: int) -> None:
    async with Sandbox() as sandbox:
        sandbox.emit("dlr", f"http://127.0.0.1:{unused_port}/", {"n": 1})
        await sandbox.delivered()
        assert sandbox.outbox[0].statuses == [None]


@pytest.fixture
async def unused_port() -> int:
    async with receiver() as gone:
        pass
    return int(gone.url.rpartition(":")[2])


async def test_events_come_twice_late_and_out_of_order_as_often_as_was_asked_for() -> None:
    async def order(deliveries: Deliveries, seed: int = 5) -> list[int]:
        async with receiver() as hook, Sandbox(seed=seed, deliveries=deliveries) as sandbox:
            post(sandbox, hook, range(40))
            await sandbox.delivered()
            sandbox.advance(deliveries.late_seconds)
            await sandbox.delivered()
            return hook.order

    everything = list(range(40))
    twice = await order(Deliveries(doubled=0.3))
    assert twice == sorted(twice)
    assert set(Counter(twice).values()) == {1, 2}
    assert set(twice) == set(everything)

    swapped = await order(Deliveries(out_of_order=0.3, late_seconds=3600))
    assert swapped != everything
    assert sorted(swapped) == everything

    late = await order(Deliveries(late=0.3, late_seconds=3600))
    at = next(at for at in range(39) if late[at] > late[at + 1])
    assert late[: at + 1] == sorted(late[: at + 1])
    assert late[at + 1 :] == sorted(late[at + 1 :])
    assert sorted(late) == everything

    mixed = Deliveries(doubled=0.2, late=0.2, out_of_order=0.2, late_seconds=3600)
    assert await order(mixed) == await order(mixed) != await order(mixed, seed=6)


async def test_the_last_event_is_not_held_back_for_ever(hook: Receiver) -> None:
    async with Sandbox(deliveries=Deliveries(out_of_order=1, late_seconds=3600)) as sandbox:
        post(sandbox, hook, range(1))
        await sandbox.delivered()
        assert hook.order == []
        sandbox.advance(3600)
        await sandbox.delivered()
        assert hook.order == [0]


async def test_the_next_event_waits_for_the_answer_to_the_one_before(hook: Receiver) -> None:
    hook.gate.clear()
    async with receiver() as other, Sandbox() as sandbox:
        post(sandbox, hook, range(3))
        sandbox.emit("dlr", other.url, {"n": 7})
        while not (hook.came and other.came):
            await asyncio.sleep(0)
        assert (hook.order, other.order) == ([0], [7])
        hook.gate.set()
        await sandbox.delivered()
        assert hook.order == [0, 1, 2]


async def test_several_deliveries_at_once(hook: Receiver) -> None:
    hook.gate.clear()
    async with Sandbox(deliveries=Deliveries(at_once=3)) as sandbox:
        post(sandbox, hook, range(5))
        while len(hook.came) < 3:
            await asyncio.sleep(0)
        assert sorted(hook.order) == [0, 1, 2]
        hook.gate.set()
        await sandbox.delivered()
        assert sorted(hook.order) == [0, 1, 2, 3, 4]


async def test_what_was_not_delivered_before_an_outage_is_delivered_after_it(hook: Receiver) -> None:
    sandbox = Sandbox()
    post(sandbox, hook, range(2))
    with pytest.raises(RuntimeError, match="start it first"):
        await sandbox.delivered()
    hook.gate.clear()
    async with sandbox:
        while not hook.came:
            await asyncio.sleep(0)
    hook.gate.set()
    assert [event.statuses for event in sandbox.outbox] == [[None], []]
    async with sandbox:
        await sandbox.delivered()
    assert hook.order == [0, 1]
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("wavix-sandbox")] == []


async def test_a_reset_forgets_what_waits(hook: Receiver) -> None:
    hook.gate.clear()
    hook.statuses = [500]
    async with Sandbox() as sandbox:
        post(sandbox, hook, range(3), "file_transcription")
        while not hook.came:
            await asyncio.sleep(0)
        sandbox.reset()
        hook.gate.set()
        await sandbox.delivered()
        sandbox.advance(60)
        await sandbox.delivered()
        assert hook.order == [0]


async def test_a_sandbox_in_a_thread_delivers_to_the_loop_of_the_test(hook: Receiver) -> None:
    with Sandbox() as sandbox:
        post(sandbox, hook, range(5))
        await sandbox.delivered()
        assert hook.order == [0, 1, 2, 3, 4]
        await sandbox.stop()
        post(sandbox, hook, range(5, 6))
        await sandbox.start()
        await sandbox.delivered()
        assert hook.order[5:] == [5]
    assert [thread for thread in threading.enumerate() if thread.name == "wavix-sandbox"] == []


async def test_what_the_groups_post_is_delivered(hook: Receiver) -> None:
    async with Sandbox() as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        call = await wavix.calls.create(from_="15550100100", to="15550100200", callback_url=f"{hook.url}/calls")
        await sandbox.delivered()
        sandbox.advance(7200)
        await sandbox.delivered()

        assert {event["uuid"] for event in hook.came} == {call.uuid}
        steps = [event["event_type"] for event in hook.came]
        assert (steps[0], steps[-1]) == ("call_setup", "completed")
        assert "answered" in steps


async def test_a_file_that_is_transcribed_again_is_reported_in_three_tries(hook: Receiver) -> None:
    hook.statuses = [200, 500, 500, 500, 500]
    async with Sandbox() as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        sent = await wavix.speech_analytics.upload(file=b"RIFF....WAVE", filename="a.wav", callback_url=hook.url)
        await wavix.speech_analytics.retranscribe(sent.request_id, callback_url=hook.url)
        for _ in range(6):
            await sandbox.delivered()
            sandbox.advance(5)
        assert [event.statuses for event in sandbox.outbox] == [[200], [500, 500, 500]]


async def test_a_receiver_may_call_the_sandbox_before_it_answers() -> None:
    async with Sandbox() as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        texts: list[str] = []

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            event = await request.json()
            texts.append(event["text"])
            if len(texts) < 3:
                sandbox.emit("message", event["reply_to"], {**event, "text": f"re: {event['text']}"})
            await wavix.numbers.get(1001)
            return web.Response()

        async with receiver(handle) as hook:
            sandbox.emit("message", hook.url, {"text": "Hello", "reply_to": hook.url})
            await sandbox.delivered()
            assert texts == ["Hello", "re: Hello", "re: re: Hello"]


@pytest.mark.parametrize("late", ["late", "out_of_order"])
async def test_what_is_late_comes_by_itself(hook: Receiver, late: str) -> None:
    settings: dict[str, Any] = {late: 1.0, "late_seconds": 0.05}
    with Sandbox(deliveries=Deliveries(**settings)) as sandbox:
        post(sandbox, hook, range(1))
        async with asyncio.timeout(30):
            while not hook.came:
                await asyncio.sleep(0.01)
        await sandbox.delivered()
    assert hook.order == [0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("doubled", 1.1), ("late", -1), ("out_of_order", True), ("late_seconds", -1.0), ("at_once", 0)],
)
def test_a_wrong_setting_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Deliveries\.{name} must be"):
        Deliveries(**{name: value})


def test_a_wrong_share_of_variants_is_named() -> None:
    with pytest.raises(ValueError, match="variants must be a share from 0 to 1"):
        Sandbox(variants=2)
