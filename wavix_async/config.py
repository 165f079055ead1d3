"""The client's settings: frozen classes that check their values, and settings from the environment."""

import hashlib
import ipaddress
import os
from collections.abc import Callable, Iterable
from typing import Any, Final, SupportsIndex

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
        raise ConfigurationError(f"{type(instance).__name__}.{attribute.name} must be a whole number, got {value!r}.")


def _to_frozenset(value: Iterable[int]) -> frozenset[int]:
    # Leave any other type for the validator, which reports it.
    return frozenset(value) if isinstance(value, set | frozenset | list | tuple | range) else value  # type: ignore[return-value]


def _true_or_false(instance: object, attribute: Any, value: object) -> None:
    if type(value) is not bool:
        raise ConfigurationError(f"{type(instance).__name__}.{attribute.name} must be True or False, got {value!r}.")


def _statuses(instance: object, attribute: Any, value: object) -> None:
    if not isinstance(value, frozenset) or not all(type(status) is int for status in value):
        raise ConfigurationError(
            f"{type(instance).__name__}.{attribute.name} must be a set of statuses such as {{502, 503}}, got {value!r}."
        )


_STATUSES: Final = frozenset({408, 499, *range(500, 600)})


def _show_statuses(value: object) -> str:
    return "<408, 499 and every 5xx>" if value == _STATUSES else repr(value)


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long to wait, in seconds. A wait for the rate or a slot counts for the deadline, not for an attempt.

    Attributes:
        attempt: The limit for one attempt, from connecting to the last byte of the answer. Time in which the process
            did not run (suspended, stopped, or with a blocked event loop) does not count. Default 30.
        connect: The limit for looking up the host, and again for opening a connection (including TLS). Default 10. If
            it is set for a call (`with_options`), it limits both together.
        deadline: The limit for the whole call: all attempts, backoffs and waits for the rate. None: no limit. Default
            600.

    Raises:
        ConfigurationError: A value is not a positive number.
    """

    attempt: float = attrs.field(default=30.0, validator=_number(above=0))
    connect: float = attrs.field(default=10.0, validator=_number(above=0))
    deadline: float | None = attrs.field(default=600.0, validator=_number(above=0, optional=True))


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When the client retries a failed attempt.

    After a 429 the client waits and retries until the deadline, regardless of `attempts` (unless it is 1). The client
    retries a request that may have been carried out only if the operation is idempotent. It may retry any request that
    never left this machine.

    Attributes:
        attempts: The maximum number of attempts, including the first; 1 means no retries. Default 4.
        backoff: Upper limit of the first backoff in seconds. The limit doubles with each retry, and each wait is random
            between 0 and the limit ("full jitter"). Default 0.5.
        max_backoff: Upper limit of any backoff, in seconds. Default 8.
        statuses: HTTP statuses after which the client retries. Default 408, 499 and every 5xx. A page of a proxy under
            another 4xx, in place of an answer of the API, counts as a 502.
        repeat_unknown: Whether to retry an idempotent change that may have been carried out. False: its call fails
            instead, and `bulk_update` reads the number before it sends the change again. Default True.
        budget_ratio: Retries allowed per request, over all calls of the client. Default 0.2: at most 20 % more
            traffic.
        budget_per_second: Additional retries allowed per second. Default 10.

    Raises:
        ConfigurationError: A value is out of range.
    """

    attempts: int = attrs.field(default=4, validator=[_number(above=1, or_equal=True), _whole])
    backoff: float = attrs.field(default=0.5, validator=_number(above=0, or_equal=True))
    max_backoff: float = attrs.field(default=8.0, validator=_number(above=0, or_equal=True))
    statuses: frozenset[int] = attrs.field(
        default=_STATUSES, converter=_to_frozenset, validator=_statuses, repr=_show_statuses
    )
    repeat_unknown: bool = attrs.field(default=True, validator=_true_or_false)
    budget_ratio: float = attrs.field(default=0.2, validator=_number(above=0, or_equal=True))
    budget_per_second: float = attrs.field(default=10.0, validator=_number(above=0, or_equal=True))

    @classmethod
    def none(cls) -> "RetryPolicy":
        """Return a policy without retries, even after a 429."""
        return cls(attempts=1)


class Secret(str):
    """A string whose repr hides its value, so that dumps of locals and headers do not show it.

    A part of it is as secret: tools that shorten what they show take a slice and its repr.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<hidden>'"

    def __getitem__(self, index: SupportsIndex | slice) -> "Secret":
        return Secret(str.__getitem__(self, index))


def read_api_key(api_key: str | None) -> Secret:
    """Return the given API key, or the one in WAVIX_API_KEY.

    Raises:
        ConfigurationError: There is no key, or it has characters that a header cannot contain.
    """
    key = Secret(os.environ.get("WAVIX_API_KEY", "")) if api_key is None else api_key
    if not isinstance(key, str) or not key.strip():
        raise ConfigurationError(
            "api_key is missing: pass WavixClient(api_key=...) or set the environment variable WAVIX_API_KEY."
        )
    key = Secret(key.strip())
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError("api_key has characters that an HTTP header cannot contain: copy the key again.")
    return key


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_base_url(base_url: str | None) -> URL:
    """Return the given base URL, the one in WAVIX_BASE_URL, or the live API's.

    Raises:
        ConfigurationError: It is not an absolute URL, or it uses http for a host that is not loopback.
    """
    # Its text may hold a login, or be the key itself (arguments in the wrong order): no message repeats it.
    given = Secret(str(base_url if base_url is not None else os.environ.get("WAVIX_BASE_URL") or DEFAULT_BASE_URL))
    del base_url
    url = _parse_url(given)
    if url is None:
        raise ConfigurationError(f"base_url is not a URL. Pass a URL such as {DEFAULT_BASE_URL}.")
    if url.scheme not in {"http", "https"} or not url.host:
        missing = "it has no host" if url.scheme in {"http", "https"} else "it does not begin with https://"
        del url
        raise ConfigurationError(f"base_url must be an absolute http(s) URL such as {DEFAULT_BASE_URL}: {missing}.")
    if url.scheme == "http" and not is_loopback(url.host):
        host = url.host
        del url
        raise ConfigurationError(
            f"base_url must use https: {host} is not this machine, and the API key would be sent unencrypted. "
            f"Use https://{host}."
        )
    if url.user or url.password or url.query_string or url.fragment:
        del url
        raise ConfigurationError("base_url must be a scheme, a host and an optional path: no user, query or fragment.")
    return url.with_path(url.raw_path.rstrip("/"), encoded=True)


def _parse_url(text: Secret) -> URL | None:
    try:
        return URL(str(text).strip())
    except (ValueError, IndexError):
        # The message of the parser repeats a part of the text, so it is dropped.
        return None


def account_of(api_key: str, base_url: URL) -> str:
    """Return a name for the account of a key at this API: the same in every process, and it does not reveal the key."""
    return hashlib.sha256(f"{base_url.origin()}\n{api_key}".encode()).hexdigest()[:16]


def check_rate(rate: Any) -> float | None:
    """Return the rate if it is None or a positive number of requests per second.

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
    """Return `value` if it is a whole number of at least 1.

    Raises:
        ConfigurationError: It is something else.
    """
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{name} must be a whole number of 1 or more, got {value!r}.")
    return value


def check_seconds(name: str, value: float) -> float:
    """Return `value` if it is a number of seconds of at least 0.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"{name} must be a number of seconds, 0 or more, got {value!r}.")
    return value
