"""How pydantic validates, writes and describes our models, so that FastAPI uses them without a second set of models.

Only the hooks of `models/_base.py` import this module, when pydantic calls them: `import wavix_async` does not load it.

Pydantic itself checks a request body (`Body`), field by field and by wire names, so it reports every error at once with
its location. It is as strict as the class: nothing is coerced ("true" is not a boolean, 1.5 and "1" are not integers),
null is valid only where None clears the field, and an unknown key is rejected, since a misspelt field would be lost.
Rules that only the class knows (transport 5 needs a trunk) are reported with the message of the class. An instance
passes unchanged.

Pydantic reads an answer (`Model`) as the client does: an instance passes unchanged, and the codec reads an object and
keeps values that deviate from the documentation. Only a value that is not an object is rejected. An answer is written
as `to_dict` writes it.
"""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, Final

import attrs
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    PydanticKnownError,
    PydanticSerializationUnexpectedValue,
    SchemaSerializer,
    core_schema,
    to_jsonable_python,
)

from wavix_async._codec import shapes
from wavix_async._codec.decoder import decode
from wavix_async._codec.docs import field_docs
from wavix_async._codec.encoder import to_dict
from wavix_async._codec.kinds import AnswerBase, FieldsBase, OpenIntBase, OpenStrBase
from wavix_async.errors import InputError
from wavix_async.types import UnsetType

__all__ = ["SERIALIZER", "describe", "schema"]

_SOURCE: Final = "wavix_async"
"""The key in a core schema's metadata under which we store the class that it was made from."""


# --- entry points ---


def schema(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return how pydantic validates and writes a model, a request body or an open enum.

    Args:
        source: The class, or a generic one with its arguments: `Number`, `Page[Number]`.
        handler: Pydantic's handler; it returns the schemas of other types.
    """
    return _enum_schema(source) if _is_enum(source) else _model_schema(source, handler)


def describe(schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Return the JSON schema: one for both directions, since input and output have the same shape.

    Args:
        schema: The result of `schema`.
        handler: Pydantic's handler; it makes JSON schemas.
    """
    source = typing.cast("Any", schema)["metadata"][_SOURCE]
    reference = handler(schema)
    described = handler.resolve_ref_schema(reference)
    (_describe_enum if _is_enum(source) else _describe_model)(source, described)
    return reference


# --- names ---


def _class_of(source: Any) -> Any:
    return typing.get_origin(source) or source


def _title(source: Any) -> str:
    inner = ", ".join(map(_title, typing.get_args(source)))
    name = getattr(_class_of(source), "__name__", str(source))
    return f"{name}[{inner}]" if inner else name


def _ref(source: Any) -> str:
    """Return the name by which pydantic recognizes a schema, and from which it makes the name of the component.

    The name does not end like pydantic's own: with those, pydantic finds `Page` when it looks for `Page[Number]`.
    """
    kind = _class_of(source)
    inner = ",".join(map(_ref, typing.get_args(source)))
    name = f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}:{id(kind)}-wire"
    return f"{name}[{inner}]" if inner else name


# --- types ---


@functools.cache
def _concrete(source: Any) -> Any:
    """Return a class whose fields have real types in place of the type variables of a generic model."""
    origin = _class_of(source)
    variables = getattr(origin, "__parameters__", ())
    if not variables:
        return source
    known = dict(zip(variables, typing.get_args(source) or [Any] * len(variables), strict=True))
    changed = {}
    for name, hint in typing.get_type_hints(origin, include_extras=True).items():
        if hint in known:
            changed[name] = known[hint]
        elif inner := getattr(hint, "__parameters__", ()):
            changed[name] = hint[tuple(known[variable] for variable in inner)]
    fields = {name: attrs.field(default=None, type=kind) for name, kind in changed.items()}
    return attrs.make_class(origin.__name__, fields, bases=(origin,), frozen=True, slots=True, kw_only=True)


