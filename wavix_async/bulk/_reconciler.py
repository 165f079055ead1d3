"""`Reconciler`: reads back each change whose outcome is not certain, and sends it again if it was not applied.

The run reconciles such changes after all others: by then the cause, such as an outage, may be over, and reads during an
outage only add load. If the input has another change for such a key, the run reconciles the key before it sends that
change. If more than `_MOST_UNRESOLVED` changes wait, the run reconciles the oldest ones before it takes the next items:
memory must not grow with the number of such changes.
"""

import copy
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final

import attrs

from wavix_async._aio.clock import Clock
from wavix_async._aio.stop import StopSignal
from wavix_async._http import Difference, Redactor, describe, is_request_error
from wavix_async.bulk._attempts import AttemptLog
from wavix_async.bulk._operation import BulkOperation
from wavix_async.bulk._results import BulkResult, BulkStatus, bare
from wavix_async.errors import APIError, ClientClosedError, NotFoundError, OutcomeUnknownError, StoppedError, WavixError

__all__ = ["Reconciler"]

_READ_AGAIN_AFTER: Final = 1.0
_MOST_FAILED_READS: Final = 20
_MOST_UNRESOLVED: Final = 1_000
_SHOWN_WITHIN: Final = 5.0
"""Seconds after which the API shows what it has carried out. After them, one more read without a proof is the last."""


@attrs.frozen(eq=False, repr=False)
class _Unresolved:
    result: BulkResult
    change: Any
    log: AttemptLog
    since: float
    """The time at which its last attempt had ended."""


@attrs.frozen(eq=False, repr=False)
class _Record:
    """A record as a read shows it, or the answer to a change that was sent again."""

    value: Any
    differences: list[Difference] = attrs.field(factory=list)
    """The fields in which it differs from the change; empty if the change is applied."""

    def is_unchanged(self, change: Any) -> bool:
        """Return whether the record has its old values for certain, although the run does not know them.

        True and false are the only two values, so the one that was not asked for is the old one. A field that matches
        the change may have matched before, or may be the part of the change that was made.
        """
        set_fields = len(change) if isinstance(change, Mapping) else None
        return set_fields == len(self.differences) and all(
            type(each.asked) is bool and type(each.shown) is bool for each in self.differences
        )


