"""Sub-organizations (sub-accounts): the requests and answers of `/v1/sub-organizations`."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, OpenStrEnum, PageQuery
from wavix_async.models._checks import check_url
from wavix_async.models.billing import TransactionType
from wavix_async.models.common import Page
from wavix_async.types import UNSET, UnsetType

__all__ = [
    "DefaultDestinations",
    "DefaultDestinationsUpdate",
    "SubOrganization",
    "SubOrganizationCreate",
    "SubOrganizationList",
    "SubOrganizationPage",
    "SubOrganizationStatus",
    "SubOrganizationTransactionList",
    "SubOrganizationUpdate",
]


class SubOrganizationStatus(OpenStrEnum):
    """Whether a sub-organization can be used."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    """It is suspended: its key does not work."""


@frozen(kw_only=True)
class DefaultDestinations(Model):
    """Where the events of a sub-organization go (to set it, use `DefaultDestinationsUpdate`).

    A URL may hold a secret, so repr shows none.
    """

    sms_endpoint: str | None = field(default=None, repr=False)
    """The URL to which inbound messages are posted; an empty text: none."""
    dlr_endpoint: str | None = field(default=None, repr=False)
    """The URL to which delivery reports are posted; an empty text: none."""


@frozen(kw_only=True)
class SubOrganization(Model):
    """A sub-organization of the account, with a key of its own."""

    id: int = field(default=None)
    created_at: datetime = field(default=None)
    name: str = field(default=None)
    api_key: str | None = field(default=None, repr=False)
    """Its API key. It is a credential, so repr does not show it."""
    master_organization: int = field(default=None)
    """The id of the account that it belongs to."""
    status: SubOrganizationStatus = field(default=None)
    default_destinations: DefaultDestinations | None = None


@frozen(kw_only=True)
class SubOrganizationPage(Page[SubOrganization]):
    """One page of sub-organizations."""

    items: Annotated[list[SubOrganization], override(rename="sub_organizations")] = field(default=None)


@frozen(kw_only=True)
class SubOrganizationList(PageQuery):
    """Which sub-organizations to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    status: SubOrganizationStatus | str | None = None


@frozen(kw_only=True)
class SubOrganizationTransactionList(PageQuery):
    """Which transactions of a sub-organization to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    from_date: date | str
    """The first day, in UTC."""
    to_date: date | str
    """The last day, in UTC."""
    type: TransactionType | int | Sequence[TransactionType | int] | None = None
    """One type, or several."""


@frozen(kw_only=True)
class DefaultDestinationsUpdate(Body):
    """Where the events of a sub-organization go. A URL may hold a secret, so repr shows none.

    Raises:
        InputError: A field has the wrong type, or is not an http or https URL.
    """

    sms_endpoint: str | UnsetType = field(default=UNSET, repr=False)
    """The http or https URL to which inbound messages are posted; an empty text: none."""
    dlr_endpoint: str | UnsetType = field(default=UNSET, repr=False)
    """The http or https URL to which delivery reports are posted; an empty text: none."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        for name in ("sms_endpoint", "dlr_endpoint"):
            if getattr(self, name):
                check_url(self, name)


@frozen(kw_only=True)
class SubOrganizationUpdate(Body):
    """The settings of a sub-organization.

    Raises:
        InputError: A field has the wrong type.
    """

    name: str | UnsetType = UNSET
    """At most 255 characters."""
    status: SubOrganizationStatus | str | UnsetType = UNSET
    """`disabled` suspends it."""
    default_destinations: DefaultDestinationsUpdate | Mapping[str, object] | UnsetType = UNSET
    """Where its events go: `{"sms_endpoint": "https://...", "dlr_endpoint": "https://..."}`."""


@frozen(kw_only=True)
class SubOrganizationCreate(Body):
    """A sub-organization to create.

    Raises:
        InputError: A field has the wrong type.
    """

    name: str
    """At most 255 characters."""
    default_destinations: DefaultDestinationsUpdate | Mapping[str, object] | UnsetType = UNSET
    """Where its events go: `{"sms_endpoint": "https://...", "dlr_endpoint": "https://..."}`."""
