"""`RedisStore`: one store for several processes, what a killed one leaves, and what happens without Redis."""

from __future__ import annotations

import asyncio
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.events import BODIES, SECRET, dlr, post
from tests.support.soon import SOON
from tests.support.webhook_load import send_many
from tests.support.webhook_worker import kill_and_restart
from wavix_async import ConfigurationError
from wavix_async.models import Model
from wavix_async.webhooks import DeliveryReport, RedisStore, Webhooks

if TYPE_CHECKING:
    from tests.redis.server import RedisServer


def make(server: RedisServer, name: str, got: list[str], lease: float = 30.0) -> Webhooks:
    hooks = Webhooks(secret=SECRET, seen=RedisStore(server.url, name=name, lease=lease))

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append(f"{report.message_id} {report.status} {report.late}")

    return hooks


@pytest.mark.req_34
async def test_after_a_kill_interrupted_handlers_run_and_finished_ones_do_not(redis_process: RedisServer) -> None:
    await kill_and_restart(f"{redis_process.url}#{uuid.uuid4().hex}")


@pytest.mark.req_34
@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.scale)])
async def test_each_of_many_events_is_handled_once(redis_process: RedisServer, count: int) -> None:
    await send_many(count, RedisStore(redis_process.url, name=uuid.uuid4().hex))


async def test_two_processes_handle_an_event_once_and_share_the_order(redis_process: RedisServer) -> None:
    got: list[str] = []
    name = uuid.uuid4().hex
    async with make(redis_process, name, got) as one, make(redis_process, name, got) as other:
        for hooks, status in ((one, "delivered"), (other, "delivered"), (other, "sent"), (one, "sent")):
            assert (await post(hooks.asgi, dlr("m", status))).status == 200
        many = [post(hooks.asgi, dlr(f"x{i}")) for i in range(20) for hooks in (one, other)]
        assert {answer.status for answer in await asyncio.gather(*many)} == {200}
    assert sorted(got) == sorted(["m delivered False", "m sent True", *(f"x{i} delivered False" for i in range(20))])


async def test_another_process_takes_over_what_close_cut_off(redis_process: RedisServer) -> None:
    got: list[str] = []
    name = uuid.uuid4().hex
    stopped = Webhooks(secret=SECRET, seen=RedisStore(redis_process.url, name=name), grace=0.0)

    def register(hooks: Webhooks, *, ends: bool) -> None:
        @hooks.on(DeliveryReport)
        async def handle(report: DeliveryReport) -> None:
            if not ends:
                await asyncio.Event().wait()
            got.append(report.message_id)

    other = Webhooks(secret=SECRET, seen=RedisStore(redis_process.url, name=name, lease=0.3))
    register(stopped, ends=False)
    register(other, ends=True)
    async with other:
        async with stopped:
            for i in range(3):
                await post(stopped.asgi, dlr(f"m{i}"))
        async with asyncio.timeout(SOON):
            while len(got) < 3:
                await asyncio.sleep(0.01)
    assert sorted(got) == ["m0", "m1", "m2"]


async def test_what_is_finished_leaves_only_keys_that_expire(redis_process: RedisServer) -> None:
    from redis.asyncio import Redis

    name = uuid.uuid4().hex
    hooks = Webhooks(secret=SECRET, seen=RedisStore(redis_process.url, name=name))

    @hooks.on(Model)
    async def handle(event: Model) -> None: ...

    async with hooks:
        for body in BODIES.values():
            assert (await post(hooks.asgi, body)).status == 200
    async with Redis.from_url(redis_process.url, decode_responses=True) as redis:
        names = [key async for key in redis.scan_iter(f"{{{name}}}:*")]
        kinds = sorted(key.split(":")[1] for key in names)
        assert kinds == ["count", "owners", "rank", *["seen"] * len(BODIES)]
        assert all([await redis.ttl(key) > 0 for key in names if ":seen:" in key or ":rank:" in key])


@pytest.mark.req_34
async def test_a_start_without_redis_says_which_store_cannot_be_used() -> None:
    pytest.importorskip("redis")
    hooks = Webhooks(secret=SECRET, seen=RedisStore("redis://user:hunter2@127.0.0.1:1"))
    with pytest.raises(
        ConfigurationError, match=r"Cannot use RedisStore\('redis://127.0.0.1:1'.* as a store"
    ) as caught:
        await hooks.start()
    assert "hunter2" not in str(caught.value)
    assert (await post(hooks.asgi, dlr("m"))).status == 503
    await hooks.close()


async def test_without_redis_an_event_is_refused_and_later_handled_once(redis_server: RedisServer) -> None:
    got: list[str] = []
    hooks = make(redis_server, uuid.uuid4().hex, got, lease=0.3)
    async with hooks:
        assert (await post(hooks.asgi, dlr("a"))).status == 200
        redis_server.kill()
        assert (await post(hooks.asgi, dlr("b"))).status == 503
        redis_server.start()
        # Wavix may send it again, and the store settles by itself what became of the first attempt.
        async with asyncio.timeout(SOON):
            while (await post(hooks.asgi, dlr("b"))).status != 200 or len(got) < 2:
                await asyncio.sleep(0.05)
    assert sorted(got) == ["a delivered False", "b delivered False"]


async def test_a_redis_of_the_caller_is_used_and_left_open(redis_process: RedisServer) -> None:
    from redis.asyncio import Redis

    got: list[str] = []
    async with Redis.from_url(redis_process.url, decode_responses=True) as redis:
        hooks = Webhooks(secret=SECRET, seen=RedisStore(redis, name=uuid.uuid4().hex))

        @hooks.on(DeliveryReport)
        async def handle(report: DeliveryReport) -> None:
            got.append(report.message_id)

        async with hooks:
            await post(hooks.asgi, dlr("ü\x00"))
        assert await redis.ping()
    assert got == ["ü\x00"]


@pytest.mark.parametrize(
    ("redis", "options", "told"),
    [
        ("http://x", {}, "redis must be a URL"),
        (7, {}, "redis must be a URL or"),
        ("redis://127.0.0.1", {"name": "{a}"}, "name must be"),
        ("redis://127.0.0.1", {"lease": 0}, "lease must be"),
    ],
)
def test_a_wrong_setting_is_named(redis: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        RedisStore(redis, **options)


def test_repr_shows_no_password() -> None:
    assert "pass" not in repr(RedisStore("redis://user:pass@127.0.0.1:6379/1"))
