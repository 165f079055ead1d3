"""What a test can read from the sandbox: one record per request, and the counters."""

import json
from collections import Counter
from typing import Any

from attrs import define, field, frozen

KEPT_BODY = 4096
"""The number of bytes that a record keeps of a body."""


@frozen(kw_only=True)
class SandboxRequest:
    """One request that the sandbox received: recorded on arrival, complete before the response is sent."""

    method: str
    """The HTTP method, upper case."""
    path: str
    """The path without the query."""
    query: str
    """The raw query, still encoded; empty if there was none."""
    body: bytes
    """The first 4,096 bytes of the body; empty for an upload, and until the sandbox has read the body."""
    status: int | None
    """The status of the response; None if there was no response, or none yet."""
    fault: str | None
    """The kind of fault that the request got, or None."""
    at: float
    """Seconds from the start (or the last reset) of the sandbox to the arrival of the request."""
    request_id: str
    """The `X-Request-Id` of the response."""

    @property
    def json(self) -> Any:
        """The body as JSON; None if there was no body.

        Raises:
            ValueError: The body is not JSON, or it is longer than the kept part.
        """
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            if len(self.body) == KEPT_BODY:
                raise ValueError(
                    f"Only the first {KEPT_BODY:,} bytes of a body are kept, and this one is longer: use `body`"
                ) from None
            raise ValueError(f"The body of {self.method} {self.path} is not JSON: {error}") from None


@define(kw_only=True)
class SandboxStats:
    """Counters since the start or the last reset of the sandbox, updated while it runs."""

    requests: int = 0
    """Requests that arrived, the sum of `refused` and `accepted`."""
    refused: int = 0
    """Requests that got a 429 because of the rate limit."""
    accepted: int = 0
    """Requests that the rate limit accepted."""
    answered: int = 0
    """Complete responses that were handed to the network, whatever their status."""
    by_status: Counter[int] = field(factory=Counter)
    """Responses by status, including those cut in half but not those lost by a reset."""
    faults: Counter[str] = field(factory=Counter)
    """Faults by kind."""
    updates: Counter[int] = field(factory=Counter)
    """How many times a PATCH with at least one field changed a number, by number id."""
    charges: Counter[str] = field(factory=Counter)
    """How many times an operation that costs money was carried out, by operation, such as `POST /v3/messages`."""
    in_flight: int = 0
    """Requests in flight now."""
    max_in_flight: int = 0
    """The most requests in flight at once."""
    connections: int = 0
    """Connections that were opened."""

    def clear(self) -> None:
        """Set every counter to zero except `in_flight`, which is the current state."""
        self.requests = self.refused = self.accepted = self.answered = self.connections = 0
        self.max_in_flight = self.in_flight
        self.by_status.clear()
        self.faults.clear()
        self.updates.clear()
        self.charges.clear()
