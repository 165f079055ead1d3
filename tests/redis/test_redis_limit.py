"""`RedisRateLimit` against a Redis server: its script, its connections, its state, and what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import subprocess
import sys
import time
import traceback
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.soon import SOON
from tests.support.stub import Reply, Seen, StubSession
from wavix_async import ConfigurationError, NumberUpdate, WavixClient
from wavix_async._ratelimit import ALIVE, PATIENCE, PROBE, LeaseRequest
from wavix_async.redis import PREFIX, SCRIPT, RedisRateLimit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from redis.asyncio import Redis

    from tests.redis.server import RedisServer
    from wavix_async._ratelimit import LeaseGrant, SharedLimit

KEY = "key-0f9c-that-no-one-may-see"


def scope() -> str:
    return uuid.uuid4().hex


def client_of(limit: RedisRateLimit, session: StubSession | None = None) -> WavixClient:
    stub: Any = StubSession() if session is None else session
    return WavixClient(KEY, base_url="https://api.wavix.test", rate=limit, session=stub)


def request(slots: int = 1, *, pause: float = 0.0, back: bool = False, ahead: float = 0.0) -> LeaseRequest:
    return LeaseRequest(at=0.0, slots=slots, ahead=ahead, pause=pause, back=back)


class Processes:
    """Several processes' ways to one limit, and the hash behind it."""

    def __init__(self, server: RedisServer, redis: Redis) -> None:
        self._url = server.url
        self._scope = scope()
        self.redis: Any = redis
        self.opened: list[SharedLimit] = []
        self.key = f"{PREFIX}:{self._scope}:default"

    def open(self, rate: float = 100.0) -> SharedLimit:
        limit = RedisRateLimit(self._url, rate=rate, scope=self._scope).open_limit("")
        self.opened.append(limit)
        return limit


@pytest.fixture
async def processes(redis_process: RedisServer) -> AsyncIterator[Processes]:
    from redis.asyncio import Redis

    async with Redis.from_url(redis_process.url) as redis:
        processes = Processes(redis_process, redis)
        yield processes
        for limit in processes.opened:
            await limit.close()


def due(grant: LeaseGrant) -> float:
    """When the first slot is due, in seconds from the answer."""
    return grant.first - grant.now


# --- the script ---


async def test_every_slot_is_handed_out_once_to_whichever_process_asks(processes: Processes) -> None:
    one, other = processes.open(), processes.open()
    first = await one.lease("default", request(5))
    second = await other.lease("default", request(10))
    third = await one.lease("default", request(1))
    assert (first.slots, second.slots, third.slots) == (5, 10, 1)
    assert due(first) == 0.0
    # A slot that fell due before the next process asked is not saved up: on a busy machine the schedule moves on.
    assert second.first == pytest.approx(max(first.first + 0.05, second.now), abs=2e-6)
    assert third.first == pytest.approx(max(second.first + 0.10, third.now), abs=2e-6)
    assert (first.processes, second.processes, third.active) == (1, 2, 2)
    assert first.now == pytest.approx(time.time(), abs=5.0)


async def test_idle_time_is_not_saved_up_and_a_slot_is_not_due_before_the_answer_is_there(processes: Processes) -> None:
    limit = processes.open(1000.0)
    await limit.lease("default", request(1))
    await asyncio.sleep(0.05)
    assert due(await limit.lease("default", request(1))) == 0.0
    await asyncio.sleep(0.05)
    assert due(await limit.lease("default", request(1, ahead=0.03))) == pytest.approx(0.03, abs=1e-5)


@pytest.mark.req_06
async def test_a_pause_is_for_every_process_and_never_made_shorter(processes: Processes) -> None:
    one, other = processes.open(), processes.open()
    assert (await one.lease("default", request(0, pause=60.0))).pause == pytest.approx(60.0, abs=0.001)
    heard = await other.lease("default", request(3, pause=0.5))
    assert heard.pause == pytest.approx(60.0, abs=SOON)
    assert due(heard) == pytest.approx(heard.pause, abs=1e-5)
    elsewhere = await other.lease("papers", request(1))
    assert (elsewhere.pause, due(elsewhere)) == (0.0, 0.0), "another limit group"


