"""Whether a failed attempt is retried: the decision without I/O, the budget, and both in a client in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    APIError,
    AttemptTimeoutError,
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    DisconnectedError,
    InputError,
    NotFoundError,
    Number,
    Operation,
    OutcomeUnknownError,
    RateLimitError,
    RetryEvent,
    RetryPolicy,
    ServerError,
    Success,
    Timeouts,
    WavixClient,
    WavixError,
)
from wavix_async._http import GiveUp, RetryBudget, Wait, decide, repeat

if TYPE_CHECKING:
    from collections.abc import Callable

SAFE = Operation("PATCH", "/v1/things/{id}", Success, idempotent=True)
UNSAFE = Operation("POST", "/v1/purchases", Success)
NUDGE = Operation("POST", "/v1/nudges", Success, fail_fast_on_429=True)
GET = Operation("GET", "/v1/numbers/{id}", Number)
BUY = Operation("POST", "/v1/purchases/{id}", Success)
quick = settings(deadline=None, max_examples=75)


def verdict(
    failure: WavixError,
    *,
    operation: Operation[Any] = SAFE,
    policy: RetryPolicy | None = None,
    counted: int = 1,
    jitter: float = 0.5,
    time_left: float = 100.0,
    take_retry: Callable[[], float | None] = lambda: 0.0,
) -> Wait | GiveUp:
    return decide(
        operation,
        policy or RetryPolicy(),
        failure,
        counted=counted,
        jitter=jitter,
        time_left=time_left,
        take_retry=take_retry,
    )


def status(code: int, **facts: Any) -> APIError:
    kind = {429: RateLimitError, 404: NotFoundError, 400: BadRequestError, 401: AuthenticationError}.get(
        code, ServerError if code >= 500 else APIError
    )
    return kind(f"HTTP {code}", status=code, **facts)


@pytest.mark.req_02
@pytest.mark.req_03
@pytest.mark.req_04
@pytest.mark.parametrize(
    ("failure", "safe", "unsafe"),
    [
        (ConnectError("refused"), True, True),
        (DisconnectedError("reset"), True, False),
        (AttemptTimeoutError("slow"), True, False),
        (DecodeError("half a body", retryable=True), True, False),
        (DecodeError("not as documented"), False, False),
        (status(408), True, False),
        (status(500), True, False),
        (status(502), True, False),
        (status(503), True, False),
        (status(503, retry_after=2.0), True, True),
        (status(504), True, False),
        (status(500, retry_after=2.0), True, False),
        (status(501), True, False),
        (status(520), True, False),
        (status(530), True, False),
        (status(599), True, False),
        (status(499, outcome="unknown"), True, False),
        (status(404, outcome="unknown"), True, False),
        (status(302, outcome="unknown"), False, False),
        (status(429), True, True),
        (status(400), False, False),
        (status(401), False, False),
        (status(404), False, False),
        (status(409), False, False),
        (status(200), False, False),
        (InputError("x"), False, False),
        (ClientClosedError("x"), False, False),
        (DeadlineExceededError("x"), False, False),
        (RateLimitError("would wait too long", retry_after=9.0), False, False),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}" if isinstance(value, WavixError) else None,
)
def test_what_is_repeated(failure: WavixError, safe: bool, unsafe: bool) -> None:
    assert isinstance(verdict(failure), Wait) is safe
    assert isinstance(verdict(failure, operation=UNSAFE), Wait) is unsafe


@pytest.mark.req_09
def test_a_refusal_for_the_day_is_never_waited_out() -> None:
    assert isinstance(verdict(status(429), operation=NUDGE), GiveUp)


@pytest.mark.req_09
@pytest.mark.parametrize("failure", [ConnectError("x"), DisconnectedError("x"), status(500), status(429)])
def test_one_attempt_means_one(failure: WavixError) -> None:
    said = verdict(failure, policy=RetryPolicy.none())

    assert isinstance(said, GiveUp)
    assert said.error is failure


@pytest.mark.req_09
def test_attempts_are_counted() -> None:
    assert isinstance(verdict(status(500), counted=3), Wait)
    assert isinstance(verdict(status(500), counted=4), GiveUp)
    assert isinstance(verdict(status(500), counted=5), GiveUp)
    assert isinstance(verdict(status(500), counted=4, policy=RetryPolicy(attempts=5)), Wait)


@pytest.mark.req_09
@pytest.mark.parametrize("counted", [0, 4, 1000])
def test_a_429_is_waited_out_whatever_the_attempts_say(counted: int) -> None:
    assert verdict(status(429), counted=counted) == Wait(0.0), "the limiter does the waiting"


@pytest.mark.req_09
def test_a_429_takes_nothing_from_the_budget() -> None:
    def never() -> float:
        raise AssertionError("asked the budget")

    verdict(status(429), take_retry=never)
    verdict(status(404), take_retry=never)
    verdict(status(500), counted=4, take_retry=never)


@pytest.mark.req_09
@pytest.mark.parametrize(("counted", "bound"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 8.0), (60, 8.0)])
@pytest.mark.parametrize("jitter", [0.0, 0.25, 0.999])
def test_full_jitter(counted: int, bound: float, jitter: float) -> None:
    said = verdict(status(500), counted=counted, jitter=jitter, policy=RetryPolicy(attempts=100))

    assert said == Wait(pytest.approx(bound * jitter))


@pytest.mark.req_09
def test_the_budget_may_make_it_later_but_never_earlier() -> None:
    assert verdict(status(500), jitter=0.5, take_retry=lambda: 3.0) == Wait(3.0)
    assert verdict(status(500), jitter=0.5, take_retry=lambda: 0.1) == Wait(0.25)
    assert isinstance(verdict(status(500), take_retry=lambda: None), GiveUp)


@pytest.mark.req_11
@pytest.mark.parametrize(
    ("time_left", "waits"), [(0.26, True), (0.25, False), (0.0, False), (-1.0, False), (float("inf"), True)]
)
def test_a_wait_that_does_not_fit_the_deadline_is_none(time_left: float, waits: bool) -> None:
    assert isinstance(verdict(status(500), time_left=time_left), Wait) is waits


@pytest.mark.req_09
def test_statuses_are_a_setting() -> None:
    policy = RetryPolicy(statuses=frozenset({599}))

    assert isinstance(verdict(status(599), policy=policy), Wait)
    assert isinstance(verdict(status(500), policy=policy), GiveUp)


def test_many_attempts_do_not_overflow() -> None:
    assert verdict(status(500), counted=1100, policy=RetryPolicy(attempts=2000), jitter=0.5) == Wait(4.0)


# --- the last word ---


@pytest.mark.req_01
@pytest.mark.req_24
@pytest.mark.parametrize(
    "failure", [DisconnectedError("reset"), AttemptTimeoutError("slow"), status(500), status(502), status(504)]
)
def test_what_may_have_been_carried_out_says_so(failure: WavixError) -> None:
    failure.status, failure.request_id, failure.code = 502, "req-1", "c"
    said = verdict(failure, operation=UNSAFE)

    assert isinstance(said, GiveUp)
    assert type(said.error) is OutcomeUnknownError
    assert "may have been carried out" in str(said.error)
    assert failure.message in str(said.error)
    assert said.error.__cause__ is failure
    assert (said.error.status, said.error.request_id, said.error.code) == (502, "req-1", "c")
    assert (said.error.outcome, said.error.retryable) == ("unknown", False)


@pytest.mark.req_01
@pytest.mark.parametrize("failure", [status(404), status(429), ConnectError("refused"), InputError("x")])
def test_what_was_not_carried_out_is_reported_as_such(failure: WavixError) -> None:
    said = verdict(failure, operation=UNSAFE, policy=RetryPolicy.none())

    assert isinstance(said, GiveUp)
    assert said.error is failure


@pytest.mark.req_24
@pytest.mark.parametrize("failure", [DisconnectedError("reset"), status(500), DecodeError("x", retryable=True)])
def test_a_repeatable_call_tells_the_failure_itself(failure: WavixError) -> None:
    said = verdict(failure, counted=4)

    assert isinstance(said, GiveUp)
    assert said.error is failure


@pytest.mark.req_01
@pytest.mark.req_02
@pytest.mark.req_09
@given(
    failure=st.sampled_from(
        [ConnectError, DisconnectedError, AttemptTimeoutError, DecodeError, ServerError, RateLimitError, NotFoundError]
    ),
    code=st.sampled_from([None, 200, 404, 408, 429, 500, 503]),
    outcome=st.sampled_from([None, "not_sent", "rejected", "unknown"]),
    counted=st.integers(1, 20),
    jitter=st.floats(0, 1, exclude_max=True),
    time_left=st.floats(-10, 1000),
    queue=st.none() | st.floats(0, 8),
    attempts=st.integers(1, 20),
)
@quick
def test_any_decision_keeps_the_promises(
    failure: type[WavixError],
    code: int | None,
    outcome: Any,
    counted: int,
    jitter: float,
    time_left: float,
    queue: float | None,
    attempts: int,
) -> None:
    error = failure("x", status=code, outcome=outcome)
    policy = RetryPolicy(attempts=attempts)
    said = decide(UNSAFE, policy, error, counted=counted, jitter=jitter, time_left=time_left, take_retry=lambda: queue)
    if isinstance(said, GiveUp):
        assert said.error is error or type(said.error) is OutcomeUnknownError
        assert said.error.outcome == error.outcome
        return
    refused = code == 429 and failure is RateLimitError
    assert refused or error.outcome == "not_sent", "a purchase was sent again that may have been carried out"
    assert attempts > 1
    assert refused or counted < attempts
    assert refused or 0 <= said.seconds < time_left
    assert said.seconds <= policy.max_backoff


# --- the budget ---


@pytest.mark.req_09
@pytest.mark.req_11
def test_a_wait_that_does_not_fit_the_deadline_takes_nothing_from_the_budget() -> None:
    def never() -> float:
        raise AssertionError("asked the budget")

    said = verdict(status(500), jitter=0.5, time_left=0.25, take_retry=never)
    assert isinstance(said, GiveUp)

    budget = RetryBudget(RetryPolicy(budget_per_second=1, budget_ratio=0, max_backoff=8))
    assert [budget.take(0.0, 0.5) for _ in range(5)] == [0.0, None, None, None, None]
    assert budget.take(0.0, 1.5) == 1.0
    assert budget.take(0.0) == 2.0


@pytest.mark.req_09
@pytest.mark.req_11
def test_calls_without_time_to_repeat_leave_the_budget_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)

    async def main() -> None:
        session = StubSession(lambda _: Reply(500), latency=0.01)
        client = WavixClient(
            "key",
            base_url="http://127.0.0.1:1",
            session=session,  # type: ignore[arg-type]
            retry=RetryPolicy(attempts=2, max_backoff=2, budget_per_second=1, budget_ratio=0),
        )
        for _ in range(20):
            with pytest.raises(WavixError):
                await client.with_options(deadline=0.0101).numbers.get(1)
        before = session.requests
        with pytest.raises(ServerError) as caught:
            await client.numbers.get(1)
        assert session.requests == before + 2
        assert caught.value.elapsed < 1

    run_virtual(main())


# --- a deadline that is past ---


@pytest.mark.req_11
def test_the_clock_of_a_call_starts_when_it_is_awaited() -> None:
    async def main() -> None:
        session = StubSession(lambda _: Reply(body={"success": True}), latency=0.5)
        client = WavixClient("key", base_url="http://127.0.0.1:1", session=session)  # type: ignore[arg-type]
        call = client.with_options(deadline=1).call(UNSAFE)
        await asyncio.sleep(2)
        assert (await call).success
        failing = client.with_options(deadline=1).call(GET, path={"id": 1})
        session.answer(lambda _: Reply(404, {}))
        await asyncio.sleep(2)
        with pytest.raises(NotFoundError) as caught:
            await failing
        assert caught.value.elapsed == 0.5

    run_virtual(main())


@pytest.mark.req_01
@pytest.mark.req_11
@pytest.mark.parametrize("waits_for", ["the rate", "its backoff"])
def test_what_wakes_after_its_deadline_is_not_sent(waits_for: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each timer is 20 ms late: the wait ends within the deadline, and the caller wakes after it."""
    monkeypatch.setattr(random, "random", lambda: 0.99)
    refused = aiohttp.ClientConnectorError(None, OSError(111, "refused"))  # type: ignore[arg-type]

    async def main() -> None:
        semaphore, session = asyncio.Semaphore(1), StubSession(lambda _: Reply(body={"success": True}))
        client = WavixClient(
            "key",
            base_url="http://127.0.0.1:1",
            session=session,  # type: ignore[arg-type]
            rate=1 if waits_for == "the rate" else None,
            retry=RetryPolicy(backoff=1),
        ).with_options(semaphore=semaphore)
        if waits_for == "the rate":
            await client.call(UNSAFE)
        else:
            session.answer(lambda _: Reply(error=refused, applied=False))
        with pytest.raises(DeadlineExceededError, match="before it could be sent") as caught:
            await client.with_options(deadline=1.005).call(UNSAFE)
        assert (caught.value.outcome, caught.value.attempts, session.requests) == ("not_sent", 0, 1)
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
        assert not semaphore.locked()

    run_virtual(main(), late=lambda: 0.02)


