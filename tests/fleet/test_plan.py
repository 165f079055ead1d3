"""Plans, against the sandbox on real sockets."""

from __future__ import annotations

import sqlite3
import stat
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fleets import ANY_SHARE, FIRST, counts, ids, methods, url, urls
from wavix_async import InputError, NumberUpdate, fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wavix_async import WavixClient
    from wavix_async.sandbox import Sandbox


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


async def test_new_values_are_counted_and_rare_ones_together(wavix: WavixClient) -> None:
    one, other = "https://one.example.com", "https://other.example.com"
    wanted: dict[int, NumberUpdate] = {
        number: NumberUpdate(call_status_url=one if number < FIRST + 4 else other) for number in ids(6)
    }
    wanted |= {number: NumberUpdate(call_status_url=url(number)) for number in ids(30, FIRST + 6)}
    wanted |= {number: NumberUpdate(sms_enabled=True, sms_relay_url=url(number % 6)) for number in ids(36, FIRST + 36)}
    plan = await fleet.plan(wavix, wanted)
    assert plan.new_values == [
        fleet.NewValue("call_status_url", one, 4),
        fleet.NewValue("call_status_url", other, 2),
        fleet.NewValue("call_status_url", None, 30, 30),
        fleet.NewValue("sms_enabled", value=True, numbers=36),
        *(fleet.NewValue("sms_relay_url", url(number), 6) for number in range(5)),
        fleet.NewValue("sms_relay_url", None, 6, 1),
    ]
    lines = plan.table().splitlines()
    assert f"call_status_url -> {one}: 4 numbers" in lines
    assert "call_status_url -> 30 other values: 30 numbers" in lines
    assert "sms_relay_url -> 1 other value: 6 numbers" in lines
    assert "sms_enabled -> true: 36 numbers" in lines

    several = NumberUpdate(call_status_url=None, destinations=[], sms_enabled=False, transcription_threshold=20)
    values = {new.field: new.value for new in (await fleet.plan(wavix, dict.fromkeys(ids(40), several))).new_values}
    assert values == {"call_status_url": None, "destinations": [], "transcription_threshold": 20}


@pytest.mark.parametrize("count", [1, 60])
async def test_the_progress_is_of_what_is_read(wavix: WavixClient, count: int) -> None:
    """A file with one number reads one number, and not 1 of the account's 100."""
    seen: list[fleet.FleetProgress] = []
    await fleet.plan(wavix, urls(ids(count)), on_progress=seen.append)
    assert (seen[-1].done, seen[-1].total) == ((1, 1) if count == 1 else (100, 100))


@pytest.mark.req_15
async def test_a_saved_plan_is_exact_and_private(sandbox: Sandbox, wavix: WavixClient, tmp_path: Path) -> None:
    half = "https://x.example.com/\ud83d"
    sandbox.change(FIRST, call_status_url=half)
    wanted: dict[Any, Any] = {**urls(ids(20)), FIRST + 20: NumberUpdate(destinations=[]), FIRST + 21: NumberUpdate()}
    wanted |= {9999: NumberUpdate(sms_enabled=True), "14155550100": NumberUpdate(sms_enabled=True)}
    plan = await fleet.plan(wavix, wanted)
    path = tmp_path / "fleet.plan"
    plan.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    saved = fleet.read_plan(str(path))
    for name in ("digest", "name", "base_url", "account", "unchanged", "missing", "missing_count", "totals"):
        assert getattr(saved, name) == getattr(plan, name), name
    assert list(saved.changes()) == list(plan.changes())
    assert next(saved.changes()).fields[0].before == half
    again = tmp_path / "again.plan"
    saved.save(again)
    assert again.read_bytes() == path.read_bytes()

    report = await fleet.apply(wavix, saved, missing="skip")
    assert counts(report) == {"updated": len(plan), "skipped": 2} | ({"unchanged": plan.unchanged})
    assert not await fleet.plan(wavix, urls(ids(20)))


