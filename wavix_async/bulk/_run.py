"""The engine of a bulk run: a few workers, one semaphore, one outcome for each input.

A fixed set of workers pulls from the input, so memory depends on the concurrency and not on how much there is to do.
The semaphore is held by attempts on the wire only. While an item backs off its worker is idle; for each of those one
more worker is started, so that the slots stay full, and ends when it is no longer needed.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final

import attrs

from wavix_async._aio.stop import StopSignal
from wavix_async._http import REQUEST_ERROR_STATUSES
from wavix_async._instrumentation.events import BulkEvent, BulkStart
from wavix_async._instrumentation.logs import logger
from wavix_async.bulk._attempts import Tries
from wavix_async.bulk._input import END, Source, as_pair
from wavix_async.bulk._keyed_lock import Turns
from wavix_async.bulk._reconciler import Doubts
from wavix_async.bulk._results import KEY_REFUSED, BulkProgress, BulkReport, BulkResult, BulkStatus, bare
from wavix_async.bulk._sender import Delivery, Work
from wavix_async.config import check_count
from wavix_async.errors import (
    ClientClosedError,
    ConnectError,
    InputError,
    RateLimitError,
    StoppedError,
    WavixError,
)

if TYPE_CHECKING:
    from wavix_async._http import BaseClient

__all__ = ["BulkRun"]

# A `StoppedError` that the run did not cause: the client that it was made from was told to stop.
_STOPPERS: Final = (*KEY_REFUSED, ClientClosedError, StoppedError)
_MOST_WORKERS: Final = 16
_PROGRESS_EVERY: Final = 0.1
_READ_ON: Final = 30.0
_READ_AT_LEAST: Final = 0.25
_LAST_WORD: Final = 0.01


class BulkRun:
    """A bulk update that has been described and starts when it is awaited or iterated.

    `await run` gives the `BulkReport`; `async for result in run` gives each `BulkResult` as it lands (and `await run`
    after it the report). A run runs once. When the awaiting task is cancelled the run ends at once, and `report` tells
    what had happened until then; `stop()` ends it in order.
    """

    def __init__(
        self,
        client: "BaseClient",
        updates: Any,
        *,
        work: Work,
        concurrency: int,
        batch: Any,
        on_progress: Callable[[BulkProgress], object] | None,
    ) -> None:
        self._concurrency = check_count("concurrency", concurrency)
        self._stop = StopSignal()
        self._delivery = Delivery(client, work, self._concurrency, batch, self._stop, self._somebody_backs_off)
        self._source = Source(updates, work.check)
        self._base = client
        self._work = work
        self._on_progress = on_progress
        self._counts: Counter[BulkStatus] = Counter()
        self._failures: list[BulkResult] = []
        self._stopped_by: WavixError | None = None
        self._broken: BaseException | None = None
        self._stopping = False
        self._workers: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        self._results: asyncio.Queue[BulkResult | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._began: float | None = None
        self._ended: float | None = None
        self._told = 0.0
        self._progress_failed = False
        self._late: list[BulkResult] = []
        self._doubts = Doubts(self._delivery.read, self._delivery.send_again, self._stop, client.clock)
        self._give_up_at: float | None = None
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        self._cut_short = False

    # --- the face ---

    def __await__(self) -> Generator[Any, None, BulkReport]:
        return self._finish().__await__()

    async def __aiter__(self) -> AsyncGenerator[BulkResult, None]:
        if self._task is not None:
            raise InputError("This bulk run has been started already: a run can be iterated once. Make a new one.")
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

    @property
    def report(self) -> BulkReport:
        """What has happened so far; after the end, the report that `await run` gives."""
        counts, doubts = self._counts, self._doubts.results()
        return BulkReport(
            updated=counts[BulkStatus.UPDATED],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN] + sum(each.status is BulkStatus.UNKNOWN for each in doubts),
            not_sent=counts[BulkStatus.NOT_SENT] + sum(each.status is BulkStatus.NOT_SENT for each in doubts),
            failures=[*self._failures, *doubts],
            requests=self._delivery.requests,
            rate_limited=self._delivery.rate_limited,
            elapsed=self._elapsed(),
            stopped_by=self._stopped_by,
            cut_short=self._cut_short,
        )

    @property
    def progress(self) -> BulkProgress:
        """Where the run stands at this moment."""
        counts, limit = self._counts, self._base.limits.snapshot()
        return BulkProgress(
            total=self._source.total,
            done=counts.total(),
            updated=counts[BulkStatus.UPDATED],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN],
            not_sent=counts[BulkStatus.NOT_SENT],
            requests=self._delivery.requests,
            rate_limited=self._delivery.rate_limited,
            elapsed=self._elapsed(),
            rate=limit.rate,
            paused_for=limit.paused_for,
        )

    def stop(self, grace: float = 5.0) -> None:
        """End the run in order: send nothing more, let what is on the wire finish, report the rest as not sent.

        Args:
            grace: Seconds until what has not finished is given up; it is reported as `unknown` if it was sent. A
                generator is read on for as long, to name its rest; `cut_short` tells if that was not enough.
        """
        self._halt()
        if self._task is not None and not self._task.done():
            self._end_within(grace)

    # --- start and end ---

    async def _finish(self) -> BulkReport:
        task = self._task or self._start()
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            # Whoever left `async for` has ended the run, and may ask for its report all the same.
            if not task.cancelled() or _is_cancelled():
                raise
        finally:
            await self._end(task)
        return self.report

    def _start(self) -> asyncio.Task[None]:
        self._task = asyncio.ensure_future(self._run())
        return self._task

    async def _end(self, task: asyncio.Task[None]) -> None:
        """Make sure that nothing of the run is left, however the caller went."""
        if not task.done():
            task.cancel()
            await asyncio.wait([task])

    def _elapsed(self) -> float:
        if self._task is None or self._began is None:
            return 0.0
        return (self._task.get_loop().time() if self._ended is None else self._ended) - self._began

    async def _run(self) -> None:
        observers = self._base.observers
        if not observers.trace_bulk:
            await self._carry_out()
            return
        start = BulkStart(operation=self._work.operation, total=self._source.total, concurrency=self._concurrency)
        with observers.around_bulk(start):
            await self._carry_out()

    async def _carry_out(self) -> None:
        loop = asyncio.get_running_loop()
        self._began = self._told = loop.time()
        try:
            await self._staff(self._labour, self._source.total)
            self._doubts.begin()
            await self._staff(self._settle_doubts, len(self._doubts))
            self._give_up_doubts()
            if self._results is not None:
                for result in self._late:
                    await self._results.put(result)
            await self._skip_rest()
        finally:
            await self._clean_up()
            self._ended = loop.time()
            self._tell_progress()
            self._base.observers.notify(self._end_event())
        if self._broken is not None:
            raise self._broken

    def _end_event(self) -> BulkEvent:
        counts, error = self._counts, self._broken or self._stopped_by
        return BulkEvent(
            operation=self._work.operation,
            updated=counts[BulkStatus.UPDATED],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN],
            not_sent=counts[BulkStatus.NOT_SENT],
            requests=self._delivery.requests,
            rate_limited=self._delivery.rate_limited,
            elapsed=self._elapsed(),
            stopped_by=None if error is None else type(error).__name__,
        )

    async def _staff(self, work: Callable[[], Coroutine[Any, Any, None]], most: int | None) -> None:
        """Have as many workers as there are places do their work to its end."""
        for _ in range(self._delivery.in_hand if most is None else min(self._delivery.in_hand, most)):
            self._hire(work)
        while self._workers:
            await asyncio.wait(self._workers, timeout=None if self._on_progress is None else _PROGRESS_EVERY)
            self._tell_progress_now_and_then()

    async def _clean_up(self) -> None:
        """Leave no worker behind, and no input that could still be counted without an outcome."""
        self._halt()
        self._drop_timers()
        await self._delivery.close()
        if self._workers:
            self._cancel_workers()
            await asyncio.wait(self._workers)
        self._give_up_doubts()
        if self._source.total is not None:
            self._counts[BulkStatus.NOT_SENT] += max(0, self._source.total - self._counts.total())
        self._cut_short = self._cut_short or self._source.broken_off
        await self._source.close()

    def _halt(self) -> None:
        self._stopping = True
        self._stop.set()

    def _break_off(self, error: BaseException) -> None:
        self._broken = error
        self._halt()

    def _end_within(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._give_up_at = loop.time() + seconds
        # Who waits for a batch learns from it what has become of him, and ends by himself.
        self._drop_timers()
        self._timers = (
            loop.call_at(self._give_up_at, self._delivery.cancel),
            loop.call_at(self._give_up_at + _LAST_WORD, self._cancel_workers),
        )

    def _drop_timers(self) -> None:
        """Cancel the timers of an end: they would keep the whole run alive."""
        for timer in self._timers:
            timer.cancel()

    def _cancel_workers(self) -> None:
        for worker in self._workers:
            worker.cancel()

    async def _skip_rest(self) -> None:
        """Name the inputs that a stop has left; a generator may have no end, so it is read on for a while only."""
        if not self._stopping or self._broken is not None:
            return
        loop = asyncio.get_running_loop()
        until = None
        if self._source.total is None:
            # Those on the wire may have used up the grace; most inputs are read in no time.
            until = max(self._give_up_at or 0.0, loop.time() + _READ_AT_LEAST)
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
                number_id, _ = as_pair(item)
            except InputError:
                number_id = item
            result = BulkResult(number_id, BulkStatus.NOT_SENT, error=self._stopped_by)
            self._count(result)
            if self._results is not None:
                await self._results.put(result)
            elif self._counts.total() % 1000 == 0:
                # A plain generator of a million must not keep everybody else waiting.
                await asyncio.sleep(0)
        self._cut_short = True

    # --- workers ---

    def _hire(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        worker = asyncio.ensure_future(work())
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _labour(self) -> None:
        item = self._delivery.new_tries()
        while not self._stopping and not self._leave_if_too_many():
            try:
                pulled = await self._source.pull()
            except Exception as error:
                self._broken, self._stopping = error, True
                return
            except asyncio.CancelledError as error:
                if _is_cancelled():
                    raise
                self._broken, self._stopping = _foreign_cancel(error), True
                return
            if pulled is END:
                return
            item.begin()
            result = await self._handle(pulled, item)
            if result is not None:
                await self._land(result)

    def _somebody_backs_off(self) -> None:
        if not self._stopping and len(self._workers) < self._concurrency * _MOST_WORKERS:
            self._hire(self._labour)

    def _leave_if_too_many(self) -> bool:
        """Tell a worker to leave; who backs off has a substitute, unless everybody does."""
        if len(self._workers) <= self._delivery.in_hand + self._delivery.substitutes:
            return False
        task = asyncio.current_task()
        assert task is not None
        # At once, so that nobody else leaves for the same reason.
        self._workers.discard(task)
        return True

    async def _settle_doubts(self) -> None:
        while not self._stopping and (number_id := self._doubts.next_id()) is not None:
            try:
                result = await self._doubts.settle(number_id)
            except Exception as error:
                self._break_off(error)
                return
            self._stop_if_needed(result.error)
            await self._land(result)

    def _give_up_doubts(self) -> None:
        for result in self._doubts.give_up():
            self._land_late(result)

    async def _land(self, result: BulkResult) -> None:
        """Give a result its place in the counts, and to whoever iterates."""
        self._count(result)
        if self._results is not None:
            try:
                await self._results.put(result)
            except asyncio.CancelledError:
                self._late.append(result)
                raise
        self._tell_progress_now_and_then()

    def _land_late(self, result: BulkResult) -> None:
        """Count a result now, and hand it out when there is time for it."""
        self._count(result)
        self._late.append(result)

    async def _handle(self, pulled: Any, item: Tries) -> BulkResult | None:
        """Return how an input ended, or None where that is in doubt and will be settled."""
        named: Any = pulled[0] if isinstance(pulled, tuple | list) and pulled else pulled
        try:
            number_id, update = as_pair(pulled)
            if not self._source.checked:
                self._work.check(number_id, update)
        except InputError as error:
            return BulkResult(named, BulkStatus.FAILED, error=error)
        except Exception as error:
            wrong = InputError(f"the item is no pair (id, NumberUpdate): {type(error).__name__}.")
            return BulkResult(named, BulkStatus.FAILED, error=wrong)
        try:
            await self._turns.take(number_id)
            try:
                if number_id in self._doubts and not self._stopping:
                    await self._land(await self._doubts.settle(number_id))
                if self._stopping:
                    return BulkResult(number_id, BulkStatus.NOT_SENT, error=self._stopped_by)
                number = await self._delivery.send(number_id, update, item)
                return BulkResult(number_id, BulkStatus.UPDATED, number, None, item.attempts)
            except WavixError as error:
                result = self._failed(number_id, error, item)
                if self._stopping or not _may_change(result):
                    return result
                self._doubts.add(result, update, attrs.evolve(item, backing_off=False))
                return None
            finally:
                self._turns.leave(number_id)
                self._delivery.resumed(item)
        except Exception as error:
            # Not an error of the API or of the network, so a defect: it must not cost the input its outcome.
            self._break_off(error)
            return BulkResult(number_id, BulkStatus.UNKNOWN, attempts=item.attempts)
        except asyncio.CancelledError as error:
            if not _is_cancelled():
                self._break_off(_foreign_cancel(error))
                return BulkResult(number_id, BulkStatus.UNKNOWN, attempts=item.attempts)
            status = BulkStatus.UNKNOWN if item.maybe_done else BulkStatus.NOT_SENT
            self._land_late(BulkResult(number_id, status, attempts=item.attempts))
            raise

    def _failed(self, number_id: int, error: WavixError, item: Tries) -> BulkResult:
        if isinstance(error, InputError):
            return BulkResult(number_id, BulkStatus.FAILED, error=error)
        self._stop_if_needed(error)
        status = _STATUS[error.outcome]
        if status is BulkStatus.FAILED and isinstance(error, StoppedError | ClientClosedError):
            # Refused for now, and not sent again.
            status = BulkStatus.NOT_SENT
        if item.maybe_done and error.status not in REQUEST_ERROR_STATUSES:
            # Of an earlier call, before an outage: this error tells of the last one only.
            status = BulkStatus.UNKNOWN
        told: WavixError | None = error
        if isinstance(error, StoppedError) and status is BulkStatus.NOT_SENT:
            told = self._stopped_by
        return BulkResult(number_id, status, error=told and bare(told), attempts=item.attempts)

    def _stop_if_needed(self, error: WavixError | None) -> None:
        """Stop the run at an error that all others would get as well."""
        if error is None or self._stopping:
            return
        # A pause that is too long for one is so for all.
        pause = isinstance(error, RateLimitError) and self._base.limits.snapshot().paused_for > 0
        if pause or isinstance(error, _STOPPERS) or (self._delivery.is_hopeless and error.retryable):
            self._stopped_by = error
            self._halt()
            self._end_within(_READ_ON)

    # --- results ---

    def _count(self, result: BulkResult) -> None:
        status = result.status
        self._counts[status] += 1
        if status is BulkStatus.UPDATED:
            return
        if status is not BulkStatus.NOT_SENT or (result.error is not None and result.error is not self._stopped_by):
            self._failures.append(result)

    def _tell_progress_now_and_then(self) -> None:
        if self._on_progress is not None and asyncio.get_running_loop().time() - self._told >= _PROGRESS_EVERY:
            self._tell_progress()

    def _tell_progress(self) -> None:
        if self._on_progress is not None:
            self._told = asyncio.get_running_loop().time()
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


def _may_change(result: BulkResult) -> bool:
    """Tell whether a result may not be the last word: it is unknown, or what never left could leave later."""
    never_left = result.status is BulkStatus.NOT_SENT and isinstance(result.error, ConnectError)
    return never_left or result.status is BulkStatus.UNKNOWN


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _foreign_cancel(error: asyncio.CancelledError) -> RuntimeError:
    """Return the error for a cancellation that nobody asked of the worker: something that it awaited was cancelled."""
    broken = RuntimeError("Something that the run waited for was cancelled.")
    broken.__cause__ = error
    return broken
