"""Types of webhooks: what handlers get, what `next` and `parse_event` return, and what they reject."""

from __future__ import annotations

from typing import assert_type

from wavix_async._http.waiters import EventSource
from wavix_async.models import Call, Model
from wavix_async.webhooks import (
    CallEvent,
    DeliveryReport,
    FailedHandler,
    InboundMessage,
    PostCall,
    RedisStore,
    SqliteStore,
    UnknownEvent,
    WebhookEvent,
    Webhooks,
    parse_event,
)

hooks = Webhooks(secret="s" * 20, seen=SqliteStore("events.db"))
more = Webhooks(secret="s" * 20, seen=RedisStore("redis://127.0.0.1"), networks=["10.0.0.0/8"])
source: EventSource = hooks


@hooks.on(DeliveryReport, status="undelivered")
async def retry(report: DeliveryReport) -> None:
    assert_type(report.message_id, str)


@hooks.on(DeliveryReport, InboundMessage)
def both(event: DeliveryReport | InboundMessage) -> int:
    return len(event.message_id)


@hooks.on(Model)
def every(event: Model) -> None: ...


@hooks.on(CallEvent)
async def call(event: Call) -> None: ...


@hooks.on(PostCall)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
async def wrong(event: DeliveryReport) -> None: ...


async def events(event: WebhookEvent) -> None:
    await retry(DeliveryReport(message_id="a"))
    assert_type(both(InboundMessage(message_id="a")), int)
    assert_type(event.key, str)
    assert_type(await hooks.next(DeliveryReport, message_id="a", timeout=5.0), DeliveryReport)
    assert_type(await hooks.next(CallEvent), Call)
    assert_type(await source.next(DeliveryReport, message_id="a", timeout=5.0), DeliveryReport)
    assert_type(await hooks.retry_failed(), int)
    for failed in hooks.failed:
        assert_type(failed, FailedHandler)
        assert_type(failed.event, WebhookEvent)
    assert_type(parse_event(b"{}"), WebhookEvent)
    assert_type(parse_event({}, "dlr"), WebhookEvent)
    assert_type(parse_event({}, DeliveryReport), DeliveryReport | UnknownEvent)
    hooks.next("dlr")  # type: ignore[arg-type, unused-coroutine]  # pyright: ignore[reportArgumentType, reportUnusedCoroutine]
    parse_event({}, int)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]
    Webhooks("s" * 20)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
