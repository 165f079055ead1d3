"""The shape of a model class, worked out once: its fields, their types and their names on the wire."""

import functools
import types
import typing
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import attrs

from wavix_async._codec.kinds import AnswerBase, Origin

__all__ = [
    "EXACT",
    "TEXTUAL",
    "Field",
    "holds_plain",
    "is_dict",
    "is_hidden",
    "is_list",
    "is_model",
    "is_nested",
    "is_union",
    "members",
    "name_of",
    "shape_of",
    "wire_names",
    "without_none",
    "write_datetime",
]

EXACT: Final = Origin()


def write_datetime(value: datetime) -> str:
    """Return the wire form of a time: ISO 8601 with milliseconds, and `Z` for UTC."""
    if value.tzinfo is UTC:
        text = value.isoformat(timespec="microseconds" if value.microsecond % 1000 else "milliseconds")
        return text[:-6] + "Z"
    return value.isoformat()


# Types whose wire form is a string in a format of its own: encoding a decoded value may give a text other than
# the one received (`1.0E1`, a time without a zone).
TEXTUAL: Final[dict[type, Callable[[Any], Any]]] = {Decimal: str, datetime: write_datetime, date: date.isoformat}


def is_model(kind: Any) -> bool:
    """Return whether a type is the model of an answer."""
    return isinstance(kind, type) and issubclass(kind, AnswerBase)


def is_union(kind: Any) -> bool:
    """Return whether a type is a union."""
    return typing.get_origin(kind) in {typing.Union, types.UnionType}


def is_list(kind: Any) -> bool:
    """Return whether a type is a list of something."""
    return typing.get_origin(kind) is list


def is_dict(kind: Any) -> bool:
    """Return whether a type is a dict of something."""
    return typing.get_origin(kind) is dict


