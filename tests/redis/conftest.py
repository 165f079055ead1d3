"""For tests of the shared rate: one Redis server per process of pytest; without the program, or the library, skip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.redis.server import MISSING, PROGRAM, RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator


def _check() -> None:
    pytest.importorskip("redis", reason="the extra `redis` is not installed")
    if PROGRAM is None:
        pytest.skip(MISSING)


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    _check()
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A server that the test may kill."""
    _check()
    with RedisServer() as server:
        yield server
