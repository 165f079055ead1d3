"""Phone numbers to buy, and the cart: the requests and answers of `/v1/buy`."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from attrs import field, frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, PageQuery, Query
from wavix_async.models._checks import phone
from wavix_async.models.common import Page
from wavix_async.models.numbers import DocumentType, DocumentTypeName

__all__ = [
    "AvailableNumber",
    "AvailableNumberList",
    "AvailableNumberPage",
    "Cart",
    "CartNumbers",
    "City",
    "Country",
    "PlaceList",
    "Region",
]


@frozen(kw_only=True)
class Country(Model):
    """A country with phone numbers to buy."""

    id: int = field(default=None)
    name: str = field(default=None)
    has_provinces_or_states: bool = field(default=None)
    """Whether its cities are listed by region: `buy.countries.regions.cities.list`, not `buy.countries.cities.list`."""


@frozen(kw_only=True)
class Region(Model):
    """A state or province."""

    id: int = field(default=None)
    name: str = field(default=None)


@frozen(kw_only=True)
class City(Model):
    """A city with phone numbers to buy."""

    id: int = field(default=None)
    name: str = field(default=None)
    area_code: int = field(default=None)
    """The rate center."""


@frozen(kw_only=True)
class AvailableNumber(Model):
    """A phone number to buy."""

    id: int = field(default=None)
    """The phone number itself, as an integer."""
    number: str = field(default=None)
    """The phone number: digits without a plus sign."""
    activation_fee: Decimal = field(default=None)
    """One-time fee in USD."""
    monthly_fee: Decimal = field(default=None)
    """Monthly fee in USD."""
    per_min: Decimal = field(default=None)
    """Price of an inbound minute in USD."""
    channels: int | str = field(default=None)
    """The most inbound calls at once; the API writes it as a text or as a number."""
    city: str = field(default=None)
    country: str = field(default=None)
    country_short_name: str = field(default=None)
    """Two-letter ISO code of the country."""
    cnam: bool | None = None
    """Whether CNAM can be activated."""
    domestic_cli: bool | None = None
    """Whether the number can be the caller ID of local calls."""
    free_min: int = field(default=None)
    """Free inbound minutes."""
    require_docs: list[DocumentTypeName | int] = field(default=None)
    """Documents that the number needs: names, or ids in older answers."""
    sms_enabled: bool = field(default=None)
    """Whether the number can receive SMS and MMS messages."""
    sms_price: Decimal = field(default=None)
    """Price of an inbound SMS segment in USD."""


@frozen(kw_only=True)
class AvailableNumberPage(Page[AvailableNumber]):
    """One page of phone numbers to buy."""

    items: Annotated[list[AvailableNumber], override(rename="dids")] = field(default=None)


@frozen(kw_only=True)
class Cart(Model):
    """The cart: phone numbers that can be bought with `buy.cart.checkout`."""

    dids: list[AvailableNumber] = field(default=None)
    """The numbers."""
    doc_types: list[DocumentType] = field(default=None)
    """The kinds of documents that numbers may need."""


@frozen(kw_only=True)
class PlaceList(Query):
    """Which countries, regions or cities to list.

    Raises:
        InputError: A field has the wrong type.
    """

    text_enabled_only: bool | None = None
    """Whether to list only places with numbers that can receive messages. Default: all places."""


@frozen(kw_only=True)
class AvailableNumberList(PageQuery):
    """Which numbers of a city to list.

    Raises:
        InputError: A field has the wrong type, or is out of range.
    """

    text_enabled_only: bool | None = None
    """Whether to list only numbers that can receive messages. Default: all numbers."""


@frozen(kw_only=True)
class CartNumbers(Body):
    """Phone numbers to add to the cart, to remove from it, or to buy.

    Raises:
        InputError: A field has the wrong type.
    """

    ids: Sequence[str]
    """Phone numbers, with country code, in any usual spelling: `AvailableNumber.number`."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        object.__setattr__(self, "ids", type(self.ids)(phone(each, plus=False) for each in self.ids))  # type: ignore[call-arg]  # pyright: ignore
