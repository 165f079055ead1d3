"""`wavix_lifespan`: one client per process, open before the application's own start-up and closed after its shutdown.

The client is made in the event loop of the server when that starts: an import opens nothing, nor does anything before a
fork.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeAlias, TypedDict, Unpack, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from wavix_async import ConfigurationError, Observer, RetryPolicy, Timeouts, WavixClient
from wavix_async.config import Secret, check_seconds

if TYPE_CHECKING:
    import aiohttp

    from wavix_async._ratelimit import RateSource

__all__ = ["ClientOptions", "Lifespan", "LifespanWithClient", "WavixDep", "get_wavix", "wavix_lifespan"]

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
"""What `FastAPI(lifespan=...)` takes: called with the application, it gives what goes on the state of requests."""

_NAME: Final = "wavix"


class ClientOptions(TypedDict, total=False):
    """What `WavixClient` takes, as keywords of `wavix_lifespan`."""

    api_key: str | None
    base_url: str | None
    rate: "float | RateSource | None"
    retry: RetryPolicy | None
    timeout: Timeouts | float | None
    max_connections: int
    session: "aiohttp.ClientSession | None"
    strict: bool
    observers: Sequence[Observer]


class LifespanWithClient(Protocol):
    """A lifespan of your own that takes the client: `async def lifespan(app, wavix)`."""

    def __call__(
        self, app: Any, /, *, wavix: WavixClient
    ) -> AbstractAsyncContextManager[Mapping[str, Any] | None]: ...  # pragma: no cover


def wavix_lifespan(
    lifespan: LifespanWithClient | Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]] | None = None,
    *,
    client: Callable[[], WavixClient] | None = None,
    grace: float = 10.0,
    **options: Unpack[ClientOptions],
) -> Lifespan:
    """Return a lifespan that opens a client for this process: `FastAPI(lifespan=wavix_lifespan())`.

    Routes get the client by `WavixDep`, or as `request.state.wavix`. Each run of the lifespan has a client of its own,
    so that every worker process, every reload and every test starts afresh.

    Args:
        lifespan: A lifespan of your own. The client is open before it starts and until it has ended; it is given the
            client if it has a parameter `wavix`; what it yields goes on the state as well (and wins, should it hold
            `wavix`). Without options this reads well as a decorator above `@asynccontextmanager`.
        client: A function that makes the client, called at each start in the loop that serves; in place of options.
        grace: At the end, seconds that calls still under way are given before they end with `ClientClosedError`.
            Default 10; 0: none. A lifespan that is cancelled gives none.
        options: What `WavixClient` takes; without an `api_key` it is read from WAVIX_API_KEY at start-up.

    Returns:
        The lifespan, for `FastAPI`, `APIRouter` or `Starlette`. At start-up it raises `ConfigurationError` when a
        setting of the client is missing or wrong, and the server does not start.

    Raises:
        ConfigurationError: `lifespan` is no lifespan, `grace` is not a number of 0 or more, or both `client` and
            options are given.
    """
    if "api_key" in options and isinstance(options["api_key"], str):
        # The closure lives as long as the application; a dump of its variables must not show the key.
        options["api_key"] = Secret(options["api_key"])
    _check_lifespan(lifespan)
    grace = check_seconds("grace", grace)
    client_factory = _client_factory(client, options)

    @asynccontextmanager
    async def with_client(app: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        wavix = _call_factory(client_factory)
        close_grace = grace
        try:
            async with _enter_lifespan(lifespan, app, wavix) as state:
                yield {_NAME: wavix, **(state or {})}
        except asyncio.CancelledError:
            close_grace = 0.0
            raise
        finally:
            await wavix.close(grace=close_grace)

    return with_client


async def get_wavix(connection: HTTPConnection) -> WavixClient:
    """Return the client of this process; the dependency behind `WavixDep`, for routes and websockets.

    Tests replace it: `app.dependency_overrides[get_wavix] = lambda: client`.

    Args:
        connection: The request or the websocket.

    Returns:
        The client that `wavix_lifespan` has opened.

    Raises:
        ConfigurationError: The application runs without `wavix_lifespan`.
    """
    client = getattr(connection.state, _NAME, None)
    if client is None:
        raise ConfigurationError(
            "The application has no Wavix client: make it with FastAPI(lifespan=wavix_lifespan()). A mounted "
            "application is served under the lifespan of the one it is mounted in. Where no lifespan is run, as in "
            "tests with httpx.ASGITransport, set app.dependency_overrides[get_wavix]."
        )
    return cast("WavixClient", client)


WavixDep: TypeAlias = Annotated[WavixClient, Depends(get_wavix)]
"""The client, as a parameter of a route: `async def route(wavix: WavixDep)`."""


def _enter_lifespan(
    lifespan: Any, app: Any, wavix: WavixClient
) -> AbstractAsyncContextManager[Mapping[str, Any] | None]:
    if lifespan is None:
        return nullcontext()
    keywords = {_NAME: wavix} if _NAME in _parameters(lifespan) else {}
    return cast("AbstractAsyncContextManager[Mapping[str, Any] | None]", lifespan(app, **keywords))


def _parameters(function: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        # Some callables that are not written in Python have no signature.
        return {}


def _client_factory(client: Any, options: Any) -> Callable[[], WavixClient]:
    if client is None:
        # A misspelt option raises here, where it was written, and not when the server starts.
        inspect.signature(WavixClient).bind(**options)
        return partial(WavixClient, **options)
    if options:
        raise ConfigurationError(
            f"wavix_lifespan takes client= or options of the client ({', '.join(options)}), not both: give the options "
            "to the client that your function makes."
        )
    if not callable(client):
        raise ConfigurationError(
            f"client must be a function that makes a WavixClient, got {type(client).__name__}: each process, and each "
            "run of the lifespan, needs one of its own. Pass client=lambda: WavixClient(...)."
        )
    return cast("Callable[[], WavixClient]", client)


def _call_factory(client_factory: Callable[[], Any]) -> WavixClient:
    wavix = client_factory()
    if inspect.iscoroutine(wavix):
        wavix.close()
    if not isinstance(wavix, WavixClient):
        raise ConfigurationError(
            f"client must be a plain function that returns a WavixClient; it returned {type(wavix).__name__}."
        )
    if wavix.closed:
        raise ConfigurationError("client returned a WavixClient that is closed: it must make a new one at each start.")
    return wavix


def _check_lifespan(lifespan: Any) -> None:
    if inspect.isasyncgenfunction(lifespan) or inspect.isgeneratorfunction(lifespan):
        raise ConfigurationError(
            f"{lifespan.__name__} is a generator and no lifespan yet: put @contextlib.asynccontextmanager above it."
        )
    if lifespan is not None and not callable(lifespan):
        raise ConfigurationError(f"lifespan must be a function like FastAPI takes, got {type(lifespan).__name__}.")
