"""`wavix_lifespan`: one client per process, opened before the application starts and closed after it shuts down.

The client is created in the server's event loop at start-up. So an import opens nothing, and no connection exists
before a fork.
"""

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Annotated, Any, Final, Protocol, TypeAlias, Unpack, cast

from fastapi import Depends
from starlette.requests import HTTPConnection

from wavix_async import ClientOptions, ConfigurationError, WavixClient
from wavix_async.config import Secret, check_seconds

__all__ = ["Lifespan", "LifespanWithClient", "WavixDep", "get_wavix", "wavix_lifespan"]

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]
"""The type of `FastAPI(lifespan=...)`: a function of the application that yields the state of its requests."""

_NAME: Final = "wavix"


class LifespanWithClient(Protocol):
    """Your own lifespan with a parameter for the client: `async def lifespan(app, wavix)`."""

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

    Routes get the client from `WavixDep` or as `request.state.wavix`. Each run of the lifespan creates a new client, so
    every worker process, every reload and every test has its own.

    Args:
        lifespan: Your own lifespan. The client is open while it runs. A parameter named `wavix` receives the client.
            The mapping it yields is added to the state, and its keys win, even `wavix`. Without options you can use
            `wavix_lifespan` as a decorator above `@asynccontextmanager`.
        client: A function that creates the client, instead of options; called at each start, in the server's loop.
        grace: Seconds that calls in flight get to finish at shutdown, before they end with `ClientClosedError`.
            Default 10; 0 means none. A cancelled lifespan gives none.
        options: The arguments of `WavixClient`. Without `api_key`, the key is read from WAVIX_API_KEY at start-up.

    Returns:
        The lifespan, for `FastAPI`, `APIRouter` or `Starlette`. If a setting of the client is missing or wrong, it
        raises `ConfigurationError` at start-up and the server does not start.

    Raises:
        ConfigurationError: `lifespan` is not a lifespan, `grace` is not a number of 0 or more, or both `client` and
            options are given.
    """
    # The closure keeps the options for the application's lifetime, and a dump of them must not show a secret.
    hidden = cast("dict[str, Any]", options)
    for name in hidden.keys() & {"api_key", "base_url", "proxy"}:
        # A proxy may be a URL object. What has another type is refused when the client is made.
        if isinstance(hidden[name], str) or (name == "proxy" and hidden[name] is not None):
            hidden[name] = Secret(str(hidden[name]))
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
    """Return this process's client; the dependency behind `WavixDep`, for routes and websockets.

    Tests can override it: `app.dependency_overrides[get_wavix] = lambda: client`.

    Args:
        connection: The request or the websocket.

    Returns:
        The client that `wavix_lifespan` opened.

    Raises:
        ConfigurationError: The application runs without `wavix_lifespan`.
    """
    client = getattr(connection.state, _NAME, None)
    if client is None:
        raise ConfigurationError(
            "The application has no Wavix client: create it with FastAPI(lifespan=wavix_lifespan()). A mounted "
            "application uses the lifespan of the outer application. If no lifespan runs, as in tests with "
            "httpx.ASGITransport, set app.dependency_overrides[get_wavix]."
        )
    return cast("WavixClient", client)


WavixDep: TypeAlias = Annotated[WavixClient, Depends(get_wavix)]
"""The type of a route's client parameter: `async def route(wavix: WavixDep)`."""


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
        # Some callables written in C have no signature.
        return {}


def _client_factory(client: Any, options: Any) -> Callable[[], WavixClient]:
    if client is None:
        # Check the names of the options now, so that the traceback of a misspelt one points at the caller's line.
        inspect.signature(WavixClient).bind(**options)
        return partial(WavixClient, **options)
    if options:
        raise ConfigurationError(
            f"wavix_lifespan takes client= or options of the client ({', '.join(options)}), not both: pass the options "
            "to the WavixClient that your function creates."
        )
    if not callable(client):
        raise ConfigurationError(
            f"client must be a function that returns a WavixClient, got {type(client).__name__}: each process and each "
            "run of the lifespan needs its own client. Pass client=lambda: WavixClient(...)."
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
        raise ConfigurationError("client returned a closed WavixClient: it must create a new one at each start.")
    return wavix


def _check_lifespan(lifespan: Any) -> None:
    if inspect.isasyncgenfunction(lifespan) or inspect.isgeneratorfunction(lifespan):
        raise ConfigurationError(
            f"{lifespan.__name__} is a generator, not a lifespan: put @contextlib.asynccontextmanager above it."
        )
    if lifespan is not None and not callable(lifespan):
        raise ConfigurationError(f"lifespan must be a function of the application, got {type(lifespan).__name__}.")
