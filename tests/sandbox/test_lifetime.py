"""Lifetime, arguments, records and repeatability of the sandbox."""

import asyncio
import socket
import subprocess
import sys
import time
import tracemalloc
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, ClientTimeout

from tests.support.soon import SOON
from wavix_async.sandbox import Faults, Sandbox


def key(sandbox: Sandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.api_key}"}


async def get(sandbox: Sandbox, path: str = "/v1/numbers/1001") -> int:
    async with ClientSession(sandbox.url, headers=key(sandbox)) as session, session.get(path) as response:
        await response.read()
        return response.status


async def test_start_and_stop() -> None:
    sandbox = Sandbox()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    await sandbox.stop()
    assert await sandbox.start() is sandbox
    url = sandbox.url
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="already running"):
        await sandbox.start()
    assert await get(sandbox) == 200
    await sandbox.stop()
    await sandbox.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sandbox.url
    assert sandbox.numbers[1001]["id"] == 1001
    async with ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(f"{url}/v1/numbers")
    async with sandbox:
        assert await get(sandbox) == 200


async def test_fixed_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with Sandbox(port=port) as sandbox:
        assert sandbox.url == f"http://127.0.0.1:{port}"
        second = Sandbox(port=port)
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            await second.start()
        await second.stop()


def test_two_loops_one_after_the_other() -> None:
    sandbox = Sandbox()

    async def once() -> int:
        async with sandbox:
            return await get(sandbox)

    assert asyncio.run(once()) == asyncio.run(once()) == 200
    assert sandbox.stats.requests == 2


@pytest.mark.parametrize(
    "settings", [{"faults": Faults(stall=1)}, {"latency": 30}, {"faults": Faults(slow=1, slow_seconds=30)}]
)
async def test_stop_cancels_what_is_in_flight(settings: dict[str, Any]) -> None:
    before = asyncio.all_tasks()
    async with ClientSession(timeout=ClientTimeout(total=60)) as session:
        async with Sandbox(**settings) as sandbox:
            calls = [asyncio.create_task(session.get(f"{sandbox.url}/v1/numbers/1001")) for _ in range(20)]
            while sandbox.stats.in_flight < 20:
                await asyncio.sleep(0.005)
            start = time.monotonic()
        assert time.monotonic() - start < SOON
        assert sandbox.stats.in_flight == 0
        assert sandbox.stats.max_in_flight == 20
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(outcome, aiohttp.ClientConnectionError) for outcome in outcomes)
        assert [record.status for record in sandbox.requests] == [None] * 20
    assert asyncio.all_tasks() == before


async def test_stall_ends_when_the_client_leaves() -> None:
    async with Sandbox(faults=Faults(stall=1)) as sandbox, ClientSession(sandbox.url) as session:
        with pytest.raises(TimeoutError):
            await session.get("/v1/numbers/1001", timeout=ClientTimeout(total=0.5))
        assert sandbox.stats.in_flight == 1
        async with asyncio.timeout(SOON):
            while sandbox.stats.in_flight:
                await asyncio.sleep(0.005)
        assert sandbox.stats.in_flight == 0


async def test_nothing_is_logged_or_left_open(caplog: pytest.LogCaptureFixture) -> None:
    async with Sandbox(faults=0.5, rate=2000) as sandbox, ClientSession(sandbox.url, headers=key(sandbox)) as session:

        async def call(i: int) -> None:
            try:
                timeout = ClientTimeout(total=0.02 if i % 10 == 0 else 5)
                async with session.patch(f"/v1/numbers/{1001 + i}", json={"sms_enabled": True}, timeout=timeout) as got:
                    await got.read()
            except (aiohttp.ClientError, TimeoutError):
                pass

        await asyncio.gather(*(call(i) for i in range(300)))
    assert not caplog.records


async def test_records_and_counters() -> None:
    async with Sandbox() as sandbox, ClientSession(sandbox.url, headers=key(sandbox)) as session:
        async with session.patch("/v1/numbers/1001", json={"sms_enabled": True}) as response:
            request_id = response.headers["X-Request-Id"]
        async with session.get("/v1/numbers?page=2&label=a%20b") as response:
            assert response.headers["X-Request-Id"] != request_id
        async with session.get("/v1/numbers/5"):
            pass
        first, second, third = sandbox.requests
        assert (first.method, first.path, first.query, first.status) == ("PATCH", "/v1/numbers/1001", "", 200)
        assert first.body == b'{"sms_enabled": true}'
        assert first.request_id == request_id
        assert first.fault is None
        assert (second.path, second.query) == ("/v1/numbers", "page=2&label=a%20b")
        assert third.status == 404
        assert 0 <= first.at <= second.at <= third.at < 5
        stats = sandbox.stats
        assert (stats.requests, stats.accepted, stats.refused, stats.answered) == (3, 3, 0, 3)
        assert stats.by_status == {200: 2, 404: 1}
        assert (stats.connections, stats.in_flight, stats.max_in_flight) == (1, 0, 1)


