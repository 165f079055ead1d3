"""`install_error_handlers`: the errors of the client as problem details (RFC 9457), also in the OpenAPI schema.

One table maps each class of error to a response. The response has what concerns the caller's own request: what the API
said of its input, whether the request was carried out, whether a retry may help. It has nothing about the service's
key, its account or its connection to the API: that is in the log, with the `instance` of the response.
"""

import contextlib
import copy
import logging
import math
import re
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any, Final, cast

import attrs
from fastapi import FastAPI, routing
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ExceptionHandler
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from wavix_async import BulkError, InputError, WavixError, errors
from wavix_async._instrumentation import logger as _parent
from wavix_async._instrumentation import mask
from wavix_async.fastapi._lifespan import get_wavix
from wavix_async.fleet import FleetFileError

__all__ = ["MEDIA_TYPE", "install_error_handlers", "problem_of", "problem_response"]

MEDIA_TYPE: Final = "application/problem+json"
_SCHEMA: Final = "WavixProblem"


@attrs.frozen
class _Kind:
    """One type of problem."""

    status: int
    type: str
    """The last part of its URI; empty: `about:blank`, a problem fully described by its status."""
    title: str
    detail: str | None = None
    for_operator: bool = False
    """Whether only the operator of the service can fix it."""
    shows_api_message: bool = False
    """Whether it is about the caller's input, so that the response may quote what the API said."""


def _quotes_api(status: int, kind: str, title: str) -> _Kind:
    return _Kind(status, kind, title, shows_api_message=True)


_INTERNAL: Final = _Kind(500, "", "Internal Server Error", for_operator=True)
_STOPPING: Final = _Kind(503, "stopping", "The service is shutting down", "This service is shutting down.")
_UNUSABLE: Final = _Kind(502, "upstream-error", "The provider gave no usable answer")
# The response is the same: key, balance and permissions of the service concern no caller.
_REFUSED: Final = attrs.evolve(_UNUSABLE, for_operator=True)
_UNREACHABLE: Final = _Kind(
    502, "upstream-unreachable", "The provider could not be reached", "The provider could not be reached."
)
_UNAVAILABLE: Final = _Kind(
    503, "upstream-unavailable", "The provider is not available", "The provider is not available for now."
)
_TIMEOUT: Final = _Kind(
    504, "upstream-timeout", "The provider did not answer in time", "The provider did not answer in time."
)
_LIMITED: Final = _Kind(
    429, "rate-limited", "Too many requests", "The provider takes no more requests from this service for now."
)
_OUTCOME_UNKNOWN: Final = _Kind(
    502,
    "outcome-unknown",
    "It may have been carried out",
    "The request was sent once and no trustworthy answer came: it may have been carried out. Look before it is sent "
    "again.",
)
_BULK: Final = _Kind(502, "bulk-incomplete", "Not all changes were made")

_KINDS: Final[dict[type[WavixError], _Kind]] = {
    # A class without a row of its own is an internal error.
    errors.WavixError: _INTERNAL,
    errors.InputError: _quotes_api(422, "invalid-input", "The input is not valid"),
    errors.ConfigurationError: _INTERNAL,
    errors.ClientClosedError: _STOPPING,
    errors.StoppedError: _STOPPING,
    errors.TransportError: _UNUSABLE,
    errors.ConnectError: _UNREACHABLE,
    errors.DisconnectedError: _UNUSABLE,
    errors.AttemptTimeoutError: _TIMEOUT,
    errors.DeadlineExceededError: _TIMEOUT,
    errors.OutcomeUnknownError: _OUTCOME_UNKNOWN,
    errors.DecodeError: _UNUSABLE,
    errors.APIError: _UNUSABLE,
    errors.BadRequestError: _quotes_api(400, "invalid-input", "The input is not valid"),
    errors.AuthenticationError: _REFUSED,
    errors.PaymentRequiredError: _REFUSED,
    errors.PermissionDeniedError: _REFUSED,
    errors.NotFoundError: _quotes_api(404, "not-found", "There is no such object"),
    errors.ConflictError: _quotes_api(409, "conflict", "The object's state does not allow it"),
    errors.ContentTooLargeError: _quotes_api(413, "content-too-large", "The content is too large"),
    errors.UnprocessableEntityError: _quotes_api(422, "invalid-input", "The input is not valid"),
    errors.RateLimitError: _LIMITED,
    errors.ServerError: _UNUSABLE,
    BulkError: _BULK,
}


