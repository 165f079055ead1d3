"""What the type checkers make of `wavix_async.otel`. Never run: mypy --strict and pyright read it."""

from contextlib import AbstractContextManager
from typing import assert_type

from opentelemetry import metrics, trace

from wavix_async import AttemptStart, BulkStart, Observer, Tracer, WavixClient
from wavix_async.otel import OpenTelemetry


def uses() -> None:
    observer: Observer = OpenTelemetry()
    tracer: Tracer = OpenTelemetry(
        tracer_provider=trace.get_tracer_provider(), meter_provider=metrics.get_meter_provider()
    )
    WavixClient("key", observers=[observer, tracer]).with_options(observers=[OpenTelemetry()])


def contexts(telemetry: OpenTelemetry, attempt: AttemptStart, run: BulkStart) -> None:
    assert_type(telemetry.around_attempt(attempt), AbstractContextManager[object])
    assert_type(telemetry.around_bulk(run), AbstractContextManager[object])


def mistakes() -> None:
    OpenTelemetry(trace.get_tracer_provider())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    OpenTelemetry(tracer_provider=metrics.get_meter_provider())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    OpenTelemetry(tracer_provider=trace.get_tracer("shop"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WavixClient("key", observers=OpenTelemetry())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
