"""Phone numbers to buy, and the cart: `/v1/buy`."""

import builtins
from collections.abc import Collection, Iterable
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Final

import attrs

from wavix_async._codec import Value
from wavix_async._http import BaseClient, Operation
from wavix_async.errors import APIError, InputError, OutcomeUnknownError, WavixError
from wavix_async.models.buy import (
    AvailableNumber,
    AvailableNumberList,
    AvailableNumberPage,
    Cart,
    CartNumbers,
    City,
    Country,
    PlaceList,
    Region,
)
from wavix_async.models.common import Success
from wavix_async.resources._base import Resource
from wavix_async.resources._ids import IntId
from wavix_async.resources._pagination import Paginator
from wavix_async.resources._unpack import unpack

__all__ = ["Buy", "BuyCart", "BuyCities", "BuyCountries", "BuyNumbers", "BuyRegionCities", "BuyRegions", "Purchase"]

COUNTRIES: Final = Operation("GET", "/v1/buy/countries", list[Country], scope="numbers:read", unwrap="countries")
REGIONS: Final = Operation(
    "GET", "/v1/buy/countries/{country_id}/regions", list[Region], scope="numbers:read", unwrap="regions"
)
CITIES: Final = Operation(
    "GET", "/v1/buy/countries/{country_id}/cities", list[City], scope="numbers:read", unwrap="cities"
)
REGION_CITIES: Final = Operation(
    "GET",
    "/v1/buy/countries/{country_id}/regions/{region_id}/cities",
    list[City],
    scope="numbers:read",
    unwrap="cities",
)
NUMBERS: Final = Operation(
    "GET", "/v1/buy/countries/{country_id}/cities/{city_id}/dids", AvailableNumberPage, scope="numbers:read"
)
# What is in the cart can be bought: an addition whose answer is lost is looked up, not repeated.
ADD: Final = Operation(
    "PUT",
    "/v1/buy/cart",
    list[AvailableNumber],
    scope="numbers:write",
    idempotent=False,
    batch_ids="ids",
    answer_id="number",
)
CART: Final = Operation("GET", "/v1/buy/cart", Cart, scope="numbers:read")
# A 404 may mean that only one of the numbers is not in the cart.
REMOVE: Final = Operation("DELETE", "/v1/buy/cart", Success, scope="numbers:write", not_found_is_success=False)
CHECKOUT: Final = Operation("POST", "/v1/buy/cart/checkout", Success, scope="numbers:write")

