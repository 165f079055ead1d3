"""Models that several groups of operations use."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import field, frozen

from wavix_async._codec import html_records
from wavix_async.models._base import Model, OpenStrEnum

__all__ = ["Direction", "Page", "Pagination", "Success"]

T = TypeVar("T")


class Direction(OpenStrEnum):
    """The direction of a call, a message or a stream, seen from the account."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@frozen(kw_only=True)
class Pagination(Model):
    """The position of a page in the whole list."""

    current_page: int = field(default=None)
    """The number of this page, counted from 1."""
    per_page: int = field(default=None)
    """The most records on a page."""
    total: int = field(default=None)
    """The number of records in all pages."""
    total_pages: int = field(default=None)
    """The number of pages."""


@frozen(kw_only=True)
class Page(Model, Generic[T]):
    """One page of a list; iterate over it for its items, `len(page)` counts them."""

    items: list[T] = field(default=None)
    """The records of this page."""
    pagination: Pagination = field(default=None)
    """The position of this page."""

    @property
    def has_next(self) -> bool:
        """Whether there is a page after this one; False if the answer does not say, and after an empty page."""
        current, last, size, total = (
            getattr(self.pagination, name, None) for name in ("current_page", "total_pages", "per_page", "total")
        )
        if type(current) is not int:
            return False
        # The count of pages alone is not proof: it may say 1 beside a total of 1,000.
        more = type(size) is int and type(total) is int and size > 0 and current * size < total and len(self) > 0
        return more or (type(last) is int and current < last)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items or ())

    def __len__(self) -> int:
        return len(self.items or ())

    def __bool__(self) -> bool:
        return True

    def _repr_html_(self) -> str:
        if type(self.items) is not list:
            return super()._repr_html_()
        current, last, total = (
            getattr(self.pagination, name, None) for name in ("current_page", "total_pages", "total")
        )
        place = f": page {current} of {last}, {total} records in all" if current and last and total else ""
        return html_records(self.items, type(self).__name__ + place)


@frozen(kw_only=True)
class Success(Model):
    """An answer that only confirms success."""

    success: bool = field(default=None)
    already_gone: bool = field(default=False, metadata={"wire": False})
    """Whether an earlier attempt without an answer had already succeeded, so that the retry found nothing."""
