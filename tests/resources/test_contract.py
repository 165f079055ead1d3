"""Every operation of the package against the API's own description."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import attrs
import pytest

from tests.support.description import DESCRIBED, Described, resolved
from tests.support.operations import Method, methods, operations
from wavix_async import Operation, Success, models
from wavix_async._codec import is_list, is_model, is_union, members, shape_of
from wavix_async._http import Download, Export

OPERATIONS: Final = operations()
METHODS: Final = methods()

NOT_IN_THE_DESCRIPTION: Final = {
    # How the package pages, and what callers choose for themselves.
    *("limit", "page", "per_page", "progress", "filename", "accept_unknown_length"),
    # The newer SDK, the guides and the shortcuts of the methods (see the docstrings).
    *("smart_encoding", "idempotency_key", "text", "media"),
    # One method lists the campaigns of a brand, or of all.
    "brand_id",
}
"""Keywords of methods that the description does not have."""
RELAXED: Final = {"callback_url", "page", "per_page", "async", "force", "media", "message_body"} | {
    # 10DLC: the newer SDK leaves them out.
    *("state_or_province", "evidence", "mock", "affiliate_marketing", "embedded_phones", "embedded_link_sample"),
    *("sample2", "sample3", "sample4", "sample5"),
    # Only listed companies have them.
    *("stock_symbol", "stock_exchange"),
    *("POST /v1/trunks cost_limit", "PUT /v1/trunks/{id} cost_limit", "PUT /v1/sub-organizations/{id} name"),
}
"""What the description requires, and the API or a shortcut does not: of all operations, or of one."""


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_one_of_the_api_and_has_its_scope(name: str) -> None:
    assert name in DESCRIBED
    assert OPERATIONS[name].scope == DESCRIBED[name].scope


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_success_is_confirmed_where_the_description_says_so(name: str) -> None:
    assert ("/SuccessResponse" in json.dumps(DESCRIBED[name].answers)) == (OPERATIONS[name].result is Success)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_a_method_that_names_it(name: str) -> None:
    assert METHODS.get(name), f"say ({name}) in the first sentences of the docstring of the method"


def inputs(described: Described) -> tuple[set[str], set[str]]:
    """Return the names of all parameters and fields that a caller gives, and those that are required."""
    names = {each["name"] for each in described.query}
    required = {each["name"] for each in described.query if each.get("required")}
    schema: Any = described.body.get("schema") or described.form.get("schema") or {}
    for part in parts(schema):
        names |= part.get("properties", {}).keys()
        required |= set(part.get("required", ()))
    return names, required


def parts(schema: Any) -> Iterator[Any]:
    """Yield a schema, and those that it is made of."""
    schema = resolved(schema)
    yield schema
    for key in ("allOf", "oneOf", "anyOf"):
        for part in schema.get(key, ()):
            yield from parts(part)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name in METHODS])
def test_everything_that_the_api_takes_can_be_given_and_nothing_else(name: str) -> None:
    operation, described, method = OPERATIONS[name], DESCRIBED[name], METHODS[name][0]
    names, required = inputs(described)
    if operation.wrap:
        (inner,) = [part["properties"] for part in parts(described.body["schema"]) if "properties" in part]
        assert set(inner) == {operation.wrap}
        names, required = inputs(attrs.evolve(described, body={"schema": inner[operation.wrap]}))

    given = {keyword.removesuffix("_") for keyword in method.keywords[len(operation.placeholders) :]}

    assert names <= given
    assert given <= names | NOT_IN_THE_DESCRIPTION
    needed = {keyword.removesuffix("_") for keyword in method.required} & names
    assert needed <= required
    assert {each for each in required - needed if f"{name} {each}" not in RELAXED} <= RELAXED


# --- answers ---


def differences(kind: Any, schema: Any, place: str) -> Iterator[str]:
    """Yield what a schema of the description has, and the type that answers are read into does not."""
    schema = resolved(schema)
    if is_union(kind):
        found = [list(differences(each, schema, place)) for each in members(kind) if each is not type(None)]
        yield from min(found, key=len)
        return
    for part in parts(schema):
        if is_list(kind) and "items" in part:
            yield from differences(typing.get_args(kind)[0], part["items"], f"{place}[]")
        elif is_model(kind):
            fields = {field.wire: field.kind for field in shape_of(kind).fields}
            for name, each in part.get("properties", {}).items():
                if name not in fields:
                    yield f"{place}.{name} is not in {kind.__name__}"
                else:
                    if (wanted := described_type(each)) and not any(wanted(one) for one in members(fields[name])):
                        yield f"{place}.{name} is read as {fields[name]}"
                    yield from differences(fields[name], each, f"{place}.{name}")
        elif isinstance(kind, type) and issubclass(kind, Enum) and "enum" in part:
            values = {member.value for member in kind}
            yield from (
                f"{place}: {kind.__name__} lacks {value!r}"
                for value in part["enum"]
                if value is not None and value not in values
            )


def described_type(schema: Any) -> Any:
    """Return a test that a type can hold what a schema describes; None: the schema does not say."""
    for part in parts(schema):
        kinds = part.get("type")
        kind = next((each for each in kinds if each != "null"), "null") if isinstance(kinds, list) else kinds
        test = READ_AS.get(f"{kind} {part.get('format', '')}".strip()) or READ_AS.get(str(kind))
        if test:
            return test
    return None


def is_subclass(*kinds: type) -> Any:
    return lambda kind: isinstance(kind, type) and issubclass(kind, kinds)


READ_AS: Final[dict[str, Any]] = {
    "string date-time": is_subclass(datetime),
    "string date": lambda kind: kind is date,
    "string": is_subclass(str, Decimal, datetime, date),
    "integer": is_subclass(int),
    "number": is_subclass(float, int, Decimal),
    "boolean": lambda kind: kind is bool,
    "array": is_list,
    "object": lambda kind: is_model(kind) or typing.get_origin(kind) is dict or kind in (dict, object),
}


def described_answers(operation: Operation[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield the type and the schema of each successful answer."""
    for status, answer in DESCRIBED[operation.name].answers.items():
        if operation.pending_202 and status == "202":
            continue
        for content_type, content in answer.get("content", {}).items():
            schema = content.get("schema")
            if schema is None or operation.result is Download:
                continue
            kind: Any = operation.result
            if typing.get_origin(kind) is Export:
                kind = typing.get_args(kind)[0]
            assert content_type in ("application/json", "application/x-ndjson"), operation.name
            if operation.unwrap:
                inner = [each["properties"] for each in parts(schema) if operation.unwrap in each.get("properties", {})]
                schema = inner[0][operation.unwrap] if inner else schema
            yield kind, schema


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_model_of_an_answer_has_every_field_and_every_value(name: str) -> None:
    found = {each for kind, schema in described_answers(OPERATIONS[name]) for each in differences(kind, schema, name)}

    assert found == set()


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name in METHODS])
def test_the_enums_of_what_is_sent_have_every_value(name: str) -> None:
    described, method = DESCRIBED[name], METHODS[name][0]
    model = method.model
    if model is None:
        return
    fields = {field.wire: field.kind for field in shape_of(model).fields}
    stated: dict[str, Any] = {each["name"]: each["schema"] for each in described.query}
    for part in parts(described.body.get("schema", {})):
        for key, each in part.get("properties", {}).items():
            stated |= {key: each} if key in fields else resolved(each).get("properties", {})

    found = [
        each for key in stated.keys() & fields.keys() for each in enum_gaps(fields[key], stated[key], f"{name}.{key}")
    ]

    assert found == []


def enum_gaps(kind: Any, schema: Any, place: str) -> Iterator[str]:
    enums = [each for each in members(kind) if isinstance(each, type) and issubclass(each, Enum)]
    for part in parts(schema):
        for value in part.get("enum", ()):
            if enums and value is not None and not any(value in {each.value for each in enum} for enum in enums):
                yield f"{place} lacks {value!r}"


def test_a_gap_is_found() -> None:
    schema = {"properties": {"message_id": {"type": "string"}, "status": {"enum": ["sent", "eaten"]}, "taste": {}}}

    assert sorted(differences(list[models.Message], {"items": schema}, "x")) == [
        "x[].status: MessageDeliveryStatus lacks 'eaten'",
        "x[].taste is not in Message",
    ]
    assert list(enum_gaps(models.MessageType | str, {"enum": ["sms", "fax", None]}, "x")) == ["x lacks 'fax'"]


def test_a_method_is_found_by_its_docstring() -> None:
    assert METHODS["GET /v3/messages/{id}"][0] == Method(
        "messages.get", "GET /v3/messages/{id}", ("message_id",), ("message_id",), None
    )
