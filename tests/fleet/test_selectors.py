"""Selectors: which numbers match their criteria."""

from __future__ import annotations

import io
import time
from typing import Any

import pytest

from tests.support import examples as ex
from tests.support.fleets import number
from wavix_async import Number, NumberUpdate, from_dict
from wavix_async.fleet import DesiredState, FleetFileError, read

yaml = pytest.importorskip("yaml", reason="the extra `yaml` is not installed")

ON = NumberUpdate(sms_enabled=True)


def desired(content: str | bytes) -> DesiredState:
    return read(io.BytesIO(content.encode() if isinstance(content, str) else content), layout="yaml")


def updates(content: str, *numbers: Number) -> list[NumberUpdate | None]:
    match = desired(content).match()
    made = match.updates(numbers)
    assert match.problems == []
    return made


def selected(select: str, *numbers: Number) -> list[int]:
    made = updates(f"numbers:\n- select: {select}\n  set: {{sms_enabled: true}}\n", *numbers)
    return [number.id for number, update in zip(numbers, made, strict=True) if update == ON]


def test_a_selector_tells_what_it_is():
    (selector,) = desired("numbers:\n- select: {label: [a, null]}\n  set: {sms_enabled: yes}\n").selectors

    assert (selector.criteria, selector.values) == ({"label": ("a", None)}, {"sms_enabled": True})
    assert (selector.place.file, selector.place.line) == ("<stream>", 2)
    assert selector.matches(number(1, label="a"))
    assert not selector.matches(number(1, label="b"))


@pytest.mark.parametrize(
    ("select", "field", "fits", "unfit"),
    [
        ("{label: sales}", "label", ["sales"], ["Sales", "sales 2", None, "", 5]),
        ("{label: 'sales*'}", "label", ["sales", "sales 2"], ["presales", None]),
        ("{label: [a?, '[b]']}", "label", ["ax", "[b]"], ["a", "b"]),
        ("{label: null}", "label", [None, ""], ["null"]),
        ("{label: 'null'}", "label", ["null"], [None]),
        ("{label: '*'}", "label", ["x"], [None, ""]),
        ("{country: NO}", "country_short_name", ["NO", "no"], ["US", False]),
        ("{country: united states}", "country", ["United States"], ["United Kingdom"]),
        ("{city: 'detroit*'}", "city", ["DETROIT, MI"], ["CHICAGO, IL"]),
        ("{state: [mi, null]}", "state", ["MI", None], ["IL"]),
        ("{status: Active}", "status", ["active"], ["inactive"]),
        ("{number: 1415*}", "number", ["14155550100", "+1 415 555"], ["1312", None, 1415]),
        ("{number: +1 (415) 555-01??}", "number", ["14155550100"], ["14155550200", "141555501000"]),
        ("{number: '1[34]1*'}", "number", ["1312", "1415"], ["1512"]),
        ("{number: +1 415 555 0100}", "number", ["14155550100"], ["4155550100"]),
        ("{sms_enabled: true}", "sms_enabled", [True], [False, 1, None, "true", []]),
        ("{cnam: [no, null]}", "cnam", [False, None], [True, 0]),
        ("{channels: [2, 4]}", "channels", [2, 4], [3, True, 2.0, [2]]),
        ("{id: [1, 2]}", "id", [1, 2], [3, True]),
        ("{call_status_url: 'http://*'}", "call_status_url", ["http://x.test"], ["https://x.test", None]),
    ],
)
def test_what_a_criterion_means(select: str, field: str, fits: list[Any], unfit: list[Any]):
    def given(value: Any) -> Number:
        return from_dict(Number, ex.number(country="-", country_short_name="-") | {field: value})

    (selector,) = desired(f"numbers:\n- select: {select}\n  set: {{sms_enabled: true}}\n").selectors

    assert [value for value in fits if not selector.matches(given(value))] == []
    assert [value for value in unfit if selector.matches(given(value))] == []


def test_all_criteria_must_hold():
    one, two, three = number(1, label="a", city="X"), number(2, label="a", city="Y"), number(3, label="b", city="X")

    assert selected("{label: a, city: x}", one, two, three) == [1]
    assert selected("all", one, two, three) == [1, 2, 3]


LABELS = ["a", "a", "b", None]


@pytest.mark.parametrize(
    ("exceptions", "left"),
    [
        ("{label: a}", [3, 4]),
        ("{label: a, city: X}", [2, 3, 4]),
        ("[{label: a, city: X}, {label: [b, null]}]", [2]),
        ("{number: '*4'}", [1, 2, 3]),
    ],
)
def test_a_selector_can_leave_numbers_out(exceptions: str, left: list[int]):
    numbers = [
        number(1, label="a", city="X"),
        number(2, label="a", city="Y"),
        number(3, label="b"),
        number(4, label=None),
    ]
    assert selected(f"all\n  except: {exceptions}", *numbers) == left


def test_what_matches_is_counted_with_its_place():
    match = desired(
        "numbers:\n- select: {label: [a, null]}\n  except: {city: X}\n  set: {sms_enabled: yes}\n"
        "- id: 5\n  set: {sms_enabled: no}\n- select: all\n  set: {cnam: yes}\n".replace(
            "cnam", "transcription_enabled"
        )
    ).match()
    numbers = [number(1, label="a", city="X"), number(2, label="a", city="Y"), number(3, label="b", city="X")]
    for listing, page in ((1, numbers), (2, numbers[1:]), (2, numbers[:1])):
        match.begin_listing(listing)
        match.updates(page)

    assert [(str(place), text, count) for place, text, count in match.selections()] == [
        ("<stream>, line 2, column 3", "select label: a or null", 1),
        ("<stream>, line 3, column 11", "except city: X", 1),
        ("<stream>, line 7, column 3", "select all", 3),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{id: 1, except: {label: a}, set: {sms_enabled: on}}", "line 2, column 11: except needs select beside it."),
        (
            "{select: all, except: {}, set: {sms_enabled: on}}",
            "line 2, column 25: except must be a mapping with",
        ),
        (
            "{select: all, except: [], set: {sms_enabled: on}}",
            "line 2, column 25: except must be a mapping with",
        ),
        (
            "{select: all, except: a, set: {sms_enabled: on}}",
            "line 2, column 25: except must be a mapping with",
        ),
        (
            "{select: all, except: {lable: a}, set: {sms_enabled: on}}",
            "line 2, column 26: unknown key lable in a selec",
        ),
        (
            "{select: all, except: {channels: a}, set: {sms_enabled: on}}",
            "line 2, column 36 (channels): must be",
        ),
    ],
)
def test_what_is_wrong_with_an_exception(entry: str, message: str):
    with pytest.raises(FleetFileError) as caught:
        desired(f"numbers:\n- {entry}\n")
    assert str(caught.value.problems[0]).removeprefix("<stream>, ").startswith(message)


def test_every_plain_field_of_a_number_can_be_selected_by():
    plain = {name for name, (kind, _) in ex.NUMBER_FIELDS.items() if kind in {"int", "str", "bool", "enum"}}

    with pytest.raises(FleetFileError) as caught:
        desired("numbers:\n- select: []\n  set: {sms_enabled: true}\n")
    criteria = str(caught.value).partition("a mapping with some of ")[2].removesuffix(".").split(", ")

    assert set(criteria) == plain - {"seconds"}


def test_many_stars_take_no_time():
    started = time.perf_counter()
    assert selected("{label: '" + "*a" * 30 + "b'}", number(1, label="a" * 200)) == []
    assert time.perf_counter() - started < 5, "backtracking would take years"
