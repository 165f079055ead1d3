"""Profiles: which file is read, what comes first, and that no mistake and no error shows a key."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from wavix_async import ConfigurationError, Timeouts, WavixClient
from wavix_async.config import profiles_file, resolve_settings
from wavix_async.sandbox import Sandbox

KEY = "key-0f9c-of-a-profile"
OTHER = "key-77aa-of-the-environment"
PRINT_KEY = f"{sys.executable} -S -c 'print(chr(107) + \"ey-by-a-command\")'"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a file of profiles that does not exist yet."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("WAVIX_CONFIG", str(path))
    return path


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


def settings(name: str | None = None, **given: Any) -> dict[str, Any]:
    return resolve_settings(name, given).arguments


def refusal(*names: str) -> str:
    """Return the error of a profile, after looking for a key in all that a traceback with locals shows."""
    with pytest.raises(ConfigurationError) as caught:
        WavixClient.from_profile(*names)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "-of-a-" not in shown.replace("text = ", "")
    assert "-of-the-env" not in shown
    assert caught.value.__context__ is None or "-of-a-" not in repr(vars(caught.value.__context__))
    return str(caught.value)


# --- which file, which profile ---


def test_the_file_is_named_or_below_the_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of-a-user")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    assert profiles_file() == Path("/home/of-a-user/.config/wavix/config.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative/does/not/count")
    assert profiles_file() == Path("/home/of-a-user/.config/wavix/config.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/settings")
    assert profiles_file() == Path("/settings/wavix/config.toml")
    monkeypatch.setenv("WAVIX_CONFIG", "~/mine.toml")
    assert profiles_file() == Path("/home/of-a-user/mine.toml")


async def test_a_client_is_made_from_a_profile_and_works(file: Path) -> None:
    async with Sandbox(numbers=1) as sandbox:
        write(file, f'[eu]\napi_key = "{sandbox.api_key}"\nbase_url = "{sandbox.url}"\nrate = 50\ndeadline = 9\n')
        async with WavixClient.from_profile("eu", timeout=5) as wavix:
            assert (await wavix.numbers.get(1001)).id == 1001
            assert wavix.limits.snapshot().rate == 50
            assert wavix.timeouts == Timeouts(attempt=5, deadline=9)


def test_the_name_is_the_argument_or_in_the_environment_or_default(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, "".join(f'[{name}]\napi_key = "{KEY}-{name}"\n' for name in ("default", "eu", "us")))
    assert settings()["api_key"] == f"{KEY}-default"
    monkeypatch.setenv("WAVIX_PROFILE", "eu")
    assert settings()["api_key"] == f"{KEY}-eu"
    assert settings("us")["api_key"] == f"{KEY}-us"


def test_no_file_is_read_without_a_need(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, "this is not TOML")
    assert settings(api_key=OTHER) == {"api_key": OTHER}
    monkeypatch.setenv("WAVIX_API_KEY", OTHER)
    assert settings() == {}
    WavixClient()


@pytest.mark.parametrize("name", ["", 7, b"eu"])
def test_an_empty_name_is_not_the_default(file: Path, name: Any) -> None:
    write(file, f'[default]\napi_key = "{KEY}"\n')
    assert "must be the name of a profile" in refusal(name)
    with pytest.raises(ConfigurationError, match="must be the name of a profile"):
        resolve_settings(name)


# --- what comes first ---


def test_an_argument_comes_before_the_environment_before_the_profile(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, f'[eu]\napi_key = "{KEY}"\nbase_url = "https://eu.example.com"\nrate = 20\n')
    monkeypatch.setenv("WAVIX_PROFILE", "eu")
    found = resolve_settings()
    assert found.arguments == {"api_key": KEY, "base_url": "https://eu.example.com", "rate": 20}
    assert (found.key_from, found.url_from, found.profile) == ("profile 'eu'", "profile 'eu'", "eu")
    assert KEY not in repr(found)

    monkeypatch.setenv("WAVIX_API_KEY", OTHER)
    monkeypatch.setenv("WAVIX_BASE_URL", "https://env.example.com")
    found = resolve_settings()
    assert found.arguments == {"rate": 20}
    assert (found.key_from, found.url_from) == ("WAVIX_API_KEY", "WAVIX_BASE_URL")
    assert WavixClient(**found.arguments).base_url == "https://env.example.com"

    found = resolve_settings(None, {"api_key": "key-given", "base_url": "https://arg.example.com", "rate": 7})
    assert found.arguments == {"api_key": "key-given", "base_url": "https://arg.example.com", "rate": 7}
    assert (found.key_from, found.url_from) == ("the argument api_key", "the argument base_url")


def test_two_keys_and_a_profile_that_the_caller_names_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls would change the account of WAVIX_API_KEY, and the caller has named another."""
    write(file, f'[eu]\napi_key = "{KEY}"\n[command]\napi_key_command = "does-not-run"\n[keyless]\nrate = 3\n')
    monkeypatch.setenv("WAVIX_API_KEY", OTHER)
    assert "unclear which account" in refusal("eu")
    assert "Unset WAVIX_API_KEY" in refusal("command")
    assert settings("keyless") == {"rate": 3}
    assert settings("eu", api_key="key-given")["api_key"] == "key-given"
    monkeypatch.setenv("WAVIX_API_KEY", KEY)
    assert "api_key" not in settings("eu")


