"""Draws the pictures of the docs from their DOT sources: `python -m docs.site.pictures`. It needs Graphviz (`dot`).

The pictures are committed. Each one names the hash of its source, so that a test finds a picture that is out of date.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).parents[1] / "pictures"

# The same colours as the charts of the benchmarks. A picture has a ground of its own: it can be read on any page, also
# if the page is dark and the browser's setting is light.
_STYLE: Final = """
text { font-family: -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2328 }
.edge text { font-size: 12px; fill: #59636e }
.graph > text { font-size: 15px; font-weight: 600 }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.node path, .node polygon, .node ellipse { fill: #f6f8fa; stroke: #818b98 }
.end path { fill: #ddf4ff; stroke: #0969da } .good path { fill: #dafbe1; stroke: #1a7f37 }
.bad path { fill: #ffebe9; stroke: #cf222e } .file path { fill: #fff8c5; stroke: #9a6700 }
.edge path { fill: none; stroke: #59636e } .edge polygon { fill: #59636e; stroke: #59636e }
.aside path { stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .edge text { fill: #9198a1 }
  .ground { fill: #0d1117; stroke: #3d444d }
  .node path, .node polygon, .node ellipse { fill: #151b23; stroke: #656c76 }
  .end path { fill: #0c2d6b; stroke: #4493f8 } .good path { fill: #04260f; stroke: #3fb950 }
  .bad path { fill: #3c0614; stroke: #f85149 } .file path { fill: #341a00; stroke: #d29922 }
  .edge path { stroke: #9198a1 } .edge polygon { fill: #9198a1; stroke: #9198a1 }
}
"""
_ATTRIBUTES: Final = (
    *("-Gfontname=Helvetica", "-Gfontsize=15", "-Glabelloc=t", "-Glabeljust=l", "-Gpad=0.25", "-Gnodesep=0.35"),
    *("-Granksep=0.4", "-Nfontname=Helvetica", "-Nfontsize=13", "-Nshape=box", "-Nstyle=rounded", "-Nmargin=0.16,0.09"),
    *("-Efontname=Helvetica", "-Efontsize=12", "-Earrowsize=0.7"),
)


def digest(source: str) -> str:
    """Return the hash of a source together with the style: what a picture is made of."""
    return hashlib.sha256("\0".join([source, _STYLE, *_ATTRIBUTES]).encode()).hexdigest()


def sources() -> list[Path]:
    """Return the sources of the pictures."""
    return sorted(DIRECTORY.glob("*.dot"))


def drawn(source: Path) -> str:
    """Return the picture of a source as SVG."""
    text = source.read_text(encoding="utf-8")
    # Graphviz puts the text of an arrow right beside its line.
    spaced = re.sub(r'(?<=-> )(\w+ \[label=")([^"]*)', lambda found: found[1] + _padded(found[2]), text)
    done = subprocess.run(["dot", "-Tsvg", *_ATTRIBUTES], input=spaced, capture_output=True, text=True, check=True)
    svg = done.stdout[done.stdout.index("<svg") :]
    # Colours come from the style, which knows dark pages; the comments and the titles of Graphviz only repeat names.
    svg = re.sub(r"<!--.*?-->\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<title>.*?</title>\n?", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:fill|stroke|font-family|font-size)="[^"]*"', "", svg)
    svg = re.sub(r' id="\w+"', "", svg)
    svg = svg.replace("<polygon ", '<polygon class="ground" ', 1)
    svg = re.sub(r'width="(\d+)pt" height="(\d+)pt"', r'width="\1" height="\2" role="img"', svg)
    found = re.search(r'label="([^"]*)"', text)
    title = found[1] if found else source.stem
    head, _, rest = svg.partition(">\n")
    return f"{head}>\n<!-- source: {digest(text)} -->\n<title>{title}</title>\n<style>{_STYLE}</style>\n{rest}"


def _padded(label: str) -> str:
    return "\\n".join(f" {line} " for line in label.split("\\n"))


def main() -> None:
    for source in sources():
        source.with_suffix(".svg").write_text(drawn(source), encoding="utf-8")


if __name__ == "__main__":
    main()
