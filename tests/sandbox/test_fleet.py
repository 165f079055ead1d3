"""Fleets through the public face, against the sandbox on real sockets: what is said is held against what it has done.

The marks `req_NN` say which promises a test holds; `pyproject.toml` has them in words.
"""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from wavix_async import AuthenticationError, NumberUpdate, RetryPolicy, StopSignal, WavixClient, fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

EXAMPLES = Path(__file__).parents[2] / "examples"
FAST = RetryPolicy(backoff=0.01, max_backoff=0.05, budget_per_second=1e6)
FIRST = 1001
ANY_SHARE = fleet.Safety(max_fraction=None)
NO_SAFETY = fleet.Safety(max_fraction=None, failures_in_a_row=None, failed_fraction=None)
SETTABLE = (
    "sms_enabled", "sms_relay_url", "call_recording_enabled", "transcription_enabled", "transcription_threshold",
    "call_status_url",
)  # fmt: skip


def client_of(sandbox: Sandbox, **options: Any) -> WavixClient:
    settings: dict[str, Any] = {"base_url": sandbox.url, "retry": FAST, **options}
    return WavixClient(settings.pop("api_key", sandbox.api_key), **settings)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(100) as running:
        yield running


@pytest.fixture
async def wavix(sandbox: Sandbox) -> AsyncIterator[WavixClient]:
    async with client_of(sandbox) as client:
        yield client
        snapshot = client.limits.snapshot()
        assert (snapshot.in_flight, snapshot.waiting) == (0, 0)
    left = {task for task in asyncio.all_tasks() if "wavix_async/fleet" in str(task.get_coro())}
    assert not left


def ids(count: int, start: int = FIRST) -> range:
    return range(start, start + count)


def url(number: int, name: str = "hooks") -> str:
    return f"https://{name}.example.com/{number}"


def urls(numbers: Iterable[int], name: str = "hooks") -> dict[int, NumberUpdate]:
    return {number: NumberUpdate(call_status_url=url(number, name)) for number in numbers}


def standing(sandbox: Sandbox) -> dict[int, dict[str, Any]]:
    """What could be set, as it is: a destination that was deleted and made again has another id."""
    state = {}
    for number, record in sandbox.numbers.items():
        state[number] = {name: record[name] for name in SETTABLE}
        state[number]["destination"] = [{**each, "id": None} for each in record["destination"]]
    return state


def methods(sandbox: Sandbox) -> Counter[str]:
    return Counter(request.method for request in sandbox.requests)


def counts(report: fleet.FleetReport) -> dict[str, int]:
    return {
        status.value: getattr(report, status.value) for status in fleet.FleetStatus if getattr(report, status.value)
    }


def holds_together(report: fleet.FleetReport, so_already: int = 0) -> None:
    """What is counted is what is listed, each number once, but for those that the plan found to be so already."""
    results = list(report.results())
    assert len({(result.id, result.number) for result in results}) == len(results) == report.total - so_already
    listed = Counter(result.status.value for result in results)
    listed["unchanged"] += so_already
    assert +listed == counts(report)


