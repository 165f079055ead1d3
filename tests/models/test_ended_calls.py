"""Models of CDRs, recordings and transcriptions: what each field means."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import pytest

from tests.resources.rows import cdrs, recordings, speech_analytics
from tests.support.examples import same
from tests.support.meaning import check_meaning
from wavix_async import from_dict, models, to_dict
from wavix_async.models import (
    CDR,
    AnsweredBy,
    CallDisposition,
    CDRTranscription,
    FileTranscript,
    FileTranscription,
    FileTranscriptionSubmission,
    FileTranscriptTurn,
    InvalidRecording,
    Recording,
    Sentiment,
    TranscriptionLanguage,
    TranscriptionReference,
    TranscriptionStatus,
    TranscriptTurn,
)

# What each field of the examples means: by name in Python, written down here by hand and not derived from the models.
# A name that ends in `?` is one that the documentation allows to be missing or null.
EXPECTED: Final[list[tuple[type[models.Model], dict[str, Any], dict[str, Any]]]] = [
    (
        CDR,
        cdrs.CDR,
        {
            "date?": datetime(2023, 8, 21, 6, 43, 36, tzinfo=UTC),
            "from_": "14302287001",
            "to": "33170363950",
            "disposition": CallDisposition.ANSWERED,
            "duration": 6,
            "destination?": "France",
            "per_minute?": Decimal("0.027"),
            "charge?": Decimal("0.822"),
            "sip_trunk?": "32882",
            "forward_fee?": Decimal("0.0"),
            "uuid?": cdrs.CALL,
            "call_id?": cdrs.CALL,
            "parent_uuid?": None,
            "parent_call_id?": None,
            "answered_by?": AnsweredBy.HUMAN,
            "recording_url?": f"https://api.wavix.com/v1/recordings/{cdrs.CALL}",
            "transcription?": from_dict(TranscriptionReference, cdrs.REFERENCE),
        },
    ),
    (TranscriptionReference, cdrs.REFERENCE, {"uuid": cdrs.REFERENCE["uuid"], "url": cdrs.REFERENCE["url"]}),
    (
        CDRTranscription,
        cdrs.TRANSCRIPTION,
        {
            "transcript?": {"16572026750": "I have a question", "16465292513": ""},
            "turns?": [from_dict(TranscriptTurn, each) for each in cdrs.TRANSCRIPTION["turns"]],
            "uuid": "e84f350f-6da7-4b56-80eb-41dec572626b",
            "language?": TranscriptionLanguage.EN,
            "duration": 102,
            "charge": Decimal("0.01"),
            "status": TranscriptionStatus.COMPLETED,
            "transcription_date": datetime(2023, 1, 9, 10, 4, 39, 734000, UTC),
            "call_date": datetime(2023, 1, 9, 10, 1, 13, 394000, UTC),
            "call_uuid": "bbaa37bf-430a-46da-ade3-c248e4070161",
            "call_score?": Decimal("3.8"),
            "call_summary?": "The agent and client discussed billing issues.",
        },
    ),
    (
        TranscriptTurn,
        cdrs.TURN,
        {
            "type?": "46844685344",
            "phone_number?": "+46844685344",
            "s?": 160,
            "e?": 7280,
            "text?": "Hello, how can I help you?",
            "sentiment?": Sentiment.NEUTRAL,
        },
    ),
    (
        Recording,
        recordings.RECORDING,
        {
            "id": 123,
            "created_at": datetime(2023, 6, 15, 10, 30, tzinfo=UTC),
            "duration": 120,
            "from_": "1234567890",
            "to": "0987654321",
            "call_uuid": "aa566501-c591-4a8b-b3b9-cc1295398b72",
            "url": recordings.RECORDING["url"],
        },
    ),
    (InvalidRecording, {"dids": ["1"], "sip_trunks": ["2"]}, {"dids?": ["1"], "sip_trunks?": ["2"]}),
    (
        FileTranscriptionSubmission,
        speech_analytics.SUBMISSION,
        {"file": "file.mp3", "request_id": speech_analytics.REQUEST, "success": True},
    ),
    (
        FileTranscription,
        speech_analytics.TRANSCRIPTION,
        {
            "transcript?": from_dict(FileTranscript, {"channel_1": "Hi there", "channel_2": "Hello"}),
            "turns?": [from_dict(FileTranscriptTurn, speech_analytics.TURN)],
            "request_id": speech_analytics.REQUEST,
            "language?": TranscriptionLanguage.EN,
            "duration?": 102,
            "charge": Decimal("0.01"),
            "status": TranscriptionStatus.COMPLETED,
            "transcription_date": datetime(2023, 1, 9, 10, 4, 39, 734000, UTC),
            "transcription_score?": Decimal("3.8"),
            "transcription_summary?": "The agent and client discussed call recording and call transcription",
            "original_file": "https://api.wavix.com/v1/files/uuid?appid=secret",
        },
    ),
    (
        FileTranscript,
        {"channel_1": "Hi there", "channel_2": "Hello"},
        {"channel_1": "Hi there", "channel_2": "Hello"},
    ),
    (
        FileTranscriptTurn,
        speech_analytics.TURN,
        {"speaker": "channel_1", "s": 600, "e": 700, "text": "Hi", "sentiment": Sentiment.POSITIVE},
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


@pytest.mark.parametrize("text", ["ANSWERED", "Answered", "answered"])
def test_a_disposition_compares_without_case_and_keeps_its_text(text: str) -> None:
    call = from_dict(CDR, {**cdrs.LISTED, "disposition": text}, strict=True)

    assert call.disposition == CallDisposition.ANSWERED == "answered"
    assert to_dict(call)["disposition"] == text


def test_numbers_in_place_of_texts_are_money_too() -> None:
    """A guide of the API shows floats in CDRs."""
    payload = {**cdrs.LISTED, "charge": 0.822, "per_minute": 1, "forward_fee": "0.003"}
    call = from_dict(CDR, payload, strict=True)

    assert (call.charge, call.per_minute, call.forward_fee) == (Decimal("0.822"), Decimal(1), Decimal("0.003"))
    assert same(to_dict(call), payload)


@pytest.mark.parametrize("text", ["2023-07-19 18:23:42.120Z", "2023-07-19T18:23:42.120", "2023-07-19T18:23:42.120Z"])
def test_odd_times(text: str) -> None:
    call = from_dict(CDR, {**cdrs.LISTED, "date": text})

    assert call.date == datetime(2023, 7, 19, 18, 23, 42, 120000, UTC)
    assert to_dict(call)["date"] == text


def test_the_id_of_a_call_and_the_speaker_of_a_turn_have_two_names() -> None:
    old = {name: value for name, value in cdrs.LISTED.items() if name != "call_id"}
    assert from_dict(CDR, old).id == from_dict(CDR, cdrs.LISTED).id == cdrs.CALL
    assert from_dict(TranscriptTurn, {"type": "1"}).speaker == "1"
    assert from_dict(TranscriptTurn, {"phone_number": "2"}).speaker == "2"


def test_repr_shows_no_link_and_nothing_that_was_said() -> None:
    shown = " ".join(repr(from_dict(model, payload)) for model, payload, _ in EXPECTED)

    for secret in ("appid", "https://", "Hello", "Hi", "question", "discussed"):
        assert secret not in shown