# --- more of the budget ---


@pytest.mark.req_09
def test_a_fresh_budget_allows_a_second_of_retries_at_once() -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=10, budget_ratio=0, max_backoff=0))

    assert [budget.take(0.0) for _ in range(11)] == [0.0] * 10 + [None]


@pytest.mark.req_09
def test_it_refills_with_time_and_with_requests() -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=10, budget_ratio=0.5, max_backoff=0))
    while budget.take(0.0) is not None:
        pass

    assert [budget.take(0.2), budget.take(0.2), budget.take(0.2)] == [0.0, 0.0, None]
    for _ in range(4):
        budget.request()
    assert [budget.take(0.2), budget.take(0.2), budget.take(0.2)] == [0.0, 0.0, None]


@pytest.mark.req_09
def test_beyond_it_retries_queue_until_the_queue_is_too_long() -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=10, budget_ratio=0, max_backoff=1))
    waits = [budget.take(0.0) for _ in range(21)]

    assert waits[:10] == [0.0] * 10
    assert waits[10:20] == [pytest.approx(i / 10) for i in range(1, 11)]
    assert waits[20] is None


@pytest.mark.req_09
def test_a_refused_retry_costs_nothing() -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=1, budget_ratio=0, max_backoff=0))
    budget.take(0.0)
    assert [budget.take(0.0) for _ in range(50)] == [None] * 50
    assert budget.take(1.0) == 0.0


