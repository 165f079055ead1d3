"""When nothing is answered any more, a run waits instead of failing one number after the other.

A number that fails while others succeed has a problem of its own. When nobody succeeds it is the API, or the way to it,
that fails: then nothing new is begun, one probe looks whether it is back, and what had failed meanwhile is sent again.
An API that has never answered in a run is not waited for, and none for longer than `PATIENCE`.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

from wavix_async._stop import StopSignal
from wavix_async.errors import DecodeError, ServerError, TransportError, WavixError

__all__ = ["Outage"]

PATIENCE: Final = 120.0
_FIRST_PROBE: Final = 0.25
_LONGEST_PROBE: Final = 4.0
_FEW: Final = 8

_SIGNS: Final = (TransportError, ServerError, DecodeError)


class Outage:
    """What a run knows of the API's health."""

    def __init__(self, concurrency: int, probe: Callable[[int], Awaitable[object]], stop: StopSignal) -> None:
        self._enough = max(concurrency, _FEW)
        self._probe = probe
        self._stop = stop
        self._failures = 0  # in a row
        self._since = 0.0  # when the row began
        self._given_up = False  # until there is a sign of life
        self._watch: asyncio.Task[bool] | None = None
        self.answers = 0
        """Signs of life so far: an item that has seen none since it first failed suspects an outage."""

    def answered(self) -> None:
        """Note a sign of life: a success, or a refusal."""
        self.answers += 1
        self._failures = 0

    def failed(self, now: float) -> None:
        """Note an attempt that got no answer, or a failure of the server."""
        if not self._failures:
            self._since, self._given_up = now, False
        self._failures += 1

    def is_likely(self) -> bool:
        """Tell whether so many attempts in a row have failed that nothing new should be begun."""
        return self._failures >= self._enough and self.answers > 0 and not self._given_up

    async def wait_out(self, error: WavixError, answers: int, number_id: int) -> bool:
        """Wait for the end of an outage.

        Args:
            error: Why an item has failed.
            answers: `answers` when it failed first.
            number_id: A number that can be read.

        Returns:
            Whether the item shall be sent again; False where there is no outage, or none that has ended in time.
        """
        if not isinstance(error, _SIGNS) or not answers or answers != self.answers or self._given_up:
            return False
        if self._watch is None or self._watch.done():
            self._watch = asyncio.ensure_future(self._watch_for_life(number_id))
        return await self._stop.end(asyncio.shield(self._watch))

    async def _watch_for_life(self, number_id: int) -> bool:
        loop = asyncio.get_running_loop()
        longest = _FIRST_PROBE
        while loop.time() - self._since < PATIENCE:
            await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
            longest = min(2 * longest, _LONGEST_PROBE)
            try:
                await self._probe(number_id)
            except WavixError as error:
                if isinstance(error, _SIGNS):
                    continue
                # A refusal, or a closed client: whoever sends again will hear it.
            self.answered()
            return True
        self._given_up = True
        return False

    async def close(self) -> None:
        """Leave no probe behind."""
        if self._watch is not None and not self._watch.done():
            self._watch.cancel()
            await asyncio.wait([self._watch])
