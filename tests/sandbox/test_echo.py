"""What a create or an update sets, the sandbox repeats, and shows in a later get and list: with random values.

The operations, the bodies and the values are made from the API's description. The records that an update changes, and
those in a path, are created first.
"""

from __future__ import annotations

import random
import re
import typing
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from tests.support.description import DESCRIBED, Described, examples_of, resolved
from tests.support.example_calls import example_of_parameter
from tests.support.operations import operations
from wavix_async import APIError, Operation, WavixClient
from wavix_async._codec import shows
from wavix_async.sandbox import Sandbox

OPERATIONS: Final = operations()
NUMBER_ID: Final = 1001

NO_RECORDS: Final = {
    # A search, an update of many, an action, a job, and a list of references.
    *("POST /v1/cdrs", "PATCH /v1/numbers", "PUT /v1/speech-analytics/{request_id}", "POST /v1/validation"),
    "PUT /v1/buy/cart",
    # They need a brand in another state.
    *("POST /v3/10dlc/brands/{brand_id}/appeals", "POST /v3/10dlc/brands/{brand_id}/vettings/appeals"),
}
BODIES: Final[dict[str, Any]] = {
    "POST /v3/messages/sender-ids": {
        "sender_id": "Acme",
        "type": "alphanumeric",
        "countries": ["GB"],
        "usecase": "promo",
    },
}
"""Bodies where the example of the description is not what the sandbox takes."""
SHOWN_AS: Final = {"POST /v3/messages/opt-outs": {"number": "phone_number"}}
"""Fields that answers name otherwise."""
KEPT: Final = {"from", "sender_id", "type", "scopes", "entity_type", "ttl"}
"""Fields whose other values need other records, or other fields."""


# --- families of operations ---


def creates(name: str) -> bool:
    """Return whether an operation adds a record; otherwise it changes the one that its path names."""
    method, path = name.split()
    return method == "POST" or typing.get_origin(OPERATIONS[f"GET {path}"].result) is list


def read_one(name: str) -> str | None:
    """Return the operation that reads the record of a create or an update."""
    path = name.partition(" ")[2]
    if not creates(name):
        return f"GET {path}" if f"GET {path}" in OPERATIONS else None
    pattern = re.compile(re.escape(f"GET {path}/") + r"\{\w+\}")
    return next((each for each in OPERATIONS if pattern.fullmatch(each)), None)


def read_list(name: str) -> str | None:
    """Return the operation that lists the records of a create or an update."""
    path = name.partition(" ")[2]
    listed = f"GET {path if creates(name) else path.rpartition('/')[0]}"
    return listed if listed in OPERATIONS else None


def writes(name: str) -> bool:
    method, path = name.split()
    if method not in ("POST", "PUT", "PATCH") or not DESCRIBED[name].body or name in NO_RECORDS:
        return False
    reads = f"GET {path}" in OPERATIONS
    return reads if method != "POST" else reads or read_one(name) is not None


WRITES: Final = sorted(filter(writes, OPERATIONS))


# --- bodies ---


def properties(schema: Any) -> dict[str, Any]:
    schema = resolved(schema)
    found: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        found |= properties(part)
    return found | schema.get("properties", {})


def example_body(name: str) -> Any:
    return BODIES.get(name) or examples_of(DESCRIBED[name].body)[0]


def random_body(body: Any, schema: Any, rng: random.Random) -> Any:
    """Return a body in which every value is random that the schema leaves to the caller."""
    fields = properties(schema)
    return {name: random_value(name, value, fields.get(name, {}), rng) for name, value in body.items()}


def random_value(name: str, value: Any, schema: Any, rng: random.Random) -> Any:
    schema = resolved(schema)
    for part in schema.get("allOf", ()):
        schema = {**resolved(part), **schema}
    word = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=8))
    if name in KEPT or name.endswith(("_id", "_ids")) or value is None:
        return value
    if isinstance(value, dict):
        return random_body(value, schema, rng) if properties(schema) else {word: word}
    if isinstance(value, list):
        return [random_value(name, each, schema.get("items", {}), rng) for each in value]
    if "enum" in schema:
        return rng.choice([each for each in schema["enum"] if each is not None])
    if isinstance(value, bool):
        return rng.random() < 0.5
    if isinstance(value, int):
        return rng.randint(schema.get("minimum", 1), min(schema.get("maximum", 99), 99))
    if not isinstance(value, str) or schema.get("format") in ("date", "date-time", "decimal"):
        return value
    if re.match(r"(https?|wss?)://", value):
        return f"{value.partition('://')[0]}://{word}.example.com/{word}"
    if "@" in value:
        return f"{word}@example.com"
    if re.fullmatch(r"\+?\d{9,}", value):
        return value[:-4] + str(rng.randint(1000, 9999))
    if re.fullmatch(r"[A-Z]{2}|[\d.-]+", value):
        return value
    return word[: schema.get("maxLength", 8)].ljust(schema.get("minLength", 0), "x")


