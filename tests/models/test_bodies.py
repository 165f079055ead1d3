"""Values in bodies and queries: common spellings are normalized, anything else is rejected by name."""

from __future__ import annotations

import collections
import inspect
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models import bodies
from tests.models.bodies import Colour, Dot, Line, Mood, Plan, Search
from wavix_async import InputError, Number, NumberDestination, NumberUpdate, WavixClient, from_dict, models, to_dict
from wavix_async.models import MessageContent, MessageCreate

NAIVE = datetime(2026, 1, 31)  # noqa: DTZ001 - it is what must be refused


@pytest.mark.parametrize(
    ("given_", "kept", "sent"),
    [
        ({"colour": "red"}, Colour.RED, "red"),
        ({"colour": Colour.RED}, Colour.RED, "red"),
        ({"colour": "mauve"}, "mauve", "mauve"),
        ({"mood": 2}, Mood.BAD, 2),
        ({"mood": Mood.GOOD}, Mood.GOOD, 1),
        ({"width": 3}, 3, 3),
        ({"width": 3.5}, 3.5, 3.5),
        ({"price": "1.20"}, Decimal("1.20"), "1.20"),
        ({"price": Decimal(3)}, Decimal(3), "3"),
        ({"day": date(2026, 1, 31)}, date(2026, 1, 31), "2026-01-31"),
        ({"day": "2026-01-31"}, date(2026, 1, 31), "2026-01-31"),
        ({"moment": "2026-01-31T10:00:00"}, datetime(2026, 1, 31, 10, tzinfo=UTC), "2026-01-31T10:00:00.000Z"),
        (
            {"moment": datetime(2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=2)))},
            datetime(2026, 1, 31, 8, tzinfo=UTC),
            "2026-01-31T10:00:00+02:00",
        ),
        ({"tags": ["a", "b"]}, ("a", "b"), ["a", "b"]),
        ({"tags": ("a",)}, ("a",), ["a"]),
        ({"tags": []}, (), []),
        ({"dots": [{"x": 1, "from": "here"}]}, (Dot(x=1, from_="here"),), [{"x": 1, "from": "here"}]),
        ({"dots": [{"x": 1, "from_": "here"}]}, (Dot(x=1, from_="here"),), [{"x": 1, "from": "here"}]),
        ({"dots": (Dot(x=1),)}, (Dot(x=1),), [{"x": 1}]),
        ({"options": {"a": [1, {"b": None}]}}, {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        ({"options": collections.OrderedDict(a=date(2026, 1, 31))}, {"a": date(2026, 1, 31)}, {"a": "2026-01-31"}),
        ({"kind": "wide"}, "wide", "wide"),
        ({"either": 5}, 5, 5),
        ({"either": "five"}, "five", "five"),
        ({"either": {"x": 5}}, Dot(x=5), {"x": 5}),
        ({"anything": [1, "a", None]}, [1, "a", None], [1, "a", None]),
    ],
)
def test_what_people_write_is_brought_into_one_form(given_: dict[str, Any], kept: object, sent: object) -> None:
    (name,) = given_
    plan = Plan(**given_)

    assert getattr(plan, name) == kept
    assert type(getattr(plan, name)) is type(kept) or name == "colour"
    assert to_dict(plan) == {name: sent}
    assert json.loads(json.dumps(to_dict(plan))) == {name: sent}
    assert pickle.loads(pickle.dumps(plan)) == plan


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"colour": 5}, "Plan.colour must be a Colour: RED (red), BLUE (blue), or left out; got 5."),
        ({"colour": Mood.GOOD}, "Plan.colour must be a Colour"),
        ({"mood": "GOOD"}, "Plan.mood must be a Mood: GOOD (1), BAD (2)"),
        ({"mood": True}, "Plan.mood must be a Mood"),
        ({"width": "3"}, "Plan.width must be a number"),
        ({"width": float("nan")}, "Plan.width must be a number"),
        ({"width": float("inf")}, "Plan.width must be a number"),
        ({"price": 1.2}, "Plan.price must be a decimal number, or left out"),
        ({"price": "cheap"}, "Plan.price must be a decimal number"),
        ({"day": "31.1.2026"}, "Plan.day must be a date such as 2026-01-31"),
        ({"day": datetime(2026, 1, 31, tzinfo=UTC)}, "Plan.day must be a date"),
        ({"moment": NAIVE}, "Plan.moment must be a datetime with a time zone, for example"),
        ({"moment": "noon"}, "Plan.moment must be a datetime or an ISO 8601 text"),
        ({"tags": "a,b"}, "Plan.tags must be a list, each a string"),
        ({"tags": [1]}, "Plan.tags must be a list, each a string"),
        ({"tags": {"a"}}, "Plan.tags must be a list"),
        ({"dots": [{"x": "1"}]}, "Plan.dots[0]: Dot.x must be a whole number; got '1'."),
        ({"dots": [Dot(x=1), {"y": 1}]}, "Plan.dots[1]: Dot has no field y. Its fields are x, from_."),
        ({"dots": [{}]}, "Plan.dots[0]: Dot.x is missing; got {}."),
        ({"dots": [Line(dot=Dot(x=1))]}, "Plan.dots must be a list, each a Dot"),
        ({"dots": Dot(x=1)}, "Plan.dots must be a list, each a Dot"),
        ({"options": {1: 2}}, "Plan.options must be a mapping with strings as keys"),
        ({"options": [("a", 1)]}, "Plan.options must be a mapping"),
        ({"kind": "tall"}, "Plan.kind must be 'wide' or 'narrow'"),
        ({"either": 5.5}, "Plan.either must be a whole number or a string or a Dot"),
    ],
)
def test_anything_else_is_refused_by_name(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Plan(**given_)

    assert str(caught.value).startswith(message)
    assert caught.value.outcome == "not_sent"


def test_the_own_example_of_the_api_is_taken() -> None:
    update = NumberUpdate(
        destinations=[{"destination": "[did]@pbx.example.net", "transport": 1, "priority": 1, "trunk_id": None}]
    )

    assert update.destinations == (
        NumberDestination(destination="[did]@pbx.example.net", priority=1, transport=1, trunk_id=None),
    )


def test_null_is_sent_where_it_has_a_meaning() -> None:
    message = MessageCreate(from_="Acme", to="1", message_body={"text": "Hi"})

    assert to_dict(message) == {"from": "Acme", "to": "1", "message_body": {"text": "Hi", "media": None}}
    assert message.message_body == MessageContent(text="Hi")


def test_a_body_is_hashable_or_plainly_not() -> None:
    assert hash(NumberUpdate(destinations=[{"destination": "1", "transport": 4, "priority": 1}]))
    assert isinstance(Dot(x=1), collections.abc.Hashable)
    assert not isinstance(Plan(), collections.abc.Hashable)
    with pytest.raises(TypeError, match="unhashable type: 'Plan'"):
        hash(Plan())


def test_an_answer_is_plainly_not_hashable() -> None:
    for name in models.__all__:
        kind = getattr(models, name)
        if inspect.isclass(kind) and issubclass(kind, bodies.Model) and kind is not bodies.Model:
            assert not issubclass(kind, collections.abc.Hashable), name
    with pytest.raises(TypeError, match="unhashable type: 'Number'"):
        hash(Number(id=1))


def test_json_dumps_takes_a_model_with_to_dict() -> None:
    number = from_dict(Number, {"id": 7, "label": None})

    assert json.loads(json.dumps({"a": [number]}, default=to_dict)) == {"a": [{"id": 7, "label": None}]}
    assert "default=wavix_async.to_dict" in (bodies.Model.__doc__ or "")


def test_the_repr_begins_with_what_it_is_about() -> None:
    assert repr(Number(id=7)).startswith("Number(id=7, number=None, ")
    assert repr(from_dict(Number, {"id": 7, "new": 1})).endswith(", extra={'new': 1})")
    assert "example.com/file" not in repr(models.NumberDocument(id=1, url="https://example.com/file"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Number(id=1).destinations, "an answer has the list `destination`; a change (`NumberUpdate`) has"),
        (lambda: NumberUpdate().destination, "a change has the list `destinations`; an answer has `destination`"),
        (lambda: Number(id=1).labels, "Number has no attribute 'labels': did you mean 'label'?"),
        (lambda: Number(id=1).zzz, "Number has no attribute 'zzz'"),
    ],
)
def test_a_wrong_attribute_is_answered_with_the_right_one(make: Any, message: str) -> None:
    with pytest.raises(AttributeError) as caught:
        make()

    assert message in str(caught.value)


