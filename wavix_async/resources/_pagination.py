"""`Paginator`: await it for one page, iterate it for everything; the next pages are fetched ahead, in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Final, Generic, TypeVar

from wavix_async.errors import DecodeError, InputError
from wavix_async.models.common import Page

__all__ = ["Paginator", "items_of"]

T = TypeVar("T")
P = TypeVar("P", bound=Page[Any])

_AHEAD: Final = 4
_LARGEST: Final = 100


class Paginator(Generic[P, T]):
    """A list that has not been read yet.

    `await paginator` reads one page. `async for item in paginator` reads every item: the first page tells how many
    there are, the next are fetched a few at a time while you work, and come in order.
    """

    def __init__(
        self, fetch: Callable[[int | None, int | None], Awaitable[P]], page: int | None, per_page: int | None
    ) -> None:
        for name, value, most in (("page", page, None), ("per_page", per_page, _LARGEST)):
            if value is not None and (type(value) is not int or value < 1 or (most and value > most)):
                bound = f"between 1 and {most}" if most else "of 1 or more"
                raise InputError(f"{name} must be a whole number {bound}, got {value!r}.")
        self._fetch = fetch
        self._page = page
        self._per_page = per_page

    def __await__(self) -> Generator[Any, None, P]:
        return self._fetch(self._page, self._per_page).__await__()

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async with contextlib.aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page.items:
                    yield item

    async def pages(self) -> AsyncGenerator[P, None]:
        """Read page after page, in order; stops at the last one, or at an empty one."""
        number, size = self._page or 1, self._per_page or _LARGEST
        ahead: deque[asyncio.Task[P]] = deque()
        fetched = number
        try:
            page = await self._fetch(number, size)
            while items_of(page):
                yield page
                last = _last_page(page)
                if last is not None and number >= last:
                    return
                # Without a count of pages only the next one is known to be worth asking for.
                while fetched < (number + 1 if last is None else min(last, number + _AHEAD)):
                    fetched += 1
                    ahead.append(asyncio.ensure_future(self._fetch(fetched, size)))
                page = await ahead[0]
                ahead.popleft()
                number += 1
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


def _last_page(page: Page[Any]) -> int | None:
    total = getattr(page.pagination, "total_pages", None)
    return total if type(total) is int else None
