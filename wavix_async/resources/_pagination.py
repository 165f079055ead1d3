"""`Paginator`: await it for one page, iterate over it for all items; it fetches the next pages ahead, in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Final, Generic, TypeVar

from wavix_async._aio import UnawaitedWarning
from wavix_async._codec import shape_of
from wavix_async.errors import DecodeError
from wavix_async.models._base import MAX_PER_PAGE
from wavix_async.models.common import Page

__all__ = ["Paginator", "items_of"]

T = TypeVar("T")
P = TypeVar("P", bound=Page[Any])

_AHEAD: Final = 4


class Paginator(Generic[P, T]):
    """A list that is read page by page.

    `await paginator` reads one page. `async for item in paginator` reads every item, in order: the first page says how
    many pages there are, and the paginator fetches a few of the next ones while you work. A paginator that is never
    read warns (`RuntimeWarning`).
    """

    def __init__(
        self,
        fetch: Callable[[int | None, int | None], Awaitable[P]],
        page: int | None,
        per_page: int | None,
        limit: int | None = None,
        name: str = "a list",
    ) -> None:
        unawaited = UnawaitedWarning(f"{name} was never awaited, so it read nothing: await it, or iterate over it.")

        def note_and_fetch(page: int | None, per_page: int | None) -> Awaitable[P]:
            # Not `self`: a cycle would delay the warning to the next garbage collection.
            unawaited.cancel()
            return fetch(page, per_page)

        self._fetch = note_and_fetch
        self._page = page
        self._per_page = per_page
        self._limit = limit
        self._name = name

    def __repr__(self) -> str:
        return f"<Paginator of {self._name}>"

    def __await__(self) -> Generator[Any, None, P]:
        per_page = self._per_page
        if per_page is None and self._limit is not None:
            per_page = self._size(self._limit)
        return self._fetch(self._page, per_page).__await__()

    def _size(self, wanted: int) -> int:
        """Return the page size to request when the caller wants `wanted` items.

        The size determines where a later page begins. So every way of reading requests the same size, unless it starts
        with the first page.
        """
        return self._per_page or (min(wanted, MAX_PER_PAGE) if self._page in {None, 1} else MAX_PER_PAGE)

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        left = self._limit
        async with contextlib.aclosing(self.pages()) as pages:
            async for page in pages:
                items = items_of(page)
                for item in items if left is None else items[:left]:
                    yield item
                if left is not None:
                    left -= len(items)

    async def to_list(self) -> list[T]:
        """Read every item, up to `limit`, into a list."""
        return [item async for item in self]

    async def first(self) -> T | None:
        """Read the first item; None if there is none."""
        page = await self._fetch(self._page, self._size(1))
        return next(iter(items_of(page)), None)

    async def total(self) -> int:
        """Read how many items there are on all pages, regardless of `limit`.

        Raises:
            DecodeError: The answer does not say.
        """
        page = await self._fetch(None, 1)
        total = getattr(page.pagination, "total", None)
        if type(total) is not int:
            raise DecodeError("The answer does not say how many items there are: read them and count.", retryable=False)
        return total

    async def pages(self) -> AsyncGenerator[P, None]:
        """Read page after page, in order; stop at the last page, at an empty page, or at the page that reaches `limit`.

        If answers have no `pagination`, the list ends at an empty page, or when a page repeats an earlier one.
        """
        number, size = self._page or 1, self._size(self._limit or MAX_PER_PAGE)
        ahead: deque[asyncio.Task[P]] = deque()
        fetched, left = number, self._limit
        first: list[Any] | None = None
        try:
            page = await self._fetch(number, size)
            while items := items_of(page):
                yield page
                last = _last_page(page)
                if last is not None and number >= last:
                    return
                # Without a count of pages, more than the next page may not exist: fetch only that one ahead.
                until = number + 1 if last is None else min(last, number + _AHEAD)
                if left is not None:
                    left -= len(items)
                    if left <= 0:
                        return
                    # A server may return fewer items than requested.
                    until = min(until, number + -(-left // len(items)))
                first = items if first is None else first
                while fetched < until:
                    fetched += 1
                    ahead.append(asyncio.ensure_future(self._fetch(fetched, size)))
                page = await ahead[0]
                ahead.popleft()
                number += 1
                if last is None and items_of(page) in (items, first):
                    # The server ignores pages: it returns the whole list to every call.
                    return
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)


def items_of(page: Any) -> list[Any]:
    """Return the items of an answer; they must be a list, since missing items do not mean an empty account.

    Null counts as an empty list, unless the answer says that there are records.

    Raises:
        DecodeError: The items are missing, or not a list.
    """
    if page.items is None and _says_null(page):
        return []
    if type(page.items) is not list:
        raise DecodeError(
            f"The answer has no list of items: expected list, found {type(page.items).__name__}.", retryable=False
        )
    return page.items


def _says_null(page: Any) -> bool:
    if getattr(page, "pagination", None) is None:
        return False
    (wire,) = (field.wire for field in shape_of(type(page)).fields if field.name == "items")
    return page._origin is not None and wire not in page._origin.absent and not page.pagination.total


def _last_page(page: Page[Any]) -> int | None:
    total = getattr(page.pagination, "total_pages", None)
    return total if type(total) is int else None