@pytest.mark.req_09
def test_it_does_not_save_up_for_ever() -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=10, budget_ratio=0.2, max_backoff=0))
    budget.take(0.0)
    for _ in range(100_000):
        budget.request()

    allowed = 0
    while budget.take(1e6) is not None:
        allowed += 1
    assert allowed <= 100


@pytest.mark.req_09
def test_a_clock_that_jumps_back_does_no_harm() -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=1, budget_ratio=0, max_backoff=0))

    assert budget.take(1000.0) == 0.0
    assert budget.take(0.0) is None
    assert budget.take(1.0) == 0.0


@pytest.mark.req_09
def test_no_budget_at_all() -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=0, budget_ratio=0))

    assert [budget.take(float(i)) for i in range(3)] == [0.0, None, None]


@pytest.mark.req_09
@given(
    st.floats(0, 50),
    st.floats(0, 1),
    st.floats(0, 8),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 30), st.integers(0, 30)), max_size=20),
)
@quick
def test_any_schedule_stays_within_the_budget(
    per_second: float, ratio: float, longest: float, schedule: list[tuple[float, int, int]]
) -> None:
    budget = RetryBudget(RetryPolicy(budget_per_second=per_second, budget_ratio=ratio, max_backoff=longest))
    now, requests, retries, due = 0.0, 0, 0, []
    for step, new, failed in schedule:
        now += step
        for _ in range(new):
            budget.request()
        requests += new
        for _ in range(failed):
            wait = budget.take(now)
            if wait is not None:
                assert 0 <= wait <= longest
                retries += 1
                due.append(now + wait)
    last = max(due, default=0.0)
    assert retries <= max(per_second, 1) + requests * ratio + max(last, now) * per_second + 1e-6


