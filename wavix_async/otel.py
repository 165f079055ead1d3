"""`OpenTelemetry`: spans and metrics of what a client does.

    from wavix_async.otel import OpenTelemetry

    async with WavixClient(observers=[OpenTelemetry()]) as wavix:
        ...

Names and attributes follow the semantic conventions for HTTP clients; what they have no name for begins with `wavix.`.
Nothing of it holds the key, the value of a query parameter, a body, or the message of an error.

**One span per attempt**, not per call: a call that got through after a 429 and a 503 is three spans, side by side below
the span of the caller. Each is current while its request is on the wire, and HTTP instrumentation is suppressed for as
long: it would make a second span of the same request, and send the ids of the trace and the baggage to the API.

**A bulk run is one span.** Its attempts are not its children, for a run of 100,000 would be a trace that nobody can
look at: each begins a trace of its own and links to the run, and the run links to the first attempts that failed.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import attrs

try:
    from opentelemetry import context as contexts
    from opentelemetry import metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, suppress_http_instrumentation
    from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode
except ImportError:
    raise ImportError(
        "wavix_async.otel needs opentelemetry-api and opentelemetry-instrumentation, which are not installed: "
        "pip install 'wavix-async[otel]'"
    ) from None

from wavix_async._instrumentation import (
    AttemptEvent,
    AttemptStart,
    BulkEvent,
    BulkStart,
    DriftEvent,
    Event,
    PauseEvent,
    RateEvent,
    RetryEvent,
)
from wavix_async._version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider
    from yarl import URL

__all__ = ["OpenTelemetry"]

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.30.0"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Seconds; what the conventions advise for the durations of HTTP requests."""
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_LINKS: Final = {True: 20, False: 100}
"""The most links of a run to attempts that failed: to those refused with a 429, which are routine, and to others. By
default a span holds 128."""

_METHOD: Final = "http.request.method"
_TEMPLATE: Final = "url.template"
_STATUS: Final = "http.response.status_code"
_ERROR: Final = "error.type"
_GROUP: Final = "wavix.limit_group"
_ENDS: Final = ("updated", "failed", "unknown", "not_sent")

# What is ours as well as the instrumentation's, so that one observer does not take the other's suppression for the
# application's.
_OURS: Final = contexts.create_key("wavix_async")


def _suppressing() -> dict[str, object]:
    """Return what suppresses HTTP instrumentation, to go into the context together with a span."""
    token = contexts.attach(Context())
    try:
        with suppress_http_instrumentation():
            return {**contexts.get_current(), _OURS: True}
    finally:
        contexts.detach(token)


_SUPPRESSING: Final = _suppressing()


