"""What a model makes of an answer: each value, written apart. `tests/models/test_drift.py` holds how it may drift."""

from __future__ import annotations

from typing import Any

import attrs

from tests.support.examples import same
from wavix_async import from_dict, to_dict
from wavix_async.models import Model


def check_meaning(model: type[Model], payload: dict[str, Any], expected: dict[str, Any]) -> None:
    """Check that each field has the value and the type that it means, and that `to_dict` gives back what came.

    Args:
        model: The model.
        payload: The answer, as it is documented.
        expected: The value of each field, by its name in Python. A name that ends in `?` may be missing or null.
    """
    decoded: Any = from_dict(model, payload, strict=True)
    shown = {name: getattr(decoded, name.removesuffix("?")) for name in expected}
    assert shown == expected
    assert {name: type(value) for name, value in shown.items()} == {
        name: type(value) for name, value in expected.items()
    }
    sent = {field.name for field in attrs.fields(model) if field.metadata.get("wire", True)}
    assert {name.removesuffix("?") for name in expected} == sent - {"extra", "_origin"}
    assert same(to_dict(decoded), payload)
    for name in expected:
        if name.endswith("?"):
            key = name.removesuffix("?").removesuffix("_")
            from_dict(model, {other: value for other, value in payload.items() if other != key}, strict=True)
            from_dict(model, {**payload, key: None}, strict=True)
