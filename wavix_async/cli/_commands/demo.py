"""`wavix-async demo`: update all numbers of a local Wavix simulator with a rate limit and faults."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import attrs
from rich.text import Text

from wavix_async import BulkReport, BulkResult, BulkStatus, NumberUpdate, WavixClient, to_dict
from wavix_async.cli._console import err, keep_exit_code, out, show_facts, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_report
from wavix_async.cli._options import AtLeastOne, Json, Positive, Share, with_option_names
from wavix_async.cli._output import Display, format_count, format_counts
from wavix_async.cli._runner import RunOutcome, run_bulk
from wavix_async.sandbox import Sandbox, SandboxStats

__all__ = ["demo"]

_BURST_SECONDS: Final = 0.1


@attrs.frozen
class _Scenario:
    """The options of the demo."""

    numbers: int
    rate: float
    burst: int
    faults: float


@attrs.define
class _Audit:
    """Compares the state of the sandbox with the report, number by number."""

    as_reported: int = 0
    unknown: int = 0
    """Reported as unknown: the number may be changed or unchanged."""
    lost: list[int] = attrs.field(factory=list)
    """The report is wrong: reported as updated but unchanged, or reported as not updated but changed."""


def demo(
    *,
    numbers: AtLeastOne = 2000,
    rate: Positive = 250.0,
    faults: Share = 0.02,
    concurrency: AtLeastOne = 32,
    seed: int = 0,
    as_json: Json = False,
) -> ExitCode:
    """Update numbers on a local Wavix simulator with limits and faults.

    The demo needs no API key and no network. The client does not know the rate limit: it learns the limit from 429
    responses. At the end the demo checks every number on the server against the client's report.

    Example: `wavix-async demo --numbers 500 --rate 100`

    Args:
        numbers: How many phone numbers to change.
        rate: How many requests per second the simulator accepts.
        faults: The share of requests that fail (connection reset, truncated or broken response, 5xx), from 0 to 1.
        concurrency: How many requests may be in flight at once.
        seed: Seed for the data and the faults.
        as_json: Print one JSON object instead of the report.
    """
    try:
        scenario = _Scenario(numbers, rate, max(1, round(rate * _BURST_SECONDS)), faults)
        sandbox = Sandbox(numbers, rate, scenario.burst, faults, seed=seed)
    except (ValueError, OverflowError) as error:
        raise Quit(ExitCode.USAGE, with_option_names(f"{error}.")) from None
    return asyncio.run(_run_demo(sandbox, scenario, concurrency, as_json=as_json))


async def _run_demo(sandbox: Sandbox, scenario: _Scenario, concurrency: int, *, as_json: bool) -> ExitCode:
    console = err()
    before = dict(sandbox.numbers)
    updates = {number_id: _make_update(number_id) for number_id in before}
    statuses: dict[int, BulkStatus] = {}

    def on_result(result: BulkResult) -> None:
        statuses[result.id] = result.status

    async with sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        run = wavix.numbers.bulk_update(updates, concurrency=concurrency)
        console.print(_intro(scenario, sandbox.url), soft_wrap=True)
        outcome = await run_bulk(run, Display(console), on_result)
    report = outcome.report
    audit = _audit(sandbox, before, updates, statuses)
    with keep_exit_code():
        if as_json:
            write_json(_demo_json(scenario, report, sandbox.stats, audit))
        else:
            _show_report(scenario, report, sandbox.stats, audit)
    return _exit_code(outcome, audit)


def _make_update(number_id: int) -> NumberUpdate:
    return NumberUpdate(
        sms_enabled=True,
        call_recording_enabled=True,
        call_status_url=f"https://hooks.example.com/calls/{number_id}",
    )


def _intro(scenario: _Scenario, url: str) -> Text:
    return Text(
        f"A local Wavix simulator at {url} accepts {scenario.rate:g} requests/s (burst {scenario.burst}) "
        f"and fails {scenario.faults:.1%} of them.\nThe client knows neither figure.\n",
        style="dim",
    )


def _audit(
    sandbox: Sandbox,
    before: Mapping[int, Mapping[str, Any]],
    updates: Mapping[int, NumberUpdate],
    statuses: Mapping[int, BulkStatus],
) -> _Audit:
    audit = _Audit()
    for number_id, update in updates.items():
        target, state = to_dict(update), sandbox.numbers[number_id]
        status = statuses.get(number_id, BulkStatus.NOT_SENT)
        expected = target if status is BulkStatus.UPDATED else before[number_id]
        if status is BulkStatus.UNKNOWN:
            audit.unknown += 1
        elif all(state[name] == expected[name] for name in target):
            audit.as_reported += 1
        else:
            audit.lost.append(number_id)
    return audit


def _rate_used(scenario: _Scenario, report: BulkReport, stats: SandboxStats) -> tuple[float, float]:
    """Return the rate of accepted requests per second, and its share of the rate that the limit allowed."""
    allowed = scenario.burst + scenario.rate * report.elapsed
    return stats.accepted / report.elapsed, stats.accepted / allowed


def _demo_json(scenario: _Scenario, report: BulkReport, stats: SandboxStats, audit: _Audit) -> dict[str, object]:
    used, share = _rate_used(scenario, report, stats)
    return {
        "asked": scenario.numbers,
        "updated": report.updated,
        "failed": report.failed,
        "unknown": report.unknown,
        "not_sent": report.not_sent,
        "elapsed": round(report.elapsed, 3),
        "requests": {"sent": report.requests, "received": stats.requests, "refused": stats.refused},
        "faults": dict(stats.faults),
        "rate": {"allowed": scenario.rate, "burst": scenario.burst, "used": round(used, 1), "share": round(share, 4)},
        "written_again": _repeated(stats),
        "state": {"as_reported": audit.as_reported, "undecided": audit.unknown, "lost": len(audit.lost)},
    }


def _repeated(stats: SandboxStats) -> int:
    return sum(times > 1 for times in stats.updates.values())


def _show_report(scenario: _Scenario, report: BulkReport, stats: SandboxStats, audit: _Audit) -> None:
    used, share = _rate_used(scenario, report, stats)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(stats.faults.items()))
    unknown = f", {audit.unknown:,} unknown" if audit.unknown else ""
    succeeded = not audit.lost and report.updated == scenario.numbers
    facts: dict[str, str | Text] = {
        "Task": f"turn SMS and recording on, and set a different callback URL, on {format_count(scenario.numbers)}",
        "Result": format_counts(report),
        "Requests": f"{report.requests:,} sent, {stats.requests:,} received, "
        f"{stats.refused:,} throttled with 429 ({stats.refused / max(1, stats.requests):.1%})",
        "Faults": f"{stats.faults.total():,} injected" + (f": {kinds}" if kinds else ""),
        "Repeats": f"{format_count(_repeated(stats))} updated more than once, because a fault lost a response",
        "Rate": f"{used:,.1f}/s of {scenario.rate:,g}/s allowed ({share:.1%} of the limit), "
        f"{report.elapsed:.1f} s in total",
        "Check": f"{audit.as_reported:,} of {format_count(scenario.numbers)} match the report{unknown}, "
        f"{len(audit.lost):,} lost",
    }
    summary = Text(
        f"\n{report.updated:,} updated, {len(audit.lost):,} lost.", style="bold green" if succeeded else "bold red"
    )
    show_facts(out(), "wavix-async demo", facts, after=[summary])


def _exit_code(outcome: RunOutcome, audit: _Audit) -> ExitCode:
    if outcome.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if audit.lost else code_for_report(outcome.report)
