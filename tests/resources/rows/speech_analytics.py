"""The operations of `wavix.speech_analytics`."""

from __future__ import annotations

from typing import Any, Final

from tests.resources.rows.row import Row

REQUEST: Final = "e84f350f-6da7-4b56-80eb-41dec572626b"
TURN: Final[dict[str, Any]] = {"speaker": "channel_1", "s": 600, "e": 700, "text": "Hi", "sentiment": "positive"}
TRANSCRIPTION: Final[dict[str, Any]] = {
    "transcript": {"channel_1": "Hi there", "channel_2": "Hello"},
    "turns": [TURN],
    "request_id": REQUEST,
    "language": "en",
    "duration": 102,
    "charge": "0.01",
    "status": "completed",
    "transcription_date": "2023-01-09T10:04:39.734Z",
    "transcription_score": "3.8",
    "transcription_summary": "The agent and client discussed call recording and call transcription",
    "original_file": "https://api.wavix.com/v1/files/uuid?appid=secret",
}
SUBMISSION: Final = {"file": "file.mp3", "request_id": REQUEST, "success": True}

ROWS: Final = [
    Row(lambda w: w.speech_analytics.get(REQUEST), f"GET /v1/speech-analytics/{REQUEST}", TRANSCRIPTION),
    Row(
        lambda w: w.speech_analytics.retranscribe(REQUEST, callback_url="https://hooks.example.com/1", insights=True),
        f"PUT /v1/speech-analytics/{REQUEST}",
        {"success": True},
        body={"callback_url": "https://hooks.example.com/1", "insights": True},
    ),
]

ID_FIELDS: Final = {"GET /v1/speech-analytics/{request_id}": "request_id"}
OWN_TESTS: Final = {"POST /v1/speech-analytics", "GET /v1/speech-analytics/{request_id}/file"}
