"""Getting one change to the API: alone or in a batch, through retries and outages, with its attempts counted."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from wavix_async._aio.stop import StopSignal
from wavix_async._instrumentation.events import AttemptEvent, Event, RetryEvent
from wavix_async.bulk._attempts import Tries
from wavix_async.bulk._circuit_breaker import Outage
from wavix_async.bulk._results import BulkResult
from wavix_async.config import RetryPolicy
from wavix_async.errors import APIError, ConfigurationError, StoppedError, WavixError
from wavix_async.models.numbers import Number, NumberUpdate

if TYPE_CHECKING:
    from wavix_async._http import BaseClient
    from wavix_async.bulk._batcher import Batcher

__all__ = ["Delivery", "Work"]

T = TypeVar("T")

_ATTEMPTS: Final = 8
_BATCH_ATTEMPTS: Final = 3
# So that the end of an outage is noticed by everybody within it.
_LONGEST_BACKOFF: Final = 4.0
_MOST_BATCHES: Final = 32
# Each that waits for its batch is a task; the API has been seen to take a hundred.
_LARGEST_BATCH: Final = 1000
# Only these are the API's own word that it is through with a request; others are a proxy's, or cannot be read.
_THROUGH: Final = frozenset({500, 501, 503})


@attrs.frozen(eq=False, repr=False)
class Work:
    """What a run does with each input."""

    operation: str
    """Its name, for those who observe: `PATCH /v1/numbers/{id}`."""
    check: Callable[[Any, Any], object]
    """Raises `InputError` for a bad pair of id and update."""
    send: Callable[["BaseClient", int, NumberUpdate], Awaitable[Number]]
    send_many: Callable[["BaseClient", list[int], NumberUpdate], Awaitable[list[Number]]]
    """Sends one change to several numbers, and returns those that the answer names."""
    read: Callable[["BaseClient", int], Awaitable[Number]]
    """Tells how it is now, where no answer told."""


class _FailureObserver:
    """Successes are counted where they are used: most attempts succeed, and need no event."""

    failures_only = True

    def __init__(self, observe: Callable[[Event], None]) -> None:
        self._observe = observe

    def __call__(self, event: Event) -> None:
        self._observe(event)


_current: ContextVar[Tries | None] = ContextVar("wavix_async_bulk_tries", default=None)


class Delivery:
    """Sends the changes of a run, and reads what is in doubt.

    Args:
        client: The client of the run.
        work: What is sent, and read.
        concurrency: Requests on the wire at once.
        batch: None, "auto", or how many changes may go in one request.
        stop: Ends what waits.
        on_backoff: Called when a change backs off, and its worker with it.
    """

    def __init__(
        self,
        client: "BaseClient",
        work: Work,
        concurrency: int,
        batch: Any,
        stop: StopSignal,
        on_backoff: Callable[[], None],
    ) -> None:
        policy = self._policy = client.retry
        self._repeats = policy.attempts > 1
        if self._repeats:
            # A few percent of faults fail four times in a row for somebody when there are thousands.
            policy = attrs.evolve(
                policy, attempts=max(policy.attempts, _ATTEMPTS), max_backoff=min(policy.max_backoff, _LONGEST_BACKOFF)
            )
        self._work = work
        self._client = client.with_options(
            observers=(_FailureObserver(self._observe),),
            semaphore=asyncio.Semaphore(concurrency),
            stop=stop,
            retry=policy,
        )
        self._settling = self._client.with_options(retry=client.retry)
        self._probing = self._client.with_options(retry=RetryPolicy.none())
        self._batching = self._client.with_options(
            retry=attrs.evolve(policy, attempts=min(policy.attempts, _BATCH_ATTEMPTS))
        )
        self._outage = Outage(concurrency, self._probe, stop, client.clock)
        self._batcher = _batcher(batch, self._send_many, self._send_one, self._outage.is_likely)
        self._on_backoff = on_backoff
        self._backing_off = 0
        self.requests = 0
        """Put on the wire."""
        self.rate_limited = 0
        """How many of them were answered 429."""
        self.in_hand = concurrency
        """Changes that shall be under way at once: what is sent together has to be waited for together."""
        if self._batcher is not None:
            self.in_hand = self._batcher.size * min(concurrency, _MOST_BATCHES)

    @property
    def substitutes(self) -> int:
        """How many more may be under way because as many back off; none when everybody does."""
        return 0 if self._outage.is_likely() else self._backing_off

    def new_tries(self) -> Tries:
        """Return a record of the attempts that the running task makes from now on."""
        tries = Tries()
        _current.set(tries)
        return tries

    async def send(self, number_id: int, update: NumberUpdate, tries: Tries) -> Number:
        """Send a change, and once more after an outage.

        Args:
            number_id: The number.
            update: The change.
            tries: What the running task has from `new_tries`.

        Returns:
            The number after the change.

        Raises:
            WavixError: The last word.
        """
        while True:
            try:
                if self._batcher is not None:
                    return await self._batcher.send(number_id, update, tries)
                number = await self._work.send(self._client, number_id, update)
            except WavixError as error:
                if not await self._is_worth_another_try(error, tries, number_id):
                    raise
            else:
                self._count_success(tries, number_id)
                return number

    async def send_again(self, result: BulkResult, update: NumberUpdate, tries: Tries) -> Number | None:
        """Send a change that was found not to be there; None where the policy repeats no such failure."""
        if result.error is None or not self._may_repeat(result.error):
            return None
        return await self._on_behalf(tries, result.id, self._work.send(self._settling, result.id, update))

    async def read(self, number_id: int) -> Number:
        """Return a number as it is; that is no attempt to change it."""
        return await self._on_behalf(Tries(), number_id, self._work.read(self._settling, number_id))

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing has been answered for so long that going on makes no sense."""
        return self._outage.is_hopeless

    def resumed(self, tries: Tries) -> None:
        """Note that nobody waits for a backoff any more."""
        if tries.backing_off:
            tries.backing_off = False
            self._backing_off -= 1

    def cancel(self) -> None:
        """Begin to end batches that are on the wire."""
        if self._batcher is not None:
            self._batcher.cancel()

    async def close(self) -> None:
        """Leave nothing behind."""
        if self._batcher is not None:
            await self._batcher.close()
        await self._outage.close()

    async def _send_one(self, number_id: int, update: NumberUpdate, tries: Tries) -> Number:
        """Send the change of one number that was in a batch, for a worker that waits for it."""
        return await self._on_behalf(tries, number_id, self._work.send(self._client, number_id, update))

    async def _send_many(self, ids: list[int], update: NumberUpdate, tries: Tries) -> list[Number]:
        return await self._on_behalf(tries, ids[0], self._work.send_many(self._batching, ids, update))

    async def _probe(self, number_id: int) -> Number:
        return await self._on_behalf(Tries(), number_id, self._work.read(self._probing, number_id))

    async def _on_behalf(self, tries: Tries, number_id: int, sending: Awaitable[T]) -> T:
        """Send something about a number, with the attempts counted elsewhere than for the running task."""
        before = _current.set(tries)
        try:
            answer = await sending
        finally:
            _current.reset(before)
            self.resumed(tries)
        self._count_success(tries, number_id)
        return answer

    async def _is_worth_another_try(self, error: WavixError, tries: Tries, number_id: int) -> bool:
        try:
            signs = tries.signs[0] if tries.signs else None
            over = self._may_repeat(error) and await self._outage.wait_out(error, signs, number_id)
            # What may be there already is read first, and that comes at the end.
            return over and (self._policy.repeat_unknown or not tries.maybe_done)
        except StoppedError:
            return False

    def _may_repeat(self, error: WavixError) -> bool:
        return self._repeats and (not isinstance(error, APIError) or error.status in self._policy.statuses)

    def _count_success(self, tries: Tries, number_id: int) -> None:
        tries.attempts += 1
        self.requests += 1
        self._outage.answered(number_id)

    def _observe(self, event: Event) -> None:
        tries = _current.get()
        if tries is None:
            return
        if isinstance(event, AttemptEvent):
            self.resumed(tries)
            self._count_failure(tries, event)
        elif isinstance(event, RetryEvent) and event.wait > 0:
            tries.backing_off = True
            self._backing_off += 1
            # With batches there are many more workers than requests, and nobody's place stays empty.
            if self._batcher is None and not self._outage.is_likely():
                self._on_backoff()

    def _count_failure(self, tries: Tries, event: AttemptEvent) -> None:
        if event.outcome == "rejected":
            self._outage.answered()
        else:
            self._outage.failed(self._client.clock.time())
            tries.signs = (*tries.signs[-1:], self._outage.signs)
        if event.outcome != "not_sent":
            tries.attempts += 1
            tries.maybe_done = tries.maybe_done or event.outcome == "unknown"
            tries.unanswered = tries.unanswered or (event.outcome == "unknown" and event.status not in _THROUGH)
            self.requests += 1
            self.rate_limited += event.status == 429


def _batcher(batch: Any, send_many: Any, send_one: Any, is_outage: Callable[[], bool]) -> "Batcher | None":
    if batch is None:
        return None
    if batch != "auto" and (type(batch) is not int or not 2 <= batch <= _LARGEST_BATCH):
        raise ConfigurationError(
            f'batch must be "auto", a whole number from 2 to {_LARGEST_BATCH:,}, or None; got {batch!r}.'
        )
    from wavix_async.bulk._batcher import FIRST_SIZE, Batcher

    return Batcher(FIRST_SIZE if batch == "auto" else batch, send_many, send_one, is_outage)
