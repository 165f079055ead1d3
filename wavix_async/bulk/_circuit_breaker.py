"""When nothing is answered any more, a run waits instead of failing one number after the other.

A number that fails while others succeed has a problem of its own. When nobody succeeds it is the API, or the way to it,
that fails: then nothing new is begun, one probe looks whether it is back, and what had failed meanwhile is sent again.
An API that has never answered in a run is not waited for, and none for longer than `PATIENCE`: then the run stops, and
what it has not begun can be resumed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from wavix_async._aio.clock import Clock
from wavix_async._aio.stop import StopSignal
from wavix_async.errors import DecodeError, ServerError, TransportError, WavixError

__all__ = ["Outage"]

PATIENCE: Final = 120.0
_NEVER_ALIVE: Final = 30.0
_FIRST_PROBE: Final = 0.25
_LONGEST_PROBE: Final = 4.0
_FEW: Final = 8

_SIGNS: Final = (TransportError, ServerError, DecodeError)


class Outage:
    """What a run knows of the API's health."""

    def __init__(
        self, concurrency: int, probe: Callable[[int], Awaitable[object]], stop: StopSignal, clock: Clock
    ) -> None:
        self._clock = clock
        self._enough = max(concurrency, _FEW)
        self._probe = probe
        self._stop = stop
        self._failures = 0  # in a row
        self._since = 0.0  # when the row began
        self._healthy: int | None = None  # a number that was answered
        self._watch: asyncio.Task[bool] | None = None
        self.signs = 0
        """Signs of life so far."""
        self.is_hopeless = False
        """Whether nothing has been answered for so long that going on makes no sense."""

    def answered(self, number_id: int | None = None) -> None:
        """Note a sign of life: a success (with the number it was), or a refusal."""
        self.signs += 1
        self._failures = 0
        if number_id is not None:
            self._healthy = number_id

    def failed(self, now: float) -> None:
        """Note an attempt that got no answer, or a failure of the server."""
        if not self._failures:
            self._since, self.is_hopeless = now, False
        self._failures += 1
        if self._failures >= self._enough and now - self._since > (PATIENCE if self.signs else _NEVER_ALIVE):
            self.is_hopeless = True

    def is_likely(self) -> bool:
        """Tell whether so many attempts in a row have failed that nothing new should be begun."""
        return self._failures >= self._enough and self.signs > 0 and not self.is_hopeless

    async def wait_out(self, error: WavixError, signs: int | None, number_id: int) -> bool:
        """Wait for the end of an outage.

        Args:
            error: Why a change has failed.
            signs: `signs` when an earlier attempt of it failed: if there were any since, others are served.
            number_id: Its number.

        Returns:
            Whether the change shall be sent again; False where there was no outage, or none that has ended in time.
        """
        if isinstance(error, DecodeError) and not error.retryable:
            # Nothing but the words was not as documented.
            self.answered()
        if not isinstance(error, _SIGNS) or not self.signs or signs != self.signs or self.is_hopeless:
            return False
        self._stop.check()
        if self._watch is None or self._watch.done():
            self._watch = asyncio.ensure_future(self._watch_for_life(self._healthy or number_id))
        return await self._stop.end(asyncio.shield(self._watch))

    async def _watch_for_life(self, number_id: int) -> bool:
        until, signs, longest = self._since + PATIENCE, self.signs, _FIRST_PROBE
        confirmed = False
        while self._clock.time() < until:
            await self._clock.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
            longest = min(2 * longest, _LONGEST_PROBE)
            try:
                if signs == self.signs:
                    await self._probe(number_id)
            except WavixError as error:
                if isinstance(error, _SIGNS):
                    confirmed = True
                    continue
                # A refusal, or a closed client: whoever sends again will hear it.
                confirmed = True
            self.answered()
            # If the first look finds it alive, it is that one change that fails.
            return confirmed
        self.is_hopeless = True
        return False

    async def close(self) -> None:
        """Leave no probe behind."""
        if self._watch is not None and not self._watch.done():
            self._watch.cancel()
            await asyncio.wait([self._watch])
