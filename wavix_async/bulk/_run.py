"""`BulkRun`: the engine of a bulk run, with a few workers, one semaphore, and one outcome for each item.

A limited number of workers pulls items from the input, so memory depends on the concurrency, not on the number of
items, and not on how many of them fail. Only a request in flight holds the semaphore.
"""

import asyncio
import inspect
import os
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Generator
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic

import attrs

from wavix_async._aio.stop import StopSignal
from wavix_async._aio.unawaited import UnawaitedGuard
from wavix_async._instrumentation.events import BulkEvent, BulkStart
from wavix_async._instrumentation.logs import logger
from wavix_async._ratelimit.limiter import LimitSnapshot
from wavix_async.bulk._attempts import AttemptLog
from wavix_async.bulk._coroutine import TaskCoroutine
from wavix_async.bulk._failure_log import KEPT, FailureLog
from wavix_async.bulk._input import END, Source
from wavix_async.bulk._keyed_lock import KeyedLock
from wavix_async.bulk._operation import BulkOperation
from wavix_async.bulk._reconciler import Reconciler
from wavix_async.bulk._results import (
    BulkProgress,
    BulkReport,
    BulkResult,
    BulkStatus,
    FailureKind,
    Key,
    Result,
    bare,
)
from wavix_async.bulk._sender import Sender
from wavix_async.bulk._worker_pool import WorkerPool, foreign_cancel, is_cancelled
from wavix_async.config import check_count
from wavix_async.errors import (
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    InputError,
    JournalError,
    OutcomeUnknownError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    StoppedError,
    UnprocessableEntityError,
    WavixError,
)

if TYPE_CHECKING:
    from wavix_async._http import BaseClient
    from wavix_async.bulk._journal import Entry, Journal

__all__ = ["BulkRun"]

_SENDING_REFUSED: Final = (PaymentRequiredError, PermissionDeniedError, UnprocessableEntityError)
_PROGRESS_EVERY: Final = 0.1
_READ_ON: Final = 30.0
_READ_AT_LEAST: Final = 0.25


