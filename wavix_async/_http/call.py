"""One call in progress: wait for admission, send, read the answer, and retry when that is safe.

This is the middle of the path of a request. `base_client.py` starts it; `admission.py` decides when a request may
leave, `transport.py` sends it, `response.py` reads the answer, `retry.py` decides what follows a failure.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast

from yarl import URL

from wavix_async import _codec
from wavix_async._http import retry as _retry
from wavix_async._http.admission import NO_DEADLINE, Admission, Slots, leave
from wavix_async._http.failures import add_context
from wavix_async._http.headers import shown_headers, shown_url
from wavix_async._http.operation import Operation
from wavix_async._http.options import CallOptions
from wavix_async._http.receipts import Receipt, receivers
from wavix_async._http.request import Request
from wavix_async._http.response import LARGE, Response, error_context, read_large, read_request_id, read_response
from wavix_async._http.state import ClientState, LoopState
from wavix_async._instrumentation import AttemptEvent, AttemptStart, DriftEvent, RetryEvent
from wavix_async._ratelimit import wait_told
from wavix_async.errors import (
    APIError,
    AttemptTimeoutError,
    ClientClosedError,
    ConnectError,
    DeadlineExceededError,
    DecodeError,
    DisconnectedError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    StoppedError,
    WavixError,
)
from wavix_async.models.common import Success

__all__ = ["Call"]

T = TypeVar("T")


class Call(Generic[T]):
    """One call of one operation, with all its attempts."""

    __slots__ = (
        "_admission",
        "_ambiguous",
        "_answer",
        "_counted",
        "_crowded_out",
        "_deadline",
        "_failure",
        "_fresh",
        "_here",
        "_on_wire",
        "_operation",
        "_options",
        "_request",
        "_sent",
        "_started",
        "_state",
        "_time",
        "_tries",
        "_waited_for_room",
    )

    _admission: Admission
    _here: LoopState

    def __init__(self, state: ClientState, options: CallOptions, operation: Operation[T], request: Request) -> None:
        self._state = state
        self._options = options
        self._operation = operation
        self._request = request
        self._ambiguous = False  # an attempt may have been carried out
        self._fresh = False  # the next attempt opens a new connection of its own
        self._counted = 0  # attempts that count against the retry policy
        self._tries = 0  # attempts, numbered for observers
        self._sent = 0  # attempts that reached the wire
        self._crowded_out: ConnectError | None = None  # the last attempt found no descriptor for its connection
        self._waited_for_room = False
        self._failure: WavixError | None = None  # what the last attempt ended with, while the next one waits
        self._on_wire = 0.0  # seconds of the attempts that failed
        self._answer: tuple[int, Mapping[str, str]] | None = None  # status and headers of a failure, for a receipt

    async def run(self) -> T:
        """Make the call.

        Returns:
            The result of the operation.

        Raises:
            WavixError: The call failed, and will not be retried.
        """
        # The clock starts now: a caller may await the coroutine long after creating it.
        state, options = self._state, self._options
        loop = asyncio.get_running_loop()
        self._time = clock = state.clock.of(loop)
        self._started = started = clock()
        allowed = options.timeouts.deadline
        self._deadline = deadline = NO_DEADLINE if allowed is None else started + allowed
        self._here = here = state.begin_call(loop)
        try:
            self._admission = Admission(state, options, self._operation, clock, deadline, here)
            try:
                return await self._attempt()
            except WavixError as error:
                first = error
            try:
                return await _retry.repeat(self._attempt, first, self._decide, self._back_off)
            except APIError as error:
                if self._ambiguous and _says_gone(self._operation, error):
                    gone = cast("T", Success(success=True, already_gone=True))
                    self._give_receipt(gone, self._time())
                    return gone
                raise
            finally:
                # An error refers to its frames, and these refer to the answer: a stored error would keep all of it.
                del first
                self._failure = None
        except BaseException as error:
            if receivers.get():
                self._give_receipt(None, self._time(), error)
            raise
        finally:
            here.end()

    # --- one attempt ---

    async def _attempt(self) -> T:
        """Get a permit and the slots, send the request once, and read the answer."""
        options, admission = self._options, self._admission
        try:
            own = self._here.transport.slots()
            slots = (*options.semaphores, own)
            permit = admission.try_enter(slots)
            if permit is None:
                permit = await admission.wait(slots)
            else:
                own.take()
                for slot in options.semaphores:
                    await slot.acquire()
            began = self._time()
            if began >= self._deadline:
                admission.give_back(permit, slots)
                raise DeadlineExceededError(
                    f"{self._operation.name} reached its deadline before it could be sent.", outcome="not_sent"
                )
            self._sent += 1
            self._tries += 1
            if not options.observers.trace_attempts:
                return await self._exchange(permit, slots, began)
            return await self._traced(permit, slots, began)
        except WavixError as error:
            if admission.too_late:
                error = self._last_answer(error)
            # `_exchange` has hidden the key. Frames and contexts may hold the answer, and a stored error would keep it.
            cause = error.__cause__
            error.__traceback__ = error.__context__ = None
            raise self._with_context(error).with_traceback(None) from cause

    def _last_answer(self, late: WavixError) -> WavixError:
        """Return what to raise if the next attempt would come too late: the error of the last one, if there was one."""
        failed = self._failure
        if failed is None:
            return late
        if failed.status == 429:
            late.code, late.request_id, late.date = failed.code, failed.request_id, failed.date
            late.reason, late.details = failed.reason, failed.details
            return late
        failed.retry_after = max(failed.retry_after or 0.0, late.retry_after or 0.0)
        return failed

    async def _traced(self, permit: float, slots: Slots, began: float) -> T:
        """Make the exchange inside the contexts of the observers."""
        start = AttemptStart(operation=self._operation.name, attempt=self._tries, url=self._shown_url())
        entered = False
        try:
            with self._options.observers.around_attempt(start):
                entered = True
                return await self._exchange(permit, slots, began)
        finally:
            if not entered:
                self._admission.give_back(permit, slots)

    async def _exchange(self, permit: float, slots: Slots, began: float) -> T:
        """Send the request and read its answer."""
        state, options = self._state, self._options
        try:
            timeouts, until, skipped = options.timeouts, self._deadline, state.clock.skipped
            if began + timeouts.attempt < until:
                until = began + timeouts.attempt
            until, deadline = until - skipped, self._deadline - skipped
            transport = self._here.transport
            response = await transport.send(self._request, until, deadline, timeouts.connect, fresh=self._fresh)
        except BaseException as error:
            if isinstance(error, WavixError):
                # Before observers see it.
                state.redactor.error(error)
            self._no_answer(permit, began, error)
            raise
        finally:
            leave(slots)
        self._admission.answered(permit, response)
        try:
            value = self._read(response) if len(response.body) < LARGE else await self._read_aside(response)
        except BaseException as error:
            other = isinstance(error, OutcomeUnknownError) and error.other_record
            if other or isinstance(error, DecodeError):
                # The connection may be one answer behind, and it is in the pool again by now.
                self._fresh = True
                self._here.transport.distrust_idle(self._request)
            if isinstance(error, WavixError):
                state.redactor.error(error)
            self._note_failure(began, response)
            outcome = error.outcome if isinstance(error, WavixError) else "unknown"
            options.observers.notify(self._attempt_event(began, response.status, error, outcome))
            raise
        if options.observers.want_success():
            request_id = read_request_id(response.headers, state.redactor)
            options.observers.notify_success(self._attempt_event(began, response.status, request_id=request_id))
        if receivers.get():
            self._answer = response.status, response.headers
            self._give_receipt(value, began)
        return value

    def _no_answer(self, permit: float, began: float, error: BaseException) -> None:
        if isinstance(error, ConnectError) and error.local_limit:
            # Waiting for a free descriptor is like waiting for a slot: no attempt was made.
            self._sent -= 1
            self._tries -= 1
            self._admission.give_back(permit, ())
            return
        self._admission.no_answer(permit)
        self._note_failure(began, None)
        outcome = error.outcome if isinstance(error, WavixError) else "unknown"
        if outcome == "not_sent":
            self._sent -= 1
        # A timeout may mean that the connection is dead, and others of the pool with it.
        self._fresh = isinstance(error, ConnectError | DisconnectedError | AttemptTimeoutError)
        self._options.observers.notify(self._attempt_event(began, None, error, outcome))

    # --- the answer ---

    def _read(self, response: Response) -> T:
        try:
            value, drifts = read_response(self._operation, response, self._state.redactor)
        except WavixError as error:
            self._add_wait(error, response)
            raise
        if drifts:
            self._report(drifts, response)
        return value

    async def _read_aside(self, response: Response) -> T:
        """Read a large answer in a thread: the event loop stays free, and the call still ends at its deadline."""
        left = None if self._deadline == NO_DEADLINE else self._deadline - self._time()
        reading = asyncio.to_thread(read_large, self._operation, response, self._state.redactor)
        try:
            async with asyncio.timeout(left):
                value, drifts = await self._state.closing.end(reading)
        except TimeoutError:
            raise AttemptTimeoutError(
                f"The answer of {len(response.body):,} bytes came, but could not be read in time; the request may have "
                "been carried out."
            ) from None
        except ClientClosedError:
            raise ClientClosedError(
                "The client was closed while it read the answer; the request may have been carried out.",
                outcome="unknown",
            ) from None
        except WavixError as error:
            self._add_wait(error, response)
            raise
        if drifts:
            self._report(drifts, response)
        return value

    def _add_wait(self, error: WavixError, response: Response) -> None:
        error.retry_after = wait_told(response.status, response.headers, time.time())

    def _report(self, drifts: _codec.Drifts, response: Response) -> None:
        redactor = self._state.redactor
        if self._state.strict:
            shown = [redactor.drift(drift) for drift in drifts]
            raise _codec.drift_error(shown, more=drifts.more, **error_context(response, redactor))
        for drift in map(redactor.drift, filter(self._state.is_new_drift, drifts)):
            self._options.observers.notify(DriftEvent(operation=self._operation.name, drift=drift, more=drifts.more))

    # --- after a failure ---

    def _decide(self, failure: WavixError) -> _retry.Wait | _retry.GiveUp:
        if self._admission.too_late:
            if failure is not self._failure:
                return _retry.GiveUp(failure)
            return self._explained(_retry.GiveUp(failure, _retry.TOO_LATE))
        self._crowded_out = failure if isinstance(failure, ConnectError) and failure.local_limit else None
        if self._crowded_out is not None:
            if not self._waited_for_room:
                self._options.observers.notify(self._retry_event(self._tries + 1, 0.0, failure))
            return _retry.Wait(0.0)
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
            take_retry=lambda: self._state.budget.take(now, self._deadline - now),
        )
        if isinstance(verdict, _retry.GiveUp):
            return self._explained(verdict)
        self._failure = failure
        self._options.observers.notify(self._retry_event(self._tries, verdict.seconds, failure))
        return verdict

    def _explained(self, verdict: _retry.GiveUp) -> _retry.GiveUp:
        """Add to an error why the call is not repeated."""
        error = self._with_context(verdict.error)
        if verdict.reason is not None:
            error.not_retried = verdict.reason
            error.message = f"{error.message} {verdict.reason}"
            error.args = (error.message,)
        return verdict

    def _retry_event(self, attempt: int, wait: float, failure: WavixError) -> RetryEvent:
        return RetryEvent(
            operation=self._operation.name,
            attempt=attempt,
            wait=wait,
            reason=type(failure).__name__,
            status=failure.status,
        )

    async def _back_off(self, seconds: float) -> None:
        crowded_out, self._crowded_out = self._crowded_out, None
        try:
            if crowded_out is None:
                await self._admission.unless_stopped(self._state.clock.sleep(seconds))
            else:
                await self._wait_for_room(crowded_out)
        except (StoppedError, ClientClosedError) as stopped:
            if self._ambiguous:
                sent = "The call ended before it could be retried; an earlier attempt may have been carried out."
                raise self._with_context(type(stopped)(sent)) from None
            raise self._with_context(stopped) from None

    async def _wait_for_room(self, failure: ConnectError) -> None:
        """Wait until this machine may have a descriptor for one more connection."""
        time_left = self._deadline - self._time()
        room = self._here.transport.wait_for_room(
            time_left, self._options.timeouts.connect, fresh=self._fresh, again=self._waited_for_room
        )
        self._waited_for_room = True
        if await self._admission.unless_stopped(room):
            return
        if self._time() >= self._deadline:
            late = f"{self._operation.name} reached its deadline before it could be sent. {failure.message}"
            raise self._with_context(DeadlineExceededError(late, outcome="not_sent"))
        raise self._with_context(failure)

    def _with_context(self, error: WavixError) -> WavixError:
        now = self._time()
        error = add_context(
            error,
            self._operation.name,
            attempts=self._sent,
            elapsed=now - self._started,
            past_deadline=now >= self._deadline,
            ambiguous=self._ambiguous,
            refused=self._admission.refused,
        )
        self._ambiguous = self._ambiguous or error.outcome == "unknown"
        return error

    def _attempt_event(
        self,
        began: float,
        status: int | None,
        error: BaseException | None = None,
        outcome: str | None = None,
        request_id: str | None = None,
    ) -> AttemptEvent:
        return AttemptEvent(
            operation=self._operation.name,
            attempt=self._tries,
            status=status,
            error=type(error).__name__ if error else None,
            outcome=outcome,
            duration=self._time() - began,
            request_id=getattr(error, "request_id", request_id),
        )

    # --- the receipt ---

    def _note_failure(self, began: float, response: Response | None) -> None:
        """Note what a failed attempt adds to the receipt of the call."""
        self._on_wire += self._time() - began
        self._answer = None
        if response is not None and receivers.get():
            self._answer = response.status, response.headers

    def _give_receipt(self, value: Any, began: float, error: BaseException | None = None) -> None:
        """Give a receipt to all that wait for one.

        Args:
            value: The result.
            began: When the attempt that succeeded began; now, if none did.
            error: The error of the call.
        """
        redactor, now = self._state.redactor, self._time()
        status, headers = self._answer or (None, {})
        elapsed = now - self._started
        receipt = Receipt(
            operation=self._operation.name,
            value=value,
            status=status,
            headers=shown_headers(headers, redactor),
            request_id=read_request_id(headers, redactor),
            attempts=self._sent,
            waited=max(elapsed - self._on_wire - (now - began), 0.0),
            elapsed=elapsed,
            error=None if error is None else type(error).__name__,
        )
        for receiver in receivers.get():
            receiver._add(self._state, receipt)

    def _shown_url(self) -> URL:
        query = self._options.query
        return self._request.url if query is None else shown_url(self._request.url, query)


def _says_gone(operation: Operation[Any], error: APIError) -> bool:
    """Return whether an error shows that an earlier attempt has deleted the object."""
    if isinstance(error, NotFoundError):
        return operation.not_found_is_success
    key, details = operation.gone_key, error.details
    return key is not None and error.status == 400 and isinstance(details, dict) and bool(details.get(key))
