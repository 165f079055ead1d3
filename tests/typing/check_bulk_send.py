"""What the type checkers make of `messages.bulk_send`. Never run: mypy --strict and pyright read it."""

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import assert_type

from wavix_async import BulkReport, BulkResult, BulkRun, WavixClient
from wavix_async.models import Message, MessageCreate


async def keys(
    wavix: WavixClient,
    message: MessageCreate,
    key: str,
    by_order: dict[str, MessageCreate],
    pairs: Iterator[tuple[str, dict[str, object]]],
    later: AsyncIterator[tuple[int, MessageCreate]],
) -> None:
    assert_type(wavix.messages.bulk_send(by_order), BulkRun[str, Message])
    assert_type(wavix.messages.bulk_send(pairs), BulkRun[str, Message])
    assert_type(wavix.messages.bulk_send(later), BulkRun[int, Message])
    assert_type(wavix.messages.bulk_send([(key, message)]), BulkRun[str, Message])
    assert_type(wavix.messages.bulk_send([message]), BulkRun[int, Message])
    assert_type(wavix.messages.bulk_send({"from": "Acme", "to": each} for each in "12"), BulkRun[int, Message])


async def report(wavix: WavixClient, messages: list[MessageCreate]) -> None:
    run = wavix.messages.bulk_send(messages, concurrency=8, tag_each=False, journal=Path("run"), failures_to="f.csv")
    report = await run
    assert_type(report, BulkReport[int, Message])
    assert_type(report.charged, Decimal)
    assert_type(report.without_charge, int)
    async for result in wavix.messages.bulk_send(messages, journal="run", on_progress=print):
        assert_type(result, BulkResult[int, Message])
        assert_type(result.value, Message | None)


def wrong(wavix: WavixClient, message: MessageCreate) -> None:
    wavix.messages.bulk_send(5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    wavix.messages.bulk_send({1.5: message})  # type: ignore[type-var]  # pyright: ignore[reportCallIssue, reportArgumentType]
    wavix.messages.bulk_send([message], journal=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
