"""Values of fields, from text and from JSON."""

from __future__ import annotations

from typing import Any

import pytest

from wavix_async import NumberDestination, NumberUpdate
from wavix_async._files import FIELDS, KINDS, ValueProblem, WrongValues, from_text, is_list, make_update

ROUTE = {"destination": "[did]@sip.example.com", "priority": 1, "transport": 1}


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("sms_enabled", "TRUE", True),
        ("sms_enabled", "no", False),
        ("sms_enabled", "maybe", "maybe"),
        ("sms_enabled", "null", "null"),
        ("transcription_threshold", "-3", -3),
        ("transcription_threshold", "1.5", "1.5"),
        ("transcription_threshold", "9" * 1_001, "9" * 1_001),
        ("call_status_url", "null", None),
        ("call_status_url", '"null"', "null"),
        ("call_status_url", '" a"', " a"),
        ("call_status_url", '"half', '"half'),
        ("call_status_url", "true", "true"),
        ("destinations", "[]", []),
    ],
)
def test_text_means_what_its_field_makes_of_it(field: str, text: str, value: Any) -> None:
    made = from_text(field, text)
    assert (type(made), made) == (type(value), value)


@pytest.mark.parametrize("text", ["[", "[" * 100_000])
def test_a_list_must_be_json(text: str) -> None:
    with pytest.raises(ValueProblem, match="must be a JSON list") as caught:
        from_text("destinations", text)
    assert caught.value.field == "destinations"


def test_every_field_of_an_update_has_its_types() -> None:
    assert tuple(KINDS) == FIELDS
    assert [name for name, kinds in KINDS.items() if any(map(is_list, kinds))] == ["destinations"]
    assert KINDS["call_status_url"] == (str, type(None))


def test_an_update_of_json_values() -> None:
    assert make_update({"sms_enabled": True, "sms_relay_url": None, "destinations": [ROUTE]}) == NumberUpdate(
        sms_enabled=True, sms_relay_url=None, destinations=[NumberDestination(**ROUTE)]
    )
    assert make_update({}) == NumberUpdate()


def test_all_wrong_values_are_found_at_once() -> None:
    with pytest.raises(WrongValues) as caught:
        make_update(
            {
                "sms_enabled": "maybe",
                "transcription_threshold": 3,
                "call_status_url": 5,
                "destinations": [ROUTE, {"destination": "x", "colour": 1}],
            }
        )
    found = {problem.field: problem.message for problem in caught.value.problems}
    assert sorted(found) == ["call_status_url", "destinations", "sms_enabled"]
    assert found["sms_enabled"].startswith("must be true or false;")
    assert found["destinations"].startswith(
        "[1] has unknown keys: colour; the keys are destination, priority, transport"
    )


@pytest.mark.parametrize(
    ("destinations", "message"),
    [
        (["x"], "[0] must be an object with destination, priority, transport"),
        ([{"destination": "x"}], "[0] is missing priority, transport."),
        ([{**ROUTE, "priority": "high"}], "[0]: "),
    ],
)
def test_what_is_wrong_with_a_destination(destinations: list[Any], message: str) -> None:
    with pytest.raises(WrongValues) as caught:
        make_update({"destinations": destinations})
    (problem,) = caught.value.problems
    assert problem.field == "destinations"
    assert problem.message.startswith(message)
