"""The operations of `wavix.calls`."""

from __future__ import annotations

from typing import Final

from tests.resources.rows.row import Row
from wavix_async.models import CallWebhookType, CollectPrompt, CollectSay, StreamType

ID: Final = "5dccb6b0-f35c-488c-867b-86fb012c4415"
STREAM: Final = "123e4567-e89b-12d3-a456-426614174000"
CALL: Final = {
    "uuid": ID,
    "id": ID,
    "direction": "outbound",
    "event_type": "on_call_event",
    "event_time": "2025-09-22T12:56:48.547Z",
    "event_payload": {"type": "collect", "payload": {"status": "completed", "digits": "1"}},
    "from": "+18045961058",
    "to": "17653889567",
    "call_started": "2025-09-22T12:56:38.547Z",
    "call_answered": "2025-09-22T12:56:43.000Z",
    "call_completed": None,
    "machine_detected": False,
    "tag": "marketing-campaign",
}
CREATED: Final = {
    **{name: value for name, value in CALL.items() if name != "id"},
    "event_type": "call_setup",
    "event_payload": None,
    "call_answered": None,
}
SUCCESS: Final = {"success": True}
HOOK: Final = "https://hooks.example.com/calls/3a7f"

ID_FIELDS: Final = {"GET /v1/calls/{id}": "id"}
ROWS: Final = [
    Row(
        lambda w: w.calls.webhooks.list(),
        "GET /v1/calls/webhooks",
        [{"event_type": "post-call", "url": HOOK}, {"event_type": "on-call", "url": HOOK}],
    ),
    Row(
        lambda w: w.calls.webhooks.create(url=HOOK, event_type="post-call"),
        "POST /v1/calls/webhooks",
        {"success": True, "event_type": "post-call", "url": HOOK},
        body={"url": HOOK, "event_type": "post-call"},
    ),
    Row(
        lambda w: w.calls.webhooks.delete(CallWebhookType.ON_CALL),
        "DELETE /v1/calls/webhooks",
        SUCCESS,
        query={"event_type": "on-call"},
    ),
    Row(
        lambda w: w.calls.create(
            from_="+1 (804) 596-1058",
            to="1-765-388-9567",
            callback_url=HOOK,
            recording=True,
            voicemail_detection=False,
            tag="marketing-campaign",
            timeout=60,
        ),
        "POST /v1/calls",
        CREATED,
        body={
            "from": "+18045961058",
            "to": "17653889567",
            "callback_url": HOOK,
            "recording": True,
            "voicemail_detection": False,
            "tag": "marketing-campaign",
            "timeout": 60,
        },
    ),
    Row(
        lambda w: w.calls.create(from_="18045961058", to="+17653889567"),
        "POST /v1/calls",
        {"id": ID, "to": "17653889567"},
        body={"from": "18045961058", "to": "+17653889567"},
    ),
    Row(lambda w: w.calls.list(), "GET /v1/calls", {"calls": [CALL], "success": True}, result=[CALL]),
    Row(lambda w: w.calls.get(ID), f"GET /v1/calls/{ID}", {"call": CALL, "success": True}, result=CALL),
    Row(lambda w: w.calls.get(ID), f"GET /v1/calls/{ID}", CALL),
    Row(lambda w: w.calls.end(ID), f"DELETE /v1/calls/{ID}", SUCCESS),
    Row(lambda w: w.calls.update(ID, tag="vip"), f"PATCH /v1/calls/{ID}", SUCCESS, body={"tag": "vip"}),
    Row(lambda w: w.calls.answer(ID), f"POST /v1/calls/{ID}/answer", SUCCESS, body={}),
    Row(
        lambda w: w.calls.answer(
            ID,
            call_recording=True,
            call_transcription=True,
            stream_url="wss://examples.com/stream",
            stream_type="twoway",
            stream_channel="inbound",
        ),
        f"POST /v1/calls/{ID}/answer",
        SUCCESS,
        body={
            "call_recording": True,
            "call_transcription": True,
            "stream_url": "wss://examples.com/stream",
            "stream_type": "twoway",
            "stream_channel": "inbound",
        },
    ),
    Row(
        lambda w: w.calls.streams.create(
            ID, stream_url="wss://examples.com/stream", stream_type=StreamType.ONEWAY, stream_channel="both"
        ),
        f"POST /v1/calls/{ID}/streams",
        {"success": True, "stream_id": STREAM},
        body={"stream_url": "wss://examples.com/stream", "stream_type": "oneway", "stream_channel": "both"},
    ),
    Row(lambda w: w.calls.streams.stop(ID, STREAM), f"DELETE /v1/calls/{ID}/streams/{STREAM}", SUCCESS),
    Row(
        lambda w: w.calls.play(ID, audio_file="https://examples.com/audio.wav"),
        f"POST /v1/calls/{ID}/play",
        SUCCESS,
        body={"audio_file": "https://examples.com/audio.wav"},
    ),
    Row(lambda w: w.calls.audio.stop(ID), f"DELETE /v1/calls/{ID}/audio", SUCCESS),
    Row(
        lambda w: w.calls.collect(
            ID,
            max_digits=1,
            timeout=10,
            termination_character="#",
            max_attempts=3,
            prompt=CollectPrompt(say=CollectSay(text="Press 1", voice="Joanna", language="en")),
        ),
        f"POST /v1/calls/{ID}/collect",
        SUCCESS,
        body={
            "max_digits": 1,
            "timeout": 10,
            "termination_character": "#",
            "max_attempts": 3,
            "prompt": {"say": {"text": "Press 1", "voice": "Joanna", "language": "en"}},
        },
    ),
    Row(
        lambda w: w.calls.collect(ID, prompt={"play": "https://examples.com/prompt.wav"}),
        f"POST /v1/calls/{ID}/collect",
        SUCCESS,
        body={"prompt": {"play": "https://examples.com/prompt.wav"}},
    ),
]
