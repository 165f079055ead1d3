"""Run the sandbox's timers in real time."""

import asyncio
from threading import RLock

from wavix_async.sandbox._server.timers import Timers


class Ticker:
    """A task that runs what is due, as long as the sandbox runs.

    Without it, an action would wait for the next request or read of the state, and no event would leave by itself.
    """

    def __init__(self, timers: Timers, lock: RLock) -> None:
        self._timers = timers
        self._lock = lock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        timers.on_change = self.wake

    def start(self) -> None:
        """Start the task in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._task = self._loop.create_task(self._run(), name="wavix-sandbox timers")

    async def stop(self) -> None:
        """End the task; actions that are not due yet stay."""
        with self._lock:
            self._loop, task, self._task = None, self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def wake(self) -> None:
        """Look again at what is due next, because a timer was added or the clock was moved; from any thread."""
        with self._lock:
            # `stop` clears the loop under the lock before the loop can close.
            loop = self._loop
            if loop is None or loop.is_closed():
                return
            if _running_loop() is loop:
                self._changed.set()
            else:
                loop.call_soon_threadsafe(self._changed.set)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            with self._lock:
                self._run_due()
                due = self._timers.next_due
                wait = None if due is None else max(0.0, due - self._timers.clock())
            # Not `wait_for`: in Python 3.11 it may lose a cancellation that comes together with the event.
            alarm = None if wait is None else loop.call_later(wait, self._changed.set)
            try:
                await self._changed.wait()
            finally:
                if alarm is not None:
                    alarm.cancel()

    def _run_due(self) -> None:
        try:
            self._timers.run_due()
        except Exception as error:  # one faulty action must not stop the clock of all others
            asyncio.get_running_loop().call_exception_handler(
                {"message": "an action of the sandbox's clock failed", "exception": error}
            )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
