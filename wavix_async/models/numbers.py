"""Phone numbers: what `/v1/numbers` answers, and what it takes."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar, Final

from attrs import field, fields, frozen

from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model, OpenIntEnum, OpenStrEnum, PageQuery
from wavix_async.models.common import Page
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "DocumentStatus",
    "DocumentType",
    "DocumentTypeName",
    "InboundCallDestination",
    "InboundCallTransport",
    "Number",
    "NumberBatch",
    "NumberDestination",
    "NumberDocument",
    "NumberList",
    "NumberPage",
    "NumberStatus",
    "NumberUpdate",
]


class NumberStatus(OpenStrEnum):
    """Whether a number can receive and place calls."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class DocumentStatus(OpenStrEnum):
    """Where the review of an uploaded document stands; only a rejected one can be replaced."""

    APPROVED = "approved"
    PENDING = "pending"
    REJECTED = "rejected"


class DocumentTypeName(OpenStrEnum):
    """The kinds of documents that activate a number."""

    ID = "id"
    ADDRESS = "address"
    LOCALADDRESS = "localaddress"


class InboundCallTransport(OpenIntEnum):
    """What kind of address an inbound call is routed to."""

    SIP_URI = 1
    PSTN = 4
    SIP_TRUNK = 5


@frozen(kw_only=True)
class InboundCallDestination(Model):
    """Where a number's inbound calls go, as the API answers it (`NumberDestination` is what it takes)."""

    id: int = field(default=None)
    destination: str = field(default=None)
    """A SIP URI (`[did]` stands for the number called), a phone number, or the login of a SIP trunk."""
    priority: int = field(default=None)
    """The lower, the earlier it is tried."""
    transport: InboundCallTransport = field(default=None)
    trunk_id: int | None = None
    """The SIP trunk's id when `transport` is SIP_TRUNK."""
    srtp: bool | None = None
    """Whether the media is encrypted."""
    trunk_label: str | None = None


@frozen(kw_only=True)
class NumberDocument(Model):
    """A document uploaded for a number."""

    id: int = field(default=None)
    allow_replace: bool = field(default=None)
    did_number: str = field(default=None)
    """The phone number that it was uploaded for."""
    doc_content_type: str = field(default=None)
    """The MIME type that the platform found."""
    doc_file_name: str = field(default=None)
    doc_type_id: int | None = None
    """Its kind as 1 (identity), 2 (address) or 3 (business registration); older answers have it."""
    doc_type: DocumentTypeName | None = None
    """Its kind by name; newer answers have it."""
    status: DocumentStatus = field(default=None)
    url: str = field(default=None, repr=False)
    """A link to the file. Treat it as a secret: the API has put keys into such links."""


@frozen(kw_only=True)
class DocumentType(Model):
    """A kind of document that the numbers of a page may need."""

    id: int = field(default=None)
    name: DocumentTypeName = field(default=None)
    title: str = field(default=None)
    """Its name for people."""


@frozen(kw_only=True)
class Number(Model):
    """A phone number of the account."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "destinations": "an answer has `destination`, a list; a change (`NumberUpdate`) has `destinations`",
    }

    id: int = field(default=None)
    """The record's id: what `get`, `update` and `bulk_update` take."""
    number: str = field(default=None)
    """The phone number itself: digits, without a plus sign."""
    activation_fee: Decimal = field(default=None)
    """Paid once, in USD."""
    monthly_fee: Decimal = field(default=None)
    """In USD."""
    per_min: Decimal = field(default=None)
    """Price of an inbound minute, in USD."""
    city: str = field(default=None)
    """City or rate center."""
    state: str | None = None
    """None outside the US."""
    country: str = field(default=None)
    country_short_name: str = field(default=None)
    """ISO 3166 code of two letters."""
    destination: list[InboundCallDestination] = field(default=None)
    """Where inbound calls go (`NumberUpdate.destinations` sets it). Applied asynchronously after a change."""
    channels: int = field(default=None)
    """How many inbound calls it takes at once."""
    require_docs: list[str] = field(default=None)
    """Kinds of documents that activate it, by name (older answers: by id)."""
    documents: list[NumberDocument] = field(default=None)
    domestic_cli: bool | None = None
    """Whether it may be shown as caller id on local calls."""
    free_min: int | None = None
    """Free inbound minutes."""
    unlimited: bool | None = None
    label: str | None = None
    """Set in the portal; this API cannot change it."""
    status: NumberStatus = field(default=None)
    seconds: str = field(default=None)
    """Duration of this month's inbound calls in seconds, as the API writes it: a string."""
    added: datetime = field(default=None)
    """When it was bought; a time without a zone is taken as UTC."""
    paid_until: date = field(default=None)
    sms_enabled: bool = field(default=None)
    sms_relay_url: str | None = None
    """Where inbound messages are posted; None: to the account's default. Applied asynchronously after a change."""
    cnam: bool | None = None
    call_recording_enabled: bool = field(default=None)
    transcription_enabled: bool = field(default=None)
    transcription_threshold: int = field(default=None)
    """Calls shorter than this many seconds are not transcribed."""
    call_status_url: str | None = None
    """Where call events are posted."""


