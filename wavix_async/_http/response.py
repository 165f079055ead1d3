"""From a response to a result, or to an error that says what happened: pure functions without I/O, clock or client."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import attrs

from wavix_async import _codec
from wavix_async._http.evidence import Contradiction, denial, find_contradiction
from wavix_async._http.operation import Operation
from wavix_async._http.refusals import is_refusal
from wavix_async._http.request import Request
from wavix_async._ratelimit import answered_at
from wavix_async.errors import APIError, DecodeError, OutcomeUnknownError, ServerError, WavixError, error_for_status
from wavix_async.models.common import Success
from wavix_async.types import Outcome

__all__ = ["Response", "error_context", "read_response"]

T = TypeVar("T")

_EXCERPT: Final = 2000
_LONGEST_ID: Final = 200  # characters of an id or a code; the server or a proxy may send any text
_FLAGS: Final = frozenset({"success", "error"})  # keys that the API may add to any answer
_READS: Final = frozenset({"GET", "HEAD"})
_REQUEST_ID_HEADERS: Final = ("X-Request-Id", "X-Amzn-Trace-Id", "CF-Ray")


@attrs.define(eq=False)
class Response:
    """An answer of the API, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    request: Request | None = attrs.field(default=None, repr=False)
    """The request that it answers, for the messages of errors."""


def read_response(operation: Operation[T], response: Response) -> tuple[T, list[_codec.Drift]]:
    """Read a response as the operation's result.

    Args:
        operation: The call.
        response: The response of the API.

    Returns:
        The result, and everything in it that is not as documented.

    Raises:
        APIError: The status is an error, or the body of a 2xx says that the call failed.
        DecodeError: The body of a 2xx is not the JSON result of this operation, or of another record.
        OutcomeUnknownError: The body of a 2xx contradicts the change, or reports an error in another form.
    """
    if not 200 <= response.status < 300:
        raise _api_error(operation, response)
    if not response.body:
        return _nothing(operation, response)
    if operation.result is None:
        return cast("T", None), []
    payload = _payload(response)
    if type(payload) is dict and not operation.error_flag_is_data:
        if payload.get("success") is False or payload.get("error") is True:
            raise _api_error(operation, response)
        words = denial(operation, payload)
        if words is not None:
            raise _unbelievable(operation, response, words, payload)
    read = _decode if operation.unwrap is None else _read_unwrapped
    value, drifts = read(operation, response, payload)
    if response.request is not None:
        found = find_contradiction(operation, response.request, value)
        if found is not None:
            raise _unbelievable(operation, response, found.words, value, found)
    return value, drifts


def _unbelievable(
    operation: Operation[Any], response: Response, words: str, answer: object, found: Contradiction | None = None
) -> WavixError:
    """Return the error for a 2xx whose body contradicts the request, or says no."""
    said = f"HTTP {response.status} for {_name(operation, response)}, but the answer cannot be believed: {words}."
    facts: dict[str, Any] = {**error_context(response), "details": None}
    if found is None:
        facts |= {"code": _code_in(answer), "reason": _message_in(answer) or None, "details": answer}
    if operation.method in _READS:
        return DecodeError(said, retryable=True, **facts)
    return OutcomeUnknownError(
        f"{said} The request may have been carried out: check the account before you send it again.",
        answer=answer,
        differing=() if found is None else found.differing,
        other_record=found is not None and found.other_record,
        **facts,
    )


def _decode(operation: Operation[T], response: Response, payload: Any) -> tuple[T, list[_codec.Drift]]:
    result: Any = operation.result
    value, drifts = _codec.decode(result, payload)
    if drifts and not (_codec.fits(result, value) and _says_something(result, payload)):
        raise _unreadable(
            response, f"a JSON {type(payload).__name__} that is not an answer to {_name(operation, response)}"
        )
    return value, drifts


def _read_unwrapped(operation: Operation[T], response: Response, payload: Any) -> tuple[T, list[_codec.Drift]]:
    """Read the result under the key `unwrap`; if the answer lacks the key, the body itself is the result."""
    key = operation.unwrap
    inner = payload.get(key) if type(payload) is dict else None
    if inner is None and type(payload) is dict and key in payload:
        # Null means None, or an empty list.
        if type(None) in _codec.members(operation.result):
            return cast("T", None), []
        if _codec.is_list(operation.result):
            return cast("T", []), []
    if not isinstance(inner, dict | list):
        # The model itself may have a text or number field of that name: in that case, too, the body is the result.
        return _decode(operation, response, payload)
    value, drifts = _decode(operation, response, inner)
    model = _codec.name_of(operation.result)
    found = [attrs.evolve(drift, path=f"$.{key}{drift.path[1:]}") for drift in drifts]
    found += [
        _codec.Drift(model, name, "unknown", f"$.{name}", "no such key", type(sibling).__name__)
        for name, sibling in payload.items()
        if name != key and name not in _FLAGS
    ]
    return value, found


def _says_something(result: Any, payload: Any) -> bool:
    """Return whether a payload can be the result. For a call that only confirms, any object (or no body) is enough."""
    return result is Success or _codec.is_about(result, payload)


def _nothing(operation: Operation[T], response: Response) -> tuple[T, list[_codec.Drift]]:
    """Read an empty 2xx: valid if the call only confirms, a broken answer if it must return something."""
    if operation.result is None:
        return cast("T", None), []
    if operation.result is not Success:
        raise _unreadable(response, "an empty body")
    return cast("T", Success(success=True)), []


