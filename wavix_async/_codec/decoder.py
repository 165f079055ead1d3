"""JSON to models and back, on cattrs.

An answer goes down the fast path: hooks that cattrs generates, strict about every type, raise `_Mismatch` at the first
surprise. Only then is it read again by the tolerant path, field by field: nothing is lost (`Model.extra` and
`Model._origin` keep what the fields cannot), nothing is invented, and every surprise becomes a `Drift`.
"""

import enum
import functools
import json
import os
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeVar, overload

import attrs
import cattrs
from cattrs.gen import make_dict_unstructure_fn

from wavix_async.errors import DecodeError, InputError
from wavix_async.models._base import NO_EXTRA, Body, Model, OpenIntEnum, OpenStrEnum, Origin

T = TypeVar("T")
B = TypeVar("B", bound="Model | Body")


def _stdlib_dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


_loads: Callable[[bytes], Any] = json.loads
_dumps: Callable[[Any], bytes] = _stdlib_dumps
if not os.environ.get("WAVIX_ASYNC_NO_SPEEDUPS"):
    try:
        import orjson
    except ImportError:
        pass
    else:
        _loads, _dumps = orjson.loads, orjson.dumps

loads: Final = _loads
dumps: Final = _dumps

_EXACT: Final = Origin()
_set = object.__setattr__


@attrs.frozen
class Drift:
    """One way in which an answer was not as documented."""

    model: str
    """The model's class name, or the type of an answer that is no object."""
    field: str
    """The field as the API spells it; empty for a whole object."""
    kind: Literal["missing", "null", "type", "unknown"]
    path: str
    """Where it stood: `$.items[3].status`."""
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, found {self.found}"


class _Mismatch(Exception):  # noqa: N818 - a signal between the two paths, never seen outside
    pass


# --- scalars ---


def _exactly(kind: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _Mismatch
        return value

    return hook


def _float(value: Any, _: Any) -> Any:
    if type(value) is not float and type(value) is not int:
        raise _Mismatch
    return value


def _decimal(value: Any, _: Any) -> Decimal:
    if type(value) is not str:
        raise _Mismatch
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise _Mismatch from None
    if not number.is_finite():
        raise _Mismatch
    return number


def _datetime(value: Any, _: Any) -> datetime:
    if type(value) is not str or len(value) < 19:
        raise _Mismatch
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _Mismatch from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _date(value: Any, _: Any) -> date:
    if type(value) is not str or (len(value) != 10 and value[10:] not in {"T00:00:00.000Z", "T00:00:00Z"}):
        raise _Mismatch
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise _Mismatch from None


def _write_datetime(value: datetime) -> str:
    if value.tzinfo is UTC:
        text = value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")
        return text[:-6] + "Z"
    return value.isoformat()


def _is_plain_datetime(text: str, value: datetime) -> bool:
    """Tell whether writing gives the text back; looking at a usual text takes a sixth of writing it."""
    signs = text[4] + text[7] + text[10] + text[13] + text[16] + text[19:20] + text[23:]
    return signs == "--T::.Z" or _write_datetime(value) == text


# Types whose wire form is a text of its own: encoding may not give back what came (`1.0E1`, a time without zone).
_TEXTUAL: Final[dict[type, Callable[[Any], Any]]] = {Decimal: str, datetime: _write_datetime, date: date.isoformat}


# --- types ---


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Model)


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in {typing.Union, types.UnionType}


def _is_list(kind: Any) -> bool:
    return typing.get_origin(kind) is list


