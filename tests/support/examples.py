"""One payload of each model, as the API sends it with made-up values, and every way in which a payload can drift."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Final

import attrs

Json = Any

# Kind of value and whether the documentation lets the field be missing or null. Written down here by hand on purpose:
# a table derived from the models would agree with any mistake in them.
NUMBER_FIELDS: Final[dict[str, tuple[str, bool]]] = {
    "id": ("int", False),
    "number": ("str", False),
    "activation_fee": ("decimal", False),
    "monthly_fee": ("decimal", False),
    "per_min": ("decimal", False),
    "city": ("str", False),
    "state": ("str", True),
    "country": ("str", False),
    "country_short_name": ("str", False),
    "destination": ("list", False),
    "channels": ("int", False),
    "require_docs": ("list", False),
    "documents": ("list", False),
    "domestic_cli": ("bool", True),
    "free_min": ("int", True),
    "unlimited": ("bool", True),
    "label": ("str", True),
    "status": ("enum", False),
    "seconds": ("str", False),
    "added": ("datetime", False),
    "paid_until": ("date", False),
    "sms_enabled": ("bool", False),
    "sms_relay_url": ("str", True),
    "cnam": ("bool", True),
    "call_recording_enabled": ("bool", False),
    "transcription_enabled": ("bool", False),
    "transcription_threshold": ("int", False),
    "call_status_url": ("str", True),
}
DESTINATION_FIELDS: Final[dict[str, tuple[str, bool]]] = {
    "id": ("int", False),
    "destination": ("str", False),
    "priority": ("int", False),
    "transport": ("int-enum", False),
    "trunk_id": ("int", True),
    "srtp": ("bool", True),
    "trunk_label": ("str", True),
}
DOCUMENT_FIELDS: Final[dict[str, tuple[str, bool]]] = {
    "id": ("int", False),
    "allow_replace": ("bool", False),
    "did_number": ("str", False),
    "doc_content_type": ("str", False),
    "doc_file_name": ("str", False),
    "doc_type_id": ("int", True),
    "doc_type": ("enum", True),
    "status": ("enum", False),
    "url": ("str", False),
}

# One value of every JSON type and some that other languages would take for another one.
STRANGERS: Final[tuple[Json, ...]] = (
    0,
    1,
    -7,
    2**53 + 1,
    1.0,
    -0.25,
    True,
    False,
    "",
    "text",
    "false",
    "1",
    [],
    [None],
    ["x", 1],
    {},
    {"id": 1},
    {"nested": {"deep": [None]}},
)
# Strings are what these hold on the wire, and not every string is one.
_PARSED: Final = {"decimal", "datetime", "date"}


def destination(**changes: Json) -> dict[str, Json]:
    return {
        "id": 11,
        "destination": "[did]@pbx.example.net",
        "priority": 1,
        "transport": 1,
        "trunk_id": None,
        "srtp": True,
        "trunk_label": None,
        **changes,
    }


def document(**changes: Json) -> dict[str, Json]:
    return {
        "id": 901,
        "allow_replace": True,
        "did_number": "14155550123",
        "doc_content_type": "application/pdf",
        "doc_file_name": "passport.pdf",
        "doc_type_id": 1,
        "doc_type": "id",
        "status": "pending",
        "url": "https://files.example.net/papers/901?appid=not-a-real-key",
        **changes,
    }


def number(**changes: Json) -> dict[str, Json]:
    return {
        "id": 501,
        "number": "14155550123",
        "activation_fee": "1.50",
        "monthly_fee": "0.10",
        "per_min": "0.0075",
        "city": "OAKLAND",
        "state": "CA",
        "country": "United States of America",
        "country_short_name": "US",
        "destination": [destination()],
        "channels": 8,
        "require_docs": ["address"],
        "documents": [document()],
        "domestic_cli": False,
        "free_min": 0,
        "unlimited": False,
        "label": "night shift",
        "status": "active",
        "seconds": "3600",
        "added": "2024-02-29T23:59:59.007Z",
        "paid_until": "2025-01-31",
        "sms_enabled": True,
        "sms_relay_url": "https://hooks.example.net/sms",
        "cnam": None,
        "call_recording_enabled": False,
        "transcription_enabled": True,
        "transcription_threshold": 9,
        "call_status_url": None,
        **changes,
    }


def pagination(**changes: Json) -> dict[str, Json]:
    return {"current_page": 1, "per_page": 25, "total": 2, "total_pages": 1, **changes}


def number_page(*numbers: dict[str, Json], **changes: Json) -> dict[str, Json]:
    items = list(numbers) or [number(), number(id=502, number="14155550124")]
    return {
        "items": items,
        "doc_types": [{"id": 2, "name": "address", "title": "Bill or bank letter"}],
        "pagination": pagination(total=len(items)),
        **changes,
    }


# --- messages ---

MESSAGE: Final[dict[str, Json]] = {
    "message_id": "3f0d7d3e-8f6a-4d0c-9f5e-1d2f2a6c7b10",
    "message_type": "sms",
    "from": "Acme",
    "to": "447700900123",
    "direction": "outbound",
    "mcc": "234",
    "mnc": None,
    "message_body": {"text": "Hello", "media": None},
    "tag": "spring",
    "status": "accepted",
    "segments": 1,
    "charge": "0.0475",
    "carrier_fees": "0.0",
    "submitted_at": "2026-03-01T09:30:00.000Z",
    "sent_at": None,
    "delivered_at": None,
    "error_message": None,
}
SENDER_ID: Final[dict[str, Json]] = {
    "id": "5a4c4d0e-1b7e-4a53-9c39-1f1a3c1c2b01",
    "sender_id": "Acme",
    "type": "alphanumeric",
    "allowlisted_in": ["GB"],
    "usecase": "promo",
    "samples": ["Sale!"],
}
OPT_OUT: Final[dict[str, Json]] = {
    "phone_number": "15550100200",
    "sender_id": None,
    "campaign_id": "C123456",
    "created_at": "2026-01-16T14:45:00.000Z",
}


def same(left: Json, right: Json) -> bool:
    """Compare as JSON does: 1, 1.0 and true are three values."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def fits(kind: str, value: Json) -> bool:
    """Whether a value of `STRANGERS` is one that the documentation allows after all."""
    types: dict[str, type] = {"int": int, "int-enum": int, "str": str, "enum": str, "bool": bool, "list": list}
    if kind == "decimal":
        # Money comes as a text or as a number.
        return type(value) in (int, float) or (value == "1" and type(value) is str)
    return kind in types and type(value) is types[kind]


