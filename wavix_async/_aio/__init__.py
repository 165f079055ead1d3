"""Event loop helpers: waits that tests can skip or that end together, deadlines, ends of loops, locks of files."""

from wavix_async._aio.clock import Clock
from wavix_async._aio.file_lock import Lock, is_held
from wavix_async._aio.lanes import BULK_SHARE, Turns
from wavix_async._aio.loop_end import LoopEnd, close_socket, run_in_loop
from wavix_async._aio.semaphore import LaneSemaphore, QuickSemaphore
from wavix_async._aio.stop import ClosingSignal, StopSignal
from wavix_async._aio.unawaited import UnawaitedGuard
from wavix_async._aio.watchdog import Watchdog, Watched

__all__ = [
    "BULK_SHARE",
    "Clock",
    "ClosingSignal",
    "LaneSemaphore",
    "Lock",
    "LoopEnd",
    "QuickSemaphore",
    "StopSignal",
    "Turns",
    "UnawaitedGuard",
    "Watchdog",
    "Watched",
    "close_socket",
    "is_held",
    "run_in_loop",
]
