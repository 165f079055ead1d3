"""`Run`: one job that this process works on, from planning to its end."""

import asyncio
import re
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

from wavix_async import InputError, StoppedError, StopSignal, WavixClient, fleet
from wavix_async._files import Lock
from wavix_async._instrumentation import logger as _parent
from wavix_async.fastapi._jobs.problems import JobProblem, of_error, of_stop
from wavix_async.fastapi._jobs.schemas import ChangeSet, Job, JobPlan, JobProgress, JobReport, JobState
from wavix_async.fastapi._jobs.store import JobFiles, Order

__all__ = ["Run", "Work", "in_thread"]

Work: TypeAlias = ChangeSet | Literal["resume", "roll back"]
"""What to work on: what was asked for, what the journal has left, or undoing what the journal has."""

P = ParamSpec("P")
T = TypeVar("T")

_LOG: Final = _parent.getChild("fastapi")
_TEND: Final = 0.5
_PATIENCE: Final = 3600.0
"""Seconds for which a plan waits to be started: it is kept in memory, and gets old."""
_ITEM: Final = re.compile(r"<iterable>\[(\d+)\]")


class Run:
    """One job on its way. It belongs to no request: whoever has asked for it may leave.

    Args:
        job: The job, as it begins.
        files: Where it is kept.
        lock: The right to work on it; released at the end.
        wavix: The client of the account.
        safety: When to refuse or to stop; None: the default.
        on_end: Called when it has ended.

    Attributes:
        job: The job as it is now.
        changed: Set, and replaced by another, when `job` changes.
    """

    def __init__(
        self,
        job: Job,
        files: JobFiles,
        lock: Lock,
        wavix: WavixClient,
        *,
        safety: fleet.Safety | None,
        on_end: "Callable[[Run], object]",
    ) -> None:
        self.job = job
        self.changed = asyncio.Event()
        self._files = files
        self._lock = lock
        self._safety = safety
        self._on_end = on_end
        self._stop = StopSignal()
        self._wavix = wavix.with_options(stop=self._stop)
        self._started = asyncio.Event()
        self._ending = asyncio.Event()
        self._why: JobState | None = None
        self._saving = asyncio.Lock()
        self._saved = job
        self._task: asyncio.Task[None] | None = None

    def begin(self, work: Work) -> asyncio.Task[None]:
        """Begin to work."""
        self._task = asyncio.create_task(self._work(work), name=f"wavix job {self.job.id}")
        return self._task

    def start(self) -> None:
        """Carry out what was planned."""
        if self.job.state == "planned":
            self._set(state="running")
            self._started.set()

    def cancel(self) -> None:
        """End it in order: what is on the wire ends, the rest is not sent."""
        self._end_as("stopped")

    def leave(self) -> None:
        """End it in order because this process ends: another may go on with it."""
        self._end_as("interrupted")

    def abort(self) -> None:
        """End it at once; the journal is good as it is."""
        self.leave()
        if self._task is not None:
            self._task.cancel()

    def _end_as(self, state: JobState) -> None:
        if self._why is None and not self.job.is_final:
            self._why = state
            self._set(state="stopping")
            self._stop.set()
            self._started.set()

    # --- the work ---

    async def _work(self, work: Work) -> None:
        request = work if isinstance(work, ChangeSet) else None
        journal = self._files.journal(self.job.id)
        tending = asyncio.create_task(self._tend())
        error: Exception | None = None
        try:
            if request is not None:
                await self._plan_and_apply(request)
            elif work == "resume":
                await fleet.resume(self._wavix, journal, on_progress=self._take)
            else:
                await fleet.roll_back(self._wavix, journal, batch="auto", safety=self._safety, on_progress=self._take)
        except asyncio.CancelledError:
            self._why = "interrupted"
        except StoppedError:
            self._why = self._why or "interrupted"
        except Exception as raised:
            error = raised
        try:
            self._ending.set()
            await asyncio.wait([tending])
            ended = await in_thread(self._ended, request, error)
            # Told when it is written down: whoever hears of the end may want to go on with it.
            await self._save(self.job.model_copy(update=ended))
            self._set(**ended)
        except Exception:
            # Its file still says that it is under way: who looks next finds out how it ended.
            _LOG.exception("It could not be written down how a bulk job ended")
        finally:
            self._lock.release()
            self._on_end(self)

    async def _plan_and_apply(self, request: ChangeSet) -> None:
        wanted = await in_thread(fleet.read, request.pairs())
        plan = await fleet.plan(self._wavix, wanted, on_progress=self._take)
        try:
            wanted.close()
            told = await in_thread(JobPlan.of, plan)
            places = _Places(request)
            told = told.model_copy(update={"missing": [places.named(line) for line in told.missing]})
            self._set(plan=told)
            if request.missing == "refuse" and told.missing_count:
                raise fleet.MissingNumbersError(told.missing, told.missing_count)
            if request.confirm:
                await in_thread(self._files.keep_changes, self.job.id, plan.changes())
                self._stop.check()
                self._set(state="planned")
                await self._save()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE):
                        await self._started.wait()
                if not self._started.is_set():
                    self.cancel()
            self._stop.check()
            self._set(state="running")
            await self._save()
            await fleet.apply(
                self._wavix,
                plan,
                journal=await in_thread(self._files.make_journal, self.job.id),
                verify=request.verify,
                concurrency=request.concurrency,
                batch=request.batch,
                missing=request.missing,
                safety=self._safety,
                on_progress=self._take,
            )
        finally:
            plan.close()

    def _ended(self, request: ChangeSet | None, error: Exception | None) -> dict[str, Any]:
        """Return what becomes of the job, now that nobody works on it; this reads the journal."""
        problem = None if error is None else _told(error, self.job.id, request)
        found = self._files.report_of(self.job)
        report = None if found is None else JobReport.of(found)
        if problem is None and found is not None and found.stopped_by is not None and self._why is None:
            problem = of_stop(found, self.job.id)
        state: JobState
        if problem is not None:
            state = "failed"
        elif found is not None and found.finished:
            state = "done"
        else:
            state = self._why or "interrupted"
        # What was asked for is wrong: it will be wrong the next time, too.
        again = not isinstance(error, InputError) and self._files.can_begin(self.job)
        resumable = again if found is None else not found.finished
        if found is not None or not resumable:
            self._files.forget_request(self.job.id)
        return {"state": state, "report": report, "error": problem, "resumable": resumable}

    # --- books ---

    def _take(self, progress: fleet.FleetProgress) -> None:
        self._set(progress=JobProgress.of(progress))

    def _set(self, **changes: Any) -> None:
        self.job = self.job.model_copy(update=changes)
        self.changed.set()
        self.changed = asyncio.Event()

    async def _save(self, job: Job | None = None) -> None:
        async with self._saving:
            job = job or self.job
            if job is self._saved:
                return
            try:
                await in_thread(self._files.write, job)
                self._saved = job
            except OSError:
                _LOG.exception("A bulk job could not be written down")

    async def _tend(self) -> None:
        """Let other processes see where it stands, and hear what they ask for."""
        while not self._ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_TEND):
                    await self._ending.wait()
            await self._save()
            orders: set[Order] = set()
            with suppress(OSError):
                orders = await in_thread(self._files.take_orders, self.job.id)
            if "cancel" in orders:
                self.cancel()
            if "start" in orders:
                self.start()


class _Places:
    """Finds in a request what was the n-th number of all.

    Args:
        request: The request.
    """

    def __init__(self, request: ChangeSet) -> None:
        self._groups = request.changes
        self._starts = [0, *accumulate(len(group.ids) + len(group.numbers) for group in self._groups)]

    def named(self, text: str) -> str:
        """Return a text that names numbers by their place in the request."""
        named = _ITEM.sub(lambda found: self._place(int(found[1])), text)
        return named.replace("<iterable>", "The change set")

    def _place(self, index: int) -> str:
        group = bisect_right(self._starts, index) - 1
        within, ids = index - self._starts[group], len(self._groups[group].ids)
        return f"changes[{group}].ids[{within}]" if within < ids else f"changes[{group}].numbers[{within - ids}]"


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something in a thread; who is cancelled leaves when it has been done."""
    done = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        if not done.cancelled():
            done.exception()
        raise


def _told(error: Exception, job_id: str, request: ChangeSet | None) -> JobProblem:
    problem = of_error(error, job_id)
    if request is not None and problem.detail is not None:
        problem = problem.model_copy(update={"detail": _Places(request).named(problem.detail)})
    return problem
