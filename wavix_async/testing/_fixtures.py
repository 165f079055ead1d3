"""What the fixtures do (`wavix_async._pytest`)."""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, Final

import pytest

from wavix_async.client import WavixClient
from wavix_async.sandbox import Sandbox
from wavix_async.testing._make import did_you_mean
from wavix_async.testing._waits import skip_waits

__all__ = ["arguments", "close", "connect", "on_the_wire", "start"]

_TAKEN: Final = tuple(inspect.signature(Sandbox).parameters)
_PATIENCE: Final = 5.0
_SHOWN: Final = 50


def arguments(node: pytest.Item) -> Mapping[str, Any]:
    """Return what the marks of a test, its class and its module say; the nearest one wins, argument by argument."""
    given: dict[str, Any] = {}
    for mark in node.iter_markers("wavix"):
        if mark.args:
            pytest.fail("@pytest.mark.wavix takes keywords only, for example numbers=10.", pytrace=False)
        for name, value in mark.kwargs.items():
            if name not in _TAKEN:
                hint = did_you_mean(name, _TAKEN)
                pytest.fail(f"@pytest.mark.wavix: Sandbox has no argument {name!r}: {hint}", pytrace=False)
            given.setdefault(name, value)
    return given


def start(given: Mapping[str, Any]) -> Sandbox:
    """Return the sandbox to enter."""
    try:
        return Sandbox(**given)
    except ValueError as error:
        problem = str(error)
    pytest.fail(f"@pytest.mark.wavix: {problem}", pytrace=False)


def connect(sandbox: Sandbox) -> WavixClient:
    """Return a client of the sandbox that does not wait."""
    client = WavixClient(sandbox.api_key, base_url=sandbox.url)
    skip_waits(client, sandbox.advance)
    return client


def close(client: WavixClient) -> None:
    """Close a client from where no loop runs: in the loop that it was used in, as far as there still is one."""
    loop = client._state.transport._loop
    if loop is not None and loop.is_running():
        # Of another thread, such as that of a TestClient which is still open.
        asyncio.run_coroutine_threadsafe(client.close(), loop).result(_PATIENCE)
    elif loop is not None and not loop.is_closed():
        loop.run_until_complete(client.close())
    else:
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(client.close())
        loop.close()


def on_the_wire(sandbox: Sandbox) -> str:
    """Tell what a sandbox has seen, one request a line."""
    requests = sandbox.requests
    lines = [
        f"{request.at:8.3f} s  {request.method} {request.path}{'?' if request.query else ''}{request.query}"
        f" -> {request.status or 'no answer'}{f' ({request.fault})' if request.fault else ''}"
        for request in requests[-_SHOWN:]
    ]
    left_out = len(requests) - len(lines)
    return "\n".join([*([f"({left_out} earlier ones left out)"] if left_out else []), *lines]) or "no request"
