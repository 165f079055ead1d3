"""The built site: every public name has its entry, no link is broken, nothing comes from another host, all can be read.

`make docs` builds it; without it these tests are skipped. The checks of the look need playwright and chromium.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import zlib
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import pytest

import wavix_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT: Final = Path(__file__).parents[2]
SITE: Final = ROOT / "build" / "site"
if not (SITE / "objects.inv").exists():
    pytest.skip("the site is not built: run `make docs`", allow_module_level=True)

PAGES: Final = sorted(path.relative_to(SITE).as_posix() for path in SITE.rglob("*.html"))
CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHECKS: Final = (ROOT / "tests" / "browser" / "checks.js").read_text(encoding="utf-8")


# --- the index of objects ---


@cache
def inventory() -> frozenset[str]:
    head, _, packed = (SITE / "objects.inv").read_bytes().partition(b"zlib.\n")
    assert head.startswith(b"# Sphinx inventory version 2")
    return frozenset(line.split(" ", 1)[0] for line in zlib.decompress(packed).decode().splitlines())


def public_names() -> list[str]:
    modules = [each.name for each in pkgutil.iter_modules(wavix_async.__path__) if not each.name.startswith("_")]
    loaded = [wavix_async, *(importlib.import_module(f"wavix_async.{name}") for name in modules)]
    # pytest adds names to the modules of a plugin.
    return [f"{module.__name__}.{name}" for module in loaded for name in module.__all__ if name.isidentifier()]


def test_every_public_name_has_an_entry() -> None:
    names = public_names()
    assert len(names) > 400
    assert sorted(set(names) - inventory()) == []


def test_every_call_of_the_table_of_operations_has_an_entry_that_the_table_leads_to() -> None:
    rows = re.findall(r"<tr class=\"row-(?:odd|even)\"><td>.*?</tr>", (SITE / "api.html").read_text("utf-8"), re.DOTALL)
    assert len(rows) == 122
    assert [row for row in rows if not re.search(r'href="reference/groups/\w+\.html#wavix_async', row)] == []


# --- links, and what a page loads ---


class Page(HTMLParser):
    """The links, the anchors and the loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids.add(found.get("id") or "")
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        for name in ("src", "data", "poster", "srcset"):
            if found.get(name):
                self.loads.append(str(found[name]))
        if tag == "link" and found.get("href"):
            self.loads.append(str(found["href"]))


@cache
def parsed(path: Path) -> Page:
    return Page(path)


@pytest.mark.parametrize("page", PAGES)
def test_no_link_is_broken(page: str) -> None:
    path = SITE / page
    broken = []
    for link in parsed(path).links:
        if link.startswith(("https://", "mailto:")):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file.partition("?")[0]).resolve() if file else path
        if not target.exists() or (anchor and target.suffix == ".html" and anchor not in parsed(target).ids):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_nothing_from_another_host(page: str) -> None:
    loads = parsed(SITE / page).loads
    assert loads
    assert [each for each in loads if re.match(r"(\w+:)?//", each)] == []


def test_no_style_or_script_loads_anything_from_another_host() -> None:
    found = []
    for path in [*SITE.rglob("*.css"), *SITE.rglob("*.js")]:
        text = path.read_text(encoding="utf-8")
        found += re.findall(r"""(?:url\(|@import |fetch\(|import\()\s*["']?(?:https?:)?//[^"')]+""", text)
    assert found == []


def test_the_index_for_language_models_leads_to_the_text_of_every_page() -> None:
    text = (SITE / "llms.txt").read_text(encoding="utf-8")
    assert text.startswith("# wavix_async\n\n> ")
    links = re.findall(r"^- \[[^\]]+\]\(([^)]+)\): \S", text, re.MULTILINE)
    assert len(links) == len(set(links)) == len(re.findall(r"^- ", text, re.MULTILINE))
    assert [link for link in links if not (SITE / link).read_text(encoding="utf-8").strip()] == []
    made = {page.removesuffix(".html") + ".md" for page in PAGES} - {"index.md", "genindex.md", "search.md"}
    assert made - {"py-modindex.md"} == set(links)
    assert "{eval-rst}" not in "".join((SITE / link).read_text(encoding="utf-8") for link in links)


# --- the look ---


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    playwright = pytest.importorskip("playwright.async_api", reason="there is no playwright to drive a browser")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    async with playwright.async_playwright() as started:
        browser = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


