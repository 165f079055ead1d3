"""`JobManager`: all jobs of a router, those that this process runs and the others in the directory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, ParamSpec, TypeVar

from wavix_async import ConfigurationError, WavixClient, fleet
from wavix_async._files import Lock
from wavix_async.fastapi._jobs.problems import (
    JobProblem,
    StorageError,
    UnknownJobError,
    WrongStateError,
    problem_of_storage,
)
from wavix_async.fastapi._jobs.runner import JobRun, JobWork, run_in_thread
from wavix_async.fastapi._jobs.schemas import ChangePage, ChangeSet, Job, JobReport, JobState, ResultPage
from wavix_async.fastapi._jobs.shutdown import on_shutdown_signal
from wavix_async.fastapi._jobs.store import Command, FileJobStore, new_id

__all__ = ["JobManager"]

P = ParamSpec("P")
T = TypeVar("T")

_POLL: Final = 1.0


class _BusyError(Exception):
    """Another process is working on the job or reading its journal."""


class JobManager:
    """The jobs of a router.

    Args:
        directory: Where jobs are stored. None: in a temporary directory, removed when the application ends.
        kept: The most ended jobs to list; a temporary directory keeps no others.
        safety: The limits at which a job is refused or stopped. None: the default limits.
        grace: Seconds that jobs get to stop cleanly when the application ends.
    """

    def __init__(self, directory: Path | None, kept: int, safety: fleet.Safety | None, grace: float) -> None:
        self._directory = directory
        self._kept = kept
        self._safety = safety
        self._grace = grace
        self._open_store: FileJobStore | None = None
        self._runs: dict[str, JobRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._storage_problems: dict[str, JobProblem] = {}
        self.shutting_down = asyncio.Event()
        """Set when the application begins to shut down; it ends streams and waits."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Open the store while the application runs; at the end, stop all jobs."""
        self.shutting_down = asyncio.Event()
        temporary = None if self._directory is not None else TemporaryDirectory(prefix="wavix-jobs-")
        try:
            path = Path(temporary.name) if temporary is not None else self._directory
            assert path is not None
            self._open_store = await run_in_thread(FileJobStore, path)
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
            self._open_store = None
            if temporary is not None:
                await run_in_thread(temporary.cleanup)

    def _begin_shutdown(self) -> None:
        """End all streams and waits, and interrupt the jobs.

        This runs at the signal, because the server ends the lifespan only after all streams have ended.
        """
        self.shutting_down.set()
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
        """Return the current state of a job.

        Raises:
            UnknownJobError: There is no such job.
        """
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
            run = self._runs.get(known.id)
            if run is not None:
                job, changed, until = run.job, run.changed, end
            else:
                job = await _in_store_thread(self._read, known.id)
                changed, until = self.shutting_down, loop.time() + _POLL
            if job != known or loop.time() >= end:
                return job
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(until, end)):
                    await changed.wait()
        return known

    async def changes(self, job_id: str, offset: int, limit: int) -> ChangePage:
        """Return a page of the changes of a job.

        Raises:
            UnknownJobError: There is no such job.
        """
        job = await self.get(job_id)
        return await _in_store_thread(self._store.changes, job, offset, limit)

    async def results(self, job_id: str, statuses: list[fleet.FleetStatus], offset: int, limit: int) -> ResultPage:
        """Return a page of the job's results with these statuses; an empty list means all results.

        Raises:
            UnknownJobError: There is no such job.
        """
        job = await self.get(job_id)
        return await _in_store_thread(self._store.results, job, statuses, offset, limit)

    # --- commands ---

    async def create(self, wavix: WavixClient, request: ChangeSet) -> Job:
        """Begin a job."""
        job = Job(id=new_id(), state="planning", created_at=datetime.now(UTC))
        lock = await _in_store_thread(self._create, job, request)
        self._start_run(job, lock, wavix, request)
        return job

    async def start(self, job_id: str) -> Job:
        """Start a planned job.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: The job is not in the state `planned`.
        """
        job = await self.get(job_id)
        if job.state != "planned":
            raise WrongStateError(f"The job is {job.state}: only a planned job can be started.")
        return await self._send_command(job, "start")

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job: requests in flight finish, and no others are sent.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: The job has ended.
        """
        job = await self.get(job_id)
        if job.is_final:
            raise WrongStateError(f"The job is {job.state}: there is nothing to cancel.")
        return await self._send_command(job, "cancel")

    async def resume(self, wavix: WavixClient, job_id: str) -> Job:
        """Resume a job that was stopped or whose process ended.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: The job is in progress, or there is nothing left to do.
        """
        job, lock, work = await _in_store_thread(self._reopen, job_id, self._work_to_resume)
        self._start_run(job, lock, wavix, work)
        return job

    async def roll_back(self, wavix: WavixClient, job_id: str) -> Job:
        """Undo the changes of a job, or resume its roll-back.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: The job is in progress, or it has changed nothing.
        """
        job, lock, work = await _in_store_thread(self._reopen, job_id, self._work_to_roll_back)
        self._start_run(job, lock, wavix, work)
        return job

    async def _send_command(self, job: Job, command: Command) -> Job:
        run = self._runs.get(job.id)
        if run is None:
            await _in_store_thread(self._store.send_command, job.id, command)
            return job
        if command == "start":
            run.start()
        else:
            run.cancel()
        return run.job

    def _start_run(self, job: Job, lock: Lock, wavix: WavixClient, work: JobWork) -> None:
        run = JobRun(job, self._store, lock, wavix, safety=self._safety, on_end=self._remove_run)
        self._runs[job.id] = run
        task = run.start_work(work)
        self._tasks.add(task)
        if self.shutting_down.is_set():
            run.interrupt()
        task.add_done_callback(self._tasks.discard)

    def _remove_run(self, run: JobRun) -> None:
        del self._runs[run.job.id]

    # --- in a thread ---

    @property
    def _store(self) -> FileJobStore:
        if self._open_store is None:
            raise ConfigurationError(
                "The lifespan of the router of bulk jobs has not run: include the router in the outermost application. "
                "A mounted application does not run a lifespan."
            )
        return self._open_store

    def _read(self, job_id: str) -> Job:
        job = self._store.read(job_id)
        if job is None:
            raise UnknownJobError(f"There is no job {job_id!r}.")
        if not job.is_final and not self._store.is_claimed(job_id):
            with suppress(_BusyError):
                job = self._finish_abandoned(job_id)
        return job

    def _finish_abandoned(self, job_id: str) -> Job:
        """Determine and write the final state of a job whose process ended.

        Raises:
            _BusyError: Another process is working on the job or reading its journal.
        """
        with self._claim_abandoned(job_id):
            job = self._store.read(job_id)
            if job is None or job.is_final:
                return job or self._read(job_id)
            try:
                report = self._store.read_report_of(job)
            except fleet.JournalError as error:
                if error.retryable:
                    raise _BusyError from None
                # The error may be temporary (a full disk): report it now, and try again at the next request.
                return job.model_copy(update={"state": "interrupted", "error": self._unreadable_problem(job_id, error)})
            resumable = self._store.can_start(job) if report is None else not report.finished
            state: JobState = "done" if report is not None and report.finished else "interrupted"
            job_report = None if report is None else JobReport.of(report)
            job = job.model_copy(update={"state": state, "report": job_report, "resumable": resumable})
            with suppress(OSError):
                # The answer is correct even if the file cannot be written.
                self._store.write(job)
            return job

    def _claim_abandoned(self, job_id: str) -> AbstractContextManager[object]:
        try:
            return self._store.claim(job_id)
        except BlockingIOError:
            raise _BusyError from None
        except OSError:
            return nullcontext()

    def _unreadable_problem(self, job_id: str, error: fleet.JournalError) -> JobProblem:
        # Log once per job, and always return the same object, because a stream compares jobs to find a change.
        if job_id not in self._storage_problems:
            self._storage_problems[job_id] = problem_of_storage(error, job_id)
        return self._storage_problems[job_id]

    def _list_jobs(self) -> list[Job]:
        return list(self._iterate_jobs())

    def _iterate_jobs(self) -> Iterator[Job]:
        """Yield the jobs to list, and remove the others if the directory is temporary."""
        ended = 0
        for job_id in self._store.newest_ids():
            run = self._runs.get(job_id)
            if run is None and ended >= self._kept and not self._store.is_claimed(job_id):
                if self._directory is None:
                    self._store.remove(job_id)
                continue
            with suppress(UnknownJobError):
                job = run.job if run is not None else self._read(job_id)
                ended += job.is_final
                yield job

    def _create(self, job: Job, request: ChangeSet) -> Lock:
        lock = self._store.claim(job.id)
        try:
            self._store.write_request(job.id, request)
            self._store.write(job)
            if self._directory is None:
                # This removes the oldest ended jobs.
                self._list_jobs()
        except BaseException:
            with suppress(OSError):
                self._store.remove(job.id)
            lock.release()
            raise
        return lock

    def _reopen(self, job_id: str, choose_work: Callable[[Job], JobWork]) -> tuple[Job, Lock, JobWork]:
        job = self._read(job_id)
        if not job.is_final:
            raise WrongStateError(f"The job is {job.state}: wait until it has ended, or cancel it.")
        try:
            lock = self._store.claim(job_id)
        except OSError:
            raise WrongStateError("The job is in progress: wait until it has ended, or cancel it.") from None
        try:
            on_disk = self._store.read(job_id)
            # A full disk may have kept the state of `job` from being written.
            job = on_disk if on_disk is not None and on_disk.is_final else job
            work = choose_work(job)
            self._store.take_commands(job_id)
            changes: dict[str, object] = {"report": None, "error": None, "resumable": False}
            changes["state"] = "planning" if isinstance(work, ChangeSet) else "running"
            if work == "roll back":
                changes |= {"kind": "roll-back", "progress": None}
            job = job.model_copy(update=changes)
            self._store.write(job)
        except BaseException:
            lock.release()
            raise
        return job, lock, work

    def _work_to_resume(self, job: Job) -> JobWork:
        has_run = self._has_run(job)
        if not job.resumable:
            raise WrongStateError(f"The job is {job.state}: there is nothing left to do.")
        if job.kind == "roll-back":
            # Before the roll-back begins, the latest run in the journal is the one to undo. This begins the roll-back.
            return "roll back"
        # Once a run has begun, resume from the journal, which knows more than the request.
        request = None if has_run else self._store.read_request(job.id)
        return request or "resume"

    def _work_to_roll_back(self, job: Job) -> JobWork:
        if not self._has_run(job):
            raise WrongStateError(f"The job is {job.state}: it has changed nothing.")
        return "roll back"

    def _has_run(self, job: Job) -> bool:
        try:
            return self._store.read_report(job.id) is not None
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
