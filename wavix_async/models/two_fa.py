"""Two-factor authentication: the requests and answers of `/v1/two-fa`."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, OpenStrEnum, Query
from wavix_async.models._checks import set_phones

__all__ = [
    "PhoneLookupDetails",
    "TwoFactorChannel",
    "TwoFactorCheck",
    "TwoFactorEventName",
    "TwoFactorEventStatus",
    "TwoFactorResend",
    "TwoFactorSession",
    "TwoFactorSessionList",
    "TwoFactorStatus",
    "TwoFactorVerification",
    "TwoFactorVerificationCheck",
    "TwoFactorVerificationCreate",
    "TwoFactorVerificationEvent",
    "TwoFactorVerificationResend",
]


class TwoFactorChannel(OpenStrEnum):
    """How a code gets to a person."""

    SMS = "sms"
    VOICE = "voice"


class TwoFactorStatus(OpenStrEnum):
    """The state of a verification."""

    PENDING = "pending"
    VERIFIED = "verified"
    EXPIRED = "expired"
    CANCELED = "canceled"
    FAILED = "failed"


class TwoFactorEventStatus(OpenStrEnum):
    """How a step of a verification went."""

    SUCCESS = "success"
    FAILED = "failed"
    PENDING = "pending"
    DELIVERED = "delivered"


class TwoFactorEventName(OpenStrEnum):
    """A step of a verification."""

    NUMBER_LOOKUP = "Number lookup"
    CODE_SENT_VIA_SMS = "Code sent via SMS"
    CODE_SENT_VIA_VOICE = "Code sent via voice"
    VERIFICATION = "Verification"
    """Someone has entered a code."""


@frozen(kw_only=True)
class PhoneLookupDetails(Model):
    """What the API has found out about the phone number of a verification."""

    number_type: str | None = None
    """The type, such as `mobile`."""
    country: str | None = None
    """Two-letter ISO code of the country."""
    current_carrier: str | None = None


@frozen(kw_only=True)
class TwoFactorVerification(Model):
    """A verification that has begun: the code is on its way."""

    success: bool = field(default=None)
    service_id: str = field(default=None)
    session_url: str | None = None
    session_id: str = field(default=None)
    """The id of the verification, for all other calls."""
    destination: str = field(default=None)
    """The phone number that gets the code."""
    created_at: datetime = field(default=None)
    number_lookup: PhoneLookupDetails | None = None
    """Only if the service validates numbers."""


@frozen(kw_only=True)
class TwoFactorSession(Model):
    """A verification in the list of its service."""

    created_at: datetime | None = None
    session_id: str | None = None
    phone_number: str | None = None
    destination_country: str | None = None
    """Two-letter ISO code of the country."""
    status: TwoFactorStatus | None = None
    charge: Decimal | None = None
    """The price of the verification so far, in USD."""
    service_id: str | None = None
    service_name: str | None = None


@frozen(kw_only=True)
class TwoFactorResend(Model):
    """A code that was sent again."""

    success: bool = field(default=None)
    channel: TwoFactorChannel = field(default=None)
    destination: str = field(default=None)
    """The phone number that gets the code."""
    created_at: datetime = field(default=None)


@frozen(kw_only=True)
class TwoFactorCheck(Model):
    """Whether a code was right."""

    is_valid: bool = field(default=None)


@frozen(kw_only=True)
class TwoFactorVerificationEvent(Model):
    """A step of a verification."""

    created_at: datetime = field(default=None)
    event: TwoFactorEventName = field(default=None)
    status: TwoFactorEventStatus = field(default=None)
    charge: Decimal = field(default=None)
    """The price of the step in USD."""
    error: str | None = None
    """Why it failed."""


@frozen(kw_only=True)
class TwoFactorVerificationCreate(Body):
    """A verification to begin.

    Raises:
        InputError: A field has the wrong type.
    """

    service_id: str
    """The id of the 2FA service, from the portal."""
    to: str
    """The person's phone number, with country code, in any usual spelling."""
    channel: TwoFactorChannel | str
    """How the code is sent: `sms` or `voice`."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "to", plus=False)


@frozen(kw_only=True)
class TwoFactorVerificationResend(Body):
    """How to send a new code.

    Raises:
        InputError: A field has the wrong type.
    """

    channel: TwoFactorChannel | str
    """How the code is sent: `sms` or `voice`."""


@frozen(kw_only=True)
class TwoFactorVerificationCheck(Body):
    """A code that a person has entered.

    Raises:
        InputError: A field has the wrong type.
    """

    code: str = field(repr=False)
    """The code; neither repr nor an error shows it."""


@frozen(kw_only=True)
class TwoFactorSessionList(Query):
    """Which verifications to list.

    Raises:
        InputError: A field has the wrong type.
    """

    from_: Annotated[date | str, override(rename="from")]
    """The first day, in UTC."""
    to: date | str
    """The last day, in UTC."""
