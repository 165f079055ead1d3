"""The command line against a sandbox, called as a function in this process."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import Cli, Ran, running
from wavix_async import __version__
from wavix_async.cli._options import with_option_names
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS = [
    "",
    "demo",
    "sandbox",
    *(f"numbers {name}".rstrip() for name in ("", "list", "get", "update", "bulk-update", "release")),
    *(f"fleet {name}".rstrip() for name in ("", "export", "plan", "apply", "resume", "status", "roll-back")),
]
ROUTE = {"destination": "[did]@sip.example.com", "priority": 1, "transport": 1}


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running(numbers=250) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        yield made


def patched(sandbox: Sandbox) -> list[str]:
    return [request.path for request in sandbox.requests if request.method == "PATCH"]


class TestEntry:
    def test_version(self, cli: Cli):
        assert cli("--version") == Ran(0, f"wavix-async {__version__}\n", "")

    def test_help_names_the_commands_and_the_exit_codes(self, cli: Cli):
        ran = cli("--help")
        assert ran.code == 0
        assert ran.err == ""
        for word in ("demo", "numbers", "sandbox", "WAVIX_API_KEY", "130"):
            assert word in ran.out

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_is_one_short_line_and_an_example(self, cli: Cli, monkeypatch: pytest.MonkeyPatch, command: str):
        monkeypatch.setenv("COLUMNS", "200")
        ran = cli(*command.split(), "--help")
        assert (ran.code, ran.err) == (0, "")
        lines = [line.strip() for line in ran.out.splitlines()]
        assert lines[0].startswith("Usage: ")
        assert len(lines[2]) <= 70
        assert re.fullmatch(r"[A-Z][^.;]+\.( You cannot undo this\.)?", lines[2])
        (example,) = [line for line in lines if line.startswith("Example: ")]
        assert example.startswith(f"Example: wavix-async {command}".rstrip())
        for word in ("layout", "max_", "NumberUpdate", "None"):
            assert word not in ran.out

    def test_messages_name_options(self):
        assert with_option_names("base_url must use https") == "--base-url must use https"
        assert with_option_names("more than max_changes=1,000. Nothing was sent.") == (
            "more than --max-changes 1,000. Nothing was sent."
        )
        assert with_option_names("Raise max_fraction if you mean it.") == "Raise --max-fraction if you mean it."
        assert with_option_names("x.txt: give layout=, as in the layout of x.csv.") == (
            "x.txt: give --format, as in the layout of x.csv."
        )

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["nonsense"], 'Unknown command "nonsense"'),
            (["numbers", "list", "--nonsense"], "Unknown option: --nonsense"),
            (["numbers", "list", "--limit", "0"], 'Invalid value "0" for --limit'),
            (["numbers", "list", "--api-key", "secret"], "Unknown option: --api-key"),
            (["numbers", "get", "abc"], 'unable to convert "abc" into int'),
            (["numbers", "get", "0"], "number_id must be a positive integer, got 0"),
            (["numbers", "update", "1001"], "There is nothing to change: give at least one of --sms-enabled, "),
            (["numbers", "update", "1001", "--destinations", "[5]"], "--destinations [0] must be an object"),
            (["numbers", "update", "1001", "--destinations", "{"], "it must be a JSON list"),
            (["numbers", "release"], "Give the numbers to release: either their ids, or --did"),
            (["numbers", "release", "1", "--did", "2"], "Give the numbers to release: either their ids, or --did"),
            (["numbers", "list", "--rate", "-1"], "for --rate. Must be > 0"),
            (["numbers", "list", "--base-url", "http://example.com"], "--base-url must use https"),
            (["numbers", "bulk-update", "--nonsense"], "Unknown option: --nonsense"),
            (["sandbox", "--faults", "2"], "for --faults. Must be <= 1"),
            (["sandbox", "--burst", "0", "--rate", "1"], "--burst must be 1 or more"),
            (["sandbox", "--burst", "3"], "--burst needs --rate"),
            (["demo", "--rate", "0"], "for --rate. Must be > 0"),
        ],
    )
    def test_usage_errors_are_one_line_and_exit_2(self, cli: Cli, sandbox: Sandbox, argv: list[str], message: str):
        ran = cli(*argv)
        assert (ran.code, ran.out) == (2, "")
        # cyclopts 4 puts names in quotes, 5 does not.
        assert message.replace('"', "") in ran.err.replace('"', "")
        assert ran.err.count("\n") == 1
        assert sandbox.stats.requests == 0

    @pytest.mark.parametrize(
        "argv", [["list"], ["get", "1001"], ["update", "1001", "--sms-enabled"], ["release", "1001", "--yes"]]
    )
    def test_a_missing_key_names_the_variable(self, cli: Cli, monkeypatch: pytest.MonkeyPatch, argv: list[str]):
        monkeypatch.delenv("WAVIX_API_KEY", raising=False)
        ran = cli("numbers", *argv)
        assert (ran.code, ran.out) == (2, "")
        assert "WAVIX_API_KEY" in ran.err

    def test_a_wrong_url_in_the_environment_names_the_variable(self, cli: Cli, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("WAVIX_API_KEY", "key")
        monkeypatch.setenv("WAVIX_BASE_URL", "http://example.com")
        ran = cli("numbers", "list")
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("wavix-async: WAVIX_BASE_URL must use https")

    def test_a_refused_key(self, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("WAVIX_API_KEY", "a-wrong-key")
        ran = cli("numbers", "list")
        assert (ran.code, ran.out) == (2, "")
        assert "401" in ran.err
        assert "a-wrong-key" not in ran.err


class TestList:
    def test_a_table(self, cli: Cli, sandbox: Sandbox):
        sandbox.change(1001, label="[red]ours[/red]", sms_enabled=True)
        ran = cli("numbers", "list", "--limit", 2)
        assert ran.code == 0
        header, first, second = ran.out.splitlines()
        assert header.split() == ["ID", "NUMBER", "LABEL", "SMS", "STATUS", "DESTINATIONS"]
        assert first.split()[:5] == ["1001", sandbox.numbers[1001]["number"], "[red]ours[/red]", "yes", "active"]
        assert second.split()[0] == "1002"
        assert sandbox.numbers[1002]["destination"][0]["destination"] in second

    def test_ndjson_of_everything(self, cli: Cli, sandbox: Sandbox):
        ran = cli("numbers", "list", "--json")
        assert ran.err == ""
        assert ran.ndjson == list(sandbox.numbers.values())

    @pytest.mark.parametrize("limit", [1, 100, 130])
    def test_no_more_than_asked(self, cli: Cli, sandbox: Sandbox, limit: int):
        ran = cli("numbers", "list", "--json", "--limit", limit)
        assert [number["id"] for number in ran.ndjson] == list(range(1001, 1001 + limit))
        if limit <= 100:
            assert sandbox.stats.requests == 1

    def test_filters(self, cli: Cli, sandbox: Sandbox):
        def ids(*argv: object) -> list[int]:
            return [number["id"] for number in cli("numbers", "list", "--json", *argv).ndjson]

        everything = sandbox.numbers.values()
        assert ids("--label", "sales") == [n["id"] for n in everything if n["label"] == "sales"]
        assert ids("--label-present") == [n["id"] for n in everything if n["label"]]
        assert ids("--no-label-present") == [n["id"] for n in everything if not n["label"]]
        assert ids("--search", "131") == [n["id"] for n in everything if "131" in n["number"]]
        assert ids("--city-id", 101) == [n["id"] for n in everything if n["city"] == sandbox.cities[101]]


class TestOne:
    def test_get(self, cli: Cli, sandbox: Sandbox):
        assert cli("numbers", "get", 1001, "--json").json == sandbox.numbers[1001]
        ran = cli("numbers", "get", 1001)
        assert (ran.code, ran.err) == (0, "")
        for name in sandbox.numbers[1001]:
            assert f"  {name}" in ran.out

    def test_a_number_that_is_not_there(self, cli: Cli, sandbox: Sandbox):
        ran = cli("numbers", "get", 5)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("wavix-async: ")
        assert "404" in ran.err
        assert ran.err.count("\n") == 1

    def test_update_sends_what_is_given_and_no_more(self, cli: Cli, sandbox: Sandbox):
        ran = cli(
            *("numbers", "update", 1002, "--sms-enabled", "--no-call-recording-enabled", "--clear-sms-relay-url"),
            *("--call-status-url", "https://x.test/", "--transcription-threshold", 7, "--json"),
            *("--destinations", json.dumps([ROUTE])),
        )
        assert (ran.code, ran.err) == (0, "")
        assert ran.json == sandbox.numbers[1002]
        assert json.loads(sandbox.requests[-1].body) == {
            "sms_enabled": True,
            "call_recording_enabled": False,
            "sms_relay_url": None,
            "call_status_url": "https://x.test/",
            "transcription_threshold": 7,
            "destinations": [ROUTE],
        }

    def test_null_clears_as_in_files(self, cli: Cli, sandbox: Sandbox):
        assert cli("numbers", "update", 1002, "--call-status-url", "null").code == 0
        assert json.loads(sandbox.requests[-1].body) == {"call_status_url": None}


class TestRelease:
    def test_it_refuses_without_yes_and_without_a_terminal(self, cli: Cli, sandbox: Sandbox):
        ran = cli("numbers", "release", 1001)
        assert (ran.code, ran.out) == (3, "")
        assert f"Not confirmed: 1 number at {sandbox.url} will be released for good: 1001." in ran.err
        assert sandbox.stats.requests == 0

    def test_ids(self, cli: Cli, sandbox: Sandbox):
        ran = cli("numbers", "release", 1001, 1003, "--yes")
        assert ran == Ran(0, "Released 1001.\nReleased 1003.\n", "")
        assert 1001 not in sandbox.numbers
        assert 1002 in sandbox.numbers

    def test_phone_numbers(self, cli: Cli, sandbox: Sandbox):
        dids = [sandbox.numbers[1001]["number"], sandbox.numbers[1002]["number"]]
        ran = cli("numbers", "release", "--did", dids[0], "--did", dids[1], "-y", "--json")
        assert ran.ndjson == [{"did": did, "released": True} for did in dids]
        assert len(sandbox.numbers) == 248

    def test_a_failure_stops_and_says_what_is_left(self, cli: Cli, sandbox: Sandbox):
        ran = cli("numbers", "release", 1001, 5, 1002, "--yes", "--json")
        assert (ran.code, ran.ndjson) == (1, [{"id": 1001, "released": True}])
        assert "Number 5 was not released" in ran.err
        assert "1 number not tried." in ran.err
        assert 1002 in sandbox.numbers


class TestBulkUpdate:
    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        path = tmp_path / "numbers.csv"
        lines = ["id,sms_enabled,call_status_url", *(f"{i},yes,https://x.test/{i}" for i in range(1001, 1201))]
        path.write_text("\n".join(lines))
        return path

    def test_the_state_is_as_the_file_says(self, cli: Cli, sandbox: Sandbox, table: Path):
        ran = cli("numbers", "bulk-update", table, "--yes", "--concurrency", 8)
        assert ran.code == 0
        assert "200 updated, 0 failed, 0 unknown, 0 not sent" in ran.out
        for number_id, number in sandbox.numbers.items():
            changed = number_id < 1201
            assert number["sms_enabled"] is changed
            assert (number["call_status_url"] == f"https://x.test/{number_id}") is changed
        assert sandbox.stats.max_in_flight <= 8

    @pytest.mark.req_21
    def test_equal_changes_go_out_together_when_asked(self, cli: Cli, sandbox: Sandbox):
        stdin = "".join(f"{number}\n" for number in range(1001, 1051))
        ran = cli("numbers", "bulk-update", "-", "--sms-enabled", "--batch", "--yes", "--json", stdin=stdin)
        assert (ran.code, ran.json["updated"], ran.json["requests"]) == (0, 50, 1)
        assert sandbox.stats.requests == 1

    def test_report_as_json(self, cli: Cli, sandbox: Sandbox):
        stdin = "".join(f"{number}\n" for number in (1001, 1002, 7, 1003))
        ran = cli("numbers", "bulk-update", "-", "--sms-enabled", "--yes", "--json", stdin=stdin)
        report = ran.json
        assert ran.code == 1
        assert {name: report[name] for name in ("total", "updated", "failed", "unknown", "not_sent")} == {
            "total": 4,
            "updated": 3,
            "failed": 1,
            "unknown": 0,
            "not_sent": 0,
        }
        assert report["requests"] == sandbox.stats.requests == 4
        (failure,) = report["failures"]
        assert (failure["id"], failure["status"], failure["attempts"]) == (7, "failed", 1)
        assert "404" in failure["error"]

    def test_failures_are_grouped_by_reason(self, cli: Cli, sandbox: Sandbox):
        stdin = "".join(f"{number}\n" for number in range(1, 9))
        ran = cli("numbers", "bulk-update", "-", "--sms-enabled", "--yes", stdin=stdin)
        assert ran.code == 1
        last = ran.out.splitlines()[-1]
        assert last.startswith("8 failed: HTTP 404")
        assert last.endswith("... 3 more)")

    @pytest.mark.req_17
    @pytest.mark.req_29
    def test_more_failures_than_a_report_keeps(self, cli: Cli, sandbox: Sandbox, tmp_path: Path, bound: int):
        """The report says of how many failures it speaks, and the file has all of them."""
        failed = tmp_path / "failed.csv"
        ids = [*range(1, bound), *range(1001, 1011), *range(2_000, 2_001 + bound // 5)]
        total = bound * 6 // 5
        stdin = "".join(f"{number}\n" for number in ids)
        ran = cli("numbers", "bulk-update", "-", "--sms-enabled", "--yes", "--failures-to", failed, stdin=stdin)
        assert ran.code == 1
        reasons, note, kinds = ran.out.splitlines()[-3:]
        assert reasons.startswith(f"{bound:,} failed: HTTP 404")
        assert note == (
            f"These reasons are of the first {bound:,} of {total:,} failures; --failures-to FILE lists every failure."
        )
        assert kinds == f"All failures: {total:,} NotFoundError (HTTP 404)."
        rows = list(csv.DictReader(io.StringIO(failed.read_text())))
        assert {int(row["id"]) for row in rows} == set(ids) - set(range(1001, 1011))
        ran = cli("numbers", "bulk-update", "-", "--sms-enabled", "--yes", "--json", stdin=stdin)
        assert (ran.json["failed"], ran.json["failures_total"], len(ran.json["failures"])) == (total, total, bound)
        assert ran.json["failures_by_kind"] == [{"error": "NotFoundError", "http_status": 404, "count": total}]

    @pytest.mark.req_17
    @pytest.mark.parametrize("suffix", ["csv", "ndjson"])
    def test_every_result_in_a_file(self, cli: Cli, sandbox: Sandbox, table: Path, tmp_path: Path, suffix: str):
        output = tmp_path / f"results.{suffix}"
        with table.open("a") as stream:
            stream.write("\n9999,yes,\n")
        ran = cli("numbers", "bulk-update", table, "--yes", "--output", output)
        assert ran.code == 1
        text = output.read_text()
        read = csv.DictReader(io.StringIO(text)) if suffix == "csv" else map(json.loads, text.splitlines())
        results = {int(row["id"]): row for row in read}
        assert set(results) == {*range(1001, 1201), 9999}
        assert Counter(row["status"] for row in results.values()) == {"updated": 200, "failed": 1}
        assert int(results[9999]["attempts"]) == 1
        assert "404" in results[9999]["error"]

    def test_a_wrong_row_sends_nothing(self, cli: Cli, sandbox: Sandbox, table: Path):
        with table.open("a") as stream:
            stream.write("\n1001,yes,\n1300,perhaps,\n")
        ran = cli("numbers", "bulk-update", table, "--yes")
        assert (ran.code, ran.out) == (2, "")
        first, duplicate, wrong = ran.err.splitlines()
        assert first.endswith("has 2 mistakes; nothing was sent.")
        assert duplicate == f"  {table}, line 202, column 1 (id): number 1001 is already in line 2."
        assert wrong.startswith(f"  {table}, line 203, column 2 (sms_enabled): must be true or false;")
        assert sandbox.stats.requests == 0

    def test_many_wrong_rows_are_bounded(self, cli: Cli, sandbox: Sandbox):
        ran = cli("numbers", "bulk-update", "-", "--yes", stdin="id,sms_enabled\n" + "x,yes\n" * 1000)
        assert ran.code == 2
        assert len(ran.err.splitlines()) == 22
        assert ran.err.splitlines()[-1] == "  ... and 980 more"

    def test_it_refuses_without_yes_and_without_a_terminal(self, cli: Cli, sandbox: Sandbox, table: Path):
        ran = cli("numbers", "bulk-update", table)
        assert (ran.code, ran.out) == (3, "")
        assert f"Not confirmed: 200 numbers at {sandbox.url} will be changed" in ran.err
        assert sandbox.stats.requests == 0

    @pytest.mark.req_15
    def test_dry_run_needs_no_key_and_sends_nothing(
        self, cli: Cli, sandbox: Sandbox, table: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.delenv("WAVIX_API_KEY")
        ran = cli("numbers", "bulk-update", table, "--dry-run")
        assert (ran.code, ran.err) == (0, "")
        lines = ran.out.splitlines()
        assert lines[0] == "200 numbers will change: sms_enabled on 200, call_status_url on 200."
        assert lines[1] == ('  PATCH /v1/numbers/1001 {"sms_enabled": true, "call_status_url": "https://x.test/1001"}')
        assert lines[-1] == "Dry run: nothing was sent."
        assert sandbox.stats.requests == 0

    def test_dry_run_as_json_can_be_read_again(self, cli: Cli, sandbox: Sandbox, table: Path):
        planned = cli("numbers", "bulk-update", table, "--dry-run", "--json")
        assert len(planned.ndjson) == 200
        ran = cli("numbers", "bulk-update", "-", "--yes", "--json", stdin=planned.out)
        assert ran.json["updated"] == 200
        assert sandbox.numbers[1200]["call_status_url"] == "https://x.test/1200"

    def test_what_list_prints_goes_in_again(self, cli: Cli, sandbox: Sandbox):
        listed = cli("numbers", "list", "--json", "--limit", 20).ndjson
        ids = "".join(f"{number['id']}\n" for number in listed)
        assert cli("numbers", "bulk-update", "-", "--clear-sms-relay-url", "--yes", stdin=ids).code == 0
        assert len(patched(sandbox)) == 20

    @pytest.mark.req_16
    @pytest.mark.req_17
    def test_a_refused_key_stops_it(self, cli: Cli, sandbox: Sandbox, table: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("WAVIX_API_KEY", "wrong")
        ran = cli("numbers", "bulk-update", table, "--yes", "--json", "--concurrency", 4)
        assert ran.code == 2
        assert ran.json["failed"] <= 4
        assert ran.json["failed"] + ran.json["not_sent"] == 200
        assert "401" in ran.json["stopped_by"]

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["--output", "results.txt"], "the suffix must be one of .csv, .ndjson, .jsonl"),
            (["--output", "missing/results.csv"], "Cannot write --output missing/results.csv: No such file"),
            (["--output", "numbers.csv"], "--output numbers.csv is the input file: choose another file."),
            (["--failures-to", "missing/failed.csv"], "Cannot write --failures-to missing/failed.csv: No such file"),
            (["--failures-to", "numbers.csv"], "--failures-to numbers.csv is the input file: choose another file."),
            (["--failures-to", "a.csv", "--output", "a.csv"], "--output and --failures-to are the same file"),
            (["--concurrency", "0"], 'Invalid value "0" for --concurrency'),
            (["--sms-enabled"], "column 2 (sms_enabled): is also given as a flag"),
        ],
    )
    def test_usage_errors(
        self,
        cli: Cli,
        sandbox: Sandbox,
        table: Path,
        argv: list[str],
        message: str,
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.chdir(table.parent)
        ran = cli("numbers", "bulk-update", "numbers.csv", "--yes", *argv)
        assert (ran.code, ran.out) == (2, "")
        assert message.replace('"', "") in ran.err.replace('"', "")
        assert sandbox.stats.requests == 0

    def test_nothing_at_all(self, cli: Cli, sandbox: Sandbox):
        ran = cli("numbers", "bulk-update", "-", "--sms-enabled", "--yes")
        assert (ran.code, ran.err) == (2, "wavix-async: stdin has no rows.\n")


class TestDemo:
    def test_nothing_is_lost(self, cli: Cli, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("WAVIX_API_KEY", raising=False)
        monkeypatch.setenv("WAVIX_BASE_URL", "https://never-asked.invalid")
        ran = cli("demo", "--numbers", 300, "--rate", 100, "--faults", 0.05, "--json")
        figures = ran.json
        assert ran.code == 0
        assert (figures["asked"], figures["updated"]) == (300, 300)
        assert figures["state"] == {"as_reported": 300, "undecided": 0, "lost": 0}
        assert figures["requests"]["sent"] == figures["requests"]["received"] >= 300
        assert figures["requests"]["refused"] > 0
        assert sum(figures["faults"].values()) > 0
        assert 0 < figures["rate"]["share"] <= 1

    def test_plain_lines_without_a_terminal(self, cli: Cli):
        ran = cli("demo", "--numbers", 40, "--rate", 1000, "--faults", 0)
        assert ran.code == 0
        assert "\x1b" not in ran.out + ran.err
        assert ran.out.splitlines()[-1] == "40 updated, 0 lost."
        assert "40 of 40 numbers match the report, 0 lost" in ran.out

    def test_the_audit_finds_what_does_not_match(self, cli: Cli, monkeypatch: pytest.MonkeyPatch):
        stop = Sandbox.stop

        async def meddle_and_stop(self: Sandbox) -> None:
            self.change(1003, sms_enabled=False)
            await stop(self)

        monkeypatch.setattr(Sandbox, "stop", meddle_and_stop)
        ran = cli("demo", "--numbers", 10, "--rate", 1000, "--faults", 0)
        assert ran.code == 1
        assert ran.out.splitlines()[-1] == "10 updated, 1 lost."


@pytest.mark.req_29
@pytest.mark.parametrize(
    "text", ["half \ud83d", "\x1b[31mred", "\u202eright to left", "[bold]no markup[/bold]"], ids=ascii
)
def test_what_the_api_says_is_text(cli: Cli, sandbox: Sandbox, text: str) -> None:
    """Never a terminal escape, never markup, and never an error of the terminal's encoding."""
    sandbox.change(1001, number=text, label=text, city=text, destination=[{**ROUTE, "destination": text}])
    safe = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)
    for command in (["numbers", "list", "--limit", 1], ["numbers", "get", 1001]):
        ran = cli(*command)
        assert ran.code == 0
        ran.out.encode()
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out
        if command[1] == "get":
            assert ran.out.count(safe) >= 4
        found = json.loads(cli(*command, "--json").out)
        assert [found[field] for field in ("number", "label", "city")] == [text] * 3
        assert found["destination"][0]["destination"] == text
