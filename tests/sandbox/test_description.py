"""The checks that the sandbox makes from the API's description: what they refuse, and what they let pass."""

from __future__ import annotations

import json
from typing import Any, Final

import aiohttp
import pytest

from tests.support.description import DESCRIBED, examples_of
from wavix_async.sandbox import Sandbox
from wavix_async.sandbox._server import ApiError, request_check

CALL: Final = {"from": "15551230001", "to": "15551230002", "callback_url": "https://example.com/calls"}
STREAM: Final = {"stream_url": "wss://example.com/audio", "stream_type": "oneway", "stream_channel": "both"}
TEXT: Final = {"from": "Acme", "to": "447700900123", "message_body": {"text": "Hello", "media": None}}
SEARCH: Final = {"type": "placed", "from": "2026-01-01", "to": "2026-01-31"}
WEEK: Final = "from=2026-01-01&to=2026-01-07&type=placed"


def check(operation: str, body: Any = None, query: str = "") -> str | None:
    """Return what is wrong with a request; None: nothing."""
    found = request_check(*operation.split())
    assert found is not None
    try:
        found.check_query(query)
        found.check_body(b"" if body is None else json.dumps(body).encode())
    except ApiError as error:
        # The operations of calls tell all errors at once, by field.
        errors: dict[str, str] = error.body.get("errors", {})
        told = [name if text == "required" else text for name, text in errors.items()]
        return f"{error.status} {'; '.join(told) or error.body['message']}"
    return None


@pytest.mark.parametrize(
    ("operation", "body", "query"),
    [
        ("POST /v1/calls", CALL, ""),
        ("POST /v1/calls", {"from": "1", "to": "2"}, ""),
        ("POST /v1/cdrs", SEARCH, ""),
        ("POST /v1/cdrs", {**SEARCH, "transcription": {"client": {"must": ["refund"]}}}, ""),
        ("POST /v1/validation", {"phone_numbers": ["1"], "type": "format"}, ""),
        ("POST /v3/10dlc/brands/{id}/appeals", {"appeal_categories": ["VERIFY_TAX_ID"]}, ""),
        ("POST /v3/messages", {**TEXT, "smart_encoding": True}, ""),
        ("POST /v3/messages", {**TEXT, "message_body": {"text": "Hello"}}, ""),
        ("PATCH /v1/numbers/{id}", {"sms_relay_url": None, "call_status_url": None}, ""),
        ("PATCH /v1/numbers/{id}", None, ""),
        ("POST /v2/webrtc/tokens", {"sip_trunk": "12345", "ttl": None}, ""),
        ("POST /v1/calls/{call_id}/streams", STREAM, ""),
        ("GET /v1/cdrs", None, f"{WEEK}&page=2&per_page=500&disposition=all&a_new_one=x"),
        ("GET /v1/recordings", None, "sip_trunks[]=12345&sip_trunks%5B%5D=23456"),
        ("GET /v1/cdrs/{uuid}", None, "show_transcription=true"),
        (
            "GET /v1/sub-organizations/{id}/billing/transactions",
            None,
            "type[]=1&type[]=2&from_date=2026-01-01&to_date=2026-01-02",
        ),
    ],
)
def test_what_the_api_takes_is_taken(operation: str, body: Any, query: str) -> None:
    assert check(operation, body, query) is None


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


