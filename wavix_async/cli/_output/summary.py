"""What a run came to, in words: for the terminal and for the page."""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias

import attrs

from wavix_async.cli._output.format import numbers
from wavix_async.fleet import FleetReport, FleetResult, FleetStatus

__all__ = ["MEANINGS", "OPEN", "Reason", "Verdict", "reasons", "verdict", "why"]

Kind: TypeAlias = Literal["good", "bad", "open", "running"]

MEANINGS: Final[Mapping[FleetStatus, str]] = {
    FleetStatus.UPDATED: "the API confirmed the change",
    FleetStatus.UNCHANGED: "there was nothing to change",
    FleetStatus.FAILED: "refused, gone, or changed by somebody else",
    FleetStatus.UNKNOWN: "sent, no answer to trust: may have been changed",
    FleetStatus.NOT_SENT: "not carried out; resuming sends it",
    FleetStatus.PENDING: "confirmed, and not in effect yet",
}

OPEN: Final = (FleetStatus.FAILED, FleetStatus.UNKNOWN, FleetStatus.PENDING, FleetStatus.NOT_SENT)
"""What is not done, the worst first."""

_MOST: Final = 1_000
_FIRST: Final = 5
_MOST_READ: Final = 100_000
_OTHER: Final = "other reasons"
_NO_REASON: Final[Mapping[FleetStatus, str]] = {
    FleetStatus.FAILED: "no reason is known",
    FleetStatus.UNKNOWN: "no answer came that can be trusted",
    FleetStatus.PENDING: "not in effect yet when it was read back",
    FleetStatus.NOT_SENT: "the run ended before its turn came",
}


@attrs.frozen
class Verdict:
    """What there is to say of a run.

    Attributes:
        kind: Whether that is good.
        text: One sentence.
        more: What follows from it, or None.
    """

    kind: Kind
    text: str
    more: str | None = None


def verdict(report: FleetReport) -> Verdict:
    """Say what a run came to, or where it stands."""
    what = "set back" if report.kind == "roll_back" else "updated"
    changes = report.total - report.unchanged
    rest = [
        f"{getattr(report, status.value):,} {status.value.replace('_', ' ')}"
        for status in OPEN
        if getattr(report, status.value)
    ]
    if report.is_running:
        return Verdict("running", f"Running: {report.updated:,} of {numbers(changes)} {what} so far.")
    stopped = f"Stopped by: {report.stopped_by}" if report.stopped_by else None
    if not rest and report.finished:
        text = f"All {numbers(changes)} {what}." if changes != 1 else f"The number was {what}."
        return Verdict("good", text if changes else "There was nothing to do.", stopped)
    counts = f"{report.updated:,} of {numbers(changes)} {what}" + (f"; {', '.join(rest)}." if rest else ".")
    if report.refused_by_safety:
        return Verdict("bad", f"Ended for safety: {counts}", stopped)
    if report.failed:
        return Verdict("bad", counts, stopped)
    return Verdict("open", counts, stopped or "Resuming the run takes up what is left.")


@attrs.define
class Reason:
    """Why numbers ended as they did.

    Attributes:
        status: How.
        text: Why; what names the number itself reads `{id}`.
        count: How many.
        first: The first of them: their ids, or phone numbers.
    """

    status: FleetStatus
    text: str
    count: int = 0
    first: list[int | str] = attrs.field(factory=list)


def why(report: FleetReport) -> list[Reason]:
    """Return why changes are not done, the frequent reasons first."""
    asked = [status for status in OPEN if getattr(report, status.value)]
    unread = []
    if report.not_sent > _MOST_READ:
        # Nearly all of them have the same to tell, and to read them all takes longer than anybody waits.
        asked.remove(FleetStatus.NOT_SENT)
        unread = [Reason(FleetStatus.NOT_SENT, _NO_REASON[FleetStatus.NOT_SENT], report.not_sent)]
    told = reasons(report.results(*asked)) if asked else []
    return sorted([*unread, *told], key=lambda reason: -reason.count)


def reasons(results: Iterable[FleetResult]) -> list[Reason]:
    """Return why numbers ended as they did, the frequent reasons first.

    However many different reasons there are, only so many are told apart.
    """
    told: dict[tuple[FleetStatus, str], Reason] = {}
    for result in results:
        text = result.reason or _NO_REASON.get(result.status, "")
        if result.id is not None:
            text = re.sub(rf"\b{result.id}\b", "{id}", text)
        if (result.status, text) not in told and len(told) >= _MOST:
            text = _OTHER
        reason = told.setdefault((result.status, text), Reason(result.status, text))
        reason.count += 1
        if len(reason.first) < _FIRST:
            reason.first.append(result.id if result.id is not None else result.number or "?")
    return sorted(told.values(), key=lambda reason: -reason.count)
