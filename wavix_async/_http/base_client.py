"""`BaseClient`: the settings, the lifetime, and the one entry point of every call. It knows no group of operations."""

import asyncio
import os
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

import attrs
from yarl import URL

from wavix_async._aio import BULK_SHARE, Clock, StopSignal
from wavix_async._http.call import Call
from wavix_async._http.headers import check_app_info, check_headers, check_query, merge_headers, merge_query
from wavix_async._http.operation import Operation
from wavix_async._http.options import (
    CallOptions,
    check_lane,
    check_observers,
    check_retry,
    check_semaphore,
    check_session,
    check_share,
    follow,
    merge_timeout,
)
from wavix_async._http.proxy import check_ssl, choose_proxy, proxy_of_environment
from wavix_async._http.receipts import Receipt, Recording, get_receipt
from wavix_async._http.redaction import Redactor
from wavix_async._http.request import Part, build_request
from wavix_async._http.state import ClientState
from wavix_async._http.stream_call import StreamCall
from wavix_async._http.streams import Download, Export, Opener, Stream
from wavix_async._http.transport import MAX_BODY, Transport
from wavix_async._http.waiters import check_functions, check_intervals, wait_for
from wavix_async._instrumentation import Observer, Observers, log_to_stderr
from wavix_async._ratelimit import LimitSnapshot
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
from wavix_async.errors import ConfigurationError, InputError
from wavix_async.types import UNSET, UnsetType

if TYPE_CHECKING:
    import ssl as _ssl

    import aiohttp

    from wavix_async._ratelimit import RateSource, SharedLimit

__all__ = ["BaseClient", "Limits"]

S = TypeVar("S")
T = TypeVar("T")


_MAPPINGS: Final = (dict, type(None))
"""Types of `path` and `query` in nearly every call; they need no further check."""


def _check_arguments(operation: object, path: object, query: object) -> None:
    if not isinstance(operation, Operation):
        raise InputError(
            f'operation must be an Operation, for example Operation("GET", "/v1/...", dict); got {operation!r}.'
        )
    for name, given in (("path", path), ("query", query)):
        if given is not None and not isinstance(given, Mapping):
            raise InputError(f"{name} must be a mapping of names to values, got {given!r}.")


class Limits:
    """What the client knows about the API's rate limits."""

    def __init__(self, state: ClientState) -> None:
        self._state = state

    def snapshot(self, group: str = "default") -> LimitSnapshot:
        """Return the current rate, the rest of the pause, and the number of waiting calls.

        Args:
            group: The limit group; operations of one group share a limit.

        Returns:
            The rate in requests per second (None: no limit), its source, the rest of the pause in seconds, and the
            number of waiting calls.
        """
        return self._state.limiter(group).snapshot()


