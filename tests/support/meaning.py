"""What a model makes of an answer: each value, written apart, and every single way in which a field can drift."""

from __future__ import annotations

from typing import Any

import attrs

from tests.support.examples import STRANGERS, same
from wavix_async import from_dict, to_dict
from wavix_async.models import Model

# The expectation has the names in Python. A name that ends in `?` may be missing or null.


def wire(name: str) -> str:
    """Return the name of a field on the wire."""
    return name.removesuffix("?").removesuffix("_")


def check_values(model: type[Model], payload: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that each field has the value and the type that it means, and that `to_dict` gives back what came."""
    decoded: Any = from_dict(model, payload, strict=True)
    shown = {name: getattr(decoded, name.removesuffix("?")) for name in expected}
    assert shown == expected
    assert {name: type(value) for name, value in shown.items()} == {
        name: type(value) for name, value in expected.items()
    }
    sent = {field.name for field in attrs.fields(model) if field.metadata.get("wire", True)}
    assert {name.removesuffix("?") for name in expected} == sent - {"extra", "_origin"}
    assert same(to_dict(decoded), payload)


def check_drift(model: type[Model], payload: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that an answer with one field missing, null, or of another type decodes, and that nothing is lost."""
    for name in expected:
        key = wire(name)
        missing = {other: value for other, value in payload.items() if other != key}
        for changed in (missing, *({**payload, key: value} for value in (None, *STRANGERS))):
            assert same(to_dict(from_dict(model, changed)), changed)
        for changed in (missing, {**payload, key: None}):
            assert getattr(from_dict(model, changed), name.removesuffix("?")) is None
            if name.endswith("?"):
                from_dict(model, changed, strict=True)
    grown = {**payload, "brand_new": {"a": [1, None]}}
    assert from_dict(model, grown).extra == {"brand_new": {"a": [1, None]}}
    assert same(to_dict(from_dict(model, grown)), grown)


def check_change(model: type[Model], payload: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that `to_dict` shows a change of each field."""
    for name in expected:
        changed: Any = attrs.evolve(from_dict(model, payload), **{name.removesuffix("?"): None})
        assert same(to_dict(changed), {**payload, wire(name): None})
