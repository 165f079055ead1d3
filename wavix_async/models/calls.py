"""Calls: the requests, answers and events of `/v1/calls`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final, cast

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model, OpenStrEnum
from wavix_async.models._checks import check_url, set_phones
from wavix_async.models._keys import event_key
from wavix_async.models.common import Direction
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "Call",
    "CallAnswer",
    "CallAudioPlay",
    "CallCreate",
    "CallDtmfCollect",
    "CallEventType",
    "CallStream",
    "CallStreamCreate",
    "CallSubEvent",
    "CallUpdate",
    "CallWebhook",
    "CallWebhookCreate",
    "CallWebhookType",
    "CollectPrompt",
    "CollectSay",
    "OnCallEventPayload",
    "StreamChannel",
    "StreamType",
    "TTSLanguage",
    "TTSVoice",
]


class CallEventType(OpenStrEnum):
    """The latest event of a call, which is also its state."""

    CALL_SETUP = "call_setup"
    RINGING = "ringing"
    EARLY_MEDIA = "early_media"
    ANSWERED = "answered"
    COMPLETED = "completed"
    BUSY = "busy"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    FAILED = "failed"
    TRANSFER = "transfer"
    ON_CALL_EVENT = "on_call_event"
    """Something happened during the call: see `Call.event_payload`."""


class CallSubEvent(OpenStrEnum):
    """What an event during a call is about: audio that is played, or digits that are collected."""

    AUDIO = "audio"
    COLLECT = "collect"


class CallWebhookType(OpenStrEnum):
    """The events of a webhook: those during calls, or one after each call."""

    ON_CALL = "on-call"
    POST_CALL = "post-call"


class StreamType(OpenStrEnum):
    """Whether a stream only sends the audio of a call, or also plays what it receives."""

    ONEWAY = "oneway"
    TWOWAY = "twoway"


class StreamChannel(OpenStrEnum):
    """The audio that a stream sends: what comes in to Wavix, what goes out, or both."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    BOTH = "both"


class TTSLanguage(OpenStrEnum):
    """The language of a spoken prompt: Russian, English, Spanish or German, in the API's own codes."""

    RUSSIAN = "ru"
    ENGLISH = "en"
    SPANISH = "sp"
    GERMAN = "ge"


class TTSVoice(OpenStrEnum):
    """The voice of a spoken prompt: eight English voices, then three Spanish, three German and two Russian ones."""

    IVY = "Ivy"
    JOANNA = "Joanna"
    KENDRA = "Kendra"
    KIMBERLY = "Kimberly"
    SALLI = "Salli"
    JOEY = "Joey"
    JUSTIN = "Justin"
    MATTHEW = "Matthew"
    CONCHITA = "Conchita"
    LUCIA = "Lucia"
    ENRIQUE = "Enrique"
    MARLENE = "Marlene"
    VICKI = "Vicki"
    HANS = "Hans"
    TATYANA = "Tatyana"
    MAXIM = "Maxim"


# --- answers and events ---


@frozen(kw_only=True)
class OnCallEventPayload(Model):
    """What happened during a call: audio was played, or digits were collected."""

    type: CallSubEvent = field(default=None)
    payload: dict[str, object] | None = field(default=None, repr=False)
    """The details as received; `status`, `digits` and `playback_id` read them. repr does not show them, because digits
    may be a PIN."""

    @property
    def status(self) -> str | None:
        """`started`, `completed` or `failed`; None: the event does not say."""
        return self._text("status")

    @property
    def digits(self) -> str | None:
        """The digits that were collected; None: none yet, or the event is about audio."""
        return self._text("digits")

    @property
    def playback_id(self) -> str | None:
        """The id of the playback; None: the event is about digits."""
        return self._text("playback_id")

    def _text(self, name: str) -> str | None:
        value = self.payload.get(name) if isinstance(self.payload, dict) else None
        return value if isinstance(value, str) else None


# Tuples, because the API may send an event type that cannot be hashed.
_ANSWERED: Final = (
    CallEventType.ANSWERED,
    CallEventType.ON_CALL_EVENT,
    CallEventType.TRANSFER,
    CallEventType.COMPLETED,
)
_OVER: Final = (
    CallEventType.COMPLETED,
    CallEventType.BUSY,
    CallEventType.CANCELLED,
    CallEventType.REJECTED,
    CallEventType.FAILED,
)


