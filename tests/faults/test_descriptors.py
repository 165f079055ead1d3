"""A process without file descriptors for more connections: its calls wait for the connections that it has."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.faults.conftest import FAST
from tests.support.books import GET, PATCH, SEND
from tests.support.soon import SOON
from wavix_async import (
    ConnectError,
    DeadlineExceededError,
    NumberUpdate,
    RetryPolicy,
    StopSignal,
    Timeouts,
    WavixClient,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.conftest import Recorder
    from tests.faults.server import FaultServer

resource = pytest.importorskip("resource")

pytestmark = [
    pytest.mark.req_03,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit"),
]


class Descriptors:
    """The file descriptors of this process, of which all but a few are taken."""

    def __init__(self) -> None:
        self._taken: list[int] = []

    def leave(self, free: int) -> None:
        """Leave this many descriptors free."""
        with contextlib.suppress(OSError):
            while True:
                self._taken.append(os.dup(0))
        for _ in range(free):
            self.give_one_back()

    def give_one_back(self) -> None:
        os.close(self._taken.pop())

    def give_back(self) -> None:
        while self._taken:
            self.give_one_back()


@pytest.fixture
def descriptors() -> Iterator[Descriptors]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 100, hard))
    found = Descriptors()
    try:
        yield found
    finally:
        found.give_back()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def calls(client: WavixClient, many: int, operation: Any = PATCH) -> Any:
    return asyncio.gather(
        *(client.call(operation, path={"id": 1 + n}, body=None if operation is GET else {}) for n in range(many))
    )


@pytest.mark.parametrize(
    ("own", "policy"),
    [
        pytest.param(True, "none", id="own pool, tried once"),
        pytest.param(False, "default", id="a session of the user's"),
        pytest.param(True, "default", id="own pool", marks=pytest.mark.scale),
        pytest.param(False, "none", id="a session of the user's, tried once", marks=pytest.mark.scale),
    ],
)
async def test_calls_wait_for_a_descriptor_as_for_a_slot(
    faulty: FaultServer, make_client: Any, seen: Recorder, descriptors: Descriptors, own: bool, policy: str
) -> None:
    """300 calls, 300 slots, 20 descriptors: all get through, no attempt is counted and none fails."""
    faulty.reset(latency=0.02)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=300)) as session:
        options: dict[str, Any] = {} if own else {"session": session}
        if policy == "none":
            options["retry"] = RetryPolicy.none()
        client = make_client(max_connections=300, **options)
        await client.call(GET, path={"id": 1})
        descriptors.leave(20)
        began = time.process_time()
        numbers = await calls(client, 300)
        cost = time.process_time() - began
        descriptors.give_back()
        assert [number.id for number in numbers] == list(range(1, 301))
        counters = faulty.counters()
        assert counters["total"] == 301
        assert counters["connections"] <= 21
        assert len(seen.attempts) == 301
        assert all(event.error is None and event.attempt == 1 for event in seen.attempts)
        assert cost < SOON


async def test_the_wait_for_a_descriptor_ends_at_the_deadline(
    faulty: FaultServer, make_client: Any, descriptors: Descriptors
) -> None:
    faulty.set_schedule(["ok", "stall"])
    client = make_client(timeout=60)
    await client.call(GET, path={"id": 1})
    descriptors.leave(0)
    busy = asyncio.create_task(client.call(GET, path={"id": 1}))
    async with asyncio.timeout(SOON):
        while faulty.counters()["total"] < 2:
            await asyncio.sleep(0.01)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="file descriptors in use") as caught:
        await client.with_options(deadline=0.4).call(SEND, path={"id": 1}, body={})
    assert 0.35 <= time.monotonic() - began < SOON
    assert (caught.value.outcome, caught.value.attempts) == ("not_sent", 0)
    # Its end makes room, in the order of the calls.
    waiting = [asyncio.create_task(client.call(PATCH, path={"id": n}, body={})) for n in (1, 2, 3)]
    await asyncio.sleep(0.1)
    busy.cancel()
    assert [number.id for number in await asyncio.wait_for(asyncio.gather(*waiting), SOON)] == [1, 2, 3]
    descriptors.give_back()


async def test_without_a_request_in_flight_the_wait_ends_and_says_why(
    faulty: FaultServer, make_client: Any, descriptors: Descriptors
) -> None:
    """Nothing that this client does would free a descriptor."""
    client = make_client(timeout=Timeouts(connect=0.3), retry=RetryPolicy.none())
    descriptors.leave(0)
    began = time.process_time()
    ends = await asyncio.wait_for(
        asyncio.gather(*(client.call(SEND, path={"id": n}, body={}) for n in range(30)), return_exceptions=True), SOON
    )
    cost = time.process_time() - began
    descriptors.give_back()
    assert {type(end) for end in ends} == {ConnectError}
    for end in ends:
        assert end.local_limit
        assert (end.outcome, end.attempts) == ("not_sent", 0)
        assert "ulimit -n" in str(end)
        assert "max_connections" in str(end)
        assert f"all its {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} file descriptors" in str(end)
    assert cost < 2
    assert faulty.counters()["total"] == 0


async def test_descriptors_that_come_back_are_used(
    faulty: FaultServer, make_client: Any, descriptors: Descriptors
) -> None:
    """Other parts of the program close files: the calls that wait for that go on."""
    faulty.reset(latency=0.05)
    client = make_client()
    descriptors.leave(0)
    waiting = asyncio.ensure_future(calls(client, 40))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    descriptors.give_back()
    assert len(await asyncio.wait_for(waiting, SOON)) == 40
    assert 1 < faulty.counters()["connections"] <= 40


@pytest.mark.req_10
@pytest.mark.parametrize("how", ["cancel", "stop", "close"])
async def test_the_wait_for_a_descriptor_can_be_ended(
    faulty: FaultServer, make_client: Any, descriptors: Descriptors, how: str
) -> None:
    signal = StopSignal()
    client = make_client()
    descriptors.leave(0)
    waiting = [
        asyncio.create_task(client.with_options(stop=signal).call(PATCH, path={"id": n}, body={})) for n in range(5)
    ]
    await asyncio.sleep(0.1)
    if how == "cancel":
        for task in waiting:
            task.cancel()
    elif how == "stop":
        signal.set()
    else:
        await client.close()
    _, pending = await asyncio.wait(waiting, timeout=SOON)
    descriptors.give_back()
    assert not pending
    assert all(task.cancelled() if how == "cancel" else task.exception() is not None for task in waiting)


async def test_a_new_connection_after_a_failure_takes_the_descriptor_of_an_idle_one(
    faulty: FaultServer,
    make_client: Any,
    seen: Recorder,
    descriptors: Descriptors,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a broken connection the next attempt opens its own, although the pool has all descriptors."""
    monkeypatch.setattr("random.random", lambda: 0.99)
    faulty.reset(latency=0.3)
    client = make_client(retry=RetryPolicy(backoff=0.5))
    await calls(client, 4, GET)
    faulty.set_schedule(["reset_after"])
    broken = asyncio.create_task(client.call(PATCH, path={"id": 9}, body={}))
    await asyncio.sleep(0.1)
    # These connections are used after the broken one, so they are not suspects.
    await calls(client, 3, GET)
    async with asyncio.timeout(SOON):
        while not seen.retries:
            await asyncio.sleep(0.01)
    descriptors.leave(0)
    assert (await asyncio.wait_for(broken, SOON)).id == 9
    descriptors.give_back()
    assert [event.reason for event in seen.retries] == ["DisconnectedError", "ConnectError"]
    assert faulty.counters()["connections"] == 5
    assert faulty.counters()["total"] == 9


