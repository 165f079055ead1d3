"""600 updates against the sandbox, on real sockets: under a rate limit, and under faults.

The sandbox and every client have a process of their own. What the client says of itself is held against the sandbox's
state: an update that was reported and is not there is lost, one that is there and was reported as failed is a false
failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.process import ask, start
from benchmarks.report import table

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

ITEMS, WORKERS = 600, 32
RATE, BURST = 100, 10
IDEAL = (ITEMS - BURST) / RATE
CHANGE = {"sms_enabled": True}

LIMIT = {"rate": RATE, "burst": BURST}
FAULTS = {
    "reset_before": 0.02,
    "reset_after": 0.02,
    "half_body": 0.02,
    "garbage": 0.01,
    "status_500": 0.024,
    "status_502": 0.023,
    "status_503": 0.023,
}


@dataclass(frozen=True)
class Scenario:
    title: str
    client: str
    sandbox: dict[str, Any]
    options: dict[str, Any] = field(default_factory=dict)


WITH_HEADER = {**LIMIT, "retry_after": 1.0}
SCENARIOS = {
    "limits": [
        Scenario("wavix_async, Retry-After: 1", "ours", WITH_HEADER),
        Scenario("wavix_async, no header", "ours", {**LIMIT, "retry_after": None}),
        Scenario("wavix_async, rate=95", "ours", WITH_HEADER, {"rate": 95}),
        Scenario("vendor SDK, aiohttp", "vendor", WITH_HEADER),
        Scenario("aiohttp in a loop", "naive", WITH_HEADER),
    ],
    "faults": [
        Scenario("wavix_async", "ours", {"faults": FAULTS}),
        Scenario("vendor SDK, aiohttp", "vendor", {"faults": FAULTS}),
        Scenario("aiohttp in a loop", "naive", {"faults": FAULTS}),
    ],
}


# ------------------------------------------------------------------------------------------------------------ measuring


def measure(what: str, runs: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Play every scenario `runs` times, each time with another seed, in turn."""
    heard: dict[str, list[dict[str, Any]]] = {scenario.title: [] for scenario in SCENARIOS[what]}
    for run in range(runs):
        for scenario in SCENARIOS[what]:
            say(f"run {run + 1} of {runs}: {scenario.title}")
            heard[scenario.title].append(_play(scenario, seed=run))
    return {"what": what, "runs": runs, "scenarios": heard}


def _play(scenario: Scenario, seed: int) -> dict[str, Any]:
    try:
        with _sandbox({"numbers": ITEMS, "seed": seed, **scenario.sandbox}) as (url, key, look):
            arguments = {"url": url, "key": key, "client": scenario.client, "ids": look()["ids"], **scenario.options}
            report = json.loads(ask("live", "client", json.dumps(arguments)))
            seen = look()
    except RuntimeError as error:
        return {"error": str(error)}
    reported, changed = set(report["updated"]), set(seen["changed"])
    return {
        "updated": len(reported),
        "not_updated": ITEMS - len(reported),
        "changed": len(changed),
        "lost": len(reported - changed),
        "false_failures": len(changed - reported),
        "requests": seen["requests"],
        "refused": seen["refused"],
        "faults": seen["faults"],
        "seconds": report["seconds"],
        "errors": report["errors"],
    }


@contextlib.contextmanager
def _sandbox(options: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[], dict[str, Any]]]]:
    process = start("live", "sandbox", json.dumps(options))
    assert process.stdin
    assert process.stdout
    out, into = process.stdout, process.stdin

    def look() -> dict[str, Any]:
        into.write("look\n")
        into.flush()
        seen: dict[str, Any] = json.loads(out.readline())
        return seen

    try:
        opened = json.loads(out.readline() or "null")
        if opened is None:
            raise RuntimeError("the sandbox did not start, see above")
        yield opened["url"], opened["key"], look
    finally:
        into.close()
        process.wait(timeout=10)
        out.close()


# ------------------------------------------------------------------------------------------------------------- showing


def render(results: dict[str, Any]) -> str:
    """Medians, and the worst of all runs where it matters."""
    if results["what"] == "limits":
        title = (
            f"{ITEMS} updates, {WORKERS} at a time, server allows {RATE}/s with a burst of {BURST} (ideal: {IDEAL} s)"
        )
        header = ["", "updated", "failed", "lost", "requests", "429s", "worst", "seconds", "of ideal", "worst"]
        row = _limits_row
    else:
        share = sum(FAULTS.values())
        title = f"{ITEMS} updates, {WORKERS} at a time, {share:.0%} faults: " + ", ".join(
            f"{kind} {chance:.1%}" for kind, chance in FAULTS.items()
        )
        header = ["", "reported", "really", "false failures", "lost", "requests", "faults", "seconds"]
        row = _faults_row
    rows, notes = [], []
    for name, runs in results["scenarios"].items():
        failed = next((run["error"] for run in runs if "error" in run), None)
        rows.append([name, f"FAILED: {failed}"] if failed else row(name, runs))
        notes += [f"{name}: {error} ({times}x)" for error, times in ({} if failed else runs[-1]["errors"]).items()]
    how = f"medians of {results['runs']} runs, seeds 0 to {results['runs'] - 1}; lost: reported as updated, and not so"
    text = f"{title}\n{how}\n\n{table(header, rows)}"
    return text + ("\n\nWhat failed in the last run:\n" + "\n".join(notes) if notes else "")


