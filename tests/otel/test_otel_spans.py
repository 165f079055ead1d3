"""The spans of single calls: one per attempt, described by the conventions, without anything secret."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry import context as contexts
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled, suppress_instrumentation
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.semconv._incubating.attributes import url_attributes
from opentelemetry.semconv.attributes import error_attributes, http_attributes, server_attributes
from opentelemetry.semconv.metrics import http_metrics
from opentelemetry.trace import SpanKind, StatusCode
from yarl import URL

from tests.support.otel import FAST, Seen
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    AttemptEvent,
    AttemptStart,
    AttemptTimeoutError,
    ConnectError,
    NotFoundError,
    NumberUpdate,
    RetryPolicy,
    WavixClient,
    WavixError,
    otel,
)
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

KEY = "key-0f9c-that-no-one-may-see"
ONCE = RetryPolicy.none()


def stubbed(seen: Seen, session: StubSession, **options: Any) -> WavixClient:
    settings = {"base_url": "https://api.wavix.test", "session": session, "observers": [seen.observer], **options}
    return WavixClient(KEY, **settings)


def is_child(span: ReadableSpan, parent: trace.Span) -> bool:
    above = parent.get_span_context()
    return span.parent is not None and (span.parent.trace_id, span.parent.span_id) == (above.trace_id, above.span_id)


async def test_an_update_through_a_429_and_a_503(seen: Seen) -> None:
    async with Sandbox(retry_after=None, api_key=KEY) as sandbox, seen.client(sandbox) as wavix:
        sandbox.fail_next("status_429")
        sandbox.fail_next("status_503")
        with seen.tracer.start_as_current_span("caller") as caller:
            await wavix.numbers.update(1001, sms_relay_url="https://hooks.example.net/of-ours")
        ids = [request.request_id for request in sandbox.requests]
        host, port = "127.0.0.1", int(sandbox.url.rpartition(":")[2])
        same = {
            "http.request.method": "PATCH",
            "url.template": "/v1/numbers/{id}",
            "url.full": f"{sandbox.url}/v1/numbers/1001",
            "server.address": host,
            "server.port": port,
        }
    spans = seen.spans()
    assert [span.name for span in spans] == ["PATCH /v1/numbers/{id}"] * 3
    assert [dict(span.attributes or {}) for span in spans] == [
        {
            **same,
            "http.response.status_code": 429,
            "error.type": "429",
            "wavix.outcome": "rejected",
            "wavix.request_id": ids[0],
        },
        {
            **same,
            "http.request.resend_count": 1,
            "http.response.status_code": 503,
            "error.type": "503",
            "wavix.outcome": "unknown",
            "wavix.request_id": ids[1],
        },
        {
            **same,
            "http.request.resend_count": 2,
            "http.response.status_code": 200,
            "wavix.request_id": ids[2],
        },
    ]
    assert [span.status.status_code for span in spans] == [StatusCode.ERROR, StatusCode.ERROR, StatusCode.UNSET]
    for span in spans:
        assert span.kind is SpanKind.CLIENT
        assert is_child(span, caller)
        assert span.status.description is None
        assert not span.events
        assert not span.links
    labels = {
        "http.request.method": "PATCH",
        "url.template": "/v1/numbers/{id}",
        "server.address": host,
        "server.port": port,
    }
    counts = seen.points("http.client.request.duration")
    assert sorted(counts, key=lambda point: point[0]["http.response.status_code"]) == [
        ({**labels, "http.response.status_code": 200}, 1),
        ({**labels, "http.response.status_code": 429, "error.type": "429"}, 1),
        ({**labels, "http.response.status_code": 503, "error.type": "503"}, 1),
    ]
    retried = {"http.request.method": "PATCH", "url.template": "/v1/numbers/{id}"}
    assert sorted(seen.points("wavix.client.retries"), key=str) == [
        ({**retried, "error.type": "429"}, 1),
        ({**retried, "error.type": "503"}, 1),
    ]
    assert seen.points("wavix.client.pauses") == [({"wavix.limit_group": "default"}, 1)]
    assert KEY not in seen.everything()
    assert "of-ours" not in seen.everything()


async def test_values_of_the_query_are_hidden(seen: Seen) -> None:
    async with Sandbox(api_key=KEY) as sandbox, seen.client(sandbox) as wavix:
        phone = sandbox.numbers[1001]["number"]
        await wavix.numbers.list(search=phone, label="of my aunt's")
        await wavix.numbers.release(dids=[phone, sandbox.numbers[1002]["number"]])
        shown = [dict(span.attributes or {})["url.full"] for span in seen.spans()]
        assert shown == [
            f"{sandbox.url}/v1/numbers?search=REDACTED&label=REDACTED",
            f"{sandbox.url}/v1/numbers?dids=REDACTED",
        ]
        assert phone in sandbox.requests[0].query
    for secret in (phone, phone[1:], "aunt", KEY):
        assert secret not in seen.everything()


async def test_what_the_server_says_is_not_repeated(seen: Seen) -> None:
    refusal = Reply(422, {"success": False, "message": f"14155550123 is bad, {KEY}"})
    async with stubbed(seen, StubSession(lambda _: refusal), retry=ONCE) as wavix:
        with pytest.raises(WavixError, match="14155550123 is bad"):
            await wavix.numbers.update(5, sms_enabled=True)
    (span,) = seen.spans()
    assert dict(span.attributes or {})["error.type"] == "422"
    assert KEY not in seen.everything()
    assert "14155550123" not in seen.everything()


async def test_a_request_id_that_holds_the_key(seen: Seen) -> None:
    refusal = Reply(422, {"success": False, "message": "no"}, {"X-Request-Id": f"id-{KEY}"})
    async with stubbed(seen, StubSession(lambda _: refusal), retry=ONCE) as wavix:
        with pytest.raises(WavixError):
            await wavix.numbers.update(5, sms_enabled=True)
    assert KEY not in seen.everything()


async def test_an_attempt_that_never_left(seen: Seen) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with WavixClient(
            KEY, base_url=f"http://127.0.0.1:{port}", observers=[seen.observer], retry=ONCE
        ) as wavix:
            with pytest.raises(ConnectError):
                await wavix.numbers.get(1)
    (span,) = seen.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "url.template": "/v1/numbers/{id}",
        "url.full": f"http://127.0.0.1:{port}/v1/numbers/1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "error.type": "ConnectError",
        "wavix.outcome": "not_sent",
    }
    ((labels, count),) = seen.points("http.client.request.duration")
    assert (labels["error.type"], count) == ("ConnectError", 1)
    assert "http.response.status_code" not in labels


@pytest.mark.parametrize(("fault", "status"), [("garbage", 200), ("half_body", None), ("reset_after", None)])
async def test_an_answer_that_cannot_be_read(seen: Seen, fault: str, status: int | None) -> None:
    async with Sandbox() as sandbox, seen.client(sandbox, retry=ONCE) as wavix:
        sandbox.fail_next(fault)
        with pytest.raises(WavixError) as caught:
            await wavix.numbers.update(1001, sms_enabled=True)
    (span,) = seen.spans()
    attributes = dict(span.attributes or {})
    assert attributes.get("http.response.status_code") == status
    assert attributes["error.type"] == type(caught.value).__name__
    assert attributes["wavix.outcome"] == "unknown"
    assert span.status.status_code is StatusCode.ERROR


def test_a_timeout(seen: Seen) -> None:
    async def main() -> None:
        async with stubbed(seen, StubSession(latency=60.0), timeout=2.0, retry=ONCE) as wavix:
            with pytest.raises(AttemptTimeoutError):
                await wavix.numbers.get(1)

    run_virtual(main())
    (span,) = seen.spans()
    assert dict(span.attributes or {})["error.type"] == "AttemptTimeoutError"
    metric = seen.metrics()["http.client.request.duration"]
    (point,) = metric.data.data_points
    assert point.sum == pytest.approx(2.0)


async def test_a_cancelled_attempt_ends_its_span_and_gives_the_context_back(seen: Seen) -> None:
    async with Sandbox() as sandbox, seen.client(sandbox) as wavix:
        sandbox.fail_next("stall")
        with seen.tracer.start_as_current_span("caller") as caller:
            waiting = asyncio.ensure_future(wavix.numbers.update(1001, sms_enabled=True))

            async def watch() -> trace.Span:
                try:
                    await waiting
                except asyncio.CancelledError:
                    return trace.get_current_span()
                raise AssertionError

            watcher = asyncio.ensure_future(watch())
            while not sandbox.stats.in_flight:
                await asyncio.sleep(0.005)
            assert not seen.spans()
            waiting.cancel()
            assert await watcher is caller
            sandbox.fail_next("stall")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(wavix.numbers.update(1001, sms_enabled=True), 0.5)
            assert trace.get_current_span() is caller
    for span in seen.spans():
        attributes = dict(span.attributes or {})
        assert (attributes["error.type"], attributes["wavix.outcome"]) == ("CancelledError", "unknown")
        assert span.status.status_code is StatusCode.ERROR
        assert is_child(span, caller)
    assert len(seen.spans()) == 2


async def test_the_span_is_current_on_the_wire_and_at_no_other_time(seen: Seen) -> None:
    current = []

    def answer(_: object) -> Reply:
        current.append((trace.get_current_span(), is_http_instrumentation_enabled(), baggage.get_baggage("tenant")))
        return Reply()

    token = contexts.attach(baggage.set_baggage("tenant", "blue"))
    try:
        async with stubbed(seen, StubSession(answer)) as wavix:
            with seen.tracer.start_as_current_span("caller") as caller:
                await wavix.numbers.get(1)
                assert trace.get_current_span() is caller
                assert is_http_instrumentation_enabled()
    finally:
        contexts.detach(token)
    ((on_the_wire, enabled, tenant),) = current
    (span,) = seen.spans()
    assert on_the_wire.get_span_context() == span.get_span_context()
    assert not enabled
    assert tenant == "blue"


async def test_concurrent_attempts_keep_to_their_callers(seen: Seen) -> None:
    async with Sandbox(latency=(0.0, 0.02), retry_after=None) as sandbox, seen.client(sandbox) as wavix:
        sandbox.fail_next("status_503", 10)
        callers: dict[int, trace.Span] = {}

        async def one(number_id: int) -> None:
            with seen.tracer.start_as_current_span("caller") as callers[number_id]:
                await wavix.numbers.update(number_id, sms_enabled=True)
                assert trace.get_current_span() is callers[number_id]

        await asyncio.gather(*(one(number_id) for number_id in range(1001, 1031)))
    spans = seen.spans()
    assert len(spans) == 40
    for span in spans:
        assert is_child(span, callers[int(str(dict(span.attributes or {})["url.full"]).rpartition("/")[2])])


async def test_two_clients_may_share_one_observer(seen: Seen) -> None:
    async with Sandbox() as one, Sandbox() as other, seen.client(one) as first, seen.client(other) as second:
        await asyncio.gather(first.numbers.get(1001), second.numbers.get(1001))
        ports = {int(sandbox.url.rpartition(":")[2]) for sandbox in (one, other)}
    assert {dict(span.attributes or {})["server.port"] for span in seen.spans()} == ports
    assert {(labels["server.port"], count) for labels, count in seen.points("http.client.request.duration")} == {
        (port, 1) for port in ports
    }


async def test_observers_of_with_options(seen: Seen) -> None:
    other = Seen()
    async with Sandbox(retry_after=None) as sandbox, seen.client(sandbox) as wavix:
        sandbox.fail_next("status_503")
        # Once as the client's and once as its own: that is still one request.
        await wavix.with_options(observers=[seen.observer, other.observer]).numbers.get(1001)
        await wavix.numbers.get(1002)
    assert [dict(span.attributes or {})["http.response.status_code"] for span in seen.spans()] == [503, 200, 200]
    assert sum(count for _, count in seen.points("http.client.request.duration")) == 3
    assert sum(count for _, count in seen.points("wavix.client.retries")) == 1
    assert [dict(span.attributes or {})["http.response.status_code"] for span in other.spans()] == [503, 200]
    assert sum(count for _, count in other.points("http.client.request.duration")) == 2


def test_an_event_without_its_attempt_is_counted(seen: Seen) -> None:
    event = AttemptEvent(
        operation="GET /v1/numbers/{id}", attempt=1, status=404, error="NotFoundError", outcome="rejected", duration=0.5
    )
    seen.observer(event)
    assert not seen.spans()
    assert seen.points("http.client.request.duration") == [
        (
            {
                "http.request.method": "GET",
                "url.template": "/v1/numbers/{id}",
                "http.response.status_code": 404,
                "error.type": "404",
            },
            1,
        )
    ]


async def test_an_application_may_suppress_it(seen: Seen) -> None:
    async with Sandbox() as sandbox, seen.client(sandbox) as wavix:
        with suppress_instrumentation():
            await wavix.numbers.get(1001)
            with pytest.raises(NotFoundError):
                await wavix.numbers.get(1)
        assert not seen.spans()
        assert not seen.points("http.client.request.duration")
        await wavix.numbers.get(1001)
    assert len(seen.spans()) == 1


async def test_without_sampling_there_are_still_metrics() -> None:
    seen = Seen(ALWAYS_OFF)
    async with Sandbox(retry_after=None) as sandbox, seen.client(sandbox) as wavix:
        sandbox.fail_next("status_503")
        with seen.tracer.start_as_current_span("caller"):
            await wavix.numbers.get(1001)
            await wavix.numbers.bulk_update({1001: NumberUpdate(sms_enabled=True), 1: NumberUpdate(sms_enabled=True)})
    assert not seen.exporter.get_finished_spans()
    assert sum(count for _, count in seen.points("http.client.request.duration")) == 4


class Deciding(Sampler):
    """Keeps what it is given to decide on."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def should_sample(self, parent_context: Any, trace_id: Any, name: Any, *more: Any, **options: Any) -> Any:
        attributes = options.get("attributes") or more[1]
        self.asked.append({"name": name, **attributes})
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "Deciding"


