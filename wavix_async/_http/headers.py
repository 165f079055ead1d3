"""Headers and query parameters of a caller: what may be set, and what must not be shown."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from wavix_async import _codec
from wavix_async._http.redaction import Redactor
from wavix_async.config import Secret
from wavix_async.errors import ConfigurationError, InputError
from wavix_async.types import UNSET

__all__ = [
    "check_app_info",
    "check_headers",
    "check_query",
    "idempotency_headers",
    "is_secret_name",
    "merge_headers",
    "merge_query",
    "shown_headers",
    "shown_url",
]

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A name in a header, as RFC 9110 defines it."""
_SECRET: Final = re.compile(
    r"auth|cookie|credential|passw|pwd|secret|session|sign|token|api-?key|access-?key|private|^key$|^code$|^pin$"
)
"""Parts of names whose values are secret."""
_NOT_SECRET: Final = frozenset({"www-authenticate", "proxy-authenticate", "proxy-authentication-info"})

_OWNED: Final = {
    "authorization": "it holds the API key: pass api_key=",
    "user-agent": "pass app_info= to name your program",
    **dict.fromkeys(
        (
            *(
                "accept",
                "accept-encoding",
                "connection",
                "content-encoding",
                "content-length",
                "content-type",
                "expect",
            ),
            *("host", "if-range", "keep-alive", "proxy-authorization", "proxy-connection", "range", "te", "trailer"),
            *("transfer-encoding", "upgrade"),
        ),
        "the client sets it, or must not send it",
    ),
}
"""Headers that a caller cannot set, and why not. With `Range`, a part of an answer would look like the whole."""

_URLS_OF_FILES: Final = frozenset({"location", "content-location", "refresh"})
"""Headers of answers that may hold the URL of a file, which opens the file without a key."""

_LONGEST_KEY: Final = 255


def is_secret_name(name: str) -> bool:
    """Return whether the value of a header or a query parameter of this name must not be shown."""
    name = name.lower().replace("_", "-")
    return name not in _NOT_SECRET and _SECRET.search(name) is not None


def check_headers(given: Any) -> CIMultiDictProxy[str] | None:
    """Return the headers of a caller; the repr of a secret one hides its value.

    Raises:
        ConfigurationError: `given` is not a mapping of names to texts, or has a header that the client owns.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f'headers must be a mapping of names to texts, for example {{"X-Team": "billing"}}; got a '
            f"{type(given).__name__}."
        )
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in given.items():
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"headers has the name {name!r}, which is not the name of a header.")
        if why := _OWNED.get(name.lower()):
            raise ConfigurationError(f"headers must not set {name}: {why}.")
        # No message repeats a value: it may be a secret.
        if not isinstance(value, str):
            raise ConfigurationError(f"headers[{name!r}] must be a text, got a {type(value).__name__}.")
        if not (value.isascii() and value.isprintable()):
            raise ConfigurationError(
                f"headers[{name!r}] has characters that a header cannot contain: only printable ASCII, in one line."
            )
        if name in headers:
            raise ConfigurationError(f"headers has {name} twice.")
        headers[name] = Secret(value) if is_secret_name(name) else value
    return CIMultiDictProxy(headers) if headers else None


def merge_headers(
    before: Mapping[str, str] | None, given: CIMultiDictProxy[str] | None
) -> CIMultiDictProxy[str] | None:
    """Return the headers of two callers as one; of a header that both set, `given` has the value."""
    if not before or not given:
        return given or (None if not before else CIMultiDictProxy(CIMultiDict(before)))
    merged = CIMultiDict(before)
    merged.update(given)
    return CIMultiDictProxy(merged)


def check_query(given: Any) -> dict[str, object] | None:
    """Return the query parameters of a caller; the repr of a secret one hides its value.

    Raises:
        ConfigurationError: `given` is not a mapping of names to values.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise ConfigurationError(
            f'query must be a mapping of names to values, for example {{"trace": "on"}}; got a {type(given).__name__}.'
        )
    for name in given:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"query has the name {name!r}: names of parameters are texts.")
    return {
        name: Secret(value) if type(value) is str and is_secret_name(name) else value for name, value in given.items()
    }


def merge_query(before: Mapping[str, object], given: Any) -> Mapping[str, object]:
    """Return the query parameters of `with_options` and those of a call; of a name in both, the call has the value."""
    if given is None:
        return before
    if isinstance(given, _codec.FieldsBase):
        given = _codec.query_of(given)
    return {**before, **{name: value for name, value in given.items() if value is not None and value is not UNSET}}


def check_app_info(given: Any) -> str:
    """Return what a program adds to the User-Agent, with a space before it; an empty text for None.

    Raises:
        ConfigurationError: `given` is not a name and a version that a header can contain.
    """
    if given is None:
        return ""
    good = isinstance(given, tuple | list) and len(given) == 2
    if not good or not all(isinstance(part, str) and _TOKEN.fullmatch(part) and len(part) <= 100 for part in given):
        raise ConfigurationError(
            f'app_info must be a name and a version without spaces, for example ("my-service", "1.2"); got {given!r}.'
        )
    return f" {given[0]}/{given[1]}"


def idempotency_headers(key: Any) -> dict[str, str] | None:
    """Return the headers for the idempotency key of a call; None for None and UNSET.

    Sources name two headers, so both are sent. Whether the API honours one is not documented.

    Raises:
        InputError: The key is empty or too long, or has characters that a header cannot contain.
    """
    if key is None or key is UNSET:
        return None
    if not isinstance(key, str) or not key.strip() or len(key) > _LONGEST_KEY:
        raise InputError(f"idempotency_key must be a text of 1 to {_LONGEST_KEY} characters, got {key!r}.")
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"idempotency_key must be printable ASCII, got {key!r}.")
    return {"Idempotency-Key": key, "X-Cio-Idempotency-Key": key}


def shown_headers(headers: Mapping[str, str], redactor: Redactor) -> CIMultiDictProxy[str]:
    """Return the headers of an answer without secrets: neither cookies and tokens, nor the API key."""
    shown: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        shown.add(redactor.hide(name), _shown(name, value, redactor))
    return CIMultiDictProxy(shown)


def _shown(name: str, value: str, redactor: Redactor) -> str:
    if is_secret_name(name) or name.lower() in _URLS_OF_FILES:
        return "<hidden>"
    hidden: str = redactor.hide(value)
    return hidden


def shown_url(url: URL, query: Iterable[str]) -> URL:
    """Return the URL of a request without the values of the secret parameters among these names."""
    secret = {name: "<hidden>" for name in query if is_secret_name(name)}
    return url.update_query(secret) if secret else url
