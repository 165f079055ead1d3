"""The commands that are made from the client's methods: all of them are there, and each does what its method does."""

from __future__ import annotations

import importlib
import io
import json
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import Cli, running
from wavix_async import Operation, resources
from wavix_async.cli import main
from wavix_async.cli._api import methods
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

WRITTEN = {f"numbers {name}" for name in ("list", "get", "update", "bulk-update", "release")}
METHODS = {" ".join(method.words): method for method in methods()}
GENERATED = {words: method for words, method in METHODS.items() if words not in WRITTEN}
DAY = 86_400
SEND = ("messages", "send", "--from", "Acme", "--to", "15125550143")


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with running(numbers=4) as made:
        yield made


@pytest.fixture
def sandbox(served: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    monkeypatch.setenv("WAVIX_BASE_URL", served.url)
    monkeypatch.setenv("WAVIX_API_KEY", served.api_key)
    served.reset()
    return served


def operations() -> Iterator[Operation[Any]]:
    for found in pkgutil.walk_packages(resources.__path__, f"{resources.__name__}."):
        for value in vars(importlib.import_module(found.name)).values():
            if isinstance(value, Operation):
                yield value


def check_help(cli: Cli, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    method = GENERATED[words]
    ran = cli(*method.words, "--help")
    assert (ran.code, ran.err) == (0, "")
    lines = [line.strip() for line in ran.out.splitlines()]
    assert lines[0].startswith(f"Usage: wavix-async {words}")
    assert f"{lines[2]}\n" in method.help
    assert f"Example: {method.example}" in lines
    for name in method.requests.names:
        assert name in lines[4]
    for option in method.options.all:
        assert option.name in ran.out or option.name.replace("-", "_") in ran.out


class TestAll:
    def test_every_operation_has_a_command(self):
        reached = {name for method in METHODS.values() for name in method.requests.names}
        assert {operation.name for operation in operations()} <= reached

    def test_a_group_and_a_method_need_no_line_of_the_command_line(self, cli: Cli):
        assert {method.words[0] for method in METHODS.values()} >= {"messages", "calls", "webrtc", "voice-campaigns"}
        for words in ("", "messages", "calls streams"):
            ran = cli(*words.split(), "--help")
            known = {tuple(each.split()) for each in METHODS}
            here = {each[len(words.split())] for each in known if list(each[: len(words.split())]) == words.split()}
            shown = set(re.findall(r"^│ ([a-z][a-z-]+) ", ran.out, re.MULTILINE))
            assert here <= shown

    @pytest.mark.parametrize("words", GENERATED)
    def test_the_example_is_whole_and_the_help_is_for_a_shell(
        self, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: str
    ):
        monkeypatch.delenv("WAVIX_API_KEY", raising=False)
        monkeypatch.chdir(tmp_path)
        method = GENERATED[words]
        summary, *_ = method.help.splitlines()
        assert re.fullmatch(r"[A-Z1].{3,80}\.", summary)
        for text in (summary, *(option.help for option in method.options.all)):
            assert text.endswith((".", "]"))
            assert not re.search(r"\b(None|UNSET|await|repr|iterable)\b", text)
        for file in ("ITEMS.ndjson", "FILE"):
            (tmp_path / file).write_text('{"from": "Acme", "to": "15125550143", "text": "hi"}\n')
        # The command is read to its end: what is missing is the key.
        tried = cli(*shlex.split(method.example)[1:], "--verbose")
        assert (tried.code, tried.out) == (2, "")
        assert "The API key is missing" in tried.err or ("--body FILE" in method.example and "Missing: " in tried.err)

    @pytest.mark.parametrize(
        "words",
        [
            *(words for words in GENERATED if words.endswith(" list")),
            *(pytest.param(each, marks=pytest.mark.scale) for each in GENERATED if not each.endswith(" list")),
        ],
    )
    def test_help_prints(self, cli: Cli, monkeypatch: pytest.MonkeyPatch, words: str):
        check_help(cli, monkeypatch, words)

    def test_only_the_group_that_is_called_is_imported(self):
        code = """
import sys
from wavix_async.cli import main
for command in ("--help", "messages send --help"):
    main(command.split())
    parts = [name for name in sys.modules if name.startswith(("wavix_async.resources.", "wavix_async.sandbox"))]
    print("imported", *parts)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        told = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("imported")]
        groups = [{name.rpartition(".")[2] for name in names if "._" not in name} for names in told]
        assert groups == [set(), {"messages"}]

    @pytest.mark.parametrize(
        "shell", ["bash", *(pytest.param(each, marks=pytest.mark.scale) for each in ("zsh", "fish"))]
    )
    def test_completion_knows_every_command(self, cli: Cli, shell: str):
        ran = cli("completion", shell)
        assert ran.code == 0
        for word in ("opt-outs", "sender-ids", "--message-body.text", "roll-back"):
            assert word in ran.out


class TestAsking:
    ASKS = {
        "messages send", "messages bulk-send", "messages sender-ids create", "calls create", "calls end", "calls play",
        "cdrs retranscribe", "speech-analytics upload", "recordings delete", "webrtc tokens update",
        "numbers papers upload", "voice-campaigns create", "buy purchase", "buy cart checkout", "validation validate",
        "validation run", "two-fa verification check", "short-links create", "trunks edit", "sub-organizations edit",
        "ten-dlc brands update", "ten-dlc brands vettings import", "ten-dlc brands campaigns numbers bulk-link",
    }  # fmt: skip
    DOES_NOT = {
        "messages list", "messages export", "messages wait", "messages find-sent", "messages opt-outs create",
        "cdrs search", "calls update", "recordings download-all", "calls find-started", "validation wait",
        "api-keys update", "two-fa verification cancel", "ten-dlc brands campaigns wait", "buy cart get",
    }  # fmt: skip

    def test_what_charges_sends_replaces_or_deletes_asks(self):
        assert {words for words in self.ASKS | self.DOES_NOT if METHODS[words].requests.asks} == self.ASKS

    def test_without_a_terminal_nothing_is_sent_and_no_text_is_shown(self, cli: Cli, sandbox: Sandbox):
        ran = cli(*SEND, "--text", "code 1234")
        assert (ran.code, ran.out) == (3, "")
        assert f"Send one message at {sandbox.url}: from Acme, to 15125550143, text <hidden>." in ran.err
        assert "1234" not in ran.err
        assert not sandbox.requests

    def test_json_that_holds_a_secret_is_not_repeated(self, cli: Cli, sandbox: Sandbox):
        ran = cli(*SEND, "--message-body", '{"text": "code 1234"}')
        assert ran.code == 3
        assert "message-body <hidden>." in ran.err
        assert "1234" not in ran.err
        prompt = '{"say": {"text": "code 1234", "language": "en", "voice": "Emma"}}'
        assert "1234" not in cli("calls", "collect", "CALL", "--prompt", prompt).err

    def test_a_file_that_exists_is_not_replaced(self, cli: Cli, sandbox: Sandbox, tmp_path: Path):
        file = tmp_path / "messages.csv"
        file.write_text("mine")
        assert cli("messages", "export", "--type", "outbound", "-o", file).code == 3
        assert file.read_text() == "mine"
        assert cli("messages", "export", "--type", "outbound", "-o", file, "--yes").code == 0
        assert file.read_text().startswith("message_id,")

    def test_a_key_that_is_shown_once_is_named_in_the_question(self, cli: Cli, sandbox: Sandbox):
        argv = ("webrtc", "tokens", "create", "--sip-trunk", "12345", "--ttl", "60", "--payload", '{"a": 1}')
        assert "token, which only --show-secrets shows" in cli(*argv).err
        hidden = cli(*argv, "--yes", "--json")
        assert hidden.json["token"] == "<hidden>"
        assert "Hidden: token. --show-secrets shows such fields." in hidden.err
        shown = cli(*argv, "--yes", "--json", "--show-secrets")
        assert shown.json["token"] not in ("<hidden>", None)


class TestOutput:
    def test_one_record_as_facts_and_as_json(self, cli: Cli, sandbox: Sandbox):
        sent = cli(*SEND, "--text", "a secret text", "--tag", "t\x1b[31m", "--yes")
        assert sent.code == 0
        assert re.search(r"to +15125550143", sent.out)
        assert "\x1b" not in sent.out
        assert "a secret text" not in sent.out
        message_id = next(iter(sandbox.messages))
        got = cli("messages", "get", message_id, "--json")
        assert got.json["message_body"] == {"text": "<hidden>", "media": None}
        shown = cli("messages", "get", message_id, "--json", "--show-secrets")
        assert shown.json["message_body"]["text"] == "a secret text"

    def test_a_list_as_a_table_as_ndjson_and_by_fields(self, cli: Cli, sandbox: Sandbox):
        for number in range(3):
            cli(*SEND, "--text", "hi", "--tag", f"t{number}", "--yes")
        table = cli("messages", "list", "--type", "outbound")
        assert table.out.split()[:2] == ["MESSAGE_ID", "MESSAGE_TYPE"]
        assert len(table.out.splitlines()) == 4
        rows = cli("messages", "list", "--type", "outbound", "--json", "--fields", "tag,from,message_body.media").ndjson
        assert sorted(row["tag"] for row in rows) == ["t0", "t1", "t2"]
        assert rows[0] == {"tag": rows[0]["tag"], "from": "Acme", "message_body.media": None}
        picked = cli("messages", "list", "--type", "outbound", "--fields", "tag,status").out.splitlines()
        assert picked[0].split() == ["TAG", "STATUS"]

    def test_one_page_a_limit_and_all(self, cli: Cli, sandbox: Sandbox):
        for number in range(3):
            cli("messages", "opt-outs", "create", "--number", f"1512555014{number}")
        one = cli("messages", "opt-outs", "list", "--per-page", 2, "--json")
        assert len(one.ndjson) == 2
        assert "2 of 3: --limit N shows more, --all shows all." in one.err
        assert len(cli("messages", "opt-outs", "list", "--per-page", 2, "--all", "--json").ndjson) == 3
        assert len(cli("messages", "opt-outs", "list", "--limit", 1, "--json").ndjson) == 1
        assert "PHONE_NUMBER" in cli("messages", "opt-outs", "list", "--all").out

    def test_an_empty_list_and_a_record_that_was_not_found(self, cli: Cli, sandbox: Sandbox):
        assert cli("messages", "list", "--type", "inbound").code == 0
        nothing = cli("messages", "find-sent", "--tag", "none")
        assert (nothing.code, nothing.out) == (1, "")
        assert "Nothing was found." in nothing.err

    def test_an_error_of_the_api(self, cli: Cli, sandbox: Sandbox):
        ran = cli("messages", "get", "no-such-message", "--verbose")
        assert (ran.code, ran.out) == (1, "")
        assert "wavix-async: HTTP 404 for GET /v3/messages/no-such-message" in ran.err
        assert re.search(r"GET /v3/messages/\{id\}: 404 \(NotFoundError\), request sandbox-\d+, 1 attempt", ran.err)

    def test_an_unknown_outcome_is_no_reason_to_try_again(self, cli: Cli, sandbox: Sandbox):
        sandbox.fail_next("reset_after", match="POST /v3/messages")
        ran = cli(*SEND, "--text", "hi", "--yes")
        assert (ran.code, ran.out) == (1, "")
        assert len(sandbox.messages) == len(sandbox.requests_to("POST /v3/messages")) == 1

    def test_a_confirmation_is_a_word(self, cli: Cli, sandbox: Sandbox):
        assert cli("messages", "opt-outs", "create", "--number", "15125550143").out == "Done.\n"


def test_a_secret_that_is_empty_is_shown_as_empty(cli: Cli, sandbox: Sandbox):
    made = cli("sub-organizations", "create", "--name", "n", "--yes", "--json").json
    assert made["default_destinations"] == {"sms_endpoint": "", "dlr_endpoint": ""}
    assert made["api_key"] == "<hidden>"


def test_an_encoding_without_most_characters(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    wanted = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(wanted, encoding="ascii"))
    assert main([*SEND, "--text", "caf\u00e9", "--tag", "\u2713", "--yes", "--show-secrets"]) == 0
    assert b"\\u2713" in wanted.getvalue()


class TestInput:
    def test_cyclopts_validates_with_pydantic_where_it_is_loaded(self, cli: Cli, sandbox: Sandbox):
        pytest.importorskip("pydantic")
        assert cli("messages", "opt-outs", "list").code == 0
        text = ("--message-body.text", "hi", "--message-body.media", "https://example.com/a.png", "--smart-encoding")
        ran = cli("messages", "send", "--from", "15125550100", "--to", "15125550143", *text, "--yes", "--verbose")
        assert ran.code == 0, ran.err

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            ("messages list", "Missing: --type."),
            ("messages list --type outbound --fields nope", "--fields: there is no 'nope': give some of "),
            ("messages send --from Acme --to 15125550143", "--message-body: a message has either text or message_body"),
            ("messages send --to 1 --text x", "Missing: --from."),
            ("messages send --from A --to 15125550143 --text x --validity soon", 'unable to convert "soon" into int'),
            ("messages send --message-body [] --from A --to 1", "--message-body must be a JSON object."),
            ("messages send --body none.json", "--body: cannot read none.json"),
            ("messages send --body --yes", "Unknown option: --yes."),
            ("messages send --clear tag", "--clear: 'tag' must be one of "),
            ("messages bulk-send none.ndjson", "Cannot read none.ndjson"),
            ("calls streams create CALL --stream-url http://x.example", "Missing: --stream-type"),
            ("recordings download 12", "call_id must not be '12'"),
            ("recordings download-all --to x --recordings a --from-date 2026-11-01", "goes without other filters."),
            ("messages nope", 'Unknown command "nope"'),
            ("messages nope", "See wavix-async messages --help."),
            (
                "ten-dlc brands campaigns list B1 C1",
                "Unexpected: B1 C1. See wavix-async ten-dlc brands campaigns list --help.",
            ),
            ("messages list --limit x", "See wavix-async messages list --help."),
        ],
    )
    def test_wrong_usage_is_one_line_and_sends_nothing(
        self, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: str, message: str
    ):
        monkeypatch.chdir(tmp_path)
        ran = cli(*argv.split())
        assert (ran.code, ran.out) == (2, "")
        assert message.replace('"', "") in ran.err.replace('"', "")
        assert not sandbox.requests

    def test_a_body_from_stdin_goes_under_the_options(self, cli: Cli, sandbox: Sandbox):
        body = {"from": "Acme", "to": "15125550143", "tag": "old", "message_body": {"text": "hi"}}
        ran = cli("messages", "send", "--body", "-", "--tag", "new", "--yes", stdin=json.dumps(body))
        assert ran.code == 0
        (message,) = sandbox.messages.values()
        assert (message["from"], message["tag"], message["message_body"]["text"]) == ("Acme", "new", "hi")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("[" * 100_000, "--body must be JSON: it is nested too deeply."),
            ('{"form": "Acme"}', "--body has no field 'form': it has from, to, message_body,"),
        ],
    )
    def test_a_hostile_or_mistyped_body_is_one_line(self, cli: Cli, sandbox: Sandbox, body: str, message: str):
        ran = cli("messages", "send", *SEND[2:], "--text", "hi", "--body", "-", "--yes", stdin=body)
        assert (ran.code, ran.out) == (2, "")
        assert message in ran.err
        assert not sandbox.requests

    def test_nested_json_of_an_option_is_one_line(self, cli: Cli, sandbox: Sandbox):
        ran = cli(*SEND, "--message-body", "[" * 100_000, "--yes")
        assert (ran.code, ran.out) == (2, "")
        assert "--message-body must be JSON: it is nested too deeply." in ran.err

    @pytest.mark.parametrize(
        ("words", "options"), [("messages send", {"--body"}), ("trunks edit", {"--body", "--clear"})]
    )
    def test_the_help_shows_how_to_give_a_body(self, cli: Cli, words: str, options: set[str]):
        shown = set(re.findall(r"^│ (--[a-z-]+) STR ", cli(*words.split(), "--help").out, re.MULTILINE))
        assert options <= shown

    def test_objects_by_dots_and_lists_in_three_ways(self, cli: Cli, sandbox: Sandbox, tmp_path: Path):
        links = tmp_path / "links.txt"
        links.write_text("https://example.com/c.png\nhttps://example.com/d.png\n")
        urls = [f"https://example.com/{name}.png" for name in "abcd"]
        args = ("--message-body.media", urls[0], "--message-body.media", json.dumps([urls[1]]))
        file = ("--message-body.media", f"@{links}")
        text = ("--from", "15125550100", "--to", "15125550143", "--message-body.text", "hi")
        ran = cli("messages", "send", *text, *args, *file, "--yes")
        assert ran.code == 0, ran.err
        (message,) = sandbox.messages.values()
        assert message["message_body"] == {"text": "hi", "media": urls}

    def test_a_field_is_cleared(self, cli: Cli, sandbox: Sandbox):
        sandbox.change(1001, call_status_url="https://example.com/x")
        ran = cli("numbers", "update-batch", "1001", "1002", "--sms-enabled", "--clear", "call-status-url", "--json")
        assert ran.code == 0, ran.err
        assert [row["call_status_url"] for row in ran.ndjson] == [None, None]

    def test_a_field_hides_a_shared_option_of_its_name(self, cli: Cli, sandbox: Sandbox):
        ran = cli("calls", "create", "--from", "15125550100", "--to", "15125550143", "--timeout", 25,
                  "--client-timeout", 20, "--yes")  # fmt: skip
        assert ran.code == 0, ran.err
        (request,) = sandbox.requests_to("POST /v1/calls")
        assert request.json["timeout"] == 25


class TestRuns:
    @pytest.mark.parametrize(
        ("name", "rows"),
        [
            ("a.ndjson", '{"key": "one", "from": "Acme", "to": "15125550143", "text": "a"}\n'
                         '{"key": "two", "from": "Acme", "to": "15125550144", "text": "b", "validity": 60}\n'),
            ("a.csv", "key,from,to,text,validity\none,Acme,15125550143,a,\ntwo,Acme,15125550144,b,60\n"),
            ("excel.csv", "\ufeffkey;from;to;text;validity\r\none;Acme;15125550143;a;\r\n;;;;\r\n"
                          "two;Acme;15125550144;b;60\r\n"),
            ("a.json", '[{"key": "one", "from": "Acme", "to": "15125550143", "text": "a"},\n'
                       '{"key": "two", "from": "Acme", "to": "15125550144", "text": "b", "validity": 60}]'),
        ],
    )  # fmt: skip
    def test_messages_of_a_file_are_sent_once_with_a_journal(
        self, cli: Cli, sandbox: Sandbox, tmp_path: Path, name: str, rows: str
    ):
        file, results = tmp_path / name, tmp_path / "results.ndjson"
        file.write_text(rows)
        argv = ("messages", "bulk-send", file, "--journal", tmp_path / "journal.sqlite")
        assert cli(*argv).code == 3
        ran = cli(*argv, "--yes", "--json", "-o", results)
        assert ran.code == 0, ran.err
        assert (ran.json["accepted"], ran.json["failed"], ran.json["charged"]) == (2, 0, "0.02")
        lines = [json.loads(line) for line in results.read_text().splitlines()]
        assert {line["id"]: line["value"]["to"] for line in lines} == {"one": "15125550143", "two": "15125550144"}
        again = cli(*argv, "--yes")
        assert "2 accepted" in again.out
        assert len(sandbox.messages) == 2

    def test_results_that_were_paid_for_are_always_written(self, cli: Cli, sandbox: Sandbox, tmp_path: Path):
        argv = ("validation", "run", "15125550143", "+44 20 7946 0958", "--type", "format", "--yes", "--in-order")
        for extra in ((), ("--json",)):
            ran = cli(*argv, *extra)
            assert ran.code == 0, ran.err
            assert [row["value"]["valid"] for row in ran.ndjson] == [True, True]
            assert "2 done" in ran.err
        sent = len(sandbox.requests)
        ran = cli(*argv, "-o", tmp_path / "results.csv")
        assert (ran.code, len(sandbox.requests)) == (2, sent)
        assert "it must end in .ndjson or .jsonl" in ran.err

    def test_wrong_rows_are_named_and_nothing_is_sent(self, cli: Cli, sandbox: Sandbox):
        rows = '{"from": "Acme", "to": "1", "text": "a"}\nnope\n{"from": "Acme"}\n'
        ran = cli("messages", "bulk-send", "-", "--yes", stdin=rows)
        assert (ran.code, ran.out) == (2, "")
        for text in ("stdin, line 2: this is not JSON", "stdin, line 3: "):
            assert text in ran.err
        assert not sandbox.requests

    @pytest.mark.parametrize("more", [1, 9_000])
    def test_a_quote_that_is_never_closed_sends_nothing(self, cli: Cli, sandbox: Sandbox, tmp_path: Path, more: int):
        file = tmp_path / "messages.csv"
        file.write_text('from,to,text\nAcme,15125550143,"hi\n' + "Acme,15125550144,another\n" * more)
        ran = cli("messages", "bulk-send", file, "--yes")
        assert (ran.code, ran.out) == (2, "")
        assert "is not CSV: " in ran.err
        assert not sandbox.requests


class TestTasks:
    """What a new user wants to do, from the help alone."""

    def test_send_a_message_and_watch_it_arrive(self, cli: Cli, sandbox: Sandbox):
        sent = cli(*SEND, "--text", "Your order has left.", "--yes", "--json", "--fields", "message_id")
        message_id = sent.json["message_id"]
        sandbox.advance(60)
        waited = cli("messages", "wait", message_id, "--json")
        assert waited.code == 0
        assert waited.json["status"] == "delivered"

    def test_download_the_recordings_of_last_week(self, cli: Cli, sandbox: Sandbox, tmp_path: Path):
        noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
        ours = [sandbox.add_call(from_="14155550100", to="13125551000", began=noon)["call_id"] for _ in range(2)]
        sandbox.add_call(from_="14155550100", to="13125551000", began=noon.replace(month=10))
        week = ("--from-date", "2026-11-16", "--to-date", "2026-11-22")
        listed = cli("recordings", "list", *week, "--json")
        assert {row["call_uuid"] for row in listed.ndjson} == set(ours)
        assert {row["url"] for row in listed.ndjson} == {"<hidden>"}
        ran = cli("recordings", "download-all", *week, "--to", tmp_path)
        assert ran.code == 0, ran.err
        assert "2 done" in ran.out
        assert {path.stem for path in tmp_path.glob("*.mp3")} == set(ours)
        one = cli("recordings", "download", ours[0], "-o", tmp_path / "one.mp3")
        assert one.out.startswith(f"Saved {tmp_path / 'one.mp3'} (")
        days = ("--from", "2026-11-16", "--to", "2026-11-22", "--type", "received", "--disposition", "all")
        exported = cli("cdrs", "export", *days, "-o", tmp_path / "cdrs.ndjson", "--json")
        assert exported.json["rows"] == 2
        assert len(cli("cdrs", "export", *days).ndjson) == 2

    @pytest.mark.skipif("ten-dlc brands create" not in METHODS, reason="there are no commands of 10DLC yet")
    def test_register_a_brand_and_a_campaign_and_link_a_number(self, cli: Cli, sandbox: Sandbox):
        brand = self.made(
            cli,
            "ten-dlc brands create --dba-name Acme --company-name 'Acme Inc.' --entity-type PRIVATE_PROFIT "
            "--vertical RETAIL --ein-taxid 99-9999999 --ein-taxid-country US --first-name Ada --last-name Lovelace "
            "--phone-number 12125550143 --email ada@example.com --street-address '10 Main Street' --city Miami "
            "--state-or-province FL --country US --zip 33101",
        )["brand_id"]
        sandbox.advance(3 * DAY)
        assert cli("ten-dlc", "brands", "wait", brand, "--json").json["status"] == "VERIFIED"
        body = {
            "name": "Codes", "usecase": "2FA", "description": "Codes that customers need to sign in to their account.",
            "optin_workflow": "Customers tick a box at the checkout of our shop to get codes.",
            "optin_keywords": "start",
            "optin_message": "You get codes from Acme now. Reply STOP to end this.", "optout_keywords": "stop,quit",
            "optout_message": "You get no more messages from Acme.", "help_keywords": "help",
            "help_message": "For help write to ada@example.com.", "sample1": "Your code for Acme is 123456.",
            "terms_conditions": "https://example.com/terms",
        }  # fmt: skip
        flags = "--no-embedded-links --no-age-gated --no-direct-lending --optin --optout --with-help --auto-renewal"
        command = f"ten-dlc brands campaigns create {brand} {flags} --body -"
        campaign = self.made(cli, command, stdin=json.dumps(body))["campaign_id"]
        sandbox.advance(15 * DAY)
        waited = cli("ten-dlc", "brands", "campaigns", "wait", brand, campaign, "--json")
        assert waited.json["status"] == "APPROVED"
        numbers = [row["number"] for row in cli("numbers", "list", "--json").ndjson[:2]]
        ran = cli("ten-dlc", "brands", "campaigns", "numbers", "bulk-link", brand, campaign, *numbers, "--yes")
        assert ran.code == 0, ran.err
        assert "2 accepted" in ran.out
        listed = cli("ten-dlc", "brands", "campaigns", "numbers", "list", brand, campaign, "--json")
        assert {row["number"] for row in listed.ndjson} == set(numbers)
        assert len(cli("ten-dlc", "brands", "list", "--all", "--json").ndjson) == 1

    def made(self, cli: Cli, command: str, stdin: str = "") -> Any:
        ran = cli(*shlex.split(command), "--yes", "--json", stdin=stdin)
        assert ran.code == 0, ran.err
        return ran.json


def test_a_wrong_code_is_a_failure(cli: Cli, sandbox: Sandbox):
    service, *_ = sandbox.two_fa_services
    to = ("--to", "15125550143", "--channel", "sms", "--yes", "--json")
    made = cli("two-fa", "verification", "create", "--service-id", service, *to).json
    ran = cli("two-fa", "verification", "check", made["session_id"], "--code", "00000", "--json", "--yes")
    assert (ran.code, ran.json) == (1, {"is_valid": False})
