"""Read an OpenAPI document: text -> JSON -> what each operation takes and answers. Nothing is fetched."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import evolve, field, frozen

from wavix_async.errors import InputError
from wavix_async.spec._shape import Shape, all_of, any_of

__all__ = ["MAX_SIZE", "Described", "host_of", "load_document", "read_document", "server_of"]

MAX_SIZE: Final = 16 * 1024 * 1024
"""Bytes. The description of 2026-06-30 has 0.5 million (0.8 with its spaces)."""
_MAX_SCHEMAS: Final = 200_000
"""References can make a small document huge. The description of 2026-06-30 has under 20,000 schemas with all references
followed."""
_MAX_DEPTH: Final = 60
_PLACEHOLDER: Final = re.compile(r"\{([^}]*)\}")
_METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options", "trace")
_LIMITS: Final = (
    *("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("pattern", "multipleOf", "uniqueItems", "default"),
)


@frozen(kw_only=True)
class Described:
    """One operation, or one webhook."""

    name: str
    """The method and the path: `GET /v1/numbers/{id}`; for a webhook `WEBHOOK` and its name."""
    id: str = ""
    """Its `operationId`."""
    scope: str | None = None
    content: frozenset[str] = frozenset()
    """What a success holds: `json`, `ndjson`, `file`; empty: nothing."""
    statuses: tuple[str, ...] = ()
    deprecated: bool = False
    path: Sequence[tuple[str, Shape]] = ()
    """The placeholders of the path, in order."""
    request: Shape = field(factory=Shape)
    """All that a caller gives (parameters and body) as the fields of one object."""
    answer: Shape = field(factory=Shape)


# --- text to JSON ---


def load_document(spec: object) -> Mapping[str, Any]:
    """Return the JSON of a document, given as text, as bytes, or parsed.

    Raises:
        InputError: It is no OpenAPI 3 document in JSON, or too large.
    """
    if isinstance(spec, str | bytes | bytearray):
        spec = _parse(spec)
    if not isinstance(spec, Mapping):
        raise InputError(f"The spec must be an OpenAPI document: a JSON object; got {_json_type(spec)}.")
    version = spec.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        found = (
            f"Swagger {spec['swagger']}"[:40]
            if "swagger" in spec
            else f"openapi {str(version)[:20]!r}"
            if "openapi" in spec
            else "no key openapi"
        )
        raise InputError(f"The spec is not an OpenAPI 3 document: it has {found}.")
    if not isinstance(spec.get("paths"), Mapping):
        raise InputError("The spec is not an OpenAPI 3 document with operations: it has no object paths.")
    return spec


def _parse(text: "str | bytes | bytearray") -> object:
    if len(text) > MAX_SIZE:
        raise InputError(f"The spec is too large: it has more than {MAX_SIZE // 1024 // 1024} MB.")
    try:
        if not isinstance(text, str):
            text = bytes(text).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("The spec is not JSON: it is not UTF-8 text.") from None
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError("The spec is nested too deeply.") from None
    except ValueError as error:
        if not text.strip():
            raise InputError("The spec is empty: an OpenAPI document in JSON is needed.") from None
        if _YAML.search(text[:100_000]):
            raise InputError("The spec is YAML; this reads JSON: convert it first.") from None
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "a number"
        raise InputError(f"The spec is not JSON: see {where}.") from None


_YAML: Final = re.compile(r"^(?:openapi|swagger|info|paths)\s*:|^---\s*$|\A%YAML", re.MULTILINE)


def _json_type(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)


def server_of(part: Mapping[str, Any]) -> str:
    """Return the URL of the first server of a document or of a part of it; an empty text if it states none."""
    servers = part.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else None
    return str(first.get("url", "")).rstrip("/") if isinstance(first, Mapping) else ""


def host_of(url: str) -> str:
    """Return a server's URL without its path."""
    return "/".join(url.split("/", 3)[:3])


# --- JSON to operations ---


def read_document(document: Mapping[str, Any]) -> Mapping[str, Described]:
    """Return the operations and webhooks of a document by name.

    Raises:
        InputError: A part has the wrong type; a reference does not resolve, is circular, or leads to another file; or
            the document is too large with all references followed.
    """
    return _Reader(document).read()


