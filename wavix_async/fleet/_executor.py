"""`Executor`: runs one run of a journal, from any state to its end.

A new run, a run whose process was killed and a run that an outage stopped go through the same phases. First the
executor reads back changes with an unknown outcome and records how they ended. Then it checks that the unsent numbers
still have the values that the plan found, and sends their changes. Changes that become unknown are read back, and sent
again if they were not applied. At the end it reads back all changes, if the caller asked to verify.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, suppress
from typing import Final, Literal, TypeAlias

import attrs

from wavix_async import (
    AuthenticationError,
    BulkResult,
    BulkRun,
    BulkStatus,
    NotFoundError,
    NumberUpdate,
    OutcomeUnknownError,
    PaymentRequiredError,
    PermissionDeniedError,
    StoppedError,
    StopSignal,
    WavixClient,
    WavixError,
)
from wavix_async._files import update_from_json
from wavix_async.fleet._account import AccountReader
from wavix_async.fleet._comparison import GONE, Comparison
from wavix_async.fleet._errors import JournalError, SafetyError, StalePlanError
from wavix_async.fleet._journal import DONE, OPEN, UNCERTAIN, UNVERIFIED, Journal, Outcome
from wavix_async.fleet._options import RunOptions
from wavix_async.fleet._records import FleetProgress, FleetStatus, Phase, Sample
from wavix_async.fleet._safety import Breaker

__all__ = ["Executor", "Stale"]

Stale: TypeAlias = Literal["refuse", "skip", "write"]
"""What to do with numbers that another client has changed since the plan was made: refuse the run, leave these numbers
unchanged, or overwrite them."""

_ROUNDS: Final = 5
_CLAIMED_AT_ONCE: Final = 256
_SAVE_EVERY: Final = 0.2
_SAMPLE_EVERY: Final = 1.0
_FIRST_VERIFY_WAIT: Final = 0.5
_LONGEST_VERIFY_WAIT: Final = 2.0
_MOST_LISTED: Final = 1_000
_THIRD_VALUE: Final = ", which is neither the old nor the new value"
"""The end of the reason for an unknown change that the API may have stored in another form."""
_STATUS: Final = {
    each: FleetStatus(each) for each in (BulkStatus.UPDATED, BulkStatus.FAILED, BulkStatus.UNKNOWN, BulkStatus.NOT_SENT)
}
_ACCOUNT_ERRORS: Final = (AuthenticationError, PaymentRequiredError, PermissionDeniedError)


class _PendingChanges:
    """The unsent changes of a journal, as input of a bulk run. The journal marks each as sent before it is yielded.

    Args:
        journal: The run.
        by_change: Whether to yield equal changes one after the other.
    """

    def __init__(self, journal: Journal, *, by_change: bool) -> None:
        self._journal = journal
        self._by_change = by_change
        self.stopped = asyncio.Event()
        """Once set, no more changes are yielded."""
        self._claimed: list[tuple[int, str]] = []
        self._yielded = 0
        # A busy event loop slows the database thread down, so claim the next changes while these are being sent.
        self._next: asyncio.Future[list[tuple[int, str]]] | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[int, NumberUpdate]]:
        self._claim(None)
        while self._next is not None and not self.stopped.is_set():
            claimed = await asyncio.shield(self._next)
            self._claimed, self._yielded, self._next = claimed, 0, None
            if not claimed:
                return
            self._claim(claimed[-1])
            for number_id, after in claimed:
                self._yielded += 1
                yield number_id, update_from_json(after)
                if self.stopped.is_set():
                    return

    async def not_sent(self) -> list[Outcome]:
        """Return outcomes for the changes that were claimed and never yielded."""
        ahead = [] if self._next is None else await self._next
        return [(number_id, "not_sent", 0, None) for number_id, _ in [*self._claimed[self._yielded :], *ahead]]

    def _claim(self, last: tuple[int, str] | None) -> None:
        self._next = asyncio.ensure_future(self._journal.claim(last, _CLAIMED_AT_ONCE, by_change=self._by_change))

    async def close(self) -> None:
        """Wait for a claim that has not finished."""
        if self._next is not None:
            # Ignore its error: the iterator has raised it already, or the run has ended and needs no more changes.
            await asyncio.gather(self._next, return_exceptions=True)


class Executor:
    """Runs one run of a journal.

    Args:
        wavix: The client of the account.
        journal: The run.
        options: The options of the run.
        stale: What to do with numbers that another client has changed since the plan was made.
        on_progress: Called with the progress several times a second.
        requests: The number of requests that were needed to prepare the run.
    """

    def __init__(
        self,
        wavix: WavixClient,
        journal: Journal,
        options: RunOptions,
        stale: Stale,
        on_progress: Callable[[FleetProgress], object] | None,
        *,
        requests: int = 0,
    ) -> None:
        self._stop = StopSignal()
        self._wavix = wavix = wavix.with_options(stop=self._stop)
        self._journal = journal
        self._options = options
        self._stale = stale
        self._on_progress = on_progress
        self._reader = AccountReader(wavix, options.concurrency)
        self._breaker = Breaker(options.safety)
        self._sent = False
        self._stopped_by: WavixError | None = None
        self._unsaved: list[Outcome] = []
        # The reasons of changes that the API refused because it does not find the number.
        self._not_found: dict[int, str | None] = {}
        # Numbers whose answer showed other values than the change sets.
        self._contradicted: set[int] = set()
        self._conflict_status = "unchanged" if journal.run.kind == "roll_back" else "failed"
        self._bulk: BulkRun | None = None
        self._bulk_requests = requests
        self._items = self._open = self._updated = self._read = 0
        self._bulk_limited = 0
        self._to_verify = self._verified = 0

    async def run(self) -> None:
        """Run all phases to the end of the run.

        Raises:
            StalePlanError: The plan is stale, and `stale` is "refuse".
            WavixError: The account could not be read, and this call has sent nothing.
        """
        try:
            await self._reconcile()
            await self._check_plan_holds()
            for _ in range(_ROUNDS):
                before = await self._journal.count(DONE)
                await self._send()
                if self._stopped_by is not None:
                    break
                await self._reconcile()
                # A round without progress: another round would not help.
                if not await self._journal.count(OPEN) or await self._journal.count(DONE) == before:
                    break
            if self._options.verify and self._stopped_by is None:
                await self._verify()
        except WavixError as error:
            # After something was sent, the caller needs a report; before that, the error is enough.
            if not self._sent or isinstance(error, JournalError):
                raise
            self._stopped_by = error
        except BaseException:
            # The journal is consistent even if this fails: `resume` reads back changes without a recorded result.
            with suppress(JournalError):
                await self._finish()
            raise
        await self._finish()

    async def _finish(self) -> None:
        await self._save()
        if isinstance(self._stopped_by, StoppedError):
            unseen = UNVERIFIED if self._options.verify else "o.state = 'pending'"
            if not await self._journal.count(f"({OPEN} OR {UNCERTAIN} OR {unseen})"):
                # The stop came when only reads were left, which can tell nothing new.
                self._stopped_by = None
        await self._journal.end(
            elapsed=self._elapsed(),
            requests=self._requests(),
            rate_limited=self._limited(),
            stopped_by=None if self._stopped_by is None else str(self._stopped_by),
            refused=isinstance(self._stopped_by, SafetyError),
        )

    # --- phases ---

    async def _reconcile(self) -> None:
        """Read back changes with an unknown outcome, and record how they ended; those not applied become open again."""
        stored_otherwise = await self._journal.ids(f"o.state = 'unknown' AND o.reason LIKE '%{_THIRD_VALUE}'")
        self._contradicted.update(stored_otherwise.unseen())
        async for comparisons, gone in self._compare_with_account("settling", UNCERTAIN):
            await self._record_gone(dict.fromkeys(gone, GONE))
            for each in comparisons:
                # A killed process could not record its attempts: count at least one.
                attempts = int(each.recorded == "sent")
                if each.needs_no_request:
                    self._record(each.id, "updated", attempts, "read back")
                elif each.state == "conflict" and each.id in self._contradicted:
                    # The API answered this change with a third value, so it may be the API's own form of ours.
                    self._record(each.id, "unknown", attempts, f"{each.difference}{_THIRD_VALUE}")
                elif each.state == "conflict" and self._stale != "write":
                    reason = f"changed by somebody else meanwhile: {each.difference}"
                    self._record(each.id, self._conflict_status, attempts, reason)
                else:
                    self._record(each.id, "again", attempts)

    async def _check_plan_holds(self) -> None:
        """Compare unsent changes with the account, which may have changed since the plan was made."""
        stale: list[str] = []
        count = 0
        async for comparisons, gone in self._compare_with_account("checking", OPEN):
            conflicts = [each for each in comparisons if each.state == "conflict"]
            count += len(conflicts) + len(gone)
            lines = (*(f"{each.id}: {each.difference}" for each in conflicts), *(f"{each}: {GONE}" for each in gone))
            stale += lines[: _MOST_LISTED - len(stale)]
            if self._stale != "refuse":
                await self._record_gone(dict.fromkeys(gone, GONE))
            await self._journal.set_before(self._found_before(comparisons))
            if self._stale == "skip":
                for each in conflicts:
                    reason = f"changed since the plan was made: {each.difference}"
                    self._record(each.id, self._conflict_status, reason=reason)
            for each in comparisons:
                if each.needs_no_request and each.touched:
                    self._record(each.id, "updated", reason="read back")
                elif each.needs_no_request:
                    self._record(each.id, "unchanged", reason="somebody else has made this change")
        if count and self._stale == "refuse":
            raise StalePlanError(stale, count)

    def _found_before(self, comparisons: Iterable[Comparison]) -> Iterator[tuple[int, str]]:
        """Yield the ids and the old values of numbers that other clients have changed between the plan and the run.

        A roll-back restores these. A field with its new value counts only if this run cannot have set it.
        """
        for each in comparisons:
            is_ours = each.touched or each.forced
            if each.state == "pending" and not is_ours and each.found != each.before:
                yield each.id, each.found
            elif each.state == "conflict" and self._stale == "write":
                yield each.id, each.before if is_ours else each.found

    async def _send(self) -> None:
        """Send the open changes, and record how each ended."""
        self._open = await self._journal.count(OPEN)
        if not self._open:
            return
        self._items = await self._journal.count("true")
        self._updated = await self._journal.count(DONE)
        # One change that may be applied costs one read before it is sent again; a batch would cost a hundred reads.
        batched = self._options.batch is not None
        wavix = self._wavix.with_options(retry=attrs.evolve(self._wavix.retry, repeat_unknown=batched))
        pending = _PendingChanges(self._journal, by_change=batched)
        run = self._bulk = wavix.numbers.bulk_update(
            aiter(pending), concurrency=self._options.concurrency, batch=self._options.batch
        )
        self._sent = True
        saver = asyncio.ensure_future(self._save_while_running(run))
        saver.add_done_callback(lambda task: None if task.cancelled() else run.stop(0.0))
        try:
            async with aclosing(aiter(run)) as results:
                async for result in results:
                    self._record_result(result, run, pending)
            await self._journal.record(await pending.not_sent())
        finally:
            saver.cancel()
            await asyncio.wait([saver])
            await pending.close()
            self._report_progress("sending", *self._progress_counts(run))
            last, report = self._sample(run), run.report
            self._bulk = None
            self._bulk_requests += report.requests
            self._bulk_limited += report.rate_limited
            # Prefer the run's own error: a rejected key explains the failures at which a safety limit stops a run.
            self._stopped_by = report.stopped_by or self._stopped_by
            await self._save()
            await self._journal.add_sample(last)
        if not saver.cancelled() and (failure := saver.exception()):
            raise failure
        not_found, self._not_found, self._read = self._not_found, {}, report.total
        try:
            await self._record_gone(not_found)
        except WavixError as error:
            self._stopped_by = self._stopped_by or error
        await self._save()

    def _record_result(self, result: BulkResult, run: BulkRun, pending: _PendingChanges) -> None:
        status, error = _STATUS[result.status], result.error
        reason = None if error is None else str(error)
        is_account_error = isinstance(error, _ACCOUNT_ERRORS)
        if isinstance(error, OutcomeUnknownError) and error.shows_other_values:
            self._contradicted.add(result.id)
        if status is FleetStatus.FAILED and error is not None and (is_account_error or error.retryable):
            # The change itself may be valid: it may succeed later, or with another API key.
            self._record(result.id, "again", result.attempts, reason)
            if not is_account_error:
                self._check_safety(status, run, pending)
        elif status is FleetStatus.FAILED and isinstance(error, NotFoundError):
            self._not_found[result.id] = reason
            self._record(result.id, "again", result.attempts, reason)
            self._check_safety(status, run, pending)
        elif status is FleetStatus.NOT_SENT:
            self._record(result.id, "again" if result.attempts else "not_sent", result.attempts, reason)
            if not pending.stopped.is_set() and run.report.stopped_by is not None:
                pending.stopped.set()
        else:
            self._record(result.id, status, result.attempts, reason or ("read back" if result.settled else None))
            self._check_safety(status, run, pending)

    def _check_safety(self, status: FleetStatus, run: BulkRun, pending: _PendingChanges) -> None:
        """Stop the run when there are too many failures."""
        if self._stopped_by is None:
            self._stopped_by = self._breaker.count(status)
            if self._stopped_by is not None:
                pending.stopped.set()
                run.stop()

    async def _verify(self) -> None:
        """Read all changes back until they are in effect, or until `verify_within` seconds have passed."""
        self._to_verify = await self._journal.count(UNVERIFIED)
        try:
            async with asyncio.timeout(self._options.verify_within):
                wait = _FIRST_VERIFY_WAIT
                while await self._verify_once():
                    await self._stop.end(self._wavix.clock.sleep(wait))
                    wait = min(wait * 2, _LONGEST_VERIFY_WAIT)
        except WavixError as error:
            # Some WavixErrors are also TimeoutErrors, so this clause must come first.
            self._stopped_by = error
        except TimeoutError:
            pass
        await self._save()
        await self._journal.mark_unverified_pending("was not read back before the verification ended")

    async def _verify_once(self) -> bool:
        """Read back the changes not yet seen in effect; return whether any is still not in effect."""
        some_pending = False
        async for comparisons, gone in self._compare_with_account("verifying", UNVERIFIED):
            await self._record_gone(dict.fromkeys(gone, GONE))
            self._verified += len(gone) + sum(each.state != "pending" for each in comparisons)
            for each in comparisons:
                if each.state == "applied":
                    self._record(each.id, "verified")
                elif each.state == "conflict":
                    self._record(each.id, "failed", reason=f"changed by somebody else since: {each.difference}")
                else:
                    self._record(each.id, "pending", reason=f"not in effect yet: {each.difference}")
                    some_pending = True
        return some_pending

    # --- reading ---

    async def _compare_with_account(
        self, phase: Phase, condition: str
    ) -> AsyncIterator[tuple[list[Comparison], list[int]]]:
        """Compare the numbers that meet a condition; yield comparisons, and the ids that are not in the account."""
        ids = await self._journal.ids(condition)
        if not ids:
            return
        done, missing = 0, []
        async with aclosing(self._reader.read(ids, self._journal.run.account)) as found:
            async for numbers, gone in found:
                yield await self._journal.compare(numbers), []
                missing += gone
                done += len(numbers) + len(gone)
                if phase == "verifying":
                    # Later rounds read only the rest, but all of them count.
                    self._report_progress(phase, self._to_verify, self._verified)
                else:
                    self._report_progress(phase, len(ids), done)
                if len(self._unsaved) >= _CLAIMED_AT_ONCE:
                    await self._save()
        await self._save()
        if missing:
            self._read = len(ids)
            yield [], missing
            await self._save()

    # --- recording ---

    def _record(self, number_id: int, state: str, attempts: int = 0, reason: str | None = None) -> None:
        self._unsaved.append((number_id, state, attempts, reason))

    async def _record_gone(self, reasons: Mapping[int, str | None]) -> None:
        """Record changes as failed whose numbers were not found, unless the account or its answers are doubtful."""
        await self._journal.check_gone(self._reader, len(reasons), self._read)
        for number_id, reason in reasons.items():
            self._record(number_id, "failed", reason=reason)

    async def _save(self) -> None:
        unsaved, self._unsaved = self._unsaved, []
        await self._journal.record(unsaved)

    async def _save_while_running(self, run: BulkRun) -> None:
        """Save outcomes and progress at short intervals during the run."""
        loop = asyncio.get_running_loop()
        sampled = 0.0
        while True:
            await asyncio.sleep(_SAVE_EVERY)
            await self._save()
            self._report_progress("sending", *self._progress_counts(run))
            if loop.time() - sampled >= _SAMPLE_EVERY:
                sampled = loop.time()
                await self._journal.add_sample(self._sample(run))

    def _progress_counts(self, run: BulkRun) -> tuple[int, int]:
        """Return the number of changes, and how many of them have ended."""
        now = run.progress
        # A stopped run counts the changes that it does not send as done.
        return self._items, self._items - self._open + now.done - now.not_sent

    def _sample(self, run: BulkRun) -> Sample:
        row, now = self._journal.run, run.progress
        return Sample(
            row.elapsed + self._elapsed(),
            self._progress_counts(run)[1],
            row.requests + self._requests(),
            row.rate_limited + self._limited(),
            now.rate,
            now.paused_for,
        )

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._reader.began

    def _requests(self) -> int:
        return self._reader.requests + self._bulk_requests + (self._bulk.progress.requests if self._bulk else 0)

    def _limited(self) -> int:
        return self._reader.rate_limited + self._bulk_limited + (self._bulk.progress.rate_limited if self._bulk else 0)

    def _report_progress(self, phase: Phase, total: int, done: int) -> None:
        now = self._bulk.progress if self._bulk else None
        counts = {name: getattr(now, name) for name in ("failed", "unknown", "not_sent")} if now else {}
        self._reader.report(
            self._on_progress,
            phase=phase,
            total=total,
            done=done,
            updated=self._updated + (now.updated if now else 0),
            requests=self._requests(),
            rate_limited=self._limited(),
            **counts,
        )
