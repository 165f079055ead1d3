"""The refusals of the API, in its own shapes."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure of the sandbox
    """A request that is answered with an error; `status`, `headers` and `body` are what goes on the wire."""

    def __init__(self, status: int, message: str, *, headers: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body: dict[str, Any] = {"success": False, **extra, "message": message}


def invalid(name: str, hint: str = "") -> Refusal:
    """Return the 400 that names a missing or wrong parameter."""
    return Refusal(400, f"Missing or invalid parameter {name}{': ' if hint else ''}{hint}")


def unauthorized() -> Refusal:
    """Return the 401 of a missing or wrong key."""
    return Refusal(401, "Access denied", error=True)


def forbidden() -> Refusal:
    """Return the 403 of a key whose scopes do not reach this far."""
    return Refusal(403, "The feature is disabled for your account.")


def unknown_numbers(names: list[str]) -> Refusal:
    """Return the 404 that names the numbers the account does not own (at most twenty of them)."""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return Refusal(404, f"Record not found: {shown}")


def wrong_method(allowed: str) -> Refusal:
    """Return the 405 of a known path."""
    return Refusal(405, "Method not allowed", headers=f"Allow: {allowed}\r\n")


def too_many_requests() -> Refusal:
    """Return the 429 of the rate limit."""
    return Refusal(429, "Too many requests")


_BY_STATUS: dict[int, Callable[[], Refusal]] = {
    400: lambda: invalid("request"),
    401: unauthorized,
    403: forbidden,
    404: lambda: Refusal(404, "Record not found"),
    422: lambda: Refusal(422, "Validation error"),
    429: too_many_requests,
    503: lambda: Refusal(503, "Service is temporarily unavailable"),
}


def refusal(status: int) -> Refusal:
    """Return what the API says with `status` when nothing more is known."""
    make = _BY_STATUS.get(status)
    if make is not None:
        return make()
    try:
        return Refusal(status, HTTPStatus(status).phrase)
    except ValueError:
        return Refusal(status, "Error")
