"""From an operation to a request: pure functions without I/O, clock or client."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode

import attrs
from yarl import URL

from wavix_async import _codec
from wavix_async._codec import Value
from wavix_async._http.file_part import FilePart
from wavix_async._http.operation import Operation
from wavix_async.errors import InputError
from wavix_async.types import UNSET

__all__ = ["Part", "Query", "Request", "build_request"]

Query: TypeAlias = Mapping[str, object]


@attrs.frozen(eq=False, repr=False)
class Part(Value):
    """One part of a multipart body."""

    name: str
    content: bytes | FilePart = attrs.field(repr=False)
    filename: str | None = None
    content_type: str | None = None


# Not frozen: every call makes one, and a frozen class would cost a third of a microsecond more each.
@attrs.define(eq=False)
class Request:
    """What goes on the wire, without the API key: the transport adds it."""

    method: str
    url: URL
    body: bytes | None = None
    parts: tuple[Part, ...] | None = None
    path: Mapping[str, object] | None = attrs.field(default=None, repr=False)
    """The values of the placeholders: the answer must be about them."""
    asked: object = attrs.field(default=None, repr=False)
    """The body before it was written as JSON: the answer must show its values."""
    headers: Mapping[str, str] | None = attrs.field(default=None, repr=False)
    """More headers than those of every request."""


def build_request(
    operation: Operation[Any],
    base_url: URL,
    path: Mapping[str, object] | None = None,
    query: Query | None = None,
    body: object = None,
    parts: Iterable[Part] | None = None,
) -> Request:
    """Build the request of one call.

    Args:
        operation: The call.
        base_url: Scheme, host and path prefix, without a slash at the end of the path.
        path: Values of the placeholders in the operation's path.
        query: Query parameters. None and empty lists are not sent. Several values of a list are sent as `name[]`, a
            single one as `name`. Times are sent in UTC, to the second.
        body: A request body model, or any JSON value; None: no body.
        parts: The parts of a multipart body, instead of `body`.

    Returns:
        The request.

    Raises:
        InputError: A path value is missing, empty, reserved or would change the path; or the body is not valid JSON.
    """
    target = operation._start
    if operation._rest:
        target += _fill(operation, path or {})
    elif path:
        raise InputError(f"{operation.name} has no placeholder for {_listed(path)} in its path.")
    if query is not None and isinstance(query, _codec.FieldsBase):
        query = _codec.query_of(query)
    if query:
        # Building a URL from its parts costs half as much as parsing it again.
        url = URL.build(
            scheme=base_url.scheme,
            authority=base_url.raw_authority,
            path=base_url.raw_path.rstrip("/") + target,
            query_string=_query_string(query),
            encoded=True,
        )
    else:
        url = base_url.with_path(base_url.raw_path.rstrip("/") + target, encoded=True)
    return Request(
        operation.method,
        url,
        None if body is None else _encode(operation, body),
        None if parts is None else tuple(parts),
        path,
        body,
    )


def _encode(operation: Operation[Any], body: object) -> bytes:
    try:
        if operation.wrap is not None:
            body = {operation.wrap: _codec.to_dict(body) if isinstance(body, _codec.FieldsBase) else body}
        return _codec.encode(body)
    except RecursionError:
        raise InputError(f"The body of {operation.name} cannot be written as JSON: it is nested too deep.") from None
    except (TypeError, ValueError) as error:
        raise InputError(f"The body of {operation.name} cannot be written as JSON: {error}.") from None


def _fill(operation: Operation[Any], values: Mapping[str, object]) -> str:
    """Return the path from its first placeholder to its end, filled in."""
    filled = ""
    for name, literal in operation._rest:
        try:
            value = values[name]
        except KeyError:
            raise InputError(f"{operation.name} needs a value for {name!r} in its path.") from None
        filled += (str(value) if type(value) is int else _segment(operation, name, value)) + literal
    if len(values) != len(operation._rest):
        unknown = {name: None for name in values if name not in operation.placeholders}
        raise InputError(f"{operation.name} has no placeholder for {_listed(unknown)} in its path.")
    return filled


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _segment(operation: Operation[Any], name: str, value: object) -> str:
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InputError(f"{name} must be a string or an integer: it is a part of the URL, got {value!r}.")
    text = str(value)
    if text in {"", ".", ".."}:
        raise InputError(f"{name} must not be empty, '.' or '..': it is a part of the URL, got {text!r}.")
    if text in operation.reserved:
        raise InputError(f"{name} must not be {text!r}: {operation.name} would reach another operation.")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError as error:
        raise InputError(f"{name} has characters that a URL cannot contain: {error.reason}.") from None


def _query_string(query: Query) -> str:
    try:
        return urlencode(list(_query_pairs(query)))
    except UnicodeEncodeError as error:
        raise InputError(f"The query has characters that a URL cannot contain: {error.reason}.") from None


def _query_pairs(query: Query) -> Iterable[tuple[str, str]]:
    for name, value in query.items():
        if not isinstance(value, list | tuple):
            if value is not None and value is not UNSET:
                yield name, _query_text(name, value)
            continue
        items = [item for item in value if item is not None and item is not UNSET]
        # Of a repeated key, many servers see only the last value.
        key = f"{name}[]" if len(items) > 1 and not name.endswith("[]") else name
        for item in items:
            yield key, _query_text(name, item)


def _query_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        # The API reads a time without a zone as UTC, and knows no smaller unit than a second here.
        moment = value if value.tzinfo is None else value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str | int | float | Decimal):
        raise InputError(f"{name} must be a text, a number, a date or a list of them, got {value!r}.")
    return str(value)
