"""`ValidationRun`: the engine of `validation.run`. Loaded by the first such run.

The run reads numbers, and sends them in asynchronous batches. A batch is in flight from the moment at which the run
begins to read its numbers until the caller has taken its last result; the run has only `concurrency` of them, so its
memory does not depend on how many numbers there are. `SeenKeys` finds second occurrences.

A batch is one item of the bulk journal. Its entry is on the disk before its request leaves, and gets the id of the
batch when the API has answered. So a later run of the journal knows for each batch that it was not sent, that it was
sent and can be read, or that it may have been sent; and it sends only the first kind. This needs the same batches, and
they depend on nothing but the numbers and their order.
"""

import asyncio
import inspect
import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Generator, Iterable, Iterator, Sized
from contextlib import aclosing
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

import attrs

from wavix_async._aio.unawaited import UnawaitedGuard
from wavix_async._codec import from_dict, to_dict
from wavix_async._http import BaseClient, Operation, check_intervals
from wavix_async._instrumentation.events import AttemptEvent, BulkEvent, Event
from wavix_async._instrumentation.logs import logger
from wavix_async.bulk import BulkOperation, BulkProgress, BulkReport, BulkResult, BulkStatus, OncePerKey
from wavix_async.bulk._coroutine import TaskCoroutine
from wavix_async.bulk._failure_log import FailureLog
from wavix_async.bulk._journal import Journal
from wavix_async.bulk._results import bare
from wavix_async.bulk._seen import SeenKeys
from wavix_async.config import check_count
from wavix_async.errors import (
    APIError,
    ConfigurationError,
    InputError,
    JournalError,
    OutcomeUnknownError,
    RateLimitError,
    WaitTimeoutError,
    WavixError,
)
from wavix_async.models._checks import phone
from wavix_async.models.validation import (
    MOST_NUMBERS,
    PhoneValidation,
    PhoneValidationBatch,
    PhoneValidationBatchCreate,
    ValidationStatus,
    ValidationType,
)

__all__ = ["ValidationRun"]

_NO_FUNDS: Final = "insufficient funds"
_NO_FUNDS_CODE: Final = "091"
_LOOKUP_FAILED: Final = {
    "013": "The API had an internal error.",
    "041": "The lookup took too long.",
    "042": "The lookup failed.",
    _NO_FUNDS_CODE: "The account has insufficient funds.",
}
_DONE: Final = BulkStatus.DONE


@attrs.define(eq=False)
class _Batch:
    """Some numbers of the input."""

    no: int
    given: list[tuple[Any, str | InputError]] = attrs.Factory(list)
    """Each number as the caller has given it, with its digits, or why it is not sent."""
    count: int = 0
    """How many numbers are to be sent."""
    attempts: int = 0
    may_be_sent: bool = False
    found: dict[str, PhoneValidation] = attrs.Factory(dict)
    """The results by the digits of the number."""
    missing: tuple[BulkStatus, WavixError | None] = (BulkStatus.NOT_SENT, None)
    """How numbers without a result have ended."""

    def keep(self, answer: PhoneValidationBatch) -> None:
        """Keep the results of an answer, which may be in any order."""
        for item in answer.items or ():
            if isinstance(item, PhoneValidation):
                for text in (item.e164_format, item.phone_number):
                    if text is not None:
                        self.found[phone(str(text), plus=False)] = item

    def results(self) -> Iterator[BulkResult[Any, PhoneValidation]]:
        """Yield the result of each number, in the order of the input."""
        status, error = self.missing
        for given, digits in self.given:
            if isinstance(digits, InputError):
                yield BulkResult(given, BulkStatus.FAILED, error=digits)
            elif (item := self.found.get(digits)) is None:
                yield BulkResult(given, status, error=error, attempts=self.attempts)
            elif (reason := _LOOKUP_FAILED.get(str(item.error_code))) is not None:
                failed = APIError(reason, code=str(item.error_code), retryable=True)
                yield BulkResult(given, BulkStatus.FAILED, None, failed, self.attempts)
            else:
                yield BulkResult(given, _DONE, item, None, self.attempts)


