"""`Paginator`: await it for one page, iterate it for everything; the next pages are fetched ahead, in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Final, Generic, TypeVar

from wavix_async._codec import is_model, shape_of
from wavix_async.errors import DecodeError
from wavix_async.models._base import MAX_PER_PAGE
from wavix_async.models.common import Page

__all__ = ["Paginator", "items_of"]

T = TypeVar("T")
P = TypeVar("P", bound=Page[Any])

_AHEAD: Final = 4


class Paginator(Generic[P, T]):
    """A list that has not been read yet.

    `await paginator` reads one page. `async for item in paginator` reads every item: the first page tells how many
    there are, the next are fetched a few at a time while you work, and come in order.
    """

    def __init__(
        self,
        fetch: Callable[[int | None, int | None], Awaitable[P]],
        page: int | None,
        per_page: int | None,
        limit: int | None = None,
    ) -> None:
        self._fetch = fetch
        self._page = page
        self._per_page = per_page
        self._limit = limit

    def __await__(self) -> Generator[Any, None, P]:
        per_page = self._per_page
        if per_page is None and self._limit is not None:
            per_page = min(self._limit, MAX_PER_PAGE)
        return self._fetch(self._page, per_page).__await__()

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        left = self._limit
        async with contextlib.aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items if left is None else page.items[:left]:
                    yield item
                if left is not None:
                    left -= len(page.items)
                    if left <= 0:
                        return

    async def to_list(self) -> list[T]:
        """Read every item, up to `limit`, into a list."""
        return [item async for item in self]

    async def first(self) -> T | None:
        """Read the first item; None where there is none."""
        page = await self._fetch(self._page, self._per_page or 1)
        return next(iter(items_of(page)), None)

    async def total(self) -> int:
        """Ask how many items there are on all pages, whatever `limit` says.

        Raises:
            DecodeError: The answer does not tell.
        """
        page = await self._fetch(self._page, self._per_page or 1)
        total = getattr(page.pagination, "total", None)
        if type(total) is not int:
            raise DecodeError("The answer does not say how many items there are: read them and count.", retryable=False)
        return total

    async def pages(self) -> AsyncGenerator[P, None]:
        """Read page after page, in order; stops at the last one, at an empty one, or where `limit` is reached.

        Where answers have no `pagination`, the list ends at an empty page, or where a page repeats the one before it.
        """
        number, size = self._page or 1, self._per_page or min(self._limit or MAX_PER_PAGE, MAX_PER_PAGE)
        ahead: deque[asyncio.Task[P]] = deque()
        fetched, most = number, None if self._limit is None else number - 1 + -(-self._limit // size)
        try:
            page = await self._fetch(number, size)
            while items := items_of(page):
                yield page
                last = _last_page(page)
                if any(end is not None and number >= end for end in (last, most)):
                    return
                # Without a count of pages only the next one is known to be worth asking for.
                until = number + 1 if last is None else min(last, number + _AHEAD)
                while fetched < (until if most is None else min(until, most)):
                    fetched += 1
                    ahead.append(asyncio.ensure_future(self._fetch(fetched, size)))
                page = await ahead[0]
                ahead.popleft()
                number += 1
                if last is None and _keys(items_of(page)) == _keys(items):
                    # The server knows no pages: it answers the whole list to every call.
                    return
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)


def items_of(page: Any) -> list[Any]:
    """Return the items of an answer, which must be a list: nothing can stand for the records of an account.

    Raises:
        DecodeError: They are missing, or something else.
    """
    if type(page.items) is not list:
        raise DecodeError(f"The answer has no list of items, but {type(page.items).__name__}.", retryable=False)
    return page.items


def _keys(items: list[Any]) -> list[Any]:
    """Return what tells the records of a page from others: the first field of a model, which is its id."""
    return [getattr(item, shape_of(type(item)).fields[0].name) if is_model(type(item)) else item for item in items]


def _last_page(page: Page[Any]) -> int | None:
    total = getattr(page.pagination, "total_pages", None)
    return total if type(total) is int else None
