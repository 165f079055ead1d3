"""Equal changes of many numbers, put together into few requests.

The engine treats every number for itself, as ever: its turn, its outcome, its doubts. Only where it would send a change
it hands it over here; what is handed over at about the same time and is equal goes out as one `PATCH /v1/numbers`, and
everybody gets an answer of their own.

A batch is all or nothing for the API. One that is refused is halved until the bad ids are alone, and those get their
refusal from a request of their own: a bad id costs a few requests, never the batch. One that is too large, or takes too
long, is halved too, and the size remembered. What an answer does not mention is sent alone.
"""

import asyncio
import copy
import re
from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from wavix_async._codec import encode
from wavix_async.bulk._attempts import Tries
from wavix_async.bulk._results import KEY_REFUSED
from wavix_async.errors import (
    APIError,
    AttemptTimeoutError,
    InputError,
    RateLimitError,
    StoppedError,
    WavixError,
)
from wavix_async.models.numbers import Number, NumberUpdate
from wavix_async.types import Outcome

__all__ = ["FIRST_SIZE", "Batcher"]

FIRST_SIZE: Final = 100
_GATHER: Final = 0.01
"""Seconds in which changes that come one by one are gathered."""
_TOO_LARGE: Final = frozenset({413, 414})
_SAYS_TOO_MANY: Final = re.compile(
    r"too many|batch (size|limit)|(at most|no more than|maximum of|up to) \d+ (ids|numbers|items|records)",
    re.IGNORECASE,
)
_GROW_AFTER: Final = 8
_USELESS_AFTER: Final = 10
_OF_NO_ID: Final = (*KEY_REFUSED, RateLimitError)


@attrs.frozen(eq=False, repr=False)
class _Member:
    id: int
    tries: Tries
    answer: "asyncio.Future[Number]"


@attrs.frozen(eq=False, repr=False)
class _Group:
    update: NumberUpdate
    members: list[_Member] = attrs.field(factory=list)


