"""Whether to retry a failed attempt, and when: `decide` is a pure function, and `repeat` carries it out with tenacity.

A success costs nothing: the first attempt runs outside tenacity, which is set up only when that attempt has failed.
"""

from collections.abc import Awaitable, Callable
from math import inf
from typing import Any, TypeVar

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception

from wavix_async._codec import Value
from wavix_async._http.operation import Operation
from wavix_async.config import RetryPolicy
from wavix_async.errors import (
    APIError,
    ConnectError,
    DecodeError,
    OutcomeUnknownError,
    RateLimitError,
    TransportError,
    WavixError,
)

__all__ = ["GiveUp", "RetryBudget", "Wait", "decide", "is_free", "repeat"]

T = TypeVar("T")


@attrs.frozen(eq=False, repr=False)
class Wait(Value):
    """Retry after `seconds` of backoff."""

    seconds: float


@attrs.frozen(eq=False, repr=False)
class GiveUp(Value):
    """End the call with `error`."""

    error: WavixError


class RetryBudget:
    """How many retries a client may send: a share of its requests, plus a number per second.

    In an outage every request fails. Without a budget, every client would send each request four times, to a server
    that is trying to recover.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._ratio = policy.budget_ratio
        self._per_second = policy.budget_per_second
        self._most = max(policy.budget_per_second, 1.0) * 10
        self._longest = policy.max_backoff
        self._tokens = max(policy.budget_per_second, 1.0)
        self._at: float | None = None
        self._requests = 0

    def request(self) -> None:
        """Count a first attempt."""
        self._requests += 1

    def take(self, now: float, time_left: float = inf) -> float | None:
        """Take one retry, unless it would be too late to send it.

        Args:
            now: The loop's time.
            time_left: Seconds after which the retry would be useless.

        Returns:
            Seconds until the retry may be sent (0: now), or None if the wait would be longer than the longest backoff
            or would not end within the time left.
        """
        if self._at is None or now < self._at:
            self._at = now
        earned = (now - self._at) * self._per_second + self._requests * self._ratio
        self._at, self._requests = now, 0
        tokens = min(self._tokens + earned, self._most)
        if tokens >= 1:
            self._tokens = tokens - 1
            return 0.0
        wait = (1 - tokens) / self._per_second if self._per_second else float("inf")
        if wait > self._longest or wait >= time_left:
            self._tokens = tokens
            return None
        self._tokens = tokens - 1
        return wait


def decide(
    operation: Operation[Any],
    policy: RetryPolicy,
    failure: WavixError,
    *,
    counted: int,
    jitter: float,
    time_left: float,
    take_retry: Callable[[], float | None],
) -> Wait | GiveUp:
    """Decide what follows a failed attempt.

    Args:
        operation: The call.
        policy: The client's policy.
        failure: The error of the attempt.
        counted: Attempts so far that count against `policy.attempts`: all but free ones and those answered with a 429.
        jitter: A number in [0, 1).
        time_left: Seconds to the deadline of the call.
        take_retry: Takes one retry from the budget and returns the seconds until it may be sent, or None if no retry is
            available in time.

    Returns:
        `Wait` or `GiveUp`.
    """
    if policy.attempts > 1 and _may_repeat(operation, policy, failure):
        if isinstance(failure, RateLimitError) or is_free(failure):
            # The limiter has paused all callers already: a second wait here would only delay this call.
            return Wait(0.0)
        wait = _backoff(policy, counted, jitter, time_left, take_retry)
        if wait < time_left:
            return Wait(wait)
    return GiveUp(_last_word(operation, failure))


def is_free(failure: WavixError) -> bool:
    """Return whether an attempt does not count: it cost the server nothing, and the next one has a new connection."""
    return isinstance(failure, ConnectError) and failure.was_idle


def _backoff(
    policy: RetryPolicy, counted: int, jitter: float, time_left: float, take_retry: Callable[[], float | None]
) -> float:
    """Return the seconds until the next attempt; infinity means that there must be none."""
    bound: float = min(policy.max_backoff, policy.backoff * 2 ** min(counted - 1, 60))
    wait = bound * jitter
    # Take from the budget last: a retry that is taken must be sent.
    if counted >= policy.attempts or wait >= time_left or (queue := take_retry()) is None:
        return inf
    return max(wait, queue)


def _may_repeat(operation: Operation[Any], policy: RetryPolicy, failure: WavixError) -> bool:
    if isinstance(failure, RateLimitError):
        return failure.status == 429 and not operation.fail_fast_on_429
    idempotent = operation.idempotent and (policy.repeat_unknown or operation.method == "GET")
    if isinstance(failure, TransportError):
        return failure.outcome == "not_sent" or idempotent
    if isinstance(failure, DecodeError):
        return failure.retryable and idempotent
    if isinstance(failure, APIError) and failure.status in policy.statuses:
        refused = failure.status == 503 and failure.retry_after is not None
        return idempotent or refused
    return False


def _last_word(operation: Operation[Any], failure: WavixError) -> WavixError:
    """Return the error for the caller; it says so if the call may have been carried out and must not be repeated."""
    if operation.idempotent or failure.outcome != "unknown" or isinstance(failure, OutcomeUnknownError):
        return failure
    if isinstance(failure, DecodeError) and failure.paths:
        # The API reported success; only the form of its answer was not as documented.
        return failure
    error = OutcomeUnknownError(
        f"{operation.name} was sent and may have been carried out: {failure.message} "
        "It is not safe to repeat: check the account before you send it again.",
        status=failure.status,
        code=failure.code,
        request_id=failure.request_id,
        date=failure.date,
        retry_after=failure.retry_after,
        reason=failure.reason,
        details=failure.details,
    )
    error.__cause__ = failure
    return error


async def repeat(
    attempt: Callable[[], Awaitable[T]],
    first: WavixError,
    decide_next: Callable[[WavixError], Wait | GiveUp],
    sleep: Callable[[float], Awaitable[None]],
) -> T:
    """Retry an attempt that has failed once, as often as `decide_next` says.

    Args:
        attempt: Sends the request once.
        first: The error of the first attempt.
        decide_next: Decides what follows each failure.
        sleep: Waits for a backoff.

    Returns:
        The result of the attempt.

    Raises:
        WavixError: The error of the last decision.
    """
    verdict: Wait | GiveUp = Wait(0.0)
    pending: WavixError | None = first
    # An error and a frame that refer to each other stay in memory until the garbage collector runs, with the answer.
    del first

    async def next_attempt() -> T:
        nonlocal pending
        if pending is not None:
            failure, pending = pending, None
            try:
                raise failure
            finally:
                del failure
        return await attempt()

    def should_repeat(error: BaseException) -> bool:
        nonlocal verdict
        if not isinstance(error, WavixError):
            return False
        verdict = decide_next(error)
        return isinstance(verdict, Wait)

    def backoff(_: RetryCallState) -> float:
        return verdict.seconds if isinstance(verdict, Wait) else 0.0

    retrying = AsyncRetrying(retry=retry_if_exception(should_repeat), wait=backoff, sleep=sleep, reraise=True)
    try:
        return await retrying(next_attempt)
    except WavixError as error:
        if isinstance(verdict, GiveUp) and verdict.error is not error:
            raise verdict.error from error
        raise
    finally:
        # The verdict refers to the error, whose traceback refers to this frame: break the cycle.
        verdict = Wait(0.0)
