"""The chart of the README, written by hand as SVG.

It brings its own background and switches text and background together: an image on GitHub follows the reader's system,
not the theme of the page, and text alone could end up dark on dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import BARE, OURS, RAW

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, LEFT, RIGHT = 840, 236, 190
ROW, BAR, PANEL_HEAD, MARGIN = 28, 18, 62, 24

STYLE = """
text { font-family: -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 13px; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.note { font-size: 12px; fill: #59636e }
.ground { fill: #ffffff; stroke: #d1d9e0 }
.ours { fill: #0969da } .bare { fill: #8c959f } .vendor { fill: #d1863a } .axis { stroke: #d1d9e0 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .note { fill: #9198a1 }
  .ground { fill: #0d1117; stroke: #3d444d }
  .ours { fill: #4493f8 } .bare { fill: #6e7681 } .vendor { fill: #db9d57 } .axis { stroke: #3d444d }
}
"""


@dataclass(frozen=True)
class Bar:
    label: str
    kind: str
    value: float
    text: str


@dataclass(frozen=True)
class Panel:
    title: str
    note: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        return PANEL_HEAD + ROW * len(self.bars) + 14


def render(results: dict[str, Any]) -> str:
    """Draw what was measured; a contender that failed has no bar but says so."""
    panels = [*_requests(results.get("requests")), *_decode(results.get("decode"))]
    about = results["environment"]
    foot = (
        f"{about['implementation']} {about['python']}, aiohttp {about['versions']['aiohttp']}, {about['cores']} cores,"
        f" {'with' if about['speedups'] else 'without'} orjson, one local server in its own process"
    )
    height = sum(panel.height for panel in panels) + 2 * MARGIN + 12
    drawn, top = [], MARGIN
    for panel in panels:
        drawn += _draw(panel, top)
        top += panel.height
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
            ' role="img" aria-labelledby="summary">',
            f'<title id="summary">{escape("; ".join(panel.title for panel in panels))}</title>',
            f"<style>{STYLE}</style>",
            f'<rect class="ground" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
            *drawn,
            f'<text class="note" x="{MARGIN}" y="{height - 16}">{escape(foot)}</text>',
            "</svg>",
            "",
        ]
    )


def _requests(section: dict[str, Any] | None) -> list[Panel]:
    if not section:
        return []
    rates, costs = [], []
    for key, figures in section["contenders"].items():
        if key == RAW:
            continue
        kind = "bare" if key == BARE else "ours" if key in OURS else "vendor"
        if "error" in figures:
            rates.append(Bar(figures["title"], kind, 0, "failed"))
            costs.append(Bar(figures["title"], kind, 0, "failed"))
            continue
        ratio = f"  ({figures['ratio']:.2f}x bare)" if "ratio" in figures and key != BARE else ""
        rates.append(Bar(figures["title"], kind, figures["per_second"], f"{figures['per_second']:,.0f}/s{ratio}"))
        costs.append(Bar(figures["title"], kind, figures["cpu_us"], f"{figures['cpu_us']:,.0f} µs"))
    how = f"medians of {section['rounds']} alternating rounds of {section['requests']:,}, 64 at a time"
    return [
        Panel("Numbers updated per second", f"More is better; {how}", rates),
        Panel("CPU time per update", "Less is better; the client's process, same rounds", costs),
    ]


def _decode(section: dict[str, Any] | None) -> list[Panel]:
    if not section:
        return []
    bars = [
        Bar(figures["title"], reader, figures.get("page_json", 0), f"{figures['page_json'] / 1000:.2f} ms")
        if "error" not in figures
        else Bar(figures["title"], reader, 0, "failed")
        for reader, figures in section.items()
    ]
    return [Panel("Reading a page of 100 numbers", "Less is better; JSON text to models", bars)]


def _draw(panel: Panel, top: int) -> list[str]:
    room = WIDTH - LEFT - RIGHT
    longest = max((bar.value for bar in panel.bars), default=0) or 1
    first = top + PANEL_HEAD - 12
    drawn = [
        f'<text class="title" x="{MARGIN}" y="{top + 14}">{escape(panel.title)}</text>',
        f'<text class="note" x="{MARGIN}" y="{top + 33}">{escape(panel.note)}</text>',
        f'<path class="axis" d="M{LEFT - 0.5} {first - 4}v{ROW * len(panel.bars) - 2}"/>',
    ]
    for place, bar in enumerate(panel.bars):
        y = first + ROW * place
        width = max(1.0, room * bar.value / longest) if bar.value else 0
        drawn += [
            f'<text x="{LEFT - 12}" y="{y + 14}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{bar.kind}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{LEFT + width + 8:.1f}" y="{y + 14}">{escape(bar.text)}</text>',
        ]
    return drawn
