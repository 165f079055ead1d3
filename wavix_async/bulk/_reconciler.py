"""What no trustworthy answer came for is read back before it is called unknown, or sent again.

It is kept until the others are done: the cause of the doubt, an outage say, may be over by then, and reads sent into it
would only make it worse. A number that comes again is settled before its next change is sent.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from wavix_async._aio.clock import Clock
from wavix_async._aio.stop import StopSignal
from wavix_async._http import REQUEST_ERROR_STATUSES
from wavix_async.bulk._attempts import Tries
from wavix_async.bulk._results import BulkResult, BulkStatus, bare
from wavix_async.errors import NotFoundError, WavixError
from wavix_async.models.numbers import Number, NumberUpdate

__all__ = ["Doubts"]

_AGAIN: Final = 1.0
_HOPELESS: Final = 20


@attrs.frozen(eq=False, repr=False)
class _Doubt:
    result: BulkResult
    update: NumberUpdate
    tries: Tries


class Doubts:
    """The changes of a run that may or may not have been carried out.

    Args:
        read: Reads a number.
        send: Sends a change again, given how it ended, counting its attempts; None: it shall not be sent again.
        stop: Ends the wait between two reads.
    """

    def __init__(
        self,
        read: Callable[[int], Awaitable[Number]],
        send: Callable[[BulkResult, NumberUpdate, Tries], Awaitable[Number | None]],
        stop: StopSignal,
        clock: Clock,
    ) -> None:
        self._read = read
        self._send = send
        self._stop = stop
        self._clock = clock
        self._doubts: dict[int, _Doubt] = {}
        self._todo: deque[int] = deque()
        self._failed_reads = 0

    def __len__(self) -> int:
        return len(self._doubts)

    def __contains__(self, number_id: int) -> bool:
        return number_id in self._doubts

    def add(self, result: BulkResult, update: NumberUpdate, tries: Tries) -> None:
        """Keep a result that may not be the last word until it is settled or given up."""
        self._doubts[result.id] = _Doubt(result, update, tries)

    def results(self) -> list[BulkResult]:
        """Return what is in doubt now; what is just being sent again may have been carried out by that."""
        return [
            attrs.evolve(_unknown_if_maybe_done(doubt.result, doubt.tries), attempts=doubt.tries.attempts)
            for doubt in self._doubts.values()
        ]

    def give_up(self) -> list[BulkResult]:
        """Take out all that is left: it stays as it is."""
        results = self.results()
        self._doubts.clear()
        return results

    def begin(self) -> None:
        """Begin to settle what is left, whatever reads failed before."""
        self._todo, self._failed_reads = deque(self._doubts), 0

    def next_id(self) -> int | None:
        """Return a number to settle; None where there is none, or where the API does not answer reads either."""
        return self._todo.popleft() if self._todo and self._failed_reads < _HOPELESS else None

    async def settle(self, number_id: int) -> BulkResult:
        """Find out how the change of a number in doubt ended.

        Returns:
            `updated` where the number is as wanted, or is so after the change was sent again. `failed` where it is not,
            and every attempt was answered by the API with an error. Else as it was: the change may be under way still.
        """
        result = await self._settle(self._doubts[number_id])
        # Not before: whoever looks meanwhile shall find it.
        del self._doubts[number_id]
        return result

    async def _settle(self, doubt: _Doubt) -> BulkResult:
        result, tries = doubt.result, doubt.tries
        try:
            number = await self._read_until_changed(doubt)
            if number is None:
                try:
                    number = await self._send(result, doubt.update, tries)
                except WavixError as again:
                    if again.outcome != "not_sent":
                        result = attrs.evolve(result, error=bare(again), attempts=tries.attempts)
                    if again.outcome == "unknown":
                        number = await self._read_until_changed(doubt)
        except WavixError as unread:
            self._failed_reads += not isinstance(unread, NotFoundError)
            return _unknown_if_maybe_done(result, tries)
        self._failed_reads = 0
        if number is not None:
            return attrs.evolve(
                result, status=BulkStatus.UPDATED, number=number, error=None, attempts=tries.attempts, settled=True
            )
        error = result.error
        refused = error is not None and error.status in REQUEST_ERROR_STATUSES
        if not refused and (not tries.maybe_done or tries.unanswered):
            return _unknown_if_maybe_done(result, tries)
        if error is not None and error.outcome != "rejected":
            error.outcome = "rejected"
            error.add_note("The number was read back, and is not changed.")
        return attrs.evolve(result, status=BulkStatus.FAILED, attempts=tries.attempts, settled=True)

    async def _read_until_changed(self, doubt: _Doubt) -> Number | None:
        """Return the number if it is as wanted, or becomes so soon: some fields are applied asynchronously."""
        for wait in (0.0, _AGAIN):
            await self._stop.end(self._clock.sleep(wait))
            number = await self._read(doubt.result.id)
            differing = doubt.update.differs_from(number)
            if not differing:
                return number
            if not doubt.tries.unanswered and NumberUpdate.APPLIED_LATE.isdisjoint(differing):
                # Every attempt has ended, so nothing more can come of them.
                return None
        return None


def _unknown_if_maybe_done(result: BulkResult, tries: Tries) -> BulkResult:
    return attrs.evolve(result, status=BulkStatus.UNKNOWN) if tries.maybe_done else result
