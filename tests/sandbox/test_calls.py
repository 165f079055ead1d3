"""Calls in the sandbox: their life, their events, and what happens during them."""

from __future__ import annotations

from typing import Any

import pytest

from wavix_async import NotFoundError, WavixClient
from wavix_async.errors import BadRequestError
from wavix_async.models import Call
from wavix_async.sandbox import Sandbox

HOOK = "https://hooks.example.com/calls"
ME, YOU = "15550100100", "15550100200"


@pytest.fixture
async def sandbox() -> Any:
    async with Sandbox(numbers=2) as sandbox:
        yield sandbox


@pytest.fixture
async def wavix(sandbox: Sandbox) -> Any:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        yield wavix


def steps(sandbox: Sandbox, kind: str = "on_call") -> list[str]:
    """Return what the events say, in order."""
    told = []
    for event in sandbox.outbox:
        if event.kind == kind:
            payload = event.body.get("event_payload")
            told.append(event.body["event_type"] if payload is None else f"{payload['type']} {payload['payload']['status']}")
    return told


async def answered(wavix: WavixClient, to: str = YOU, **options: Any) -> str:
    call = await wavix.calls.create(from_=ME, to=to, callback_url=HOOK, **options)
    assert call.call_id is not None
    return call.call_id


async def test_a_call_rings_is_answered_and_ends(sandbox: Sandbox, wavix: WavixClient) -> None:
    started = await wavix.calls.create(from_=ME, to=YOU, callback_url=HOOK, tag="order-7")
    assert (started.event_type, started.direction, started.is_over) == ("call_setup", "outbound", False)
    assert started.id == started.uuid
    call = await wavix.calls.get(started.call_id or "")
    assert (call.event_type, call.tag, call.is_answered) == ("answered", "order-7", True)
    assert [each.call_id for each in await wavix.calls.list()] == [call.call_id] == list(sandbox.calls)
    assert await wavix.calls.find_started(tag="order-7") == call

    sandbox.advance(600)

    assert await wavix.calls.list() == []
    with pytest.raises(NotFoundError):
        await wavix.calls.get(started.call_id or "")
    assert steps(sandbox) == ["call_setup", "ringing", "answered", "completed"]
    (last,) = (event.body for event in sandbox.outbox if event.kind == "post_call")
    assert (last["uuid"], last["disposition"], last["duration"], last["charge"]) == (call.id, "answered", 600, "0.120")
