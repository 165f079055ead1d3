"""Call detail records and transcriptions of calls: the requests and answers of `/v1/cdrs`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, CaseBlindStrEnum, Model, OpenStrEnum, PageBody, PageQuery, Query
from wavix_async.models.common import Page
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "CDR",
    "AnsweredBy",
    "CDRExport",
    "CDRList",
    "CDRPage",
    "CDRRetranscription",
    "CDRSearch",
    "CDRTranscription",
    "CallDisposition",
    "CallType",
    "Sentiment",
    "TranscriptTurn",
    "TranscriptionFilter",
    "TranscriptionLanguage",
    "TranscriptionReference",
    "TranscriptionStatus",
    "TranscriptionTerms",
]


class CallType(OpenStrEnum):
    """The type of a call, seen from the account: made by it, or made to one of its numbers."""

    PLACED = "placed"
    RECEIVED = "received"


class CallDisposition(CaseBlindStrEnum):
    """How a call ended; `all` is only for filters. The API also writes it in capitals."""

    ANSWERED = "answered"
    NOANSWER = "noanswer"
    BUSY = "busy"
    FAILED = "failed"
    ALL = "all"


class AnsweredBy(OpenStrEnum):
    """What answered a call."""

    HUMAN = "human"
    MACHINE = "machine"


class TranscriptionLanguage(OpenStrEnum):
    """The language of a transcription, as a two-letter ISO code."""

    EN = "en"
    DE = "de"
    ES = "es"
    FR = "fr"
    IT = "it"


class TranscriptionStatus(OpenStrEnum):
    """The end state of a transcription."""

    COMPLETED = "completed"
    FAILED = "failed"


class Sentiment(OpenStrEnum):
    """The sentiment of what a speaker said."""

    NEUTRAL = "neutral"
    POSITIVE = "positive"
    NEGATIVE = "negative"


@frozen(kw_only=True)
class TranscriptionReference(Model):
    """Where the transcription of a call is."""

    uuid: str = field(default=None)
    """The transcription's id."""
    url: str = field(default=None, repr=False)
    """The URL of the transcription. It may contain the API key, so repr does not show it."""


@frozen(kw_only=True)
class CDR(Model):
    """A call detail record: one call that has ended.

    The rows of an export are sparse: a field that a row does not have is None.
    """

    date: datetime | None = None
    """When the call began."""
    from_: Annotated[str, override(rename="from")] = field(default=None)
    """The phone number that called."""
    to: str = field(default=None)
    """The phone number that was called."""
    disposition: CallDisposition = field(default=None)
    duration: int = field(default=None)
    """Seconds."""
    destination: str | None = None
    """The country, and sometimes the network or the city; of an inbound call, where it was forwarded to."""
    per_minute: Decimal | None = None
    """The price of a minute in USD."""
    charge: Decimal | None = None
    """The price of the call in USD."""
    sip_trunk: str | None = None
    """The login of the SIP trunk of an outbound call."""
    forward_fee: Decimal | None = None
    """The price in USD of forwarding an inbound call to a phone number."""
    uuid: str | None = None
    """The older name of `call_id`; older answers, and the rows of an export, have only this one."""
    call_id: str | None = None
    """The call's id. `id` is this field, or `uuid`."""
    parent_uuid: str | None = None
    """The older name of `parent_call_id`."""
    parent_call_id: str | None = None
    """The id of the call that this one belongs to."""
    answered_by: AnsweredBy | None = None
    """What answered the call, if detection was on."""
    recording_url: str | None = field(default=None, repr=False)
    """The URL of the recording. It may contain the API key, so repr does not show it."""
    transcription: TranscriptionReference | None = None

    @property
    def id(self) -> str:
        """The call's id, whichever name the answer gives it; for `cdrs.get` and `recordings.download`."""
        # One of them is always there; None, as in any field, if the API does not keep to that.
        return self.call_id or self.uuid  # type: ignore[return-value]  # pyright: ignore[reportReturnType]


@frozen(kw_only=True)
class CDRPage(Page[CDR]):
    """One page of call detail records."""

    items: list[CDR] = field(default=None)


