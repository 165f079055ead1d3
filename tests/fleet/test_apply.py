"""Apply plans and roll them back through the public API, against the sandbox on real sockets.

The marks `req_NN` name the promises that a test checks; `pyproject.toml` lists them.
"""

from __future__ import annotations

import csv
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fleets import (
    ANY_SHARE,
    EXAMPLES,
    FIRST,
    client_of,
    counts,
    five_changes,
    holds_together,
    ids,
    methods,
    standing,
    url,
    urls,
)
from wavix_async import NumberUpdate, fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wavix_async import WavixClient


# --- export, apply, roll back ---


def edit_csv(path: Path, edits: dict[int, dict[str, Any]]) -> None:
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        for name, value in edits.get(int(row["id"]), {}).items():
            row[name] = value if isinstance(value, str) else json.dumps(value)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def edit_ndjson(path: Path, edits: dict[int, dict[str, Any]]) -> None:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(row | edits.get(row["id"], {})) + "\n" for row in rows), encoding="utf-8")


def edit_yaml(path: Path, edits: dict[int, dict[str, Any]]) -> None:
    yaml = pytest.importorskip("yaml", reason="the extra `yaml` is not installed")
    whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    for entry in whole["numbers"]:
        entry["set"].update(edits.get(entry["id"], {}))
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")


@pytest.mark.req_15
@pytest.mark.req_18
@pytest.mark.parametrize(
    ("suffix", "edit"), [("csv", edit_csv), ("ndjson", edit_ndjson), ("yaml", edit_yaml)], ids=["csv", "ndjson", "yaml"]
)
async def test_export_edit_apply_roll_back_and_the_first_file_is_there_again(
    tmp_path: Path, suffix: str, edit: Callable[[Path, dict[int, dict[str, Any]]], None]
) -> None:
    if suffix == "yaml":
        pytest.importorskip("yaml", reason="the extra `yaml` is not installed")
    async with Sandbox(250, foreign=0.2) as sandbox, client_of(sandbox) as wavix:
        sandbox.change(FIRST + 5, call_status_url="")
        sandbox.change(FIRST + 6, destination=[])
        before = standing(sandbox)
        first, edited, last = (tmp_path / f"{name}.{suffix}" for name in ("first", "edited", "last"))
        assert await fleet.export(wavix, first) == 250

        plan = await fleet.plan(wavix, first)
        assert not plan
        assert (len(plan), plan.unchanged, plan.missing_count, plan.account) == (0, 250, 0, 250)
        report = await fleet.apply(wavix, plan)
        assert (report.total, report.unchanged, report.updated, report.finished) == (250, 250, 0, True)

        shutil.copy(first, edited)
        route = {"destination": "16045550142", "priority": 1, "transport": 4}
        edits: dict[int, dict[str, Any]] = {
            FIRST: {"transcription_threshold": 99},
            FIRST + 7: {"call_status_url": url(7), "call_recording_enabled": before[FIRST + 7]["sms_enabled"]},
            FIRST + 249: {"destinations": [route]},
        }
        edits[FIRST + 7]["call_recording_enabled"] = not before[FIRST + 7]["call_recording_enabled"]
        edit(edited, edits)
        plan = await fleet.plan(wavix, edited)
        assert set(methods(sandbox)) == {"GET"}
        changes = list(plan.changes())
        assert {
            change.id: {field.field: (field.before, field.after) for field in change.fields} for change in changes
        } == {
            FIRST: {"transcription_threshold": (before[FIRST]["transcription_threshold"], 99)},
            FIRST + 7: {
                "call_status_url": (before[FIRST + 7]["call_status_url"], url(7)),
                "call_recording_enabled": (
                    before[FIRST + 7]["call_recording_enabled"],
                    not before[FIRST + 7]["call_recording_enabled"],
                ),
            },
            FIRST + 249: {"destinations": (changes[2].fields[0].before, [route])},
        }
        assert [change.number for change in changes] == [sandbox.numbers[change.id]["number"] for change in changes]
        assert plan.totals == {
            "transcription_threshold": 1, "call_status_url": 1, "call_recording_enabled": 1, "destinations": 1,
        }  # fmt: skip

        journal = tmp_path / "run.sqlite"
        report = await fleet.apply(wavix, plan, journal=journal)
        assert (report.updated, report.unchanged, report.total, report.kind) == (3, 247, 250, "apply")
        assert sandbox.stats.updates == {FIRST: 1, FIRST + 7: 1, FIRST + 249: 1}
        assert not await fleet.plan(wavix, edited)
        assert await fleet.plan(wavix, first)

        report = await fleet.roll_back(wavix, journal)
        assert (report.updated, report.kind, report.finished) == (3, "roll_back", True)
        assert await fleet.export(wavix, last) == 250
        assert last.read_bytes() == first.read_bytes()
        assert standing(sandbox) == before
        assert sandbox.stats.updates == {FIRST: 2, FIRST + 7: 2, FIRST + 249: 2}


