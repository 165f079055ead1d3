"""`wavix-async spec diff`: files and stdin, output and exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.description import DOCUMENT
from tests.support.description_changes import opened

if TYPE_CHECKING:
    from tests.support.cli import Cli


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    document = opened("/v3/messages")
    document["paths"]["/v3/messages"]["post"]["security"] = [{"bearerAuth": ["sms:write"]}]
    path = tmp_path / "new.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_difference_is_printed_and_is_exit_code_4(cli: Cli, changed: Path) -> None:
    ran = cli("spec", "diff", changed)

    assert ran.code == 4
    assert (
        "| operation | `POST /v3/messages` | scope changed | `messages:write` | `sms:write` | `POST /v3/messages` |"
    ) in ran.out
    assert ran.err == ""


def test_json_from_stdin(cli: Cli, changed: Path) -> None:
    ran = cli("spec", "diff", "-", "--json", stdin=changed.read_text(encoding="utf-8"))

    assert ran.code == 4
    first = ran.json["changes"][0]
    assert (first["subject"], first["effect"], first["found"]) == ("POST /v3/messages", "breaks_calls", "sms:write")


def test_no_difference_is_exit_code_0(cli: Cli) -> None:
    ran = cli("spec", "diff", "-", stdin=json.dumps(DOCUMENT))

    assert (ran.code, ran.out.splitlines()[0], ran.err) == (0, "# No differences", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openapi: 3.1.0\npaths: {}\n", "YAML"),
        ("<html>", "not JSON"),
        ("{}", "no key openapi"),
        ('{"openapi": "3.1.0", "paths": {"/v1/x": {"$ref": "#/paths/~1v1~1x"}}}', "circular"),
    ],
)
def test_bad_input_is_exit_code_2(cli: Cli, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")

    ran = cli("spec", "diff", path)

    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert str(path) in ran.err
    assert "Traceback" not in ran.err


def test_a_file_that_cannot_be_read_is_exit_code_2(cli: Cli, tmp_path: Path) -> None:
    missing = cli("spec", "diff", tmp_path / "missing.json")
    folder = cli("spec", "diff", tmp_path)

    assert (missing.code, folder.code) == (2, 2)
    assert "Cannot read" in missing.err
    assert "Cannot read" in folder.err
