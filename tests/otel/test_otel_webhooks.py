"""Spans and metrics of webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.events import SECRET, dlr, post
from wavix_async.models import Model
from wavix_async.webhooks import DeliveryReport, Webhooks

if TYPE_CHECKING:
    from tests.support.otel import Seen


async def test_a_handler_is_a_span_of_its_own_trace_and_every_answer_is_counted(seen: Seen) -> None:
    hooks = Webhooks(secret=SECRET, observers=[seen.observer, seen.observer])
    inside = []

    @hooks.on(Model)
    async def handle(event: Model) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)

    @hooks.on(DeliveryReport)
    async def fails(report: DeliveryReport) -> None:
        raise ValueError(report.to)

    async with hooks:
        with seen.tracer.start_as_current_span("request"):
            for body in (dlr("m"), dlr("m"), dlr("m", "sent"), [1]):
                await post(hooks.asgi, body)
        await post(hooks.asgi, b"{")
    spans = seen.spans()
    assert sorted(span.name for span in spans) == ["handle dlr"] * 4 + ["handle unknown"]
    assert {(span.kind, span.parent) for span in spans} == {(SpanKind.CONSUMER, None)}
    assert {span.context.span_id for span in spans} >= set(inside)
    failed = [span for span in spans if span.status.status_code is StatusCode.ERROR]
    assert [span.attributes["error.type"] for span in failed if span.attributes] == ["ValueError"] * 2
    assert all(not span.events and span.status.description is None for span in failed)
    assert all("447537151866" not in span.to_json() for span in spans)
    metrics = seen.metrics()
    counts = {
        (point.attributes.get("wavix.event.kind"), point.attributes["wavix.webhook.result"]): point.value
        for point in metrics["wavix.webhook.requests"].data.data_points
    }
    assert counts == {
        ("dlr", "stored"): 1,
        ("dlr", "duplicate"): 1,
        ("dlr", "late"): 1,
        ("unknown", "stored"): 1,
        (None, "body"): 1,
    }
    assert sum(point.count for point in metrics["wavix.webhook.handler.duration"].data.data_points) == 5
