"""`wavix-async sandbox`: run a local Wavix simulator until Ctrl-C."""

import asyncio
import sys

from rich.text import Text

from wavix_async.cli._console import err, show_facts, write_json
from wavix_async.cli._exit import ExitCode, Quit
from wavix_async.cli._options import Json, Positive, Share, with_option_names
from wavix_async.cli._output import format_count
from wavix_async.cli._runner import on_stop_signal
from wavix_async.sandbox import Sandbox, SandboxStats

__all__ = ["sandbox"]


def sandbox(
    *,
    port: int = 8080,
    numbers: int = 1000,
    rate: Positive | None = None,
    burst: int | None = None,
    faults: Share = 0.0,
    latency: float = 0.0,
    seed: int = 0,
    cdrs: int = 0,
    balance: str | None = None,
    as_json: Json = False,
) -> None:
    """Run a local Wavix simulator for tests, until Ctrl-C.

    The server keeps its data in memory. It prints two `export` lines with its URL and key: paste them into another
    shell, and the commands there use this server.

    Example: `wavix-async sandbox --numbers 50 --cdrs 600`

    Args:
        port: The port on 127.0.0.1; 0 picks a free port.
        numbers: How many phone numbers the account has; their ids start at 1001.
        rate: How many requests per second the server accepts [default: no limit].
        burst: How many requests the server accepts at once [default: a tenth of the rate].
        faults: The share of requests that fail (connection reset, truncated or broken response, 5xx), from 0 to 1.
        latency: Seconds before the server handles a request.
        seed: Seed for the data and the faults.
        cdrs: How many calls of the past the account has, one every 17 minutes, most of them with a recording.
        balance: USD of the account; what costs more than is left is refused [default: more than enough].
        as_json: Print the URL and the key as one JSON object.
    """
    if burst is not None and rate is None:
        raise Quit(ExitCode.USAGE, "--burst needs --rate: give the number of requests per second.")
    try:
        local_wavix = Sandbox(numbers, rate, burst, faults, latency, seed, cdrs=cdrs, balance=balance, port=port)
    except ValueError as error:
        raise Quit(ExitCode.USAGE, with_option_names(f"{error}.")) from None
    asyncio.run(_serve(local_wavix, port, as_json=as_json))


async def _serve(local_wavix: Sandbox, port: int, *, as_json: bool) -> None:
    try:
        await local_wavix.start()
    except OSError as error:
        raise Quit(
            ExitCode.USAGE, f"Cannot listen on port {port}: {error.strerror}. Use --port 0 to pick a free port."
        ) from None
    console, stop_event = err(), asyncio.Event()
    started_at = asyncio.get_running_loop().time()
    try:
        with on_stop_signal(lambda _: stop_event.set()):
            if as_json:
                write_json({"url": local_wavix.url, "api_key": local_wavix.api_key})
            else:
                sys.stdout.write(
                    f"export WAVIX_BASE_URL={local_wavix.url}\nexport WAVIX_API_KEY={local_wavix.api_key}\n"
                )
            sys.stdout.flush()
            ids = f" (ids from {min(local_wavix.numbers)})" if local_wavix.numbers else ""
            numbers = format_count(len(local_wavix.numbers))
            console.print(
                f"A local Wavix simulator with {numbers}{ids} is running; press Ctrl-C to stop it.", style="dim"
            )
            service, *_ = local_wavix.two_fa_services
            console.print(f"Its 2FA service has the id {service}.", style="dim", soft_wrap=True)
            await stop_event.wait()
    finally:
        await local_wavix.stop()
        show_facts(console, "Sandbox", _stats_facts(local_wavix.stats, asyncio.get_running_loop().time() - started_at))


def _stats_facts(stats: SandboxStats, seconds: float) -> dict[str, str | Text]:
    statuses = ", ".join(f"{status} {count:,}" for status, count in sorted(stats.by_status.items()))
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(stats.faults.items()))
    return {
        "Time": f"{seconds:,.1f} s",
        "Requests": f"{stats.requests:,} over {stats.connections:,} connections, "
        f"at most {stats.max_in_flight} in flight at once",
        "Responses": statuses or "none",
        "Faults": kinds or "none",
        "Changed": format_count(len(stats.updates)),
    }
