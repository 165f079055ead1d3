"""Make models from their classes, without a server, as if decoded from an API response.

A class with a sample (`register_sample`) gets realistic values; any other class gets values of the right types. Every
result has passed the strict decoder, so no test can use values that the API cannot send.
"""

import difflib
import enum
import itertools
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar, cast

import attrs

from wavix_async._codec import AnswerBase, decode, is_hidden, is_union, members, shape_of, to_dict
from wavix_async.models.common import Page, Pagination, Success

__all__ = ["did_you_mean", "make", "make_page", "register_sample"]

M = TypeVar("M", bound=AnswerBase)
P = TypeVar("P", bound=Page[Any])
Sample = Callable[[int], Mapping[str, object]]

_FIRST_ID: Final = 1001
_counters: Final[dict[type, "itertools.count[int]"]] = defaultdict(lambda: itertools.count(_FIRST_ID))
_sample_makers: Final[dict[type, Sample]] = {}


def register_sample(kind: type[AnswerBase]) -> Callable[[Sample], Sample]:
    """Register a function that returns realistic field values for the n-th model of a class."""

    def register(function: Sample) -> Sample:
        _sample_makers[kind] = function
        return function

    return register


def make(kind: type[M], /, **fields: object) -> M:
    """Make a complete and valid model of an API response, without a server.

    Args:
        kind: The class, such as `Number`.
        **fields: Values to set, as Python values or as the API writes them (`status="active"`). Use `extra` for keys
            that this version does not know. All other fields are generated. Generated values are always the same,
            except that `id` and phone numbers count up during the process. Set those fields if a test depends on them.

    Returns:
        The model.

    Raises:
        TypeError: `kind` is not a response class, it has no such field, or the API does not document such a value.
    """
    if not (isinstance(kind, type) and issubclass(kind, AnswerBase)) or _is_generic(kind):
        name = getattr(kind, "__name__", repr(kind))
        raise TypeError(f"make() takes a response class, such as Number or NumberPage, not {name}.")
    given = dict(fields)
    extra = given.pop("extra", {})
    if not isinstance(extra, Mapping):
        raise TypeError(f"extra must be a mapping of keys that the API might add to their values, not {extra!r}.")
    shape = shape_of(kind)
    hidden = [attribute.name for attribute in attrs.fields(kind) if is_hidden(attribute)]
    names = {field.name: field.wire for field in shape.fields}
    for name in given:
        if name not in names and (name not in hidden or name.startswith("_")):
            raise TypeError(f"{kind.__name__} has no field {name!r}: {did_you_mean(name, names)}")
    hidden_values = {name: given.pop(name) for name in hidden if name in given}
    nth = next(_counters[kind])
    values = {**_sample_makers.get(kind, _empty_sample)(nth), **given}
    wire = {
        field.wire: _to_wire(values[field.name]) if field.name in values else _generate_value(field, nth)
        for field in shape.fields
    }
    model, drifts = decode(kind, {**wire, **extra})
    problems = [str(drift).replace("$", kind.__name__, 1) for drift in drifts if drift.kind != "unknown"]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise TypeError(f"The API cannot send this: {'; '.join(problems[:3])}{more}.")
    return attrs.evolve(model, **cast("Any", hidden_values)) if hidden_values else model


def make_page(
    kind: type[P], items: Iterable[object] | int = 3, /, *, page: int = 1, per_page: int = 25, total: int | None = None
) -> P:
    """Make one page of a list, as the API would return it.

    Args:
        kind: The class, such as `NumberPage`.
        items: The items, or how many to make.
        page: The number of the page, from 1.
        per_page: The number of items on a full page.
        total: The number of items on all pages. Default: as if this page were the last one.

    Returns:
        The page, with matching pagination.

    Raises:
        TypeError: `kind` is not a page class, or an item has the wrong class.
        ValueError: There are more items than `per_page` or `total` allows.
    """
    if not (isinstance(kind, type) and issubclass(kind, Page)) or _is_generic(kind):
        raise TypeError(f"make_page() takes a page class, such as NumberPage, not {kind!r}.")
    (item,) = next(typing.get_args(field.kind) for field in shape_of(kind).fields if field.name == "items")
    items = [make(item) for _ in range(items)] if isinstance(items, int) else list(items)
    before = (page - 1) * per_page
    total = before + len(items) if total is None else total
    if len(items) > per_page or before + len(items) > total:
        raise ValueError(f"Page {page} cannot have {len(items)} items: per_page is {per_page} and total is {total}.")
    pages = max(1, -(-total // per_page))
    return make(
        kind,
        items=items,
        pagination={"current_page": page, "per_page": per_page, "total": total, "total_pages": pages},
    )


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a hint for an unknown name: the similar names, or all names."""
    known = list(names)
    close = difflib.get_close_matches(name, known, cutoff=0.7)
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(known)}."


@register_sample(Success)
def _success(_: int) -> Mapping[str, object]:
    return {"success": True}


@register_sample(Pagination)
def _pagination(_: int) -> Mapping[str, object]:
    return {"current_page": 1, "per_page": 25, "total": 0, "total_pages": 1}


def _is_generic(kind: Any) -> bool:
    return bool(getattr(kind, "__parameters__", ()))


def _empty_sample(_: int) -> Mapping[str, object]:
    return {}


def _to_wire(value: object) -> object:
    """Return a value in its JSON form."""
    return to_dict(value) if isinstance(value, list | tuple) else to_dict([cast("Any", value)])[0]


_BY_TYPE: Final[dict[object, object]] = {
    bool: False,
    float: 1.0,
    Decimal: "0.99",
    datetime: "2026-01-15T09:30:00.000Z",
    date: "2027-01-15",
}
_BY_NAME_SUFFIX: Final = {
    "url": "https://example.com/{n}",
    "email": "user{n}@example.com",
    "number": "1415555{phone:04}",
    "phone": "1415555{phone:04}",
    "currency": "USD",
    "country": "United States",
    "country_short_name": "US",
    "country_code": "US",
    "city": "SAN FRANCISCO, CA",
}


def _generate_value(field: Any, nth: int) -> object:
    """Return a JSON value for a field, chosen by its type; for text, by the end of its name."""
    kind = field.kind
    if field.optional:
        return None
    if is_union(kind):
        kind = members(kind)[0]
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if kind is int:
        return nth if field.name == "id" else 1
    if kind is str:
        for suffix, text in _BY_NAME_SUFFIX.items():
            if field.name == suffix or field.name.endswith(f"_{suffix}"):
                return text.format(n=nth, phone=nth % 10_000)
        return f"{field.name} {nth}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind)).value
    if isinstance(kind, type) and issubclass(kind, AnswerBase):
        return to_dict(make(kind))
    return [] if typing.get_origin(kind) is list else {}