# --- carrying it out ---


class Script:
    """An attempt that fails as written, and a sleep that only notes down."""

    def __init__(self, *outcomes: BaseException | str) -> None:
        self.outcomes = list(outcomes)
        self.slept: list[float] = []
        self.tried = 0

    async def attempt(self) -> str:
        self.tried += 1
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_repeat_until_it_works() -> None:
    script = Script(status(500), status(503), "done")

    assert await repeat(script.attempt, DisconnectedError("first"), lambda _: Wait(1.5), script.sleep) == "done"
    assert (script.tried, script.slept) == (3, [1.5, 1.5, 1.5])


async def test_repeat_raises_the_error_of_the_last_decision() -> None:
    script = Script(last := status(500))
    said = [Wait(0.0)]

    with pytest.raises(OutcomeUnknownError) as caught:
        await repeat(
            script.attempt,
            DisconnectedError("first"),
            lambda error: said.pop() if said else GiveUp(OutcomeUnknownError(f"after {error}")),
            script.sleep,
        )
    assert str(caught.value) == "after HTTP 500"
    assert caught.value.__cause__ is last


async def test_repeat_gives_up_at_once() -> None:
    first = DisconnectedError("first")
    script = Script()

    with pytest.raises(DisconnectedError) as caught:
        await repeat(script.attempt, first, GiveUp, script.sleep)
    assert caught.value is first
    assert (script.tried, script.slept) == (0, [])


