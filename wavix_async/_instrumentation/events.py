"""Events for observers and the log: one frozen record per attempt, retry, pause, rate, drift and bulk run."""

from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

import attrs
from yarl import URL

from wavix_async._codec import Drift, Value

__all__ = [
    "AttemptEvent",
    "AttemptStart",
    "BulkEvent",
    "BulkStart",
    "DriftEvent",
    "Event",
    "Observer",
    "PauseEvent",
    "RateEvent",
    "RetryEvent",
    "Tracer",
    "WebhookAnswerEvent",
    "WebhookHandlerEvent",
    "WebhookHandlerStart",
]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AttemptStart(Value):
    """One request is about to be sent.

    Attributes:
        operation: The operation, such as `PATCH /v1/numbers/{id}`.
        attempt: 1 for the first attempt of the call.
        url: The URL of the request, including the query; it never holds the API key.
    """

    operation: str
    attempt: int
    url: URL


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AttemptEvent(Value):
    """One attempt has ended.

    Attributes:
        operation: The operation, such as `PATCH /v1/numbers/{id}`.
        attempt: 1 for the first attempt of the call.
        status: The HTTP status; None if no answer came.
        error: The class name of the failure, or None.
        outcome: What is known about a failed attempt, as in `WavixError.outcome`; None after a success.
        duration: Seconds on the wire.
        request_id: The API's id of the request; None if the API gave none.
    """

    operation: str
    attempt: int
    status: int | None
    error: str | None
    outcome: str | None
    duration: float
    request_id: str | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RetryEvent(Value):
    """A failed attempt will be retried.

    Attributes:
        operation: The operation, such as `PATCH /v1/numbers/{id}`.
        attempt: The attempt that failed.
        wait: Seconds of backoff; 0 if the retry only waits for the shared pause.
        reason: The class name of the failure.
        status: Its HTTP status, or None.
    """

    operation: str
    attempt: int
    wait: float
    reason: str
    status: int | None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PauseEvent(Value):
    """All calls of a limit group pause.

    Attributes:
        group: The limit group.
        seconds: The length of the pause in seconds.
    """

    group: str
    seconds: float


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RateEvent(Value):
    """The limiter has learned a new rate for a limit group.

    Attributes:
        group: The limit group.
        rate: Requests per second.
    """

    group: str
    rate: float


@attrs.frozen(kw_only=True, eq=False, repr=False)
class DriftEvent(Value):
    """An answer is not as documented; the client reports each kind of drift once.

    Attributes:
        operation: The operation, such as `GET /v1/numbers/{id}`.
        drift: What differs, and where.
        more: Drifts of the same answer that were only counted: the client keeps the first hundred, and one of each
            further kind.
    """

    operation: str
    drift: Drift
    more: int = 0


@attrs.frozen(kw_only=True, eq=False, repr=False)
class BulkStart(Value):
    """A bulk run begins.

    Attributes:
        operation: The operation for each input, such as `PATCH /v1/numbers/{id}`.
        total: The number of inputs; None if it is not known before the end.
        concurrency: How many requests may be on the wire at once.
    """

    operation: str
    total: int | None
    concurrency: int


@attrs.frozen(kw_only=True, eq=False, repr=False)
class BulkEvent(Value):
    """A bulk run has ended.

    Attributes:
        operation: The operation for each input, such as `PATCH /v1/numbers/{id}`.
        updated: Inputs that the API confirmed.
        failed: Inputs that the API rejected, and invalid inputs.
        unknown: Inputs that were sent, with an unknown outcome.
        not_sent: Inputs that were never sent.
        requests: Requests that the run put on the wire.
        rate_limited: Requests that the API answered with a 429.
        elapsed: Seconds from start to end.
        stopped_by: The class name of the error that ended the run early, or None.
    """

    operation: str
    updated: int
    failed: int
    unknown: int
    not_sent: int
    requests: int
    rate_limited: int
    elapsed: float
    stopped_by: str | None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebhookAnswerEvent(Value):
    """A request to a webhook was answered.

    Attributes:
        kind: The kind of the event, such as `dlr`; None: the request was refused before its body was read.
        status: The HTTP status of the answer: 200 after the event is stored.
        result: `stored`; `duplicate` (the event had come before); `full` (503); `storage` (503, the store failed);
            `closed` (503, shutting down); or what the request was refused for: `secret`, `path`, `network`, `method`,
            `type`, `size`, `body`.
        late: Whether an event of a later state had come before.
        duration: Seconds from the head of the request to the answer.
    """

    kind: str | None
    status: int
    result: str
    late: bool
    duration: float


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebhookHandlerStart(Value):
    """A handler of a webhook is about to run.

    Attributes:
        kind: The kind of the event, such as `dlr`.
        handler: The name of the handler, with its module.
    """

    kind: str
    handler: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WebhookHandlerEvent(Value):
    """A handler of a webhook has ended.

    Attributes:
        kind: The kind of the event, such as `dlr`.
        handler: The name of the handler, with its module.
        error: The class name of the exception that it raised, or None.
        duration: Seconds that it ran.
    """

    kind: str
    handler: str
    error: str | None
    duration: float


Event: TypeAlias = (
    AttemptEvent
    | RetryEvent
    | PauseEvent
    | RateEvent
    | DriftEvent
    | BulkEvent
    | WebhookAnswerEvent
    | WebhookHandlerEvent
)
"""Everything that observers get."""


class Observer(Protocol):
    """Any callable that takes an event. It must be quick and must not block: calls wait for it.

    An observer whose attribute `failures_only` is true does not get successful attempts, which most attempts are.
    """

    def __call__(self, event: Event, /) -> object:
        """Handle one event."""
        ...


class Tracer(Observer, Protocol):
    """An observer that also wraps attempts, bulk runs and the handlers of webhooks.

    It can set context variables, or measure from the inside. All methods are optional. If one raises an exception, it
    is logged once and does not affect any call.
    """

    def around_attempt(self, start: AttemptStart, /) -> AbstractContextManager[object]:
        """Return a context manager, entered before a request is sent and left after its event, in the same task."""
        ...

    def around_bulk(self, start: BulkStart, /) -> AbstractContextManager[object]:
        """Return a context manager, entered before a run starts its workers (they inherit it), left after its event."""
        ...

    def around_handler(self, start: WebhookHandlerStart, /) -> AbstractContextManager[object]:
        """Return a context manager, entered before a handler runs and left after its event, in the same task."""
        ...