async def test_one_key_that_expires_and_forgets_processes_that_are_gone(processes: Processes) -> None:
    limit = processes.open()
    await limit.lease("default", request(1))
    names = [name async for name in processes.redis.scan_iter(f"{processes.key.rpartition(':')[0]}*")]
    assert names == [processes.key.encode()]
    assert 55_000 < await processes.redis.pttl(processes.key) <= 61_000
    await limit.lease("default", request(1, pause=3600.0))
    assert await processes.redis.pttl(processes.key) > 3_600_000
    now = time.time()
    ages = {"p:dead": ALIVE + 1, "p:idle": ALIVE - 5, "p:busy": 0.0}
    for name, age in ages.items():
        await processes.redis.hset(processes.key, name, int((now - age) * 1e6))
    heard = await limit.lease("default", request(0))
    assert (heard.processes, heard.active) == (3, 2)
    assert not await processes.redis.hexists(processes.key, "p:dead")


async def test_a_clock_that_is_set_back_stops_no_process(processes: Processes) -> None:
    limit = processes.open()
    await limit.lease("default", request(5, pause=60.0))
    for name in await processes.redis.hgetall(processes.key):
        if name != b"settled":
            await processes.redis.hincrby(processes.key, name, 3_600_000_000)
    await processes.redis.hset(processes.key, "p:other", int((time.time() + 3600) * 1e6))
    heard = await limit.lease("default", request(1))
    assert heard.pause == pytest.approx(60.0, abs=SOON)
    assert due(heard) == pytest.approx(heard.pause + 0.05, abs=0.01)
    assert heard.processes == 2


async def test_a_process_that_comes_back_waits_for_the_others(processes: Processes) -> None:
    one, other, third = (processes.open() for _ in range(3))
    settle = PROBE + 2 * PATIENCE
    began = time.monotonic()
    first = await one.lease("default", request(5, back=True))
    assert (first.local_for, first.slots) == (settle, 0)
    await asyncio.sleep(0.2)
    second = await other.lease("default", request(5, back=True))
    assert settle - (time.monotonic() - began) - 0.01 <= second.local_for <= settle - 0.19
    assert second.processes == 2
    newcomer = await third.lease("default", request(5))
    assert newcomer.local_for > 0, "the others' parts are not to be had yet"
    await asyncio.sleep(newcomer.local_for + 0.001)
    for limit in (one, other, third):
        assert (await limit.lease("default", request(5, back=limit is not third))).slots == 5
    late = processes.open()
    assert (await late.lease("default", request(1, back=True))).slots == 1, "the others lease already"


# --- a client ---


@pytest.mark.parametrize("own", [True, False])
async def test_calls_are_paced_and_what_was_opened_is_closed(redis_process: RedisServer, own: bool) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(redis_process.url) as redis:
        session = StubSession(latency=0.005)
        limit = RedisRateLimit(redis_process.url if own else redis, rate=200.0, scope=scope())
        before = len(await redis.client_list())
        async with client_of(limit, session) as client:
            await asyncio.gather(*(client.numbers.get(number) for number in range(1, 101)))
            snapshot = client.limits.snapshot()
            assert (snapshot.rate, snapshot.source) == (200.0, "shared")
        times = list(session.times)
        assert 0.45 <= times[-1] - times[0] <= SOON
        assert await redis.ping(), "ours is closed, the user's is not"
        assert len(await redis.client_list()) == before
        assert len(asyncio.all_tasks()) == 1


@pytest.mark.req_22
@pytest.mark.parametrize("farewell", [True, False])
def test_one_client_in_several_loops(redis_process: RedisServer, farewell: bool) -> None:
    client = client_of(RedisRateLimit(redis_process.url, rate=1000.0, scope=scope()))

    async def calls() -> None:
        await asyncio.gather(*(client.numbers.get(number) for number in range(1, 21)))
        assert client.limits.snapshot().source == "shared"

    for _ in range(3):
        if farewell:
            asyncio.run(calls())
        else:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(calls())
            loop.close()
        gc.collect()
    asyncio.run(client.close())
    gc.collect()