async def begun(progressed: Callable[[], bool], task: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(60):
        while not progressed() and not task.done():
            await asyncio.sleep(0.005)
    assert not task.done()


# ------------------------------------------------------------------------------------------------ there and back again


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


@pytest.mark.req_15
async def test_a_plan_tells_what_would_change_and_asks_only(sandbox: Sandbox, wavix: WavixClient) -> None:
    wanted = urls(ids(3)) | {FIRST + 3: NumberUpdate(sms_enabled=False)}
    phases: list[fleet.FleetProgress] = []
    plan = await fleet.plan(wavix, wanted, on_progress=phases.append)
    assert (len(plan), plan.unchanged, plan.account, plan.base_url) == (3, 1, 100, sandbox.url)
    assert {progress.phase for progress in phases} == {"listing"}
    text = plan.table()
    for number in ids(3):
        assert sandbox.numbers[number]["number"] in text
        assert url(number) in text
    assert "call_status_url" in text
    assert set(methods(sandbox)) == {"GET"}
    assert not sandbox.stats.updates

    same, other = await fleet.plan(wavix, wanted), await fleet.plan(wavix, urls(ids(2)))
    assert plan.digest == same.digest != other.digest
    assert len(plan.digest) == 64


# ------------------------------------------------------------------------------------------------------------- batches

UNKNOWN = 20


def five_changes(numbers: Iterable[int]) -> dict[int, NumberUpdate]:
    kinds = [NumberUpdate(call_status_url=url(kind), transcription_threshold=40 + kind) for kind in range(5)]
    return {number: kinds[number % 5] for number in numbers}


@pytest.mark.req_15
@pytest.mark.req_17
@pytest.mark.req_21
async def test_ten_thousand_numbers_in_batches_and_the_unknown_ones_are_named(tmp_path: Path) -> None:
    async with Sandbox(10_000, batch_limit=100) as sandbox, client_of(sandbox) as wavix:
        unknown = [FIRST + 10_000 + 7 * place for place in range(UNKNOWN)]
        known = ids(10_000)
        file = tmp_path / "fleet.csv"
        rows = [f"{number},{url(number % 5)},{40 + number % 5}\n" for number in (*unknown, *known)]
        file.write_text("id,call_status_url,transcription_threshold\n" + "".join(rows))

        plan = await fleet.plan(wavix, file)
        assert (len(plan), plan.missing_count) == (10_000, UNKNOWN)
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
        assert counts(report) == {"updated": 10_000, "failed": UNKNOWN}
        assert {result.id for result in report.results("failed")} == set(unknown)
        assert all("no number" in (result.reason or "") for result in report.results("failed"))
        assert sandbox.stats.updates == dict.fromkeys(known, 1)
        assert sandbox.stats.requests <= 500
        assert not await fleet.plan(wavix, five_changes(known))
        holds_together(report)


@pytest.mark.req_15
@pytest.mark.req_17
@pytest.mark.req_21
@pytest.mark.parametrize("stale", ["skip", "write"])
async def test_ten_thousand_numbers_of_which_twenty_are_released_meanwhile(tmp_path: Path, stale: Any) -> None:
    async with Sandbox(10_000, batch_limit=100) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, five_changes(ids(10_000)))
        gone = [FIRST + 450 * place for place in range(UNKNOWN)]
        await wavix.numbers.release(ids=gone)
        before = sandbox.stats.requests
        report = await fleet.apply(
            wavix, plan, journal=tmp_path / "run.sqlite", batch="auto", stale=stale, safety=ANY_SHARE
        )
        assert counts(report) == {"updated": 10_000 - UNKNOWN, "failed": UNKNOWN}
        assert {result.id for result in report.results("failed")} == set(gone)
        assert all(result.reason for result in report.results("failed"))
        assert sandbox.stats.updates == dict.fromkeys((n for n in ids(10_000) if n not in set(gone)), 1)
        assert sandbox.stats.requests - before <= 500
        holds_together(report)


@pytest.mark.req_15
async def test_numbers_released_since_make_a_plan_stale(sandbox: Sandbox, wavix: WavixClient) -> None:
    plan = await fleet.plan(wavix, urls(ids(6)))
    await wavix.numbers.release(ids=[FIRST + 2, FIRST + 4])
    with pytest.raises(fleet.StalePlanError) as refused:
        await fleet.apply(wavix, plan)
    assert refused.value.count == 2
    assert all(str(number) in line for number, line in zip((FIRST + 2, FIRST + 4), refused.value.numbers, strict=True))
    assert not sandbox.stats.updates


# -------------------------------------------------------------------------------------------------------- verification


def relays(numbers: Iterable[int]) -> dict[int, NumberUpdate]:
    return {number: NumberUpdate(sms_relay_url=url(number, "sms")) for number in numbers}


@pytest.mark.req_19
async def test_what_is_applied_late_is_waited_for(tmp_path: Path) -> None:
    async with Sandbox(100, apply_delay=0.4) as sandbox, client_of(sandbox) as wavix:
        phases: list[str] = []
        report = await fleet.apply(
            wavix,
            await fleet.plan(wavix, relays(ids(9))),
            journal=tmp_path / "run.sqlite",
            verify=True,
            verify_within=20.0,
            on_progress=lambda progress: phases.append(progress.phase),
        )
        assert counts(report) == {"updated": 9}
        assert all(sandbox.numbers[number]["sms_relay_url"] == url(number, "sms") for number in ids(9))
        assert "verifying" in phases
        assert report.elapsed >= 0.4
        assert sandbox.stats.updates == dict.fromkeys(ids(9), 1)


