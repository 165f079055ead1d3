"""The blocks of docs/drift.md run, in order and in one namespace, and show what the page shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.description_changes import opened
from tests.support.pages import python_blocks, run_block, text_of
from wavix_async.cli import main
from wavix_async.sandbox import Sandbox
from wavix_async.spec import Effect

TEXT = text_of("drift.md")
BLOCKS = python_blocks(TEXT)
(SHOWN,) = re.findall(r"^```console\n\$ (.*?)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def changed_description() -> Any:
    """Return the description with the changes that the page shows."""
    document = opened("/v3/messages", "/v1/numbers/{id}")
    content = document["paths"]["/v3/messages"]["post"]["requestBody"]["content"]["application/json"]
    content["schema"]["allOf"][0]["required"].append("tag")
    answer = document["paths"]["/v1/numbers/{id}"]["get"]["responses"]["200"]["content"]["application/json"]
    answer["schema"]["properties"]["colour"] = {"type": "string"}
    return document


async def test_python_blocks_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(changed_description()), encoding="utf-8")
    names: dict[str, Any] = {"__name__": "drift"}
    compared, collected = BLOCKS

    await run_block(compared, "drift.md", names)

    assert "breaks_calls MessageCreate.tag newly required" in capsys.readouterr().out
    async with Sandbox(numbers=1) as sandbox:
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        await run_block(collected, "drift.md", names)
    assert capsys.readouterr().out == "# No differences\n\n"


def test_the_command_prints_what_the_page_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cyclopts")
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(changed_description()), encoding="utf-8")
    command, shown = SHOWN

    code = main(command.split()[1:])

    def without_count(text: str) -> str:
        return re.sub(r"^\d+ known", "N known", text, flags=re.MULTILINE)

    assert code == 4
    assert without_count(capsys.readouterr().out) == without_count(shown)


def test_every_effect_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == list(Effect)
