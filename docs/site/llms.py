"""What language models read: the text of each page beside its HTML, and `llms.txt`, an index of the pages.

The format of the index is that of https://llmstxt.org: a title, a summary, and lists of links with a line about each.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.builders.text import TextBuilder
from sphinx.environment import BuildEnvironment
from sphinx.writers.text import TextTranslator

_SUMMARY: Final = (
    "An asyncio Python client for the Wavix telecom API (numbers, messages, calls, 10DLC, 2FA, trunks, billing): "
    "honest retries, learned rate limits, bulk runs, fleets of numbers, webhooks, a sandbox for tests, a command line. "
    "It needs Python 3.11 or newer, and `async with WavixClient() as wavix:` is the entry to everything."
)


def keep_text(app: Sphinx, page: nodes.document, name: str) -> None:
    """Keep a page as plain text, with the headings of Markdown, if Sphinx generates a part of it."""
    if "{eval-rst}" in (Path(app.srcdir) / f"{name}.md").read_text(encoding="utf-8"):
        builder = TextBuilder(app, app.env)
        builder.init()
        translator = TextTranslator(page, builder)
        page.walkabout(translator)
        heading = re.compile(r"^(.+)\n([*=\-~])\2{2,}$", re.MULTILINE)
        _texts[name] = heading.sub(lambda found: f"{'#' * (1 + '*=-~'.index(found[2]))} {found[1]}", translator.body)


_texts: dict[str, str] = {}


def write_for_models(app: Sphinx, to: Path) -> None:
    """Write `llms.txt`, and the text of every page beside its HTML.

    A page that is written by hand is copied as Markdown. A page with entries that Sphinx generates has them only in the
    text that Sphinx makes of it.
    """
    for name in sorted(app.env.found_docs):
        if name in _texts:
            (to / f"{name}.md").write_text(_texts[name], encoding="utf-8")
        else:
            shutil.copyfile(Path(app.srcdir) / f"{name}.md", to / f"{name}.md")
    parts = ["# wavix_async", f"> {_SUMMARY}"]
    for caption, names in _sections(app.env):
        lines = [f"- [{app.env.titles[name].astext()}]({name}.md): {_about(to / f'{name}.md')}" for name in names]
        parts.append("\n".join([f"## {caption}", "", *lines]))
    (to / "llms.txt").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _sections(environment: BuildEnvironment) -> list[tuple[str, list[str]]]:
    """Return the captions of the tables of contents, each with its pages and those below them."""
    found = []
    for node in environment.get_doctree("index").findall(toctree):
        names: list[str] = []
        for _, name in node["entries"]:
            names += _below(environment, name)
        found.append((node["caption"], names))
    return found


def _below(environment: BuildEnvironment, name: str) -> list[str]:
    children = environment.toctree_includes.get(name, [])
    return [name, *(each for child in children for each in _below(environment, child))]


def _about(page: Path) -> str:
    """Return the first sentence of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    # Not a heading, a picture, a table, a comment, or the name of an entry.
    parts = [part for part in text.split("\n\n") if part.strip() and not re.match(r"[#!|<=(+]|\* |class |\s", part)]
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(parts[0].split())) if parts else ""
    return re.split(r"(?<=[.:]) (?=[A-Z])", plain)[0]
