"""Copies every page of the site into one directory, where Sphinx reads it.

The pages of `docs/` link each other, the README and the examples by relative paths, so that the links work in any view
of the repository. On the site, the pages have other places: this module gives each file its place, and changes the
links.
"""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from docs.site import commands, reference

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
ROOT_PAGES: Final = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
# The history mentions every word: it would be among the first that a search finds.
_NOT_SEARCHED: Final = "---\nno-search: true\n---\n"
COPIED: Final = {".svg", ".png", ".ipynb"}

# A list of pages that is written by hand, such as that of the recipes, has all pages of its directory below it.
_PAGES_BESIDE: Final = "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"
_GLOB: Final = re.compile(r"[\w/]*\*")
_LINK: Final = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCE: Final = re.compile(r"^( *)(```+|~~~+).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_GENERATED: Final = re.compile(r"^<!-- generated: (\S+)(?: (.+))? -->$", re.MULTILINE)


def stage(to: Path) -> list[str]:
    """Write all pages into an empty directory, and return their names without `.md`, sorted."""
    for source, place in _pages().items():
        target = to / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            text = source.read_text(encoding="utf-8")
            front = _NOT_SEARCHED if source.name == "CHANGELOG.md" else ""
            target.write_text(front + _filled(_relinked(text, source, place, to)), encoding="utf-8")
        else:
            shutil.copyfile(source, target)
    for example in _examples():
        _write_example(example, to)
    for place, text in (*reference.pages(), *commands.pages()):
        target = to / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for index in to.rglob("index.md"):
        if "{toctree}" not in index.read_text(encoding="utf-8"):
            with index.open("a", encoding="utf-8") as page:
                page.write(_PAGES_BESIDE)
    names = sorted(str(path.relative_to(to).with_suffix("").as_posix()) for path in to.rglob("*.md"))
    for index in to.rglob("index.md"):
        _drop_empty_globs(index, [name for name in names if (to / name).is_relative_to(index.parent)], to)
    return names


def _drop_empty_globs(index: Path, names: list[str], to: Path) -> None:
    """Remove the globs of a table of contents that match no page which it does not name: Sphinx would warn of them."""
    lines = index.read_text(encoding="utf-8").splitlines()
    pages = {os.path.relpath(to / name, index.parent).replace(os.sep, "/") for name in names} - {"index", *lines}
    kept = [line for line in lines if not _GLOB.fullmatch(line) or any(_matches(page, line) for page in pages)]
    index.write_text("\n".join([*kept, ""]), encoding="utf-8")


def _matches(page: str, glob: str) -> bool:
    return fnmatch.fnmatch(page, glob) and page.count("/") == glob.count("/")


def _pages() -> dict[Path, str]:
    """Return the place of every file of `docs/` and of the pages at the root."""
    found = {ROOT / name: name.lower() for name in ROOT_PAGES}
    for path in sorted(DOCS.rglob("*")):
        inside = path.relative_to(DOCS)
        if path.suffix in {".md", *COPIED} and inside.parts[0] not in {"site", "build"}:
            found[path] = inside.as_posix()
    return found


def _examples() -> list[Path]:
    return sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir() and list(path.glob("*.py")))


def _write_example(example: Path, to: Path) -> None:
    """Write the page of an example: its README, and its source."""
    place = f"examples/{example.name}.md"
    readme = example / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.exists() else f"# Example: {example.name}\n"
    parts = [_relinked(text, readme, place, to)]
    for file in sorted(example.glob("*.py")):
        code = file.read_text(encoding="utf-8")
        if code.strip():
            parts.append(f"## {file.name}\n\n````python\n{code.rstrip()}\n````\n")
    (to / "examples").mkdir(exist_ok=True)
    (to / place).write_text("\n".join(parts), encoding="utf-8")


def _relinked(text: str, source: Path, place: str, to: Path) -> str:
    """Return the text of a page with links that lead to the places of the site."""

    def relinked(found: re.Match[str]) -> str:
        target, _, anchor = found[2].partition("#")
        if not target or "://" in target or target.startswith(("mailto:", "/")):
            return found[0]
        there = _place_of((source.parent / target).resolve(), to)
        path = os.path.relpath(there, Path(place).parent).replace(os.sep, "/")
        return f"{found[1]}{path}{'#' if anchor else ''}{anchor}{found[3]}"

    return _outside_code(text, lambda part: _LINK.sub(relinked, part))


def _place_of(path: Path, to: Path) -> str:
    """Return where a file of the repository is on the site; a file that is no page is copied."""
    inside = path.relative_to(ROOT)
    if path in (known := _pages()):
        return known[path]
    if inside.as_posix() == "README.md":
        return "index.md"
    if inside.parts[0] == "examples" and (path.is_dir() or path.name == "README.md"):
        return f"examples/{inside.parts[1]}.md"
    copy = to / "files" / inside
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    return f"files/{inside.as_posix()}"


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [change(text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, change(text[end:])])


def _filled(text: str) -> str:
    """Return the text with its `<!-- generated: ... -->` lines replaced."""

    def generated(found: re.Match[str]) -> str:
        return commands.table() if found[1] == "commands" else reference.generated(found[1], found[2] or "")

    return _GENERATED.sub(generated, text)