@frozen(kw_only=True)
class Call(Model):
    """A call, or one event of it: an on-call event has the same fields."""

    id: str | None = None
    """The call's id. Some answers have only `uuid`: use `call_id`, which reads both."""
    uuid: str | None = None
    """The older name of `id`."""
    direction: Direction | None = None
    event_type: CallEventType = field(default=None)
    """The latest event of the call, which is also its state."""
    event_time: datetime = field(default=None)
    """When the latest event happened."""
    event_payload: OnCallEventPayload | None = None
    """What happened during the call, if `event_type` is `on_call_event`."""
    from_: Annotated[str, override(rename="from")] = field(default=None)
    """The caller's phone number."""
    to: str = field(default=None)
    """The phone number that is called."""
    call_started: datetime = field(default=None)
    """When the call began."""
    call_answered: datetime | None = None
    """When the call was answered; None: it was not, or not yet."""
    call_completed: datetime | None = None
    """When the call ended; None: it is still active."""
    machine_detected: bool | None = None
    """Whether an answering machine took the call; only with `voicemail_detection`."""
    tag: str | None = None
    """Your own tag."""

    @property
    def call_id(self) -> str:
        """The call's id, for the other methods of `calls`: `id`, or `uuid` if the answer has only that."""
        # An answer that has neither is not as documented; then this is None, as any missing field.
        return cast("str", self.id if self.id is not None else self.uuid)

    @property
    def key(self) -> str:
        """The same for all copies of an event: its id, its type, its time, and a hash of its payload."""
        name = "id" if self.id is not None else "uuid"
        return event_key("on_call", self, name, "event_type", "event_time", hashed="event_payload")

    @property
    def is_answered(self) -> bool:
        """Whether the call was answered, also if it is over by now."""
        return bool(self.call_answered) or self.event_type in _ANSWERED

    @property
    def is_over(self) -> bool:
        """Whether the call has ended: completed, busy, cancelled, rejected or failed."""
        return bool(self.call_completed) or self.event_type in _OVER


@frozen(kw_only=True)
class CallStream(Model):
    """A stream that was started."""

    stream_id: str = field(default=None)
    """The stream's id, for `calls.streams.stop`."""
    success: bool | None = None


@frozen(kw_only=True)
class CallWebhook(Model):
    """A URL to which the events of all calls are posted."""

    event_type: CallWebhookType = field(default=None)
    url: str = field(default=None, repr=False)
    """The URL. Its path may hold a secret, so repr does not show it."""
    success: bool | None = None
    """Only in the answer to `calls.webhooks.create`."""


# --- requests ---


@frozen(kw_only=True)
class CallWebhookCreate(Body):
    """A URL for the events of all calls.

    Raises:
        InputError: A field has the wrong type, or the URL is not an http or https URL.
    """

    url: str = field(repr=False)
    """The http or https URL to which the events are posted. Its path may hold a secret, so repr does not show it."""
    event_type: CallWebhookType | str
    """`on-call` for the events during calls, `post-call` for one event after each call."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        check_url(self, "url")


@frozen(kw_only=True)
class CallCreate(Body):
    """A call to start.

    Raises:
        InputError: A field has the wrong type, or `callback_url` is not an http or https URL.
    """

    from_: Annotated[str, override(rename="from")]
    """The caller ID: an active or verified phone number of the account, in any usual spelling."""
    to: str
    """The phone number to call, with country code, in any usual spelling: `+1 (512) 555-1234`."""
    callback_url: str | UnsetType = field(default=UNSET, repr=False)
    """The http or https URL to which the events of the call are posted. The API's description requires it; the vendor's
    newer code does not."""
    recording: bool | UnsetType = UNSET
    """Whether to record the call; default: no."""
    voicemail_detection: bool | UnsetType = UNSET
    """Whether to find out if an answering machine takes the call; default: no."""
    tag: str | UnsetType = UNSET
    """Your own tag. With a tag of its own for each call, `calls.find_started` can tell that a call was started."""
    timeout: int | UnsetType = UNSET
    """Seconds to ring before the call counts as not answered."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "from_", "to")
        check_url(self, "callback_url")


