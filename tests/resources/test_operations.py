"""One row for each operation: the call, the request that it must send, and the result of the answer.

The contract test holds every `Operation` of the package against the vendor's description, where that is at hand.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from tests.support.examples import MESSAGE, OPT_OUT, SENDER_ID
from wavix_async import Operation, Success, WavixClient, resources, to_dict
from wavix_async._codec import is_model, shape_of
from wavix_async._http import find_id_field
from wavix_async.models import MessageContent

if TYPE_CHECKING:
    from tests.conftest import Api

SPEC: Final = Path(__file__).resolve().parents[3] / "shared" / "wavix-api" / "wavix-api.json"

PAGE: Final = {"current_page": 1, "per_page": 25, "total": 1, "total_pages": 1}


@attrs.frozen
class Row:
    """One operation: how it is called, what must be sent, what comes back."""

    call: Callable[[WavixClient], Awaitable[Any]]
    request: str
    answer: Any
    query: dict[str, str] = attrs.field(factory=dict)
    body: Any = None
    result: Any = None
    """What `to_dict` of the result gives; None: the answer itself."""


SHORT_MESSAGE: Final = {**MESSAGE, "message_id": "3f0d7d3e"}
SHORT_SENDER_ID: Final = {**SENDER_ID, "id": "5a4c"}

ROWS: Final = [
    Row(
        lambda w: w.messages.list(
            type="outbound", sent_after=date(2026, 1, 31), from_="Acme", to="447700900123", status="sent", limit=30
        ),
        "GET /v3/messages",
        {"items": [MESSAGE], "pagination": PAGE},
        query={
            "type": "outbound",
            "sent_after": "2026-01-31",
            "from": "Acme",
            "to": "447700900123",
            "status": "sent",
            "per_page": "30",
        },
    ),
    Row(lambda w: w.messages.get("3f0d7d3e"), "GET /v3/messages/3f0d7d3e", SHORT_MESSAGE),
    Row(
        lambda w: w.messages.get("3f0d7d3e"),
        "GET /v3/messages/3f0d7d3e",
        {"message": SHORT_MESSAGE},
        result=SHORT_MESSAGE,
    ),
    Row(
        lambda w: w.messages.send(
            from_="Acme", to="447700900123", message_body={"text": "Hello"}, validity=3600, smart_encoding=True
        ),
        "POST /v3/messages",
        MESSAGE,
        body={
            "from": "Acme",
            "to": "447700900123",
            "message_body": {"text": "Hello", "media": None},
            "validity": 3600,
            "smart_encoding": True,
        },
    ),
    Row(
        lambda w: w.messages.send(
            from_="Acme", to="1", message_body=MessageContent(text="Look", media=["https://media.example.com/1.png"])
        ),
        "POST /v3/messages",
        {**MESSAGE, "to": "1"},
        body={
            "from": "Acme",
            "to": "1",
            "message_body": {"text": "Look", "media": ["https://media.example.com/1.png"]},
        },
    ),
    Row(
        lambda w: w.messages.sender_ids.list(),
        "GET /v3/messages/sender-ids",
        {"items": [SENDER_ID]},
        result=[SENDER_ID],
    ),
    Row(
        lambda w: w.messages.sender_ids.create(
            sender_id="Acme", type="alphanumeric", countries=["GB"], usecase="promo", monthly_volume="1-1000"
        ),
        "POST /v3/messages/sender-ids",
        SENDER_ID,
        body={
            "sender_id": "Acme",
            "type": "alphanumeric",
            "countries": ["GB"],
            "usecase": "promo",
            "monthly_volume": "1-1000",
        },
    ),
    Row(lambda w: w.messages.sender_ids.get("5a4c"), "GET /v3/messages/sender-ids/5a4c", SHORT_SENDER_ID),
    Row(lambda w: w.messages.sender_ids.delete("5a4c"), "DELETE /v3/messages/sender-ids/5a4c", {"success": True}),
    Row(
        lambda w: w.messages.opt_outs.list(campaign_id="C123456", created_before="2026-02-01", page=2, per_page=10),
        "GET /v3/messages/opt-outs",
        {"items": [OPT_OUT], "pagination": PAGE},
        query={"campaign_id": "C123456", "created_before": "2026-02-01", "page": "2", "per_page": "10"},
    ),
    Row(
        lambda w: w.messages.opt_outs.create(number="15550100200", sender_id="Acme"),
        "POST /v3/messages/opt-outs",
        {"success": True},
        body={"opt_out": {"number": "15550100200", "sender_id": "Acme"}},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[f"{at}: {row.request}" for at, row in enumerate(ROWS)])
async def test_the_request_and_the_answer(api: Api, wavix: WavixClient, row: Row) -> None:
    method, path = row.request.split()
    api.answer(method, path, row.answer)

    result = await row.call(wavix)

    (sent,) = api.sent
    assert dict(sent.query) == row.query
    assert (None if sent.data is None else sent.json) == row.body
    wire = to_dict(result)
    assert wire == (row.answer if row.result is None else row.result)


async def test_a_message_reads_as_what_it_means(api: Api, wavix: WavixClient) -> None:
    api.answer("GET", "/v3/messages/3f0d7d3e", SHORT_MESSAGE)

    message = await wavix.messages.get("3f0d7d3e")

    assert (message.from_, message.charge, message.status) == ("Acme", Decimal("0.0475"), "accepted")
    assert message.submitted_at == datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    assert message.message_body.text == "Hello"
    assert not message.extra


@pytest.mark.parametrize("word", ["all", "sender-ids", "opt-outs"])
async def test_an_id_that_would_reach_another_operation(api: Api, wavix: WavixClient, word: str) -> None:
    with pytest.raises(ValueError, match=f"must not be '{word}'"):
        await wavix.messages.get(word)

    assert api.sent == []


async def test_an_answer_of_204_confirms(api: Api, wavix: WavixClient) -> None:
    api.answer("DELETE", "/v3/messages/sender-ids/5a4c", status=204, body=b"")

    assert await wavix.messages.sender_ids.delete("5a4c") == Success(success=True)


# --- all operations ---


def operations() -> dict[str, Operation[Any]]:
    """Return every operation of the package, by name."""
    found: dict[str, Operation[Any]] = {}
    for module in pkgutil.walk_packages(resources.__path__, f"{resources.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Operation):
                found[value.name] = value
    return found


def test_every_operation_has_a_row_or_a_test_of_its_own() -> None:
    own = {
        name
        for name in operations()
        if name.endswith(("/v1/numbers", "/v1/numbers/{id}", "/v1/numbers/papers", "/v3/messages/all"))
    }
    rows = {re.sub(r"/[0-9a-f]{4,}$", "/{id}", row.request) for row in ROWS}

    assert operations().keys() - own == rows


@pytest.mark.req_26
def test_every_answer_about_one_record_shows_its_id() -> None:
    """An operation whose path ends with an id has a model with that id, or only confirms."""
    evidence = {
        name: find_id_field(operation)
        for name, operation in operations().items()
        if operation.path.endswith("}") and operation.result is not Success
    }
    assert evidence == {
        "GET /v1/numbers/{id}": "id",
        "PATCH /v1/numbers/{id}": "id",
        "GET /v3/messages/{id}": "message_id",
        "GET /v3/messages/sender-ids/{id}": "id",
    }


@pytest.mark.req_26
def test_what_an_operation_declares_of_its_answer_is_in_its_model() -> None:
    for name, operation in operations().items():
        if is_model(operation.result):
            names = shape_of(operation.result).names
            assert set(operation.echoes or ()) <= names, name
            assert not operation.answer_id or operation.answer_id in names, name


def described() -> dict[str, Any]:
    if not SPEC.exists():
        pytest.skip("the vendor's description is not at hand")
    return json.loads(SPEC.read_text(encoding="utf-8"))


def test_every_operation_is_one_of_the_api() -> None:
    paths = described()["paths"]
    for name, operation in operations().items():
        stated = paths[operation.path][operation.method.lower()]
        scopes = [scope for one in stated.get("security", []) for scopes in one.values() for scope in scopes]
        assert [operation.scope] == scopes, name


def test_a_success_is_confirmed_where_the_description_says_so() -> None:
    paths = described()["paths"]
    for name, operation in operations().items():
        answers = paths[operation.path][operation.method.lower()]["responses"]
        stated = json.dumps([answer for status, answer in answers.items() if status.startswith("2")])
        assert ("/SuccessResponse" in stated) == (operation.result is Success), name


def test_every_query_parameter_of_the_api_can_be_given() -> None:
    spec = described()
    for call in (
        WavixClient("key").numbers.list,
        WavixClient("key").messages.list,
        WavixClient("key").messages.opt_outs.list,
    ):
        path = re.search(r"GET (/\S+?)\)", call.__doc__ or "")
        assert path is not None
        stated = {each["name"] for each in spec["paths"][path[1]]["get"]["parameters"] if each["in"] == "query"}
        ours = {name.rstrip("_") for name in inspect.signature(call).parameters}
        assert stated <= ours, path[1]
