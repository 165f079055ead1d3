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

from wavix_async import (
    AuthenticationError,
    BulkResult,
    BulkRun,
    NumberUpdate,
    PaymentRequiredError,
    PermissionDeniedError,
    StopSignal,
    WavixClient,
    WavixError,
)
from wavix_async._files import update_from_json
from wavix_async.fleet._account import Census
from wavix_async.fleet._comparison import GONE, Stands
from wavix_async.fleet._errors import JournalError, SafetyError, StalePlanError
from wavix_async.fleet._journal import DONE, DOUBT, OPEN, UNVERIFIED, Journal, Noted
from wavix_async.fleet._options import Options
from wavix_async.fleet._records import FleetProgress, FleetStatus, Phase, Sample
from wavix_async.fleet._safety import Breaker

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
_OF_THE_KEY: Final = (AuthenticationError, PaymentRequiredError, PermissionDeniedError)


class _Feed:
    """Gives a bulk run its changes, each noted as begun before it is given.

    Args:
        journal: Where they come from.
        by_change: Whether to give equal changes one after the other.
    """

    def __init__(self, journal: Journal, *, by_change: bool) -> None:
        self._journal = journal
        self._by_change = by_change
        self.stopped = asyncio.Event()
        """Set it to have no more given."""
        self._taken: list[tuple[int, str]] = []
        self._given = 0
        # A busy loop lets other threads wait: the next are taken while these are on their way.
        self._ahead: asyncio.Future[list[tuple[int, str]]] | None = None

    async def __aiter__(self) -> AsyncIterator[tuple[int, NumberUpdate]]:
        self._take(None)
        while self._ahead is not None and not self.stopped.is_set():
            taken = await asyncio.shield(self._ahead)
            self._taken, self._given, self._ahead = taken, 0, None
            if not taken:
                return
            self._take(taken[-1])
            for number_id, after in taken:
                self._given += 1
                yield number_id, update_from_json(after)
                if self.stopped.is_set():
                    return

    async def not_given(self) -> list[Noted]:
        """Return those that were noted as begun and have never been given."""
        ahead = [] if self._ahead is None else await self._ahead
        return [(number_id, "not_sent", 0, None) for number_id, _ in [*self._taken[self._given :], *ahead]]

    def _take(self, last: tuple[int, str] | None) -> None:
        self._ahead = asyncio.ensure_future(self._journal.take(last, _AHEAD, by_change=self._by_change))

    async def close(self) -> None:
        """Leave nothing behind."""
        if self._ahead is not None:
            # Why it failed has been told to whoever waited for it, or does not matter any more.
            await asyncio.gather(self._ahead, return_exceptions=True)


