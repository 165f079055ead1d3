"""Models of calls, voice campaigns and WebRTC tokens: what each field means."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.resources.rows import calls, voice_campaigns, webrtc
from tests.support.examples import same
from tests.support.meaning import check_meaning
from wavix_async import from_dict, models, to_dict
from wavix_async.models import (
    Call,
    CallEventType,
    CallStream,
    CallSubEvent,
    CallWebhook,
    CallWebhookType,
    Direction,
    OnCallEventPayload,
    VoiceCampaign,
    VoiceCampaignStatus,
    WebRTCToken,
)

HOOK: Final = {"success": True, "event_type": "post-call", "url": calls.HOOK}
# A name that ends in `?` is one that the documentation allows to be missing or null, or that an answer or event lacks.
EXPECTED: Final[list[tuple[type[models.Model], dict[str, Any], dict[str, Any]]]] = [
    (
        Call,
        calls.CALL,
        {
            "id?": calls.ID,
            "uuid?": calls.ID,
            "direction?": Direction.OUTBOUND,
            "event_type": CallEventType.ON_CALL_EVENT,
            "event_time": datetime(2025, 9, 22, 12, 56, 48, 547000, UTC),
            "event_payload?": from_dict(OnCallEventPayload, calls.CALL["event_payload"]),
            "from_": "+18045961058",
            "to": "17653889567",
            "call_started": datetime(2025, 9, 22, 12, 56, 38, 547000, UTC),
            "call_answered?": datetime(2025, 9, 22, 12, 56, 43, tzinfo=UTC),
            "call_completed?": None,
            "machine_detected?": False,
            "tag?": "marketing-campaign",
        },
    ),
    (
        OnCallEventPayload,
        {"type": "audio", "payload": {"status": "completed", "playback_id": "3fa85f64"}},
        {"type": CallSubEvent.AUDIO, "payload?": {"status": "completed", "playback_id": "3fa85f64"}},
    ),
    (CallStream, {"success": True, "stream_id": calls.STREAM}, {"success?": True, "stream_id": calls.STREAM}),
    (CallWebhook, HOOK, {"success?": True, "event_type": CallWebhookType.POST_CALL, "url": calls.HOOK}),
    (
        WebRTCToken,
        webrtc.CREATED,
        {
            "token?": webrtc.CREATED["token"],
            "uuid": webrtc.ID,
            "sip_trunk": "my-sip-trunk",
            "payload?": {"user_id": "42"},
            "ttl?": 3600,
        },
    ),
    (
        VoiceCampaign,
        voice_campaigns.CAMPAIGN,
        {
            "id": 2321423,
            "status": VoiceCampaignStatus.IN_PROGRESS,
            "timestamp": datetime(2023, 8, 3, 9, 4, 12, tzinfo=UTC),
            "caller_id": "13123310912",
            "contact": "16729923812",
        },
    ),
]
each_model = pytest.mark.parametrize(
    ("model", "payload", "expected"), EXPECTED, ids=[model.__name__ for model, _, _ in EXPECTED]
)


@each_model
def test_each_field_has_the_value_and_the_type_that_it_means(
    model: type[models.Model], payload: dict[str, Any], expected: dict[str, Any]
) -> None:
    check_meaning(model, payload, expected)


@pytest.mark.parametrize("name", ["event_type", "direction"])
def test_a_new_word_of_an_enum_is_kept(name: str) -> None:
    payload = {**calls.CALL, name: "brand-new"}
    call = from_dict(Call, payload, strict=True)
    assert getattr(call, name) == "brand-new"
    assert same(to_dict(call), payload)


def test_a_call_has_two_names_for_its_id() -> None:
    only = {name: value for name, value in calls.CALL.items() if name not in ("id", "uuid")}
    assert from_dict(Call, {**only, "id": "a"}).call_id == "a"
    assert from_dict(Call, {**only, "uuid": "b"}).call_id == "b"
    assert from_dict(Call, {**only, "uuid": "b", "id": "a"}).call_id == "a"
    assert from_dict(Call, only).call_id is None


@pytest.mark.parametrize(
    ("event", "answered", "over"),
    [
        ("call_setup", False, False),
        ("ringing", False, False),
        ("early_media", False, False),
        ("answered", True, False),
        ("on_call_event", True, False),
        ("transfer", True, False),
        ("completed", True, True),
        ("busy", False, True),
        ("cancelled", False, True),
        ("rejected", False, True),
        ("failed", False, True),
        ("brand-new", False, False),
        (["odd"], False, False),
        (None, False, False),
    ],
)
def test_the_state_of_a_call(event: Any, answered: bool, over: bool) -> None:
    call = from_dict(Call, {**calls.CALL, "call_answered": None, "event_type": event})
    assert (call.is_answered, call.is_over) == (answered, over)


def test_times_tell_of_the_state_too() -> None:
    payload = {**calls.CALL, "event_type": "brand-new", "call_completed": "2025-09-22T12:57:00.000Z"}
    assert from_dict(Call, payload).is_answered
    assert from_dict(Call, payload).is_over


@pytest.mark.parametrize("payload", [None, "x", [], {"status": 5, "digits": ["1"]}])
def test_an_odd_payload_has_no_details(payload: Any) -> None:
    event = from_dict(OnCallEventPayload, {"type": "collect", "payload": payload})
    assert (event.status, event.digits, event.playback_id) == (None, None, None)


def test_digits_tokens_and_urls_do_not_show() -> None:
    payload = {"type": "collect", "payload": {"status": "completed", "digits": "7391"}}
    call = from_dict(Call, {**calls.CALL, "event_payload": payload})
    assert call.event_payload is not None
    assert call.event_payload.digits == "7391"
    shown = repr([call, from_dict(WebRTCToken, webrtc.CREATED), from_dict(CallWebhook, HOOK)])
    for secret in ("7391", webrtc.CREATED["token"], "hooks.example.com"):
        assert secret not in shown
