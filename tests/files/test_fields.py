"""The settings of a number: read from a response, and converted back to an update."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import examples as ex
from wavix_async import InputError, Number, NumberDestination, NumberUpdate, from_dict
from wavix_async._files import FIELDS, settings_of, to_json, update_from, update_from_json


def number(**changes: Any) -> Number:
    return from_dict(Number, ex.number(**changes))


def test_the_settings_of_a_number_set_it_as_it_is() -> None:
    given = number(
        destination=[
            ex.destination(destination="32882", priority=2, transport=5, trunk_id=7),
            ex.destination(destination="14155550142", priority=1, transport=4, trunk_id=None),
        ]
    )
    settings = settings_of(given)
    assert tuple(settings) == FIELDS
    assert settings["destinations"] == [
        {"destination": "14155550142", "priority": 1, "transport": 4},
        {"destination": "32882", "priority": 2, "transport": 5, "trunk_id": 7},
    ]
    update = update_from_json(to_json(settings))
    assert update == update_from(settings)
    assert update.destinations == (
        NumberDestination(destination="14155550142", priority=1, transport=4),
        NumberDestination(destination="32882", priority=2, transport=5, trunk_id=7),
    )
    assert update.differs_from(given) == ()


def test_a_cleared_url_is_null_and_the_order_of_destinations_does_not_matter() -> None:
    routes = [ex.destination(priority=2), ex.destination(priority=1)]
    one = settings_of(number(call_status_url="", destination=routes))
    two = settings_of(number(call_status_url=None, destination=routes[::-1]))
    assert one == two
    assert one["call_status_url"] is None


@pytest.mark.parametrize(
    ("field", "answered", "setting"),
    [("sms_enabled", None, None), ("transcription_threshold", "six", "six"), ("destination", "none", "none")],
)
def test_a_value_that_is_not_as_documented_stays_as_it_came(field: str, answered: Any, setting: Any) -> None:
    settings = settings_of(number(**{field: answered}))
    name = "destinations" if field == "destination" else field
    assert settings[name] == setting
    with pytest.raises(InputError):
        update_from({name: setting})


def test_a_destination_with_an_unknown_key_is_an_input_error() -> None:
    with pytest.raises(InputError, match="destinations"):
        update_from({"destinations": [{"destination": "x", "colour": 1}]})


def test_equal_settings_are_equal_json() -> None:
    assert to_json({"b": 1, "a": "é"}) == to_json({"a": "é", "b": 1}) == '{"a":"é","b":1}'
    assert update_from_json('{"sms_enabled":true}') == NumberUpdate(sms_enabled=True)
