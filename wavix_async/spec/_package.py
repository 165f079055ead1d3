"""What this package's operations take and answer, in the terms of a description: read from methods and models."""

import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache, cached_property
from typing import Any, Final, Literal, TypeAlias

import attrs

from wavix_async._codec import AnswerBase, FieldsBase, is_union, members, shape_of
from wavix_async._http import Download, Export, Operation
from wavix_async.client import WavixClient
from wavix_async.models import Query, events
from wavix_async.spec._document import Described
from wavix_async.spec._shape import ANYTHING, Shape, any_of
from wavix_async.types import UnsetType

__all__ = ["Place", "operations_of_package", "places_of_package", "subject_of"]

Place: TypeAlias = tuple[str, Literal["operation", "request", "answer"], str]
"""An operation, a side of it, and the path of a field: `items[].status`."""

_OWN_KEYWORDS: Final = frozenset({"limit", "progress", "filename", "accept_unknown_length", "idempotency_key"})
"""Keywords of methods that are for the client itself, or go into a header."""
_EVENTS: Final[Mapping[str, Any]] = {
    "OnCallEvent": events.CallEvent,
    "PostCallEvent": events.PostCall,
    "AudioFileTranscriptionCompleted": events.FileTranscriptionCompleted,
    "CallTranscriptionCompleted": events.CallTranscriptionCompleted,
    "DeliveryReport": events.DeliveryReport,
    "InboundMessage": events.InboundMessage,
    "BrandStatusChanged": events.BrandStatusChanged,
    "CampaignStatusChanged": events.CampaignStatusChanged,
    "NumberStatusChanged": events.NumberStatusChanged,
}
"""The models of the webhooks of the description."""


@cache
def operations_of_package() -> Mapping[str, Described]:
    """Return every operation of the package, and every webhook, by name. It loads all groups."""
    client = WavixClient("no-key-is-needed")
    found = dict[str, Described]()
    calls = dict[str, list[tuple[Operation[Any], Any]]]()
    for kind in _groups(client):
        for constant, operation in vars(sys.modules[kind.__module__]).items():
            # A private one is a variant of another.
            if isinstance(operation, Operation) and not constant.startswith("_"):
                methods = calls.setdefault(operation.name, [])
                methods += [(operation, method) for method in _methods(kind) if _uses(method, constant, operation)]
                found.setdefault(operation.name, _described(operation, None))
    for name, methods in calls.items():
        if methods:
            found[name] = _described(*max(methods, key=lambda each: _names(each[1], name)))
    for name, model in _EVENTS.items():
        found[f"WEBHOOK {name}"] = Described(name=f"WEBHOOK {name}", answer=_shape(model))
    return found


def _groups(owner: object) -> Iterator[type]:
    """Yield the classes of the groups of operations under a client or a group."""
    for base in type(owner).__mro__:
        for name, value in vars(base).items():
            if isinstance(value, cached_property) and not name.startswith("_"):
                group = getattr(owner, name)
                if type(group).__module__.startswith("wavix_async.resources."):
                    yield type(group)
                    yield from _groups(group)


def _methods(kind: type) -> Iterator[Any]:
    for base in kind.__mro__:
        for name, value in vars(base).items():
            if inspect.isfunction(value) and not name.startswith("_"):
                yield value


def _uses(method: Any, constant: str, operation: Operation[Any]) -> bool:
    """Return whether a method names an operation in its code."""
    code = inspect.unwrap(method)
    return constant in code.__code__.co_names and code.__globals__.get(constant) is operation


def _names(method: Any, operation: str) -> bool:
    """Return whether the docstring says that the method is the call of an operation; helpers only use it."""
    return f"({operation})" in (inspect.getdoc(method) or "").partition("\n\n")[0]


def _described(operation: Operation[Any], method: Any) -> Described:
    result = operation.result
    is_export = typing.get_origin(result) is Export
    kind: Any = typing.get_args(result)[0] if is_export else result
    answer = _shape(kind)
    if operation.unwrap:
        answer = Shape(
            types=frozenset({"object"}), fields={operation.unwrap: answer}, is_open=True, owner=operation.unwrap
        )
    request = Shape(is_open=method is None) if method is None else _request(operation, method)
    if operation.wrap:
        request = Shape(
            fields={operation.wrap: attrs.evolve(request, types=frozenset({"object"}))},
            required=frozenset({operation.wrap}),
        )
    return Described(
        name=operation.name,
        scope=operation.scope,
        content=frozenset({"file" if result is Download else "ndjson" if is_export else "json"}),
        request=request,
        answer=ANYTHING if result in (Download, None) else answer,
    )


