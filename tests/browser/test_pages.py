"""The pages of plans and runs in a narrow browser window: all of their content is in view."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cyclopts")
pytest.importorskip("playwright", reason="there is no playwright to drive a browser")

from playwright.async_api import async_playwright

from tests.cli.test_html import ROUTES, Plan, Report, ended
from wavix_async.cli._html import plan_page, run_page
from wavix_async.fleet import FieldChange, FleetStatus, NewValue, Sample

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")

LONG = f"https://{'hooks' * 30}.example.com/{'calls' * 10}?x=1"
OUT_OF_VIEW = """() => {
  const width = document.documentElement.clientWidth;
  return [...document.querySelectorAll("body *")].filter((each) => {
    const { left, right } = each.getBoundingClientRect();
    const isCut = each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "visible";
    return right > left && (right > width + 0.5 || left < -0.5 || (each.clientWidth && isCut));
  }).map((each) => each.outerHTML.slice(0, 200));
}"""
LABELS = """() => [...document.querySelectorAll("td")].map((each) => getComputedStyle(each, "::before").content)"""


def long_plan() -> Any:
    fields = tuple(FieldChange(name, LONG, LONG) for name in ("call_status_url", "transcription_threshold"))
    return Plan(
        name=f"{'fleet' * 40}.csv",
        count=20,
        account=999_999,
        missing=(f"{'fleet' * 40}.csv, line 4: no number with the id {10**18}",),
        missing_count=1,
        new_values=(NewValue("call_status_url", LONG, 12_345), NewValue("destinations", ROUTES, 4_371)),
        fields=(*fields, FieldChange("destinations", ROUTES, ROUTES)),
    )


def long_run() -> Any:
    rejected = f"HTTP 422 for PATCH /v1/numbers/1002: {LONG}"
    return Report(
        ends=[ended(10**18), ended(1002, FleetStatus.FAILED, rejected), ended(1003, FleetStatus.NOT_SENT)],
        told=[Sample(float(at), at * 12_000, at * 12_500, at * 30, 13_000.0, 0.0) for at in range(1, 4000)],
        totals={"call_status_url": 1_234_567},
        journal=Path(f"/{'runs' * 40}/fleet.run.sqlite"),
    )


async def test_nothing_of_a_page_is_out_of_view() -> None:
    async with async_playwright() as started:
        browser = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for text in (plan_page(long_plan()), run_page(long_run(), base_url=LONG)):
            for width in (360, 500, 1280):
                page = await browser.new_page(viewport={"width": width, "height": 900})
                await page.set_content(text)
                assert await page.evaluate(OUT_OF_VIEW) == [], width
                labels = set(await page.evaluate(LABELS))
                # Beside each other, columns have their labels above; below each other, each cell has its own.
                named = {'"Id"', '"Number"', '"Field"', '"From"', '"To"', '"Numbers"'}
                assert named <= labels if width <= 500 else labels == {"none"}
                await page.close()
        await browser.close()
