"""Answers that are not a single model: unions, dicts, lists of anything."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from tests.support import examples as ex
from wavix_async import DecodeError, Number, NumberStatus, Success, from_dict, to_dict
from wavix_async._codec import AnswerBase, decode, fits, is_about
from wavix_async.models import Message


@attrs.frozen(kw_only=True)
class Cat(AnswerBase):
    name: str = attrs.field(default=None)
    lives: int = attrs.field(default=None)


@attrs.frozen(kw_only=True)
class Dog(AnswerBase):
    name: str = attrs.field(default=None)
    tricks: list[str] = attrs.field(default=None)
    owner: str | None = None


@attrs.frozen(kw_only=True)
class Home(AnswerBase):
    pet: Cat | Dog | None = None
    pets: list[Cat | Dog] = attrs.field(default=None)
    size: int | str = attrs.field(default=None)
    mood: NumberStatus | int = attrs.field(default=None)
    rooms: dict[str, Cat | None] = attrs.field(default=None)
    anything: object = attrs.field(default=None)


CAT = {"name": "Tom", "lives": 9}
DOG = {"name": "Rex", "tricks": ["sit"], "owner": None}


@pytest.mark.parametrize(
    ("kind", "payload", "value"),
    [
        (Cat | Dog, CAT, Cat(name="Tom", lives=9)),
        (Cat | Dog, DOG, Dog(name="Rex", tricks=["sit"])),
        (list[Cat] | Dog, [CAT], [Cat(name="Tom", lives=9)]),
        (dict, {"a": 1}, {"a": 1}),
        (dict[str, Any], {"a": [1, None]}, {"a": [1, None]}),
        (dict[str, object], {}, {}),
        (dict[str, Cat], {"t": CAT}, {"t": Cat(name="Tom", lives=9)}),
        (list[int], [1, 2], [1, 2]),
        (list[dict[str, Any]], [{"a": 1}], [{"a": 1}]),
        (list, [1, "a"], [1, "a"]),
        (int | str, "5", "5"),
    ],
)
def test_what_is_as_documented(kind: Any, payload: Any, value: Any) -> None:
    made, drifts = decode(kind, payload)

    assert made == value
    assert type(made) is type(value)
    assert drifts == []
    assert fits(kind, made)
    assert is_about(kind, payload)


def test_a_model_with_fields_of_every_kind() -> None:
    payload = {"pet": DOG, "pets": [CAT, DOG], "size": "big", "mood": "active", "rooms": {"attic": None, "den": CAT},
               "anything": {"x": [1]}}  # fmt: skip
    home, drifts = decode(Home, payload)

    assert drifts == []
    assert [type(pet) for pet in home.pets] == [Cat, Dog]
    assert (home.size, home.mood) == ("big", NumberStatus.ACTIVE)
    assert home.rooms["den"] == Cat(name="Tom", lives=9)
    assert to_dict(home) == payload


@pytest.mark.parametrize(
    ("payload", "model", "drift"),
    [
        ({"name": "Tom"}, Cat, "$.lives: expected int, found nothing"),
        ({"name": "Rex", "tricks": "sit"}, Dog, "$.tricks: expected list of str, found str"),
        ({**DOG, "age": 3}, Dog, "$.age: expected no such key, found int"),
    ],
)
def test_an_answer_that_fits_no_member_is_read_as_the_closest(payload: Any, model: Any, drift: str) -> None:
    made, drifts = decode(Cat | Dog, payload)

    assert type(made) is model
    assert [str(each) for each in drifts] == [drift]
    assert to_dict(made) == payload


@pytest.mark.parametrize(("kind", "payload"), [(Cat | Dog, [CAT]), (dict[str, int], [1]), (list[int], {}), (dict, 5)])
def test_an_answer_of_another_shape_is_none(kind: Any, payload: Any) -> None:
    made, drifts = decode(kind, payload)

    assert drifts
    assert not fits(kind, made)


def test_a_dict_keeps_what_does_not_fit() -> None:
    made, drifts = decode(dict[str, int], {"a": 1, "b": "2"})

    assert made == {"a": 1, "b": "2"}
    assert [str(each) for each in drifts] == ["$.b: expected int, found str"]


def test_from_dict_reads_a_union() -> None:
    kind: Any = Number | Success

    assert from_dict(kind, {"success": True}) == Success(success=True)
    assert from_dict(kind, ex.number()) == from_dict(Number, ex.number())
    with pytest.raises(DecodeError):
        from_dict(kind, {"success": True, "new": 1}, strict=True)


def test_matching_fields_count_more_than_missing_ones() -> None:
    kind: Any = Number | Message
    made, drifts = decode(kind, {"id": 1, "number": "1"})

    assert type(made) is Number
    assert drifts


@attrs.frozen(kw_only=True)
class Ledger(AnswerBase):
    when: datetime | int = attrs.field(default=None)
    amounts: dict[str, Decimal] = attrs.field(default=None)
    days: list[date] | None = None
    note: dict[str, object] | None = None


@pytest.mark.parametrize(
    "payload",
    [
        {"when": "2026-01-31T10:00:00Z", "amounts": {"a": "1.0E1"}, "days": ["2026-01-31T00:00:00Z"], "note": None},
        {"when": 7, "amounts": {}, "days": None, "note": {"a": [1]}},
        {"when": "2026-01-31T10:00:00.000Z", "amounts": {"a": "soon"}, "days": [], "note": None},
    ],
)  # fmt: skip
def test_values_with_a_text_of_their_own_come_back_as_they_were(payload: dict[str, Any]) -> None:
    ledger, _ = decode(Ledger, payload)

    assert to_dict(ledger) == payload
    assert attrs.evolve(ledger, amounts={"a": Decimal(1)}).amounts == {"a": Decimal(1)}


def test_a_deep_dict_comes_back() -> None:
    deep: Any = {}
    for _ in range(900):
        deep = {"a": deep}
    ledger, drifts = decode(Ledger, {"when": 1, "amounts": {}, "days": None, "note": deep})

    assert drifts == []
    assert to_dict(ledger)["note"]["a"] is deep["a"]