async def test_a_sampler_can_decide_by_what_is_known_at_the_start() -> None:
    sampler = Deciding()
    seen = Seen(sampler)
    async with Sandbox(retry_after=None) as sandbox, seen.client(sandbox) as wavix:
        sandbox.fail_next("status_503")
        await wavix.numbers.get(1001)
    same = {
        "name": "GET /v1/numbers/{id}",
        "http.request.method": "GET",
        "url.template": "/v1/numbers/{id}",
        "url.full": f"http://127.0.0.1:{sampler.asked[0]['server.port']}/v1/numbers/1001",
        "server.address": "127.0.0.1",
        "server.port": sampler.asked[0]["server.port"],
    }
    assert sampler.asked == [same, {**same, "http.request.resend_count": 1}]


def test_an_unknown_method(seen: Seen) -> None:
    # An `Operation` of a later version may have one; today it refuses all but the usual six.
    start = AttemptStart(operation="PURGE /v1/cache", attempt=1, url=URL("https://api.wavix.com/v1/cache"))
    with seen.observer.around_attempt(start):
        ended = AttemptEvent(operation=start.operation, attempt=1, status=204, error=None, outcome=None, duration=0.1)
        seen.observer(ended)
    (span,) = seen.spans()
    attributes = dict(span.attributes or {})
    assert span.name == "HTTP /v1/cache"
    assert (attributes["http.request.method"], attributes["http.request.method_original"]) == ("_OTHER", "PURGE")
    assert attributes["server.port"] == 443
    ((labels, _),) = seen.points("http.client.request.duration")
    assert labels["http.request.method"] == "_OTHER"
    assert "http.request.method_original" not in labels


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_call_that_is_abandoned_is_closed_without_a_word(
    seen: Seen, caplog: pytest.LogCaptureFixture, elsewhere: bool
) -> None:
    async with stubbed(seen, StubSession(latency=60.0)) as wavix:
        with seen.tracer.start_as_current_span("caller") as caller:
            call = wavix.numbers.get(1)
            if elsewhere:
                # As a task does it whose loop goes away while it waits.
                contextvars.copy_context().run(call.send, None)
            else:
                call.send(None)
                assert trace.get_current_span() is not caller
            call.close()
            assert trace.get_current_span() is caller
    (span,) = seen.spans()
    assert dict(span.attributes or {})["error.type"] == "GeneratorExit"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_the_log_knows_the_span(seen: Seen) -> None:
    spans = {}

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            spans[record.getMessage()] = trace.get_current_span().get_span_context().span_id

    logger, handler = logging.getLogger("wavix_async"), Handler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:

        async def main() -> int:
            session = StubSession(lambda seen: Reply(429) if seen.at == 0 else Reply())
            async with stubbed(seen, session, retry=FAST) as wavix:
                with seen.tracer.start_as_current_span("caller") as caller:
                    await wavix.numbers.get(1)
                    return caller.get_span_context().span_id

        caller = run_virtual(main())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    first, second = (span.get_span_context().span_id for span in seen.spans())
    assert spans["attempt ended"] == second
    assert spans["calls pause"] == first
    assert spans["attempt will be repeated"] == caller


def test_names_are_those_of_the_conventions() -> None:
    assert otel._METHOD == http_attributes.HTTP_REQUEST_METHOD
    assert otel._STATUS == http_attributes.HTTP_RESPONSE_STATUS_CODE
    assert otel._ERROR == error_attributes.ERROR_TYPE
    assert otel._TEMPLATE == url_attributes.URL_TEMPLATE
    assert url_attributes.URL_FULL == "url.full"
    assert http_attributes.HTTP_REQUEST_RESEND_COUNT == "http.request.resend_count"
    assert http_attributes.HTTP_REQUEST_METHOD_ORIGINAL == "http.request.method_original"
    assert server_attributes.SERVER_ADDRESS == "server.address"
    assert server_attributes.SERVER_PORT == "server.port"
    assert http_metrics.HTTP_CLIENT_REQUEST_DURATION == "http.client.request.duration"
    assert otel._BUCKETS == _semconv.HTTP_DURATION_HISTOGRAM_BUCKETS_NEW
    methods = {each.value for each in http_attributes.HttpRequestMethodValues}
    assert not otel._METHODS - methods