class BaseClient:
    """A client without groups of operations: settings, `call`, `with_options`, `close`. See `WavixClient`.

    Resource groups and bulk runs only need this class.
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
        proxy: "str | URL | None" = None,
        ssl: "_ssl.SSLContext | None" = None,
        trust_env: bool = False,
        app_info: tuple[str, str] | None = None,
        strict: bool = False,
        observers: Iterable[Observer] = (),
        bulk_share: float = BULK_SHARE,
    ) -> None:
        if level := os.environ.get("WAVIX_LOG"):
            log_to_stderr(level)
        # Rebind the name, so that no frame of a traceback holds the key, or a login in a URL, as a plain string.
        proxy = Secret(str(proxy)) if isinstance(proxy, str | URL) else proxy
        api_key = Secret(api_key) if isinstance(api_key, str) else api_key
        base_url = Secret(base_url) if isinstance(base_url, str) else base_url
        api_key = read_api_key(api_key)
        check_session(session)
        timeouts = merge_timeout(Timeouts(), timeout)
        policy = RetryPolicy() if retry is None else check_retry(retry)
        self._base_url = read_base_url(base_url)
        self._options = CallOptions(timeouts=timeouts, retry=policy, observers=Observers(check_observers(observers)))
        if session is not None and (proxy is not None or ssl is not None or trust_env):
            raise ConfigurationError(
                "proxy, ssl and trust_env are settings of the client's own session: set them on yours, or omit session."
            )
        open_transport = partial(
            Transport,
            api_key=api_key,
            max_connections=check_count("max_connections", max_connections),
            connect_timeout=timeouts.connect,
            session=session,
            proxy=choose_proxy(proxy, self._base_url, trust_env=trust_env),
            # NO_PROXY may except the API and not the host of a file, or the other way round.
            proxy_of_files=proxy_of_environment if trust_env and proxy is None else None,
            ssl=check_ssl(ssl),
            app_info=check_app_info(app_info),
            bulk_share=check_share(bulk_share),
        )
        self._account: str = account_of(api_key, self._base_url)
        limit = _shared_limit(rate, self._account)
        self._state = ClientState(
            open_transport,
            Redactor(api_key),
            rate=None if limit is not None else check_rate(rate),
            limit=limit,
            retry=policy,
            strict=strict,
            observers=self._options.observers,
            bulk_share=bulk_share,
        )

    @property
    def limits(self) -> Limits:
        """What the client knows about the rate limits: `limits.snapshot()`."""
        return Limits(self._state)

    @property
    def base_url(self) -> str:
        """The base URL of the API, without a slash at the end."""
        return str(self._base_url).rstrip("/")

    @property
    def retry(self) -> RetryPolicy:
        """The retry policy of this client."""
        return self._options.retry

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts of this client."""
        return self._options.timeouts

    @property
    def observers(self) -> Observers:
        """The observers of this client: they get every event of its calls and bulk runs."""
        return self._options.observers

    @property
    def clock(self) -> Clock:
        """The clock that this client waits on; a test can make waits end at once."""
        return self._state.clock

    @property
    def closed(self) -> bool:
        """Whether `close()` was called."""
        return self._state.closed

    @property
    def _redactor(self) -> Redactor:
        """What hides the API key of this client, for the bulk engine."""
        return self._state.redactor

    def call(
        self,
        operation: Operation[T],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        body: object = None,
        parts: Iterable[Part] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Call any operation, including those that the SDK has no method for.

        The call gets everything that a method gets: the rate limit, safe retries, deadlines, errors, observers.

            from wavix_async import Operation

            LIST_TRUNKS = Operation("GET", "/v1/trunks", dict)
            CREATE_TRUNK = Operation("POST", "/v1/trunks", dict)
            GET_TRUNK = Operation("GET", "/v1/trunks/{id}", dict)

            page = await wavix.call(LIST_TRUNKS, query={"page": 2, "per_page": 100})
            trunk = await wavix.call(CREATE_TRUNK, body={"label": "office", "password": "..."})
            trunk = await wavix.call(GET_TRUNK, path={"id": trunk["id"]})

        Make an operation once and keep it. See `Operation` for its settings: the type of the answer, a key to unwrap,
        whether it may be sent twice.

        Args:
            operation: The operation to call.
            path: Values of the placeholders in its path, by name.
            query: Query parameters. A parameter that is None is not sent. Several values of a list are sent as
                `name[]`, a single one as `name`. Times are sent in UTC, to the second.
            body: The request body: a model, or any JSON value.
            parts: The parts of a multipart body.
            headers: More headers for this call; see `with_options`.

        Returns:
            The answer, as `Operation.result` says.

        Raises:
            InputError: A placeholder has no value, or the body cannot be written as JSON; nothing was sent.
            WavixError: Any other failure; see `wavix_async.errors` for the classes.
        """
        if type(operation) is not Operation or type(path) not in _MAPPINGS or type(query) not in _MAPPINGS:
            _check_arguments(operation, path, query)
        if operation.is_stream:
            raise InputError(f"{operation.name} gives a stream: use download() or export() instead of call().")
        options = self._options
        if options.query is not None:
            query = merge_query(options.query, query)
        request = build_request(operation, self._base_url, path, query, body, parts)
        if headers is not None:
            request.headers = merge_headers(options.headers, check_headers(headers))
        elif options.headers is not None:
            request.headers = options.headers
        return Call(self._state, options, operation, request).run()

    async def receipt(self, call: Awaitable[T]) -> Receipt[T]:
        """Make a call and return its receipt: the result, and the facts around it.

            receipt = await wavix.receipt(wavix.numbers.get(1001))
            print(receipt.value.label, receipt.status, receipt.request_id, receipt.attempts)

        If the call fails, its error is raised; it has `status`, `request_id`, `attempts` and `elapsed`, too. A list
        (`wavix.numbers.list()`) gives the receipt of one page. If a method makes several calls, the facts are those of
        the last one. A bulk run makes many calls: use `record`.

        Args:
            call: Any call of this library that is not awaited yet.

        Returns:
            The receipt.

        Raises:
            InputError: `call` is not a call, is a task, or is a bulk run; nothing was sent.
            WavixError: The call failed.
        """
        return await get_receipt(call)

    def record(self, keep: int = 1000) -> Recording:
        """Keep the receipts of all calls in a block: those of this task, and of the tasks that it starts in the block.

            with wavix.record() as calls:
                await wavix.numbers.bulk_update(changes)
            slowest = max(calls, key=lambda call: call.elapsed)

        Failed calls count, with the class name of their `error`, and every call of a bulk run. Each receipt holds its
        result, so `keep` limits the memory.

        Args:
            keep: The number of receipts; of more calls the recording keeps the last ones.

        Returns:
            A sequence of receipts, to be entered with `with`.

        Raises:
            ConfigurationError: `keep` is not a whole number of 1 or more.
        """
        return Recording(self._state, check_count("keep", keep))

    def download(
        self,
        operation: Operation[Download],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Download:
        """Make any operation that serves a file; nothing is sent until you use what this returns.

            RECORDING = Operation("GET", "/v1/recordings/{id}", Download)

            saved = await wavix.download(RECORDING, path={"id": call_id}).save("call.mp3")

        Args:
            operation: The operation, with `Download` as its result.
            path: Values of the placeholders in its path, by name.
            query: Query parameters, as in `call`.

        Raises:
            InputError: A placeholder has no value, or the operation serves no file.
        """
        _check_arguments(operation, path, query)
        if operation.result is not Download:
            raise InputError(f"{operation.name} serves no file: its result must be Download.")
        return Download(operation.name, self._opener(operation, path, query), MAX_BODY)

    def export(
        self,
        operation: Operation[Export[T]],
        *,
        path: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Export[T]:
        """Make any operation that streams rows; nothing is sent until you use what this returns.

            ALL_MESSAGES = Operation("GET", "/v3/messages/all", Export[Message])

            async for message in wavix.export(ALL_MESSAGES, query={"type": "outbound"}):
                ...

        Args:
            operation: The operation, with `Export[...]` of a model as its result.
            path: Values of the placeholders in its path, by name.
            query: Query parameters, as in `call`.

        Raises:
            InputError: A placeholder has no value, or the operation streams no rows.
        """
        _check_arguments(operation, path, query)
        if typing.get_origin(operation.result) is not Export:
            raise InputError(f"{operation.name} streams no rows: its result must be Export[...] of a model.")
        (kind,) = typing.get_args(operation.result)
        return Export(operation.name, self._opener(operation, path, query), MAX_BODY, kind)

    def _opener(
        self, operation: Operation[Any], path: Mapping[str, object] | None, query: Mapping[str, object] | None
    ) -> Opener:
        options = self._options
        if options.query is not None:
            query = merge_query(options.query, query)
        request = build_request(operation, self._base_url, path, query)
        request.headers = options.headers

        def open_stream(consume: Callable[[Stream], Awaitable[S]], *, follow: bool = True) -> Awaitable[S]:
            return StreamCall(self._state, options, operation, request, consume, follow=follow).run()

        return open_stream

    async def wait_for(
        self,
        read: Callable[[], Awaitable[T]],
        done: Callable[[T], bool],
        *,
        every: tuple[float, float] = (1.0, 15.0),
        timeout: float | None = 600.0,
        what: str = "the end state",
    ) -> T:
        """Read something again and again until it has reached an end state.

            number = await wavix.wait_for(
                lambda: wavix.numbers.get(1001), lambda number: number.status == "active", what="number 1001 is active"
            )

        It reads at once, then after the first interval; each following interval is twice as long, up to the longest.
        A 429, a 5xx or a broken connection does not end the wait. Read with `with_options(lane="bulk")` to let other
        calls go first.

        Args:
            read: Reads the object; called again and again.
            done: Returns whether an object has reached an end state, good or bad.
            every: The first and the longest interval between two reads, in seconds.
            timeout: Seconds to wait at most; None: no limit.
            what: What the wait is for, for the message of a timeout.

        Returns:
            The object in its end state.

        Raises:
            WaitTimeoutError: The time is over; `last` is the object as it was read last.
            ConfigurationError: `every` or `timeout` is out of range.
            InputError: `read` or `done` is not such a function.
            WavixError: A read failed, and waiting would not help.
        """
        check_functions(read, done)
        every, timeout = check_intervals(every, timeout)
        return await wait_for(read, done, what=what, every=every, timeout=timeout, clock=self.clock)

    def with_options(
        self,
        *,
        timeout: Timeouts | float | None = None,
        deadline: float | UnsetType | None = UNSET,
        retry: RetryPolicy | None = None,
        observers: Iterable[Observer] = (),
        semaphore: asyncio.Semaphore | None = None,
        stop: StopSignal | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        lane: Literal["live", "bulk"] | None = None,
    ) -> Self:
        """Return a client with other options that shares the pool, limits and budget; closing either closes both.

        Args:
            timeout: A number sets the seconds for one attempt; `Timeouts` sets all timeouts.
            deadline: Seconds for the whole call; None: no limit.
            retry: Another retry policy. Its budget has no effect: all calls share the budget of the client.
            observers: More observers. They get only events of calls made with these options, and no pauses or rate
                changes, which belong to no single call.
            semaphore: Held by every attempt while it is on the wire, and at no other time; adds to one given before.
            stop: Once this signal is set, the client sends nothing more: a call that waits for a permit or backs off
                raises `StoppedError`. A request on the wire is not stopped.
            headers: Headers that every call adds, beside those set before. The client's own headers cannot be set:
                `Authorization`, `Host`, `Content-Type` and others.
            query: Query parameters that every call adds, beside those set before. A parameter that the call itself sets
                takes precedence.
            lane: "bulk": these calls let all others go first when they wait for the rate or for a connection, as those
                of a bulk run do; they keep the client's `bulk_share`. Default: "live".

        Returns:
            The client.

        Raises:
            ConfigurationError: A value is out of range.
        """
        timeouts = merge_timeout(self._options.timeouts, timeout)
        if deadline is not UNSET:
            timeouts = attrs.evolve(timeouts, deadline=deadline)
        other = object.__new__(type(self))
        other._base_url = self._base_url
        other._account = self._account
        other._state = self._state
        other._options = CallOptions(
            timeouts=timeouts,
            retry=self._options.retry if retry is None else check_retry(retry),
            observers=self._options.observers.and_also(check_observers(observers)),
            # Each semaphore once: an attempt that acquires one twice could wait for itself forever.
            semaphores=tuple(dict.fromkeys((*self._options.semaphores, *check_semaphore(semaphore)))),
            stop=follow(stop, self._options.stop),
            headers=merge_headers(self._options.headers, check_headers(headers)),
            query={**(self._options.query or {}), **(check_query(query) or {})} or None,
            bulk=self._options.bulk if lane is None else check_lane(lane),
        )
        return other

    async def close(self, grace: float = 0.0) -> None:
        """Close the connections. Closing twice is fine; later calls raise `ClientClosedError`.

        Args:
            grace: Seconds that calls in progress have to end, including their retries and waits. The client rejects new
                calls at once. A call that does not end in time raises `ClientClosedError`, whose `outcome` says whether
                it may have been carried out (`OutcomeUnknownError` if it was sent and must not be repeated). A bulk run
                sends nothing more and reports the rest as not sent.

        Raises:
            ConfigurationError: `grace` is not a number of seconds, 0 or more.
        """
        await self._state.close(check_seconds("grace", grace))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        if not hasattr(self, "_state"):
            return f"<{type(self).__name__}>"
        return f"<{type(self).__name__} {self.base_url}{' closed' if self.closed else ''}>"


def _shared_limit(given: Any, account: str) -> "SharedLimit | None":
    """Return the limit shared with other processes, or None if `rate=` is something else."""
    if not callable(getattr(given, "open_limit", None)):
        return None
    limit: SharedLimit = given.open_limit(account)
    return limit