def _limits_row(name: str, runs: list[dict[str, Any]]) -> list[str]:
    shares = [run["refused"] / run["requests"] for run in runs]
    times = [run["seconds"] for run in runs]
    complete = all(run["updated"] == ITEMS for run in runs)
    return [
        name,
        _median(runs, "updated"),
        _median(runs, "not_updated"),
        f"{max(run['lost'] for run in runs)}",
        _median(runs, "requests"),
        f"{statistics.median(shares):.1%}",
        f"{max(shares):.1%}",
        f"{statistics.median(times):.2f}",
        # The time of a run that gave up says nothing.
        f"{statistics.median(times) / IDEAL:.2f}x" if complete else "-",
        f"{max(times) / IDEAL:.2f}x" if complete else "-",
    ]


def _faults_row(name: str, runs: list[dict[str, Any]]) -> list[str]:
    keys = ("updated", "changed", "false_failures", "lost", "requests")
    faults = statistics.median(sum(run["faults"].values()) for run in runs)
    return [
        name,
        *(_median(runs, key) for key in keys),
        f"{faults:g}",
        f"{statistics.median(run['seconds'] for run in runs):.2f}",
    ]


def _median(runs: list[dict[str, Any]], key: str) -> str:
    return f"{statistics.median(run[key] for run in runs):g}"


# ----------------------------------------------------------------------------------------------------- in the processes


async def _serve(options: dict[str, Any]) -> None:
    from wavix_async.sandbox import Faults, Sandbox

    faults = Faults(**options.pop("faults", {}))
    loop = asyncio.get_running_loop()
    async with Sandbox(**options, faults=faults) as sandbox:
        print(json.dumps({"url": sandbox.url, "key": sandbox.api_key}), flush=True)
        while await loop.run_in_executor(None, sys.stdin.readline):
            stats, numbers = sandbox.stats, dict(sandbox.numbers)
            seen = {
                "ids": list(numbers),
                "changed": [number for number, state in numbers.items() if state["sms_enabled"]],
                "requests": stats.requests,
                "refused": stats.refused,
                "faults": stats.faults,
            }
            print(json.dumps(seen), flush=True)


async def _run(client: str, **options: Any) -> dict[str, Any]:
    async with CLIENTS[client](**options) as change:
        clock = time.perf_counter()
        updated, errors = await change()
        return {"updated": updated, "errors": errors, "seconds": time.perf_counter() - clock}


Outcome = tuple[list[int], dict[str, int]]


@contextlib.asynccontextmanager
async def _ours(
    url: str, key: str, ids: list[int], rate: float | None = None
) -> AsyncIterator[Callable[[], Awaitable[Outcome]]]:
    from wavix_async import NumberUpdate, WavixClient

    async def change() -> Outcome:
        updated, errors = [], {}
        async for result in wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(**CHANGE)), concurrency=WORKERS):
            if result.status == "updated":
                updated.append(result.id)
            else:
                words = f"{result.status}: {type(result.error).__name__}"
                errors[words] = errors.get(words, 0) + 1
        return updated, errors

    async with WavixClient(key, base_url=url, rate=rate) as wavix:
        yield change


@contextlib.asynccontextmanager
async def _vendor(url: str, key: str, ids: list[int]) -> AsyncIterator[Callable[[], Awaitable[Outcome]]]:
    from wavix import AsyncWavix, DefaultAioHttpClient

    async with DefaultAioHttpClient() as transport:
        wavix = AsyncWavix(token=key, base_url=url, httpx_client=transport)
        yield lambda: _try_each(lambda number: wavix.numbers.update(number, **CHANGE), ids)


@contextlib.asynccontextmanager
async def _naive(url: str, key: str, ids: list[int]) -> AsyncIterator[Callable[[], Awaitable[Outcome]]]:
    import aiohttp

    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

        async def change_one(number: int) -> None:
            async with session.patch(f"{url}/v1/numbers/{number}", json=CHANGE) as response:
                response.raise_for_status()
                await response.json()

        yield lambda: _try_each(change_one, ids)


async def _try_each(change_one: Callable[[int], Awaitable[object]], ids: Iterable[int]) -> Outcome:
    waiting = iter(ids)
    updated: list[int] = []
    errors: dict[str, int] = {}

    async def work() -> None:
        for number in waiting:
            try:
                await change_one(number)
            except Exception as error:
                words = f"{type(error).__name__} {getattr(error, 'status_code', None) or getattr(error, 'status', '')}"
                errors[words.strip()] = errors.get(words.strip(), 0) + 1
            else:
                updated.append(number)

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    return updated, errors


CLIENTS = {"ours": _ours, "vendor": _vendor, "naive": _naive}


if __name__ == "__main__":
    role, arguments = sys.argv[1], json.loads(sys.argv[2])
    if role == "sandbox":
        asyncio.run(_serve(arguments))
    else:
        print(json.dumps(asyncio.run(_run(**arguments))))
