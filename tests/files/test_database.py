"""A database that is garbage: its thread ends, and no other thread waits for that."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from wavix_async._sqlite import Database


@pytest.mark.parametrize("how", ["closed", "dropped"])
async def test_garbage_collection_waits_for_no_thread(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """It may run while the current thread holds a lock that the end of another thread needs."""
    waited: list[bool] = []
    shutdown = ThreadPoolExecutor.shutdown

    def record(self: ThreadPoolExecutor, wait: bool = True, **options: Any) -> None:
        waited.append(wait)
        shutdown(self, wait, **options)

    # What other tests have left behind is not counted.
    gc.collect()
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", record)
    database = Database(None)
    assert await database.run(lambda connection: connection.execute("SELECT 1").fetchone()) == (1,)
    if how == "closed":
        database.close()
    del database
    gc.collect()
    assert waited == [how == "closed"]
