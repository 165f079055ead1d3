"""Summarize a run of a fleet in words: how it ended, and why numbers are not done; for the terminal and for HTML."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

import attrs

from wavix_async.cli._output.format import format_count
from wavix_async.fleet import FleetReport, FleetResult, FleetStatus

__all__ = ["STATUS_MEANINGS", "NOT_DONE", "Reason", "Summary", "group_reasons", "summarize", "failure_reasons"]

Kind: TypeAlias = Literal["good", "bad", "open", "running"]

STATUS_MEANINGS: Final[Mapping[FleetStatus, str]] = {
    FleetStatus.UPDATED: "the API confirmed the change",
    FleetStatus.UNCHANGED: "there was nothing to change",
    FleetStatus.FAILED: "refused, gone, or changed by somebody else",
    FleetStatus.UNKNOWN: "sent, no answer to trust: may have been changed",
    FleetStatus.NOT_SENT: "not carried out; resuming sends it",
    FleetStatus.PENDING: "confirmed, and not in effect yet",
}

NOT_DONE: Final = (FleetStatus.FAILED, FleetStatus.UNKNOWN, FleetStatus.PENDING, FleetStatus.NOT_SENT)
"""The statuses of changes that are not done, the worst first."""

_MAX_REASONS: Final = 1_000
_MAX_NAMED: Final = 5
_MAX_READ: Final = 100_000
_OTHER_REASONS: Final = "other reasons"
_DEFAULT_REASONS: Final[Mapping[FleetStatus, str]] = {
    FleetStatus.FAILED: "no reason is known",
    FleetStatus.UNKNOWN: "no answer came that can be trusted",
    FleetStatus.PENDING: "not in effect yet when it was read back",
    FleetStatus.NOT_SENT: "the run ended before its turn came",
}


@attrs.frozen
class Summary:
    """The summary of a run.

    Attributes:
        kind: Whether the run went well: decides the color.
        text: One sentence.
        more: Why the run stopped, or how to continue it; None: nothing to add.
    """

    kind: Kind
    text: str
    more: str | None = None


def summarize(report: FleetReport) -> Summary:
    """Summarize how a run ended, or how far it is."""
    action = "set back" if report.kind == "roll_back" else "updated"
    changes = report.total - report.unchanged
    not_done = [
        f"{getattr(report, status.value):,} {status.value.replace('_', ' ')}"
        for status in NOT_DONE
        if getattr(report, status.value)
    ]
    if report.is_running:
        return Summary("running", f"Running: {report.updated:,} of {format_count(changes)} {action} so far.")
    stopped = f"Stopped by: {report.stopped_by}" if report.stopped_by else None
    if not not_done and report.finished:
        text = f"All {format_count(changes)} {action}." if changes != 1 else f"The number was {action}."
        return Summary("good", text if changes else "There was nothing to do.", stopped)
    counts = f"{report.updated:,} of {format_count(changes)} {action}" + (
        f"; {', '.join(not_done)}." if not_done else "."
    )
    if report.refused_by_safety:
        return Summary("bad", f"Ended for safety: {counts}", stopped)
    if report.failed:
        return Summary("bad", counts, stopped)
    return Summary("open", counts, stopped or "Resuming the run takes up what is left.")


@attrs.define
class Reason:
    """One reason that many numbers may share.

    Attributes:
        status: How these numbers ended.
        text: Why; `{id}` stands for the id of the number.
        count: How many numbers.
        first: The ids of the first of them, or their phone numbers.
    """

    status: FleetStatus
    text: str
    count: int = 0
    first: list[int | str] = attrs.field(factory=list)


def failure_reasons(report: FleetReport) -> list[Reason]:
    """Return why changes of a run are not done, the most frequent reason first."""
    statuses = [status for status in NOT_DONE if getattr(report, status.value)]
    uncounted = []
    if report.not_sent > _MAX_READ:
        # Nearly all of them have the same reason, and reading a million results takes too long.
        statuses.remove(FleetStatus.NOT_SENT)
        uncounted = [Reason(FleetStatus.NOT_SENT, _DEFAULT_REASONS[FleetStatus.NOT_SENT], report.not_sent)]
    grouped = group_reasons(report.results(*statuses)) if statuses else []
    return sorted([*uncounted, *grouped], key=lambda reason: -reason.count)


def group_reasons(results: Iterable[FleetResult]) -> list[Reason]:
    """Group results by their reason, the most frequent first.

    After `_MAX_REASONS` different reasons, further ones are counted together.
    """
    grouped: dict[tuple[FleetStatus, str], Reason] = {}
    for result in results:
        text = result.reason or _DEFAULT_REASONS.get(result.status, "")
        if result.id is not None:
            text = re.sub(rf"\b{result.id}\b", "{id}", text)
        if (result.status, text) not in grouped and len(grouped) >= _MAX_REASONS:
            text = _OTHER_REASONS
        reason = grouped.setdefault((result.status, text), Reason(result.status, text))
        reason.count += 1
        if len(reason.first) < _MAX_NAMED:
            reason.first.append(result.id if result.id is not None else result.number or "?")
    return sorted(grouped.values(), key=lambda reason: -reason.count)
