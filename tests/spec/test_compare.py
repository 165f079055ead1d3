"""`wavix_async.spec.compare`: an API description against the package."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

import wavix_async
from tests.support.description import DOCUMENT
from tests.support.description_changes import change_one, opened
from tests.support.operations import operations
from wavix_async import InputError
from wavix_async.spec import Comparison, Effect, SpecChange, compare

KNOWN: Final[list[Any]] = json.loads(
    (Path(wavix_async.__file__).parent / "spec" / "known.json").read_text(encoding="utf-8")
)["deviations"]


def changes_of(document: Any) -> list[SpecChange]:
    return list(compare(document).changes)


# --- the description that the package was made with ---


def test_the_vendors_description_has_nothing_but_what_the_package_chose() -> None:
    comparison = compare(DOCUMENT)

    assert comparison.changes == (), comparison.to_markdown()
    assert not comparison
    assert len(comparison.known) > 50


def test_every_known_deviation_is_still_one_and_has_a_source() -> None:
    found = {
        (each.side, each.subject, str(each.kind), each.expected, each.found, name)
        for each in compare(DOCUMENT).known
        for name in each.operations
    }
    stale = [
        (each["subject"], value, name)
        for each in KNOWN
        for value in ([each["expected"]] if isinstance(each["expected"], str) else each["expected"])
        for name in each["operations"]
        if (each["side"], each["subject"], each["kind"], value, each["found"], name) not in found
    ]

    assert stale == []
    assert all(len(each["source"]) > 20 for each in KNOWN)


def test_a_known_deviation_at_another_operation_is_a_difference() -> None:
    """The list of CDRs has no `recording_url`; a single CDR has."""
    document = opened("/v1/cdrs/{call_id}")
    one = document["paths"]["/v1/cdrs/{call_id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    removed = [
        part["properties"].pop("recording_url")
        for part in (one, *one.get("allOf", ()))
        if "properties" in part and "recording_url" in part["properties"]
    ]

    (change,) = changes_of(document)

    assert len(removed) == 1
    assert (change.subject, change.kind, change.operations) == (
        "CDR.recording_url",
        "removed",
        ("GET /v1/cdrs/{call_id}",),
    )


def test_a_description_that_comes_to_what_the_package_chose_is_no_difference() -> None:
    document = opened("/v2/webrtc/tokens", "/v1/calls")
    tokens = document["paths"]["/v2/webrtc/tokens"]["get"]
    tokens["parameters"] = [{"name": "page", "in": "query", "schema": {"type": "integer"}}]
    body_of(document, "/v1/calls", "post")["required"].remove("callback_url")

    assert changes_of(document) == []


# --- changes ---


def body_of(document: Any, path: str, method: str) -> Any:
    return with_properties(document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"])


def answer_of(document: Any, path: str, method: str, status: str = "200") -> Any:
    answer = document["paths"][path][method]["responses"][status]
    return with_properties(answer["content"]["application/json"]["schema"])


def with_properties(schema: Any) -> Any:
    """Return the part of a schema that has the properties."""
    return schema if "properties" in schema else next(each for each in schema["allOf"] if "properties" in each)


def add_operation(document: Any) -> None:
    document["paths"]["/v9/faxes"] = {"get": {"responses": {"200": {"description": "Faxes."}}}}


def remove_operation(document: Any) -> None:
    del document["paths"]["/v1/calls/{id}/play"]


def move_operation(document: Any) -> None:
    document["paths"]["/v2/calls/{id}/collect"] = document["paths"].pop("/v1/calls/{id}/collect")


def change_method(document: Any) -> None:
    item = document["paths"]["/v1/calls/{id}/answer"]
    item["put"] = item.pop("post")


def change_scope(document: Any) -> None:
    document["paths"]["/v3/messages"]["get"]["security"] = [{"bearerAuth": ["sms:read"]}]


def add_parameter(document: Any) -> None:
    document["paths"]["/v1/numbers"]["get"]["parameters"].append(
        {"name": "country", "in": "query", "schema": {"type": "string"}}
    )


def remove_parameter(document: Any) -> None:
    operation = document["paths"]["/v3/messages"]["get"]
    operation["parameters"] = [each for each in operation["parameters"] if each["name"] != "tag"]


def retype_parameter(document: Any) -> None:
    parameters = document["paths"]["/v1/numbers"]["get"]["parameters"]
    next(each for each in parameters if each["name"] == "city_id")["schema"] = {"type": "boolean"}


def require_parameter(document: Any) -> None:
    parameters = document["paths"]["/v1/recordings"]["get"]["parameters"]
    next(each for each in parameters if each["name"] == "from_date")["required"] = True


def add_required_field(document: Any) -> None:
    body = body_of(document, "/v3/messages", "post")
    body["properties"]["campaign_id"] = {"type": "string"}
    body["required"].append("campaign_id")


def add_field(document: Any) -> None:
    body_of(document, "/v2/webrtc/tokens", "post")["properties"]["region"] = {"type": "string"}


def remove_field(document: Any) -> None:
    del body_of(document, "/v3/messages", "post")["properties"]["validity"]


def retype_field(document: Any) -> None:
    body_of(document, "/v1/calls", "post")["properties"]["timeout"] = {"type": "string"}


def require_field(document: Any) -> None:
    body_of(document, "/v3/messages", "post")["required"].append("tag")


def add_answer_field(document: Any) -> None:
    answer_of(document, "/v1/numbers/{id}", "get")["properties"]["colour"] = {"type": "string"}


def remove_answer_field(document: Any) -> None:
    del answer_of(document, "/v1/numbers/{id}", "patch")["properties"]["label"]


def retype_answer_field(document: Any) -> None:
    answer_of(document, "/v2/webrtc/tokens/{id}", "get")["properties"]["ttl"] = {"type": ["string", "null"]}


def make_answer_field_nullable(document: Any) -> None:
    answer_of(document, "/v1/numbers/{id}", "get")["properties"]["number"] = {"type": ["string", "null"]}


def add_value(document: Any) -> None:
    parameters = document["paths"]["/v1/cdrs"]["get"]["parameters"]
    schema = next(each for each in parameters if each["name"] == "disposition")["schema"]
    schema["allOf"][0]["enum"].append("missed")


def remove_value(document: Any) -> None:
    body = body_of(document, "/v1/calls/webhooks", "post")
    body["properties"]["event_type"]["enum"].remove("post-call")


def change_answer_to_file(document: Any) -> None:
    document["paths"]["/v2/webrtc/tokens"]["get"]["responses"]["200"] = {"content": {"text/csv": {}}}


def limit_field(document: Any) -> None:
    body_of(document, "/v3/messages", "post")["properties"]["tag"]["maxLength"] = 12


def move_parameter(document: Any) -> None:
    item = document["paths"]["/v1/calls/webhooks"]["delete"]
    next(each for each in item["parameters"] if each["name"] == "event_type")["in"] = "header"


def add_status(document: Any) -> None:
    document["paths"]["/v3/messages"]["post"]["responses"]["429"] = {"description": "Too many."}


def deprecate_operation(document: Any) -> None:
    document["paths"]["/v3/messages/all"]["get"]["deprecated"] = True


def remove_event_field(document: Any) -> None:
    schema = document["webhooks"]["DeliveryReport"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    del schema["properties"]["status"]


def move_server(document: Any) -> None:
    document["servers"] = [{"url": "https://api2.wavix.com"}]


def retype_placeholder(document: Any) -> None:
    operation = document["paths"]["/v1/numbers/{id}"]["patch"]
    next(each for each in operation["parameters"] if each["name"] == "id")["schema"] = {"type": "string"}


def introduce_enum(document: Any) -> None:
    body_of(document, "/v2/webrtc/tokens", "post")["properties"]["sip_trunk"]["enum"] = ["a", "b"]


PLANTED: Final[list[tuple[Callable[[Any], None], str, str, str]]] = [
    (move_server, "breaks_calls", "server changed", "the API"),
    (retype_placeholder, "breaks_calls", "retyped", "PATCH /v1/numbers/{id} id"),
    (introduce_enum, "breaks_calls", "limits changed", "WebRTCTokenCreate.sip_trunk"),
    (remove_operation, "breaks_calls", "operation removed", "POST /v1/calls/{id}/play"),
    (move_operation, "breaks_calls", "operation moved", "POST /v1/calls/{id}/collect"),
    (change_method, "breaks_calls", "operation moved", "POST /v1/calls/{id}/answer"),
    (change_scope, "breaks_calls", "scope changed", "GET /v3/messages"),
    (remove_parameter, "breaks_calls", "removed", "MessageList.tag"),
    (retype_parameter, "breaks_calls", "retyped", "NumberList.city_id"),
    (require_parameter, "breaks_calls", "newly required", "RecordingList.from_date"),
    (add_required_field, "breaks_calls", "added", "MessageCreate.campaign_id"),
    (remove_field, "breaks_calls", "removed", "MessageCreate.validity"),
    (retype_field, "breaks_calls", "retyped", "CallCreate.timeout"),
    (require_field, "breaks_calls", "newly required", "MessageCreate.tag"),
    (remove_value, "breaks_calls", "value removed", "CallWebhookCreate.event_type"),
    (limit_field, "breaks_calls", "limits changed", "MessageCreate.tag"),
    (move_parameter, "breaks_calls", "moved", "DELETE /v1/calls/webhooks event_type"),
    (remove_answer_field, "breaks_reading", "removed", "Number.label"),
    (retype_answer_field, "breaks_reading", "retyped", "WebRTCToken.ttl"),
    (make_answer_field_nullable, "breaks_reading", "newly nullable", "Number.number"),
    (change_answer_to_file, "breaks_reading", "content changed", "GET /v2/webrtc/tokens"),
    (remove_event_field, "breaks_reading", "removed", "DeliveryReport.status"),
    (add_operation, "not_covered", "operation added", "GET /v9/faxes"),
    (add_parameter, "not_covered", "added", "NumberList.country"),
    (add_field, "not_covered", "added", "WebRTCTokenCreate.region"),
    (add_answer_field, "not_covered", "added", "Number.colour"),
    (add_value, "not_covered", "value added", "CDRList.disposition"),
    (add_status, "harmless", "statuses changed", "status 429"),
    (deprecate_operation, "harmless", "deprecated", "GET /v3/messages/all"),
]


def planted() -> Any:
    """Return a description in which everything can be changed that the functions above change."""
    return opened(
        *("/v1/calls", "/v1/calls/{id}/answer", "/v1/calls/{id}/collect", "/v1/calls/{id}/play", "/v1/calls/webhooks"),
        *(
            "/v1/cdrs",
            "/v1/numbers",
            "/v1/numbers/{id}",
            "/v1/recordings",
            "/v2/webrtc/tokens",
            "/v2/webrtc/tokens/{id}",
        ),
        *("/v3/messages", "/v3/messages/all"),
        webhooks=True,
    )


def test_all_planted_changes_are_named_and_nothing_else_and_the_worst_come_first() -> None:
    document = planted()
    for plant, *_ in PLANTED:
        plant(document)

    found = changes_of(document)

    assert sorted((each.effect, each.kind, each.subject) for each in found) == sorted(each[1:] for each in PLANTED)
    order = list(Effect)
    assert [order.index(each.effect) for each in found] == sorted(order.index(each.effect) for each in found)


@pytest.mark.parametrize(("plant", "effect", "kind", "subject"), PLANTED[::4])
def test_a_planted_change_is_named_alone(plant: Callable[[Any], None], effect: str, kind: str, subject: str) -> None:
    document = planted()
    plant(document)

    assert [(each.effect, each.kind, each.subject) for each in changes_of(document)] == [(effect, kind, subject)]


def check_random_change(seed: int) -> None:
    document, operation, side, kind, field = change_one(operations(), random.Random(seed))

    found = compare(document)
    named, known = (
        [each for each in changes if operation in each.operations and each.side == side and field in each.subject]
        for changes in (found.changes, found.known)
    )

    # With this change, the description may come to what this package chose: that is no difference.
    assert known or kind in {each.kind for each in named}, (operation, side, kind, field)


@pytest.mark.parametrize("seeds", [range(16), pytest.param(range(16, 316), marks=pytest.mark.scale)])
def test_changes_at_random_fields_are_named(seeds: range) -> None:
    for seed in seeds:
        check_random_change(seed)


def test_texts_and_examples_do_not_matter() -> None:
    document = opened("/v1/numbers/{id}")
    document["info"] = {"version": "2.0"}
    number = answer_of(document, "/v1/numbers/{id}", "get")
    number["properties"]["label"] |= {"description": "Other words.", "example": "x"}
    number["properties"] = dict(reversed(number["properties"].items()))

    assert changes_of(document) == []


def test_the_path_of_a_server_belongs_to_the_paths() -> None:
    document = {**DOCUMENT, "servers": [{"url": "https://api.wavix.com/v1"}], "paths": {}}
    for path, item in DOCUMENT["paths"].items():
        version, rest = path[1:].split("/", 1)
        servers = {} if version == "v1" else {"servers": [{"url": f"https://api.wavix.com/{version}/"}]}
        document["paths"][f"/{rest}"] = item | servers

    assert changes_of(document) == []


def test_the_same_change_of_many_operations_is_one() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    page = schemas["Pagination"]
    page = {**page, "properties": {**page["properties"], "cursor": {"type": "string"}}}
    document = {**DOCUMENT, "components": {**DOCUMENT["components"], "schemas": {**schemas, "Pagination": page}}}

    (change,) = changes_of(document)

    assert change.subject == "Pagination.cursor"
    assert len(change.operations) == 17


# --- bad input ---


def with_schema(schema: Any, **components: Any) -> Any:
    content = {"application/json": {"schema": schema}}
    return {
        "openapi": "3.1.0",
        "paths": {"/v1/x": {"get": {"responses": {"200": {"content": content}}}}},
        "components": {"schemas": components},
    }


def ref(name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}"}


BAD: Final[list[tuple[Any, str]]] = [
    ("", "empty"),
    ("not json", "not JSON: see line 1, column 1"),
    ('{"openapi": "3.1.0", }', "not JSON"),
    (b"\xff\xfe{}", "not UTF-8"),
    ("openapi: 3.1.0\ninfo:\n  title: x\n", "YAML.*convert"),
    ("---\nfoo: 1\n", "YAML.*convert"),
    ("[]", "got an array"),
    (None, "got null"),
    (7, "got a number"),
    ("[" * 100_000, "nested too deeply|not JSON"),
    ({}, "no key openapi"),
    ({"swagger": "2.0", "paths": {}}, "Swagger 2.0"),
    ({"openapi": "2.9", "paths": {}}, "openapi '2.9'"),
    ({"openapi": "3.1.0"}, "no object paths"),
    ({"openapi": "3.1.0", "paths": []}, "no object paths"),
    ({"openapi": "3.1.0", "paths": {"/v1/x": 3}}, "paths /v1/x: an object"),
    ({"openapi": "3.1.0", "paths": {"/v1/x": {"get": []}}}, "paths /v1/x get: an object"),
    ({"openapi": "3.1.0", "paths": {}, "webhooks": [1]}, "webhooks: an object"),
    (
        {"openapi": "3.1.0", "paths": {"/x": {"get": {"parameters": [{"name": {}, "in": "query"}]}}}},
        "a name and a place",
    ),
    (with_schema(3), "a schema"),
    (with_schema({"properties": []}), "an object is needed"),
    (with_schema({"allOf": 3}), "a list is needed"),
    (with_schema(ref("Gone")), "'#/components/schemas/Gone', which leads nowhere"),
    (with_schema({"$ref": "other.json#/X"}), "another file"),
    (with_schema(ref("A"), A=ref("B"), B=ref("A")), "circular .ref: A -> B -> A"),
    (with_schema(ref("Tree"), Tree={"properties": {"child": ref("Tree")}}), "circular .ref: Tree -> Tree"),
    ({"openapi": "3.1.0", "paths": {"/v1/x": {"$ref": "#/paths/~1v1~1x"}}}, "circular"),
    (" " * (16 * 1024 * 1024 + 1), "more than 16 MB"),
]


@pytest.mark.parametrize(("spec", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_an_error_that_says_what_is_wrong(spec: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        compare(spec)

    assert len(str(caught.value)) < 400


def test_references_that_make_a_small_document_huge_are_refused() -> None:
    schemas = {f"S{n}": {"properties": {f"p{k}": ref(f"S{n + 1}") for k in range(20)}} for n in range(12)}

    with pytest.raises(InputError, match="too large"):
        compare(with_schema(ref("S0"), **schemas, S12={"type": "string"}))


@pytest.mark.parametrize("seed", range(10))
def test_a_damaged_document_is_compared_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    document = copy.deepcopy(DOCUMENT)
    for _ in range(20):
        node = document
        while True:
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], dict | list) and node[key] and rng.random() < 0.9:
                node = node[key]
                continue
            node[key] = rng.choice([None, 0, "x", [], {}, [None], {"$ref": 3}, {"type": "x"}, True])
            break
    try:
        found = compare(document)
    except InputError:
        return
    assert found.to_markdown()
    assert json.loads(found.to_json())["changes"]


# --- output ---


def test_json_and_markdown() -> None:
    document = opened("/v3/messages")
    body = body_of(document, "/v3/messages", "post")
    body["properties"]["<b>|`x`\n\x1b[31m"] = {"type": "string"}
    body["required"].append("tag")

    found = Comparison(changes=tuple(changes_of(document)), known=compare(document).known)

    data = json.loads(found.to_json())
    assert data["changes"][0] == {
        "kind": "newly required",
        "effect": "breaks_calls",
        "side": "request",
        "subject": "MessageCreate.tag",
        "operations": ["POST /v3/messages"],
        "expected": "",
        "found": "",
    }
    assert len(data["known"]) == len(found.known) > 10
    text = found.to_markdown()
    assert text.startswith("# 2 differences\n\n## Breaks calls (1)\n")
    assert "| request | `MessageCreate.tag` | newly required |  |  | `POST /v3/messages` |" in text
    assert r"`MessageCreate.<b>\u007c\u0060x\u0060\u000a\u001b[31m`" in text
    assert found.breaking == (found.changes[0],)
    assert str(found.changes[0]) == "request MessageCreate.tag newly required"


def test_markdown_without_a_difference() -> None:
    assert Comparison(changes=()).to_markdown() == "# No differences\n"
    assert not Comparison(changes=())
