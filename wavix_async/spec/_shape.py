"""`Shape`: what a value may be, in the same terms for a schema of a description and for a type of this package."""

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import evolve, field, frozen

__all__ = ["ANYTHING", "Shape", "all_of", "any_of"]


@frozen(kw_only=True)
class Shape:
    """What a value may be."""

    types: frozenset[str] | None = None
    """JSON types without `null`; None: any."""
    format: str = ""
    values: frozenset[object] | None = None
    """The values of an enum; None: any."""
    nullable: bool = False
    fields: Mapping[str, "Shape"] = field(factory=dict)
    required: frozenset[str] = frozenset()
    """The names of the fields that are always there."""
    items: "Shape | None" = None
    limits: tuple[str, ...] = ()
    """Lengths, ranges, patterns and the default, as text."""
    deprecated: bool = False
    is_open: bool = False
    """Whether fields that are not listed are read or sent as plain JSON."""
    owner: str = ""
    """The name of the schema or of the model."""
    place: str = ""
    """Where a caller gives the value: `query`, `body` or `form`; empty: unknown."""


ANYTHING: Final = Shape(is_open=True)


def all_of(shapes: Iterable[Shape]) -> Shape:
    """Return the shape of a value that fits all shapes."""
    made: Shape | None = None
    for shape in shapes:
        made = shape if made is None else _both(made, shape)
    return made or Shape()


def any_of(shapes: Iterable[Shape]) -> Shape:
    """Return the shape of a value that fits one of the shapes."""
    made: Shape | None = None
    for shape in shapes:
        made = shape if made is None else _either(made, shape)
    return made or Shape()


def _both(one: Shape, other: Shape) -> Shape:
    names = {**one.fields, **other.fields}
    return evolve(
        one,
        types=one.types if other.types is None else other.types if one.types is None else one.types & other.types,
        format=one.format or other.format,
        values=one.values
        if other.values is None
        else other.values
        if one.values is None
        else one.values & other.values,
        # A part without a type says nothing about null.
        nullable=one.nullable or other.nullable
        if one.types is None or other.types is None
        else one.nullable and other.nullable,
        fields={
            name: _both(one.fields[name], other.fields[name])
            if name in one.fields and name in other.fields
            else one.fields.get(name) or other.fields[name]
            for name in names
        },
        required=one.required | other.required,
        items=_both(one.items, other.items) if one.items and other.items else one.items or other.items,
        limits=tuple(dict.fromkeys((*one.limits, *other.limits))),
        deprecated=one.deprecated or other.deprecated,
        is_open=one.is_open or other.is_open,
        owner=one.owner or other.owner,
    )


def _either(one: Shape, other: Shape) -> Shape:
    if one.types == frozenset() and one.values is None:
        return evolve(other, nullable=True)
    if other.types == frozenset() and other.values is None:
        return evolve(one, nullable=True)
    names = {**one.fields, **other.fields}
    return evolve(
        one,
        types=None if one.types is None or other.types is None else one.types | other.types,
        format=one.format if one.format == other.format else "",
        values=None if one.values is None or other.values is None else one.values | other.values,
        nullable=one.nullable or other.nullable,
        fields={
            name: _either(one.fields[name], other.fields[name])
            if name in one.fields and name in other.fields
            else one.fields.get(name) or other.fields[name]
            for name in names
        },
        required=one.required & other.required,
        items=_either(one.items, other.items) if one.items and other.items else one.items or other.items,
        limits=tuple(dict.fromkeys((*one.limits, *other.limits))),
        deprecated=one.deprecated and other.deprecated,
        is_open=one.is_open or other.is_open,
        owner=one.owner or other.owner,
    )
