"""The pytest plugin: fixtures for the tests of programs that use this package (`docs/testing.md`).

Every run of pytest loads this wherever the package is installed, so it imports nothing but pytest until a test asks for
a fixture, and it changes nothing for tests that ask for none.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from wavix_async import WavixClient
    from wavix_async.sandbox import Sandbox

__all__ = ["wavix_client", "wavix_sandbox"]

_SANDBOX: Final = pytest.StashKey[Any]()
_ASYNCIO_PART: Final = "wavix-asyncio"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and what has to be known of pytest-asyncio where that is in use."""
    config.addinivalue_line(
        "markers",
        "wavix(**arguments): arguments of the Sandbox of wavix_sandbox and wavix_client, such as numbers=10, rate=5",
    )
    if config.pluginmanager.has_plugin("asyncio"):
        # Before 0.24 it lacks what is used here: then the client is closed after its loop, as well as that can be done.
        with contextlib.suppress(AttributeError, TypeError):
            _register_asyncio_part(config)


def _register_asyncio_part(config: pytest.Config) -> None:
    # Its plugin is loaded, so this costs nothing.
    import pytest_asyncio

    class AsyncioPart:
        is_async_test = staticmethod(pytest_asyncio.is_async_test)

        @pytest_asyncio.fixture(loop_scope="function")
        async def _wavix_asyncio_loop(self) -> None:
            """Have pytest-asyncio make the loop of the test."""

    config.pluginmanager.register(AsyncioPart(), _ASYNCIO_PART)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Add to the report of a failed test what its sandbox has seen."""
    if call.when == "call" and call.excinfo is not None and (sandbox := item.stash.get(_SANDBOX, None)) is not None:
        from wavix_async.testing._fixtures import on_the_wire

        item.add_report_section("call", "wavix_sandbox", on_the_wire(sandbox))


@pytest.fixture
def wavix_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A running Sandbox, in a thread of its own; `@pytest.mark.wavix(numbers=10, rate=5)` gives it arguments.

    Meanwhile WAVIX_BASE_URL and WAVIX_API_KEY lead to it, so that a client which the program makes by itself gets here,
    too, and never to the live API.
    """
    from wavix_async.testing._fixtures import arguments, start

    with start(arguments(request.node)) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVIX_BASE_URL", sandbox.url)
        patch.setenv("WAVIX_API_KEY", sandbox.api_key)
        request.node.stash[_SANDBOX] = sandbox
        yield sandbox
        # Tests are kept to the end of the run; what they have sent is not.
        del request.node.stash[_SANDBOX]


@pytest.fixture
async def _wavix_anyio_loop() -> AsyncIterator[None]:
    """Have anyio make the loop of the test, and keep it."""
    yield  # noqa: PT022 - a fixture that returns does not keep it


@pytest.fixture
def _wavix_loop(request: pytest.FixtureRequest) -> None:
    """The event loop of an async test: what is made after it is closed while there still is a loop."""
    asyncio_part = request.config.pluginmanager.get_plugin(_ASYNCIO_PART)
    if asyncio_part is not None and asyncio_part.is_async_test(request.node):
        request.getfixturevalue("_wavix_asyncio_loop")
    elif "anyio_backend" in request.fixturenames:
        request.getfixturevalue("_wavix_anyio_loop")


@pytest.fixture
def wavix_client(_wavix_loop: None, wavix_sandbox: Sandbox) -> Iterator[WavixClient]:
    """A WavixClient of `wavix_sandbox` for any event loop, which passes over its waits; closed afterwards."""
    from wavix_async.testing._fixtures import close, connect

    client = connect(wavix_sandbox)
    yield client
    close(client)
