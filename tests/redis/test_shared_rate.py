"""Processes that share one rate through Redis, against a server that counts: the short form of the benchmark.

`python -m benchmarks.shared_rate` measures for half a minute what is tested here for seconds.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import shared_rate

if TYPE_CHECKING:
    from tests.redis.server import RedisServer

RATE = 100.0
# Of a second: a machine with other things to do has late servers, and late counters.
SLACK = 1.05


def run_watched(server: RedisServer, **options: Any) -> tuple[shared_rate.Run, float]:
    """Return what happened, and by how much the bounds on it are wider as the machine was busy: by nothing, as a rule.

    A process that gets no CPU for a tenth of a second sends a tenth of a second's requests less, or makes up for them
    in the next one.
    """
    latest, over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal latest
        while not over.is_set():
            began = time.monotonic()
            time.sleep(0.005)
            latest = max(latest, time.monotonic() - began - 0.005)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        return shared_rate.run(server, **options), 0.0 if latest < 0.03 else 8 * latest
    finally:
        over.set()
        watching.join()


@pytest.mark.req_06
def test_four_processes_keep_to_one_rate_and_use_it(redis_server: RedisServer) -> None:
    run, late = run_watched(redis_server, rate=RATE, seconds=4.0)
    assert run.failures == []
    assert run.most() <= RATE * (SLACK + late)
    assert run.used() >= 0.95 - late
    assert run.round_trips <= (0.35 + late) * len(run.times)
    assert all(one["done"] >= (0.7 - late) * RATE for one in run.said), "each process has a part"
    assert all(one["tasks"] == 0 for one in run.said)
    assert late or all(one["said"] == [] for one in run.said)


def test_redis_killed_and_back_again(redis_server: RedisServer) -> None:
    run, late = run_watched(
        redis_server,
        rate=RATE,
        seconds=8.0,
        during=[(2.0, "killed", lambda _: redis_server.kill()), (4.0, "back", lambda _: redis_server.start())],
    )
    back = run.marks["back"]
    assert run.failures == []
    assert run.most() <= RATE * (1.1 + late)
    assert run.used(2.5, 4.0) >= 0.9 - late
    assert run.most(back + 2.0) <= RATE * (SLACK + late)
    assert run.used(back + 2.0) >= 0.9 - late
    for one in run.said:
        assert one["said"][::2] == ["shared limit out of reach"] * (len(one["said"]) // 2)
        assert one["said"][-1] == "shared limit back"


@pytest.mark.req_06
@pytest.mark.req_07
def test_one_refusal_pauses_all_processes(redis_server: RedisServer) -> None:
    def refuse(url: str) -> None:
        shared_rate.ask_server(f"{url}/refuse/2", "POST")

    run, late = run_watched(redis_server, rate=RATE, seconds=5.0, during=[(1.0, "refused", refuse)])
    assert run.failures == []
    assert len(run.refused) == 1
    (refused,) = run.refused
    times = [at - run.began for at in run.times]
    assert [at for at in times if refused + 0.35 + late < at < refused + 1.99] == []
    after = [at for at in times if at >= refused + 1.99]
    assert len(after) >= (0.9 - late) * RATE * (5.0 - refused - 2.0)
    assert run.most(refused + 1.99) <= RATE * (SLACK + late)
