"""`JobRecords`: the jobs of a store as objects, and the results in their journals. Every method can block."""

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

from pydantic import ValidationError

from wavix_async.fastapi._jobs.schemas import (
    ChangePage,
    ChangeSet,
    Job,
    JobChange,
    JobReport,
    JobResult,
    JobState,
    ResultPage,
    StoredChangeSet,
)
from wavix_async.fastapi._jobs.store import is_job_id
from wavix_async.fleet import Change, FleetReport, FleetStatus, JournalError, has_run, status
from wavix_async.types import JobPart, JobStore

__all__ = ["JobRecords"]


class JobRecords:
    """The jobs of a store.

    Args:
        store: The store.
    """

    def __init__(self, store: JobStore) -> None:
        self.store = store

    # --- the job ---

    def read(self, job_id: str) -> Job | None:
        """Return a job as last written; None if there is no such job."""
        # One unreadable job must not hide the others.
        with suppress(OSError, ValidationError):
            if is_job_id(job_id) and (text := self._read(job_id, "job")) is not None:
                return Job.model_validate_json(text)
        return None

    def write(self, job: Job) -> None:
        """Write a job; only the process that has claimed the job may call this."""
        self.store.write(job.id, "job", [job.model_dump_json().encode()])

    def newest_ids(self) -> list[str]:
        """Return the ids of all jobs, newest first."""
        return sorted(filter(is_job_id, self.store.ids()), reverse=True)

    def ask_to_cancel(self, job_id: str) -> None:
        """Ask the process that works on a job to cancel it."""
        self.store.write(job_id, "cancel", ())

    def take_cancel(self, job_id: str) -> bool:
        """Return whether another process has asked to cancel a job, and remove its marker."""
        if not self._has(job_id, "cancel"):
            return False
        self.store.remove(job_id, "cancel")
        return True

    # --- request, changes and results ---

    def write_request(self, job_id: str, request: ChangeSet) -> None:
        """Write the request, from which a job is planned until it has a journal."""
        self.store.write(job_id, "request", [StoredChangeSet.dump(request)])

    def read_request(self, job_id: str) -> ChangeSet | None:
        """Return the request; None if it was removed."""
        with suppress(ValidationError):
            if (text := self._read(job_id, "request")) is not None:
                return StoredChangeSet.model_validate_json(text)
        return None

    def can_start(self, job: Job) -> bool:
        """Return whether the store has what a job, or its roll-back, begins with."""
        return self._has(job.id, "request") if job.kind == "apply" else self.store.journal(job.id).is_file()

    def write_changes(self, job_id: str, changes: Iterable[Change]) -> None:
        """Write the planned changes, so that every process can show them before the journal exists."""
        self.store.write(job_id, "changes", (f"{JobChange.of(each).model_dump_json()}\n".encode() for each in changes))

    def changes(self, job: Job, offset: int, limit: int) -> ChangePage:
        """Return a page of the changes, from the journal if it exists, otherwise from the plan."""
        total = 0 if job.plan is None else job.plan.changes
        report = self.read_report_of(job)
        if report is None and job.kind == "roll-back":
            return ChangePage(items=[], total=0)
        if report is not None:
            items = islice((result for result in report.results() if result.fields), offset, offset + limit)
            if report.kind == "roll_back":
                total = sum(bool(result.fields) for result in report.results())
            return ChangePage(items=[JobChange.of(result) for result in items], total=total)
        stream = self.store.open(job.id, "changes")
        if stream is None:
            return ChangePage(items=[], total=total)
        with stream:
            lines = islice(stream, offset, offset + limit)
            return ChangePage(items=[JobChange.model_validate_json(line) for line in lines], total=total)

    def results(self, job: Job, statuses: list[FleetStatus], offset: int, limit: int) -> ResultPage:
        """Return a page of the results with these statuses; an empty list means all results."""
        report = self.read_report_of(job)
        if report is None:
            return ResultPage(items=[], total=0)
        wanted_statuses = set(statuses) or set(FleetStatus)
        total = sum(getattr(report, status) for status in wanted_statuses)
        if report.kind == "apply" and FleetStatus.UNCHANGED in wanted_statuses and job.plan is not None:
            # Numbers that the plan found unchanged have no result.
            total -= job.plan.unchanged
        items = islice(report.results(*wanted_statuses), offset, offset + limit)
        return ResultPage(items=[JobResult.of(result) for result in items], total=total)

    def remove_request(self, job_id: str) -> None:
        """Remove the request and the planned changes, once the journal has them or the job will not run."""
        self.store.remove(job_id, "request")
        self.store.remove(job_id, "changes")

    # --- the journal ---

    def read_report(self, job_id: str) -> FleetReport | None:
        """Return the report of a job's latest run; None if no run has begun.

        Raises:
            JournalError: The journal cannot be read now, or it is damaged.
        """
        path = self.store.journal(job_id)
        if not path.is_file():
            return None
        try:
            return status(path)
        except JournalError as error:
            if error.retryable:
                raise
            if not has_run(path):
                return None
        # The run may have begun between the two looks. A damaged journal raises again.
        return status(path)

    def read_report_of(self, job: Job) -> FleetReport | None:
        """Return the report of the job's current run (`apply` or `roll-back`); None if that run has not begun.

        Raises:
            JournalError: The journal cannot be read now, or it is damaged.
        """
        report = self.read_report(job.id)
        return report if report is not None and (report.kind == "roll_back") == (job.kind == "roll-back") else None

    def end_of(self, job: Job, report: FleetReport | None, state: JobState) -> dict[str, Any]:
        """Return the fields of a job whose run has come to its end.

        Args:
            job: The job.
            report: The report of its current run; None if that has not begun.
            state: The state if the run has not finished.
        """
        return {
            "state": "done" if report is not None and report.finished else state,
            # The progress of the planning says nothing about the changes.
            "progress": None if report is None else job.progress,
            "report": None if report is None else JobReport.of(report),
            "error": None,
            "resumable": not report.finished if report is not None else state != "planned" and self.can_start(job),
        }

    def _read(self, job_id: str, part: JobPart) -> bytes | None:
        stream = self.store.open(job_id, part)
        if stream is None:
            return None
        with stream:
            return stream.read()

    def _has(self, job_id: str, part: JobPart) -> bool:
        stream = self.store.open(job_id, part)
        if stream is not None:
            stream.close()
        return stream is not None
