"""`wavix-async fleet` against a sandbox: its output and exit codes must match what the sandbox did."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cyclopts")

from tests.fleet.test_executor import Stored
from tests.support.cli import PATIENCE, Cli, Ran, Terminal, end, running, start, until_in_flight, until_said
from wavix_async import NumberUpdate, fleet
from wavix_async.sandbox import Faults, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = 1001
URL = "https://hooks.example.com/{}"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running(numbers=60) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        yield made


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wish(path: Path, count: int, *, first: int = FIRST, more: str = "") -> Path:
    """Write a file with a different URL for each of the first numbers."""
    rows = "".join(f"{number},{URL.format(number)}\n" for number in range(first, first + count))
    path.write_text(f"id,call_status_url\n{rows}{more}")
    return path


def writes(sandbox: Sandbox) -> list[Any]:
    return [request for request in sandbox.requests if request.method not in {"GET", "HEAD"}]


def done(sandbox: Sandbox) -> int:
    return sum(number["call_status_url"] == URL.format(key) for key, number in sandbox.numbers.items())


def begun(journal: Path, count: int) -> bool:
    """Return whether the journal has this many changes in flight: sent, without a result."""
    with suppress(fleet.JournalError):
        return journal.exists() and fleet.status(journal).unknown == count
    return False


class TestExport:
    def test_what_is_exported_leaves_nothing_to_do(self, cli: Cli, sandbox: Sandbox):
        assert cli("fleet", "export", "fleet.csv") == Ran(0, "", "60 numbers written to fleet.csv.\n")
        ran = cli("fleet", "plan", "fleet.csv")
        assert (ran.code, ran.err) == (0, "")
        assert ran.out == "0 numbers will change; 60 already match.\n"
        assert cli("fleet", "apply", "fleet.csv", "--json").json["unchanged"] == 60
        assert writes(sandbox) == []

    def test_an_existing_file_is_replaced_only_after_confirmation(self, cli: Cli, sandbox: Sandbox, place: Path):
        file = place / "fleet.ndjson"
        file.write_text("mine")
        ran = cli("fleet", "export", file)
        assert (ran.code, file.read_text()) == (3, "mine")
        assert "give --yes" in ran.err
        assert cli("fleet", "export", file, "--yes").code == 0
        assert len(file.read_text().splitlines()) == 60

    @pytest.mark.parametrize("name", ["fleet.txt", "nowhere/fleet.csv"])
    def test_where_nothing_can_be_written(self, cli: Cli, sandbox: Sandbox, name: str):
        ran = cli("fleet", "export", name)
        assert (ran.code, ran.out) == (2, "")
        assert sandbox.stats.requests == 0


class TestPlan:
    @pytest.mark.req_15
    def test_it_shows_what_would_change_and_sends_nothing(self, cli: Cli, sandbox: Sandbox, place: Path):
        file = wish(place / "fleet.csv", 4)
        sandbox.change(FIRST, call_status_url=URL.format(FIRST))
        ran = cli("fleet", "plan", file, "--limit", 2)
        assert ran.code == 0
        assert URL.format(1002) in ran.out
        assert URL.format(1004) not in ran.out
        assert "... and 1 more number\n" in ran.out
        assert "call_status_url -> 3 other values: 3 numbers\n3 numbers will change; 1 already matches." in ran.out
        assert writes(sandbox) == []

    def test_json_has_every_change(self, cli: Cli, sandbox: Sandbox, place: Path):
        before = {number: sandbox.numbers[number]["call_status_url"] for number in range(FIRST, FIRST + 3)}
        changes = cli("fleet", "plan", wish(place / "fleet.csv", 3), "--json").ndjson
        assert [change["id"] for change in changes] == list(before)
        for change in changes:
            number = change["id"]
            assert change["number"] == sandbox.numbers[number]["number"]
            assert change["changes"] == {"call_status_url": {"from": before[number], "to": URL.format(number)}}

    def test_stdin(self, cli: Cli, sandbox: Sandbox):
        text = '{"id": 1001, "sms_enabled": true}\n'
        assert [
            each["id"] for each in cli("fleet", "plan", "-", "--format", "ndjson", "--json", stdin=text).ndjson
        ] == [FIRST]
        ran = cli("fleet", "plan", "-", stdin=text)
        assert (ran.code, "--format" in ran.err) == (2, True)

    @pytest.mark.req_17
    def test_all_mistakes_are_listed_at_once(self, cli: Cli, sandbox: Sandbox, place: Path):
        file = place / "fleet.csv"
        file.write_text("id,sms_enabled\n" + "".join(f"{number},maybe\n" for number in range(1, 31)))
        ran = cli("fleet", "plan", file)
        assert (ran.code, ran.out) == (2, "")
        assert [f"line {line}, column 2 (sms_enabled)" in ran.err for line in range(2, 32)] == [True] * 30
        assert "more" not in ran.err
        assert sandbox.stats.requests == 0

    @pytest.mark.req_17
    def test_missing_numbers_are_listed_and_the_rest_is_shown(self, cli: Cli, sandbox: Sandbox, place: Path):
        lacking = range(9001, 9031)
        file = wish(place / "fleet.csv", 2, more="".join(f"{number},null\n" for number in lacking))
        ran = cli("fleet", "plan", file, "--output", "plan.html")
        assert ran.code == 2
        assert "2 numbers will change; 0 already match; 30 missing." in ran.out
        assert all(f"no number with the id {number}" in ran.err for number in lacking)
        page = (place / "plan.html").read_text()
        assert "30 entries of the file match nothing in the account" in page
        assert "no number with the id 9030" in page

    def test_a_page_of_it(self, cli: Cli, sandbox: Sandbox, place: Path):
        assert cli("fleet", "plan", wish(place / "fleet.csv", 3), "--output", "plan.html").code == 0
        page = (place / "plan.html").read_text()
        assert "3 numbers will change." in page
        assert all(URL.format(number) in page for number in range(FIRST, FIRST + 3))

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["missing.csv"], "Cannot read missing.csv"),
            (["fleet.csv", "--output", "plan.pdf"], "the suffix must be .html or .md"),
            (["fleet.csv", "--save", "plan.sqlite"], "the suffix must be .plan"),
            (["fleet.csv", "--save", "nowhere/fleet.plan"], "Cannot write --save"),
            (["fleet.csv", "--output", "nowhere/plan.html"], "Cannot write --output"),
            (["--nonsense"], "Unknown option: --nonsense. See wavix-async fleet plan --help."),
            (["fleet.csv", "--limit", "0"], "Invalid value"),
        ],
    )
    def test_usage_errors(self, cli: Cli, sandbox: Sandbox, place: Path, argv: list[str], message: str):
        wish(place / "fleet.csv", 1)
        ran = cli("fleet", "plan", *argv)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert sandbox.stats.requests == 0

    @pytest.mark.req_15
    def test_it_shows_its_digest_its_values_and_what_safety_will_say(self, cli: Cli, sandbox: Sandbox, place: Path):
        rows = "".join(f"{number},https://one.example.com\n" for number in sandbox.numbers)
        (place / "fleet.csv").write_text(f"id,call_status_url\n{rows}")
        argv = ("fleet", "plan", "fleet.csv", "--save", "fleet.plan", "--output")
        ran = cli(*argv, "plan.html")
        digest = fleet.read_plan("fleet.plan").digest
        values = "call_status_url -> https://one.example.com: 60 numbers"
        needed = "apply needs --max-fraction 1."
        assert (ran.code, ran.out.splitlines()[-1]) == (0, f"Digest: {digest}")
        for text in (
            values,
            "Safety: the plan changes 60 of the account's 60 numbers (100%), more than --max-fraction",
        ):
            assert text in ran.out
        assert needed in ran.out
        page = (place / "plan.html").read_text()
        assert needed in page
        assert digest in page
        assert '<td class="new value-cell">https://one.example.com</td><td class="count numbers">60</td>' in page
        assert cli(*argv, "plan.md").code == 0
        written = (place / "plan.md").read_text()
        assert "**60 numbers will change**, 0 already match." in written
        assert "| `call_status_url` | `https://one.example.com` | 60 |" in written
        assert needed in written
        assert f"`{digest}`" in written
        # Programs that read stdout get the changes alone.
        ran = cli("fleet", "plan", "fleet.csv", "--json")
        assert len(ran.ndjson) == 60
        assert ran.err.splitlines()[-1] == f"Digest: {digest}"
        assert all(
            stat.S_IMODE((place / name).stat().st_mode) == 0o600 for name in ("fleet.plan", "plan.html", "plan.md")
        )
        assert writes(sandbox) == []

    def test_the_markdown_of_a_plan_is_text(self, cli: Cli, sandbox: Sandbox, place: Path):
        evil = "<img src=x>|`]($@me"
        for number in range(FIRST, FIRST + 3):
            sandbox.change(number, call_status_url=evil)
        (place / "fleet.csv").write_text("id,call_status_url\n" + "".join(f"{FIRST + at},null\n" for at in range(3)))
        assert cli("fleet", "plan", "fleet.csv", "--output", "plan.md").code == 0
        written = (place / "plan.md").read_text()
        assert written.count(r"| ``<img src=x>\|`]($@me`` |") == 3
        assert re.sub("``.*?``", "", written).count("<img") == 0

    def test_the_phone_number_in_the_markdown_is_text_too(self, cli: Cli, sandbox: Sandbox, place: Path):
        sandbox.change(FIRST, number="<b>1</b>|")
        assert cli("fleet", "plan", wish(place / "fleet.csv", 1), "--output", "plan.md").code == 0
        assert rf"| {FIRST} | `<b>1</b>\|` | `call_status_url` |" in (place / "plan.md").read_text()

    def test_exit_code_tells_whether_there_is_something_to_do(self, cli: Cli, sandbox: Sandbox, place: Path):
        file = wish(place / "fleet.csv", 3)
        assert cli("fleet", "plan", file, "--exit-code").code == 4
        assert cli("fleet", "plan", file).code == 0
        assert cli("fleet", "apply", file, "--yes").code == 0
        assert cli("fleet", "plan", file, "--exit-code").code == 0
        assert cli("fleet", "plan", wish(file, 3, more="9999,null\n"), "--exit-code").code == 2


class TestDrift:
    def test_it_is_silent_until_the_account_differs(self, cli: Cli, sandbox: Sandbox, place: Path):
        assert cli("fleet", "export", "fleet.csv").code == 0
        assert cli("fleet", "drift", "fleet.csv") == Ran(0, "", "")
        sandbox.change(FIRST, call_status_url="https://\x1b[2Jcolleague.example.com", sms_enabled=True)
        before = sandbox.numbers[FIRST]["number"]
        ran = cli("fleet", "drift", "fleet.csv")
        assert (ran.code, ran.err) == (4, "")
        assert ran.out.splitlines() == [
            "fleet.csv: 1 number differs, 59 match.",
            f'  {FIRST} {before} call_status_url: "https://\\u001b[2Jcolleague.example.com", should be null',
            f"  {FIRST} {before} sms_enabled: true, should be false",
        ]
        assert writes(sandbox) == []

    def test_it_is_short_and_names_missing_numbers(self, cli: Cli, sandbox: Sandbox, place: Path):
        file = wish(place / "fleet.csv", 50, more="".join(f"{9000 + at},null\n" for at in range(40)))
        ran = cli("fleet", "drift", file)
        assert (ran.code, ran.err) == (4, "")
        lines = ran.out.splitlines()
        assert lines[0] == f"{file}: 50 numbers differ, 0 match, 40 missing in the account."
        assert "no number with the id 9000" in lines[21]
        assert lines[-1] == "  ... and 50 more; `fleet plan` shows them"
        assert len(cli("fleet", "drift", file, "--limit", 2).out.splitlines()) == 6

    def test_a_mistake_and_a_refused_key_have_another_code(
        self, cli: Cli, sandbox: Sandbox, place: Path, monkeypatch: pytest.MonkeyPatch
    ):
        (place / "fleet.csv").write_text("id,sms_enabled\n1001,perhaps\n")
        assert cli("fleet", "drift", "fleet.csv").code == 2
        monkeypatch.setenv("WAVIX_API_KEY", "a-wrong-key")
        assert cli("fleet", "drift", wish(place / "fleet.csv", 1)).code == 2


class TestApply:
    @pytest.mark.req_15
    def test_it_is_bound_to_the_plan_that_was_reviewed(self, cli: Cli, sandbox: Sandbox, place: Path):
        """A change of a colleague after the review is refused with code 3, with a digest and with a saved plan."""
        file = wish(place / "fleet.csv", 3)
        assert cli("fleet", "plan", file, "--save", "fleet.plan").code == 0
        digest = fleet.read_plan("fleet.plan").digest
        colleague = "https://colleague.example.com"
        sandbox.change(FIRST, call_status_url=colleague)
        ran = cli("fleet", "apply", file, "--yes", "--expect", digest)
        assert (ran.code, ran.out, writes(sandbox)) == (3, "", [])
        assert f"not {digest}: the account or the file has changed since the review. Nothing was sent." in ran.err
        ran = cli("fleet", "apply", "fleet.plan", "--yes")
        assert (ran.code, ran.out, writes(sandbox)) == (3, "", [])
        assert f"{FIRST}: call_status_url is " in ran.err
        assert sandbox.numbers[FIRST]["call_status_url"] == colleague
        # What was reviewed, and only that: the file names more by now.
        sandbox.reset()
        wish(file, 9)
        ran = cli("fleet", "apply", "fleet.plan", "--yes", "--expect", digest, "--json")
        assert (ran.code, ran.json["updated"], ran.json["digest"], done(sandbox)) == (0, 3, digest, 3)
        assert ran.json["journal"] == "fleet.run.sqlite"
        assert cli("fleet", "roll-back", "fleet.run.sqlite", "--yes").code == 0
        assert done(sandbox) == 0

    @pytest.mark.req_15
    def test_an_edited_plan_is_refused(self, cli: Cli, sandbox: Sandbox, place: Path):
        assert cli("fleet", "plan", wish(place / "fleet.csv", 3), "--save", "fleet.plan").code == 0
        plan = place / "fleet.plan"
        plan.write_text(plan.read_text().replace("hooks.example.com/1001", "evil.example.com/1001"))
        ran = cli("fleet", "apply", "fleet.plan", "--yes")
        assert (ran.code, ran.out, writes(sandbox)) == (3, "", [])
        assert "its digest does not fit" in ran.err
        plan.write_text("id,sms_enabled\n1001,true\n")
        assert cli("fleet", "apply", "fleet.plan", "--yes").code == 2
        # The option says that it is another file.
        assert cli("fleet", "apply", "fleet.plan", "--yes", "--format", "csv", "--json").json["updated"] == 1

    def test_the_suffix_of_a_saved_plan_may_have_capitals(self, cli: Cli, sandbox: Sandbox, place: Path):
        assert cli("fleet", "plan", wish(place / "fleet.csv", 3), "--save", "FLEET.PLAN").code == 0
        assert cli("fleet", "apply", "FLEET.PLAN", "--yes", "--json").json["updated"] == 3

    @pytest.mark.req_35
    def test_a_page_that_cannot_be_written_changes_no_exit_code(self, cli: Cli, sandbox: Sandbox, place: Path):
        (place / "run.html").symlink_to("/dev/full")
        file = wish(place / "fleet.csv", 3)
        more = ("--yes", "--json", "--write-back", "out.csv")
        ran = cli("fleet", "apply", file, "--output", "run.html", *more)
        assert (ran.code, ran.json["updated"], done(sandbox)) == (0, 3, 3)
        assert "Cannot write --output run.html: No space left on device." in ran.err
        assert "updated" in (place / "out.csv").read_text()
        assert cli("fleet", "status", "fleet.run.sqlite", "--output", "run.html").code == 0

    def test_its_files_must_not_replace_each_other(self, cli: Cli, sandbox: Sandbox, place: Path):
        """The outcomes of the rows would replace the journal, and with it the way back."""
        file = wish(place / "fleet.csv", 3)
        for outputs in (
            ("--journal", "run.csv", "--write-back", "run.csv"),
            ("--journal", "run.html", "--output", "./run.html"),
            ("--journal", file),
        ):
            ran = cli("fleet", "apply", file, "--yes", *outputs)
            assert (ran.code, ran.out, sandbox.stats.requests) == (2, "", 0)
            assert "choose another file" in ran.err

    def test_a_plan_of_another_api_is_refused_before_the_question(
        self, cli: Cli, sandbox: Sandbox, place: Path, monkeypatch: pytest.MonkeyPatch
    ):
        assert cli("fleet", "plan", wish(place / "fleet.csv", 3), "--save", "fleet.plan").code == 0
        monkeypatch.setenv("WAVIX_BASE_URL", "https://api.example.com")
        ran = cli("fleet", "apply", "fleet.plan")
        assert (ran.code, ran.out) == (2, "")
        assert f"give --base-url {sandbox.url}" in ran.err

    def test_dry_run_points_to_plan(self, cli: Cli, sandbox: Sandbox, place: Path):
        ran = cli("fleet", "apply", wish(place / "my fleet.csv", 1), "--dry-run")
        assert (ran.code, ran.out, sandbox.stats.requests) == (2, "", 0)
        assert f"wavix-async fleet plan '{place / 'my fleet.csv'}'" in ran.err

    def test_it_changes_what_differs_and_keeps_a_journal(self, cli: Cli, sandbox: Sandbox, place: Path):
        file = wish(place / "fleet.csv", 12)
        ran = cli("fleet", "apply", file, "--yes", "--verify", "--json", "--output", "run.html")
        assert ran.code == 0
        assert (ran.json["updated"], ran.json["total"], ran.json["failures"]) == (12, 12, [])
        assert ran.json["journal"] == str(place / "fleet.run.sqlite")
        assert "12 numbers will change; 0 already match." in ran.err
        assert f"Journal: {place / 'fleet.run.sqlite'}" in ran.err
        assert done(sandbox) == len(writes(sandbox)) == 12
        assert "All 12 numbers updated." in (place / "run.html").read_text()
        # There is nothing to do, so there is no journal.
        again = cli("fleet", "apply", file, "--yes", "--json")
        assert (again.code, again.json["unchanged"], again.json["journal"]) == (0, 12, None)

    @pytest.mark.req_14
    def test_no_file_that_it_writes_replaces_its_journal_or_its_input(self, cli: Cli, sandbox: Sandbox, place: Path):
        wish(place / "fleet.csv", 2)
        (place / "link.html").symlink_to(place / "run.html")
        (place / "fleet.plan").hardlink_to(place / "fleet.csv")
        for argv, message in (
            (["apply", "--journal", "x.csv", "--write-back", "x.csv"], "--journal and --write-back are the same file"),
            (["apply", "--journal", "x.html", "--output", "./x.html"], "--journal and --output are the same file"),
            (["apply", "--journal", "fleet.csv"], "--journal fleet.csv is the input file"),
            (["plan", "--save", "fleet.plan"], "--save fleet.plan is the input file"),
        ):
            ran = cli("fleet", argv[0], "fleet.csv", "--yes" if argv[0] == "apply" else "--json", *argv[1:])
            assert (ran.code, ran.out) == (2, "")
            assert f"{message}: choose another file." in ran.err
        assert sandbox.stats.requests == 0

        assert cli("fleet", "apply", "fleet.csv", "--yes", "--journal", "run.html").code == 0
        before = (place / "run.html").read_bytes()
        for command in ("status", "resume", "roll-back"):
            ran = cli("fleet", command, "run.html", "--output", "link.html")
            assert (ran.code, "--output link.html is the input file" in ran.err) == (2, True)
        assert (place / "run.html").read_bytes() == before
        assert cli("fleet", "roll-back", "run.html", "--yes").code == 0

    def test_a_page_that_cannot_be_written_leaves_the_exit_code_of_the_run(
        self, cli: Cli, sandbox: Sandbox, place: Path
    ):
        (place / "run.html").symlink_to(place / "gone" / "run.html")
        ran = cli(
            "fleet", "apply", wish(place / "fleet.csv", 2), "--yes", "--output", "run.html", "--write-back", "out.csv"
        )
        assert (ran.code, done(sandbox)) == (0, 2)
        assert "Cannot write --output run.html: No such file or directory." in ran.err
        assert (place / "out.csv").read_text().count("updated") == 2
        assert cli("fleet", "status", "fleet.run.sqlite", "--output", "run.html").code == 1

    @pytest.mark.req_16
    def test_it_asks_first(self, cli: Cli, sandbox: Sandbox, place: Path):
        ran = cli("fleet", "apply", wish(place / "fleet.csv", 3))
        assert (ran.code, ran.out) == (3, "")
        assert f"3 numbers at {sandbox.url} will be changed." in ran.err
        assert "give --yes" in ran.err
        assert writes(sandbox) == []
        assert not (place / "fleet.run.sqlite").exists()

    @pytest.mark.req_16
    @pytest.mark.parametrize("bound", ["--max-changes", "--max-fraction"])
    def test_too_much_is_refused_before_the_user_is_asked(self, cli: Cli, sandbox: Sandbox, place: Path, bound: str):
        file = wish(place / "fleet.csv", 20)
        value = 10 if bound == "--max-changes" else 0.1
        ran = cli("fleet", "apply", file, bound, value)
        assert ran.code == 3
        assert f"{bound} {value}" in ran.err
        assert "max_" not in ran.err
        assert "give --yes" not in ran.err
        assert writes(sandbox) == []
        # A third of the account is also above the default; 1 allows the whole account.
        assert cli("fleet", "apply", file, "--yes").code == 3
        assert cli("fleet", "apply", file, "--yes", "--max-fraction", 1).code == 0

    def test_missing_numbers_are_refused_or_left_out(self, cli: Cli, sandbox: Sandbox, place: Path):
        file = wish(place / "fleet.csv", 2, more="9999,null\n")
        ran = cli("fleet", "apply", file, "--yes")
        assert (ran.code, ran.out, writes(sandbox)) == (2, "", [])
        assert "line 4, column 1 (id): the account has no number with the id 9999" in ran.err
        assert "--missing skip" in ran.err
        ran = cli("fleet", "apply", file, "--yes", "--missing", "skip", "--json")
        assert (ran.code, ran.json["updated"], ran.json["failed"], ran.json["skipped"]) == (0, 2, 0, 1)
        shown = cli("fleet", "status", "fleet.run.sqlite")
        assert (shown.code, "All 2 numbers updated; 1 skipped.\n" in shown.out) == (0, True)
        assert "1 skipped: " in shown.out
        assert "the account has no number with the id {id}. (9999)" in shown.out

    @pytest.mark.req_17
    def test_a_rejected_change_is_shown_with_its_reason(self, cli: Cli, sandbox: Sandbox, place: Path):
        sandbox.fail_next("status_422", match=f"PATCH /v1/numbers/{FIRST}")
        ran = cli("fleet", "apply", wish(place / "fleet.csv", 3), "--yes", "--output", "run.html")
        assert ran.code == 1
        assert "2 updated, 1 failed" in ran.out
        assert "2 of 3 numbers updated; 1 failed." in ran.out
        assert "1 failed: HTTP 422 for PATCH /v1/numbers/{id}: Validation error. (1001)" in ran.out
        page = (place / "run.html").read_text()
        assert "2 of 3 numbers updated; 1 failed." in page
        assert f"HTTP 422 for PATCH /v1/numbers/{FIRST}: Validation error." in page
        failures = cli("fleet", "status", "fleet.run.sqlite", "--json").json["failures"]
        assert [(each["id"], each["status"]) for each in failures] == [(FIRST, "failed")]

    @pytest.mark.req_16
    def test_too_many_failures_end_the_run(self, cli: Cli, sandbox: Sandbox, place: Path):
        sandbox.fail_next("status_422", 60, match="PATCH *")
        file = wish(place / "fleet.csv", 60)
        ran = cli("fleet", "apply", file, "--yes", "--max-fraction", 1, "--concurrency", 1)
        assert ran.code == 3
        assert "Stopped by safety: 20 changes in a row were refused." in ran.out
        assert len(writes(sandbox)) < 30
        assert cli("fleet", "status", "fleet.run.sqlite").code == 3
        assert "To continue: wavix-async fleet resume" in ran.err

    @pytest.mark.req_19
    def test_a_change_not_in_effect_in_time_is_pending(self, cli: Cli, monkeypatch: pytest.MonkeyPatch, place: Path):
        apply = fleet.apply
        monkeypatch.setattr(fleet, "apply", lambda *args, **options: apply(*args, **options, verify_within=0.2))
        with running(numbers=5, apply_delay=600.0) as sandbox:
            monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
            monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
            file = place / "fleet.csv"
            file.write_text("id,sms_relay_url\n1001,https://late.example.com\n")
            ran = cli("fleet", "apply", file, "--yes", "--verify")
            assert ran.code == 5
            assert "1 pending: not in effect yet: sms_relay_url" in ran.out
            sandbox.advance(600)
            ran = cli("fleet", "resume", "fleet.run.sqlite")
            assert (ran.code, len(writes(sandbox))) == (0, 1)
            assert "The number was updated." in ran.out

    @pytest.mark.req_14
    def test_another_run_is_never_overwritten(self, cli: Cli, sandbox: Sandbox, place: Path):
        for index, name in enumerate(["fleet.run.sqlite", "fleet.run-2.sqlite"]):
            file = wish(place / "fleet.csv", 3, first=FIRST + 10 * index)
            assert cli("fleet", "apply", file, "--yes", "--json").json["journal"] == str(place / name)
        first = cli("fleet", "status", "fleet.run.sqlite", "--json").json
        assert (first["updated"], first["digest"]) != (0, None)
        # A journal given by name is not overwritten either, nor is a file that is not a journal.
        (place / "notes.txt").write_text("not a database, and longer than nothing")
        for journal in ("fleet.run.sqlite", "notes.txt"):
            file = wish(place / "fleet.csv", 3, first=FIRST + 30)
            ran = cli("fleet", "apply", file, "--yes", "--journal", journal)
            assert (ran.code, ran.out) == (2, "")
            assert "will be changed" not in ran.err
        assert (place / "notes.txt").read_text().startswith("not a database")
        assert cli("fleet", "status", "fleet.run.sqlite", "--json").json == first

    def test_a_plan_that_was_refused_leaves_the_name_of_the_journal_free(
        self, cli: Cli, sandbox: Sandbox, place: Path, monkeypatch: pytest.MonkeyPatch
    ):
        def change_a_number(plan: Any, journal: Any, *, resuming: bool) -> None:
            sandbox.change(FIRST, call_status_url="https://someone.example.com/else")

        file = wish(place / "fleet.csv", 3)
        monkeypatch.setattr("wavix_async.cli._commands.fleet._show_plan", change_a_number)
        ran = cli("fleet", "apply", file, "--yes")
        assert (ran.code, writes(sandbox)) == (3, [])
        assert "--stale skip" in ran.err
        assert f"{FIRST}: call_status_url is " in ran.err
        monkeypatch.undo()
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        ran = cli("fleet", "apply", file, "--yes", "--json")
        assert (ran.code, ran.json["journal"]) == (0, str(place / "fleet.run.sqlite"))

    def test_a_refused_key_says_so(self, cli: Cli, sandbox: Sandbox, place: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("WAVIX_API_KEY", "a-wrong-key")
        ran = cli("fleet", "apply", wish(place / "fleet.csv", 3), "--yes")
        assert (ran.code, ran.out) == (2, "")
        assert "401" in ran.err


@pytest.mark.req_26
def test_a_change_that_an_answer_contradicts_is_nowhere_called_updated(cli: Cli, place: Path):
    """The API answers 200, and its answers show: an ignored change, a value stored in another form, and a good one."""
    server = Stored(20, ignores=frozenset({FIRST}))
    wanted = {
        FIRST: NumberUpdate(call_status_url="https://ignored.example.com"),
        FIRST + 1: NumberUpdate(call_status_url="https://Stored-Otherwise.example.com"),
        FIRST + 2: NumberUpdate(call_status_url="https://good.example.com"),
    }

    async def run() -> None:
        async with server.client as wavix:
            await fleet.apply(wavix, await fleet.plan(wavix, wanted), journal="run.sqlite")

    asyncio.run(run())
    ran = cli("fleet", "status", "run.sqlite", "--output", "run.html")
    assert (ran.code, "1 of 3 numbers updated; 1 unknown, 1 not sent." in ran.out) == (5, True)
    assert "which is neither the old nor the new value (1002)" in ran.out
    page = (place / "run.html").read_text()
    assert page.count('<span class="status updated">updated</span>') == 1
    assert page.count('<span class="status unknown">unknown</span>') == 3  # by reason, by number, and its change
    assert "How many numbers the run was asked to change" in page
    report = cli("fleet", "status", "run.sqlite", "--json").json
    assert [report[status.value] for status in fleet.FleetStatus if status != "unchanged"] == [1, 0, 0, 1, 1, 0]
    assert [failure["id"] for failure in report["failures"]] == [FIRST + 1]


class TestRollBack:
    @pytest.mark.req_18
    def test_export_apply_roll_back_export_gives_the_same_bytes(self, cli: Cli, sandbox: Sandbox, place: Path):
        assert cli("fleet", "export", "before.csv").code == 0
        assert cli("fleet", "apply", wish(place / "fleet.csv", 10), "--yes").code == 0
        assert done(sandbox) == 10
        ran = cli("fleet", "roll-back", "fleet.run.sqlite")
        assert (ran.code, ran.out) == (3, "")
        assert f"10 numbers at {sandbox.url} that this run changed will be rolled back." in ran.err
        ran = cli("fleet", "roll-back", "fleet.run.sqlite", "--yes", "--output", "back.html")
        assert ran.code == 0
        assert "All 10 numbers rolled back." in ran.out
        assert "All 10 numbers rolled back." in (place / "back.html").read_text()
        assert cli("fleet", "export", "after.csv").code == 0
        assert (place / "after.csv").read_bytes() == (place / "before.csv").read_bytes()

    def test_a_file_that_is_not_a_journal(self, cli: Cli, sandbox: Sandbox, place: Path):
        (place / "empty.sqlite").touch()
        for command in ("resume", "roll-back", "status"):
            for name in ("nowhere.sqlite", "empty.sqlite"):
                ran = cli("fleet", command, name, *(["--yes"] if command == "roll-back" else []))
                assert (ran.code, ran.out) == (2, ""), (command, name)
                assert name in ran.err
        assert sandbox.stats.requests == 0


@pytest.mark.req_14
@pytest.mark.req_17
async def test_ctrl_c_stops_in_order_and_resume_goes_on(place: Path):
    async with Sandbox(numbers=300, latency=0.05) as sandbox:
        file = wish(place / "my fleet.csv", 300)
        argv = ("fleet", "apply", file, "--yes", "--max-fraction", 1, "--concurrency", 4)
        process = await start(sandbox, *argv, "--json")
        await until_in_flight(sandbox, 60)
        process.send_signal(signal.SIGINT)
        code, out, err = await end(process)
        report = json.loads(out)
        assert (code, report["interrupted"], report["finished"]) == (130, True, False)
        assert 0 < report["updated"] == done(sandbox) < 300
        assert report["updated"] + report["not_sent"] == 300
        journal = place / "my fleet.run.sqlite"
        assert f"To continue: wavix-async fleet resume {shlex.quote(str(journal))}" in err
        assert "Traceback" not in err
        code, out, _ = await end(await start(None, "fleet", "status", journal, "--json"))
        assert (code, json.loads(out)["not_sent"]) == (5, report["not_sent"])
        # A second apply is refused, and names the command for the run that has not finished.
        code, out, err = await end(await start(sandbox, *argv))
        assert (code, out) == (2, "")
        assert "fleet resume" in err
        code, out, _ = await end(await start(sandbox, "fleet", "resume", journal, "--json", "--output", "run.html"))
        assert (code, json.loads(out)["updated"]) == (0, 300)
        assert done(sandbox) == len(writes(sandbox)) == 300
        assert "All 300 numbers updated." in (place / "run.html").read_text()


@pytest.mark.req_17
@pytest.mark.parametrize("count", [3, 2000])
async def test_a_reader_that_stops_early_still_gets_the_exit_code(place: Path, count: int):
    async with Sandbox(numbers=2000) as sandbox:
        file = wish(place / "fleet.csv", count, more="9999,null\n")
        process = await start(sandbox, "fleet", "plan", file, "--json", "--output", "plan.html")
        assert process.stdout is not None
        assert process.stderr is not None
        if count > 3:
            await process.stdout.readline()
        process.stdout._transport.close()  # type: ignore[attr-defined]
        err = (await asyncio.wait_for(process.stderr.read(), PATIENCE)).decode()
        assert await process.wait() == 2
        assert "no number with the id 9999" in err
        assert "Traceback" not in err
        assert "BrokenPipe" not in err
        assert (place / "plan.html").exists()


async def test_long_waits_are_explained(place: Path):
    async with Sandbox(numbers=30, rate=20, burst=5, retry_after=60.0) as sandbox:
        file = wish(place / "fleet.csv", 9)
        sandbox.fail_next("status_429", match="PATCH *")
        process = await start(sandbox, "fleet", "apply", file, "--yes")
        err = await until_said(process, "s, as the API asked (429)")
        process.send_signal(signal.SIGINT)
        await end(process)
    assert "sending: " in err
    assert err.endswith("s, as the API asked (429)")


@pytest.mark.req_14
async def test_a_second_ctrl_c_ends_at_once_and_the_journal_knows(place: Path):
    async with Sandbox(numbers=40, faults=Faults(slow_seconds=600)) as sandbox:
        file = wish(place / "fleet.csv", 5)
        sandbox.fail_next("slow", 5, match="PATCH *")
        process = await start(sandbox, "fleet", "apply", file, "--yes", "--json")
        async with asyncio.timeout(PATIENCE):
            while not begun(place / "fleet.run.sqlite", 5) or len(sandbox.stats.updates) < 5:
                await asyncio.sleep(0.02)
        process.send_signal(signal.SIGINT)
        await until_said(process, "Stopping: ")
        process.send_signal(signal.SIGINT)
        code, out, err = await end(process)
        report = json.loads(out)
        assert (code, report["interrupted"]) == (130, True)
        assert (report["unknown"], report["finished"]) == (5, False)
        assert "Traceback" not in err
        # The server had received the changes: resume sends nothing twice.
        code, out, _ = await end(await start(sandbox, "fleet", "resume", "fleet.run.sqlite", "--json"))
        assert (code, json.loads(out)["updated"]) == (0, 5)
        assert done(sandbox) == 5
        assert max(sandbox.stats.updates.values()) == 1


@pytest.mark.req_14
async def test_a_killed_run_is_resumed_and_can_be_looked_at_while_it_runs(place: Path):
    async with Sandbox(numbers=200, latency=0.1) as sandbox:
        file, journal = wish(place / "fleet.csv", 200), place / "fleet.run.sqlite"
        argv = ("fleet", "apply", file, "--yes", "--max-fraction", 1, "--concurrency", 8)
        process = await start(sandbox, *argv)
        await until_in_flight(sandbox, 100)
        # The stalled requests keep the run from ending while the commands below run.
        sandbox.fail_next("stall", 8, match="PATCH *")
        code, out, _ = await end(await start(None, "fleet", "status", journal, "--json", "--output", "now.html"))
        now = json.loads(out)
        assert (code, now["running"]) == (5, True)
        assert 0 < now["updated"] < 200
        page = (place / "now.html").read_text()
        assert "Running: " in page
        assert "in progress" in page
        # No other process may use the journal now. The stopped process cannot finish before the last command has tried.
        process.send_signal(signal.SIGSTOP)
        for other in (("fleet", "resume", journal), argv, (*argv, "--journal", journal)):
            code, out, err = await end(await start(sandbox, *other))
            assert (code, out) == (5, "")
            assert "in use" in err or "Another process is using" in err
            assert "will be changed" not in err
        process.kill()
        await process.wait()
        code, out, _ = await end(await start(sandbox, "fleet", "resume", journal, "--json"))
        assert (code, json.loads(out)["updated"]) == (0, 200)
        assert done(sandbox) == 200
        assert max(sandbox.stats.updates.values()) <= 2


async def test_on_a_terminal_it_asks_and_shows_the_progress(place: Path):
    async with Sandbox(numbers=50, latency=0.05) as sandbox:
        wish(place / "fleet.csv", 10)
        with Terminal(sandbox, "fleet", "apply", "fleet.csv", "--concurrency", 1) as terminal:
            await asyncio.to_thread(terminal.read_until, "[y/n]")
            assert writes(sandbox) == []
            terminal.type("y\n")
            await asyncio.to_thread(terminal.read_until, "All 10 numbers updated.")
            assert await asyncio.to_thread(terminal.wait) == 0
        assert "Sending" in terminal.shown
        assert done(sandbox) == 10
