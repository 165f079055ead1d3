"""`FileJobStore`: a directory of jobs, which several processes may share.

A job has these files:

- `<id>.json`: the job as the API returns it, always replaced as a whole.
- `<id>.sqlite`: the journal of its run.
- `<id>.request` and `<id>.changes`: the request and the planned changes, until the journal has both.
- `<id>.start` and `<id>.cancel`: markers, with which another process sends a command.

The process that works on a job holds the lock beside `<id>.json`. The operating system releases the lock when the
process ends, even after a crash.
"""

import os
import re
import secrets
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Final, Literal, TypeAlias

from pydantic import ValidationError

from wavix_async._files import Lock, is_held
from wavix_async.fastapi._jobs.schemas import ChangePage, ChangeSet, Job, JobChange, JobResult, ResultPage
from wavix_async.fleet import Change, FleetReport, FleetStatus, JournalError, status

__all__ = ["Command", "FileJobStore", "new_id"]

Command: TypeAlias = Literal["start", "cancel"]

_ID: Final = re.compile(r"[0-9a-f]{36}")
_COMMANDS: Final[tuple[Command, ...]] = ("start", "cancel")
_SUFFIXES: Final = (
    *(".json", ".request", ".changes"),
    *(".json.new", ".request.new", ".changes.new"),
    *(".sqlite", ".sqlite-wal", ".sqlite-shm", ".sqlite.lock", ".json.lock"),
)

_last_timestamp = 0


def new_id() -> str:
    """Return a new job id; ids sort by creation time and cannot be guessed."""
    global _last_timestamp
    # The oldest jobs are removed first, so a new id must be the newest even after the clock was set back.
    _last_timestamp = max(_last_timestamp + 1, time.time_ns() // 1_000_000)
    return f"{_last_timestamp:012x}{secrets.token_hex(12)}"


class FileJobStore:
    """The jobs in a directory. Every method can block.

    Args:
        directory: The directory; created if it does not exist.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory

    def journal(self, job_id: str) -> Path:
        """Return the path of the journal of a job."""
        return self._path(job_id, ".sqlite")

    def create_journal(self, job_id: str) -> Path:
        """Create the journal of a job, readable only by this user, and return its path."""
        path = self.journal(job_id)
        with suppress(FileExistsError), open(path, "xb", opener=_open_private):
            pass
        return path

    # --- the job ---

    def read(self, job_id: str) -> Job | None:
        """Return a job as last written; None if there is no such job."""
        if not _ID.fullmatch(job_id):
            return None
        # One unreadable job must not hide the others.
        with suppress(OSError, ValidationError):
            return Job.model_validate_json(self._path(job_id, ".json").read_bytes())
        return None

    def write(self, job: Job) -> None:
        """Write a job; only the process that has claimed the job may call this."""
        _write_atomically(self._path(job.id, ".json"), [job.model_dump_json()])

    def newest_ids(self) -> list[str]:
        """Return the ids of all jobs, newest first."""
        names = (path.name.removesuffix(".json") for path in self._directory.glob("*.json"))
        return sorted(filter(_ID.fullmatch, names), reverse=True)

    def remove(self, job_id: str) -> None:
        """Remove all files of a job."""
        for suffix in (*_SUFFIXES, *(f".{command}" for command in _COMMANDS)):
            self._path(job_id, suffix).unlink(missing_ok=True)

    # --- locks and commands between processes ---

    def claim(self, job_id: str) -> Lock:
        """Lock a job, to work on it until the lock is released.

        Raises:
            BlockingIOError: Another process is working on the job.
            OSError: The lock file cannot be opened.
        """
        return Lock(self._path(job_id, ".json"))

    def is_claimed(self, job_id: str) -> bool:
        """Return whether a process is working on a job."""
        return is_held(self._path(job_id, ".json"))

    def send_command(self, job_id: str, command: Command) -> None:
        """Send a command to the process that works on a job."""
        self._path(job_id, f".{command}").touch()

    def take_commands(self, job_id: str) -> set[Command]:
        """Return the commands that other processes have sent, and remove them."""
        taken: set[Command] = set()
        for command in _COMMANDS:
            with suppress(FileNotFoundError):
                self._path(job_id, f".{command}").unlink()
                taken.add(command)
        return taken

    # --- request, changes and results ---

    def write_request(self, job_id: str, request: ChangeSet) -> None:
        """Write the request, from which a job is planned until it has a journal."""
        _write_atomically(self._path(job_id, ".request"), [request.model_dump_json()])

    def read_request(self, job_id: str) -> ChangeSet | None:
        """Return the request; None if it was removed."""
        with suppress(FileNotFoundError, ValidationError):
            return ChangeSet.model_validate_json(self._path(job_id, ".request").read_bytes())
        return None

    def can_start(self, job: Job) -> bool:
        """Return whether the file that a job, or its roll-back, begins with exists."""
        return self._path(job.id, ".request" if job.kind == "apply" else ".sqlite").is_file()

    def write_changes(self, job_id: str, changes: Iterable[Change]) -> None:
        """Write the planned changes, so that every process can show them before the journal exists."""
        path = self._path(job_id, ".changes")
        _write_atomically(path, (f"{JobChange.of(change).model_dump_json()}\n" for change in changes))

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
        try:
            with self._path(job.id, ".changes").open(encoding="utf-8") as stream:
                lines = islice(stream, offset, offset + limit)
                return ChangePage(items=[JobChange.model_validate_json(line) for line in lines], total=total)
        except FileNotFoundError:
            return ChangePage(items=[], total=total)

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
        for suffix in (".request", ".changes"):
            self._path(job_id, suffix).unlink(missing_ok=True)

    def read_report(self, job_id: str) -> FleetReport | None:
        """Return the report of a job's latest run; None if no run has begun.

        Raises:
            JournalError: The journal cannot be read now, or it is damaged.
        """
        path = self.journal(job_id)
        if not path.is_file():
            return None
        try:
            return status(path)
        except JournalError as error:
            if error.retryable:
                raise
            if _is_empty_journal(path):
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

    def _path(self, job_id: str, suffix: str) -> Path:
        if not _ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is not a job id")
        return self._directory / f"{job_id}{suffix}"


def _write_atomically(path: Path, texts: Iterable[str]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    try:
        with open(temporary, "w", encoding="utf-8", opener=_open_private) as stream:
            stream.writelines(texts)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _open_private(path: str, flags: int) -> int:
    # The files contain phone numbers and URLs, and other users may be able to read the directory.
    return os.open(path, flags, 0o600)


def _is_empty_journal(path: Path) -> bool:
    """Return whether a journal is intact and no run has begun in it."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return not tables or ("run" in tables and not connection.execute("SELECT 1 FROM run").fetchone())
    except sqlite3.Error:
        return False
