"""Fleets whose runs are killed with SIGKILL: short forms of `python -m benchmarks.kill`, which kills a hundred."""

from __future__ import annotations

import sys

import pytest

from tests.support import kill


@pytest.mark.req_14
@pytest.mark.req_17
@pytest.mark.req_18
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize(("times", "numbers"), [(2, 60), pytest.param(5, 600, marks=pytest.mark.scale)])
def test_what_was_killed_is_resumed_and_nothing_is_lost_or_done_too_often(times: int, numbers: int) -> None:
    """Requirement 14: some runs, each killed once or more, and one of them rolled back."""
    said: list[str] = []
    # The run of seed 5 is rolled back.
    results = kill.measure(times, numbers, kill.ROLLED_BACK_EVERY - times, said.append)
    assert results["complaints"] == [], "\n".join(said)
    killed = [run for run in results["runs"] if run.kills != ["too late"]]
    assert len(killed) == times
    # Half of what is expected where that is many.
    assert sum(run.faults for run in killed) > max(times * numbers * kill.FAULTS / 2 - 10, 0)
    for run in killed:
        assert run.lost == 0
        assert sum(run.times.values()) == numbers
        assert set(run.times) <= {1, 2}
    assert any(run.rolled_back and set(run.times_back) <= {1, 2} for run in results["runs"])
