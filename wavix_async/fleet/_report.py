"""`FleetReport`: the report of a run, read from its journal. It streams the results, so their number has no limit."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Final

from wavix_async._codec import html_table
from wavix_async._files import is_held
from wavix_async._sqlite import Database, translate_errors
from wavix_async.fleet._errors import JournalError
from wavix_async.fleet._journal import RunRow, latest_run, open_journal
from wavix_async.fleet._plan import count_by_field
from wavix_async.fleet._records import FleetResult, FleetStatus, Sample, field_changes

__all__ = ["FleetReport", "has_run", "status"]

_STATUS: Final[dict[str | None, FleetStatus]] = {
    None: FleetStatus.NOT_SENT,
    "sent": FleetStatus.UNKNOWN,
    "again": FleetStatus.NOT_SENT,
    "verified": FleetStatus.UPDATED,
    **{status.value: status for status in FleetStatus},
}


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
        failed: Changes that the API rejected, and numbers that another client changed or that are not in the account.
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
        self.stopped_by: str | None = run.stopped_by
        self.refused_by_safety: bool = bool(run.refused)
        self._run = run.no
        # A journal file is opened again when needed; a temporary database must stay open.
        self._database = None if database.path is not None else database
        counts, unverified = _counts(database.connection, run)
        self._unverified = unverified if json.loads(run.options)["verify"] else 0
        self.updated: int = counts[FleetStatus.UPDATED]
        self.unchanged: int = counts[FleetStatus.UNCHANGED]
        self.failed: int = counts[FleetStatus.FAILED]
        self.unknown: int = counts[FleetStatus.UNKNOWN]
        self.not_sent: int = counts[FleetStatus.NOT_SENT]
        self.pending: int = counts[FleetStatus.PENDING]

    @property
    def total(self) -> int:
        """The number of numbers in the desired state."""
        return self.updated + self.unchanged + self.failed + self.unknown + self.not_sent + self.pending

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
            yield from _results(connection, self._run, asked)

    def samples(self) -> list[Sample]:
        """Return the recorded progress of the run, about one sample per second."""
        query = "SELECT at, done, requests, rate_limited, rate, paused_for FROM sample WHERE run = ? ORDER BY at"
        with _connection_to(self._database, self.journal) as connection:
            return [Sample(*row) for row in connection.execute(query, (self._run,))]

    def __str__(self) -> str:
        words = {
            "updated": self.updated,
            "unchanged": self.unchanged,
            "failed": self.failed,
            "unknown": self.unknown,
            "not sent": self.not_sent,
            "pending": self.pending,
        }
        counts = ", ".join(f"{count:,} {word}" for word, count in words.items() if count or word == "updated")
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
    path = Path(journal)
    running = path.is_file() and is_held(path)
    database = open_journal(path, None, check_integrity=not running)
    try:
        with translate_errors(path):
            run = latest_run(database.connection)
            if run is None:
                raise JournalError(f"The journal {path} has no run: nothing was ever sent.")
            return FleetReport(database, run, is_running=running)
    finally:
        database.close()


def has_run(journal: str | PathLike[str], *, base_url: str) -> bool:
    """Return whether a file is a journal with a run: if so, call `resume`; if not, `apply` can start one.

    Args:
        journal: The file; it may not exist yet.
        base_url: The API of the client that will use the journal: `wavix.base_url`, or `plan.base_url`.

    Raises:
        JournalError: The file is not a journal, or it is the journal of another API.
    """
    path = Path(journal)
    if not path.exists():
        return False
    database = open_journal(path, base_url)
    try:
        return latest_run(database.connection) is not None
    finally:
        database.close()


@contextmanager
def _connection_to(database: Database | None, path: Path | None) -> Iterator[sqlite3.Connection]:
    """Yield a connection for reading: the one of a temporary journal, or a new one to the file."""
    if database is not None:
        with translate_errors(path):
            yield database.connection
        return
    own = open_journal(path, None)
    try:
        with translate_errors(path):
            yield own.connection
    finally:
        own.close()


def _counts(connection: sqlite3.Connection, run: RunRow) -> tuple[dict[FleetStatus, int], int]:
    """Return the number of results per status, and how many of the updated were not read back."""
    counts = dict.fromkeys(FleetStatus, 0)
    states = connection.execute(
        "SELECT state, count(*) FROM outcome WHERE run = ? GROUP BY state", (run.no,)
    ).fetchall()
    items = connection.execute("SELECT count(*) FROM item WHERE run = ?", (run.no,)).fetchone()[0]
    for state, count in states:
        counts[_STATUS[state]] += count
    counts[FleetStatus.NOT_SENT] += items - sum(count for _, count in states)
    counts[FleetStatus.UNCHANGED] += run.unchanged
    counts[FleetStatus.FAILED] += run.missing
    return counts, dict(states).get("updated", 0)


def _results(connection: sqlite3.Connection, run: int, asked: set[FleetStatus]) -> Iterator[FleetResult]:
    query = (
        "SELECT i.id, i.number, i.before, i.after, o.state, coalesce(o.attempts, 0), o.reason FROM item AS i "
        "LEFT JOIN outcome AS o ON o.run = i.run AND o.id = i.id WHERE i.run = ? ORDER BY i.id"
    )
    for number_id, number, before, after, state, attempts, reason in connection.execute(query, (run,)):
        if (end := _STATUS[state]) in asked:
            yield FleetResult(number_id, number, end, field_changes(before, after), attempts, reason)
    if FleetStatus.FAILED in asked:
        for number_id, number, reason in connection.execute(
            "SELECT id, number, reason FROM missing WHERE run = ?", (run,)
        ):
            yield FleetResult(number_id, number, FleetStatus.FAILED, reason=reason)
