"""Check requests by the API's own description: `wavix_async/spec/openapi.json`.

The checks of an operation are made when its first request comes. They cover the query and the JSON body: types,
required fields, unknown fields, enums, lengths, ranges and the formats that matter. Where the live API accepts more
than its description says, the tables below relax the checks; unknown query parameters are ignored, as the API does.

Ids in paths are not checked: an unknown id is a 404 whatever it looks like. Neither are multipart forms, because their
handlers read them.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from attrs import frozen

from wavix_async.sandbox._server.errors import ApiError, invalid, validation_error

Check = Callable[[str, Any], None]
"""Raises a 400 that names the field if its value is wrong."""
Schema = Mapping[str, Any]

_PLACEHOLDER = re.compile(r"\{\w+\}")


# --- where the live API accepts more ---

_OPTIONAL: Mapping[str, Collection[str]] = {
    "POST /v1/calls": ("callback_url",),
    "POST /v1/trunks": ("cost_limit",),
    "PUT /v1/trunks/{}": ("cost_limit",),
    "POST /v1/cdrs": ("page", "per_page", "agent", "client", "any"),
    "POST /v1/validation": ("async", "force"),
    "PUT /v1/sub-organizations/{}": ("name",),
    "POST /v3/messages": ("media",),
    "POST /v3/10dlc/brands": ("state_or_province",),
    "POST /v3/10dlc/brands/{}/appeals": ("evidence",),
    "POST /v3/10dlc/brands/{}/vettings/appeals": ("evidence",),
    "POST /v3/10dlc/brands/{}/campaigns": (
        *("affiliate_marketing", "embedded_link_sample", "embedded_phones", "mock", "privacy_policy"),
        *("sample2", "sample3", "sample4", "sample5"),
    ),
}
"""Fields that the description requires, at any depth of the body, and the API does not."""
_NULLABLE: Mapping[str, Collection[str]] = {
    "PATCH /v1/numbers": ("sms_relay_url", "call_status_url"),
    "PATCH /v1/numbers/{}": ("sms_relay_url", "call_status_url"),
    "POST /v3/10dlc/brands": ("state_or_province",),
}
"""Fields that may also be null: there, null clears the value."""
_MORE: Mapping[str, Mapping[str, Schema]] = {"POST /v3/messages": {"smart_encoding": {"type": "boolean"}}}
"""Fields that the description does not have."""


_MAPPED: Collection[str] = (
    *("/v1/calls", "/v1/calls/{}", "/v1/calls/{}/answer", "/v1/calls/{}/play", "/v1/calls/{}/collect"),
    "/v1/calls/{}/streams",
)
"""Operations that tell all errors of a body at once, by field: `{"message": "Validation error", "errors": {...}}`."""


@frozen
class _Relaxed:
    """What an operation accepts beyond its description."""

    optional: Collection[str] = ()
    nullable: Collection[str] = ()
    more: Mapping[str, Schema] = {}


# --- from the description to checks ---


@frozen
class RequestCheck:
    """The checks of one operation."""

    parameters: Mapping[str, Check]
    """The checks of the query parameters; the text of a parameter is what they get."""
    required: Sequence[str]
    body: Check | None
    """The check of the JSON body; None: the operation takes none."""
    needs_body: bool

    def check_query(self, query: str) -> None:
        """Check the query of a request.

        Raises:
            ApiError: 400 with the parameter that is missing or wrong.
        """
        if not self.parameters:
            return
        given = parse_qsl(query, keep_blank_values=True) if query else []
        names = {name.removesuffix("[]") for name, _ in given}
        for name in self.required:
            if name not in names:
                raise invalid(name)
        for name, text in given:
            check = self.parameters.get(name.removesuffix("[]"))
            if check is not None:
                check(name, text)

    def check_body(self, body: bytes) -> None:
        """Check the JSON body of a request.

        Raises:
            ApiError: 400 with the field that is missing, wrong or unknown.
        """
        if self.body is not None and (body or self.needs_body):
            self.body("", json_object(body))


@cache
def request_check(method: str, path: str) -> RequestCheck | None:
    """Return the checks of an operation; None: the API's description does not have it."""
    operation = _operations().get(_name(method, path))
    if operation is None:
        return None
    name = _name(method, path)
    parameters = [_resolve(each) for each in operation.get("parameters", ())]
    in_query = [each for each in parameters if each["in"] == "query"]
    content = _resolve(operation.get("requestBody", {}))
    schema = content.get("content", {}).get("application/json", {}).get("schema")
    outer = _mapped if name.partition(" ")[2] in _MAPPED else _outer
    relaxed = _Relaxed(_OPTIONAL.get(name, ()), _NULLABLE.get(name, ()), _MORE.get(name, {}))
    return RequestCheck(
        {each["name"]: _text(each["schema"]) for each in in_query},
        [each["name"] for each in in_query if each.get("required")],
        None if schema is None else outer(schema, relaxed),
        bool(content.get("required")),
    )


