"""Messages beyond one request and its answer: the text, the phone numbers, the proof of a send, the wait."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import typing
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import pytest
from aiohttp import web

from tests.support.examples import MESSAGE, pagination
from tests.support.stub import Reply, Seen, StubSession
from tests.support.virtual import run_virtual
from wavix_async import (
    InputError,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    WaitTimeoutError,
    WavixClient,
    to_dict,
)
from wavix_async.models import (
    DeliveryReport,
    Message,
    MessageContent,
    MessageCreate,
    MessageExport,
    MessageList,
    OptOut,
    OptOutList,
    SenderIDCreate,
)
from wavix_async.resources.messages import Messages
from wavix_async.sandbox import Sandbox
from wavix_async.webhooks import Webhooks

if TYPE_CHECKING:
    from tests.conftest import Api

TO = "447700900123"
T = TypeVar("T")


# --- the text ---


def test_a_text_is_the_body_of_the_message() -> None:
    short = MessageCreate(from_="Acme", to=TO, text="Hi")

    assert short == MessageCreate(from_="Acme", to=TO, message_body={"text": "Hi"})
    assert to_dict(short) == {"from": "Acme", "to": TO, "message_body": {"text": "Hi", "media": None}}
    assert MessageCreate(**short) == short
    shown = MessageCreate(from_="Acme", to=TO, text="Look", media=["https://media.example.com/1.png"])
    assert shown.message_body == MessageContent(text="Look", media=["https://media.example.com/1.png"])
    assert MessageCreate(from_="Acme", to=TO, text="", media=None).message_body == MessageContent(text="")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "either text or message_body, got neither"),
        ({"text": "code 9911", "message_body": {"text": "code 9911"}}, "either text or message_body, got both"),
        ({"media": ["https://media.example.com/1.png"]}, "either text or message_body, got neither"),
        ({"message_body": {"text": "code 9911"}, "media": []}, "media goes with text"),
        ({"message_body": "code 9911"}, "got str: to send a plain text, pass text="),
        ({"message_body": ["code 9911"]}, "got list: to send a plain text, pass text="),
        ({"message_body": None}, "got NoneType"),
        ({"text": 9911}, "MessageCreate.text must be a string"),
        ({"text": None}, "MessageCreate.text must be a string"),
    ],
)
async def test_a_message_has_one_content(api: Api, wavix: WavixClient, content: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        await wavix.messages.send(from_="Acme", to=TO, **content)

    assert "9911" not in str(caught.value)
    assert api.sent == []


def test_the_overloads_of_send_have_the_fields_of_the_model() -> None:
    model = inspect.signature(MessageCreate).parameters
    seen = dict[str, Any]()
    for overload in typing.get_overloads(Messages.send):
        for name, parameter in list(inspect.signature(overload).parameters.items())[1:]:
            seen[name] = parameter
            if name not in {"text", "message_body"}:
                assert parameter.default == model[name].default, name
            hints = typing.get_type_hints(overload)
            kinds = {*typing.get_args(hints[name])} or {hints[name]}
            assert kinds <= {*typing.get_args(attrs.fields_dict(MessageCreate)[name].type)} | {str}, name
    assert seen.keys() == model.keys()


# --- phone numbers ---


@pytest.mark.parametrize(("given", "sent"), [("001 (512) 555-0143", "+15125550143"), ("1-512-555-0143", "15125550143")])
@pytest.mark.parametrize("shown", ["15125550143", "+15125550143"])
async def test_a_number_in_any_spelling_is_sent_and_recognized(
    api: Api, wavix: WavixClient, given: str, sent: str, shown: str
) -> None:
    api.answer("POST", "/v3/messages", {**MESSAGE, "from": "15125550199", "to": shown})

    message = await wavix.messages.send(from_="+1 512-555-0199", to=given, text="Hi")

    assert (api.sent[0].json["from"], api.sent[0].json["to"]) == ("+15125550199", sent)
    assert message.to == shown


async def test_an_answer_for_another_recipient_is_not_believed(api: Api, wavix: WavixClient) -> None:
    api.answer("POST", "/v3/messages", {**MESSAGE, "to": "+15125550144"})

    with pytest.raises(OutcomeUnknownError, match="to="):
        await wavix.messages.send(from_="Acme", to="+1 512 555 0143", text="Hi")


def test_filters_and_opt_outs_have_numbers_without_a_plus() -> None:
    for kind in (MessageList, MessageExport):
        query = kind(type="outbound", from_="+1 512 555 0199", to="001 512 555 0143")
        assert (query.from_, query.to) == ("15125550199", "15125550143")
        assert kind(type="outbound", from_="Acme 24").from_ == "Acme 24"
    assert OptOutList(sender_id="+1 512 555 0199").sender_id == "15125550199"
    assert to_dict(OptOut(number="+1 (512) 555-0143", sender_id="Acme")) == {
        "number": "15125550143",
        "sender_id": "Acme",
    }
    numeric = SenderIDCreate(sender_id="+1 512 555 0199", type="numeric", countries=["US"], usecase="promo")
    assert numeric.sender_id == "+15125550199"
    named = SenderIDCreate(sender_id="512 555 0199", type="alphanumeric", countries=["US"], usecase="promo")
    assert named.sender_id == "512 555 0199"


# --- the proof of a send ---


async def test_a_send_that_lost_its_answer_is_found_by_its_tag() -> None:
    async with Sandbox(numbers=1) as sandbox, WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        assert await wavix.messages.find_sent(tag="order-7") is None
        sandbox.fail_next("reset_after", match="POST /v3/messages")
        with pytest.raises(OutcomeUnknownError):
            await wavix.messages.send(from_="Acme", to="+15125550143", text="Hi", tag="order-7")

        found = await wavix.messages.find_sent(tag="order-7")
        assert found is not None
        assert sandbox.messages[found.message_id]["to"] == "+15125550143"
        assert await wavix.messages.find_sent(tag="order-7", to="+1 (512) 555-0143") == found
        for other in ({"tag": "order"}, {"tag": "order-7", "to": "+15125550144"}):
            assert await wavix.messages.find_sent(**other) is None
        assert len(sandbox.messages) == 1


@pytest.mark.parametrize(
    "shown",
    [
        {"tag": "order-8"},
        {"tag": None},
        {"to": "15125550144"},
        {"to": None},
        {"to": "5550143"},
        {"direction": "inbound"},
    ],
)
async def test_a_filter_that_the_api_ignores_proves_nothing(
    api: Api, wavix: WavixClient, shown: dict[str, Any]
) -> None:
    page = {"items": [{**MESSAGE, "tag": "order-7", "to": "15125550143", **shown}], "pagination": pagination()}
    api.answer("GET", "/v3/messages", page)

    assert await wavix.messages.find_sent(tag="order-7", to="15125550143") is None
    assert dict(api.sent[0].query) == {"type": "outbound", "tag": "order-7", "to": "15125550143", "per_page": "100"}


async def test_a_message_without_a_tag_cannot_be_proven(api: Api, wavix: WavixClient) -> None:
    with pytest.raises(InputError, match="an empty tag proves nothing"):
        await wavix.messages.find_sent(tag="")

    assert api.sent == []


# --- the wait ---


class Account:
    """A message whose status changes with time, and the times at which it was read."""

    def __init__(self, *statuses: tuple[float, str]) -> None:
        self.statuses = statuses
        self.reads: list[float] = []

    def __call__(self, seen: Seen) -> Reply:
        self.reads.append(now := asyncio.get_running_loop().time())
        status = next(status for at, status in reversed(self.statuses) if now >= at)
        return Reply(200, {**MESSAGE, "message_id": "3f0d", "status": status})

    def client(self) -> WavixClient:
        stub: Any = StubSession(self)
        return WavixClient("key-for-waiters", base_url="https://api.wavix.test", retry=RetryPolicy.none(), session=stub)


@pytest.mark.parametrize("end", ["delivered", "undelivered", "expired", "rejected", "dlr_expired"])
def test_a_wait_ends_with_any_final_status(end: str) -> None:
    account = Account((0, "accepted"), (3, "pending"), (20, "sent"), (60, "a-new-status"), (90, end))

    async def main() -> None:
        message = await account.client().messages.wait("3f0d")
        assert (message.status, message.is_final) == (end, True)

    run_virtual(main())
    assert account.reads[-1] >= 90 > account.reads[-2]
    pauses = [after - before for before, after in itertools.pairwise(account.reads)]
    assert all(pause <= most for pause, most in zip(pauses, [1, 2, 4, 8, *[15] * len(pauses)], strict=False))


def test_a_wait_that_takes_too_long_has_the_message_as_it_was() -> None:
    account = Account((0, "sent"))

    async def main() -> None:
        with pytest.raises(WaitTimeoutError, match="message 3f0d has a final status") as caught:
            await account.client().messages.wait("3f0d", timeout=30)
        assert isinstance(caught.value.last, Message)
        assert (caught.value.last.status, caught.value.last.is_final) == ("sent", False)

    run_virtual(main())


class Events:
    """A source of events: reports at these times, or it fails."""

    def __init__(self, *times: float, fails: bool = False) -> None:
        self.times = list(times)
        self.fails = fails
        self.wanted: list[tuple[type, dict[str, object]]] = []

    async def next(self, kind: type[T], *, timeout: float | None = None, **fields: object) -> T:
        self.wanted.append((kind, fields))
        if self.fails:
            raise RuntimeError("closed")
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(next((at - now for at in self.times if at > now), 10_000))
        return kind()


def test_a_delivery_report_makes_a_wait_read_at_once() -> None:
    account = Account((0, "accepted"), (40, "sent"), (400, "delivered"))
    events = Events(41, 401)

    async def main() -> None:
        message = await account.client().messages.wait("3f0d", every=(300, 300), events=events)
        assert message.status == "delivered"

    run_virtual(main())
    assert 41 in account.reads
    assert account.reads[-1] == 401
    assert events.wanted[0] == (DeliveryReport, {"message_id": "3f0d"})


def test_a_wait_whose_events_fail_goes_on_with_its_intervals() -> None:
    account = Account((0, "accepted"), (50, "delivered"))

    async def main() -> None:
        message = await account.client().messages.wait("3f0d", every=(10, 20), events=Events(fails=True))
        assert message.status == "delivered"

    run_virtual(main())
    assert 2 < len(account.reads) < 10
    assert account.reads[-1] >= 50


class Announced:
    """Passes events on, and says when the waiter listens."""

    def __init__(self, hooks: Webhooks) -> None:
        self._hooks = hooks
        self.listens = asyncio.Event()

    async def next(self, kind: type[T], *, timeout: float | None = None, **fields: object) -> T:
        found = asyncio.ensure_future(self._hooks.next(kind, timeout=timeout, **fields))
        await asyncio.sleep(0)
        self.listens.set()
        return await found


async def test_the_report_of_the_sandbox_ends_a_wait() -> None:
    hooks = Webhooks(secret="s" * 32)
    app = web.Application()
    hooks.add_to(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with (
            Sandbox(1, delivery_delay=60) as sandbox,
            WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix,
        ):
            sandbox.dlr_relay_url = f"http://127.0.0.1:{runner.addresses[0][1]}{hooks.path(DeliveryReport)}"
            sent = await wavix.messages.send(from_="Acme", to="+15125550007", text="Hi")
            events = Announced(hooks)
            waiting = asyncio.create_task(
                wavix.messages.wait(sent.message_id, every=(3600, 3600), timeout=None, events=events)
            )
            await events.listens.wait()
            sandbox.advance(60)

            assert (await waiting).status == "undelivered"
    finally:
        await runner.cleanup()


async def test_a_wait_for_a_message_that_does_not_exist(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v3/messages/3f0d", {"success": False, "message": "Record not found"}, status=404)

    with pytest.raises(NotFoundError):
        await wavix.messages.wait("3f0d")
    wrong: Any = object()
    with pytest.raises(InputError, match="events must have a method next"):
        await wavix.messages.wait("3f0d", events=wrong)
