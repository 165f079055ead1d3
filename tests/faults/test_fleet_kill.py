"""Fleets whose runs are killed with SIGKILL: the short form of `python -m benchmarks.kill`, which kills a hundred."""

from __future__ import annotations

import sys

import pytest

from tests.support import kill


@pytest.mark.req_14
@pytest.mark.req_17
@pytest.mark.req_18
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_what_was_killed_is_resumed_and_nothing_is_lost_or_done_too_often() -> None:
    """Requirement 14: five runs, each killed once or more, and one of them rolled back."""
    said: list[str] = []
    results = kill.measure(5, 600, 0, said.append)
    assert results["complaints"] == [], "\n".join(said)
    killed = [run for run in results["runs"] if run.kills != ["too late"]]
    assert len(killed) == 5
    assert sum(run.faults for run in killed) > 5 * 600 * kill.FAULTS / 2
    for run in killed:
        assert run.lost == 0
        assert sum(run.times.values()) == 600
        assert set(run.times) <= {1, 2}
    assert any(run.rolled_back and set(run.times_back) <= {1, 2} for run in killed)
