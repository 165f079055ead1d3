"""The operations of `wavix.buy`."""

from __future__ import annotations

from typing import Final

from tests.resources.rows.row import PAGE, Row

NUMBER: Final = {
    "id": 541139862174,
    "number": "541139862174",
    "activation_fee": "15.0",
    "monthly_fee": "10.0",
    "per_min": "0.01",
    "channels": "4",
    "city": "Buenos Aires",
    "country": "Argentina",
    "country_short_name": "AR",
    "cnam": False,
    "domestic_cli": False,
    "free_min": 0,
    "require_docs": [1, "address"],
    "sms_enabled": False,
    "sms_price": 0,
}
CITY: Final = {"id": 128791, "name": "Buenos Aires", "area_code": 113}
CART: Final = {"dids": [NUMBER], "doc_types": [{"id": 1, "name": "id", "title": "Any form of ID"}]}
IDS: Final = {"ids": ["541139862174"]}

ROWS: Final = [
    Row(
        lambda w: w.buy.countries.list(text_enabled_only=True),
        "GET /v1/buy/countries",
        {"countries": [{"id": 8650, "has_provinces_or_states": True, "name": "Australia"}]},
        query={"text_enabled_only": "true"},
        result=[{"id": 8650, "has_provinces_or_states": True, "name": "Australia"}],
    ),
    Row(
        lambda w: w.buy.countries.regions.list(8650),
        "GET /v1/buy/countries/8650/regions",
        {"regions": [{"id": 13, "name": "Victoria"}]},
        result=[{"id": 13, "name": "Victoria"}],
    ),
    Row(
        lambda w: w.buy.countries.regions.cities.list(8650, 13),
        "GET /v1/buy/countries/8650/regions/13/cities",
        {"cities": [CITY]},
        result=[CITY],
    ),
    Row(
        lambda w: w.buy.countries.cities.list(8669, text_enabled_only=False),
        "GET /v1/buy/countries/8669/cities",
        {"cities": [CITY]},
        query={"text_enabled_only": "false"},
        result=[CITY],
    ),
    Row(
        lambda w: w.buy.countries.cities.dids.list(8669, 128791, page=2, per_page=50),
        "GET /v1/buy/countries/8669/cities/128791/dids",
        {"dids": [NUMBER], "pagination": PAGE},
        query={"page": "2", "per_page": "50"},
    ),
    Row(lambda w: w.buy.cart.get(), "GET /v1/buy/cart", CART),
    Row(lambda w: w.buy.cart.add(ids=["+54 11 3986-2174"]), "PUT /v1/buy/cart", [NUMBER], body=IDS),
    Row(lambda w: w.buy.cart.remove(ids=("541139862174",)), "DELETE /v1/buy/cart", {"success": True}, body=IDS),
    Row(lambda w: w.buy.cart.checkout(ids=["541139862174"]), "POST /v1/buy/cart/checkout", {"success": True}, body=IDS),
]
