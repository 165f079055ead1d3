"""Draw the README's charts as SVG.

A chart has its own background and switches text and background together. An image on GitHub follows the reader's system
setting, not the theme of the page, so without a background the text could be dark on dark.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import BARE, OURS, RAW
from benchmarks.live import WORKERS
from benchmarks.reliability import BY_HAND, POSTS, VENDOR, VENDOR_HTTPX
from benchmarks.reliability import OURS as OUR

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH, LEFT, RIGHT = 840, 236, 190
ROW, BAR, PANEL_HEAD, MARGIN = 28, 18, 62, 24
CLOSE_ROW, CLOSE_BAR, GROUP_GAP, CLOSE_RIGHT = 18, 13, 12, 210

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
    """Draw the speed results; a contender that failed has no bar, only the word "failed"."""
    panels = [*_requests(results.get("requests")), *_decode(results.get("decode"))]
    about = results["environment"]
    foot = (
        f"{about['implementation']} {about['python']}, aiohttp {about['versions']['aiohttp']}, {about['cores']} cores,"
        f" {'with' if about['speedups'] else 'without'} orjson, one local server in its own process"
    )
    drawn, top = [], MARGIN
    for panel in panels:
        drawn += _draw(panel, top)
        top += panel.height
    return _page([panel.title for panel in panels], drawn, top, foot)


def render_reliability(results: dict[str, Any]) -> str:
    """Draw how many items ended correctly in each scenario, and how many messages were sent more than once."""
    shown = [
        (heard, [(title, runs) for title, runs in heard["clients"].items() if title in KINDS])
        for heard in results["scenarios"].values()
    ]
    groups = [
        (heard["label"], [_right(title, runs, results["items"]) for title, runs in clients])
        for heard, clients in shown
        if not heard["post"]
    ]
    # Of the scenarios with messages, one: its bars have no room for the name of a scenario.
    messages = [_twice(title, runs) for heard, clients in shown if heard["label"] == POSTS for title, runs in clients]
    about = results["environment"]
    how = f"medians of {results['runs']} runs" if results["runs"] > 1 else "one run"
    foot = (
        f"{results['items']} items, {WORKERS} at a time, {how}; {about['implementation']} {about['python']},"
        f" aiohttp {about['versions']['aiohttp']}, each client and server in its own process"
    )
    drawn, top, titles = [], MARGIN, []
    if groups:
        titles.append("Items that ended correctly: done, and reported as done")
        drawn += _draw_groups(Panel(titles[-1], "More is better; the server counts what is done", ()), groups, top)
        top += PANEL_HEAD + sum(_group_height(bars) for _, bars in groups) + 6
    if messages:
        titles.append("Messages sent more than once")
        note = f"Less is better; {results['items']} POSTs, 5 % of which are carried out but lose their response"
        panel = Panel(titles[-1], note, messages)
        drawn += _draw(panel, top)
        top += panel.height
    return _page(titles, drawn, top, foot)


KINDS = {OUR.title: "ours", VENDOR.title: "vendor", VENDOR_HTTPX.title: "vendor", BY_HAND.title: "bare"}
"""The clients in the chart: variants of a client's settings, and a client without retries, would add nothing."""


def _right(title: str, runs: list[dict[str, Any]], items: int) -> Bar:
    if any("error" in run for run in runs):
        return Bar(title, KINDS[title], 0, "failed")
    share = statistics.median(run["right"] for run in runs) / items
    # Round down, so that only a complete result shows 100 %.
    return Bar(title, KINDS[title], share, f"{math.floor(share * 1000) / 10:g} %")


def _twice(title: str, runs: list[dict[str, Any]]) -> Bar:
    if any("error" in run for run in runs):
        return Bar(title, KINDS[title], 0, "failed")
    times, unknown, failed = (
        statistics.median(run[key] for run in runs) for key in ("twice", "unknown", "false_failures")
    )
    told = [f"{unknown:g} reported as unknown"] * bool(unknown) + [f"{failed:g} sent but reported as failed"] * bool(
        failed
    )
    return Bar(title, KINDS[title], times, "; ".join([f"{times:g}", *told]))


def _page(titles: Sequence[str], drawn: Sequence[str], top: int, foot: str) -> str:
    height = top + MARGIN + 12
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
            ' role="img" aria-labelledby="summary">',
            f'<title id="summary">{escape("; ".join(titles))}</title>',
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


def _head(panel: Panel, top: int) -> list[str]:
    return [
        f'<text class="title" x="{MARGIN}" y="{top + 14}">{escape(panel.title)}</text>',
        f'<text class="note" x="{MARGIN}" y="{top + 33}">{escape(panel.note)}</text>',
    ]


def _group_height(bars: Sequence[Bar]) -> int:
    return CLOSE_ROW * len(bars) + GROUP_GAP


def _draw_groups(panel: Panel, groups: Sequence[tuple[tuple[str, str], Sequence[Bar]]], top: int) -> list[str]:
    """Draw groups of bars: the label of the group on the left, the name of each client on the right."""
    drawn, y = _head(panel, top), top + PANEL_HEAD - 12
    for (label, note), bars in groups:
        drawn += [
            f'<text x="{LEFT - 12}" y="{y + 18}" text-anchor="end">{escape(label)}</text>',
            f'<text class="note" x="{LEFT - 12}" y="{y + 35}" text-anchor="end">{escape(note)}</text>',
            f'<path class="axis" d="M{LEFT - 0.5} {y - 2}v{CLOSE_ROW * len(bars)}"/>',
        ]
        for bar in bars:
            width = (WIDTH - LEFT - CLOSE_RIGHT) * bar.value
            drawn += [
                f'<rect class="{bar.kind}" x="{LEFT}" y="{y}" width="{width:.1f}" height="{CLOSE_BAR}" rx="2"/>',
                f'<text x="{LEFT + width + 8:.1f}" y="{y + 11}">{escape(bar.text)}'
                f'<tspan class="note" dx="8">{escape(bar.label)}</tspan></text>',
            ]
            y += CLOSE_ROW
        y += GROUP_GAP
    return drawn


def _draw(panel: Panel, top: int) -> list[str]:
    room = WIDTH - LEFT - RIGHT
    longest = max((bar.value for bar in panel.bars), default=0) or 1
    first = top + PANEL_HEAD - 12
    drawn = [
        *_head(panel, top),
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
