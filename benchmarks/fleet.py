"""Measure the cost of a fleet's journal, and the time and memory of a plan with a million rows.

    python -m benchmarks.fleet [--rounds 9] [--requests 5000] [--numbers 1000000] [--only journal plan apply]

`journal`: `bulk_update` and `fleet.apply` with a journal on disk make the same changes in turn, one PATCH each, and
each in its own process. The server is that of the other benchmarks; it answers after 20 ms in the first measurement,
and at once in the second. An apply first reads the account, to check whether the plan is still valid. So the bulk
update reads it too, and the table has separate rows for reading and sending.

If responses come at once, client and server exchange about twenty of them at a time while nothing interrupts them. A
journal interrupts them, and then they exchange one at a time. No real API is that close, so this case is measured
separately.

`plan`: a CSV file has one row with a unique value for every number of an account, which a sandbox in another process
generates on request. `apply`: the same file has five distinct values; it is planned and applied in batches, and the
report is read to its end. Memory is the peak resident memory of the whole process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import server
from benchmarks.contenders import KEY, TASKS
from benchmarks.payload import CHANGE
from benchmarks.process import ask, peak_rss_mb, rss_mb, start
from tests.support.sandbox_process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from wavix_async import WavixClient

ROUNDS, REQUESTS, NUMBERS = 9, 5000, 1_000_000
LATENCIES = (0.02, 0.0)
FIRST = 1001
SECTIONS = ("journal", "plan", "apply")
COST, MEMORY = 0.05, 400.0
"""The targets: at most this share of the time for the journal, and at most so many MB of memory."""

# --------------------------------------------------------------------------------------------------------- the journal


def journal(latency: float, rounds: int, requests: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Let both functions make the same changes, in turn."""
    with server.running(latency) as url, tempfile.TemporaryDirectory() as place:
        workers = {
            name: start("fleet", "--work", name, f"{url}/account/{requests}", str(requests), place)
            for name in ("bulk", "apply")
        }
        took: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        try:
            for turn in range(rounds + 1):
                say(f"journal, {1e3 * latency:g} ms: round {turn} of {rounds}")
                # The first of a round finds cold caches, so the two change places each round.
                for name in sorted(workers, reverse=bool(turn % 2)):
                    stdin, stdout = workers[name].stdin, workers[name].stdout
                    assert stdin
                    assert stdout
                    stdin.write("go\n")
                    stdin.flush()
                    answer = json.loads(stdout.readline() or '{"error": "the process has ended"}')
                    if "error" in answer:
                        raise RuntimeError(f"{name}: {answer['error']}")
                    if turn:
                        took[name].append(answer)
        finally:
            for worker in workers.values():
                _end(worker)
    pairs = list(zip(took["apply"], took["bulk"], strict=True))
    return {
        "requests": requests,
        "rounds": rounds,
        "latency": latency,
        "bulk_per_second": statistics.median(requests / one["sending"] for one in took["bulk"]),
        "apply_per_second": statistics.median(requests / one["sending"] for one in took["apply"]),
        "sending": _range([mine["sending"] / theirs["sending"] for mine, theirs in pairs]),
        "reading": _range([mine["reading"] / theirs["reading"] for mine, theirs in pairs]),
        "whole": _range([_whole(mine) / _whole(theirs) for mine, theirs in pairs]),
        "cpu": _range([mine["cpu"] / theirs["cpu"] for mine, theirs in pairs]),
        "journal_bytes": statistics.median(one["journal_bytes"] for one in took["apply"]) / requests,
    }


def _whole(took: dict[str, float]) -> float:
    return took["reading"] + took["sending"]


