"""A bulk run is one span; its attempts are traces of their own, and links connect both."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage
from opentelemetry import context as contexts
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode

from tests.support.otel import Seen
from tests.support.stub import Reply, StubSession
from tests.support.virtual import run_virtual
from wavix_async import AuthenticationError, NotFoundError, NumberUpdate, WavixClient
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.sdk.trace import ReadableSpan, Span

ON = NumberUpdate(sms_enabled=True)
NAME = "bulk PATCH /v1/numbers/{id}"


def parted(seen: Seen) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """Return the span of the run, and those of its attempts."""
    spans = seen.spans()
    (run,) = [span for span in spans if span.name == NAME]
    return run, [span for span in spans if span is not run]


def id_of(span: Any) -> tuple[int, int]:
    context = span.get_span_context()
    return context.trace_id, context.span_id


def links_of(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


class Baggage(SpanProcessor):
    """Keeps the baggage with which each span began."""

    def __init__(self) -> None:
        self.kept: Counter[object] = Counter()

    def on_start(self, span: Span, parent_context: contexts.Context | None = None) -> None:
        self.kept[baggage.get_baggage("tenant", parent_context)] += 1


async def test_a_run_is_one_span_and_its_attempts_are_linked(seen: Seen) -> None:
    kept = Baggage()
    seen.tracer_provider.add_span_processor(kept)
    token = contexts.attach(baggage.set_baggage("tenant", "blue"))
    try:
        async with Sandbox(numbers=40, retry_after=None) as sandbox, seen.client(sandbox) as wavix:
            sandbox.fail_next("status_503", 6)
            with seen.tracer.start_as_current_span("caller") as caller:
                report = await wavix.numbers.bulk_update(dict.fromkeys([*range(1001, 1041), 7], ON), concurrency=5)
    finally:
        contexts.detach(token)
    assert (report.updated, report.failed, report.requests) == (40, 1, 47)
    run, attempts = parted(seen)
    assert run.kind is SpanKind.INTERNAL
    assert run.parent is not None
    assert (run.parent.trace_id, run.parent.span_id) == id_of(caller)
    assert run.status.status_code is StatusCode.UNSET
    assert dict(run.attributes or {}) == {
        "http.request.method": "PATCH",
        "url.template": "/v1/numbers/{id}",
        "wavix.bulk.total": 41,
        "wavix.bulk.concurrency": 5,
        "wavix.bulk.updated": 40,
        "wavix.bulk.failed": 1,
        "wavix.bulk.unknown": 0,
        "wavix.bulk.not_sent": 0,
        "wavix.bulk.requests": 47,
        "wavix.bulk.rate_limited": 0,
    }
    assert len(attempts) == 47
    assert {span.parent for span in attempts} == {None}
    assert len({id_of(span)[0] for span in [*attempts, run]}) == 48
    assert {tuple(links_of(span)) for span in attempts} == {(id_of(run),)}
    failed = [span for span in attempts if span.status.status_code is StatusCode.ERROR]
    assert Counter(dict(span.attributes or {})["error.type"] for span in failed) == {"503": 6, "404": 1}
    assert Counter(links_of(run)) == Counter(id_of(span) for span in failed)
    # The caller's, the run's, and those of all attempts.
    assert kept.kept == {"blue": 49}
    labels = {"http.request.method": "PATCH", "url.template": "/v1/numbers/{id}"}
    assert sorted(seen.points("wavix.client.bulk.items"), key=str) == [
        ({**labels, "wavix.bulk.status": "failed"}, 1),
        ({**labels, "wavix.bulk.status": "updated"}, 40),
    ]


async def test_batches_are_attempts_too(seen: Seen) -> None:
    async with Sandbox(numbers=40) as sandbox, seen.client(sandbox) as wavix:
        with seen.tracer.start_as_current_span("caller"):
            await wavix.numbers.bulk_update(dict.fromkeys(range(1001, 1041), ON), batch=10)
        assert sandbox.stats.requests == 4
    run, attempts = parted(seen)
    assert [span.name for span in attempts] == ["PATCH /v1/numbers"] * 4
    assert {(span.parent, *links_of(span)) for span in attempts} == {(None, id_of(run))}


def test_a_run_links_to_the_first_that_failed_and_not_only_to_refusals(seen: Seen) -> None:
    answers = iter([429] * 60 + [503] * 300)

    async def main() -> None:
        session = StubSession(lambda _: Reply(next(answers, 200)))
        async with WavixClient(
            "a-key-for-tests", base_url="https://api.wavix.test", session=session, observers=[seen.observer]
        ) as wavix:
            await wavix.numbers.bulk_update(dict.fromkeys(range(1, 401), ON), concurrency=20)

    run_virtual(main())
    run, attempts = parted(seen)
    statuses = {id_of(span): dict(span.attributes or {})["http.response.status_code"] for span in attempts}
    assert Counter(statuses.values())[503] > 100
    assert Counter(statuses[link] for link in links_of(run)) == {429: 20, 503: 100}


async def test_a_run_that_an_error_has_stopped(seen: Seen) -> None:
    async with Sandbox() as sandbox, seen.client(sandbox, api_key="not-the-key-at-all") as wavix:
        report = await wavix.numbers.bulk_update(dict.fromkeys(range(1001, 1101), ON), concurrency=3)
        assert isinstance(report.stopped_by, AuthenticationError)
    run, attempts = parted(seen)
    attributes = dict(run.attributes or {})
    assert run.status.status_code is StatusCode.ERROR
    assert run.status.description is None
    assert attributes["error.type"] == "AuthenticationError"
    assert attributes["wavix.bulk.not_sent"] == report.not_sent
    assert len(attempts) == report.requests
    assert not run.events
    assert {labels["wavix.bulk.status"]: count for labels, count in seen.points("wavix.client.bulk.items")} == {
        "failed": report.failed,
        "not_sent": report.not_sent,
    }


async def test_a_source_that_raises(seen: Seen) -> None:
    def source() -> Any:
        yield 1001, ON
        raise LookupError("14155550123 is in no table")

    async with Sandbox() as sandbox, seen.client(sandbox) as wavix:
        with pytest.raises(LookupError):
            await wavix.numbers.bulk_update(source())
    run, _ = parted(seen)
    assert dict(run.attributes or {})["error.type"] == "LookupError"
    assert "wavix.bulk.total" not in dict(run.attributes or {})
    assert run.status.status_code is StatusCode.ERROR
    assert "14155550123" not in seen.everything()


async def test_leaving_a_run_is_no_error(seen: Seen) -> None:
    async with Sandbox() as sandbox, seen.client(sandbox) as wavix:
        run = wavix.numbers.bulk_update(dict.fromkeys(range(1001, 1101), ON), concurrency=2)
        results = aiter(run)
        await anext(results)
        await results.aclose()  # type: ignore[attr-defined]
        assert run.report.not_sent
    span, _ = parted(seen)
    attributes = dict(span.attributes or {})
    assert span.status.status_code is StatusCode.UNSET
    assert attributes["wavix.bulk.not_sent"] > 0
    assert sum(attributes[f"wavix.bulk.{end}"] for end in ("updated", "failed", "unknown", "not_sent")) == 100


async def test_below_a_span_of_its_own_the_application_finds_what_it_looks_for(seen: Seen) -> None:
    async with Sandbox(numbers=30) as sandbox, seen.client(sandbox) as wavix:

        async def source() -> AsyncIterator[tuple[int, NumberUpdate]]:
            with seen.tracer.start_as_current_span("looking up"):
                page = await wavix.numbers.list(per_page=3)
            for number in page.items:
                yield number.id, ON
            # In the span of the run itself.
            await wavix.numbers.get(1001)

        await wavix.numbers.bulk_update(source())
    run, attempts = parted(seen)
    (looking,) = [span for span in seen.spans(ours=False) if span.name == "looking up"]
    (listed,) = [span for span in attempts if span.name == "GET /v1/numbers"]
    (got,) = [span for span in attempts if span.name == "GET /v1/numbers/{id}"]
    assert looking.parent is not None
    assert (looking.parent.trace_id, looking.parent.span_id) == id_of(run)
    assert listed.parent is not None
    assert (listed.parent.trace_id, listed.parent.span_id) == id_of(looking)
    assert not listed.links
    assert got.parent is None
    assert links_of(got) == [id_of(run)]


class NoAttempts(Sampler):
    """Takes everything but the attempts."""

    def should_sample(
        self, parent_context: Any, trace_id: int, name: str, kind: SpanKind | None = None, *more: Any, **options: Any
    ) -> SamplingResult:
        return SamplingResult(Decision.DROP if kind is SpanKind.CLIENT else Decision.RECORD_AND_SAMPLE)

    def get_description(self) -> str:
        return "NoAttempts"


async def test_a_run_does_not_link_to_spans_that_are_not_kept() -> None:
    seen = Seen(NoAttempts())
    async with Sandbox() as sandbox, seen.client(sandbox) as wavix:
        await wavix.numbers.bulk_update({1001: ON, 7: ON})
    run, attempts = parted(seen)
    assert not attempts
    assert not run.links
    assert dict(run.attributes or {})["wavix.bulk.failed"] == 1


async def test_what_outlives_a_run_does_not_touch_its_span(seen: Seen, caplog: pytest.LogCaptureFixture) -> None:
    over = asyncio.Event()
    async with Sandbox() as sandbox, seen.client(sandbox) as wavix:

        async def later() -> None:
            await over.wait()
            with pytest.raises(NotFoundError):
                await wavix.numbers.get(7)

        async def source() -> AsyncIterator[tuple[int, NumberUpdate]]:
            tasks.append(asyncio.ensure_future(later()))
            yield 1001, ON

        tasks: list[asyncio.Task[None]] = []
        await wavix.numbers.bulk_update(source())
        over.set()
        await asyncio.gather(*tasks)
    run, attempts = parted(seen)
    assert [(span.name, links_of(span)) for span in attempts] == [
        ("PATCH /v1/numbers/{id}", [id_of(run)]),
        ("GET /v1/numbers/{id}", [id_of(run)]),
    ]
    assert not run.links
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_two_runs_at_once_and_a_call_beside_them(seen: Seen) -> None:
    async with Sandbox(numbers=40, latency=0.01) as sandbox, seen.client(sandbox) as wavix:
        with seen.tracer.start_as_current_span("caller") as caller:
            await asyncio.gather(
                wavix.numbers.bulk_update(dict.fromkeys(range(1001, 1011), ON), concurrency=3),
                wavix.with_options(observers=[seen.observer]).numbers.bulk_update(
                    dict.fromkeys(range(1011, 1031), ON), concurrency=3
                ),
                wavix.numbers.get(1040),
            )
    runs = {id_of(span): span for span in seen.spans() if span.name == NAME}
    attempts = [span for span in seen.spans() if id_of(span) not in runs]
    assert len(runs) == 2
    assert len(attempts) == 31
    linked = Counter(link for span in attempts for link in links_of(span))
    assert {dict(runs[key].attributes or {})["wavix.bulk.total"]: count for key, count in linked.items()} == {
        10: 10,
        20: 20,
    }
    (alone,) = [span for span in attempts if span.name == "GET /v1/numbers/{id}"]
    assert alone.parent is not None
    assert (alone.parent.trace_id, alone.parent.span_id) == id_of(caller)
    assert sum(count for _, count in seen.points("wavix.client.bulk.items")) == 30
