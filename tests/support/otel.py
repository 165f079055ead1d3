"""What an application with OpenTelemetry would see: spans and metrics, kept in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wavix_async import RetryPolicy, WavixClient
from wavix_async.otel import OpenTelemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.sampling import Sampler

    from wavix_async.sandbox import Sandbox

FAST = RetryPolicy(backoff=0.01, max_backoff=0.02, budget_per_second=1e6)

Point = tuple[dict[str, Any], Any]


class Seen:
    """An observer, and what it made."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self._reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.observer = OpenTelemetry(tracer_provider=self.tracer_provider, meter_provider=self.meter_provider)
        self.tracer = self.tracer_provider.get_tracer("application")

    def client(self, sandbox: Sandbox, **options: Any) -> WavixClient:
        settings = {"base_url": sandbox.url, "retry": FAST, "observers": [self.observer], **options}
        return WavixClient(settings.pop("api_key", sandbox.api_key), **settings)

    def spans(self, *, ours: bool = True) -> list[ReadableSpan]:
        """Return the spans that have ended, in the order in which they began; `ours`: not the application's."""
        ended = [
            span
            for span in self.exporter.get_finished_spans()
            if not ours or span.instrumentation_scope.name == "wavix_async"
        ]
        return sorted(ended, key=lambda span: span.start_time)

    def metrics(self) -> dict[str, Any]:
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            if scope.scope.name == "wavix_async"
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Point]:
        """Return the attributes of each point of a metric, with its value; of a histogram, with its count."""
        metric = self.metrics().get(name)
        points = [] if metric is None else metric.data.data_points
        return [(dict(point.attributes), point.count if hasattr(point, "count") else point.value) for point in points]

    def everything(self) -> str:
        """Return all that would leave the process, as one text to be searched."""
        spans = [span.to_json() for span in self.spans(ours=False)]
        return "\n".join([*spans, *(metric.to_json() for metric in self.metrics().values())])