@pytest.mark.req_15
@pytest.mark.req_19
@pytest.mark.parametrize("name", ["fleet.csv", "fleet.yaml"])
async def test_the_examples_are_applied_and_taken_back(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, name: str
) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml", reason="the extra `yaml` is not installed")
    before = standing(sandbox)
    plan = await fleet.plan(wavix, EXAMPLES / name)
    assert len(plan) == (7 if name.endswith("csv") else 100)
    assert plan.missing == ()
    report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", verify=True, safety=ANY_SHARE)
    assert (report.updated, report.finished, report.stopped_by) == (len(plan), True, None)
    holds_together(report, plan.unchanged)
    again = await fleet.plan(wavix, EXAMPLES / name)
    assert (len(again), bool(again)) == (0, False)
    assert again.unchanged == plan.unchanged + len(plan)
    report = await fleet.roll_back(wavix, tmp_path / "run.sqlite", verify=True, safety=ANY_SHARE)
    assert report.updated == len(plan)
    assert standing(sandbox) == before


# --- batches ---

UNKNOWN = 20
COUNTS = pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.scale)])


@pytest.fixture
def full_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a batch wait for its last numbers for a second: on a busy machine many would leave half full after 10 ms."""
    monkeypatch.setattr("wavix_async.bulk._batcher._GATHER", 1.0)


@pytest.mark.req_15
@pytest.mark.req_17
@pytest.mark.req_21
@pytest.mark.usefixtures("full_batches")
@COUNTS
async def test_thousands_of_numbers_in_batches_and_the_unknown_ones_are_named(tmp_path: Path, count: int) -> None:
    async with Sandbox(count, batch_limit=100) as sandbox, client_of(sandbox) as wavix:
        unknown = [FIRST + count + 7 * place for place in range(UNKNOWN)]
        known = ids(count)
        file = tmp_path / "fleet.csv"
        rows = [f"{number},{url(number % 5)},{40 + number % 5}\n" for number in (*unknown, *known)]
        file.write_text("id,call_status_url,transcription_threshold\n" + "".join(rows))

        plan = await fleet.plan(wavix, file)
        assert (len(plan), plan.missing_count) == (count, UNKNOWN)
        assert list(plan.missing) == [
            f"{file}, line {line}, column 1 (id): the account has no number with the id {number}."
            for line, number in enumerate(unknown, 2)
        ]
        with pytest.raises(fleet.MissingNumbersError) as refused:
            await fleet.apply(wavix, plan, batch="auto", safety=ANY_SHARE)
        assert (refused.value.count, refused.value.numbers) == (UNKNOWN, plan.missing)
        assert not sandbox.stats.updates

        report = await fleet.apply(
            wavix, plan, journal=tmp_path / "run.sqlite", batch="auto", missing="skip", safety=ANY_SHARE
        )
        assert counts(report) == {"updated": count, "skipped": UNKNOWN}
        assert {result.id for result in report.results("skipped")} == set(unknown)
        assert all("no number" in (result.reason or "") for result in report.results("skipped"))
        assert sandbox.stats.updates == dict.fromkeys(known, 1)
        assert sandbox.stats.requests <= count / 25 + 5 * UNKNOWN
        assert not await fleet.plan(wavix, five_changes(known))
        holds_together(report)


@pytest.mark.req_15
@pytest.mark.req_17
@pytest.mark.req_21
@pytest.mark.usefixtures("full_batches")
@COUNTS
@pytest.mark.parametrize("stale", ["skip", "write"])
async def test_thousands_of_numbers_of_which_twenty_are_released_meanwhile(
    tmp_path: Path, stale: Any, count: int
) -> None:
    async with Sandbox(count, batch_limit=100) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, five_changes(ids(count)))
        gone = [FIRST + count * 9 // 200 * place for place in range(UNKNOWN)]
        await wavix.numbers.release(ids=gone)
        before = sandbox.stats.requests
        report = await fleet.apply(
            wavix, plan, journal=tmp_path / "run.sqlite", batch="auto", stale=stale, safety=ANY_SHARE
        )
        assert counts(report) == {"updated": count - UNKNOWN, "failed": UNKNOWN}
        assert {result.id for result in report.results("failed")} == set(gone)
        assert all(result.reason for result in report.results("failed"))
        assert sandbox.stats.updates == dict.fromkeys((n for n in ids(count) if n not in set(gone)), 1)
        assert sandbox.stats.requests - before <= count / 25 + 5 * UNKNOWN
        holds_together(report)


@pytest.mark.req_15
@pytest.mark.req_18
@pytest.mark.parametrize("stale", ["refuse", "write"])
async def test_rolling_back_keeps_what_a_colleague_had_set_before_the_run(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, stale: fleet.Stale
) -> None:
    wish = NumberUpdate(call_status_url=url("new"), transcription_threshold=99)
    plan = await fleet.plan(wavix, dict.fromkeys(ids(3), wish))
    # The same value as the plan's, between the plan and the run; with `write`, and another one beside it.
    sandbox.change(FIRST, transcription_threshold=99)
    if stale == "write":
        sandbox.change(FIRST, call_status_url=url("colleague"))
    before = dict(sandbox.numbers)
    journal = tmp_path / "run.sqlite"
    report = await fleet.apply(wavix, plan, journal=journal, stale=stale)
    assert report.updated == 3
    assert (await fleet.roll_back(wavix, journal)).updated == 3
    assert sandbox.numbers == before


async def test_numbers_released_since_make_a_plan_stale(sandbox: Sandbox, wavix: WavixClient) -> None:
    plan = await fleet.plan(wavix, urls(ids(6)))
    await wavix.numbers.release(ids=[FIRST + 2, FIRST + 4])
    with pytest.raises(fleet.StalePlanError) as refused:
        await fleet.apply(wavix, plan)
    assert refused.value.count == 2
    assert all(str(number) in line for number, line in zip((FIRST + 2, FIRST + 4), refused.value.numbers, strict=True))
    assert not sandbox.stats.updates


# --- stale plans ---


@pytest.mark.req_15
@pytest.mark.parametrize("stale", ["refuse", "skip", "write"])
async def test_numbers_that_have_changed_since_the_plan(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, stale: Any
) -> None:
    plan = await fleet.plan(wavix, urls(ids(6)))
    sandbox.change(FIRST + 1, call_status_url="https://another-client.example.com")
    # These two do not make the plan stale: another field, and a value that is already as planned.
    sandbox.change(FIRST + 2, transcription_threshold=77)
    sandbox.change(FIRST + 3, call_status_url=url(FIRST + 3))
    journal = tmp_path / "run.sqlite"
    if stale == "refuse":
        with pytest.raises(fleet.StalePlanError) as refused:
            await fleet.apply(wavix, plan, journal=journal)
        assert refused.value.count == 1
        assert str(FIRST + 1) in refused.value.numbers[0]
        assert "another-client" in refused.value.numbers[0]
        assert set(methods(sandbox)) == {"GET"}
        return
    report = await fleet.apply(wavix, plan, journal=journal, stale=stale)
    current = sandbox.numbers[FIRST + 1]["call_status_url"]
    if stale == "skip":
        assert current == "https://another-client.example.com"
        assert counts(report) == {"updated": 4, "unchanged": 1, "failed": 1}
        (left,) = report.results("failed")
        assert left.id == FIRST + 1
        assert left.reason
    else:
        assert current == url(FIRST + 1)
        assert counts(report) == {"updated": 5, "unchanged": 1}
    assert sandbox.numbers[FIRST + 2]["transcription_threshold"] == 77
    assert FIRST + 3 not in sandbox.stats.updates
    holds_together(report)
    await fleet.roll_back(wavix, journal)
    # The value just before the run, not the value in the plan.
    assert sandbox.numbers[FIRST + 1]["call_status_url"] == "https://another-client.example.com"
    assert sandbox.numbers[FIRST + 3]["call_status_url"] == url(FIRST + 3)


# --- rolling back ---


@pytest.mark.req_18
async def test_a_roll_back_leaves_what_another_client_has_changed_since(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path
) -> None:
    before = standing(sandbox)
    wanted = {
        number: NumberUpdate(call_status_url=url(number), transcription_threshold=55, sms_relay_url=url(number, "sms"))
        for number in ids(5)
    }
    journal = tmp_path / "run.sqlite"
    plan = await fleet.plan(wavix, wanted)
    assert (await fleet.apply(wavix, plan, journal=journal, verify=True)).updated == 5
    theirs: dict[str, Any] = {
        "call_status_url": "https://theirs.example.com",
        "transcription_threshold": 66,
        "sms_relay_url": None,
    }
    sandbox.change(FIRST, transcription_threshold=66)
    sandbox.change(FIRST + 1, **theirs)
    # Another client has already restored the old value.
    sandbox.change(FIRST + 2, call_status_url=before[FIRST + 2]["call_status_url"])
    await wavix.numbers.release(ids=[FIRST + 4])
    report = await fleet.roll_back(wavix, journal)
    now = standing(sandbox)
    assert now[FIRST] == {**before[FIRST], "transcription_threshold": 66}
    assert now[FIRST + 1] == {**before[FIRST + 1], **theirs}
    assert now[FIRST + 2] == before[FIRST + 2]
    assert now[FIRST + 3] == before[FIRST + 3]
    assert sandbox.stats.updates[FIRST + 1] == 1
    assert report.total == 5
    assert {result.id for result in report.results("updated")} == {FIRST, FIRST + 2, FIRST + 3}
    holds_together(report)
    untouched = set(before) - set(ids(5))
    assert {number: now[number] for number in untouched} == {number: before[number] for number in untouched}


@pytest.mark.req_18
async def test_a_run_that_was_stopped_is_rolled_back_as_far_as_it_came(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path
) -> None:
    before = standing(sandbox)
    sandbox.fail_next("status_403", 1, f"PATCH /v1/numbers/{FIRST + 5}")
    journal = tmp_path / "run.sqlite"
    report = await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(20))), journal=journal, concurrency=1)
    assert report.updated == 5
    report = await fleet.roll_back(wavix, journal)
    assert report.updated == 5
    assert standing(sandbox) == before
    assert set(sandbox.stats.updates) == set(ids(5))
