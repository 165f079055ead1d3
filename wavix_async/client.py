"""`WavixClient`: the settings, the lifetime, the groups of resources, and the one way a call goes."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs

from wavix_async._aio.clock import Clock
from wavix_async._aio.stop import StopSignal
from wavix_async._http.call import Call
from wavix_async._http.operation import Operation
from wavix_async._http.response import Part, build_request
from wavix_async._http.state import CallOptions, ClientState
from wavix_async._http.transport import Transport
from wavix_async._instrumentation.events import Observer
from wavix_async._instrumentation.observers import Observers
from wavix_async._ratelimit.limiter import LimitSnapshot
from wavix_async.config import (
    RetryPolicy,
    Secret,
    Timeouts,
    account_of,
    check_count,
    check_rate,
    check_seconds,
    read_api_key,
    read_base_url,
)
from wavix_async.errors import ConfigurationError
from wavix_async.resources.numbers import Numbers
from wavix_async.types import UNSET, UnsetType

if TYPE_CHECKING:
    import aiohttp

    from wavix_async._ratelimit import RateSource, SharedLimit

__all__ = ["Limits", "WavixClient"]

T = TypeVar("T")


class Limits:
    """What the client knows of the API's rate limits."""

    def __init__(self, shared: ClientState) -> None:
        self._shared = shared

    def snapshot(self, group: str = "default") -> LimitSnapshot:
        """Tell rate, pause and waiting callers at this moment.

        Args:
            group: The limit group; operations of one group share a limit.

        Returns:
            The rate in requests per second (None: nothing is held back), where it comes from, the pause left in
            seconds, and how many calls wait.
        """
        return self._shared.limiter(group).snapshot()


class WavixClient:
    """The asyncio client of the Wavix API.

    Use it with `async with`, or call `close()`. One client serves any number of tasks of one event loop.

    Args:
        api_key: The key; default: the environment variable WAVIX_API_KEY. It is hidden in errors where an answer
            repeats it, unless it is shorter than 8 characters, as no real key is.
        base_url: Default: WAVIX_BASE_URL, or https://api.wavix.com. http is taken for loopback hosts only.
        rate: Requests per second that the account allows. None: go as fast as the API takes, and learn the limit from
            its first 429. Clients do not share what they know of a limit: use one client for one key, and where one
            process is not enough, `wavix_async.redis.RedisRateLimit`.
        retry: When a failed attempt is repeated.
        timeout: How long to wait, in seconds; a number sets the time of one attempt.
        max_connections: Connections, and so requests on the wire, at once.
        session: An aiohttp session of your own (proxies, TLS); it is not closed, and its hidden replay of GET, PUT and
            DELETE is switched off. Default: a session of the client's own.
        strict: Raise `DecodeError` when an answer is not as documented, instead of keeping what came.
        observers: Called with every event: attempts, retries, pauses, rate changes, drift.

    Raises:
        ConfigurationError: A setting is missing or wrong; the message names it and the remedy.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        rate: "float | RateSource | None" = None,
        retry: RetryPolicy | None = None,
        timeout: Timeouts | float | None = None,
        max_connections: int = 100,
        session: "aiohttp.ClientSession | None" = None,
        strict: bool = False,
        observers: Iterable[Observer] = (),
    ) -> None:
        # Bound anew, so that no frame of a traceback holds the key as a plain string.
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key
        api_key = read_api_key(api_key)
        _check_session(session)
        timeouts = _timeouts(Timeouts(), timeout)
        policy = RetryPolicy() if retry is None else _policy(retry)
        self._base_url = read_base_url(base_url)
        self._options = CallOptions(timeouts=timeouts, retry=policy, observers=Observers(_observers(observers)))
        transport = Transport(
            api_key=api_key,
            max_connections=check_count("max_connections", max_connections),
            connect_timeout=timeouts.connect,
            session=session,
        )
        limit = _shared_limit(rate, account_of(api_key, self._base_url))
        self._shared = ClientState(
            transport,
            rate=None if limit is not None else check_rate(rate),
            limit=limit,
            retry=policy,
            strict=strict,
            observers=self._options.observers,
        )

    @cached_property
    def numbers(self) -> Numbers:
        """Phone numbers: `/v1/numbers`."""
        return Numbers(self)

    @property
    def limits(self) -> Limits:
        """What is known of the rate limits: `limits.snapshot()`."""
        return Limits(self._shared)

    @property
    def base_url(self) -> str:
        """Where the API is, without a slash at the end."""
        return str(self._base_url).rstrip("/")

    @property
    def retry(self) -> RetryPolicy:
        """The retry policy of this client."""
        return self._options.retry

    @property
    def observers(self) -> Observers:
        """Those who are told of everything that this client does; bulk runs tell them of themselves."""
        return self._options.observers

    @property
    def clock(self) -> Clock:
        """How this client waits: as long as it takes, or not at all in a test."""
        return self._shared.clock

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._shared.closed

    def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: object = None,
        parts: Iterable[Part] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Make one call: build the request, take turns with all other calls, send, repeat where that is safe, read.

        Args:
            operation: Which call.
            path: Values of the placeholders in its path.
            query: Query parameters; None is left out.
            body: The request body: a model, or what JSON takes.
            parts: The parts of a multipart body.

        Returns:
            What the operation answers.

        Raises:
            WavixError: One of its classes; see `wavix_async.errors`.
        """
        request = build_request(operation, self._base_url, path, query, body, parts)
        return Call(self._shared, self._options, operation, request).run()

    def with_options(
        self,
        *,
        timeout: Timeouts | float | None = None,
        deadline: float | UnsetType | None = UNSET,
        retry: RetryPolicy | None = None,
        observers: Iterable[Observer] = (),
        semaphore: asyncio.Semaphore | None = None,
        stop: StopSignal | None = None,
    ) -> Self:
        """Return a client with other options on the same pool, limits and budget; closing either closes both.

        Args:
            timeout: A number sets the seconds of one attempt; `Timeouts` sets all.
            deadline: Seconds for the whole call; None: no bound.
            retry: Another retry policy; its budget has no effect here: all calls share the client's.
            observers: Observers that are told of these calls too (not of pauses and rate changes, which are nobody's
                call).
            semaphore: Held by every attempt while it is on the wire, and at no other time; adds to one given before.
            stop: Once it is set nothing more is sent: calls that wait for their turn or for a backoff raise
                `StoppedError`; what is on the wire ends as it would.

        Returns:
            The client.

        Raises:
            ConfigurationError: A value is out of range.
        """
        timeouts = _timeouts(self._options.timeouts, timeout)
        if deadline is not UNSET:
            timeouts = attrs.evolve(timeouts, deadline=deadline)
        other = object.__new__(type(self))
        other._base_url = self._base_url
        other._shared = self._shared
        other._options = CallOptions(
            timeouts=timeouts,
            retry=self._options.retry if retry is None else _policy(retry),
            observers=self._options.observers.and_also(_observers(observers)),
            # Once each: an attempt that took one of them twice would wait for itself.
            semaphores=tuple(dict.fromkeys((*self._options.semaphores, *_semaphores(semaphore)))),
            stop=_follow(stop, self._options.stop),
        )
        return other

    async def close(self, grace: float = 0.0) -> None:
        """Close the connections. Closing twice is fine; a call after that raises `ClientClosedError`.

        Args:
            grace: Seconds that calls under way have to end, their retries and waits included; new calls are refused
                from now on. What has not ended then raises `ClientClosedError`, whose `outcome` tells whether it may
                have been carried out (`OutcomeUnknownError` where it was sent and must not be repeated). A bulk run
                sends nothing more and reports the rest as not sent.

        Raises:
            ConfigurationError: `grace` is no number of seconds, 0 or more.
        """
        await self._shared.close(check_seconds("grace", grace))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "_shared"):
            return f"<{type(self).__name__}>"
        return f"<{type(self).__name__} {self.base_url}{' closed' if self.closed else ''}>"


