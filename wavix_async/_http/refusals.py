"""What a refusal is: the one definition that errors, retries, bulk runs and the circuit breaker share.

A refusal is an answer of the API itself that rejects the request and changes nothing. Only a 4xx can be a refusal. But
a proxy can answer with a 4xx, too, while the API is still at work on the request. The body shows which of the two has
answered: the API answers with JSON or with an empty body, a proxy with a page. So:

- 1xx, 3xx, 408, 499 and 5xx are no refusals, whatever the body: the API may have carried out the request.
- 413, 414, 429 and 431 are refusals whatever the body: a server sends them instead of passing the request on.
- 401, 402 and 403 are refusals whatever the body. With a page, a firewall blocks this client, and blocks its other
  requests, too: a bulk run stops. The error then blames neither the key nor its scope.
- Any other 4xx is a refusal if its body is JSON or empty. With a page, it is as uncertain as a page under a 200: the
  request may have been carried out, and the client repeats it where that is safe.

`APIError.is_refusal` has the result, and depends on this one answer only. `outcome` is about the whole call.
"""

from typing import Final

from wavix_async.errors import APIError, DecodeError, RateLimitError, TransportError, WavixError, error_for_status

__all__ = ["REQUEST_ERROR_STATUSES", "is_no_answer", "is_refusal", "is_request_error"]

REQUEST_ERROR_STATUSES: Final = frozenset({400, 404, 413, 422})
"""Statuses that depend on the request alone. The API gives the same answer to every attempt, so an earlier attempt
without an answer was not carried out either."""

_NEVER: Final = frozenset({408, 499})
_ALWAYS: Final = frozenset({401, 402, 403, 413, 414, 429, 431})
_REQUEST_ERRORS: Final = tuple(error_for_status(status) for status in REQUEST_ERROR_STATUSES)


def is_refusal(status: int, *, from_api: bool) -> bool:
    """Return whether an answer shows that the request was rejected and changed nothing.

    Args:
        status: The status of the answer; not a 2xx.
        from_api: Whether the body is one that the API itself sends: JSON, or empty.
    """
    return 400 <= status < 500 and status not in _NEVER and (from_api or status in _ALWAYS)


def is_request_error(error: WavixError | None) -> bool:
    """Return whether the API itself gave an answer that depends on the request alone (`REQUEST_ERROR_STATUSES`)."""
    # By class: a proxy's page under a 404 is no NotFoundError.
    return isinstance(error, _REQUEST_ERRORS)


def is_no_answer(error: WavixError) -> bool:
    """Return whether an attempt got no answer of the API: none at all, an unreadable one, or one that is no refusal."""
    if isinstance(error, RateLimitError):
        # A 429, or a call that had to wait and was not sent: that says nothing about the API's health.
        return False
    return isinstance(error, TransportError | DecodeError) or (isinstance(error, APIError) and not error.is_refusal)
