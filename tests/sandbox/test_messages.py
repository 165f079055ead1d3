"""Messages, sender ids and opt-outs: shapes, state, filters, errors, faults."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from threading import RLock
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import make_mocked_request

from tests.support.receiver import receiver
from wavix_async.sandbox import Sandbox, SandboxStats
from wavix_async.sandbox._groups import Context, Groups
from wavix_async.sandbox._server import ApiError, Call, Outbox, Reply, Timers

HELLO = {"from": "Wavix", "to": "+14155550100", "message_body": {"text": "Hello"}}
SENDER = {"sender_id": "Wavix", "type": "alphanumeric", "countries": ["GB", "US"], "usecase": "promo"}


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(numbers=1, seed=5) as running:
        yield running


async def ask(sandbox: Sandbox, method: str, path: str, body: Any = None, **params: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    async with (
        ClientSession(sandbox.url, headers=headers) as session,
        session.request(method, f"/v3/messages{path}", json=body, params=params) as got,
    ):
        return got.status, await got.json()


async def send(sandbox: Sandbox, **replaced: Any) -> dict[str, Any]:
    status, message = await ask(sandbox, "POST", "", HELLO | replaced)
    assert status == 201, message
    answer: dict[str, Any] = message
    return answer


async def sent(sandbox: Sandbox, **params: Any) -> list[str]:
    """Return the tags of the messages that a list shows."""
    status, answer = await ask(sandbox, "GET", "", **{"type": "outbound", **params})
    assert status == 200, answer
    return [message["tag"] for message in answer["items"]]


def error(message: str) -> dict[str, Any]:
    return {"success": False, "message": message}


# --- messages ---


async def test_a_message_is_echoed_and_shown_afterwards() -> None:
    async with Sandbox(seed=5, delivery_delay=3600) as sandbox:
        before = datetime.now(UTC)
        message = await send(sandbox, tag="spring", callback_url="https://example.com/dlr", validity=60)
        submitted = datetime.fromisoformat(message.pop("submitted_at"))
        assert before - timedelta(seconds=1) < submitted < before + timedelta(seconds=60)
        message_id = message.pop("message_id")
        assert message == {
            "message_type": "sms",
            "from": "Wavix",
            "to": "+14155550100",
            "direction": "outbound",
            "mcc": "310",
            "mnc": "260",
            "message_body": {"text": "Hello", "media": None},
            "tag": "spring",
            "status": "accepted",
            "segments": 1,
            "charge": "0.01",
            "carrier_fees": "0.0",
            "sent_at": None,
            "delivered_at": None,
            "error_message": None,
        }
        status, shown = await ask(sandbox, "GET", f"/{message_id}")
        assert status == 200
        assert shown == {**message, "message_id": message_id, "submitted_at": shown["submitted_at"]}
        status, page = await ask(sandbox, "GET", "", type="outbound")
        assert page == {
            "items": [shown],
            "pagination": {"current_page": 1, "per_page": 25, "total": 1, "total_pages": 1},
        }
        assert dict(sandbox.messages) == {message_id: shown}


async def test_same_seed_same_ids() -> None:
    ids = []
    for seed in (5, 5, 6):
        async with Sandbox(seed=seed) as sandbox:
            ids.append([(await send(sandbox))["message_id"] for _ in range(2)])
            sandbox.reset()
            assert not sandbox.messages
            assert (await send(sandbox))["message_id"] == ids[-1][0]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        # No part ends inside a character.
        ("a" * 152 + "€" + "a" * 152, 3),
        ("ж" * 66 + "😀" + "ж" * 66, 3),
    ],
)
async def test_segments(sandbox: Sandbox, text: str, segments: int) -> None:
    message = await send(sandbox, message_body={"text": text, "media": None})
    assert (message["segments"], message["charge"]) == (segments, f"0.0{segments}")


async def test_media_make_an_mms(sandbox: Sandbox) -> None:
    body = {"text": "a" * 500, "media": ["https://example.com/1.png", "https://example.com/2.png"]}
    message = await send(sandbox, message_body=body)
    assert (message["message_type"], message["segments"], message["message_body"]) == ("mms", 1, body)
    empty = await send(sandbox, message_body={"text": "a", "media": []})
    assert (empty["message_type"], empty["message_body"]["media"]) == ("sms", [])


async def test_delivery_takes_its_time() -> None:
    async with Sandbox(delivery_delay=3000) as sandbox:
        message = await send(sandbox)
        message_id, submitted = message["message_id"], datetime.fromisoformat(message["submitted_at"])
        seen, shown = [], message
        for _ in range(4):
            _, shown = await ask(sandbox, "GET", f"/{message_id}")
            seen.append((shown["status"], shown["sent_at"] is not None, shown["delivered_at"] is not None))
            sandbox.advance(1001)
        assert seen == [
            ("accepted", False, False),
            ("pending", False, False),
            ("sent", True, False),
            ("delivered", True, True),
        ]
        assert datetime.fromisoformat(shown["sent_at"]) - submitted == timedelta(seconds=2000)
        assert datetime.fromisoformat(shown["delivered_at"]) - submitted == timedelta(seconds=3000)
        sandbox.advance(10_000)
        assert sandbox.messages[message_id] == shown


async def test_without_a_delay_a_message_is_delivered_when_it_is_looked_at(sandbox: Sandbox) -> None:
    message = await send(sandbox)
    assert message["status"] == "accepted"
    assert (await ask(sandbox, "GET", f"/{message['message_id']}"))[1]["status"] == "delivered"


@pytest.mark.parametrize(
    ("digits", "statuses"),
    [
        ("0007", ["accepted", "pending", "sent", "undelivered"]),
        ("0008", ["accepted", "rejected", "rejected", "rejected"]),
        ("0009", ["accepted", "pending", "sent", "dlr_expired"]),
    ],
)
async def test_recipients_that_are_not_reached(digits: str, statuses: list[str]) -> None:
    async with Sandbox(delivery_delay=3000) as sandbox:
        message_id = (await send(sandbox, to=f"1415555{digits}"))["message_id"]
        seen = []
        for _ in statuses:
            seen.append(sandbox.messages[message_id]["status"])
            sandbox.advance(1001)
        assert seen == statuses
        last = sandbox.messages[message_id]
        assert last["error_message"]
        assert last["delivered_at"] is None
        assert (last["sent_at"] is None) is (digits == "0008")


async def test_the_final_status_can_be_chosen() -> None:
    async with Sandbox(end_states={"01": "expired", "1": "undelivered", "Old": "rejected"}) as sandbox:
        ends = [(await send(sandbox, to=to))["message_id"] for to in ("14155550101", "14155550111", "14155550007")]
        ends.append((await send(sandbox, to="14155550007", **{"from": "Old"}))["message_id"])
        states = [sandbox.messages[each]["status"] for each in ends]
        assert states == ["expired", "undelivered", "delivered", "rejected"]
    for wrong in ({"": "expired"}, {"1": "sent"}):
        with pytest.raises(ValueError, match="end_states must map senders or last digits"):
            Sandbox(end_states=wrong)


async def test_a_message_that_is_not_sent_in_time_expires() -> None:
    async with Sandbox(delivery_delay=3000) as sandbox:
        late, soon = [(await send(sandbox, validity=validity))["message_id"] for validity in (1500, 2500)]
        sandbox.advance(1501)
        assert sandbox.messages[late]["status"] == "expired"
        assert sandbox.messages[late]["error_message"]
        sandbox.advance(1500)
        assert sandbox.messages[soon]["status"] == "delivered"
        assert sandbox.messages[late]["status"] == "expired"


# --- delivery reports ---


def reports(sandbox: Sandbox) -> list[tuple[str | None, dict[str, Any]]]:
    return [(event.url, event.body) for event in sandbox.outbox if event.kind == "dlr"]


async def test_a_message_is_reported_when_it_is_sent_and_at_its_end() -> None:
    async with Sandbox(delivery_delay=3000) as sandbox:
        message = await send(sandbox, tag="spring", callback_url="https://example.com/dlr")
        assert reports(sandbox) == []
        sandbox.advance(2001)
        shared = {
            "message_id": message["message_id"],
            "message_type": "sms",
            "from": "Wavix",
            "to": "+14155550100",
            "tag": "spring",
            "segments_count": 1,
            "charge": "0.01",
            "carrier_fees": "0.0",
            "error": None,
        }
        shown = sandbox.messages[message["message_id"]]
        sent = {**shared, "status": "sent", "sent": shown["sent_at"], "delivered": None}
        assert reports(sandbox) == [("https://example.com/dlr", sent)]
        sandbox.advance(1001)
        shown = sandbox.messages[message["message_id"]]
        final = {**sent, "status": "delivered", "delivered": shown["delivered_at"]}
        assert reports(sandbox) == [("https://example.com/dlr", sent), ("https://example.com/dlr", final)]
        sandbox.reset()
        assert sandbox.outbox == ()


@pytest.mark.parametrize(
    ("digits", "statuses"),
    [("0007", ["sent", "undelivered"]), ("0008", ["rejected"]), ("0009", ["sent", "dlr_expired"])],
)
async def test_a_failure_is_reported_with_its_reason(sandbox: Sandbox, digits: str, statuses: list[str]) -> None:
    await send(sandbox, to=f"1415555{digits}")
    found = [body for _, body in reports(sandbox)]
    assert [body["status"] for body in found] == statuses
    assert found[-1]["error"]
    assert found[-1]["delivered"]


async def test_reports_of_the_account_go_to_its_default() -> None:
    async with Sandbox(dlr_relay_url="https://example.com/all") as sandbox:
        await send(sandbox)
        assert {url for url, _ in reports(sandbox)} == {"https://example.com/all"}
        sandbox.dlr_relay_url = None
        await send(sandbox)
        assert [url for url, _ in reports(sandbox)][2:] == [None, None]
        assert sandbox.dlr_relay_url is None


async def test_reports_arrive_at_a_url_of_this_machine() -> None:
    async with receiver() as here, Sandbox() as sandbox:
        await send(sandbox, callback_url=here.url)
        await sandbox.delivered()
        assert [report["status"] for report in here.came] == ["sent", "delivered"]


# --- limits ---


def test_the_limit_of_messages_per_second() -> None:
    now = 100.0
    clock = lambda: now  # noqa: E731 - the test moves it
    context = Context(
        lock=RLock(),
        clock=clock,
        date=lambda: datetime(2026, 6, 30, tzinfo=UTC),
        stats=SandboxStats(),
        timers=Timers(clock),
        outbox=Outbox(clock),
        message_rate=2,
    )
    messages = Groups(context).messages
    post = next(route for route in messages.routes if (route.method, route.path) == ("POST", "/v3/messages"))

    def answer(body: Any) -> int | str:
        call = Call(make_mocked_request("POST", "/"), "", (), {}, post, json.dumps(body).encode())
        try:
            reply = post.handler(call)
        except ApiError as problem:
            return str(problem.body["error_code"]) if problem.status == 429 else problem.status
        assert isinstance(reply, Reply)
        return reply.code

    # A message that is not valid does not count.
    assert [answer(body) for body in ({**HELLO, "to": "x"}, HELLO, HELLO, HELLO)] == [400, 201, 201, "26"]
    now += 1
    assert [answer(HELLO) for _ in range(3)] == [201, 201, "26"]
    messages.reset()
    assert answer(HELLO) == 201


async def test_the_limit_of_one_recipient() -> None:
    async with Sandbox(daily_messages=2) as sandbox:
        await send(sandbox)
        sandbox.advance(3600)
        await send(sandbox, to="14155550100")
        status, answer = await ask(sandbox, "POST", "", HELLO)
        assert (status, answer["error_code"]) == (429, "47")
        await send(sandbox, to="14155550101")
        sandbox.advance(23 * 3600)
        await send(sandbox)
        assert (await ask(sandbox, "POST", "", HELLO))[0] == 429
        sandbox.reset()
        await send(sandbox)


async def test_an_idempotency_key_sends_once_in_twelve_hours(sandbox: Sandbox) -> None:
    async def send_with(name: str, key: str) -> tuple[int, str | None]:
        headers = {"Authorization": f"Bearer {sandbox.api_key}", name: key}
        async with (
            ClientSession(sandbox.url, headers=headers) as session,
            session.post("/v3/messages", json=HELLO) as got,
        ):
            return got.status, (await got.json()).get("error_code")

    await opt_out(sandbox, number="14155550100")
    assert await send_with("Idempotency-Key", "a") == (422, None)  # a message that was refused keeps no key
    sandbox.reset()
    assert await send_with("Idempotency-Key", "a") == (201, None)
    assert await send_with("X-Cio-Idempotency-Key", "a") == (422, "55")
    assert await send_with("X-Cio-Idempotency-Key", "b") == (201, None)
    sandbox.advance(12 * 3600)
    assert await send_with("Idempotency-Key", "a") == (201, None)
    assert len(sandbox.messages) == 3


@pytest.mark.parametrize("name", ["message_rate", "daily_messages"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True])
def test_limits_are_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of 1 or more"):
        Sandbox(**{name: value})


# --- lists ---


async def test_filters(sandbox: Sandbox) -> None:
    await send(sandbox, tag="a", to="+14155550100")
    await send(sandbox, tag="b", to="14155550007", message_body={"text": "", "media": ["https://example.com/a.png"]})
    sandbox.advance(86_400)
    await send(sandbox, tag="c", to="447537151866", **{"from": "+15072429497"})
    first, *_, last = (datetime.fromisoformat(message["submitted_at"]) for message in sandbox.messages.values())
    today, tomorrow, later = (day.date().isoformat() for day in (first, last, last + timedelta(days=1)))
    for params, tags in (
        ({}, "abc"),
        ({"to": "14155550100"}, "a"),
        ({"to": "+14155550007"}, "b"),
        ({"from": "Wavix"}, "ab"),
        ({"from": "15072429497"}, "c"),
        ({"tag": "b"}, "b"),
        ({"status": "undelivered"}, "b"),
        ({"status": "delivered"}, "ac"),
        ({"message_type": "mms"}, "b"),
        ({"sent_after": today}, "abc"),
        ({"sent_after": tomorrow}, "c"),
        ({"sent_before": today}, "ab"),
        ({"sent_after": tomorrow, "sent_before": tomorrow}, "c"),
        ({"sent_after": later}, ""),
        ({"type": "inbound"}, ""),
        ({"message_type": "sms", "from": "Wavix"}, "a"),
        ({"per_page": 2, "page": 2}, "c"),
    ):
        assert await sent(sandbox, **params) == list(tags), params


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, "type"),
        ({"type": "both"}, "type"),
        ({"type": "outbound", "status": "lost"}, "status"),
        ({"type": "outbound", "message_type": "fax"}, "message_type"),
        ({"type": "outbound", "sent_after": "yesterday"}, "sent_after"),
        ({"type": "outbound", "sent_before": "2026-06-30T10:00:00Z"}, "sent_before"),
        ({"type": "outbound", "page": "0"}, "page"),
    ],
)
async def test_wrong_filters(sandbox: Sandbox, params: dict[str, str], name: str) -> None:
    status, answer = await ask(sandbox, "GET", "", **params)
    assert status == 400
    assert answer["message"].split(": ")[0] == f"Missing or invalid parameter {name}"


@pytest.mark.parametrize(
    ("replaced", "name"),
    [
        ({"from": None}, "from"),
        ({"from": " "}, "from"),
        ({"to": "Bob"}, "to"),
        ({"to": 14155550100}, "to"),
        ({"message_body": "Hello"}, "message_body"),
        ({"message_body": {}}, "message_body.text"),
        ({"message_body": {"text": 5}}, "message_body.text"),
        ({"message_body": {"text": "a", "media": "https://example.com"}}, "message_body.media"),
        ({"message_body": {"text": "a", "media": ["x"]}}, "message_body.media[0]"),
        ({"message_body": {"text": "a", "media": ["https://example.com"] * 6}}, "message_body.media"),
        ({"message_body": {"text": "a", "image": "x"}}, "message_body.image"),
        ({"callback_url": "example.com"}, "callback_url"),
        ({"validity": "60"}, "validity"),
        ({"validity": 0}, "validity"),
        ({"tag": 5}, "tag"),
        ({"smart_encoding": "yes"}, "smart_encoding"),
        ({"text": "Hello"}, "text"),
    ],
)
async def test_wrong_messages(sandbox: Sandbox, replaced: dict[str, Any], name: str) -> None:
    status, answer = await ask(sandbox, "POST", "", HELLO | replaced)
    assert status == 400
    assert answer["success"] is False
    assert answer["message"].split(": ")[0] == f"Missing or invalid parameter {name}"
    assert not sandbox.messages
    assert not sandbox.stats.charges


@pytest.mark.parametrize("name", ["from", "to", "message_body"])
async def test_missing_fields(sandbox: Sandbox, name: str) -> None:
    body = {field: value for field, value in HELLO.items() if field != name}
    assert await ask(sandbox, "POST", "", body) == (400, error(f"Missing or invalid parameter {name}"))


async def test_smart_encoding_is_accepted_and_not_shown(sandbox: Sandbox) -> None:
    assert "smart_encoding" not in await send(sandbox, smart_encoding=True)


async def test_unknown_messages_and_methods(sandbox: Sandbox) -> None:
    assert await ask(sandbox, "GET", "/871b4eeb-f798-4105-be23-32df9e991456") == (404, error("Record not found"))
    assert await ask(sandbox, "PATCH", "", {}) == (405, error("Method not allowed"))
    assert await ask(sandbox, "DELETE", "/opt-outs") == (405, error("Method not allowed"))
    assert await ask(sandbox, "GET", "/sender-ids/1/2") == (404, error("Not found"))


async def test_charges(sandbox: Sandbox) -> None:
    for _ in range(3):
        await send(sandbox)
    await ask(sandbox, "POST", "/sender-ids", SENDER)
    await ask(sandbox, "POST", "/opt-outs", {"opt_out": {"number": "14155550100"}})
    assert (await ask(sandbox, "POST", "", HELLO))[0] == 422
    sandbox.fail_next(503)
    assert (await ask(sandbox, "POST", "", HELLO | {"to": "447537151866"}))[0] == 503
    assert sandbox.stats.charges == {"POST /v3/messages": 3, "POST /v3/messages/sender-ids": 1}
    sandbox.reset()
    assert not sandbox.stats.charges
    for collection in (sandbox.messages, sandbox.sender_ids, sandbox.opt_outs):
        assert not collection


async def test_an_answer_that_is_lost_was_charged(sandbox: Sandbox) -> None:
    sandbox.fail_next("reset_after", match="POST /v3/messages")
    with pytest.raises(aiohttp.ClientError):
        await send(sandbox)
    assert sandbox.stats.charges == {"POST /v3/messages": 1}
    assert [message["to"] for message in sandbox.messages.values()] == [HELLO["to"]]
    sandbox.fail_next("reset_before")
    with pytest.raises(aiohttp.ClientError):
        await send(sandbox)
    assert len(sandbox.messages) == 1
    assert [(request.path, request.fault) for request in sandbox.requests_to("POST /v3/messages")] == [
        ("/v3/messages", "reset_after"),
        ("/v3/messages", "reset_before"),
    ]
    assert sandbox.requests[0].json == HELLO


async def test_rate_limit() -> None:
    async with Sandbox(rate=0.01, burst=2) as sandbox:
        statuses = await asyncio.gather(*(ask(sandbox, "POST", "", HELLO) for _ in range(5)))
        assert sorted(status for status, _ in statuses) == [201, 201, 429, 429, 429]
        assert len(sandbox.messages) == sandbox.stats.charges["POST /v3/messages"] == 2


@pytest.mark.parametrize(
    ("scopes", "read", "write"),
    [(None, True, True), ({"messages": "read"}, True, False), ({"numbers": "write"}, False, False)],
)
async def test_scopes(scopes: Any, read: bool, write: bool) -> None:
    async with Sandbox(scopes=scopes) as sandbox:
        operations = [
            ("GET", "", None, read),
            ("GET", "/x", None, read),
            ("POST", "", HELLO, write),
            ("GET", "/sender-ids", None, read),
            ("POST", "/sender-ids", SENDER, write),
            ("GET", "/sender-ids/x", None, read),
            ("DELETE", "/sender-ids/x", None, write),
            ("GET", "/opt-outs", None, read),
            ("POST", "/opt-outs", {"opt_out": {"number": "1"}}, write),
        ]
        for method, path, body, allowed in operations:
            status, answer = await ask(sandbox, method, path, body)
            assert (status != 403) is allowed, (method, path)
            if not allowed:
                assert answer == error("The feature is disabled for your account.")
        assert bool(sandbox.messages) is write


# --- messages that arrive ---


async def test_inbound_messages(sandbox: Sandbox) -> None:
    message = sandbox.receive("+14155550100", "15072429497", "Hi", ["https://example.com/a.png"])
    assert message == sandbox.messages[message["message_id"]]
    assert (message["direction"], message["status"], message["sent_at"]) == ("inbound", "delivered", None)
    assert message["delivered_at"] == message["submitted_at"]
    _, page = await ask(sandbox, "GET", "", type="inbound", **{"from": "14155550100"})
    assert page["items"] == [message]
    assert await sent(sandbox) == []
    assert not sandbox.stats.charges


async def test_an_inbound_message_is_posted_to_its_number_or_to_the_account() -> None:
    async with Sandbox(numbers=2, sms_relay_url="https://example.com/account") as sandbox:
        own, other = (number["number"] for number in sandbox.numbers.values())
        sandbox.change(1001, sms_relay_url="https://example.com/number")
        for to in (own, f"+{own}", other, "15072429497"):
            sandbox.inbound_message("+14155550100", to, "Hi")
        sandbox.sms_relay_url = None
        message = sandbox.inbound_message("+14155550100", other, "Hi", ["https://example.com/a.png"])
        events = [event for event in sandbox.outbox if event.kind == "message"]
        number, account = "https://example.com/number", "https://example.com/account"
        assert [event.url for event in events] == [number, number, account, account, None]
        assert events[-1].body == {
            "message_id": message["message_id"],
            "from": "+14155550100",
            "to": other,
            "message_body": {"text": "Hi", "media": ["https://example.com/a.png"]},
            "received_at": message["submitted_at"],
        }
        assert events[0].body["message_body"] == {"text": "Hi", "media": None}
        assert reports(sandbox) == []
        assert sandbox.sms_relay_url is None


async def test_stop_opts_out(sandbox: Sandbox) -> None:
    sandbox.receive("+14155550100", "+15072429497", " stop ")
    assert list(sandbox.opt_outs) == [("14155550100", "15072429497")]
    assert (await ask(sandbox, "POST", "", HELLO | {"from": "15072429497"}))[0] == 422
    await send(sandbox)


# --- sender ids ---


async def test_sender_ids(sandbox: Sandbox) -> None:
    status, made = await ask(sandbox, "POST", "/sender-ids", {**SENDER, "monthly_volume": "1-1000", "samples": ["Hi"]})
    assert status == 201
    record_id = made["id"]
    assert made == {
        "id": record_id,
        "sender_id": "Wavix",
        "type": "alphanumeric",
        "allowlisted_in": ["GB"],
        "usecase": "promo",
        "samples": ["Hi"],
    }
    numeric = {"sender_id": "15072429497", "type": "numeric", "countries": [], "usecase": "transactional"}
    _, other = await ask(sandbox, "POST", "/sender-ids", numeric)
    assert (other["samples"], other["allowlisted_in"]) == ([], [])
    assert await ask(sandbox, "GET", f"/sender-ids/{record_id}") == (200, made)
    assert await ask(sandbox, "GET", "/sender-ids") == (200, {"items": [made, other]})
    assert dict(sandbox.sender_ids) == {record_id: made, other["id"]: other}
    assert await ask(sandbox, "DELETE", f"/sender-ids/{record_id}") == (200, {"success": True})
    for method in ("GET", "DELETE"):
        assert await ask(sandbox, method, f"/sender-ids/{record_id}") == (404, error("Record not found"))
    assert await ask(sandbox, "GET", "/sender-ids") == (200, {"items": [other]})


async def test_a_sender_id_exists_once(sandbox: Sandbox) -> None:
    _, made = await ask(sandbox, "POST", "/sender-ids", SENDER)
    assert await ask(sandbox, "POST", "/sender-ids", SENDER) == (422, error("The Sender ID exists already"))
    assert (await ask(sandbox, "POST", "/sender-ids", {**SENDER, "type": "numeric"}))[0] == 201
    await ask(sandbox, "DELETE", f"/sender-ids/{made['id']}")
    assert (await ask(sandbox, "POST", "/sender-ids", SENDER))[0] == 201


@pytest.mark.parametrize(
    ("replaced", "name"),
    [
        ({"sender_id": "AB"}, "sender_id"),
        ({"sender_id": "A" * 12}, "sender_id"),
        ({"type": "shortcode"}, "type"),
        ({"countries": "GB"}, "countries"),
        ({"countries": ["GB", "Germany"]}, "countries[1]"),
        ({"usecase": "spam"}, "usecase"),
        ({"monthly_volume": "many"}, "monthly_volume"),
        ({"samples": ["a", 5]}, "samples[1]"),
        ({"name": "Wavix"}, "name"),
    ],
)
async def test_wrong_sender_ids(sandbox: Sandbox, replaced: dict[str, Any], name: str) -> None:
    status, answer = await ask(sandbox, "POST", "/sender-ids", SENDER | replaced)
    assert status == 400
    assert answer["message"].split(": ")[0] == f"Missing or invalid parameter {name}"
    assert not sandbox.sender_ids


# --- opt-outs ---


async def opt_out(sandbox: Sandbox, **fields: str) -> tuple[int, Any]:
    return await ask(sandbox, "POST", "/opt-outs", {"opt_out": fields})


async def test_opt_outs(sandbox: Sandbox) -> None:
    assert await opt_out(sandbox, number="+14155550100") == (201, {"success": True})
    assert await opt_out(sandbox, number="14155550101", sender_id="Wavix") == (201, {"success": True})
    assert await opt_out(sandbox, number="+14155550100") == (201, {"success": True})
    _, page = await ask(sandbox, "GET", "/opt-outs")
    assert page["pagination"]["total"] == 2
    first, second = page["items"]
    assert first == {
        "phone_number": "14155550100",
        "sender_id": None,
        "campaign_id": None,
        "created_at": first["created_at"],
    }
    assert abs(datetime.now(UTC) - datetime.fromisoformat(first["created_at"])) < timedelta(seconds=60)
    assert dict(sandbox.opt_outs) == {("14155550100", None): first, ("14155550101", "Wavix"): second}


async def test_filters_of_opt_outs(sandbox: Sandbox) -> None:
    await opt_out(sandbox, number="1")
    sandbox.advance(86_400)
    await opt_out(sandbox, number="2", sender_id="+15072429497")
    today, tomorrow = (item["created_at"][:10] for item in sandbox.opt_outs.values())
    for params, numbers in (
        ({}, "12"),
        ({"sender_id": "15072429497"}, "2"),
        ({"sender_id": "Wavix"}, ""),
        ({"campaign_id": "C123456"}, ""),
        ({"created_after": tomorrow}, "2"),
        ({"created_before": today}, "1"),
        ({"per_page": 1}, "1"),
    ):
        _, page = await ask(sandbox, "GET", "/opt-outs", **params)
        assert [item["phone_number"] for item in page["items"]] == list(numbers), params
    status, answer = await ask(sandbox, "GET", "/opt-outs", created_after="2026")
    assert (status, answer["message"].split(":")[0]) == (400, "Missing or invalid parameter created_after")


async def test_an_opt_out_ends_messages(sandbox: Sandbox) -> None:
    refused = (422, error("The recipient has opted out of messages from this sender"))
    await opt_out(sandbox, number="14155550100", sender_id="Wavix")
    assert await ask(sandbox, "POST", "", HELLO) == refused
    await send(sandbox, **{"from": "Other"})
    await opt_out(sandbox, number="14155550100")
    assert await ask(sandbox, "POST", "", HELLO | {"from": "Other"}) == refused
    await send(sandbox, to="14155550199")
    assert len(sandbox.messages) == 2


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"number": "14155550100"}, "opt_out"),
        ({"phone_number": "14155550100", "sender_id": "Wavix"}, "opt_out"),
        ({"opt_out": {}}, "opt_out.number"),
        ({"opt_out": {"number": "Bob"}}, "opt_out.number"),
        ({"opt_out": {"number": "1", "sender_id": None}}, "opt_out.sender_id"),
        ({"opt_out": {"number": "1", "campaign_id": "C1"}}, "opt_out.campaign_id"),
    ],
)
async def test_wrong_opt_outs(sandbox: Sandbox, body: dict[str, Any], name: str) -> None:
    status, answer = await ask(sandbox, "POST", "/opt-outs", body)
    assert status == 400
    assert answer["message"].split(": ")[0] == f"Missing or invalid parameter {name}"
    assert not sandbox.opt_outs