@attrs.frozen
class DriftCase:
    """A payload in which one thing is not as documented."""

    name: str
    payload: dict[str, Json]
    where: tuple[str | int, ...]
    """Keys that lead to the field."""
    kind: str
    """missing, null, type, unknown, enum"""
    tolerated: bool
    """The documentation allows it: strict decoding takes it too."""

    @property
    def path(self) -> str:
        """The JSON path as `DecodeError.paths` writes it."""
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.where)


_OTHER_TYPE: Final[dict[str, tuple[Json, ...]]] = {
    "int": ("17", 1.0),
    "int-enum": ("1", True),
    "str": (17, ["a"]),
    "enum": (3, ["active"]),
    "bool": ("false", 0),
    "list": ({"0": "x"}, "abc"),
    "decimal": (True, "ten"),
    "datetime": (1709251199, "yesterday"),
    "date": (20250131, "2025-31-01"),
}
_LEVELS: Final = (
    ((), NUMBER_FIELDS),
    (("destination", 0), DESTINATION_FIELDS),
    (("documents", 0), DOCUMENT_FIELDS),
)


def at(payload: Json, where: tuple[str | int, ...]) -> Json:
    """Follow `where` through dicts and lists; None where the last key is missing."""
    for step in where:
        payload = payload.get(step) if isinstance(payload, dict) else payload[step]
    return payload


def drift_cases() -> list[DriftCase]:
    """Every single drift of a Number: each field missing, null, of another type; unknown keys; unknown enum values."""
    cases = []

    def case(name: str, prefix: tuple[str | int, ...], field: str, kind: str, tolerated: bool, **value: Json) -> None:
        payload = deepcopy(number())
        inner = at(payload, prefix)
        if kind == "missing":
            del inner[field]
        else:
            inner[field] = value["value"]
        where = (*prefix, field)
        cases.append(DriftCase(f"{'.'.join(map(str, where))}-{name}", payload, where, kind, tolerated))

    for prefix, fields in _LEVELS:
        for field, (kind, optional) in fields.items():
            case("missing", prefix, field, "missing", optional)
            case("null", prefix, field, "null", optional, value=None)
            for i, value in enumerate(_OTHER_TYPE[kind]):
                case(f"type{i}", prefix, field, "type", False, value=value)
            if kind.endswith("enum"):
                case("unknown-member", prefix, field, "enum", True, value=77 if kind == "int-enum" else "brand-new")
        case("unknown-key", prefix, "brand_new", "unknown", False, value={"a": [1, None]})
        case("unknown-null", prefix, "brand_new", "unknown", False, value=None)
    for field in ("destination", "documents", "require_docs"):
        for i, value in enumerate((None, 5, [])):
            case(f"stray-element{i}", (field,), 0, "type", False, value=value)  # type: ignore[arg-type]
    return cases


def fields() -> list[tuple[tuple[str | int, ...], str]]:
    """Every field of a Number, nested ones too: the keys that lead to it, and its kind."""
    return [((*prefix, field), kind) for prefix, fields in _LEVELS for field, (kind, _) in fields.items()]


def replaced(where: tuple[str | int, ...], value: Json) -> dict[str, Json]:
    """Return a Number payload with one value replaced."""
    payload = deepcopy(number())
    at(payload, where[:-1])[where[-1]] = value
    return payload


def read_at(model: Json, where: tuple[str | int, ...]) -> Json:
    """Follow `where` through models and lists."""
    for step in where:
        model = model[step] if isinstance(step, int) else getattr(model, step)
    return model