def install_error_handlers(app: Starlette, *, type_base: str = "/problems/") -> None:
    """Answer the errors of the client that routes let pass with problem details (RFC 9457), and say so in the schema.

    A handler of your own for one class (`app.add_exception_handler(NotFoundError, ...)`) goes before it. The errors of
    FastAPI itself are left as they are. A mounted application has handlers of its own: install them there, too.
    In a websocket, an error refuses or closes it: code 1008 for what the caller can mend, 1013 for what passes, 1011
    for the rest, with the title as the reason.

    Operations that depend on `get_wavix` are given these answers in the OpenAPI schema.

    What only the operator can mend is logged (`wavix_async.fastapi`) as an error, other 5xx as warnings, an
    `InputError` as information, with the `instance` of the problem.

    Args:
        app: The application.
        type_base: What each `type` begins with. Default `/problems/`, relative to where the service is; give an
            absolute URL if your problem types are documented somewhere.
    """

    async def handle(connection: HTTPConnection, error: Exception) -> JSONResponse | None:
        assert isinstance(error, WavixError)
        problem, response = _make_response(error, type_base)
        if not isinstance(connection, WebSocket):
            return response
        await _end_websocket(connection, problem, response)
        return None

    app.add_exception_handler(WavixError, cast("ExceptionHandler", handle))
    if isinstance(app, FastAPI):
        _extend_schema(app)


def problem_response(error: WavixError, *, type_base: str = "/problems/") -> JSONResponse:
    """Return the answer of the handlers, and log what they log; for a middleware, where no handler is asked.

    Args:
        error: The error.
        type_base: What the `type` begins with, as for `install_error_handlers`.
    """
    return _make_response(error, type_base)[1]


def _make_response(error: WavixError, type_base: str) -> tuple[dict[str, Any], JSONResponse]:
    problem = problem_of(error, type_base=type_base)
    _log_for_operator(error, problem)
    status = problem["status"]
    return problem, JSONResponse(problem, status, _headers(error, status), MEDIA_TYPE)


def problem_of(error: WavixError, *, type_base: str = "/problems/") -> dict[str, Any]:
    """Return the problem details of an error, as JSON takes them; nothing in it is secret.

    Args:
        error: The error.
        type_base: What the `type` begins with.

    Returns:
        `type`, `title`, `status`, `detail` where there is something to say, an `instance` of its own, `retryable`,
        `outcome` (for a bulk: `counts`), and where the API gave them `code` and `request_id`.
    """
    kind = _kind_of(error)
    problem: dict[str, Any] = {
        "type": f"{type_base}{kind.type}" if kind.type else "about:blank",
        "title": kind.title,
        "status": kind.status,
        "detail": _detail(error, kind),
        "instance": uuid.uuid4().urn,
        "retryable": error.retryable,
        "outcome": error.outcome,
        "code": error.code if kind.shows_api_message else None,
        "request_id": None if kind.for_operator else error.request_id,
    }
    if isinstance(error, BulkError):
        # Each input of a bulk run has its own outcome.
        problem["outcome"] = None
        problem["counts"] = _counts(error)
    return {
        name: _truncate(value, _MAX_LENGTHS.get(name, _MAX_LENGTH)) if isinstance(value, str) else value
        for name, value in problem.items()
        if value is not None
    }


_MAX_LENGTH: Final = 2_000
_MAX_LENGTHS: Final = {"code": 100, "request_id": 200}


def _truncate(text: str, max_length: int) -> str:
    """Limit the length of a text, and replace lone surrogates, which JSON and headers may contain."""
    text = text if len(text) <= max_length else f"{text[: max_length - 4]} ..."
    return text.encode("utf-8", "replace").decode()


