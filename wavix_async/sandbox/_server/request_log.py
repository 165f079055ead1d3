"""What the sandbox tells about itself: one record per request, and the counters."""

import json
from collections import Counter
from typing import Any

from attrs import define, field, frozen

KEPT_BODY = 4096
"""How many bytes of a body are kept."""


@frozen(kw_only=True)
class SandboxRequest:
    """One request as the sandbox saw it: there when it arrives, complete before its answer leaves."""

    method: str
    """The HTTP method, upper case."""
    path: str
    """The path without the query."""
    query: str
    """The query as it came, still encoded; empty when there was none."""
    body: bytes
    """The first 4,096 bytes of the body; empty for an upload, and until it has been read."""
    status: int | None
    """The status that was sent, or None: there was no answer, or there is none yet."""
    fault: str | None
    """The kind of fault that was played, or None."""
    at: float
    """Seconds from the start (or the last reset) of the sandbox to the arrival of the request."""
    request_id: str
    """The `X-Request-Id` of the answer."""

    @property
    def json(self) -> Any:
        """The body as JSON, None when there was none.

        Raises:
            ValueError: It is no JSON, or longer than what is kept of it.
        """
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            if len(self.body) == KEPT_BODY:
                raise ValueError(
                    f"Only the first {KEPT_BODY:,} bytes of a body are kept, and this one is longer: look at `body`"
                ) from None
            raise ValueError(f"The body of {self.method} {self.path} is no JSON: {error}") from None


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
    charges: Counter[str] = field(factory=Counter)
    """Operations carried out that cost money, by operation, such as `POST /v3/messages`."""
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
        self.charges.clear()
