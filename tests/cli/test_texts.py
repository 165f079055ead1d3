"""Texts of the API, of files and of users are printed as they are: no markup, no terminal codes, no forged lines."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cyclopts")

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from tests.support.cli import Cli, Ran, running
from wavix_async.cli._console import err, out, show_facts
from wavix_async.sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

FORGED = "1002  forged"
HOSTILE = (
    "[/v1/numbers]",
    "[link=https://evil.example]free[/link] [bold]b",
    ":warning: [@click=app.quit]",
    "\x1b]0;title\x07 \x1b[2J \x9b2J \x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\",
    "a\rb\x08\x7f\u202egnp.exe\u2066\u200b",
    f"x\n{FORGED}\u2028{FORGED}\x0b{FORGED}\x85{FORGED}",
    "half \ud800 character, \ue000 and \U000e0001",
)
SHOWN = ("[/v1/numbers]", "[link=https://evil.example]free[/link]", ":warning: [@click=app.quit]")
_STYLES = re.compile(r"\x1b\[[\d;]*m")


def assert_harmless(text: str) -> None:
    assert all(each.isprintable() for each in text.replace("\n", "")), ascii(text)
    assert not any(line.lstrip().startswith(FORGED) for line in text.splitlines()), text


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    with running(numbers=len(HOSTILE)) as made:
        for number, text in zip(made.numbers, HOSTILE, strict=True):
            made.change(number, label=text, call_status_url=f"https://example.com/{text}", **{text: text})
        monkeypatch.setenv("WAVIX_BASE_URL", made.url)
        monkeypatch.setenv("WAVIX_API_KEY", made.api_key)
        yield made


def harmless(ran: Ran, code: int) -> Ran:
    assert ran.code == code, ran.err
    assert_harmless(ran.out)
    assert_harmless(ran.err)
    return ran


@pytest.mark.req_36
class TestCommands:
    def test_numbers(self, cli: Cli, sandbox: Sandbox):
        listed = harmless(cli("numbers", "list"), 0).out
        assert len(listed.splitlines()) == len(HOSTILE) + 1
        for shown in SHOWN:
            assert shown in listed
        lines = set()
        for number, text in zip(sandbox.numbers, HOSTILE, strict=True):
            lines.add(harmless(cli("numbers", "get", number), 0).out.count("\n"))
            assert cli("numbers", "get", number, "--json").json["label"] == text
        assert len(lines) == 1
        harmless(cli("numbers", "update", 1005, "--sms-enabled"), 0)
        harmless(cli("numbers", "list", "--json"), 0)

    def test_words_of_an_error(self, cli: Cli, sandbox: Sandbox, tmp_path: Path):
        table = tmp_path / "[bold].csv"
        table.write_text("id,sms_enabled\n" + "".join(f"{number},yes\n" for number in sandbox.numbers))
        results = tmp_path / "results.csv"
        for text in (HOSTILE[0], HOSTILE[3], HOSTILE[5]):
            sandbox.fail_next(403, len(HOSTILE), "PATCH *", message=text)
            ran = harmless(cli("numbers", "bulk-update", table, "--yes", "--output", results), 1)
            assert not text.isprintable() or text in ran.out
            assert_harmless(results.read_text())
            for words in ("numbers list", "numbers release 1001 --yes", "recordings list --verbose"):
                sandbox.fail_next(403, message=text)
                err = harmless(cli(*words.split()), 1).err
                assert not text.isprintable() or text in err

    def test_a_key_that_is_a_formula(self, cli: Cli, sandbox: Sandbox, tmp_path: Path):
        messages, results = tmp_path / "messages.csv", tmp_path / "results.csv"
        messages.write_text("key,from,to,text\n=cmd|' /C calc'!A0,Acme,15125550143,hi\n")
        assert cli("messages", "bulk-send", messages, "--yes", "--output", results).code == 0
        assert results.read_text().splitlines()[1].startswith("'=cmd|")

    def test_fleet(self, cli: Cli, sandbox: Sandbox, tmp_path: Path):
        state = tmp_path / "[link=evil]f[bold]:warning:.csv"
        rows = [f"{number},yes,null\n" for number in sandbox.numbers]
        state.write_text("id,sms_enabled,call_status_url\n" + "".join(rows))
        harmless(cli("fleet", "plan", state), 0)
        sandbox.fail_next(403, 1, "PATCH *", message=HOSTILE[0])
        journal = tmp_path / "[link=evil][@click].sqlite"
        applied = harmless(cli("fleet", "apply", state, "--yes", "--max-fraction", 1, "--journal", journal), 5)
        assert HOSTILE[0] in applied.out
        assert str(journal) in applied.out
        assert HOSTILE[0] in harmless(cli("fleet", "status", journal), 5).out

    def test_generated(self, cli: Cli, sandbox: Sandbox):
        for text in HOSTILE[:-1]:
            made = cli("sub-organizations", "create", "--name", text, "--yes")
            harmless(made, 0)
        listed = harmless(cli("sub-organizations", "list", "--fields", "id,name", "--all"), 0).out
        assert len(listed.splitlines()) == len(HOSTILE)
        for shown in SHOWN:
            assert shown in listed
        names = [row["name"] for row in cli("sub-organizations", "list", "--json", "--all").ndjson]
        assert sorted(names) == sorted(HOSTILE[:-1])

    @pytest.mark.parametrize("argv", [(), ("numbers",), ("numbers", "get"), ("numbers", "list", "--limit"), ("calls",)])
    def test_words_of_the_user(self, cli: Cli, sandbox: Sandbox, argv: tuple[str, ...]):
        for text in HOSTILE[:2] + HOSTILE[3:5]:
            harmless(cli(*argv, text, "--yes"), 2)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.req_36
@settings(max_examples=15, deadline=None)
@given(text=st.text(max_size=12) | st.sampled_from(HOSTILE), is_terminal=st.booleans())
def test_whatever_is_printed(text: str, is_terminal: bool):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        said = Terminal() if is_terminal else io.StringIO()
        patch.setattr("sys.stdout", said)
        patch.setattr("sys.stderr", said)
        table = Table(text, title=Text(text))
        table.add_row(text)
        table.add_row(Text(text))
        for console in (out(), err()):
            console.print(text, style="dim", soft_wrap=True)
            console.print(Text(text))
            console.print(table)
            show_facts(console, text, {text: text}, after=[Text(text)])
    shown = said.getvalue()
    assert all(each.isprintable() for each in _STYLES.sub("", shown).replace("\n", "")), ascii(shown)
    if text.isprintable() and text.strip():
        assert text.strip() in shown
