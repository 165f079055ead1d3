"""The example service in a browser: use the page, then compare the account through the service's own API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

pytest.importorskip("fastapi", reason="the service needs FastAPI")
pytest.importorskip("uvicorn", reason="the service needs uvicorn")
playwright = pytest.importorskip("playwright.async_api", reason="there is no playwright to drive a browser")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no chromium on this machine", allow_module_level=True)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Browser, Locator, Page

expect = playwright.expect

ROOT = Path(__file__).parents[2]
HOOK = "https://hooks.example.com/calls"
# Set this to a file name to take the screenshot for the docs, in the middle of a run.
PICTURE = os.environ.get("FLEET_SERVICE_SCREENSHOT")


class Service:
    """The example service, started by its command."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = process
        self.url = url

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
            assert response.status == 200
            return await response.json()

    async def numbers(self) -> list[dict[str, Any]]:
        first = await self.get("/api/numbers")
        pages = first["pagination"]["total_pages"]
        rest = [(await self.get(f"/api/numbers?page={page}"))["items"] for page in range(2, pages + 1)]
        return [number for items in (first["items"], *rest) for number in items]

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
        assert self.process.stderr is not None
        assert b"Traceback" not in await self.process.stderr.read()
        await self.process.wait()


@contextlib.asynccontextmanager
async def serving(**options: float) -> AsyncIterator[Service]:
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.fleet_service", "--port", "0", *arguments),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 90)).decode()
    found = re.search(r"http://\S+", line)
    assert found is not None, (await process.stderr.read()).decode() if process.stderr else line
    service = Service(process, found[0])
    try:
        yield service
    finally:
        await service.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def errors() -> AsyncIterator[list[str]]:
    """The errors in the console of the browser. A test fails unless it clears the errors that it expects."""
    said: list[str] = []
    yield said
    assert said == []


@pytest.fixture
def visit(browser: Browser, errors: list[str]) -> Callable[..., Any]:
    async def visit(service: Service, **options: Any) -> Page:
        page = await browser.new_page(viewport={"width": 1280, "height": 900}, **options)
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console", lambda message: errors.append(message.text) if message.type in {"error", "warning"} else None
        )
        await page.goto(service.url)
        await expect(page.get_by_text("numbers in the account")).to_be_visible(timeout=20_000)
        return page

    return visit


async def choose(page: Page, field: str, choice: str) -> None:
    await page.get_by_role("group", name=field, exact=True).get_by_role("radio", name=choice).check()


def verdict(page: Page) -> Locator:
    return page.locator(".verdict strong")


async def tile(page: Page, label: str) -> str:
    return await page.locator(".tile", has=page.get_by_text(label, exact=True)).locator(".value").inner_text()


async def finished(page: Page, text: str | re.Pattern[str]) -> None:
    await expect(verdict(page)).to_have_text(text, timeout=30_000)