async def test_connections_are_counted_and_kept_alive() -> None:
    async with Sandbox(latency=0.02) as sandbox, ClientSession(sandbox.url, headers=key(sandbox)) as session:
        for _ in range(2):
            await asyncio.gather(*(session.get("/v1/numbers/1001") for _ in range(8)))
        assert sandbox.stats.connections == 8
        assert sandbox.stats.max_in_flight == 8
        async with session.get("/v1/numbers/1001", headers={"Connection": "close"}) as response:
            assert response.headers["Connection"] == "close"


async def test_records_are_bounded() -> None:
    async with Sandbox(numbers=1) as sandbox:
        assert await get(sandbox) == 200
        sandbox._handler.exchanges.extend(list(sandbox._handler.exchanges) * 20_000)
        assert len(sandbox.requests) == 10_000


async def test_reset() -> None:
    async with Sandbox(numbers=5, rate=0.01, burst=3, apply_delay=10) as sandbox:
        first_day = dict(sandbox.numbers)
        async with ClientSession(sandbox.url, headers=key(sandbox)) as session:
            change = {"sms_enabled": True, "sms_relay_url": "https://example.com"}
            for request in (
                session.patch("/v1/numbers/1001", json=change),
                session.delete("/v1/numbers?ids=1002"),
                session.patch("/v1/numbers/1003", json=change),
                session.patch("/v1/numbers/1003", json=change),
            ):
                async with request:
                    pass
        assert sandbox.stats.refused == 1
        sandbox.fail_next("stall")
        sandbox.reset()
        sandbox.advance(10)
        assert dict(sandbox.numbers) == first_day
        assert sandbox.stats.requests == sandbox.stats.connections == 0
        assert not sandbox.stats.updates
        assert not sandbox.stats.by_status
        assert not sandbox.requests
        assert await get(sandbox) == 200
        assert sandbox.requests[0].at < 60


async def test_latency() -> None:
    async with Sandbox(latency=(0.03, 0.06)) as sandbox, ClientSession(sandbox.url) as session:
        for _ in range(5):
            start = time.monotonic()
            await session.get("/v1/numbers")
            assert 0.03 <= time.monotonic() - start < SOON


def test_same_seed_same_account() -> None:
    assert dict(Sandbox(numbers=200, seed=3).numbers) == dict(Sandbox(numbers=200, seed=3).numbers)
    other = Sandbox(numbers=200, seed=4).numbers
    assert all(other[i]["number"] != number["number"] for i, number in Sandbox(numbers=200, seed=3).numbers.items())
    assert Sandbox(numbers=9, seed=3).numbers[1009] == Sandbox(numbers=200, seed=3).numbers[1009]
    assert len(Sandbox(numbers=3, seed=-5).numbers) == 3


async def test_a_million_numbers_cost_nothing() -> None:
    tracemalloc.start()
    try:
        start = time.monotonic()
        async with Sandbox(numbers=1_000_000) as sandbox:
            assert await get(sandbox, "/v1/numbers?page=10000&per_page=100") == 200
            assert await get(sandbox, "/v1/numbers/1001000") == 200
            assert len(sandbox.numbers) == 1_000_000
            assert sandbox.numbers[1_001_000]["id"] == 1_001_000
            assert 1_001_001 not in sandbox.numbers
        assert time.monotonic() - start < SOON
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"numbers": -1}, "numbers must be"),
        ({"numbers": 9_000_000}, "numbers must be"),
        ({"rate": 0}, "rate must be above 0"),
        ({"rate": float("nan")}, "rate must be above 0"),
        ({"rate": float("inf")}, "None for no limit"),
        ({"rate": 5, "burst": 0}, "burst must be 1 or more"),
        ({"burst": 5}, "need a rate"),
        ({"window": 5}, "need a rate"),
        ({"rate": 5, "window": 1, "burst": 1}, "cannot be used together"),
        ({"rate": 5, "window": 0}, "window must be above 0"),
        ({"rate": 0.01, "window": 1}, "increase rate or window"),
        ({"latency": -1}, "latency must be"),
        ({"latency": (2, 1)}, "latency must be"),
        ({"retry_after": -1}, "retry_after must be"),
        ({"rate_headers": "github"}, "rate_headers must be"),
        ({"api_key": ""}, "api_key must be"),
        ({"api_key": "a\nb"}, "api_key must be"),
        ({"scopes": {"numbers": "all"}}, "scopes"),
        ({"apply_delay": -1}, "apply_delay must be"),
        ({"batch_limit": 0}, "batch_limit must be"),
        ({"foreign": 2}, "foreign must be"),
        ({"trunk_delay": -1}, "trunk_delay must be"),
        ({"port": 70_000}, "port must be"),
    ],
)
def test_wrong_arguments(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sandbox(**settings)


def test_the_clock_only_moves_forward() -> None:
    with pytest.raises(ValueError, match="seconds must be 0 or more"):
        Sandbox().advance(-1)


def test_importing_the_package_leaves_the_sandbox_out() -> None:
    code = "import sys, wavix_async; sys.exit('wavix_async.sandbox' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_sandbox_uses_no_other_part_of_the_package() -> None:
    code = (
        "import sys, wavix_async; before = set(sys.modules); import wavix_async.sandbox;"
        "new = {name for name in set(sys.modules) - before if name.startswith('wavix_async')};"
        "sys.exit(any(not name.startswith('wavix_async.sandbox') for name in new))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
