"""Models that more than one group of the API uses."""

from typing import Generic, TypeVar

from attrs import field, frozen

from wavix_async.models._base import Model

__all__ = ["Page", "Pagination", "Success"]

T = TypeVar("T")


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
    """One page of a list."""

    items: list[T] = field(default=None)
    pagination: Pagination = field(default=None)


@frozen(kw_only=True)
class Success(Model):
    """An answer that only confirms."""

    success: bool = field(default=None)
    already_gone: bool = field(default=False, metadata={"wire": False})
    """Whether an attempt with an unknown outcome turned out to have done the work: the next one found nothing."""