@pytest.mark.req_19
@pytest.mark.req_14
async def test_what_is_not_in_effect_in_time_is_pending_and_looked_at_again_by_resume(tmp_path: Path) -> None:
    async with Sandbox(100, apply_delay=60) as sandbox, client_of(sandbox) as wavix:
        wanted = relays(ids(4)) | urls(ids(4, FIRST + 4))
        journal = tmp_path / "run.sqlite"
        plan = await fleet.plan(wavix, wanted)
        report = await fleet.apply(wavix, plan, journal=journal, verify=True, verify_within=0.3)
        assert counts(report) == {"updated": 4, "pending": 4}
        assert {result.id for result in report.results("pending")} == set(ids(4))
        assert counts(fleet.status(journal)) == counts(report)
        sandbox.advance(61)
        report = await fleet.resume(wavix, journal)
        assert counts(report) == {"updated": 8}
        assert report.finished
        assert sandbox.stats.updates == dict.fromkeys(ids(8), 1), "nothing is sent again only to be seen"


@pytest.mark.req_19
async def test_an_answer_that_was_lost_is_settled_by_reading_and_not_sent_again(tmp_path: Path) -> None:
    async with Sandbox(100) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, urls(ids(12)))
        sandbox.fail_next("reset_after", 4, "PATCH")
        sandbox.fail_next("half_body", 3, "PATCH")
        report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", safety=ANY_SHARE)
        assert sum(sandbox.stats.faults.values()) == 7
        assert counts(report) == {"updated": 12}
        assert sandbox.stats.updates == dict.fromkeys(ids(12), 1)


@pytest.mark.req_19
async def test_a_change_that_did_not_last_is_not_called_updated(tmp_path: Path) -> None:
    async with Sandbox(100, latency=0.01) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, urls(ids(9)))
        run = asyncio.ensure_future(
            fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", verify=True, verify_within=0.3, concurrency=1)
        )
        await begun(lambda: sandbox.stats.updates[FIRST + 2] == 1, run)
        sandbox.change(FIRST + 2, call_status_url="https://theirs.example.com")
        report = await run
        assert counts(report) == {"updated": 8, "failed": 1}
        (late,) = report.results("failed")
        assert late.id == FIRST + 2
        assert "call_status_url" in (late.reason or "")
        assert sandbox.numbers[FIRST + 2]["call_status_url"] == "https://theirs.example.com"


# -------------------------------------------------------------------------------------------------------------- safety


@pytest.mark.req_16
@pytest.mark.parametrize(
    ("changes", "safety", "refused"),
    [
        (4, fleet.Safety(max_changes=3), "max_changes=3"),
        (3, fleet.Safety(max_changes=3), None),
        (31, fleet.Safety(), "max_fraction=0.3"),
        (30, fleet.Safety(), None),
        (31, fleet.Safety(max_fraction=None), None),
        (10, fleet.Safety(max_fraction=0.05), "max_fraction=0.05"),
        (9, fleet.Safety(max_fraction=0.05), None),
    ],
)
async def test_a_plan_that_changes_too_much_is_refused(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, changes: int, safety: fleet.Safety, refused: str | None
) -> None:
    plan = await fleet.plan(wavix, urls(ids(changes)))
    if refused is None:
        assert (await fleet.apply(wavix, plan, safety=safety)).updated == changes
        return
    with pytest.raises(fleet.SafetyError, match=refused) as error:
        await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", safety=safety)
    assert error.value.outcome == "not_sent"
    assert set(methods(sandbox)) == {"GET"}


@pytest.mark.req_16
async def test_twenty_refusals_in_a_row_end_a_run(tmp_path: Path) -> None:
    async with Sandbox(200, foreign=1.0) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, {number: NumberUpdate(sms_enabled=True) for number in ids(60)})
        report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=4)
        assert report.refused_by_safety
        assert "20" in (report.stopped_by or "")
        assert 20 <= report.failed <= 24
        assert report.failed + report.not_sent == 60
        assert methods(sandbox)["PATCH"] == report.failed
        holds_together(report)


