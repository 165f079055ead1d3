"""The event stream of a job: the latest state wins, so that a slow reader holds up nothing and piles up nothing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request

from wavix_async.fastapi._jobs.manager import JobBook
from wavix_async.fastapi._jobs.problems import StorageError, UnknownJobError
from wavix_async.fastapi._jobs.schemas import Job

__all__ = ["HEADERS", "events", "first_counter"]

HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_INTERVAL: Final = 0.2
_HEARTBEAT: Final = 15.0
_LOOK: Final = 1.0


def first_counter(last_event_id: str | None) -> int:
    """Return the id of the next event: a reader that comes back goes on counting."""
    known = last_event_id is not None and last_event_id.isascii() and last_event_id.isdecimal()
    return int(last_event_id) + 1 if last_event_id is not None and known and len(last_event_id) < 16 else 1


async def events(book: JobBook, job: Job, counter: int, request: Request) -> AsyncIterator[bytes]:
    """Yield a job at once, and whenever it has changed, until it has ended.

    The next event is made when the last one has left, and not before.

    Args:
        book: Where the job is.
        job: The job as it is.
        counter: The id of the first event.
        request: Whose reader may leave.
    """
    loop = asyncio.get_running_loop()
    while True:
        yield _event("job", job.model_dump_json(), counter)
        counter += 1
        if job.is_final:
            yield _event("end", job.state)
            return
        spoken = loop.time()
        await asyncio.sleep(_INTERVAL)
        seen = job
        while job == seen:
            if book.leaving.is_set() or await request.is_disconnected():
                return
            if loop.time() - spoken >= _HEARTBEAT:
                yield b": still there\n\n"
                spoken = loop.time()
            try:
                job = await book.after(seen, _LOOK)
            except UnknownJobError:
                return
            except StorageError:
                await asyncio.sleep(_LOOK)


def _event(name: str, data: str, number: int | None = None) -> bytes:
    # JSON from pydantic, and the name of a state, are one line each.
    return f"event: {name}\n{'' if number is None else f'id: {number}{chr(10)}'}data: {data}\n\n".encode()