@pytest.mark.parametrize("kind", [KeyError, KeyboardInterrupt, GeneratorExit])
async def test_repeat_leaves_what_is_not_ours_alone(kind: type[BaseException]) -> None:
    script = Script(kind("x"), "never")

    with pytest.raises(kind):
        await repeat(script.attempt, ConnectError("first"), lambda _: Wait(0.0), script.sleep)
    assert script.tried == 1


# --- through a client, in virtual time ---


def client_of(session: StubSession, **options: Any) -> WavixClient:
    return WavixClient("key", base_url="http://127.0.0.1:1", session=session, **options)  # type: ignore[arg-type]


@pytest.mark.req_09
@pytest.mark.parametrize("operation", [GET, BUY], ids=lambda operation: operation.method)
def test_a_429_is_waited_out_until_the_deadline_and_no_longer(operation: Operation[Any]) -> None:
    async def main() -> None:
        session = StubSession(lambda _: Reply(429, headers={"Retry-After": "2"}))
        client = client_of(session, timeout=Timeouts(deadline=21), retry=RetryPolicy(attempts=2))
        with pytest.raises(RateLimitError) as caught:
            await asyncio.wait_for(client.call(operation, path={"id": 1}), 100)
        assert session.requests == caught.value.attempts >= 8
        assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(session.times))
        # The next wait would not fit, so that the call does not wait for the rest.
        assert 18 <= caught.value.elapsed == asyncio.get_running_loop().time() <= 20
        assert caught.value.retry_after is not None
        assert caught.value.elapsed + caught.value.retry_after > 21

    run_virtual(main())


@pytest.mark.req_09
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "86400"},
        {"Retry-After": "86400", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "86400"},
    ],
    ids=["an order", "and what is left"],
)
def test_a_refusal_for_the_day_neither_waits_nor_makes_others_wait(headers: dict[str, str]) -> None:
    async def main() -> None:
        refusals = {"/v1/nudges": Reply(429, headers=headers)}
        session = StubSession(lambda seen: refusals.get(seen.path, Reply()))
        client = client_of(session)
        with pytest.raises(RateLimitError) as caught:
            await client.call(NUDGE)
        assert (caught.value.retry_after, caught.value.outcome, caught.value.attempts) == (86_400, "rejected", 1)
        await client.call(GET, path={"id": 1})
        assert (asyncio.get_running_loop().time(), session.requests) == (0, 2)

    run_virtual(main())


