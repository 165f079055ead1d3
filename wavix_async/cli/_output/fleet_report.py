"""Telling of a plan and of a run: for people, and as JSON."""

import json
import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from wavix_async.cli._console import show_facts
from wavix_async.cli._output.format import duration, moment
from wavix_async.cli._output.summary import verdict, why
from wavix_async.fleet import Change, FieldChange, FleetReport, FleetResult, FleetStatus

__all__ = ["change_json", "show_run", "visible", "write_report"]

_REASONS: Final = 10
_STYLES: Final = {
    FleetStatus.UPDATED: "green",
    FleetStatus.UNCHANGED: "",
    FleetStatus.FAILED: "red",
    FleetStatus.UNKNOWN: "magenta",
    FleetStatus.NOT_SENT: "yellow",
    FleetStatus.PENDING: "yellow",
}
_ALWAYS: Final = frozenset({FleetStatus.UPDATED, FleetStatus.FAILED})
_VERDICTS: Final = {"good": "bold green", "bad": "bold red", "open": "bold yellow", "running": "bold"}


def visible(text: str) -> str:
    """Return a text of which nothing moves the cursor, whatever a setting of a number holds."""
    return "".join(each if each.isprintable() or each == "\n" else f"\\u{ord(each):04x}" for each in text)


def show_run(console: Console, report: FleetReport) -> None:
    """Print a report for people."""
    pace = f" ({report.requests / report.elapsed:,.0f}/s)" if report.elapsed else ""
    facts: dict[str, str | Text] = {
        "Began": f"{moment(report.began)}, {'so far' if report.is_running else 'took'} {duration(report.elapsed)}",
        "Wanted": f"{report.total:,} numbers",
        "Happened": _outcome(report),
        "Requests": f"{report.requests:,}{pace}, {report.rate_limited:,} of them refused with 429",
    }
    if report.journal is not None:
        facts["Journal"] = str(report.journal)
    if report.stopped_by:
        facts["Stopped by"] = visible(report.stopped_by)
    kind = "Roll-back" if report.kind == "roll_back" else "Apply"
    said = verdict(report)
    last = Text(f"{said.text}", style=_VERDICTS[said.kind])
    show_facts(console, f"{kind} of {visible(report.name)}", facts, after=[*_why(report), last])


def _outcome(report: FleetReport) -> Text:
    counts = [(status, getattr(report, status.value)) for status in FleetStatus]
    return Text(", ").join(
        Text(f"{count:,} {status.value.replace('_', ' ')}", style=_STYLES[status] if count else "dim")
        for status, count in counts
        if count or status in _ALWAYS
    )


def _why(report: FleetReport) -> list[Text]:
    """Return a line for each reason why something is not done, the frequent ones first, each with the first ids."""
    told = [] if report.is_running else why(report)
    lines = []
    for reason in told[:_REASONS]:
        named = [*map(str, reason.first)]
        if named and reason.count > len(named):
            named.append(f"... {reason.count - len(named):,} more")
        status = reason.status.value.replace("_", " ")
        first = f" ({', '.join(named)})" if named else ""
        lines.append(Text(f"{reason.count:,} {status}: {visible(reason.text)}{first}"))
    if len(told) > _REASONS:
        lines.append(Text(f"... and {len(told) - _REASONS:,} more reasons; --json and --output tell of every number"))
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
    """Write a report to stdout as one JSON object, on one line; what is not done is streamed, however much it is."""
    facts = {
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
    write(json.dumps(facts)[:-1] + ', "failures": [')
    # What never left is counted above: it has nothing to tell.
    for index, result in enumerate(report.results(FleetStatus.FAILED, FleetStatus.UNKNOWN, FleetStatus.PENDING)):
        write((", " if index else "") + json.dumps(_result_json(result)))
    write("]}\n")
