"""Events: what Wavix posts to your URLs. `wavix_async.webhooks` receives them.

Wavix gives an event neither an id nor a signature. `key` is the same for all copies of an event, and differs for two
events, as far as the content of an event can tell.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, TypeAlias

from attrs import field, frozen
from cattrs.gen import override

from wavix_async._codec import html_table
from wavix_async.models._base import Model
from wavix_async.models._keys import BODY, body_hash, event_key
from wavix_async.models.calls import Call
from wavix_async.models.cdrs import CallDisposition, TranscriptionStatus
from wavix_async.models.common import Direction
from wavix_async.models.messages import FINAL, MessageBody, MessageDeliveryStatus, MessageType
from wavix_async.models.ten_dlc.statuses import TenDLCBrandStatus, TenDLCCampaignStatus, TenDLCNumberStatus

__all__ = [
    "BrandStatusChanged",
    "CallEvent",
    "CallTranscriptionCompleted",
    "CampaignStatusChanged",
    "DeliveryReport",
    "FileTranscriptionCompleted",
    "InboundMessage",
    "NumberStatusChanged",
    "PostCall",
    "UnknownEvent",
]

CallEvent: TypeAlias = Call
"""An event of a call: the call as it is after the event."""


@frozen(kw_only=True)
class DeliveryReport(Model):
    """The delivery status of a message has changed: first to `sent`, then to a final one. The first may be missing."""

    message_id: str = field(default=None)
    """The message's id, as in the answer to `messages.send`."""
    message_type: MessageType = field(default=None)
    from_: Annotated[str, override(rename="from")] = field(default=None)
    """The sender ID."""
    to: str = field(default=None)
    """The recipient's phone number."""
    tag: str | None = None
    """The tag given when the message was sent."""
    status: MessageDeliveryStatus = field(default=None)
    segments_count: int = field(default=None)
    """SMS segments; 1 for an MMS."""
    sent: datetime | None = None
    """When the API accepted the message; a time without a zone is read as UTC."""
    delivered: datetime | None = None
    """When the final status came."""
    error: str | None = None
    """Why the message was not delivered."""
    charge: Decimal | None = None
    """The price in USD."""
    carrier_fees: Decimal | None = None
    """The carrier's fees in USD."""
    late: bool = field(default=False, metadata={"wire": False})
    """Whether a report of a later status came before this one: `sent` after `delivered`. `Webhooks` sets it."""

    @property
    def is_final(self) -> bool:
        """Whether no other status follows: delivered, undelivered, expired, rejected or dlr_expired."""
        return self.status in FINAL

    @property
    def key(self) -> str:
        """The same for all copies of this event: the message's id and its status."""
        return event_key("dlr", self, "message_id", "status")


@frozen(kw_only=True)
class InboundMessage(Model):
    """An SMS or MMS has arrived at a number of the account."""

    message_id: str = field(default=None)
    from_: Annotated[str, override(rename="from")] = field(default=None)
    """The phone number or the name that sent it."""
    to: str = field(default=None)
    """The number of the account that received it."""
    message_body: MessageBody = field(default=None)
    received_at: datetime = field(default=None)

    @property
    def key(self) -> str:
        """The same for all copies of this event: the message's id."""
        return event_key("message", self, "message_id")


@frozen(kw_only=True)
class PostCall(Model):
    """A call is over: what became of it, and what it cost."""

    uuid: str = field(default=None)
    """The call's id."""
    direction: Direction = field(default=None)
    from_: Annotated[str | None, override(rename="from")] = None
    to: str | None = None
    destination: str | None = None
    """Outbound: the country and the network. Inbound: the trunk, the SIP URI or the number that the call went to."""
    date: datetime = field(default=None)
    """When the call began."""
    duration: int = field(default=None)
    """Seconds."""
    disposition: CallDisposition = field(default=None)
    charge: Decimal = field(default=None)
    """The price in USD."""
    per_minute: Decimal = field(default=None)
    """The price of a minute in USD."""

    @property
    def key(self) -> str:
        """The same for all copies of this event: the call's id."""
        return event_key("post_call", self, "uuid")


@frozen(kw_only=True)
class NumberStatusChanged(Model):
    """A phone number was registered to a 10DLC campaign, or refused."""

    brand_id: str = field(default=None)
    campaign_id: str = field(default=None)
    number: str = field(default=None)
    status: TenDLCNumberStatus = field(default=None)

    @property
    def key(self) -> str:
        """The same for all copies of this event: all its fields. A status may come back later, with the same key."""
        return event_key("number", self, "brand_id", "campaign_id", "number", "status")


@frozen(kw_only=True)
class CampaignStatusChanged(Model):
    """The status of a 10DLC campaign has changed."""

    brand_id: str = field(default=None)
    campaign_id: str = field(default=None)
    status: TenDLCCampaignStatus = field(default=None)

    @property
    def key(self) -> str:
        """The same for all copies of this event: all its fields. A status may come back later, with the same key."""
        return event_key("campaign", self, "brand_id", "campaign_id", "status")


@frozen(kw_only=True)
class BrandStatusChanged(Model):
    """The verification status of a 10DLC brand has changed."""

    brand_id: str = field(default=None)
    status: TenDLCBrandStatus = field(default=None)

    @property
    def key(self) -> str:
        """The same for all copies of this event: all its fields. A status may come back later, with the same key."""
        return event_key("brand", self, "brand_id", "status")


@frozen(kw_only=True)
class FileTranscriptionCompleted(Model):
    """The transcription of an audio file is done, or has failed."""

    request_id: str = field(default=None)
    """The id that `speech_analytics.upload` returned."""
    status: TranscriptionStatus = field(default=None)
    error: str | None = None
    """Why it failed."""

    @property
    def key(self) -> str:
        """The same for all copies of this event: the request's id and the status. Another transcription has it, too."""
        return event_key("file_transcription", self, "request_id", "status")


@frozen(kw_only=True)
class CallTranscriptionCompleted(Model):
    """The transcription of a call is done, or has failed."""

    uuid: str = field(default=None)
    """The call's id."""
    status: TranscriptionStatus = field(default=None)

    @property
    def key(self) -> str:
        """The same for all copies of this event: the call's id and the status. Another transcription has it, too."""
        return event_key("call_transcription", self, "uuid", "status")


@frozen(kw_only=True)
class UnknownEvent(Model):
    """An event of no known kind; the keys of its body are in `extra`, and all of it is in `raw`."""

    raw: object = field(default=None, metadata={"wire": False}, repr=False)
    """The parsed JSON, as received; JSON that is nested too deep is kept as text."""

    @property
    def key(self) -> str:
        """The same for all copies of this event: a hash of its body."""
        return f"unknown{BODY}{body_hash(dict(self.extra) if self.raw is None else self.raw)}"

    def __repr__(self) -> str:
        # The values may hold a text or a code.
        return f"UnknownEvent(keys={[str(name)[:50] for name in list(self.extra)[:20]]!r})"

    def _repr_html_(self) -> str:
        return html_table((), (), repr(self))
