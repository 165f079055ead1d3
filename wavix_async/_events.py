"""What observers and the log are told: one frozen record for each attempt, retry, pause, rate change and drift."""

from typing import Protocol, TypeAlias

import attrs

from wavix_async._codec import Drift

__all__ = [
    "AttemptEvent",
    "DriftEvent",
    "Event",
    "Observer",
    "PauseEvent",
    "RateEvent",
    "RetryEvent",
]


@attrs.frozen(kw_only=True)
class AttemptEvent:
    """One request was on the wire and has ended.

    Attributes:
        operation: `PATCH /v1/numbers/{id}`.
        attempt: 1 for the first attempt of the call.
        status: The HTTP status, or None where no answer came.
        error: The class name of the failure, or None.
        outcome: What is known of a failed attempt; None after a success.
        duration: Seconds on the wire.
        request_id: The id that the API gave a request that failed; None where it gave none, and after a success.
    """

    operation: str
    attempt: int
    status: int | None
    error: str | None
    outcome: str | None
    duration: float
    request_id: str | None = None


@attrs.frozen(kw_only=True)
class RetryEvent:
    """A failed attempt will be repeated.

    Attributes:
        operation: `PATCH /v1/numbers/{id}`.
        attempt: The attempt that failed.
        wait: Seconds of backoff; 0 where only the shared pause is waited for.
        reason: The class name of the failure.
        status: Its HTTP status, or None.
    """

    operation: str
    attempt: int
    wait: float
    reason: str
    status: int | None


@attrs.frozen(kw_only=True)
class PauseEvent:
    """All calls of a limit group pause.

    Attributes:
        group: The limit group.
        seconds: How long.
    """

    group: str
    seconds: float


@attrs.frozen(kw_only=True)
class RateEvent:
    """The rate of a limit group was learned anew.

    Attributes:
        group: The limit group.
        rate: Requests per second.
    """

    group: str
    rate: float


@attrs.frozen(kw_only=True)
class DriftEvent:
    """An answer was not as documented; each kind of drift is told once per client.

    Attributes:
        operation: `GET /v1/numbers/{id}`.
        drift: What, and where.
    """

    operation: str
    drift: Drift


Event: TypeAlias = AttemptEvent | RetryEvent | PauseEvent | RateEvent | DriftEvent


class Observer(Protocol):
    """Anything that can be called with an event. It must be quick, and must not block: calls wait for it.

    An observer with a true attribute `failures_only` is not told of attempts that succeeded, which are most of them.
    """

    def __call__(self, event: Event, /) -> object:
        """Take one event."""
        ...
