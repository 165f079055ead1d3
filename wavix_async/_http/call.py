"""One call in progress: take a turn, take a slot, send, read, and start again when that is safe.

This is the middle of the path of a request; `client.py` starts it, everything it uses lies below it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Iterable
from typing import Generic, TypeAlias, TypeVar, cast

import attrs

from wavix_async import _codec
from wavix_async._http import retry as _retry
from wavix_async._http.operation import Operation
from wavix_async._http.response import Request, Response, error_context, read_response
from wavix_async._http.state import CallOptions, ClientState
from wavix_async._instrumentation.events import AttemptEvent, AttemptStart, DriftEvent, RetryEvent
from wavix_async._ratelimit.headers import rate_hint, wait_told
from wavix_async._ratelimit.limiter import WaitTooLong
from wavix_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DisconnectedError,
    NotFoundError,
    RateLimitError,
    StoppedError,
    WavixError,
)
from wavix_async.models.common import Success

__all__ = ["SAME_EVERY_TIME", "Call"]

T = TypeVar("T")
W = TypeVar("W")

_FOREVER = float("inf")
_FRESH = 0.1
# Refusals that depend on the request alone: an earlier attempt cannot have been carried out either.
SAME_EVERY_TIME = frozenset({400, 404, 413, 422})


# What a request holds while it is on the wire, and at no other time.
Places: TypeAlias = tuple[asyncio.Semaphore, ...]


def _one_is_full(places: Places) -> bool:
    for place in places:  # noqa: SIM110 - a generator costs more than all of them
        if place.locked():
            return True
    return False


def _leave(places: Iterable[asyncio.Semaphore]) -> None:
    for place in places:
        place.release()


class Call(Generic[T]):
    """One call of one operation, over all its attempts."""

    __slots__ = (
        "_ambiguous",
        "_counted",
        "_deadline",
        "_fresh",
        "_limiter",
        "_operation",
        "_options",
        "_place",
        "_refused",
        "_request",
        "_shared",
        "_started",
        "_time",
        "_too_late",
        "_tries",
        "attempts",
    )

    def __init__(self, shared: ClientState, options: CallOptions, operation: Operation[T], request: Request) -> None:
        self._shared = shared
        self._options = options
        self._operation = operation
        self._request = request
        self._limiter = shared.limiter(operation.limit_group)
        self._ambiguous = False
        self._fresh = False
        self._counted = 0
        self._tries = 0
        self._too_late = False
        self._refused = False
        self.attempts = 0

    async def run(self) -> T:
        """Make the call.

        Returns:
            What the operation answers.

        Raises:
            WavixError: The call failed for good.
        """
        # The clock starts now: who makes the coroutine may await it much later.
        shared = self._shared
        loop = asyncio.get_running_loop()
        self._time = shared.clock.of(loop)
        self._started = self._time()
        deadline = self._options.timeouts.deadline
        self._deadline = _FOREVER if deadline is None else self._started + deadline
        under_way = shared.begin_call(loop)
        # Kept over all attempts: who is refused, or fails, does not go to the end of the queue.
        self._place = self._limiter.join_queue()
        try:
            try:
                return await self._attempt()
            except WavixError as error:
                first = error
            try:
                return await _retry.repeat(self._attempt, first, self._decide, self._back_off)
            except NotFoundError:
                if self._ambiguous and self._operation.not_found_is_success:
                    return cast("T", Success(success=True, already_gone=True))
                raise
            finally:
                # An error knows the frames that it went through, and they the answer: who keeps it keeps all of them.
                del first
        finally:
            under_way.end()

    async def _attempt(self) -> T:
        """Take a turn and a slot, send the request once, and read the answer."""
        transport, options = self._shared.transport, self._options
        places = (*options.semaphores, transport.slots())
        try:
            transport.check_open()
            if options.stop is not None:
                options.stop.check()
            ticket = None if _one_is_full(places) else self._limiter.try_acquire()
            if ticket is None:
                ticket = await self._wait(self._queue(places))
            else:
                for place in places:
                    await place.acquire()
            began = self._time()
            if began >= self._deadline:
                raise self._too_late_to_send(ticket, places)
            self.attempts += 1
            self._tries += 1
            if not options.observers.trace_attempts:
                return await self._exchange(ticket, places, began)
            return await self._traced(ticket, places, began)
        except WavixError as error:
            raise self._with_facts(error) from error.__cause__

    async def _traced(self, ticket: float, places: Places, began: float) -> T:
        """Make the exchange inside of what the observers put around it."""
        start = AttemptStart(operation=self._operation.name, attempt=self._tries, url=self._request.url)
        entered = False
        try:
            with self._options.observers.around_attempt(start):
                entered = True
                return await self._exchange(ticket, places, began)
        finally:
            if not entered:
                _leave(places)
                self._limiter.refund(ticket)

    async def _exchange(self, ticket: float, places: Places, began: float) -> T:
        """Send the request, and read its answer."""
        transport, options = self._shared.transport, self._options
        try:
            until = min(began + options.timeouts.attempt, self._deadline) - self._shared.clock.skipped
            response = await transport.send(self._request, until, options.timeouts.connect, fresh=self._fresh)
        except BaseException as error:
            self._no_answer(ticket, began, error)
            raise
        finally:
            _leave(places)
        self._judge_rate(ticket, response)
        try:
            value = self._read(response)
        except WavixError as error:
            options.observers.notify(self._attempt_event(began, response.status, error, error.outcome))
            raise
        if options.observers.want_success():
            options.observers.notify_success(self._attempt_event(began, response.status))
        return value

    def _too_late_to_send(self, ticket: float, places: Places) -> DeadlineExceededError:
        _leave(places)
        self._limiter.refund(ticket)
        return DeadlineExceededError(
            f"{self._operation.name} reached its deadline before it could be sent.", outcome="not_sent"
        )

    def _no_answer(self, ticket: float, began: float, error: BaseException) -> None:
        self._limiter.no_answer(ticket)
        outcome = error.outcome if isinstance(error, WavixError) else "unknown"
        if outcome == "not_sent":
            self.attempts -= 1
        self._fresh = isinstance(error, ConnectError | DisconnectedError)
        self._options.observers.notify(self._attempt_event(began, None, error, outcome))

    async def _queue(self, places: Places) -> float:
        """Wait for a turn and then for a place; nobody holds a place, or a connection, while waiting for the rate."""
        place = self._place
        while True:
            ticket = await self._turn(place)
            await self._wait_for_places(ticket, places)
            if self._time() - ticket < _FRESH and not self._limiter.is_paused():
                return ticket
            # The API said "not now" meanwhile, or turns were hoarded, which must not be spent all at once.
            renewed = self._limiter.renew(ticket, place)
            if renewed is not None:
                return renewed
            _leave(places)

    def _wait(self, wait: Awaitable[W]) -> Awaitable[W]:
        """Return a wait that ends when the client is closed, or the caller stops its calls."""
        closing, stop = self._shared.closing, self._options.stop
        return closing.end(wait) if stop is None else stop.end(wait, closing)

    async def _back_off(self, seconds: float) -> None:
        try:
            await self._wait(self._shared.clock.sleep(seconds))
        except (StoppedError, ClientClosedError) as stopped:
            if self._ambiguous:
                sent = "Ended before it could be repeated; an attempt may have been carried out."
                raise self._with_facts(type(stopped)(sent)) from None
            raise self._with_facts(stopped) from None

    async def _turn(self, place: int) -> float:
        try:
            return await self._limiter.acquire(self._deadline, place)
        except WaitTooLong as late:
            self._too_late = True
            why = "the API said so" if late.paused else "the rate allows no earlier turn"
            raise RateLimitError(
                f"{self._operation.name} would have to wait {late.wait:.1f} s ({why}), more than its deadline allows. "
                "Retry later, or give it a longer deadline.",
                status=429 if self._refused else None,
                retry_after=late.wait,
                outcome="rejected" if self._refused else "not_sent",
            ) from None

    async def _wait_for_places(self, ticket: float, places: Places) -> None:
        taken: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(None if self._deadline == _FOREVER else self._deadline - self._time()):
                for place in places:
                    await place.acquire()
                    taken.append(place)
        except BaseException as error:
            _leave(taken)
            self._limiter.refund(ticket)
            if isinstance(error, TimeoutError):
                raise DeadlineExceededError(
                    f"{self._operation.name} found no free connection before its deadline.", outcome="not_sent"
                ) from None
            raise

    def _judge_rate(self, ticket: float, response: Response) -> None:
        status, headers, now = response.status, response.headers, time.time()
        if status == 429 and self._operation.fail_fast_on_429:
            # What is left of a quota says nothing of the rate, which is what others share.
            self._limiter.accepted(ticket)
            return
        if status == 429:
            self._refused = True
            self._limiter.refused(ticket, wait_told(status, headers, now))
        else:
            self._limiter.accepted(ticket)
            if status == 503 and (wait := wait_told(status, headers, now)) is not None:
                self._limiter.pause(wait)
        hint = rate_hint(headers, now)
        if hint is not None:
            self._limiter.hint(hint)

    def _read(self, response: Response, *, hidden: bool = False) -> T:
        try:
            value, drifts = read_response(self._operation, response)
        except WavixError as error:
            failure = response if hidden else self._shared.transport.without_key(response)
            if failure is response:
                error.retry_after = wait_told(response.status, response.headers, time.time())
                self._hide_key(error)
                raise
        else:
            if drifts:
                self._report(drifts, response)
            return value
        # A server that repeats the key must not bring it into logs.
        return self._read(failure, hidden=True)

    def _hide_key(self, error: WavixError) -> None:
        hide = self._shared.transport.hide_key
        for fact in ("message", "code", "reason", "request_id"):
            setattr(error, fact, hide(getattr(error, fact)))
        error.args = (error.message,)
        try:
            error.details = hide(error.details)
        except RecursionError:
            error.details = None

    def _report(self, drifts: list[_codec.Drift], response: Response) -> None:
        if self._shared.strict:
            drifts = [self._without_key(drift) for drift in drifts]
            raise _codec.drift_error(drifts, **error_context(response))
        for drift in map(self._without_key, filter(self._shared.is_new_drift, drifts)):
            self._options.observers.notify(DriftEvent(operation=self._operation.name, drift=drift))

    def _without_key(self, drift: _codec.Drift) -> _codec.Drift:
        hide = self._shared.transport.hide_key
        return attrs.evolve(drift, field=hide(drift.field), path=hide(drift.path))

    def _decide(self, failure: WavixError) -> _retry.Wait | _retry.GiveUp:
        if self._too_late:
            return _retry.GiveUp(failure)
        if not isinstance(failure, RateLimitError) and not _retry.is_free(failure):
            self._counted += 1
        now = self._time()
        verdict = _retry.decide(
            self._operation,
            self._options.retry,
            failure,
            counted=self._counted,
            jitter=random.random(),  # noqa: S311 - spreads load, guards nothing
            time_left=self._deadline - now,
            take_retry=lambda: self._shared.budget.take(now, self._deadline - now),
        )
        if isinstance(verdict, _retry.GiveUp):
            self._with_facts(verdict.error)
        else:
            self._options.observers.notify(
                RetryEvent(
                    operation=self._operation.name,
                    attempt=self._tries,
                    wait=verdict.seconds,
                    reason=type(failure).__name__,
                    status=failure.status,
                )
            )
        return verdict

    def _with_facts(self, error: WavixError) -> WavixError:
        """Complete an error by what only the call knows, and by what its earlier attempts may have done."""
        now = self._time()
        if isinstance(error, AttemptTimeoutError) and now >= self._deadline:
            late = DeadlineExceededError(f"{self._operation.name} reached its deadline: {error.message}")
            late.__cause__, error = error.__cause__, late
        error.attempts = self.attempts
        error.elapsed = now - self._started
        if error.outcome == "unknown":
            self._ambiguous = True
        elif self._ambiguous and error.status not in SAME_EVERY_TIME:
            error.outcome = "unknown"
        elif self._refused and error.outcome == "not_sent" and not isinstance(error, ConnectError):
            error.outcome, error.status = "rejected", 429
        return error

    def _attempt_event(
        self, began: float, status: int | None, error: BaseException | None = None, outcome: str | None = None
    ) -> AttemptEvent:
        return AttemptEvent(
            operation=self._operation.name,
            attempt=self._tries,
            status=status,
            error=type(error).__name__ if error else None,
            outcome=outcome,
            duration=self._time() - began,
            request_id=getattr(error, "request_id", None),
        )
