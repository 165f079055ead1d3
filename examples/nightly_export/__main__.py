"""Run the nightly export against a local Wavix simulator with some calls of the last days.

python -m examples.nightly_export

No request leaves the machine. A second run with the same `--to` saves nothing again.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from examples.nightly_export.export import export_days, yesterday
from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox

ABOUT = "Run the nightly export against a local Wavix simulator."


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.nightly_export", description=ABOUT)
    parser.add_argument("--calls", type=int, default=300, help="calls of the account (default: 300)")
    parser.add_argument("--days", type=int, default=2, help="how many days (default: 2)")
    parser.add_argument(
        "--faults", type=float, default=0.0, help="share of requests that fail, from 0 to 1 (default: 0)"
    )
    parser.add_argument("--to", type=Path, help="the folder (default: a new one)")
    arguments = parser.parse_args()
    folder = arguments.to or Path(tempfile.mkdtemp(prefix="wavix-export-"))
    async with (
        Sandbox(numbers=0, cdrs=arguments.calls, faults=arguments.faults) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
    ):
        done = await export_days(wavix, yesterday(), arguments.days, folder)
    print(f"saved to {folder}")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
