"""For soak tests that need real sockets: the fault server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.server import FaultServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def fault_server_process() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def faulty(fault_server_process: FaultServer) -> FaultServer:
    """The fault server, as if it had just been started."""
    fault_server_process.reset()
    return fault_server_process
