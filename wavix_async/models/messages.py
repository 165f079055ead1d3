"""Messages, sender IDs and opt-outs: the requests and answers of `/v3/messages`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Final

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model, OpenStrEnum, PageQuery, Query
from wavix_async.models._checks import set_phones
from wavix_async.models.common import Direction, Page
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "Message",
    "MessageBody",
    "MessageContent",
    "MessageCreate",
    "MessageDeliveryStatus",
    "MessageExport",
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
    """The type of a message: text only (SMS) or with media (MMS)."""

    SMS = "sms"
    MMS = "mms"


class MessageDeliveryStatus(OpenStrEnum):
    """The delivery status of a message."""

    ACCEPTED = "accepted"
    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    DLR_EXPIRED = "dlr_expired"


FINAL: Final = (
    MessageDeliveryStatus.DELIVERED,
    MessageDeliveryStatus.UNDELIVERED,
    MessageDeliveryStatus.EXPIRED,
    MessageDeliveryStatus.REJECTED,
    MessageDeliveryStatus.DLR_EXPIRED,
)
"""The statuses that no other follows."""


class SenderIDType(OpenStrEnum):
    """The type of a sender ID: a phone number, a name or a short code."""

    NUMERIC = "numeric"
    ALPHANUMERIC = "alphanumeric"
    SHORTCODE = "shortcode"


class SenderIDUseCase(OpenStrEnum):
    """The purpose of the messages of a sender ID."""

    TRANSACTIONAL = "transactional"
    PROMO = "promo"
    AUTHENTICATION = "authentication"


class MonthlyVolume(OpenStrEnum):
    """How many messages a sender ID is expected to send per month."""

    UP_TO_1000 = "1-1000"
    UP_TO_20000 = "1001-20000"
    UP_TO_50000 = "20001-50000"
    UP_TO_100000 = "50001-100000"
    MORE_THAN_100000 = "More than 100000"


@frozen(kw_only=True)
class MessageBody(Model):
    """The content of a message in an answer of the API (to send one, use `MessageContent`)."""

    text: str = field(default=None, repr=False)
    """The text. It may be a one-time code, so repr does not show it."""
    media: list[str] | None = None
    """Links to the attached files; None or an empty list for an SMS."""


@frozen(kw_only=True)
class Message(Model):
    """An SMS or MMS message."""

    message_id: str = field(default=None)
    """The message's id, for `messages.get`."""
    message_type: MessageType = field(default=None)
    from_: Annotated[str, override(rename="from")] = field(default=None)
    """The sender ID of an outbound message, or the phone number that sent an inbound one."""
    to: str = field(default=None)
    """The recipient's phone number."""
    direction: Direction | None = None
    """Older answers to a sent message do not contain it."""
    mcc: str | None = None
    """Mobile country code of the recipient's network."""
    mnc: str | None = None
    """Mobile network code of the recipient's network."""
    message_body: MessageBody = field(default=None)
    tag: str | None = None
    """The tag given when the message was sent."""
    status: MessageDeliveryStatus = field(default=None)
    segments: int = field(default=None)
    """SMS segments that were charged; 1 for an MMS."""
    charge: Decimal = field(default=None)
    """The price in USD."""
    carrier_fees: Decimal | None = None
    """The carrier's fees in USD; not included in any other field."""
    submitted_at: datetime = field(default=None)
    """When the API accepted the message; a time without a zone is read as UTC."""
    sent_at: datetime | None = None
    """When the message went to the carrier."""
    delivered_at: datetime | None = None
    """When the carrier reported delivery, or when an inbound message was forwarded."""
    error_message: str | None = None
    """Why the message was not delivered."""

    @property
    def is_final(self) -> bool:
        """Whether no other status follows: delivered, undelivered, expired, rejected or dlr_expired."""
        return self.status in FINAL


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
    """The sender ID of outbound messages, or the phone number that sent inbound ones."""
    to: str | None = None
    """The recipient's phone number, in any usual spelling; it is sent without a plus, as the API documents it."""
    status: MessageDeliveryStatus | str | None = None
    tag: str | None = None
    """The exact tag of outbound messages."""
    message_type: MessageType | str | None = None

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "from_", "to", plus=False)


@frozen(kw_only=True)
class MessageExport(Query):
    """Which messages to export.

    Raises:
        InputError: A field has the wrong type.
    """

    type: Direction | str
    """`inbound` or `outbound`."""
    sent_after: datetime | date | str | None = None
    """The first moment, to the second, or the first day; without a zone, in UTC."""
    sent_before: datetime | date | str | None = None
    """The last moment, to the second, or the last day; without a zone, in UTC."""
    from_: Annotated[str | None, override(rename="from")] = None
    """The sender ID of outbound messages, or the phone number that sent inbound ones."""
    to: str | None = None
    """The recipient's phone number, in any usual spelling; it is sent without a plus, as the API documents it."""
    status: MessageDeliveryStatus | str | None = None
    tag: str | None = None
    """The exact tag of outbound messages."""
    message_type: MessageType | str | None = None

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "from_", "to", plus=False)
        for name, moment in (("sent_after", time.min), ("sent_before", time.max)):
            value = getattr(self, name)
            if type(value) is date:
                object.__setattr__(self, name, datetime.combine(value, moment, UTC))


