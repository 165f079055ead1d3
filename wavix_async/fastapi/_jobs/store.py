"""`JobFiles`: a directory of jobs, which several processes may share.

Of each job there are `<id>.json` (the job as it is told; replaced as a whole), `<id>.sqlite` (the journal of its run),
`<id>.request` and `<id>.changes` (what was asked for, and what would change: until the journal has both), and marker
files by which another process asks for something. Whoever works on a job holds the lock beside `<id>.json`, which the
system takes back however the process ends.
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

__all__ = ["JobFiles", "Order", "new_id"]

Order: TypeAlias = Literal["start", "cancel"]

_ID: Final = re.compile(r"[0-9a-f]{36}")
_ORDERS: Final[tuple[Order, ...]] = ("start", "cancel")
_ENDS: Final = (
    *(".json", ".request", ".changes"),
    *(".json.new", ".request.new", ".changes.new"),
    *(".sqlite", ".sqlite-wal", ".sqlite-shm", ".sqlite.lock", ".json.lock"),
)

_latest = 0


def new_id() -> str:
    """Return an id that sorts by the time, and that nobody can guess."""
    global _latest
    # A clock that is put back must not make what is new the oldest, which is what has to leave.
    _latest = max(_latest + 1, time.time_ns() // 1_000_000)
    return f"{_latest:012x}{secrets.token_hex(12)}"


class JobFiles:
    """Jobs in a directory. All of it may block.

    Args:
        directory: Where; it is made when it is not there.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory

    def journal(self, job_id: str) -> Path:
        """Return where a job has its journal."""
        return self._path(job_id, ".sqlite")

    def make_journal(self, job_id: str) -> Path:
        """Return where a job has its journal, which nobody else can read from the beginning."""
        path = self.journal(job_id)
        with suppress(FileExistsError), open(path, "xb", opener=_ours_only):
            pass
        return path

    # --- the job ---

    def read(self, job_id: str) -> Job | None:
        """Return a job as it was last written; None: there is none."""
        if not _ID.fullmatch(job_id):
            return None
        # One that cannot be read must not hide all others.
        with suppress(OSError, ValidationError):
            return Job.model_validate_json(self._path(job_id, ".json").read_bytes())
        return None

    def write(self, job: Job) -> None:
        """Write a job; only whoever has claimed it may."""
        _replace(self._path(job.id, ".json"), [job.model_dump_json()])

    def newest(self) -> list[str]:
        """Return the ids of all jobs, the newest first."""
        names = (path.name.removesuffix(".json") for path in self._directory.glob("*.json"))
        return sorted(filter(_ID.fullmatch, names), reverse=True)

    def remove(self, job_id: str) -> None:
        """Remove all there is of a job."""
        for end in (*_ENDS, *(f".{order}" for order in _ORDERS)):
            self._path(job_id, end).unlink(missing_ok=True)

    # --- who works on it ---

    def claim(self, job_id: str) -> Lock:
        """Return the right to work on a job, until it is released.

        Raises:
            BlockingIOError: Another process works on the job.
            OSError: The lock file cannot be opened.
        """
        return Lock(self._path(job_id, ".json"))

    def is_claimed(self, job_id: str) -> bool:
        """Tell whether somebody works on a job."""
        return is_held(self._path(job_id, ".json"))

    def order(self, job_id: str, order: Order) -> None:
        """Ask whoever works on a job for something."""
        self._path(job_id, f".{order}").touch()

    def take_orders(self, job_id: str) -> set[Order]:
        """Return what others have asked for, and forget it."""
        taken: set[Order] = set()
        for order in _ORDERS:
            with suppress(FileNotFoundError):
                self._path(job_id, f".{order}").unlink()
                taken.add(order)
        return taken

    # --- what it is about ---

    def keep_request(self, job_id: str, request: ChangeSet) -> None:
        """Write what was asked for: as long as there is no journal, a job is planned from this."""
        _replace(self._path(job_id, ".request"), [request.model_dump_json()])

    def request(self, job_id: str) -> ChangeSet | None:
        """Return what was asked for; None: that is forgotten."""
        with suppress(FileNotFoundError, ValidationError):
            return ChangeSet.model_validate_json(self._path(job_id, ".request").read_bytes())
        return None

    def can_begin(self, job: Job) -> bool:
        """Tell whether it is known what a job, or its roll-back, would begin with."""
        return self._path(job.id, ".request" if job.kind == "apply" else ".sqlite").is_file()

    def keep_changes(self, job_id: str, changes: Iterable[Change]) -> None:
        """Write what would change, so that every process can show it before there is a journal."""
        path = self._path(job_id, ".changes")
        _replace(path, (f"{JobChange.of(change).model_dump_json()}\n" for change in changes))

    def changes(self, job: Job, offset: int, limit: int) -> ChangePage:
        """Return some of what changes: from the journal if there is one, else as it was planned."""
        total = 0 if job.plan is None else job.plan.changes
        report = self.report_of(job)
        if report is None and job.kind == "roll-back":
            return ChangePage(items=[], total=0)
        if report is not None:
            found = islice((result for result in report.results() if result.fields), offset, offset + limit)
            if report.kind == "roll_back":
                total = sum(bool(result.fields) for result in report.results())
            return ChangePage(items=[JobChange.of(result) for result in found], total=total)
        try:
            with self._path(job.id, ".changes").open(encoding="utf-8") as stream:
                lines = islice(stream, offset, offset + limit)
                return ChangePage(items=[JobChange.model_validate_json(line) for line in lines], total=total)
        except FileNotFoundError:
            return ChangePage(items=[], total=total)

    def results(self, job: Job, statuses: list[FleetStatus], offset: int, limit: int) -> ResultPage:
        """Return some of what has become of the numbers; without statuses: of all."""
        found = self.report_of(job)
        if found is None:
            return ResultPage(items=[], total=0)
        asked = set(statuses) or set(FleetStatus)
        total = sum(getattr(found, status) for status in asked)
        if found.kind == "apply" and FleetStatus.UNCHANGED in asked and job.plan is not None:
            # Those that were as wanted from the beginning have no result.
            total -= job.plan.unchanged
        items = islice(found.results(*asked), offset, offset + limit)
        return ResultPage(items=[JobResult.of(result) for result in items], total=total)

    def forget_request(self, job_id: str) -> None:
        """Remove what the journal has, too, or what nobody will need."""
        for end in (".request", ".changes"):
            self._path(job_id, end).unlink(missing_ok=True)

    def report(self, job_id: str) -> FleetReport | None:
        """Return how the run of a job stands; None: none has begun.

        Raises:
            JournalError: It cannot be read: just now, or because it is damaged.
        """
        path = self.journal(job_id)
        if not path.is_file():
            return None
        try:
            return status(path)
        except JournalError as error:
            if error.retryable or not _is_blank(path):
                raise
            return None

    def report_of(self, job: Job) -> FleetReport | None:
        """Return how stands what a job is about now; None: that has not begun, whatever was done before.

        Raises:
            JournalError: It cannot be read: just now, or because it is damaged.
        """
        found = self.report(job.id)
        return found if found is not None and (found.kind == "roll_back") == (job.kind == "roll-back") else None

    def _path(self, job_id: str, end: str) -> Path:
        if not _ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is no id of a job")
        return self._directory / f"{job_id}{end}"


def _replace(path: Path, texts: Iterable[str]) -> None:
    beside = path.with_name(f"{path.name}.new")
    try:
        with open(beside, "w", encoding="utf-8", opener=_ours_only) as stream:
            stream.writelines(texts)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _ours_only(path: str, flags: int) -> int:
    # Also in a directory that is there already, and that everybody may read: it is about phone numbers and URLs.
    return os.open(path, flags, 0o600)


def _is_blank(path: Path) -> bool:
    """Tell whether a journal is in order, and no run has begun in it."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return not tables or ("run" in tables and not connection.execute("SELECT 1 FROM run").fetchone())
    except sqlite3.Error:
        return False
