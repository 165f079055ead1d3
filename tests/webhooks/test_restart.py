"""`SqliteStore`: what a killed process leaves to the next one, and what a store does alone."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import stat
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.events import BODIES, SECRET, dlr, post
from tests.support.processes import start
from tests.support.soon import SOON
from tests.support.webhook_load import CONCURRENCY
from tests.support.webhook_worker import kill_and_restart
from wavix_async import ConfigurationError
from wavix_async.models import Model
from wavix_async.webhooks import DeliveryReport, SqliteStore, Webhooks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.req_34
async def test_after_a_kill_interrupted_handlers_run_and_finished_ones_do_not(tmp_path: Path) -> None:
    await kill_and_restart(str(tmp_path / "events.db"))


@pytest.mark.req_34
@pytest.mark.parametrize(("count", "kills"), [(40, 1), pytest.param(2_000, 12, marks=pytest.mark.scale)])
def test_after_many_kills_every_event_has_been_handled_and_hardly_any_twice(
    tmp_path: Path, count: int, kills: int
) -> None:
    choose = random.Random(count)
    ends = tmp_path / "ends.txt"
    for stop_at in (*sorted(choose.sample(range(1, count), kills)), None):
        process = start("tests.support.webhook_load", str(tmp_path), str(count))
        try:
            while process.poll() is None and (stop_at is None or lines(ends) < stop_at):
                time.sleep(0.001)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 0, "the last one ended by itself"
    handled = Counter(ends.read_text().split())
    assert handled.keys() == {f"m{i}" for i in range(count)}
    # A handler may have ended without its end being stored: at each kill, at most as many as run at once.
    assert sum(handled.values()) - count <= kills * CONCURRENCY


def lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


@pytest.mark.req_34
async def test_handlers_that_close_cut_off_run_at_the_next_start(tmp_path: Path) -> None:
    got: list[str] = []

    def make(*, ends: bool) -> Webhooks:
        hooks = Webhooks(secret=SECRET, seen=SqliteStore(tmp_path / "events.db"), grace=SOON if ends else 0.0)

        @hooks.on(DeliveryReport)
        async def handle(report: DeliveryReport) -> None:
            if not ends:
                await asyncio.Event().wait()
            got.append(report.message_id)

        return hooks

    async with make(ends=False) as hooks:
        for name in ("a", "b", "c"):
            await post(hooks.asgi, dlr(name))
    async with make(ends=True):
        pass
    assert sorted(got) == ["a", "b", "c"]


async def test_a_finished_event_leaves_its_key_and_not_its_body(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    hooks = Webhooks(secret=SECRET, seen=SqliteStore(path))

    @hooks.on(Model)
    async def handle(event: Model) -> None: ...

    async with hooks:
        for body in BODIES.values():
            await post(hooks.asgi, body)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(path) as database:
        counts = [database.execute(f"SELECT count(*) FROM {each}").fetchone()[0] for each in ("seen", "event", "ended")]
    database.close()
    assert counts == [len(BODIES), 0, 0]


async def test_an_event_that_no_handler_wants_leaves_only_its_key(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    hooks = Webhooks(secret=SECRET, seen=SqliteStore(path))
    hooks.on(DeliveryReport, status="undelivered")(print)
    async with hooks:
        await post(hooks.asgi, dlr("m"))
    hooks.on(Model)(print)
    async with hooks:
        await post(hooks.asgi, dlr("m"))
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM event").fetchone() == (0,)
    database.close()


async def test_a_late_event_that_no_handler_wants_leaves_only_its_key(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    hooks, got = Webhooks(secret=SECRET, seen=SqliteStore(path)), []

    @hooks.on(DeliveryReport, late=False)
    async def handle(report: DeliveryReport) -> None:
        got.append(str(report.status))

    async with hooks:
        for status in ("delivered", "sent"):
            await post(hooks.asgi, dlr("m", status))
    assert got == ["delivered"]
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM event").fetchone() == (0,)
    database.close()


async def test_failures_are_kept_over_restarts_up_to_a_bound(tmp_path: Path) -> None:
    def make() -> Webhooks:
        hooks = Webhooks(secret=SECRET, seen=SqliteStore(tmp_path / "events.db"), max_failed=2)

        @hooks.on(DeliveryReport)
        async def handle(report: DeliveryReport) -> None:
            raise RuntimeError

        return hooks

    async with make() as hooks:
        for name in ("a", "b", "c"):
            await post(hooks.asgi, dlr(name))
    hooks = make()
    async with hooks:
        pass
    assert [(each.event.key, each.error) for each in hooks.failed] == [
        ("dlr:b:delivered", "RuntimeError"),
        ("dlr:c:delivered", "RuntimeError"),
    ]


async def test_a_retry_beside_another_handler_of_the_event_keeps_the_event(tmp_path: Path) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    def make() -> Webhooks:
        hooks = Webhooks(secret=SECRET, seen=SqliteStore(tmp_path / "events.db"), grace=SOON)

        @hooks.on(DeliveryReport)
        async def fails(report: DeliveryReport) -> None:
            raise RuntimeError

        @hooks.on(DeliveryReport)
        async def waits(report: DeliveryReport) -> None:
            begun.set()
            await gate.wait()

        return hooks

    async with make() as hooks:
        await post(hooks.asgi, dlr("a"))
        await begun.wait()
        retrying = asyncio.create_task(hooks.retry_failed())
        await asyncio.sleep(0)
        gate.set()
        assert await retrying == 0
    async with make() as hooks:
        pass
    assert [each.error for each in hooks.failed] == ["RuntimeError"]


async def test_an_interrupted_event_waits_for_a_handler_that_wants_it(tmp_path: Path) -> None:
    path, got = tmp_path / "events.db", []
    hooks = Webhooks(secret=SECRET, seen=SqliteStore(path), grace=0.0)

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        await asyncio.Event().wait()

    async with hooks:
        await post(hooks.asgi, dlr("m"))
    async with Webhooks(secret=SECRET, seen=SqliteStore(path)):
        pass
    hooks = Webhooks(secret=SECRET, seen=SqliteStore(path))

    @hooks.on(DeliveryReport)
    async def renamed(report: DeliveryReport) -> None:
        got.append(report.message_id)

    async with hooks:
        pass
    assert got == ["m"]


async def test_a_second_process_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = sqlite3.connect

    def impatient(*args: Any, **options: Any) -> sqlite3.Connection:
        return real(*args, **{**options, "timeout": 0.0})

    monkeypatch.setattr(sqlite3, "connect", impatient)
    path = tmp_path / "events.db"
    async with Webhooks(secret=SECRET, seen=SqliteStore(path)):
        with pytest.raises(ConfigurationError, match="Another process uses it"):
            await Webhooks(secret=SECRET, seen=SqliteStore(path)).start()
    async with Webhooks(secret=SECRET, seen=SqliteStore(path)):
        pass


async def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear all, " * 100)
    for where in (path, tmp_path / "missing" / "events.db"):
        hooks = Webhooks(secret=SECRET, seen=SqliteStore(where))
        with pytest.raises(ConfigurationError, match="as a store of events"):
            await hooks.start()
        assert (await post(hooks.asgi, dlr("m"))).status == 503
        await hooks.close()
    assert path.read_text().startswith("Dear all")
    async with asyncio.timeout(SOON):
        while any(thread.name.startswith("wavix-webhooks") for thread in threading.enumerate()):
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("ttl", [0.0, 1000.0])
async def test_keys_expire(tmp_path: Path, ttl: float) -> None:
    got = []
    hooks = Webhooks(secret=SECRET, seen=SqliteStore(tmp_path / "events.db"), key_ttl=ttl)

    @hooks.on(DeliveryReport)
    async def handle(report: DeliveryReport) -> None:
        got.append(report.late)

    async with hooks:
        for status in ("delivered", "delivered", "sent"):
            await post(hooks.asgi, dlr("m", status))
    assert got == ([False, False, False] if ttl == 0 else [False, True])