@frozen(kw_only=True)
class MessageContent(Body):
    """The content of a message to send.

    Raises:
        InputError: A field has the wrong type.
    """

    text: str = field(repr=False)
    """The text. It may be a one-time code, so repr does not show it."""
    media: Annotated[Sequence[str] | None, override(omit_if_default=False)] = None
    """Links to files to attach, at most five; they make the message an MMS (US and Canada only)."""


@frozen(kw_only=True)
class MessageCreate(Body):
    """A message to send: its content is either `text`, or `message_body`.

        MessageCreate(from_="Acme", to="+1 (512) 555-0143", text="Your order has left.")

    Raises:
        InputError: A field has the wrong type, or there is not exactly one of `text` and `message_body`.
    """

    from_: Annotated[str, override(rename="from")]
    """The sender ID: a phone number of the account, or a registered name."""
    to: str
    """The recipient's phone number, with country code, in any usual spelling: `+1 (512) 555-0143`."""
    message_body: MessageContent | Mapping[str, object] | UnsetType = field(default=UNSET, metadata={"needed": True})
    """The content: `MessageContent(text=...)`, or a mapping with the same keys."""
    text: str | UnsetType = field(default=UNSET, repr=False, metadata={"wire": False})
    """The text, in place of `message_body`, which then holds it."""
    media: Sequence[str] | UnsetType | None = field(default=UNSET, metadata={"wire": False})
    """Beside `text`: links to files to attach, at most five; they make the message an MMS (US and Canada only)."""
    callback_url: str | UnsetType = UNSET
    """The http or https URL to which delivery reports are posted."""
    validity: int | UnsetType = UNSET
    """Seconds after which delivery attempts end."""
    tag: str | UnsetType = UNSET
    """Your own tag, to find the message by."""
    smart_encoding: bool | UnsetType = UNSET
    """Replace characters that need Unicode, so that the text takes fewer segments."""
    idempotency_key: str | UnsetType = field(default=UNSET, metadata={"wire": False})
    """Your own key of this message, sent as a header. The API's documentation contradicts itself on such keys, so a
    message with a key is never sent twice either."""

    def __attrs_post_init__(self) -> None:
        body: object = self.message_body
        if type(body) not in {UnsetType, MessageContent, dict} and not isinstance(body, Mapping):
            # It may be a text with a one-time code, so no error shows it.
            raise InputError(
                f"MessageCreate.message_body must be a MessageContent or a mapping, got {type(body).__name__}: to send "
                "a plain text, pass text='...'."
            )
        super().__attrs_post_init__()
        set_phones(self, "from_", "to")
        if (self.text is UNSET) is (self.message_body is UNSET):
            given = "neither" if self.text is UNSET else "both"
            raise InputError(
                f"MessageCreate.message_body: a message has either text or message_body, got {given}: pass "
                "text='...', or message_body={'text': '...', 'media': [...]}."
            )
        if self.text is not UNSET:
            content = MessageContent(text=self.text, media=None if self.media is UNSET else self.media)
            for name, value in (("message_body", content), ("text", UNSET), ("media", UNSET)):
                object.__setattr__(self, name, value)
        elif self.media is not UNSET:
            raise InputError("MessageCreate.media goes with text: with message_body, put the links into its media.")


@frozen(kw_only=True)
class SenderID(Model):
    """A sender ID of the account."""

    id: str = field(default=None)
    """The record's id, for `sender_ids.get` and `sender_ids.delete`."""
    sender_id: str = field(default=None)
    """The name or phone number that recipients see."""
    type: SenderIDType = field(default=None)
    allowlisted_in: list[str] | None = None
    """Countries in which it may be used, as two-letter ISO codes."""
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
    """Countries in which to use it, as two-letter ISO codes."""
    usecase: SenderIDUseCase | str
    monthly_volume: MonthlyVolume | str | UnsetType = UNSET
    samples: Sequence[str] | UnsetType = UNSET
    """Sample messages."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.type == SenderIDType.NUMERIC:
            set_phones(self, "sender_id")


@frozen(kw_only=True)
class OptOutItem(Model):
    """A phone number that receives no messages."""

    phone_number: str | None = None
    sender_id: str | None = None
    """The sender ID that the number opted out of; None: all sender IDs."""
    campaign_id: str | None = None
    """The 10DLC campaign that the number opted out of."""
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

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "sender_id", plus=False)


@frozen(kw_only=True)
class OptOut(Body):
    """A phone number that must not receive messages any more.

    Raises:
        InputError: A field has the wrong type.
    """

    number: str
    """The phone number, with country code, in any usual spelling."""
    sender_id: str | UnsetType = UNSET
    """The sender ID that the number opts out of; omitted: all sender IDs."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "number", "sender_id", plus=False)