@pytest.mark.req_15
async def test_apply_is_bound_to_the_plan_that_was_reviewed(
    sandbox: Sandbox, wavix: WavixClient, tmp_path: Path
) -> None:
    """A change of a colleague between the review and `apply` is not overwritten."""
    reviewed = await fleet.plan(wavix, urls(ids(3)))
    reviewed.save(tmp_path / "fleet.plan")
    sandbox.change(FIRST, call_status_url="https://colleague.example.com")
    with pytest.raises(fleet.StalePlanError, match="colleague"):
        await fleet.apply(wavix, fleet.read_plan(tmp_path / "fleet.plan"))
    # Without a file, the digest tells: of another state of the account, and of a file that names more numbers.
    for count in (3, 4):
        assert (await fleet.plan(wavix, urls(ids(count)))).digest != reviewed.digest
    assert set(methods(sandbox)) == {"GET"}


def _without_line(text: str) -> str:
    first, _, rest = text.partition('{"after"')
    return first + rest[rest.index("\n") + 1 :]


@pytest.mark.req_15
@pytest.mark.parametrize(
    ("edit", "error"),
    [
        (lambda text: text.replace("hooks.example.com/1001", "evil.example.com/1001"), fleet.SafetyError),
        (lambda text: text.replace('"account":100', '"account":9999'), fleet.SafetyError),
        (lambda text: text.replace('"number":"', '"number":["', 1), fleet.SafetyError),
        (lambda text: text.replace('"id":1001', '"id":"1001"'), fleet.SafetyError),
        (lambda text: text.replace('"id":1001', '"id":1001.5'), fleet.SafetyError),
        (lambda text: text.replace('"after":{', '"after":{"sms_enabled":"x",'), fleet.SafetyError),
        (lambda text: text.replace('{"account"', '[{"account"', 1), fleet.SafetyError),
        (lambda text: text + "{}\n", fleet.SafetyError),
        (_without_line, fleet.SafetyError),
        (lambda text: text[: text.index('{"sha256"')], fleet.FleetFileError),
        (lambda text: "".join(text.splitlines(keepends=True)[:1]), fleet.FleetFileError),
        (lambda _: "", fleet.FleetFileError),
        (lambda _: "id,call_status_url\n1001,https://x.example.com\n", fleet.FleetFileError),
        (lambda _: "[" * 100_000, fleet.FleetFileError),
    ],
)
async def test_a_plan_that_was_edited_or_cut_is_refused(
    wavix: WavixClient, tmp_path: Path, edit: Callable[[str], str], error: type[Exception]
) -> None:
    path = tmp_path / "fleet.plan"
    (await fleet.plan(wavix, {**urls(ids(3)), 9999: NumberUpdate()})).save(path)
    path.write_text(edit(path.read_text()))
    with pytest.raises(error, match=r"fleet\.plan") as refused:
        fleet.read_plan(path)
    assert type(refused.value) is error


async def test_a_plan_that_cannot_be_written_or_read(wavix: WavixClient, tmp_path: Path) -> None:
    plan = await fleet.plan(wavix, urls(ids(1)))
    for path in (tmp_path, tmp_path / "nowhere" / "fleet.plan", "a\0b"):
        with pytest.raises(InputError, match="Cannot write"):
            plan.save(path)
        with pytest.raises(fleet.FleetFileError, match="Cannot read"):
            fleet.read_plan(path)


async def test_a_plan_that_is_not_written_to_the_end_leaves_the_file_as_it_was(
    wavix: WavixClient, tmp_path: Path
) -> None:
    path = tmp_path / "fleet.plan"
    plan = await fleet.plan(wavix, urls(ids(1)))
    plan.save(path)
    plan.close()
    with pytest.raises(sqlite3.ProgrammingError):
        plan.save(path)
    assert fleet.read_plan(path).digest == plan.digest
    assert [each.name for each in tmp_path.iterdir()] == ["fleet.plan"]


@pytest.mark.req_16
async def test_safety_counts_the_account_of_a_saved_plan(wavix: WavixClient, tmp_path: Path) -> None:
    (await fleet.plan(wavix, urls(ids(40)))).save(tmp_path / "fleet.plan")
    saved = fleet.read_plan(tmp_path / "fleet.plan")
    with pytest.raises(fleet.SafetyError, match=r"apply needs max_fraction=0\.4"):
        await fleet.apply(wavix, saved)
    assert (await fleet.apply(wavix, saved, safety=ANY_SHARE)).updated == 40
