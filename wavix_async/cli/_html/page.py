"""Build an HTML page in one file, without scripts and other resources, with styles for light, dark and print.

`element` escapes every text that is not `Markup`, so callers never escape anything themselves.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any, Final, TypeAlias

__all__ = ["Markup", "bar", "element", "facts", "page", "row", "section", "share_bar", "table", "tile"]


class Markup(str):
    """Text that is HTML already: it is not escaped again."""

    __slots__ = ()


Child: TypeAlias = "Markup | str | int | Iterable[Child] | None"


def element(tag: str, /, *children: Child, **attributes: object) -> Markup:
    """Return an element; children that are not `Markup` are escaped.

    Args:
        tag: The name of the element.
        children: Its content; None adds nothing.
        attributes: Its attributes, with `cls` for `class` and `_` for `-`; None adds nothing.
    """
    attribute_text = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{_escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{attribute_text}>")
    return Markup(f"<{tag}{attribute_text}>{_render(children)}</{tag}>")


_VOID: Final = frozenset({"meta", "br", "col"})


def _render(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int):
        return _escape(str(child))
    return "".join(map(_render, child))


def _escape(text: str) -> str:
    if not text.isprintable():
        text = "".join(map(_escape_invisible, text))
    return escape(text)


def _escape_invisible(character: str) -> str:
    """Escape an invisible character: some of them change the direction of the text around them."""
    if character == "\n" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character
    return f"\\u{ord(character):04x}"


# --- parts ---


def tile(label: str, value: int, kind: str | None, note: str) -> Markup:
    """Return a count in large type, dim if it is zero.

    Args:
        label: The name of the count.
        value: The count.
        kind: The CSS class that sets the color, or None.
        note: What the count means.
    """
    return element(
        "li",
        element("span", label, cls="label"),
        element("span", f"{value:,}", cls="value"),
        element("span", note, cls="note"),
        cls=f"tile {kind or ''}{' nought' * (not value)}",
    )


def bar(parts: Sequence[tuple[str, int, str]]) -> Markup:
    """Return a bar, divided in proportion to the counts.

    Args:
        parts: Label, count and CSS class of each part.
    """
    total = sum(count for _, count, _ in parts)
    if not total:
        return Markup("")
    pieces = [
        element("span", cls=kind, style=f"flex-grow:{count}", title=f"{label}: {count:,}")
        for label, count, kind in parts
        if count
    ]
    words = ", ".join(f"{label} {count:,}" for label, count, _ in parts if count)
    return element("div", pieces, cls="whole", role="img", aria_label=words)


def share_bar(count: int, largest: int) -> Markup:
    """Return a bar whose length is a count relative to the largest count."""
    share = 100 * count / largest if largest else 0.0
    return element("span", element("span", style=f"width:{share:.2f}%"), cls="share", aria_hidden="true")


def table(
    columns: Sequence[tuple[str, str]], groups: Iterable[tuple[Sequence[Child], Sequence[Sequence[Child]]]]
) -> Markup:
    """Return a table.

    Args:
        columns: The title and the CSS class of each column.
        groups: The cells that the rows of a group share, and the other cells of each of its rows.
    """
    head = element("tr", [element("th", title, scope="col", cls=kind) for title, kind in columns])
    rows = (row for shared, others in groups for row in _rows(columns, shared, others))
    return element("div", element("table", element("thead", head), element("tbody", list(rows))), cls="wide")


def row(*cells: Child) -> tuple[Sequence[Child], Sequence[Sequence[Child]]]:
    """Return a row of a table as a group of its own."""
    return cells, [()]


def _rows(
    columns: Sequence[tuple[str, str]], shared: Sequence[Child], others: Sequence[Sequence[Child]]
) -> Iterator[Markup]:
    span = len(others) if len(others) > 1 else None
    for index, cells in enumerate(others):
        first = zip(shared if index == 0 else (), columns, strict=False)
        rest = zip(cells, columns[len(shared) :], strict=True)
        yield element(
            "tr",
            [element("td", cell, cls=kind, rowspan=span) for cell, (_, kind) in first],
            [element("td", cell, cls=kind) for cell, (_, kind) in rest],
            cls="more" if index < len(others) - 1 else None,
        )


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Return a list of labels and values."""
    return element("dl", [[element("dt", label), element("dd", value)] for label, value in pairs])


