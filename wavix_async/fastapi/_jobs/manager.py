"""`JobManager`: all jobs of a router, those that this process runs and the others in the directory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, ParamSpec, TypeVar

from wavix_async import ConfigurationError, WavixClient, fleet
from wavix_async.fastapi._jobs.problems import (
    JobProblem,
    StorageError,
    TooManyJobsError,
    UnknownJobError,
    WrongStateError,
    problem_of_storage,
)
from wavix_async.fastapi._jobs.records import JobRecords
from wavix_async.fastapi._jobs.runner import JobRun, JobWork, run_in_thread
from wavix_async.fastapi._jobs.schemas import ChangePage, ChangeSet, Job, ResultPage
from wavix_async.fastapi._jobs.shutdown import on_shutdown_signal
from wavix_async.fastapi._jobs.store import FileJobStore, new_id
from wavix_async.types import JobClaim, JobStore

__all__ = ["JobManager"]

P = ParamSpec("P")
T = TypeVar("T")

_POLL: Final = 1.0


class JobManager:
    """The jobs of a router.

    Args:
        store: Where jobs are stored: a store, or a directory for them. None: in a temporary directory, removed when the
            application ends.
        limit: The most jobs that this process works on at once.
        kept: The most jobs at rest to list; a temporary directory keeps no others.
        safety: The limits at which a job is refused or stopped. None: the default limits.
        grace: Seconds that jobs get to stop cleanly when the application ends.
    """

    def __init__(
        self, store: JobStore | Path | None, *, limit: int, kept: int, safety: fleet.Safety | None, grace: float
    ) -> None:
        self._store = store
        self._limit = limit
        self._kept = kept
        self._safety = safety
        self._grace = grace
        self._open_records: JobRecords | None = None
        self._beginning = 0
        self._runs: dict[str, JobRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._storage_problems: dict[str, JobProblem] = {}
        self._changed = asyncio.Event()
        self.shutting_down = asyncio.Event()
        """Set when the application begins to shut down; it ends streams and waits."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the store while the application runs; at the end, stop all jobs."""
        self.shutting_down, self._changed = asyncio.Event(), asyncio.Event()
        temporary = TemporaryDirectory(prefix="wavix-jobs-") if self._store is None else None
        try:
            store = self._store if temporary is None else Path(temporary.name)
            if isinstance(store, str | PathLike):
                store = await run_in_thread(FileJobStore, store)
            assert store is not None
            self._open_records = JobRecords(store)
            grace = self._grace
            try:
                with on_shutdown_signal(self._begin_shutdown):
                    yield
            except asyncio.CancelledError:
                grace = 0.0
                raise
            finally:
                await self._close(grace)
        finally:
            self._open_records = None
            if temporary is not None:
                await run_in_thread(temporary.cleanup)

    def _begin_shutdown(self) -> None:
        """End all streams and waits, and interrupt the jobs.

        This runs at the signal, because the server ends the lifespan only after all streams have ended.
        """
        self.shutting_down.set()
        self._announce()
        for run in self._runs.values():
            run.interrupt()

    async def _close(self, grace: float) -> None:
        self._begin_shutdown()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for run in list(self._runs.values()):
            run.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # --- reading ---

    async def get(self, job_id: str) -> Job:
        """Return the current state of a job."""
        run = self._runs.get(job_id)
        return run.job if run is not None else await _in_store_thread(self._read, job_id)

    async def list_jobs(self) -> list[Job]:
        """Return the jobs in progress and the latest ended ones, newest first."""
        return await _in_store_thread(self._list_jobs)

    async def wait_for_change(self, known: Job, seconds: float) -> Job:
        """Return a job as soon as it differs from a known state, or after so many seconds."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self.shutting_down.is_set():
            run, changed, until = self._runs.get(known.id), self._changed, loop.time() + _POLL
            if run is not None:
                job, changed, until = run.job, run.changed, end
            else:
                job = await _in_store_thread(self._read, known.id)
            if job != known or loop.time() >= end:
                return job
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(until, end)):
                    await changed.wait()
        return known

    async def changes(self, job_id: str, offset: int, limit: int) -> ChangePage:
        """Return a page of the changes of a job."""
        job = await self.get(job_id)
        return await _in_store_thread(self._records.changes, job, offset, limit)

    async def results(self, job_id: str, statuses: list[fleet.FleetStatus], offset: int, limit: int) -> ResultPage:
        """Return a page of the job's results with these statuses; an empty list means all results."""
        job = await self.get(job_id)
        return await _in_store_thread(self._records.results, job, statuses, offset, limit)

    # --- commands ---

    async def create(self, wavix: WavixClient, request: ChangeSet) -> Job:
        """Begin a job."""
        job = Job(id=new_id(), state="planning", created_at=datetime.now(UTC))
        with self._place():
            claim = await _in_store_thread(self._create, job, request)
            self._start_run(job, claim, wavix, request)
        return job

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job: requests in flight finish, and no others are sent."""
        run = self._runs.get(job_id)
        if run is not None:
            run.cancel()
            return run.job
        job = await _in_store_thread(self._cancel, job_id)
        self._announce()
        return job

    async def continue_job(self, wavix: WavixClient, job_id: str, how: Literal["start", "resume", "roll back"]) -> Job:
        """Start a planned job, resume one that was stopped or whose process ended, or undo one."""
        works = {"start": self._work_to_start, "resume": self._work_to_resume, "roll back": self._work_to_roll_back}
        with self._place():
            job, claim, work = await _in_store_thread(self._reopen, job_id, works[how])
            self._start_run(job, claim, wavix, work)
        return job

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Reserve the place of a job that is about to begin."""
        if len(self._runs) + self._beginning >= self._limit:
            raise TooManyJobsError(
                f"This service works on {self._limit} jobs, its limit. Try again when one has ended."
            )
        self._beginning += 1
        try:
            yield
        finally:
            self._beginning -= 1

    def _start_run(self, job: Job, claim: JobClaim, wavix: WavixClient, work: JobWork) -> None:
        run = JobRun(job, self._records, claim, wavix, safety=self._safety, on_end=self._remove_run)
        self._runs[job.id] = run
        task = run.start_work(work)
        self._tasks.add(task)
        if self.shutting_down.is_set():
            run.interrupt()
        task.add_done_callback(self._tasks.discard)
        self._announce()

    def _announce(self) -> None:
        """Wake the readers of jobs that this process does not run: one of them may have begun or ended."""
        self._changed.set()
        self._changed = asyncio.Event()

    def _remove_run(self, run: JobRun) -> None:
        del self._runs[run.job.id]

    # --- in a thread ---

    @property
    def _records(self) -> JobRecords:
        if self._open_records is None:
            raise ConfigurationError(
                "The lifespan of the router of bulk jobs has not run: include the router in the outermost application. "
                "A mounted application does not run a lifespan."
            )
        return self._open_records

    def _read(self, job_id: str) -> Job:
        job = self._records.read(job_id)
        if job is None:
            raise UnknownJobError(f"There is no job {job_id!r}.")
        if not job.is_at_rest and not self._records.store.is_claimed(job_id):
            job = self._finish_abandoned(job_id) or job
        return job

    def _finish_abandoned(self, job_id: str) -> Job | None:
        """Determine and write the final state of a job whose process ended; None if another process does so."""
        with ExitStack() as claimed:
            try:
                claimed.callback(self._records.store.claim(job_id).release)
            except BlockingIOError:
                return None
            except OSError:
                # The answer is correct even if nothing can be written.
                pass
            job = self._records.read(job_id)
            if job is None or job.is_at_rest:
                return job
            try:
                report = self._records.read_report_of(job)
            except fleet.JournalError as error:
                if error.retryable:
                    return None
                # The error may be temporary (a full disk): report it now, and try again at the next request.
                return job.model_copy(update={"state": "interrupted", "error": self._unreadable_problem(job_id, error)})
            job = job.model_copy(update=self._records.end_of(job, report, "interrupted"))
            with suppress(OSError):
                self._records.write(job)
            return job

    def _cancel(self, job_id: str) -> Job:
        """Cancel a job that this process does not run: it is on hold, or another process works on it."""
        job = self._read(job_id)
        if job.is_final:
            raise WrongStateError(f"The job is {job.state}: there is nothing to cancel.")
        try:
            claim = self._records.store.claim(job_id)
        except BlockingIOError:
            self._records.ask_to_cancel(job_id)
            return job
        try:
            on_disk = self._records.read(job_id)
            if on_disk is not None and on_disk.state == "planned":
                job = on_disk.model_copy(update={"state": "stopped", "resumable": self._records.can_start(on_disk)})
                self._records.write(job)
        finally:
            claim.release()
        return job

    def _unreadable_problem(self, job_id: str, error: fleet.JournalError) -> JobProblem:
        # Log once per job, and always return the same object, because a stream compares jobs to find a change.
        if job_id not in self._storage_problems:
            self._storage_problems[job_id] = problem_of_storage(error, job_id)
        return self._storage_problems[job_id]

    def _list_jobs(self) -> list[Job]:
        """Return the jobs to list, and remove the others if the directory is temporary."""
        jobs: list[Job] = []
        at_rest = 0
        for job_id in self._records.newest_ids():
            run = self._runs.get(job_id)
            if run is None and at_rest >= self._kept and not self._records.store.is_claimed(job_id):
                if self._store is None:
                    self._records.store.remove(job_id)
                continue
            with suppress(UnknownJobError):
                job = run.job if run is not None else self._read(job_id)
                at_rest += job.is_at_rest
                jobs.append(job)
        return jobs

    def _create(self, job: Job, request: ChangeSet) -> JobClaim:
        claim = self._records.store.claim(job.id)
        try:
            self._records.write_request(job.id, request)
            self._records.write(job)
            if self._store is None:
                # This removes the oldest jobs at rest.
                self._list_jobs()
        except BaseException:
            with suppress(OSError):
                self._records.store.remove(job.id)
            claim.release()
            raise
        return claim

    def _reopen(self, job_id: str, choose_work: Callable[[Job], JobWork]) -> tuple[Job, JobClaim, JobWork]:
        job = self._read(job_id)
        try:
            claim = self._records.store.claim(job_id)
        except BlockingIOError:
            raise WrongStateError(f"The job is {job.state}: wait until it has ended, or cancel it.") from None
        try:
            on_disk = self._records.read(job_id)
            # A full disk may have kept the state of `job` from being written.
            job = on_disk if on_disk is not None and on_disk.is_at_rest else job
            work = choose_work(job)
            self._records.take_cancel(job_id)
            changes: dict[str, object] = {"report": None, "error": None, "resumable": False}
            changes["state"] = "running" if work in ("resume", "roll back") or job.state == "planned" else "planning"
            if work == "roll back":
                changes |= {"kind": "roll-back", "progress": None}
            job = job.model_copy(update=changes)
            self._records.write(job)
        except BaseException:
            claim.release()
            raise
        return job, claim, work

    def _work_to_start(self, job: Job) -> JobWork:
        request = self._records.read_request(job.id) if job.state == "planned" else None
        if request is None:
            raise WrongStateError(f"The job is {job.state}: only a planned job can be started.")
        return request

    def _work_to_resume(self, job: Job) -> JobWork:
        has_run = self._has_run(job)
        if not job.resumable:
            what = "start or cancel it" if job.state == "planned" else "there is nothing left to do"
            raise WrongStateError(f"The job is {job.state}: {what}.")
        if job.kind == "roll-back":
            # Before the roll-back begins, the latest run in the journal is the one to undo. This begins the roll-back.
            return "roll back"
        # Once a run has begun, resume from the journal, which knows more than the request.
        request = None if has_run else self._records.read_request(job.id)
        return request or "resume"

    def _work_to_roll_back(self, job: Job) -> JobWork:
        if not self._has_run(job):
            raise WrongStateError(f"The job is {job.state}: it has changed nothing.")
        return "roll back"

    def _has_run(self, job: Job) -> bool:
        try:
            return self._records.read_report(job.id) is not None
        except fleet.JournalError as error:
            if error.retryable:
                raise
            raise WrongStateError(
                f"The job is {job.state}, and its journal cannot be read: it is damaged, or the disk is full."
            ) from None


async def _in_store_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that uses the store, in a thread.

    Raises:
        StorageError: A file cannot be read or written.
    """
    try:
        return await run_in_thread(work, *args, **kwargs)
    except (OSError, fleet.JournalError) as error:
        raise StorageError(error) from error
