"""The vendor's own SDK, unmodified, against the calls, voice campaigns and WebRTC tokens of the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from wavix_async.sandbox import Sandbox

wavix = pytest.importorskip("wavix", reason="the vendor's SDK is not installed: pip install wavix-python-sdk==1.1.1")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

HOOK = "https://hooks.example.com/calls"


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=1) as running:
        yield running


@pytest.fixture
async def vendor(sandbox: Sandbox) -> AsyncIterator[Any]:
    import httpx

    async with httpx.AsyncClient() as transport:
        yield wavix.AsyncWavix(token=sandbox.api_key, base_url=sandbox.url, httpx_client=transport)


async def test_calls(sandbox: Sandbox, vendor: Any) -> None:
    calls = vendor.call_control
    call = await calls.create(from_="+1234567890", to="+1987654321", callback_url=HOOK, recording=True, tag="a")
    assert (call.event_type, call.direction, call.to) == ("call_setup", "outbound", "+1987654321")
    assert (await calls.get(call.id)).call.event_type == "answered"
    assert (await calls.update(call.id, tag="b")).success
    assert [each.tag for each in (await calls.list()).calls] == ["b"]
    assert (await calls.audio.play(call.id, audio_file="https://example.com/audio.wav")).success
    assert (await calls.audio.stop(call.id)).success
    say = wavix.CallDtmfCollectRequestPromptSay(text="Press 1", voice="Joanna", language="en")
    prompt = wavix.CallDtmfCollectRequestPrompt(say=say)
    assert (await calls.collect(call.id, max_digits=1, timeout=60, prompt=prompt)).success
    sandbox.press(call.id, "1")
    event = (await calls.get(call.id)).call.event_payload
    assert (event.type, event.payload["digits"]) == ("collect", "1")
    stream = await calls.streams.create(
        call.id, stream_url="wss://example.com/audio", stream_type="oneway", stream_channel="both"
    )
    assert (await calls.streams.delete(call.id, stream.stream_id)).success
    assert (await calls.delete(call.id)).success
    assert sandbox.cdrs[call.id]["disposition"] == "answered"


async def test_inbound_calls_and_webhooks(sandbox: Sandbox, vendor: Any) -> None:
    made = await vendor.call_webhooks.create(url=HOOK, event_type="on-call")
    assert (made.success, made.url) == (True, HOOK)
    assert [each.event_type for each in await vendor.call_webhooks.list()] == ["on-call"]
    call = sandbox.inbound_call("15125550143", "12565378257")
    assert (await vendor.call_control.answer(call["id"], call_recording=True)).success
    assert [event.url for event in sandbox.outbox] == [HOOK] * 3
    assert (await vendor.call_webhooks.delete(event_type="on-call")).success


async def test_tokens_and_voice_campaigns(vendor: Any) -> None:
    tokens = vendor.webrtc.tokens
    token = await tokens.create(sip_trunk="my-trunk", ttl=3600, payload={"user": "42"})
    assert token.token
    assert (await tokens.get(token.uuid_)).payload == {"user": "42"}
    assert (await tokens.update(token.uuid_, payload={"user": "43"})).payload == {"user": "43"}
    assert [each.uuid_ for each in (await tokens.list()).items] == [token.uuid_]
    assert (await tokens.delete(token.uuid_)).success
    body = wavix.VoiceCampaignResponse(callflow_id=3212, caller_id="13123310912", contact="16729923812")
    made = (await vendor.voice_campaigns.create(voice_campaign=body)).voice_campaign
    assert (await vendor.voice_campaigns.get(made.id)).voice_campaign.status == "completed"
