"""Show a fleet plan or a fleet run: as text for people, and as JSON."""

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from wavix_async.cli._console import printable, show_facts
from wavix_async.cli._output.format import format_duration, format_time
from wavix_async.cli._output.summary import failure_reasons, status_label, stop_reason, summarize
from wavix_async.fleet import Change, FieldChange, FleetReport, FleetResult, FleetStatus

__all__ = ["change_json", "show_run", "write_report"]

_MAX_REASONS: Final = 10
_STYLES: Final = {
    FleetStatus.UPDATED: "green",
    FleetStatus.UNCHANGED: "",
    FleetStatus.FAILED: "red",
    FleetStatus.UNKNOWN: "magenta",
    FleetStatus.NOT_SENT: "yellow",
    FleetStatus.PENDING: "yellow",
}
_ALWAYS_SHOWN: Final = frozenset({FleetStatus.UPDATED, FleetStatus.FAILED})
_SUMMARY_STYLES: Final = {"good": "bold green", "bad": "bold red", "open": "bold yellow", "running": "bold"}


def show_run(console: Console, report: FleetReport, *, interrupted: bool = False) -> None:
    """Print a report for people.

    Args:
        console: The console to print to.
        report: The report.
        interrupted: Whether the user has just stopped the run with Ctrl-C.
    """
    pace = f" ({report.requests / report.elapsed:,.0f}/s)" if report.elapsed else ""
    lasted = f"{'running for' if report.is_running else 'took'} {format_duration(report.elapsed)}"
    fields: dict[str, str | Text] = {
        "Started": f"{format_time(report.began)}, {lasted}",
        "Numbers": f"{report.total:,}",
        "Result": _format_counts(report),
        "Requests": f"{report.requests:,}{pace}, {report.rate_limited:,} throttled with 429",
    }
    if report.journal is not None:
        fields["Journal"] = str(report.journal)
    if stopped := stop_reason(report, interrupted=interrupted):
        fields["Ended early"] = printable(stopped)
    kind = "Roll-back" if report.kind == "roll_back" else "Run"
    summary = summarize(report, interrupted=interrupted)
    last = Text(f"{summary.text}", style=_SUMMARY_STYLES[summary.kind])
    show_facts(console, f"{kind} of {printable(report.name)}", fields, after=[*_reason_lines(report), last])


def _format_counts(report: FleetReport) -> Text:
    counts = [
        (status, status_label(status, is_running=report.is_running), getattr(report, status.value))
        for status in FleetStatus
    ]
    return Text(", ").join(
        Text(f"{count:,} {label}", style=_STYLES[status] if count else "dim")
        for status, label, count in counts
        if count or status in _ALWAYS_SHOWN
    )


def _reason_lines(report: FleetReport) -> list[Text]:
    """Return a line for each reason why changes are not done, the most frequent first, with the first ids."""
    reasons = [] if report.is_running else failure_reasons(report)
    lines = []
    for reason in reasons[:_MAX_REASONS]:
        named = [*map(str, reason.first)]
        if named and reason.count > len(named):
            named.append(f"... {reason.count - len(named):,} more")
        status = status_label(reason.status)
        first = f" ({', '.join(named)})" if named else ""
        lines.append(Text(f"{reason.count:,} {status}: {printable(reason.text)}{first}"))
    if len(reasons) > _MAX_REASONS:
        lines.append(Text(f"... and {len(reasons) - _MAX_REASONS:,} more reasons; --json lists all failures"))
    return lines


# --- JSON ---


def change_json(change: Change) -> dict[str, Any]:
    """Return a change of a plan as one JSON object."""
    return {"id": change.id, "number": change.number, "changes": _fields_json(change.fields)}


def _fields_json(fields: Iterable[FieldChange]) -> dict[str, Any]:
    return {each.field: {"from": each.before, "to": each.after} for each in fields}


def _result_json(result: FleetResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "number": result.number,
        "status": str(result.status),
        "attempts": result.attempts,
        "reason": result.reason,
    }


def write_report(report: FleetReport, *, interrupted: bool = False) -> None:
    """Write a report to stdout as one line of JSON. The failures are streamed: there may be a million."""
    fields = {
        "kind": report.kind,
        "name": report.name,
        "digest": report.digest,
        "journal": None if report.journal is None else str(report.journal),
        "running": report.is_running,
        "finished": report.finished,
        "interrupted": interrupted,
        "total": report.total,
        **{status.value: getattr(report, status.value) for status in FleetStatus},
        "fields": report.totals,
        "requests": report.requests,
        "rate_limited": report.rate_limited,
        "began": round(report.began, 3),
        "elapsed": round(report.elapsed, 3),
        "stopped_by": report.stopped_by,
        "refused_by_safety": report.refused_by_safety,
    }
    write = sys.stdout.write
    write(json.dumps(fields)[:-1] + ', "failures": [')
    # `not_sent` results have no reason, so the count above is enough.
    for index, result in enumerate(report.results(FleetStatus.FAILED, FleetStatus.UNKNOWN, FleetStatus.PENDING)):
        write((", " if index else "") + json.dumps(_result_json(result)))
    write("]}\n")
