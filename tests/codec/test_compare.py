"""Whether an answer shows the value that a request asked for, however it writes it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavix_async import UNSET, InboundCallDestination, InboundCallTransport, NumberDestination, NumberStatus, from_dict
from wavix_async._codec import is_same_id, shows

pytestmark = pytest.mark.req_26

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ROUTE = {"destination": "a@example.com", "priority": 1, "transport": 1}


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (True, True),
        (None, None),
        (None, ""),
        ("", None),
        ([], None),
        ((), []),
        (None, {}),
        (UNSET, "anything"),
        (1, 1.0),
        (1, "1"),
        (Decimal("1.0"), "1"),
        ("1.50", Decimal("1.5")),
        (Decimal("1.50"), 1.5),
        ("+14155550123", "14155550123"),
        ("14155550123", "+1 (415) 555-0123"),
        ("14155550123", 14155550123),
        ("0014155550123", "14155550123"),
        ("07700 900123", "447700900123"),
        (NumberStatus.ACTIVE, "active"),
        ("active", NumberStatus.ACTIVE),
        (InboundCallTransport.PSTN, 4),
        (NOON, "2026-01-31T12:00:00.000Z"),
        (NOON, datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1)))),
        ("2026-01-31T12:00:00", NOON),
        (date(2026, 1, 31), "2026-01-31"),
        (date(2026, 1, 31), "2026-01-31T00:00:00Z"),
        (["b", "a"], ("a", "b")),
        ({"text": "Hello"}, {"text": "Hello", "media": None}),
        (NumberDestination(**ROUTE), {**ROUTE, "id": 7, "trunk_id": None}),
        (NumberDestination(**ROUTE), from_dict(InboundCallDestination, {**ROUTE, "id": 7})),
        ([ROUTE], [from_dict(InboundCallDestination, {**ROUTE, "id": 7})]),
    ],
)
def test_the_same_value_in_another_form(asked: Any, shown: Any) -> None:
    assert shows(shown, asked)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (True, False),
        (True, 1),
        (1, True),
        (False, None),
        (False, ""),
        (False, 0),
        (True, "true"),
        (0, None),
        (6, 12),
        (6, "six"),
        ("https://a.example", "https://A.example"),
        ("https://a.example", "https://a.example/"),
        ("https://a.example", None),
        ("007", "7"),
        ("14155550123", "14155550124"),
        ("14155550123", "415555012"),
        ("14155550123", "123"),
        ("https://14155550123", "14155550123"),
        (NumberStatus.ACTIVE, "inactive"),
        (NOON, "2026-01-31T12:00:01Z"),
        (NOON, "yesterday"),
        (NOON, 5),
        (date(2026, 1, 31), "2026-02-01"),
        (["a"], ["a", "a"]),
        (["a", "a"], ["a", "b"]),
        (["a"], "a"),
        ("a", ["a"]),
        ({"text": "Hello"}, {"text": "Bye"}),
        ({"text": "Hello"}, "Hello"),
        ([ROUTE], [{**ROUTE, "priority": 2}]),
        (float("inf"), "inf"),
    ],
)
def test_another_value(asked: Any, shown: Any) -> None:
    assert not shows(shown, asked)


@pytest.mark.parametrize(
    ("asked", "shown", "same"),
    [
        (1, 1, True),
        (1, "1", True),
        ("1", 1, True),
        (1, True, False),
        (1, 1.0, True),
        (2**70, float(2**70), True),
        (1, 2, False),
        (1, None, False),
        (1, [1], False),
        ("3F0D-7d3e", "3f0d-7D3E", True),
        ("3f0d", "3f0e", False),
    ],
)
def test_ids(asked: Any, shown: Any, same: bool) -> None:
    assert is_same_id(shown, asked) is same


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(json, json)
def test_any_two_values_can_be_compared(asked: Any, shown: Any) -> None:
    assert shows(shown, asked) in {True, False}
    assert is_same_id(shown, asked) in {True, False}


@settings(max_examples=50)
@given(json.filter(lambda value: value == value))
def test_a_value_shows_itself(value: Any) -> None:
    assert shows(value, value)
