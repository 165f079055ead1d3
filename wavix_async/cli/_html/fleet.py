"""Show a plan or a run as one HTML file, for readers without a terminal."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

from wavix_async import __version__
from wavix_async.cli._html.chart import run_chart
from wavix_async.cli._html.page import (
    Child,
    Markup,
    bar,
    element,
    facts,
    page,
    row,
    section,
    share_bar,
    table,
    tile,
)
from wavix_async.cli._output import (
    NOT_DONE,
    failure_reasons,
    format_count,
    format_duration,
    format_time,
    refusal_note,
    status_label,
    status_meaning,
    stop_reason,
    summarize,
)
from wavix_async.fleet import Change, FieldChange, FleetReport, FleetResult, FleetStatus, NewValue, Plan

__all__ = ["plan_page", "run_page"]

_MAX_SHOWN: Final = 1_000
_MAX_MISSING_SHOWN: Final = 200
_MAX_REASONS: Final = 20
_MAX_LENGTH: Final = 300

# The columns of tables. On a narrow screen, the style shows their labels beside the cells.
_ID: Final = ("Id", "count id")
_NUMBER: Final = ("Number", "tight number")
_STATUS: Final = ("Status", "state")
_ATTEMPTS: Final = ("Attempts", "count attempts")
_NUMBERS: Final = ("Numbers", "count numbers")
_FIELD: Final = ("Field", "tight field")
_NEW: Final = ("New value", "new value-cell")
_FROM: Final = ("From", "before value-cell")
_TO: Final = ("To", "after value-cell")
_REASON: Final = ("Reason", "stretch reason")
_BAR: Final = ("", "stretch")
_STATUS_ORDER: Final = (
    FleetStatus.UPDATED,
    FleetStatus.UNCHANGED,
    FleetStatus.PENDING,
    FleetStatus.UNKNOWN,
    FleetStatus.FAILED,
    FleetStatus.NOT_SENT,
    FleetStatus.SKIPPED,
)


def plan_page(plan: Plan, *, now: float | None = None) -> str:
    """Return the page of a plan.

    Args:
        plan: The plan.
        now: The time to show on the page, in seconds since 1970. Default: the current time.
    """
    count = len(plan)
    head = f"{format_count(count)} will change." if count else "Nothing to do: every number already matches."
    note = refusal_note(plan)
    more = f"Nothing was sent.{f' Safety: {note}' if note else ''}"
    if plan.missing_count:
        text = f"{plan.missing_count:,} entries of the file match nothing in the account."
        opening = _banner("bad", text, f"{head} {more}")
    else:
        opening = _banner("open" if note else "running" if count else "good", head, more if count else None)
    return page(
        f"Plan: {plan.name}",
        _title("Plan", plan.name, f"{plan.base_url} · {format_count(plan.account)} in the account"),
        opening,
        section(
            "Summary",
            element(
                "ul",
                tile("will change", count, None, "differ from the file"),
                tile("unchanged", plan.unchanged, None, "already match the file"),
                tile("missing", plan.missing_count, "failed", "in the file, but not in the account"),
                tile("in the account", plan.account, None, f"{_share(count, plan.account)} will change"),
                cls="tiles",
            ),
        ),
        _missing(plan.missing, plan.missing_count),
        _new_values(plan.new_values),
        _changes(plan.changes(), count),
        _record(
            [
                ("Created", format_time(time.time() if now is None else now)),
                ("API", plan.base_url),
                ("Digest", element("code", plan.digest)),
            ]
        ),
    )


def run_page(
    report: FleetReport, *, base_url: str | None = None, interrupted: bool = False, now: float | None = None
) -> str:
    """Return the page of a run, which may still be in progress.

    Args:
        report: The report of the run.
        base_url: The URL of the API, if known.
        interrupted: Whether the user has just stopped the run with Ctrl-C.
        now: The time to show on the page, in seconds since 1970. Default: the current time.
    """
    kind = "Roll-back" if report.kind == "roll_back" else "Run"
    summary = summarize(report, interrupted=interrupted)
    stopped = stop_reason(report, interrupted=interrupted)
    began = format_time(report.began)
    timing = f"started {began}, {'running for' if report.is_running else 'took'} {format_duration(report.elapsed)}"
    chart = run_chart(report.samples())
    return page(
        f"{kind}: {report.name}",
        _title(kind, report.name, " · ".join(filter(None, (base_url, timing)))),
        _banner(summary.kind, summary.text, summary.more),
        section("Summary", _counts(report)),
        _reasons(report),
        section("Speed", chart) if chart is not None else None,
        _totals(report.totals, f"the {kind.lower()} was asked to change"),
        _failures(report),
        _changes(report.results(), report.total - report.unchanged - report.skipped, is_running=report.is_running),
        _record(
            [
                ("Started", began),
                ("Running for" if report.is_running else "Took", format_duration(report.elapsed)),
                ("Requests", f"{report.requests:,}, of which {report.rate_limited:,} were throttled with 429"),
                ("Ended early", stopped) if stopped else None,
                ("Journal", element("code", str(report.journal)) if report.journal else "none"),
                ("Digest of the plan", element("code", report.digest)),
                ("This page", format_time(time.time() if now is None else now)),
            ]
        ),
    )


# --- header and footer ---


def _title(kind: str, name: str, about: str) -> Markup:
    return element(
        "header",
        element("p", kind, cls="kind"),
        element("h1", name),
        element("p", about, cls="about") if about else None,
    )


def _banner(kind: str, text: str, more: str | None) -> Markup:
    return element("div", element("strong", text), element("p", more) if more else None, cls=f"verdict {kind}")


def _record(pairs: Iterable[tuple[str, Child] | None]) -> list[Markup]:
    return [
        section("Details", facts(pair for pair in pairs if pair is not None)),
        element("footer", f"wavix-async {__version__}"),
    ]


def _share(count: int, whole: int) -> str:
    if not count or not whole:
        return "none"
    share = count / whole
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


# --- counts ---


def _counts(report: FleetReport) -> list[Markup]:
    """Return a bar and tiles of the counts of a run."""
    is_running = report.is_running
    counts = [
        (status_label(each, is_running=is_running), getattr(report, each.value), _css_class(each), each)
        for each in _STATUS_ORDER
    ]
    tiles = [
        tile(label, count, kind, status_meaning(status, is_running=is_running))
        for label, count, kind, status in counts
        if count or status is not FleetStatus.SKIPPED
    ]
    return [bar([each[:3] for each in counts]), element("ul", tiles, cls="tiles")]


def _css_class(status: FleetStatus) -> str:
    return status.value.replace("_", "-")


def _totals(totals: Mapping[str, int], action: str) -> Markup | None:
    ranked = sorted(totals.items(), key=lambda item: -item[1])
    rows = [row(element("code", field), f"{count:,}", share_bar(count, ranked[0][1])) for field, count in ranked]
    note = f"How many numbers {action}, by field."
    return section("By field", table((_FIELD, _NUMBERS, _BAR), rows), note=note) if rows else None


def _new_values(values: Sequence[NewValue]) -> Markup | None:
    largest = max((each.numbers for each in values), default=0)
    rows = [
        row(
            element("code", each.field),
            each.others_text or _format_value(each.value),
            f"{each.numbers:,}",
            share_bar(each.numbers, largest),
        )
        for each in values
    ]
    note = "How many numbers get each new value."
    return section("New values", table((_FIELD, _NEW, _NUMBERS, ("", "bar")), rows), note=note) if rows else None


# --- failures ---


def _missing(lines: Iterable[str], count: int) -> Markup | None:
    if not count:
        return None
    shown = [element("li", line) for line in islice(lines, _MAX_MISSING_SHOWN)]
    more = f"The first {len(shown):,} of {count:,}." if count > len(shown) else None
    return section("Missing", element("ul", shown, cls="lines"), note=more)


def _reasons(report: FleetReport) -> Markup | None:
    reasons = [] if report.is_running else failure_reasons(report)
    if not reasons:
        return None
    rows = [row(f"{each.count:,}", _status(each.status), each.text) for each in reasons[:_MAX_REASONS]]
    more = f"The {_MAX_REASONS} most frequent of {len(reasons):,} reasons." if len(reasons) > _MAX_REASONS else None
    return section("Not done, by reason", table((_NUMBERS, _STATUS, _REASON), rows), note=more)


def _failures(report: FleetReport) -> Markup | None:
    """Return the changes that are not done, by number, without those that were never sent: they have no reason."""
    named = [status for status in NOT_DONE if status is not FleetStatus.NOT_SENT]
    count = sum(getattr(report, status.value) for status in named)
    if not count:
        return None
    rows = [
        row(
            "" if result.id is None else str(result.id),
            result.number,
            _status(result.status, is_running=report.is_running),
            result.attempts,
            result.reason,
        )
        for result in islice(report.results(*named), _MAX_SHOWN)
    ]
    heads = (_ID, _NUMBER, _STATUS, _ATTEMPTS, _REASON)
    return section("Not done, by number", table(heads, rows), note=_truncation_note(len(rows), count))


def _status(status: FleetStatus, *, is_running: bool = False) -> Markup:
    return element("span", status_label(status, is_running=is_running), cls=f"status {_css_class(status)}")


# --- changes ---


def _truncation_note(shown: int, count: int) -> str | None:
    return f"The first {shown:,} of {count:,}; {count - shown:,} more are not shown." if count > shown else None


def _changes(changes: Iterable[Change | FleetResult], count: int, *, is_running: bool = False) -> Markup | None:
    """Return the changes of a plan, or those of a run with their status."""
    shown = list(islice((each for each in changes if each.fields), _MAX_SHOWN))
    if not shown:
        return None
    rows = (
        (
            (
                str(each.id),
                each.number,
                *([_status(each.status, is_running=is_running)] if isinstance(each, FleetResult) else []),
            ),
            _field_cells(each.fields),
        )
        for each in shown
    )
    heads = (_ID, _NUMBER, *([_STATUS] if isinstance(shown[0], FleetResult) else []), _FIELD, _FROM, _TO)
    return section("Changes", table(heads, rows), note=_truncation_note(len(shown), count))


def _field_cells(fields: Iterable[FieldChange]) -> list[tuple[Child, Child, Child]]:
    return [(element("code", each.field), _format_value(each.before), _format_value(each.after)) for each in fields]


def _format_value(value: Any) -> Child:
    """Format a value of a field for people."""
    match value:
        case None | "" | []:
            return element("span", "none", cls="dim")
        case bool():
            return "yes" if value else "no"
        case str():
            return _truncate(value)
        case list() if all(isinstance(each, dict) and "destination" in each for each in value):
            return [element("div", _format_route(each)) for each in value]
        case _:
            return _truncate(json.dumps(value, ensure_ascii=False))


def _format_route(route: Mapping[str, Any]) -> list[Child]:
    more = ", ".join(f"{name.replace('_id', '')} {value}" for name, value in route.items() if name != "destination")
    return [_truncate(str(route["destination"])), element("span", f" · {more}", cls="dim") if more else None]


def _truncate(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]} ... ({len(text):,} characters)"
