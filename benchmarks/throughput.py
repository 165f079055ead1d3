"""Measure requests per second, with the contenders in turn in every round.

Every contender has its own process. The contenders take turns, so that their rounds are close in time: on a shared
machine absolute figures drift by tens of percent within a minute, but ratios of neighbouring rounds do not.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import BARE, CONTENDERS, OURS, VENDOR
from benchmarks.process import peak_rss_mb, start

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FIRST_ID = 1_000_000
WARM_UP = 300


class Worker:
    """Controls the process of one contender."""

    def __init__(self, key: str, url: str) -> None:
        self.key = key
        self.url = url
        self.error: str | None = None
        self.rounds: list[dict[str, float]] = []
        self.peak_rss_mb = 0.0
        self._process = start("throughput", key, url, stderr=subprocess.PIPE)

    def run(self, requests: int, *, keep: bool = True) -> None:
        if self.error:
            return
        assert self._process.stdin
        assert self._process.stdout
        before = _server_cpu(self.url)
        try:
            self._process.stdin.write(f"{requests}\n")
            self._process.stdin.flush()
        except OSError:
            # The process has already ended; its output tells why.
            pass
        answer = json.loads(self._process.stdout.readline() or '{"error": ""}')
        answer["server_cpu"] = _server_cpu(self.url) - before
        if "error" in answer:
            self.error = answer["error"] or self._last_words()
        elif keep:
            self.peak_rss_mb = answer.pop("peak_rss_mb")
            self.rounds.append(answer)

    def close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream and not stream.closed:
                try:
                    stream.close()
                except OSError:
                    pass
        self._process.wait(timeout=10)

    def _last_words(self) -> str:
        assert self._process.stderr
        lines = self._process.stderr.read().strip().splitlines()
        return lines[-1] if lines else f"ended with code {self._process.wait()}"


def measure(
    url: str, keys: Sequence[str], *, rounds: int, requests: int, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Let every contender change `requests` numbers per round; return medians, and ratios to bare aiohttp by round."""
    workers = {key: Worker(key, url) for key in keys}
    try:
        for worker in workers.values():
            worker.run(WARM_UP, keep=False)
        for turn in range(rounds):
            say(f"round {turn + 1} of {rounds}")
            for worker in workers.values():
                worker.run(requests)
    finally:
        for worker in workers.values():
            worker.close()
    return {key: _summary(worker, workers, requests) for key, worker in workers.items()}


def _summary(worker: Worker, workers: dict[str, Worker], requests: int) -> dict[str, Any]:
    title = CONTENDERS[worker.key].title
    if worker.error:
        return {"title": title, "error": worker.error}
    per_second = [requests / turn["seconds"] for turn in worker.rounds]
    summary: dict[str, Any] = {
        "title": title,
        "per_second": statistics.median(per_second),
        "lowest": min(per_second),
        "highest": max(per_second),
        "cpu_us": statistics.median(turn["cpu"] for turn in worker.rounds) / requests * 1e6,
        "server_cpu_us": statistics.median(turn["server_cpu"] for turn in worker.rounds) / requests * 1e6,
        "client_busy": statistics.median(turn["cpu"] / turn["seconds"] for turn in worker.rounds),
        "server_busy": statistics.median(turn["server_cpu"] / turn["seconds"] for turn in worker.rounds),
        "peak_rss_mb": worker.peak_rss_mb,
    }
    bare, vendor = workers[BARE], workers.get(VENDOR)
    if not bare.error:
        summary["ratio"] = 1 / _paired("seconds", worker, bare)
        summary["cpu_ratio"] = _paired("cpu", worker, bare)
    if vendor and not vendor.error and worker.key in OURS:
        summary["over_vendor"] = 1 / _paired("seconds", worker, vendor)
    return summary


def _paired(figure: str, worker: Worker, other: Worker) -> float:
    return statistics.median(
        mine[figure] / theirs[figure] for mine, theirs in zip(worker.rounds, other.rounds, strict=True)
    )


def _server_cpu(url: str) -> float:
    with urllib.request.urlopen(f"{url}/cpu") as response:
        return float(response.read())


async def _work(key: str, url: str) -> None:
    loop = asyncio.get_running_loop()
    async with CONTENDERS[key].prepare(url) as change:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            requests = int(line)
            cpu, clock = time.process_time(), time.perf_counter()
            done = await change(range(FIRST_ID, FIRST_ID + requests))
            seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
            if done != requests:
                raise RuntimeError(f"only {done} of {requests} numbers were changed")
            print(json.dumps({"seconds": seconds, "cpu": cpu, "peak_rss_mb": peak_rss_mb()}), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(_work(*sys.argv[1:]))
    except Exception as failure:
        print(json.dumps({"error": f"{type(failure).__name__}: {failure}"[:300]}), flush=True)
