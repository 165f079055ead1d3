"""Show a plan or a run as one HTML file, for readers without a terminal."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from wavix_async import __version__
from wavix_async.cli._html.chart import run_chart
from wavix_async.cli._html.page import (
    Child,
    Markup,
    Tile,
    bar,
    element,
    facts,
    page,
    section,
    share_bar,
    table,
    tiles,
)
from wavix_async.cli._output import (
    NOT_DONE,
    failure_reasons,
    format_count,
    format_duration,
    format_time,
    status_label,
    status_meaning,
    stop_reason,
    summarize,
)
from wavix_async.fleet import Change, FieldChange, FleetReport, FleetResult, FleetStatus, Plan

__all__ = ["plan_page", "run_page"]

_MAX_SHOWN: Final = 1_000
_MAX_MISSING_SHOWN: Final = 200
_MAX_REASONS: Final = 20
_MAX_LENGTH: Final = 300
_STATUS_ORDER: Final = (
    FleetStatus.UPDATED,
    FleetStatus.UNCHANGED,
    FleetStatus.PENDING,
    FleetStatus.UNKNOWN,
    FleetStatus.FAILED,
    FleetStatus.NOT_SENT,
)


def plan_page(plan: Plan, *, now: float | None = None) -> str:
    """Return the page of a plan.

    Args:
        plan: The plan.
        now: The time to show on the page, in seconds since 1970. Default: the current time.
    """
    count = len(plan)
    head = f"{format_count(count)} will change." if count else "Nothing to do: every number already matches."
    if plan.missing_count:
        text = f"{plan.missing_count:,} entries of the file match nothing in the account. Nothing was sent."
        opening = _banner("bad", text, head if count else None)
    else:
        opening = _banner("running" if count else "good", head, "Nothing was sent." if count else None)
    return page(
        f"Plan: {plan.name}",
        _title("Plan", plan.name, f"{plan.base_url} · {format_count(plan.account)} in the account"),
        opening,
        section(
            "Summary",
            tiles(
                [
                    Tile("will change", count, None, "differ from the file"),
                    Tile("unchanged", plan.unchanged, None, "already match the file"),
                    Tile("missing", plan.missing_count, "failed", "in the file, but not in the account"),
                    Tile("in the account", plan.account, None, f"{_share(count, plan.account)} will change"),
                ]
            ),
        ),
        _missing(plan.missing, plan.missing_count),
        _totals(plan.totals, "will change"),
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
        section("Summary", _status_bar(report), tiles(_run_tiles(report))),
        _reasons(report),
        section("Speed", chart) if chart is not None else None,
        _totals(report.totals, f"the {kind.lower()} changes"),
        _failures(report),
        _results(report),
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


def _run_tiles(report: FleetReport) -> Iterator[Tile]:
    for status in _STATUS_ORDER:
        count = _count(report, status)
        label = status_label(status, is_running=report.is_running)
        meaning = status_meaning(status, is_running=report.is_running)
        yield Tile(label, count, _css_class(status), meaning)


def _status_bar(report: FleetReport) -> Markup:
    is_running = report.is_running
    return bar(
        [
            (status_label(status, is_running=is_running), _count(report, status), _css_class(status))
            for status in _STATUS_ORDER
        ]
    )


def _count(report: FleetReport, status: FleetStatus) -> int:
    count: int = getattr(report, status.value)
    return count


def _css_class(status: FleetStatus) -> str:
    return status.value.replace("_", "-")


def _totals(totals: Mapping[str, int], action: str) -> Markup | None:
    if not totals:
        return None
    ranked = sorted(totals.items(), key=lambda item: -item[1])
    largest = ranked[0][1]
    rows = [
        (
            element("td", element("code", field), cls="tight"),
            element("td", f"{count:,}", cls="count"),
            element("td", share_bar(count, largest), cls="stretch"),
        )
        for field, count in ranked
    ]
    heads = (("Field", "tight"), ("Numbers", "count"), ("", "stretch"))
    return section("By field", table(heads, rows), note=f"How many numbers {action}, by field.")


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
    rows = [
        (
            element("td", f"{reason.count:,}", cls="count"),
            element("td", _status(reason.status)),
            element("td", reason.text, cls="stretch reason"),
        )
        for reason in reasons[:_MAX_REASONS]
    ]
    heads = (("Numbers", "count"), ("Status", None), ("Reason", "stretch"))
    more = f"The {_MAX_REASONS} most frequent of {len(reasons):,} reasons." if len(reasons) > _MAX_REASONS else None
    return section("Not done, by reason", table(heads, rows), note=more)


def _failures(report: FleetReport) -> Markup | None:
    """Return the changes that are not done, by number, without those that were never sent: they have no reason."""
    named = [status for status in NOT_DONE if status is not FleetStatus.NOT_SENT and _count(report, status)]
    count = sum(_count(report, status) for status in named)
    if not count:
        return None
    rows = [_failed_row(result, report) for result in islice(report.results(*named), _MAX_SHOWN)]
    heads = (("Id", "count"), ("Number", None), ("Status", None), ("Attempts", "count"), ("Reason", "stretch"))
    return section("Not done, by number", table(heads, rows), note=_truncation_note(len(rows), count))


def _failed_row(result: FleetResult, report: FleetReport) -> tuple[Markup, ...]:
    return (
        element("td", "" if result.id is None else str(result.id), cls="count id"),
        element("td", result.number or "", cls="tight"),
        element("td", _status(result.status, is_running=report.is_running)),
        element("td", result.attempts, cls="count"),
        element("td", result.reason or "", cls="stretch reason"),
    )


def _status(status: FleetStatus, *, is_running: bool = False) -> Markup:
    return element("span", status_label(status, is_running=is_running), cls=f"status {_css_class(status)}")


# --- changes ---


def _truncation_note(shown: int, count: int) -> str | None:
    return f"The first {shown:,} of {count:,}; {count - shown:,} more are not shown." if count > shown else None


def _changes(changes: Iterable[Change], count: int) -> Markup | None:
    if not count:
        return None
    shown = list(islice(changes, _MAX_SHOWN))
    heads = (("Id", "count"), ("Number", None), ("Field", None), ("From", "value-cell"), ("To", "value-cell"))
    rows = (row for change in shown for row in _field_rows(change.id, change.number, change.fields, None))
    return section("Changes", _number_table(heads, rows), note=_truncation_note(len(shown), count))


def _results(report: FleetReport) -> Markup | None:
    count = report.total - report.unchanged
    shown = list(islice((result for result in report.results() if result.fields), _MAX_SHOWN))
    if not shown:
        return None
    heads = (
        ("Id", "count"),
        ("Number", None),
        ("Status", None),
        ("Field", None),
        ("From", "value-cell"),
        ("To", "value-cell"),
    )
    rows = (
        row
        for each in shown
        for row in _field_rows(each.id, each.number, each.fields, _status(each.status, is_running=report.is_running))
    )
    return section("Changes", _number_table(heads, rows), note=_truncation_note(len(shown), count))


def _number_table(heads: tuple[tuple[str, str | None], ...], rows: Iterable[Markup]) -> Markup:
    head = element("tr", [element("th", title, scope="col", cls=kind) for title, kind in heads])
    return element("div", element("table", element("thead", head), element("tbody", list(rows))), cls="wide")


def _field_rows(
    number_id: int | None, number: str | None, fields: tuple[FieldChange, ...], status: Markup | None
) -> Iterator[Markup]:
    """Yield a row for each field; the cells of id, number and status span all rows."""
    span = len(fields) if len(fields) > 1 else None
    for index, change in enumerate(fields):
        common: list[Markup] = []
        if index == 0:
            common = [
                element("td", "" if number_id is None else str(number_id), cls="count id", rowspan=span),
                element("td", number or "", cls="tight", rowspan=span),
            ]
            if status is not None:
                common.append(element("td", status, rowspan=span))
        yield element(
            "tr",
            common,
            element("td", element("code", change.field), cls="tight"),
            element("td", _format_value(change.before), cls="before value-cell"),
            element("td", _format_value(change.after), cls="value-cell"),
            cls="more" if index < len(fields) - 1 else None,
        )


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
