"""What the type checkers make of messages. Never run: mypy --strict and pyright read it."""

from datetime import date, datetime
from decimal import Decimal
from typing import Literal, assert_type

from wavix_async import Page, Paginator, Segments, Success, WavixClient, segments
from wavix_async.models import (
    Direction,
    Message,
    MessageContent,
    MessageCreate,
    MessageDeliveryStatus,
    MessagePage,
    MessageType,
    OptOutItem,
    OptOutPage,
    SenderID,
    SenderIDType,
    SenderIDUseCase,
)
from wavix_async.resources.messages import Messages
from wavix_async.webhooks import Webhooks


async def reading(wavix: WavixClient) -> None:
    assert_type(wavix.messages, Messages)
    message = await wavix.messages.get("3f0d")
    assert_type(message, Message)
    assert_type(message.from_, str)
    assert_type(message.status, MessageDeliveryStatus)
    assert_type(message.charge, Decimal)
    assert_type(message.sent_at, datetime | None)
    assert_type(message.direction, Direction | None)

    messages = wavix.messages.list(type="outbound", sent_after="2026-01-31", limit=10)
    assert_type(messages, Paginator[MessagePage, Message])
    assert_type(await messages, MessagePage)
    assert_type(await messages.to_list(), list[Message])
    assert_type(await messages.first(), Message | None)
    assert_type(await messages.total(), int)
    async for each in wavix.messages.list(type=Direction.INBOUND, sent_before=date(2026, 2, 1), message_type="mms"):
        assert_type(each, Message)
    page = await messages
    assert_type(page.has_next, bool)
    for one in page:
        assert_type(one, Message)
    assert_type(len(page), int)
    whole: Page[Message] = page
    assert_type(whole.items, list[Message])

    assert_type(message.is_final, bool)
    assert_type(await wavix.messages.wait("3f0d", timeout=None, events=Webhooks(secret="s" * 32)), Message)
    assert_type(await wavix.messages.find_sent(tag="a", to="1", sent_after=date(2026, 2, 1)), Message | None)
    counted = segments("Hi")
    assert_type(counted, Segments)
    assert_type(counted.encoding, Literal["GSM-7", "UCS-2"])
    assert_type(counted.is_within_limit, bool)

    assert_type(wavix.messages.opt_outs.list(page=2), Paginator[OptOutPage, OptOutItem])
    assert_type(await wavix.messages.sender_ids.list(), list[SenderID])


async def sending(wavix: WavixClient) -> None:
    assert_type(await wavix.messages.send(from_="Acme", to="1", message_body={"text": "Hi"}), Message)
    assert_type(await wavix.messages.send(from_="Acme", to="1", text="Hi", tag="a"), Message)
    assert_type(await wavix.messages.send(from_="Acme", to="1", text="Hi", media=["https://a.example/1.png"]), Message)
    kept = MessageCreate(from_="Acme", to="1", text="Hi")
    assert_type(await wavix.messages.send(**kept), Message)
    content = MessageContent(text="Look", media=["https://media.example.com/1.png"])
    assert_type(await wavix.messages.send(from_="Acme", to="1", message_body=content, validity=60), Message)
    await wavix.messages.sender_ids.create(
        sender_id="Acme", type=SenderIDType.ALPHANUMERIC, countries=["GB"], usecase=SenderIDUseCase.PROMO
    )
    await wavix.messages.sender_ids.create(sender_id="1", type="numeric", countries=("GB",), usecase="promo")
    assert_type(await wavix.messages.opt_outs.create(number="1"), Success)
    assert_type(MessageType("sms"), MessageType)


async def mistakes(wavix: WavixClient) -> None:
    await wavix.messages.get(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send = wavix.messages.send
    await send(from_="A", to="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await send(from_="A", to=1, text="Hi")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await send(from_="A", to="1", message_body="Hi")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await send(  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
        from_="A", to="1", text="Hi", message_body={"text": "Hi"}
    )
    await wavix.messages.find_sent()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    segments(b"Hi")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix.messages.list()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix.messages.list(type="inbound", limit="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wavix.messages.list(type="inbound", form="1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wavix.mesages  # type: ignore[attr-defined]  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