class OpenTelemetry:
    """Makes spans and metrics of what a client does: `WavixClient(observers=[OpenTelemetry()])`.

    Several clients may share one. Of an application that has set no providers up it makes nothing, and while the
    application suppresses instrumentation it is silent about attempts.

    Args:
        tracer_provider: Where the spans go. Default: the global provider, even if that is set later.
        meter_provider: Where the metrics go. Default: the global provider, even if that is set later.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer("wavix_async", __version__, tracer_provider, _SCHEMA)
        self._attempt_key = contexts.create_key("wavix_async.attempt")
        self._run_key = contexts.create_key("wavix_async.run")
        self._told = threading.local()
        meter = metrics.get_meter("wavix_async", __version__, meter_provider, _SCHEMA)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._retries = meter.create_counter(
            "wavix.client.retries", "{retry}", "Failed attempts that are repeated, by how they failed."
        )
        self._pauses = meter.create_counter(
            "wavix.client.pauses", "{pause}", "Pauses of a limit group: the API said 429, or asked for one with a 503."
        )
        self._pause_time = meter.create_counter(
            "wavix.client.pause.time", "s", "What the pauses of a limit group were to last when they began."
        )
        self._rate = meter.create_gauge(
            "wavix.client.rate", "{request}/s", "The rate that was learned last for a limit group."
        )
        self._drifts = meter.create_counter(
            "wavix.client.drifts", "{drift}", "Ways in which answers were not as documented, each once per client."
        )
        self._items = meter.create_counter(
            "wavix.client.bulk.items", "{item}", "Inputs of bulk runs that have ended, by how they ended."
        )

    def around_attempt(self, start: AttemptStart, /) -> AbstractContextManager[object]:
        """Return the context of an attempt, which has its span; for the client."""
        return _Attempt(self._tracer, self._attempt_key, self._run_key, start)

    def around_bulk(self, start: BulkStart, /) -> AbstractContextManager[object]:
        """Return the context of a bulk run, which has its span; for the client."""
        return _Run(self._tracer, self._run_key, start)

    def __call__(self, event: Event, /) -> None:
        """Take an event; for the client."""
        # Twice, where both a client and its `with_options` were given this observer.
        if event is getattr(self._told, "last", None):
            return
        self._told.last = event
        if isinstance(event, AttemptEvent):
            self._attempt_ended(event)
        elif isinstance(event, RetryEvent):
            self._retries.add(1, {**_named(event.operation).labels, _ERROR: _error_type(event.status, event.reason)})
        elif isinstance(event, PauseEvent):
            self._pauses.add(1, {_GROUP: event.group})
            self._pause_time.add(event.seconds, {_GROUP: event.group})
        elif isinstance(event, RateEvent):
            self._rate.set(event.rate, {_GROUP: event.group})
        elif isinstance(event, DriftEvent):
            # Without the field: one that is not documented has a name that the server has made up.
            drift = {"wavix.drift.model": event.drift.model, "wavix.drift.kind": event.drift.kind}
            self._drifts.add(1, {**_named(event.operation).labels, **drift})
        elif isinstance(event, BulkEvent):
            self._run_ended(event)

    def _attempt_ended(self, event: AttemptEvent) -> None:
        attempt = contexts.get_value(self._attempt_key)
        labels = dict(_named(event.operation).labels)
        if isinstance(attempt, _Attempt):
            attempt.has_ended(event)
            labels |= attempt.server
        elif not is_http_instrumentation_enabled():
            return
        if event.status is not None:
            labels[_STATUS] = event.status
        if event.error is not None:
            labels[_ERROR] = _error_type(event.status, event.error)
        self._duration.record(event.duration, labels)

    def _run_ended(self, event: BulkEvent) -> None:
        run = contexts.get_value(self._run_key)
        if isinstance(run, _Run):
            run.has_ended(event)
        labels = _named(event.operation).labels
        for end in _ENDS:
            count: int = getattr(event, end)
            if count:
                self._items.add(count, {**labels, "wavix.bulk.status": end})


class _Current:
    """A span that is the current one for as long as this is entered."""

    __slots__ = ("_key", "_span", "_token", "_told", "_tracer")

    def __init__(self, tracer: Tracer, key: str) -> None:
        self._tracer = tracer
        self._key = key
        self._span: Span = INVALID_SPAN
        self._token: Token[Context] | None = None
        self._told = False

    def _begin(self, span: Span, here: Context, more: Mapping[str, object]) -> None:
        self._span = span
        self._token = contexts.attach(trace.set_span_in_context(span, Context({**here, **more, self._key: self})))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if self._token is None:
            return
        # A coroutine that nobody awaits any more is closed wherever it is found, which need not be its own context; and
        # what its end raises need not be GeneratorExit.
        if contexts.get_value(self._key) is self:
            contexts.detach(self._token)
        if kind is not None and not self._told:
            self._failed(kind.__name__)
        self._span.end()

    def _failed(self, error_type: str) -> None:
        # No exception and no description: both have the message of the error, which may quote what somebody has sent.
        self._span.set_attribute(_ERROR, error_type)
        self._span.set_status(StatusCode.ERROR)


class _Attempt(_Current):
    """An attempt, from before it is sent until its event was told."""

    __slots__ = ("_run", "_run_key", "server", "start")

    def __init__(self, tracer: Tracer, key: str, run_key: str, start: AttemptStart) -> None:
        super().__init__(tracer, key)
        self._run_key = run_key
        self.start = start
        self.server: dict[str, str | int] = {}
        self._run: _Run | None = None

    def __enter__(self) -> None:
        here, start = contexts.get_current(), self.start
        outer, run = here.get(self._key), here.get(self._run_key)
        entered = isinstance(outer, _Attempt) and outer.start is start
        if entered or (_OURS not in here and not is_http_instrumentation_enabled()):
            return
        name, url = _named(start.operation), start.url
        self.server = {"server.address": url.host or "", "server.port": url.port or 0}
        attributes = {**name.attributes, **self.server, "url.full": _shown(url)}
        if start.attempt > 1:
            attributes["http.request.resend_count"] = start.attempt - 1
        parent, links = here, None
        # Below a span that the application has opened within the run it stays where the application looks for it.
        if isinstance(run, _Run) and run.is_current(here):
            self._run, parent, links = run, trace.set_span_in_context(INVALID_SPAN, here), run.links
        span = self._tracer.start_span(name.of_span, parent, SpanKind.CLIENT, attributes, links)
        self._begin(span, here, _SUPPRESSING)

    def has_ended(self, event: AttemptEvent) -> None:
        """Note how the attempt has ended."""
        self._told = True
        span = self._span
        if not span.is_recording():
            return
        if event.status is not None:
            span.set_attribute(_STATUS, event.status)
        if event.error is None:
            return
        self._failed(_error_type(event.status, event.error))
        if event.outcome is not None:
            span.set_attribute("wavix.outcome", event.outcome)
        if event.request_id is not None:
            span.set_attribute("wavix.request_id", event.request_id)
        if self._run is not None:
            self._run.link_to(span, refused=event.status == 429)


class _Run(_Current):
    """A bulk run, from before it has workers until its event was told."""

    __slots__ = ("_left", "links", "start")

    def __init__(self, tracer: Tracer, key: str, start: BulkStart) -> None:
        super().__init__(tracer, key)
        self.start = start
        self.links: list[Link] = []
        self._left = dict(_LINKS)

    def __enter__(self) -> None:
        here, start = contexts.get_current(), self.start
        outer = here.get(self._key)
        if isinstance(outer, _Run) and outer.start is start:
            return
        name = _named(start.operation)
        attributes = {**name.labels, "wavix.bulk.concurrency": start.concurrency}
        if start.total is not None:
            attributes["wavix.bulk.total"] = start.total
        span = self._tracer.start_span(f"bulk {start.operation}", here, SpanKind.INTERNAL, attributes)
        self.links = [Link(span.get_span_context())]
        self._begin(span, here, {})

    def is_current(self, here: Context) -> bool:
        """Tell whether nobody has opened another span within the run."""
        return trace.get_current_span(here) is self._span

    def link_to(self, attempt: Span, *, refused: bool) -> None:
        """Link to an attempt that failed, if there are not too many already."""
        if self._left[refused] and self._span.is_recording():
            self._left[refused] -= 1
            self._span.add_link(attempt.get_span_context())

    def has_ended(self, event: BulkEvent) -> None:
        """Note how the run has ended."""
        self._told = True
        for name in (*_ENDS, "requests", "rate_limited"):
            self._span.set_attribute(f"wavix.bulk.{name}", getattr(event, name))
        if event.stopped_by is not None:
            self._failed(event.stopped_by)


@attrs.frozen
class _Name:
    """What is the same for all attempts of an operation."""

    of_span: str
    labels: dict[str, str | int]
    """For metrics."""
    attributes: dict[str, str | int]
    """For spans."""


@lru_cache(maxsize=1024)
def _named(operation: str) -> _Name:
    method, _, template = operation.partition(" ")
    if method in _METHODS:
        labels: dict[str, str | int] = {_METHOD: method, _TEMPLATE: template}
        return _Name(operation, labels, labels)
    labels = {_METHOD: "_OTHER", _TEMPLATE: template}
    return _Name(f"HTTP {template}", labels, {**labels, "http.request.method_original": method})


def _error_type(status: int | None, error: str) -> str:
    return str(status) if status is not None and status >= 400 else error


def _shown(url: URL) -> str:
    """Return a URL without the values of its query, which may be phone numbers and labels."""
    return str(url.with_query([(name, "REDACTED") for name in url.query]) if url.raw_query_string else url)
