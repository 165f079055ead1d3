"""The account's profile and settings: the requests and answers of `/v1/profile`."""

from collections.abc import Mapping
from decimal import Decimal

from attrs import field, frozen

from wavix_async.models._base import Body, Model, OpenStrEnum
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "AccountLimits",
    "CompanyInfo",
    "CompanyInfoUpdate",
    "Industry",
    "Profile",
    "ProfileConfig",
    "ProfileCountry",
    "ProfileDestination",
    "ProfileUpdate",
]


class Industry(OpenStrEnum):
    """The industry of a company."""

    TELECOMMUNICATIONS = "telecommunications"
    INFORMATION_TECHNOLOGY = "information technology and services"
    FINANCE = "fintech and finance"
    HEALTHCARE = "healthcare and pharmaceuticals"
    RETAIL = "ecommerce and retail"
    EDUCATION = "education and research"
    DELIVERY = "pickup and delivery"
    TRANSPORTATION = "transportation and logistics"
    MEDIA = "media and entertainment"
    TRAVEL = "travel and hospitality"
    NON_PROFIT = "non-profit and charity organizations"
    MANUFACTURING = "manufacturing and industrial goods"
    OTHER = "other"


@frozen(kw_only=True)
class ProfileDestination(Model):
    """Where events of one kind go. The URL may hold a secret, so repr does not show it."""

    transport: str | None = None
    """The kind: `sms` for inbound messages, for example."""
    value: str | None = field(default=None, repr=False)
    """The URL."""


@frozen(kw_only=True)
class ProfileCountry(Model):
    """The country of a company."""

    country_name: str | None = None
    country_id: int | None = None


@frozen(kw_only=True)
class CompanyInfo(Model):
    """The company that owns the account (to set it, use `CompanyInfoUpdate`)."""

    name: str | None = None
    industry: Industry | None = None
    address: str | None = None
    """`ProfileUpdate` has it as `billing_address`."""
    attn_contact_name: str | None = None
    """The name of the person that receives bills."""
    vat_number: str | None = None
    country: ProfileCountry | None = None
    """`ProfileUpdate` has it as `country_code`."""


@frozen(kw_only=True)
class Profile(Model):
    """The account's profile. The API may leave any field out."""

    id: int | None = None
    """The account's id."""
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    phone: str | None = None
    additional_info: str | None = None
    contact_email: str | None = None
    """A second address, for billing; `ProfileUpdate` has it as `contacts`."""
    timezone: str | None = None
    """Such as `Europe/Madrid`; `ProfileUpdate` has it as `time_zone`."""
    job_title: str | None = None
    default_short_link_endpoint: str | None = field(default=None, repr=False)
    """The default endpoint of short links, a URL. It may hold a secret, so repr does not show it."""
    default_destinations: list[ProfileDestination] | None = None
    """Where events go that no number or message has a URL for; `ProfileUpdate` has them as `sms_relay_url` and
    `dlr_relay_url`."""
    company_info: CompanyInfo | None = None


@frozen(kw_only=True)
class AccountLimits(Model):
    """The limits of the account."""

    max_call_duration: int = field(default=None)
    """The longest outbound call in seconds."""
    max_sip_channels: int = field(default=None)
    """Outbound calls at once."""
    max_call_rate: Decimal = field(default=None)
    """The highest price of an outbound minute, in US cents."""


@frozen(kw_only=True)
class ProfileConfig(Model):
    """The balance and the limits of the account."""

    balance: Decimal = field(default=None)
    """USD."""
    global_limits: AccountLimits = field(default=None)


@frozen(kw_only=True)
class CompanyInfoUpdate(Body):
    """A change of the company that owns the account; a field left out keeps its value.

    Raises:
        InputError: A field has the wrong type.
    """

    name: str | UnsetType = UNSET
    industry: Industry | str | UnsetType = UNSET
    billing_address: str | UnsetType = UNSET
    """`CompanyInfo` has it as `address`."""
    attn_contact_name: str | UnsetType = UNSET
    """The name of the person that receives bills."""
    vat_number: str | UnsetType = UNSET
    country_code: str | UnsetType = UNSET
    """`CompanyInfo` has it as `country`."""


@frozen(kw_only=True)
class ProfileUpdate(Body):
    """A change of the account's profile; a field left out keeps its value. Some names differ from those of `Profile`.

    Raises:
        InputError: A field has the wrong type.
    """

    first_name: str | UnsetType = UNSET
    last_name: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET
    additional_info: str | UnsetType = UNSET
    contacts: str | UnsetType = UNSET
    """The email address for billing; `Profile` has it as `contact_email`."""
    time_zone: str | UnsetType = UNSET
    """Such as `Europe/Madrid`; `Profile` has it as `timezone`."""
    job_title: str | UnsetType = UNSET
    default_short_link_endpoint: str | UnsetType = field(default=UNSET, repr=False)
    """The default endpoint of short links, a URL. It may hold a secret, so repr does not show it."""
    sms_relay_url: str | UnsetType = field(default=UNSET, repr=False)
    """The URL to which inbound messages are posted, unless their number has one. It may hold a secret, so repr does not
    show it."""
    dlr_relay_url: str | UnsetType = field(default=UNSET, repr=False)
    """The URL to which delivery reports are posted, unless their message has one. It may hold a secret, so repr does
    not show it."""
    company_info: CompanyInfoUpdate | Mapping[str, object] | UnsetType = UNSET
    """The company: `{"industry": "other"}`."""