class Batcher:
    """Gathers equal changes and sends them together.

    Args:
        size: How many at most in one request, to begin with.
        send_many: Sends one change to several numbers, and returns the numbers that the answer names.
        send_one: Sends the change of one number.
        is_outage: Tells whether nothing is answered at present, batch or no batch.
    """

    def __init__(
        self,
        size: int,
        send_many: Callable[[list[int], NumberUpdate, Tries], Awaitable[list[Number]]],
        send_one: Callable[[int, NumberUpdate, Tries], Awaitable[Number]],
        is_outage: Callable[[], bool],
    ) -> None:
        self.size = self._most = size
        self._is_outage = is_outage
        self._taken = 0  # batches of the present size in a row
        self._ever_taken = False
        self._refused = 0
        self._send_many = send_many
        self._send_one = send_one
        self._groups: dict[bytes, _Group] = {}
        # By identity: one object for all is the usual way, and encoding it anew for each would cost more than sending.
        self._keys: dict[int, tuple[NumberUpdate, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, number_id: int, update: NumberUpdate, tries: Tries) -> Number:
        """Change one number, together with others if there are any.

        Args:
            number_id: The number.
            update: The change.
            tries: Is told what became of the attempts.

        Returns:
            The number after the change.

        Raises:
            WavixError: Of this number alone, or of all that were sent together.
        """
        loop = asyncio.get_running_loop()
        member = _Member(number_id, tries, loop.create_future())
        key = self._key(update)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group(update)
        group.members.append(member)
        if len(group.members) >= self.size:
            self._dispatch(self._groups.pop(key))
        elif self._timer is None:
            self._timer = loop.call_later(_GATHER, self._dispatch_all)
        return await member.answer

    async def close(self) -> None:
        """End what is under way; who waits for it is told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._groups.clear()
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Begin to end what is under way."""
        for task in self._tasks:
            task.cancel()

    def _key(self, update: NumberUpdate) -> bytes:
        known = self._keys.get(id(update))
        if known is None:
            if len(self._keys) >= 1000:
                self._keys.clear()
            try:
                known = self._keys[id(update)] = update, encode(update)
            except (TypeError, ValueError) as error:
                raise InputError(f"The change cannot be written as JSON: {error}.") from None
        return known[1]

    def _dispatch_all(self) -> None:
        self._timer = None
        groups = list(self._groups.values())
        self._groups.clear()
        for group in groups:
            self._dispatch(group)

    def _dispatch(self, group: _Group) -> None:
        task = asyncio.ensure_future(self._deliver(group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, group: _Group) -> None:
        parts = [group.members]
        try:
            while parts:
                part = [member for member in parts.pop() if not member.answer.done()]
                if len(part) > self.size:
                    parts += _halves(part)
                elif len(part) == 1:
                    await self._alone(part[0], group.update)
                elif part:
                    parts += await self._together(part, group.update)
        except asyncio.CancelledError:
            for member in group.members:
                outcome: Outcome = "unknown" if member.tries.maybe_done else "not_sent"
                stopped = StoppedError("Stopped before it was answered.", outcome=outcome)
                stopped.attempts = member.tries.attempts
                _fail(member, stopped)
            raise
        except Exception as error:
            # A defect: nobody may wait for ever because of it.
            for member in group.members:
                if not member.answer.done():
                    member.answer.set_exception(error)

    async def _together(self, part: list[_Member], update: NumberUpdate) -> list[list[_Member]]:
        """Send a batch; return the parts that have to be sent anew."""
        tries = Tries()
        try:
            numbers = await self._send_many([member.id for member in part], update, tries)
        except BaseException as error:
            _add_tries(part, tries)
            if not isinstance(error, WavixError):
                raise
            if self._is_too_much(error, len(part)) or self._is_of_some(error):
                return _halves(part)
            for member in part:
                _fail(member, error)
            return []
        _add_tries(part, tries)
        self._was_taken()
        # What the API sends as a number, or as its id, may be anything.
        found = {number.id: number for number in numbers if isinstance(number, Number) and type(number.id) is int}
        missing = []
        for member in part:
            number = found.get(member.id)
            if number is None:
                # It was in a batch that was taken, whatever the answer mentions.
                member.tries.maybe_done = True
                missing.append(member)
            else:
                _succeed(member, number)
        await asyncio.gather(*(self._alone(member, update) for member in missing))
        return []

    async def _alone(self, member: _Member, update: NumberUpdate) -> None:
        try:
            number = await self._send_one(member.id, update, member.tries)
        except WavixError as error:
            _fail(member, error)
        else:
            _succeed(member, number)

    def _is_too_much(self, error: WavixError, size: int) -> bool:
        """Tell whether a smaller batch may do, and remember the size."""
        says = isinstance(error, APIError) and error.status in {400, 422} and _SAYS_TOO_MANY.search(error.message)
        slow = (isinstance(error, AttemptTimeoutError) or error.status == 504) and not self._is_outage()
        if not (error.status in _TOO_LARGE or says or slow):
            return False
        self.size = min(self.size, max(size // 2, 1))
        self._taken = 0
        if not slow:
            self._most = min(self._most, self.size)
        return True

    def _is_of_some(self, error: WavixError) -> bool:
        """Tell whether a batch was refused for the sake of some of its ids."""
        if not isinstance(error, APIError) or error.outcome != "rejected" or isinstance(error, _OF_NO_ID):
            return False
        self._refused += 1
        if self._refused >= _USELESS_AFTER and not self._ever_taken:
            # No batch has ever been taken: they all are refused for what they are.
            self.size = self._most = 1
        return True

    def _was_taken(self) -> None:
        """Grow again after a time in which the API was slow."""
        self._ever_taken = True
        self._taken += 1
        if self._taken >= _GROW_AFTER and self.size < self._most:
            self.size, self._taken = min(2 * self.size, self._most), 0


def _halves(part: list[_Member]) -> list[list[_Member]]:
    middle = len(part) // 2
    return [part[middle:], part[:middle]]


def _add_tries(part: list[_Member], tries: Tries) -> None:
    for member in part:
        member.tries.add(tries)


def _succeed(member: _Member, number: Number) -> None:
    if not member.answer.done():
        member.answer.set_result(number)


def _fail(member: _Member, error: WavixError) -> None:
    """Give each its own error: what is found out about one later must not change what is said of the others."""
    if not member.answer.done():
        member.answer.set_exception(copy.copy(error))
