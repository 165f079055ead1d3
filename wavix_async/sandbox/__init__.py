"""A local Wavix: a stateful imitation of the API on a loopback port, with rate limits and faults on demand.

`Sandbox` is an asynchronous context manager. It needs no account and no network, keeps what it is told, answers with
the API's own error shapes, and counts what it saw, so that a client's report can be held against the truth::

    async with Sandbox(numbers=1000, rate=50, faults=0.02) as sandbox:
        ...  # a client with base_url=sandbox.url and api_key=sandbox.api_key
        assert sandbox.numbers[1001]["sms_enabled"] is True
        print(sandbox.stats.refused, sandbox.stats.faults)

With `with` it runs in a thread of its own, for synchronous code and for tests (`docs/testing.md`).
"""

from wavix_async.sandbox._sandbox import Sandbox
from wavix_async.sandbox._server import FAULT_KINDS, Faults, SandboxRequest, SandboxStats

__all__ = [
    "Sandbox",
    "Faults",
    "FAULT_KINDS",
    "SandboxRequest",
    "SandboxStats",
]