@pytest.mark.req_16
async def test_a_twentieth_of_refusals_ends_a_run(tmp_path: Path) -> None:
    async with Sandbox(1000, foreign=0.2) as sandbox, client_of(sandbox) as wavix:
        plan = await fleet.plan(wavix, {number: NumberUpdate(sms_enabled=True) for number in ids(1000)})
        report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=4, safety=ANY_SHARE)
        assert report.refused_by_safety
        assert 20 <= report.failed <= 24
        assert report.updated + report.failed + report.not_sent == 1000
        assert report.updated > 0
        holds_together(report)

        sandbox.reset()
        report = await fleet.apply(wavix, plan, journal=tmp_path / "other.sqlite", safety=NO_SAFETY)
        assert not report.refused_by_safety
        assert report.failed > 150
        assert report.updated + report.failed == 1000
        assert {result.id for result in report.results("updated")} == set(sandbox.stats.updates)


@pytest.mark.req_16
@pytest.mark.parametrize("status", [401, 402, 403])
async def test_a_refusal_of_the_account_ends_a_run_at_the_first(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, status: int
) -> None:
    plan = await fleet.plan(wavix, urls(ids(20)))
    sandbox.fail_next(f"status_{status}", 50, f"PATCH /v1/numbers/{FIRST + 5}")
    report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=1)
    assert report.stopped_by is not None
    assert not report.refused_by_safety
    assert methods(sandbox)["PATCH"] == 6
    assert report.updated == 5
    assert report.updated + report.failed + report.not_sent == 20
    assert report.failed <= 1
    holds_together(report)


@pytest.mark.req_14
@pytest.mark.req_16
@pytest.mark.parametrize("status", [401, 402, 403])
async def test_what_was_refused_for_the_sake_of_the_account_is_sent_by_resume(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, status: int
) -> None:
    sandbox.fail_next(f"status_{status}", 4, "PATCH")
    plan = await fleet.plan(wavix, urls(ids(20)))
    report = await fleet.apply(wavix, plan, journal=tmp_path / "run.sqlite", concurrency=4)
    assert report.stopped_by
    assert report.updated < 20
    report = await fleet.resume(wavix, tmp_path / "run.sqlite")
    assert counts(report) == {"updated": 20}


@pytest.mark.req_16
async def test_a_key_that_may_only_read_changes_nothing() -> None:
    async with Sandbox(100, scopes={"numbers": "read"}) as sandbox, client_of(sandbox) as wavix:
        report = await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(20))), concurrency=1)
        assert methods(sandbox)["PATCH"] == 1
        assert report.updated == 0
        assert report.failed + report.not_sent == 20
        assert "disabled" in (report.stopped_by or "")
        async with client_of(sandbox, api_key="wrong") as stranger:
            with pytest.raises(AuthenticationError):
                await fleet.plan(stranger, urls(ids(2)))


# --------------------------------------------------------------------------------------------------------- stale plans


@pytest.mark.req_15
@pytest.mark.parametrize("stale", ["refuse", "skip", "write"])
async def test_numbers_that_have_changed_since_the_plan(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, stale: Any
) -> None:
    plan = await fleet.plan(wavix, urls(ids(6)))
    sandbox.change(FIRST + 1, call_status_url="https://somebody-else.example.com")
    # Neither of these is in the way: another field, and what is wanted already.
    sandbox.change(FIRST + 2, transcription_threshold=77)
    sandbox.change(FIRST + 3, call_status_url=url(FIRST + 3))
    journal = tmp_path / "run.sqlite"
    if stale == "refuse":
        with pytest.raises(fleet.StalePlanError) as refused:
            await fleet.apply(wavix, plan, journal=journal)
        assert refused.value.count == 1
        assert str(FIRST + 1) in refused.value.numbers[0]
        assert "somebody-else" in refused.value.numbers[0]
        assert set(methods(sandbox)) == {"GET"}
        return
    report = await fleet.apply(wavix, plan, journal=journal, stale=stale)
    somebody = sandbox.numbers[FIRST + 1]["call_status_url"]
    if stale == "skip":
        assert somebody == "https://somebody-else.example.com"
        assert counts(report) == {"updated": 4, "unchanged": 1, "failed": 1}
        (left,) = report.results("failed")
        assert left.id == FIRST + 1
        assert left.reason
    else:
        assert somebody == url(FIRST + 1)
        assert counts(report) == {"updated": 5, "unchanged": 1}
    assert sandbox.numbers[FIRST + 2]["transcription_threshold"] == 77
    assert FIRST + 3 not in sandbox.stats.updates
    holds_together(report)
    await fleet.roll_back(wavix, journal)
    # What it really was before, not what the plan believed.
    assert sandbox.numbers[FIRST + 1]["call_status_url"] == "https://somebody-else.example.com"
    assert sandbox.numbers[FIRST + 3]["call_status_url"] == url(FIRST + 3)


