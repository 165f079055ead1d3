"""Models without a server, by looking at their classes: what the API could have answered, read as an answer is.

A class with a sample (`sample`) gets realistic values, any other gets values of the right types. Either way the result
has passed the strict decoder, so that no test works with what the API cannot say.
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

from wavix_async import _codec
from wavix_async.models._base import Model
from wavix_async.models.common import Page, Pagination, Success

__all__ = ["did_you_mean", "make", "make_page", "sample"]

M = TypeVar("M", bound=Model)
P = TypeVar("P", bound=Page[Any])
Sample = Callable[[int], Mapping[str, object]]

_FIRST_ID: Final = 1001
_counts: Final[dict[type, "itertools.count[int]"]] = defaultdict(lambda: itertools.count(_FIRST_ID))
_samples: Final[dict[type, Sample]] = {}


def sample(kind: type[Model]) -> Callable[[Sample], Sample]:
    """Register a function that tells realistic values for the n-th model of a class, by field."""

    def register(function: Sample) -> Sample:
        _samples[kind] = function
        return function

    return register


def make(kind: type[M], /, **fields: object) -> M:
    """Make a model as an answer of the API would be: complete, valid, and without a server.

    Args:
        kind: The class, such as `Number`.
        **fields: Values to set, as the model has them or as the API writes them (`status="active"`); `extra` holds keys
            that this version does not know. What is left out is made up: the same every time, except for what tells
            models apart (`id`, phone numbers), which counts up over the whole process. Give it where the test names it.

    Returns:
        The model.

    Raises:
        TypeError: The class has no such field, or the value is none that the API documents for it; or `kind` is no
            class of an answer.
    """
    if not (isinstance(kind, type) and issubclass(kind, Model)) or _is_generic(kind):
        name = getattr(kind, "__name__", repr(kind))
        raise TypeError(f"make() takes the class of an answer, such as Number or NumberPage, and {name} is none.")
    given = dict(fields)
    extra = given.pop("extra", {})
    if not isinstance(extra, Mapping):
        raise TypeError(f"extra holds keys and values that the API might add, not {extra!r}.")
    shape = _codec.shape_of(kind)
    hidden = [attribute.name for attribute in attrs.fields(kind) if _codec.is_hidden(attribute)]
    names = {field.name: field.wire for field in shape.fields}
    for name in given:
        if name not in names and (name not in hidden or name.startswith("_")):
            raise TypeError(f"{kind.__name__} has no field {name!r}: {did_you_mean(name, names)}")
    apart = {name: given.pop(name) for name in hidden if name in given}
    nth = next(_counts[kind])
    made = {**_samples.get(kind, _no_sample)(nth), **given}
    wire = {
        field.wire: _written(made[field.name]) if field.name in made else _made_up(field, nth) for field in shape.fields
    }
    model, drifts = _codec.decode(kind, {**wire, **extra})
    wrong = [str(drift).replace("$", kind.__name__, 1) for drift in drifts if drift.kind != "unknown"]
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise TypeError(f"The API cannot answer this: {'; '.join(wrong[:3])}{more}.")
    return attrs.evolve(model, **cast("Any", apart)) if apart else model


def make_page(
    kind: type[P], items: Iterable[object] | int = 3, /, *, page: int = 1, per_page: int = 25, total: int | None = None
) -> P:
    """Make one page of a list, as the API would answer it.

    Args:
        kind: The class, such as `NumberPage`.
        items: What is on it, or how many are to be made.
        page: Which page, counted from 1.
        per_page: Items on a full page.
        total: Items on all pages. Default: this is the last page.

    Returns:
        The page, its pagination worked out.

    Raises:
        TypeError: `kind` is no page, or an item is of another class than it has.
        ValueError: There are more items than fit on the page, or than in total.
    """
    if not (isinstance(kind, type) and issubclass(kind, Page)) or _is_generic(kind):
        raise TypeError(f"make_page() takes the class of a page, such as NumberPage, not {kind!r}.")
    (item,) = next(typing.get_args(field.kind) for field in _codec.shape_of(kind).fields if field.name == "items")
    items = [make(item) for _ in range(items)] if isinstance(items, int) else list(items)
    before = (page - 1) * per_page
    total = before + len(items) if total is None else total
    if len(items) > per_page or before + len(items) > total:
        raise ValueError(f"Page {page} cannot have {len(items)} items: per_page is {per_page}, and total {total}.")
    pages = max(1, -(-total // per_page))
    return make(
        kind,
        items=items,
        pagination={"current_page": page, "per_page": per_page, "total": total, "total_pages": pages},
    )


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the right names for a wrong one: those that are like it, or all."""
    known = list(names)
    close = difflib.get_close_matches(name, known, cutoff=0.7)
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(known)}."


@sample(Success)
def _success(_: int) -> Mapping[str, object]:
    return {"success": True}


@sample(Pagination)
def _pagination(_: int) -> Mapping[str, object]:
    return {"current_page": 1, "per_page": 25, "total": 0, "total_pages": 1}


def _is_generic(kind: Any) -> bool:
    return bool(getattr(kind, "__parameters__", ()))


def _no_sample(_: int) -> Mapping[str, object]:
    return {}


def _written(value: object) -> object:
    """Return the wire form of a field's value."""
    return _codec.to_dict(value) if isinstance(value, list | tuple) else _codec.to_dict([cast("Any", value)])[0]


_BY_TYPE: Final[dict[object, object]] = {
    bool: False,
    float: 1.0,
    Decimal: "0.99",
    datetime: "2026-01-15T09:30:00.000Z",
    date: "2027-01-15",
}
_BY_END: Final = {
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


def _made_up(field: Any, nth: int) -> object:
    """Return a value in wire form by the type of a field, and for a text by the end of its name."""
    kind = field.kind
    if field.optional:
        return None
    if kind in _BY_TYPE:
        return _BY_TYPE[kind]
    if kind is int:
        return nth if field.name == "id" else 1
    if kind is str:
        for end, text in _BY_END.items():
            if field.name == end or field.name.endswith(f"_{end}"):
                return text.format(n=nth, phone=nth % 10_000)
        return f"{field.name} {nth}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind)).value
    if isinstance(kind, type) and issubclass(kind, Model):
        return _codec.to_dict(make(kind))
    return [] if typing.get_origin(kind) is list else {}
