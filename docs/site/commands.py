"""The pages of the command line: cyclopts writes them from the commands, one page a group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from wavix_async.cli._app import _make_app

_COMMAND: Final = "wavix-async"


def pages() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of the page of each group of commands, and of their list."""
    # Only for `completion` are all commands made in full.
    text = _make_app(["completion"]).generate_docs(usage_name=_COMMAND)
    head, *groups = re.split(rf"^(?=## {_COMMAND} )", text, flags=re.MULTILINE)
    rows = []
    for group in groups:
        title, _, body = group.partition("\n")
        name = title.removeprefix(f"## {_COMMAND} ").strip()
        # The title of a page is a heading of the first level, and nothing skips a level below it.
        body = re.sub(r"^##(#+ )", r"#\1", body, flags=re.MULTILINE)
        yield f"reference/commands/{name}.md", f"# {_COMMAND} {name}\n{body}"
        summary = body.partition("```\n\n")[2].partition("\n")[0]
        rows.append(f"| [`{_COMMAND} {name}`](commands/{name}.md) | {summary} |")
    about = head.partition("## Table of Contents")[0].partition("\n")[2]
    table = "\n".join(["| command | what it does |", "|---|---|", *rows])
    toc = "```{toctree}\n:hidden:\n:glob:\n\ncommands/*\n```"
    yield "reference/commands.md", f"# Commands\n{about}\n{table}\n\n{toc}\n"
