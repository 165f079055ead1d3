"""Make errors like those that a call raises."""

import inspect
from typing import Final, TypeVar

from wavix_async.errors import ConnectError, WavixError, error_for_status
from wavix_async.testing._make import did_you_mean

__all__ = ["make_error"]

E = TypeVar("E", bound=WavixError)

_STATUSES: Final[dict[type, int]] = {
    error_for_status(status): status for status in (500, 400, 401, 402, 403, 404, 409, 413, 422, 429)
}
_CALL_ATTRIBUTES: Final = ("attempts", "elapsed", "not_retried")


def make_error(kind: type[E], message: str = "", /, **facts: object) -> E:
    """Make an error with all attributes that a call sets, for a fake to raise.

    To test how a client reacts to an error response, make the sandbox fail instead: `Sandbox.fail_next(429)`.

    Args:
        kind: The class, such as `RateLimitError`.
        message: The message. Default: a text that says it was made for a test.
        **facts: The arguments of the class (`retry_after=3`, `details=...`), and `attempts`, `elapsed` and
            `not_retried`. Default: the status that belongs to the class, a request id, and one attempt of 50 ms if the
            class implies that something was sent.

    Returns:
        The error, not raised.

    Raises:
        TypeError: The class has no such argument.
    """
    accepted_names = {
        name
        for each in kind.__mro__
        if issubclass(each, WavixError)
        for name, parameter in inspect.signature(each).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for name in facts:
        if name not in accepted_names and name not in _CALL_ATTRIBUTES:
            known = sorted({*accepted_names, *_CALL_ATTRIBUTES})
            raise TypeError(f"{kind.__name__} has no argument {name!r}: {did_you_mean(name, known)}")
    status = _STATUSES.get(kind)
    defaults: dict[str, object] = {} if status is None else {"status": status, "request_id": "made-for-a-test"}
    constructor_arguments = {name: value for name, value in facts.items() if name not in _CALL_ATTRIBUTES}
    error = kind(message or f"{kind.__name__}, made for a test.", **{**defaults, **constructor_arguments})  # type: ignore[arg-type]
    sent = error.outcome != "not_sent" and not isinstance(error, ConnectError)
    for name, value in {"attempts": int(sent), "elapsed": 0.05 * sent, **facts}.items():
        if name in _CALL_ATTRIBUTES:
            setattr(error, name, value)
    return error
