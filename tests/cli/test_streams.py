"""What the process gives a command: closed, full and narrow streams, signals, and the mode of its files."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import CLI, PATIENCE, Cli, running
from wavix_async.cli import main
from wavix_async.sandbox import Sandbox

FULL = Path("/dev/full")
SEND = ("messages", "send", "--from", "Acme", "--to", "15125550143", "--text", "hi", "--yes")
WRITES = {
    "numbers update 1001 --sms-enabled": 0,
    "numbers update 1001 --sms-enabled --json": 0,
    "numbers release 1002 --yes": 0,
    "numbers bulk-update TABLE --yes": 1,
    "numbers bulk-update TABLE --yes --json": 1,
    "fleet apply GOOD --yes": 0,
    "demo --numbers 5 --faults 0 --json": 0,
    " ".join(SEND): 0,
    "messages opt-outs create --number 15125550143": 0,
    "messages bulk-send MESSAGES --yes": 0,
}
"""Commands that send something, and the exit codes that tell how it ended."""
READS = ("numbers list", "numbers list --json", "numbers get 1001", "profile config get", "fleet plan GOOD", "--help")

needs_full = pytest.mark.skipif(not FULL.is_char_device(), reason="needs /dev/full")


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running(numbers=4) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        yield made


@pytest.fixture
def argv(tmp_path: Path) -> Callable[[str], list[str]]:
    (tmp_path / "table.csv").write_text("id,sms_enabled\n1001,yes\n9999,yes\n")
    (tmp_path / "good.csv").write_text("id,sms_enabled\n1001,yes\n")
    (tmp_path / "messages.ndjson").write_text('{"from": "Acme", "to": "15125550143", "text": "hi"}\n')
    files = {"TABLE": "table.csv", "GOOD": "good.csv", "MESSAGES": "messages.ndjson"}
    return lambda command: [str(tmp_path / files[word]) if word in files else word for word in command.split()]


@needs_full
class TestFull:
    @pytest.mark.parametrize("command", WRITES)
    def test_the_exit_code_of_a_run_stays(
        self, argv: Callable[[str], list[str]], sandbox: Sandbox, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch, command: str,
    ):  # fmt: skip
        with FULL.open("w") as full, contextlib.suppress(OSError):
            monkeypatch.setattr("sys.stdout", full)
            assert main(argv(command)) == WRITES[command]
        assert capsys.readouterr().err.count("wavix-async: Cannot write to stdout: No space left on device.") == 1

    @pytest.mark.parametrize("command", READS)
    def test_a_command_that_only_reads_has_failed(
        self, argv: Callable[[str], list[str]], sandbox: Sandbox, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch, command: str,
    ):  # fmt: skip
        with FULL.open("w") as full:
            monkeypatch.setattr("sys.stdout", full)
            assert main(argv(command)) == 1
        assert "wavix-async: Cannot write to stdout: No space left on device.\n" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("command", "code"), [("numbers list", 0), ("numbers bulk-update TABLE --yes", 1), ("numbers list --no", 2)]
    )
    def test_stderr_never_matters(
        self, argv: Callable[[str], list[str]], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str,
        code: int,
    ):  # fmt: skip
        with FULL.open("w") as full:
            monkeypatch.setattr("sys.stderr", full)
            assert main(argv(command)) == code

    def test_a_downloaded_file(self, monkeypatch: pytest.MonkeyPatch, cli: Cli):
        with running(numbers=4, cdrs=3) as made:
            monkeypatch.setenv("WAVIX_BASE_URL", made.url)
            monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
            recording = cli("recordings", "list", "--json").ndjson[0]["call_uuid"]
            with FULL.open("w") as full:
                monkeypatch.setattr("sys.stdout", full)
                assert main(["recordings", "download", recording, "--output", "-"]) == 1

    def test_results_of_a_bulk_update(
        self, argv: Callable[[str], list[str]], sandbox: Sandbox, cli: Cli, tmp_path: Path
    ):
        results = tmp_path / "results.ndjson"
        results.symlink_to(FULL)
        ran = cli(*argv("numbers bulk-update GOOD --yes --output"), results)
        assert ran.code == 5
        assert "1 updated, 0 failed, 0 unknown, 0 not sent" in ran.out
        assert f"Cannot write --output {results}: No space left on device." in ran.err
        assert "Free space, then run the same command again" in ran.err

    def test_a_header_of_results(self, argv: Callable[[str], list[str]], sandbox: Sandbox, cli: Cli, tmp_path: Path):
        results = tmp_path / "results.csv"
        results.symlink_to(FULL)
        ran = cli(*argv("numbers bulk-update GOOD --yes --output"), results)
        assert (ran.code, ran.out, sandbox.stats.requests) == (5, "", 0)
        assert ran.err.endswith(": No space left on device. Nothing was sent.\n")

    def test_failures(self, argv: Callable[[str], list[str]], sandbox: Sandbox, cli: Cli, tmp_path: Path):
        failures = tmp_path / "failed.csv"
        failures.symlink_to(FULL)
        ran = cli(*argv("numbers bulk-update GOOD --yes --failures-to"), failures)
        assert (ran.code, sandbox.stats.requests) == (5, 0)
        assert "--failures-to: cannot write" in ran.err
        failures = tmp_path / "failed.ndjson"
        failures.symlink_to(FULL)
        sandbox.fail_next(422, match="PATCH *")
        ran = cli(*argv("numbers bulk-update GOOD --yes --failures-to"), failures)
        assert "cannot write" in ran.out

    def test_results_of_a_bulk_send_say_not_to_send_again(
        self, argv: Callable[[str], list[str]], sandbox: Sandbox, cli: Cli, tmp_path: Path
    ):
        results = tmp_path / "results.ndjson"
        results.symlink_to(FULL)
        ran = cli(*argv("messages bulk-send MESSAGES --yes --output"), results)
        assert ran.code == 1
        assert "would send again what was sent" in ran.err
        journal = ("--journal", tmp_path / "journal.sqlite")
        assert cli(*argv("messages bulk-send MESSAGES --yes --output"), results, *journal).code == 5


@needs_full
@pytest.mark.parametrize("count", [300])
def test_a_run_stops_when_its_results_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path, count: int
):
    with running(numbers=count) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        ids, results = tmp_path / "ids.txt", tmp_path / "results.ndjson"
        ids.write_text("\n".join(map(str, made.numbers)))
        results.symlink_to(FULL)
        flags = ("--sms-enabled", "--yes", "--json", "--concurrency", 2)
        ran = cli("numbers", "bulk-update", ids, *flags, "--output", results)
        assert (ran.code, ran.json["unknown"], ran.json["failed"]) == (5, 0, 0)
        assert ran.json["updated"] == sum(number["sms_enabled"] for number in made.numbers.values()) < count
        assert ran.json["updated"] + ran.json["not_sent"] == count


@pytest.mark.parametrize(
    "command", ["recordings list --all --json", "cdrs export --from 2026-01-01 --to 2026-12-31 --type placed"]
)
def test_every_row_goes_to_stdout_while_a_terminal_shows_the_progress(monkeypatch: pytest.MonkeyPatch, command: str):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("wavix_async.cli._output.ticker._AFTER", 0)
    monkeypatch.setenv("TERM", "xterm")
    rows, terminal = io.StringIO(), Terminal()
    with running(numbers=4, cdrs=250, latency=0.02) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        monkeypatch.setattr("sys.stdout", rows)
        monkeypatch.setattr("sys.stderr", terminal)
        assert main(command.split()) == 0
    assert "Waiting for the API" in terminal.getvalue()
    assert "uuid" not in terminal.getvalue()
    assert len(rows.getvalue().splitlines()) > 50
    assert all("uuid" in line for line in rows.getvalue().splitlines())


class TestClosed:
    @pytest.mark.parametrize("command", [*list(WRITES)[::3], *READS[::2]])
    def test_stdout(
        self, argv: Callable[[str], list[str]], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str
    ):
        monkeypatch.setattr("sys.stdout", None)
        assert main(argv(command)) == WRITES.get(command, 0)

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("numbers bulk-update -", 2),
            ("numbers bulk-update GOOD", 3),
            ("fleet plan - --format csv", 2),
            ("messages send --body - --yes", 2),
            ("messages bulk-send - --yes", 2),
            ("spec diff -", 2),
        ],
    )
    def test_stdin(
        self, argv: Callable[[str], list[str]], sandbox: Sandbox, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch, command: str, code: int,
    ):  # fmt: skip
        monkeypatch.setattr("sys.stdin", None)
        assert main(argv(command)) == code
        assert capsys.readouterr().err.startswith("wavix-async: ")

    def test_all_of_them(self, sandbox: Sandbox, argv: Callable[[str], list[str]], tmp_path: Path):
        """A file must not get the number of a closed stream, and what is written to the stream."""
        results = tmp_path / "results.ndjson"
        command = [*CLI, *argv("numbers bulk-update TABLE --yes --output"), str(results)]
        shell = 'exec "$@" <&- >&- 2>&-'
        assert subprocess.run(["sh", "-c", shell, "sh", *command], timeout=PATIENCE, check=False).returncode == 1
        assert {json.loads(line)["id"] for line in results.read_text().splitlines()} == {1001, 9999}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "command",
    [
        "numbers list",
        "numbers update 1001 --sms-enabled",
        "sub-organizations create --name \u2713\u2603 --yes",
        "numbers list --label \udcff",
        "numbers bulk-update \udcff.csv",
        "messages send --from \u2713 --to 1 --text \ud800 --yes",
        "--help",
    ],
)
def test_an_encoding_that_lacks_characters(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, encoding: str, command: str
):
    for number in sandbox.numbers:
        sandbox.change(number, label="\u2713 \u2603 caf\u00e9 \ud800 \U0001f600")
    streams = [io.BytesIO(), io.BytesIO()]
    for name, stream in zip(("stdout", "stderr"), streams, strict=True):
        monkeypatch.setattr(f"sys.{name}", io.TextIOWrapper(stream, encoding=encoding))
    code = main(command.split())
    sys.stderr.flush()
    assert code == (2 if "\udcff" in command or "\ud800" in command else 0)
    if command.startswith("numbers") and code == 0:
        assert "\u2713 \u2603 caf\u00e9".encode(encoding, "backslashreplace") in streams[0].getvalue()


def test_a_file_name_that_is_not_utf_8(sandbox: Sandbox, cli: Cli, tmp_path: Path):
    state = Path(os.fsdecode(os.fsencode(tmp_path) + b"/f\xff.csv"))
    try:
        state.write_text("id,sms_enabled\n1001,yes\n")
    except OSError:
        pytest.skip("the file system takes only UTF-8")
    results, page = state.with_name("r\udcff.csv"), state.with_name("p\udcff.html")
    assert cli("numbers", "bulk-update", state, "--yes", "--output", results).code == 0
    sandbox.change(1001, sms_enabled=False)
    assert cli("fleet", "apply", state, "--yes", "--output", page).code == 0
    assert sandbox.numbers[1001]["sms_enabled"] is True
    journal = state.with_suffix(".run.sqlite")
    assert "f\\udcff" in cli("fleet", "status", journal).out
    assert cli("fleet", "status", journal, "--json").json["updated"] == 1
    assert cli("fleet", "roll-back", journal, "--yes").code == 0
    assert cli("fleet", "export", state.with_name("e\udcff.csv")).code == 0


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit for the size of a file")
@pytest.mark.parametrize(
    "argv",
    ["recordings download {0} -o {1}/x.mp3", "cdrs export --from 2026-01-01 --to {2} --type placed -o {1}/x.csv"],
)
def test_a_file_that_is_saved_on_a_full_disk(monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path, argv: str):
    import resource

    with running(numbers=4, cdrs=30) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        call = cli("recordings", "list", "--json").ndjson[0]["call_uuid"]
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            ran = cli(*argv.format(call, tmp_path, "2026-12-31").split())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (ran.code, ran.out) == (5, "")
    assert re.search(r"wavix-async: Cannot write \S+x\.(mp3|csv): File too large\.\n", ran.err)
    assert list(tmp_path.iterdir()) == []


# --- signals ---


def send_at(sandbox: Sandbox, number: signal.Signals, request: int = 1) -> None:
    """Send this process a signal during a request, if the command has a handler."""
    requests = itertools.count(1)
    main_thread = threading.get_ident()

    def match(_method: str, _path: str) -> bool:
        if next(requests) == request and signal.getsignal(number) is not signal.SIG_DFL:
            signal.pthread_kill(main_thread, number)
        return False

    sandbox.fail_next(500, match=match)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running(numbers=4, latency=600) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        yield made


@pytest.mark.parametrize("ctrl_c", [signal.default_int_handler, signal.SIG_IGN])
@pytest.mark.parametrize("command", ["numbers list", "fleet plan GOOD"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_command_that_only_reads(
    slow: Sandbox, argv: Callable[[str], list[str]], capfd: pytest.CaptureFixture[str],
    number: signal.Signals, command: str, ctrl_c: object,
):  # fmt: skip
    before = signal.getsignal(signal.SIGINT), signal.getsignal(number)
    signal.signal(signal.SIGINT, ctrl_c)  # type: ignore[arg-type]
    try:
        send_at(slow, number)
        assert main(argv(command)) == 130
        assert signal.getsignal(signal.SIGINT) is ctrl_c
    finally:
        signal.signal(signal.SIGINT, before[0])
    assert capfd.readouterr().err.splitlines()[-1:] == ["wavix-async: Interrupted."]
    assert signal.getsignal(number) is before[1]


def test_a_signal_before_the_command_is_imported(monkeypatch: pytest.MonkeyPatch):
    def stop(_: object) -> int:
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    monkeypatch.setattr("wavix_async.cli._run", stop)
    assert main([]) == 130


def test_what_is_ignored_stays_ignored(cli: Cli, sandbox: Sandbox):
    """As in `nohup wavix-async ...`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        send_at(sandbox, signal.SIGHUP)
        assert cli("numbers", "update", 1001, "--sms-enabled").code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_hangup_keeps_every_result(monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path, number: signal.Signals):
    with running(numbers=400) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        ids, results = tmp_path / "ids.txt", tmp_path / "results.ndjson"
        ids.write_text("\n".join(map(str, made.numbers)))
        flags = ("--sms-enabled", "--yes", "--json", "--concurrency", 2)
        send_at(made, number, request=20)
        ran = cli("numbers", "bulk-update", ids, *flags, "--output", results)
        changed = {key for key, value in made.numbers.items() if value["sms_enabled"]}
        rows = [json.loads(line) for line in results.read_text().splitlines()]
        assert ran.code == 130
        assert len(rows) == 400
        assert {row["id"] for row in rows if row["status"] == "updated"} == changed


