"""`SharedLimit`: the interface of a limit that several processes share, with its requests and answers.

The store behind it (`redis.py` is one) hands out every slot once, `1 / rate` apart, and keeps the common pause. A
process sends a `LeaseRequest`, and the store answers with a `LeaseGrant`; `lease.py` uses both.
"""

from __future__ import annotations

from typing import Protocol

import attrs

__all__ = ["ALIVE", "PATIENCE", "PROBE", "LeaseGrant", "LeaseRequest", "RateSource", "SharedLimit"]

PATIENCE = 0.4  # seconds to wait for the store, connecting included
PROBE = 0.5  # seconds after which a process asks an unreachable store again
ALIVE = 10.0  # seconds after its last request for which a process still counts


@attrs.frozen
class LeaseRequest:
    """What a process asks of the store."""

    at: float
    """When the process asks, by the clock of its event loop."""

    slots: int
    """How many slots it asks for; 0: none, only the state."""

    ahead: float
    """Seconds after the store's answer in which a slot would be due too early for the process to use it."""

    pause: float
    """Seconds for which all processes must pause; 0.0: no new pause."""

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
    """How many of them currently lease slots."""

    local_for: float = 0.0
    """Seconds for which the process continues with its part of the rate while others return; no slots are granted."""


class SharedLimit(Protocol):
    """A limit that several processes share. If it raises any exception, the store counts as out of reach."""

    @property
    def rate(self) -> float:
        """Requests per second of all processes together."""
        ...

    @property
    def processes(self) -> int:
        """How many processes to assume until the store has answered."""
        ...

    async def lease(self, group: str, request: LeaseRequest) -> LeaseGrant:
        """Lease slots of a limit group; the caller may cancel this at any time."""
        ...

    async def close(self) -> None:
        """Close the connections to the store."""
        ...


class RateSource(Protocol):
    """What `WavixClient(rate=...)` accepts instead of a number."""

    def open_limit(self, account: str) -> SharedLimit:
        """Return the limit of an account, named by a text that does not reveal its key; needs no event loop."""
        ...
