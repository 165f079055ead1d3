"""What an observer is told: one frozen record for each attempt, retry, pause, rate change and drift."""

import logging
from typing import Final, Protocol, TypeAlias

import attrs

from wavix_async._codec import Drift

__all__ = [
    "AttemptEvent",
    "DriftEvent",
    "Event",
    "Observer",
    "Observers",
    "PauseEvent",
    "RateEvent",
    "RetryEvent",
]

_log: Final = logging.getLogger("wavix_async")
_drift_log: Final = logging.getLogger("wavix_async.drift")


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
    """

    operation: str
    attempt: int
    status: int | None
    error: str | None
    outcome: str | None
    duration: float


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


class Observers:
    """The observers of a client; one that raises is contained, and reported once."""

    def __init__(self, observers: tuple[Observer, ...] = ()) -> None:
        self.all = observers
        self.of_success = tuple(each for each in observers if not getattr(each, "failures_only", False))
        self._reported: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self.all)

    def tell(self, event: Event) -> None:
        """Give the event to every observer."""
        self._give(event, self.all)

    def tell_success(self, event: AttemptEvent) -> None:
        """Give an attempt that succeeded to the observers that want to know."""
        self._give(event, self.of_success)

    def _give(self, event: Event, observers: tuple[Observer, ...]) -> None:
        for observer in observers:
            try:
                observer(event)
            except Exception:
                if id(observer) not in self._reported:
                    self._reported.add(id(observer))
                    _log.exception("observer failed", extra={"observer": type(observer).__name__})


def log_drift(event: DriftEvent) -> None:
    """Write a drift to the logger `wavix_async.drift`."""
    _drift_log.warning(
        "answer not as documented: %s", event.drift, extra={"operation": event.operation, "drift": str(event.drift)}
    )
