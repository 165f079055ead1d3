"""What the type checkers make of calls. Never run: mypy --strict and pyright read it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, assert_type

from wavix_async import Paginator, Success, WavixClient
from wavix_async.models import (
    CDR,
    Call,
    CallEventType,
    CallStream,
    CallWebhook,
    CallWebhookType,
    CollectPrompt,
    CollectSay,
    OnCallEventPayload,
    StreamChannel,
    TTSVoice,
    VoiceCampaign,
    WebRTCToken,
    WebRTCTokenPage,
)
from wavix_async.sandbox import Sandbox


async def calling(wavix: WavixClient) -> None:
    call = await wavix.calls.create(from_="+1 (512) 555-1234", to="1", callback_url="https://example.com", timeout=30)
    assert_type(call, Call)
    assert_type(call.call_id, str)
    assert_type(call.event_type, CallEventType)
    assert_type(call.event_payload, OnCallEventPayload | None)
    assert_type(call.call_answered, datetime | None)
    assert_type(await wavix.calls.list(), list[Call])
    assert_type(await wavix.calls.find_started(tag="a"), Call | None)
    assert_type(await wavix.calls.answer("a"), Success)
    assert_type(await wavix.calls.answer("a", call_recording=True), Success)
    assert_type(await wavix.calls.collect("a", max_digits=1, prompt={"play": "https://example.com/a.wav"}), Success)
    prompt = CollectPrompt(say=CollectSay(text="Press 1", voice=TTSVoice.JOANNA, language="en"))
    assert_type(await wavix.calls.collect("a", prompt=prompt), Success)
    stream = await wavix.calls.streams.create(
        "a", stream_url="wss://example.com", stream_type="oneway", stream_channel=StreamChannel.BOTH
    )
    assert_type(stream, CallStream)
    assert_type(await wavix.calls.streams.stop("a", stream.stream_id), Success)
    assert_type(await wavix.calls.audio.stop("a"), Success)
    over = await wavix.calls.wait("a", until="completed", timeout=None)
    assert_type(over, Call | CDR)
    if isinstance(over, CDR):
        assert_type(over.duration, int)
    assert_type(await wavix.calls.webhooks.list(), list[CallWebhook])
    assert_type(await wavix.calls.webhooks.delete(CallWebhookType.ON_CALL), Success)


async def others(wavix: WavixClient) -> None:
    assert_type(await wavix.voice_campaigns.create(callflow_id=1, caller_id="1", contact="2"), VoiceCampaign)
    assert_type(await wavix.voice_campaigns.wait(1), VoiceCampaign)
    token = await wavix.webrtc.tokens.create(sip_trunk="a", ttl=None, payload={"user": 42})
    assert_type(token, WebRTCToken)
    assert_type(token.payload, dict[str, object] | None)
    assert_type(wavix.webrtc.tokens.list(per_page=10), Paginator[WebRTCTokenPage, WebRTCToken])
    assert_type(await wavix.webrtc.tokens.update("a", payload={}), WebRTCToken)


def sandbox(sandbox: Sandbox) -> None:
    assert_type(sandbox.inbound_call("1", "2"), dict[str, Any])
    assert_type(sandbox.calls, Mapping[str, dict[str, Any]])


async def mistakes(wavix: WavixClient) -> None:
    await wavix.calls.create(to="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.calls.create(from_="1", to=2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.calls.answer()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.calls.wait("a", until="ringing")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.webrtc.tokens.create(sip_trunk="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.calls.streams.stop("a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
