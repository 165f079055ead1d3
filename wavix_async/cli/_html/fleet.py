"""A plan, and a run, as one HTML file that somebody reads who has never seen a terminal."""

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
from wavix_async.cli._output.format import duration, moment, numbers
from wavix_async.cli._output.summary import MEANINGS, OPEN, verdict, why
from wavix_async.fleet import Change, FieldChange, FleetReport, FleetResult, FleetStatus, Plan

__all__ = ["plan_page", "run_page"]

_SHOWN: Final = 1_000
_SHOWN_MISSING: Final = 200
_REASONS: Final = 20
_LONGEST: Final = 300
_ORDER: Final = (
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
        plan: What would change.
        now: When it was made, in seconds since 1970; None: now.
    """
    count = len(plan)
    head = f"{numbers(count)} would change." if count else "Nothing to do: every number is as it shall be."
    if plan.missing_count:
        lack = f"The account lacks {numbers(plan.missing_count)} that the plan names. Nothing has been sent."
        opening = _verdict("bad", lack, head if count else None)
    else:
        opening = _verdict("running" if count else "good", head, "Nothing has been sent." if count else None)
    return page(
        f"Plan: {plan.name}",
        _title("Plan", plan.name, f"{plan.base_url} · {numbers(plan.account)} in the account"),
        opening,
        section(
            "In numbers",
            tiles(
                [
                    Tile("would change", count, None, "differ from what is wanted"),
                    Tile("unchanged", plan.unchanged, None, "are as they shall be already"),
                    Tile("missing", plan.missing_count, "failed", "wanted, and not in the account"),
                    Tile(
                        "in the account", plan.account, None, "of which the plan touches " + _share(count, plan.account)
                    ),
                ]
            ),
        ),
        _missing(plan.missing, plan.missing_count),
        _totals(plan.totals, "would be set"),
        _changes(plan.changes(), count),
        _about(
            [
                ("Made", moment(time.time() if now is None else now)),
                ("API", plan.base_url),
                ("Digest", element("code", plan.digest)),
            ]
        ),
    )


def run_page(report: FleetReport, *, base_url: str | None = None, now: float | None = None) -> str:
    """Return the page of a run, which may still be going on.

    Args:
        report: Where it stands, or what it came to.
        base_url: Where the API is, if known.
        now: When the page is made, in seconds since 1970; None: now.
    """
    kind = "Roll-back" if report.kind == "roll_back" else "Run"
    said = verdict(report)
    what = "set back" if report.kind == "roll_back" else "set"
    began = moment(report.began)
    when = f"began {began}, {'so far' if report.is_running else 'took'} {duration(report.elapsed)}"
    chart = run_chart(report.samples())
    return page(
        f"{kind}: {report.name}",
        _title(kind, report.name, " · ".join(filter(None, (base_url, when)))),
        _verdict(said.kind, said.text, said.more),
        section("In numbers", _whole(report), tiles(_run_tiles(report))),
        _reasons(report),
        section("How fast it went", chart) if chart is not None else None,
        _totals(report.totals, f"had to be {what}"),
        _failures(report),
        _results(report),
        _about(
            [
                ("Began", began),
                ("Took", duration(report.elapsed)),
                ("Requests", f"{report.requests:,}, of which {report.rate_limited:,} were refused with 429"),
                ("Stopped by", report.stopped_by) if report.stopped_by else None,
                ("Journal", element("code", str(report.journal)) if report.journal else "none was kept"),
                ("Digest of the plan", element("code", report.digest)),
                ("This page", moment(time.time() if now is None else now)),
            ]
        ),
    )


# --- head and foot ---


def _title(kind: str, name: str, about: str) -> Markup:
    return element(
        "header",
        element("p", kind, cls="kind"),
        element("h1", name),
        element("p", about, cls="about") if about else None,
    )


def _verdict(kind: str, text: str, more: str | None) -> Markup:
    return element("div", element("strong", text), element("p", more) if more else None, cls=f"verdict {kind}")


def _about(pairs: Iterable[tuple[str, Child] | None]) -> list[Markup]:
    return [
        section("For the record", facts(pair for pair in pairs if pair is not None)),
        element("footer", f"wavix-async {__version__}"),
    ]


def _share(count: int, whole: int) -> str:
    if not count or not whole:
        return "none"
    share = count / whole
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.3g} %"


# --- counts ---


def _run_tiles(report: FleetReport) -> Iterator[Tile]:
    for status in _ORDER:
        count = _count(report, status)
        yield Tile(_word(status), count, _kind(status), MEANINGS[status])


def _whole(report: FleetReport) -> Markup:
    return bar([(_word(status), _count(report, status), _kind(status)) for status in _ORDER])


def _count(report: FleetReport, status: FleetStatus) -> int:
    count: int = getattr(report, status.value)
    return count


def _word(status: FleetStatus) -> str:
    return status.value.replace("_", " ")


def _kind(status: FleetStatus) -> str:
    return status.value.replace("_", "-")


def _totals(totals: Mapping[str, int], what: str) -> Markup | None:
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
    return section("By field", table(heads, rows), note=f"In how many numbers each field {what}.")


# --- what is wrong ---


def _missing(lines: Iterable[str], count: int) -> Markup | None:
    if not count:
        return None
    shown = [element("li", line) for line in islice(lines, _SHOWN_MISSING)]
    more = f"The first {len(shown):,} of {count:,}." if count > len(shown) else None
    return section("Missing", element("ul", shown, cls="lines"), note=more)


def _reasons(report: FleetReport) -> Markup | None:
    told = [] if report.is_running else why(report)
    if not told:
        return None
    rows = [
        (
            element("td", f"{reason.count:,}", cls="count"),
            element("td", _status(reason.status)),
            element("td", reason.text, cls="stretch reason"),
        )
        for reason in told[:_REASONS]
    ]
    heads = (("Numbers", "count"), ("Status", None), ("Reason", "stretch"))
    more = f"The {_REASONS} most frequent reasons of {len(told):,}." if len(told) > _REASONS else None
    return section("What is not done, and why", table(heads, rows), note=more)


def _failures(report: FleetReport) -> Markup | None:
    """Return what is not done, number by number; what never left has nothing to tell, and there may be much of it."""
    named = [status for status in OPEN if status is not FleetStatus.NOT_SENT and _count(report, status)]
    count = sum(_count(report, status) for status in named)
    if not count:
        return None
    rows = [_failed_row(result) for result in islice(report.results(*named), _SHOWN)]
    heads = (("Id", "count"), ("Number", None), ("Status", None), ("Attempts", "count"), ("Reason", "stretch"))
    return section("Not done, number by number", table(heads, rows), note=_first(len(rows), count))


def _failed_row(result: FleetResult) -> tuple[Markup, ...]:
    return (
        element("td", "" if result.id is None else str(result.id), cls="count id"),
        element("td", result.number or "", cls="tight"),
        element("td", _status(result.status)),
        element("td", result.attempts, cls="count"),
        element("td", result.reason or "", cls="stretch reason"),
    )


def _status(status: FleetStatus) -> Markup:
    return element("span", _word(status), cls=f"status {_kind(status)}")


# --- changes ---


def _first(shown: int, count: int) -> str | None:
    return f"The first {shown:,} of {count:,}; {count - shown:,} more are not shown here." if count > shown else None


def _changes(changes: Iterable[Change], count: int) -> Markup | None:
    if not count:
        return None
    shown = list(islice(changes, _SHOWN))
    heads = (("Id", "count"), ("Number", None), ("Field", None), ("From", "value-cell"), ("To", "value-cell"))
    rows = (row for change in shown for row in _field_rows(change.id, change.number, change.fields, None))
    return section("Changes", _by_number(heads, rows), note=_first(len(shown), count))


def _results(report: FleetReport) -> Markup | None:
    count = report.total - report.unchanged
    shown = list(islice((result for result in report.results() if result.fields), _SHOWN))
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
    rows = (row for each in shown for row in _field_rows(each.id, each.number, each.fields, each.status))
    return section("Changes", _by_number(heads, rows), note=_first(len(shown), count))


def _by_number(heads: tuple[tuple[str, str | None], ...], rows: Iterable[Markup]) -> Markup:
    head = element("tr", [element("th", title, scope="col", cls=kind) for title, kind in heads])
    return element("div", element("table", element("thead", head), element("tbody", list(rows))), cls="wide")


def _field_rows(
    number_id: int | None, number: str | None, fields: tuple[FieldChange, ...], status: FleetStatus | None
) -> Iterator[Markup]:
    """Yield a row for each field; what they have in common stands once, beside all of them."""
    span = len(fields) if len(fields) > 1 else None
    for index, change in enumerate(fields):
        common: list[Markup] = []
        if index == 0:
            common = [
                element("td", "" if number_id is None else str(number_id), cls="count id", rowspan=span),
                element("td", number or "", cls="tight", rowspan=span),
            ]
            if status is not None:
                common.append(element("td", _status(status), rowspan=span))
        yield element(
            "tr",
            common,
            element("td", element("code", change.field), cls="tight"),
            element("td", _value(change.before), cls="before value-cell"),
            element("td", _value(change.after), cls="value-cell"),
            cls="more" if index < len(fields) - 1 else None,
        )


def _value(value: Any) -> Child:
    """Return a value as one reads it."""
    match value:
        case None | "" | []:
            return element("span", "none", cls="dim")
        case bool():
            return "yes" if value else "no"
        case str():
            return _cut(value)
        case list() if all(isinstance(each, dict) and "destination" in each for each in value):
            return [element("div", _route(each)) for each in value]
        case _:
            return _cut(json.dumps(value, ensure_ascii=False))


def _route(route: Mapping[str, Any]) -> list[Child]:
    more = ", ".join(f"{name.replace('_id', '')} {value}" for name, value in route.items() if name != "destination")
    return [_cut(str(route["destination"])), element("span", f" · {more}", cls="dim") if more else None]


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)"
