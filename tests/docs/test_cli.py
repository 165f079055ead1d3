"""The commands of docs/cli.md run, in order, against the sandbox."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import running
from wavix_async.cli import main

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ wavix-async (.*?)(?:\s+#.*)?$", TEXT, re.MULTILINE)


def test_the_commands_run_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("orders.csv").write_text("key,from,to,text\norder-8,Acme,15125550144,Your order has left.\n", "utf-8")
    call = {"from": "15125550100", "to": "15125550143", "callback_url": "https://example.com/calls"}
    Path("call.json").write_text(json.dumps(call), "utf-8")
    with running(numbers=1) as sandbox:
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        began = datetime(2026, 11, 20, 12, tzinfo=UTC)
        call_id = sandbox.add_call(from_="14155550100", to="13125551000", began=began)["call_id"]
        for command in COMMANDS:
            message_id = next(iter(sandbox.messages), "")
            argv = shlex.split(command.replace("MESSAGE_ID", message_id).replace("CALL_ID", call_id))
            code = main(argv)
            if code == 3:  # it asks, and there is no terminal
                code = main([*argv, "--yes"])
            assert code == 0, (command, capsys.readouterr().err)
            sandbox.advance(60)
    assert len(COMMANDS) == 9
    assert sandbox.stats.charges["POST /v3/messages"] == 2
    assert sandbox.stats.charges["POST /v1/calls"] == 1
    assert sandbox.requests_to("POST /v1/calls")[0].json["timeout"] == 30
    assert json.loads(Path("results.ndjson").read_text("utf-8"))["value"]["to"] == "15125550144"
    assert Path("call.mp3").read_bytes() == Path(f"recordings/{call_id}.mp3").read_bytes()
    assert Path("cdrs.csv").is_file()


def test_the_page_fits_a_screen_of_a_browser() -> None:
    assert len(TEXT.splitlines()) <= 60
