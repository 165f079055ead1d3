"""Where the updates of a run come from: a mapping, a sequence, an iterable or an async iterable, pulled one by one."""

import asyncio
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Final

from wavix_async.errors import InputError
from wavix_async.models._base import Body

__all__ = ["END", "Source"]

END: Final[Any] = object()
"""What `Source.pull` returns after the last item."""


class Source:
    """Gives the items of any kind of input, each once; what can be looked at in advance is checked in advance."""

    def __init__(self, updates: Any, check: Callable[[Any, Any], object]) -> None:
        self.total = len(updates) if isinstance(updates, Sized) else None
        self.checked = False
        """Whether every item has been checked in advance."""
        self._items: Iterator[Any] | None = None
        self._later: AsyncIterator[Any] | None = None
        # Two workers must not ask an async generator for its next item at the same time.
        self._lock = asyncio.Lock()
        self._ended = False
        self.broken_off = False
        """Whether the source was cancelled while it made its next item: a generator does not survive that."""
        if isinstance(updates, Mapping) and not isinstance(updates, Body):
            for number_id, update in updates.items():
                check(number_id, update)
            self.checked = type(updates) is dict
            self._items = iter(updates.items())
        elif isinstance(updates, AsyncIterable):
            self._later = aiter(updates)
        elif isinstance(updates, Iterable) and not isinstance(updates, str | bytes | Body):
            if isinstance(updates, Sequence):
                for index, item in enumerate(updates):
                    try:
                        check(*as_pair(item))
                    except InputError as error:
                        raise InputError(f"updates[{index}]: {error}") from None
                self.checked = True
                # What was checked must be what is sent.
                updates = tuple(updates)
            self._items = iter(updates)
        else:
            raise InputError(
                "updates must be a mapping {id: NumberUpdate}, an iterable or an async iterable of (id, NumberUpdate), "
                f"got {type(updates).__name__}."
            )

    async def pull(self) -> Any:
        """Return the next item as it is, or `END`."""
        if self._items is not None:
            return END if self._ended else self._note(next(self._items, END))
        assert self._later is not None
        async with self._lock:
            try:
                return END if self._ended else self._note(await anext(self._later, END))
            except asyncio.CancelledError:
                self.broken_off = True
                raise

    def _note(self, item: Any) -> Any:
        # Not every iterator says twice that it has ended.
        self._ended = item is END
        return item

    async def close(self) -> None:
        """Let a generator run its cleanup."""
        if inspect.isasyncgen(self._later):
            await self._later.aclose()
        elif inspect.isgenerator(self._items):
            self._items.close()


def as_pair(item: Any) -> tuple[Any, Any]:
    """Return the id and the update of an item.

    Raises:
        InputError: It is no pair.
    """
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    raise InputError(f"each update must be a pair (id, NumberUpdate), got {item!r}.")
