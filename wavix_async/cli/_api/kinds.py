"""What an annotation of the library means on the command line."""

import collections.abc
import enum
import inspect
import os
import types
import typing
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias

import attrs

from wavix_async._codec import FieldsBase
from wavix_async.types import UnsetType

__all__ = ["Kind", "kind_of", "members_of", "resolve"]

Word: TypeAlias = Literal[
    "flag",
    "text",
    "path",
    "day",
    "int",
    "number",
    "float",
    "date",
    "datetime",
    "pair",
    "list",
    "object",
    "objects",
    "rows",
]


@attrs.frozen
class Kind:
    """How an option is read.

    Attributes:
        word: How its text is read. A `day` is a text, for a day or a time; `objects` are a list of JSON objects, `rows`
            a file of bodies.
        item: How each item of a list is read.
        choices: The values that the documentation names; the API may accept others.
        model: The class of the body that an object or a row is; of a list, the class of a filter that may be given in
            its place.
        nullable: Whether None is a value, and not only "not given".
    """

    word: Word
    item: "Kind | None" = None
    choices: tuple[str, ...] = ()
    model: Any = None
    nullable: bool = False


_SEQUENCES: Final = (
    *(list, tuple, set, frozenset),
    *(collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection, collections.abc.Set),
    collections.abc.AsyncIterable,
)
_MAPPINGS: Final = (dict, collections.abc.Mapping)
_SCALARS: Final[tuple[tuple[Any, Word], ...]] = (
    (str, "text"),
    (int, "int"),
    (Decimal, "number"),
    (float, "float"),
    (datetime, "datetime"),
    (date, "date"),
)


def resolve(annotation: Any, names: Mapping[str, Any]) -> Any:
    """Return an annotation that may be a string as a type; None if it names what only type checkers know."""
    if not isinstance(annotation, str):
        return annotation
    try:
        holder = types.SimpleNamespace(__annotations__={"it": annotation})
        return typing.get_type_hints(holder, dict(names), include_extras=True)["it"]
    except NameError:
        return None


def members_of(annotation: Any) -> list[Any]:
    """Return the members of a type, without `Annotated` and without unions inside unions."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return members_of(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType}:
        return [each for member in typing.get_args(annotation) for each in members_of(member)]
    if isinstance(annotation, typing.TypeVar) and annotation.__bound__ is not None:
        return members_of(annotation.__bound__)
    return [annotation]


def _models(annotation: Any) -> Iterator[Any]:
    """Yield the classes of bodies and queries anywhere inside a type."""
    for member in members_of(annotation):
        if _is_fields(member):
            yield member
        for inner in typing.get_args(member):
            yield from _models(inner)


def _is_fields(member: Any) -> bool:
    return inspect.isclass(member) and issubclass(member, FieldsBase)


def kind_of(annotation: Any) -> Kind | None:
    """Return how an option of this type is read; None if no text can stand for a value, as for a callback."""
    found = members_of(annotation)
    nullable = type(None) in found
    given = [member for member in found if member not in (type(None), None, UnsetType)]
    kind = _kind_of(given)
    return kind and attrs.evolve(kind, nullable=nullable)


def _kind_of(given: list[Any]) -> Kind | None:
    if bool in given:
        return Kind("flag")
    if models := [member for member in given if _is_fields(member)]:
        lists = [member for member in given if (typing.get_origin(member) or member) in _SEQUENCES]
        if any(str in members_of(item) for member in lists for item in typing.get_args(member)[:1]):
            return Kind("list", item=Kind("text"), model=models[0])
        return Kind("object", model=models[0])
    mappings = [member for member in given if (typing.get_origin(member) or member) in _MAPPINGS]
    for member in given:
        if (typing.get_origin(member) or member) in _SEQUENCES:
            return _list_of(member, mappings)
    if mappings:
        return Kind("object")
    for member in given:
        if typing.get_origin(member) is Literal:
            values = typing.get_args(member)
            word: Word = "text" if all(isinstance(value, str) for value in values) else "int"
            return Kind(word, choices=tuple(map(str, values)))
        if inspect.isclass(member) and issubclass(member, enum.Enum):
            word = "int" if issubclass(member, int) else "text"
            return Kind(word, choices=tuple(str(each.value) for each in member))
    if any((typing.get_origin(member) or member) is os.PathLike for member in given):
        return Kind("path")
    if str in given and (date in given or datetime in given):
        return Kind("day")
    return next((Kind(word) for scalar, word in _SCALARS if scalar in given), None)


def _list_of(member: Any, mappings: list[Any]) -> Kind | None:
    items = typing.get_args(member)
    item = items[0] if items else str
    model = next(_models(item), None)
    if typing.get_origin(member) is tuple and len(items) == 2 and items[1] is not Ellipsis:
        return Kind("pair") if items == (float, float) else None
    if mappings and model is not None:
        # A mapping of keys to bodies, or pairs of both, or bodies.
        return Kind("rows", model=model)
    if model is not None:
        return Kind("objects", model=model)
    inner = kind_of(item)
    if inner is None or inner.word == "object":
        return Kind("objects")
    return Kind("list", item=inner) if inner.word in {"text", "int"} else Kind("objects")
