"""`Admission`: everything between "a call wants to send" and "its request may leave".

A request needs two things:

- a *permit*: the rate limit allows one request now. The limiter hands permits out in the order of the queue positions.
- its *slots*: one of the connection pool, and one of every semaphore given to `with_options`.

A call takes the permit first and the slots after it, so a call that waits for the rate or backs off uses no slot and no
connection. It releases the slots when the request is off the wire, and then closes the permit with the outcome.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeAlias, TypeVar

from wavix_async._aio import LaneSemaphore
from wavix_async._http.operation import Operation
from wavix_async._http.options import CallOptions
from wavix_async._http.response import Response, code_of
from wavix_async._http.state import ClientState, LoopState
from wavix_async._ratelimit import WaitTooLong, rate_hint, wait_told
from wavix_async.errors import DeadlineExceededError, RateLimitError

__all__ = ["NO_DEADLINE", "Admission", "Slots", "leave"]

W = TypeVar("W")

Slots: TypeAlias = tuple[asyncio.Semaphore, ...]

NO_DEADLINE: Final = float("inf")
_FRESH: Final = 0.1
"""Seconds after which a permit is too old to use: otherwise requests with saved-up permits would leave all at once."""


class Admission:
    """How one call gets to send: one queue position, and for each attempt a permit and its slots."""

    __slots__ = (
        "_deadline",
        "_limiter",
        "_not_before",
        "_operation",
        "_options",
        "_position",
        "_side",
        "_state",
        "_time",
        "refused",
        "too_late",
    )

    def __init__(
        self,
        state: ClientState,
        options: CallOptions,
        operation: Operation[Any],
        clock: Callable[[], float],
        deadline: float,
        here: LoopState,
    ) -> None:
        self._state = state
        self._options = options
        self._operation = operation
        self._time = clock
        limit = here.limits.get(operation.limit_group)
        self._limiter, self._side = limiter, _ = (
            state.enter_limit(here, operation.limit_group) if limit is None else limit
        )
        # One position for all attempts: a retried call does not go to the end of the queue.
        self._position = limiter.join_queue()
        self._deadline = deadline
        self._not_before = 0.0  # by the loop's time: a stray 429 delays only its own call
        self.refused = False
        """Whether the API has answered an attempt of this call with a 429."""
        self.too_late = False
        """Whether the next permit would come after the deadline."""

    # --- permits and slots ---

    def try_enter(self, slots: Slots) -> float | None:
        """Return a permit if the request may leave now and all slots are free; the caller then acquires the slots.

        Returns:
            The permit, or None if the caller must use `wait`.

        Raises:
            StoppedError: The stop signal of the call is set.
        """
        stop = self._options.stop
        if stop is not None:
            stop.check()
        for slot in slots:
            if slot.locked():
                return None
        if self.refused and self._time() < self._not_before:
            return None
        return self._limiter.try_acquire(self._side)

    def wait(self, slots: Slots) -> Awaitable[float]:
        """Wait for a permit and for the slots, and return the permit.

        Raises:
            RateLimitError: The permit would come after the deadline.
            DeadlineExceededError: No slot, and no place among the requests in flight, was free before the deadline.
            ClientClosedError: The client was closed during the wait.
            StoppedError: The stop signal of the call was set during the wait.
        """
        return self.unless_stopped(self._wait(slots))

    def unless_stopped(self, wait: Awaitable[W]) -> Awaitable[W]:
        """Return a wait that ends early when the client closes or the caller stops its calls."""
        closing, stop = self._state.closing, self._options.stop
        return closing.end(wait) if stop is None else stop.end(wait, closing)

    async def _wait(self, slots: Slots) -> float:
        position = self._position
        if self.refused and self._time() < self._not_before:
            await self._wait_for_own_pause(position)
        while True:
            permit = await self._wait_for_permit(position)
            await self._wait_for_slots(permit, slots)
            if self._limiter.age(permit) < _FRESH and not self._limiter.is_paused():
                return permit
            # A pause began while this call waited for its slots, or the permit is old.
            renewed = self._limiter.renew(permit, position, self._side, bulk=self._options.bulk)
            if renewed is not None:
                return renewed
            leave(slots)

    async def _wait_for_own_pause(self, position: int) -> None:
        """Wait as long as the API asked of this call, outside the queue: a pause of all calls may end earlier."""
        wait = self._not_before - self._time()
        if self._not_before > self._deadline:
            raise self._too_late(wait, paused=True)
        try:
            self._limiter.check_fits(self._deadline, position, self._side, bulk=self._options.bulk)
        except WaitTooLong as late:
            raise self._too_late(late.wait, paused=late.paused) from None
        await self._state.clock.sleep(wait)

    async def _wait_for_permit(self, position: int) -> float:
        try:
            return await self._limiter.acquire(self._deadline, position, self._side, bulk=self._options.bulk)
        except WaitTooLong as late:
            if late.wait > 0:
                raise self._too_late(late.wait, paused=late.paused) from None
            # Neither a rate nor a pause holds the call back: the answers that it waits for did not come.
            raise DeadlineExceededError(
                f"{self._operation.name} found no free place among the requests in flight before its deadline.",
                outcome="not_sent",
            ) from None

    def _too_late(self, wait: float, *, paused: bool) -> RateLimitError:
        self.too_late = True
        why = "the API asked for a pause" if paused else "the rate limit allows nothing earlier"
        return RateLimitError(
            f"{self._operation.name} would have to wait {wait:.1f} s ({why}), more than its deadline allows. "
            "Retry later, or set a longer deadline.",
            status=429 if self.refused else None,
            retry_after=wait,
            outcome="rejected" if self.refused else "not_sent",
        )

    async def _wait_for_slots(self, permit: float, slots: Slots) -> None:
        taken: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(None if self._deadline == NO_DEADLINE else self._deadline - self._time()):
                for slot in slots:
                    if type(slot) is LaneSemaphore:
                        await slot.acquire(bulk=self._options.bulk)
                    else:
                        await slot.acquire()
                    taken.append(slot)
        except BaseException as error:
            self.give_back(permit, taken)
            if isinstance(error, TimeoutError):
                raise DeadlineExceededError(
                    f"{self._operation.name} found no free connection before its deadline.", outcome="not_sent"
                ) from None
            raise

    def move_deadline(self, deadline: float) -> None:
        """Change the deadline of the call."""
        self._deadline = deadline

    # --- after the wait ---

    def give_back(self, permit: float, slots: Iterable[asyncio.Semaphore]) -> None:
        """Return the permit and release the slots: nothing was sent with them."""
        leave(slots)
        self._limiter.refund(permit, self._side)

    def no_answer(self, permit: float) -> None:
        """Close the permit of a request without an answer."""
        self._limiter.no_answer(permit, self._side)

    def answered(self, permit: float, response: Response) -> None:
        """Close the permit of a request that the API has answered, and learn the rate from the answer."""
        status, headers, now = response.status, response.headers, time.time()
        if status == 429:
            if self._operation.is_quota(code_of(response)):
                # A quota of this operation is used up: that says nothing about the rate, which other operations share.
                self._limiter.accepted(permit, self._side)
                return
            self.refused = True
            self._not_before = self._limiter.refused(permit, wait_told(status, headers, now), self._side)
        else:
            self._limiter.accepted(permit, self._side)
            if status == 503 and (wait := wait_told(status, headers, now)) is not None:
                self._limiter.pause(wait)
        hint = rate_hint(headers, now)
        if hint is not None:
            self._limiter.hint(hint)


def leave(slots: Iterable[asyncio.Semaphore]) -> None:
    """Release the slots."""
    for slot in slots:
        slot.release()
