"""`heard`: learns that the process is told to end when its server learns it, and not only when the server has waited.

A server waits for what is open before it ends the lifespan, and the stream of a job stays open as long as the job: one
would wait for the other.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["heard"]


@contextmanager
def heard(tell: Callable[[], object]) -> Iterator[None]:
    """Call something in the loop when SIGINT or SIGTERM comes; whoever handles them now still does.

    Outside of the main thread, and where nobody handles them, nothing is changed.

    Args:
        tell: What to call.
    """
    loop = asyncio.get_running_loop()
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def hear(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):
            # The loop may be closed by now.
            loop.call_soon_threadsafe(tell)
        handlers[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, hear)
    try:
        yield
    finally:
        for taken, handler in handlers.items():
            if signal.getsignal(taken) is hear:
                signal.signal(taken, handler)
