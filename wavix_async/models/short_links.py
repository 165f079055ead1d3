"""Short links and their clicks: the requests and answers of `/v1/short-links`."""

from datetime import date, datetime
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, PageQuery
from wavix_async.models._checks import check_url, set_phones
from wavix_async.models.common import Page
from wavix_async.types import UNSET, UnsetType

__all__ = ["ShortLink", "ShortLinkCreate", "ShortLinkMetricsItem", "ShortLinkMetricsList", "ShortLinkMetricsPage"]


@frozen(kw_only=True)
class ShortLink(Model):
    """A short link."""

    short_link: str = field(default=None)
    """Its URL. The last part is the `link_hash` of its metrics."""


@frozen(kw_only=True)
class ShortLinkMetricsItem(Model):
    """One click on a short link."""

    latitude: float | None = None
    """Degrees north of the place, which the API derives from the IP address."""
    longitude: float | None = None
    """Degrees east of the place."""
    operating_system: str | None = None
    browser: str | None = None
    language: str | None = None
    phone: str | None = None
    """The phone number that the link was made for."""
    utm_campaign: str | None = None
    """The campaign that the link was made for."""
    created_at: datetime = field(default=None)
    """When the link was opened."""
    link_hash: str = field(default=None)
    """The last part of the short link."""
    user_id: int = field(default=None)
    """The account's id."""


@frozen(kw_only=True)
class ShortLinkMetricsPage(Page[ShortLinkMetricsItem]):
    """One page of clicks."""

    items: Annotated[list[ShortLinkMetricsItem], override(rename="metrics")] = field(default=None)


@frozen(kw_only=True)
class ShortLinkCreate(Body):
    """A short link to make.

    Raises:
        InputError: A field has the wrong type, or a URL is not https.
    """

    link: str = field(repr=False)
    """The https URL that the short link leads to. It may hold a token, so repr does not show it."""
    expiration_time: datetime | str | UnsetType = UNSET
    """When the short link ends. Default: never."""
    fallback_url: str | UnsetType = field(default=UNSET, repr=False)
    """The https URL that it leads to after its end; repr does not show it."""
    phone: str | UnsetType = UNSET
    """The phone number that will get the link, for the metrics."""
    utm_campaign: str | UnsetType = UNSET
    """The name of a campaign, for the metrics."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "phone", plus=False)
        for name in ("link", "fallback_url"):
            check_url(self, name, "https")


@frozen(kw_only=True)
class ShortLinkMetricsList(PageQuery):
    """Which clicks to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    from_: Annotated[date | str, override(rename="from")]
    """The first day, in UTC."""
    to: date | str
    """The last day, in UTC."""
    phone: str | None = None
    """The phone number that the links were made for."""
    utm_campaign: str | None = None
    """The campaign that the links were made for."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        set_phones(self, "phone", plus=False)
