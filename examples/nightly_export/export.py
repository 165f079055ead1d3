"""Export the calls and recordings of the last days to disk. Run it every night; it goes on where it has ended.

python -m examples.nightly_export.export /var/exports --days 7

It needs WAVIX_API_KEY. Each day gets a folder: `placed.csv` and `received.csv` with the CDRs, `recordings/` with a file
for each recorded call, `failures.csv` with the recordings that could not be saved. The exit code is 1 if there are any.
"""

import argparse
import asyncio
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from wavix_async import WavixClient
from wavix_async.models import CallType, RecordingList

ABOUT = "Export the calls and recordings of the last days to disk."


async def export_day(wavix: WavixClient, day: date, folder: Path) -> bool:
    """Export one day, and return whether everything is there."""
    folder = folder / day.isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    for kind in (CallType.PLACED, CallType.RECEIVED):
        table = folder / f"{kind.value}.csv"
        # A table is there as a whole or not at all.
        if not table.exists():
            # Without a disposition, the API would return the answered calls only.
            saved = await wavix.cdrs.export(from_=day, to=day, type=kind, disposition="all").save(table)
            print(f"{day} {saved.rows:>6} calls {kind.value}", flush=True)
    # The recordings that are there already are skipped.
    report = await wavix.recordings.download_all(
        RecordingList(from_date=day, to_date=day), to=folder / "recordings", failures_to=folder / "failures.csv"
    )
    before = f"{report.skipped} of them from before" if report.skipped else "all new"
    print(f"{day} {report.succeeded:>6} recordings, {before}; {report.failed} failed", flush=True)
    if report.stopped_by is not None:
        print(f"{day} stopped early: {report.stopped_by}", file=sys.stderr)
    return report.succeeded == report.total


async def export_days(wavix: WavixClient, last: date, days: int, folder: Path) -> bool:
    """Export some days, and return whether everything is there."""
    done = [await export_day(wavix, last - timedelta(days=ago), folder) for ago in reversed(range(days))]
    return all(done)


def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m examples.nightly_export.export", description=ABOUT)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=1, help="how many days (default: 1)")
    parser.add_argument(
        "--last", type=date.fromisoformat, default=yesterday(), help="the last of them (default: yesterday)"
    )
    arguments = parser.parse_args()
    async with WavixClient() as wavix:
        done = await export_days(wavix, arguments.last, arguments.days, arguments.folder)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