# --------------------------------------------------------------------------------------------------------- the journal


@pytest.mark.req_14
async def test_a_journal_has_one_run_at_a_time_and_anybody_may_look(tmp_path: Path) -> None:
    async with Sandbox(400, latency=0.15) as sandbox, client_of(sandbox) as wavix:
        plan, other = await fleet.plan(wavix, urls(ids(100))), await fleet.plan(wavix, urls(ids(2)))
        journal = tmp_path / "run.sqlite"
        run = asyncio.ensure_future(fleet.apply(wavix, plan, journal=journal, concurrency=2))
        await begun(lambda: len(sandbox.stats.updates) > 5, run)
        for again in (
            fleet.apply(wavix, other, journal=journal),
            fleet.apply(wavix, plan, journal=journal),
            fleet.resume(wavix, journal),
            fleet.roll_back(wavix, journal),
        ):
            with pytest.raises(fleet.JournalError, match="in use") as refused:
                await again
            assert refused.value.outcome == "not_sent"
        source = (
            "import asyncio, sys\n"
            "from wavix_async import WavixClient, fleet\n"
            "async def main():\n"
            "    async with WavixClient('key', base_url=sys.argv[1]) as wavix:\n"
            "        print(fleet.status(sys.argv[2]).is_running, flush=True)\n"
            "        try:\n"
            "            await fleet.resume(wavix, sys.argv[2])\n"
            "        except fleet.JournalError as error:\n"
            "            print(error)\n"
            "asyncio.run(main())\n"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", source, sandbox.url, str(journal), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        seen: list[int] = []
        while process.returncode is None and not run.done():
            status = await asyncio.to_thread(fleet.status, journal)
            assert status.total == 100
            assert sum(counts(status).values()) == 100
            seen.append(status.updated)
            await asyncio.sleep(0.01)
        out, errors = await process.communicate()
        first, _, rest = out.decode().partition("\n")
        assert (first, "in use" in rest) == ("True", True), (out, errors)
        assert seen == sorted(seen)
        assert seen[-1] > seen[0]
        report = await run
        assert counts(report) == counts(fleet.status(journal)) == {"updated": 100}
        samples = report.samples()
        assert 1 <= len(samples) <= report.elapsed + 2
        assert [sample.at for sample in samples] == sorted(sample.at for sample in samples)
        assert 0 < samples[0].done <= samples[-1].done <= 100
        assert 0 < samples[-1].requests <= report.requests
        assert not fleet.status(journal).is_running
        assert sandbox.stats.updates == dict.fromkeys(ids(100), 1)
        again = await fleet.resume(wavix, journal)
        assert (again.finished, counts(again)) == (True, {"updated": 100})
        assert sandbox.stats.updates == dict.fromkeys(ids(100), 1)


@pytest.mark.req_14
async def test_the_journal_of_another_plan_or_account_is_refused(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path
) -> None:
    journal = tmp_path / "run.sqlite"
    await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(3))), journal=journal)
    before = fleet.status(journal).digest
    with pytest.raises(fleet.JournalError, match="plan"):
        await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(4, FIRST + 3))), journal=journal)
    async with Sandbox(100) as elsewhere, client_of(elsewhere) as other:
        for refused in (
            fleet.resume(other, journal),
            fleet.roll_back(other, journal),
            fleet.apply(other, await fleet.plan(other, urls(ids(3))), journal=journal),
        ):
            with pytest.raises(fleet.JournalError):
                await refused
        assert set(methods(elsewhere)) == {"GET"}
    assert fleet.status(journal).digest == before
    assert sandbox.stats.updates == dict.fromkeys(ids(3), 1)


