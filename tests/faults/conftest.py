"""For tests against the fault server: each checks that its clients leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.server import FaultServer
from wavix_async import AttemptEvent, RetryEvent, RetryPolicy, WavixClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from wavix_async import Event

FAST = RetryPolicy(backoff=0.01, max_backoff=0.05, budget_per_second=1e6)
"""Quick, and with a budget that no test exhausts."""


class Recorder:
    """An observer that keeps its events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def attempts(self) -> list[AttemptEvent]:
        return [event for event in self.events if isinstance(event, AttemptEvent)]

    @property
    def on_the_wire(self) -> list[AttemptEvent]:
        return [event for event in self.attempts if event.outcome != "not_sent"]

    @property
    def retries(self) -> list[RetryEvent]:
        return [event for event in self.events if isinstance(event, RetryEvent)]


@pytest.fixture(scope="session")
def fault_server_process() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def faulty(fault_server_process: FaultServer) -> FaultServer:
    """The fault server, as if it had just been started."""
    fault_server_process.reset()
    return fault_server_process


@pytest.fixture
def seen() -> Recorder:
    """The events that the observers of `make_client` got."""
    return Recorder()


@pytest.fixture
async def make_client(faulty: FaultServer, seen: Recorder) -> AsyncIterator[Callable[..., WavixClient]]:
    """Make clients of the fault server; at the end they are closed, and must have leaked nothing."""
    clients: list[WavixClient] = []
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> WavixClient:
            settings: dict[str, Any] = {"base_url": faulty.url, "retry": FAST, "observers": (seen,), **options}
            client = WavixClient("key", **settings)
            clients.append(client)
            stack.push_async_callback(client.close)
            return client

        yield make
        for client in clients:
            snapshot = client.limits.snapshot()
            assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
    for _ in range(3):
        await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    assert not left
    clients.clear()
    # Makes "Unclosed ..." and "was never retrieved" heard in the test that caused them.
    gc.collect(1)
