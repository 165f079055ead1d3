"""The event stream of a job. A slow reader skips states and gets the latest one: no event waits or queues for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request

from wavix_async.fastapi._jobs.manager import JobManager
from wavix_async.fastapi._jobs.problems import StorageError, UnknownJobError
from wavix_async.fastapi._jobs.schemas import Job

__all__ = ["HEADERS", "events", "next_event_id"]

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_INTERVAL: Final = 0.2
_HEARTBEAT: Final = 15.0
_CHECK_INTERVAL: Final = 1.0


def next_event_id(last_event_id: str | None) -> int:
    """Return the id of the next event; after a reconnect the ids continue."""
    is_valid = last_event_id is not None and last_event_id.isascii() and last_event_id.isdecimal()
    return int(last_event_id) + 1 if last_event_id is not None and is_valid and len(last_event_id) < 16 else 1


async def events(manager: JobManager, job: Job, event_id: int, request: Request) -> AsyncIterator[bytes]:
    """Yield a job at once and after each change, until the job ends.

    The next event is created only after the previous one is sent.

    Args:
        manager: The jobs of the router.
        job: The current state of the job.
        event_id: The id of the first event.
        request: The request, whose client may disconnect.
    """
    loop = asyncio.get_running_loop()
    while True:
        yield _event("job", job.model_dump_json(), event_id)
        event_id += 1
        if job.is_final:
            yield _event("end", job.state)
            return
        last_sent = loop.time()
        await asyncio.sleep(_INTERVAL)
        sent = job
        while job == sent:
            if manager.shutting_down.is_set() or await request.is_disconnected():
                return
            if loop.time() - last_sent >= _HEARTBEAT:
                yield b": still there\n\n"
                last_sent = loop.time()
            try:
                job = await manager.wait_for_change(sent, _CHECK_INTERVAL)
            except UnknownJobError:
                return
            except StorageError:
                await asyncio.sleep(_CHECK_INTERVAL)


def _event(name: str, data: str, event_id: int | None = None) -> bytes:
    # Pydantic's JSON and the name of a state are one line each.
    return f"event: {name}\n{'' if event_id is None else f'id: {event_id}{chr(10)}'}data: {data}\n\n".encode()
