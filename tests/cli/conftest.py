"""The fixture `cli`: the command line as a function."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import Ran
from wavix_async.cli import main

if TYPE_CHECKING:
    from tests.support.cli import Cli


@pytest.fixture(autouse=True)
def _no_profiles_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    def run(*argv: object, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        capsys.readouterr()
        code = main([str(argument) for argument in argv])
        return Ran(code, *capsys.readouterr())

    return run
