"""Processes that link numbers and are killed with SIGKILL: no number is linked twice, and each has one true outcome."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.resources.rows.ten_dlc import NEW_BRAND, NEW_CAMPAIGN
from tests.support.send_kill import run_child
from wavix_async import WavixClient
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.req_14,
    pytest.mark.req_37,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL"),
]


async def make_campaign(sandbox: Sandbox) -> tuple[str, str]:
    async with WavixClient(sandbox.api_key, base_url=sandbox.url) as wavix:
        brand = (await wavix.ten_dlc.brands.create(**NEW_BRAND)).brand_id
        return brand, (await wavix.ten_dlc.brands.campaigns.create(brand, **NEW_CAMPAIGN)).campaign_id


@pytest.mark.parametrize(
    ("count", "kills", "faults"),
    [
        (30, [("after", 9)], 0.0),
        pytest.param(300, [("before", 40), ("after", 0), ("after", 70), ("before", 25)], 0.05, marks=pytest.mark.scale),
    ],
)
def test_a_killed_run_is_continued_and_no_number_is_linked_twice(
    tmp_path: Path, count: int, kills: list[tuple[str, int]], faults: float
) -> None:
    with Sandbox(numbers=count) as sandbox:
        brand, campaign = asyncio.run(make_campaign(sandbox))
        if faults:
            sandbox.fail_next("reset_after", int(count * faults), "POST /v3/10dlc/brands/*/numbers/*")
        numbers = [each["number"] for each in sandbox.numbers.values()]
        task = {
            "url": sandbox.url,
            "api_key": sandbox.api_key,
            "journal": str(tmp_path / "links"),
            "count": 0,
            "point": "",
            "link": (brand, campaign, numbers),
        }
        for point, after in kills:
            assert run_child({**task, "point": point, "after": after}) is None
        report = run_child(task)
        assert report is not None
        posts = Counter(each.path for each in sandbox.requests if each.method == "POST" and "/numbers/" in each.path)
        linked = set(sandbox.campaigns[campaign]["phone_numbers"])

    ends = report["ends"]
    assert max(posts.values()) == 1
    assert ends.keys() == set(numbers)
    assert set(ends.values()) <= {"accepted", "unknown"}
    # The campaign has what was linked, so it is proved.
    assert linked == {number for number, end in ends.items() if end == "accepted"}