@pytest.mark.req_09
def test_backoffs_are_spread_over_the_whole_of_what_is_allowed() -> None:
    """Full jitter: half a second, one, two, each drawn from nought up; a herd would come back as one."""
    random.seed(9)
    waits: dict[int, list[float]] = {1: [], 2: [], 3: []}
    session = StubSession(lambda _: Reply(503))

    def note(event: object) -> None:
        if isinstance(event, RetryEvent):
            waits[event.attempt].append(event.wait)

    async def main() -> None:
        client = client_of(session, retry=RetryPolicy(budget_per_second=1e6), observers=[note])
        ends = await asyncio.gather(
            *(client.call(GET, path={"id": number}) for number in range(1, 401)), return_exceptions=True
        )
        assert all(isinstance(end, ServerError) and end.attempts == 4 for end in ends)

    run_virtual(main())
    assert session.requests == 1600
    for attempt, drawn in waits.items():
        bound = 0.5 * 2 ** (attempt - 1)
        assert len(drawn) == 400
        assert 0 <= min(drawn) < 0.02 * bound
        assert 0.98 * bound < max(drawn) < bound
        tenths = Counter(int(10 * wait / bound) for wait in drawn)
        assert all(tenths[tenth] >= 20 for tenth in range(10))


@pytest.mark.req_09
def test_an_outage_costs_little_traffic_and_is_over_when_it_is_over() -> None:
    """While 150 calls a second all fail, they cost at most 1.3 requests per call after warm-up."""
    outage, end, per_second = 20.0, 25.0, 150
    warm, failed_late = 5.0, 0
    calls: Counter[bool] = Counter()
    requests: Counter[bool] = Counter()

    def answer(seen: Seen) -> Reply:
        requests[warm <= seen.at < outage] += 1
        return Reply(503) if seen.at < outage else Reply()

    async def one(client: WavixClient, number: int) -> None:
        nonlocal failed_late
        try:
            await client.call(GET, path={"id": number})
        except ServerError:
            failed_late += asyncio.get_running_loop().time() > outage + 1

    async def main() -> None:
        loop = asyncio.get_running_loop()
        client = client_of(StubSession(answer, latency=0.05))
        async with asyncio.TaskGroup() as group:
            for number in range(1, int(end * per_second)):
                calls[warm <= loop.time() < outage] += 1
                group.create_task(one(client, number))
                await asyncio.sleep(1 / per_second)

    random.seed(10)
    run_virtual(main())
    assert calls[True] > 2200
    # There are retries nevertheless: the budget is no switch.
    assert 1.1 <= requests[True] / calls[True] <= 1.3
    assert failed_late == 0


@pytest.mark.req_08
def test_a_backoff_holds_no_connection() -> None:
    """With 10 connections, and a tenth of calls failing for two seconds, they take at most 1.15 times the ideal."""
    latency, count = 0.05, 2000
    began: dict[int, float] = {}

    def answer(seen: Seen) -> Reply:
        # One in eight of the first four fifths, so that the end waits for no backoff.
        failing = seen.id % 8 == 0 and seen.id <= 0.8 * count
        return Reply(503) if failing and seen.at < began.setdefault(seen.id, seen.at) + 2 else Reply()

    async def main() -> None:
        session = StubSession(answer, latency=latency)
        policy = RetryPolicy(attempts=20, max_backoff=1, budget_per_second=1e6)
        client = client_of(session, retry=policy, max_connections=10)
        await asyncio.gather(*(client.call(GET, path={"id": number}) for number in range(1, count + 1)))
        assert session.statuses[503] >= count / 10
        assert session.peak == 10
        assert asyncio.get_running_loop().time() <= 1.15 * session.requests * latency / 10

    random.seed(8)
    run_virtual(main())


@pytest.mark.req_08
@pytest.mark.parametrize("wait", ["backoff", "pause", "rate"])
def test_a_waiting_call_keeps_no_other_from_the_only_connection(wait: str) -> None:
    """One connection, twenty calls that wait, and calls of another limit group that have it for themselves."""
    others = Operation("GET", "/v1/numbers/{id}", Number, limit_group="others")

    def answer(seen: Seen) -> Reply:
        if seen.id >= 100 or wait == "rate":
            return Reply()
        return Reply(503) if wait == "backoff" else Reply(429, headers={"Retry-After": "60"})

    async def main() -> None:
        session = StubSession(answer, latency=0.01)
        policy = RetryPolicy(backoff=1000, max_backoff=1000, budget_per_second=1e6)
        client = client_of(session, retry=policy, max_connections=1, rate=0.1 if wait == "rate" else None)
        waiting = [asyncio.ensure_future(client.call(GET, path={"id": number})) for number in range(1, 21)]
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(100, 103 if wait != "rate" else 101):
            await client.call(others, path={"id": number})
        assert loop.time() - began <= 0.05
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)

    random.seed(7)
    run_virtual(main())


