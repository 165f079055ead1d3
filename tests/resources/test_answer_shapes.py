"""Every shape of an answer that the API was seen to send: wrapped, bare, 200, 201, 204, pages without counts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.description import DESCRIBED, examples_of
from tests.support.example_calls import arguments, truth
from tests.support.operations import methods, operations
from wavix_async import Operation, Success, WavixClient, from_dict, models, to_dict
from wavix_async._codec import shape_of
from wavix_async._http import Download, Export
from wavix_async.models import Page

if TYPE_CHECKING:
    from tests.conftest import Api

OPERATIONS: Final = {
    name: operation
    for name, operation in operations().items()
    if operation.result is not Download and not isinstance(operation.result, type(Export[Any]))
}
METHODS: Final = methods()


def named(*names: str) -> Any:
    return pytest.mark.parametrize("name", names)


async def call(api: Api, wavix: WavixClient, name: str, change: Any = None, **answer: Any) -> tuple[Any, Any]:
    """Call an operation with the examples of the description; return the result, and the example of the answer."""
    operation, described = OPERATIONS[name], DESCRIBED[name]
    ids, given = arguments(operation, METHODS[name][0], described)
    content = next(iter(described.answers.values()))["content"]["application/json"]
    example = examples_of(content)[0]
    if operation.batch_ids in given and operation.result is not Success:
        records = example["items"] if isinstance(example, dict) else example
        given[operation.batch_ids] = [each[operation.answer_id or "id"] for each in records]
    example = truth(operation, example, ids, given)
    path = described.path
    for parameter, value in zip((each for each in described.parameters if each["in"] == "path"), ids, strict=True):
        path = path.replace(f"{{{parameter['name']}}}", str(value))
    api.answer(operation.method, path, change(example) if change else example, **answer)
    return await METHODS[name][0].of(wavix)(*ids, **given), example


@named(*OPERATIONS)
async def test_any_status_of_success_is_one(api: Api, wavix: WavixClient, name: str) -> None:
    usual, _ = await call(api, wavix, name, status=200)
    other, _ = await call(api, wavix, name, status=201)

    assert other == usual


@named(*(name for name, operation in OPERATIONS.items() if operation.result is Success))
async def test_every_form_of_a_confirmation(api: Api, wavix: WavixClient, name: str) -> None:
    for answer in ({"status": 204, "body": b""}, {"status": 200, "body": b""}, {"status": 201}):
        result, _ = await call(api, wavix, name, **answer)
        assert result == Success(success=True)
    more, _ = await call(api, wavix, name, lambda answer: {**answer, "status": "pending"})
    assert (more.success, more.extra) == (True, {"status": "pending"})


@named(*(name for name, operation in OPERATIONS.items() if operation.unwrap))
async def test_a_result_is_found_with_and_without_its_key(api: Api, wavix: WavixClient, name: str) -> None:
    key = OPERATIONS[name].unwrap
    result, example = await call(api, wavix, name)
    record = example.get(key, example)
    for answer in (record, {key: record}, {"success": True, key: record}):
        other, _ = await call(api, wavix, name, lambda _, answer=answer: answer)
        assert other == result
        assert to_dict(other) == record


def page_of(operation: Operation[Any]) -> Any:
    """Return the class of a page; None: the operation has none."""
    kind: Any = operation.result
    return kind if isinstance(kind, type) and issubclass(kind, Page) else None


@named(*(name for name, operation in OPERATIONS.items() if page_of(operation)))
async def test_a_page_may_be_empty_and_need_not_count(api: Api, wavix: WavixClient, name: str) -> None:
    key = next(field.wire for field in shape_of(page_of(OPERATIONS[name])).fields if field.name == "items")
    nothing = {"current_page": 1, "per_page": 50, "total": 0, "total_pages": 1}
    for changed in (
        {key: [], "pagination": nothing},
        {key: [], "pagination": {**nothing, "per_page": 0, "total_pages": 0}},
        {key: []},
        {key: None, "pagination": nothing},
    ):
        page, _ = await call(api, wavix, name, lambda _, changed=changed: changed)
        assert (list(page), page.has_next, to_dict(page)) == ([], False, changed)
    result, example = await call(api, wavix, name, lambda answer: {key: answer[key]})
    assert len(result) == len(example[key]) > 0
    assert result.has_next is False


# --- bodies that guides, other SDKs and their users show ---

SEEN: Final[list[tuple[Any, dict[str, Any], Mapping[str, Any]]]] = [
    (
        models.Message,
        {
            "message_id": "871b4eeb",
            "message_type": "sms",
            "from": "Wavix",
            "to": "+447537151866",
            "mcc": "301",
            "mnc": "204",
            "message_body": {"text": "Hi there", "media": []},
            "tag": "fall",
            "status": "accepted",
            "segments": 1,
            "charge": "0.02",
            "submitted_at": "2024-06-26T14:02:08",
            "sent_at": None,
            "delivered_at": None,
            "error_message": None,
        },
        {"direction": None, "charge": Decimal("0.02")},
    ),
    (
        models.Message,
        {"message_id": "871b4eeb", "from": "Wavix", "to": "447537151866", "status": "delivered", "charge": 0.02},
        {"charge": Decimal("0.02"), "segments": None},
    ),
    (
        models.CDR,
        {
            "uuid": "99df5ffd",
            "date": "2023-08-21 06:43:36.120Z",
            "from": 14302287001,
            "to": 33170363950,
            "disposition": "ANSWERED",
            "duration": 6,
            "per_minute": 0.027,
            "charge": 0.027,
        },
        {"disposition": "answered", "charge": Decimal("0.027")},
    ),
    (models.CDR, {"call_id": "99df5ffd", "disposition": "rejected"}, {"disposition": "rejected"}),
    (models.CDRTranscription, {"uuid": "1", "language": None, "status": "in progress"}, {"language": None}),
]
"""Model, body, and what some fields must read as."""


@pytest.mark.parametrize(("kind", "body", "reads"), SEEN)
def test_a_body_that_was_seen_decodes(kind: Any, body: dict[str, Any], reads: Mapping[str, Any]) -> None:
    model = from_dict(kind, body)

    assert to_dict(model) == body
    assert {name: getattr(model, name) for name in reads} == dict(reads)