def _kind_of(error: WavixError) -> _Kind:
    if isinstance(error, errors.ServerError) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return _UNAVAILABLE
    if isinstance(error, InputError) and isinstance(error.__cause__, OSError | sqlite3.Error):
        # A file of the service could not be read or written: callers have no files here.
        return _INTERNAL
    return next(_KINDS[base] for base in type(error).__mro__ if base in _KINDS)


def _detail(error: WavixError, kind: _Kind) -> str | None:
    if isinstance(error, BulkError):
        counts = [f"{count} {status.replace('_', ' ')}" for status, count in (_counts(error) or {}).items()]
        return f"{', '.join(counts)}." if counts else None
    if not kind.shows_api_message:
        return kind.detail
    if isinstance(error, InputError):
        return _message_without_values(error)
    # Not `error.message`, which names the URL.
    return error.reason


_QUOTED_VALUE: Final = re.compile(r"[,;] got .*", re.DOTALL)
_MAX_PROBLEMS_SHOWN: Final = 20
"""How many problems of a file a response has."""


def _message_without_values(error: InputError) -> str | None:
    """Return our message without the values it quotes: they may be the service's, not the caller's.

    None if the message may contain a path or a URL, which only the service should know.
    """
    text = _QUOTED_VALUE.sub(".", error.message)
    if isinstance(error, FleetFileError) and error.problems:
        head = error.message.partition("\n")[0]
        problems = error.problems[:_MAX_PROBLEMS_SHOWN]
        shown = [f"  {each.place}: {_QUOTED_VALUE.sub('.', each.message)}" for each in problems]
        more = [f"  ... and {error.count - _MAX_PROBLEMS_SHOWN:,} more"] if error.count > _MAX_PROBLEMS_SHOWN else []
        text = "\n".join([head, *shown, *more])
    return None if "/" in text or "\\" in text else text


def _counts(error: BulkError) -> dict[str, int] | None:
    report = error.report
    if report is None:
        return None
    return {name: getattr(report, name) for name in ("updated", "failed", "unknown", "not_sent")}


def _headers(error: WavixError, status: int) -> dict[str, str]:
    seconds = error.retry_after
    if status not in _WITH_RETRY_AFTER or seconds is None or not math.isfinite(seconds):
        return {}
    return {"Retry-After": str(max(math.ceil(seconds), 0))}


_WITH_RETRY_AFTER: Final = (429, 503)


async def _end_websocket(websocket: WebSocket, problem: dict[str, Any], response: JSONResponse) -> None:
    """Refuse a websocket with the problem if the server supports that, or else close it."""
    if WebSocketState.DISCONNECTED in (websocket.application_state, websocket.client_state):
        return
    is_accepted = websocket.application_state is not WebSocketState.CONNECTING
    status = problem["status"]
    code = 1013 if status in _WITH_RETRY_AFTER else 1011 if status >= 500 else 1008
    # The client may have disconnected unnoticed, unless the route was reading; servers raise different errors then.
    with contextlib.suppress(WebSocketDisconnect, OSError, RuntimeError):
        if not is_accepted and "websocket.http.response" in websocket.scope.get("extensions", {}):
            await websocket.send_denial_response(response)
        else:
            await websocket.close(code, problem["title"])


# --- the log ---


class _Fallback(logging.Handler):
    """Prints errors to stderr when logging is not configured, as Python does for loggers without a handler."""

    def emit(self, record: logging.LogRecord) -> None:
        if logging.lastResort is not None and not any(_handlers_of(_logger)):
            logging.lastResort.handle(record)


def _handlers_of(log: logging.Logger | None) -> Iterator[logging.Handler]:
    while log is not None:
        yield from (each for each in log.handlers if not isinstance(each, logging.NullHandler | _Fallback))
        log = log.parent if log.propagate else None


_logger: Final = _parent.getChild("fastapi")
_logger.addHandler(_Fallback(logging.ERROR))


