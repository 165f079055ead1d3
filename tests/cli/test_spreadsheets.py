"""Files of colleagues on the command line: from an export through a spreadsheet to a run, and back."""

from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import Cli, running
from tests.support.spreadsheets import workbook
from wavix_async import fleet
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = 1001
NEW = "https://hooks.example.com/support"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with running(numbers=getattr(request, "param", 40)) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        yield made


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig")), delimiter=delimiter))


def saved_by_excel(rows: list[dict[str, str]], columns: list[str]) -> bytes:
    """Return rows as a German Excel saves them: semicolons, WAHR and FALSCH, a byte order mark, a blank tail."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    words = {"true": "WAHR", "false": "FALSCH"}
    writer.writerow([*columns, ""])
    for row in rows:
        writer.writerow([*(words.get(row[name], row[name]) for name in columns), ""])
    writer.writerows([[""] * (len(columns) + 1)] * 3)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


@pytest.mark.parametrize("sandbox", [60, pytest.param(5_000, marks=pytest.mark.scale)], indirect=True)
def test_a_spreadsheet_goes_from_export_to_roll_back(cli: Cli, sandbox: Sandbox, place: Path):
    sandbox.change(FIRST + 3, label="=cmd|' /C calc'!A0")
    sandbox.change(FIRST + 5, label="support\nline 2", city="Köln")
    before = dict(sandbox.numbers)
    total = len(before)
    assert cli("fleet", "export", "fleet.csv").code == 0
    exported = (place / "fleet.csv").read_bytes()

    # Excel: filter by label, change the URL, and lose the digits of a number on the way.
    rows = rows_of(place / "fleet.csv")
    columns = list(rows[0])
    chosen = [row for row in rows if row["label"] == "support"]
    for row in chosen:
        row["call_status_url"] = NEW
    digits, rows[7]["number"] = rows[7]["number"], "1.51225E+10"
    (place / "edited.csv").write_bytes(saved_by_excel(rows, columns))

    ran = cli("fleet", "plan", "edited.csv")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "wavix-async: edited.csv has 1 mistake; nothing was sent.\n"
        "  edited.csv, line 9, column 2 (number): got '1.51225E+10': Excel shortened the number, and its digits are "
        "lost. Format the column as text and enter the number again, or, if the row has an id, leave the cell empty.\n"
    )

    rows[7]["number"] = "" if total == 60 else digits
    (place / "edited.csv").write_bytes(saved_by_excel(rows, columns))
    ran = cli("fleet", "plan", "edited.csv")
    assert (ran.code, ran.err) == (0, "")
    assert f"{len(chosen)} numbers will change; {total - len(chosen):,} already match.\n" in ran.out
    assert 0 < len(chosen) < total * 0.3

    ran = cli("fleet", "apply", "edited.csv", "--yes", "--write-back", "done.csv", "--concurrency", 8)
    assert ran.code == 0, ran.err
    ids = {int(row["id"]) for row in chosen}
    assert {number for number, each in sandbox.numbers.items() if each["call_status_url"] == NEW} == ids
    done = rows_of(place / "done.csv", ";")
    assert [(row["id"], row["outcome"], row["reason"]) for row in done] == [
        (row["id"], "updated" if int(row["id"]) in ids else "unchanged", "") for row in rows
    ]
    assert done[3]["label"].startswith("'=cmd|"), "no formula comes back"
    assert cli("fleet", "plan", "done.csv").out == f"0 numbers will change; {total:,} already match.\n"

    assert cli("fleet", "roll-back", "edited.run.sqlite", "--yes").code == 0
    assert sandbox.numbers == before
    assert cli("fleet", "export", "again.csv").code == 0
    assert (place / "again.csv").read_bytes() == exported


class TestSelectors:
    FILE = (
        "numbers:\n- select: {label: suport}\n  set: {sms_enabled: true}\n"
        "- select: all\n  except: [{label: sales}, {label: suport}]\n  set: {call_recording_enabled: true}\n"
    )

    def test_those_that_match_nothing_are_refused_like_missing_numbers(self, cli: Cli, sandbox: Sandbox, place: Path):
        pytest.importorskip("yaml")
        (place / "fleet.yaml").write_text(self.FILE)
        sales = sum(each["label"] == "sales" for each in sandbox.numbers.values())
        ran = cli("fleet", "plan", "fleet.yaml")
        assert ran.code == 2
        assert "fleet.yaml has 2 entries that match nothing in the account; nothing was sent." in ran.err
        assert "fleet.yaml, line 2, column 3: select label: suport matches no number." in ran.err
        assert "fleet.yaml, line 5, column 28: except label: suport matches no number." in ran.err
        assert f"fleet.yaml, line 4, column 3: select all: {40 - sales} numbers\n" in ran.out
        assert f"fleet.yaml, line 5, column 12: except label: sales: {sales} numbers\n" in ran.out
        ran = cli("fleet", "apply", "fleet.yaml", "--yes", "--max-fraction", 1)
        assert (ran.code, "--missing skip" in ran.err) == (2, True)

        assert cli("fleet", "apply", "fleet.yaml", "--yes", "--max-fraction", 1, "--missing", "skip").err
        for each in sandbox.numbers.values():
            assert each["call_recording_enabled"] or each["label"] == "sales"


class TestBulkUpdate:
    def test_what_numbers_list_prints_is_read(self, cli: Cli, sandbox: Sandbox):
        listed = cli("numbers", "list", "--label", "support", "--json").out
        count = listed.count("\n")
        ran = cli("numbers", "bulk-update", "-", "--yes", "--json", "--call-status-url", NEW, stdin=listed)
        assert (ran.code, ran.json["updated"]) == (0, count)
        assert sum(each["call_status_url"] == NEW for each in sandbox.numbers.values()) == count

        edited = "".join(
            json.dumps({**json.loads(line), "transcription_threshold": 7}) + "\n" for line in listed.splitlines()
        )
        assert cli("numbers", "bulk-update", "-", "--yes", stdin=edited).code == 0
        assert {each["transcription_threshold"] for each in sandbox.numbers.values() if each["label"] == "support"} == {
            7
        }

    @pytest.mark.parametrize("form", ["csv", "xlsx", "gzip", "ndjson", "ids"])
    def test_the_outcome_is_written_beside_each_row(self, cli: Cli, sandbox: Sandbox, place: Path, form: str):
        if form == "xlsx":
            pytest.importorskip("python_calamine")
        rows: list[list[Any]] = [
            ["ID", "Label", "call_status_url"],
            [1001, "=1+1", NEW],
            [9, "a", NEW],
            [1003, "b", NEW],
        ]
        text = "\n".join(";".join(map(str, row)) for row in rows)
        content = {
            "csv": text.encode(),
            "gzip": gzip.compress(text.encode()),
            "xlsx": workbook(rows),
            "ndjson": b"".join(json.dumps({"id": row[0], "call_status_url": NEW}).encode() + b"\n" for row in rows[1:]),
            "ids": b"1001\n9\n1003",
        }[form]
        (place / "numbers").write_bytes(content)
        flags = ("--call-status-url", NEW) if form == "ids" else ()
        assert cli("numbers", "bulk-update", "numbers", *flags, "--yes", "--write-back", "out.csv").code == 1

        done = rows_of(place / "out.csv", ";" if form in {"csv", "gzip"} else ",")
        key = "ID" if "Label" in done[0] else "id"
        assert [(row[key], row["outcome"]) for row in done] == [
            ("1001", "updated"),
            ("9", "failed"),
            ("1003", "updated"),
        ]
        assert "404" in done[1]["reason"]
        assert done[0].get("Label", "'=1+1") == "'=1+1"

    @pytest.mark.parametrize("target", ["numbers.csv", "out.txt", "nowhere/out.csv", "."])
    def test_where_it_cannot_be_written(self, cli: Cli, sandbox: Sandbox, place: Path, target: str):
        (place / "numbers.csv").write_text("id,sms_enabled\n1001,true\n")
        for command in (("numbers", "bulk-update"), ("fleet", "apply")):
            ran = cli(*command, "numbers.csv", "--yes", "--write-back", target)
            assert (ran.code, "--write-back" in ran.err) == (2, True)
        assert not [each for each in sandbox.requests if each.method != "GET"]

    def test_an_existing_file_is_replaced_only_after_confirmation(self, cli: Cli, sandbox: Sandbox, place: Path):
        (place / "numbers.csv").write_text("id,sms_enabled\n1001,true\n")
        (place / "other.csv").write_text("mine")
        for command in (("numbers", "bulk-update"), ("fleet", "apply")):
            ran = cli(*command, "numbers.csv", "--write-back", "other.csv")
            assert (ran.code, "other.csv exists and will be replaced." in ran.err) == (3, True)
        assert (place / "other.csv").read_text() == "mine"
        assert not sandbox.requests
        assert cli("fleet", "apply", "numbers.csv", "--yes", "--write-back", "other.csv").code == 0
        assert "1001,true,updated" in (place / "other.csv").read_text()

    def test_a_file_that_changes_during_the_run_gets_no_outcomes(
        self, cli: Cli, sandbox: Sandbox, place: Path, monkeypatch: pytest.MonkeyPatch
    ):
        file = place / "numbers.csv"
        file.write_text("id,sms_enabled\n1001,true\n")
        plan = fleet.plan

        async def and_save(*args: Any, **options: Any) -> fleet.Plan:
            made = await plan(*args, **options)
            file.write_text("id,sms_enabled\n1001,false\n1002,true\n")
            return made

        monkeypatch.setattr(fleet, "plan", and_save)
        ran = cli("fleet", "apply", "numbers.csv", "--yes", "--write-back", "out.csv")
        assert ran.code == 0
        assert "Cannot write --write-back out.csv: numbers.csv has changed during the run." in ran.err
        assert not (place / "out.csv").exists()

    def test_a_fleet_without_rows_or_from_stdin(self, cli: Cli, sandbox: Sandbox, place: Path):
        (place / "fleet.yaml").write_text("numbers: []\n")
        for file, *more in (("fleet.yaml",), ("-", "--format", "csv", "--journal", "j")):
            ran = cli("fleet", "apply", file, *more, "--yes", "--write-back", "out.csv", stdin="id,sms_enabled\n")
            assert (ran.code, "--write-back needs a file" in ran.err) == (2, True)


def test_refused_changes_are_written_back_with_their_reason(cli: Cli, sandbox: Sandbox, place: Path):
    sandbox.fail_next("status_422", match="PATCH /v1/numbers/1002")
    number = sandbox.numbers[1003]["number"]
    (place / "a.csv").write_text(f"id,number,call_status_url\n1002,,{NEW}\n,{number},{NEW}\n,49301234567,{NEW}\n")
    ran = cli("fleet", "apply", "a.csv", "--yes", "--missing", "skip", "--write-back", "out.csv")
    assert ran.code == 1
    found = [(row["outcome"], row["reason"]) for row in rows_of(place / "out.csv")]
    assert [outcome for outcome, _ in found] == ["failed", "updated", found[2][0]]
    assert "422" in found[0][1]
    assert "the account has no number with the phone number 49301234567" in found[2][1]
