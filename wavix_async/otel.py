"""`OpenTelemetry`: spans and metrics of a client.

    from wavix_async.otel import OpenTelemetry

    async with WavixClient(observers=[OpenTelemetry()]) as wavix:
        ...

Names and attributes follow the semantic conventions for HTTP clients; our additional names begin with `wavix.`. No
span or metric contains the API key, the value of a query parameter, a body, or an error message.

**One span per attempt**, not per call: a call that succeeds after a 429 and a 503 makes three spans, side by side below
the caller's span. Each is the current span while its request is in flight. During that time HTTP instrumentation is
suppressed, because it would make a second span for the same request and send trace ids and baggage to the API.

**A bulk run is one span.** Its attempts are not its children, because no tool can show a trace of 100,000 spans. Each
attempt begins its own trace and links to the run, and the run links to the first failed attempts.

**A handler of a webhook is one span**, `Webhooks(observers=[OpenTelemetry()])`: a consumer's, the parent of what the
handler calls. It is a trace of its own, because it runs after the answer to the request that brought the event.
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
    WebhookAnswerEvent,
    WebhookHandlerEvent,
    WebhookHandlerStart,
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
"""Seconds; the conventions recommend these buckets for the durations of HTTP requests."""
_METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_MAX_LINKS: Final = {True: 20, False: 100}
"""The most links from a run to failed attempts: 20 to attempts with a 429, which are routine, and 100 to others. By
default a span can have 128 links."""

_METHOD: Final = "http.request.method"
_TEMPLATE: Final = "url.template"
_STATUS: Final = "http.response.status_code"
_ERROR: Final = "error.type"
_GROUP: Final = "wavix.limit_group"
_KIND: Final = "wavix.event.kind"
_HANDLER: Final = "wavix.webhook.handler"
_STATUSES: Final = ("updated", "failed", "unknown", "not_sent")

# Set with our suppression of HTTP instrumentation, so that a second observer does not mistake it for the application's.
_OWN_SUPPRESSION: Final = contexts.create_key("wavix_async")


def _suppressing() -> dict[str, object]:
    """Return the context values that suppress HTTP instrumentation, to be set together with a span."""
    token = contexts.attach(Context())
    try:
        with suppress_http_instrumentation():
            return {**contexts.get_current(), _OWN_SUPPRESSION: True}
    finally:
        contexts.detach(token)


_SUPPRESSING: Final = _suppressing()


class OpenTelemetry:
    """Record a client's spans and metrics: `WavixClient(observers=[OpenTelemetry()])`.

    Several clients may share one instance. It records nothing if the application has no providers, and no attempts
    while the application suppresses instrumentation.

    Args:
        tracer_provider: The provider for spans. Default: the global provider, even if it is set later.
        meter_provider: The provider for metrics. Default: the global provider, even if it is set later.
    """

    def __init__(
        self, *, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._tracer = trace.get_tracer("wavix_async", __version__, tracer_provider, _SCHEMA)
        self._attempt_key = contexts.create_key("wavix_async.attempt")
        self._run_key = contexts.create_key("wavix_async.run")
        self._last_event = threading.local()
        meter = metrics.get_meter("wavix_async", __version__, meter_provider, _SCHEMA)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._retries = meter.create_counter(
            "wavix.client.retries", "{retry}", "Failed attempts that are retried, by kind of failure."
        )
        self._pauses = meter.create_counter(
            "wavix.client.pauses", "{pause}", "Pauses of a limit group, after a 429 or a 503 with Retry-After."
        )
        self._pause_time = meter.create_counter(
            "wavix.client.pause.time", "s", "Planned duration of the pauses of a limit group."
        )
        self._rate = meter.create_gauge(
            "wavix.client.rate", "{request}/s", "The rate learned most recently for a limit group."
        )
        self._drifts = meter.create_counter(
            "wavix.client.drifts",
            "{drift}",
            "Differences between responses and the documentation, each counted once per client.",
        )
        self._handler_key = contexts.create_key("wavix_async.handler")
        self._webhooks = meter.create_counter(
            "wavix.webhook.requests", "{request}", "Requests to webhooks, by kind of event, status and result."
        )
        self._handler_time = meter.create_histogram(
            "wavix.webhook.handler.duration",
            "s",
            "Duration of the handlers of webhooks.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._items = meter.create_counter(
            "wavix.client.bulk.items", "{item}", "Items of ended bulk runs, by final status."
        )

    def around_attempt(self, start: AttemptStart, /) -> AbstractContextManager[object]:
        """Return a context manager that records the span of an attempt; the client calls this."""
        return _AttemptSpan(self._tracer, self._attempt_key, self._run_key, start)

    def around_bulk(self, start: BulkStart, /) -> AbstractContextManager[object]:
        """Return a context manager that records the span of a bulk run; the client calls this."""
        return _RunSpan(self._tracer, self._run_key, start)

    def around_handler(self, start: WebhookHandlerStart, /) -> AbstractContextManager[object]:
        """Return a context manager that records the span of a webhook's handler; `Webhooks` calls this."""
        return _HandlerSpan(self._tracer, self._handler_key, start)

    def __call__(self, event: Event, /) -> None:
        """Record an event; the client calls this."""
        # The same event arrives twice if both a client and its `with_options` have this observer.
        if event is getattr(self._last_event, "event", None):
            return
        self._last_event.event = event
        if isinstance(event, AttemptEvent):
            self._on_attempt(event)
        elif isinstance(event, RetryEvent):
            self._retries.add(1, {**_names_of(event.operation).labels, _ERROR: _error_type(event.status, event.reason)})
        elif isinstance(event, PauseEvent):
            self._pauses.add(1, {_GROUP: event.group})
            self._pause_time.add(event.seconds, {_GROUP: event.group})
        elif isinstance(event, RateEvent):
            self._rate.set(event.rate, {_GROUP: event.group})
        elif isinstance(event, DriftEvent):
            # No label for the field: the server could send any number of undocumented names.
            drift = {"wavix.drift.model": event.drift.model, "wavix.drift.kind": event.drift.kind}
            self._drifts.add(1, {**_names_of(event.operation).labels, **drift})
        elif isinstance(event, BulkEvent):
            self._on_run(event)
        elif isinstance(event, WebhookAnswerEvent):
            answer: dict[str, str | int] = {
                _STATUS: event.status,
                "wavix.webhook.result": "late" if event.late else event.result,
            }
            if event.kind is not None:
                answer[_KIND] = event.kind
            self._webhooks.add(1, answer)
        elif isinstance(event, WebhookHandlerEvent):
            self._on_handler(event)

    def _on_attempt(self, event: AttemptEvent) -> None:
        attempt = contexts.get_value(self._attempt_key)
        labels = dict(_names_of(event.operation).labels)
        if isinstance(attempt, _AttemptSpan):
            attempt.record_end(event)
            labels |= attempt.server
        elif not is_http_instrumentation_enabled():
            return
        if event.status is not None:
            labels[_STATUS] = event.status
        if event.error is not None:
            labels[_ERROR] = _error_type(event.status, event.error)
        self._duration.record(event.duration, labels)

    def _on_handler(self, event: WebhookHandlerEvent) -> None:
        span = contexts.get_value(self._handler_key)
        if isinstance(span, _HandlerSpan):
            span.record_end(event)
        labels = {_KIND: event.kind, _HANDLER: event.handler}
        if event.error is not None:
            labels[_ERROR] = event.error
        self._handler_time.record(event.duration, labels)

    def _on_run(self, event: BulkEvent) -> None:
        run = contexts.get_value(self._run_key)
        if isinstance(run, _RunSpan):
            run.record_end(event)
        labels = _names_of(event.operation).labels
        for status in _STATUSES:
            count: int = getattr(event, status)
            if count:
                self._items.add(count, {**labels, "wavix.bulk.status": status})