@pytest.mark.parametrize("kind", [Number, NumberUpdate, MessageCreate, models.MessageList])
def test_help_tells_of_every_field_that_is_documented(kind: Any) -> None:
    text = inspect.getdoc(kind) or ""

    assert "Attributes:\n" in text
    names = {
        "Number": "monthly_fee",
        "NumberUpdate": "destinations",
        "MessageCreate": "from_",
        "MessageList": "sent_after",
    }
    assert f"    {names[kind.__name__]}: " in text
    assert text.count("Attributes:") == 1


def test_help_of_a_method_tells_of_its_keywords() -> None:
    wavix = WavixClient("k" * 12)
    text = inspect.getdoc(wavix.numbers.update) or ""

    args = text.partition("Args:\n")[2].partition("\n\n")[0]
    assert args.index("number_id: ") < args.index("sms_enabled: Whether inbound SMS")
    assert "Raises:" in text
    assert "validity: Seconds after which" in (inspect.getdoc(wavix.messages.send) or "")


@given(st.lists(st.fixed_dictionaries({"x": st.integers(), "from": st.text()}), max_size=3))
def test_any_list_of_mappings_is_sent_as_it_was_given(dots: list[dict[str, Any]]) -> None:
    assert to_dict(Plan(dots=dots)) == {"dots": dots}


