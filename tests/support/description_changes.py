"""Changes of an API description, to see that a comparison names them."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from typing import Any, Final

from tests.support.description import DOCUMENT, resolved

_OTHER_TYPE: Final = {
    "string": "boolean",
    "integer": "boolean",
    "number": "boolean",
    "boolean": "string",
    "array": "string",
    "object": "string",
}


def opened(*paths: str, webhooks: bool = False) -> Any:
    """Return a copy of the description: some paths have no references, and can be changed one by one."""
    document = {**DOCUMENT, "paths": dict(DOCUMENT["paths"])}
    document["paths"].update({path: _inlined(DOCUMENT["paths"][path]) for path in paths})
    return document | ({"webhooks": _inlined(DOCUMENT["webhooks"])} if webhooks else {})


def _inlined(node: Any) -> Any:
    node = resolved(node)
    if isinstance(node, dict):
        return {key: each if key in ("example", "examples") else _inlined(each) for key, each in node.items()}
    return [_inlined(each) for each in node] if isinstance(node, list) else node


def _objects_of(operation: Any) -> Iterator[tuple[str, Any]]:
    """Yield the side and the schema of every object with properties of an operation."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield from (("request", schema) for schema in _objects(content["schema"]))
    for status, answer in operation["responses"].items():
        content = answer.get("content", {}).get("application/json", {})
        # A 202 may be of another shape beside the 200.
        if status in ("200", "201") and "schema" in content:
            yield from (("answer", schema) for schema in _objects(content["schema"]))


def _objects(schema: Any) -> Iterator[Any]:
    if "properties" in schema:
        # A part of a oneOf may state the same field: then its removal here changes nothing.
        if "oneOf" not in schema and "anyOf" not in schema:
            yield schema
        for each in schema["properties"].values():
            yield from _objects(each)
    if "items" in schema:
        yield from _objects(schema["items"])
    for each in schema.get("allOf", ()):
        yield from _objects(each)


def change_one(names: Collection[str], rng: random.Random) -> tuple[Any, str, str, str, str]:
    """Change one field of one of the operations; return the document, the operation, the side, the kind, the field."""
    while True:
        operation = rng.choice(sorted(names))
        method, path = operation.split()
        document = opened(path)
        places = list(_objects_of(document["paths"][path][method.lower()]))
        if not places:
            continue
        side, schema = rng.choice(places)
        field = rng.choice(sorted(schema["properties"]))
        found = schema["properties"][field]
        kind = rng.choice(["added", "removed", "retyped", "newly required", "value added", "value removed"])
        required = schema.get("required", [])
        types = found.get("type")
        if kind == "added":
            field = f"new_{rng.randrange(1000)}"
            schema["properties"][field] = {"type": "string"}
        elif kind == "removed":
            del schema["properties"][field]
        elif kind == "retyped" and isinstance(types, str) and "enum" not in found:
            schema["properties"][field] = {"type": _OTHER_TYPE[types]}
        elif kind == "newly required" and field not in required and side == "request":
            schema["required"] = [*required, field]
        elif kind == "value added" and "enum" in found:
            found["enum"] = [*found["enum"], "NEW"]
        elif kind == "value removed" and "enum" in found and len(found["enum"]) > 1:
            del found["enum"][0]
        else:
            continue
        return document, operation, side, kind, field
