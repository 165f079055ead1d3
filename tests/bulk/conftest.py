"""For all tests of bulk runs: the bounds of what a run keeps, small enough to reach them soon."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[100, pytest.param(1_000, marks=pytest.mark.scale)])
def bound(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many failures a report keeps, and how many changes wait to be read; a thousand without this fixture."""
    if request.param != 1_000:
        for where in ("_reconciler._MOST_UNRESOLVED", "_failure_log.KEPT", "_run.KEPT"):
            monkeypatch.setattr(f"wavix_async.bulk.{where}", request.param)
    most: int = request.param
    return most