def test_a_query_leaves_out_what_is_none() -> None:
    assert Search(page=1, limit=5, from_="a").per_page is None
    with pytest.raises(InputError, match=r"Search\.from_ must be a string or None; got 5\."):
        Search(from_=5)
    with pytest.raises(InputError, match="limit must be a whole number of 1 or more, got 0"):
        Search(limit=0)


@pytest.mark.parametrize(
    "value",
    [
        {"x": float("nan")},
        {"x": [float("inf")]},
        {"x": {1: 2}},
        {"x": NAIVE},
        {"x": {1, 2}},
        {"x": b""},
    ],
    ids=str,
)
def test_what_json_cannot_hold_is_refused_inside_of_a_mapping(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Plan\.options must be|Plan\.options\b.*time zone"):
        Plan(options=value)
    with pytest.raises(InputError, match=r"Plan\.anything must be"):
        Plan(anything=value)


def test_what_was_passed_in_can_change_later() -> None:
    options: dict[str, Any] = {"a": [1]}
    plan = Plan(options=options)
    options["a"].append(float("nan"))

    assert to_dict(plan) == {"options": {"a": [1]}}


def test_subclasses_of_plain_types_are_taken() -> None:
    class Text(str):
        __slots__ = ()

    class Whole(int):
        pass

    plan = Plan(colour=Text("red"), mood=Whole(2), tags=[Text("a")], either=Whole(7))

    assert (plan.colour, plan.mood, plan.either) == (Colour.RED, Mood.BAD, 7)
    assert to_dict(plan) == {"colour": "red", "mood": 2, "tags": ["a"], "either": 7}
    assert Plan(width=10**400).width == 10**400


def test_a_field_that_hides_a_method_of_the_mapping_is_refused() -> None:
    with pytest.raises(TypeError, match=r"would hide a method, .* name the field items_"):

        @attrs.frozen(kw_only=True)
        class Wrong(bodies.Body):
            items: int = 1


def test_a_nested_mapping_makes_a_body_plainly_unhashable() -> None:
    assert not issubclass(bodies.Outer, collections.abc.Hashable)


def test_the_text_of_a_message_is_not_shown() -> None:
    assert "9911" not in repr(MessageCreate(from_="a", to="1", message_body={"text": "Your code is 9911"}))
    assert "9911" not in repr(models.MessageBody(text="Your code is 9911"))


def test_the_limit_of_a_query_is_not_sent() -> None:
    assert to_dict(Search(limit=5, page=2)) == {"page": 2}
