"""One limit for several processes: each leases slots, times at which one request may leave, from a store of all.

The store (`SharedLimit`; `redis.py` is one) hands out every slot once, spaced by `1 / rate`. So the sum over all
processes is paced, whoever sends. A lease is several slots, so that not every request costs a round trip:

- **How many**: as many as callers wait for, up to what the process's part of the rate is in `LEASE_TIME`. Nothing is
  leased that nobody waits for; who leases is asked for more shortly before the last slot is due (`_lead`).
- **A slot is due** by the store's clock; `Clock` translates it. It may be used a little late (`Lease.grace`), then it
  is lost: made good, it would come on top of what others send by then.
- **The pause** goes both ways: what one process was told is told to the store at once, and every answer of the store
  says how much is left. No slot is used on news older than `FRESH`, so nobody overlooks a pause for longer.
- **The store gone or slow**: a call never fails for it. The process goes on with a part of its own, `rate / processes`
  as last heard, asks again every `PROBE`, and leases again when the store is back. All who come back wait for each
  other (`Grant.local_for`), for who leased first would get what the others still take for theirs.

`Clock`, `Lease` and `LeasedGate` are arithmetic and told the time, like `Gate`; `LeasedLimiter` is the asyncio half.
"""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections import deque
from math import ceil, inf
from typing import TYPE_CHECKING, Protocol

import attrs

from wavix_async._instrumentation.logs import logger
from wavix_async._ratelimit.limiter import Gate, Limiter, LimitSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ask", "Grant", "LeasedLimiter", "StoreOutage", "RateSource", "SharedLimit"]

LEASE_TIME = 0.2  # seconds for which a lease lasts a process that uses its part of the rate
FRESH = 0.25  # seconds for which the last answer is taken to be true
LEAD = 0.05  # seconds before it runs out that a lease is renewed, or more if the store is far away
LONGEST_LEAD = 0.2
GRACE = 0.02  # seconds for which a slot may be used late, or half the time between two, if that is more
PATIENCE = 0.4  # seconds to wait for the store, connecting included
PROBE = 0.5  # seconds after which a store that was gone is asked again
ALIVE = 10.0  # seconds for which a process counts that has not been heard of
DRIFT = 2e-4  # seconds per second by which two clocks may drift apart
TOLD = 0.005  # seconds that a pause must be longer than the one told, to be told again
TAKEN_KEPT = 256  # slots used that could be given back


@attrs.frozen
class Ask:
    """What a process wants of the store."""

    at: float
    """When, by the clock of the asking loop."""

    slots: int
    """How many slots; 0 only asks for news."""

    ahead: float
    """Seconds from the store's answer on in which a slot would be due too early to be used."""

    pause: float
    """Seconds for which everybody shall pause; 0.0: no news."""

    back: bool
    """Whether the process has been on its own, because the store was out of reach."""


@attrs.frozen
class Grant:
    """What the store answers."""

    now: float
    """The time by the store's clock, in seconds."""

    first: float
    """When the first slot is due, by the same clock."""

    slots: int
    """How many slots there are, `1 / rate` apart."""

    pause: float
    """Seconds for which everybody pauses; 0.0: there is no pause."""

    processes: int
    """How many share the limit, this one included: all heard of in the last `ALIVE` seconds."""

    active: int
    """How many of them lease at the moment."""

    local_for: float = 0.0
    """Seconds for which to go on with a part of one's own, while others come back; then there are no slots."""


class SharedLimit(Protocol):
    """A limit that several processes share; anything that raises is taken for out of reach."""

    @property
    def rate(self) -> float:
        """Requests per second, of all processes together."""
        ...

    @property
    def processes(self) -> int:
        """How many processes to reckon with until the store has told."""
        ...

    async def lease(self, group: str, ask: Ask) -> Grant:
        """Lease slots of a limit group; may be cancelled at any time."""
        ...

    async def close(self) -> None:
        """Close what was opened."""
        ...


