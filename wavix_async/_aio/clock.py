"""`Clock`: how calls wait; `wavix_async.testing` has a clock that skips the waits.

Every intended wait uses a clock: a backoff, a pause that the API asks for, the next permit at a rate. A timeout does
not: it limits how long a call waits for the network.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """The clock of the event loop; it skips no waits.

    Attributes:
        skipped: Seconds that have passed only on this clock, because it skipped waits; always 0.0 here.
    """

    skipped: float = 0.0

    def of(self, loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
        """Return a function that returns the time in seconds: the loop's time, plus the skipped seconds."""
        return loop.time

    def call_at(self, loop: asyncio.AbstractEventLoop, when: float, callback: Callable[[], object]) -> asyncio.Handle:
        """Call a callback at a time of this clock."""
        return loop.call_at(when, callback)

    def time(self) -> float:
        """Return the time of the running loop, plus the skipped seconds."""
        return asyncio.get_running_loop().time() + self.skipped

    async def sleep(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        await asyncio.sleep(seconds)
