"""A nightly job with the vendor's SDK: new call URLs for the support numbers, a message to each customer, recordings.

pip install wavix-python-sdk==1.1.1; python -m examples.from_vendor.before customers.csv exports

`after.py` does the same with wavix_async.
"""

import asyncio
import csv
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from wavix import AsyncWavix, MessageBody
from wavix.core.api_error import ApiError

CALL_STATUS_URL = "https://calls.example.com/status"
TEXT = "Our support is closed tomorrow."


def base_url() -> str:
    return os.environ.get("WAVIX_BASE_URL", "https://api.wavix.com")


async def change_numbers(wavix: AsyncWavix) -> None:
    numbers, page = [], 1
    while True:
        answer = await wavix.numbers.list(label="Support", page=page, per_page=100)
        numbers += answer.items
        if page >= answer.pagination.total_pages:
            break
        page += 1
    free = asyncio.Semaphore(16)
    failed = []

    async def change(number_id: int) -> None:
        async with free:
            for attempt in range(5):
                try:
                    await wavix.numbers.update(number_id, call_status_url=CALL_STATUS_URL)
                    return
                except (ApiError, httpx.HTTPError) as error:
                    status = getattr(error, "status_code", None)
                    if attempt == 4 or (status is not None and status != 429 and status < 500):
                        failed.append((number_id, error))
                        return
                    await asyncio.sleep(2**attempt)

    await asyncio.gather(*(change(number.id) for number in numbers))
    print(len(numbers) - len(failed), "of", len(numbers), "numbers changed")
    for number_id, error in failed:
        print(number_id, type(error).__name__)


async def send_messages(wavix: AsyncWavix, customers: dict[str, str], journal: Path) -> None:
    done = set(journal.read_text().split()) if journal.exists() else set()
    ids = []
    with journal.open("a") as log:
        for customer, phone in customers.items():
            if customer in done:
                continue
            # Before the request: after a crash, the customer gets no second message, but perhaps none at all.
            print(customer, file=log, flush=True)
            try:
                # Without this option, the SDK sends the message again when the answer is lost.
                sent = await wavix.sms_and_mms.messages.send(
                    from_="Acme",
                    to=phone,
                    message_body=MessageBody(text=TEXT),
                    request_options={"max_retries": 0},
                )
                ids.append(sent.message_id)
            except (ApiError, httpx.HTTPError) as error:
                print(customer, "perhaps not sent:", type(error).__name__)
    delivered = 0
    for message_id in ids:
        for _ in range(60):
            message = await wavix.sms_and_mms.messages.get(message_id)
            if message.status not in ("accepted", "pending", "sent"):
                delivered += message.status == "delivered"
                break
            await asyncio.sleep(10)
    print(len(ids), "messages accepted,", delivered, "delivered")


async def save_recordings(wavix: AsyncWavix, transport: httpx.AsyncClient, folder: Path) -> None:
    day = datetime.now(UTC).date() - timedelta(days=1)
    folder.mkdir(parents=True, exist_ok=True)
    calls, page, saved = [], 1, 0
    while True:
        answer = await wavix.call_recording.list(from_date=day, to_date=day, page=page, per_page=100)
        calls += [recording.call_uuid for recording in answer.recordings or ()]
        if page >= answer.pagination.total_pages:
            break
        page += 1
    for call_id in calls:
        path = folder / f"{call_id}.mp3"
        if path.exists():
            continue
        # `call_recording.get_by_call` does not return the file, so this request goes past the SDK.
        url, headers = (
            f"{base_url()}/v1/recordings/{call_id}",
            {"Authorization": f"Bearer {os.environ['WAVIX_API_KEY']}"},
        )
        answer = await transport.get(url, headers=headers, follow_redirects=True)
        answer.raise_for_status()
        part = path.with_suffix(".part")
        part.write_bytes(answer.content)
        part.rename(path)
        saved += 1
    print(saved, "recordings saved")


async def main(customers: Path, folder: Path) -> None:
    async with httpx.AsyncClient(timeout=30) as transport:
        wavix = AsyncWavix(token=os.environ["WAVIX_API_KEY"], base_url=base_url(), httpx_client=transport)
        await change_numbers(wavix)
        with customers.open(newline="") as file:
            await send_messages(wavix, dict(csv.reader(file)), folder.with_suffix(".sent"))
        await save_recordings(wavix, transport, folder)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
