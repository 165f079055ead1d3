"""What a request holds, and when: first a permit, then its slots; it keeps its queue position over all attempts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    ClientClosedError,
    DeadlineExceededError,
    Operation,
    RateLimitError,
    RetryPolicy,
    ServerError,
    StoppedError,
    StopSignal,
    Success,
    WavixClient,
)

GET = Operation("GET", "/v1/things/{id}", Success)
PER_NUMBER = Operation("POST", "/v1/messages/{id}", Success, fail_fast_codes=["47"])
NUDGE = Operation("GET", "/v1/nudges/{id}", Success, fail_fast_on_429=True)


def made(session: StubSession, **options: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=session, **options)


def fine(_: Seen) -> Reply:
    return Reply(body={"success": True})


@pytest.mark.req_08
def test_a_call_that_waits_for_the_rate_holds_no_slot() -> None:
    async def main() -> None:
        semaphore = asyncio.Semaphore(1)
        async with made(StubSession(fine), rate=1) as wavix:
            limited = wavix.with_options(semaphore=semaphore)
            calls = [asyncio.ensure_future(limited.call(GET, path={"id": number})) for number in range(5)]
            await asyncio.sleep(0.5)
            assert wavix.limits.snapshot().waiting > 0
            assert not semaphore.locked()
            await asyncio.gather(*calls)

    run_virtual(main())


@pytest.mark.req_08
def test_slots_come_back_and_no_permit_stays_in_flight_whatever_the_end() -> None:
    async def main() -> None:
        stop, semaphore = StopSignal(), asyncio.Semaphore(1)
        session = StubSession(fine, latency=1.0)
        async with made(session, retry=RetryPolicy.none()) as wavix:
            one = wavix.with_options(semaphore=semaphore)
            first = asyncio.ensure_future(one.call(GET, path={"id": 1}))
            await asyncio.sleep(0.1)
            assert semaphore.locked()
            late = asyncio.ensure_future(one.with_options(deadline=0.2).call(GET, path={"id": 2}))
            stopped = asyncio.ensure_future(one.with_options(stop=stop).call(GET, path={"id": 3}))
            cancelled = asyncio.ensure_future(one.call(GET, path={"id": 4}))
            await asyncio.sleep(0.1)
            stop.set()
            cancelled.cancel()
            with pytest.raises(DeadlineExceededError, match="found no free connection") as caught:
                await late
            assert caught.value.outcome == "not_sent"
            with pytest.raises(StoppedError):
                await stopped
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await first
            assert not semaphore.locked()
            assert wavix.limits.snapshot().in_flight == 0
        assert session.requests == 1
        with pytest.raises(ClientClosedError):
            await one.call(GET, path={"id": 5})
        assert not semaphore.locked()

    run_virtual(main())


@pytest.mark.req_09
@pytest.mark.req_11
@pytest.mark.parametrize(("answers", "outcome", "status"), [((), "not_sent", None), ((429,), "rejected", 429)])
def test_a_permit_after_the_deadline_is_refused_at_once(
    answers: tuple[int, ...], outcome: str, status: int | None
) -> None:
    """What the error says depends on whether the API has refused this very call before."""

    async def main() -> None:
        refusals = iter(answers)

        def answer(seen: Seen) -> Reply:
            refused = seen.path.endswith("/1") or next(refusals, None)
            return Reply(429, {}, {"Retry-After": "30"}) if refused else fine(seen)

        session = StubSession(answer)
        async with made(session) as wavix:
            if not answers:
                with pytest.raises(RateLimitError):
                    await wavix.with_options(retry=RetryPolicy.none()).call(GET, path={"id": 1})
            with pytest.raises(
                RateLimitError, match=r"would have to wait \d+.\d s \(the API asked for a pause\)"
            ) as caught:
                await wavix.with_options(deadline=5).call(GET, path={"id": 2})
            assert (caught.value.outcome, caught.value.status) == (outcome, status)
            assert caught.value.retry_after == pytest.approx(30, abs=1)
            assert caught.value.attempts == len(answers)

    run_virtual(main())


@pytest.mark.req_06
@pytest.mark.parametrize("operation", [NUDGE, PER_NUMBER], ids=["all", "by code"])
def test_a_quota_of_one_operation_says_nothing_of_the_rate(operation: Operation[Success]) -> None:
    async def main() -> None:
        session = StubSession(lambda _: Reply(429, {"error_code": "47"}, {"Retry-After": "86400"}))
        async with made(session) as wavix:
            with pytest.raises(RateLimitError) as caught:
                await wavix.call(operation, path={"id": 1})
            snapshot = wavix.limits.snapshot()
            assert (snapshot.paused_for, snapshot.refused, snapshot.in_flight) == (0, 0, 0)
            assert caught.value.retry_after == 86400

    run_virtual(main())


@pytest.mark.req_06
def test_a_busy_server_pauses_everyone() -> None:
    async def main() -> None:
        session = StubSession(lambda _: Reply(503, {}, {"Retry-After": "4"}))
        async with made(session, retry=RetryPolicy.none()) as wavix:
            with pytest.raises(Exception, match="HTTP 503"):
                await wavix.call(GET, path={"id": 1})
            assert wavix.limits.snapshot().paused_for == pytest.approx(4, abs=0.5)

    run_virtual(main())


@pytest.mark.req_09
@pytest.mark.parametrize("method", ["GET", "PATCH", "POST"])
def test_a_busy_server_and_a_short_deadline_give_the_error_of_the_answer(method: str) -> None:
    body = {"message": "busy", "error_code": "E503"}

    async def main() -> None:
        session = StubSession(lambda _: Reply(503, body, {"Retry-After": "10"}))
        async with made(session) as wavix:
            with pytest.raises(ServerError, match=r"HTTP 503.*busy.*Not retried: .* after the deadline") as caught:
                await wavix.with_options(deadline=5).call(Operation(method, "/v1/things/{id}", Success), path={"id": 1})
            error = caught.value
            assert (error.status, error.retry_after, error.details, error.code) == (503, 10, body, "E503")
            assert (error.is_refusal, error.outcome, error.attempts, error.elapsed) == (False, "unknown", 1, 0)
            assert error.not_retried is not None

    run_virtual(main())


@pytest.mark.req_09
def test_a_pause_that_another_call_began_gives_the_error_of_the_answer() -> None:
    async def main() -> None:
        session = StubSession(
            lambda seen: Reply(500) if seen.path.endswith("/1") else Reply(429, {}, {"Retry-After": "30"})
        )
        retry = RetryPolicy(backoff=4)
        async with made(session, retry=retry) as wavix:
            first = asyncio.ensure_future(wavix.with_options(deadline=20).call(GET, path={"id": 1}))
            await asyncio.sleep(0)
            with pytest.raises(RateLimitError):
                await wavix.with_options(retry=RetryPolicy.none()).call(GET, path={"id": 2})
            with pytest.raises(ServerError, match="Not retried") as caught:
                await first
            assert (caught.value.status, caught.value.outcome, caught.value.attempts) == (500, "unknown", 1)
            assert caught.value.retry_after == pytest.approx(30, abs=5)
            assert caught.value.__cause__ is None

    run_virtual(main())


@pytest.mark.req_09
def test_a_refusal_that_does_not_fit_the_deadline_keeps_what_the_api_said() -> None:
    body = {"message": "slow down", "error_code": "E429"}

    async def main() -> None:
        session = StubSession(lambda _: Reply(429, body, {"Retry-After": "10"}))
        async with made(session) as wavix:
            with pytest.raises(RateLimitError, match="would have to wait") as caught:
                await wavix.with_options(deadline=5).call(GET, path={"id": 1})
            error = caught.value
            assert (error.status, error.code, error.reason, error.details) == (429, "E429", "slow down", body)
            assert (error.is_refusal, error.outcome) == (True, "rejected")

    run_virtual(main())


@pytest.mark.req_11
def test_a_server_that_is_only_slow_gives_no_error_of_a_rate() -> None:
    async def main() -> None:
        session = StubSession(fine, latency=1000.0)
        async with made(session) as wavix:
            patient = wavix.with_options(deadline=2)
            ends = await asyncio.gather(
                *(patient.call(GET, path={"id": number}) for number in range(40)), return_exceptions=True
            )
            assert {type(end) for end in ends} == {DeadlineExceededError}
            not_sent = [end for end in ends if isinstance(end, DeadlineExceededError) and end.outcome == "not_sent"]
            assert len(not_sent) == 40 - session.requests > 0
            assert all("no free place among the requests in flight" in str(end) for end in not_sent)

    run_virtual(main())


def test_an_error_without_an_answer_is_no_refusal() -> None:
    async def main() -> None:
        async with made(StubSession(fine), rate=0.01) as wavix:
            await wavix.call(GET, path={"id": 1})
            with pytest.raises(RateLimitError, match="the rate limit allows nothing earlier") as caught:
                await wavix.with_options(deadline=5).call(GET, path={"id": 2})
            assert (caught.value.is_refusal, caught.value.outcome, caught.value.status) == (False, "not_sent", None)
            assert caught.value.retry_after == pytest.approx(100, abs=1)

    run_virtual(main())
