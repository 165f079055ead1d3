"""Try the service with a local Wavix simulator that has a rate limit and faults. It needs no key and no network.

python -m examples.fleet_service --numbers 2000 --rate 100
"""

import argparse
import asyncio
import os
import socket
import tempfile

import uvicorn

from wavix_async.sandbox import Sandbox


async def serve(numbers: int, rate: float, faults: float, port: int) -> None:
    """Run the sandbox and the service in one process, until Ctrl-C."""
    # The API rejects SMS for the few foreign numbers, so the report has failures to show.
    sandbox = Sandbox(numbers, rate=rate, faults=faults, latency=(0.02, 0.08), foreign=0.02)
    with tempfile.TemporaryDirectory() as jobs, socket.create_server(("127.0.0.1", port)) as listener:
        async with sandbox:
            os.environ |= {"WAVIX_API_KEY": sandbox.api_key, "WAVIX_BASE_URL": sandbox.url, "FLEET_JOBS": jobs}
            config = uvicorn.Config("examples.fleet_service.app:app", log_level="warning")
            print(f"{numbers:,} numbers, {rate:g} requests/s: http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
            await uvicorn.Server(config).serve(sockets=[listener])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.fleet_service", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=8000, help="the port on 127.0.0.1 (default: 8000)")
    parser.add_argument("--numbers", type=int, default=2000, help="how many numbers the account has (default: 2000)")
    parser.add_argument(
        "--rate", type=float, default=100, help="how many requests per second the sandbox accepts (default: 100)"
    )
    parser.add_argument("--faults", type=float, default=0.03, help="the share of requests that fail (default: 0.03)")
    given = parser.parse_args()
    try:
        asyncio.run(serve(given.numbers, given.rate, given.faults, given.port))
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError) as error:  # the port is in use, or an option is out of range
        parser.error(str(error))


if __name__ == "__main__":
    main()
