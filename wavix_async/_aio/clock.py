"""`Clock`: how calls wait; `wavix_async.testing` has one that passes over what is waited for.

Whatever is waited for on purpose (a backoff, a pause that the API asked for, the next turn at a rate) is waited for
here; a timeout is not, it guards a wait for somebody else.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Clock"]


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