class ValidationRun(TaskCoroutine[BulkReport[str, PhoneValidation]]):
    """A run of `validation.run`, which starts when you await it or iterate over it.

    `await run` returns the `BulkReport`. `async for result in run` yields a `BulkResult` for each number, whose `id` is
    the number as given and whose `value` is its `PhoneValidation`; `report` then has the report. A run runs only once.
    """

    makes_many_calls: Final = True
    """For `WavixClient.receipt`, which takes one call."""

    def __init__(
        self,
        client: BaseClient,
        numbers: Iterable[str] | AsyncIterable[str],
        *,
        create: Operation[PhoneValidationBatch],
        wait: Callable[[BaseClient, str], Awaitable[PhoneValidationBatch]],
        type: ValidationType | str,  # noqa: A002 - the name on the wire
        force: bool,
        concurrency: int,
        batch_size: int,
        in_order: bool,
        journal: Any,
        limits: tuple[tuple[float, float], float | None],
        failures_to: Any,
        on_progress: Callable[[BulkProgress], object] | None,
    ) -> None:
        super().__init__()
        if isinstance(numbers, str | bytes) or not isinstance(numbers, Iterable | AsyncIterable):
            raise InputError(f"numbers must be an iterable of phone numbers, got {numbers.__class__.__name__}.")
        if on_progress is not None and (not callable(on_progress) or inspect.iscoroutinefunction(on_progress)):
            raise ConfigurationError(f"on_progress must be a function that is not async, got {on_progress!r}.")
        check_intervals(*limits)
        # Of one number: only to check the other arguments.
        self._template = PhoneValidationBatchCreate(phone_numbers=("0",), type=type, force=force, async_=True)
        self._numbers = numbers
        self._total = len(numbers) if isinstance(numbers, Sized) else None
        self._create, self._wait = create, wait
        self._base = client
        self._client = client
        self._places = asyncio.Semaphore(check_count("concurrency", concurrency))
        self._size = check_count("batch_size", batch_size)
        if batch_size > MOST_NUMBERS:
            raise ConfigurationError(f"batch_size must be at most {MOST_NUMBERS:,}, got {batch_size:,}.")
        self._in_order = in_order
        self._on_progress = on_progress
        self._failures = FailureLog(failures_to)
        self._operation = _operation(create)
        self._journal = None if journal is None else Journal(journal, self._operation, client._account)
        self._seen = SeenKeys()
        self._in_flight: dict[int, _Batch] = {}
        self._ended: asyncio.Queue[_Batch | None] = asyncio.Queue()
        self._counts: Counter[BulkStatus] = Counter()
        self._requests = self._rate_limited = self._without_charge = 0
        self._charged = Decimal(0)
        self._stopped_by: WavixError | None = None
        self._stopping = self._cut_short = False
        self._broken: Exception | None = None
        self._began: float | None = None
        self._end: float | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._unawaited = UnawaitedGuard(
            f"run of {create.name} was never awaited, so it sent nothing: await it, or iterate over it."
        )

    # --- public API ---

    def __await__(self) -> Generator[Any, None, BulkReport[str, PhoneValidation]]:
        return self._finish().__await__()

    async def __aiter__(self) -> AsyncGenerator[BulkResult[str, PhoneValidation], None]:
        async with aclosing(self._run()) as batches:
            async for batch in batches:
                for result in batch.results():
                    yield result

    @property
    def report(self) -> BulkReport[str, PhoneValidation]:
        """The report so far; after the end, the report that `await run` returns."""
        counts = self._counts
        return BulkReport(
            succeeded=counts[_DONE],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN],
            not_sent=counts[BulkStatus.NOT_SENT],
            failures=list(self._failures.first),
            requests=self._requests,
            rate_limited=self._rate_limited,
            elapsed=self._elapsed(),
            stopped_by=self._stopped_by,
            cut_short=self._cut_short,
            success=_DONE,
            failures_by_kind=Counter(self._failures.by_kind),
            charged=self._charged,
            without_charge=self._without_charge,
        )

    @property
    def progress(self) -> BulkProgress:
        """The current progress."""
        counts, limit = self._counts, self._base.limits.snapshot(self._create.limit_group)
        return BulkProgress(
            total=self._total,
            done=counts.total(),
            succeeded=counts[_DONE],
            failed=counts[BulkStatus.FAILED],
            unknown=counts[BulkStatus.UNKNOWN],
            not_sent=counts[BulkStatus.NOT_SENT],
            requests=self._requests,
            rate_limited=self._rate_limited,
            elapsed=self._elapsed(),
            rate=limit.rate,
            paused_for=limit.paused_for,
            success=_DONE,
        )

    def stop(self) -> None:
        """End the run gracefully: send no more batches, and wait for the results of those that were sent.

        The other numbers of a collection with a length are `not_sent`; of any other input, the run reads no more.
        """
        self._stopping = True
        self._unawaited.cancel()

    def close(self) -> None:
        """Close the current task's iterator, as a coroutine does. A run closed before its start does not warn."""
        self._unawaited.cancel()
        super().close()

    def __repr__(self) -> str:
        of = "" if self._total is None else f" of {self._total:,}"
        return f"<ValidationRun: {self._counts.total():,}{of} done>"

    def _repr_html_(self) -> str:
        return self.progress._repr_html_()

    # --- the run ---

    async def _finish(self) -> BulkReport[str, PhoneValidation]:
        if self._end is None and self._began is not None:
            # Another task runs it.
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._end is None:
            async for _ in self._run():
                pass
        return self.report

    async def _run(self) -> AsyncGenerator[_Batch, None]:
        """Yield each batch when it has ended, or in the order of the input; count it before."""
        if self._began is not None:
            raise InputError("This run has already started, and a run can be iterated only once. Make a new run.")
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self._unawaited.cancel()
        # Not before the start: the reference back to the run would delay the warning of a run that is never awaited.
        self._client = self._base.with_options(lane="bulk", observers=(self._observe,))
        work: asyncio.Task[None] | None = None
        try:
            self._failures.open()
            if self._journal is not None:
                await self._journal.open(None)
            work = asyncio.ensure_future(self._work())
            ready: dict[int, _Batch] = {}
            next_no = 0
            while (batch := await self._ended.get()) is not None:
                ready[batch.no] = batch
                while ready and (not self._in_order or next_no in ready):
                    first = ready.pop(next_no if self._in_order else batch.no)
                    next_no += 1
                    self._count(first)
                    yield first
                    self._places.release()
            await work
        finally:
            await self._close(work)

    async def _work(self) -> None:
        """Read all numbers, and start a task for each batch."""
        try:
            async with asyncio.TaskGroup() as group, aclosing(self._batches()) as batches:
                try:
                    async for batch in batches:
                        group.create_task(self._validate(batch))
                except Exception as error:
                    # The input is broken, and what was sent is paid for: read its results first.
                    self._abort(error)
        finally:
            self._ended.put_nowait(None)
        if self._broken is not None:
            raise self._broken

    async def _close(self, work: "asyncio.Task[None] | None") -> None:
        try:
            if work is not None and not work.done():
                self._cut_short = True
                work.cancel()
                await asyncio.wait([work])
            if work is not None and not work.cancelled():
                work.exception()  # `_run` has raised it, unless the caller has left
            for batch in tuple(self._in_flight.values()):
                # The run was cancelled, or the caller has left its loop.
                if batch.missing[0] is BulkStatus.NOT_SENT and batch.may_be_sent:
                    batch.missing = BulkStatus.UNKNOWN, None
                self._count(batch)
        finally:
            self._seen.close()
            self._failures.close()
            if self._journal is not None:
                await self._journal.close()
            self._end = asyncio.get_running_loop().time()
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self._tell_progress()
            report = self.report
            self._base.observers.notify(
                BulkEvent(
                    operation=self._create.name,
                    updated=report.succeeded,
                    failed=report.failed,
                    unknown=report.unknown,
                    not_sent=report.not_sent,
                    requests=report.requests,
                    rate_limited=report.rate_limited,
                    elapsed=report.elapsed,
                    stopped_by=None if self._stopped_by is None else type(self._stopped_by).__name__,
                )
            )

    # --- the input ---

    async def _batches(self) -> AsyncGenerator[_Batch, None]:
        """Yield the batches of the input. They depend only on the numbers and their order, and not on time."""
        source = _Pieces(self._numbers)
        try:
            no, is_over = 0, False
            while not is_over:
                await self._places.acquire()
                if self._stopping and self._total is None:
                    self._cut_short = True
                    return
                batch = self._in_flight[no] = _Batch(no)
                # A batch also ends when it has as many numbers that are not sent: there may be no others.
                while batch.count < self._size and len(batch.given) - batch.count < self._size and not is_over:
                    piece = await source.read(self._size - batch.count)
                    is_over = not piece
                    await self._add(batch, piece)
                if batch.given:
                    no += 1
                    yield batch
                else:
                    del self._in_flight[no]
        finally:
            await source.close()

    async def _add(self, batch: _Batch, piece: list[Any]) -> None:
        read = [(given, _digits(given)) for given in piece]
        new = await self._seen.add([digits for _, digits in read if isinstance(digits, str)])
        for given, digits in read:
            if isinstance(digits, InputError):
                batch.given.append((given, digits))
            elif digits in new:
                new.discard(digits)
                batch.count += 1
                batch.given.append((given, digits))
            else:
                twice = InputError(f"the number {given!r} occurs twice; it is validated once.")
                batch.given.append((given, twice))

    # --- one batch ---

    async def _validate(self, batch: _Batch) -> None:
        """Send a batch unless an earlier run has, and wait for its results."""
        if batch.count:
            try:
                answer = await self._send(batch)
                if answer is not None:
                    await self._read(batch, answer)
            except WavixError as error:
                batch.missing = BulkStatus.UNKNOWN, bare(error)
            except Exception as error:
                # Not an API or network error but a bug: the numbers still get an outcome.
                batch.missing = BulkStatus.UNKNOWN, None
                self._abort(error)
        self._ended.put_nowait(batch)

    async def _send(self, batch: _Batch) -> PhoneValidationBatch | None:
        """Return the answer of the API to a batch, now or in an earlier run; None: the batch has ended without one."""
        numbers = tuple(digits for _, digits in batch.given if isinstance(digits, str))
        body = attrs.evolve(self._template, phone_numbers=numbers)
        entry = None
        if self._journal is not None:
            try:
                entry = await self._journal.claim(batch.no, body)
            except JournalError as error:
                self._abort(error)
                raise
            if entry.ended is not None:
                before = entry.ended
                batch.attempts, batch.missing = before.attempts, (before.status, before.error)
                return before.value if before.ok else None
        if self._stopping:
            batch.missing = BulkStatus.NOT_SENT, self._stopped_by
            return None
        try:
            if entry is not None:
                await entry.write_sending()
            batch.may_be_sent = True
            batch.attempts = 1
            answer = await self._client.call(self._create, body=body)
        except WavixError as error:
            batch.missing = _status_of(error) if batch.may_be_sent else BulkStatus.NOT_SENT, bare(error)
            batch.attempts = error.attempts
            if self._operation.concern_of(error) == "run":
                self._halt(error)
            if entry is not None:
                entry.record(BulkResult(batch.no, batch.missing[0], None, error, batch.attempts))
            return None
        if entry is not None:
            entry.record(BulkResult(batch.no, _DONE, answer, None, 1))
        return answer

    async def _read(self, batch: _Batch, answer: PhoneValidationBatch) -> None:
        """Read the results of a batch that the API has accepted."""
        batch.missing = BulkStatus.UNKNOWN, None
        batch.keep(answer)
        request_id = answer.id
        if request_id is not None and not answer.is_final:
            try:
                answer = await self._wait(self._client, request_id)
            except WaitTimeoutError as error:
                if isinstance(error.last, PhoneValidationBatch):
                    batch.keep(error.last)
                batch.missing = BulkStatus.UNKNOWN, bare(error)
                return
            batch.keep(answer)
        words = "The API's results lack this number."
        if answer.status is not None and answer.status != ValidationStatus.SUCCESS:
            words = f"The API calls this batch {str(answer.status)!r}, and has no result for this number."
        batch.missing = BulkStatus.UNKNOWN, OutcomeUnknownError(words)

    # --- the end of the run, and the report ---

    def _abort(self, error: Exception) -> None:
        """End the run with an error that is not about one batch; a later one does not hide it."""
        self._broken, self._stopping = self._broken or error, True

    def _halt(self, error: WavixError) -> None:
        if self._stopped_by is None and not self._stopping:
            self._stopped_by = bare(error)
        self._stopping = True

    def _count(self, batch: _Batch) -> None:
        del self._in_flight[batch.no]
        for result in batch.results():
            status, error = result.status, result.error
            self._counts[status] += 1
            if error is not None and error.code == _NO_FUNDS_CODE:
                self._halt(error)
            if not result.ok and (status is not BulkStatus.NOT_SENT or error not in (None, self._stopped_by)):
                self._failures.add(result)
        if self._failures.write_error is not None:
            self._halt(self._failures.write_error)
        for item in {id(item): item for item in batch.found.values()}.values():
            charge: object = item.charge
            if isinstance(charge, Decimal):
                self._charged += charge
            else:
                self._without_charge += 1
        self._tell_progress()

    def _observe(self, event: Event) -> None:
        if isinstance(event, AttemptEvent):
            self._requests += 1
            self._rate_limited += event.status == 429

    def _elapsed(self) -> float:
        if self._began is None:
            return 0.0
        return (asyncio.get_running_loop().time() if self._end is None else self._end) - self._began

    def _tell_progress(self) -> None:
        if self._on_progress is not None:
            try:
                self._on_progress(self.progress)
            except Exception:
                logger.exception("on_progress failed")


