"""Measure how much memory a bulk update from an async generator needs above that of the idle process.

Every item succeeds; then every item fails, with small error bodies and with bodies of 10 kB (a tenth of the items).

python -m benchmarks.memory [--items 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import KEY, TASKS
from benchmarks.payload import CHANGE
from benchmarks.process import ask, peak_rss_mb, rss_mb
from tests.support import failing_bulk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


ITEMS = 100_000
LARGE = 10_000
"""Bytes of a large error body."""


def measure(url: str, items: int = ITEMS) -> list[dict[str, Any]]:
    """Return the peak memory of new processes that change `items` numbers: all changes succeed, or all fail."""
    few = max(1, items // 10)
    cases = [
        ("all succeed", items, lambda: json.loads(ask("memory", "--url", url, "--items", str(items)))),
        ("all fail", items, lambda: failing_bulk.measure(items, 0)),
        ("all fail, error bodies of 10 kB", few, lambda: failing_bulk.measure(few, LARGE)),
    ]
    measured = []
    for title, count, run in cases:
        try:
            measured.append({"title": title, **run()})
        except RuntimeError as error:
            measured.append({"title": title, "items": count, "error": str(error)})
    return measured


async def _run(url: str, items: int) -> dict[str, Any]:
    from wavix_async import NumberUpdate, WavixClient

    async def updates() -> AsyncIterator[tuple[int, NumberUpdate]]:
        for number in range(1, items + 1):
            yield number, NumberUpdate(**CHANGE)

    async with WavixClient(KEY, base_url=url) as wavix:
        gc.collect()
        idle, clock = rss_mb(), time.perf_counter()
        report = await wavix.numbers.bulk_update(updates(), concurrency=TASKS)
        seconds = time.perf_counter() - clock
        report.raise_for_failures()
        if report.updated != items:
            raise RuntimeError(f"{report.updated} of {items} were updated")
        peak = peak_rss_mb()
    return {
        "items": items,
        "idle_mb": idle,
        "peak_mb": peak,
        "above_idle_mb": peak - idle,
        "seconds": seconds,
        "per_second": items / seconds,
    }


def main() -> None:
    from benchmarks import report, server

    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.url:
        print(json.dumps(asyncio.run(_run(options.url, options.items))))
        return
    with server.running() as url:
        results = measure(url, options.items)
    print("\n".join(report.render_memory(results)))
    sys.exit(1 if any("error" in each for each in results) else 0)


if __name__ == "__main__":
    main()