@pytest.mark.req_11
@pytest.mark.parametrize("queue", ["connection", "semaphore", "rate", "pause"])
def test_an_attempt_begins_when_its_turn_has_come(queue: str) -> None:
    """Twenty calls wait in line for seconds, each with 0.3 s for its attempt, and none of them times out."""

    async def main() -> None:
        refusals = iter([Reply(429, headers={"Retry-After": "3"})] * (queue == "pause"))
        session = StubSession(lambda _: next(refusals, Reply()), latency=0.2)
        client = client_of(
            session,
            timeout=0.3,
            retry=RetryPolicy(attempts=2) if queue == "pause" else RetryPolicy.none(),
            max_connections=1 if queue == "connection" else 100,
            rate=5 if queue == "rate" else None,
        )
        if queue == "semaphore":
            client = client.with_options(semaphore=asyncio.Semaphore(1))
        await asyncio.gather(*(client.call(GET, path={"id": number}) for number in range(1, 21)))
        assert session.requests == 20 + (queue == "pause")
        assert asyncio.get_running_loop().time() > 3

    run_virtual(main())


@pytest.mark.req_01
@pytest.mark.parametrize("bound", ["attempt", "deadline"])
@pytest.mark.parametrize("before", [0, 1, 3], ids="after {} refusals".format)
def test_what_time_ran_out_for_may_have_been_carried_out(bound: str, before: int) -> None:
    """Whichever clock ends it; refusals before it were refusals, and the one request after them is not sent again."""

    async def main() -> None:
        refusals = iter([Reply(429, headers={"Retry-After": "0.5"})] * before)
        session = StubSession(lambda _: next(refusals, Reply(before=1000)))
        client = client_of(session, timeout=Timeouts(**{bound: 5}))
        with pytest.raises(OutcomeUnknownError, match="may have been carried out") as caught:
            await client.call(BUY, path={"id": 1})
        assert (caught.value.outcome, caught.value.retryable) == ("unknown", False)
        assert caught.value.attempts == session.requests == before + 1
        await asyncio.sleep(1000)
        assert session.requests == before + 1

    run_virtual(main())


@pytest.mark.req_01
@pytest.mark.req_03
def test_a_purchase_that_never_left_is_sent_again_until_it_may_have_left() -> None:
    async def main() -> None:
        never = aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        replies = iter([Reply(error=never, applied=False)] * 2 + [Reply(error=aiohttp.ServerDisconnectedError())])
        session = StubSession(lambda _: next(replies))
        with pytest.raises(OutcomeUnknownError) as caught:
            await client_of(session).call(BUY, path={"id": 1})
        assert session.requests == 3
        assert caught.value.attempts == 1, "two of them were never on the wire"
        assert isinstance(caught.value.__cause__, DisconnectedError)

    run_virtual(main())


@pytest.mark.parametrize("failure", [DisconnectedError("gone"), status(500), status(503), AttemptTimeoutError("late")])
def test_what_may_be_there_is_not_repeated_where_the_policy_says_so(failure: WavixError) -> None:
    policy = RetryPolicy(repeat_unknown=False)
    assert isinstance(verdict(failure, policy=policy), GiveUp)
    # To read once more changes nothing.
    assert isinstance(verdict(failure, policy=policy, operation=GET), Wait)


@pytest.mark.parametrize("failure", [ConnectError("refused"), status(429), status(503, retry_after=1.0)])
def test_what_was_not_carried_out_is_repeated_nevertheless(failure: WavixError) -> None:
    assert isinstance(verdict(failure, policy=RetryPolicy(repeat_unknown=False)), Wait)


# --- why it was not repeated ---


def error_of(client: WavixClient, operation: Operation[Any] = GET) -> WavixError:
    async def main() -> WavixError:
        with pytest.raises(WavixError) as caught:
            await client.call(operation, path={"id": 7})
        return caught.value

    return run_virtual(main())