class _CurrentSpan:
    """A context manager that makes a span the current one."""

    __slots__ = ("_end_recorded", "_key", "_span", "_token", "_tracer")

    def __init__(self, tracer: Tracer, key: str) -> None:
        self._tracer = tracer
        self._key = key
        self._span: Span = INVALID_SPAN
        self._token: Token[Context] | None = None
        self._end_recorded = False

    def _start(self, span: Span, context: Context, extra: Mapping[str, object]) -> None:
        self._span = span
        self._token = contexts.attach(trace.set_span_in_context(span, Context({**context, **extra, self._key: self})))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if self._token is None:
            return
        # Python may close an abandoned coroutine in a context other than its own, and with an error other than
        # GeneratorExit.
        if contexts.get_value(self._key) is self:
            contexts.detach(self._token)
        if kind is not None and not self._end_recorded:
            self._set_error(kind.__name__)
        self._span.end()

    def _set_error(self, error_type: str) -> None:
        # Record no exception and no description: both contain the error's message, which may quote request data.
        self._span.set_attribute(_ERROR, error_type)
        self._span.set_status(StatusCode.ERROR)


class _AttemptSpan(_CurrentSpan):
    """The span of an attempt, from before it is sent until its event."""

    __slots__ = ("_run", "_run_key", "server", "start")

    def __init__(self, tracer: Tracer, key: str, run_key: str, start: AttemptStart) -> None:
        super().__init__(tracer, key)
        self._run_key = run_key
        self.start = start
        self.server: dict[str, str | int] = {}
        self._run: _RunSpan | None = None

    def __enter__(self) -> None:
        context, start = contexts.get_current(), self.start
        enclosing, run = context.get(self._key), context.get(self._run_key)
        already_entered = isinstance(enclosing, _AttemptSpan) and enclosing.start is start
        if already_entered or (_OWN_SUPPRESSION not in context and not is_http_instrumentation_enabled()):
            return
        name, url = _names_of(start.operation), start.url
        self.server = {"server.address": url.host or "", "server.port": url.port or 0}
        attributes = {**name.attributes, **self.server, "url.full": _redact_url(url)}
        if start.attempt > 1:
            attributes["http.request.resend_count"] = start.attempt - 1
        parent, links = context, None
        # If the application has opened its own span within the run, the attempt is a child of that span.
        if isinstance(run, _RunSpan) and run.is_current(context):
            self._run, parent, links = run, trace.set_span_in_context(INVALID_SPAN, context), run.links
        span = self._tracer.start_span(name.span_name, parent, SpanKind.CLIENT, attributes, links)
        self._start(span, context, _SUPPRESSING)

    def record_end(self, event: AttemptEvent) -> None:
        """Record how the attempt ended."""
        self._end_recorded = True
        span = self._span
        if not span.is_recording():
            return
        if event.status is not None:
            span.set_attribute(_STATUS, event.status)
        if event.request_id is not None:
            span.set_attribute("wavix.request_id", event.request_id)
        if event.error is None:
            return
        self._set_error(_error_type(event.status, event.error))
        if event.outcome is not None:
            span.set_attribute("wavix.outcome", event.outcome)
        if self._run is not None:
            self._run.link_to(span, refused=event.status == 429)


