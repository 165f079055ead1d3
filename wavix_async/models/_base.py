"""What every model shares: answers (`Model`), request bodies (`Body`) and enums that stay open.

The modules of this package do without `from __future__ import annotations`: `check_types` reads real types.
"""

import enum
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Self

import attrs

from wavix_async.errors import InputError
from wavix_async.types import UnsetType

__all__ = ["NO_EXTRA", "Body", "Model", "OpenIntEnum", "OpenStrEnum", "Origin"]


@attrs.frozen
class Origin:
    """What an answer looked like where the decoded model does not tell: keeps `to_dict` exact."""

    absent: frozenset[str] = frozenset()
    """Wire names of documented fields that the answer did not have."""
    texts: Mapping[str, tuple[object, object]] = attrs.field(factory=dict)
    """Wire name -> (decoded value, value as it came), where encoding the first does not give the second."""


class _NoExtra(Mapping[str, object]):
    """The empty mapping that all models without unknown keys share."""

    __slots__ = ()

    def __getitem__(self, key: str) -> object:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NO_EXTRA"


NO_EXTRA: Final[Mapping[str, object]] = _NoExtra()


@attrs.frozen(kw_only=True)
class Model:
    """The base of every answer.

    A field whose type allows None may be missing or null in an answer. Any other is documented as always there; should
    the API leave it out all the same, it holds None, and a value of another type than documented is kept as it came
    (`WavixClient(strict=True)` raises `DecodeError` instead).

    Attributes:
        extra: Keys of the answer that this version does not know, as they came.
    """

    extra: Mapping[str, object] = NO_EXTRA
    _origin: Origin | None = attrs.field(default=None, alias="_origin", repr=False, eq=False)


@attrs.frozen(kw_only=True)
class Body:
    """The base of every request body: `UNSET` fields are not sent, None is sent as null.

    Raises:
        InputError: A field has another type than its annotation says.
    """

    def __attrs_post_init__(self) -> None:
        check_types(self)


class _Open:
    """An enum that takes values it does not know, so that an answer decodes although the API has moved on."""

    @classmethod
    def _pseudo_member(cls, value: Any, kind: type, made: Any) -> Any:
        if type(value) is not kind:
            return None
        made._name_ = str(value)
        made._value_ = value
        return made


class OpenStrEnum(_Open, enum.StrEnum):
    """An enum of strings; an unknown string becomes a pseudo-member that compares equal to it."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        made = str.__new__(cls, value) if type(value) is str else None
        return typing.cast("Self | None", cls._pseudo_member(value, str, made))


class OpenIntEnum(_Open, enum.IntEnum):
    """An enum of integers; an unknown integer becomes a pseudo-member that compares equal to it."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        made = int.__new__(cls, value) if type(value) is int else None
        return typing.cast("Self | None", cls._pseudo_member(value, int, made))


_WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", str: "a string", type(None): "None"}


def _members(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return typing.get_args(annotation)
    return (annotation,)


def _check_for(annotation: Any) -> tuple[Callable[[object], bool], str]:
    if typing.get_origin(annotation) is list:
        (item,) = typing.get_args(annotation)
        inner, word = _check_for(item)
        return (lambda value: isinstance(value, list | tuple) and all(map(inner, value))), f"a list, each {word}"
    if annotation in _WORDS:
        return (lambda value: type(value) is annotation), _WORDS[annotation]
    return (lambda value: isinstance(value, annotation)), f"a {annotation.__name__}"


def _is_unset(value: object) -> bool:
    return value is UnsetType.UNSET


def _rule(annotation: Any) -> tuple[Callable[[object], bool], str]:
    checks = [_check_for(member) for member in _members(annotation) if member is not UnsetType]
    tests = [test for test, _ in checks]
    words = " or ".join(word for _, word in checks)
    if UnsetType in _members(annotation):
        words += "; leave it out to keep it as it is"
        tests.append(_is_unset)
    return (tests[0] if len(tests) == 1 else _any_of(tests)), words


def _any_of(tests: list[Callable[[object], bool]]) -> Callable[[object], bool]:
    # The last is UNSET where it is allowed, and that is what most fields of most updates are.
    backwards = tests[::-1]

    def test(value: object) -> bool:
        for one in backwards:  # noqa: SIM110 - any() with a generator takes three times as long
            if one(value):
                return True
        return False

    return test


def _make_rules(body: Any) -> tuple[tuple[str, Callable[[object], bool], str], ...]:
    return tuple((field.name, *_rule(field.type)) for field in attrs.fields(body))


_rules: Final[Callable[[Any], tuple[tuple[str, Callable[[object], bool], str], ...]]] = functools.cache(_make_rules)


def check_types(body: Any) -> None:
    """Hold the fields of a request body against their annotations.

    Raises:
        InputError: A field has another type; the message names it.
    """
    for name, test, words in _rules(type(body)):
        value = getattr(body, name)
        if not test(value):
            raise InputError(f"{type(body).__name__}.{name} must be {words}; got {value!r}.")
