"""The pages of the command line: cyclopts writes them from the commands, one page a group."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Final
from unittest import mock

from wavix_async.cli._app import _make_app

_COMMAND: Final = "wavix-async"


@cache
def _groups() -> dict[str, str]:
    """Return the text of each group of commands, with its title, by name."""
    # cyclopts takes the name of the running program from here.
    with mock.patch.object(sys, "argv", [_COMMAND]):
        # Only for `completion` are all commands made in full.
        text = _make_app(["completion"]).generate_docs(usage_name=_COMMAND)
    _, *groups = re.split(rf"^(?=## {_COMMAND} )", text, flags=re.MULTILINE)
    # The title of a page is a heading of the first level, and nothing skips a level below it.
    lowered = [re.sub(r"^#(#+ )", r"\1", group, flags=re.MULTILINE) for group in groups]
    return {group.partition("\n")[0].removeprefix(f"# {_COMMAND} ").strip(): group for group in lowered}


def pages() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of the page of each group of commands."""
    for name, text in _groups().items():
        yield f"reference/commands/{name}.md", text


def table() -> str:
    """Return a table of the groups, for `reference/commands.md`."""
    rows = []
    for name, text in _groups().items():
        summary = text.partition("```\n\n")[2].partition("\n")[0]
        rows.append(f"| [`{_COMMAND} {name}`](commands/{name}.md) | {summary} |")
    toc = "```{toctree}\n:hidden:\n:glob:\n\ncommands/*\n```"
    return "\n".join(["| command | what it does |", "|---|---|", *rows, "", toc])
