"""The pytest plugin: fixtures for the tests of programs that use this package (`docs/testing.md`).

If the package is installed, every run of pytest loads this module. So it imports only pytest until a test uses a
fixture, and it does not affect other tests.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from wavix_async import WavixClient
    from wavix_async.sandbox import Sandbox

__all__ = ["wavix_client", "wavix_sandbox"]

_SANDBOX: Final = pytest.StashKey[Any]()
_ASYNCIO_PART: Final = "wavix-asyncio"
_CLOSE_TIMEOUT: Final = 5.0
_MAX_REQUESTS_SHOWN: Final = 50


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and a fixture of pytest-asyncio if that plugin is active."""
    config.addinivalue_line(
        "markers",
        "wavix(**arguments): the Sandbox arguments for wavix_sandbox and wavix_client, such as numbers=10, rate=5",
    )
    if config.pluginmanager.has_plugin("asyncio"):
        # pytest-asyncio before 0.24 lacks these functions; then the client is closed after its event loop has ended.
        with contextlib.suppress(AttributeError, TypeError):
            _register_asyncio_part(config)


def _register_asyncio_part(config: pytest.Config) -> None:
    # pytest-asyncio is already loaded, so this import costs nothing.
    import pytest_asyncio

    class AsyncioPart:
        is_async_test = staticmethod(pytest_asyncio.is_async_test)

        @pytest_asyncio.fixture(loop_scope="function")
        async def _wavix_asyncio_loop(self) -> None:
            """Make pytest-asyncio create the event loop of the test."""

    config.pluginmanager.register(AsyncioPart(), _ASYNCIO_PART)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Add the requests of the sandbox to the report of a failed test."""
    if call.when == "call" and call.excinfo is not None and (sandbox := item.stash.get(_SANDBOX, None)) is not None:
        item.add_report_section("call", "wavix_sandbox", _format_requests(sandbox))


@pytest.fixture
def wavix_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A running Sandbox in its own thread; set its arguments with `@pytest.mark.wavix(numbers=10, rate=5)`.

    WAVIX_BASE_URL and WAVIX_API_KEY point to the sandbox during the test, so a client that the program creates itself
    also connects to the sandbox, and never to the live API.
    """
    with _make_sandbox(_marker_arguments(request.node)) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVIX_BASE_URL", sandbox.url)
        patch.setenv("WAVIX_API_KEY", sandbox.api_key)
        request.node.stash[_SANDBOX] = sandbox
        yield sandbox
        # pytest keeps every test item until the end of the run, so remove the sandbox from it to free its memory.
        del request.node.stash[_SANDBOX]


@pytest.fixture
async def _wavix_anyio_loop() -> AsyncIterator[None]:
    """Make anyio create the test's event loop and keep it."""
    yield  # noqa: PT022 - anyio ends the loop if the fixture returns


@pytest.fixture
def _wavix_loop(request: pytest.FixtureRequest) -> None:
    """The event loop of an async test, which still exists when a fixture that uses this one is torn down."""
    asyncio_part = request.config.pluginmanager.get_plugin(_ASYNCIO_PART)
    if asyncio_part is not None and asyncio_part.is_async_test(request.node):
        request.getfixturevalue("_wavix_asyncio_loop")
    elif "anyio_backend" in request.fixturenames:
        request.getfixturevalue("_wavix_anyio_loop")


@pytest.fixture
def wavix_client(_wavix_loop: None, wavix_sandbox: Sandbox) -> Iterator[WavixClient]:
    """A WavixClient for `wavix_sandbox` that skips its waits and works in any event loop; closed after the test."""
    from wavix_async.client import WavixClient
    from wavix_async.testing import skip_waits

    client = WavixClient(wavix_sandbox.api_key, base_url=wavix_sandbox.url)
    skip_waits(client, wavix_sandbox.advance)
    yield client
    _close(client)


# --- helpers of the fixtures ---


def _marker_arguments(node: pytest.Item) -> Mapping[str, Any]:
    """Return the arguments in the markers of a test, its class and its module; the nearest marker wins."""
    import inspect

    from wavix_async.sandbox import Sandbox

    names = list(inspect.signature(Sandbox).parameters)
    arguments: dict[str, Any] = {}
    for mark in node.iter_markers("wavix"):
        if mark.args:
            pytest.fail("@pytest.mark.wavix takes only keyword arguments, for example numbers=10.", pytrace=False)
        for name, value in mark.kwargs.items():
            if name not in names:
                hint = _did_you_mean(name, names)
                pytest.fail(f"@pytest.mark.wavix: Sandbox has no argument {name!r}: {hint}", pytrace=False)
            arguments.setdefault(name, value)
    return arguments


def _did_you_mean(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, cutoff=0.7)
    return f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names)}."


def _make_sandbox(arguments: Mapping[str, Any]) -> Sandbox:
    """Return a sandbox that is not started yet, or fail the test."""
    from wavix_async.sandbox import Sandbox

    try:
        return Sandbox(**arguments)
    except ValueError as error:
        problem = str(error)
    pytest.fail(f"@pytest.mark.wavix: {problem}", pytrace=False)


def _close(client: WavixClient) -> None:
    """Close a client from synchronous code, in the loop that used the client if that loop still exists."""
    import asyncio

    loops = [loop for loop in client._state.loops if not loop.is_closed()]
    loop = next((loop for loop in loops if loop.is_running()), loops[-1] if loops else None)
    if loop is not None and loop.is_running():
        # The loop runs in another thread, for example the thread of an open TestClient.
        asyncio.run_coroutine_threadsafe(client.close(), loop).result(_CLOSE_TIMEOUT)
    elif loop is not None:
        loop.run_until_complete(client.close())
    else:
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(client.close())
        loop.close()


def _format_requests(sandbox: Sandbox) -> str:
    """Return the requests that the sandbox received, one per line."""
    requests = sandbox.requests
    lines = [
        f"{request.at:8.3f} s  {request.method} {request.path}{'?' if request.query else ''}{request.query}"
        f" -> {request.status or 'no answer'}{f' ({request.fault})' if request.fault else ''}"
        for request in requests[-_MAX_REQUESTS_SHOWN:]
    ]
    left_out = len(requests) - len(lines)
    return "\n".join([*([f"({left_out} earlier ones left out)"] if left_out else []), *lines]) or "no request"
