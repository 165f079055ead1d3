"""Where events are stored until their handlers have finished, and which have been seen before; and the store in memory.

A store keeps three things. The *key* of every event, until it expires: an event whose key is there is a duplicate. The
*rank* of the latest state of a message: an event of a lower rank is late. And, between the answer to Wavix and the end
of the last handler, the *body* of the event, with the names of the handlers that have finished. What a process leaves
behind when it is killed, `open` passes on to the next one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from attrs import field, frozen

from wavix_async.config import check_count

__all__ = ["EventStore", "MemoryStore", "NewEvent", "StoredEvent", "Verdict"]

T = TypeVar("T")


@frozen(kw_only=True)
class NewEvent:
    """An event that has just come."""

    key: str
    ttl: float
    """Seconds for which its key is remembered."""
    kind: str
    """What the URL or the body says that it is; for the next process, which parses the body again."""
    body: bytes | None = field(repr=False)
    """None: no handler wants it, so nothing has to be run after a restart."""
    subject: str | None = None
    """What its state belongs to; None: its states have no order."""
    rank: int = 0
    subject_ttl: float = 0.0


@frozen(kw_only=True)
class Verdict:
    """What a store knows about a new event."""

    id: str | None
    """Its id in the store; None: it is a duplicate."""
    late: bool = False


@frozen(kw_only=True)
class StoredEvent:
    """An event that an ended process has not finished."""

    id: str
    kind: str
    body: bytes = field(repr=False)
    late: bool
    done: frozenset[str]
    """The names of the handlers that have finished."""
    failed: Mapping[str, str]
    """The handlers that have failed, and the class names of their exceptions."""


class EventStore(Protocol):
    """What `Webhooks` needs of a store: `MemoryStore`, `SqliteStore` and `RedisStore` have it."""

    async def open(self, adopt: Callable[[Sequence[StoredEvent]], object]) -> None:
        """Begin, and pass on what ended processes have left: now, and whenever there is more."""
        ...

    async def add(self, event: NewEvent) -> Verdict:
        """Store an event, unless its key is there; it is safe when this returns."""
        ...

    async def note(self, event_id: str, handler: str, error: str | None) -> None:
        """Store that a handler has finished, or failed with an error."""
        ...

    async def remove(self, event_id: str) -> None:
        """Forget the body of an event: all its handlers have finished."""
        ...

    async def close(self) -> None:
        """End; what is not finished stays for the next process."""
        ...


class MemoryStore:
    """Keeps keys in this process. Events that are not finished at a crash are lost.

    Args:
        limit: How many keys to keep at most; beyond it, the oldest go first. Default 100,000 (about 30 MB).
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = check_count("limit", limit)
        self._keys: OrderedDict[str, float] = OrderedDict()
        self._ranks: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._last = 0

    async def open(self, adopt: Callable[[Sequence[StoredEvent]], object]) -> None:
        """Do nothing: there is nothing from before."""

    async def add(self, event: NewEvent) -> Verdict:
        """Remember the key."""
        now = asyncio.get_running_loop().time()
        expires = self._keys.get(event.key)
        if expires is not None and expires > now:
            return Verdict(id=None)
        self._put(self._keys, event.key, now + event.ttl)
        late = False
        if event.subject is not None:
            rank, until = self._ranks.get(event.subject, (-1, 0.0))
            late = until > now and event.rank < rank
            if not late:
                self._put(self._ranks, event.subject, (event.rank, now + event.subject_ttl))
        self._last += 1
        return Verdict(id=str(self._last), late=late)

    def _put(self, kept: "OrderedDict[str, T]", key: str, value: T) -> None:
        kept.pop(key, None)
        kept[key] = value
        while len(kept) > self._limit:
            kept.popitem(last=False)

    async def note(self, event_id: str, handler: str, error: str | None) -> None:
        """Do nothing: the router knows it, and no other process asks."""

    async def remove(self, event_id: str) -> None:
        """Do nothing: bodies are not kept here."""

    async def close(self) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"MemoryStore(limit={self._limit})"
