"""`CarryOut`: takes one run of a journal from wherever it stands to its end.

The phases are the same for a new run, for one that was killed, and for one that an outage has stopped: what is in doubt
is read back and settled, the numbers that nobody has begun with are checked against the plan, they are sent, and what
has come into doubt by that is settled and sent again. At the end all of it is read back, if that was asked for.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Final, Literal, TypeAlias

import attrs

from wavix_async import BulkResult, BulkRun, BulkStatus, NumberUpdate, WavixClient, WavixError
from wavix_async.fleet._census import Census
from wavix_async.fleet._errors import SafetyError, StalePlanError
from wavix_async.fleet._journal import DOUBT, OPEN, UNVERIFIED, Journal, Noted
from wavix_async.fleet._options import Options
from wavix_async.fleet._records import FleetProgress, FleetStatus, Phase, Sample
from wavix_async.fleet._safety import Breaker
from wavix_async.fleet._settings import update_from_json
from wavix_async.fleet._verdict import Stands

__all__ = ["CarryOut", "Stale"]

Stale: TypeAlias = Literal["refuse", "skip", "write"]
"""What to do with numbers that somebody has changed since the plan was made: refuse the run, leave them, or change them
all the same."""

_ROUNDS: Final = 5
_AHEAD: Final = 256
_FLUSH_EVERY: Final = 0.2
_SAMPLE_EVERY: Final = 1.0
_LOOK_AGAIN: Final = 0.5
_LOOK_LATEST: Final = 2.0
_NAMED: Final = 1_000
_GONE: Final = "the account has this number no more"


class _Feed:
    """Gives a bulk run its changes, each noted as begun before it is given.

    Args:
        journal: Where they come from.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.stopped = asyncio.Event()
        """Set it to have no more given."""
        self._taken: list[tuple[int, str]] = []
        self._given = 0

    async def __aiter__(self) -> AsyncIterator[tuple[int, NumberUpdate]]:
        last = 0
        while not self.stopped.is_set():
            self._given = 0
            self._taken = await self._journal.take(last, _AHEAD)
            if not self._taken:
                return
            last = self._taken[-1][0]
            for number_id, after in self._taken:
                self._given += 1
                yield number_id, update_from_json(after)
                if self.stopped.is_set():
                    return

    def not_given(self) -> list[Noted]:
        """Return those that were noted as begun and have never been given."""
        return [(number_id, "not_sent", 0, None) for number_id, _ in self._taken[self._given :]]