def _timeouts(base: Timeouts, given: Any) -> Timeouts:
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


def _shared_limit(given: Any, account: str) -> "SharedLimit | None":
    """Return the limit that is shared with other processes; None where the rate is a number, or what is no rate."""
    if not callable(getattr(given, "open_limit", None)):
        return None
    limit: SharedLimit = given.open_limit(account)
    return limit


def _policy(given: Any) -> RetryPolicy:
    if not isinstance(given, RetryPolicy):
        raise ConfigurationError(f"retry must be a RetryPolicy, for example RetryPolicy.none(); got {given!r}.")
    return given


def _observers(given: Any) -> tuple[Observer, ...]:
    observers: tuple[Observer, ...] = tuple(given) if isinstance(given, Iterable) else ()
    if not isinstance(given, Iterable) or not all(map(callable, observers)):
        raise ConfigurationError(f"observers must be a list of callables, for example [print]; got {given!r}.")
    return observers


def _check_session(session: object) -> None:
    if session is not None and not hasattr(session, "request"):
        raise ConfigurationError(f"session must be an aiohttp.ClientSession or None, got {type(session).__name__}.")
    if getattr(session, "auth", None) is not None:
        raise ConfigurationError(
            "session has a login of its own (auth=), where the API key must be: make it without auth, or leave session "
            "out. The login of a proxy belongs into proxy_auth= or the proxy's URL."
        )


def _semaphores(given: Any) -> tuple[asyncio.Semaphore, ...]:
    if given is not None and not isinstance(given, asyncio.Semaphore):
        raise ConfigurationError(f"semaphore must be an asyncio.Semaphore or None, got {given!r}.")
    return () if given is None else (given,)


def _follow(given: Any, before: StopSignal | None) -> StopSignal | None:
    """Return the signal to heed: the one given, which then follows the one that was heeded before."""
    if given is None:
        return before
    if not isinstance(given, StopSignal):
        raise ConfigurationError(f"stop must be a StopSignal or None, got {given!r}.")
    if before is not None:
        before.also_sets(given)
    return given
