"""Waits for what the API finishes later: a read again and again, at once after an event that tells of it."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from wavix_async import models
from wavix_async._http import BaseClient, EventSource, check_intervals, wait_for
from wavix_async.errors import InputError, WavixError

__all__ = ["is_newer", "moment", "wait_until"]

T = TypeVar("T")


async def wait_until(
    client: BaseClient,
    read: Callable[[BaseClient], Awaitable[T]],
    done: Callable[[T], bool],
    *,
    what: str,
    every: tuple[float, float],
    timeout: float | None,
    absent: tuple[type[WavixError], ...] = (),
    events: EventSource | None = None,
    event: str | None = None,
    **fields: object,
) -> T:
    """Read an object until it has reached an end state; see `_http.waiters`.

    The reads are in the bulk lane, because reads that can wait must not delay other calls.

    Args:
        client: The client.
        read: Reads the object with the client that it is given.
        done: Returns whether an object has reached an end state, good or bad.
        what: The object and the state, for the message of a timeout.
        every: The first and the longest interval between two reads, in seconds.
        timeout: Seconds to wait at most; None: no limit.
        absent: Errors that mean that the object is not there yet.
        events: What receives webhooks; None: only the reads show the end.
        event: The name of the event's class: only a wait that listens loads it. None: no event tells of the end.
        fields: The values that the event has.
    """
    every, timeout = check_intervals(every, timeout)
    wake = None if events is None or event is None else _listen(events, event, fields)
    patient = client.with_options(lane="bulk")
    return await wait_for(
        lambda: read(patient),
        done,
        what=what,
        every=every,
        timeout=timeout,
        clock=client.clock,
        absent=absent,
        wake=wake,
    )


def _listen(events: EventSource, event: str, fields: dict[str, object]) -> Callable[[], Awaitable[object]]:
    if not callable(getattr(events, "next", None)):
        raise InputError(f"events must have a method next(), as Webhooks has, got {events!r}.")
    kind: type[object] = getattr(models, event)
    return lambda: events.next(kind, timeout=None, **fields)


def moment(name: str, value: object) -> datetime | None:
    """Return a time that a caller gives, with a time zone; the API's own times without one are UTC.

    Raises:
        InputError: It is not a datetime, nor None.
    """
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InputError(f"{name} must be a datetime, such as the transcription_date of the older one, got {value!r}.")
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def is_newer(value: object, than: datetime | None) -> bool:
    """Return whether a time of an answer is later than the given one; None: any time is."""
    return than is None or (isinstance(value, datetime) and value > than)
