"""The events of the sandbox against the API's own description of them."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.support.description import DOCUMENT, wrong_with
from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox, SandboxEvent

pytest.importorskip("jsonschema_rs", reason="pip install jsonschema-rs")

DESCRIBED: Final = {
    "on_call": "OnCallEvent",
    "post_call": "PostCallEvent",
    "message": "InboundMessage",
    "dlr": "DeliveryReport",
    "file_transcription": "AudioFileTranscriptionCompleted",
    "call_transcription": "CallTranscriptionCompleted",
}
"""The webhooks of the description, by the kinds of the sandbox."""
HOOK: Final = "https://hooks.example.com/"
ME, YOU = "13125551000", "14155550100"


async def everything() -> tuple[SandboxEvent, ...]:
    """Let the sandbox post events of every kind that an operation causes."""
    async with Sandbox(numbers=2, sms_relay_url=HOOK) as sandbox:
        async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
            await wavix.calls.webhooks.create(url=HOOK, event_type="post-call")
            for to in (YOU, "14155550486", "14155550408"):
                await wavix.calls.create(from_=ME, to=to, callback_url=HOOK, tag="a")
            call = (await wavix.calls.list())[0]
            await wavix.calls.collect(call.call_id, max_digits=2, prompt={"play": HOOK})
            sandbox.press(call.call_id, "12")
            await wavix.calls.play(call.call_id, audio_file=HOOK)
            for to in (YOU, "14155550007", "14155550008", "14155550009"):
                await wavix.messages.send(from_="Acme", to=to, message_body={"text": "Hello"}, callback_url=HOOK)
            sandbox.inbound_message(YOU, next(iter(sandbox.numbers.values()))["number"], "Hello")
            sandbox.advance(7200)
            ended = sandbox.add_call(from_=YOU, to=ME)
            await wavix.cdrs.retranscribe(ended["call_id"], webhook_url=HOOK)
            await wavix.speech_analytics.upload(file=b"RIFF....WAVE", filename="a.wav", callback_url=HOOK)
            sandbox.advance(60)
        return sandbox.outbox


async def test_the_events_of_the_sandbox_are_those_of_the_description() -> None:
    events = await everything()

    assert {event.kind for event in events} == set(DESCRIBED)
    for event in events:
        webhook: Any = DOCUMENT["webhooks"][DESCRIBED[event.kind]]["post"]
        schema = webhook["requestBody"]["content"]["application/json"]["schema"]
        assert wrong_with(event.body, schema) == [], (event.kind, event.body)
