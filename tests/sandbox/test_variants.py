"""Other shapes of answers and events: the client reads them all."""

from __future__ import annotations

from typing import Any, Final

from wavix_async import WavixClient
from wavix_async.models import BrandStatusChanged, Call, DeliveryReport, InboundMessage
from wavix_async.sandbox import Sandbox
from wavix_async.webhooks import parse_event


async def test_the_client_reads_the_other_shapes_of_answers() -> None:
    async with (
        Sandbox(variants=1.0) as sandbox,
        WavixClient(sandbox.api_key, base_url=sandbox.url, strict=True) as wavix,
    ):
        sent = await wavix.messages.send(from_="Acme", to="447700900123", message_body={"text": "Hello"})
        got = await wavix.messages.get(sent.message_id)
        assert got.message_id == sent.message_id
        sender = await wavix.messages.sender_ids.create(
            sender_id="Acme", type="alphanumeric", countries=["GB"], usecase="promo"
        )
        assert (await wavix.messages.sender_ids.delete(sender.id)).success
        assert (await wavix.messages.opt_outs.create(number="447700900123")).success

        statuses = [(request.method, request.status) for request in sandbox.requests]
        assert statuses == [("POST", 200), ("GET", 200), ("POST", 200), ("DELETE", 204), ("POST", 204)]

        call_id = sandbox.add_call(from_="14155550100", to="13125551000", transcription=True)["call_id"]
        assert (await wavix.cdrs.retranscribe(call_id)).success
        turns = (await wavix.cdrs.transcription.get(call_id)).turns or []
        assert {turn.speaker for turn in turns} == {turn.phone_number for turn in turns} != {None}
        sent_file = await wavix.speech_analytics.upload(
            file=b"RIFF....WAVE", filename="a.wav", callback_url="https://example.com/speech"
        )
        assert (await wavix.speech_analytics.get(sent_file.request_id)).request_id == sent_file.request_id


def test_the_webhooks_read_the_other_shapes_of_events() -> None:
    sandbox = Sandbox(variants=1.0)
    for kind, body, _, _ in EVENTS * 20:
        sandbox.emit(kind, None, body)

    for event, (_, body, of, name) in zip(sandbox.outbox, EVENTS * 20, strict=True):
        read = parse_event(event.body)
        assert type(read) is of, event.body
        assert getattr(read, name) == body[next(iter(body))]


EVENTS: Final[list[tuple[str, dict[str, Any], type, str]]] = [
    ("on_call", {"id": "c1", "event_type": "answered", "event_time": "2026-03-01T09:30:00.000Z"}, Call, "call_id"),
    ("dlr", {"message_id": "m1", "status": "sent", "sent": "2026-03-01T09:30:00Z"}, DeliveryReport, "message_id"),
    ("message", {"message_id": "m2", "message_body": {"text": "Hi", "media": []}}, InboundMessage, "message_id"),
    ("brand", {"brand_id": "B1", "status": "VERIFIED"}, BrandStatusChanged, "brand_id"),
]
"""Kind, body with its id first, the class that it is read as, and the attribute with the id."""


def test_events_keep_what_they_say_in_every_shape() -> None:
    call = {"id": "c1", "event_type": "answered", "event_time": "2026-03-01T09:30:00.000Z", "from": "1", "to": "2"}
    report = {"message_id": "m1", "status": "sent", "sent": "2026-03-01T09:30:00.000Z", "charge": "0.1"}
    sandbox = Sandbox(variants=1.0)
    for _ in range(60):
        sandbox.emit("on_call", None, call)
        sandbox.emit("dlr", None, report)
        sandbox.emit("brand", None, {"brand_id": "B1", "status": "VERIFIED"})

    shapes = set()
    for event in sandbox.outbox:
        assert event.body["added_later"]
        if event.kind == "on_call":
            place, value = id_of(event.body)
            shapes.add(place)
            assert value == "c1"
            assert event.body["from"] == "1"
        elif event.kind == "dlr":
            assert (event.body["sent"], "charge" in event.body) == ("2026-03-01T09:30:00", False)
        else:
            assert event.body["brand_id"] == "B1"
    assert shapes == {"id", "uuid", "call_id", "call.id", "data.call_id", "data.uuid"}


def id_of(body: dict[str, Any]) -> tuple[str, str]:
    for place in ("id", "uuid", "call_id", "call.id", "data.call_id", "data.uuid"):
        value: Any = body
        for key in place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str):
            return place, value
    raise AssertionError(body)


def test_a_sandbox_of_the_same_seed_chooses_the_same_shapes() -> None:
    def shapes(seed: int) -> list[dict[str, Any]]:
        sandbox = Sandbox(variants=0.5, seed=seed)
        for _ in range(20):
            sandbox.emit("on_call", None, {"id": "c1", "event_type": "answered"})
        return [event.body for event in sandbox.outbox]

    assert shapes(1) == shapes(1) != shapes(2)
