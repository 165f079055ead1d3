"""`Paginator`: await it for one page, iterate over it for all items; it fetches the next pages ahead, in order."""

import asyncio
import contextlib
import functools
import typing
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

from wavix_async._aio import UnawaitedGuard
from wavix_async._codec import Records, is_list, is_model, members, shape_of
from wavix_async.errors import DecodeError
from wavix_async.models._base import MAX_PER_PAGE
from wavix_async.models.common import Page

__all__ = ["Paginator", "items_of"]

T = TypeVar("T")
P = TypeVar("P", bound=Page[Any])

_AHEAD: Final = 4
_MOST_REPEATS: Final = 3


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
        unawaited = UnawaitedGuard(f"{name} was never awaited, so it read nothing: await it, or iterate over it.")

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
                items = page.items
                for item in items if left is None else items[:left]:
                    yield item
                if left is not None:
                    left -= len(items)

    async def to_list(self) -> list[T]:
        """Read every item, up to `limit`, into a list."""
        return Records([item async for item in self])

    async def first(self) -> T | None:
        """Read the first item; None if there is none."""
        page = await self._fetch(self._page, self._size(1))
        return next(iter(records_of(page)), None)

    async def total(self) -> int:
        """Read how many items there are on all pages, regardless of `limit`.

        Raises:
            DecodeError: The answer does not say.
        """
        page = await self._fetch(None, 1)
        total = _count(page.pagination, "total")
        if total is None:
            raise DecodeError("The answer does not say how many items there are: read them and count.", retryable=False)
        return total

    async def pages(self) -> AsyncGenerator[P, None]:
        """Read page after page, in order; stop at the last page, at an empty page, or at the page that reaches `limit`.

        If answers have no `pagination`, the list ends at an empty page, or when a page repeats the first one or the one
        before it.

        Raises:
            DecodeError: The list is not whole: it ends before its own count of records, a page repeats an earlier one,
                another page came than the requested one, or an item is not a record. The pages before are good.
        """
        number, size = self._page or 1, self._size(self._limit or MAX_PER_PAGE)
        ahead: deque[asyncio.Task[P]] = deque()
        fetched, left = number, self._limit
        listing = _Listing(self._name, number, size)
        try:
            page = await self._fetch(number, size)
            while listing.add(number, page):
                yield page
                if listing.is_complete():
                    return
                # More than the next page may not exist, unless the answer counts them: fetch only that one ahead.
                last = listing.last
                until = number + 1 if last is None or number >= last else min(last, number + _AHEAD)
                if left is not None:
                    items = len(page.items)
                    left -= items
                    if left <= 0:
                        return
                    # A server may return fewer items than requested.
                    until = min(until, number + -(-left // items))
                while fetched < until:
                    fetched += 1
                    ahead.append(asyncio.ensure_future(self._fetch(fetched, size)))
                page = await ahead[0]
                ahead.popleft()
                number += 1
        finally:
            for task in ahead:
                task.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)


class _Listing:
    """One reading of a list: whether its pages make sense together, and whether it is whole at its end.

    Records may come and go during the reading, so counts of earlier pages may be outdated: only the count of the last
    page must not be greater than the number of records read.
    """

    def __init__(self, name: str, start: int, size: int) -> None:
        self.last: int | None = None
        """How many pages there are, as the last answer says."""
        self._name = name
        self._start = self._number = start
        self._size = size
        self._read = 0
        self._seen = 0
        """Records read, and those on pages before the first."""
        self._total: int | None = None
        self._most = 0
        """The highest count of records that any answer gave."""
        self._marks: set[int] = set()
        self._first = self._before = 0
        self._repeats = 0

    def add(self, number: int, page: Any) -> bool:
        """Add the next page, and return whether it has records; False is the end of the list.

        Raises:
            DecodeError: The page does not fit, or the list ends too early.
        """
        items = records_of(page)
        counts = getattr(page, "pagination", None)
        answered = _count(counts, "current_page")
        if answered and answered != number:
            raise self._broken(f"page {number} was requested, and page {answered} came")
        earlier = self.last
        self._number = number
        self.last, self._total = _count(counts, "total_pages") or None, _count(counts, "total")
        if not items:
            self._end(is_last=number > (self.last or 0))
            return False
        if number == self._start:
            self._seen = (number - 1) * max(_count(counts, "per_page") or self._size, len(items))
        if self._total is not None and self._total < len(items):
            # Not a count of records: there are more on this page alone.
            self._total = None
        mark = _mark(items)
        if mark in self._marks:
            if earlier is not None and number > earlier:
                # A page that should not exist: the server gives another one instead.
                self._end(is_last=True)
                return False
            if self._is_repeat_the_end(mark, items):
                return False
        else:
            self._repeats = 0
        if number == self._start:
            self._first = mark
        self._marks.add(mark)
        self._before = mark
        self._seen += len(items)
        self._most = max(self._most, self._total or 0)
        # Records that move to a later page occur twice, but a whole page of them is too many.
        self._read += len(items)
        if self._most and self._read > self._most + max(self._size, len(items)):
            raise self._broken(f"it has {self._most:,} records, and {self._read:,} came without an end")
        return True

    def is_complete(self) -> bool:
        """Return whether the page added last is the last of the list."""
        if self.last is None or self._number < self.last:
            return False
        return self._total is None or self._seen >= self._total

    def _is_repeat_the_end(self, mark: int, items: list[Any]) -> bool:
        """Return whether a page that repeats an earlier one ends the list: without counts, there is no other end."""
        if self.last is None and self._total is None and mark in {self._first, self._before}:
            return True
        self._repeats += 1
        # Records move during the reading. A page of one record may therefore repeat, but not again and again.
        if len(items) > 1 or self._repeats > _MOST_REPEATS:
            raise self._broken(f"page {self._number} repeats an earlier page")
        return False

    def _end(self, *, is_last: bool) -> None:
        if self._number == self._start:
            self._seen = (self._number - 1) * self._size
        if self._total is not None and self._seen < self._total:
            raise self._broken(f"it ended after {self._seen:,} of {self._total:,} records")
        if self._total is None and not is_last and self._number < (self.last or 0):
            raise self._broken(f"page {self._number} of {self.last:,} is empty")

    def _broken(self, why: str) -> DecodeError:
        return DecodeError(f"{self._name} is not a whole list: {why}. Read it again.", retryable=True)


def _count(counts: Any, name: str) -> int | None:
    """Return a count of `pagination`, or None if it is none."""
    value = getattr(counts, name, None)
    return value if type(value) is int and value >= 0 else None


def _mark(items: list[Any]) -> int:
    """Return a number that is the same for a page with the same records, in any order."""
    kind: Any = type(items[0])
    key_of, all_of = _keys(kind)
    try:
        keys = frozenset(map(key_of, items))
        if len(keys) < len(items):
            # Ids that are missing, or no ids after all.
            keys = frozenset(map(all_of, items))
        return hash((len(items), keys))
    except (TypeError, AttributeError):
        # A list or an object in place of a number or a text.
        return hash((len(items), frozenset(map(repr, items))))


@functools.cache
def _keys(kind: Any) -> tuple[Callable[[Any], object], Callable[[Any], object]]:
    """Return two functions: one reads the id of a record, the other all its numbers and texts."""
    if not is_model(kind):
        return repr, repr
    names = [field.name for field in shape_of(kind).fields if isinstance(field.kind, type) and not is_model(field.kind)]
    all_of: Callable[[Any], object] = attrgetter(*names) if names else repr
    return (attrgetter("id") if "id" in names else all_of), all_of


def records_of(page: Any) -> list[Any]:
    """Return the items of a page; each must be a record.

    Raises:
        DecodeError: The items are missing, or not a list, or one of them is not a record.
    """
    items, pages = items_of(page), typing.cast("Any", type(page))
    kinds = _kinds_of_items(pages)
    if kinds:
        for place, item in enumerate(items):
            if type(item) not in kinds:
                expected = " or ".join(kind.__name__ for kind in kinds)
                found = "null" if item is None else type(item).__name__
                raise DecodeError(
                    f"The answer is not a list of records: expected {expected}, found {found} at {place}.",
                    paths=(f"$.items[{place}]: expected {expected}, found {found}",),
                    retryable=False,
                )
    return items


@functools.cache
def _kinds_of_items(page: Any) -> tuple[type, ...]:
    """Return the classes of the items of a page class; none if an item need not be a model."""
    kind = next((field.kind for field in shape_of(page).fields if field.name == "items"), None)
    kinds = members(typing.get_args(kind)[0]) if is_list(kind) else ()
    return kinds if all(map(is_model, kinds)) else ()


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
