"""Phone numbers: the requests and answers of `/v1/numbers`."""

import functools
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

from attrs import field, fields, frozen

from wavix_async._codec.compare import shows
from wavix_async.errors import InputError
from wavix_async.models._base import Body, Model, OpenIntEnum, OpenStrEnum, PageQuery
from wavix_async.models._checks import check_url
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
    """The review status of an uploaded document; only a rejected document can be replaced."""

    APPROVED = "approved"
    PENDING = "pending"
    REJECTED = "rejected"


class DocumentTypeName(OpenStrEnum):
    """The kind of a document that activates a number."""

    ID = "id"
    ADDRESS = "address"
    LOCALADDRESS = "localaddress"


class InboundCallTransport(OpenIntEnum):
    """The kind of address to which an inbound call is routed."""

    SIP_URI = 1
    PSTN = 4
    SIP_TRUNK = 5


@frozen(kw_only=True)
class InboundCallDestination(Model):
    """A destination of a number's inbound calls in an answer of the API (to set one, use `NumberDestination`)."""

    id: int = field(default=None)
    """The destination's id."""
    destination: str = field(default=None)
    """A SIP URI (`[did]` means the called number), a phone number, or the login of a SIP trunk."""
    priority: int = field(default=None)
    """The destination with the lowest number is tried first."""
    transport: InboundCallTransport = field(default=None)
    """1 SIP URI, 4 phone number, 5 SIP trunk."""
    trunk_id: int | None = None
    """The SIP trunk's id if `transport` is SIP_TRUNK."""
    srtp: bool | None = None
    """Whether the media is encrypted."""
    trunk_label: str | None = None
    """The SIP trunk's label."""


@frozen(kw_only=True)
class NumberDocument(Model):
    """A document uploaded for a number."""

    id: int = field(default=None)
    """The document's id."""
    allow_replace: bool = field(default=None)
    """Whether another file can replace it: only if it was rejected."""
    did_number: str = field(default=None)
    """The phone number for which it was uploaded."""
    doc_content_type: str = field(default=None)
    """The MIME type that the platform detected."""
    doc_file_name: str = field(default=None)
    """The name of the uploaded file."""
    doc_type_id: int | None = None
    """The kind of document: 1 (identity), 2 (address) or 3 (business registration); in older answers."""
    doc_type: DocumentTypeName | None = None
    """The kind of document by name; in newer answers."""
    status: DocumentStatus = field(default=None)
    """The result of the review."""
    url: str = field(default=None, repr=False)
    """A link to the file. Treat it as a secret: the API has put keys into such links."""


@frozen(kw_only=True)
class DocumentType(Model):
    """A kind of document that numbers of a page may need."""

    id: int = field(default=None)
    """The id of the kind."""
    name: DocumentTypeName = field(default=None)
    """The name in `Number.require_docs`."""
    title: str = field(default=None)
    """The name to show to people."""


@frozen(kw_only=True)
class Number(Model):
    """A phone number of the account."""

    HINTS: ClassVar[Mapping[str, str]] = {
        "destinations": "an answer has the list `destination`; a change (`NumberUpdate`) has `destinations`",
    }

    id: int = field(default=None)
    """The record's id, for `get`, `update` and `bulk_update`."""
    number: str = field(default=None)
    """The phone number itself: digits without a plus sign."""
    activation_fee: Decimal = field(default=None)
    """One-time fee in USD."""
    monthly_fee: Decimal = field(default=None)
    """Monthly fee in USD."""
    per_min: Decimal = field(default=None)
    """Price of an inbound minute in USD."""
    city: str = field(default=None)
    """City or rate center."""
    state: str | None = None
    """None outside the US."""
    country: str = field(default=None)
    """The country of the number, by name."""
    country_short_name: str = field(default=None)
    """Two-letter ISO 3166 code."""
    destination: list[InboundCallDestination] = field(default=None)
    """Where inbound calls go (`NumberUpdate.destinations` sets it). The API applies a change asynchronously."""
    channels: int = field(default=None)
    """How many inbound calls the number takes at once."""
    require_docs: list[str] = field(default=None)
    """Kinds of documents that activate the number, by name (in older answers: by id)."""
    documents: list[NumberDocument] = field(default=None)
    """The documents uploaded for the number."""
    domestic_cli: bool | None = None
    """Whether local calls may show the number as caller ID."""
    free_min: int | None = None
    """Free inbound minutes."""
    unlimited: bool | None = None
    """Whether inbound minutes are unlimited."""
    label: str | None = None
    """Set in the portal; this API cannot change it."""
    status: NumberStatus = field(default=None)
    """Whether the number can receive and place calls."""
    seconds: str = field(default=None)
    """Duration of this month's inbound calls in seconds, as a string (as the API sends it)."""
    added: datetime = field(default=None)
    """When the number was bought; a time without a zone is read as UTC."""
    paid_until: date = field(default=None)
    """The date until which the number is paid."""
    sms_enabled: bool = field(default=None)
    """Whether inbound SMS is on."""
    sms_relay_url: str | None = None
    """The URL to which inbound messages are posted; None: the account's default. The API applies a change
    asynchronously."""
    cnam: bool | None = None
    """Whether CNAM (the name of the caller) is on."""
    call_recording_enabled: bool = field(default=None)
    """Whether calls are recorded."""
    transcription_enabled: bool = field(default=None)
    """Whether calls are transcribed."""
    transcription_threshold: int = field(default=None)
    """Calls shorter than this many seconds are not transcribed."""
    call_status_url: str | None = None
    """The URL to which call events are posted."""


