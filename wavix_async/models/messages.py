"""Messages, sender IDs and opt-outs: what `/v3/messages` answers, and what it takes."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, OpenStrEnum, PageQuery
from wavix_async.models.common import Direction, Page
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "Message",
    "MessageBody",
    "MessageContent",
    "MessageCreate",
    "MessageDeliveryStatus",
    "MessageList",
    "MessagePage",
    "MessageType",
    "MonthlyVolume",
    "OptOut",
    "OptOutItem",
    "OptOutList",
    "OptOutPage",
    "SenderID",
    "SenderIDCreate",
    "SenderIDType",
    "SenderIDUseCase",
]


class MessageType(OpenStrEnum):
    """Whether a message is text only."""

    SMS = "sms"
    MMS = "mms"


class MessageDeliveryStatus(OpenStrEnum):
    """How far a message has come."""

    ACCEPTED = "accepted"
    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    DLR_EXPIRED = "dlr_expired"


class SenderIDType(OpenStrEnum):
    """What a sender ID is made of."""

    NUMERIC = "numeric"
    ALPHANUMERIC = "alphanumeric"
    SHORTCODE = "shortcode"


class SenderIDUseCase(OpenStrEnum):
    """What the messages of a sender ID are for."""

    TRANSACTIONAL = "transactional"
    PROMO = "promo"
    AUTHENTICATION = "authentication"


class MonthlyVolume(OpenStrEnum):
    """How many messages a sender ID is expected to send in a month."""

    UP_TO_1000 = "1-1000"
    UP_TO_20000 = "1001-20000"
    UP_TO_50000 = "20001-50000"
    UP_TO_100000 = "50001-100000"
    MORE_THAN_100000 = "More than 100000"


@frozen(kw_only=True)
class MessageBody(Model):
    """The content of a message, as the API answers it (`MessageContent` is what it takes)."""

    text: str = field(default=None, repr=False)
    """The text. It may be a one-time code, so repr does not show it."""
    media: list[str] | None = None
    """Links to the attached files; None or empty for an SMS."""


@frozen(kw_only=True)
class Message(Model):
    """An SMS or MMS message."""

    message_id: str = field(default=None)
    """What `messages.get` takes."""
    message_type: MessageType = field(default=None)
    from_: Annotated[str, override(rename="from")] = field(default=None)
    """The sender ID of an outbound message, the phone number of an inbound one."""
    to: str = field(default=None)
    """The recipient's phone number."""
    direction: Direction | None = None
    """Older answers to a sent message do not have it."""
    mcc: str | None = None
    """Mobile country code of the recipient's network."""
    mnc: str | None = None
    """Mobile network code of the recipient's network."""
    message_body: MessageBody = field(default=None)
    tag: str | None = None
    """The tag given when it was sent."""
    status: MessageDeliveryStatus = field(default=None)
    segments: int = field(default=None)
    """SMS segments that were charged; 1 for an MMS."""
    charge: Decimal = field(default=None)
    """In USD."""
    carrier_fees: Decimal | None = None
    """In USD; part of no other field."""
    submitted_at: datetime = field(default=None)
    """When the API accepted it; a time without a zone is taken as UTC."""
    sent_at: datetime | None = None
    """When it went to the carrier."""
    delivered_at: datetime | None = None
    """When the carrier reported delivery, or an inbound message was passed on."""
    error_message: str | None = None
    """Why it was not delivered."""


@frozen(kw_only=True)
class MessagePage(Page[Message]):
    """One page of messages."""

    items: list[Message] = field(default=None)


@frozen(kw_only=True)
class MessageList(PageQuery):
    """Which messages to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    type: Direction | str
    """`inbound` or `outbound`."""
    sent_after: date | str | None = None
    """The first day, in UTC."""
    sent_before: date | str | None = None
    """The last day, in UTC."""
    from_: Annotated[str | None, override(rename="from")] = None
    """The sender ID of outbound messages, the phone number of inbound ones."""
    to: str | None = None
    """The recipient's phone number."""
    status: MessageDeliveryStatus | str | None = None
    tag: str | None = None
    """The tag of outbound messages, exactly."""
    message_type: MessageType | str | None = None


@frozen(kw_only=True)
class MessageContent(Body):
    """The content of a message to send.

    Raises:
        InputError: A field has the wrong type.
    """

    text: str = field(repr=False)
    """The text. It may be a one-time code, so repr does not show it."""
    media: Annotated[Sequence[str] | None, override(omit_if_default=False)] = None
    """Links to files to attach, at most five; with them it is an MMS (US and Canada only)."""


@frozen(kw_only=True)
class MessageCreate(Body):
    """A message to send.

    Raises:
        InputError: A field has the wrong type.
    """

    from_: Annotated[str, override(rename="from")]
    """The sender ID: a phone number of the account, or a registered name."""
    to: str
    """The recipient's phone number, with country code."""
    message_body: MessageContent | Mapping[str, object]
    """The content: `MessageContent(text=...)`, or a mapping with the same keys."""
    callback_url: str | UnsetType = UNSET
    """Where delivery reports are posted; http or https."""
    validity: int | UnsetType = UNSET
    """Seconds after which delivery is no longer tried."""
    tag: str | UnsetType = UNSET
    """A tag of your own, to find the message by."""
    smart_encoding: bool | UnsetType = UNSET
    """Replace characters that would need Unicode, so that the text takes fewer segments."""


@frozen(kw_only=True)
class SenderID(Model):
    """A sender ID of the account."""

    id: str = field(default=None)
    """The record's id: what `sender_ids.get` and `sender_ids.delete` take."""
    sender_id: str = field(default=None)
    """The name or phone number that recipients see."""
    type: SenderIDType = field(default=None)
    allowlisted_in: list[str] | None = None
    """Countries in which it may be used, by their ISO codes of two letters."""
    usecase: SenderIDUseCase | None = None
    samples: list[str] | None = None
    """Sample messages."""


@frozen(kw_only=True)
class SenderIDCreate(Body):
    """A sender ID to register.

    Raises:
        InputError: A field has the wrong type.
    """

    sender_id: str
    """The name, 3 to 11 letters and digits, or the phone number that recipients see."""
    type: SenderIDType | str
    countries: Sequence[str]
    """Where it shall be used: ISO codes of two letters."""
    usecase: SenderIDUseCase | str
    monthly_volume: MonthlyVolume | str | UnsetType = UNSET
    samples: Sequence[str] | UnsetType = UNSET
    """Sample messages."""


@frozen(kw_only=True)
class OptOutItem(Model):
    """A phone number that receives no messages."""

    phone_number: str | None = None
    sender_id: str | None = None
    """The sender ID that it opted out of; None: of all."""
    campaign_id: str | None = None
    """The 10DLC campaign that it opted out of."""
    created_at: datetime | None = None


@frozen(kw_only=True)
class OptOutPage(Page[OptOutItem]):
    """One page of opt-outs."""

    items: list[OptOutItem] = field(default=None)


@frozen(kw_only=True)
class OptOutList(PageQuery):
    """Which opt-outs to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    sender_id: str | None = None
    campaign_id: str | None = None
    created_after: date | str | None = None
    """The first day, in UTC."""
    created_before: date | str | None = None
    """The last day, in UTC."""


@frozen(kw_only=True)
class OptOut(Body):
    """A phone number to send no more messages to.

    Raises:
        InputError: A field has the wrong type.
    """

    number: str
    """The phone number, with country code."""
    sender_id: str | UnsetType = UNSET
    """The sender ID that it opts out of; left out: all."""