@frozen(kw_only=True)
class CallUpdate(Body):
    """A change of an active call.

    Raises:
        InputError: The tag is not a string.
    """

    tag: str
    """The new tag."""


@frozen(kw_only=True)
class CallAnswer(Body):
    """How to answer a call.

    Raises:
        InputError: A field has the wrong type, `stream_url` is not a ws or wss URL, or there is a stream's type or
            channel without its URL.
    """

    call_recording: bool | UnsetType = UNSET
    """Whether to record the call; default: no."""
    call_transcription: bool | UnsetType = UNSET
    """Whether to transcribe the call when it is over; default: no."""
    stream_url: str | UnsetType = field(default=UNSET, repr=False)
    """The ws or wss URL to which the audio is streamed. It may hold a secret, so repr does not show it."""
    stream_type: StreamType | str | UnsetType = UNSET
    """`oneway` or `twoway`."""
    stream_channel: StreamChannel | str | UnsetType = UNSET
    """`inbound`, `outbound` or `both`; a two-way stream always sends `inbound`."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        check_url(self, "stream_url", "ws", "wss")
        if self.stream_url is UNSET and not (self.stream_type is UNSET and self.stream_channel is UNSET):
            raise InputError("CallAnswer.stream_url is missing: stream_type and stream_channel describe that stream.")


@frozen(kw_only=True)
class CallStreamCreate(Body):
    """A stream to start.

    Raises:
        InputError: A field has the wrong type, or `stream_url` is not a ws or wss URL.
    """

    stream_url: str = field(repr=False)
    """The ws or wss URL to which the audio is streamed. It may hold a secret, so repr does not show it."""
    stream_type: StreamType | str
    """`oneway` or `twoway`."""
    stream_channel: StreamChannel | str
    """`inbound`, `outbound` or `both`; a two-way stream always sends `inbound`."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        check_url(self, "stream_url", "ws", "wss")


@frozen(kw_only=True)
class CallAudioPlay(Body):
    """Audio to play.

    Raises:
        InputError: `audio_file` is not an http or https URL.
    """

    audio_file: str
    """The http or https URL of the audio file."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        check_url(self, "audio_file")


@frozen(kw_only=True)
class CollectSay(Body):
    """A text to speak before digits are collected.

    Raises:
        InputError: A field has the wrong type.
    """

    text: str = field(repr=False)
    """The text. It may be a one-time code, so repr does not show it."""
    voice: TTSVoice | str
    """The name of the voice, such as `Joanna`."""
    language: TTSLanguage | str | UnsetType = UNSET
    """`en`, `ru`, `sp` (Spanish) or `ge` (German)."""


@frozen(kw_only=True)
class CollectPrompt(Body):
    """What the callee hears before digits are collected: a file or a spoken text.

    Raises:
        InputError: There is neither a file nor a text, or both; or `play` is not an http or https URL.
    """

    play: str | UnsetType = UNSET
    """The http or https URL of the audio file."""
    say: CollectSay | Mapping[str, object] | UnsetType = UNSET
    """The text to speak, and the voice: `CollectSay(text=..., voice=...)`, or a mapping with the same keys."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if (self.play is UNSET) == (self.say is UNSET):
            raise InputError("CollectPrompt takes either play (the URL of a file) or say (a text): set one of them.")
        check_url(self, "play")


@frozen(kw_only=True)
class CallDtmfCollect(Body):
    """How to collect digits.

    Raises:
        InputError: A field has the wrong type; `max_digits` is not from 1 to 20, or `timeout` not from 1 to 60.
    """

    max_digits: int | UnsetType = UNSET
    """The most digits to collect, 1 to 20."""
    timeout: int | UnsetType = UNSET
    """Seconds to wait for digits, 1 to 60."""
    termination_character: str | UnsetType = UNSET
    """The key that ends the input, such as `#`."""
    max_attempts: int | UnsetType = UNSET
    """How often to ask."""
    prompt: CollectPrompt | Mapping[str, object] | UnsetType = UNSET
    """What the callee hears first: `CollectPrompt(...)`, or a mapping with the same keys."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        for name, most in (("max_digits", 20), ("timeout", 60)):
            value = getattr(self, name)
            if value is not UNSET and not 1 <= value <= most:
                raise InputError(f"CallDtmfCollect.{name} must be from 1 to {most}, got {value!r}.")
