"""Every relative link of the docs leads to a file, and to a heading in it."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        leads_to = (path.parent / file).resolve() if file else path
        assert leads_to.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", leads_to.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target


def test_every_page_is_in_the_table_of_contents() -> None:
    """A page that the site does not list is one that readers do not find."""
    entries: list[str] = []
    for index in (ROOT / "docs").rglob("index.md"):
        place = index.parent.relative_to(ROOT / "docs")
        if "{toctree}" not in index.read_text("utf-8"):
            entries.append(f"{place.as_posix()}/*")  # the site adds all pages of the directory
        for listed in re.findall(r"^```\{toctree\}\n(?::.*\n)*\n([^`]*)^```$", index.read_text("utf-8"), re.MULTILINE):
            entries += [(place / entry).as_posix() for entry in listed.split()]
    for page in sorted((ROOT / "docs").rglob("*.md")):
        name = page.relative_to(ROOT / "docs").with_suffix("").as_posix()
        assert name == "index" or any(fnmatch.fnmatch(name, entry) for entry in entries), name


def test_the_readme_leads_to_the_site() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(docs/index.md)" in text
    assert "(docs/start.md)" in text
