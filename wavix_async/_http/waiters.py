"""`wait_for`: read something again and again until it has reached an end state. All waiters of the client use it.

A waiter reads at once, then after the first interval, and each following interval is twice as long, up to the longest.
Every interval is shortened by a random part, so that many waiters do not read at the same moment. What an event says is
never taken for the result: an event only makes the waiter read at once, so the result is always an answer of the API.
The waiter listens all the time, so that it misses no event that comes while it reads.
"""

import asyncio
import inspect
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar, cast

from wavix_async._aio import Clock
from wavix_async.errors import (
    ConfigurationError,
    DeadlineExceededError,
    InputError,
    RateLimitError,
    ServerError,
    TransportError,
    WaitTimeoutError,
    WavixError,
)

__all__ = ["EventSource", "check_functions", "check_intervals", "wait_for"]

T = TypeVar("T")

_PASSING: Final = (RateLimitError, ServerError, TransportError, DeadlineExceededError)
"""Failures that a wait outlasts: they say nothing about the object."""
_LAST_READ: Final = 0.5
"""Seconds of the timeout that are kept for the last read."""


_AFTER_READ: Final = 0.1
"""Seconds from one read to the next at least, however many events come: one read answers all of them."""


class EventSource(Protocol):
    """Where a waiter hears of events: `wavix_async.webhooks` has an implementation."""

    def next(self, kind: type[T], *, timeout: float | None = None, **fields: object) -> Awaitable[T]:
        """Wait for the next event of a class whose fields have these values."""
        ...


def check_intervals(every: object, timeout: float | None) -> tuple[tuple[float, float], float | None]:
    """Return the first and the longest interval, and the timeout of a wait, in seconds.

    Raises:
        ConfigurationError: `every` is not a pair of seconds, the first at most the second, or `timeout` is not a number
            of seconds greater than 0, or None.
    """
    pair = cast("Sequence[Any]", every if isinstance(every, tuple | list) else ())
    good = len(pair) == 2 and all(isinstance(each, int | float) and not isinstance(each, bool) for each in pair)
    if not good or not 0 < pair[0] <= pair[1]:
        raise ConfigurationError(
            "every must be a pair of seconds: the first and the longest interval between two reads, for example "
            f"(1, 15); got {every!r}."
        )
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and 0 < timeout < math.inf):
        raise ConfigurationError(f"timeout must be a number of seconds greater than 0, or None; got {timeout!r}.")
    return (pair[0], pair[1]), timeout


def check_functions(read: object, done: object) -> None:
    """Check the functions that a caller passes to `wait_for`.

    Raises:
        InputError: One cannot be called, or `done` is `async`: what it returns would always count as true.
    """
    if not callable(read):
        raise InputError(
            "read must be a function that makes the call each time, such as lambda: wavix.numbers.get(1001); got "
            f"{type(read).__name__}."
        )
    if not callable(done) or inspect.iscoroutinefunction(done):
        raise InputError(
            "done must be a plain function of the object, such as lambda number: number.sms_enabled; got "
            f"{'an async function' if callable(done) else type(done).__name__}."
        )


async def wait_for(
    read: Callable[[], Awaitable[T]],
    done: Callable[[T], bool],
    *,
    what: str,
    every: tuple[float, float],
    timeout: float | None,
    clock: Clock,
    absent: tuple[type[WavixError], ...] = (),
    wake: Callable[[], Awaitable[object]] | None = None,
) -> T:
    """Read an object until it has reached an end state.

    Args:
        read: Reads the object.
        done: Returns whether an object has reached an end state, good or bad.
        what: The object and the state, for the message of a timeout: `number 1001 shows the changes`.
        every: The first and the longest interval between two reads, in seconds.
        timeout: Seconds to wait at most; None: no limit.
        clock: The clock of the client.
        absent: Errors that mean that the object is not there yet.
        wake: Waits for an event after which a read is worthwhile; if it fails, only the intervals count. None: there
            are no events.

    Returns:
        The object, in whatever end state it has reached.

    Raises:
        WaitTimeoutError: The time is over; `last` is the object as it was read last.
        WavixError: A read failed, and waiting would not help; or the source of events cannot be used.
    """
    began = clock.time()
    interval = every[0]
    last: T | None = None
    final = False
    last_read = _LAST_READ if timeout is None else min(_LAST_READ, timeout)
    event = None if wake is None else asyncio.ensure_future(wake())
    try:
        while True:
            failure: WavixError | None = None
            read_at = clock.time()
            limit = asyncio.timeout(None if timeout is None else max(began + timeout - clock.time(), last_read))
            try:
                async with limit:
                    reading = read()
                    if not isinstance(reading, Awaitable):
                        raise InputError(f"read must return a call to await, got {type(reading).__name__}.")
                    last = await reading
            except absent:
                pass
            except _PASSING as error:
                failure = error
            except TimeoutError:
                if not limit.expired():
                    raise
                final = True
            else:
                if _is_done(done(last)):
                    return last
            pause = interval * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
            told = failure.retry_after or 0.0 if failure is not None else 0.0
            if timeout is not None:
                left = began + timeout - clock.time()
                if final or left <= 0 or told >= left:
                    raise _too_late(what, timeout, clock.time() - began, last, failure) from failure
                final = max(pause, told) >= left - last_read
                pause = max(min(pause, left - last_read), 0.0)
            if event is None or wake is None:
                await clock.sleep(max(pause, told))
            elif await _happens(event, clock.sleep(max(pause, told))):
                event, final = asyncio.ensure_future(wake()), False
                gap = read_at + _AFTER_READ - clock.time()
                if timeout is not None and gap >= (left := began + timeout - clock.time()):
                    gap, final = left, True
                if gap > 0:
                    await clock.sleep(gap)
            interval = min(2 * interval, every[1])
    finally:
        if event is not None:
            await _drop(event)


def _is_done(told: object) -> bool:
    if isinstance(told, Awaitable):
        if inspect.iscoroutine(told):
            told.close()
        raise InputError("done must return True or False, and what it returned must be awaited first.")
    return bool(told)


async def _happens(event: "asyncio.Future[object]", sleep: Coroutine[Any, Any, None]) -> bool:
    """Sleep, but not longer than until the event; return whether to wait for another one."""
    sleeping = asyncio.ensure_future(sleep)
    try:
        await asyncio.wait((sleeping, event), return_when=asyncio.FIRST_COMPLETED)
        if event.done() and (failure := _failure_of(event)) is not None:
            if isinstance(failure, ConfigurationError | InputError):
                raise failure
            # Whatever else ails the source of events, it must not make the waiter read all the time.
            await sleeping
    finally:
        await _drop(sleeping)
    return event.done()


def _failure_of(event: "asyncio.Future[object]") -> BaseException | None:
    return asyncio.CancelledError() if event.cancelled() else event.exception()


async def _drop(future: "asyncio.Future[Any]") -> None:
    future.cancel()
    await asyncio.gather(future, return_exceptions=True)


def _too_late(what: str, timeout: float, elapsed: float, last: object, failure: WavixError | None) -> WaitTimeoutError:
    why = f" The last read failed: {failure}" if failure is not None else ""
    error = WaitTimeoutError(f"Not within {timeout:g} s: {what}.{why}", last=last)
    error.elapsed = elapsed
    return error