def test_a_killed_process_leaves_every_result(monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path):
    """Each result is in the file before the next one comes."""
    with running(numbers=20) as made:
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        ids, results = tmp_path / "ids.txt", tmp_path / "results.csv"
        ids.write_text("\n".join(map(str, made.numbers)))
        seen: list[int] = []
        from wavix_async.cli._input import TrackedRows

        deliver = TrackedRows.on_result
        monkeypatch.setattr(
            TrackedRows, "on_result",
            lambda rows, result: (deliver(rows, result), seen.append(len(results.read_text().splitlines()))),
        )  # fmt: skip
        assert cli("numbers", "bulk-update", ids, "--sms-enabled", "--yes", "--output", results).code == 0
    assert seen == list(range(2, 22))


# --- files ---


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_only_the_user_can_read_the_files(sandbox: Sandbox, argv: Callable[[str], list[str]], cli: Cli, tmp_path: Path):
    mask = os.umask(0o022)
    try:
        given = {tmp_path, *argv("TABLE GOOD MESSAGES")}
        names = ("e.csv", "p.html", "a.html", "r.csv", "f.csv", "cdrs.ndjson", "m.csv")
        made = {name: tmp_path / name for name in names}
        assert cli("fleet", "export", made["e.csv"]).code == 0
        assert cli(*argv("fleet plan GOOD --output"), made["p.html"]).code == 0
        assert cli(*argv("fleet apply GOOD --yes --output"), made["a.html"]).code == 0
        outputs = ("--output", made["r.csv"], "--failures-to", made["f.csv"])
        assert cli(*argv("numbers bulk-update TABLE --yes"), *outputs).code == 1
        journal = ("--journal", tmp_path / "messages.sqlite")
        assert cli(*argv("messages bulk-send MESSAGES --yes --output"), made["m.csv"], *journal).code == 0
        days = ("--from", "2026-01-01", "--to", "2026-01-02", "--type", "placed")
        assert cli("cdrs", "export", *days, "-o", made["cdrs.ndjson"]).code == 0
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if str(path) not in given}
        assert made.keys() | {"good.run.sqlite", "messages.sqlite"} <= modes.keys()
        assert set(modes.values()) == {0o600}, modes
        # A file that is there keeps who may read it.
        made["r.csv"].chmod(0o644)
        cli(*argv("numbers bulk-update GOOD --yes --output"), made["r.csv"])
        assert made["r.csv"].stat().st_mode & 0o777 == 0o644
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(mask)
