"""`JobRun`: one job that this process runs, from its plan to its end."""

import asyncio
import re
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from typing import Any, Final, Literal, ParamSpec, TypeAlias, TypeVar

from wavix_async import InputError, StoppedError, StopSignal, WavixClient, fleet
from wavix_async._instrumentation import logger as _parent
from wavix_async.fastapi._jobs.problems import PlanChangedError, problem_of_error, problem_of_stop
from wavix_async.fastapi._jobs.records import JobRecords
from wavix_async.fastapi._jobs.schemas import ChangeSet, Job, JobPlan, JobProgress, JobState
from wavix_async.types import JobClaim

__all__ = ["JobRun", "JobWork", "run_in_thread"]

JobWork: TypeAlias = ChangeSet | Literal["resume", "roll back"]
"""What a run does: plan and apply a request, resume the journal's run, or roll that run back."""

P = ParamSpec("P")
T = TypeVar("T")

_logger: Final = _parent.getChild("fastapi")
_SYNC_INTERVAL: Final = 0.5
_ITEM_PLACE: Final = re.compile(r"<iterable>\[(\d+)\]")


class JobRun:
    """One job in progress. It does not depend on a request: the HTTP client that created it may disconnect.

    A plan on hold ends a run. The run after `start` makes the plan again, and carries it out if it is still the same.
    So a plan on hold takes no memory, no thread and no open file, and outlives its process.

    Args:
        job: The job in its first state: `planning`, or `running` once its plan may be carried out.
        records: Where the job is stored.
        claim: The claim of the job; released at the end.
        wavix: The client of the account.
        safety: The limits at which the run is refused or stopped. None: the default limits.
        on_end: Called when the run has ended.

    Attributes:
        job: The current state of the job.
        changed: An event that is set when `job` changes, and then replaced by a new one.
    """

    def __init__(
        self,
        job: Job,
        records: JobRecords,
        claim: JobClaim,
        wavix: WavixClient,
        *,
        safety: fleet.Safety | None,
        on_end: "Callable[[JobRun], object]",
    ) -> None:
        self.job = job
        self.changed = asyncio.Event()
        self._records = records
        self._claim = claim
        self._safety = safety
        self._on_end = on_end
        self._stop = StopSignal()
        self._wavix = wavix.with_options(stop=self._stop)
        self._earlier_plan = job.plan
        self._is_reviewed = job.state == "running"
        self._ending = asyncio.Event()
        self._end_state: JobState | None = None
        self._save_lock = asyncio.Lock()
        self._saved = job
        self._task: asyncio.Task[None] | None = None

    def start_work(self, work: JobWork) -> asyncio.Task[None]:
        """Start the task that does the work."""
        self._task = asyncio.create_task(self._work(work), name=f"wavix job {self.job.id}")
        return self._task

    def cancel(self) -> None:
        """Stop cleanly: requests in flight finish, and no others are sent."""
        self._begin_end("stopped")

    def interrupt(self) -> None:
        """Stop cleanly because this process ends; another process can resume the job."""
        self._begin_end("interrupted")

    def abort(self) -> None:
        """Cancel the work at once; the journal stays valid."""
        self.interrupt()
        if self._task is not None:
            self._task.cancel()

    def _begin_end(self, state: JobState) -> None:
        # A plan on hold outlives its process, but not its cancellation.
        if self._end_state is None or (self._end_state == "planned" and state == "stopped"):
            self._end_state = state
            self._update(state="stopping")
            self._stop.set()

    # --- the work ---

    async def _work(self, work: JobWork) -> None:
        request = work if isinstance(work, ChangeSet) else None
        journal = self._records.store.journal(self.job.id)
        syncing = asyncio.create_task(self._sync_with_store())
        error: Exception | None = None
        try:
            if request is not None:
                await self._plan_and_apply(request)
            elif work == "resume":
                await fleet.resume(self._wavix, journal, on_progress=self._on_progress)
            else:
                await fleet.roll_back(
                    self._wavix, journal, batch="auto", safety=self._safety, on_progress=self._on_progress
                )
        except asyncio.CancelledError:
            self._end_state = "interrupted"
        except StoppedError:
            self._end_state = self._end_state or "interrupted"
        except Exception as raised:
            error = raised
        try:
            self._ending.set()
            await asyncio.wait([syncing])
            fields: dict[str, Any] = {}
            # A caller may cancel a plan that is just being put on hold.
            while not fields or (fields["state"] == "planned" and self._end_state == "stopped"):
                fields = await run_in_thread(self._final_fields, request, error)
                # Write the end before publishing it, because a client that sees the end may resume the job at once.
                await self._save(self.job.model_copy(update=fields))
            self._update(**fields)
        except Exception:
            # The file still says that the job is in progress, so the next request determines how it ended.
            _logger.exception("It could not be written down how a bulk job ended")
        finally:
            self._claim.release()
            self._on_end(self)

    async def _plan_and_apply(self, request: ChangeSet) -> None:
        desired = await run_in_thread(fleet.read, request.pairs())
        plan = await fleet.plan(self._wavix, desired, on_progress=self._on_progress)
        try:
            desired.close()
            job_plan = await run_in_thread(JobPlan.of, plan)
            places = _InputPlaces(request)
            job_plan = job_plan.model_copy(update={"missing": [places.locate(line) for line in job_plan.missing]})
            self._check_plan(job_plan)
            self._update(plan=job_plan)
            if request.missing == "refuse" and job_plan.missing_count:
                raise fleet.MissingNumbersError(job_plan.missing, job_plan.missing_count)
            if request.hold and not self._is_reviewed:
                await run_in_thread(self._records.write_changes, self.job.id, plan.changes())
                self._stop.check()
                self._end_state = "planned"
                return
            self._stop.check()
            self._update(state="running")
            await self._save()
            await fleet.apply(
                self._wavix,
                plan,
                journal=self._records.store.journal(self.job.id),
                verify=request.verify,
                concurrency=request.concurrency,
                batch=request.batch,
                missing=request.missing,
                safety=self._safety,
                on_progress=self._on_progress,
            )
        finally:
            plan.close()

    def _check_plan(self, plan: JobPlan) -> None:
        """Check that a plan does what an earlier plan of this job promised."""
        earlier = self._earlier_plan
        if earlier is None:
            return
        if (earlier.changes or earlier.unchanged) and not (plan.changes or plan.unchanged):
            raise PlanChangedError(
                "The account has none of the numbers that the first plan found. Nothing was sent. Use an API key of "
                "the account for which the job was created."
            )
        if self._is_reviewed and plan.digest != earlier.digest:
            raise PlanChangedError(
                "The account has changed since this plan was made, so the request would now change something else. "
                "Nothing was sent. Resume the job to get a new plan."
            )

    def _final_fields(self, request: ChangeSet | None, error: Exception | None) -> dict[str, Any]:
        """Return the final fields of the job, from its journal."""
        report = self._records.read_report_of(self.job)
        any_report = None if error is None else self._records.read_report(self.job.id)
        journal = None if any_report is None else any_report.journal
        problem = None if error is None else problem_of_error(error, self.job.id, journal)
        if problem is not None and problem.detail is not None and request is not None:
            problem = problem.model_copy(update={"detail": _InputPlaces(request).locate(problem.detail)})
        if problem is None and report is not None and report.stopped_by is not None and self._end_state is None:
            problem = problem_of_stop(report, self.job.id)
        fields = self._records.end_of(self.job, report, self._end_state or "interrupted")
        if problem is not None:
            fields |= {"state": "failed", "error": problem}
        if report is None and isinstance(error, InputError):
            # A retry cannot help, because an invalid request stays invalid.
            fields["resumable"] = False
        if report is not None or not (fields["resumable"] or fields["state"] == "planned"):
            self._records.remove_request(self.job.id)
        return fields

    # --- state ---

    def _on_progress(self, progress: fleet.FleetProgress) -> None:
        self._update(progress=JobProgress.of(progress))

    def _update(self, **changes: Any) -> None:
        self.job = self.job.model_copy(update=changes)
        self.changed.set()
        self.changed = asyncio.Event()

    async def _save(self, job: Job | None = None) -> None:
        async with self._save_lock:
            job = job or self.job
            if job is self._saved:
                return
            try:
                await run_in_thread(self._records.write, job)
                self._saved = job
            except OSError:
                _logger.exception("A bulk job could not be written down")

    async def _sync_with_store(self) -> None:
        """Write the state for other processes, and end if one of them asks for it, until the work ends."""
        while not self._ending.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_SYNC_INTERVAL):
                    await self._ending.wait()
            await self._save()
            with suppress(OSError):
                if await run_in_thread(self._records.take_cancel, self.job.id):
                    self.cancel()


class _InputPlaces:
    """Translates the index of a number into its place in the request.

    Args:
        request: The request.
    """

    def __init__(self, request: ChangeSet) -> None:
        self._groups = request.changes
        self._starts = [0, *accumulate(len(group.ids) + len(group.numbers) for group in self._groups)]

    def locate(self, text: str) -> str:
        """Replace the indexes in an error text with places in the request."""
        located = _ITEM_PLACE.sub(lambda match: self._place(int(match[1])), text)
        return located.replace("<iterable>", "The change set")

    def _place(self, index: int) -> str:
        group = bisect_right(self._starts, index) - 1
        within, ids = index - self._starts[group], len(self._groups[group].ids)
        return f"changes[{group}].ids[{within}]" if within < ids else f"changes[{group}].numbers[{within - ids}]"


async def run_in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread; a cancelled caller still waits until the function returns."""
    done = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        if not done.cancelled():
            done.exception()
        raise
