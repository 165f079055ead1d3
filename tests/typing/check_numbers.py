"""What the type checkers make of the public face. Never run: mypy --strict and pyright read it.

A wrong call carries an ignore of its own; the checkers complain about an ignore that is not needed, so a call that
becomes acceptable by mistake fails the check.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_type

from wavix_async import (
    UNSET,
    BulkError,
    BulkProgress,
    BulkReport,
    BulkResult,
    BulkRun,
    BulkStatus,
    FailureKind,
    InboundCallDestination,
    InboundCallTransport,
    Number,
    NumberDestination,
    NumberDocument,
    NumberPage,
    NumberStatus,
    NumberUpdate,
    Operation,
    Pagination,
    Paginator,
    RetryPolicy,
    Success,
    Timeouts,
    UnsetType,
    WavixClient,
    WavixError,
    from_dict,
    to_dict,
)


async def reading(wavix: WavixClient) -> None:
    number = await wavix.numbers.get(123)
    assert_type(number, Number)
    assert_type(number.id, int)
    assert_type(number.monthly_fee, Decimal)
    assert_type(number.added, datetime)
    assert_type(number.paid_until, date)
    assert_type(number.status, NumberStatus)
    assert_type(number.label, str | None)
    assert_type(number.destination, list[InboundCallDestination])
    assert_type(number.destination[0].transport, InboundCallTransport)
    assert_type(number.documents, list[NumberDocument])
    assert_type(number.extra["new"], object)

    assert_type(wavix.numbers.list(label="support", per_page=100), Paginator[NumberPage, Number])
    page = await wavix.numbers.list(label="support")
    assert_type(page, NumberPage)
    assert_type(page.items, list[Number])
    assert_type(page.pagination, Pagination)
    async for each in wavix.numbers.list(search="415", label_present=True, city_id=1, page=2):
        assert_type(each, Number)
    async for page in wavix.numbers.list().pages():
        assert_type(page, NumberPage)


async def writing(wavix: WavixClient) -> None:
    assert_type(await wavix.numbers.update(123, sms_enabled=True), Number)
    assert_type(await wavix.numbers.update(123, **NumberUpdate(sms_enabled=True)), Number)
    assert_type(await wavix.numbers.update(123, sms_relay_url=None, call_status_url=UNSET), Number)
    assert_type(
        await wavix.numbers.update(
            123, destinations=[NumberDestination(destination="t", priority=1, transport=5, trunk_id=8)]
        ),
        Number,
    )
    assert_type(await wavix.numbers.update_batch([1, 2], transcription_threshold=5), list[Number])
    assert_type(await wavix.numbers.release(ids=[1]), Success)
    assert_type(await wavix.numbers.release(dids=["14155550123"]), Success)
    assert_type(
        await wavix.numbers.papers.upload(did_ids=[1], doc_attachment=b"x", doc_id="id", filename="a.pdf"),
        list[NumberDocument],
    )
    with open("a.pdf", "rb") as file:
        await wavix.numbers.papers.upload(did_ids=[1], doc_attachment=file, doc_id=1)


async def bulk(wavix: WavixClient, ids: list[int], changes: AsyncIterator[tuple[int, NumberUpdate]]) -> None:
    run = wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(sms_enabled=True)), concurrency=32)
    assert_type(run, BulkRun[int, Number])
    report = await run
    assert_type(report, BulkReport[int, Number])
    assert_type(report.updated, int)
    assert_type(report.succeeded, int)
    assert_type(report.failed, int)
    assert_type(report.unknown, int)
    assert_type(report.not_sent, int)
    assert_type(report.requests, int)
    assert_type(report.elapsed, float)
    assert_type(report.failures, list[BulkResult[int, Number]])
    assert_type(report.failures_by_kind[FailureKind("NotFoundError", 404)], int)
    assert_type([(kind.error, kind.status) for kind in report.failures_by_kind], list[tuple[str | None, int | None]])
    assert_type(report.failures_total, int)
    assert_type(run.undelivered, tuple[BulkResult[int, Number], ...])
    assert_type(report.stopped_by, WavixError | None)
    report.raise_for_failures()
    async for result in wavix.numbers.bulk_update(changes):
        assert_type(result, BulkResult[int, Number])
        assert_type(result.id, int)
        assert_type(result.status, BulkStatus)
        assert_type(result.value, Number | None)
        assert_type(result.error, WavixError | None)
        assert_type(result.attempts, int)
        assert_type(result.ok, bool)

    def tell(progress: BulkProgress) -> None:
        assert_type(progress.total, int | None)

    await wavix.numbers.bulk_update(((number, NumberUpdate()) for number in ids), on_progress=tell)
    await wavix.numbers.bulk_update([(1, NumberUpdate())], failures_to="failed.csv")
    await wavix.numbers.bulk_update([(1, NumberUpdate())], failures_to=Path("failed.csv"))
    wavix.numbers.bulk_update({}, failures_to=b"failed.csv")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(asyncio.create_task(run), asyncio.Task[BulkReport[int, Number]])
    async with asyncio.TaskGroup() as group:
        assert_type(group.create_task(run), asyncio.Task[BulkReport[int, Number]])
    assert_type(await asyncio.wait_for(run, 5), BulkReport[int, Number])


def any_run(run: BulkRun, report: BulkReport, result: BulkResult, error: BulkError) -> None:
    """Without parameters, the keys and records may be anything."""
    assert_type(run.report, BulkReport[Any, Any])
    assert_type(report.failures, list[BulkResult[Any, Any]])
    assert_type(result.value, Any | None)
    assert_type(error.report, BulkReport[Any, Any] | None)


async def around(wavix: WavixClient) -> None:
    async with WavixClient(timeout=5, retry=RetryPolicy.none(), rate=50) as client:
        assert_type(client, WavixClient)
    assert_type(wavix.with_options(deadline=None, timeout=Timeouts(attempt=5)), WavixClient)
    assert_type(await wavix.call(Operation("GET", "/v1/numbers/{id}", Number), path={"id": 1}), Number)
    assert_type(await wavix.call(Operation("POST", "/v1/numbers/papers", list[NumberDocument])), list[NumberDocument])


def values(update: NumberUpdate) -> None:
    assert_type(from_dict(Number, {}), Number)
    assert_type(from_dict(list[Number], []), list[Number])
    assert_type(to_dict(update), dict[str, Any])
    assert_type(to_dict([from_dict(Number, {})]), list[dict[str, Any]])
    assert_type(update.sms_relay_url, str | None | UnsetType)
    url = update.sms_relay_url
    if url is not UNSET:
        assert_type(url, str | None)
    if update.sms_enabled is UNSET:
        return
    assert_type(update.sms_enabled, bool)


async def mistakes(wavix: WavixClient) -> None:
    await wavix.numbers.update(123, sms_enable=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.numbers.update(123, sms_enabled="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.numbers.update(123, sms_enabled=None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.numbers.update("123", sms_enabled=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await wavix.numbers.update(sms_enabled=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.numbers.update(1, NumberUpdate())  # type: ignore[call-arg, arg-type]  # pyright: ignore[reportCallIssue]
    await wavix.numbers.update_batch(ids=[1], label="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.numbers.release([1])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await wavix.numbers.get("123")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix.numbers.list(labels="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix.numbers.bulk_update({1: {"sms_enabled": True}})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    WavixClient(apikey="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NumberUpdate(sms_enable=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NumberUpdate(transcription_threshold="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    NumberDestination(destination="x", priority=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    NumberUpdate().sms_enabled = True  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