def test_a_command_runs_only_if_its_key_is_needed(file: Path) -> None:
    write(file, '[eu]\napi_key_command = "/does/not/exist"\n')
    assert settings("eu", api_key=OTHER) == {"api_key": OTHER}
    assert "api_key_command (/does/not/exist) cannot be run: No such file" in refusal("eu")


# --- api_key_command ---


@pytest.mark.parametrize(
    "command",
    [f"'''{PRINT_KEY}'''", f"""['{sys.executable}', "-S", "-c", "print(' key-by-a-command ')"]"""],
)
def test_a_command_is_a_list_or_a_text_and_prints_the_key(file: Path, command: str) -> None:
    write(file, f"[eu]\napi_key_command = {command}\n")
    assert settings("eu")["api_key"] == "key-by-a-command"


def test_no_shell_reads_the_command(file: Path, tmp_path: Path) -> None:
    write(file, f"[eu]\napi_key_command = 'echo key-$HOME; touch {tmp_path}/made'\n")
    assert settings("eu")["api_key"] == f"key-$HOME; touch {tmp_path}/made"
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (f"sh -c 'echo {KEY}; echo {KEY} >&2; exit 3'", "failed with exit code 3"),
        (f"sh -c 'echo {KEY}; echo {KEY}'", "more than one line"),
        ("true", "printed nothing"),
        ("sh -c 'unbalanced", "cannot be split"),
        (" ", "names no program"),
    ],
)
def test_a_failing_command_shows_neither_its_output_nor_its_arguments(file: Path, command: str, said: str) -> None:
    write(file, f'[eu]\napi_key_command = "{command}"\n')
    with pytest.raises(ConfigurationError, match=said) as caught:
        WavixClient.from_profile("eu")
    assert KEY not in str(caught.value)
    assert caught.value.__context__ is None or KEY not in repr(vars(caught.value.__context__))


def test_a_command_that_does_not_end_is_ended(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavix_async.config._COMMAND_SECONDS", 0.05)
    write(file, "[eu]\napi_key_command = 'sleep 600'\n")
    assert "did not end within 0.05 seconds" in refusal("eu")


def test_a_key_that_is_an_argument_is_in_no_traceback(file: Path) -> None:
    write(file, "[eu]\nrat = 3\n")
    with pytest.raises(ConfigurationError) as caught:
        WavixClient.from_profile("eu", **{"api_key": KEY, "proxy": f"http://user:{OTHER}@proxy.example.com:8080"})
    ours = caught.value.__traceback__.tb_next  # type: ignore[union-attr]
    shown = "".join(traceback.StackSummary.extract(traceback.walk_tb(ours), capture_locals=True).format())
    assert "settings = " in shown
    assert KEY not in shown
    assert OTHER not in shown


def test_a_home_that_cannot_be_read_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")
    assert resolve_settings().key_from == "nowhere"
    monkeypatch.setenv("WAVIX_CONFIG", "/dev/null/config.toml")
    assert "Cannot read the profiles" in refusal("eu")
    monkeypatch.setenv("WAVIX_CONFIG", "/")
    assert "Is a directory" in refusal("eu")


def test_the_program_of_a_command_may_be_below_the_home(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    program = tmp_path / "print-key"
    program.write_text("#!/bin/sh\necho key-by-a-command\n")
    program.chmod(0o700)
    write(file, "[eu]\napi_key_command = '~/print-key'\n")
    assert settings("eu")["api_key"] == "key-by-a-command"


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such shell")
def test_a_command_that_leaves_a_program_with_its_output(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavix_async.config._COMMAND_SECONDS", 0.5)
    write(file, """[eu]\napi_key_command = ["sh", "-c", "exec 3<&0; sleep 2 & echo key"]\n""")
    assert refusal("eu").endswith((" keeps its output open.", "0.5 seconds."))


def test_a_command_that_prints_without_end_is_ended_at_once(file: Path) -> None:
    write(file, "[eu]\napi_key_command = 'yes'\n")
    assert "more than one line" in refusal("eu")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals")
def test_a_command_that_a_signal_ends(file: Path) -> None:
    write(file, """[eu]\napi_key_command = ["sh", "-c", "kill -9 $$"]\n""")
    assert "was ended by signal 9" in refusal("eu")


def test_a_command_that_fails_for_want_of_a_shell_says_so(file: Path) -> None:
    write(file, "[eu]\napi_key_command = 'cat /dev/null | head -1'\n")
    assert "runs without a shell" in refusal("eu")


# --- mistakes in the file ---


def test_a_missing_file_or_profile_is_named(file: Path) -> None:
    assert f"Cannot read the profiles in {file}: No such file" in refusal("eu")
    assert "[default]" in refusal()
    write(file, "[eu]\nrate = 3\n[us]\nrate = 3\n")
    assert f"no profile 'eux' in {file}. Did you mean 'eu'? There are: eu, us." in refusal("eux")
    assert "has no key: add api_key_command" in refusal("eu")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'[eu]\napi_key = "{KEY}\n', "not valid TOML (at line 2, column"),
        (f'[eu]\napi_keyy = "{KEY}"\n', "unknown key, 'api_keyy'. Did you mean 'api_key'?"),
        (f'api_key = "{KEY}"\n', "'api_key' is outside of a profile"),
        (f'[eu]\napi_key = ["{KEY}"]\n', "api_key of profile 'eu'"),
        (f'[eu]\nrate = "{KEY}"\n', "rate of profile 'eu'"),
        ("[eu]\nrate = 0\n", "must be a number greater than 0"),
        ("[eu]\nmax_connections = 1.5\n", "must be a whole number of 1 or more"),
        ("[eu]\nstrict = 1\n", "must be true or false"),
        ("[eu]\nca_file = 'none.pem'\napi_key = 'k'\n", "cannot read the certificates in ca_file"),
        (f'[eu]\napi_key = "{KEY}"\napi_key_command = "x"\n', "leave one of them out"),
        (f'[us]\nrat = 3\n[eu]\napi_key = "{KEY}"\n', "Profile 'us'"),
    ],
)
def test_a_mistake_in_the_file_is_named_without_its_value(file: Path, text: str, said: str) -> None:
    write(file, text)
    told = refusal("eu")
    assert said in told
    assert KEY not in told


