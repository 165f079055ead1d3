"""`wavix-async demo`: a fleet is reconfigured on a local Wavix that refuses and fails, and the books are compared."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import attrs
from rich.text import Text

from wavix_async import BulkReport, BulkResult, BulkStatus, NumberUpdate, WavixClient, to_dict
from wavix_async.cli._console import err, out, show_facts, write_json
from wavix_async.cli._exit import ExitCode, Quit, code_for_report
from wavix_async.cli._options import AtLeastOne, Json
from wavix_async.cli._output.progress import Display
from wavix_async.cli._output.report import outcome
from wavix_async.cli._runner import Driven, drive
from wavix_async.sandbox import Sandbox, SandboxStats

__all__ = ["demo"]

_BURST_SECONDS: Final = 0.1


@attrs.frozen
class _Stage:
    """What the demo was asked to do."""

    numbers: int
    rate: float
    burst: int
    faults: float


@attrs.define
class _Audit:
    """The sandbox's state held against the report, number by number."""

    as_reported: int = 0
    undecided: int = 0
    """Reported as unknown: either state is right."""
    lost: list[int] = attrs.field(factory=list)
    """Reported updated and not so, or reported not updated and changed all the same."""


def demo(
    *,
    numbers: AtLeastOne = 2000,
    rate: float = 250.0,
    faults: float = 0.02,
    concurrency: AtLeastOne = 32,
    seed: int = 0,
    as_json: Json = False,
) -> ExitCode:
    """Reconfigure a fleet on a local Wavix that limits the rate and fails at times, and check every number.

    Needs no key and no network. The client is not told the limit: it learns it from the refusals.

    Args:
        numbers: How many phone numbers to change.
        rate: Requests per second that the local Wavix lets in.
        faults: Share of requests hit by a fault (connection resets, cut and broken answers, 5xx), from 0 to 1.
        concurrency: Requests on the wire at once.
        seed: Another seed gives other data and other faults.
        as_json: Print one JSON object instead of the report.
    """
    try:
        stage = _Stage(numbers, rate, max(1, round(rate * _BURST_SECONDS)), faults)
        sandbox = Sandbox(numbers, rate, stage.burst, faults, seed=seed)
    except (ValueError, OverflowError) as error:
        raise Quit(ExitCode.USAGE, f"{error}.") from None
    return asyncio.run(_play(sandbox, stage, concurrency, as_json=as_json))


async def _play(sandbox: Sandbox, stage: _Stage, concurrency: int, *, as_json: bool) -> ExitCode:
    console = err()
    before = dict(sandbox.numbers)
    updates = {number_id: _change(number_id) for number_id in before}
    ends: dict[int, BulkStatus] = {}

    def take(result: BulkResult) -> None:
        ends[result.id] = result.status

    async with sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        run = wavix.numbers.bulk_update(updates, concurrency=concurrency)
        console.print(_opening(stage, sandbox.url), soft_wrap=True)
        driven = await drive(run, Display(console), take)
    report = driven.report
    # What a second Ctrl-C has cut off has landed nowhere else.
    ends.update((result.id, result.status) for result in report.failures)
    audit = _audit(sandbox, before, updates, ends)
    if as_json:
        write_json(_figures(stage, report, sandbox.stats, audit))
    else:
        _show(stage, report, sandbox.stats, audit)
    return _code(driven, audit)


def _change(number_id: int) -> NumberUpdate:
    return NumberUpdate(
        sms_enabled=True,
        call_recording_enabled=True,
        call_status_url=f"https://hooks.example.com/calls/{number_id}",
    )


def _opening(stage: _Stage, url: str) -> Text:
    return Text(
        f"A local Wavix on {url} lets in {stage.rate:g} requests/s (burst {stage.burst}) "
        f"and breaks {stage.faults:.1%} of them.\nThe client knows neither.\n",
        style="dim",
    )


def _audit(
    sandbox: Sandbox,
    before: Mapping[int, Mapping[str, Any]],
    updates: Mapping[int, NumberUpdate],
    ends: Mapping[int, BulkStatus],
) -> _Audit:
    audit = _Audit()
    for number_id, update in updates.items():
        wanted, state, end = to_dict(update), sandbox.numbers[number_id], ends.get(number_id, BulkStatus.NOT_SENT)
        claimed = wanted if end is BulkStatus.UPDATED else before[number_id]
        if end is BulkStatus.UNKNOWN:
            audit.undecided += 1
        elif all(state[name] == claimed[name] for name in wanted):
            audit.as_reported += 1
        else:
            audit.lost.append(number_id)
    return audit


def _used(stage: _Stage, report: BulkReport, stats: SandboxStats) -> tuple[float, float]:
    """Return the requests per second that were let in, and their share of what would have been."""
    allowed = stage.burst + stage.rate * report.elapsed
    return stats.accepted / report.elapsed, stats.accepted / allowed


def _figures(stage: _Stage, report: BulkReport, stats: SandboxStats, audit: _Audit) -> dict[str, object]:
    used, share = _used(stage, report, stats)
    return {
        "asked": stage.numbers,
        "updated": report.updated,
        "failed": report.failed,
        "unknown": report.unknown,
        "not_sent": report.not_sent,
        "elapsed": round(report.elapsed, 3),
        "requests": {"sent": report.requests, "received": stats.requests, "refused": stats.refused},
        "faults": dict(stats.faults),
        "rate": {"allowed": stage.rate, "burst": stage.burst, "used": round(used, 1), "share": round(share, 4)},
        "written_again": _written_again(stats),
        "state": {"as_reported": audit.as_reported, "undecided": audit.undecided, "lost": len(audit.lost)},
    }


def _written_again(stats: SandboxStats) -> int:
    return sum(times > 1 for times in stats.updates.values())


def _show(stage: _Stage, report: BulkReport, stats: SandboxStats, audit: _Audit) -> None:
    used, share = _used(stage, report, stats)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(stats.faults.items()))
    undecided = f", {audit.undecided:,} unknown" if audit.undecided else ""
    good = not audit.lost and report.updated == stage.numbers
    facts: dict[str, str | Text] = {
        "Asked": f"{stage.numbers:,} numbers: SMS on, recording on, a callback URL of its own for each",
        "Happened": outcome(report),
        "Requests": f"{report.requests:,} sent, {stats.requests:,} arrived, "
        f"{stats.refused:,} of them refused with 429 ({stats.refused / max(1, stats.requests):.1%})",
        "Faults": f"{stats.faults.total():,} played" + (f": {kinds}" if kinds else ""),
        "Repeats": f"{_written_again(stats):,} numbers were written again, because a fault had eaten the answer",
        "Rate": f"{used:,.1f}/s used of {stage.rate:,g}/s allowed ({share:.1%} of what the bucket gave), "
        f"{report.elapsed:.1f} s in all",
        "State": f"{audit.as_reported:,} of {stage.numbers:,} numbers are as reported{undecided}, "
        f"{len(audit.lost):,} lost",
    }
    verdict = Text(
        f"\n{report.updated:,} updated, {len(audit.lost):,} lost.", style="bold green" if good else "bold red"
    )
    show_facts(out(), "wavix-async demo", facts, after=[verdict])


def _code(driven: Driven, audit: _Audit) -> ExitCode:
    if driven.interrupted:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if audit.lost else code_for_report(driven.report)
