"""Change a fleet with several worker processes that share one rate limit, against a local Wavix simulator.

    python examples/scaling/run.py --numbers 1000 --workers 4 --rate 200

It needs `pip install '.[redis]' taskiq taskiq-redis` and a Redis server: set REDIS_URL, or let this script
start `redis-server` and stop it at the end. For the live API, start the workers as `tasks.py` describes, and reuse the
function `change`.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wavix_async.sandbox import Sandbox

HERE = Path(__file__).parent
CHUNK = 50
"""Numbers in a task. A task is a few seconds of work: when a worker dies, all of its task is repeated."""
ROUNDS = 3
"""How many times the workers get the numbers that are not sent or unknown."""
CHANGES = {"sms_enabled": True, "call_status_url": "https://example.com/status"}


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """Yield the URL of a Redis server; start one unless REDIS_URL is set."""
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is not installed: install it, or set REDIS_URL.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(  # noqa: S603 - a fixed command
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""], stdout=subprocess.DEVNULL
    )
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def workers(count: int, environment: dict[str, str]) -> Iterator[None]:
    """Run taskiq workers until the block ends."""
    command = [sys.executable, "-m", "taskiq", "worker", "tasks:broker", "--workers", str(count)]
    options = ["--max-async-tasks", "1", "--max-prefetch", "1", "--log-level", "WARNING"]
    process = subprocess.Popen([*command, *options], cwd=HERE, env={**os.environ, **environment})  # noqa: S603 - a fixed command
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def change(
    ids: Sequence[int], changes: dict[str, Any], patience: float = 600.0
) -> tuple[dict[int, str], Counter[str], set[int]]:
    """Split a fleet into chunks, let the workers change them, and collect the result of each number.

    Args:
        ids: The ids of the numbers.
        changes: The fields of `NumberUpdate`.
        patience: How many seconds to wait for the result of a chunk: its worker may be dead.

    Returns:
        The result of each number (`updated`, `failed`, `unknown` or `not_sent`), the counts of the errors by class,
        and the ids of the worker processes.
    """
    import tasks

    ends = dict.fromkeys(ids, "not_sent")
    errors: Counter[str] = Counter()
    processes: set[int] = set()
    await tasks.broker.startup()
    try:
        for _ in range(ROUNDS):
            left = [number for number, end in ends.items() if end in {"not_sent", "unknown"}]
            chunks = [left[start : start + CHUNK] for start in range(0, len(left), CHUNK)]
            begun = [(chunk, await tasks.change_numbers.kiq(chunk, changes)) for chunk in chunks]
            for chunk, task in begun:
                try:
                    result = await task.wait_result(check_interval=0.1, timeout=patience)
                    result.raise_for_error()
                except Exception as error:
                    # Without a result, any part of the chunk may be done. It is safe to send a change again.
                    ends.update(dict.fromkeys(chunk, "unknown"))
                    errors[type(error).__name__] += 1
                else:
                    said = result.return_value
                    ends.update({int(number): end for number, end in said["ends"].items()})
                    errors.update(said["errors"])
                    processes.add(said["worker"])
    finally:
        await tasks.broker.shutdown()
    return ends, errors, processes


async def main(numbers: int, count: int, rate: float) -> int:
    # The server allows 5 % more than the workers' rate: leave the same margin to the limit of the live API.
    async with Sandbox(numbers=numbers, rate=rate * 1.05, latency=(0.02, 0.06)) as sandbox:
        with redis_server() as redis:
            environment = {
                "REDIS_URL": redis,
                "WAVIX_RATE": str(rate),
                "WAVIX_BASE_URL": sandbox.url,
                "WAVIX_API_KEY": sandbox.api_key,
            }
            os.environ.update(environment)
            with workers(count, environment):
                ids = list(sandbox.numbers)
                ends, errors, processes = await change(ids, CHANGES)
        first, last = sandbox.requests[0].at, sandbox.requests[-1].at
        print(f"{len(ids)} numbers, {len(processes)} of {count} workers: {dict(Counter(ends.values()))}")
        print(f"errors: {dict(errors) or 'none'}")
        print(
            f"{len(sandbox.requests) / (last - first):.0f} requests per second, {sandbox.stats.refused} throttled (429)"
        )
        wrong = [
            number
            for number, end in ends.items()
            if (end == "updated") != all(sandbox.numbers[number][name] == value for name, value in CHANGES.items())
        ]
        print(f"wrong results (the account differs from the report): {len(wrong)}")
        return 0 if not wrong and set(ends.values()) == {"updated"} else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, default=1000, help="how many numbers to change (default: 1000)")
    parser.add_argument("--workers", type=int, default=4, help="how many worker processes to start (default: 4)")
    parser.add_argument(
        "--rate", type=float, default=200.0, help="requests per second for all workers together (default: 200)"
    )
    options = parser.parse_args()
    sys.exit(asyncio.run(main(options.numbers, options.workers, options.rate)))