def section(title: str, *children: Child, note: Child = None) -> Markup:
    """Return a section of the page, with a heading."""
    return element("section", element("h2", title), element("p", note, cls="note") if note else None, children)


def page(title: str, *children: Child) -> str:
    """Return the whole document."""
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        # Whatever the data contains, the browser loads nothing and runs no script.
        element("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        element("title", title),
        Markup(f"<style>{_STYLE}</style>"),
    ]
    whole: Any = element("html", element("head", head), element("body", element("main", children)), lang="en")
    return f"<!doctype html>\n{whole}\n"


_STYLE: Final = """
:root {
  --ground: #ffffff; --raised: #f6f8fa; --line: #d9dee3; --text: #1f2328; --dim: #5b646e; --accent: #0969da;
  --updated: #1a7f37; --failed: #c21f2c; --unknown: #7c46cf; --pending: #9a6700; --not-sent: #6b7580;
  --unchanged: #aeb6bf; --pause: #f3e3b4;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #0d1117; --raised: #151b23; --line: #313943; --text: #e9eef4; --dim: #98a2ad; --accent: #5aa0f7;
    --updated: #3fb950; --failed: #f76a63; --unknown: #b28af5; --pending: #d9a02f; --not-sent: #8b95a0;
    --unchanged: #4c5661; --pause: #41371b;
  }
}
* { box-sizing: border-box }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 15px/1.5 -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; font-variant-numeric: tabular-nums;
}
main { max-width: 1080px; margin: 0 auto; padding: 48px 24px 64px }
h1 { margin: 0; font-size: 28px; line-height: 1.25; font-weight: 600; overflow-wrap: anywhere }
h2 { margin: 0 0 4px; font-size: 17px; font-weight: 600 }
p { margin: 0 }
section { margin-top: 44px }
section > .wide, section > ul, section > dl, section > figure, section > .whole { margin-top: 14px }
.kind { color: var(--dim); font-size: 13px; font-weight: 600; margin-bottom: 2px }
.about, .note { color: var(--dim); font-size: 13.5px }
.about { margin-top: 6px; overflow-wrap: anywhere }
.verdict { margin-top: 26px; padding: 12px 16px; border-left: 4px solid var(--not-sent); background: var(--raised) }
.verdict strong { font-size: 17px; font-weight: 600 }
.verdict p { color: var(--dim); font-size: 13.5px; margin-top: 2px; overflow-wrap: anywhere }
.verdict.good { border-color: var(--updated) } .verdict.bad { border-color: var(--failed) }
.verdict.open { border-color: var(--pending) } .verdict.running { border-color: var(--accent) }
.tiles {
  list-style: none; margin: 14px 0 0; padding: 0; display: grid; gap: 1px;
  padding: 1px; border-radius: 6px; overflow: hidden;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr));
}
.tile { box-shadow: 0 0 0 1px var(--line); padding: 14px 16px 13px; display: flex; flex-direction: column }
.label { font-size: 13px; color: var(--dim) }
.value { font-size: 26px; line-height: 1.3; font-weight: 600 }
.tile .note { font-size: 12.5px; line-height: 1.4 }
.updated .value { color: var(--updated) } .failed .value { color: var(--failed) }
.unknown .value { color: var(--unknown) } .pending .value { color: var(--pending) }
.tile.nought .value { color: var(--dim); font-weight: 400 }
.whole { display: flex; height: 10px; border-radius: 5px; overflow: hidden; gap: 1px }
.whole span { min-width: 3px; flex-basis: 0 } .whole .updated { background: var(--updated) }
.whole .failed { background: var(--failed) } .whole .unknown { background: var(--unknown) }
.whole .pending { background: var(--pending) } .whole .not-sent { background: var(--not-sent) }
.whole .unchanged { background: var(--unchanged) }
.share { display: block; height: 8px; min-width: 160px; margin-top: 7px }
.share span { display: block; height: 8px; min-width: 2px; border-radius: 2px; background: var(--accent) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: 14px }
th { text-align: left; font-weight: 600; font-size: 13px; color: var(--dim); white-space: nowrap }
th, td { padding: 6px 16px 6px 0; vertical-align: top; border-bottom: 1px solid var(--line) }
th:last-child, td:last-child { padding-right: 0 }
tr.more td:not([rowspan]) { border-bottom: 0; padding-bottom: 0 }
td { overflow-wrap: anywhere }
td.id, td.tight, th.tight { white-space: nowrap; overflow-wrap: normal }
.count { text-align: right; white-space: nowrap }
td.stretch, th.stretch { width: 100% }
td.before { color: var(--dim) }
th.value-cell { width: 34% } td.value-cell { min-width: 150px } td.reason { min-width: 300px }
.dim { color: var(--dim) }
.status { white-space: nowrap } .status::before {
  content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%; margin-right: 7px;
  background: var(--not-sent);
}
.status.updated::before { background: var(--updated) } .status.failed::before { background: var(--failed) }
.status.unknown::before { background: var(--unknown) } .status.pending::before { background: var(--pending) }
.status.unchanged::before { background: var(--unchanged) }
ul.lines { margin-bottom: 0; padding-left: 18px; font-size: 14px } ul.lines li { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 24px; margin-bottom: 0; font-size: 14px }
dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
code { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
figure { margin: 0 }
svg { display: block; width: 100%; height: auto; overflow: visible }
svg text { font-size: 12px; fill: var(--dim) } svg .grid { stroke: var(--line) }
svg .pause { fill: var(--pause) } svg .done { fill: var(--accent); fill-opacity: 0.16 }
svg .edge { fill: none; stroke: var(--accent); stroke-width: 1.5; stroke-linejoin: round }
svg .sent { fill: none; stroke: var(--dim); stroke-width: 1 }
svg .allowed { fill: none; stroke: var(--text); stroke-width: 1; stroke-dasharray: 2 4 }
svg .refused { fill: var(--failed) }
figcaption { display: flex; flex-wrap: wrap; gap: 4px 22px; margin-top: 10px; font-size: 13px; color: var(--dim) }
figcaption svg { display: inline-block; width: 18px; height: 10px; margin-right: 7px }
footer { margin-top: 48px; padding-top: 14px; border-top: 1px solid var(--line); color: var(--dim); font-size: 12.5px }
@media screen and (max-width: 800px) {
  main { padding: 28px 16px 40px } dl { grid-template-columns: 1fr } dt { margin-top: 6px }
  /* Each cell is a line with its label: beside each other, the columns would need more than the width of a phone. */
  thead { display: none } table, tbody, tr, td { display: block }
  tr { padding: 6px 0; border-bottom: 1px solid var(--line) } tr.more { border: 0 } .wide { overflow: visible }
  td, td.id, td.tight, td.value-cell, td.reason, .count {
    position: relative; min-width: 0; min-height: 1.5em; padding: 0 0 0 84px; border: 0; text-align: left;
    white-space: normal; overflow-wrap: anywhere;
  }
  td::before { position: absolute; left: 0; color: var(--dim); font-size: 13px }
  td.id::before { content: "Id" } td.number::before { content: "Number" } td.state::before { content: "Status" }
  td.field::before { content: "Field" } td.before::before { content: "From" } td.after::before { content: "To" }
  td.new::before { content: "New value" } td.numbers::before { content: "Numbers" }
  td.attempts::before { content: "Attempts" } td.reason::before { content: "Reason" }
  figure > svg text { font-size: 20px }
}
@page { margin: 14mm }
@media print {
  :root { color-scheme: light; --raised: #ffffff; --line: #cfd5db; --text: #000000; --dim: #444b52 }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact }
  body { font-size: 9.5pt } table { font-size: 9pt } main { max-width: none; padding: 0 } .wide { overflow: visible }
  thead { display: table-header-group } tr, .tile, figure, .verdict { break-inside: avoid } h2 { break-after: avoid }
}
"""
