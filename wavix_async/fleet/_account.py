"""`Census`: how the numbers of an account stand now, read the cheapest way: page after page, or each by itself."""

import asyncio
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, Final, TypeVar

from wavix_async import Event, NotFoundError, Number, WavixClient
from wavix_async._files import digits_of, is_id

__all__ = ["Census", "Ids"]

A = TypeVar("A")
R = TypeVar("R")

_PAGE: Final = 100
_SEARCHED: Final = 10
_LISTINGS: Final = 3


class Ids:
    """Record ids in order, eight bytes each, and which of them have been seen."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = array("q", ids)
        self._seen = bytearray(len(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def see(self, number_id: object) -> bool:
        """Tell whether an id is one of these that was not seen yet; now it is."""
        if not is_id(number_id):
            return False
        at = bisect_left(self._ids, number_id)
        if at == len(self._ids) or self._ids[at] != number_id or self._seen[at]:
            return False
        self._seen[at] = 1
        return True

    def unseen(self) -> list[int]:
        """Return those that were not seen."""
        return [number_id for number_id, seen in zip(self._ids, self._seen, strict=True) if not seen]


class _Failures:
    failures_only = True

    def __init__(self, census: "Census") -> None:
        self._census = census

    def __call__(self, event: Event) -> None:
        self._census.count_failure(event)


class Census:
    """Reads numbers, and counts the requests that this took.

    Args:
        wavix: The client of the account.
        at_once: How many numbers are read at once where each is read by itself.
    """

    def __init__(self, wavix: WavixClient, at_once: int = 32) -> None:
        self._wavix = wavix.with_options(observers=(_Failures(self),))
        self._at_once = at_once
        self.requests = 0
        self.rate_limited = 0
        self.listings = 0
        self.steady = False

    def count_failure(self, event: Any) -> None:
        """Count an attempt that failed."""
        if hasattr(event, "duration") and event.outcome != "not_sent":
            self.requests += 1
            self.rate_limited += event.status == 429

    async def size(self) -> int:
        """Return how many numbers the account has."""
        page = await self._wavix.numbers.list(page=1, per_page=1)
        self.requests += 1
        total = getattr(page.pagination, "total", None)
        return total if type(total) is int else len(page.items)

    async def everything(self) -> AsyncGenerator[list[Number], None]:
        """Yield all numbers of the account, page by page; one that moves meanwhile may come twice.

        Numbers that are bought or released meanwhile move others from page to page, and past the reader: then all of
        it is read once more.
        """
        for _ in range(_LISTINGS):
            totals, count = set(), 0
            self.listings += 1
            async with aclosing(self._wavix.numbers.list(per_page=_PAGE).pages()) as pages:
                async for page in pages:
                    self.requests += 1
                    count += len(page.items)
                    totals.add(getattr(page.pagination, "total", None))
                    yield page.items
            if totals in ({count}, {None}, set()):
                self.steady = True
                return

    async def look(self, ids: Ids, account: int) -> AsyncGenerator[tuple[list[Number], list[int]], None]:
        """Yield how numbers stand now, each once, a few at a time.

        Args:
            ids: Which.
            account: How many numbers the account has.

        Yields:
            Numbers, and the ids of those that the account has no more.
        """
        if len(ids) > account / _PAGE:
            async with aclosing(self.everything()) as pages:
                async for page in pages:
                    yield [number for number in page if ids.see(number.id)], []
        # What was not on any page may have moved while they were read.
        async with aclosing(self.by_id(ids.unseen())) as rest:
            async for found, missing in rest:
                yield found, missing

    async def by_id(self, ids: Iterable[int]) -> AsyncGenerator[tuple[list[Number], list[int]], None]:
        """Read each of these numbers by itself; yield it, or its id where the account has no such number."""
        async with aclosing(_in_parallel(self._get, ids, self._at_once)) as pairs:
            async for number_id, number in pairs:
                yield ([], [number_id]) if number is None else ([number], [])

    async def by_phone(self, phones: Iterable[str]) -> AsyncGenerator[Number, None]:
        """Look for phone numbers, and yield what is found."""
        async with aclosing(_in_parallel(self._search, phones, self._at_once)) as pairs:
            async for _, number in pairs:
                if number is not None:
                    yield number

    async def _get(self, number_id: int) -> Number | None:
        try:
            number = await self._wavix.numbers.get(number_id)
        except NotFoundError:
            return None
        self.requests += 1
        return number

    async def _search(self, phone: str) -> Number | None:
        page = await self._wavix.numbers.list(search=phone, per_page=_SEARCHED)
        self.requests += 1
        for number in page.items:
            if isinstance(number.number, str) and digits_of(number.number) == phone:
                return number
        return None


async def _in_parallel(
    work: Callable[[A], Awaitable[R]], inputs: Iterable[A], at_once: int
) -> AsyncGenerator[tuple[A, R], None]:
    """Yield each input with what it gave, in order, a few under way at once."""
    ahead: deque[tuple[A, asyncio.Future[R]]] = deque()
    try:
        for each in inputs:
            ahead.append((each, asyncio.ensure_future(work(each))))
            if len(ahead) >= at_once:
                first, task = ahead[0]
                yield first, await task
                ahead.popleft()
        while ahead:
            first, task = ahead[0]
            yield first, await task
            ahead.popleft()
    finally:
        for _, task in ahead:
            task.cancel()
        await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)