def _without_none(kind: Any) -> Any:
    """Return X for `X | None`, and anything else as it is."""
    if _is_union(kind):
        rest = [member for member in typing.get_args(kind) if member is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return kind


def _type_name(kind: Any) -> str:
    kind = _without_none(kind)
    if _is_list(kind):
        return f"list of {_type_name(typing.get_args(kind)[0])}"
    return getattr(kind, "__name__", str(kind))


@attrs.frozen(eq=False, repr=False)
class _Field:
    name: str
    wire: str
    kind: Any
    """The type without None."""
    optional: bool
    """Whether the documentation lets it be missing or null."""


@attrs.frozen(eq=False, repr=False)
class _Shape:
    """A model class, prepared for both paths."""

    fields: tuple[_Field, ...]
    names: frozenset[str]
    required: frozenset[str]
    textual: tuple[tuple[str, str, type, Callable[[Any], Any]], ...]

    def keep_texts(self, model: Any, payload: Mapping[str, Any], absent: frozenset[str]) -> Origin:
        """Return what `to_dict` needs to give `payload` back."""
        texts = {}
        for name, wire, kind, write in self.textual:
            value = getattr(model, name)
            if type(value) is kind and write(value) != (raw := payload[wire]):
                texts[wire] = (value, raw)
        return Origin(absent, texts) if absent or texts else _EXACT


def _is_hidden(attribute: Any) -> bool:
    """Tell whether an attribute of a model is no field of the wire form."""
    return attribute.name in {"extra", "_origin"} or not attribute.metadata.get("wire", True)


def _make_shape(model: Any) -> _Shape:
    hints = typing.get_type_hints(model, include_extras=True)
    fields = []
    for attribute in attrs.fields(model):
        if _is_hidden(attribute):
            continue
        kind, wire = hints[attribute.name], attribute.name
        if typing.get_origin(kind) is typing.Annotated:
            kind, *notes = typing.get_args(kind)
            wire = next((note.rename for note in notes if getattr(note, "rename", None)), wire)
        bare = _without_none(kind)
        fields.append(_Field(attribute.name, wire, bare, bare is not kind))
    return _Shape(
        fields=tuple(fields),
        names=frozenset(f.wire for f in fields),
        required=frozenset(f.wire for f in fields if not f.optional),
        textual=tuple((f.name, f.wire, f.kind, _TEXTUAL[f.kind]) for f in fields if f.kind in _TEXTUAL),
    )


_shape: Final[Callable[[Any], _Shape]] = functools.cache(_make_shape)


# --- the fast path ---

_reader: Final = cattrs.Converter(detailed_validation=False)
_writer: Final = cattrs.Converter(detailed_validation=False, omit_if_default=True)


def _optional_hook(kind: Any) -> Callable[[Any, Any], Any]:
    inner_kind = _without_none(kind)
    if inner_kind in {int, str, bool}:

        def scalar(value: Any, _: Any) -> Any:
            if value is None or type(value) is inner_kind:
                return value
            raise _Mismatch

        return scalar
    inner = _reader.get_structure_hook(inner_kind)
    return lambda value, _: None if value is None else inner(value, inner_kind)


def _list_hook(kind: Any) -> Callable[[Any, Any], Any]:
    (item,) = typing.get_args(kind)
    inner = _reader.get_structure_hook(item)

    def hook(value: Any, _: Any) -> Any:
        if type(value) is not list:
            raise _Mismatch
        return [inner(element, item) for element in value]

    return hook


def _enum_hook(base: type) -> Callable[[Any, Any], Any]:
    def hook(value: Any, kind: Any) -> Any:
        if type(value) is not base:
            raise _Mismatch
        return kind._value2member_map_.get(value) or kind(value)

    return hook


def _model_hook(model: Any) -> Callable[[Any, Any], Any]:
    """Generate the function that reads one model, as cattrs does, with what an answer needs on top.

    cattrs' own function calls a hook for every field, and `__init__` after it; this one checks scalars in place and
    fills the slots. It takes a third of the time, which is a tenth of what a whole request costs.
    """
    shape = _shape(model)
    names: dict[str, Any] = {"new": model.__new__, "model": model, "Mismatch": _Mismatch, "EXACT": _EXACT,
                             "no_extra": NO_EXTRA, "names": shape.names, "required": shape.required,
                             "keep_texts": shape.keep_texts}  # fmt: skip
    lines = [
        "def read(payload, _):",
        "    if type(payload) is not dict: raise Mismatch",
        "    keys = payload.keys()",
        "    whole = keys == names",
        "    if not whole and not required <= keys <= names: raise Mismatch",
        "    made = new(model)",
        "    odd = False",
    ]
    for i, field in enumerate(shape.fields):
        names[f"set{i}"] = getattr(model, field.name).__set__
        names[f"kind{i}"] = field.kind
        lines.append(
            f"    value = payload.get({field.wire!r})" if field.optional else f"    value = payload[{field.wire!r}]"
        )
        guard = "value is not None and " if field.optional else ""
        if field.kind in _SCALARS:
            lines.append(f"    if {guard}type(value) is not kind{i}: raise Mismatch")
        else:
            names[f"hook{i}"] = _reader.get_structure_hook(field.kind)
            condition = "    if value is not None: " if field.optional else "    "
            if field.kind in _TEXTUAL:
                names[f"plain{i}"] = _PLAIN[field.kind]
                lines.append(
                    f"{condition}text = value; value = hook{i}(text, kind{i}); odd = odd or not plain{i}(text, value)"
                )
            else:
                lines.append(f"{condition}value = hook{i}(value, kind{i})")
        lines.append(f"    set{i}(made, value)")
    for hidden in filter(_is_hidden, attrs.fields(model)):
        names[f"set_{hidden.name}"] = getattr(model, hidden.name).__set__
        if hidden.name not in {"extra", "_origin"}:
            names[f"default_{hidden.name}"] = hidden.default
            lines.append(f"    set_{hidden.name}(made, default_{hidden.name})")
    lines += [
        "    set_extra(made, no_extra)",
        "    set__origin(made, EXACT if whole and not odd else keep_texts(made, payload, names - keys))",
        "    return made",
    ]
    exec("\n".join(lines), names)  # noqa: S102 - made of field names of our own classes, never of an answer
    return typing.cast("Callable[[Any, Any], Any]", names["read"])


_PLAIN: Final[dict[type, Callable[[Any, Any], bool]]] = {
    Decimal: lambda text, value: str(value) == text,
    datetime: _is_plain_datetime,
    date: lambda text, _: len(text) == 10 and text[4] == "-" == text[7],
}
_SCALARS: Final = frozenset({int, str, bool})

# cattrs coerces these by default ("false" -> True, None -> "None"), and finds its own hooks before any predicate: only
# hooks registered for the classes themselves replace them.
for _scalar in (int, str, bool, dict):
    _reader.register_structure_hook(_scalar, _exactly(_scalar))
_reader.register_structure_hook(float, _float)
_reader.register_structure_hook(Decimal, _decimal)
_reader.register_structure_hook(datetime, _datetime)
_reader.register_structure_hook(date, _date)
_reader.register_structure_hook(OpenStrEnum, _enum_hook(str))
_reader.register_structure_hook(OpenIntEnum, _enum_hook(int))
_reader.register_structure_hook_factory(_is_union, _optional_hook)
_reader.register_structure_hook_factory(_is_list, _list_hook)
_reader.register_structure_hook_factory(_is_model, _model_hook)


# --- the tolerant path ---


class _Salvage:
    """Read a payload field by field, keep what does not fit, and note why."""

    def __init__(self) -> None:
        self.drifts: list[Drift] = []

    def value(self, value: Any, kind: Any, owner: str, field: str, path: str) -> Any:
        if _is_model(kind) and type(value) is dict:
            return self.model(value, kind, path)
        if _is_list(kind) and type(value) is list:
            (item,) = typing.get_args(kind)
            bare = _without_none(item)
            return [self.value(element, bare, owner, field, f"{path}[{i}]") for i, element in enumerate(value)]
        try:
            return _reader.get_structure_hook(kind)(value, kind)
        except _Mismatch:
            self.note(owner, field, "type", path, _type_name(kind), value)
            return value

    def model(self, payload: dict[str, Any], model: type[Model], path: str) -> Model:
        shape = _shape(model)
        extra = {key: found for key, found in payload.items() if key not in shape.names} or NO_EXTRA
        for key, found in extra.items():
            self.note(model.__name__, key, "unknown", f"{path}.{key}", "no such key", found)
        known = {key: found for key, found in payload.items() if key in shape.names} if extra else payload
        try:
            # New keys are the commonest drift by far: without them the fast path does again.
            made: Model = _reader.get_structure_hook(model)(known, model)
        except _Mismatch:
            made = self.field_by_field(known, model, path)
        _set(made, "extra", extra)
        return made

    def field_by_field(self, payload: dict[str, Any], model: type[Model], path: str) -> Model:
        """Read the known keys of an object, each on its own."""
        shape, values, owner = _shape(model), {}, model.__name__
        for field in shape.fields:
            value = payload.get(field.wire)
            where = f"{path}.{field.wire}"
            if value is not None:
                value = self.value(value, field.kind, owner, field.wire, where)
            elif not field.optional:
                missing = field.wire not in payload
                self.note(owner, field.wire, "missing" if missing else "null", where, _type_name(field.kind), value)
            values[field.name] = value
        made: Model = typing.cast("Any", model)(**values)
        _set(made, "_origin", shape.keep_texts(made, payload, shape.names - payload.keys()))
        return made

    def note(
        self,
        owner: str,
        field: str,
        kind: Literal["missing", "null", "type", "unknown"],
        path: str,
        expected: str,
        found: object,
    ) -> None:
        seen = "nothing" if kind == "missing" else "null" if found is None else type(found).__name__
        self.drifts.append(Drift(owner, field, kind, path, expected, seen))


# --- the face ---


def decode(kind: type[T], payload: object) -> tuple[T, list[Drift]]:
    """Read a payload as `kind` (a model, or a list of models), and tell what was not as documented.

    Args:
        kind: What the operation answers.
        payload: What JSON gave.

    Returns:
        The value, and the drifts; without drift the list is empty.
    """
    try:
        return _reader.get_structure_hook(kind)(payload, kind), _NO_DRIFTS
    except _Mismatch:
        pass
    salvage = _Salvage()
    value = salvage.value(payload, kind, _type_name(kind), "", "$")
    return value, salvage.drifts


_NO_DRIFTS: Final[list[Drift]] = []


def drift_error(drifts: list[Drift], **facts: Any) -> DecodeError:
    """Return the error that strict decoding raises for these drifts."""
    paths = tuple(map(str, drifts))
    more = f" (and {len(paths) - 3} more)" if len(paths) > 3 else ""
    return DecodeError(f"The answer is not as documented: {'; '.join(paths[:3])}{more}", paths=paths, **facts)


def from_dict(kind: type[T], payload: object, *, strict: bool = False) -> T:
    """Read a wire-form dict (or list) as a model, as the client reads an answer.

    Args:
        kind: A model class such as `Number`, or a list of one.
        payload: What JSON gave.
        strict: Raise on anything that is not as documented, instead of keeping it.

    Returns:
        The model. `to_dict` gives `payload` back.

    Raises:
        InputError: `kind` is no model of an answer.
        DecodeError: `strict` is true and something is not as documented, or the payload is no object at all.
    """
    if not any(map(_is_model, typing.get_args(kind) if _is_list(kind) else (kind,))):
        raise InputError(f"from_dict reads answers, such as Number or list[Number]; {_type_name(kind)} is none.")
    value, drifts = decode(kind, payload)
    if drifts and (strict or not fits(kind, value)):
        raise drift_error(drifts)
    return value


def is_about(kind: Any, payload: Any) -> bool:
    """Tell whether at least one field of a model is in a payload: an error in JSON has none of a `Number`."""
    return not _is_model(kind) or bool(payload.keys() & _shape(kind).names)


def fits(kind: Any, value: object) -> bool:
    """Tell whether a decoded value is a `kind` at all: the model asked for, or a list where one was asked for."""
    return type(value) is list if _is_list(kind) else type(value) is kind


def _make_body_writer(body: Any) -> Callable[[Any], dict[str, Any]]:
    return make_dict_unstructure_fn(body, _writer, _cattrs_omit_if_default=True)


_body_writer: Final[Callable[[Any], Callable[[Any], dict[str, Any]]]] = functools.cache(_make_body_writer)
_writer.register_unstructure_hook_factory(lambda kind: isinstance(kind, type) and issubclass(kind, Body), _body_writer)
_writer.register_unstructure_hook(Decimal, str)
_writer.register_unstructure_hook(datetime, _write_datetime)
_writer.register_unstructure_hook(date, date.isoformat)


def _write(value: Any) -> Any:
    if isinstance(value, Model):
        return _write_model(value)
    if isinstance(value, Body):
        return _body_writer(type(value))(value)
    if isinstance(value, list | tuple):
        # A list in a list is no list of models, but what came instead of one.
        return [element if type(element) is list else _write(element) for element in value]
    if isinstance(value, enum.Enum):
        return value.value
    write = _TEXTUAL.get(type(value))
    return write(value) if write else value


def _write_model(model: Model) -> dict[str, Any]:
    written: dict[str, Any] = {}
    origin = model._origin
    for field in _shape(type(model)).fields:
        value = getattr(model, field.name)
        if value is None:
            # A model that was made by hand says nothing of the fields that it leaves out.
            if origin is not None and field.wire not in origin.absent:
                written[field.wire] = None
            continue
        decoded, raw = origin.texts.get(field.wire, (None, None)) if origin else (None, None)
        written[field.wire] = raw if decoded is value else _write(value)
    written.update(model.extra)
    return written


@overload
def to_dict(value: "Model | Body") -> dict[str, Any]: ...
@overload
def to_dict(value: "list[B] | tuple[B, ...]") -> list[dict[str, Any]]: ...
def to_dict(value: Any) -> Any:
    """Return the wire form of a model or a request body: what came in, unknown keys included, or what will be sent.

    Args:
        value: A model, a request body, or a list of them.

    Returns:
        Dicts, lists, strings, numbers, booleans and None: what `json.dumps` takes.

    Raises:
        TypeError: The value is none of these.
    """
    if not isinstance(value, Model | Body | list | tuple):
        raise TypeError(f"to_dict takes a model, a request body or a list of them, got {type(value).__name__}.")
    return _write(value)


def encode(value: object) -> bytes:
    """Return the JSON bytes of a request body (a `Body`, or what JSON takes as it is).

    Raises:
        TypeError: It holds something that JSON cannot.
        ValueError: It holds NaN or infinity.
    """
    if isinstance(value, Body):
        return dumps(_body_writer(type(value))(value))
    # orjson would write NaN as null, and null clears.
    return _stdlib_dumps(value)
