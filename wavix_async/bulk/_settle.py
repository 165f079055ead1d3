"""What no trustworthy answer came for is read back before it is called unknown.

It is kept until the others are done: the cause of the doubt, an outage say, may be over by then, and reads sent into it
would only make it worse. A number that comes again is settled before its next change is sent.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import attrs

from wavix_async._stop import StopSignal
from wavix_async.bulk._records import BulkResult, BulkStatus
from wavix_async.errors import NotFoundError, WavixError
from wavix_async.models.numbers import Number, NumberUpdate

if TYPE_CHECKING:
    from wavix_async.client import WavixClient

__all__ = ["Doubts"]

_AGAIN: Final = 1.0
_HOPELESS: Final = 20


@attrs.frozen
class _Doubt:
    result: BulkResult
    update: NumberUpdate
    answered: bool
    """Whether every attempt was answered: then the API has nothing of it left to do."""


class Doubts:
    """The changes of a run that may or may not have been carried out."""

    def __init__(self, read: Callable[["WavixClient", int], Awaitable[Number]]) -> None:
        self._read = read
        self._doubts: dict[int, _Doubt] = {}
        self._failed_reads = 0

    def __len__(self) -> int:
        return len(self._doubts)

    def __contains__(self, number_id: int) -> bool:
        return number_id in self._doubts

    def add(self, result: BulkResult, update: NumberUpdate, *, answered: bool) -> None:
        """Keep a result that is unknown until it is settled or given up."""
        self._doubts[result.id] = _Doubt(result, update, answered)

    def results(self) -> list[BulkResult]:
        """Return what is in doubt now."""
        return [doubt.result for doubt in self._doubts.values()]

    def give_up(self) -> list[BulkResult]:
        """Take out all that is left: it stays unknown."""
        results = self.results()
        self._doubts.clear()
        return results

    def next_id(self) -> int | None:
        """Return a number to settle; None where there is none, or where the API does not answer reads either."""
        return next(iter(self._doubts), None) if self._failed_reads < _HOPELESS else None

    async def settle(self, client: "WavixClient", number_id: int, stop: StopSignal) -> BulkResult:
        """Read a number back and return how its change ended; while it is read it is not in doubt any more.

        Args:
            client: What to read it with.
            number_id: A number in doubt.
            stop: Ends the wait between two reads.

        Returns:
            `updated` where it is as wanted. `failed` where every attempt was answered, with an error, and the number is
            not as wanted. Else `unknown`: the change may still be under way.
        """
        doubt = self._doubts.pop(number_id)
        try:
            return await self._settle(client, doubt, stop)
        except asyncio.CancelledError:
            self._doubts[number_id] = doubt
            raise

    async def _settle(self, client: "WavixClient", doubt: _Doubt, stop: StopSignal) -> BulkResult:
        result = doubt.result
        for wait in (0.0, _AGAIN):
            try:
                await stop.end(asyncio.sleep(wait))
                number = await self._read(client, result.id)
            except WavixError as unread:
                self._failed_reads += not isinstance(unread, NotFoundError)
                return result
            self._failed_reads = 0
            if not doubt.update.differs_from(number):
                return attrs.evolve(result, status=BulkStatus.UPDATED, number=number, error=None, settled=True)
        if not doubt.answered:
            return result
        error = result.error
        if error is not None:
            error.outcome = "rejected"
            error.add_note("The number was read back, and is not changed.")
        return attrs.evolve(result, status=BulkStatus.FAILED, settled=True)
