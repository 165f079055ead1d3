"""Models and request bodies to JSON."""

import enum
import functools
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar, overload

import attrs
import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from wavix_async._codec.json import dumps, stdlib_dumps
from wavix_async._codec.kinds import AnswerBase, FieldsBase
from wavix_async._codec.shapes import TEXTUAL, is_hidden, is_union, shape_of, wire_names, write_datetime
from wavix_async.types import UNSET

__all__ = ["encode", "query_of", "to_dict"]

B = TypeVar("B", bound="AnswerBase | FieldsBase")

_writer: Final = cattrs.Converter(detailed_validation=False, omit_if_default=True)


@functools.cache
def _body_writer(kind: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the function that writes a body or query class; it leaves out fields at their default."""
    hidden: dict[str, Any] = {field.name: override(omit=True) for field in attrs.fields(kind) if is_hidden(field)}
    return make_dict_unstructure_fn(kind, _writer, _cattrs_omit_if_default=True, **hidden)


_writer.register_unstructure_hook_factory(
    lambda kind: isinstance(kind, type) and issubclass(kind, FieldsBase), _body_writer
)
_writer.register_unstructure_hook(Decimal, str)
_writer.register_unstructure_hook(datetime, write_datetime)
_writer.register_unstructure_hook(date, date.isoformat)


# Most values have one of these types. They are checked first: `FieldsBase` is abstract (a mapping), and `isinstance`
# with an abstract class is slow.
_PLAIN: Final = frozenset({str, int, bool, float, type(None)})


def _write(value: Any) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, AnswerBase):
        return _write_model(value)
    if isinstance(value, FieldsBase):
        return _body_writer(type(value))(value)
    if isinstance(value, list | tuple):
        # A list in a list is not a list of models: it is an undocumented value, returned as received.
        return [element if type(element) is list else _write(element) for element in value]
    if isinstance(value, Mapping):
        return {key: _write(each) for key, each in value.items()}
    if isinstance(value, enum.Enum):
        return value.value
    write = TEXTUAL.get(type(value))
    return write(value) if write else value


# The annotation lists what callers may pass; only the value shows which member of the union they passed.
_writer.register_unstructure_hook_func(is_union, _write)


def _write_model(model: AnswerBase) -> dict[str, Any]:
    written: dict[str, Any] = {}
    origin = model._origin
    for field in shape_of(type(model)).fields:
        value = getattr(model, field.name)
        if value is None:
            # Only a decoded model knows whether the answer had null here: in others, None means left out.
            if origin is not None and field.wire not in origin.absent:
                written[field.wire] = None
            continue
        decoded, raw = origin.texts.get(field.wire, (None, None)) if origin else (None, None)
        written[field.wire] = raw if decoded is value else value if field.is_plain else _write(value)
    written.update(model.extra)
    return written


@overload
def to_dict(value: "AnswerBase | FieldsBase") -> dict[str, Any]: ...
@overload
def to_dict(value: "list[B] | tuple[B, ...]") -> list[dict[str, Any]]: ...
def to_dict(value: Any) -> Any:
    """Return the wire form of a model (as received, unknown keys included) or of a request body (as it will be sent).

    Args:
        value: A model, a request body, or a list of them.

    Returns:
        Dicts, lists, strings, numbers, booleans and None, ready for `json.dumps`.

    Raises:
        TypeError: The value is something else.
    """
    if not isinstance(value, AnswerBase | FieldsBase | list | tuple):
        raise TypeError(f"to_dict takes a model, a request body or a list of them, got {type(value).__name__}.")
    return _write(value)


@functools.cache
def _is_body(kind: Any) -> bool:
    """Return whether a class is a body. To ask an abstract class each time takes as long as to write the body."""
    return issubclass(kind, FieldsBase)


def encode(value: object) -> bytes:
    """Return the JSON bytes of a request body: a `Body`, or any JSON value.

    Raises:
        TypeError: The body holds a value that JSON cannot represent.
        ValueError: The body holds NaN or infinity.
    """
    kind: Any = type(value)
    if _is_body(kind):
        return dumps(_body_writer(kind)(value))
    # orjson would write NaN as null, and null clears a field.
    return stdlib_dumps(value)


def query_of(query: FieldsBase) -> dict[str, Any]:
    """Return the query parameters of a query model by their wire names, without fields that are None or UNSET."""
    found = {}
    for name, wire in wire_names(type(query)):
        value = getattr(query, name)
        if value is not None and value is not UNSET:
            found[wire] = value
    return found
