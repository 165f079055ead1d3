"""`install_error_handlers`: answer the client's errors with problem details (RFC 9457), and document them in OpenAPI.

One table maps each class of error to a response. The response covers only the caller's own request: what the API said
about its input, whether the request was carried out, and whether a retry may help. Details about the service's key, its
account and its connection to the API go to the log, under the same `instance` as the response.
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
from wavix_async._files import listed
from wavix_async._instrumentation import logger as _parent
from wavix_async._instrumentation import mask
from wavix_async.fastapi._lifespan import get_wavix
from wavix_async.fleet import FleetFileError

__all__ = ["MEDIA_TYPE", "RETRY_AFTER", "install_error_handlers", "problem_of", "problem_response"]

MEDIA_TYPE: Final = "application/problem+json"
_SCHEMA: Final = "WavixProblem"


@attrs.frozen
class _Kind:
    """One type of problem."""

    status: int
    type: str
    """The last part of its URI. Empty means `about:blank`: the status says everything."""
    title: str
    detail: str | None = None
    for_operator: bool = False
    """Whether only the service's operator can fix it."""
    shows_api_message: bool = False
    """Whether the problem is the caller's input, so that the response may quote the API's message."""


def _quotes_api(status: int, kind: str, title: str) -> _Kind:
    return _Kind(status, kind, title, shows_api_message=True)


_INTERNAL: Final = _Kind(500, "", "Internal Server Error", for_operator=True)
_STOPPING: Final = _Kind(503, "stopping", "The service is shutting down", "This service is shutting down.")
_UNUSABLE: Final = _Kind(502, "upstream-error", "The provider gave no usable answer")
# Callers get the same response: the service's key, balance and permissions are not their business.
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
    "The request was sent once and no reliable answer came back, so it may have been carried out. Check before you "
    "send it again.",
)
_BULK: Final = _Kind(502, "bulk-incomplete", "Not all changes were made")