class CarryOut:
    """One run, on its way.

    Args:
        wavix: The client of the account.
        journal: The run.
        options: How.
        stale: What to do with numbers that somebody has changed since the plan was made.
        on_progress: Told where it stands, some times a second.
        requests: How many it has taken to begin.
    """

    def __init__(
        self,
        wavix: WavixClient,
        journal: Journal,
        options: Options,
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
        self._census = Census(wavix, options.concurrency)
        self._breaker = Breaker(options.safety)
        self._began = asyncio.get_running_loop().time()
        self._sent = False
        self._stopped_by: WavixError | None = None
        self._noted: list[Noted] = []
        self._kept = "unchanged" if journal.run.kind == "roll_back" else "failed"
        self._bulk: BulkRun | None = None
        self._bulk_requests = requests
        self._items = self._open = self._updated = 0
        self._bulk_limited = 0

    async def run(self) -> None:
        """Go from where the run stands to its end.

        Raises:
            StalePlanError: The plan is stale, and shall then be refused.
            WavixError: The account could not be read, and nothing was sent yet.
        """
        try:
            await self._settle()
            await self._check()
            for _ in range(_ROUNDS):
                before = await self._journal.count(DONE)
                await self._send()
                if self._stopped_by is not None:
                    break
                await self._settle()
                # When a whole round has got nowhere, another will not either.
                if not await self._journal.count(OPEN) or await self._journal.count(DONE) == before:
                    break
            if self._options.verify and self._stopped_by is None:
                await self._verify()
        except WavixError as error:
            # What was sent needs a report; before, an error says enough.
            if not self._sent or isinstance(error, JournalError):
                raise
            self._stopped_by = error
        except BaseException:
            # The journal is good as it is: what is not noted is read back by whoever resumes it.
            with suppress(JournalError):
                await self._close_books()
            raise
        await self._close_books()

    async def _close_books(self) -> None:
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
        async for stands, gone in self._look("settling", DOUBT):
            self._note_gone(gone)
            for each in stands:
                # Of what was begun by a process that is dead nobody has counted the attempts.
                attempts = int(each.state == "sent")
                if each.needs_nothing:
                    self._note(each.id, "updated", attempts, "read back")
                elif each.how == "elsewhere" and self._stale != "write":
                    self._note(each.id, self._kept, attempts, f"changed by somebody else meanwhile: {each.what}")
                else:
                    self._note(each.id, "again", attempts)

    async def _check(self) -> None:
        """Hold what is still to be sent against the account: it may have changed since the plan was made."""
        stale: list[str] = []
        count = 0
        async for stands, gone in self._look("checking", OPEN):
            elsewhere = [each for each in stands if each.how == "elsewhere"]
            count += len(elsewhere) + len(gone)
            lines = (*(f"{each.id}: {each.what}" for each in elsewhere), *(f"{each}: {GONE}" for each in gone))
            stale += lines[: _NAMED - len(stale)]
            if self._stale != "refuse":
                self._note_gone(gone)
            if self._stale == "write":
                await self._journal.set_before(elsewhere)
            elif self._stale == "skip":
                for each in elsewhere:
                    self._note(each.id, self._kept, reason=f"changed since the plan was made: {each.what}")
            for each in stands:
                if each.needs_nothing and each.touched:
                    self._note(each.id, "updated", reason="read back")
                elif each.needs_nothing:
                    self._note(each.id, "unchanged", reason="somebody else has made this change")
        if count and self._stale == "refuse":
            raise StalePlanError(stale, count)

    async def _send(self) -> None:
        """Send what is open, and note how each ended."""
        self._open = await self._journal.count(OPEN)
        if not self._open:
            return
        self._items = await self._journal.count("true")
        self._updated = await self._journal.count(DONE)
        # A change that may be there already is looked for before it is sent again. In a batch that would be a hundred.
        blindly = self._options.batch is not None
        wavix = self._wavix.with_options(retry=attrs.evolve(self._wavix.retry, repeat_unknown=blindly))
        feed = _Feed(self._journal, by_change=blindly)
        run = self._bulk = wavix.numbers.bulk_update(
            aiter(feed), concurrency=self._options.concurrency, batch=self._options.batch
        )
        self._sent = True
        clerk = asyncio.ensure_future(self._keep_books(run))
        clerk.add_done_callback(lambda task: None if task.cancelled() else run.stop(0.0))
        try:
            async with aclosing(aiter(run)) as results:
                async for result in results:
                    self._take(result, run, feed)
            await self._journal.note(await feed.not_given())
        finally:
            clerk.cancel()
            await asyncio.wait([clerk])
            await feed.close()
            self._tell("sending", *self._sent_so_far(run))
            last, report = self._sample_of(run), run.report
            self._bulk = None
            self._bulk_requests += report.requests
            self._bulk_limited += report.rate_limited
            # A key that is refused explains the failures that safety stops at.
            self._stopped_by = report.stopped_by or self._stopped_by
            await self._flush()
            await self._journal.sample(last)
        if not clerk.cancelled() and (broken := clerk.exception()):
            raise broken

    def _take(self, result: BulkResult, run: BulkRun, feed: _Feed) -> None:
        status, error = FleetStatus(result.status), result.error
        reason = None if error is None else str(error)
        of_the_key = isinstance(error, _OF_THE_KEY)
        if status is FleetStatus.FAILED and error is not None and (of_the_key or error.retryable):
            # Nothing speaks against this change: another key may do, or another time.
            self._note(result.id, "again", result.attempts, reason)
            if not of_the_key:
                self._judge(status, run, feed)
        elif status is FleetStatus.NOT_SENT:
            self._note(result.id, "again" if result.attempts else "not_sent", result.attempts, reason)
            if not feed.stopped.is_set() and run.report.stopped_by is not None:
                feed.stopped.set()
        else:
            self._note(result.id, status, result.attempts, reason or ("read back" if result.settled else None))
            self._judge(status, run, feed)

    def _judge(self, status: FleetStatus, run: BulkRun, feed: _Feed) -> None:
        """Stop when there are too many failures."""
        if self._stopped_by is None:
            self._stopped_by = self._breaker.take(status)
            if self._stopped_by is not None:
                feed.stopped.set()
                run.stop()

    async def _verify(self) -> None:
        """Read all changes back until they are in effect, or the time for that is over."""
        try:
            async with asyncio.timeout(self._options.verify_within):
                wait = _LOOK_AGAIN
                while await self._verify_once():
                    await self._stop.end(self._wavix.clock.sleep(wait))
                    wait = min(wait * 2, _LOOK_LATEST)
        except WavixError as error:
            # Some are a TimeoutError, too.
            self._stopped_by = error
        except TimeoutError:
            pass
        await self._flush()
        await self._journal.give_up_verifying("was not read back before the verification ended")

    async def _verify_once(self) -> bool:
        """Read back what was not in effect so far; tell whether there is still some."""
        late = False
        async for stands, gone in self._look("verifying", UNVERIFIED):
            self._note_gone(gone)
            for each in stands:
                if each.how == "there":
                    self._note(each.id, "verified")
                elif each.how == "elsewhere":
                    self._note(each.id, "failed", reason=f"changed by somebody else since: {each.what}")
                else:
                    self._note(each.id, "pending", reason=f"not in effect yet: {each.what}")
                    late = True
        return late

    # --- reading ---

    async def _look(self, phase: Phase, condition: str) -> AsyncIterator[tuple[list[Stands], list[int]]]:
        """Yield how those numbers stand for which a condition holds, and the ids of those that are gone."""
        ids = await self._journal.ids(condition)
        if not ids:
            return
        done = 0
        async with aclosing(self._census.look(ids, self._journal.run.account)) as found:
            async for numbers, gone in found:
                yield await self._journal.compare(numbers), gone
                done += len(numbers) + len(gone)
                self._tell(phase, len(ids), done)
                if len(self._noted) >= _AHEAD:
                    await self._flush()
        await self._flush()

    # --- books ---

    def _note(self, number_id: int, state: str, attempts: int = 0, reason: str | None = None) -> None:
        self._noted.append((number_id, state, attempts, reason))

    def _note_gone(self, gone: list[int]) -> None:
        for number_id in gone:
            self._note(number_id, "failed", reason=GONE)

    async def _flush(self) -> None:
        noted, self._noted = self._noted, []
        await self._journal.note(noted)

    async def _keep_books(self, run: BulkRun) -> None:
        """Write what has landed, and where the run stands, while it goes on."""
        loop = asyncio.get_running_loop()
        sampled = 0.0
        while True:
            await asyncio.sleep(_FLUSH_EVERY)
            await self._flush()
            self._tell("sending", *self._sent_so_far(run))
            if loop.time() - sampled >= _SAMPLE_EVERY:
                sampled = loop.time()
                await self._journal.sample(self._sample_of(run))

    def _sent_so_far(self, run: BulkRun) -> tuple[int, int]:
        """Return how many changes there are, and how many of them are through."""
        return self._items, self._items - self._open + run.progress.done

    def _sample_of(self, run: BulkRun) -> Sample:
        row, now = self._journal.run, run.progress
        return Sample(
            row.elapsed + self._elapsed(),
            self._sent_so_far(run)[1],
            row.requests + self._requests(),
            row.rate_limited + self._limited(),
            now.rate,
            now.paused_for,
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
                    updated=self._updated + (now.updated if now else 0),
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
