"""Whether to retry a failed attempt, and when: `decide` is a pure function, and `repeat` carries it out with tenacity.

A success costs nothing: the first attempt runs outside tenacity, which is set up only when that attempt has failed.
"""

import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import count
from math import inf
from typing import Any, Final, TypeVar

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

__all__ = ["TOO_LATE", "GiveUp", "RetryBudget", "Wait", "decide", "is_free", "is_worth_repeating", "repeat"]

T = TypeVar("T")

_DEFAULT: Final = RetryPolicy()
TOO_LATE: Final = "Not retried: the next attempt would come after the deadline of the call."
_BY_NUMBER: Final = frozenset({408, 499})
"""Statuses below 500 that no refusal has, and that `RetryPolicy.statuses` has or lacks by their number."""


@attrs.frozen(eq=False, repr=False)
class Wait(Value):
    """Retry after `seconds` of backoff."""

    seconds: float


@attrs.frozen(eq=False, repr=False)
class GiveUp(Value):
    """End the call with `error`; `reason` says what kept a call that may be repeated from being repeated."""

    error: WavixError
    reason: str | None = None


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
        requests = count()
        self._count: Iterator[int] = requests
        self._counted = -1
        self._lock = threading.Lock()
        self.request: Callable[[], int] = requests.__next__
        """Counts a first attempt. Every call does this, from any thread, and a lock would cost more than the count."""

    def take(self, now: float, time_left: float = inf) -> float | None:
        """Take one retry, unless it would be too late to send it.

        Args:
            now: The loop's time.
            time_left: Seconds after which the retry would be useless.

        Returns:
            Seconds until the retry may be sent (0: now), or None if the wait would be longer than the longest backoff
            or would not end within the time left.
        """
        with self._lock:
            return self._take(now, time_left)

    def _take(self, now: float, time_left: float) -> float | None:
        if self._at is None or now < self._at:
            self._at = now
        counted = next(self._count)
        earned = (now - self._at) * self._per_second + (counted - self._counted - 1) * self._ratio
        self._at, self._counted = now, counted
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
    if policy.attempts == 1 or not _may_repeat(operation, policy, failure):
        return GiveUp(_last_word(operation, failure), _forbidden_by(operation, policy, failure))
    if isinstance(failure, RateLimitError) or is_free(failure):
        # The limiter has paused all callers already: a second wait here would only delay this call.
        return Wait(0.0)
    told = failure.retry_after or 0.0 if failure.status == 503 else 0.0
    if counted < policy.attempts and told >= time_left:
        # No `OutcomeUnknownError`: what may be repeated after this answer is safe to repeat later.
        return GiveUp(failure, TOO_LATE)
    wait = _backoff(policy, counted, jitter, time_left, take_retry)
    return GiveUp(_last_word(operation, failure), wait) if isinstance(wait, str) else Wait(wait)


def is_free(failure: WavixError) -> bool:
    """Return whether an attempt does not count: it cost the server nothing, and the next one has a new connection."""
    return isinstance(failure, ConnectError) and failure.was_idle


def _backoff(
    policy: RetryPolicy, counted: int, jitter: float, time_left: float, take_retry: Callable[[], float | None]
) -> float | str:
    """Return the seconds until the next attempt, or the reason why there must be none."""
    bound: float = min(policy.max_backoff, policy.backoff * 2 ** min(counted - 1, 60))
    wait = bound * jitter
    if counted >= policy.attempts:
        return f"Not retried again: {counted} attempts failed, and RetryPolicy.attempts allows no more."
    # Take from the budget last: a retry that is taken must be sent.
    queue = None if wait >= time_left else take_retry()
    if wait >= time_left or (queue is not None and queue >= time_left):
        return TOO_LATE
    if queue is None:
        return (
            "Not retried: too many calls of this client fail, and its retry budget is used up (budget_ratio and "
            "budget_per_second of RetryPolicy)."
        )
    return max(wait, queue)


def _may_repeat(operation: Operation[Any], policy: RetryPolicy, failure: WavixError) -> bool:
    if isinstance(failure, RateLimitError):
        return failure.status == 429 and not operation.is_quota(failure.code)
    idempotent = operation.idempotent and (policy.repeat_unknown or operation.method == "GET")
    if isinstance(failure, TransportError):
        return failure.outcome == "not_sent" or idempotent
    if isinstance(failure, DecodeError):
        return failure.retryable and idempotent
    if isinstance(failure, APIError):
        # A proxy may send its page, even with Retry-After, while the API is still at work.
        refused = failure.status == 503 and failure.retry_after is not None and not failure.is_page
        return (idempotent or refused) and is_worth_repeating(policy, failure)
    return False


def is_worth_repeating(policy: RetryPolicy, failure: APIError) -> bool:
    """Return whether the policy allows a retry after this answer; whether a retry is safe is another question."""
    status = failure.status
    if status is None:
        return False
    if status in policy.statuses:
        return True
    # A proxy has answered in place of the API, as with a 502. A redirect most likely means a wrong `base_url`.
    is_foreign = not failure.is_refusal and status < 500 and status not in _BY_NUMBER and not 300 <= status < 400
    return is_foreign and 502 in policy.statuses


def _forbidden_by(operation: Operation[Any], policy: RetryPolicy, failure: WavixError) -> str | None:
    """Return which setting keeps the client from a retry that the default policy allows, if one does."""
    if isinstance(failure, RateLimitError) and failure.status == 429 and operation.is_quota(failure.code):
        return "Not retried: a 429 of this operation means that its quota is used up, which does not change soon."
    if not _may_repeat(operation, _DEFAULT, failure):
        return None
    if policy.attempts == 1:
        return "Not retried: RetryPolicy.attempts is 1."
    if isinstance(failure, APIError) and not is_worth_repeating(policy, failure):
        return f"Not retried: RetryPolicy.statuses allows no retry after a {failure.status}."
    return "Not retried: RetryPolicy.repeat_unknown is False."


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
