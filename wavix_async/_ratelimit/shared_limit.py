"""`SharedLimit`: what a limit that several processes share must offer, and what is asked and answered.

The store behind it (`redis.py` is one) hands out every slot once, spaced by `1 / rate`, and keeps the pause of all.
`LeaseRequest` is what a process asks, `LeaseGrant` what the store answers; `lease.py` says how both are used.
"""

from __future__ import annotations

from typing import Protocol

import attrs

__all__ = ["ALIVE", "PATIENCE", "PROBE", "LeaseGrant", "LeaseRequest", "RateSource", "SharedLimit"]

PATIENCE = 0.4  # seconds to wait for the store, connecting included
PROBE = 0.5  # seconds after which a process asks a store again that was out of reach
ALIVE = 10.0  # seconds after its last request for which a process still counts


@attrs.frozen
class LeaseRequest:
    """What a process asks of the store."""

    at: float
    """When, by the clock of the asking loop."""

    slots: int
    """How many slots; 0 only asks for news."""

    ahead: float
    """Seconds from the store's answer on in which a slot would be due too early to be used."""

    pause: float
    """Seconds for which all processes must pause; 0.0: no news."""

    back: bool
    """Whether the process has paced itself, because the store was out of reach."""


@attrs.frozen
class LeaseGrant:
    """What the store answers."""

    now: float
    """The time by the store's clock, in seconds."""

    first: float
    """When the first slot is due, by the same clock."""

    slots: int
    """How many slots there are, `1 / rate` apart."""

    pause: float
    """Seconds for which all processes pause; 0.0: there is no pause."""

    processes: int
    """How many processes share the limit, this one included: all that asked in the last `ALIVE` seconds."""

    active: int
    """How many of them lease at the moment."""

    local_for: float = 0.0
    """Seconds for which the process goes on with its part of the rate, while others return; then there are no slots."""


class SharedLimit(Protocol):
    """A limit that several processes share. Any exception that it raises means that the store is out of reach."""

    @property
    def rate(self) -> float:
        """Requests per second, of all processes together."""
        ...

    @property
    def processes(self) -> int:
        """How many processes to expect until the store has answered."""
        ...

    async def lease(self, group: str, request: LeaseRequest) -> LeaseGrant:
        """Lease slots of a limit group; may be cancelled at any time."""
        ...

    async def close(self) -> None:
        """Close what was opened."""
        ...


class RateSource(Protocol):
    """What `WavixClient(rate=...)` takes in place of a number."""

    def open_limit(self, account: str) -> SharedLimit:
        """Return the limit of an account, named by a text that does not reveal its key; needs no loop."""
        ...
