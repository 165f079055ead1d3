"""Numbers to buy, and the cart.

Each city has the same count of numbers to buy. The vendor's documentation leaves some questions open. We assume: a city
of a country with regions is not in the list of its country's cities; a number that is not for sale gets a 404 from the
cart; the checkout buys what it can, and its 422 names the others, which stay in the cart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from wavix_async.sandbox._groups.filters import Record, without_plus
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.numbers import DOC_TYPES, FOREIGN_CITIES, HOME_CITIES, SMS_COUNTRIES, City, Store
from wavix_async.sandbox._groups.reading import json_object, pagination, paging, read_id
from wavix_async.sandbox._server import ApiError, Call, Reply, Route

_IN_STOCK = 30
"""Numbers to buy in each city."""
_CITIES = (*HOME_CITIES, *FOREIGN_CITIES)
_COUNTRIES = {code: 8001 + at for at, code in enumerate(dict.fromkeys(city.country_code for city in _CITIES))}
_REGIONS = {
    key: 11 + at
    for at, key in enumerate(dict.fromkeys((city.country_code, city.state) for city in _CITIES if city.state))
}
_ACTIVATION_FEE, _MONTHLY_FEE = 2, 3
_DOC_TYPES = [{"id": kind, "name": name, "title": title} for kind, (name, title) in DOC_TYPES.items()]


class Buy:
    """What the account can buy.

    Args:
        context: The sandbox.
        store: The numbers of the account.
    """

    def __init__(self, context: Context, store: Store) -> None:
        self._context = context
        self._store = store
        self.cart: dict[str, Record] = {}
        """The numbers in the cart, in wire form."""
        self.sold: set[str] = set()
        """Numbers that others have bought."""

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        countries, cart = "/v1/buy/countries", "/v1/buy/cart"
        regions, read, write = f"{countries}/{{country_id}}/regions", "numbers:read", "numbers:write"
        return (
            Route("GET", countries, read, self._list_countries),
            Route("GET", regions, read, self._list_regions),
            Route("GET", f"{countries}/{{country_id}}/cities", read, self._list_cities),
            Route("GET", f"{regions}/{{region_id}}/cities", read, self._list_cities_of_region),
            Route("GET", f"{countries}/{{country_id}}/cities/{{city_id}}/dids", read, self._list_numbers),
            Route("GET", cart, read, lambda _: Reply.of(200, {"dids": self._shown(), "doc_types": _DOC_TYPES})),
            Route("PUT", cart, write, self._add),
            Route("DELETE", cart, write, self._remove),
            Route("POST", f"{cart}/checkout", write, self._checkout, charged=True),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.cart.clear()
        self.sold.clear()

    # --- places ---

    def _list_countries(self, call: Call) -> Reply:
        places = {city.country_code: city for city in _places(call)}
        return Reply.of(
            200,
            {
                "countries": [
                    {"id": _COUNTRIES[code], "name": city.country, "has_provinces_or_states": city.state is not None}
                    for code, city in places.items()
                ]
            },
        )

    def _list_regions(self, call: Call) -> Reply:
        code = _country(call.ids[0])
        places = list(_places(call, lambda city: city.country_code == code))
        if all(city.state is None for city in places):
            raise ApiError(422, "Country has no states or provinces")
        states = dict.fromkeys(city.state for city in places)
        return Reply.of(200, {"regions": [{"id": _REGIONS[code, state], "name": state} for state in states if state]})

    def _list_cities(self, call: Call) -> Reply:
        code = _country(call.ids[0])
        return _cities(_places(call, lambda city: city.country_code == code and city.state is None))

    def _list_cities_of_region(self, call: Call) -> Reply:
        code, region = _country(call.ids[0]), read_id(call.ids[1])
        if region not in (at for (country, _), at in _REGIONS.items() if country == code):
            raise ApiError(404, "Record not found")
        found = _places(call, lambda city: (city.country_code, city.state) in _REGIONS)
        return _cities(city for city in found if _REGIONS.get((city.country_code, city.state or "")) == region)

    # --- numbers ---

    def _list_numbers(self, call: Call) -> Reply:
        code, city_id = _country(call.ids[0]), read_id(call.ids[1])
        city = next((city for city in _CITIES if (city.country_code, city.id) == (code, city_id)), None)
        if city is None:
            raise ApiError(404, "Record not found")
        page, per_page = paging(_query(call))
        numbers = [number for number in map(city.for_sale, range(_IN_STOCK)) if self._is_free(number)]
        if _query(call).get("text_enabled_only") == "true" and city.country_code not in SMS_COUNTRIES:
            numbers = []
        shown = [_number(city, number) for number in numbers[(page - 1) * per_page : page * per_page]]
        return Reply.of(200, {"dids": shown, "pagination": pagination(page, per_page, len(numbers))})

    def find(self, number: str) -> City | None:
        """Return the city of a number that can be bought; None if it cannot."""
        for city in _CITIES:
            if number.startswith(city.prefix) and number in map(city.for_sale, range(_IN_STOCK)):
                return city if self._is_free(number) else None
        return None

    def _is_free(self, number: str) -> bool:
        return number not in self.sold and self._store.find(number) is None

    # --- the cart ---

    def _shown(self) -> list[Record]:
        return list(self.cart.values())

    def _add(self, call: Call) -> Reply:
        numbers = _ids(call)
        found = {number: self.find(number) for number in numbers}
        for number, city in found.items():
            if city is None:
                raise ApiError(404, f"Record not found: {number}")
        self.cart.update({number: _number(city, number) for number, city in found.items() if city is not None})
        return Reply.of(200, self._shown())

    def _remove(self, call: Call) -> Reply:
        numbers = _ids(call)
        self._require_in_cart(numbers)
        for number in numbers:
            del self.cart[number]
        return Reply.of(200, {"success": True})

    def _require_in_cart(self, numbers: Sequence[str]) -> None:
        missing = [number for number in numbers if number not in self.cart]
        if missing:
            raise ApiError(404, f"Record not found: {', '.join(missing[:20])}")

    def _checkout(self, call: Call) -> Reply:
        numbers = _ids(call)
        self._require_in_cart(numbers)
        refused: dict[str, str] = {}
        for number in numbers:
            record, city = self.cart[number], self.find(number)
            if city is None:
                refused[number] = "Some phone numbers are not available"
                continue
            try:
                self._context.charge_all(
                    (Decimal(record["activation_fee"]), _ACTIVATION_FEE, f"Activation fee for {number}"),
                    (Decimal(record["monthly_fee"]), _MONTHLY_FEE, f"Monthly fee for {number}"),
                )
            except ApiError as error:
                refused[number] = str(error)
                continue
            del self.cart[number]
            self._store.buy(number, city, _owned(record))
        if refused:
            refusal = ApiError(422, "")
            refusal.body = {"error": next(iter(refused.values())), "error_dids": list(refused)}
            raise refusal
        return Reply.of(201, {"success": True})


def _query(call: Call) -> Mapping[str, str]:
    return dict(parse_qsl(call.query, keep_blank_values=True))


def _places(call: Call, test: Callable[[City], bool] = lambda _: True) -> Iterator[City]:
    with_text = _query(call).get("text_enabled_only") == "true"
    return (city for city in _CITIES if test(city) and (not with_text or city.country_code in SMS_COUNTRIES))


def _cities(cities: Iterator[City]) -> Reply:
    found = [{"id": city.id, "name": city.name, "area_code": int(city.prefix[1:])} for city in cities]
    return Reply.of(200, {"cities": found})


def _country(text: str) -> str:
    country_id = read_id(text)
    for code, known in _COUNTRIES.items():
        if known == country_id:
            return code
    raise ApiError(404, "Record not found")


def _ids(call: Call) -> list[str]:
    return list(dict.fromkeys(without_plus(number) for number in json_object(call.body)["ids"]))


def _number(city: City, number: str) -> Record:
    with_text = city.country_code in SMS_COUNTRIES
    return {
        "id": int(number),
        "number": number,
        "activation_fee": "0.00" if with_text else "5.00",
        "monthly_fee": "1.00" if with_text else "3.50",
        "per_min": "0.01",
        "channels": "4",
        "city": city.name,
        "country": city.country,
        "country_short_name": city.country_code,
        "cnam": with_text,
        "domestic_cli": False,
        "free_min": 0,
        "require_docs": [] if with_text else [2],
        "sms_enabled": with_text,
        "sms_price": 0.005 if with_text else 0,
    }


def _owned(record: Record) -> dict[str, Any]:
    """Return what a number of the account shows of the number that was bought."""
    names = ("number", "activation_fee", "monthly_fee", "per_min", "city", "country", "country_short_name")
    more = ("cnam", "domestic_cli", "free_min")
    docs = [DOC_TYPES[kind][0] for kind in record["require_docs"]]
    return {name: record[name] for name in (*names, *more)} | {
        "require_docs": docs,
        "channels": int(record["channels"]),
    }
