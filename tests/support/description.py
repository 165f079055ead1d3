"""The API's own description, operation by operation, as tests need it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

import wavix_async

DOCUMENT: Final = json.loads((Path(wavix_async.__file__).parent / "spec" / "openapi.json").read_text(encoding="utf-8"))


def resolved(node: Any) -> Any:
    """Follow a reference."""
    while isinstance(node, dict) and "$ref" in node:
        found = DOCUMENT
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node


@attrs.frozen
class Described:
    """One operation."""

    method: str
    path: str
    scope: str | None
    parameters: list[Any]
    body: Any
    """The content of the JSON body: `schema` and perhaps `example`; empty: there is none."""
    body_required: bool
    form: Any
    """The content of the multipart form."""
    answers: Mapping[str, Any]
    """The successful responses, by status."""

    @property
    def query(self) -> list[Any]:
        return [each for each in self.parameters if each["in"] == "query"]


def described() -> dict[str, Described]:
    found = {}
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            scopes = [scope for one in operation.get("security", []) for names in one.values() for scope in names]
            body = resolved(operation.get("requestBody", {}))
            content = body.get("content", {})
            found[f"{method.upper()} {path}"] = Described(
                method.upper(),
                path,
                scopes[0] if scopes else None,
                [resolved(each) for each in operation.get("parameters", ())],
                content.get("application/json", {}),
                bool(body.get("required")),
                content.get("multipart/form-data", {}),
                {
                    status: resolved(answer)
                    for status, answer in operation["responses"].items()
                    if status.startswith("2")
                },
            )
    return found


DESCRIBED: Final = described()
"""All operations, by method and path."""


# --- examples ---


def examples_of(content: Mapping[str, Any]) -> list[Any]:
    """Return the examples of a body or an answer: those stated, else the one that its schema's fields make up."""
    if "example" in content:
        return [content["example"]]
    if "examples" in content:
        return [resolved(each)["value"] for each in content["examples"].values()]
    if "schema" not in content:
        return []
    return [example_of(content["schema"])]


def example_of(schema: Any) -> Any:
    """Return the example of a schema."""
    schema = resolved(schema)
    for key in ("example", "const", "default"):
        if key in schema:
            return schema[key]
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    made: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        example = example_of(part)
        if not isinstance(example, dict):
            if example is not None:
                return example
        else:
            made.update(example)
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) else kinds
    if "properties" in schema:
        made.update({name: example_of(each) for name, each in schema["properties"].items()})
        return made
    if made:
        return made
    for key in ("oneOf", "anyOf"):
        if key in schema:
            return example_of(schema[key][0])
    if kind == "array":
        return [example_of(schema["items"])] if "items" in schema else []
    return _PLAIN.get(f"{kind} {schema.get('format', '')}".strip(), _PLAIN.get(str(kind)))


_PLAIN: Final[dict[str, Any]] = {
    "string": "text",
    "string date": "2026-03-01",
    "string date-time": "2026-03-01T09:30:00.000Z",
    "string uri": "https://example.com/",
    "string uuid": "00000000-0000-4000-8000-000000000000",
    "string email": "ada@example.com",
    "string decimal": "1.25",
    "integer": 7,
    "number": 1.5,
    "boolean": True,
    "object": {},
}


# --- the opinion of a library ---


def wrong_with(value: Any, schema: Any) -> list[str]:
    """Return what is wrong with a value, in the opinion of a JSON Schema library, which must be installed."""
    library: Any = importlib.import_module("jsonschema_rs")
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    validator = library.Draft202012Validator(whole, validate_formats=True)
    return [f"{'.'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(value)]
