"""Equal changes of many records, put together into few requests.

The engine treats every item for itself, as ever: its lock, its outcome, its reconciliation. Only where it would send a
change it hands it over here; what is handed over at about the same time and is equal goes out as one request, and every
item gets an answer of its own.

A batch is all or nothing for the API. One that is refused is halved until the bad keys are alone, and those get their
refusal from a request of their own: a bad key costs a few requests, never the batch. One that is too large, or takes
too long, is halved too, and the size remembered. What an answer does not mention is sent alone. Where a change must not
be sent twice, a batch that may have been carried out is not halved, and what its answer leaves out is unknown.
"""

import asyncio
import copy
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs

from wavix_async._codec import encode
from wavix_async.bulk._attempts import AttemptLog
from wavix_async.bulk._operation import BulkOperation
from wavix_async.bulk._results import KEY_REFUSED
from wavix_async.errors import (
    APIError,
    AttemptTimeoutError,
    InputError,
    OutcomeUnknownError,
    RateLimitError,
    StoppedError,
    WavixError,
)
from wavix_async.types import Outcome

__all__ = ["FIRST_SIZE", "Batcher"]

FIRST_SIZE: Final = 100
_GATHER: Final = 0.01
"""Seconds in which changes that come one by one are gathered."""
_TOO_LARGE: Final = frozenset({413, 414})
_GROW_AFTER: Final = 8
_USELESS_AFTER: Final = 10
_OF_NO_KEY: Final = (*KEY_REFUSED, RateLimitError)


@attrs.frozen(eq=False, repr=False)
class _Member:
    key: Any
    log: AttemptLog
    answer: "asyncio.Future[Any]"


@attrs.frozen(eq=False, repr=False)
class _Group:
    change: Any
    members: list[_Member] = attrs.field(factory=list)


class Batcher:
    """Gathers equal changes and sends them together.

    Args:
        size: How many at most in one request, to begin with.
        operation: What is sent.
        send_many: Sends one change to several keys, and returns what the answer holds, by key.
        send_one: Sends the change of one key.
        is_outage: Tells whether nothing is answered at present, batch or no batch.
    """

    def __init__(
        self,
        size: int,
        operation: BulkOperation[Any, Any, Any],
        send_many: Callable[[list[Any], Any, AttemptLog], Awaitable[Mapping[Any, Any]]],
        send_one: Callable[[Any, Any, AttemptLog], Awaitable[Any]],
        is_outage: Callable[[], bool],
    ) -> None:
        self.size = self._most = size
        self._is_outage = is_outage
        self._taken = 0  # batches of the present size in a row
        self._ever_taken = False
        self._refused = 0
        self._send_many = send_many
        self._send_one = send_one
        self._may_send_twice = operation.idempotent
        self._says_too_many = re.compile(
            rf"too many|batch (size|limit)|(at most|no more than|maximum of|up to) \d+ ({_nouns(operation)})",
            re.IGNORECASE,
        )
        self._groups: dict[bytes, _Group] = {}
        # By identity: one object for all is the usual way, and encoding it for each would cost more than sending.
        self._encoded: dict[int, tuple[Any, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, key: Any, change: Any, log: AttemptLog) -> Any:
        """Send one change, together with equal ones if there are any.

        Args:
            key: The key.
            change: The change.
            log: Where the attempts are counted.

        Returns:
            What the API answers for this key.

        Raises:
            WavixError: Of this key alone, or of all that were sent together.
        """
        loop = asyncio.get_running_loop()
        member = _Member(key, log, loop.create_future())
        encoded = self._encode(change)
        group = self._groups.get(encoded)
        if group is None:
            group = self._groups[encoded] = _Group(change)
        group.members.append(member)
        if len(group.members) >= self.size:
            self._dispatch(self._groups.pop(encoded))
        elif self._timer is None:
            self._timer = loop.call_later(_GATHER, self._dispatch_all)
        return await member.answer

    async def close(self) -> None:
        """End what is under way; the workers that wait for it get an error."""
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

    def _encode(self, change: Any) -> bytes:
        known = self._encoded.get(id(change))
        if known is None:
            if len(self._encoded) >= 1000:
                self._encoded.clear()
            try:
                known = self._encoded[id(change)] = change, encode(change)
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
                    await self._send_alone(part[0], group.change)
                elif part:
                    parts += await self._send_together(part, group.change)
        except asyncio.CancelledError:
            for member in group.members:
                outcome: Outcome = "unknown" if member.log.maybe_done else "not_sent"
                stopped = StoppedError("Stopped before it was answered.", outcome=outcome)
                stopped.attempts = member.log.attempts
                _fail(member, stopped)
            raise
        except Exception as error:
            # A defect: no worker may wait for ever because of it.
            for member in group.members:
                if not member.answer.done():
                    member.answer.set_exception(error)

    async def _send_together(self, part: list[_Member], change: Any) -> list[list[_Member]]:
        """Send a batch; return the parts that have to be sent again."""
        log = AttemptLog()
        try:
            values = await self._send_many([member.key for member in part], change, log)
        except BaseException as error:
            _add_attempts(part, log)
            if not isinstance(error, WavixError):
                raise
            may_be_halved = self._is_too_much(error, len(part)) or self._is_of_some(error)
            if may_be_halved and (self._may_send_twice or not log.maybe_done):
                return _halves(part)
            for member in part:
                _fail(member, error)
            return []
        _add_attempts(part, log)
        self._was_taken()
        missing = []
        for member in part:
            if member.key in values:
                _succeed(member, values[member.key])
            else:
                # It was in a batch that was taken, whatever the answer mentions.
                member.log.maybe_done = True
                missing.append(member)
        if self._may_send_twice:
            await asyncio.gather(*(self._send_alone(member, change) for member in missing))
        for member in missing:
            _fail(member, OutcomeUnknownError("It was sent in a batch whose answer does not mention it."))
        return []

    async def _send_alone(self, member: _Member, change: Any) -> None:
        try:
            value = await self._send_one(member.key, change, member.log)
        except WavixError as error:
            _fail(member, error)
        else:
            _succeed(member, value)

    def _is_too_much(self, error: WavixError, size: int) -> bool:
        """Tell whether a smaller batch may do, and remember the size."""
        says = isinstance(error, APIError) and error.status in {400, 422} and self._says_too_many.search(error.message)
        slow = (isinstance(error, AttemptTimeoutError) or error.status == 504) and not self._is_outage()
        if not (error.status in _TOO_LARGE or says or slow):
            return False
        self.size = min(self.size, max(size // 2, 1))
        self._taken = 0
        if not slow:
            self._most = min(self._most, self.size)
        return True

    def _is_of_some(self, error: WavixError) -> bool:
        """Tell whether a batch was refused for the sake of some of its keys."""
        if not isinstance(error, APIError) or error.outcome != "rejected" or isinstance(error, _OF_NO_KEY):
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


def _nouns(operation: BulkOperation[Any, Any, Any]) -> str:
    return "|".join(re.escape(f"{noun}s") for noun in (operation.key_name, operation.noun, "item", "record"))


def _halves(part: list[_Member]) -> list[list[_Member]]:
    middle = len(part) // 2
    return [part[middle:], part[:middle]]


def _add_attempts(part: list[_Member], log: AttemptLog) -> None:
    for member in part:
        member.log.add(log)


def _succeed(member: _Member, value: Any) -> None:
    if not member.answer.done():
        member.answer.set_result(value)


def _fail(member: _Member, error: WavixError) -> None:
    """Give each its own error: what is found out about one later must not change what is said of the others."""
    if not member.answer.done():
        member.answer.set_exception(copy.copy(error))
