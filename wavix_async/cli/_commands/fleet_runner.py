"""Running what takes long of a fleet: shown while it runs, ended in order when somebody presses Ctrl-C."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import attrs

from wavix_async import StopSignal, WavixClient, WavixError
from wavix_async.cli._console import err
from wavix_async.cli._output.progress import Display, Standing
from wavix_async.cli._runner import interrupts, shown
from wavix_async.fleet import FleetProgress, FleetReport

__all__ = ["Ended", "Take", "Work", "drive_fleet", "watched"]

T = TypeVar("T")
Take: TypeAlias = Callable[[FleetProgress], object]
"""Is told where a run stands."""

Work: TypeAlias = Callable[[WavixClient, Take], Awaitable[FleetReport]]
"""Does a run with a client, and tells where it stands."""

_PHASES: Final = {
    "listing": "Listing",
    "checking": "Checking",
    "sending": "Sending",
    "settling": "Settling doubts",
    "verifying": "Verifying",
}


@attrs.frozen
class Ended:
    """How a run ended.

    Attributes:
        report: What it came to; None where it was cut off.
        interrupted: Whether Ctrl-C was pressed.
    """

    report: FleetReport | None
    interrupted: bool


class _Latest:
    """The last that a run has told, brought up to now: between two tellings there may be a long wait.

    Args:
        wavix: The client that it uses.
    """

    def __init__(self, wavix: WavixClient) -> None:
        self._wavix = wavix
        self._loop = asyncio.get_running_loop()
        self._progress: FleetProgress | None = None
        self._at = 0.0

    def take(self, progress: FleetProgress) -> None:
        """Take what is told."""
        self._progress, self._at = progress, self._loop.time()

    def look(self) -> tuple[str, Standing] | None:
        """Return what is being done, and where that stands."""
        progress = self._progress
        if progress is None:
            return None
        limit = self._wavix.limits.snapshot()
        elapsed = progress.elapsed + self._loop.time() - self._at
        now = attrs.evolve(progress, elapsed=elapsed, rate=limit.rate, paused_for=limit.paused_for)
        return _PHASES.get(progress.phase, progress.phase.capitalize()), now


async def watched(wavix: WavixClient, work: Callable[[Take], Awaitable[T]]) -> T:
    """Show some work that changes nothing while it is done; Ctrl-C ends it at once.

    Args:
        wavix: The client that it uses.
        work: Does it, and tells the function that it is given how far it is.
    """
    latest = _Latest(wavix)
    async with shown(Display(err()), latest.look):
        return await work(latest.take)


async def drive_fleet(wavix: WavixClient, work: Work) -> Ended:
    """Let a run happen, and show it.

    The first Ctrl-C lets what is on the wire end and sends nothing more; the second ends at once.

    Args:
        wavix: The client.
        work: Does it, with the client and the function that it is given.

    Raises:
        WavixError: The run could not be done.
    """
    signal, latest, display = StopSignal(), _Latest(wavix), Display(err())

    def stop() -> None:
        display.say("Stopping: what is on the wire may end, the rest is not sent. Ctrl-C again ends at once.")
        signal.set()

    report = None
    with interrupts(stop) as pressed:
        async with shown(display, latest.look):
            try:
                report = await work(wavix.with_options(stop=signal), latest.take)
            except asyncio.CancelledError:
                if not pressed.forgive():
                    raise
            except WavixError:
                # Whatever a stop breaks, it was asked for.
                if not pressed.times:
                    raise
            finally:
                pressed.over = True
    return Ended(report, pressed.times > 0)