_KINDS: Final[dict[type[WavixError], _Kind]] = {
    # A subclass without its own row uses the row of its nearest base class; this one is the last resort.
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
    errors.WaitTimeoutError: _TIMEOUT,
    errors.OutcomeUnknownError: _OUTCOME_UNKNOWN,
    errors.JournalError: _INTERNAL,
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
    """Answer uncaught client errors with problem details (RFC 9457), and document these answers in the OpenAPI schema.

    Your own handler for one class (`app.add_exception_handler(NotFoundError, ...)`) takes precedence. FastAPI's own
    errors do not change. A mounted application has its own handlers: call this function for it, too.
    In a websocket, an error rejects or closes the connection, with the title as the reason: code 1008 if the caller can
    fix the problem, 1013 if it is temporary, 1011 otherwise.

    In the OpenAPI schema, every operation that depends on `get_wavix` lists these answers.

    The logger `wavix_async.fastapi` records a problem that only the operator can fix as an error, any other 5xx as a
    warning and an `InputError` as information, each with the `instance` of the problem.

    Args:
        app: The application.
        type_base: The prefix of each `type`. Default `/problems/`, relative to the service's URL; give an absolute URL
            if you document your problem types somewhere.
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
    """Return the same response as the error handlers, and log the same; for middleware, where no handler runs.

    Args:
        error: The error.
        type_base: The prefix of the `type`, as in `install_error_handlers`.
    """
    return _make_response(error, type_base)[1]


def _make_response(error: WavixError, type_base: str) -> tuple[dict[str, Any], JSONResponse]:
    problem = problem_of(error, type_base=type_base)
    _log_for_operator(error, problem)
    status = problem["status"]
    return problem, JSONResponse(problem, status, _headers(error, status), MEDIA_TYPE)


def problem_of(error: WavixError, *, type_base: str = "/problems/") -> dict[str, Any]:
    """Return the problem details of an error, ready for JSON and without secrets.

    Args:
        error: The error.
        type_base: The prefix of the `type`.

    Returns:
        `type`, `title`, `status`, a unique `instance`, `retryable` and `outcome` (a bulk error has `counts` instead);
        also `detail`, `code` and `request_id` if they are known and the caller may see them.
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
        # The service cannot read or write one of its own files: the caller cannot fix that.
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


def _message_without_values(error: InputError) -> str | None:
    """Return our message without the values it quotes, because they may be the service's and not the caller's.

    Return None if the message may contain a path or a URL, which callers must not see.
    """
    text = _QUOTED_VALUE.sub(".", error.message)
    if isinstance(error, FleetFileError) and error.problems:
        lines = (f"{each.place}: {_QUOTED_VALUE.sub('.', each.message)}" for each in error.problems)
        text = listed(error.message.partition("\n")[0], lines, error.count)
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
    """Reject a websocket with the problem if the server supports that; otherwise close it."""
    if WebSocketState.DISCONNECTED in (websocket.application_state, websocket.client_state):
        return
    is_accepted = websocket.application_state is not WebSocketState.CONNECTING
    status = problem["status"]
    code = 1013 if status in _WITH_RETRY_AFTER else 1011 if status >= 500 else 1008
    # A route that does not read misses a disconnect, so the client may be gone; each server raises its own error then.
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
            # The service itself may have produced the invalid value.
            _logger.info("request rejected: %s", _one_line(problem.get("detail", kind.title)), extra=fields)
        return
    if not kind.for_operator:
        _logger.warning("request failed upstream: %s", _one_line(str(error)), extra=fields)
        return
    # Only a bug in the code needs a traceback.
    exc_info = error if kind is _INTERNAL else None
    _logger.error(
        "request failed, only the operator can fix it: %s", _one_line(str(error)), extra=fields, exc_info=exc_info
    )


def _one_line(text: str) -> str:
    """Return the text as one log line, without the quoted start of an unreadable response."""
    text = " ".join(text.partition(" It began: ")[0].split())
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return mask(_truncate(printable, _MAX_LENGTH))


# --- the OpenAPI schema ---


def _field(kind: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more, "description": description}


_PROBLEM: Final[dict[str, Any]] = {
    "title": _SCHEMA,
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "instance", "retryable"],
    "properties": {
        "type": _field("string", "The kind of problem.", format="uri-reference"),
        "title": _field("string", "A short summary, the same for every problem of this type."),
        "status": _field("integer", "The HTTP status."),
        "detail": _field("string", "What is wrong with this request."),
        "instance": _field("string", "The id of this occurrence in the service's log.", format="uri"),
        "retryable": _field("boolean", "Whether the same request may succeed later."),
        "outcome": _field(
            "string",
            "`not_sent`: the provider did not get the request; `rejected`: it refused; `unknown`: it may have carried "
            "the request out.",
            enum=["not_sent", "rejected", "unknown"],
        ),
        "code": _field("string", "The provider's own error code."),
        "request_id": _field("string", "The provider's id for the request."),
        "counts": _field(
            "object", "The number of changes by how they ended.", additionalProperties={"type": "integer"}
        ),
    },
}
RETRY_AFTER: Final[dict[str, Any]] = {
    "description": "Seconds to wait before a retry, if known.",
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
            **({"headers": {"Retry-After": RETRY_AFTER}} if status in _WITH_RETRY_AFTER else {}),
        }
        for status in sorted(titles)
    }


def _extend_schema(app: FastAPI) -> None:
    """Add the problems to the schema each time FastAPI generates it."""
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
    # The application may have changed its schema: only add to it.
    schema.setdefault("components", {}).setdefault("schemas", {}).setdefault(_SCHEMA, copy.deepcopy(_PROBLEM))
    responses = operation.setdefault("responses", {})
    for status, response in _responses().items():
        # Keep what the route documents for a status, including FastAPI's own 422.
        documented = responses.setdefault(status, {"description": response["description"]})
        for part in ("content", "headers"):
            for name, value in response.get(part, {}).items():
                documented.setdefault(part, {}).setdefault(name, copy.deepcopy(value))


def _paths_with_client(app: FastAPI) -> Iterator[tuple[str, list[str]]]:
    # Newer versions of FastAPI keep an included router as one route; `iter_route_contexts` flattens it.
    iter_routes = cast("Any", getattr(routing, "iter_route_contexts", iter))
    for route in cast("Iterable[Any]", iter_routes(app.routes)):
        dependant = getattr(route, "dependant", None)
        if dependant is not None and _depends_on_client(dependant):
            yield route.path_format, [method.lower() for method in getattr(route, "methods", None) or ()]


def _depends_on_client(dependant: Any) -> bool:
    return any(each.call is get_wavix or _depends_on_client(each) for each in dependant.dependencies)
