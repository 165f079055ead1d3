"""Models that more than one group of the API uses."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from attrs import field, frozen

from wavix_async.models._base import Model, OpenStrEnum

__all__ = ["Direction", "Page", "Pagination", "Success"]

T = TypeVar("T")


class Direction(OpenStrEnum):
    """Which way a call, a message or a stream goes, seen from the account."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@frozen(kw_only=True)
class Pagination(Model):
    """Where a page stands among all."""

    current_page: int = field(default=None)
    """Counted from 1."""
    per_page: int = field(default=None)
    total: int = field(default=None)
    """Records in all pages."""
    total_pages: int = field(default=None)


@frozen(kw_only=True)
class Page(Model, Generic[T]):
    """One page of a list; iterate it for its items, `len(page)` counts them."""

    items: list[T] = field(default=None)
    pagination: Pagination = field(default=None)

    @property
    def has_next(self) -> bool:
        """Whether there is a page after this one; False where the answer does not tell."""
        current = getattr(self.pagination, "current_page", None)
        last = getattr(self.pagination, "total_pages", None)
        return type(current) is int and type(last) is int and current < last

    def __iter__(self) -> Iterator[T]:
        return iter(self.items or ())

    def __len__(self) -> int:
        return len(self.items or ())

    def __bool__(self) -> bool:
        return True


@frozen(kw_only=True)
class Success(Model):
    """An answer that only confirms."""

    success: bool = field(default=None)
    already_gone: bool = field(default=False, metadata={"wire": False})
    """Whether an attempt with an unknown outcome turned out to have done the work: the next one found nothing."""
