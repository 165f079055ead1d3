"""`CircuitBreaker`: during an outage a run waits, so that its items do not fail one after the other.

If one item fails while others succeed, the problem is that item. If every attempt fails, the problem is the API or the
network: the circuit opens. Then the run starts no new items, one probe reads a record until the API answers, and the
run sends the items that failed in the meantime again. If an operation cannot read, or is not idempotent, the run sends
its items one at a time instead, with a pause before each, until the API answers.

A run does not wait for an API that has never answered, and waits at most `PATIENCE` seconds for any other. Then the
breaker gives up and the run stops; the items that were not started can be sent by a later run.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final

from wavix_async._aio.clock import Clock
from wavix_async._aio.stop import StopSignal
from wavix_async._http import is_no_answer
from wavix_async.errors import DecodeError, WavixError

__all__ = ["CircuitBreaker"]

PATIENCE: Final = 120.0
_NEVER_ANSWERED: Final = 30.0
_FIRST_PROBE: Final = 0.25
_LONGEST_PROBE: Final = 4.0
_FEW: Final = 8


class CircuitBreaker:
    """Tracks whether the API answers.

    Args:
        concurrency: The limit of requests in flight; this many failures in a row open the circuit (at least 8).
        probe: Reads the record of a key; None: the operation cannot read.
        stop: Ends all waits.
        clock: The client's clock.
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
        """The number of answers so far."""
        self.has_given_up = False
        """Whether the API has not answered for so long that the run must stop."""

    def record_answer(self, key: Hashable = None) -> None:
        """Count an answer: a success (with its key), or a rejection."""
        self.answers += 1
        self._failures = 0
        if key is not None:
            self._healthy = key

    def record_failure(self, now: float) -> None:
        """Count an attempt that got no answer or a server error."""
        if not self._failures:
            self._since, self.has_given_up = now, False
        self._failures += 1
        patience = PATIENCE if self.answers else _NEVER_ANSWERED
        if self._failures >= self._enough and now - self._since > patience:
            self.has_given_up = True

    def is_open(self) -> bool:
        """Return whether so many attempts in a row have failed that the run should start no new items."""
        return self._failures >= self._enough and self.answers > 0 and not self.has_given_up

    async def wait_until_closed(self, error: WavixError, answers: int | None, key: Hashable) -> bool:
        """Wait for the end of an outage.

        Args:
            error: The error of a change.
            answers: The value of `answers` when an earlier attempt of the change failed. If it has grown since then,
                the API answers other requests: there is no outage.
            key: The key of the change.

        Returns:
            Whether to send the change again; False if there was no outage, or it did not end in time.
        """
        if isinstance(error, DecodeError) and not error.retryable:
            # The API answered, although not as documented.
            self.record_answer()
        no_outage = not is_no_answer(error) or not self.answers or answers != self.answers
        if self._probe is None or no_outage or self.has_given_up:
            return False
        return await self.wait_for_probe(key)

    async def wait_for_probe(self, key: Hashable) -> bool:
        """Probe until the API answers; return whether it does so in time, after an outage.

        Raises:
            StoppedError: The run was stopped during the wait.
        """
        if self._probe is None:
            return False
        self._stop.check()
        if self._probing is None or self._probing.done():
            healthy = key if self._healthy is None else self._healthy
            self._probing = asyncio.ensure_future(self._probe_until_answered(self._probe, healthy))
        return await self._stop.end(asyncio.shield(self._probing))

    async def wait_for_turn(self) -> None:
        """During an outage, let changes through one at a time, with a pause before each.

        Raises:
            StoppedError: The run was stopped during the wait.
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
                if is_no_answer(error):
                    confirmed = True
                    continue
                # A rejection, or a closed client: the change that is sent again gets the same error.
                confirmed = True
            self.record_answer()
            # If the API answers the first probe, there is no outage: the fault is in that one change.
            return confirmed
        self.has_given_up = True
        return False

    async def close(self) -> None:
        """Cancel the probe."""
        if self._probing is not None and not self._probing.done():
            self._probing.cancel()
            await asyncio.wait([self._probing])


def _jittered(longest: float) -> float:
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, not for security