def failing(*replies: Reply, **policy: Any) -> WavixClient:
    """A client whose requests fail like this, the last reply again and again."""
    left = list(replies or [Reply(500)])
    session = StubSession(lambda _: left.pop(0) if len(left) > 1 else left[0], latency=0.01)
    return client_of(session, retry=RetryPolicy(**{"budget_per_second": 1e6, **policy}))


REFUSED = Reply(error=aiohttp.ClientConnectorError(None, OSError("refused")), applied=False)  # type: ignore[arg-type]
LOST = Reply(error=aiohttp.ServerDisconnectedError())
DAILY = Operation("POST", "/v1/nudges/{id}", Success, fail_fast_on_429=True)
PER_NUMBER = Operation("POST", "/v1/nudges/{id}", Success, fail_fast_codes=["47"])
NO_BUDGET = {"budget_ratio": 0, "budget_per_second": 0}


@pytest.mark.req_09
@pytest.mark.req_24
@pytest.mark.parametrize(
    ("client", "operation", "reason", "attempts"),
    [
        (failing(), GET, "4 attempts failed", 4),
        (failing(LOST), GET, "4 attempts failed", 4),
        (failing(Reply(404, b"<p>")), GET, "4 attempts failed", 4),
        (failing(Reply(429, headers={"Retry-After": "1"}), Reply(500)), GET, "4 attempts failed", 5),
        (failing(attempts=2), SAFE, "2 attempts failed", 2),
        (failing(REFUSED), BUY, "4 attempts failed", 0),
        (failing(attempts=1), GET, "RetryPolicy.attempts is 1", 1),
        (failing(Reply(429), attempts=1), BUY, "RetryPolicy.attempts is 1", 1),
        (failing(**NO_BUDGET), GET, "retry budget is used up", 2),
        (failing(LOST, **NO_BUDGET), SAFE, "retry budget is used up", 2),
        (failing(REFUSED, **NO_BUDGET), BUY, "retry budget is used up", 0),
        (failing(backoff=1e9, max_backoff=1e9), GET, "deadline", 1),
        (failing(statuses={503}), GET, "RetryPolicy.statuses allows no retry after a 500", 1),
        (failing(repeat_unknown=False), SAFE, "RetryPolicy.repeat_unknown is False", 1),
        (failing(LOST, repeat_unknown=False), SAFE, "RetryPolicy.repeat_unknown is False", 1),
        (failing(Reply(429)), DAILY, "quota is used up", 1),
        (failing(Reply(429, {"error_code": "47"})), PER_NUMBER, "quota is used up", 1),
    ],
)
def test_an_error_says_why_its_call_was_not_repeated(
    client: WavixClient, operation: Operation[Any], reason: str, attempts: int
) -> None:
    error = error_of(client, operation)

    assert error.not_retried is not None
    assert error.not_retried.startswith("Not retried")
    assert reason in error.not_retried
    assert str(error).endswith(f" {error.not_retried}")
    assert error.args == (str(error),)
    assert error.attempts == attempts


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("reply", "operation"),
    [
        (Reply(404, {"message": "no"}), GET),
        (Reply(403, b"<p>"), GET),
        (Reply(302), GET),
        (Reply(500), BUY),
        (LOST, BUY),
        (Reply(404, b"<p>"), BUY),
    ],
)
def test_what_is_never_repeated_needs_no_reason(reply: Reply, operation: Operation[Any]) -> None:
    error = error_of(failing(reply, attempts=1), operation)

    assert error.not_retried is None
    assert "Not retried" not in str(error)


@pytest.mark.req_09
def test_the_last_error_of_many_says_that_the_budget_is_used_up() -> None:
    """In an outage a caller sees why a call was tried less often than the policy allows."""

    async def main() -> list[WavixError]:
        client = client_of(StubSession(lambda _: Reply(503), latency=0.01))
        calls = (client.call(GET, path={"id": number}) for number in range(1, 301))
        return [
            error for error in await asyncio.gather(*calls, return_exceptions=True) if isinstance(error, ServerError)
        ]

    errors = run_virtual(main())
    assert len(errors) == 300
    fewer = [error for error in errors if error.attempts < 4]
    assert len(fewer) > 50
    assert all("retry budget is used up" in str(error) for error in fewer)
    assert all("4 attempts failed" in str(error) for error in errors if error not in fewer)
