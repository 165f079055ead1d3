"""When the API answers nothing any more, a run waits instead of failing one item after the other.

An item that fails while others succeed has a problem of its own. When none succeeds, the API fails, or the way to it:
then the circuit is open. The run begins nothing new, one probe reads until an answer comes, and what had failed
meanwhile is sent again. Where an operation has nothing to read, or must not be repeated, there is no probe: then its
items go one at a time, with a pause before each, until an answer comes.

A run does not wait for an API that has never answered, and for none longer than `PATIENCE`: then the breaker gives up,
the run stops, and what it has not begun can be resumed.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final

from wavix_async._aio.clock import Clock
from wavix_async._aio.stop import StopSignal
from wavix_async.errors import DecodeError, ServerError, TransportError, WavixError

__all__ = ["CircuitBreaker"]

PATIENCE: Final = 120.0
_NEVER_ANSWERED: Final = 30.0
_FIRST_PROBE: Final = 0.25
_LONGEST_PROBE: Final = 4.0
_FEW: Final = 8

_NO_ANSWER: Final = (TransportError, ServerError, DecodeError)


class CircuitBreaker:
    """What a run knows of the API's health.

    Args:
        concurrency: Requests on the wire at once: as many failures in a row open the circuit.
        probe: Reads the record of a key; None: nothing can be read.
        stop: Ends what waits.
        clock: How the client waits.
    """

    def __init__(
        self,
        concurrency: int,
        probe: Callable[[Any], Awaitable[object]] | None,
        stop: StopSignal,
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._enough = max(concurrency, _FEW)
        self._probe = probe
        self._stop = stop
        self._failures = 0  # in a row
        self._since = 0.0  # when the row began
        self._healthy: Hashable = None  # a key that was answered
        self._probing: asyncio.Task[bool] | None = None
        self._one_at_a_time = asyncio.Lock()
        self.answers = 0
        """How many answers have come so far."""
        self.has_given_up = False
        """Whether no answer has come for so long that the run must stop."""

    def record_answer(self, key: Hashable = None) -> None:
        """Note an answer: a success (with its key), or a refusal."""
        self.answers += 1
        self._failures = 0
        if key is not None:
            self._healthy = key

    def record_failure(self, now: float) -> None:
        """Note an attempt that got no answer, or a failure of the server."""
        if not self._failures:
            self._since, self.has_given_up = now, False
        self._failures += 1
        patience = PATIENCE if self.answers else _NEVER_ANSWERED
        if self._failures >= self._enough and now - self._since > patience:
            self.has_given_up = True

    def is_open(self) -> bool:
        """Tell whether so many attempts in a row have failed that nothing new should be begun."""
        return self._failures >= self._enough and self.answers > 0 and not self.has_given_up

    async def wait_until_closed(self, error: WavixError, answers: int | None, key: Hashable) -> bool:
        """Wait for the end of an outage.

        Args:
            error: Why a change has failed.
            answers: `answers` when an earlier attempt of it failed: if more have come since, others are served.
            key: Its key.

        Returns:
            Whether the change should be sent again; False where there was no outage, or none that has ended in time.
        """
        if isinstance(error, DecodeError) and not error.retryable:
            # The API did answer; only its words were not as documented.
            self.record_answer()
        no_outage = not isinstance(error, _NO_ANSWER) or not self.answers or answers != self.answers
        if self._probe is None or no_outage or self.has_given_up:
            return False
        self._stop.check()
        if self._probing is None or self._probing.done():
            healthy = key if self._healthy is None else self._healthy
            self._probing = asyncio.ensure_future(self._probe_until_answered(self._probe, healthy))
        return await self._stop.end(asyncio.shield(self._probing))

    async def wait_for_turn(self) -> None:
        """Let changes through one at a time, with a pause before each, while no answer comes.

        Raises:
            StoppedError: The run was stopped meanwhile.
        """
        if self._failures >= self._enough:
            await self._stop.end(self._wait_for_turn())

    async def _wait_for_turn(self) -> None:
        async with self._one_at_a_time:
            if self._failures >= self._enough and not self.has_given_up:
                await self._clock.sleep(_jittered(_LONGEST_PROBE))

    async def _probe_until_answered(self, probe: Callable[[Any], Awaitable[object]], key: Hashable) -> bool:
        until, answers, longest = self._since + PATIENCE, self.answers, _FIRST_PROBE
        confirmed = False
        while self._clock.time() < until:
            await self._clock.sleep(_jittered(longest))
            longest = min(2 * longest, _LONGEST_PROBE)
            try:
                if answers == self.answers:
                    await probe(key)
            except WavixError as error:
                if isinstance(error, _NO_ANSWER):
                    confirmed = True
                    continue
                # A refusal, or a closed client: the call that is sent again gets it as well.
                confirmed = True
            self.record_answer()
            # If the first probe is answered, it is that one change that fails.
            return confirmed
        self.has_given_up = True
        return False

    async def close(self) -> None:
        """Leave no probe behind."""
        if self._probing is not None and not self._probing.done():
            self._probing.cancel()
            await asyncio.wait([self._probing])


def _jittered(longest: float) -> float:
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
