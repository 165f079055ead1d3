"""From a response to a result, or to an error that says what happened: pure functions without I/O, clock or client."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import attrs

from wavix_async import _codec
from wavix_async._http.details import DETAILS, bounded, hide_values
from wavix_async._http.evidence import TALK, Contradiction, denial, find_contradiction
from wavix_async._http.operation import Operation
from wavix_async._http.redaction import NO_KEY, Redactor
from wavix_async._http.refusals import is_refusal
from wavix_async._http.request import Request
from wavix_async._ratelimit import answered_at
from wavix_async.errors import APIError, DecodeError, OutcomeUnknownError, ServerError, WavixError, error_for_status
from wavix_async.models.common import Success
from wavix_async.types import Outcome

__all__ = [
    "LARGE",
    "Response",
    "code_of",
    "error_context",
    "read_large",
    "read_request_id",
    "read_response",
    "refuse_stream",
]

T = TypeVar("T")

LARGE: Final = 128 * 1024
"""Bytes of a body that may hold the event loop for long: a page of 100 numbers has 107 kB and takes 1 ms, and the worst
body of this size takes 50 ms."""
_MOST_CONTAINERS: Final = 100_000
"""Lists and objects in a large body. The parser stops all threads: 16 MB of empty lists would take it two seconds."""
_MOST_VALUES: Final = 500_000
_LONGEST_ERROR: Final = 1024 * 1024
"""Bytes of an error's body that are parsed; of a longer one an error only keeps the beginning."""
_DEEPEST: Final = 100
"""Levels of an answer. `to_dict`, pickle and `repr` cannot go much deeper; JSON libraries often stop here, too."""
_MOST_DRIFTS: Final = 20_000
"""Drifts after which an answer is not one of this API: a page of 100 numbers with every field changed has 6,000."""
_LONGEST_ID: Final = 200  # characters of an id or a code; the server or a proxy may send any text
_MOST_SIBLINGS: Final = 100  # keys beside the result that are reported as drift
_FLAGS: Final = frozenset({"success", "error"})  # keys that the API may add to any answer
_READS: Final = frozenset({"GET", "HEAD"})
_UNPRINTABLE: Final = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ud800-\\udfff]"
)
_REQUEST_ID_HEADERS: Final = ("X-Request-Id", "X-Amzn-Trace-Id", "CF-Ray")


@attrs.define(eq=False)
class Response:
    """An answer of the API, read to its end."""

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    request: Request | None = attrs.field(default=None, repr=False)
    """The request that it answers, for the messages of errors."""


def read_response(operation: Operation[T], response: Response, redactor: Redactor = NO_KEY) -> tuple[T, _codec.Drifts]:
    """Read a response as the operation's result.

    Args:
        operation: The call.
        response: The response of the API.
        redactor: Hides the key in what an error quotes.

    Returns:
        The result, and everything in it that is not as documented.

    Raises:
        APIError: The status is an error, or the body of a 2xx says that the call failed.
        DecodeError: The body of a 2xx is not the JSON result of this operation, or of another record.
        OutcomeUnknownError: The body of a 2xx contradicts the change, or reports an error in another form.
    """
    if not 200 <= response.status < 300:
        raise _api_error(operation, response, redactor)
    if response.status == 202 and operation.pending_202:
        return _not_yet(operation, response, redactor), _codec.NO_DRIFTS
    if not response.body:
        return _nothing(operation, response, redactor)
    if operation.result is None:
        return cast("T", None), _codec.NO_DRIFTS
    payload = _payload(response, redactor)
    if type(payload) is dict and not operation.error_flag_is_data:
        if payload.get("success") is False or payload.get("error") is True:
            raise _api_error(operation, response, redactor)
        words = denial(operation, payload, redactor.excerpt)
        if words is not None:
            raise _unbelievable(operation, response, redactor, words, payload)
    read = _decode if operation.unwrap is None else _read_unwrapped
    value, drifts = read(operation, response, payload, redactor)
    if response.request is not None:
        found = find_contradiction(operation, response.request, value, redactor.excerpt)
        if found is not None:
            raise _unbelievable(operation, response, redactor, found.words, value, found)
    if type(value) is list and operation.result is not list:
        # A notebook shows a list of records as a table, as it shows a page.
        value = cast("T", _codec.Records(cast("list[Any]", value)))
    return value, drifts


