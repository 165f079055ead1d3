"""A client that does not wait: its clock goes on to what is waited for next as soon as nothing else happens."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Final

from wavix_async._aio import Clock
from wavix_async._http import ClientState
from wavix_async.client import WavixClient

__all__ = ["skip_waits"]

_POLL: Final = 0.0005
_ROUNDS: Final = 5
"""Rounds of the event loop in which nothing is on the wire, until it is certain that everybody waits."""


def _nobody(seconds: float) -> None:
    """Tell nobody."""


def skip_waits(client: WavixClient, advance: Callable[[float], object] = _nobody) -> None:
    """Let a client pass over its waits instead of waiting, and count them all the same.

    Skipped are backoffs, the pauses that a 429 asks for, turns at a rate, and what a bulk run waits for in an outage
    and before it reads a number back. The seconds are taken off the deadline of the call: one that would have given up
    still does, with the same error. What others take is not skipped: an answer that is late, the timeout that guards
    it, and a rate that is shared through Redis.

    Only this client is changed, and those made of it by `with_options`. What it has learned of the API's limits is
    forgotten, so do it first.

    Args:
        client: The client.
        advance: Called with the seconds of each wait, in the client's event loop: `Sandbox.advance`, so that its rate
            limit refills as if they had passed. Default: nobody is told.
    """
    client._state.use_clock(_EagerClock(client._state, advance))


class _EagerClock(Clock):
    """Goes on to the earliest of all waits when nothing is on the wire.

    Were it to go on at once, a request that is sent now would reach a server whose clock is ahead by the waits of all
    who come after it, and who paces its requests would be refused for it.
    """

    def __init__(self, shared: ClientState, advance: Callable[[float], object]) -> None:
        self._shared: Final = shared
        self._advance: Final = advance
        self._order: Final = itertools.count()
        self._waits: list[tuple[float, int, asyncio.Handle, Callable[[], object]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._looking = False
        self._idle = 0

    def of(self, loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
        """Return what tells the time, in seconds: that of the loop, and what was skipped."""
        return lambda: loop.time() + self.skipped

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]) -> asyncio.Handle:
        """Have a callback called at a time of this clock."""
        if loop is not self._loop:
            # Nobody waits any more in a loop that is gone.
            self._loop, self._waits, self._looking = loop, [], False
        handle = asyncio.Handle(callback, (), loop)
        heapq.heappush(self._waits, (when, next(self._order), handle, callback))
        if not self._looking:
            self._looking, self._idle = True, 0
            loop.call_soon(self._look, loop)
        return handle

    async def sleep(self, seconds: float) -> None:
        """Wait until this clock has gone on by so many seconds."""
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            # Whoever was cancelled in this round of the loop has not come to the end of this yet.
            if not woken.done():
                woken.set_result(None)

        handle = self.call_at(loop, self.time() + seconds, wake)
        try:
            await woken
        finally:
            handle.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        waits = self._waits
        while waits and waits[0][2].cancelled():
            heapq.heappop(waits)
        if not waits:
            self._looking = False
            return
        busy = any(limiter.snapshot().in_flight for limiter in self._shared._limiters.values())
        # First of all: what is called below may raise.
        if busy:
            loop.call_later(_POLL, self._look, loop)
        else:
            loop.call_soon(self._look, loop)
        self._idle = 0 if busy else self._idle + 1
        now, next_time = self.time(), waits[0][0]
        if next_time > now and self._idle >= _ROUNDS:
            self.skipped += next_time - now
            self._advance(next_time - now)
            now = next_time
        while waits and waits[0][0] <= now:
            self._idle = 0
            _, _, handle, callback = heapq.heappop(waits)
            if not handle.cancelled():
                callback()