def _log_for_operator(error: WavixError, problem: dict[str, Any]) -> None:
    kind = _kind_of(error)
    fields = {
        "error": type(error).__name__,
        "status": error.status,
        "outcome": error.outcome,
        "request_id": error.request_id and _one_line(error.request_id),
        "instance": problem["instance"],
    }
    if kind.status < 500:
        if isinstance(error, InputError):
            # The invalid value may come from the service itself.
            _logger.info("request refused: %s", _one_line(problem.get("detail", kind.title)), extra=fields)
        return
    if not kind.for_operator:
        _logger.warning("request failed upstream: %s", _one_line(str(error)), extra=fields)
        return
    # A traceback helps only if the error is in the code.
    exc_info = error if kind is _INTERNAL else None
    _logger.error(
        "request failed, for the operator to mend: %s", _one_line(str(error)), extra=fields, exc_info=exc_info
    )


def _one_line(text: str) -> str:
    """Return a text as one line for the log, without the quoted start of an unreadable response."""
    text = " ".join(text.partition(" It began: ")[0].split())
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return mask(_truncate(printable, _MAX_LENGTH))


# --- the OpenAPI schema ---

_PROBLEM: Final[dict[str, Any]] = {
    "title": _SCHEMA,
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "instance", "retryable"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "What kind of problem it is."},
        "title": {"type": "string", "description": "The same for people; constant for a type."},
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What is the matter with this request."},
        "instance": {
            "type": "string",
            "format": "uri",
            "description": "This occurrence, as it was logged.",
        },
        "retryable": {"type": "boolean", "description": "Whether the same request may succeed later."},
        "outcome": {
            "type": "string",
            "enum": ["not_sent", "rejected", "unknown"],
            "description": "Nothing reached the provider; it refused; or it may have been carried out.",
        },
        "code": {"type": "string", "description": "The provider's own error code."},
        "request_id": {"type": "string", "description": "The provider's id of the request."},
        "counts": {
            "type": "object",
            "additionalProperties": {"type": "integer"},
            "description": "How many changes ended how.",
        },
    },
}
_RETRY_AFTER: Final[dict[str, Any]] = {
    "description": "Seconds after which to try again, where that is known.",
    "schema": {"type": "integer"},
}


def _responses() -> dict[str, Any]:
    titles: dict[int, list[str]] = {}
    for kind in (*_KINDS.values(), _UNAVAILABLE):
        titles.setdefault(kind.status, []).append(kind.title)
    return {
        str(status): {
            "description": "; ".join(dict.fromkeys(titles[status])),
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{_SCHEMA}"}}},
            **({"headers": {"Retry-After": _RETRY_AFTER}} if status in _WITH_RETRY_AFTER else {}),
        }
        for status in sorted(titles)
    }


def _extend_schema(app: FastAPI) -> None:
    """Add the problems to the schema each time FastAPI makes it."""
    make_schema = app.openapi

    def openapi() -> dict[str, Any]:
        schema = make_schema()
        for path, methods in _paths_with_client(app):
            operations = schema.get("paths", {}).get(path, {})
            for method in methods:
                if method in operations:
                    _add_problems(operations[method], schema)
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _add_problems(operation: dict[str, Any], schema: dict[str, Any]) -> None:
    # An application may have changed its schema: keep what is there.
    schema.setdefault("components", {}).setdefault("schemas", {}).setdefault(_SCHEMA, copy.deepcopy(_PROBLEM))
    responses = operation.setdefault("responses", {})
    for status, response in _responses().items():
        # What the route documents for a status stays, FastAPI's own 422 included.
        documented = responses.setdefault(status, {"description": response["description"]})
        for part in ("content", "headers"):
            for name, value in response.get(part, {}).items():
                documented.setdefault(part, {}).setdefault(name, copy.deepcopy(value))


def _paths_with_client(app: FastAPI) -> Iterator[tuple[str, list[str]]]:
    # In newer versions of FastAPI an included router is one route, which `iter_route_contexts` flattens.
    iter_routes = cast("Any", getattr(routing, "iter_route_contexts", iter))
    for route in cast("Iterable[Any]", iter_routes(app.routes)):
        dependant = getattr(route, "dependant", None)
        if dependant is not None and _depends_on_client(dependant):
            yield route.path_format, [method.lower() for method in getattr(route, "methods", None) or ()]


def _depends_on_client(dependant: Any) -> bool:
    return any(each.call is get_wavix or _depends_on_client(each) for each in dependant.dependencies)