def _unbelievable(
    operation: Operation[Any],
    response: Response,
    redactor: Redactor,
    words: str,
    value: object,
    found: Contradiction | None = None,
) -> WavixError:
    """Return the error for a 2xx whose body contradicts the request, or says no."""
    said = f"HTTP {response.status} for {_name(operation, response)}, but the answer cannot be believed: {words}."
    facts: dict[str, Any] = {**error_context(response, redactor), "details": None}
    answer = redactor.answer(value)
    if found is None:
        facts |= {"code": _code_in(answer), "reason": _printable(_message_in(answer)) or None, "details": answer}
    if operation.method in _READS:
        return DecodeError(_printable(said), retryable=True, **facts)
    return OutcomeUnknownError(
        f"{_printable(said)} The request may have been carried out: check the account before you send it again.",
        answer=answer,
        contradiction=_printable(words),
        differing=() if found is None else found.differing,
        other_record=found is not None and found.other_record,
        **facts,
    )


def refuse_stream(operation: Operation[Any], response: Response, redactor: Redactor, what: str) -> WavixError:
    """Return the error for an answer that has no file and no rows.

    Args:
        operation: The call.
        response: The answer, with at least the beginning of its body.
        redactor: Hides the key in what an error quotes.
        what: What was expected, with its verb: "a file was".
    """
    if not 200 <= response.status < 300:
        return _api_error(operation, response, redactor)
    with contextlib.suppress(DecodeError):
        payload = _payload(response, redactor)
        if type(payload) is dict and (payload.get("success") is False or payload.get("error")):
            return _api_error(operation, response, redactor)
    kind = redactor.excerpt(response.headers.get("Content-Type", "no content type"), 100)
    # Without its beginning: it may hold the URL of a file, which is as good as a key.
    return DecodeError(
        f"HTTP {response.status} with {kind!r} where {what} expected.",
        **error_context(response, redactor),
        retryable=True,
    )


def read_large(operation: Operation[T], response: Response, redactor: Redactor) -> tuple[T, _codec.Drifts]:
    """Read a response with a large body, for a thread: `read_response` after a check that no step will take long.

    Raises:
        APIError: The status is an error, or the body of a 2xx says that the call failed.
        DecodeError: The body of a 2xx is not the JSON result of this operation, or holds too many values.
    """
    if 200 <= response.status < 300:
        containers = values = 0
        for start in range(0, len(response.body), _LONGEST_ERROR):
            # Part by part, so that other threads run in between.
            part = response.body[start : start + _LONGEST_ERROR]
            containers += part.count(b"{") + part.count(b"[")
            values += part.count(b",")
            if containers > _MOST_CONTAINERS or values > _MOST_VALUES:
                what = f"a body of over {_MOST_CONTAINERS:,} objects and lists, or {_MOST_VALUES:,} values"
                raise _unreadable(response, what, redactor)
    return read_response(operation, response, redactor)


def _decode(operation: Operation[T], response: Response, payload: Any, redactor: Redactor) -> tuple[T, _codec.Drifts]:
    result: Any = operation.result
    try:
        value, drifts = _codec.decode(result, payload, _MOST_DRIFTS)
    except _codec.TooMuchDrift:
        what = f"JSON that differs from the documentation in over {_MOST_DRIFTS:,} places"
        raise _unreadable(response, what, redactor) from None
    # A model without plain JSON, read without drift, is as deep as its class.
    if (drifts or _codec.holds_plain(result)) and _codec.is_nested(payload, _DEEPEST):
        raise _unreadable(response, f"JSON that is nested deeper than {_DEEPEST} levels", redactor)
    if drifts and not (_codec.fits(result, value) and _says_something(result, payload)):
        raise _unreadable(
            response, f"a JSON {_kind(payload)} that is not an answer to {_name(operation, response)}", redactor
        )
    return value, drifts