_COUNTRY: Final = IntId("country_id", "Country.id")
_LOOKS: Final = (0.0, 1.0, 3.0)
"""Seconds before each look for numbers that may have been bought: the list of numbers may be late."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Purchase(Value):
    """What `buy.purchase` has bought. Every number is in exactly one of `bought`, `refused` and `unknown`.

    Attributes:
        bought: Numbers that the account has bought.
        refused: Numbers that it has not bought; they are still in the cart.
        unknown: Numbers that it may have bought: look for them with `numbers.list(search=...)` before you try again.
        charged: What the numbers in `bought` cost, by the prices of the cart: activation and the first month, in USD.
        error: The answer of the checkout, unless it has bought all numbers.
    """

    bought: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    charged: Decimal = Decimal(0)
    error: WavixError | None = None

    @property
    def ok(self) -> bool:
        """Whether all numbers were bought."""
        return not self.refused and not self.unknown


class BuyRegionCities(Resource):
    """Cities of a region: `/v1/buy/countries/{country_id}/regions/{region_id}/cities`."""

    _ids = (_COUNTRY, IntId("region_id", "Region.id"))

    @unpack(PlaceList)
    async def list(self, country_id: int, region_id: int, query: PlaceList) -> builtins.list[City]:
        """List the cities of a region (GET /v1/buy/countries/{country_id}/regions/{region_id}/cities).

        There are no pages. Scope `numbers:read`; it only reads, so the client may repeat it.

        Args:
            country_id: The country's id (`Country.id`).
            region_id: The region's id (`Region.id`).

        Raises:
            NotFoundError: There is no such region.
        """
        return await self._call(REGION_CITIES, country_id, region_id, query=query)


class BuyRegions(Resource):
    """States and provinces: `/v1/buy/countries/{country_id}/regions`."""

    _ids = (_COUNTRY,)

    @cached_property
    def cities(self) -> BuyRegionCities:
        """Cities of a region."""
        return BuyRegionCities(self._client)

    @unpack(PlaceList)
    async def list(self, country_id: int, query: PlaceList) -> builtins.list[Region]:
        """List the regions of a country (GET /v1/buy/countries/{country_id}/regions).

        There are no pages. Scope `numbers:read`; it only reads, so the client may repeat it.

        Args:
            country_id: The id (`Country.id`) of a country with `has_provinces_or_states`.

        Raises:
            UnprocessableEntityError: The country has no regions: use `buy.countries.cities.list`.
            NotFoundError: There is no such country.
        """
        return await self._call(REGIONS, country_id, query=query)


class BuyNumbers(Resource):
    """Phone numbers of a city: `/v1/buy/countries/{country_id}/cities/{city_id}/dids`."""

    _ids = (_COUNTRY, IntId("city_id", "City.id"))

    @unpack(AvailableNumberList)
    def list(
        self, country_id: int, city_id: int, query: AvailableNumberList
    ) -> Paginator[AvailableNumberPage, AvailableNumber]:
        """List the numbers to buy in a city (GET /v1/buy/countries/{country_id}/cities/{city_id}/dids).

        `await` gives one page, `async for` all numbers. Scope `numbers:read`; it only reads, so the client may repeat
        it.

        Args:
            country_id: The country's id (`Country.id`).
            city_id: The city's id (`City.id`).

        Raises:
            NotFoundError: There is no such city.
        """
        return self._pages(NUMBERS, country_id, city_id, query=query)


class BuyCities(Resource):
    """Cities of countries without regions: `/v1/buy/countries/{country_id}/cities`."""

    _ids = (_COUNTRY,)

    @cached_property
    def dids(self) -> BuyNumbers:
        """Phone numbers of a city."""
        return BuyNumbers(self._client)

    @unpack(PlaceList)
    async def list(self, country_id: int, query: PlaceList) -> builtins.list[City]:
        """List the cities of a country without regions (GET /v1/buy/countries/{country_id}/cities).

        There are no pages. Scope `numbers:read`; it only reads, so the client may repeat it.

        Args:
            country_id: The country's id (`Country.id`).

        Raises:
            NotFoundError: There is no such country.
        """
        return await self._call(CITIES, country_id, query=query)


class BuyCountries(Resource):
    """Countries with numbers to buy: `/v1/buy/countries`."""

    @cached_property
    def regions(self) -> BuyRegions:
        """States and provinces."""
        return BuyRegions(self._client)

    @cached_property
    def cities(self) -> BuyCities:
        """Cities of countries without regions, and the numbers of any city."""
        return BuyCities(self._client)

    @unpack(PlaceList)
    async def list(self, query: PlaceList) -> builtins.list[Country]:
        """List the countries with numbers to buy (GET /v1/buy/countries); there are no pages.

        `Country.has_provinces_or_states` tells whether `regions.list` or `cities.list` comes next. Scope
        `numbers:read`; it only reads, so the client may repeat it.
        """
        return await self._call(COUNTRIES, query=query)


class BuyCart(Resource):
    """The cart: `/v1/buy/cart`."""

    async def get(self) -> Cart:
        """Read the cart (GET /v1/buy/cart). Scope `numbers:read`; it only reads, so the client may repeat it."""
        return await self._call(CART)

    @unpack(CartNumbers)
    async def add(self, numbers: CartNumbers) -> builtins.list[AvailableNumber]:
        """Add phone numbers to the cart (PUT /v1/buy/cart), and return the cart. It costs nothing yet.

        The client sends it once: after an unknown outcome, `get` shows what is in the cart. Scope `numbers:write`.

        Raises:
            InputError: `ids` is not a list of phone numbers.
            NotFoundError: A number cannot be bought (any more).
            OutcomeUnknownError: There is no answer, or it does not show the numbers.
        """
        return await self._call(ADD, body=numbers)

    @unpack(CartNumbers)
    async def remove(self, numbers: CartNumbers) -> Success:
        """Remove phone numbers from the cart (DELETE /v1/buy/cart). It is idempotent. Scope `numbers:write`.

        Raises:
            InputError: `ids` is not a list of phone numbers.
            NotFoundError: A number is not in the cart; after a lost answer, it may have been removed a moment ago.
        """
        return await self._call(REMOVE, body=numbers)

    @unpack(CartNumbers)
    async def checkout(self, numbers: CartNumbers) -> Success:
        """Buy phone numbers of the cart (POST /v1/buy/cart/checkout). The account pays at once, for good.

        The client sends it once. `buy.purchase` also adds the numbers, checks the price, and finds out what was bought.
        Scope `numbers:write`.

        Raises:
            InputError: `ids` is not a list of phone numbers.
            UnprocessableEntityError: Some numbers were not bought: `error_dids` names them. The others may have been.
            OutcomeUnknownError: There is no certain answer: look for the numbers with `numbers.list(search=...)`.
        """
        return await self._call(CHECKOUT, body=numbers)


class Buy(Resource):
    """Phone numbers to buy: `/v1/buy`."""

    @cached_property
    def countries(self) -> BuyCountries:
        """Countries, regions and cities with numbers to buy, and the numbers."""
        return BuyCountries(self._client)

    @cached_property
    def cart(self) -> BuyCart:
        """The cart."""
        return BuyCart(self._client)

    async def purchase(self, ids: Iterable[str], *, max_price: Decimal | int | str) -> Purchase:
        """Buy phone numbers: fill the cart, check the price, check out once, and find out what was bought.

            bought = await wavix.buy.purchase(["541139862174"], max_price="30")
            print(bought.bought, bought.refused, bought.charged)

        Nothing is sent twice: after a refusal or a lost answer, the client looks for each number in the account (GET
        /v1/numbers), and reports what it finds. A number that the account has already is not bought again.

        The calls are PUT /v1/buy/cart, GET /v1/buy/cart and POST /v1/buy/cart/checkout. Scopes `numbers:read` and
        `numbers:write`. It costs money, for good.

        Args:
            ids: The phone numbers (`AvailableNumber.number`), in any usual spelling; each counts once.
            max_price: The most USD to pay now: the activation fees and the first month's fees of all numbers together.
                If they cost more, nothing is bought.

        Returns:
            The purchase, also if only some of the numbers were bought.

        Raises:
            InputError: Nothing was bought: there are no numbers, `max_price` is not an amount, or the cart lacks a
                number. Or they cost more than `max_price`, or have no price: then they are not left in the cart.
            WavixError: Nothing was bought: a call before the checkout failed.
        """
        return await _purchase(self._client, ids, max_price)


# --- a purchase ---


async def _purchase(client: BaseClient, ids: Iterable[str], max_price: Decimal | int | str) -> Purchase:
    most = _price_of("max_price", max_price)
    if isinstance(ids, str):
        raise InputError(f"ids must be a list of phone numbers, got one text: pass [{ids!r}].")
    if not isinstance(ids, Iterable):
        raise InputError(f"ids must be a list of phone numbers, got {ids!r}.")
    numbers = tuple(dict.fromkeys(CartNumbers(ids=list(ids)).ids))
    if not numbers:
        raise InputError("ids must name at least one phone number.")
    buy = Buy(client)
    with suppress(OutcomeUnknownError):  # the cart tells
        await buy.cart.add(ids=numbers)
    cart = {_number_of(each): each for each in (await buy.cart.get()).dids or ()}
    if missing := [each for each in numbers if each not in cart]:
        raise InputError(f"Nothing was bought: the cart lacks {', '.join(missing[:20])}. Try again, or choose others.")
    prices = {each: _fees(cart[each]) for each in numbers}
    total = sum((price or Decimal(0) for price in prices.values()), Decimal(0))
    if None in prices.values() or total > most:
        await _take_back(buy, numbers)
        unpriced = [number for number, price in prices.items() if price is None]
        raise InputError(
            f"Nothing was bought: the cart says no price of {', '.join(unpriced[:20])}."
            if unpriced
            else f"Nothing was bought: the numbers cost {total} USD, and max_price is {most}."
        )
    try:
        await buy.cart.checkout(ids=numbers)
    except WavixError as error:
        if error.outcome == "not_sent":
            raise
        return await _settle(client, numbers, prices, error)
    return Purchase(bought=numbers, charged=total)


async def _settle(
    client: BaseClient, numbers: Collection[str], prices: dict[str, Decimal | None], error: WavixError
) -> Purchase:
    """Find out what an order without a clear answer has bought: the account has it, or the cart still has it."""
    bought: list[str] = []
    left = list(numbers)
    refused = set[str]()
    for pause in _LOOKS:
        await client.clock.sleep(pause)
        try:
            for each in tuple(left):
                if await _is_owned(client, each):
                    bought.append(each)
                    left.remove(each)
            if isinstance(error, APIError) and error.is_refusal:
                # What the API has not bought stays in the cart. Without a refusal it may yet be bought.
                refused = {_number_of(each) for each in (await Buy(client).cart.get()).dids or ()}.intersection(left)
        except WavixError:
            continue
        if refused.issuperset(left):
            break
    return Purchase(
        bought=tuple(each for each in numbers if each in bought),
        refused=tuple(each for each in left if each in refused),
        unknown=tuple(each for each in left if each not in refused),
        charged=sum((prices[each] or Decimal(0) for each in bought), Decimal(0)),
        error=error,
    )


async def _is_owned(client: BaseClient, number: str) -> bool:
    # Only a purchase without a clear answer loads this module.
    from wavix_async.resources.numbers import Numbers

    page = await Numbers(client).list(search=number, limit=100)
    return any(str(each.number).removeprefix("+") == number for each in page)


async def _take_back(buy: Buy, numbers: tuple[str, ...]) -> None:
    with suppress(WavixError):  # a full cart costs nothing
        await buy.cart.remove(ids=numbers)


def _number_of(number: AvailableNumber) -> str:
    found: object = number.number
    return str(number.id) if found is None else str(found).removeprefix("+")


def _fees(number: AvailableNumber) -> Decimal | None:
    fees: tuple[object, ...] = number.activation_fee, number.monthly_fee
    return number.activation_fee + number.monthly_fee if all(isinstance(fee, Decimal) for fee in fees) else None


def _price_of(name: str, value: object) -> Decimal:
    try:
        if isinstance(value, Decimal | int | str) and not isinstance(value, bool):
            price = Decimal(value)
            if price.is_finite() and price >= 0:
                return price
    except InvalidOperation:
        pass
    raise InputError(f"{name} must be an amount in USD such as Decimal('30.50') or '30.50', got {value!r}.")