def _name(method: str, path: str) -> str:
    return f"{method.upper()} {_PLACEHOLDER.sub('{}', path)}"


@cache
def _document() -> Any:
    return json.loads(resources.files("wavix_async").joinpath("spec", "openapi.json").read_bytes())


@cache
def _operations() -> Mapping[str, Any]:
    return {
        _name(method, path): operation
        for path, methods in _document()["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "responses" in operation
    }


def _resolve(value: Any) -> Any:
    while "$ref" in value:
        node = _document()
        for key in value["$ref"].removeprefix("#/").split("/"):
            node = node[key]
        value = node
    return value


def _outer(schema: Schema, relaxed: _Relaxed) -> Check:
    check = _check_of(schema, relaxed)

    def run(name: str, value: Any) -> None:
        if relaxed.more:
            for field, one in relaxed.more.items():
                if field in value:
                    _check_of(one, relaxed)(field, value[field])
            value = {field: content for field, content in value.items() if field not in relaxed.more}
        check(name, value)

    return run


def _mapped(schema: Schema, relaxed: _Relaxed) -> Check:
    schema = _resolve(schema)
    checks = {name: _check_of(each, relaxed) for name, each in schema["properties"].items()}
    required = [name for name in schema.get("required", ()) if name not in relaxed.optional]

    def run(_: str, value: Any) -> None:
        errors = {name: "required" for name in required if name not in value}
        errors |= {name: str(invalid(name, "unknown field")) for name in value if name not in checks}
        check_all(checks, value, errors)

    return run


def check_all(checks: Mapping[str, Check], value: Mapping[str, Any], errors: Mapping[str, str] | None = None) -> None:
    """Check the fields of an object that are there.

    Args:
        checks: The checks by field.
        value: The object.
        errors: What else is wrong, by field.

    Raises:
        ApiError: 400 with every field that is wrong.
    """
    found = dict(errors or {})
    for name, check in checks.items():
        if name in value:
            try:
                check(name, value[name])
            except ApiError as error:
                found[name] = str(error)
    if found:
        raise validation_error(found)


def _check_of(schema: Schema, relaxed: _Relaxed) -> Check:
    """Return the check that a value fits a schema."""
    schema = _resolve(schema)
    checks: list[Check] = []
    stated = schema.get("type", ())
    types = [stated] if isinstance(stated, str) else list(stated)
    if types:
        checks.append(_of_type(types))
    if "enum" in schema:
        checks.append(_one_of(schema["enum"]))
    if "const" in schema:
        checks.append(_one_of([schema["const"]]))
    if schema.get("format") in _FORMATS:
        checks.append(_FORMATS[schema["format"]])
    if schema.keys() & _BOUNDS:
        checks.append(_bounded(schema))
    if "properties" in schema or "required" in schema:
        checks.append(_object(schema, relaxed))
    if "items" in schema:
        checks.append(_each(_check_of(schema["items"], relaxed)))
    checks += [_check_of(each, relaxed) for each in schema.get("allOf", ())]
    for key in ("oneOf", "anyOf"):
        if key in schema:
            checks.append(_any([_check_of(each, relaxed) for each in schema[key]]))

    def run(name: str, value: Any) -> None:
        for check in checks:
            check(name, value)

    return run


_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def _of_type(types: Sequence[str]) -> Check:
    tests = [_TYPES[each] for each in types]
    hint = "a JSON object is needed" if types == ["object"] else ""

    def run(name: str, value: Any) -> None:
        if not any(test(value) for test in tests):
            raise invalid(name or "body", hint)

    return run


def _one_of(values: Sequence[Any]) -> Check:
    hint = f"one of {', '.join(str(each) for each in values if each is not None)}"

    def run(name: str, value: Any) -> None:
        # 1 and True are equal in Python, and not in JSON.
        if not any(value == each and type(value) is type(each) for each in values):
            raise invalid(name, hint)

    return run


_BOUNDS = {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}


def _bounded(schema: Schema) -> Check:
    bounds = {name: schema[name] for name in _BOUNDS if name in schema}

    def run(name: str, value: Any) -> None:
        for bound, limit in bounds.items():
            size = _size(bound, value)
            if size is not None and (size < limit if bound.startswith("min") else size > limit):
                raise invalid(name, f"{'at least' if bound.startswith('min') else 'at most'} {limit}")

    return run


def _size(bound: str, value: Any) -> Any:
    if bound.endswith("Length"):
        return len(value) if isinstance(value, str) else None
    if bound.endswith("Items"):
        return len(value) if isinstance(value, list) else None
    return value if type(value) in (int, float) else None


def _object(schema: Schema, relaxed: _Relaxed) -> Check:
    properties = {name: _check_of(each, relaxed) for name, each in schema.get("properties", {}).items()}
    required = [name for name in schema.get("required", ()) if name not in relaxed.optional]
    closed = schema.get("additionalProperties") is False

    def run(name: str, value: Any) -> None:
        if not isinstance(value, dict):
            return
        before = f"{name}." if name else ""
        for each in required:
            if each not in value:
                raise invalid(f"{before}{each}")
        for each, content in value.items():
            check = properties.get(each)
            if check is not None:
                if content is not None or each not in relaxed.nullable:
                    check(f"{before}{each}", content)
            elif closed:
                raise invalid(f"{before}{each}", "unknown field")

    return run


def _each(item: Check) -> Check:
    def run(name: str, value: Any) -> None:
        if isinstance(value, list):
            for at, one in enumerate(value):
                item(f"{name}[{at}]", one)

    return run


def _any(checks: Sequence[Check]) -> Check:
    def run(name: str, value: Any) -> None:
        first = None
        for check in checks:
            try:
                check(name, value)
            except ApiError as error:
                first = first or error
            else:
                return
        if first is not None:
            raise first

    return run


# --- formats ---


def _format(test: Callable[[str], object], hint: str) -> Check:
    """Return the check that a text can be read by `test`; other types are not its business."""

    def run(name: str, value: Any) -> None:
        if isinstance(value, str):
            try:
                good = test(value)
            except (ValueError, InvalidOperation):
                good = False
            if good is False:
                raise invalid(name, hint)

    return run


def _is_date(text: str) -> bool:
    return date.fromisoformat(text).isoformat() == text


def _is_uri(text: str) -> bool:
    parts = urlsplit(text)
    return bool(parts.scheme and parts.netloc)


_FORMATS: Mapping[str, Check] = {
    "date": _format(_is_date, "a date such as 2026-06-30 is needed"),
    "date-time": _format(datetime.fromisoformat, "a time such as 2026-06-30T12:00:00Z is needed"),
    "uri": _format(_is_uri, ""),
    "email": _format(lambda text: "@" in text, "an email address is needed"),
    "decimal": _format(Decimal, "a number is needed"),
}


# --- query parameters ---


def _text(schema: Schema) -> Check:
    """Return the check that the text of a query parameter stands for a value of a schema."""
    schema = _resolve(schema)
    options = schema.get("oneOf", [schema])
    one = next((each["items"] for each in options if each.get("type") == "array"), schema)
    # The API answers a larger page size with its largest page.
    check = _check_of({key: each for key, each in _resolve(one).items() if key != "maximum"}, _Relaxed())
    kinds = {_resolve(each).get("type") for each in (one, *one.get("allOf", ()))}

    def run(name: str, text: str) -> None:
        check(name.removesuffix("[]"), _value(text, kinds))

    return run


def _value(text: str, kinds: Collection[Any]) -> Any:
    """Return the value that a text stands for; a text that does not fit stays a text, and the check refuses it."""
    if "integer" in kinds and text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 18:
        return int(text)
    if "boolean" in kinds and text in ("true", "false", "1", "0"):
        return text in ("true", "1")
    return text


# --- bodies ---


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_no_constant).decode


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        ApiError: 400, the body is not a JSON object.
    """
    try:
        value = _decode(body.decode())
        if b"\\u" in body:
            # A lone surrogate (half a character) cannot be sent back in a response.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise invalid("body", "malformed JSON") from None
    if not isinstance(value, dict):
        raise invalid("body", "a JSON object is needed")
    return value
