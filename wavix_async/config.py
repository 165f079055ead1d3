"""The client's settings: frozen records that check themselves, and what is read from the environment."""

import hashlib
import ipaddress
import os
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
from yarl import URL

from wavix_async.errors import ConfigurationError

__all__ = ["DEFAULT_BASE_URL", "RetryPolicy", "Timeouts"]

DEFAULT_BASE_URL: Final = "https://api.wavix.com"


def _number(*, above: float, optional: bool = False, or_equal: bool = False) -> Callable[[object, Any, object], None]:
    def check(instance: object, attribute: Any, value: object) -> None:
        if optional and value is None:
            return
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not (value >= above if or_equal else value > above):  # type: ignore[operator]
            bound = f"{above:g} or more" if or_equal else f"greater than {above:g}"
            none = " (or None)" if optional else ""
            raise ConfigurationError(
                f"{type(instance).__name__}.{attribute.name} must be a number {bound}{none}, got {value!r}."
            )

    return check


def _whole(instance: object, attribute: Any, value: object) -> None:
    if type(value) is not int:
        raise ConfigurationError(
            f"{type(instance).__name__}.{attribute.name} must be a number without a fraction, got {value!r}."
        )


def _to_frozenset(value: Iterable[int]) -> frozenset[int]:
    # What is no set of anything is left for the validator to name.
    return frozenset(value) if isinstance(value, set | frozenset | list | tuple | range) else value  # type: ignore[return-value]


def _true_or_false(instance: object, attribute: Any, value: object) -> None:
    if type(value) is not bool:
        raise ConfigurationError(f"{type(instance).__name__}.{attribute.name} must be True or False, got {value!r}.")


def _statuses(instance: object, attribute: Any, value: object) -> None:
    if not isinstance(value, frozenset) or not all(type(status) is int for status in value):
        raise ConfigurationError(
            f"{type(instance).__name__}.{attribute.name} must be a set of statuses like {{502, 503}}, got {value!r}."
        )


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds. Nothing here counts twice: queueing for the rate or a slot is not an attempt.

    Attributes:
        attempt: One attempt, connecting included, to the last byte of the answer. Default 30.
        connect: Looking up the host, and opening a connection (TLS included), 10 seconds each. Given for a call, it
            bounds both together.
        deadline: The whole call: every attempt, backoff and wait for the rate. None: no bound. Default 600.

    Raises:
        ConfigurationError: A value is not a positive number.
    """

    attempt: float = attrs.field(default=30.0, validator=_number(above=0))
    connect: float = attrs.field(default=10.0, validator=_number(above=0))
    deadline: float | None = attrs.field(default=600.0, validator=_number(above=0, optional=True))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed attempt is repeated.

    A 429 is waited out whatever `attempts` says (unless it is 1), until the deadline. A failure that may have been
    carried out is repeated only where the operation is safe to repeat; one that never left this machine always is.

    Attributes:
        attempts: Attempts in all, the first included; 1 means never repeat. Default 4.
        backoff: Upper bound of the first backoff in seconds; it doubles, and each wait is drawn between 0 and the
            bound ("full jitter"). Default 0.5.
        max_backoff: Upper bound of any backoff, in seconds. Default 8.
        statuses: HTTP statuses that are repeated. Default 408, 500, 502, 503, 504.
        repeat_unknown: Whether a change that may have been carried out is repeated where that is safe. False: its call
            fails instead, and `bulk_update` reads the number back before it sends the change again. Default True.
        budget_ratio: Retries allowed per request, over all calls of the client. Default 0.2: at most 20 % more
            traffic.
        budget_per_second: Retries allowed per second on top of that. Default 10.

    Raises:
        ConfigurationError: A value is out of range.
    """

    attempts: int = attrs.field(default=4, validator=[_number(above=1, or_equal=True), _whole])
    backoff: float = attrs.field(default=0.5, validator=_number(above=0, or_equal=True))
    max_backoff: float = attrs.field(default=8.0, validator=_number(above=0, or_equal=True))
    statuses: frozenset[int] = attrs.field(
        default=frozenset({408, 500, 502, 503, 504}), converter=_to_frozenset, validator=_statuses
    )
    repeat_unknown: bool = attrs.field(default=True, validator=_true_or_false)
    budget_ratio: float = attrs.field(default=0.2, validator=_number(above=0, or_equal=True))
    budget_per_second: float = attrs.field(default=10.0, validator=_number(above=0, or_equal=True))

    @classmethod
    def none(cls) -> "RetryPolicy":
        """Return the policy that never repeats an attempt, a 429 included."""
        return cls(attempts=1)


class Secret(str):
    """A string that does not show itself in repr, so that dumps of locals and headers stay clean."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<hidden>'"


class HiddenBytes(bytes):
    """Bytes that do not show themselves in repr."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "b'<hidden>'"


def read_api_key(api_key: str | None) -> Secret:
    """Return the key given, or the one in WAVIX_API_KEY.

    Raises:
        ConfigurationError: There is none, or it holds characters that no header can carry.
    """
    key = Secret(os.environ.get("WAVIX_API_KEY", "")) if api_key is None else api_key
    if not isinstance(key, str) or not key.strip():
        raise ConfigurationError(
            "api_key is missing: pass WavixClient(api_key=...) or set the environment variable WAVIX_API_KEY."
        )
    key = Secret(key.strip())
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError("api_key holds characters that no HTTP header can carry: copy the key again.")
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_base_url(base_url: str | None) -> URL:
    """Return the base URL given, the one in WAVIX_BASE_URL, or the live API's.

    Raises:
        ConfigurationError: It is not an absolute URL, or not https to a host that is not loopback.
    """
    text = base_url if base_url is not None else os.environ.get("WAVIX_BASE_URL") or DEFAULT_BASE_URL
    try:
        url = URL(str(text).strip())
    except (ValueError, IndexError) as error:
        raise ConfigurationError(f"base_url is not a URL: {error}. Pass one like {DEFAULT_BASE_URL}.") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError(
            f"base_url must be an absolute http(s) URL like {DEFAULT_BASE_URL}, got {str(text)!r}."
        )
    if url.scheme == "http" and not _is_loopback(url.host):
        raise ConfigurationError(
            f"base_url must use https: {url.host} is not this machine, and the key would travel in the clear. "
            f"Use https://{url.host}."
        )
    if url.user or url.password or url.query_string or url.fragment:
        raise ConfigurationError("base_url must hold a scheme, a host and at most a path: no user, query or fragment.")
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def account_of(api_key: str, base_url: URL) -> str:
    """Return a name for what a key opens at this API: the same in every process, and no way back to the key."""
    return hashlib.sha256(f"{base_url.origin()}\n{api_key}".encode()).hexdigest()[:16]


def check_rate(rate: Any) -> float | None:
    """Return the rate when it is None or a positive number of requests per second.

    Raises:
        ConfigurationError: It is something else.
    """
    good = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 < rate < float("inf")
    if rate is not None and not good:
        raise ConfigurationError(
            "rate must be a number of requests per second greater than 0, or None to learn it, or a shared limit "
            f"(wavix_async.redis.RedisRateLimit); got {rate!r}."
        )
    return None if rate is None else float(rate)


def check_count(name: str, value: int) -> int:
    """Return a whole number that is at least 1.

    Raises:
        ConfigurationError: It is something else.
    """
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of 1 or more, got {value!r}.")
    return value


def check_seconds(name: str, value: float) -> float:
    """Return a number of seconds that is at least 0.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"{name} must be a number of seconds, 0 or more, got {value!r}.")
    return value
