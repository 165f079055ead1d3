"""`on_shutdown_signal`: react to SIGINT and SIGTERM at once, not only when the server ends the lifespan.

A server ends the lifespan only after all open responses have ended, and the event stream of a job stays open while the
job runs. Without this reaction the two would wait for each other.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

__all__ = ["on_shutdown_signal"]


@contextmanager
def on_shutdown_signal(callback: Callable[[], object]) -> Iterator[None]:
    """Call a function in the event loop at SIGINT or SIGTERM, in addition to the installed handler.

    This does nothing outside the main thread, or for a signal without a handler.

    Args:
        callback: The function.
    """
    loop = asyncio.get_running_loop()
    handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def handle_signal(number: int, frame: FrameType | None) -> None:
        with suppress(RuntimeError):
            # The loop may already be closed.
            loop.call_soon_threadsafe(callback)
        handlers[number](number, frame)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            if callable(handler):
                handlers[number] = handler
                signal.signal(number, handle_signal)
    try:
        yield
    finally:
        for replaced, handler in handlers.items():
            if signal.getsignal(replaced) is handle_signal:
                signal.signal(replaced, handler)
