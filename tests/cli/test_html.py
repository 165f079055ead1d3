"""The pages of plans and runs: they escape all data, load and run nothing, and stay small."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("cyclopts")

from wavix_async import StoppedError, StopSignal
from wavix_async.cli._html import Markup, bar, element, page, plan_page, run_chart, run_page
from wavix_async.cli._output import format_duration, format_time, group_reasons, stop_reason, summarize
from wavix_async.fleet import Change, FieldChange, FleetResult, FleetStatus, NewValue, Sample

EVIL = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\u202e\x00\x1b[2J"
ROUTES = [
    {"destination": "[did]@sip.example.com", "priority": 1, "transport": 1},
    {"destination": EVIL, "priority": 2, "transport": 5, "trunk_id": 77},
]


@attrs.define(kw_only=True)
class Plan:
    """A stand-in for a plan."""

    name: str = "fleet.csv"
    base_url: str = "https://api.example.com"
    account: int = 5000
    unchanged: int = 7
    missing: tuple[str, ...] = ()
    missing_count: int = 0
    digest: str = "d1" * 32
    new_values: tuple[NewValue, ...] = (NewValue("sms_enabled", value=True, numbers=3),)
    count: int = 3
    fields: tuple[FieldChange, ...] = (FieldChange("sms_enabled", before=False, after=True),)

    def __len__(self) -> int:
        return self.count

    def changes(self) -> Iterator[Change]:
        return (Change(1001 + index, f"1415555{index:04}", self.fields) for index in range(self.count))


@attrs.define(kw_only=True)
class Report:
    """A stand-in for a report."""

    kind: str = "apply"
    name: str = "fleet.csv"
    digest: str = "d1" * 32
    journal: Path | None = Path("/fleets/fleet.run.sqlite")
    is_running: bool = False
    stopped_by: str | None = None
    refused_by_safety: bool = False
    requests: int = 12
    rate_limited: int = 1
    elapsed: float = 3.2
    began: float = 1_795_485_931.0
    unchanged: int = 0
    ends: list[FleetResult] = attrs.field(factory=list)
    told: list[Sample] = attrs.field(factory=list)
    totals: dict[str, int] = attrs.field(factory=dict)

    @property
    def finished(self) -> bool:
        return not (self.unknown or self.not_sent or self.pending or self.stopped_by or self.is_running)

    def _count(self, status: FleetStatus) -> int:
        return Counter(result.status for result in self.ends)[status]

    updated = property(lambda self: self._count(FleetStatus.UPDATED))
    failed = property(lambda self: self._count(FleetStatus.FAILED))
    unknown = property(lambda self: self._count(FleetStatus.UNKNOWN))
    not_sent = property(lambda self: self._count(FleetStatus.NOT_SENT))
    skipped = property(lambda self: self._count(FleetStatus.SKIPPED))
    pending = property(lambda self: self._count(FleetStatus.PENDING))
    total = property(lambda self: len(self.ends) + self.unchanged)

    def results(self, *statuses: FleetStatus) -> Iterator[FleetResult]:
        return (result for result in self.ends if not statuses or result.status in statuses)

    def samples(self) -> list[Sample]:
        return self.told


def ended(number: int, status: FleetStatus = FleetStatus.UPDATED, reason: str | None = None) -> FleetResult:
    fields = (FieldChange("call_status_url", None, f"https://x.example.com/{number}"),)
    return FleetResult(number, str(number), status, fields, 1, reason)


class Checked(HTMLParser):
    """Parses a page, checks that all elements are closed in order, and collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        if tag not in {"meta", "br", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def evil_plan() -> str:
    return plan_page(
        Plan(  # type: ignore[arg-type]
            name=EVIL,
            base_url=EVIL,
            missing=(EVIL,),
            missing_count=1,
            digest=EVIL,
            new_values=(NewValue(EVIL, EVIL, 3), NewValue(EVIL, None, 9, 4)),
            fields=(FieldChange(EVIL, EVIL, ROUTES), FieldChange("x", {EVIL: [EVIL]}, None)),
        )
    )


def evil_run() -> str:
    failed = FleetResult(1, EVIL, FleetStatus.FAILED, (FieldChange(EVIL, ROUTES, EVIL),), 2, EVIL)
    unknown = FleetResult(None, EVIL, FleetStatus.UNKNOWN, (), 0, EVIL)
    return run_page(
        Report(  # type: ignore[arg-type]
            name=EVIL, digest=EVIL, journal=Path("/" + EVIL.replace("\x00", "")), stopped_by=EVIL, totals={EVIL: 1},
            ends=[failed, unknown],
        ),
        base_url=EVIL,
    )  # fmt: skip


@pytest.mark.parametrize("made", [evil_plan, evil_run])
def test_whatever_the_data_is_it_stays_text(made: Any):
    text = made()
    read = Checked(text)
    assert not read.tags.keys() & {"script", "img", "link", "iframe", "a", "form"}
    assert not [name for name in read.attributes if name.startswith("on")]
    assert "alert(1)" in read.text
    # The page has no character that changes the text direction, clears the screen or ends a string.
    assert not re.search(r"[\u202e\x00\x1b]", text)
    assert "\\u202e" in read.text


@pytest.mark.parametrize("made", [evil_plan, evil_run])
def test_nothing_is_fetched_and_nothing_is_run(made: Any):
    text = made()
    assert "default-src 'none'" in text.replace("&#x27;", "'")
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"url\(|@import|expression", style)
    assert not re.search(r"(?:src|href)=", text.replace("src=x onerror", ""))