class RateSource(Protocol):
    """What `WavixClient(rate=...)` takes in place of a number."""

    def open_limit(self, account: str) -> SharedLimit:
        """Return the limit of an account, named by something that does not give its key away; needs no loop."""
        ...


class Clock:
    """How far the store's clock is ahead of the loop's: both ends of every round trip are a bound."""

    def __init__(self) -> None:
        self._low, self._high = -inf, inf
        self._at = 0.0

    def hear(self, sent: float, now: float, theirs: float) -> None:
        """Take over that it was `theirs` at the store at some time between `sent` and `now`."""
        drift = DRIFT * (now - self._at)
        low, high = theirs - now, theirs - sent
        self._low, self._high, self._at = max(self._low - drift, low), min(self._high + drift, high), now
        if self._low > self._high:
            # One of the clocks was set, or it is another store: nothing known before holds.
            self._low, self._high = low, high

    def local(self, theirs: float) -> float:
        """Translate a time of the store's."""
        return theirs - (self._low + self._high) / 2


class Lease:
    """The slots in hand, and when to ask for more."""

    def __init__(self, rate: float, processes: int = 1) -> None:
        self.rate = rate
        self.grace = max(GRACE, 0.5 / rate)
        self.local = False  # whether the store is out of reach
        self.processes = processes
        self.forget()

    def forget(self) -> None:
        """Forget all that hangs on a clock."""
        self._slots: deque[float] = deque()  # when they are due
        self._taken: deque[tuple[float, float]] = deque(maxlen=TAKEN_KEPT)  # ticket, and when it was due
        self._clock = Clock()
        self._active = self.processes
        self._round_trip = 0.0
        self._heard = -inf  # when the request left whose answer was the last
        self._told = -inf  # the end of the pause that the store knows of
        self._not_before = -inf  # when the store may be asked again
        self._counted = -inf  # when there were last so many processes

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def share(self) -> float:
        """Requests per second that are this process's part."""
        return self.rate / self.processes

    @property
    def _lead(self) -> float:
        return min(max(LEAD, 2 * self._round_trip), LONGEST_LEAD)

    def first(self) -> float | None:
        """Return when the next slot is due."""
        return self._slots[0] if self._slots else None

    def usable(self, now: float, paused_until: float) -> bool:
        """Drop the slots that are lost, and tell whether the next may be used when it is due."""
        slots, lost = self._slots, max(now - self.grace, paused_until)
        while slots and slots[0] < lost:
            slots.popleft()
        return bool(slots) and max(slots[0], now) <= self._heard + FRESH

    def take(self, permit: float) -> None:
        """Use the next slot."""
        if self._slots:
            self._taken.append((permit, self._slots.popleft()))

    def give_back(self, permit: float) -> None:
        """Put the slot of a ticket back: it is used if it is not too late for it."""
        for taken in reversed(self._taken):
            if taken[0] == permit:
                self._taken.remove(taken)
                slots = self._slots
                at = next((index for index, due in enumerate(slots) if due > taken[1]), len(slots))
                slots.insert(at, taken[1])
                return

    def ask_at(self, now: float, waiting: int, paused_until: float) -> float:
        """Return when to ask the store; `inf` while nobody needs anything of it."""
        fresh = self.usable(now, paused_until)
        if paused_until > max(now, self._told + TOLD) and (waiting or not self.local):
            at = now
        elif not waiting:
            return inf
        elif self.local or not self._slots:
            at = max(now, paused_until - self._lead)
        else:
            at = self._slots[-1] - self._lead if waiting > len(self._slots) else inf
            if not fresh:
                at = min(at, self._slots[0] - self._lead)
        return max(at, self._not_before)

    def ask(self, now: float, waiting: int, paused_until: float) -> Ask:
        """Return what to ask for."""
        most = max(ceil(self.rate * LEASE_TIME / max(self._active, 1)), 1)
        self.usable(now, paused_until)
        pause = paused_until - now if paused_until > self._told + TOLD else 0.0
        if paused_until > now + self._lead + TOLD:
            # Slots for so late would have to be confirmed, and be lost if the pause grows.
            most = 0
        return Ask(
            at=now,
            slots=min(max(waiting - len(self._slots), 0), most),
            # From a store that is near a slot may be due at once: the grace covers what the answer takes.
            ahead=min(max(0.75 * self._round_trip - self.grace / 2, 0.0), PATIENCE),
            pause=max(pause, 0.0),
            back=self.local,
        )

    def hear(self, ask: Ask, now: float, grant: Grant) -> None:
        """Take over what the store answered."""
        self._clock.hear(ask.at, now, grant.now)
        self._round_trip = max(now - ask.at, 0.9 * self._round_trip)
        self._heard = ask.at
        self._told = max(self._told, ask.at + ask.pause, now + grant.pause)
        self._active = grant.active
        # Who is gone for a moment comes back, and sends all the same; fewer are believed when that is long ago, and the
        # store was there to tell.
        if self.local and self._counted != -inf:
            self._counted = now
        if grant.processes >= self.processes or now - self._counted > ALIVE:
            self.processes, self._counted = max(grant.processes, 1), now
        self.local = grant.local_for > 0.0
        self._not_before = now + grant.local_for if self.local else -inf
        if self.local:
            self._slots.clear()
        first = self._clock.local(grant.first)
        self._slots.extend(first + index / self.rate for index in range(grant.slots))

    def lose(self, now: float) -> None:
        """Go on without the store."""
        self.local = True
        self._slots.clear()
        self._told, self._not_before = -inf, now + PROBE