@frozen(kw_only=True)
class NumberPage(Page[Number]):
    """One page of numbers."""

    items: list[Number] = field(default=None)
    """The numbers of this page."""
    doc_types: list[DocumentType] = field(default=None)
    """The kinds of documents that the numbers of this page refer to."""


@frozen(kw_only=True)
class NumberBatch(Model):
    """The answer to a batch update."""

    items: list[Number] = field(default=None)
    """The numbers as they are after the change."""


@frozen(kw_only=True)
class NumberDestination(Body):
    """A destination for inbound calls.

    Raises:
        InputError: A field has the wrong type, or `transport` is SIP_TRUNK and `trunk_id` is missing.
    """

    destination: str
    """A SIP URI (`[did]` means the called number), a phone number, or the login of a SIP trunk."""
    priority: int
    """The destination with the lowest number is tried first."""
    transport: InboundCallTransport | int
    """1 SIP URI, 4 phone number, 5 SIP trunk."""
    trunk_id: int | UnsetType | None = UNSET
    """The SIP trunk's id; only with transport 5."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.transport == InboundCallTransport.SIP_TRUNK and not self.trunk_id:
            raise InputError(
                "NumberDestination.trunk_id is missing: transport 5 (SIP_TRUNK) routes to a trunk; pass the trunk's id."
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
    """The exact label."""
    label_present: bool | None = None
    """True: only numbers with a label; False: only those without. With this filter the API ignores `label`."""
    city_id: int | None = None
    """The id of the city or rate center."""


@frozen(kw_only=True)
class NumberUpdate(Body):
    """What to change on a phone number; a field left out keeps its value, None clears it.

    NaN and NA, which pandas puts into empty cells, leave a field out, too.

    Attributes:
        APPLIED_LATE: The fields that the API applies some time after its answer.

    Raises:
        InputError: A field has the wrong type, or a URL does not begin with `http://` or `https://`, or has a blank, a
            line break or an invisible character in it.
    """

    LEFT_OUT: ClassVar[str] = "; leave it out to keep its value"
    EMPTY_IS_LEFT_OUT: ClassVar[bool] = True
    APPLIED_LATE: ClassVar[frozenset[str]] = frozenset({"destinations", "sms_relay_url"})
    HINTS: ClassVar[Mapping[str, str]] = {
        "destination": "a change has the list `destinations`; an answer has `destination`",
        "label": "the API cannot change a label; set it in the portal",
    }

    sms_enabled: bool | UnsetType = UNSET
    """Whether inbound SMS is on; the API rejects this (422) for numbers outside the US and Canada."""
    destinations: Sequence[NumberDestination | Mapping[str, object]] | UnsetType = UNSET
    """Replaces the whole list: a destination that is not in it is deleted. Applied asynchronously."""
    sms_relay_url: str | UnsetType | None = UNSET
    """The URL to which inbound messages are posted; None: the account's default. Applied asynchronously."""
    call_recording_enabled: bool | UnsetType = UNSET
    """Whether calls are recorded."""
    transcription_enabled: bool | UnsetType = UNSET
    """Whether calls are transcribed."""
    transcription_threshold: int | UnsetType = UNSET
    """Calls shorter than this many seconds are not transcribed."""
    call_status_url: str | UnsetType | None = UNSET
    """The URL to which call events are posted; None: no events are posted."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        # The API takes an empty text for no URL.
        if self.sms_relay_url != "":
            check_url(self, "sms_relay_url")
        if self.call_status_url != "":
            check_url(self, "call_status_url")

    def differs_from(self, number: Number) -> tuple[str, ...]:
        """Return the names of the fields in which a number differs from this update.

        Args:
            number: The number as the API returned it. The API applies `destinations` and `sms_relay_url`
                asynchronously: the answer to the change itself may still have the old values.

        Returns:
            Names of fields of this class; empty if the number matches the update. The order of destinations does not
            matter.
        """
        names = _names(NumberUpdate)
        # A list costs half as much as a generator, and a batch compares every number.
        differing = [name for name in names if (v := getattr(self, name)) is not UNSET and not _has(number, name, v)]
        return tuple(differing)


@functools.cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _has(number: Number, name: str, wanted: Any) -> bool:
    if name == "destinations":
        return isinstance(number.destination, list) and _routes(number.destination) == _routes(wanted)
    return shows(getattr(number, name), wanted)


def _routes(destinations: list[Any]) -> list[tuple[str, ...]]:
    """Return the settings of destinations that a request can set, as text, since an answer may hold any value."""
    names = ("destination", "priority", "transport")
    return sorted(
        (*(str(getattr(each, name, None)) for name in names), str(getattr(each, "trunk_id", None) or None))
        for each in destinations
    )