def test_elements_escape_text_that_is_not_markup():
    assert element("p", "<b>", ["&", Markup("<i>x</i>"), None, 5], cls='"', data_x=None) == (
        '<p class="&quot;">&lt;b&gt;&amp;<i>x</i>5</p>'
    )
    assert page("<t>").count("&lt;t&gt;") == 1
    assert bar([("x", 0, "a")]) == ""


def test_a_surrogate_can_be_written(tmp_path: Path):
    (tmp_path / "x.html").write_text(page("\ud800"), encoding="utf-8")


def test_a_large_plan_is_a_small_page():
    text = plan_page(Plan(count=1_000_000, account=3_000_000))  # type: ignore[arg-type]
    assert len(text) < 600_000
    read = Checked(text)
    assert "The first 1,000 of 1,000,000; 999,000 more are not shown." in read.text
    assert "1,000,000 numbers will change." in read.text
    assert "33.3 %" in read.text
    assert read.tags["tr"] < 1_100


def test_a_large_run_is_a_small_page():
    ends = [ended(number, FleetStatus.FAILED, f"number {number} is odd") for number in range(1, 20_001)]
    text = run_page(Report(ends=ends))  # type: ignore[arg-type]
    assert len(text) < 1_500_000
    read = Checked(text)
    assert "number {id} is odd" in read.text
    assert read.text.count("The first 1,000 of 20,000; 19,000 more are not shown.") == 2


def test_a_number_is_shown_once_beside_its_fields():
    fields = (FieldChange("sms_enabled", before=False, after=True), FieldChange("sms_relay_url", "https://a", None))
    read = Checked(plan_page(Plan(count=1, fields=fields)))  # type: ignore[arg-type]
    assert read.text.count("14155550000") == 1
    assert "rowspan" in read.attributes


def test_missing_numbers_are_named():
    text = plan_page(Plan(missing=tuple(f"line {n}" for n in range(1_000)), missing_count=5_000))  # type: ignore[arg-type]
    read = Checked(text)
    assert "5,000 entries of the file match nothing in the account." in read.text
    assert "The first 200 of 5,000." in read.text


def test_a_plan_says_what_gets_which_value_and_what_safety_says():
    values = (NewValue("call_status_url", "https://x.example.com", 4_371), NewValue("call_status_url", None, 629, 600))
    read = Checked(plan_page(Plan(count=5_000, account=5_000, new_values=values)))  # type: ignore[arg-type]
    assert "call_status_urlhttps://x.example.com4,371" in read.text
    assert "call_status_url600 other values629" in read.text
    needed = "Nothing was sent. Safety: the plan changes 5,000 of the account's 5,000 numbers (100%), more than"
    assert f"{needed} --max-fraction 0.3: apply needs --max-fraction 1." in read.text
    assert "Safety" not in Checked(plan_page(Plan(count=30))).text  # type: ignore[arg-type]


def test_nothing_to_do():
    read = Checked(plan_page(Plan(count=0, new_values=(), unchanged=12)))  # type: ignore[arg-type]
    assert "Nothing to do: every number already matches." in read.text
    assert "table" not in read.tags
    Checked(run_page(Report()))  # type: ignore[arg-type]


OK = FleetStatus.UPDATED


