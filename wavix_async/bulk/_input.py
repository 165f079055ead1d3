"""`Source`: pulls the items of a run one by one from a mapping, a sequence, an iterable or an async iterable."""

import asyncio
import inspect
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Final

from wavix_async._codec import plain_scalar
from wavix_async.bulk._operation import BulkOperation
from wavix_async.errors import InputError

__all__ = ["END", "Source"]

END: Final[Any] = object()
"""`Source.pull` returns this after the last item."""


class Source:
    """Yields each item of any kind of input once. It checks mappings and sequences completely before the run starts."""

    def __init__(self, items: Any, operation: BulkOperation[Any, Any, Any]) -> None:
        self.total = len(items) if isinstance(items, Sized) else None
        self.checked = False
        """Whether every item was checked before the run."""
        self.known: Collection[Any] | None = None
        """All items, if they are known before the run."""
        self._operation = operation
        self._items: Iterator[Any] | None = None
        self._async_items: AsyncIterator[Any] | None = None
        # An async generator raises an error if two workers ask for the next item at the same time. This is no lock,
        # which each worker would pass to the next: then the run gets one item per iteration of the event loop.
        self._pulling = False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._ended = False
        self.broken_off = False
        """Whether the source was cancelled while it produced an item: that ends a generator."""
        # A request body is a mapping, so a single change must not be taken for the collection of items.
        is_change = isinstance(items, operation.change_type)
        if isinstance(items, Mapping) and not is_change:
            for key, change in items.items():
                operation.check(key, change)
            self.checked = type(items) is dict
            self.known = items.items()
            self._items = iter(self.known)
        elif isinstance(items, AsyncIterable):
            self._async_items = aiter(items)
        elif isinstance(items, Iterable) and not isinstance(items, str | bytes) and not is_change:
            if isinstance(items, Sequence):
                for index, item in enumerate(items):
                    try:
                        operation.check(*self.as_pair(item))
                    except InputError as error:
                        raise InputError(f"{operation.argument}[{index}]: {error}") from None
                self.checked = True
                # Copy, so that the caller cannot change the items after the check.
                items = self.known = tuple(items)
            self._items = iter(items)
        else:
            raise InputError(
                f"{operation.argument} must be a mapping {{{operation.key_name}: {operation.change_type.__name__}}}, "
                f"an iterable or an async iterable of {operation.pair}, got {type(items).__name__}."
            )

    def is_unread(self) -> bool:
        """Return whether an input of unknown length has not shown its end."""
        return self.total is None and not self._ended

    async def pull(self) -> Any:
        """Return the next item unchecked, or `END`."""
        if self._items is not None:
            return END if self._ended else self._note(next(self._items, END))
        assert self._async_items is not None
        while self._pulling:
            await self._wait()
        self._pulling = True
        try:
            return END if self._ended else self._note(await anext(self._async_items, END))
        except asyncio.CancelledError:
            self.broken_off = True
            raise
        finally:
            self._pulling = False
            self._wake_one()

    async def _wait(self) -> None:
        """Wait until another worker has pulled an item; a third may be quicker to pull the next one."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._wake_one()
            raise

    def _wake_one(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _note(self, item: Any) -> Any:
        # Some iterators yield more items after they have signalled their end: do not ask again.
        self._ended = item is END
        return item

    def as_pair(self, item: Any) -> tuple[Any, Any]:
        """Return the key and the change of an item.

        Raises:
            InputError: The item is not a pair.
        """
        if isinstance(item, tuple | list) and len(item) == 2:
            key, change = item
            return (key if type(key) is int or type(key) is str else plain_scalar(key)), change
        one = self._operation.argument.removesuffix("s")
        raise InputError(f"each {one} must be a pair {self._operation.pair}, got {item!r}.")

    async def close(self) -> None:
        """Close a generator, so that it runs its cleanup code."""
        if inspect.isasyncgen(self._async_items):
            await self._async_items.aclose()
        elif inspect.isgenerator(self._items):
            self._items.close()
