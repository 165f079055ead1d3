"""`CallOptions`: what `with_options` can change from call to call, and the checks of what callers pass."""

import asyncio
from collections.abc import Iterable
from typing import Any

import attrs

from wavix_async._aio import StopSignal
from wavix_async._instrumentation import Observer, Observers
from wavix_async.config import RetryPolicy, Timeouts
from wavix_async.errors import ConfigurationError

__all__ = [
    "CallOptions",
    "check_observers",
    "check_retry",
    "check_semaphore",
    "check_session",
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


def merge_timeout(base: Timeouts, given: Any) -> Timeouts:
    """Return the timeouts after a caller passed `timeout=`: a number sets the time of one attempt.

    Raises:
        ConfigurationError: It is neither a number of seconds nor `Timeouts`.
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


def check_retry(given: Any) -> RetryPolicy:
    """Return a retry policy.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(given, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, for example RetryPolicy.none(); got {given!r}.")
    return given


def check_observers(given: Any) -> tuple[Observer, ...]:
    """Return the observers as a tuple.

    Raises:
        ConfigurationError: It is no iterable of callables.
    """
    observers: tuple[Observer, ...] = tuple(given) if isinstance(given, Iterable) else ()
    if not isinstance(given, Iterable) or not all(map(callable, observers)):
        raise ConfigurationError(f"observers must be a list of callables, for example [print]; got {given!r}.")
    return observers


def check_session(session: object) -> None:
    """Check the aiohttp session of a caller.

    Raises:
        ConfigurationError: It is no session, or it has a login of its own.
    """
    if session is not None and not hasattr(session, "request"):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession or None, got {type(session).__name__}.")
    if getattr(session, "auth", None) is not None:
        raise ConfigurationError(
            "session has a login of its own (auth=), where the API key must be: make it without auth, or leave session "
            "out. The login of a proxy belongs into proxy_auth= or the proxy's URL."
        )


def check_semaphore(given: Any) -> tuple[asyncio.Semaphore, ...]:
    """Return the semaphore in a tuple, an empty one for None.

    Raises:
        ConfigurationError: It is something else.
    """
    if given is not None and not isinstance(given, asyncio.Semaphore):
        raise ConfigurationError(f"semaphore must be an asyncio.Semaphore or None, got {given!r}.")
    return () if given is None else (given,)


def follow(given: Any, before: StopSignal | None) -> StopSignal | None:
    """Return the stop signal of a call: the one given, which from now on also follows the one that was there before.

    Raises:
        ConfigurationError: It is no `StopSignal`.
    """
    if given is None:
        return before
    if not isinstance(given, StopSignal):
        raise ConfigurationError(f"stop must be a StopSignal or None, got {given!r}.")
    if before is not None:
        before.also_sets(given)
    return given