async def test_redis_that_is_gone_fails_no_call(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    url = redis_server.url.replace("://", "://:the-password@")
    redis_server.kill()
    async with client_of(RedisRateLimit(url, rate=500.0, processes=2)) as client:
        began = time.monotonic()
        await asyncio.gather(*(client.numbers.get(number) for number in range(1, 101)))
        # Each of them would be patient, else.
        assert time.monotonic() - began < SOON < 100 * PATIENCE
        snapshot = client.limits.snapshot()
        assert (snapshot.rate, snapshot.source) == (250.0, "configured")
    assert [record.getMessage() for record in caplog.records] == ["shared limit out of reach"]
    assert caplog.records[0].__dict__["error"] == "ConnectionError"
    assert "the-password" not in caplog.text + str(caplog.records[0].__dict__)


async def test_redis_that_hangs_is_left_alone_and_its_late_answers_confuse_no_one(redis_server: RedisServer) -> None:
    from redis.asyncio import Redis

    limit = RedisRateLimit(redis_server.url, rate=200.0, scope=scope())
    async with client_of(limit) as client:
        await client.numbers.get(1)
        redis_server.hang()
        began = time.monotonic()
        await asyncio.gather(*(client.numbers.get(number) for number in range(1, 101)))
        assert time.monotonic() - began < SOON < 100 * PATIENCE
        assert client.limits.snapshot().source == "configured"
        redis_server.go_on()
        deadline = time.monotonic() + 60
        while client.limits.snapshot().source != "shared":
            assert time.monotonic() < deadline
            await client.numbers.get(1)
        began = time.monotonic()
        await asyncio.gather(*(client.numbers.get(number) for number in range(1, 101)))
        assert time.monotonic() - began > 0.4
    async with Redis.from_url(redis_server.url) as redis:
        for _ in range(100):
            left = len(await redis.client_list())
            if left == 1:
                break
            await asyncio.sleep(0.02)
        assert left == 1, "the connections of the questions that were given up are closed, too"


async def test_a_password_that_is_wrong_fails_no_call_and_is_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    from tests.redis.server import RedisServer

    with RedisServer("--requirepass", "right-password") as server:
        for password, source, said in (
            ("right-password", "shared", []),
            ("wrong-password", "configured", ["shared limit out of reach"]),
        ):
            caplog.clear()
            url = server.url.replace("://", f"://:{password}@")
            async with client_of(RedisRateLimit(url, rate=50.0)) as client:
                await client.numbers.get(1)
                assert client.limits.snapshot().source == source
            assert [record.getMessage() for record in caplog.records if record.name == "wavix_async"] == said
            assert password not in caplog.text + str([record.__dict__ for record in caplog.records])


@pytest.mark.req_10
async def test_cancelled_at_any_time_nothing_is_left(redis_process: RedisServer) -> None:
    client = client_of(RedisRateLimit(redis_process.url, rate=300.0, scope=scope()), StubSession(latency=0.002))
    for step in range(40):
        calls = [asyncio.create_task(client.numbers.get(number)) for number in range(1, 11)]
        await asyncio.sleep(0.0005 * step)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    await client.numbers.get(1)
    snapshot = client.limits.snapshot()
    assert (snapshot.waiting, snapshot.in_flight, snapshot.source) == (0, 0, "shared")
    await client.close()
    assert len(asyncio.all_tasks()) == 1


async def test_a_429_that_one_client_gets_pauses_the_other(redis_process: RedisServer) -> None:
    refusals = iter([Reply(429, headers={"Retry-After": "2"})])
    limit = RedisRateLimit(redis_process.url, rate=100.0, scope=scope())

    def answer(_: Seen) -> Reply:
        return next(refusals, Reply())

    async with client_of(limit, StubSession(answer)) as one, client_of(limit) as other:
        began = time.monotonic()
        refused = asyncio.create_task(one.numbers.get(1))
        while not one.limits.snapshot().paused_for:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.5)
        await other.numbers.get(1)
        assert 2.0 <= time.monotonic() - began < SOON
        await refused


# --- what is shown, and what is refused ---