def _request(operation: Operation[Any], method: Any) -> Shape:
    parameters = list(inspect.signature(inspect.unwrap(method)).parameters.values())[1:]
    model = Shape()
    if inspect.unwrap(method) is not method:
        # `unpack` replaces the last parameter, whose annotation is the model.
        model = _shape(parameters.pop().annotation)
    given = [each for each in parameters[len(operation.placeholders) :] if each.name not in _OWN_KEYWORDS]
    return attrs.evolve(
        model,
        fields={**{each.name.removesuffix("_"): ANYTHING for each in given}, **model.fields},
        required=model.required | {each.name.removesuffix("_") for each in given if each.default is each.empty},
    )


# --- types to shapes ---


@cache
def _shape(kind: Any) -> Shape:
    if is_union(kind):
        return _shape_of_union(kind)
    if typing.get_origin(kind) is typing.Annotated:
        return _shape(typing.get_args(kind)[0])
    if typing.get_origin(kind) is typing.Literal:
        return Shape(types=frozenset({"string"}), values=frozenset(typing.get_args(kind)))
    origin = typing.get_origin(kind) or kind
    if not isinstance(origin, type) or origin is object:
        return ANYTHING
    if issubclass(origin, Enum):
        return Shape(
            types=frozenset({"integer" if issubclass(origin, int) else "string"}),
            values=frozenset(each.value for each in origin),
            owner=origin.__name__,
        )
    if issubclass(origin, AnswerBase | FieldsBase):
        return _shape_of_model(origin)
    for types_, names in _JSON_TYPES:
        if issubclass(origin, types_):
            return Shape(types=frozenset(names), format=_FORMATS.get(origin, ""))
    if issubclass(origin, Mapping):
        return Shape(types=frozenset({"object"}), is_open=True)
    if issubclass(origin, typing.Iterable):
        inner = typing.get_args(kind)
        return Shape(types=frozenset({"array"}), items=_shape(inner[0]) if inner else ANYTHING)
    return ANYTHING


_JSON_TYPES: Final[tuple[tuple[Any, tuple[str, ...]], ...]] = (
    (bool, ("boolean",)),
    (int, ("integer",)),
    (float, ("number", "integer")),
    # Money comes as a text or as a number.
    (Decimal, ("number", "integer", "string")),
    ((str, bytes, datetime, date), ("string",)),
)
_FORMATS: Final[Mapping[Any, str]] = {datetime: "date-time", date: "date"}


def _shape_of_union(kind: Any) -> Shape:
    each = [one for one in members(kind) if one not in (type(None), UnsetType)]
    # What callers may also write (`SenderIDType | str`, `NumberDestination | Mapping`) says less.
    for precise, loose in (((Enum,), (str, int)), ((AnswerBase, FieldsBase), (Mapping, dict))):
        if any(isinstance(one, type) and issubclass(one, precise) for one in each):
            each = [one for one in each if (typing.get_origin(one) or one) not in loose]
    return attrs.evolve(any_of(map(_shape, each)), nullable=type(None) in members(kind))


def _shape_of_model(kind: Any) -> Shape:
    fields, required = dict[str, Shape](), set[str]()
    by_name = attrs.fields_dict(kind)
    for each in shape_of(kind).fields:
        attribute = by_name[each.name]
        shape = _shape(each.kind)
        # In a query, None means that a filter is not set.
        is_nullable = (shape.nullable or each.optional) and not issubclass(kind, Query)
        fields[each.wire] = attrs.evolve(shape, nullable=is_nullable)
        if issubclass(kind, AnswerBase):
            is_required = not each.optional
        else:
            is_required = attribute.default is attrs.NOTHING or "needed" in attribute.metadata
        required |= {each.wire} if is_required else set()
    return Shape(types=frozenset({"object"}), fields=fields, required=frozenset(required), owner=kind.__name__)


# --- places ---


@cache
def places_of_package() -> Mapping[Place, tuple[str, Shape]]:
    """Return what each place of an operation is called, and its shape."""
    found = dict[Place, tuple[str, Shape]]()
    for name, each in operations_of_package().items():
        found.update(_places((name, "request", ""), each.request.owner or name, each.request))
        answer = each.answer
        found.update(_places((name, "answer", ""), answer.owner or name, answer))
        if answer.owner in answer.fields:
            # An answer without the key around it is read, too.
            found.update(_places((name, "answer", ""), name, answer.fields[answer.owner]))
    return found


def _places(place: Place, subject: str, shape: Shape) -> Iterator[tuple[Place, tuple[str, Shape]]]:
    yield place, (subject, shape)
    operation, side, path = place
    owner = shape.owner or subject
    for name, each in shape.fields.items():
        inner = f"{path}.{name}" if path else name
        yield from _places((operation, side, inner), subject_of(owner, name, inner), each)
    if shape.items is not None:
        yield from _places((operation, side, f"{path}[]"), f"{subject}[]", shape.items)


def subject_of(owner: str, name: str, path: str) -> str:
    """Return what a field is called: with its model, or with its operation and its path."""
    return f"{owner} {path}" if " " in owner else f"{owner}.{name}"
