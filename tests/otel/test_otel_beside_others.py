"""Together with the instrumentation of aiohttp, in an application that configures itself late, and switched off."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import RawTestServer
from opentelemetry import baggage
from opentelemetry import context as contexts
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor

from tests.support.otel import FAST
from tests.support.stub import NUMBER
from wavix_async import NumberUpdate, WavixClient
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.otel import Seen


@pytest.fixture
def instrumented(seen: Seen) -> Iterator[None]:
    """All sessions of aiohttp that are made in the test, ours too, make spans of their own."""
    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=seen.tracer_provider, meter_provider=seen.meter_provider)
    try:
        yield
    finally:
        instrumentor.uninstrument()


@pytest.mark.usefixtures("instrumented")
async def test_one_request_makes_one_span_and_says_nothing_of_it(seen: Seen) -> None:
    headers: list[set[str]] = []

    async def handle(request: web.BaseRequest) -> web.Response:
        headers.append({name.lower() for name in request.headers})
        return web.json_response(NUMBER, status=503 if len(headers) == 1 else 200)

    token = contexts.attach(baggage.set_baggage("tenant", "blue"))
    try:
        async with RawTestServer(handle) as server, ClientSession() as session:
            url = str(server.make_url("")).rstrip("/")
            async with WavixClient("a-key-for-tests", base_url=url, retry=FAST, observers=[seen.observer]) as wavix:
                await wavix.numbers.update(1, sms_enabled=True)
                await session.get(url)
                await wavix.numbers.bulk_update({1: NumberUpdate(sms_enabled=True)})
    finally:
        contexts.detach(token)
    made = [(span.instrumentation_scope.name, span.name) for span in seen.spans(ours=False)]
    assert sorted(made) == [
        ("opentelemetry.instrumentation.aiohttp_client", "GET"),
        ("wavix_async", "PATCH /v1/numbers/{id}"),
        ("wavix_async", "PATCH /v1/numbers/{id}"),
        ("wavix_async", "PATCH /v1/numbers/{id}"),
        ("wavix_async", "bulk PATCH /v1/numbers/{id}"),
    ]
    assert [bool(names & {"traceparent", "tracestate", "baggage"}) for names in headers] == [False, False, True, False]


@pytest.mark.usefixtures("instrumented")
async def test_without_the_observer_it_is_the_instrumentation_that_makes_it(seen: Seen) -> None:
    async with Sandbox() as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        await wavix.numbers.get(1001)
    (span,) = seen.spans(ours=False)
    assert span.name == "GET"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_of_it_is_imported_without_it() -> None:
    code = "import sys, wavix_async; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    assert run(code).strip() == "[]"


@pytest.mark.parametrize("missing", ["opentelemetry", "opentelemetry.instrumentation"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"""
import sys
sys.modules[{missing!r}] = None
try:
    import wavix_async.otel
except ImportError as error:
    print(error)
"""
    assert "pip install 'wavix-async[otel]'" in run(code)


def test_providers_that_are_set_after_the_client_was_made() -> None:
    code = """
import asyncio
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from wavix_async import WavixClient
from wavix_async.otel import OpenTelemetry
from wavix_async.sandbox import Sandbox


async def main():
    async with Sandbox(retry_after=None) as sandbox:
        observer = OpenTelemetry()
        async with WavixClient(sandbox.api_key, base_url=sandbox.url, observers=[observer]) as wavix:
            await wavix.numbers.get(1001)
            exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            trace.set_tracer_provider(provider)
            metrics.set_meter_provider(MeterProvider([reader]))
            await wavix.numbers.get(1001)
            print([span.name for span in exporter.get_finished_spans()])
            (resource,) = reader.get_metrics_data().resource_metrics
            scopes = {scope.scope.name: scope.metrics for scope in resource.scope_metrics}
            print([metric.name for metric in scopes["wavix_async"]])


asyncio.run(main())
"""
    assert run(code).splitlines() == ["['GET /v1/numbers/{id}']", "['http.client.request.duration']"]