@pytest.mark.req_24
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:pa55word@host:6380/2?client_name=pa55word", "redis://host:6380/2"),
        ("rediss://:pa55word@host", "rediss://host"),
        ("redis://host?password=pa55word", "redis://host"),
        ("unix://:pa55word@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_a_password_is_not_shown(url: str, shown: str) -> None:
    limit = RedisRateLimit(url, rate=100)
    client = WavixClient(KEY, rate=limit)
    assert repr(limit) == f"RedisRateLimit('{shown}', rate=100, scope=None)"
    for each in (limit, client, limit.open_limit("account")):
        assert "pa55word" not in repr(each) + str(each) + repr(vars(each))


@pytest.mark.req_24
@pytest.mark.parametrize(
    "url", ["redis://:pa55/word@host", "http://:pa55word@host", "pa55word", "", "redis://:pa55word@host:x"]
)
def test_a_wrong_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis must be a URL like redis://") as refused:
        RedisRateLimit(url, rate=100)
    text = "".join(traceback.format_exception(refused.value)) + repr(pickle.loads(pickle.dumps(refused.value)))
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(refused.value.__traceback__)][1:]
    assert "pa55" not in text.replace(repr(url), "")
    assert "pa55" not in repr(frames)
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"rate": 0}, "rate must be"),
        ({"rate": "100"}, "rate must be"),
        ({"rate": None}, "needs a rate"),
        ({"rate": 1, "scope": ""}, "scope must be"),
        ({"rate": 1, "scope": 5}, "scope must be"),
        ({"rate": 1, "processes": 0}, "processes must be"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        RedisRateLimit("redis://127.0.0.1", **settings)


def test_a_server_that_is_not_redis_is_refused() -> None:
    wrong: Any = 5
    with pytest.raises(ConfigurationError, match="redis must be"):
        RedisRateLimit(wrong, rate=1)


def test_without_the_library_it_says_what_to_install() -> None:
    code = """
import sys
sys.modules["redis"] = None
from wavix_async import ConfigurationError
from wavix_async.redis import RedisRateLimit
try:
    RedisRateLimit("redis://127.0.0.1", rate=1)
except ConfigurationError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("pip install 'wavix-async[redis]'"), done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
async def test_a_fork_is_a_process_of_its_own(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = processes.open()
    await limit.lease("default", request(1))
    monkeypatch.setattr(os, "getpid", lambda: -5)
    assert (await limit.lease("default", request(1))).processes == 2


async def test_the_script_is_loaded_again_where_it_is_not_known(processes: Processes) -> None:
    limit = processes.open()
    await limit.lease("default", request(1))
    await processes.redis.script_flush()
    assert (await limit.lease("default", request(1))).slots == 1
    assert "TIME" in SCRIPT


async def test_a_bulk_run_shares_the_limit_with_single_calls(redis_process: RedisServer) -> None:
    limit = RedisRateLimit(redis_process.url, rate=200.0, scope=scope())
    session = StubSession(latency=0.005)
    async with client_of(limit, session) as one, client_of(limit, session) as other:
        changes = dict.fromkeys(range(1, 151), NumberUpdate(sms_enabled=True))
        reports = await asyncio.gather(one.numbers.bulk_update(changes), other.numbers.bulk_update(changes))
    times = sorted(session.times)
    assert [report.updated for report in reports] == [150, 150]
    assert times[-1] - times[0] >= 0.9 * 300 / 200


@pytest.mark.req_31
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("given", ["url", "object"])
def test_one_client_in_the_loops_of_several_threads(redis_process: RedisServer, given: str) -> None:
    """With a URL each loop has its own connection; a `Redis` is used in its own loop only, on behalf of the others."""
    from redis.asyncio import Redis

    source: Any = redis_process.url if given == "url" else Redis.from_url(redis_process.url)
    client = client_of(RedisRateLimit(source, rate=200.0, scope=scope()))

    async def calls() -> None:
        await asyncio.gather(*(client.numbers.get(number) for number in range(1, 21)))
        assert client.limits.snapshot().source == "shared"

    async def main() -> float:
        await client.numbers.get(1)
        began = time.monotonic()
        await asyncio.gather(*(asyncio.to_thread(asyncio.run, calls()) for _ in range(3)), calls())
        elapsed = time.monotonic() - began
        await client.close()
        if given == "object":
            await source.aclose()
        return elapsed

    assert asyncio.run(main()) >= 79 / 200.0 - 0.05
    gc.collect()
