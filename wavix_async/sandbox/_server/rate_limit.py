"""Rate limits with an injected clock: a token bucket and a fixed window.

A refused request costs nothing: it takes no token and does not extend the wait.
"""

from math import ceil, floor
from typing import Protocol

from attrs import define, field


class Limit(Protocol):
    """The interface of a rate limit."""

    def reset(self, now: float) -> None:
        """Restart with the full limit at `now`."""
        ...

    def take(self, now: float) -> bool:
        """Return whether a request at `now` is accepted, and count it if it is."""
        ...

    def wait(self, now: float) -> float:
        """Return the seconds until the limit accepts a request."""
        ...

    def remaining(self, now: float) -> int:
        """Return how many requests the limit accepts at once."""
        ...

    def refill(self, now: float) -> float:
        """Return the seconds until the full limit is available again."""
        ...

    @property
    def policy(self) -> tuple[int, int]:
        """The limit as (requests, seconds)."""
        ...


@define
class Bucket:
    """A token bucket that gains `rate` tokens per second and holds at most `burst`."""

    rate: float
    burst: int
    _tokens: float = field(default=0.0, init=False)
    _at: float = field(default=0.0, init=False)

    def reset(self, now: float) -> None:
        self._tokens, self._at = float(self.burst), now

    def _fill(self, now: float) -> None:
        self._tokens = min(float(self.burst), self._tokens + (now - self._at) * self.rate)
        self._at = now

    def take(self, now: float) -> bool:
        self._fill(now)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def wait(self, now: float) -> float:
        self._fill(now)
        return max(0.0, (1 - self._tokens) / self.rate)

    def remaining(self, now: float) -> int:
        self._fill(now)
        return floor(self._tokens)

    def refill(self, now: float) -> float:
        self._fill(now)
        return (self.burst - self._tokens) / self.rate

    @property
    def policy(self) -> tuple[int, int]:
        seconds = next((s for s in range(1, 61) if float(self.rate * s).is_integer()), 60)
        return max(1, floor(self.rate * seconds)), seconds


@define
class Window:
    """A fixed window: `limit` requests every `seconds`; the first window begins when the sandbox starts."""

    limit: int
    seconds: float
    _start: float = field(default=0.0, init=False)
    _used: int = field(default=0, init=False)

    def reset(self, now: float) -> None:
        self._start, self._used = now, 0

    def _turn(self, now: float) -> None:
        passed = (now - self._start) // self.seconds
        if passed >= 1:
            self._start += passed * self.seconds
            self._used = 0

    def take(self, now: float) -> bool:
        self._turn(now)
        if self._used >= self.limit:
            return False
        self._used += 1
        return True

    def wait(self, now: float) -> float:
        self._turn(now)
        return 0.0 if self._used < self.limit else self.refill(now)

    def remaining(self, now: float) -> int:
        self._turn(now)
        return self.limit - self._used

    def refill(self, now: float) -> float:
        self._turn(now)
        return self._start + self.seconds - now

    @property
    def policy(self) -> tuple[int, int]:
        return self.limit, ceil(self.seconds)


def header_lines(limit: Limit, now: float, style: str) -> str:
    """Return the rate limit as header lines: `x` for X-RateLimit-*, `ietf` for RateLimit and RateLimit-Policy.

    A reset is in seconds from now, rounded up, so that a client that waits for it is never early.
    """
    quota, seconds = limit.policy
    left, reset = limit.remaining(now), ceil(limit.refill(now))
    if style == "x":
        return f"X-RateLimit-Limit: {quota}\r\nX-RateLimit-Remaining: {left}\r\nX-RateLimit-Reset: {reset}\r\n"
    return f'RateLimit-Policy: "default";q={quota};w={seconds}\r\nRateLimit: "default";r={left};t={reset}\r\n'
