"""The Python blocks of docs/fleets.md run, in order and in one namespace, against one sandbox."""

import ast
import csv
import inspect
import re
from pathlib import Path

import pytest

from wavix_async import fleet
from wavix_async.sandbox import Sandbox

TEXT = (Path(__file__).parents[2] / "docs" / "fleets.md").read_text(encoding="utf-8")
FLAGS = re.MULTILINE | re.DOTALL
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, FLAGS)


async def test_python_blocks_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "fleets"}
    async with Sandbox(numbers=60) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        assert len(BLOCKS) == 6
        for block in BLOCKS:
            code = compile(block, "fleets.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, names)
            if inspect.isawaitable(result):
                await result
        assert sandbox.numbers[1002]["sms_relay_url"] == "https://hooks.example.com/sms"
        assert all(number["transcription_threshold"] == 20 for number in list(sandbox.numbers.values())[:40])
    shown = capsys.readouterr().out
    assert "2 updated of 2;" in shown
    assert "2 numbers are as they were" in shown
    assert "sending 1" in shown


@pytest.mark.wavix(numbers=412)
def test_the_commands_print_what_the_page_shows(
    wavix_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    main = pytest.importorskip("wavix_async.cli").main
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    wavix_sandbox.change(1004, call_status_url="https://calls.example.com/1004")
    blocks = re.findall(r"^\$ wavix-async fleet (?:export|plan|drift) fleet\.csv\n(.*?)^(?=[$`])", TEXT, FLAGS)
    export, before, after, drift = blocks
    assert main(["fleet", "export", "fleet.csv"]) == 0
    assert capsys.readouterr().err == export
    assert main(["fleet", "plan", "fleet.csv"]) == 0
    assert capsys.readouterr().out == before
    with Path("fleet.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0]["sms_enabled"] = "true"
    write(rows)
    assert main(["fleet", "drift", "fleet.csv"]) == 4
    assert capsys.readouterr().out == drift
    rows[3] |= {"sms_enabled": "true", "call_status_url": "https://hooks.example.com/calls"}
    write(rows)
    assert main(["fleet", "plan", "fleet.csv"]) == 0
    # The digest is also of the address of the API, and so of the sandbox's port.
    digest = re.compile("^Digest: [0-9a-f]{64}$", re.MULTILINE)
    assert digest.sub("", capsys.readouterr().out) == digest.sub("", after)


def write(rows: list[dict[str, str]]) -> None:
    with Path("fleet.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_the_yaml_block_is_a_fleet(tmp_path: Path):
    pytest.importorskip("yaml")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", TEXT, FLAGS)
    (tmp_path / "fleet.yaml").write_text(block)
    wanted = fleet.read(tmp_path / "fleet.yaml")
    assert (wanted.rows, len(wanted.selectors)) == (1, 2)