def test_a_file_that_is_not_utf_8(file: Path) -> None:
    file.write_bytes(f'[eu]\napi_key = "{KEY}\xff"'.encode("latin-1"))
    assert "not UTF-8" in refusal("eu")


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
@pytest.mark.parametrize("secret", [f'api_key = "{KEY}"', 'proxy = "http://user:word@proxy.example.com:8080"'])
def test_a_secret_that_others_can_read_is_refused(file: Path, mode: int, secret: str) -> None:
    write(file, f"[eu]\nrate = 3\n[us]\n{secret}\n", mode)
    assert f"chmod 600 {file}" in refusal("eu")
    write(file, "[eu]\napi_key_command = 'echo key-by-a-command'\n", mode)
    assert settings("eu")["api_key"] == "key-by-a-command"


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_change_is_refused(file: Path, mode: int) -> None:
    write(file, "[eu]\napi_key_command = 'echo key'\n", mode)
    assert "can change" in refusal("eu")


def test_settings_reach_the_client(file: Path) -> None:
    write(
        file,
        f'[eu]\napi_key = "{KEY}"\nproxy = "http://user:word@proxy.example.com:8080"\ntimeout = 5\nstrict = true\n'
        "max_connections = 3\nbulk_share = 0.5\ntrust_env = true\n",
    )
    found = settings("eu", rate=2)
    assert found == {
        "api_key": KEY,
        "proxy": "http://user:word@proxy.example.com:8080",
        "timeout": Timeouts(attempt=5),
        "strict": True,
        "max_connections": 3,
        "bulk_share": 0.5,
        "trust_env": True,
        "rate": 2,
    }
    assert "word" not in repr(found["proxy"])
    assert WavixClient.from_profile("eu").timeouts.attempt == 5
    times = Timeouts(attempt=1, deadline=2)
    assert settings("eu", timeout=times)["timeout"] == times


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAVIX_CONFIG", "/dev/zero")
    assert "no file of profiles" in refusal("eu")


@pytest.mark.parametrize("kind", ["a directory", "a link to nowhere"])
def test_a_default_file_that_cannot_be_read_is_no_missing_key(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "wavix" / "config.toml"
    file.parent.mkdir()
    if kind == "a directory":
        file.mkdir()
    else:
        file.symlink_to(tmp_path / "none")
    with pytest.raises(ConfigurationError, match="Cannot read the profiles in"):
        resolve_settings()


def test_without_a_key_the_profiles_of_the_file_are_named(file: Path) -> None:
    write(file, "[eu]\nrate = 3\n[us]\nrate = 3\n")
    found = resolve_settings()
    assert (found.key_from, found.others) == ("nowhere", ("eu", "us"))


@pytest.mark.skipif(os.name != "posix", reason="Windows has other permissions")
def test_the_command_that_mends_the_permissions_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a b.toml"
    monkeypatch.setenv("WAVIX_CONFIG", str(file))
    write(file, f'[eu]\napi_key = "{KEY}"\n', 0o644)
    assert f"chmod 600 '{file}'" in refusal("eu")


def test_a_setting_of_the_profile_that_is_wrong_is_named_with_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, f'[eu]\napi_key = "{KEY}"\nrate = inf\nbase_url = "x"\n')
    found = resolve_settings("eu")
    assert found.name_source("rate must be a number") == "rate of profile 'eu' must be a number"
    assert found.name_source("base_url must be") == "base_url of profile 'eu' must be"
    assert resolve_settings("eu", {"rate": -1}).name_source("rate must be") == "rate must be"
    monkeypatch.setenv("WAVIX_BASE_URL", "y")
    assert resolve_settings("eu").name_source("base_url must be") == "WAVIX_BASE_URL must be"
