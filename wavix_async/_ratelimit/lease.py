"""`Lease`: slots of a rate that several processes share, each a time at which one request may leave.

A store that all processes reach (`shared_limit.py`) hands out every slot once, so it paces all processes together. One
lease is several slots, so that not every request costs a round trip:

- **How many**: as many as callers wait for, up to the process's part of the rate in `LEASE_TIME`. A process leases only
  slots that callers wait for, and asks for more shortly before its last slot is due (`_lead`).
- **A slot is due** by the store's clock; `ClockOffset` translates. A process may use it a little late (`Lease.grace`),
  then loses it; sending late would exceed the shared rate.
- **The pause** goes both ways: a process immediately reports the pause that the server asked for, and every answer of
  the store says how much of the pause is left. A process uses no slot if the store's last answer is older than
  `FRESH`, so it cannot miss a pause for longer.
- **The store is out of reach or slow**: this never makes a call fail. The process continues with its part of the rate,
  `rate / processes` as the store last said, asks again every `PROBE`, and leases again when the store is back. All
  processes that return wait for each other (`LeaseGrant.local_for`): otherwise the first would lease slots that others
  still use as their part.

`ClockOffset`, `Lease` and `LeasedPacer` are arithmetic and take the time as an argument, like `Pacer`.
"""

from __future__ import annotations

from collections import deque
from math import ceil, inf

from wavix_async._ratelimit.pacer import Pacer
from wavix_async._ratelimit.shared_limit import ALIVE, PATIENCE, PROBE, LeaseGrant, LeaseRequest

__all__ = ["FRESH", "ClockOffset", "Lease", "LeasedPacer"]

LEASE_TIME = 0.2  # seconds that a lease lasts for a process that uses its part of the rate
FRESH = 0.25  # seconds for which the store's last answer counts
LEAD = 0.05  # seconds before its end at which a lease is renewed; more if the store is far away
LONGEST_LEAD = 0.2
GRACE = 0.02  # seconds by which a slot may be used late, or half the time between two slots, if that is more
DRIFT = 2e-4  # seconds per second by which two clocks may drift apart
PAUSE_MARGIN = 0.005  # seconds by which a pause must be longer than the reported one to be reported again
TAKEN_KEPT = 256  # used slots that can still be put back


class ClockOffset:
    """How far the store's clock is ahead of the loop's: both ends of every round trip limit the offset."""

    def __init__(self) -> None:
        self._low, self._high = -inf, inf
        self._at = 0.0

    def update(self, sent: float, now: float, store_time: float) -> None:
        """Learn that the store's clock showed `store_time` at some time between `sent` and `now`."""
        drift = DRIFT * (now - self._at)
        low, high = store_time - now, store_time - sent
        self._low, self._high, self._at = max(self._low - drift, low), min(self._high + drift, high), now
        if self._low > self._high:
            # One of the clocks was set, or this is another store: earlier bounds are void.
            self._low, self._high = low, high

    def to_local(self, store_time: float) -> float:
        """Translate a time of the store's clock to the loop's."""
        return store_time - (self._low + self._high) / 2


