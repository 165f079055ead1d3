"""Plans that a safety limit refuses, and runs that it stops, against the sandbox on real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fleets import ANY_SHARE, NO_SAFETY, client_of, holds_together, ids, methods, urls
from wavix_async import NumberUpdate, fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async import WavixClient


@pytest.mark.req_16
@pytest.mark.parametrize(
    ("changes", "safety", "refused"),
    [
        (4, fleet.Safety(max_changes=3), "max_changes=3"),
        (3, fleet.Safety(max_changes=3), None),
        (31, fleet.Safety(), "max_fraction=0.3"),
        (30, fleet.Safety(), None),
        (31, fleet.Safety(max_fraction=None), None),
        (10, fleet.Safety(max_fraction=0.05), "max_fraction=0.05"),
        (9, fleet.Safety(max_fraction=0.05), None),
    ],
)
async def test_a_plan_that_changes_too_much_is_refused(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, changes: int, safety: fleet.Safety, refused: str | None
) -> None:
    plan = await fleet.plan(wavix, urls(ids(changes)))
    if refused is None:
        assert (await fleet.apply(wavix, plan, safety=safety)).updated == changes
        return
    with pytest.raises(fleet.SafetyError, match=refused) as error:
        await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", safety=safety)
    assert error.value.outcome == "not_sent"
    assert set(methods(sandbox)) == {"GET"}


@pytest.mark.req_16
@pytest.mark.parametrize("account", [10, 60, 100, 333, 5_000])
def test_a_refusal_names_the_limit_that_is_needed(account: int) -> None:
    for changes in range(10, account + 1, 1 + account // 50):
        refusal = fleet.Safety().refusal(changes, account)
        if changes <= 0.3 * account:
            assert refusal is None
            continue
        assert refusal is not None
        needed = float(refusal.rpartition("=")[2])
        assert fleet.Safety(max_fraction=needed).refusal(changes, account) is None
        assert fleet.Safety(max_fraction=needed - 0.01).refusal(changes, account) is not None
    assert fleet.Safety(max_changes=3).refusal(4, account) == (
        "the plan changes 4 numbers, more than max_changes=3: apply needs max_changes=4"
    )


@pytest.mark.req_16
async def test_twenty_refusals_in_a_row_end_a_run(tmp_path: Path) -> None:
    async with Sandbox(200, foreign=1.0) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, {number: NumberUpdate(sms_enabled=True) for number in ids(60)})
        report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=4)
        assert report.refused_by_safety
        assert "20" in (report.stopped_by or "")
        assert 20 <= report.failed <= 24
        assert report.failed + report.not_sent == 60
        assert methods(sandbox)["PATCH"] == report.failed
        holds_together(report)


@pytest.mark.req_16
async def test_a_twentieth_of_refusals_ends_a_run(tmp_path: Path) -> None:
    async with Sandbox(1000, foreign=0.2) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, {number: NumberUpdate(sms_enabled=True) for number in ids(1000)})
        report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=4, safety=ANY_SHARE)
        assert report.refused_by_safety
        assert 20 <= report.failed <= 24
        assert report.updated + report.failed + report.not_sent == 1000
        assert report.updated > 0
        holds_together(report)

        sandbox.reset()
        report = await fleet.apply(wavix, plan, journal=tmp_path / "other.sqlite", safety=NO_SAFETY)
        assert not report.refused_by_safety
        assert report.failed > 150
        assert report.updated + report.failed == 1000
        assert {result.id for result in report.results("updated")} == set(sandbox.stats.updates)
