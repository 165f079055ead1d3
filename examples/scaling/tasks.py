"""The worker: one client per process, and one task that changes a chunk of numbers.

    taskiq worker tasks:broker --workers 4 --max-async-tasks 1

Set these environment variables: REDIS_URL, WAVIX_RATE (requests per second of all workers together), WAVIX_API_KEY,
WAVIX_BASE_URL.
"""

import os
from collections import Counter
from typing import Annotated, Any

from taskiq import Context, TaskiqDepends, TaskiqEvents, TaskiqState
from taskiq.serializers import JSONSerializer
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from wavix_async import NumberUpdate, WavixClient
from wavix_async.redis import RedisRateLimit

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
RATE = float(os.environ.get("WAVIX_RATE", "100"))

broker = ListQueueBroker(REDIS_URL).with_result_backend(
    RedisAsyncResultBackend(REDIS_URL, result_ex_time=3600, serializer=JSONSerializer())
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_client(state: TaskiqState) -> None:
    state.wavix = WavixClient(rate=RedisRateLimit(REDIS_URL, rate=RATE))


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_client(state: TaskiqState) -> None:
    await state.wavix.close()


@broker.task
async def change_numbers(
    ids: list[int], changes: dict[str, Any], context: Annotated[Context, TaskiqDepends()]
) -> dict[str, Any]:
    """Change the numbers of a chunk, and return the result of each number."""
    wavix: WavixClient = context.state.wavix
    run = wavix.numbers.bulk_update(dict.fromkeys(ids, NumberUpdate(**changes)), concurrency=20)
    ends: dict[str, str] = {}
    errors: Counter[str] = Counter()
    async for result in run:
        ends[str(result.id)] = str(result.status)
        if result.error is not None:
            errors[type(result.error).__name__] += 1
    return {"worker": os.getpid(), "ends": ends, "errors": dict(errors)}