def members(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, and of any other type the type itself."""
    return typing.get_args(kind) if is_union(kind) else (kind,)


def without_none(kind: Any) -> Any:
    """Return a union without None (X for `X | None`), and any other type unchanged."""
    if type(None) not in members(kind) or not is_union(kind):
        return kind
    return typing.Union[tuple(member for member in members(kind) if member is not type(None))]  # noqa: UP007


def name_of(kind: Any) -> str:
    """Return the name of a type for messages."""
    kind = without_none(kind)
    if is_list(kind):
        return f"list of {name_of(typing.get_args(kind)[0])}"
    if is_union(kind):
        return " or ".join(map(name_of, members(kind)))
    return getattr(kind, "__name__", str(kind))


_PLAIN: Final = (dict, list, object, Any)
_CONTAINERS: Final = frozenset({dict, list})


def _holds_text(kind: Any) -> bool:
    if kind in TEXTUAL:
        return True
    if is_list(kind) or is_dict(kind):
        return _holds_text(typing.get_args(kind)[-1])
    return is_union(kind) and any(map(_holds_text, members(kind)))


def _holds_plain(kind: Any) -> bool:
    """Return whether a type is or holds plain JSON: lists and objects of any depth, kept as received."""
    if is_model(kind):
        return any(_holds_plain(field.kind) for field in shape_of(kind).fields)
    if is_list(kind) or is_dict(kind) or is_union(kind):
        return any(map(_holds_plain, typing.get_args(kind)))
    return kind in _PLAIN


def is_nested(payload: Any, deepest: int) -> bool:
    """Return whether JSON is nested deeper than `deepest`; level by level, because recursion has a limit of its own."""
    level = [payload] if type(payload) in _CONTAINERS else []
    for _ in range(deepest):
        if not level:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
    return bool(level)


def _write_texts(value: Any) -> Any:
    """Return a value with its decimals, dates and times in wire form, even inside lists and dicts."""
    if type(value) is list:
        return [_write_texts(each) for each in value]
    if type(value) is dict:
        return {key: _write_texts(each) for key, each in value.items()}
    write = TEXTUAL.get(type(value))
    return write(value) if write else value


@attrs.frozen(eq=False, repr=False)
class Field:
    """A field of a model."""

    name: str
    wire: str
    kind: Any
    """The type without None."""
    optional: bool
    """Whether the documentation says that it may be missing or null."""

    @property
    def is_plain(self) -> bool:
        """Whether it holds plain JSON as received, without models or converted values inside."""
        kind = self.kind
        return kind in _PLAIN or ((is_list(kind) or is_dict(kind)) and typing.get_args(kind)[-1] in _PLAIN)

    @property
    def holds_text(self) -> bool:
        """Whether it is a list, a dict or a union that may hold a decimal, a date or a time."""
        return self.kind not in TEXTUAL and _holds_text(self.kind)


@attrs.frozen(eq=False, repr=False)
class Shape:
    """A model class, prepared for both paths of decoding."""

    fields: tuple[Field, ...]
    names: frozenset[str]
    required: frozenset[str]
    textual: tuple[tuple[str, str, type | None, Callable[[Any], Any]], ...]
    """(Name, wire name, type, writer) of fields that may hold a decimal, a date or a time; type None: any type."""

    def keep_texts(self, model: Any, payload: Mapping[str, Any], absent: frozenset[str]) -> Origin:
        """Return what `to_dict` needs to restore `payload`."""
        texts = {}
        for name, wire, kind, write in self.textual:
            value = getattr(model, name)
            if value is None or (kind is not None and type(value) is not kind):
                continue
            if write(value) != (raw := payload[wire]):
                texts[wire] = (value, raw)
        if texts:
            return Origin(absent, texts)
        return _origin_without(frozenset(absent)) if absent else EXACT


@functools.lru_cache(maxsize=1024)
def _origin_without(absent: frozenset[str]) -> Origin:
    """Return the origin of an object without these fields: in a list, most objects lack the same ones."""
    return Origin(absent)


def is_hidden(attribute: Any) -> bool:
    """Return whether an attribute of a model is not part of the wire form."""
    return attribute.name in {"extra", "_origin"} or not attribute.metadata.get("wire", True)


def _wire_name(name: str, hint: Any) -> tuple[str, Any]:
    """Return the name on the wire and the type of a field; `Annotated[..., override(rename=...)]` renames it."""
    if typing.get_origin(hint) is not typing.Annotated:
        return name, hint
    kind, *notes = typing.get_args(hint)
    return next((note.rename for note in notes if getattr(note, "rename", None)), name), kind


def _make_shape(model: Any) -> Shape:
    hints = typing.get_type_hints(model, include_extras=True)
    fields = []
    for attribute in attrs.fields(model):
        if is_hidden(attribute):
            continue
        wire, kind = _wire_name(attribute.name, hints[attribute.name])
        bare = without_none(kind)
        fields.append(Field(attribute.name, wire, bare, bare is not kind))
    return Shape(
        fields=tuple(fields),
        names=frozenset(field.wire for field in fields),
        required=frozenset(field.wire for field in fields if not field.optional),
        textual=tuple(
            (f.name, f.wire, f.kind, TEXTUAL[f.kind]) if f.kind in TEXTUAL else (f.name, f.wire, None, _write_texts)
            for f in fields
            if _holds_text(f.kind)
        ),
    )


def _make_wire_names(kind: Any) -> tuple[tuple[str, str], ...]:
    return tuple((field.name, field.wire) for field in shape_of(kind).fields)


shape_of: Final[Callable[[Any], Shape]] = functools.cache(_make_shape)
"""Return the shape of a model, a body or a query class."""
holds_plain: Final[Callable[[Any], bool]] = functools.cache(_holds_plain)
"""Return whether a type is or holds plain JSON: lists and objects of any depth, kept as received."""
wire_names: Final[Callable[[Any], tuple[tuple[str, str], ...]]] = functools.cache(_make_wire_names)
"""Return (attribute, wire name) pairs of a body or query class, without attributes that are not sent."""