def _payload(response: Response) -> Any:
    kind = response.headers.get("Content-Type", "")
    if kind and "json" not in kind.lower():
        raise _unreadable(response, f"content type {kind[:100]!r} where JSON was expected")
    try:
        return _codec.loads(response.body)
    except (ValueError, RecursionError):
        raise _unreadable(response, "a body that is not JSON, or incomplete JSON") from None


def _unreadable(response: Response, what: str) -> DecodeError:
    return DecodeError(
        f"HTTP {response.status} with {what}. It began: {_excerpt(response.body)[:200]!r}",
        **error_context(response),
        retryable=True,
        details=_excerpt(response.body),
    )


def _excerpt(body: bytes) -> str:
    return body[:_EXCERPT].decode("utf-8", "replace")


def error_context(response: Response) -> dict[str, Any]:
    """Return what every error says about the answer: its status, the request's id, the server's time."""
    headers = response.headers
    return {
        "status": response.status,
        "request_id": next((_plain(value) for name in _REQUEST_ID_HEADERS if (value := headers.get(name))), None),
        "date": answered_at(headers),
    }


def _plain(text: str) -> str:
    """Return a header's text in a form that is safe for logs and JSON: short, with escapes for bytes beyond ASCII."""
    return text[:_LONGEST_ID].encode("ascii", "backslashreplace").decode()


def _api_error(operation: Operation[Any], response: Response) -> APIError:
    try:
        details: Any = _codec.loads(response.body)
    except (ValueError, RecursionError):
        details = _excerpt(response.body)
    status, from_api = response.status, _is_from_api(response, details)
    said = (_message_in(details) or "no reason given").rstrip(". ") + "."
    kind: type[APIError] = error_for_status(status)
    outcome: Outcome | None = None  # as the class says
    if not 200 <= status < 300 and kind is not ServerError:
        refusal = is_refusal(status, from_api=from_api)
        outcome = "rejected" if refusal else "unknown"
        kind = kind if refusal else APIError
    return kind(
        f"HTTP {status} for {_name(operation, response)}: {said}{_hint(operation, status, outcome, from_api=from_api)}",
        **error_context(response),
        code=_code_in(details),
        outcome=outcome,
        # A 429 and a 5xx have what their class says; of the others only those without a refusal may go better.
        retryable=True if outcome == "unknown" else None,
        reason=None if isinstance(details, str) else _message_in(details) or None,
        details=details,
        is_page=not from_api,
    )


def _is_from_api(response: Response, details: Any) -> bool:
    """Return whether the body of an error is one that the API itself sends: JSON, or empty.

    Args:
        response: The answer.
        details: Its body as JSON, or as a text if it is not JSON.
    """
    if isinstance(details, dict | list) or not response.body.strip():
        return True
    if isinstance(details, str) and not response.body.lstrip().startswith(b'"'):
        return False
    # A lone word or number in a text is JSON by chance.
    declared = response.headers.get("Content-Type", "")
    return not declared or "json" in declared.lower()


def _hint(operation: Operation[Any], status: int, outcome: Outcome | None, *, from_api: bool) -> str:
    """Return what the caller should know or do about an error."""
    if 300 <= status < 400:
        return " Redirects are not followed: check base_url. The request may have been carried out."
    if outcome == "unknown":
        by = "" if from_api else " The body is not JSON: a proxy may have sent it, not the API."
        return f"{by} The request may have been carried out."
    if status in (401, 402, 403) and not from_api:
        return " The body is not JSON: a firewall or proxy seems to block this client, not the API."
    if status == 401:
        return " Check api_key, and the IP addresses that may use the key."
    if status == 403 and operation.scope:
        return f" The key needs the scope {operation.scope}."
    return ""


def _name(operation: Operation[Any], response: Response) -> str:
    """Name a call by its method and path, so that the message shows which record it concerns."""
    request = response.request
    return operation.name if request is None else f"{request.method} {request.url.path}"


def _message_in(details: Any) -> str:
    """Find the reason in any of the shapes that the API uses, and shorten it."""
    if isinstance(details, str):
        return "" if details.lstrip().startswith("<") else " ".join(details.split())[:300]
    if isinstance(details, list):
        return "; ".join(filter(None, (_message_in(entry) for entry in details[:3] if isinstance(entry, dict))))[:500]
    if not isinstance(details, dict):
        return ""
    texts = [details[key] for key in ("message", "detail", "title", "error") if isinstance(details.get(key), str)][:1]
    for key in ("errors", "error"):
        texts += _reasons_in(details.get(key)) if not isinstance(details.get(key), str) or not texts else []
    if isinstance(details.get("error_dids"), list):
        texts.append(", ".join(map(str, details["error_dids"][:20])))
    return "; ".join(filter(None, texts))[:500]


def _reasons_in(reasons: Any) -> list[str]:
    if isinstance(reasons, str):
        return [reasons]
    if isinstance(reasons, dict):
        if isinstance(reasons.get("message"), str):
            return [reasons["message"]]
        return [f"{name}: {reason}" for name, reason in reasons.items()]
    if isinstance(reasons, list):
        return [reason if isinstance(reason, str) else _message_in(reason) for reason in reasons[:20] if reason]
    return []


def _code_in(details: Any) -> str | None:
    if isinstance(details, list):
        details = details[0] if details else None
    if not isinstance(details, dict):
        return None
    for key in ("error_code", "code", "error_class"):
        if isinstance(details.get(key), str | int) and not isinstance(details.get(key), bool):
            return str(details[key])[:_LONGEST_ID]
    return None