class Reconciler:
    """Holds the changes of a run that have no final outcome, and finds out how they ended.

    Args:
        operation: The operation of the run.
        read: Reads the record of a key.
        prove: Returns the record that proves that an item was carried out, if there is one.
        send: Sends a change again, given its result, and counts its attempts; returns None if it must not be repeated.
        redactor: Hides the API key in what an error quotes.
        stop: Ends the wait between two reads.
        clock: The client's clock.
        concurrency: The most reads in flight at once.
    """

    def __init__(
        self,
        operation: BulkOperation[Any, Any, Any],
        read: Callable[[Any], Awaitable[Any]],
        prove: Callable[[Any, Any, Any], Awaitable[Any]],
        send: Callable[[BulkResult, Any, AttemptLog], Awaitable[Any] | None],
        redactor: Redactor,
        stop: StopSignal,
        clock: Clock,
        concurrency: int,
    ) -> None:
        self._operation = operation
        self._read = read
        self._prove = prove
        self._send = send
        self._redactor = redactor
        self._stop = stop
        self._clock = clock
        self._unresolved: dict[Hashable, _Unresolved] = {}
        self._todo: deque[Hashable] = deque()
        self._failed_reads = 0
        # At the start of an outage one read of each worker can fail before the circuit breaker knows of it.
        self._most_failed_early = max(_MOST_FAILED_READS, 4 * concurrency)
        self._unread = 0  # changes to give up without a read, after too many failed reads

    def __len__(self) -> int:
        return len(self._unresolved)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._unresolved

    def add(self, result: BulkResult, change: Any, log: AttemptLog) -> bool:
        """Keep a result that may not be final, until `reconcile` or `give_up` removes it.

        Returns:
            Whether it was kept. False if the result is final: the API may have carried out the change, and the
            operation can neither read the record nor prove the change.
        """
        if self._operation.read is None and log.maybe_done and not _can_be_proved(log):
            return False
        self._unresolved[result.id] = _Unresolved(result, change, log, self._clock.time())
        return True

    def results(self) -> list[BulkResult]:
        """Return the unresolved results; a change that the API may have carried out, even just now, is `unknown`."""
        return [
            attrs.evolve(_unknown_if_maybe_done(each.result, each.log), attempts=each.log.attempts)
            for each in self._unresolved.values()
        ]

    def give_up(self) -> list[BulkResult]:
        """Remove and return the remaining results, unresolved."""
        results = self.results()
        for result, unresolved in zip(results, self._unresolved.values(), strict=True):
            _record(result, unresolved.log)
        self._unresolved.clear()
        return results

    def is_full(self) -> bool:
        """Return whether so many changes wait that the run must reconcile some before it takes the next items."""
        return len(self._unresolved) > _MOST_UNRESOLVED

    def next_early(self, try_acquire: Callable[[Hashable], bool]) -> Any:
        """Return the key that has waited longest, of those that can be locked; None if there is none."""
        return next(filter(try_acquire, self._unresolved), None)

    def forget_failed_reads(self) -> None:
        """Forget failed reads: an outage is over."""
        self._failed_reads = 0

    async def reconcile_early(self, key: Hashable, is_outage: Callable[[], bool]) -> BulkResult | None:
        """Find out during the run how the unresolved change of a key ended.

        Args:
            key: A locked key.
            is_outage: Returns whether the API currently answers nothing.

        Returns:
            As `reconcile`; None if the record could not be read and the change waits further. After too many failed
            reads outside of an outage, the changes that have waited longest end without a read.
        """
        unresolved = self._unresolved[key]
        if self._unread:
            self._unread -= 1
            result = _unknown_if_maybe_done(unresolved.result, unresolved.log)
        else:
            result, was_read = await self._reconcile(unresolved)
            if not was_read:
                if is_outage() or self._failed_reads < self._most_failed_early:
                    del self._unresolved[key]
                    self._unresolved[key] = unresolved
                    return None
                self._unread, self._failed_reads = _MOST_UNRESOLVED, 0
        del self._unresolved[key]
        result = attrs.evolve(result, attempts=unresolved.log.attempts)
        _record(result, unresolved.log)
        return result

    def begin(self) -> None:
        """Queue the remaining keys, and forget earlier failed reads."""
        self._todo, self._failed_reads = deque(self._unresolved), 0

    def next_key(self) -> Any:
        """Return a key to reconcile; None if there is none, or if too many reads in a row have failed."""
        return self._todo.popleft() if self._todo and self._failed_reads < _MOST_FAILED_READS else None

    async def reconcile(self, key: Hashable) -> BulkResult:
        """Find out how the unresolved change of a key ended.

        Returns:
            A success if the change is applied, perhaps after it was sent again. `failed` if it is not applied and the
            API answered every attempt with an error, or with values that can only be the old ones. Otherwise the result
            is unknown: the API may still apply the change, or it may have stored the value in another form.
        """
        result, _ = await self._reconcile(self._unresolved[key])
        # Only now, because a report made during the await must count this key.
        _record(result, self._unresolved.pop(key).log)
        return result

    async def _reconcile(self, unresolved: _Unresolved) -> tuple[BulkResult, bool]:
        """Return the result, and whether the record could be read."""
        result, log = unresolved.result, unresolved.log
        rejected = False
        contradicted = _other_values(result.error)
        try:
            record = await self._read_until_changed(unresolved)
            if record is None or record.differences:
                try:
                    sending = self._send(result, unresolved.change, log)
                    record = record if sending is None else _Record(await sending)
                except WavixError as again:
                    if again.outcome != "not_sent":
                        result = attrs.evolve(result, error=bare(again), attempts=log.attempts)
                    rejected = again.outcome == "rejected" and not isinstance(again, StoppedError | ClientClosedError)
                    if again.outcome == "unknown":
                        contradicted = _other_values(again) or contradicted
                        record = await self._read_until_changed(unresolved)
        except WavixError as unread:
            was_read = isinstance(unread, NotFoundError) and self._operation.read is not None
            self._failed_reads += not was_read
            if was_read and is_request_error(result.error):
                return attrs.evolve(result, status=BulkStatus.FAILED, attempts=log.attempts), True
            return _unknown_if_maybe_done(result, log), was_read
        self._failed_reads = 0
        return self._decided(unresolved, result, record, rejected=rejected, contradicted=contradicted), True

    def _decided(
        self,
        unresolved: _Unresolved,
        result: BulkResult,
        record: _Record | None,
        *,
        rejected: bool,
        contradicted: OutcomeUnknownError | None,
    ) -> BulkResult:
        log = unresolved.log
        if record is not None and not record.differences:
            return attrs.evolve(
                result,
                status=self._operation.success,
                value=record.value,
                error=None,
                attempts=log.attempts,
                settled=True,
            )
        error = result.error
        if rejected and not log.maybe_done:
            return attrs.evolve(result, status=BulkStatus.FAILED)
        undecided = not log.maybe_done or log.unanswered or record is None
        if record is not None and contradicted is not None:
            undecided = undecided or not record.is_unchanged(unresolved.change)
        # A refusal of the second send says nothing about the first one, whose answer showed a value of its own.
        if undecided and (contradicted is not None or not self._operation.is_refused_always(error)):
            result = _unknown_if_maybe_done(result, log)
            return attrs.evolve(result, error=self._with_values(error, record, contradicted), attempts=log.attempts)
        if error is not None and error.outcome != "rejected":
            if isinstance(error, OutcomeUnknownError):
                error = self._as_refusal(error, result.id)
            error.outcome = "rejected"
            error.add_note(f"A read shows that the {self._operation.noun} is unchanged.")
        return attrs.evolve(result, status=BulkStatus.FAILED, error=error, attempts=log.attempts, settled=True)

    async def _read_until_changed(self, unresolved: _Unresolved) -> _Record | None:
        """Read the record again after a second if the change is not applied: the API applies some fields late.

        Returns:
            The record; None if the operation cannot read, or if nothing proves the change.
        """
        operation = self._operation
        if operation.read is None:
            return await self._read_until_proved(unresolved)
        for wait in (0.0, _READ_AGAIN_AFTER):
            await self._stop.end(self._clock.sleep(wait))
            value = await self._read(unresolved.result.id)
            record = _Record(value, operation.differences(unresolved.change, value))
            late = any(each.wire in operation.applied_late for each in record.differences)
            if not record.differences or (not unresolved.log.unanswered and not late):
                # Every attempt has ended and no late field is missing, so the record will not change any more.
                break
        return record

    async def _read_until_proved(self, unresolved: _Unresolved) -> _Record | None:
        """Look for the proof of a change until the API has had time to show it."""
        log, at = unresolved.log, unresolved.since
        if not log.maybe_done or not _can_be_proved(log):
            return None
        while True:
            age = self._clock.time() - at
            value = await self._prove(unresolved.result.id, unresolved.change, log.entry)
            if value is not None or age >= _SHOWN_WITHIN:
                return None if value is None else _Record(value)
            await self._clock.sleep(min(max(age, _READ_AGAIN_AFTER), _SHOWN_WITHIN - age))

    def _with_values(
        self, error: WavixError | None, record: _Record | None, contradicted: OutcomeUnknownError | None
    ) -> WavixError | None:
        """Return the error of an unknown outcome with the values that a read shows, and with those of an answer."""
        again = ""
        if contradicted is not None and error is not None and not isinstance(error, OutcomeUnknownError):
            again, error = f" It was sent again: {error.message}", contradicted
        if not isinstance(error, OutcomeUnknownError) or record is None or not record.differences:
            return error
        told = describe(record.differences, self._redactor.excerpt)
        full = copy.copy(error)
        full.message = (
            f"{error.message}{again} A read does not decide it: {told.words}, which may be the old "
            "value, or the new one in another form."
        )
        full.args, full.__cause__ = (full.message,), error.__cause__
        return full

    def _as_refusal(self, error: OutcomeUnknownError, key: Any) -> WavixError:
        """Return the error of a change that the API answered with 2xx and, as a read shows, did not make.

        Its text leaves out the advice of the original error: the outcome is certain now.
        """
        name = self._operation.name.replace("{id}", str(key))
        answered = "" if error.status is None else f" HTTP {error.status} for {name}"
        if answered and error.contradiction is not None:
            answered += f": {error.contradiction}"
        refusal = APIError(
            f"The API answered, but did not make the change.{answered and answered + '.'}",
            status=error.status,
            code=error.code,
            request_id=error.request_id,
            date=error.date,
            reason=error.reason,
            details=error.details,
        )
        refusal.attempts, refusal.elapsed, refusal.__cause__ = error.attempts, error.elapsed, error
        return refusal


def _record(result: BulkResult, log: AttemptLog) -> None:
    """Write to the journal of the run, if it keeps one, how an item ended."""
    if log.entry is not None:
        log.entry.record(result)


def _can_be_proved(log: AttemptLog) -> bool:
    return log.entry is not None and log.entry.mark is not None


def _other_values(error: WavixError | None) -> OutcomeUnknownError | None:
    """Return the error if an answer showed other values than the change sets: the old ones, or the new ones changed."""
    return error if isinstance(error, OutcomeUnknownError) and error.shows_other_values else None


def _unknown_if_maybe_done(result: BulkResult, log: AttemptLog) -> BulkResult:
    return attrs.evolve(result, status=BulkStatus.UNKNOWN) if log.maybe_done else result
