"""Bodies and queries with a field of every kind, for the tests of the mechanism."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from attrs import frozen
from cattrs.gen import override

from wavix_async.models._base import Body, Model, OpenIntEnum, OpenStrEnum, PageQuery
from wavix_async.types import UNSET, UnsetType

__all__ = ["Body", "Colour", "Dot", "Line", "Model", "Mood", "Outer", "Plan", "Search"]


class Colour(OpenStrEnum):
    RED = "red"
    BLUE = "blue"


class Mood(OpenIntEnum):
    GOOD = 1
    BAD = 2


@frozen(kw_only=True)
class Dot(Body):
    x: int
    from_: Annotated[str | UnsetType, override(rename="from")] = UNSET


@frozen(kw_only=True)
class Line(Body):
    dot: Dot


@frozen(kw_only=True)
class Plan(Body):
    colour: Colour | str | UnsetType = UNSET
    mood: Mood | int | UnsetType = UNSET
    width: float | UnsetType = UNSET
    price: Decimal | str | UnsetType = UNSET
    day: date | str | UnsetType = UNSET
    moment: datetime | str | UnsetType = UNSET
    tags: Sequence[str] | UnsetType = UNSET
    dots: Sequence[Dot | Mapping[str, object]] | UnsetType = UNSET
    options: dict[str, object] | UnsetType = UNSET
    kind: Literal["wide", "narrow"] | UnsetType = UNSET
    either: int | str | Dot | Mapping[str, object] | UnsetType = UNSET
    anything: Any = UNSET


@frozen(kw_only=True)
class Outer(Body):
    plans: Sequence[Plan] | UnsetType = UNSET


@frozen(kw_only=True)
class Search(PageQuery):
    from_: Annotated[str | None, override(rename="from")] = None
