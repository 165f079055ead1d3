"""Plans, against the sandbox on real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fleets import FIRST, ids, methods, url, urls
from wavix_async import NumberUpdate, fleet

if TYPE_CHECKING:
    from wavix_async import WavixClient
    from wavix_async.sandbox import Sandbox


@pytest.mark.req_15
async def test_a_plan_tells_what_would_change_and_asks_only(sandbox: Sandbox, wavix: WavixClient) -> None:
    wanted = urls(ids(3)) | {FIRST + 3: NumberUpdate(sms_enabled=False)}
    phases: list[fleet.FleetProgress] = []
    plan = await fleet.plan(wavix, wanted, on_progress=phases.append)
    assert (len(plan), plan.unchanged, plan.account, plan.base_url) == (3, 1, 100, sandbox.url)
    assert {progress.phase for progress in phases} == {"listing"}
    text = plan.table()
    for number in ids(3):
        assert sandbox.numbers[number]["number"] in text
        assert url(number) in text
    assert "call_status_url" in text
    assert set(methods(sandbox)) == {"GET"}
    assert not sandbox.stats.updates

    same, other = await fleet.plan(wavix, wanted), await fleet.plan(wavix, urls(ids(2)))
    assert plan.digest == same.digest != other.digest
    assert len(plan.digest) == 64
