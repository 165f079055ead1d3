"""`@unpack`: a method's keywords are the fields of its body."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import Any
from unittest import mock

import attrs
import pytest

from wavix_async import UNSET, InputError, NumberUpdate, WavixClient
from wavix_async.resources._unpack import unpack


@attrs.frozen(kw_only=True)
class Paint:
    colour: str
    coats: int = 2


class Shed:
    @unpack(Paint)
    def paint(self, wall: int, body: Paint) -> tuple[int, Paint]:
        """Paint one wall."""
        return wall, body

    @unpack(Paint)
    def paint_all(self, body: Paint) -> Paint:
        """Paint all."""
        return body


def test_keywords_become_the_body() -> None:
    assert Shed().paint(3, colour="red") == (3, Paint(colour="red"))
    assert Shed().paint_all(colour="blue", coats=1) == Paint(colour="blue", coats=1)


def test_name_and_words_stay() -> None:
    assert Shed.paint.__name__ == "paint"
    assert Shed.paint.__doc__ == "Paint one wall."
    assert Shed.paint.__qualname__ == "Shed.paint"


def test_the_signature_shows_the_fields() -> None:
    signature = inspect.signature(Shed().paint)

    assert list(signature.parameters) == ["wall", "colour", "coats"]
    assert signature.parameters["coats"].default == 2
    assert signature.parameters["colour"].kind is inspect.Parameter.KEYWORD_ONLY


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"colour": "red", "color": "red"}, r"paint\(\) does not take color; it takes colour, coats"),
        ({"colour": "red", "b": 1, "a": 2}, r"does not take a, b;"),
        ({"body": Paint(colour="red")}, r"does not take body"),
    ],
)
def test_wrong_keywords_are_named(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        Shed().paint(1, **keywords)

    assert caught.value.__suppress_context__


def test_a_missing_keyword_is_named() -> None:
    with pytest.raises(InputError, match=r"missing.*colour") as caught:
        Shed().paint(1)  # type: ignore[call-arg]

    assert "does not take" not in str(caught.value)


def test_the_body_itself_is_not_taken_by_position() -> None:
    with pytest.raises(InputError, match=r"write update\(number_id, \*\*changes\)"):
        WavixClient("key").numbers.update(1, NumberUpdate(sms_enabled=True))  # type: ignore[call-arg, arg-type, misc]


@pytest.mark.parametrize(("method", "first"), [("update", "number_id"), ("update_batch", "ids")])
def test_the_updates_of_numbers_show_every_field(method: str, first: str) -> None:
    numbers = WavixClient("key").numbers
    parameters = dict(inspect.signature(getattr(numbers, method)).parameters)

    assert list(parameters) == [first, *(field.name for field in attrs.fields(NumberUpdate))]
    del parameters[first]
    assert {parameter.default for parameter in parameters.values()} == {UNSET}
    assert {parameter.kind for parameter in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_a_forgotten_id_is_named() -> None:
    with pytest.raises((TypeError, InputError), match="number_id"):
        WavixClient("key").numbers.update(sms_enabled=True)  # type: ignore[call-arg]


def test_a_class_without_fields_is_refused_when_the_method_is_made() -> None:
    class Undecorated:
        pass

    with pytest.raises(TypeError, match=r"decorate the class with @frozen\(kw_only=True\)"):
        unpack(Undecorated)


async def test_a_method_looks_like_what_it_is() -> None:
    numbers = mock.create_autospec(WavixClient("key").numbers)

    assert asyncio.iscoroutinefunction(WavixClient("key").numbers.update) or sys.version_info >= (3, 12)
    assert isinstance(numbers.update, mock.AsyncMock)
    assert not isinstance(numbers.list, mock.AsyncMock)


def test_a_missing_id_names_the_method() -> None:
    with pytest.raises(TypeError, match=r"update\(\) is missing a required argument: 'number_id'"):
        WavixClient("key").numbers.update(sms_enabled=True)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("abc ", "message_id must be a string, not empty and without blanks around it, got 'abc '"),
        ("", "message_id must be a string, not empty"),
        (5, "message_id must be a string, got 5: pass Message.message_id."),
        ("all", "message_id must not be 'all', which is another path: pass Message.message_id."),
    ],
)
async def test_an_id_that_is_none_is_named(wrong: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        await WavixClient("key").messages.get(wrong)

    assert str(caught.value).startswith(message)


async def test_an_id_in_quotes_is_shown_without_and_a_phone_number_is_not() -> None:
    numbers = WavixClient("key").numbers
    with pytest.raises(InputError, match=r"not the phone number\. Without quotes: 1001\."):
        await numbers.get("1001")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"not the phone number\.$"):
        await numbers.get("15122000000")  # type: ignore[arg-type]
