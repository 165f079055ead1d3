"""`doctor`, `whoami`, `explain` and `--profile` on the command line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cyclopts")

from tests.support.cli import running
from wavix_async.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Cli

KEY = "key-0f9c-that-no-one-may-see"


def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    monkeypatch.setenv("WAVIX_CONFIG", str(file))


def test_doctor_has_one_line_for_each_check_and_the_exit_code(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(numbers=0) as sandbox:
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        ran = cli("doctor")
        assert (ran.code, len(ran.out.splitlines()), ran.err) == (0, 11, "")
        assert "The key is from WAVIX_API_KEY" in ran.out
        told = cli("doctor", "--json").json
        assert (told["ok"], len(told["findings"])) == (True, 11)
        sandbox.fail_next(429, retry_after=60)
        assert cli("doctor").code == 5
        monkeypatch.setenv("WAVIX_API_KEY", KEY)
        ran = cli("doctor", "--no-webhooks")
        assert ran.code == 1
        assert "failed   key       HTTP 401" in ran.out
        assert KEY not in ran.out
        assert {request.method for request in sandbox.requests} == {"GET"}


def test_doctor_without_a_key_is_no_error_of_usage(cli: Cli) -> None:
    ran = cli("doctor")
    assert ran.code == 1
    assert "failed   key" in ran.out
    assert "Set WAVIX_API_KEY" in ran.out


def test_whoami(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(numbers=0, balance="12.50") as sandbox:
        monkeypatch.setenv("WAVIX_BASE_URL", sandbox.url)
        monkeypatch.setenv("WAVIX_API_KEY", sandbox.api_key)
        assert "Balance    12.5" in cli("whoami", "--rate", 500).out
        assert cli("whoami", "--json").json["balance"].startswith("12.5")
        monkeypatch.setenv("WAVIX_API_KEY", KEY)
        ran = cli("whoami")
        assert (ran.code, "HTTP 401" in ran.err) == (2, True)


def test_explain(cli: Cli) -> None:
    ran = cli("explain", "26")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 2
    assert "https://docs.wavix.com/messaging/errors/26" in ran.out
    assert cli("explain", "outcomeunknownerror", "--json").json[0]["code"] == "OutcomeUnknownError"
    ran = cli("explain", "nonsense")
    assert (ran.code, "Ask Wavix support" in ran.err) == (1, True)


@pytest.mark.parametrize("command", [("numbers", "list"), ("trunks", "list"), ("whoami",), ("doctor",)])
def test_every_command_takes_a_profile(
    command: tuple[str, ...], cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running(numbers=0) as sandbox:
        profiles(tmp_path, monkeypatch, f'[eu]\napi_key = "{sandbox.api_key}"\nbase_url = "{sandbox.url}"\n')
        ran = cli(*command, "--profile", "eu")
        assert (ran.code, "API key" in ran.err) == (0, False)
        assert cli(*command, "--profile", "us").code == (1 if command == ("doctor",) else 2)
        monkeypatch.setenv("WAVIX_PROFILE", "eu")
        assert cli(*command).code == 0
        assert sandbox.stats.requests


def test_a_mistake_names_where_the_url_is_from(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profiles(tmp_path, monkeypatch, f'[default]\napi_key = "{KEY}"\nbase_url = "http://api.example.com"\n')
    assert "base_url of profile 'default' must use https" in cli("numbers", "list").err
    monkeypatch.setenv("WAVIX_BASE_URL", "http://other.example.com")
    assert "WAVIX_BASE_URL must use https" in cli("numbers", "list").err
    assert "--base-url must use https" in cli("numbers", "list", "--base-url", "http://arg.example.com").err


def test_the_json_of_doctor_is_one_document(cli: Cli) -> None:
    assert json.loads(cli("doctor", "--json").out)["findings"][0]["check"] == "key"


def test_a_mistake_in_a_profile_is_named_with_the_profile(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    profiles(tmp_path, monkeypatch, f'[eu]\napi_key = "{KEY}"\nrate = inf\n')
    assert "rate of profile 'eu' must be" in cli("whoami", "--profile", "eu").err
    assert "use --profile (eu)" in cli("whoami").err
    monkeypatch.setenv("WAVIX_API_KEY", KEY)
    monkeypatch.setenv("WAVIX_BASE_URL", "http://api.example.com")
    assert "WAVIX_BASE_URL must use https" in cli("whoami").err


def test_doctor_keeps_its_exit_code_if_the_reader_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "w", buffering=1) as gone:
        monkeypatch.setattr("sys.stdout", gone)
        assert main(["doctor"]) == 1
