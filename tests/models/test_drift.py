"""Every model with one field of its answer changed: it decodes, shows the rest, and gives back what came.

What each type reads from the wire, and writes after a change, is written here and nowhere else (`SAMPLES`).
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import attrs
import pytest

from tests.support import examples as ex
from wavix_async import from_dict, models, to_dict
from wavix_async._codec import is_model, members, shape_of
from wavix_async.models import Model, Page

ANSWERS: Final[list[Any]] = [
    kind
    for name in models.__all__
    if inspect.isclass(kind := getattr(models, name)) and issubclass(kind, Model) and kind not in {Model, Page}
]


@attrs.frozen
class Sample:
    """A value of one type: how it comes, what it is, and another one, which a caller sets."""

    wire: Any
    value: Any
    new_value: Any
    new_wire: Any


SAMPLES: Final[dict[Any, Sample]] = {
    str: Sample("Zürich \U0001f600", "Zürich \U0001f600", "other", "other"),
    int: Sample(17, 17, 18, 18),
    float: Sample(2.5, 2.5, 0.5, 0.5),
    bool: Sample(True, True, False, False),
    Decimal: Sample("0.0475", Decimal("0.0475"), Decimal("1.50"), "1.50"),
    datetime: Sample(
        "2026-03-01T09:30:00.250Z",
        datetime(2026, 3, 1, 9, 30, 0, 250_000, tzinfo=UTC),
        datetime(2026, 3, 2, 10, 0, tzinfo=timezone(timedelta(hours=2))),
        "2026-03-02T10:00:00+02:00",
    ),
    date: Sample("2026-03-01", date(2026, 3, 1), date(2026, 3, 2), "2026-03-02"),
    object: Sample({"deep": [1, None]}, {"deep": [1, None]}, "plain", "plain"),
    Any: Sample({"deep": [1, None]}, {"deep": [1, None]}, "plain", "plain"),
    dict: Sample({"deep": [1, None]}, {"deep": [1, None]}, {}, {}),
}


def sample(kind: Any) -> Sample:
    """Return the sample of the type of a field."""
    if kind in SAMPLES:
        return SAMPLES[kind]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        one = sample(inner[0])
        return Sample([one.wire, one.wire], [one.value, one.value], [one.new_value], [one.new_wire])
    if origin is dict:
        one = sample(inner[1])
        return Sample({"a key": one.wire}, {"a key": one.value}, {"k": one.new_value}, {"k": one.new_wire})
    if is_model(kind):
        changed = first_field(kind)
        wire = payload(kind)
        value = from_dict(kind, wire)
        one = sample(changed.kind)
        return Sample(
            wire, value, attrs.evolve(value, **{changed.name: one.new_value}), {**wire, changed.wire: one.new_wire}
        )
    if isinstance(kind, type) and issubclass(kind, Enum):
        first, *_, last = kind if len(kind) > 1 else [*kind, *kind]
        return Sample(first.value, first, last, last.value)
    return sample(next(each for each in members(kind) if each is not kind))


def first_field(kind: Any) -> Any:
    return shape_of(kind).fields[0]


def payload(kind: Any) -> dict[str, Any]:
    """Return an answer with every field of a model."""
    return {field.wire: sample(field.kind).wire for field in shape_of(kind).fields}


def enums(kind: Any) -> Iterator[Any]:
    """Yield the enums that a field may hold."""
    for each in members(kind):
        if isinstance(each, type) and issubclass(each, Enum):
            yield each


def hold(kind: Any, wire: dict[str, Any], changed: str = "") -> Any:
    """Decode an answer, and check that nothing is lost or invented, and that all other fields are as they were."""
    text = json.dumps(wire)
    model = from_dict(kind, wire)
    assert json.dumps(wire) == text, "the answer itself was changed"
    assert ex.same(to_dict(model), wire)
    for field in shape_of(kind).fields:
        if field.wire != changed:
            expected = sample(field.kind).value
            found = getattr(model, field.name)
            assert (found, type(found)) == (expected, type(expected)), field.name
    return model


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_field_is_read_as_its_type(kind: Any) -> None:
    model = hold(kind, payload(kind))

    assert model.extra == {}


@pytest.mark.parametrize("kind", ANSWERS)
def test_one_field_is_missing_or_null(kind: Any) -> None:
    whole = payload(kind)
    for field in shape_of(kind).fields:
        missing = hold(kind, {name: value for name, value in whole.items() if name != field.wire}, field.wire)
        null = hold(kind, {**whole, field.wire: None}, field.wire)

        assert (getattr(missing, field.name), getattr(null, field.name)) == (None, None), field.name


@pytest.mark.parametrize("kind", ANSWERS)
def test_one_field_has_another_type(kind: Any) -> None:
    whole = payload(kind)
    for field in shape_of(kind).fields:
        for stranger in ex.STRANGERS:
            model = from_dict(kind, {**whole, field.wire: stranger})

            assert ex.same(to_dict(model), {**whole, field.wire: stranger}), (field.name, stranger)
        hold(kind, {**whole, field.wire: "1"}, field.wire)


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_new_key_is_kept_apart(kind: Any) -> None:
    model = hold(kind, {**payload(kind), "a_new_key": {"deep": [1, None]}})

    assert model.extra == {"a_new_key": {"deep": [1, None]}}


@pytest.mark.parametrize("kind", [kind for kind in ANSWERS if any(list(enums(f.kind)) for f in shape_of(kind).fields)])
def test_a_new_value_of_an_enum_is_a_value(kind: Any) -> None:
    whole = payload(kind)
    for field in shape_of(kind).fields:
        for enum in enums(field.kind):
            raw: Any = 4711 if issubclass(enum, int) else "A new value"
            found = getattr(hold(kind, {**whole, field.wire: raw}, field.wire), field.name)

            assert (found, type(found), found.value) == (raw, enum, raw), field.name
            assert found not in list(enum)


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_a_caller_changes_shows(kind: Any) -> None:
    whole = payload(kind)
    model = from_dict(kind, whole)
    for field in shape_of(kind).fields:
        one = sample(field.kind)

        changed = attrs.evolve(model, **{field.name: one.new_value})
        assert ex.same(to_dict(changed), {**whole, field.wire: one.new_wire}), field.name
        null = attrs.evolve(model, **{field.name: None})
        assert ex.same(to_dict(null), {**whole, field.wire: None}), field.name
    assert ex.same(to_dict(model), whole)


# --- what a field is ---

TYPES: Final[dict[str, Any]] = {
    # Money, and what is counted or timed, by the names that the API uses.
    **dict.fromkeys(("charge", "carrier_fees", "per_minute", "forward_fee", "activation_fee", "monthly_fee"), Decimal),
    **dict.fromkeys(("per_min", "amount", "balance", "sms_price"), Decimal),
    **dict.fromkeys(("submitted_at", "sent_at", "delivered_at", "created_at", "added", "event_time"), datetime),
    **dict.fromkeys(("answered_at", "completed_at", "call_started", "call_answered", "call_completed"), datetime),
    **dict.fromkeys(("segments", "total", "total_pages", "per_page", "current_page"), int),
}
"""The types of fields that several models have, by their names on the wire."""


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_field_has_the_type_that_its_name_promises(kind: Any) -> None:
    for field in shape_of(kind).fields:
        assert field.kind == TYPES.get(field.wire, field.kind), field.name
