"""Make a fleet plan or run it: show the progress, and stop cleanly at Ctrl-C."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import attrs

from wavix_async import StopSignal, WavixClient, WavixError
from wavix_async.cli._console import err
from wavix_async.cli._output import Display, RunProgress, alongside
from wavix_async.cli._runner import interruptible
from wavix_async.fleet import FleetProgress, FleetReport

__all__ = ["OnProgress", "StartRun", "run_fleet", "with_progress"]

T = TypeVar("T")
OnProgress: TypeAlias = Callable[[FleetProgress], object]
"""Called with the progress of a run."""

StartRun: TypeAlias = Callable[[WavixClient, OnProgress], Awaitable[FleetReport]]
"""Starts a run with a client and a function for its progress."""

_PHASE_LABELS: Final = {
    "listing": "Listing",
    "checking": "Checking",
    "sending": "Sending",
    "settling": "Reading back",
    "verifying": "Verifying",
}


class _LatestProgress:
    """The latest progress of a run, with the current time and rate: a run may report nothing during a long pause.

    Args:
        wavix: The client of the run.
    """

    def __init__(self, wavix: WavixClient) -> None:
        self._wavix = wavix
        self._loop = asyncio.get_running_loop()
        self._progress: FleetProgress | None = None
        self._at = 0.0

    def on_progress(self, progress: FleetProgress) -> None:
        """Record the progress."""
        self._progress, self._at = progress, self._loop.time()

    def read_progress(self) -> tuple[str, RunProgress] | None:
        """Return the label of the phase and the progress; None before the first report."""
        progress = self._progress
        if progress is None:
            return None
        limit = self._wavix.limits.snapshot()
        elapsed = progress.elapsed + self._loop.time() - self._at
        current = attrs.evolve(progress, elapsed=elapsed, rate=limit.rate, paused_for=limit.paused_for)
        return _PHASE_LABELS.get(progress.phase, progress.phase.capitalize()), current


async def with_progress(wavix: WavixClient, start: Callable[[OnProgress], Awaitable[T]]) -> T:
    """Await a read-only operation, and show its progress. Ctrl-C cancels it at once.

    Args:
        wavix: The client of the operation.
        start: Starts the operation; its argument receives the progress.
    """
    latest = _LatestProgress(wavix)
    async with alongside(Display(err()).follow(latest.read_progress)):
        return await start(latest.on_progress)


async def run_fleet(wavix: WavixClient, start_run: StartRun) -> tuple[FleetReport | None, bool]:
    """Run a fleet plan, and show the progress.

    After the first Ctrl-C, the requests in flight finish and no more are sent. The second Ctrl-C ends the run at once.

    Args:
        wavix: The client.
        start_run: Starts the run.

    Returns:
        The report, or None if a second Ctrl-C cut the run off; whether the user pressed Ctrl-C.

    Raises:
        WavixError: The run failed.
    """
    stop_signal, latest, display = StopSignal(), _LatestProgress(wavix), Display(err())

    def stop() -> None:
        display.say("Stopping: waiting for the requests in flight. Press Ctrl-C again to quit at once.")
        stop_signal.set()

    report = None
    async with interruptible(display, latest.read_progress, stop) as interrupts:
        try:
            report = await start_run(wavix.with_options(stop=stop_signal), latest.on_progress)
        except WavixError:
            # An error after Ctrl-C is a result of the stop.
            if not interrupts.count:
                raise
    return report, interrupts.count > 0