@frozen(kw_only=True)
class NumberPage(Page[Number]):
    """One page of numbers."""

    items: list[Number] = field(default=None)
    doc_types: list[DocumentType] = field(default=None)
    """The kinds of documents that the numbers of this page name."""


@frozen(kw_only=True)
class NumberBatch(Model):
    """What a batch update answers."""

    items: list[Number] = field(default=None)


@frozen(kw_only=True)
class NumberDestination(Body):
    """Where inbound calls shall go.

    Raises:
        InputError: A field has the wrong type, or `transport` is SIP_TRUNK and `trunk_id` is missing.
    """

    destination: str
    """A SIP URI (`[did]` stands for the number called), a phone number, or the login of a SIP trunk."""
    priority: int
    """The lower, the earlier it is tried."""
    transport: InboundCallTransport | int
    """1 SIP URI, 4 phone number, 5 SIP trunk."""
    trunk_id: int | UnsetType | None = UNSET
    """The SIP trunk's id; only with transport 5."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.transport == InboundCallTransport.SIP_TRUNK and not self.trunk_id:
            raise InputError(
                "NumberDestination.trunk_id is missing: transport 5 (SIP_TRUNK) routes to a trunk, pass its id."
            )


@frozen(kw_only=True)
class NumberList(PageQuery):
    """Which numbers to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    search: str | None = None
    """A part of the phone number."""
    label: str | None = None
    """The label, exactly."""
    label_present: bool | None = None
    """True: only numbers with a label; False: only those without. Makes the API ignore `label`."""
    city_id: int | None = None
    """The id of the city or rate center."""


@frozen(kw_only=True)
class NumberUpdate(Body):
    """What to change on a phone number; a field left out stays as it is, None clears it.

    Attributes:
        APPLIED_LATE: The fields that the API applies some time after it has answered.

    Raises:
        InputError: A field has the wrong type.
    """

    LEFT_OUT: ClassVar[str] = "; leave it out to keep it as it is"
    APPLIED_LATE: ClassVar[frozenset[str]] = frozenset({"destinations", "sms_relay_url"})
    HINTS: ClassVar[Mapping[str, str]] = {
        "destination": "a change has `destinations`, a list; an answer has `destination`",
        "label": "the API cannot change a label; set it in the portal",
    }

    sms_enabled: bool | UnsetType = UNSET
    """Inbound SMS; the API refuses it (422) on numbers outside the US and Canada."""
    destinations: Sequence[NumberDestination | Mapping[str, object]] | UnsetType = UNSET
    """Replaces the whole list: a destination that is not in it is deleted. Applied asynchronously."""
    sms_relay_url: str | UnsetType | None = UNSET
    """Where inbound messages are posted; None: to the account's default. Applied asynchronously."""
    call_recording_enabled: bool | UnsetType = UNSET
    transcription_enabled: bool | UnsetType = UNSET
    transcription_threshold: int | UnsetType = UNSET
    """Shorter calls are not transcribed, in seconds."""
    call_status_url: str | UnsetType | None = UNSET
    """Where call events are posted; None: nowhere."""

    def differs_from(self, number: Number) -> tuple[str, ...]:
        """Name the fields that a number does not have as this update wants them.

        Args:
            number: The number as the API answered it. Destinations and `sms_relay_url` are applied asynchronously: an
                answer to the change itself may still have the old ones.

        Returns:
            Names of fields of this class; empty where there is nothing left to change. A list of destinations is equal
            to another of the same destinations in any order.
        """
        names = [field.name for field in fields(NumberUpdate) if getattr(self, field.name) is not UNSET]
        return tuple(name for name in names if not _has(number, name, getattr(self, name)))


def _has(number: Number, name: str, wanted: Any) -> bool:
    if name == "destinations":
        return isinstance(number.destination, list) and _routes(number.destination) == _routes(wanted)
    value = getattr(number, name)
    if name in _URLS:
        # The API answers "" for a URL that was cleared years ago.
        return (value or None) == (wanted or None)
    return type(value) is type(wanted) and bool(value == wanted)


_URLS: Final = frozenset({"sms_relay_url", "call_status_url"})


def _routes(destinations: list[Any]) -> list[tuple[str, ...]]:
    """Return what a request can say of destinations; as text, since an answer may hold anything."""
    names = ("destination", "priority", "transport")
    return sorted(
        (*(str(getattr(each, name, None)) for name in names), str(getattr(each, "trunk_id", None) or None))
        for each in destinations
    )
