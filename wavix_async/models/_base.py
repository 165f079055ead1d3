"""What every model shares: answers (`Model`), request bodies (`Body`) and enums that stay open.

The modules of this package do without `from __future__ import annotations`: `check_types` reads real types.
"""

import enum
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from wavix_async.errors import InputError
from wavix_async.types import UNSET, UnsetType

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema, SchemaSerializer

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


class _Pydantic:
    """Tells pydantic, when it asks, how to take, write and describe a class; nothing of it is loaded before."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        from wavix_async._codec import pydantic as _pydantic

        return _pydantic.schema(source, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: "CoreSchema", handler: "GetJsonSchemaHandler") -> "JsonSchemaValue":
        from wavix_async._codec import pydantic as _pydantic

        return _pydantic.describe(schema, handler)


class _Object(_Pydantic):
    """Also tells how to write an instance that stands where no type is declared."""

    __slots__ = ()

    @property
    def __pydantic_serializer__(self) -> "SchemaSerializer":
        try:
            from wavix_async._codec import pydantic as _pydantic
        except ImportError:
            raise AttributeError("__pydantic_serializer__") from None
        return _pydantic.SERIALIZER


@attrs.frozen(kw_only=True)
class Model(_Object):
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
class Body(_Object, Mapping[str, Any]):
    """The base of every request body: `UNSET` fields are not sent, None is sent as null.

    It is also a mapping of the fields that are set, so that it can be passed on: `numbers.update(id, **body)`.

    Raises:
        InputError: A field has another type than its annotation says.
    """

    def __attrs_post_init__(self) -> None:
        check_types(self)

    def __getitem__(self, name: str) -> Any:
        value = getattr(self, name, UNSET) if name in _names(type(self)) else UNSET
        if value is UNSET:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in _names(type(self)) if getattr(self, name) is not UNSET)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return True


@functools.cache
def _names(body: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(body))


class _Open(_Pydantic):
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


_WORDS: Final[dict[Any, str]] = {bool: "true or false", int: "a whole number", str: "a string", type(None): "None"}


@attrs.frozen(eq=False, repr=False)
class _Rule:
    """What a field of a request body takes."""

    name: str
    kinds: frozenset[type]
    items: frozenset[type]
    """What a list may hold; empty where no list is taken."""
    words: str


def _members(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return typing.get_args(annotation)
    return (annotation,)


def _word(annotation: Any) -> str:
    if typing.get_origin(annotation) is list:
        return f"a list, each {_word(typing.get_args(annotation)[0])}"
    return _WORDS.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")


def _make_rules(body: Any) -> tuple[_Rule, ...]:
    rules = []
    for field in attrs.fields(body):
        members = _members(field.type)
        lists = [member for member in members if typing.get_origin(member) is list]
        words = " or ".join(_word(member) for member in members if member is not UnsetType)
        rules.append(
            _Rule(
                field.name,
                frozenset(member for member in members if member not in lists),
                frozenset(item for member in lists for item in _members(typing.get_args(member)[0])),
                words + ("; leave it out to keep it as it is" if UnsetType in members else ""),
            )
        )
    return tuple(rules)


_rules: Final[Callable[[Any], tuple[_Rule, ...]]] = functools.cache(_make_rules)


def check_types(body: Any) -> None:
    """Hold the fields of a request body against their annotations.

    Raises:
        InputError: A field has another type; the message names it.
    """
    for rule in _rules(type(body)):
        value = getattr(body, rule.name)
        if type(value) in rule.kinds or (rule.items and _is_list_of(rule.items, value)):
            continue
        raise InputError(f"{type(body).__name__}.{rule.name} must be {rule.words}; got {value!r}.")


def _is_list_of(kinds: frozenset[type], value: object) -> bool:
    return isinstance(value, list | tuple) and all(type(item) in kinds for item in value)
