"""`CallOptions`: what `with_options` can change from call to call, and the checks of the values that callers pass."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from wavix_async._aio import StopSignal
from wavix_async._instrumentation import Observer, Observers
from wavix_async.config import RetryPolicy, Timeouts
from wavix_async.errors import ConfigurationError

__all__ = [
    "CallOptions",
    "check_lane",
    "check_observers",
    "check_retry",
    "check_semaphore",
    "check_session",
    "check_share",
    "follow",
    "merge_timeout",
]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CallOptions:
    """What `with_options` can change from call to call."""

    timeouts: Timeouts
    retry: RetryPolicy
    observers: Observers
    semaphores: tuple[asyncio.Semaphore, ...] = ()
    stop: StopSignal | None = None
    headers: Mapping[str, str] | None = None
    """Headers that every call adds to those of the client."""
    query: Mapping[str, object] | None = None
    """Query parameters that every call adds to its own."""
    bulk: bool = False


def merge_timeout(base: Timeouts, given: Any) -> Timeouts:
    """Return the timeouts after a caller passed `timeout=`: a number sets the time of one attempt.

    Raises:
        ConfigurationError: `given` is neither a number of seconds nor `Timeouts`.
    """
    if given is None:
        return base
    if isinstance(given, Timeouts):
        return given
    try:
        return attrs.evolve(base, attempt=given)
    except ConfigurationError:
        raise ConfigurationError(
            f"timeout must be a number of seconds greater than 0, or Timeouts(...); got {given!r}."
        ) from None


def check_lane(given: Any) -> bool:
    """Return whether `given` is the bulk lane.

    Raises:
        ConfigurationError: `given` is neither "live" nor "bulk".
    """
    if given not in ("live", "bulk"):
        raise ConfigurationError(f'lane must be "live" or "bulk", got {given!r}.')
    return bool(given == "bulk")


def check_share(given: Any) -> float:
    """Return the share of bulk runs if it is a number above 0 and below 1.

    Raises:
        ConfigurationError: `given` is something else.
    """
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0.0 < given < 1.0:
        raise ConfigurationError(f"bulk_share must be a number above 0 and below 1, for example 0.2; got {given!r}.")
    return float(given)


def check_retry(given: Any) -> RetryPolicy:
    """Return `given` if it is a retry policy.

    Raises:
        ConfigurationError: `given` is something else.
    """
    if not isinstance(given, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, for example RetryPolicy.none(); got {given!r}.")
    return given


def check_observers(given: Any) -> tuple[Observer, ...]:
    """Return the observers as a tuple.

    Raises:
        ConfigurationError: `given` is not an iterable of callables.
    """
    observers: tuple[Observer, ...] = tuple(given) if isinstance(given, Iterable) else ()
    if not isinstance(given, Iterable) or not all(map(callable, observers)):
        raise ConfigurationError(f"observers must be a list of callables, for example [print]; got {given!r}.")
    return observers


def check_session(session: object) -> None:
    """Check the aiohttp session of a caller.

    Raises:
        ConfigurationError: `session` is not a session, or has its own login.
    """
    if session is not None and not hasattr(session, "request"):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession or None, got {type(session).__name__}.")
    if getattr(session, "auth", None) is not None:
        raise ConfigurationError(
            "session has its own login (auth=), in place of the API key: create it without auth, or omit session. "
            "Pass the login of a proxy with proxy_auth= or in the proxy's URL."
        )


def check_semaphore(given: Any) -> tuple[asyncio.Semaphore, ...]:
    """Return a tuple with the semaphore, or an empty tuple for None.

    Raises:
        ConfigurationError: `given` is something else.
    """
    if given is not None and not isinstance(given, asyncio.Semaphore):
        raise ConfigurationError(f"semaphore must be an asyncio.Semaphore or None, got {given!r}.")
    return () if given is None else (given,)


def follow(given: Any, before: StopSignal | None) -> StopSignal | None:
    """Return the stop signal of a call: `given`, which from now on is also set when `before` is, or else `before`.

    Raises:
        ConfigurationError: `given` is not a `StopSignal`.
    """
    if given is None:
        return before
    if not isinstance(given, StopSignal):
        raise ConfigurationError(f"stop must be a StopSignal or None, got {given!r}.")
    if before is not None:
        before.also_sets(given)
    return given