class _Pieces:
    """Read an iterable or an async iterable in pieces."""

    def __init__(self, numbers: Iterable[Any] | AsyncIterable[Any]) -> None:
        self._async = aiter(numbers) if isinstance(numbers, AsyncIterable) else None
        self._plain = None if isinstance(numbers, AsyncIterable) else iter(numbers)

    async def read(self, most: int) -> list[Any]:
        """Return the next numbers, at most so many; an empty list is the end."""
        piece: list[Any] = []
        if self._async is not None:
            async for each in self._async:
                piece.append(each)
                if len(piece) == most:
                    break
        elif self._plain is not None:
            for each in self._plain:
                piece.append(each)
                if len(piece) == most:
                    break
        return piece

    async def close(self) -> None:
        """Close a generator, so that it runs its cleanup code."""
        if isinstance(self._async, AsyncGenerator):
            await self._async.aclose()
        elif isinstance(self._plain, Generator):
            self._plain.close()


def _digits(given: object) -> str | InputError:
    if not isinstance(given, str):
        return InputError(f"a phone number must be a string, got {type(given).__name__}.")
    digits = phone(given, plus=False)
    return digits if digits.strip() else InputError("the phone number is empty.")


def _status_of(error: WavixError) -> BulkStatus:
    if error.outcome == "rejected":
        return BulkStatus.FAILED
    return BulkStatus.NOT_SENT if error.outcome == "not_sent" else BulkStatus.UNKNOWN


