"""Show the report of a bulk run: as text for people, and as JSON."""

from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from wavix_async import BulkReport, BulkResult
from wavix_async.cli._console import printable, show_facts

__all__ = ["format_counts", "report_json", "result_json", "show_report"]

_MAX_REASONS: Final = 10
_MAX_IDS: Final = 5


def format_counts(report: BulkReport) -> Text:
    """Return the four counts as text; zeros are dim."""
    parts = [
        (report.succeeded, str(report.success), "green"),
        (report.failed, "failed", "red"),
        (report.unknown, "unknown", "magenta"),
        (report.not_sent, "not sent", "yellow"),
    ]
    return Text(", ").join(Text(f"{count:,} {word}", style=style if count else "dim") for count, word, style in parts)


def show_report(
    console: Console,
    report: BulkReport,
    *,
    interrupted: bool = False,
    title: str = "Bulk update",
    label: str = "Numbers",
) -> None:
    """Print a report for people.

    Args:
        console: The console to print to.
        report: The report.
        interrupted: Whether the user stopped the run with Ctrl-C.
        title: What the run was.
        label: What its items are.
    """
    pace = report.requests / report.elapsed if report.elapsed else 0.0
    facts: dict[str, str | Text] = {
        label: f"{report.total:,}",
        "Result": format_counts(report),
        "Requests": f"{report.requests:,} in {report.elapsed:.1f} s ({pace:,.0f}/s), "
        f"{report.rate_limited:,} throttled with 429",
    }
    if report.skipped:
        facts["Skipped"] = f"{report.skipped:,}, done before"
    if report.charged:
        facts["Charged"] = f"{report.charged} USD"
    if report.stopped_by is not None:
        facts["Ended early"] = printable(str(report.stopped_by))
    elif interrupted and (report.unknown or report.not_sent):
        facts["Ended early"] = "Stopped by you (Ctrl-C)."
    show_facts(console, title, facts, after=[*_reason_lines(report.failures), *_kind_lines(report)])


def _reason_lines(failures: Iterable[BulkResult]) -> list[Text]:
    """Return a line for each reason, the most frequent first, with the first ids."""
    ids_by_reason: dict[str, list[object]] = {}
    for result in failures:
        # The path in the message contains the id: replace it, so that equal reasons are counted together.
        reason = str(result.error or "the run stopped first").replace(f"/{result.id}:", "/{id}:")
        ids_by_reason.setdefault(f"{result.status}: {reason}", []).append(result.id)
    ranked = sorted(ids_by_reason.items(), key=lambda item: -len(item[1]))
    lines = []
    for reason, ids in ranked[:_MAX_REASONS]:
        more = f", ... {len(ids) - _MAX_IDS:,} more" if len(ids) > _MAX_IDS else ""
        shown = ", ".join(map(str, ids[:_MAX_IDS]))
        lines.append(Text(f"{len(ids):,} {printable(reason)} (id {shown}{more})"))
    if len(ranked) > _MAX_REASONS:
        lines.append(Text(f"... and {len(ranked) - _MAX_REASONS:,} more reasons; --output FILE lists every number"))
    return lines


def _kind_lines(report: BulkReport) -> list[Text]:
    """Return what the report says of all failures, if it has only the first of them."""
    shown, count = len(report.failures), report.failures_total
    if shown == count:
        return []
    ranked = sorted(report.failures_by_kind.items(), key=lambda item: -item[1])
    kinds = ", ".join(f"{number:,} {kind}" for kind, number in ranked[:_MAX_REASONS])
    rest = sum(number for _, number in ranked[_MAX_REASONS:])
    more = f", {rest:,} others" if rest else ""
    return [
        Text(
            f"These reasons are of the first {shown:,} of {count:,} failures; --failures-to FILE lists every failure."
        ),
        Text(f"All failures: {kinds}{more}."),
    ]


def result_json(result: BulkResult) -> dict[str, Any]:
    """Return a result as an object for files and reports."""
    error = None if result.error is None else str(result.error)
    return {"id": result.id, "status": str(result.status), "attempts": result.attempts, "error": error}


def report_json(report: BulkReport, *, interrupted: bool) -> dict[str, Any]:
    """Return the report as one JSON object."""
    more = {"charged": str(report.charged), "skipped": report.skipped} if report.success != "updated" else {}
    return {
        "total": report.total,
        str(report.success): report.succeeded,
        **more,
        "failed": report.failed,
        "unknown": report.unknown,
        "not_sent": report.not_sent,
        "requests": report.requests,
        "rate_limited": report.rate_limited,
        "elapsed": round(report.elapsed, 3),
        "interrupted": interrupted,
        "cut_short": report.cut_short,
        "stopped_by": None if report.stopped_by is None else str(report.stopped_by),
        "failures": [result_json(result) for result in report.failures],
        "failures_total": report.failures_total,
        "failures_by_kind": [
            {"error": kind.error, "http_status": kind.status, "count": count}
            for kind, count in report.failures_by_kind.items()
        ],
    }
