"""A request to a webhook and its answer, whichever framework received it."""

from collections.abc import AsyncIterable, Callable, Mapping
from typing import Protocol

import attrs

__all__ = ["Incoming", "Receiver", "Reply"]


@attrs.frozen(kw_only=True)
class Incoming:
    """A request, as each mount hands it over."""

    method: str
    secret: str = attrs.field(repr=False)
    kind: str | None
    """The last part of the path, if it names the kind."""
    header: Callable[[str], str | None]
    peer: str | None
    """The address of the other end of the connection."""
    body: AsyncIterable[bytes]
    """It raises `DecodeError` if it cannot be read."""


@attrs.frozen
class Reply:
    """The answer to a request."""

    status: int
    text: str
    headers: Mapping[str, str] = attrs.field(factory=dict)


class Receiver(Protocol):
    """What a mount needs of `Webhooks`."""

    async def receive(self, request: Incoming) -> Reply:
        """Answer a request."""
        ...

    async def start(self) -> object:
        """Begin."""
        ...

    async def close(self) -> None:
        """End."""
        ...