class BulkRun(TaskCoroutine[BulkReport[Key, Result]], Generic[Key, Result]):
    """A bulk run, which starts when you await it or iterate over it.

    `await run` returns the `BulkReport`. `async for result in run` yields each `BulkResult` when its item ends;
    `await run` after the loop returns the report. You can pass a run directly to `asyncio.create_task` and
    `TaskGroup.create_task`. A run runs only once. If the awaiting task is cancelled, the run ends at once, and `report`
    has the results up to then; `stop()` ends it gracefully. A run that is thrown away before it starts sends
    nothing, and warns (`RuntimeWarning`).

    Args:
        client: The client to send with.
        items: A mapping, an iterable or an async iterable of pairs of a key and a change.
        operation: What to do with each item.
        concurrency: The most requests in flight at once. Default 32.
        batch: None, "auto", or the most equal changes to send in one request. Default None: one change per request.
        on_progress: Called with a `BulkProgress` about ten times a second, and at the end.
        failures_to: A file for all failures, not only the first 1,000: CSV if its name ends in `.csv`, otherwise one
            JSON object per line. The start of the run empties it; it gets each failure when the item ends.
        journal: A file with which a later run of the same items continues this one, even after a kill, and sends none
            twice; only for an operation with `once`. Default None: the run cannot be continued.

    Raises:
        InputError: An item is invalid, or `items` is not a collection.
        ConfigurationError: `concurrency` is less than 1, `batch` is less than 2, or the operation has no batches or no
            journal. When the run starts, before it sends anything: `failures_to` cannot be written, or another run
            writes it.
        JournalError: When the run starts, before it sends anything: the journal cannot be used, or belongs to other
            items or to another account. Later: an item is not the one that the journal has under its key.
    """

    makes_many_calls: Final = True
    """For `WavixClient.receipt`, which takes one call."""

    def __init__(
        self,
        client: "BaseClient",
        items: Any,
        *,
        operation: BulkOperation[Key, Any, Result],
        concurrency: int = 32,
        batch: Any = None,
        on_progress: Callable[[BulkProgress], object] | None = None,
        failures_to: str | os.PathLike[str] | None = None,
        journal: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self._concurrency = check_count("concurrency", concurrency)
        self._stop = StopSignal()
        self._sender = Sender(client, operation, self._concurrency, batch, self._stop)
        self._source = Source(items, operation)
        self._base = client
        self._operation = operation
        if on_progress is not None and (not callable(on_progress) or inspect.iscoroutinefunction(on_progress)):
            raise ConfigurationError(f"on_progress must be a function that is not async, got {on_progress!r}.")
        self._on_progress = on_progress
        self._counts: Counter[BulkStatus] = Counter()
        self._skipped = 0
        self._failures = FailureLog(failures_to)
        self._stopped_by: WavixError | None = None
        self._broken: BaseException | None = None
        self._stopping = False
        self._may_prove = False
        """Whether a run that stops still looks for proofs."""
        self._pool = WorkerPool(self._concurrency, self._sender.workers, self._sender.cancel)
        self._locks = KeyedLock()
        self._results: asyncio.Queue[BulkResult[Key, Result] | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._began: float | None = None
        self._ended: float | None = None
        self._last_progress = 0.0
        self._progress_failed = False
        self._late: deque[BulkResult[Key, Result]] = deque()
        self._undelivered: list[BulkResult[Key, Result]] = []
        self._charged = Decimal(0)
        self._without_charge = 0
        self._journal = _journal_of(journal, operation, client)
        self._reconciler = Reconciler(
            operation,
            self._sender.read,
            self._sender.prove,
            self._sender.send_again,
            client._redactor,
            self._stop,
            client.clock,
            self._concurrency,
        )
        self._cut_short = False
        # The last step: a run whose construction failed must not warn.
        self._unawaited = UnawaitedGuard(
            f"bulk run of {operation.name} was never awaited, so it sent nothing: await it, or iterate over it."
        )

    # --- public API ---

    def __await__(self) -> Generator[Any, None, BulkReport[Key, Result]]:
        return self._finish().__await__()

    async def __aiter__(self) -> AsyncGenerator[BulkResult[Key, Result], None]:
        if self._task is not None:
            raise InputError("This bulk run has already started, and a run can be iterated only once. Make a new run.")
        results = self._results = asyncio.Queue(maxsize=2 * self._concurrency)
        task = self._start()
        task.add_done_callback(lambda _: None if results.full() else results.put_nowait(None))
        try:
            while not (task.done() and results.empty()):
                result = await results.get()
                if result is not None:
                    yield result
            await task
        finally:
            await self._end(task)
            while not results.empty():
                if (left := results.get_nowait()) is not None:
                    self._undelivered.append(left)
            self._undelivered += self._late
            self._late.clear()

    @property
    def undelivered(self) -> tuple[BulkResult[Key, Result], ...]:
        """Results that an iteration which ended early has not yielded; empty until it has ended.

        They are few for each request in flight, and the counts of the report include them.
        """
        return tuple(self._undelivered)

    @property
    def report(self) -> BulkReport[Key, Result]:
        """The report so far; after the end, the report that `await run` returns."""
        counts, unresolved = self._counts, self._reconciler.results()
        by_kind = self._failures.by_kind + Counter(FailureKind.of(each.error) for each in unresolved)
        return BulkReport(
            succeeded=counts[self._operation.success],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN] + sum(each.status is BulkStatus.UNKNOWN for each in unresolved),
            not_sent=counts[BulkStatus.NOT_SENT] + sum(each.status is BulkStatus.NOT_SENT for each in unresolved),
            failures=[*self._failures.first, *unresolved][:KEPT],
            requests=self._sender.requests,
            rate_limited=self._sender.rate_limited,
            elapsed=self._elapsed(),
            stopped_by=self._stopped_by,
            cut_short=self._cut_short,
            success=self._operation.success,
            skipped=self._skipped,
            failures_by_kind=by_kind,
            charged=self._charged,
            without_charge=self._without_charge,
        )

    @property
    def progress(self) -> BulkProgress:
        """The current progress."""
        counts, limit = self._counts, self._limits()
        return BulkProgress(
            total=self._source.total,
            done=counts.total(),
            succeeded=counts[self._operation.success],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN],
            not_sent=counts[BulkStatus.NOT_SENT],
            requests=self._sender.requests,
            rate_limited=self._sender.rate_limited,
            elapsed=self._elapsed(),
            rate=limit.rate,
            paused_for=limit.paused_for,
            success=self._operation.success,
        )

    def stop(self, grace: float = 5.0) -> None:
        """End the run gracefully: send nothing more, let requests in flight finish, report the rest as `not_sent`.

        Args:
            grace: Seconds to wait for requests in flight. After that the run cancels them, and reports a change as
                `unknown` if it was sent. For the same time the run reads the rest of a generator, to report its items;
                `cut_short` is true if the generator did not end in time.
        """
        self._halt()
        self._unawaited.cancel()
        if self._task is not None and not self._task.done():
            self._pool.end_within(grace)

    def close(self) -> None:
        """Close the current task's iterator, as a coroutine does. A run closed before its start does not warn."""
        self._unawaited.cancel()
        super().close()

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None, /) -> Any:
        """Raise an error where the current task waits. A run whose task is cancelled before its start does not warn."""
        self._unawaited.cancel()
        return super().throw(kind, value, trace)

    def __repr__(self) -> str:
        total = self._source.total
        of = "" if total is None else f" of {total:,}"
        return f"<BulkRun {self._operation.name}: {self._counts.total():,}{of} done, {self._state()}>"

    def _repr_html_(self) -> str:
        return self.progress._repr_html_()

    def _state(self) -> str:
        if self._task is None:
            return "not started"
        if self._task.done():
            return "ended"
        return "stopping" if self._stopping else "running"

    # --- start and end ---

    async def _finish(self) -> BulkReport[Key, Result]:
        task = self._task or self._start()
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # A caller that left `async for` early has cancelled the run, and can still await its report.
            if not task.cancelled() or is_cancelled():
                raise
        finally:
            await self._end(task)
        return self.report

    def _start(self) -> asyncio.Task[None]:
        self._task = asyncio.ensure_future(self._run())
        # Not before the start: the reference back to the run would delay the warning of a run that is never awaited.
        self._sender.on_backoff = self._replace_worker
        self._unawaited.cancel()
        return self._task

    async def _end(self, task: asyncio.Task[None]) -> None:
        """Cancel the task of the run if it has not ended, and wait for it."""
        if not task.done():
            task.cancel()
            await asyncio.wait([task])

    def _limits(self) -> LimitSnapshot:
        return self._base.limits.snapshot(self._operation.limit_group)

    def _elapsed(self) -> float:
        if self._task is None or self._began is None:
            return 0.0
        return (self._task.get_loop().time() if self._ended is None else self._ended) - self._began

    async def _run(self) -> None:
        observers = self._base.observers
        if not observers.trace_bulk:
            await self._run_to_the_end()
            return
        start = BulkStart(operation=self._operation.name, total=self._source.total, concurrency=self._concurrency)
        with observers.around_bulk(start):
            await self._run_to_the_end()

    async def _run_to_the_end(self) -> None:
        loop = asyncio.get_running_loop()
        self._began = self._last_progress = loop.time()
        every = None if self._on_progress is None else _PROGRESS_EVERY
        try:
            if self._journal is not None:
                await self._journal.open(self._source.known)
            self._failures.open()
            await self._pool.run_workers(self._work, self._source.total, every, self._tell_progress_now_and_then)
            self._reconciler.begin()
            await self._pool.run_workers(
                self._reconcile, len(self._reconciler), every, self._tell_progress_now_and_then
            )
            self._give_up_unresolved()
            if self._results is not None:
                while self._late:
                    await self._results.put(self._late[0])
                    self._late.popleft()
            await self._skip_rest()
        finally:
            try:
                await self._clean_up()
            finally:
                self._failures.close()
                if self._journal is not None:
                    await self._journal.close()
                self._stop_if_unwritten()
            self._ended = loop.time()
            self._tell_progress()
            self._base.observers.notify(self._end_event())
        if self._broken is not None:
            raise self._broken

    def _end_event(self) -> BulkEvent:
        counts, error = self._counts, self._broken or self._stopped_by
        return BulkEvent(
            operation=self._operation.name,
            # The event field is named `updated` for every status of success.
            updated=counts[self._operation.success],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN],
            not_sent=counts[BulkStatus.NOT_SENT],
            requests=self._sender.requests,
            rate_limited=self._sender.rate_limited,
            elapsed=self._elapsed(),
            stopped_by=None if error is None else type(error).__name__,
        )

    async def _clean_up(self) -> None:
        """Stop all workers, and count every item that has no outcome yet."""
        self._halt()
        self._pool.drop_timers()
        await self._sender.close()
        await self._pool.close()
        self._give_up_unresolved()
        left = 0 if self._source.total is None else max(0, self._source.total - self._counts.total())
        if left and self._journal is not None and self._journal.has_history:
            # An earlier run may have sent some of them.
            self._cut_short = True
        else:
            self._counts[BulkStatus.NOT_SENT] += left
        self._cut_short = self._cut_short or self._source.broken_off or self._source.is_unread()
        await self._source.close()

    def _halt(self) -> None:
        self._stopping, self._may_prove = True, False
        self._stop.set()

    def _abort(self, error: BaseException) -> None:
        self._broken = error
        self._halt()

    async def _skip_rest(self) -> None:
        """Report the items that a stop left unsent; read a generator for a limited time only, as it may be endless.

        If an earlier run of the journal may have sent them, the journal says how they ended; that takes time, too.
        """
        if not self._stopping or self._broken is not None:
            return
        has_history = self._journal is not None and self._journal.has_history
        if has_history and self._journal is not None and self._journal.error is not None:
            return
        # No worker looks for proofs from here on: what an earlier run may have sent stays unknown.
        self._may_prove = False
        loop = asyncio.get_running_loop()
        until, log = None, AttemptLog()
        if self._source.total is None or has_history:
            # Requests in flight may have used up the grace period, but most inputs need only a moment.
            until = max(self._pool.ends_at or 0.0, loop.time() + _READ_AT_LEAST)
        while until is None or loop.time() < until:
            limit = asyncio.timeout_at(until)
            try:
                async with limit:
                    item = await self._source.pull()
            except TimeoutError:
                if not limit.expired():
                    raise
                break
            if item is END:
                return
            try:
                key, _ = self._source.as_pair(item)
            except InputError:
                key = item
            result = BulkResult[Key, Result](key, BulkStatus.NOT_SENT, error=self._stopped_by)
            if has_history:
                log.reset()
                result = await self._handle(item, log) or result
            self._count(result)
            if self._results is not None:
                await self._deliver(result, self._results)
            elif self._counts.total() % 1000 == 0:
                # A plain generator of a million items must not block the other tasks.
                await asyncio.sleep(0)
        self._cut_short = True

    # --- workers ---

    async def _work(self) -> None:
        log = self._sender.new_log()
        while not self._stopping and not self._pool.leave_if_too_many(self._sender.extra_workers):
            if self._reconciler.is_full() and await self._make_room():
                continue
            try:
                pulled = await self._source.pull()
            except Exception as error:
                self._broken, self._stopping = error, True
                return
            except asyncio.CancelledError as error:
                if is_cancelled():
                    raise
                self._broken, self._stopping = foreign_cancel(error), True
                return
            if pulled is END:
                return
            log.reset()
            result = await self._handle(pulled, log)
            if result is not None:
                if log.entry is not None:
                    log.entry.record(result)
                await self._record(result)

    def _replace_worker(self) -> None:
        """Start a worker to replace one that backs off."""
        if not self._stopping:
            self._pool.add_worker(self._work)

    async def _reconcile(self) -> None:
        while self._may_settle() and (key := self._reconciler.next_key()) is not None:
            try:
                result = await self._reconciler.reconcile(key)
            except Exception as error:
                self._abort(error)
                return
            self._stop_if_needed(result.error)
            await self._record(result)

    async def _make_room(self) -> bool:
        """Reconcile one change now, because too many wait for the end of the run; wait for the end of an outage first.

        Returns:
            Whether to look again before the next item. False if there is nothing to reconcile, or the record could not
            be read: if the API is out of reach, sending the next item shows it, and that item waits.
        """
        key = self._reconciler.next_early(self._locks.try_acquire)
        if key is None:
            return False
        try:
            if await self._sender.wait_out_outage(key):
                self._reconciler.forget_failed_reads()
            result = await self._reconciler.reconcile_early(key, self._sender.is_outage)
            if result is None:
                return False
            self._stop_if_needed(result.error)
            await self._record(result)
        except StoppedError:
            pass
        except Exception as error:
            self._abort(error)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            self._abort(foreign_cancel(error))
        finally:
            self._locks.release(key)
        return True

    def _give_up_unresolved(self) -> None:
        for result in self._reconciler.give_up():
            self._record_late(result)

    async def _record(self, result: BulkResult[Key, Result]) -> None:
        """Count a result, and pass it to the caller if it iterates over the run."""
        self._count(result)
        results = self._results
        if results is not None:
            if results.full():
                await self._deliver(result, results)
            else:
                results.put_nowait(result)
        self._tell_progress_now_and_then()

    async def _deliver(
        self, result: BulkResult[Key, Result], results: "asyncio.Queue[BulkResult[Key, Result] | None]"
    ) -> None:
        """Wait until the caller takes a result; if the wait is cancelled, keep the result for the end of the run."""
        try:
            await results.put(result)
        except asyncio.CancelledError:
            self._late.append(result)
            raise

    def _record_late(self, result: BulkResult[Key, Result]) -> None:
        """Count a result now, and pass it to the caller, if it iterates over the run, at the end of the run."""
        self._count(result)
        if self._results is not None:
            self._late.append(result)

    async def _handle(self, pulled: Any, log: AttemptLog) -> BulkResult[Key, Result] | None:
        """Return the result of an item, or None if the reconciler has to find out how it ended."""
        named: Any = pulled[0] if isinstance(pulled, tuple | list) and pulled else pulled
        try:
            key, change = self._source.as_pair(pulled)
            if not self._source.checked:
                self._operation.check(key, change)
                _check_hash(self._operation.key_name, key)
        except InputError as error:
            return BulkResult(named, BulkStatus.FAILED, error=bare(error))
        except Exception as error:
            wrong = InputError(f"the item is not a pair {self._operation.pair}: {type(error).__name__}.")
            return BulkResult(named, BulkStatus.FAILED, error=wrong)
        try:
            if not self._locks.try_acquire(key):
                await self._locks.wait(key)
            try:
                if key in self._reconciler and not self._stopping:
                    await self._record(await self._reconciler.reconcile(key))
                if self._journal is not None:
                    entry = await self._claim(self._journal, key, change)
                    if entry is not None and entry.ended is not None:
                        return entry.ended if entry.is_final else self._unknown_before(entry.ended, entry)
                    if entry is not None:
                        log.entry, change = entry, entry.change
                    elif self._journal.has_history:
                        # The journal cannot say whether an earlier run has sent it.
                        return BulkResult(key, BulkStatus.UNKNOWN, error=self._stopped_by)
                if self._stopping:
                    return BulkResult(key, BulkStatus.NOT_SENT, error=self._stopped_by)
                if self._operation.find is not None:
                    found = await self._operation.find(key, change)
                    if found is not None:
                        self._skipped += 1
                        return BulkResult(key, self._operation.success, found)
                value = await self._sender.send(key, change, log)
                return BulkResult(key, self._operation.success, value, None, log.attempts)
            except WavixError as error:
                result = self._failed(key, error, log)
                if not (self._may_settle() and _may_change(result)):
                    return result
                kept = self._reconciler.add(result, change, attrs.evolve(log, backing_off=False))
                return None if kept else result
            finally:
                self._locks.release(key)
                self._sender.end_backoff(log)
        except Exception as error:
            # Not an API or network error but a bug: the item still gets an outcome.
            self._abort(error)
            return BulkResult(key, BulkStatus.UNKNOWN, attempts=log.attempts)
        except asyncio.CancelledError as error:
            if not is_cancelled():
                self._abort(foreign_cancel(error))
                return BulkResult(key, BulkStatus.UNKNOWN, attempts=log.attempts)
            if log.entry is None and self._journal is not None and self._journal.has_history:
                # An earlier run may have sent it, and the journal has not answered yet.
                self._cut_short = True
                raise
            may_be_done = log.maybe_done and not self._operation.reads_only
            status = BulkStatus.UNKNOWN if may_be_done else BulkStatus.NOT_SENT
            result = BulkResult[Key, Result](key, status, attempts=log.attempts)
            if log.entry is not None:
                log.entry.record(result)
            self._record_late(result)
            raise

    async def _claim(self, journal: "Journal", key: Key, change: Any) -> "Entry | None":
        """Return what the journal knows of an item; None if the run stops, and the journal knows or says nothing."""
        if self._broken is not None or (self._stopping and not journal.has_history):
            return None
        try:
            return await journal.claim(key, change)
        except JournalError as error:
            if journal.error is None:
                self._abort(error)
            else:
                # The file cannot be written any more.
                self._stop_if_unwritten()
            return None

    def _unknown_before(self, result: BulkResult[Key, Result], entry: "Entry") -> BulkResult[Key, Result] | None:
        """Return the result of an item that an earlier run may have sent, or None if the reconciler may prove it."""
        before = AttemptLog(attempts=result.attempts, maybe_done=True, unanswered=True, entry=entry)
        kept = self._may_settle() and self._reconciler.add(result, entry.change, before)
        return None if kept else result

    def _failed(self, key: Key, error: WavixError, log: AttemptLog) -> BulkResult[Key, Result]:
        if isinstance(error, InputError):
            return BulkResult(key, BulkStatus.FAILED, error=bare(error))
        self._stop_if_needed(error)
        status = _STATUS[error.outcome]
        if status is BulkStatus.FAILED and isinstance(error, StoppedError | ClientClosedError):
            # The API rejected the attempt only for now, and the stop prevented a retry.
            status = BulkStatus.NOT_SENT
        if log.maybe_done and (self._operation.read is not None or not self._operation.is_refused_always(error)):
            # An earlier attempt may have been carried out; this error is about the last one only.
            status = BulkStatus.UNKNOWN
        if status is BulkStatus.UNKNOWN and self._operation.reads_only:
            stopped = isinstance(error, StoppedError | ClientClosedError)
            status = BulkStatus.NOT_SENT if stopped else BulkStatus.FAILED
        reason: WavixError | None = error
        if isinstance(error, StoppedError) and status is BulkStatus.NOT_SENT:
            reason = self._stopped_by
        return BulkResult(key, status, error=reason and bare(reason), attempts=log.attempts)

    def _stop_if_needed(self, error: WavixError | None) -> None:
        """Stop the run at an error that all other items would get too."""
        if error is None or self._stopping:
            return
        concerns = self._operation.concern_of(error)
        if concerns == "item":
            return
        # A pause that is too long for one item is too long for all.
        pause = isinstance(error, RateLimitError) and self._limits().paused_for > 0
        outage = self._sender.has_given_up and (error.retryable or isinstance(error, OutcomeUnknownError))
        if pause or outage or concerns == "run":
            self._stopped_by = error
            self._halt()
            # The account may send nothing more, but it may still read what it has sent.
            self._may_prove = self._operation.once is not None and isinstance(error, _SENDING_REFUSED)
            self._pool.end_within(_READ_ON)

    def _may_settle(self) -> bool:
        """Return whether the run still finds out how items ended."""
        return not self._stopping or self._may_prove

    # --- results ---

    def _count(self, result: BulkResult[Key, Result]) -> None:
        status = result.status
        self._counts[status] += 1
        if self._journal is not None:
            self._stop_if_unwritten()
        if status is self._operation.success:
            if self._operation.cost is not None:
                self._add_charge(result, self._operation.cost)
            return
        if status is not BulkStatus.NOT_SENT or (result.error is not None and result.error is not self._stopped_by):
            self._failures.add(result)
            self._stop_if_unwritten()

    def _add_charge(self, result: BulkResult[Key, Result], cost: Callable[[Result], Decimal | None]) -> None:
        charge = None if result.value is None else cost(result.value)
        if charge is None:
            self._without_charge += 1
        else:
            self._charged += charge

    def _stop_if_unwritten(self) -> None:
        """Stop the run if the file of failures, or the journal, cannot be written: later outcomes would be lost."""
        error = self._failures.write_error or (None if self._journal is None else self._journal.error)
        if error is not None and self._stopped_by is None:
            self._stopped_by = error
            if not self._stopping:
                self._halt()
                self._pool.end_within(_READ_ON)

    def _tell_progress_now_and_then(self) -> None:
        if self._on_progress is not None and asyncio.get_running_loop().time() - self._last_progress >= _PROGRESS_EVERY:
            self._tell_progress()

    def _tell_progress(self) -> None:
        if self._on_progress is not None:
            self._last_progress = asyncio.get_running_loop().time()
            try:
                self._on_progress(self.progress)
            except Exception:
                if not self._progress_failed:
                    self._progress_failed = True
                    logger.exception("on_progress failed")


_STATUS: Final = {
    "not_sent": BulkStatus.NOT_SENT,
    "rejected": BulkStatus.FAILED,
    "unknown": BulkStatus.UNKNOWN,
}


def _journal_of(path: Any, operation: BulkOperation[Any, Any, Any], client: "BaseClient") -> "Journal | None":
    if operation.once is None:
        if path is not None:
            raise ConfigurationError(f"{operation.name} keeps no journal: leave out journal.")
        return None
    # Only a run that keeps books loads sqlite.
    from wavix_async.bulk._journal import Journal

    return Journal(path, operation, client._account)


def _check_hash(name: str, key: Any) -> None:
    try:
        hash(key)
    except TypeError:
        raise InputError(f"the {name} of an item must be hashable, got {key!r}.") from None


def _may_change(result: BulkResult) -> bool:
    """Return whether a result may not be final: it is unknown, or there was no connection and may be one later."""
    never_left = result.status is BulkStatus.NOT_SENT and isinstance(result.error, ConnectError)
    return never_left or result.status is BulkStatus.UNKNOWN