class _RunSpan(_CurrentSpan):
    """The span of a bulk run, from before its workers start until its event."""

    __slots__ = ("_links_left", "links", "start")

    def __init__(self, tracer: Tracer, key: str, start: BulkStart) -> None:
        super().__init__(tracer, key)
        self.start = start
        self.links: list[Link] = []
        self._links_left = dict(_MAX_LINKS)

    def __enter__(self) -> None:
        context, start = contexts.get_current(), self.start
        enclosing = context.get(self._key)
        if isinstance(enclosing, _RunSpan) and enclosing.start is start:
            return
        name = _names_of(start.operation)
        attributes = {**name.labels, "wavix.bulk.concurrency": start.concurrency}
        if start.total is not None:
            attributes["wavix.bulk.total"] = start.total
        span = self._tracer.start_span(f"bulk {start.operation}", context, SpanKind.INTERNAL, attributes)
        self.links = [Link(span.get_span_context())]
        self._start(span, context, {})

    def is_current(self, context: Context) -> bool:
        """Return whether the current span is the run's, and not one opened within it."""
        return trace.get_current_span(context) is self._span

    def link_to(self, attempt: Span, *, refused: bool) -> None:
        """Link to a failed attempt, unless the run has too many links."""
        if self._links_left[refused] and self._span.is_recording():
            self._links_left[refused] -= 1
            self._span.add_link(attempt.get_span_context())

    def record_end(self, event: BulkEvent) -> None:
        """Record how the run ended."""
        self._end_recorded = True
        for name in (*_STATUSES, "requests", "rate_limited"):
            self._span.set_attribute(f"wavix.bulk.{name}", getattr(event, name))
        if event.stopped_by is not None:
            self._set_error(event.stopped_by)


class _HandlerSpan(_CurrentSpan):
    """The span of a handler of a webhook, from before it runs until its event."""

    __slots__ = ("start",)

    def __init__(self, tracer: Tracer, key: str, start: WebhookHandlerStart) -> None:
        super().__init__(tracer, key)
        self.start = start

    def __enter__(self) -> None:
        context, start = contexts.get_current(), self.start
        enclosing = context.get(self._key)
        if isinstance(enclosing, _HandlerSpan) and enclosing.start is start:
            return
        attributes = {_KIND: start.kind, _HANDLER: start.handler}
        # The context is that of the request, whose span has ended, or of whatever started the handlers.
        parent = trace.set_span_in_context(INVALID_SPAN, context)
        span = self._tracer.start_span(f"handle {start.kind}", parent, SpanKind.CONSUMER, attributes)
        self._start(span, context, {})

    def record_end(self, event: WebhookHandlerEvent) -> None:
        """Record how the handler ended."""
        self._end_recorded = True
        if event.error is not None:
            self._set_error(event.error)


@attrs.frozen
class _OperationNames:
    """The names and attributes that all attempts of an operation share."""

    span_name: str
    labels: dict[str, str | int]
    """For metrics."""
    attributes: dict[str, str | int]
    """For spans."""


@lru_cache(maxsize=1024)
def _names_of(operation: str) -> _OperationNames:
    method, _, template = operation.partition(" ")
    if method in _METHODS:
        labels: dict[str, str | int] = {_METHOD: method, _TEMPLATE: template}
        return _OperationNames(operation, labels, labels)
    labels = {_METHOD: "_OTHER", _TEMPLATE: template}
    return _OperationNames(f"HTTP {template}", labels, {**labels, "http.request.method_original": method})


def _error_type(status: int | None, error: str) -> str:
    return str(status) if status is not None and status >= 400 else error


def _redact_url(url: URL) -> str:
    """Return a URL without its query values, which may be phone numbers and labels."""
    return str(url.with_query([(name, "REDACTED") for name in url.query]) if url.raw_query_string else url)