class _Reader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.schemas = 0
        self.following: list[str] = []
        self.known: dict[str, Shape] = {}
        self.sizes: dict[str, int] = {}

    def read(self) -> Mapping[str, Described]:
        found = dict[str, Described]()
        for path, item in self.document["paths"].items():
            item = self.resolve(item, f"paths {path}")
            for method, operation, shared in self.operations(item, f"paths {path}"):
                # The path of a server, `https://api.wavix.com/v1`, is the beginning of the path of each operation.
                server = server_of(operation) or server_of(item) or server_of(self.document)
                name = f"{method.upper()} {server.removeprefix(host_of(server))}{path}"
                found[name] = self.operation(name, operation, shared)
        webhooks = self.document.get("webhooks") or {}
        if not isinstance(webhooks, Mapping):
            raise _wrong("webhooks", "an object")
        for name, item in webhooks.items():
            for _, operation, _ in self.operations(item, f"webhooks {name}"):
                body = self.resolve(operation.get("requestBody") or {}, f"webhooks {name}")
                _, shape = self.contents([body], f"WEBHOOK {name}")
                found[f"WEBHOOK {name}"] = Described(
                    name=f"WEBHOOK {name}", id=str(operation.get("operationId", "")), answer=shape
                )
        return found

    def operations(self, item: object, where: str) -> Iterator[tuple[str, Mapping[str, Any], Sequence[Any]]]:
        item = self.resolve(item, where)
        for method in _METHODS:
            if method in item:
                operation = item[method]
                if not isinstance(operation, Mapping):
                    raise _wrong(f"{where} {method}", "an object")
                yield method, operation, _list(item, "parameters", where)

    def operation(self, name: str, operation: Mapping[str, Any], shared: Sequence[Any]) -> Described:
        parameters = {}
        for each in (*shared, *_list(operation, "parameters", name)):
            parameter = self.resolve(each, name)
            if not isinstance(parameter.get("name"), str) or not isinstance(parameter.get("in"), str):
                raise _wrong(f"{name} parameters", "a name and a place, as text,")
            parameters[parameter["in"], parameter["name"]] = parameter
        fields, required = dict[str, Shape](), set[str]()
        for (place, key), parameter in parameters.items():
            if place in ("query", "header"):
                shape = self.shape(self.schema_of(parameter), f"{name} {key}")
                fields[key] = evolve(
                    shape, place=place, deprecated=shape.deprecated or bool(parameter.get("deprecated"))
                )
                required |= {key} if parameter.get("required") else set()
        body = self.resolve(operation.get("requestBody") or {}, name)
        for kind, content in self.mapping(body.get("content"), name).items():
            shape = self.shape(self.schema_of(content), name)
            place = "form" if "form" in kind else "body"
            fields |= {key: evolve(each, place=place) for key, each in shape.fields.items()}
            required |= shape.required
        responses = self.mapping(operation.get("responses"), name)
        content, answer = self.contents(
            [self.resolve(each, name) for status, each in responses.items() if str(status).startswith("2")], name
        )
        return Described(
            name=name,
            id=str(operation.get("operationId", "")),
            scope=self.scope(operation),
            content=content,
            statuses=tuple(sorted(map(str, responses))),
            deprecated=bool(operation.get("deprecated")),
            path=[
                (key, self.shape(self.schema_of(parameters["path", key]), f"{name} {key}"))
                for key in _PLACEHOLDER.findall(name)
                if ("path", key) in parameters
            ],
            request=Shape(fields=fields, required=frozenset(required)),
            answer=answer,
        )

    def scope(self, operation: Mapping[str, Any]) -> str | None:
        security = operation.get("security", self.document.get("security")) or ()
        scopes = {
            str(scope)
            for one in security
            if isinstance(one, Mapping)
            for names in one.values()
            if isinstance(names, Sequence)
            for scope in names
        }
        return " ".join(sorted(scopes)) or None

    def contents(self, responses: Sequence[Mapping[str, Any]], where: str) -> tuple[frozenset[str], Shape]:
        kinds, shapes = set[str](), []
        for response in responses:
            for kind, content in self.mapping(response.get("content"), where).items():
                if "json" in kind:
                    kinds.add("ndjson" if "ndjson" in kind or "jsonl" in kind else "json")
                    shape = self.shape(self.schema_of(content), where)
                    # Rows that are described as a text may have any fields.
                    shapes.append(Shape(is_open=True) if kind != "application/json" and not shape.fields else shape)
                else:
                    kinds.add("file")
        return frozenset(kinds), any_of(shapes)

    @staticmethod
    def mapping(value: object, where: str) -> Mapping[str, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise _wrong(where, "an object")
        return value

    @staticmethod
    def schema_of(parent: object) -> Any:
        """Return the schema of a parameter or of a content."""
        if not isinstance(parent, Mapping):
            return {}
        inner = next(iter(parent["content"].values()), {}) if isinstance(parent.get("content"), Mapping) else parent
        return inner.get("schema") or {} if isinstance(inner, Mapping) else {}

    def resolve(self, node: object, where: str) -> Mapping[str, Any]:
        """Follow the references of a part that is no schema."""
        seen = list[str]()
        while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
            reference = node["$ref"]
            if reference in seen:
                raise _circular([*seen, reference])
            seen.append(reference)
            node = self.target(reference)
        if not isinstance(node, Mapping):
            raise _wrong(where, "an object")
        return node

    def target(self, reference: str) -> Any:
        """Return what a reference leads to."""
        shown = reference[:120]
        if not reference.startswith("#/"):
            raise InputError(f"The spec has the $ref {shown!r}, which leads to another file: bundle the spec first.")
        node: Any = self.document
        for key in reference[2:].split("/"):
            key = key.replace("~1", "/").replace("~0", "~")
            if isinstance(node, Mapping) and key in node:
                node = node[key]
            else:
                raise InputError(f"The spec has the $ref {shown!r}, which leads nowhere.")
        return node

    def shape(self, schema: object, where: str, depth: int = 0) -> Shape:
        self.schemas += 1
        if self.schemas > _MAX_SCHEMAS:
            raise InputError(f"The spec is too large: it has more than {_MAX_SCHEMAS:,} schemas.")
        if depth > _MAX_DEPTH:
            raise InputError(f"The spec is nested too deeply: more than {_MAX_DEPTH} levels in {where[:120]}.")
        if isinstance(schema, bool):
            return Shape(is_open=True)
        if not isinstance(schema, Mapping):
            raise _wrong(where, "a schema: an object")
        parts = [self.own(schema, where, depth)]
        reference = schema.get("$ref")
        if isinstance(reference, str):
            parts.append(self.referenced(reference, where, depth))
        parts += [self.shape(each, where, depth + 1) for each in _list(schema, "allOf", where)]
        for key in ("oneOf", "anyOf"):
            if options := _list(schema, key, where):
                parts.append(any_of([self.shape(each, where, depth + 1) for each in options]))
        return all_of(parts)

    def referenced(self, reference: str, where: str, depth: int) -> Shape:
        if reference in self.following:
            raise _circular([*self.following[self.following.index(reference) :], reference])
        if reference not in self.known:
            before = self.schemas
            self.following.append(reference)
            made = self.shape(self.target(reference), where, depth + 1)
            self.following.pop()
            self.known[reference] = evolve(made, owner=reference.rpartition("/")[2])
            self.sizes[reference] = self.schemas - before
        else:
            self.schemas += self.sizes[reference]
        return self.known[reference]

    def own(self, schema: Mapping[str, Any], where: str, depth: int) -> Shape:
        """Return the shape that a schema states by its own keys."""
        properties = self.mapping(schema.get("properties"), where)
        values = schema.get("enum") if isinstance(schema.get("enum"), Sequence) else None
        if "const" in schema:
            values = [schema["const"]]
        stated = schema.get("type")
        types = (
            {stated} if isinstance(stated, str) else set(map(str, stated)) if isinstance(stated, Sequence) else set()
        )
        nullable = "null" in types or schema.get("nullable") is True or (values is not None and None in values)
        if not types:
            if values is not None:
                types = {_TYPE_OF.get(type(each), "object") for each in values if each is not None}
            elif properties:
                types = {"object"}
            elif "items" in schema:
                types = {"array"}
        required = schema.get("required")
        return Shape(
            types=frozenset(types - {"null"}) if types else None,
            format=str(schema.get("format", "")),
            values=None if values is None else frozenset(_hashable(each) for each in values if each is not None),
            nullable=nullable,
            fields={str(key): self.shape(each, f"{where} {key}", depth + 1) for key, each in properties.items()},
            required=frozenset(map(str, required)) if isinstance(required, Sequence) else frozenset(),
            items=self.shape(schema["items"], f"{where}[]", depth + 1) if "items" in schema else None,
            limits=tuple(f"{key} {_short(schema[key])}" for key in _LIMITS if key in schema),
            deprecated=schema.get("deprecated") is True,
        )


_TYPE_OF: Final[Mapping[type, str]] = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array"}


def _list(schema: Mapping[str, Any], key: str, where: str) -> Sequence[Any]:
    found = schema.get(key) or ()
    if isinstance(found, str) or not isinstance(found, Sequence):
        raise _wrong(f"{where} {key}", "a list")
    return found


def _hashable(value: object) -> object:
    return value if isinstance(value, str | int | float) else json.dumps(value, default=str)


def _short(value: object) -> str:
    return json.dumps(value, default=str)[:60]


def _wrong(where: str, needed: str) -> InputError:
    return InputError(f"The spec is wrong at {where[:160]}: {needed} is needed.")


def _circular(chain: Sequence[str]) -> InputError:
    names = [each.rpartition("/")[2][:60] for each in chain]
    if len(names) > 8:
        names = [*names[:4], "...", *names[-3:]]
    return InputError(f"The spec has a circular $ref: {' -> '.join(names)}.")