def _kind(payload: Any) -> str:
    return "null" if payload is None else type(payload).__name__


def _read_unwrapped(
    operation: Operation[T], response: Response, payload: Any, redactor: Redactor
) -> tuple[T, _codec.Drifts]:
    """Read the result under the key `unwrap`; if the answer lacks the key, the body itself is the result."""
    key = operation.unwrap
    inner = payload.get(key) if type(payload) is dict else None
    if inner is None and type(payload) is dict and key in payload:
        # Null means None, or an empty list.
        if type(None) in _codec.members(operation.result):
            return cast("T", None), _codec.NO_DRIFTS
        if _codec.is_list(operation.result):
            return cast("T", []), _codec.NO_DRIFTS
    if not isinstance(inner, dict | list):
        # The model itself may have a text or number field of that name: in that case, too, the body is the result.
        if operation.result is dict and type(payload) is dict and key in payload and payload.keys() <= TALK | {key}:
            what = f"{type(inner).__name__} under {key!r} where an object was expected"
            raise _unreadable(response, what.replace("NoneType", "null"), redactor)
        return _decode(operation, response, payload, redactor)
    value, drifts = _decode(operation, response, inner, redactor)
    model = _codec.name_of(operation.result)
    found = _codec.Drifts(attrs.evolve(drift, path=f"$.{key}{drift.path[1:]}") for drift in drifts)
    # Beside a list of what belongs to a record, the API repeats the ids of the path.
    known = {key, *_FLAGS, *operation.placeholders}
    siblings = [name for name in payload if name not in known]
    found += (
        _codec.Drift(model, name, "unknown", f"$.{name}", "no such key", type(payload[name]).__name__)
        for name in siblings[:_MOST_SIBLINGS]
    )
    found.more = drifts.more + len(siblings[_MOST_SIBLINGS:])
    return value, found


def _says_something(result: Any, payload: Any) -> bool:
    """Return whether a payload can be the result. For a call that only confirms, any object (or no body) is enough."""
    return result is Success or _codec.is_about(result, payload)


def _not_yet(operation: Operation[T], response: Response, redactor: Redactor) -> T:
    """Return the result of a 202 that means "not yet": a model with `pending`, and with what the answer has already."""
    payload = _payload(response, redactor) if response.body else {}
    if type(payload) is dict and not operation.error_flag_is_data:
        if payload.get("success") is False or payload.get("error") is True:
            raise _api_error(operation, response, redactor)
        if operation.unwrap is not None:
            payload = payload.get(operation.unwrap) or {}
    value, _ = _codec.decode(cast("type[T]", operation.result), payload if type(payload) is dict else {})
    object.__setattr__(value, "pending", True)
    return value


def _nothing(operation: Operation[T], response: Response, redactor: Redactor) -> tuple[T, _codec.Drifts]:
    """Read an empty 2xx: valid if the call only confirms, a broken answer if it must return something."""
    if operation.result is None:
        return cast("T", None), _codec.NO_DRIFTS
    if operation.result is not Success:
        raise _unreadable(response, "an empty body", redactor)
    return cast("T", Success(success=True)), _codec.NO_DRIFTS


def _payload(response: Response, redactor: Redactor) -> Any:
    kind = response.headers.get("Content-Type", "")
    if kind and "json" not in kind.lower():
        raise _unreadable(response, f"content type {redactor.excerpt(kind, 100)!r} where JSON was expected", redactor)
    try:
        return _codec.loads(response.body)
    except (ValueError, RecursionError):
        pass
    try:
        return _codec.loads_odd(response.body)
    except (ValueError, RecursionError):
        raise _unreadable(response, "a body that is not JSON, or incomplete JSON", redactor) from None


