"""`AccountReader`: reads the numbers of an account with the fewest requests: page by page, or one by one."""

import asyncio
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, Final, TypeVar

from wavix_async import Event, NotFoundError, Number, WavixClient
from wavix_async._files import digits_of, is_id
from wavix_async.fleet._records import FleetProgress

__all__ = ["AccountReader", "Ids"]

A = TypeVar("A")
R = TypeVar("R")

_PAGE: Final = 100
_SEARCH_PAGE: Final = 10
_MOST_LISTINGS: Final = 3


class Ids:
    """Record ids in ascending order, eight bytes each, with a mark for each id that was seen."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = array("q", ids)
        self._seen = bytearray(len(self._ids))

    def __len__(self) -> int:
        return len(self._ids)

    def mark_seen(self, number_id: object) -> bool:
        """Mark an id as seen; return whether it is one of these ids and was not seen before."""
        if not is_id(number_id):
            return False
        at = bisect_left(self._ids, number_id)
        if at == len(self._ids) or self._ids[at] != number_id or self._seen[at]:
            return False
        self._seen[at] = 1
        return True

    def unseen(self) -> list[int]:
        """Return the ids without a mark."""
        return [number_id for number_id, seen in zip(self._ids, self._seen, strict=True) if not seen]


class _FailureCounter:
    failures_only = True

    def __init__(self, reader: "AccountReader") -> None:
        self._reader = reader

    def __call__(self, event: Event) -> None:
        self._reader.count_failure(event)


class AccountReader:
    """Reads numbers, and counts the requests.

    Args:
        wavix: The client of the account.
        concurrency: The most numbers to read at once when they are read one by one.

    Attributes:
        began: When the reader was made, in the time of the event loop.
        requests: Requests so far.
        rate_limited: Requests answered with 429.
        listings: How many times all pages were read.
        total: The number of numbers in the account, as the last page says; None if it does not say.
        is_complete: Whether the last listing is complete, that is, no number moved to another page during it.
    """

    def __init__(self, wavix: WavixClient, concurrency: int = 32) -> None:
        self._wavix = wavix.with_options(observers=(_FailureCounter(self),))
        self._concurrency = concurrency
        self.began = asyncio.get_running_loop().time()
        self.requests = 0
        self.rate_limited = 0
        self.listings = 0
        self.total: int | None = None
        self.is_complete = False

    def count_failure(self, event: Any) -> None:
        """Count a failed attempt."""
        if hasattr(event, "duration") and event.outcome != "not_sent":
            self.requests += 1
            self.rate_limited += event.status == 429

    def report(self, on_progress: Callable[[FleetProgress], object] | None, **counts: Any) -> None:
        """Call a function with the progress: these counts, and the requests, the time and the limit."""
        if on_progress is not None:
            limit = self._wavix.limits.snapshot()
            counts = {"requests": self.requests, "rate_limited": self.rate_limited, **counts}
            elapsed = asyncio.get_running_loop().time() - self.began
            with suppress(Exception):
                on_progress(FleetProgress(elapsed=elapsed, rate=limit.rate, paused_for=limit.paused_for, **counts))

    async def count(self) -> int:
        """Return the number of numbers in the account."""
        page = await self._wavix.numbers.list(page=1, per_page=1)
        self.requests += 1
        total = _total(page)
        return len(page) if total is None else total

    async def all_pages(self) -> AsyncGenerator[list[Number], None]:
        """Yield all numbers of the account, page by page. A number that moves to another page may occur twice.

        If someone buys or releases numbers during the listing, other numbers move between pages and can be missed: then
        the method reads all pages again.
        """
        for _ in range(_MOST_LISTINGS):
            totals, count = set(), 0
            self.listings += 1
            async with aclosing(self._wavix.numbers.list(per_page=_PAGE).pages()) as pages:
                async for page in pages:
                    self.requests += 1
                    count += len(page.items)
                    self.total = _total(page)
                    totals.add(self.total)
                    yield page.items
            if totals in ({count}, {None}, set()):
                self.is_complete = True
                return

    async def read(self, ids: Ids, account: int) -> AsyncGenerator[tuple[list[Number], list[int]], None]:
        """Yield the current numbers with these ids, each once, a few at a time.

        Args:
            ids: The ids to read.
            account: The number of numbers in the account.

        Yields:
            Numbers, and the ids that are not in the account.
        """
        if len(ids) > account / _PAGE:
            async with aclosing(self.all_pages()) as pages:
                async for page in pages:
                    yield [number for number in page if ids.mark_seen(number.id)], []
        # A number missing from all pages may have moved during the listing: read it by its id.
        async with aclosing(self.read_by_id(ids.unseen())) as rest:
            async for found, missing in rest:
                yield found, missing

    async def read_by_id(self, ids: Iterable[int]) -> AsyncGenerator[tuple[list[Number], list[int]], None]:
        """Read these numbers one by one; yield each number, or its id if it is not in the account."""
        async with aclosing(_in_parallel(self._get, ids, self._concurrency)) as pairs:
            async for number_id, number in pairs:
                yield ([], [number_id]) if number is None else ([number], [])

    async def has(self, pairs: Sequence[tuple[int, str]]) -> bool:
        """Return whether the account has most of these ids, and each with its phone number."""
        phones, found = dict(pairs), 0
        async with aclosing(self.read_by_id(phones)) as each:
            async for numbers, _ in each:
                for number in numbers:
                    if digits_of(str(number.number)) != digits_of(phones[number.id]):
                        return False
                    found += 1
        return found * 2 > len(pairs)

    async def find_by_phone(self, phones: Iterable[str]) -> AsyncGenerator[Number, None]:
        """Search the account for phone numbers, and yield the numbers found."""
        async with aclosing(_in_parallel(self._search, phones, self._concurrency)) as pairs:
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
        found = await self._wavix.numbers.list(search=phone, per_page=_SEARCH_PAGE, limit=_SEARCH_PAGE).to_list()
        self.requests += 1
        for number in found:
            if isinstance(number.number, str) and digits_of(number.number) == phone:
                return number
        return None


def _total(page: Any) -> int | None:
    total = getattr(page.pagination, "total", None)
    return total if type(total) is int and total >= 0 else None


async def _in_parallel(
    work: Callable[[A], Awaitable[R]], inputs: Iterable[A], concurrency: int
) -> AsyncGenerator[tuple[A, R], None]:
    """Yield each input with its result, in input order, and run up to `concurrency` at once."""
    ahead: deque[tuple[A, asyncio.Future[R]]] = deque()
    try:
        for each in inputs:
            ahead.append((each, asyncio.ensure_future(work(each))))
            if len(ahead) >= concurrency:
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