@pytest.mark.req_17
@pytest.mark.parametrize(
    ("settings", "kind", "text"),
    [
        ({"ends": [ended(1), ended(2)]}, "good", "All 2 numbers updated."),
        ({"ends": [ended(1)]}, "good", "The number was updated."),
        ({"ends": [ended(1), ended(2)], "kind": "roll_back"}, "good", "All 2 numbers rolled back."),
        ({"unchanged": 3}, "good", "There was nothing to do."),
        ({"ends": [ended(1), ended(2, FleetStatus.FAILED)]}, "bad", "1 of 2 numbers updated; 1 failed."),
        ({"ends": [ended(1), ended(2, FleetStatus.UNKNOWN)]}, "open", "1 of 2 numbers updated; 1 unknown."),
        ({"ends": [ended(1, FleetStatus.PENDING)]}, "open", "0 of 1 number updated; 1 pending."),
        ({"ends": [ended(1)], "is_running": True}, "running", "Running: 1 of 1 number updated so far."),
        ({"ends": [ended(1), ended(2, FleetStatus.SKIPPED)]}, "good", "The number was updated; 1 skipped."),
        ({"unchanged": 3, "ends": [ended(2, FleetStatus.SKIPPED)]}, "good", "There was nothing to do; 1 skipped."),
        (
            {"ends": [ended(1, status) for status in FleetStatus if status != "unchanged"], "unchanged": 1},
            "bad",
            "1 of 5 numbers updated; 1 failed, 1 unknown, 1 pending, 1 not sent; 1 skipped.",
        ),
        (
            {"ends": [ended(1, FleetStatus.NOT_SENT)], "stopped_by": "x", "refused_by_safety": True},
            "bad",
            "Stopped by a safety limit: 0 of 1 number updated; 1 not sent.",
        ),
    ],
)
def test_the_verdict(settings: dict[str, Any], kind: str, text: str):
    said = summarize(Report(**settings))  # type: ignore[arg-type]
    assert (said.kind, said.text) == (kind, text)
    assert text in Checked(run_page(Report(**settings))).text  # type: ignore[arg-type]


def test_unknown_changes_of_a_running_run_are_in_progress():
    ends = [ended(1), ended(2, FleetStatus.UNKNOWN)]
    running = Checked(run_page(Report(ends=ends, is_running=True))).text  # type: ignore[arg-type]
    assert "in progress1queued or in flight" in running
    assert "unknown" not in running.rpartition("}\n")[2]  # the names in the style do not count
    assert "in progress" not in Checked(run_page(Report(ends=ends))).text  # type: ignore[arg-type]


@pytest.mark.req_17
def test_why_a_run_stopped():
    signal = StopSignal()
    signal.set()
    with pytest.raises(StoppedError) as stopped:
        signal.check()
    left = [ended(1, FleetStatus.NOT_SENT, str(stopped.value)), ended(2, FleetStatus.NOT_SENT)]
    by_signal = Report(ends=left, stopped_by=str(stopped.value))
    assert stop_reason(by_signal, interrupted=True) == "Stopped by you (Ctrl-C)."  # type: ignore[arg-type]
    assert stop_reason(by_signal) == "Stopped on request, for example with Ctrl-C."  # type: ignore[arg-type]
    assert stop_reason(Report(ends=left, stopped_by="HTTP 401"), interrupted=True) == "HTTP 401"  # type: ignore[arg-type]
    assert stop_reason(Report(ends=left)) is None  # type: ignore[arg-type]
    assert stop_reason(Report(ends=[ended(1)]), interrupted=True) is None  # type: ignore[arg-type]
    page_text = Checked(run_page(by_signal, interrupted=True)).text  # type: ignore[arg-type]
    assert page_text.count("Stopped by you (Ctrl-C).") == 2
    (reason,) = group_reasons(left)
    assert (reason.count, reason.text) == (2, "the run ended before this was sent")


def test_reasons_are_counted_without_their_ids_and_are_not_endless():
    told = group_reasons(ended(number, FleetStatus.FAILED, f"HTTP 422 for /{number}: no") for number in range(1, 11))
    assert [(reason.text, reason.count, reason.first) for reason in told] == [
        ("HTTP 422 for /{id}: no", 10, [1, 2, 3, 4, 5])
    ]
    many = group_reasons(ended(1, FleetStatus.FAILED, f"reason {number * 7}x") for number in range(5_000))
    assert len(many) == 1_001
    assert sum(reason.count for reason in many) == 5_000
    assert (many[0].text, many[0].count) == ("other reasons", 4_000)


# --- the chart ---


