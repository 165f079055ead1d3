"""Calls in the sandbox: their life, their events, and what happens during them."""

from __future__ import annotations

from typing import Any

import pytest

from wavix_async import NotFoundError, Operation, WavixClient
from wavix_async.errors import BadRequestError
from wavix_async.models import Call
from wavix_async.sandbox import Sandbox

HOOK = "https://hooks.example.com/calls"
ME, YOU = "15550100100", "15550100200"


@pytest.fixture
async def sandbox() -> Any:
    async with Sandbox(numbers=2) as sandbox:
        yield sandbox


@pytest.fixture
async def wavix(sandbox: Sandbox) -> Any:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        yield wavix


def steps(sandbox: Sandbox, kind: str = "on_call") -> list[str]:
    """Return what the events say, in order."""
    told = []
    for event in sandbox.outbox:
        if event.kind == kind:
            payload = event.body.get("event_payload")
            told.append(
                event.body["event_type"] if payload is None else f"{payload['type']} {payload['payload']['status']}"
            )
    return told


async def answered(wavix: WavixClient, to: str = YOU, **options: Any) -> str:
    call = await wavix.calls.create(from_=ME, to=to, callback_url=HOOK, **options)
    return call.call_id


async def test_a_call_rings_is_answered_and_ends(sandbox: Sandbox, wavix: WavixClient) -> None:
    started = await wavix.calls.create(from_=ME, to=YOU, callback_url=HOOK, tag="order-7")
    assert (started.event_type, started.direction, started.is_over) == ("call_setup", "outbound", False)
    assert started.id == started.uuid
    call = await wavix.calls.get(started.call_id)
    assert (call.event_type, call.tag, call.is_answered) == ("answered", "order-7", True)
    assert [each.call_id for each in await wavix.calls.list()] == [call.call_id] == list(sandbox.calls)
    assert await wavix.calls.find_started(tag="order-7") == call

    sandbox.advance(600)

    assert await wavix.calls.list() == []
    with pytest.raises(NotFoundError):
        await wavix.calls.get(started.call_id)
    assert steps(sandbox) == ["call_setup", "ringing", "answered", "completed"]
    (last,) = (event.body for event in sandbox.outbox if event.kind == "post_call")
    assert (last["uuid"], last["disposition"], last["duration"], last["charge"]) == (call.id, "answered", 600, "0.120")


@pytest.mark.parametrize(
    ("end", "event", "disposition"),
    [
        ("0486", "busy", "busy"),
        ("0603", "rejected", "failed"),
        ("0503", "failed", "failed"),
        ("0408", "cancelled", "noanswer"),
    ],
)
async def test_the_recipient_decides_how_a_call_ends(
    sandbox: Sandbox, wavix: WavixClient, end: str, event: str, disposition: str
) -> None:
    await answered(wavix, f"1555010{end}", timeout=20)
    sandbox.advance(20)

    assert steps(sandbox) == ["call_setup", "ringing", event]
    (last,) = (each.body for each in sandbox.outbox if each.kind == "post_call")
    assert (last["disposition"], last["duration"], last["charge"]) == (disposition, 0, "0.000")


@pytest.mark.parametrize("detects", [True, False])
async def test_a_machine_is_detected_on_request(wavix: WavixClient, detects: bool) -> None:
    call_id = await answered(wavix, "15550100999", voicemail_detection=detects)
    assert (await wavix.calls.get(call_id)).machine_detected is detects