@frozen(kw_only=True)
class CDRList(PageQuery):
    """Which call detail records to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    from_: Annotated[date | str, override(rename="from")]
    """The first day, in UTC."""
    to: date | str
    """The last day, in UTC."""
    type: CallType | str
    """`placed` or `received`."""
    disposition: CallDisposition | str | None = None
    """How the calls ended. Without it, the API returns only answered calls: pass `all` for all of them."""
    from_search: str | None = None
    """The phone number that called, or a part of it."""
    to_search: str | None = None
    """The phone number that was called, or a part of it."""
    sip_trunk: str | None = None
    """The login of a SIP trunk; the API ignores it for inbound calls."""
    uuid: str | None = None
    """The id of one call."""


@frozen(kw_only=True)
class CDRExport(Query):
    """Which call detail records to export.

    Raises:
        InputError: A field has the wrong type.
    """

    from_: Annotated[date | str, override(rename="from")]
    """The first day, in UTC."""
    to: date | str
    """The last day, in UTC."""
    type: CallType | str
    """`placed` or `received`."""
    disposition: CallDisposition | str | None = None
    """How the calls ended. Without it, the API returns only answered calls: pass `all` for all of them."""
    from_search: str | None = None
    """The phone number that called, or a part of it."""
    to_search: str | None = None
    """The phone number that was called, or a part of it."""
    sip_trunk: str | None = None
    """The login of a SIP trunk; the API ignores it for inbound calls."""
    uuid: str | None = None
    """The id of one call."""
    page: int | None = None
    """Export only this page; not sent unless given."""
    per_page: int | None = None
    """Rows of the page; not sent unless given."""


@frozen(kw_only=True)
class TranscriptionTerms(Body):
    """Words and phrases to look for in a transcription.

    Raises:
        InputError: A field has the wrong type.
    """

    must: Sequence[str] | UnsetType = UNSET
    """All of these occur."""
    match: Sequence[str] | UnsetType = UNSET
    """At least one of these occurs."""
    exclude: Sequence[str] | UnsetType = UNSET
    """None of these occurs."""


@frozen(kw_only=True)
class TranscriptionFilter(Body):
    """What must be said in a call.

    Raises:
        InputError: A field has the wrong type.
    """

    agent: TranscriptionTerms | Mapping[str, object] | UnsetType = UNSET
    """What the agent says."""
    client: TranscriptionTerms | Mapping[str, object] | UnsetType = UNSET
    """What the client says."""
    any: TranscriptionTerms | Mapping[str, object] | UnsetType = UNSET
    """What either of them says."""


@frozen(kw_only=True)
class CDRSearch(PageBody):
    """Which call detail records to search for.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    from_: Annotated[date | str, override(rename="from")]
    """The first day, in UTC."""
    to: date | str
    """The last day, in UTC."""
    type: CallType | str
    """`placed` or `received`."""
    disposition: CallDisposition | str | UnsetType = UNSET
    """How the calls ended. Without it, the API returns only answered calls: pass `all` for all of them."""
    from_search: str | UnsetType = UNSET
    """The phone number that called, or a part of it."""
    to_search: str | UnsetType = UNSET
    """The phone number that was called, or a part of it."""
    sip_trunk: str | UnsetType = UNSET
    """The login of a SIP trunk; the API ignores it for inbound calls."""
    uuid: str | UnsetType = UNSET
    """The id of one call."""
    min_duration: int | UnsetType = UNSET
    """The shortest call, in seconds."""
    transcription: TranscriptionFilter | Mapping[str, object] | UnsetType = UNSET
    """What must be said in the call."""


@frozen(kw_only=True)
class CDRRetranscription(Body):
    """How to transcribe the recording of a call.

    Raises:
        InputError: A field has the wrong type.
    """

    language: TranscriptionLanguage | str | UnsetType | None = UNSET
    """The language of the call; None: the API detects it."""
    webhook_url: str | UnsetType = UNSET
    """The http or https URL to which the end of the transcription is posted."""


@frozen(kw_only=True)
class TranscriptTurn(Model):
    """What one speaker says without a break."""

    type: str | None = None
    """The phone number of the speaker; some answers name it `phone_number`. `speaker` is whichever is there."""
    phone_number: str | None = None
    """The phone number of the speaker, as some answers name it."""
    s: int | None = None
    """When the turn begins, in milliseconds since the call was answered."""
    e: int | None = None
    """When the turn ends, in milliseconds since the call was answered."""
    text: str | None = field(default=None, repr=False)
    """What is said; repr does not show it."""
    sentiment: Sentiment | None = None

    @property
    def speaker(self) -> str | None:
        """The phone number of the speaker, whichever name the answer gives it."""
        return self.phone_number or self.type


@frozen(kw_only=True)
class CDRTranscription(Model):
    """The transcription of a call."""

    transcript: dict[str, str] | None = field(default=None, repr=False)
    """What each speaker says in the whole call, by phone number; repr does not show it."""
    turns: list[TranscriptTurn] | None = None
    uuid: str = field(default=None)
    """The transcription's id."""
    language: TranscriptionLanguage | None = None
    duration: int = field(default=None)
    """The duration of the call in seconds."""
    charge: Decimal = field(default=None)
    """The price of the transcription in USD."""
    status: TranscriptionStatus = field(default=None)
    transcription_date: datetime = field(default=None)
    """When the call was transcribed."""
    call_date: datetime = field(default=None)
    """When the call began."""
    call_uuid: str = field(default=None)
    """The call's id."""
    call_score: Decimal | None = None
    """The sentiment of the call: up to 3.0 is negative, from 4.0 on positive."""
    call_summary: str | None = field(default=None, repr=False)
    """The call in one or two sentences; repr does not show it."""
