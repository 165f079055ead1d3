"""One client in several event loops, each in its own thread: as in a sync web framework that calls `asyncio.run`."""

from __future__ import annotations

import asyncio
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from tests.faults.conftest import FAST
from tests.faults.server import Fault, FaultServer
from tests.support.files import assert_closed, open_files
from tests.support.soon import SOON
from wavix_async import (
    ClientClosedError,
    ConfigurationError,
    NumberUpdate,
    RetryPolicy,
    WavixClient,
    WavixError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

pytestmark = [pytest.mark.req_31, pytest.mark.filterwarnings("error")]

THREADS = 4


def in_threads(work: Callable[[int], Coroutine[Any, Any, Any]], threads: int = THREADS) -> list[Any]:
    """Run `asyncio.run(work(n))` in as many threads, all at the same time."""
    together = threading.Barrier(threads)

    def run(thread: int) -> Any:
        together.wait(10)
        return asyncio.run(work(thread))

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


async def get_all(client: WavixClient, ids: range, tasks: int = 8) -> None:
    left = iter(ids)

    async def one() -> None:
        for number in left:
            assert (await client.numbers.get(number)).id == number

    await asyncio.gather(*(one() for _ in range(tasks)))


@pytest.mark.parametrize("calls", [100, pytest.param(500, marks=pytest.mark.scale)])
@pytest.mark.parametrize("rate", [None, 200.0])
def test_four_threads_share_one_client_and_its_rate(faulty: FaultServer, calls: int, rate: float | None) -> None:
    before = open_files()
    client = WavixClient("key", base_url=faulty.url, retry=FAST, rate=rate)
    began = time.monotonic()
    in_threads(lambda thread: get_all(client, range(1 + thread * calls, 1 + (thread + 1) * calls)))
    elapsed = time.monotonic() - began
    snapshot = client.limits.snapshot()
    assert (snapshot.accepted, snapshot.waiting, snapshot.in_flight) == (THREADS * calls, 0, 0)
    # Each loop has closed its connections when it ended.
    assert_closed(before)
    log = faulty.log()
    assert len(log) == THREADS * calls
    assert len({entry["connection"] for entry in log}) <= THREADS * 8
    # However late threads and timers are, the last permit of all is not earlier than this.
    assert rate is None or elapsed >= (THREADS * calls - 1) / rate
    asyncio.run(client.close())


@pytest.mark.parametrize("rate", [None, 150.0])
def test_a_threaded_server_runs_a_loop_for_each_request(faulty: FaultServer, rate: float | None) -> None:
    before = open_files()
    client = WavixClient("key", base_url=faulty.url, retry=FAST, rate=rate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = asyncio.run(client.numbers.get(int(self.path[1:])))
            body = str(number.id).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, ThreadPoolExecutor(8) as browsers:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()

        def visit(number: int) -> int:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{number}") as answer:
                return int(answer.read())

        began = time.monotonic()
        assert list(browsers.map(visit, range(1, 101))) == list(range(1, 101))
        elapsed = time.monotonic() - began
        server.shutdown()
    snapshot = client.limits.snapshot()
    assert (snapshot.accepted, snapshot.waiting, snapshot.in_flight) == (100, 0, 0)
    assert rate is None or elapsed > 99 / rate
    asyncio.run(client.close())
    assert_closed(before)


def test_the_end_of_a_loop_closes_its_connections_and_no_others(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST)

    async def main() -> None:
        await client.numbers.get(1)
        before = open_files()
        await asyncio.to_thread(asyncio.run, client.numbers.get(2))
        assert_closed(before)
        await client.numbers.get(3)
        await client.close()

    asyncio.run(main())
    connections = [entry["connection"] for entry in faulty.log()]
    assert connections[0] == connections[2] != connections[1]


def test_a_loop_that_ended_without_a_word_is_dropped_by_the_next_call(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST)
    before = open_files()
    for number in range(1, 4):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.numbers.get(number))
        loop.close()
    asyncio.run(client.numbers.get(4))
    assert_closed(before)
    asyncio.run(client.close())


class Elsewhere:
    """A call of another thread's loop, which the server holds up."""

    def __init__(self, faulty: FaultServer, client: WavixClient, fault: Fault | str) -> None:
        faulty.set_schedule([fault])
        self.pool = ThreadPoolExecutor(1)
        self.call = self.pool.submit(asyncio.run, self._get(client))
        while not faulty.log():
            time.sleep(0.005)

    async def _get(self, client: WavixClient) -> int:
        return (await client.numbers.get(1)).id

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()


def test_closing_waits_for_the_calls_of_all_loops(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST)
    with Elsewhere(faulty, client, Fault("slow", delay=0.3)) as elsewhere:
        asyncio.run(client.close(grace=10))
        assert elsewhere.call.result(SOON) == 1


def test_closing_ends_the_calls_of_all_loops(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST)
    before = open_files()
    with Elsewhere(faulty, client, "stall") as elsewhere:
        asyncio.run(client.close())
        with pytest.raises(ClientClosedError):
            elsewhere.call.result(SOON)
    with pytest.raises(ClientClosedError):
        asyncio.run(client.numbers.get(1))
    assert_closed(before + 1)


def test_closing_beside_a_loop_that_does_not_run_waits_for_the_calls_of_its_own(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST)
    resting = asyncio.new_event_loop()
    resting.run_until_complete(client.numbers.get(1))
    faulty.set_schedule(["stall"])

    async def main() -> None:
        call = asyncio.create_task(client.numbers.get(2))
        while len(faulty.log()) < 2:
            await asyncio.sleep(0.005)
        await client.close()
        assert call.done()
        with pytest.raises(ClientClosedError):
            await call

    asyncio.run(main())
    resting.close()


def test_closing_ends_the_waits_of_all_loops(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=RetryPolicy(backoff=60, max_backoff=60))
    waits = Fault("status_503")
    with Elsewhere(faulty, client, waits) as elsewhere:
        time.sleep(0.05)
        asyncio.run(client.close())
        with pytest.raises(WavixError):
            elsewhere.call.result(SOON)


def test_a_session_of_the_caller_stays_in_its_loop(faulty: FaultServer) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            client = WavixClient("key", base_url=faulty.url, session=session)
            assert (await client.numbers.get(1)).id == 1
            with pytest.raises(ConfigurationError, match="another event loop"):
                await asyncio.to_thread(asyncio.run, client.numbers.get(2))
            assert (await client.numbers.get(3)).id == 3

    asyncio.run(main())


def test_a_pause_that_one_loop_finds_holds_the_others(faulty: FaultServer) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST).with_options(deadline=600)
    faulty.set_schedule(["ok"] * 20 + [Fault("status_503", headers=(("Retry-After", "3600"),))])

    async def call_until_paused(_: int) -> str:
        async with asyncio.timeout(SOON):
            while True:
                try:
                    await client.numbers.get(1)
                except WavixError as error:
                    return type(error).__name__

    # One loop gets the answer; the calls of the others see that their deadline comes before the end of the pause.
    assert sorted(in_threads(call_until_paused)) == ["RateLimitError"] * (THREADS - 1) + ["ServerError"]
    assert client.limits.snapshot().paused_for > 3000
    asyncio.run(client.close())


@pytest.mark.parametrize("farewell", [True, False])
def test_a_bulk_run_in_each_loop(faulty: FaultServer, farewell: bool) -> None:
    client = WavixClient("key", base_url=faulty.url, retry=FAST, rate=1000)

    async def run(thread: int) -> int:
        changes = {1 + thread * 50 + item: NumberUpdate(sms_enabled=True) for item in range(50)}
        report = await client.numbers.bulk_update(changes, concurrency=8)
        return report.updated

    assert in_threads(run) == [50] * THREADS
    if farewell:
        asyncio.run(client.close())