@attrs.frozen
class _Text:
    """Makes the codec read a type whose wire form is a string in a format of its own."""

    kind: Any

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        del source, handler
        return core_schema.no_info_wrap_validator_function(self._read, core_schema.str_schema(strict=True))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "format": _FORMATS[self.kind]}

    def _read(self, value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        if type(value) is self.kind:
            return value
        text: Any = handler(value)
        made, drifts = decode(self.kind, text)
        if drifts:
            raise _error(f"{self.kind.__name__}_parsing", f"Input should be a valid {_FORMATS[self.kind]} as a string")
        return made


def _error(kind: str, message: str) -> PydanticCustomError:
    # Pydantic declares both as literal strings. Without a context, it leaves braces in a message alone.
    return PydanticCustomError(typing.cast("Any", kind), typing.cast("Any", message))


_FORMATS: Final[dict[type, str]] = {Decimal: "decimal", datetime: "date-time", date: "date"}
_STRICT: Final[dict[Any, Callable[..., CoreSchema]]] = {
    bool: core_schema.bool_schema,
    int: core_schema.int_schema,
    float: core_schema.float_schema,
    str: core_schema.str_schema,
}


def _value_schema(kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a field's value, without UNSET, which JSON cannot express."""
    if shapes.is_union(kind):
        schemas = [_value_schema(member, handler) for member in _json_members(kind)]
        schema = schemas[0] if len(schemas) == 1 else core_schema.union_schema([*schemas])
        return core_schema.nullable_schema(schema) if NoneType in typing.get_args(kind) else schema
    if kind in _STRICT:
        return _STRICT[kind](strict=True)
    if kind in _FORMATS:
        return handler.generate_schema(Annotated[kind, _Text(kind)])
    if typing.get_origin(kind) in {list, Sequence}:
        return core_schema.list_schema(_value_schema(typing.get_args(kind)[0], handler), strict=True)
    if _is_enum(kind):
        return core_schema.no_info_before_validator_function(_only(kind), handler.generate_schema(kind))
    return handler.generate_schema(kind)


def _json_members(kind: Any) -> list[Any]:
    """Return the members of a union that JSON can tell apart.

    Alternatives that only Python callers have (a plain string for an enum, a mapping for a body) are the same in JSON.
    """
    members = [member for member in typing.get_args(kind) if member not in {UnsetType, NoneType}]
    enums = {_base_of(member) for member in members if _is_enum(member)}
    bodies = any(isinstance(member, type) and issubclass(member, FieldsBase) for member in members)
    return [
        member
        for member in members
        if member not in enums and not (bodies and typing.get_origin(member) in {dict, Mapping})
    ]


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, OpenStrBase | OpenIntBase)


def _base_of(kind: type[OpenStrBase | OpenIntBase]) -> type:
    return int if issubclass(kind, OpenIntBase) else str


def _only(kind: type[OpenStrBase | OpenIntBase]) -> Callable[[Any], Any]:
    base = _base_of(kind)

    def check(value: Any) -> Any:
        if type(value) is not base and type(value) is not kind:
            raise PydanticKnownError("int_type" if base is int else "string_type")
        return value

    return check


# --- models ---


def _model_schema(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    made = _concrete(source)
    is_body = issubclass(made, FieldsBase)
    needed = _needed(made)
    fields = {}
    for field in shapes.shape_of(made).fields:
        value = _value_schema(field.kind | None if field.optional else field.kind, handler)
        fields[field.wire] = core_schema.typed_dict_field(value, required=field.wire in needed)
    return core_schema.no_info_wrap_validator_function(
        _take_body(made) if is_body else _take_model(made, _class_of(source)),
        core_schema.typed_dict_schema(fields, extra_behavior="forbid" if is_body else "allow"),
        ref=_ref(source),
        metadata={_SOURCE: source},
        serialization=_as_written(),
    )


def _needed(made: Any) -> frozenset[str]:
    """Return the wire names of the required fields."""
    shape = shapes.shape_of(made)
    if issubclass(made, AnswerBase):
        return shape.required
    # In Python, a field that the API needs may have a shortcut that JSON does not have.
    needed = {
        field.name for field in attrs.fields(made) if field.default is attrs.NOTHING or field.metadata.get("needed")
    }
    return frozenset(field.wire for field in shape.fields if field.name in needed)


def _take_body(body: Any) -> Callable[[Any, core_schema.ValidatorFunctionWrapHandler], Any]:
    attributes = {field.name: field for field in attrs.fields(body)}
    arguments = {field.wire: attributes[field.name].alias for field in shapes.shape_of(body).fields}

    def take(value: Any, handler: core_schema.ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, body):
            return value
        values = handler(value)
        try:
            return body(**{arguments[wire]: given for wire, given in values.items()})
        except InputError as error:
            raise _refusal(body, error, value) from None

    # In a union, pydantic puts this name into the location of an error.
    take.__name__ = take.__qualname__ = body.__name__
    return take


def _refusal(body: Any, error: InputError, value: Any) -> ValidationError:
    """Return pydantic's form of one of our errors, located at the field that the message begins with."""
    message = str(error)
    named = re.match(rf"{re.escape(body.__name__)}\.(\w+)", message)
    places = {field.name: field.wire for field in shapes.shape_of(body).fields}
    place = places.get(named[1]) if named else None
    return ValidationError.from_exception_data(
        body.__name__,
        [
            InitErrorDetails(
                type=_error("value_error", message),
                loc=(place,) if place else (),
                input=value.get(place) if place and isinstance(value, Mapping) else value,
            )
        ],
    )


def _take_model(made: Any, model: Any) -> Callable[[Any, core_schema.ValidatorFunctionWrapHandler], Any]:
    def take(value: Any, _: core_schema.ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, model):
            return value
        if not isinstance(value, dict):
            raise PydanticKnownError("dict_type")
        read, _drifts = decode(made, dict(value))
        if made is model:
            return read
        plain = object.__new__(model)
        for field in attrs.fields(model):
            object.__setattr__(plain, field.name, getattr(read, field.name))
        return plain

    take.__name__ = take.__qualname__ = model.__name__
    return take


def _write(value: Any, info: core_schema.SerializationInfo) -> Any:
    if not isinstance(value, AnswerBase | FieldsBase):
        # Tells a union to try its next member.
        raise PydanticSerializationUnexpectedValue(f"{type(value).__name__} is not a model of wavix_async")
    written: Any = to_dict(value)
    if info.exclude_none:
        written = _without_null(written)
    # Pydantic does not apply `include` and `exclude` to the result of a plain serializer.
    include, exclude = typing.cast("Any", (info.include, info.exclude))
    if include is not None or exclude is not None:
        written = to_jsonable_python(written, include=include, exclude=exclude)
    # Only in an answer: what a caller sends is wrong then, and must not change on its way.
    is_answer = info.mode == "json" and isinstance(value, AnswerBase)
    return _without_half_characters(written) if is_answer else written


def _without_half_characters(value: Any) -> Any:
    """Replace lone surrogates, which the API may send and UTF-8 cannot represent: one would make a response fail."""
    if type(value) is str:
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if type(value) is dict:
        return {_without_half_characters(name): _without_half_characters(each) for name, each in value.items()}
    return list(map(_without_half_characters, value)) if type(value) is list else value


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(each) for key, each in value.items() if each is not None}
    return [_without_null(each) for each in value] if isinstance(value, list) else value


def _as_written() -> core_schema.PlainSerializerFunctionSerSchema:
    return core_schema.plain_serializer_function_ser_schema(_write, info_arg=True)


SERIALIZER: Final = SchemaSerializer(core_schema.any_schema(serialization=_as_written()))
"""Writes a model or a request body of any class. Pydantic uses it for values in a field of type `Any`."""


def _describe_model(source: Any, described: JsonSchemaValue) -> None:
    made, kind = _concrete(source), _class_of(source)
    described["title"] = _title(source)
    described["additionalProperties"] = not issubclass(made, FieldsBase)
    texts = _field_texts(kind)
    for field in shapes.shape_of(made).fields:
        if text := texts.get(field.name):
            described["properties"][field.wire]["description"] = text
    if text := _first_paragraph(kind):
        described["description"] = text


# --- enums ---


def _enum_schema(kind: type[OpenStrBase | OpenIntBase]) -> CoreSchema:
    """Return how pydantic validates an open enum.

    On its own (in a query, in a pydantic model) it coerces values if pydantic's settings do. In a request body it
    coerces nothing.
    """
    base, values = _base_of(kind), _STRICT[_base_of(kind)]()
    make: Callable[[Any], Any] = kind
    return core_schema.no_info_after_validator_function(
        lambda value: make(base(value)), values, ref=_ref(kind), metadata={_SOURCE: kind}
    )


def _describe_enum(kind: type[OpenStrBase | OpenIntBase], described: JsonSchemaValue) -> None:
    """Describe an open enum: one of the known values, or any other value of the type.

    Client generators recognize `anyOf` of an enum and its plain type as an open enum: generators with literal types
    offer the known values, others use the plain type. Clients generated from a plain `enum` would reject a value that
    the API adds.
    """
    plain = {"type": "integer" if _base_of(kind) is int else "string"}
    known: JsonSchemaValue = {**plain, "enum": [member.value for member in kind]}
    if _base_of(kind) is int:
        known["x-enum-varnames"] = [member.name for member in kind]
    described.clear()
    described.update(title=kind.__name__, anyOf=[known, plain])
    if text := _first_paragraph(kind):
        described["description"] = text


# --- descriptions ---


def _for_json(text: str) -> str:
    """Return a docstring's text on one line, with JSON's `null` in place of None."""
    return re.sub(r"\bNone\b", "null", " ".join(text.split()))


def _first_paragraph(kind: Any) -> str:
    text = inspect.cleandoc(str(vars(kind).get("__doc__") or ""))
    return _for_json(text.partition("\n\n")[0])


def _field_texts(kind: Any) -> dict[str, str]:
    return {name: _for_json(text) for name, text in field_docs(kind).items()}
