"""`wavix-async sandbox`: a local Wavix that runs until Ctrl-C."""

import asyncio
import signal
import sys
from typing import Final

from rich.text import Text

from wavix_async.cli._console import err, show_facts, write_json
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._options import Json
from wavix_async.cli._runner import on_signal
from wavix_async.sandbox import Sandbox, SandboxStats

__all__ = ["sandbox"]

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def sandbox(
    *,
    port: int = 8080,
    numbers: int = 1000,
    rate: float | None = None,
    burst: int | None = None,
    faults: float = 0.0,
    latency: float = 0.0,
    seed: int = 0,
    as_json: Json = False,
) -> None:
    """Run a local Wavix with its state in memory, until Ctrl-C.

    It prints the two lines that point a shell to it: eval them, or copy them.

    Args:
        port: The port on 127.0.0.1; 0 takes a free one.
        numbers: How many phone numbers the account owns; their ids begin at 1001.
        rate: Requests per second that are let in [default: no limit].
        burst: How many requests may come at once [default: a tenth of the rate].
        faults: Share of requests hit by a fault (connection resets, cut and broken answers, 5xx), from 0 to 1.
        latency: Seconds before a request is carried out.
        seed: Another seed gives other data and other faults.
        as_json: Print URL and key as one JSON object.
    """
    try:
        local_wavix = Sandbox(numbers, rate, burst, faults, latency, seed, port=port)
    except ValueError as error:
        raise Quit(ExitCode.USAGE, f"{error}.") from None
    asyncio.run(_serve(local_wavix, port, as_json=as_json))


async def _serve(local_wavix: Sandbox, port: int, *, as_json: bool) -> None:
    try:
        await local_wavix.start()
    except OSError as error:
        raise Quit(
            ExitCode.USAGE, f"Cannot listen on port {port}: {error.strerror}; --port 0 takes a free one."
        ) from None
    console, stop_event = err(), asyncio.Event()
    started_at = asyncio.get_running_loop().time()
    try:
        with on_signal(stop_event.set, *_STOP_SIGNALS):
            if as_json:
                write_json({"url": local_wavix.url, "api_key": local_wavix.api_key})
            else:
                sys.stdout.write(
                    f"export WAVIX_BASE_URL={local_wavix.url}\nexport WAVIX_API_KEY={local_wavix.api_key}\n"
                )
            sys.stdout.flush()
            ids = f" (ids from {min(local_wavix.numbers)})" if local_wavix.numbers else ""
            console.print(f"A local Wavix with {len(local_wavix.numbers):,} numbers{ids}; Ctrl-C ends it.", style="dim")
            await stop_event.wait()
    finally:
        await local_wavix.stop()
        show_facts(console, "Sandbox", _stats_facts(local_wavix.stats, asyncio.get_running_loop().time() - started_at))


def _stats_facts(stats: SandboxStats, seconds: float) -> dict[str, str | Text]:
    statuses = ", ".join(f"{status} {count:,}" for status, count in sorted(stats.by_status.items()))
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(stats.faults.items()))
    return {
        "Time": f"{seconds:,.1f} s",
        "Requests": f"{stats.requests:,} over {stats.connections:,} connections, at most {stats.max_in_flight} at once",
        "Answers": statuses or "none",
        "Faults": kinds or "none",
        "Changed": f"{len(stats.updates):,} of the numbers",
    }
