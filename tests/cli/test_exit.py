"""Exit codes, the flags made from `NumberUpdate`, and the imports of the command line."""

from __future__ import annotations

import subprocess
import sys

import attrs
import pytest

pytest.importorskip("cyclopts")

from wavix_async import (
    APIError,
    BulkReport,
    ConfigurationError,
    ConnectError,
    DisconnectedError,
    NotFoundError,
    NumberUpdate,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    WavixError,
)
from wavix_async._files import FIELDS
from wavix_async.cli._exit import code_for_error, code_for_report
from wavix_async.cli._input import Changes


@pytest.mark.req_17
@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"succeeded": 3}, 0),
        ({"succeeded": 3, "failed": 1}, 1),
        ({"failed": 1, "unknown": 1, "not_sent": 1}, 1),
        ({"succeeded": 3, "unknown": 1}, 5),
        ({"succeeded": 3, "not_sent": 1}, 5),
    ],
)
def test_codes_of_reports(counts: dict[str, int], code: int):
    none = {"succeeded": 0, "failed": 0, "unknown": 0, "not_sent": 0}
    report = BulkReport(**{**none, **counts}, failures=[], requests=0, rate_limited=0, elapsed=0.0)
    assert code_for_report(report) == code


@pytest.mark.req_17
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (NotFoundError("x"), 1),
        (APIError("an own 405", status=405), 1),
        (APIError("a page under a 404", status=404, outcome="unknown", retryable=True), 5),
        (PermissionDeniedError("a page under a 403", status=403, is_page=True), 1),
        (RateLimitError("x"), 5),
        (ServerError("x"), 5),
        (ConnectError("x"), 5),
        (DisconnectedError("x"), 5),
        (OutcomeUnknownError("x"), 5),
    ],
)
def test_codes_of_errors(error: WavixError, code: int):
    assert code_for_error(error) == code


def test_every_field_of_an_update_has_a_flag():
    assert {field.name for field in attrs.fields(Changes)} == set(FIELDS)
    assert set(FIELDS) == {field.name for field in attrs.fields(NumberUpdate)}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)


def test_the_package_imports_no_part_of_the_extra():
    done = python(
        "import sys, wavix_async, wavix_async.cli\n"
        "print(sorted(name for name in sys.modules if name in ('cyclopts', 'rich') or 'wavix_async.cli._' in name))"
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra_it_says_how_to_install_it(missing: str):
    done = python(
        f"import sys; sys.modules[{missing!r}] = None\nfrom wavix_async.cli import main\nsys.exit(main(['demo']))"
    )
    assert done.returncode == 2
    assert done.stderr == f"wavix-async needs {missing}, which is not installed: pip install 'wavix-async[cli]'\n"
    assert done.stdout == ""
