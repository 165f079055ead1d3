"""`FleetReport`: the report of a run, read from its journal. It streams the results, so their number has no limit."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from os import PathLike
from pathlib import Path
from typing import Final, TypeAlias

from wavix_async._codec import html_table
from wavix_async._files import check_path, is_held
from wavix_async._sqlite import Database, translate_errors
from wavix_async.fleet._errors import JournalError
from wavix_async.fleet._journal import LOST, RunRow, latest_run, read_journal, run_of
from wavix_async.fleet._plan import count_by_field
from wavix_async.fleet._records import FleetResult, FleetStatus, Sample, field_changes

__all__ = ["FleetReport", "has_run", "status"]

_Statuses: TypeAlias = dict[str | None, FleetStatus]
_STATUS: Final[_Statuses] = {
    None: FleetStatus.NOT_SENT,
    "sent": FleetStatus.UNKNOWN,
    "again": FleetStatus.NOT_SENT,
    "verified": FleetStatus.UPDATED,
    **{status.value: status for status in FleetStatus},
}
_STATUS_OF_A_COPY: Final = _STATUS | dict.fromkeys((None, "again", "not_sent"), FleetStatus.UNKNOWN)
"""The same for a copy that may not know what the run has sent."""


class FleetReport:
    """The state of a run. Every number of the desired state is in exactly one of the counts.

    Attributes:
        kind: `apply` or `roll_back`.
        name: The source of the run: a file, or `<iterable>`; for `roll_back`, the journal.
        digest: The digest of the plan.
        journal: The path of the journal; None if the run has none.
        is_running: Whether another process was writing the journal when this report was made.
        updated: Changes that the API confirmed. After a finished run with `verify`, a read has confirmed them, too.
        unchanged: Numbers with nothing to change.
        failed: Changes that the API rejected, and numbers that another client changed or that are gone since the plan.
        skipped: Numbers that are not in the account, and that `missing="skip"` left out.
        unknown: Changes that were sent, and whose outcome is not known.
        not_sent: Changes that were not sent, or were sent and are not applied.
        pending: Changes that the API confirmed, and that were not in effect when the verification ended.
        requests: Requests sent by all processes of the run, including reads. If a process was killed or is running, its
            last second may be missing.
        rate_limited: Requests answered with 429.
        elapsed: Seconds, summed over all processes.
        began: The start of the run, in seconds since 1970.
        stopped_by: Why the last process stopped early; None if it did not.
        refused_by_safety: Whether it stopped because of a safety limit: too many failures.
    """

    def __init__(self, database: Database, run: RunRow, *, is_running: bool = False) -> None:
        self.kind: str = run.kind
        self.name: str = run.name
        self.digest: str = run.digest
        self.journal: Path | None = database.path
        self.is_running = is_running
        self.requests: int = run.requests
        self.rate_limited: int = run.rate_limited
        self.elapsed: float = run.elapsed
        self.began: float = run.began
        # While a process continues the run, it has not stopped: an earlier process has.
        self.stopped_by: str | None = None if is_running else run.stopped_by
        self.refused_by_safety: bool = bool(run.refused) and not is_running
        self._run = run.no
        self._status_of = _STATUS_OF_A_COPY if database.lacks_entries else _STATUS
        # A journal file is opened again when needed; a temporary database must stay open.
        self._database = None if database.path is not None else database
        counts, unverified = _counts(database.connection, run, self._status_of)
        self._unverified = unverified if json.loads(run.options)["verify"] else 0
        self.updated: int = counts[FleetStatus.UPDATED]
        self.unchanged: int = counts[FleetStatus.UNCHANGED]
        self.failed: int = counts[FleetStatus.FAILED]
        self.skipped: int = counts[FleetStatus.SKIPPED]
        self.unknown: int = counts[FleetStatus.UNKNOWN]
        self.not_sent: int = counts[FleetStatus.NOT_SENT]
        self.pending: int = counts[FleetStatus.PENDING]

    @property
    def total(self) -> int:
        """The number of numbers in the desired state."""
        return sum(getattr(self, status.value) for status in FleetStatus)

    @property
    def finished(self) -> bool:
        """Whether `resume` has nothing left to do."""
        return not (self.unknown or self.not_sent or self.pending or self._unverified or self.is_running)

    @property
    def totals(self) -> dict[str, int]:
        """For each field, the number of changes that the run has made or planned."""
        with _connection_to(self._database, self.journal) as connection:
            return count_by_field(connection, self._run)

    def results(self, *statuses: FleetStatus | str) -> Iterator[FleetResult]:
        """Yield the results in the order of the ids, without numbers that had the desired settings before the run.

        Args:
            statuses: The statuses to yield. Default: all.
        """
        asked = {FleetStatus(status) for status in statuses} or set(FleetStatus)
        with _connection_to(self._database, self.journal) as connection:
            yield from _results(connection, self._run, asked, self._status_of)

    def samples(self) -> list[Sample]:
        """Return the recorded progress of the run, about one sample per second."""
        query = "SELECT at, done, requests, rate_limited, rate, paused_for FROM sample WHERE run = ? ORDER BY at"
        with _connection_to(self._database, self.journal) as connection:
            return [Sample(*row) for row in connection.execute(query, (self._run,))]

    def __str__(self) -> str:
        counted = ((status.value.replace("_", " "), getattr(self, status.value)) for status in FleetStatus)
        counts = ", ".join(f"{count:,} {word}" for word, count in counted if count or word == "updated")
        counts = counts.replace("unknown", "in progress") if self.is_running else counts
        stopped = f"; stopped: {self.stopped_by}" if self.stopped_by else ""
        return f"{counts} of {self.total:,}; {self.requests:,} requests in {self.elapsed:.1f} s{stopped}"

    def __repr__(self) -> str:
        return f"<FleetReport {self.kind} {self.name}: {self}>"

    def _repr_html_(self) -> str:
        left = self.failed + self.unknown + self.not_sent + self.pending
        if not left:
            return html_table((), (), str(self))
        results = self.results("failed", "unknown", "not_sent", "pending")
        rows = ((each.id, each.number, each.status, each.attempts, each.reason) for each in results)
        try:
            return html_table(("id", "number", "status", "attempts", "reason"), rows, str(self), left)
        except JournalError as error:
            # A notebook shows the report long after the run: the counts are known without the journal.
            return html_table((), (), f"{self}; {error}")


def status(journal: str | Path) -> FleetReport:
    """Read the state of the latest run of a journal, even while another process continues the run.

    Args:
        journal: The journal file.

    Raises:
        JournalError: The journal does not exist, or has no run.
    """
    path = check_path(journal, "journal")
    running = path.is_file() and is_held(path)
    with closing(read_journal(path, check_integrity=not running)) as database, translate_errors(path):
        return FleetReport(database, run_of(database), is_running=running)


def has_run(journal: str | PathLike[str], *, base_url: str | None = None) -> bool:
    """Return whether a file is a journal with a run: if so, call `resume`; if not, `apply` can start one.

    Args:
        journal: The file; it may not exist yet.
        base_url: The API of the client that will use the journal: `wavix.base_url`, or `plan.base_url`. Default: any.

    Raises:
        JournalError: The file is not a journal, or it is the journal of another API.
    """
    path = check_path(journal, "journal")
    if not path.exists():
        return False
    try:
        with closing(read_journal(path, base_url)) as database:
            return latest_run(database.connection) is not None
    except JournalError:
        # A process that was killed before the run began has left an empty file.
        if path.is_file() and not path.stat().st_size:
            return False
        raise


@contextmanager
def _connection_to(database: Database | None, path: Path | None) -> Iterator[sqlite3.Connection]:
    """Yield a connection for reading: the one of a temporary journal, or a new one to the file."""
    if path is None:
        assert database is not None
        with translate_errors(path):
            yield database.connection
        return
    with closing(read_journal(path)) as own, translate_errors(path):
        yield own.connection


def _counts(connection: sqlite3.Connection, run: RunRow, status_of: _Statuses) -> tuple[dict[FleetStatus, int], int]:
    """Return the number of results per status, and how many of the updated were not read back."""
    counts = dict.fromkeys(FleetStatus, 0)
    states = connection.execute(
        "SELECT state, count(*) FROM outcome WHERE run = ? GROUP BY state", (run.no,)
    ).fetchall()
    items = connection.execute("SELECT count(*) FROM item WHERE run = ?", (run.no,)).fetchone()[0]
    for state, count in states:
        counts[status_of[state]] += count
    counts[status_of[None]] += items - sum(count for _, count in states)
    counts[FleetStatus.UNCHANGED] += run.unchanged
    counts[FleetStatus.SKIPPED] += run.missing
    return counts, dict(states).get("updated", 0)


def _results(
    connection: sqlite3.Connection, run: int, asked: set[FleetStatus], status_of: _Statuses
) -> Iterator[FleetResult]:
    query = (
        "SELECT i.id, i.number, i.before, i.after, o.state, coalesce(o.attempts, 0), o.reason FROM item AS i "
        "LEFT JOIN outcome AS o ON o.run = i.run AND o.id = i.id WHERE i.run = ? ORDER BY i.id"
    )
    for number_id, number, before, after, state, attempts, reason in connection.execute(query, (run,)):
        if (end := status_of[state]) in asked:
            reason = reason if end is _STATUS[state] else LOST
            yield FleetResult(number_id, number, end, field_changes(before, after), attempts, reason)
    if FleetStatus.SKIPPED in asked:
        for number_id, number, reason in connection.execute(
            "SELECT id, number, reason FROM missing WHERE run = ?", (run,)
        ):
            yield FleetResult(number_id, number, FleetStatus.SKIPPED, reason=reason)
