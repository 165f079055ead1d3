"""A local Wavix simulator: it imitates the API on a loopback port, with state, rate limits and faults on demand.

`Sandbox` is an asynchronous context manager. It needs no account and no network. It keeps every change, uses the API's
own error format, and counts the requests it receives, so that a test can compare a client's report with the facts::

    async with Sandbox(numbers=1000, rate=50, faults=0.02) as sandbox:
        ...  # a client with base_url=sandbox.url and api_key=sandbox.api_key
        assert sandbox.numbers[1001]["sms_enabled"] is True
        print(sandbox.stats.refused, sandbox.stats.faults)

In a `with` block it runs in its own thread, for synchronous code and for tests (`docs/testing.md`).
"""

from wavix_async.sandbox._sandbox import Sandbox
from wavix_async.sandbox._server import FAULT_KINDS, Deliveries, Faults, SandboxEvent, SandboxRequest, SandboxStats

__all__ = [
    "Sandbox",
    "Deliveries",
    "Faults",
    "FAULT_KINDS",
    "SandboxEvent",
    "SandboxRequest",
    "SandboxStats",
]
