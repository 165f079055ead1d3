"""The metrics: what they count, in which unit, and with how few attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry import metrics
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider

from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import NumberUpdate, RateEvent, WavixClient
from wavix_async.otel import OpenTelemetry
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.support.otel import Seen
    from tests.support.stub import Seen as SeenRequest

ON = NumberUpdate(sms_enabled=True)


async def test_units_and_kinds(seen: Seen) -> None:
    async with Sandbox(retry_after=None) as sandbox, seen.client(sandbox) as wavix:
        sandbox.fail_next("status_429")
        sandbox.change(1001, status="asleep", brand_new=1)
        await wavix.numbers.get(1001)
        await wavix.numbers.bulk_update({1001: ON})
    seen.observer(RateEvent(group="default", rate=12.5))
    assert {name: (metric.unit, type(metric.data).__name__) for name, metric in seen.metrics().items()} == {
        "http.client.request.duration": ("s", "Histogram"),
        "wavix.client.retries": ("{retry}", "Sum"),
        "wavix.client.pauses": ("{pause}", "Sum"),
        "wavix.client.pause.time": ("s", "Sum"),
        "wavix.client.rate": ("{request}/s", "Gauge"),
        "wavix.client.drifts": ("{drift}", "Sum"),
        "wavix.client.bulk.items": ("{item}", "Sum"),
    }
    (point, *_) = seen.metrics()["http.client.request.duration"].data.data_points
    assert point.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)


async def test_drift(seen: Seen) -> None:
    async with Sandbox() as sandbox, seen.client(sandbox) as wavix:
        sandbox.change(1001, **{"of +14155550123": 1, "channels": "two"})
        for _ in range(3):
            await wavix.numbers.get(1001)
    labels = {"http.request.method": "GET", "url.template": "/v1/numbers/{id}", "wavix.drift.model": "Number"}
    assert sorted(seen.points("wavix.client.drifts"), key=str) == [
        ({**labels, "wavix.drift.kind": "type"}, 1),
        ({**labels, "wavix.drift.kind": "unknown"}, 1),
    ]
    assert "14155550123" not in seen.everything()


def test_pauses_that_the_server_asks_for(seen: Seen) -> None:
    answers = iter([Reply(429, headers={"Retry-After": "7"}), Reply(503, headers={"Retry-After": "5"})])

    async def main() -> None:
        session = StubSession(lambda _: next(answers, Reply()))
        async with WavixClient(
            "a-key-for-tests", base_url="https://api.wavix.test", session=session, observers=[seen.observer]
        ) as wavix:
            await wavix.numbers.get(1)

    run_virtual(main())
    assert seen.points("wavix.client.pauses") == [({"wavix.limit_group": "default"}, 2)]
    ((labels, seconds),) = seen.points("wavix.client.pause.time")
    assert labels == {"wavix.limit_group": "default"}
    assert seconds == pytest.approx(12, abs=0.5)


def test_the_rate_that_was_learned(seen: Seen) -> None:
    times: list[float] = []

    def answer(request: SeenRequest) -> Reply:
        # 100 requests in any second.
        if len([at for at in times if at > request.at - 1.0]) >= 100:
            return Reply(429, headers={"Retry-After": "1"})
        times.append(request.at)
        return Reply()

    async def main() -> float:
        session = StubSession(answer, latency=0.02)
        async with WavixClient(
            "a-key-for-tests", base_url="https://api.wavix.test", session=session, observers=[seen.observer]
        ) as wavix:
            await wavix.numbers.bulk_update(dict.fromkeys(range(1, 601), ON), concurrency=20)
            return wavix.limits.snapshot().rate or 0.0

    assert run_virtual(main()) > 0
    ((labels, rate),) = seen.points("wavix.client.rate")
    assert labels == {"wavix.limit_group": "default"}
    assert 50 < rate < 150


async def test_the_number_of_series_is_that_of_operations_and_ends(seen: Seen) -> None:
    async with Sandbox(numbers=300) as sandbox, seen.client(sandbox) as wavix:
        await wavix.numbers.bulk_update(dict.fromkeys(range(1001, 1301), ON))
        async for _ in wavix.numbers.list():
            pass
    assert sandbox.stats.requests > 300
    assert len(seen.points("http.client.request.duration")) == 2
    assert len(seen.points("wavix.client.bulk.items")) == 1


async def test_without_providers_nothing_is_made_and_nothing_fails(seen: Seen) -> None:
    silent = OpenTelemetry(tracer_provider=NoOpTracerProvider(), meter_provider=NoOpMeterProvider())
    async with Sandbox(retry_after=None) as sandbox, seen.client(sandbox, observers=[silent, OpenTelemetry()]) as wavix:
        sandbox.fail_next("status_503")
        report = await wavix.numbers.bulk_update(dict.fromkeys(range(1001, 1021), ON))
    assert report.updated == 20
    # The global provider is still the one that waits for an application to set its own.
    assert type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"
