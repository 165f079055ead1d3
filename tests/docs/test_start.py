"""docs/start.md, as a new user follows it: its programs and its commands, in order, against one sandbox."""

from __future__ import annotations

import re
import shlex
import socket
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pages import python_blocks, text_of

if TYPE_CHECKING:
    from wavix_async.sandbox import Sandbox

TEXT = text_of("start.md")
CHANGE, SEND, RECEIVE = python_blocks(TEXT)


def run(program: str, name: str) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(program, name, "exec"), names)


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.mark.wavix(delivery_delay=0.01)
def test_the_programs_do_what_the_page_says(wavix_sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    run(CHANGE, "change.py")
    printed = re.findall(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert [capsys.readouterr().out] == printed
    assert wavix_sandbox.numbers[1001]["sms_enabled"] is True

    run(SEND, "send.py")
    assert capsys.readouterr().out.startswith("delivered 0.")
    assert wavix_sandbox.stats.charges == {"POST /v3/messages": 1}

    assert RECEIVE.count("8000") == 2
    run(RECEIVE.replace("8000", free_port()), "receive.py")
    (_, sent) = wavix_sandbox.messages
    assert f"{sent} is now delivered\n" in capsys.readouterr().out


def test_the_commands_run(wavix_sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    main = pytest.importorskip("wavix_async.cli").main
    blocks = re.findall(r"^```console\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    ran = [shlex.split(each)[1:] for each in commands if each.startswith("wavix-async numbers")]
    assert [words[:2] for words in ran] == [["numbers", "get"], ["numbers", "update"]]
    for words in ran:
        assert main(words) == 0, capsys.readouterr()
    assert wavix_sandbox.numbers[1001]["call_status_url"] == "https://calls.example.com"
    assert "wavix-async sandbox" in commands