async def test_each_step_takes_its_time() -> None:
    async with (
        Sandbox(numbers=0, call_delay=1000, call_duration=5000) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        call_id = await answered(wavix)
        for event in ("call_setup", "ringing", "answered"):
            assert (await wavix.calls.get(call_id)).event_type == event
            sandbox.advance(1000)
        sandbox.advance(4000)
        assert sandbox.calls == {}


async def test_a_call_that_comes_in(sandbox: Sandbox, wavix: WavixClient) -> None:
    number = next(iter(sandbox.numbers.values()))
    await wavix.numbers.update(number["id"], call_status_url=HOOK)
    await wavix.calls.webhooks.create(url="https://hooks.example.com/all", event_type="on-call")

    call_id = sandbox.inbound_call(YOU, number["number"])["id"]
    assert (await wavix.calls.get(call_id)).event_type == "ringing"
    with pytest.raises(BadRequestError):
        await wavix.calls.play(call_id, audio_file="https://example.com/hi.wav")
    await wavix.calls.answer(call_id, stream_url="wss://example.com/audio")
    assert (await wavix.calls.get(call_id)).is_answered
    assert [stream["call_id"] for stream in sandbox.call_streams.values()] == [call_id]
    with pytest.raises(BadRequestError):
        await wavix.calls.answer(call_id)
    sandbox.hang_up(call_id)

    assert (sandbox.calls, sandbox.call_streams) == ({}, {})
    events = [event for event in sandbox.outbox if event.kind == "on_call"]
    assert [event.body["event_type"] for event in events if event.url == HOOK] == [
        "call_setup",
        "ringing",
        "answered",
        "completed",
    ]
    assert len(events) == 8


async def test_a_call_without_an_answer_gives_up(sandbox: Sandbox, wavix: WavixClient) -> None:
    call_id = sandbox.inbound_call(YOU, ME)["id"]
    sandbox.advance(60)
    assert steps(sandbox) == ["call_setup", "ringing", "cancelled"]
    with pytest.raises(NotFoundError):
        await wavix.calls.answer(call_id)


async def test_audio_starts_and_ends(sandbox: Sandbox, wavix: WavixClient) -> None:
    call_id = await answered(wavix)
    await wavix.calls.play(call_id, audio_file="https://example.com/hi.wav")
    call = await wavix.calls.get(call_id)
    assert (call.event_type, call.is_answered, call.is_over) == ("on_call_event", True, False)
    assert call.event_payload is not None
    assert (call.event_payload.type, call.event_payload.status) == ("audio", "completed")
    assert call.event_payload.playback_id is not None
    assert call.event_payload.digits is None
    assert steps(sandbox)[3:] == ["audio started", "audio completed"]


async def test_audio_that_is_stopped() -> None:
    async with (
        Sandbox(numbers=0, call_delay=1000, call_duration=10_000) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        call_id = await answered(wavix)
        sandbox.advance(2000)
        await wavix.calls.play(call_id, audio_file="https://example.com/hi.wav")
        assert steps(sandbox)[3:] == ["audio started"]
        await wavix.calls.audio.stop(call_id)
        assert steps(sandbox)[3:] == ["audio started", "audio completed"]
        sandbox.advance(1000)
        assert len(steps(sandbox)) == 5


@pytest.mark.parametrize(
    ("options", "keys", "digits"),
    [
        ({"max_digits": 2, "timeout": 60}, "123", "12"),
        ({"termination_character": "#", "timeout": 60}, "42#7", "42"),
        ({"max_digits": 4, "timeout": 60}, "12", "12"),
    ],
)
async def test_digits_are_collected(
    sandbox: Sandbox, wavix: WavixClient, options: dict[str, Any], keys: str, digits: str
) -> None:
    call_id = await answered(wavix)
    await wavix.calls.collect(call_id, **options, prompt={"say": {"text": "Press 1", "voice": "Joanna"}})
    sandbox.press(call_id, keys)
    sandbox.advance(60)

    payload = (await wavix.calls.get(call_id)).event_payload
    assert payload is not None
    assert (payload.type, payload.status, payload.digits) == ("collect", "completed", digits)
    with pytest.raises(ValueError, match="nothing collects"):
        sandbox.press(call_id, "1")


async def test_silence_is_asked_again_and_then_given_up(sandbox: Sandbox, wavix: WavixClient) -> None:
    call_id = await answered(wavix)
    await wavix.calls.collect(call_id, timeout=60, max_attempts=2)
    with pytest.raises(BadRequestError):
        await wavix.calls.collect(call_id)
    sandbox.advance(60)
    sandbox.advance(60)
    assert steps(sandbox)[3:] == ["collect started", "collect started", "collect failed"]


async def test_keys_that_do_not_exist(sandbox: Sandbox, wavix: WavixClient) -> None:
    call_id = await answered(wavix)
    await wavix.calls.collect(call_id, timeout=60)
    with pytest.raises(ValueError, match="keys of a phone"):
        sandbox.press(call_id, "12x")
    for act in (lambda: sandbox.press("none", "1"), lambda: sandbox.hang_up("none")):
        with pytest.raises(KeyError):
            act()


async def test_a_call_has_so_many_streams(sandbox: Sandbox, wavix: WavixClient) -> None:
    call_id = await answered(wavix)

    async def stream(kind: str) -> str:
        made = await wavix.calls.streams.create(
            call_id, stream_url="wss://example.com/audio", stream_type=kind, stream_channel="both"
        )
        return made.stream_id

    two_way = await stream("twoway")
    for _ in range(5):
        await stream("oneway")
    for kind in ("twoway", "oneway"):
        with pytest.raises(BadRequestError):
            await stream(kind)
    await wavix.calls.streams.stop(call_id, two_way)
    assert await stream("twoway") in sandbox.call_streams
    with pytest.raises(NotFoundError):
        await wavix.calls.streams.stop(call_id, two_way)


async def test_the_end_of_a_call_by_either_side(sandbox: Sandbox, wavix: WavixClient) -> None:
    first = await answered(wavix)
    await wavix.calls.update(first, tag="late")
    assert (await wavix.calls.get(first)).tag == "late"
    assert (await wavix.calls.end(first)).success
    with pytest.raises(NotFoundError):
        await wavix.calls.end(first)
    second = await answered(wavix)
    sandbox.hang_up(second)
    assert [event.body["tag"] for event in sandbox.outbox if event.body.get("event_type") == "completed"] == [
        "late",
        "",
    ]


async def test_a_wrong_body_names_its_fields(sandbox: Sandbox, wavix: WavixClient) -> None:
    with pytest.raises(BadRequestError) as caught:
        await wavix.calls.create(from_="Acme", to="x", timeout=0)
    assert all(name in str(caught.value) for name in ("from", "to", "timeout"))


async def test_webhooks_of_calls(sandbox: Sandbox, wavix: WavixClient) -> None:
    for event_type in ("on-call", "post-call", "post-call"):
        made = await wavix.calls.webhooks.create(url=HOOK, event_type=event_type)
        assert (made.success, made.url) == (True, HOOK)
    assert [hook.event_type for hook in await wavix.calls.webhooks.list()] == ["on-call", "post-call"]
    await wavix.calls.end(await answered(wavix))
    assert [event.url for event in sandbox.outbox if event.kind == "post_call"] == [HOOK]
    assert (await wavix.calls.webhooks.delete("post-call")).success
    assert [hook.event_type for hook in await wavix.calls.webhooks.list()] == ["on-call"]
    with pytest.raises(NotFoundError):
        await wavix.calls.webhooks.delete("post-call")


async def test_a_call_that_is_over_leaves_a_cdr_and_a_recording(sandbox: Sandbox, wavix: WavixClient) -> None:
    call_id = await answered(wavix, recording=True, voicemail_detection=True)
    sandbox.advance(600)
    cdr = await wavix.cdrs.get(call_id)
    assert (cdr.disposition, cdr.duration, cdr.to, cdr.answered_by) == ("answered", 600, YOU, "human")
    (last,) = (event.body for event in sandbox.outbox if event.kind == "post_call")
    assert (str(cdr.charge), str(cdr.per_minute), cdr.destination) == (
        last["charge"],
        last["per_minute"],
        last["destination"],
    )
    assert [recording.call_uuid async for recording in wavix.recordings.list()] == [call_id]
    busy = await answered(wavix, "15550100486", recording=True)
    assert (await wavix.cdrs.get(busy)).disposition == "busy"
    assert len(sandbox.recordings) == 1


async def test_an_inbound_call_of_a_recorded_number_is_recorded(sandbox: Sandbox, wavix: WavixClient) -> None:
    number = next(iter(sandbox.numbers.values()))
    await wavix.numbers.update(number["id"], call_recording_enabled=True, transcription_enabled=False)
    call_id = sandbox.inbound_call(YOU, number["number"])["id"]
    await wavix.calls.answer(call_id, call_transcription=True)
    sandbox.hang_up(call_id)
    sandbox.advance(0)
    assert list(sandbox.call_transcriptions) == [call_id]
    assert [each["call_uuid"] for each in sandbox.recordings.values()] == [call_id]


async def test_a_reset_forgets_calls(sandbox: Sandbox, wavix: WavixClient) -> None:
    call_id = await answered(wavix)
    sandbox.reset()
    sandbox.advance(600)
    assert (sandbox.calls, sandbox.outbox) == ({}, ())
    assert await answered(wavix) == call_id  # ids depend on the seed and the order alone
    assert isinstance(await wavix.calls.get(call_id), Call)


async def test_a_voice_campaign_ends(sandbox: Sandbox, wavix: WavixClient) -> None:
    made = await wavix.voice_campaigns.create(callflow_id=3212, caller_id=ME, contact=f"+{YOU}", callback_url=HOOK)
    assert (made.status, made.contact) == ("in_progress", YOU)
    done = await wavix.voice_campaigns.wait(made.id)
    assert done.status == "completed"
    assert [event.body["status"] for event in sandbox.outbox if event.kind == "voice_campaign"] == ["completed"]
    assert sandbox.stats.charges["POST /v1/voice-campaigns"] == 1


async def test_a_token_is_shown_once_and_expires(sandbox: Sandbox, wavix: WavixClient) -> None:
    made = await wavix.webrtc.tokens.create(sip_trunk="my-trunk", ttl=3600, payload={"user": "42"})
    kept = await wavix.webrtc.tokens.create(sip_trunk="my-trunk", ttl=None)
    assert made.token
    assert made.token not in repr(made)
    read = await wavix.webrtc.tokens.get(made.uuid)
    assert (read.token, read.payload) == (None, {"user": "42"})
    changed = await wavix.webrtc.tokens.update(made.uuid, payload={"user": 43, "more": [1, None]})
    assert changed.payload == {"user": 43, "more": [1, None]}
    assert [token.uuid for token in await wavix.webrtc.tokens.list()] == [made.uuid, kept.uuid]
    sandbox.advance(3600)
    assert [token.uuid async for token in wavix.webrtc.tokens.list()] == [kept.uuid]
    await wavix.webrtc.tokens.delete(kept.uuid)
    with pytest.raises(NotFoundError):
        await wavix.webrtc.tokens.get(kept.uuid)


@pytest.mark.parametrize("name", ["call_delay", "call_duration"])
def test_a_time_below_zero(name: str) -> None:
    options: Any = {name: -1}
    with pytest.raises(ValueError, match=name):
        Sandbox(**options)


@pytest.mark.parametrize("url", ["wss://[", "https://example.com/", "", 5])
async def test_a_stream_needs_a_websocket(sandbox: Sandbox, wavix: WavixClient, url: Any) -> None:
    call_id = await answered(wavix)
    body = {"stream_url": url, "stream_type": "oneway", "stream_channel": "both"}
    start = Operation("POST", f"/v1/calls/{call_id}/streams", dict)
    with pytest.raises(BadRequestError):
        await wavix.call(start, body=body)
