"""What went wrong, in our own errors: aiohttp's failures named, and what only the call knows added to every error."""

import re
from typing import Final

import aiohttp

from wavix_async._http.request import Request
from wavix_async.errors import (
    AttemptTimeoutError,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    DeadlineExceededError,
    DisconnectedError,
    TransportError,
    WavixError,
)

__all__ = ["REQUEST_ERROR_STATUSES", "add_context", "name_failure", "shows_a_login"]

REQUEST_ERROR_STATUSES: Final = frozenset({400, 404, 413, 422})
"""Statuses that depend on the request alone: the API gives the same answer to every attempt, so an earlier attempt
without an answer was not carried out either."""

_LOGIN: Final = re.compile(r"//\S*@")
_NEVER_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


def name_failure(error: Exception, request: Request, *, next_is_fresh: bool) -> WavixError:
    """Name a failure of aiohttp by what is known of the request: never sent, or perhaps carried out.

    Args:
        error: What aiohttp raised.
        request: The request.
        next_is_fresh: Whether the next attempt opens a new connection: then a pooled connection that the server closed
            costs the call no attempt.

    Returns:
        The error to raise in its place.
    """
    host = request.url.host
    if isinstance(error, _NEVER_SENT):
        return ConnectError(f"Cannot connect to {host}: {_reason(error)}. Nothing was sent.")
    # A body of bytes leaves in one write with the head; of a form, parts may have left before.
    if _is_closing_write(error) or (request.parts is None and _is_closing_write(error.__cause__)):
        return ConnectError(
            f"The connection to {host} was closed while it was idle. Nothing was sent.", was_idle=next_is_fresh
        )
    if isinstance(error, RuntimeError) and "Session is closed" in str(error):
        return ClientClosedError("The aiohttp session of the client is closed. Nothing was sent.")
    if isinstance(error, ValueError) and "Cannot combine AUTHORIZATION header" in str(error):
        return ConfigurationError(
            f"The session of the client has a login of its own for {host}, where the API key must be: remove it (and "
            "default) from ~/.netrc, or make the session without trust_env. Nothing was sent."
        )
    if isinstance(error, aiohttp.ClientPayloadError):
        return DisconnectedError(
            f"{host} broke off in the middle of its answer; the request may have been carried out."
        )
    if isinstance(error, aiohttp.ClientError | OSError):
        return DisconnectedError(
            f"The connection to {host} broke ({_reason(error)}); the request may have been carried out."
        )
    return TransportError(f"No answer from {host} ({_reason(error)}).")


def shows_a_login(error: Exception) -> bool:
    """Tell whether a traceback that holds an error may show the password of a proxy."""
    return isinstance(error, aiohttp.InvalidURL) or (not isinstance(error, OSError) and "@" in str(error))


def _is_closing_write(error: BaseException | None) -> bool:
    return isinstance(error, aiohttp.ClientConnectionResetError) and "closing transport" in str(error)


def _reason(error: BaseException) -> str:
    # aiohttp's own words for it repeat the host, and speak of TLS where there is none.
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, aiohttp.ClientResponseError):
        # Its own words repeat the URL: for a proxy, with the password.
        return f"status {error.status}, {error.message}" if error.message else f"status {error.status}"
    if isinstance(error, aiohttp.InvalidURL):
        return f"{type(error).__name__}, of the proxy or the API"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _LOGIN.sub("//<hidden>@", reason)


def add_context(
    error: WavixError,
    operation: str,
    *,
    attempts: int,
    elapsed: float,
    past_deadline: bool,
    ambiguous: bool,
    refused: bool,
) -> WavixError:
    """Add to an error what only the call knows, earlier attempts included.

    Args:
        error: Why this attempt failed.
        operation: The operation's name.
        attempts: How many requests of the call reached the wire.
        elapsed: Seconds since the call began.
        past_deadline: Whether the deadline of the call has passed.
        ambiguous: Whether an earlier attempt may have been carried out.
        refused: Whether the API has answered an attempt of this call with a 429.

    Returns:
        The error; a `DeadlineExceededError` where the deadline of the call ended the attempt.
    """
    if past_deadline and isinstance(error, AttemptTimeoutError):
        late = DeadlineExceededError(f"{operation} reached its deadline: {error.message}")
        late.__cause__, error = error.__cause__, late
    error.attempts = attempts
    error.elapsed = elapsed
    if error.outcome == "unknown":
        return error
    if ambiguous and error.status not in REQUEST_ERROR_STATUSES:
        error.outcome = "unknown"
    elif refused and error.outcome == "not_sent" and not isinstance(error, ConnectError):
        error.outcome, error.status = "rejected", 429
    return error