class CarryOut:
    """One run, on its way.

    Args:
        wavix: The client of the account.
        journal: The run.
        options: How.
        stale: What to do with numbers that somebody has changed since the plan was made.
        on_progress: Told where it stands, some ten times a second.
    """

    def __init__(
        self,
        wavix: WavixClient,
        journal: Journal,
        options: Options,
        stale: Stale,
        on_progress: Callable[[FleetProgress], object] | None,
    ) -> None:
        self._wavix = wavix
        self._journal = journal
        self._options = options
        self._stale = stale
        self._on_progress = on_progress
        self._census = Census(wavix, options.concurrency)
        self._breaker = Breaker(options.safety)
        self._began = asyncio.get_running_loop().time()
        self._sent = False
        self._stopped_by: WavixError | None = None
        self._noted: list[Noted] = []
        self._counts = dict.fromkeys(FleetStatus, 0)
        self._bulk: BulkRun | None = None
        self._bulk_requests = 0
        self._bulk_limited = 0

    async def run(self, *, check: bool) -> None:
        """Go from where the run stands to its end.

        Args:
            check: Whether the plan may be stale.

        Raises:
            StalePlanError: It is, and shall then be refused.
            WavixError: The account could not be read, and nothing was sent yet.
        """
        try:
            await self._settle()
            if check:
                await self._check()
            for _ in range(_ROUNDS):
                await self._send()
                if self._stopped_by is not None:
                    break
                await self._settle()
                if not await self._journal.count(OPEN):
                    break
            if self._options.verify and self._stopped_by is None:
                await self._verify()
        except WavixError as error:
            # What was sent needs a report; before, an error says enough.
            if not self._sent:
                raise
            self._stopped_by = error
        finally:
            await self._flush()
            await self._journal.end(
                elapsed=self._elapsed(),
                requests=self._requests(),
                rate_limited=self._limited(),
                stopped_by=None if self._stopped_by is None else str(self._stopped_by),
                refused=isinstance(self._stopped_by, SafetyError),
            )

    # --- phases ---

    async def _settle(self) -> None:
        """Find out by reading how changes ended that were begun and not noted; what is not there becomes open again."""
        async for stands in self._look("settling", DOUBT):
            for each in stands:
                if each.how == "there":
                    self._note(each.id, "updated", reason="read back")
                elif each.how == "elsewhere" and self._stale != "write":
                    self._note(each.id, "failed", reason=f"changed by somebody else meanwhile: {each.what}")
                else:
                    self._note(each.id, "not_sent")

    async def _check(self) -> None:
        """Hold what is still to be sent against the account: it may have changed since the plan was made."""
        stale: list[str] = []
        count = 0
        async for stands in self._look("checking", OPEN):
            elsewhere = [each for each in stands if each.how == "elsewhere"]
            count += len(elsewhere)
            stale += [f"{each.id}: {each.what}" for each in elsewhere[: _NAMED - len(stale)]]
            if self._stale == "write":
                await self._journal.set_before(elsewhere)
            elif self._stale == "skip":
                for each in elsewhere:
                    self._note(each.id, "failed", reason=f"changed since the plan was made: {each.what}")
            for each in stands:
                if each.how == "there":
                    self._note(each.id, "unchanged", reason="somebody else has made this change")
        if count and self._stale == "refuse":
            raise StalePlanError(stale, count)

    async def _send(self) -> None:
        """Send what is open, and note how each ended."""
        total = await self._journal.count(OPEN)
        if not total:
            return
        # A change that may be there already is looked for before it is sent again. In a batch that would be a hundred.
        blindly = self._options.batch is not None
        wavix = self._wavix.with_options(retry=attrs.evolve(self._wavix.retry, repeat_unknown=blindly))
        feed = _Feed(self._journal)
        run = self._bulk = wavix.numbers.bulk_update(
            aiter(feed), concurrency=self._options.concurrency, batch=self._options.batch
        )
        self._sent = True
        clerk = asyncio.ensure_future(self._keep_books(run, total))
        clerk.add_done_callback(lambda task: None if task.cancelled() else run.stop(0.0))
        try:
            async with aclosing(aiter(run)) as results:
                async for result in results:
                    self._take(result, run, feed)
            await self._journal.note(feed.not_given())
        finally:
            clerk.cancel()
            await asyncio.wait([clerk])
            report = run.report
            self._bulk = None
            self._bulk_requests += report.requests
            self._bulk_limited += report.rate_limited
            self._stopped_by = self._stopped_by or report.stopped_by
            await self._flush()
        if not clerk.cancelled() and (broken := clerk.exception()):
            raise broken

    def _take(self, result: BulkResult, run: BulkRun, feed: _Feed) -> None:
        status = FleetStatus(result.status)
        if status is FleetStatus.FAILED and result.error is not None and result.error.retryable:
            # Every attempt was answered, and the number is as it was: nothing speaks against another.
            status = FleetStatus.NOT_SENT
        reason = None if result.error is None else str(result.error)
        self._note(result.id, status, result.attempts, reason or ("read back" if result.settled else None))
        if result.status is BulkStatus.NOT_SENT:
            if run.report.stopped_by is not None:
                feed.stopped.set()
        elif self._stopped_by is None:
            self._stopped_by = self._breaker.take(status)
            if self._stopped_by is not None:
                feed.stopped.set()
                run.stop()

    async def _verify(self) -> None:
        """Read all changes back until they are in effect, or the time for that is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._options.verify_within
        wait = _LOOK_AGAIN
        while True:
            late: list[Stands] = []
            async for stands in self._look("verifying", UNVERIFIED):
                for each in stands:
                    if each.how == "there":
                        self._note(each.id, "verified")
                late += [each for each in stands if each.how != "there"]
            if not late or loop.time() >= until:
                break
            await asyncio.sleep(min(wait, max(until - loop.time(), 0.0)))
            wait = min(wait * 2, _LOOK_LATEST)
        for each in late:
            self._note(each.id, "pending", reason=f"not in effect yet: {each.what}")
        await self._flush()

    # --- reading ---

    async def _look(self, phase: Phase, condition: str) -> AsyncIterator[list[Stands]]:
        """Yield how the numbers stand for which a condition holds, and note those that the account has no more."""
        ids = await self._journal.ids(condition)
        if not ids:
            return
        done = 0
        async with aclosing(self._census.look(ids, self._journal.run.account)) as found:
            async for numbers, gone in found:
                for number_id in gone:
                    self._note(number_id, "failed", reason=_GONE)
                yield await self._journal.compare(numbers)
                done += len(numbers) + len(gone)
                self._tell(phase, len(ids), done)
                if len(self._noted) >= _AHEAD:
                    await self._flush()
        await self._flush()

    # --- books ---

    def _note(self, number_id: int, state: str, attempts: int = 0, reason: str | None = None) -> None:
        self._noted.append((number_id, state, attempts, reason))

    async def _flush(self) -> None:
        noted, self._noted = self._noted, []
        await self._journal.note(noted)

    async def _keep_books(self, run: BulkRun, total: int) -> None:
        """Write what has landed, and where the run stands, while it goes on."""
        loop = asyncio.get_running_loop()
        sampled = 0.0
        while True:
            await asyncio.sleep(_FLUSH_EVERY)
            await self._flush()
            now = run.progress
            self._tell("sending", total, now.done)
            if loop.time() - sampled >= _SAMPLE_EVERY:
                sampled = loop.time()
                row = self._journal.run
                await self._journal.sample(
                    Sample(
                        row.elapsed + self._elapsed(),
                        now.done,
                        row.requests + self._requests(),
                        row.rate_limited + self._limited(),
                        now.rate,
                        now.paused_for,
                    )
                )

    def _elapsed(self) -> float:
        return asyncio.get_running_loop().time() - self._began

    def _requests(self) -> int:
        return self._census.requests + self._bulk_requests + (self._bulk.progress.requests if self._bulk else 0)

    def _limited(self) -> int:
        return self._census.rate_limited + self._bulk_limited + (self._bulk.progress.rate_limited if self._bulk else 0)

    def _tell(self, phase: Phase, total: int, done: int) -> None:
        if self._on_progress is None:
            return
        limit = self._wavix.limits.snapshot()
        now = self._bulk.progress if self._bulk else None
        with suppress(Exception):
            self._on_progress(
                FleetProgress(
                    phase=phase,
                    total=total,
                    done=done,
                    updated=now.updated if now else 0,
                    failed=now.failed if now else 0,
                    unknown=now.unknown if now else 0,
                    not_sent=now.not_sent if now else 0,
                    requests=self._requests(),
                    rate_limited=self._limited(),
                    elapsed=self._elapsed(),
                    rate=limit.rate,
                    paused_for=limit.paused_for,
                )
            )