@pytest.mark.parametrize(
    ("operation", "body", "query", "wrong"),
    [
        ("POST /v1/calls", None, "", "body: malformed JSON"),
        ("POST /v1/calls", [], "", "body: a JSON object is needed"),
        ("POST /v1/calls", without(CALL, "to"), "", "to"),
        ("POST /v1/calls", {**CALL, "to": 15551230002}, "", "to"),
        ("POST /v1/calls", {**CALL, "to": None}, "", "to"),
        ("POST /v1/calls", {**CALL, "recording": "yes"}, "", "recording"),
        ("POST /v1/calls", {**CALL, "timeout": True}, "", "timeout"),
        ("POST /v1/calls", {**CALL, "max_duration": 60}, "", "max_duration: unknown field"),
        ("POST /v1/calls/{id}/collect", {"max_digits": 21}, "", "max_digits: at most 20"),
        ("POST /v1/calls/{id}/collect", {"timeout": 0}, "", "timeout: at least 1"),
        ("POST /v1/calls/{id}/collect", {"prompt": {"say": {"voice": "Ivy"}}}, "", "prompt.say.text"),
        ("POST /v1/calls/{id}/streams", {**STREAM, "stream_url": "example"}, "", "stream_url"),
        ("POST /v1/calls/{id}/streams", {**STREAM, "stream_type": "both"}, "", "stream_type: one of oneway, twoway"),
        ("POST /v3/messages", {**TEXT, "smart_encoding": "yes"}, "", "smart_encoding"),
        ("POST /v3/messages", {**TEXT, "message_body": {"media": []}}, "", "message_body.text"),
        ("POST /v3/messages", {**TEXT, "message_body": {"text": "", "media": [1]}}, "", "message_body.media[0]"),
        ("POST /v3/messages", {**TEXT, "message_body": {"text": "", "media": ["u"] * 6}}, "", "at most 5"),
        ("POST /v3/messages/opt-outs", {"number": "1"}, "", "opt_out"),
        ("POST /v1/cdrs", {**SEARCH, "from": "01/31/2026"}, "", "from: a date such as"),
        ("POST /v1/cdrs", {**SEARCH, "disposition": "rejected"}, "", "disposition: one of answered"),
        ("POST /v2/webrtc/tokens", {"sip_trunk": "1"}, "", "ttl"),
        ("GET /v1/cdrs", None, "from=2026-01-01&to=2026-01-02", "type"),
        ("GET /v1/cdrs", None, f"{WEEK}&per_page=x", "per_page"),
        ("GET /v1/cdrs", None, "from=2026-13-01&to=2026-01-02&type=placed", "from: a date such as"),
        ("GET /v3/messages", None, "type=outbound&message_type=fax", "message_type: one of sms, mms"),
        ("DELETE /v1/calls/webhooks", None, "event_type=both", "event_type: one of post-call, on-call"),
        ("GET /v1/cdrs/{call_id}", None, "show_transcription=yes", "show_transcription"),
    ],
)
def test_what_the_api_refuses_is_refused_by_name(operation: str, body: Any, query: str, wrong: str) -> None:
    told = check(operation, body, query)
    assert told is not None
    assert wrong in told.removeprefix("400 Missing or invalid parameter ")


@pytest.mark.parametrize("name", [name for name, each in DESCRIBED.items() if examples_of(each.body)])
def test_the_examples_of_the_description_are_taken(name: str) -> None:
    for example in examples_of(DESCRIBED[name].body):
        assert check(name, example) is None


def test_the_operations_of_calls_tell_all_errors_of_a_body_at_once() -> None:
    found = request_check("POST", "/v1/calls")
    assert found is not None
    with pytest.raises(ApiError) as caught:
        found.check_body(json.dumps({"to": 5, "colour": "red"}).encode())
    assert caught.value.body == {
        "success": False,
        "message": "Validation error",
        "errors": {
            "from": "required",
            "to": "Missing or invalid parameter to",
            "colour": "Missing or invalid parameter colour: unknown field",
        },
    }


def test_another_operation_has_no_checks() -> None:
    assert request_check("GET", "/v1/numbers/{id}/papers/{paper}") is None


async def test_a_route_is_checked_before_its_handler_runs() -> None:
    headers = {"Authorization": "Bearer sandbox-key"}
    async with (
        Sandbox() as sandbox,
        aiohttp.ClientSession(sandbox.url, headers=headers) as session,
        session.get("/v3/messages?type=outbound&message_type=fax") as answer,
    ):
        assert (answer.status, await answer.json()) == (
            400,
            {"success": False, "message": "Missing or invalid parameter message_type: one of sms, mms"},
        )
