"""Run the rate limiter against model servers, in virtual time.

Each row is one server (token bucket or fixed window), one latency, and one number of workers. The server answers 500 to
1 % of the requests that it accepts, and the workers repeat those. Refused requests cost nothing, which is the harder
case: nothing slows a client down.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import attrs

from tests.support.virtual import run_virtual
from wavix_async._ratelimit import Limiter, RateHint


class Bucket:
    """A token bucket; `slow` = (from, to, rate) is a stretch of time in which another rate holds."""

    def __init__(self, rate: float, burst: float, retry_after: float | None = None, slow: Any = None, hints: str = ""):
        self.rate, self.burst, self.retry_after, self.slow, self.hints = rate, burst, retry_after, slow, hints
        self.tokens, self.at = burst, 0.0

    def _refill(self, now: float) -> None:
        edges = [e for e in (self.slow or ())[:2] if self.at < e < now]
        for until in [*edges, now]:
            rate = self.slow[2] if self.slow and self.slow[0] <= self.at < self.slow[1] else self.rate
            self.tokens = min(self.burst, self.tokens + (until - self.at) * rate)
            self.at = until

    def take(self, now: float) -> tuple[bool, float | None]:
        self._refill(now)
        if self.tokens < 1 - 1e-9:
            return False, self.retry_after
        self.tokens -= 1
        return True, None

    def hint(self, now: float) -> RateHint | None:
        if not self.hints:
            return None
        full = -(-(self.burst - self.tokens) // self.rate)  # whole seconds, as servers send it
        window = 1.0 if self.hints == "ietf" else None
        return RateHint(float(int(self.tokens)), max(full, 1.0), self.rate if window else self.burst, window)

    def ideal(self, items: int, share: float = 1.0, burst: bool = True) -> float:
        left, rate = items - self.burst * burst, self.rate * share
        if not self.slow or left <= rate * self.slow[0]:
            return left / rate
        done = rate * self.slow[0] + self.slow[2] * (self.slow[1] - self.slow[0])
        return self.slow[1] + (left - done) / rate


class Window:
    """So many requests per fixed window, which begins with the clock (`offset`) or the first request."""

    def __init__(self, count: int, period: float, retry: bool = True, offset: float = 0.0, hints: str = ""):
        self.count, self.period, self.retry, self.offset, self.hints = count, period, retry, offset, hints
        self.index, self.used = -1, 0

    def take(self, now: float) -> tuple[bool, float | None]:
        index = int((now + self.offset) // self.period)
        if index != self.index:
            self.index, self.used = index, 0
        if self.used < self.count:
            self.used += 1
            return True, None
        return False, (index + 1) * self.period - self.offset - now if self.retry else None

    def hint(self, now: float) -> RateHint | None:
        if not self.hints:
            return None
        reset = (self.index + 1) * self.period - self.offset - now
        window = self.period if self.hints == "ietf" else None
        return RateHint(float(self.count - self.used), float(-(-reset // 1)), float(self.count), window)

    def ideal(self, items: int, share: float = 1.0, burst: bool = True) -> float:
        if not burst:
            return items * self.period / self.count
        windows = -(-items // self.count) - 1
        return max(windows * self.period - self.offset, 0.0)


class Unlimited:
    """Accepts everything."""

    def take(self, now: float) -> tuple[bool, float | None]:
        return True, None

    def hint(self, now: float) -> RateHint | None:
        return None


@attrs.define
class Outcome:
    done: int = 0
    requests: int = 0
    refused: int = 0
    waves: int = 0
    elapsed: float = 0.0
    crowd: int = 0
    """Most requests that left within 100 ms of each other once a rate was known."""
    longest: float = 0.0
    mean: float = 0.0
    unfair: float = 0.0
    """The longest wait, less what of it was a pause of all, in means."""
    overtaken: int = 0
    """Callers that left later than one that came after them."""
    events: list[tuple[float, str, float]] = attrs.Factory(list)
    early: int = 0
    """Requests that left before the end of a pause."""
    stray: int = 0
    """429s of requests within the limit."""


@attrs.frozen
class Row:
    name: str
    server: Callable[[], Any]
    items: int = 5000
    workers: int = 100
    latency: tuple[float, float] = (0.08, 0.08)
    rate: float | None = None
    share_429: float = 1.0
    times: float = 9.9
    rival: float = 0.0
    """Requests per second of a second client of the same server."""
    share: float = 1.0
    unfair: float = 3.0
    """The longest wait may be so many times the mean."""
    stray: float = 0.0
    """The share of the requests within the limit that get a stray 429, with Retry-After 1."""


async def _rival(server: Any, rate: float) -> None:
    while True:
        await asyncio.sleep(1 / rate)
        server.take(asyncio.get_running_loop().time())


async def drive(row: Row, seed: int = 1) -> Outcome:
    """Run one row under the loop that is running."""
    rng, loop, server, out = random.Random(seed), asyncio.get_running_loop(), row.server(), Outcome()
    limiter = Limiter(row.rate, on_event=lambda kind, value: note(kind, value))
    todo = iter(range(row.items))
    waits, last, until = [0.0, 0], deque[float](), -1.0
    pauses: list[tuple[float, float]] = []
    arrivals, served, served_at, waited = itertools.count(), -1, 0.0, 0.0

    def note(kind: str, value: float) -> None:
        out.events.append((loop.time(), kind, value))
        if kind == "pause":
            pauses.append((loop.time(), loop.time() + value))

    async def send() -> bool:
        nonlocal until, served, served_at, waited
        began, place = loop.time(), next(arrivals)
        ticket = limiter.try_acquire()
        if ticket is None:
            ticket = await limiter.acquire()
        now = loop.time()
        out.longest = max(out.longest, now - began)
        out.overtaken += place < served and now > served_at
        if place > served:
            served, served_at = place, now
        if now - began > waited:
            paused = sum(max(0.0, min(end, now) - max(start, began)) for start, end in pauses)
            waited = max(waited, now - began - paused)
        waits[0] += now - began
        waits[1] += 1
        out.early += now < until
        if out.refused or row.rate:
            last.append(now)
            while last[0] <= now - 0.1 + 1e-9:
                last.popleft()
            out.crowd = max(out.crowd, len(last))
        out.requests += 1
        trip = rng.uniform(*row.latency)
        await asyncio.sleep(trip / 2)
        taken, retry_after = server.take(loop.time())
        stray = taken and row.stray > 0.0 and rng.random() < row.stray
        out.stray += stray
        hint = server.hint(loop.time())
        await asyncio.sleep(trip / 2)
        if hint is not None:
            limiter.hint(hint)
        if not taken or stray:
            retry_after = 1.0 if stray else retry_after
            out.refused += 1
            before = limiter.refused(ticket, retry_after)
            if limiter.is_paused():
                until = max(until, loop.time() + (retry_after or 0.0))
            elif before > loop.time():
                # A stray 429 delays only this call.
                await asyncio.sleep(before - loop.time())
                out.early += retry_after is not None and loop.time() < now + trip + retry_after - 1e-9
            return False
        limiter.accepted(ticket)
        return rng.random() >= 0.01

    async def work() -> None:
        for _ in todo:
            while not await send():
                pass
            out.done += 1

    rival = asyncio.create_task(_rival(server, row.rival)) if row.rival else None
    await asyncio.gather(*(work() for _ in range(row.workers)))
    out.elapsed = loop.time()
    out.mean = waits[0] / max(waits[1], 1)
    out.unfair = waited / max(out.mean, 1e-9)
    out.waves = sum(kind == "pause" for _, kind, _ in out.events)
    if rival is not None:
        rival.cancel()
    return out


def spread(name: str, **changes: Any) -> list[Row]:
    """Make the small rows (600 items, 32 workers) for several latencies."""
    latencies = {"1-5 ms": (0.001, 0.005), "0.5 ms": (0.0005, 0.0005), "20 ms": (0.02, 0.02), "80 ms": (0.08, 0.08),
                 "5-60 ms": (0.005, 0.06)}  # fmt: skip
    return [
        Row(f"{name}, {label}", items=600, workers=32, latency=trip, **changes) for label, trip in latencies.items()
    ]


def rows() -> list[Row]:
    targets = [
        *spread("A 100/s b10 Retry-After 1", server=lambda: Bucket(100, 10, 1.0), share_429=0.03, times=1.20),
        *spread("B 100/s b10 no header", server=lambda: Bucket(100, 10), share_429=0.03, times=1.25),
        *spread("C 100/s b10 rate=95", server=lambda: Bucket(100, 10, 1.0), rate=95, share_429=0.005, times=1.1),
    ]
    big: list[tuple[str, Callable[[], Any], dict[str, Any], float]] = [
        ("50/s b10 Retry-After 1", lambda: Bucket(50, 10, 1.0), {"share_429": 0.02, "times": 1.10}, 47.5),
        ("50/s b10 no header", lambda: Bucket(50, 10), {"share_429": 0.02, "times": 1.10}, 47.5),
        ("10/s b10 Retry-After 1", lambda: Bucket(10, 10, 1.0), {"share_429": 0.04, "times": 1.15, "items": 1000}, 9.5),
        ("10/s b10 no header", lambda: Bucket(10, 10), {"share_429": 0.04, "times": 1.15, "items": 1000}, 9.5),
        ("400/s b40 Retry-After 1", lambda: Bucket(400, 40, 1.0), {"share_429": 0.02, "times": 1.25}, 380),
        ("400/s b40 no header", lambda: Bucket(400, 40), {"share_429": 0.02, "times": 1.25}, 380),
        ("500 per 10 s Retry-After", lambda: Window(500, 10), {"share_429": 0.04, "times": 1.10}, 47.5),
        # No answer says when the next window begins, so waiting calls wait for what probes find out.
        ("500 per 10 s no header", lambda: Window(500, 10, False), {"share_429": 0.06, "times": 1.10, "unfair": 6.0},
         47.5),
        # While the limit is a quarter, waits are four times as long.
        ("100 -> 25 -> 100/s Retry-After 1", lambda: Bucket(100, 10, 1.0, (25, 45, 25)),
         {"share_429": 0.04, "times": 1.20, "unfair": 4.0}, 0),
        ("100 -> 25 -> 100/s no header", lambda: Bucket(100, 10, None, (25, 45, 25)),
         {"share_429": 0.04, "times": 1.20, "unfair": 4.0}, 0),
        ("50/s b10, a rival takes 25/s", lambda: Bucket(50, 10, 1.0),
         {"share_429": 0.05, "times": 1.25, "rival": 25.0, "share": 0.5}, 0),
        ("50/s b10, rival, no header", lambda: Bucket(50, 10),
         {"share_429": 0.05, "times": 1.25, "rival": 25.0, "share": 0.5}, 0),
    ]  # fmt: skip
    targets += [Row(f"E {name}", server=server, **more) for name, server, more, _ in big]
    configured = {"share_429": 0.005, "times": 1.06}
    targets += [
        Row("E a rate of 95, the limit is 50/s", server=lambda: Bucket(50, 10, 1.0), rate=95.0, share_429=0.01,
            times=1.15),
        Row("E a rate of 47.5, a rival takes 25/s", server=lambda: Bucket(50, 10, 1.0), rate=47.5, rival=25.0,
            share=0.5, share_429=0.01, times=1.15),
    ]  # fmt: skip
    targets += [Row(f"E {name}, rate={rate}", server=server, rate=rate, **{**more, **configured})
                for name, server, more, rate in big if rate]  # fmt: skip
    return targets


def others() -> list[Row]:
    """Rows without a target: nothing here may go badly wrong."""
    result = []
    for rate in (1, 20, 30, 100, 250, 1000):
        for burst in sorted({rate, max(rate // 2, 1), 1}):
            for retry in (1.0, None):
                items = min(max(rate * 20, 100), 5000)
                head = "Retry-After 1" if retry else "no header"
                result.append(Row(f"O {rate}/s b{burst} {head}",
                                  server=lambda a=rate, b=burst, c=retry: Bucket(a, b, c), items=items))  # fmt: skip
    result += [
        Row("O 500 per 10 s by the clock", server=lambda: Window(500, 10, True, 7.0)),
        Row("O 100 per 60 s", server=lambda: Window(100, 60), items=500),
        Row("O 100 per 60 s no header", server=lambda: Window(100, 60, False), items=500),
        Row("O 10 per 1 s", server=lambda: Window(10, 1), items=500),
        Row("O 100 per 1 s no header", server=lambda: Window(100, 1, False)),
        Row("O 50/s b10 Retry-After 10", server=lambda: Bucket(50, 10, 10.0)),
        Row("O 50/s b10 Retry-After 0", server=lambda: Bucket(50, 10, 0.0)),
        Row("O 50/s b10 Retry-After 0.02", server=lambda: Bucket(50, 10, 0.02)),
    ]
    hinted = {
        "bucket 100/s b10 X-RateLimit": lambda: Bucket(100, 10, 1.0, None, "x"),
        "bucket 100/s b10 IETF": lambda: Bucket(100, 10, 1.0, None, "ietf"),
        "bucket 50/s b50 X-RateLimit": lambda: Bucket(50, 50, 1.0, None, "x"),
        "500 per 10 s X-RateLimit": lambda: Window(500, 10, True, 0, "x"),
        "500 per 10 s IETF": lambda: Window(500, 10, True, 0, "ietf"),
        "500 per 10 s by the clock X-RateLimit": lambda: Window(500, 10, True, 7, "x"),
    }
    for latency in ((0.08, 0.08), (0.005, 0.06)):
        result += [
            Row(f"H {name} {latency}", server=server, items=2000, latency=latency) for name, server in hinted.items()
        ]
    return result


def strays() -> list[Row]:
    """Rows of a server that answers 429 with Retry-After 1 to 1 % of the requests that are within its limit."""
    servers: list[tuple[str, Callable[[], Any], dict[str, Any]]] = [
        ("no limit, 32 workers", Unlimited, {"workers": 32}),
        ("no limit, 8 workers", Unlimited, {"workers": 8}),
        ("50/s b10 Retry-After 1", lambda: Bucket(50, 10, 1.0), {}),
        ("100/s b10 Retry-After 1", lambda: Bucket(100, 10, 1.0), {}),
        ("100/s b10 no header", lambda: Bucket(100, 10), {}),
        ("400/s b40 Retry-After 1", lambda: Bucket(400, 40, 1.0), {"items": 4000}),
        ("100/s b10 Retry-After 1, rate=95", lambda: Bucket(100, 10, 1.0), {"rate": 95.0}),
        ("no limit, rate=100", Unlimited, {"rate": 100.0}),
    ]
    return [
        Row(f"S {name}, 1 % stray", server=server, stray=0.01, latency=(0.08, 0.09), **{"items": 1500, **more})
        for name, server, more in servers
    ]


@attrs.frozen
class Comparison:
    """A row with strays against the same row without, in medians of all seeds."""

    seconds: float
    without: float
    pauses: float
    share_429: float
    """429s of the limit, as a share of all requests."""
    faults: tuple[str, ...]


def compare(row: Row, seeds: Iterable[int]) -> Comparison:
    """Run a row with and without its strays."""
    outcomes = [run_virtual(drive(row, seed)) for seed in seeds]
    without = [run_virtual(drive(attrs.evolve(row, stray=0.0), seed)) for seed in seeds]
    faults = {
        "LOST": any(out.done != row.items for out in outcomes),
        "EARLY": any(out.early for out in outcomes),
        "NONE": not all(out.stray for out in outcomes),
    }
    return Comparison(
        seconds=median(out.elapsed for out in outcomes),
        without=median(out.elapsed for out in without),
        pauses=median(out.waves for out in outcomes),
        share_429=median((out.refused - out.stray) / out.requests for out in outcomes),
        faults=tuple(name for name, found in faults.items() if found),
    )


@attrs.frozen
class Verdict:
    """The worst of all seeds."""

    share_429: float
    times: float
    unfair: float
    faults: tuple[str, ...]
    """What the row misses, by name."""


def judge(row: Row, outcomes: list[Outcome]) -> Verdict:
    # An answer 500 has cost its place too: the ideal is that of all that had to be taken. A rate that was configured
    # never spends the burst, so its ideal has none. The last answer has its way to go in any case.
    burst = row.rate is None
    ideal = min(row.server().ideal(out.requests - out.refused, row.share, burst) for out in outcomes)
    share = max(out.refused / out.requests for out in outcomes)
    times = max(out.elapsed for out in outcomes) / (ideal + sum(row.latency) / 2)
    unfair = max(out.unfair for out in outcomes)
    faults = {
        "LOST": any(out.done != row.items for out in outcomes),
        "EARLY": any(out.early for out in outcomes),
        "OVERTAKEN": any(out.overtaken for out in outcomes),
        "UNFAIR": unfair > row.unfair and row.share_429 < 1.0,
        "429": share > row.share_429 + 1e-9,
        "TIME": times > row.times + 1e-9,
    }
    return Verdict(share, times, unfair, tuple(name for name, found in faults.items() if found))


class _NoLimiter:
    def try_acquire(self) -> float:
        return 0.0

    def accepted(self, ticket: float) -> None:
        pass


def overhead(latency: float = 0.001, items: int = 2000, workers: int = 64) -> float:
    """Seconds lost over so many requests to a server without limit, against no limiter at all (virtual time)."""

    async def run(limiter: Any) -> float:
        todo = iter(range(items))

        async def work() -> None:
            for _ in todo:
                ticket = limiter.try_acquire()
                if ticket is None:
                    ticket = await limiter.acquire()
                await asyncio.sleep(latency)
                limiter.accepted(ticket)

        await asyncio.gather(*(work() for _ in range(workers)))
        return asyncio.get_running_loop().time()

    return run_virtual(run(Limiter())) - run_virtual(run(_NoLimiter()))