async def test_a_look_up_without_descriptors_is_no_unknown_host(
    make_client: Any, descriptors: Descriptors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver of the system cannot open its files, and says that it does not find the host."""
    asked = []

    def look_up(*_: object, **__: object) -> Any:
        asked.append(1)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    client = make_client(base_url="https://wavix.invalid", timeout=Timeouts(connect=0.2))
    descriptors.leave(0)
    with pytest.raises(ConnectError, match="ulimit -n"):
        await client.call(GET, path={"id": 1})
    descriptors.give_back()
    with pytest.raises(ConnectError, match="Temporary failure in name resolution") as caught:
        await client.with_options(retry=RetryPolicy.none()).call(GET, path={"id": 1})
    assert not caught.value.local_limit


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENFILE, "fs.file-max"),
        (errno.ENOBUFS, "max_connections"),
        (errno.ENOMEM, "max_connections"),
    ],
)
async def test_other_limits_of_the_machine_are_named(
    faulty: FaultServer, make_client: Any, number: int, advice: str
) -> None:
    def refuse(_: object) -> socket.socket:
        raise OSError(number, os.strerror(number))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=refuse)) as session:
        client = make_client(session=session, timeout=Timeouts(connect=0.2), retry=RetryPolicy.none())
        with pytest.raises(ConnectError, match=advice) as caught:
            await client.call(GET, path={"id": 1})
    assert caught.value.local_limit
    assert os.strerror(number) in str(caught.value)


async def test_a_lack_of_ports_is_waited_out_while_requests_are_in_flight(
    faulty: FaultServer, make_client: Any, seen: Recorder
) -> None:
    """Without any in flight it is rather a wrong address, and fails as it always did."""
    faulty.reset(latency=0.02)
    free = 3

    def open_or_refuse(info: Any) -> socket.socket:
        nonlocal free
        if not free:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
        free -= 1
        return socket.socket(*info[:3])

    connector = aiohttp.TCPConnector(socket_factory=open_or_refuse)
    async with aiohttp.ClientSession(connector=connector) as session:
        client = make_client(session=session, retry=RetryPolicy.none())
        numbers = await calls(client, 30)
        assert [number.id for number in numbers] == list(range(1, 31))
        assert faulty.counters()["connections"] == 3
    connector = aiohttp.TCPConnector(socket_factory=open_or_refuse)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(ConnectError, match="no free local port") as caught:
            await make_client(session=session, retry=FAST).call(GET, path={"id": 1})
        assert not caught.value.local_limit
        assert seen.attempts[-1].attempt == 4


async def test_a_bulk_run_waits_for_descriptors_too(
    faulty: FaultServer, make_client: Any, descriptors: Descriptors
) -> None:
    faulty.reset(latency=0.02)
    client = make_client(max_connections=100)
    await client.call(GET, path={"id": 1})
    descriptors.leave(10)
    report = await client.numbers.bulk_update(
        {n: NumberUpdate(sms_enabled=True) for n in range(1, 301)}, concurrency=100
    )
    descriptors.give_back()
    assert (report.updated, report.total) == (300, 300)
    assert faulty.counters()["total"] == 301
