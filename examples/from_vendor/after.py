"""The nightly job of `before.py` with wavix_async.

python -m examples.from_vendor.after customers.csv exports
"""

import asyncio
import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wavix_async import NumberUpdate, WavixClient
from wavix_async.models import MessageCreate, RecordingList

CHANGE = NumberUpdate(call_status_url="https://calls.example.com/status")
TEXT = "Our support is closed tomorrow."


async def change_numbers(wavix: WavixClient) -> None:
    changes = {number.id: CHANGE async for number in wavix.numbers.list(label="Support")}
    report = await wavix.numbers.bulk_update(changes, concurrency=16)
    print(report.updated, "of", report.total, "numbers changed")
    for result in report.failures:
        print(result.id, result.status, result.error)


async def send_messages(wavix: WavixClient, customers: dict[str, str], journal: Path) -> None:
    items = {customer: MessageCreate(from_="Acme", to=phone, text=TEXT) for customer, phone in customers.items()}
    delivered, run = 0, wavix.messages.bulk_send(items, journal=journal)
    async for result in run:
        if result.ok and result.value is not None:  # a run that goes on after a crash has no value for the ones before
            delivered += (await wavix.messages.wait(result.value.message_id)).status == "delivered"
        elif not result.ok:
            print(result.id, result.status, result.error)
    print(run.report.succeeded, "messages accepted,", delivered, "delivered, for", run.report.charged, "USD")


async def save_recordings(wavix: WavixClient, folder: Path) -> None:
    day = datetime.now(UTC).date() - timedelta(days=1)
    report = await wavix.recordings.download_all(RecordingList(from_date=day, to_date=day), to=folder)
    print(report.succeeded - report.skipped, "recordings saved")


async def main(customers: Path, folder: Path) -> None:
    async with WavixClient() as wavix:  # WAVIX_API_KEY, WAVIX_BASE_URL
        await change_numbers(wavix)
        with customers.open(newline="") as file:
            await send_messages(wavix, dict(csv.reader(file)), folder.with_suffix(".sqlite"))
        await save_recordings(wavix, folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