@pytest.mark.req_14
@pytest.mark.parametrize(
    "kind",
    [
        "text",
        "empty",
        "torn",
        "other database",
        "directory",
        "missing",
        "no directory",
    ],
)
async def test_what_is_no_journal_is_refused_and_left_as_it_is(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path, kind: str
) -> None:
    journal = tmp_path / "run.sqlite"
    plan = await fleet.plan(wavix, urls(ids(3)))
    match kind:
        case "text":
            journal.write_bytes(b"id,call_status_url\n" * 200)
        case "empty":
            journal.touch()
        case "torn":
            await fleet.apply(wavix, plan, journal=journal)
            with journal.open("rb+") as stream:
                stream.truncate(journal.stat().st_size // 2 + 100)
            plan = await fleet.plan(wavix, urls(ids(3), "other"))
        case "other database":
            connection = sqlite3.connect(journal)
            connection.execute("CREATE TABLE mine (x)")
            connection.close()
        case "directory":
            journal.mkdir()
        case "no directory":
            journal = tmp_path / "none" / "run.sqlite"
    content = journal.read_bytes() if journal.is_file() else None
    sent = methods(sandbox)["PATCH"]
    with pytest.raises(fleet.JournalError) as refused:
        fleet.status(journal)
    assert journal.name in str(refused.value)
    for work in (fleet.resume(wavix, journal), fleet.roll_back(wavix, journal)):
        with pytest.raises(fleet.JournalError):
            await work
    if kind in ("missing", "empty"):
        # Whoever created an empty file has promised nothing by it.
        return
    with pytest.raises(fleet.JournalError):
        await fleet.apply(wavix, plan, journal=journal)
    if content is not None:
        assert journal.read_bytes() == content
    assert methods(sandbox)["PATCH"] == sent


@pytest.mark.req_14
@pytest.mark.req_10
@pytest.mark.req_17
@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("batch", [None, "auto"])
async def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path, how: str, batch: Any) -> None:
    async with Sandbox(400, latency=0.01) as sandbox, client_of(sandbox) as wavix:
        wanted = urls(ids(60)) if batch is None else five_changes(ids(60))
        plan = await fleet.plan(wavix, wanted)
        before = standing(sandbox)
        journal = tmp_path / "run.sqlite"
        signal = StopSignal()
        run = asyncio.ensure_future(
            fleet.apply(wavix.with_options(stop=signal), plan, journal=journal, concurrency=2, batch=batch)
        )
        await begun(lambda: len(sandbox.stats.updates) >= 7, run)
        if how == "stop":
            signal.set()
            report = await run
            assert report.stopped_by
            assert not report.refused_by_safety
        else:
            run.cancel()
            assert (await asyncio.wait([run], timeout=60))[0]
            assert run.cancelled()
            report = fleet.status(journal)
        assert not report.is_running
        assert not report.finished
        assert 7 <= len(sandbox.stats.updates) < 60
        assert report.not_sent + report.unknown >= 60 - len(sandbox.stats.updates)
        assert all(result.id in sandbox.stats.updates for result in report.results("updated"))
        holds_together(report)
        report = await fleet.resume(wavix, journal)
        assert counts(report) == {"updated": 60}
        assert report.finished
        assert max(sandbox.stats.updates.values()) <= 2
        assert all(
            {field.field: field.before for field in result.fields}
            == {field.field: before[result.id or 0][field.field] for field in result.fields}
            for result in report.results()
        )
        await fleet.roll_back(wavix, journal, batch=batch)
        assert standing(sandbox) == before


@pytest.mark.req_18
async def test_a_roll_back_leaves_what_somebody_else_has_changed_since(
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
    # Somebody has taken it back already.
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


async def test_a_report_survives_its_run(sandbox: Sandbox, wavix: WavixClient, tmp_path: Path) -> None:
    journal = tmp_path / "run.sqlite"
    plan = await fleet.plan(wavix, urls(ids(30)))
    report = await fleet.apply(wavix, plan, journal=journal)
    again = fleet.status(journal)
    for name in ("kind", "name", "digest", "total", "updated", "requests", "rate_limited", "stopped_by", "finished"):
        assert getattr(again, name) == getattr(report, name), name
    assert list(again.results()) == list(report.results())
    assert again.totals == report.totals == {"call_status_url": 30}
    assert "30" in str(report)

    unkept = await fleet.apply(wavix, await fleet.plan(wavix, urls(ids(30), "other")))
    assert unkept.journal is None
    assert counts(unkept) == {"updated": 30}
    assert len(list(unkept.results("updated"))) == 30
