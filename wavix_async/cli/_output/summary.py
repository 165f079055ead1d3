"""Describe a fleet run in words, for the terminal and for HTML: how it ended, and why changes are not done."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

import attrs
from rich.text import Text

from wavix_async import StoppedError, StopSignal
from wavix_async.cli._console import printable
from wavix_async.cli._options import with_option_names
from wavix_async.cli._output.format import format_count
from wavix_async.fleet import FleetReport, FleetResult, FleetStatus, Plan, Safety

__all__ = [
    "NOT_DONE",
    "Reason",
    "Summary",
    "failure_reasons",
    "group_reasons",
    "reason_lines",
    "refusal_note",
    "status_label",
    "status_meaning",
    "stop_reason",
    "summarize",
]

Kind: TypeAlias = Literal["good", "bad", "open", "running"]

_MEANINGS: Final[Mapping[FleetStatus, str]] = {
    FleetStatus.UPDATED: "the API confirmed the change",
    FleetStatus.UNCHANGED: "already matched",
    FleetStatus.FAILED: "rejected, gone, or changed by someone else",
    FleetStatus.SKIPPED: "not in the account",
    FleetStatus.UNKNOWN: "sent, but not confirmed: may be changed",
    FleetStatus.NOT_SENT: "unchanged; resume the run to send it",
    FleetStatus.PENDING: "confirmed, but not in effect yet",
}
_RUNNING_LABELS: Final[Mapping[FleetStatus, str]] = {FleetStatus.UNKNOWN: "in progress"}
_RUNNING_MEANINGS: Final[Mapping[FleetStatus, str]] = {
    FleetStatus.UNKNOWN: "queued or in flight",
    FleetStatus.NOT_SENT: "waiting to be sent",
}

NOT_DONE: Final = (
    FleetStatus.FAILED,
    FleetStatus.UNKNOWN,
    FleetStatus.PENDING,
    FleetStatus.NOT_SENT,
    FleetStatus.SKIPPED,
)
"""The statuses of changes that are not done, worst first."""

_MAX_REASONS: Final = 1_000
_MAX_LINES: Final = 10
_MAX_NAMED: Final = 5
_MAX_READ: Final = 100_000
_OTHER_REASONS: Final = "other reasons"
_DEFAULT_REASONS: Final[Mapping[FleetStatus, str]] = {
    FleetStatus.FAILED: "the reason was not recorded",
    FleetStatus.UNKNOWN: "no clear response from the API",
    FleetStatus.PENDING: "not in effect yet when read back",
    FleetStatus.NOT_SENT: "the run ended before this was sent",
}


def _stop_signal_text() -> str:
    signal = StopSignal()
    signal.set()
    try:
        signal.check()
    except StoppedError as error:
        return str(error)
    raise AssertionError


_STOP_SIGNAL_TEXT: Final = _stop_signal_text()


def refusal_note(plan: Plan) -> str | None:
    """Return why `apply` refuses a plan without other safety limits, and which it needs; None if it does not."""
    refusal = Safety().refusal(len(plan), plan.account)
    return refusal and with_option_names(f"{refusal}.")


def status_label(status: FleetStatus, *, is_running: bool = False) -> str:
    """Return the name of a status for people: in a running run, `unknown` changes are in progress."""
    label = status.value.replace("_", " ")
    return _RUNNING_LABELS.get(status, label) if is_running else label


def status_meaning(status: FleetStatus, *, is_running: bool = False) -> str:
    """Return what a status means, in a few words."""
    meaning = _MEANINGS[status]
    return _RUNNING_MEANINGS.get(status, meaning) if is_running else meaning


def stop_reason(report: FleetReport, *, interrupted: bool = False) -> str | None:
    """Return why a run stopped before its end, as a sentence; None if it did not stop early.

    Args:
        report: The report of the run.
        interrupted: Whether the user has just stopped the run with Ctrl-C.
    """
    if report.stopped_by not in (None, _STOP_SIGNAL_TEXT):
        return report.stopped_by
    if interrupted and not report.finished:
        return "Stopped by you (Ctrl-C)."
    return "Stopped on request, for example with Ctrl-C." if report.stopped_by else None


@attrs.frozen
class Summary:
    """The summary of a run.

    Attributes:
        kind: How well the run went; sets the color.
        text: One sentence.
        more: Why the run stopped early, or how to continue it; None if there is nothing to add.
    """

    kind: Kind
    text: str
    more: str | None = None


def summarize(report: FleetReport, *, interrupted: bool = False) -> Summary:
    """Summarize the result of a run, or its progress.

    Args:
        report: The report of the run.
        interrupted: Whether the user has just stopped the run with Ctrl-C.
    """
    action = "rolled back" if report.kind == "roll_back" else "updated"
    changes = report.total - report.unchanged - report.skipped
    not_done = [
        f"{getattr(report, status.value):,} {status_label(status)}"
        for status in NOT_DONE
        if getattr(report, status.value) and status is not FleetStatus.SKIPPED
    ]
    skipped = f"; {report.skipped:,} skipped" if report.skipped else ""
    if report.is_running:
        return Summary("running", f"Running: {report.updated:,} of {format_count(changes)} {action} so far.")
    stopped = stop_reason(report, interrupted=interrupted)
    if not not_done and report.finished:
        text = f"{f'All {format_count(changes)}' if changes != 1 else 'The number was'} {action}{skipped}."
        return Summary("good", text if changes else f"There was nothing to do{skipped}.", stopped)
    counts = f"{report.updated:,} of {format_count(changes)} {action}" + (
        f"; {', '.join(not_done)}{skipped}." if not_done else f"{skipped}."
    )
    if report.refused_by_safety:
        return Summary("bad", f"Stopped by a safety limit: {counts}", stopped)
    if report.failed:
        return Summary("bad", counts, stopped)
    return Summary("open", counts, stopped or "Resume the run to do the rest.")


@attrs.define
class Reason:
    """One reason, and the numbers that share it.

    Attributes:
        status: The status of these numbers.
        text: The reason, with `{id}` in place of the id of the number.
        count: How many numbers share the reason.
        first: The ids of the first few numbers; a phone number where there is no id.
    """

    status: FleetStatus
    text: str
    count: int = 0
    first: list[int | str] = attrs.field(factory=list)


def reason_lines(reasons: Sequence[Reason], more: str) -> list[Text]:
    """Return a line for each reason, with the first ids.

    Args:
        reasons: The reasons, the most frequent first.
        more: Where all failures are.
    """
    lines = []
    for reason in reasons[:_MAX_LINES]:
        named = [*map(str, reason.first)]
        if named and reason.count > len(named):
            named.append(f"... {reason.count - len(named):,} more")
        first = f" ({', '.join(named)})" if named else ""
        lines.append(Text(f"{reason.count:,} {status_label(reason.status)}: {printable(reason.text)}{first}"))
    if len(reasons) > _MAX_LINES:
        lines.append(Text(f"... and {len(reasons) - _MAX_LINES:,} more reasons; {more}"))
    return lines


def failure_reasons(report: FleetReport) -> list[Reason]:
    """Return the reasons why changes are not done, the most frequent first."""
    statuses = [status for status in NOT_DONE if getattr(report, status.value)]
    uncounted = []
    if report.not_sent > _MAX_READ:
        # Reading a million results takes too long, and nearly all of them have the same reason.
        statuses.remove(FleetStatus.NOT_SENT)
        uncounted = [Reason(FleetStatus.NOT_SENT, _DEFAULT_REASONS[FleetStatus.NOT_SENT], report.not_sent)]
    grouped = group_reasons(report.results(*statuses)) if statuses else []
    return sorted([*uncounted, *grouped], key=lambda reason: -reason.count)


def group_reasons(results: Iterable[FleetResult]) -> list[Reason]:
    """Group results by their reason, the most frequent first.

    Reasons beyond the first `_MAX_REASONS` are counted together.
    """
    grouped: dict[tuple[FleetStatus, str], Reason] = {}
    for result in results:
        reason_text = None if result.reason == _STOP_SIGNAL_TEXT else result.reason
        text = reason_text or _DEFAULT_REASONS.get(result.status, "")
        if result.id is not None:
            text = re.sub(rf"\b{re.escape(str(result.id))}\b", "{id}", text)
        if (result.status, text) not in grouped and len(grouped) >= _MAX_REASONS:
            text = _OTHER_REASONS
        reason = grouped.setdefault((result.status, text), Reason(result.status, text))
        reason.count += 1
        if len(reason.first) < _MAX_NAMED:
            reason.first.append(result.id if result.id is not None else result.number or "?")
    return sorted(grouped.values(), key=lambda reason: -reason.count)
