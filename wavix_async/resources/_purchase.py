"""How `buy.purchase` buys numbers: fill the cart, check the price, check out once, and find out what was bought."""

from collections.abc import Collection, Iterable
from decimal import Decimal, InvalidOperation
from typing import Final

from wavix_async._http import BaseClient
from wavix_async.errors import APIError, InputError, OutcomeUnknownError, WavixError
from wavix_async.models.buy import AvailableNumber, CartNumbers
from wavix_async.resources.buy import Buy, Purchase
from wavix_async.resources.numbers import Numbers

__all__ = ["purchase"]

_LOOKS: Final = (0.0, 1.0, 3.0)
"""Seconds before each look for numbers that may have been bought: the list of numbers may be late."""


async def purchase(client: BaseClient, ids: Iterable[str], max_price: Decimal | int | str) -> Purchase:
    """Buy phone numbers; see `Buy.purchase`."""
    most = _price_of("max_price", max_price)
    if isinstance(ids, str):
        raise InputError(f"ids must be a list of phone numbers, got one text: pass [{ids!r}].")
    numbers = tuple(dict.fromkeys(CartNumbers(ids=list(ids)).ids))
    if not numbers:
        raise InputError("ids must name at least one phone number.")
    buy = Buy(client)
    try:
        await buy.cart.add(ids=numbers)
    except OutcomeUnknownError:
        pass  # the cart tells
    cart = {_number_of(each): each for each in (await buy.cart.get()).dids or ()}
    if missing := [each for each in numbers if each not in cart]:
        raise InputError(f"Nothing was bought: the cart lacks {', '.join(missing[:20])}. They cannot be bought now.")
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
    page = await Numbers(client).list(search=number, limit=100)
    return any(each.number == number for each in page)


async def _take_back(buy: Buy, numbers: tuple[str, ...]) -> None:
    try:
        await buy.cart.remove(ids=numbers)
    except WavixError:
        pass  # a full cart costs nothing


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
