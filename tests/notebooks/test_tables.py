"""What a notebook shows of models, pages, plans and reports: tables, escaped, bounded, without secrets."""

from __future__ import annotations

import copy
import json
import pickle
import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from wavix_async import (
    BulkProgress,
    BulkReport,
    BulkResult,
    BulkStatus,
    NotFoundError,
    Number,
    NumberPage,
    NumberUpdate,
    WavixClient,
    fleet,
    from_dict,
    models,
    to_dict,
)
from wavix_async.models import ApiKey, MessageCreate, Model, Page, UnknownEvent
from wavix_async.spec import ChangeKind, Comparison, Effect, SpecChange
from wavix_async.testing import make, make_destination, make_error, make_number, make_page

if TYPE_CHECKING:
    from pathlib import Path

    from wavix_async.sandbox import Sandbox

BAD = '<script>alert(1)</script> $x$ & "quoted" \u202e\x1b[31m'


class Read(HTMLParser):
    """The tables of a piece of HTML, and all tags in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.caption = ""
        self.tags: set[str] = set()
        self._in = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self._in = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "caption":
            self.caption += data
        elif self._in in ("td", "th"):
            self.rows[-1][-1] += data


def read(value: Any) -> Read:
    return Read(value._repr_html_())


def test_a_model_is_a_table_of_its_fields() -> None:
    shown = read(make_number(label="Sales", sms_enabled=True))
    cells = dict(shown.rows)
    assert shown.caption == "Number"
    assert cells["label"] == "Sales"
    assert cells["sms_enabled"] == "True"


def test_a_model_in_a_model_is_short_text() -> None:
    routes = [make_destination(id=number, destination="d@example.com", priority=1, transport=1) for number in range(12)]
    shown = dict(read(make_number(destination=routes, documents=[], label=None)).rows)
    assert shown["destination"].startswith("id: 0, destination: d@example.com, priority: 1, transport: SIP_URI")
    assert (shown["documents"], shown["label"]) == ("", "")
    unknown = from_dict(Number, {"destination": [{"transport": 9, "destination": [["x"], BAD]}], "status": "new"})
    cells = dict(read(unknown).rows)
    assert cells["destination"].startswith("destination: ['x']; <script>")
    assert cells["destination"].isprintable()
    assert cells["status"] == "new"


def test_an_object_of_the_caller_shows_as_its_repr() -> None:
    @attrs.define(repr=False)
    class Key:
        secret: str

        def __repr__(self) -> str:
            return "<Key>"

    result: Any = BulkResult(Key("sk-secret-4"), BulkStatus.FAILED, None, make_error(NotFoundError), 1)
    assert read(report_of([result])).rows[1][0] == "<Key>"


def test_a_page_is_a_table_with_the_columns_that_have_values() -> None:
    shown = read(make_page(NumberPage, [make_number(label="Sales"), make_number(label=None)]))
    head, *rows = shown.rows
    assert shown.caption == "NumberPage: page 1 of 1, 2 records in all"
    assert [row[head.index("label")] for row in rows] == ["Sales", ""]
    assert "label" not in read(make_page(NumberPage, [make_number(label=None)])).rows[0]


@pytest.mark.parametrize("items", [None, 3, [None], [{"id": 1}], ["text"], []])
def test_a_page_that_the_api_broke_is_shown_too(items: Any) -> None:
    page = from_dict(NumberPage, {"items": items})
    assert read(page).tags >= {"table"}


def test_text_of_others_is_no_markup_no_formula_and_no_control_character() -> None:
    page = make_page(NumberPage, [make_number(label=BAD)])
    for html in (page._repr_html_(), page.items[0]._repr_html_()):
        assert Read(html).tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert html.startswith('<table class="tex2jax_ignore mathjax_ignore">')
        assert html.isprintable()
        assert "&lt;script&gt;" in html
        assert "\\u202e\\x1b[31m" in html


def test_a_caption_is_as_safe_and_as_short_as_a_cell() -> None:
    page = from_dict(
        NumberPage, {"items": [], "pagination": {"current_page": BAD, "total_pages": "x" * 9_000, "total": 2}}
    )
    for value in (report_of([], stopped_by=BAD), report_of([], stopped_by="x" * 9_000), page):
        html = value._repr_html_()
        assert Read(html).tags <= {"table", "caption", "tbody", "thead", "tr", "th"}
        assert html.isprintable()
        assert len(Read(html).caption) < 500
    assert "\\u202e\\x1b[31m" in report_of([], stopped_by=BAD)._repr_html_()


def test_a_value_without_end_is_cut_before_it_is_read_as_a_whole() -> None:
    deep: Any = []
    for _ in range(45):
        deep = [{"a": deep}]
    number = from_dict(
        Number, {"label": deep, "destination": deep, "number": "\u202e" * 10**6, "city": {"a": "x" * 10**6}}
    )
    cells = dict(read(number).rows)
    assert cells["number"].startswith("\\u202e\\u202e")
    assert cells["label"].startswith("{'a': [{'a': [")
    assert max(map(len, cells.values())) == 120
    assert len(read(Page(items=[number])).rows) == 2


def test_a_table_of_any_model_shows_nothing_that_repr_hides() -> None:
    kinds = [kind for name in models.__all__ if attrs.has(kind := getattr(models, name)) and kind is not Model]
    assert UnknownEvent in kinds
    for kind in kinds:
        record = object.__new__(kind)
        for number, field in enumerate(attrs.fields(kind)):
            object.__setattr__(record, field.name, None if field.name == "_origin" else f"<text {number}>")
        if issubclass(kind, Model):
            object.__setattr__(record, "extra", {"token": "<text 1000>", "colour": "<text 1001>"})
        shown = set(re.findall(r"<text \d+>", repr(record)))
        for html in (record._repr_html_(), Page(items=[record])._repr_html_()):
            cells = " ".join(cell for row in Read(html).rows for cell in row)
            assert set(re.findall(r"<text \d+>", cells)) <= shown, kind


def test_what_repr_hides_is_not_shown() -> None:
    key = make(ApiKey, value="sk-secret-1")
    assert "sk-secret-1" not in repr(key)
    assert "sk-secret-1" not in key._repr_html_()
    assert "value" not in dict(read(key).rows)
    unknown = from_dict(Number, {"id": 1, "api_token": "sk-secret-2", "colour": "blue"})
    assert dict(read(unknown).rows)["extra"] == "{'api_token': '<hidden>', 'colour': 'blue'}"


def test_a_body_shows_what_is_set_and_not_what_repr_hides() -> None:
    body = MessageCreate(from_="Acme", to="+15125550143", message_body={"text": "My PIN is 4711"}, tag="order-7")
    assert set(dict(read(body).rows)) == {"from_", "to", "message_body", "tag"}
    assert "4711" not in body._repr_html_()


def test_a_comparison_of_api_descriptions() -> None:
    change = SpecChange(
        kind=ChangeKind.REMOVED, effect=Effect.BREAKS_CALLS, side="request", subject=BAD, operations=(), expected="x",
        found="",
    )  # fmt: skip
    shown = read(Comparison(changes=(change,) * 60, left_out=5))
    assert shown.rows[0] == ["effect", "part", "subject", "change", "expected", "found"]
    assert shown.caption == "65 differences; the first 50 of 65"
    assert "script" not in shown.tags


def test_a_nested_secret_is_not_shown() -> None:
    page = Page(items=[make(ApiKey, value="sk-secret-3")])
    assert "sk-secret-3" not in page._repr_html_()
    result: Any = BulkResult(make(ApiKey, value="sk-secret-3"), BulkStatus.FAILED, None, make_error(NotFoundError), 1)
    assert "sk-secret-3" not in report_of([result])._repr_html_()


def test_fifty_rows_at_most_and_long_text_is_cut() -> None:
    page = make_page(NumberPage, [make_number(label="x" * 500) for _ in range(100)], per_page=100)
    shown = read(page)
    assert len(shown.rows) == 51
    assert shown.caption.endswith("the first 50 of 100")
    assert max(len(cell) for row in shown.rows for cell in row) == 120


def report_of(failures: list[BulkResult[Any, Any]], **facts: Any) -> BulkReport[Any, Any]:
    counts = {"succeeded": 2, "failed": len(failures), "unknown": 0, "not_sent": 0, "requests": 9, "rate_limited": 0}
    return BulkReport(**{**counts, "elapsed": 1.0, "failures": failures, **facts})


def test_a_bulk_report() -> None:
    failures = [BulkResult(each, BulkStatus.FAILED, None, make_error(NotFoundError, BAD), 1) for each in range(70)]
    shown = read(report_of(failures, charged=Decimal("0.02"), failed=2_000, failures_by_kind={"any": 2_000}))
    assert len(shown.rows) == 51
    assert shown.rows[0] == ["id", "status", "attempts", "error"]
    assert shown.rows[1][:3] == ["0", "failed", "1"]
    assert "charged 0.02" in shown.caption
    assert shown.caption.endswith("the first 50 of 2,000")
    assert read(report_of([])).rows == []


async def test_a_run_is_a_bar_before_during_and_after(wavix_client: WavixClient, wavix_sandbox: Sandbox) -> None:
    for run in (
        wavix_client.numbers.bulk_update(dict.fromkeys(range(1001, 1005), NumberUpdate(sms_enabled=True))),
        wavix_client.validation.run(["15125550143", "15125550144"], type="format"),
    ):
        assert run._repr_html_().startswith("<progress")
        assert "0 failed" in run._repr_html_()
        shown = [run._repr_html_() async for _ in run]
        total = len(shown)
        assert shown[0].startswith("<progress")
        assert run._repr_html_().startswith(f'<progress max="{total}" value="{total}"></progress>')


def test_progress_is_a_bar() -> None:
    counts: dict[str, Any] = {"succeeded": 2, "failed": 1, "unknown": 0, "not_sent": 0, "requests": 3}
    progress = BulkProgress(total=12, done=3, **counts, rate_limited=0, elapsed=4.2, rate=None, paused_for=0.0)
    assert progress._repr_html_().startswith('<progress max="12" value="3"></progress>')
    assert "3 of 12: 2 updated, 1 failed, 0 unknown; 4 s" in progress._repr_html_()
    endless = BulkProgress(total=None, done=3, **counts, rate_limited=0, elapsed=4.2, rate=None, paused_for=0.0)
    assert endless._repr_html_().startswith("<progress></progress>")
    listing = fleet.FleetProgress(phase="listing", total=0, done=0)
    assert listing._repr_html_().startswith('<progress max="1" value="0"></progress>')


async def test_a_list_is_a_list_to_everything_else(wavix_client: WavixClient) -> None:
    pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed")
    numbers = await wavix_client.numbers.list(limit=3).to_list()
    plain = [to_dict(number) for number in numbers]
    assert type(numbers[:2]) is type(numbers + numbers) is type(copy.copy(numbers)) is list
    assert type(pickle.loads(pickle.dumps(numbers))) is list
    assert repr(numbers) == repr(list(numbers))
    assert json.loads(pydantic.TypeAdapter(list[Number]).dump_json(numbers)) == plain
    assert json.loads(json.dumps(numbers, default=to_dict)) == plain


@pytest.mark.wavix(numbers=60)
async def test_a_list_a_plan_and_a_fleet_report(
    wavix_client: WavixClient, wavix_sandbox: Sandbox, tmp_path: Path
) -> None:
    numbers = await wavix_client.numbers.list().to_list()
    assert len(read(numbers).rows) == 51
    assert read(numbers).caption == "60 records; the first 50 of 60"
    wanted = {number.id: NumberUpdate(sms_enabled=True, call_status_url="https://a.example/<b>") for number in numbers}
    plan = await fleet.plan(wavix_client, wanted)
    shown = read(plan)
    assert shown.rows[:2] == [["id", "number", "field", "from", "to"], shown.rows[1]]
    assert shown.rows[1][0] == "1001"
    assert len(shown.rows) == 51
    assert shown.caption == "60 numbers will change; 0 already match; the first 50 of 120"
    assert "<b>" not in plan._repr_html_()

    wavix_sandbox.fail_next(404, match="PATCH /v1/numbers/1003")
    journal = tmp_path / "run.sqlite"
    report = await fleet.apply(wavix_client, plan, journal=journal, safety=fleet.Safety(max_fraction=None))
    assert read(report).rows[0] == ["id", "number", "status", "attempts", "reason"]
    assert [row[0] for row in read(report).rows[1:]] == ["1003"]
    assert re.match(r"59 updated, 1 failed of 60", read(report).caption)

    # What is closed or deleted still has its counts.
    plan.close()
    assert "60 changes" in read(plan).caption
    journal.unlink()
    assert re.match(r"59 updated, 1 failed of 60", read(report).caption)
    assert "There is no journal" in read(report).caption


async def test_every_list_is_a_table(wavix_client: WavixClient) -> None:
    for found in (await wavix_client.buy.countries.list(), await wavix_client.messages.sender_ids.list()):
        shown: Any = found
        assert read(shown).caption.startswith(f"{len(found)} record")
        assert type(found[:]) is list
