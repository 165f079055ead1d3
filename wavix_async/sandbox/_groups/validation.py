"""Validations of phone numbers: computed from their digits, without any network.

Prices, carriers and the rules are our own. A number of 8 to 15 digits is valid. The lookup of a number that ends in
0041 takes too long, and that of one that ends in 0042 fails (except for the type `format`). Both cost nothing, nor does
a number that is not valid. A number that the balance does not pay for gets the error code 091.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from wavix_async.sandbox._groups.collection import Collection, Uuids
from wavix_async.sandbox._groups.filters import Record, without_plus
from wavix_async.sandbox._groups.group import Context
from wavix_async.sandbox._groups.reading import json_object
from wavix_async.sandbox._server import Call, Reply, Route, invalid

_MOST = 1000
_PRICES = {"format": Decimal("0.001"), "analysis": Decimal("0.005"), "validation": Decimal("0.015")}
_TYPE = 29
_COUNTRIES = {"1": ("US", "310", "UTC-05:00"), "44": ("GB", "234", "UTC+00:00"), "49": ("DE", "262", "UTC+01:00")}
_ELSEWHERE = ("AE", "424", "UTC+04:00")
_FAILING = {"0041": "041", "0042": "042"}
_UNPAID = "091"


class Validation:
    """The validations of the account."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.batches = Collection(
            context, ids=Uuids(context.seed, "validations"), id_field="request_uuid", record=lambda given: given
        )

    @property
    def routes(self) -> Sequence[Route]:
        """The operations."""
        path = "/v1/validation"
        return (
            Route("GET", path, "validator:read", self._validate, charged=True),
            Route("POST", path, "validator:write", self._create, charged=True),
            Route("GET", f"{path}/{{request_id}}", "validator:read", self._get),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.batches.reset()

    def _validate(self, call: Call) -> Reply:
        given = dict(parse_qsl(call.query, keep_blank_values=True))
        # A plus sign that the client did not encode arrives as a space.
        numbers = [given["phone_number"].strip()]
        unpaid = self._pay(numbers, given["type"])
        return Reply.of(200, _item(numbers[0], given["type"], unpaid))

    def _create(self, call: Call) -> Reply:
        given = json_object(call.body)
        numbers = given["phone_numbers"]
        if not 0 < len(numbers) <= _MOST:
            raise invalid("phone_numbers", f"1 to {_MOST} phone numbers are needed")
        unpaid = self._pay(numbers, given["type"])
        batch = {"numbers": numbers, "type": given["type"], "unpaid": unpaid}
        if not given.get("async"):
            return Reply.of(200, self._answer(batch))
        record = self.batches.add({**batch, "ready": self._context.clock() + self._context.validation_delay})
        return Reply.of(200, {"request_id": record["request_uuid"]})

    def _get(self, call: Call) -> Reply:
        batch = self.batches.find(call.ids[0])
        if batch["ready"] > self._context.clock():
            count = len(batch["numbers"])
            return Reply.of(200, {"status": "in progress", "pending": count, "count": count, "items": []})
        return Reply.of(200, self._answer(batch))

    def _answer(self, batch: Record) -> Record:
        items = [_item(number, batch["type"], batch["unpaid"]) for number in batch["numbers"]]
        return {"status": "success", "pending": 0, "count": len(items), "items": items}

    def _pay(self, numbers: Sequence[str], kind: str) -> frozenset[str]:
        """Charge for some numbers, and return those that the balance does not pay for."""
        price, total, unpaid = _PRICES[kind], Decimal(0), set[str]()
        for number in numbers:
            if _error(number, kind) == "000":
                if self._context.ledger.can_pay(total + price):
                    total += price
                else:
                    unpaid.add(number)
        what = numbers[0] if len(numbers) == 1 else f"{len(numbers)} phone numbers"
        self._context.charge(total, _TYPE, f"Validation of {what}")
        return frozenset(unpaid)


def _error(number: str, kind: str) -> str:
    digits = without_plus(number)
    if not (digits.isascii() and digits.isdecimal() and 8 <= len(digits) <= 15):
        return "021"
    return "000" if kind == "format" else _FAILING.get(digits[-4:], "000")


def _item(number: str, kind: str, unpaid: frozenset[str]) -> dict[str, Any]:
    digits = without_plus(number)
    error = _UNPAID if number in unpaid else _error(number, kind)
    valid = error == "000"
    prefix = next((each for each in _COUNTRIES if digits.startswith(each)), "")
    country, mcc, timezone = _COUNTRIES.get(prefix, _ELSEWHERE)
    known, looked_up = valid and kind != "format", valid and kind == "validation"
    return {
        "phone_number": number,
        "valid": valid,
        "country_code": country if valid else None,
        "e164_format": f"+{digits}",
        "national_format": digits.removeprefix(prefix),
        "ported": False if looked_up else None,
        "mcc": mcc if known else None,
        "mnc": "02" if known else None,
        "number_type": "mobile" if known else None,
        "carrier_name": "Sandbox Mobile" if known else None,
        "risky_destination": False if known else None,
        "unallocated_range": False if known else None,
        "reachable": True if looked_up else None,
        "roaming": False if looked_up else None,
        "timezone": timezone if known else None,
        "charge": str(_PRICES[kind]) if valid else "0.0",
        "error_code": error,
    }