def _unreadable(response: Response, what: str, redactor: Redactor) -> DecodeError:
    began = _excerpt(response.body, redactor)
    return DecodeError(
        f"HTTP {response.status} with {what}. It began: {began[:200]!r}",
        **error_context(response, redactor),
        retryable=True,
        details=began,
    )


def _excerpt(body: bytes, redactor: Redactor) -> str:
    # A character has at most four bytes; the excerpt needs more than it returns, to find a key at its end.
    return redactor.excerpt(hide_values(body[: 16 * DETAILS].decode("utf-8", "replace")), DETAILS)


def error_context(response: Response, redactor: Redactor) -> dict[str, Any]:
    """Return what every error says about the answer: its status, the request's id, the server's time."""
    headers = response.headers
    return {
        "status": response.status,
        "request_id": read_request_id(headers, redactor),
        "date": answered_at(headers),
    }


def read_request_id(headers: Mapping[str, str], redactor: Redactor) -> str | None:
    """Return the API's id of the request that these headers answer, or None."""
    for name in _REQUEST_ID_HEADERS:
        value = headers.get(name)
        if value:
            return _ascii(redactor.excerpt(value, _LONGEST_ID))
    return None


def _ascii(text: str) -> str:
    """Return a header's text in a form that is safe for logs, terminals and JSON: ASCII, with escapes for all else."""
    return _printable(text).encode("ascii", "backslashreplace").decode()


def _printable(text: str) -> str:
    """Return a text of a server without half characters, terminal codes and line breaks: people print such errors."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _details(response: Response, redactor: Redactor) -> tuple[Any, bool]:
    """Return what an error keeps of a body, and whether the body is JSON."""
    body = response.body
    if len(body) > _LONGEST_ERROR:
        declared = response.headers.get("Content-Type", "").lower()
        return _excerpt(body, redactor), "json" in declared and body[:100].lstrip().startswith((b"{", b"["))
    for loads in (_codec.loads, _codec.loads_odd):
        try:
            return bounded(loads(body), redactor.excerpt), True
        except (ValueError, RecursionError):
            continue
    return _excerpt(body, redactor), False


def _api_error(operation: Operation[Any], response: Response, redactor: Redactor) -> APIError:
    details, is_json = _details(response, redactor)
    status, from_api = response.status, _is_from_api(response, details, is_json=is_json)
    reason = _printable(_message_in(details))
    said = (reason or "no reason given").rstrip(". ") + "."
    kind: type[APIError] = error_for_status(status)
    outcome: Outcome | None = None  # as the class says
    if not 200 <= status < 300 and kind is not ServerError:
        refusal = is_refusal(status, from_api=from_api)
        outcome = "rejected" if refusal else "unknown"
        kind = kind if refusal else APIError
    return kind(
        f"HTTP {status} for {_name(operation, response)}: {said}{_hint(operation, status, outcome, from_api=from_api)}",
        **error_context(response, redactor),
        code=_code_in(details),
        outcome=outcome,
        # A 429 and a 5xx have what their class says; of the others only those without a refusal may go better.
        retryable=True if outcome == "unknown" else None,
        reason=None if isinstance(details, str) else reason or None,
        details=details,
        is_page=not from_api,
    )


def _is_from_api(response: Response, details: Any, *, is_json: bool) -> bool:
    """Return whether the body of an error is one that the API itself sends: JSON, or empty."""
    if not is_json:
        return not response.body.strip()
    # A lone word or number in a text is JSON by chance.
    declared = response.headers.get("Content-Type", "")
    return isinstance(details, dict | list) or not declared or "json" in declared.lower()


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


def code_of(response: Response) -> str | None:
    """Return the API's own error code in a response; None if it has none."""
    return _code_in(_details(response, NO_KEY)[0])


def _code_in(details: Any) -> str | None:
    if isinstance(details, list):
        details = details[0] if details else None
    if not isinstance(details, dict):
        return None
    for key in ("error_code", "code", "error_class"):
        if isinstance(details.get(key), str | int) and not isinstance(details.get(key), bool):
            return _printable(str(details[key])[:_LONGEST_ID])
    return None
