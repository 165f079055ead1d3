"""How many files and sockets this process has open."""

import gc
import os
import time

from tests.support.soon import SOON


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    gc.collect()
    return len(os.listdir("/dev/fd"))


def assert_closed(most: int) -> None:
    """Fail unless this process soon has at most so many files and sockets open.

    Threads of a server, or of another event loop, may close theirs a moment later. The wait blocks the event loop, so
    connections of this loop must be closed before.
    """
    until = time.monotonic() + SOON
    while (now := open_files()) > most:
        assert time.monotonic() < until, f"{now} files are open, not {most}"
        time.sleep(0.01)