async def test_a_change_from_the_table_to_the_report(visit: Callable[..., Any]):
    # So slow that the run meets 429s on a busy machine, too.
    async with serving(numbers=5000 if PICTURE else 600, rate=100 if PICTURE else 40, faults=0.03) as service:
        before = await service.numbers()
        page = await visit(service)

        await page.get_by_label("Filter").fill("chicago")
        wanted = [number for number in before if number["city"].startswith("CHICAGO")]
        await expect(page.get_by_text(f"1 to 15 of {len(wanted)}")).to_be_visible()
        await page.get_by_role("button", name=f"Choose these {len(wanted)}").click()
        # Deselect one of them.
        left_out = wanted.pop(0)
        await page.get_by_label(f"Choose {left_out['number']}").uncheck()
        await page.get_by_label("Filter").fill("")
        await expect(page.get_by_text(f"{len(wanted)} chosen")).to_be_visible()
        abroad = [number for number in before if number["country_short_name"] not in {"US", "CA"}]
        assert abroad
        await page.get_by_label("Filter").fill("london")
        london = [number for number in abroad if number["city"] == "LONDON"][:15]
        await page.get_by_label("Choose the numbers on this page").check()
        wanted += london
        assert london

        await choose(page, "Inbound SMS", "On")
        await choose(page, "Call recording", "On")
        await page.get_by_role("button", name="Show the plan").click()
        await finished(page, f"{len(wanted)} numbers will change")
        first = min(wanted, key=lambda number: number["id"])
        row = page.locator(".changes tbody tr").first
        await expect(row).to_contain_text(first["number"])
        await expect(page.get_by_text(f"1 to 10 of {len(wanted)}")).to_be_visible()
        await expect(page.locator(".changes tbody tr", has_text="Inbound SMS").first).to_have_text(
            re.compile("off.*on")
        )
        assert await service.numbers() == before

        await page.get_by_role("button", name="Run").click()
        bar, cancel = page.get_by_role("progressbar"), page.get_by_role("button", name="Cancel")
        await expect(cancel).to_be_visible()
        seen = set()
        while await cancel.is_visible():
            share = int(await bar.get_attribute("aria-valuenow") or 0)
            rate = await tile(page, "Rate limit")
            if await verdict(page).inner_text() == "Sending the changes":
                seen.add(share)
            if PICTURE and rate.endswith("/s") and 55 < share < 70:
                await page.screenshot(path=PICTURE)
            await asyncio.sleep(0.1)
        assert len(seen) >= 3
        assert re.fullmatch(r"\d+(\.\d)?/s", rate)
        assert await page.locator("svg .refused").count() > 0
        assert await page.locator("svg .allowed").count() > 0

        # Numbers in London have no SMS: the API rejects the whole change of those numbers.
        done = len(wanted) - len(london)
        await finished(page, f"{done} of {len(wanted)} numbers changed")
        assert (await tile(page, "Updated"), await tile(page, "Failed")) == (str(done), str(len(london)))
        assert int(await tile(page, "Throttled (429)")) > 0
        assert int(await tile(page, "Requests")) > len(wanted)
        await expect(page.locator(".results tbody tr")).to_have_count(min(10, len(london)))
        await expect(page.locator(".results tbody tr").first).to_contain_text("Inbound SMS can only be activated on US")
        await page.get_by_role("button", name=f"Updated {done}").click()
        await expect(page.get_by_text(f"1 to 10 of {done}")).to_be_visible()

        on = {number["id"] for number in await service.numbers() if number["sms_enabled"]}
        assert on == {number["id"] for number in wanted} - {number["id"] for number in london}

        await page.get_by_role("link", name="Numbers").click()
        await expect(page.get_by_text("numbers in the account")).to_be_visible(timeout=20_000)
        await page.get_by_label("Filter").fill(first["number"])
        await expect(page.locator("#rows tr").first.locator("td").nth(2)).to_have_text("on")
        await expect(page.locator("#jobs li")).to_contain_text(f"{len(london)} not done")
        # The plan leaves out the numbers that already match.
        await page.get_by_role("button", name="Show the plan").click()
        await finished(page, f"{len(london)} numbers will change")
        await expect(page.get_by_text(f"{done} already match.")).to_be_visible()
        await page.get_by_role("button", name="Discard").click()
        await finished(page, "Discarded")