def _range(ratios: list[float]) -> dict[str, float]:
    return {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def _end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream and not stream.closed:
            try:
                stream.close()
            except OSError:
                pass
    process.wait(timeout=10)


async def _work(name: str, url: str, requests: int, place: Path) -> None:
    from wavix_async import WavixClient

    loop = asyncio.get_running_loop()
    async with WavixClient(KEY, base_url=url) as wavix:
        while await loop.run_in_executor(None, sys.stdin.readline):
            took = await (_bulk(wavix, requests) if name == "bulk" else _apply(wavix, requests, place / "run.sqlite"))
            print(json.dumps(took), flush=True)


async def _bulk(wavix: WavixClient, requests: int) -> dict[str, float]:
    from wavix_async import NumberUpdate

    updates = dict.fromkeys(range(server.FIRST_ID, server.FIRST_ID + requests), NumberUpdate(**CHANGE))
    cpu, began = time.process_time(), time.perf_counter()
    async for _ in wavix.numbers.list(per_page=100):
        pass
    read = time.perf_counter()
    report = await wavix.numbers.bulk_update(updates, concurrency=TASKS)
    ended, cpu = time.perf_counter(), time.process_time() - cpu
    if report.updated != requests:
        raise RuntimeError(str(report))
    return {"reading": read - began, "sending": ended - read, "cpu": cpu}


async def _apply(wavix: WavixClient, requests: int, path: Path) -> dict[str, float]:
    from wavix_async import NumberUpdate, fleet

    updates = dict.fromkeys(range(server.FIRST_ID, server.FIRST_ID + requests), NumberUpdate(**CHANGE))
    plan = await fleet.plan(wavix, updates)
    assert len(plan) == requests
    read = 0.0

    def follow(progress: fleet.FleetProgress) -> None:
        nonlocal read
        if progress.phase == "checking":
            read = time.perf_counter()

    cpu, began = time.process_time(), time.perf_counter()
    report = await fleet.apply(
        wavix, plan, journal=path, concurrency=TASKS, safety=fleet.Safety(max_fraction=None), on_progress=follow
    )
    ended, cpu = time.perf_counter(), time.process_time() - cpu
    if report.updated != requests:
        raise RuntimeError(str(report))
    size = 0
    for each in path.parent.glob(f"{path.name}*"):
        size += each.stat().st_size
        each.unlink()
    return {"reading": read - began, "sending": ended - read, "cpu": cpu, "journal_bytes": size}


# ------------------------------------------------------------------------------------------------------- a large fleet


def large(what: str, numbers: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Plan, and for `apply` also apply, a fleet of so many rows in a new process."""
    with tempfile.TemporaryDirectory() as place, SandboxProcess() as sandbox:
        file = Path(place) / "fleet.csv"
        distinct = numbers if what == "plan" else 5
        with file.open("w", encoding="utf-8") as stream:
            stream.write("id,transcription_threshold,call_status_url\n")
            for number in range(FIRST, FIRST + numbers):
                stream.write(f"{number},45,https://hooks.example.com/fleet/{number % distinct}\n")
        say(f"{what}: {numbers:,} rows ...")
        url, key = sandbox.begin(numbers=numbers)
        figures: dict[str, Any] = json.loads(ask("fleet", "--large", what, url, key, str(file)))
    return figures


async def _large(what: str, url: str, key: str, file: Path) -> dict[str, Any]:
    from wavix_async import WavixClient, fleet

    figures: dict[str, Any] = {"idle_mb": rss_mb()}

    def note(name: str, began: float) -> None:
        figures[name] = {"seconds": time.perf_counter() - began, "peak_mb": peak_rss_mb()}

    began = time.perf_counter()
    wanted = fleet.read(file)
    note("reading the file", began)
    async with WavixClient(key, base_url=url) as wavix:
        began = time.perf_counter()
        plan = await fleet.plan(wavix, wanted)
        note("planning", began)
        began = time.perf_counter()
        changes = sum(len(change.fields) for change in plan.changes())
        note("the changes, read to their end", began)
        figures |= {"rows": len(wanted), "numbers": len(plan), "changes": changes}
        if what == "apply":
            began = time.perf_counter()
            safety = fleet.Safety(max_fraction=None)
            report = await fleet.apply(wavix, plan, journal=file.with_name("run.sqlite"), batch="auto", safety=safety)
            note("applying in batches", began)
            began = time.perf_counter()
            updated = sum(result.status == "updated" for result in report.results())
            note("the report, read to its end", began)
            if not updated == report.updated == len(plan):
                raise RuntimeError(f"{updated} updated: {report}")
            figures |= {
                "requests": report.requests,
                "journal_mb": file.with_name("run.sqlite").stat().st_size / 1024**2,
            }
    return figures


# -------------------------------------------------------------------------------------------------------------- both


def measure(
    sections: list[str], rounds: int, requests: int, numbers: int, say: Callable[[str], None]
) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for section in sections:
        if section == "journal":
            results[section] = [journal(latency, rounds, requests, say) for latency in LATENCIES]
        else:
            results[section] = large(section, numbers, say)
    return results


def render(results: dict[str, Any]) -> str:
    from benchmarks.report import table

    parts = []
    for figures in results.get("journal", ()):
        rows = [
            [name, *(f"{figures[key][each]:.3f}" for each in ("median", "lowest", "highest"))]
            for name, key in (
                ("sending the changes", "sending"),
                ("reading the account before", "reading"),
                ("both", "whole"),
                ("CPU of both", "cpu"),
            )
        ]
        header = ["apply with a journal / bulk_update", "median", "lowest", "highest"]
        parts.append(
            f"{figures['requests']:,} changes, {TASKS} at a time, {1e3 * figures['latency']:g} ms, "
            f"{figures['rounds']} rounds each: "
            f"{figures['bulk_per_second']:,.0f} and {figures['apply_per_second']:,.0f} changes per second; "
            f"{figures['journal_bytes']:.0f} bytes of journal each\n{table(header, rows)}"
        )
    for section in ("plan", "apply"):
        if figures := results.get(section):
            rows = [
                [name, f"{each['seconds']:.1f}", f"{each['peak_mb']:.0f}"]
                for name, each in figures.items()
                if isinstance(each, dict)
            ]
            more = ""
            if section == "apply":
                more = f"; {figures['requests']:,} requests, a journal of {figures['journal_mb']:.0f} MB"
            header = [f"{figures['rows']:,} rows, {figures['changes']:,} fields to change", "seconds", "peak MB"]
            parts.append(f"{section}: {figures['idle_mb']:.0f} MB when idle{more}\n{table(header, rows)}")
    return "\n\n".join(parts)


def complaints(results: dict[str, Any]) -> list[str]:
    """Return the targets that were missed."""
    found = []
    if (all_figures := results.get("journal")) and (ratio := all_figures[0]["sending"]["median"]) > 1 + COST:
        found.append(f"the journal costs {ratio - 1:.1%} of the time")
    for section in ("plan", "apply"):
        for name, each in results.get(section, {}).items():
            if isinstance(each, dict) and each["peak_mb"] > MEMORY:
                found.append(f"{section}: {name} takes {each['peak_mb']:.0f} MB")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help="requests in each round of `journal`")
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="numbers in the fleets of `plan` and `apply`")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--work", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--large", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, url, requests, place = options.work
        try:
            asyncio.run(_work(name, url, int(requests), Path(place)))
        except Exception as failure:
            print(json.dumps({"error": f"{type(failure).__name__}: {failure}"[:300]}), flush=True)
        return
    if options.large:
        what, url, key, file = options.large
        print(json.dumps(asyncio.run(_large(what, url, key, Path(file)))))
        return
    results = measure(
        options.only, options.rounds, options.requests, options.numbers,
        lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    print(render(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    missed = complaints(results)
    print("\n".join(missed))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
