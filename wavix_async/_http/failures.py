"""Failures as our own errors: translate aiohttp's failures, and add to every error what only the call knows."""

import errno
import os
import re
import socket
from typing import Final

import aiohttp

from wavix_async._http.progress import ProgressError
from wavix_async._http.refusals import is_request_error
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

__all__ = ["add_context", "caller_error", "clean_cause", "name_failure"]

_LOGIN: Final = re.compile(r"//\S*@")
_LOCAL_LIMITS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_NEVER_SENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


def name_failure(
    error: Exception, request: Request, *, next_is_fresh: bool, others_in_flight: bool = False
) -> WavixError:
    """Translate a failure of aiohttp; the error says whether the request was never sent or may have been carried out.

    Args:
        error: The exception of aiohttp.
        request: The request.
        next_is_fresh: Whether the next attempt opens a new connection. If it does, a pooled connection that the server
            has closed does not count as an attempt.
        others_in_flight: Whether other requests of the client are on the wire.

    Returns:
        The error to raise instead.
    """
    host = request.url.host
    if isinstance(error, _NEVER_SENT):
        number = _local_limit(error)
        if number is None:
            by = isinstance(error, aiohttp.ClientHttpProxyError | aiohttp.ClientProxyConnectionError)
            to = f"{host} through the proxy" if by else f"{host}"
            told = " Check the login in the URL of the proxy." if getattr(error, "status", None) == 407 else ""
            return ConnectError(f"Cannot connect to {to}: {_reason(error)}. Nothing was sent.{told}")
        # Without other requests, "no address" rather means that the address itself is wrong, for example without IPv6.
        return ConnectError(
            f"Cannot connect to {host}: {os.strerror(number)}. Nothing was sent. {_advice(number)}",
            local_limit=number != errno.EADDRNOTAVAIL or others_in_flight,
        )
    # A body of bytes leaves in one write with the headers; parts of a form may have left before the failure.
    if _is_closing_write(error) or (request.parts is None and _is_closing_write(error.__cause__)):
        return ConnectError(
            f"The connection to {host} was closed while it was idle. Nothing was sent.", was_idle=next_is_fresh
        )
    if isinstance(error, RuntimeError) and "Session is closed" in str(error):
        return ClientClosedError("The aiohttp session of the client is closed. Nothing was sent.")
    if isinstance(error, ValueError) and "Cannot combine AUTHORIZATION header" in str(error):
        return ConfigurationError(
            f"The client's session has its own login for {host}, in place of the API key: remove the entry for it (and "
            "any default entry) from ~/.netrc, or create the session without trust_env. Nothing was sent."
        )
    if isinstance(error, aiohttp.ClientPayloadError):
        return DisconnectedError(
            f"{host} closed the connection in the middle of its answer; the request may have been carried out."
        )
    if isinstance(error, aiohttp.ClientError | OSError):
        return DisconnectedError(
            f"The connection to {host} broke ({_reason(error)}); the request may have been carried out."
        )
    return TransportError(f"No answer from {host} ({_reason(error)}).")


def caller_error(error: BaseException) -> Exception | None:
    """Return what the caller's own callback raised while the body was sent; None: that is not what failed."""
    cause = error.__cause__
    return cause.error if isinstance(cause, ProgressError) else None


def clean_cause(error: BaseException | None) -> BaseException | None:
    """Return an exception of aiohttp in a form to keep as a cause: without frames and without any text of a server.

    Its frames may hold the key (in the bytes of the request), and its text may repeat the key or the login of a proxy.
    """
    if error is None or isinstance(error, aiohttp.InvalidURL | aiohttp.ClientResponseError):
        return None
    error.__traceback__ = error.__context__ = None
    error.__cause__ = clean_cause(error.__cause__)
    if not isinstance(error, OSError):
        if "@" in str(error):
            return None
        error.args = ()
        if hasattr(error, "message"):
            setattr(error, "message", "")  # noqa: B010 - an assignment would be a type error
    return error


def _local_limit(error: BaseException) -> int | None:
    """Return the error number if this machine, and not the network, could not open one more connection."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    if cause is None:
        return None
    if cause.errno in _LOCAL_LIMITS:
        return cause.errno
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        # The resolver of the system reports a lack of descriptors as a host that it does not find.
        try:
            socket.socket().close()
        except OSError as refused:
            return refused.errno if refused.errno in _LOCAL_LIMITS else None
    return None


def _advice(number: int) -> str:
    if number == errno.EMFILE:
        return (
            f"This process has all its {_open_files()}file descriptors in use: lower max_connections, close what the "
            "program keeps open, or raise the limit (`ulimit -n`)."
        )
    if number == errno.ENFILE:
        return "All file descriptors of this machine are in use: raise the limit (`sysctl fs.file-max`)."
    if number == errno.EADDRNOTAVAIL:
        return (
            "This machine has no free local port, or no local address for this host: close what opens so many "
            "connections, or check the network settings."
        )
    return "This machine has no memory for another connection: lower max_connections, or close other connections."


def _open_files() -> str:
    try:
        import resource
    except ImportError:
        return ""
    return f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]} "


def _is_closing_write(error: BaseException | None) -> bool:
    return isinstance(error, aiohttp.ClientConnectionResetError) and "closing transport" in str(error)


def _reason(error: BaseException) -> str:
    # aiohttp's own message repeats the host, and mentions TLS even without TLS.
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # The message repeats the URL, which for a proxy holds the password.
        return f"status {error.status}, {error.message}" if error.message else f"status {error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        if (encoding := _unknown_encoding(error)) is not None:
            return f"the answer is in the encoding {encoding}, which is not supported here"
        # aiohttp quotes a part of the answer: it may be a part of the key.
        return f"the answer is not valid HTTP: {type(error.__cause__ or error).__name__}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        # Its message may be the head of an incomplete answer.
        return "Server disconnected"
    if isinstance(error, aiohttp.InvalidURL):
        return f"{type(error).__name__}, in the URL of the proxy or the API"
    if isinstance(error, aiohttp.ClientConnectionError) and isinstance(error.__cause__, OSError):
        # aiohttp could not send a body. Its own message shows its objects.
        error = error.__cause__
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _LOGIN.sub("//<hidden>@", reason)


def _unknown_encoding(error: BaseException) -> str | None:
    """Return the name of a Content-Encoding that aiohttp cannot decode without another package."""
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, aiohttp.http.HttpProcessingError):
            for name in ("brotli (br)", "zstandard (zstd)"):
                if f"Can not decode content-encoding: {name}" in str(cause):
                    return name
        cause = cause.__cause__
    return None


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
    """Add to an error what only the call knows, including its earlier attempts.

    Args:
        error: The failure of this attempt.
        operation: The operation's name.
        attempts: How many requests of the call reached the wire.
        elapsed: Seconds since the call began.
        past_deadline: Whether the deadline of the call has passed.
        ambiguous: Whether an earlier attempt may have been carried out.
        refused: Whether the API has answered an attempt of this call with a 429.

    Returns:
        The error, or a `DeadlineExceededError` if the deadline of the call ended the attempt.
    """
    if past_deadline and isinstance(error, AttemptTimeoutError):
        late = DeadlineExceededError(f"{operation} reached its deadline: {error.message}")
        late.__cause__, error = error.__cause__, late
    error.attempts = attempts
    error.elapsed = elapsed
    if error.outcome == "unknown":
        return error
    if ambiguous and not is_request_error(error):
        error.outcome = "unknown"
    elif refused and error.outcome == "not_sent" and not isinstance(error, ConnectError):
        error.outcome, error.status = "rejected", 429
    return error