async def opened(browser: Any, width: int, **options: Any) -> tuple[Any, list[str]]:
    """Return a page, and the list of what it loads from elsewhere and of the errors in its console."""
    page = await browser.new_page(viewport={"width": width, "height": 812}, **options)
    page.set_default_timeout(60_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else wrong.append(request.url)
    )
    return page, wrong


def test_a_field_of_a_model_is_explained_once() -> None:
    text = (SITE / "reference" / "models" / "messages.html").read_text(encoding="utf-8")
    of_message = text.partition('id="wavix_async.models.Message"')[2].partition('class="py class"')[0]
    assert of_message.count("Mobile network code") == 1


async def test_on_a_telephone_a_row_is_a_list_of_titles_and_texts(browser: Any) -> None:
    page, _ = await opened(browser, 375)
    await page.goto((SITE / "reference" / "errors.html").as_uri())
    row = page.locator("table.stack tbody tr").first
    title = await row.locator("td").nth(2).evaluate("e => getComputedStyle(e, '::before').content")
    assert "what to do" in title
    boxes = await row.locator("td").evaluate_all("all => all.map(each => each.getBoundingClientRect().right)")
    assert max(boxes) <= 375
    # Measurements are compared column by column: they stay a table.
    await page.goto((SITE / "measurements.html").as_uri())
    assert await page.locator("table.stack").count() == 0


async def test_no_page_scrolls_sideways_on_a_telephone(browser: Any) -> None:
    page, wrong = await opened(browser, 375)
    wide = []
    for name in PAGES:
        await page.goto((SITE / name).as_uri(), wait_until="load")
        if await page.evaluate("document.documentElement.scrollWidth") > 375:
            wide.append(name)
    assert wide == []
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_has_contrast_and_controls_have_names(browser: Any, scheme: str) -> None:
    page, _ = await opened(browser, 1280, color_scheme=scheme)
    for name in (
        "index",
        "start",
        "fleets",
        "api",
        "reference/errors",
        "reference/groups/messages",
        "reference/client",
    ):
        await page.goto((SITE / f"{name}.html").as_uri())
        found = await page.evaluate(CHECKS)
        assert (name, found["hard_to_read"], found["unnamed"]) == (name, [], [])


async def test_dark_mode_can_be_chosen(browser: Any) -> None:
    page, wrong = await opened(browser, 1280, color_scheme="light")
    await page.goto((SITE / "start.html").as_uri())
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    button = page.locator(".content-icon-container button.theme-toggle")
    for _ in range(3):
        await button.click()
        if await page.evaluate("document.body.dataset.theme") == "dark":
            break
    assert await page.evaluate(ground) != light
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("OutcomeUnknownError", "reference/errors.html"),
        ("resume killed run", "fleet_runs.html"),
        ("scope", "api.html"),
        ("webhooks secret", "events.html"),
        ("bulk_send", "bulk_send.html"),
        # Numbers are words, too.
        ("429", "reference/errors.html"),
        ("error 26", "reference/codes.html"),
        ("what raises OutcomeUnknownError", "reference/raised.html"),
        ("test without network", "testing.html"),
        ("receive delivery reports", "events.html"),
        ("limit the rate", "rate_control.html"),
        ("set a proxy", "client.html"),
        ("recordings of yesterday", "recipes/nightly_export.html"),
        ("messages crash", "messages.html"),
        ("supported Python", "versions.html"),
        ("report a vulnerability", "security.html"),
        ("--expect", "fleets.html"),
    ],
)
async def test_the_search_finds_without_a_server(browser: Any, words: str, page: str) -> None:
    view, wrong = await opened(browser, 1280)
    await view.goto((SITE / "index.html").as_uri())
    await view.get_by_role("searchbox").or_(view.locator("input[name=q]")).first.fill(words)
    await view.keyboard.press("Enter")
    await view.wait_for_function("/found|did not match/.test(document.querySelector('#search-results')?.innerText)")
    links = await view.eval_on_selector_all("ul.search li a", "all => all.map(each => each.getAttribute('href'))")
    found = list(dict.fromkeys(link.partition("?")[0].partition("#")[0] for link in links))
    assert page in found[:10]
    assert "changelog.html" not in found
    # Without a server the browser does not let the search show a piece of each page: it says so in the console.
    assert [each for each in wrong if each.startswith("http")] == []