class LeasedGate(Gate):
    """A gate whose turns are leased; without the store, one of a fixed rate: this process's part."""

    def __init__(self, rate: float, processes: int = 1) -> None:
        self.lease = Lease(rate, processes)
        super().__init__(rate)

    def start_anew(self) -> None:
        """Forget all that was learned and leased; a pause is kept."""
        super().start_anew()
        self.lease.forget()

    def next_time(self, now: float) -> float:
        """Return when the next request may leave; `inf` when only an answer, the store's too, can tell."""
        if self.lease.local or self.lease.usable(now, self.paused_until):
            return super().next_time(now)
        return inf

    def earliest(self, now: float) -> float:
        """Return when the next request may leave if the answers that it waits for come at once."""
        earliest, due = super().earliest(now), self.lease.first()
        return earliest if due is None else max(earliest, due)

    def send(self, now: float, late: float = 0.0) -> float:
        """Take the place of the next request, which leaves now."""
        if self.lease.local:
            return super().send(now, late)
        self.lease.take(now)
        super().send(now, late)
        if (self.pace() or 0.0) >= self.lease.rate:
            # The slots pace. Only what is slower counts besides: what was learned from refusals, or told by headers.
            self._tat = -inf
        return now

    def unsend(self, permit: float) -> None:
        """Give the place back: the request never left."""
        super().unsend(permit)
        self.lease.give_back(permit)

    def shift(self, seconds: float) -> None:
        """Move to a clock that is so far ahead."""
        super().shift(seconds)
        self.lease.forget()

    def hear(self, ask: Ask, now: float, grant: Grant) -> None:
        """Take over what the store answered."""
        self.lease.hear(ask, now, grant)
        if grant.pause:
            self.pause(now, grant.pause)
        if self.rate != self.lease.rate and not self.lease.local:
            self._tat = -inf
        self._adopt()

    def lose(self, now: float) -> None:
        """Go on without the store."""
        due = self.lease.first()
        if due is not None:
            self._tat = max(self._tat, due)
        self.lease.lose(now)
        self._adopt()

    def _adopt(self) -> None:
        self.rate = self.lease.share if self.lease.local else self.lease.rate


