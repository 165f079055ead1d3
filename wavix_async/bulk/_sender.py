"""`Sender`: sends one change, alone or in a batch, with retries and through outages, and counts the attempts."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import attrs

from wavix_async._aio.semaphore import QuickSemaphore
from wavix_async._aio.stop import StopSignal
from wavix_async._http import is_worth_repeating
from wavix_async._instrumentation.events import AttemptEvent, Event, RetryEvent
from wavix_async.bulk._attempts import AttemptLog
from wavix_async.bulk._circuit_breaker import CircuitBreaker
from wavix_async.bulk._operation import BulkOperation
from wavix_async.bulk._results import BulkResult
from wavix_async.config import RetryPolicy
from wavix_async.errors import APIError, ConfigurationError, OutcomeUnknownError, StoppedError, WavixError

if TYPE_CHECKING:
    from wavix_async._http import BaseClient
    from wavix_async.bulk._batcher import Batcher
    from wavix_async.bulk._journal import Entry

__all__ = ["Sender"]

T = TypeVar("T")

_ATTEMPTS: Final = 8
_BATCH_ATTEMPTS: Final = 3
# Short, so that every worker notices the end of an outage within this time.
_LONGEST_BACKOFF: Final = 4.0
_MOST_BATCHES: Final = 32
# Every change that waits for its batch is a task. The API accepts at least 100 changes in one request.
_LARGEST_BATCH: Final = 1000
# Only these statuses show that the API has finished the request; others come from a proxy, or are unclear.
_ENDED: Final = frozenset({500, 501, 503})
_REDIRECTS: Final = frozenset(range(300, 400))
_NOT_DONE: Final = ("rejected", "not_sent")
# An event has only the name of the error. An attempt ends with this one only if its answer contradicts the change.
_CONTRADICTED: Final = OutcomeUnknownError.__name__


class _FailureObserver:
    """Observes only failures: `_count_success` counts successes, so the frequent case needs no event."""

    failures_only = True

    def __init__(self, observe: Callable[[Event], None]) -> None:
        self._observe = observe

    def __call__(self, event: Event) -> None:
        self._observe(event)


_current: ContextVar[AttemptLog | None] = ContextVar("wavix_async_bulk_log", default=None)


class _WriteAheadSlots(asyncio.Semaphore):
    """The slots of a run with a journal: an item that gets one is written as `sending` before its request leaves."""

    def __init__(self, value: int) -> None:
        super().__init__(value)
        self._slots = QuickSemaphore(value)

    def locked(self) -> bool:
        """Return whether `acquire` would wait; writing is a wait, too."""
        log = _current.get()
        return self._slots.locked() or (log is not None and log.entry is not None and log.entry.must_be_written)

    async def acquire(self) -> Literal[True]:
        await self._slots.acquire()
        log = _current.get()
        try:
            if log is not None and log.entry is not None:
                await log.entry.write_sending()
        except BaseException:
            self._slots.release()
            raise
        return True

    def release(self) -> None:
        self._slots.release()


class Sender:
    """Sends the changes of a run, and reads records back for the reconciler.

    Args:
        client: The client of the run.
        operation: The operation to send and read with.
        concurrency: The most requests in flight at once.
        batch: None, "auto", or the most changes to send in one request.
        stop: Ends all waits.
    """

    def __init__(
        self,
        client: "BaseClient",
        operation: BulkOperation[Any, Any, Any],
        concurrency: int,
        batch: Any,
        stop: StopSignal,
    ) -> None:
        policy = client.retry
        if 502 in policy.statuses:
            # One call reports a redirect at once. In a run of thousands one is most likely stray, as a 502 is.
            policy = attrs.evolve(policy, statuses=policy.statuses | _REDIRECTS)
        self._policy = reconciling = policy
        self._repeats = policy.attempts > 1
        if self._repeats:
            # At a fault rate of a few percent, some of several thousand changes fail four times in a row.
            policy = attrs.evolve(
                policy, attempts=max(policy.attempts, _ATTEMPTS), max_backoff=min(policy.max_backoff, _LONGEST_BACKOFF)
            )
        self._operation = operation
        slots = QuickSemaphore if operation.once is None else _WriteAheadSlots
        self._client = client.with_options(
            observers=(_FailureObserver(self._observe),),
            semaphore=slots(concurrency),
            stop=stop,
            retry=policy,
            lane="bulk",
        )
        self._reconciling = self._client.with_options(retry=reconciling)
        self._probing = self._client.with_options(retry=RetryPolicy.none())
        self._batching = self._client.with_options(
            retry=attrs.evolve(policy, attempts=min(policy.attempts, _BATCH_ATTEMPTS))
        )
        # A run that has stopped may still look for proofs.
        self._proving = client.with_options(
            observers=(_FailureObserver(self._observe),), semaphore=QuickSemaphore(concurrency), lane="bulk"
        )
        self._breaker = CircuitBreaker(concurrency, None if operation.read is None else self._probe, stop, client.clock)
        # Without a probe or without idempotence, send one item at a time in an outage, so that few items fail.
        self._cautious = operation.read is None or not operation.idempotent
        self._batcher = self._make_batcher(batch)
        self._backing_off = 0
        self.on_backoff: Callable[[], object] = lambda: None
        """Called when a change, and its worker, back off."""
        self.requests = 0
        """Requests sent."""
        self.rate_limited = 0
        """Requests answered with 429."""
        self.workers = concurrency
        """Workers to start with. A batch needs one worker for each of its changes."""
        if self._batcher is not None:
            self.workers = self._batcher.size * min(concurrency, _MOST_BATCHES)

    @property
    def extra_workers(self) -> int:
        """How many extra workers may run: one for each worker that is backing off; 0 in an outage."""
        return 0 if self._breaker.is_open() else self._backing_off

    @property
    def has_given_up(self) -> bool:
        """Whether the API has not answered for so long that the run must stop."""
        return self._breaker.has_given_up

    def new_log(self) -> AttemptLog:
        """Return a new log, which counts the attempts of the current task from now on."""
        log = AttemptLog()
        _current.set(log)
        return log

    async def send(self, key: Any, change: Any, log: AttemptLog) -> Any:
        """Send a change, and send it again after an outage.

        Args:
            key: The key.
            change: The change.
            log: The log that the current task got from `new_log`.

        Returns:
            The API's answer.

        Raises:
            WavixError: The error of the last attempt.
        """
        while True:
            try:
                if self._cautious:
                    await self._breaker.wait_for_turn()
                if self._batcher is not None:
                    return await self._batcher.send(key, change, log)
                value = await self._operation.send(self._client, key, change)
            except WavixError as error:
                _record_error(log, error)
                if not await self._is_worth_another_attempt(error, log, key):
                    raise
            else:
                self._count_success(log, key)
                return value

    def send_again(self, result: BulkResult, change: Any, log: AttemptLog) -> Awaitable[Any] | None:
        """Send a change again after a read showed that it is not applied; return None if it must not be repeated."""
        if result.error is None or not self._may_repeat(result.error):
            return None
        if log.maybe_done and not self._operation.idempotent:
            return None
        return self._with_log(log, result.id, self._operation.send(self._reconciling, result.id, change))

    async def read(self, key: Any) -> Any:
        """Read a record; the read does not count as an attempt of the change."""
        assert self._operation.read is not None
        return await self._with_log(AttemptLog(), key, self._operation.read(self._reconciling, key))

    async def prove(self, key: Any, change: Any, entry: "Entry") -> Any:
        """Return the record that proves that an item was carried out; None if there is no proof."""
        once = self._operation.once
        assert once is not None
        if await entry.shares_mark():
            return None
        record = await self._with_log(AttemptLog(), key, once.prove(self._proving, change, entry.since))
        # Another item with this mark may have been sent during the read.
        return None if record is None or await entry.shares_mark() else record

    def is_outage(self) -> bool:
        """Return whether the API currently answers nothing."""
        return self._breaker.is_open()

    async def wait_out_outage(self, key: Hashable) -> bool:
        """Wait for the end of an outage; return whether there was one that has ended.

        Args:
            key: A key to probe with if none has been answered yet.

        Raises:
            StoppedError: The run was stopped during the wait.
        """
        return self._breaker.is_open() and await self._breaker.wait_for_probe(key)

    def end_backoff(self, log: AttemptLog) -> None:
        """Note that a change no longer backs off."""
        if log.backing_off:
            log.backing_off = False
            self._backing_off -= 1

    def cancel(self) -> None:
        """Cancel batches in flight, and return at once."""
        if self._batcher is not None:
            self._batcher.cancel()

    async def close(self) -> None:
        """Cancel batches and the probe, and wait for them."""
        if self._batcher is not None:
            await self._batcher.close()
        await self._breaker.close()

    def _make_batcher(self, batch: Any) -> "Batcher | None":
        if batch is None:
            return None
        if batch != "auto" and (type(batch) is not int or not 2 <= batch <= _LARGEST_BATCH):
            raise ConfigurationError(
                f'batch must be "auto", a whole number from 2 to {_LARGEST_BATCH:,}, or None; got {batch!r}.'
            )
        if self._operation.send_many is None:
            raise ConfigurationError(
                f"{self._operation.name} takes one {self._operation.noun} at a time: leave out batch."
            )
        from wavix_async.bulk._batcher import FIRST_SIZE, Batcher

        size = FIRST_SIZE if batch == "auto" else batch
        return Batcher(
            size, self._operation, self._send_many, self._send_one, self._client._redactor, self._breaker.is_open
        )

    async def _send_one(self, key: Any, change: Any, log: AttemptLog) -> Any:
        """Send the change of one key of a batch, on behalf of the worker that waits for it."""
        return await self._with_log(log, key, self._operation.send(self._client, key, change))

    async def _send_many(self, keys: list[Any], change: Any, log: AttemptLog) -> Any:
        assert self._operation.send_many is not None
        return await self._with_log(log, keys[0], self._operation.send_many(self._batching, keys, change))

    async def _probe(self, key: Any) -> Any:
        assert self._operation.read is not None
        return await self._with_log(AttemptLog(), key, self._operation.read(self._probing, key))

    async def _with_log(self, log: AttemptLog, key: Hashable, sending: Awaitable[T]) -> T:
        """Make a call for a key, and count its attempts in this log, not in the log of the current task."""
        before = _current.set(log)
        try:
            answer = await sending
        except WavixError as error:
            _record_error(log, error)
            raise
        finally:
            _current.reset(before)
            self.end_backoff(log)
        self._count_success(log, key)
        return answer

    async def _is_worth_another_attempt(self, error: WavixError, log: AttemptLog, key: Hashable) -> bool:
        try:
            answers = log.answers_seen[0] if log.answers_seen else None
            over = self._may_repeat(error) and await self._breaker.wait_until_closed(error, answers, key)
            # A change that may be applied is read back first; the reconciler does that at the end of the run.
            may_send_twice = self._policy.repeat_unknown and self._operation.idempotent
            return over and (may_send_twice or not log.maybe_done)
        except StoppedError:
            return False

    def _may_repeat(self, error: WavixError) -> bool:
        return self._repeats and (not isinstance(error, APIError) or is_worth_repeating(self._policy, error))

    def _count_success(self, log: AttemptLog, key: Hashable) -> None:
        log.attempts += 1
        self.requests += 1
        self._breaker.record_answer(key)

    def _observe(self, event: Event) -> None:
        log = _current.get()
        if log is None:
            return
        if isinstance(event, AttemptEvent):
            self.end_backoff(log)
            self._count_failure(log, event)
        elif isinstance(event, RetryEvent) and event.wait > 0:
            log.backing_off = True
            self._backing_off += 1
            # With batches there are many more workers than requests, so every slot stays in use.
            if self._batcher is None and not self._breaker.is_open():
                self.on_backoff()

    def _count_failure(self, log: AttemptLog, event: AttemptEvent) -> None:
        contradicted = event.error == _CONTRADICTED
        if event.outcome == "rejected" or contradicted:
            self._breaker.record_answer()
        else:
            self._breaker.record_failure(self._client.clock.time())
            log.answers_seen = (*log.answers_seen[-1:], self._breaker.answers)
        if event.outcome in _NOT_DONE and not log.maybe_done and log.entry is not None:
            log.entry.set_back()
        if event.outcome != "not_sent":
            log.attempts += 1
            log.maybe_done = log.maybe_done or event.outcome == "unknown"
            ended = contradicted or event.status in _ENDED
            log.unanswered = log.unanswered or (event.outcome == "unknown" and not ended)
            self.requests += 1
            self.rate_limited += event.status == 429


def _record_error(log: AttemptLog, error: WavixError) -> None:
    """Note what an error says about a call: the observer misses the attempts of a call through another client."""
    if error.outcome != "unknown":
        return
    contradicted = isinstance(error, OutcomeUnknownError) and error.is_contradicted
    if not log.maybe_done:
        log.maybe_done = True
        log.unanswered = not contradicted and error.status not in _ENDED
    answer = error.__cause__ if isinstance(error, OutcomeUnknownError) else error
    is_page = isinstance(answer, APIError) and answer.is_page
    if is_page or (isinstance(error, OutcomeUnknownError) and error.other_record):
        # A proxy sent this 500 or 503, or the answer belongs to another request: the API may still be at work.
        log.unanswered = True