# --- calls ---


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(numbers=3, cdrs=3) as running:
        yield running


@pytest.fixture
async def api(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as client:
        yield client


async def call(api: WavixClient, name: str, ids: tuple[Any, ...], body: Any = None, query: Any = None) -> Any:
    """Call an operation with plain JSON, and return the answer without a key around it."""
    method, path = name.split()
    operation = Operation(method, path, object, error_flag_is_data=True)
    answer = await api.call(operation, path=dict(zip(operation.placeholders, ids, strict=True)), body=body, query=query)
    unwrap = OPERATIONS[name].unwrap
    return answer[unwrap] if unwrap and isinstance(answer, dict) and unwrap in answer else answer


def ids_of(record: Any, name: str) -> list[Any]:
    """Return what may be the id of a record, the likeliest first."""
    one = read_one(name)
    noun = name.rpartition("/")[2].rstrip("s").replace("-", "_")
    own = re.findall(r"\{(\w+)\}", one or "")[-1:]
    keys = [*own, "id", f"{noun}_id", "uuid", "number", "phone_number", "url"]
    return [record[key] for key in keys if isinstance(record, dict) and record.get(key)]


async def parents(api: WavixClient, path: str) -> tuple[Any, ...]:
    """Create the records that a path names, and return their ids."""
    ids: tuple[Any, ...] = ()
    at = 0
    for found in re.finditer(r"/\{\w+\}", path):
        at = found.start()
        create = f"POST {path[:at]}"
        if create in OPERATIONS:
            made = await call(api, create, ids, example_body(create))
            ids = (*ids, ids_of(made, create)[0])
        else:
            ids = (*ids, NUMBER_ID)
    return ids


async def accepted(api: WavixClient, name: str, ids: tuple[Any, ...], rng: random.Random) -> tuple[Any, Any]:
    """Send a random body; where the sandbox refuses it, keep the example of each field that it refuses."""
    schema = DESCRIBED[name].body["schema"]
    body = example_body(name)
    try:
        given = random_body(body, schema, rng)
        return given, await call(api, name, ids, given)
    except APIError:
        answer = await call(api, name, ids, body)
    given = body
    for field, value in random_body(body, schema, rng).items():
        try:
            answer = await call(api, name, ids, {**given, field: value})
        except APIError:
            continue
        given = {**given, field: value}
    return given, answer


def shown(record: Any, given: Any) -> dict[str, Any]:
    """Return the fields of a body that a record has under the same name."""
    return {name: value for name, value in given.items() if isinstance(record, dict) and name in record}


def as_shown(name: str, body: Any) -> dict[str, Any]:
    """Return the fields of a body by the names that they have in answers."""
    renamed = SHOWN_AS.get(name, {})
    body = body.get(OPERATIONS[name].wrap or "", body)
    return {renamed.get(key, key): value for key, value in body.items()}


def wrong(record: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that a record shows with other values, with both."""
    found = shown(record, given)
    return {name: (value, record[name]) for name, value in found.items() if not shows(record[name], value)}


def agrees(record: Any, given: dict[str, Any], where: str) -> None:
    assert wrong(record, given) == {}, where


def items_of(answer: Any) -> list[Any]:
    if isinstance(answer, list):
        return answer
    return next(each for each in answer.values() if isinstance(each, list))


def query_of(described: Described) -> dict[str, Any]:
    query = {each["name"]: example_of_parameter(each) for each in described.query if each.get("required")}
    return query | ({"per_page": 100} if any(each["name"] == "per_page" for each in described.query) else {})


@pytest.mark.parametrize("name", WRITES)
async def test_what_is_set_is_repeated_and_shown_later(api: WavixClient, sandbox: Sandbox, name: str) -> None:
    ids = await parents(api, name.partition(" ")[2])
    given, answer = await accepted(api, name, ids, random.Random(name))
    given = as_shown(name, given)
    sandbox.advance(1)
    agrees(answer, given, "the answer")
    evidence = set(shown(answer, given))

    one, listed = read_one(name), read_list(name)
    own = ids if not creates(name) else (*ids, *ids_of(answer, name)[:1])
    if one is not None:
        record = await call(api, one, own)
        agrees(record, given, one)
        evidence |= set(shown(record, given))
    if listed is not None:
        items = items_of(await call(api, listed, ids[: listed.count("{")], query=query_of(DESCRIBED[listed])))
        by_id = [each for each in items if own and str(own[-1]) in map(str, ids_of(each, name))]
        # A record without an id is found by what it shows.
        mine = by_id or [each for each in items if shown(each, given) and not wrong(each, given)]
        assert mine, f"{listed} does not show it"
        agrees(mine[0], given, listed)
        evidence |= set(shown(mine[0], given))
    example = as_shown(name, example_body(name))
    assert any(given[field] != example.get(field) for field in evidence)
