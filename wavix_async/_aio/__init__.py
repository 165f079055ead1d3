"""Event loop helpers: waits that tests can skip, waits that end together, timers for deadlines, forgotten awaits."""

from wavix_async._aio.clock import Clock
from wavix_async._aio.semaphore import QuickSemaphore
from wavix_async._aio.stop import ClosingSignal, StopSignal
from wavix_async._aio.unawaited import UnawaitedWarning
from wavix_async._aio.watchdog import Watchdog, Watched

__all__ = ["Clock", "ClosingSignal", "QuickSemaphore", "StopSignal", "UnawaitedWarning", "Watchdog", "Watched"]
