"""Tables on a narrow screen: a row becomes a short list, in which each cell says of which column it is."""

from __future__ import annotations

import re
from typing import Any, Final

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

_LONG: Final = {True: 30, False: 46}
"""From this many characters on, code in a table may break anywhere: a path, and other code."""


def label(app: Sphinx, page: nodes.document, name: str) -> None:
    """Give each cell the title of its column, and each table of names and texts the class `stack`."""
    for table in page.findall(nodes.table):
        heads = [row for head in table.findall(nodes.thead) for row in head.findall(nodes.row)]
        titles = [cell.astext() for cell in heads[0].findall(nodes.entry)] if heads else []
        rows = [
            list(row.findall(nodes.entry)) for body in table.findall(nodes.tbody) for row in body.findall(nodes.row)
        ]
        for row in rows:
            for title, cell in zip(titles[1:], row[1:], strict=False):
                cell["label"] = title
                if not cell.astext():
                    cell["classes"].append("empty")
        if _has_text(rows):
            table["classes"].append("stack")
        for literal in table.findall(nodes.literal):
            text = literal.astext()
            if len(text) >= _LONG["/" in text]:
                literal["classes"].append("long")


def _has_text(rows: list[list[nodes.entry]]) -> bool:
    """Return whether rows have a name, and are not measurements, which are compared column by column."""
    named = sum(bool(list(row[0].findall(nodes.literal))) for row in rows)
    texts = [cell.astext() for row in rows for cell in row[1:] if cell.astext()]
    figures = sum(bool(re.match(r"[\d<>~]+[\d.,]*(\D|$)", text)) for text in texts)
    is_wide = any(len(row) > 2 for row in rows)
    return (named * 2 > len(rows) or is_wide) and figures * 3 < len(texts)


class Translator(HTML5Translator):
    """Writes the title of its column into each cell, where the style sheet finds it."""

    def visit_entry(self, node: Any) -> None:
        """Begin a cell."""
        super().visit_entry(node)
        if title := node.get("label"):
            self.body[-1] = self.body[-1].replace("<td", f'<td data-label="{self.attval(title)}"', 1)
