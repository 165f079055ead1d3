"""The API's error responses, in its own format."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any


class ApiError(Exception):
    """An error response of the API, with its `status`, `headers` and `body`.

    It is a normal response, not a failure of the sandbox.
    """

    def __init__(self, status: int, message: str, *, headers: str = "", **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers
        self.body: dict[str, Any] = {"success": False, **extra, "message": message}


def invalid(name: str, hint: str = "") -> ApiError:
    """Return the 400 for a missing or wrong parameter, with its name."""
    return ApiError(400, f"Missing or invalid parameter {name}{': ' if hint else ''}{hint}")


def validation_error(errors: Mapping[str, str]) -> ApiError:
    """Return the 400 for several wrong fields, with what is wrong with each."""
    return ApiError(400, "Validation error", errors=dict(errors))


def unauthorized() -> ApiError:
    """Return the 401 for a missing or wrong key."""
    return ApiError(401, "Access denied", error=True)


def forbidden() -> ApiError:
    """Return the 403 for a key without the required scope."""
    return ApiError(403, "The feature is disabled for your account.")


def unknown_numbers(names: list[str]) -> ApiError:
    """Return the 404 for numbers that the account does not own, with at most 20 of them."""
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return ApiError(404, f"Record not found: {shown}")


def wrong_method(allowed: str) -> ApiError:
    """Return the 405 for a known path."""
    return ApiError(405, "Method not allowed", headers=f"Allow: {allowed}\r\n")


def too_many_requests() -> ApiError:
    """Return the 429 for a request above the rate limit."""
    return ApiError(429, "Too many requests")


_BY_STATUS: dict[int, Callable[[], ApiError]] = {
    400: lambda: invalid("request"),
    401: unauthorized,
    403: forbidden,
    404: lambda: ApiError(404, "Record not found"),
    422: lambda: ApiError(422, "Validation error"),
    429: too_many_requests,
    503: lambda: ApiError(503, "Service is temporarily unavailable"),
}


def api_error(status: int) -> ApiError:
    """Return the API's usual error for a status."""
    make = _BY_STATUS.get(status)
    if make is not None:
        return make()
    try:
        return ApiError(status, HTTPStatus(status).phrase)
    except ValueError:
        return ApiError(status, "Error")