class Lease:
    """The slots in hand, and when to ask for more."""

    def __init__(self, rate: float, processes: int = 1) -> None:
        self.rate = rate
        self.grace = max(GRACE, 0.5 / rate)
        self.local = False  # whether the store is out of reach
        self.processes = processes
        self.reset()

    def reset(self) -> None:
        """Forget everything that depends on a clock."""
        self._slots: deque[float] = deque()  # when they are due
        self._taken: deque[tuple[float, float]] = deque(maxlen=TAKEN_KEPT)  # permit, and when its slot was due
        self._offset = ClockOffset()
        self._active = self.processes
        self._round_trip = 0.0
        self._answered = -inf  # when the last request that the store answered was sent
        self._reported = -inf  # the end of the pause that the store knows
        self._not_before = -inf  # when the process may ask the store again
        self._counted = -inf  # when the store last counted at least `processes`

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def share(self) -> float:
        """Requests per second that are this process's part."""
        return self.rate / self.processes

    @property
    def _lead(self) -> float:
        return min(max(LEAD, 2 * self._round_trip), LONGEST_LEAD)

    def next_due(self) -> float | None:
        """Return when the next slot is due."""
        return self._slots[0] if self._slots else None

    def usable(self, now: float, paused_until: float) -> bool:
        """Drop the slots that are lost, and return whether the next one may be used when it is due."""
        slots, lost = self._slots, max(now - self.grace, paused_until)
        while slots and slots[0] < lost:
            slots.popleft()
        return bool(slots) and max(slots[0], now) <= self._answered + FRESH

    def take(self, permit: float) -> None:
        """Use the next slot for a permit."""
        if self._slots:
            self._taken.append((permit, self._slots.popleft()))

    def put_back(self, permit: float) -> None:
        """Put the slot of a permit back; another request may use it unless it is too late."""
        for taken in reversed(self._taken):
            if taken[0] == permit:
                self._taken.remove(taken)
                slots = self._slots
                at = next((index for index, due in enumerate(slots) if due > taken[1]), len(slots))
                slots.insert(at, taken[1])
                return

    def request_at(self, now: float, waiting: int, paused_until: float) -> float:
        """Return when to ask the store; `inf` while no caller needs it."""
        fresh = self.usable(now, paused_until)
        if paused_until > max(now, self._reported + PAUSE_MARGIN) and (waiting or not self.local):
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

    def make_request(self, now: float, waiting: int, paused_until: float) -> LeaseRequest:
        """Return the request to send to the store."""
        most = max(ceil(self.rate * LEASE_TIME / max(self._active, 1)), 1)
        self.usable(now, paused_until)
        pause = paused_until - now if paused_until > self._reported + PAUSE_MARGIN else 0.0
        if paused_until > now + self._lead + PAUSE_MARGIN:
            # Slots after a long pause would need a fresh answer later, and would be lost if the pause grows.
            most = 0
        return LeaseRequest(
            at=now,
            slots=min(max(waiting - len(self._slots), 0), most),
            # A slot of a nearby store may be due at once: the grace covers the time that the answer takes.
            ahead=min(max(0.75 * self._round_trip - self.grace / 2, 0.0), PATIENCE),
            pause=max(pause, 0.0),
            back=self.local,
        )

    def update(self, request: LeaseRequest, now: float, grant: LeaseGrant) -> None:
        """Use an answer of the store."""
        self._offset.update(request.at, now, grant.now)
        self._round_trip = max(now - request.at, 0.9 * self._round_trip)
        self._answered = request.at
        self._reported = max(self._reported, request.at + request.pause, now + grant.pause)
        self._active = grant.active
        # A process missing from one reply usually returns, and sends meanwhile: lower the count only after ALIVE
        # seconds in which the store was in reach.
        if self.local and self._counted != -inf:
            self._counted = now
        if grant.processes >= self.processes or now - self._counted > ALIVE:
            self.processes, self._counted = max(grant.processes, 1), now
        self.local = grant.local_for > 0.0
        self._not_before = now + grant.local_for if self.local else -inf
        if self.local:
            self._slots.clear()
        first = self._offset.to_local(grant.first)
        self._slots.extend(first + index / self.rate for index in range(grant.slots))

    def go_local(self, now: float) -> None:
        """Continue without the store."""
        self.local = True
        self._slots.clear()
        self._reported, self._not_before = -inf, now + PROBE


class LeasedPacer(Pacer):
    """A pacer of leased slots; without the store, a pacer at this process's part of the rate."""

    def __init__(self, rate: float, processes: int = 1) -> None:
        self.lease = Lease(rate, processes)
        super().__init__(rate)

    def reset(self) -> None:
        """Forget everything learned and leased; a pause stays."""
        super().reset()
        self.lease.reset()

    def next_time(self, now: float) -> float:
        """Return when the next request may leave; `inf` if it must wait for an answer of the server or the store."""
        if self.lease.local or self.lease.usable(now, self.paused_until):
            return super().next_time(now)
        return inf

    def earliest(self, now: float) -> float:
        """Return when the next request may leave if the answers that it waits for arrive at once."""
        earliest, due = super().earliest(now), self.lease.next_due()
        return earliest if due is None else max(earliest, due)

    def send(self, now: float, late: float = 0.0) -> float:
        """Return a permit for the next request, which leaves now."""
        if self.lease.local:
            return super().send(now, late)
        self.lease.take(now)
        super().send(now, late)
        if (self.pace() or 0.0) >= self.lease.rate:
            # Leased slots already pace requests, so the local schedule is reset. It only counts if it is slower,
            # because of refusals or headers.
            self._next_due = -inf
        return now

    def refund(self, permit: float) -> None:
        """Take a permit back: its request never left."""
        super().refund(permit)
        self.lease.put_back(permit)

    def shift_clock(self, seconds: float) -> None:
        """Move to a clock that is `seconds` ahead."""
        super().shift_clock(seconds)
        self.lease.reset()

    def update(self, request: LeaseRequest, now: float, grant: LeaseGrant) -> None:
        """Use an answer of the store."""
        self.lease.update(request, now, grant)
        if grant.pause:
            self.pause(now, grant.pause)
        if self.rate != self.lease.rate and not self.lease.local:
            self._next_due = -inf
        self._adopt_rate()

    def go_local(self, now: float) -> None:
        """Continue without the store."""
        due = self.lease.next_due()
        if due is not None:
            self._next_due = max(self._next_due, due)
        self.lease.go_local(now)
        self._adopt_rate()

    def _adopt_rate(self) -> None:
        self.rate = self.lease.share if self.lease.local else self.lease.rate
