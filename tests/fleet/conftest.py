"""For tests of fleets: a sandbox and a client for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.fleets import client_of
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from wavix_async import WavixClient


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(100) as running:
        yield running


@pytest.fixture
async def wavix(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with client_of(sandbox) as client:
        yield client
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
    left = {task for task in asyncio.all_tasks() if "wavix_async/fleet" in str(task.get_coro())}
    assert not left