class StoreOutage:
    """Says once that the store is out of reach, and once that it is back."""

    def __init__(self) -> None:
        self._on = False

    def begin(self, error: BaseException, rate: float) -> None:
        """Note a failure. Its text stays out of the log: it may name more than it should."""
        if not self._on:
            self._on = True
            logger.warning("shared limit out of reach", extra={"error": type(error).__name__, "rate": rate})

    def end(self) -> None:
        """Note an answer."""
        if self._on:
            self._on = False
            logger.warning("shared limit back")


class LeasedLimiter(Limiter):
    """A limiter whose turns are leased from a store that other processes use, too."""

    def __init__(
        self,
        limit: SharedLimit,
        group: str,
        outage: StoreOutage,
        *,
        on_event: Callable[[str, float], None] | None = None,
    ) -> None:
        """Make a limiter; a loop is needed only when it is used.

        Args:
            limit: Where the leases come from.
            group: The limit group.
            outage: Told when the store is out of reach.
            on_event: As of `Limiter`.
        """
        super().__init__(limit.rate, on_event=on_event)
        self._gate = self._leased = LeasedGate(limit.rate, limit.processes)
        self._limit = limit
        self._group = group
        self._outage = outage
        self._asking: asyncio.Task[None] | None = None
        self._ask_timer: asyncio.TimerHandle | None = None
        self._ask_timer_at = inf
        self._closed = False

    def snapshot(self) -> LimitSnapshot:
        """Return what the limiter knows and does now."""
        snapshot = super().snapshot()
        if snapshot.source != "configured" or self._leased.lease.local:
            return snapshot
        return attrs.evolve(snapshot, source="shared")

    async def close(self) -> None:
        """Ask the store no more; who still waits has a turn at this process's own pace."""
        self._closed = True
        task, self._asking = self._asking, None
        loop = get_running_loop()
        if self._loop is not loop:
            # What is left hangs on a loop that is gone.
            return
        self._leased.lose(loop.time())
        self._ask_no_earlier(loop, inf)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        self._pump()

    def _bind(self, loop: asyncio.AbstractEventLoop) -> None:
        super()._bind(loop)
        self._asking = self._ask_timer = None
        self._ask_timer_at = inf

    def _pump(self) -> None:
        super()._pump()
        loop = self._loop
        if loop is None or self._closed or self._asking is not None or loop.is_closed():
            return
        now = loop.time()
        at = self._leased.lease.ask_at(now, len(self._waiters), self._gate.paused_until)
        if at > now:
            self._ask_no_earlier(loop, at)
        else:
            self._ask_no_earlier(loop, inf)
            self._asking = loop.create_task(self._ask(loop))

    def _ask_no_earlier(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        if self._ask_timer is None or at != self._ask_timer_at:
            if self._ask_timer is not None:
                self._ask_timer.cancel()
            self._ask_timer, self._ask_timer_at = loop.call_at(at, self._ask_now) if at < inf else None, at

    def _ask_now(self) -> None:
        self._ask_timer = None
        self._safely(self._pump)

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask the store once. However that ends, who waits goes on by what is known then."""
        gate, was_paused = self._leased, True
        ask = gate.lease.ask(loop.time(), len(self._waiters), gate.paused_until)
        try:
            async with asyncio.timeout(PATIENCE):
                grant = await self._limit.lease(self._group, ask)
            if self._loop is loop:
                was_paused = self.is_paused()
                gate.hear(ask, loop.time(), grant)
                self._outage.end()
        except BaseException as error:
            if self._loop is loop:
                gate.lose(loop.time())
            if not isinstance(error, Exception):
                raise
            self._outage.begin(error, gate.lease.share)
        finally:
            if self._loop is loop and not self._closed:
                self._asking = None
                self._safely(lambda: self._go_on(was_paused))

    def _go_on(self, was_paused: bool) -> None:
        if self.is_paused():
            self._paused(began=not was_paused)
        else:
            self._pump()
