"""What the sandbox tells about itself: one record per request, and the counters."""

from collections import Counter

from attrs import define, field, frozen


@frozen(kw_only=True)
class SandboxRequest:
    """One request as the sandbox saw it, recorded when it was finished with."""

    method: str
    """The HTTP method, upper case."""
    path: str
    """The path without the query."""
    query: str
    """The query as it came, still encoded; empty when there was none."""
    body: bytes
    """The first 4,096 bytes of the body; empty for an upload."""
    status: int | None
    """The status that was sent, or None when the connection was dropped or closed without an answer."""
    fault: str | None
    """The kind of fault that was played, or None."""
    at: float
    """Seconds from the start (or the last reset) of the sandbox to the arrival of the request."""
    request_id: str
    """The `X-Request-Id` of the answer."""


@define(kw_only=True)
class SandboxStats:
    """Counters of everything the sandbox has seen since its start or its last reset; they move while it runs."""

    requests: int = 0
    """Requests that arrived: `refused` and `accepted` add up to it."""
    refused: int = 0
    """Requests answered 429 because of the rate limit."""
    accepted: int = 0
    """Requests that the rate limit let in."""
    answered: int = 0
    """Complete answers handed to the network, whatever their status."""
    by_status: Counter[int] = field(factory=Counter)
    """Answers by status, cut ones included, dropped ones left out."""
    faults: Counter[str] = field(factory=Counter)
    """Faults played, by kind."""
    updates: Counter[int] = field(factory=Counter)
    """Times each number was written by a PATCH with at least one field, by number id."""
    in_flight: int = 0
    """Requests being handled now."""
    max_in_flight: int = 0
    """The most requests that were handled at once."""
    connections: int = 0
    """Connections that were opened."""

    def clear(self) -> None:
        """Set every counter to zero, except `in_flight`, which is a fact of this moment."""
        self.requests = self.refused = self.accepted = self.answered = self.connections = 0
        self.max_in_flight = self.in_flight
        self.by_status.clear()
        self.faults.clear()
        self.updates.clear()
