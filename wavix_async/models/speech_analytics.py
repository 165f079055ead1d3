"""Transcriptions of uploaded files: the requests and answers of `/v1/speech-analytics`."""

from datetime import datetime
from decimal import Decimal

from attrs import field, frozen

from wavix_async.models._base import Body, Model
from wavix_async.models.cdrs import Sentiment, TranscriptionLanguage, TranscriptionStatus
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "FileTranscript",
    "FileTranscriptTurn",
    "FileTranscription",
    "FileTranscriptionSubmission",
    "SpeechRetranscription",
]


@frozen(kw_only=True)
class FileTranscriptionSubmission(Model):
    """A file that the API has accepted and will transcribe."""

    file: str = field(default=None)
    """The name of the file."""
    request_id: str = field(default=None)
    """The id of the transcription. No list shows it again: keep it."""
    success: bool = field(default=None)


@frozen(kw_only=True)
class FileTranscript(Model):
    """What each speaker says in the whole file."""

    channel_1: str = field(default=None, repr=False)
    """What the speaker of the first channel says; repr does not show it."""
    channel_2: str = field(default=None, repr=False)
    """What the speaker of the second channel says; repr does not show it."""


@frozen(kw_only=True)
class FileTranscriptTurn(Model):
    """What one speaker says without a break."""

    speaker: str = field(default=None)
    """`channel_1` or `channel_2`."""
    s: int = field(default=None)
    """When the turn begins, in milliseconds."""
    e: int = field(default=None)
    """When the turn ends, in milliseconds."""
    text: str = field(default=None, repr=False)
    """What is said; repr does not show it."""
    sentiment: Sentiment = field(default=None)


@frozen(kw_only=True)
class FileTranscription(Model):
    """The transcription of a file. While it is `pending`, all other fields are None."""

    transcript: FileTranscript | None = None
    turns: list[FileTranscriptTurn] | None = None
    request_id: str = field(default=None)
    language: TranscriptionLanguage | None = None
    duration: int | None = None
    """The duration of the file in seconds."""
    charge: Decimal = field(default=None)
    """The price of the transcription in USD."""
    status: TranscriptionStatus = field(default=None)
    transcription_date: datetime = field(default=None)
    """When the file was transcribed."""
    transcription_score: Decimal | None = None
    """The sentiment of the conversation: up to 3.0 is negative, from 4.0 on positive."""
    transcription_summary: str | None = field(default=None, repr=False)
    """The conversation in one or two sentences; repr does not show it."""
    original_file: str = field(default=None, repr=False)
    """The URL of the file. It may contain the API key, so repr does not show it."""
    pending: bool = field(default=False, metadata={"wire": False})
    """Whether the API still works on it."""


@frozen(kw_only=True)
class SpeechRetranscription(Body):
    """How to transcribe a file again.

    Raises:
        InputError: A field has the wrong type.
    """

    callback_url: str
    """The http or https URL to which the end of the transcription is posted."""
    insights: bool | UnsetType = UNSET
    """Whether to make a summary and a score, too."""
