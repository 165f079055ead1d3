"""`JobBook`: all jobs of a router: those that this process works on, and those that lie in the directory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, ParamSpec, TypeVar

from wavix_async import ConfigurationError, WavixClient, fleet
from wavix_async._files import Lock
from wavix_async.fastapi._jobs.problems import JobProblem, StorageError, UnknownJobError, WrongStateError, of_storage
from wavix_async.fastapi._jobs.runner import Run, Work, in_thread
from wavix_async.fastapi._jobs.schemas import ChangePage, ChangeSet, Job, JobReport, JobState, ResultPage
from wavix_async.fastapi._jobs.shutdown import heard
from wavix_async.fastapi._jobs.store import JobFiles, Order, new_id

__all__ = ["JobBook"]

P = ParamSpec("P")
T = TypeVar("T")

_POLL: Final = 1.0


class _BusyError(Exception):
    """Somebody else is at it."""


class JobBook:
    """The jobs of a router.

    Args:
        directory: Where they are kept; None: in a temporary directory, until the end.
        kept: How many of those that have ended are listed, and kept if the directory is a temporary one.
        safety: When to refuse or to stop a job; None: the default.
        grace: Seconds that jobs have to end in order when the application ends.
    """

    def __init__(self, directory: Path | None, kept: int, safety: fleet.Safety | None, grace: float) -> None:
        self._directory = directory
        self._kept = kept
        self._safety = safety
        self._grace = grace
        self._opened: JobFiles | None = None
        self._live: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._broken: dict[str, JobProblem] = {}
        self.leaving = asyncio.Event()
        """Set when the application is about to end: nobody need wait for anything any more."""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be open, as long as the application runs; jobs are stopped at the end."""
        self.leaving = asyncio.Event()
        temporary = None if self._directory is not None else TemporaryDirectory(prefix="wavix-jobs-")
        try:
            path = Path(temporary.name) if temporary is not None else self._directory
            assert path is not None
            self._opened = await in_thread(JobFiles, path)
            grace = self._grace
            try:
                with heard(self._leave):
                    yield
            except asyncio.CancelledError:
                grace = 0.0
                raise
            finally:
                await self._close(grace)
        finally:
            self._opened = None
            if temporary is not None:
                await in_thread(temporary.cleanup)

    def _leave(self) -> None:
        """Let nobody wait any more, and jobs end in order.

        At the signal, and not when the server has waited: a reader that has stopped reading keeps it waiting.
        """
        self.leaving.set()
        for run in self._live.values():
            run.leave()

    async def _close(self, grace: float) -> None:
        self._leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for run in list(self._live.values()):
            run.abort()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # --- looking ---

    async def get(self, job_id: str) -> Job:
        """Return a job as it is now.

        Raises:
            UnknownJobError: There is none.
        """
        run = self._live.get(job_id)
        return run.job if run is not None else await _on_disk(self._look, job_id)

    async def newest(self) -> list[Job]:
        """Return the jobs under way, and the latest of those that have ended, the newest first."""
        return await _on_disk(self._newest)

    async def after(self, seen: Job, within: float) -> Job:
        """Wait until a job is not any more what somebody has seen, and return it; or after some seconds as it was."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        while not self.leaving.is_set():
            run = self._live.get(seen.id)
            if run is not None:
                job, changed, until = run.job, run.changed, end
            else:
                job, changed, until = await _on_disk(self._look, seen.id), self.leaving, loop.time() + _POLL
            if job != seen or loop.time() >= end:
                return job
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(until, end)):
                    await changed.wait()
        return seen

    async def changes(self, job_id: str, offset: int, limit: int) -> ChangePage:
        """Return some of what a job changes.

        Raises:
            UnknownJobError: There is no such job.
        """
        job = await self.get(job_id)
        return await _on_disk(self._files.changes, job, offset, limit)

    async def results(self, job_id: str, statuses: list[fleet.FleetStatus], offset: int, limit: int) -> ResultPage:
        """Return some of what a job has come to; without statuses: of all.

        Raises:
            UnknownJobError: There is no such job.
        """
        job = await self.get(job_id)
        return await _on_disk(self._files.results, job, statuses, offset, limit)

    # --- doing ---

    async def create(self, wavix: WavixClient, request: ChangeSet) -> Job:
        """Begin a job."""
        job = Job(id=new_id(), state="planning", created_at=datetime.now(UTC))
        lock = await _on_disk(self._begin, job, request)
        self._begin_run(job, lock, wavix, request)
        return job

    async def start(self, job_id: str) -> Job:
        """Carry out a job that was planned.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: It is not planned.
        """
        job = await self.get(job_id)
        if job.state != "planned":
            raise WrongStateError(f"The job is {job.state}: only one that is planned can be started.")
        return await self._order(job, "start")

    async def cancel(self, job_id: str) -> Job:
        """End a job in order.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: It has ended.
        """
        job = await self.get(job_id)
        if job.is_final:
            raise WrongStateError(f"The job is {job.state}: there is nothing to cancel.")
        return await self._order(job, "cancel")

    async def resume(self, wavix: WavixClient, job_id: str) -> Job:
        """Go on with a job that was stopped, or that its process has left.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: It is under way, or there is nothing left to do.
        """
        job, lock, work = await _on_disk(self._begin_again, job_id, self._what_is_left)
        self._begin_run(job, lock, wavix, work)
        return job

    async def roll_back(self, wavix: WavixClient, job_id: str) -> Job:
        """Undo what a job has changed, or go on with that.

        Raises:
            UnknownJobError: There is no such job.
            WrongStateError: It is under way, or has sent nothing.
        """
        job, lock, work = await _on_disk(self._begin_again, job_id, self._what_is_done)
        self._begin_run(job, lock, wavix, work)
        return job

    async def _order(self, job: Job, order: Order) -> Job:
        run = self._live.get(job.id)
        if run is None:
            await _on_disk(self._files.order, job.id, order)
            return job
        if order == "start":
            run.start()
        else:
            run.cancel()
        return run.job

    def _begin_run(self, job: Job, lock: Lock, wavix: WavixClient, work: Work) -> None:
        run = Run(job, self._files, lock, wavix, safety=self._safety, on_end=self._forget)
        self._live[job.id] = run
        task = run.begin(work)
        self._tasks.add(task)
        if self.leaving.is_set():
            run.leave()
        task.add_done_callback(self._tasks.discard)

    def _forget(self, run: Run) -> None:
        del self._live[run.job.id]

    # --- in a thread ---

    @property
    def _files(self) -> JobFiles:
        if self._opened is None:
            raise ConfigurationError(
                "The lifespan of the router of bulk jobs has not run: include the router in the application that is "
                "served. One that is mounted in another has no lifespan of its own."
            )
        return self._opened

    def _look(self, job_id: str) -> Job:
        job = self._files.read(job_id)
        if job is None:
            raise UnknownJobError(f"There is no job {job_id!r}.")
        if not job.is_final and not self._files.is_claimed(job_id):
            with suppress(_BusyError):
                job = self._settle(job_id)
        return job

    def _settle(self, job_id: str) -> Job:
        """Find out, and write down, how a job stands whose process is gone.

        Raises:
            _BusyError: Somebody works on it after all, or reads its journal just now.
        """
        with self._claim_to_settle(job_id):
            job = self._files.read(job_id)
            if job is None or job.is_final:
                return job or self._look(job_id)
            try:
                found = self._files.report_of(job)
            except fleet.JournalError as error:
                if error.retryable:
                    raise _BusyError from None
                # That may pass, as a full disk does: it is told, and looked at again the next time.
                return job.model_copy(update={"state": "interrupted", "error": self._unreadable(job_id, error)})
            again = self._files.can_begin(job) if found is None else not found.finished
            state: JobState = "done" if found is not None and found.finished else "interrupted"
            report = None if found is None else JobReport.of(found)
            job = job.model_copy(update={"state": state, "report": report, "resumable": again})
            with suppress(OSError):
                # What cannot be written can be told all the same.
                self._files.write(job)
            return job

    def _claim_to_settle(self, job_id: str) -> AbstractContextManager[object]:
        try:
            return self._files.claim(job_id)
        except BlockingIOError:
            raise _BusyError from None
        except OSError:
            return nullcontext()

    def _unreadable(self, job_id: str, error: fleet.JournalError) -> JobProblem:
        # Whoever looks every second need not fill the log, and what has not changed has to look so.
        if job_id not in self._broken:
            self._broken[job_id] = of_storage(error, job_id)
        return self._broken[job_id]

    def _newest(self) -> list[Job]:
        return list(self._listed())

    def _listed(self) -> Iterator[Job]:
        """Yield the jobs that are listed, and remove from a temporary directory those that are not."""
        ended = 0
        for job_id in self._files.newest():
            run = self._live.get(job_id)
            if run is None and ended >= self._kept and not self._files.is_claimed(job_id):
                if self._directory is None:
                    self._files.remove(job_id)
                continue
            with suppress(UnknownJobError):
                job = run.job if run is not None else self._look(job_id)
                ended += job.is_final
                yield job

    def _begin(self, job: Job, request: ChangeSet) -> Lock:
        lock = self._files.claim(job.id)
        try:
            self._files.keep_request(job.id, request)
            self._files.write(job)
            if self._directory is None:
                # Those that are too many leave.
                self._newest()
        except BaseException:
            with suppress(OSError):
                self._files.remove(job.id)
            lock.release()
            raise
        return lock

    def _begin_again(self, job_id: str, choose: Callable[[Job], Work]) -> tuple[Job, Lock, Work]:
        job = self._look(job_id)
        if not job.is_final:
            raise WrongStateError(f"The job is {job.state}: it is under way.")
        try:
            lock = self._files.claim(job_id)
        except OSError:
            raise WrongStateError("The job is under way.") from None
        try:
            written = self._files.read(job_id)
            # What could not be written on a full disk is known all the same.
            job = written if written is not None and written.is_final else job
            work = choose(job)
            self._files.take_orders(job_id)
            changes: dict[str, object] = {"report": None, "error": None, "resumable": False}
            changes["state"] = "planning" if isinstance(work, ChangeSet) else "running"
            if work == "roll back":
                changes |= {"kind": "roll-back", "progress": None}
            job = job.model_copy(update=changes)
            self._files.write(job)
        except BaseException:
            lock.release()
            raise
        return job, lock, work

    def _what_is_left(self, job: Job) -> Work:
        begun = self._has_begun(job)
        if not job.resumable:
            raise WrongStateError(f"The job is {job.state}: there is nothing left to do.")
        if job.kind == "roll-back":
            # Which begins if it has not: the journal's latest run may be the one that shall be undone.
            return "roll back"
        # Once a run has begun the journal knows more than what was asked for.
        request = None if begun else self._files.request(job.id)
        return request or "resume"

    def _what_is_done(self, job: Job) -> Work:
        if not self._has_begun(job):
            raise WrongStateError(f"The job is {job.state}: it has changed nothing.")
        return "roll back"

    def _has_begun(self, job: Job) -> bool:
        try:
            return self._files.report(job.id) is not None
        except fleet.JournalError as error:
            if error.retryable:
                raise
            raise WrongStateError(
                f"The job is {job.state}, and its journal cannot be read: it is damaged, or the disk is full."
            ) from None


async def _on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something with files, in a thread.

    Raises:
        StorageError: It cannot be done.
    """
    try:
        return await in_thread(work, *args, **kwargs)
    except (OSError, fleet.JournalError) as error:
        raise StorageError(error) from error
