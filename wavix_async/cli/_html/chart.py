"""Draw the chart of a run: its speed, the throttled requests, and the pauses."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import attrs

from wavix_async.cli._html.page import Child, Markup, element
from wavix_async.cli._output import format_duration
from wavix_async.fleet import Sample

__all__ = ["run_chart"]


@attrs.frozen
class _Span:
    """The speed between two samples, per second."""

    start: float
    end: float
    done: float
    requests: float
    refused: int
    rate: float | None

    @property
    def length(self) -> float:
        return self.end - self.start


_WIDTH: Final = 1032
_LEFT: Final = 60
_RIGHT: Final = 8
_TOP: Final = 14
_HEIGHT: Final = 190
_GAP: Final = 30
_STRIP: Final = 42
_FOOT: Final = 24
_MAX_SPANS: Final = 240
# Samples are a second apart. In a longer gap, no process worked on the run.
_GAP_SECONDS: Final = 10.0
# The last sample of a process comes at any moment: a few results within milliseconds are no speed.
_SHORTEST: Final = 0.5
# A peak of more than twice the usual speed is cut off, because the chart would show nothing else.
_USUAL: Final = 0.95
_PEAK: Final = 2.0
_STEPS: Final = (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8)
_TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
_MAX_TICKS: Final = 8


def run_chart(samples: Sequence[Sample]) -> Markup | None:
    """Return the chart with its legend, or None if there are too few samples.

    Args:
        samples: The progress of the run, oldest first.
    """
    spans = _spans(samples)
    if not spans:
        return None
    runs = [_merge_spans(run) for run in _split_at_gaps(spans, len(spans) / _MAX_SPANS)]
    pauses = _pauses(samples)
    end = samples[-1].at
    speeds = sorted(max(span.done, span.requests) for run in runs for span in run)
    usual = speeds[int(_USUAL * (len(speeds) - 1))]
    is_cut = speeds[-1] > _PEAK * usual > 0
    top = _round_up_axis(1.2 * usual if is_cut else speeds[-1])
    rates = [span.rate for run in runs for span in run if span.rate is not None]
    max_refused = max(span.refused for run in runs for span in run)
    canvas = _Canvas(end, top, max_refused)
    layers: list[Child] = [
        [canvas.band(start, stop) for start, stop in pauses],
        list(canvas.axes()),
        [canvas.speed(run) for run in runs],
        # A limit far above the speed would flatten the chart, so it is not drawn.
        [canvas.steps(run, lambda span: span.rate, "allowed") for run in runs] if rates and max(rates) <= top else None,
        list(canvas.strip(runs)) if max_refused else None,
    ]
    refused = samples[-1].rate_limited
    summary = f"At most {max(span.done for run in runs for span in run):,.0f} numbers/s; {refused:,} responses were 429"
    if is_cut:
        summary += f"; peaks above {top:,.0f}/s are cut off"
    if pauses:
        times = f"{len(pauses)} time{'s' * (len(pauses) != 1)}"
        summary += f"; paused {times}, {format_duration(sum(stop - start for start, stop in pauses))} in total"
    svg = element("svg", layers, viewBox=f"0 0 {_WIDTH} {canvas.foot + _FOOT}", role="img", aria_label=summary)
    legend = [
        _legend_item("numbers per second", '<path class="done" d="M0 0h18v10h-18z"/><path class="edge" d="M0 1h18"/>'),
        _legend_item("requests per second", '<path class="sent" d="M0 5.5h18"/>'),
        _legend_item("rate limit", '<path class="allowed" d="M0 5.5h18"/>') if rates and max(rates) <= top else None,
        _legend_item("429 responses", '<path class="refused" d="M0 0h5v10h-5zM7 4h5v6h-5z"/>') if refused else None,
        _legend_item("paused, as the API asked", '<path class="pause" d="M0 0h18v10h-18z"/>') if pauses else None,
    ]
    return element("figure", element("p", f"{summary}.", cls="note"), svg, element("figcaption", legend))


def _legend_item(label: str, shapes: str) -> Markup:
    return element("span", element("svg", Markup(shapes), viewBox="0 0 18 10", aria_hidden="true"), label)


# --- data ---


def _spans(samples: Sequence[Sample]) -> list[_Span]:
    spans: list[_Span] = []
    for before, after in pairwise([Sample(0.0, 0, 0, 0, None, 0.0), *samples]):
        seconds = after.at - before.at
        if 0 < seconds <= _GAP_SECONDS:
            done, requests, refused = (
                _increase(getattr(before, name), getattr(after, name)) for name in ("done", "requests", "rate_limited")
            )
            spans.append(_Span(before.at, after.at, done / seconds, requests / seconds, refused, after.rate))
            # A short span is a part of its neighbor.
            if len(spans) > 1 and spans[-2].end == before.at and min(spans[-2].length, seconds) < _SHORTEST:
                spans[-2:] = _merge_spans([spans[-2:]])
    return spans


def _increase(before: int, after: int) -> int:
    """Return how much a count grew. A process that resumes a run counts from zero again."""
    return after - before if after >= before else after


def _split_at_gaps(spans: Sequence[_Span], per_step: float) -> Iterator[list[list[_Span]]]:
    """Split the spans at gaps, and group the spans of each part by the steps of the chart."""
    size = max(1, math.ceil(per_step))
    run = [spans[0]]
    for span in spans[1:]:
        if span.start - run[-1].end > _GAP_SECONDS:
            yield [run[i : i + size] for i in range(0, len(run), size)]
            run = []
        run.append(span)
    yield [run[i : i + size] for i in range(0, len(run), size)]


def _merge_spans(groups: Sequence[Sequence[_Span]]) -> list[_Span]:
    spans = []
    for group in groups:
        seconds = sum(span.length for span in group)
        spans.append(
            _Span(
                group[0].start,
                group[-1].end,
                sum(span.done * span.length for span in group) / seconds,
                sum(span.requests * span.length for span in group) / seconds,
                sum(span.refused for span in group),
                group[-1].rate,
            )
        )
    return spans


def _pauses(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    """Return the start and the end of each pause that the API asked for."""
    pauses: list[tuple[float, float]] = []
    for sample in samples:
        if sample.paused_for > 0:
            start, end = sample.at, min(sample.at + sample.paused_for, samples[-1].at)
            if pauses and start <= pauses[-1][1] + 0.5:
                pauses[-1] = (pauses[-1][0], max(end, pauses[-1][1]))
            elif end > start:
                pauses.append((start, end))
    return pauses


def _round_up_axis(largest: float) -> float:
    """Return the end of an axis: a round number whose quarters are round as well."""
    power = 10.0 ** math.floor(math.log10(max(largest, 1.0)))
    return next((step * power for step in _STEPS if step * power >= largest), 10 * power)


@attrs.frozen
class _Canvas:
    """Maps seconds and speeds to positions, and draws the shapes.

    Attributes:
        end: The seconds at the right edge.
        top: The speed at the upper edge.
        max_refused: How many 429 responses fill the height of the strip below; without any, there is no strip.
    """

    end: float
    top: float
    max_refused: int

    @property
    def foot(self) -> int:
        return _TOP + _HEIGHT + bool(self.max_refused) * (_GAP + _STRIP)

    def x(self, seconds: float) -> float:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * seconds / self.end, 1)

    def y(self, speed: float) -> float:
        return round(_TOP + _HEIGHT * (1 - min(1.0, speed / self.top)), 1)

    def band(self, start: float, end: float) -> Markup:
        x = self.x(start)
        width = max(1.0, round(self.x(end) - x, 1))
        return element("rect", cls="pause", x=x, y=_TOP, width=width, height=self.foot - _TOP)

    def axes(self) -> Iterator[Markup]:
        for part in range(5):
            speed = self.top * part / 4
            y = self.y(speed)
            yield element("path", cls="grid", d=f"M{_LEFT} {y}H{_WIDTH - _RIGHT}")
            yield element("text", f"{speed:,.4g}" if self.top < 1000 else f"{speed:,.0f}", x=_LEFT - 8, y=y + 4,
                          text_anchor="end")  # fmt: skip
        foot = self.foot
        yield element("path", cls="grid", d=f"M{_LEFT} {foot}H{_WIDTH - _RIGHT}")
        step = next((tick for tick in _TICKS if self.end / tick <= _MAX_TICKS), math.ceil(self.end / _MAX_TICKS))
        for tick in range(math.floor(self.end / step) + 1):
            x = self.x(tick * step)
            anchor = "end" if x > _WIDTH - _RIGHT - 20 else "middle" if tick else "start"
            yield element("path", cls="grid", d=f"M{x} {foot}v5")
            yield element("text", format_duration(tick * step), x=x, y=foot + 20, text_anchor=anchor)

    def speed(self, run: Sequence[_Span]) -> list[Markup]:
        ground = self.y(0)
        outline = self._outline(run, lambda span: span.done)
        area = f"M{self.x(run[0].start)} {ground}L{outline[1:]}V{ground}Z"
        return [
            element("path", cls="done", d=area),
            element("path", cls="sent", d=self._outline(run, lambda span: span.requests)),
            element("path", cls="edge", d=outline),
        ]

    def steps(self, run: Sequence[_Span], height: Callable[[_Span], float | None], kind: str) -> list[Markup]:
        """Return a line, with gaps where there is no value."""
        lines: list[Markup] = []
        part: list[_Span] = []
        for span in [*run, None]:
            if span is not None and height(span) is not None:
                part.append(span)
            elif part:
                lines.append(element("path", cls=kind, d=self._outline(part, lambda one: height(one) or 0.0)))
                part = []
        return lines

    def _outline(self, run: Sequence[_Span], height: Callable[[_Span], float]) -> str:
        first = run[0]
        path = [f"M{self.x(first.start)} {self.y(height(first))}H{self.x(first.end)}"]
        path += [f"V{self.y(height(span))}H{self.x(span.end)}" for span in run[1:]]
        return "".join(path)

    def strip(self, runs: Sequence[Sequence[_Span]]) -> Iterator[Markup]:
        foot = self.foot
        yield element("text", f"429 responses (at most {self.max_refused:,} at once)", x=_LEFT, y=foot - _STRIP - 6)
        for run in runs:
            for span in run:
                if span.refused:
                    tall = round(max(2.0, _STRIP * span.refused / self.max_refused), 1)
                    wide = round(max(1.5, self.x(span.end) - self.x(span.start) - 0.5), 1)
                    yield element("rect", cls="refused", x=self.x(span.start), y=foot - tall, width=wide, height=tall)