def steps(text: str, kind: str) -> list[str]:
    return re.findall(rf'<path class="{kind}" d="(M\d[^"]+)"', text)


def test_too_little_to_draw_is_no_chart():
    assert run_chart([]) is None
    assert run_chart([Sample(0.0, 0, 0, 0, None, 0.0)]) is None
    assert "<figure>" not in run_page(Report())  # type: ignore[arg-type]


def test_the_chart_shows_speed_refusals_and_pauses():
    samples = [Sample(float(at), at * 50, at * 51, 0, None, 0.0) for at in range(1, 11)]
    samples += [Sample(10.0 + at, 500, 520, 9, 50.0, 4.0 - at) for at in range(1, 5)]
    samples += [Sample(14.0 + at, 500 + at * 50, 520 + at * 50, 9, 50.0, 0.0) for at in range(1, 5)]
    text = str(run_chart(samples))
    Checked(text)
    assert "At most 50 numbers/s; 9 responses were 429; paused 1 time, 3 s in total." in text
    assert text.count('<rect class="pause"') == 1
    assert text.count('<rect class="refused"') == 1
    assert len(steps(text, "done")) == 2  # the legend has one
    assert ">60<" in text


def test_a_peak_does_not_flatten_the_chart():
    samples = [Sample(float(at), at * 50, at * 50, 0, None, 0.0) for at in range(1, 101)]
    samples += [Sample(101.0, 100_000, 100_000, 0, None, 0.0)]
    text = str(run_chart(samples))
    assert ">60<" in text
    assert "At most 95,000 numbers/s; 0 responses were 429; peaks above 60/s are cut off." in text
    # A second of twice the speed is no peak.
    samples[-1] = Sample(101.0, 5_100, 5_100, 0, None, 0.0)
    assert "cut off" not in str(run_chart(samples))


def test_results_within_milliseconds_are_no_speed():
    """The last sample of a process comes right after another one."""
    samples = [Sample(float(at), at * 50, at * 50, 0, None, 0.0) for at in range(1, 4)]
    text = str(run_chart([*samples, Sample(3.002, 190, 190, 0, None, 0.0)]))
    assert "At most 90 numbers/s" in text
    assert "At most 50 numbers/s" in str(run_chart([Sample(0.01, 2, 2, 0, None, 0.0), *samples]))


def test_the_strip_of_429_is_no_axis_and_is_there_only_if_there_are_some():
    samples = [Sample(float(at), at * 50, at * 51, at, None, 0.0) for at in range(1, 5)]
    assert ">429 responses (at most 1 at once)</text>" in str(run_chart(samples))
    without = str(run_chart([attrs.evolve(sample, rate_limited=0) for sample in samples]))
    assert not re.search(r"429[^<]*</(text|span)>", without)


def test_an_immediate_resume_counts_from_zero_too():
    samples = [
        Sample(1.0, 50, 50, 0, None, 0.0),
        Sample(2.0, 100, 100, 0, None, 0.0),
        Sample(3.0, 70, 170, 0, None, 0.0),
    ]
    assert "At most 70 numbers/s" in str(run_chart(samples))


def test_a_later_resume_counts_from_zero_and_leaves_a_gap():
    samples = [Sample(float(at), at * 10, at * 10, 0, None, 0.0) for at in range(1, 5)]
    samples += [Sample(100.0 + at, at * 20, 40 + at * 20, 0, None, 0.0) for at in range(5)]
    text = str(run_chart(samples))
    assert "At most 20 numbers/s" in text
    areas = [path for path in steps(text, "done") if path.endswith("Z")]
    assert len([path for path in areas if "h18" not in path]) == 2


def test_a_day_is_drawn_in_a_few_steps():
    samples = [Sample(float(at), at * 5, at * 5, at // 100, 5.0, 0.0) for at in range(1, 86_401)]
    text = str(run_chart(samples))
    Checked(text)
    assert len(text) < 60_000
    assert re.findall(r">(\d+ h)<", text) == ["4 h", "8 h", "12 h", "16 h", "20 h", "24 h"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.04, "0 s"),
        (4.25, "4.2 s"),
        (9.96, "10 s"),
        (12.4, "12 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (302, "5 min 02 s"),
        (3600, "1 h"),
        (3599.8, "1 h"),
        (90_061, "25 h 01 min"),
    ],
)
def test_durations(seconds: float, text: str):
    assert format_duration(seconds) == text


def test_moments():
    assert format_time(0) == "1970-01-01 00:00:00 UTC"
