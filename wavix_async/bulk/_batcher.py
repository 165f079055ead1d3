"""`Batcher`: sends equal changes of many records in few requests.

The engine still handles every item separately: its lock, its outcome, its reconciliation. Only sending differs: workers
pass their changes to the batcher, which combines equal changes that arrive within a few milliseconds into one request.
Every item gets its own answer.

The API accepts or rejects a batch as a whole. The batcher halves a rejected batch until each bad key is alone and gets
its own rejection: a bad key costs a few requests, and the other keys succeed. It also halves a batch that is too large
or too slow, and remembers the smaller size. It sends keys that the answer omits again, one by one. For an operation
that is not idempotent, it does not halve a batch that may have been carried out, and omitted keys end as unknown. A key
whose record in the answer contradicts the change is unknown, too: the run reads it back.
"""

import asyncio
import copy
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs

from wavix_async._codec import AnswerBase, encode
from wavix_async._http import Redactor, denial_of_record, describe
from wavix_async.bulk._attempts import AttemptLog
from wavix_async.bulk._operation import BulkOperation
from wavix_async.bulk._results import KEY_REFUSED
from wavix_async.errors import (
    APIError,
    AttemptTimeoutError,
    BadRequestError,
    InputError,
    OutcomeUnknownError,
    RateLimitError,
    StoppedError,
    UnprocessableEntityError,
    WavixError,
)
from wavix_async.types import Outcome

__all__ = ["FIRST_SIZE", "Batcher"]

FIRST_SIZE: Final = 100
_GATHER: Final = 0.01
"""Seconds to wait for more changes before a batch is sent."""
_TOO_LARGE: Final = frozenset({413, 414})
_GATEWAY_TIMEOUTS: Final = frozenset({504, 524})
_MAY_SAY_TOO_MANY: Final = (BadRequestError, UnprocessableEntityError)
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
    """Collects equal changes and sends them together.

    Args:
        size: The initial limit of changes per request.
        operation: The operation to send.
        send_many: Sends one change to several keys, and returns the values of the answer by key.
        send_one: Sends the change of one key.
        redactor: Hides the API key in what an error quotes.
        is_outage: Returns whether the API currently answers nothing, so that slow answers do not point to the size.
    """

    def __init__(
        self,
        size: int,
        operation: BulkOperation[Any, Any, Any],
        send_many: Callable[[list[Any], Any, AttemptLog], Awaitable[Mapping[Any, Any]]],
        send_one: Callable[[Any, Any, AttemptLog], Awaitable[Any]],
        redactor: Redactor,
        is_outage: Callable[[], bool],
    ) -> None:
        self.size = self._most = size
        self._redactor = redactor
        self._is_outage = is_outage
        self._taken = 0  # batches of the present size accepted in a row
        self._ever_taken = False
        self._refused = 0
        self._send_many = send_many
        self._send_one = send_one
        self._operation = operation
        self._may_send_twice = operation.idempotent
        self._says_too_many = re.compile(
            rf"too many|batch (size|limit)|(at most|no more than|maximum of|up to) \d+ ({_nouns(operation)})",
            re.IGNORECASE,
        )
        self._groups: dict[bytes, _Group] = {}
        # By identity: callers usually pass one object for all keys, and encoding it each time costs more than sending.
        self._encoded: dict[int, tuple[Any, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, key: Any, change: Any, log: AttemptLog) -> Any:
        """Send one change, together with equal changes if there are any.

        Args:
            key: The key.
            change: The change.
            log: Counts the attempts.

        Returns:
            The API's answer for this key.

        Raises:
            WavixError: The error of this key, or of the whole batch.
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
        """Cancel requests in flight; workers that wait for them get an error."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._groups.clear()
        self.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def cancel(self) -> None:
        """Cancel requests in flight, and return at once."""
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
            # A bug: pass it to the workers, which would otherwise wait for ever.
            for member in group.members:
                if not member.answer.done():
                    member.answer.set_exception(error)

    async def _send_together(self, part: list[_Member], change: Any) -> list[list[_Member]]:
        """Send a batch; return the parts to send again."""
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
                self._judge(member, change, values[member.key])
            else:
                # The API accepted the batch, so it may have changed this key even if the answer omits it.
                member.log.maybe_done = True
                missing.append(member)
        if self._may_send_twice:
            await asyncio.gather(*(self._send_alone(member, change) for member in missing))
        for member in missing:
            omitted = OutcomeUnknownError("It was sent in a batch whose answer does not mention it.")
            omitted.attempts = member.log.attempts
            _fail(member, omitted)
        return []

    def _judge(self, member: _Member, change: Any, value: Any) -> None:
        """Give a member its record of the answer, unless the record contradicts the change."""
        words = denial_of_record(value, self._redactor.excerpt) if isinstance(value, AnswerBase) else None
        differences = [] if words else self._operation.differences(change, value, late=False)
        if not differences and words is None:
            _succeed(member, value)
            return
        member.log.maybe_done = True
        differing: tuple[str, ...] = ()
        if words is None:
            told = describe(differences, self._redactor.excerpt)
            words, differing = told.words, told.differing
        error = OutcomeUnknownError(
            f"HTTP 200 for a batch with {self._operation.noun} {member.key}, but the answer cannot be believed: "
            f"{words}.",
            status=200,
            answer=self._redactor.answer(value),
            contradiction=words,
            differing=differing,
        )
        error.attempts = member.log.attempts
        _fail(member, error)

    async def _send_alone(self, member: _Member, change: Any) -> None:
        try:
            value = await self._send_one(member.key, change, member.log)
        except WavixError as error:
            _fail(member, error)
        else:
            _succeed(member, value)

    def _is_too_much(self, error: WavixError, size: int) -> bool:
        """Return whether a smaller batch may succeed; if so, reduce the size."""
        # By class, because only the API itself knows the limit: a proxy's page under a 400 is no BadRequestError.
        says = isinstance(error, _MAY_SAY_TOO_MANY) and self._says_too_many.search(error.message)
        slow = (isinstance(error, AttemptTimeoutError) or error.status in _GATEWAY_TIMEOUTS) and not self._is_outage()
        if not (error.status in _TOO_LARGE or says or slow):
            return False
        self.size = min(self.size, max(size // 2, 1))
        self._taken = 0
        if not slow:
            self._most = min(self._most, self.size)
        return True

    def _is_of_some(self, error: WavixError) -> bool:
        """Return whether the API may have rejected a batch because of some of its keys."""
        if not isinstance(error, APIError) or error.outcome != "rejected" or isinstance(error, _OF_NO_KEY):
            return False
        self._refused += 1
        if self._refused >= _USELESS_AFTER and not self._ever_taken:
            # The API has never accepted a batch: assume that it rejects all batches, and send keys one by one.
            self.size = self._most = 1
        return True

    def _was_taken(self) -> None:
        """Count an accepted batch; after several in a row, restore a size that was reduced because the API was slow."""
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
    """Fail a member with its own copy of the error: the reconciler may later change the outcome of one member only."""
    if not member.answer.done():
        member.answer.set_exception(copy.copy(error))
