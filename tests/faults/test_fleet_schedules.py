"""Random faults, stops, cancellations and resumes of a fleet, against a sandbox that knows the truth.

In real time, since a journal is written by a thread; so everything here is small and quick. The numbers in the
docstrings are the requirements of docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavix_async import NumberUpdate, RetryPolicy, StopSignal, WavixClient, WavixError, fleet, to_dict
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FIRST = 1001
ACCOUNT = 20
NO_SAFETY = fleet.Safety(max_fraction=None, failures_in_a_row=None, failed_fraction=None)
FACTS = (
    "kind", "name", "digest", "finished", "total", *fleet.FleetStatus, "requests", "rate_limited", "stopped_by",
    "refused_by_safety", "totals",
)  # fmt: skip
KINDS = ("reset_before", "reset_after", "half_body", "garbage", "status_500", "status_502", "status_503")


@attrs.frozen
class Interruption:
    """What is done to a run when the sandbox has seen so many requests of it."""

    after: int
    how: str


class Weather:
    """Lets requests fail by dice, while it is bad.

    Args:
        kinds: Kinds of faults.
        share: Of the requests, roughly.
        seed: Of the dice.
    """

    def __init__(self, kinds: list[str], share: float, seed: int) -> None:
        self._kinds, self._share, self._dice = kinds, share / len(kinds), random.Random(seed)
        self.bad = False

    def come_over(self, sandbox: Sandbox) -> None:
        for kind in self._kinds:
            sandbox.fail_next(kind, 10**9, self._strikes)

    def _strikes(self, method: str, path: str) -> bool:
        return self.bad and self._dice.random() < self._share


INTERRUPTIONS = st.builds(Interruption, st.integers(0, 24), st.sampled_from(["stop", "cancel", "cancel"]))
WEATHERS = st.builds(
    Weather,
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True),
    st.sampled_from([0.0, 0.1, 0.3, 0.6]),
    st.integers(0, 1000),
)
CHANGES = st.builds(
    dict,
    sms_enabled=st.sampled_from([True, False]),
    transcription_threshold=st.sampled_from([6, 10, 50]),
    call_status_url=st.sampled_from([None, "https://a.example.com", "https://b.example.com"]),
)


@st.composite
def wishes(draw: Any) -> dict[int, NumberUpdate]:
    """What is wanted: some fields of some numbers."""
    wanted = {}
    # The account lacks the last of them.
    for number in draw(st.lists(st.integers(FIRST, FIRST + ACCOUNT + 1), min_size=1, max_size=16, unique=True)):
        change = draw(CHANGES)
        kept = draw(st.lists(st.sampled_from(sorted(change)), min_size=1, unique=True))
        wanted[number] = NumberUpdate(**{name: change[name] for name in kept})
    return wanted


def as_told(report: fleet.FleetReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in FACTS} | {"results": list(report.results())}


class Checked:
    """Holds reports of one fleet against the sandbox."""

    def __init__(
        self, sandbox: Sandbox, wanted: dict[int, NumberUpdate], plan: fleet.Plan, journal: Path, *, batch: bool
    ) -> None:
        self.sandbox, self.wanted, self.journal, self.batch = sandbox, wanted, journal, batch
        self.starts = 0
        # A report counts them, and lists only what was to be done.
        self.so_already = {number for number in wanted if number in sandbox.numbers and self.is_as_wanted(number)}
        assert plan.unchanged == len(self.so_already)

    def is_as_wanted(self, number: int) -> bool:
        record = self.sandbox.numbers[number]
        return all(record[name] == value for name, value in to_dict(self.wanted[number]).items())

    def hold(self, report: fleet.FleetReport) -> None:
        """Requirements 14, 17 and 19: one outcome for each, and a true one; the journal says the same again."""
        results = list(report.results())
        by_id = {result.id: result for result in results}
        assert len(by_id) == len(results)
        assert report.total == len(self.wanted)
        assert set(by_id) == set(self.wanted) - self.so_already
        listed = Counter(result.status for result in results)
        listed[fleet.FleetStatus.UNCHANGED] += len(self.so_already)
        assert listed == {status: getattr(report, status) for status in {*fleet.FleetStatus} if status in listed}
        assert listed.total() == report.total
        updates = self.sandbox.stats.updates
        for number, result in by_id.items():
            assert result.id is not None
            if number not in self.sandbox.numbers:
                assert result.status in ("failed", "skipped")
                continue
            match result.status:
                case "updated":
                    assert updates[number] >= 1
                    assert self.is_as_wanted(number)
                case "unchanged":
                    assert updates[number] == 0
                    assert self.is_as_wanted(number)
                case "failed" | "not_sent":
                    assert updates[number] == 0, result
                    assert result.reason or result.status == "not_sent"
                case "pending":
                    # Stopped before it was read back; nothing here is applied late.
                    assert updates[number] >= 1
                    assert self.is_as_wanted(number)
            if not self.batch:
                assert updates[number] <= self.starts
        assert as_told(fleet.status(self.journal)) == as_told(report)
        assert fleet.status(self.journal).is_running is False


def kept(journal: Path) -> fleet.FleetReport | None:
    """What the journal tells, if there is one."""
    try:
        return fleet.status(journal)
    except fleet.JournalError:
        return None


async def go(
    sandbox: Sandbox, wavix: WavixClient, work: Callable[[WavixClient], Awaitable[Any]], how: Interruption | None
) -> fleet.FleetReport | None:
    """Run something; stop or cancel it on its way, if it is on its way still. None: it has no report to give."""
    signal = StopSignal()
    until = sandbox.stats.requests + (how.after if how else 0)
    task = asyncio.ensure_future(work(wavix.with_options(stop=signal)))
    while how and sandbox.stats.requests < until and not task.done():
        await asyncio.sleep(0)
    if how and how.how == "stop":
        signal.set()
    elif how:
        task.cancel()
    done, _ = await asyncio.wait([task], timeout=60)
    assert done, "it hangs"
    # What has been sent already is still carried out.
    while sandbox.stats.in_flight:
        await asyncio.sleep(0.001)
    if task.cancelled():
        return None
    if error := task.exception():
        # A client that cannot even read the account has changed nothing of it.
        assert isinstance(error, WavixError)
        assert not isinstance(error, fleet.JournalError), error
        return None
    report: fleet.FleetReport = task.result()
    return report


@pytest.mark.req_10
@pytest.mark.req_14
@pytest.mark.req_17
@pytest.mark.req_19
@pytest.mark.parametrize("examples", [10, pytest.param(100, marks=pytest.mark.scale)])
def test_whatever_happens_the_journal_tells_the_truth(examples: int) -> None:
    """Requirements 14, 17 and 19: each input has one outcome, which is true, at every stop and at the end."""
    wait = settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    wait(given(**FLEETS)(the_journal_tells_the_truth))()


FLEETS: dict[str, Any] = {
    "wanted": wishes(),
    "weather": WEATHERS,
    "batch": st.sampled_from([None, None, "auto", 3]),
    "verify": st.booleans(),
    "concurrency": st.sampled_from([1, 3, 8]),
    "interruptions": st.lists(INTERRUPTIONS, max_size=4),
}


def the_journal_tells_the_truth(
    wanted: dict[int, NumberUpdate],
    weather: Weather,
    batch: Any,
    verify: bool,
    concurrency: int,
    interruptions: list[Interruption],
) -> None:
    async def main(journal: Path) -> None:
        async with Sandbox(ACCOUNT) as sandbox, client_of(sandbox) as wavix:
            for number in list(sandbox.numbers)[::3]:
                sandbox.change(number, call_status_url="https://a.example.com", transcription_threshold=50)
            weather.come_over(sandbox)
            plan = await fleet.plan(wavix, wanted)
            checked = Checked(sandbox, wanted, plan, journal, batch=batch is not None)

            def apply(client: WavixClient) -> Awaitable[Any]:
                return fleet.apply(
                    client, plan, journal=journal, verify=verify, verify_within=0.2, concurrency=concurrency,
                    batch=batch, missing="skip", safety=NO_SAFETY,
                )  # fmt: skip

            def resume(client: WavixClient) -> Awaitable[Any]:
                return fleet.resume(client, journal)

            weather.bad = True
            for how in [*interruptions, None, None]:
                checked.starts += 1
                report = await go(sandbox, wavix, resume if kept(journal) else apply, how)
                report = report or kept(journal)
                if report is None:
                    assert not sandbox.stats.updates
                else:
                    checked.hold(report)
            # What is left is done as soon as everything works again.
            weather.bad = False
            checked.starts += 1
            report = await go(sandbox, wavix, resume if kept(journal) else apply, None)
            assert report is not None
            checked.hold(report)
            assert (report.not_sent, report.unknown, report.finished) == (0, 0, True)
            assert as_told(await fleet.resume(wavix, journal)) == as_told(report)

    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(Path(place) / "run.sqlite"))


def client_of(sandbox: Sandbox) -> WavixClient:
    """A client that gives up at once."""
    retry = RetryPolicy(attempts=3, backoff=0.001, max_backoff=0.002, budget_per_second=1e6)
    return WavixClient(sandbox.api_key, base_url=sandbox.url, retry=retry)
