"""Run a plan or a run of a fleet: show its progress, and stop it in order at Ctrl-C."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import attrs

from wavix_async import StopSignal, WavixClient, WavixError
from wavix_async.cli._console import err
from wavix_async.cli._output import Display, RunProgress
from wavix_async.cli._runner import catch_interrupts, show_progress
from wavix_async.fleet import FleetProgress, FleetReport

__all__ = ["FleetRunOutcome", "OnProgress", "StartRun", "run_fleet", "with_progress"]

T = TypeVar("T")
OnProgress: TypeAlias = Callable[[FleetProgress], object]
"""Called with the progress of a run."""

StartRun: TypeAlias = Callable[[WavixClient, OnProgress], Awaitable[FleetReport]]
"""Starts a run with a client and a function for its progress."""

_PHASE_LABELS: Final = {
    "listing": "Listing",
    "checking": "Checking",
    "sending": "Sending",
    "settling": "Settling doubts",
    "verifying": "Verifying",
}


@attrs.frozen
class FleetRunOutcome:
    """How a run of a fleet ended.

    Attributes:
        report: The report; None if the second Ctrl-C cut the run off.
        interrupted: Whether the user pressed Ctrl-C.
    """

    report: FleetReport | None
    interrupted: bool


class _LatestProgress:
    """The latest progress of a run, with time and limits of now: a run may report nothing during a long pause.

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
    """Await something that changes nothing, and show its progress; Ctrl-C cancels it at once.

    Args:
        wavix: The client that it uses.
        start: Starts it; called with the function that takes the progress.
    """
    latest = _LatestProgress(wavix)
    async with show_progress(Display(err()), latest.read_progress):
        return await start(latest.on_progress)


async def run_fleet(wavix: WavixClient, start_run: StartRun) -> FleetRunOutcome:
    """Run a fleet run, and show its progress.

    The first Ctrl-C lets the requests in flight end and sends no more; the second ends the run at once.

    Args:
        wavix: The client.
        start_run: Starts the run.

    Raises:
        WavixError: The run failed.
    """
    stop_signal, latest, display = StopSignal(), _LatestProgress(wavix), Display(err())

    def stop() -> None:
        display.say("Stopping: what is on the wire may end, the rest is not sent. Ctrl-C again ends at once.")
        stop_signal.set()

    report = None
    with catch_interrupts(stop) as interrupts:
        async with show_progress(display, latest.read_progress):
            try:
                report = await start_run(wavix.with_options(stop=stop_signal), latest.on_progress)
            except asyncio.CancelledError:
                if not interrupts.absorb_cancellation():
                    raise
            except WavixError:
                # An error after Ctrl-C is a consequence of the stop.
                if not interrupts.count:
                    raise
            finally:
                interrupts.run_ended = True
    return FleetRunOutcome(report, interrupts.count > 0)
