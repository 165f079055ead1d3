"""The semaphore of requests answers as asyncio's does, also while calls wait for it or are cancelled."""

from __future__ import annotations

import asyncio
import random

import pytest

from wavix_async._aio import QuickSemaphore


@pytest.mark.parametrize("seed", range(20))
async def test_it_answers_as_asyncio_does(seed: int) -> None:
    chance = random.Random(seed)
    semaphore = QuickSemaphore(chance.choice([1, 2, 5]))
    held = 0

    async def hold() -> None:
        nonlocal held
        async with semaphore:
            held += 1
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                held -= 1

    tasks: list[asyncio.Task[None]] = []
    for _ in range(300):
        if chance.random() < 0.4:
            tasks.append(asyncio.ensure_future(hold()))
        if tasks and chance.random() < 0.1:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
        assert semaphore.locked() is asyncio.Semaphore.locked(semaphore)
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
    assert held == 0
    assert not semaphore.locked()
