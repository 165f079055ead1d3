"""`Clock`: how calls wait, and `SkippingClock`, which passes the time without waiting.

Whatever is waited for on purpose (a backoff, a pause that the API asked for, the next turn at a rate) is waited for
here; a timeout is not, it guards a wait for somebody else.
"""

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["Clock", "SkippingClock"]


class Clock:
    """Waits as long as it takes.

    Attributes:
        skipped: Seconds that have passed on this clock and nowhere else; always 0.0 here.
    """

    skipped: float = 0.0

    def of(self, loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
        """Return what tells the time, in seconds: that of the loop, and what was skipped."""
        return loop.time

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]) -> asyncio.Handle:
        """Have a callback called at a time of this clock."""
        return loop.call_at(when, callback)

    def time(self) -> float:
        """Tell the time of the running loop, and of what was skipped."""
        return asyncio.get_running_loop().time() + self.skipped

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class SkippingClock(Clock):
    """Waits for nothing: each wait moves the clock on by as much.

    Args:
        skip: Called with the seconds of each wait, so that others (a sandbox) can be moved on, too.
    """

    def __init__(self, skip: Callable[[float], object]) -> None:
        self._skip: Final = skip

    def of(self, loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
        """Return what tells the time, in seconds: that of the loop, and what was skipped."""
        return lambda: loop.time() + self.skipped

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]) -> asyncio.Handle:
        """Move the clock on to a time, and have a callback called as soon as may be."""
        self._pass(when - loop.time() - self.skipped)
        return loop.call_soon(callback)

    async def sleep(self, seconds: float) -> None:
        """Move the clock on, and let others run."""
        self._pass(seconds)
        await asyncio.sleep(0)

    def _pass(self, seconds: float) -> None:
        if seconds > 0:
            self.skipped += seconds
            self._skip(seconds)