async def test_a_lost_stream_a_reload_a_cancel_and_a_resume(visit: Callable[..., Any], errors: list[str]):
    async with serving(numbers=250, rate=100, faults=0) as service:
        before = await service.numbers()
        page = await visit(service)
        await page.get_by_role("button", name="Choose all 250").click()
        await choose(page, "Call status URL", "Set")
        await page.get_by_role("textbox", name="URL").fill(HOOK)
        # A proxy answers in place of the service; the browser does not reconnect by itself after that.
        await page.route("**/events", lambda route: route.fulfill(status=502))
        await page.get_by_role("button", name="Show the plan").click()
        await expect(page.get_by_text("Connection lost.")).to_be_visible()
        await page.unroute("**/events")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        assert [text for text in errors if "502" not in text] == []
        errors.clear()

        await page.get_by_role("button", name="Run").click()
        await finished(page, "Sending the changes")
        # After a reload, the page shows the current state of the job.
        await page.reload()
        await finished(page, "Sending the changes")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Cancel").click()
        await finished(page, re.compile(r"Stopped: \d+ of 250 numbers changed"))
        there = [number["id"] for number in await service.numbers() if number["call_status_url"] == HOOK]
        assert await tile(page, "Updated") == str(len(there))
        assert 0 < len(there) < 250

        await page.get_by_role("button", name="Resume").click()
        await finished(page, "250 numbers changed")
        assert {number["call_status_url"] for number in await service.numbers()} == {HOOK}

        page.on("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="Roll back").click()
        await finished(page, "250 numbers rolled back")
        assert await service.numbers() == before


async def test_errors_are_shown(visit: Callable[..., Any], errors: list[str]):
    async with serving(numbers=100, rate=1000, faults=0) as service:
        page = await visit(service)
        plan = page.get_by_role("button", name="Show the plan")
        alert = page.get_by_role("alert")
        await plan.click()
        await expect(alert).to_contain_text("No number is chosen")
        await page.get_by_role("button", name="Choose all 100").click()
        await plan.click()
        await expect(alert).to_contain_text("Nothing to change")
        await page.get_by_label("Filter").fill("nothing like this")
        await expect(page.get_by_text("No number, label, city or id contains “nothing like this”.")).to_be_visible()

        await choose(page, "SMS relay URL", "Set")
        await page.get_by_role("textbox", name="URL").fill("ftp://hooks.example.com/sms")
        await plan.click()
        await expect(alert).to_contain_text("must be a URL that begins with http:// or https://")
        assert [text for text in errors if "422" not in text] == []
        errors.clear()
        await choose(page, "SMS relay URL", "Keep")

        # Without the check of the form, only the API rejects this: after 20 rejected changes in a row the run ends.
        await choose(page, "Transcribe calls from", "Set")
        seconds = page.get_by_label("Seconds")
        await seconds.evaluate("input => input.removeAttribute('min')")
        await seconds.fill("-1")
        await plan.click()
        await page.get_by_role("button", name="Run").click()
        await finished(page, "Too many changes were refused")
        await expect(page.locator(".verdict p")).to_have_text("Stopped by safety: 20 changes in a row were refused.")
        await expect(page.locator(".results tbody tr").first).to_contain_text("transcription_threshold")

        await page.goto(f"{service.url}/#no-such-job")
        await expect(alert).to_contain_text("There is no such job")
        assert [text for text in errors if "404" not in text] == []
        errors.clear()

        await page.get_by_role("link", name="Numbers").click()
        await service.stop()
        await plan.click()
        await expect(alert).to_contain_text("The service does not answer")
        assert [text for text in errors if "ERR_CONNECTION_REFUSED" not in text] == []
        errors.clear()


CHECKS = Path(__file__).with_name("checks.js").read_text(encoding="utf-8")


async def test_small_screens_contrast_labels_and_keys(visit: Callable[..., Any]):
    async with serving(numbers=100, rate=1000, faults=0.05) as service:
        page = await visit(service)
        await page.set_viewport_size({"width": 400, "height": 800})

        async def check() -> None:
            for scheme in ("dark", "light"):
                await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                assert await page.evaluate(CHECKS) == {"unnamed": [], "hard_to_read": [], "too_wide": 0}

        # Use only the keyboard: filter, choose all matches, turn SMS on, show the plan.
        await page.get_by_label("Filter").focus()
        await page.keyboard.type("a")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.locator("[name=sms_enabled]").first.focus()
        await page.keyboard.press("ArrowRight")
        for field in ("Call status URL", "Destination", "Transcribe calls from"):
            await choose(page, field, "Set" if field != "Destination" else "Replace")
        await page.get_by_role("textbox", name="URL").fill(HOOK)
        await page.get_by_label("Calls go to").fill("[did]@sip.example.net")
        await page.get_by_label("Seconds").fill("20")
        await check()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_be_focused()
        run = page.get_by_role("button", name="Run")
        await expect(run).to_be_visible()
        await check()
        await run.focus()
        await page.keyboard.press("Enter")
        await finished(page, re.compile("numbers changed"))
        await expect(page.get_by_role("heading", level=1)).to_be_focused()
        await expect(page.locator(".changes tbody tr").first).to_be_visible()
        await check()
        assert await page.get_by_role("heading", level=1).inner_text() == (
            "Call status URL set, destination set, inbound SMS on, transcribe calls from 20 s"
        )
