"""Event loop helpers: waits that tests can skip or that end together, deadlines, ends of loops, locks of files."""

from wavix_async._aio.clock import Clock
from wavix_async._aio.file_lock import Lock, is_held
from wavix_async._aio.lanes import BULK_SHARE, Turns
from wavix_async._aio.loop_end import LoopEnd, close_socket, run_in_loop
from wavix_async._aio.paths import NO_TEMPORARY_DIRECTORY, check_path, temporary_file
from wavix_async._aio.semaphore import LaneSemaphore, QuickSemaphore
from wavix_async._aio.stop import ClosingSignal, StopSignal
from wavix_async._aio.unawaited import UnawaitedGuard
from wavix_async._aio.watchdog import Watchdog, Watched

__all__ = [
    "BULK_SHARE",
    "NO_TEMPORARY_DIRECTORY",
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
    "check_path",
    "close_socket",
    "is_held",
    "run_in_loop",
    "temporary_file",
]