def _concerns(error: WavixError) -> Literal["run"] | None:
    """Return whether all other batches would get this error, too."""
    no_funds = error.outcome == "rejected" and _NO_FUNDS in (error.reason or "").lower()
    # The client has repeated what it may: whatever it could not send, it cannot send now.
    return "run" if no_funds or error.outcome == "not_sent" or isinstance(error, RateLimitError) else None


async def _prove(_client: Any, _change: object, _since: datetime | None) -> None:
    """Return nothing: no operation lists the batches."""


def _operation(create: Operation[PhoneValidationBatch]) -> BulkOperation[int, PhoneValidationBatchCreate, Any]:
    """Return what the journal needs to know of batches."""

    async def send(_client: Any, _no: int, _change: PhoneValidationBatchCreate) -> None:
        raise NotImplementedError  # the run sends

    return BulkOperation(
        name=create.name,
        check=lambda _key, _change: None,
        send=send,
        once=OncePerKey(
            mark=lambda change, _: change,
            mark_of=lambda _: None,
            prove=_prove,
            save=lambda answer: json.dumps(to_dict(answer)),
            load=lambda text: from_dict(PhoneValidationBatch, json.loads(text)),
        ),
        concerns=_concerns,
        success=_DONE,
        change_type=PhoneValidationBatchCreate,
        key_name="batch",
        noun="batch",
        argument="numbers",
    )
